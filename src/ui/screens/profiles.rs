//! The first run and the profile picker, drawn.

use crate::app::columns::Column;
use crate::app::model::{Model, PATIENCE};
use crate::app::screens::profiles::Profiles;
use crate::domain::figure;
use crate::domain::text::SafeText;
use crate::ui::theme::Role;
use crate::ui::widgets::chrome::Crumbs;
use crate::ui::widgets::message;
use crate::ui::widgets::table::{Cell, Gutter, Table};
use crate::ui::widgets::text::{Canvas, Cut};
use ratatui::layout::Rect;

const COLUMNS: &[Column] = &[Column::left("profile", 16, 32, 0), Column::left("integrations", 20, 60, 1), Column::left("file", 16, 80, 2)];

pub fn welcome_crumbs(_: &Model) -> Crumbs<'_> {
    Crumbs { path: vec!["Welcome"], filter: "", right: Vec::new() }
}

pub fn crumbs(model: &Model) -> Crumbs<'_> {
    let count = model.profiles.entries.as_ref().map_or_else(String::new, |entries| figure::several(entries.len() as u64, "profile"));
    Crumbs { path: vec!["Profiles"], filter: "", right: vec![(count, Role::Dim)] }
}

/// What mqdeck is, and the two ways to begin.
pub fn welcome(canvas: &mut Canvas, model: &Model, area: Rect) {
    let x = area.x + 4;
    let room = area.width.saturating_sub(8).min(90);
    let mut y = area.y + (area.height / 8).max(1);
    let lines: &[(&str, &str, Role)] = &[
        ("", "mqdeck", Role::Strong),
        ("", "One console for the message traffic of your systems.", Role::Text),
        ("", "", Role::Text),
        ("", "See what flows, live or from any point of its history; filter it, open a", Role::Dim),
        ("", "message to its last byte, copy it, send it again.", Role::Dim),
        ("", "Looking changes nothing.", Role::Dim),
        ("", "", Role::Text),
        ("d", "start the demo: embedded systems, live traffic, no network", Role::Text),
        ("u", "connect by URL: kafka://host:9092", Role::Text),
        ("?", "keys of this screen", Role::Text),
        ("q", "quit", Role::Text),
        ("", "", Role::Text),
        ("", "A profile keeps a connection for next time:", Role::Dim),
        ("", "~/.config/mqdeck/profiles/NAME.hcl   mqdeck profile check", Role::Dim),
    ];
    for (key, text, role) in lines {
        let mut left = x;
        if !key.is_empty() {
            canvas.put(x, y, 2, key, Role::Key);
            left += 4;
        }
        if y < area.bottom() {
            canvas.put(left, y, room, text, *role);
        }
        y += 1;
    }
    state(canvas, model, Rect { y: y + 1, height: area.bottom().saturating_sub(y + 1), ..area });
}

/// What is being opened, or why it could not be.
fn state(canvas: &mut Canvas, model: &Model, area: Rect) {
    if area.height == 0 {
        return;
    }
    let Profiles { opening, failed, .. } = &model.profiles;
    let (x, room) = (area.x + 4, area.width.saturating_sub(8));
    let glyphs = canvas.glyphs();
    if let Some((name, since)) = opening {
        if model.now.since(*since) >= PATIENCE {
            canvas.put(x - 2, area.y, 1, glyphs.connecting, Role::Connecting);
            canvas.put(x, area.y, room, &format!("Opening {name}…"), Role::Text);
        }
    } else if let Some((name, fault)) = failed {
        canvas.put(x - 2, area.y, 1, glyphs.bad, Role::Bad);
        canvas.put(x, area.y, room, &format!("{name} could not be opened: {}", fault.cause), Role::Text);
        if area.height > 1 {
            canvas.put(x, area.y + 1, room, fault.next.as_str(), Role::Dim);
        }
    }
}

/// The profiles there are.
pub fn draw(canvas: &mut Canvas, model: &Model, area: Rect) {
    let state_rows = if model.profiles.opening.is_some() || model.profiles.failed.is_some() { 3 } else { 0 };
    let list_area = Rect { height: area.height.saturating_sub(state_rows), ..area };
    match &model.profiles.entries {
        None => {
            let since = model.now.since(model.profiles.asked_at);
            if since >= PATIENCE {
                message::waiting(canvas, list_area, "Looking for profiles…", since);
            }
        }
        Some(entries) if entries.is_empty() => {
            let lines = [
                ("d starts the demo.   u connects by URL.", Role::Dim),
                ("A profile is a file: ~/.config/mqdeck/profiles/NAME.hcl", Role::Dim),
            ];
            message::say(canvas, list_area, None, "There are no profiles yet.", &lines);
        }
        Some(entries) => {
            let list = &model.profiles.list;
            let table = Table::new(list_area, COLUMNS);
            table.heading(canvas);
            for (at, entry) in entries.iter().enumerate().skip(list.offset()).take(table.page()) {
                let state = entry.fault.is_some().then(|| (canvas.glyphs().bad, Role::Bad));
                let gutter = Gutter { selected: list.row() == Some(at), marked: false, state };
                table.row(canvas, at - list.offset(), gutter, |column| match column {
                    0 => Cell::name(entry.name.as_str()),
                    1 => match &entry.fault {
                        Some(fault) => Cell::new(fault.cause.as_str()).role(Role::Bad),
                        None => Cell::new(entry.integrations.iter().map(SafeText::as_str).collect::<Vec<_>>().join(", ")),
                    },
                    _ => Cell { cut: Cut::Middle, ..Cell::new(&*entry.path).role(Role::Dim) },
                });
            }
        }
    }
    let y = list_area.bottom();
    state(canvas, model, Rect { y, height: state_rows, ..area });
}
