//! AMQP messages as mqdeck's, and back.
//!
//! The routing key is the message's key. Properties stand before the headers under names that begin with `amqp_` (`amqp_message_id`), with
//! the exchange that the message was published to; `amqp_types` has the types of headers that are no texts, and `amqp_absent` names what a
//! message that is made here would have and this one does not. All of them become properties and types again when such a message is
//! published, so that what was read can be sent as it was. A header of somebody else's with such a name has [`FOREIGN`] before it.

use super::foreign::{self, Properties};
use super::frames::WRAPPED;
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
const MODE: &str = "amqp_delivery_mode";
const PRIORITY: &str = "amqp_priority";
/// That a message has no delivery mode: those that are made here have one.
const ABSENT: &str = "amqp_absent";
/// The property timestamp in seconds, where that is no time that can be shown.
const SECONDS: &str = "amqp_timestamp";
/// Properties that could not be read, as they came.
const UNREAD: &str = "amqp_unread";
/// Before the name of a header that would else be read as one of ours.
const FOREIGN: &str = "amqp_header_";
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
    let mut read = match wrapped(&delivery.properties) {
        Some(wrapped) => foreign::unwrap(wrapped),
        None => plain(&delivery.properties),
    };
    let (exchange, key) = read.names.take().unwrap_or_else(|| {
        let name = |name: &ShortString| Bytes::copy_from_slice(name.as_str().as_bytes());
        (name(&delivery.exchange), name(&delivery.routing_key))
    });
    let mut headers = Vec::new();
    let mut add = |name: &'static str, value: Bytes| headers.push(Header { name: Bytes::from_static(name.as_bytes()), value: Some(value) });
    if !exchange.is_empty() {
        add(EXCHANGE, exchange);
    }
    for header in PROPERTIES.iter().map(|property| property.header).chain([MODE, PRIORITY]) {
        let value = read.texts.iter().find(|(name, _)| *name == header).map(|(_, value)| value.clone());
        match value {
            Some(value) => add(header, value),
            None if header == MODE => add(ABSENT, Bytes::from_static(b"delivery_mode")),
            None => {}
        }
    }
    let (timestamp, stamp) = stamp(&read);
    if let Some(seconds) = read.timestamp.filter(|_| stamp != Stamp::Created) {
        add(SECONDS, seconds.to_string().into());
    }
    if let Some(unread) = read.unread {
        add(UNREAD, unread);
    }
    if let Some(fields) = read.headers {
        headers_of(fields, channel.starts_with("stream:"), &mut headers);
    }
    Message { channel: channel.clone(), position, timestamp, stamp, key: Some(key), headers, payload: Some(delivery.data.into()) }
}

/// What the client crate could not have read.
fn wrapped(properties: &BasicProperties) -> Option<&[u8]> {
    match field(properties, WRAPPED)? {
        AMQPValue::ByteArray(wrapped) => Some(wrapped.as_slice()),
        _ => None,
    }
}

/// What the client crate has read.
fn plain(properties: &BasicProperties) -> Properties {
    let text = |property: &Property| {
        let value = (property.get)(properties).as_ref()?;
        Some((property.header, Bytes::copy_from_slice(value.as_str().as_bytes())))
    };
    let small = |header: &'static str, value: &Option<u8>| value.map(|value| (header, Bytes::from(value.to_string())));
    let mut texts: Vec<_> = PROPERTIES.iter().filter_map(text).collect();
    texts.extend(small(MODE, properties.delivery_mode()));
    texts.extend(small(PRIORITY, properties.priority()));
    let headers = properties
        .headers()
        .as_ref()
        .map(|table| table.inner().iter().map(|(name, value)| (Bytes::copy_from_slice(name.as_str().as_bytes()), value.clone())).collect());
    Properties { texts, timestamp: *properties.timestamp(), headers, ..Properties::default() }
}

fn headers_of(fields: Vec<(Bytes, AMQPValue)>, stream: bool, headers: &mut Vec<Header>) {
    let mut types = Map::new();
    let empty = fields.is_empty();
    // The server's own.
    let is_place = |name: &Bytes| stream && name == OFFSET.as_bytes();
    for (name, value) in fields.into_iter().filter(|(name, _)| !is_place(name)) {
        let (bytes, kind) = table::bytes(&value);
        let name = if is_ours(&name) { [FOREIGN.as_bytes(), &name].concat().into() } else { name };
        types.extend(kind.and_then(|kind| Some((std::str::from_utf8(&name).ok()?.to_owned(), kind))));
        headers.push(Header { name, value: bytes });
    }
    // A table without headers is not the same as none.
    if empty || !types.is_empty() {
        headers.push(Header { name: Bytes::from_static(TYPES.as_bytes()), value: Some(Value::Object(types).to_string().into()) });
    }
}

/// When it was made, as its producer says (whole seconds), or arrived, where the server stamps; else when we saw it.
fn stamp(read: &Properties) -> (Option<Timestamp>, Stamp) {
    let millis = read.timestamp.and_then(|seconds| i64::try_from(seconds).ok()?.checked_mul(1_000));
    if let Some(millis) = millis {
        return (Some(Timestamp(millis)), Stamp::Created);
    }
    let stamped = read.headers.iter().flatten().find(|(name, _)| name == STAMPED.as_bytes());
    if let Some((_, AMQPValue::LongLongInt(millis))) = stamped {
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
    if let Some(wrapped) = wrapped(properties) {
        let headers = foreign::unwrap(wrapped).headers?;
        return whole(&headers.iter().find(|(of, _)| of == name.as_bytes())?.1);
    }
    whole(field(properties, name)?)
}

fn whole(value: &AMQPValue) -> Option<u64> {
    match value {
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

/// The properties that a message is published with. What the form says goes before what a header says. A copy's user id that is not ours
/// is refused here: the server would close the channel over it, under everything that was sent with it. The error is one sentence.
pub(super) fn outgoing(message: &Outgoing, username: Option<&str>) -> Result<BasicProperties, String> {
    let header = |name: &str| message.headers.iter().find(|h| h.name == name).and_then(|h| h.value.as_deref());
    let option = |id: &str| message.option(id).filter(|value| !value.is_empty());
    let mut properties = BasicProperties::default();
    for property in PROPERTIES {
        let from_header =
            header(property.header).map(|value| std::str::from_utf8(value).map_err(|_| not_text(property.header))).transpose()?;
        let given = option(property.option);
        // Given empty in a command it is left out, whatever the header says.
        let Some(value) = given.or(from_header).filter(|_| given.is_some() || message.option(property.option).is_none()) else { continue };
        if property.option == "user_id" && given.is_none() && username.is_some_and(|username| username != value) {
            return Err(format!(
                "its user id is `{}`, and the server takes none but the connection's own: `-o user_id=` leaves it out",
                crate::domain::text::SafeText::new(value)
            ));
        }
        let short = ShortString::try_new(value).map_err(|_| format!("`{}` is longer than AMQP's 255 bytes", property.option))?;
        properties = (property.set)(properties, short);
    }
    let small = |name: &'static str, value: Option<&str>| {
        let from_header = header(name).and_then(|value| std::str::from_utf8(value).ok());
        value.or(from_header).map(|value| value.parse::<u8>().map_err(|_| format!("`{name}` is a number from 0 to 255"))).transpose()
    };
    let mode = option("persistent").map(|persistent| if persistent == "yes" { "2" } else { "1" });
    // Persistent unless somebody says otherwise: what an operator sends by hand should outlive a restart. A copy is as it was.
    let usual = if header(ABSENT).is_some() { None } else { Some(2) };
    if let Some(mode) = small(MODE, mode)?.or(usual) {
        properties = properties.with_delivery_mode(mode);
    }
    if let Some(priority) = small(PRIORITY, option("priority"))? {
        properties = properties.with_priority(priority);
    }
    let seconds = header(SECONDS).map(|value| std::str::from_utf8(value).ok().and_then(|value| value.parse::<u64>().ok()));
    let seconds = seconds.map(|seconds| seconds.ok_or_else(|| format!("`{SECONDS}` is a number of seconds"))).transpose()?;
    if let Some(seconds) = seconds.or_else(|| u64::try_from(message.timestamp?.0 / 1_000).ok()) {
        properties = properties.with_timestamp(seconds);
    }
    if header(UNREAD).is_some() {
        return Err("its properties could not be read, so that it cannot be sent as it was".to_owned());
    }
    let headers = fields(&message.headers, header(TYPES))?;
    Ok(if headers.inner().is_empty() && header(TYPES).is_none() { properties } else { properties.with_headers(headers) })
}

/// Whether a message was read from a queue and is sent again.
pub(super) fn is_copy(message: &Outgoing) -> bool {
    message.headers.iter().any(|header| header.name == MODE || header.name == ABSENT)
}

fn fields(headers: &[Header], types: Option<&[u8]>) -> Result<FieldTable, String> {
    let types: Map<String, Value> = match types {
        Some(types) => serde_json::from_slice(types).map_err(|_| format!("`{TYPES}` is a JSON object of types"))?,
        None => Map::new(),
    };
    let mut fields = FieldTable::default();
    for header in headers.iter().filter(|header| !is_own(&header.name)) {
        let name = std::str::from_utf8(&header.name).map_err(|_| not_text(&String::from_utf8_lossy(&header.name)))?;
        let own = name.strip_prefix(FOREIGN).unwrap_or(name);
        let short = ShortString::try_new(own).map_err(|_| "a header's name is longer than AMQP's 255 bytes".to_owned())?;
        let value = table::typed(header.value.as_ref(), types.get(name)).ok_or_else(|| {
            format!("the header `{name}` does not hold what `{TYPES}` says ({})", types.get(name).map(Value::to_string).unwrap_or_default())
        })?;
        if fields.contains_key(own) {
            return Err(format!("the header `{own}` is there twice, and AMQP's headers have names of their own"));
        }
        fields.insert(short, value);
    }
    Ok(fields)
}

/// Whether a header is one that stands for something else here.
fn is_own(name: &[u8]) -> bool {
    [EXCHANGE, TYPES, MODE, PRIORITY, ABSENT, SECONDS, UNREAD].iter().any(|own| own.as_bytes() == name)
        || PROPERTIES.iter().any(|property| property.header.as_bytes() == name)
}

/// Whether somebody else's header of this name would be taken for one of ours.
fn is_ours(name: &[u8]) -> bool {
    is_own(name) || name.starts_with(FOREIGN.as_bytes())
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
            vec![header("amqp_priority", "3"), header("amqp_user_id", "somebody"), header("amqp_reply_to", "q")],
            vec![("priority", "8".into()), ("persistent", "no".into()), ("reply_to", String::new()), ("user_id", String::new())],
        );
        let said = said.expect("properties");
        assert_eq!((said.priority(), said.delivery_mode(), said.user_id(), said.reply_to()), (&Some(8), &Some(1), &None, &None));
        for (headers, cause) in [
            (vec![header("a", "1"), header("a", "2")], "there twice"),
            (vec![header("n", "x"), header(TYPES, r#"{"n":"l"}"#)], "does not hold"),
            (vec![header("n", "x"), header(TYPES, r#"{"n":"Q"}"#)], "does not hold"),
            (vec![header("amqp_message_id", &"x".repeat(256))], "255 bytes"),
            (vec![header("amqp_priority", "high")], "from 0 to 255"),
            (vec![header("amqp_user_id", "somebody")], "`-o user_id=` leaves it out"),
        ] {
            let error = with(headers, Vec::new()).expect_err(cause);
            assert!(error.contains(cause), "{error}");
        }
    }
}
