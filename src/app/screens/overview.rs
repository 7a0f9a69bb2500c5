//! Overview: every integration with its state; what is wrong comes first.

use crate::app::Model;
use crate::app::columns::Column;
use crate::app::commands::{Action, Scope};
use crate::app::list::List;
use crate::app::overlays::menu::Subject;
use crate::app::screen_state::{self, ListScreen, RowFilter, ScreenState};
use crate::app::screens::channels;
use crate::domain::address::Address;
use crate::domain::time::Timestamp;
use std::sync::Arc;

pub(in crate::app) const STATE: ScreenState = ScreenState {
    title: "Overview",
    scope: Scope::Overview,
    scopes: &[Scope::Overview, Scope::Moving, Scope::Global, Scope::Always],
    command: Some(Action::Overview),
    lists_channels: true,
    openable: screen_state::openable::<Overview>,
    enter: |model| {
        let only = selected(model);
        channels::open(model, only);
    },
    leave: |model| FILTER.clear(model),
    step: screen_state::step::<Overview>,
    settle: screen_state::settle::<Overview>,
    first_row: screen_state::first_row::<Overview>,
    filter: Some(FILTER),
    integration: selected,
    subjects: |model| selected(model).map(|name| (Subject::Integration, Address::new(&name, ""))).into_iter().collect(),
    ages,
    ..ScreenState::PLAIN
};

const FILTER: RowFilter = RowFilter { text: |model| &mut model.overview.filter, rebuild };

fn selected(model: &Model) -> Option<Arc<str>> {
    model.overview.list.selected().cloned()
}

/// The ages of the lists of channels.
pub(super) fn ages(model: &Model) -> Vec<Timestamp> {
    model.integrations().iter().filter_map(|integration| integration.listed_at).collect()
}

/// The overview's own state.
#[derive(Default)]
pub struct Overview {
    pub filter: String,
    pub list: List<Arc<str>>,
    /// Indexes of the integrations shown, in order.
    pub rows: Vec<usize>,
}

/// What the columns are; draw fills them in this order.
pub const COLUMNS: &[Column] = &[
    Column::left("integration", 12, 28, 0),
    Column::left("system", 8, 12, 3),
    Column::left("state", 12, 14, 0),
    Column::right("in/s", 7, 0),
    Column::left("", 8, 8, 2),
    Column::right("lag", 11, 1),
    Column::right("channels", 8, 3),
    Column::right("latency", 8, 2),
    Column::left("endpoint", 20, 60, 4).grow(2),
];

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

/// The name in a row.
impl ListScreen for Overview {
    type Key = Arc<str>;

    fn rows(model: &Model) -> usize {
        model.overview.rows.len()
    }

    fn list(model: &Model) -> &List<Arc<str>> {
        &model.overview.list
    }

    fn list_mut(model: &mut Model) -> &mut List<Arc<str>> {
        &mut model.overview.list
    }

    fn key_at(model: &Model, row: usize) -> Arc<str> {
        model.integrations()[model.overview.rows[row]].name.clone()
    }
}
