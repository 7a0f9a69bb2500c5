//! What an operator can ask for, by which keys and where; and why something cannot be done now.

use super::list::Step;
use super::screen::Screen;
use crossterm::event::KeyCode;
use std::borrow::Cow;

/// Everything an operator can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    Cancel,
    Suspend,
    Palette,
    Help,
    Goto,
    Leave,
    Quit,
    LastView,
    /// Goes to a screen.
    Go(Screen),
    Mouse,
    Move(Step),
    Enter,
    Filter,
    Mark,
    MarkRange,
    MarkInvert,
    MarkNone,
    /// Opens the menu of a scope.
    Menu(Scope),
    Demo,
    Connect,
    Reload,
    Describe,
    Consumers,
    Messages,
    Internal,
    Tenant,
    Pause,
    Pane,
    Fold,
    Unfold,
    Hex,
    Look,
    Follow,
    SameKey,
    History,
    Live,
    CopyKey,
    CopyValue,
    CopyJson,
    CopyAddress,
    CopyCommand,
    Publish,
    SendAgain,
    Export,
    NextField,
    PreviousField,
    Review,
    EditValue,
    Missing,
    Template,
    Confirm,
    Decline,
    Arm,
    Undo,
    Redo,
    Outcome,
    ExportFirst,
    Receive,
    Peek,
    Call,
}

/// Where a command holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Everywhere, while typing too.
    Always,
    /// On every screen, unless something is being typed or asked.
    Global,
    /// On every screen that is a list or scrolls.
    Moving,
    Welcome,
    Profiles,
    Overview,
    Channels,
    Traffic,
    Groups,
    DeadLetters,
    Publish,
    /// Messages at hand.
    Received,
    WireLog,
    Notices,
    /// The action menu `x`.
    ActionMenu,
    /// The copy menu `y`.
    CopyMenu,
    /// A question with yes and no.
    Confirm,
    /// The form of an operation.
    Form,
    /// A plan, whatever its rung.
    Plan,
    /// A plan that is confirmed by typing.
    Typed,
    /// A plan that cannot be carried out as things stand.
    Closed,
    /// What became of a change.
    Outcome,
}

/// One key with its modifiers; Shift is in the character.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    pub code: KeyCode,
    pub ctrl: bool,
}

/// Why a command cannot be done now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It means nothing here: not even shown in a menu.
    Absent,
    /// Shown, with this reason.
    Refused(Cow<'static, str>),
}

/// Refuses what is not so.
pub(super) fn only_if(is: bool, reason: &'static str) -> Result<(), Reason> {
    if is { Ok(()) } else { Err(Reason::Refused(reason.into())) }
}

/// The keys as they are written: `^P`, `⏎`, `Space`.
pub fn key_name(key: Key, ascii: bool) -> String {
    match key.code {
        KeyCode::Char(' ') => "Space".to_owned(),
        KeyCode::Char(c) if key.ctrl => format!("^{}", c.to_ascii_uppercase()),
        KeyCode::Char(c) => c.to_string(),
        KeyCode::F(n) => format!("F{n}"),
        KeyCode::Enter => (if ascii { "Enter" } else { "⏎" }).to_owned(),
        KeyCode::Up => (if ascii { "Up" } else { "↑" }).to_owned(),
        KeyCode::Down => (if ascii { "Down" } else { "↓" }).to_owned(),
        KeyCode::Left => (if ascii { "Left" } else { "←" }).to_owned(),
        KeyCode::Right => (if ascii { "Right" } else { "→" }).to_owned(),
        KeyCode::PageUp => "PgUp".to_owned(),
        KeyCode::PageDown => "PgDn".to_owned(),
        KeyCode::Tab => "Tab".to_owned(),
        KeyCode::BackTab => "Shift-Tab".to_owned(),
        other => other.to_string(),
    }
}
