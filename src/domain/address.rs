//! Addresses: `integration/channel`, with a kind where it is needed: `rabbit/queue:tasks`; one message is `ADDRESS#POSITION`.
//!
//! What follows the slash is how handles, lists and messages name a channel: the bare name, or `kind:name` where the system has
//! several kinds or the bare name would be read otherwise. So an address is always the integration, a slash and that name. Which
//! prefixes are kinds is known to the system's adapter alone: an address is text until the gateway splits the kind off.

use super::position::Position;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::Arc;

/// The kind of an address whose name is a group's: `events/group:payments`. A kind of those systems that have groups.
pub const GROUP: &str = "group";

/// Where a channel is. The first `/` ends the integration; the rest is the channel's name. Two are equal if they are written alike.
#[derive(Clone, Debug)]
pub struct Address {
    pub integration: Arc<str>,
    /// The kind, once it was split off.
    pub kind: Option<&'static str>,
    pub channel: Arc<str>,
}

impl Address {
    /// The address of a channel that a handle, a list or a message names. Its kind, if there is one, still begins its name.
    pub fn new(integration: &str, channel: &str) -> Self {
        Self { integration: integration.into(), kind: None, channel: channel.into() }
    }

    /// The same with its kind split off, of a system that has these.
    #[must_use]
    pub fn split(&self, kinds: &[&'static str]) -> Self {
        let within = self.within();
        let (kind, channel) = split_kind(kinds, &within);
        Self { integration: self.integration.clone(), kind, channel: channel.into() }
    }

    /// The address of a group, which stands in the place of a channel.
    pub fn group(integration: &str, group: &str) -> Self {
        Self { integration: integration.into(), kind: Some(GROUP), channel: group.into() }
    }

    /// Whether it names a group, once its kind was split off.
    pub fn is_group(&self) -> bool {
        self.kind == Some(GROUP)
    }

    /// What follows the slash: the channel with its kind.
    pub fn within(&self) -> Arc<str> {
        self.kind.map_or_else(|| self.channel.clone(), |kind| format!("{kind}:{}", self.channel).into())
    }
}

/// Splits one of a system's kinds off a channel's name: `stream:ORDERS` is the stream `ORDERS`.
pub fn split_kind<'a>(kinds: &[&'static str], channel: &'a str) -> (Option<&'static str>, &'a str) {
    let known = channel.split_once(':').and_then(|(kind, name)| Some((*kinds.iter().find(|k| **k == kind)?, name)));
    known.filter(|(_, name)| !name.is_empty()).map_or((None, channel), |(kind, name)| (Some(kind), name))
}

/// Writes the name of a channel of the kind that a bare name means, with that kind where the bare name would be read as another.
pub fn spell(kinds: &[&'static str], kind: &'static str, name: &[u8]) -> String {
    let text = escape_bytes(name);
    if split_kind(kinds, &text).0.is_some() { format!("{kind}:{text}") } else { text }
}

/// The one way to write what an address names: without a kind that a bare name means anyway, and without needless escapes.
pub fn canonical(kinds: &[&'static str], channel: &str) -> String {
    let (kind, name) = split_kind(kinds, channel);
    let name = escape_bytes(&unescape_bytes(name));
    match kind {
        Some(kind) if kinds.len() > 1 || split_kind(kinds, &name).0.is_some() => format!("{kind}:{name}"),
        // The first letter of a kind was escaped, so that it is none.
        None if split_kind(kinds, &name).0.is_some() => channel.to_owned(),
        Some(_) | None => name,
    }
}

impl PartialEq for Address {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Address {}

impl PartialOrd for Address {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Address {
    fn cmp(&self, other: &Self) -> Ordering {
        self.integration.cmp(&other.integration).then_with(|| self.within().cmp(&other.within()))
    }
}

impl Hash for Address {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.integration.hash(state);
        self.within().hash(state);
    }
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
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_first_slash_ends_the_integration_and_a_kind_of_the_system_is_read_as_one() {
        const KINDS: &[&str] = &["queue", "key", GROUP];
        for (text, kind, channel) in [
            ("events/orders.created", None, "orders.created"),
            ("iot/factory/1/temperature", None, "factory/1/temperature"),
            ("rabbit/queue:tasks", Some("queue"), "tasks"),
            ("redis/key:policy:*", Some("key"), "policy:*"),
            ("events/group:payments", Some("group"), "payments"),
            ("redis/user:17", None, "user:17"),
            ("iot/topic:a/b", None, "topic:a/b"),
            ("iot/queue:", None, "queue:"),
        ] {
            let address: Address = text.parse().expect(text);
            assert_eq!((address.kind, &*address.within()), (None, text.split_once('/').expect("a slash").1));
            let split = address.split(KINDS);
            assert_eq!((split.kind, &*split.channel), (kind, channel));
            assert_eq!((split.to_string(), split.split(KINDS)), (text.to_owned(), address));
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

    /// Names of the pieces that an escape, a kind, a position, a vhost and a pattern are made of, and of any bytes.
    pub(crate) fn names() -> impl Strategy<Value = Vec<u8>> {
        let pieces = [
            "\\", "x", "\\x", "4", "f", "#", "17", "3@1042", "1700-0", "+", "-", "@", "/", ":", "*", "[", ">", "é", "%2F", "topic:",
            "queue:", "subject:", "stream:", "group:", "vhost:",
        ];
        let piece = prop_oneof![
            prop::sample::select(pieces.to_vec()).prop_map(|piece| piece.as_bytes().to_vec()),
            prop::collection::vec(any::<u8>(), 1..4),
        ];
        prop::collection::vec(piece, 1..8).prop_map(|pieces| pieces.concat())
    }

    /// A name of these bytes, as lists and messages spell it, is the same after it was printed, with and without a position, and typed.
    pub(crate) fn check_that_it_reads_back(kinds: &[&'static str], spelled: &str) {
        let printed = Address::new("it", spelled).to_string();
        for position in [None, Some("17"), Some("3@1042"), Some("1700-0")] {
            let text = position.map_or_else(|| printed.clone(), |position| format!("{printed}#{position}"));
            let (read, at) = parse_message_address(&text).expect("an address");
            assert_eq!((canonical(kinds, &read.within()).as_str(), at.map(|at| at.to_string()).as_deref()), (spelled, position), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_name_is_read_back_to_the_same_bytes(name in names()) {
            let text = escape_bytes(&name);
            prop_assert_eq!(unescape_bytes(&text), &name[..], "{}", text);
            check_that_it_reads_back(&[], &text);
            check_that_it_reads_back(&["topic"], &spell(&["topic"], "topic", &name));
            check_that_it_reads_back(&["queue", "stream"], &format!("stream:{text}"));
        }
    }
}
