//! What the Traffic screen holds: what is read and how that goes, the messages in its window, the cursor and the detail.

use super::detail::Detail;
use super::window::Window;
use crate::app::effect::TaskId;
use crate::app::list::{Focus, List};
use crate::app::screen::Screen;
use crate::domain::address::Address;
use crate::domain::envelope::Id;
use crate::domain::fault::Fault;
use crate::domain::position::Range;
use crate::domain::query::Query;
use crate::domain::text::SafeText;
use crate::domain::time::Timestamp;
use crate::domain::value::Value;
use crate::domain::view::{Counts, MessageView};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// What is read.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Source {
    /// No channel was chosen yet.
    #[default]
    Nothing,
    /// What comes from now on.
    Live,
    /// What is kept within a range, and how that was typed.
    History { range: Range, text: String },
    /// Every message that has one of the ids of that message, from all integrations; none until they are known.
    Followed { ids: Vec<Id>, of: Arc<MessageView> },
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

/// What is gone back to.
pub(in crate::app) struct Before {
    pub(super) addresses: Vec<Address>,
    pub(super) source: Source,
    pub(super) filter: String,
    /// The screen that it was begun on.
    pub(super) screen: Screen,
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

    pub(super) fn measure(&mut self, now: Timestamp) {
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

    /// The paths of a query that the selected message has.
    pub(in crate::app) fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        if let Some(view) = self.selected() {
            let names = view.message.headers.iter().filter_map(|h| std::str::from_utf8(&h.name).ok());
            paths.extend(names.map(|name| format!("headers.{name}")));
        }
        if let Some(Ok(decoded)) = self.detail.as_ref().and_then(|pane| pane.decoded.as_ref())
            && let Some(value) = &decoded.value
        {
            collect(value, "value", &mut paths);
        }
        paths.dedup();
        paths
    }
}

/// The paths of an object's fields, two levels down.
fn collect(value: &Value, path: &str, paths: &mut Vec<String>) {
    if let Value::Object(entries) = value {
        for (name, inner) in entries.iter().filter(|(name, _)| name.chars().all(|c| c.is_alphanumeric() || c == '_')) {
            let path = format!("{path}.{name}");
            if path.matches('.').count() < 3 {
                collect(inner, &path, paths);
            }
            paths.push(path);
        }
    }
}
