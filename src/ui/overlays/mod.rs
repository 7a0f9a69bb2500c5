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
use crate::app::action::key_name;
use crate::app::commands::Command;
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

fn enter(canvas: &Canvas) -> &'static str {
    if canvas.glyphs().ascii { "Enter" } else { "⏎" }
}

/// The keys of a command, the first two of them.
fn keys(canvas: &Canvas, command: &Command) -> String {
    let names: Vec<String> = command.keys.iter().take(2).map(|key| key_name(*key, canvas.glyphs().ascii)).collect();
    names.join(" ")
}
