//! Message → line.

use crate::domain::address::Address;
use crate::domain::message::{Header, Message};
use crate::domain::position::Position;
use crate::domain::text::{escape_json, is_hidden};
use crate::domain::time::Timestamp;
use crate::wire::detect::{Format, choose, read_as};
use crate::wire::json;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// One message as one line, without a line break; `prefer` is what the profile configures for its payloads.
pub fn write(address: &Address, message: &Message, prefer: &[Format]) -> String {
    let mut line = Line(String::from("{"));
    line.text("address", &address.to_string());
    match message.position {
        Position::Arrival(_) => line.field("position", "null"),
        position => line.text("position", &position.to_string()),
    }
    line.field("timestamp", &message.timestamp.map_or_else(null, timestamp));
    let (key, encoding) = bytes(message.key.as_deref());
    line.field("key", &key);
    line.field("key_encoding", encoding);
    let headers: Vec<String> = message.headers.iter().map(header).collect();
    line.field("headers", &format!("[{}]", headers.join(",")));
    match message.payload.as_deref() {
        None => {
            line.field("value", "null");
            line.field("encoding", "null");
            line.field("wire", "null");
        }
        Some(payload) => {
            let format = choose(payload, &message.headers, prefer).0;
            let shown = show(format, payload);
            line.field("value", &shown.value);
            line.field("encoding", shown.encoding);
            line.text("wire", format.id());
            if !shown.exact {
                line.text("raw", &STANDARD.encode(payload));
            }
        }
    }
    line.field("size", &message.size().to_string());
    line.0.push('}');
    escape_json(&line.0)
}

/// How a payload stands in a line.
pub(super) struct Shown {
    /// JSON text.
    pub(super) value: String,
    /// JSON text: `"json"`, `"text"`, `"base64"`.
    pub(super) encoding: &'static str,
    /// Whether value and encoding give the same bytes again.
    pub(super) exact: bool,
}

/// A payload in the fields `value` and `encoding`.
pub(super) fn show(format: Format, payload: &[u8]) -> Shown {
    let as_base64 = || Shown { value: quoted(&STANDARD.encode(payload)), encoding: BASE64, exact: true };
    match (format, std::str::from_utf8(payload)) {
        (Format::Json, Ok(text)) => match json::minify(text) {
            // The line takes the text as it is, and gives it back as it was.
            Ok(_) if stands_in_a_line(text) => Shown { value: text.to_owned(), encoding: JSON, exact: true },
            Ok(small) => Shown { value: small, encoding: JSON, exact: false },
            Err(_) => as_base64(),
        },
        (Format::Text, Ok(text)) => Shown { value: quoted(text), encoding: TEXT, exact: true },
        (Format::MessagePack | Format::Confluent, _) => match read_as(format, payload) {
            Ok(found) if found.understood => Shown { value: json::compact(&found.value), encoding: JSON, exact: false },
            _ => as_base64(),
        },
        _ => as_base64(),
    }
}

const JSON: &str = "\"json\"";
const TEXT: &str = "\"text\"";
const BASE64: &str = "\"base64\"";

/// White space around the text belongs to the bytes but not to a value in a line; hidden characters would be escaped.
fn stands_in_a_line(text: &str) -> bool {
    !text.starts_with(' ') && !text.ends_with(' ') && (text.bytes().all(|b| (0x20..0x7f).contains(&b)) || !text.chars().any(is_hidden))
}

fn header(header: &Header) -> String {
    let mut line = Line(String::from("{"));
    let (name, encoding) = bytes(Some(&header.name));
    line.field("name", &name);
    if encoding == BASE64 {
        line.field("name_encoding", encoding);
    }
    let (value, encoding) = bytes(header.value.as_deref());
    line.field("value", &value);
    line.field("encoding", encoding);
    line.0.push('}');
    line.0
}

/// Bytes of a key or a header with their encoding: text where they are UTF-8.
fn bytes(bytes: Option<&[u8]>) -> (String, &'static str) {
    match bytes.map(|bytes| std::str::from_utf8(bytes).map_err(|_| bytes)) {
        None => (null(), "null"),
        Some(Ok(text)) => (quoted(text), TEXT),
        Some(Err(bytes)) => (quoted(&STANDARD.encode(bytes)), BASE64),
    }
}

/// RFC 3339, or the number of milliseconds where that text would not give the same moment again.
fn timestamp(timestamp: Timestamp) -> String {
    let text = timestamp.to_string();
    if super::reader::moment(&text) == Some(timestamp) { quoted(&text) } else { timestamp.0.to_string() }
}

fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    json::push_text(&mut out, text);
    out
}

fn null() -> String {
    "null".to_owned()
}

/// An object that is being written.
struct Line(String);

impl Line {
    fn field(&mut self, name: &str, json: &str) {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        self.0.extend(["\"", name, "\":", json]);
    }

    fn text(&mut self, name: &str, text: &str) {
        self.field(name, &quoted(text));
    }
}
