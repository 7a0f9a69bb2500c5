//! Text being typed, on one line or several. The editing engine is a text area that is never rendered itself.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui_textarea::{CursorMove, TextArea};

/// An input: what was typed and where the cursor stands.
#[derive(Clone, Debug)]
pub struct Editor {
    area: TextArea<'static>,
    single_line: bool,
}

impl Editor {
    /// One line; line breaks that are pasted become spaces.
    pub fn line(text: &str) -> Self {
        Self::with(text, true)
    }

    /// Several lines.
    pub fn lines_of(text: &str) -> Self {
        Self::with(text, false)
    }

    fn with(text: &str, single_line: bool) -> Self {
        let text = if single_line { text.replace(['\n', '\r'], " ") } else { text.to_owned() };
        // Split at `\n` alone, so that joining gives back every byte, `\r` included.
        let mut area = TextArea::new(text.split('\n').map(str::to_owned).collect());
        area.move_cursor(if single_line { CursorMove::End } else { CursorMove::Top });
        Self { area, single_line }
    }

    /// What was typed.
    pub fn text(&self) -> String {
        self.area.lines().join("\n")
    }

    pub fn lines(&self) -> &[String] {
        self.area.lines()
    }

    /// Line and character of the cursor, from 0.
    pub fn cursor(&self) -> (usize, usize) {
        let cursor = self.area.cursor();
        (cursor.0, cursor.1)
    }

    pub fn is_empty(&self) -> bool {
        self.area.is_empty()
    }

    /// Takes pasted text in as it is.
    pub fn paste(&mut self, text: &str) {
        let text = if self.single_line { text.replace(['\n', '\r'], " ") } else { text.replace("\r\n", "\n") };
        self.area.insert_str(text);
    }

    /// Replaces what stands between that character of the line and the cursor.
    pub fn replace_from(&mut self, start: usize, text: &str) {
        for _ in start..self.cursor().1 {
            self.area.delete_char();
        }
        self.area.insert_str(text);
    }

    /// Takes a key in; false if it means nothing to an input.
    pub fn key(&mut self, key: KeyEvent) -> bool {
        let ctrl = key.modifiers.contains(KeyModifiers::CONTROL);
        let alt = key.modifiers.contains(KeyModifiers::ALT);
        match key.code {
            KeyCode::Left if ctrl => self.area.move_cursor(CursorMove::WordBack),
            KeyCode::Right if ctrl => self.area.move_cursor(CursorMove::WordForward),
            KeyCode::Char('w') | KeyCode::Backspace if ctrl => _ = self.area.delete_word(),
            KeyCode::Char('u') if ctrl => _ = self.area.delete_line_by_head(),
            KeyCode::Char('k') if ctrl => _ = self.area.delete_line_by_end(),
            KeyCode::Char('a') if ctrl => self.area.move_cursor(CursorMove::Head),
            KeyCode::Char('r') if ctrl => _ = self.area.redo(),
            KeyCode::Char('_') if ctrl => _ = self.area.undo(),
            // AltGr arrives as Ctrl+Alt on some terminals: then it is a character.
            KeyCode::Char(c) if !ctrl && !alt || ctrl && alt => self.area.insert_char(c),
            KeyCode::Backspace => _ = self.area.delete_char(),
            KeyCode::Delete => _ = self.area.delete_next_char(),
            KeyCode::Left => self.area.move_cursor(CursorMove::Back),
            KeyCode::Right => self.area.move_cursor(CursorMove::Forward),
            KeyCode::Home => self.area.move_cursor(CursorMove::Head),
            KeyCode::End => self.area.move_cursor(CursorMove::End),
            KeyCode::Up if !self.single_line => self.area.move_cursor(CursorMove::Up),
            KeyCode::Down if !self.single_line => self.area.move_cursor(CursorMove::Down),
            KeyCode::Enter if !self.single_line => self.area.insert_newline(),
            _ => return false,
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_comes_out_as_it_went_in() {
        for text in ["", "one", "a\r\nb\n", "\n\n", "tab\tand \u{202e}"] {
            assert_eq!(Editor::lines_of(text).text(), text);
        }
        assert_eq!(Editor::line("two\nlines").text(), "two lines");
    }

    #[test]
    fn keys_edit_where_the_cursor_stands() {
        let mut editor = Editor::line("ab");
        for code in [KeyCode::Left, KeyCode::Char('x'), KeyCode::End, KeyCode::Char('y'), KeyCode::Backspace] {
            assert!(editor.key(KeyEvent::from(code)));
        }
        assert_eq!((editor.text().as_str(), editor.cursor()), ("axb", (0, 3)));
        assert!(!editor.key(KeyEvent::from(KeyCode::Enter)), "a single line has no second");
    }
}
