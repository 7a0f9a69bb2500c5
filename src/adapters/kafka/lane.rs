//! One partition of a range of history: fetched when asked for and a little ahead, walked as it is read.

use super::faults;
use super::link::cluster::{Cluster, OwnLane};
use super::link::cursor::Cursor;
use super::link::fetch::{Part, Patience, Verdict, Want};
use super::link::offsets::{At, Wanted};
use super::link::walk::{Damage, Partition};
use super::scan::{Scanned, scan};
use super::window::Window;
use crate::domain::fault::{Fault, Kind};
use crate::domain::position::Position;
use crate::domain::search::{MessageFilter, ScanBatch, Short};
use crate::domain::time::Timestamp;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::AbortOnDropHandle;

const OP: &str = "read";
/// How long the broker may wait for the first byte. What is asked for is there, so that this is hardly ever used.
const WAIT: Duration = Duration::from_millis(500);
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How a reading's lanes fetch.
#[derive(Clone)]
pub(super) struct Source {
    pub(super) cluster: Cluster,
    pub(super) lane: Arc<OwnLane>,
    /// Bytes asked for at once. A lane holds at most two answers.
    pub(super) most: usize,
    /// Fetches that may be under way at once, of all lanes: what waits for others on a connection must not be taken for slow.
    pub(super) flights: Arc<Semaphore>,
    /// How long a lane tries when nothing can be got.
    pub(super) patience: Duration,
}

/// A lane being read.
struct Reader {
    source: Source,
    cursor: Cursor,
    until: i64,
    window: Window,
    ahead: Option<Ahead>,
    /// Since when nothing was got, how often that was tried, and why.
    failing: Option<(Instant, u32, Fault)>,
    over: bool,
}

/// A lane being searched.
struct Scanner {
    reader: Reader,
    limits: ScanLimits,
    reached: Option<Timestamp>,
    /// Faults met in what was given last.
    met: VecDeque<Fault>,
    /// Cancelled with the lane, so that nobody goes on looking for it.
    over: CancellationToken,
    _end: DropGuard,
}

/// Who looks through the answers of a search.
pub(super) struct ScanLimits {
    pub(super) filter: Arc<dyn MessageFilter>,
    /// Answers that may be looked through at once, of all lanes.
    pub(super) count: Arc<Semaphore>,
    /// The lane ends when it has kept so many messages.
    pub(super) limit: u64,
    /// A lane that ends before its range does says how far it came.
    pub(super) patient: bool,
}

/// A fetch under way for a place not yet reached.
struct Ahead {
    want: Want,
    task: AbortOnDropHandle<Result<Part, Fault>>,
}

/// What a fetch came to.
enum Got {
    Part(Part),
    /// Something that was passed over.
    Passed(Option<Fault>),
    /// Nothing more can be had.
    Over(Fault),
}

impl Source {
    /// What a sieve keeps of the offsets `range` of a partition, as far as they belong to a window.
    pub(super) fn scan(
        self,
        partition: Partition,
        range: std::ops::Range<i64>,
        window: Window,
        limits: ScanLimits,
    ) -> BoxStream<'static, Result<ScanBatch, Fault>> {
        let over = CancellationToken::new();
        let end = over.clone().drop_guard();
        let scanner =
            Scanner { reader: self.reader(partition, range, window), limits, reached: None, met: VecDeque::new(), over, _end: end };
        stream::unfold(scanner, |mut scanner| async { scanner.next().await.map(|item| (item, scanner)) }).boxed()
    }

    fn reader(self, partition: Partition, range: std::ops::Range<i64>, window: Window) -> Reader {
        let cursor = Cursor::new(partition, range.start, self.most);
        Reader { source: self, cursor, until: range.end, window, ahead: None, failing: None, over: false }
    }

    /// Fetches one partition from whoever leads it now.
    pub(super) async fn fetch(&self, want: Want) -> Result<Part, Fault> {
        let _flight = self.flights.acquire().await;
        let leader = self.cluster.leader(&want.partition.topic, want.partition.index).await?;
        let patience = Patience { wait: WAIT, most: want.most };
        let wants = [want];
        let part = self.cluster.fetch(leader, self.lane.lane(), &wants, patience).await?.pop();
        part.ok_or_else(|| Fault::new(Kind::Protocol, OP, wants[0].partition.to_string(), "the broker's answer left the partition out"))
    }
}

impl Scanner {
    async fn next(&mut self) -> Option<Result<ScanBatch, Fault>> {
        if let Some(fault) = self.met.pop_front() {
            return Some(Err(fault));
        }
        let reader = &mut self.reader;
        if reader.over || reader.cursor.at >= reader.until {
            return None;
        }
        match reader.get().await {
            Got::Part(part) => {
                reader.fetch_ahead(&part);
                self.look_through(part).await.transpose()
            }
            Got::Passed(Some(fault)) => Some(Err(fault)),
            Got::Passed(None) => {
                let waits = reader.failing.as_ref().map(|(.., fault)| fault.clone());
                Some(Ok(ScanBatch { reached: self.reached, waits, ..ScanBatch::default() }))
            }
            Got::Over(fault) => {
                reader.over = true;
                if !self.limits.patient {
                    return Some(Err(fault));
                }
                let Reader { cursor, until, .. } = reader;
                let far = format!("{} was searched up to offset {} of {until}", cursor.partition, cursor.at);
                let next = if fault.next.as_str().is_empty() { far } else { format!("{}; {far}", fault.next) };
                Some(Err(fault.next(next)))
            }
        }
    }

    /// Looks through an answer on a thread that drives no connection.
    async fn look_through(&mut self, part: Part) -> Result<Option<ScanBatch>, Fault> {
        let before = self.reader.cursor.at;
        let walk = self.reader.cursor.walk(part, self.reader.until);
        let (filter, reached, over, window) = (self.limits.filter.clone(), self.reached, self.over.clone(), self.reader.window.clone());
        let (limit, hand) = (self.limits.limit, self.limits.count.clone().acquire_owned().await.ok());
        let scanning = tokio::task::spawn_blocking(move || {
            let _hand = hand;
            scan(walk, window, &*filter, reached, limit, &over)
        });
        let Ok(Scanned { walk, mut results, window, damages }) = scanning.await else {
            self.reader.over = true;
            return Err(Fault::new(Kind::Protocol, OP, self.reader.cursor.partition.to_string(), "looking through an answer failed"));
        };
        let cursor = &mut self.reader.cursor;
        self.met.extend(damages.iter().filter_map(|damage| cursor.damaged(OP, damage)));
        cursor.walked(&walk);
        self.reached = results.reached;
        self.limits.limit = self.limits.limit.saturating_sub(results.kept.len() as u64);
        self.reader.over = self.limits.limit == 0 || window.is_over();
        let reached = cursor.at.min(self.reader.until);
        let left = u64::try_from(self.reader.until - reached).unwrap_or(0);
        results.short = window.ended_by().map(|slack| Short { slack, unread: left });
        self.reader.window = window;
        let partition = &cursor.partition;
        results.last = Some((partition.topic.clone(), Position::Offset { partition: partition.index, offset: reached - 1 }));
        results.counts.passed = u64::try_from(reached - before).unwrap_or(0);
        Ok(Some(results))
    }
}

impl Reader {
    async fn get(&mut self) -> Got {
        let want = self.cursor.want();
        let fetched = match self.ahead.take().filter(|ahead| ahead.want == want) {
            Some(ahead) => match ahead.task.await {
                Ok(fetched) => fetched,
                Err(_) => self.source.fetch(want).await,
            },
            None => self.source.fetch(want).await,
        };
        let part = match fetched {
            Ok(part) => part,
            Err(fault) if fault.kind.is_transient() => return self.again(fault).await,
            Err(fault) => return Got::Over(fault),
        };
        match part.verdict() {
            Verdict::Good if part.records.is_empty() => self.nothing(&part).await,
            Verdict::Good => {
                self.failing = None;
                Got::Part(part)
            }
            Verdict::OutOfRange => self.gap().await,
            Verdict::Corrupt => {
                let fault = self.cursor.damaged(OP, &Damage::refused(self.cursor.at, faults::code_name(part.error)));
                self.cursor.jump_blindly();
                Got::Passed(fault)
            }
            Verdict::Moved => self.again(part.refusal(OP)).await,
            Verdict::Refused => Got::Over(part.refusal(OP)),
        }
    }

    /// After a failure that may pass: looks for the leader anew, for as long as one request may take.
    async fn again(&mut self, fault: Fault) -> Got {
        let (since, tries) = self.failing.as_ref().map_or((Instant::now(), 0), |(since, tries, _)| (*since, *tries));
        if since.elapsed() > self.source.patience {
            return Got::Over(fault);
        }
        self.failing = Some((since, tries + 1, fault));
        self.source.cluster.moved(&self.cursor.partition.topic);
        tokio::time::sleep((PAUSE * 2_u32.saturating_pow(tries.min(4))).min(LONGEST_PAUSE)).await;
        Got::Passed(None)
    }

    /// After an empty answer before the range's end: the log was cut off behind us, or only needs a moment.
    async fn nothing(&mut self, part: &Part) -> Got {
        let Partition { topic, index } = &self.cursor.partition;
        if part.high >= 0 && part.high <= self.cursor.at {
            let cause = format!("the partition ends at offset {} now: what stood behind it was cut off", part.high);
            let fault = Fault::new(Kind::Lost, OP, self.cursor.partition.place(self.cursor.at), cause);
            return Got::Over(fault.next("an unclean leader election or a new topic of the same name does this: read the range again"));
        }
        let cause = format!("the broker sends nothing from offset {} on, though its log goes on to {}", self.cursor.at, part.high);
        self.again(Fault::new(Kind::Timeout, OP, format!("{topic} partition {index}"), cause)).await
    }

    /// After the offset was refused: retention has passed us, or the log was cut off.
    async fn gap(&mut self) -> Got {
        let Partition { topic, index } = self.cursor.partition.clone();
        let start = Wanted { topic: topic.clone(), partition: index, at: At::Start };
        let found = self.source.cluster.offsets(&[start], 3).await.pop();
        let start = match found {
            Some(Ok(found)) => found.offset.unwrap_or(self.until),
            Some(Err(fault)) => return self.again(fault).await,
            None => self.until,
        };
        let at = self.cursor.at;
        let target = self.cursor.partition.place(at);
        if start <= at {
            let cause = "the offset does not exist any more: the log was cut off, or the topic was made anew";
            return Got::Over(Fault::new(Kind::Lost, OP, target, cause).next("read the range again"));
        }
        let behind = start.min(self.until);
        self.cursor.jump(behind);
        let cause = format!("{} offsets were deleted by retention before they could be read", behind - at);
        Got::Passed(Some(Fault::new(Kind::Lost, OP, target, cause).next(format!("reading goes on at offset {behind}"))))
    }

    /// Asks for what comes behind an answer while that is being read.
    fn fetch_ahead(&mut self, part: &Part) {
        let Some(end) = part.end().filter(|end| (self.cursor.at + 1..self.until).contains(end)) else { return };
        let want = Want { partition: self.cursor.partition.clone(), offset: end, most: self.source.most };
        let source = self.source.clone();
        let fetch = {
            let want = want.clone();
            async move { source.fetch(want).await }
        };
        self.ahead = Some(Ahead { want, task: AbortOnDropHandle::new(tokio::spawn(fetch)) });
    }
}
