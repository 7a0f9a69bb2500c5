//! `Delivery`: a message that is held unsettled, and what can be done with it.

use super::message::Message;
use super::spec::{Field, Risk};
use super::text::SafeText;
use bytes::Bytes;
use std::sync::Arc;

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

/// What is known of a message that is to be settled, as far as its fate depends on it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Given {
    pub key: Option<Bytes>,
    /// As in [`Delivery::deliveries`].
    pub deliveries: Option<u64>,
    pub redelivered: bool,
}

impl From<&Delivery> for Given {
    fn from(delivery: &Delivery) -> Self {
        // A part of what it was read from would keep all of that in memory, the message with it.
        let key = delivery.message.key.as_deref().map(Bytes::copy_from_slice);
        Self { key, deliveries: delivery.deliveries, redelivered: delivery.redelivered }
    }
}

/// What settling messages does on their channel: found out by the adapter beforehand, and part of the plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settles {
    /// [`Risk::Destroy`] where messages are deleted by it that somebody may expect to be kept, or where that cannot be ruled out.
    pub risk: Risk,
    /// What happens, with the number of messages: `DELETES 1 message: this queue has no dead-letter exchange`.
    pub summary: SafeText,
}

impl Settles {
    /// What can be confirmed like any change of one message or of many.
    pub fn usual(summary: impl Into<SafeText>) -> Self {
        Self { risk: Risk::Reversible, summary: summary.into() }
    }

    /// What deletes messages, or may.
    pub fn destroys(summary: impl Into<SafeText>) -> Self {
        Self { risk: Risk::Destroy, summary: summary.into() }
    }
}

/// Names one held message: the connection it came by, and its number there. Tickets of a connection that is gone may be lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket {
    pub epoch: u64,
    pub id: u64,
}

/// Names one receiving of a gateway: what is held by it is settled through it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HoldId(pub u64);

/// One way to receive from a channel whose messages are given to somebody by name: a group of a stream, a consumer of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiveOption {
    /// The group's or consumer's own name; show it through [`SafeText`].
    pub name: Arc<str>,
    /// The channel to receive from in this way: `stream:jobs/workers`.
    pub channel: Arc<str>,
    /// How it stands, in a few words: `12 behind, 3 pending`.
    pub about: SafeText,
}

/// One thing that can be done with a held message, by the system's own word.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub struct Verb {
    /// What it means to us; commands name it by this.
    pub effect: Effect,
    /// The system's own word: `nak`, `term`, `reject`.
    pub word: &'static str,
    /// One line: what becomes of the message.
    pub help: &'static str,
    /// Its arguments: a delay, a reason.
    pub fields: &'static [Field],
}

impl Verb {
    /// What it does, the system's word for it, and one line about what becomes of the message.
    pub const fn new(effect: Effect, word: &'static str, help: &'static str) -> Self {
        Self { effect, word, help, fields: &[] }
    }

    /// Its arguments; none without this.
    pub const fn asks(self, fields: &'static [Field]) -> Self {
        Self { fields, ..self }
    }
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

impl Settlement {
    /// Checks that a verb of the channel does this, and the arguments against its fields; the error says what would be right.
    pub fn check(&self, verbs: &[Verb]) -> Result<(), String> {
        let verb = verbs.iter().find(|verb| verb.effect == self.effect).ok_or_else(|| {
            let can: Vec<&str> = verbs.iter().map(|verb| verb.effect.word()).collect();
            format!("this channel has no {}: it has {}", self.effect.word(), can.join(", "))
        })?;
        for (id, value) in &self.arguments {
            let field = verb.fields.iter().find(|field| field.id == id).ok_or_else(|| {
                let known: Vec<&str> = verb.fields.iter().map(|field| field.id).collect();
                let has = if known.is_empty() { "no fields".to_owned() } else { known.join(", ") };
                format!("{} has no field `{id}`: it has {has}", verb.word)
            })?;
            field.check(value)?;
        }
        Ok(())
    }
}

impl Effect {
    /// What was done with a message, in a word.
    pub fn done(self) -> &'static str {
        match self {
            Self::Ack => "acked",
            Self::Requeue => "requeued",
            Self::Reject => "rejected",
            Self::Extend => "extended",
        }
    }

    /// Whether the message is still held afterwards.
    pub fn keeps(self) -> bool {
        self == Self::Extend
    }

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
