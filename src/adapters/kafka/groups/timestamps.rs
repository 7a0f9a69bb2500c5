//! When the messages at positions were made: one record of each is fetched, in answers as small as the batches allow.
//!
//! A batch comes whole or not at all, but for the first of an answer; so little is asked for at first, and more where nothing came.

use super::super::faults;
use super::super::link::cursor::Cursor;
use super::super::link::fetch::{MOST_BYTES, Part, Patience, Verdict, Want};
use super::super::link::offsets::{At, Found, Wanted};
use super::super::link::walk::{Partition, Step};
use super::KafkaGroups;
use crate::domain::fault::{Fault, Kind};
use crate::domain::group::{Mark, Stamped};
use futures::StreamExt;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

const OP: &str = "read the time at";
/// Bytes of one partition, attempt by attempt; the last has an answer to itself, in which its first batch comes whatever its size.
const SIZES: [usize; 3] = [4 << 10, 64 << 10, 1 << 20];
/// Answers that are waited for at once, and so at most about as many times [`MOST_BYTES`] of memory.
const AT_ONCE: usize = 4;
/// How often a partition is asked: behind a position there may be holes, marks of transactions and a leader that moves.
const ROUNDS: u32 = 12;
const PAUSE: Duration = Duration::from_millis(100);
const LEADER_NOT_AVAILABLE: i16 = 5;

/// A mark whose time is not known yet.
struct Open<'a> {
    mark: &'a Mark,
    cursor: Cursor,
    /// Index of [`SIZES`].
    size: usize,
}

/// What an answer means for a mark.
enum Next {
    Known(Stamped),
    /// Ask on, with the cursor and size as they are now.
    Again,
    /// The position is not in the log: before its start or behind its end.
    Outside,
    /// Ask another leader.
    Moved(Fault),
}

impl KafkaGroups {
    pub(super) async fn stamps_of(&self, marks: &[Mark]) -> Vec<Stamped> {
        let mut known: HashMap<&Mark, Stamped> = HashMap::new();
        let mut open: Vec<Open<'_>> = marks.iter().collect::<BTreeSet<_>>().into_iter().filter_map(Open::new).collect();
        let topics: BTreeSet<&str> = marks.iter().map(|mark| &*mark.channel).collect();
        // What cannot be learnt is told mark by mark.
        let _ = self.cluster.learn(&topics.into_iter().collect::<Vec<_>>()).await;
        for round in 1..=ROUNDS {
            let mut outside = Vec::new();
            let mut moved = false;
            let mut left = Vec::new();
            for (mut one, part) in self.ask(open).await {
                let next = part.map_or_else(Next::of_fault, |part| one.read(part));
                match next {
                    Next::Known(stamped) => drop(known.insert(one.mark, stamped)),
                    Next::Again => left.push(one),
                    Next::Outside => outside.push(one),
                    Next::Moved(fault) if round == ROUNDS || !fault.kind.is_transient() => drop(known.insert(one.mark, Err(fault))),
                    Next::Moved(_) => {
                        self.cluster.moved(&one.mark.channel);
                        moved = true;
                        left.push(one);
                    }
                }
            }
            left.extend(self.moved_to_start(outside, &mut known).await);
            open = left;
            if open.is_empty() {
                break;
            }
            if moved {
                tokio::time::sleep(PAUSE * round).await;
            }
        }
        let unknown = |mark: &Mark| Fault::new(Kind::Lost, OP, target(mark), "no message was found near the position");
        marks.iter().map(|mark| known.get(mark).cloned().unwrap_or_else(|| Err(unknown(mark)))).collect()
    }

    /// One answer for each open mark.
    async fn ask<'a>(&self, open: Vec<Open<'a>>) -> Vec<(Open<'a>, Result<Part, Fault>)> {
        let mut answered = Vec::with_capacity(open.len());
        let mut by_leader: BTreeMap<(i32, usize), Vec<Open<'a>>> = BTreeMap::new();
        for one in open {
            match self.leader_of(&one.cursor.partition).await {
                Ok(leader) => by_leader.entry((leader, one.size)).or_default().push(one),
                Err(fault) => answered.push((one, Err(fault))),
            }
        }
        let requests = by_leader.into_iter().flat_map(|((leader, size), open)| {
            let most = if size + 1 == SIZES.len() { 1 } else { MOST_BYTES / SIZES[size] };
            packed(open, most).into_iter().map(move |open| (leader, open))
        });
        let requests: Vec<_> = requests.map(|(leader, open)| self.ask_leader(leader, open)).collect();
        let answers: Vec<_> = futures::stream::iter(requests).buffer_unordered(AT_ONCE).collect().await;
        answered.extend(answers.into_iter().flatten());
        answered
    }

    async fn ask_leader<'a>(&self, leader: i32, open: Vec<Open<'a>>) -> Vec<(Open<'a>, Result<Part, Fault>)> {
        let wants: Vec<Want> = open.iter().map(|one| Want { most: SIZES[one.size], ..one.cursor.want() }).collect();
        let patience = Patience { wait: Duration::ZERO, most: MOST_BYTES };
        let parts = match self.cluster.fetch_all(leader, self.lane(2), &wants, patience).await {
            Ok(parts) => parts,
            Err(fault) => return open.into_iter().map(|one| (one, Err(fault.clone()))).collect(),
        };
        let mut parts: HashMap<Partition, Part> = parts.into_iter().map(|part| (part.partition.clone(), part)).collect();
        let left_out = |mark: &Mark| Fault::new(Kind::Protocol, OP, target(mark), "the broker's answer left the partition out");
        let answers = open.into_iter().map(|one| {
            let part = parts.remove(&one.cursor.partition).ok_or_else(|| left_out(one.mark));
            (one, part)
        });
        answers.collect()
    }

    async fn leader_of(&self, of: &Partition) -> Result<i32, Fault> {
        let topic = self.cluster.topic(&of.topic).await?;
        let target = || format!("{} partition {}", of.topic, of.index);
        let partition = topic.partition(of.index).ok_or_else(|| Fault::new(Kind::NotFound, OP, target(), "there is no such partition"))?;
        partition.leader.ok_or_else(|| faults::refused(OP, target(), LEADER_NOT_AVAILABLE, None))
    }

    /// Marks before the start of their logs go on there; behind the end there is nothing.
    async fn moved_to_start<'a>(&self, outside: Vec<Open<'a>>, known: &mut HashMap<&'a Mark, Stamped>) -> Vec<Open<'a>> {
        if outside.is_empty() {
            return Vec::new();
        }
        let start = |Partition { topic, index }: Partition| Wanted { topic, partition: index, at: At::Start };
        let wanted = outside.iter().map(|one| start(one.cursor.partition.clone()));
        let starts = self.cluster.offsets_on(self.lane(2), &wanted.collect::<Vec<_>>(), 1).await;
        let mut left = Vec::new();
        for (mut one, start) in outside.into_iter().zip(starts) {
            match start {
                Ok(Found { offset: Some(start), .. }) if start > one.cursor.at => {
                    one.cursor.jump(start);
                    left.push(one);
                }
                Ok(_) => drop(known.insert(one.mark, Ok(None))),
                Err(fault) => drop(known.insert(one.mark, Err(fault))),
            }
        }
        left
    }
}

/// Parts in which no partition stands twice and that hold `most` at most: a broker answers for a partition once in a request.
fn packed(open: Vec<Open<'_>>, most: usize) -> Vec<Vec<Open<'_>>> {
    let mut packs: Vec<Vec<Open<'_>>> = Vec::new();
    // How often a partition was met says in which row of packs it goes; each row is cut into packs of `most`.
    let mut met: HashMap<Partition, usize> = HashMap::new();
    let mut rows: Vec<Vec<Open<'_>>> = Vec::new();
    for one in open {
        let met = met.entry(one.cursor.partition.clone()).or_default();
        if rows.len() == *met {
            rows.push(Vec::new());
        }
        rows[*met].push(one);
        *met += 1;
    }
    for mut row in rows {
        while !row.is_empty() {
            let rest = row.split_off(row.len().min(most));
            packs.push(std::mem::replace(&mut row, rest));
        }
    }
    packs
}

impl Next {
    fn of_fault(fault: Fault) -> Self {
        if fault.kind.is_transient() { Self::Moved(fault) } else { Self::Known(Err(fault)) }
    }
}

impl<'a> Open<'a> {
    /// `None` if the mark is no place in a partition.
    fn new(mark: &'a Mark) -> Option<Self> {
        let (index, offset) = mark.in_partition()?;
        let partition = Partition { topic: Arc::clone(&mark.channel), index };
        Some(Self { mark, cursor: Cursor::new(partition, offset, SIZES[SIZES.len() - 1]), size: 0 })
    }

    fn read(&mut self, part: Part) -> Next {
        match part.verdict() {
            Verdict::Good => {}
            Verdict::OutOfRange => return Next::Outside,
            Verdict::Moved => return Next::Moved(part.refusal(OP)),
            Verdict::Corrupt | Verdict::Refused => return Next::Known(Err(part.refusal(OP))),
        }
        let (high, empty) = (part.high, part.records.is_empty());
        if self.cursor.at >= high {
            return Next::Known(Ok(None));
        }
        let before = self.cursor.at;
        let mut walk = self.cursor.walk(part, i64::MAX);
        match walk.step(1) {
            Step::Messages(messages) => Next::Known(Ok(messages.first().and_then(|message| message.timestamp))),
            Step::Damaged(damage) => Next::Known(Err(damage.fault(OP, &self.cursor.partition))),
            Step::End => {
                self.cursor.walked(&walk);
                if empty || self.cursor.at == before {
                    self.size = (self.size + 1).min(SIZES.len() - 1);
                }
                Next::Again
            }
        }
    }
}

fn target(mark: &Mark) -> String {
    format!("{} {}", mark.channel, mark.position)
}
