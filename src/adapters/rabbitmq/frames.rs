//! AMQP's frames between the socket and the client crate. The crate takes short strings for UTF-8 and nests without a bound, and ends the
//! connection (or the process) over a message in which either is not so; brokers and other clients do not mind. So a content header that
//! the crate could not read is put, as it came, into one byte array ([`WRAPPED`]) of a header that it can, and read by `foreign`. What is
//! published goes out in the same way ([`super::sent`]).

use super::foreign::{self, Reader};
use crate::adapters::room::Room;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::watch;

pub(super) const METHOD: u8 = 1;
pub(super) const HEADER: u8 = 2;
pub(super) const BODY: u8 = 3;
const HEARTBEAT: u8 = 8;
pub(super) const END: u8 = 0xce;
/// Type, channel and size before a frame's payload, and its end mark.
const AROUND: usize = 8;
/// No server sends such a frame: what has this size is not AMQP.
const SENSELESS: usize = 1 << 28;
/// What a message takes in the client crate beside its properties and its body.
const EACH: usize = 1_024;
/// The one header of a content header that was wrapped. A foreign message that has it is wrapped as well.
pub(super) const WRAPPED: &str = "\u{0}mqdeck.properties";

const CONNECTION: u16 = 10;
const CHANNEL: u16 = 20;
pub(super) const BASIC: u16 = 60;
const BLOCKED: u16 = 60;
const UNBLOCKED: u16 = 61;

/// What was heard on a connection beside the client crate: why the server takes no more from it.
pub(super) type Blocked = watch::Sender<Option<String>>;

/// Everything that comes from the server passes through it.
pub(super) struct Filter {
    /// The beginning of a frame.
    pending: Vec<u8>,
    /// It is not AMQP: the client crate says what it makes of it.
    foreign: bool,
    /// Names of messages that the crate could not have read, by their channel; their content header comes next.
    names: HashMap<u16, Names>,
    blocked: Blocked,
    /// Counts the messages that come.
    room: Arc<Room>,
}

struct Names {
    exchange: Vec<u8>,
    key: Vec<u8>,
}

impl Filter {
    pub(super) fn new(blocked: Blocked, room: Arc<Room>) -> Self {
        Self { pending: Vec::new(), foreign: false, names: HashMap::new(), blocked, room }
    }

    /// Takes what was read; what the client crate is to read is added to `out`.
    pub(super) fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let joined;
        let mut rest = if self.pending.is_empty() {
            bytes
        } else {
            self.pending.extend_from_slice(bytes);
            joined = std::mem::take(&mut self.pending);
            &joined[..]
        };
        while let Some(size) = whole(rest, &mut self.foreign) {
            let (frame, behind) = rest.split_at(size);
            self.frame(frame, out);
            rest = behind;
        }
        if self.foreign {
            out.extend_from_slice(rest);
        } else {
            self.pending = rest.to_vec();
        }
    }

    fn frame(&mut self, frame: &[u8], out: &mut Vec<u8>) {
        let (kind, channel, payload) = (frame[0], u16::from_be_bytes([frame[1], frame[2]]), &frame[7..frame.len() - 1]);
        let changed = match kind {
            METHOD => self.method(channel, payload),
            HEADER => {
                self.room.push(EACH + payload.len());
                self.header(channel, payload)
            }
            BODY => {
                self.room.grow(payload.len());
                None
            }
            _ => None,
        };
        match changed {
            None => out.extend_from_slice(frame),
            Some(payload) => push(out, frame, &payload),
        }
    }

    /// Names that are no UTF-8 are taken out; connection.blocked and connection.unblocked are heard.
    fn method(&mut self, channel: u16, payload: &[u8]) -> Option<Vec<u8>> {
        let mut reader = Reader(payload);
        match (reader.u16()?, reader.u16()?) {
            (CONNECTION, BLOCKED) => {
                let reason = String::from_utf8_lossy(reader.short()?).into_owned();
                self.blocked.send_replace(Some(reason));
                return None;
            }
            (CONNECTION, UNBLOCKED) => {
                self.blocked.send_replace(None);
                return None;
            }
            // The server cuts its own words in the middle of a character.
            (CONNECTION, 50) | (CHANNEL, 40) => return closing(payload),
            // basic.return: reply code and text.
            (BASIC, 50) => _ = (reader.take(2)?, reader.short()?),
            // basic.deliver: consumer tag, delivery tag, redelivered.
            (BASIC, 60) => _ = (reader.short()?, reader.take(9)?),
            // basic.get-ok: delivery tag, redelivered.
            (BASIC, 71) => _ = reader.take(9)?,
            _ => return None,
        }
        let before = &payload[..payload.len() - reader.0.len()];
        let (exchange, key) = (reader.short()?, reader.short()?);
        self.names.remove(&channel);
        if std::str::from_utf8(exchange).is_ok() && std::str::from_utf8(key).is_ok() {
            return None;
        }
        self.names.insert(channel, Names { exchange: exchange.to_vec(), key: key.to_vec() });
        // Both are empty for the crate, and stand with the properties.
        Some([before, &[0, 0], reader.0].concat())
    }

    fn header(&mut self, channel: u16, payload: &[u8]) -> Option<Vec<u8>> {
        // Class, weight and the body's size stand before the properties.
        let (before, properties) = payload.split_at_checked(12)?;
        let names = self.names.remove(&channel);
        if names.is_none() && foreign::is_plain(properties, WRAPPED.as_bytes()) {
            return None;
        }
        let names = names.map(|names| (names.exchange, names.key));
        let wrapped = foreign::wrap(names.as_ref().map(|(exchange, key)| (&exchange[..], &key[..])), properties);
        let name = WRAPPED.as_bytes();
        let table = [&[name.len() as u8], name, b"x", &(wrapped.len() as u32).to_be_bytes(), &wrapped].concat();
        // The one flag of a header table.
        Some([before, &foreign::HEADERS.to_be_bytes(), &(table.len() as u32).to_be_bytes(), &table].concat())
    }
}

/// The size of the frame that is there as a whole. What is no frame is `foreign`, with everything behind it.
pub(super) fn whole(bytes: &[u8], foreign: &mut bool) -> Option<usize> {
    let kind = *bytes.first()?;
    if *foreign || !matches!(kind, METHOD | HEADER | BODY | HEARTBEAT) {
        *foreign = true;
        return None;
    }
    let size = u32::from_be_bytes(bytes.get(3..7)?.try_into().ok()?) as usize;
    *foreign = size > SENSELESS;
    (!*foreign && bytes.len() >= size + AROUND).then_some(size + AROUND)
}

/// A frame of the same type and channel with another payload.
pub(super) fn push(out: &mut Vec<u8>, frame: &[u8], payload: &[u8]) {
    out.extend_from_slice(&frame[..3]);
    out.extend_from_slice(&(payload.len() as u32).to_be_bytes());
    out.extend_from_slice(payload);
    out.push(END);
}

/// connection.close or channel.close with a reply text that the crate can read; `None` if it can as it is.
fn closing(payload: &[u8]) -> Option<Vec<u8>> {
    let mut reader = Reader(payload);
    // Class, method and reply code.
    let (before, text) = (reader.take(6)?, reader.short()?);
    let shown = foreign::shown(text);
    let shown = shown.as_str().as_bytes();
    (shown != text).then(|| [before, &[shown.len() as u8], shown, reader.0].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
        [&[kind, 0, 7], &(payload.len() as u32).to_be_bytes()[..], payload, &[END]].concat()
    }

    fn filter(blocked: Blocked) -> Filter {
        Filter::new(blocked, Arc::default())
    }

    fn passed(bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        filter(Blocked::new(None)).feed(bytes, &mut out);
        out
    }

    fn deliver(key: &[u8]) -> Vec<u8> {
        let payload = [&[0, 60, 0, 60, 1, b't', 0, 0, 0, 0, 0, 0, 0, 9, 0, 1, b'e', key.len() as u8][..], key].concat();
        frame(METHOD, &payload)
    }

    fn content(properties: &[u8]) -> Vec<u8> {
        frame(HEADER, &[&[0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2], properties].concat())
    }

    #[test]
    fn what_the_crate_can_read_passes_as_it_came() {
        // A correlation id and a header `n` of the type I.
        let plain = content(&[0x24, 0, 0, 0, 0, 7, 1, b'n', b'I', 0, 0, 0, 1, 2, b'i', b'd']);
        for bytes in [deliver(b"key"), plain, frame(BODY, b"ab"), frame(HEARTBEAT, b""), b"AMQP\x00\x00\x09\x01".to_vec()] {
            assert_eq!(passed(&bytes), bytes);
        }
    }

    #[test]
    fn what_it_cannot_read_is_wrapped_and_read_by_us() {
        let deep = {
            let mut value = vec![b'V'];
            for _ in 0..500 {
                value = [&b"A"[..], &(value.len() as u32).to_be_bytes(), &value].concat();
            }
            let table = [&[1, b'n'], &value[..]].concat();
            [&[0x20, 0], &(table.len() as u32).to_be_bytes()[..], &table].concat()
        };
        let named = [&[0x20, 0, 0, 0, 0, WRAPPED.len() as u8 + 2, WRAPPED.len() as u8], WRAPPED.as_bytes(), b"V"].concat();
        for (key, properties) in [(&b"k"[..], vec![0x04, 0, 2, 0xff, 0xfe]), (b"k\xff", vec![0, 0]), (b"k", deep), (b"k", named)] {
            let bytes = [deliver(key), content(&properties), frame(BODY, b"ab")].concat();
            let out = passed(&bytes);
            assert_ne!(out, bytes);
            assert!(out.windows(WRAPPED.len()).any(|part| part == WRAPPED.as_bytes()) && out.ends_with(&frame(BODY, b"ab")));
            assert!(out.windows(properties.len()).any(|part| part == properties), "the properties are there as they came");
        }
    }

    #[test]
    fn words_that_were_cut_in_a_character_are_read() {
        let closed = |text: &[u8]| frame(METHOD, &[&[0, 20, 0, 40, 1, 148, text.len() as u8], text, &[0, 50, 0, 10]].concat());
        assert_eq!(passed(&closed("NOT_FOUND 'gr\u{f6}".as_bytes())), closed("NOT_FOUND 'gr\u{f6}".as_bytes()));
        assert_eq!(passed(&closed(b"NOT_FOUND 'gr\xc3...")), closed(b"NOT_FOUND 'gr\\xc3..."));
    }

    #[test]
    fn a_server_that_takes_no_more_is_heard() {
        let blocked = Blocked::new(None);
        let mut filter = filter(blocked.clone());
        filter.feed(&frame(METHOD, b"\x00\x0a\x00\x3c\x0dlow on memory"), &mut Vec::new());
        assert_eq!(blocked.borrow().as_deref(), Some("low on memory"));
        filter.feed(&frame(METHOD, b"\x00\x0a\x00\x3d"), &mut Vec::new());
        assert_eq!(*blocked.borrow(), None);
    }

    proptest! {
        #[test]
        fn cuts_anywhere_change_nothing(cuts in prop::collection::vec(1_usize..9, 0..40), noise in prop::collection::vec(any::<u8>(), 0..60)) {
            let bytes = [deliver(b"k\xff"), content(&[0x04, 0, 1, 0xff]), frame(BODY, &noise), deliver(b"k"), frame(HEADER, &noise), frame(METHOD, &noise), noise].concat();
            let (mut filter, mut out, mut rest) = (filter(Blocked::new(None)), Vec::new(), &bytes[..]);
            for cut in cuts {
                let (now, later) = rest.split_at(cut.min(rest.len()));
                filter.feed(now, &mut out);
                rest = later;
            }
            filter.feed(rest, &mut out);
            prop_assert_eq!(out, passed(&bytes));
        }
    }
}
