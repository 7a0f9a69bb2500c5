//! Help: the rows of the command table that hold on this screen.

use crate::app::Model;
use crate::app::commands::{COMMANDS, Command, Scope};
use crate::app::keymap::screen_scope;
use crate::app::model::Screen;

/// One row of help.
pub enum Row {
    Heading(&'static str),
    Command(&'static Command),
    Blank,
}

/// The keys of this screen, of its menus, and those that hold everywhere.
pub fn rows(model: &Model) -> Vec<Row> {
    let screen = screen_scope(model.screen);
    let mut groups = vec![(name(model.screen), vec![screen])];
    if !matches!(model.screen, Screen::Welcome | Screen::Publish) {
        groups.push(("Moving", vec![Scope::Moving]));
    }
    if matches!(model.screen, Screen::Channels | Screen::Traffic | Screen::Groups | Screen::Received) {
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

/// The name of a screen.
pub fn name(screen: Screen) -> &'static str {
    match screen {
        Screen::Welcome => "Welcome",
        Screen::Profiles => "Profiles",
        Screen::Overview => "Overview",
        Screen::Channels => "Channels",
        Screen::Traffic => "Traffic",
        Screen::Groups => "Groups",
        Screen::Publish => "Publish",
        Screen::Received => "Received",
        Screen::WireLog => "Wire log",
        Screen::Notices => "Notices",
    }
}
