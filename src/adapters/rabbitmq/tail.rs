//! `Tail` for RabbitMQ: taps of exchanges and of what feeds queues; streams from their end on.

use super::link::{self, Bounded, Live};
use super::name::Name;
use super::tap::{self, OP, Sources};
use super::{Rabbit, faults, properties, stream};
use crate::adapters::backlog::{self, backlog};
use crate::adapters::bounds::UNTAKEN;
use crate::adapters::reopen::{Outlet, Reopens, keep_open};
use crate::adapters::session::Tail;
use crate::domain::channel::Cost;
use crate::domain::fault::{Fault, Kind};
use crate::domain::message::Message;
use crate::domain::position::Position;
use crate::domain::tail::TailEvent;
use crate::domain::view::Side;
use async_trait::async_trait;
use futures::stream::{BoxStream, SelectAll, StreamExt, once, select_all};
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, QueueDeclareOptions};
use lapin::types::{FieldTable, ShortString};
use lapin::{Channel, Consumer};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

/// Messages handed on, and acknowledged, at once.
const BATCH: usize = 500;
/// Events of streams on their way to who listens: what is stored waits there.
const EVENTS: usize = 4;
/// How often it is looked whether our queues at the server run full, and how many messages have to come meanwhile.
const LOOK: Duration = Duration::from_secs(1);
const MANY: u64 = 5_000;

#[async_trait]
impl Tail for Rabbit {
    fn cost(&self) -> Cost {
        Cost::Temporary("an exclusive queue of our own, bound beside the others; it holds 50,000 messages and goes with us")
    }

    async fn tail(&self, channels: &[Arc<str>]) -> Result<BoxStream<'static, TailEvent>, Fault> {
        let (mut streams, mut taps) = (Vec::new(), Vec::new());
        for channel in channels {
            let name = self.resolve(OP, channel).await?;
            let sources = self.sources(&name).await?;
            let kind = if matches!(name, Name::Stream(_)) { &mut streams } else { &mut taps };
            kind.push(Target { channel: name.text().into(), name, sources, next: None });
        }
        let (events, listener) = mpsc::channel(EVENTS);
        let (feed, backlog) = backlog();
        let stored = self.start(streams, Outlet::Stored(events)).await?;
        let tapped = self.start(taps, Outlet::Pushed(feed)).await?;
        Ok(backlog::tail((backlog, tapped), (listener, stored)))
    }
}

impl Rabbit {
    /// Reads these targets, if there are any.
    async fn start(&self, targets: Vec<Target>, out: Outlet) -> Result<Option<AbortOnDropHandle<()>>, Fault> {
        if targets.is_empty() {
            return Ok(None);
        }
        let mut tailing = Tailing { rabbit: self.clone(), targets, out, seen: 0, bytes: 0 };
        let open = tailing.open(true).await?;
        Ok(Some(AbortOnDropHandle::new(tokio::spawn(keep_open(tailing, open, self.integration.reconnect.clone())))))
    }
}

/// One channel that is tailed.
struct Target {
    channel: Arc<str>,
    name: Name,
    sources: Sources,
    /// Streams: the offset of the next message.
    next: Option<u64>,
}

struct Tailing {
    rabbit: Rabbit,
    targets: Vec<Target>,
    out: Outlet,
    /// Messages of the taps so far, and the bytes of their payloads.
    seen: u64,
    bytes: u64,
}

/// Deliveries of one target, several at a time.
type Deliveries = BoxStream<'static, (usize, Vec<lapin::Result<Delivery>>)>;

/// A connection with a consumer for each target.
struct Open {
    live: Live,
    /// Of streams no more is read than is handed on.
    _bounded: Option<Bounded>,
    channels: Vec<Channel>,
    /// The delivery tags up to which everything was acknowledged, by target.
    acknowledged: Vec<u64>,
    /// Our own queues, by target.
    queues: Vec<Option<ShortString>>,
    deliveries: SelectAll<Deliveries>,
}

impl Tailing {
    async fn open(&mut self, first: bool) -> Result<Open, Fault> {
        let live = self.rabbit.link.dedicated().await?;
        let bounded = matches!(self.out, Outlet::Stored(_)).then(|| live.bound(UNTAKEN));
        // The answers for one channel stand behind the messages of another.
        let answers = live.room.open();
        let (mut channels, mut queues, mut deliveries) = (Vec::new(), Vec::new(), Vec::new());
        for (at, target) in self.targets.iter_mut().enumerate() {
            let (channel, consumer, queue) = if let Name::Stream(name) = &target.name {
                if first {
                    target.next = Some(stream::ends(&live, OP, name).await?.next);
                }
                // A message that came between the two questions is read from the place that is known.
                let start = target.next.filter(|next| *next > 0).map_or(stream::Start::First, stream::Start::Offset);
                let (channel, consumer) = stream::consume(&live, OP, name, start, stream::PREFETCH).await?;
                (channel, consumer, None)
            } else {
                let tap = tap::open(&live, &target.name, &target.sources).await?;
                (tap.channel, tap.consumer, Some(tap.queue))
            };
            channels.push(channel);
            queues.push(queue);
            deliveries.push(batches(at, consumer));
        }
        drop(answers);
        let acknowledged = vec![0; channels.len()];
        Ok(Open { live, _bounded: bounded, acknowledged, channels, queues, deliveries: select_all(deliveries) })
    }

    fn messages(&mut self, at: usize, batch: Vec<lapin::Result<Delivery>>) -> (Vec<Message>, Option<u64>, Option<lapin::Error>) {
        let (target, mut messages, mut last, mut failed) = (&mut self.targets[at], Vec::with_capacity(batch.len()), None, None);
        for delivery in batch {
            let delivery = match delivery {
                Ok(delivery) => delivery,
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            };
            last = Some(delivery.delivery_tag);
            let position = match stream::offset(&delivery).filter(|_| matches!(target.name, Name::Stream(_))) {
                // What stands before our place in its chunk was seen before.
                Some(offset) if target.next.is_some_and(|next| offset < next) => continue,
                Some(offset) => {
                    target.next = Some(offset + 1);
                    Position::Sequence(offset)
                }
                None => {
                    self.seen += 1;
                    self.bytes += delivery.data.len() as u64;
                    Position::Arrival(self.seen)
                }
            };
            messages.push(properties::message(&target.channel, position, delivery));
        }
        (messages, last, failed)
    }

    /// Whether one of our queues is full, in messages or in bytes, so that the server drops its oldest messages.
    async fn overflows(&self, live: &Live, queues: &[Option<ShortString>]) -> bool {
        let mean = self.bytes.checked_div(self.seen).unwrap_or(0);
        for queue in queues.iter().flatten() {
            let Ok(channel) = live.channel(OP, "").await else { return false };
            let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
            let said = live.within(OP, queue.as_str(), channel.queue_declare(queue.clone(), options, FieldTable::default())).await;
            link::close(&channel);
            // Messages are not all of one size: nearly full counts.
            if said.is_ok_and(|said| said.message_count() >= tap::LENGTH || u64::from(said.message_count()) * mean >= tap::BYTES / 10 * 9) {
                return true;
            }
        }
        false
    }

    /// Messages that went by while nobody read. Our own queues were gone, so nobody knows; of streams, what was deleted meanwhile.
    async fn lost(&self, live: &Live) -> Result<Option<u64>, Fault> {
        let (_answers, mut lost) = (live.room.open(), 0);
        for target in &self.targets {
            let (Name::Stream(name), Some(next)) = (&target.name, target.next) else { return Ok(None) };
            let first = stream::offset_from(live, OP, name, stream::Start::First).await?;
            lost += first.map_or(0, |first| first.saturating_sub(next));
        }
        Ok(Some(lost))
    }
}

#[async_trait]
impl Reopens for Tailing {
    type Open = Open;

    async fn read(&mut self, open: &mut Open) -> Option<Fault> {
        let mut look = tokio::time::interval(LOOK);
        // Whether messages are being dropped at the server, which is said each time that it begins.
        let (mut dropping, mut looked) = (false, self.seen);
        loop {
            let came = tokio::select! {
                came = open.deliveries.next() => came,
                _ = look.tick() => {
                    let many = self.seen - std::mem::replace(&mut looked, self.seen) > MANY;
                    let full = many && self.overflows(&open.live, &open.queues).await;
                    if full && !dropping && !self.out.say(TailEvent::Skipped { count: None, side: Side::Theirs }).await {
                        return None;
                    }
                    dropping = full;
                    continue;
                }
            };
            let Some((at, batch)) = came.filter(|(_, batch)| !batch.is_empty()) else { return Some(gone(&self.targets)) };
            for _ in &batch {
                open.live.room.pop();
            }
            let (messages, last, error) = self.messages(at, batch);
            if !messages.is_empty() && !self.out.say(TailEvent::Messages(messages)).await {
                return None;
            }
            // What was handed on of a stream is acknowledged, so that no more than the prefetch waits here.
            let acknowledged = match last.filter(|tag| open.queues[at].is_none() && tag - open.acknowledged[at] >= stream::TOGETHER) {
                Some(tag) => {
                    open.acknowledged[at] = tag;
                    open.channels[at].basic_ack(tag, BasicAckOptions { multiple: true }).await
                }
                None => Ok(()),
            };
            if let Some(error) = error.or(acknowledged.err()) {
                return Some(faults::of(&error, OP, &*self.targets[at].channel));
            }
        }
    }

    async fn reopen(&mut self) -> Result<(Open, Option<u64>), Fault> {
        let open = self.open(false).await?;
        let lost = self.lost(&open.live).await?;
        Ok((open, lost))
    }

    fn outlet(&self) -> &Outlet {
        &self.out
    }
}

/// An empty batch stands for the end of a consumer: the server cancels one whose queue is deleted.
fn batches(at: usize, consumer: Consumer) -> Deliveries {
    let ended = once(async move { (at, Vec::new()) });
    consumer.ready_chunks(BATCH).map(move |batch| (at, batch)).chain(ended).boxed()
}

fn gone(targets: &[Target]) -> Fault {
    let names: Vec<&str> = targets.iter().map(|target| &*target.channel).collect();
    Fault::new(Kind::Unreachable, OP, names.join(", "), "the server ended the reading").next("it is opened again")
}
