//! Groups of letters that died of the same failure, counted as they come, in memory that is bounded whatever comes.

use super::super::position::Position;
use super::super::query::{Field, Record};
use super::super::text::SafeText;
use super::super::time::Timestamp;
use super::dialect::{Dialects, Fact};
use super::failure::{Death, Failure};
use super::key;
use super::letter::{Letter, Scratch};
use super::rate::Rate;
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

/// So many groups there are at most; letters of further failures are counted together.
pub const MOST_GROUPS: usize = 10_000;
/// Of each group so many tenants, routes and samples are kept.
const MOST_TENANTS: usize = 32;
const MOST_ROUTES: usize = 8;
const MOST_SAMPLES: usize = 8;
/// Of a text so much is kept.
const LONGEST_TEXT: usize = 500;
/// Longer names are not kept: no system has such names of channels.
const LONGEST_NAME: usize = 512;

/// What letters are grouped by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum KeyBy {
    /// Type and first frame of the innermost exception, else the reason.
    #[default]
    Failure,
    /// What stands at a place of the message.
    Field(Field),
}

/// What is known of a letter beside what it says itself.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    pub position: Position,
    pub tenant: Option<&'a str>,
    /// When it came into the channel in which it lies, if the system says so. Not when it was looked at.
    pub stored: Option<Timestamp>,
}

/// Groups of the same failure.
#[derive(Debug, Default)]
pub struct FailureGroups {
    by: KeyBy,
    groups: Vec<FailureGroup>,
    places: HashMap<Box<[u8]>, usize>,
    /// Letters of failures for which there was no group any more.
    rest: u64,
    letters: u64,
    scratch: Scratch,
    key: Vec<u8>,
}

/// Letters that died of one failure.
#[derive(Clone, Debug, PartialEq)]
pub struct FailureGroup {
    /// Ten hexadecimal digits that are the same wherever and whenever the failure is met.
    pub id: Arc<str>,
    /// What the letters were grouped by, if that is a place of the message: what stands there, or nothing.
    pub key: Option<SafeText>,
    /// The type of the innermost exception.
    pub exception: Option<SafeText>,
    /// Where it was thrown.
    pub frame: Option<SafeText>,
    pub reason: Option<SafeText>,
    /// The message of the first letter that was met.
    pub message: Option<SafeText>,
    /// Whether no dialect was on the letters.
    pub unknown: bool,
    pub letters: u64,
    /// When one died first and last, of those that say it.
    pub first: Option<Timestamp>,
    pub last: Option<Timestamp>,
    /// When they died last.
    pub rate: Rate,
    /// In the order of their names, and whether there are more.
    pub tenants: Vec<Arc<str>>,
    pub more_tenants: bool,
    /// From where to where, most letters first, and how many letters went another way.
    pub routes: Vec<Route>,
    pub other_routes: u64,
    /// Where some lie: the first that were met and the newest.
    pub samples: Vec<(Arc<str>, Position)>,
}

/// Where letters came from and where they lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Unknown where nobody says it.
    pub from: Option<Arc<str>>,
    pub died_in: Arc<str>,
    pub letters: u64,
    /// What is compared: the origin's bytes as they stand in the letter.
    bytes: Option<Box<[u8]>>,
}

#[cfg(test)]
impl Route {
    /// A route that no letter was counted of.
    pub(crate) fn new(from: Option<&str>, died_in: &str, letters: u64) -> Self {
        Self { from: from.map(Into::into), died_in: died_in.into(), letters, bytes: None }
    }
}

impl FailureGroups {
    pub fn new(by: KeyBy) -> Self {
        Self { by, ..Self::default() }
    }

    /// Counts a letter. Nothing is made of one whose failure was met before.
    pub fn add<R: Record>(&mut self, dialects: &Dialects, record: &R, seen: Seen<'_>) {
        let mut scratch = std::mem::take(&mut self.scratch);
        self.count(record, dialects.look(record, &mut scratch).as_ref(), seen);
        self.scratch = scratch;
    }

    /// The id of the group that a letter belongs to, counted or not.
    pub fn id_of<R: Record>(&mut self, dialects: &Dialects, record: &R) -> Arc<str> {
        let mut scratch = std::mem::take(&mut self.scratch);
        self.write_key(record, dialects.look(record, &mut scratch).as_ref());
        self.scratch = scratch;
        self.places.get(self.key.as_slice()).map_or_else(|| id(&self.key), |at| self.groups[*at].id.clone())
    }

    fn write_key<R: Record>(&mut self, record: &R, letter: Option<&Letter<'_, R>>) {
        self.key.clear();
        match (&self.by, letter) {
            (KeyBy::Failure, Some(letter)) => key::write(letter, &mut self.key),
            (KeyBy::Failure, None) => self.key.push(b'u'),
            (KeyBy::Field(field), letter) => key::write_field(field, record, letter, &mut self.key),
        }
    }

    fn count<R: Record>(&mut self, record: &R, letter: Option<&Letter<'_, R>>, seen: Seen<'_>) {
        self.letters += 1;
        self.write_key(record, letter);
        let at = match self.places.get(self.key.as_slice()) {
            Some(at) => *at,
            None if self.groups.len() >= MOST_GROUPS => {
                self.rest += 1;
                return;
            }
            None => {
                self.groups.push(FailureGroup::new(&self.key, letter));
                self.places.insert(self.key.as_slice().into(), self.groups.len() - 1);
                self.groups.len() - 1
            }
        };
        self.groups[at].count(record, letter, seen);
    }

    /// All letters that were counted.
    pub fn letters(&self) -> u64 {
        self.letters
    }

    /// Letters whose failures found no room: they are in no group.
    pub fn rest(&self) -> u64 {
        self.rest
    }

    /// The groups with the most letters first; of equally many the one that was met last.
    pub fn groups(&self) -> Vec<FailureGroup> {
        self.top(usize::MAX)
    }

    /// So many of these.
    pub fn top(&self, most: usize) -> Vec<FailureGroup> {
        let mut order: Vec<&FailureGroup> = self.groups.iter().collect();
        order.sort_by_key(|group| std::cmp::Reverse((group.letters, group.last)));
        order.into_iter().take(most).cloned().collect()
    }
}

/// Ten hexadecimal digits of a key.
fn id(key: &[u8]) -> Arc<str> {
    let digits: String = Sha256::digest(key).iter().take(5).map(|byte| format!("{byte:02x}")).collect();
    digits.into()
}

/// The moments of a letter's death, first and last.
fn moments<R: Record>(letter: Option<&Letter<'_, R>>, stored: Option<Timestamp>) -> (Option<Timestamp>, Option<Timestamp>) {
    let Some(letter) = letter else { return (stored, stored) };
    let (first, last) = (letter.moment(Fact::First), letter.moment(Fact::Last));
    let (first, last) = match (first, last, letter.route.filter(|route| letter.dates_deaths(*route))) {
        (None, None, Some(route)) => {
            let deaths = letter.deaths_of(route);
            (deaths.iter().filter_map(|death| death.first).min(), deaths.last().and_then(Death::moment))
        }
        _ => (first, last),
    };
    (first.or(last).or(stored), last.or(stored).or(first))
}

impl FailureGroup {
    fn new<R: Record>(key: &[u8], letter: Option<&Letter<'_, R>>) -> Self {
        let failure = letter.map(Letter::failure);
        let (kind, rest) = key.split_first().unwrap_or((&b'u', b""));
        let parts = rest.iter().position(|byte| *byte == 0).map(|at| (&rest[..at], &rest[at + 1..]));
        let shown = |text: &[u8]| (!text.is_empty()).then(|| SafeText::from_bytes(text));
        let of_failure = |fact: fn(&Failure) -> Option<SafeText>| failure.as_ref().and_then(fact);
        let by_place = *kind == b'q';
        let short = |text: &SafeText| match text.as_str().char_indices().nth(LONGEST_TEXT) {
            Some((end, _)) => format!("{}…", &text.as_str()[..end]).into(),
            None => text.clone(),
        };
        Self {
            id: id(key),
            key: parts.filter(|_| by_place).map(|(_, text)| SafeText::from_bytes(text)),
            exception: of_failure(|failure| failure.named().cloned()).filter(|_| !by_place).as_ref().map(short),
            frame: parts.filter(|_| *kind == b'e').and_then(|(_, frame)| shown(frame)),
            reason: of_failure(|failure| failure.reason.clone()).filter(|_| !by_place).as_ref().map(short),
            message: of_failure(|failure| failure.message.clone()).as_ref().map(short),
            unknown: letter.is_none(),
            letters: 0,
            first: None,
            last: None,
            rate: Rate::default(),
            tenants: Vec::new(),
            more_tenants: false,
            routes: Vec::new(),
            other_routes: 0,
            samples: Vec::new(),
        }
    }

    fn count<R: Record>(&mut self, record: &R, letter: Option<&Letter<'_, R>>, seen: Seen<'_>) {
        self.letters += 1;
        let (first, last) = moments(letter, seen.stored);
        self.first = self.first.into_iter().chain(first).min();
        self.last = self.last.max(last);
        if let Some(last) = last {
            self.rate.add(last);
        }
        if let Some(tenant) = seen.tenant
            && let Err(at) = self.tenants.binary_search_by(|known| (**known).cmp(tenant))
        {
            let full = self.tenants.len() >= MOST_TENANTS || tenant.len() > LONGEST_NAME;
            self.more_tenants |= full;
            if !full {
                self.tenants.insert(at, tenant.into());
            }
        }
        let died_in = self.count_route(record.topic(), letter);
        let half = MOST_SAMPLES / 2;
        if self.samples.len() >= MOST_SAMPLES {
            // The first ones stay, and the newest.
            self.samples.remove(half);
        }
        self.samples.push((died_in, seen.position));
    }

    /// The name of the channel in which the letter lies, which is there once for all letters of a route.
    fn count_route<R: Record>(&mut self, died_in: &str, letter: Option<&Letter<'_, R>>) -> Arc<str> {
        let of_deaths = |letter: &Letter<'_, R>| letter.origin().map(|origin| Cow::Owned(origin.as_bytes().to_vec()));
        let bytes = letter.and_then(|letter| letter.bytes(letter.route, Fact::Channel).or_else(|| of_deaths(letter)));
        let is_route = |route: &Route| *route.died_in == *died_in && (route.bytes.as_deref() == bytes.as_deref());
        if let Some(mut at) = self.routes.iter().position(is_route) {
            self.routes[at].letters += 1;
            while at > 0 && self.routes[at - 1].letters < self.routes[at].letters {
                self.routes.swap(at - 1, at);
                at -= 1;
            }
            return self.routes[at].died_in.clone();
        }
        let shared = self.routes.iter().find(|route| *route.died_in == *died_in).map(|route| route.died_in.clone());
        let died_in: Arc<str> = shared.unwrap_or_else(|| died_in.into());
        if self.routes.len() >= MOST_ROUTES || bytes.as_ref().is_some_and(|bytes| bytes.len() > LONGEST_NAME) {
            self.other_routes += 1;
            return died_in;
        }
        let from = letter.and_then(Letter::origin);
        self.routes.push(Route { from, died_in: died_in.clone(), letters: 1, bytes: bytes.map(|bytes| bytes.into_owned().into()) });
        died_in
    }
}
