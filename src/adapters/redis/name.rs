//! Channels by their names: `stream:jobs`, `channel:news`, `key:policy:*`.

use super::Redis;
use super::value;
use crate::domain::address::split_kind;
use crate::domain::fault::{Fault, Kind};
use redis::cmd;

/// The kinds of channel, as the adapter's row says them.
pub(super) const KINDS: &[&str] = &["stream", "channel", "key"];

/// A channel that somebody named.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Name {
    Stream(String),
    /// A pub/sub channel, or a pattern of them where it holds `*`, `?` or `[`.
    Channel(String),
    /// A key, or a pattern of keys.
    Key(String),
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

    /// What an address says; `None` for a bare name, whose kind has to be found out.
    fn said(channel: &str) -> Option<Self> {
        match split_kind(KINDS, channel) {
            (Some("stream"), name) => Some(Self::Stream(name.to_owned())),
            (Some("channel"), name) => Some(Self::Channel(name.to_owned())),
            (Some("key"), name) => Some(Self::Key(name.to_owned())),
            _ => None,
        }
    }
}

/// Whether Redis reads it as a pattern.
pub(super) fn is_pattern(name: &str) -> bool {
    name.contains(['*', '?', '['])
}

impl Redis {
    /// The channel that is meant. A bare name is a stream if there is one of that name, else a pub/sub channel if somebody listens to
    /// it or it is a pattern.
    pub(super) async fn resolve(&self, op: &'static str, channel: &str) -> Result<Name, Fault> {
        if let Some(name) = Name::said(channel) {
            return Ok(name);
        }
        let kind = self.link.call(cmd("TYPE").arg(channel), op, channel).await?;
        let kind = value::text(&kind).unwrap_or_default();
        let listened = self.subscribers(&[channel.to_owned()]).await.is_ok_and(|counts| counts.values().any(|n| *n > 0));
        match (kind.as_str(), listened) {
            ("stream", false) => Ok(Name::Stream(channel.to_owned())),
            ("stream", true) => Err(Fault::new(Kind::Usage, op, channel, "there is a stream and a pub/sub channel of that name")
                .next(format!("write stream:{channel} or channel:{channel}"))),
            (_, true) => Ok(Name::Channel(channel.to_owned())),
            _ if is_pattern(channel) => Ok(Name::Channel(channel.to_owned())),
            _ => Err(Fault::new(
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

    #[test]
    fn a_kind_is_the_first_word_and_the_rest_is_the_name() {
        for (text, name) in [
            ("stream:jobs", Name::Stream("jobs".into())),
            ("channel:a:b", Name::Channel("a:b".into())),
            ("key:policy:*", Name::Key("policy:*".into())),
            ("stream:key:x", Name::Stream("key:x".into())),
        ] {
            assert_eq!(Name::said(text).as_ref(), Some(&name));
            assert_eq!(name.text(), text);
        }
        assert_eq!(Name::said("jobs"), None);
        assert_eq!(Name::said("queue:jobs"), None, "not a kind of this system");
    }
}
