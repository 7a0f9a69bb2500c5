//! Keys as they are written beside what they do.

use super::text::Canvas;
use crate::app::action::key_name;
use crate::app::commands::Command;

/// The key that opens and chooses.
pub fn enter(canvas: &Canvas) -> &'static str {
    if canvas.glyphs().ascii { "Enter" } else { "⏎" }
}

/// The keys of a command, the first two of them.
pub fn of(canvas: &Canvas, command: &Command) -> String {
    let names: Vec<String> = command.keys.iter().take(2).map(|key| key_name(*key, canvas.glyphs().ascii)).collect();
    names.join(" ")
}
