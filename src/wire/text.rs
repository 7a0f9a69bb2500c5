//! Text: UTF-8 that somebody meant to be read.

/// The text, if the bytes are UTF-8 and at most three of ten characters are controls; small binary numbers are UTF-8 by accident.
pub fn read(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?;
    let controls = text.bytes().filter(|b| *b < 0x20 && !matches!(b, b'\t' | b'\n' | b'\r') || *b == 0x7f).count();
    (controls == 0 || controls * 10 <= text.chars().count() * 3).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::read;

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
