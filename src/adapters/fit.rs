//! How many messages to ask for at once, so that an answer stays small whatever they are: part of the bound in `bounds.rs`.
//!
//! A server bounds answers by a count, never by bytes. So reading begins with one message, and grows as far as the largest message of the
//! answer before says that it may.

/// Bytes that an answer is meant to have at most.
pub(super) const ANSWER: usize = 4 * 1024 * 1024;
/// Messages in one answer at most.
const MOST: usize = 1_000;
/// How much more is asked for than the last time, at most: what was seen says little about what is not.
const GROWTH: usize = 8;

/// The size of the next answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fit {
    count: usize,
    answer: usize,
}

impl Default for Fit {
    fn default() -> Self {
        Self::of(ANSWER)
    }
}

impl Fit {
    /// Answers of about so many bytes.
    pub(super) fn of(answer: usize) -> Self {
        Self { count: 1, answer }
    }

    /// Messages to ask for now.
    pub(super) fn count(self) -> usize {
        self.count
    }

    /// Takes in the sizes of the messages that came.
    pub(super) fn saw(&mut self, sizes: impl IntoIterator<Item = usize>) {
        let Some(largest) = sizes.into_iter().max() else { return };
        let fits = self.answer / largest.max(1);
        self.count = fits.min(self.count * GROWTH).clamp(1, MOST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_begins_with_one_grows_in_steps_and_shrinks_at_once() {
        let mut fit = Fit::default();
        assert_eq!(fit.count(), 1);
        let mut counts = Vec::new();
        for size in [100, 100, 100, 100, 100, 2_000_000, 5_000_000, 10] {
            fit.saw([size]);
            counts.push(fit.count());
        }
        assert_eq!(counts, [8, 64, 512, 1_000, 1_000, 2, 1, 8]);
        fit.saw([]);
        assert_eq!(fit.count(), 8, "nothing came, nothing is known");
    }
}
