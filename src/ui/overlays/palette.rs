//! The palette, drawn.

use crate::app::action::{Scope, key_name};
use crate::app::commands::by_id;
use crate::app::list::window;
use crate::app::overlays::palette::{Kind, Palette, Target};
use crate::ui::theme::Role;
use crate::ui::widgets::text::{Canvas, Cut};
use crate::ui::widgets::{input, keys, panel};
use ratatui::layout::{Position, Rect};

pub(super) fn draw(canvas: &mut Canvas, palette: &Palette) -> Position {
    let (title, verb) = match palette.kind {
        Kind::Commands => ("Commands", "do"),
        Kind::Places => ("Go to", "go"),
        Kind::Templates => ("Templates", "fill in"),
    };
    let hint = format!("{} {verb}   Esc close", keys::enter(canvas));
    let wanted = (canvas.area().height / 2).max(8);
    let inside = panel::open(canvas, 76, wanted, title, &hint);
    let rows = usize::from(inside.height.saturating_sub(2));
    let first = window(0, palette.selected, palette.rows.len(), rows);
    for (at, entry) in palette.rows.iter().enumerate().skip(first).take(rows) {
        let y = inside.y + 2 + (at - first) as u16;
        let (right, role) = match (&entry.refused, &entry.target) {
            (Some(reason), _) => (reason.as_str().to_owned(), Role::Dim),
            (None, Target::Command(id)) => (path(canvas, id), Role::Key),
            (None, target) => (target.word().to_owned(), Role::Dim),
        };
        let used = canvas.put_right(inside.right(), y, inside.width * 3 / 5, &right, role);
        let room = inside.width.saturating_sub(used + 4);
        let text = if entry.refused.is_some() { Role::Dim } else { Role::Text };
        canvas.put_cut(inside.x + 2, y, room, entry.label.as_str(), text, Cut::Middle);
        if at == palette.selected {
            canvas.put(inside.x, y, 1, canvas.glyphs().pointer, Role::Strong);
            canvas.overlay(Rect::new(inside.x, y, inside.width, 1), Role::Selected);
        }
    }
    if palette.rows.is_empty() {
        let more = if palette.kind == Kind::Places { " INTEGRATION/NAME opens any channel, or a pattern of them." } else { "" };
        canvas.put(inside.x + 2, inside.y + 2, inside.width, &format!("Nothing matches.{more}"), Role::Dim);
    }
    canvas.put(inside.x, inside.y, 1, if palette.kind == Kind::Places { ":" } else { canvas.glyphs().crumb }, Role::Key);
    input::line(canvas, Rect::new(inside.x + 2, inside.y, inside.width.saturating_sub(2), 1), &palette.editor, true)
}

/// The keys of a command as the palette writes them: with the menu's key where it stands in a menu.
fn path(canvas: &Canvas, id: &str) -> String {
    let Some(command) = by_id(id) else { return String::new() };
    let own = command.keys.first().map_or_else(String::new, |key| key_name(*key, canvas.glyphs().ascii));
    match command.scope {
        Scope::ActionMenu => format!("x {own}"),
        Scope::CopyMenu => format!("y {own}"),
        _ => own,
    }
}
