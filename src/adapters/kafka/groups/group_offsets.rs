//! How far groups are: positions first, ends after them, so that an end never lies before its position.

use super::super::faults;
use super::super::link::group_describe::Described;
use super::super::link::group_offsets::{Commits, Committed, Positions};
use super::super::link::metadata::Topic;
use super::super::link::offsets::{At, Found, Wanted};
use super::super::link::share_offsets::ShareStarts;
use super::{KafkaGroups, Kind};
use crate::domain::fault::Fault;
use crate::domain::figure::Amount;
use crate::domain::group::{GroupOffset, lag, next_in};
use crate::domain::text::SafeText;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// How often a leader that moved is followed while a table is made.
const ROUNDS: u32 = 3;

/// A topic by its number in [`Names`], and a partition of it.
type Place = (usize, i32);

/// What is known of a group in one partition before ends are asked for.
#[derive(Default)]
struct Row {
    committed: Option<i64>,
    /// A share group's: it acknowledges in any order, so that its position alone bounds what is left, and the broker counts it.
    share: bool,
    counted: Option<u64>,
    owner: Option<SafeText>,
    error: i16,
}

type Rows = BTreeMap<Place, Row>;

/// The offsets of one partition.
#[derive(Clone, Debug, Default)]
struct Ends {
    start: Option<i64>,
    end: Option<i64>,
    stable: Option<i64>,
    fault: Option<Fault>,
}

/// The ends of every partition, topic by topic.
struct Table(Vec<BTreeMap<i32, Ends>>);

impl KafkaGroups {
    pub(super) async fn standings_of(&self, groups: &[Arc<str>]) -> Result<Vec<Result<Vec<GroupOffset>, Fault>>, Fault> {
        let asked: Vec<&str> = groups.iter().map(|group| &**group).collect::<BTreeSet<_>>().into_iter().collect();
        let mut names = Names::default();
        let rows = self.rows(&asked, &mut names).await;
        let ends = self.ends(&rows, &names).await?;
        let group_offsets = rows.into_iter().map(|rows| rows.map(|rows| group_offsets(rows, &names, &ends)));
        let mut by_name: HashMap<&str, Result<Vec<GroupOffset>, Fault>> = asked.into_iter().zip(group_offsets).collect();
        // A group that was asked for twice is told twice.
        let last = |at: usize, group: &Arc<str>| !groups[at + 1..].contains(group);
        let unique = by_name.len() == groups.len();
        let told = groups
            .iter()
            .enumerate()
            .filter_map(|(at, group)| if unique || last(at, group) { by_name.remove(&**group) } else { by_name.get(&**group).cloned() });
        Ok(told.collect())
    }

    /// The positions and owners of groups, asked for at the same time.
    async fn rows(&self, groups: &[&str], names: &mut Names) -> Vec<Result<Rows, Fault>> {
        let kinds = self.kinds(groups).await;
        let of = |share: bool| groups.iter().zip(&kinds).filter(move |(_, kind)| (**kind == Kind::Share) == share).map(|(name, _)| *name);
        let (plain, share): (Vec<_>, Vec<_>) = (of(false).collect(), of(true).collect());
        let commits = Commits { of: self.asked_by_name().await };
        let (plain, share, described) = tokio::join!(
            self.cluster.ask_coordinators(self.lane(0), &plain, &commits),
            self.cluster.ask_coordinators(self.lane(0), &share, &ShareStarts),
            self.described(self.lane(1), groups, &kinds),
        );
        let (mut plain, mut share) = (plain.into_iter(), share.into_iter());
        let positions = kinds.iter().map(|kind| if *kind == Kind::Share { share.next() } else { plain.next() });
        let told = positions.zip(described);
        told.zip(&kinds)
            .map(|((positions, described), kind)| {
                let positions = positions.unwrap_or_else(|| Ok(Vec::new()))?;
                match described.transpose() {
                    // A group that does not exist has no positions, as one has that is new: its description tells them apart.
                    Err(fault) if positions.is_empty() => Err(fault),
                    described => Ok(rows_of(positions, described.ok().flatten(), *kind == Kind::Share, names)),
                }
            })
            .collect()
    }

    /// The partitions to ask positions for: all that there are in the cluster where a broker does not tell by itself in which a
    /// group has any (librdkafka's mock cluster).
    async fn asked_by_name(&self) -> Option<Vec<(Arc<str>, Vec<i32>)>> {
        if !self.is_unlisted() {
            return None;
        }
        let topics = self.cluster.refresh(None).await.unwrap_or_default();
        let readable = topics.iter().filter(|topic| topic.error == 0 && !topic.internal);
        let partitions = |topic: &Topic| topic.partitions.iter().map(|partition| partition.index).collect();
        Some(readable.map(|topic| (Arc::clone(&topic.name), partitions(topic))).collect())
    }

    /// The ends of every partition in which a group has a row; then, where some group is not at the end, the starts and the ends of
    /// finished transactions: nobody else stands before a start, or is held by a transaction.
    async fn ends(&self, rows: &[Result<Rows, Fault>], names: &Names) -> Result<Table, Fault> {
        // Before all of these positions nothing is asked for; a row without a position counts as one at the start.
        let mut least: BTreeMap<Place, i64> = BTreeMap::new();
        for (place, row) in rows.iter().flatten().flatten() {
            let committed = row.committed.unwrap_or(0);
            least.entry(*place).and_modify(|least| *least = committed.min(*least)).or_insert(committed);
        }
        let mut table = Table(vec![BTreeMap::new(); names.0.len()]);
        let topics: Vec<&str> = names.0.iter().map(|name| &**name).collect();
        let gone = if topics.is_empty() { HashMap::new() } else { self.cluster.learn(&topics).await? };
        let mut places = Vec::with_capacity(least.len());
        for place in least.keys() {
            match gone.get(&names.0[place.0]) {
                Some(error) => {
                    let fault = faults::refused("look up offsets of", topics[place.0], *error, None);
                    table.0[place.0].insert(place.1, Ends { fault: Some(fault), ..Ends::default() });
                }
                None => places.push(*place),
            }
        }
        let wanted = |places: &[Place], at: At| {
            let wanted = places.iter().map(|(topic, partition)| Wanted { topic: Arc::clone(&names.0[*topic]), partition: *partition, at });
            wanted.collect::<Vec<_>>()
        };
        let offset = |found: &Result<Found, Fault>| found.as_ref().ok().and_then(|found| found.offset);
        let ends = self.cluster.offsets_on(self.lane(0), &wanted(&places, At::End { committed: false }), ROUNDS).await;
        for (place, end) in places.iter().zip(&ends) {
            table.0[place.0].insert(place.1, Ends { end: offset(end), fault: end.as_ref().err().cloned(), ..Ends::default() });
        }
        let behind = places.iter().zip(&ends).filter(|(place, end)| offset(end).is_some_and(|end| least[*place] < end));
        let behind: Vec<Place> = behind.map(|(place, _)| *place).collect();
        let (starts, stables) = (wanted(&behind, At::Start), wanted(&behind, At::End { committed: true }));
        let (starts, stables) =
            tokio::join!(self.cluster.offsets_on(self.lane(1), &starts, ROUNDS), self.cluster.offsets_on(self.lane(2), &stables, ROUNDS),);
        for ((place, start), stable) in behind.iter().zip(&starts).zip(&stables) {
            if let Some(ends) = table.0[place.0].get_mut(&place.1) {
                (ends.start, ends.stable) = (offset(start), offset(stable));
            }
        }
        Ok(table)
    }
}

/// Topic names in the order in which they were met, each held once however many groups read it.
#[derive(Default)]
struct Names(Vec<Arc<str>>, HashMap<Arc<str>, usize>);

impl Names {
    fn number(&mut self, name: String) -> usize {
        if let Some(number) = self.1.get(name.as_str()) {
            return *number;
        }
        let name: Arc<str> = name.into();
        self.0.push(Arc::clone(&name));
        self.1.insert(name, self.0.len() - 1);
        self.0.len() - 1
    }
}

/// Every partition in which the group has a position or a member.
fn rows_of(positions: Positions, described: Option<Described>, share: bool, names: &mut Names) -> Rows {
    let mut rows = Rows::new();
    for (topic, partitions) in positions {
        // Where a partition was asked for by name, the answer has it without a position as well.
        let mut told = partitions.into_iter().filter(|told| told.offset.is_some() || told.error != 0).peekable();
        if told.peek().is_some() {
            let topic = names.number(topic);
            let row = |told: Committed| Row { committed: told.offset, share, counted: told.lag, owner: None, error: told.error };
            rows.extend(told.map(|told| ((topic, told.partition), row(told))));
        }
    }
    for member in described.map(|described| described.members).unwrap_or_default() {
        let id = SafeText::from(member.id);
        for (topic, partitions) in member.assignment {
            let topic = names.number(topic);
            for partition in partitions {
                rows.entry((topic, partition)).or_default().owner = Some(id.clone());
            }
        }
    }
    rows
}

/// The rows of one group, in the order of topics and partitions.
fn group_offsets(rows: Rows, names: &Names, table: &Table) -> Vec<GroupOffset> {
    let mut group_offsets: Vec<GroupOffset> = rows.into_iter().map(|(place, row)| group_offset(place, row, names, table)).collect();
    group_offsets.sort_by(|one, other| one.channel.cmp(&other.channel).then(one.partition.cmp(&other.partition)));
    group_offsets
}

fn group_offset((topic, partition): Place, row: Row, names: &Names, table: &Table) -> GroupOffset {
    let channel = Arc::clone(&names.0[topic]);
    let Ends { start, end, stable, fault } = table.0[topic].get(&partition).cloned().unwrap_or_default();
    let refused =
        (row.error != 0).then(|| faults::refused("read the position in", format!("{channel} partition {partition}"), row.error, None));
    GroupOffset {
        channel,
        partition: Some(partition),
        committed: row.committed,
        start,
        end,
        next: next_in(partition, row.committed, start, end),
        held_at: stable.filter(|stable| end.is_some_and(|end| *stable < end)),
        lag: left(&row, start, end),
        done: row.counted.zip(end).and_then(|(left, end)| end.checked_sub_unsigned(left)),
        owner: row.owner,
        fault: refused.or(fault),
        ..GroupOffset::default()
    }
}

/// What is left for a group in a partition.
fn left(row: &Row, start: Option<i64>, end: Option<i64>) -> Amount {
    let behind = lag(row.committed, start, end);
    match (row.counted, behind) {
        // A position beyond the end leaves nothing to count.
        (Some(counted), behind) if behind != Amount::Unknown => Amount::Exactly(counted),
        (None, Amount::Exactly(behind)) if row.share && behind > 0 => Amount::AtMost(behind),
        _ => behind,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_share_group_has_left_is_a_bound_unless_the_broker_counts_it() {
        // Start 0, end 100.
        for (share, committed, counted, expected) in [
            (true, Some(0), None, Amount::AtMost(100)),
            (true, Some(0), Some(25), Amount::Exactly(25)),
            (true, Some(100), None, Amount::Exactly(0)),
            (true, None, None, Amount::Unknown),
            (true, Some(101), Some(0), Amount::Unknown),
            (false, Some(40), None, Amount::Exactly(60)),
        ] {
            let row = Row { committed, share, counted, ..Row::default() };
            assert_eq!(left(&row, Some(0), Some(100)), expected, "share {share}, {committed:?}, {counted:?}");
        }
        assert_eq!(Amount::AtMost(100).to_string(), "≤ 100", "as it is shown");
    }
}
