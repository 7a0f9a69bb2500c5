//! Inputs of one line: the filter in row 2, and questions that are answered by typing.

use crate::app::Model;
use crate::app::editor::Editor;
use crate::domain::position::{Bound, Range};
use crate::domain::time::Timestamp;
use jiff::Zoned;
use jiff::tz::TimeZone;

/// The filter being typed.
pub struct Filter {
    pub editor: Editor,
    /// What to go back to.
    pub before: String,
    /// What is wrong, and at which character.
    pub error: Option<(usize, String)>,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    Url,
    /// The range of history to read.
    Range,
    /// The file to export to.
    Export,
}

/// A question with an input.
pub struct Prompt {
    pub ask: Ask,
    pub editor: Editor,
    pub error: Option<String>,
}

impl Prompt {
    pub(crate) fn new(ask: Ask, text: &str) -> Self {
        Self { ask, editor: Editor::line(text), error: None }
    }
}

impl Ask {
    pub fn title(self) -> &'static str {
        match self {
            Self::Url => "Connect by URL",
            Self::Range => "Read history from",
            Self::Export => "Export to a file",
        }
    }

    pub fn hint(self) -> &'static str {
        match self {
            Self::Url => "kafka://host:9092",
            Self::Range => "earliest · end-500 · 3h ago · yesterday 14:00 · @12345 · 3@1042, then perhaps: until now",
            Self::Export => "one message a line, as `mqdeck tail --json` writes them",
        }
    }
}

/// Reads `START` or `START until END`.
pub(crate) fn range(text: &str, model: &Model) -> Result<Range, String> {
    let now = zoned(model.now, &model.zone)?;
    let text = text.trim();
    let text = text.strip_prefix("from ").unwrap_or(text);
    let (start, end) = text.split_once(" until ").unwrap_or((text, "latest"));
    Ok(Range { start: Bound::parse(start, &now)?, end: Bound::parse(end, &now)? })
}

fn zoned(now: Timestamp, zone: &TimeZone) -> Result<Zoned, String> {
    now.zoned(zone).ok_or_else(|| "the clock of this machine is beyond the calendar".to_owned())
}
