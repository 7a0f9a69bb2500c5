//! Following a stream: what stands behind the last sequence is asked for whenever something may have come.
//!
//! A stream is asked rather than consumed: that leaves no trace, is allowed for work queues, and goes on at the very next sequence after
//! whatever broke. When to look is told by a subscription to the stream's subjects that ends with its first message: an
//! idle stream costs nothing, and a flood is not carried twice.

use super::api::Api;
use super::link::Arrival;
use super::model::{StreamInfo, text};
use super::names::widest;
use super::stored::{Stored, number};
use crate::adapters::reopen::Backoff;
use crate::domain::fault::{Fault, Kind};
use crate::domain::message::Message;
use crate::domain::tail::TailEvent;
use serde_json::Value;
use std::collections::HashSet;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

pub(super) const OP: &str = "tail";
/// When it is looked again after something came: a message is heard before it is stored, in a cluster by some milliseconds.
const AGAIN: &[Duration] = &[Duration::from_millis(20), Duration::from_millis(200), Duration::from_secs(2)];
/// How often it is looked although nothing rings: subjects of a stream may be changed while it is followed. Two requests each.
const SELDOM: Duration = Duration::from_secs(60);
/// How often it is looked where nothing can be heard.
const DEAF: Duration = Duration::from_secs(1);
/// How long to wait before it is subscribed again where it could not be.
const PAUSE: Duration = Duration::from_millis(200);
/// How long a stream is taken for the one that it was.
const COMPARED: Duration = Duration::from_secs(1);
/// More subjects than these are not subscribed to for that.
const MOST: usize = 64;

/// Follows one stream.
pub(super) struct Follower {
    api: Api,
    stream: String,
    stored: Stored,
    /// When the stream was made: another one of the same name begins its sequences again.
    created: String,
    /// When that was last compared; `None` while nobody looked for a while.
    compared: Option<Instant>,
    /// The next sequence to be read.
    next: u64,
    /// Consumers take messages out of work queues and interest streams: a hole there is no loss.
    holes_are_normal: bool,
    /// Where what is stored can be heard; `None` if it cannot.
    subjects: Option<Vec<String>>,
    arrival: Option<Arrival>,
    /// How often it was looked since something came.
    looks: usize,
    down: bool,
    events: mpsc::Sender<TailEvent>,
}

/// What a look found.
enum Found {
    Nothing,
    Messages(Vec<Message>),
    /// Nothing, after an interruption.
    Purged(Box<StreamInfo>),
    /// Another stream has the name.
    Another(Box<StreamInfo>),
}

impl Follower {
    /// Stands at the end of the stream when this returns.
    pub(super) async fn start(api: &Api, stream: &str, events: mpsc::Sender<TailEvent>) -> Result<Self, Fault> {
        let info = api.stream(OP, stream).await?;
        Ok(Self {
            api: api.clone(),
            stream: stream.to_owned(),
            stored: Stored::new(api.clone(), stream, info.flag("allow_direct")),
            created: info.created.clone(),
            compared: Some(Instant::now()),
            next: info.end(),
            holes_are_normal: info.retention() != "limits",
            subjects: audible(api, &info).await,
            arrival: None,
            looks: 0,
            down: false,
            events,
        })
    }

    /// Ends when nobody reads any more, or there will be no connection again.
    pub(super) async fn run(mut self) {
        let mut backoff = Backoff::new(&self.api.link.dial().reconnect);
        loop {
            let going_on = match self.look().await {
                Ok(Found::Nothing) => {
                    self.wait().await;
                    Some(())
                }
                Ok(Found::Messages(messages)) => self.give(messages).await,
                Ok(Found::Purged(info)) => self.purged(&info).await,
                Ok(Found::Another(info)) => self.begin_again(&info).await,
                Err(fault) => {
                    let going_on = self.interrupted(fault).await;
                    // The attempts that the profile allows are the connection's, which has a word of its own when they are used up.
                    tokio::time::sleep(backoff.delay()).await;
                    if let Err(fault) = self.api.link.until_back().await {
                        let _ = self.events.send(TailEvent::Interrupted(fault)).await;
                        return;
                    }
                    if going_on.is_none() {
                        return;
                    }
                    continue;
                }
            };
            backoff.reset();
            if going_on.is_none() {
                return;
            }
        }
    }

    /// What stands at or behind the next sequence.
    ///
    /// A stream may be deleted and another one made under its name, of which the next sequence would be in the middle. That cannot be
    /// seen in what is read; it is seen in what the stream says of itself, which is asked for behind each answer that may be another
    /// stream's: after every wait, after every empty answer, and once a second in a flood.
    async fn look(&mut self) -> Result<Found, Fault> {
        let messages = self.stored.from(OP, self.next, u64::MAX).await?;
        if messages.is_empty() || self.compared.is_none_or(|compared| compared.elapsed() > COMPARED) {
            let info = self.api.stream(OP, &self.stream).await?;
            self.compared = Some(Instant::now());
            if info.created != self.created || info.end() < self.next {
                return Ok(Found::Another(Box::new(info)));
            }
            if messages.is_empty() {
                return Ok(if self.down { Found::Purged(Box::new(info)) } else { Found::Nothing });
            }
        }
        Ok(Found::Messages(messages))
    }

    /// Nothing is left of what was not read: goes to where the stream begins now.
    async fn purged(&mut self, info: &StreamInfo) -> Option<()> {
        let first = info.first().min(info.end());
        let lost = if self.holes_are_normal { 0 } else { first.saturating_sub(self.next) };
        self.next = self.next.max(first);
        self.down = false;
        self.events.send(TailEvent::Resumed { lost: Some(lost) }).await.ok()
    }

    /// Tells of messages, and first of those that were gone before we came to read them.
    async fn give(&mut self, messages: Vec<Message>) -> Option<()> {
        let mut lost = 0;
        for message in &messages {
            lost += number(message).saturating_sub(self.next);
            self.next = number(message) + 1;
        }
        if self.holes_are_normal {
            lost = 0;
        }
        if std::mem::take(&mut self.down) || lost > 0 {
            self.events.send(TailEvent::Resumed { lost: Some(lost) }).await.ok()?;
        }
        // What was heard has come; what was heard with it may come a little later.
        self.looks = self.looks.max(1);
        self.events.send(TailEvent::Messages(messages)).await.ok()
    }

    /// Says once that nothing can be read now.
    async fn interrupted(&mut self, fault: Fault) -> Option<()> {
        self.arrival = None;
        self.compared = None;
        if std::mem::replace(&mut self.down, true) { Some(()) } else { self.events.send(TailEvent::Interrupted(fault)).await.ok() }
    }

    /// Goes to the beginning of another stream of the same name. What the one before had last is not known.
    async fn begin_again(&mut self, info: &StreamInfo) -> Option<()> {
        let fault = |cause: &str| Fault::new(Kind::Lost, OP, format!("stream:{}", self.stream), cause.to_owned());
        let (fault, next) = if info.created == self.created {
            // A server that crashed may have lost what it had not written to its disk.
            (fault("the stream ends before what was read of it: it lost messages").next("it is followed from its end"), info.end())
        } else {
            let fault = fault("the stream was deleted and made again");
            (fault.next("it is read from its beginning; what the old one held last is not known"), info.first().min(info.end()))
        };
        self.events.send(TailEvent::Interrupted(fault)).await.ok()?;
        self.stored = Stored::new(self.api.clone(), &self.stream, info.flag("allow_direct"));
        self.created.clone_from(&info.created);
        self.next = next;
        self.holes_are_normal = info.retention() != "limits";
        self.subjects = audible(&self.api, info).await;
        (self.arrival, self.looks, self.down) = (None, 0, false);
        self.events.send(TailEvent::Resumed { lost: None }).await.ok()
    }

    /// Waits until there may be something new.
    async fn wait(&mut self) {
        self.compared = None;
        let Some(subjects) = &self.subjects else { return tokio::time::sleep(DEAF).await };
        let Some(arrival) = &mut self.arrival else {
            // What came before it could be heard is found by looking once more.
            self.arrival = self.api.link.arrival(OP, subjects).ok();
            if self.arrival.is_none() {
                tokio::time::sleep(PAUSE).await;
            }
            return;
        };
        // What is published elsewhere need not come to us: nothing tells whether a leaf node or an import lets it.
        let seldom = if self.api.link.dial().is_elsewhere() { DEAF } else { SELDOM };
        let pause = AGAIN.get(self.looks).copied().unwrap_or(seldom);
        if tokio::time::timeout(pause, arrival.came()).await.is_err() {
            self.looks = self.looks.saturating_add(1);
            return;
        }
        self.looks = 0;
        // Before it is looked, so that nothing is missed in between.
        self.arrival = self.api.link.arrival(OP, subjects).ok();
    }
}

/// The subjects by which a stream's messages come: its own, and those of the streams that it copies. `None` where they cannot be heard:
/// they are in another account, we may not subscribe to them, or they are too many.
async fn audible(api: &Api, stream: &StreamInfo) -> Option<Vec<String>> {
    let (mut known, mut open, mut subjects) = (HashSet::from([stream.name().to_owned()]), vec![stream.clone()], Vec::new());
    while let Some(stream) = open.pop() {
        subjects.extend(stream.subjects().into_iter().map(str::to_owned));
        let sources = stream.config.get("sources").and_then(Value::as_array).into_iter().flatten();
        for origin in sources.chain(stream.config.get("mirror").filter(|mirror| mirror.is_object())) {
            if origin.get("external").is_some_and(Value::is_object) {
                return None;
            }
            if known.insert(text(origin, "name").to_owned()) {
                open.push(api.stream(OP, text(origin, "name")).await.ok()?);
            }
        }
    }
    let all: Vec<&str> = subjects.iter().map(String::as_str).collect();
    let widest = widest(&all);
    if widest.is_empty() || widest.len() > MOST {
        return None;
    }
    for subject in &widest {
        api.link.subscribe(OP, subject).await.ok()?;
    }
    Some(widest.into_iter().map(str::to_owned).collect())
}
