//! The command table: every action with its keys, where it holds, and whether it can be done now. Keys, footer, help, palette
//! and menus come from here and from nowhere else.

use super::action::{Action, Key, Reason, Scope};
use super::available as can;
use super::list::Step;
use super::model::{Model, Screen};
use crossterm::event::KeyCode;

/// What a command can do to the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Changes the screen, or writes to this machine alone.
    Here,
    /// Opens a form or a plan for something that changes a system.
    Plans,
}

/// One row of the table.
#[derive(Debug)]
pub struct Command {
    pub action: Action,
    pub id: &'static str,
    pub title: &'static str,
    pub keys: &'static [Key],
    pub scope: Scope,
    /// The word in the footer, for those that belong there; rows come in the order of the table.
    pub footer: Option<&'static str>,
    pub reach: Reach,
    pub available: fn(&Model) -> Result<(), Reason>,
}

const fn k(c: char) -> Key {
    Key { code: KeyCode::Char(c), ctrl: false }
}

const fn ctrl(c: char) -> Key {
    Key { code: KeyCode::Char(c), ctrl: true }
}

const fn code(code: KeyCode) -> Key {
    Key { code, ctrl: false }
}

const fn row(scope: Scope, action: Action, id: &'static str, title: &'static str, keys: &'static [Key]) -> Command {
    Command { action, id, title, keys, scope, footer: None, reach: Reach::Here, available: can::always }
}

impl Command {
    const fn foot(mut self, word: &'static str) -> Self {
        self.footer = Some(word);
        self
    }

    const fn when(mut self, available: fn(&Model) -> Result<(), Reason>) -> Self {
        self.available = available;
        self
    }

    const fn plans(mut self) -> Self {
        self.reach = Reach::Plans;
        self
    }
}

use Scope as S;

/// Every command. The order is that of footer, menus and help.
pub const COMMANDS: &[Command] = &[
    // Screens
    row(S::Welcome, Action::Demo, "demo", "Start the demo: embedded systems, no network", &[k('d')]).foot("demo"),
    row(S::Welcome, Action::Connect, "connect", "Connect by URL", &[k('u')]).foot("connect by URL"),
    row(S::Profiles, Action::Connect, "profiles.connect", "Connect by URL", &[k('u')]).foot("connect by URL"),
    row(S::Profiles, Action::Demo, "profiles.demo", "Start the demo", &[k('d')]).foot("demo"),
    row(S::Profiles, Action::Reload, "profiles.reload", "Look for profiles again", &[k('r')]).foot("look again"),
    row(S::Overview, Action::Filter, "overview.filter", "Show only what matches", &[k('/')]).foot("filter"),
    row(S::Overview, Action::Menu(S::ActionMenu), "overview.actions", "Actions on this integration", &[k('x')])
        .foot("actions")
        .when(can::actions),
    row(S::Channels, Action::Describe, "channels.describe", "Describe: partitions and settings", &[k('d')])
        .foot("describe")
        .when(can::something_selected),
    row(S::Channels, Action::Consumers, "channels.consumers", "Groups that read this channel", &[k('c')])
        .foot("consumers")
        .when(can::groups_known),
    row(S::Channels, Action::Filter, "channels.filter", "Show only what matches", &[k('/')]).foot("filter"),
    row(S::Channels, Action::Menu(S::ActionMenu), "channels.actions", "Actions on this channel", &[k('x')])
        .foot("actions")
        .when(can::actions),
    row(S::Channels, Action::Mark, "channels.mark", "Mark, and go on", &[k(' ')]).foot("mark").when(can::something_selected),
    row(S::Channels, Action::MarkRange, "channels.range", "Begin or end a range of marks", &[k('v')]).when(can::something_selected),
    row(S::Channels, Action::MarkInvert, "channels.invert", "Invert marks", &[k('*')]).when(can::something_selected),
    row(S::Channels, Action::MarkNone, "channels.unmark", "Clear the marks", &[k('\\')]).when(can::channels_marked),
    row(S::Channels, Action::Internal, "channels.internal", "Show or hide internal channels", &[k('i')])
        .foot("internal")
        .when(can::internal_there),
    row(S::Channels, Action::Tenant, "channels.tenant", "Next tenant, or all", &[k('T')]).foot("tenant").when(can::tenants_there),
    row(S::Channels, Action::History, "channels.history", "Read history from…", &[k('H')]).when(can::history),
    row(S::Channels, Action::Menu(S::CopyMenu), "channels.copy", "Copy…", &[k('y')]).foot("copy").when(can::something_selected),
    row(S::Traffic, Action::Pause, "traffic.pause", "Hold the list, or let it run", &[k('t')]).foot("hold/run").when(can::live),
    row(S::Traffic, Action::Hex, "traffic.bytes", "Bytes or decoded", &[k('w')]).foot("bytes").when(can::detail_open),
    row(S::Traffic, Action::Filter, "traffic.filter", "Show only messages that match a query", &[k('/')])
        .foot("filter")
        .when(can::filtered),
    row(S::Traffic, Action::Menu(S::ActionMenu), "traffic.actions", "Actions on this message or channel", &[k('x')])
        .foot("actions")
        .when(can::something_selected),
    row(S::Traffic, Action::Menu(S::CopyMenu), "traffic.copy", "Copy…", &[k('y')]).foot("copy").when(can::something_selected),
    row(S::Traffic, Action::History, "traffic.history", "Read history from…", &[k('H')]).foot("history").when(can::history),
    row(S::Traffic, Action::Live, "traffic.live", "Back to live", &[k('L')]).foot("live").when(can::not_live),
    row(S::Traffic, Action::Follow, "traffic.follow", "Follow this message's ids through every integration", &[k('o')])
        .foot("follow id")
        .when(can::message_selected),
    row(S::Traffic, Action::SameKey, "traffic.same-key", "Show only messages with this key", &[k('O')]).when(can::same_key),
    row(S::Traffic, Action::Pane, "traffic.pane", "The other pane", &[code(KeyCode::Tab), code(KeyCode::BackTab)])
        .foot("pane")
        .when(can::detail_open),
    row(S::Traffic, Action::Fold, "traffic.fold", "Fold", &[k('h'), code(KeyCode::Left)]).when(can::detail_focused),
    row(S::Traffic, Action::Unfold, "traffic.unfold", "Unfold", &[k('l'), code(KeyCode::Right)]).when(can::detail_focused),
    row(S::Traffic, Action::Look, "traffic.editor", "Open a copy in $EDITOR", &[k('e')]).when(can::message_selected),
    row(S::Traffic, Action::Mark, "traffic.mark", "Mark, and go on", &[k(' ')]).when(can::message_selected),
    row(S::Traffic, Action::MarkRange, "traffic.range", "Begin or end a range of marks", &[k('v')]).when(can::message_selected),
    row(S::Traffic, Action::MarkInvert, "traffic.invert", "Invert marks", &[k('*')]).when(can::message_selected),
    row(S::Traffic, Action::MarkNone, "traffic.unmark", "Clear the marks", &[k('\\')]).when(can::messages_marked),
    row(S::Groups, Action::Messages, "groups.messages", "Messages at the group's position", &[k('m')])
        .foot("messages")
        .when(can::group_behind),
    row(S::Groups, Action::Menu(S::ActionMenu), "groups.actions", "Actions on this group", &[k('x')]).foot("actions").when(can::actions),
    row(S::Groups, Action::Filter, "groups.filter", "Show only what matches", &[k('/')]).foot("filter").when(can::groups_listed),
    row(S::Groups, Action::Menu(S::CopyMenu), "groups.copy", "Copy…", &[k('y')]).foot("copy").when(can::something_selected),
    row(S::DeadLetters, Action::Reload, "dead-letters.read", "Read the letters again", &[k('r')]).foot("look again"),
    row(S::DeadLetters, Action::Filter, "dead-letters.filter", "Show only what matches", &[k('/')]).foot("filter"),
    row(S::DeadLetters, Action::Menu(S::CopyMenu), "dead-letters.copy", "Copy…", &[k('y')]).foot("copy").when(can::something_selected),
    row(S::Received, Action::Menu(S::ActionMenu), "received.actions", "Decide on what is held, and other actions", &[k('x')])
        .foot("actions")
        .when(can::message_selected),
    row(S::Received, Action::Mark, "received.mark", "Mark, and go on", &[k(' ')]).foot("mark").when(can::message_selected),
    row(S::Received, Action::MarkRange, "received.range", "Begin or end a range of marks", &[k('v')]).when(can::message_selected),
    row(S::Received, Action::MarkInvert, "received.invert", "Invert marks", &[k('*')]).when(can::message_selected),
    row(S::Received, Action::MarkNone, "received.unmark", "Clear the marks", &[k('\\')]).when(can::messages_marked),
    row(S::Received, Action::Menu(S::CopyMenu), "received.copy", "Copy…", &[k('y')]).foot("copy").when(can::message_selected),
    row(S::Received, Action::Follow, "received.follow", "Follow this message's ids through every integration", &[k('o')])
        .foot("follow id")
        .when(can::message_selected),
    row(S::Received, Action::Hex, "received.bytes", "Bytes or decoded", &[k('w')]).foot("bytes").when(can::detail_open),
    row(S::Received, Action::Pane, "received.pane", "The other pane", &[code(KeyCode::Tab), code(KeyCode::BackTab)])
        .foot("pane")
        .when(can::detail_open),
    row(S::Received, Action::Fold, "received.fold", "Fold", &[k('h'), code(KeyCode::Left)]).when(can::detail_focused),
    row(S::Received, Action::Unfold, "received.unfold", "Unfold", &[k('l'), code(KeyCode::Right)]).when(can::detail_focused),
    row(S::Received, Action::Look, "received.editor", "Open a copy in $EDITOR", &[k('e')]).when(can::message_selected),
    row(S::Publish, Action::Review, "publish.review", "Review the plan", &[ctrl('s')]).foot("review and send").plans(),
    row(S::Publish, Action::NextField, "publish.next", "Next field", &[code(KeyCode::Tab)]).foot("next field"),
    row(S::Publish, Action::PreviousField, "publish.previous", "Previous field", &[code(KeyCode::BackTab)]),
    row(S::Publish, Action::EditValue, "publish.editor", "Edit the value in $EDITOR", &[ctrl('e')]).foot("$EDITOR"),
    row(S::Publish, Action::Template, "publish.template", "Fill in a template: envelopes and events", &[ctrl('t')])
        .foot("template")
        .when(can::template),
    row(S::Publish, Action::Missing, "publish.missing", "Missing: send no key, or no value at all", &[ctrl('n')])
        .foot("missing")
        .when(can::field_can_be_missing),
    row(S::Publish, Action::Leave, "publish.back", "Back; asks before what was typed is lost", &[code(KeyCode::Esc)]).foot("back"),
    // Menus
    row(S::ActionMenu, Action::Publish, "publish", "Publish a new message…", &[k('p')]).plans().when(can::publish),
    row(S::ActionMenu, Action::Receive, "receive", "Receive messages and decide on them…", &[k('r')]).plans().when(can::receive),
    row(S::ActionMenu, Action::Peek, "peek", "Look at the first messages…", &[k('l')]).when(can::peek),
    row(S::ActionMenu, Action::Call, "call", "Call…", &[k('c')]).plans().when(can::call),
    row(S::ActionMenu, Action::SendAgain, "send-again", "Send this message again…", &[k('s')]).plans().when(can::send_again),
    row(S::ActionMenu, Action::Export, "export", "Export marked or shown messages to a file…", &[k('e')]).when(can::export),
    row(S::CopyMenu, Action::CopyValue, "copy.value", "Value", &[k('v')]).when(can::value_there),
    row(S::CopyMenu, Action::CopyKey, "copy.key", "Key", &[k('k')]).when(can::key_selected),
    row(S::CopyMenu, Action::CopyJson, "copy.json", "As JSON", &[k('j')]).when(can::json_there),
    row(S::CopyMenu, Action::CopyAddress, "copy.address", "Address", &[k('a')]).when(can::something_selected),
    row(S::CopyMenu, Action::CopyCommand, "copy.command", "Command: mqdeck …", &[k('c')]).when(can::command_there),
    row(S::Confirm, Action::Confirm, "yes", "Yes", &[k('y')]).foot("yes"),
    row(S::Confirm, Action::Decline, "no", "No", &[k('n'), code(KeyCode::Esc), k('q')]).foot("no"),
    row(S::Form, Action::Review, "form.review", "Work out the plan", &[ctrl('s')]).foot("plan").plans(),
    row(S::Form, Action::NextField, "form.next", "Next field", &[code(KeyCode::Tab), code(KeyCode::Down)]).foot("next field"),
    row(S::Form, Action::PreviousField, "form.previous", "Previous field", &[code(KeyCode::BackTab), code(KeyCode::Up)]),
    row(S::Form, Action::Leave, "form.back", "Back", &[code(KeyCode::Esc)]).foot("back"),
    row(S::Typed, Action::Confirm, "plan.do", "Confirm what was typed", &[code(KeyCode::Enter)]).foot("confirm"),
    row(S::Typed, Action::Decline, "plan.leave", "Cancel", &[code(KeyCode::Esc)]).foot("cancel"),
    row(S::Closed, Action::Arm, "plan.arm", "Arm the profile", &[k('!')]).foot("arm").when(can::arm_for_plan),
    row(S::Closed, Action::Decline, "plan.close", "Back", &[code(KeyCode::Esc), k('n'), k('q')]).foot("back"),
    row(S::Plan, Action::ExportFirst, "plan.export", "Save the whole channel to a file first…", &[ctrl('e')])
        .foot("export first")
        .when(can::export_first),
    row(S::Plan, Action::Move(Step::By(-1)), "plan.up", "Up", &[code(KeyCode::Up)]),
    row(S::Plan, Action::Move(Step::By(1)), "plan.down", "Down", &[code(KeyCode::Down)]),
    row(S::Plan, Action::Move(Step::Pages(-1)), "plan.page-up", "Half a page up", &[code(KeyCode::PageUp)]),
    row(S::Plan, Action::Move(Step::Pages(1)), "plan.page-down", "Half a page down", &[code(KeyCode::PageDown), ctrl('d')]),
    row(S::Outcome, Action::Decline, "outcome.close", "Back", &[code(KeyCode::Esc), code(KeyCode::Enter), k('q')]).foot("back"),
    // Moving
    row(S::Moving, Action::Enter, "enter", "Open", &[code(KeyCode::Enter)]).foot("open").when(can::enter),
    row(S::Moving, Action::Move(Step::By(-1)), "up", "Up", &[k('k'), code(KeyCode::Up)]),
    row(S::Moving, Action::Move(Step::By(1)), "down", "Down", &[k('j'), code(KeyCode::Down)]),
    row(S::Moving, Action::Move(Step::Pages(-1)), "page-up", "Half a page up", &[ctrl('u'), code(KeyCode::PageUp)]),
    row(S::Moving, Action::Move(Step::Pages(1)), "page-down", "Half a page down", &[ctrl('d'), code(KeyCode::PageDown)]),
    row(S::Moving, Action::Move(Step::Top), "top", "First", &[k('g'), code(KeyCode::Home)]),
    row(S::Moving, Action::Move(Step::Bottom), "bottom", "Last", &[k('G'), code(KeyCode::End)]),
    // Everywhere
    row(S::Global, Action::Go(Screen::Overview), "overview", "Overview", &[k('1')]).foot("overview").when(can::profile_open),
    row(S::Global, Action::Go(Screen::Channels), "channels", "Channels", &[k('2')]).foot("channels").when(can::profile_open),
    row(S::Global, Action::Go(Screen::Traffic), "traffic", "Traffic", &[k('3')]).foot("traffic").when(can::profile_open),
    row(S::Global, Action::Go(Screen::Groups), "groups", "Groups", &[k('4')]).foot("groups").when(can::profile_open),
    row(S::Global, Action::Go(Screen::DeadLetters), "dead-letters", "Dead letters", &[k('5')]).foot("dead letters").when(can::profile_open),
    row(S::Global, Action::Go(Screen::Profiles), "profiles", "Profiles", &[k('0')]).foot("profiles"),
    row(S::Global, Action::Arm, "arm", "Arm the profile for a time, or disarm it", &[k('!')]).when(can::arm),
    row(S::Global, Action::Undo, "undo", "Undo the last change…", &[k('z')]).plans().when(can::undo),
    row(S::Global, Action::Redo, "redo", "Redo…", &[k('Z')]).plans().when(can::redo),
    row(S::Global, Action::Outcome, "outcome", "Result of the last change", &[k('X')]).when(can::outcome),
    row(S::Global, Action::LastView, "last-view", "Last view", &[k('-')]).when(can::last_view),
    row(S::Global, Action::Go(Screen::WireLog), "wire-log", "Wire log: what was asked and answered", &[k('@')])
        .foot("wire log")
        .when(can::profile_open),
    row(S::Global, Action::Go(Screen::Notices), "notices", "Notices", &[k('M')]),
    row(S::Global, Action::Goto, "goto", "Go to a screen, channel or profile", &[k(':')]).foot("go"),
    row(S::Always, Action::Palette, "palette", "Every command", &[ctrl('p')]).foot("all"),
    row(S::Global, Action::Help, "help", "Keys of this screen", &[k('?'), code(KeyCode::F(1))]).foot("keys"),
    row(S::Global, Action::Mouse, "mouse", "Mouse on or off", &[code(KeyCode::F(2))]),
    row(S::Global, Action::Leave, "back", "Back; never quits, never acts", &[code(KeyCode::Esc)]).foot("back"),
    row(S::Global, Action::Quit, "quit", "Back, and quit at the root", &[k('q')]).when(can::always),
    row(S::Always, Action::Cancel, "cancel", "Cancel what runs; twice quits", &[ctrl('c')]),
    row(S::Always, Action::Suspend, "suspend", "Suspend", &[ctrl('z')]),
];

/// The command with this id.
pub fn by_id(id: &str) -> Option<&'static Command> {
    COMMANDS.iter().find(|command| command.id == id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::action::key_name;
    use std::collections::HashSet;

    #[test]
    fn ids_are_unique() {
        let mut seen = HashSet::new();
        for command in COMMANDS {
            assert!(seen.insert(command.id), "{} twice", command.id);
        }
    }

    /// The scopes that hold at the same time, the first one first.
    const TOGETHER: &[&[Scope]] = &[
        &[S::Welcome, S::Global, S::Always],
        &[S::Profiles, S::Moving, S::Global, S::Always],
        &[S::Overview, S::Moving, S::Global, S::Always],
        &[S::Channels, S::Moving, S::Global, S::Always],
        &[S::Traffic, S::Moving, S::Global, S::Always],
        &[S::Groups, S::Moving, S::Global, S::Always],
        &[S::DeadLetters, S::Moving, S::Global, S::Always],
        &[S::Received, S::Moving, S::Global, S::Always],
        &[S::WireLog, S::Moving, S::Global, S::Always],
        &[S::Notices, S::Moving, S::Global, S::Always],
        &[S::Publish, S::Always],
        &[S::ActionMenu, S::Always],
        &[S::CopyMenu, S::Always],
        &[S::Plan, S::Confirm, S::Always],
        &[S::Plan, S::Typed, S::Always],
        &[S::Plan, S::Closed, S::Always],
        &[S::Plan, S::Outcome, S::Always],
        &[S::Form, S::Always],
    ];

    #[test]
    fn no_key_means_two_things_at_once() {
        for scopes in TOGETHER {
            let mut seen = HashSet::new();
            for command in COMMANDS.iter().filter(|command| scopes.contains(&command.scope)) {
                for key in command.keys {
                    assert!(seen.insert(*key), "{scopes:?}: {} twice ({})", key_name(*key, true), command.id);
                }
            }
        }
    }

    #[test]
    fn no_key_fights_terminals_or_muscle_memory() {
        for command in COMMANDS {
            for key in command.keys {
                assert!(!(key.ctrl && matches!(key.code, KeyCode::Char('k' | 'h' | 'm' | 'i' | 'j'))), "{}", command.id);
            }
            assert!(!command.keys.is_empty(), "{} has no key", command.id);
        }
    }

    /// The key table of the README: what holds on each screen, in the order and words of the table.
    fn readme_table() -> String {
        const WHERE: &[(&str, &[Scope])] = &[
            ("First screen", &[S::Welcome]),
            ("Profiles", &[S::Profiles]),
            ("Overview", &[S::Overview]),
            ("Channels", &[S::Channels]),
            ("Traffic", &[S::Traffic]),
            ("Groups", &[S::Groups]),
            ("Dead letters", &[S::DeadLetters]),
            ("Received messages", &[S::Received]),
            ("Publish form", &[S::Publish]),
            ("Actions (`x`)", &[S::ActionMenu]),
            ("Copy (`y`)", &[S::CopyMenu]),
            ("Form of an operation", &[S::Form]),
            ("Plan", &[S::Confirm, S::Typed, S::Closed, S::Plan]),
            ("Outcome", &[S::Outcome]),
            ("Every list", &[S::Moving]),
            ("Everywhere", &[S::Global, S::Always]),
        ];
        assert!(COMMANDS.iter().all(|command| WHERE.iter().any(|(_, scopes)| scopes.contains(&command.scope))), "a scope is left out");
        let mut lines = String::from("| where | keys |\n|---|---|\n");
        for (name, scopes) in WHERE {
            let rows = COMMANDS.iter().filter(|command| scopes.contains(&command.scope));
            let words = rows.map(|command| {
                let keys: Vec<String> = command.keys.iter().map(|key| format!("`{}`", key_name(*key, false))).collect();
                format!("{} {}", keys.join(" "), command.title)
            });
            lines += &format!("| {name} | {} |\n", words.collect::<Vec<_>>().join(" · "));
        }
        lines
    }

    #[test]
    fn the_readme_names_every_key_in_the_words_of_the_table() {
        const BEGIN: &str = "<!-- The key table is written by `INSTA_UPDATE=always cargo test --lib the_readme`. -->\n\n";
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
        let readme = std::fs::read_to_string(path).expect("the README");
        let (before, rest) = readme.split_once(BEGIN).expect("the place of the key table");
        let (table, after) = rest.split_once("\n\n").expect("something behind the key table");
        let wanted = readme_table();
        if std::env::var("INSTA_UPDATE").as_deref() == Ok("always") {
            std::fs::write(path, format!("{before}{BEGIN}{wanted}\n{after}")).expect("the README");
        } else {
            assert_eq!(format!("{table}\n"), wanted);
        }
    }

    #[test]
    fn what_changes_a_system_starts_from_a_menu_or_a_form_or_takes_back() {
        for command in COMMANDS.iter().filter(|command| command.reach == Reach::Plans) {
            let back = matches!(command.action, Action::Undo | Action::Redo);
            assert!(back || matches!(command.scope, S::ActionMenu | S::Publish | S::Form), "{}", command.id);
        }
    }
}
