//! Menus, drawn.

use super::{enter, keys};
use crate::app::commands::{Reason, Scope};
use crate::app::model::Model;
use crate::app::overlays::menu::{self, Menu};
use crate::ui::theme::Role;
use crate::ui::widgets::panel;
use crate::ui::widgets::text::Canvas;
use ratatui::layout::Rect;

pub(super) fn draw(canvas: &mut Canvas, model: &Model, menu: Menu) {
    let rows = menu::rows(model, menu.scope);
    let title = if menu.scope == Scope::CopyMenu { "Copy" } else { "Actions" };
    let hint = format!("{} or its key   Esc close", enter(canvas));
    let inside = panel::open(canvas, 72, rows.len() as u16, title, &hint);
    for (at, (command, available)) in rows.iter().enumerate().take(usize::from(inside.height)) {
        let y = inside.y + at as u16;
        canvas.put(inside.x + 2, y, 3, &keys(canvas, command), Role::Key);
        let role = if available.is_ok() { Role::Text } else { Role::Dim };
        let used = canvas.put(inside.x + 6, y, inside.width.saturating_sub(6), command.title, role);
        if let Err(Reason::Refused(reason)) = available {
            let room = inside.width.saturating_sub(used + 9);
            canvas.put_right(inside.right(), y, room, reason, Role::Dim);
        }
        if at == menu.selected {
            canvas.put(inside.x, y, 1, canvas.glyphs().pointer, Role::Strong);
            canvas.overlay(Rect::new(inside.x, y, inside.width, 1), Role::Selected);
        }
    }
}
