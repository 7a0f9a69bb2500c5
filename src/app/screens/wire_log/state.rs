//! The lines of the wire log that are kept.

use crate::app::columns::Column;
use crate::app::list::List;
use crate::domain::exchange::Exchange;
use std::collections::VecDeque;
use std::sync::Arc;

/// Lines kept.
const KEPT: usize = 500;

/// The lines of one integration.
#[derive(Default)]
pub struct WireLog {
    pub integration: Option<Arc<str>>,
    /// Oldest first.
    pub lines: VecDeque<Exchange>,
    pub list: List<u64>,
    pub(crate) watching: bool,
}

pub const COLUMNS: &[Column] = &[
    Column::right("#", 6, 3),
    Column::left("peer", 14, 28, 2),
    Column::left("request", 28, 60, 0).grow(3),
    Column::right("took", 8, 1),
    Column::left("answer", 24, 200, 0).grow(4),
];

impl WireLog {
    /// Starts over with another integration.
    pub(crate) fn show(&mut self, integration: Arc<str>) {
        if self.integration.as_ref() != Some(&integration) {
            *self = Self { integration: Some(integration), watching: self.watching, ..Self::default() };
        }
    }

    /// What has to be watched: the integration and the last line known.
    pub(crate) fn wanted(&self) -> Option<(Arc<str>, u64)> {
        Some((self.integration.clone()?, self.lines.back().map_or(0, |line| line.number)))
    }

    /// Takes in new lines; true if any was new.
    pub(crate) fn add(&mut self, lines: Vec<Exchange>) -> bool {
        let last = self.lines.back().map_or(0, |line| line.number);
        let before = self.lines.len();
        self.lines.extend(lines.into_iter().filter(|line| line.number > last));
        let grew = self.lines.len() > before;
        while self.lines.len() > KEPT {
            self.lines.pop_front();
        }
        grew
    }

    /// The line in a row: newest first.
    pub fn line(&self, row: usize) -> &Exchange {
        &self.lines[self.lines.len() - 1 - row]
    }
}
