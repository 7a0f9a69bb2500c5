//! `Track`: what was seen of a group's position in one partition, in bounded memory.

use super::Rules;
use crate::domain::group::Standing;
use crate::domain::time::Timestamp;
use std::time::Duration;

/// One look at a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sample {
    pub(super) at: Timestamp,
    pub(super) committed: i64,
    pub(super) lag: u64,
}

/// A position that went back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rewind {
    pub(super) at: Timestamp,
    pub(super) from: i64,
    pub(super) to: i64,
}

/// The past of one partition: a few samples, and what they would have forgotten.
#[derive(Clone, Debug, Default)]
pub struct Track {
    /// In order of time; stretches in which nothing changed are kept as their two ends.
    samples: Vec<Sample>,
    /// Since when it is watched without a break in its meaning.
    pub(super) since: Option<Timestamp>,
    /// When the position was last seen to move, and how long it had stood still before.
    pub(super) moved: Option<Timestamp>,
    pub(super) gap: Option<Duration>,
    pub(super) rewind: Option<Rewind>,
    /// When nothing waited, for the last time.
    pub(super) at_end: Option<Timestamp>,
    /// The first and the last start of the log, with their times: how fast messages are deleted.
    starts: Option<[(Timestamp, i64); 2]>,
}

/// What the samples say about speed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Speed {
    /// Messages a second committed, and produced.
    pub(super) out: f64,
    pub(super) into: f64,
    /// By how much the lag grew from `first` to the last sample used.
    pub(super) growth: f64,
    pub(super) span: Duration,
}

impl Track {
    /// Takes in one look. Looks come in order of time; one that is older than the last is ignored.
    pub fn push(&mut self, at: Timestamp, standing: &Standing, rules: &Rules) {
        if self.samples.last().is_some_and(|last| at < last.at) {
            return;
        }
        if let Some(start) = standing.start {
            self.starts = Some(self.starts.map_or([(at, start); 2], |[first, _]| [first, (at, start)]));
        }
        let (Some(committed), Some(lag)) = (standing.committed, standing.lag.number()) else {
            // Whatever comes after an unknown is not a continuation of what was before: a position may have been deleted.
            if standing.fault.is_none() && standing.committed.is_none() {
                *self = Self { starts: self.starts, ..Self::default() };
            }
            return;
        };
        self.since.get_or_insert(at);
        if let Some(last) = self.samples.last().copied() {
            self.moves(at, last.committed, committed);
        }
        if self.rewind.is_some_and(|rewind| committed >= rewind.from) {
            self.rewind = None;
        }
        if lag == 0 {
            self.at_end = Some(at);
        }
        self.keep(Sample { at, committed, lag }, rules);
    }

    fn moves(&mut self, at: Timestamp, before: i64, now: i64) {
        if now == before {
            return;
        }
        self.gap = self.moved.map(|moved| at.since(moved)).or(self.gap);
        self.moved = Some(at);
        if now < before {
            self.rewind = Some(Rewind { at, from: self.rewind.map_or(before, |rewind| rewind.from.max(before)), to: now });
            // Rates across a jump mean nothing.
            self.samples.clear();
            self.since = Some(at);
        }
    }

    fn keep(&mut self, sample: Sample, rules: &Rules) {
        if let [.., before, last] = self.samples.as_mut_slice() {
            let unchanged = |a: &Sample, b: &Sample| (a.committed, a.lag) == (b.committed, b.lag);
            if sample.at.since(before.at) <= rules.spacing || (unchanged(before, last) && unchanged(last, &sample)) {
                *last = sample;
                return;
            }
        }
        if self.samples.len() >= rules.kept.max(2) {
            self.samples.remove(0);
        }
        self.samples.push(sample);
        // A stretch that did not change may reach back further than the window.
        let reach = rules.spacing.saturating_mul(u32::try_from(rules.kept).unwrap_or(u32::MAX));
        if let [first, second, ..] = self.samples.as_mut_slice() {
            let edge = Timestamp(sample.at.0.saturating_sub(i64::try_from(reach.as_millis()).unwrap_or(i64::MAX)));
            if first.at < edge && (first.committed, first.lag) == (second.committed, second.lag) {
                first.at = edge.min(second.at);
            }
        }
    }

    /// The next message to be read, and how many wait from there on, as of the last look.
    pub fn next(&self) -> Option<(i64, u64)> {
        let last = self.samples.last()?;
        let start = self.starts.map_or(0, |[_, (_, start)]| start);
        Some((last.committed.max(start), last.lag))
    }

    /// Since when the position has not moved, as far as it was watched.
    pub(super) fn still_since(&self) -> Option<Timestamp> {
        self.moved.or(self.since)
    }

    /// How fast messages come and are committed. Where the position moved at least twice, from the first of these moments to the last:
    /// what lies between two commits says nothing about speed.
    pub(super) fn speed(&self, rules: &Rules) -> Option<Speed> {
        let all = self.samples.as_slice();
        let moves: Vec<usize> = (1..all.len()).filter(|i| all[*i].committed != all[*i - 1].committed).collect();
        let (first, last) = match (moves.first(), moves.last()) {
            (Some(first), Some(last)) if all[*last].at.since(all[*first].at) >= rules.shortest => (&all[*first], &all[*last]),
            _ => (all.first()?, all.last()?),
        };
        let span = last.at.since(first.at);
        if span < rules.shortest {
            return None;
        }
        let seconds = span.as_secs_f64();
        let growth = last.lag as f64 - first.lag as f64;
        let out = (last.committed - first.committed) as f64 / seconds;
        Some(Speed { out, into: (out + growth / seconds).max(0.0), growth, span })
    }

    /// Messages a second that are deleted at the start of the log; `None` while it was not seen to move.
    pub(super) fn deleted_per_second(&self) -> Option<f64> {
        let [(from, first), (until, last)] = self.starts?;
        let seconds = until.since(from).as_secs_f64();
        (last > first && seconds >= 1.0).then(|| (last - first) as f64 / seconds)
    }

    /// Samples held, for tests of the memory's bound.
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }
}
