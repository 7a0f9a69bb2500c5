//! Line → message to publish.

use super::writer::{moment, show};
use super::{FIELDS, SEEN};
use crate::domain::fault::{Fault, Kind};
use crate::domain::message::{Header, Outgoing};
use crate::domain::text::SafeText;
use crate::domain::time::Timestamp;
use crate::wire::decoder::{Decoder, Format};
use crate::wire::json::{self, Member};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use std::fmt;

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineError {
    /// The field, `headers[2].value` for one inside; empty if it is the line as a whole.
    pub field: SafeText,
    pub cause: SafeText,
}

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.field.as_str().is_empty() { self.cause.fmt(f) } else { write!(f, "`{}`: {}", self.field, self.cause) }
    }
}

impl std::error::Error for LineError {}

impl From<LineError> for Fault {
    fn from(error: LineError) -> Self {
        Self::new(Kind::Usage, "read the line", "", error.to_string())
    }
}

fn wrong(field: &str, cause: impl Into<SafeText>) -> LineError {
    LineError { field: field.into(), cause: cause.into() }
}

/// Reads a line that [`write`](super::write) made, perhaps edited since, or that was written by hand: `{"key":"a","value":{"x":1}}`.
///
/// Where no encoding is given, a string is text, `null` is missing and everything else is JSON, taken as it is written. `address`,
/// `position`, `size`, `redelivered` and `deliveries` are not looked at; an unknown field is an error, so that a slip of the pen is not published.
pub fn read(line: &[u8]) -> Result<Outgoing, LineError> {
    let text = std::str::from_utf8(line).map_err(|e| wrong("", format!("the line is not UTF-8 at byte {}", e.valid_up_to())))?;
    let members = json::members(text).map_err(|e| wrong("", format!("the line is not a JSON object: {e}")))?;
    let fields = Fields::check("", &members, &FIELDS)?;
    Ok(Outgoing {
        key: fields.content("key", "key_encoding")?,
        headers: fields.get("headers").map_or_else(|| Ok(Vec::new()), headers)?,
        payload: payload(&fields)?,
        // When it was seen is nothing that it said of itself.
        timestamp: match fields.get("timestamp_type") {
            Some(kind) if string("timestamp_type", kind)? == SEEN => None,
            _ => fields.get("timestamp").map_or(Ok(None), timestamp)?,
        },
        options: Vec::new(),
    })
}

/// The members of an object whose names are known and stand once.
struct Fields<'a> {
    inside: &'a str,
    members: &'a [Member<'a>],
}

impl<'a> Fields<'a> {
    fn check(inside: &'a str, members: &'a [Member<'a>], known: &[&str]) -> Result<Self, LineError> {
        let fields = Self { inside, members };
        for (index, member) in members.iter().enumerate() {
            if !known.contains(&member.name.as_str()) {
                return Err(wrong(&fields.path(&member.name), format!("there is no such field; the fields are {}", known.join(", "))));
            }
            if members[..index].iter().any(|earlier| earlier.name == member.name) {
                return Err(wrong(&fields.path(&member.name), "the field stands twice"));
            }
        }
        Ok(fields)
    }

    fn path(&self, name: &str) -> String {
        if self.inside.is_empty() { name.to_owned() } else { format!("{}.{name}", self.inside) }
    }

    fn get(&self, name: &str) -> Option<&'a str> {
        self.members.iter().find(|member| member.name == name).map(|member| member.value)
    }

    /// A field that holds a string or `null`.
    fn string(&self, name: &str) -> Result<Option<String>, LineError> {
        match self.get(name) {
            None | Some("null") => Ok(None),
            Some(json) => string(&self.path(name), json).map(Some),
        }
    }

    fn encoding(&self, name: &str) -> Result<Option<Encoding>, LineError> {
        Ok(match self.string(name)?.as_deref() {
            None => None,
            Some("json") => Some(Encoding::Json),
            Some("text") => Some(Encoding::Text),
            Some("base64") => Some(Encoding::Base64),
            Some(other) => return Err(wrong(&self.path(name), format!("`{other}` is not an encoding: write json, text or base64"))),
        })
    }

    /// The bytes that a field means together with its encoding.
    fn content(&self, name: &str, encoding: &str) -> Result<Option<Bytes>, LineError> {
        let encoding = self.encoding(encoding)?;
        self.get(name).map_or(Ok(None), |json| encode(&self.path(name), json, encoding))
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Json,
    Text,
    Base64,
}

fn encode(field: &str, json: &str, encoding: Option<Encoding>) -> Result<Option<Bytes>, LineError> {
    let encoding = match encoding {
        // JSON has a null of its own; everywhere else it is what is missing.
        None | Some(Encoding::Text | Encoding::Base64) if json == "null" => return Ok(None),
        Some(encoding) => encoding,
        None if json.starts_with('"') => Encoding::Text,
        None => Encoding::Json,
    };
    match encoding {
        Encoding::Json => Ok(Some(Bytes::copy_from_slice(json.as_bytes()))),
        Encoding::Text => string(field, json).map(|text| Some(text.into())),
        Encoding::Base64 => base64(field, &string(field, json)?).map(Some),
    }
}

fn string(field: &str, json: &str) -> Result<String, LineError> {
    let Ok(Some(json::Token::Text(quoted))) = json::Reader::new(json).token() else {
        return Err(wrong(field, "a string was expected"));
    };
    match quoted.resolve() {
        (text, 0) => Ok(text.into_owned()),
        _ => Err(wrong(field, "an escaped surrogate lacks its other half")),
    }
}

fn base64(field: &str, text: &str) -> Result<Bytes, LineError> {
    STANDARD.decode(text).map(Bytes::from).map_err(|e| wrong(field, format!("not base64 (RFC 4648 section 4): {e}")))
}

fn payload(fields: &Fields<'_>) -> Result<Option<Bytes>, LineError> {
    let wire: Option<Format> = fields.string("wire")?.map(|text| text.parse().map_err(|e: String| wrong("wire", e))).transpose()?;
    let encoding = fields.encoding("encoding")?;
    let raw = fields.string("raw")?.map(|text| base64("raw", &text)).transpose()?;
    let Some(value) = fields.get("value") else {
        return match raw {
            Some(raw) => Ok(Some(raw)),
            None => Err(wrong("value", "the field is missing; write null to publish a message without a payload")),
        };
    };
    let edited = match raw {
        Some(raw) => {
            let format = wire.unwrap_or_else(|| Decoder::default().choose(&raw, &[]).0);
            if shows(&raw, format, value) {
                return Ok(Some(raw));
            }
            Some(format)
        }
        None => wire,
    };
    if let Some(format @ (Format::MessagePack | Format::Confluent)) = edited
        && encoding != Some(Encoding::Base64)
        && (encoding.is_some() || value != "null")
    {
        let cause = format!(
            "{} cannot be encoded; publish the bytes of `raw` with the value they decode to, or leave out `raw` and `wire`",
            format.title()
        );
        return Err(wrong("value", cause));
    }
    encode("value", value, encoding)
}

/// Whether `value` still is what a payload is shown as.
fn shows(raw: &[u8], format: Format, value: &str) -> bool {
    let shown = show(format, raw).value;
    if json::minify(value).is_ok_and(|value| value == shown) {
        return true;
    }
    // Other programs write the same JSON with other escapes. Where a character cannot be told from another, only the same text is the same.
    match (json::read_text(&shown), json::read_text(value)) {
        (Ok(shown), Ok(value)) => shown.lone_surrogates == 0 && shown == value,
        _ => false,
    }
}

fn headers(json: &str) -> Result<Vec<Header>, LineError> {
    if json == "null" {
        return Ok(Vec::new());
    }
    if let Ok(members) = json::members(json) {
        let each = |member: Member<'_>| {
            let value = encode(&format!("headers.{}", member.name), member.value, None)?;
            Ok(Header { name: member.name.into(), value })
        };
        return members.into_iter().map(each).collect();
    }
    let items =
        json::items(json).map_err(|_| wrong("headers", "an array of {\"name\",\"value\",\"encoding\"} or an object was expected"))?;
    items.into_iter().enumerate().map(|(index, item)| header(&format!("headers[{index}]"), item)).collect()
}

fn header(inside: &str, json: &str) -> Result<Header, LineError> {
    let members = json::members(json).map_err(|_| wrong(inside, "an object with name, value and encoding was expected"))?;
    let fields = Fields::check(inside, &members, &["name", "name_encoding", "value", "encoding"])?;
    let name = fields.content("name", "name_encoding")?.ok_or_else(|| wrong(&fields.path("name"), "the field is missing"))?;
    Ok(Header { name, value: fields.content("value", "encoding")? })
}

/// Text of RFC 3339, milliseconds since 1970, or `null`.
fn timestamp(json: &str) -> Result<Option<Timestamp>, LineError> {
    let what = "a time of RFC 3339 with its zone, a whole number of milliseconds since 1970, or null was expected";
    if json == "null" {
        return Ok(None);
    }
    let read = if json.starts_with('"') { moment(&string("timestamp", json)?) } else { json.parse().ok().map(Timestamp) };
    read.map(Some).ok_or_else(|| wrong("timestamp", what))
}
