//! Reads one message of history by its position. Whatever reads more goes the way of a search.

use super::{Gateway, cannot};
use crate::domain::address::Address;
use crate::domain::fault::{Fault, Kind};
use crate::domain::message::Message;
use crate::domain::position::{Bound, Position, Range};
use futures::StreamExt;

impl Gateway {
    /// One message by its position. Gone, compacted away or never there: not found.
    pub async fn message(&self, address: &Address, position: Position) -> Result<Message, Fault> {
        let range = Range { start: Bound::At(position), end: Bound::Latest };
        let channel = self.named(address)?;
        let history = self.reading(&address.integration).await?.history.ok_or_else(|| cannot("read", &address.integration, "history"))?;
        let mut reading = history.read(&channel, range).await?;
        for lane in &mut reading.lanes {
            while let Some(batch) = lane.batches.next().await {
                if let Some(first) = batch?.into_iter().next() {
                    let target = format!("{address}#{position}");
                    let missing = || Fault::new(Kind::NotFound, "read", target, "there is no message at this position any more");
                    return if first.position == position { Ok(first) } else { Err(missing()) };
                }
            }
        }
        Err(Fault::new(Kind::NotFound, "read", format!("{address}#{position}"), "there is no message at this position"))
    }
}
