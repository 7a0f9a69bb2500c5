//! Plain tables as adapters give them: columns as wide as what stands in them.

use super::text::{Canvas, Cut, width};
use crate::domain::channel::Table;
use crate::ui::theme::Role;

/// Widths of the columns: as wide as their widest cell; where that is too much, the widest give way.
pub fn widths(table: &Table, room: u16) -> Vec<u16> {
    let room = usize::from(room).saturating_sub(4 + 2 * table.columns.len());
    let widest = |column: usize| table.rows.iter().filter_map(|row| row.get(column)).map(|cell| width(cell.as_str())).max().unwrap_or(0);
    let mut widths: Vec<u16> = (0..table.columns.len()).map(|c| widest(c).max(width(table.columns[c]))).collect();
    while widths.iter().map(|w| usize::from(*w)).sum::<usize>() > room {
        match widths.iter_mut().max().filter(|w| **w > 4) {
            Some(widest) => *widest -= 1,
            None => break,
        }
    }
    widths
}

/// One row of cells; both ends of each stay.
pub fn cells<'a>(canvas: &mut Canvas, x: u16, y: u16, widths: &[u16], cells: impl Iterator<Item = &'a str>, role: Role) {
    let mut left = x;
    for (cell, width) in cells.zip(widths) {
        canvas.put_cut(left, y, *width, cell, role, Cut::Middle);
        left += width + 2;
    }
}
