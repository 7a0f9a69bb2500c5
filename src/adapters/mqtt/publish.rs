//! `Publish` for MQTT: sent, and waited for until the broker has said what became of it.

use super::connection::Shared;
use super::dial::{Dialler, Role};
use super::wire::{Answer, Packet, Qos, Server};
use super::{Mqtt, message, topic};
use crate::adapters::session::Publish;
use crate::domain::fault::{Fault, Kind};
use crate::domain::message::Outgoing;
use crate::domain::operation::{Field, PublishSpec};
use crate::domain::receipt::Receipt;
use async_trait::async_trait;
use futures::FutureExt;
use futures::future::BoxFuture;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const OP: &str = "publish to";

static SPEC: PublishSpec = PublishSpec { key: false, tombstone: false, timestamp: false, fields: FIELDS };
const FIELDS: &[Field] = &[
    Field::number("qos", "QoS", "0 is never acknowledged, 1 and 2 are; 1 unless the profile says another", 0, 2),
    Field::choice("retain", "Retain", "the broker keeps it for those who come later; an empty value deletes what it keeps", &["no", "yes"]),
    Field::number("expiry", "Expiry", "MQTT 5: seconds after which it is not delivered any more", 0, u32::MAX as i64),
    Field::text("content_type", "Content type", "MQTT 5: what the value is: application/json"),
    Field::text("response_topic", "Response topic", "MQTT 5: where an answer is expected"),
    Field::text("correlation_data", "Correlation data", "MQTT 5: what an answer repeats"),
    Field::choice("payload_format", "Payload format", "MQTT 5: whether the value is said to be text in UTF-8", &["bytes", "text"]),
];

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
    plain: Place,
    exact: Place,
}

/// A connection that was made or is being made. It is not made under the lock: whoever needs it meanwhile waits for the same one, and gets the
/// same fault if it cannot be made.
type Place = Mutex<Option<Dialling>>;
type Dialling = futures::future::Shared<BoxFuture<'static, Result<Shared, Fault>>>;

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
            self.forget(exact, &connection);
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
            self.forget(false, &connection);
            return Err(Fault { target: connection.peer.clone(), ..fault });
        }
        Ok(asked.elapsed())
    }

    async fn connection(&self, exact: bool) -> Result<Shared, Fault> {
        let usable = |dialling: &&Dialling| dialling.peek().is_none_or(|made| made.as_ref().is_ok_and(|made| !made.is_gone()));
        let dialling = {
            let mut place = self.place(exact).lock().unwrap_or_else(PoisonError::into_inner);
            match place.as_ref().filter(usable) {
                Some(dialling) => dialling.clone(),
                None => {
                    let (dialler, role) = (self.dialler.clone(), Role { will: !exact, ..Role::default() });
                    let opened = async move { dialler.open(role, Box::new(|_| {})).await.map(Shared::new) };
                    let dialling = opened.boxed().shared();
                    // It is made to its end though all who wait for it go away.
                    tokio::spawn(dialling.clone());
                    place.insert(dialling).clone()
                }
            }
        };
        dialling.await
    }

    fn place(&self, exact: bool) -> &Place {
        if exact { &self.exact } else { &self.plain }
    }

    /// The next message takes another connection.
    fn forget(&self, exact: bool, connection: &Shared) {
        let is_it = |dialling: &mut Dialling| matches!(dialling.peek(), Some(Ok(made)) if made.epoch == connection.epoch);
        self.place(exact).lock().unwrap_or_else(PoisonError::into_inner).take_if(is_it);
    }

    async fn close(&self) {
        for place in [&self.plain, &self.exact] {
            let dialling = place.lock().unwrap_or_else(PoisonError::into_inner).take();
            let made = dialling.as_ref().and_then(|dialling| dialling.peek().cloned());
            drop(dialling);
            if let Some(connection) = made.and_then(Result::ok).and_then(std::sync::Arc::into_inner) {
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
