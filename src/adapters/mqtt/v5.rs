//! MQTT 5 by rumqttc.

use super::faults::{self, Ending};
use super::twins::twins;
use super::v3;
use super::wire::{Answer, Client, Dial, Events, Happened, Packet, Properties, Qos, Server, Subscription, Version};
use crate::domain::text::SafeText;
use async_trait::async_trait;
use rumqttc::Outgoing;
use rumqttc::v5::mqttbytes::Error as BytesError;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{
    ConnAck, ConnectProperties, Filter, LastWill, Packet as Raw, PubAckReason, PubCompReason, PubRecReason, Publish, PublishProperties,
    RetainForwardRule, SubscribeReasonCode,
};
use rumqttc::v5::{AsyncClient, ConnectionError, Event, EventLoop, MqttOptions, StateError};
use std::time::Duration;

/// The largest packet that the protocol has, in bytes.
const LARGEST: u32 = 268_435_455;

pub(super) struct Speaker(AsyncClient);

twins!(options);

/// A connection that is not opened yet: its first event opens it.
pub(super) fn open(dial: &Dial, room: usize) -> (Speaker, Running) {
    let (host, port) = dial.client_address();
    let mut options = MqttOptions::new(dial.client_id.as_str(), host, port);
    options.set_transport(v3::transport(&dial.route)).set_network_options(v3::network(dial));
    options.set_connection_timeout(dial.timeout.as_secs().max(1));
    options.set_keep_alive(dial.keep_alive).set_clean_start(dial.clean).set_manual_acks(dial.manual);
    let mut properties = ConnectProperties::new();
    properties.max_packet_size = Some(LARGEST);
    properties.receive_maximum = dial.receive_max;
    properties.session_expiry_interval = (!dial.clean).then(|| u32::try_from(dial.session_expiry.as_secs()).unwrap_or(u32::MAX));
    options.set_connect_properties(properties);
    if let Some((user, password)) = &dial.log_in {
        options.set_credentials(user.as_str(), password.expose());
    }
    if let Some(will) = &dial.will {
        options.set_last_will(LastWill::new(will.topic.as_str(), will.payload.to_vec(), raw(will.qos), will.retain, None));
    }
    let (client, events) = AsyncClient::new(options, room);
    (Speaker(client), Running { events, connected: false, peer: dial.peer.clone() })
}

impl Client for Speaker {
    fn publish(&self, packet: Packet) -> bool {
        let (topic, qos, payload) = (packet.topic, raw(packet.qos), packet.payload);
        if packet.properties.is_empty() {
            return self.0.try_publish(topic, qos, packet.retain, payload).is_ok();
        }
        let said = packet.properties;
        let properties = PublishProperties {
            payload_format_indicator: said.text.then_some(1),
            message_expiry_interval: said.expiry,
            topic_alias: None,
            response_topic: said.response_topic,
            correlation_data: said.correlation,
            user_properties: said.user,
            subscription_identifiers: Vec::new(),
            content_type: said.content_type,
        };
        self.0.try_publish_with_properties(topic, qos, packet.retain, payload, properties).is_ok()
    }

    fn subscribe(&self, subscriptions: &[Subscription]) -> bool {
        let filter = |wanted: &Subscription| Filter {
            path: wanted.filter.clone(),
            qos: raw(wanted.qos),
            nolocal: false,
            preserve_retain: wanted.as_published,
            retain_forward_rule: if wanted.retained { RetainForwardRule::OnEverySubscribe } else { RetainForwardRule::Never },
        };
        self.0.try_subscribe_many(subscriptions.iter().map(filter)).is_ok()
    }

    fn unsubscribe(&self, filter: &str) -> bool {
        self.0.try_unsubscribe(filter).is_ok()
    }

    fn ack(&self, id: u16, qos: Qos) -> bool {
        let publish = Publish { pkid: id, qos: raw(qos), ..Publish::default() };
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
        Event::Incoming(Raw::ConnAck(connack)) => Happened::Connected(server(&connack)),
        Event::Incoming(Raw::Publish(publish)) => Happened::Message(packet(publish)),
        Event::Incoming(Raw::PubAck(ack)) => {
            let said = ack.properties.as_ref().and_then(|properties| properties.reason_string.as_deref());
            let nobody = ack.reason == PubAckReason::NoMatchingSubscribers;
            Happened::Finished(ack.pkid, answer(ack.reason == PubAckReason::Success, nobody, &format!("{:?}", ack.reason), said))
        }
        Event::Incoming(Raw::PubRec(rec)) => {
            let said = rec.properties.as_ref().and_then(|properties| properties.reason_string.as_deref());
            let nobody = rec.reason == PubRecReason::NoMatchingSubscribers;
            match answer(rec.reason == PubRecReason::Success, nobody, &format!("{:?}", rec.reason), said) {
                // The broker does not wait for more.
                refused @ Answer::Refused(_) => Happened::Finished(rec.pkid, refused),
                answer => Happened::Received(rec.pkid, answer),
            }
        }
        Event::Incoming(Raw::PubComp(comp)) => {
            let taken = comp.reason == PubCompReason::Success;
            Happened::Finished(comp.pkid, answer(taken, false, "the broker knows nothing of the message any more", None))
        }
        Event::Incoming(Raw::SubAck(ack)) => {
            let said = ack.properties.as_ref().and_then(|properties| properties.reason_string.as_deref());
            let code = |code: &SubscribeReasonCode| match code {
                SubscribeReasonCode::Success(_) => Ok(()),
                code => Err(faults::refusal(&format!("{code:?}"), said)),
            };
            Happened::Subscribed(ack.pkid, ack.return_codes.iter().map(code).collect())
        }
        Event::Incoming(Raw::UnsubAck(ack)) => Happened::Subscribed(ack.pkid, Vec::new()),
        _ => Happened::Other,
    }
}

fn answer(taken: bool, nobody: bool, reason: &str, said: Option<&str>) -> Answer {
    match (taken, nobody) {
        (true, _) => Answer::Taken,
        (_, true) => Answer::Nobody,
        _ => Answer::Refused(faults::refusal(reason, said)),
    }
}

fn server(connack: &ConnAck) -> Server {
    let said = connack.properties.as_ref();
    let allowed = |value: Option<u8>| value != Some(0);
    Server {
        version: Version::V5,
        session: connack.session_present,
        max_qos: match said.and_then(|said| said.max_qos) {
            Some(0) => Qos::Zero,
            Some(1) => Qos::One,
            _ => Qos::Two,
        },
        retains: allowed(said.and_then(|said| said.retain_available)),
        wildcards: allowed(said.and_then(|said| said.wildcard_subscription_available)),
        shares: allowed(said.and_then(|said| said.shared_subscription_available)),
        max_packet: said.and_then(|said| said.max_packet_size),
    }
}

fn packet(publish: Publish) -> Packet {
    let properties = publish.properties.map_or_else(Properties::default, |said| Properties {
        text: said.payload_format_indicator == Some(1),
        expiry: said.message_expiry_interval,
        content_type: said.content_type,
        response_topic: said.response_topic,
        correlation: said.correlation_data,
        user: said.user_properties,
    });
    Packet {
        topic: String::from_utf8_lossy(&publish.topic).into_owned(),
        payload: publish.payload,
        qos: ours(publish.qos),
        retain: publish.retain,
        dup: publish.dup,
        id: publish.pkid,
        properties,
    }
}

fn ending(error: &ConnectionError, connected: bool, peer: &SafeText) -> Ending {
    match error {
        ConnectionError::Io(error) | ConnectionError::Tls(rumqttc::TlsError::Io(error)) => faults::io(error, connected, peer),
        ConnectionError::ConnectionRefused(code) => faults::refused(&format!("{code:?}"), peer),
        ConnectionError::Timeout(_) => faults::silent(connected, peer).into(),
        ConnectionError::Websocket(error) => faults::websocket(error, connected, peer),
        ConnectionError::MqttState(error) => match error {
            StateError::Io(error) | StateError::Deserialization(BytesError::Io(error)) => faults::io(error, connected, peer),
            StateError::ConnFail { reason } => faults::refused(&format!("{reason:?}"), peer),
            StateError::ServerDisconnect { reason_code, reason_string } => {
                faults::ended(&format!("{reason_code:?}"), reason_string.as_deref(), peer)
            }
            StateError::ConnectionAborted => faults::closed(connected, peer),
            StateError::AwaitPingResp => faults::silent(connected, peer).into(),
            error => faults::strange(error, connected, peer).into(),
        },
        error => faults::strange(error, connected, peer).into(),
    }
}
