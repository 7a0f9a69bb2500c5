//! Live messages: of subjects by subscribing, of streams by a [`Follower`] each.
//!
//! Each tail has a connection of its own, so that a flood delays nothing else.

use super::Shared;
use super::api::Api;
use super::follower::{Follower, OP};
use super::headers;
use super::link::Link;
use super::names::{Name, plain, shown, widest};
use super::seen::Seen;
use super::wire::frame::Span;
use super::wire::hub::Sink;
use crate::adapters::backlog::{self, Feed, backlog};
use crate::adapters::session::Tail;
use crate::domain::channel::Cost;
use crate::domain::fault::{Fault, Kind};
use crate::domain::message::{Message, Stamp};
use crate::domain::position::Position;
use crate::domain::tail::TailEvent;
use crate::domain::time::Timestamp;
use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

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
            let sink = Subjects::new(&arrivals, &self.shared.seen, &feed);
            readers.push(link.subscribe_into(OP, &plain(subject), None, Box::new(sink)).await?);
        }
        let api = Api { link };
        let (events, queue) = mpsc::channel(QUEUED);
        let mut followers = Vec::new();
        for stream in streams {
            let follower = Follower::start(&api, stream, events.clone()).await?;
            followers.push(AbortOnDropHandle::new(tokio::spawn(follower.run())));
        }
        Ok(backlog::tail((backlog, readers), (queue, followers)))
    }
}

/// Takes one subscription's messages.
///
/// They are taken at once, whatever the reader of the tail does: only then is what is dropped counted, and only then is the order of what
/// is told that in which it happened.
struct Subjects {
    /// Names that came before: most messages have one of few subjects.
    names: HashMap<Vec<u8>, Arc<str>>,
    last: (Vec<u8>, Arc<str>),
    arrivals: Arc<AtomicU64>,
    seen: Seen,
    feed: Feed,
    down: Option<Fault>,
}

impl Subjects {
    fn new(arrivals: &Arc<AtomicU64>, seen: &Seen, feed: &Feed) -> Self {
        Self {
            names: HashMap::new(),
            last: (Vec::new(), "".into()),
            arrivals: arrivals.clone(),
            seen: seen.clone(),
            feed: feed.clone(),
            down: None,
        }
    }

    fn name(&mut self, subject: &[u8]) -> Arc<str> {
        if let Some(name) = self.names.get(subject) {
            return name.clone();
        }
        let name: Arc<str> = shown(subject).into();
        if self.names.len() < NAMES {
            self.names.insert(subject.to_vec(), name.clone());
        }
        name
    }
}

impl Sink for Subjects {
    fn messages(&mut self, buffer: &Bytes, spans: &[Span]) {
        let first = self.arrivals.fetch_add(spans.len() as u64, Ordering::Relaxed);
        let now = Some(Timestamp(jiff::Timestamp::now().as_millisecond()));
        let mut counted = 0;
        let mut messages = Vec::with_capacity(spans.len());
        for (number, span) in (first..).zip(spans) {
            let subject = span.subject.bytes(buffer);
            if self.last.0 != subject {
                self.seen.count(&self.last.1, std::mem::take(&mut counted));
                self.last = (subject.to_vec(), self.name(subject));
            }
            counted += 1;
            messages.push(Message {
                channel: self.last.1.clone(),
                position: Position::Arrival(number),
                timestamp: now,
                stamp: Stamp::Seen,
                key: None,
                headers: headers::of(&span.block.share(buffer)),
                payload: Some(span.payload.share(buffer)),
            });
        }
        self.seen.count(&self.last.1, counted);
        self.feed.extend(messages);
    }

    fn down(&mut self, fault: &Fault) {
        self.down = Some(fault.clone());
        self.feed.interrupted(fault.clone());
    }

    fn up(&mut self) {
        self.down = None;
        self.feed.resumed();
    }

    fn over(&mut self) {
        if let Some(fault) = self.down.take() {
            self.feed.ended(fault);
        }
    }
}
