//! What the console knows of the groups of one integration.

use crate::app::spark::{Shown, Spark};
use crate::domain::fault::Fault;
use crate::domain::figure::Amount;
use crate::domain::lag::{Behind, Board, GroupLag, Verdict};
use crate::domain::time::Timestamp;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// A list of groups older than this is shown with its age.
const STALE_AFTER: Duration = Duration::from_secs(40);

/// The groups of an integration, as of the last look.
#[derive(Default)]
pub struct Watched {
    /// In the order of their names.
    pub groups: Vec<GroupLag>,
    /// The names of `groups`, ready to be drawn, with their recent lag.
    pub shown: Vec<Shown>,
    /// How long each is behind, where that was asked.
    pub behind: HashMap<Arc<str>, Behind>,
    pub gaps: Vec<Fault>,
    pub listed_at: Option<Timestamp>,
    pub fault: Option<Fault>,
    /// The system has no groups.
    pub unsupported: bool,
    /// The lag of all groups, and where it goes.
    pub lag: Amount,
    pub spark: Spark,
    /// The worst verdict of all groups.
    pub worst: Option<Verdict>,
    /// How many groups have a position or a member in a channel.
    pub readers: HashMap<Arc<str>, u32>,
}

impl Watched {
    /// Takes in a look; true if that changes what is shown.
    pub(crate) fn looked(&mut self, result: Result<Option<Box<Board>>, Fault>, now: Timestamp) -> bool {
        let board = match result {
            Ok(Some(board)) => board,
            Ok(None) => return !std::mem::replace(&mut self.unsupported, true),
            Err(fault) => {
                let new = self.fault.as_ref() != Some(&fault);
                self.fault = Some(fault);
                return new;
            }
        };
        let stale = self.listed_at.is_none_or(|at| now.since(at) >= STALE_AFTER);
        let recovered = self.fault.take().is_some();
        self.listed_at = Some(now);
        let Board { groups, gaps } = *board;
        let before = self.is_moving();
        self.keep_past(&groups);
        let changed = stale || recovered || before || self.is_moving() || groups != self.groups || gaps != self.gaps;
        self.sum_up(&groups, gaps.len());
        self.behind.retain(|name, _| groups.binary_search_by(|g| g.group.name.cmp(name)).is_ok());
        (self.groups, self.gaps) = (groups, gaps);
        changed
    }

    /// Whether some sparkline is not flat.
    fn is_moving(&self) -> bool {
        self.shown.iter().any(|shown| !shown.spark.is_flat())
    }

    fn keep_past(&mut self, groups: &[GroupLag]) {
        let before = self.groups.iter().zip(std::mem::take(&mut self.shown)).map(|(group, shown)| (&*group.group.name, shown));
        let rows = groups.iter().map(|group| (&*group.group.name, group.lag.number().map(|lag| lag as f64)));
        self.shown = Shown::anew(before, rows);
    }

    fn sum_up(&mut self, groups: &[GroupLag], gaps: usize) {
        // A group that reads nothing (a worker group of Connect) has no lag that could be missing.
        let reading = groups.iter().filter(|group| group.partitions > 0 || group.group.fault.is_some());
        // Where groups could not be listed there may be any number of them.
        self.lag = Amount::total(reading.map(|group| group.lag).chain(std::iter::repeat_n(Amount::Unknown, gaps)));
        if let Some(sum) = self.lag.number() {
            self.spark.push(sum as f64);
        }
        self.worst = groups.iter().map(|group| group.verdict).max();
        self.readers.clear();
        for channel in groups.iter().flat_map(|group| &group.channels) {
            *self.readers.entry(channel.clone()).or_default() += 1;
        }
    }

    pub fn is_stale(&self, now: Timestamp) -> bool {
        self.listed_at.is_some_and(|at| now.since(at) >= STALE_AFTER)
    }
}
