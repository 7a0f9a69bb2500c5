//! `History` for RabbitMQ: streams, by offset and by time. Other queues keep nothing that could be read again.

use super::link::{Bounded, Link, Live};
use super::name::Name;
use super::stream::{self, Ends, Start};
use super::{Rabbit, faults, properties};
use crate::adapters::bounds::UNTAKEN;
use crate::adapters::session::{Lane, Log, Reading};
use crate::domain::channel::Cost;
use crate::domain::fault::{Fault, Kind};
use crate::domain::message::{Message, Stamp};
use crate::domain::position::{Bound, Position, Range};
use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::BoxStream;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicQosOptions};
use lapin::{Channel, Consumer};
use std::sync::Arc;
use std::time::Duration;

const OP: &str = "read";
const BATCH: usize = 500;
/// Nothing for so long, several times in a row and with an answer of the server to each, before the end that was announced: what stands there
/// are no messages but marks of the server's own. Silence alone may be a server that is busy.
const QUIET: Duration = Duration::from_secs(3);
const TIMES: u32 = 3;

#[async_trait]
impl Log for Rabbit {
    fn cost(&self) -> Cost {
        Cost::Nothing
    }

    async fn read(&self, channel: &str, range: Range) -> Result<Reading, Fault> {
        let name = match self.resolve(OP, channel).await? {
            Name::Stream(name) => name,
            other => {
                return Err(Fault::new(Kind::Usage, OP, other.text(), "only streams can be read again")
                    .next("a queue can be peeked into, and both can be tailed"));
            }
        };
        let live = self.link.dedicated().await?;
        let bounded = live.bound(UNTAKEN);
        let ends = stream::ends(&live, OP, &name).await?;
        let start = place(&live, &name, ends, range.start).await?.max(ends.first);
        let end = place(&live, &name, ends, range.end).await?.min(ends.next);
        let timed = matches!(range.start, Bound::Time(_)) || matches!(range.end, Bound::Time(_));
        let notes = timed.then(|| "times are found by the server's chunks: a few messages around them may be of another time".to_owned());
        let lanes = if start < end { vec![lane(&self.link, (live, bounded), name, start..end).await?] } else { Vec::new() };
        Ok(Reading { lanes, notes: notes.into_iter().collect() })
    }
}

/// The offset that a bound means.
async fn place(live: &Live, name: &str, ends: Ends, bound: Bound) -> Result<u64, Fault> {
    Ok(match bound {
        Bound::Earliest => ends.first,
        Bound::Latest => ends.next,
        Bound::BeforeEnd(back) => ends.next.saturating_sub(back),
        Bound::Each(offset) => u64::try_from(offset).unwrap_or(0),
        Bound::At(Position::Sequence(offset)) => offset,
        Bound::At(position) => {
            return Err(Fault::new(Kind::Usage, OP, name, format!("{position} is not a place in a stream"))
                .next("write @1042, earliest, end-500 or a time"));
        }
        Bound::Time(time) if time >= properties::now() => ends.next,
        Bound::Time(time) => stream::offset_from(live, OP, name, Start::Time(time)).await?.unwrap_or(ends.next),
    })
}

async fn lane(link: &Arc<Link>, connection: (Live, Bounded), stream: String, range: std::ops::Range<u64>) -> Result<Lane, Fault> {
    let open = Open::at(connection, &stream, range.start).await?;
    let name: Arc<str> = Name::Stream(stream.clone()).text().into();
    let (next, end, at_most) = (range.start, range.end, range.end - range.start);
    let reader = Reader { link: link.clone(), open, stream, name, next, end, opened_at: None, fault: None, ended: false };
    let batches: BoxStream<'static, _> =
        futures::stream::unfold(reader, |mut reader| async { reader.batch().await.map(|batch| (batch, reader)) }).boxed();
    Ok(Lane { partition: None, at_most, batches })
}

/// Reads a stream up to an offset.
struct Reader {
    link: Arc<Link>,
    open: Open,
    stream: String,
    name: Arc<str>,
    next: u64,
    end: u64,
    /// The offset from which it was opened again.
    opened_at: Option<u64>,
    /// What has ended it, behind the messages that came before.
    fault: Option<Fault>,
    ended: bool,
}

/// A connection by which a stream is read.
struct Open {
    /// It lives as long as the reading.
    live: Live,
    _bounded: Bounded,
    channel: Channel,
    deliveries: futures::stream::ReadyChunks<Consumer>,
    /// The delivery tag up to which everything was acknowledged.
    acknowledged: u64,
}

impl Open {
    async fn at((live, bounded): (Live, Bounded), stream: &str, offset: u64) -> Result<Self, Fault> {
        let (channel, consumer) = stream::consume(&live, OP, stream, Start::Offset(offset), stream::PREFETCH).await?;
        Ok(Self { live, _bounded: bounded, channel, deliveries: consumer.ready_chunks(BATCH), acknowledged: 0 })
    }
}

impl Reader {
    /// The next messages; `None` at the end.
    async fn batch(&mut self) -> Option<Result<Vec<Message>, Fault>> {
        let mut silent = 0;
        while !self.ended && self.next < self.end {
            if let Some(fault) = self.fault.take() {
                return Some(self.fail(fault));
            }
            let came = match tokio::time::timeout(QUIET, self.open.deliveries.next()).await {
                Ok(Some(came)) => came,
                Ok(None) => {
                    let cause = "the server ended the reading: the stream may have been deleted";
                    return Some(self.fail(Fault::new(Kind::Lost, OP, &*self.name, cause)));
                }
                Err(_) if silent < TIMES => {
                    silent += 1;
                    if let Err(fault) = self.answered().await
                        && let Err(fault) = self.open_again(fault).await
                    {
                        return Some(self.fail(fault));
                    }
                    continue;
                }
                Err(_) => return None,
            };
            silent = 0;
            let (messages, read) = self.messages(came);
            let read = match read {
                Ok(last) => self.acknowledge(last).await,
                Err(fault) => Err(fault),
            };
            if let Err(fault) = read
                && let Err(fault) = self.open_again(fault).await
            {
                self.fault = Some(fault);
            }
            if !messages.is_empty() {
                return Some(Ok(messages));
            }
        }
        None
    }

    /// The messages of the range among these, and the last tag, or what broke the connection behind them.
    fn messages(&mut self, came: Vec<lapin::Result<Delivery>>) -> (Vec<Message>, Result<Option<u64>, Fault>) {
        let (mut messages, mut last) = (Vec::with_capacity(came.len()), None);
        for delivery in came {
            self.open.live.room.pop();
            let delivery = match delivery {
                Ok(delivery) => delivery,
                Err(error) => return (messages, Err(faults::of(&error, OP, &*self.name))),
            };
            last = Some(delivery.delivery_tag);
            let Some(offset) = stream::offset(&delivery) else { return (messages, Err(stream::not_a_stream(OP, &self.name))) };
            if offset >= self.next && offset < self.end {
                messages.push(self.message(offset, delivery));
            }
            self.next = self.next.max(offset + 1);
        }
        (messages, Ok(last))
    }

    /// Lets the server send more.
    async fn acknowledge(&mut self, last: Option<u64>) -> Result<(), Fault> {
        let Some(tag) = last.filter(|tag| tag - self.open.acknowledged >= stream::TOGETHER) else { return Ok(()) };
        self.open.acknowledged = tag;
        let acknowledged = self.open.channel.basic_ack(tag, BasicAckOptions { multiple: true }).await;
        acknowledged.map_err(|error| faults::of(&error, OP, &*self.name))
    }

    /// Opens the reading again where it broke: a server ends a connection by which it could send nothing for half a minute, and whoever
    /// takes messages slowly makes it do so. What breaks twice at one place is not that.
    async fn open_again(&mut self, fault: Fault) -> Result<(), Fault> {
        if !fault.kind.is_transient() || self.opened_at.replace(self.next) == Some(self.next) {
            return Err(fault);
        }
        let live = self.link.dedicated().await?;
        let bounded = live.bound(UNTAKEN);
        self.open = Open::at((live, bounded), &self.stream, self.next).await?;
        Ok(())
    }

    /// Waits for an answer by the channel that the messages come by: those that were ready come before it.
    async fn answered(&self) -> Result<(), Fault> {
        let asked = self.open.channel.basic_qos(stream::PREFETCH, BasicQosOptions::default());
        self.open.live.within(OP, &self.name, asked).await
    }

    /// What has no time of its own has none here: it was not made when we read it.
    fn message(&self, offset: u64, delivery: Delivery) -> Message {
        let message = properties::message(&self.name, Position::Sequence(offset), delivery);
        if message.stamp == Stamp::Seen { Message { timestamp: None, stamp: Stamp::Created, ..message } } else { message }
    }

    fn fail(&mut self, fault: Fault) -> Result<Vec<Message>, Fault> {
        self.ended = true;
        Err(fault)
    }
}
