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
use input::{Ask, ReceiveOptions};
use palette::Palette;
use plan::PlanView;

use super::action::Scope;
use super::editor::Editor;
use crate::domain::text::SafeText;

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

/// An open menu.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Menu {
    pub scope: Scope,
    pub selected: usize,
}

/// A question with an input.
pub struct Prompt {
    pub ask: Ask,
    pub editor: Editor,
    pub error: Option<String>,
    /// What it stands over.
    pub behind: Option<Box<Overlay>>,
    /// For `Receive`: the ways in which the channel's messages are received, where one has to be chosen.
    pub receive_options: Option<ReceiveOptions>,
    /// What it does that cannot be taken back.
    pub warning: Option<SafeText>,
}

impl Prompt {
    pub(crate) fn new(ask: Ask, text: &str) -> Self {
        Self { ask, editor: Editor::line(text), error: None, behind: None, receive_options: None, warning: None }
    }
}
