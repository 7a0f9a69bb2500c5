//! NATS headers: `NATS/1.0`, one `Name: value` a line, an empty line (ADR-4). Order and duplicates are kept.

use crate::domain::message::Header;
use bytes::Bytes;

const VERSION: &[u8] = b"NATS/1.0";

/// What a message's header block says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Headers {
    /// The number behind `NATS/1.0` in the server's own answers: `503`, `404`.
    pub(super) status: Option<u16>,
    /// The words behind the number.
    pub(super) reason: String,
    pub(super) list: Vec<Header>,
}

/// Reads a header block. Lines without a colon are left out: no server lets them pass.
pub(super) fn read(block: &Bytes) -> Headers {
    let mut headers = Headers::default();
    let mut at = 0;
    let mut first = true;
    while at < block.len() {
        let end = memchr::memchr(b'\n', &block[at..]).map_or(block.len(), |found| at + found);
        let line_end = if end > at && block[end - 1] == b'\r' { end - 1 } else { end };
        let line = block.slice(at..line_end);
        at = end + 1;
        if first {
            first = false;
            let said = String::from_utf8_lossy(line.strip_prefix(VERSION).unwrap_or_default()).trim().to_owned();
            let (number, reason) = said.split_once(' ').unwrap_or((&said, ""));
            headers.status = number.parse().ok();
            reason.trim().clone_into(&mut headers.reason);
        } else if let Some(colon) = memchr::memchr(b':', &line) {
            let value = line[colon + 1..].trim_ascii();
            headers.list.push(Header { name: line.slice(..colon), value: Some(line.slice_ref(value)) });
        }
    }
    headers
}

impl Headers {
    /// The first value of that name, as text.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self.list.iter().find(|header| header.name.eq_ignore_ascii_case(name.as_bytes()))?;
        std::str::from_utf8(found.value.as_deref()?).ok()
    }
}

/// Writes a header block; `None` if there is no header.
///
/// # Errors
/// Which header cannot be written as it is: NATS has no way to say it.
pub(super) fn write(list: &[Header]) -> Result<Option<Vec<u8>>, String> {
    if list.is_empty() {
        return Ok(None);
    }
    let mut out = VERSION.to_vec();
    out.extend_from_slice(b"\r\n");
    for header in list {
        let shown = String::from_utf8_lossy(&header.name);
        let value = header.value.as_deref().ok_or_else(|| format!("the header `{shown}` has no value, and NATS has no way to say so"))?;
        let name_fits = !header.name.is_empty() && header.name.iter().all(|b| (33..127).contains(b) && *b != b':');
        if !name_fits {
            return Err(format!("`{shown}` cannot be the name of a header: visible ASCII without a colon"));
        }
        if value.iter().any(|b| *b == b'\r' || *b == b'\n') || value.trim_ascii() != value {
            return Err(format!("the header `{shown}` begins or ends with a blank or holds a line break, which NATS does not keep"));
        }
        out.extend_from_slice(&header.name);
        out.extend_from_slice(b": ");
        out.extend_from_slice(value);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
    Ok(Some(out))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(name: &str, value: &str) -> Header {
        Header { name: name.to_owned().into(), value: Some(value.to_owned().into()) }
    }

    #[test]
    fn headers_come_back_in_order_with_duplicates() {
        let list = vec![header("trace", "1"), header("B", ""), header("trace", "2"), header("é".repeat(0).as_str(), "x")];
        assert!(write(&list).is_err(), "an empty name");
        let list = vec![header("trace", "1"), header("B", ""), header("trace", "ü 2")];
        let block = write(&list).expect("written").expect("a block");
        assert_eq!(read(&Bytes::from(block)), Headers { list, ..Headers::default() });
        assert_eq!(write(&[]), Ok(None));
    }

    #[test]
    fn what_nats_would_change_is_refused() {
        let missing = Header { name: "a".into(), value: None };
        for wrong in [missing, header("a b", "x"), header("a:b", "x"), header("a", "x\r\ny: z"), header("a", " x")] {
            assert!(write(std::slice::from_ref(&wrong)).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_status_is_read() {
        let headers = read(&Bytes::from_static(b"NATS/1.0 409 Message Size Exceeds MaxBytes\r\nNats-Pending-Messages: 3\r\n\r\n"));
        assert_eq!((headers.status, headers.reason.as_str()), (Some(409), "Message Size Exceeds MaxBytes"));
        assert_eq!(headers.get("nats-pending-messages"), Some("3"));
    }
}
