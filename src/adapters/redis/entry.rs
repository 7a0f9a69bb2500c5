//! Stream entries as messages, and back.
//!
//! An entry is a list of fields. One of them carries the payload by convention (`data`, `payload`, …, or what the profile's
//! `payload_field` says); the others are headers, in their order. Without such a field the payload is a JSON object of all of them, or, where
//! some are no text, the first of these, so that an entry is never shown as if it were empty.
//!
//! Where that alone would not give the entry back as it was, a header [`MARK`] in front of the others says how: `*` makes a field of each
//! member of the payload, `2 temp` puts the payload into a field `temp` behind two others.

use super::value;
use crate::adapters::session::Handle;
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

/// The header that says where in an entry the payload stands.
pub(super) const MARK: &[u8] = b"redis-payload";

/// A field of an entry: its name and its value.
pub(super) type Pair = (Bytes, Bytes);

/// Where in an entry the payload stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Each member of it is a field.
    Spread,
    /// In a field of that name, behind so many others.
    Field(usize, Bytes),
}

impl Place {
    /// What a value of [`MARK`] says.
    fn parse(mark: &[u8]) -> Option<Self> {
        if mark == b"*" {
            return Some(Self::Spread);
        }
        let blank = mark.iter().position(|byte| *byte == b' ')?;
        let at = std::str::from_utf8(&mark[..blank]).ok()?.parse().ok()?;
        Some(Self::Field(at, Bytes::copy_from_slice(&mark[blank + 1..])))
    }

    fn header(&self) -> Header {
        let value = match self {
            Self::Spread => Bytes::from_static(b"*"),
            Self::Field(at, name) => [format!("{at} ").as_bytes(), name].concat().into(),
        };
        Header { name: Bytes::from_static(MARK), value: Some(value) }
    }

    /// The place that headers begin with, and the others.
    pub(super) fn split(headers: &[Header]) -> (Option<Self>, &[Header]) {
        let place = headers.first().filter(|header| header.name == MARK).and_then(|header| Self::parse(header.value.as_deref()?));
        let rest = if place.is_some() { &headers[1..] } else { headers };
        (place, rest)
    }
}

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

    /// By what a receiving settles the entry.
    pub(super) fn handle(self) -> Handle {
        Handle(u128::from(self.millis) << 64 | u128::from(self.number))
    }

    pub(super) fn held(Handle(handle): Handle) -> Self {
        Self { millis: (handle >> 64) as u64, number: handle as u64 }
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

    fn take(&self, mut fields: Vec<Pair>) -> (Vec<Header>, Option<Bytes>) {
        let of = |name: &str| fields.iter().position(|(field, _)| *field == name.as_bytes());
        let usual = match &self.payload {
            Some(name) => of(name),
            None => USUAL.iter().find_map(|name| of(name)),
        };
        let object = if usual.is_some() { None } else { object(&fields) };
        let (place, payload) = if let Some(object) = object {
            fields.clear();
            (Some(Place::Spread), Some(object))
        } else {
            let no_text = || fields.iter().position(|(_, value)| std::str::from_utf8(value).is_err()).unwrap_or(0);
            let at = usual.unwrap_or_else(no_text);
            // An entry has one field at least.
            let (name, payload) = if at < fields.len() { fields.remove(at) } else { (Bytes::new(), Bytes::new()) };
            // Publishing puts it there by itself.
            let expected = at == fields.len() && name == self.field().as_bytes() && fields.first().is_none_or(|(name, _)| name != MARK);
            ((!expected).then_some(Place::Field(at, name)), Some(payload))
        };
        let rest = fields.into_iter().map(|(name, value)| Header { name, value: Some(value) });
        (place.iter().map(Place::header).chain(rest).collect(), payload)
    }
}

/// The fields as a JSON object of texts, duplicates kept; `None` if one of them is not UTF-8.
fn object(fields: &[Pair]) -> Option<Bytes> {
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
    fn the_payload_is_the_usual_field_and_what_publishing_would_not_give_back_is_marked() {
        let read = |form: &Form, fields: &[(&[u8], &[u8])]| {
            let (id, message) = form.message(&"stream:jobs".into(), entry(fields)).expect("an entry");
            assert_eq!(id, Id { millis: 1_700_000_000_000, number: 7 });
            assert_eq!(message.timestamp, Some(Timestamp(1_700_000_000_000)));
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let marked =
                |h: &Header| if h.name == MARK { format!("={}", text(h.value.as_deref().unwrap_or_default())) } else { String::new() };
            let headers: Vec<String> = message.headers.iter().map(|h| format!("{}{}", text(&h.name), marked(h))).collect();
            (headers.join(" "), message.payload.map(|p| String::from_utf8_lossy(&p).into_owned()))
        };
        let own = Form { payload: Some("temp".into()) };
        let usual = Form::default();
        for (form, fields, headers, payload) in [
            (&usual, &[(&b"b"[..], &b"1"[..]), (b"a", b"2"), (b"b", b"3"), (b"data", b"x")][..], "b a b", Some("x")),
            (&usual, &[(b"b", b"1"), (b"data", b"x"), (b"a", b"2")], "redis-payload=1 data b a", Some("x")),
            (&usual, &[(b"value", b"v"), (b"payload", b"p")], "redis-payload=1 payload value", Some("p")),
            (
                &usual,
                &[(b"sensor", b"1"), (b"temp", b"19.8"), (b"temp", b"20")],
                "redis-payload=*",
                Some(r#"{"sensor":"1","temp":"19.8","temp":"20"}"#),
            ),
            (&usual, &[(b"a", b"1"), (b"raw", b"\xff")], "redis-payload=1 raw a", Some("\u{fffd}")),
            (&usual, &[(b"redis-payload", b"*"), (b"data", b"x")], "redis-payload=1 data redis-payload=*", Some("x")),
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
