//! Dialects: where a library or a broker writes how a message died, as data. The built-in ones and a profile's own have one form.

use super::super::query::{Expr, Field, Needle, Predicate, Query, QueryError};
use super::super::value::Step;
use super::form::Form;
use super::slots::Slots;
use jiff::tz::TimeZone;
use std::sync::Arc;

/// What a dialect may say, by the name that its block writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fact {
    /// The channel in which the message died first; of a death its own.
    Channel,
    Partition,
    Position,
    Timestamp,
    Consumer,
    Exchange,
    RoutingKeys,
    Reason,
    Exception,
    Cause,
    Message,
    Stack,
    /// How often it was tried; of a death how often it died so.
    Attempts,
    First,
    Last,
    ReplayRun,
    ReplayLetter,
    ReplayAttempt,
}

impl Fact {
    pub const NAMES: [(&'static str, Self); 18] = [
        ("origin", Self::Channel),
        ("partition", Self::Partition),
        ("position", Self::Position),
        ("timestamp", Self::Timestamp),
        ("consumer", Self::Consumer),
        ("exchange", Self::Exchange),
        ("routing_keys", Self::RoutingKeys),
        ("reason", Self::Reason),
        ("exception", Self::Exception),
        ("cause", Self::Cause),
        ("message", Self::Message),
        ("stack", Self::Stack),
        ("attempts", Self::Attempts),
        ("first", Self::First),
        ("last", Self::Last),
        ("replay_run", Self::ReplayRun),
        ("replay_letter", Self::ReplayLetter),
        ("replay_attempt", Self::ReplayAttempt),
    ];

    /// What is said of each death.
    pub const OF_DEATHS: [(&'static str, Self); 7] = [
        ("channel", Self::Channel),
        ("exchange", Self::Exchange),
        ("routing_keys", Self::RoutingKeys),
        ("reason", Self::Reason),
        ("count", Self::Attempts),
        ("first", Self::First),
        ("last", Self::Last),
    ];

    /// Whether it tells why a message died. A dialect is on a letter only if it says that, or where the letter came from: counts and times
    /// alone are on messages that live.
    pub fn is_of_cause(self) -> bool {
        matches!(self, Self::Reason | Self::Exception | Self::Cause | Self::Message | Self::Stack)
    }

    pub fn is_of_route(self) -> bool {
        matches!(self, Self::Channel | Self::Consumer | Self::Exchange | Self::RoutingKeys)
    }

    /// Whether it is a time.
    pub fn is_time(self) -> bool {
        matches!(self, Self::Timestamp | Self::First | Self::Last)
    }

    /// Whether it is a whole number.
    pub fn is_number(self) -> bool {
        matches!(self, Self::Partition | Self::Position | Self::Attempts | Self::ReplayAttempt)
    }
}

/// Where one fact stands, and how it is written there.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    pub place: Place,
    pub form: Form,
    pub pick: Pick,
    /// The place in what is JSON.
    pub at: Vec<Step>,
    /// Of a text, only what stands behind the last of these: `rabbitmq://host/` of an address.
    pub after: Option<Box<str>>,
    /// Of a text, only what stands before the first of these.
    pub before: Option<Box<str>>,
    /// The kind of the channel that it names, where the bare name would be another: `queue`.
    pub kind: Option<Box<str>>,
    /// The number of the header, given when dialects are put together.
    slot: u16,
}

impl Rule {
    /// What stands there as text.
    pub fn of(place: Place) -> Self {
        let (form, pick, at) = (Form::Text, Pick::Last, Vec::new());
        Self { place, form, pick, at, after: None, before: None, kind: None, slot: 0 }
    }

    pub(super) fn slot(&self) -> u16 {
        self.slot
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A header of exactly that name.
    Header(Arc<str>),
    /// A place in the decoded payload.
    Value(Vec<Step>),
    /// The key, or a place in it.
    Key(Vec<Step>),
    /// A place in one death of a list of deaths.
    Each(Vec<Step>),
}

/// Which of several headers of one name counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pick {
    First,
    /// The newest: headers are appended.
    #[default]
    Last,
}

/// Where the deaths of a message are told one by one.
#[derive(Clone, Debug, PartialEq)]
pub struct Deaths {
    /// A list of deaths. Without it the n-th header of each name tells the n-th death.
    pub each: Option<Rule>,
    pub order: Order,
    /// In the list's members, or, without a list, in headers.
    pub rules: Vec<(Fact, Rule)>,
    /// The reasons of deaths that were tries: how often it died so is how often it was tried.
    pub tries: Vec<Box<str>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    NewestFirst,
    #[default]
    OldestFirst,
}

/// One way of writing down how a message died.
#[derive(Clone, Debug, PartialEq)]
pub struct Dialect {
    pub name: Arc<str>,
    /// What holds for every letter that has it; without it, the facts themselves tell.
    pub when: Option<Query>,
    /// Of several rules for one fact the first that finds something counts.
    pub rules: Vec<(Fact, Rule)>,
    pub deaths: Option<Deaths>,
    /// Headers that it also writes, and that tell nothing: `MT-Host-*`.
    pub writes: Vec<Box<str>>,
}

/// Which dialect is believed where several are on one letter, the first of each list first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Precedence {
    /// For reason, exception, message and stack, which come from one dialect together.
    pub cause: Vec<Arc<str>>,
    /// For the origin and the deaths.
    pub route: Vec<Arc<str>>,
}

/// Dialects ready for reading.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Dialects {
    pub(super) all: Vec<Dialect>,
    pub(super) slots: Slots,
    /// For each header, the dialects that have a fact in it.
    pub(super) used_by: Vec<Vec<u16>>,
    /// Whether each needs something of the payload.
    pub(super) needles: Vec<Option<Needles>>,
    pub(super) cause: Vec<usize>,
    pub(super) route: Vec<usize>,
}

/// What the payload of a letter of a dialect contains as it is: one of each group.
pub(super) type Needles = Vec<Vec<Vec<u8>>>;

impl Dialects {
    /// Puts dialects together: a profile's own are believed before all others, in their order, and take the place of others of their name.
    pub fn new(own: &[Dialect], others: &[Dialect], precedence: &Precedence) -> Self {
        let mut all: Vec<Dialect> = own.to_vec();
        all.extend(others.iter().filter(|other| own.iter().all(|dialect| dialect.name != other.name)).cloned());
        let order = |names: &[Arc<str>]| -> Vec<usize> {
            let listed = names.iter().filter_map(|name| all.iter().position(|dialect| dialect.name == *name));
            let mut order: Vec<usize> = (0..own.len()).collect();
            for at in listed.chain(0..all.len()) {
                if !order.contains(&at) {
                    order.push(at);
                }
            }
            order
        };
        let (cause, route) = (order(&precedence.cause), order(&precedence.route));
        let mut slots = Slots::default();
        let mut used_by: Vec<Vec<u16>> = Vec::new();
        for (at, dialect) in all.iter_mut().enumerate() {
            let of_deaths = dialect.deaths.iter_mut().flat_map(|deaths| {
                let each = deaths.each.iter_mut().map(|rule| (Fact::Channel, rule));
                each.chain(deaths.rules.iter_mut().map(|(_, rule)| (Fact::Channel, rule)))
            });
            for (fact, rule) in dialect.rules.iter_mut().map(|(fact, rule)| (*fact, rule)).chain(of_deaths) {
                let Place::Header(name) = &rule.place else { continue };
                rule.slot = slots.add(name.as_bytes());
                used_by.resize(slots.count(), Vec::new());
                let users = &mut used_by[usize::from(rule.slot)];
                // What says nothing by itself makes no letter.
                if (fact.is_of_cause() || fact.is_of_route()) && users.last() != Some(&(at as u16)) {
                    users.push(at as u16);
                }
            }
        }
        let needles = all.iter().map(needles).collect();
        Self { all, slots, used_by, needles, cause, route }
    }

    /// The names of all of them.
    pub fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.all.iter().map(|dialect| &dialect.name)
    }

    /// Whether a header of that name was written when a message died, and is no part of what was sent.
    pub fn is_bookkeeping(&self, name: &[u8]) -> bool {
        let written = |pattern: &str| match pattern.strip_suffix('*') {
            Some(start) => name.starts_with(start.as_bytes()),
            None => name == pattern.as_bytes(),
        };
        self.slots.get(name).is_some() || self.all.iter().any(|dialect| dialect.writes.iter().any(|pattern| written(pattern)))
    }
}

/// What stands in each payload of a dialect that is in payloads; `None` for one that is in headers alone.
fn needles(dialect: &Dialect) -> Option<Needles> {
    let steps = |place: &Place| match place {
        Place::Value(steps) => Some(steps.clone()),
        Place::Header(_) | Place::Key(_) | Place::Each(_) => None,
    };
    let each = dialect.deaths.iter().filter_map(|deaths| deaths.each.as_ref());
    let tells = dialect.rules.iter().filter(|(fact, _)| fact.is_of_cause() || fact.is_of_route()).map(|(_, rule)| rule);
    let paths: Vec<Vec<Step>> = tells.chain(each).filter_map(|rule| steps(&rule.place)).collect();
    if paths.is_empty() {
        return None;
    }
    if let Some(when) = &dialect.when {
        let text = |needle: &Needle| needle.pattern.source.clone().into_bytes();
        let of_payload = |group: &Vec<Needle>| {
            let places = group.iter().all(|needle| {
                needle.place == super::super::query::Place::Payload && !needle.pattern.is_regex() && !needle.pattern.any_case
            });
            places.then(|| group.iter().map(text).collect())
        };
        return Some(when.needles().iter().filter_map(of_payload).collect());
    }
    let last = |path: &Vec<Step>| {
        path.iter().rev().find_map(|step| if let Step::Key(name) = step { Some(name.as_bytes().to_vec()) } else { None })
    };
    let names: Option<Vec<Vec<u8>>> = paths.iter().map(last).collect();
    Some(names.into_iter().collect())
}

/// Reads a place of a message as queries write it: `headers.x-original-topic`, `value.error.code`, `key`.
pub fn path(text: &str) -> Result<Field, QueryError> {
    // Nothing in it is a time that `now` would be needed for.
    let now = jiff::Timestamp::UNIX_EPOCH.to_zoned(TimeZone::UTC);
    let wrong = || QueryError::new(0, format!("`{text}` is not one place of a message")).hint("write headers.NAME, value.PATH or key");
    match Query::parse(&format!("{text} exists"), &now)? {
        Query { from: None, until: None, limit: None, condition: Some(Expr::Test(field, Predicate::Exists)) } => Ok(field),
        _ => Err(wrong()),
    }
}

/// Reads a place within one death of a list, or in JSON: `queue`, `routing-keys[0]`, `[0].queue`.
pub fn path_of_each(text: &str) -> Result<Vec<Step>, QueryError> {
    let dot = if text.starts_with('[') { "" } else { "." };
    match path(&format!("value{dot}{text}"))? {
        Field::Value(steps) => Ok(steps),
        _ => Err(QueryError::new(0, format!("`{text}` is not a place in it"))),
    }
}
