//! What became of the last change, drawn.

use super::plan::scrolled;
use crate::app::layout::{self, PLAN_WIDTH};
use crate::app::model::Model;
use crate::app::overlays::outcome;
use crate::app::overlays::plan::FOOT;
use crate::ui::widgets::panel;
use crate::ui::widgets::text::Canvas;
use ratatui::layout::Rect;

pub(super) fn draw(canvas: &mut Canvas, model: &Model, offset: usize) {
    let Some(last) = &model.changes.last else { return };
    let (_, width) = layout::plan_page(model, 0);
    let rows = outcome::rows(last, width);
    let height = u16::try_from(rows.len()).unwrap_or(u16::MAX).saturating_add(FOOT);
    let title = format!("{} {}: result", last.change.request.spec.title, last.change.request.address);
    let inside = panel::open(canvas, PLAN_WIDTH, height, &title, "Esc close");
    scrolled(canvas, Rect { height: inside.height.saturating_sub(FOOT), ..inside }, &rows, offset);
}
