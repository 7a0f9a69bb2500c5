//! What can be done to the world: operations as data, their forms, and the plan that every one of them starts with.

use super::address::Address;
use super::channel::Table;
use super::fault::Fault;
use super::figure::Amount;
use super::message::Outgoing;
use super::text::SafeText;
use std::sync::Arc;

/// How much an operation can hurt; the confirmation ladder goes by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Risk {
    /// Changes nothing.
    Read,
    /// One message or one reversible change: confirmed by `y`.
    Reversible,
    /// Touches many messages or a whole group: confirmed by typing how many.
    Bulk,
    /// Takes something away for good: the profile must be armed, and the address is typed.
    Destroy,
}

/// What an operation is done to; an address says which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// The whole system, or something of it that is not there yet: creating a channel.
    Integration,
    Channel,
    /// The group stands in the address's place of the channel, with the kind `group`: `events/group:payments`.
    Group,
}

/// One operation: its id, name, risk, the permission it needs and the fields of its form.
#[derive(Debug, PartialEq, Eq)]
pub struct OperationSpec {
    /// Stable name for permissions, audit and `--plan`: `publish`.
    pub id: &'static str,
    pub title: &'static str,
    /// One line: what it does.
    pub help: &'static str,
    pub risk: Risk,
    pub permission: &'static str,
    pub on: Target,
    pub fields: &'static [Field],
}

/// Publishing one or more messages.
pub const PUBLISH: OperationSpec = OperationSpec {
    id: "publish",
    title: "Publish",
    help: "sends messages to a channel",
    risk: Risk::Reversible,
    permission: "messages:publish",
    on: Target::Channel,
    fields: &[],
};

/// What a system's publish form asks beside key, headers and payload.
#[derive(Debug, PartialEq, Eq)]
pub struct PublishSpec {
    /// Whether messages have keys here.
    pub key: bool,
    pub headers: bool,
    /// Whether a message without a payload means something here.
    pub tombstone: bool,
    pub timestamp: bool,
    pub fields: &'static [Field],
}

/// One field of a generic form.
#[derive(Debug, PartialEq, Eq)]
pub struct Field {
    pub id: &'static str,
    pub title: &'static str,
    /// One line: what it does, and its default.
    pub help: &'static str,
    pub input: Input,
}

/// How a field is filled in.
#[derive(Debug, PartialEq, Eq)]
pub enum Input {
    Text,
    /// A whole number within these bounds.
    Number {
        min: i64,
        max: i64,
    },
    /// One of these words; the first is the default.
    Choice(&'static [&'static str]),
}

/// What is about to be done, frozen: shown, confirmed, permitted and then carried out exactly so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    Publish {
        address: Address,
        messages: Vec<Outgoing>,
    },
    /// A change to the system itself, as its adapter planned it.
    Change(Arc<Change>),
}

/// What is asked for: an operation, on what, with which arguments. From it an adapter makes a [`Change`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub spec: &'static OperationSpec,
    pub address: Address,
    /// By the ids of the operation's fields; a field left out has its default.
    pub arguments: Vec<(String, String)>,
}

/// A request worked out against the system as it is: what will happen, to how much, and how it can be taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub request: Request,
    /// One sentence: what will happen.
    pub summary: SafeText,
    /// The preview, part by part.
    pub tables: Vec<Table>,
    /// Messages that are deleted, skipped or read again.
    pub touches: Amount,
    /// What the operator should know before: what cannot be undone, what was only estimated.
    pub notes: Vec<SafeText>,
    /// Why it cannot be carried out as things stand: members are active.
    pub refused: Option<Fault>,
    /// The exact steps in the adapter's own form. What is carried out is this and nothing else; the digest is made of it.
    pub steps: Arc<str>,
    /// What takes it back, as long as nothing else has happened since.
    pub undo: Option<Request>,
}

/// What became of the parts of a change (a partition, a topic), in their order. One may fail while others were done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Done {
    pub parts: Vec<(SafeText, Result<SafeText, Fault>)>,
}

impl Request {
    /// The value of a field, if it was given.
    pub fn argument(&self, id: &str) -> Option<&str> {
        self.arguments.iter().find(|(name, _)| name == id).map(|(_, value)| value.as_str())
    }
}

impl Plan {
    pub fn spec(&self) -> &'static OperationSpec {
        match self {
            Self::Publish { .. } => &PUBLISH,
            Self::Change(change) => change.request.spec,
        }
    }

    pub fn address(&self) -> &Address {
        match self {
            Self::Publish { address, .. } => address,
            Self::Change(change) => &change.request.address,
        }
    }
}

impl Field {
    /// Checks what was typed; the error says what would be right.
    pub fn check(&self, text: &str) -> Result<(), String> {
        match self.input {
            Input::Text => Ok(()),
            Input::Number { min, max } => match text.parse::<i64>() {
                Ok(n) if (min..=max).contains(&n) => Ok(()),
                _ => Err(format!("{}: `{text}` is not a whole number from {min} to {max}", self.title)),
            },
            Input::Choice(words) if words.contains(&text) => Ok(()),
            Input::Choice(words) => Err(format!("{}: `{text}` is not one of {}", self.title, words.join(", "))),
        }
    }
}
