//! Menus: the commands of one scope, each with its key, or why it cannot be done.

use crate::app::Model;
use crate::app::commands::{COMMANDS, Command, Reason, Scope};

/// An open menu.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Menu {
    pub scope: Scope,
    pub selected: usize,
}

/// The rows of a menu: what means nothing here is left out.
pub fn rows(model: &Model, scope: Scope) -> Vec<(&'static Command, Result<(), Reason>)> {
    COMMANDS
        .iter()
        .filter(|command| command.scope == scope)
        .map(|command| (command, (command.available)(model)))
        .filter(|(_, available)| *available != Err(Reason::Absent))
        .collect()
}
