//! `SafeText`: the only string type for anything that came from outside and may be looked at.

use std::fmt;
use std::sync::Arc;

/// Text in which every control, bidi and zero-width character has been made visible.
///
/// Made from foreign bytes once, at the boundary; everything behind it may be drawn as it is.
/// The marks are for eyes: machine output escapes with [`escape_json`] from the original instead.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SafeText(Arc<str>);

/// More combining marks than this on one character are shown as escapes, so that a payload cannot paint over its neighbours.
const MAX_MARKS: usize = 4;

impl SafeText {
    /// Makes foreign text safe to show.
    pub fn new(text: &str) -> Self {
        if is_printable_ascii(text) {
            return Self(text.into());
        }
        let mut out = String::with_capacity(text.len());
        let mut marks = 0;
        for c in text.chars() {
            marks = if is_combining(c) { marks + 1 } else { 0 };
            if is_hidden(c) || marks > MAX_MARKS || (marks == 1 && out.is_empty()) {
                push_mark(&mut out, c);
            } else {
                out.push(c);
            }
        }
        Self(out.into())
    }

    /// Makes foreign bytes safe to show; what is not UTF-8 is shown as `‹0xFF›`.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        if let Ok(text) = std::str::from_utf8(bytes) {
            return Self::new(text);
        }
        let mut out = String::with_capacity(bytes.len());
        for chunk in bytes.utf8_chunks() {
            out.push_str(Self::new(chunk.valid()).as_str());
            for byte in chunk.invalid() {
                out.push_str(&format!("‹0x{byte:02X}›"));
            }
        }
        Self(out.into())
    }

    /// The text, ready to be drawn.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SafeText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for SafeText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl From<&str> for SafeText {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<String> for SafeText {
    fn from(text: String) -> Self {
        Self::new(&text)
    }
}

/// Whether a text has nothing but ASCII that is seen, and blanks: then nothing in it needs a mark or an escape.
pub fn is_printable_ascii(text: &str) -> bool {
    // Without branches in it, so that many bytes are looked at in one step.
    let mut odd = false;
    for byte in text.bytes() {
        odd |= !(0x20..0x7f).contains(&byte);
    }
    !odd
}

/// Whether a character changes the terminal, the reading order or nothing visible at all.
pub fn is_hidden(c: char) -> bool {
    matches!(c,
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// Escapes what [`is_hidden`] names as `\uXXXX` (surrogate pairs beyond the BMP); everything else stays as it is.
///
/// Applied to finished JSON this never changes its meaning, because JSON allows such characters only inside strings.
pub fn escape_json(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut units = [0; 2];
    for c in text.chars() {
        if is_hidden(c) && c != '\n' {
            for unit in c.encode_utf16(&mut units) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            out.push(c);
        }
    }
    out
}

fn push_mark(out: &mut String, c: char) {
    let name = match c {
        '\n' => "⏎",
        '\t' => "⇥",
        '\r' => "‹CR›",
        '\u{1b}' => "‹ESC›",
        '\u{7}' => "‹BEL›",
        '\0' => "‹NUL›",
        _ => {
            out.push_str(&format!("‹U+{:04X}›", u32::from(c)));
            return;
        }
    };
    out.push_str(name);
}

fn is_combining(c: char) -> bool {
    u32::from(c) >= 0x300 && unicode_width::UnicodeWidthChar::width(c) == Some(0) && !is_hidden(c)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn hidden_characters_become_visible_marks() {
        for (given, shown) in [
            ("plain text", "plain text"),
            ("größe 漢字", "größe 漢字"),
            ("a\x1b[2Jb", "a‹ESC›[2Jb"),
            ("\u{202e}evil", "‹U+202E›evil"),
            ("zero\u{200b}width", "zero‹U+200B›width"),
            ("two\nlines\r\n", "two⏎lines‹CR›⏎"),
            ("tag\u{e0041}", "tag‹U+E0041›"),
            ("c1\u{9b}x", "c1‹U+009B›x"),
        ] {
            assert_eq!(SafeText::new(given).as_str(), shown);
        }
    }

    #[test]
    fn bytes_that_are_not_utf8_are_named() {
        assert_eq!(SafeText::from_bytes(b"a\xff\xfeb").as_str(), "a‹0xFF›‹0xFE›b");
    }

    #[test]
    fn stacked_accents_are_cut_off() {
        let tower = format!("e{}", "\u{301}".repeat(50));
        assert_eq!(SafeText::new(&tower).as_str().matches('\u{301}').count(), MAX_MARKS);
    }

    #[test]
    fn json_is_escaped_never_substituted() {
        assert_eq!(escape_json("\"a\u{202e}\u{9b}\u{e0041}\""), "\"a\\u202e\\u009b\\udb40\\udc41\"");
    }

    proptest! {
        #[test]
        fn nothing_hidden_survives_and_safe_text_stays_as_it_is(text in any::<String>()) {
            let safe = SafeText::new(&text);
            prop_assert!(!safe.as_str().chars().any(is_hidden));
            prop_assert_eq!(SafeText::new(safe.as_str()), safe);
        }
    }
}
