//! Live messages: of subjects by subscribing, of streams by asking for what stands behind the last sequence.
//!
//! Each tail has a connection of its own, so that a flood delays nothing else. A stream is asked rather than consumed: that leaves no
//! trace, is allowed for work queues, and goes on at the very next sequence after whatever broke.

use super::Shared;
use super::api::Api;
use super::headers;
use super::link::{Link, Said};
use super::names::{Name, covers};
use super::seen::Seen;
use super::stored::{Stored, number};
use super::wire::Msg;
use crate::adapters::session::{Cost, Tail, TailEvent};
use crate::domain::fault::{Fault, Kind};
use crate::domain::message::{Message, Stamp};
use crate::domain::position::Position;
use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

const OP: &str = "tail";
/// Events that may wait for the reader.
const QUEUED: usize = 16;
/// How long to wait before a stream is asked again that had nothing new.
const IDLE: Duration = Duration::from_millis(200);
/// Subjects whose names are kept for the next message.
const NAMES: usize = 4_096;

pub(super) struct NatsTail {
    shared: Shared,
}

impl NatsTail {
    pub(super) fn new(shared: Shared) -> Self {
        Self { shared }
    }
}

#[async_trait]
impl Tail for NatsTail {
    fn cost(&self) -> Cost {
        Cost::Nothing
    }

    async fn tail(&self, channels: &[Arc<str>]) -> Result<BoxStream<'static, TailEvent>, Fault> {
        let (mut subjects, mut streams): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
        for channel in channels {
            match Name::of(OP, channel)? {
                Name::Subject(subject) => subjects.push(subject),
                Name::Stream(stream) | Name::Consumer { stream, .. } if !streams.contains(&stream) => streams.push(stream),
                Name::Stream(_) | Name::Consumer { .. } => {}
                Name::Service(_) => {
                    return Err(
                        Fault::new(Kind::Usage, OP, &**channel, "a service has no messages of its own").next("tail one of its subjects")
                    );
                }
            }
        }
        let link = Link::open(self.shared.dial.clone(), &self.shared.integration).await?;
        let (events, queue) = mpsc::channel(QUEUED);
        let mut tasks = Vec::new();
        let arrivals = Arc::new(AtomicU64::new(1));
        for subject in widest(&subjects) {
            let subscription = link.subscribe(OP, subject).await?;
            let reader =
                Subjects { names: HashMap::new(), arrivals: arrivals.clone(), seen: self.shared.seen.clone(), events: events.clone() };
            tasks.push(AbortOnDropHandle::new(tokio::spawn(reader.run(subscription))));
        }
        let api = Api { link };
        for stream in streams {
            let info = api.stream(OP, stream).await?;
            let stored = Stored::new(api.clone(), stream, info.flag("allow_direct"));
            let follower = Follower {
                api: api.clone(),
                stream: stream.to_owned(),
                stored,
                next: info.end(),
                holes_are_normal: info.retention() != "limits",
                events: events.clone(),
            };
            tasks.push(AbortOnDropHandle::new(tokio::spawn(follower.run())));
        }
        Ok(stream::unfold((queue, tasks), |(mut queue, tasks)| async { queue.recv().await.map(|event| (event, (queue, tasks))) }).boxed())
    }
}

/// The subjects that no other one covers: a message that fits two subscriptions would come twice.
fn widest<'a>(subjects: &[&'a str]) -> Vec<&'a str> {
    let mut kept: Vec<&str> = Vec::new();
    for subject in subjects {
        if kept.iter().any(|other| covers(other, subject)) {
            continue;
        }
        kept.retain(|other| !covers(subject, other));
        kept.push(subject);
    }
    kept
}

/// Reads one subscription.
struct Subjects {
    /// Names that came before: most messages have one of few subjects.
    names: HashMap<Bytes, Arc<str>>,
    arrivals: Arc<AtomicU64>,
    seen: Seen,
    events: mpsc::Sender<TailEvent>,
}

impl Subjects {
    async fn run(mut self, mut subscription: super::link::Subscription) {
        while let Some(said) = subscription.next().await {
            let event = match said {
                Said::Messages(batch) => TailEvent::Messages(self.messages(batch)),
                Said::Dropped(lost) => TailEvent::Resumed { lost: Some(lost) },
                Said::Down(fault) => TailEvent::Interrupted(fault),
                // What was published meanwhile went past us, and nobody counted it.
                Said::Up => TailEvent::Resumed { lost: None },
            };
            if self.events.send(event).await.is_err() {
                return;
            }
        }
    }

    fn messages(&mut self, batch: Vec<Msg>) -> Vec<Message> {
        let mut number = self.arrivals.fetch_add(batch.len() as u64, Ordering::Relaxed);
        let mut messages: Vec<Message> = Vec::with_capacity(batch.len());
        let mut counted = 0;
        for msg in batch {
            let channel = match messages.last() {
                Some(last) if last.channel.as_bytes() == &msg.subject[..] => last.channel.clone(),
                last => {
                    if let Some(last) = last {
                        self.seen.count(&last.channel, counted);
                        counted = 0;
                    }
                    self.name(&msg.subject)
                }
            };
            counted += 1;
            messages.push(Message {
                channel,
                position: Position::Arrival(number),
                timestamp: None,
                stamp: Stamp::Created,
                key: None,
                headers: msg.headers.as_ref().map(|block| headers::read(block).list).unwrap_or_default(),
                payload: Some(msg.payload),
            });
            number += 1;
        }
        if let Some(last) = messages.last() {
            self.seen.count(&last.channel, counted);
        }
        messages
    }

    fn name(&mut self, subject: &Bytes) -> Arc<str> {
        if let Some(name) = self.names.get(subject) {
            return name.clone();
        }
        let name: Arc<str> = String::from_utf8_lossy(subject).into();
        if self.names.len() < NAMES {
            self.names.insert(Bytes::copy_from_slice(subject), name.clone());
        }
        name
    }
}

/// Follows one stream.
struct Follower {
    api: Api,
    stream: String,
    stored: Stored,
    /// The next sequence to be read.
    next: u64,
    /// Consumers take messages out of work queues and interest streams: a hole there is no loss.
    holes_are_normal: bool,
    events: mpsc::Sender<TailEvent>,
}

impl Follower {
    async fn run(mut self) {
        let mut down = false;
        loop {
            let event = match self.stored.from(OP, self.next, u64::MAX).await {
                Ok(messages) if messages.is_empty() && !down => {
                    if self.is_idle().await {
                        continue;
                    }
                    return;
                }
                Ok(messages) => {
                    let lost = self.missed(&messages).await;
                    if (down || lost > 0) && self.events.send(TailEvent::Resumed { lost: Some(lost) }).await.is_err() {
                        return;
                    }
                    down = false;
                    let Some(last) = messages.last() else { continue };
                    self.next = number(last) + 1;
                    TailEvent::Messages(messages)
                }
                Err(fault) => {
                    tokio::time::sleep(IDLE).await;
                    if std::mem::replace(&mut down, true) {
                        continue;
                    }
                    TailEvent::Interrupted(fault)
                }
            };
            if self.events.send(event).await.is_err() {
                return;
            }
        }
    }

    /// Waits a moment; `false` when nobody reads any more.
    async fn is_idle(&mut self) -> bool {
        tokio::select! {
            () = tokio::time::sleep(IDLE) => true,
            () = self.events.closed() => false,
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_comes_once_however_its_subject_is_asked_for() {
        assert_eq!(widest(&["orders.created", "orders.>", "orders.paid", "a", "a"]), ["orders.>", "a"]);
    }
}
