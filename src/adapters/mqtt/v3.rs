//! MQTT 3.1.1 by rumqttc.

use super::faults::{self, Ending};
use super::twins::twins;
use super::wire::{Answer, Client, Dial, Events, Happened, Packet, Properties, Qos, Route, Server, Subscription, Version};
use crate::domain::text::SafeText;
use async_trait::async_trait;
use rumqttc::{
    AsyncClient, ConnectionError, Event, EventLoop, LastWill, MqttOptions, NetworkOptions, Outgoing, Packet as Raw, Publish, QoS,
    StateError, SubscribeFilter, SubscribeReasonCode, TlsConfiguration, Transport,
};
use std::time::Duration;

/// The largest packet that the protocol has, in bytes.
const LARGEST: usize = 268_435_455;
/// Messages under way to the broker at once, where it does not say how many it takes.
const IN_FLIGHT: u16 = 100;
/// What the system reads ahead of us where there is not always room: a ping that is sent meanwhile reads that at most.
const UNREAD: u32 = 256 * 1024;

pub(super) struct Speaker(AsyncClient);

twins!(mqtt_options);

/// A connection that is not opened yet: its first event opens it.
pub(super) fn open(dial: &Dial, room: usize) -> (Speaker, Running) {
    let (host, port) = dial.client_address();
    let mut options = MqttOptions::new(dial.client_id.as_str(), host, port);
    options.set_transport(transport(&dial.route));
    options.set_max_packet_size(LARGEST, LARGEST).set_inflight(IN_FLIGHT);
    options.set_keep_alive(dial.keep_alive).set_clean_session(dial.clean).set_manual_acks(dial.manual);
    if let Some((user, password)) = &dial.log_in {
        options.set_credentials(user.as_str(), password.expose());
    }
    if let Some(will) = &dial.will {
        options.set_last_will(LastWill::new(will.topic.as_str(), will.payload.to_vec(), raw(will.qos), will.retain));
    }
    let (client, mut events) = AsyncClient::new(options, room);
    events.set_network_options(network(dial));
    (Speaker(client), Running { events, connected: false, peer: dial.peer.clone() })
}

pub(super) fn transport(route: &Route) -> Transport {
    match route {
        Route::Tcp => Transport::Tcp,
        Route::Tls(config) => Transport::tls_with_config(TlsConfiguration::Rustls(config.clone())),
        Route::Web(_, None) => Transport::Ws,
        Route::Web(_, Some(config)) => Transport::wss_with_config(TlsConfiguration::Rustls(config.clone())),
    }
}

pub(super) fn network(dial: &Dial) -> NetworkOptions {
    let mut network = NetworkOptions::new();
    network.set_tcp_nodelay(true);
    network.set_connection_timeout(dial.timeout.as_secs().max(1));
    if dial.room.is_some() {
        network.set_tcp_recv_buffer_size(UNREAD);
    }
    network
}

impl Client for Speaker {
    fn publish(&self, packet: Packet) -> bool {
        self.0.try_publish(packet.topic, raw(packet.qos), packet.retain, packet.payload).is_ok()
    }

    fn subscribe(&self, subscriptions: &[Subscription]) -> bool {
        let filters = subscriptions.iter().map(|wanted| SubscribeFilter::new(wanted.filter.clone(), raw(wanted.qos)));
        self.0.try_subscribe_many(filters).is_ok()
    }

    fn unsubscribe(&self, filter: &str) -> bool {
        self.0.try_unsubscribe(filter).is_ok()
    }

    fn ack(&self, id: u16, qos: Qos) -> bool {
        let mut publish = Publish::new("", raw(qos), Vec::new());
        publish.pkid = id;
        self.0.try_ack(&publish).is_ok()
    }

    fn disconnect(&self) -> bool {
        self.0.try_disconnect().is_ok()
    }
}

fn happened(event: Event) -> Happened {
    match event {
        Event::Outgoing(Outgoing::Publish(id)) => Happened::Published(id),
        Event::Outgoing(Outgoing::Subscribe(id) | Outgoing::Unsubscribe(id)) => Happened::Subscribing(id),
        Event::Outgoing(Outgoing::PingReq) => Happened::Pinged,
        Event::Outgoing(Outgoing::Disconnect) => Happened::Closed,
        Event::Incoming(Raw::ConnAck(connack)) => Happened::Connected(Server {
            version: Version::V3,
            session: connack.session_present,
            max_qos: Qos::Two,
            retains: true,
            wildcards: true,
            shares: true,
            max_packet: None,
        }),
        Event::Incoming(Raw::Publish(publish)) => Happened::Message(Packet {
            topic: publish.topic,
            payload: publish.payload,
            qos: ours(publish.qos),
            retain: publish.retain,
            dup: publish.dup,
            id: publish.pkid,
            properties: Properties::default(),
        }),
        // What is acknowledged has arrived; whether the broker did anything with it is not said (3.1.1, section 3.3.5).
        Event::Incoming(Raw::PubAck(ack)) => Happened::Finished(ack.pkid, Answer::Unsaid),
        Event::Incoming(Raw::PubRec(rec)) => Happened::Received(rec.pkid, Answer::Unsaid),
        Event::Incoming(Raw::PubComp(comp)) => Happened::Finished(comp.pkid, Answer::Unsaid),
        Event::Incoming(Raw::SubAck(ack)) => {
            let code = |code: &SubscribeReasonCode| match code {
                SubscribeReasonCode::Success(_) => Ok(()),
                code @ SubscribeReasonCode::Failure => Err(faults::refusal(&format!("{code:?}"), None)),
            };
            Happened::Subscribed(ack.pkid, ack.return_codes.iter().map(code).collect())
        }
        Event::Incoming(Raw::UnsubAck(ack)) => Happened::Subscribed(ack.pkid, Vec::new()),
        _ => Happened::Other,
    }
}

fn ending(error: &ConnectionError, connected: bool, peer: &SafeText) -> Ending {
    match error {
        ConnectionError::Io(error) | ConnectionError::Tls(rumqttc::TlsError::Io(error)) => faults::io(error, connected, peer),
        ConnectionError::ConnectionRefused(code) => faults::refused(&format!("{code:?}"), peer),
        ConnectionError::NetworkTimeout | ConnectionError::FlushTimeout => faults::silent(connected, peer).into(),
        ConnectionError::Websocket(error) => faults::websocket(error, connected, peer),
        ConnectionError::MqttState(error) => match error {
            StateError::Io(error) | StateError::Deserialization(rumqttc::Error::Io(error)) => faults::io(error, connected, peer),
            StateError::ConnectionAborted => faults::closed(connected, peer),
            StateError::AwaitPingResp => faults::silent(connected, peer).into(),
            error => faults::strange(error, connected, peer).into(),
        },
        error => faults::strange(error, connected, peer).into(),
    }
}
