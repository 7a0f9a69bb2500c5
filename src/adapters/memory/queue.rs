//! Queues in memory: messages given out by tickets, settled, given back, and dead-lettered; they forget who held what when the
//! connection is cut, as brokers do.

use super::state::{Entry, Held, until};
use super::{Memory, gone};
use crate::adapters::session::{Came, Closed, Handle, Hold, Holding, Looked, Peek};
use crate::domain::channel::Cost;
use crate::domain::delivery::{Effect, Given, Settlement, Settles, Verb};
use crate::domain::fault::Fault;
use crate::domain::figure::several;
use crate::domain::operation::Field;
use async_trait::async_trait;
use std::sync::Arc;
use std::time::Duration;

const DELAY: Field = Field::number("delay", "Delay", "seconds until it is given out again; at once if missing", 0, 86_400);
const REASON: Field = Field::text("reason", "Reason", "kept in the header x-reason");

static VERBS: [Verb; 4] = [
    Verb::new(Effect::Ack, "ack", "done: it is gone"),
    Verb::new(Effect::Requeue, "requeue", "back to the head of the queue").asks(&[DELAY]),
    Verb::new(Effect::Reject, "reject", "refused for good: to the topic NAME.dead").asks(&[REASON]),
    Verb::new(Effect::Extend, "extend", "the time to decide begins anew"),
];

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
