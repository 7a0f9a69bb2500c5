//! Transactions in memory: names that fence each other off, groups whose members share the partitions, and one change of the state
//! for all that a transaction does.

use super::read::{after, readable};
use super::write::checked_partition;
use super::{Memory, state::State};
use crate::adapters::session::{Transact, Transaction};
use crate::domain::fault::{Fault, Kind};
use crate::domain::group::{Mark, Member, Source};
use crate::domain::message::{Message, Outgoing};
use crate::domain::text::SafeText;
use async_trait::async_trait;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

type Place = (Arc<str>, i32);

#[async_trait]
impl Transact for Memory {
    async fn begin(&self, name: &str, source: Option<Source>) -> Result<Box<dyn Transaction>, Fault> {
        const OP: &str = "begin transactions as";
        self.pass(OP, name).await?;
        for channel in source.iter().flat_map(|source| &source.channels) {
            self.state().parts(OP, channel)?;
        }
        let epoch = self.change(|state| {
            if let Some(source) = &source {
                let members = &mut state.groups.entry(source.group.clone()).or_default().members;
                if !members.iter().any(|member| member.id.as_str() == name) {
                    members.push(Member { id: name.into(), client: "mqdeck".into(), host: "memory".into(), assignment: Vec::new() });
                }
            }
            let epoch = state.names.entry(name.to_owned()).or_default();
            *epoch += 1;
            *epoch
        });
        let open = Open::default();
        Ok(Box::new(Session {
            memory: self.clone(),
            name: name.to_owned(),
            epoch,
            source,
            generation: Vec::new(),
            next: BTreeMap::new(),
            open,
        }))
    }
}

struct Session {
    memory: Memory,
    name: String,
    epoch: u64,
    source: Option<Source>,
    /// The members of the group when our partitions were given to us.
    generation: Vec<SafeText>,
    /// Our partitions, and what is read next of each.
    next: BTreeMap<Place, i64>,
    open: Open,
}

/// What the open transaction will do.
#[derive(Default)]
struct Open {
    messages: Vec<(Arc<str>, Option<usize>, Outgoing)>,
    /// First and next offset of what was taken.
    taken: BTreeMap<Place, (i64, i64)>,
    positions: Vec<(Arc<str>, Mark)>,
}

impl Session {
    fn fault(&self, kind: Kind, op: &'static str, cause: &str) -> Fault {
        Fault::new(kind, op, format!("memory as {}", self.name), cause)
    }

    fn is_ours(&self, state: &State, op: &'static str) -> Result<(), Fault> {
        if state.names.get(&self.name) == Some(&self.epoch) {
            return Ok(());
        }
        Err(self.fault(Kind::Lost, op, "fenced: another session has begun transactions under this name").next("see who else uses the name"))
    }

    fn members(state: &State, source: &Source) -> Vec<SafeText> {
        let members = state.groups.get(&source.group).map_or(&[][..], |group| &group.members);
        members.iter().map(|member| member.id.clone()).collect()
    }

    fn has_our_generation(&self, state: &State) -> bool {
        self.source.as_ref().is_none_or(|source| Self::members(state, source) == self.generation)
    }

    /// Takes note of what the group gives us now; whether something went to others that the transaction had taken from.
    fn rebalance(&mut self, state: &State, source: &Source) -> Result<bool, Fault> {
        let members = Self::members(state, source);
        if members == self.generation {
            return Ok(false);
        }
        let mut all = Vec::new();
        for channel in &source.channels {
            let parts = state.parts("consume", channel)?;
            all.extend(parts.iter().enumerate().map(|(number, part)| ((channel.clone(), number as i32), part.start)));
        }
        let us = members.iter().position(|name| name.as_str() == self.name);
        let ours = all.into_iter().enumerate().filter(|(number, _)| us.is_some_and(|us| number % members.len() == us));
        let commits = state.groups.get(&source.group).map(|group| &group.commits);
        let committed = |place: &Place, start: i64| commits.and_then(|commits| commits.get(place)).map_or(start, |next| start.max(*next));
        let old = std::mem::take(&mut self.next);
        self.next =
            ours.map(|(_, (place, start))| (place.clone(), old.get(&place).copied().unwrap_or_else(|| committed(&place, start)))).collect();
        self.generation = members;
        Ok(self.open.taken.keys().any(|place| !self.next.contains_key(place)))
    }

    fn look(&mut self, source: &Source, most: usize) -> Result<Vec<Message>, Fault> {
        const OP: &str = "consume as";
        let memory = self.memory.clone();
        let state = memory.state();
        self.is_ours(&state, OP)?;
        if self.rebalance(&state, source)? {
            self.undo();
            let cause = "the group has given our partitions to others meanwhile; the transaction was aborted: nothing of it took effect";
            return Err(self.fault(Kind::Timeout, OP, cause).next("what was taken comes again, here or there"));
        }
        let mut messages = Vec::new();
        for (place, next) in &mut self.next {
            let read = readable(&state, &place.0, place.1, *next, most - messages.len())?;
            let Some(last) = read.last() else { continue };
            let (_, end) = self.open.taken.entry(place.clone()).or_insert((*next, *next));
            (*next, *end) = (after(last.position), after(last.position));
            messages.extend(read);
        }
        Ok(messages)
    }

    /// Forgets the transaction and goes back to what it had taken.
    fn undo(&mut self) {
        for (place, (first, _)) in std::mem::take(&mut self.open).taken {
            self.next.entry(place).and_modify(|next| *next = first);
        }
    }
}

#[async_trait]
impl Transaction for Session {
    async fn take(&mut self, most: usize, wait: Duration) -> Result<Vec<Message>, Fault> {
        let Some(source) = self.source.clone() else {
            return Err(self.fault(Kind::Usage, "consume as", "the session was begun without a source"));
        };
        let (until, mut changes) = (Instant::now() + wait, self.memory.changes.subscribe());
        loop {
            changes.mark_unchanged();
            self.memory.pass("consume as", &self.name).await?;
            let messages = self.look(&source, most)?;
            if !messages.is_empty() || timeout_at(until, changes.changed()).await.is_err() {
                return Ok(messages);
            }
        }
    }

    async fn publish(&mut self, channel: &str, message: Outgoing) -> Result<(), Fault> {
        self.memory.pass("publish to", channel).await?;
        let state = self.memory.state();
        self.is_ours(&state, "publish to")?;
        let partition = checked_partition(&state, channel, &message)?;
        drop(state);
        self.open.messages.push((channel.into(), partition, message));
        Ok(())
    }

    async fn consumed(&mut self, group: &str, positions: &[Mark]) -> Result<(), Fault> {
        self.is_ours(&self.memory.state(), "consume as")?;
        self.open.positions.extend(positions.iter().map(|mark| (group.into(), mark.clone())));
        Ok(())
    }

    async fn commit(&mut self) -> Result<(), Fault> {
        const OP: &str = "commit the transaction of";
        self.memory.pass(OP, &self.name).await?;
        let memory = self.memory.clone();
        let outcome = memory.change(|state| {
            self.is_ours(state, OP)?;
            if !self.open.taken.is_empty() && !self.has_our_generation(state) {
                return Err(self.fault(Kind::Timeout, OP, "the group has given our partitions to others meanwhile"));
            }
            let open = std::mem::take(&mut self.open);
            for (channel, partition, message) in open.messages {
                state.store(&channel, partition, message);
            }
            let ours = self.source.as_ref().map(|source| &source.group);
            let taken = open.taken.into_iter().filter_map(|(place, (_, next))| Some((ours?.clone(), place, next)));
            let noted = open.positions.into_iter().filter_map(|(group, mark)| {
                let (partition, next) = mark.in_partition()?;
                Some((group, (mark.channel, partition), next))
            });
            for (group, place, next) in taken.chain(noted) {
                state.groups.entry(group).or_default().commits.insert(place, next);
            }
            Ok(())
        });
        if outcome.is_err() {
            self.undo();
        }
        outcome
    }

    async fn abort(&mut self) -> Result<(), Fault> {
        const OP: &str = "abort the transaction of";
        self.memory.pass(OP, &self.name).await?;
        self.is_ours(&self.memory.state(), OP)?;
        self.undo();
        Ok(())
    }

    async fn end(mut self: Box<Self>) -> Result<(), Fault> {
        self.abort().await
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.memory.change(|state| {
            let last = state.names.get(&self.name) == Some(&self.epoch);
            if let Some(source) = self.source.as_ref().filter(|_| last) {
                let group = state.groups.entry(source.group.clone()).or_default();
                group.members.retain(|member| member.id.as_str() != self.name);
            }
        });
    }
}
