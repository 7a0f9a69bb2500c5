//! The bytes of the NATS client protocol: what the server says, found in a buffer, and what is said to it.
//!
//! Source: <https://docs.nats.io/reference/reference-protocols/nats-protocol>. Headers stay bytes here: `headers.rs` reads them.

use bytes::{BufMut, Bytes, BytesMut};
use std::ops::Range;

/// The longest line that is waited for: `INFO` of a large cluster is the longest there is.
const MAX_LINE: usize = 1 << 20;
/// No server takes messages above 64 MiB; what announces more is no NATS server.
const MAX_MESSAGE: usize = 80 << 20;

/// A message as it came. Bytes are shared with the buffer it was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Msg {
    pub(super) sid: u64,
    pub(super) subject: Bytes,
    pub(super) reply: Option<Bytes>,
    /// From `NATS/1.0` to the empty line, both included; `None` without headers.
    pub(super) headers: Option<Bytes>,
    pub(super) payload: Bytes,
}

/// One thing that the server says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Op {
    Info(Bytes),
    Msg(Msg),
    Ping,
    Pong,
    Err(String),
}

/// Where an operation's parts stand in the buffer.
enum Span {
    Info(Range<usize>),
    Msg { sid: u64, subject: Range<usize>, reply: Option<Range<usize>>, headers: Range<usize>, payload: Range<usize> },
    Ping,
    Pong,
    Ok,
    Err(Range<usize>),
}

/// Takes every whole operation out of the buffer; the rest stays for the next read.
///
/// # Errors
/// What is wrong with it: this is not the NATS protocol, and nothing after it can be understood.
pub(super) fn take(buffer: &mut BytesMut) -> Result<Vec<Op>, String> {
    let mut spans = Vec::new();
    let mut at = 0;
    while let Some((span, next)) = scan(buffer, at)? {
        spans.push(span);
        at = next;
    }
    if at == 0 {
        return Ok(Vec::new());
    }
    let bytes = buffer.split_to(at).freeze();
    Ok(spans.into_iter().filter_map(|span| op(span, &bytes)).collect())
}

fn op(span: Span, bytes: &Bytes) -> Option<Op> {
    Some(match span {
        Span::Info(range) => Op::Info(bytes.slice(range)),
        Span::Msg { sid, subject, reply, headers, payload } => Op::Msg(Msg {
            sid,
            subject: bytes.slice(subject),
            reply: reply.map(|reply| bytes.slice(reply)),
            headers: (!headers.is_empty()).then(|| bytes.slice(headers)),
            payload: bytes.slice(payload),
        }),
        Span::Ping => Op::Ping,
        Span::Pong => Op::Pong,
        Span::Ok => return None,
        Span::Err(range) => Op::Err(String::from_utf8_lossy(&bytes[range]).trim_matches('\'').to_owned()),
    })
}

/// The operation that begins at `at`, and where the next one begins; `None` if it is not whole yet.
fn scan(buffer: &[u8], at: usize) -> Result<Option<(Span, usize)>, String> {
    let rest = &buffer[at..];
    let Some(end) = memchr::memchr(b'\n', rest) else {
        return if rest.len() > MAX_LINE { Err("a line does not end".to_owned()) } else { Ok(None) };
    };
    let next = at + end + 1;
    let line_end = if end > 0 && rest[end - 1] == b'\r' { at + end - 1 } else { at + end };
    let line = &buffer[at..line_end];
    let word_end = line.iter().position(|b| *b == b' ' || *b == b'\t').unwrap_or(line.len());
    let arguments = at + word_end..line_end;
    let is = |word: &[u8]| line[..word_end].eq_ignore_ascii_case(word);
    let span = if is(b"MSG") {
        return message(buffer, arguments, next, false);
    } else if is(b"HMSG") {
        return message(buffer, arguments, next, true);
    } else if is(b"PING") {
        Span::Ping
    } else if is(b"PONG") {
        Span::Pong
    } else if is(b"+OK") {
        Span::Ok
    } else if is(b"-ERR") {
        Span::Err(trimmed(buffer, arguments))
    } else if is(b"INFO") {
        Span::Info(trimmed(buffer, arguments))
    } else {
        let shown: String = String::from_utf8_lossy(&line[..line.len().min(40)]).into_owned();
        return Err(format!("`{shown}` is no operation of the NATS protocol"));
    };
    Ok(Some((span, next)))
}

fn trimmed(buffer: &[u8], range: Range<usize>) -> Range<usize> {
    let start = range.clone().find(|at| !buffer[*at].is_ascii_whitespace()).unwrap_or(range.end);
    start..range.end
}

/// `MSG subject sid [reply] size`, `HMSG subject sid [reply] header-size size`.
fn message(buffer: &[u8], arguments: Range<usize>, body: usize, headed: bool) -> Result<Option<(Span, usize)>, String> {
    let wrong = || format!("`{}` are not the arguments of a message", String::from_utf8_lossy(&buffer[arguments.clone()]));
    // At most five words.
    let mut words: [Range<usize>; 5] = Default::default();
    let (mut count, mut at) = (0, arguments.start);
    while at < arguments.end {
        if buffer[at] == b' ' || buffer[at] == b'\t' {
            at += 1;
            continue;
        }
        let end = (at..arguments.end).find(|i| buffer[*i] == b' ' || buffer[*i] == b'\t').unwrap_or(arguments.end);
        *words.get_mut(count).ok_or_else(wrong)? = at..end;
        count += 1;
        at = end;
    }
    let numbers = if headed { 2 } else { 1 };
    if count != 2 + numbers && count != 3 + numbers {
        return Err(wrong());
    }
    let number = |word: &Range<usize>| atoi(&buffer[word.clone()]).ok_or_else(wrong);
    let size = number(&words[count - 1])?;
    let head = if headed { number(&words[count - 2])? } else { 0 };
    if size > MAX_MESSAGE || head > size {
        return Err(wrong());
    }
    let end = body + size;
    if buffer.len() < end + 2 {
        return Ok(None);
    }
    if &buffer[end..end + 2] != b"\r\n" {
        return Err("a message does not end where it says".to_owned());
    }
    let reply = (count == 3 + numbers).then(|| words[2].clone());
    let sid = number(&words[1])? as u64;
    let span = Span::Msg { sid, subject: words[0].clone(), reply, headers: body..body + head, payload: body + head..end };
    Ok(Some((span, end + 2)))
}

fn atoi(digits: &[u8]) -> Option<usize> {
    if digits.is_empty() || digits.len() > 18 {
        return None;
    }
    digits.iter().try_fold(0, |n: usize, digit| digit.is_ascii_digit().then(|| n * 10 + usize::from(digit - b'0')))
}

/// `PUB` or, with headers, `HPUB`.
pub(super) fn publish(subject: &str, reply: Option<&str>, headers: Option<&[u8]>, payload: &[u8]) -> Bytes {
    let head = headers.map_or(0, <[u8]>::len);
    let mut out = BytesMut::with_capacity(subject.len() + head + payload.len() + 64);
    out.put_slice(if headers.is_some() { b"HPUB " } else { b"PUB " });
    out.put_slice(subject.as_bytes());
    out.put_u8(b' ');
    if let Some(reply) = reply {
        out.put_slice(reply.as_bytes());
        out.put_u8(b' ');
    }
    if headers.is_some() {
        out.put_slice(format!("{head} ").as_bytes());
    }
    out.put_slice(format!("{}\r\n", head + payload.len()).as_bytes());
    out.put_slice(headers.unwrap_or_default());
    out.put_slice(payload);
    out.put_slice(b"\r\n");
    out.freeze()
}

/// `SUB subject [queue] sid`.
pub(super) fn subscribe(subject: &str, sid: u64) -> Bytes {
    format!("SUB {subject} {sid}\r\n").into()
}

/// `UNSUB sid`.
pub(super) fn unsubscribe(sid: u64) -> Bytes {
    format!("UNSUB {sid}\r\n").into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TALK: &[u8] = b"INFO {\"a\":1}\r\nPING\r\nMSG orders.created 7 5\r\nhello\r\n+OK\r\nMSG a 8 _INBOX.x.1 0\r\n\r\n\
        HMSG b 9 14 16\r\nNATS/1.0\r\nA:\r\n\r\n-ERR 'Authorization Violation'\r\npong\r\n";

    fn told(chunks: &[&[u8]]) -> Vec<Op> {
        let mut buffer = BytesMut::new();
        let mut ops = Vec::new();
        for chunk in chunks {
            buffer.extend_from_slice(chunk);
            ops.extend(take(&mut buffer).expect("the protocol"));
        }
        ops
    }

    #[test]
    fn a_talk_is_understood_however_it_is_cut() {
        let whole = told(&[TALK]);
        assert_eq!(whole.len(), 7, "{whole:?}");
        assert_eq!(whole[0], Op::Info(Bytes::from_static(b"{\"a\":1}")));
        let Op::Msg(headed) = &whole[4] else { panic!("{whole:?}") };
        assert_eq!((headed.sid, headed.headers.as_deref(), &*headed.payload), (9, Some(&b"NATS/1.0\r\nA:\r\n"[..]), &b"\r\n"[..]));
        assert_eq!(whole[5], Op::Err("Authorization Violation".to_owned()));
        for cut in 0..TALK.len() {
            assert_eq!(told(&[&TALK[..cut], &TALK[cut..]]), whole, "cut at {cut}");
        }
    }

    #[test]
    fn what_is_not_nats_is_told() {
        for wrong in [
            "HTTP/1.1 400 Bad Request\r\n",
            "MSG a 1\r\n",
            "MSG a 1 x\r\n",
            "HMSG a 1 9 5\r\nhello\r\n",
            "MSG a 1 2\r\nabc\r\n",
            "MSG a 1 99999999999\r\n",
        ] {
            assert!(take(&mut BytesMut::from(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_message_is_framed_as_the_server_reads_it() {
        assert_eq!(&publish("a", Some("r"), Some(b"NATS/1.0\r\n\r\n"), b"xy")[..], b"HPUB a r 12 14\r\nNATS/1.0\r\n\r\nxy\r\n");
        assert_eq!(&publish("a", None, None, b"")[..], b"PUB a 0\r\n\r\n");
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = take(&mut BytesMut::from(&bytes[..]));
            let mut framed = b"MSG a 1 ".to_vec();
            framed.extend(bytes);
            let _ = take(&mut BytesMut::from(&framed[..]));
        }
    }
}
