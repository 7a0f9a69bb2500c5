//! Following a stream: what stands behind the last sequence is asked for whenever something may have come.
//!
//! A stream is asked rather than consumed: that leaves no trace, is allowed for work queues, and goes on at the very next sequence after
//! whatever broke. When to ask is told by a bell: a subscription to the stream's subjects that ends with its first message, so that an idle
//! stream costs nothing and a flood is not carried twice.

use super::api::Api;
use super::link::Bell;
use super::model::{StreamInfo, text};
use super::stored::{Stored, number};
use super::tail::{OP, widest};
use crate::adapters::session::TailEvent;
use crate::domain::fault::Fault;
use crate::domain::message::Message;
use serde_json::Value;
use std::collections::HashSet;
use std::time::Duration;
use tokio::sync::mpsc;

/// When it is looked again after the bell has rung: a message is heard before it is stored, in a cluster by some milliseconds.
const AGAIN: &[Duration] = &[Duration::from_millis(20), Duration::from_millis(200), Duration::from_secs(2)];
/// How often it is looked although nothing rings: subjects of a stream may be changed while it is followed. Two requests each.
const SELDOM: Duration = Duration::from_secs(60);
/// How often it is looked where no bell can be had.
const DEAF: Duration = Duration::from_secs(1);
/// How long to wait after a fault before it is asked again.
const PAUSE: Duration = Duration::from_millis(200);
/// More subjects than these are not subscribed to for a bell.
const MOST: usize = 64;

/// Follows one stream.
pub(super) struct Follower {
    api: Api,
    stream: String,
    stored: Stored,
    /// The next sequence to be read.
    next: u64,
    /// Consumers take messages out of work queues and interest streams: a hole there is no loss.
    holes_are_normal: bool,
    /// Where what is stored can be heard; `None` if it cannot.
    subjects: Option<Vec<String>>,
    bell: Option<Bell>,
    /// How often it was looked since the bell rang.
    looks: usize,
    events: mpsc::Sender<TailEvent>,
}

impl Follower {
    /// Stands at the end of the stream when this returns.
    pub(super) async fn start(api: &Api, stream: &str, events: mpsc::Sender<TailEvent>) -> Result<Self, Fault> {
        let info = api.stream(OP, stream).await?;
        let subjects = audible(api, &info).await;
        Ok(Self {
            api: api.clone(),
            stream: stream.to_owned(),
            stored: Stored::new(api.clone(), stream, info.flag("allow_direct")),
            next: info.end(),
            holes_are_normal: info.retention() != "limits",
            subjects,
            bell: None,
            looks: 0,
            events,
        })
    }

    /// Ends when nobody reads any more, or there will be no connection again.
    pub(super) async fn run(mut self) {
        let mut down = false;
        loop {
            let event = match self.stored.from(OP, self.next, u64::MAX).await {
                Ok(messages) if messages.is_empty() && !down => {
                    self.wait().await;
                    continue;
                }
                Ok(messages) => {
                    let lost = self.missed(&messages).await;
                    if (down || lost > 0) && self.events.send(TailEvent::Resumed { lost: Some(lost) }).await.is_err() {
                        return;
                    }
                    down = false;
                    let Some(last) = messages.last() else { continue };
                    self.next = number(last) + 1;
                    // What was heard has come; what was heard with it may come a little later.
                    self.looks = self.looks.max(1);
                    TailEvent::Messages(messages)
                }
                Err(fault) => {
                    self.bell = None;
                    if !std::mem::replace(&mut down, true) && self.events.send(TailEvent::Interrupted(fault)).await.is_err() {
                        return;
                    }
                    tokio::time::sleep(PAUSE).await;
                    match self.api.link.until_back().await {
                        Ok(()) => continue,
                        Err(fault) => TailEvent::Interrupted(fault),
                    }
                }
            };
            let over = matches!(event, TailEvent::Interrupted(_));
            if self.events.send(event).await.is_err() || over {
                return;
            }
        }
    }

    /// Waits until there may be something new.
    async fn wait(&mut self) {
        let Some(subjects) = &self.subjects else { return tokio::time::sleep(DEAF).await };
        let Some(bell) = &mut self.bell else {
            // What came before it could ring is found by looking once more.
            self.bell = self.api.link.bell(OP, subjects).await.ok();
            if self.bell.is_none() {
                tokio::time::sleep(PAUSE).await;
            }
            return;
        };
        let pause = AGAIN.get(self.looks).copied().unwrap_or(SELDOM);
        if tokio::time::timeout(pause, bell.rung()).await.is_err() {
            self.looks = self.looks.saturating_add(1);
            return;
        }
        self.looks = 0;
        // Before it is looked, so that nothing is missed in between.
        self.bell = self.api.link.bell(OP, subjects).await.ok();
    }

    /// How many messages were gone before we came to read them. A stream that was purged or made anew is followed at its new place.
    async fn missed(&mut self, messages: &[Message]) -> u64 {
        let mut lost = 0;
        let mut at = self.next;
        for message in messages {
            lost += number(message).saturating_sub(at);
            at = number(message) + 1;
        }
        if messages.is_empty()
            && let Ok(info) = self.api.stream(OP, &self.stream).await
        {
            if info.end() < self.next {
                // Made anew: its sequences begin again.
                self.next = info.first();
            } else {
                lost = info.first().min(info.end()).saturating_sub(self.next);
                self.next = self.next.max(info.first().min(info.end()));
            }
        }
        if self.holes_are_normal { 0 } else { lost }
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
