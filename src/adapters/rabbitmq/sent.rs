//! AMQP's frames from the client crate to the socket: properties and names that the crate was handed as one byte array
//! ([`WRAPPED`](super::frames::WRAPPED)) are put where they belong.
//!
//! How much was written is said in bytes of the crate: it takes a message whose bytes were written for one that was handed over.

use super::foreign::{self, Reader};
use super::frames::{BASIC, HEADER, METHOD, WRAPPED, push, whole};
use std::collections::{HashMap, VecDeque};

const PUBLISH: u16 = 40;

/// Everything that the client crate writes passes through it.
#[derive(Default)]
pub(super) struct Sent {
    /// The beginning of a frame.
    pending: Vec<u8>,
    /// It is not AMQP's frames: it passes as it is.
    foreign: bool,
    /// basic.publish without names, by its channel; its content header comes next and may have them.
    nameless: HashMap<u16, Vec<u8>>,
    /// What is to be written, from `written` on.
    out: Vec<u8>,
    written: usize,
    /// How much of it is in `parts`.
    parted: usize,
    parts: VecDeque<Part>,
    /// Bytes of the crate of which nothing is to be written yet.
    owed: usize,
    /// Bytes that were taken from the crate and not said to be written: it offers them again.
    ahead: usize,
}

/// A piece of what is to be written, and of how many bytes of the crate it was made. Where both are as many they are the same bytes.
struct Part {
    out: usize,
    taken: usize,
}

impl Sent {
    /// Takes what the crate offers; what it offered before and was not said to be written stands first.
    pub(super) fn offer<'a>(&mut self, slices: impl Iterator<Item = &'a [u8]>) {
        let mut known = self.ahead;
        for slice in slices {
            let (_, new) = slice.split_at(known.min(slice.len()));
            known -= slice.len() - new.len();
            self.ahead += new.len();
            self.feed(new);
        }
    }

    /// What is to be written next.
    pub(super) fn next(&self) -> &[u8] {
        &self.out[self.written..]
    }

    /// Notes that so many bytes of [`Self::next`] were written, and says how many of the crate's are. Where nothing is to be written, that is
    /// all that was taken.
    pub(super) fn wrote(&mut self, mut count: usize) -> usize {
        self.written += count;
        let mut taken = 0;
        while let Some(part) = self.parts.front_mut() {
            if count >= part.out {
                count -= part.out;
                taken += part.taken;
                self.parts.pop_front();
                continue;
            }
            if part.out == part.taken {
                taken += count;
                part.taken -= count;
            }
            part.out -= count;
            break;
        }
        if self.parts.is_empty() {
            self.out.clear();
            (self.written, self.parted) = (0, 0);
            taken += std::mem::take(&mut self.owed);
        }
        self.ahead -= taken;
        taken
    }

    fn feed(&mut self, bytes: &[u8]) {
        let joined;
        let before = self.pending.len();
        let mut rest = if before == 0 {
            bytes
        } else {
            self.pending.extend_from_slice(bytes);
            joined = std::mem::take(&mut self.pending);
            &joined[..]
        };
        // Those of the beginning were counted when it came.
        let mut counted = before;
        while let Some(size) = self.size(rest) {
            let (frame, behind) = rest.split_at(size);
            self.owed += size - std::mem::take(&mut counted);
            self.frame(frame);
            rest = behind;
        }
        self.owed += rest.len() - counted;
        if self.foreign {
            self.pass(rest);
        } else {
            self.pending = rest.to_vec();
        }
    }

    /// The size of the frame, or of the protocol's own header, that is there as a whole.
    fn size(&mut self, bytes: &[u8]) -> Option<usize> {
        let kind = *bytes.first()?;
        if kind == b'A' && !self.foreign {
            // The protocol's own header, before the first frame.
            return (bytes.len() >= 8).then_some(8);
        }
        whole(bytes, &mut self.foreign)
    }

    fn frame(&mut self, frame: &[u8]) {
        let channel = u16::from_be_bytes([frame[1], frame[2]]);
        match frame[0] {
            METHOD if is_nameless(payload(frame)) => _ = self.nameless.insert(channel, frame.to_vec()),
            HEADER => {
                let publish = self.nameless.remove(&channel);
                match unwrapped(payload(frame)) {
                    None => {
                        if let Some(publish) = publish {
                            self.out.extend_from_slice(&publish);
                        }
                        self.out.extend_from_slice(frame);
                    }
                    Some((names, header)) => {
                        if let Some(publish) = publish {
                            push(&mut self.out, &publish, &named(payload(&publish), names));
                        }
                        push(&mut self.out, frame, &header);
                    }
                }
                self.part();
            }
            _ => self.pass(frame),
        }
    }

    /// Adds bytes that were not changed.
    fn pass(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
        self.part();
    }

    /// What was added last is one piece, made of all that is owed.
    fn part(&mut self) {
        let out = self.out.len() - std::mem::replace(&mut self.parted, self.out.len());
        let taken = std::mem::take(&mut self.owed);
        match self.parts.back_mut() {
            Some(last) if last.out == last.taken && out == taken => (last.out, last.taken) = (last.out + out, last.taken + taken),
            _ => self.parts.push_back(Part { out, taken }),
        }
    }
}

/// What is between a frame's head and its end mark.
fn payload(frame: &[u8]) -> &[u8] {
    frame.get(7..frame.len() - 1).unwrap_or_default()
}

/// basic.publish to no exchange by no key: their names may stand with the properties.
fn is_nameless(payload: &[u8]) -> bool {
    // Class, method and a reserved number; two empty short strings.
    payload.get(..8) == Some(&[0, BASIC as u8, 0, PUBLISH as u8, 0, 0, 0, 0])
}

fn named(publish: &[u8], names: Option<foreign::Names<'_>>) -> Vec<u8> {
    let Some((exchange, key)) = names else { return publish.to_vec() };
    [&publish[..6], &[exchange.len() as u8], exchange, &[key.len() as u8], key, &publish[8..]].concat()
}

/// The names and the content header that were wrapped.
fn unwrapped(payload: &[u8]) -> Option<(Option<foreign::Names<'_>>, Vec<u8>)> {
    let (before, properties) = payload.split_at_checked(12)?;
    let mut reader = Reader(properties);
    if reader.u16()? != foreign::HEADERS {
        return None;
    }
    let mut table = Reader(reader.long()?);
    if table.short()? != WRAPPED.as_bytes() || table.take(1)? != b"x" {
        return None;
    }
    let (names, properties) = foreign::parts(table.long()?)?;
    Some((names, [before, properties].concat()))
}

#[cfg(test)]
mod tests {
    use super::super::frames::{BODY, END};
    use super::*;
    use proptest::prelude::*;

    fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
        [&[kind, 0, 7], &(payload.len() as u32).to_be_bytes()[..], payload, &[END]].concat()
    }

    fn publish(exchange: &[u8], key: &[u8]) -> Vec<u8> {
        frame(METHOD, &[&[0, 60, 0, 40, 0, 0, exchange.len() as u8][..], exchange, &[key.len() as u8], key, &[1]].concat())
    }

    fn header(properties: &[u8]) -> Vec<u8> {
        frame(HEADER, &[&[0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2], properties].concat())
    }

    fn wrapped(names: Option<foreign::Names<'_>>, properties: &[u8]) -> Vec<u8> {
        let wrapped = foreign::wrap(names, properties);
        let table = [&[WRAPPED.len() as u8], WRAPPED.as_bytes(), b"x", &(wrapped.len() as u32).to_be_bytes(), &wrapped].concat();
        header(&[&foreign::HEADERS.to_be_bytes(), &(table.len() as u32).to_be_bytes()[..], &table].concat())
    }

    /// What the crate writes, and what is to come of it.
    fn stream() -> (Vec<u8>, Vec<u8>) {
        let (open, body, properties) = (b"AMQP\x00\x00\x09\x01", frame(BODY, b"ab"), &[0x04, 0, 2, 0xff, 0xfe]);
        let names = (&b"e"[..], &b"k\xff"[..]);
        let given =
            [&open[..], &publish(b"e", b"k"), &header(&[0, 0]), &body, &publish(b"", b""), &wrapped(Some(names), properties), &body]
                .concat();
        let given = [&given[..], &publish(b"", b"q"), &wrapped(None, properties), &publish(b"", b""), &header(&[0, 0]), &body].concat();
        let sent =
            [&open[..], &publish(b"e", b"k"), &header(&[0, 0]), &body, &publish(b"e", b"k\xff"), &header(properties), &body].concat();
        (given, [&sent[..], &publish(b"", b"q"), &header(properties), &publish(b"", b""), &header(&[0, 0]), &body].concat())
    }

    proptest! {
        /// The crate offers from a place on, the socket takes some of it, and the crate goes on behind what was said to be written.
        #[test]
        fn wrapped_properties_go_out_as_they_are_however_they_are_cut(
            cuts in prop::collection::vec((1_usize..90, 0_usize..60), 1..60),
            whole in any::<bool>(),
        ) {
            let (given, expected) = stream();
            let (mut sent, mut at, mut out) = (Sent::default(), 0_usize, Vec::new());
            for (offered, taken) in cuts.into_iter().chain(std::iter::repeat_n((usize::MAX, 50), 40)) {
                let end = if whole { given.len() } else { at.saturating_add(offered.max(sent.ahead)).min(given.len()) };
                let (one, other) = given[at..end].split_at((end - at) / 2);
                sent.offer([one, other].into_iter());
                let next = sent.next();
                let count = taken.min(next.len());
                out.extend_from_slice(&next[..count]);
                at += sent.wrote(count);
            }
            prop_assert_eq!((at, out), (given.len(), expected));
        }

        #[test]
        fn no_bytes_end_it(parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..6)) {
            let mut sent = Sent::default();
            for part in parts {
                let count = sent.next().len();
                sent.wrote(count);
                prop_assert_eq!(sent.ahead, 0);
                sent.offer(std::iter::once(&part[..]));
            }
        }
    }

    #[test]
    fn what_was_not_written_is_not_said_to_be() {
        let mut sent = Sent::default();
        let plain = [publish(b"e", b"k"), header(&[0, 0]), frame(BODY, b"ab")].concat();
        sent.offer(std::iter::once(&plain[..]));
        assert_eq!(sent.next(), plain);
        assert_eq!(sent.wrote(7), 7);
        sent.offer(std::iter::once(&plain[7..]));
        assert_eq!((sent.next().len(), sent.wrote(plain.len() - 7)), (plain.len() - 7, plain.len() - 7));
        let wrapped = wrapped(None, &[0x04, 0, 1, 0xff]);
        sent.offer(std::iter::once(&wrapped[..]));
        let size = sent.next().len();
        assert!(size < wrapped.len());
        assert_eq!((sent.wrote(size - 1), sent.wrote(1)), (0, wrapped.len()));
    }
}
