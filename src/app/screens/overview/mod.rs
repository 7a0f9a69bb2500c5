//! Overview: every integration with its state; what is wrong comes first.

pub mod state;

pub use state::COLUMNS;

use super::channels;
use crate::app::action::Scope;
use crate::app::model::Model;
use crate::app::rows::Rows;
use crate::app::screen_state::{RowFilter, ScreenState, Subject};
use crate::domain::address::Address;
use std::sync::Arc;

pub(in crate::app) const STATE: ScreenState = ScreenState {
    title: "Overview",
    scope: Scope::Overview,
    lists_channels: true,
    list: |model| Some((model.overview.rows.len(), model.overview.list.offset())),
    enter: |model| {
        let only = selected(model);
        channels::open(model, only);
    },
    leave: |model| FILTER.clear(model),
    step: |model, step, room| ROWS.step(model, step, room.page()),
    settle: |model, room| ROWS.settle(model, room.page()),
    filter: Some(FILTER),
    integration: selected,
    subjects: |model| selected(model).map(|name| (Subject::Integration, Address::new(&name, ""))).into_iter().collect(),
    ages: channels::ages,
    ..ScreenState::PLAIN
};

const FILTER: RowFilter = RowFilter { text: |model| &mut model.overview.filter, rebuild };

fn selected(model: &Model) -> Option<Arc<str>> {
    model.overview.list.selected().cloned()
}

/// Finds the rows to show, in their order.
pub(crate) fn rebuild(model: &mut Model) {
    let needle = model.overview.filter.to_lowercase();
    let Some(profile) = &model.profile else {
        model.overview.rows.clear();
        return;
    };
    let mut rows: Vec<usize> = (0..profile.integrations.len())
        .filter(|i| {
            let integration = &profile.integrations[*i];
            needle.is_empty()
                || integration.name.to_lowercase().contains(&needle)
                || integration.system.to_lowercase().contains(&needle)
                || integration.link.word().contains(&needle)
        })
        .collect();
    rows.sort_by_key(|i| profile.integrations[*i].order());
    model.overview.rows = rows;
}

const ROWS: Rows<Arc<str>> = Rows {
    list: |model| &mut model.overview.list,
    len: |model| model.overview.rows.len(),
    key_at: |model, row| model.integrations()[model.overview.rows[row]].name.clone(),
    selects: true,
};
