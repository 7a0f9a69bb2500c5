//! Queues in memory: messages given out by tickets, settled, given back, and dead-lettered; they forget who held what when the
//! connection is cut, as brokers do.

use super::{Memory, gone, state::State};
use crate::adapters::session::{Hold, Holding, Looked, Peek};
use crate::domain::channel::{Caps, Channel, Cost, Description};
use crate::domain::delivery::{Delivery, Effect, Given, Settlement, Settles, Ticket, Verb};
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
    held: BTreeMap<Ticket, Held>,
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
    /// When it is given back by itself.
    until: Option<Timestamp>,
}

impl Queue {
    /// Gives back what was held for too long, or everything.
    fn give_back(&mut self, now: Option<Timestamp>) -> usize {
        let over = |held: &Held| now.is_none_or(|now| held.until.is_some_and(|until| until <= now));
        let tickets: Vec<Ticket> = self.held.iter().filter(|(_, held)| over(held)).map(|(ticket, _)| *ticket).collect();
        // The last one first, so that they stand at the head in the order in which they were taken.
        for held in tickets.iter().rev().filter_map(|ticket| self.held.remove(ticket)) {
            self.ready.push_front(held.entry);
        }
        tickets.len()
    }

    /// The first message that is due.
    fn take(&mut self, now: Timestamp) -> Option<Entry> {
        let at = self.ready.iter().position(|entry| entry.due <= now)?;
        self.ready.remove(at)
    }
}

impl Entry {
    fn delivery(&self, ticket: Option<Ticket>, number: u64) -> Delivery {
        let message = Message { position: Position::Arrival(number), ..self.message.clone() };
        Delivery { ticket, message, deliveries: Some(self.deliveries), redelivered: self.deliveries > 1 }
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
        self.epoch += 1;
        for queue in self.queues.values_mut() {
            queue.give_back(None);
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

    fn settle(&mut self, name: &str, ticket: Ticket, settlement: &Settlement) -> Result<(), Fault> {
        let (now, epoch, patience) = (self.now(), self.epoch, self.patience);
        let target = format!("{}/{name}", self.integration.name);
        let lost = |cause: &str| Fault::new(Kind::Lost, "settle in", target.clone(), cause).next("receive it again");
        let queue = self.known_queue("settle in", name)?;
        queue.give_back(Some(now));
        if ticket.epoch != epoch {
            return Err(lost("the connection that it came by is gone: it went back to the queue"));
        }
        let mut held = queue.held.remove(&ticket).ok_or_else(|| lost("it is not held any more: it was settled, or its time was over"))?;
        let argument = |id: &str| settlement.arguments.iter().find(|(name, _)| name == id).map(|(_, value)| value.as_str());
        match settlement.effect {
            Effect::Ack => {}
            Effect::Extend => {
                held.until = until(now, patience);
                queue.held.insert(ticket, held);
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
                entry.delivery(None, number as u64 + 1)
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

    async fn hold(&self, channel: &str, most: u32) -> Result<Box<dyn Holding>, Fault> {
        self.pass("receive from", channel).await?;
        self.state().known_queue("receive from", channel)?;
        Ok(Box::new(Receiving {
            memory: self.clone(),
            channel: channel.into(),
            most: most as usize,
            tickets: Vec::new(),
            count: 0,
            told: false,
            epoch: self.state().epoch,
        }))
    }
}

/// One receiver.
struct Receiving {
    memory: Memory,
    channel: Arc<str>,
    most: usize,
    /// What this receiver was given; those settled or lost are found out when the next message is asked for.
    tickets: Vec<Ticket>,
    count: u64,
    /// That the connection is cut was said.
    told: bool,
    /// The connection of which [`Holding::connection_lost`] has not said yet that it is cut.
    epoch: u64,
}

impl Receiving {
    /// The next message if there is one for us now, else when to look again.
    fn take(&mut self) -> Result<Delivery, Option<Duration>> {
        let (channel, most) = (self.channel.clone(), self.most);
        let (tickets, count) = (&mut self.tickets, &mut self.count);
        self.memory.quietly(|state| {
            let (now, epoch, patience) = (state.now(), state.epoch, state.patience);
            state.next_ticket += 1;
            let ticket = Ticket { epoch, id: state.next_ticket };
            let queue = state.queue(&channel);
            queue.give_back(Some(now));
            tickets.retain(|ticket| queue.held.contains_key(ticket));
            let taken = if tickets.len() < most { queue.take(now) } else { None };
            let Some(mut entry) = taken else {
                let due = queue.ready.iter().map(|entry| entry.due).filter(|due| *due > now);
                let next = due.chain(queue.held.values().filter_map(|held| held.until)).min();
                return Err(next.map(|next| next.since(now)));
            };
            entry.deliveries += 1;
            *count += 1;
            let delivery = entry.delivery(Some(ticket), *count);
            queue.held.insert(ticket, Held { entry, until: until(now, patience) });
            tickets.push(ticket);
            Ok(delivery)
        })
    }

    fn give_back(&mut self) -> usize {
        let (channel, tickets) = (self.channel.clone(), std::mem::take(&mut self.tickets));
        self.memory.change(|state| {
            let queue = state.queue(&channel);
            let back: Vec<Held> = tickets.iter().rev().filter_map(|ticket| queue.held.remove(ticket)).collect();
            let count = back.len();
            for held in back {
                queue.ready.push_front(held.entry);
            }
            count
        })
    }
}

#[async_trait]
impl Holding for Receiving {
    async fn next(&mut self) -> Option<Result<Delivery, Fault>> {
        let mut changes = self.memory.changes.subscribe();
        loop {
            changes.mark_unchanged();
            match self.memory.pass("receive from", &self.channel).await {
                Ok(()) => self.told = false,
                Err(fault) if !self.told => {
                    self.told = true;
                    return Some(Err(fault));
                }
                Err(_) => {
                    let _ = changes.changed().await;
                    continue;
                }
            }
            let wait = match self.take() {
                Ok(delivery) => return Some(Ok(delivery)),
                Err(wait) => wait.unwrap_or(Duration::from_secs(3_600)),
            };
            // Whatever ends the wait: it is looked again.
            let _ = tokio::time::timeout(wait, changes.changed()).await;
        }
    }

    async fn resumed(&mut self) -> Option<Result<(), Fault>> {
        let mut changes = self.memory.changes.subscribe();
        loop {
            changes.mark_unchanged();
            if self.memory.pass("receive from", &self.channel).await.is_ok() {
                self.told = false;
                return Some(Ok(()));
            }
            let _ = changes.changed().await;
        }
    }

    async fn connection_lost(&mut self) -> Fault {
        let mut changes = self.memory.changes.subscribe();
        loop {
            changes.mark_unchanged();
            if self.memory.state().epoch != self.epoch {
                self.epoch = self.memory.state().epoch;
                return gone("hold messages of", &self.channel);
            }
            let _ = changes.changed().await;
        }
    }

    fn is_lost(&self, ticket: Ticket) -> bool {
        ticket.epoch != self.memory.state().epoch
    }

    async fn settle(&mut self, ticket: Ticket, settlement: &Settlement) -> Result<(), Fault> {
        self.memory.pass("settle in", &self.channel).await?;
        self.memory.change(|state| state.settle(&self.channel, ticket, settlement))
    }

    async fn release(mut self: Box<Self>) -> Result<String, Fault> {
        if self.memory.state().trouble == Some(super::Trouble::Cut) {
            return Err(gone("give back to", &self.channel));
        }
        Ok(match self.give_back() {
            0 => "nothing was left to give back".to_owned(),
            1 => format!("1 message went back to the head of {} and counts as redelivered", self.channel),
            n => format!("{n} messages went back to the head of {} and count as redelivered", self.channel),
        })
    }
}

impl Drop for Receiving {
    fn drop(&mut self) {
        self.give_back();
    }
}
