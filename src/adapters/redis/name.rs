//! Channels by their names: `stream:jobs`, `channel:news`, `key:policy:*`.
//!
//! A name in Redis is bytes. In an address they stand as they are where they are UTF-8, and as `\xHH` where they are not. Channels and keys
//! may be named by a pattern, so a literal name with `*`, `?`, `[` or a backslash in it is written with a backslash before each, as Redis's own
//! patterns escape them. Streams are never named by a pattern.

use super::Redis;

use super::value;
use crate::domain::address::{escape_bytes, split_kind, unescape_bytes};
use crate::domain::fault::{Fault, Kind};
use bytes::Bytes;
use redis::{RedisWrite, ToRedisArgs, cmd};
use std::fmt;

/// The name of a key, a group or a consumer, as the server has it.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub(super) struct Key(Bytes);

/// A pub/sub channel or a key as an address names it: literally, or by a pattern in Redis's own syntax.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Glob(Key);

/// The kinds of channel, as the adapter's row says them.
pub(super) const KINDS: &[&str] = &["stream", "channel", "key"];

/// A channel that somebody named.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Name {
    Stream(Key),
    /// A pub/sub channel, or a pattern of them.
    Channel(Glob),
    /// A key, or a pattern of keys.
    Key(Glob),
}

impl Key {
    /// The name that a text writes.
    pub(super) fn parse(text: &str) -> Self {
        Self(unescape_bytes(text).into())
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The name as addresses write it; [`Key::parse`] reads it back.
    pub(super) fn text(&self) -> String {
        escape_bytes(&self.0)
    }
}

impl From<Bytes> for Key {
    fn from(bytes: Bytes) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.text())
    }
}

impl ToRedisArgs for Key {
    fn write_redis_args<W: ?Sized + RedisWrite>(&self, out: &mut W) {
        out.write_arg(&self.0);
    }
}

impl Glob {
    pub(super) fn parse(text: &str) -> Self {
        Self(Key::parse(text))
    }

    /// The pattern that this name alone matches.
    pub(super) fn literally(name: &Key) -> Self {
        let escaped = name.bytes().iter().flat_map(|byte| {
            let special = matches!(byte, b'*' | b'?' | b'[' | b'\\');
            special.then_some(b'\\').into_iter().chain([*byte])
        });
        Self(Key(escaped.collect::<Vec<u8>>().into()))
    }

    /// The one name that is meant; `None` where it is a pattern.
    pub(super) fn literal(&self) -> Option<Key> {
        let mut name = Vec::with_capacity(self.0.bytes().len());
        let mut bytes = self.0.bytes().iter();
        while let Some(byte) = bytes.next() {
            match byte {
                b'*' | b'?' | b'[' => return None,
                // At the very end a backslash stands for itself.
                b'\\' => name.push(*bytes.next().unwrap_or(byte)),
                _ => name.push(*byte),
            }
        }
        Some(Key(name.into()))
    }

    pub(super) fn is_pattern(&self) -> bool {
        self.literal().is_none()
    }

    /// What the server is given as a pattern.
    pub(super) fn pattern(&self) -> &Key {
        &self.0
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl Name {
    /// As lists and messages spell it.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Stream(name) => format!("stream:{name}"),
            Self::Channel(name) => format!("channel:{name}"),
            Self::Key(name) => format!("key:{name}"),
        }
    }

    /// What an address names; `None` for a bare name, whose kind has to be found out.
    fn parse(channel: &str) -> Option<Self> {
        match split_kind(KINDS, channel) {
            (Some("stream"), name) => Some(Self::Stream(Key::parse(name))),
            (Some("channel"), name) => Some(Self::Channel(Glob::parse(name))),
            (Some("key"), name) => Some(Self::Key(Glob::parse(name))),
            _ => None,
        }
    }
}

impl Redis {
    /// The channel that is meant. A bare name is a stream if there is one of that name, else a pub/sub channel if somebody listens to
    /// it or it is a pattern.
    pub(super) async fn resolve(&self, op: &'static str, channel: &str) -> Result<Name, Fault> {
        if let Some(name) = Name::parse(channel) {
            return Ok(name);
        }
        let (stream, listened) = (Key::parse(channel), Glob::parse(channel));
        let kind = self.link.call(cmd("TYPE").arg(&stream), op, channel).await?;
        let is_stream = value::text(&kind).is_some_and(|kind| kind == "stream");
        let somebody = match listened.literal() {
            Some(name) => self.subscribers(&[name]).await.is_ok_and(|counts| counts.values().any(|n| *n > 0)),
            None => false,
        };
        match (is_stream, somebody) {
            (true, false) => Ok(Name::Stream(stream)),
            (true, true) => Err(Fault::new(Kind::Usage, op, channel, "there is a stream and a pub/sub channel of that name")
                .next(format!("write stream:{channel} or channel:{channel}"))),
            (false, true) => Ok(Name::Channel(listened)),
            (false, false) if listened.is_pattern() => Ok(Name::Channel(listened)),
            (false, false) => Err(Fault::new(
                Kind::NotFound,
                op,
                channel,
                "there is no stream of that name, and nobody listens to such a pub/sub channel",
            )
            .next(format!("a channel that nobody listens to yet: channel:{channel}; a new stream: stream:{channel}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(bytes: &[u8]) -> Key {
        Bytes::copy_from_slice(bytes).into()
    }

    #[test]
    fn a_kind_is_the_first_word_and_the_rest_is_the_name() {
        for (text, name) in [
            ("stream:jobs", Name::Stream(key(b"jobs"))),
            ("channel:a:b", Name::Channel(Glob::parse("a:b"))),
            ("key:policy:*", Name::Key(Glob::parse("policy:*"))),
            ("stream:key:x", Name::Stream(key(b"key:x"))),
        ] {
            assert_eq!(Name::parse(text).as_ref(), Some(&name));
            assert_eq!(name.text(), text);
        }
        assert_eq!(Name::parse("jobs"), None);
        assert_eq!(Name::parse("queue:jobs"), None, "not a kind of this system");
    }

    #[test]
    fn a_pattern_is_one_by_what_is_not_escaped_in_it() {
        for (text, literal) in [
            ("news", Some(&b"news"[..])),
            ("a]b", Some(b"a]b")),
            (r"a\*b", Some(b"a*b")),
            (r"a\\b\[1]", Some(br"a\b[1]")),
            (r"end\", Some(br"end\")),
            ("a*", None),
            (r"a\\*", None),
            ("h[ae]llo", None),
            ("h?llo", None),
        ] {
            assert_eq!(Glob::parse(text).literal(), literal.map(key), "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_name_reads_back_from_each_kind(bytes in proptest::collection::vec(prop_oneof![any::<u8>(), Just(b'\\'), Just(b'x'), Just(b'*'), Just(b'[')], 1..12)) {
            let name = key(&bytes);
            prop_assert_eq!(Name::parse(&Name::Stream(name.clone()).text()), Some(Name::Stream(name.clone())));
            for kind in [Name::Channel, Name::Key] {
                let named = kind(Glob::literally(&name));
                let read = Name::parse(&named.text());
                prop_assert_eq!(read.as_ref(), Some(&named));
                let Some(Name::Channel(read) | Name::Key(read)) = read else { unreachable!() };
                prop_assert_eq!(read.literal(), Some(name.clone()));
            }
        }
    }
}
