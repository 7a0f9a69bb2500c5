//! `Publish` for RabbitMQ: to an exchange by a routing key, or to a queue by its name.

use super::Rabbit;
use super::link::short;
use super::name::Name;
use super::properties;
use super::publisher::{Failed, Letter, OP};
use crate::adapters::session::Publish;
use crate::domain::fault::{Fault, Kind};
use crate::domain::message::Outgoing;
use crate::domain::operation::{Field, PublishSpec};
use crate::domain::receipt::Receipt;
use async_trait::async_trait;
use bytes::Bytes;

/// AMQP's short strings.
const LONGEST: usize = 255;

static SPEC: PublishSpec = PublishSpec { key: true, tombstone: false, timestamp: true, fields: FIELDS };
const FIELDS: &[Field] = &[
    Field::number("priority", "Priority", "0 to 255; queues have x-max-priority", 0, 255),
    Field::number(
        "expiration",
        "Expires after",
        "milliseconds in the queue, then it is a dead letter; never if it is left out",
        0,
        u32::MAX as i64,
    ),
    Field::choice("persistent", "Persistent", "whether it outlives a restart of the server in a durable queue", &["yes", "no"]),
    Field::text("message_id", "Message id", "the property message-id"),
    Field::text("correlation_id", "Correlation id", "the property correlation-id"),
    Field::text("reply_to", "Reply to", "the property reply-to: a queue's name"),
    Field::text("type", "Type", "the property type"),
    Field::text("content_type", "Content type", "the property content-type: application/json"),
    Field::text("content_encoding", "Content encoding", "the property content-encoding: gzip"),
    Field::text("app_id", "Application", "the property app-id"),
    Field::text("user_id", "User", "the property user-id: the server takes no name but the connection's own"),
    Field::choice(
        "mandatory",
        "Mandatory",
        "whether a message that no queue is bound for is an error; with no it is dropped in silence",
        &["yes", "no"],
    ),
];

#[async_trait]
impl Publish for Rabbit {
    fn spec(&self) -> &'static PublishSpec {
        &SPEC
    }

    async fn publish(&self, channel: &str, message: Outgoing) -> Result<Receipt, Fault> {
        let name = self.resolve(OP, channel).await?;
        let letter = self.letter(&name, &message, message.option("mandatory") != Some("no"))?;
        let mandatory = letter.mandatory;
        if let Err(Failed { fault, blocked }) = self.publisher.publish(letter).await {
            return Err(if blocked { self.blamed(fault).await } else { fault });
        }
        Ok(if mandatory { Receipt::Routed } else { Receipt::Accepted })
    }
}

impl Rabbit {
    /// A fault of a blocked publish with the alarms that block it, where they can be found out.
    pub(super) async fn blamed(&self, fault: Fault) -> Fault {
        let alarms = self.alarms().await;
        let cause = if alarms.is_empty() { fault.cause } else { format!("{}: {}", fault.cause, alarms.join(", ")).into() };
        Fault { cause, ..fault }
    }

    /// A message as it is sent to a channel.
    pub(super) fn letter(&self, name: &Name, message: &Outgoing, mandatory: bool) -> Result<Letter, Fault> {
        let channel = name.text();
        let refuse = |cause: &str, next: &str| Fault::new(Kind::Usage, OP, channel.as_str(), cause).next(next);
        let (exchange, routing_key) = match name {
            Name::Exchange(exchange) => (exchange.as_str(), message.key.clone().unwrap_or_default()),
            Name::Queue(queue) | Name::Stream(queue) => match &message.key {
                // A copy's key is the one that it was first published with.
                Some(key) if key != queue.as_bytes() && !properties::is_copy(message) => {
                    return Err(refuse(
                        "a queue is published to by its own name, and the key is another",
                        "leave the key out, or publish to an exchange: exchange:NAME",
                    ));
                }
                _ => ("", Bytes::copy_from_slice(queue.as_bytes())),
            },
        };
        let payload = message.payload.clone().ok_or_else(|| refuse("AMQP's messages have a body", "give one, if only an empty one"))?;
        if routing_key.len() > LONGEST {
            return Err(refuse("a routing key has at most 255 bytes", "shorten it"));
        }
        Ok(Letter {
            exchange: short(exchange, OP)?,
            routing_key,
            mandatory,
            properties: properties::outgoing(message, self.link.username()).map_err(|cause| refuse(&cause, ""))?,
            payload,
            channel: channel.into(),
        })
    }
}
