//! Groups and their lag, looked at again and again: what was seen of every position is kept, in bounded memory, and judged.

use super::{Gateway, cannot};
use crate::adapters::session::Groups;
use crate::domain::fault::{Fault, Kind};
use crate::domain::figure::Amount;
use crate::domain::group::{Group, GroupOffset, Mark};
use crate::domain::lag::{Behind, Board, GroupLag, GroupView, PartitionLag, Rules, Track, judge_group};
use crate::domain::time::Timestamp;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Times asked for at once, at most.
pub const STAMPS: usize = 1_000;
/// Partitions of one group whose times are asked for a list, those with the greatest lag first.
const STAMPS_OF_A_ROW: usize = 64;
/// Times remembered; those not asked for of late are forgotten first.
const REMEMBERED: usize = 20_000;

/// What was seen, by integration.
pub(super) struct LagHistory {
    /// Time that never goes back, whatever happens to the clock.
    epoch: (Timestamp, Instant),
    rules: Rules,
    by_integration: HashMap<Arc<str>, Past>,
}

#[derive(Default)]
struct Past {
    groups: HashMap<Arc<str>, Vec<Watched>>,
    timestamps: HashMap<Mark, Timestamp>,
}

struct Watched {
    channel: Arc<str>,
    partition: Option<i32>,
    track: Track,
    /// As of the last look.
    lag: Amount,
    next: Option<Mark>,
}

impl Default for LagHistory {
    fn default() -> Self {
        let epoch = (Timestamp(jiff::Timestamp::now().as_millisecond()), Instant::now());
        Self { epoch, rules: Rules::default(), by_integration: HashMap::new() }
    }
}

impl LagHistory {
    fn now(&self) -> Timestamp {
        let (wall, began) = self.epoch;
        Timestamp(wall.0.saturating_add(i64::try_from(began.elapsed().as_millis()).unwrap_or(i64::MAX)))
    }

    fn of(&mut self, integration: &str) -> &mut Past {
        if !self.by_integration.contains_key(integration) {
            self.by_integration.insert(integration.into(), Past::default());
        }
        self.by_integration.entry(integration.into()).or_default()
    }

    /// Takes in one look at a group, and judges it.
    fn take(&mut self, integration: &str, group: &Group, group_offsets: Result<Vec<GroupOffset>, Fault>) -> (GroupLag, Vec<PartitionLag>) {
        let (now, rules) = (self.now(), self.rules);
        let group_offsets = match group_offsets {
            Ok(group_offsets) => group_offsets,
            Err(fault) => {
                for watched in self.of(integration).groups.get_mut(&group.name).into_iter().flatten() {
                    (watched.lag, watched.next) = (Amount::Unknown, None);
                }
                let group = Group { fault: Some(fault), ..group.clone() };
                let nothing = Track::default();
                return judge_group(&group, &[], |_| &nothing, now, &rules);
            }
        };
        let past = self.of(integration).groups.entry(group.name.clone()).or_default();
        align(past, &group_offsets);
        for (watched, group_offset) in past.iter_mut().zip(&group_offsets) {
            watched.track.push(now, group_offset, &rules);
        }
        let (lag, partitions) = judge_group(group, &group_offsets, |at| &past[at].track, now, &rules);
        for (watched, partition) in past.iter_mut().zip(&partitions) {
            (watched.lag, watched.next) = (partition.group_offset.lag, partition.next());
        }
        (lag, partitions)
    }
}

/// Puts the tracks into the order of the standings; what is no longer there is forgotten, what is new begins.
fn align(past: &mut Vec<Watched>, group_offsets: &[GroupOffset]) {
    let same = |watched: &Watched, group_offset: &GroupOffset| {
        watched.channel == group_offset.channel && watched.partition == group_offset.partition
    };
    if past.len() == group_offsets.len() && past.iter().zip(group_offsets).all(|(watched, group_offset)| same(watched, group_offset)) {
        return;
    }
    let mut before: HashMap<(Arc<str>, Option<i32>), Track> =
        past.drain(..).map(|watched| ((watched.channel, watched.partition), watched.track)).collect();
    past.extend(group_offsets.iter().map(|group_offset| {
        let key = (group_offset.channel.clone(), group_offset.partition);
        let track = before.remove(&key).unwrap_or_default();
        Watched { channel: key.0, partition: key.1, track, lag: Amount::Unknown, next: None }
    }));
}

impl Gateway {
    fn lag_history(&self) -> MutexGuard<'_, LagHistory> {
        self.lag_history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What knows the groups of an integration; `None` where a system has none.
    async fn groups_of(&self, integration: &str) -> Result<Option<Arc<dyn Groups>>, Fault> {
        Ok(self.reading(integration).await?.groups)
    }

    /// Looks at every group of an integration; `None` where its system has no groups.
    pub async fn lags(&self, integration: &str) -> Result<Option<Board>, Fault> {
        let Some(table) = self.lag_table(integration).await? else { return Ok(None) };
        let (groups, gaps) = table;
        Ok(Some(Board { groups: groups.into_iter().map(|(group, _)| group).collect(), gaps }))
    }

    /// As [`Gateway::lags`], with every partition of every group.
    pub async fn lag_table(&self, integration: &str) -> Result<Option<LagTable>, Fault> {
        let Some(handle) = self.groups_of(integration).await? else { return Ok(None) };
        let listing = handle.groups().await?;
        let names: Vec<Arc<str>> = listing.groups.iter().map(|group| group.name.clone()).collect();
        let group_offsets = handle.group_offsets(&names).await?;
        let mut lag_history = self.lag_history();
        let listed: HashSet<&Arc<str>> = names.iter().collect();
        if listing.gaps.is_empty() {
            lag_history.of(integration).groups.retain(|name, _| listed.contains(name));
        }
        let judged = listing
            .groups
            .iter()
            .zip(group_offsets)
            .map(|(group, group_offsets)| lag_history.take(integration, group, group_offsets))
            .collect();
        Ok(Some((judged, listing.gaps)))
    }

    /// Looks at one group: its partitions with the time that each is behind, and its members.
    pub async fn lag_of(&self, integration: &str, group: &str) -> Result<GroupView, Fault> {
        let handle = self.groups_of(integration).await?.ok_or_else(|| cannot("look at groups of", integration, "groups"))?;
        let name: [Arc<str>; 1] = [group.into()];
        let (description, group_offsets) = tokio::join!(handle.describe(group), handle.group_offsets(&name));
        let description = description?;
        let group_offsets = group_offsets?.pop().unwrap_or_else(|| {
            Err(Fault::new(Kind::Protocol, "look at group", format!("{integration}/{group}"), "the system gave no answer for this group"))
        })?;
        let (lag, mut partitions) = self.lag_history().take(integration, &description.group, Ok(group_offsets));
        self.stamp(integration, &mut partitions.iter_mut().collect::<Vec<_>>()).await?;
        Ok(GroupView { lag, partitions, members: description.members })
    }

    /// Fills in when the next message of each partition was made, for the first [`STAMPS`] that are behind; how many were left out.
    pub async fn stamp(&self, integration: &str, partitions: &mut [&mut PartitionLag]) -> Result<usize, Fault> {
        let mut marks: Vec<Mark> = partitions.iter().filter_map(|partition| partition.next()).collect();
        let left_out = marks.len().saturating_sub(STAMPS);
        marks.truncate(STAMPS);
        let known = self.timestamps(integration, &marks).await?;
        for partition in partitions {
            partition.stamp = partition.next().and_then(|mark| known.get(&mark).copied());
        }
        Ok(left_out)
    }

    /// How long these groups are behind, by what was seen at the last look.
    pub async fn behind(&self, integration: &str, groups: &[Arc<str>]) -> Result<Vec<(Arc<str>, Behind)>, Fault> {
        let (rows, now) = {
            let mut lag_history = self.lag_history();
            let now = lag_history.now();
            let past = lag_history.of(integration);
            let rows: Vec<_> = groups.iter().map(|group| (group.clone(), Next::of(past.groups.get(group)))).collect();
            (rows, now)
        };
        let mut marks: Vec<Mark> = rows.iter().flat_map(|(_, next)| next.marks.iter().take(STAMPS_OF_A_ROW).cloned()).collect();
        marks.truncate(STAMPS);
        let known = self.timestamps(integration, &marks).await?;
        Ok(rows.into_iter().map(|(name, next)| (name, next.behind(&known, now))).collect())
    }

    /// The times of the messages at these marks, as far as they could be told. A mark that was asked for once is not asked for again.
    async fn timestamps(&self, integration: &str, marks: &[Mark]) -> Result<HashMap<Mark, Timestamp>, Fault> {
        let mut known: HashMap<Mark, Timestamp> = {
            let mut lag_history = self.lag_history();
            let timestamps = &lag_history.of(integration).timestamps;
            marks.iter().filter_map(|mark| Some((mark.clone(), *timestamps.get(mark)?))).collect()
        };
        let ask: Vec<Mark> = marks.iter().filter(|mark| !known.contains_key(mark)).cloned().collect();
        if ask.is_empty() {
            return Ok(known);
        }
        let Some(handle) = self.groups_of(integration).await? else { return Ok(known) };
        let answers = handle.timestamps(&ask).await;
        let new: HashMap<Mark, Timestamp> = ask.into_iter().zip(answers).filter_map(|(mark, answer)| Some((mark, answer.ok()??))).collect();
        let mut lag_history = self.lag_history();
        let timestamps = &mut lag_history.of(integration).timestamps;
        if timestamps.len() + new.len() > REMEMBERED {
            timestamps.clone_from(&known);
        }
        timestamps.extend(new.iter().map(|(mark, stamp)| (mark.clone(), *stamp)));
        known.extend(new);
        Ok(known)
    }
}

/// Every group with its partitions, and what could not be listed.
pub type LagTable = (Vec<(GroupLag, Vec<PartitionLag>)>, Vec<Fault>);

/// What a group has not read, as of the last look.
#[derive(Default)]
struct Next {
    /// The next messages of the partitions that are behind, the one with the greatest lag first.
    marks: Vec<Mark>,
    /// Every partition is either at its end or among the marks.
    whole: bool,
}

impl Next {
    fn of(past: Option<&Vec<Watched>>) -> Self {
        let Some(past) = past.filter(|past| !past.is_empty()) else { return Self::default() };
        let mut behind: Vec<(u64, &Mark)> = past.iter().filter_map(|watched| watched.lag.number().zip(watched.next.as_ref())).collect();
        behind.sort_by_key(|(lag, _)| std::cmp::Reverse(*lag));
        let whole = past.iter().all(|watched| watched.next.is_some() || watched.lag == Amount::Exactly(0));
        Self { marks: behind.into_iter().map(|(_, mark)| mark.clone()).collect(), whole }
    }

    fn behind(&self, timestamps: &HashMap<Mark, Timestamp>, now: Timestamp) -> Behind {
        if self.marks.is_empty() {
            return if self.whole { Behind { time: Some(Duration::ZERO), whole: true } } else { Behind::default() };
        }
        let times: Vec<Timestamp> = self.marks.iter().filter_map(|mark| timestamps.get(mark).copied()).collect();
        Behind { time: times.iter().min().map(|oldest| now.since(*oldest)), whole: self.whole && times.len() == self.marks.len() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::group::State;
    use crate::domain::position::Position;

    fn group_offset(partition: Option<i32>, committed: Option<i64>, lag: Amount) -> GroupOffset {
        GroupOffset {
            channel: "stream:ORDERS".into(),
            partition,
            committed,
            start: Some(1),
            end: Some(10),
            next: committed.and_then(|at| u64::try_from(at).ok()).map(Position::Sequence),
            lag,
            ..GroupOffset::default()
        }
    }

    /// What is next for a group after one look.
    fn next(group_offsets: Result<Vec<GroupOffset>, Fault>) -> Next {
        let group = Group::new("g", "pull", State::Stable);
        let mut lag_history = LagHistory::default();
        lag_history.take("nats", &group, Ok(vec![group_offset(None, Some(10), Amount::Exactly(0))]));
        lag_history.take("nats", &group, group_offsets);
        Next::of(lag_history.of("nats").groups.get("g"))
    }

    #[test]
    fn a_group_that_is_behind_in_a_channel_without_partitions_has_a_next_message_too() {
        let next = next(Ok(vec![group_offset(None, Some(7), Amount::Exactly(3))]));
        assert_eq!(next.marks, [Mark { channel: "stream:ORDERS".into(), position: Position::Sequence(7) }]);
        assert!(next.whole);
    }

    #[test]
    fn what_is_not_known_of_a_partition_makes_the_time_a_lower_bound_or_unknown() {
        let (at_end, unknown) = (group_offset(Some(0), Some(10), Amount::Exactly(0)), group_offset(Some(1), None, Amount::Unknown));
        let beyond = group_offset(Some(1), Some(17), Amount::Unknown);
        let behind = |group_offsets| next(group_offsets).behind(&HashMap::new(), Timestamp(0));
        assert_eq!(behind(Ok(vec![at_end.clone()])), Behind { time: Some(Duration::ZERO), whole: true });
        for not_known in [unknown, beyond] {
            assert_eq!(behind(Ok(vec![at_end.clone(), not_known])), Behind::default());
        }
        assert_eq!(behind(Ok(Vec::new())), Behind::default(), "a group that reads nothing");
        let fault = Fault::new(Kind::Timeout, "read the positions of", "g", "no answer");
        assert_eq!(behind(Err(fault)), Behind::default(), "what was seen before is not what is now");
        let late = group_offset(Some(1), Some(7), Amount::Exactly(3));
        let next = next(Ok(vec![late.clone(), group_offset(Some(2), None, Amount::Unknown)]));
        let timestamps = HashMap::from([(next.marks[0].clone(), Timestamp(0))]);
        assert_eq!(next.behind(&timestamps, Timestamp(9_000)), Behind { time: Some(Duration::from_secs(9)), whole: false });
    }
}
