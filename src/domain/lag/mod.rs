//! Lag judged: from what was seen of a group's positions over time to a verdict with its reason, a trend and a time until it is over.
//!
//! The rules follow Burrow's (github.com/linkedin/Burrow, `core/internal/evaluator/caching.go`) as far as they can: Burrow reads every
//! commit with its time from `__consumer_offsets`, while a position that is asked for has no time of its own. `tests.rs` says, rule by
//! rule, where the answers differ and why.

pub mod claim;
mod group;
mod judge;
mod track;
mod view;

#[cfg(test)]
mod tests;

pub use group::{GroupLag, Skew, judge_group};
pub use judge::{Facts, PartitionLag, judge};
pub use track::Track;
pub use view::{Behind, Board, GroupView};

use super::figure;
use std::time::Duration;

/// How a group, or a part of it, stands. In the order of what needs an eye first, the worst last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Verdict {
    KeepsUp,
    /// Nothing was ever committed here: neither 0 nor the end.
    NoCommits,
    /// Not enough is known, or it could not be asked.
    #[default]
    Unknown,
    /// Behind, and catching up.
    Draining,
    /// The position went back.
    Rewound,
    /// Somebody paused it.
    Paused,
    /// Nobody reads it.
    Stopped,
    /// Behind, and not catching up.
    FallingBehind,
    /// There are members, and the position does not move.
    Stalled,
    /// Messages were deleted before they were read, or soon will be.
    Losing,
}

impl Verdict {
    pub const ALL: [Self; 10] = [
        Self::KeepsUp,
        Self::NoCommits,
        Self::Unknown,
        Self::Draining,
        Self::Rewound,
        Self::Paused,
        Self::Stopped,
        Self::FallingBehind,
        Self::Stalled,
        Self::Losing,
    ];

    /// As people read it.
    pub fn words(self) -> &'static str {
        match self {
            Self::NoCommits => "no commits",
            Self::KeepsUp => "keeps up",
            Self::Unknown => "unknown",
            Self::Draining => "draining",
            Self::Rewound => "rewound",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
            Self::FallingBehind => "falling behind",
            Self::Stalled => "stalled",
            Self::Losing => "losing data",
        }
    }

    /// As programs read it: stable.
    pub fn id(self) -> &'static str {
        match self {
            Self::NoCommits => "no_commits",
            Self::KeepsUp => "keeps_up",
            Self::Unknown => "unknown",
            Self::Draining => "draining",
            Self::Rewound => "rewound",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
            Self::FallingBehind => "falling_behind",
            Self::Stalled => "stalled",
            Self::Losing => "losing",
        }
    }
}

/// When nothing will wait any more, if all goes on as it does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Eta {
    #[default]
    Unknown,
    In(Duration),
    /// What waits does not become less.
    Never,
}

impl Eta {
    /// The later of two: never is later than everything, and what is not known might be.
    #[must_use]
    pub fn worse(self, other: Self) -> Self {
        match (self, other) {
            (Self::Never, _) | (_, Self::Never) => Self::Never,
            (Self::Unknown, _) | (_, Self::Unknown) => Self::Unknown,
            (Self::In(a), Self::In(b)) => Self::In(a.max(b)),
        }
    }

    /// Whole seconds; `None` if it is not known or never.
    pub fn seconds(self) -> Option<u64> {
        match self {
            Self::In(time) => Some(time.as_secs()),
            Self::Unknown | Self::Never => None,
        }
    }

    /// `4 m 10 s`, `never`, `–`.
    pub fn show(self) -> String {
        match self {
            Self::Unknown => "–".to_owned(),
            Self::In(Duration::ZERO) => "0".to_owned(),
            Self::In(time) => figure::duration(time),
            Self::Never => "never".to_owned(),
        }
    }
}

/// How long things may take before they mean something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Samples nearer to each other than this are one.
    pub spacing: Duration,
    /// Samples kept; `spacing` times this is the window that rates are measured over.
    pub kept: usize,
    /// Rates over less than this say nothing.
    pub shortest: Duration,
    /// So much production, or so long ago at the end, is no lag to speak of: consumers commit every few seconds, and we ask every few.
    pub fresh: Duration,
    /// A position that stood still for so long is stalled; three times the longest wait between its last moves, if that is more.
    pub still: Duration,
    /// Waiting messages are in danger if they are deleted within this time.
    pub danger: Duration,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            spacing: Duration::from_secs(5),
            kept: 13,
            shortest: Duration::from_secs(4),
            fresh: Duration::from_secs(15),
            still: Duration::from_secs(30),
            danger: Duration::from_secs(1_800),
        }
    }
}
