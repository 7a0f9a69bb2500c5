//! What can be done to the world: operations as data, their forms, and the plan that every one of them starts with.

use super::address::Address;
use super::message::Outgoing;

/// How much an operation can hurt; the confirmation ladder goes by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Risk {
    /// Changes nothing.
    Read,
    /// One message or one reversible change: confirmed by `y`.
    Reversible,
}

/// One operation: its id, name, risk, the permission it needs and the fields of its form.
#[derive(Debug, PartialEq, Eq)]
pub struct OperationSpec {
    /// Stable name for permissions, audit and `--plan`: `publish`.
    pub id: &'static str,
    pub title: &'static str,
    pub risk: Risk,
    pub permission: &'static str,
}

/// Publishing one or more messages.
pub const PUBLISH: OperationSpec =
    OperationSpec { id: "publish", title: "Publish", risk: Risk::Reversible, permission: "messages:publish" };

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
    Publish { address: Address, messages: Vec<Outgoing> },
}

impl Plan {
    pub fn spec(&self) -> &'static OperationSpec {
        match self {
            Self::Publish { .. } => &PUBLISH,
        }
    }

    pub fn address(&self) -> &Address {
        match self {
            Self::Publish { address, .. } => address,
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
