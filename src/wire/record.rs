//! A message as queries see it: decoded when a query first asks.

use super::detect::{Format, Found, find};
use super::json;
use crate::domain::message::{Header, Message};
use crate::domain::query::{Record, Undecodable};
use crate::domain::time::Timestamp;
use crate::domain::value::Value;
use std::cell::OnceCell;

/// One message, with its payload and key decoded at most once.
pub struct MessageRecord<'a> {
    message: &'a Message,
    prefer: &'a [Format],
    payload: OnceCell<Option<Found>>,
    key: OnceCell<Option<Value>>,
}

impl<'a> MessageRecord<'a> {
    /// `prefer` is what the profile configures for the channel's payloads. The message must hold its whole payload.
    pub fn new(message: &'a Message, prefer: &'a [Format]) -> Self {
        Self { message, prefer, payload: OnceCell::new(), key: OnceCell::new() }
    }

    fn found(&self) -> Option<&Found> {
        let decode = || self.message.payload.as_deref().map(|bytes| find(bytes, &self.message.headers, self.prefer));
        self.payload.get_or_init(decode).as_ref()
    }
}

impl Record for MessageRecord<'_> {
    fn topic(&self) -> &str {
        &self.message.channel
    }

    fn partition(&self) -> Option<i32> {
        self.message.position.partition()
    }

    fn offset(&self) -> Option<i64> {
        self.message.position.number()
    }

    fn timestamp(&self) -> Option<Timestamp> {
        self.message.timestamp
    }

    fn size(&self) -> usize {
        self.message.size()
    }

    fn key(&self) -> Option<&[u8]> {
        self.message.key.as_deref()
    }

    fn headers(&self) -> &[Header] {
        &self.message.headers
    }

    fn payload(&self) -> Option<&[u8]> {
        self.message.payload.as_deref()
    }

    /// Bytes that no decoder understood, and data whose schema is not known, are undecodable. Bytes that somebody declared to be
    /// bytes would be as well: nothing can be said of what is in them.
    fn value(&self) -> Result<Option<&Value>, Undecodable> {
        match self.found() {
            Some(found) if !found.understood => Err(Undecodable),
            found => Ok(found.map(|found| &found.value)),
        }
    }

    fn key_value(&self) -> Option<&Value> {
        let decode = || self.message.key.as_deref().and_then(|key| json::read(key).ok()).map(|document| document.value);
        self.key.get_or_init(decode).as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::message::Stamp;
    use crate::domain::query::{Place, Query};
    use bytes::Bytes;
    use proptest::prelude::*;

    fn message(key: &'static str, payload: &[u8]) -> Message {
        Message {
            channel: "orders".into(),
            position: crate::domain::position::Position::Offset { partition: 3, offset: 1042 },
            timestamp: None,
            stamp: Stamp::Created,
            key: Some(key.into()),
            headers: Vec::new(),
            payload: Some(Bytes::copy_from_slice(payload)),
        }
    }

    fn holds(query: &str, message: &Message) -> Result<bool, Undecodable> {
        let query = Query::parse(query, &jiff::Zoned::now()).unwrap_or_else(|e| panic!("{query}: {e}"));
        query.matches(&MessageRecord::new(message, &[]))
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
            assert_eq!(holds("value.a == 1", &message), Err(Undecodable));
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
            if query.matches(&MessageRecord::new(&message, &[])) == Ok(true) {
                for group in query.needles() {
                    let found = group.iter().any(|needle| {
                        let pattern = crate::domain::query::Pattern::text(&needle.text, needle.any_case).expect("a text");
                        pattern.is_in(payload.as_bytes()) || (needle.place == Place::KeyOrPayload && pattern.is_in(b"k"))
                    });
                    prop_assert!(found, "{} {}", text, payload);
                }
            }
        }
    }
}
