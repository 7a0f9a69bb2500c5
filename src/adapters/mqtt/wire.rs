//! What opens a connection and what goes over it, the same for both versions of the protocol. MQTT 3.1.1 and MQTT 5 are OASIS Standards; sections are MQTT 5's.

use super::faults::{Ending, Refusal};
use crate::adapters::room::Room;
use crate::config::secret::Secret;
use crate::domain::text::SafeText;
use async_trait::async_trait;
use bytes::Bytes;
use rustls::ClientConfig;
use std::sync::Arc;
use std::time::Duration;

/// The version of the protocol that is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    /// MQTT 3.1.1: acknowledgements carry no reason, messages no properties.
    V3,
    V5,
}

/// How surely a message is delivered (section 4.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Qos {
    /// At most once, never acknowledged.
    #[default]
    Zero,
    /// At least once.
    One,
    /// Exactly once.
    Two,
}

impl Qos {
    pub(super) fn parse(text: &str) -> Option<Self> {
        match text {
            "0" => Some(Self::Zero),
            "1" => Some(Self::One),
            "2" => Some(Self::Two),
            _ => None,
        }
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Zero => "0",
            Self::One => "1",
            Self::Two => "2",
        }
    }
}

/// One message as it travels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Packet {
    pub(super) topic: String,
    pub(super) payload: Bytes,
    pub(super) qos: Qos,
    /// Sent: keep it for those who come later. Received: it was kept, or (as published) is to be.
    pub(super) retain: bool,
    pub(super) dup: bool,
    /// 0 at `QoS` 0.
    pub(super) id: u16,
    /// Empty in 3.1.1.
    pub(super) properties: Properties,
}

/// What MQTT 5 tells of a message (section 3.3.2.3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Properties {
    /// The payload is UTF-8.
    pub(super) text: bool,
    /// Seconds that the message has left.
    pub(super) expiry: Option<u32>,
    pub(super) content_type: Option<String>,
    pub(super) response_topic: Option<String>,
    pub(super) correlation: Option<Bytes>,
    /// In order, duplicates kept.
    pub(super) user: Vec<(String, String)>,
}

impl Properties {
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Packet {
    /// No less than the bytes that it takes on the wire (section 3.3): lengths and names of properties are counted generously.
    pub(super) fn largest(&self) -> usize {
        let p = &self.properties;
        let texts = [&p.content_type, &p.response_topic].into_iter().flatten().map(|text| text.len() + 3).sum::<usize>();
        let user: usize = p.user.iter().map(|(name, value)| name.len() + value.len() + 5).sum();
        16 + 7 + self.topic.len() + self.payload.len() + texts + user + p.correlation.as_ref().map_or(0, |data| data.len() + 3)
    }
}

/// One subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Subscription {
    pub(super) filter: String,
    /// Messages come at this `QoS` at most.
    pub(super) qos: Qos,
    /// What is retained comes first. 3.1.1 sends it in any case.
    pub(super) retained: bool,
    /// MQTT 5: live messages keep the flag that they were published with.
    pub(super) as_published: bool,
}

/// What the broker said when it took the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Server {
    pub(super) version: Version,
    /// It still knows our session.
    pub(super) session: bool,
    pub(super) max_qos: Qos,
    pub(super) retains: bool,
    pub(super) wildcards: bool,
    pub(super) shares: bool,
    /// The largest packet it takes, in bytes; 3.1.1 does not say.
    pub(super) max_packet: Option<u32>,
}

/// What became of a message at the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It was sent, and nothing is said: `QoS` 0, and any `QoS` in 3.1.1, where a refused message is acknowledged as well.
    Unsaid,
    /// The broker took it.
    Taken,
    /// The broker took it, and nobody was there to receive it (0x10).
    Nobody,
    Refused(Refusal),
}

/// What a connection tells.
#[derive(Debug)]
pub(super) enum Happened {
    Connected(Server),
    /// The next of the publishes asked for went out under this id; 0 at `QoS` 0.
    Published(u16),
    /// The next of the subscribes and unsubscribes asked for went out under this id.
    Subscribing(u16),
    /// `QoS` 2: the broker has the message; what is left is its [`Happened::Finished`].
    Received(u16, Answer),
    Finished(u16, Answer),
    /// Each filter's answer, in the order asked; none for an unsubscribe.
    Subscribed(u16, Vec<Result<(), Refusal>>),
    Message(Packet),
    /// The broker was asked whether it lives.
    Pinged,
    /// Our own goodbye went out.
    Closed,
    /// Of no interest to anybody.
    Other,
}

/// What carries the protocol.
#[derive(Clone)]
pub(super) enum Route {
    Tcp,
    Tls(Arc<ClientConfig>),
    /// A websocket at this URL, with TLS where that is given.
    Web(String, Option<Arc<ClientConfig>>),
}

/// Everything that one connection is opened with.
pub(super) struct Dial {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) peer: SafeText,
    pub(super) route: Route,
    pub(super) client_id: String,
    pub(super) clean: bool,
    pub(super) session_expiry: Duration,
    pub(super) keep_alive: Duration,
    /// We acknowledge, not the client crate.
    pub(super) manual: bool,
    pub(super) receive_max: Option<u16>,
    pub(super) log_in: Option<(String, Secret)>,
    pub(super) will: Option<Packet>,
    pub(super) room: Option<Arc<Room>>,
    pub(super) timeout: Duration,
}

impl Dial {
    /// As the client crate wants it: a websocket's URL stands in the place of the host.
    pub(super) fn client_address(&self) -> (String, u16) {
        match &self.route {
            Route::Web(url, _) => (url.clone(), self.port),
            _ => (self.host.clone(), self.port),
        }
    }
}

/// What is asked of a connection. Nothing here waits; `false` means that there is no room.
pub(super) trait Client: Send + Sync + 'static {
    fn publish(&self, packet: Packet) -> bool;
    fn subscribe(&self, subscriptions: &[Subscription]) -> bool;
    fn unsubscribe(&self, filter: &str) -> bool;
    /// Acknowledges a message that came.
    fn ack(&self, id: u16, qos: Qos) -> bool;
    fn disconnect(&self) -> bool;
}

/// A connection as it runs.
#[async_trait]
pub(super) trait Events: Send + 'static {
    /// What happens next; not to be dropped before it is there. After a fault the connection is gone.
    async fn next(&mut self) -> Result<Happened, Ending>;

    /// What has happened besides: it is there already, and comes before what `next` waits for.
    fn more(&mut self) -> Option<Happened>;

    /// Nothing is read for a while: what is not read is not missed, the answer to a ping among it. How often the broker wants to hear of us.
    fn pause(&mut self) -> Duration;
}
