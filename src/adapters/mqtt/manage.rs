//! `Manage` for MQTT: what the broker retains can be deleted, by publishing an empty message in its place.

use super::history::{MOST, Retained};
use super::wire::{Answer, Packet, Qos};
use super::{Mqtt, topic};
use crate::adapters::session::Manage;
use crate::domain::channel::Table;
use crate::domain::fault::{Fault, Kind};
use crate::domain::figure::{self, Amount};
use crate::domain::operation::{Change, Done, OperationSpec, Request, Risk, Target};
use crate::domain::text::SafeText;
use async_trait::async_trait;
use futures::stream::{self, StreamExt};
use std::collections::BTreeSet;

const OP: &str = "clear retained";
/// Publishes under way at once.
const AT_ONCE: usize = 100;

static CLEAR: OperationSpec = OperationSpec {
    id: "retained.clear",
    title: "Clear retained",
    help: "deletes what the broker retains of a topic, or of all that a filter has",
    risk: Risk::Destroy,
    permission: "messages:clear",
    on: Target::Channel(&["topic"]),
    fields: &[],
};
pub(super) static OPERATIONS: &[&OperationSpec] = &[&CLEAR];

#[async_trait]
impl Manage for Mqtt {
    fn operations(&self) -> &'static [&'static OperationSpec] {
        OPERATIONS
    }

    async fn plan(&self, request: Request) -> Result<Change, Fault> {
        if request.spec.id != CLEAR.id {
            return Err(Fault::new(Kind::Usage, "plan", request.spec.id, "this system has no such operation"));
        }
        let filter = topic::of(OP, &request.address.within())?;
        let Retained { messages, cut } = self.retained(OP, &filter, MOST).await?;
        if messages.is_empty() {
            return Err(Fault::new(Kind::NotFound, OP, filter.as_str(), "nothing is retained there")
                .next("`mqdeck tail ADDRESS --from earliest --until latest` shows what is"));
        }
        let size =
            |message: &crate::domain::message::Message| figure::bytes(message.payload.as_ref().map_or(0, |payload| payload.len() as u64));
        let rows = messages.iter().map(|message| vec![SafeText::new(&message.channel), size(message).into()]).collect();
        let topics: Vec<&str> = messages.iter().map(|message| &*message.channel).collect();
        let steps = serde_json::to_string(&topics).map_err(|error| Fault::new(Kind::Protocol, OP, filter.as_str(), error.to_string()))?;
        let mut notes = vec!["this cannot be undone: who subscribes later is told nothing".into()];
        if cut {
            notes.push(format!("more is retained than can be read at once: these are the first {MOST}").as_str().into());
        }
        let summary = format!("deletes what is retained of {} {}", topics.len(), if topics.len() == 1 { "topic" } else { "topics" });
        Ok(Change {
            tables: vec![Table { title: "retained", columns: vec!["topic", "size"], rows }],
            touches: Amount::Exactly(messages.len() as u64),
            notes,
            ..Change::new(request, summary, steps)
        })
    }

    async fn carry_out(&self, change: &Change) -> Result<Done, Fault> {
        let filter = topic::of(OP, &change.request.address.within())?;
        let topics: Vec<String> =
            serde_json::from_str(&change.steps).map_err(|e| Fault::new(Kind::Usage, OP, filter.as_str(), e.to_string()))?;
        let cleared: Vec<_> = stream::iter(topics).map(|topic| self.clear(topic)).buffered(AT_ONCE).collect().await;
        // 3.1.1 acknowledges what it refuses as well: only another look tells.
        let left = self.retained(OP, &filter, MOST).await;
        let left: Option<BTreeSet<_>> = left.ok().map(|left| left.messages.into_iter().map(|message| message.channel).collect());
        let parts = cleared.into_iter().map(|(topic, said)| {
            let still = left.as_ref().map(|left| left.contains(&*topic));
            let said = said.and_then(|()| match still {
                Some(false) => Ok("cleared".into()),
                Some(true) => {
                    Err(Fault::new(Kind::Forbidden, OP, topic.as_str(), "the broker took the request, and it is retained all the same")
                        .next("usually its access list forbids it; or somebody published anew"))
                }
                None => Ok("sent; whether it is gone could not be looked up".into()),
            });
            (SafeText::new(&topic), said)
        });
        Ok(Done { parts: parts.collect() })
    }
}

impl Mqtt {
    /// Clears one topic, by the name that messages have.
    async fn clear(&self, channel: String) -> (String, Result<(), Fault>) {
        let cleared = async {
            let packet = Packet { topic: topic::of(OP, &channel)?, qos: Qos::One, retain: true, ..Packet::default() };
            match self.publisher.publish(OP, packet).await? {
                Answer::Refused(refusal) => Err(refusal.fault(OP, channel.as_str())),
                Answer::Taken | Answer::Nobody | Answer::Unsaid => Ok(()),
            }
        };
        let cleared = cleared.await;
        (channel, cleared)
    }
}
