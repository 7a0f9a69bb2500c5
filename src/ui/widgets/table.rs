//! Rows of a table: pointer, mark, state, then cells under their headings.

use super::text::{Canvas, Cut};
use crate::app::columns::{Column, Placed, fit};
use crate::app::spark::Spark;
use crate::ui::theme::Role;
use ratatui::layout::Rect;
use std::borrow::Cow;

/// Cells before the first column: pointer, mark, state, a gap.
pub const GUTTER: u16 = 4;

/// One cell.
pub struct Cell<'a> {
    pub text: Cow<'a, str>,
    pub role: Role,
    pub cut: Cut,
    /// It takes the place of all cells after it.
    pub spans: bool,
}

impl<'a> Cell<'a> {
    pub fn new(text: impl Into<Cow<'a, str>>) -> Self {
        Self { text: text.into(), role: Role::Text, cut: Cut::End, spans: false }
    }

    /// A name: both of its ends stay.
    pub fn name(text: impl Into<Cow<'a, str>>) -> Self {
        Self { cut: Cut::Middle, ..Self::new(text) }
    }

    #[must_use]
    pub fn role(mut self, role: Role) -> Self {
        self.role = role;
        self
    }

    /// What is said instead of this cell and all after it.
    pub fn note(text: impl Into<Cow<'a, str>>, role: Role) -> Self {
        Self { spans: true, ..Self::new(text).role(role) }
    }

    /// What is not known.
    pub fn unknown() -> Self {
        Self::new("–").role(Role::Dim)
    }
}

/// What stands before a row's cells.
#[derive(Clone, Copy, Debug, Default)]
pub struct Gutter {
    pub selected: bool,
    pub marked: bool,
    pub state: Option<(&'static str, Role)>,
}

/// A table in an area: its columns with their places.
pub struct Table<'c> {
    pub area: Rect,
    columns: &'c [Column],
    placed: Vec<Placed>,
}

impl<'c> Table<'c> {
    pub fn new(area: Rect, columns: &'c [Column]) -> Self {
        let placed = fit(columns, area.x + GUTTER, area.width.saturating_sub(GUTTER + 1));
        Self { area, columns, placed }
    }

    /// The rows that fit under the heading.
    pub fn page(&self) -> usize {
        usize::from(self.area.height.saturating_sub(1))
    }

    pub fn heading(&self, canvas: &mut Canvas) {
        for placed in &self.placed {
            let column = &self.columns[placed.index];
            self.cell(canvas, self.area.y, placed, &Cell::new(column.title).role(Role::Heading));
        }
    }

    /// Draws the row at that place below the heading; `cells` makes the cell of a column, by its index.
    pub fn row<'t>(&self, canvas: &mut Canvas, at: usize, gutter: Gutter, mut cells: impl FnMut(usize) -> Cell<'t>) {
        let y = self.area.y + 1 + at as u16;
        let x = self.area.x;
        let glyphs = canvas.glyphs();
        for placed in &self.placed {
            let cell = cells(placed.index);
            if cell.spans {
                let room = self.area.right().saturating_sub(placed.x + 1);
                canvas.put(placed.x, y, room, &cell.text, cell.role);
                break;
            }
            self.cell(canvas, y, placed, &cell);
        }
        if gutter.marked {
            canvas.put(x + 1, y, 1, glyphs.mark, Role::Marked);
        }
        if let Some((glyph, role)) = gutter.state {
            canvas.put(x + 2, y, 1, glyph, role);
        }
        if gutter.selected {
            canvas.put(x, y, 1, glyphs.pointer, Role::Strong);
            canvas.overlay(Rect::new(x, y, self.area.width, 1), Role::Selected);
        }
    }

    fn cell(&self, canvas: &mut Canvas, y: u16, placed: &Placed, cell: &Cell) {
        if self.columns[placed.index].right {
            canvas.put_right(placed.x + placed.width, y, placed.width, &cell.text, cell.role);
        } else {
            canvas.put_cut(placed.x, y, placed.width, &cell.text, cell.role, cell.cut);
        }
    }
}

/// Recent rates as a text of eight cells.
pub fn spark(canvas: &Canvas, spark: &Spark) -> String {
    let glyphs = canvas.glyphs();
    spark.steps(8).map(|step| glyphs.spark[usize::from(step)]).collect()
}
