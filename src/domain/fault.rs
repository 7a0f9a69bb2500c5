//! `Fault`: what went wrong, where, why, and what to do next. Plain data that every layer passes on.

use super::text::SafeText;
use std::fmt;

/// What kind of failure it is; wording, retry and exit code are chosen from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Nobody answers there, or the connection broke.
    Unreachable,
    /// The system does not know who we are: credentials, token or certificate.
    Unauthorized,
    /// The system knows who we are and says no.
    Forbidden,
    /// The channel, partition or position does not exist.
    NotFound,
    /// No answer in time.
    Timeout,
    /// The system refused this request as it stands.
    Rejected,
    /// The answer cannot be understood, or data is damaged.
    Protocol,
    /// What was asked for is gone for good: a ticket, a retained range.
    Lost,
    /// The command line, a query, an address or a profile is wrong.
    Usage,
}

/// One failure, ready to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub kind: Kind,
    /// What was being done, in a few words: `list topics`.
    pub op: &'static str,
    /// To what: `events/orders.created`, `broker 127.0.0.1:9092`.
    pub target: SafeText,
    /// Why it failed, in one sentence.
    pub cause: SafeText,
    /// What the operator can do next; empty when there is nothing to say.
    pub next: SafeText,
}

impl Fault {
    pub fn new(kind: Kind, op: &'static str, target: impl Into<SafeText>, cause: impl Into<SafeText>) -> Self {
        Self { kind, op, target: target.into(), cause: cause.into(), next: SafeText::default() }
    }

    /// Adds the next step.
    #[must_use]
    pub fn next(mut self, next: impl Into<SafeText>) -> Self {
        self.next = next.into();
        self
    }
}

/// Why a file cannot be read, and what to do about it, in words instead of an error number.
pub fn unreadable(error: &std::io::Error) -> (String, &'static str) {
    use std::io::ErrorKind as Io;
    match error.kind() {
        Io::NotFound => ("there is no such file".to_owned(), "check the path: it is relative to the folder you are in"),
        Io::IsADirectory => ("this is a folder".to_owned(), "name a file in it"),
        Io::PermissionDenied => ("you may not read it".to_owned(), "ls -l shows who may"),
        Io::InvalidData => ("it is not UTF-8".to_owned(), "save it as UTF-8, or check that this is the file you mean"),
        _ => (error.to_string(), "check the path"),
    }
}

impl Kind {
    /// Whether the same request may succeed later without anybody changing anything.
    pub fn is_transient(self) -> bool {
        matches!(self, Self::Unreachable | Self::Timeout)
    }

    /// The word shown for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Unauthorized => "not authenticated",
            Self::Forbidden => "not authorized",
            Self::NotFound => "not found",
            Self::Timeout => "timed out",
            Self::Rejected => "rejected",
            Self::Protocol => "protocol error",
            Self::Lost => "lost",
            Self::Usage => "usage",
        }
    }

    /// The exit code of PRODUCT section 4.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Usage => 2,
            Self::Forbidden => 3,
            Self::Unreachable | Self::Timeout => 4,
            _ => 1,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.op)?;
        if !self.target.as_str().is_empty() {
            write!(f, " {}", self.target)?;
        }
        write!(f, ": {}: {}", self.kind.word(), self.cause)?;
        if !self.next.as_str().is_empty() {
            write!(f, " ({})", self.next)?;
        }
        Ok(())
    }
}

impl std::error::Error for Fault {}
