//! `Peek` for RabbitMQ: the head of a queue, taken with a prefetch and given back with one nack.
//!
//! Never by closing the channel: that spends a delivery of each message on every version, one nack does not from 4.3 on.

use super::link::{self, Live};
use super::name::Name;
use super::{Rabbit, faults, properties};
use crate::adapters::session::{Cost, Looked, Peek};
use crate::domain::delivery::Delivery;
use crate::domain::fault::{Fault, Kind};
use crate::domain::position::Position;
use async_trait::async_trait;
use futures::StreamExt;
use lapin::options::{BasicCancelOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Consumer, message};
use std::sync::Arc;
use std::time::Duration;

const OP: &str = "peek into";
/// A server that has more to give does so at once; after so long without any there is none.
const QUIET: Duration = Duration::from_millis(500);
/// The same when all that were counted have come.
const AT_ONCE: Duration = Duration::from_millis(100);
/// How long is waited before each count of what is ready again.
const RECOUNTS: &[Duration] =
    &[Duration::ZERO, Duration::from_millis(100), Duration::from_millis(200), Duration::from_millis(400), Duration::from_millis(800)];

#[async_trait]
impl Peek for Rabbit {
    async fn cost(&self, channel: &str) -> Result<Cost, Fault> {
        let Name::Queue(queue) = self.resolve(OP, channel).await? else { return Ok(Cost::Nothing) };
        Ok(match self.facts(&queue).await.price() {
            Some(price) => Cost::Spends(price),
            None => Cost::Marks(
                "for a moment no consumer gets the messages, then they are marked as redelivered; a quorum queue may put them at its end",
            ),
        })
    }

    async fn peek(&self, channel: &str, most: usize) -> Result<Looked, Fault> {
        let queue = match self.resolve(OP, channel).await? {
            Name::Queue(queue) => queue,
            Name::Stream(_) => {
                return Err(Fault::new(Kind::Rejected, OP, channel, "a stream is read, not peeked into").next("read its history"));
            }
            Name::Exchange(_) => {
                return Err(Fault::new(Kind::Rejected, OP, channel, "an exchange holds no messages").next("peek into a queue"));
            }
        };
        let ready = self.queue_is_there(OP, &queue).await?.message_count();
        let before = u64::from(ready);
        let name: Arc<str> = Name::Queue(queue.clone()).text().into();
        let live = self.link.shared().await?;
        let most = u16::try_from(most).unwrap_or(u16::MAX);
        if most == 0 {
            return Ok(Looked::default());
        }
        let channel = live.channel(OP, &name).await?;
        let looked = look(&live, &channel, &queue, most, ready).await;
        link::close(&channel);
        let deliveries = looked?.into_iter().zip(1..).map(|(delivery, at)| held(&name, at, delivery)).collect();
        Ok(Looked { deliveries, ready: Some((before, self.ready_again(&queue, before).await?)) })
    }
}

impl Rabbit {
    /// How many messages are ready after a look at a queue in which so many were. What was given back to a quorum queue is counted a
    /// moment later: fewer than before are counted again, for as long as that may take.
    async fn ready_again(&self, queue: &str, before: u64) -> Result<u64, Fault> {
        let mut ready = 0;
        for wait in RECOUNTS {
            tokio::time::sleep(*wait).await;
            ready = self.queue_is_there(OP, queue).await?.message_count().into();
            if ready >= before {
                break;
            }
        }
        Ok(ready)
    }
}

/// A delivery that was only looked at.
fn held(name: &Arc<str>, at: u64, delivery: message::Delivery) -> Delivery {
    let (redelivered, deliveries) = counts(&delivery);
    Delivery { ticket: None, message: properties::message(name, Position::Arrival(at), delivery), deliveries, redelivered }
}

/// Whether somebody had it before, and how many times it was given out, this time included, where the queue counts.
pub(super) fn counts(delivery: &message::Delivery) -> (bool, Option<u64>) {
    (delivery.redelivered, properties::number(&delivery.properties, properties::COUNT).map(|before| before + 1))
}

async fn look(live: &Live, channel: &Channel, queue: &str, most: u16, ready: u32) -> Result<Vec<message::Delivery>, Fault> {
    live.within(OP, queue, channel.basic_qos(most, BasicQosOptions::default())).await?;
    let consumed = channel.basic_consume(link::short(queue, OP)?, "".into(), BasicConsumeOptions::default(), FieldTable::default());
    let mut consumer = live.within(OP, queue, consumed).await?;
    let taken = take(&mut consumer, queue, most, ready).await;
    // What is still on its way to us comes back with the rest: the nack is for everything that was given to this channel.
    let cancelled = live.within(OP, queue, channel.basic_cancel(consumer.tag(), BasicCancelOptions::default())).await;
    let options = BasicNackOptions { multiple: true, requeue: true };
    let given_back = live.within(OP, queue, channel.basic_nack(0, options)).await;
    // The server answers nothing to a nack; it has done it when it answers what was asked behind it.
    let settled = live.within(OP, queue, channel.basic_qos(most, BasicQosOptions::default())).await;
    cancelled.and(given_back).and(settled)?;
    taken
}

async fn take(consumer: &mut Consumer, queue: &str, most: u16, ready: u32) -> Result<Vec<message::Delivery>, Fault> {
    let mut taken = Vec::new();
    while taken.len() < usize::from(most) {
        // The count of a quorum queue lags behind what was given back to it: more than were ready may come, but soon.
        let wait = if taken.len() as u64 >= u64::from(ready.max(1)) { AT_ONCE } else { QUIET };
        match tokio::time::timeout(wait, consumer.next()).await {
            Ok(Some(Ok(delivery))) => taken.push(delivery),
            Ok(Some(Err(error))) => return Err(faults::of(&error, OP, queue)),
            Ok(None) => return Err(Fault::new(Kind::Lost, OP, queue, "the server ended the reading: the queue may have been deleted")),
            Err(_) if taken.is_empty() && ready > 0 => {
                return Err(Fault::new(Kind::Rejected, OP, queue, format!("{ready} messages are ready, and the server gives us none"))
                    .next("a consumer took them meanwhile, or has the queue for itself (single active consumer): look again"));
            }
            Err(_) => break,
        }
    }
    Ok(taken)
}
