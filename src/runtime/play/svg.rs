//! A frame as an SVG picture: one cell is one place on a grid, whatever font draws it. Cells that look alike are one element in which
//! each character has its own place, so that neither a wide character nor a line drawn with boxes moves what follows.

use ratatui::buffer::{Buffer, Cell};
use ratatui::style::Modifier;
use std::fmt::{Display, Write};
use unicode_width::UnicodeWidthStr;

/// The colours that a terminal would bring itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Palette {
    pub background: String,
    pub foreground: String,
    /// ANSI 0–15.
    pub ansi: [&'static str; 16],
}

/// Half a pixel keeps the columns of 14 px monospace fonts where their glyphs are.
const CELL: (f32, f32) = (8.5, 18.0);
const FONT: f32 = 14.0;
const PADDING: f32 = 14.0;
/// From the top of a cell to the line that letters stand on.
const BASELINE: f32 = 13.5;
const FONTS: &str = "ui-monospace,'JetBrains Mono','DejaVu Sans Mono',Menlo,Consolas,monospace";

/// What ratatui calls the sixteen colours, in their ANSI order.
const NAMES: [&str; 16] = [
    "Black",
    "Red",
    "Green",
    "Yellow",
    "Blue",
    "Magenta",
    "Cyan",
    "Gray",
    "DarkGray",
    "LightRed",
    "LightGreen",
    "LightYellow",
    "LightBlue",
    "LightMagenta",
    "LightCyan",
    "White",
];

impl Palette {
    /// A dark terminal.
    pub fn dark() -> Self {
        Self {
            background: "#14171c".to_owned(),
            foreground: "#d4d8df".to_owned(),
            ansi: [
                "#2a2f38", "#e06c75", "#98c379", "#e5c07b", "#61afef", "#c678dd", "#56b6c2", "#abb2bf", "#6b7380", "#ff7b86", "#b1dc92",
                "#ffd68a", "#7cc4ff", "#dd92f2", "#6fd3df", "#ffffff",
            ],
        }
    }

    /// A light terminal.
    pub fn light() -> Self {
        Self {
            background: "#fbfbf9".to_owned(),
            foreground: "#24292f".to_owned(),
            ansi: [
                "#24292f", "#b3261e", "#2e7d32", "#8a6100", "#0b57d0", "#8430a8", "#00696f", "#6b7280", "#4b5563", "#d33a31", "#3c9a41",
                "#a87800", "#2f74e6", "#a04cc6", "#00868e", "#ffffff",
            ],
        }
    }

    /// The colour as SVG writes it; `None` is the terminal's own. It goes by the colour's printed name, because colours are named in the
    /// theme alone.
    fn resolve(&self, color: &impl Display) -> Option<String> {
        let name = color.to_string();
        if name.starts_with('#') {
            return Some(name);
        }
        if let Some(at) = NAMES.iter().position(|known| *known == name) {
            return Some(self.ansi[at].to_owned());
        }
        let index: u8 = name.parse().ok()?;
        Some(match index {
            0..=15 => self.ansi[usize::from(index)].to_owned(),
            // xterm's 6×6×6 cube and its 24 greys.
            16..=231 => {
                let level = |n: u8| if n == 0 { 0 } else { 55 + 40 * n };
                let cube = index - 16;
                format!("#{:02x}{:02x}{:02x}", level(cube / 36), level(cube / 6 % 6), level(cube % 6))
            }
            232..=255 => {
                let grey = 8 + 10 * (index - 232);
                format!("#{grey:02x}{grey:02x}{grey:02x}")
            }
        })
    }
}

/// How a cell looks, resolved: cells that look alike are drawn together.
#[derive(Clone, PartialEq)]
struct Look {
    foreground: String,
    background: Option<String>,
    modifier: Modifier,
}

/// Cells next to each other that look alike.
struct Run {
    /// Where each character stands.
    columns: Vec<usize>,
    cells: usize,
    text: String,
    look: Look,
    /// A symbol of several characters, which a font draws as one: nothing can be placed behind it.
    closed: bool,
}

impl Run {
    fn first(&self) -> usize {
        self.columns.first().copied().unwrap_or(0)
    }

    /// What is there to be drawn of it, each with where its characters stand: blanks draw nothing, so that wide gaps and those at the
    /// ends are left out.
    fn pieces(&self) -> Vec<(&[usize], &str)> {
        if self.closed || self.look.modifier.intersects(LINES) {
            return vec![(&self.columns, &self.text)];
        }
        let (mut pieces, mut at) = (Vec::new(), 0);
        for piece in self.text.split(GAP) {
            let blanks = piece.len() - piece.trim_start_matches(' ').len();
            let kept = piece.trim_matches(' ');
            if !kept.is_empty() {
                // A blank is one byte and one character.
                pieces.push((&self.columns[at + blanks..][..kept.chars().count()], kept));
            }
            at += piece.chars().count() + GAP.len();
        }
        pieces
    }
}

/// Blanks that part a run: shorter gaps are copied with the text around them.
const GAP: &str = "    ";

/// Modifiers that are seen on blanks as well.
const LINES: Modifier = Modifier::UNDERLINED.union(Modifier::CROSSED_OUT);

/// The picture.
pub fn picture(buffer: &Buffer, palette: &Palette) -> String {
    let columns = usize::from(buffer.area.width).max(1);
    let (width, height) = (place(columns, CELL.0) + PADDING, place(usize::from(buffer.area.height), CELL.1) + PADDING);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"{FONTS}\" font-size=\"{FONT}\" fill=\"{}\" xml:space=\"preserve\">\n\
         <rect width=\"{width}\" height=\"{height}\" rx=\"8\" fill=\"{}\"/>\n",
        palette.foreground, palette.background
    );
    for (row, cells) in buffer.content.chunks(columns).enumerate() {
        let runs = runs(cells, palette);
        for run in &runs {
            background(&mut out, row, run);
        }
        for run in &runs {
            for piece in run.pieces() {
                letters(&mut out, row, piece, &run.look, palette);
            }
        }
    }
    out.push_str("</svg>\n");
    out
}

fn place(cells: usize, size: f32) -> f32 {
    PADDING + cells as f32 * size
}

fn runs(cells: &[Cell], palette: &Palette) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    let mut column = 0;
    while let Some(cell) = cells.get(column) {
        let symbol = cell.symbol();
        let span = symbol.width().clamp(1, cells.len() - column);
        let look = look(cell, palette);
        let text: String = symbol.chars().filter(|c| is_xml(*c)).collect();
        let closed = text.chars().count() != 1;
        match runs.last_mut().filter(|run| run.look == look && !run.closed && !closed) {
            Some(run) => {
                run.text.push_str(&text);
                run.columns.push(column);
                run.cells += span;
            }
            None => runs.push(Run { columns: vec![column], cells: span, text, look, closed }),
        }
        column += span;
    }
    runs
}

fn look(cell: &Cell, palette: &Palette) -> Look {
    let foreground = palette.resolve(&cell.fg);
    let background = palette.resolve(&cell.bg);
    let (foreground, background) = if cell.modifier.contains(Modifier::REVERSED) {
        (background.unwrap_or_else(|| palette.background.clone()), Some(foreground.unwrap_or_else(|| palette.foreground.clone())))
    } else {
        (foreground.unwrap_or_else(|| palette.foreground.clone()), background)
    };
    Look { foreground, background, modifier: cell.modifier }
}

fn background(out: &mut String, row: usize, run: &Run) {
    if let Some(color) = &run.look.background {
        let (x, y, width) = (place(run.first(), CELL.0), place(row, CELL.1), run.cells as f32 * CELL.0);
        let _ = writeln!(out, "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{}\" fill=\"{color}\"/>", CELL.1);
    }
}

fn letters(out: &mut String, row: usize, (columns, text): (&[usize], &str), look: &Look, palette: &Palette) {
    let modifier = look.modifier;
    if modifier.contains(Modifier::HIDDEN) {
        return;
    }
    let places: Vec<String> = columns.iter().map(|column| place(*column, CELL.0).to_string()).collect();
    let _ = write!(out, "<text x=\"{}\" y=\"{}\"", places.join(" "), place(row, CELL.1) + BASELINE);
    if look.foreground != palette.foreground {
        let _ = write!(out, " fill=\"{}\"", look.foreground);
    }
    for (set, attribute) in
        [(Modifier::BOLD, " font-weight=\"bold\""), (Modifier::ITALIC, " font-style=\"italic\""), (Modifier::DIM, " opacity=\"0.6\"")]
    {
        if modifier.contains(set) {
            out.push_str(attribute);
        }
    }
    match (modifier.contains(Modifier::UNDERLINED), modifier.contains(Modifier::CROSSED_OUT)) {
        (true, true) => out.push_str(" text-decoration=\"underline line-through\""),
        (true, false) => out.push_str(" text-decoration=\"underline\""),
        (false, true) => out.push_str(" text-decoration=\"line-through\""),
        (false, false) => {}
    }
    let _ = writeln!(out, ">{}</text>", escape(text));
}

/// XML 1.0 section 2.2: other characters cannot stand in a document, not even escaped.
fn is_xml(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..='\u{10ffff}')
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::style::Style;

    fn drawn(line: &str, style: Style) -> String {
        let mut buffer = Buffer::with_lines([line]);
        buffer.set_style(buffer.area, style);
        picture(&buffer, &Palette::dark())
    }

    #[test]
    fn text_is_escaped_and_stands_on_the_grid() {
        let svg = drawn("  <a&b>\"", Style::default());
        assert!(svg.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"96\" height=\"46\""), "{svg}");
        assert!(svg.contains("<text x=\"31 39.5 48 56.5 65 73.5\" y=\"27.5\">&lt;a&amp;b&gt;&quot;</text>"), "{svg}");
    }

    #[test]
    fn a_wide_character_takes_two_cells_and_what_follows_stays_in_its_column() {
        let svg = drawn("a漢b│─ c", Style::default());
        assert!(svg.contains("<text x=\"14 22.5 39.5 48 56.5 65 73.5\" y=\"27.5\">a漢b│─ c</text>"), "{svg}");
        // Two characters that are drawn as one have one place, and what follows has its own.
        // Wide gaps are left out.
        let svg = drawn("ab       c d ", Style::default());
        for part in ["<text x=\"14 22.5\" y=\"27.5\">ab</text>", "<text x=\"90.5 99 107.5\" y=\"27.5\">c d</text>"] {
            assert!(svg.contains(part), "{part} is not in\n{svg}");
        }
        let svg = drawn("e\u{301}x", Style::default());
        for part in ["<text x=\"14\" y=\"27.5\">e\u{301}</text>", "<text x=\"22.5\" y=\"27.5\">x</text>"] {
            assert!(svg.contains(part), "{part} is not in\n{svg}");
        }
    }

    #[test]
    fn looks_are_drawn() {
        for (modifier, part) in [
            (Modifier::BOLD, "font-weight=\"bold\""),
            (Modifier::DIM, "opacity=\"0.6\""),
            (Modifier::ITALIC, "font-style=\"italic\""),
            (Modifier::UNDERLINED, "text-decoration=\"underline\""),
            (Modifier::CROSSED_OUT, "text-decoration=\"line-through\""),
            (Modifier::REVERSED, "height=\"18\" fill=\"#d4d8df\""),
        ] {
            let svg = drawn("x", Style::default().add_modifier(modifier));
            assert!(svg.contains(part), "{modifier:?}\n{svg}");
        }
        assert!(!drawn("secret", Style::default().add_modifier(Modifier::HIDDEN)).contains("secret"));
    }

    #[test]
    fn each_kind_of_colour_has_its_value() {
        let palette = Palette::dark();
        for (name, value) in [
            ("Reset", None),
            ("Red", Some("#e06c75")),
            ("White", Some("#ffffff")),
            ("#0A0B0C", Some("#0A0B0C")),
            ("9", Some("#ff7b86")),
            ("16", Some("#000000")),
            ("208", Some("#ff8700")),
            ("255", Some("#eeeeee")),
        ] {
            assert_eq!(palette.resolve(&name).as_deref(), value, "{name}");
        }
    }

    #[test]
    fn what_xml_cannot_hold_is_left_out() {
        assert!(!is_xml('\u{1b}') && !is_xml('\u{ffff}') && is_xml('ü') && is_xml('▁'));
    }
}
