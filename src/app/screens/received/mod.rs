//! Messages at hand: those of a queue that are held until it is decided on them, those that were only looked at, and the replies to a
//! call. One list with the detail of one message; deciding goes the way of every change.

mod deciding;
mod holding;
pub mod state;

pub(in crate::app) use deciding::{decide, review_settlement, settle, settle_planned, settled};
pub(in crate::app) use holding::{arrived, ask_release, call, cost, hold, look, release, released, spends, spends_typed, started, tick};
pub use state::{Kind, Phase, Received, Row, State};

use crate::app::action::{Scope, only_if};
use crate::app::columns::Column;
use crate::app::model::{Model, Screen};
use crate::app::reader::NONE_SELECTED;
use crate::app::screen_state::ScreenState;
use crate::domain::delivery::Verb;
use holding::READER;

pub(in crate::app) const STATE: ScreenState = ScreenState {
    title: "Received",
    scope: Scope::Received,
    has_menus: true,
    list: |model| Some((model.received.rows.len(), model.received.list.offset())),
    enter: |model| READER.enter(model),
    leave,
    step: |model, step, room| READER.step(model, step, room),
    mark: |model, action| READER.mark(model, action),
    settle: |model, room| READER.settle(model, room),
    pane: |model| model.received.detail.as_ref().map(|_| model.received.focus),
    reader: Some(&READER),
    selected: |model| only_if(model.received.selected().is_some(), NONE_SELECTED),
    waits: |model| {
        let waits = model.received.rows.is_empty() && model.received.task.is_some();
        waits.then_some(model.received.started).into_iter().collect()
    },
    ..ScreenState::PLAIN
};

/// Esc: out of the detail; then, where messages are held, it is asked. False if there was nothing to leave.
fn leave(model: &mut Model) -> bool {
    let is_holding = model.received.is_holding();
    let left = READER.leave(model);
    if !left && is_holding {
        ask_release(model);
    }
    if left {
        model.touch();
    }
    left || is_holding
}

/// The columns of the list.
pub fn columns(model: &Model) -> Vec<Column> {
    let mut columns = vec![Column::left("time", 12, 12, 3)];
    if model.received.kind == Kind::Replies {
        columns.push(Column::left("from", 10, 30, 2));
    } else {
        columns.push(Column::left("state", 10, 14, 1));
    }
    if model.received.rows.is_empty() || model.received.counts() {
        columns.push(Column::right("given", 5, 2));
    }
    columns.push(Column::left("key", 9, 24, 4).grow(2));
    columns.push(Column::left("value", 16, 4000, 0).grow(12));
    columns
}

/// What can be done with what is chosen, or why nothing can.
pub fn verbs(model: &Model) -> (&'static [Verb], Result<(), &'static str>) {
    let received = &model.received;
    let Some(start) = received.hold.as_ref().filter(|_| model.screen == Screen::Received && received.is_holding()) else {
        return (&[], Ok(()));
    };
    (start.verbs, if received.chosen().is_empty() { Err("nothing that is held is selected or marked") } else { Ok(()) })
}
