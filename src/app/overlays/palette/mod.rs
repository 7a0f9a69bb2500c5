//! The palette: what is typed, and the commands or places that were found by it.

pub mod search;

use crate::app::editor::Editor;
use crate::app::screen::Screen;
use crate::domain::address::Address;
use crate::domain::operation::OperationSpec;
use crate::domain::template::Template;
use crate::domain::text::SafeText;
use std::sync::Arc;

/// The open palette.
pub struct Palette {
    pub editor: Editor,
    pub kind: Kind,
    pub rows: Vec<Entry>,
    pub selected: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Commands,
    Places,
    /// To publish by.
    Templates,
}

/// One row of the palette.
pub struct Entry {
    pub label: SafeText,
    pub target: Target,
    /// Why it cannot be done now.
    pub refused: Option<SafeText>,
}

#[derive(Clone, Debug)]
pub enum Target {
    /// By its id.
    Command(&'static str),
    Screen(Screen),
    Channel(Address),
    /// A channel that is not listed, by what was typed.
    Typed(Address),
    Operation(&'static OperationSpec, Address),
    Profile(Arc<str>),
    Template(&'static Template),
}

impl Target {
    /// What kind of row it is, in a word.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Command(_) => "",
            Self::Operation(..) => "action",
            Self::Screen(_) => "screen",
            Self::Channel(_) => "channel",
            Self::Typed(_) => "as it is typed",
            Self::Profile(_) => "profile",
            Self::Template(template) => template.id,
        }
    }
}
