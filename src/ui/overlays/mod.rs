//! What stands over a screen, drawn.

mod confirm;
mod form;
mod help;
mod input;
mod menu;
mod outcome;
mod palette;
mod plan;

use super::widgets::text::Canvas;
use crate::app::model::Model;
use crate::app::overlays::Overlay;
use ratatui::layout::Position;

/// Draws the overlay that is open; returns where the cursor stands.
pub fn draw(canvas: &mut Canvas, model: &Model) -> Option<Position> {
    match model.overlay.as_ref()? {
        Overlay::Palette(palette) => Some(palette::draw(canvas, palette)),
        Overlay::Menu(menu) => {
            menu::draw(canvas, model, *menu);
            None
        }
        Overlay::Help(offset) => {
            help::draw(canvas, model, *offset);
            None
        }
        Overlay::Confirm(confirm) => {
            confirm::draw(canvas, confirm);
            None
        }
        Overlay::Prompt(prompt) => Some(input::draw(canvas, prompt)),
        Overlay::Form(form) => form::draw(canvas, model, form),
        Overlay::Plan(view) => plan::draw(canvas, model, view),
        Overlay::Outcome(offset) => {
            outcome::draw(canvas, model, *offset);
            None
        }
    }
}
