//! A list's cursor: selection by identity, marks, and the first row shown.

use std::collections::BTreeSet;

/// Where the operator stands in a list whose rows come and go. `K` tells rows apart.
#[derive(Clone, Debug)]
pub struct List<K> {
    selected: Option<K>,
    /// Row of the selection, kept when the row itself disappears.
    row: usize,
    offset: usize,
    pub marks: BTreeSet<K>,
    /// Where a range of marks was begun.
    range_from: Option<K>,
}

impl<K> Default for List<K> {
    fn default() -> Self {
        Self { selected: None, row: 0, offset: 0, marks: BTreeSet::new(), range_from: None }
    }
}

/// How far the cursor goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    By(isize),
    /// Half pages, as `Ctrl-D` does.
    Pages(isize),
    Top,
    Bottom,
    To(usize),
}

impl Step {
    /// The row that is reached from `row` in a list of `len` rows, `page` of them shown.
    pub fn from(self, row: usize, len: usize, page: usize) -> usize {
        let last = len.saturating_sub(1);
        match self {
            Self::By(n) => row.saturating_add_signed(n).min(last),
            Self::Pages(n) => row.saturating_add_signed(n * (page / 2).max(1) as isize).min(last),
            Self::Top => 0,
            Self::Bottom => last,
            Self::To(to) => to.min(last),
        }
    }
}

/// The pane that keys go to, where a list has another one beside it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Focus {
    #[default]
    List,
    Detail,
}

impl<K: Clone + Ord> List<K> {
    pub fn selected(&self) -> Option<&K> {
        self.selected.as_ref()
    }

    /// The selected row, as of the last [`List::settle`].
    pub fn row(&self) -> Option<usize> {
        self.selected.is_some().then_some(self.row)
    }

    /// The first row shown.
    pub fn offset(&self) -> usize {
        self.offset
    }

    pub fn step(&mut self, step: Step, len: usize, page: usize, key_at: impl Fn(usize) -> K) {
        if len == 0 {
            return;
        }
        self.row = match (self.selected.is_some(), step) {
            (false, Step::By(_) | Step::Pages(_)) => self.offset.min(len - 1),
            _ => step.from(self.row, len, page),
        };
        self.selected = Some(key_at(self.row));
    }

    /// Selects the row of this identity as soon as it is there.
    pub fn select(&mut self, key: K) {
        self.selected = Some(key);
    }

    pub fn clear(&mut self) {
        self.selected = None;
        self.row = 0;
        self.offset = 0;
    }

    /// Finds the selection again after rows changed, and brings it into the `page` rows shown. A selection whose row is gone
    /// goes to the row that took its place.
    pub fn settle(&mut self, len: usize, page: usize, always: bool, key_at: impl Fn(usize) -> K) {
        if len == 0 {
            self.offset = 0;
            return;
        }
        if let Some(selected) = &self.selected {
            let here = self.row < len && key_at(self.row) == *selected;
            if !here {
                self.row = (0..len).find(|i| key_at(*i) == *selected).unwrap_or(self.row.min(len - 1));
                self.selected = Some(key_at(self.row));
            }
        } else if always {
            self.row = 0;
            self.selected = Some(key_at(0));
        }
        self.offset = window(self.offset, self.row, len, page);
    }

    /// Marks or unmarks the selected row and goes on to the next.
    pub fn toggle(&mut self, len: usize, key_at: impl Fn(usize) -> K) {
        if let Some(key) = self.selected.clone() {
            if !self.marks.remove(&key) {
                self.marks.insert(key);
            }
            self.step(Step::By(1), len, 1, key_at);
        }
    }

    /// Begins a range of marks, or ends the one begun by marking everything between.
    pub fn range(&mut self, len: usize, key_at: impl Fn(usize) -> K) {
        match self.range_from.take() {
            None => self.range_from.clone_from(&self.selected),
            Some(from) => {
                let Some(start) = (0..len).find(|i| key_at(*i) == from) else { return };
                let (a, b) = (start.min(self.row), start.max(self.row));
                self.marks.extend((a..=b.min(len.saturating_sub(1))).map(key_at));
            }
        }
    }

    /// Marks what is not marked, and the other way round.
    pub fn invert(&mut self, len: usize, key_at: impl Fn(usize) -> K) {
        self.marks = (0..len).map(key_at).filter(|key| !self.marks.contains(key)).collect();
    }

    pub fn clear_marks(&mut self) {
        self.marks.clear();
        self.range_from = None;
    }
}

/// The first of `page` rows to show so that `row` is among them, moving as little as possible from `offset`.
pub fn window(offset: usize, row: usize, len: usize, page: usize) -> usize {
    let page = page.max(1);
    let offset = if row < offset {
        row
    } else if row >= offset + page {
        row + 1 - page
    } else {
        offset
    };
    offset.min(len.saturating_sub(page))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selection_follows_the_row_not_its_number() {
        let before = ["a", "b", "c"];
        let mut list = List::default();
        list.step(Step::Bottom, 3, 10, |i| before[i]);
        let after = ["0", "a", "b", "c", "d"];
        list.settle(5, 10, true, |i| after[i]);
        assert_eq!((list.selected(), list.row()), (Some(&"c"), Some(3)));
        let gone = ["0", "a", "b", "d"];
        list.settle(4, 10, true, |i| gone[i]);
        assert_eq!(list.selected(), Some(&"d"), "the row that took its place");
    }

    #[test]
    fn the_window_moves_as_little_as_possible() {
        for (offset, row, len, page, first) in
            [(0, 5, 10, 6, 0), (0, 6, 10, 6, 1), (4, 2, 10, 6, 2), (8, 9, 10, 6, 4), (3, 0, 2, 6, 0), (0, 0, 0, 0, 0)]
        {
            assert_eq!(window(offset, row, len, page), first);
        }
    }

    #[test]
    fn marks_are_toggled_ranged_and_inverted() {
        let rows = [1, 2, 3, 4];
        let mut list = List::default();
        list.settle(4, 4, true, |i| rows[i]);
        list.toggle(4, |i| rows[i]);
        list.range(4, |i| rows[i]);
        list.step(Step::By(1), 4, 4, |i| rows[i]);
        list.range(4, |i| rows[i]);
        assert_eq!(list.marks, [1, 2, 3].into());
        list.invert(4, |i| rows[i]);
        assert_eq!(list.marks, [4].into());
    }
}
