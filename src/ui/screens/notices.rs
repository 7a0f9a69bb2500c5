//! Notices, drawn.

use crate::app::columns::Column;
use crate::app::model::Model;
use crate::domain::figure;
use crate::ui::theme::Role;
use crate::ui::widgets::chrome::{self, Crumbs};
use crate::ui::widgets::message;
use crate::ui::widgets::table::{Cell, Gutter, Table};
use crate::ui::widgets::text::Canvas;
use ratatui::layout::Rect;

const COLUMNS: &[Column] = &[Column::left("time", 12, 12, 1), Column::left("notice", 24, 400, 0)];

pub fn crumbs(model: &Model) -> Crumbs<'_> {
    let count = format!("{}, newest first", figure::several(model.notices.all.len() as u64, "notice"));
    Crumbs { path: vec!["Notices"], filter: "", right: vec![(count, Role::Dim)] }
}

pub fn draw(canvas: &mut Canvas, model: &Model, area: Rect) {
    let all = &model.notices.all;
    if all.is_empty() {
        return message::say(canvas, area, None, "No notices yet.", &[("Results, warnings and errors are kept here.", Role::Dim)]);
    }
    let list = &model.notices.list;
    // What a row has no room for is shown whole below the list.
    let below = 5.min(area.height / 3);
    let table = Table::new(Rect { height: area.height - below, ..area }, COLUMNS);
    table.heading(canvas);
    for (at, row) in (list.offset()..all.len()).take(table.page()).enumerate() {
        let notice = &all[all.len() - 1 - row];
        let state = chrome::level(canvas, notice.level);
        let gutter = Gutter { selected: list.row() == Some(row), marked: false, state: Some(state) };
        table.row(canvas, at, gutter, |column| match column {
            0 => Cell::new(notice.at.clock(&model.zone)).role(Role::Dim),
            _ if notice.times > 1 => Cell::new(format!("{}  ×{}", notice.text, notice.times)),
            _ => Cell::new(notice.text.as_str()),
        });
    }
    if let Some(notice) = list.row().and_then(|row| all.get(all.len().checked_sub(row + 1)?)) {
        let area = Rect { y: area.bottom() - below, height: below, ..area };
        canvas.line(area.x, area.y, area.width);
        let lines = [(notice.next.as_str(), Role::Dim)];
        message::say(canvas, area, None, notice.text.as_str(), &lines);
    }
}
