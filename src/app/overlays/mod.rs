//! What can stand over a screen: the palette, a menu, help, a question, an input.

pub mod confirm;
pub mod help;
pub mod input;
pub mod menu;
pub mod palette;

use confirm::Confirm;
use input::Prompt;
use menu::Menu;
use palette::Palette;

/// One overlay at a time.
pub enum Overlay {
    Palette(Palette),
    Menu(Menu),
    /// Help, from this row on.
    Help(usize),
    Confirm(Confirm),
    Prompt(Prompt),
}
