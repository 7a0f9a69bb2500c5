//! `Format`: what payloads are written in.

use std::fmt;
use std::str::FromStr;

/// A format that payloads come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    Json,
    MessagePack,
    /// Confluent's frame around data that a schema describes.
    Confluent,
    Text,
    Bytes,
}

impl Format {
    /// Every format, in the order in which content is tried.
    pub const ALL: [Self; 5] = [Self::Json, Self::Confluent, Self::MessagePack, Self::Text, Self::Bytes];

    /// The name in a line's `wire` field and on the command line.
    pub fn id(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::MessagePack => "messagepack",
            Self::Confluent => "confluent",
            Self::Text => "text",
            Self::Bytes => "bytes",
        }
    }

    /// The name on the screen.
    pub fn title(self) -> &'static str {
        match self {
            Self::Json => "JSON",
            Self::MessagePack => "MessagePack",
            Self::Confluent => "Confluent",
            Self::Text => "text",
            Self::Bytes => "bytes",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

impl FromStr for Format {
    type Err = String;

    /// Reads the ids; seed 5 says `msgpack` for MessagePack and `raw` for bytes.
    fn from_str(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "msgpack" => Ok(Self::MessagePack),
            "raw" | "binary" => Ok(Self::Bytes),
            id => Self::ALL
                .into_iter()
                .find(|format| format.id() == id)
                .ok_or_else(|| format!("`{text}` is not a format: write json, messagepack, confluent, text or bytes")),
        }
    }
}
