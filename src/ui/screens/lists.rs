//! The wire log and the notices, drawn.

use crate::app::columns::Column;
use crate::app::model::Model;
use crate::app::screens::wire_log::COLUMNS;
use crate::domain::figure;
use crate::ui::theme::Role;
use crate::ui::widgets::chrome::{self, Crumbs};
use crate::ui::widgets::message;
use crate::ui::widgets::table::{Cell, Gutter, Table};
use crate::ui::widgets::text::Canvas;
use ratatui::layout::Rect;

const NOTICE_COLUMNS: &[Column] = &[Column::left("time", 12, 12, 1), Column::left("notice", 24, 400, 0)];

pub fn wire_crumbs(model: &Model) -> Crumbs<'_> {
    let mut path = Vec::new();
    if let Some(integration) = model.wire.integration.as_ref().and_then(|name| model.integration(name)) {
        path.push(integration.label.as_str());
    }
    path.push("Wire log");
    let count = format!("{} exchanges, newest first", figure::grouped(model.wire.lines.len() as u64));
    Crumbs { path, filter: "", right: vec![(count, Role::Dim)] }
}

pub fn wire(canvas: &mut Canvas, model: &Model, area: Rect) {
    let lines = &model.wire.lines;
    if lines.is_empty() {
        let hint = "Names, sizes and codes of requests and answers appear here; never a payload or a credential.";
        return message::say(canvas, area, None, "Nothing went over the wire yet.", &[(hint, Role::Dim)]);
    }
    let list = &model.wire.list;
    let table = Table::new(area, COLUMNS);
    table.heading(canvas);
    for (at, row) in (list.offset()..lines.len()).take(table.page()).enumerate() {
        let line = model.wire.line(row);
        let gutter = Gutter { selected: list.row() == Some(row), ..Gutter::default() };
        table.row(canvas, at, gutter, |column| match column {
            0 => Cell::new(line.number.to_string()).role(Role::Dim),
            1 => Cell::name(line.peer.as_str()).role(Role::Dim),
            2 => Cell::new(line.request.as_str()),
            3 => Cell::new(took(line.took)),
            _ => Cell::new(line.outcome.as_str()),
        });
    }
}

fn took(took: std::time::Duration) -> String {
    let micros = took.as_micros();
    if micros < 10_000 { format!("{:.1} ms", micros as f64 / 1000.0) } else { format!("{} ms", micros / 1000) }
}

pub fn notices_crumbs(model: &Model) -> Crumbs<'_> {
    let count = format!("{} notices, newest first", model.notices.all.len());
    Crumbs { path: vec!["Notices"], filter: "", right: vec![(count, Role::Dim)] }
}

pub fn notices(canvas: &mut Canvas, model: &Model, area: Rect) {
    let all = &model.notices.all;
    if all.is_empty() {
        return message::say(canvas, area, None, "Nothing was said yet.", &[("Results, warnings and errors are kept here.", Role::Dim)]);
    }
    let list = &model.notices.list;
    // What a row has no room for is shown whole below the list.
    let below = 5.min(area.height / 3);
    let table = Table::new(Rect { height: area.height - below, ..area }, NOTICE_COLUMNS);
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
