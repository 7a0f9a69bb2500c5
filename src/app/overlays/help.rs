//! Help: the rows of the command table that hold on this screen.

use crate::app::action::Scope;
use crate::app::commands::{COMMANDS, Command};
use crate::app::model::Model;

/// One row of help.
pub enum Row {
    Heading(&'static str),
    Command(&'static Command),
    Blank,
}

/// The keys of this screen, of its menus, and those that hold everywhere.
pub fn rows(model: &Model) -> Vec<Row> {
    let screen = model.screen.state();
    let mut groups = vec![(screen.title, vec![screen.scope])];
    if screen.scopes.contains(&Scope::Moving) {
        groups.push(("Moving", vec![Scope::Moving]));
    }
    if screen.has_menus {
        groups.push(("Copy (y)", vec![Scope::CopyMenu]));
        groups.push(("Actions (x)", vec![Scope::ActionMenu]));
    }
    groups.push(("Everywhere", vec![Scope::Global, Scope::Always]));
    let mut rows = Vec::new();
    for (title, scopes) in groups {
        let commands: Vec<_> = COMMANDS.iter().filter(|command| scopes.contains(&command.scope)).collect();
        if commands.is_empty() {
            continue;
        }
        if !rows.is_empty() {
            rows.push(Row::Blank);
        }
        rows.push(Row::Heading(title));
        rows.extend(commands.into_iter().map(Row::Command));
    }
    rows
}
