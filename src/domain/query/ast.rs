//! What a query says, and how it is written.

use super::super::position::Bound;
use super::super::time::Timestamp;
use super::super::value::Step;
use super::jq::Program;
use super::lexer::written;
use super::pattern::Pattern;
use std::fmt;
use std::sync::Arc;

/// A whole query; every part may be missing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Query {
    /// Where reading starts. It bounds what is read; the condition does not look at it.
    pub from: Option<Bound>,
    /// Where reading ends, itself not read.
    pub until: Option<Bound>,
    pub condition: Option<Expr>,
    /// How many matches are wanted.
    pub limit: Option<u64>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    And(Vec<Expr>),
    Or(Vec<Expr>),
    Not(Box<Expr>),
    /// A word alone: key or value contains it, or matches it.
    Anywhere(Pattern),
    Test(Field, Predicate),
    /// A jq program on the decoded payload.
    Jq(Program),
}

/// What is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Field {
    Key(Vec<Step>),
    Value(Vec<Step>),
    /// Every header's name and value.
    Headers,
    Header(Arc<str>),
    Topic,
    Partition,
    Offset,
    Timestamp,
    Size,
    /// Of a dead letter, as are the next three.
    Reason,
    Exception,
    Origin,
    Attempts,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Predicate {
    Compare(Comparison, Literal),
    In(Vec<Literal>),
    Contains(Pattern),
    /// A text or bytes, as the next.
    StartsWith(Literal),
    EndsWith(Literal),
    Matches(Pattern),
    Exists,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    Equal,
    Unequal,
    Less,
    AtMost,
    Greater,
    AtLeast,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Literal {
    Text(String),
    /// `b"\xff\x00id"`: compared with keys, headers and values as the bytes that they are.
    Bytes(Vec<u8>),
    /// As it was written.
    Number(String),
    Bool(bool),
    Null,
    /// A moment that `timestamp` is compared with.
    Moment(Timestamp),
}

impl Literal {
    /// What these bytes equal: a text where they are one.
    pub fn of_bytes(bytes: &[u8]) -> Self {
        std::str::from_utf8(bytes).map_or_else(|_| Self::Bytes(bytes.to_vec()), |text| Self::Text(text.to_owned()))
    }

    /// The bytes of a text or of bytes; of all else none.
    pub(super) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Bytes(bytes) => bytes,
            Self::Number(_) | Self::Bool(_) | Self::Null | Self::Moment(_) => b"",
        }
    }
}

impl Predicate {
    /// Whether it looks at bytes, and nothing else: then nothing is decoded.
    pub(super) fn is_of_bytes(&self) -> bool {
        let bytes = |literal: &Literal| matches!(literal, Literal::Bytes(_));
        match self {
            Self::Compare(_, literal) | Self::StartsWith(literal) | Self::EndsWith(literal) => bytes(literal),
            Self::In(literals) => literals.iter().all(bytes),
            Self::Contains(pattern) => pattern.is_bytes(),
            Self::Matches(_) | Self::Exists => false,
        }
    }
}

impl Expr {
    pub(super) fn has_program(&self) -> bool {
        match self {
            Self::And(parts) | Self::Or(parts) => parts.iter().any(Self::has_program),
            Self::Not(inner) => inner.has_program(),
            Self::Jq(_) => true,
            Self::Anywhere(_) | Self::Test(..) => false,
        }
    }
}

impl Field {
    /// Every field that a query knows, by the word that starts it.
    pub const NAMES: [&str; 12] =
        ["key", "value", "headers", "topic", "partition", "offset", "timestamp", "size", "reason", "exception", "origin", "attempts"];
}

impl Comparison {
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::Unequal => "!=",
            Self::Less => "<",
            Self::AtMost => "<=",
            Self::Greater => ">",
            Self::AtLeast => ">=",
        }
    }
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        parts.extend(self.from.map(|bound| format!("from {bound}")));
        parts.extend(self.until.map(|bound| format!("until {bound}")));
        if let Some(condition) = &self.condition {
            let and_where = if parts.is_empty() { "" } else { "where " };
            parts.push(format!("{and_where}{condition}"));
        }
        parts.extend(self.limit.map(|limit| format!("limit {limit}")));
        f.write_str(&parts.join(" "))
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::And(parts) => join(f, parts, " and "),
            Self::Or(parts) => join(f, parts, " or "),
            Self::Not(inner) if matches!(**inner, Self::And(_) | Self::Or(_)) => write!(f, "not ({inner})"),
            Self::Not(inner) => write!(f, "not {inner}"),
            Self::Anywhere(pattern) if pattern.is_regex() => pattern.fmt(f),
            Self::Anywhere(pattern) if pattern.is_bytes() => f.write_str(&pattern.source),
            Self::Anywhere(pattern) => quote(f, &pattern.source),
            Self::Test(field, predicate) => write!(f, "{field} {predicate}"),
            Self::Jq(program) => program.fmt(f),
        }
    }
}

fn join(f: &mut fmt::Formatter<'_>, parts: &[Expr], word: &str) -> fmt::Result {
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            f.write_str(word)?;
        }
        match part {
            Expr::And(_) | Expr::Or(_) => write!(f, "({part})")?,
            _ => write!(f, "{part}")?,
        }
    }
    Ok(())
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(steps) => path(f, "key", steps),
            Self::Value(steps) => path(f, "value", steps),
            Self::Headers => f.write_str("headers"),
            Self::Header(name) => {
                f.write_str("headers.")?;
                if name.split('.').all(is_plain) { f.write_str(name) } else { quote(f, name) }
            }
            Self::Topic => f.write_str("topic"),
            Self::Partition => f.write_str("partition"),
            Self::Offset => f.write_str("offset"),
            Self::Timestamp => f.write_str("timestamp"),
            Self::Size => f.write_str("size"),
            Self::Reason => f.write_str("reason"),
            Self::Exception => f.write_str("exception"),
            Self::Origin => f.write_str("origin"),
            Self::Attempts => f.write_str("attempts"),
        }
    }
}

fn path(f: &mut fmt::Formatter<'_>, field: &str, steps: &[Step]) -> fmt::Result {
    f.write_str(field)?;
    for step in steps {
        match step {
            Step::Index(index) => write!(f, "[{index}]")?,
            Step::Key(key) => {
                f.write_str(".")?;
                if is_plain(key) { f.write_str(key)? } else { quote(f, key)? }
            }
        }
    }
    Ok(())
}

/// Whether a step of a path needs no quotes.
pub(super) fn is_plain(step: &str) -> bool {
    !step.is_empty() && step.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '$' | '@'))
}

impl fmt::Display for Predicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Compare(comparison, literal) => write!(f, "{} {literal}", comparison.symbol()),
            Self::In(literals) => {
                let all: Vec<String> = literals.iter().map(ToString::to_string).collect();
                write!(f, "in ({})", all.join(", "))
            }
            Self::Contains(pattern) if pattern.is_bytes() => write!(f, "contains {}", pattern.source),
            Self::Contains(pattern) => {
                f.write_str(if pattern.any_case { "contains~ " } else { "contains " })?;
                quote(f, &pattern.source)
            }
            Self::StartsWith(literal) => write!(f, "starts with {literal}"),
            Self::EndsWith(literal) => write!(f, "ends with {literal}"),
            Self::Matches(pattern) => write!(f, "matches {pattern}"),
            Self::Exists => f.write_str("exists"),
        }
    }
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => quote(f, text),
            Self::Bytes(bytes) => f.write_str(&written(bytes)),
            Self::Number(digits) => f.write_str(digits),
            Self::Bool(truth) => truth.fmt(f),
            Self::Null => f.write_str("null"),
            Self::Moment(time) => write!(f, "\"{time}\""),
        }
    }
}

/// In double quotes, as the lexer reads it.
fn quote(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_str("\"")?;
    for c in text.chars() {
        match c {
            '"' => f.write_str("\\\"")?,
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            '\t' => f.write_str("\\t")?,
            '\r' => f.write_str("\\r")?,
            c if super::super::text::is_hidden(c) && u32::from(c) <= 0xffff => write!(f, "\\u{:04x}", u32::from(c))?,
            c => write!(f, "{c}")?,
        }
    }
    f.write_str("\"")
}
