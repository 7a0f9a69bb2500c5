//! A whole system in memory, for tests and faults: logs with partitions that can be listed, tailed, read and written, and that can
//! refuse, hang, dawdle, break off, forget and rot on command. Its clock is tokio's, so that a paused clock makes it deterministic.

mod groups;
mod manage;
mod read;
mod state;
mod tail;
mod transact;
mod write;

use super::Adapter;
use super::session::Session;
use crate::config::profile::Integration;
use crate::domain::fault::{Fault, Kind};
use crate::domain::message::{Message, Outgoing};
use crate::domain::position::Position;
use crate::domain::time::Timestamp;
use state::State;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

pub(super) const ADAPTER: Adapter = Adapter {
    name: "memory",
    title: "Memory",
    schemes: &[],
    kinds: &["topic"],
    connect: |integration, _log| Box::pin(async move { Ok(Memory::of(integration)?.session()) }),
};

/// What is wrong with the system.
#[derive(Clone, Debug, PartialEq)]
pub enum Trouble {
    /// Every call fails with this.
    Refuse(Fault),
    /// No call is answered until the trouble is over.
    Hang,
    /// Every call is answered so much later.
    Delay(Duration),
    /// The connection is gone: calls fail as unreachable and tails are interrupted; they resume when it is over.
    Cut,
}

/// The system. Cloning shares it.
#[derive(Clone)]
pub struct Memory {
    state: Arc<Mutex<State>>,
    /// Counts up with every change; whoever waits for one listens here.
    changes: watch::Sender<u64>,
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

impl Memory {
    /// An empty system with the integration name `memory`. Its clock starts at 2026-02-05T10:00:00Z.
    pub fn new() -> Self {
        Self::with(Integration::new("memory", "memory", Vec::new()))
    }

    /// An empty system behind that integration: its name and tenant patterns are used.
    pub fn with(integration: Integration) -> Self {
        Self { state: Arc::new(Mutex::new(State::new(integration))), changes: watch::Sender::new(0) }
    }

    /// The system of a profile, with the channels of its setting `topics = "orders:3, audit:1"`.
    fn of(integration: Integration) -> Result<Self, Fault> {
        let topics = integration.settings.get("topics").map(|setting| setting.value.expose().to_owned()).unwrap_or_default();
        let memory = Self::with(integration);
        for topic in topics.split(',').map(str::trim).filter(|topic| !topic.is_empty()) {
            let (name, partitions) = topic.split_once(':').unwrap_or((topic, "1"));
            let partitions = partitions.parse().ok().filter(|n| (1..=1_000).contains(n)).ok_or_else(|| {
                Fault::new(Kind::Usage, "read settings of", "memory", format!("topics: `{topic}` is not NAME:PARTITIONS"))
            })?;
            memory.create(name, partitions);
        }
        Ok(memory)
    }

    /// Adds an empty channel; an existing one stays as it is.
    pub fn create(&self, channel: &str, partitions: usize) {
        self.change(|state| state.create(channel, partitions));
    }

    /// A session with every handle, as a connected adapter gives it.
    pub fn session(&self) -> Session {
        let handle = Arc::new(self.clone());
        Session {
            tail: Some(handle.clone()),
            history: Some(handle.clone()),
            groups: Some(handle.clone()),
            publish: Some(handle.clone()),
            manage: Some(handle.clone()),
            transact: Some(handle.clone()),
            ..Session::new(handle)
        }
    }

    /// Stores a message at once, whatever the trouble, creating the channel (one partition) if there is none.
    pub fn publish_now(&self, channel: &str, message: Outgoing) -> Position {
        self.change(|state| {
            state.create(channel, 1);
            state.store(channel, None, message)
        })
    }

    /// As [`Memory::publish_now`], into a partition; it has to exist.
    pub fn publish_to(&self, channel: &str, partition: usize, message: Outgoing) -> Position {
        self.change(|state| state.store(channel, Some(partition), message))
    }

    /// Everything that a channel holds, partition by partition.
    pub fn stored(&self, channel: &str) -> Vec<Message> {
        self.state().held(channel)
    }

    /// Puts the system in trouble until [`Memory::heal`]; a later trouble replaces an earlier one.
    pub fn fault(&self, trouble: Trouble) {
        self.change(|state| state.trouble = Some(trouble));
    }

    /// Ends the trouble. What was forbidden, deleted or damaged stays so.
    pub fn heal(&self) {
        self.change(|state| state.trouble = None);
    }

    /// Refuses everything about one channel, and leaves it out of the list.
    pub fn forbid(&self, channel: &str) {
        self.change(|state| state.forbidden.insert(channel.into()));
    }

    /// Deletes what stands before `offset`, as retention does.
    pub fn delete_before(&self, channel: &str, partition: usize, offset: i64) {
        self.change(|state| state.delete_before(channel, partition, offset));
    }

    /// Damages one message: reading fails there, and goes on behind it.
    pub fn damage(&self, channel: &str, partition: usize, offset: i64) {
        self.change(|state| state.damaged.insert((channel.into(), partition as i32, offset)));
    }

    /// What the system's clock shows.
    pub fn now(&self) -> Timestamp {
        self.state().now()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let out = change(&mut self.state());
        self.changes.send_modify(|count| *count += 1);
        out
    }

    /// Lets a call pass as the trouble demands.
    async fn pass(&self, op: &'static str, target: &str) -> Result<(), Fault> {
        let mut changes = self.changes.subscribe();
        loop {
            changes.mark_unchanged();
            let trouble = self.state().trouble.clone();
            match trouble {
                None => return Ok(()),
                Some(Trouble::Refuse(fault)) => return Err(fault),
                Some(Trouble::Cut) => return Err(gone(op, target)),
                Some(Trouble::Delay(time)) => {
                    tokio::time::sleep(time).await;
                    return Ok(());
                }
                // The sender lives in `self`, so that this cannot fail while the call waits.
                Some(Trouble::Hang) => drop(changes.changed().await),
            }
        }
    }
}

fn gone(op: &'static str, target: &str) -> Fault {
    Fault::new(Kind::Unreachable, op, target, "the connection is cut").next("it is tried again")
}

#[cfg(test)]
mod tests;
