//! A letter: a message on which some dialect says how it died. Nothing is copied but the headers that dialects name, into memory that is
//! used again, and nothing is decoded before it is needed.

use super::super::query::Record;
use super::super::text::SafeText;
use super::super::time::Timestamp;
use super::super::value::{Step, Value};
use super::dialect::{Dialect, Dialects, Fact, Pick, Place, Rule};
use super::failure::Death;
use super::form::{Form, Raw};
use std::borrow::Cow;
use std::sync::Arc;

/// So many headers of names that dialects know are looked at; what repeats more often is somebody's mistake.
const MOST_HEADERS: usize = 512;
/// So much of one header is looked at.
const LONGEST_HEADER: usize = 64 << 10;

/// Memory for reading one message after the other.
#[derive(Debug, Default)]
pub struct Scratch {
    bytes: Vec<u8>,
    headers: Vec<Found>,
    /// What is known of each dialect.
    states: Vec<State>,
}

/// One header that a dialect names.
#[derive(Clone, Copy, Debug)]
struct Found {
    slot: u16,
    start: u32,
    end: u32,
}

/// Whether a dialect is on the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// None of its headers is there.
    Unseen,
    Is,
    IsNot,
}

/// A message with what dialects say of its death.
pub struct Letter<'s, R> {
    pub(super) dialects: &'s Dialects,
    pub(super) record: &'s R,
    scratch: &'s Scratch,
    /// The dialect that is believed for each.
    pub(super) cause: Option<usize>,
    pub(super) route: Option<usize>,
}

impl Scratch {
    fn take(&mut self, dialects: &Dialects, record: &impl Record) {
        self.bytes.clear();
        self.headers.clear();
        self.states.clear();
        self.states.resize(dialects.all.len(), State::Unseen);
        let Self { bytes, headers, states, .. } = self;
        record.any_header(&mut |name, value| {
            let (Some(slot), Some(value)) = (dialects.slots.get(name), value) else { return false };
            let start = bytes.len() as u32;
            bytes.extend_from_slice(&value[..value.len().min(LONGEST_HEADER)]);
            headers.push(Found { slot, start, end: bytes.len() as u32 });
            if !value.is_empty() {
                dialects.used_by[usize::from(slot)].iter().for_each(|dialect| states[usize::from(*dialect)] = State::Is);
            }
            headers.len() >= MOST_HEADERS
        });
        for (state, dialect) in states.iter_mut().zip(&dialects.all) {
            if *state == State::Is && !holds(dialect, record) {
                *state = State::IsNot;
            }
        }
    }
}

/// Whether a dialect's condition holds. One that cannot be decided does not.
fn holds(dialect: &Dialect, record: &impl Record) -> bool {
    dialect.when.as_ref().is_none_or(|when| when.matches(record).unwrap_or(false))
}

impl Dialects {
    /// What they say of how a message died; `None` if none of them is on it.
    pub fn read<R: Record>(&self, record: &R) -> Option<super::failure::Failure> {
        self.look(record, &mut Scratch::default()).map(|letter| letter.failure())
    }

    /// The same with memory that is used again, and with nothing decoded yet.
    pub fn look<'s, R: Record>(&'s self, record: &'s R, scratch: &'s mut Scratch) -> Option<Letter<'s, R>> {
        scratch.take(self, record);
        let cause = self.believed(&self.cause, record, scratch, Fact::is_of_cause);
        let route = self.believed(&self.route, record, scratch, Fact::is_of_route);
        (cause.is_some() || route.is_some()).then_some(Letter { dialects: self, record, scratch, cause, route })
    }

    /// The first dialect in an order that is on the message and says something of a kind.
    fn believed<R: Record>(&self, order: &[usize], record: &R, scratch: &mut Scratch, kind: fn(Fact) -> bool) -> Option<usize> {
        order.iter().copied().find(|&at| {
            let dialect = &self.all[at];
            if scratch.states[at] == State::Unseen {
                let may_be = self.needles[at].as_ref().is_some_and(|needles| may_contain(record.payload(), needles));
                scratch.states[at] = if may_be && holds(dialect, record) { State::Is } else { State::IsNot };
            }
            if scratch.states[at] != State::Is {
                return false;
            }
            let letter = Letter { dialects: self, record, scratch, cause: None, route: None };
            let has_text = |(fact, rule): &(Fact, Rule)| kind(*fact) && letter.raw(rule).is_some_and(|raw| raw.text().is_some());
            // Deaths tell a cause only where they have reasons.
            let counts = |death: &Death| !kind(Fact::Reason) || death.reason.is_some();
            dialect.rules.iter().any(has_text) || (dialect.deaths.is_some() && letter.deaths_of(at).iter().any(counts))
        })
    }
}

/// Whether a payload may have one of each group in it. Text with a backslash may have everything.
fn may_contain(payload: Option<&[u8]>, needles: &[Vec<Vec<u8>>]) -> bool {
    let Some(payload) = payload else { return false };
    let has = |needle: &Vec<u8>| memchr::memmem::find(payload, needle).is_some();
    needles.iter().all(|group| group.iter().any(has)) || memchr::memchr(b'\\', payload).is_some()
}

/// The first place that a path leads to.
pub(super) fn at<'v>(value: &'v Value, steps: &[Step]) -> Option<&'v Value> {
    steps.iter().try_fold(value, |value, step| match step {
        Step::Key(name) => value.get(name),
        Step::Index(index) => value.index(*index),
    })
}

/// JSON as a tree, as far as the numbers of deaths and such need it.
fn parse(bytes: &[u8]) -> Option<Value> {
    fn tree(value: serde_json::Value) -> Value {
        use serde_json::Value as Json;
        match value {
            Json::Null => Value::Null,
            Json::Bool(truth) => Value::Bool(truth),
            Json::Number(number) => Value::Number(number.to_string().into()),
            Json::String(text) => Value::Text(text.into()),
            Json::Array(items) => Value::Array(items.into_iter().map(tree).collect()),
            Json::Object(members) => Value::Object(members.into_iter().map(|(name, value)| (name.into(), tree(value))).collect()),
        }
    }
    serde_json::from_slice(bytes).ok().map(tree)
}

impl<'s, R: Record> Letter<'s, R> {
    /// The values of the headers that a rule names, in their order.
    pub(super) fn headers(&self, slot: u16) -> impl DoubleEndedIterator<Item = &'s [u8]> {
        let found = self.scratch.headers.iter().filter(move |found| found.slot == slot);
        found.map(|found| &self.scratch.bytes[found.start as usize..found.end as usize])
    }

    /// What stands where a rule says.
    pub(super) fn raw(&self, rule: &Rule) -> Option<Raw<'s>> {
        match &rule.place {
            Place::Header(_) => {
                let mut values = self.headers(rule.slot());
                let bytes = if rule.pick == Pick::First { values.next() } else { values.next_back() };
                within(bytes?, rule)
            }
            Place::Value(steps) => match at(self.record.value().ok()??, steps)? {
                // A text in a payload may be JSON again.
                Value::Text(text) if rule.form == Form::Json => within(text.as_bytes(), rule),
                found => at(found, &rule.at).map(|value| Raw::Tree(Cow::Borrowed(value))),
            },
            Place::Key(steps) if steps.is_empty() => within(self.record.key()?, rule),
            Place::Key(steps) => at(self.record.key_value()?, steps).map(|value| Raw::Tree(Cow::Borrowed(value))),
            Place::Each(_) => None,
        }
    }

    /// What a dialect says of a fact.
    fn found(&self, dialect: usize, fact: Fact) -> impl Iterator<Item = (&'s Rule, Raw<'s>)> {
        let rules = self.dialects.all[dialect].rules.iter().filter(move |(of, _)| *of == fact);
        rules.filter_map(|(_, rule)| Some((rule, self.raw(rule)?)))
    }

    /// A fact as the bytes of a text.
    pub(super) fn bytes(&self, dialect: Option<usize>, fact: Fact) -> Option<Cow<'s, [u8]>> {
        self.found(dialect?, fact).find_map(|(rule, raw)| cut(raw.text()?, rule))
    }

    pub(super) fn text(&self, dialect: Option<usize>, fact: Fact) -> Option<SafeText> {
        self.bytes(dialect, fact).map(|bytes| SafeText::from_bytes(&bytes))
    }

    pub(super) fn name(&self, dialect: Option<usize>, fact: Fact) -> Option<Arc<str>> {
        self.found(dialect?, fact).find_map(|(rule, raw)| name(&raw, rule))
    }

    /// An exchange: the default one has an empty name.
    pub(super) fn exchange(&self, dialect: Option<usize>) -> Option<Arc<str>> {
        self.found(dialect?, Fact::Exchange).find_map(|(rule, raw)| exchange(&raw, rule))
    }

    pub(super) fn names(&self, dialect: Option<usize>, fact: Fact) -> Vec<Arc<str>> {
        let first = dialect.and_then(|dialect| self.found(dialect, fact).next());
        first.map(|(rule, raw)| names(&raw, rule)).unwrap_or_default()
    }

    /// A fact as a number; clients write -1 where there is none.
    pub(super) fn number(&self, dialect: Option<usize>, fact: Fact) -> Option<u64> {
        self.found(dialect?, fact).find_map(|(rule, raw)| u64::try_from(raw.number(rule.form)?).ok())
    }

    pub(super) fn time(&self, dialect: Option<usize>, fact: Fact) -> Option<Timestamp> {
        self.found(dialect?, fact).find_map(|(rule, raw)| raw.time(rule.form))
    }

    /// Dialects that are on the message, those that are believed first.
    pub(super) fn others(&self) -> impl Iterator<Item = usize> {
        let known = self.dialects.route.iter().copied().filter(|at| self.scratch.states[*at] == State::Is);
        self.route.into_iter().chain(self.cause).chain(known)
    }

    /// What says something without being on a letter by itself: the mark of a replay.
    pub(super) fn all(&self) -> impl Iterator<Item = usize> {
        self.dialects.route.iter().copied()
    }
}

/// The bytes as they are, or a place in what they are as JSON.
fn within<'s>(bytes: &'s [u8], rule: &Rule) -> Option<Raw<'s>> {
    if rule.form != Form::Json {
        return Some(Raw::Bytes(bytes));
    }
    let parsed = parse(bytes)?;
    if rule.at.is_empty() {
        return Some(Raw::Tree(Cow::Owned(parsed)));
    }
    at(&parsed, &rule.at).map(|value| Raw::Tree(Cow::Owned(value.clone())))
}

/// What a rule leaves of a text.
fn cut<'s>(text: Cow<'s, [u8]>, rule: &Rule) -> Option<Cow<'s, [u8]>> {
    if rule.after.is_none() && rule.before.is_none() {
        return Some(text);
    }
    let mut part = 0..text.len();
    if let Some(before) = rule.before.as_deref().and_then(|before| memchr::memmem::find(&text, before.as_bytes())) {
        part.end = before;
    }
    if let Some(after) = &rule.after {
        part.start = memchr::memmem::rfind(&text[part.clone()], after.as_bytes()).map_or(0, |at| at + after.len());
    }
    let left = match text {
        Cow::Borrowed(text) => Cow::Borrowed(&text[part]),
        Cow::Owned(text) => Cow::Owned(text[part].to_vec()),
    };
    (!left.is_empty()).then_some(left)
}

/// The name of a channel, a consumer or an exchange.
pub(super) fn name(raw: &Raw<'_>, rule: &Rule) -> Option<Arc<str>> {
    cut(raw.text()?, rule).map(|bytes| spell(&bytes, rule))
}

pub(super) fn exchange(raw: &Raw<'_>, rule: &Rule) -> Option<Arc<str>> {
    name(raw, rule).or_else(|| raw.is_empty().then(|| "".into()))
}

pub(super) fn names(raw: &Raw<'_>, rule: &Rule) -> Vec<Arc<str>> {
    raw.texts().into_iter().filter_map(|text| cut(Cow::Owned(text), rule).map(|text| spell(&text, rule))).collect()
}

fn spell(bytes: &[u8], rule: &Rule) -> Arc<str> {
    let text = super::super::address::escape_bytes(bytes);
    match &rule.kind {
        Some(kind) => format!("{kind}:{text}").into(),
        None => text.into(),
    }
}
