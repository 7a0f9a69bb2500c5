//! What a line promises: everything comes out, and goes back byte for byte.

use super::*;
use crate::domain::address::Address;
use crate::domain::delivery::Delivery;
use crate::domain::message::{Header, Message, Outgoing};
use crate::domain::position::Position;
use crate::domain::text::is_hidden;
use crate::domain::time::Timestamp;
use crate::wire::decoder::{Decoder, Format};
use bytes::Bytes;
use proptest::prelude::*;

fn message(payload: Option<&[u8]>) -> Message {
    Message {
        timestamp: Some(Timestamp(1_770_285_600_123)),
        payload: payload.map(Bytes::copy_from_slice),
        ..Message::at("orders", Position::Offset { partition: 3, offset: 1042 })
    }
}

fn line(message: &Message) -> String {
    write(&Address::new("events", "orders"), message, &Decoder::default())
}

fn outgoing(message: &Message) -> Outgoing {
    Outgoing {
        key: message.key.clone(),
        headers: message.headers.clone(),
        payload: message.payload.clone(),
        timestamp: message.timestamp,
        options: Vec::new(),
    }
}

fn header(name: &'static [u8], value: Option<&'static [u8]>) -> Header {
    Header { name: Bytes::from_static(name), value: value.map(Bytes::from_static) }
}

#[test]
fn a_line_has_the_documented_fields() {
    let mut message = message(Some(br#"{"b":9007199254740993,"a":1.10}"#));
    message.key = Some(Bytes::from_static(b"order-1"));
    message.headers = vec![header(b"env", Some(b"prod")), header(b"env", None), header(b"bin", Some(b"\xff")), header(b"\xfe", Some(b""))];
    assert_eq!(
        line(&message),
        concat!(
            r#"{"address":"events/orders","position":"3@1042","timestamp":"2026-02-05T10:00:00.123Z","key":"order-1","key_encoding":"text","#,
            r#""headers":[{"name":"env","value":"prod","encoding":"text"},{"name":"env","value":null,"encoding":null},"#,
            r#"{"name":"bin","value":"/w==","encoding":"base64"},{"name":"/g==","name_encoding":"base64","value":"","encoding":"text"}],"#,
            r#""value":{"b":9007199254740993,"a":1.10},"encoding":"json","wire":"json","size":53}"#
        )
    );
}

#[test]
fn a_message_that_was_received_says_whether_somebody_had_it_before_and_is_read_as_any() {
    let message = message(Some(b"a"));
    for (redelivered, deliveries, end) in
        [(false, None, r#""redelivered":false,"deliveries":null}"#), (true, Some(3), r#""redelivered":true,"deliveries":3}"#)]
    {
        let delivery = Delivery { ticket: None, message: message.clone(), deliveries, redelivered };
        let written = write_delivery(&Address::new("rabbit", "queue:tasks"), &delivery, &Decoder::default());
        assert!(written.ends_with(end), "{written}");
        assert_eq!(read(written.as_bytes()), Ok(outgoing(&message)));
    }
}

#[test]
fn a_message_that_is_kept_nowhere_has_no_position() {
    let mut message = message(Some(b"x"));
    message.position = Position::Arrival(7);
    assert!(line(&message).contains(r#""position":null,"#));
}

#[test]
fn value_and_raw_say_what_the_payload_was() {
    for (payload, end) in [
        (None, r#""value":null,"encoding":null,"wire":null,"size":0}"#),
        (Some(&b""[..]), r#""value":"","encoding":"text","wire":"text","size":0}"#),
        (Some(b"null"), r#""value":null,"encoding":"json","wire":"json","size":4}"#),
        (Some(b"\"a\""), r#""value":"a","encoding":"json","wire":"json","size":3}"#),
        (Some(b"[1, 2]"), r#""value":[1, 2],"encoding":"json","wire":"json","size":6}"#),
        (Some(b"1e400"), r#""value":1e400,"encoding":"json","wire":"json","size":5}"#),
        (Some(b"[1]\n"), r#""value":[1],"encoding":"json","wire":"json","raw":"WzFdCg==","size":4}"#),
        (Some(b" 1"), r#""value":1,"encoding":"json","wire":"json","raw":"IDE=","size":2}"#),
        (Some(b"a\nb\x07"), r#""value":"a\nb\u0007","encoding":"text","wire":"text","size":4}"#),
        (Some("\"\u{202e}\"".as_bytes()), r#""value":"\u202e","encoding":"json","wire":"json","raw":"IuKAriI=","size":5}"#),
        (Some(b"\xff\xfe"), r#""value":"//4=","encoding":"base64","wire":"bytes","size":2}"#),
        (Some(&[0x81, 0xa1, b'a', 1]), r#""value":{"a":1},"encoding":"json","wire":"messagepack","raw":"gaFhAQ==","size":4}"#),
        (Some(b"\0\0\0\0\x11{}"), r#""value":{},"encoding":"json","wire":"confluent","raw":"AAAAABF7fQ==","size":7}"#),
        (Some(b"\0\0\0\0\x11\x02"), r#""value":"AAAAABEC","encoding":"base64","wire":"confluent","size":6}"#),
        (Some(br#"{"a":1,"a":"\ud800"}"#), r#""value":{"a":1,"a":"\ud800"},"encoding":"json","wire":"json","size":20}"#),
    ] {
        let message = message(payload);
        let line = line(&message);
        assert!(line.ends_with(end), "{line}");
        assert_eq!(read(line.as_bytes()), Ok(outgoing(&message)));
    }
}

#[test]
fn hand_written_lines_are_read() {
    let text = |text: &'static str| Some(Bytes::from_static(text.as_bytes()));
    for (line, key, payload) in [
        (r#"{"key":"a","value":{"x":1}}"#, text("a"), text(r#"{"x":1}"#)),
        (r#" { "value" : [ 1, 2.0 ] } "#, None, text("[ 1, 2.0 ]")),
        (r#"{"key":42,"value":"words"}"#, text("42"), text("words")),
        (r#"{"key":{"id":1},"value":"\"quoted\"","encoding":"text"}"#, text(r#"{"id":1}"#), text("\"quoted\"")),
        (r#"{"key":"","value":""}"#, text(""), text("")),
        (r#"{"key":null,"value":null}"#, None, None),
        (r#"{"value":null,"encoding":"text"}"#, None, None),
        (r#"{"value":null,"encoding":"json"}"#, None, text("null")),
        (r#"{"value":"x","encoding":"json"}"#, None, text("\"x\"")),
        (r#"{"value":"eA==","encoding":"base64"}"#, None, text("x")),
        (r#"{"key":"eA==","key_encoding":"base64","value":true}"#, text("x"), text("true")),
        (r#"{"raw":"eA=="}"#, None, text("x")),
        (r#"{"value":"\u00e9\ud83d\ude00"}"#, None, text("é😀")),
    ] {
        let read = read(line.as_bytes()).unwrap_or_else(|e| panic!("{line}: {e}"));
        assert_eq!((read.key, read.payload), (key, payload), "{line}");
    }
    let object = read(br#"{"headers":{"a":"1","b":null,"a":2},"value":null,"timestamp":1770285600123}"#).expect("a line");
    assert_eq!(object.headers, [header(b"a", Some(b"1")), header(b"b", None), header(b"a", Some(b"2"))]);
    assert_eq!(object.timestamp, Some(Timestamp(1_770_285_600_123)));
    let array = read(br#"{"headers":[{"name":"a"},{"name":"b","value":"eA==","encoding":"base64"}],"value":null,"timestamp":"2026-02-05T12:00:00+02:00"}"#);
    let array = array.expect("a line");
    assert_eq!(array.headers, [header(b"a", None), header(b"b", Some(b"x"))]);
    assert_eq!(array.timestamp, Some(Timestamp(1_770_285_600_000)));
}

#[test]
fn an_edited_value_is_what_is_published() {
    let pretty = line(&message(Some(b"{\n  \"total\": 100\n}")));
    let payload = |line: &str| read(line.as_bytes()).map(|out| out.payload);
    assert_eq!(payload(&pretty), Ok(Some(Bytes::from_static(b"{\n  \"total\": 100\n}"))));
    assert_eq!(
        payload(&pretty.replace(r#"{"total":100}"#, r#"{ "total" : 100 }"#)),
        Ok(Some(Bytes::from_static(b"{\n  \"total\": 100\n}")))
    );
    assert_eq!(payload(&pretty.replace(r#""total""#, r#""\u0074otal""#)), Ok(Some(Bytes::from_static(b"{\n  \"total\": 100\n}"))));
    assert_eq!(payload(&pretty.replace("100", "101")), Ok(Some(Bytes::from_static(b"{\"total\":101}"))));
    assert_eq!(payload(&pretty.replace("100", "100.0")), Ok(Some(Bytes::from_static(b"{\"total\":100.0}"))));

    let lone = line(&message(Some(br#" "\ud800" "#)));
    assert_eq!(payload(&lone), Ok(Some(Bytes::from_static(br#" "\ud800" "#))));
    assert_eq!(payload(&lone.replace("d800", "d801")), Ok(Some(Bytes::from_static(br#""\ud801""#))));

    let packed = line(&message(Some(&[0x81, 0xa1, b'a', 1])));
    let error = payload(&packed.replace(r#"{"a":1}"#, r#"{"a":2}"#)).expect_err("cannot be encoded");
    assert_eq!(error.field.as_str(), "value");
    assert!(error.cause.as_str().starts_with("MessagePack cannot be encoded"), "{error}");
    assert_eq!(payload(&packed.replace(r#"{"a":1}"#, "null").replace("\"json\"", "null")), Ok(None));
    assert!(payload(r#"{"value":{"a":1},"wire":"messagepack"}"#).is_err());
}

#[test]
fn errors_name_the_field() {
    for (line, error) in [
        ("", "the line is not a JSON object: an object in `{}` was expected at byte 0"),
        (r#"{"value":1,}"#, "the line is not a JSON object: a value was expected at byte 11"),
        (r#"{"valeu":1}"#, "`valeu`: there is no such field; the fields are "),
        (r#"{"value":1,"value":2}"#, "`value`: the field stands twice"),
        (r#"{"key":"a"}"#, "`value`: the field is missing; write null to publish a message without a payload"),
        (r#"{"value":1,"encoding":"text"}"#, "`value`: a string was expected"),
        (r#"{"value":"?","encoding":"base64"}"#, "`value`: not base64 (RFC 4648 section 4): "),
        (r#"{"value":"a","encoding":"hex"}"#, "`encoding`: `hex` is not an encoding: write json, text or base64"),
        (r#"{"value":"a","encoding":1}"#, "`encoding`: a string was expected"),
        (r#"{"value":"\ud800"}"#, "`value`: an escaped surrogate lacks its other half"),
        (r#"{"value":1,"wire":"yaml"}"#, "`wire`: `yaml` is not a format"),
        (r#"{"value":1,"raw":"%"}"#, "`raw`: not base64"),
        (r#"{"value":1,"timestamp":"soon"}"#, "`timestamp`: a time of RFC 3339"),
        (r#"{"value":1,"timestamp":1.5}"#, "`timestamp`: a time of RFC 3339"),
        (r#"{"value":1,"headers":7}"#, "`headers`: an array of"),
        (r#"{"value":1,"headers":[{"value":"a"}]}"#, "`headers[0].name`: the field is missing"),
        (r#"{"value":1,"headers":[{"name":"a"},{"name":"a","valeu":"x"}]}"#, "`headers[1].valeu`: there is no such field"),
        (r#"{"value":1,"headers":[[]]}"#, "`headers[0]`: an object with name, value and encoding was expected"),
        (r#"{"value":1,"headers":{"a":"\ud800"}}"#, "`headers.a`: an escaped surrogate"),
    ] {
        let said = read(line.as_bytes()).expect_err(line).to_string();
        assert!(said.starts_with(error), "{line}: {said}");
    }
    assert_eq!(read(b"{\"value\":\"\xff\"}").expect_err("no UTF-8").to_string(), "the line is not UTF-8 at byte 10");
}

#[test]
fn the_deepest_payloads_fit_into_a_line() {
    let json = ["[".repeat(128), "]".repeat(128)].concat().into_bytes();
    let packed = [vec![0x91; 127], vec![0xd4, 1, 2]].concat();
    for (payload, wire) in [(json, "json"), (packed, "messagepack")] {
        let message = message(Some(&payload));
        assert!(line(&message).contains(&format!("\"wire\":\"{wire}\"")));
        assert_eq!(read(line(&message).as_bytes()), Ok(outgoing(&message)));
    }
}

fn bytes() -> impl Strategy<Value = Bytes> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..30).prop_map(Bytes::from),
        any::<String>().prop_map(Bytes::from),
        "[ \n\t\u{7}\u{200b}\u{202e}\"\\\\{}\\[\\],:0-9a.]{0,12}".prop_map(Bytes::from),
    ]
}

fn payload() -> impl Strategy<Value = Bytes> {
    let json = crate::wire::json::tests::any_value();
    let space = "[ \n\r\t]{0,2}";
    let framed = prop::option::weighted(0.2, Just(b"\0\0\0\0\x11"));
    let json = (json, any::<bool>(), space, space, framed).prop_map(|(value, pretty, before, after, frame)| {
        let text = if pretty { crate::wire::json::pretty(&value) } else { crate::wire::json::compact(&value) };
        Bytes::from([frame.map_or(&b""[..], |f| f), before.as_bytes(), text.as_bytes(), after.as_bytes()].concat())
    });
    let packed = (0x80..0xa0_u8, prop::collection::vec(any::<u8>(), 0..12)).prop_map(|(first, rest)| [vec![first], rest].concat().into());
    prop_oneof![bytes(), json, packed]
}

proptest! {
    #[test]
    fn every_message_goes_out_and_comes_back_byte_for_byte(
        key in prop::option::of(bytes()),
        headers in prop::collection::vec((bytes(), prop::option::of(bytes())), 0..4),
        payload in prop::option::of(payload()),
        timestamp in prop::option::of(any::<i64>()),
        prefer in prop::sample::subsequence(Format::ALL.to_vec(), 0..3),
    ) {
        let headers = headers.into_iter().map(|(name, value)| Header { name, value }).collect();
        let message = Message { key, headers, payload, timestamp: timestamp.map(Timestamp), ..message(None) };
        let line = write(&Address::new("events", "a\u{202e}\n"), &message, &Decoder::new(&prefer));
        prop_assert!(!line.chars().any(is_hidden), "{}", line);
        prop_assert_eq!(read(line.as_bytes()), Ok(outgoing(&message)), "{}", line);
        prop_assert!(serde_json::from_str::<serde::de::IgnoredAny>(&line).is_ok());
    }

    #[test]
    fn garbage_is_an_error_and_never_a_panic(line in prop::collection::vec(any::<u8>(), 0..60), text in "[{}\\[\\]\",:a-z\\\\0-9]{0,40}") {
        let _ = read(&line);
        let _ = read(text.as_bytes());
    }
}
