//! AMQP messages as mqdeck's, and back.
//!
//! The routing key is the message's key. Properties stand before the headers under names that begin with `amqp_` (`amqp_message_id`), with
//! the exchange that the message was published to; `amqp_types` has the types of headers that are no texts. All of them become properties
//! and types again when such a message is published, so that what was read can be sent as it was.

use super::table;
use crate::domain::message::{Header, Message, Outgoing, Stamp};
use crate::domain::position::Position;
use crate::domain::time::Timestamp;
use bytes::Bytes;
use lapin::BasicProperties;
use lapin::message::Delivery;
use lapin::types::{AMQPValue, FieldTable, ShortString};
use serde_json::{Map, Value};
use std::sync::Arc;

const EXCHANGE: &str = "amqp_exchange";
const TYPES: &str = "amqp_types";
/// Milliseconds of a message's arrival, where the server is told to stamp messages (its `message_interceptors`).
const STAMPED: &str = "timestamp_in_ms";
/// Where a message stands in a stream.
pub(super) const OFFSET: &str = "x-stream-offset";
/// How often a quorum queue has given it to somebody before.
pub(super) const COUNT: &str = "x-delivery-count";

/// The properties that are texts: what they are called here and in a form, how they are read, and how they are set.
struct Property {
    header: &'static str,
    option: &'static str,
    get: fn(&BasicProperties) -> &Option<ShortString>,
    set: fn(BasicProperties, ShortString) -> BasicProperties,
}

macro_rules! property {
    ($header:literal, $get:ident, $set:ident) => {
        Property { header: concat!("amqp_", $header), option: $header, get: BasicProperties::$get, set: BasicProperties::$set }
    };
}

const PROPERTIES: &[Property] = &[
    property!("message_id", message_id, with_message_id),
    property!("correlation_id", correlation_id, with_correlation_id),
    property!("reply_to", reply_to, with_reply_to),
    property!("type", kind, with_type),
    property!("content_type", content_type, with_content_type),
    property!("content_encoding", content_encoding, with_content_encoding),
    property!("expiration", expiration, with_expiration),
    property!("app_id", app_id, with_app_id),
    property!("user_id", user_id, with_user_id),
    property!("cluster_id", cluster_id, with_cluster_id),
];

/// A delivery as a message of that channel.
pub(super) fn message(channel: &Arc<str>, position: Position, delivery: Delivery) -> Message {
    let properties = &delivery.properties;
    let (timestamp, stamp) = stamp(properties);
    let mut headers = Vec::new();
    let mut add = |name: &'static str, value: Bytes| headers.push(Header { name: Bytes::from_static(name.as_bytes()), value: Some(value) });
    let text = |text: &ShortString| Bytes::copy_from_slice(text.as_str().as_bytes());
    if !delivery.exchange.as_str().is_empty() {
        add(EXCHANGE, text(&delivery.exchange));
    }
    for property in PROPERTIES {
        if let Some(value) = (property.get)(properties) {
            add(property.header, text(value));
        }
    }
    if let Some(mode) = properties.delivery_mode() {
        add("amqp_delivery_mode", mode.to_string().into());
    }
    if let Some(priority) = properties.priority() {
        add("amqp_priority", priority.to_string().into());
    }
    if let Some(table) = properties.headers() {
        headers_of(table, &mut headers);
    }
    Message {
        channel: channel.clone(),
        position,
        timestamp,
        stamp,
        key: Some(delivery.routing_key.as_str().as_bytes().to_vec().into()),
        headers,
        payload: Some(delivery.data.into()),
    }
}

fn headers_of(fields: &FieldTable, headers: &mut Vec<Header>) {
    let mut types = Map::new();
    for (name, value) in fields.inner().iter().filter(|(name, _)| name.as_str() != OFFSET) {
        let (value, letter) = table::bytes(value);
        types.extend(letter.map(|letter| (name.as_str().to_owned(), Value::from(letter.to_string()))));
        headers.push(Header { name: name.as_str().as_bytes().to_vec().into(), value });
    }
    if !types.is_empty() {
        headers.push(Header { name: Bytes::from_static(TYPES.as_bytes()), value: Some(Value::Object(types).to_string().into()) });
    }
}

/// When it was made, as its producer says (whole seconds), or arrived, where the server stamps; else when we saw it.
fn stamp(properties: &BasicProperties) -> (Option<Timestamp>, Stamp) {
    if let Some(seconds) = properties.timestamp() {
        return (i64::try_from(*seconds).ok().map(|seconds| Timestamp(seconds.saturating_mul(1_000))), Stamp::Created);
    }
    if let Some(AMQPValue::LongLongInt(millis)) = field(properties, STAMPED) {
        return (Some(Timestamp(*millis)), Stamp::Stored);
    }
    (Some(now()), Stamp::Seen)
}

pub(super) fn now() -> Timestamp {
    Timestamp(jiff::Timestamp::now().as_millisecond())
}

/// A header of a message by its name.
fn field<'a>(properties: &'a BasicProperties, name: &str) -> Option<&'a AMQPValue> {
    properties.headers().as_ref()?.inner().get(name)
}

/// The number that a header holds, whatever its width.
pub(super) fn number(properties: &BasicProperties, name: &str) -> Option<u64> {
    match field(properties, name)? {
        AMQPValue::LongLongInt(n) => u64::try_from(*n).ok(),
        AMQPValue::LongInt(n) => u64::try_from(*n).ok(),
        AMQPValue::LongUInt(n) => Some(u64::from(*n)),
        AMQPValue::ShortInt(n) => u64::try_from(*n).ok(),
        AMQPValue::ShortShortUInt(n) => Some(u64::from(*n)),
        AMQPValue::ShortShortInt(n) => u64::try_from(*n).ok(),
        AMQPValue::Timestamp(n) => Some(*n),
        _ => None,
    }
}

/// The properties that a message is published with. What the form says goes before what a header says. A user id that is not ours is
/// left out, because the server refuses it. The error is one sentence.
pub(super) fn outgoing(message: &Outgoing, username: Option<&str>) -> Result<BasicProperties, String> {
    let said = |header: &str| message.headers.iter().find(|h| h.name == header).and_then(|h| h.value.as_deref());
    let option = |id: &str| message.option(id).filter(|value| !value.is_empty());
    let mut properties = BasicProperties::default();
    for property in PROPERTIES {
        let from_header =
            said(property.header).map(|value| std::str::from_utf8(value).map_err(|_| not_text(property.header))).transpose()?;
        let Some(value) = option(property.option).or(from_header) else { continue };
        if property.option == "user_id" && username.is_some_and(|username| username != value) {
            continue;
        }
        let short = ShortString::try_new(value).map_err(|_| format!("`{}` is longer than AMQP's 255 bytes", property.option))?;
        properties = (property.set)(properties, short);
    }
    let small = |header: &'static str, value: Option<&str>| {
        let from_header = said(header).and_then(|value| std::str::from_utf8(value).ok());
        value.or(from_header).map(|value| value.parse::<u8>().map_err(|_| format!("`{header}` is a number from 0 to 255"))).transpose()
    };
    let mode = option("persistent").map(|persistent| if persistent == "yes" { "2" } else { "1" });
    // Persistent unless somebody says otherwise: what an operator sends by hand should outlive a restart.
    properties = properties.with_delivery_mode(small("amqp_delivery_mode", mode)?.unwrap_or(2));
    if let Some(priority) = small("amqp_priority", option("priority"))? {
        properties = properties.with_priority(priority);
    }
    if let Some(seconds) = message.timestamp.and_then(|timestamp| u64::try_from(timestamp.0 / 1_000).ok()) {
        properties = properties.with_timestamp(seconds);
    }
    let headers = fields(&message.headers, said(TYPES))?;
    Ok(if headers.inner().is_empty() { properties } else { properties.with_headers(headers) })
}

fn fields(headers: &[Header], types: Option<&[u8]>) -> Result<FieldTable, String> {
    let types: Map<String, Value> = match types {
        Some(types) => serde_json::from_slice(types).map_err(|_| format!("`{TYPES}` is a JSON object of letters"))?,
        None => Map::new(),
    };
    let mut fields = FieldTable::default();
    for header in headers {
        let name = std::str::from_utf8(&header.name).map_err(|_| not_text(&String::from_utf8_lossy(&header.name)))?;
        if is_ours(name) {
            continue;
        }
        let letter = types.get(name).and_then(Value::as_str).and_then(|letter| letter.chars().next());
        let short = ShortString::try_new(name).map_err(|_| "a header's name is longer than AMQP's 255 bytes".to_owned())?;
        let value = table::typed(header.value.as_ref(), letter)
            .ok_or_else(|| format!("the header `{name}` does not hold what `{TYPES}` says (`{}`)", letter.unwrap_or_default()))?;
        if fields.contains_key(name) {
            return Err(format!("the header `{name}` is there twice, and AMQP's headers have names of their own"));
        }
        fields.insert(short, value);
    }
    Ok(fields)
}

fn is_ours(name: &str) -> bool {
    [EXCHANGE, TYPES, "amqp_delivery_mode", "amqp_priority"].contains(&name) || PROPERTIES.iter().any(|property| property.header == name)
}

fn not_text(name: &str) -> String {
    format!("`{name}` is not UTF-8, and AMQP's names and properties are")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivery(properties: BasicProperties) -> Delivery {
        Delivery { properties, ..Delivery::mock(7, "grey.tasks".into(), "tasks.t1".into(), false, b"{}".to_vec()) }
    }

    #[test]
    fn what_was_read_is_published_as_it_was() {
        let mut headers = FieldTable::default();
        headers.insert("retries".into(), AMQPValue::LongInt(3));
        headers.insert("tenant".into(), AMQPValue::LongString("t1".into()));
        let sent = BasicProperties::default()
            .with_message_id("m-1".into())
            .with_type("task".into())
            .with_priority(8)
            .with_delivery_mode(1)
            .with_timestamp(1_700_000_000)
            .with_headers(headers);
        let read = message(&"queue:tasks".into(), Position::Arrival(1), delivery(sent.clone()));
        assert_eq!((read.key.as_deref(), read.timestamp), (Some(&b"tasks.t1"[..]), Some(Timestamp(1_700_000_000_000))));
        let names: Vec<_> = read.headers.iter().map(|h| String::from_utf8_lossy(&h.name).into_owned()).collect();
        let expected =
            ["amqp_exchange", "amqp_message_id", "amqp_type", "amqp_delivery_mode", "amqp_priority", "retries", "tenant", "amqp_types"];
        assert_eq!(names, expected);
        let again = Outgoing { headers: read.headers, timestamp: read.timestamp, ..Outgoing::default() };
        assert_eq!(outgoing(&again, Some("guest")), Ok(sent));
    }

    #[test]
    fn a_form_goes_before_headers_and_messages_are_persistent_unless_told_otherwise() {
        let header = |name: &str, value: &str| Header { name: name.to_owned().into(), value: Some(value.to_owned().into()) };
        let with = |headers: Vec<Header>, options: Vec<(&'static str, String)>| {
            outgoing(&Outgoing { headers, options, ..Outgoing::default() }, Some("guest"))
        };
        let plain = with(Vec::new(), Vec::new()).expect("properties");
        assert_eq!((plain.delivery_mode(), plain.headers()), (&Some(2), &None));
        let said = with(
            vec![header("amqp_priority", "3"), header("amqp_user_id", "somebody")],
            vec![("priority", "8".into()), ("persistent", "no".into()), ("reply_to", String::new())],
        );
        let said = said.expect("properties");
        assert_eq!((said.priority(), said.delivery_mode(), said.user_id(), said.reply_to()), (&Some(8), &Some(1), &None, &None));
        for (headers, cause) in [
            (vec![header("a", "1"), header("a", "2")], "there twice"),
            (vec![header("n", "x"), header(TYPES, r#"{"n":"l"}"#)], "does not hold"),
            (vec![header("amqp_message_id", &"x".repeat(256))], "255 bytes"),
            (vec![header("amqp_priority", "high")], "from 0 to 255"),
        ] {
            let error = with(headers, Vec::new()).expect_err(cause);
            assert!(error.contains(cause), "{error}");
        }
    }
}
