//! What a query is asked of, and why there may be no answer.

use super::super::message::HeaderTest;
use super::super::time::Timestamp;
use super::super::value::{Step, Value};
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// The payload cannot be decoded, and the answer depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Undecodable;

impl fmt::Display for Undecodable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the payload cannot be decoded")
    }
}

impl std::error::Error for Undecodable {}

/// Why there is no answer. Where a condition meets both, the greater one is told.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Undecided {
    /// The payload cannot be decoded.
    Undecodable,
    /// A jq program failed; what it said.
    Failed(Arc<str>),
}

impl From<Undecodable> for Undecided {
    fn from(Undecodable: Undecodable) -> Self {
        Self::Undecodable
    }
}

impl fmt::Display for Undecided {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Undecodable => Undecodable.fmt(f),
            Self::Failed(said) => write!(f, "jq: {said}"),
        }
    }
}

/// What a query looks at. Everything is borrowed; `value` and `key_value` decode when they are first asked.
pub trait Record {
    fn topic(&self) -> &str;
    fn partition(&self) -> Option<i32>;
    /// The offset in its partition, or the sequence in a log without any.
    fn offset(&self) -> Option<i64>;
    fn timestamp(&self) -> Option<Timestamp>;
    /// Bytes of key, headers and payload.
    fn size(&self) -> usize;
    fn key(&self) -> Option<&[u8]>;
    /// Whether a test of name and value holds for one of the headers, asked in their order.
    fn any_header(&self, test: &mut HeaderTest<'_>) -> bool;
    fn payload(&self) -> Option<&[u8]>;
    /// The decoded payload; `None` if there is none.
    fn value(&self) -> Result<Option<&Value>, Undecodable>;
    /// The key as a tree, if it is one.
    fn key_value(&self) -> Option<&Value>;
    /// Whether a test holds for one of the places that a path leads to in the decoded payload. To be overridden where that can be
    /// told without building a tree.
    fn any_at(&self, steps: &[Step], test: &mut dyn FnMut(&Node<'_>) -> bool) -> Result<bool, Undecodable> {
        Ok(self.value()?.is_some_and(|value| value.any_at(steps, &mut |found| test(&Node::Tree(found)))))
    }
    /// True only if the payload can be decoded, and every name and scalar in it stands in its bytes as it is printed.
    fn is_plain(&self) -> bool {
        false
    }
    /// Why a dead letter died; `None` for every other message.
    fn failure(&self) -> Option<Failure<'_>> {
        None
    }
}

/// What a query may ask of a dead letter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Failure<'a> {
    pub reason: Option<&'a str>,
    pub exception: Option<&'a str>,
    pub origin: Option<&'a str>,
    pub attempts: Option<u64>,
}

/// What a text is searched for.
pub(super) type Wanted<'a> = &'a dyn Fn(&[u8]) -> bool;

/// One thing that a predicate looks at.
pub enum Node<'a> {
    /// Nothing at all, as the value of a header may be.
    Null,
    Text(Cow<'a, str>),
    Number(Cow<'a, str>),
    Moment(Timestamp),
    /// Bytes that are no text.
    Bytes(&'a [u8]),
    Tree(&'a Value),
    /// An array or object of which no tree was built: says whether a search is true for a name or scalar in it, as it is printed.
    Within(&'a dyn Fn(Wanted<'_>) -> bool),
}
