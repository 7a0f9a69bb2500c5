//! Whether a command can be done now, and if not, why. Named by the rows of the command table.

use super::action::{Reason, only_if};
use super::command_line;
use super::list::Focus;
use super::model::{Model, Screen};
use super::overlays::Overlay;
use super::reader::NONE_SELECTED;
use super::screens::publish::state::Part;
use super::screens::{channels, groups, received};
use crate::domain::address::Address;
use crate::domain::figure;
use crate::domain::health::Link;
use crate::domain::operation::{CALL, OperationSpec, PUBLISH, RECEIVE, Risk, SETTLE};
use crate::domain::safety::Gate;

type Available = Result<(), Reason>;

fn refused(reason: &'static str) -> Available {
    Err(Reason::Refused(reason.into()))
}

#[expect(clippy::unnecessary_wraps, reason = "a row of the command table")]
pub(super) fn always(_: &Model) -> Available {
    Ok(())
}

pub(super) fn profile_open(model: &Model) -> Available {
    only_if(model.profile.is_some(), "no profile is open")
}

pub(super) fn last_view(model: &Model) -> Available {
    only_if(model.last.is_some(), "there was no other view yet")
}

pub(super) fn enter(model: &Model) -> Available {
    let Some((rows, _)) = (model.screen.state().list)(model) else { return Err(Reason::Absent) };
    only_if(rows > 0, "the list is empty")
}

pub(super) fn group_behind(model: &Model) -> Available {
    something_selected(model)?;
    only_if(groups::mark(model).is_some(), "nothing waits there, or its position is not known")
}

/// Groups of the selected channel: where its system has none, who consumes is told in the channel's description.
pub(super) fn groups_known(model: &Model) -> Available {
    something_selected(model)?;
    let unsupported = channels::selected(model).is_some_and(|(integration, _)| integration.groups.unsupported);
    only_if(!unsupported, "this system has no groups: d tells who consumes, where it knows")
}

pub(super) fn groups_listed(model: &Model) -> Available {
    if groups::is_open(model) { Err(Reason::Absent) } else { Ok(()) }
}

/// What the copy menu can give as JSON.
pub(super) fn json_there(model: &Model) -> Available {
    if model.screen.state().copied.is_some() { something_selected(model) } else { value_there(model) }
}

pub(super) fn channels_marked(model: &Model) -> Available {
    only_if(!model.channels.list.marks.is_empty(), "nothing is marked")
}

pub(super) fn internal_there(model: &Model) -> Available {
    only_if(model.integrations().iter().flat_map(|i| &i.channels).any(|c| c.internal), "there are no internal channels")
}

pub(super) fn tenants_there(model: &Model) -> Available {
    only_if(!model.channels.tenants.is_empty(), "the profile finds no tenants in the channels' names")
}

pub(super) fn live(model: &Model) -> Available {
    something_selected(model)?;
    only_if(model.traffic.is_live(), "this is history: L goes back to live")
}

pub(super) fn not_live(model: &Model) -> Available {
    filtered(model)?;
    only_if(!model.traffic.is_live() || model.traffic.task.is_none(), "the list is live already")
}

pub(super) fn message_selected(model: &Model) -> Available {
    if !matches!(model.screen, Screen::Traffic | Screen::Received) {
        return Err(Reason::Absent);
    }
    only_if(model.message().is_some(), NONE_SELECTED)
}

pub(super) fn key_selected(model: &Model) -> Available {
    message_selected(model)?;
    only_if(model.message().is_some_and(|view| view.message.key.is_some()), "this message has no key")
}

pub(super) fn same_key(model: &Model) -> Available {
    filtered(model)?;
    key_selected(model)
}

pub(super) fn filtered(model: &Model) -> Available {
    something_selected(model)?;
    only_if(!model.traffic.is_followed(), "this follows ids: Esc goes back to the channel")
}

pub(super) fn messages_marked(model: &Model) -> Available {
    let marks = if model.screen == Screen::Received { &model.received.list.marks } else { &model.traffic.list.marks };
    only_if(!marks.is_empty(), "nothing is marked")
}

pub(super) fn detail_open(model: &Model) -> Available {
    only_if((model.screen.state().pane)(model).is_some(), "no message is open (Enter)")
}

pub(super) fn detail_focused(model: &Model) -> Available {
    only_if((model.screen.state().pane)(model) == Some(Focus::Detail), "the detail pane is not in focus (Tab)")
}

/// Taking messages of a queue: where the channel can be held, and one at a time.
pub(super) fn receive(model: &Model) -> Available {
    let address = (model.screen.state().channel)(model)?;
    if !model.caps(&address).is_some_and(|can| can.hold) {
        return Err(Reason::Absent);
    }
    let again = model.received.is_holding() && model.received.of.as_ref() == Some(&address);
    may_change(model, RECEIVE.risk)?;
    only_if(again || !model.received.is_holding(), "messages of another queue are held: decide on them first")
}

pub(super) fn peek(model: &Model) -> Available {
    let address = (model.screen.state().channel)(model)?;
    if !model.caps(&address).is_some_and(|can| can.peek) {
        return Err(Reason::Absent);
    }
    only_if(!model.received.is_holding(), "messages of a queue are held: decide on them first")
}

pub(super) fn call(model: &Model) -> Available {
    let address = (model.screen.state().channel)(model)?;
    if !model.caps(&address).is_some_and(|can| can.call) {
        return Err(Reason::Absent);
    }
    may_change(model, CALL.risk)?;
    only_if(!model.received.is_holding(), "messages of a queue are held: decide on them first")
}

/// Whether a decision can be begun.
pub(super) fn settle(model: &Model) -> Available {
    may_change(model, SETTLE.risk)?;
    received::verbs(model).1.or_else(refused)
}

/// Whether there is a command that shows the same in a shell.
pub(super) fn command_there(model: &Model) -> Available {
    something_selected(model)?;
    let demo = model.profile.as_ref().is_some_and(|profile| profile.opened.demo);
    only_if(!demo, "the demo lives in this console alone: `mqdeck demo --headless` prints a profile that commands can open")?;
    if model.screen.state().copied.is_some() {
        return Ok(());
    }
    command_line::selected(model).map(drop).or_else(refused)
}

pub(super) fn something_selected(model: &Model) -> Available {
    (model.screen.state().selected)(model)
}

pub(super) fn history(model: &Model) -> Available {
    let addresses = (model.screen.state().history)(model)?;
    match addresses.as_slice() {
        [] => refused("no channel is selected"),
        all => only_if(model.keep_history(all), "this channel keeps no history"),
    }
}

pub(super) fn publish(model: &Model) -> Available {
    writable(model, &(model.screen.state().channel)(model)?)
}

pub(super) fn send_again(model: &Model) -> Available {
    value_there(model)?;
    model.message().map_or(Ok(()), |view| writable(model, &view.address))
}

/// Whether all bytes of the selected message are here, or can be fetched.
pub(super) fn value_there(model: &Model) -> Available {
    message_selected(model)?;
    only_if(model.message().is_none_or(|view| view.is_within_reach()), BEYOND_REACH)
}

const BEYOND_REACH: &str = "only the beginning of this message was kept, and its system stores none that could be fetched";

pub(super) fn export(model: &Model) -> Available {
    if model.screen != Screen::Traffic {
        return Err(Reason::Absent);
    }
    only_if(!model.traffic.window.is_empty(), "there are no messages to export")?;
    let cut = model.traffic.chosen().iter().filter(|view| !view.is_within_reach()).count();
    if cut > 0 {
        let whose = if cut == 1 { "its" } else { "their" };
        let many = figure::several(cut as u64, "message");
        let cause = format!("only the beginning of {many} was kept, and {whose} system stores none: mark others");
        return Err(Reason::Refused(cause.into()));
    }
    Ok(())
}

/// A template fills an empty value, or takes the place of another one that nothing was typed into.
pub(super) fn template(model: &Model) -> Available {
    let Some(form) = &model.form else { return Err(Reason::Absent) };
    only_if(form.takes_template(), "the value is not empty: a template would replace it")
}

pub(super) fn field_can_be_missing(model: &Model) -> Available {
    let Some(form) = &model.form else { return Err(Reason::Absent) };
    match form.focus {
        Part::Key => Ok(()),
        Part::Value => only_if(form.spec.tombstone, "this system has no messages without a payload"),
        _ => refused("only the key and the value can be missing"),
    }
}

/// Whether the profile lets something of that risk be begun. What destroys needs it armed only when its plan is confirmed, unless
/// everything does.
fn may_change(model: &Model, risk: Risk) -> Available {
    let safety = model.profile.as_ref().map(|profile| profile.opened.safety).unwrap_or_default();
    match model.gate(risk) {
        Gate::ReadOnly => refused("the profile is read-only"),
        Gate::Unarmed if safety.production => refused("not armed: ! arms the profile"),
        Gate::Unarmed | Gate::Open => Ok(()),
    }
}

/// What the adapters offer for the selection, in their order: for what is selected first, then for its integration.
pub(super) fn offered(model: &Model) -> impl Iterator<Item = (&'static OperationSpec, Address)> {
    (model.screen.state().subjects)(model).into_iter().flat_map(|(subject, address)| {
        let offered = model.integration(&address.integration).and_then(|integration| integration.operations).unwrap_or_default();
        offered.iter().filter(move |spec| subject.suits(spec)).map(move |spec| (*spec, address.clone()))
    })
}

/// Whether an operation can be planned.
pub(super) fn operation(model: &Model, spec: &OperationSpec, address: &Address) -> Available {
    may_change(model, spec.risk)?;
    if model.screen == Screen::Channels && spec.on.is_channel() && !model.channels.list.marks.is_empty() {
        return refused("several are marked: this takes one (\\ clears the marks)");
    }
    match model.integration(&address.integration).map(|integration| &integration.link) {
        Some(Link::Down { .. }) => refused("the integration is down"),
        _ => Ok(()),
    }
}

/// The action menu of lists whose rows are something that can be changed.
pub(super) fn actions(model: &Model) -> Available {
    match model.screen {
        Screen::Channels if channels::selected(model).is_some() => Ok(()),
        _ => only_if(offered(model).next().is_some(), "nothing can be done here"),
    }
}

pub(super) fn arm(model: &Model) -> Available {
    profile_open(model)?;
    match model.gate(Risk::Destroy) {
        Gate::ReadOnly => refused("the profile is read-only"),
        Gate::Unarmed | Gate::Open => Ok(()),
    }
}

/// Arming while a plan stands there that waits for it.
pub(super) fn arm_for_plan(model: &Model) -> Available {
    match &model.overlay {
        Some(Overlay::Plan(view)) if model.gate(view.plan.risk()) == Gate::Unarmed && !view.is_refused() => Ok(()),
        _ => Err(Reason::Absent),
    }
}

pub(super) fn undo(model: &Model) -> Available {
    only_if(model.changes.can_undo(), "nothing was changed that can be undone")?;
    may_change(model, Risk::Reversible)
}

pub(super) fn redo(model: &Model) -> Available {
    only_if(model.changes.can_redo(), "nothing was undone")?;
    may_change(model, Risk::Reversible)
}

pub(super) fn outcome(model: &Model) -> Available {
    only_if(model.changes.last.is_some(), "nothing has been changed yet")
}

/// What a plan destroys can be saved first, where it is a channel that keeps history.
pub(super) fn export_first(model: &Model) -> Available {
    let Some(Overlay::Plan(view)) = &model.overlay else { return Err(Reason::Absent) };
    let keeps = view.plan.spec().on.is_channel() && model.caps(view.plan.address()).is_some_and(|can| can.history);
    if view.plan.risk() == Risk::Destroy && keeps && !view.is_refused() { Ok(()) } else { Err(Reason::Absent) }
}

/// Whether something may be sent to a channel.
fn writable(model: &Model, address: &Address) -> Available {
    may_change(model, PUBLISH.risk)?;
    let Some(integration) = model.integration(&address.integration) else { return refused("its integration is not in this profile") };
    match (integration.publishes, &integration.link) {
        (Some(Some(_)), _) if model.caps(address).is_some_and(|can| !can.publish) => refused("nothing can be published to this channel"),
        (Some(Some(_)), _) => Ok(()),
        (Some(None), _) => refused("nothing can be published through this integration"),
        (None, Link::Down { .. }) => refused("the integration is down"),
        (None, _) => refused("the integration is not connected yet"),
    }
}
