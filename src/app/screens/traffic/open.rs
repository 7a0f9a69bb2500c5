//! What the keys of the Traffic screen do: opening channels, moving, holding, the detail pane.

use super::state::Source;
use super::{follow, reading};
use crate::app::list::{Focus, Step};
use crate::app::model::{Model, Screen};
use crate::app::reader::{Reader, Room};
use crate::app::rows::Rows;
use crate::domain::address::Address;

pub(in crate::app) const READER: Reader = Reader {
    rows: Rows {
        list: |model| &mut model.traffic.list,
        len: |model| model.traffic.window.len(),
        key_at: |model, row| model.traffic.key_at(row),
        selects: false,
    },
    message: |model| model.traffic.selected(),
    pane: |model| (&mut model.traffic.detail, &mut model.traffic.focus),
};

/// Shows these channels live.
pub(crate) fn open(model: &mut Model, addresses: Vec<Address>) {
    model.go(Screen::Traffic);
    let same = model.traffic.addresses == addresses && model.traffic.is_live() && model.traffic.task.is_some();
    if same || addresses.is_empty() {
        return;
    }
    if model.traffic.addresses != addresses {
        model.traffic.filter.clear();
    }
    model.traffic.addresses = addresses;
    reading::start(model, Source::Live);
}

/// Moves in the list or in the detail.
pub(super) fn step(model: &mut Model, step: Step, room: Room) {
    hold(model);
    READER.step(model, step, room);
}

/// The first move in a live list holds it: nothing moves under the cursor.
fn hold(model: &mut Model) {
    let traffic = &mut model.traffic;
    if traffic.focus == Focus::List && traffic.is_live() && !traffic.window.is_empty() {
        traffic.hold = true;
    }
}

/// Enter: the message, then its parts.
pub(super) fn enter(model: &mut Model) {
    if model.traffic.list.row().is_none() {
        hold(model);
    }
    READER.enter(model);
}

/// Esc: out of the detail, then of its pane, then the list runs again. False if there was nothing to leave.
pub(super) fn leave(model: &mut Model) -> bool {
    if READER.leave(model) {
        // One step at a time.
    } else if model.traffic.before.is_some() {
        follow::leave(model);
    } else if model.traffic.hold {
        model.traffic.run();
    } else {
        return false;
    }
    model.touch();
    true
}
