//! The last values of a rate, for a sparkline.

/// Values kept.
pub const LENGTH: usize = 12;

/// The last values, oldest first.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spark {
    values: [f32; LENGTH],
    len: usize,
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
