//! One request to a system and its answer, as the wire log shows it.

use super::text::SafeText;
use std::time::Duration;

/// One exchange with a system. Never holds payloads or credentials: names, sizes and codes alone.
#[derive(Clone, Debug, PartialEq)]
pub struct Exchange {
    /// Counts up from 1 in one log, so that a reader sees what is new.
    pub number: u64,
    /// With whom: `127.0.0.1:9092`.
    pub peer: SafeText,
    /// What was asked: `Metadata v12 3 topics`.
    pub request: SafeText,
    /// What came back: `87 topics, 14.2 kB`, or the fault.
    pub outcome: SafeText,
    pub took: Duration,
}
