//! A search as data: what of a channel it has to look at, how a message is decided on, and what was counted.

use super::fault::Fault;
use super::message::{Message, RawMessage};
use super::position::{Position, Range};
use super::time::Timestamp;
use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

/// What of a channel a search has to look at. Nothing outside of it is wanted.
#[derive(Clone, Debug, PartialEq)]
pub struct Scope {
    pub range: Range,
    /// Both ends belong to it, in each partition.
    pub offsets: RangeInclusive<i64>,
    /// Both ends belong to it. Timestamps need not rise with offsets.
    pub times: RangeInclusive<i64>,
    /// `None` means all of them.
    pub partitions: Option<BTreeSet<i32>>,
    /// No lane needs to keep more messages than this: it may end with the last of them.
    pub limit: u64,
    /// A range that ends at a time is read to its last message, however far behind the end that may stand.
    pub exact: bool,
    /// What is gone for a while is waited for longer than one answer, and a lane that is given up says how far it came.
    pub patient: bool,
}

impl Scope {
    /// All of a range.
    pub fn of(range: Range) -> Self {
        Self {
            range,
            offsets: i64::MIN..=i64::MAX,
            times: i64::MIN..=i64::MAX,
            partitions: None,
            limit: u64::MAX,
            exact: false,
            patient: false,
        }
    }

    pub fn holds(&self, partition: i32) -> bool {
        self.partitions.as_ref().is_none_or(|wanted| wanted.contains(&partition))
    }
}

/// What a search wants, asked where the bytes are. Called by many at once, and never waits.
pub trait MessageFilter: Send + Sync {
    /// Looks at the bytes in which several messages lie as they are, keys, headers and payloads whole: what they lack, all of them lack.
    fn prefilter_chunk(&self, bytes: &[u8]) -> ChunkHint;

    /// Decides on one message; `prefilter_chunk` is what was seen of the bytes that it lies in.
    fn evaluate(&self, message: &RawMessage<'_>, hint: ChunkHint) -> Evaluation;
}

/// What a look at the bytes of several messages showed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChunkHint {
    /// The number of a thing that every match has, and that none of them has.
    pub lacks: Option<u16>,
}

/// What became of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evaluation {
    pub verdict: Verdict,
    pub path: Path,
    /// Whether the message is to be handed on.
    pub keep: bool,
}

/// What a query says of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Passes,
    Fails,
    /// The payload could not be decoded, and the answer depends on it: counted, never silently skipped.
    Undecodable,
    /// The query itself failed on it, as jq programs do.
    Failed,
}

/// What it took to decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// A look at the raw bytes.
    Literal,
    /// JSON read up to the places asked for.
    Lazy,
    /// The whole payload decoded.
    Decoded,
    /// A jq program run.
    Jq,
}

impl Path {
    pub const ALL: [Self; 4] = [Self::Literal, Self::Lazy, Self::Decoded, Self::Jq];

    /// What is said of it in a report.
    pub fn words(self) -> &'static str {
        match self {
            Self::Literal => "by raw bytes",
            Self::Lazy => "by JSON path",
            Self::Decoded => "decoded",
            Self::Jq => "by jq",
        }
    }

    /// Its name in JSON.
    pub fn id(self) -> &'static str {
        match self {
            Self::Literal => "literal",
            Self::Lazy => "lazy",
            Self::Decoded => "decoded",
            Self::Jq => "jq",
        }
    }
}

/// What was looked at since the last item, and what was kept of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ScanBatch {
    /// In the order of the log, in memory of their own.
    pub kept: Vec<Kept>,
    pub counts: Tally,
    /// The latest timestamp of the lane up to here: what comes behind belongs after every message of another lane up to this time.
    pub reached: Option<Timestamp>,
    /// The last place that was looked at, where places last, with its channel as messages name it: what a live tail tells up to there was
    /// looked at as well.
    pub last: Option<(Arc<str>, Position)>,
    /// Why reading waits just now, if it does: it goes on by itself, or the lane ends with an error.
    pub waits: Option<Fault>,
    /// The lane ends here because what follows is taken to be later than the range's time.
    pub short: Option<Short>,
}

/// A lane that ended so far behind the time of its range that hardly anything of it can follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Short {
    /// How much later the stamps were.
    pub slack: Duration,
    /// Upper bound of the messages that were not looked at.
    pub unread: u64,
}

/// A message that was kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Kept {
    pub message: Message,
    pub verdict: Verdict,
    /// The latest timestamp of the lane up to this message: its place among the messages of all lanes.
    pub reached: Option<Timestamp>,
}

/// Messages counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub scanned: u64,
    pub matched: u64,
    pub undecodable: u64,
    pub failed: u64,
    /// Of keys, headers and payloads.
    pub bytes: u64,
    /// Places of the log that were passed, messages or not, up to the lane's `at_most`.
    pub passed: u64,
    /// By what it took to decide, in the order of [`Path::ALL`].
    pub paths: [u64; 4],
}

impl Tally {
    /// Counts one message of that size.
    pub fn count(&mut self, evaluation: Evaluation, size: usize) {
        self.scanned += 1;
        self.bytes += size as u64;
        self.paths[evaluation.path as usize] += 1;
        match evaluation.verdict {
            Verdict::Passes => self.matched += 1,
            Verdict::Fails => {}
            Verdict::Undecodable => self.undecodable += 1,
            Verdict::Failed => self.failed += 1,
        }
    }

    /// Adds what another one counted.
    pub fn add(&mut self, other: &Self) {
        self.scanned += other.scanned;
        self.matched += other.matched;
        self.undecodable += other.undecodable;
        self.failed += other.failed;
        self.bytes += other.bytes;
        self.passed += other.passed;
        for (sum, more) in self.paths.iter_mut().zip(other.paths) {
            *sum += more;
        }
    }
}

impl ScanBatch {
    /// Counts a message that does not belong to the range.
    pub fn pass_over(&mut self, raw: &RawMessage<'_>) {
        self.counts.count(Evaluation { verdict: Verdict::Fails, path: Path::Literal, keep: false }, raw.size());
        self.reached = self.reached.max(raw.timestamp);
    }

    /// Has a sieve decide on one message; `detach` makes it a message of its own where it is kept.
    pub fn take(&mut self, filter: &dyn MessageFilter, hint: ChunkHint, raw: &RawMessage<'_>, detach: impl FnOnce() -> Message) {
        let evaluation = filter.evaluate(raw, hint);
        self.counts.count(evaluation, raw.size());
        self.reached = self.reached.max(raw.timestamp);
        if evaluation.keep {
            self.kept.push(Kept { message: detach(), verdict: evaluation.verdict, reached: self.reached });
        }
    }
}
