//! Help, drawn.

use crate::app::action::Reason;
use crate::app::model::Model;
use crate::app::overlays::help;
use crate::ui::theme::Role;
use crate::ui::widgets::text::{Canvas, width};
use crate::ui::widgets::{keys, panel};

pub(super) fn draw(canvas: &mut Canvas, model: &Model, offset: usize) {
    let rows = help::rows(model);
    let inside = panel::open(canvas, 78, rows.len() as u16, "Keys", "j k scroll   Esc close");
    for (at, row) in rows.iter().skip(offset).take(usize::from(inside.height)).enumerate() {
        let y = inside.y + at as u16;
        match row {
            help::Row::Blank => {}
            help::Row::Heading(text) => _ = canvas.put(inside.x, y, inside.width, text, Role::Strong),
            help::Row::Command(command) => {
                canvas.put(inside.x + 2, y, 14, &keys::of(canvas, command), Role::Key);
                let refused = match (command.available)(model) {
                    Err(Reason::Refused(reason)) => Some(reason),
                    _ => None,
                };
                let role = if refused.is_some() { Role::Dim } else { Role::Text };
                let used = canvas.put(inside.x + 17, y, inside.width.saturating_sub(17), command.title, role);
                if let Some(reason) = refused {
                    let room = inside.width.saturating_sub(used + 19);
                    if width(&reason) <= room {
                        canvas.put_right(inside.right(), y, room, &reason, Role::Dim);
                    }
                }
            }
        }
    }
}
