//! Packets as messages, and back.
//!
//! User properties are headers, in their order. What else a packet says of itself stands before them in headers that begin with `mqtt-`, and
//! a message published with such headers says the same again: what was read is sent again as it was.

use super::settings::Settings;
use super::wire::{Packet, Properties, Qos};
use crate::domain::message::{Header, Message, Outgoing, Stamp};
use crate::domain::position::Position;
use crate::domain::time::Timestamp;
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::Arc;

const QOS: &str = "mqtt-qos";
const RETAIN: &str = "mqtt-retain";
const DUP: &str = "mqtt-dup";
const TEXT: &str = "mqtt-payload-format";
const EXPIRY: &str = "mqtt-expiry";
const CONTENT_TYPE: &str = "mqtt-content-type";
const RESPONSE: &str = "mqtt-response-topic";
const CORRELATION: &str = "mqtt-correlation-data";
/// Names of topics that are kept so that each message need not have one of its own.
const NAMES: usize = 4_096;

/// Makes messages of one reading, in their order.
#[derive(Default)]
pub(super) struct Reader {
    names: HashMap<String, Arc<str>>,
    seen: u64,
    /// The `QoS` that messages come at is the one they were published with, as far as the subscription lets it.
    pub(super) qos: bool,
}

impl Reader {
    pub(super) fn new() -> Self {
        Self { qos: true, ..Self::default() }
    }

    /// The packet as a message that is seen now.
    pub(super) fn message(&mut self, packet: Packet) -> Message {
        self.seen += 1;
        let headers = headers(packet.qos, packet.retain, packet.dup, packet.properties, self.qos);
        Message {
            channel: self.name(packet.topic),
            position: Position::Arrival(self.seen),
            timestamp: Some(Timestamp(jiff::Timestamp::now().as_millisecond())),
            stamp: Stamp::Seen,
            key: None,
            headers,
            payload: Some(packet.payload),
        }
    }

    fn name(&mut self, topic: String) -> Arc<str> {
        if let Some(name) = self.names.get(&topic) {
            return name.clone();
        }
        if self.names.len() == NAMES {
            self.names.clear();
        }
        let name: Arc<str> = super::topic::name(&topic).into();
        self.names.insert(topic, name.clone());
        name
    }
}

fn headers(qos: Qos, retain: bool, dup: bool, said: Properties, show_qos: bool) -> Vec<Header> {
    let mut headers = Vec::with_capacity(1 + said.user.len());
    let mut add = |name: &'static str, value: Bytes| headers.push(Header { name: Bytes::from_static(name.as_bytes()), value: Some(value) });
    if show_qos {
        add(QOS, Bytes::from_static(qos.word().as_bytes()));
    }
    if retain {
        add(RETAIN, Bytes::from_static(b"true"));
    }
    if dup {
        add(DUP, Bytes::from_static(b"true"));
    }
    if said.text {
        add(TEXT, Bytes::from_static(b"text"));
    }
    if let Some(seconds) = said.expiry {
        add(EXPIRY, seconds.to_string().into());
    }
    for (name, value) in [(CONTENT_TYPE, said.content_type), (RESPONSE, said.response_topic)] {
        if let Some(value) = value {
            add(name, value.into());
        }
    }
    if let Some(data) = said.correlation {
        add(CORRELATION, data);
    }
    headers.extend(said.user.into_iter().map(|(name, value)| Header { name: name.into(), value: Some(value.into()) }));
    headers
}

/// The packet that a message is published as. Fields of the form win over headers that say the same.
pub(super) fn packet(topic: &str, message: Outgoing, settings: &Settings) -> Result<Packet, String> {
    let mut packet = Packet { topic: topic.to_owned(), qos: settings.publish_qos(), ..Packet::default() };
    for header in &message.headers {
        let name = std::str::from_utf8(&header.name).map_err(|_| "a header's name is not UTF-8: user properties are text".to_owned())?;
        let value = header.value.as_ref().ok_or_else(|| format!("the header `{name}` has no value: user properties always have one"))?;
        set(&mut packet, name, value)?;
    }
    let fields = [
        ("qos", QOS),
        ("retain", RETAIN),
        ("expiry", EXPIRY),
        ("content_type", CONTENT_TYPE),
        ("response_topic", RESPONSE),
        ("correlation_data", CORRELATION),
        ("payload_format", TEXT),
    ];
    for (field, header) in fields {
        if let Some(value) = message.option(field).filter(|value| !value.is_empty()) {
            set(&mut packet, header, &Bytes::copy_from_slice(value.as_bytes()))?;
        }
    }
    packet.payload = message.payload.ok_or("MQTT's messages have a value: give one, if only an empty one")?;
    Ok(packet)
}

fn set(packet: &mut Packet, name: &str, value: &Bytes) -> Result<(), String> {
    if name == CORRELATION {
        packet.properties.correlation = Some(value.clone());
        return Ok(());
    }
    let text = std::str::from_utf8(value).map_err(|_| format!("the header `{name}` is not UTF-8: user properties are text"))?;
    let wrong = |wanted: &str| format!("{name}: `{text}` is not {wanted}");
    let said = &mut packet.properties;
    match name {
        QOS => packet.qos = Qos::parse(text).ok_or_else(|| wrong("0, 1 or 2"))?,
        RETAIN => {
            packet.retain = match text {
                "true" | "yes" => true,
                "false" | "no" => false,
                _ => return Err(wrong("true or false")),
            };
        }
        // Whether it is sent for a second time is said by who sends it.
        DUP => {}
        TEXT => {
            said.text = match text {
                "text" => true,
                "bytes" => false,
                _ => return Err(wrong("text or bytes")),
            };
        }
        EXPIRY => said.expiry = Some(text.parse().map_err(|_| wrong("a number of seconds"))?),
        CONTENT_TYPE => said.content_type = Some(text.to_owned()),
        RESPONSE => said.response_topic = Some(text.to_owned()),
        _ => said.user.push((name.to_owned(), text.to_owned())),
    }
    Ok(())
}

/// The bytes by which a reply names its request.
pub(super) fn correlation(message: &Message) -> Option<&Bytes> {
    message.headers.iter().find(|header| header.name == CORRELATION.as_bytes()).and_then(|header| header.value.as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::profile::Integration;

    fn settings() -> Settings {
        Settings::of(&Integration::new("iot", "mqtt", vec!["localhost:1883".into()])).expect("settings")
    }

    fn rich() -> Packet {
        Packet {
            topic: "ü/b".into(),
            payload: Bytes::from_static(b"\x00\xff"),
            qos: Qos::Two,
            retain: true,
            properties: Properties {
                text: true,
                expiry: Some(60),
                content_type: Some("application/json".into()),
                response_topic: Some("answers/1".into()),
                correlation: Some(Bytes::from_static(b"\xff\x01")),
                user: vec![("a".into(), "1".into()), ("b".into(), String::new()), ("a".into(), "2".into())],
            },
            ..Packet::default()
        }
    }

    #[test]
    fn what_was_read_is_published_as_it_was() {
        let message = Reader::new().message(rich());
        assert_eq!((&*message.channel, message.position, message.stamp), ("ü/b", Position::Arrival(1), Stamp::Seen));
        let again = Outgoing { headers: message.headers, payload: message.payload, ..Outgoing::default() };
        assert_eq!(packet("ü/b", again, &settings()), Ok(rich()));
    }

    #[test]
    fn fields_win_over_headers_and_what_cannot_be_said_is_refused() {
        let header = |name: &str, value: Option<&[u8]>| Header { name: name.to_owned().into(), value: value.map(Bytes::copy_from_slice) };
        let with = |headers: Vec<Header>, options: Vec<(&'static str, String)>| {
            packet("t", Outgoing { headers, options, payload: Some(Bytes::new()), ..Outgoing::default() }, &settings())
        };
        let made = with(vec![header("mqtt-qos", Some(b"2"))], vec![("qos", "0".into()), ("retain", "yes".into())]).expect("a packet");
        assert_eq!((made.qos, made.retain), (Qos::Zero, true));
        for (headers, word) in [
            (vec![header("a", None)], "has no value"),
            (vec![header("a", Some(b"\xff"))], "not UTF-8"),
            (vec![header("mqtt-expiry", Some(b"soon"))], "number of seconds"),
        ] {
            let cause = with(headers, Vec::new()).expect_err(word);
            assert!(cause.contains(word), "{cause}");
        }
        assert!(packet("t", Outgoing::default(), &settings()).expect_err("no value").contains("have a value"));
    }
}
