//! `Effect`: everything the console asks of the world. The runtime performs them; answers come back as events.

use crate::domain::address::Address;
use crate::domain::delivery::{Effect as Decision, Given, HoldId};
use crate::domain::message::Message;
use crate::domain::operation::{Change, Plan, Request};
use crate::domain::position::{Position, Range};
use crate::domain::view::MessageView;
use bytes::Bytes;
use std::sync::Arc;

/// Names one piece of work, from its effect to its last event. Never used twice in a run of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskId(pub u64);

/// One thing to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Find the profiles there are. Answer: `Profiles`.
    LoadProfiles,
    /// Close what is open and open this (a path of a `ProfileEntry`). Answer: `ProfileOpened` or `ProfileFailed`.
    OpenProfile(Arc<str>),
    /// The same for `kafka://host:9092`.
    OpenUrl(String),
    /// The same for the embedded systems.
    StartDemo,
    /// Keep the channel lists of these integrations fresh: list now, then every few seconds, and send `Channels` each time.
    /// Replaces the watch before it; an integration not named is no longer asked.
    WatchChannels(Vec<Arc<str>>),
    /// Groups are looked at all the time; while `near`, oftener. `rows` are those on the screen, by integration: ask how long they
    /// are behind and send `GroupTimes`. Replaces the focus before it.
    FocusGroups { near: bool, rows: Vec<(Arc<str>, Arc<str>)> },
    /// Look at one group with its partitions and members now, and every few seconds until `StopTask`. Answers: `Group`.
    WatchGroup { task: TaskId, integration: Arc<str>, group: Arc<str> },
    /// Find where dead letters lie, and group them by what they died of, until `StopTask`. Answers: `Failures`.
    ReadFailures { task: TaskId },
    /// Answer: `Described`.
    Describe { task: TaskId, address: Address },
    /// Tail these channels until `StopTask`. Answers: `TailStarted`, then `Tail`. `filter` is a query that was already parsed
    /// without error; empty means everything.
    StartTail { task: TaskId, addresses: Vec<Address>, filter: String },
    /// Read history of these channels, merged by time, until its end, its limit or `StopTask`. Answers: `History`. `limit` counts
    /// messages that pass the filter; the filter's own limit goes before it if it is smaller.
    ReadHistory { task: TaskId, addresses: Vec<Address>, range: Range, limit: u64, filter: String },
    /// Find the ids of this message, and every message that has one of them: in history around its time or this moment, and live
    /// where there is none, until `StopTask`. `window` is what was seen so far of channels that keep no history. Answers: `Follows`,
    /// then `History` and `Tail`.
    Follow { task: TaskId, view: Arc<MessageView>, window: Vec<Arc<MessageView>> },
    /// End this task; nothing more needs to be sent about it.
    StopTask(TaskId),
    /// Find out what a payload is, which the integration's profile may say. Answer: `Decoded`.
    Decode { id: u64, integration: Arc<str>, message: Message },
    /// Get one message with all its bytes. Answer: `Fetched`.
    Fetch { task: TaskId, address: Address, position: Position },
    /// Carry out a plan of one message. Answer: `Published`.
    Publish { task: TaskId, plan: Plan },
    /// Find the ways in which messages of a channel are received. Answer: `ReceiveOptions`.
    ReceiveOptions { task: TaskId, address: Address },
    /// Take messages of a queue and hold them, so many, until `StopTask`. Answers: `HoldStarted`, then `Arrived`. Or `HoldSpends` alone,
    /// unless that was agreed to.
    Hold { task: TaskId, address: Address, most: u32, agreed: bool },
    /// Find out what deciding so on messages of a channel would do there. Answer: `SettlePlanned`.
    PlanSettle { task: TaskId, address: Address, effect: Decision, messages: Vec<Given> },
    /// Carry out a plan of deciding on messages. It is never cut off. Answer: `Settled`.
    Settle { task: TaskId, plan: Plan },
    /// Give back what was not decided on. Answer: `Released`.
    Release { task: TaskId, hold: HoldId },
    /// Look at the first messages of a queue. Unless it was agreed to, only if that leaves no marks. Answers: `PeekMarks` or `Arrived`.
    Peek { task: TaskId, address: Address, most: u32, agreed: bool },
    /// Send the request of a plan. Answers: `Arrived`.
    Call { task: TaskId, plan: Plan },
    /// Work out what a request would do, changing nothing. Answer: `Planned`.
    Plan { task: TaskId, request: Request },
    /// Carry a change out, exactly as planned. It is never cut off. Answer: `Executed`.
    Execute { task: TaskId, change: Arc<Change> },
    /// Arm the profile for its time, if this is its name. Answer: `Armed`.
    Arm(String),
    /// Answer: `Armed`.
    Disarm,
    /// Put something into the clipboard. Answer: `Copied`.
    Copy(Copy),
    /// Open `$EDITOR` on these bytes; `extension` is the temporary file's, for the editor's colours: `json`, `txt` or `bin`. Answer:
    /// `Edited`.
    Edit { purpose: EditPurpose, bytes: Bytes, extension: &'static str },
    /// Write messages to a file as lines of JSON, fetching again those that are not whole. Answer: `Exported`.
    Export { task: TaskId, path: String, messages: Vec<Arc<MessageView>> },
    /// Write all of a channel's history to a file in the same form; a part of it is no file at all. Answer: `Job`.
    ExportChannel { task: TaskId, path: String, address: Address },
    /// Send the lines of this integration's wire log after this number, and new ones as they come, as `Wire`;
    /// `None` ends that.
    WatchWire(Option<(Arc<str>, u64)>),
    /// Whether the terminal reports the mouse.
    Mouse(bool),
    /// Stop the process like any other (Ctrl-Z).
    Suspend,
    /// End the program.
    Quit,
}

/// What goes into the clipboard.
#[derive(Clone, Debug, PartialEq)]
pub enum Copy {
    /// This text, as it is; the second is what it is called.
    Text(String, &'static str),
    /// The key's bytes.
    Key(Arc<MessageView>),
    /// The payload's bytes.
    Value(Arc<MessageView>),
    /// The whole message in the form of `mqdeck tail --json`.
    Json(Arc<MessageView>),
}

/// Why an editor was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EditPurpose {
    /// The value of the publish form.
    Value,
    /// A copy to look at; what becomes of it does not matter.
    Look,
}
