//! Performs what concerns messages at hand: holding, looking, calling.

use super::lanes::Lanes;
use crate::app::event::{Arrived, HoldStart, Level};
use crate::app::{Event, TaskId};
use crate::domain::address::Address;
use crate::domain::channel::Cost;
use crate::domain::delivery::{Delivery, Effect, Given, Settles};
use crate::domain::fault::{Fault, Kind};
use crate::domain::operation::{Plan, RECEIVE};
use crate::domain::view::DeliveryView;
use crate::gateway::Gateway;
use crate::gateway::hold::HoldEvent;
use crate::gateway::ingest::Ingest;
use futures::StreamExt;
use std::sync::Arc;

/// Takes messages of a queue and holds them until this task is ended, or says what giving them back may do to them.
pub(super) async fn hold(gateway: Arc<Gateway>, lanes: Lanes, task: TaskId, address: Address, most: u32, agreed: bool) {
    let begun = async {
        if !agreed && let Some(Settles { risk, summary }) = gateway.spends(&address).await? {
            gateway.permits(&RECEIVE, risk, &address).map_err(|fault| {
                let cause = format!("{}; what is not decided on is given back, and may be deleted by that: {summary}", fault.cause);
                Fault { cause: cause.into(), ..fault }
            })?;
            return Ok(Err(Settles { risk, summary }));
        }
        Ok(Ok((gateway.ingest(&address.integration)?, gateway.hold(&address, most, most.into()).await?)))
    };
    let begun = begun.await;
    // The gateway must not be kept open by what is held.
    drop(gateway);
    let (ingest, mut held) = match begun {
        Ok(Ok(begun)) => begun,
        Ok(Err(spends)) => return lanes.result(Event::HoldSpends { task, spends }).await,
        Err(fault) => return lanes.result(Event::HoldStarted { task, result: Err(fault) }).await,
    };
    let start = HoldStart { id: held.id, verbs: held.verbs, ack_timeout: held.ack_timeout, left_over: held.left_over };
    lanes.result(Event::HoldStarted { task, result: Ok(start) }).await;
    while let Some(taken) = held.next().await {
        lanes.result(Event::Arrived { task, arrived: arrived(&ingest, taken) }).await;
    }
    lanes.result(Event::Arrived { task, arrived: Arrived { end: Some(Ok(())), ..Arrived::default() } }).await;
    while let Some(taken) = held.later().await {
        lanes.result(Event::Arrived { task, arrived: arrived(&ingest, taken) }).await;
    }
    // What is held goes back when this ends.
    std::future::pending::<()>().await;
}

fn arrived(ingest: &Ingest, taken: HoldEvent) -> Arrived {
    match taken {
        HoldEvent::Message(delivery) => Arrived { deliveries: vec![view(ingest, *delivery)], ..Arrived::default() },
        HoldEvent::Interrupted { fault, lost } => Arrived { interrupted: Some(fault), lost, ..Arrived::default() },
        HoldEvent::Resumed => Arrived { resumed: true, ..Arrived::default() },
    }
}

/// Looks at the first messages of a queue, or says what that would do to them.
pub(super) async fn peek(gateway: Arc<Gateway>, lanes: Lanes, task: TaskId, address: Address, most: u32, agreed: bool) {
    let looked = async {
        let cost = gateway.peek_cost(&address).await?;
        if let (Cost::Marks(marks), false) = (&cost, agreed) {
            return Ok(Err(*marks));
        }
        let ingest = gateway.ingest(&address.integration)?;
        let looked = gateway.peek(&address, most as usize, false).await?;
        if let Some((before, after)) = looked.ready {
            let done = if matches!(cost, Cost::Nothing | Cost::Temporary(_)) { "" } else { " and given back" };
            let said = format!("{} looked at{done}; ready before: {before}, after: {after}", looked.deliveries.len());
            lanes.result(Event::Notice(if after < before { Level::Warning } else { Level::Info }, said.into())).await;
        }
        for note in looked.notes {
            lanes.result(Event::Notice(Level::Info, note)).await;
        }
        Ok::<_, Fault>(Ok(looked.deliveries.into_iter().map(|delivery| view(&ingest, delivery)).collect()))
    }
    .await;
    let (deliveries, end) = match looked {
        Ok(Err(marks)) => return lanes.result(Event::PeekMarks { task, address, marks: marks.into() }).await,
        Ok(Ok(deliveries)) => (deliveries, Ok(())),
        Err(fault) => (Vec::new(), Err(fault)),
    };
    let arrived = Arrived { address: Some(address), deliveries, end: Some(end), ..Arrived::default() };
    lanes.result(Event::Arrived { task, arrived }).await;
}

/// Sends a request, and hands the replies on as they come.
pub(super) async fn call(gateway: Arc<Gateway>, lanes: Lanes, task: TaskId, plan: Plan) {
    let Plan::Call { address, request, wait } = plan else { return };
    let end = async {
        let ingest = gateway.ingest(&address.integration)?;
        let mut replies = gateway.call(&address, *request, wait).await?;
        while let Some(reply) = replies.next().await {
            let delivery = Delivery { ticket: None, message: reply?, deliveries: None, redelivered: false };
            let arrived = Arrived { deliveries: vec![view(&ingest, delivery)], ..Arrived::default() };
            lanes.result(Event::Arrived { task, arrived }).await;
        }
        Ok(())
    };
    let end = end.await;
    lanes.result(Event::Arrived { task, arrived: Arrived { end: Some(end), ..Arrived::default() } }).await;
}

/// Carries out what was decided about messages that are held.
pub(super) async fn settle(gateway: Arc<Gateway>, lanes: Lanes, task: TaskId, plan: Plan) {
    let missing = || Fault::new(Kind::Lost, "settle", "", "nothing became of it");
    let result = gateway.execute(plan).await.and_then(|outcome| outcome.done.ok_or_else(missing));
    lanes.result(Event::Settled { task, result }).await;
}

/// Finds out what a decision about messages would do on their channel.
pub(super) async fn plan_settle(gateway: Arc<Gateway>, lanes: Lanes, task: TaskId, address: Address, effect: Effect, messages: Vec<Given>) {
    let result = gateway.settles(&address, effect, &messages).await;
    lanes.result(Event::SettlePlanned { task, result }).await;
}

/// With every byte: what is decided on is looked at as a whole.
fn view(ingest: &Ingest, delivery: Delivery) -> DeliveryView {
    let Delivery { ticket, message, deliveries, redelivered } = delivery;
    DeliveryView { view: ingest.whole(&message), ticket, deliveries, redelivered }
}
