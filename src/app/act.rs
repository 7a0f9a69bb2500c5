//! Actions into the Model: what each command of the table does.

use super::changes::{self, Origin};
use super::command_line;
use super::commands::{Action, Command, Reason, Scope};
use super::editor::Editor;
use super::effect::{Copy, EditPurpose, Effect};
use super::event::Level;
use super::jobs::Job;
use super::list::Step;
use super::model::{Model, Screen};
use super::overlays::Overlay;
use super::overlays::confirm::Confirm;
use super::overlays::input::{Ask, Filter, Prompt};
use super::overlays::menu::Menu;
use super::overlays::palette;
use super::screens::publish::{self, Form};
use super::screens::traffic::{self, Focus, Source, follow};
use super::screens::{channels, groups, profiles, received};
use super::update::{new_form, say};
use super::{keymap, moving, receive};
use crate::domain::address::Address;
use crate::domain::delivery::Verb;
use crate::domain::operation::OperationSpec;
use crate::domain::query::{Comparison, Expr, Field, Literal, Predicate};
use crate::domain::view::MessageView;
use std::sync::Arc;

/// Messages that are received or looked at, at most: somebody is to decide on each.
const MOST: u32 = 1_000;
/// Ctrl-C twice within this quits.
const TWICE: std::time::Duration = std::time::Duration::from_secs(2);

/// Does a command, or says why not.
pub(super) fn command(model: &mut Model, command: &Command) {
    if let Some(reason) = keymap::refusal(model, command) {
        say(model, Level::Info, &format!("{}: {reason}", command.title));
    } else if (command.available)(model).is_ok() {
        action(model, command.action);
        model.touch();
    }
}

/// Opens the form of an operation, or says why not.
pub(super) fn operation(model: &mut Model, spec: &'static OperationSpec, address: &Address, available: &Result<(), Reason>) {
    match available {
        Ok(()) => changes::open(model, spec, address.clone()),
        Err(Reason::Refused(reason)) => say(model, Level::Info, &format!("{}: {reason}", spec.title)),
        Err(Reason::Absent) => {}
    }
}

/// Begins a decision on messages that are held, or says why not.
pub(super) fn decision(model: &mut Model, verb: &'static Verb, available: &Result<(), Reason>) {
    match available {
        Ok(()) => received::decide(model, verb),
        Err(Reason::Refused(reason)) => say(model, Level::Info, &format!("{}: {reason}", verb.word)),
        Err(Reason::Absent) => {}
    }
}

fn action(model: &mut Model, action: Action) {
    match action {
        Action::Cancel => cancel(model),
        Action::Suspend => model.effect(Effect::Suspend),
        Action::Palette => model.overlay = Some(Overlay::Palette(palette::open(model, palette::Kind::Commands))),
        Action::Goto => model.overlay = Some(Overlay::Palette(palette::open(model, palette::Kind::Places))),
        Action::Help => model.overlay = Some(Overlay::Help(0)),
        Action::Leave => leave(model),
        Action::Quit => quit(model),
        Action::LastView => go(model, model.last.unwrap_or(model.screen)),
        Action::Overview => go(model, Screen::Overview),
        Action::Channels => channels::open(model, None),
        Action::Traffic => go(model, Screen::Traffic),
        Action::Groups => groups::open(model, None),
        Action::Profiles => go(model, Screen::Profiles),
        Action::WireLog => go(model, Screen::WireLog),
        Action::Notices => go(model, Screen::Notices),
        Action::Mouse => {
            model.mouse = !model.mouse;
            model.effect(Effect::Mouse(model.mouse));
            say(model, Level::Info, if model.mouse { "Mouse on: hold Shift to select text" } else { "Mouse off" });
        }
        Action::Up => moving::step(model, Step::By(-1)),
        Action::Down => moving::step(model, Step::By(1)),
        Action::PageUp => moving::step(model, Step::Pages(-1)),
        Action::PageDown => moving::step(model, Step::Pages(1)),
        Action::Top => moving::step(model, Step::Top),
        Action::Bottom => moving::step(model, Step::Bottom),
        Action::Mark | Action::MarkRange | Action::MarkInvert | Action::MarkNone => (model.screen.state().mark)(model, action),
        Action::Enter => (model.screen.state().enter)(model),
        Action::Filter => filter(model),
        Action::Actions => model.overlay = Some(Overlay::Menu(Menu { scope: Scope::ActionMenu, selected: 0 })),
        Action::CopyMenu => model.overlay = Some(Overlay::Menu(Menu { scope: Scope::CopyMenu, selected: 0 })),
        Action::Demo => profiles::opening(model, "demo", Effect::StartDemo),
        Action::Connect => model.overlay = Some(Overlay::Prompt(Prompt::new(Ask::Url, "kafka://"))),
        Action::Reload => {
            model.profiles.entries = None;
            model.profiles.asked_at = model.now;
            model.effect(Effect::LoadProfiles);
        }
        Action::Confirm => confirm(model),
        Action::Decline => decline(model),
        Action::Arm => changes::arm(model),
        Action::Undo => changes::take_back(model, Origin::Undo),
        Action::Redo => changes::take_back(model, Origin::Redo),
        Action::Outcome => model.overlay = Some(Overlay::Outcome(0)),
        Action::ExportFirst => changes::ask_export(model),
        other => on_screen(model, other),
    }
}

/// The message that is open on this screen.
fn detail(model: &mut Model) -> Option<&mut traffic::detail::Detail> {
    if model.screen == Screen::Received { model.received.detail.as_mut() } else { model.traffic.detail.as_mut() }
}

/// The commands of Channels, Traffic and the form.
fn on_screen(model: &mut Model, action: Action) {
    match action {
        Action::Describe if model.channels.describe.is_some() => model.channels.describe = None,
        Action::Describe => channels::describe(model),
        Action::Consumers => {
            let address = channels::selected(model).map(|(i, c)| Address::new(&i.name, &c.name));
            groups::open(model, address);
        }
        Action::Messages => groups::messages(model),
        Action::Internal => {
            model.channels.internal = !model.channels.internal;
            channels::rebuild(model);
        }
        Action::Tenant => next_tenant(model),
        Action::Pause if model.traffic.hold => model.traffic.run(),
        Action::Pause => model.traffic.hold = true,
        Action::Follow => {
            if let Some(view) = model.message().cloned() {
                follow::start(model, &view);
            }
        }
        Action::Look => look(model),
        Action::SameKey => same_key(model),
        Action::History => model.overlay = Some(Overlay::Prompt(Prompt::new(Ask::Range, "end-500"))),
        Action::Live => traffic::start(model, Source::Live),
        Action::CopyKey | Action::CopyValue | Action::CopyJson | Action::CopyAddress | Action::CopyCommand => copy(model, action),
        Action::Publish => {
            if let Some(form) = target(model).and_then(|address| new_form(model, address)) {
                publish::open(model, form);
            }
        }
        Action::Export => {
            let name = model.traffic.addresses.first().map_or("messages", |a| &a.channel).replace(['/', '\\', '*'], "_");
            model.overlay = Some(Overlay::Prompt(Prompt::new(Ask::Export, &format!("{name}.jsonl"))));
        }
        Action::NextField | Action::PreviousField => {
            let by = if action == Action::NextField { 1 } else { -1 };
            if let Some(Overlay::Form(form)) = &mut model.overlay {
                form.next(by);
            } else if let Some(form) = &mut model.form {
                form.next(by);
            }
        }
        Action::Missing => {
            if let Some(form) = &mut model.form {
                form.missing();
            }
        }
        Action::Template => model.overlay = Some(Overlay::Palette(palette::open(model, palette::Kind::Templates))),
        Action::Review if matches!(model.overlay, Some(Overlay::Form(_))) => changes::review(model),
        Action::Review => publish::review(model),
        Action::EditValue => publish::edit(model),
        other => on_message(model, other),
    }
}

/// The commands of a message and its detail, and of a queue or a service.
fn on_message(model: &mut Model, action: Action) {
    match action {
        Action::Pane => {
            let focus = if model.screen == Screen::Received { &mut model.received.focus } else { &mut model.traffic.focus };
            *focus = if *focus == Focus::List { Focus::Detail } else { Focus::List };
        }
        Action::Fold | Action::Unfold => {
            if let Some(pane) = detail(model) {
                pane.fold(action == Action::Unfold);
            }
        }
        Action::Hex => {
            if let Some(pane) = detail(model) {
                pane.toggle_hex();
            }
        }
        Action::Receive if model.received.is_holding() => model.go(Screen::Received),
        Action::Receive => receive::ask(model, target(model)),
        Action::Peek => model.overlay = Some(Overlay::Prompt(Prompt::new(Ask::Peek, "10"))),
        Action::Call => {
            if let Some(address) = target(model) {
                publish::open(model, Form::call(address));
            }
        }
        Action::SendAgain => {
            if let Some(view) = model.message().cloned() {
                again(model, &view);
            }
        }
        _ => {}
    }
}

/// Goes to a screen and makes it ready.
pub(super) fn go(model: &mut Model, screen: Screen) {
    if screen == Screen::Publish && model.form.is_none() {
        return;
    }
    if screen == Screen::WireLog {
        let here = (model.screen.state().integration)(model);
        let shown = here.or_else(|| model.wire.integration.clone()).or_else(|| model.integrations().first().map(|i| i.name.clone()));
        if let Some(integration) = shown {
            model.wire.show(integration);
        }
    }
    if screen == Screen::Notices {
        model.notices.dismiss();
    }
    model.go(screen);
}

/// Esc: out of what is open, one step at a time; never quits.
fn leave(model: &mut Model) {
    if matches!(model.overlay, Some(Overlay::Form(_))) {
        return changes::leave_form(model);
    }
    if model.screen == Screen::Publish {
        return leave_publish(model);
    }
    if model.notices.dismiss() {
        return;
    }
    if !(model.screen.state().leave)(model) {
        back(model);
    }
}

/// What was typed is not lost without a question, and what is being sent is waited for.
fn leave_publish(model: &mut Model) {
    let Some(form) = &model.form else { return back(model) };
    if form.sending.is_some() {
        return;
    }
    if form.is_untouched() {
        model.form = None;
        back(model);
    } else {
        model.overlay = Some(Overlay::Confirm(Confirm::Discard));
    }
}

/// Back to where we came from.
pub(super) fn back(model: &mut Model) {
    if let Some(screen) = model.back.pop() {
        model.last = Some(model.screen);
        model.screen = screen;
        model.watch();
        model.touch();
    }
}

fn quit(model: &mut Model) {
    if model.screen == Screen::Received && model.received.is_holding() {
        return received::ask_release(model);
    }
    if model.back.is_empty() {
        if model.jobs.is_empty() {
            model.effect(Effect::Quit);
        } else {
            model.overlay = Some(Overlay::Confirm(Confirm::Quit { jobs: model.jobs.len() }));
        }
    } else {
        back(model);
    }
}

/// Ctrl-C: what is typed or asked goes; else what runs is ended; else, twice, the program is.
fn cancel(model: &mut Model) {
    if model.overlay.take().is_some() || model.typing.take().is_some() {
        return;
    }
    let running = |job: &Job| model.changes.is_running(job.task);
    if !model.traffic.is_live() && model.traffic.task.is_some() {
        traffic::stop(model);
        model.traffic.phase = traffic::Phase::Cancelled;
        say(model, Level::Info, "Reading was cancelled; what was read stays.");
    } else if let Some(at) = model.jobs.iter().rposition(|job| !running(job)) {
        if model.received.is_holding() && model.received.task == Some(model.jobs[at].task) {
            return received::ask_release(model);
        }
        let job = model.jobs.remove(at);
        model.effect(Effect::StopTask(job.task));
        say(model, Level::Warning, &format!("Cancelled: {}", job.title));
    } else if !model.jobs.is_empty() {
        say(model, Level::Warning, "A change is being carried out: it is not cut off in the middle.");
    } else if model.cancelled_at.is_some_and(|at| model.now.since(at) <= TWICE) {
        model.effect(Effect::Quit);
    } else {
        model.cancelled_at = Some(model.now);
        say(model, Level::Info, "Nothing runs that could be cancelled; ^C again quits.");
    }
}

fn filter(model: &mut Model) {
    let before = match &model.screen.state().filter {
        Some(filter) => (filter.text)(model).clone(),
        None => model.traffic.filter.clone(),
    };
    model.typing = Some(Filter { editor: Editor::line(&before), before, error: None, candidates: Vec::new() });
    super::keys::filter_typed(model);
}

fn next_tenant(model: &mut Model) {
    let tenants = &model.channels.tenants;
    let next = match &model.channels.tenant {
        None => tenants.first().cloned(),
        Some(now) => tenants.iter().find(|tenant| *tenant > now).cloned(),
    };
    model.channels.tenant = next;
    channels::rebuild(model);
}

/// The channel that a new message goes to.
fn target(model: &Model) -> Option<Address> {
    (model.screen.state().channel)(model).ok().or_else(|| model.traffic.addresses.first().cloned())
}

/// Opens the form with this message, after fetching what the window does not hold of it.
fn again(model: &mut Model, view: &Arc<MessageView>) {
    model.overlay = None;
    if view.whole {
        send_again(model, view);
    } else {
        let task = model.task();
        model.traffic.fetching = Some(task);
        model.effect(Effect::Fetch { task, address: view.address.clone(), position: view.message.position });
        say(model, Level::Info, "Fetching the whole message…");
    }
}

pub(super) fn send_again(model: &mut Model, view: &MessageView) {
    if let Some(spec) = model.integration(&view.address.integration).and_then(|i| i.publishes.flatten()) {
        publish::open(model, Form::again(view, spec));
    }
}

fn look(model: &mut Model) {
    if let Some(view) = model.message() {
        let bytes = view.message.payload.clone().unwrap_or_default();
        let extension = publish::extension(&bytes);
        if !view.whole {
            say(model, Level::Warning, "The copy holds only what the window kept of this message.");
        }
        model.effect(Effect::Edit { purpose: EditPurpose::Look, bytes, extension });
    }
}

/// Filters by the key of the selected message.
fn same_key(model: &mut Model) {
    if let Some(key) = model.traffic.selected().and_then(|view| view.message.key.clone()) {
        let same = Predicate::Compare(Comparison::Equal, Literal::of_bytes(&key));
        model.traffic.filter = Expr::Test(Field::Key(Vec::new()), same).to_string();
        let source = model.traffic.source.clone();
        traffic::start(model, source);
    }
}

fn copy(model: &mut Model, action: Action) {
    model.overlay = None;
    if model.screen == Screen::Groups {
        if let Some((text, what)) = groups::copied(model, action) {
            model.effect(Effect::Copy(Copy::Text(text, what)));
        }
        return;
    }
    let view = model.message().cloned();
    let address = view.as_ref().map(|v| v.address.clone()).or_else(|| target(model));
    let what = match (action, view, address) {
        (Action::CopyKey, Some(view), _) => Copy::Key(view),
        (Action::CopyValue, Some(view), _) => Copy::Value(view),
        (Action::CopyJson, Some(view), _) => Copy::Json(view),
        (Action::CopyAddress, Some(view), _) => Copy::Text(format!("{}#{}", view.address, view.message.position), "address"),
        (Action::CopyAddress, None, Some(address)) => Copy::Text(address.to_string(), "address"),
        (Action::CopyCommand, view, Some(address)) => {
            let several = model.screen == Screen::Traffic && model.traffic.addresses.len() > 1;
            let addresses = if several { model.traffic.addresses.clone() } else { vec![address] };
            let Some(command) = command_line::of(model, &addresses, view.as_deref()) else { return };
            Copy::Text(command, "command")
        }
        _ => return,
    };
    model.effect(Effect::Copy(what));
}

fn confirm(model: &mut Model) {
    if let Some(Overlay::Plan(_)) = model.overlay {
        return changes::confirm(model);
    }
    let Some(Overlay::Confirm(confirm)) = model.overlay.take() else { return };
    match confirm {
        Confirm::Quit { .. } => model.effect(Effect::Quit),
        Confirm::Discard => {
            model.form = None;
            back(model);
        }
        Confirm::Peek { address, most, .. } => received::look(model, address, most, true),
        Confirm::Release { .. } => received::release(model),
    }
}

fn decline(model: &mut Model) {
    match model.overlay {
        Some(Overlay::Plan(_)) => changes::leave_plan(model),
        _ => model.overlay = None,
    }
}

/// What a prompt was answered with.
pub(super) fn answer(model: &mut Model, ask: Ask, text: &str) -> Result<(), String> {
    let text = text.trim();
    match ask {
        Ask::Url => {
            if !text.split_once("://").is_some_and(|(scheme, rest)| !scheme.is_empty() && !rest.is_empty()) {
                return Err("a URL names a system and a host: kafka://localhost:9092".to_owned());
            }
            profiles::opening(model, "URL", Effect::OpenUrl(text.to_owned()));
        }
        Ask::Range => {
            let range = super::overlays::input::range(text, model)?;
            if model.screen == Screen::Channels {
                let addresses = channels::targets(model);
                traffic::stop(model);
                model.traffic = traffic::Traffic::default();
                model.traffic.addresses = addresses;
                model.go(Screen::Traffic);
            }
            model.overlay = None;
            traffic::start(model, Source::History { range, text: text.to_owned() });
        }
        Ask::Arm => model.effect(Effect::Arm(text.to_owned())),
        Ask::Receive | Ask::Peek => {
            let most = text.parse::<u32>().ok().filter(|most| (1..=MOST).contains(most));
            let most = most.ok_or_else(|| format!("write a number from 1 to {MOST}"))?;
            let address = target(model).ok_or("no channel is selected")?;
            if ask == Ask::Receive {
                receive::chosen(model, address, most);
            } else {
                model.overlay = None;
                received::look(model, address, most, false);
            }
        }
        Ask::ExportFirst if text.is_empty() => return Err("a file name is needed".to_owned()),
        Ask::ExportFirst => changes::export(model, text),
        Ask::Export => {
            if text.is_empty() {
                return Err("a file name is needed".to_owned());
            }
            let messages = model.traffic.chosen();
            let task = model.task();
            model.overlay = None;
            model.effect(Effect::Export { task, path: text.to_owned(), messages });
        }
    }
    Ok(())
}
