//! Messages at hand: those of a queue that are held until it is decided on them, those that were only looked at, and the replies to a
//! call. One list with the detail of one message; deciding goes the way of every change.

mod deciding;

use super::traffic::Focus;
use super::traffic::detail::Detail;
use super::traffic::open;
use crate::app::available;
use crate::app::columns::Column;
use crate::app::commands::{Action, Scope};
use crate::app::effect::{Effect, TaskId};
use crate::app::event::{Arrived, HoldStart, Level};
use crate::app::jobs::Job;
use crate::app::layout;
use crate::app::list::{List, Step};
use crate::app::model::{Model, Screen};
use crate::app::overlays::Overlay;
use crate::app::overlays::confirm::Confirm;
use crate::app::screen_state::{self, ListScreen, ScreenState};
use crate::app::update::{fault_said, say};
use crate::domain::address::Address;
use crate::domain::delivery::{Effect as Decision, Ticket, Verb};
use crate::domain::fault::Fault;
use crate::domain::operation::{Input, Plan, PublishSpec};
use crate::domain::text::SafeText;
use crate::domain::time::Timestamp;
use crate::domain::view::MessageView;

pub(in crate::app) const STATE: ScreenState = ScreenState {
    title: "Received",
    scope: Scope::Received,
    scopes: &[Scope::Received, Scope::Moving, Scope::Global, Scope::Always],
    has_menus: true,
    openable: screen_state::openable::<Received>,
    enter,
    leave,
    step,
    mark: |model, action| {
        screen_state::mark::<Received>(model, action);
        if action == Action::Mark && model.received.detail.is_some() {
            show(model);
        }
    },
    settle: |model| {
        screen_state::settle::<Received>(model);
        open::settle(model);
    },
    first_row: screen_state::first_row::<Received>,
    has_pane: |model| model.received.detail.is_some(),
    message,
    selected: available::message_selected,
    waits: |model| {
        let waits = model.received.rows.is_empty() && model.received.task.is_some();
        waits.then_some(model.received.started).into_iter().collect()
    },
    ..ScreenState::PLAIN
};

fn message(model: &Model) -> Option<&Arc<MessageView>> {
    model.received.selected().map(|row| &row.view)
}

impl ListScreen for Received {
    type Key = u64;

    fn rows(model: &Model) -> usize {
        model.received.rows.len()
    }

    fn list(model: &Model) -> &List<u64> {
        &model.received.list
    }

    fn list_mut(model: &mut Model) -> &mut List<u64> {
        &mut model.received.list
    }

    fn key_at(model: &Model, row: usize) -> u64 {
        model.received.key_at(row)
    }
}
pub(in crate::app) use deciding::{decide, review_settlement, settle, settle_planned, settled};
use std::sync::Arc;
use std::time::Duration;

/// Above this the time left is shown in steps of ten seconds, and above ten minutes in minutes: a console that holds something need
/// not draw every second.
const CLOSE: Duration = Duration::from_secs(30);
const FAR: Duration = Duration::from_secs(600);

/// What the form of a call asks.
pub const CALL_SPEC: PublishSpec = PublishSpec {
    key: false,
    headers: true,
    tombstone: false,
    timestamp: false,
    fields: &[crate::domain::operation::Field {
        id: "wait",
        title: "Wait",
        help: "seconds that replies are waited for; 5 if empty",
        input: Input::Number { min: 1, max: 3_600 },
    }],
};

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
    planning: Option<deciding::Planning>,
    settling: Vec<(TaskId, Vec<Ticket>, Decision)>,
    releasing: Option<TaskId>,
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

/// The columns of the list.
pub fn columns(model: &Model) -> Vec<Column> {
    let mut columns = vec![Column::left("time", 12, 12, 3)];
    if model.received.kind == Kind::Replies {
        columns.push(Column::left("from", 10, 30, 2));
    } else {
        columns.push(Column::left("state", 10, 14, 1));
    }
    if model.received.rows.is_empty() || model.received.counts() {
        columns.push(Column::right("given", 5, 2));
    }
    columns.push(Column::left("key", 9, 24, 4).grow(2));
    columns.push(Column::left("value", 16, 4000, 0).grow(12));
    columns
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
    fn chosen(&self) -> Vec<Ticket> {
        let marks = &self.list.marks;
        let selected = self.selected().map(|row| row.view.id);
        let wanted = |row: &&Row| if marks.is_empty() { Some(row.view.id) == selected } else { marks.contains(&row.view.id) };
        self.rows.iter().filter(wanted).filter(|row| row.state == State::Held).filter_map(|row| row.ticket).collect()
    }

    fn of_ticket(&mut self, ticket: Ticket) -> Option<&mut Row> {
        self.rows.iter_mut().find(|row| row.ticket == Some(ticket))
    }
}

/// Takes messages of a queue and holds them. What was begun with may be the channel that the queue belongs to.
pub(in crate::app) fn hold(model: &mut Model, address: Address, of: Address, most: u32) {
    let task = begin(model, Kind::Held, address.clone(), most);
    model.received.of = Some(of);
    model.jobs.push(Job::new(task, format!("hold messages of {address}").into(), model.now));
    model.effect(Effect::Hold { task, address, most });
}

/// Looks at the first messages of a queue, once what that does to them was agreed to.
pub(in crate::app) fn look(model: &mut Model, address: Address, most: u32, agreed: bool) {
    let task = model.task();
    model.received.task = Some(task);
    if agreed {
        let task = begin(model, Kind::Looked, address.clone(), most);
        model.effect(Effect::Peek { task, address, most, agreed });
    } else {
        model.received = Received { task: Some(task), kind: Kind::Looked, wanted: most, ..Received::default() };
        model.effect(Effect::Peek { task, address, most, agreed });
    }
}

/// Sends a request that was confirmed.
pub(in crate::app) fn call(model: &mut Model, plan: Plan) {
    model.form = None;
    let task = begin(model, Kind::Replies, plan.address().clone(), 0);
    model.back.retain(|screen| *screen != Screen::Publish);
    model.effect(Effect::Call { task, plan });
}

fn begin(model: &mut Model, kind: Kind, address: Address, wanted: u32) -> TaskId {
    let task = model.task();
    model.received = Received { kind, address: Some(address), task: Some(task), started: model.now, wanted, ..Received::default() };
    model.go(Screen::Received);
    model.touch();
    task
}

/// The receiving has begun, or could not.
pub(in crate::app) fn started(model: &mut Model, task: TaskId, result: Result<HoldStart, Fault>) {
    if model.received.task != Some(task) {
        return;
    }
    match result {
        Ok(start) => {
            model.received.hold = Some(start);
            model.received.phase = Phase::Running;
        }
        Err(fault) => {
            model.jobs.retain(|job| job.task != task);
            model.received.task = None;
            model.received.phase = Phase::Failed(fault);
        }
    }
    model.touch();
}

/// Looking would leave marks: that is asked first.
pub(in crate::app) fn cost(model: &mut Model, task: TaskId, address: Address, marks: SafeText) {
    if model.received.task.take_if(|asked| *asked == task).is_some() {
        let most = model.received.wanted;
        model.overlay = Some(Overlay::Confirm(Confirm::Peek { address, most, marks }));
        model.touch();
    }
}

/// Messages came, or what happened to the connection.
pub(in crate::app) fn arrived(model: &mut Model, task: TaskId, arrived: Arrived) {
    let now = model.now;
    let received = &mut model.received;
    if received.task != Some(task) {
        return;
    }
    if received.address.is_none() {
        // Looking costs nothing here: nothing had to be asked.
        received.address.clone_from(&arrived.address);
        received.started = now;
        model.go(Screen::Received);
    }
    let received = &mut model.received;
    if received.phase != Phase::Ended {
        received.phase = Phase::Running;
    }
    if arrived.resumed {
        received.interrupted = None;
    }
    let row = |delivery: crate::domain::view::DeliveryView| Row {
        view: Arc::new(delivery.view),
        ticket: delivery.ticket,
        deliveries: delivery.deliveries,
        redelivered: delivery.redelivered,
        state: if delivery.ticket.is_some() { State::Held } else { State::Open },
        since: now,
    };
    received.rows.extend(arrived.deliveries.into_iter().map(row));
    for ticket in &arrived.lost {
        if let Some(row) = received.of_ticket(*ticket) {
            row.state = State::Lost;
        }
    }
    let why = arrived.interrupted.as_ref().map_or_else(SafeText::default, |fault| match fault.next.as_str() {
        "" => format!(": {}", fault.cause).into(),
        next => format!(": {}; {next}", fault.cause).into(),
    });
    if let Some(fault) = arrived.interrupted {
        received.interrupted = Some(fault);
    }
    if let Some(end) = arrived.end {
        received.phase = match end {
            Ok(()) => Phase::Ended,
            Err(fault) => Phase::Failed(fault),
        };
        if received.kind != Kind::Held {
            received.task = None;
        }
    }
    let lost = arrived.lost.len();
    if lost > 0 {
        say(model, Level::Warning, &format!("{lost} of those held were lost with the connection{why}"));
    }
    retitle(model);
    model.touch();
}

/// What can be done with what is chosen, or why nothing can.
pub fn verbs(model: &Model) -> (&'static [Verb], Result<(), &'static str>) {
    let received = &model.received;
    let Some(start) = received.hold.as_ref().filter(|_| model.screen == Screen::Received && received.is_holding()) else {
        return (&[], Ok(()));
    };
    (start.verbs, if received.chosen().is_empty() { Err("nothing that is held is selected or marked") } else { Ok(()) })
}

/// Esc, `q` and `^C`: out of the detail; then, where messages are held, it is asked. False if there was nothing to leave.
pub(in crate::app) fn leave(model: &mut Model) -> bool {
    let wide = layout::is_wide(model);
    let received = &mut model.received;
    if received.focus == Focus::Detail {
        received.focus = Focus::List;
        if !wide {
            received.detail = None;
        }
    } else if received.detail.take().is_some() {
        // The list keeps its place.
    } else if received.is_holding() {
        ask_release(model);
    } else {
        return false;
    }
    model.touch();
    true
}

/// Asks before what is held goes back; at once where nothing is.
pub(in crate::app) fn ask_release(model: &mut Model) {
    let received = &model.received;
    match (&received.address, &received.hold, received.unsettled(model.now)) {
        (Some(address), Some(HoldStart { left_over, .. }), unsettled @ 1..) => {
            model.overlay = Some(Overlay::Confirm(Confirm::Release { address: address.clone(), unsettled, left_over }));
        }
        _ => release(model),
    }
    model.touch();
}

/// Gives back what was not decided on.
pub(in crate::app) fn release(model: &mut Model) {
    if model.received.releasing.is_some() {
        return;
    }
    match model.received.hold.as_ref().map(|start| start.id) {
        Some(hold) => {
            let task = model.task();
            model.received.releasing = Some(task);
            model.effect(Effect::Release { task, hold });
        }
        // It had not begun yet.
        None => end(model),
    }
}

/// It went back, and how.
pub(in crate::app) fn released(model: &mut Model, task: TaskId, result: Result<SafeText, Fault>) {
    if model.received.releasing.take_if(|releasing| *releasing == task).is_none() {
        return;
    }
    match result {
        Ok(said) => say(model, Level::Info, said.as_str()),
        Err(fault) => fault_said(model, &fault),
    }
    end(model);
}

/// The screen is empty again, and left.
fn end(model: &mut Model) {
    if let Some(task) = model.received.task.take() {
        model.effect(Effect::StopTask(task));
        model.jobs.retain(|job| job.task != task);
    }
    model.received = Received::default();
    model.back.retain(|screen| *screen != Screen::Received);
    if model.screen == Screen::Received {
        crate::app::act::back(model);
    }
    model.touch();
}

/// Time has passed: what is overdue is held no more.
pub(in crate::app) fn tick(model: &mut Model) {
    if model.received.is_holding() {
        retitle(model);
    }
}

/// The job says how many are held.
fn retitle(model: &mut Model) {
    let received = &model.received;
    let Some(address) = received.address.as_ref().filter(|_| received.is_holding()) else { return };
    let title: SafeText = match received.unsettled(model.now) {
        0 => format!("nothing of {address} is unsettled"),
        1 => format!("1 message of {address} is held"),
        n => format!("{n} messages of {address} are held"),
    }
    .into();
    if let Some(job) = model.jobs.iter_mut().find(|job| Some(job.task) == received.task) {
        job.title = title;
    }
}

/// Moves in the list or in the detail.
pub(in crate::app) fn step(model: &mut Model, step: Step) {
    if model.received.focus == Focus::Detail {
        let page = layout::detail_page(model);
        if let Some(detail) = &mut model.received.detail {
            detail.step(step, page);
        }
    } else {
        select(model, step);
    }
    model.touch();
}

/// Moves in the list; the detail shows what is selected then.
fn select(model: &mut Model, step: Step) {
    let (page, len) = (model.page(), model.received.rows.len());
    let mut list = std::mem::take(&mut model.received.list);
    list.step(step, len, page, |row| model.received.key_at(row));
    model.received.list = list;
    if layout::is_wide(model) || model.received.detail.is_some() {
        show(model);
    }
}

/// Enter: the message, then its parts.
pub(in crate::app) fn enter(model: &mut Model) {
    if model.received.focus == Focus::Detail {
        if let Some(detail) = &mut model.received.detail {
            detail.toggle();
        }
    } else if model.received.detail.is_some() {
        model.received.focus = Focus::Detail;
    } else {
        show(model);
        if !layout::is_wide(model) {
            model.received.focus = Focus::Detail;
        }
    }
    model.touch();
}

/// Shows the selected message in the detail pane.
pub(in crate::app) fn show(model: &mut Model) {
    let Some(view) = model.received.selected().map(|row| row.view.clone()) else { return };
    if model.received.detail.as_ref().is_some_and(|detail| detail.view.id == view.id) {
        return;
    }
    if view.message.payload.is_some() {
        model.effect(Effect::Decode { id: view.id, integration: view.address.integration.clone(), message: view.message.clone() });
    }
    let hex = model.received.detail.as_ref().is_some_and(|detail| detail.hex);
    model.received.detail = Some(Detail::new(view, hex));
}
