//! Message → line.

use super::SEEN;
use crate::domain::address::Address;
use crate::domain::delivery::Delivery;
use crate::domain::message::{Header, Message, Stamp};
use crate::domain::position::Position;
use crate::domain::text::{escape_json, is_hidden, is_printable_ascii};
use crate::domain::time::Timestamp;
use crate::wire::decoder::{Decoder, Format, read_as};
use crate::wire::json;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::borrow::Cow;
use std::fmt::{Display, Write};

/// One message as one line, without a line break; `decoder` reads the payloads of its channel.
pub fn write(address: &Address, message: &Message, decoder: &Decoder) -> String {
    let size = message.size();
    // The other fields of a usual message take no more than this.
    let mut line = Line(String::with_capacity(320 + size + size / 4));
    line.0.push('{');
    line.text("address", &address.to_string());
    match message.position {
        Position::Arrival(_) => line.field("position", NULL),
        // No position has a character that would be escaped.
        position => line.shown("position", format_args!("\"{position}\"")),
    }
    match message.timestamp {
        None => line.field("timestamp", NULL),
        Some(timestamp) if is_told_by_text(timestamp) => line.shown("timestamp", format_args!("\"{timestamp}\"")),
        Some(timestamp) => line.shown("timestamp", timestamp.0),
    }
    if message.stamp == Stamp::Seen && message.timestamp.is_some() {
        line.text("timestamp_type", SEEN);
    }
    let encoding = line.bytes("key", message.key.as_deref());
    line.field("key_encoding", encoding);
    line.name("headers");
    line.headers(&message.headers);
    match message.payload.as_deref() {
        None => {
            line.field("value", NULL);
            line.field("encoding", NULL);
            line.field("wire", NULL);
        }
        Some(payload) => {
            let format = decoder.choose(payload, &message.headers).0;
            let shown = show_chosen(format, payload);
            line.field("value", &shown.value);
            line.field("encoding", shown.encoding);
            line.text("wire", format.id());
            if !shown.exact {
                line.text("raw", &STANDARD.encode(payload));
            }
        }
    }
    line.shown("size", size);
    line.0.push('}');
    if is_printable_ascii(&line.0) { line.0 } else { escape_json(&line.0) }
}

/// The same for one that was received or looked at, with whether somebody had it before.
pub fn write_delivery(address: &Address, delivery: &Delivery, decoder: &Decoder) -> String {
    let mut line = Line(write(address, &delivery.message, decoder));
    line.0.pop();
    line.shown("redelivered", delivery.redelivered);
    match delivery.deliveries {
        Some(times) => line.shown("deliveries", times),
        None => line.field("deliveries", NULL),
    }
    line.0.push('}');
    line.0
}

/// How a payload stands in a line.
pub(super) struct Shown<'a> {
    /// JSON text.
    pub(super) value: Cow<'a, str>,
    /// JSON text: `"json"`, `"text"`, `"base64"`.
    pub(super) encoding: &'static str,
    /// Whether value and encoding give the same bytes again.
    pub(super) exact: bool,
}

/// A payload in the fields `value` and `encoding`, as whatever somebody says that it is.
pub(super) fn show(format: Format, payload: &[u8]) -> Shown<'_> {
    if format == Format::Json && !json::is_valid(payload) {
        return base64(payload);
    }
    show_chosen(format, payload)
}

fn base64(payload: &[u8]) -> Shown<'_> {
    Shown { value: quoted(&STANDARD.encode(payload)).into(), encoding: BASE64, exact: true }
}

/// The same for a format that was found to fit.
fn show_chosen(format: Format, payload: &[u8]) -> Shown<'_> {
    match (format, std::str::from_utf8(payload)) {
        // The line takes the text as it is, and gives it back as it was.
        (Format::Json, Ok(text)) if stands_in_a_line(text) => Shown { value: text.into(), encoding: JSON, exact: true },
        (Format::Json, Ok(text)) => match json::minify(text) {
            Ok(small) => Shown { value: small.into(), encoding: JSON, exact: false },
            Err(_) => base64(payload),
        },
        (Format::Text, Ok(text)) => Shown { value: quoted(text).into(), encoding: TEXT, exact: true },
        (Format::MessagePack | Format::Confluent, _) => match read_as(format, payload) {
            Ok(found) if found.understood => Shown { value: json::compact(&found.value).into(), encoding: JSON, exact: false },
            _ => base64(payload),
        },
        _ => base64(payload),
    }
}

const NULL: &str = "null";
const JSON: &str = "\"json\"";
const TEXT: &str = "\"text\"";
const BASE64: &str = "\"base64\"";

/// White space around the text belongs to the bytes but not to a value in a line; hidden characters would be escaped.
fn stands_in_a_line(text: &str) -> bool {
    !text.starts_with(' ') && !text.ends_with(' ') && (is_printable_ascii(text) || !text.chars().any(is_hidden))
}

/// A moment that a text names exactly.
pub(super) fn moment(text: &str) -> Option<Timestamp> {
    text.parse::<jiff::Timestamp>().ok().map(|instant| Timestamp(instant.as_millisecond()))
}

/// Whether the text of a moment (RFC 3339) gives the same moment again; else the number of its milliseconds is written.
fn is_told_by_text(timestamp: Timestamp) -> bool {
    timestamp.has_usual_year() || moment(&timestamp.to_string()) == Some(timestamp)
}

fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    json::push_text(&mut out, text);
    out
}

/// An object that is being written.
struct Line(String);

impl Line {
    fn name(&mut self, name: &str) {
        let first = self.0.ends_with('{');
        self.0.extend([if first { "\"" } else { ",\"" }, name, "\":"]);
    }

    fn field(&mut self, name: &str, json: &str) {
        self.name(name);
        self.0.push_str(json);
    }

    /// A field that is JSON as it is shown.
    fn shown(&mut self, name: &str, json: impl Display) {
        self.name(name);
        // Writing to memory cannot fail.
        let _ = write!(self.0, "{json}");
    }

    fn text(&mut self, name: &str, text: &str) {
        self.name(name);
        json::push_text(&mut self.0, text);
    }

    /// The bytes of a key or a header, text where they are UTF-8; their encoding.
    fn bytes(&mut self, name: &str, bytes: Option<&[u8]>) -> &'static str {
        match bytes.map(|bytes| std::str::from_utf8(bytes).map_err(|_| bytes)) {
            None => {
                self.field(name, NULL);
                NULL
            }
            Some(Ok(text)) => {
                self.text(name, text);
                TEXT
            }
            Some(Err(bytes)) => {
                self.text(name, &STANDARD.encode(bytes));
                BASE64
            }
        }
    }

    fn headers(&mut self, headers: &[Header]) {
        self.0.push('[');
        for (index, header) in headers.iter().enumerate() {
            self.0.push_str(if index > 0 { ",{" } else { "{" });
            if self.bytes("name", Some(&header.name)) == BASE64 {
                self.field("name_encoding", BASE64);
            }
            let encoding = self.bytes("value", header.value.as_deref());
            self.field("encoding", encoding);
            self.0.push('}');
        }
        self.0.push(']');
    }
}
