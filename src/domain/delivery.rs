//! `Delivery`: a message that is held unsettled, and what can be done with it.

use super::message::Message;
use super::operation::Field;

/// A message given to us, not settled yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// What it is settled by; `None` for a message that was only looked at.
    pub ticket: Option<Ticket>,
    pub message: Message,
    /// How many times it has been given to somebody, this time included; `None` where the system does not count.
    pub deliveries: Option<u64>,
    /// Somebody had it before.
    pub redelivered: bool,
}

/// Names one held message: the connection it came by, and its number there. Tickets of a connection that is gone may be lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket {
    pub epoch: u64,
    pub id: u64,
}

/// One thing that can be done with a held message, by the system's own word.
#[derive(Debug, PartialEq, Eq)]
pub struct Verb {
    /// What it means to us; commands name it by this.
    pub effect: Effect,
    /// The system's own word: `nak`, `term`, `basic.reject`.
    pub word: &'static str,
    /// One line: what becomes of the message.
    pub help: &'static str,
    /// Its arguments: a delay, a reason.
    pub fields: &'static [Field],
}

/// What settling means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effect {
    /// Done; it is gone.
    Ack,
    /// Back to the queue.
    Requeue,
    /// Refused for good: to the dead letters where there are any.
    Reject,
    /// More time to decide.
    Extend,
}

/// A verb with its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    pub effect: Effect,
    /// By the ids of the verb's fields.
    pub arguments: Vec<(String, String)>,
}

impl Effect {
    /// As commands and menus spell it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ack => "ack",
            Self::Requeue => "requeue",
            Self::Reject => "reject",
            Self::Extend => "extend",
        }
    }
}
