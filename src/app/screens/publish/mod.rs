//! The publish form: key, headers, value and the system's own fields; then the plan, which alone is sent.

pub mod state;

pub use state::{Body, Form, Part};

use crate::app::action::Scope;
use crate::app::changes::Origin;
use crate::app::editor::Editor;
use crate::app::effect::{EditPurpose, Effect, TaskId};
use crate::app::event::Level;
use crate::app::model::{Model, Screen};
use crate::app::overlays::plan::PlanView;
use crate::app::screen_state::ScreenState;
use crate::domain::fault::Fault;
use crate::domain::figure;
use crate::domain::message::Outgoing;
use crate::domain::operation::Plan;
use crate::domain::receipt::Receipt;
use crate::domain::template::Template;
use bytes::Bytes;
use state::extension;
use std::time::Duration;

pub(in crate::app) const STATE: ScreenState =
    ScreenState { title: "Publish", scope: Scope::Publish, scopes: &[Scope::Always], ..ScreenState::PLAIN };

/// How long replies to a call are waited for, where nobody says.
const CALL_WAIT: Duration = Duration::from_secs(5);

/// Opens the form.
pub(crate) fn open(model: &mut Model, form: Form) {
    model.form = Some(form);
    model.go(Screen::Publish);
}

/// Fills the value in by a template, and what it says in headers.
pub(crate) fn fill(model: &mut Model, template: &Template) {
    let (now, seed) = (model.now, &mut model.seed);
    let (said, text) = template.filled(now, || Model::random(seed));
    let Some(form) = model.form.as_mut().filter(|form| form.sending.is_none() && form.takes_template()) else { return };
    let typed = form.headers.text();
    let is_said = |line: &&str| said.iter().any(|(name, _)| line.split(':').next().is_some_and(|typed| typed.trim() == *name));
    let kept = typed.lines().filter(|line| !is_said(line)).map(str::to_owned);
    let lines: Vec<String> = kept.chain(said.iter().map(|(name, value)| format!("{name}: {value}"))).collect();
    form.headers = Editor::lines_of(&lines.join("\n"));
    form.value = Body::Text(Box::new(Editor::lines_of(&text)));
    form.filled = Some(text);
    form.focus = Part::Value;
    form.error = None;
    form.touched = true;
    model.touch();
}

/// Checks the form: its plan is to be confirmed then.
pub(crate) fn review(model: &mut Model) -> Option<PlanView> {
    let now = model.zoned().ok();
    let form = model.form.as_mut().filter(|form| form.sending.is_none())?;
    let message = match form.outgoing(now.as_ref()) {
        Ok(message) => message,
        Err((part, error)) => {
            form.focus = part;
            form.error = Some((part, error));
            model.touch();
            return None;
        }
    };
    form.error = None;
    let (address, note) = (form.address.clone(), form.broken_json());
    if form.calls {
        let wait = message.option("wait").and_then(|wait| wait.parse().ok()).map_or(CALL_WAIT, Duration::from_secs);
        let heading = format!("a request → {address}");
        let plan = Plan::Call { address, request: Box::new(Outgoing { options: Vec::new(), ..message }), wait };
        return Some(PlanView::new(plan, heading, Origin::New, None));
    }
    let system = model.integration(&address.integration).map_or("", |integration| integration.system);
    let heading = format!("{} → {address} ({system})", figure::several(1, "message"));
    let note = note.map(|error| format!("the value was JSON, and is not any more: {error}"));
    Some(PlanView { note, ..PlanView::new(Plan::Publish { address, messages: vec![message] }, heading, Origin::New, None) })
}

/// Sends what was confirmed.
pub(crate) fn send(model: &mut Model, plan: Plan) {
    let task = model.task();
    if let Some(form) = &mut model.form {
        form.sending = Some(task);
    }
    model.changes.sending.push((task, plan.address().to_string().into(), None));
    model.effect(Effect::Publish { task, plan });
    model.touch();
}

/// Opens the value in `$EDITOR`.
pub(crate) fn edit(model: &mut Model) {
    let Some(form) = &model.form else { return };
    let bytes = form.value.bytes().unwrap_or_default();
    model.effect(Effect::Edit { purpose: EditPurpose::Value, extension: extension(&bytes), bytes });
}

/// The editor was closed.
pub(crate) fn edited(model: &mut Model, bytes: &Bytes) {
    if let Some(form) = model.form.as_mut().filter(|form| form.sending.is_none()) {
        // Editors end files with a line break that nobody typed.
        let before = form.value.bytes().unwrap_or_default();
        let added = !before.ends_with(b"\n") && bytes.ends_with(b"\n") && !bytes[..bytes.len() - 1].ends_with(b"\n");
        let bytes = if added { bytes.slice(..bytes.len() - 1) } else { bytes.clone() };
        if form.value.bytes().as_ref() != Some(&bytes) && !(bytes.is_empty() && matches!(form.value, Body::Missing)) {
            form.value = Body::of(&bytes);
        }
        model.touch();
    }
}

/// A message was sent, or not.
pub(crate) fn published(model: &mut Model, task: TaskId, result: Result<Receipt, Fault>) {
    let ours = model.form.as_ref().is_some_and(|form| form.sending == Some(task));
    let to = model.changes.sent(task);
    match result {
        Ok(receipt) => {
            model.say(Level::Info, &format!("Published{to}: {receipt}"));
            if ours {
                model.form = None;
                model.go_back();
            }
        }
        Err(fault) => {
            if let Some(form) = model.form.as_mut().filter(|_| ours) {
                form.sending = None;
            }
            model.report(&fault);
        }
    }
}
