//! Deciding on messages that are held: what it would do is found out, shown as a plan, and carried out once it was confirmed.

use super::holding::{READER, retitle};
use super::state::{Planning, Row, State};
use crate::app::changes::Origin;
use crate::app::effect::{Effect, TaskId};
use crate::app::event::Level;
use crate::app::list::Step;
use crate::app::model::{Model, Screen};
use crate::app::overlays::Overlay;
use crate::app::overlays::form::Form;
use crate::app::overlays::plan::PlanView;
use crate::domain::address::Address;
use crate::domain::delivery::{Given, HoldId, Settlement, Settles, Ticket, Verb};
use crate::domain::fault::{Fault, Kind as FaultKind};
use crate::domain::figure;
use crate::domain::operation::{Done, PartCounts, Plan};

/// Begins a decision: its form where it has arguments, else its plan.
pub(in crate::app) fn decide(model: &mut Model, verb: &'static Verb) {
    let (tickets, hold) = (model.received.chosen(), model.received.hold.as_ref().map(|start| start.id));
    let (Some(hold), Some(address), false) = (hold, model.received.address.clone(), tickets.is_empty()) else { return };
    if verb.fields.is_empty() {
        plan_settle(model, address, hold, tickets, Settlement { effect: verb.effect, arguments: Vec::new() });
    } else {
        model.overlay = Some(Overlay::Form(Box::new(Form::settle(address, hold, tickets, verb))));
    }
    model.touch();
}

/// Has it found out what a decision would do; its plan is shown then.
fn plan_settle(model: &mut Model, address: Address, hold: HoldId, tickets: Vec<Ticket>, settlement: Settlement) -> TaskId {
    let task = model.task();
    let given = |ticket: &Ticket| {
        let row = model.received.rows.iter().find(|row| row.ticket == Some(*ticket))?;
        Some(Given { key: row.view.message.key.clone(), deliveries: row.deliveries, redelivered: row.redelivered })
    };
    let messages = tickets.iter().map(|ticket| given(ticket).unwrap_or_default()).collect();
    model.effect(Effect::PlanSettle { task, address: address.clone(), effect: settlement.effect, messages });
    model.received.planning = Some(Planning { task, address, hold, tickets, settlement });
    task
}

/// Asks for the plan of what the form decides.
pub(in crate::app) fn review_settlement(model: &mut Model) {
    let Some(Overlay::Form(mut form)) = model.overlay.take() else { return };
    if let Some(settles) = &form.settles {
        match form.settlement(settles.verb.effect) {
            Ok(settlement) => {
                let (address, hold, tickets) = (form.address.clone(), settles.hold, settles.tickets.clone());
                form.error = None;
                form.planning = Some((plan_settle(model, address, hold, tickets, settlement), model.now));
            }
            Err((at, error)) => {
                form.focus = at;
                form.error = Some(error.into());
            }
        }
    }
    model.overlay = Some(Overlay::Form(form));
    model.touch();
}

/// It is known what a decision would do: its plan is to be shown, unless something else is looked at by now.
pub(in crate::app) fn settle_planned(model: &mut Model, task: TaskId, result: Result<Settles, Fault>) -> Option<PlanView> {
    let planning = model.received.planning.take_if(|planning| planning.task == task)?;
    let mut form = match model.overlay.take() {
        Some(Overlay::Form(form)) if form.planning.is_some_and(|(planning, _)| planning == task) => Some(form),
        None if model.screen == Screen::Received => None,
        other => {
            model.overlay = other;
            return None;
        }
    };
    if let Some(form) = &mut form {
        form.planning = None;
    }
    model.touch();
    match (result, form) {
        (Ok(settles), form) => Some(plan(model, planning, settles, form)),
        (Err(fault), Some(mut form)) => {
            form.error = Some(format!("{}: {}", fault.kind.word(), fault.cause).into());
            model.overlay = Some(Overlay::Form(form));
            None
        }
        (Err(fault), None) => {
            model.report(&fault);
            None
        }
    }
}

/// The plan of a decision, in the words of the system that the messages came from.
fn plan(model: &Model, planning: Planning, settles: Settles, form: Option<Box<Form>>) -> PlanView {
    let Planning { address, hold, tickets, settlement, .. } = planning;
    let verbs = model.received.hold.as_ref().map_or(&[][..], |start| start.verbs);
    let verb = verbs.iter().find(|verb| verb.effect == settlement.effect);
    let word = verb.map_or(settlement.effect.word(), |verb| verb.word);
    let heading = format!("{word} {} of {address}", figure::several(tickets.len() as u64, "message"));
    PlanView::new(Plan::Settle { address, hold, tickets, settlement, settles }, heading, Origin::New, form)
}

/// Carries out what was confirmed.
pub(in crate::app) fn settle(model: &mut Model, plan: Plan) {
    let Plan::Settle { tickets, settlement, .. } = &plan else { return };
    let (tickets, effect) = (tickets.clone(), settlement.effect);
    for ticket in &tickets {
        if let Some(row) = model.received.of_ticket(*ticket) {
            row.state = State::Settling(effect);
        }
    }
    model.received.list.clear_marks();
    let task = model.task();
    model.received.settling.push((task, tickets, effect));
    model.effect(Effect::Settle { task, plan });
    model.touch();
}

/// What became of them.
pub(in crate::app) fn settled(model: &mut Model, task: TaskId, result: Result<Done, Fault>) {
    let now = model.now;
    let received = &mut model.received;
    let Some(at) = received.settling.iter().position(|(settling, ..)| *settling == task) else { return settled_elsewhere(model, &result) };
    let (_, tickets, effect) = received.settling.remove(at);
    let (mut done, mut faults) = (0, Vec::new());
    let parts = match result {
        Ok(done) => done.parts.into_iter().map(|(_, result)| result.map(drop)).collect(),
        Err(fault) => vec![Err(fault); tickets.len()],
    };
    for (ticket, result) in tickets.iter().zip(parts) {
        let Some(row) = received.of_ticket(*ticket) else { continue };
        row.state = match &result {
            Ok(()) if effect.keeps() => State::Held,
            Ok(()) => State::Settled(effect),
            Err(fault) if fault.kind == FaultKind::Lost => State::Lost,
            Err(_) => State::Held,
        };
        match result {
            Ok(()) => {
                done += 1;
                row.since = now;
            }
            Err(fault) => faults.push(fault),
        }
    }
    if done > 0 {
        let many = if done == 1 { "" } else { "s" };
        model.say(Level::Info, &format!("{done} message{many} {}.", effect.done()));
    }
    if let Some(fault) = faults.first() {
        model.report(fault);
    }
    go_on(model, &tickets);
    retitle(model);
    model.touch();
}

/// A decision has ended whose messages are shown no more: their profile was closed.
fn settled_elsewhere(model: &mut Model, result: &Result<Done, Fault>) {
    let parts = result.iter().flat_map(|done| &done.parts).map(|(_, part)| part);
    if let settled @ 1.. = PartCounts::of(parts.clone()).done {
        model.say(Level::Info, &format!("{} settled in a profile that is closed.", figure::several(settled as u64, "message")));
    }
    if let Some(fault) = result.as_ref().err().or_else(|| parts.clone().find_map(|part| part.as_ref().err())) {
        model.report(fault);
    }
}

/// From a message that was just decided on to the next that is not: below it, else above it.
fn go_on(model: &mut Model, decided: &[Ticket]) {
    let rows = &model.received.rows;
    let is_decided = |row: &Row| matches!(row.state, State::Settled(_)) && row.ticket.is_some_and(|ticket| decided.contains(&ticket));
    let Some(at) = model.received.list.row().filter(|at| rows.get(*at).is_some_and(is_decided)) else { return };
    let mut others = (at + 1..rows.len()).chain((0..at).rev());
    if let Some(next) = others.find(|row| rows[*row].state == State::Held) {
        READER.select(model, Step::To(next), 1);
    }
}
