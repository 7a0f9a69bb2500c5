//! NATS header blocks (ADR-4): read as they came, and written.
//!
//! A block is `NATS/1.0` and lines of `Name: value`. Who publishes may write anything there. What can be read as such a line is one, in
//! its place; what cannot is shown whole, as a header that has no value, which no other line can be.

use super::wire::mailbox::Msg;
use crate::domain::message::Header;
use bytes::Bytes;

const VERSION: &[u8] = b"NATS/1.0";

/// The headers of a block, in their order.
pub(super) fn of(block: &Bytes) -> Vec<Header> {
    let mut list = Vec::new();
    for (number, line) in lines(block).enumerate() {
        if line.is_empty() || (number == 0 && line.trim_ascii_end() == VERSION) {
            continue;
        }
        let colon = if number == 0 { None } else { memchr::memchr(b':', line) };
        list.push(match colon {
            Some(colon) => Header { name: block.slice_ref(&line[..colon]), value: Some(block.slice_ref(trim(&line[colon + 1..]))) },
            None => Header { name: block.slice_ref(line), value: None },
        });
    }
    list
}

/// The lines of a block. A CR or LF that stands alone belongs to its line.
fn lines(block: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = block.get(at..).filter(|rest| !rest.is_empty())?;
        let end = memchr::memchr_iter(b'\n', rest).find(|end| end.checked_sub(1).is_some_and(|before| rest[before] == b'\r'));
        at += end.map_or(rest.len(), |end| end + 1);
        Some(end.map_or(rest, |end| &rest[..end - 1]))
    })
}

/// Without the blanks around it, which say nothing in this protocol.
fn trim(value: &[u8]) -> &[u8] {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let from = value.iter().position(|byte| !blank(byte)).unwrap_or(value.len());
    let to = value.iter().rposition(|byte| !blank(byte)).map_or(from, |last| last + 1);
    &value[from..to]
}

/// The number behind `NATS/1.0` in the server's own answers, and its reason: 404, `No Messages`. A publisher may write such a line too.
pub(super) fn status(message: &Msg) -> Option<(u16, String)> {
    let line = lines(&message.block).next()?.strip_prefix(VERSION)?.strip_prefix(b" ")?;
    let text = String::from_utf8_lossy(line);
    let (code, reason) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
    if code.len() != 3 {
        return None;
    }
    Some((code.parse().ok()?, reason.trim().to_owned()))
}

/// Where the last header of exactly that name is: what a server adds stands behind what the publisher wrote.
pub(super) fn at(list: &[Header], name: &str) -> Option<usize> {
    list.iter().rposition(|header| header.name == name.as_bytes() && header.value.is_some())
}

/// The block of these headers; nothing for none.
///
/// # Errors
/// Which header cannot be written as it is: NATS has no way to say it.
pub(super) fn block(list: &[Header]) -> Result<Vec<u8>, String> {
    if list.is_empty() {
        return Ok(Vec::new());
    }
    let mut block = [VERSION, b"\r\n"].concat();
    for header in list {
        let shown = String::from_utf8_lossy(&header.name);
        let value = header.value.as_deref().ok_or_else(|| format!("the header `{shown}` has no value, and NATS has no way to say so"))?;
        if header.name.is_empty() || !header.name.iter().all(|byte| byte.is_ascii_graphic() && *byte != b':') {
            return Err(format!("`{shown}` cannot be the name of a header: visible ASCII without a colon"));
        }
        if trim(value) != value {
            return Err(format!("the header `{shown}` begins or ends with a blank, which NATS does not keep"));
        }
        if value.iter().any(|byte| matches!(byte, b'\r' | b'\n')) {
            return Err(format!("the value of the header `{shown}` holds a line break, which NATS has no way to say"));
        }
        for part in [&header.name[..], b": ", value, b"\r\n"] {
            block.extend_from_slice(part);
        }
    }
    block.extend_from_slice(b"\r\n");
    Ok(block)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn header(name: &str, value: &str) -> Header {
        Header { name: name.to_owned().into(), value: Some(value.to_owned().into()) }
    }

    fn read(block: &[u8]) -> Vec<(String, Option<String>)> {
        let shown = |bytes: &[u8]| bytes.escape_ascii().to_string();
        of(&Bytes::copy_from_slice(block)).iter().map(|h| (shown(&h.name), h.value.as_deref().map(shown))).collect()
    }

    #[test]
    fn what_a_publisher_wrote_is_shown_whatever_it_is() {
        for (block, expected) in [
            (&b""[..], &[][..]),
            (b"NATS/1.0\r\n\r\n", &[]),
            (b"NATS/1.0\r\nB: 1\r\na:2\r\nB:  ue 3 \r\n\r\n", &[("B", Some("1")), ("a", Some("2")), ("B", Some("ue 3"))]),
            (b"NATS/1.0\r\nA: x\ry\r\nB: x\ny\r\nC: x\r\r\n\r\n", &[("A", Some("x\\ry")), ("B", Some("x\\ny")), ("C", Some("x\\r"))]),
            (b"NATS/1.0\r\nA: caf\xe9\r\nB\xff: \0\r\n\r\n", &[("A", Some("caf\\xe9")), ("B\\xff", Some("\\x00"))]),
            (b"NATS/1.0\r\na b: x\r\n c: d\r\n: e\r\n\r\n", &[("a b", Some("x")), (" c", Some("d")), ("", Some("e"))]),
            (b"NATS/1.0\r\nno colon\r\nA: x\r\n\r\n", &[("no colon", None), ("A", Some("x"))]),
            (b"NATS/1.0 404 Mine\r\nA: x\r\n\r\n", &[("NATS/1.0 404 Mine", None), ("A", Some("x"))]),
            (b"NATS/1.0\nA: x\n\n", &[("NATS/1.0\\nA: x\\n\\n", None)]),
            (b"NATS/1.0\r\nA: x\r\n\r\nB: y", &[("A", Some("x")), ("B", Some("y"))]),
            (b"\r\n", &[]),
        ] {
            let expected: Vec<_> = expected.iter().map(|(name, value)| ((*name).to_owned(), value.map(str::to_owned))).collect();
            assert_eq!(read(block), expected, "{}", block.escape_ascii());
        }
    }

    #[test]
    fn the_servers_own_header_is_the_last_of_exactly_its_name() {
        let list = [header("Nats-Sequence", "7"), header("nats-sequence", "8"), header("Nats-Sequence", "9"), header("Nats-sequence", "1")];
        assert_eq!((at(&list, "Nats-Sequence"), at(&list, "Nats-Stream")), (Some(2), None));
    }

    #[test]
    fn a_status_is_three_digits_behind_the_version() {
        let status = |block: &'static [u8]| status(&Msg { block: Bytes::from_static(block), ..Msg::default() });
        assert_eq!(status(b"NATS/1.0 404 No Messages\r\nA: b\r\n\r\n"), Some((404, "No Messages".to_owned())));
        assert_eq!(status(b"NATS/1.0 503\r\n\r\n"), Some((503, String::new())));
        for none in [&b""[..], b"NATS/1.0\r\n404: x\r\n\r\n", b"NATS/1.0 4040\r\n\r\n", b"NATS/1.0 x\r\n\r\n"] {
            assert_eq!(status(none), None);
        }
    }

    #[test]
    fn what_nats_would_change_is_refused() {
        let missing = Header { name: "a".into(), value: None };
        for wrong in [missing, header("", "x"), header("a b", "x"), header("a:b", "x"), header("a", "x\r\ny: z"), header("a", " x")] {
            assert!(block(std::slice::from_ref(&wrong)).is_err(), "{wrong:?}");
        }
        assert_eq!(block(&[]).as_deref(), Ok(&b""[..]));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic_and_none_is_lost_but_blanks(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let text = |byte: &&u8| !matches!(**byte, b' ' | b'\t' | b':' | b'\r' | b'\n');
            let block = Bytes::from([b"NATS/1.0\r\n", &bytes[..]].concat());
            let parts: Vec<u8> = of(&block).iter().flat_map(|h| [&h.name[..], h.value.as_deref().unwrap_or_default()].concat()).collect();
            prop_assert_eq!(parts.iter().filter(text).collect::<Vec<_>>(), bytes.iter().filter(text).collect::<Vec<_>>());
        }

        #[test]
        fn what_is_written_is_read_back(list in proptest::collection::vec(("[!-9;-~]{1,9}", proptest::collection::vec(0x21_u8..=0xff, 0..9)), 0..6)) {
            let list: Vec<Header> = list.into_iter().map(|(name, value)| Header { name: name.into(), value: Some(value.into()) }).collect();
            prop_assert_eq!(of(&Bytes::from(block(&list).expect("written"))), list);
        }
    }
}
