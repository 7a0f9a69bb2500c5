//! A frame as plain text.

use ratatui::buffer::Buffer;

/// The screen's characters, a line each, without the blanks at the ends of lines; the last line ends with a newline too.
pub fn text(buffer: &Buffer) -> String {
    let width = usize::from(buffer.area.width).max(1);
    let mut out = String::new();
    for row in buffer.content.chunks(width) {
        let start = out.len();
        let mut covered = 0_usize;
        for cell in row {
            // The cell behind a wide character is not a blank of its own.
            if covered > 0 {
                covered -= 1;
                continue;
            }
            out.push_str(cell.symbol());
            covered = unicode_width::UnicodeWidthStr::width(cell.symbol()).saturating_sub(1);
        }
        let kept = out[start..].trim_end_matches(' ').len();
        out.truncate(start + kept);
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_its_lines_without_trailing_blanks() {
        let buffer = Buffer::with_lines(["one  ", "", "漢字 x"]);
        assert_eq!(text(&buffer), "one\n\n漢字 x\n");
    }
}
