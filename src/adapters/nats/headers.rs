//! NATS headers: the client's map of them to ours and back, and the header block of a stored message as the JetStream API gives it.
//!
//! The client keeps headers in a map: the order of values under one name is kept, that of the names is not. So that a message looks
//! the same however it was read, names are always told in the order of their letters.

use crate::domain::message::Header;
use async_nats::{HeaderMap, HeaderName, HeaderValue, Message};
use bytes::Bytes;

/// The headers of a message as it came, by name; values under one name in their order.
pub(super) fn of(message: &Message) -> Vec<Header> {
    let Some(map) = &message.headers else { return Vec::new() };
    let mut list = Vec::with_capacity(map.len());
    for (name, values) in map.iter() {
        let name = Bytes::copy_from_slice(name.as_ref());
        list.extend(values.iter().map(|value| Header { name: name.clone(), value: Some(Bytes::copy_from_slice(value.as_ref())) }));
    }
    sorted(list)
}

/// The number behind `NATS/1.0` in the server's own answers: 503, 404.
pub(super) fn status(message: &Message) -> Option<u16> {
    message.status.map(|status| status.as_u16())
}

/// The first value of that name.
pub(super) fn get<'a>(list: &'a [Header], name: &str) -> Option<&'a str> {
    let found = list.iter().find(|header| header.name.eq_ignore_ascii_case(name.as_bytes()))?;
    std::str::from_utf8(found.value.as_deref()?).ok()
}

/// Reads a header block (ADR-4): `NATS/1.0`, one `Name: value` a line. The client's own reader takes UTF-8 alone; what is stored need
/// not be that. Lines without a colon are left out: no server lets them pass.
pub(super) fn block(block: &Bytes) -> Vec<Header> {
    let mut list = Vec::new();
    let mut at = memchr::memchr(b'\n', block).map_or(block.len(), |end| end + 1);
    while at < block.len() {
        let end = memchr::memchr(b'\n', &block[at..]).map_or(block.len(), |found| at + found);
        let line = block.slice(at..end);
        at = end + 1;
        if let Some(colon) = memchr::memchr(b':', &line) {
            let value = line[colon + 1..].trim_ascii();
            list.push(Header { name: line.slice(..colon), value: Some(line.slice_ref(value)) });
        }
    }
    sorted(list)
}

fn sorted(mut list: Vec<Header>) -> Vec<Header> {
    list.sort_by(|a, b| a.name.cmp(&b.name));
    list
}

/// The client's map of these headers.
///
/// # Errors
/// Which header cannot be written as it is: NATS, or the client, has no way to say it.
pub(super) fn map(list: &[Header]) -> Result<HeaderMap, String> {
    let mut map = HeaderMap::new();
    for header in list {
        let shown = String::from_utf8_lossy(&header.name);
        let value = header.value.as_deref().ok_or_else(|| format!("the header `{shown}` has no value, and NATS has no way to say so"))?;
        let name = std::str::from_utf8(&header.name).ok().filter(|name| !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic()));
        let name: HeaderName = name
            .and_then(|name| name.parse().ok())
            .ok_or_else(|| format!("`{shown}` cannot be the name of a header: visible ASCII without a colon"))?;
        if value.trim_ascii() != value {
            return Err(format!("the header `{shown}` begins or ends with a blank, which NATS does not keep"));
        }
        let value: HeaderValue = std::str::from_utf8(value)
            .ok()
            .and_then(|value| value.parse().ok())
            .ok_or_else(|| format!("the value of the header `{shown}` is not UTF-8, or holds a line break"))?;
        map.append(name, value);
    }
    Ok(map)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn header(name: &str, value: &str) -> Header {
        Header { name: name.to_owned().into(), value: Some(value.to_owned().into()) }
    }

    fn back(map: HeaderMap) -> Vec<Header> {
        let mut message = Message {
            subject: "a".into(),
            reply: None,
            payload: Bytes::new(),
            headers: Some(map),
            status: None,
            description: None,
            length: 0,
        };
        let list = of(&message);
        message.headers = None;
        assert_eq!(of(&message), []);
        list
    }

    #[test]
    fn headers_come_back_by_name_with_duplicates_in_their_order() {
        let list = [header("trace", "2"), header("B", ""), header("trace", "ü 1"), header("Nats-Msg-Id", "7"), header("b", "x")];
        let expected = [header("B", ""), header("Nats-Msg-Id", "7"), header("b", "x"), header("trace", "2"), header("trace", "ü 1")];
        assert_eq!(back(map(&list).expect("written")), expected);
        assert!(map(&[]).expect("nothing").is_empty());
        let stored = Bytes::from_static("NATS/1.0\r\ntrace: 2\r\nB:\r\ntrace:  ü 1 \r\nNats-Msg-Id: 7\r\nb: x\r\n\r\n".as_bytes());
        assert_eq!(block(&stored), expected, "the same however it is read");
        assert_eq!(get(&expected, "nats-msg-id"), Some("7"));
    }

    #[test]
    fn what_nats_would_change_is_refused() {
        let missing = Header { name: "a".into(), value: None };
        let latin = Header { name: "a".into(), value: Some(Bytes::from_static(b"\xfc")) };
        for wrong in [missing, latin, header("", "x"), header("a b", "x"), header("a:b", "x"), header("a", "x\r\ny: z"), header("a", " x")]
        {
            assert!(map(std::slice::from_ref(&wrong)).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn stored_headers_need_not_be_text() {
        let list = block(&Bytes::from_static(b"NATS/1.0\r\na: \xfc\r\n\r\n"));
        assert_eq!(list, [Header { name: "a".into(), value: Some(Bytes::from_static(b"\xfc")) }]);
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = block(&Bytes::from(bytes));
        }
    }
}
