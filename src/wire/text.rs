//! Text: UTF-8 that somebody meant to be read.

/// The text, if the bytes are UTF-8 and at most three of ten characters are controls; small binary numbers are UTF-8 by accident.
pub fn read(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?;
    let controls = text.bytes().filter(|b| *b < 0x20 && !matches!(b, b'\t' | b'\n' | b'\r') || *b == 0x7f).count();
    (controls == 0 || controls * 10 <= text.chars().count() * 3).then_some(text)
}

/// True only if the bytes are text that nothing in it says otherwise than it stands there: no control character, no backslash, and no start
/// that a MessagePack collection could have as well. If it is JSON, it has no escapes.
#[expect(clippy::needless_bitwise_bool, reason = "a lazy operator is a branch")]
pub fn is_plain(bytes: &[u8]) -> bool {
    // Without branches in it, so that many bytes are looked at in one step.
    let mut other = false;
    let mut odd = false;
    for byte in bytes {
        other |= *byte >= 0x80;
        odd |= (*byte < b' ') & (*byte != b'\t') & (*byte != b'\n') & (*byte != b'\r') | (*byte == b'\\') | (*byte == 0x7f);
    }
    !odd && (!other || (!matches!(bytes.first(), Some(0x80..=0x9f | 0xdc..=0xdf)) && std::str::from_utf8(bytes).is_ok()))
}

/// Whether bytes that may be JSON have no escape in them: what they decode to stands in them.
pub fn has_no_escape(bytes: &[u8]) -> bool {
    memchr::memchr(b'\\', bytes).is_none()
}

#[cfg(test)]
mod tests {
    use super::{is_plain, read};

    #[test]
    fn what_is_plain_has_no_second_meaning() {
        for plain in ["", "words", "{\"a\": 1}\r\n", "größe 漢字", "\u{9f}x"] {
            assert!(is_plain(plain.as_bytes()), "{plain}");
        }
        for other in [&b"\\"[..], b"a\x1b", b"a\x7f", b"\xff", "\u{700}x".as_bytes(), b"\x93abc", b"a\0"] {
            assert!(!is_plain(other), "{other:?}");
        }
    }

    #[test]
    fn text_is_told_from_binary_that_happens_to_be_utf8() {
        for text in ["", "plain", "größe 漢字\n", "\x1b[31mred\x1b[0m", "a\tb\r\n", "bell \x07 rings"] {
            assert_eq!(read(text.as_bytes()), Some(text));
        }
        for binary in [&[0, 0, 0, 0, 0, 0, 0, 42][..], &[0], &[1, 2, 3], &[0xff, 0xfe], &[8, 1, 16, 2]] {
            assert_eq!(read(binary), None, "{binary:?}");
        }
    }
}
