//! The wire log: what was asked of a system and what came back, a line each.

pub mod state;

pub use state::COLUMNS;

use crate::app::action::Scope;
use crate::app::effect::Effect;
use crate::app::model::{Model, Screen};
use crate::app::rows::Rows;
use crate::app::screen_state::ScreenState;

pub(in crate::app) const STATE: ScreenState = ScreenState {
    title: "Wire log",
    scope: Scope::WireLog,
    arrive: |model, here| {
        let shown = here.or_else(|| model.wire.integration.clone()).or_else(|| model.integrations().first().map(|i| i.name.clone()));
        if let Some(integration) = shown {
            model.wire.show(integration);
        }
    },
    leave: |model| {
        let selects = model.wire.list.row().is_some();
        if selects {
            model.wire.list.clear();
        }
        selects
    },
    is_inside: |model| !model.back.is_empty(),
    step: |model, step, room| ROWS.step(model, step, room.page()),
    settle: |model, room| ROWS.settle(model, room.page()),
    ..ScreenState::PLAIN
};

const ROWS: Rows<u64> = Rows {
    list: |model| &mut model.wire.list,
    len: |model| model.wire.lines.len(),
    key_at: |model, row| model.wire.line(row).number,
    selects: false,
};

/// Asks for the lines of the wire log while they are shown, and for no more otherwise.
pub(in crate::app) fn watch(model: &mut Model) {
    let wire = if model.screen == Screen::WireLog { model.wire.wanted() } else { None };
    if wire.is_some() || model.wire.watching {
        model.wire.watching = wire.is_some();
        model.effect(Effect::WatchWire(wire));
    }
}
