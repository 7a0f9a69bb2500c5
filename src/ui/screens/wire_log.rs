//! The wire log, drawn.

use crate::app::model::Model;
use crate::app::screens::wire_log::COLUMNS;
use crate::domain::figure;
use crate::ui::theme::Role;
use crate::ui::widgets::chrome::Crumbs;
use crate::ui::widgets::message;
use crate::ui::widgets::table::{Cell, Gutter, Table};
use crate::ui::widgets::text::Canvas;
use ratatui::layout::Rect;

pub fn crumbs(model: &Model) -> Crumbs<'_> {
    let mut path = Vec::new();
    if let Some(integration) = model.wire.integration.as_ref().and_then(|name| model.integration(name)) {
        path.push(integration.label.as_str());
    }
    path.push("Wire log");
    let count = format!("{}, newest first", figure::several(model.wire.lines.len() as u64, "exchange"));
    Crumbs { path, filter: "", right: vec![(count, Role::Dim)] }
}

pub fn draw(canvas: &mut Canvas, model: &Model, area: Rect) {
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
