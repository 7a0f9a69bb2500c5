//! Bytes in texts: `\xHH` for what is no UTF-8, for a backslash that would be read as the beginning of one, and for a `#` before what reads as
//! a position.

use crate::domain::position::Position;

/// The text of a name.
pub(super) fn escape_bytes(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for (at, letter) in chunk.valid().char_indices() {
            if letter == '\\' && chunk.valid()[at + 1..].starts_with('x') {
                text.push_str(r"\x5c");
            } else {
                text.push(letter);
            }
        }
        chunk.invalid().iter().for_each(|byte| text.push_str(&format!(r"\x{byte:02x}")));
    }
    match text.rsplit_once('#') {
        Some((before, position)) if position.parse::<Position>().is_ok() => format!(r"{before}\x23{position}"),
        _ => text,
    }
}

/// The bytes that a text stands for.
pub(super) fn unescape_bytes(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let escaped = rest.strip_prefix(br"\x").and_then(|behind| behind.get(..2));
        let byte = escaped.and_then(|digits| std::str::from_utf8(digits).ok()).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match byte.filter(|_| escaped.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))) {
            Some(byte) => {
                bytes.push(byte);
                rest = &rest[4..];
            }
            None => {
                bytes.push(*first);
                rest = behind;
            }
        }
    }
    bytes
}
