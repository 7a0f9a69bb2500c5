//! What the system in memory holds: logs, queues, groups, damages and the clock.

use super::Trouble;
use crate::config::profile::Integration;
use crate::domain::channel::{Attribute, Caps, Channel, Description};
use crate::domain::dead_letter::place::{DeadLetterMap, Letter};
use crate::domain::delivery::{Delivery, Effect, Settlement};
use crate::domain::fault::{Fault, Kind};
use crate::domain::figure::Amount;
use crate::domain::group::{self, Member};
use crate::domain::message::{Header, Message, Outgoing, Stamp};
use crate::domain::position::{Bound, Position};
use crate::domain::time::Timestamp;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
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
    /// What is said of dead letters, and those of each place.
    pub(super) dead_letters: DeadLetterMap,
    pub(super) letters: BTreeMap<Arc<str>, Vec<Letter>>,
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

/// A group, as it is kept.
#[derive(Clone, Debug, Default)]
pub(super) struct StoredGroup {
    /// What it claims; without it the members tell.
    pub(super) state: Option<group::State>,
    pub(super) members: Vec<Member>,
    pub(super) commits: BTreeMap<(Arc<str>, i32), i64>,
}

/// One queue: what waits, and what somebody holds.
#[derive(Default)]
pub(super) struct Queue {
    pub(super) ready: VecDeque<Entry>,
    pub(super) held: BTreeMap<u64, Held>,
}

pub(super) struct Entry {
    message: Message,
    /// How many times it was given out so far.
    pub(super) deliveries: u64,
    /// Not given out before.
    pub(super) due: Timestamp,
}

pub(super) struct Held {
    pub(super) entry: Entry,
    /// Who holds it.
    pub(super) receiver: u64,
    /// When it is given back by itself.
    pub(super) until: Option<Timestamp>,
}

impl Held {
    pub(super) fn is_over(&self, now: Timestamp) -> bool {
        self.until.is_some_and(|until| until <= now)
    }
}

impl Queue {
    /// Gives back what is held.
    pub(super) fn give_back(&mut self, which: impl Fn(&Held) -> bool) -> usize {
        let back: Vec<Held> = self.held.extract_if(.., |_, held| which(held)).map(|(_, held)| held).collect();
        let count = back.len();
        // The last one first, so that they stand at the head in the order in which they were taken.
        for held in back.into_iter().rev() {
            self.ready.push_front(held.entry);
        }
        count
    }

    /// The first message that is due.
    pub(super) fn take(&mut self, now: Timestamp) -> Option<Entry> {
        let at = self.ready.iter().position(|entry| entry.due <= now)?;
        self.ready.remove(at)
    }
}

impl Entry {
    pub(super) fn delivery(&self, number: u64) -> Delivery {
        let message = Message { position: Position::Arrival(number), ..self.message.clone() };
        Delivery { ticket: None, message, deliveries: Some(self.deliveries), redelivered: self.deliveries > 1 }
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
            dead_letters: DeadLetterMap::default(),
            letters: BTreeMap::new(),
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
            attributes: vec![Attribute::new("storage", "memory")],
            ..Channel::named(name.clone(), "topic")
        }
    }

    pub(super) fn queue(&mut self, name: &str) -> &mut Queue {
        self.queues.entry(name.into()).or_default()
    }

    /// Puts a message at the end of a queue; false if there is no such queue.
    pub(super) fn enqueue(&mut self, name: &str, message: &Outgoing) -> bool {
        let now = self.now();
        let Some((name, _)) = self.queues.get_key_value(name) else { return false };
        let message = Message {
            channel: name.clone(),
            position: Position::Arrival(0),
            timestamp: Some(message.timestamp.unwrap_or(now)),
            stamp: Stamp::Created,
            key: message.key.clone(),
            headers: message.headers.clone(),
            payload: message.payload.clone(),
        };
        let name = name.clone();
        self.queue(&name).ready.push_back(Entry { message, deliveries: 0, due: now });
        true
    }

    /// The connection is cut: everything that was held goes back, and no ticket is good any more.
    pub(super) fn cut(&mut self) {
        for queue in self.queues.values_mut() {
            queue.give_back(|_| true);
        }
    }

    fn queue_row(&self, name: &Arc<str>, queue: &Queue) -> Channel {
        let sizes = queue.ready.iter().chain(queue.held.values().map(|held| &held.entry)).map(|entry| entry.message.size() as u64);
        Channel {
            kind: "queue",
            can: Caps { peek: true, hold: true, publish: true, ..Caps::default() },
            depth: Amount::Exactly((queue.ready.len() + queue.held.len()) as u64),
            bytes: Amount::Exactly(sizes.sum()),
            ends: None,
            parts: None,
            dead_letters_to: Some(format!("{name}.dead").into()),
            ..self.row(name, &[])
        }
    }

    fn service_row(&self, name: &Arc<str>) -> Channel {
        Channel {
            kind: "service",
            can: Caps { call: true, ..Caps::default() },
            depth: Amount::Unknown,
            bytes: Amount::Unknown,
            ends: None,
            parts: None,
            ..self.row(name, &[])
        }
    }

    /// What is known of a channel that is no topic.
    pub(super) fn described(&self, name: &str) -> Option<Description> {
        let channel = match self.queues.get_key_value(name) {
            Some((name, queue)) => self.queue_row(name, queue),
            None => self.service_row(self.services.get(name)?),
        };
        Some(Description { channel, tables: Vec::new() })
    }

    pub(super) fn known_queue(&mut self, op: &'static str, name: &str) -> Result<&mut Queue, Fault> {
        if !self.queues.contains_key(name) {
            return Err(self.otherwise(op, name, "queue"));
        }
        Ok(self.queue(name))
    }

    pub(super) fn settle(&mut self, name: &str, number: u64, settlement: &Settlement) -> Result<(), Fault> {
        let (now, patience) = (self.now(), self.patience);
        let target = format!("{}/{name}", self.integration.name);
        let lost = |cause: &str| Fault::new(Kind::Lost, "settle in", target.clone(), cause).next("receive it again");
        let queue = self.known_queue("settle in", name)?;
        queue.give_back(|held| held.is_over(now));
        let mut held =
            queue.held.remove(&number).ok_or_else(|| lost("it is not held any more: its time was over, or its connection is gone"))?;
        let argument = |id: &str| settlement.arguments.iter().find(|(name, _)| name == id).map(|(_, value)| value.as_str());
        match settlement.effect {
            Effect::Ack => {}
            Effect::Extend => {
                held.until = until(now, patience);
                queue.held.insert(number, held);
            }
            Effect::Requeue => {
                let delay = argument("delay").and_then(|delay| delay.parse::<i64>().ok()).unwrap_or(0);
                held.entry.due = Timestamp(now.0 + delay * 1_000);
                queue.ready.push_front(held.entry);
            }
            Effect::Reject => {
                let Message { key, mut headers, payload, .. } = held.entry.message;
                if let Some(reason) = argument("reason") {
                    headers.push(Header { name: Bytes::from_static(b"x-reason"), value: Some(Bytes::from(reason.to_owned())) });
                }
                self.store(&format!("{name}.dead"), None, Outgoing { key, headers, payload, ..Outgoing::default() });
            }
        }
        Ok(())
    }
}

pub(super) fn until(now: Timestamp, patience: Option<Duration>) -> Option<Timestamp> {
    patience.map(|patience| Timestamp(now.0 + i64::try_from(patience.as_millis()).unwrap_or(i64::MAX)))
}
