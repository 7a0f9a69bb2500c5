//! `Session`: a connected integration as a record of optional handles. What a system cannot do is not there.

use crate::domain::channel::{Channel, Description};
use crate::domain::delivery::{Delivery, Settlement, Ticket, Verb, Way};
use crate::domain::fault::Fault;
use crate::domain::group::{GroupDescription, Listing, Mark, Stamped, Standing};
use crate::domain::message::{Message, Outgoing, RawMessage};
use crate::domain::operation::{Change, Done, OperationSpec, PublishSpec, Request};
use crate::domain::position::{Position, Range};
use crate::domain::receipt::Receipt;
use crate::domain::text::SafeText;
use crate::domain::time::Timestamp;
use crate::domain::view::Side;
use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::BoxStream;
use std::collections::BTreeSet;
use std::ops::RangeInclusive;
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

/// What looking does to the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cost {
    /// Nothing that anybody could notice.
    Nothing,
    /// Objects of our own, removed afterwards: what they are (`an exclusive queue bound to the exchange`).
    Temporary(&'static str),
    /// The messages looked at keep a mark: which (`redelivered is set, a delivery is spent`). Asked for each time.
    Marks(&'static str),
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

/// What a tail says.
#[derive(Clone, Debug, PartialEq)]
pub enum TailEvent {
    /// Messages, in order within each partition.
    Messages(Vec<Message>),
    /// Reading stopped (of the whole or of some partitions); the tail keeps trying.
    Interrupted(Fault),
    /// Reading goes on; `lost` messages could not be read, being deleted or damaged (0 if none, `None` if unknown).
    Resumed { lost: Option<u64> },
    /// Reading went on all the time, and so many messages are missing from it (`None`: at least one).
    Skipped { count: Option<u64>, side: Side },
    /// Nothing is wrong with the reading, but something in the system holds back what is written already: what, and what ends it.
    /// `None` when nothing is held back any more.
    Waits(Option<SafeText>),
}

/// A log read between positions or times.
#[async_trait]
pub trait History: Send + Sync {
    fn cost(&self) -> Cost;

    /// Resolves the range for every partition now, and returns one lane for each partition that has any part of it.
    async fn read(&self, channel: &str, range: Range) -> Result<Reading, Fault>;

    /// The same for a search: only what a sieve keeps is made into messages. The scope is a hint; what lies outside of it may be
    /// looked at all the same. An adapter that has the bytes at hand before they are messages has the sieve look at those.
    async fn sift(&self, channel: &str, scope: &Scope, sieve: Arc<dyn Sieve>) -> Result<Sifting, Fault> {
        let reading = self.read(channel, scope.range).await?;
        let wanted = |lane: &Lane| lane.partition.is_none_or(|partition| scope.holds(partition));
        let lanes = reading.lanes.into_iter().filter(wanted).map(|lane| SiftedLane::over(lane, sieve.clone())).collect();
        Ok(Sifting { lanes, notes: reading.notes })
    }
}

/// What of a channel a search has to look at. Nothing outside of it is wanted.
#[derive(Clone, Debug, PartialEq)]
pub struct Scope {
    pub range: Range,
    /// Both ends belong to it, in each partition.
    pub offsets: RangeInclusive<i64>,
    /// Both ends belong to it. Timestamps need not rise with offsets.
    pub times: RangeInclusive<i64>,
    /// `None` means all of them.
    pub partitions: Option<BTreeSet<i32>>,
    /// No lane needs to keep more messages than this: it may end with the last of them.
    pub limit: u64,
}

impl Scope {
    /// All of a range.
    pub fn of(range: Range) -> Self {
        Self { range, offsets: i64::MIN..=i64::MAX, times: i64::MIN..=i64::MAX, partitions: None, limit: u64::MAX }
    }

    pub fn holds(&self, partition: i32) -> bool {
        self.partitions.as_ref().is_none_or(|wanted| wanted.contains(&partition))
    }
}

/// What a search wants, asked where the bytes are. Called by many at once, and never waits.
pub trait Sieve: Send + Sync {
    /// Looks at the bytes in which several messages lie as they are, keys, headers and payloads whole: what they lack, all of them lack.
    fn glance(&self, bytes: &[u8]) -> Glance;

    /// Decides on one message; `glance` is what was seen of the bytes that it lies in.
    fn judge(&self, message: &RawMessage<'_>, glance: Glance) -> Judgement;
}

/// What a look at the bytes of several messages showed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Glance {
    /// The number of a thing that every match has, and that none of them has.
    pub lacks: Option<u16>,
}

/// What became of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judgement {
    pub verdict: Verdict,
    pub path: Path,
    /// Whether the message is to be handed on.
    pub keep: bool,
}

/// What a query says of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Passes,
    Fails,
    /// The payload could not be decoded, and the answer depends on it: counted, never silently skipped.
    Undecodable,
    /// The query itself failed on it, as jq programs do.
    Failed,
}

/// What it took to decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// A look at the raw bytes.
    Literal,
    /// JSON read up to the places asked for.
    Lazy,
    /// The whole payload decoded.
    Decoded,
    /// A jq program run.
    Jq,
}

impl Path {
    pub const ALL: [Self; 4] = [Self::Literal, Self::Lazy, Self::Decoded, Self::Jq];

    /// What is said of it in a report.
    pub fn words(self) -> &'static str {
        match self {
            Self::Literal => "by raw bytes",
            Self::Lazy => "by JSON path",
            Self::Decoded => "decoded",
            Self::Jq => "by jq",
        }
    }

    /// Its name in JSON.
    pub fn id(self) -> &'static str {
        match self {
            Self::Literal => "literal",
            Self::Lazy => "lazy",
            Self::Decoded => "decoded",
            Self::Jq => "jq",
        }
    }
}

/// A search that was resolved.
pub struct Sifting {
    pub lanes: Vec<SiftedLane>,
    pub notes: Vec<String>,
}

/// One partition's part of a search. Items and errors come as in a [`Lane`].
pub struct SiftedLane {
    pub partition: Option<i32>,
    /// Upper bound of the messages to look at.
    pub at_most: u64,
    pub batches: BoxStream<'static, Result<Sifted, Fault>>,
}

/// What was looked at since the last item, and what was kept of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sifted {
    /// In the order of the log, in memory of their own.
    pub kept: Vec<Kept>,
    pub counts: Tally,
    /// The latest timestamp of the lane up to here: what comes behind belongs after every message of another lane up to this time.
    pub reached: Option<Timestamp>,
    /// The last place that was looked at, where places last, with its channel as messages name it: what a live tail tells up to there was
    /// looked at as well.
    pub last: Option<(Arc<str>, Position)>,
    /// Why reading waits just now, if it does: it goes on by itself, or the lane ends with an error.
    pub waits: Option<Fault>,
}

/// A message that was kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Kept {
    pub message: Message,
    pub verdict: Verdict,
    /// The latest timestamp of the lane up to this message: its place among the messages of all lanes.
    pub reached: Option<Timestamp>,
}

/// Messages counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub scanned: u64,
    pub matched: u64,
    pub undecodable: u64,
    pub failed: u64,
    /// Of keys, headers and payloads.
    pub bytes: u64,
    /// Places of the log that were passed, messages or not, up to the lane's `at_most`.
    pub passed: u64,
    /// By what it took to decide, in the order of [`Path::ALL`].
    pub paths: [u64; 4],
}

impl Tally {
    /// Counts one message of that size.
    pub fn count(&mut self, judgement: Judgement, size: usize) {
        self.scanned += 1;
        self.bytes += size as u64;
        self.paths[judgement.path as usize] += 1;
        match judgement.verdict {
            Verdict::Passes => self.matched += 1,
            Verdict::Fails => {}
            Verdict::Undecodable => self.undecodable += 1,
            Verdict::Failed => self.failed += 1,
        }
    }

    /// Adds what another one counted.
    pub fn add(&mut self, other: &Self) {
        self.scanned += other.scanned;
        self.matched += other.matched;
        self.undecodable += other.undecodable;
        self.failed += other.failed;
        self.bytes += other.bytes;
        self.passed += other.passed;
        for (sum, more) in self.paths.iter_mut().zip(other.paths) {
            *sum += more;
        }
    }
}

impl Sifted {
    /// Has a sieve decide on one message; `detach` makes it a message of its own where it is kept.
    pub fn take(&mut self, sieve: &dyn Sieve, glance: Glance, raw: &RawMessage<'_>, detach: impl FnOnce() -> Message) {
        let judgement = sieve.judge(raw, glance);
        self.counts.count(judgement, raw.size());
        self.reached = self.reached.max(raw.timestamp);
        if judgement.keep {
            self.kept.push(Kept { message: detach(), verdict: judgement.verdict, reached: self.reached });
        }
    }
}

impl SiftedLane {
    /// Sifts the messages of a lane that gives all of them.
    fn over(lane: Lane, sieve: Arc<dyn Sieve>) -> Self {
        let mut reached = None;
        let sift = move |batch: Result<Vec<Message>, Fault>| {
            batch.map(|messages| {
                let mut sifted = Sifted { reached, ..Sifted::default() };
                for message in &messages {
                    sifted.take(&*sieve, Glance::default(), &message.into(), || message.detached());
                }
                sifted.counts.passed = messages.len() as u64;
                sifted.last = messages.last().filter(|last| last.position.is_lasting()).map(|last| (last.channel.clone(), last.position));
                reached = sifted.reached;
                sifted
            })
        };
        Self { partition: lane.partition, at_most: lane.at_most, batches: lane.batches.map(sift).boxed() }
    }
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

/// Looking at the first messages of a queue. They stay there.
#[async_trait]
pub trait Peek: Send + Sync {
    fn cost(&self, channel: &str) -> Cost;

    /// Up to `most` messages from the head of the queue, in its order. What was looked at has been given back when this returns.
    async fn peek(&self, channel: &str, most: usize) -> Result<Vec<Delivery>, Fault>;
}

/// Who consumes, and how far they are.
#[async_trait]
pub trait Groups: Send + Sync {
    /// Every group we may see, and those that the profile names. Fails only if nothing could be listed and the profile names none.
    async fn groups(&self) -> Result<Listing, Fault>;

    /// How far these groups are in every partition that they have a position or a member in, in the order asked. Positions are
    /// asked for before ends. A group that fails has its own fault.
    async fn standings(&self, groups: &[Arc<str>]) -> Result<Vec<Result<Vec<Standing>, Fault>>, Fault>;

    async fn describe(&self, group: &str) -> Result<GroupDescription, Fault>;

    /// When the messages at these marks were made, in the order asked: for the time that a group is behind.
    async fn stamps(&self, marks: &[Mark]) -> Vec<Stamped>;
}

/// Publishing and consuming, all or nothing.
#[async_trait]
pub trait Transact: Send + Sync {
    /// Begins a session of transactions under a name of its own. Another one of the same name is fenced off, and what it has open is
    /// aborted. With a source it joins the source's group; the name is also that of the member, so that a program that was killed
    /// takes its place again without a rebalance.
    async fn begin(&self, name: &str, source: Option<Source>) -> Result<Box<dyn Transaction>, Fault>;
}

/// What a session of transactions consumes, as a member of a group. The positions are the group's: they move when a transaction is
/// committed, and at no other time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    pub group: Arc<str>,
    pub channels: Vec<Arc<str>>,
}

/// One transaction after another: what was taken, published and consumed since the last end takes effect together, or not at all.
///
/// A call whose future was dropped before its answer leaves the transaction undecided: until [`Transaction::abort`] every call fails.
#[async_trait]
pub trait Transaction: Send {
    /// Up to `most` next messages of the source, in order within each partition; waits up to `wait` for the first, and not at all for
    /// more. They are consumed when the transaction is committed, and come again when it is not.
    ///
    /// Fails with [`Kind::Timeout`](crate::domain::fault::Kind::Timeout) if another member was given partitions that the transaction
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

    /// How long the system waits for a decision before it gives a message to somebody else; `None` if it waits for ever or does not say.
    async fn patience(&self, channel: &str) -> Result<Option<Duration>, Fault>;

    /// What becomes of a message that was not decided on when the receiving ends: the end of a sentence about it.
    fn left(&self, channel: &str) -> &'static str;

    /// In which ways messages of a channel are received, where its system gives them to somebody by name. Empty: as they are, the channel
    /// names all that is needed. That there is none to receive in is an error, which says how one is made.
    async fn ways(&self, _channel: &str) -> Result<Vec<Way>, Fault> {
        Ok(Vec::new())
    }

    /// Starts to receive, `most` unsettled messages at a time. Ends when dropped: what is not settled goes back as the system gives it back.
    async fn hold(&self, channel: &str, most: u32) -> Result<Box<dyn Holding>, Fault>;
}

/// Messages being received from one channel.
#[async_trait]
pub trait Holding: Send {
    /// The next message; waits for one. `None` when the system has ended the receiving; an error is what happened to the connection,
    /// and the receiving goes on by itself after it. Dropped and called again whenever something is settled meanwhile: no message may
    /// be lost by that.
    async fn next(&mut self) -> Option<Result<Delivery, Fault>>;

    /// After a fault of [`Holding::next`] that passes by itself: waits until the receiving goes on, or says why it does not; `None` when
    /// it will not. Dropped and called again as [`Holding::next`] is.
    async fn resumed(&mut self) -> Option<Result<(), Fault>>;

    /// No more messages are wanted; what is held stays held, and is settled as before. A system that goes on giving until it is told
    /// is told here, and what it has given on top goes back, so that somebody else has it at once. [`Holding::next`] is not called again.
    async fn enough(&mut self) -> Result<(), Fault> {
        Ok(())
    }

    /// Waits until what is held is lost with its connection, and says why, once; for ever where tickets outlive connections. In the
    /// place of [`Holding::next`] after [`Holding::enough`], dropped and called again as that is.
    async fn broken(&mut self) -> Fault {
        std::future::pending().await
    }

    /// Whether a ticket is known to be lost with the connection that it came by. Asked after a fault of [`Holding::next`] or
    /// [`Holding::broken`].
    fn is_lost(&self, _ticket: Ticket) -> bool {
        false
    }

    /// Settles one message. A ticket that was lost with a connection is an error, never tried again.
    async fn settle(&mut self, ticket: Ticket, settlement: &Settlement) -> Result<(), Fault>;

    /// Gives back what is not settled and ends; says what became of it in one sentence.
    async fn release(self: Box<Self>) -> Result<String, Fault>;
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
    async fn carry_out(&self, change: &Change) -> Result<Done, Fault>;
}
