//! Addresses: `integration/channel`, with a kind where it is said: `rabbit/queue:tasks`; one message is `ADDRESS#POSITION`.
//!
//! What stands behind the slash is how handles, lists and messages name a channel: the bare name, or `kind:name` where the system
//! has several kinds and the bare name would mean another one. So an address is always the integration, a slash and that name.

use super::position::Position;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The kind of an address whose name is a group's: `events/group:payments`.
pub const GROUP: &str = "group";
/// The kinds of channel that an address may name before a colon, and [`GROUP`].
pub const KINDS: &[&str] = &["topic", "queue", "exchange", "stream", "subject", "consumer", "service", "channel", "key", "vhost", GROUP];

/// Where a channel is. The first `/` ends the integration; the rest is the channel's own name, taken as it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    pub integration: Arc<str>,
    /// The kind, if it was said.
    pub kind: Option<&'static str>,
    pub channel: Arc<str>,
}

impl Address {
    /// The address of a channel that a handle, a list or a message names.
    pub fn new(integration: &str, channel: &str) -> Self {
        let (kind, channel) = split_kind(channel);
        Self { integration: integration.into(), kind, channel: channel.into() }
    }

    /// The address of a group, which stands in the place of a channel.
    pub fn group(integration: &str, group: &str) -> Self {
        Self { integration: integration.into(), kind: Some(GROUP), channel: group.into() }
    }

    /// Whether it names a group.
    pub fn is_group(&self) -> bool {
        self.kind == Some(GROUP)
    }

    /// What stands behind the slash: the channel as it is named to a system of several kinds.
    pub fn within(&self) -> Arc<str> {
        self.kind.map_or_else(|| self.channel.clone(), |kind| format!("{kind}:{}", self.channel).into())
    }
}

/// Splits a known kind off a channel's name: `stream:ORDERS` is the stream `ORDERS`.
pub fn split_kind(channel: &str) -> (Option<&'static str>, &str) {
    let known = channel.split_once(':').and_then(|(kind, name)| Some((*KINDS.iter().find(|k| **k == kind)?, name)));
    known.filter(|(_, name)| !name.is_empty()).map_or((None, channel), |(kind, name)| (Some(kind), name))
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/", self.integration)?;
        if let Some(kind) = self.kind {
            write!(f, "{kind}:")?;
        }
        f.write_str(&self.channel)
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (integration, channel) =
            text.split_once('/')
                .filter(|(integration, channel)| !integration.is_empty() && !channel.is_empty())
                .ok_or_else(|| format!("`{text}` is not an address: write INTEGRATION/CHANNEL, for example events/orders.created"))?;
        Ok(Self::new(integration, channel))
    }
}

/// Splits `ADDRESS#POSITION`; without a `#` that is followed by a position the whole is the address.
pub fn parse_message_address(text: &str) -> Result<(Address, Option<Position>), String> {
    match text.rsplit_once('#').and_then(|(address, position)| Some((address, position.parse().ok()?))) {
        Some((address, position)) => Ok((address.parse()?, Some(position))),
        None => Ok((text.parse()?, None)),
    }
}

/// Writes a channel's name as text that reads back to the same bytes.
///
/// `\xHH` is a byte. It is written for bytes that are no UTF-8, for a backslash before `x`, and for a `#` before what reads as a
/// position; all else stands as it is, so that nearly every name is written unchanged.
pub fn escape_bytes(name: &[u8]) -> String {
    let mut text = String::with_capacity(name.len());
    for chunk in name.utf8_chunks() {
        text.push_str(&chunk.valid().replace("\\x", "\\x5cx"));
        chunk.invalid().iter().for_each(|byte| text.push_str(&format!("\\x{byte:02x}")));
    }
    match text.rsplit_once('#') {
        Some((before, position)) if position.parse::<Position>().is_ok() => format!("{before}\\x23{position}"),
        _ => text,
    }
}

/// The bytes of a name that [`escape_bytes`] wrote, or that somebody typed: a `\x` without two hex digits is no escape.
pub fn unescape_bytes(text: &str) -> Vec<u8> {
    let mut name = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        let escaped =
            rest.strip_prefix(b"\\x").and_then(|digits| Some((hex(*digits.first()?)? << 4 | hex(*digits.get(1)?)?, &digits[2..])));
        let (byte, left) = escaped.unwrap_or((first, behind));
        name.push(byte);
        rest = left;
    }
    name
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_first_slash_ends_the_integration_and_a_known_kind_is_read_as_one() {
        for (text, kind, channel) in [
            ("events/orders.created", None, "orders.created"),
            ("iot/factory/1/temperature", None, "factory/1/temperature"),
            ("rabbit/queue:tasks", Some("queue"), "tasks"),
            ("redis/key:policy:*", Some("key"), "policy:*"),
            ("events/group:payments", Some("group"), "payments"),
            ("redis/user:17", None, "user:17"),
        ] {
            let address: Address = text.parse().expect(text);
            assert_eq!((address.kind, &*address.channel), (kind, channel));
            assert_eq!(address.to_string(), text);
            assert_eq!(Address::new(&address.integration, &address.within()), address, "a system names it by what stands behind the slash");
        }
        for wrong in ["", "events", "events/", "/orders"] {
            assert!(wrong.parse::<Address>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_message_is_an_address_with_a_position() {
        let (address, position) = parse_message_address("events/orders#created#3@1042").expect("an address");
        assert_eq!(&*address.channel, "orders#created");
        assert_eq!(position, Some(Position::Offset { partition: 3, offset: 1042 }));
        assert_eq!(parse_message_address("events/c#").expect("an address").1, None);
    }

    #[test]
    fn only_what_would_read_otherwise_is_escaped() {
        for (name, text) in [
            (&b"orders.created"[..], "orders.created"),
            ("größe/\u{1b}[31m".as_bytes(), "größe/\u{1b}[31m"),
            (b"\xac\xed\0t", "\\xac\\xed\0t"),
            (b"C:\\temp\\x41", "C:\\temp\\x5cx41"),
            (b"\\\xff", "\\\\xff"),
            (b"orders#17", "orders\\x2317"),
            (b"orders#3@1042", "orders\\x233@1042"),
            (b"a#1#1700-0", "a#1\\x231700-0"),
            (b"c#", "c#"),
            (b"a/#", "a/#"),
        ] {
            assert_eq!(escape_bytes(name), text);
            assert_eq!(unescape_bytes(text), name, "{text}");
        }
        assert_eq!(unescape_bytes("\\xFF\\x4\\xzz\\x"), b"\xff\\x4\\xzz\\x", "either case; without two digits it is no escape");
    }

    /// Names of the pieces that an escape, a kind, a position and a pattern are made of, and of any bytes.
    fn names() -> impl Strategy<Value = Vec<u8>> {
        let pieces = ["\\", "x", "\\x", "4", "f", "#", "17", "3@1042", "1700-0", "+", "-", "@", "/", ":", "topic:", "*", "[", "é"];
        let piece = prop_oneof![
            prop::sample::select(pieces.to_vec()).prop_map(|piece| piece.as_bytes().to_vec()),
            prop::collection::vec(any::<u8>(), 1..4),
        ];
        prop::collection::vec(piece, 1..8).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn any_name_is_read_back_to_the_same_bytes(name in names()) {
            let text = escape_bytes(&name);
            prop_assert_eq!(unescape_bytes(&text), &name[..], "{}", text);
            let address = format!("cache/{text}");
            let (read, position) = parse_message_address(&address).expect("an address");
            prop_assert_eq!((read.to_string(), position), (address.clone(), None));
            for position in ["17", "3@1042", "1700-0"] {
                let (read, at) = parse_message_address(&format!("{address}#{position}")).expect("an address");
                prop_assert_eq!((read.to_string(), at.map(|at| at.to_string())), (address.clone(), Some(position.to_owned())));
            }
        }
    }
}
