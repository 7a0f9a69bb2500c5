//! What the system in memory holds: logs, damages and the clock.

use super::Trouble;
use super::groups::StoredGroup;
use super::queue::Queue;
use crate::config::profile::Integration;
use crate::domain::channel::{Attribute, Caps, Channel};
use crate::domain::fault::{Fault, Kind};
use crate::domain::figure::Amount;
use crate::domain::message::{Message, Outgoing, Stamp};
use crate::domain::position::{Bound, Position};
use crate::domain::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// 2026-02-05T10:00:00Z.
const DAWN: i64 = 1_770_285_600_000;

pub(super) struct State {
    pub(super) integration: Integration,
    channels: BTreeMap<Arc<str>, Vec<Part>>,
    pub(super) trouble: Option<Trouble>,
    pub(super) forbidden: BTreeSet<Arc<str>>,
    pub(super) damaged: BTreeSet<(Arc<str>, i32, i64)>,
    pub(super) groups: BTreeMap<Arc<str>, StoredGroup>,
    pub(super) queues: BTreeMap<Arc<str>, Queue>,
    pub(super) services: BTreeSet<Arc<str>>,
    /// How long a message of a queue may be held.
    pub(super) patience: Option<Duration>,
    /// Those that queues were received from by, and the messages that were given to them.
    pub(super) receivers: u64,
    pub(super) given: u64,
    /// How often each name of transactions was begun: only the last one may go on.
    pub(super) names: BTreeMap<String, u64>,
    born: Instant,
    /// Messages stored so far; spreads those without a key.
    count: usize,
}

/// One partition: what is left of it, and the offset that it begins with.
#[derive(Clone, Default)]
pub(super) struct Part {
    pub(super) start: i64,
    messages: Vec<Message>,
}

impl Part {
    pub(super) fn end(&self) -> i64 {
        self.start + self.messages.len() as i64
    }

    /// The messages from `offset` on that are there, `most` at most.
    pub(super) fn from(&self, offset: i64, most: usize) -> &[Message] {
        let skip = usize::try_from(offset - self.start).unwrap_or(0).min(self.messages.len());
        let rest = &self.messages[skip..];
        &rest[..rest.len().min(most)]
    }

    /// The offset that a bound means in this partition (number `partition`); `None` if the range has no part in it.
    pub(super) fn resolve(&self, partition: i32, bound: Bound) -> Option<i64> {
        let offset = match bound {
            Bound::Earliest => self.start,
            Bound::Latest => self.end(),
            Bound::BeforeEnd(back) => self.end().saturating_sub(i64::try_from(back).unwrap_or(i64::MAX)),
            Bound::Each(offset) => offset,
            Bound::At(Position::Offset { partition: of, offset }) if of == partition => offset,
            Bound::At(Position::Sequence(sequence)) if partition == 0 => i64::try_from(sequence).unwrap_or(i64::MAX),
            Bound::At(_) => return None,
            Bound::Time(time) => {
                let found = self.messages.iter().position(|message| message.timestamp.is_some_and(|stamp| stamp >= time));
                found.map_or(self.end(), |index| self.start + index as i64)
            }
        };
        Some(offset.clamp(self.start, self.end()))
    }
}

impl State {
    pub(super) fn new(integration: Integration) -> Self {
        Self {
            integration,
            channels: BTreeMap::new(),
            trouble: None,
            forbidden: BTreeSet::new(),
            damaged: BTreeSet::new(),
            groups: BTreeMap::new(),
            queues: BTreeMap::new(),
            services: BTreeSet::new(),
            patience: None,
            receivers: 0,
            given: 0,
            names: BTreeMap::new(),
            born: Instant::now(),
            count: 0,
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        Timestamp(DAWN + self.born.elapsed().as_millis() as i64)
    }

    pub(super) fn create(&mut self, channel: &str, partitions: usize) {
        self.channels.entry(channel.into()).or_insert_with(|| vec![Part::default(); partitions.max(1)]);
    }

    pub(super) fn delete(&mut self, channel: &str) {
        self.channels.remove(channel);
    }

    /// Stores a message; a channel or partition that does not exist is made up to it.
    pub(super) fn store(&mut self, channel: &str, partition: Option<usize>, message: Outgoing) -> Position {
        let now = self.now();
        self.count += 1;
        let (name, parts) = {
            let name: Arc<str> = channel.into();
            (name.clone(), self.channels.entry(name).or_insert_with(|| vec![Part::default()]))
        };
        let partition = partition.unwrap_or_else(|| match &message.key {
            Some(key) => key.iter().fold(0usize, |hash, byte| hash.wrapping_mul(31).wrapping_add(usize::from(*byte))) % parts.len(),
            None => self.count % parts.len(),
        });
        if parts.len() <= partition {
            parts.resize(partition + 1, Part::default());
        }
        let part = &mut parts[partition];
        let position = Position::Offset { partition: partition as i32, offset: part.end() };
        part.messages.push(Message {
            channel: name,
            position,
            timestamp: Some(message.timestamp.unwrap_or(now)),
            stamp: Stamp::Created,
            key: message.key,
            headers: message.headers,
            payload: message.payload,
        });
        position
    }

    pub(super) fn held(&self, channel: &str) -> Vec<Message> {
        self.channels.get(channel).into_iter().flatten().flat_map(|part| part.messages.clone()).collect()
    }

    pub(super) fn delete_before(&mut self, channel: &str, partition: usize, offset: i64) {
        if let Some(part) = self.channels.get_mut(channel).and_then(|parts| parts.get_mut(partition)) {
            let gone = part.messages.len().min(usize::try_from(offset - part.start).unwrap_or(0));
            part.messages.drain(..gone);
            part.start += gone as i64;
        }
    }

    /// A channel's partitions, or why there are none for us.
    pub(super) fn parts(&self, op: &'static str, channel: &str) -> Result<&[Part], Fault> {
        let target = format!("{}/{channel}", self.integration.name);
        if self.forbidden.contains(channel) {
            return Err(Fault::new(Kind::Forbidden, op, target, "our user may not see the channel").next("ask for the permission"));
        }
        self.channels.get(channel).map(Vec::as_slice).ok_or_else(|| self.otherwise(op, channel, "channel"))
    }

    /// Why a channel is not what something is done to: it is one of another kind, or none.
    pub(super) fn otherwise(&self, op: &'static str, name: &str, wanted: &str) -> Fault {
        let kinds = [
            ("topic", self.channels.contains_key(name)),
            ("queue", self.queues.contains_key(name)),
            ("service", self.services.contains(name)),
        ];
        let target = format!("{}/{name}", self.integration.name);
        match kinds.into_iter().find(|(_, is)| *is) {
            Some((kind, _)) => Fault::new(Kind::Usage, op, target, format!("a {kind} cannot do that")),
            None => Fault::new(Kind::NotFound, op, target, format!("there is no such {wanted}")).next("check the spelling"),
        }
    }

    pub(super) fn damage_at(&self, channel: &str, partition: i32, offset: i64) -> Option<Fault> {
        let target = format!("{}/{channel}#{partition}@{offset}", self.integration.name);
        let damaged = self.damaged.contains(&(channel.into(), partition, offset));
        damaged.then(|| Fault::new(Kind::Protocol, "read", target, "the checksum of the batch is wrong"))
    }

    /// Every channel that we may see, in the order of their names.
    pub(super) fn list(&self) -> Vec<Channel> {
        let topics = self.channels.iter().map(|(name, parts)| self.row(name, parts));
        let queues = self.queues.iter().map(|(name, queue)| self.queue_row(name, queue));
        let services = self.services.iter().map(|name| self.service_row(name));
        let mut all: Vec<Channel> = topics.chain(queues).chain(services).filter(|row| !self.forbidden.contains(&row.name)).collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    pub(super) fn row(&self, name: &Arc<str>, parts: &[Part]) -> Channel {
        let held = parts.iter().map(|part| part.messages.len() as u64).sum();
        let bytes = parts.iter().flat_map(|part| &part.messages).map(|message| message.size() as u64).sum();
        Channel {
            tenant: self.integration.tenant_of(name).map(Into::into),
            internal: name.starts_with("__"),
            can: Caps { tail: true, history: true, publish: true, ..Caps::default() },
            depth: Amount::Exactly(held),
            bytes: Amount::Exactly(bytes),
            ends: Some(parts.iter().map(|part| part.end() as u64).sum()),
            parts: Some(parts.len() as u32),
            attributes: vec![Attribute { name: "storage".into(), value: "memory".into() }],
            ..Channel::named(name.clone(), "topic")
        }
    }
}
