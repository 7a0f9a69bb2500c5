//! Groups: how far each is behind, whether that becomes better, and why; one group with its partitions and members.

pub mod state;
pub mod watched;

pub use state::{Cell, Groups, Open, PartKey, part_columns};
pub use watched::Watched;

use super::traffic::reading;
use super::traffic::state::{Source, Traffic};
use crate::app::action::{Action, Scope, only_if};
use crate::app::columns::Column;
use crate::app::command_line::{typed, with_profile};
use crate::app::effect::{Effect, TaskId};
use crate::app::integration::Integration;
use crate::app::list::{List, Step};
use crate::app::matching::Pattern;
use crate::app::model::{Model, PATIENCE, Screen};
use crate::app::reader::Room;
use crate::app::rows::Rows;
use crate::app::screen_state::{RowFilter, ScreenState, Subject};
use crate::domain::address::Address;
use crate::domain::fault::Fault;
use crate::domain::figure::Amount;
use crate::domain::group::Mark;
use crate::domain::health::Link;
use crate::domain::lag::{Behind, Board, GroupLag, GroupView, PartitionLag};
use crate::domain::position::{Bound, Position, Range};
use crate::domain::text::escape_json;
use state::Key;
use std::cmp::Reverse;
use std::sync::Arc;

pub(in crate::app) const STATE: ScreenState = ScreenState {
    title: "Groups",
    scope: Scope::Groups,
    has_menus: true,
    open: Some(|model| open(model, None)),
    list: |model| (!is_open(model)).then(|| (model.groups.rows.len(), model.groups.list.offset())),
    enter: show,
    leave,
    is_inside: is_open,
    step,
    settle: |model, room| {
        ROWS.settle(model, room.page());
        if let Some(page) = part_page(model, room) {
            PARTS.settle(model, page);
        }
    },
    filter: Some(FILTER),
    selected: |model| only_if(target(model).is_some(), "no group is selected"),
    copied: Some(copied),
    integration: |model| target(model).map(|address| address.integration),
    subjects: |model| target(model).map(|address| (Subject::Group, address)).into_iter().collect(),
    ages: |model| model.integrations().iter().filter_map(|integration| integration.groups.listed_at).collect(),
    waits: |model| model.groups.waiting_since().collect(),
    ..ScreenState::PLAIN
};

const FILTER: RowFilter = RowFilter { text: |model| &mut model.groups.filter, rebuild };

fn leave(model: &mut Model) -> bool {
    if is_open(model) {
        _ = close(model);
        return true;
    }
    if FILTER.clear(model) {
        return true;
    }
    let reads = model.groups.reading.is_some() && model.back.is_empty();
    if reads {
        open(model, None);
    }
    reads
}

fn step(model: &mut Model, step: Step, room: Room) {
    match part_page(model, room) {
        Some(page) => PARTS.step(model, step, page),
        _ => ROWS.step(model, step, room.page()),
    }
}

/// Rows that the partitions of the open group may take.
fn part_page(model: &Model, room: Room) -> Option<usize> {
    model.groups.open.as_ref().map(|open| open.page(room.body))
}

const ROWS: Rows<Key> = Rows { list: |model| &mut model.groups.list, len: |model| model.groups.rows.len(), key_at, selects: true };

fn key_at(model: &Model, row: usize) -> Key {
    let (i, g) = model.groups.rows[row];
    let integration = &model.integrations()[i];
    (integration.name.clone(), integration.groups.groups[g].group.name.clone())
}

const PARTS: Rows<PartKey> = Rows {
    list: |model| &mut model.groups.parts,
    len: |model| model.groups.open.as_ref().map_or(0, |open| open.rows.len()),
    key_at: |model, row| model.groups.open.as_ref().map_or_else(|| ("".into(), None), |open| open.key_at(row)),
    selects: true,
};

/// The columns, for one integration or several.
pub fn columns(model: &Model) -> (Vec<Cell>, Vec<Column>) {
    let several = model.integrations().iter().filter(|i| !i.groups.unsupported).count() > 1;
    // Why comes before who and how many, where there is room for it.
    let reason = if model.is_wide() { 40 } else { 18 };
    let mut columns = Vec::new();
    if several {
        columns.push((Cell::Integration, Column::left("integration", 11, 16, 6).grow(0)));
    }
    columns.extend([
        (Cell::Name, Column::left("group", 16, 48, 0).grow(4)),
        (Cell::State, Column::left("state", 8, 11, 5).grow(0)),
        (Cell::Members, Column::right("members", 7, 4)),
        (Cell::Lag, Column::right("lag", 11, 0)),
        (Cell::Behind, Column::right("behind", 10, 2)),
        (Cell::Trend, Column::left("trend", 8, 8, 3).grow(0)),
        (Cell::Eta, Column::right("ETA", 9, 1)),
        (Cell::Verdict, Column::left("verdict", reason, 90, 0).grow(10)),
    ]);
    columns.into_iter().unzip()
}

/// What is copied of the selection, and what it is called.
fn copied(model: &Model, action: Action) -> Option<(String, &'static str)> {
    let address = target(model)?;
    match action {
        Action::CopyAddress => Some((address.to_string(), "address")),
        Action::CopyCommand => {
            let group = typed(&Address::new(&address.integration, &address.channel));
            Some((with_profile(model, &["lag".to_owned(), group]), "command"))
        }
        Action::CopyJson => {
            let integration = model.integration(&address.integration)?;
            let at = integration.groups.groups.binary_search_by(|g| g.group.name.cmp(&address.channel)).ok()?;
            let group = &integration.groups.groups[at];
            let (least, most) =
                if group.lag == Amount::Unknown { (None, None) } else { (Some(group.lag.bounds().0), group.lag.bounds().1) };
            let json = serde_json::json!({
                "integration": &*address.integration, "group": &*address.channel, "state": group.group.state.word(),
                "members": group.group.members, "lag": least.filter(|_| least == most), "lag_at_least": least, "lag_at_most": most,
                "verdict": group.verdict.id(), "reason": group.reason.as_str(),
                "eta_seconds": group.eta.seconds(),
            });
            Some((escape_json(&json.to_string()), "group"))
        }
        _ => None,
    }
}

/// Takes in a look at an integration's groups.
pub(crate) fn looked(model: &mut Model, integration: &str, result: Result<Option<Box<Board>>, Fault>) {
    let now = model.now;
    let Some(found) = model.integration_mut(integration) else { return };
    if !found.groups.looked(result, now) {
        return;
    }
    model.groups.asked_at = None;
    rebuild(model);
    if matches!(model.screen, Screen::Groups | Screen::Overview | Screen::Channels) {
        model.touch();
    }
}

/// Takes in how long groups are behind.
pub(crate) fn times(model: &mut Model, integration: &str, times: Vec<(Arc<str>, Behind)>) {
    let Some(found) = model.integration_mut(integration) else { return };
    let mut changed = false;
    for (group, behind) in times {
        changed |= found.groups.behind.insert(group, behind) != Some(behind);
    }
    if changed && model.screen == Screen::Groups {
        model.touch();
    }
}

/// Finds the rows to show, in their order: the worst verdict first, then the greatest lag.
pub(crate) fn rebuild(model: &mut Model) {
    let Some(profile) = &model.profile else { return };
    let state = &mut model.groups;
    let pattern = Pattern::new(&state.filter);
    state.rows.clear();
    state.total = 0;
    for (i, integration) in profile.integrations.iter().enumerate() {
        if state.reading.as_ref().is_some_and(|reading| reading.integration != integration.name) {
            continue;
        }
        for (g, group) in integration.groups.groups.iter().enumerate() {
            let reading = state.reading.as_ref().map(Address::within);
            if reading.is_some_and(|reading| !group.channels.contains(&reading)) {
                continue;
            }
            state.total += 1;
            let words = || format!("{} {}", integration.groups.shown[g].label, group.verdict.words());
            if state.filter.is_empty() || pattern.score(&words()).is_some() {
                state.rows.push((i, g));
            }
        }
    }
    let group = |(i, g): (usize, usize)| &profile.integrations[i].groups.groups[g];
    state.rows.sort_by_key(|row| (Reverse(group(*row).verdict), Reverse(group(*row).lag.number())));
}

/// The group in a row, with its integration and its place there.
pub fn row(model: &Model, row: usize) -> Option<(&Integration, usize)> {
    let (i, g) = *model.groups.rows.get(row)?;
    Some((model.integrations().get(i)?, g))
}

/// The selected group.
pub fn selected(model: &Model) -> Option<(&Integration, &GroupLag)> {
    let (integration, g) = row(model, model.groups.list.row()?)?;
    Some((integration, integration.groups.groups.get(g)?))
}

/// What an operation on the selection is done to: `events/group:payments`.
pub fn target(model: &Model) -> Option<Address> {
    let (integration, name) = match &model.groups.open {
        Some(open) => (open.integration.clone(), open.group.clone()),
        None => selected(model).map(|(integration, group)| (integration.name.clone(), group.group.name.clone()))?,
    };
    Some(Address { integration, kind: Some("group"), channel: name })
}

/// Where the next message of the selection stands: of the selected partition, or of the group's worst.
pub fn mark(model: &Model) -> Option<(Arc<str>, Mark)> {
    if let Some(open) = &model.groups.open {
        let partition = selected_partition(model)?;
        return Some((open.integration.clone(), partition.next()?));
    }
    let (integration, group) = selected(model)?;
    Some((integration.name.clone(), group.worst.clone()?))
}

/// Reads the messages from there on.
pub(crate) fn messages(model: &mut Model) {
    let Some((integration, mark)) = mark(model) else { return };
    let start = mark.position;
    reading::stop(model);
    model.traffic = Traffic { addresses: vec![Address::new(&integration, &mark.channel)], ..Traffic::default() };
    model.go(Screen::Traffic);
    let range = Range { start: Bound::At(start), end: Bound::Latest };
    // As it can be typed again: a bare number would be no bound.
    let text = if let Position::Sequence(sequence) = start { format!("@{sequence}") } else { start.to_string() };
    reading::start(model, Source::History { range, text });
}

/// Goes to the list, of all groups or of those that read a channel.
pub(crate) fn open(model: &mut Model, reading: Option<Address>) {
    if model.groups.reading != reading {
        model.groups.reading = reading;
        model.groups.filter.clear();
        model.groups.list.clear();
        close(model);
    }
    model.go(Screen::Groups);
    if model.integrations().iter().all(|i| i.groups.listed_at.is_none()) {
        model.groups.asked_at = Some(model.now);
    }
    rebuild(model);
}

/// After every event: says which rows are on the screen, if those are others than before.
pub(crate) fn focus(model: &mut Model, page: usize) {
    let near = matches!(model.screen, Screen::Groups | Screen::Overview | Screen::Channels);
    let mut rows: Vec<Key> = Vec::new();
    if model.screen == Screen::Groups && model.groups.open.is_none() {
        let from = model.groups.list.offset();
        rows = (from..model.groups.rows.len()).take(page).map(|row| key_at(model, row)).collect();
        // Their order does not matter for what is asked.
        rows.sort();
    }
    if model.profile.is_some() && model.groups.focus != (near, rows.clone()) {
        model.groups.focus = (near, rows.clone());
        model.effect(Effect::FocusGroups { near, rows });
    }
}

/// Opens the selected group.
pub(crate) fn show(model: &mut Model) {
    let Some((integration, group)) = selected(model) else { return };
    let (integration, group) = (integration.name.clone(), group.group.name.clone());
    close(model);
    let task = model.task();
    let now = model.now;
    model.groups.parts = List::default();
    model.groups.open = Some(Open {
        integration: integration.clone(),
        group: group.clone(),
        task,
        asked_at: now,
        view: None,
        seen_at: now,
        fault: None,
        rows: Vec::new(),
    });
    model.effect(Effect::WatchGroup { task, integration, group });
    model.touch();
}

/// Closes the open group; false if none was.
pub(crate) fn close(model: &mut Model) -> bool {
    let Some(open) = model.groups.open.take() else { return false };
    model.effect(Effect::StopTask(open.task));
    model.touch();
    true
}

/// Takes in a look at the open group.
pub(crate) fn follow(model: &mut Model, task: TaskId, result: Result<Box<GroupView>, Fault>) {
    let now = model.now;
    let Some(open) = model.groups.open.as_mut().filter(|open| open.task == task) else { return };
    match result {
        Ok(view) => {
            let mut rows: Vec<usize> = (0..view.partitions.len()).collect();
            let parts = &view.partitions;
            rows.sort_by_key(|at| (Reverse(parts[*at].verdict), Reverse(parts[*at].group_offset.lag.number())));
            open.rows = rows;
            open.fault = None;
            open.seen_at = now;
            open.view = Some(view);
        }
        Err(fault) => open.fault = Some(fault),
    }
    model.touch();
}

/// The selected partition of the open group.
pub fn selected_partition(model: &Model) -> Option<&PartitionLag> {
    let open = model.groups.open.as_ref()?;
    open.partition(model.groups.parts.row()?)
}

/// What the body says when there are no rows.
#[derive(Clone, Debug, PartialEq)]
pub enum Emptiness<'a> {
    /// Too early to say anything.
    Quiet,
    Loading,
    /// Nothing was ever read, because of this.
    Failed(&'a Fault),
    /// No system of this profile has groups.
    Unsupported,
    Filtered {
        total: usize,
    },
    /// There are none.
    Nothing,
}

/// Why the list has no rows.
pub fn emptiness(model: &Model) -> Emptiness<'_> {
    if model.groups.total > 0 {
        return Emptiness::Filtered { total: model.groups.total };
    }
    let here: Vec<&Integration> = model.integrations().iter().filter(|i| !i.groups.unsupported).collect();
    if here.is_empty() {
        return Emptiness::Unsupported;
    }
    let fault = here.iter().filter(|i| i.groups.listed_at.is_none()).find_map(|i| match (&i.link, &i.groups.fault) {
        (_, Some(fault)) | (Link::Down { fault, .. }, None) => Some(fault),
        _ => None,
    });
    match fault {
        Some(fault) => Emptiness::Failed(fault),
        None if here.iter().all(|i| i.groups.listed_at.is_some()) => Emptiness::Nothing,
        None if model.groups.asked_at.is_some_and(|at| model.now.since(at) < PATIENCE) => Emptiness::Quiet,
        None => Emptiness::Loading,
    }
}

/// Whether the partitions have the screen.
pub fn is_open(model: &Model) -> bool {
    model.screen == Screen::Groups && model.groups.open.is_some()
}
