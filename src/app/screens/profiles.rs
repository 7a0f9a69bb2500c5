//! The profiles there are, and what is being opened.

use crate::app::commands::{Action, Scope};
use crate::app::effect::Effect;
use crate::app::event::ProfileEntry;
use crate::app::list::List;
use crate::app::model::Model;
use crate::app::screen_state::{self, ListScreen, ScreenState};
use crate::domain::fault::Fault;
use crate::domain::text::SafeText;
use crate::domain::time::Timestamp;
use std::sync::Arc;

pub(in crate::app) const STATE: ScreenState = ScreenState {
    title: "Profiles",
    scope: Scope::Profiles,
    scopes: &[Scope::Profiles, Scope::Moving, Scope::Global, Scope::Always],
    command: Some(Action::Profiles),
    openable: screen_state::openable::<Profiles>,
    enter: open_selected,
    step: screen_state::step::<Profiles>,
    settle: screen_state::settle::<Profiles>,
    first_row: screen_state::first_row::<Profiles>,
    waits: |model| model.profiles.entries.is_none().then_some(model.profiles.asked_at).into_iter().collect(),
    ..ScreenState::PLAIN
};

pub(in crate::app) const WELCOME: ScreenState =
    ScreenState { title: "Welcome", scope: Scope::Welcome, scopes: &[Scope::Welcome, Scope::Global, Scope::Always], ..ScreenState::PLAIN };

/// The profile picker.
#[derive(Default)]
pub struct Profiles {
    /// `None` until they were looked for.
    pub entries: Option<Vec<ProfileEntry>>,
    /// What is being opened, and since when.
    pub opening: Option<(SafeText, Timestamp)>,
    /// Why the last one could not be opened.
    pub failed: Option<(SafeText, Fault)>,
    pub list: List<Arc<str>>,
    pub asked_at: Timestamp,
}

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

/// The identity of a row: the profile's path.
impl ListScreen for Profiles {
    type Key = Arc<str>;

    fn rows(model: &Model) -> usize {
        model.profiles.entries.as_ref().map_or(0, Vec::len)
    }

    fn list(model: &Model) -> &List<Arc<str>> {
        &model.profiles.list
    }

    fn list_mut(model: &mut Model) -> &mut List<Arc<str>> {
        &mut model.profiles.list
    }

    fn key_at(model: &Model, row: usize) -> Arc<str> {
        model.profiles.entries.as_ref().and_then(|entries| entries.get(row)).map_or_else(|| "".into(), |entry| entry.path.clone())
    }
}
