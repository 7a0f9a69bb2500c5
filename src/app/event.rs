//! `Event`: everything that can happen to the console. Keys, time and the answers to effects come in here and nowhere else.

use super::effect::{EditPurpose, TaskId};
use super::screens::dead_letters::state::FailuresFound;
use crate::domain::address::Address;
use crate::domain::channel::{Channel, Description};
use crate::domain::delivery::{HoldId, ReceiveOption, Settles, Ticket, Verb};
use crate::domain::envelope::Id;
use crate::domain::exchange::Exchange;
use crate::domain::fault::Fault;
use crate::domain::health::Link;
use crate::domain::lag::{Behind, Board, GroupView};
use crate::domain::operation::{Change, Done, OperationSpec, PublishSpec};
use crate::domain::receipt::Receipt;
use crate::domain::safety::Safety;
use crate::domain::text::SafeText;
use crate::domain::time::Timestamp;
use crate::domain::view::{Decoded, DeliveryView, MessageView};
pub use crate::domain::view::{TailNote, TailUpdate};
use bytes::Bytes;
use crossterm::event::{KeyEvent, MouseEvent};
use std::sync::Arc;
use std::time::Duration;

/// One thing that happened. Events of a task that the model has replaced are ignored.
#[derive(Clone, Debug)]
pub enum Event {
    /// A key was pressed.
    Key(KeyEvent),
    /// Pasted text; never read as keys.
    Paste(String),
    /// The mouse was moved, turned or pressed.
    Mouse(MouseEvent),
    /// How many cells the terminal has now.
    Resize { width: u16, height: u16 },
    /// What time it is. Sent before every other event that did not come within the same few milliseconds, and when
    /// [`super::Model::next_deadline`] is reached.
    Tick(Timestamp),
    /// The answer to `LoadProfiles`.
    Profiles(Vec<ProfileEntry>),
    /// A profile was opened, at start or by `OpenProfile`, `OpenUrl` or `StartDemo`. Replaces the one before.
    ProfileOpened(Opened),
    /// A profile could not be opened.
    ProfileFailed { name: SafeText, fault: Fault },
    /// Where an integration's connection stands.
    Link { integration: Arc<str>, link: Link },
    /// What can be published through an integration: sent once its session is known. `None`: it cannot publish.
    Publishes { integration: Arc<str>, spec: Option<&'static PublishSpec> },
    /// What can be done to an integration, its channels and groups: sent once its session is known.
    Operations { integration: Arc<str>, operations: &'static [&'static OperationSpec] },
    /// The channels of a watched integration, internal ones included.
    Channels { integration: Arc<str>, result: Result<Vec<Channel>, Fault> },
    /// The groups of an integration, judged anew; `None`: its system has none. Comes by itself while a profile is open.
    Groups { integration: Arc<str>, result: Result<Option<Box<Board>>, Fault> },
    /// How long groups of `FocusGroups` are behind.
    GroupTimes { integration: Arc<str>, times: Vec<(Arc<str>, Behind)> },
    /// The group of `WatchGroup`, anew.
    Group { task: TaskId, result: Result<Box<GroupView>, Fault> },
    /// What `ReadFailures` has found so far.
    Failures { task: TaskId, found: Box<FailuresFound> },
    /// The answer to `Describe`.
    Described { task: TaskId, result: Result<Box<Description>, Fault> },
    /// A live tail runs, or could not start.
    TailStarted { task: TaskId, result: Result<(), Fault> },
    /// What came in a live tail since the last update.
    Tail { task: TaskId, update: TailUpdate },
    /// What came in a reading of history since the last update.
    History { task: TaskId, update: HistoryUpdate },
    /// The ids that `Follow` has found.
    Follows { task: TaskId, ids: Vec<Id> },
    /// What the decoders made of the message with this id.
    Decoded { id: u64, result: Result<Decoded, Fault> },
    /// The answer to `Fetch`: the message with all its bytes.
    Fetched { task: TaskId, result: Result<Box<MessageView>, Fault> },
    /// What became of the message of `Publish`.
    Published { task: TaskId, result: Result<Receipt, Fault> },
    /// The ways in which messages of a channel are received; none where it names all that is needed. And what receiving takes from others.
    ReceiveOptions { task: TaskId, result: Result<Vec<ReceiveOption>, Fault>, warning: Option<SafeText> },
    /// The receiving of `Hold` has begun, or why it could not.
    HoldStarted { task: TaskId, result: Result<HoldStart, Fault> },
    /// What is not decided on may end by being given back, and why: it is taken by another `Hold` once that was agreed to.
    HoldSpends { task: TaskId, spends: Settles },
    /// Looking would leave these marks: it is done by another `Peek` once that was agreed to.
    PeekMarks { task: TaskId, address: Address, marks: SafeText },
    /// Messages of `Hold`, `Peek` or `Call`.
    Arrived { task: TaskId, arrived: Arrived },
    /// What a decision of `PlanSettle` would do.
    SettlePlanned { task: TaskId, result: Result<Settles, Fault> },
    /// What became of messages of `Settle`, in their order.
    Settled { task: TaskId, result: Result<Done, Fault> },
    /// What was held was given back: how, in a sentence.
    Released { task: TaskId, result: Result<SafeText, Fault> },
    /// What a request would do.
    Planned { task: TaskId, result: Result<Arc<Change>, Fault> },
    /// A change has ended: what became of its parts, or what kept it from starting.
    Executed { task: TaskId, result: Result<Done, Fault> },
    /// Until when the profile is armed; `None`: it is not. Or why it cannot be armed.
    Armed(Result<Option<Timestamp>, Fault>),
    /// Progress of long work that runs outside of a screen.
    Job { task: TaskId, update: JobUpdate },
    /// New lines of the wire log that is watched.
    Wire { integration: Arc<str>, lines: Vec<Exchange> },
    /// Something was copied: what it was, in a few words (`value, 214 B`).
    Copied(Result<SafeText, Fault>),
    /// An editor was closed.
    Edited { purpose: EditPurpose, result: Result<Bytes, Fault> },
    /// A file was written.
    Exported { task: TaskId, result: Result<Export, Fault> },
    /// Something to be said that no task asked for.
    Notice(Level, SafeText),
}

/// One profile that could be opened.
#[derive(Clone, Debug, PartialEq)]
pub struct ProfileEntry {
    pub name: SafeText,
    /// What `OpenProfile` is given back.
    pub path: Arc<str>,
    /// `kafka localhost:9092`, one for each integration.
    pub integrations: Vec<SafeText>,
    /// The file cannot be used: why, with its line.
    pub fault: Option<Fault>,
}

/// The profile that was opened.
#[derive(Clone, Debug, PartialEq)]
pub struct Opened {
    pub name: SafeText,
    /// What a command has to be given to open the same: `--profile PATH`, `--url URL`. Nothing can open the demo of another process.
    pub options: Vec<String>,
    /// Embedded systems, not somebody's real ones.
    pub demo: bool,
    /// What may be changed, and what has to be armed first.
    pub safety: Safety,
    /// Some integration does not check its server's certificate.
    pub unverified_tls: bool,
    pub integrations: Vec<OpenedIntegration>,
    /// An address to start with on the Traffic screen (`mqdeck --url kafka://host/topic`, the demo).
    pub show: Option<Address>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct OpenedIntegration {
    pub name: Arc<str>,
    /// `Kafka`.
    pub system: &'static str,
    /// `localhost:9092`, the first of several.
    pub endpoint: SafeText,
}

/// A receiving that has begun.
#[derive(Clone, Debug, PartialEq)]
pub struct HoldStart {
    pub id: HoldId,
    /// What can be done with its messages.
    pub verbs: &'static [Verb],
    /// How long the system waits for a decision; `None` if for ever, or if it does not say.
    pub ack_timeout: Option<Duration>,
    /// What becomes of a message that was not decided on when the receiving ends: the end of a sentence about it.
    pub left_over: &'static str,
}

/// What came of a queue or of a service.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Arrived {
    /// Whose they are, where the screen was not opened for it yet.
    pub address: Option<Address>,
    pub deliveries: Vec<DeliveryView>,
    /// The connection broke; it is made again where more is to come.
    pub interrupted: Option<Fault>,
    /// It is there again.
    pub resumed: bool,
    /// Tickets that were lost with it.
    pub lost: Vec<Ticket>,
    /// No more will come.
    pub end: Option<Result<(), Fault>>,
}

/// What came in a reading of history since the last update.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HistoryUpdate {
    /// Messages that passed the filter, in the order of reading.
    pub views: Vec<MessageView>,
    /// Totals since the reading started.
    pub scanned: u64,
    pub matched: u64,
    pub filter_errors: u64,
    pub bytes: u64,
    /// Upper bound of the messages in the range; `None` until it is known.
    pub at_most: Option<u64>,
    pub notes: Vec<SafeText>,
    /// Partitions that ended early; the others go on.
    pub faults: Vec<Fault>,
    /// How far a search is, or its closing report; nothing where there is no query.
    pub said: Option<SafeText>,
    /// The reading has ended, well or not.
    pub end: Option<Result<(), Fault>>,
}

/// Progress of a job.
#[derive(Clone, Debug, PartialEq)]
pub struct JobUpdate {
    pub title: SafeText,
    pub done: u64,
    pub total: Option<u64>,
    /// It has ended; what there is to say about it.
    pub end: Option<Result<SafeText, Fault>>,
}

/// A file that was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Export {
    pub path: SafeText,
    pub messages: usize,
    pub bytes: u64,
}

/// How much a notice matters: how long it stays, and its glyph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Stays four seconds.
    Info,
    /// Stays eight seconds.
    Warning,
    /// Stays until it is dismissed.
    Error,
}
