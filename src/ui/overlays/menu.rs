//! Menus, drawn.

use crate::app::action::{Reason, Scope};
use crate::app::model::Model;
use crate::app::overlays::Menu;
use crate::app::overlays::menu::{self, Item};
use crate::domain::operation::Risk;
use crate::ui::theme::Role;
use crate::ui::widgets::text::Canvas;
use crate::ui::widgets::{keys, panel};
use ratatui::layout::Rect;

/// A system's own word at the beginning of a row.
fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

pub(super) fn draw(canvas: &mut Canvas, model: &Model, menu: Menu) {
    let rows = menu::rows(model, menu.scope);
    let title = if menu.scope == Scope::CopyMenu { "Copy" } else { "Actions" };
    let hint = format!("{} or its key   Esc close", keys::enter(canvas));
    let inside = panel::open(canvas, 72, rows.len() as u16, title, &hint);
    for (at, row) in rows.iter().enumerate().take(usize::from(inside.height)) {
        let y = inside.y + at as u16;
        let (key, title, help) = match &row.item {
            Item::Command(command) => (keys::of(canvas, command), command.title.to_owned(), ""),
            // A tenth has no digit: it is chosen by its row.
            Item::Verb(verb) => {
                let more = if verb.fields.is_empty() { "" } else { "…" };
                let number = row.number.map_or_else(String::new, |number| number.to_string());
                (number, format!("{}{more}", capital(verb.word)), verb.help)
            }
            Item::Operation(spec, _) => {
                let number = row.number.filter(|number| *number < 10).map_or_else(String::new, |number| number.to_string());
                (number, format!("{}…", spec.title), spec.help)
            }
        };
        canvas.put(inside.x + 2, y, 3, &key, Role::Key);
        let destroys = matches!(&row.item, Item::Operation(spec, _) if spec.risk == Risk::Destroy);
        let role = match row.available {
            Ok(()) if destroys => Role::Destructive,
            Ok(()) => Role::Text,
            Err(_) => Role::Dim,
        };
        let used = canvas.put(inside.x + 6, y, inside.width.saturating_sub(6), &title, role);
        let beside = match &row.available {
            Err(Reason::Refused(reason)) => reason,
            _ => help,
        };
        canvas.put_right(inside.right(), y, inside.width.saturating_sub(used + 9), beside, Role::Dim);
        if at == menu.selected {
            canvas.put(inside.x, y, 1, canvas.glyphs().pointer, Role::Strong);
            canvas.overlay(Rect::new(inside.x, y, inside.width, 1), Role::Selected);
        }
    }
}
