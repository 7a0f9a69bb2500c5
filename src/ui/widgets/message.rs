//! What a body says when it has no rows: what is so, why, and what to do.

use super::text::Canvas;
use crate::app::wrap::words;
use crate::domain::fault::Fault;
use crate::ui::theme::Role;
use ratatui::layout::Rect;
use std::time::Duration;

/// A title with a few lines under it.
pub fn say(canvas: &mut Canvas, area: Rect, glyph: Option<(&'static str, Role)>, title: &str, lines: &[(&str, Role)]) {
    let x = area.x + 4;
    let room = area.width.saturating_sub(8).min(96);
    let mut y = area.y + (area.height / 5).max(1);
    if let Some((glyph, role)) = glyph {
        canvas.put(area.x + 2, y, 1, glyph, role);
    }
    let pieces = std::iter::once((title, Role::Strong)).chain(lines.iter().copied());
    for (text, role) in pieces {
        for piece in words(text, usize::from(room)) {
            if y < area.bottom() {
                canvas.put(x, y, room, &piece, role);
            }
            y += 1;
        }
    }
}

/// What failed, why, and the next step.
pub fn fault(canvas: &mut Canvas, area: Rect, title: &str, fault: &Fault, keys: &str) {
    let glyph = (canvas.glyphs().bad, Role::Bad);
    let what = format!("{} {}: {}", fault.op, fault.target, fault.kind.word());
    let lines = [
        (what.as_str(), Role::Text),
        (fault.cause.as_str(), Role::Text),
        (fault.next.as_str(), Role::Text),
        ("", Role::Dim),
        (keys, Role::Dim),
    ];
    let lines: Vec<_> = lines.into_iter().filter(|(text, role)| !text.is_empty() || *role == Role::Dim).collect();
    say(canvas, area, Some(glyph), title, &lines);
}

/// Something is waited for; how long it takes already is said from a second on, how to end it from two.
pub fn waiting(canvas: &mut Canvas, area: Rect, what: &str, since: Duration) {
    let glyph = (canvas.glyphs().connecting, Role::Connecting);
    let long = if since >= Duration::from_secs(2) { crate::domain::figure::age(since) } else { String::new() };
    let line = if long.is_empty() || long == "now" { String::new() } else { format!("since {long}") };
    say(canvas, area, Some(glyph), what, &[(line.as_str(), Role::Dim)]);
}
