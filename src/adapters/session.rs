//! `Session`: a connected integration as a record of optional handles. What a system cannot do is not there.

use crate::domain::channel::{Channel, Cost, Description};
use crate::domain::dead_letter::place::{Assumptions, DeadLetterMap, Letter};
use crate::domain::delivery::{Delivery, Effect, Given, ReceiveOption, Settlement, Settles, Verb};
use crate::domain::fault::{Fault, Kind};
use crate::domain::group::{GroupDescription, GroupOffset, Listing, Mark, Source, Stamped};
use crate::domain::message::{Message, Outgoing};
use crate::domain::operation::{Change, Done, OperationSpec, PublishSpec, Request};
use crate::domain::position::Range;
use crate::domain::receipt::Receipt;
use crate::domain::search::{ChunkHint, MessageFilter, ScanBatch, Scope};
use crate::domain::tail::TailEvent;
use crate::domain::text::SafeText;
use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::BoxStream;
use std::sync::Arc;
use std::time::Duration;

/// A connected integration. Reading handles first; from `publish` on they change the world.
#[derive(Clone)]
pub struct Session {
    pub inspect: Arc<dyn Inspect>,
    pub tail: Option<Arc<dyn Tail>>,
    pub history: Option<Arc<dyn History>>,
    pub peek: Option<Arc<dyn Peek>>,
    pub groups: Option<Arc<dyn Groups>>,
    pub dead_letters: Option<Arc<dyn DeadLetters>>,
    pub publish: Option<Arc<dyn Publish>>,
    pub transact: Option<Arc<dyn Transact>>,
    pub hold: Option<Arc<dyn Hold>>,
    pub call: Option<Arc<dyn Call>>,
    pub manage: Option<Arc<dyn Manage>>,
}

impl Session {
    /// A session that can do nothing but be looked at; adapters add their handles to it.
    pub fn new(inspect: Arc<dyn Inspect>) -> Self {
        Self {
            inspect,
            tail: None,
            history: None,
            peek: None,
            groups: None,
            dead_letters: None,
            publish: None,
            transact: None,
            hold: None,
            call: None,
            manage: None,
        }
    }

    /// The same session without the handles that change anything.
    #[must_use]
    pub fn read_only(self) -> Self {
        Self { publish: None, transact: None, hold: None, call: None, manage: None, ..self }
    }
}

/// What was seen of a queue.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Looked {
    pub deliveries: Vec<Delivery>,
    /// More were wanted and may be there: these have as many bytes as one look keeps.
    pub cut: bool,
    /// Messages that were ready before and after the look, where the system counts them: others may have changed them meanwhile.
    pub ready: Option<(u64, u64)>,
    /// What the messages do not show, a sentence each.
    pub notes: Vec<SafeText>,
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
    /// Dropping the stream ends the tail. It reconnects on its own and says so by [`TailEvent`]s, and ends by itself only where the
    /// profile says that a lost connection is not tried again: then its last word is the [`TailEvent::Interrupted`] that says why.
    async fn tail(&self, channels: &[Arc<str>]) -> Result<BoxStream<'static, TailEvent>, Fault>;
}

/// A log searched between positions or times.
#[async_trait]
pub trait History: Send + Sync {
    fn cost(&self) -> Cost;

    /// Resolves the range for every partition now, and returns one lane for each partition that has any part of it. Only what a sieve keeps
    /// is made into messages. The scope is a hint; what lies outside of it may be looked at all the same.
    async fn scan(&self, channel: &str, scope: &Scope, filter: Arc<dyn MessageFilter>) -> Result<Scan, Fault>;
}

/// A log of which whole messages come, where a sieve could not look at their bytes before.
#[async_trait]
pub trait Log: Send + Sync {
    fn cost(&self) -> Cost;

    /// Resolves the range for every partition now, and returns one lane for each partition that has any part of it.
    async fn read(&self, channel: &str, range: Range) -> Result<Reading, Fault>;
}

#[async_trait]
impl<L: Log> History for L {
    fn cost(&self) -> Cost {
        Log::cost(self)
    }

    async fn scan(&self, channel: &str, scope: &Scope, filter: Arc<dyn MessageFilter>) -> Result<Scan, Fault> {
        let reading = self.read(channel, scope.range).await?;
        let wanted = |lane: &Lane| lane.partition.is_none_or(|partition| scope.holds(partition));
        let lanes = reading.lanes.into_iter().filter(wanted).map(|lane| ScanLane::over(lane, filter.clone())).collect();
        Ok(Scan { lanes, notes: reading.notes })
    }
}

/// A search that was resolved.
pub struct Scan {
    pub lanes: Vec<ScanLane>,
    pub notes: Vec<String>,
}

/// One partition's part of a search. Items and errors come as in a [`Lane`].
pub struct ScanLane {
    pub partition: Option<i32>,
    /// Upper bound of the messages to look at.
    pub at_most: u64,
    pub batches: BoxStream<'static, Result<ScanBatch, Fault>>,
}

impl ScanLane {
    /// Sifts the messages of a lane that gives all of them.
    fn over(lane: Lane, filter: Arc<dyn MessageFilter>) -> Self {
        let mut reached = None;
        let scan = move |batch: Result<Vec<Message>, Fault>| {
            batch.map(|messages| {
                let mut scanned = ScanBatch { reached, ..ScanBatch::default() };
                for message in &messages {
                    scanned.take(&*filter, ChunkHint::default(), &message.into(), || message.detached());
                }
                scanned.counts.passed = messages.len() as u64;
                scanned.last = messages.last().filter(|last| last.position.is_lasting()).map(|last| (last.channel.clone(), last.position));
                reached = scanned.reached;
                scanned
            })
        };
        Self { partition: lane.partition, at_most: lane.at_most, batches: lane.batches.map(scan).boxed() }
    }
}

/// A resolved reading of history.
pub struct Reading {
    pub lanes: Vec<Lane>,
    /// Something the reader should know: that a time bound was found approximately, that part of the range is gone.
    pub notes: Vec<String>,
}

impl Reading {
    /// Leaves out what is stamped outside of a range of times.
    #[must_use]
    pub fn within(mut self, range: Range) -> Self {
        if range.is_timed() {
            let inside = move |mut messages: Vec<Message>| {
                messages.retain(|message| range.admits(message.timestamp));
                messages
            };
            for lane in &mut self.lanes {
                let all = std::mem::replace(&mut lane.batches, futures::stream::empty().boxed());
                let some = all.map(move |batch| batch.map(inside));
                lane.batches = some.filter(|batch| futures::future::ready(!batch.as_ref().is_ok_and(Vec::is_empty))).boxed();
            }
        }
        self
    }
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

/// Looking at the first messages of a queue, which are given back.
#[async_trait]
pub trait Peek: Send + Sync {
    /// What looking at this channel does to it, found out now.
    async fn cost(&self, channel: &str) -> Result<Cost, Fault>;

    /// Up to `most` messages from the head of the queue, in its order. What was looked at has been given back when this returns.
    async fn peek(&self, channel: &str, most: usize) -> Result<Looked, Fault>;

    /// Messages that are ready now, to be compared before and after some were given back: fewer than `expected` are counted again for as
    /// long as that may take. `None` where nobody counts.
    async fn ready(&self, _channel: &str, _expected: u64) -> Result<Option<u64>, Fault> {
        Ok(None)
    }
}

/// Who consumes, and how far they are.
#[async_trait]
pub trait Groups: Send + Sync {
    /// Every group we may see, and those that the profile names. Fails only if nothing could be listed and the profile names none.
    async fn groups(&self) -> Result<Listing, Fault>;

    /// How far these groups are in every partition that they have a position or a member in, in the order asked. Positions are
    /// asked for before ends. A group that fails has its own fault.
    async fn group_offsets(&self, groups: &[Arc<str>]) -> Result<Vec<Result<Vec<GroupOffset>, Fault>>, Fault>;

    async fn describe(&self, group: &str) -> Result<GroupDescription, Fault>;

    /// When the messages at these marks were made, in the order asked: for the time that a group is behind.
    async fn timestamps(&self, marks: &[Mark]) -> Vec<Stamped>;
}

/// Where messages go that fail, by what the system itself is configured to do, and what will lose them. Changes nothing.
#[async_trait]
pub trait DeadLetters: Send + Sync {
    /// Every path that is configured, and what is wrong with it. Fails if nothing can be known of any; what could not be read of some is in
    /// the map's gaps.
    async fn map(&self, assumed: &Assumptions) -> Result<DeadLetterMap, Fault>;

    /// The letters of a place of the map, as far as there are any now, in the order in which they are recorded. An error is either a
    /// letter that was passed over, or the last item.
    async fn letters(&self, place: &str, _assumed: &Assumptions) -> Result<BoxStream<'static, Result<Vec<Letter>, Fault>>, Fault> {
        Err(Fault::new(Kind::Usage, "read dead letters of", place, "this system keeps dead letters in channels of their own")
            .next("read the channel itself"))
    }
}

/// Publishing and consuming, all or nothing.
#[async_trait]
pub trait Transact: Send + Sync {
    /// Begins a session of transactions under a name of its own. Another one of the same name is fenced off, and what it has open is
    /// aborted. With a source it joins the source's group; the name is also that of the member, so that a program that was killed
    /// takes its place again without a rebalance.
    async fn begin(&self, name: &str, source: Option<Source>) -> Result<Box<dyn Transaction>, Fault>;
}

/// One transaction after another: what was taken, published and consumed since the last end takes effect together, or not at all.
///
/// A call whose future was dropped before its answer leaves the transaction undecided: until [`Transaction::abort`] every call fails.
#[async_trait]
pub trait Transaction: Send {
    /// Up to `most` next messages of the source, in order within each partition; waits up to `wait` for the first, and not at all for
    /// more. They are consumed when the transaction is committed, and come again when it is not.
    ///
    /// Fails with [`Kind::Timeout`] if another member was given partitions that the transaction
    /// had taken from: it was aborted, and the next one may begin.
    async fn take(&mut self, most: usize, wait: Duration) -> Result<Vec<Message>, Fault>;

    /// Hands a message over. Whether it could be stored is known when the transaction is committed.
    async fn publish(&mut self, channel: &str, message: Outgoing) -> Result<(), Fault>;

    /// The next positions of a group that has no members (a run's own bookkeeping), as part of the transaction.
    async fn consumed(&mut self, group: &str, positions: &[Mark]) -> Result<(), Fault>;

    /// Ends the transaction with effect. After a fault it is either aborted or undecided, which the fault says; both are followed by
    /// [`Transaction::abort`].
    async fn commit(&mut self) -> Result<(), Fault>;

    /// Ends the transaction without effect, and goes back to what was taken. One that is undecided is settled first: if it turns out
    /// to have been committed, what it took does not come again.
    async fn abort(&mut self) -> Result<(), Fault>;

    /// Aborts what is open and ends the session. A session that is dropped does the same in the background.
    async fn end(self: Box<Self>) -> Result<(), Fault>;
}

/// Receiving messages without settling them yet.
#[async_trait]
pub trait Hold: Send + Sync {
    /// What can be done with a message that is held; the system's own words with their arguments.
    fn verbs(&self, channel: &str) -> &'static [Verb];

    /// What receiving takes from others that nobody can give them back, said before it begins; `None` where what is not settled goes back.
    fn warning(&self, _channel: &str) -> Option<&'static str> {
        None
    }

    /// What giving messages back undecided may do to them: a limit of deliveries, behind which they end. `None` where it does nothing;
    /// reversible where it could not be found out whether there is such a limit.
    async fn spends(&self, _channel: &str) -> Result<Option<Settles>, Fault> {
        Ok(None)
    }

    /// How long the system waits for a decision before it gives a message to somebody else; `None` if it waits for ever or does not say.
    async fn ack_timeout(&self, channel: &str) -> Result<Option<Duration>, Fault>;

    /// What becomes of a message that was not decided on when the receiving ends or its connection breaks: the end of a sentence about it.
    fn unsettled_fate(&self, channel: &str) -> &'static str;

    /// Whether what is held outlives the connection that it came by.
    fn outlives_connections(&self, _channel: &str) -> bool {
        false
    }

    /// What settling these messages of the channel would do, found out now and changing nothing. What cannot be found out is assumed to
    /// be the worst.
    async fn settles(&self, channel: &str, effect: Effect, messages: &[Given]) -> Result<Settles, Fault>;

    /// In which ways messages of a channel are received, where its system gives them to somebody by name. Empty: as they are, the channel
    /// names all that is needed. That there is none to receive in is an error, which says how one is made.
    async fn receive_options(&self, _channel: &str) -> Result<Vec<ReceiveOption>, Fault> {
        Ok(Vec::new())
    }

    /// Starts to receive, `most` unsettled messages at a time. Ends when dropped: what is not settled goes back as the system gives it back.
    async fn receive(&self, channel: &str, most: u32) -> Result<Box<dyn Holding>, Fault>;
}

/// What an adapter finds a message by that it gave: a delivery tag, an entry's id, its own number. Good until the next fault, where what is
/// held goes with the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Handle(pub u128);

/// What comes of a receiving.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Came {
    /// A message, without a ticket; without a handle there is nothing to be settled.
    Message(Option<Handle>, Box<Delivery>),
    /// The connection is there again after a fault.
    Back,
}

/// What was found out when a receiving ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Closed {
    /// Messages that were given to us and not settled, where that is more or less than what was handed on and not settled.
    pub unsettled: Option<u64>,
    /// What is to be known beside their fate.
    pub notes: Vec<String>,
}

/// Messages being received from one channel. Who may settle which of them, and what is said of it, is the gateway's.
#[async_trait]
pub trait Holding: Send {
    /// What comes next; waits for it. An error is what happened to the connection: one that passes by itself is followed by [`Came::Back`],
    /// any other is the last word. `None` when the system has ended the receiving. Dropped and called again whenever something is settled
    /// meanwhile: no message may be lost by that.
    async fn next(&mut self) -> Option<Result<Came, Fault>>;

    /// No more messages are wanted; what is held stays held, and is settled as before. A system that goes on giving until it is told
    /// is told here, and what it has given on top goes back, so that somebody else has it at once. Where what is held goes with its
    /// connection, [`Holding::next`] waits for that from then on.
    async fn stop_receiving(&mut self) -> Result<(), Fault>;

    /// Settles one message. A fault of the kind [`Kind::Lost`] says that it is not held any more.
    async fn settle(&mut self, handle: Handle, settlement: &Settlement) -> Result<(), Fault>;

    /// Gives back what is not settled and ends.
    async fn close(self: Box<Self>) -> Result<Closed, Fault>;
}

/// Asking, and being answered.
#[async_trait]
pub trait Call: Send + Sync {
    /// Sends a request to whoever serves the channel. Replies come as messages, the channel's name in them being where they came by;
    /// the stream ends with the last that can come, or `wait` after the request. That nobody serves it is an error where the system
    /// tells; a reply that is an error of the service's own is a reply.
    async fn call(&self, channel: &str, request: Outgoing, wait: Duration) -> Result<BoxStream<'static, Result<Message, Fault>>, Fault>;
}

/// Changing the system itself. Everything starts as a plan.
#[async_trait]
pub trait Manage: Send + Sync {
    /// What can be done here, in the order of a menu.
    fn operations(&self) -> &'static [&'static OperationSpec];

    /// Works out what a request would do, changing nothing. The arguments were checked against the operation's fields.
    async fn plan(&self, request: Request) -> Result<Change, Fault>;

    /// Carries out the change's steps, exactly these. The fault is for what kept it from starting.
    async fn apply(&self, change: &Change) -> Result<Done, Fault>;
}
