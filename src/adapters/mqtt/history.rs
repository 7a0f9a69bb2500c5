//! `History` for MQTT: what the broker retains, one message a topic. It keeps nothing else.

use super::Mqtt;
use super::connection::inbox;
use super::dial::Role;
use super::message::Reader;
use super::topic;
use super::wire::{Qos, Subscription};
use crate::adapters::backlog::backlog;
use crate::adapters::session::{Cost, History, Lane, Reading, TailEvent};
use crate::domain::fault::{Fault, Kind};
use crate::domain::message::Message;
use crate::domain::position::{Bound, Position, Range};
use async_trait::async_trait;
use futures::stream::{self, StreamExt};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout};

const OP: &str = "read";
/// Retained messages read at once, at most.
pub(super) const MOST: usize = 50_000;
/// Nothing more is retained if nothing came for so long after the broker answered what was asked after the subscription.
const QUIET: Duration = Duration::from_millis(150);
/// Messages handed on at once.
const BATCH: usize = 1_000;

/// What is retained.
pub(super) struct Retained {
    /// In the order of their topics.
    pub(super) messages: Vec<Message>,
    /// There may be more.
    pub(super) cut: bool,
}

#[async_trait]
impl History for Mqtt {
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
        let Retained { mut messages, cut } = self.retained(OP, &filter, MOST).await?;
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
        let batches: Vec<_> = messages.chunks(BATCH).map(|batch| Ok(batch.to_vec())).collect();
        Ok(Reading { lanes: vec![Lane { partition: None, at_most, batches: stream::iter(batches).boxed() }], notes })
    }
}

impl Mqtt {
    /// What the broker retains under a filter. It is sent, marked, to whoever subscribes; the end is not marked, so that something else is
    /// asked after it, and then it has to be quiet. At `QoS` 0 the broker's limit of what is under way does not cut it.
    pub(super) async fn retained(&self, op: &'static str, filter: &str, most: usize) -> Result<Retained, Fault> {
        topic::check_filter(op, filter)?;
        if topic::is_shared(filter) {
            return Err(
                Fault::new(Kind::Usage, op, filter, "a shared subscription is not sent what is retained").next("leave $share/GROUP/ out")
            );
        }
        let (feed, backlog) = backlog();
        let kept = |packet: &super::wire::Packet| packet.retain && !packet.payload.is_empty();
        let connection = self.dialler.open(Role::default(), inbox(&feed, Reader::default(), kept)).await?;
        let wanted = Subscription { filter: filter.to_owned(), qos: Qos::Zero, retained: true, as_published: false };
        connection.subscribe(op, vec![wanted]).await?;
        connection.ask_subscribe(op, vec![self.dialler.nothing()]).await?;
        let end = Instant::now() + self.dialler.timeout;
        let mut found: BTreeMap<Arc<str>, Message> = BTreeMap::new();
        let mut cut = false;
        while !cut && Instant::now() < end {
            match timeout(QUIET, backlog.next()).await {
                Ok(Some(TailEvent::Messages(messages))) => {
                    found.extend(messages.into_iter().map(|message| (message.channel.clone(), message)));
                    cut = found.len() > most;
                }
                // More came than there was room for.
                Ok(Some(_)) => cut = true,
                Ok(None) | Err(_) => break,
            }
        }
        cut |= Instant::now() >= end;
        if connection.is_gone() {
            return Err(Fault { op, target: filter.into(), ..connection.gone().await });
        }
        let numbered = (1..).zip(found.into_values().take(most));
        let messages = numbered.map(|(number, message)| Message { position: Position::Arrival(number), ..message }).collect();
        Ok(Retained { messages, cut })
    }
}
