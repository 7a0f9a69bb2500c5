//! What letters have that messages which were delivered do not: headers and places of payloads by presence, type, value and range, those
//! that tell most first, and nothing that chance would show as well.

use super::super::figure::grouped;
use super::super::query::Record;
use super::super::text::SafeText;
use super::super::value::Value;
use super::dialect::Dialects;
use std::collections::HashMap;
use std::fmt;

/// Payloads are looked at so deep, and so many elements of a list.
const DEEPEST: usize = 6;
const MOST_ELEMENTS: usize = 16;
/// So many places there are at most, with so many values each, which are no longer than this.
const MOST_PLACES: usize = 2_000;
const MOST_VALUES: usize = 64;
const LONGEST: usize = 64;
/// A path is no longer, and so many numbers are kept of all places together.
const LONGEST_PATH: usize = 400;
const MOST_NUMBERS: usize = 2_000_000;
/// So many rows there are.
const MOST_ROWS: usize = 20;
/// A share that differs by less is of no help to anybody, however many messages prove it.
const LEAST: f64 = 0.1;
/// The chance that one of the rows is an accident.
const ACCIDENT: f64 = 0.001;

/// Beside the bits of types: it was met more than once in the message, and only its first value counts.
const AGAIN: u8 = 0x80;

const TYPES: [&str; 7] = ["null", "true or false", "a number", "text", "bytes", "a list", "an object"];

/// Collects letters and delivered messages, and compares them.
#[derive(Debug, Default)]
pub struct Contrast {
    /// How many of either.
    messages: [u64; 2],
    places: Vec<Seen>,
    by_path: HashMap<Box<str>, usize>,
    path: String,
    numbers: usize,
}

/// One place, counted for letters and for delivered messages.
#[derive(Debug)]
struct Seen {
    path: Box<str>,
    parent: Option<usize>,
    /// The number of the message in which it was met last, counted from 1, and its types there, a bit each.
    last: u64,
    last_types: u8,
    present: [u64; 2],
    types: [[u64; 2]; TYPES.len()],
    values: HashMap<Box<str>, [u64; 2]>,
    numbers: Vec<(f64, bool)>,
}

/// How letters differ at a place.
#[derive(Clone, Debug, PartialEq)]
pub enum Trait {
    Present,
    Absent,
    Type(&'static str),
    Is(SafeText),
    Above(f64),
    AtMost(f64),
}

/// One row: a trait that more of the letters have than of the messages that were delivered.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// `value.currency`, `headers.app-version`.
    pub place: SafeText,
    pub is: Trait,
    /// How many have it, of how many.
    pub letters: (u64, u64),
    pub delivered: (u64, u64),
    /// How much it tells of whether a message is a letter, in bits.
    pub gain: f64,
}

impl Contrast {
    pub fn new() -> Self {
        Self::default()
    }

    /// A letter. What its dialects wrote is left out: that is on letters alone.
    pub fn letter<R: Record>(&mut self, dialects: &Dialects, letter: &R) {
        self.add(0, dialects, letter);
    }

    /// A message that no letter names.
    pub fn delivered<R: Record>(&mut self, dialects: &Dialects, message: &R) {
        self.add(1, dialects, message);
    }

    fn add<R: Record>(&mut self, side: usize, dialects: &Dialects, record: &R) {
        self.messages[side] += 1;
        record.any_header(&mut |name, value| {
            if !dialects.is_bookkeeping(name) {
                let text = value.and_then(|value| std::str::from_utf8(value).ok());
                self.path.clear();
                self.path.push_str("headers.");
                self.path.push_str(&String::from_utf8_lossy(name));
                let kind = if value.is_none() {
                    0
                } else if text.is_some() {
                    3
                } else {
                    4
                };
                if let Some(at) = self.meet(side, None, kind) {
                    self.value(at, side, text, text.is_some_and(|text| text.bytes().all(|byte| byte.is_ascii_digit())));
                }
            }
            false
        });
        if let Ok(Some(value)) = record.value() {
            self.path.clear();
            self.path.push_str("value");
            self.tree(side, None, value, 0);
        }
    }

    fn tree(&mut self, side: usize, parent: Option<usize>, value: &Value, depth: usize) {
        let (kind, text) = match value {
            Value::Null => (0, None),
            Value::Bool(truth) => (1, Some(if *truth { "true" } else { "false" })),
            Value::Number(digits) => (2, Some(&**digits)),
            Value::Text(text) => (3, Some(&**text)),
            Value::Bytes(_) => (4, None),
            Value::Array(_) => (5, None),
            Value::Object(_) => (6, None),
        };
        let Some(at) = self.meet(side, parent, kind) else { return };
        self.value(at, side, text, kind == 2);
        if depth >= DEEPEST {
            return;
        }
        let length = self.path.len();
        match value {
            Value::Object(members) => {
                for (name, value) in members {
                    self.path.push('.');
                    self.path.push_str(name);
                    self.tree(side, Some(at), value, depth + 1);
                    self.path.truncate(length);
                }
            }
            Value::Array(items) => {
                self.path.push_str("[]");
                for item in items.iter().take(MOST_ELEMENTS) {
                    self.tree(side, Some(at), item, depth + 1);
                }
                self.path.truncate(length);
            }
            _ => {}
        }
    }

    fn value(&mut self, at: usize, side: usize, text: Option<&str>, is_number: bool) {
        let counts = is_number && self.numbers < MOST_NUMBERS;
        self.numbers += usize::from(counts);
        self.places[at].value(side, text, counts);
    }

    /// Counts the place of the current path; `None` where there is no room for another. What is met twice in one message counts once, but for
    /// its types.
    fn meet(&mut self, side: usize, parent: Option<usize>, kind: usize) -> Option<usize> {
        let number = self.messages[0] + self.messages[1];
        let at = match self.by_path.get(self.path.as_str()) {
            Some(at) => *at,
            None if self.places.len() >= MOST_PLACES || self.path.len() > LONGEST_PATH => return None,
            None => {
                self.by_path.insert(self.path.as_str().into(), self.places.len());
                self.places.push(Seen::new(&self.path, parent));
                self.places.len() - 1
            }
        };
        let place = &mut self.places[at];
        if place.last != number {
            place.last_types = 0;
            place.present[side] += 1;
        }
        if place.last_types & (1 << kind) == 0 {
            place.last_types |= 1 << kind;
            place.types[kind][side] += 1;
        }
        if place.last == number {
            place.last_types |= AGAIN;
        }
        place.last = number;
        Some(at)
    }

    /// The rows, those that tell most first. There are none where there is nothing to compare, or nothing that chance would not do as well.
    pub fn differences(&self) -> Vec<Difference> {
        let [letters, delivered] = self.messages;
        if letters == 0 || delivered == 0 {
            return Vec::new();
        }
        let mut tried = 0_u64;
        let mut best: Vec<(usize, Difference)> = Vec::new();
        for (at, place) in self.places.iter().enumerate() {
            let mut found: Option<Difference> = None;
            place.traits(self.messages, &mut |is, has| {
                tried += 1;
                // Only what more of the letters have: that fewer have it is another trait of the same place.
                if share((has[0], letters)) <= share((has[1], delivered)) {
                    return;
                }
                let row = Difference::of(&place.path, is, has, self.messages);
                // At equal gain the first trait is the simpler one.
                if found.as_ref().is_none_or(|found| row.gain > found.gain * 1.000_001) {
                    found = Some(row);
                }
            });
            best.extend(found.map(|found| (at, found)));
        }
        // Each row was chosen of all that were tried: each of them may be an accident.
        let threshold = 2.0 * (tried as f64 / ACCIDENT).ln();
        let total = (letters + delivered) as f64;
        let proven = |row: &Difference| row.gain * 2.0 * total * std::f64::consts::LN_2 >= threshold;
        let differs = |row: &Difference| share(row.letters) - share(row.delivered) >= LEAST;
        best.retain(|(_, row)| proven(row) && differs(row));
        let presence: HashMap<usize, [u64; 2]> =
            best.iter().filter(|(_, row)| row.is.is_presence()).map(|(at, row)| (*at, [row.letters.0, row.delivered.0])).collect();
        // What is missing with all that it is part of has one row, that of the whole.
        let is_part = |at: usize, row: &Difference| {
            row.is.is_presence()
                && self.places[at].parent.and_then(|parent| presence.get(&parent)) == Some(&[row.letters.0, row.delivered.0])
        };
        best.retain(|(at, row)| !is_part(*at, row));
        best.sort_by(|(_, a), (_, b)| b.gain.total_cmp(&a.gain).then_with(|| a.place.cmp(&b.place)));
        best.truncate(MOST_ROWS);
        best.into_iter().map(|(_, row)| row).collect()
    }
}

impl Seen {
    fn new(path: &str, parent: Option<usize>) -> Self {
        let (present, types) = ([0; 2], [[0; 2]; TYPES.len()]);
        Self { path: path.into(), parent, last: 0, last_types: 0, present, types, values: HashMap::new(), numbers: Vec::new() }
    }

    fn value(&mut self, side: usize, text: Option<&str>, is_number: bool) {
        let Some(text) = text.filter(|text| text.len() <= LONGEST && self.last_types & AGAIN == 0) else { return };
        if is_number && let Ok(number) = text.parse::<f64>() {
            self.numbers.push((number, side == 0));
        }
        if let Some(counts) = self.values.get_mut(text) {
            counts[side] += 1;
        } else if self.values.len() < MOST_VALUES {
            let mut counts = [0; 2];
            counts[side] = 1;
            self.values.insert(text.into(), counts);
        }
    }

    /// Every trait that the place may have, with how many letters and delivered messages have it.
    fn traits(&self, [letters, delivered]: [u64; 2], each: &mut dyn FnMut(Trait, [u64; 2])) {
        let [with, without] = [self.present, [letters - self.present[0], delivered - self.present[1]]];
        each(Trait::Present, with);
        each(Trait::Absent, without);
        for (kind, counts) in TYPES.iter().zip(self.types).filter(|(_, counts)| *counts != self.present && *counts != [0, 0]) {
            each(Trait::Type(kind), counts);
        }
        let mut values: Vec<_> = self.values.iter().collect();
        values.sort_unstable();
        for (value, counts) in values {
            each(Trait::Is(SafeText::new(value)), *counts);
        }
        let mut numbers = self.numbers.clone();
        numbers.sort_unstable_by(|(a, _), (b, _)| a.total_cmp(b));
        let of = |side: bool| numbers.iter().filter(|(_, letter)| *letter == side).count() as u64;
        let (all, mut below) = ([of(true), of(false)], [0_u64; 2]);
        for pair in numbers.windows(2) {
            below[usize::from(!pair[0].1)] += 1;
            if pair[0].0 < pair[1].0 {
                each(Trait::AtMost(pair[0].0), below);
                each(Trait::Above(pair[0].0), [all[0] - below[0], all[1] - below[1]]);
            }
        }
    }
}

impl Difference {
    fn of(path: &str, is: Trait, has: [u64; 2], of: [u64; 2]) -> Self {
        Self { place: SafeText::new(path), is, letters: (has[0], of[0]), delivered: (has[1], of[1]), gain: gain(has, of) }
    }
}

fn share((part, whole): (u64, u64)) -> f64 {
    part as f64 / whole.max(1) as f64
}

/// The information that a trait gives of whether a message is a letter, in bits.
fn gain(has: [u64; 2], of: [u64; 2]) -> f64 {
    let entropy = |a: u64, b: u64| {
        let total = (a + b) as f64;
        [a, b].into_iter().filter(|n| *n > 0).map(|n| n as f64 / total).map(|p| -p * p.log2()).sum::<f64>()
    };
    let total = (of[0] + of[1]) as f64;
    let part = |a: u64, b: u64| if a + b == 0 { 0.0 } else { (a + b) as f64 / total * entropy(a, b) };
    entropy(of[0], of[1]) - part(has[0], has[1]) - part(of[0] - has[0], of[1] - has[1])
}

impl Trait {
    fn is_presence(&self) -> bool {
        matches!(self, Self::Present | Self::Absent)
    }
}

impl fmt::Display for Trait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Present => f.write_str("present"),
            Self::Absent => f.write_str("absent"),
            Self::Type(kind) => write!(f, "is {kind}"),
            Self::Is(value) => write!(f, "is \"{value}\""),
            Self::Above(number) => write!(f, "above {number}"),
            Self::AtMost(number) => write!(f, "at most {number}"),
        }
    }
}

/// `value.currency absent in 312 of 312, present in 99.9 % of 8,120 delivered`.
impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, is, letters, delivered, .. } = self;
        write!(f, "{place} {is} in {} of {}, ", grouped(letters.0), grouped(letters.1))?;
        let (word, part) = match is {
            Trait::Absent => ("present in ", delivered.1 - delivered.0),
            _ => ("in ", delivered.0),
        };
        write!(f, "{word}{} of {} delivered", percent(part, delivered.1), grouped(delivered.1))
    }
}

/// Never `100 %` where it is not all, and never `0 %` where it is not none.
fn percent(part: u64, whole: u64) -> String {
    match (part, part * 1_000 / whole.max(1)) {
        (0, _) => "none".to_owned(),
        (part, _) if part == whole => "all".to_owned(),
        (_, 0) => "less than 0.1 %".to_owned(),
        (_, tenths) => format!("{}.{} %", tenths / 10, tenths % 10),
    }
}

#[cfg(test)]
mod tests;
