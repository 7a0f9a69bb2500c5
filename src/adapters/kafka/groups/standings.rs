//! How far groups are: positions first, ends after them, so that an end never lies before its position.

use super::super::faults;
use super::super::link::group_describe::Described;
use super::super::link::group_offsets::{Commits, Positions, ShareStarts};
use super::super::link::metadata::Topic;
use super::super::link::offsets::{At, Found, Wanted};
use super::{KafkaGroups, Kind};
use crate::domain::fault::Fault;
use crate::domain::group::{Standing, lag};
use crate::domain::text::SafeText;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// How often a leader that moved is followed while a table is made.
const ROUNDS: u32 = 3;

/// What is known of one group in one partition before ends are asked for.
#[derive(Default)]
struct Row {
    committed: Option<i64>,
    owner: Option<SafeText>,
    error: i16,
}

type Rows = BTreeMap<(Arc<str>, i32), Row>;

/// The offsets of one partition.
#[derive(Clone, Debug, Default)]
struct Ends {
    start: Option<i64>,
    end: Option<i64>,
    stable: Option<i64>,
    fault: Option<Fault>,
}

impl KafkaGroups {
    pub(super) async fn standings_of(&self, groups: &[Arc<str>]) -> Result<Vec<Result<Vec<Standing>, Fault>>, Fault> {
        let names: Vec<&str> = groups.iter().map(|group| &**group).collect::<BTreeSet<_>>().into_iter().collect();
        let mut topics = Names::default();
        let rows = self.rows(&names, &mut topics).await;
        let wanted: BTreeSet<(Arc<str>, i32)> = rows.iter().flatten().flat_map(|rows| rows.keys().cloned()).collect();
        let ends = self.ends(wanted).await?;
        let standings =
            rows.into_iter().map(|rows| rows.map(|rows| rows.into_iter().map(|(place, row)| standing(place, row, &ends)).collect()));
        let by_name: HashMap<&str, Result<Vec<Standing>, Fault>> = names.into_iter().zip(standings).collect();
        Ok(groups.iter().filter_map(|group| by_name.get(&**group).cloned()).collect())
    }

    /// The positions and owners of groups, asked for at the same time.
    async fn rows(&self, names: &[&str], topics: &mut Names) -> Vec<Result<Rows, Fault>> {
        let kinds = self.kinds(names).await;
        let of = |share: bool| names.iter().zip(&kinds).filter(move |(_, kind)| (**kind == Kind::Share) == share).map(|(name, _)| *name);
        let (plain, share): (Vec<_>, Vec<_>) = (of(false).collect(), of(true).collect());
        let commits = Commits { of: self.asked_by_name(topics).await };
        let (plain, share, described) = tokio::join!(
            self.cluster.ask_coordinators(self.lane(0), &plain, &commits),
            self.cluster.ask_coordinators(self.lane(0), &share, &ShareStarts),
            self.described(self.lane(1), names, &kinds),
        );
        let (mut plain, mut share) = (plain.into_iter(), share.into_iter());
        let positions = kinds.iter().map(|kind| if *kind == Kind::Share { share.next() } else { plain.next() });
        let told = positions.zip(described);
        told.map(|(positions, described)| {
            let positions = positions.unwrap_or_else(|| Ok(Vec::new()))?;
            match described.transpose() {
                // A group that does not exist has no positions, as one has that is new: its description tells them apart.
                Err(fault) if positions.is_empty() => Err(fault),
                described => Ok(rows_of(positions, described.ok().flatten(), topics)),
            }
        })
        .collect()
    }

    /// The partitions to ask positions for: all that there are in the cluster where a broker does not tell by itself in which a
    /// group has any (librdkafka's mock cluster).
    async fn asked_by_name(&self, names: &mut Names) -> Option<Vec<(Arc<str>, Vec<i32>)>> {
        if !self.is_unlisted() {
            return None;
        }
        let topics = self.cluster.refresh(None).await.unwrap_or_default();
        let readable = topics.iter().filter(|topic| topic.error == 0 && !topic.internal);
        let partitions = |topic: &Topic| topic.partitions.iter().map(|partition| partition.index).collect();
        Some(readable.map(|topic| (names.share(&topic.name), partitions(topic))).collect())
    }

    /// Ends first, which the positions must not overtake; starts and the ends of finished transactions at the same time.
    async fn ends(&self, wanted: BTreeSet<(Arc<str>, i32)>) -> Result<HashMap<(Arc<str>, i32), Ends>, Fault> {
        let names: BTreeSet<&str> = wanted.iter().map(|(topic, _)| &**topic).collect();
        let names: Vec<&str> = names.into_iter().collect();
        let gone = if names.is_empty() { HashMap::new() } else { self.cluster.learn(&names).await? };
        let mut ends = HashMap::with_capacity(wanted.len());
        let mut places = Vec::with_capacity(wanted.len());
        for place in wanted {
            match gone.get(&place.0) {
                Some(error) => {
                    let fault = faults::refused("look up offsets of", &*place.0, *error, None);
                    ends.insert(place, Ends { fault: Some(fault), ..Ends::default() });
                }
                None => places.push(place),
            }
        }
        let asked =
            |at: At| places.iter().map(|(topic, partition)| Wanted { topic: Arc::clone(topic), partition: *partition, at }).collect();
        let questions: [Vec<Wanted>; 3] = [At::End { committed: false }, At::Start, At::End { committed: true }].map(asked);
        let [end, start, stable] = &questions;
        let (end, start, stable) = tokio::join!(
            self.cluster.offsets_on(self.lane(0), end, ROUNDS),
            self.cluster.offsets_on(self.lane(1), start, ROUNDS),
            self.cluster.offsets_on(self.lane(2), stable, ROUNDS),
        );
        let offset = |found: &Result<Found, Fault>| found.as_ref().ok().and_then(|found| found.offset);
        for (((place, end), start), stable) in places.into_iter().zip(end).zip(start).zip(stable) {
            let fault = end.as_ref().err().cloned();
            ends.insert(place, Ends { start: offset(&start), end: offset(&end), stable: offset(&stable), fault });
        }
        Ok(ends)
    }
}

/// Topic names, each held once however many groups read it.
#[derive(Default)]
struct Names(BTreeSet<Arc<str>>);

impl Names {
    fn share(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.0.get(name) {
            return Arc::clone(known);
        }
        let name: Arc<str> = name.into();
        self.0.insert(Arc::clone(&name));
        name
    }
}

/// Every partition in which the group has a position or a member.
fn rows_of(positions: Positions, described: Option<Described>, topics: &mut Names) -> Rows {
    let mut rows = Rows::new();
    for (topic, partitions) in positions {
        let topic = topics.share(&topic);
        for told in partitions {
            // Where a partition was asked for by name, the answer has it without a position as well.
            if told.offset.is_some() || told.error != 0 {
                rows.insert((Arc::clone(&topic), told.partition), Row { committed: told.offset, owner: None, error: told.error });
            }
        }
    }
    for member in described.map(|described| described.members).unwrap_or_default() {
        let id = SafeText::from(member.id);
        for (topic, partitions) in member.assignment {
            let topic = topics.share(&topic);
            for partition in partitions {
                rows.entry((Arc::clone(&topic), partition)).or_default().owner = Some(id.clone());
            }
        }
    }
    rows
}

fn standing(place: (Arc<str>, i32), row: Row, ends: &HashMap<(Arc<str>, i32), Ends>) -> Standing {
    let Ends { start, end, stable, fault } = ends.get(&place).cloned().unwrap_or_default();
    let (channel, partition) = place;
    let refused =
        (row.error != 0).then(|| faults::refused("read the position in", format!("{channel} partition {partition}"), row.error, None));
    Standing {
        channel,
        partition: Some(partition),
        committed: row.committed,
        start,
        end,
        held_at: stable.filter(|stable| end.is_some_and(|end| *stable < end)),
        lag: lag(row.committed, start, end),
        pending: None,
        owner: row.owner,
        fault: refused.or(fault),
    }
}
