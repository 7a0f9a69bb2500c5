//! Whether a condition holds for a record.

use super::super::value::Value;
use super::ast::{Comparison, Expr, Field, Literal, Predicate};
use super::decimal;
use super::pattern::Pattern;
use super::record::{Node, Record, Undecided, Undecodable, Wanted};
use std::borrow::Cow;
use std::cmp::Ordering;

/// Evaluates with three truths, so that the order of `and` and `or` never changes an answer.
pub(super) fn holds(expr: &Expr, record: &impl Record) -> Result<bool, Undecided> {
    match expr {
        Expr::And(parts) => any(parts.iter(), |part| holds(part, record).map(|truth| !truth)).map(|truth| !truth),
        Expr::Or(parts) => any(parts.iter(), |part| holds(part, record)),
        Expr::Not(inner) => holds(inner, record).map(|truth| !truth),
        Expr::Anywhere(pattern) if pattern.is_bytes() => {
            Ok([record.key(), record.payload()].into_iter().flatten().any(|b| pattern.is_in(b)))
        }
        Expr::Anywhere(pattern) => {
            let search = |node: &Node<'_>| node.contains(pattern);
            if key_text(record, &search) { Ok(true) } else { Ok(value_text(record, Some(pattern), &search)?) }
        }
        Expr::Test(field, predicate) => Ok(test(field, predicate, record)?),
        Expr::Jq(program) => program.holds(record),
    }
}

/// True if one is true, else an error if one is an error.
fn any<T>(items: impl Iterator<Item = T>, mut each: impl FnMut(T) -> Result<bool, Undecided>) -> Result<bool, Undecided> {
    let mut error: Option<Undecided> = None;
    for item in items {
        match each(item) {
            Ok(true) => return Ok(true),
            Ok(false) => {}
            // The greater one, so that the order of the parts does not matter.
            Err(met) => error = error.max(Some(met)),
        }
    }
    error.map_or(Ok(false), Err)
}

fn test(field: &Field, predicate: &Predicate, record: &impl Record) -> Result<bool, Undecodable> {
    let text = |text: Option<&str>| Ok(text.is_some_and(|text| predicate.on(&Node::Text(Cow::Borrowed(text)))));
    let number = |number: Option<String>| Ok(number.is_some_and(|number| predicate.on(&Node::Number(Cow::Owned(number)))));
    let failure = || record.failure().unwrap_or_default();
    match field {
        Field::Key(steps) if steps.is_empty() => Ok(whole_key(predicate, record)),
        Field::Key(steps) => Ok(record.key_value().is_some_and(|value| value.any_at(steps, &mut |found| predicate.on(&Node::Tree(found))))),
        Field::Value(steps) if steps.is_empty() => whole_value(predicate, record),
        Field::Value(steps) => record.any_at(steps, &mut |found| predicate.on(found)),
        Field::Headers => Ok(record.any_header(&mut |name, value| predicate.on_header(name, value))),
        Field::Header(wanted) => {
            Ok(record.any_header(&mut |name, value| name == wanted.as_bytes() && predicate.on(&value.map_or(Node::Null, Node::of_bytes))))
        }
        Field::Topic => text(Some(record.topic())),
        Field::Partition => number(record.partition().map(|n| n.to_string())),
        Field::Offset => number(record.offset().map(|n| n.to_string())),
        Field::Size => number(Some(record.size().to_string())),
        Field::Timestamp => Ok(record.timestamp().is_some_and(|time| predicate.on(&Node::Moment(time)))),
        Field::Reason => text(failure().reason),
        Field::Exception => text(failure().exception),
        Field::Origin => text(failure().origin),
        Field::Attempts => number(failure().attempts.map(|n| n.to_string())),
    }
}

fn whole_key(predicate: &Predicate, record: &impl Record) -> bool {
    let Some(bytes) = record.key() else { return predicate.on_missing() };
    if predicate.looks_into_text() && !predicate.is_of_bytes() {
        key_text(record, &|node| predicate.on(node))
    } else {
        predicate.on(&Node::of_bytes(bytes))
    }
}

fn whole_value(predicate: &Predicate, record: &impl Record) -> Result<bool, Undecodable> {
    match (record.payload(), predicate) {
        (None, _) => Ok(predicate.on_missing()),
        (Some(_), Predicate::Exists) => Ok(true),
        (Some(bytes), _) if predicate.is_of_bytes() => Ok(predicate.on(&Node::Bytes(bytes))),
        // Bytes in a list are what the payload is, texts what it decodes to.
        (Some(bytes), Predicate::In(_)) if predicate.on(&Node::Bytes(bytes)) => Ok(true),
        (_, Predicate::Contains(pattern) | Predicate::Matches(pattern)) => value_text(record, Some(pattern), &|node| predicate.on(node)),
        _ if predicate.looks_into_text() => value_text(record, None, &|node| predicate.on(node)),
        _ => record.any_at(&[], &mut |value| predicate.on(value)),
    }
}

/// Whether a search succeeds in the raw key or in what it decodes to.
fn key_text(record: &impl Record, search: &dyn Fn(&Node<'_>) -> bool) -> bool {
    record.key().is_some_and(|bytes| search(&Node::Bytes(bytes)) || record.key_value().is_some_and(|value| search(&Node::Tree(value))))
}

/// Whether a search, for a pattern wherever it stands or of another kind, succeeds in the raw payload or in what it decodes to.
fn value_text(record: &impl Record, pattern: Option<&Pattern>, search: &dyn Fn(&Node<'_>) -> bool) -> Result<bool, Undecodable> {
    match record.payload() {
        None => Ok(false),
        Some(bytes) if search(&Node::Bytes(bytes)) => Ok(true),
        // What is not in the bytes is in none of their parts.
        Some(_) if pattern.is_some_and(Pattern::is_free) && record.is_plain() => Ok(false),
        Some(_) => record.any_at(&[], &mut |value| search(value)),
    }
}

impl<'a> Node<'a> {
    fn of_bytes(bytes: &'a [u8]) -> Self {
        std::str::from_utf8(bytes).map_or(Self::Bytes(bytes), |text| Self::Text(Cow::Borrowed(text)))
    }

    /// How this stands to a literal; `None` where the two are of different kinds.
    fn compare(&self, literal: &Literal) -> Option<Ordering> {
        match (self, literal) {
            (Self::Text(a), Literal::Text(b)) => Some(a.as_ref().cmp(b)),
            (Self::Text(a), Literal::Bytes(b)) => Some(a.as_bytes().cmp(b)),
            (Self::Bytes(a), Literal::Bytes(b)) => Some(a.cmp(&b.as_slice())),
            (Self::Tree(Value::Text(a)), Literal::Bytes(b)) => Some(a.as_bytes().cmp(b)),
            (Self::Tree(Value::Bytes(a)), Literal::Bytes(b)) => Some(a.as_ref().cmp(b.as_slice())),
            (Self::Number(a), Literal::Number(b)) => Some(decimal::compare(a, b)),
            (Self::Moment(a), Literal::Moment(b)) => Some(a.cmp(b)),
            (Self::Null | Self::Tree(Value::Null), Literal::Null) => Some(Ordering::Equal),
            (Self::Tree(Value::Bool(a)), Literal::Bool(b)) => Some(a.cmp(b)),
            (Self::Tree(Value::Number(a)), Literal::Number(b)) => Some(decimal::compare(a, b)),
            (Self::Tree(value @ (Value::Text(_) | Value::Bytes(_))), Literal::Text(b)) => value.printed().map(|a| a.as_ref().cmp(b)),
            _ => None,
        }
    }

    fn contains(&self, pattern: &Pattern) -> bool {
        self.printed(true, pattern.is_bytes(), &|bytes| pattern.is_in(bytes))
    }

    /// Whether `search` is true for what is printed of this: the whole of a scalar, and if asked every name and scalar of a tree; with `raw`
    /// bytes are looked at as they are.
    fn printed(&self, deep: bool, raw: bool, search: Wanted<'_>) -> bool {
        match self {
            // A header without a value has no text.
            Self::Null => false,
            Self::Text(text) | Self::Number(text) => search(text.as_bytes()),
            Self::Moment(time) => search(time.to_string().as_bytes()),
            Self::Bytes(bytes) => search(bytes),
            Self::Within(any) => deep && any(search),
            Self::Tree(Value::Array(items)) => deep && items.iter().any(|item| Node::Tree(item).printed(deep, raw, search)),
            Self::Tree(Value::Object(entries)) => {
                deep && entries.iter().any(|(name, value)| search(name.as_bytes()) || Node::Tree(value).printed(deep, raw, search))
            }
            Self::Tree(Value::Bytes(bytes)) if raw => search(bytes),
            Self::Tree(scalar) => scalar.printed().is_some_and(|text| search(text.as_bytes())),
        }
    }
}

impl Comparison {
    /// Things of different kinds are unequal, and neither is less.
    fn accepts(self, order: Option<Ordering>) -> bool {
        match self {
            Self::Equal => order == Some(Ordering::Equal),
            Self::Unequal => order != Some(Ordering::Equal),
            Self::Less => order == Some(Ordering::Less),
            Self::AtMost => order.is_some_and(Ordering::is_le),
            Self::Greater => order == Some(Ordering::Greater),
            Self::AtLeast => order.is_some_and(Ordering::is_ge),
        }
    }
}

impl Predicate {
    fn on(&self, node: &Node<'_>) -> bool {
        match self {
            Self::Exists => true,
            Self::Compare(comparison, literal) => comparison.accepts(node.compare(literal)),
            Self::In(literals) => literals.iter().any(|literal| node.compare(literal) == Some(Ordering::Equal)),
            Self::Contains(pattern) | Self::Matches(pattern) => node.contains(pattern),
            Self::StartsWith(literal) => node.printed(false, self.is_of_bytes(), &|bytes| bytes.starts_with(literal.as_bytes())),
            Self::EndsWith(literal) => node.printed(false, self.is_of_bytes(), &|bytes| bytes.ends_with(literal.as_bytes())),
        }
    }

    /// On a key or payload that is not there: it equals `null`, every other comparison is false.
    fn on_missing(&self) -> bool {
        match self {
            Self::Compare(comparison, literal) => *comparison == Comparison::Equal && *literal == Literal::Null,
            Self::In(literals) => literals.contains(&Literal::Null),
            _ => false,
        }
    }

    fn on_header(&self, name: &[u8], value: Option<&[u8]>) -> bool {
        self.on(&Node::of_bytes(name)) || value.is_some_and(|value| self.on(&Node::of_bytes(value)))
    }

    fn looks_into_text(&self) -> bool {
        matches!(self, Self::Contains(_) | Self::Matches(_) | Self::StartsWith(_) | Self::EndsWith(_))
    }
}
