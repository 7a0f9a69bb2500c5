//! Traffic: live messages of one or several channels, or a part of their history; a list, and the detail of one message.

pub mod caveats;
pub mod detail;
pub mod follow;
pub mod open;
pub mod window;

use crate::app::available;
use crate::app::columns::Column;
use crate::app::commands::{Action, Reason, Scope};
use crate::app::effect::{Effect, TaskId};
use crate::app::event::{HistoryUpdate, Level, TailNote, TailUpdate};
use crate::app::jobs::Job;
use crate::app::list::List;
use crate::app::model::Model;
use crate::app::screen_state::{self, ListScreen, ScreenState};
use crate::domain::address::Address;
use crate::domain::envelope::Id;
use crate::domain::fault::Fault;
use crate::domain::figure;
use crate::domain::position::Range;
use crate::domain::query::Query;
use crate::domain::text::SafeText;
use crate::domain::time::Timestamp;
use crate::domain::view::{Counts, MessageView};
use detail::Detail;
use follow::Before;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use window::Window;

pub(in crate::app) const STATE: ScreenState = ScreenState {
    title: "Traffic",
    scope: Scope::Traffic,
    scopes: &[Scope::Traffic, Scope::Moving, Scope::Global, Scope::Always],
    command: Some(Action::Traffic),
    has_menus: true,
    openable: screen_state::openable::<Traffic>,
    enter: open::enter,
    leave: open::leave,
    is_inside: |model| model.traffic.detail.is_some(),
    step: open::step,
    mark: |model, action| {
        screen_state::mark::<Traffic>(model, action);
        if action == Action::Mark && model.traffic.detail.is_some() {
            open::show(model);
        }
    },
    settle: |model| {
        screen_state::settle::<Traffic>(model);
        open::settle(model);
    },
    first_row: screen_state::first_row::<Traffic>,
    has_pane: |model| model.traffic.detail.is_some(),
    message,
    channel,
    history: |model| Ok(model.traffic.addresses.clone()),
    selected: available::traffic_open,
    integration: |model| model.traffic.addresses.first().map(|address| address.integration.clone()),
    ages: |model| model.traffic.interrupted.values().map(|(_, at)| *at).collect(),
    waits: |model| model.traffic.waiting_since().into_iter().collect(),
    ..ScreenState::PLAIN
};

fn message(model: &Model) -> Option<&Arc<MessageView>> {
    model.traffic.selected()
}

fn channel(model: &Model) -> Result<Address, Reason> {
    match model.traffic.addresses.as_slice() {
        [] => Err(Reason::Refused("no channel is selected".into())),
        [one] => Ok(one.clone()),
        _ => Err(Reason::Refused("several channels are open: choose one on the Channels screen".into())),
    }
}

impl ListScreen for Traffic {
    type Key = u64;
    const SELECTS: bool = false;

    fn rows(model: &Model) -> usize {
        model.traffic.window.len()
    }

    fn list(model: &Model) -> &List<u64> {
        &model.traffic.list
    }

    fn list_mut(model: &mut Model) -> &mut List<u64> {
        &mut model.traffic.list
    }

    fn key_at(model: &Model, row: usize) -> u64 {
        model.traffic.key_at(row)
    }
}

/// What is read.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Source {
    /// No channel was chosen yet.
    #[default]
    Nothing,
    Live,
    History {
        range: Range,
        text: String,
    },
    /// Every message that has one of these ids, from all integrations; none until they are known.
    Followed {
        ids: Vec<Id>,
    },
}

/// How the reading stands.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Phase {
    #[default]
    Starting,
    Running,
    /// History alone: everything was read, or the limit was reached.
    Ended,
    Failed(Fault),
    Cancelled,
}

/// The pane that keys go to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Focus {
    #[default]
    List,
    Detail,
}

/// The Traffic screen's own state.
#[derive(Default)]
pub struct Traffic {
    pub addresses: Vec<Address>,
    pub source: Source,
    pub phase: Phase,
    pub task: Option<TaskId>,
    pub started: Timestamp,
    /// What is shown.
    pub window: Window,
    /// What came while the list was held.
    pub held: Window,
    /// The list stands still, so that it can be read; reading goes on.
    pub hold: bool,
    pub counts: Counts,
    pub matched: u64,
    pub filter_errors: u64,
    /// History: an upper bound of the messages in the range.
    pub at_most: Option<u64>,
    /// How far a search through history is, or its closing report.
    pub said: Option<SafeText>,
    /// What the reading told of itself: the first ones, and how many there were.
    pub notes: Vec<SafeText>,
    pub noted: u64,
    /// The integrations whose reading is interrupted, why and since when.
    pub interrupted: BTreeMap<Arc<str>, (Fault, Timestamp)>,
    /// The integrations in which something holds back what is written already, and what.
    pub waits: BTreeMap<Arc<str>, SafeText>,
    /// The query that is in force.
    pub filter: String,
    pub list: List<u64>,
    pub detail: Option<Detail>,
    pub focus: Focus,
    /// What was shown before ids were followed.
    pub(in crate::app) before: Option<Box<Before>>,
    /// A message that is being fetched whole.
    pub(crate) fetching: Option<TaskId>,
    pub(in crate::app) rate: Rate,
}

/// Messages a second over the last seconds.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::app) struct Rate {
    /// A moment with the count it had, then the current second's.
    base: Option<(Timestamp, u64)>,
    shown: f64,
}

/// Messages that a reading of history gives at most; more are read from where it stopped.
pub const HISTORY_LIMIT: u64 = 2_000;
const SECOND: Duration = Duration::from_secs(1);

/// The columns of the list.
pub fn columns(model: &Model) -> Vec<Column> {
    let traffic = &model.traffic;
    let mut columns = vec![Column::left("time", 12, 12, 2)];
    if traffic.is_followed() {
        // With its integration: where a message came by matters more than its place there.
        columns.push(Column::left("channel", 24, 48, 1).grow(4));
    } else if traffic.several() {
        columns.push(Column::left("channel", 14, 36, 1).grow(3));
    }
    if traffic.has_places() {
        columns.push(Column::left("position", 9, 16, 3));
    }
    columns.push(Column::left("key", 9, 24, 1).grow(2));
    columns.push(Column::left("value", 16, 4000, 0).grow(12));
    columns
}

/// Messages that are looked at to know whether any has a place of its own.
const LOOKED_AT: usize = 64;

impl Traffic {
    /// The message in a row: live traffic has the newest on top, history reads downwards.
    pub fn view(&self, row: usize) -> Option<&Arc<MessageView>> {
        match self.source {
            Source::Live => self.window.from_newest(row),
            _ => self.window.from_oldest(row),
        }
    }

    pub fn key_at(&self, row: usize) -> u64 {
        self.view(row).map_or(0, |view| view.id)
    }

    pub fn selected(&self) -> Option<&Arc<MessageView>> {
        self.view(self.list.row()?)
    }

    /// Whether messages have places that they can be named by. Where the system gives none, nothing is said of them.
    pub fn has_places(&self) -> bool {
        let mut views = (0..LOOKED_AT).map_while(|row| self.window.from_newest(row));
        self.window.is_empty() || views.any(|view| view.message.position.is_lasting())
    }

    /// Whether ids are followed through every integration.
    pub fn is_followed(&self) -> bool {
        matches!(self.source, Source::Followed { .. })
    }

    /// Whether messages of several channels are shown.
    pub fn several(&self) -> bool {
        self.addresses.len() > 1 || self.is_followed()
    }

    pub fn is_live(&self) -> bool {
        self.source == Source::Live
    }

    /// Messages that passed the filter and are no longer kept.
    pub fn dropped(&self) -> u64 {
        self.matched.saturating_sub((self.window.len() + self.held.len()) as u64)
    }

    /// Messages a second, over the last second or so.
    pub fn rate(&self) -> f64 {
        self.rate.shown
    }

    /// The marked messages that are still there, in the order shown; without marks all.
    pub fn chosen(&self) -> Vec<Arc<MessageView>> {
        let marks = &self.list.marks;
        (0..self.window.len()).filter_map(|row| self.view(row)).filter(|v| marks.is_empty() || marks.contains(&v.id)).cloned().collect()
    }

    pub(crate) fn waiting_since(&self) -> Option<Timestamp> {
        let waits = self.task.is_some() && self.window.is_empty() && matches!(self.phase, Phase::Starting | Phase::Running);
        waits.then_some(self.started)
    }

    /// Changes when the rate has to be shown anew though nothing came.
    pub(crate) fn rate_face(&self, now: Timestamp) -> bool {
        self.rate.shown > 0.0 && self.rate.base.is_some_and(|(at, _)| now.since(at) >= SECOND * 2)
    }

    pub(crate) fn rate_deadline(&self, now: Timestamp) -> Option<Timestamp> {
        let (at, _) = self.rate.base.filter(|_| self.rate.shown > 0.0)?;
        (now.since(at) < SECOND * 2).then_some(Timestamp(at.0 + 2_000))
    }

    fn measure(&mut self, now: Timestamp) {
        let seen = self.counts.seen;
        match self.rate.base {
            None => self.rate.base = Some((now, seen)),
            Some((at, before)) if now.since(at) >= SECOND => {
                self.rate.shown = seen.saturating_sub(before) as f64 / now.since(at).as_secs_f64();
                self.rate.base = Some((now, seen));
            }
            Some(_) => {}
        }
    }

    /// What a query reads: history where it says from or until when, else what is read already.
    pub(crate) fn source_of(&self, query: &Query) -> Source {
        if query.from.is_none() && query.until.is_none() {
            return self.source.clone();
        }
        let range = Range::between(query.from, query.until);
        let text = query.until.map_or_else(|| range.start.to_string(), |until| format!("{} until {until}", range.start));
        Source::History { range, text }
    }

    /// Lets the list run again.
    pub(crate) fn run(&mut self) {
        self.hold = false;
        self.window.append(&mut self.held);
        self.list.clear();
        self.detail = None;
        self.focus = Focus::List;
    }
}

/// Whether what is shown can be read from history as well.
pub fn has_history(model: &Model) -> bool {
    available::history(model).is_ok()
}

/// Time passed: the rate falls to nothing when nothing comes.
pub(crate) fn tick(model: &mut Model) {
    let now = model.now;
    if model.traffic.rate_face(now) {
        model.traffic.measure(now);
        model.touch();
    }
}

/// Takes in what came in a tail.
pub(crate) fn tail(model: &mut Model, task: TaskId, update: TailUpdate) {
    if model.traffic.task != Some(task) {
        return;
    }
    let now = model.now;
    let traffic = &mut model.traffic;
    if traffic.is_followed() {
        return follow::seen(model, update);
    }
    traffic.phase = Phase::Running;
    traffic.counts = update.counts;
    traffic.matched = update.matched;
    traffic.filter_errors = update.filter_errors;
    let target = if traffic.hold { &mut traffic.held } else { &mut traffic.window };
    target.extend(update.views);
    traffic.measure(now);
    for note in update.notes {
        told(model, note);
    }
    model.touch();
}

/// Takes in what a tail says of its reading.
fn told(model: &mut Model, note: TailNote) {
    let now = model.now;
    let traffic = &mut model.traffic;
    match note {
        TailNote::Interrupted { integration, fault } => {
            let since = traffic.interrupted.get(&integration).map_or(now, |(_, since)| *since);
            traffic.interrupted.insert(integration, (fault, since));
        }
        TailNote::Waits { integration, why: Some(why) } => {
            traffic.waits.insert(integration, why);
        }
        TailNote::Waits { integration, why: None } => {
            traffic.waits.remove(&integration);
        }
        TailNote::Skipped { integration, count, side } => {
            model.notices.say(Level::Warning, format!("{integration}: {}", side.skipped(count)), now);
        }
        TailNote::Resumed { integration, lost } => {
            let (level, text) = match lost {
                Some(0) => (Level::Info, "Reading goes on, nothing was missed.".to_owned()),
                Some(n) => {
                    (Level::Warning, format!("Reading goes on; {} messages were deleted before they could be read.", figure::count(n)))
                }
                None => (Level::Warning, "Reading goes on; it is unknown whether messages were missed.".to_owned()),
            };
            traffic.interrupted.remove(&integration);
            model.notices.say(level, text, now);
        }
    }
}

/// Takes in what came in a reading of history.
pub(crate) fn history(model: &mut Model, task: TaskId, update: HistoryUpdate) {
    if model.traffic.task != Some(task) {
        return;
    }
    let now = model.now;
    let traffic = &mut model.traffic;
    traffic.phase = Phase::Running;
    traffic.counts = Counts { seen: update.scanned, bytes: update.bytes };
    traffic.matched = update.matched;
    traffic.filter_errors = update.filter_errors;
    traffic.at_most = update.at_most.or(traffic.at_most);
    traffic.said = update.said.or(traffic.said.take());
    traffic.window.extend(update.views);
    if traffic.is_followed() {
        traffic.window.sort();
    }
    traffic.measure(now);
    let faults = update.faults.iter().map(|fault| SafeText::from(fault.to_string()));
    caveats::note(model, update.notes.into_iter().chain(faults), now);
    if let Some(job) = model.jobs.iter_mut().find(|job| job.task == task) {
        job.done = update.scanned;
        job.total = update.at_most.or(job.total);
        job.at = now;
    }
    if let Some(end) = update.end {
        let traffic = &mut model.traffic;
        // What has no history is watched on.
        if !traffic.is_followed() {
            traffic.task = None;
        }
        traffic.phase = match end {
            Ok(()) => Phase::Ended,
            Err(fault) => Phase::Failed(fault),
        };
        model.jobs.retain(|job| job.task != task);
    }
    model.touch();
}

/// Ends what is being read; what is shown stays.
pub(crate) fn stop(model: &mut Model) {
    if let Some(task) = model.traffic.task.take() {
        model.effect(Effect::StopTask(task));
        model.jobs.retain(|job| job.task != task);
    }
}

/// Starts to read: `source` from the screen's addresses through its filter. What was shown goes.
pub(crate) fn start(model: &mut Model, source: Source) {
    stop(model);
    let task = model.task();
    let now = model.now;
    let old = std::mem::take(&mut model.traffic);
    model.traffic = Traffic { addresses: old.addresses, filter: old.filter, source, task: Some(task), started: now, ..Traffic::default() };
    let filter = model.traffic.filter.clone();
    match (&model.traffic.source, model.traffic.addresses.first()) {
        (Source::Live, Some(_)) => {
            let addresses = model.traffic.addresses.clone();
            model.effect(Effect::StartTail { task, addresses, filter });
        }
        (Source::History { range, text }, Some(address)) => {
            let (addresses, range) = (model.traffic.addresses.clone(), *range);
            let more = if addresses.len() > 1 { format!(" and {} more", addresses.len() - 1) } else { String::new() };
            let title = format!("read {address}{more} from {text}");
            model.jobs.push(Job::new(task, title.into(), now));
            model.effect(Effect::ReadHistory { task, addresses, range, limit: HISTORY_LIMIT, filter });
        }
        _ => model.traffic.task = None,
    }
    model.touch();
}
