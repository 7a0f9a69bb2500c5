//! Notices: their list.

pub mod state;

pub use state::SHOWN;

use crate::app::action::Scope;
use crate::app::rows::Rows;
use crate::app::screen_state::ScreenState;

pub(in crate::app) const STATE: ScreenState = ScreenState {
    title: "Notices",
    scope: Scope::Notices,
    arrive: |model, _| _ = model.notices.dismiss(),
    is_inside: |model| !model.back.is_empty(),
    step: |model, step, room| ROWS.step(model, step, room.page()),
    settle: |model, room| ROWS.settle(model, room.page()),
    ..ScreenState::PLAIN
};

const ROWS: Rows<u64> = Rows {
    list: |model| &mut model.notices.list,
    len: |model| model.notices.all.len(),
    key_at: |model, row| model.notices.all[model.notices.all.len() - 1 - row].number,
    selects: true,
};
