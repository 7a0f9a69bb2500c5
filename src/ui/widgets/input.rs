//! Inputs: what is being typed, with its cursor always in sight.

use super::text::{Canvas, width};
use crate::app::editor::Editor;
use crate::domain::text::SafeText;
use crate::ui::theme::Role;
use ratatui::layout::{Position, Rect};
use unicode_segmentation::UnicodeSegmentation;

/// One line of input; returns where its cursor stands.
pub fn line(canvas: &mut Canvas, area: Rect, editor: &Editor, focused: bool) -> Position {
    let (row, column) = editor.cursor();
    let text = editor.lines().get(row).map_or("", String::as_str);
    let column = if focused { Some(column) } else { None };
    text_line(canvas, area, text, column).unwrap_or(Position::new(area.x, area.y))
}

/// One line of a text with the cursor before its character `column`, if it is there.
fn text_line(canvas: &mut Canvas, area: Rect, text: &str, column: Option<usize>) -> Option<Position> {
    let Some(column) = column else {
        canvas.put(area.x, area.y, area.width, text, Role::Text);
        return None;
    };
    let split = text.char_indices().nth(column).map_or(text.len(), |(at, _)| at);
    let (before, after) = (SafeText::new(&text[..split]), SafeText::new(&text[split..]));
    let before = before.as_str();
    // What stands before the cursor gives way so that the cursor stays in sight.
    let room = area.width.saturating_sub(1);
    let mut skip = 0;
    let mut left = width(before);
    for (at, cluster) in before.grapheme_indices(true) {
        if left <= room {
            break;
        }
        left -= width(cluster).min(left);
        skip = at + cluster.len();
    }
    let used = canvas.put(area.x, area.y, area.width, &before[skip..], Role::Input);
    let x = (area.x + used).min(area.right().saturating_sub(1));
    let rest = area.right().saturating_sub(x);
    let shown = if after.as_str().is_empty() { " " } else { after.as_str() };
    canvas.put(x, area.y, rest, shown, Role::Input);
    let under = shown.graphemes(true).next().map_or(1, width).clamp(1, rest.max(1));
    canvas.overlay(Rect::new(x, area.y, under, 1), Role::Cursor);
    Some(Position::new(x, area.y))
}

/// Several lines of input; returns where the cursor stands if it is focused.
pub fn lines(canvas: &mut Canvas, area: Rect, editor: &Editor, focused: bool) -> Option<Position> {
    let (row, column) = editor.cursor();
    let height = usize::from(area.height.max(1));
    let first = if focused { row.saturating_sub(height - 1) } else { 0 };
    let mut cursor = None;
    for (at, text) in editor.lines().iter().enumerate().skip(first).take(height) {
        let y = area.y + (at - first) as u16;
        let here = (focused && at == row).then_some(column);
        cursor = text_line(canvas, Rect::new(area.x, y, area.width, 1), text, here).or(cursor);
    }
    let hidden = editor.lines().len().saturating_sub(first + height);
    if hidden > 0 && !focused {
        canvas.put_right(area.right(), area.bottom() - 1, area.width, &format!(" {hidden} more lines"), Role::Dim);
    }
    cursor
}
