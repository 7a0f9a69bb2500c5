//! What the Groups screen holds: which groups it shows, its cursor, and the one group that is open in full.

use crate::app::columns::Column;
use crate::app::effect::TaskId;
use crate::app::list::List;
use crate::domain::address::Address;
use crate::domain::fault::Fault;
use crate::domain::lag::{GroupView, PartitionLag};
use crate::domain::time::Timestamp;
use std::sync::Arc;

/// Tells groups apart: integration, then name.
pub type Key = (Arc<str>, Arc<str>);

/// The Groups screen's own state.
#[derive(Default)]
pub struct Groups {
    /// Only the groups that have a position or a member in this channel.
    pub reading: Option<Address>,
    pub filter: String,
    pub list: List<Key>,
    /// Integration and group of each row shown.
    pub rows: Vec<(usize, usize)>,
    /// Groups in all, hidden ones included.
    pub total: usize,
    /// The group that is looked at in full.
    pub open: Option<Open>,
    /// The cursor in its partitions.
    pub parts: List<PartKey>,
    pub(crate) asked_at: Option<Timestamp>,
    /// What `FocusGroups` said last.
    pub(crate) focus: (bool, Vec<Key>),
}

/// Rows above the partitions: the verdict and a line between.
pub(super) const HEAD: usize = 2;

/// Tells partitions apart.
pub type PartKey = (Arc<str>, Option<i32>);

/// The open group.
pub struct Open {
    pub integration: Arc<str>,
    pub group: Arc<str>,
    pub task: TaskId,
    pub asked_at: Timestamp,
    /// The last look that was answered.
    pub view: Option<Box<GroupView>>,
    pub seen_at: Timestamp,
    /// Why the last look failed.
    pub fault: Option<Fault>,
    /// The partitions in the order shown.
    pub rows: Vec<usize>,
}

/// The columns of the partitions.
const PARTS: &[Column] = &[
    Column::left("channel", 12, 40, 0).grow(4),
    Column::right("part", 5, 0),
    Column::right("committed", 11, 2),
    Column::right("end", 11, 4),
    Column::right("lag", 11, 0),
    Column::right("behind", 10, 1),
    Column::right("ETA", 9, 3),
    Column::left("verdict", 14, 60, 0).grow(6),
    Column::left("owner", 12, 40, 5).grow(2),
];

/// The columns of the partitions.
pub fn part_columns() -> &'static [Column] {
    PARTS
}

/// The columns of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell {
    Integration,
    Name,
    State,
    Members,
    Lag,
    Behind,
    Trend,
    Eta,
    Verdict,
}

impl Groups {
    /// Since when something of this screen is waited for.
    pub fn waiting_since(&self) -> impl Iterator<Item = Timestamp> {
        self.asked_at.into_iter().chain(self.open.as_ref().and_then(Open::waiting_since))
    }
}

impl Open {
    /// The partition in a row.
    pub fn partition(&self, row: usize) -> Option<&PartitionLag> {
        self.view.as_ref()?.partitions.get(*self.rows.get(row)?)
    }

    pub(crate) fn key_at(&self, row: usize) -> PartKey {
        self.partition(row).map_or_else(|| ("".into(), None), |part| (part.group_offset.channel.clone(), part.group_offset.partition))
    }

    pub(crate) fn waiting_since(&self) -> Option<Timestamp> {
        (self.view.is_none() && self.fault.is_none()).then_some(self.asked_at)
    }

    /// Rows that the partitions may take in a body of so many: members stand below them, with their heading and a line between, in a third
    /// of it at most.
    pub fn page(&self, body: usize) -> usize {
        let members = self.view.as_ref().map_or(0, |view| view.members.len());
        let members = if members == 0 { 0 } else { (members + 2).min(body / 3) };
        body.saturating_sub(HEAD + members + 1).max(1)
    }
}
