//! What the publish form holds: key, headers, value and the fields of its system.

use crate::app::editor::Editor;
use crate::app::effect::TaskId;
use crate::app::fields::Fields;
use crate::app::headers;
use crate::domain::address::Address;
use crate::domain::message::Outgoing;
use crate::domain::operation::{Field, PublishSpec};
use crate::domain::text::is_hidden;
use crate::domain::time::parse_moment;
use crate::domain::view::MessageView;
use bytes::Bytes;
use crossterm::event::KeyEvent;
use jiff::Zoned;

/// What the form of a call asks.
const CALL_SPEC: PublishSpec = PublishSpec { key: false, tombstone: false, timestamp: false, fields: CALL_FIELDS };
const CALL_FIELDS: &[Field] = &[Field::number("wait", "Wait", "seconds that replies are waited for; 5 if empty", 1, 3_600)];

/// The form.
pub struct Form {
    pub address: Address,
    pub spec: &'static PublishSpec,
    /// The message it was filled from: `3@1042`.
    pub origin: Option<String>,
    pub key: Option<Editor>,
    pub headers: Editor,
    pub value: Body,
    pub fields: Fields,
    /// When the message is to be stamped; empty for the moment of sending.
    pub timestamp: Editor,
    pub focus: Part,
    /// What is wrong, and in which part.
    pub error: Option<(Part, String)>,
    pub sending: Option<TaskId>,
    /// It is a request, and replies are waited for.
    pub calls: bool,
    /// The message as it was copied.
    copied: Option<Outgoing>,
    /// What a template was filled in with.
    pub(super) filled: Option<String>,
    /// Something was typed.
    pub(crate) touched: bool,
}

/// The value that will be sent.
#[derive(Clone, Debug)]
pub enum Body {
    /// No payload: a tombstone.
    Missing,
    Text(Box<Editor>),
    /// Bytes that an input line cannot hold; sent as they are.
    Exact(Bytes),
}

/// The parts of the form, in the order of Tab.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Key,
    Value,
    Headers,
    Timestamp,
    /// One of the system's own fields.
    Field(usize),
}

impl Form {
    pub(crate) fn new(address: Address, spec: &'static PublishSpec) -> Self {
        Self {
            address,
            spec,
            origin: None,
            // An empty key is a key: it would send every message to one partition.
            key: None,
            headers: Editor::lines_of(""),
            value: Body::Text(Box::new(Editor::lines_of(""))),
            fields: Fields::new(spec.fields),
            timestamp: Editor::line(""),
            focus: Part::Value,
            error: None,
            sending: None,
            calls: false,
            copied: None,
            filled: None,
            touched: false,
        }
    }

    /// An empty request.
    pub(crate) fn call(address: Address) -> Self {
        Self { calls: true, ..Self::new(address, &CALL_SPEC) }
    }

    /// Whether a template would take nothing away.
    pub(crate) fn takes_template(&self) -> bool {
        match &self.value {
            Body::Missing => true,
            Body::Text(editor) => editor.is_empty() || self.filled.as_ref() == Some(&editor.text()),
            Body::Exact(_) => false,
        }
    }

    /// Nothing would be lost by leaving.
    pub(crate) fn is_untouched(&self) -> bool {
        !self.touched
    }

    /// Enter goes on to the next field where there is only one line.
    pub(crate) fn focus_is_line(&self) -> bool {
        matches!(self.focus, Part::Key | Part::Timestamp | Part::Field(_))
    }

    /// A form that sends this message again, byte for byte.
    pub(crate) fn again(view: &MessageView, spec: &'static PublishSpec) -> Self {
        let message = &view.message;
        Self {
            origin: Some(message.position.to_string()),
            copied: Some(Outgoing {
                key: message.key.clone(),
                headers: message.headers.clone(),
                payload: message.payload.clone(),
                ..Outgoing::default()
            }),
            key: message.key.as_ref().map(|key| Editor::line(&headers::notation(key))),
            headers: Editor::lines_of(&headers::to_text(&message.headers)),
            value: message.payload.as_ref().map_or(Body::Missing, Body::of),
            ..Self::new(view.address.clone(), spec)
        }
    }

    /// Whether what would be sent is, byte for byte, what was copied.
    pub fn is_exact(&self) -> bool {
        let same = |copied: &Outgoing| {
            self.outgoing(None).is_ok_and(|now| (&now.key, &now.headers, &now.payload) == (&copied.key, &copied.headers, &copied.payload))
        };
        self.copied.as_ref().is_some_and(same)
    }

    /// Why a value that was JSON, when it was copied or filled in, is none any more.
    pub fn broken_json(&self) -> Option<String> {
        let copied = self.copied.as_ref().and_then(|copied| copied.payload.as_deref());
        let before = self.filled.as_deref().map(str::as_bytes).or(copied).filter(|bytes| not_json(bytes).is_none());
        before.and_then(|_| not_json(&self.value.bytes()?))
    }

    /// The parts that this system has.
    pub fn parts(&self) -> Vec<Part> {
        let mut parts = Vec::new();
        if self.spec.key {
            parts.push(Part::Key);
        }
        parts.extend([Part::Headers, Part::Value]);
        parts.extend((0..self.fields.len()).map(Part::Field));
        if self.spec.timestamp {
            parts.push(Part::Timestamp);
        }
        parts
    }

    pub(crate) fn next(&mut self, by: isize) {
        let parts = self.parts();
        let at = parts.iter().position(|part| *part == self.focus).unwrap_or(0);
        let to = (at as isize + by).rem_euclid(parts.len() as isize);
        self.focus = parts[to as usize];
    }

    /// The input that keys go to, if that part has one.
    pub(crate) fn editor(&mut self) -> Option<&mut Editor> {
        match self.focus {
            Part::Key => self.key.as_mut(),
            Part::Headers => Some(&mut self.headers),
            Part::Value => match &mut self.value {
                Body::Text(editor) => Some(editor),
                _ => None,
            },
            Part::Timestamp => Some(&mut self.timestamp),
            Part::Field(i) => self.fields.editor(i),
        }
    }

    /// Takes a key in; false if it means nothing there.
    pub(crate) fn key(&mut self, key: KeyEvent) -> bool {
        match self.focus {
            Part::Field(at) => self.fields.key(at, key),
            _ => self.editor().is_some_and(|editor| editor.key(key)),
        }
    }

    /// Typing into what is missing gives it something to be typed into; bytes are not typed over.
    pub(crate) fn begin(&mut self) {
        match (self.focus, &self.key, &self.value) {
            (Part::Key, None, _) => self.key = Some(Editor::line("")),
            (Part::Value, _, Body::Missing) => self.value = Body::Text(Box::new(Editor::lines_of(""))),
            _ => {}
        }
    }

    /// Makes the focused part missing, or present and empty again.
    pub(crate) fn missing(&mut self) {
        self.touched = true;
        match self.focus {
            Part::Key => self.key = if self.key.is_some() { None } else { Some(Editor::line("")) },
            Part::Value => {
                self.value = if matches!(self.value, Body::Text(_)) && self.spec.tombstone {
                    Body::Missing
                } else {
                    Body::Text(Box::new(Editor::lines_of("")))
                };
            }
            _ => {}
        }
    }

    /// The message that the form describes.
    pub(crate) fn outgoing(&self, now: Option<&Zoned>) -> Result<Outgoing, (Part, String)> {
        let key = self.key.as_ref().map(|key| headers::read(&key.text())).transpose().map_err(|e| (Part::Key, e))?;
        let headers = headers::from_text(&self.headers.text()).map_err(|(line, e)| (Part::Headers, format!("line {}: {e}", line + 1)))?;
        let options = self.fields.values().map_err(|(at, error)| (Part::Field(at), error))?;
        let moment = self.timestamp.text();
        let moment = Some(moment.trim()).filter(|text| !text.is_empty());
        let timestamp = moment
            .zip(now)
            .map(|(text, now)| parse_moment(text, now))
            .transpose()
            .map_err(|e| (Part::Timestamp, format!("timestamp: {e}")))?;
        Ok(Outgoing { key, headers, payload: self.value.bytes(), timestamp, options })
    }
}

impl Body {
    /// Bytes as an input, if it can hold them without loss and show them; else as they are.
    pub(crate) fn of(bytes: &Bytes) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) if text.len() <= 256 * 1024 && !text.chars().any(|c| is_hidden(c) && c != '\n' && c != '\t') => {
                Self::Text(Box::new(Editor::lines_of(text)))
            }
            _ => Self::Exact(bytes.clone()),
        }
    }

    pub fn bytes(&self) -> Option<Bytes> {
        match self {
            Self::Missing => None,
            Self::Text(editor) => Some(editor.text().into()),
            Self::Exact(bytes) => Some(bytes.clone()),
        }
    }
}

/// Why bytes are not JSON.
fn not_json(bytes: &[u8]) -> Option<String> {
    serde_json::from_slice::<serde::de::IgnoredAny>(bytes).err().map(|error| error.to_string())
}

/// The extension that gives an editor its colours.
pub(crate) fn extension(bytes: &[u8]) -> &'static str {
    match (bytes.iter().find(|b| !b.is_ascii_whitespace()), std::str::from_utf8(bytes)) {
        (Some(b'{' | b'['), Ok(_)) => "json",
        (_, Ok(_)) => "txt",
        (_, Err(_)) => "bin",
    }
}
