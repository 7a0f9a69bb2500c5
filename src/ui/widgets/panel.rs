//! The ground of what stands over a screen.

use super::text::Canvas;
use crate::app::layout;
use crate::ui::theme::Role;
use ratatui::layout::Rect;

/// A panel in the middle of the upper half, at most so wide and high, with a title and a hint under a thin line; returns its inside.
pub fn open(canvas: &mut Canvas, width: u16, height: u16, title: &str, hint: &str) -> Rect {
    let screen = canvas.area();
    let (area, inside) = layout::panel(screen.width, screen.height, width, height);
    let Rect { x, y, width, .. } = area;
    canvas.clear(area, Role::Panel);
    let room = width.saturating_sub(4);
    let used = canvas.put(x + 2, y, room, &format!(" {title} "), Role::Strong);
    canvas.line(x, y, 2);
    canvas.line(x + 2 + used, y, width.saturating_sub(2 + used));
    let below = area.bottom() - 1;
    let used = canvas.put_right(area.right() - 2, below, room, &format!(" {hint} "), Role::Dim);
    canvas.line(x, below, width.saturating_sub(2 + used));
    canvas.line(area.right() - 2, below, 2);
    inside
}
