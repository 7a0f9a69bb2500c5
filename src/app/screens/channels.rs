//! Channels: the channels of all integrations or of one, filtered, marked and described.

use crate::app::available;
use crate::app::clock::PATIENCE;
use crate::app::columns::Column;
use crate::app::commands::{Action, Reason, Scope};
use crate::app::effect::{Effect, TaskId};
use crate::app::integration::Integration;
use crate::app::layout;
use crate::app::list::List;
use crate::app::list::Step;
use crate::app::matching::Pattern;
use crate::app::model::{Model, Screen};
use crate::app::overlays::menu::Subject;
use crate::app::screen_state::{self, ListScreen, RowFilter, ScreenState};
use crate::app::screens::overview;
use crate::app::screens::traffic::open as messages;
use crate::domain::address::Address;
use crate::domain::channel::{Channel, Description};
use crate::domain::fault::Fault;
use crate::domain::health::Link;
use crate::domain::text::SafeText;
use crate::domain::time::Timestamp;
use std::collections::BTreeSet;
use std::sync::Arc;
use unicode_width::UnicodeWidthStr;

pub(in crate::app) const STATE: ScreenState = ScreenState {
    title: "Channels",
    scope: Scope::Channels,
    scopes: &[Scope::Channels, Scope::Moving, Scope::Global, Scope::Always],
    command: Some(Action::Channels),
    has_menus: true,
    lists_channels: true,
    openable: screen_state::openable::<Channels>,
    enter,
    leave: |model| model.channels.describe.take().is_some() || FILTER.clear(model),
    is_inside: |model| model.channels.describe.is_some(),
    step,
    mark: screen_state::mark::<Channels>,
    settle: |model| {
        screen_state::settle::<Channels>(model);
        // Also where a filter has left another one selected.
        follow(model);
    },
    first_row: screen_state::first_row::<Channels>,
    filter: Some(FILTER),
    has_pane: |model| model.channels.describe.is_some(),
    channel: |model| address(model).ok_or(Reason::Refused("no channel is selected".into())),
    history: |model| Ok(targets(model)),
    selected: available::channel_selected,
    integration: |model| selected(model).map(|(integration, _)| integration.name.clone()),
    subjects,
    ages: overview::ages,
    waits: |model| model.channels.waiting_since().collect(),
    ..ScreenState::PLAIN
};

const FILTER: RowFilter = RowFilter { text: |model| &mut model.channels.filter, rebuild };

fn enter(model: &mut Model) {
    let addresses = targets(model);
    // What has no messages to be read is described.
    match addresses.as_slice() {
        [one] if available::caps(model, one).is_some_and(|can| !can.tail && !can.history) => describe(model),
        _ => messages::open(model, addresses),
    }
}

fn step(model: &mut Model, step: Step) {
    if model.channels.describe.is_some() && !layout::is_wide(model) {
        let page = layout::detail_page(model);
        if let Some(pane) = &mut model.channels.describe {
            let rows = describe_rows(pane);
            pane.offset = step.from(pane.offset, rows.saturating_sub(page) + 1, page);
        }
    } else {
        screen_state::step::<Channels>(model, step);
        follow(model);
    }
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

/// Tells channels apart: integration, then name.
pub type Key = (Arc<str>, Arc<str>);

/// The channel list's own state.
#[derive(Default)]
pub struct Channels {
    /// Only the channels of this integration.
    pub only: Option<Arc<str>>,
    pub filter: String,
    pub tenant: Option<SafeText>,
    pub internal: bool,
    pub list: List<Key>,
    /// Integration and channel of each row shown.
    pub rows: Vec<(usize, usize)>,
    /// Channels in all, hidden ones included.
    pub total: usize,
    pub tenants: BTreeSet<SafeText>,
    /// What is known of any channel: columns of which nothing is known are left out.
    pub known: Known,
    pub describe: Option<Describe>,
    /// Since when the first list is waited for.
    pub(crate) asked_at: Option<Timestamp>,
}

/// Which facts any channel has.
#[derive(Clone, Copy, Debug, Default)]
pub struct Known {
    pub parts: bool,
    pub bytes: bool,
    pub retention: bool,
    pub dead_letters: bool,
    /// Cells of the longest name that is shown.
    pub widest: u16,
}

impl Known {
    fn note(&mut self, channel: &Channel) {
        self.parts |= channel.parts.is_some();
        self.bytes |= channel.bytes.number().is_some();
        self.retention |= retention(channel).is_some();
        self.dead_letters |= channel.dead_letters_to.is_some();
    }
}

/// The description pane.
pub struct Describe {
    pub address: Address,
    pub task: TaskId,
    pub asked_at: Timestamp,
    pub result: Option<Result<Box<Description>, Fault>>,
    pub offset: usize,
}

/// Which columns make sense for the channels that are there.
#[derive(Clone, Copy, Debug)]
pub enum Cell {
    Integration,
    Name,
    Tenant,
    Parts,
    Messages,
    Size,
    Rate,
    Spark,
    Groups,
    Retention,
    DeadLetters,
}

impl Channels {
    pub fn waiting_since(&self) -> impl Iterator<Item = Timestamp> {
        let describe = self.describe.as_ref().filter(|d| d.result.is_none()).map(|d| d.asked_at);
        self.asked_at.into_iter().chain(describe)
    }
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

/// The retention that the system tells.
pub fn retention(channel: &Channel) -> Option<&SafeText> {
    channel.attributes.iter().find(|a| a.name.as_str() == "retention").map(|a| &a.value)
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

/// The identity of a row.
impl ListScreen for Channels {
    type Key = Key;

    fn rows(model: &Model) -> usize {
        model.channels.rows.len()
    }

    fn list(model: &Model) -> &List<Key> {
        &model.channels.list
    }

    fn list_mut(model: &mut Model) -> &mut List<Key> {
        &mut model.channels.list
    }

    fn key_at(model: &Model, row: usize) -> Key {
        let (i, c) = model.channels.rows[row];
        let integration = &model.integrations()[i];
        (integration.name.clone(), integration.channels[c].name.clone())
    }
}

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

/// Rows that the description has.
pub(crate) fn describe_rows(pane: &Describe) -> usize {
    match &pane.result {
        Some(Ok(description)) => {
            let channel = &description.channel;
            let told = [channel.fault.is_some(), channel.tenant.is_some(), channel.consumers.is_some(), channel.rate_out.is_some()];
            let facts = 4 + told.into_iter().filter(|told| *told).count() + channel.attributes.len();
            facts + description.tables.iter().map(|table| table.rows.len() + 2 + usize::from(table.as_remark().is_none())).sum::<usize>()
        }
        _ => 1,
    }
}
