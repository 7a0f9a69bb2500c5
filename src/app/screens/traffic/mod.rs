//! Traffic: live messages of one or several channels, or a part of their history; a list, and the detail of one message.

pub mod caveats;
pub mod detail;
pub(in crate::app) mod follow;
pub(in crate::app) mod open;
pub(in crate::app) mod reading;
pub mod state;
pub mod window;

pub use crate::app::list::Focus;
pub use state::{Phase, Source, Traffic};

use crate::app::action::{Reason, Scope, only_if};
use crate::app::columns::Column;
use crate::app::model::Model;
use crate::app::screen_state::ScreenState;
use crate::domain::address::Address;
use open::READER;

pub(in crate::app) const STATE: ScreenState = ScreenState {
    title: "Traffic",
    scope: Scope::Traffic,
    has_menus: true,
    list: |model| Some((model.traffic.window.len(), model.traffic.list.offset())),
    enter: open::enter,
    leave: open::leave,
    is_inside: |model| model.traffic.detail.is_some(),
    step: open::step,
    mark: |model, action| READER.mark(model, action),
    settle: |model, room| READER.settle(model, room),
    pane: |model| model.traffic.detail.as_ref().map(|_| model.traffic.focus),
    caveats: |model| caveats::rows(&model.traffic, model.width).len(),
    has_banner,
    reader: Some(&READER),
    channel,
    history: |model| Ok(model.traffic.addresses.clone()),
    selected: |model| {
        let open = !model.traffic.addresses.is_empty() || model.traffic.is_followed();
        only_if(open, "no channel is open: choose one on the Channels screen (2)")
    },
    integration: |model| model.traffic.addresses.first().map(|address| address.integration.clone()),
    ages: |model| model.traffic.interrupted.values().map(|(_, at)| *at).collect(),
    waits: |model| model.traffic.waiting_since().into_iter().collect(),
    ..ScreenState::PLAIN
};

/// Whether a row under the crumbs says what is wrong, or how far a search is.
fn has_banner(model: &Model) -> bool {
    let typing = model.typing.as_ref().is_some_and(|filter| filter.error.is_some() || !filter.candidates.is_empty());
    let troubled = !model.traffic.interrupted.is_empty() || !model.traffic.waits.is_empty();
    let searched = model.traffic.said.is_some() && !model.traffic.is_live();
    typing || troubled || searched
}

fn channel(model: &Model) -> Result<Address, Reason> {
    match model.traffic.addresses.as_slice() {
        [] => Err(Reason::Refused("no channel is selected".into())),
        [one] => Ok(one.clone()),
        _ => Err(Reason::Refused("several channels are open: choose one on the Channels screen".into())),
    }
}

/// The columns of the list.
pub fn columns(model: &Model) -> Vec<Column> {
    let traffic = &model.traffic;
    let mut columns = vec![Column::left("time", 12, 12, 2)];
    if traffic.is_followed() {
        // With its integration: where a message came by matters more than its place there.
        columns.push(Column::left("channel", 24, 48, 1).grow(4));
    } else if traffic.several() {
        columns.push(Column::left("channel", 14, 36, 1).grow(3));
    }
    if traffic.has_places() {
        columns.push(Column::left("position", 9, 16, 3));
    }
    columns.push(Column::left("key", 9, 24, 1).grow(2));
    columns.push(Column::left("value", 16, 4000, 0).grow(12));
    columns
}

/// Whether what is shown can be read from history as well.
pub fn has_history(model: &Model) -> bool {
    !model.traffic.addresses.is_empty() && model.keep_history(&model.traffic.addresses)
}
