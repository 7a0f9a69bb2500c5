//! What a server sends, read in place: `INFO`, `MSG`, `HMSG`, `PING`, `PONG`, `+OK`, `-ERR`.
//!
//! A message is five ranges of the buffer that it came in. Nothing of subject, headers and payload is looked at here: whatever bytes
//! they hold, the frame says where they end.

use bytes::Bytes;
use memchr::memchr;

/// A line longer than this is no line of this protocol. `INFO` names every server of a cluster.
const LONGEST_LINE: usize = 1 << 20;
/// A message with its headers is not longer than this; servers take 64 MiB at most.
pub(crate) const LONGEST_MESSAGE: usize = 128 << 20;
/// What of a line that cannot be read is shown.
const SHOWN: usize = 60;

/// A part of the buffer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Part {
    start: u32,
    end: u32,
}

impl Part {
    fn new(start: usize, end: usize) -> Self {
        Self { start: u32::try_from(start).unwrap_or(u32::MAX), end: u32::try_from(end).unwrap_or(u32::MAX) }
    }

    pub(crate) fn bytes(self, buffer: &[u8]) -> &[u8] {
        buffer.get(self.start as usize..self.end as usize).unwrap_or_default()
    }

    /// The part as bytes that share the buffer.
    pub(crate) fn share(self, buffer: &Bytes) -> Bytes {
        if self.is_empty() || self.end as usize > buffer.len() {
            return Bytes::new();
        }
        buffer.slice(self.start as usize..self.end as usize)
    }

    pub(crate) fn is_empty(self) -> bool {
        self.start >= self.end
    }

    fn len(self) -> usize {
        self.end.saturating_sub(self.start) as usize
    }
}

/// Where a message's parts are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    /// The subscription's number.
    pub(crate) sid: u64,
    pub(crate) subject: Part,
    pub(crate) reply: Part,
    /// The header block, with its first line; empty without headers.
    pub(crate) block: Part,
    pub(crate) payload: Part,
}

impl Span {
    /// Bytes of all parts.
    pub(crate) fn size(&self) -> usize {
        self.subject.len() + self.reply.len() + self.block.len() + self.payload.len()
    }
}

/// One thing that the server says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    Message(Span),
    Info(Part),
    Error(Part),
    Ping,
    Pong,
    Ok,
}

/// What stands at a place of the buffer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// A frame, and where the next begins.
    Frame(Frame, usize),
    /// It is not all there: so many bytes at least are missing.
    More(usize),
    /// This is not NATS, and where the next frame begins is not known.
    Strange(String),
}

/// Reads the frame that begins at `at`.
pub(crate) fn read(buffer: &[u8], at: usize) -> Read {
    let rest = buffer.get(at..).unwrap_or_default();
    let Some(end) = memchr(b'\n', rest) else {
        return if rest.len() > LONGEST_LINE { strange(rest) } else { More(1) };
    };
    let line = &rest[..end];
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let next = at + end + 1;
    let after = |word: &[u8]| Part::new(at + word.len().min(line.len()), at + line.len());
    match line {
        [b'M', b'S', b'G', b' ' | b'\t', ..] => message(buffer, (at + 4, at + line.len()), next, false),
        [b'H', b'M', b'S', b'G', b' ' | b'\t', ..] => message(buffer, (at + 5, at + line.len()), next, true),
        b"PING" => Read::Frame(Frame::Ping, next),
        b"PONG" => Read::Frame(Frame::Pong, next),
        _ if line.starts_with(b"+OK") => Read::Frame(Frame::Ok, next),
        _ if line.starts_with(b"-ERR") => Read::Frame(Frame::Error(after(b"-ERR ")), next),
        _ if line.starts_with(b"INFO ") => Read::Frame(Frame::Info(after(b"INFO ")), next),
        _ => strange(line),
    }
}

use Read::More;

fn strange(line: &[u8]) -> Read {
    Read::Strange(String::from_utf8_lossy(&line[..line.len().min(SHOWN)]).into_owned())
}

/// `MSG subject sid [reply] size`, `HMSG subject sid [reply] size-of-headers size`; the bytes stand behind the line.
fn message(buffer: &[u8], (from, to): (usize, usize), next: usize, headers: bool) -> Read {
    let unclear = || strange(&buffer[from..to]);
    let (words, count) = words(buffer, from, to);
    let sizes = if headers { 2 } else { 1 };
    // One more word is the reply subject.
    let reply = match count.checked_sub(2 + sizes) {
        Some(0) => Part::default(),
        Some(1) => words[2],
        _ => return unclear(),
    };
    let number = |word: Part| decimal(word.bytes(buffer));
    let (Some(sid), Some(all), Some(block)) =
        (number(words[1]), number(words[count - 1]), if headers { number(words[count - 2]) } else { Some(0) })
    else {
        return unclear();
    };
    let (Ok(all), Ok(block)) = (usize::try_from(all), usize::try_from(block)) else { return unclear() };
    if all > LONGEST_MESSAGE || block > all {
        return unclear();
    }
    let end = next + all;
    match buffer.get(end..end + 2) {
        Some(b"\r\n") => {
            let (block, payload) = (Part::new(next, next + block), Part::new(next + block, end));
            Read::Frame(Frame::Message(Span { sid, subject: words[0], reply, block, payload }), end + 2)
        }
        Some(_) => unclear(),
        None => More((end + 2).saturating_sub(buffer.len())),
    }
}

/// The words of a part, and how many there are; 6 are too many for any line.
fn words(buffer: &[u8], from: usize, to: usize) -> ([Part; 6], usize) {
    let (mut words, mut count, mut start) = ([Part::default(); 6], 0, from);
    // One more blank ends the last word.
    for (at, byte) in (from..).zip(buffer[from..to].iter().chain([&b' '])) {
        if matches!(byte, b' ' | b'\t') {
            if at > start && count < words.len() {
                words[count] = Part::new(start, at);
                count += 1;
            }
            start = at + 1;
        }
    }
    (words, count)
}

fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 19 {
        return None;
    }
    text.iter().try_fold(0_u64, |number, digit| digit.is_ascii_digit().then(|| number * 10 + u64::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Everything that can be read, and what stands behind it.
    fn all(buffer: &[u8]) -> (Vec<Frame>, Read) {
        let (mut frames, mut at) = (Vec::new(), 0);
        loop {
            match read(buffer, at) {
                Read::Frame(frame, next) => {
                    assert!(next > at && next <= buffer.len());
                    frames.push(frame);
                    at = next;
                }
                other => return (frames, other),
            }
        }
    }

    #[test]
    fn every_verb_is_read_and_what_is_not_all_there_waits() {
        let buffer = b"INFO {\"a\":1}\r\n+OK\r\nPING\r\nPONG\r\n-ERR 'Stale Connection'\r\nMSG a.b 7 5\r\nh\r\nlo\r\nHMSG a 8 r.1 12 13\r\nNATS/1.0\r\n\r\nx\r\n";
        let (frames, rest) = all(buffer);
        assert_eq!((frames.len(), &rest), (7, &More(1)));
        let texts: Vec<&[u8]> = frames
            .iter()
            .filter_map(|frame| match frame {
                Frame::Info(part) | Frame::Error(part) => Some(part.bytes(buffer)),
                _ => None,
            })
            .collect();
        assert_eq!(texts, [&b"{\"a\":1}"[..], b"'Stale Connection'"]);
        let Frame::Message(plain) = frames[5] else { panic!("{:?}", frames[5]) };
        assert_eq!((plain.sid, plain.subject.bytes(buffer), plain.payload.bytes(buffer)), (7, &b"a.b"[..], &b"h\r\nlo"[..]));
        assert!(plain.reply.is_empty() && plain.block.is_empty());
        let Frame::Message(full) = frames[6] else { panic!("{:?}", frames[6]) };
        assert_eq!((full.reply.bytes(buffer), full.block.bytes(buffer)), (&b"r.1"[..], &b"NATS/1.0\r\n\r\n"[..]));
        assert_eq!(full.payload.share(&Bytes::from_static(b"x")), Bytes::new(), "a part of another buffer is nothing");
        for cut in 0..buffer.len() {
            let (frames, rest) = all(&buffer[..cut]);
            assert!(frames.len() <= 7 && matches!(rest, More(missing) if missing > 0), "{cut}: {rest:?}");
        }
    }

    #[test]
    fn what_is_not_nats_is_shown_and_a_length_that_cannot_be_is_not_waited_for() {
        for (bytes, shown) in [
            (&b"HTTP/1.1 400 Bad Request\r\n"[..], "HTTP/1.1 400 Bad Request"),
            (b"MSG a 1\r\n", "a 1"),
            (b"MSG a x 1\r\nh\r\n", "a x 1"),
            (b"MSG a 1 99999999999\r\n", "a 1 99999999999"),
            (b"MSG a 1 99999999999999999999999\r\n", "a 1 99999999999999999999999"),
            (b"HMSG a 1 5 4\r\n", "a 1 5 4"),
            (b"MSG a 1 1\r\nhello\r\n", "a 1 1"),
            (b"MSG a 1 b c d e f 1\r\n", "a 1 b c d e f 1"),
        ] {
            assert_eq!(read(bytes, 0), Read::Strange(shown.to_owned()));
        }
        assert!(matches!(read(&vec![b'x'; LONGEST_LINE + 2], 0), Read::Strange(_)));
        assert_eq!(read(b"MSG a 1 1000\r\n", 0), More(1_002));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic_or_stay(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            all(&bytes);
        }

        #[test]
        fn nearly_right_bytes_neither(text in "((MSG|HMSG|INFO|-ERR|PING|PONG)[ \t]?[a-c >.0-9\r\n]{0,30}){0,6}") {
            all(text.as_bytes());
        }

        #[test]
        fn what_a_message_holds_comes_back_whole(
            subject in proptest::collection::vec(0x21_u8..=0xff, 1..20),
            reply in proptest::option::of(proptest::collection::vec(0x21_u8..=0xff, 1..20)),
            block in proptest::collection::vec(any::<u8>(), 0..80),
            payload in proptest::collection::vec(any::<u8>(), 0..80),
        ) {
            let mut bytes = b"HMSG ".to_vec();
            bytes.extend_from_slice(&subject);
            bytes.extend_from_slice(b" 12 ");
            if let Some(reply) = &reply {
                bytes.extend_from_slice(reply);
                bytes.push(b' ');
            }
            bytes.extend_from_slice(format!("{} {}\r\n", block.len(), block.len() + payload.len()).as_bytes());
            bytes.extend_from_slice(&block);
            bytes.extend_from_slice(&payload);
            bytes.extend_from_slice(b"\r\nPING\r\n");
            let (frames, rest) = all(&bytes);
            prop_assert_eq!(rest, More(1));
            prop_assert_eq!(frames.len(), 2);
            let Frame::Message(span) = frames[0] else { panic!("{frames:?}") };
            prop_assert_eq!(span.subject.bytes(&bytes), &subject[..]);
            prop_assert_eq!(span.reply.bytes(&bytes), reply.as_deref().unwrap_or_default());
            prop_assert_eq!(span.block.bytes(&bytes), &block[..]);
            prop_assert_eq!(span.payload.bytes(&bytes), &payload[..]);
        }
    }
}
