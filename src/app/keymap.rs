//! Keys → commands: which scopes hold now, and which row of the table a key means there.

use super::Model;
use super::commands::{Action, COMMANDS, Command, Key, Reason, Scope};
use super::model::Screen;
use super::overlays::{Overlay, plan};
use super::screens::groups;
use crate::domain::safety::{Gate, Rung};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// The scope of a screen's own commands.
pub fn screen_scope(screen: Screen) -> Scope {
    match screen {
        Screen::Welcome => Scope::Welcome,
        Screen::Profiles => Scope::Profiles,
        Screen::Overview => Scope::Overview,
        Screen::Channels => Scope::Channels,
        Screen::Traffic => Scope::Traffic,
        Screen::Groups => Scope::Groups,
        Screen::Publish => Scope::Publish,
        Screen::Received => Scope::Received,
        Screen::WireLog => Scope::WireLog,
        Screen::Notices => Scope::Notices,
    }
}

/// The scopes that hold now, the nearest first.
pub fn scopes(model: &Model) -> Vec<Scope> {
    match &model.overlay {
        Some(Overlay::Menu(menu)) => return vec![menu.scope, Scope::Always],
        Some(Overlay::Confirm(_)) => return vec![Scope::Confirm, Scope::Always],
        Some(Overlay::Form(_)) => return vec![Scope::Form, Scope::Always],
        Some(Overlay::Plan(view)) => {
            let rung = match &view.rung {
                _ if view.is_refused() || plan::gate(model, view) != Gate::Open => Scope::Closed,
                Rung::Yes => Scope::Confirm,
                Rung::Count { .. } | Rung::Address(_) => Scope::Typed,
            };
            return vec![rung, Scope::Plan, Scope::Always];
        }
        Some(Overlay::Outcome(_)) => return vec![Scope::Outcome, Scope::Plan, Scope::Always],
        Some(Overlay::Palette(_) | Overlay::Prompt(_) | Overlay::Help(_)) => return vec![Scope::Always],
        None if model.typing.is_some() => return vec![Scope::Always],
        None => {}
    }
    match model.screen {
        Screen::Welcome => vec![Scope::Welcome, Scope::Global, Scope::Always],
        Screen::Publish => vec![Scope::Publish, Scope::Always],
        screen => vec![screen_scope(screen), Scope::Moving, Scope::Global, Scope::Always],
    }
}

/// The command that a key means now.
pub fn lookup(model: &Model, event: KeyEvent) -> Option<&'static Command> {
    let key = key_of(event)?;
    let scopes = scopes(model);
    COMMANDS.iter().find(|command| scopes.contains(&command.scope) && command.keys.contains(&key))
}

/// The commands for the footer: those of the table that hold and can be done now.
pub fn footer(model: &Model) -> Vec<&'static Command> {
    let scopes = scopes(model);
    let mut rows: Vec<(u8, &'static Command)> = COMMANDS
        .iter()
        .filter(|command| !is_here(model.screen, command.action))
        .filter(|command| command.scope != Scope::Global || command.action != Action::Leave || is_inside(model))
        .filter(|command| command.footer.is_some() && scopes.contains(&command.scope) && (command.available)(model).is_ok())
        .map(|command| (rank(command), command))
        .collect();
    rows.sort_by_key(|(rank, _)| *rank);
    rows.into_iter().map(|(_, command)| command).collect()
}

/// The way in and the way back come first, so that no narrow screen leaves them out.
fn rank(command: &Command) -> u8 {
    match command.action {
        Action::Enter => 0,
        Action::Leave if command.scope == Scope::Global => 1,
        _ => 2,
    }
}

/// Whether something stands over the screen, or the screen over another one, so that the way back is worth saying.
fn is_inside(model: &Model) -> bool {
    match model.screen {
        Screen::Channels => model.channels.describe.is_some(),
        Screen::Traffic => model.traffic.detail.is_some(),
        Screen::Groups => groups::is_open(model),
        Screen::WireLog | Screen::Notices => !model.back.is_empty(),
        _ => false,
    }
}

/// Whether an action goes to where we are.
fn is_here(screen: Screen, action: Action) -> bool {
    matches!(
        (screen, action),
        (Screen::Overview, Action::Overview)
            | (Screen::Channels, Action::Channels)
            | (Screen::Traffic, Action::Traffic)
            | (Screen::Groups, Action::Groups)
            | (Screen::Profiles, Action::Profiles)
            | (Screen::WireLog, Action::WireLog)
    )
}

/// Why a command cannot be done now, as a sentence; `None` if it can or means nothing here.
pub fn refusal(model: &Model, command: &Command) -> Option<String> {
    match (command.available)(model) {
        Err(Reason::Refused(reason)) => Some(reason.into_owned()),
        Err(Reason::Absent) | Ok(()) => None,
    }
}

/// The key without what does not matter: Shift is in the character already.
fn key_of(event: KeyEvent) -> Option<Key> {
    let ctrl = event.modifiers.contains(KeyModifiers::CONTROL);
    if event.modifiers.contains(KeyModifiers::ALT) && !ctrl {
        return None;
    }
    let code = match event.code {
        KeyCode::Char(c) if ctrl => KeyCode::Char(c.to_ascii_lowercase()),
        code => code,
    };
    // AltGr arrives as Ctrl+Alt on some terminals: then the character counts.
    let ctrl = ctrl && !event.modifiers.contains(KeyModifiers::ALT);
    Some(Key { code, ctrl })
}
