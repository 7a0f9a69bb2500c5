//! Questions that are answered by typing, drawn.

use crate::app::layout;
use crate::app::list::window;
use crate::app::overlays::Prompt;
use crate::app::overlays::input::{LISTED, ReceiveOptions};
use crate::app::wrap::words;
use crate::domain::text::SafeText;
use crate::ui::theme::Role;
use crate::ui::widgets::text::{Canvas, Cut, width};
use crate::ui::widgets::{input, keys, panel};
use ratatui::layout::{Position, Rect};

/// Cells of a panel with a question.
const WIDTH: u16 = 92;

pub(super) fn draw(canvas: &mut Canvas, prompt: &Prompt) -> Position {
    let several =
        prompt.receive_options.as_ref().and_then(|receive_options| receive_options.known.as_ref()).is_some_and(|known| known.len() > 1);
    let choose = if several { format!("{} choose   ", if canvas.glyphs().ascii { "Up Down" } else { "↑ ↓" }) } else { String::new() };
    let hint = format!("{choose}{} confirm   Esc close", keys::enter(canvas));
    let listed = prompt.receive_options.as_ref().map_or(0, rows);
    let room = layout::panel(canvas.area().width, canvas.area().height, WIDTH, 0).1.width.saturating_sub(2);
    let warning = prompt.warning.as_ref().map_or_else(Vec::new, |warning| words(warning.as_str(), room.into()));
    let inside = panel::open(canvas, WIDTH, 3 + listed + warning.len() as u16, prompt.ask.title(), &hint);
    let foot = inside.bottom().saturating_sub(1);
    let above = foot.saturating_sub(warning.len() as u16);
    for (y, row) in (above..foot).zip(&warning) {
        if y == above {
            canvas.put(inside.x, y, 1, canvas.glyphs().watch, Role::Watch);
        }
        canvas.put(inside.x + 2, y, inside.width.saturating_sub(2), row, Role::Text);
    }
    if let Some(receive_options) = &prompt.receive_options {
        draw_ways(canvas, receive_options, Rect { y: inside.y + 2, height: above.saturating_sub(inside.y + 3), ..inside });
    }
    match &prompt.error {
        Some(error) => {
            let glyph = canvas.glyphs().bad;
            canvas.put(inside.x, foot, 1, glyph, Role::Bad);
            canvas.put(inside.x + 2, foot, inside.width.saturating_sub(2), error, Role::Text);
        }
        None => _ = canvas.put(inside.x, foot, inside.width, prompt.ask.hint(), Role::Dim),
    }
    input::line(canvas, Rect { height: 1, ..inside }, &prompt.editor, true)
}

/// Rows that ways take, with a heading and a blank one.
fn rows(receive_options: &ReceiveOptions) -> u16 {
    receive_options.known.as_ref().map_or(2, |known| if known.is_empty() { 0 } else { known.len().min(LISTED) as u16 + 2 })
}

/// The ways in which messages are received, the chosen one marked.
fn draw_ways(canvas: &mut Canvas, receive_options: &ReceiveOptions, area: Rect) {
    let Some(known) = &receive_options.known else {
        canvas.put(area.x, area.y, area.width, "as: looking who receives from this channel", Role::Dim);
        return;
    };
    if known.is_empty() {
        return;
    }
    canvas.put(area.x, area.y, area.width, "as", Role::Dim);
    let room = usize::from(area.height.saturating_sub(1)).max(1);
    let first = window(0, receive_options.chosen, known.len(), room);
    let names: Vec<SafeText> = known.iter().map(|way| SafeText::new(&way.name)).collect();
    let widest = names.iter().map(|name| width(name.as_str())).max().unwrap_or(0).min(area.width / 2);
    for (at, way) in known.iter().enumerate().skip(first).take(room) {
        let y = area.y + 1 + (at - first) as u16;
        let (name, chosen) = (names[at].as_str(), at == receive_options.chosen);
        if chosen {
            canvas.put(area.x, y, 1, canvas.glyphs().pointer, Role::Strong);
        }
        canvas.put_cut(area.x + 2, y, widest, name, if chosen { Role::Strong } else { Role::Text }, Cut::Middle);
        let beside = widest + 4;
        canvas.put(area.x + beside, y, area.width.saturating_sub(beside), way.about.as_str(), Role::Dim);
    }
}
