//! `Record`: what a journal is made of, and its bytes. `docs/journal.md` describes them; a change here is another version of the format.

use crate::domain::position::Position;
use crate::domain::receipt::Receipt;
use crate::domain::replay::letter::{LetterState, RunState};
use crate::domain::replay::run::Change;
use crate::domain::replay::spans::Span;
use crate::domain::time::Timestamp;

/// What a file begins with; behind it are eight bytes of salt.
pub(super) const MAGIC: &[u8; 16] = b"mqdeck-journal1\n";
/// Magic and salt.
pub(super) const PREFIX: usize = MAGIC.len() + 8;
/// Length, kind and number, which stand before a payload.
pub(super) const HEAD: usize = 9;
/// The checksum behind it.
pub(super) const CHECK: usize = 4;
/// The longest payload. A reader needs no more memory than that.
pub(super) const LONGEST: usize = 1024 * 1024;
/// How much of an edited message a record has; a longer one is several records.
const PIECE: usize = 512 * 1024;
/// The longest source id.
pub(super) const LONGEST_SOURCE: usize = 4096;
/// Where the reason of a failure is cut off.
const LONGEST_REASON: usize = 4096;

/// The kinds of record, by their codes.
pub(super) const HEADER: u8 = 1;
const LETTER: u8 = 2;
const RANGE: u8 = 3;
const RUN: u8 = 4;
const PACE: u8 = 5;
const EDIT: u8 = 6;
const CHECKPOINT: u8 = 7;
/// The last of them.
pub(super) const LAST_KIND: u8 = CHECKPOINT;

/// The code of letters that died again, behind those of the states.
const DIED_AGAIN: u8 = LetterState::ALL.len() as u8;

/// One record; its texts and bytes lie where they were read.
#[derive(Clone, Debug, PartialEq)]
pub enum Record<'a> {
    /// What became of letters.
    Letters(Letters<'a>),
    /// What the run does now, and why.
    Run { state: RunState, time: Timestamp, reason: &'a str },
    /// How fast it goes from now on.
    Pace { pace: Pace, time: Timestamp },
    /// The bytes that are sent in the place of a letter, in one form that its runner knows. They are written whole; of many a reader gets
    /// several pieces.
    Edit { lane: u32, number: u64, first: bool, last: bool, bytes: &'a [u8] },
    /// Everything before this length of the file is on the disk. Written by the journal itself.
    Checkpoint { synced: u64 },
}

/// What became of one letter, or of a range of letters.
#[derive(Clone, Debug, PartialEq)]
pub struct Letters<'a> {
    pub span: Span,
    pub step: Step,
    /// Which attempt this is, from 1; 0 where nothing was attempted.
    pub attempt: u16,
    pub time: Timestamp,
    /// What the source knows the letter by, where that is not its number: an entry's id, a fingerprint. May be empty.
    pub source: &'a [u8],
    /// What the target promised.
    pub receipt: Option<Receipt>,
    /// Why it failed, was skipped or is unknown.
    pub reason: &'a str,
}

/// What can happen to letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// They are in this state now.
    To(LetterState),
    /// They were settled, and are dead again.
    DiedAgain,
}

/// How many letters are begun at most.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rate {
    /// As many as the systems take.
    Unlimited,
    /// So many in a second.
    PerSecond(f64),
}

impl Rate {
    /// The number, where there is one.
    pub fn per_second(self) -> Option<f64> {
        match self {
            Self::Unlimited => None,
            Self::PerSecond(rate) => Some(rate),
        }
    }

    /// A rate with a sound number.
    pub(super) fn is_sound(self) -> bool {
        self.per_second().is_none_or(|rate| rate.is_finite() && rate > 0.0)
    }
}

/// How fast a run goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    pub rate: Rate,
    /// How many letters are under way at most.
    pub window: u32,
}

impl Pace {
    /// A pace with sound figures.
    pub fn is_sound(self) -> bool {
        self.window > 0 && self.rate.is_sound()
    }
}

impl Letters<'_> {
    /// A step of letters of which nothing else is said.
    pub fn new(span: Span, step: Step, time: Timestamp) -> Self {
        Self { span, step, attempt: 0, time, source: &[], receipt: None, reason: "" }
    }

    pub(super) fn change(&self) -> Change {
        match self.step {
            Step::To(state) => Change::Letters(self.span, state),
            Step::DiedAgain => Change::DiedAgain(self.span),
        }
    }
}

impl<'a> Record<'a> {
    /// What is sent in the place of a letter.
    pub fn edit(lane: u32, number: u64, bytes: &'a [u8]) -> Self {
        Self::Edit { lane, number, first: true, last: true, bytes }
    }

    /// What it changes in the run.
    pub(super) fn change(&self) -> Option<Change> {
        match self {
            Self::Letters(letters) => Some(letters.change()),
            Self::Run { state, .. } => Some(Change::Run(*state)),
            Self::Pace { .. } | Self::Edit { .. } | Self::Checkpoint { .. } => None,
        }
    }

    /// How many records it becomes.
    pub(super) fn pieces(&self) -> usize {
        match self {
            Self::Edit { bytes, .. } => bytes.len().div_ceil(PIECE).max(1),
            _ => 1,
        }
    }

    /// Its records' bytes, the first of this number.
    pub(super) fn encode(&self, number: u32, salt: u64, out: &mut Vec<u8>) {
        match self {
            Self::Letters(letters) => letters.encode(number, salt, out),
            Self::Run { state, time, reason } => frame(RUN, number, salt, out, |out| {
                out.push(*state as u8);
                put_time(*time, out);
                put_text(reason, out);
            }),
            Self::Pace { pace, time } => frame(PACE, number, salt, out, |out| {
                put_time(*time, out);
                out.extend(pace.rate.per_second().unwrap_or(0.0).to_le_bytes());
                out.extend(pace.window.to_le_bytes());
            }),
            Self::Edit { lane, number: letter, first, last, bytes } => {
                let count = self.pieces();
                for index in 0..count {
                    let piece = &bytes[index * PIECE..bytes.len().min((index + 1) * PIECE)];
                    frame(EDIT, number + index as u32, salt, out, |out| {
                        out.extend(lane.to_le_bytes());
                        out.extend(letter.to_le_bytes());
                        let (first, last) = (*first && index == 0, *last && index + 1 == count);
                        out.push(u8::from(first) | u8::from(last) << 1);
                        out.extend(piece);
                    });
                }
            }
            Self::Checkpoint { synced } => frame(CHECKPOINT, number, salt, out, |out| out.extend(synced.to_le_bytes())),
        }
    }

    /// The record of these bytes; `None` if they are none.
    pub(super) fn decode(kind: u8, payload: &'a [u8]) -> Option<Self> {
        let mut rest = Rest(payload);
        let record = match kind {
            LETTER | RANGE => Self::Letters(Letters::decode(kind, &mut rest)?),
            RUN => Self::Run { state: *RunState::ALL.get(usize::from(rest.u8()?))?, time: rest.time()?, reason: rest.text()? },
            PACE => {
                let (time, rate, window) = (rest.time()?, f64::from_bits(rest.u64()?), rest.u32()?);
                // Nothing a second is no rate.
                let rate = if rate.to_bits() == 0 { Rate::Unlimited } else { Rate::PerSecond(rate) };
                let pace = Pace { rate, window };
                pace.is_sound().then_some(Self::Pace { pace, time })?
            }
            EDIT => {
                let (lane, number, flags) = (rest.u32()?, rest.u64()?, rest.u8()?);
                let (first, last) = (flags < 4).then_some((flags & 1 != 0, flags & 2 != 0))?;
                Self::Edit { lane, number, first, last, bytes: rest.all() }
            }
            CHECKPOINT => Self::Checkpoint { synced: rest.u64()? },
            _ => return None,
        };
        rest.0.is_empty().then_some(record)
    }
}

impl<'a> Letters<'a> {
    fn encode(&self, number: u32, salt: u64, out: &mut Vec<u8>) {
        let single = self.span == Span::one(self.span.lane, self.span.start);
        frame(if single { LETTER } else { RANGE }, number, salt, out, |out| {
            out.push(match self.step {
                Step::To(state) => state as u8,
                Step::DiedAgain => DIED_AGAIN,
            });
            out.extend(self.attempt.to_le_bytes());
            out.extend(self.span.lane.to_le_bytes());
            out.extend(self.span.start.to_le_bytes());
            if !single {
                out.extend(self.span.end.to_le_bytes());
                out.extend(self.span.letters.to_le_bytes());
            }
            put_time(self.time, out);
            put_bytes(self.source, out);
            put_receipt(self.receipt, out);
            put_text(self.reason, out);
        });
    }

    fn decode(kind: u8, rest: &mut Rest<'a>) -> Option<Self> {
        let step = match rest.u8()? {
            DIED_AGAIN => Step::DiedAgain,
            code => Step::To(*LetterState::ALL.get(usize::from(code))?),
        };
        let (attempt, lane, start) = (rest.u16()?, rest.u32()?, rest.u64()?);
        let span = if kind == LETTER { Span::one(lane, start) } else { Span { lane, start, end: rest.u64()?, letters: rest.u64()? } };
        let (time, source) = (rest.time()?, rest.bytes()?);
        let receipt = match rest.u8()? {
            0 => None,
            tag => Some(receipt(tag, rest)?),
        };
        Some(Self { span, step, attempt, time, source, receipt, reason: rest.text()? })
    }
}

/// Writes length, kind, number, payload and checksum.
pub(super) fn frame(kind: u8, number: u32, salt: u64, out: &mut Vec<u8>, payload: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend([0; 4]);
    out.push(kind);
    out.extend(number.to_le_bytes());
    payload(out);
    let length = (out.len() - start - HEAD) as u32;
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
    let check = checksum(salt, &out[start..]);
    out.extend(check.to_le_bytes());
}

/// The CRC-32 of zlib, gzip and PNG over the salt and these bytes. With a salt that nobody else knows no payload can hold what would
/// pass for a record of this file.
pub(super) fn checksum(salt: u64, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&salt.to_le_bytes());
    hasher.update(bytes);
    hasher.finalize()
}

fn put_time(time: Timestamp, out: &mut Vec<u8>) {
    out.extend(time.0.to_le_bytes());
}

fn put_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    let bytes = &bytes[..bytes.len().min(LONGEST_SOURCE)];
    out.extend((bytes.len() as u16).to_le_bytes());
    out.extend(bytes);
}

fn put_text(text: &str, out: &mut Vec<u8>) {
    let text = &text[..text.floor_char_boundary(LONGEST_REASON)];
    put_bytes(text.as_bytes(), out);
}

/// A tag and its numbers.
fn put_receipt(receipt: Option<Receipt>, out: &mut Vec<u8>) {
    let (tag, numbers): (u8, [Option<u64>; 2]) = match receipt {
        None => (0, [None, None]),
        Some(Receipt::Stored(Position::Offset { partition, offset })) => (1, [Some(i64::from(partition) as u64), Some(offset as u64)]),
        Some(Receipt::Stored(Position::Sequence(sequence))) => (2, [Some(sequence), None]),
        Some(Receipt::Stored(Position::Entry { millis, number })) => (3, [Some(millis), Some(number)]),
        Some(Receipt::Stored(Position::Arrival(number))) => (4, [Some(number), None]),
        Some(Receipt::Routed) => (5, [None, None]),
        Some(Receipt::Accepted) => (6, [None, None]),
        Some(Receipt::Handed(receivers)) => (7, [Some(receivers), None]),
        Some(Receipt::Unconfirmed) => (8, [None, None]),
    };
    out.push(tag);
    for number in numbers.into_iter().flatten() {
        out.extend(number.to_le_bytes());
    }
}

fn receipt(tag: u8, rest: &mut Rest<'_>) -> Option<Receipt> {
    Some(match tag {
        1 => {
            let (partition, offset) = (rest.u64()? as i64, rest.u64()? as i64);
            Receipt::Stored(Position::Offset { partition: partition.try_into().ok()?, offset })
        }
        2 => Receipt::Stored(Position::Sequence(rest.u64()?)),
        3 => Receipt::Stored(Position::Entry { millis: rest.u64()?, number: rest.u64()? }),
        4 => Receipt::Stored(Position::Arrival(rest.u64()?)),
        5 => Receipt::Routed,
        6 => Receipt::Accepted,
        7 => Receipt::Handed(rest.u64()?),
        8 => Receipt::Unconfirmed,
        _ => return None,
    })
}

/// What is left of a payload.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    fn all(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn time(&mut self) -> Option<Timestamp> {
        self.array().map(i64::from_le_bytes).map(Timestamp)
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.u16()?;
        self.take(usize::from(length))
    }

    fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }
}
