//! Groups in memory: made, joined and moved on by tests.

use super::Memory;
use super::state::{State as System, StoredGroup};
use crate::adapters::session::Groups;
use crate::domain::fault::{Fault, Kind};
use crate::domain::group::{Group, GroupDescription, GroupOffset, Listing, Mark, Member, Stamped, State, lag, next_in};
use crate::domain::text::SafeText;
use async_trait::async_trait;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

impl Memory {
    /// Sets the next position of a group in a partition, whatever the trouble; a group that does not exist is made.
    pub fn commit(&self, group: &str, channel: &str, partition: i32, offset: i64) {
        self.change(|state| stored(state, group).commits.insert((channel.into(), partition), offset));
    }

    /// Where a group stands, by channel and partition.
    pub fn committed(&self, group: &str) -> BTreeMap<(Arc<str>, i32), i64> {
        self.state().groups.get(group).map(|group| group.commits.clone()).unwrap_or_default()
    }

    /// Adds a member, or replaces the one of the same id.
    pub fn join(&self, group: &str, member: Member) {
        self.change(|state| {
            let members = &mut stored(state, group).members;
            members.retain(|known| known.id != member.id);
            members.push(member);
        });
    }

    /// Takes a member away; the group stays.
    pub fn leave(&self, group: &str, member: &str) {
        self.change(|state| stored(state, group).members.retain(|known| known.id.as_str() != member));
    }

    /// Lets the group claim this state; with `None` its members tell.
    pub fn claim(&self, group: &str, claimed: Option<State>) {
        self.change(|state| stored(state, group).state = claimed);
    }

    /// Forgets a group and its positions.
    pub fn forget(&self, group: &str) {
        self.change(|state| state.groups.remove(group));
    }
}

fn stored<'a>(state: &'a mut System, group: &str) -> &'a mut StoredGroup {
    state.groups.entry(group.into()).or_default()
}

#[async_trait]
impl Groups for Memory {
    async fn groups(&self) -> Result<Listing, Fault> {
        self.pass("list groups of", "memory").await?;
        let state = self.state();
        let names: BTreeSet<&Arc<str>> = state.groups.keys().chain(&state.integration.groups).collect();
        Ok(Listing { groups: names.into_iter().map(|name| row(&state, name)).collect(), gaps: Vec::new() })
    }

    async fn group_offsets(&self, groups: &[Arc<str>]) -> Result<Vec<Result<Vec<GroupOffset>, Fault>>, Fault> {
        self.pass("read the positions of", "memory").await?;
        let state = self.state();
        let group_offsets = |group: &Arc<str>| {
            let group = known("read the positions of", &state, group)?;
            let mut places: BTreeMap<_, Option<SafeText>> = group.commits.keys().map(|place| (place.clone(), None)).collect();
            for member in &group.members {
                let owned = member.assignment.iter();
                let owned = owned.flat_map(|(channel, partitions)| partitions.iter().map(|partition| (Arc::clone(channel), *partition)));
                places.extend(owned.map(|place| (place, Some(member.id.clone()))));
            }
            Ok(places.into_iter().map(|(place, owner)| group_offset(&state, group, place, owner)).collect())
        };
        Ok(groups.iter().map(group_offsets).collect())
    }

    async fn describe(&self, group: &str) -> Result<GroupDescription, Fault> {
        self.pass("describe group", group).await?;
        let state = self.state();
        let members = known("describe group", &state, group)?.members.clone();
        Ok(GroupDescription { group: row(&state, &group.into()), members })
    }

    async fn timestamps(&self, marks: &[Mark]) -> Vec<Stamped> {
        const OP: &str = "read the time at";
        let passed = self.pass(OP, "memory").await;
        let state = self.state();
        let stamp = |mark: &Mark| {
            passed.clone()?;
            let parts = state.parts(OP, &mark.channel)?;
            let place = mark.in_partition().ok_or_else(|| Fault::new(Kind::Usage, OP, &*mark.channel, "this is no place in a topic"));
            let (partition, offset) = place?;
            let part = usize::try_from(partition).ok().and_then(|partition| parts.get(partition));
            let part = part.ok_or_else(|| Fault::new(Kind::NotFound, OP, &*mark.channel, "there is no such partition"))?;
            if let Some(fault) = state.damage_at(&mark.channel, partition, offset) {
                return Err(fault);
            }
            Ok(part.from(offset, 1).first().and_then(|message| message.timestamp))
        };
        marks.iter().map(stamp).collect()
    }
}

fn known<'a>(op: &'static str, state: &'a System, group: &str) -> Result<&'a StoredGroup, Fault> {
    state.groups.get(group).ok_or_else(|| Fault::new(Kind::NotFound, op, group, "there is no such group").next("check the spelling"))
}

fn row(state: &System, name: &Arc<str>) -> Group {
    let group = known("describe group", state, name);
    let members = group.as_ref().ok().map(|group| group.members.len() as u32);
    let said = match &group {
        Err(_) => State::Unknown,
        Ok(StoredGroup { state: Some(claimed), .. }) => *claimed,
        Ok(_) if members == Some(0) => State::Empty,
        Ok(_) => State::Stable,
    };
    Group { members, named: group.is_err(), fault: group.err(), ..Group::new(Arc::clone(name), "classic", said) }
}

fn group_offset(state: &System, group: &StoredGroup, place: (Arc<str>, i32), owner: Option<SafeText>) -> GroupOffset {
    const OP: &str = "look up offsets of";
    let committed = group.commits.get(&place).copied();
    let (channel, partition) = place;
    let part = state.parts(OP, &channel).and_then(|parts| {
        let part = usize::try_from(partition).ok().and_then(|partition| parts.get(partition));
        part.ok_or_else(|| Fault::new(Kind::NotFound, OP, &*channel, "there is no such partition"))
    });
    let (start, end) = (part.as_ref().ok().map(|part| part.start), part.as_ref().ok().map(|part| part.end()));
    GroupOffset {
        partition: Some(partition),
        committed,
        start,
        end,
        next: next_in(partition, committed, start, end),
        held_at: None,
        lag: lag(committed, start, end),
        owner,
        fault: part.err(),
        channel,
        ..GroupOffset::default()
    }
}
