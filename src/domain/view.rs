//! A message as it is looked at: made by the gateway's `ingest` alone, bounded in size, and safe to draw.

use super::address::Address;
use super::delivery::Ticket;
use super::fault::Fault;
use super::figure;
use super::message::Message;
use super::text::SafeText;
use super::value::Value;
use std::sync::Arc;

/// One message in a window of messages.
#[derive(Clone, Debug, PartialEq)]
pub struct MessageView {
    /// Unique in this run of the program; selection follows it.
    pub id: u64,
    pub address: Address,
    /// The tenant that the profile finds in the channel's name.
    pub tenant: Option<SafeText>,
    pub key: Option<SafeText>,
    /// The payload in one line, cut to what a wide screen shows.
    pub preview: Preview,
    /// Bytes of key, headers and payload on the wire, also where `message` holds less.
    pub size: usize,
    /// The message itself, with its payload cut to the window's limit.
    pub message: Message,
    /// Whether `message` holds every byte. If not, copying, editing and sending again fetch it first.
    pub whole: bool,
}

impl MessageView {
    /// Whether all its bytes are here, or can be fetched from where it is stored.
    pub fn is_within_reach(&self) -> bool {
        self.whole || self.message.position.is_lasting()
    }
}

/// A message of a queue as it is looked at.
#[derive(Clone, Debug, PartialEq)]
pub struct DeliveryView {
    pub view: MessageView,
    /// What it is settled by; `None` for a message that is not held.
    pub ticket: Option<Ticket>,
    /// How many times it was given out, this time included, where the system counts.
    pub deliveries: Option<u64>,
    pub redelivered: bool,
}

/// What stands in the value column.
#[derive(Clone, Debug, PartialEq)]
pub enum Preview {
    /// There is no payload.
    Tombstone,
    /// The payload has no bytes.
    Empty,
    Text(SafeText),
    /// Bytes that are no text: the start of them in hex.
    Binary(SafeText),
}

/// On which side messages of a tail were skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// They came, and found no room: whoever reads the tail is slower than what comes.
    Ours,
    /// The system says that it dropped them for readers that were too slow. It does not say whose they were.
    Theirs,
}

impl Side {
    /// What is said of so many; `None` where it is not known how many there were.
    pub fn skipped(self, count: Option<u64>) -> String {
        let messages = match count {
            None => "messages".to_owned(),
            Some(1) => "1 message".to_owned(),
            Some(count) => figure::several(count, "message"),
        };
        match self {
            Self::Ours => format!("{messages} skipped: more comes than is taken here"),
            Self::Theirs => format!("the system dropped {messages} for slow readers, maybe this one"),
        }
    }
}

/// What the decoders made of a payload.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded {
    /// `JSON`, `MessagePack`, `Confluent`, `text`, `bytes`.
    pub format: &'static str,
    /// Why that decoder: `by content`, `by header content-type`, `Confluent wire format, schema id 17`.
    pub why: SafeText,
    /// `None` where there is nothing to decode (no payload).
    pub value: Option<Value>,
    /// What the reader should know: duplicate keys, a schema that is not decoded, a payload that was cut.
    pub notes: Vec<SafeText>,
}

/// The counts of a live view: everything that came, what the window still holds, and what it let go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub seen: u64,
    pub bytes: u64,
}

/// What came in a tail since the last update.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TailUpdate {
    /// The newest of the messages that passed the filter, oldest first. Fewer than `matched` grew by, if more came than a window holds.
    pub views: Vec<MessageView>,
    /// Totals since the tail started, exact, before the filter.
    pub counts: Counts,
    /// Messages since the tail started that passed the filter; the same as `counts.seen` without one.
    pub matched: u64,
    /// Messages since the tail started on which the filter failed (not: was false).
    pub filter_errors: u64,
    pub notes: Vec<TailNote>,
}

/// Something about the reading itself.
#[derive(Clone, Debug, PartialEq)]
pub enum TailNote {
    /// Reading stopped; the tail keeps trying.
    Interrupted { integration: Arc<str>, fault: Fault },
    /// Reading goes on; this many messages were gone before they could be read (`None`: unknown).
    Resumed { integration: Arc<str>, lost: Option<u64> },
    /// So many messages are missing (`None`: at least one).
    Skipped { integration: Arc<str>, count: Option<u64>, side: Side },
    /// What is written already is held back: why; `None` when that is over.
    Waits { integration: Arc<str>, why: Option<SafeText> },
}
