//! `Hold` for RabbitMQ: messages received with manual acknowledgement, and settled one by one.

use super::link::{self, Live};
use super::name::Name;
use super::{Rabbit, faults, management, peek, properties};
use crate::adapters::session::{Hold, Holding};
use crate::domain::delivery::{Delivery, Effect, Settlement, Ticket, Verb};
use crate::domain::fault::{Fault, Kind};
use crate::domain::position::Position;
use async_trait::async_trait;
use futures::StreamExt;
use lapin::options::{BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions, BasicRejectOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Consumer};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

const OP: &str = "receive from";
const SETTLE: &str = "settle a message of";

static VERBS: &[Verb] = &[
    Verb { effect: Effect::Ack, word: "basic.ack", help: "done: the queue forgets it", fields: &[] },
    Verb {
        effect: Effect::Requeue,
        word: "basic.nack requeue",
        help: "back to the queue, to its old place if that can be, marked as redelivered",
        fields: &[],
    },
    Verb {
        effect: Effect::Reject,
        word: "basic.reject",
        help: "to the queue's dead-letter exchange; gone for good if it has none",
        fields: &[],
    },
];

#[async_trait]
impl Hold for Rabbit {
    fn verbs(&self, channel: &str) -> &'static [Verb] {
        if matches!(Name::said(channel), Some(Name::Exchange(_) | Name::Stream(_))) { &[] } else { VERBS }
    }

    /// The queue's own timeout, if an argument or a policy says one. The server's (30 minutes unless it was changed) cannot be asked.
    async fn patience(&self, channel: &str) -> Result<Option<Duration>, Fault> {
        let Name::Queue(queue) = self.resolve(OP, channel).await? else { return Ok(None) };
        let Ok(said) = self.management.get("queues", &[&queue], &[("columns", "arguments,effective_policy_definition")]).await else {
            return Ok(None);
        };
        let paths: [&[&str]; 2] = [&["arguments", "x-consumer-timeout"], &["effective_policy_definition", "consumer-timeout"]];
        Ok(paths.iter().find_map(|path| management::number(&said, path)).map(Duration::from_millis))
    }

    async fn hold(&self, channel: &str, most: u32) -> Result<Box<dyn Holding>, Fault> {
        let queue = match self.resolve(OP, channel).await? {
            Name::Queue(queue) => queue,
            other => {
                return Err(Fault::new(Kind::Rejected, OP, other.text(), "only the messages of a queue are received and settled")
                    .next("tail it, or name a queue: queue:NAME"));
            }
        };
        let live = self.link.own().await?;
        let channel = live.channel(OP, &queue).await?;
        let prefetch = match most {
            0 => self.settings.prefetch,
            most => u16::try_from(most).unwrap_or(u16::MAX),
        };
        live.within(OP, &queue, channel.basic_qos(prefetch, BasicQosOptions::default())).await?;
        let consumed = channel.basic_consume(link::short(&queue, OP)?, "".into(), BasicConsumeOptions::default(), FieldTable::default());
        let consumer = live.within(OP, &queue, consumed).await?;
        let name = Name::Queue(queue).text().into();
        Ok(Box::new(Held { live: Some(live), channel, consumer, name, prefetch, unsettled: BTreeSet::new(), seen: 0, ended: false }))
    }
}

/// A queue being received from.
struct Held {
    /// `None` only while it is being dropped.
    live: Option<Live>,
    channel: Channel,
    consumer: Consumer,
    name: Arc<str>,
    prefetch: u16,
    /// Delivery tags that were handed out and not settled.
    unsettled: BTreeSet<u64>,
    seen: u64,
    ended: bool,
}

#[async_trait]
impl Holding for Held {
    async fn next(&mut self) -> Option<Result<Delivery, Fault>> {
        if self.ended {
            return None;
        }
        let fault = match self.consumer.next().await {
            Some(Ok(delivery)) => return Some(Ok(self.delivery(delivery))),
            Some(Err(error)) => faults::of(&error, OP, &*self.name),
            None => Fault::new(Kind::Lost, OP, &*self.name, "the server ended the receiving: the queue may have been deleted"),
        };
        self.ended = true;
        let back = self.unsettled.len();
        self.unsettled.clear();
        let words = format!("{back} unsettled messages go back to the queue by themselves");
        Some(Err(fault.next(words)))
    }

    async fn settle(&mut self, ticket: Ticket, settlement: &Settlement) -> Result<(), Fault> {
        let lost = || {
            Fault::new(Kind::Lost, SETTLE, &*self.name, "the connection that it came by is gone, and the message went back to the queue")
                .next("receive it again: another consumer may have it by now")
        };
        let Some(live) = self.live.as_ref().filter(|live| live.epoch == ticket.epoch && !self.ended) else { return Err(lost()) };
        if !self.unsettled.remove(&ticket.id) {
            return Err(Fault::new(Kind::Lost, SETTLE, &*self.name, "this message was settled before"));
        }
        let sent = match settlement.effect {
            Effect::Ack => self.channel.basic_ack(ticket.id, BasicAckOptions::default()).await,
            Effect::Requeue => self.channel.basic_nack(ticket.id, BasicNackOptions { multiple: false, requeue: true }).await,
            Effect::Reject => self.channel.basic_reject(ticket.id, BasicRejectOptions { requeue: false }).await,
            Effect::Extend => {
                self.unsettled.insert(ticket.id);
                return Err(Fault::new(Kind::Rejected, SETTLE, &*self.name, "RabbitMQ cannot extend the time that a message is held"));
            }
        };
        sent.map_err(|_| lost())?;
        // The server answers nothing to a settlement; it has done it when it answers what was asked behind it.
        let behind = live.within(SETTLE, &self.name, self.channel.basic_qos(self.prefetch, BasicQosOptions::default())).await;
        behind.map_err(|fault| {
            Fault { kind: Kind::Lost, ..fault }.next("whether the server took the decision is not known: look at the queue")
        })
    }

    async fn release(mut self: Box<Self>) -> Result<String, Fault> {
        let back = self.unsettled.len();
        if self.ended {
            return Ok("the server had ended the receiving; what was unsettled went back to the queue".to_owned());
        }
        if let Some(live) = self.live.take() {
            give_back(&live, &self.channel, &self.consumer, self.prefetch, &self.name).await?;
        }
        Ok(match back {
            0 => "nothing was left unsettled".to_owned(),
            1 => "1 message went back to the queue, marked as redelivered".to_owned(),
            n => format!("{n} messages went back to the queue, marked as redelivered"),
        })
    }
}

impl Held {
    fn delivery(&mut self, delivery: lapin::message::Delivery) -> Delivery {
        self.seen += 1;
        let id = delivery.delivery_tag;
        self.unsettled.insert(id);
        let (redelivered, deliveries) = peek::counts(&delivery);
        let ticket = self.live.as_ref().map(|live| Ticket { epoch: live.epoch, id });
        Delivery { ticket, message: properties::message(&self.name, Position::Arrival(self.seen), delivery), deliveries, redelivered }
    }
}

/// A connection that breaks spends a delivery of what it held; a nack need not.
impl Drop for Held {
    fn drop(&mut self) {
        let Some(live) = self.live.take().filter(|_| !self.ended) else { return };
        let (channel, consumer, prefetch, name) = (self.channel.clone(), self.consumer.clone(), self.prefetch, self.name.clone());
        tokio::spawn(async move { give_back(&live, &channel, &consumer, prefetch, &name).await });
    }
}

async fn give_back(live: &Live, channel: &Channel, consumer: &Consumer, prefetch: u16, name: &str) -> Result<(), Fault> {
    live.within(OP, name, channel.basic_cancel(consumer.tag(), BasicCancelOptions::default())).await?;
    live.within(OP, name, channel.basic_nack(0, BasicNackOptions { multiple: true, requeue: true })).await?;
    live.within(OP, name, channel.basic_qos(prefetch, BasicQosOptions::default())).await
}
