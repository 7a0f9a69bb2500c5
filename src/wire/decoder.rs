//! `Decoder`: what a payload is, by configuration first, then by its content-type header, then by looking at it; and what it says.

use super::{confluent, json, messagepack, text};
pub use crate::domain::format::Format;
use crate::domain::message::Header;
use crate::domain::text::SafeText;
use crate::domain::value::Value;
use crate::domain::view::Decoded;
use bytes::Bytes;
use std::sync::Arc;

/// Of foreign words a note repeats this many characters.
const LONGEST_NOTE: usize = 120;

/// A payload that was read, before it is made ready for the eye.
#[derive(Clone, Debug)]
pub struct Found {
    pub format: Format,
    /// `by configuration`, `by header content-type: …`, `by content`.
    pub why: String,
    pub value: Value,
    pub notes: Vec<String>,
    /// Whether `value` shows everything there is; a schema that was not looked up hides the rest.
    pub understood: bool,
}

/// Reads the payloads of a channel. Cheap to clone. What it knows of a channel beforehand is in here, and nowhere in its callers.
#[derive(Clone, Debug, Default)]
pub struct Decoder {
    /// What is tried before anything else, in this order.
    prefer: Arc<[Format]>,
}

impl Decoder {
    /// `prefer` is what the profile says that the payloads are.
    pub fn new(prefer: &[Format]) -> Self {
        Self { prefer: prefer.into() }
    }

    /// Decodes a payload for the detail pane.
    pub fn decode(&self, payload: Option<&[u8]>, headers: &[Header]) -> Decoded {
        let Some(bytes) = payload else {
            return Decoded { format: "nothing", why: SafeText::new("there is no payload"), value: None, notes: Vec::new() };
        };
        let found = self.find(bytes, headers);
        Decoded {
            format: found.format.title(),
            why: found.why.into(),
            value: Some(found.value),
            notes: found.notes.into_iter().map(SafeText::from).collect(),
        }
    }

    /// Finds the format of a payload and reads it. Never fails: what nothing else can read is bytes.
    pub fn find(&self, bytes: &[u8], headers: &[Header]) -> Found {
        self.find_declared(bytes, declared(headers))
    }

    /// The same where the content type is known.
    pub(super) fn find_declared(&self, bytes: &[u8], declared: Option<Declared>) -> Found {
        let (format, why, mut notes) = self.choose_declared(bytes, declared);
        let mut found = read_as(format, bytes).unwrap_or_else(|_| undecoded(bytes));
        if format == Format::Text && why == BY_CONTENT && json::is_too_deep(bytes) {
            // Nothing of what is in it can be told: to a query it is not the text that it is shown as.
            found.understood = false;
            let depth = json::MAX_DEPTH;
            notes = vec![format!("this is JSON, nested deeper than {depth} arrays and objects: it is shown as text, and not decoded")];
        }
        found.why = if found.why.is_empty() { why } else { format!("{why}: {}", found.why) };
        notes.append(&mut found.notes);
        found.notes = notes;
        found
    }

    /// Which format it is, without building a tree: the format, why, and what was tried in vain.
    pub fn choose(&self, bytes: &[u8], headers: &[Header]) -> (Format, String, Vec<String>) {
        self.choose_declared(bytes, declared(headers))
    }

    fn choose_declared(&self, bytes: &[u8], declared: Option<Declared>) -> (Format, String, Vec<String>) {
        for format in &*self.prefer {
            if is(*format, bytes, Trust::Declared) {
                return (*format, "by configuration".to_owned(), Vec::new());
            }
        }
        let mut notes = Vec::new();
        if let Some(Declared { format, words }) = declared {
            let words = SafeText::new(&words);
            if is(format, bytes, Trust::Declared) {
                return (format, format!("by header content-type: {words}"), notes);
            }
            notes.push(format!("the header content-type says {words}, but the payload is not {}", format.title()));
        }
        let format = Format::ALL.into_iter().find(|format| is(*format, bytes, Trust::Guess)).unwrap_or(Format::Bytes);
        (format, BY_CONTENT.to_owned(), notes)
    }

    /// Whether the profile says what the payloads are.
    pub(super) fn is_configured(&self) -> bool {
        !self.prefer.is_empty()
    }
}

/// What a content-type header says that a payload is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Declared {
    pub(super) format: Format,
    /// In its own words.
    words: String,
}

/// Whether configuration or a header declares what a payload is, or it has to convince by itself.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trust {
    Declared,
    Guess,
}

/// Whether the bytes can be read as the format.
fn is(format: Format, bytes: &[u8], trust: Trust) -> bool {
    match format {
        Format::Json => json::is_valid(bytes),
        Format::MessagePack => (trust == Trust::Declared || messagepack::opens_collection(bytes)) && messagepack::read(bytes).is_ok(),
        Format::Confluent => match trust {
            Trust::Declared => confluent::read(bytes).is_some(),
            Trust::Guess => confluent::detect(bytes).is_some(),
        },
        Format::Text => match trust {
            Trust::Declared => std::str::from_utf8(bytes).is_ok(),
            Trust::Guess => text::read(bytes).is_some(),
        },
        Format::Bytes => true,
    }
}

/// Reads a payload as one format; the error says why it is not that.
pub fn read_as(format: Format, bytes: &[u8]) -> Result<Found, String> {
    let found = |value, why, notes, understood| Found { format, why, value, notes, understood };
    match format {
        Format::Json => {
            let document = json::read(bytes).map_err(|e| e.to_string())?;
            let notes = json_notes(&document);
            Ok(found(document.value, String::new(), notes, true))
        }
        Format::MessagePack => {
            let document = messagepack::read(bytes).map_err(|e| e.to_string())?;
            let mut notes: Vec<String> = document.notes.iter().map(|note| (*note).to_owned()).collect();
            if document.duplicate_keys {
                notes.push("duplicate keys".to_owned());
            }
            Ok(found(document.value, String::new(), notes, true))
        }
        Format::Confluent => {
            let framed = confluent::read(bytes).ok_or("the payload does not start with a zero byte and a schema id")?;
            let why = format!("Confluent wire format, schema id {}", framed.schema_id);
            // JSON Schema's data is plain JSON; every other kind needs its schema.
            if let Ok(document) = json::read(framed.data) {
                let notes = json_notes(&document);
                return Ok(found(document.value, why, notes, true));
            }
            let note = format!("{why}, not decoded: no schema registry is configured");
            Ok(found(Value::Bytes(Bytes::copy_from_slice(framed.data)), why, vec![note], false))
        }
        Format::Text => {
            let text = std::str::from_utf8(bytes).map_err(|_| "the payload is not UTF-8 text")?;
            Ok(found(Value::Text(text.into()), String::new(), Vec::new(), true))
        }
        Format::Bytes => Ok(undecoded(bytes)),
    }
}

fn undecoded(bytes: &[u8]) -> Found {
    let value = Value::Bytes(Bytes::copy_from_slice(bytes));
    Found { format: Format::Bytes, why: String::new(), value, notes: Vec::new(), understood: false }
}

fn json_notes(document: &json::Document) -> Vec<String> {
    let mut notes = Vec::new();
    if !document.duplicate_keys.is_empty() {
        let names: String = document.duplicate_keys.join(", ").chars().take(LONGEST_NOTE).collect();
        notes.push(format!("duplicate keys: {names}"));
    }
    if document.lone_surrogates > 0 {
        notes.push(format!("{} escaped surrogates without their other half are shown as U+FFFD", document.lone_surrogates));
    }
    notes
}

fn declared(headers: &[Header]) -> Option<Declared> {
    let header = headers.iter().find(|header| is_content_type(&header.name))?;
    declared_by(header.value.as_deref())
}

/// Whether a header of this name says what the payload is.
pub(super) fn is_content_type(name: &[u8]) -> bool {
    // Most names are told by their length; with dashes left out it is eleven letters.
    let letters = || name.iter().filter(|b| !matches!(b, b'-' | b'_')).map(u8::to_ascii_lowercase);
    name.len() >= CONTENT_TYPE.len() && letters().eq(CONTENT_TYPE.iter().copied())
}

/// Nobody said what it is.
const BY_CONTENT: &str = "by content";
const CONTENT_TYPE: &[u8] = b"contenttype";

/// The format that a content-type names. `application/octet-stream` says nothing: frameworks write it on everything.
pub(super) fn declared_by(value: Option<&[u8]>) -> Option<Declared> {
    let words = std::str::from_utf8(value?).ok()?;
    // Some frameworks write header values as JSON texts.
    let kind = words.trim_matches(|c: char| c == '"' || c.is_whitespace()).split(';').next()?.trim().to_ascii_lowercase();
    let format = match kind.as_str() {
        "application/json" | "text/json" => Format::Json,
        other if other.ends_with("+json") => Format::Json,
        "application/msgpack" | "application/x-msgpack" | "application/vnd.msgpack" | "application/messagepack" => Format::MessagePack,
        other if other.starts_with("text/") => Format::Text,
        _ => return None,
    };
    Some(Declared { format, words: words.chars().take(LONGEST_NOTE).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn header(name: &str, value: &str) -> Header {
        Header { name: name.to_owned().into(), value: Some(value.to_owned().into()) }
    }

    fn shown(payload: &[u8], headers: &[Header], prefer: &[Format]) -> (&'static str, String) {
        let decoded = Decoder::new(prefer).decode(Some(payload), headers);
        (decoded.format, decoded.why.to_string())
    }

    #[test]
    fn content_decides_where_nobody_said_anything() {
        for (payload, format) in [
            (&b"{\"a\":1}"[..], "JSON"),
            (b" [1] ", "JSON"),
            (b"12", "JSON"),
            (b"\"x\"", "JSON"),
            (b"plain words", "text"),
            (b"{\"a\":1", "text"),
            (b"", "text"),
            (&[0x81, 0xa1, b'a', 1], "MessagePack"),
            (&[0x81, 0xa1, b'a', 1, 2], "bytes"),
            (&[0xa1, 0xff], "bytes"),
            (&[0, 0, 0, 0, 17, 6, b'a', b'b', b'c'], "Confluent"),
            (&[0, 0, 0, 0, 0, 0, 0, 42], "bytes"),
            (&[0xff, 0xfe], "bytes"),
        ] {
            assert_eq!(shown(payload, &[], &[]), (format, expected_why(format)), "{payload:?}");
        }
    }

    fn expected_why(format: &str) -> String {
        match format {
            "Confluent" => "by content: Confluent wire format, schema id 17".to_owned(),
            _ => "by content".to_owned(),
        }
    }

    #[test]
    fn configuration_comes_before_headers_and_headers_before_content() {
        let json = header("Content-Type", "application/json; charset=utf-8");
        for (payload, headers, prefer, format, why) in [
            (&b"5"[..], &[][..], &[Format::MessagePack][..], "MessagePack", "by configuration"),
            (b"5", &[], &[Format::Text, Format::Json], "text", "by configuration"),
            (b"5 apples", &[], &[Format::MessagePack], "text", "by content"),
            (b"{}", std::slice::from_ref(&json), &[Format::Text], "text", "by configuration"),
            (b"{}", std::slice::from_ref(&json), &[], "JSON", "by header content-type: application/json; charset=utf-8"),
            (b"5", &[header("contentType", "\"text/plain\"")], &[], "text", "by header content-type: \"text/plain\""),
            (
                b"\x05",
                &[header("content_type", "application/x-msgpack")],
                &[],
                "MessagePack",
                "by header content-type: application/x-msgpack",
            ),
            (
                b"{}",
                &[header("content-type", "application/cloudevents+json")],
                &[],
                "JSON",
                "by header content-type: application/cloudevents+json",
            ),
            (b"{}", &[header("content-type", "application/octet-stream")], &[], "JSON", "by content"),
        ] {
            assert_eq!(shown(payload, headers, prefer), (format, why.to_owned()), "{payload:?}");
        }
        let decoded = Decoder::default().decode(Some(b"no json"), &[json]);
        assert_eq!(decoded.format, "text");
        assert_eq!(decoded.notes[0].as_str(), "the header content-type says application/json; charset=utf-8, but the payload is not JSON");
    }

    #[test]
    fn what_the_reader_should_know_is_noted() {
        let notes = |payload: &[u8]| {
            Decoder::default().decode(Some(payload), &[]).notes.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
        };
        assert_eq!(
            notes(br#"{"a":1,"a":2,"b":"\ud800"}"#),
            "duplicate keys: a; 1 escaped surrogates without their other half are shown as U+FFFD"
        );
        assert_eq!(notes(b"{\"\x1b[2J\":1}"), "");
        assert_eq!(notes(b"{\"\\u001b\":1,\"\\u001b\":1}"), "duplicate keys: ‹ESC›");
        assert_eq!(notes(&[0, 0, 0, 0, 17, 1]), "Confluent wire format, schema id 17, not decoded: no schema registry is configured");
        assert_eq!(notes(&[0x82, 0xa1, b'a', 1, 0xa1, b'a', 2]), "duplicate keys");
    }

    #[test]
    fn json_that_is_nested_too_deep_is_shown_and_not_taken_for_words() {
        let nested = |depth: usize| [vec![b'['; depth], vec![b']'; depth]].concat();
        let deep = Decoder::default().find(&nested(129), &[]);
        assert_eq!((deep.format, deep.understood, deep.notes.len()), (Format::Text, false, 1));
        let json = header("content-type", "application/json");
        let told = Decoder::default().find(&nested(5_000), &[json]);
        assert_eq!((told.understood, told.notes), (false, deep.notes), "one note, and not that it is no JSON");
        for (payload, understood) in [(nested(128), true), (vec![b'['; 128], true), ([nested(129), b"x".to_vec()].concat(), false)] {
            assert_eq!(Decoder::default().find(&payload, &[]).understood, understood);
        }
        assert!(Decoder::new(&[Format::Text]).find(&nested(129), &[]).understood, "the profile says that it is text");
    }

    #[test]
    fn a_frame_is_taken_off_json_and_off_what_cannot_be_decoded() {
        let value = |payload: &[u8]| Decoder::default().decode(Some(payload), &[]).value.expect("a value");
        assert_eq!(value(b"\0\0\0\0\x11{\"a\":1}"), Value::Object(vec![("a".into(), Value::Number("1".into()))]));
        assert_eq!(value(&[0, 0, 0, 0, 17, 1, 2]), Value::Bytes(Bytes::from_static(&[1, 2])));
    }

    #[test]
    fn a_missing_payload_is_not_an_empty_one() {
        assert_eq!(Decoder::new(&[Format::Json]).decode(None, &[]).value, None);
        assert_eq!(Decoder::default().decode(Some(b""), &[]).value, Some(Value::Text("".into())));
    }

    #[test]
    fn formats_are_read_by_their_ids() {
        for format in Format::ALL {
            assert_eq!(format.id().parse(), Ok(format));
        }
        assert_eq!("msgpack".parse(), Ok(Format::MessagePack));
        assert!("yaml".parse::<Format>().is_err());
    }

    proptest! {
        #[test]
        fn anything_is_decoded_and_the_choice_is_what_is_read(
            payload in prop::collection::vec(any::<u8>(), 0..40),
            prefer in prop::sample::subsequence(Format::ALL.to_vec(), 0..3),
        ) {
            let found = Decoder::new(&prefer).find(&payload, &[]);
            prop_assert_eq!(found.format, Decoder::new(&prefer).choose(&payload, &[]).0);
        }
    }
}
