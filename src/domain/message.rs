//! `Message`: what travels, as it was read; and `Outgoing`: what is to be published.

use super::position::Position;
use super::time::Timestamp;
use bytes::Bytes;
use std::sync::Arc;

/// One message as the system gave it. Bytes are shared with the buffer they were read from, never copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The channel's own name.
    pub channel: Arc<str>,
    pub position: Position,
    /// When it was made, or when the broker stored it (see `stamp`); `None` where the system keeps no time.
    pub timestamp: Option<Timestamp>,
    pub stamp: Stamp,
    /// A missing key is not an empty one.
    pub key: Option<Bytes>,
    /// In order, duplicates kept.
    pub headers: Vec<Header>,
    /// A missing payload (a tombstone) is not an empty one.
    pub payload: Option<Bytes>,
}

/// Who stamped the message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stamp {
    /// The producer.
    #[default]
    Created,
    /// The broker, on arrival.
    Stored,
    /// We, when it came: the system keeps no time.
    Seen,
}

/// One header; a missing value is not an empty one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Header {
    /// Normally UTF-8; kept as bytes because some clients write others.
    pub name: Bytes,
    pub value: Option<Bytes>,
}

/// One message where it lies, for those who look at many and keep few: nothing is copied.
#[derive(Clone, Copy)]
pub struct RawMessage<'a> {
    pub channel: &'a str,
    pub position: Position,
    pub timestamp: Option<Timestamp>,
    pub key: Option<&'a [u8]>,
    pub headers: &'a dyn Headers,
    pub payload: Option<&'a [u8]>,
}

/// Asks about a header's name and value.
pub type HeaderTest<'a> = dyn FnMut(&[u8], Option<&[u8]>) -> bool + 'a;
/// The headers of a message, wherever they lie.
pub trait Headers {
    /// Whether a test of name and value holds for one of them, asked in their order.
    fn any(&self, test: &mut HeaderTest<'_>) -> bool;
}

impl Headers for Vec<Header> {
    fn any(&self, test: &mut HeaderTest<'_>) -> bool {
        self.iter().any(|header| test(&header.name, header.value.as_deref()))
    }
}

impl RawMessage<'_> {
    /// Bytes of key, headers and payload, as [`Message::size`] counts them.
    pub fn size(&self) -> usize {
        let mut headers = 0;
        self.headers.any(&mut |name, value| {
            headers += name.len() + value.map_or(0, <[u8]>::len);
            false
        });
        headers + self.key.map_or(0, <[u8]>::len) + self.payload.map_or(0, <[u8]>::len)
    }
}

impl<'a> From<&'a Message> for RawMessage<'a> {
    fn from(message: &'a Message) -> Self {
        Self {
            channel: &message.channel,
            position: message.position,
            timestamp: message.timestamp,
            key: message.key.as_deref(),
            headers: &message.headers,
            payload: message.payload.as_deref(),
        }
    }
}

impl Message {
    /// A message of which nothing but its place is known: no time, no key, no headers, no payload.
    pub fn at(channel: impl Into<Arc<str>>, position: Position) -> Self {
        let (timestamp, stamp, key, headers, payload) = (None, Stamp::Created, None, Vec::new(), None);
        Self { channel: channel.into(), position, timestamp, stamp, key, headers, payload }
    }

    /// The same message in memory of its own: what was read from a large buffer does not keep that.
    #[must_use]
    pub fn detached(&self) -> Self {
        let copy = |bytes: &Bytes| Bytes::copy_from_slice(bytes);
        let header = |header: &Header| Header { name: copy(&header.name), value: header.value.as_ref().map(copy) };
        Self {
            channel: self.channel.clone(),
            key: self.key.as_ref().map(copy),
            headers: self.headers.iter().map(header).collect(),
            payload: self.payload.as_ref().map(copy),
            ..*self
        }
    }

    /// Bytes of key, headers and payload, without the system's own overhead.
    pub fn size(&self) -> usize {
        let headers: usize = self.headers.iter().map(|h| h.name.len() + h.value.as_ref().map_or(0, Bytes::len)).sum();
        headers + self.key.as_ref().map_or(0, Bytes::len) + self.payload.as_ref().map_or(0, Bytes::len)
    }
}

/// One message to be published, byte for byte as given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outgoing {
    pub key: Option<Bytes>,
    pub headers: Vec<Header>,
    /// `None` publishes a tombstone.
    pub payload: Option<Bytes>,
    pub timestamp: Option<Timestamp>,
    /// Values of the system's own fields of its `PublishSpec`, by their ids: `partition = 3`.
    pub options: Vec<(&'static str, String)>,
}

impl Outgoing {
    /// The value of one of the system's own fields, if it was given.
    pub fn option(&self, id: &str) -> Option<&str> {
        self.options.iter().find(|(name, _)| *name == id).map(|(_, value)| value.as_str())
    }
}
