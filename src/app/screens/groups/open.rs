//! One group in full: its partitions, the worst first, and its members.

use crate::app::columns::Column;
use crate::app::effect::{Effect, TaskId};
use crate::app::list::List;
use crate::app::model::Model;
use crate::domain::fault::Fault;
use crate::domain::lag::{GroupView, PartitionLag};
use crate::domain::time::Timestamp;
use std::cmp::Reverse;
use std::sync::Arc;

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
    pub list: List<PartKey>,
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

/// Opens the selected group.
pub(crate) fn show(model: &mut Model) {
    let Some((integration, group)) = super::selected(model) else { return };
    let (integration, group) = (integration.name.clone(), group.group.name.clone());
    close(model);
    let task = model.task();
    let now = model.now;
    model.groups.open = Some(Open {
        integration: integration.clone(),
        group: group.clone(),
        task,
        asked_at: now,
        view: None,
        seen_at: now,
        fault: None,
        list: List::default(),
        rows: Vec::new(),
    });
    model.effect(Effect::WatchGroup { task, integration, group });
    model.touch();
}

/// Closes the open group; false if none was.
pub(crate) fn close(model: &mut Model) -> bool {
    let Some(open) = model.groups.open.take() else { return false };
    model.effect(Effect::StopTask(open.task));
    model.touch();
    true
}

/// Takes in a look at the open group.
pub(crate) fn follow(model: &mut Model, task: TaskId, result: Result<Box<GroupView>, Fault>) {
    let now = model.now;
    let Some(open) = model.groups.open.as_mut().filter(|open| open.task == task) else { return };
    match result {
        Ok(view) => {
            let mut rows: Vec<usize> = (0..view.partitions.len()).collect();
            let parts = &view.partitions;
            rows.sort_by_key(|at| (Reverse(parts[*at].verdict), Reverse(parts[*at].group_offset.lag.number())));
            open.rows = rows;
            open.fault = None;
            open.seen_at = now;
            open.view = Some(view);
        }
        Err(fault) => open.fault = Some(fault),
    }
    model.touch();
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
}

/// The selected partition of the open group.
pub fn selected_partition(model: &Model) -> Option<&PartitionLag> {
    let open = model.groups.open.as_ref()?;
    open.partition(open.list.row()?)
}

/// Rows that the members take, with their heading and a line between: a third of the body at most.
pub(super) fn members_rows(model: &Model, body: usize) -> usize {
    let members = model.groups.open.as_ref().and_then(|open| open.view.as_ref()).map_or(0, |view| view.members.len());
    if members == 0 { 0 } else { (members + 2).min(body / 3) }
}
