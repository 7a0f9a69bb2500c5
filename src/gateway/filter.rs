//! `Filter`: a query's condition at work on messages.

use crate::domain::fault::Fault;
use crate::domain::message::Message;
use crate::domain::query::Query;
use crate::wire::record::MessageRecord;
use jiff::Zoned;

/// A query that was read without error. `from`, `until` and `limit` are for whoever reads history; the filter tests the condition.
#[derive(Clone, Debug)]
pub struct Filter {
    pub query: Query,
}

/// What a filter says of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Passes,
    Fails,
    /// The payload could not be decoded, and the answer depends on it: counted, never silently skipped.
    Error,
}

impl Filter {
    /// Reads a query; an empty text lets everything pass.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        Ok(Self { query: Query::parse(text, &Zoned::now())? })
    }

    pub fn test(&self, message: &Message) -> Verdict {
        if self.query.condition.is_none() {
            return Verdict::Passes;
        }
        match self.query.matches(&MessageRecord::new(message, &[])) {
            Ok(true) => Verdict::Passes,
            Ok(false) => Verdict::Fails,
            Err(_) => Verdict::Error,
        }
    }
}
