//! `History` for MQTT: what the broker retains, one message a topic. It keeps nothing else.

use super::Mqtt;
use super::message::Reader;
use super::topic;
use super::wire::Packet;
use crate::adapters::bounds::{BYTES, held};
use crate::adapters::fit::ANSWER;
use crate::adapters::session::{Lane, Log, Reading};
use crate::domain::channel::Cost;
use crate::domain::fault::{Fault, Kind};
use crate::domain::message::Message;
use crate::domain::position::{Bound, Position, Range};
use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, StreamExt};
use std::collections::BTreeMap;
use std::sync::Arc;

const OP: &str = "read";
/// Retained messages read at once, at most.
const MOST: usize = 50_000;
/// Messages handed on at once.
const BATCH: usize = 1_000;

/// What is retained.
struct Retained {
    /// In the order of their topics.
    messages: Vec<Message>,
    /// There may be more.
    cut: bool,
}

/// What was found of it so far, and the bytes that it takes.
#[derive(Default)]
struct Found {
    messages: BTreeMap<Arc<str>, Message>,
    bytes: usize,
}

#[async_trait]
impl Log for Mqtt {
    fn cost(&self) -> Cost {
        Cost::Temporary("a subscription by a connection of its own")
    }

    async fn read(&self, channel: &str, range: Range) -> Result<Reading, Fault> {
        let timed = |bound: Bound| matches!(bound, Bound::Time(_));
        for bound in [range.start, range.end] {
            if matches!(bound, Bound::Each(_) | Bound::At(_)) {
                return Err(Fault::new(Kind::Usage, OP, channel, format!("`{bound}` is no place here: MQTT numbers no messages"))
                    .next("what is retained is read as a whole: earliest"));
            }
        }
        let mut notes = Vec::new();
        if timed(range.start) || timed(range.end) {
            notes.push("the broker does not say when a retained message was made: all of them are shown".to_owned());
        }
        let filter = topic::of(OP, channel)?;
        topic::check_filter(OP, &filter)?;
        if range.start == Bound::Latest || range.end == Bound::Earliest {
            return Ok(Reading { lanes: Vec::new(), notes });
        }
        let Retained { mut messages, cut } = self.retained(OP, &filter).await?;
        if cut {
            notes.push(format!("more is retained than can be read at once: these are {}", messages.len()));
        }
        if let Bound::BeforeEnd(back) = range.end {
            messages.truncate(messages.len().saturating_sub(usize::try_from(back).unwrap_or(usize::MAX)));
        }
        if let Bound::BeforeEnd(back) = range.start {
            messages.drain(..messages.len().saturating_sub(usize::try_from(back).unwrap_or(usize::MAX)));
        }
        if messages.is_empty() {
            return Ok(Reading { lanes: Vec::new(), notes });
        }
        let at_most = messages.len() as u64;
        let mut messages = messages.into_iter();
        let batches = stream::iter(std::iter::from_fn(move || batch(&mut messages).map(Ok)));
        Ok(Reading { lanes: vec![Lane { partition: None, at_most, batches: batches.boxed() }], notes })
    }
}

/// The next messages to hand on, as many as an answer of a server is meant to have; `None` after the last. They are given away: whoever
/// looks through them keeps copies of those that pass.
fn batch(messages: &mut impl Iterator<Item = Message>) -> Option<Vec<Message>> {
    let mut bytes = 0;
    let mut batch = Vec::new();
    while bytes < ANSWER
        && batch.len() < BATCH
        && let Some(message) = messages.next()
    {
        bytes += held(&message);
        batch.push(message);
    }
    (!batch.is_empty()).then_some(batch)
}

impl Mqtt {
    /// What the broker retains under a filter, whole.
    async fn retained(&self, op: &'static str, filter: &str) -> Result<Retained, Fault> {
        let mut reader = Reader::default();
        let look = self
            .look(op, filter, false, Found::default(), move |found, packet| {
                if !packet.retain || packet.payload.is_empty() {
                    return true;
                }
                // Not a part of the buffer that it was read into, which would be kept with it.
                let payload = Bytes::copy_from_slice(&packet.payload);
                found.take(reader.message(Packet { payload, ..packet }))
            })
            .await?;
        let cut = look.cut;
        let numbered = (1..).zip(look.end().messages.into_values());
        let messages = numbered.map(|(number, message)| Message { position: Position::Arrival(number), ..message }).collect();
        Ok(Retained { messages, cut })
    }
}

impl Found {
    /// False if there was no room.
    fn take(&mut self, message: Message) -> bool {
        if self.bytes >= BYTES || self.messages.len() >= MOST && !self.messages.contains_key(&message.channel) {
            return false;
        }
        self.bytes += held(&message);
        if let Some(before) = self.messages.insert(message.channel.clone(), message) {
            self.bytes -= held(&before);
        }
        true
    }
}
