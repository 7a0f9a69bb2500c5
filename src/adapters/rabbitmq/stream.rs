//! Streams by AMQP: where one begins and ends, and a consumer from any place of it.

use super::link::{self, Live};
use super::properties::{self, OFFSET};
use crate::domain::fault::{Fault, Kind};
use crate::domain::time::Timestamp;
use futures::StreamExt;
use lapin::message::Delivery;
use lapin::options::{BasicConsumeOptions, BasicQosOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Consumer};
use std::time::Duration;

/// A stream that has messages gives the first at once. When none came for so long, there is none.
const PATIENCE: Duration = Duration::from_secs(2);
/// Messages under way; a stream demands a bound.
pub(super) const PREFETCH: u16 = 1_000;

/// Where a consumer attaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    First,
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
    let came = tokio::time::timeout(PATIENCE.min(live.timeout()), consumer.next()).await;
    link::close(&channel);
    match came {
        Ok(Some(Ok(delivery))) => offset(&delivery).map(Some).ok_or_else(|| not_a_stream(op, name)),
        Ok(Some(Err(error))) => Err(super::faults::of(&error, op, name)),
        Ok(None) => Err(Fault::new(Kind::Lost, op, name, "the server ended the reading: the stream may have been deleted")),
        Err(_) => Ok(None),
    }
}

/// Where the stream begins and ends now. The server counts a stream's messages from its first to its last offset.
pub(super) async fn ends(live: &Live, op: &'static str, name: &str) -> Result<Ends, Fault> {
    let channel = live.channel(op, name).await?;
    let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    let said = live.within(op, name, channel.queue_declare(link::short(name, op)?, options, FieldTable::default())).await;
    link::close(&channel);
    let held = u64::from(said?.message_count());
    if held == 0 {
        return Ok(Ends { first: 0, next: 0 });
    }
    let first = offset_from(live, op, name, Start::First).await?.unwrap_or(0);
    Ok(Ends { first, next: first + held })
}

/// Where a message of a stream stands.
pub(super) fn offset(delivery: &Delivery) -> Option<u64> {
    properties::number(&delivery.properties, OFFSET)
}

pub(super) fn not_a_stream(op: &'static str, name: &str) -> Fault {
    Fault::new(Kind::Usage, op, name, "its messages have no offsets: it is no stream").next(format!("write queue:{name}"))
}
