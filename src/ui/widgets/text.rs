//! Text into cells: the only place where a string reaches the screen. Clusters stay whole, wide ones never leave their area,
//! and a hidden character, should one ever come this far, is shown as a mark.

use crate::domain::text::{SafeText, is_hidden};
use crate::ui::theme::{Glyphs, Role, Theme};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

/// Where a text that is too long is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    End,
    /// Both ends stay, because names are told apart by their ends.
    Middle,
}

/// The frame being drawn.
pub struct Canvas<'a> {
    buffer: &'a mut Buffer,
    theme: &'a Theme,
}

/// Cells that a text takes.
pub fn width(text: &str) -> u16 {
    u16::try_from(text.width()).unwrap_or(u16::MAX)
}

impl<'a> Canvas<'a> {
    pub fn new(buffer: &'a mut Buffer, theme: &'a Theme) -> Self {
        Self { buffer, theme }
    }

    pub fn glyphs(&self) -> &'static Glyphs {
        self.theme.glyphs
    }

    pub fn area(&self) -> Rect {
        self.buffer.area
    }

    /// Writes text into at most `room` cells from there on; returns how many it took.
    pub fn put(&mut self, x: u16, y: u16, room: u16, text: &str, role: Role) -> u16 {
        self.put_cut(x, y, room, text, role, Cut::End)
    }

    pub fn put_cut(&mut self, x: u16, y: u16, room: u16, text: &str, role: Role, cut: Cut) -> u16 {
        let room = room.min(self.buffer.area.right().saturating_sub(x));
        if room == 0 || y >= self.buffer.area.bottom() {
            return 0;
        }
        if self.theme.glyphs.ascii && !text.is_ascii() {
            return self.write(x, y, room, &ascii(text), role, cut);
        }
        if text.chars().any(is_hidden) {
            return self.write(x, y, room, SafeText::new(text).as_str(), role, cut);
        }
        self.write(x, y, room, text, role, cut)
    }

    /// Writes text so that it ends at `right` (exclusive), in at most `room` cells.
    pub fn put_right(&mut self, right: u16, y: u16, room: u16, text: &str, role: Role) -> u16 {
        let width = width(text).min(room).min(right);
        self.put(right - width, y, width, text, role)
    }

    fn write(&mut self, x: u16, y: u16, room: u16, text: &str, role: Role, cut: Cut) -> u16 {
        // Longer than four bytes a cell and every cell needs cutting: no need to measure all of a long payload.
        if text.len() <= usize::from(room) || text.width() <= usize::from(room) {
            return self.clusters(x, y, room, text, role);
        }
        let mark = self.theme.glyphs.cut;
        let (head, tail) = match cut {
            Cut::End => (room - 1, 0),
            Cut::Middle => (room - 1 - room.saturating_sub(1) * 3 / 5, room.saturating_sub(1) * 3 / 5),
        };
        let mut used = self.clusters(x, y, head, text, role);
        used += self.clusters(x + used, y, room - used, mark, role);
        if tail > 0 {
            let end = last_cells(text, tail);
            used += self.clusters(x + used, y, room - used, end, role);
        }
        used
    }

    fn clusters(&mut self, x: u16, y: u16, room: u16, text: &str, role: Role) -> u16 {
        let style = self.theme.style(role);
        let mut used = 0;
        for cluster in text.graphemes(true) {
            let cells = width(cluster);
            if cells == 0 {
                continue;
            }
            if used + cells > room {
                break;
            }
            if let Some(cell) = self.buffer.cell_mut((x + used, y)) {
                cell.set_symbol(cluster).set_style(style);
            }
            for next in 1..cells {
                if let Some(cell) = self.buffer.cell_mut((x + used + next, y)) {
                    cell.reset();
                    cell.set_style(style);
                }
            }
            used += cells;
        }
        used
    }

    /// Lays a style over what is there.
    pub fn overlay(&mut self, area: Rect, role: Role) {
        self.buffer.set_style(area, self.theme.style(role));
    }

    /// Empties an area and gives it a ground.
    pub fn clear(&mut self, area: Rect, role: Role) {
        let area = area.intersection(self.buffer.area);
        for y in area.top()..area.bottom() {
            // A wide character that reaches into the area would lose its second half: it goes altogether.
            if let Some(before) = area.x.checked_sub(1)
                && let Some(cell) = self.buffer.cell_mut((before, y))
                && cell.symbol().width() > 1
            {
                cell.set_symbol(" ");
            }
            for x in area.left()..area.right() {
                if let Some(cell) = self.buffer.cell_mut((x, y)) {
                    cell.reset();
                }
            }
        }
        self.overlay(area, role);
    }

    /// A vertical rule.
    pub fn rule(&mut self, area: Rect) {
        for y in area.top()..area.bottom() {
            self.put(area.x, y, 1, self.theme.glyphs.rule, Role::Rule);
        }
    }

    /// A horizontal line.
    pub fn line(&mut self, x: u16, y: u16, width: u16) {
        for at in x..x.saturating_add(width) {
            self.put(at, y, 1, self.theme.glyphs.line, Role::Rule);
        }
    }
}

/// Text for a terminal that knows no other characters: what has a likeness gets it, everything else is a question mark.
fn ascii(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for cluster in SafeText::new(text).as_str().graphemes(true) {
        match cluster {
            "–" | "─" | "·" => out.push('-'),
            "→" => out.push_str("->"),
            "≤" => out.push_str("<="),
            "≥" => out.push_str(">="),
            "×" => out.push('x'),
            "…" => out.push('~'),
            "‹" => out.push('<'),
            "›" => out.push('>'),
            "∅" => out.push('0'),
            "⏎" => out.push_str("\\n"),
            "⇥" => out.push_str("\\t"),
            plain if plain.is_ascii() => out.push_str(plain),
            _ => out.push('?'),
        }
    }
    out
}

/// The end of a text that fits into so many cells.
fn last_cells(text: &str, room: u16) -> &str {
    let mut used = 0;
    for (at, cluster) in text.grapheme_indices(true).rev() {
        used += width(cluster);
        if used > room {
            return &text[at + cluster.len()..];
        }
    }
    text
}

/// Looks for characters that must never reach a terminal in a frame; the first one's place.
pub fn find_hidden(buffer: &Buffer) -> Option<(u16, u16, char)> {
    let area = buffer.area;
    (area.top()..area.bottom()).find_map(|y| {
        (area.left()..area.right()).find_map(|x| buffer.cell((x, y))?.symbol().chars().find(|c| is_hidden(*c)).map(|c| (x, y, c)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::theme::Depth;

    fn drawn(text: &str, room: u16, cut: Cut) -> String {
        let theme = Theme::named("mono", Depth::None, false).expect("a theme");
        let mut buffer = Buffer::empty(Rect::new(0, 0, 20, 1));
        Canvas::new(&mut buffer, &theme).put_cut(0, 0, room, text, Role::Text, cut);
        assert_eq!(find_hidden(&buffer), None);
        let mut out = String::new();
        let mut skip = 0;
        for x in 0..20 {
            let symbol = buffer.cell((x, 0)).expect("a cell").symbol();
            if skip == 0 {
                out.push_str(symbol);
                skip = width(symbol).saturating_sub(1);
            } else {
                skip -= 1;
            }
        }
        out.trim_end().to_owned()
    }

    #[test]
    fn text_is_cut_so_that_what_tells_it_apart_stays() {
        for (text, room, cut, shown) in [
            ("orders", 10, Cut::Middle, "orders"),
            ("orders.created.v2", 12, Cut::End, "orders.crea…"),
            ("orders.created.v2", 12, Cut::Middle, "order…ted.v2"),
            ("漢字漢字漢字", 6, Cut::End, "漢字…"),
            ("漢字漢字漢字", 6, Cut::Middle, "漢…字"),
            ("a\u{202e}b\x1b[2J", 20, Cut::End, "a‹U+202E›b‹ESC›[2J"),
            ("x", 0, Cut::End, ""),
            ("xy", 1, Cut::Middle, "…"),
        ] {
            assert_eq!(drawn(text, room, cut), shown, "{text}");
        }
    }
}
