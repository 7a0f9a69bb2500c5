//! What the dead-letter screen holds: the failures that letters were grouped by, how far they were read, and what could not be.

use crate::app::effect::TaskId;
use crate::app::list::List;
use crate::domain::address::Address;
use crate::domain::dead_letter::FailureGroup;
use crate::domain::fault::Fault;
use crate::domain::time::Timestamp;
use std::sync::Arc;

/// The dead-letter screen's own state.
#[derive(Default)]
pub struct DeadLetters {
    pub filter: String,
    /// Failures by their ids.
    pub list: List<Arc<str>>,
    /// The groups of the rows shown.
    pub rows: Vec<usize>,
    pub found: FailuresFound,
    /// The reading that is under way.
    pub(crate) task: Option<TaskId>,
    /// When the last reading began, and when it ended; nothing was read before.
    pub asked_at: Option<Timestamp>,
    pub read_at: Option<Timestamp>,
}

/// What a reading of letters has found so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FailuresFound {
    /// Those with the most letters first.
    pub groups: Vec<FailureGroup>,
    /// Letters that were read, and those of them whose failures found no room among the groups.
    pub letters: u64,
    pub rest: u64,
    /// Upper bound of the letters there are.
    pub at_most: u64,
    /// Channels with dead letters that are read.
    pub channels: usize,
    /// Channels whose letters are in no group, and why.
    pub unread: Vec<(Address, Fault)>,
    /// What kept channels from being found, or letters from being read.
    pub faults: Vec<Fault>,
    /// There is nothing more to come.
    pub ended: bool,
}

impl DeadLetters {
    /// Since when something of this screen is waited for.
    pub fn waiting_since(&self) -> Option<Timestamp> {
        self.asked_at.filter(|_| self.task.is_some() && self.found.groups.is_empty())
    }

    /// Whether letters are being read.
    pub fn is_reading(&self) -> bool {
        self.task.is_some()
    }

    /// The group in a row.
    pub fn group(&self, row: usize) -> Option<&FailureGroup> {
        self.found.groups.get(*self.rows.get(row)?)
    }
}
