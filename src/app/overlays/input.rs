//! Inputs of one line: the filter in row 2, and questions that are answered by typing.

use crate::app::editor::Editor;
use crate::app::effect::TaskId;
use crate::domain::delivery::ReceiveOption;
use crate::domain::position::{Bound, Range};
use crate::domain::query::{Candidate, Query, complete};
use jiff::Zoned;

/// The filter being typed.
pub struct Filter {
    pub editor: Editor,
    /// What to go back to.
    pub before: String,
    /// What is wrong, and at which character.
    pub error: Option<(usize, String)>,
    /// What may be written next; Tab takes the first.
    pub candidates: Vec<Candidate>,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    Url,
    /// The range of history to read.
    Range,
    /// The file to export to.
    Export,
    /// The file that a channel is saved to before it is destroyed.
    ExportFirst,
    /// The profile's name, to arm it.
    Arm,
    /// How many messages to receive.
    Receive,
    /// The address of a queue whose messages may be deleted by being received.
    Spend,
    /// How many messages to look at.
    Peek,
}

/// The ways of a channel, of which one is chosen.
pub struct ReceiveOptions {
    pub(crate) task: TaskId,
    /// `None` until they are known.
    pub known: Option<Vec<ReceiveOption>>,
    pub chosen: usize,
    /// It was said to begin before they were known.
    pub(crate) begin: bool,
}

/// Ways that are listed at a time.
pub const LISTED: usize = 8;

impl ReceiveOptions {
    pub(crate) fn new(task: TaskId, known: Option<Vec<ReceiveOption>>) -> Self {
        Self { task, known, chosen: 0, begin: false }
    }

    /// Chooses another one; false if there is none.
    pub(crate) fn step(&mut self, by: isize) -> bool {
        let last = self.known.as_ref().map_or(0, Vec::len).saturating_sub(1);
        self.chosen = self.chosen.saturating_add_signed(by).min(last);
        last > 0
    }

    pub fn way(&self) -> Option<&ReceiveOption> {
        self.known.as_ref()?.get(self.chosen)
    }
}

impl Ask {
    pub fn title(self) -> &'static str {
        match self {
            Self::Url => "Connect by URL",
            Self::Range => "Read history from",
            Self::Export => "Export to a file",
            Self::ExportFirst => "Export the whole channel first",
            Self::Arm => "Arm this profile",
            Self::Receive => "Receive how many messages",
            Self::Spend => "Receive anyway?",
            Self::Peek => "Look at how many messages",
        }
    }

    pub fn hint(self) -> &'static str {
        match self {
            Self::Url => "kafka://host:9092",
            Self::Range => "earliest · end-500 · 3h ago · yesterday 14:00 · @12345 · 3@1042, then perhaps: until now",
            Self::Arm => "type the profile's name, as it stands in the first row",
            Self::Receive => "each is held until you decide on it (x), or leave",
            Self::Spend => "type the address of the queue; Esc: nothing was taken",
            Self::Peek => "the first of the queue; they stay there",
            Self::Export | Self::ExportFirst => "one message a line, as `mqdeck tail --json` writes them",
        }
    }
}

/// Reads `START` or `START until END`.
pub(crate) fn range(text: &str, now: &Zoned) -> Result<Range, String> {
    let text = text.trim();
    let text = text.strip_prefix("from ").unwrap_or(text);
    let (start, end) = text.split_once(" until ").map_or((text, None), |(start, end)| (start, Some(end)));
    Ok(Range::between(Some(Bound::parse(start, now)?), end.map(|end| Bound::parse(end, now)).transpose()?))
}

/// Checks a query; an error stands at a character.
pub(crate) fn query(text: &str, now: Result<Zoned, String>) -> Result<Query, (usize, String)> {
    Query::parse(text, &now.map_err(|error| (0, error))?).map_err(|error| {
        let hint = error.hint.map_or_else(String::new, |hint| format!(" ({hint})"));
        (error.column, format!("{}{hint}", error.message))
    })
}

/// What may be written next at the cursor of a query: words of the language, and these paths.
pub(crate) fn candidates(editor: &Editor, paths: &[String]) -> Vec<Candidate> {
    let mut found = complete(&editor.text(), editor.cursor().1, paths);
    found.truncate(12);
    found
}
