//! Keys → commands: which scopes hold now, and which row of the table a key means there.

use super::action::{Action, Key, Reason, Scope};
use super::commands::{COMMANDS, Command};
use super::model::Model;
use super::overlays::Overlay;
use crate::domain::safety::{Gate, Rung};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// The scopes that hold now, the nearest first.
pub fn scopes(model: &Model) -> Vec<Scope> {
    match &model.overlay {
        Some(Overlay::Menu(menu)) => return vec![menu.scope, Scope::Always],
        Some(Overlay::Confirm(_)) => return vec![Scope::Confirm, Scope::Always],
        Some(Overlay::Form(_)) => return vec![Scope::Form, Scope::Always],
        Some(Overlay::Plan(view)) => {
            let rung = match &view.rung {
                _ if view.is_refused() || model.gate(view.plan.risk()) != Gate::Open => Scope::Closed,
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
    let screen = model.screen.state();
    std::iter::once(screen.scope).chain(screen.scopes.iter().copied()).collect()
}

/// The command that a key means now.
pub fn lookup(model: &Model, event: KeyEvent) -> Option<&'static Command> {
    let key = key_of(event)?;
    let scopes = scopes(model);
    COMMANDS.iter().find(|command| scopes.contains(&command.scope) && command.keys.contains(&key))
}

/// The commands for the footer: those of the table that hold and can be done now.
pub fn footer(model: &Model) -> Vec<&'static Command> {
    let (scopes, screen) = (scopes(model), model.screen.state());
    let mut rows: Vec<(u8, &'static Command)> = COMMANDS
        .iter()
        .filter(|command| command.action != Action::Go(model.screen))
        .filter(|command| command.scope != Scope::Global || command.action != Action::Leave || (screen.is_inside)(model))
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
