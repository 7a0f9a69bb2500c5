//! `Filter`: a query at work on messages.

use crate::domain::fault::{Fault, Kind};
use crate::domain::message::Message;

/// A query that was parsed without error.
#[derive(Clone)]
pub struct Filter {}

/// What a filter says of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Passes,
    Fails,
    /// The query could not be evaluated on this message: counted, never silently skipped.
    Error,
}

impl Filter {
    /// Parses a query; an empty one filters nothing.
    pub fn parse(text: &str) -> Result<Option<Self>, Fault> {
        if text.trim().is_empty() {
            return Ok(None);
        }
        Err(Fault::new(Kind::Usage, "filter", text, "not built yet"))
    }

    pub fn test(&self, _message: &Message) -> Verdict {
        Verdict::Passes
    }
}
