//! `Session`: a connected integration as a record of optional handles. What a system cannot do is not there.

use crate::domain::channel::{Channel, Description};
use crate::domain::fault::Fault;
use crate::domain::message::{Message, Outgoing};
use crate::domain::operation::PublishSpec;
use crate::domain::position::Range;
use crate::domain::receipt::Receipt;
use async_trait::async_trait;
use futures::stream::BoxStream;
use std::sync::Arc;
use std::time::Duration;

/// A connected integration. Reading handles first; from `publish` on they change the world.
#[derive(Clone)]
pub struct Session {
    pub inspect: Arc<dyn Inspect>,
    pub tail: Option<Arc<dyn Tail>>,
    pub history: Option<Arc<dyn History>>,
    pub publish: Option<Arc<dyn Publish>>,
}

impl Session {
    /// The same session without the handles that change anything.
    #[must_use]
    pub fn read_only(mut self) -> Self {
        self.publish = None;
        self
    }
}

/// What looking does to the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cost {
    /// Nothing that anybody could notice.
    Nothing,
}

/// Health, and what is there.
#[async_trait]
pub trait Inspect: Send + Sync {
    /// One cheap question; the time it took.
    async fn ping(&self) -> Result<Duration, Fault>;

    /// Every channel we may see, internal ones included, in the order of their names.
    async fn channels(&self) -> Result<Vec<Channel>, Fault>;

    /// Everything known of one channel. A channel that is missing from the list may exist and be forbidden: asking by name tells.
    async fn describe(&self, channel: &str) -> Result<Description, Fault>;
}

/// Live messages of one or several channels.
#[async_trait]
pub trait Tail: Send + Sync {
    fn cost(&self) -> Cost;

    /// Starts at the ends that the channels have at the moment of the call; returns once those are known.
    /// The stream never ends by itself; dropping it ends the tail. It reconnects on its own and says so by [`TailEvent`]s.
    async fn tail(&self, channels: &[Arc<str>]) -> Result<BoxStream<'static, TailEvent>, Fault>;
}

/// What a tail says.
#[derive(Clone, Debug, PartialEq)]
pub enum TailEvent {
    /// Messages, in order within each partition.
    Messages(Vec<Message>),
    /// Reading stopped (of the whole or of some partitions); the tail keeps trying.
    Interrupted(Fault),
    /// Reading goes on; `lost` messages could not be read, being deleted or damaged (0 if none, `None` if unknown).
    Resumed { lost: Option<u64> },
}

/// A log read between positions or times.
#[async_trait]
pub trait History: Send + Sync {
    fn cost(&self) -> Cost;

    /// Resolves the range for every partition now, and returns one lane for each partition that has any part of it.
    async fn read(&self, channel: &str, range: Range) -> Result<Reading, Fault>;
}

/// A resolved reading of history.
pub struct Reading {
    pub lanes: Vec<Lane>,
    /// Something the reader should know: that a time bound was found approximately, that part of the range is gone.
    pub notes: Vec<String>,
}

/// One partition's part of a range. Batches come in order and end exactly at the range's end. An error is either something that
/// was passed over (a damaged batch, messages deleted while they were being read) and the lane goes on behind it, or its last item.
pub struct Lane {
    pub partition: Option<i32>,
    /// Upper bound of the messages to come.
    pub at_most: u64,
    pub batches: BoxStream<'static, Result<Vec<Message>, Fault>>,
}

/// Sending messages.
#[async_trait]
pub trait Publish: Send + Sync {
    /// What the publish form of this system asks.
    fn spec(&self) -> &'static PublishSpec;

    /// Publishes one message and waits for the system's promise. Calls may run concurrently; those made in order to one
    /// partition are stored in that order.
    async fn publish(&self, channel: &str, message: Outgoing) -> Result<Receipt, Fault>;

    /// Waits until every message of calls that were given up before their answer is stored or refused; bounded by the system's own
    /// timeout for a message. To be called before the program ends.
    async fn flush(&self) -> Result<(), Fault> {
        Ok(())
    }
}
