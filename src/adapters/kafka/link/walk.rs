//! The record walk: one partition's fetched answer as messages. Tail, history and search all read through it.
//!
//! Left out are control batches, batches of aborted transactions (if the answer names any), what lies outside of the offsets
//! asked for (a batch may begin before the offset that was fetched), and the batch that is cut off at the answer's end. Damage
//! is said once for each batch, and the walk goes on behind it.

pub(crate) use super::batch::Damage;
use super::batch::{Batch, Batches, Cause, Header};
use super::record::{Malformed, Record, Records};
use crate::domain::fault::{Fault, Kind};
use crate::domain::message::{Header as MessageHeader, Message, Stamp};
use crate::domain::position::Position;
use crate::domain::time::Timestamp;
use bytes::Bytes;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

/// One partition of a topic.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Partition {
    pub(crate) topic: Arc<str>,
    pub(crate) index: i32,
}

/// A batch whose records are wanted, decompressed: its bytes can be searched before any record is read.
#[derive(Clone, Debug)]
pub(crate) struct Open {
    pub(crate) header: Header,
    pub(crate) bytes: Bytes,
    /// Where the walk over its records stands.
    at: usize,
    left: u32,
}

/// What comes next.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Step {
    /// At least one message.
    Messages(Vec<Message>),
    /// A batch that was passed over.
    Damaged(Damage),
    End,
}

/// A walk over one partition's answer.
#[derive(Clone, Debug)]
pub(crate) struct Walk {
    partition: Partition,
    batches: Batches,
    aborted: Aborted,
    open: Option<Open>,
    /// Damage that was met behind messages which had to be given first.
    held_back: Option<Damage>,
    /// The first offset wanted.
    from: i64,
    /// The first offset no longer wanted.
    until: i64,
    /// The offset behind everything walked.
    next: i64,
}

/// The aborted transactions of an answer (`aborted_transactions`): producer and first offset. In force from there to its abort marker.
#[derive(Clone, Debug, Default)]
struct Aborted {
    /// By first offset, the last one first.
    ahead: Vec<(i64, i64)>,
    producers: HashSet<i64>,
}

impl Walk {
    /// Walks `answer` for the offsets `from..until`.
    pub(crate) fn new(partition: Partition, answer: Bytes, from: i64, until: i64) -> Self {
        Self { partition, batches: Batches::new(answer), aborted: Aborted::default(), open: None, held_back: None, from, until, next: from }
    }

    /// Leaves out what these transactions wrote: producer id and first offset each.
    #[must_use]
    pub(crate) fn without_aborted(mut self, transactions: impl IntoIterator<Item = (i64, i64)>) -> Self {
        self.aborted.ahead = transactions.into_iter().collect();
        self.aborted.ahead.sort_unstable_by_key(|(_, first)| std::cmp::Reverse(*first));
        self
    }

    /// What is walked.
    pub(crate) fn partition(&self) -> &Partition {
        &self.partition
    }

    /// Whether an offset is asked for: a batch may hold others.
    pub(crate) fn wants(&self, offset: i64) -> bool {
        (self.from..self.until).contains(&offset)
    }

    /// The offset to fetch next, once the walk is at its end.
    pub(crate) fn next_offset(&self) -> i64 {
        self.next
    }

    /// How long the batch at the answer's end would be, if it is there in part only.
    pub(crate) fn cut_off(&self) -> Option<usize> {
        self.batches.cut_off()
    }

    /// From now on a batch that seems to be cut off is taken for damaged: an answer with room for it was asked for.
    pub(crate) fn insist(&mut self) {
        self.batches.insist();
    }

    /// The next batch that holds messages wanted. Not to be mixed with [`Walk::step`].
    pub(crate) fn next_batch(&mut self) -> Option<Result<Open, Damage>> {
        while self.next < self.until {
            let batch = match self.batches.next()? {
                Ok(batch) => batch,
                Err(damage) => return Some(Err(self.passed(damage))),
            };
            let header = batch.header;
            let wanted = self.aborted.keeps(&batch) && header.next_offset() > self.from && header.base_offset < self.until;
            self.next = self.next.max(header.next_offset());
            if wanted && header.count > 0 {
                let opened = batch.open().map(|bytes| Open { header, bytes, at: 0, left: header.count });
                return Some(opened);
            }
        }
        None
    }

    /// The next messages: about `most` of them, headers counted in.
    pub(crate) fn step(&mut self, most: usize) -> Step {
        if let Some(damage) = self.held_back.take() {
            return Step::Damaged(damage);
        }
        let mut out = Vec::new();
        let mut room = most;
        while room > 0 {
            let met = match self.open.take().map(Ok).or_else(|| self.next_batch()) {
                Some(Ok(open)) => self.take(open, &mut out, &mut room),
                Some(Err(damage)) => Some(damage),
                None => break,
            };
            match met {
                Some(damage) if out.is_empty() => return Step::Damaged(damage),
                Some(damage) => {
                    self.held_back = Some(damage);
                    break;
                }
                None => {}
            }
        }
        if out.is_empty() { Step::End } else { Step::Messages(out) }
    }

    /// Takes messages from an open batch while there is room, and keeps the batch if something of it is left.
    fn take(&mut self, mut open: Open, out: &mut Vec<Message>, room: &mut usize) -> Option<Damage> {
        let mut records = Records::resume(&open.bytes, open.at, open.left);
        out.reserve((open.left as usize).min(*room));
        while *room > 0 {
            let record = match records.next()? {
                Ok(record) => record,
                Err(malformed) => return Some(open.damage(malformed)),
            };
            let offset = open.header.offset_of(&record);
            if offset >= self.until {
                return None;
            }
            if offset >= self.from {
                *room = room.saturating_sub(1 + record.headers.len());
                out.push(open.message(&self.partition, offset, &record));
            }
        }
        (open.at, open.left) = records.position();
        self.open = Some(open);
        None
    }

    /// Moves on behind a batch whose frame is damaged.
    fn passed(&mut self, mut damage: Damage) -> Damage {
        if self.batches.is_empty() && damage.resume.is_some_and(|resume| resume <= self.from) {
            // A damaged header claims to end before what was asked for: the next fetch would bring the same batch.
            damage.resume = None;
        }
        self.next = match damage.resume {
            Some(resume) => self.next.max(resume),
            None => self.next.max(damage.base_offset).saturating_add(1),
        };
        damage
    }
}

impl Open {
    /// Its records from the first one on.
    pub(crate) fn records(&self) -> Records<'_> {
        Records::new(&self.bytes, self.header.count)
    }

    /// A record of this batch as a message that shares the batch's bytes.
    pub(crate) fn message(&self, partition: &Partition, offset: i64, record: &Record<'_>) -> Message {
        let share = |slice: &[u8]| self.bytes.slice_ref(slice);
        let (timestamp, stamp) = self.header.timestamp_of(record);
        Message {
            channel: partition.topic.clone(),
            position: Position::Offset { partition: partition.index, offset },
            timestamp,
            stamp,
            key: record.key.map(share),
            headers: record.headers.iter().map(|(name, value)| MessageHeader { name: share(name), value: value.map(share) }).collect(),
            payload: record.value.map(share),
        }
    }

    /// The damage of a batch in which a record is malformed.
    pub(crate) fn damage(&self, malformed: Malformed) -> Damage {
        let Header { base_offset, .. } = self.header;
        Damage { base_offset, cause: Cause::Record(malformed), resume: Some(self.header.next_offset()) }
    }
}

impl Header {
    /// The offset of a record of this batch.
    #[inline]
    pub(crate) fn offset_of(&self, record: &Record<'_>) -> i64 {
        self.base_offset.saturating_add(i64::from(record.offset_delta))
    }

    /// When a record was made or stored; −1 stands for no time.
    #[inline]
    pub(crate) fn timestamp_of(&self, record: &Record<'_>) -> (Option<Timestamp>, Stamp) {
        let (millis, stamp) = if self.is_stamped_by_broker() {
            (self.max_timestamp, Stamp::Stored)
        } else {
            (self.base_timestamp.saturating_add(record.timestamp_delta), Stamp::Created)
        };
        ((millis != -1).then_some(Timestamp(millis)), stamp)
    }
}

impl Aborted {
    /// Whether a batch holds messages that count. Must see every batch of the answer, in order.
    fn keeps(&mut self, batch: &Batch) -> bool {
        let header = &batch.header;
        while let Some((producer, _)) = self.ahead.pop_if(|(_, first)| *first < header.next_offset()) {
            self.producers.insert(producer);
        }
        if header.is_control() {
            if batch.aborts() {
                self.producers.remove(&header.producer_id);
            }
            return false;
        }
        !(header.is_transactional() && self.producers.contains(&header.producer_id))
    }
}

impl Partition {
    /// A place in it, as positions are written everywhere: `orders#0@1042`.
    pub(crate) fn place(&self, offset: i64) -> String {
        format!("{}#{}@{offset}", self.topic, self.index)
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} partition {}", self.topic, self.index)
    }
}

impl Damage {
    /// How many offsets are passed over, as far as that is known.
    pub(crate) fn offsets(&self) -> Option<u64> {
        self.resume.and_then(|resume| u64::try_from(resume.saturating_sub(self.base_offset)).ok())
    }

    /// What to tell the operator.
    pub(crate) fn fault(&self, op: &'static str, partition: &Partition) -> Fault {
        let index = partition.index;
        let target = partition.place(self.base_offset);
        let next = match (&self.cause, self.resume) {
            (Cause::OldFormat(_), _) => "an old log: rewrite it with a newer broker, or read it with a client of its time".to_owned(),
            (_, Some(resume)) => format!(
                "reading goes on at offset {resume}; a consumer that stops here can be set to {index}@{resume}, \
                 and a replica may still have the batch whole"
            ),
            (_, None) => "reading goes on behind it; compare the replicas of this partition".to_owned(),
        };
        Fault::new(Kind::Protocol, op, target, self.cause.to_string()).next(next)
    }
}

#[cfg(test)]
#[path = "walk_tests.rs"]
mod tests;
