//! The profiles there are, and what is being opened.

use crate::app::effect::Effect;
use crate::app::event::ProfileEntry;
use crate::app::list::List;
use crate::app::model::Model;
use crate::domain::fault::Fault;
use crate::domain::text::SafeText;
use crate::domain::time::Timestamp;
use std::sync::Arc;

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
pub(crate) fn key_at(model: &Model, row: usize) -> Arc<str> {
    model.profiles.entries.as_ref().and_then(|entries| entries.get(row)).map_or_else(|| "".into(), |entry| entry.path.clone())
}
