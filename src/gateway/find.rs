//! `find`: a search through history. Every partition is looked through at once, matches come in the order in which a reading of all
//! messages would give them, and at every moment it is known what was looked at so far.

use super::filter::{Filter, Prefilter, Wanted};
use super::{Gateway, cannot};
use crate::adapters::session::Scan;
use crate::domain::address::Address;
use crate::domain::fault::Fault;
use crate::domain::figure;
use crate::domain::message::Message;
use crate::domain::position::{Position, Range};
use crate::domain::query::Query;
use crate::domain::search::{Kept, Path, ScanBatch, Scope, Short, Tally};
use crate::domain::time::Timestamp;
use futures::future::BoxFuture;
use futures::stream::{BoxStream, FuturesUnordered};
use futures::{FutureExt, StreamExt};
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Matches that a lane may hold while it waits for slower ones.
const HELD: usize = 2_000;
/// The same in bytes, for all lanes together.
const HELD_BYTES: usize = 16 << 20;

/// What is to be found, and where.
#[derive(Clone, Debug)]
pub struct Search {
    pub addresses: Vec<Address>,
    pub filter: Filter,
    pub range: Range,
    /// The search ends with this many messages, the first ones in the order of time.
    pub limit: Option<u64>,
    pub wanted: Wanted,
    /// A range that ends at a time is read to its last message, however far behind the end that may stand.
    pub exact: bool,
}

impl Search {
    /// A search of these channels as the query itself says it.
    pub fn new(addresses: Vec<Address>, filter: Filter) -> Self {
        let Query { from, until, limit, .. } = filter.query;
        let range = Range::between(from, until);
        Self { addresses, filter, range, limit, wanted: Wanted::Matches, exact: false }
    }

    fn scope(&self) -> Scope {
        let reach = self.filter.query.reach();
        Scope {
            range: self.range,
            offsets: reach.offsets,
            times: reach.times,
            partitions: reach.partitions,
            limit: self.limit.unwrap_or(u64::MAX),
            exact: self.exact,
            patient: true,
        }
    }
}

impl Gateway {
    /// Starts a search: resolves where it begins and ends in every partition. Dropping it ends it at once.
    pub async fn find(&self, search: Search) -> Result<Finding, Fault> {
        let scope = search.scope();
        let filter = Arc::new(Prefilter::new(search.filter, search.wanted));
        let mut scans = Vec::with_capacity(search.addresses.len());
        for address in search.addresses {
            let channel = self.named(&address)?;
            let session = self.reading(&address.integration).await?;
            let history = session.history.ok_or_else(|| cannot("read", &address.integration, "history"))?;
            let own = Arc::new(filter.of(&self.supervised(&address.integration)?.decoders));
            let scan = history.scan(&channel, &scope, own).await?;
            scans.push((address.integration, scan));
        }
        let mut finding = Finding::new(scans, filter, search.limit);
        finding.report.timed = search.range.is_timed();
        Ok(finding)
    }
}

/// A search at work.
pub struct Finding {
    lanes: Vec<Lane>,
    /// The lanes whose next items are waited for.
    asked: FuturesUnordered<BoxFuture<'static, Answer>>,
    filter: Arc<Prefilter>,
    limit: u64,
    held_bytes: usize,
    began: Instant,
    report: Report,
    /// What the reader should know before the first message.
    pub notes: Vec<String>,
}

type Batches = BoxStream<'static, Result<ScanBatch, Fault>>;

/// The number of a lane, its next item, and what comes behind it.
type Answer = (usize, Option<Result<ScanBatch, Fault>>, Batches);

struct Lane {
    integration: Arc<str>,
    /// `None` while its next item is waited for, and at its end.
    idle: Option<Batches>,
    ended: bool,
    held: VecDeque<Kept>,
    reached: Option<Timestamp>,
}

/// What happened since the last update.
#[derive(Debug, Default)]
pub struct Found {
    /// Messages with their integrations, in the order of time.
    pub messages: Vec<(Arc<str>, Message)>,
    /// What could not be read. A lane may go on behind it; the others do in any case.
    pub faults: Vec<Fault>,
    /// Why reading waits just now, if it does.
    pub waits: Option<Fault>,
}

/// What a search has done so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    pub counts: Tally,
    /// Messages that were handed on: fewer than matched while lanes wait for each other, or where a limit ended the search.
    pub given: u64,
    /// Upper bound of the messages to look at.
    pub at_most: u64,
    pub faults: u64,
    pub elapsed: Duration,
    /// The search has come to its end. What could not be read is counted in `faults`: see [`Report::is_whole`].
    pub complete: bool,
    /// What the first failure of a jq program said.
    pub said: Option<Arc<str>>,
    /// Whether the range's times told which messages belong to it.
    pub timed: bool,
    /// Reading ended so far behind the range's time that hardly anything of it can follow.
    pub short: Option<Short>,
    /// The last place that was looked at, by integration, channel and partition.
    pub read: HashMap<(Arc<str>, Arc<str>, i32), Position>,
}

impl Report {
    /// Whether a message that came live stands where history was read already.
    pub fn has_read(&self, integration: &Arc<str>, message: &Message) -> bool {
        // Mostly there is no history, and a flood is not to pay for it.
        if self.read.is_empty() {
            return false;
        }
        let place = (integration.clone(), message.channel.clone(), message.position.partition().unwrap_or(0));
        self.read.get(&place).is_some_and(|last| message.position <= *last)
    }
}

impl Finding {
    fn new(scans: Vec<(Arc<str>, Scan)>, filter: Arc<Prefilter>, limit: Option<u64>) -> Self {
        let (mut lanes, mut notes, mut at_most) = (Vec::new(), Vec::new(), 0);
        for (integration, scan) in scans {
            notes.extend(scan.notes);
            lanes.extend(scan.lanes.into_iter().map(|lane| {
                at_most += lane.at_most;
                Lane { integration: integration.clone(), idle: Some(lane.batches), ended: false, held: VecDeque::new(), reached: None }
            }));
        }
        let report = Report { at_most, ..Report::default() };
        let (limit, began) = (limit.unwrap_or(u64::MAX), Instant::now());
        Self { lanes, asked: FuturesUnordered::new(), filter, limit, held_bytes: 0, began, report, notes }
    }

    /// What was done so far.
    pub fn report(&self) -> Report {
        Report { elapsed: self.began.elapsed(), said: self.filter.said(), ..self.report.clone() }
    }

    /// What happened next: messages, or only progress. `None` when the search has come to its end.
    pub async fn next(&mut self) -> Option<Found> {
        if self.report.complete {
            return None;
        }
        let mut found = Found::default();
        if self.report.given < self.limit {
            self.ask();
            if let Some(answer) = self.asked.next().await {
                self.take(answer, &mut found);
            }
            self.give(&mut found.messages);
        }
        if self.report.given >= self.limit || self.lanes.iter().all(|lane| lane.ended && lane.held.is_empty()) {
            self.report.complete = true;
            self.asked.clear();
            self.lanes.clear();
        }
        Some(found)
    }

    /// Asks every lane for more that does not hold enough already. One that holds nothing is always asked: others wait for it.
    fn ask(&mut self) {
        let most = usize::try_from(self.limit - self.report.given).unwrap_or(usize::MAX).min(HELD);
        let room = self.held_bytes < HELD_BYTES;
        for (number, lane) in self.lanes.iter_mut().enumerate() {
            if (lane.held.is_empty() || (room && lane.held.len() < most))
                && let Some(mut batches) = lane.idle.take()
            {
                self.asked.push(async move { (number, batches.next().await, batches) }.boxed());
            }
        }
    }

    fn take(&mut self, (number, item, batches): Answer, found: &mut Found) {
        let lane = &mut self.lanes[number];
        match item {
            Some(Ok(scanned)) => {
                self.report.counts.add(&scanned.counts);
                if let Some((channel, last)) = scanned.last {
                    let place = (lane.integration.clone(), channel, last.partition().unwrap_or(0));
                    self.report.read.insert(place, last);
                }
                lane.reached = scanned.reached;
                if let Some(Short { slack, unread }) = scanned.short {
                    let sum = self.report.short.get_or_insert(Short { slack, unread: 0 });
                    *sum = Short { slack: sum.slack.min(slack), unread: sum.unread + unread };
                }
                found.waits = scanned.waits;
                self.held_bytes += scanned.kept.iter().map(|kept| kept.message.size()).sum::<usize>();
                lane.held.extend(scanned.kept);
            }
            Some(Err(fault)) => {
                self.report.faults += 1;
                found.faults.push(fault);
            }
            None => {
                lane.ended = true;
                return;
            }
        }
        lane.idle = Some(batches);
    }

    /// Gives what no lane can have anything before any more.
    ///
    /// Merged by timestamp, a message comes after all that precede it in its lane; so its place is the latest timestamp up to it, and
    /// among equal ones the first lane comes first.
    fn give(&mut self, messages: &mut Vec<(Arc<str>, Message)>) {
        while self.report.given < self.limit {
            let heads = self.lanes.iter().enumerate().filter_map(|(number, lane)| lane.held.front().map(|kept| (kept.reached, number)));
            let Some(first) = heads.min() else { return };
            let behind = |(number, lane): (usize, &Lane)| lane.ended || !lane.held.is_empty() || (lane.reached, number) > first;
            if !self.lanes.iter().enumerate().all(behind) {
                return;
            }
            let lane = &mut self.lanes[first.1];
            if let Some(kept) = lane.held.pop_front() {
                self.held_bytes -= kept.message.size();
                self.report.given += 1;
                messages.push((lane.integration.clone(), kept.message));
            }
        }
    }
}

impl Report {
    /// How sure it is that all of a range of times was looked at: `exact`, or `slack 10m`; `None` where no times bound it.
    pub fn time_bound(&self) -> Option<String> {
        self.timed.then(|| self.short.map_or_else(|| "exact".to_owned(), |short| format!("slack {}", compact(short.slack))))
    }

    /// Whether everything was looked at, or as much as the limit needed, and nothing of it could not be read.
    pub fn is_whole(&self) -> bool {
        self.complete && self.faults == 0
    }

    /// How much of the range was passed, from 0 to 1; `None` if the range is empty.
    pub fn progress(&self) -> Option<f64> {
        (self.at_most > 0).then(|| (self.counts.passed as f64 / self.at_most as f64).min(1.0))
    }

    /// How long it will go on at the speed so far; `None` before anything is known.
    pub fn eta(&self) -> Option<Duration> {
        let done = self.progress().filter(|done| *done > 0.0)?;
        Some(self.elapsed.mul_f64((1.0 - done) / done))
    }

    /// Messages and bytes a second.
    pub fn rates(&self) -> (f64, f64) {
        let seconds = self.elapsed.as_secs_f64().max(1e-6);
        (self.counts.scanned as f64 / seconds, self.counts.bytes as f64 / seconds)
    }

    /// How far it is: `42 %  2,100,000 scanned  17 matched  4.8 M/s  ETA 3 s`.
    pub fn progress_line(&self) -> String {
        let percent = self.progress().map_or_else(|| "–".to_owned(), |done| format!("{:.0} %", done * 100.0));
        let eta = self.eta().map_or_else(|| "–".to_owned(), figure::duration);
        let Tally { scanned, matched, .. } = self.counts;
        let (rate, _) = self.rates();
        format!("{percent}  {} scanned  {} matched  {}/s  ETA {eta}", figure::count(scanned), figure::count(matched), figure::rate(rate))
    }
}

impl Report {
    /// What an exact reading would look at beyond what was read, if anything.
    pub fn short_words(&self) -> Option<String> {
        let Short { slack, unread } = self.short?;
        Some(format!("time bound: slack {}; --exact would look at up to {} more messages", compact(slack), figure::grouped(unread)))
    }
}

/// A duration as a profile writes it: `10m`.
fn compact(duration: Duration) -> String {
    match duration.as_secs() {
        seconds if seconds % 3_600 == 0 && seconds > 0 => format!("{}h", seconds / 3_600),
        seconds if seconds % 60 == 0 && seconds > 0 => format!("{}m", seconds / 60),
        seconds => format!("{seconds}s"),
    }
}

/// The closing report in one sentence.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally { scanned, matched, undecodable, failed, bytes, paths, .. } = self.counts;
        let (rate, byte_rate) = self.rates();
        write!(f, "scanned {}, matched {}", figure::grouped(scanned), figure::grouped(matched))?;
        if self.complete && self.given < matched {
            write!(f, " (the first {} given)", figure::grouped(self.given))?;
        }
        write!(f, ", undecodable {}, filter errors {}", figure::grouped(undecodable), figure::grouped(failed))?;
        if let Some(said) = self.said.as_ref() {
            write!(f, " ({})", crate::domain::text::SafeText::new(said))?;
        }
        if self.faults > 0 {
            write!(f, ", {} could not be read", if self.faults == 1 { "1 part".to_owned() } else { format!("{} parts", self.faults) })?;
        }
        write!(f, "; {} in {:.2} s", figure::bytes(bytes), self.elapsed.as_secs_f64())?;
        write!(f, ", {} messages/s, {}/s", figure::rate(rate), figure::bytes(byte_rate as u64))?;
        let ways = Path::ALL.into_iter().zip(paths).filter(|(_, count)| *count > 0);
        let ways: Vec<_> = ways.map(|(path, count)| format!("{} {}", path.words(), figure::grouped(count))).collect();
        if !ways.is_empty() {
            write!(f, "; {}", ways.join(", "))?;
        }
        self.short_words().map_or(Ok(()), |words| write!(f, "; {words}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::session::ScanLane;
    use crate::domain::fault::Kind;
    use crate::domain::search::Verdict;
    use futures::stream;

    fn lane(partition: i32, batches: Vec<Result<Vec<i64>, Fault>>) -> ScanLane {
        let (mut offset, mut reached) = (0, None);
        let mut kept = move |time| {
            offset += 1;
            reached = reached.max(Some(Timestamp(time)));
            let message = Message { timestamp: Some(Timestamp(time)), ..Message::at("orders", Position::Offset { partition, offset }) };
            Kept { message, verdict: Verdict::Passes, reached }
        };
        let batches: Vec<_> = batches
            .into_iter()
            .map(|batch| {
                batch.map(|times| {
                    let kept: Vec<Kept> = times.into_iter().map(&mut kept).collect();
                    ScanBatch { reached: kept.last().and_then(|kept| kept.reached), kept, ..ScanBatch::default() }
                })
            })
            .collect();
        ScanLane { partition: Some(partition), at_most: 0, batches: stream::iter(batches).boxed() }
    }

    async fn found(lanes: Vec<ScanLane>) -> (Vec<i64>, Vec<Fault>) {
        let filter = Arc::new(Prefilter::new(Filter::parse("").expect("a query"), Wanted::Matches));
        let mut finding = Finding::new(vec![("events".into(), Scan { lanes, notes: Vec::new() })], filter, None);
        let (mut times, mut faults) = (Vec::new(), Vec::new());
        while let Some(found) = finding.next().await {
            times.extend(found.messages.iter().filter_map(|(_, message)| message.timestamp).map(|time| time.0));
            faults.extend(found.faults);
        }
        (times, faults)
    }

    #[tokio::test]
    async fn partitions_are_merged_by_time_across_batches() {
        let lanes = vec![lane(0, vec![Ok(vec![1, 4]), Ok(vec![9])]), lane(1, vec![Ok(vec![2, 3, 5, 6, 7, 8])]), lane(2, vec![])];
        assert_eq!(found(lanes).await, ((1..=9).collect(), vec![]));
    }

    #[tokio::test]
    async fn times_that_run_backwards_keep_their_partitions_order() {
        assert_eq!(found(vec![lane(0, vec![Ok(vec![5, 1, 6])]), lane(1, vec![Ok(vec![2, 7])])]).await.0, vec![2, 5, 1, 6, 7]);
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_named_and_reading_goes_on_behind_it() {
        let fault = Fault::new(Kind::Protocol, "read", "orders partition 0", "corrupt batch");
        let lanes = vec![lane(0, vec![Ok(vec![1]), Err(fault.clone()), Ok(vec![4])]), lane(1, vec![Ok(vec![2, 3, 5])])];
        assert_eq!(found(lanes).await, (vec![1, 2, 3, 4, 5], vec![fault]));
    }
}
