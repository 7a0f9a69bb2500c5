//! A topic's log between two bounds: resolved for every partition at the moment of asking, then looked through lane by lane.
//!
//! As in a tail, what is seen is what consumers are to see: aborted transactions are left out, and `latest` is the end of what
//! finished transactions have written. What stands behind it is named in a note.

use super::lane::{ScanLimits, Source};
use super::link::cluster::Cluster;
use super::link::fetch::{LEAST_BYTES, MOST_BYTES};
use super::link::offsets::{At, Found, Wanted};
use super::link::walk::Partition;
use super::time_search;
use super::window::Window;
use crate::adapters::session::{History, Scan, ScanLane};
use crate::config::profile::Integration;
use crate::domain::channel::Cost;
use crate::domain::fault::{Fault, Kind};
use crate::domain::position::{Bound, Position, Range};
use crate::domain::search::{MessageFilter, Scope};
use async_trait::async_trait;
use futures::stream::{self, StreamExt};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

const OP: &str = "read";
/// Fetched bytes that all lanes of a search hold together.
const BUDGET: usize = 32 << 20;
/// A lane's answers: the one being read and the one fetched ahead.
const ANSWERS: usize = 2;
/// Connections that a search reads over: a broker works on one question of each at a time.
const SEARCH_CONNECTIONS: usize = 3;
/// Fetches under way at once.
const FLIGHTS: usize = 16;
/// How long a search waits for a leader that is gone: a broker may be restarting.
const SEARCH_PATIENCE: Duration = Duration::from_secs(60);
const ROUNDS: u32 = 5;
/// Notes of one kind before the rest is only counted.
const NOTES: usize = 3;

/// Reading of a cluster's logs.
pub(super) struct KafkaHistory {
    cluster: Cluster,
    integration: Arc<Integration>,
}

/// What a partition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Edges {
    start: i64,
    /// The end of what finished transactions have written.
    end: i64,
    /// The end of all; more than `end` while a transaction is open.
    high: i64,
}

/// Where the range's start stands, if that is a time.
#[derive(Default)]
struct Times {
    /// The first offsets stamped at it or later, by partition.
    start: BTreeMap<i32, Result<i64, Fault>>,
    /// Nobody looks them up here: every partition is read from its beginning.
    searched: bool,
}

impl KafkaHistory {
    pub(super) fn new(cluster: Cluster, integration: Arc<Integration>) -> Self {
        Self { cluster, integration }
    }

    /// What every partition holds now; a partition that fails has its own fault.
    async fn edges(&self, topic: &Arc<str>, partitions: &[i32]) -> Vec<(i32, Result<Edges, Fault>)> {
        let asked = [At::Start, At::End { committed: true }, At::End { committed: false }];
        let wanted: Vec<_> =
            partitions.iter().flat_map(|index| asked.map(|at| Wanted { topic: topic.clone(), partition: *index, at })).collect();
        let found = self.cluster.offsets(&wanted, ROUNDS).await;
        let edges = found.chunks(asked.len()).map(|found| match found {
            [start, end, high] => {
                let offset = |found: &Result<Found, Fault>| found.clone().map(|found| found.offset.unwrap_or(0));
                Ok(Edges { start: offset(start)?, end: offset(end)?, high: offset(high)? })
            }
            _ => Err(Fault::new(Kind::Protocol, OP, &**topic, "the broker's answer left a partition out")),
        });
        partitions.iter().copied().zip(edges).collect()
    }

    /// Looks up the time at which the range starts, if it does.
    async fn times(&self, topic: &Arc<str>, range: Range, edges: &BTreeMap<i32, Edges>) -> Times {
        let filled = edges.iter().find(|(_, edges)| edges.start < edges.end);
        let (Some((index, sample)), Bound::Time(time)) = (filled, range.start) else { return Times::default() };
        let partition = Partition { topic: topic.clone(), index: *index };
        if time_search::is_trusted(&self.cluster, &self.integration, &partition, sample.end).await {
            // What stands before the first message of that time is earlier, whatever the order of the stamps behind it.
            let start = self.ask_times(topic, time.0, edges).await;
            return Times { start, searched: false };
        }
        Times { start: edges.iter().map(|(index, edges)| (*index, Ok(edges.start))).collect(), searched: true }
    }

    /// The first offset of each partition that is stamped at a time or later; a partition that fails has its own fault.
    async fn ask_times(&self, topic: &Arc<str>, millis: i64, edges: &BTreeMap<i32, Edges>) -> BTreeMap<i32, Result<i64, Fault>> {
        let wanted = |index: &i32| Wanted { topic: topic.clone(), partition: *index, at: At::Time(millis) };
        let wanted: Vec<_> = edges.keys().map(wanted).collect();
        let found = self.cluster.offsets(&wanted, ROUNDS).await;
        // No message is that young: the end.
        let offset = |edges: &Edges, found: Found| found.offset.unwrap_or(edges.end);
        edges.iter().zip(found).map(|((index, edges), found)| (*index, found.map(|found| offset(edges, found)))).collect()
    }
}

/// A range resolved: the offsets of each partition that has any part of it.
struct Resolved {
    topic: Arc<str>,
    source: Source,
    parts: Vec<(i32, std::ops::Range<i64>)>,
    window: Window,
    edges: BTreeMap<i32, Edges>,
    /// Partitions that could not be asked.
    failed: Vec<(i32, Fault)>,
    notes: Vec<String>,
}

impl KafkaHistory {
    fn source(&self) -> Source {
        Source {
            cluster: self.cluster.clone(),
            lane: Arc::new(self.cluster.own_lane()),
            most: LEAST_BYTES,
            flights: Arc::new(Semaphore::new(FLIGHTS)),
            patience: self.cluster.timeout(),
        }
    }

    async fn resolve(&self, channel: &str, range: Range, exact: bool, wanted: impl Fn(i32) -> bool) -> Result<Resolved, Fault> {
        let described = self.cluster.topic(channel).await?;
        let topic: Arc<str> = channel.into();
        let named = named_partitions(channel, range)?;
        if let Some(missing) = named.iter().find(|index| described.partition(**index).is_none()) {
            let cause = format!("there is no partition {missing}: it has {}", described.partitions.len());
            return Err(Fault::new(Kind::NotFound, OP, channel, cause));
        }
        let all = described.partitions.iter().map(|partition| partition.index);
        let partitions: Vec<i32> = all.filter(|index| wanted(*index) && named.iter().all(|named| named == index)).collect();
        let mut edges = BTreeMap::new();
        let mut failed = Vec::new();
        for (index, found) in self.edges(&topic, &partitions).await {
            match found {
                Ok(found) => _ = edges.insert(index, found),
                Err(fault) => failed.push((index, fault)),
            }
        }
        let times = self.times(&topic, range, &edges).await;
        for (index, fault) in times.start.iter().filter_map(|(index, start)| Some((*index, start.clone().err()?))) {
            edges.remove(&index);
            failed.push((index, fault));
        }
        // One partition without a leader must not hide the others; what nobody answers is a fault of the whole.
        if edges.is_empty()
            && let Some((_, fault)) = failed.pop()
        {
            return Err(fault);
        }
        let parts = edges.iter().map(|(index, edges)| (*index, part(range, *index, edges, &times))).filter(|(_, part)| !part.is_empty());
        let parts: Vec<_> = parts.collect();
        let mut notes = notes(range, &edges);
        let mut window = Window::new(range, (!exact && !times.searched).then(|| self.integration.slack(channel)));
        if times.searched {
            notes.push("this cluster cannot look up times: every partition is read from its beginning".to_owned());
            window = window.opening_itself();
        }
        Ok(Resolved { topic, source: self.source(), parts, window, edges, failed, notes })
    }

    /// Cuts the parts to the offsets and times of a condition. Of times only the earliest can be used: messages behind one that is too
    /// late may be early again, and only where the cluster looks up times exactly.
    async fn narrow(&self, resolved: &mut Resolved, scope: &Scope) -> Result<(), Fault> {
        let earliest = *scope.times.start();
        let mut first = BTreeMap::new();
        if let (true, Some((index, part))) = (earliest > 0, resolved.parts.first()) {
            let partition = Partition { topic: resolved.topic.clone(), index: *index };
            if time_search::is_trusted(&self.cluster, &self.integration, &partition, part.end).await {
                // A partition that fails here is read from where it begins.
                first = self.ask_times(&resolved.topic, earliest, &resolved.edges).await;
            }
        }
        for (index, part) in &mut resolved.parts {
            let start =
                part.start.max(*scope.offsets.start()).max(first.get(index).and_then(|first| first.clone().ok()).unwrap_or(part.start));
            let end = part.end.min(scope.offsets.end().saturating_add(1));
            *part = start..end.max(start);
        }
        resolved.parts.retain(|(_, part)| !part.is_empty());
        Ok(())
    }
}

#[async_trait]
impl History for KafkaHistory {
    fn cost(&self) -> Cost {
        Cost::Nothing
    }

    async fn scan(&self, channel: &str, scope: &Scope, filter: Arc<dyn MessageFilter>) -> Result<Scan, Fault> {
        let mut resolved = self.resolve(channel, scope.range, scope.exact, |index| scope.holds(index)).await?;
        self.narrow(&mut resolved, scope).await?;
        let Resolved { topic, mut source, parts, window, failed, notes, .. } = resolved;
        source.most = (BUDGET / ANSWERS / parts.len().max(1)).clamp(LEAST_BYTES, MOST_BYTES);
        if scope.patient {
            source.patience = source.patience.max(SEARCH_PATIENCE);
        }
        let connections: Vec<_> = (0..SEARCH_CONNECTIONS).map(|_| Arc::new(self.cluster.own_lane())).collect();
        let scan_permits = Arc::new(Semaphore::new(std::thread::available_parallelism().map_or(1, usize::from)));
        let lanes = parts.into_iter().zip(connections.iter().cycle()).map(|((index, part), connection)| ScanLane {
            partition: Some(index),
            at_most: u64::try_from(part.end - part.start).unwrap_or(0),
            batches: Source { lane: connection.clone(), ..source.clone() }.scan(
                Partition { topic: topic.clone(), index },
                part,
                window.clone(),
                ScanLimits { filter: filter.clone(), count: scan_permits.clone(), limit: scope.limit, patient: scope.patient },
            ),
        });
        let failed = failed.into_iter().map(|(index, fault)| ScanLane {
            partition: Some(index),
            at_most: 0,
            batches: stream::once(async { Err(fault) }).boxed(),
        });
        Ok(Scan { lanes: lanes.chain(failed).collect(), notes })
    }
}

/// The partitions that the bounds name. A range holds something of a partition only if no bound names another one.
fn named_partitions(channel: &str, range: Range) -> Result<Vec<i32>, Fault> {
    let mut named = Vec::new();
    for bound in [range.start, range.end] {
        match bound {
            Bound::At(Position::Offset { partition, .. }) => named.push(partition),
            Bound::At(position) => {
                let cause = format!("`{position}` is no place in a topic");
                return Err(Fault::new(Kind::Usage, OP, channel, cause).next(format!("write 0@{position} or @{position}")));
            }
            _ => {}
        }
    }
    Ok(named)
}

/// The offsets of a partition that belong to the range.
fn part(range: Range, index: i32, edges: &Edges, times: &Times) -> std::ops::Range<i64> {
    let start = resolve(range.start, edges, times.start.get(&index).and_then(|start| start.as_ref().ok()));
    // Behind the first message of a time there may be earlier ones: where such a range ends is seen as it is read.
    let end = resolve(range.end, edges, None);
    start..end.max(start)
}

fn resolve(bound: Bound, edges: &Edges, time: Option<&i64>) -> i64 {
    let offset = match bound {
        Bound::Earliest => edges.start,
        Bound::BeforeEnd(back) => edges.end.saturating_sub_unsigned(back),
        Bound::Each(offset) | Bound::At(Position::Offset { offset, .. }) => offset,
        Bound::Time(_) => time.copied().unwrap_or(edges.end),
        Bound::Latest | Bound::At(_) => edges.end,
    };
    offset.clamp(edges.start, edges.end.max(edges.start))
}

/// What the reader should know of the range.
fn notes(range: Range, edges: &BTreeMap<i32, Edges>) -> Vec<String> {
    let mut gone = Vec::new();
    let mut open = Vec::new();
    for (index, edges) in edges {
        if let Bound::Each(from) | Bound::At(Position::Offset { offset: from, .. }) = range.start
            && from < edges.start
        {
            gone.push(format!("partition {index}: offsets {from} to {} are gone, its log begins at {}", edges.start - 1, edges.start));
        }
        let beyond = match range.end {
            Bound::Latest | Bound::BeforeEnd(0) => true,
            Bound::Each(until) | Bound::At(Position::Offset { offset: until, .. }) => until > edges.end,
            _ => false,
        };
        if beyond && edges.high > edges.end {
            let open_from = edges.end;
            open.push(format!(
                "partition {index}: a transaction is open since offset {open_from}; {} offsets from there on are not read",
                edges.high - open_from
            ));
        }
    }
    [gone, open].into_iter().flat_map(shorten).collect()
}

fn shorten(mut notes: Vec<String>) -> Vec<String> {
    let more = notes.len().saturating_sub(NOTES);
    notes.truncate(NOTES);
    if more > 0 {
        notes.push(format!("the same in {more} more partitions"));
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Timestamp;

    const EDGES: Edges = Edges { start: 100, end: 200, high: 200 };

    fn at(partition: i32, offset: i64) -> Bound {
        Bound::At(Position::Offset { partition, offset })
    }

    #[test]
    fn bounds_are_half_open_and_kept_within_what_is_there() {
        for (start, end, offsets) in [
            (Bound::Earliest, Bound::Latest, 100..200),
            (Bound::BeforeEnd(30), Bound::Latest, 170..200),
            (Bound::BeforeEnd(500), Bound::BeforeEnd(1), 100..199),
            (Bound::BeforeEnd(u64::MAX), Bound::Latest, 100..200),
            (Bound::Each(120), Bound::Each(130), 120..130),
            (Bound::Each(5), Bound::Each(1_000), 100..200),
            (at(0, 150), Bound::Latest, 150..200),
            (Bound::Each(130), Bound::Each(120), 130..130),
            (Bound::Latest, Bound::Latest, 200..200),
            (Bound::Time(Timestamp(1)), Bound::Time(Timestamp(2)), 110..200),
            (Bound::Earliest, Bound::Time(Timestamp(2)), 100..200),
        ] {
            let times = Times { start: [(0, Ok(110))].into(), searched: false };
            assert_eq!(part(Range { start, end }, 0, &EDGES, &times), offsets, "{start} to {end}");
        }
    }

    #[test]
    fn a_time_after_the_last_message_is_the_end() {
        let range = Range { start: Bound::Time(Timestamp(1)), end: Bound::Latest };
        assert_eq!(part(range, 0, &EDGES, &Times::default()), 200..200);
    }

    #[test]
    fn a_position_names_its_partition_and_a_sequence_none() {
        let named = |start, end| named_partitions("orders", Range { start, end }).map_err(|fault| fault.kind);
        assert_eq!(named(Bound::Earliest, Bound::Latest), Ok(vec![]));
        assert_eq!(named(at(3, 1), Bound::Latest), Ok(vec![3]));
        assert_eq!(named(at(3, 1), at(4, 2)), Ok(vec![3, 4]));
        assert_eq!(named(Bound::At(Position::Sequence(17)), Bound::Latest), Err(Kind::Usage));
    }

    #[test]
    fn what_is_gone_or_held_back_is_noted_and_many_notes_are_counted() {
        let edges = |count: i32| (0..count).map(|index| (index, Edges { start: 10, end: 20, high: 25 })).collect();
        let range = Range { start: Bound::Each(5), end: Bound::Latest };
        assert_eq!(
            notes(range, &edges(1)),
            [
                "partition 0: offsets 5 to 9 are gone, its log begins at 10",
                "partition 0: a transaction is open since offset 20; 5 offsets from there on are not read",
            ]
        );
        let many = notes(range, &edges(9));
        assert_eq!((many.len(), many[3].as_str()), (8, "the same in 6 more partitions"));
        assert_eq!(notes(Range { start: Bound::Earliest, end: Bound::Each(20) }, &edges(1)), Vec::<String>::new());
    }
}
