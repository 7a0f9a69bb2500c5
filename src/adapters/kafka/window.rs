//! Which messages of a partition belong to a range of times, and where its reading may end.
//!
//! Producers stamp messages themselves, so that an early stamp may follow a late one. Where the broker stamps, the first message
//! stamped at the end of the range is the last that is looked at. Elsewhere reading goes on until so much of the partition held
//! nothing from before the end, and nothing from shortly after it, that what still follows is taken to be later.

use crate::domain::message::Stamp;
use crate::domain::position::{Bound, Range};
use crate::domain::time::Timestamp;
use std::time::Duration;

/// So many bytes of messages stamped later than the end and its slack end a reading.
const FAR: u64 = 64 << 20;

/// A range of times in one partition, as its messages are looked at one by one.
#[derive(Clone, Debug)]
pub(super) struct Window {
    range: Range,
    /// Nothing belongs to it before the first message stamped at this time or later: a place that the cluster cannot look up.
    opens: Option<Timestamp>,
    /// How far behind the end stamps are still near it; `None` reads on to the partition's end.
    slack: Option<Duration>,
    /// Bytes since the last message stamped near the end or before it.
    later: u64,
    ended: Option<End>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The broker stamps in order.
    Sure,
    /// Far behind the end.
    Far,
}

impl Window {
    pub(super) fn new(range: Range, slack: Option<Duration>) -> Self {
        Self { range, opens: None, slack, later: 0, ended: None }
    }

    /// The same, where the place of the range's start has to be found by looking at the messages.
    #[must_use]
    pub(super) fn opening_itself(mut self) -> Self {
        if let (Bound::Time(time), false) = (self.range.start, self.range.is_timed()) {
            self.opens = Some(time);
        }
        self
    }

    /// Whether every message belongs to it.
    pub(super) fn is_open(&self) -> bool {
        self.opens.is_none() && !self.range.is_timed()
    }

    /// Whether a message belongs to it. To be asked in the order of the log, and no more once it is over.
    pub(super) fn takes(&mut self, timestamp: Option<Timestamp>, stamp: Stamp, size: impl FnOnce() -> usize) -> bool {
        if let Some(opens) = self.opens {
            if timestamp.is_none_or(|time| time < opens) {
                return false;
            }
            self.opens = None;
        }
        if !self.range.is_timed() {
            return true;
        }
        if let (Bound::Time(end), Some(slack), Some(time)) = (self.range.end, self.slack, timestamp) {
            let near = end.0.saturating_add(i64::try_from(slack.as_millis()).unwrap_or(i64::MAX));
            self.later = if time.0 < near { 0 } else { self.later.saturating_add(size() as u64) };
            if stamp == Stamp::Stored && time >= end {
                self.ended = Some(End::Sure);
            } else if self.later >= FAR {
                self.ended = Some(End::Far);
            }
        }
        self.range.admits(timestamp)
    }

    /// Whether nothing behind the last message belongs to it.
    pub(super) fn is_over(&self) -> bool {
        self.ended.is_some()
    }

    /// The slack by which it ended, if that is not sure to be the end.
    pub(super) fn ended_by(&self) -> Option<Duration> {
        self.slack.filter(|_| self.ended == Some(End::Far))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLACK: Duration = Duration::from_secs(600);

    fn between(start: i64, end: i64) -> Range {
        Range { start: Bound::Time(Timestamp(start)), end: Bound::Time(Timestamp(end)) }
    }

    /// The stamps that are taken, until the window is over.
    fn taken(window: &mut Window, stamp: Stamp, messages: &[(i64, u64)]) -> Vec<i64> {
        let mut taken = Vec::new();
        for (time, size) in messages {
            if window.is_over() {
                break;
            }
            if window.takes(Some(Timestamp(*time)), stamp, || *size as usize) {
                taken.push(*time);
            }
        }
        taken
    }

    #[test]
    fn stamps_out_of_order_are_taken_by_what_they_are() {
        let log = [(0, 1), (30, 1), (10, 1), (40, 1)];
        for (range, expected) in [
            (between(5, 20), &[10][..]),
            (between(25, 35), &[30]),
            (between(10, 30), &[10]),
            (Range { start: Bound::Earliest, end: Bound::Time(Timestamp(20)) }, &[0, 10]),
            (Range { start: Bound::Time(Timestamp(20)), end: Bound::BeforeEnd(0) }, &[30, 40]),
            (Range { start: Bound::Time(Timestamp(20)), end: Bound::Latest }, &[0, 30, 10, 40]),
        ] {
            assert_eq!(taken(&mut Window::new(range, Some(SLACK)), Stamp::Created, &log), expected, "{range:?}");
        }
    }

    #[test]
    fn a_reading_ends_far_behind_the_end_and_neither_by_time_nor_by_bytes_alone() {
        let later = 600_020;
        let mut by_time = Window::new(between(5, 20), Some(SLACK));
        assert_eq!(taken(&mut by_time, Stamp::Created, &[(10, 1), (i64::MAX, FAR - 1), (11, 1), (later, FAR - 1), (12, 1)]), [10, 11, 12]);
        assert!(!by_time.is_over(), "one stamp of the far future ends nothing");
        let mut by_bytes = Window::new(between(5, 20), Some(SLACK));
        assert_eq!(taken(&mut by_bytes, Stamp::Created, &[(10, 1), (later - 1, 2 * FAR), (11, 1)]), [10, 11]);
        let mut far = Window::new(between(5, 20), Some(SLACK));
        assert_eq!(taken(&mut far, Stamp::Created, &[(10, 1), (later, FAR), (11, 1)]), [10]);
        assert_eq!((far.is_over(), far.ended_by()), (true, Some(SLACK)));
        let mut exact = Window::new(between(5, 20), None);
        assert_eq!(taken(&mut exact, Stamp::Created, &[(10, 1), (later, FAR), (11, 1)]), [10, 11]);
    }

    #[test]
    fn the_brokers_own_stamps_end_a_reading_at_once_and_for_sure() {
        let mut window = Window::new(between(5, 20), Some(SLACK));
        assert_eq!(taken(&mut window, Stamp::Stored, &[(4, 1), (5, 1), (19, 1), (20, 1), (21, 1)]), [5, 19]);
        assert_eq!((window.is_over(), window.ended_by()), (true, None));
    }

    #[test]
    fn a_place_that_nobody_looks_up_is_the_first_message_of_its_time_and_hides_nothing_behind_it() {
        let range = Range { start: Bound::Time(Timestamp(20)), end: Bound::Latest };
        let mut window = Window::new(range, Some(SLACK)).opening_itself();
        assert!(!window.is_open());
        assert_eq!(taken(&mut window, Stamp::Created, &[(0, 1), (30, 1), (10, 1), (40, 1)]), [30, 10, 40]);
        let mut both = Window::new(between(5, 20), Some(SLACK)).opening_itself();
        assert_eq!(taken(&mut both, Stamp::Created, &[(0, 1), (10, 1), (4, 1)]), [10], "with an end it is a filter, and no place");
    }

    #[test]
    fn a_message_without_a_time_is_in_no_range_of_times() {
        let mut window = Window::new(between(5, 20), Some(SLACK));
        assert!(!window.takes(None, Stamp::Created, || 1) && !window.is_over());
        assert!(Window::new(Range { start: Bound::Earliest, end: Bound::Latest }, None).takes(None, Stamp::Created, || 1));
    }
}
