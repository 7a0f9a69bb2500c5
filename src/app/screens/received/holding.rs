//! Messages that come to hand: beginning to hold, look or call, what arrives, and giving back what was not decided on.

use super::state::{Kind, Phase, Received, Row, State};
use crate::app::effect::{Effect, TaskId};
use crate::app::event::{Arrived, HoldStart, Level};
use crate::app::jobs::Job;
use crate::app::model::{Model, Screen};
use crate::app::overlays::confirm::Confirm;
use crate::app::overlays::input::Ask;
use crate::app::overlays::{Overlay, Prompt};
use crate::app::reader::Reader;
use crate::app::rows::Rows;
use crate::domain::address::Address;
use crate::domain::delivery::Settles;
use crate::domain::fault::{Fault, Kind as FaultKind};
use crate::domain::message::Outgoing;
use crate::domain::operation::{Plan, Risk};
use crate::domain::text::SafeText;
use crate::domain::view::DeliveryView;
use std::sync::Arc;

pub(super) const READER: Reader = Reader {
    rows: Rows {
        list: |model| &mut model.received.list,
        len: |model| model.received.rows.len(),
        key_at: |model, row| model.received.key_at(row),
        selects: true,
    },
    message: |model| model.received.selected().map(|row| &row.view),
    pane: |model| (&mut model.received.detail, &mut model.received.focus),
};

/// Takes messages of a queue and holds them, once what giving them back may do was agreed to. What was begun with may be the channel that
/// the queue belongs to.
pub(in crate::app) fn hold(model: &mut Model, address: Address, of: Address, most: u32, agreed: bool) {
    let task = begin(model, Kind::Held, address.clone(), most);
    model.received.of = Some(of);
    model.jobs.push(Job::new(task, format!("hold messages of {address}").into(), model.now));
    model.effect(Effect::Hold { task, address, most, agreed });
}

/// Looks at the first messages of a queue, once what that does to them was agreed to.
pub(in crate::app) fn look(model: &mut Model, address: Address, most: u32, agreed: bool) {
    let task = model.task();
    model.received.task = Some(task);
    if agreed {
        let task = begin(model, Kind::Looked, address.clone(), most);
        model.effect(Effect::Peek { task, address, most, agreed });
    } else {
        model.received = Received { task: Some(task), kind: Kind::Looked, wanted: most, ..Received::default() };
        model.effect(Effect::Peek { task, address, most, agreed });
    }
}

/// Sends a request that was confirmed.
pub(in crate::app) fn call(model: &mut Model, plan: Plan) {
    model.form = None;
    let task = begin(model, Kind::Replies, plan.address().clone(), 0);
    if let Plan::Call { request, wait, .. } = &plan {
        model.received.call = Some((Outgoing::clone(request), *wait));
    }
    model.back.retain(|screen| *screen != Screen::Publish);
    model.effect(Effect::Call { task, plan });
}

fn begin(model: &mut Model, kind: Kind, address: Address, wanted: u32) -> TaskId {
    let task = model.task();
    model.received = Received { kind, address: Some(address), task: Some(task), started: model.now, wanted, ..Received::default() };
    model.go(Screen::Received);
    model.touch();
    task
}

/// The receiving has begun, or could not.
pub(in crate::app) fn started(model: &mut Model, task: TaskId, result: Result<HoldStart, Fault>) {
    if model.received.task != Some(task) {
        return;
    }
    match result {
        Ok(start) => {
            model.received.hold = Some(start);
            model.received.phase = Phase::Running;
        }
        Err(fault) => {
            model.job_ended(task);
            model.received.task = None;
            model.received.phase = Phase::Failed(fault);
        }
    }
    model.touch();
}

/// Giving back what is not decided on may end it: that is asked before anything is taken, and where it surely deletes messages the
/// queue's address is typed.
pub(in crate::app) fn spends(model: &mut Model, task: TaskId, Settles { risk, summary: why }: Settles) {
    let (Some(address), Some(of)) = (model.received.address.clone(), model.received.of.clone()) else { return };
    if model.received.task.take_if(|asked| *asked == task).is_none() {
        return;
    }
    model.job_ended(task);
    let fault = Fault::new(FaultKind::Rejected, "receive from", address.to_string(), why.clone());
    model.received.phase = Phase::Failed(fault.next("nothing was taken: this has to be agreed to"));
    model.overlay = Some(if risk == Risk::Destroy {
        let warning = Some(format!("{address}: what is not decided on is given back, and may be deleted by that: {why}").into());
        Overlay::Prompt(Prompt { warning, ..Prompt::new(Ask::Spend, "") })
    } else {
        Overlay::Confirm(Confirm::Receive { address, of, most: model.received.wanted, why })
    });
    model.touch();
}

/// The address was typed of the queue whose messages may be deleted by being received.
pub(in crate::app) fn spends_typed(model: &mut Model, text: &str) -> Result<(), String> {
    let (Some(address), Some(of)) = (model.received.address.clone(), model.received.of.clone()) else { return Ok(()) };
    if text != address.to_string() {
        return Err(format!("this is not {address}"));
    }
    model.overlay = None;
    hold(model, address, of, model.received.wanted, true);
    Ok(())
}

/// Looking would leave marks: that is asked first.
pub(in crate::app) fn cost(model: &mut Model, task: TaskId, address: Address, marks: SafeText) {
    if model.received.task.take_if(|asked| *asked == task).is_some() {
        let most = model.received.wanted;
        model.overlay = Some(Overlay::Confirm(Confirm::Peek { address, most, marks }));
        model.touch();
    }
}

/// Messages came, or what happened to the connection.
pub(in crate::app) fn arrived(model: &mut Model, task: TaskId, arrived: Arrived) {
    let now = model.now;
    let received = &mut model.received;
    if received.task != Some(task) {
        return;
    }
    if received.address.is_none() {
        // Looking costs nothing here: nothing had to be asked.
        received.address.clone_from(&arrived.address);
        received.started = now;
        model.go(Screen::Received);
    }
    let received = &mut model.received;
    if received.phase != Phase::Ended {
        received.phase = Phase::Running;
    }
    if arrived.resumed {
        received.interrupted = None;
    }
    let row = |delivery: DeliveryView| Row {
        view: Arc::new(delivery.view),
        ticket: delivery.ticket,
        deliveries: delivery.deliveries,
        redelivered: delivery.redelivered,
        state: if delivery.ticket.is_some() { State::Held } else { State::Open },
        since: now,
    };
    received.rows.extend(arrived.deliveries.into_iter().map(row));
    for ticket in &arrived.lost {
        if let Some(row) = received.of_ticket(*ticket) {
            row.state = State::Lost;
        }
    }
    let why = arrived.interrupted.as_ref().map_or_else(SafeText::default, |fault| match fault.next.as_str() {
        "" => format!(": {}", fault.cause).into(),
        next => format!(": {}; {next}", fault.cause).into(),
    });
    if let Some(fault) = arrived.interrupted {
        received.interrupted = Some(fault);
    }
    if let Some(end) = arrived.end {
        received.phase = match end {
            Ok(()) => Phase::Ended,
            Err(fault) => Phase::Failed(fault),
        };
        if received.kind != Kind::Held {
            received.task = None;
        }
    }
    let lost = arrived.lost.len();
    if lost > 0 {
        model.say(Level::Warning, &format!("{lost} of those held were lost with the connection{why}"));
    }
    retitle(model);
    model.touch();
}

/// Asks before what is held goes back; at once where nothing is.
pub(in crate::app) fn ask_release(model: &mut Model) {
    let received = &model.received;
    match (&received.address, &received.hold, received.unsettled(model.now)) {
        (Some(address), Some(HoldStart { left_over, .. }), unsettled @ 1..) => {
            model.overlay = Some(Overlay::Confirm(Confirm::Release { address: address.clone(), unsettled, left_over }));
        }
        _ => release(model),
    }
    model.touch();
}

/// Gives back what was not decided on.
pub(in crate::app) fn release(model: &mut Model) {
    if model.received.releasing.is_some() {
        return;
    }
    match model.received.hold.as_ref().map(|start| start.id) {
        Some(hold) => {
            let task = model.task();
            model.received.releasing = Some(task);
            model.effect(Effect::Release { task, hold });
        }
        // It had not begun yet.
        None => end(model),
    }
}

/// It went back, and how.
pub(in crate::app) fn released(model: &mut Model, task: TaskId, result: Result<SafeText, Fault>) {
    let ours = model.received.releasing.take_if(|releasing| *releasing == task).is_some();
    // Also of a profile that is closed: it is what became of messages.
    match result {
        Ok(said) => model.say(Level::Info, said.as_str()),
        Err(fault) => model.report(&fault),
    }
    if ours {
        end(model);
    }
}

/// The screen is empty again, and left.
fn end(model: &mut Model) {
    if let Some(task) = model.received.task.take() {
        model.stop(task);
    }
    model.received = Received::default();
    model.back.retain(|screen| *screen != Screen::Received);
    if model.screen == Screen::Received {
        model.go_back();
    }
    model.touch();
}

/// Time has passed: what is overdue is held no more.
pub(in crate::app) fn tick(model: &mut Model) {
    if model.received.is_holding() {
        retitle(model);
    }
}

/// The job says how many are held.
pub(super) fn retitle(model: &mut Model) {
    let received = &model.received;
    let Some(address) = received.address.as_ref().filter(|_| received.is_holding()) else { return };
    let title: SafeText = match received.unsettled(model.now) {
        0 => format!("nothing of {address} is unsettled"),
        1 => format!("1 message of {address} is held"),
        n => format!("{n} messages of {address} are held"),
    }
    .into();
    if let Some(job) = model.jobs.iter_mut().find(|job| Some(job.task) == received.task) {
        job.title = title;
    }
}
