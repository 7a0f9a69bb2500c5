//! Live messages: of subjects by subscribing, of streams by a [`Follower`] each.
//!
//! Each tail has a connection of its own, so that a flood delays nothing else.

use super::Shared;
use super::api::Api;
use super::follower::Follower;
use super::headers;
use super::link::{Link, Said, Subscription};
use super::names::{Name, covers, plain, shown};
use super::seen::Seen;
use crate::adapters::backlog::{Feed, backlog};
use crate::adapters::session::{Cost, Tail, TailEvent};
use crate::domain::fault::{Fault, Kind};
use crate::domain::message::{Message, Stamp};
use crate::domain::position::Position;
use crate::domain::time::Timestamp;
use crate::domain::view::Side;
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
/// Events of streams that may wait for the reader: what is stored waits there.
const QUEUED: usize = 4;
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
        let (feed, backlog) = backlog();
        let mut readers = Vec::new();
        let arrivals = Arc::new(AtomicU64::new(1));
        for subject in widest(&subjects) {
            let subscription = link.subscribe(OP, &plain(subject)).await?;
            let reader = Subjects { names: HashSet::new(), arrivals: arrivals.clone(), seen: self.shared.seen.clone(), feed: feed.clone() };
            readers.push(AbortOnDropHandle::new(tokio::spawn(reader.run(subscription))));
        }
        // What rings for a stream and what a subscription has lost are told apart by the connection.
        let link = if subjects.is_empty() || streams.is_empty() { link } else { Link::open(self.shared.dial.clone()).await? };
        let api = Api { link };
        let (events, queue) = mpsc::channel(QUEUED);
        let mut followers = Vec::new();
        for stream in streams {
            let follower = Follower::start(&api, stream, events.clone()).await?;
            followers.push(AbortOnDropHandle::new(tokio::spawn(follower.run())));
        }
        let stored = stream::unfold((queue, followers), |(mut queue, followers)| async {
            queue.recv().await.map(|event| (event, (queue, followers)))
        });
        Ok(stream::select(backlog.stream(readers), stored.boxed()).boxed())
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
/// not of messages of any size, and only then is the order of what is told that in which it happened.
struct Subjects {
    /// Names that came before: most messages have one of few subjects.
    names: HashSet<Arc<str>>,
    arrivals: Arc<AtomicU64>,
    seen: Seen,
    feed: Feed,
}

impl Subjects {
    async fn run(mut self, mut subscription: Subscription) {
        let mut down = None;
        while let Some(said) = subscription.next().await {
            match said {
                Said::Messages(batch) => self.take(batch),
                Said::Dropped(lost) => self.feed.skipped(Some(lost), Side::Ours),
                Said::Down(fault) => {
                    down = Some(fault.clone());
                    self.feed.interrupted(fault);
                }
                Said::Up => {
                    down = None;
                    self.feed.resumed();
                }
            }
        }
        if let Some(fault) = down {
            self.feed.ended(fault);
        }
    }

    fn take(&mut self, batch: Vec<async_nats::Message>) {
        let mut number = self.arrivals.fetch_add(batch.len() as u64, Ordering::Relaxed);
        let now = Some(Timestamp(jiff::Timestamp::now().as_millisecond()));
        let mut counted = 0;
        let mut last: Option<Arc<str>> = None;
        let mut messages = Vec::with_capacity(batch.len());
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
            messages.push(Message {
                channel,
                position: Position::Arrival(number - 1),
                timestamp: now,
                stamp: Stamp::Seen,
                key: None,
                headers: headers::of(&msg),
                payload: Some(msg.payload),
            });
        }
        self.feed.extend(messages);
        if let Some(last) = last {
            self.seen.count(&last, counted);
        }
    }

    fn name(&mut self, subject: &Subject) -> Arc<str> {
        if let Some(name) = self.names.get(subject.as_str()) {
            return name.clone();
        }
        let name: Arc<str> = shown(subject.as_bytes()).into();
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
