//! Breaks text into lines.

use super::screens::traffic::detail::wrap;
use unicode_width::UnicodeWidthStr;

/// Text broken between words where possible.
pub fn words(text: &str, room: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split(' ') {
        let joined = line.width() + 1 + word.width();
        if !line.is_empty() && joined > room {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        if word.width() > room {
            let mut pieces = wrap(word, room.max(1));
            let last = pieces.pop().unwrap_or_default();
            lines.extend(pieces.into_iter().map(str::to_owned));
            line.push_str(last);
        } else {
            line.push_str(word);
        }
    }
    lines.push(line);
    lines
}
