//! What can stand over a screen: the palette, a menu, help, a question, an input, a form, its plan, an outcome.

pub mod confirm;
pub mod form;
pub mod help;
pub mod input;
pub mod menu;
pub mod outcome;
pub mod palette;
pub mod plan;

use confirm::Confirm;
use form::Form;
use input::Prompt;
use menu::Menu;
use palette::Palette;
use plan::PlanView;

/// One overlay at a time.
pub enum Overlay {
    Palette(Palette),
    Menu(Menu),
    /// Help, from this row on.
    Help(usize),
    Confirm(Confirm),
    Prompt(Prompt),
    /// The form of an operation.
    Form(Box<Form>),
    Plan(Box<PlanView>),
    /// What became of the last change, from this row on.
    Outcome(usize),
}
