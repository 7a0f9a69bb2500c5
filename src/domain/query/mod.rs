//! The query language of the filter bar, `--where`, `find`, alerts and replay selections.
//!
//! `from "3h ago" until now where value.order.total > 100 and headers.env == "prod" and not key starts with "test-" limit 20`
//!
//! # What is looked at
//!
//! - `key` and header values are the texts that they are as bytes; `key.PATH` looks into a key that is JSON.
//! - `value` is the decoded payload, `value.order.items[0]."odd name"` a place in it. Where a name stands twice, in headers or in an object,
//!   a comparison is true if it is true for one of them.
//! - `b"\xff\x00id"` is compared with keys, headers and values as the bytes that they are, and nothing is decoded for it; with a place in
//!   `value`, as the bytes of the text or binary that is there.
//! - `topic partition offset timestamp size`, and of dead letters `reason exception origin attempts`.
//!
//! # Truth
//!
//! - A missing path makes its comparison false and its `not` true. A missing key or payload equals `null`, nothing else, and does not `exist`.
//! - A text never equals a number, and neither is less than the other. Numbers are compared by their digits, never as floats.
//! - `contains` and `matches` on `value` look at the raw payload, and at every decoded name and scalar as it is printed; on a place
//!   in it, at the names and scalars there. `starts with` and `ends with` look at the raw payload, and at a scalar as it is printed.
//! - Any case (`contains~`, `/re/i`, words without a capital) is Unicode simple folding.
//! - `jq '…'` is true if one of the program's outputs is neither `false` nor `null`.
//! - Only a payload that cannot be decoded and an error of a jq program are errors, and only where the answer depends on them: `true or error`
//!   is true, `false and error` false.

mod ast;
mod complete;
pub(in crate::domain) mod cursor;
mod decimal;
mod eval;
mod jq;
pub(in crate::domain) mod lexer;
mod parser;
mod pattern;
mod reach;
mod record;

#[cfg(test)]
mod tests;

pub use ast::{Comparison, Expr, Field, Literal, Predicate, Query};
pub use complete::{Candidate, complete};
pub use jq::Program;
pub use pattern::Pattern;
pub use reach::{Needle, Place, Reach};
pub use record::{Failure, Node, Record, Undecided, Undecodable};

use super::fault::{Fault, Kind};
use jiff::Zoned;
use std::fmt;

/// What is wrong with a query, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryError {
    /// In characters from 0.
    pub column: usize,
    pub message: String,
    /// What to write instead, where that can be guessed.
    pub hint: Option<String>,
}

impl QueryError {
    pub(in crate::domain) fn new(column: usize, message: impl Into<String>) -> Self {
        Self { column, message: message.into(), hint: None }
    }

    pub(in crate::domain) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for QueryError {
    /// People count columns from 1.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "column {}: {}", self.column + 1, self.message)?;
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, " ({hint})"))
    }
}

impl std::error::Error for QueryError {}

impl From<QueryError> for Fault {
    fn from(error: QueryError) -> Self {
        let cause = format!("column {}: {}", error.column + 1, error.message);
        Self::new(Kind::Usage, "read the query", "", cause).next(error.hint.unwrap_or_default())
    }
}

impl Query {
    /// Reads a query; `now` resolves `3h ago` and the like. An empty text is the query that everything matches.
    pub fn parse(text: &str, now: &Zoned) -> Result<Self, QueryError> {
        parser::parse(text, now)
    }

    /// Whether the condition holds for a record. `from`, `until` and `limit` are for the reader.
    pub fn matches(&self, record: &impl Record) -> Result<bool, Undecided> {
        self.condition.as_ref().map_or(Ok(true), |condition| eval::holds(condition, record))
    }

    /// Whether every message matches, so that none needs to be looked at.
    pub fn matches_all(&self) -> bool {
        self.condition.is_none()
    }

    /// Whether a jq program is part of the condition.
    pub fn has_program(&self) -> bool {
        self.condition.as_ref().is_some_and(Expr::has_program)
    }

    /// What of the channel has to be read at all.
    pub fn reach(&self) -> Reach {
        reach::reach(self)
    }

    /// What a matching record contains: one of each group. See [`Needle`] for where that may be relied on.
    pub fn needles(&self) -> Vec<Vec<Needle>> {
        self.condition.as_ref().map_or_else(Vec::new, reach::needles)
    }
}
