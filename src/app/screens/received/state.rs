//! What the Received screen holds: the messages at hand, what became of each, and how long there is to decide.

use crate::app::effect::TaskId;
use crate::app::event::HoldStart;
use crate::app::list::{Focus, List};
use crate::app::screens::traffic::detail::Detail;
use crate::domain::address::Address;
use crate::domain::delivery::{Effect as Decision, HoldId, Settlement, Ticket};
use crate::domain::fault::Fault;
use crate::domain::message::Outgoing;
use crate::domain::time::Timestamp;
use crate::domain::view::MessageView;
use std::sync::Arc;
use std::time::Duration;

/// Above this the time left is shown in steps of ten seconds, and above ten minutes in minutes: a console that holds something need
/// not draw every second.
const CLOSE: Duration = Duration::from_secs(30);
const FAR: Duration = Duration::from_secs(600);

/// Why the messages are here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    #[default]
    Held,
    Looked,
    Replies,
}

/// How it stands.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Phase {
    #[default]
    Starting,
    Running,
    /// No more will come.
    Ended,
    Failed(Fault),
}

/// The screen's own state.
#[derive(Default)]
pub struct Received {
    pub kind: Kind,
    /// Whose messages; `None`: nothing was asked for yet.
    pub address: Option<Address>,
    /// The channel that this was begun with: `address` may be one of its groups.
    pub of: Option<Address>,
    /// Of a call, what was sent, and how long replies are waited for.
    pub call: Option<(Outgoing, Duration)>,
    pub phase: Phase,
    pub task: Option<TaskId>,
    pub started: Timestamp,
    /// Messages that were asked for.
    pub wanted: u32,
    pub hold: Option<HoldStart>,
    pub rows: Vec<Row>,
    /// The connection broke, and is not there again.
    pub interrupted: Option<Fault>,
    pub list: List<u64>,
    pub detail: Option<Detail>,
    pub focus: Focus,
    /// A decision of which it is being found out what it would do.
    pub(super) planning: Option<Planning>,
    pub(super) settling: Vec<(TaskId, Vec<Ticket>, Decision)>,
    pub(super) releasing: Option<TaskId>,
}

/// One message.
pub struct Row {
    pub view: Arc<MessageView>,
    pub ticket: Option<Ticket>,
    /// How many times it was given out, where the system counts.
    pub deliveries: Option<u64>,
    pub redelivered: bool,
    pub state: State,
    /// When it came, or when its time was last extended.
    pub since: Timestamp,
}

/// What became of a message.
#[derive(Clone, Debug, PartialEq)]
pub enum State {
    /// Only looked at, or a reply: there is nothing to decide.
    Open,
    Held,
    Settling(Decision),
    Settled(Decision),
    /// It went back without us.
    Lost,
}

/// A decision that is not a plan yet.
pub(in crate::app) struct Planning {
    pub(super) task: TaskId,
    pub(super) address: Address,
    pub(super) hold: HoldId,
    pub(super) tickets: Vec<Ticket>,
    pub(super) settlement: Settlement,
}

impl Received {
    pub fn key_at(&self, row: usize) -> u64 {
        self.rows.get(row).map_or(0, |row| row.view.id)
    }

    /// Whether the system tells of any message that somebody had it before.
    pub fn counts(&self) -> bool {
        self.rows.iter().any(|row| row.deliveries.is_some() || row.redelivered)
    }

    pub fn selected(&self) -> Option<&Row> {
        self.rows.get(self.list.row()?)
    }

    /// Messages that nobody has decided on, and whose time is not over.
    pub fn unsettled(&self, now: Timestamp) -> usize {
        let held = self.rows.iter().filter(|row| matches!(row.state, State::Held | State::Settling(_)));
        held.filter(|row| self.over_at(row).is_none_or(|over| over > now)).count()
    }

    /// Whether messages are being held, or are about to be.
    pub fn is_holding(&self) -> bool {
        self.kind == Kind::Held && self.task.is_some()
    }

    /// When the system gives a message to somebody else.
    pub fn over_at(&self, row: &Row) -> Option<Timestamp> {
        let ack_timeout = self.hold.as_ref()?.ack_timeout?;
        (row.state == State::Held)
            .then(|| Timestamp(row.since.0.saturating_add(i64::try_from(ack_timeout.as_millis()).unwrap_or(i64::MAX))))
    }

    /// The time left to decide on the first that runs out, as it is shown: never more than there is.
    pub fn left(&self, now: Timestamp) -> Option<Duration> {
        let over = self.rows.iter().filter_map(|row| self.over_at(row)).filter(|over| *over > now).min()?;
        let left = over.since(now);
        let step = if left > FAR {
            60
        } else if left > CLOSE {
            10
        } else {
            1
        };
        Some(Duration::from_secs(left.as_secs() / step * step))
    }

    /// Messages whose time is over.
    pub fn overdue(&self, now: Timestamp) -> usize {
        self.rows.iter().filter_map(|row| self.over_at(row)).filter(|over| *over <= now).count()
    }

    /// When [`Received::left`] or [`Received::overdue`] next reads differently.
    pub(in crate::app) fn deadline(&self, now: Timestamp) -> Option<Timestamp> {
        let over = self.rows.iter().filter_map(|row| self.over_at(row)).filter(|over| *over > now).min()?;
        let shown = i64::try_from(self.left(now)?.as_millis()).unwrap_or(0);
        Some(Timestamp((over.0 - shown + 1).min(over.0).max(now.0 + 1)))
    }

    /// The tickets that a decision is about: of the marked rows, else of the selected one.
    pub(super) fn chosen(&self) -> Vec<Ticket> {
        let marks = &self.list.marks;
        let selected = self.selected().map(|row| row.view.id);
        let wanted = |row: &&Row| if marks.is_empty() { Some(row.view.id) == selected } else { marks.contains(&row.view.id) };
        self.rows.iter().filter(wanted).filter(|row| row.state == State::Held).filter_map(|row| row.ticket).collect()
    }

    pub(super) fn of_ticket(&mut self, ticket: Ticket) -> Option<&mut Row> {
        self.rows.iter_mut().find(|row| row.ticket == Some(ticket))
    }
}
