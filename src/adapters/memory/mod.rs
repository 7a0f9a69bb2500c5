//! A whole system in memory, for tests and faults: logs with partitions that can be listed, tailed, read and written, queues that
//! are held and settled, services that answer; all of it can
//! refuse, hang, dawdle, break off, forget and rot on command. Its clock is tokio's, so that a paused clock makes it deterministic.

mod groups;
mod letters;
mod manage;
mod queue;
mod read;
mod service;
mod state;
mod tail;
mod transact;
mod write;

use super::Adapter;
use super::session::Session;
use crate::config::profile::Integration;
use crate::config::rules::{self, Rule, Takes};
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
    settings: Some(RULES),
    check: None,
    log_ins: &["none"],
    kinds: &["topic"],
    operations: manage::OPERATIONS,
    connect: |integration, _log| Box::pin(async move { Ok(Memory::of(integration)?.session()) }),
};

/// What a profile's `config` block may hold.
const RULES: &[Rule] = &[
    Rule::new("topics", Takes::Checked(|text| numbered("topics", text, 1, 1).map(drop).map_err(|_| NUMBERED))),
    Rule::new("queues", Takes::Checked(|text| numbered("queues", text, 0, 0).map(drop).map_err(|_| NUMBERED))),
    Rule::new("services", Takes::Checked(|text| numbered("services", text, 0, 0).map(drop).map_err(|_| NUMBERED))),
    Rule::new("patience", Takes::Number(0, 86_400)),
];
const NUMBERED: &str = "expected NAME:NUMBER, several with commas between them";

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

    /// The system of a profile, with the channels of its settings: `topics = "orders:3, audit:1"` with their partitions,
    /// `queues = "tasks:5"` with as many messages made up, `services = "echo"`, and `patience = "30"`, the seconds that a message of
    /// a queue may be held.
    fn of(integration: Integration) -> Result<Self, Fault> {
        let said = |name: &str| integration.settings.get(name).map(|setting| setting.value.expose().to_owned()).unwrap_or_default();
        let (topics, queues, services, patience) = (said("topics"), said("queues"), said("services"), said("patience"));
        rules::verify(&integration, "Memory", RULES)?;
        let memory = Self::with(integration);
        for (name, partitions) in numbered("topics", &topics, 1, 1)? {
            memory.create(name, partitions);
        }
        for (name, messages) in numbered("queues", &queues, 0, 0)? {
            memory.queue(name);
            for n in 1..=messages {
                memory.publish_now(name, Outgoing { payload: Some(format!("{{\"task\":{n}}}").into()), ..Outgoing::default() });
            }
        }
        for (name, _) in numbered("services", &services, 0, 0)? {
            memory.service(name);
        }
        memory.hold_for(patience.parse().ok().map(Duration::from_secs));
        Ok(memory)
    }

    /// Adds an empty queue; an existing one stays as it is.
    pub fn queue(&self, name: &str) {
        self.change(|state| _ = state.queue(name));
    }

    /// Adds a service.
    pub fn service(&self, name: &str) {
        self.change(|state| state.services.insert(name.into()));
    }

    /// How long a message of a queue may be held before it goes back by itself; `None`: for ever.
    pub fn hold_for(&self, patience: Option<Duration>) {
        self.change(|state| state.patience = patience);
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
            peek: Some(handle.clone()),
            groups: Some(handle.clone()),
            dead_letters: Some(handle.clone()),
            hold: Some(handle.clone()),
            call: Some(handle.clone()),
            publish: Some(handle.clone()),
            manage: Some(handle.clone()),
            transact: Some(handle.clone()),
            ..Session::new(handle)
        }
    }

    /// Stores a message at once, whatever the trouble, creating the channel (one partition) if there is none; a queue has no positions.
    pub fn publish_now(&self, channel: &str, message: Outgoing) -> Position {
        self.change(|state| {
            if state.enqueue(channel, &message) {
                return Position::Arrival(0);
            }
            state.create(channel, 1);
            state.store(channel, None, message)
        })
    }

    /// Everything that a channel holds, partition by partition.
    pub fn stored(&self, channel: &str) -> Vec<Message> {
        self.state().held(channel)
    }

    /// Puts the system in trouble until [`Memory::heal`]; a later trouble replaces an earlier one.
    pub fn fault(&self, trouble: Trouble) {
        self.change(|state| {
            if trouble == Trouble::Cut {
                state.cut();
            }
            state.trouble = Some(trouble);
        });
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

    /// A change that nobody waits for.
    fn quietly<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state())
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

/// Reads `NAME:NUMBER, NAME, …`; a number left out is `default`.
fn numbered<'t>(setting: &str, text: &'t str, default: usize, least: usize) -> Result<Vec<(&'t str, usize)>, Fault> {
    let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    let wrong = |entry| Fault::new(Kind::Usage, "read settings of", "memory", format!("{setting}: `{entry}` is not NAME:NUMBER"));
    let read = |entry: &'t str| match entry.split_once(':') {
        None => Ok((entry, default)),
        Some((name, number)) => Ok((name, number.parse().ok().filter(|n| (least..=1_000).contains(n)).ok_or_else(|| wrong(entry))?)),
    };
    entries.map(read).collect()
}

fn gone(op: &'static str, target: &str) -> Fault {
    Fault::new(Kind::Unreachable, op, target, "the connection is cut").next("it is tried again")
}

#[cfg(test)]
mod tests;
