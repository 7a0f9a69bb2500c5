//! The last values of a rate, for a sparkline.

use crate::domain::text::SafeText;
use std::cmp::Ordering;
use std::collections::HashMap;

/// Values kept.
pub const LENGTH: usize = 12;
/// Values that tell where it goes.
const TREND: usize = 4;

/// The last values, oldest first.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spark {
    values: [f32; LENGTH],
    len: usize,
}

/// The name of a channel or group, ready to be drawn, with its recent values.
#[derive(Clone, Debug)]
pub struct Shown {
    pub label: SafeText,
    pub spark: Spark,
}

impl Shown {
    /// The rows of a list that was read anew, by their names and what they are worth now; `before` are those that were shown until then.
    pub(super) fn anew<'a>(before: impl Iterator<Item = (&'a str, Self)>, rows: impl Iterator<Item = (&'a str, Option<f64>)>) -> Vec<Self> {
        let mut before: HashMap<&str, Self> = before.collect();
        let row = |(name, value)| {
            let mut shown = before.remove(name).unwrap_or_else(|| Self { label: SafeText::new(name), spark: Spark::default() });
            if let Some(value) = value {
                shown.spark.push(value);
            }
            shown
        };
        rows.map(row).collect()
    }
}

impl Spark {
    pub fn push(&mut self, value: f64) {
        if self.len == LENGTH {
            self.values.rotate_left(1);
            self.len -= 1;
        }
        self.values[self.len] = value as f32;
        self.len += 1;
    }

    /// Where the values went over the last looks: by more than a hundredth of the greatest, or not at all.
    pub fn trend(&self) -> Option<Ordering> {
        let values = &self.values[self.len.saturating_sub(TREND)..self.len];
        let (first, last) = (*values.first()?, *values.last()?);
        if values.len() < 2 {
            return None;
        }
        let band = values.iter().copied().fold(0.0_f32, f32::max) / 100.0;
        Some(if last - first > band {
            Ordering::Greater
        } else if first - last > band {
            Ordering::Less
        } else {
            Ordering::Equal
        })
    }

    /// Whether all values are the same.
    pub fn is_flat(&self) -> bool {
        self.values[..self.len].windows(2).all(|pair| pair[0].to_bits() == pair[1].to_bits())
    }

    /// The last `count` values as steps of 0 to 7 of the greatest of them: 0 is exactly nothing. The eighth step would
    /// join the rows of a list into a block. Nothing but zeros has no steps at all: a line that grows while nothing happens would
    /// have to be drawn again and again.
    pub fn steps(&self, count: usize) -> impl Iterator<Item = u8> + '_ {
        let values = &self.values[self.len.saturating_sub(count)..self.len];
        let top = values.iter().copied().fold(0.0_f32, f32::max);
        let values = if top > 0.0 { values } else { &[] };
        values.iter().map(move |v| if *v <= 0.0 { 0 } else { (v / top * 7.0).ceil().clamp(1.0, 7.0) as u8 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trend_needs_two_values_and_more_than_a_hundredth() {
        let of = |values: &[f64]| {
            let mut spark = Spark::default();
            for value in values {
                spark.push(*value);
            }
            (spark.trend(), spark.is_flat())
        };
        assert_eq!(of(&[5.0]), (None, true));
        assert_eq!(of(&[5.0, 5.0]), (Some(Ordering::Equal), true));
        assert_eq!(of(&[1_000.0, 1_009.0]), (Some(Ordering::Equal), false));
        assert_eq!(of(&[9_000.0, 5.0, 6.0, 7.0, 8.0]), (Some(Ordering::Greater), false));
        assert_eq!(of(&[9.0, 5.0]), (Some(Ordering::Less), false));
    }

    #[test]
    fn steps_are_relative_to_the_greatest_value_shown() {
        let mut spark = Spark::default();
        (0..5).for_each(|_| spark.push(0.0));
        assert_eq!(spark.steps(8).count(), 0, "nothing happened yet");
        for value in [800.0, 0.0, 1.0, 4.0, 7.0] {
            spark.push(value);
        }
        assert_eq!(spark.steps(4).collect::<Vec<_>>(), [0, 1, 4, 7]);
        (0..50).for_each(|i| spark.push(f64::from(i)));
        assert_eq!(spark.steps(100).count(), LENGTH);
    }
}
