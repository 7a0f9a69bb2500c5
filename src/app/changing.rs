//! Changing things safely: form → plan → its rung of the ladder → outcome → taking it back. And arming.

use super::changes::{Origin, Outcome};
use super::effect::{Effect, TaskId};
use super::event::Level;
use super::jobs::Job;
use super::model::Model;
use super::overlays::form::Form;
use super::overlays::input::Ask;
use super::overlays::plan::PlanView;
use super::overlays::{Overlay, Prompt};
use super::screens::{publish, received};
use crate::domain::address::Address;
use crate::domain::fault::Fault;
use crate::domain::operation::{Change, Done, OperationSpec, PartCounts, Plan};
use crate::domain::safety::Gate;
use crate::domain::text::SafeText;
use crate::domain::time::Timestamp;
use std::sync::Arc;

/// Time has passed: what was armed may not be any more.
pub(super) fn tick(model: &mut Model) {
    if model.changes.armed_until.is_some_and(|until| until <= model.now) {
        model.changes.armed_until = None;
        model.say(Level::Warning, "Disarmed: time is up.");
    }
}

/// `!`: asks for the profile's name, or disarms at once.
pub(super) fn arm(model: &mut Model) {
    if model.changes.armed_until.is_some() {
        model.effect(Effect::Disarm);
    } else {
        let behind = model.overlay.take().map(Box::new);
        model.overlay = Some(Overlay::Prompt(Prompt { behind, ..Prompt::new(Ask::Arm, "") }));
    }
}

/// The gateway's answer to arming and disarming.
pub(super) fn armed(model: &mut Model, result: Result<Option<Timestamp>, Fault>) {
    match result {
        Ok(until) => {
            let before = std::mem::replace(&mut model.changes.armed_until, until);
            if let Some(Overlay::Prompt(Prompt { ask: Ask::Arm, behind, .. })) = &mut model.overlay {
                model.overlay = behind.take().map(|overlay| *overlay);
            }
            match until {
                Some(_) => model.say(Level::Warning, "Armed: changes are carried out once confirmed. ! disarms."),
                None if before.is_some() => model.say(Level::Info, "Disarmed."),
                None => {}
            }
        }
        Err(fault) => match &mut model.overlay {
            Some(Overlay::Prompt(prompt)) if prompt.ask == Ask::Arm => prompt.error = Some(fault.cause.to_string()),
            _ => model.report(&fault),
        },
    }
    model.touch();
}

/// Opens the form of an operation; one that asks nothing is planned at once.
pub(super) fn open(model: &mut Model, spec: &'static OperationSpec, address: Address) {
    show_form(model, Form::new(spec, address));
}

/// Plans what takes the last change back, or does it again.
pub(super) fn take_back(model: &mut Model, origin: Origin) {
    if let Some(request) = model.changes.latest(origin).map(|undoing| undoing.request.clone()) {
        show_form(model, Form::of(request, origin));
    }
}

fn show_form(model: &mut Model, form: Form) {
    let at_once = form.is_empty();
    model.overlay = Some(Overlay::Form(Box::new(form)));
    if at_once {
        review(model);
    }
    model.touch();
}

/// Asks for the plan of what the form says.
pub(super) fn review(model: &mut Model) {
    let now = model.now;
    let task = TaskId(model.next_task);
    let Some(Overlay::Form(form)) = &mut model.overlay else { return };
    if form.planning.is_some() {
        return;
    }
    if form.settles.is_some() {
        return received::review_settlement(model);
    }
    match form.request() {
        Ok(request) => {
            form.error = None;
            form.planning = Some((task, now));
            model.task();
            model.effect(Effect::Plan { task, request });
        }
        Err((at, error)) => {
            form.focus = at;
            form.error = Some(error.into());
        }
    }
    model.touch();
}

/// Esc in the form.
pub(super) fn leave_form(model: &mut Model) {
    if let Some(Overlay::Form(form)) = model.overlay.take()
        && let Some((task, _)) = form.planning
    {
        model.effect(Effect::StopTask(task));
    }
}

/// The plan is known, or why there is none.
pub(super) fn planned(model: &mut Model, task: TaskId, result: Result<Arc<Change>, Fault>) {
    let Some(Overlay::Form(form)) = &mut model.overlay else { return };
    if form.planning.is_none_or(|(planning, _)| planning != task) {
        return;
    }
    form.planning = None;
    match result {
        Err(fault) => {
            let next = if fault.next.as_str().is_empty() { String::new() } else { format!(" → {}", fault.next) };
            form.error = Some(format!("{}: {}{next}", fault.kind.word(), fault.cause).into());
        }
        Ok(change) => {
            let origin = form.origin;
            let form = match model.overlay.take() {
                Some(Overlay::Form(form)) if !form.is_empty() => Some(form),
                _ => None,
            };
            let heading = heading(model, &change, origin);
            propose(model, Some(PlanView::new(Plan::Change(change), heading, origin, form)));
        }
    }
    model.touch();
}

/// What a plan does, and which change it undoes or does again.
fn heading(model: &Model, change: &Change, origin: Origin) -> String {
    let summary = &change.summary;
    match (origin, model.changes.latest(origin)) {
        (Origin::Undo, Some(undoing)) => format!("undoes \"{}\" of {}: {summary}", undoing.title, undoing.at.minute(&model.zone)),
        (Origin::Redo, _) => format!("does \"{}\" again: {summary}", change.request.spec.title),
        _ => summary.to_string(),
    }
}

/// Shows a plan to be confirmed, if there is one; carries it out where the profile does not ask for such.
pub(super) fn propose(model: &mut Model, view: Option<PlanView>) {
    let Some(view) = view else { return };
    let risk = view.plan.risk();
    let asks = model.profile.as_ref().is_none_or(|profile| profile.opened.safety.asks(risk));
    let at_once = !asks && !view.is_refused() && view.origin == Origin::New;
    model.overlay = Some(Overlay::Plan(Box::new(view)));
    if at_once {
        confirm(model);
    }
    model.touch();
}

/// Carries the plan out, if it may be and what was typed is what is asked for.
pub(super) fn confirm(model: &mut Model) {
    let Some(Overlay::Plan(view)) = &model.overlay else { return };
    let (refused, gate) = (view.is_refused() || view.is_exporting(&model.jobs), model.gate(view.plan.risk()));
    let checked = view.rung.check(&view.editor.text());
    let Some(Overlay::Plan(view)) = &mut model.overlay else { return };
    if refused || gate != Gate::Open {
        return;
    }
    if let Err(error) = checked {
        view.error = Some(error);
        return;
    }
    let (plan, origin) = (view.plan.clone(), view.origin);
    model.overlay = None;
    match plan {
        Plan::Publish { .. } => publish::send(model, plan),
        Plan::Change(change) => execute(model, change, origin),
        Plan::Settle { .. } => received::settle(model, plan),
        Plan::Call { .. } => received::call(model, plan),
    }
}

/// Asks for the file that a channel is saved to before it is destroyed.
pub(super) fn ask_export(model: &mut Model) {
    let Some(Overlay::Plan(view)) = &model.overlay else { return };
    let name = format!("{}.jsonl", view.plan.address().channel.replace(['/', '\\', '*'], "_"));
    let behind = model.overlay.take().map(Box::new);
    model.overlay = Some(Overlay::Prompt(Prompt { behind, ..Prompt::new(Ask::ExportFirst, &name) }));
}

/// Saves the channel of the plan, all of it.
pub(super) fn export(model: &mut Model, path: &str) {
    let task = model.task();
    if let Some(Overlay::Prompt(Prompt { behind, .. })) = &mut model.overlay {
        model.overlay = behind.take().map(|overlay| *overlay);
    }
    let Some(Overlay::Plan(view)) = &mut model.overlay else { return };
    view.export = Some(task);
    let address = view.plan.address().clone();
    model.jobs.push(Job::new(task, format!("export {address} to {path}").into(), model.now));
    model.effect(Effect::ExportChannel { task, path: path.to_owned(), address });
}

fn execute(model: &mut Model, change: Arc<Change>, origin: Origin) {
    let task = model.task();
    let title = format!("{} {}", change.request.spec.title, change.request.address);
    model.jobs.push(Job::new(task, title.into(), model.now));
    model.effect(Effect::Execute { task, change: change.clone() });
    model.changes.running.push((task, change, origin));
}

/// Esc in the plan: back to the form it came from.
pub(super) fn leave_plan(model: &mut Model) {
    if let Some(Overlay::Plan(view)) = model.overlay.take() {
        model.overlay = view.form.map(Overlay::Form);
    }
}

/// A change has ended, well or not.
pub(super) fn executed(model: &mut Model, task: TaskId, result: Result<Done, Fault>) {
    if let Some(at) = model.changes.closed.iter().position(|(running, ..)| *running == task) {
        let (_, change, profile) = model.changes.closed.remove(at);
        return ended_elsewhere(model, task, &change, &profile, &result);
    }
    let Some(at) = model.changes.running.iter().position(|(running, ..)| *running == task) else { return };
    let (_, change, origin) = model.changes.running.remove(at);
    model.job_ended(task);
    let outcome = Outcome { change, result };
    model.changes.remember(&outcome, origin, model.now);
    let title = format!("{} {}", outcome.change.request.spec.title, outcome.change.request.address);
    let undo = if outcome.has_undo() { "   z undoes this" } else { "" };
    let PartCounts { done: well, failed } = outcome.counts();
    match &outcome.result {
        Err(fault) => model.report(fault),
        Ok(_) if failed > 0 => {
            model.say(Level::Error, &format!("{title}: {failed} of {} parts failed (X shows them){undo}", failed + well));
        }
        Ok(done) => {
            let said = match done.parts.as_slice() {
                [(_, Ok(said))] => said.to_string(),
                parts => format!("{} parts done", parts.len()),
            };
            model.say(Level::Info, &format!("{title}: {said}{undo}"));
        }
    }
    // What failed is shown at once, unless somebody is about something else by now.
    let shown = (failed > 0 || outcome.result.is_err() || failed + well > 1) && model.overlay.is_none() && !model.is_typing();
    model.changes.last = Some(outcome);
    if shown {
        model.overlay = Some(Overlay::Outcome(0));
    }
    // What is listed may be there no more.
    model.refresh = true;
    model.touch();
}

/// A change of a profile that is closed has ended.
fn ended_elsewhere(model: &mut Model, task: TaskId, change: &Change, profile: &SafeText, result: &Result<Done, Fault>) {
    model.job_ended(task);
    let title = format!("{} {} in {profile}", change.request.spec.title, change.request.address);
    let parts = result.iter().flat_map(|done| &done.parts);
    match (result, parts.clone().find_map(|(_, part)| part.as_ref().err())) {
        (Err(fault), _) | (Ok(_), Some(fault)) => model.say(Level::Error, &format!("{title}: {fault}")),
        (Ok(_), None) => model.say(Level::Info, &format!("{title}: {} parts done", parts.count())),
    }
}
