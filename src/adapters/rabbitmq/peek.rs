//! `Peek` for RabbitMQ: the head of a queue, taken and given back with one nack.
//!
//! Never by closing the channel: that spends a delivery of each message on every version, one nack does not from 4.3 on.

use super::link::{self, Live};
use super::name::Name;
use super::take::{self, Taking};
use super::{Rabbit, properties};
use crate::adapters::bounds::BYTES;
use crate::adapters::session::{Looked, Peek};
use crate::domain::channel::Cost;
use crate::domain::delivery::Delivery;
use crate::domain::fault::{Fault, Kind};
use crate::domain::position::Position;
use async_trait::async_trait;
use lapin::options::BasicNackOptions;
use lapin::{Channel, message};
use std::sync::Arc;
use std::time::Duration;

const OP: &str = "peek into";
/// How long is waited before each count of what is ready again.
const RECOUNTS: &[Duration] =
    &[Duration::ZERO, Duration::from_millis(100), Duration::from_millis(200), Duration::from_millis(400), Duration::from_millis(800)];

#[async_trait]
impl Peek for Rabbit {
    async fn cost(&self, channel: &str) -> Result<Cost, Fault> {
        let Name::Queue(queue) = self.resolve(OP, channel).await? else { return Ok(Cost::Nothing) };
        Ok(match self.facts(&queue).await.price() {
            Some(price) => Cost::Spends(price.summary),
            None => Cost::Marks(
                "for a moment no consumer gets the messages, then they are marked as redelivered; a quorum queue may put them at its end, in another order",
            ),
        })
    }

    async fn peek(&self, channel: &str, most: usize) -> Result<Looked, Fault> {
        let queue = match self.resolve(OP, channel).await? {
            Name::Queue(queue) => queue,
            Name::Stream(_) => {
                return Err(Fault::new(Kind::Usage, OP, channel, "a stream is read, not peeked into").next("read its history"));
            }
            Name::Exchange(_) => {
                return Err(Fault::new(Kind::Usage, OP, channel, "an exchange holds no messages").next("peek into a queue"));
            }
        };
        let ready = self.queue_is_there(OP, &queue).await?.message_count();
        let before = u64::from(ready);
        let name: Arc<str> = Name::Queue(queue.clone()).text().into();
        let live = self.link.shared().await?;
        if most == 0 {
            return Ok(Looked::default());
        }
        let channel = live.channel(OP, &name).await?;
        let looked = look(&live, &channel, &queue, most as u64, before).await;
        link::close(&channel);
        let (deliveries, cut) = looked?;
        let deliveries = deliveries.into_iter().zip(1..).map(|(delivery, at)| held(&name, at, delivery)).collect();
        Ok(Looked { deliveries, cut, ready: Some((before, self.ready_again(&queue, before).await?)), ..Looked::default() })
    }

    async fn ready(&self, channel: &str, expected: u64) -> Result<Option<u64>, Fault> {
        match self.resolve(OP, channel).await? {
            Name::Queue(queue) => self.ready_again(&queue, expected).await.map(Some),
            Name::Stream(_) | Name::Exchange(_) => Ok(None),
        }
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

/// The first messages, and whether there would have been more without the bound on their bytes.
async fn look(live: &Live, channel: &Channel, queue: &str, most: u64, ready: u64) -> Result<(Vec<message::Delivery>, bool), Fault> {
    let mut taken = Vec::new();
    let looked = take(&mut Taking::new(live, channel, OP, queue, ready), &mut taken, most, ready, queue).await;
    let options = BasicNackOptions { multiple: true, requeue: true };
    let given_back = live.within(OP, queue, channel.basic_nack(0, options)).await;
    let settled = take::settled(live, channel, OP, queue).await;
    given_back.and(settled)?;
    looked.map(|cut| (taken, cut))
}

async fn take(taking: &mut Taking<'_>, taken: &mut Vec<message::Delivery>, most: u64, ready: u64, queue: &str) -> Result<bool, Fault> {
    let mut bytes = 0;
    while (taken.len() as u64) < most {
        if bytes >= BYTES {
            return Ok(true);
        }
        let some = taking.some(most - taken.len() as u64).await?;
        if some.is_empty() {
            break;
        }
        bytes += some.iter().map(take::size).sum::<usize>();
        taken.extend(some);
    }
    if taken.is_empty() && ready > 0 {
        return Err(Fault::new(Kind::Rejected, OP, queue, format!("{ready} messages are ready, and the server gives us none"))
            .next("a consumer took them meanwhile, or has the queue for itself (single active consumer): look again"));
    }
    Ok(false)
}
