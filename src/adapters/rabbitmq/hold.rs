//! `Hold` for RabbitMQ: messages received with manual acknowledgement, and settled one by one.

use super::link::{Link, Live};
use super::name::Name;
use super::{Rabbit, faults, management, peek, properties, take};
use crate::adapters::fit::Fit;
use crate::adapters::reopen::Backoff;
use crate::adapters::session::{Hold, Holding};
use crate::domain::delivery::{Delivery, Effect, Given, Settlement, Settles, Ticket, Verb};
use crate::domain::fault::{Fault, Kind};
use crate::domain::position::Position;
use crate::domain::text::SafeText;
use async_trait::async_trait;
use futures::StreamExt;
use lapin::options::{BasicAckOptions, BasicCancelOptions, BasicNackOptions, BasicRejectOptions};
use lapin::{Channel, Consumer};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

const OP: &str = "receive from";
const SETTLE: &str = "settle a message of";

static VERBS: &[Verb] = &[
    Verb { effect: Effect::Ack, word: "ack", help: "done: the queue forgets it", fields: &[] },
    Verb { effect: Effect::Requeue, word: "requeue", help: "back to the queue for others, marked as redelivered", fields: &[] },
    Verb {
        effect: Effect::Reject,
        word: "reject",
        help: "a dead letter: to the dead-letter exchange, or deleted where there is none",
        fields: &[],
    },
];

#[async_trait]
impl Hold for Rabbit {
    fn verbs(&self, channel: &str) -> &'static [Verb] {
        if matches!(Name::said(channel), Some(Name::Exchange(_) | Name::Stream(_))) { &[] } else { VERBS }
    }

    async fn spends(&self, channel: &str) -> Result<Option<SafeText>, Fault> {
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

    async fn hold(&self, channel: &str, most: u32) -> Result<Box<dyn Holding>, Fault> {
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
        Ok(Box::new(Held {
            link,
            queue,
            name,
            prefetch,
            subscription,
            backoff,
            unsettled: BTreeSet::new(),
            seen: 0,
            counted: false,
            ended: false,
        }))
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
    /// Delivery tags that were handed out and not settled.
    unsettled: BTreeSet<u64>,
    seen: u64,
    /// The queue has counted deliveries of what came: returns may be limited.
    counted: bool,
    ended: bool,
}

/// The consumer with its connection, which nobody else uses. A consumer keeps the count of messages that it began with, so that one follows
/// another as far as the sizes of the messages let it (`take.rs`).
struct Subscription {
    live: Arc<Live>,
    channel: Channel,
    consumer: Consumer,
    /// Messages that the consumer may have unsettled.
    count: usize,
    /// Those that it has given, the largest of them, and the last delivery tag before its first.
    given: usize,
    largest: usize,
    before: u64,
    fit: Fit,
    /// The consumer that takes its place once it has given everything: made by a task, so that nothing is lost when nobody waits for it.
    following: Option<JoinHandle<Result<(Consumer, usize), Fault>>>,
}

impl Subscription {
    async fn begin(link: &Link, queue: &str, prefetch: u16) -> Result<Self, Fault> {
        let live = link.dedicated().await?;
        let channel = live.channel(OP, queue).await?;
        let fit = Fit::default();
        let count = fit.count().min(usize::from(prefetch.max(1)));
        let consumer = take::consume(&live, &channel, OP, queue, count as u16).await?;
        Ok(Self { live: Arc::new(live), channel, consumer, count, given: 0, largest: 0, before: 0, fit, following: None })
    }

    fn is_open(&self) -> bool {
        self.live.is_open() && self.channel.status().connected()
    }

    /// What the consumer gives next, or the one that has followed it.
    async fn next(&mut self) -> Option<Result<lapin::message::Delivery, Fault>> {
        loop {
            match self.consumer.next().await {
                Some(Ok(delivery)) => {
                    self.given += 1;
                    self.largest = self.largest.max(take::size(&delivery));
                    return Some(Ok(delivery));
                }
                Some(Err(error)) => return Some(Err(faults::of(&error, OP, ""))),
                None => match self.followed().await {
                    Ok(true) => {}
                    Ok(false) => return None,
                    Err(fault) => return Some(Err(fault)),
                },
            }
        }
    }

    /// Waits for the consumer that follows, if there is to be one: true if it has taken the place.
    async fn followed(&mut self) -> Result<bool, Fault> {
        let Some(following) = &mut self.following else { return Ok(false) };
        let made = following.await;
        self.following = None;
        let lost = |error: tokio::task::JoinError| Err(Fault::new(Kind::Unreachable, OP, "", error.to_string()));
        (self.consumer, self.count) = made.unwrap_or_else(lost)?;
        (self.before, self.given, self.largest) = (self.before + self.given as u64, 0, 0);
        Ok(true)
    }

    /// Has another consumer follow where this one has given all that it may, and more can be held.
    fn follow(&mut self, queue: &str, prefetch: u16, unsettled: &BTreeSet<u64>) {
        let own = unsettled.range(self.before + 1..).count();
        // What may be on its way to this one counts as well.
        let room = usize::from(prefetch.max(1)).saturating_sub(unsettled.len() + self.count.saturating_sub(own));
        if self.following.is_some() || self.given < self.count || room == 0 {
            return;
        }
        let mut fit = self.fit;
        fit.saw([self.largest]);
        let count = fit.count().min(room);
        if own < self.count && count <= self.count {
            return;
        }
        self.fit = fit;
        let (live, channel, tag, queue) = (self.live.clone(), self.channel.clone(), self.consumer.tag(), queue.to_owned());
        self.following = Some(tokio::spawn(async move {
            live.within(OP, &queue, channel.basic_cancel(tag, BasicCancelOptions::default())).await?;
            Ok((take::consume(&live, &channel, OP, &queue, count as u16).await?, count))
        }));
    }

    /// The server gives no more; a consumer that was cancelled before is nothing to it.
    async fn cancel(&self, name: &str) -> Result<(), Fault> {
        self.live.within(OP, name, self.channel.basic_cancel(self.consumer.tag(), BasicCancelOptions::default())).await
    }

    /// Gives back everything that is not settled. A connection that breaks spends a delivery of what it held; a nack need not.
    async fn give_back(&mut self, name: &str) -> Result<(), Fault> {
        self.cancel(name).await?;
        if self.followed().await? {
            self.cancel(name).await?;
        }
        self.live.within(OP, name, self.channel.basic_nack(0, BasicNackOptions { multiple: true, requeue: true })).await?;
        take::settled(&self.live, &self.channel, OP, name).await
    }
}

#[async_trait]
impl Holding for Held {
    async fn next(&mut self) -> Option<Result<Delivery, Fault>> {
        if self.ended {
            return None;
        }
        let fault = match self.consumer().await {
            Err(fault) => fault,
            Ok(subscription) => match subscription.next().await {
                Some(Ok(delivery)) => return Some(Ok(self.delivery(delivery))),
                Some(Err(fault)) => Fault { target: SafeText::new(&self.name), ..fault },
                None => Fault::new(Kind::Lost, OP, &*self.name, "the server ended the receiving: the queue may have been deleted"),
            },
        };
        Some(Err(self.lose(fault)))
    }

    async fn resumed(&mut self) -> Option<Result<(), Fault>> {
        if self.ended {
            return None;
        }
        let back = self.consumer().await.map(drop);
        Some(back.map_err(|fault| self.lose(fault)))
    }

    async fn stop_receiving(&mut self) -> Result<(), Fault> {
        let name = self.name.clone();
        let Some(subscription) = self.subscription.as_mut().filter(|subscription| subscription.is_open()) else { return Ok(()) };
        let mut over = false;
        loop {
            subscription.cancel(&name).await?;
            // What was given before the server heard of it stands in the consumer, and then its end. What is held must not be touched by it.
            while let Some(Ok(delivery)) = subscription.consumer.next().await {
                let options = BasicNackOptions { multiple: false, requeue: true };
                subscription.live.within(OP, &name, subscription.channel.basic_nack(delivery.delivery_tag, options)).await?;
                over = true;
            }
            if !subscription.followed().await? {
                break;
            }
        }
        if over { take::settled(&subscription.live, &subscription.channel, OP, &name).await } else { Ok(()) }
    }

    async fn connection_lost(&mut self) -> Fault {
        let Some(subscription) = &self.subscription else { return std::future::pending().await };
        let fault = match subscription.live.connection_lost(&subscription.channel).await {
            Some(error) => faults::of(&error, OP, &*self.name),
            None => Fault::new(Kind::Unreachable, OP, &*self.name, "the connection is closed"),
        };
        self.lose(fault)
    }

    fn is_lost(&self, ticket: Ticket) -> bool {
        self.subscription.as_ref().is_none_or(|subscription| subscription.live.epoch != ticket.epoch || !subscription.is_open())
    }

    async fn settle(&mut self, ticket: Ticket, settlement: &Settlement) -> Result<(), Fault> {
        let lost = || {
            Fault::new(Kind::Lost, SETTLE, &*self.name, "the connection that it came by is gone, and the message went back to the queue")
                .next("receive it again: another consumer may have it by now")
        };
        let Some(subscription) = self.subscription.as_ref().filter(|_| !self.is_lost(ticket)) else { return Err(lost()) };
        if !self.unsettled.remove(&ticket.id) {
            return Err(Fault::new(Kind::Lost, SETTLE, &*self.name, "this message was settled before"));
        }
        let channel = &subscription.channel;
        let sent = match settlement.effect {
            Effect::Ack => channel.basic_ack(ticket.id, BasicAckOptions::default()).await,
            Effect::Requeue => channel.basic_nack(ticket.id, BasicNackOptions { multiple: false, requeue: true }).await,
            Effect::Reject => channel.basic_reject(ticket.id, BasicRejectOptions { requeue: false }).await,
            Effect::Extend => {
                self.unsettled.insert(ticket.id);
                return Err(Fault::new(Kind::Usage, SETTLE, &*self.name, "RabbitMQ cannot extend the time that a message is held"));
            }
        };
        sent.map_err(|_| lost())?;
        take::settled(&subscription.live, &subscription.channel, SETTLE, &self.name).await.map_err(|fault| {
            Fault { kind: Kind::Lost, ..fault }.next("whether the server took the decision is not known: look at the queue")
        })
    }

    async fn release(mut self: Box<Self>) -> Result<String, Fault> {
        let back = self.unsettled.len();
        let Some(mut subscription) = self.subscription.take().filter(Subscription::is_open) else {
            return Ok("the connection was gone; what was unsettled went back to the queue with it".to_owned());
        };
        subscription.give_back(&self.name).await?;
        let limit = if self.counted { "; one at its delivery limit became a dead letter or was deleted by that" } else { "" };
        Ok(match back {
            0 => "nothing was left unsettled".to_owned(),
            1 => format!("1 message was given back to the queue, marked as redelivered{limit}"),
            n => format!("{n} messages were given back to the queue, marked as redelivered{limit}"),
        })
    }
}

impl Held {
    /// The consumer, on a new connection if the one of before broke.
    async fn consumer(&mut self) -> Result<&mut Subscription, Fault> {
        let subscription = match self.subscription.take() {
            Some(subscription) => subscription,
            None => loop {
                self.backoff.ready().await;
                match Subscription::begin(&self.link, &self.queue, self.prefetch).await {
                    Ok(subscription) => break subscription,
                    Err(fault) => drop(self.backoff.passes(fault)?),
                }
            },
        };
        self.backoff.reset();
        let subscription = self.subscription.insert(subscription);
        subscription.follow(&self.queue, self.prefetch, &self.unsettled);
        Ok(subscription)
    }

    /// Forgets a connection that is gone, or a consumer that the server has ended: what it gave is in the queue again.
    fn lose(&mut self, fault: Fault) -> Fault {
        let passes = self.backoff.passes(fault);
        self.ended = passes.is_err();
        let fault = passes.unwrap_or_else(|last| last);
        self.subscription = None;
        let back = std::mem::take(&mut self.unsettled).len();
        match back {
            0 => fault,
            1 => fault.next("1 unsettled message went back to the queue by itself"),
            n => fault.next(format!("{n} unsettled messages went back to the queue by themselves")),
        }
    }

    fn delivery(&mut self, delivery: lapin::message::Delivery) -> Delivery {
        self.seen += 1;
        let id = delivery.delivery_tag;
        self.unsettled.insert(id);
        let (redelivered, deliveries) = peek::counts(&delivery);
        self.counted |= deliveries.is_some();
        let ticket = self.subscription.as_ref().map(|subscription| Ticket { epoch: subscription.live.epoch, id });
        Delivery { ticket, message: properties::message(&self.name, Position::Arrival(self.seen), delivery), deliveries, redelivered }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let Some(mut subscription) = self.subscription.take().filter(Subscription::is_open) else { return };
        let name = self.name.clone();
        tokio::spawn(async move { subscription.give_back(&name).await });
    }
}
