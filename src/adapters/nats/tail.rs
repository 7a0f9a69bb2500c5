//! Live messages: of subjects by subscribing, of streams by a [`Follower`] each.
//!
//! Each tail has a connection of its own, so that a flood delays nothing else.

use super::Shared;
use super::api::Api;
use super::follower::Follower;
use super::headers;
use super::link::{Link, Said, Subscription};
use super::names::{Name, covers};
use super::seen::Seen;
use crate::adapters::session::{Cost, Tail, TailEvent};
use crate::domain::fault::{Fault, Kind};
use crate::domain::message::{Message, Stamp};
use crate::domain::position::Position;
use crate::domain::time::Timestamp;
use async_nats::Subject;
use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

pub(super) const OP: &str = "tail";
/// Events that may wait for the reader.
const QUEUED: usize = 16;
/// Bytes that may wait for a slow reader; what comes beyond is dropped, counted and told.
const BUDGET: usize = 32 << 20;
/// What a message takes beside its bytes.
const ALLOWANCE: usize = 256;
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
                Name::Queue { subject, .. } => {
                    return Err(Fault::new(Kind::Usage, OP, &**channel, super::queue::WARNING)
                        .next(format!("tail {subject}, which takes nothing away; or receive from this channel")));
                }
                Name::Service(_) => {
                    return Err(
                        Fault::new(Kind::Usage, OP, &**channel, "a service has no messages of its own").next("tail one of its subjects")
                    );
                }
            }
        }
        let link = Link::open(self.shared.dial.clone()).await?;
        let (events, queue) = mpsc::channel(QUEUED);
        let mut tasks = Vec::new();
        let arrivals = Arc::new(AtomicU64::new(1));
        for subject in widest(&subjects) {
            let subscription = link.subscribe(OP, subject).await?;
            let reader = Subjects {
                names: HashSet::new(),
                arrivals: arrivals.clone(),
                seen: self.shared.seen.clone(),
                events: events.clone(),
                batch: Vec::new(),
                bytes: 0,
                lost: 0,
            };
            tasks.push(AbortOnDropHandle::new(tokio::spawn(reader.run(subscription))));
        }
        // What rings for a stream and what a subscription has lost are told apart by the connection.
        let link = if subjects.is_empty() || streams.is_empty() { link } else { Link::open(self.shared.dial.clone()).await? };
        let api = Api { link };
        for stream in streams {
            let follower = Follower::start(&api, stream, events.clone()).await?;
            tasks.push(AbortOnDropHandle::new(tokio::spawn(follower.run())));
        }
        Ok(stream::unfold((queue, tasks), |(mut queue, tasks)| async { queue.recv().await.map(|event| (event, (queue, tasks))) }).boxed())
    }
}

/// The subjects that no other one covers: a message that fits two subscriptions would come twice.
pub(super) fn widest<'a>(subjects: &[&'a str]) -> Vec<&'a str> {
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
///
/// The client's queue is emptied at once, whatever the reader of the tail does: only then is what is dropped a matter of bytes, and
/// not of messages of any size.
struct Subjects {
    /// Names that came before: most messages have one of few subjects.
    names: HashSet<Arc<str>>,
    arrivals: Arc<AtomicU64>,
    seen: Seen,
    events: mpsc::Sender<TailEvent>,
    /// What the reader has not taken yet.
    batch: Vec<Message>,
    /// What the batch holds, with an allowance for each message.
    bytes: usize,
    lost: u64,
}

impl Subjects {
    async fn run(mut self, mut subscription: Subscription) {
        let events = self.events.clone();
        loop {
            tokio::select! {
                biased;
                room = events.reserve(), if self.lost > 0 || !self.batch.is_empty() => match (room, self.owed()) {
                    (Ok(room), Some(event)) => room.send(event),
                    _ => return,
                },
                said = subscription.next() => {
                    let event = match said {
                        Some(Said::Messages(batch)) => {
                            self.take(batch);
                            continue;
                        }
                        Some(Said::Dropped(lost)) => {
                            self.lost += lost;
                            continue;
                        }
                        Some(Said::Down(fault)) => TailEvent::Interrupted(fault),
                        // What was published meanwhile went past us, and nobody counted it.
                        Some(Said::Up) => TailEvent::Resumed { lost: None },
                        None => return,
                    };
                    // Behind what came before it.
                    while let Some(owed) = self.owed() {
                        if events.send(owed).await.is_err() {
                            return;
                        }
                    }
                    if events.send(event).await.is_err() {
                        return;
                    }
                }
            }
        }
    }

    /// What is to be told next of what waits. What was lost goes first: it is over, and the messages may wait.
    fn owed(&mut self) -> Option<TailEvent> {
        if self.lost > 0 {
            return Some(TailEvent::Resumed { lost: Some(std::mem::take(&mut self.lost)) });
        }
        self.bytes = 0;
        (!self.batch.is_empty()).then(|| TailEvent::Messages(std::mem::take(&mut self.batch)))
    }

    fn take(&mut self, batch: Vec<async_nats::Message>) {
        let mut number = self.arrivals.fetch_add(batch.len() as u64, Ordering::Relaxed);
        let now = Some(Timestamp(jiff::Timestamp::now().as_millisecond()));
        let mut counted = 0;
        let mut last: Option<Arc<str>> = None;
        for msg in batch {
            let channel = match &last {
                Some(last) if **last == *msg.subject => last.clone(),
                _ => {
                    let name = self.name(&msg.subject);
                    if let Some(before) = last.replace(name.clone()) {
                        self.seen.count(&before, std::mem::take(&mut counted));
                    }
                    name
                }
            };
            counted += 1;
            number += 1;
            let size = ALLOWANCE + msg.length;
            if self.bytes + size > BUDGET && !self.batch.is_empty() {
                self.lost += 1;
                continue;
            }
            self.bytes += size;
            self.batch.push(Message {
                channel,
                position: Position::Arrival(number - 1),
                timestamp: now,
                stamp: Stamp::Seen,
                key: None,
                headers: headers::of(&msg),
                payload: Some(msg.payload),
            });
        }
        if let Some(last) = last {
            self.seen.count(&last, counted);
        }
    }

    fn name(&mut self, subject: &Subject) -> Arc<str> {
        if let Some(name) = self.names.get(subject.as_str()) {
            return name.clone();
        }
        let name: Arc<str> = subject.as_str().into();
        if self.names.len() < NAMES {
            self.names.insert(name.clone());
        }
        name
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
