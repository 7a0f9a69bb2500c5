//! Changing things safely: form → plan → its rung of the ladder → outcome → taking it back. And arming.

use super::effect::{Effect, TaskId};
use super::event::Level;
use super::jobs::Job;
use super::model::Model;
use super::overlays::Overlay;
use super::overlays::form::Form;
use super::overlays::input::{Ask, Prompt};
use super::overlays::plan::{self, PlanView};
use super::screens::{publish, received};
use super::update::{fault_said, say};
use crate::domain::address::Address;
use crate::domain::fault::Fault;
use crate::domain::operation::{Change, Done, OperationSpec, PartCounts, Plan, Request, Risk};
use crate::domain::safety::Gate;
use crate::domain::text::SafeText;
use crate::domain::time::Timestamp;
use std::sync::Arc;
use std::time::Duration;

/// Changes that can be taken back, at most.
const KEPT: usize = 20;
/// Above this the time left to be armed is shown in steps of ten seconds, below in seconds: then it decides whether a plan can still be
/// confirmed. So an armed console draws some sixty frames in five minutes, of one word each.
const CLOSE: Duration = Duration::from_secs(30);

/// Where a request comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    #[default]
    New,
    /// Takes the last change back.
    Undo,
    /// Does again what was taken back.
    Redo,
}

/// The changes of the open profile.
#[derive(Default)]
pub struct Changes {
    /// Until when the profile is armed.
    pub armed_until: Option<Timestamp>,
    /// What is being carried out.
    running: Vec<(TaskId, Arc<Change>, Origin)>,
    /// What is still being carried out on profiles that were closed meanwhile, by their names.
    closed: Vec<(TaskId, Arc<Change>, SafeText)>,
    /// The last one that ended.
    pub last: Option<Outcome>,
    /// What takes changes back, the last one last.
    undo: Vec<Request>,
    redo: Vec<Request>,
}

/// What became of a change.
pub struct Outcome {
    pub change: Arc<Change>,
    pub result: Result<Done, Fault>,
}

impl Outcome {
    pub fn counts(&self) -> PartCounts {
        PartCounts::of(self.result.iter().flat_map(|done| &done.parts).map(|(_, part)| part))
    }

    /// Whether there is something to take back, and a way to.
    pub fn has_undo(&self) -> bool {
        self.change.undo.is_some() && self.result.is_ok() && (self.counts().done > 0 || self.counts() == PartCounts::default())
    }
}

impl Changes {
    pub fn can_undo(&self) -> bool {
        !self.undo.is_empty()
    }

    pub fn can_redo(&self) -> bool {
        !self.redo.is_empty()
    }

    /// Whether this task is a change being carried out: it is never cut off.
    pub fn is_running(&self, task: TaskId) -> bool {
        self.running.iter().any(|(running, ..)| *running == task) || self.closed.iter().any(|(running, ..)| *running == task)
    }

    /// The changes of the next profile. What is being carried out goes on, and is told of when it ends; nothing of it is undone there.
    pub(super) fn of_another_profile(&mut self, closing: &SafeText) -> Self {
        let before = std::mem::take(self);
        let running = before.running.into_iter().map(|(task, change, _)| (task, change, closing.clone()));
        Self { closed: before.closed.into_iter().chain(running).collect(), ..Self::default() }
    }
}

/// Whether an operation of that risk may be carried out now.
pub fn gate(model: &Model, risk: Risk) -> Gate {
    let armed = model.changes.armed_until.is_some();
    model.profile.as_ref().map_or(Gate::ReadOnly, |profile| profile.opened.safety.gate(risk, armed))
}

/// The time left to be armed, as it is shown: never more than there is.
pub fn armed_for(model: &Model) -> Option<Duration> {
    let left = model.changes.armed_until?.since(model.now).as_secs();
    Some(Duration::from_secs(if left > CLOSE.as_secs() { left / 10 * 10 } else { left }))
}

/// When [`armed_for`] next reads differently.
pub(super) fn armed_deadline(model: &Model) -> Option<Timestamp> {
    let (until, shown) = (model.changes.armed_until?, armed_for(model)?);
    // The last moment at which at least `shown` is left, and the one after it.
    Some(Timestamp((until.0 - i64::try_from(shown.as_millis()).unwrap_or(0) + 1).max(model.now.0 + 1)))
}

/// Time has passed: what was armed may not be any more.
pub(super) fn tick(model: &mut Model) {
    if model.changes.armed_until.is_some_and(|until| until <= model.now) {
        model.changes.armed_until = None;
        say(model, Level::Warning, "Disarmed: time is up.");
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
                Some(_) => say(model, Level::Warning, "Armed: changes are carried out once confirmed. ! disarms."),
                None if before.is_some() => say(model, Level::Info, "Disarmed."),
                None => {}
            }
        }
        Err(fault) => match &mut model.overlay {
            Some(Overlay::Prompt(prompt)) if prompt.ask == Ask::Arm => prompt.error = Some(fault.cause.to_string()),
            _ => fault_said(model, &fault),
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
    let stack = if origin == Origin::Undo { &model.changes.undo } else { &model.changes.redo };
    if let Some(request) = stack.last().cloned() {
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
            propose(model, PlanView::new(Plan::Change(change), origin, form));
        }
    }
    model.touch();
}

/// Shows a plan to be confirmed; carries it out where the profile does not ask for such.
pub(super) fn propose(model: &mut Model, view: PlanView) {
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
    let (refused, gate) = (view.is_refused() || is_exporting(model, view), plan::gate(model, view));
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

/// Whether what is to be destroyed is still being saved.
pub fn is_exporting(model: &Model, view: &PlanView) -> bool {
    view.export.is_some_and(|task| model.jobs.iter().any(|job| job.task == task))
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
    model.jobs.retain(|job| job.task != task);
    let outcome = Outcome { change, result };
    remember(&mut model.changes, &outcome, origin);
    let title = format!("{} {}", outcome.change.request.spec.title, outcome.change.request.address);
    let undo = if outcome.has_undo() { "   z undoes this" } else { "" };
    let PartCounts { done: well, failed } = outcome.counts();
    match &outcome.result {
        Err(fault) => fault_said(model, &fault.clone()),
        Ok(_) if failed > 0 => {
            say(model, Level::Error, &format!("{title}: {failed} of {} parts failed (X shows them){undo}", failed + well));
        }
        Ok(done) => {
            let said = match done.parts.as_slice() {
                [(_, Ok(said))] => said.to_string(),
                parts => format!("{} parts done", parts.len()),
            };
            say(model, Level::Info, &format!("{title}: {said}{undo}"));
        }
    }
    // What failed is shown at once, unless somebody is about something else by now.
    let shown = (failed > 0 || outcome.result.is_err() || failed + well > 1) && model.overlay.is_none() && !model.is_typing();
    model.changes.last = Some(outcome);
    if shown {
        model.overlay = Some(Overlay::Outcome(0));
    }
    // What is listed may be there no more.
    model.watch();
    model.touch();
}

/// A change of a profile that is closed has ended.
fn ended_elsewhere(model: &mut Model, task: TaskId, change: &Change, profile: &SafeText, result: &Result<Done, Fault>) {
    model.jobs.retain(|job| job.task != task);
    let title = format!("{} {} in {profile}", change.request.spec.title, change.request.address);
    let parts = result.iter().flat_map(|done| &done.parts);
    match (result, parts.clone().find_map(|(_, part)| part.as_ref().err())) {
        (Err(fault), _) | (Ok(_), Some(fault)) => say(model, Level::Error, &format!("{title}: {fault}")),
        (Ok(_), None) => say(model, Level::Info, &format!("{title}: {} parts done", parts.count())),
    }
}

/// Keeps what takes a change back: of a new one and of one done again for `z`, of one taken back for `Z`.
fn remember(changes: &mut Changes, outcome: &Outcome, origin: Origin) {
    // What failed may be tried again.
    if outcome.result.is_err() || origin != Origin::New && outcome.counts().failed > 0 {
        return;
    }
    let done = |request: &Request| *request == outcome.change.request;
    match origin {
        Origin::New => changes.redo.clear(),
        Origin::Undo => _ = changes.undo.iter().rposition(done).map(|at| changes.undo.remove(at)),
        Origin::Redo => _ = changes.redo.iter().rposition(done).map(|at| changes.redo.remove(at)),
    }
    let stack = if origin == Origin::Undo { &mut changes.redo } else { &mut changes.undo };
    if let Some(undo) = outcome.change.undo.clone().filter(|_| outcome.has_undo()) {
        stack.push(undo);
        let over = stack.len().saturating_sub(KEPT);
        stack.drain(..over);
    }
}
