//! Stream entries as messages, and back.
//!
//! An entry is a list of fields. One of them carries the payload by convention (`data`, `payload`, …, or what the profile's
//! `payload_field` says); the others are headers, in their order. Without such a field the payload is a JSON object of all of them, so that
//! an entry is never shown as if it were empty.

use super::value;
use crate::config::profile::Integration;
use crate::domain::fault::{Fault, Kind};
use crate::domain::message::{Header, Message, Stamp};
use crate::domain::position::Position;
use crate::domain::time::Timestamp;
use bytes::Bytes;
use redis::Value;
use std::fmt;
use std::sync::Arc;

/// Field names that carry a payload by convention, the first of them when publishing.
const USUAL: &[&str] = &["data", "payload", "value", "message", "body", "event"];

/// How entries are read.
#[derive(Clone, Debug, Default)]
pub(super) struct Form {
    /// The field that carries the payload; `None` takes the first usual one.
    payload: Option<Arc<str>>,
}

/// An entry's id: milliseconds and a number within them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Id {
    pub(super) millis: u64,
    pub(super) number: u64,
}

impl Id {
    pub(super) const FIRST: Self = Self { millis: 0, number: 0 };

    pub(super) fn parse(text: &str) -> Option<Self> {
        let (millis, number) = text.split_once('-').unwrap_or((text, "0"));
        Some(Self { millis: millis.parse().ok()?, number: number.parse().ok()? })
    }

    pub(super) fn of(value: &Value) -> Option<Self> {
        Self::parse(&value::text(value)?)
    }

    /// The smallest id behind this one.
    pub(super) fn next(self) -> Self {
        match self.number.checked_add(1) {
            Some(number) => Self { number, ..self },
            None => Self { millis: self.millis.saturating_add(1), number: 0 },
        }
    }

    /// The largest id before this one; the first has none.
    pub(super) fn previous(self) -> Option<Self> {
        match self.number.checked_sub(1) {
            Some(number) => Some(Self { number, ..self }),
            None => self.millis.checked_sub(1).map(|millis| Self { millis, number: u64::MAX }),
        }
    }

    pub(super) fn position(self) -> Position {
        Position::Entry { millis: self.millis, number: self.number }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.millis, self.number)
    }
}

impl Form {
    pub(super) fn of(integration: &Integration) -> Self {
        Self { payload: integration.settings.get("payload_field").map(|setting| setting.value.expose().into()) }
    }

    /// The name of the field that publishing puts the payload into.
    pub(super) fn field(&self) -> &str {
        self.payload.as_deref().unwrap_or(USUAL[0])
    }

    /// Reads `[id, [field, value, …]]` of a stream's answer.
    pub(super) fn message(&self, channel: &Arc<str>, entry: Value) -> Result<(Id, Message), Fault> {
        let strange = || Fault::new(Kind::Protocol, "read", &**channel, "the server's answer is not a list of entries");
        let mut parts = value::items(entry).into_iter();
        let id = parts.next().and_then(|id| Id::of(&id)).ok_or_else(strange)?;
        let mut fields = Vec::new();
        let mut words = value::items(parts.next().unwrap_or_default()).into_iter();
        while let (Some(name), Some(text)) = (words.next(), words.next()) {
            fields.push((value::bytes(name).ok_or_else(strange)?, value::bytes(text).ok_or_else(strange)?));
        }
        let (headers, payload) = self.take(fields);
        let timestamp = i64::try_from(id.millis).ok().map(Timestamp);
        let position = id.position();
        Ok((id, Message { channel: channel.clone(), position, timestamp, stamp: Stamp::Stored, key: None, headers, payload }))
    }

    fn take(&self, mut fields: Vec<(Bytes, Bytes)>) -> (Vec<Header>, Option<Bytes>) {
        let at = match &self.payload {
            Some(name) => fields.iter().position(|(field, _)| *field == name.as_bytes()),
            None => USUAL.iter().find_map(|name| fields.iter().position(|(field, _)| *field == name.as_bytes())),
        };
        let payload = match at {
            Some(at) => Some(fields.remove(at).1),
            None => object(&fields).inspect(|_| fields.clear()),
        };
        (fields.into_iter().map(|(name, value)| Header { name, value: Some(value) }).collect(), payload)
    }
}

/// The fields as a JSON object of texts, duplicates kept; `None` if one of them is not UTF-8: then they stay headers.
fn object(fields: &[(Bytes, Bytes)]) -> Option<Bytes> {
    let text = |bytes: &Bytes| std::str::from_utf8(bytes).ok().map(|text| serde_json::Value::from(text).to_string());
    let members: Option<Vec<String>> = fields.iter().map(|(name, value)| Some(format!("{}:{}", text(name)?, text(value)?))).collect();
    Some(format!("{{{}}}", members?.join(",")).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(fields: &[(&[u8], &[u8])]) -> Value {
        let bulk = |bytes: &[u8]| Value::BulkString(bytes.to_vec());
        let words = fields.iter().flat_map(|(name, value)| [bulk(name), bulk(value)]).collect();
        Value::Array(vec![bulk(b"1700000000000-7"), Value::Array(words)])
    }

    #[test]
    fn the_payload_is_the_usual_field_and_the_rest_are_headers_in_order() {
        let read = |form: &Form, fields: &[(&[u8], &[u8])]| {
            let (id, message) = form.message(&"stream:jobs".into(), entry(fields)).expect("an entry");
            assert_eq!(id, Id { millis: 1_700_000_000_000, number: 7 });
            assert_eq!(message.timestamp, Some(Timestamp(1_700_000_000_000)));
            let headers: Vec<String> = message.headers.iter().map(|h| String::from_utf8_lossy(&h.name).into_owned()).collect();
            (headers.join(" "), message.payload.map(|p| String::from_utf8_lossy(&p).into_owned()))
        };
        let own = Form { payload: Some("temp".into()) };
        let usual = Form::default();
        for (form, fields, headers, payload) in [
            (&usual, &[(&b"b"[..], &b"1"[..]), (b"data", b"x"), (b"a", b"2"), (b"b", b"3")][..], "b a b", Some("x")),
            (&usual, &[(b"value", b"v"), (b"payload", b"p")], "value", Some("p")),
            (&usual, &[(b"sensor", b"1"), (b"temp", b"19.8"), (b"temp", b"20")], "", Some(r#"{"sensor":"1","temp":"19.8","temp":"20"}"#)),
            (&usual, &[(b"raw", b"\xff")], "raw", None),
            (&own, &[(b"sensor", b"1"), (b"temp", b"19.8")], "sensor", Some("19.8")),
        ] {
            assert_eq!(read(form, fields), (headers.to_owned(), payload.map(str::to_owned)));
        }
    }

    #[test]
    fn ids_have_neighbours() {
        for (id, next, previous) in [("5-0", "5-1", Some("4-18446744073709551615")), ("5-3", "5-4", Some("5-2")), ("0-0", "0-1", None)] {
            let id = Id::parse(id).expect("an id");
            assert_eq!(id.next().to_string(), next);
            assert_eq!(id.previous().map(|id| id.to_string()).as_deref(), previous);
        }
        assert_eq!(Id::parse("7"), Some(Id { millis: 7, number: 0 }));
        assert_eq!(Id::parse("x-1"), None);
    }
}
