//! Headers as lines that can be edited without losing a byte: `name: value`, `name` for a missing value, `hex:…` for bytes.

use crate::domain::message::Header;
use crate::domain::text::is_hidden;
use bytes::Bytes;

const HEX: &str = "hex:";

/// Bytes as an input shows them: text as it is; what is no text, is not visible, or looks like this notation, as `hex:…`.
pub fn notation(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.starts_with(HEX) && !text.chars().any(is_hidden) => text.to_owned(),
        _ => bytes.iter().fold(HEX.to_owned(), |mut out, byte| {
            out.push_str(&format!("{byte:02x}"));
            out
        }),
    }
}

/// The bytes that [`notation`] stands for.
pub fn read(text: &str) -> Result<Bytes, String> {
    let Some(digits) = text.strip_prefix(HEX) else { return Ok(Bytes::copy_from_slice(text.as_bytes())) };
    let wrong = || format!("`{text}`: after `hex:` come pairs of the digits 0-9 and a-f");
    let digits = digits.as_bytes();
    if !digits.len().is_multiple_of(2) {
        return Err(wrong());
    }
    let digit = |b: u8| char::from(b).to_digit(16).ok_or_else(wrong);
    digits.chunks_exact(2).map(|pair| Ok((digit(pair[0])? * 16 + digit(pair[1])?) as u8)).collect()
}

/// Headers, a line each.
pub fn to_text(headers: &[Header]) -> String {
    headers.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// The headers of such lines; empty lines mean nothing. The error names the line.
pub fn from_text(text: &str) -> Result<Vec<Header>, (usize, String)> {
    text.split('\n')
        .enumerate()
        .filter(|(_, line)| !line.is_empty())
        .map(|(number, line)| {
            let (name, value) = match (line.split_once(": "), line.strip_suffix(':')) {
                (Some((name, value)), _) => (name, Some(value)),
                (None, Some(name)) if line != HEX => (name, Some("")),
                _ => (line, None),
            };
            let at = |error| (number, error);
            Ok(Header { name: read(name).map_err(at)?, value: value.map(read).transpose().map_err(at)? })
        })
        .collect()
}

fn line(header: &Header) -> String {
    let plain = notation(&header.name);
    let ambiguous = plain.is_empty() || plain.contains(": ") || plain.ends_with(':');
    let name = if ambiguous { header.name.iter().fold(HEX.to_owned(), |out, byte| format!("{out}{byte:02x}")) } else { plain };
    match &header.value {
        None => name,
        Some(value) => format!("{name}: {}", notation(value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn missing_empty_and_binary_values_are_told_apart() {
        for (text, name, value) in [
            ("source: checkout", "source", Some(&b"checkout"[..])),
            ("flag", "flag", None),
            ("empty: ", "empty", Some(b"")),
            ("empty:", "empty", Some(b"")),
            ("trace: hex:00ff", "trace", Some(b"\x00\xff")),
        ] {
            let header = Header { name: name.into(), value: value.map(Bytes::copy_from_slice) };
            assert_eq!(from_text(text), Ok(vec![header]));
        }
        assert_eq!(from_text("a: b\nc: hex:0").expect_err("an odd digit").0, 1);
    }

    proptest! {
        #[test]
        fn no_byte_is_lost(headers in proptest::collection::vec((any::<Vec<u8>>(), any::<Option<Vec<u8>>>()), 0..4), text in any::<String>()) {
            let mut headers: Vec<Header> =
                headers.into_iter().map(|(name, value)| Header { name: name.into(), value: value.map(Bytes::from) }).collect();
            headers.push(Header { name: text.clone().into(), value: Some(text.into()) });
            prop_assert_eq!(from_text(&to_text(&headers)), Ok(headers));
        }
    }
}
