//! Overview, drawn.

use crate::app::integration::Integration;
use crate::app::model::Model;
use crate::app::screens::overview::COLUMNS;
use crate::app::wrap::words;
use crate::domain::figure;
use crate::domain::health::Link;
use crate::ui::theme::{Glyphs, Role};
use crate::ui::widgets::chrome::Crumbs;
use crate::ui::widgets::message;
use crate::ui::widgets::state;
use crate::ui::widgets::table::{self, Cell, Gutter, Table};
use crate::ui::widgets::text::Canvas;
use ratatui::layout::Rect;

pub fn crumbs(model: &Model) -> Crumbs<'_> {
    let overview = &model.overview;
    let total = model.integrations().len();
    let mut count = if overview.rows.len() == total {
        figure::several(total as u64, "integration")
    } else {
        format!("shown {} of {total}", overview.rows.len())
    };
    let mut role = Role::Dim;
    if let Some(age) = state::age(model.integrations().iter(), model.now) {
        count.push_str(&format!(" ({age})"));
        role = Role::Unknown;
    }
    Crumbs { path: vec!["Overview"], filter: &overview.filter, right: vec![(count, role)] }
}

pub fn draw(canvas: &mut Canvas, model: &Model, area: Rect) {
    if model.profile.is_none() {
        return opening(canvas, model, area);
    }
    if model.integrations().is_empty() {
        return message::say(canvas, area, None, "This profile has no integrations.", &[("0 opens another profile.", Role::Dim)]);
    }
    if model.overview.rows.is_empty() {
        let title = format!("0 of {} integrations match `{}`.", model.integrations().len(), model.overview.filter);
        return message::say(canvas, area, None, &title, &[("Esc clears the filter.", Role::Dim)]);
    }
    let list = &model.overview.list;
    let glyphs = canvas.glyphs();
    let faults = faults(model);
    let height = area.height.saturating_sub((faults.len() * 2).min(usize::from(area.height / 3)) as u16 + u16::from(!faults.is_empty()));
    let table = Table::new(Rect { height, ..area }, COLUMNS);
    table.heading(canvas);
    for (at, row) in model.overview.rows.iter().enumerate().skip(list.offset()).take(table.page()) {
        let integration = &model.integrations()[*row];
        let (glyph, role, words) = state::of(integration, model.now, canvas.glyphs());
        let gutter = Gutter { selected: list.row() == Some(at), marked: false, state: Some((glyph, role)) };
        let spark = table::spark(canvas, &integration.spark);
        table.row(canvas, at - list.offset(), gutter, |column| cell(integration, column, &words, (role, glyphs), &spark));
    }
    let below = (area.y + 2 + model.overview.rows.len() as u16).min(area.y + height);
    let mut y = below;
    for (integration, text, next) in faults {
        if y >= area.bottom() {
            break;
        }
        let used = canvas.put(area.x + 4, y, 28, integration.label.as_str(), Role::Strong) + 2;
        let room = area.width.saturating_sub(6 + used);
        let next = if next.is_empty() { Vec::new() } else { words(&format!("→ {next}"), room.into()) };
        let rows = words(&text, room.into()).into_iter().map(|row| (row, Role::Text)).chain(next.into_iter().map(|row| (row, Role::Dim)));
        for (row, role) in rows.take(usize::from(area.bottom() - y)) {
            canvas.put(area.x + 4 + used, y, room, &row, role);
            y += 1;
        }
    }
}

/// What is wrong, a line each, with its next step.
fn faults(model: &Model) -> Vec<(&Integration, String, String)> {
    let shown = model.overview.rows.iter().filter_map(|row| model.integrations().get(*row));
    shown
        .filter_map(|integration| match (&integration.link, &integration.list_fault) {
            (Link::Down { fault, .. }, _) | (Link::Up { .. }, Some(fault)) => {
                Some((integration, format!("{}: {}", fault.kind.word(), fault.cause), fault.next.as_str().to_owned()))
            }
            (Link::Up { .. }, None) => blocked(integration),
            (Link::Connecting, _) => None,
        })
        .collect()
}

/// Why nothing can be published to an integration that is up.
fn blocked(integration: &Integration) -> Option<(&Integration, String, String)> {
    let fault = integration.channels.iter().find(|channel| channel.blocks)?.fault.as_ref()?;
    Some((integration, format!("{}: {}", fault.kind.word(), fault.cause), fault.next.as_str().to_owned()))
}

fn cell<'a>(integration: &'a Integration, column: usize, words: &str, (role, glyphs): (Role, &Glyphs), spark: &str) -> Cell<'a> {
    let known = integration.listed_at.is_some();
    let stale = if known && !matches!(integration.link, Link::Up { .. }) { Role::Dim } else { Role::Text };
    match column {
        0 => Cell::name(integration.label.as_str()),
        1 => Cell::new(integration.system),
        2 => Cell::new(words.to_owned()).role(role),
        3 => integration.rate_in.map_or_else(Cell::unknown, |rate| Cell::new(figure::rate(rate)).role(stale)),
        4 => Cell::new(spark.to_owned()).role(Role::Dim),
        5 => super::groups::total(integration, glyphs),
        6 if known => Cell::new(figure::count(integration.channels.iter().filter(|c| !c.internal).count() as u64)).role(stale),
        7 => integration.latency.map_or_else(Cell::unknown, |latency| Cell::new(latency_text(latency))),
        8 => Cell::name(integration.endpoint.as_str()).role(Role::Dim),
        _ => Cell::unknown(),
    }
}

fn latency_text(latency: std::time::Duration) -> String {
    match latency.as_millis() {
        0 => "< 1 ms".to_owned(),
        ms @ 1..1000 => format!("{ms} ms"),
        ms => format!("{:.1} s", ms as f64 / 1000.0),
    }
}

fn opening(canvas: &mut Canvas, model: &Model, area: Rect) {
    if let Some((name, since)) = &model.profiles.opening {
        let waited = model.now.since(*since);
        if waited >= crate::app::model::PATIENCE {
            message::waiting(canvas, area, &format!("Opening {name}…"), waited);
        }
    }
}
