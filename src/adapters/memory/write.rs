//! Publishing into memory.

use super::{Memory, state::State};
use crate::adapters::session::Publish;
use crate::domain::fault::{Fault, Kind};
use crate::domain::message::Outgoing;
use crate::domain::operation::{Field, PublishSpec};
use crate::domain::receipt::Receipt;
use async_trait::async_trait;

const OP: &str = "publish to";

static SPEC: PublishSpec = PublishSpec { key: true, tombstone: true, timestamp: true, fields: FIELDS };
const FIELDS: &[Field] = &[Field::number("partition", "Partition", "counted from 0; without it the key decides", 0, 999)];

#[async_trait]
impl Publish for Memory {
    fn spec(&self) -> &'static PublishSpec {
        &SPEC
    }

    async fn publish(&self, channel: &str, message: Outgoing) -> Result<Receipt, Fault> {
        self.pass(OP, channel).await?;
        if self.change(|state| state.enqueue(channel, &message)) {
            return Ok(Receipt::Routed);
        }
        let partition = checked_partition(&self.state(), channel, &message)?;
        Ok(Receipt::Stored(self.change(|state| state.store(channel, partition, message))))
    }
}

/// The partition that a message asks for, if it is there and the channel takes messages.
pub(super) fn checked_partition(state: &State, channel: &str, message: &Outgoing) -> Result<Option<usize>, Fault> {
    let refused = |kind, cause: String| Fault::new(kind, OP, channel, cause);
    let parts = state.parts(OP, channel)?.len();
    let Some(text) = message.option("partition") else { return Ok(None) };
    SPEC.fields[0].check(text).map_err(|cause| refused(Kind::Rejected, cause))?;
    let partition = text.parse::<usize>().ok();
    if let Some(partition) = partition.filter(|partition| *partition >= parts) {
        return Err(refused(Kind::NotFound, format!("there is no partition {partition}: the channel has {parts}, counted from 0")));
    }
    Ok(partition)
}
