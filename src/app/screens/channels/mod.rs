//! Channels: the channels of all integrations or of one, filtered, marked and described.

pub mod state;

pub use state::{Cell, Channels, Describe, retention};

use super::traffic::open as messages;
use crate::app::action::{Reason, Scope, only_if};
use crate::app::columns::Column;
use crate::app::effect::Effect;
use crate::app::integration::Integration;
use crate::app::list::{Focus, Step};
use crate::app::matching::Pattern;
use crate::app::model::{Model, PATIENCE, Screen};
use crate::app::reader::Room;
use crate::app::rows::Rows;
use crate::app::screen_state::{RowFilter, ScreenState, Subject};
use crate::domain::address::Address;
use crate::domain::channel::Channel;
use crate::domain::fault::Fault;
use crate::domain::health::Link;
use crate::domain::time::Timestamp;
use state::{Key, Known};
use std::sync::Arc;
use unicode_width::UnicodeWidthStr;

pub(in crate::app) const STATE: ScreenState = ScreenState {
    title: "Channels",
    scope: Scope::Channels,
    has_menus: true,
    lists_channels: true,
    open: Some(|model| open(model, None)),
    list: |model| Some((model.channels.rows.len(), model.channels.list.offset())),
    enter,
    leave: |model| model.channels.describe.take().is_some() || FILTER.clear(model),
    is_inside: |model| model.channels.describe.is_some(),
    step,
    mark: |model, action| ROWS.mark(model, action),
    settle,
    filter: Some(FILTER),
    pane: |model| model.channels.describe.as_ref().map(|_| Focus::Detail),
    channel: |model| address(model).ok_or(Reason::Refused(NONE.into())),
    history: |model| Ok(targets(model)),
    selected: |model| only_if(selected(model).is_some(), NONE),
    integration: |model| selected(model).map(|(integration, _)| integration.name.clone()),
    subjects,
    ages,
    waits: |model| model.channels.waiting_since().collect(),
    ..ScreenState::PLAIN
};

/// Why a command that takes a channel cannot be done.
const NONE: &str = "no channel is selected";

const FILTER: RowFilter = RowFilter { text: |model| &mut model.channels.filter, rebuild };

fn enter(model: &mut Model) {
    let addresses = targets(model);
    // What has no messages to be read is described.
    match addresses.as_slice() {
        [one] if model.caps(one).is_some_and(|can| !can.tail && !can.history) => describe(model),
        _ => messages::open(model, addresses),
    }
}

fn step(model: &mut Model, step: Step, room: Room) {
    let wide = model.is_wide();
    match &mut model.channels.describe {
        Some(pane) if !wide => {
            pane.offset = step.from(pane.offset, pane.rows().saturating_sub(room.pane) + 1, room.pane);
        }
        _ => {
            ROWS.step(model, step, room.page());
            follow(model);
        }
    }
}

fn settle(model: &mut Model, room: Room) {
    ROWS.settle(model, room.page());
    // Also where a filter has left another one selected.
    follow(model);
    if let Some(pane) = &mut model.channels.describe {
        pane.offset = pane.offset.min(pane.rows().saturating_sub(room.pane));
    }
}

/// The ages of the lists of channels.
pub(super) fn ages(model: &Model) -> Vec<Timestamp> {
    model.integrations().iter().filter_map(|integration| integration.listed_at).collect()
}

/// The address of the channel under the cursor.
fn address(model: &Model) -> Option<Address> {
    selected(model).map(|(integration, channel)| Address::new(&integration.name, &channel.name))
}

/// The channel under the cursor, and the integration that it or the list belongs to.
fn subjects(model: &Model) -> Vec<(Subject, Address)> {
    let selected = selected(model);
    let channel = selected.map(|(i, c)| (Subject::Channel(c.kind), Address::new(&i.name, &c.name)));
    let here = selected.map(|(i, _)| &i.name).or(model.channels.only.as_ref());
    channel.into_iter().chain(here.map(|name| (Subject::Integration, Address::new(name, "")))).collect()
}

/// Cells that names have at least; without the column of integrations what they need, as long as rates have room beside them on a
/// narrow screen.
const NAME: (u16, u16) = (24, 31);

/// The columns of the list: what nothing is known of is left out.
pub fn columns(model: &Model) -> (Vec<Cell>, Vec<Column>) {
    let state = &model.channels;
    let several = model.integrations().len() > 1 && state.only.is_none();
    let mut columns = Vec::new();
    if several {
        let widest = model.integrations().iter().map(|i| i.label.as_str().width() as u16).max().unwrap_or(0);
        columns.push((Cell::Integration, Column::left("integration", widest.clamp(11, 16), 16, 3).grow(0)));
    }
    let name = if several { NAME.0 } else { state.known.widest.clamp(NAME.0, NAME.1) };
    columns.push((Cell::Name, Column::left("channel", name, 64, 0).grow(8)));
    if !state.tenants.is_empty() {
        columns.push((Cell::Tenant, Column::left("tenant", 8, 20, 4)));
    }
    if state.known.parts {
        columns.push((Cell::Parts, Column::right("parts", 5, 5)));
    }
    columns.push((Cell::Messages, Column::right("messages", 9, 1)));
    if state.known.bytes {
        columns.push((Cell::Size, Column::right("size", 8, 4)));
    }
    columns.push((Cell::Rate, Column::right("in/s", 7, 1)));
    columns.push((Cell::Spark, Column::left("", 8, 8, 3)));
    let shown = |i: &Integration| state.only.as_ref().is_none_or(|only| *only == i.name);
    if model.integrations().iter().any(|i| shown(i) && i.groups.listed_at.is_some()) {
        columns.push((Cell::Groups, Column::right("groups", 8, 4)));
    }
    if state.known.retention {
        columns.push((Cell::Retention, Column::right("retention", 9, 5)));
    }
    if state.known.dead_letters {
        columns.push((Cell::DeadLetters, Column::left("dead letters to", 15, 40, 6)));
    }
    columns.into_iter().unzip()
}

/// Finds the rows to show, in their order: what is wrong first, then by name.
pub(crate) fn rebuild(model: &mut Model) {
    let Some(profile) = &model.profile else { return };
    let state = &mut model.channels;
    let pattern = Pattern::new(&state.filter);
    state.rows.clear();
    state.tenants.clear();
    state.total = 0;
    state.known = Known::default();
    let mut scores = Vec::new();
    for (i, integration) in profile.integrations.iter().enumerate() {
        if state.only.as_ref().is_some_and(|only| *only != integration.name) {
            continue;
        }
        state.total += integration.channels.len();
        for (c, channel) in integration.channels.iter().enumerate() {
            state.known.note(channel);
            if let Some(tenant) = &channel.tenant
                && !state.tenants.contains(tenant)
            {
                state.tenants.insert(tenant.clone());
            }
            let hidden = channel.internal && !state.internal;
            let other = state.tenant.is_some() && state.tenant != channel.tenant;
            if hidden || other {
                continue;
            }
            if let Some(score) = pattern.score(integration.shown[c].label.as_str()) {
                state.known.widest = state.known.widest.max(integration.shown[c].label.as_str().width() as u16);
                scores.push((channel.fault.is_none(), u32::MAX - score, i, c));
            }
        }
    }
    // Within one score the lists are in the order of their names already.
    scores.sort_by_key(|(well, score, ..)| (*well, *score));
    state.rows.extend(scores.into_iter().map(|(.., i, c)| (i, c)));
}

const ROWS: Rows<Key> = Rows {
    list: |model| &mut model.channels.list,
    len: |model| model.channels.rows.len(),
    key_at: |model, row| {
        let (i, c) = model.channels.rows[row];
        let integration = &model.integrations()[i];
        (integration.name.clone(), integration.channels[c].name.clone())
    },
    selects: true,
};

/// The channel in a row, with its integration and its place there.
pub fn row(model: &Model, row: usize) -> Option<(&Integration, usize)> {
    let (i, c) = *model.channels.rows.get(row)?;
    Some((model.integrations().get(i)?, c))
}

/// The selected channel.
pub fn selected(model: &Model) -> Option<(&Integration, &Channel)> {
    let (integration, c) = row(model, model.channels.list.row()?)?;
    Some((integration, &integration.channels[c]))
}

/// The addresses to act on: the marked channels, or the selected one.
pub fn targets(model: &Model) -> Vec<Address> {
    let marks = &model.channels.list.marks;
    if marks.is_empty() {
        return selected(model).map(|(i, c)| Address::new(&i.name, &c.name)).into_iter().collect();
    }
    marks.iter().map(|(integration, channel)| Address::new(integration, channel)).collect()
}

/// Opens the description of the selected channel.
pub(crate) fn describe(model: &mut Model) {
    let Some((integration, channel)) = selected(model) else { return };
    let address = Address::new(&integration.name, &channel.name);
    let task = model.task();
    model.channels.describe = Some(Describe { address: address.clone(), task, asked_at: model.now, result: None, offset: 0 });
    model.effect(Effect::Describe { task, address });
}

/// After the cursor moved: the pane follows it.
pub(crate) fn follow(model: &mut Model) {
    let here = selected(model).map(|(i, c)| Address::new(&i.name, &c.name));
    if let Some(describe_pane) = &model.channels.describe
        && here.as_ref().is_some_and(|here| *here != describe_pane.address)
    {
        describe(model);
    }
}

/// Goes to the list, of one integration or of all.
pub(crate) fn open(model: &mut Model, only: Option<Arc<str>>) {
    if model.channels.only != only {
        model.channels.only = only;
        model.channels.filter.clear();
        model.channels.list.clear();
        model.channels.describe = None;
    }
    model.go(Screen::Channels);
    if model.integrations().iter().all(|i| i.listed_at.is_none()) {
        model.channels.asked_at = Some(model.now);
    }
    rebuild(model);
}

/// What the body says when there are no rows.
#[derive(Clone, Debug, PartialEq)]
pub enum Emptiness<'a> {
    /// Too early to say anything.
    Quiet,
    Loading,
    /// Nothing was ever read, because of this.
    Failed(&'a Fault),
    /// All are hidden by the filter, the tenant or being internal.
    Filtered {
        total: usize,
    },
    /// There are none.
    Nothing,
}

/// Why the list has no rows.
pub fn emptiness(model: &Model) -> Emptiness<'_> {
    let here: Vec<&Integration> =
        model.integrations().iter().filter(|i| model.channels.only.as_ref().is_none_or(|only| *only == i.name)).collect();
    if model.channels.total > 0 {
        return Emptiness::Filtered { total: model.channels.total };
    }
    let fault = here.iter().find_map(|i| match (&i.link, &i.list_fault) {
        (Link::Down { fault, .. }, _) if i.listed_at.is_none() => Some(fault),
        (_, Some(fault)) if i.listed_at.is_none() => Some(fault),
        _ => None,
    });
    match fault {
        Some(fault) => Emptiness::Failed(fault),
        None if here.iter().all(|i| i.listed_at.is_some()) => Emptiness::Nothing,
        None if model.channels.asked_at.is_some_and(|at| model.now.since(at) < PATIENCE) => Emptiness::Quiet,
        None => Emptiness::Loading,
    }
}
