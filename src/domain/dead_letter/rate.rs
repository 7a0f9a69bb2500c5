//! `Rate`: how many in each of at most sixty spans of time, which grow with what they have to hold.

use super::super::time::Timestamp;

/// So many spans there are at most.
const MOST: i64 = 60;

/// How long spans are, in milliseconds. Each holds the one before it several times, so that spans are joined without a rest.
const WIDTHS: [i64; 18] = [
    1_000,
    5_000,
    10_000,
    30_000,
    60_000,
    300_000,
    600_000,
    1_800_000,
    3_600_000,
    21_600_000,
    86_400_000,
    604_800_000,
    2_419_200_000,
    31_449_600_000,
    314_496_000_000,
    3_144_960_000_000,
    31_449_600_000_000,
    3_144_960_000_000_000_000,
];

/// Counts by time, whatever the order in which they come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rate {
    /// Which of the widths.
    width: usize,
    /// The number of the first span since 1970.
    start: i64,
    counts: Vec<u32>,
}

impl Rate {
    pub fn add(&mut self, time: Timestamp) {
        loop {
            let at = time.0.div_euclid(WIDTHS[self.width]);
            if self.counts.is_empty() {
                self.start = at;
            }
            let end = self.start + self.counts.len() as i64;
            let (low, high) = (self.start.min(at), end.max(at + 1));
            if high - low > MOST && self.width + 1 < WIDTHS.len() {
                self.widen();
                continue;
            }
            let before = (self.start - low) as usize;
            self.counts.splice(0..0, std::iter::repeat_n(0, before));
            self.start = low;
            self.counts.resize((high - low) as usize, 0);
            let count = &mut self.counts[(at - low) as usize];
            *count = count.saturating_add(1);
            return;
        }
    }

    /// The next width, with the same counts.
    fn widen(&mut self) {
        let factor = WIDTHS[self.width + 1] / WIDTHS[self.width];
        let start = self.start.div_euclid(factor);
        let mut counts: Vec<u32> = Vec::new();
        for (index, count) in self.counts.iter().enumerate() {
            let at = ((self.start + index as i64).div_euclid(factor) - start) as usize;
            counts.resize(counts.len().max(at + 1), 0);
            counts[at] = counts[at].saturating_add(*count);
        }
        (self.width, self.start, self.counts) = (self.width + 1, start, counts);
    }

    /// How long each span is, in milliseconds.
    pub fn width(&self) -> i64 {
        WIDTHS[self.width]
    }

    /// When the first span begins.
    pub fn start(&self) -> Timestamp {
        Timestamp(self.start.saturating_mul(self.width()))
    }

    /// From the first span that has any to the last.
    pub fn counts(&self) -> &[u32] {
        &self.counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn spans_grow_with_the_time_that_they_hold() {
        let mut rate = Rate::default();
        for millis in [5_000, 5_999, 6_000, 1_000] {
            rate.add(Timestamp(millis));
        }
        assert_eq!((rate.width(), rate.start().0, rate.counts()), (1_000, 1_000, &[1, 0, 0, 0, 2, 1][..]));
        rate.add(Timestamp(3_600_000));
        assert_eq!((rate.width(), rate.start().0, rate.counts().len()), (300_000, 0, 13));
        assert_eq!((rate.counts()[0], rate.counts()[12]), (4, 1));
    }

    proptest! {
        #[test]
        fn every_time_is_counted_in_the_span_it_lies_in(times in prop::collection::vec(prop_oneof![any::<i64>(), 0_i64..100_000_000], 1..50)) {
            let mut rate = Rate::default();
            for time in &times {
                rate.add(Timestamp(*time));
            }
            prop_assert_eq!(rate.counts().iter().map(|count| *count as usize).sum::<usize>(), times.len());
            prop_assert!(rate.counts().len() as i64 <= MOST);
            for time in &times {
                let at = (time.div_euclid(rate.width()) - rate.start) as usize;
                prop_assert!(rate.counts()[at] > 0);
            }
        }
    }
}
