//! Dead letters: what letters died of, over every integration of the profile. They are read when the screen is opened and when that is asked
//! for again: never by themselves.

pub mod state;

pub use state::{DeadLetters, FailuresFound};

use super::traffic::reading;
use super::traffic::state::{Source, Traffic};
use crate::app::action::{Action, Scope, only_if};
use crate::app::columns::Column;
use crate::app::command_line::with_profile;
use crate::app::effect::{Effect, TaskId};
use crate::app::matching::Pattern;
use crate::app::model::{Model, Screen};
use crate::app::rows::Rows;
use crate::app::screen_state::{RowFilter, ScreenState};
use crate::domain::address::Address;
use crate::domain::dead_letter::FailureGroup;
use crate::domain::position::{Bound, Range};
use crate::domain::text::{SafeText, escape_json};
use std::sync::Arc;
use std::time::Duration;

pub(in crate::app) const STATE: ScreenState = ScreenState {
    title: "Dead letters",
    scope: Scope::DeadLetters,
    has_menus: true,
    open: Some(open),
    list: |model| Some((model.dead_letters.rows.len(), model.dead_letters.list.offset())),
    enter: letters,
    leave: |model| FILTER.clear(model),
    step: |model, step, room| ROWS.step(model, step, room.page()),
    settle: |model, room| ROWS.settle(model, room.page()),
    filter: Some(FILTER),
    selected: |model| only_if(selected(model).is_some(), "no failure is selected"),
    copied: Some(copied),
    integration: |model| Some(channels_of(selected(model)?).into_iter().next()?.integration),
    ages: |model| model.dead_letters.read_at.into_iter().collect(),
    waits: |model| model.dead_letters.waiting_since().into_iter().collect(),
    ..ScreenState::PLAIN
};

const FILTER: RowFilter = RowFilter { text: |model| &mut model.dead_letters.filter, rebuild };

const ROWS: Rows<Arc<str>> = Rows {
    list: |model| &mut model.dead_letters.list,
    len: |model| model.dead_letters.rows.len(),
    key_at: |model, row| model.dead_letters.group(row).map_or_else(|| "".into(), |group| group.id.clone()),
    selects: true,
};

/// What is older is written with its day.
pub const DAY: Duration = Duration::from_secs(86_400);

/// The columns of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell {
    Failure,
    Letters,
    Times,
    Route,
    Tenants,
}

/// The columns, with their places.
pub fn columns(model: &Model) -> (Vec<Cell>, Vec<Column>) {
    let days = |group: &FailureGroup| group.first.is_some_and(|first| model.now.since(first) >= DAY);
    let times = if model.dead_letters.found.groups.iter().any(days) { 25 } else { 13 };
    let tenants = model.dead_letters.found.groups.iter().any(|group| !group.tenants.is_empty());
    let mut columns = vec![
        (Cell::Failure, Column::left("failure", 24, 120, 0).grow(10)),
        (Cell::Letters, Column::right("letters", 9, 0)),
        (Cell::Times, Column::left("first → last", times, times, 2).grow(0)),
        (Cell::Route, Column::left("from → died in", 16, 70, 1).grow(9)),
    ];
    if tenants {
        columns.push((Cell::Tenants, Column::right("tenants", 7, 3)));
    }
    columns.into_iter().unzip()
}

/// Goes to the screen. What was read before stays until it is read again.
pub(crate) fn open(model: &mut Model) {
    model.go(Screen::DeadLetters);
    if model.dead_letters.asked_at.is_none() {
        read(model);
    }
}

/// Reads every letter anew.
pub(crate) fn read(model: &mut Model) {
    stop(model);
    let task = model.task();
    model.dead_letters.task = Some(task);
    model.dead_letters.asked_at = Some(model.now);
    model.dead_letters.read_at = None;
    model.effect(Effect::ReadFailures { task });
    model.touch();
}

/// Ends the reading that is under way.
pub(crate) fn stop(model: &mut Model) {
    if let Some(task) = model.dead_letters.task.take() {
        model.effect(Effect::StopTask(task));
    }
}

/// Takes in what a reading has found so far.
pub(crate) fn found(model: &mut Model, task: TaskId, found: FailuresFound) {
    if model.dead_letters.task != Some(task) {
        return;
    }
    if found.ended {
        model.dead_letters.task = None;
        model.dead_letters.read_at = Some(model.now);
    }
    model.dead_letters.found = found;
    rebuild(model);
    if model.screen == Screen::DeadLetters {
        model.touch();
    }
}

/// Finds the rows to show, in their order.
fn rebuild(model: &mut Model) {
    let state = &mut model.dead_letters;
    let pattern = Pattern::new(&state.filter);
    let shows = |group: &FailureGroup| state.filter.is_empty() || pattern.score(&words(group)).is_some();
    state.rows = state.found.groups.iter().enumerate().filter(|(_, group)| shows(group)).map(|(at, _)| at).collect();
}

/// What a filter finds a group by.
fn words(group: &FailureGroup) -> String {
    format!("{} {}", group.words(), route(group))
}

/// Where letters came from, and where they lie.
pub fn route(group: &FailureGroup) -> SafeText {
    let names = |names: Vec<&Arc<str>>| match names.as_slice() {
        [] => "–".to_owned(),
        [one] => one.to_string(),
        [first, others @ ..] => format!("{first} +{}", others.len()),
    };
    format!("{} → {}", names(group.origins().collect()), names(group.died_in().collect())).into()
}

/// The selected group.
pub fn selected(model: &Model) -> Option<&FailureGroup> {
    model.dead_letters.group(model.dead_letters.list.row()?)
}

/// The channels in which letters of a group lie.
fn channels_of(group: &FailureGroup) -> Vec<Address> {
    group.died_in().filter_map(|name| name.parse().ok()).collect()
}

/// Reads the channels in which the selected group's letters lie.
fn letters(model: &mut Model) {
    let Some(addresses) = selected(model).map(channels_of).filter(|addresses| !addresses.is_empty()) else { return };
    reading::stop(model);
    model.traffic = Traffic { addresses, ..Traffic::default() };
    model.go(Screen::Traffic);
    let range = Range { start: Bound::Earliest, end: Bound::Latest };
    reading::start(model, Source::History { range, text: "earliest".to_owned() });
}

/// What is copied of the selection, and what it is called.
fn copied(model: &Model, action: Action) -> Option<(String, &'static str)> {
    let group = selected(model)?;
    match action {
        Action::CopyAddress => Some((channels_of(group).first()?.to_string(), "address")),
        Action::CopyCommand => {
            let channels = channels_of(group).iter().map(ToString::to_string).collect::<Vec<_>>();
            let words: Vec<String> = ["dlq".to_owned(), "groups".to_owned()].into_iter().chain(channels).collect();
            Some((with_profile(model, &words), "command"))
        }
        Action::CopyJson => {
            let names = |names: Vec<&Arc<str>>| names.into_iter().map(ToString::to_string).collect::<Vec<String>>();
            let json = serde_json::json!({
                "id": &*group.id, "failure": group.words().as_str(), "count": group.letters,
                "first": group.first.map(|time| time.to_string()), "last": group.last.map(|time| time.to_string()),
                "from": names(group.origins().collect()), "to": names(group.died_in().collect()),
                "tenants": names(group.tenants.iter().collect()),
            });
            Some((escape_json(&json.to_string()), "failure"))
        }
        _ => None,
    }
}
