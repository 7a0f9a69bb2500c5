//! Queues in memory: messages given out by tickets, settled, given back, and dead-lettered; they forget who held what when the
//! connection is cut, as brokers do.

use super::{Memory, gone, state::State};
use crate::adapters::session::{Came, Closed, Handle, Hold, Holding, Looked, Peek};
use crate::domain::channel::{Caps, Channel, Cost, Description};
use crate::domain::delivery::{Delivery, Effect, Given, Settlement, Settles, Verb};
use crate::domain::fault::{Fault, Kind};
use crate::domain::figure::{Amount, several};
use crate::domain::message::{Header, Message, Outgoing, Stamp};
use crate::domain::operation::{Field, Input};
use crate::domain::position::Position;
use crate::domain::time::Timestamp;
use async_trait::async_trait;
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

static VERBS: [Verb; 4] = [
    Verb { effect: Effect::Ack, word: "ack", help: "done: it is gone", fields: &[] },
    Verb {
        effect: Effect::Requeue,
        word: "requeue",
        help: "back to the head of the queue",
        fields: &[Field {
            id: "delay",
            title: "Delay",
            help: "seconds until it is given out again; at once if missing",
            input: Input::Number { min: 0, max: 86_400 },
        }],
    },
    Verb {
        effect: Effect::Reject,
        word: "reject",
        help: "refused for good: to the topic NAME.dead",
        fields: &[Field { id: "reason", title: "Reason", help: "kept in the header x-reason", input: Input::Text }],
    },
    Verb { effect: Effect::Extend, word: "extend", help: "the time to decide begins anew", fields: &[] },
];

/// One queue: what waits, and what somebody holds.
#[derive(Default)]
pub(super) struct Queue {
    ready: VecDeque<Entry>,
    held: BTreeMap<u64, Held>,
}

struct Entry {
    message: Message,
    /// How many times it was given out so far.
    deliveries: u64,
    /// Not given out before.
    due: Timestamp,
}

struct Held {
    entry: Entry,
    /// Who holds it.
    receiver: u64,
    /// When it is given back by itself.
    until: Option<Timestamp>,
}

impl Held {
    fn is_over(&self, now: Timestamp) -> bool {
        self.until.is_some_and(|until| until <= now)
    }
}

impl Queue {
    /// Gives back what is held.
    fn give_back(&mut self, which: impl Fn(&Held) -> bool) -> usize {
        let back: Vec<Held> = self.held.extract_if(.., |_, held| which(held)).map(|(_, held)| held).collect();
        let count = back.len();
        // The last one first, so that they stand at the head in the order in which they were taken.
        for held in back.into_iter().rev() {
            self.ready.push_front(held.entry);
        }
        count
    }

    /// The first message that is due.
    fn take(&mut self, now: Timestamp) -> Option<Entry> {
        let at = self.ready.iter().position(|entry| entry.due <= now)?;
        self.ready.remove(at)
    }
}

impl Entry {
    fn delivery(&self, number: u64) -> Delivery {
        let message = Message { position: Position::Arrival(number), ..self.message.clone() };
        Delivery { ticket: None, message, deliveries: Some(self.deliveries), redelivered: self.deliveries > 1 }
    }
}

impl State {
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

    pub(super) fn queue_row(&self, name: &Arc<str>, queue: &Queue) -> Channel {
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

    pub(super) fn service_row(&self, name: &Arc<str>) -> Channel {
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

    fn known_queue(&mut self, op: &'static str, name: &str) -> Result<&mut Queue, Fault> {
        if !self.queues.contains_key(name) {
            return Err(self.otherwise(op, name, "queue"));
        }
        Ok(self.queue(name))
    }

    fn settle(&mut self, name: &str, number: u64, settlement: &Settlement) -> Result<(), Fault> {
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

fn until(now: Timestamp, patience: Option<Duration>) -> Option<Timestamp> {
    patience.map(|patience| Timestamp(now.0 + i64::try_from(patience.as_millis()).unwrap_or(i64::MAX)))
}

#[async_trait]
impl Peek for Memory {
    async fn cost(&self, _channel: &str) -> Result<Cost, Fault> {
        Ok(Cost::Marks("a delivery of each message is counted, and it counts as redelivered from then on"))
    }

    async fn peek(&self, channel: &str, most: usize) -> Result<Looked, Fault> {
        self.pass("peek at", channel).await?;
        self.change(|state| {
            let queue = state.known_queue("peek at", channel)?;
            let look = |(number, entry): (usize, &mut Entry)| {
                entry.deliveries += 1;
                entry.delivery(number as u64 + 1)
            };
            let ready = queue.ready.len() as u64;
            let deliveries = queue.ready.iter_mut().take(most).enumerate().map(look).collect();
            Ok(Looked { deliveries, cut: false, ready: Some((ready, ready)), ..Looked::default() })
        })
    }
}

#[async_trait]
impl Hold for Memory {
    fn verbs(&self, _channel: &str) -> &'static [Verb] {
        &VERBS
    }

    async fn ack_timeout(&self, channel: &str) -> Result<Option<Duration>, Fault> {
        self.pass("describe", channel).await?;
        Ok(self.state().patience)
    }

    fn unsettled_fate(&self, _channel: &str) -> &'static str {
        "goes back to the head of the queue, and counts as redelivered"
    }

    async fn settles(&self, channel: &str, effect: Effect, given: &[Given]) -> Result<Settles, Fault> {
        let many = several(given.len() as u64, "message");
        Ok(Settles::usual(match effect {
            Effect::Ack => format!("{many} done: out of the queue"),
            Effect::Requeue => format!("{many} back to the head of the queue"),
            Effect::Reject => format!("{many} to the topic {channel}.dead"),
            Effect::Extend => "the time to decide begins anew".to_owned(),
        }))
    }

    async fn receive(&self, channel: &str, most: u32) -> Result<Box<dyn Holding>, Fault> {
        self.pass("receive from", channel).await?;
        let number = self.change(|state| {
            state.known_queue("receive from", channel)?;
            state.receivers += 1;
            Ok::<_, Fault>(state.receivers)
        })?;
        let (memory, channel, most) = (self.clone(), channel.into(), most as usize);
        Ok(Box::new(Receiving { memory, channel, most, number, count: 0, cut: false, stopped: false }))
    }
}

/// One receiver.
struct Receiving {
    memory: Memory,
    channel: Arc<str>,
    most: usize,
    /// Its own.
    number: u64,
    count: u64,
    /// That the connection is cut was said.
    cut: bool,
    stopped: bool,
}

impl Receiving {
    /// The next message if there is one for us now, else when to look again.
    fn take(&mut self) -> Result<Came, Option<Duration>> {
        let (channel, most, receiver) = (self.channel.clone(), self.most, self.number);
        let count = &mut self.count;
        self.memory.quietly(|state| {
            let (now, patience) = (state.now(), state.patience);
            state.given += 1;
            let number = state.given;
            let queue = state.queue(&channel);
            queue.give_back(|held| held.is_over(now));
            let ours = queue.held.values().filter(|held| held.receiver == receiver).count();
            let taken = if ours < most { queue.take(now) } else { None };
            let Some(mut entry) = taken else {
                let due = queue.ready.iter().map(|entry| entry.due).filter(|due| *due > now);
                let next = due.chain(queue.held.values().filter_map(|held| held.until)).min();
                return Err(next.map(|next| next.since(now)));
            };
            entry.deliveries += 1;
            *count += 1;
            let delivery = entry.delivery(*count);
            queue.held.insert(number, Held { entry, receiver, until: until(now, patience) });
            Ok(Came::Message(Some(Handle(number.into())), Box::new(delivery)))
        })
    }

    fn give_back(&self) -> usize {
        self.memory.change(|state| state.queue(&self.channel).give_back(|held| held.receiver == self.number))
    }
}

#[async_trait]
impl Holding for Receiving {
    async fn next(&mut self) -> Option<Result<Came, Fault>> {
        let mut changes = self.memory.changes.subscribe();
        loop {
            changes.mark_unchanged();
            let passed = self.memory.pass("receive from", &self.channel).await;
            let wait = match (passed, std::mem::replace(&mut self.cut, false)) {
                (Ok(()), true) => return Some(Ok(Came::Back)),
                (Ok(()), false) if self.stopped => None,
                (Ok(()), false) => match self.take() {
                    Ok(came) => return Some(Ok(came)),
                    Err(wait) => wait,
                },
                (Err(_), true) => {
                    self.cut = true;
                    None
                }
                (Err(fault), false) => {
                    self.cut = true;
                    return Some(Err(fault));
                }
            };
            // Whatever ends the wait: it is looked again.
            let _ = tokio::time::timeout(wait.unwrap_or(Duration::from_secs(3_600)), changes.changed()).await;
        }
    }

    async fn stop_receiving(&mut self) -> Result<(), Fault> {
        self.stopped = true;
        Ok(())
    }

    async fn settle(&mut self, Handle(number): Handle, settlement: &Settlement) -> Result<(), Fault> {
        self.memory.pass("settle in", &self.channel).await?;
        self.memory.change(|state| state.settle(&self.channel, number as u64, settlement))
    }

    async fn close(self: Box<Self>) -> Result<Closed, Fault> {
        if self.memory.state().trouble == Some(super::Trouble::Cut) {
            return Err(gone("give back to", &self.channel));
        }
        Ok(Closed { unsettled: Some(self.give_back() as u64), notes: Vec::new() })
    }
}

impl Drop for Receiving {
    fn drop(&mut self) {
        self.give_back();
    }
}
