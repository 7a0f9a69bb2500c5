//! What of a query can be decided before a message is decoded or even read: bounds for the broker, texts for the raw bytes.

use super::super::position::Bound;
use super::super::time::Timestamp;
use super::super::value::Step;
use super::ast::{Comparison, Expr, Field, Literal, Predicate, Query};
use super::pattern::Pattern;
use std::collections::BTreeSet;
use std::ops::RangeInclusive;

/// What has to be read. Nothing outside of it matches; not everything inside does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    pub from: Option<Bound>,
    pub until: Option<Bound>,
    /// Both ends belong to it. Timestamps need not rise with offsets: reading may start at the first message of the earliest moment,
    /// but may stop at one beyond the latest only where the broker itself stamps the messages.
    pub times: RangeInclusive<i64>,
    /// Both ends belong to it, in each partition. Empty (start beyond end) if nothing can match.
    pub offsets: RangeInclusive<i64>,
    /// `None` means all of them.
    pub partitions: Option<BTreeSet<i32>>,
    pub limit: Option<u64>,
}

/// Something that is found in a matching record.
///
/// It stands there in the raw bytes only if key or payload are text, or JSON without a backslash: escapes, numbers of binary formats and
/// base64 of bytes are printed otherwise than they are stored. Everything else must be decoded before it is skipped. Bytes that a query
/// writes as such ([`Pattern::is_bytes`]) stand there as they are, whatever key and payload are.
#[derive(Clone, Debug, PartialEq)]
pub struct Needle {
    pub place: Place,
    /// Free: it can be searched for in more than its place.
    pub pattern: Pattern,
}

/// Where a needle stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Key,
    Payload,
    KeyOrPayload,
    Headers,
}

impl Reach {
    fn everything() -> Self {
        Self { from: None, until: None, times: i64::MIN..=i64::MAX, offsets: i64::MIN..=i64::MAX, partitions: None, limit: None }
    }

    /// What lies in both.
    fn and(self, other: Self) -> Self {
        let partitions = match (self.partitions, other.partitions) {
            (Some(a), Some(b)) => Some(&a & &b),
            (a, b) => a.or(b),
        };
        Self { times: overlap(&self.times, &other.times), offsets: overlap(&self.offsets, &other.offsets), partitions, ..self }
    }

    /// The smallest reach around both.
    fn or(self, other: Self) -> Self {
        let partitions = self.partitions.zip(other.partitions).map(|(a, b)| &a | &b);
        Self { times: hull(&self.times, &other.times), offsets: hull(&self.offsets, &other.offsets), partitions, ..self }
    }
}

fn overlap(a: &RangeInclusive<i64>, b: &RangeInclusive<i64>) -> RangeInclusive<i64> {
    *a.start().max(b.start())..=*a.end().min(b.end())
}

fn hull(a: &RangeInclusive<i64>, b: &RangeInclusive<i64>) -> RangeInclusive<i64> {
    match (a.is_empty(), b.is_empty()) {
        (true, _) => b.clone(),
        (_, true) => a.clone(),
        _ => *a.start().min(b.start())..=*a.end().max(b.end()),
    }
}

pub(super) fn reach(query: &Query) -> Reach {
    let reach = query.condition.as_ref().map_or_else(Reach::everything, of);
    Reach { from: query.from, until: query.until, limit: query.limit, ..reach }
}

fn of(expr: &Expr) -> Reach {
    let everything = Reach::everything();
    match expr {
        Expr::And(parts) => parts.iter().map(of).fold(everything, Reach::and),
        Expr::Or(parts) => parts.iter().map(of).reduce(Reach::or).unwrap_or(everything),
        Expr::Test(Field::Timestamp, predicate) => Reach { times: bounds(predicate), ..everything },
        Expr::Test(Field::Offset, predicate) => Reach { offsets: bounds(predicate), ..everything },
        Expr::Test(Field::Partition, predicate) => Reach { partitions: partitions(predicate), ..everything },
        Expr::Not(_) | Expr::Anywhere(_) | Expr::Test(..) | Expr::Jq(_) => everything,
    }
}

/// The numbers for which a predicate may hold.
fn bounds(predicate: &Predicate) -> RangeInclusive<i64> {
    let all = i64::MIN..=i64::MAX;
    match predicate {
        Predicate::Compare(comparison, literal) => whole_number(literal).map_or(all, |n| match comparison {
            Comparison::Equal => n..=n,
            Comparison::Unequal => i64::MIN..=i64::MAX,
            // The smallest number has none below it.
            Comparison::Less => i64::MIN..=n.saturating_sub(1),
            Comparison::AtMost => i64::MIN..=n,
            Comparison::Greater => n.saturating_add(1)..=i64::MAX,
            Comparison::AtLeast => n..=i64::MAX,
        }),
        Predicate::In(literals) => {
            let numbers: Option<Vec<i64>> = literals.iter().map(whole_number).collect();
            numbers.and_then(|n| Some(*n.iter().min()?..=*n.iter().max()?)).unwrap_or(all)
        }
        _ => all,
    }
}

fn partitions(predicate: &Predicate) -> Option<BTreeSet<i32>> {
    let literals = match predicate {
        Predicate::Compare(Comparison::Equal, literal) => std::slice::from_ref(literal),
        Predicate::In(literals) => literals,
        _ => return None,
    };
    literals.iter().map(|literal| whole_number(literal).and_then(|n| i32::try_from(n).ok())).collect()
}

/// A literal of plain digits; `1e3` and the like are left to the evaluation.
fn whole_number(literal: &Literal) -> Option<i64> {
    match literal {
        Literal::Number(digits) => digits.parse().ok(),
        Literal::Moment(Timestamp(millis)) => Some(*millis),
        Literal::Text(_) | Literal::Bytes(_) | Literal::Bool(_) | Literal::Null => None,
    }
}

/// Groups of needles: a matching record contains one of each group.
pub(super) fn needles(expr: &Expr) -> Vec<Vec<Needle>> {
    match expr {
        Expr::And(parts) => parts.iter().flat_map(needles).collect(),
        Expr::Or(parts) => {
            // One group of each side, joined, stands for the whole: the first is as good as any.
            let firsts: Option<Vec<Vec<Needle>>> = parts.iter().map(|part| needles(part).into_iter().next()).collect();
            firsts.map(|groups| vec![groups.concat()]).unwrap_or_default()
        }
        Expr::Anywhere(pattern) => needle(Place::KeyOrPayload, Some(pattern.clone())),
        Expr::Test(field, predicate) => of_test(field, predicate),
        Expr::Not(_) | Expr::Jq(_) => Vec::new(),
    }
}

fn of_test(field: &Field, predicate: &Predicate) -> Vec<Vec<Needle>> {
    let place = match field {
        Field::Key(_) => Place::Key,
        Field::Value(_) => Place::Payload,
        Field::Headers | Field::Header(_) => Place::Headers,
        _ => return Vec::new(),
    };
    // Inside of a tree, bytes may be stored otherwise.
    let is_whole = !matches!(field, Field::Key(steps) | Field::Value(steps) if !steps.is_empty());
    let exact = |literal: &Literal| match literal {
        Literal::Text(text) => needle(place, Pattern::text(text, false).ok()),
        Literal::Bytes(bytes) if is_whole => needle(place, Some(Pattern::bytes(bytes))),
        _ => Vec::new(),
    };
    let mut groups = match predicate {
        Predicate::Contains(pattern) if pattern.is_bytes() && !is_whole => Vec::new(),
        Predicate::Contains(pattern) | Predicate::Matches(pattern) => needle(place, Some(pattern.clone())),
        Predicate::StartsWith(literal) | Predicate::EndsWith(literal) | Predicate::Compare(Comparison::Equal, literal) => exact(literal),
        Predicate::In(literals) => {
            let texts = literals.iter().map(|literal| exact(literal).pop());
            let groups: Option<Vec<Vec<Needle>>> = texts.collect();
            groups.map(|groups| vec![groups.concat()]).unwrap_or_default()
        }
        _ => Vec::new(),
    };
    // Whatever is asked of a place in a tree, the names that lead to it are there.
    if let Field::Key(steps) | Field::Value(steps) = field {
        groups.extend(steps.iter().flat_map(|step| match step {
            Step::Key(name) => needle(place, Pattern::text(name, false).ok()),
            Step::Index(_) => Vec::new(),
        }));
    }
    groups
}

/// An empty text stands everywhere and says nothing, and a pattern that looks around itself cannot be searched for in more than its place.
fn needle(place: Place, pattern: Option<Pattern>) -> Vec<Vec<Needle>> {
    let useful = pattern.filter(|pattern| pattern.is_free() && !pattern.is_in(b""));
    useful.map(|pattern| vec![vec![Needle { place, pattern }]]).unwrap_or_default()
}
