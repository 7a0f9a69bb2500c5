//! The form of an operation, drawn.

use crate::app::model::{Model, PATIENCE};
use crate::app::overlays::form::Form;
use crate::domain::figure;
use crate::ui::theme::Role;
use crate::ui::widgets::text::{Canvas, Cut, width};
use crate::ui::widgets::{field, panel};
use ratatui::layout::{Position, Rect};
use std::time::Duration;

/// What the name of something new is for.
const NAME: &str = "of what is to be made; empty where the whole system is meant";

pub(super) fn draw(canvas: &mut Canvas, model: &Model, form: &Form) -> Option<Position> {
    let titles = form.fields.specs.iter().map(|field| width(field.title)).max().unwrap_or(0).max(4);
    let hint = if form.is_empty() { "Esc close" } else { "^S plan   Esc close" };
    let inside = panel::open(canvas, 92, form.len() as u16 + 4, form.title().0, hint);
    let (glyph, about) = (canvas.glyphs().crumb, form.address.to_string());
    let used = canvas.put_cut(inside.x, inside.y, inside.width, &about, Role::Strong, Cut::Middle);
    canvas.put(inside.x + used, inside.y, inside.width.saturating_sub(used), &format!(" {glyph} {}", form.title().1), Role::Dim);
    let room = inside.height.saturating_sub(4);
    let first = form.focus.saturating_sub(usize::from(room.max(1)) - 1);
    let mut cursor = None;
    for (at, row) in (first..form.len()).zip(0..room) {
        let y = inside.y + 2 + row;
        let focused = at == form.focus && form.planning.is_none();
        if focused {
            canvas.put(inside.x, y, 1, canvas.glyphs().pointer, Role::Strong);
        }
        let indent = titles + 5;
        let area = Rect::new(inside.x + indent, y, inside.width.saturating_sub(indent), 1);
        let role = if focused { Role::Strong } else { Role::Dim };
        let (title, at) = match &form.name {
            Some(name) if at == 0 => {
                cursor = field::line(canvas, area, name, focused, NAME).or(cursor);
                ("name", None)
            }
            _ => (form.fields.specs[at - form.names()].title, Some(at - form.names())),
        };
        canvas.put(inside.x + 2, y, titles, title, role);
        if let Some(at) = at {
            cursor = field::draw(canvas, area, &form.fields, at, focused).or(cursor);
        }
    }
    foot(canvas, model, form, Rect { y: inside.bottom().saturating_sub(1), height: 1, ..inside });
    cursor
}

/// The last row: what is wrong, what is waited for, or what the focused field takes.
fn foot(canvas: &mut Canvas, model: &Model, form: &Form, area: Rect) {
    let typed = form.focus.checked_sub(form.names()).filter(|at| *at < form.fields.len());
    let glyphs = canvas.glyphs();
    let (glyph, role, text) = match (&form.planning, &form.error, typed) {
        (Some((_, since)), ..) => {
            let waited = model.now.since(*since);
            if waited < PATIENCE {
                return;
            }
            let long = if waited < Duration::from_secs(3) { String::new() } else { format!(" since {}", figure::age(waited)) };
            (glyphs.connecting, Role::Connecting, format!("working out the plan{long}"))
        }
        (None, Some(error), _) => (glyphs.bad, Role::Bad, error.to_string()),
        (None, None, Some(at)) => match form.fields.error(at) {
            Some(error) => (glyphs.bad, Role::Bad, error),
            None => (glyphs.dot, Role::Dim, crate::app::fields::hint(&form.fields.specs[at])),
        },
        (None, None, None) => return,
    };
    canvas.put(area.x, area.y, 1, glyph, role);
    let role = if role == Role::Dim { Role::Dim } else { Role::Text };
    canvas.put(area.x + 2, area.y, area.width.saturating_sub(2), &text, role);
}
