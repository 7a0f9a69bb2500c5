//! Themes: the only place that names colours.

/// The styles and glyphs that a frame is drawn with.
#[derive(Clone, Debug)]
pub struct Theme {
    pub name: &'static str,
}

/// How many colours the terminal shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// `NO_COLOR`, or a terminal without colours.
    None,
    Ansi16,
    Ansi256,
    True,
}

/// The names that `--theme` takes.
pub const NAMES: &[&str] = &["dark", "light", "high-contrast", "colour-blind", "mono"];

impl Theme {
    /// A shipped theme, for a terminal of that depth; `ascii` draws without Unicode.
    pub fn named(name: &str, _depth: Depth, _ascii: bool) -> Option<Self> {
        NAMES.iter().find(|known| **known == name).map(|name| Self { name })
    }
}
