//! Questions that are answered by typing, drawn.

use super::enter;
use crate::app::overlays::input::Prompt;
use crate::ui::theme::Role;
use crate::ui::widgets::text::Canvas;
use crate::ui::widgets::{input, panel};
use ratatui::layout::{Position, Rect};

pub(super) fn draw(canvas: &mut Canvas, prompt: &Prompt) -> Position {
    let hint = format!("{} do it   Esc close", enter(canvas));
    let inside = panel::open(canvas, 92, 3, prompt.ask.title(), &hint);
    match &prompt.error {
        Some(error) => {
            let glyph = canvas.glyphs().bad;
            canvas.put(inside.x, inside.y + 2, 1, glyph, Role::Bad);
            canvas.put(inside.x + 2, inside.y + 2, inside.width.saturating_sub(2), error, Role::Text);
        }
        None => _ = canvas.put(inside.x, inside.y + 2, inside.width, prompt.ask.hint(), Role::Dim),
    }
    input::line(canvas, Rect { height: 1, ..inside }, &prompt.editor, true)
}
