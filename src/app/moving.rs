//! Moving and marking in the lists of all screens.

use super::layout;
use super::list::Step;
use super::model::Model;
use super::overlays::{Overlay, outcome, plan};

/// Moves the cursor of the screen.
pub(super) fn step(model: &mut Model, step: Step) {
    if matches!(model.overlay, Some(Overlay::Plan(_) | Overlay::Outcome(_))) {
        return scroll_overlay(model, step);
    }
    let room = layout::room(model);
    (model.screen.state().step)(model, step, room);
}

/// Scrolls the plan or the outcome that stands over the screen.
fn scroll_overlay(model: &mut Model, step: Step) {
    let (offset, rows, page) = match &model.overlay {
        Some(Overlay::Plan(view)) => {
            let (_, width) = layout::plan_page(model, 0);
            let rows = plan::rows(view, width).len();
            (view.offset, rows, layout::plan_page(model, rows).0)
        }
        Some(Overlay::Outcome(offset)) => {
            let (_, width) = layout::plan_page(model, 0);
            let rows = model.changes.last.as_ref().map_or(0, |last| outcome::rows(last, width).len());
            (*offset, rows, layout::plan_page(model, rows).0)
        }
        _ => return,
    };
    let to = step.from(offset, rows.saturating_sub(page) + 1, page);
    match &mut model.overlay {
        Some(Overlay::Plan(view)) => view.offset = to,
        Some(Overlay::Outcome(offset)) => *offset = to,
        _ => {}
    }
}
