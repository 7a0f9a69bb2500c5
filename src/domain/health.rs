//! The state of an integration's connection, as the supervisor reports it.

use super::fault::Fault;
use super::time::Timestamp;
use std::time::Duration;

/// Where a connection stands.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Link {
    /// Nothing was tried yet, or the first attempt runs.
    #[default]
    Connecting,
    /// The last check was answered, after this time.
    Up { latency: Duration },
    /// The last check or connection failed; the next attempt is made at `retry_at`.
    Down { fault: Fault, since: Timestamp, attempts: u32, retry_at: Timestamp },
}

impl Link {
    /// The word shown for it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Up { .. } => "ok",
            Self::Down { .. } => "down",
        }
    }
}
