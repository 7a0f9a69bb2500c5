//! Actions into the Model: what each command of the table does.

use super::action::{Action, Reason};
use super::changes::Origin;
use super::commands::Command;
use super::effect::{Copy, EditPurpose, Effect};
use super::event::Level;
use super::jobs::Job;
use super::list::Focus;
use super::model::{Model, Screen};
use super::overlays::confirm::Confirm;
use super::overlays::input::{self, Ask};
use super::overlays::palette::{Kind, search};
use super::overlays::{Menu, Overlay, Prompt};
use super::screens::publish::state::{Form, extension};
use super::screens::traffic::detail::Detail;
use super::screens::traffic::state::{Phase, Source, Traffic};
use super::screens::traffic::{follow, reading};
use super::screens::{channels, dead_letters, groups, profiles, publish, received};
use super::{changing, command_line, filtering, keymap, moving, receive};
use crate::domain::address::Address;
use crate::domain::delivery::Verb;
use crate::domain::operation::OperationSpec;
use crate::domain::query::{Comparison, Expr, Field, Literal, Predicate};
use crate::domain::view::MessageView;
use std::sync::Arc;

/// Ctrl-C twice within this quits.
const TWICE: std::time::Duration = std::time::Duration::from_secs(2);

/// Does a command, or says why not.
pub(super) fn command(model: &mut Model, command: &Command) {
    if let Some(reason) = keymap::refusal(model, command) {
        model.say(Level::Info, &format!("{}: {reason}", command.title));
    } else if (command.available)(model).is_ok() {
        action(model, command.action);
        model.touch();
    }
}

/// Opens the form of an operation, or says why not.
pub(super) fn operation(model: &mut Model, spec: &'static OperationSpec, address: &Address, available: &Result<(), Reason>) {
    match available {
        Ok(()) => changing::open(model, spec, address.clone()),
        Err(Reason::Refused(reason)) => model.say(Level::Info, &format!("{}: {reason}", spec.title)),
        Err(Reason::Absent) => {}
    }
}

/// Begins a decision on messages that are held, or says why not.
pub(super) fn decision(model: &mut Model, verb: &'static Verb, available: &Result<(), Reason>) {
    match available {
        Ok(()) => received::decide(model, verb),
        Err(Reason::Refused(reason)) => model.say(Level::Info, &format!("{}: {reason}", verb.word)),
        Err(Reason::Absent) => {}
    }
}

fn action(model: &mut Model, action: Action) {
    match action {
        Action::Cancel => cancel(model),
        Action::Suspend => model.effect(Effect::Suspend),
        Action::Palette => model.overlay = Some(Overlay::Palette(search::open(model, Kind::Commands))),
        Action::Goto => model.overlay = Some(Overlay::Palette(search::open(model, Kind::Places))),
        Action::Help => model.overlay = Some(Overlay::Help(0)),
        Action::Leave => leave(model),
        Action::Quit => quit(model),
        Action::LastView => go(model, model.last.unwrap_or(model.screen)),
        Action::Go(screen) => open(model, screen),
        Action::Mouse => {
            model.mouse = !model.mouse;
            model.effect(Effect::Mouse(model.mouse));
            model.say(Level::Info, if model.mouse { "Mouse on: hold Shift to select text" } else { "Mouse off" });
        }
        Action::Move(step) => moving::step(model, step),
        Action::Mark | Action::MarkRange | Action::MarkInvert | Action::MarkNone => (model.screen.state().mark)(model, action),
        Action::Enter => (model.screen.state().enter)(model),
        Action::Filter => filtering::open(model),
        Action::Menu(scope) => model.overlay = Some(Overlay::Menu(Menu { scope, selected: 0 })),
        Action::Demo => profiles::opening(model, "demo", Effect::StartDemo),
        Action::Connect => model.overlay = Some(Overlay::Prompt(Prompt::new(Ask::Url, "kafka://"))),
        Action::Reload if model.screen == Screen::DeadLetters => dead_letters::read(model),
        Action::Reload => {
            model.profiles.entries = None;
            model.profiles.asked_at = model.now;
            model.effect(Effect::LoadProfiles);
        }
        Action::Confirm => confirm(model),
        Action::Decline => decline(model),
        Action::Arm => changing::arm(model),
        Action::Undo => changing::take_back(model, Origin::Undo),
        Action::Redo => changing::take_back(model, Origin::Redo),
        Action::Outcome => model.overlay = Some(Overlay::Outcome(0)),
        Action::ExportFirst => changing::ask_export(model),
        other => on_screen(model, other),
    }
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
        Action::Live => reading::start(model, Source::Live),
        Action::CopyKey | Action::CopyValue | Action::CopyJson | Action::CopyAddress | Action::CopyCommand => copy(model, action),
        Action::Publish => {
            if let Some(address) = model.target()
                && let Some(spec) = model.publishes(&address)
            {
                publish::open(model, Form::new(address, spec));
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
        Action::Template => model.overlay = Some(Overlay::Palette(search::open(model, Kind::Templates))),
        Action::Review if matches!(model.overlay, Some(Overlay::Form(_))) => changing::review(model),
        Action::Review => {
            let plan = publish::review(model);
            changing::propose(model, plan);
        }
        Action::EditValue => publish::edit(model),
        other => on_message(model, other),
    }
}

/// The message that is open on this screen.
fn detail(model: &mut Model) -> Option<&mut Detail> {
    model.screen.state().reader?.detail(model)
}

/// The commands of a message and its detail, and of a queue or a service.
fn on_message(model: &mut Model, action: Action) {
    match action {
        Action::Pane => {
            if let Some(reader) = model.screen.state().reader {
                let focus = (reader.pane)(model).1;
                *focus = if *focus == Focus::List { Focus::Detail } else { Focus::List };
            }
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
        Action::Receive => receive::ask(model),
        Action::Peek => model.overlay = Some(Overlay::Prompt(Prompt::new(Ask::Peek, "10"))),
        Action::Call => {
            if let Some(address) = model.target() {
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

/// Goes to a screen as its command does.
pub(super) fn open(model: &mut Model, screen: Screen) {
    match screen.state().open {
        Some(open) => open(model),
        None => go(model, screen),
    }
}

/// Goes to a screen and makes it ready.
fn go(model: &mut Model, screen: Screen) {
    if screen == Screen::Publish && model.form.is_none() {
        return;
    }
    let here = (model.screen.state().integration)(model);
    (screen.state().arrive)(model, here);
    model.go(screen);
}

/// Esc: out of what is open, one step at a time; never quits.
fn leave(model: &mut Model) {
    if matches!(model.overlay, Some(Overlay::Form(_))) {
        return changing::leave_form(model);
    }
    if model.screen == Screen::Publish {
        return leave_publish(model);
    }
    if model.notices.dismiss() {
        return;
    }
    if !(model.screen.state().leave)(model) {
        model.go_back();
    }
}

/// What was typed is not lost without a question, and what is being sent is waited for.
fn leave_publish(model: &mut Model) {
    let Some(form) = &model.form else { return model.go_back() };
    if form.sending.is_some() {
        return;
    }
    if form.is_untouched() {
        model.form = None;
        model.go_back();
    } else {
        model.overlay = Some(Overlay::Confirm(Confirm::Discard));
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
        model.go_back();
    }
}

/// Ctrl-C: what is typed or asked goes; else what runs is ended; else, twice, the program is.
fn cancel(model: &mut Model) {
    if model.overlay.take().is_some() || model.typing.take().is_some() {
        return;
    }
    let running = |job: &Job| model.changes.is_running(job.task);
    if !model.traffic.is_live() && model.traffic.task.is_some() {
        reading::stop(model);
        model.traffic.phase = Phase::Cancelled;
        model.say(Level::Info, "Reading was cancelled; what was read stays.");
    } else if let Some(at) = model.jobs.iter().rposition(|job| !running(job)) {
        if model.received.is_holding() && model.received.task == Some(model.jobs[at].task) {
            return received::ask_release(model);
        }
        let job = model.jobs.remove(at);
        model.effect(Effect::StopTask(job.task));
        model.say(Level::Warning, &format!("Cancelled: {}", job.title));
    } else if !model.jobs.is_empty() {
        model.say(Level::Warning, "A change is being carried out: it is not cut off in the middle.");
    } else if model.cancelled_at.is_some_and(|at| model.now.since(at) <= TWICE) {
        model.effect(Effect::Quit);
    } else {
        model.cancelled_at = Some(model.now);
        model.say(Level::Info, "Nothing runs that could be cancelled; ^C again quits.");
    }
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

/// Opens the form with this message, after fetching what the window does not hold of it.
fn again(model: &mut Model, view: &Arc<MessageView>) {
    model.overlay = None;
    if view.whole {
        send_again(model, view);
    } else {
        let task = model.task();
        model.traffic.fetching = Some(task);
        model.effect(Effect::Fetch { task, address: view.address.clone(), position: view.message.position });
        model.say(Level::Info, "Fetching the whole message…");
    }
}

pub(super) fn send_again(model: &mut Model, view: &MessageView) {
    if let Some(spec) = model.publishes(&view.address) {
        publish::open(model, Form::again(view, spec));
    }
}

fn look(model: &mut Model) {
    if let Some(view) = model.message() {
        let bytes = view.message.payload.clone().unwrap_or_default();
        let extension = extension(&bytes);
        if !view.whole {
            model.say(Level::Warning, "The copy holds only what the window kept of this message.");
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
        reading::start(model, source);
    }
}

fn copy(model: &mut Model, action: Action) {
    model.overlay = None;
    if let Some(copied) = model.screen.state().copied {
        if let Some((text, what)) = copied(model, action) {
            model.effect(Effect::Copy(Copy::Text(text, what)));
        }
        return;
    }
    let view = model.message().cloned();
    let address = view.as_ref().map(|v| v.address.clone()).or_else(|| model.target());
    let what = match (action, view, address) {
        (Action::CopyKey, Some(view), _) => Copy::Key(view),
        (Action::CopyValue, Some(view), _) => Copy::Value(view),
        (Action::CopyJson, Some(view), _) => Copy::Json(view),
        (Action::CopyAddress, Some(view), _) => Copy::Text(format!("{}#{}", view.address, view.message.position), "address"),
        (Action::CopyAddress, None, Some(address)) => Copy::Text(address.to_string(), "address"),
        (Action::CopyCommand, ..) => match command_line::selected(model) {
            Ok(command) => Copy::Text(command, "command"),
            Err(reason) => return model.say(Level::Info, reason),
        },
        _ => return,
    };
    model.effect(Effect::Copy(what));
}

fn confirm(model: &mut Model) {
    if let Some(Overlay::Plan(_)) = model.overlay {
        return changing::confirm(model);
    }
    let Some(Overlay::Confirm(confirm)) = model.overlay.take() else { return };
    match confirm {
        Confirm::Quit { .. } => model.effect(Effect::Quit),
        Confirm::Discard => {
            model.form = None;
            model.go_back();
        }
        Confirm::Receive { address, of, most, .. } => received::hold(model, address, of, most, true),
        Confirm::Peek { address, most, .. } => received::look(model, address, most, true),
        Confirm::Release { .. } => received::release(model),
    }
}

fn decline(model: &mut Model) {
    match model.overlay {
        Some(Overlay::Plan(_)) => changing::leave_plan(model),
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
            let range = input::range(text, &model.zoned()?)?;
            if model.screen == Screen::Channels {
                let addresses = channels::targets(model);
                reading::stop(model);
                model.traffic = Traffic { addresses, ..Traffic::default() };
                model.go(Screen::Traffic);
            }
            model.overlay = None;
            reading::start(model, Source::History { range, text: text.to_owned() });
        }
        Ask::Arm => model.effect(Effect::Arm(text.to_owned())),
        Ask::Receive => receive::answer(model, text)?,
        Ask::Spend => received::spends_typed(model, text)?,
        Ask::Peek => {
            let (most, address) = receive::wanted(model, text)?;
            model.overlay = None;
            received::look(model, address, most, false);
        }
        Ask::ExportFirst if text.is_empty() => return Err("a file name is needed".to_owned()),
        Ask::ExportFirst => changing::export(model, text),
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
