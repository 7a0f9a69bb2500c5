//! One field of a form: an input with what it takes written in it while it is empty, or the words of a choice.

use super::input;
use super::text::Canvas;
use crate::app::editor::Editor;
use crate::app::fields::{Fields, hint};
use crate::domain::operation::Input;
use crate::ui::theme::Role;
use ratatui::layout::{Position, Rect};

/// Draws the input of a field; returns where the cursor stands if it is focused.
pub fn draw(canvas: &mut Canvas, area: Rect, fields: &Fields, at: usize, focused: bool) -> Option<Position> {
    let spec = &fields.specs[at];
    let Input::Choice(words) = spec.input else {
        return line(canvas, area, fields.input(at), focused, &hint(spec));
    };
    let chosen = fields.chosen(at);
    let mut x = area.x;
    for (i, word) in words.iter().enumerate() {
        let role = match (i == chosen, focused) {
            (true, true) => Role::Input,
            (true, false) => Role::Text,
            (false, _) => Role::Dim,
        };
        // Colour alone says nothing: the chosen word stands in brackets.
        let text = if i == chosen { format!("[{word}]") } else { format!(" {word} ") };
        x += canvas.put(x, area.y, area.right().saturating_sub(x), &text, role) + 1;
    }
    None
}

/// Draws an input of one line, with a hint while it is empty.
pub fn line(canvas: &mut Canvas, area: Rect, editor: &Editor, focused: bool, hint: &str) -> Option<Position> {
    if editor.is_empty() {
        let beside = if focused { 2 } else { 0 };
        canvas.put(area.x + beside, area.y, area.width.saturating_sub(beside), hint, Role::Dim);
        if !focused {
            return None;
        }
        return Some(input::line(canvas, Rect { width: 1, height: 1, ..area }, editor, true));
    }
    let at = input::line(canvas, Rect { height: 1, ..area }, editor, focused);
    focused.then_some(at)
}
