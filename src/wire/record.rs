//! A message as queries see it: decoded when a query first asks.

use super::decoder::{self, Declared, Decoder, Format, Found};
use super::{json, text};
use crate::domain::message::{HeaderTest, Message, RawMessage};
use crate::domain::query::{Node, Record, Undecodable};
use crate::domain::time::Timestamp;
use crate::domain::value::{Step, Value};
use std::cell::{Cell, OnceCell};

/// One message, with its payload and key decoded at most once, and only as far as a query asks.
pub struct MessageRecord<'a> {
    raw: RawMessage<'a>,
    decoder: &'a Decoder,
    declared: OnceCell<Option<Declared>>,
    /// The payload if it is JSON and nothing else: a valid text.
    json: OnceCell<Option<&'a str>>,
    payload: OnceCell<Option<Found>>,
    key: OnceCell<Option<Value>>,
    looked: Cell<Looked>,
}

/// How deep a query had to look into a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Looked {
    /// The bytes as they are were enough.
    #[default]
    Bytes,
    /// JSON was read up to the places that were asked for, and no tree was built.
    Places,
    /// The payload was decoded into a tree.
    Tree,
}

impl<'a> MessageRecord<'a> {
    /// `decoder` reads the channel's payloads. The message must hold its whole payload.
    pub fn new(message: &'a Message, decoder: &'a Decoder) -> Self {
        Self::of(message.into(), decoder)
    }

    /// The same for a message where it lies.
    pub fn of(raw: RawMessage<'a>, decoder: &'a Decoder) -> Self {
        let (declared, json, payload, key) = (OnceCell::new(), OnceCell::new(), OnceCell::new(), OnceCell::new());
        Self { raw, decoder, declared, json, payload, key, looked: Cell::default() }
    }

    /// How deep was looked so far.
    pub fn looked(&self) -> Looked {
        self.looked.get()
    }

    fn look(&self, how: Looked) {
        self.looked.set(self.looked.get().max(how));
    }

    fn found(&self) -> Option<&Found> {
        self.look(Looked::Tree);
        let decode = || self.raw.payload.map(|bytes| self.decoder.find_declared(bytes, self.declared().cloned()));
        self.payload.get_or_init(decode).as_ref()
    }

    /// What the headers declare the payload to be: the first one that could decides.
    fn declared(&self) -> Option<&Declared> {
        let look = || {
            let mut declared = None;
            self.raw.headers.any(&mut |name, value| {
                let decides = decoder::is_content_type(name);
                if decides {
                    declared = decoder::declared_by(value);
                }
                decides
            });
            declared
        };
        self.declared.get_or_init(look).as_ref()
    }

    /// Whether a payload that is valid JSON is read as JSON here.
    fn may_be_json(&self) -> bool {
        !self.decoder.is_configured() && self.declared().is_none_or(|declared| declared.format == Format::Json)
    }

    /// The test in the places of a payload that is JSON, without a tree; `None` if it is not JSON.
    fn any_in_json(&self, steps: &[Step], test: &mut dyn FnMut(&Node<'_>) -> bool) -> Option<bool> {
        match self.json.get() {
            Some(known) => known.map(|text| json::any_at_valid(text, steps, test)),
            None => {
                let read = self.raw.payload.filter(|_| self.may_be_json()).and_then(|bytes| std::str::from_utf8(bytes).ok());
                let tested = read.and_then(|text| Some((text, json::any_at(text, steps, test).ok()?)));
                self.json.get_or_init(|| tested.map(|(text, _)| text));
                tested.map(|(_, truth)| truth)
            }
        }
    }
}

impl Record for MessageRecord<'_> {
    fn topic(&self) -> &str {
        self.raw.channel
    }

    fn partition(&self) -> Option<i32> {
        self.raw.position.partition()
    }

    fn offset(&self) -> Option<i64> {
        self.raw.position.number()
    }

    fn timestamp(&self) -> Option<Timestamp> {
        self.raw.timestamp
    }

    fn size(&self) -> usize {
        self.raw.size()
    }

    fn key(&self) -> Option<&[u8]> {
        self.raw.key
    }

    fn any_header(&self, test: &mut HeaderTest<'_>) -> bool {
        self.raw.headers.any(test)
    }

    fn payload(&self) -> Option<&[u8]> {
        self.raw.payload
    }

    /// Bytes that no decoder understood, and data whose schema is not known, are undecodable. Bytes that somebody declared to be
    /// bytes would be as well: nothing can be said of what is in them.
    fn value(&self) -> Result<Option<&Value>, Undecodable> {
        match self.found() {
            Some(found) if !found.understood => Err(Undecodable),
            found => Ok(found.map(|found| &found.value)),
        }
    }

    fn any_at(&self, steps: &[Step], test: &mut dyn FnMut(&Node<'_>) -> bool) -> Result<bool, Undecodable> {
        if self.payload.get().is_none()
            && let Some(truth) = self.any_in_json(steps, test)
        {
            self.look(Looked::Places);
            return Ok(truth);
        }
        Ok(self.value()?.is_some_and(|value| value.any_at(steps, &mut |found| test(&Node::Tree(found)))))
    }

    /// Text, and JSON without a backslash; MessagePack only if somebody says that it is, because its collections do not begin like text.
    fn is_plain(&self) -> bool {
        let is_declared_otherwise = || self.declared().is_some_and(|declared| !matches!(declared.format, Format::Json | Format::Text));
        let is_other = || self.decoder.is_configured() || is_declared_otherwise();
        // JSON that is nested too deep looks like text, and is not decoded.
        let is_text = || self.declared().is_some_and(|declared| declared.format == Format::Text);
        self.raw.payload.is_none_or(|bytes| text::is_plain(bytes) && !is_other() && (is_text() || !json::is_too_deep(bytes)))
    }

    fn key_value(&self) -> Option<&Value> {
        let decode = || self.raw.key.and_then(|key| json::read(key).ok()).map(|document| document.value);
        self.key.get_or_init(decode).as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::query::{Place, Query, Undecided};
    use bytes::Bytes;
    use proptest::prelude::*;

    fn message(key: &'static str, payload: &[u8]) -> Message {
        Message {
            key: Some(key.into()),
            payload: Some(Bytes::copy_from_slice(payload)),
            ..Message::at("orders", crate::domain::position::Position::Offset { partition: 3, offset: 1042 })
        }
    }

    fn holds(query: &str, message: &Message) -> Result<bool, Undecided> {
        let query = Query::parse(query, &jiff::Zoned::now()).unwrap_or_else(|e| panic!("{query}: {e}"));
        query.matches(&MessageRecord::new(message, &Decoder::default()))
    }

    #[test]
    fn every_format_is_asked_the_same_way() {
        for payload in [
            &br#"{"a":9007199254740993,"b":"caf\u00e9"}"#[..],
            b"\x82\xa1a\xcf\x00\x20\x00\x00\x00\x00\x00\x01\xa1b\xa5caf\xc3\xa9",
            b"\0\0\0\0\x11{\"a\":9007199254740993,\"b\":\"caf\xc3\xa9\"}",
        ] {
            let message = message("k", payload);
            for (query, expected) in [
                ("value.a == 9007199254740993", true),
                ("value.a > 9007199254740992", true),
                ("value contains \"9007199254740993\"", true),
                ("value.b == \"café\"", true),
                ("CAFÉ", false),
                ("café", true),
                ("partition == 3 and offset == 1042 and topic == \"orders\"", true),
            ] {
                assert_eq!(holds(query, &message), Ok(expected), "{query} {payload:?}");
            }
        }
    }

    #[test]
    fn numbers_beyond_every_float_are_compared_exactly() {
        let message = message("k", br#"{"a":1e400,"b":0.10000000000000000000000000001,"a":2}"#);
        for (query, expected) in [
            ("value.a > 1e399", true),
            ("value.a == 10e399", true),
            ("value.a == 2", true),
            ("value.b > 0.1", true),
            ("value.b == 0.1", false),
        ] {
            assert_eq!(holds(query, &message), Ok(expected), "{query}");
        }
    }

    #[test]
    fn what_nobody_can_decode_is_an_error() {
        for payload in [&b"\xff\xfe"[..], b"\0\0\0\0\x11\x02abc"] {
            let message = message("k", payload);
            assert_eq!(holds("value.a == 1", &message), Err(Undecided::Undecodable));
            assert_eq!(holds("k", &message), Ok(true));
        }
        assert_eq!(holds("value.a == 1", &message("k", b"plain words")), Ok(false));
        assert_eq!(holds("value == \"plain words\"", &message("k", b"plain words")), Ok(true));
    }

    #[test]
    fn a_key_that_is_json_has_paths() {
        let message = message("{\"id\":7,\"t\":\"\\u0061\"}", b"");
        for (query, expected) in
            [("key.id == 7", true), ("key.t == \"a\"", true), ("key contains \"u0061\"", true), ("key starts with \"{\"", true)]
        {
            assert_eq!(holds(query, &message), Ok(expected), "{query}");
        }
    }

    fn words() -> impl Strategy<Value = String> {
        "[a-cA-Cé0-3]{0,3}"
    }

    proptest! {
        #[test]
        fn needles_stand_in_the_raw_bytes_of_every_match(
            tree in crate::wire::json::tests::any_value(),
            inner in words(),
            wanted in words(),
            form in 0_usize..5,
        ) {
            let payload = json::compact(&Value::Array(vec![Value::Object(vec![("a".into(), Value::Text(inner.as_str().into()))]), tree]));
            if payload.contains('\\') {
                return Ok(());
            }
            let text = match form {
                0 => format!("\"{wanted}\""),
                1 => format!("value[0].a == \"{wanted}\""),
                2 => format!("value[0].a contains~ \"{wanted}\" or value[0].a starts with \"{wanted}\""),
                3 => format!("value contains \"{wanted}\" and value[0].a exists"),
                _ => format!("value[0].a in (\"{wanted}\", \"{inner}\")"),
            };
            let query = Query::parse(&text, &jiff::Zoned::now()).expect("a query");
            let message = message("k", payload.as_bytes());
            if query.matches(&MessageRecord::new(&message, &Decoder::default())) == Ok(true) {
                for group in query.needles() {
                    let found = group.iter().any(|needle| {
                        let pattern = &needle.pattern;
                        pattern.is_in(payload.as_bytes()) || (needle.place == Place::KeyOrPayload && pattern.is_in(b"k"))
                    });
                    prop_assert!(found, "{} {}", text, payload);
                }
            }
        }
    }
}
