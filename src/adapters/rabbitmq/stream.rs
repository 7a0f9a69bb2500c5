//! Streams by AMQP: where one begins and ends, and a consumer from any place of it.

use super::link::{self, Live};
use super::properties::{self, OFFSET};
use crate::domain::fault::{Fault, Kind};
use crate::domain::time::Timestamp;
use futures::StreamExt;
use futures::future::try_join;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicQosOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Consumer};
use std::time::{Duration, Instant};

/// A stream that has messages gives the first at once. When none came for so long, there is none.
const PATIENCE: Duration = Duration::from_secs(2);
/// The same where the server counts none: its count is about 200 ms old.
const UNCOUNTED: Duration = Duration::from_millis(400);
/// The messages of a chunk come one after the other. After such a pause it was the last.
const PAUSE: Duration = Duration::from_millis(250);
/// The end of a stream that never pauses is taken as it is by then.
const END: Duration = Duration::from_secs(1);
/// Messages under way; a stream demands a bound. Their bytes are bounded where the connection is read.
pub(super) const PREFETCH: u16 = 1_000;
/// Acknowledged together: small chunks acknowledged one by one keep the server busy with answers.
pub(super) const TOGETHER: u64 = PREFETCH as u64 / 2;

/// Where a consumer attaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    First,
    /// The beginning of the last chunk.
    Last,
    Offset(u64),
    /// Whole seconds; the server begins with the chunk that holds the moment.
    Time(Timestamp),
}

/// The first offset that is still there, and the one that the next message will have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ends {
    pub(super) first: u64,
    pub(super) next: u64,
}

/// A consumer on a channel of its own. It gives what stands in the chunk before its start as well: offsets have to be compared.
pub(super) async fn consume(live: &Live, op: &'static str, name: &str, start: Start, prefetch: u16) -> Result<(Channel, Consumer), Fault> {
    let place = match start {
        Start::First => AMQPValue::LongString("first".into()),
        Start::Last => AMQPValue::LongString("last".into()),
        Start::Offset(offset) => AMQPValue::LongLongInt(i64::try_from(offset).unwrap_or(i64::MAX)),
        Start::Time(time) => AMQPValue::Timestamp(u64::try_from(time.0 / 1_000).unwrap_or(0)),
    };
    let mut arguments = FieldTable::default();
    arguments.insert(OFFSET.into(), place);
    let channel = live.channel(op, name).await?;
    live.within(op, name, channel.basic_qos(prefetch, BasicQosOptions::default())).await?;
    let options = BasicConsumeOptions::default();
    let consumed = channel.basic_consume(link::short(name, op)?, "".into(), options, arguments);
    let consumer = live.within(op, name, consumed).await?;
    Ok((channel, consumer))
}

/// The offset of the first message from a place on; `None` if there is none.
pub(super) async fn offset_from(live: &Live, op: &'static str, name: &str, start: Start) -> Result<Option<u64>, Fault> {
    let (channel, mut consumer) = consume(live, op, name, start, 1).await?;
    let found = next_offset(live, &mut consumer, op, name, PATIENCE.min(live.timeout())).await;
    let ended = end(live, op, name, &channel, consumer).await;
    found.and_then(|found| ended.map(|()| found))
}

/// Ends a consumer, and takes what was on its way: nobody else would, and it would be in the way of what is read next.
async fn end(live: &Live, op: &'static str, name: &str, channel: &Channel, mut consumer: Consumer) -> Result<(), Fault> {
    let tag = consumer.tag();
    let cancelled = live.within(op, name, channel.basic_cancel(tag, BasicCancelOptions::default()));
    let rest = async {
        while let Some(Ok(_)) = consumer.next().await {
            live.room.pop();
        }
        Ok(())
    };
    // A channel that the server has closed has nothing more to give.
    let ended = if channel.status().connected() { try_join(cancelled, rest).await.map(drop) } else { Ok(()) };
    link::close(channel);
    ended
}

/// Where the stream begins and ends now. The server's count of its messages lags behind, so the last chunk is looked at.
pub(super) async fn ends(live: &Live, op: &'static str, name: &str) -> Result<Ends, Fault> {
    let channel = live.channel(op, name).await?;
    let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    let said = live.within(op, name, channel.queue_declare(link::short(name, op)?, options, FieldTable::default())).await;
    link::close(&channel);
    let counted = said?.message_count();
    let patience = if counted == 0 { UNCOUNTED } else { PATIENCE };
    let (first, last) = tokio::try_join!(edge(live, op, name, Start::First, patience), edge(live, op, name, Start::Last, patience))?;
    if counted > 0 && last.is_none() {
        // Not empty: its messages did not come in time, and must not be taken for none.
        let cause = format!("the server counts {counted} messages and sent none within {} s", patience.as_secs());
        return Err(Fault::new(Kind::Timeout, op, name, cause).next("the server is busy: try again"));
    }
    Ok(Ends { first: first.unwrap_or(0), next: last.map_or(0, |last| last + 1) })
}

/// The first offset, or the last one.
async fn edge(live: &Live, op: &'static str, name: &str, start: Start, patience: Duration) -> Result<Option<u64>, Fault> {
    let prefetch = if start == Start::Last { PREFETCH } else { 1 };
    let (channel, mut consumer) = consume(live, op, name, start, prefetch).await?;
    let mut found = next_offset(live, &mut consumer, op, name, patience).await;
    let begun = Instant::now();
    let mut unacknowledged = 1;
    while let (Start::Last, Ok(Some(_))) = (start, &found) {
        match next_offset(live, &mut consumer, op, name, PAUSE).await {
            Ok(Some(offset)) => found = Ok(Some(offset)),
            Ok(None) => break,
            Err(fault) => found = Err(fault),
        }
        unacknowledged += 1;
        if unacknowledged >= PREFETCH / 2 {
            unacknowledged = 0;
            // Tag 0 stands for everything that was delivered.
            live.within(op, name, channel.basic_ack(0, BasicAckOptions { multiple: true })).await?;
        }
        if begun.elapsed() > END {
            break;
        }
    }
    let ended = end(live, op, name, &channel, consumer).await;
    found.and_then(|found| ended.map(|()| found))
}

async fn next_offset(live: &Live, consumer: &mut Consumer, op: &'static str, name: &str, patience: Duration) -> Result<Option<u64>, Fault> {
    match tokio::time::timeout(patience, consumer.next()).await {
        Ok(Some(Ok(delivery))) => {
            live.room.pop();
            offset(&delivery).map(Some).ok_or_else(|| not_a_stream(op, name))
        }
        Ok(Some(Err(error))) => Err(super::faults::of(&error, op, name)),
        Ok(None) => Err(Fault::new(Kind::Lost, op, name, "the server ended the reading: the stream may have been deleted")),
        Err(_) => Ok(None),
    }
}

/// Where a message of a stream stands.
pub(super) fn offset(delivery: &Delivery) -> Option<u64> {
    properties::number(&delivery.properties, OFFSET)
}

pub(super) fn not_a_stream(op: &'static str, name: &str) -> Fault {
    Fault::new(Kind::Usage, op, name, "its messages have no offsets: it is no stream").next(format!("write queue:{name}"))
}
