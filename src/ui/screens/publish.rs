//! The publish form, drawn.

use crate::app::model::Model;
use crate::app::screens::publish::{Body, Form, Part};
use crate::domain::figure;
use crate::ui::theme::Role;
use crate::ui::widgets::chrome::Crumbs;
use crate::ui::widgets::text::{Canvas, Cut, width};
use crate::ui::widgets::{field, input};
use ratatui::layout::{Position, Rect};

/// Cells of a label, at least and at most.
const LABEL: (u16, u16) = (12, 18);
/// Rows that the value has, however many fields there are.
const VALUE: u16 = 5;

pub fn crumbs<'a>(model: &'a Model, address: &'a str) -> Crumbs<'a> {
    let Some(form) = &model.form else { return Crumbs { path: vec!["Publish"], filter: "", right: Vec::new() } };
    let right = if form.sending.is_some() {
        ("sending…".to_owned(), Role::Connecting)
    } else if let Some(origin) = &form.origin {
        match form.broken_json() {
            Some(_) => (format!("a copy of {origin}, edited: no JSON any more"), Role::Watch),
            None if form.is_exact() => (format!("a copy of {origin}, byte for byte"), Role::Dim),
            None => (format!("a copy of {origin}, edited"), Role::Strong),
        }
    } else {
        ((if form.calls { "a request" } else { "a new message" }).to_owned(), Role::Dim)
    };
    Crumbs { path: vec![if form.calls { "Call" } else { "Publish" }, address], filter: "", right: vec![right] }
}

/// Draws the form; returns where the cursor stands.
pub fn draw(canvas: &mut Canvas, model: &Model, area: Rect) -> Option<Position> {
    let form = model.form.as_ref()?;
    let parts = form.parts();
    let lines = form.fields.len() as u16 + u16::from(form.spec.key) + u16::from(form.spec.timestamp);
    let headers = 1 + (form.headers.lines().len() as u16).clamp(1, (area.height / 4).max(1));
    let wrong = wrong(model, form);
    let error = if wrong.is_some() { 2 } else { 0 };
    let value = area.height.saturating_sub(lines + headers + error + 3).max(VALUE);
    let height = |part: &Part| match part {
        Part::Headers => headers,
        Part::Value => value,
        _ => 1,
    };
    let heights: Vec<u16> = parts.iter().map(height).collect();
    let room = area.height.saturating_sub(1 + error);
    let first = first(&heights, parts.iter().position(|part| *part == form.focus).unwrap_or(0), room);
    let label = parts.iter().map(|part| width(title(form, *part))).max().unwrap_or(0).clamp(LABEL.0, LABEL.1);
    let (mut y, end) = (area.y + 1, area.y + 1 + room);
    let (mut cursor, mut shown) = (None, first);
    for (part, height) in parts.iter().zip(&heights).skip(first) {
        let left = end.saturating_sub(y);
        // What does not fit is told in the last row.
        if left == 0 || (left <= *height && shown + 1 < parts.len() && *part != form.focus) {
            break;
        }
        cursor = draw_part(canvas, form, *part, label, Rect { y, height: (*height).min(left), ..area }).or(cursor);
        y += (*height).min(left);
        shown += 1;
    }
    if shown < parts.len() && y < end {
        let more = parts.len() - shown;
        canvas.put(area.x + 2, y, area.width.saturating_sub(3), &format!("and {more} more: Tab goes on to them"), Role::Dim);
    }
    if let Some(error) = wrong {
        let y = area.bottom() - 1;
        let glyph = canvas.glyphs().bad;
        canvas.put(area.x + 1, y, 1, glyph, Role::Bad);
        canvas.put(area.x + 3, y, area.width.saturating_sub(4), &error, Role::Text);
    }
    cursor
}

/// Why it was refused, or why nothing can be published now.
fn wrong(model: &Model, form: &Form) -> Option<String> {
    let blocked = || {
        let channels = &model.integration(&form.address.integration)?.channels;
        channels.iter().find(|channel| channel.blocks)?.fault.as_ref().map(|fault| fault.cause.to_string())
    };
    form.error.as_ref().map(|(_, error)| error.clone()).or_else(blocked)
}

/// The first part that is drawn, so that the one with the cursor and the one behind it have room.
fn first(heights: &[u16], focus: usize, room: u16) -> usize {
    let until = (focus + 2).min(heights.len());
    let fits = |from: usize| heights[from..until].iter().sum::<u16>() <= room;
    (0..focus).find(|from| fits(*from)).unwrap_or(focus)
}

fn title(form: &Form, part: Part) -> &'static str {
    match part {
        Part::Key => "key",
        Part::Headers => "headers",
        Part::Value => "value",
        Part::Timestamp => "timestamp",
        Part::Field(i) => form.spec.fields[i].title,
    }
}

fn draw_part(canvas: &mut Canvas, form: &Form, part: Part, label: u16, row: Rect) -> Option<Position> {
    let focused = form.focus == part && form.sending.is_none();
    if focused {
        canvas.put(row.x, row.y, 1, canvas.glyphs().pointer, Role::Strong);
    }
    canvas.put_cut(row.x + 2, row.y, label, title(form, part), if focused { Role::Strong } else { Role::Dim }, Cut::Middle);
    let inside = Rect { x: row.x + label + 4, width: row.width.saturating_sub(label + 5), ..row };
    match part {
        Part::Key => match &form.key {
            None => missing(canvas, inside, "– no key; type one, or ^N for an empty one"),
            Some(editor) => field::line(canvas, inside, editor, focused, "empty; ^N for no key at all"),
        },
        Part::Headers => {
            if form.headers.is_empty() && !focused {
                missing(canvas, inside, "none; one a line, `name: value`")
            } else {
                input::lines(canvas, inside, &form.headers, focused)
            }
        }
        Part::Value => body(canvas, &form.value, inside, focused),
        Part::Timestamp => field::line(canvas, inside, &form.timestamp, focused, "the moment of sending; or `3h ago`, 2026-02-05T10:00Z"),
        Part::Field(i) => field::draw(canvas, inside, &form.fields, i, focused),
    }
}

fn missing(canvas: &mut Canvas, area: Rect, text: &str) -> Option<Position> {
    canvas.put(area.x, area.y, area.width, text, Role::Dim);
    None
}

fn body(canvas: &mut Canvas, body: &Body, area: Rect, focused: bool) -> Option<Position> {
    match body {
        Body::Missing => missing(canvas, area, "∅ no payload (a tombstone)   ^N gives it one"),
        Body::Exact(bytes) => {
            let text = format!(
                "{} that are no plain text, sent exactly as they are   ^E edits them, ^N replaces them",
                figure::bytes(bytes.len() as u64)
            );
            missing(canvas, area, &text);
            for (i, chunk) in bytes.chunks(16).take(usize::from(area.height.saturating_sub(1))).enumerate() {
                let hex: String = chunk.iter().fold(String::new(), |out, byte| out + &format!("{byte:02x} "));
                canvas.put(area.x, area.y + 1 + i as u16, area.width, &hex, Role::Dim);
            }
            None
        }
        Body::Text(editor) => input::lines(canvas, area, editor, focused),
    }
}
