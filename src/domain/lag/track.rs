//! `Track`: what was seen of a group's position in one partition, in bounded memory.

use super::Rules;
use crate::domain::group::GroupOffset;
use crate::domain::time::Timestamp;
use std::time::Duration;

/// One look at a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sample {
    pub(super) at: Timestamp,
    pub(super) committed: i64,
    /// What grows as the group works: the position, where nothing else says it better.
    pub(super) done: i64,
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

/// Whether the position lies beyond the end of the log.
pub(super) fn is_beyond(group_offset: &GroupOffset) -> bool {
    group_offset.committed.zip(group_offset.end).is_some_and(|(committed, end)| committed > end)
}

impl Speed {
    /// `None` if too little time lies between the two.
    fn between(first: &Sample, last: &Sample, rules: &Rules) -> Option<Self> {
        let span = last.at.since(first.at);
        if span < rules.shortest {
            return None;
        }
        let seconds = span.as_secs_f64();
        let growth = last.lag as f64 - first.lag as f64;
        let out = (last.done - first.done) as f64 / seconds;
        Some(Self { out, into: (out + growth / seconds).max(0.0), growth, span })
    }

    /// A difference in lag that means nothing: what one commit more or less makes, or a twentieth of what came.
    pub(super) fn noise(&self, gap: Option<Duration>) -> f64 {
        let gap = gap.unwrap_or_default().min(self.span / 4).max(self.span / 20).as_secs_f64();
        (self.into * gap).max(1.0)
    }
}

/// Where the lag began to go the way that it goes now: back from the last sample to the first that differs by more than `noise`, and
/// on to the peak, or the trough, of that run. `None` if it goes nowhere.
fn turn<'s>(points: &[&'s Sample], noise: f64) -> Option<&'s Sample> {
    let last = points.last()?.lag as f64;
    let differs = points.iter().rposition(|point| (point.lag as f64 - last).abs() > noise)?;
    // Seen upside down, a lag that grows shrinks.
    let sign = if points[differs].lag as f64 > last { 1.0 } else { -1.0 };
    let height = |at: usize| sign * points[at].lag as f64;
    let mut peak = differs;
    for at in (0..differs).rev() {
        if height(at) >= height(peak) {
            peak = at;
        } else if height(peak) - height(at) > noise {
            break;
        }
    }
    Some(points[peak])
}

impl Track {
    /// Takes in one look. Looks come in order of time; one that is older than the last is ignored.
    pub fn push(&mut self, at: Timestamp, group_offset: &GroupOffset, rules: &Rules) {
        if self.samples.last().is_some_and(|last| at < last.at) {
            return;
        }
        if let Some(start) = group_offset.start {
            self.starts = Some(self.starts.map_or([(at, start); 2], |[first, _]| [first, (at, start)]));
        }
        let position = group_offset.committed.or(group_offset.done);
        let known = position.zip(group_offset.lag.number()).filter(|_| !is_beyond(group_offset));
        let Some((committed, lag)) = known else {
            // Whatever comes after an unknown is not a continuation of what was before: a position may have been deleted, or the
            // channel made anew.
            if group_offset.fault.is_none() && (position.is_none() || is_beyond(group_offset)) {
                *self = Self { starts: self.starts, ..Self::default() };
            }
            return;
        };
        self.since.get_or_insert(at);
        let sample = Sample { at, committed, done: group_offset.done.unwrap_or(committed), lag };
        if let Some(last) = self.samples.last().copied() {
            self.changes(&last, &sample);
        }
        if self.rewind.is_some_and(|rewind| committed >= rewind.from) {
            self.rewind = None;
        }
        if lag == 0 {
            self.at_end = Some(at);
        }
        self.keep(sample, rules);
    }

    fn changes(&mut self, last: &Sample, sample: &Sample) {
        let (at, before, now) = (sample.at, last.committed, sample.committed);
        if now == before && sample.done <= last.done {
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
        let unchanged = |a: &Sample, b: &Sample| (a.committed, a.done, a.lag) == (b.committed, b.done, b.lag);
        if let [.., before, last] = self.samples.as_mut_slice()
            && (sample.at.since(before.at) <= rules.spacing || (unchanged(before, last) && unchanged(last, &sample)))
        {
            *last = sample;
            return;
        }
        if self.samples.len() >= rules.kept.max(2) {
            self.samples.remove(0);
        }
        self.samples.push(sample);
        // A stretch that did not change may reach back further than the window.
        let reach = rules.spacing.saturating_mul(u32::try_from(rules.kept).unwrap_or(u32::MAX));
        if let [first, second, ..] = self.samples.as_mut_slice() {
            let edge = Timestamp(sample.at.0.saturating_sub(i64::try_from(reach.as_millis()).unwrap_or(i64::MAX)));
            if first.at < edge && unchanged(first, second) {
                first.at = edge.min(second.at);
            }
        }
    }

    /// Since when something waits and the position does not move, and whether that moment was seen; else it is when watching began.
    pub(super) fn still_since(&self) -> Option<(Timestamp, bool)> {
        let seen = self.moved.max(self.at_end);
        seen.map(|at| (at, true)).or(self.since.map(|at| (at, false)))
    }

    /// How fast messages come and are committed, since the lag last turned from growing to shrinking or back.
    ///
    /// Where the position moved at least twice, only the looks that found it moved count: what lies between two commits says nothing
    /// about speed.
    pub(super) fn speed(&self, rules: &Rules) -> Option<Speed> {
        let all = self.samples.as_slice();
        let mut points: Vec<&Sample> = all.windows(2).filter(|two| two[1].done != two[0].done).map(|two| &two[1]).collect();
        let spans = |points: &[&Sample]| points.first().zip(points.last()).map_or(Duration::ZERO, |(a, b)| b.at.since(a.at));
        if spans(&points) < rules.shortest {
            points = all.iter().collect();
        } else if let (Some(last), Some(moved)) = (all.last(), points.last())
            && last.at.since(moved.at) > self.gap.unwrap_or_default().max(rules.spacing) * 2
        {
            // A commit is overdue: what came since then counts.
            points.push(last);
        }
        let (first, last) = (*points.first()?, *points.last()?);
        let whole = Speed::between(first, last, rules)?;
        let turned = turn(&points, whole.noise(self.gap)).and_then(|turn| Speed::between(turn, last, rules));
        Some(turned.unwrap_or(whole))
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
