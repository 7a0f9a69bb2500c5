//! `Failure`: what is known of how a message died. What nobody says is `None` or empty, never a guess.

use super::super::query;
use super::super::text::SafeText;
use super::super::time::Timestamp;
use std::sync::Arc;

/// How a message died, as its headers, its payload or the system say it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failure {
    pub origin: Origin,
    /// Why, in the system's word or the library's sentence: `rejected`, `expired`, `maxlen`, `delivery_limit`, `MaxDeliveryCountExceeded`.
    pub reason: Option<SafeText>,
    /// The type of the exception that whoever gave up saw.
    pub exception: Option<SafeText>,
    /// The type of the innermost exception, where it is not that one.
    pub cause: Option<SafeText>,
    pub message: Option<SafeText>,
    /// A line each, as they came.
    pub stack: Vec<SafeText>,
    pub attempts: Option<u64>,
    /// When it failed first and last.
    pub first: Option<Timestamp>,
    pub last: Option<Timestamp>,
    /// Oldest first.
    pub deaths: Vec<Death>,
    /// The replay of ours that sent it before it died, by the mark that it left.
    pub replayed: Option<Replayed>,
    /// The dialect that reason, exception, cause, message and stack came from.
    pub cause_from: Option<Arc<str>>,
    /// The dialect that origin and deaths came from.
    pub route_from: Option<Arc<str>>,
}

/// Where a message was before it died. Names are as channels are named in addresses, with their kind where the dialect says one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    pub channel: Option<Arc<str>>,
    pub partition: Option<i32>,
    /// The offset, sequence or whatever else numbers the messages of that channel.
    pub position: Option<i64>,
    /// When the message was made or stored there.
    pub timestamp: Option<Timestamp>,
    /// The group, consumer, connector or handler that failed.
    pub consumer: Option<Arc<str>>,
    /// The exchange that it had been published to; the default one is an empty text.
    pub exchange: Option<Arc<str>>,
    pub routing_keys: Vec<Arc<str>>,
}

/// One time that a message died: in which channel, why, how often, when first and last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Death {
    pub channel: Option<Arc<str>>,
    pub exchange: Option<Arc<str>>,
    pub routing_keys: Vec<Arc<str>>,
    pub reason: Option<SafeText>,
    pub count: Option<u64>,
    pub first: Option<Timestamp>,
    pub last: Option<Timestamp>,
}

/// A replay that sent a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    pub run: Option<SafeText>,
    /// The letter that it was.
    pub letter: Option<SafeText>,
    /// The how-manieth time it is.
    pub attempt: Option<u64>,
}

impl Death {
    /// When it died so last. A broker that counts deaths of one kind and tells the time of the first leaves the last unknown.
    pub fn moment(&self) -> Option<Timestamp> {
        self.last.or_else(|| self.first.filter(|_| self.count == Some(1)))
    }
}

impl Failure {
    /// The type that names the failure: that of the innermost exception that is known.
    pub fn named(&self) -> Option<&SafeText> {
        self.cause.as_ref().or(self.exception.as_ref())
    }

    /// What a query may ask of it.
    pub fn query(&self) -> query::Failure<'_> {
        query::Failure {
            reason: self.reason.as_ref().map(SafeText::as_str),
            exception: self.exception.as_ref().map(SafeText::as_str),
            origin: self.origin.channel.as_deref(),
            attempts: self.attempts,
        }
    }
}
