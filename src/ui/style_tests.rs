//! How frames look in each theme: which style every cell has, so that a change of a theme, or of what a screen asks of it, is seen.

use super::stage::{Stage, lines};
use super::tests::SCENES;
use super::theme::{Depth, Theme};
use ratatui::buffer::{Buffer, Cell};
use ratatui::layout::Rect;
use std::fmt::Write;

/// Together they have every role but those of forms.
const LOOKED_AT: &[&str] = &["overview", "channels-actions", "traffic-detail", "traffic-interrupted", "plan-destroy-armed"];
const SIZE: (u16, u16) = (80, 24);

/// What a cell's style is called: `fg=… bg=… BOLD`; nothing for the terminal's own.
fn name(cell: &Cell) -> String {
    let mut parts = Vec::new();
    for (what, colour) in [("fg", cell.fg), ("bg", cell.bg)] {
        let colour = colour.to_string();
        if colour != "Reset" {
            parts.push(format!("{what}={colour}"));
        }
    }
    if !cell.modifier.is_empty() {
        parts.push(format!("{:?}", cell.modifier));
    }
    parts.join(" ")
}

/// Each line of the frame with, under it, a letter for the style of each cell, and what the letters stand for.
fn styled(buffer: &Buffer) -> String {
    let mut styles: Vec<String> = Vec::new();
    let mut out = String::new();
    let width = usize::from(buffer.area.width);
    for (text, cells) in lines(buffer).lines().zip(buffer.content.chunks(width)) {
        let letters: String = cells
            .iter()
            .map(|cell| {
                let style = name(cell);
                if style.is_empty() {
                    return ' ';
                }
                let known = styles.iter().position(|known| *known == style);
                let at = known.unwrap_or_else(|| {
                    styles.push(style);
                    styles.len() - 1
                });
                char::from(b'a' + u8::try_from(at).expect("few styles"))
            })
            .collect();
        let _ = writeln!(out, "{}", text.trim_end());
        if !letters.trim().is_empty() {
            let _ = writeln!(out, "{}", letters.trim_end());
        }
    }
    for (at, style) in styles.iter().enumerate() {
        let _ = writeln!(out, "{}: {style}", char::from(b'a' + u8::try_from(at).expect("few styles")));
    }
    out
}

#[test]
fn every_theme_styles_these_frames_as_it_was_looked_at() {
    for scene in LOOKED_AT {
        let (_, reach) = SCENES.iter().find(|(name, _)| name == scene).expect(scene);
        let mut stage = Stage::new(SIZE.0, SIZE.1, false);
        reach(&mut stage);
        for theme in Theme::names() {
            let depth = if theme == "mono" { Depth::None } else { Depth::True };
            let drawn = Theme::named(theme, depth, false).expect(theme);
            let mut buffer = Buffer::empty(Rect::new(0, 0, SIZE.0, SIZE.1));
            super::draw(&stage.model, &drawn, &mut buffer);
            insta::with_settings!({ snapshot_path => "../../snapshots/styles", prepend_module_to_snapshot => false, omit_expression => true }, {
                insta::assert_snapshot!(format!("{scene}-{theme}"), styled(&buffer));
            });
        }
    }
}
