//! `Publish` for MQTT: sent, and waited for until the broker has said what became of it.

use super::connection::Shared;
use super::dial::{Dialler, Role};
use super::wire::{Answer, Packet, Qos, Server};
use super::{Mqtt, message, topic};
use crate::adapters::session::Publish;
use crate::domain::fault::{Fault, Kind};
use crate::domain::message::Outgoing;
use crate::domain::operation::{Field, Input, PublishSpec};
use crate::domain::receipt::Receipt;
use async_trait::async_trait;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

const OP: &str = "publish to";

static SPEC: PublishSpec = PublishSpec {
    key: false,
    headers: true,
    tombstone: false,
    timestamp: false,
    fields: &[
        Field {
            id: "qos",
            title: "QoS",
            help: "0 is never acknowledged, 1 and 2 are; 1 unless the profile says another",
            input: Input::Number { min: 0, max: 2 },
        },
        Field {
            id: "retain",
            title: "Retain",
            help: "the broker keeps it for those who come later; an empty value deletes what it keeps",
            input: Input::Choice(&["no", "yes"]),
        },
        Field {
            id: "expiry",
            title: "Expiry",
            help: "MQTT 5: seconds after which it is not delivered any more",
            input: Input::Number { min: 0, max: u32::MAX as i64 },
        },
        Field { id: "content_type", title: "Content type", help: "MQTT 5: what the value is: application/json", input: Input::Text },
        Field { id: "response_topic", title: "Response topic", help: "MQTT 5: where an answer is expected", input: Input::Text },
        Field { id: "correlation_data", title: "Correlation data", help: "MQTT 5: what an answer repeats", input: Input::Text },
        Field {
            id: "payload_format",
            title: "Payload format",
            help: "MQTT 5: whether the value is said to be text in UTF-8",
            input: Input::Choice(&["bytes", "text"]),
        },
    ],
};

#[async_trait]
impl Publish for Mqtt {
    fn spec(&self) -> &'static PublishSpec {
        &SPEC
    }

    async fn publish(&self, channel: &str, message: Outgoing) -> Result<Receipt, Fault> {
        let channel = &*topic::of(OP, channel)?;
        topic::check_topic(OP, channel)?;
        let refuse = |cause: String| Fault::new(Kind::Usage, OP, channel, cause);
        if message.key.is_some() {
            return Err(refuse("MQTT's messages have no key".into()).next("use a header, or leave the key out"));
        }
        let packet = message::packet(channel, message, &self.dialler.settings).map_err(refuse)?;
        let retained = packet.retain;
        match self.publisher.publish(OP, packet).await? {
            Answer::Unsaid => Ok(Receipt::Unconfirmed),
            Answer::Taken => Ok(Receipt::Accepted),
            // It is kept for those who come.
            Answer::Nobody if retained => Ok(Receipt::Accepted),
            Answer::Nobody => Ok(Receipt::Handed(0)),
            Answer::Refused(refusal) => Err(refusal.fault(OP, channel)),
        }
    }

    async fn flush(&self) -> Result<(), Fault> {
        self.publisher.close().await;
        Ok(())
    }
}

/// The connections that messages are sent by. `QoS` 2 has one of its own: the client crate uses a packet's number again when the broker has the
/// message, and at `QoS` 2 the packet is not over then, so that an answer could be taken for another's.
pub(super) struct Publisher {
    dialler: std::sync::Arc<Dialler>,
    plain: Mutex<Option<Shared>>,
    exact: Mutex<Option<Shared>>,
}

impl Publisher {
    pub(super) fn new(dialler: std::sync::Arc<Dialler>) -> Self {
        Self { dialler, plain: Mutex::default(), exact: Mutex::default() }
    }

    /// Publishes by an open connection, opening one if there is none.
    pub(super) async fn publish(&self, op: &'static str, packet: Packet) -> Result<Answer, Fault> {
        let exact = packet.qos == Qos::Two;
        let connection = self.connection(exact).await.map_err(|fault| not_sent(fault, op, &packet.topic))?;
        check(op, &packet, &connection.server)?;
        let answer = connection.publish(op, packet).await?;
        if exact && matches!(answer, Answer::Refused(_)) {
            // The client crate counts a refused packet as under way for ever: a few of them, and it sends nothing any more.
            self.exact.lock().await.take_if(|held| held.epoch == connection.epoch);
        }
        Ok(answer)
    }

    /// One question, and the time until its answer. There is none in the protocol that the client crate lets us ask, so a subscription to a
    /// topic of our own is made again.
    pub(super) async fn ping(&self) -> Result<Duration, Fault> {
        let connection = self.connection(false).await?;
        let asked = Instant::now();
        // A refusal is an answer as well.
        if let Err(fault) = connection.ask_subscribe("check", vec![self.dialler.nothing()]).await {
            // The silence may be this connection's alone: the next question takes another. Who waits for an answer on this one goes on waiting.
            self.plain.lock().await.take_if(|held| held.epoch == connection.epoch);
            return Err(Fault { target: connection.peer.clone(), ..fault });
        }
        Ok(asked.elapsed())
    }

    async fn connection(&self, exact: bool) -> Result<Shared, Fault> {
        let mut held = if exact { self.exact.lock().await } else { self.plain.lock().await };
        if let Some(connection) = held.as_ref().filter(|connection| !connection.is_gone()) {
            return Ok(connection.clone());
        }
        let role = Role { will: !exact, ..Role::default() };
        let connection = Shared::new(self.dialler.open(role, Box::new(|_| {})).await?);
        *held = Some(connection.clone());
        Ok(connection)
    }

    async fn close(&self) {
        for held in [&self.plain, &self.exact] {
            if let Some(connection) = held.lock().await.take().and_then(std::sync::Arc::into_inner) {
                connection.close().await;
            }
        }
    }
}

fn not_sent(fault: Fault, op: &'static str, topic: &str) -> Fault {
    let cause = format!("{}; nothing was sent", fault.cause);
    Fault { op, target: topic.into(), cause: cause.as_str().into(), ..fault }
}

/// Refuses what the broker has said that it does not take: it would close the connection, with everybody's messages on it.
fn check(op: &'static str, packet: &Packet, server: &Server) -> Result<(), Fault> {
    let refused = |cause: String, next: &str| Err(Fault::new(Kind::Rejected, op, packet.topic.as_str(), cause).next(next));
    if packet.retain && !server.retains {
        return refused("the broker keeps no retained messages".into(), "leave `retain` out");
    }
    if packet.qos > server.max_qos {
        return refused(format!("the broker offers no more than QoS {}", server.max_qos.word()), "use a lower one");
    }
    match server.max_packet {
        Some(most) if packet.largest() > most as usize => {
            refused(format!("the message is too large: the broker takes packets up to {most} bytes"), "send less at once")
        }
        _ if server.version == super::wire::Version::V3 && !packet.properties.is_empty() => {
            refused("MQTT 3.1.1 has no headers and no properties".into(), "leave them out, or use a broker that speaks MQTT 5")
        }
        _ => Ok(()),
    }
}
