//! AMQP messages as mqdeck's, and back.
//!
//! The routing key is the message's key. Properties stand before the headers under names that begin with `amqp_` (`amqp_message_id`), with
//! the exchange that the message was published to; `amqp_types` has the types of headers that are no texts, and `amqp_absent` names what a
//! message that is made here would have and this one does not. All of them become properties and types again when such a message is
//! published, so that what was read can be sent as it was; where they would not give the same bytes again, `amqp_raw` has the properties as
//! they came, which are sent as long as nothing that is shown of them was changed. A header of somebody else's with such a name has
//! [`FOREIGN`] before it.

use super::foreign::{self, Properties};
use super::frames::WRAPPED;
use super::table;
use crate::domain::message::{Header, Message, Outgoing, Stamp};
use crate::domain::position::Position;
use crate::domain::text::SafeText;
use crate::domain::time::Timestamp;
use bytes::Bytes;
use lapin::BasicProperties;
use lapin::message::Delivery;
use lapin::types::{AMQPValue, FieldTable, ShortString};
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::sync::Arc;

const EXCHANGE: &str = "amqp_exchange";
const TYPES: &str = "amqp_types";
const MODE: &str = "amqp_delivery_mode";
const PRIORITY: &str = "amqp_priority";
/// That a message has no delivery mode: those that are made here have one.
const ABSENT: &str = "amqp_absent";
/// The property timestamp in seconds, where that is no time that can be shown.
const SECONDS: &str = "amqp_timestamp";
/// Properties as they came, where what is shown of them would not give them again.
const RAW: &str = "amqp_raw";
/// Before the name of a header that would else be read as one of ours.
const FOREIGN: &str = "amqp_header_";
/// Milliseconds of a message's arrival, where the server is told to stamp messages (its `message_interceptors`).
const STAMPED: &str = "timestamp_in_ms";
/// Where a message stands in a stream.
pub(super) const OFFSET: &str = "x-stream-offset";
/// How often a quorum queue has given it to somebody before.
pub(super) const COUNT: &str = "x-delivery-count";

/// The properties that are texts: what they are called here and in a form, and how the client crate has them.
struct Property {
    header: &'static str,
    option: &'static str,
    get: fn(&BasicProperties) -> &Option<ShortString>,
}

macro_rules! property {
    ($header:literal, $get:ident) => {
        Property { header: concat!("amqp_", $header), option: $header, get: BasicProperties::$get }
    };
}

const PROPERTIES: &[Property] = &[
    property!("message_id", message_id),
    property!("correlation_id", correlation_id),
    property!("reply_to", reply_to),
    property!("type", kind),
    property!("content_type", content_type),
    property!("content_encoding", content_encoding),
    property!("expiration", expiration),
    property!("app_id", app_id),
    property!("user_id", user_id),
    property!("cluster_id", cluster_id),
];

/// A delivery as a message of that channel.
pub(super) fn message(channel: &Arc<str>, position: Position, delivery: Delivery) -> Message {
    let (exchange, key) = names(&delivery);
    let (mut headers, timestamp, stamp) = shown(read(&delivery.properties), channel.starts_with("stream:"));
    if !exchange.is_empty() {
        headers.insert(0, Header { name: Bytes::from_static(EXCHANGE.as_bytes()), value: Some(exchange) });
    }
    Message { channel: channel.clone(), position, timestamp, stamp, key: Some(key), headers, payload: Some(delivery.data.into()) }
}

/// The exchange and the routing key of a message.
pub(super) fn names(delivery: &Delivery) -> (Bytes, Bytes) {
    let wrapped = wrapped(&delivery.properties).and_then(|wrapped| foreign::parts(wrapped)?.0);
    let (exchange, key) = wrapped.unwrap_or((delivery.exchange.as_str().as_bytes(), delivery.routing_key.as_str().as_bytes()));
    (Bytes::copy_from_slice(exchange), Bytes::copy_from_slice(key))
}

fn read(properties: &BasicProperties) -> Properties {
    wrapped(properties).map_or_else(|| plain(properties), foreign::unwrap)
}

/// Properties as headers, and the time that they tell.
fn shown(read: Properties, stream: bool) -> (Vec<Header>, Option<Timestamp>, Stamp) {
    let mut headers = Vec::new();
    let mut add = |name: &'static str, value: Bytes| headers.push(Header { name: Bytes::from_static(name.as_bytes()), value: Some(value) });
    for header in PROPERTIES.iter().map(|property| property.header).chain([MODE, PRIORITY]) {
        match read.text(header) {
            Some(value) => add(header, value.clone()),
            None if header == MODE => add(ABSENT, Bytes::from_static(b"delivery_mode")),
            None => {}
        }
    }
    let (timestamp, stamp) = stamp(&read);
    if let Some(seconds) = read.timestamp.filter(|_| stamp != Stamp::Created) {
        add(SECONDS, seconds.to_string().into());
    }
    if let Some(raw) = read.raw {
        add(RAW, raw);
    }
    if let Some(fields) = read.headers {
        headers_of(fields, stream, &mut headers);
    }
    (headers, timestamp, stamp)
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

/// The properties that a message is published with, as they are sent. What the form says goes before what a header says. A copy's user id
/// that is not ours is refused here, and what the server cannot read: it would close the channel or the connection over it, under
/// everything that was sent with it. The error is one sentence.
pub(super) fn outgoing(message: &Outgoing, username: Option<&str>) -> Result<Vec<u8>, String> {
    let properties = match value(message, RAW) {
        Some(raw) if is_unchanged(message, raw) => {
            if let Some(other) = foreign::read(raw).text("amqp_user_id").filter(|user| is_other(user, username)) {
                return Err(others(other));
            }
            raw.to_vec()
        }
        Some(_) => {
            let cause = "has its properties as they came, and they were changed: leave that header out to send what is shown";
            return Err(format!("`{RAW}` {cause}"));
        }
        None => {
            let given = given(message, username)?;
            if let Some(name) = twice(given.headers.as_deref().unwrap_or_default()) {
                return Err(format!("the header `{}` is there twice, and AMQP's headers have names of their own", safe(name)));
            }
            foreign::write(&given)?
        }
    };
    match foreign::senseless(&properties) {
        Some(why) => Err(format!("RabbitMQ would close the connection over its properties: {why}")),
        None => Ok(properties),
    }
}

fn value<'a>(message: &'a Outgoing, name: &str) -> Option<&'a Bytes> {
    message.headers.iter().find(|header| header.name == name)?.value.as_ref()
}

/// Whether a message says nothing else than what is shown of these properties.
fn is_unchanged(message: &Outgoing, raw: &[u8]) -> bool {
    let beside = |header: &&Header| header.name != EXCHANGE;
    let (headers, timestamp, stamp) = shown(foreign::read(raw), false);
    message.options.iter().all(|(id, _)| *id == "mandatory")
        // The console's form begins without a time.
        && message.timestamp.is_none_or(|given| Some(given) == timestamp.filter(|_| stamp == Stamp::Created))
        && message.headers.iter().filter(beside).eq(&headers)
}

fn is_other(user: &[u8], username: Option<&str>) -> bool {
    username.is_some_and(|username| username.as_bytes() != user)
}

fn others(user: &[u8]) -> String {
    let user = safe(user);
    format!("its user id is `{user}`, and the server takes none but the connection's own: `-o user_id=` leaves it out")
}

fn given(message: &Outgoing, username: Option<&str>) -> Result<Properties, String> {
    let option = |id: &str| message.option(id).filter(|value| !value.is_empty());
    let mut properties = Properties::default();
    for property in PROPERTIES {
        let given = option(property.option).map(|value| Bytes::copy_from_slice(value.as_bytes()));
        let (is_given, is_left_out) = (given.is_some(), given.is_none() && message.option(property.option).is_some());
        // Given empty in a command it is left out, whatever the header says.
        let Some(text) = given.or_else(|| value(message, property.header).cloned()).filter(|_| !is_left_out) else { continue };
        if property.option == "user_id" && !is_given && is_other(&text, username) {
            return Err(others(&text));
        }
        properties.texts.push((property.header, text));
    }
    let mode = option("persistent").map(|persistent| if persistent == "yes" { "2" } else { "1" });
    // Persistent unless somebody says otherwise: what an operator sends by hand should outlive a restart. A copy is as it was.
    let usual = if value(message, ABSENT).is_some() { None } else { Some(Bytes::from_static(b"2")) };
    for (header, option, usual) in [(MODE, mode, usual), (PRIORITY, option("priority"), None)] {
        let given = option.map(|text| Bytes::copy_from_slice(text.as_bytes()));
        properties.texts.extend(given.or_else(|| value(message, header).cloned()).or(usual).map(|text| (header, text)));
    }
    let seconds = value(message, SECONDS).map(|value| std::str::from_utf8(value).ok().and_then(|value| value.parse::<u64>().ok()));
    let seconds = seconds.map(|seconds| seconds.ok_or_else(|| format!("`{SECONDS}` is a number of seconds"))).transpose()?;
    properties.timestamp = seconds.or_else(|| u64::try_from(message.timestamp?.0 / 1_000).ok());
    let types = value(message, TYPES);
    let headers = fields(&message.headers, types)?;
    properties.headers = (!headers.is_empty() || types.is_some()).then_some(headers);
    Ok(properties)
}

/// The properties as the client crate takes them, and the names where it cannot have those: our socket puts them in their place.
pub(super) fn wrap(names: Option<foreign::Names<'_>>, properties: &[u8]) -> BasicProperties {
    let mut table = FieldTable::default();
    table.insert(WRAPPED.into(), AMQPValue::ByteArray(foreign::wrap(names, properties).into()));
    BasicProperties::default().with_headers(table)
}

/// Whether a message says when it expires.
pub(super) fn expires(message: &Outgoing) -> bool {
    match message.option("expiration") {
        Some(option) => !option.is_empty(),
        None => value(message, "amqp_expiration").is_some(),
    }
}

/// Sets properties, whatever else says what they are.
pub(super) fn set(message: &mut Outgoing, options: Vec<(&'static str, String)>) {
    message.headers.retain(|header| header.name != RAW);
    message.options.retain(|(id, _)| options.iter().all(|(other, _)| other != id));
    message.options.extend(options);
}

pub(super) fn correlation_id(properties: &BasicProperties) -> Option<Bytes> {
    read(properties).text("amqp_correlation_id").cloned()
}

/// Whether properties that came are those that were sent.
pub(super) fn are_same(came: &BasicProperties, sent: &[u8]) -> bool {
    Properties { names: None, ..read(came) }.sorted() == foreign::read(sent).sorted()
}

/// The name that is there twice.
fn twice(headers: &[(Bytes, AMQPValue)]) -> Option<&Bytes> {
    let mut names = BTreeSet::new();
    headers.iter().map(|(name, _)| name).find(|name| !names.insert(*name))
}

fn safe(bytes: &[u8]) -> String {
    SafeText::from(foreign::shown(bytes).as_str()).to_string()
}

/// Whether a message was read from a queue and is sent again.
pub(super) fn is_copy(message: &Outgoing) -> bool {
    message.headers.iter().any(|header| header.name == MODE || header.name == ABSENT)
}

fn fields(headers: &[Header], types: Option<&Bytes>) -> Result<Vec<(Bytes, AMQPValue)>, String> {
    let types: Map<String, Value> = match types {
        Some(types) => serde_json::from_slice(types).map_err(|_| format!("`{TYPES}` is a JSON object of types"))?,
        None => Map::new(),
    };
    let field = |header: &Header| {
        let own = if header.name.starts_with(FOREIGN.as_bytes()) { header.name.slice(FOREIGN.len()..) } else { header.name.clone() };
        let kind = std::str::from_utf8(&header.name).ok().and_then(|name| types.get(name));
        let value = table::typed(header.value.as_ref(), kind).ok_or_else(|| {
            format!("the header `{}` does not hold what `{TYPES}` says ({})", safe(&own), kind.map(Value::to_string).unwrap_or_default())
        })?;
        Ok((own, value))
    };
    headers.iter().filter(|header| !is_own(&header.name)).map(field).collect()
}

/// Whether a header is one that stands for something else here.
fn is_own(name: &[u8]) -> bool {
    [EXCHANGE, TYPES, MODE, PRIORITY, ABSENT, SECONDS, RAW].iter().any(|own| own.as_bytes() == name)
        || PROPERTIES.iter().any(|property| property.header.as_bytes() == name)
}

/// Whether somebody else's header of this name would be taken for one of ours.
fn is_ours(name: &[u8]) -> bool {
    is_own(name) || name.starts_with(FOREIGN.as_bytes())
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
        assert!(are_same(&sent, &outgoing(&again, Some("guest")).expect("properties")));
    }

    #[test]
    fn what_is_not_utf_8_is_published_as_it_was() {
        let table = |table: &[u8]| [&[0x20, 0, 0, 0, 0, table.len() as u8], table].concat();
        for properties in [
            vec![0x84, 0x20, 1, 0xff, 3, 0, 0xfe, b'c', 2, b'k', 0xff],
            table(b"\x02n\xffS\0\0\0\x01x"),
            // These are shown otherwise than they came.
            table(b"\x01nL\0\0\0\0\0\0\0\x07"),
            table(b"\x01nt\x02"),
            table(b"\x01nV\x01nV"),
            table(b"\x01tF\0\0\0\x05\x02n\xfft\x01"),
        ] {
            let read = message(&"queue:tasks".into(), Position::Arrival(1), delivery(wrap(None, &properties)));
            let mut again = Outgoing { headers: read.headers, ..Outgoing::default() };
            assert_eq!(outgoing(&again, Some("guest")).as_ref(), Ok(&properties));
            if value(&again, RAW).is_some() {
                again.headers.push(Header { name: "more".into(), value: None });
                assert!(outgoing(&again, None).is_err_and(|cause| cause.contains("were changed: leave that header out")));
            }
        }
    }

    #[test]
    fn a_form_goes_before_headers_and_messages_are_persistent_unless_told_otherwise() {
        let header = |name: &str, value: &str| Header { name: name.to_owned().into(), value: Some(value.to_owned().into()) };
        let with = |headers: Vec<Header>, options: Vec<(&'static str, String)>| {
            outgoing(&Outgoing { headers, options, ..Outgoing::default() }, Some("guest")).map(|sent| foreign::read(&sent))
        };
        let text = |properties: &Properties, header: &str| properties.text(header).map(|text| String::from_utf8_lossy(text).into_owned());
        let plain = with(Vec::new(), Vec::new()).expect("properties");
        assert_eq!((text(&plain, MODE).as_deref(), plain.headers), (Some("2"), None));
        let said = with(
            vec![header("amqp_priority", "3"), header("amqp_user_id", "somebody"), header("amqp_reply_to", "q")],
            vec![("priority", "8".into()), ("persistent", "no".into()), ("reply_to", String::new()), ("user_id", String::new())],
        );
        let said = said.expect("properties");
        let expected = [(PRIORITY, Some("8")), (MODE, Some("1")), ("amqp_user_id", None), ("amqp_reply_to", None)];
        for (header, value) in expected {
            assert_eq!(text(&said, header).as_deref(), value);
        }
        for (headers, cause) in [
            (vec![header("a", "1"), header("a", "2")], "there twice"),
            (vec![header("n", "x"), header(TYPES, r#"{"n":"l"}"#)], "does not hold"),
            (vec![header("n", "x"), header(TYPES, r#"{"n":"Q"}"#)], "does not hold"),
            (vec![header("amqp_message_id", &"x".repeat(256))], "255 bytes"),
            (vec![header("amqp_priority", "high")], "from 0 to 255"),
            (vec![header("n", "NaN"), header(TYPES, r#"{"n":"d"}"#)], "infinite, or none"),
            (vec![header("amqp_user_id", "somebody")], "`-o user_id=` leaves it out"),
        ] {
            let error = with(headers, Vec::new()).expect_err(cause);
            assert!(error.contains(cause), "{error}");
        }
    }
}
