//! `LetterState` and `RunState`: which states there are, and which may follow which.

use std::fmt;

/// What has become of one letter of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LetterState {
    /// Nothing was sent of it, for certain.
    Open,
    /// It may have been sent: this was written down before.
    Intent,
    /// The target has it, its source still does.
    Confirmed,
    /// The target has it, and its source is done with it.
    Settled,
    /// The target refused it; nothing of it is there.
    Failed,
    /// It was left out, and nothing was sent of it.
    Skipped,
    /// It may have been sent, and the system could not tell whether it was.
    Unknown,
}

use LetterState::{Confirmed, Failed, Intent, Open, Settled, Skipped, Unknown};

/// What each state may become, in the order of the states. Whoever returns to `Open` knows that nothing arrived: the transaction was
/// aborted, or the target was asked.
const LETTER: [&[LetterState]; 7] = [
    &[Intent, Failed, Skipped],
    &[Open, Confirmed, Settled, Failed, Unknown],
    &[Settled],
    &[],
    &[],
    &[],
    &[Open, Intent, Confirmed, Settled],
];

impl LetterState {
    /// In the order of their codes in a journal.
    pub const ALL: [Self; 7] = [Open, Intent, Confirmed, Settled, Failed, Skipped, Unknown];

    pub fn may_become(self, next: Self) -> bool {
        LETTER[self as usize].contains(&next)
    }

    /// Whether nothing follows it.
    pub fn is_final(self) -> bool {
        LETTER[self as usize].is_empty()
    }

    pub fn word(self) -> &'static str {
        match self {
            Open => "open",
            Intent => "intent",
            Confirmed => "confirmed",
            Settled => "settled",
            Failed => "failed",
            Skipped => "skipped",
            Unknown => "unknown",
        }
    }
}

impl fmt::Display for LetterState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// What a run is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RunState {
    /// It was written down and has not begun.
    Planned,
    Running,
    /// Somebody asked it to wait.
    Paused,
    /// It stopped by itself or with its program, and can be resumed.
    Stopped,
    /// Somebody ended it.
    Cancelled,
    /// Every letter was dealt with; some may be unknown.
    Done,
}

/// What each state may become, in the order of the states. A run that is done is resumed only to ask about unknown letters.
const RUN: [&[RunState]; 6] = [
    &[RunState::Running, RunState::Stopped, RunState::Cancelled],
    &[RunState::Paused, RunState::Stopped, RunState::Cancelled, RunState::Done],
    &[RunState::Running, RunState::Stopped, RunState::Cancelled],
    &[RunState::Running, RunState::Cancelled],
    &[],
    &[RunState::Running],
];

impl RunState {
    /// In the order of their codes in a journal.
    pub const ALL: [Self; 6] = [Self::Planned, Self::Running, Self::Paused, Self::Stopped, Self::Cancelled, Self::Done];

    pub fn may_become(self, next: Self) -> bool {
        RUN[self as usize].contains(&next)
    }

    /// Whether it has come to its end.
    pub fn is_ended(self) -> bool {
        matches!(self, Self::Cancelled | Self::Done)
    }

    pub fn word(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
            Self::Cancelled => "cancelled",
            Self::Done => "done",
        }
    }
}

impl fmt::Display for RunState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
