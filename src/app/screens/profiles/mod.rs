//! The profiles there are, and opening one.

pub mod state;

pub use state::Profiles;

use crate::app::action::Scope;
use crate::app::effect::Effect;
use crate::app::model::Model;
use crate::app::rows::Rows;
use crate::app::screen_state::ScreenState;
use crate::domain::text::SafeText;
use std::sync::Arc;

pub(in crate::app) const STATE: ScreenState = ScreenState {
    title: "Profiles",
    scope: Scope::Profiles,
    list: |model| Some(((ROWS.len)(model), model.profiles.list.offset())),
    enter: open_selected,
    step: |model, step, room| ROWS.step(model, step, room.page()),
    settle: |model, room| ROWS.settle(model, room.page()),
    waits: |model| model.profiles.entries.is_none().then_some(model.profiles.asked_at).into_iter().collect(),
    ..ScreenState::PLAIN
};

pub(in crate::app) const WELCOME: ScreenState =
    ScreenState { title: "Welcome", scope: Scope::Welcome, scopes: &[Scope::Global, Scope::Always], ..ScreenState::PLAIN };

/// Something else is being opened.
pub(crate) fn opening(model: &mut Model, name: &str, effect: Effect) {
    model.profiles.opening = Some((SafeText::new(name), model.now));
    model.profiles.failed = None;
    model.overlay = None;
    model.effect(effect);
    model.touch();
}

/// Opens the selected profile, or says why it cannot be opened.
pub(crate) fn open_selected(model: &mut Model) {
    let chosen = model.profiles.list.row().and_then(|row| model.profiles.entries.as_ref()?.get(row));
    let Some(entry) = chosen else { return };
    if let Some(fault) = entry.fault.clone() {
        model.notices.fault(&fault, model.now);
    } else {
        let (name, path) = (entry.name.clone(), entry.path.clone());
        opening(model, name.as_str(), Effect::OpenProfile(path));
    }
}

/// A row is known by the profile's path.
const ROWS: Rows<Arc<str>> = Rows {
    list: |model| &mut model.profiles.list,
    len: |model| model.profiles.entries.as_ref().map_or(0, Vec::len),
    key_at: |model, row| {
        model.profiles.entries.as_ref().and_then(|entries| entries.get(row)).map_or_else(|| "".into(), |entry| entry.path.clone())
    },
    selects: true,
};
