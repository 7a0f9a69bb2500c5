//! Themes: roles → styles, read from TOML. The only file that names colours.

use ratatui::style::{Color, Modifier, Style};
use std::fmt;

/// What a piece of the screen means. Colour says state and nothing else; every state has a glyph and a word too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Text,
    Dim,
    Strong,
    Heading,
    Rule,
    /// Row 1.
    Env,
    /// Keys in footer, menus and help.
    Key,
    Ok,
    Watch,
    Bad,
    Unknown,
    Connecting,
    Paused,
    /// The row under the cursor.
    Selected,
    Marked,
    /// What destroys, or may not be undone.
    Destructive,
    /// An input, and the cursor in it.
    Input,
    Cursor,
    /// The ground of menus, palette and questions.
    Panel,
}

/// Every role with its name in theme files.
const ROLES: [(Role, &str); 19] = [
    (Role::Text, "text"),
    (Role::Dim, "dim"),
    (Role::Strong, "strong"),
    (Role::Heading, "heading"),
    (Role::Rule, "rule"),
    (Role::Env, "env"),
    (Role::Key, "key"),
    (Role::Ok, "ok"),
    (Role::Watch, "watch"),
    (Role::Bad, "bad"),
    (Role::Unknown, "unknown"),
    (Role::Connecting, "connecting"),
    (Role::Paused, "paused"),
    (Role::Selected, "selected"),
    (Role::Marked, "marked"),
    (Role::Destructive, "destructive"),
    (Role::Input, "input"),
    (Role::Cursor, "cursor"),
    (Role::Panel, "panel"),
];

/// The shipped themes: the names that `--theme` takes, with their files.
const SHIPPED: [(&str, &str); 5] = [
    ("dark", include_str!("../../themes/dark.toml")),
    ("light", include_str!("../../themes/light.toml")),
    ("high-contrast", include_str!("../../themes/high-contrast.toml")),
    ("colour-blind", include_str!("../../themes/colour-blind.toml")),
    ("mono", include_str!("../../themes/mono.toml")),
];

/// How many colours the terminal shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// `NO_COLOR`, or a terminal without colours: bold, dim, underline and reverse stay.
    None,
    Ansi16,
    Ansi256,
    True,
}

/// The styles and glyphs that a frame is drawn with.
#[derive(Clone, Debug)]
pub struct Theme {
    styles: [Style; ROLES.len()],
    /// The ground that the colours were chosen for; not painted.
    background: Option<[u8; 3]>,
    pub glyphs: &'static Glyphs,
}

/// What is wrong with a theme file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThemeError {
    pub file: String,
    pub message: String,
}

impl fmt::Display for ThemeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "theme {}: {}", self.file, self.message)
    }
}

impl std::error::Error for ThemeError {}

/// The characters that are not letters.
#[derive(Debug)]
pub struct Glyphs {
    pub ok: &'static str,
    pub watch: &'static str,
    pub bad: &'static str,
    pub unknown: &'static str,
    pub connecting: &'static str,
    pub paused: &'static str,
    pub pointer: &'static str,
    pub mark: &'static str,
    pub open: &'static str,
    pub folded: &'static str,
    pub crumb: &'static str,
    pub dot: &'static str,
    pub rule: &'static str,
    pub line: &'static str,
    pub cut: &'static str,
    /// Points at what stands above.
    pub under: &'static str,
    pub bar: [&'static str; 2],
    pub spark: [&'static str; 8],
    pub ascii: bool,
}

const UNICODE: Glyphs = Glyphs {
    ok: "●",
    watch: "▲",
    bad: "✖",
    unknown: "?",
    connecting: "◌",
    paused: "‖",
    pointer: "▸",
    mark: "•",
    open: "▾",
    folded: "▸",
    crumb: "›",
    dot: "·",
    rule: "│",
    line: "─",
    cut: "…",
    under: "↑",
    bar: ["█", "░"],
    spark: ["▁", "▁", "▂", "▃", "▄", "▅", "▆", "▇"],
    ascii: false,
};

const ASCII: Glyphs = Glyphs {
    ok: "o",
    watch: "^",
    bad: "x",
    unknown: "?",
    connecting: "~",
    paused: "=",
    pointer: ">",
    mark: "*",
    open: "-",
    folded: "+",
    crumb: ">",
    dot: "-",
    rule: "|",
    line: "-",
    cut: "~",
    under: "^",
    bar: ["#", "."],
    spark: ["_", ".", ".", "-", "-", "=", "=", "#"],
    ascii: true,
};

impl Theme {
    /// The names of the shipped themes.
    pub fn names() -> impl Iterator<Item = &'static str> {
        SHIPPED.iter().map(|(name, _)| *name)
    }

    /// A shipped theme for a terminal of that depth; `ascii` draws without Unicode. `None` if there is no theme of that name.
    pub fn named(name: &str, depth: Depth, ascii: bool) -> Option<Self> {
        let (file, text) = SHIPPED.iter().find(|(known, _)| *known == name)?;
        Self::read(file, text, depth, ascii).ok()
    }

    /// Reads a theme file. A role that is missing or unknown, or a colour that is none, is an error that names file and role.
    pub fn read(file: &str, text: &str, depth: Depth, ascii: bool) -> Result<Self, ThemeError> {
        let wrong = |message: String| ThemeError { file: file.to_owned(), message };
        let table: toml::Table = text.parse().map_err(|e: toml::de::Error| wrong(e.to_string()))?;
        let background = match table.get("background") {
            None => None,
            Some(value) => Some(rgb(value.as_str().unwrap_or_default()).map_err(|e| wrong(format!("background: {e}")))?),
        };
        let roles = table.get("roles").and_then(toml::Value::as_table).ok_or_else(|| wrong("there is no [roles] table".to_owned()))?;
        if let Some(unknown) = roles.keys().find(|name| !ROLES.iter().any(|(_, known)| known == name)) {
            return Err(wrong(format!("role `{unknown}` is unknown")));
        }
        let mut styles = [Style::new(); ROLES.len()];
        for (role, name) in ROLES {
            let value = roles.get(name).ok_or_else(|| wrong(format!("role `{name}` is missing")))?;
            let table = value.as_table().ok_or_else(|| wrong(format!("role `{name}` is not a table")))?;
            styles[role as usize] = style(table, depth).map_err(|e| wrong(format!("role `{name}`: {e}")))?;
        }
        Ok(Self { styles, background, glyphs: if ascii { &ASCII } else { &UNICODE } })
    }

    pub fn style(&self, role: Role) -> Style {
        self.styles[role as usize]
    }

    /// The ground that the theme was made for, for pictures of frames.
    pub fn background(&self) -> Option<[u8; 3]> {
        self.background
    }
}

fn style(table: &toml::Table, depth: Depth) -> Result<Style, String> {
    let mut style = Style::new();
    for (key, value) in table {
        let on = value.as_bool().unwrap_or(false);
        match key.as_str() {
            "fg" | "bg" => {
                let colour = rgb(value.as_str().unwrap_or_default())?;
                if let Some(colour) = adapt(colour, depth) {
                    style = if key == "fg" { style.fg(colour) } else { style.bg(colour) };
                }
            }
            "bold" if on => style = style.add_modifier(Modifier::BOLD),
            "dim" if on => style = style.add_modifier(Modifier::DIM),
            "underline" if on => style = style.add_modifier(Modifier::UNDERLINED),
            "reverse" if on => style = style.add_modifier(Modifier::REVERSED),
            // Without colours, a ground has to be told by something else.
            "plain_reverse" => {
                if on && depth == Depth::None {
                    style = style.add_modifier(Modifier::REVERSED);
                }
            }
            _ => return Err(format!("`{key}` is none of fg, bg, bold, dim, underline, reverse, plain_reverse")),
        }
    }
    Ok(style)
}

/// `#rrggbb`.
fn rgb(text: &str) -> Result<[u8; 3], String> {
    let wrong = || format!("`{text}` is not a colour: write #rrggbb");
    let digits = text.strip_prefix('#').filter(|d| d.len() == 6 && d.is_ascii()).ok_or_else(wrong)?;
    let part = |i: usize| u8::from_str_radix(&digits[i..i + 2], 16).map_err(|_| wrong());
    Ok([part(0)?, part(2)?, part(4)?])
}

/// The nearest colour that the terminal shows.
fn adapt(colour: [u8; 3], depth: Depth) -> Option<Color> {
    let [r, g, b] = colour;
    match depth {
        Depth::None => None,
        Depth::True => Some(Color::Rgb(r, g, b)),
        Depth::Ansi256 => {
            let cube = |v: u8| CUBE.iter().enumerate().min_by_key(|(_, step)| step.abs_diff(v)).map_or(0, |(i, _)| i);
            let (cr, cg, cb) = (cube(r), cube(g), cube(b));
            let in_cube = (16 + 36 * cr + 6 * cg + cb, [CUBE[cr], CUBE[cg], CUBE[cb]]);
            let grey = (0..24).map(|i| (232 + i, [8 + 10 * i as u8; 3])).min_by_key(|(_, c)| distance(*c, colour)).unwrap_or(in_cube);
            let best = if distance(grey.1, colour) < distance(in_cube.1, colour) { grey.0 } else { in_cube.0 };
            Some(Color::Indexed(best as u8))
        }
        Depth::Ansi16 => ANSI.iter().min_by_key(|(_, c)| distance(*c, colour)).map(|(name, _)| *name),
    }
}

/// The steps of the 6×6×6 cube of 256 colours.
const CUBE: [u8; 6] = [0, 95, 135, 175, 215, 255];

/// The sixteen colours, as xterm shows them.
const ANSI: [(Color, [u8; 3]); 16] = [
    (Color::Black, [0, 0, 0]),
    (Color::Red, [205, 0, 0]),
    (Color::Green, [0, 205, 0]),
    (Color::Yellow, [205, 205, 0]),
    (Color::Blue, [0, 0, 238]),
    (Color::Magenta, [205, 0, 205]),
    (Color::Cyan, [0, 205, 205]),
    (Color::Gray, [229, 229, 229]),
    (Color::DarkGray, [127, 127, 127]),
    (Color::LightRed, [255, 0, 0]),
    (Color::LightGreen, [0, 255, 0]),
    (Color::LightYellow, [255, 255, 0]),
    (Color::LightBlue, [92, 92, 255]),
    (Color::LightMagenta, [255, 0, 255]),
    (Color::LightCyan, [0, 255, 255]),
    (Color::White, [255, 255, 255]),
];

fn distance(a: [u8; 3], b: [u8; 3]) -> u32 {
    a.iter().zip(b).map(|(a, b)| u32::from(a.abs_diff(b)).pow(2)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The relative luminance of WCAG 2.1.
    fn luminance(colour: [u8; 3]) -> f64 {
        let linear = |v: u8| {
            let v = f64::from(v) / 255.0;
            if v <= 0.040_45 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * linear(colour[0]) + 0.7152 * linear(colour[1]) + 0.0722 * linear(colour[2])
    }

    fn contrast(a: [u8; 3], b: [u8; 3]) -> f64 {
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    fn rgb_of(colour: Option<Color>) -> Option<[u8; 3]> {
        match colour {
            Some(Color::Rgb(r, g, b)) => Some([r, g, b]),
            _ => None,
        }
    }

    #[test]
    fn every_shipped_theme_is_whole_and_readable() {
        for (name, text) in SHIPPED {
            let theme = Theme::read(name, text, Depth::True, false).expect(name);
            let grounds = [theme.background, rgb_of(theme.style(Role::Selected).bg), rgb_of(theme.style(Role::Panel).bg)];
            for (role, label) in ROLES {
                let style = theme.style(role);
                let Some(fg) = rgb_of(style.fg) else { continue };
                let own = rgb_of(style.bg);
                // The rule and the unlit part of a bar are no text.
                if role == Role::Rule {
                    continue;
                }
                let on: Vec<[u8; 3]> = own.map_or_else(|| grounds.into_iter().flatten().collect(), |own| vec![own]);
                for ground in on {
                    let ratio = contrast(fg, ground);
                    assert!(ratio >= 4.5, "{name}: {label} on {ground:?} has a contrast of {ratio:.2}");
                }
            }
        }
    }

    #[test]
    fn without_colours_no_theme_uses_any_and_selection_is_still_told() {
        for name in Theme::names() {
            let theme = Theme::named(name, Depth::None, true).expect(name);
            for (role, label) in ROLES {
                assert!(theme.style(role).fg.is_none() && theme.style(role).bg.is_none(), "{name}: {label}");
            }
            assert_ne!(theme.style(Role::Selected).add_modifier, Modifier::empty(), "{name}");
        }
    }

    #[test]
    fn errors_name_the_file_and_the_role() {
        let good = SHIPPED[0].1;
        for (text, says) in [
            (good.replace("watch =", "watsch ="), "role `watsch` is unknown"),
            (good.replace("watch =", "# watch ="), "role `watch` is missing"),
            (format!("{good}\n").replace("fg = \"#", "fg = \"!"), "is not a colour"),
        ] {
            let error = Theme::read("mine.toml", &text, Depth::True, false).expect_err(says);
            assert!(error.to_string().contains(says) && error.to_string().contains("mine.toml"), "{error}");
        }
    }

    #[test]
    fn colours_go_to_the_nearest_that_there_is() {
        assert_eq!(adapt([255, 0, 0], Depth::Ansi256), Some(Color::Indexed(196)));
        assert_eq!(adapt([128, 128, 128], Depth::Ansi256), Some(Color::Indexed(244)));
        assert_eq!(adapt([250, 10, 10], Depth::Ansi16), Some(Color::LightRed));
        assert_eq!(adapt([250, 10, 10], Depth::None), None);
    }
}
