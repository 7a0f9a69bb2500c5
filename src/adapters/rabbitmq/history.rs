//! `History` for RabbitMQ: streams, by offset and by time. Other queues keep nothing that could be read again.

use super::link::{Bounded, Live};
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
        let lanes = if start < end { vec![lane((live, bounded), &name, start, end).await?] } else { Vec::new() };
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

async fn lane((live, bounded): (Live, Bounded), name: &str, start: u64, end: u64) -> Result<Lane, Fault> {
    let (channel, consumer) = stream::consume(&live, OP, name, Start::Offset(start), stream::PREFETCH).await?;
    let channel_name: Arc<str> = Name::Stream(name.to_owned()).text().into();
    let reader = Reader {
        live,
        _bounded: bounded,
        channel,
        deliveries: consumer.ready_chunks(BATCH),
        name: channel_name,
        next: start,
        end,
        acknowledged: 0,
        ended: false,
    };
    let batches: BoxStream<'static, _> =
        futures::stream::unfold(reader, |mut reader| async { reader.batch().await.map(|batch| (batch, reader)) }).boxed();
    Ok(Lane { partition: None, at_most: end - start, batches })
}

/// Reads a stream up to an offset.
struct Reader {
    /// The connection lives as long as the reading.
    live: Live,
    _bounded: Bounded,
    channel: Channel,
    deliveries: futures::stream::ReadyChunks<Consumer>,
    name: Arc<str>,
    next: u64,
    end: u64,
    /// The delivery tag up to which everything was acknowledged.
    acknowledged: u64,
    ended: bool,
}

impl Reader {
    /// The next messages; `None` at the end.
    async fn batch(&mut self) -> Option<Result<Vec<Message>, Fault>> {
        let mut silent = 0;
        while !self.ended && self.next < self.end {
            let came = match tokio::time::timeout(QUIET, self.deliveries.next()).await {
                Ok(Some(came)) => came,
                Ok(None) => {
                    return Some(self.fail(Fault::new(
                        Kind::Lost,
                        OP,
                        &*self.name,
                        "the server ended the reading: the stream may have been deleted",
                    )));
                }
                Err(_) if silent < TIMES => {
                    silent += 1;
                    if let Err(fault) = self.answered().await {
                        return Some(self.fail(fault));
                    }
                    continue;
                }
                Err(_) => return None,
            };
            silent = 0;
            let mut messages = Vec::with_capacity(came.len());
            let mut last = None;
            for delivery in came {
                self.live.room.pop();
                let delivery = match delivery {
                    Ok(delivery) => delivery,
                    Err(error) => return Some(self.fail(faults::of(&error, OP, &*self.name))),
                };
                last = Some(delivery.delivery_tag);
                let Some(offset) = stream::offset(&delivery) else { return Some(self.fail(stream::not_a_stream(OP, &self.name))) };
                if offset >= self.next && offset < self.end {
                    messages.push(self.message(offset, delivery));
                }
                self.next = self.next.max(offset + 1);
            }
            if let Some(tag) = last.filter(|tag| tag - self.acknowledged >= stream::TOGETHER) {
                self.acknowledged = tag;
                if let Err(error) = self.channel.basic_ack(tag, BasicAckOptions { multiple: true }).await {
                    return Some(self.fail(faults::of(&error, OP, &*self.name)));
                }
            }
            if !messages.is_empty() {
                return Some(Ok(messages));
            }
        }
        None
    }

    /// Waits for an answer by the channel that the messages come by: those that were ready come before it.
    async fn answered(&self) -> Result<(), Fault> {
        let asked = self.channel.basic_qos(stream::PREFETCH, BasicQosOptions::default());
        self.live.within(OP, &self.name, asked).await
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
