//! `Hold` for RabbitMQ: messages received with manual acknowledgement, and settled one by one.

use super::link::{Bounded, Link, Live};
use super::name::Name;
use super::{Rabbit, faults, management, peek, properties, take};
use crate::adapters::bounds::UNTAKEN;
use crate::adapters::reopen::Backoff;
use crate::adapters::session::{Came, Closed, Handle, Hold, Holding};
use crate::domain::delivery::{Delivery, Effect, Given, Settlement, Settles, Verb};
use crate::domain::fault::{Fault, Kind};
use crate::domain::position::Position;
use async_trait::async_trait;
use futures::StreamExt;
use futures::future::try_join;
use lapin::options::{BasicAckOptions, BasicCancelOptions, BasicNackOptions, BasicRejectOptions};
use lapin::{Channel, Consumer};
use std::sync::Arc;
use std::time::Duration;

const OP: &str = "receive from";
const SETTLE: &str = "settle a message of";

static VERBS: &[Verb] = &[
    Verb::new(Effect::Ack, "ack", "done: the queue forgets it"),
    Verb::new(Effect::Requeue, "requeue", "back to the queue for others, marked as redelivered"),
    Verb::new(Effect::Reject, "reject", "a dead letter: to the dead-letter exchange, or deleted where there is none"),
];

#[async_trait]
impl Hold for Rabbit {
    fn verbs(&self, channel: &str) -> &'static [Verb] {
        if matches!(Name::said(channel), Some(Name::Exchange(_) | Name::Stream(_))) { &[] } else { VERBS }
    }

    async fn spends(&self, channel: &str) -> Result<Option<Settles>, Fault> {
        let Name::Queue(queue) = self.resolve(OP, channel).await? else { return Ok(None) };
        Ok(self.facts(&queue).await.price())
    }

    /// The queue's own timeout, if an argument or a policy says one. The server's (30 minutes unless it was changed) cannot be asked.
    async fn ack_timeout(&self, channel: &str) -> Result<Option<Duration>, Fault> {
        let Name::Queue(queue) = self.resolve(OP, channel).await? else { return Ok(None) };
        let Ok(said) = self.management.get("queues", &[&queue], &[("columns", "arguments,effective_policy_definition")]).await else {
            return Ok(None);
        };
        let paths: [&[&str]; 2] = [&["arguments", "x-consumer-timeout"], &["effective_policy_definition", "consumer-timeout"]];
        Ok(paths.iter().find_map(|path| management::number(&said, path)).map(Duration::from_millis))
    }

    fn unsettled_fate(&self, _channel: &str) -> &'static str {
        "is given back to the queue, marked as redelivered; one at its delivery limit becomes a dead letter or is deleted"
    }

    async fn settles(&self, channel: &str, effect: Effect, given: &[Given]) -> Result<Settles, Fault> {
        self.settling(channel, effect, given).await
    }

    async fn receive(&self, channel: &str, most: u32) -> Result<Box<dyn Holding>, Fault> {
        let queue = match self.resolve(OP, channel).await? {
            Name::Queue(queue) => queue,
            other => {
                return Err(Fault::new(Kind::Usage, OP, other.text(), "only the messages of a queue are received and settled")
                    .next("tail it, or name a queue: queue:NAME"));
            }
        };
        let prefetch = match most {
            0 => self.settings.prefetch,
            most => u16::try_from(most).unwrap_or(u16::MAX),
        };
        let subscription = Subscription::begin(&self.link, &queue, prefetch).await?;
        let (link, name) = (self.link.clone(), Name::Queue(queue.clone()).text().into());
        let (subscription, backoff) = (Some(subscription), Backoff::new(&self.integration.reconnect));
        Ok(Box::new(Held { link, queue, name, prefetch, subscription, backoff, seen: 0 }))
    }
}

/// A queue being received from.
struct Held {
    link: Arc<Link>,
    queue: String,
    name: Arc<str>,
    prefetch: u16,
    /// `None` while there is no connection, and once there will be none any more.
    subscription: Option<Subscription>,
    backoff: Backoff,
    seen: u64,
}

/// The consumer with its connection, which nobody else uses. It has the one prefetch that it began with: a quorum queue knows no other limit,
/// and what a consumer held that was cancelled for another one stays with a node that dies until that is back. The prefetch bounds what is
/// held; what is in memory is bounded by its bytes, as the connection is read only while there is room.
struct Subscription {
    live: Live,
    channel: Channel,
    consumer: Consumer,
    cancelled: bool,
    _bounded: Bounded,
}

impl Subscription {
    async fn begin(link: &Link, queue: &str, prefetch: u16) -> Result<Self, Fault> {
        let live = link.dedicated().await?;
        let bounded = live.bound(UNTAKEN);
        let channel = live.channel(OP, queue).await?;
        let consumer = take::consume(&live, &channel, OP, queue, prefetch).await?;
        Ok(Self { live, channel, consumer, cancelled: false, _bounded: bounded })
    }

    fn is_open(&self) -> bool {
        self.live.is_open() && self.channel.status().connected()
    }

    /// The server gives no more. The tags of what it gave before it heard of that: they are taken meanwhile, because the answer comes
    /// behind them.
    async fn cancel(&mut self, name: &str) -> Result<Vec<u64>, Fault> {
        if std::mem::replace(&mut self.cancelled, true) {
            return Ok(Vec::new());
        }
        let Self { live, channel, consumer, .. } = self;
        let cancelled = live.within(OP, name, channel.basic_cancel(consumer.tag(), BasicCancelOptions::default()));
        let over = async {
            let mut over = Vec::new();
            while let Some(Ok(delivery)) = consumer.next().await {
                live.room.pop();
                over.push(delivery.delivery_tag);
            }
            Ok(over)
        };
        Ok(try_join(cancelled, over).await?.1)
    }

    /// Waits until it is closed by anybody but us, and says why.
    async fn lost(&self, name: &str) -> Fault {
        match self.live.connection_lost(&self.channel).await {
            Some(error) => faults::of(&error, OP, name),
            None => Fault::new(Kind::Unreachable, OP, name, "the connection is closed"),
        }
    }

    /// Gives back everything that is not settled. A connection that breaks spends a delivery of what it held; a nack need not.
    async fn give_back(&mut self, name: &str) -> Result<(), Fault> {
        self.cancel(name).await?;
        self.live.within(OP, name, self.channel.basic_nack(0, BasicNackOptions { multiple: true, requeue: true })).await?;
        take::settled(&self.live, &self.channel, OP, name).await
    }
}

#[async_trait]
impl Holding for Held {
    async fn next(&mut self) -> Option<Result<Came, Fault>> {
        let fault = match &mut self.subscription {
            None => {
                let opened = self.backoff.open(|| Subscription::begin(&self.link, &self.queue, self.prefetch)).await?;
                return Some(opened.map(|subscription| {
                    self.backoff.reset();
                    self.subscription = Some(subscription);
                    Came::Back
                }));
            }
            Some(subscription) if subscription.cancelled => subscription.lost(&self.name).await,
            Some(subscription) => match subscription.consumer.next().await {
                Some(Ok(delivery)) => {
                    subscription.live.room.pop();
                    return Some(Ok(self.came(delivery)));
                }
                Some(Err(error)) => faults::of(&error, OP, &*self.name),
                None => Fault::new(Kind::Lost, OP, &*self.name, "the server ended the receiving: the queue may have been deleted"),
            },
        };
        // What it gave is in the queue again, also where the server has ended the consumer alone.
        self.subscription = None;
        Some(Err(self.backoff.failure(fault)))
    }

    async fn stop_receiving(&mut self) -> Result<(), Fault> {
        let name = self.name.clone();
        let Some(subscription) = self.subscription.as_mut().filter(|subscription| subscription.is_open()) else { return Ok(()) };
        let over = subscription.cancel(&name).await?;
        // One by one: what is held must not be touched by it.
        for tag in &over {
            let options = BasicNackOptions { multiple: false, requeue: true };
            subscription.live.within(OP, &name, subscription.channel.basic_nack(*tag, options)).await?;
        }
        if over.is_empty() { Ok(()) } else { take::settled(&subscription.live, &subscription.channel, OP, &name).await }
    }

    /// By its delivery tag.
    async fn settle(&mut self, Handle(tag): Handle, settlement: &Settlement) -> Result<(), Fault> {
        let lost = || {
            Fault::new(Kind::Lost, SETTLE, &*self.name, "the connection that it came by is gone, and the message went back to the queue")
                .next("receive it again: another consumer may have it by now")
        };
        let subscription = self.subscription.as_ref().filter(|subscription| subscription.is_open()).ok_or_else(lost)?;
        let (channel, _open, tag) = (&subscription.channel, subscription.live.room.open(), tag as u64);
        let sent = match settlement.effect {
            Effect::Ack => channel.basic_ack(tag, BasicAckOptions::default()).await,
            Effect::Requeue => channel.basic_nack(tag, BasicNackOptions { multiple: false, requeue: true }).await,
            Effect::Reject => channel.basic_reject(tag, BasicRejectOptions { requeue: false }).await,
            Effect::Extend => {
                return Err(Fault::new(Kind::Usage, SETTLE, &*self.name, "RabbitMQ cannot extend the time that a message is held"));
            }
        };
        sent.map_err(|_| lost())?;
        take::settled(&subscription.live, channel, SETTLE, &self.name).await.map_err(|fault| {
            Fault { kind: Kind::Lost, ..fault }.next("whether the server took the decision is not known: look at the queue")
        })
    }

    async fn close(mut self: Box<Self>) -> Result<Closed, Fault> {
        if let Some(mut subscription) = self.subscription.take().filter(Subscription::is_open) {
            subscription.give_back(&self.name).await?;
        }
        Ok(Closed::default())
    }
}

impl Held {
    fn came(&mut self, delivery: lapin::message::Delivery) -> Came {
        self.seen += 1;
        let handle = Some(Handle(delivery.delivery_tag.into()));
        let (redelivered, deliveries) = peek::counts(&delivery);
        let message = properties::message(&self.name, Position::Arrival(self.seen), delivery);
        Came::Message(handle, Box::new(Delivery { ticket: None, message, deliveries, redelivered }))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let Some(mut subscription) = self.subscription.take().filter(Subscription::is_open) else { return };
        let name = self.name.clone();
        tokio::spawn(async move { subscription.give_back(&name).await });
    }
}
