//! The list of a screen: where the Model has it, and how its cursor and marks move.

use super::action::Action;
use super::list::{List, Step};
use super::model::Model;

/// Where a list is, how many rows it has, and what tells them apart, whatever comes and goes beside them.
pub(super) struct Rows<K> {
    pub(super) list: fn(&mut Model) -> &mut List<K>,
    pub(super) len: fn(&Model) -> usize,
    pub(super) key_at: fn(&Model, usize) -> K,
    /// Whether a row is selected from the beginning. A list that runs on has none until one is chosen.
    pub(super) selects: bool,
}

impl<K: Clone + Ord> Rows<K> {
    /// Does something to the list, which is not in the Model meanwhile.
    fn with(&self, model: &mut Model, act: impl FnOnce(&mut List<K>, usize, &dyn Fn(usize) -> K)) {
        let mut list = std::mem::take((self.list)(model));
        act(&mut list, (self.len)(model), &|row| (self.key_at)(model, row));
        *(self.list)(model) = list;
    }

    pub(super) fn step(&self, model: &mut Model, step: Step, page: usize) {
        self.with(model, |list, rows, key_at| list.step(step, rows, page, key_at));
    }

    /// After every event: the selection finds its row again, and the first row that is shown follows it.
    pub(super) fn settle(&self, model: &mut Model, page: usize) {
        self.with(model, |list, rows, key_at| list.settle(rows, page, self.selects, key_at));
    }

    pub(super) fn mark(&self, model: &mut Model, action: Action) {
        self.with(model, |list, rows, key_at| match action {
            Action::Mark => list.toggle(rows, key_at),
            Action::MarkRange => list.range(rows, key_at),
            Action::MarkInvert => list.invert(rows, key_at),
            _ => list.clear_marks(),
        });
    }
}
