//! Menus: the commands of one scope, each with its key, or why it cannot be done; in the action menu also what the adapters offer for
//! the selection.

use crate::app::action::{Reason, Scope};
use crate::app::available;
use crate::app::commands::{COMMANDS, Command};
use crate::app::model::Model;
use crate::app::screens::received;
use crate::domain::address::Address;
use crate::domain::delivery::Verb;
use crate::domain::operation::OperationSpec;

/// One row of a menu.
#[derive(Clone, Debug)]
pub struct Row {
    pub item: Item,
    /// Operations are chosen by a number: their names are the adapters'.
    pub number: Option<u32>,
    pub available: Result<(), Reason>,
}

#[derive(Clone, Debug)]
pub enum Item {
    Command(&'static Command),
    Operation(&'static OperationSpec, Address),
    /// What can be done with messages that are held.
    Verb(&'static Verb),
}

/// The rows of a menu: what means nothing here is left out.
pub fn rows(model: &Model, scope: Scope) -> Vec<Row> {
    let commands = COMMANDS.iter().filter(|command| command.scope == scope);
    let commands = commands.map(|command| Row { item: Item::Command(command), number: None, available: (command.available)(model) });
    let mut rows: Vec<Row> = commands.filter(|row| row.available != Err(Reason::Absent)).collect();
    if scope == Scope::ActionMenu {
        // What is to be decided comes first.
        rows.splice(0..0, decisions(model));
        rows.extend(operations(model));
    }
    rows
}

/// What can be decided about the messages that are held, in the order of their system.
fn decisions(model: &Model) -> Vec<Row> {
    let row = |(at, verb)| Row { item: Item::Verb(verb), number: Some(at as u32 + 1), available: available::settle(model) };
    received::verbs(model).0.iter().enumerate().map(row).collect()
}

/// What can be done to the selection, in the order of the adapters: to what is selected first, then to its integration.
pub fn operations(model: &Model) -> Vec<Row> {
    let row = |(at, (spec, address)): (usize, (&'static OperationSpec, Address))| {
        let available = available::operation(model, spec, &address);
        Row { item: Item::Operation(spec, address), number: Some(at as u32 + 1), available }
    };
    available::offered(model).enumerate().map(row).collect()
}
