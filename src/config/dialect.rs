//! The `dialect` and `precedence` blocks, in profiles and in the built-in file, and a profile's `dead_letters` blocks.

use super::section::Text;
use super::source::{Problems, Source};
use super::tree::{Datum, Kind, Reading, Section};
use crate::domain::address::Address;
use crate::domain::dead_letter::{Deaths, Dialect, Dialects, Fact, Form, Order, Pick, Place, Precedence, Rule, path, path_of_each};
use crate::domain::query::{Field, Query};
use crate::domain::suggest;
use hcl_edit::structure::Body;
use jiff::tz::TimeZone;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

/// The built-in dialects.
const BUILT_IN: &str = include_str!("dialects.hcl");

/// What a profile says of dead letters.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DeadLetters {
    /// Its `dead_letters` blocks.
    pub places: Vec<DeadLetterPlace>,
    /// Its own dialects.
    pub own: Vec<Dialect>,
}

/// One `dead_letters` block: where letters lie that no topology tells, or what is known of them beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetterPlace {
    pub name: Arc<str>,
    /// The channel in which the letters lie.
    pub channel: Address,
    /// Where they came from, and who failed, where the letters do not say it.
    pub origin: Option<Address>,
    pub consumer: Option<Arc<str>>,
    /// The dialect that is believed before all others.
    pub dialect: Option<Arc<str>>,
    /// What the letters are grouped by instead of their failure.
    pub key: Option<Field>,
    /// How often a consumer is given a message before it is a letter, where letters stay in their own channel.
    pub max_deliveries: Option<u64>,
    /// How long somebody has to look at a letter before it may be lost: the on-call window.
    pub within: Option<Duration>,
}

impl DeadLetters {
    /// The profile's own dialects and the built-in ones.
    pub fn dialects(&self) -> Dialects {
        let (others, precedence) = &*READ;
        Dialects::new(&self.own, others, precedence)
    }

    /// The same with one that is believed before all others: what a `dead_letters` block names.
    pub fn dialects_of(&self, place: &DeadLetterPlace) -> Dialects {
        let (others, precedence) = &*READ;
        let Some(first) = &place.dialect else { return self.dialects() };
        let named = self.own.iter().chain(others).find(|dialect| dialect.name == *first).cloned();
        let own: Vec<Dialect> = named.into_iter().chain(self.own.iter().filter(|dialect| dialect.name != *first).cloned()).collect();
        Dialects::new(&own, others, precedence)
    }
}

/// The built-in file, read once. A test reads it without a problem; what could not be read would be left out.
static READ: LazyLock<(Vec<Dialect>, Precedence)> = LazyLock::new(|| {
    let (dialects, precedence, _) = built_in();
    (dialects, precedence)
});

fn built_in() -> (Vec<Dialect>, Precedence, Problems) {
    let none = |_: &str| None;
    let source = Source { file: "dialects.hcl".to_owned(), text: BUILT_IN, names: Vec::new() };
    let mut rd = Reading::new(source, Path::new(""), &none);
    let (mut dialects, mut precedence) = (Vec::new(), Precedence::default());
    match hcl_edit::parser::parse_body(BUILT_IN) {
        Ok(body) => read_all(&body, &mut rd, &mut dialects, &mut precedence),
        Err(error) => {
            let at = error.location().offset();
            rd.wrong(&(at..at), error.message(), "");
        }
    }
    (dialects, precedence, Problems(rd.problems))
}

fn read_all(body: &Body, rd: &mut Reading<'_>, dialects: &mut Vec<Dialect>, precedence: &mut Precedence) {
    for block in body.blocks() {
        let mut section = rd.section(block, "");
        match block.ident.as_str() {
            "precedence" => {
                let mut names = |section: &mut Section, name| {
                    let entry = section.take(rd, name);
                    entry.map(|entry| rd.texts(entry.value, name)).unwrap_or_default().iter().map(|text| text.as_str().into()).collect()
                };
                (precedence.cause, precedence.route) = (names(&mut section, "cause"), names(&mut section, "route"));
                section.finish(rd);
            }
            _ => dialects.extend(read(section, rd)),
        }
    }
}

const BLOCK: &str = "write dialect \"ours\" { origin = headers.x-original-topic }";
const PLACE: &str = "write headers.NAME, value.PATH or key, or { from = headers.NAME, as = \"int64\" }";

/// Reads a `dialect` block; `None` when too much of it is wrong to go on. Problems are noted either way.
fn read(mut section: Section, rd: &mut Reading<'_>) -> Option<Dialect> {
    let before = rd.problems.len();
    let name = label(&section, rd, "a dialect has one name", BLOCK);
    let when = section.text(rd, "when").and_then(|text| condition(&text, rd));
    let mut rules = Vec::new();
    for (name, fact) in Fact::NAMES {
        let Some(entry) = section.take(rd, name) else { continue };
        rules.extend(read_rules(entry.value, rd, name, fact, Within::Message).into_iter().map(|rule| (fact, rule)));
    }
    let deaths = section.section(rd, "deaths").and_then(|deaths| read_deaths(deaths, rd));
    let writes = section.take(rd, "writes").map(|entry| rd.texts(entry.value, "writes")).unwrap_or_default();
    let writes = writes.into_iter().map(|text| text.as_str().into()).collect();
    let span = section.span.clone();
    section.finish(rd);
    if rules.is_empty() && deaths.is_none() && rd.problems.len() == before {
        rd.wrong(&span, "this dialect says nothing", BLOCK);
    }
    Some(Dialect { name: name?.into(), when, rules, deaths, writes })
}

fn label(section: &Section, rd: &mut Reading<'_>, message: &str, help: &str) -> Option<String> {
    match section.labels.as_slice() {
        [name] if !name.is_empty() => Some(name.clone()),
        _ => {
            rd.wrong(&section.span, message, help);
            None
        }
    }
}

fn condition(text: &Text, rd: &mut Reading<'_>) -> Option<Query> {
    // A dialect is the same at every time.
    let now = jiff::Timestamp::UNIX_EPOCH.to_zoned(TimeZone::UTC);
    let help = "write a condition as in --where: when = \"headers.x-original-topic exists\"";
    match Query::parse(text.as_str().trim(), &now) {
        Ok(query) if query.condition.is_some() && query.from.is_none() && query.until.is_none() && query.limit.is_none() => Some(query),
        Ok(_) => {
            rd.wrong(&text.span, "`when` is a condition alone, without from, until and limit", help);
            None
        }
        Err(error) => {
            rd.wrong(
                &text.span,
                format!("`when`: {}", if text.is_quotable() { error.to_string() } else { "this is no condition".into() }),
                help,
            );
            None
        }
    }
}

/// Where rules look.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Within {
    Message,
    /// In members of a list, or, without a list, in headers.
    Deaths {
        listed: bool,
    },
}

/// The rules of one fact: a place, an object with one, or a list of these.
fn read_rules(value: Datum, rd: &mut Reading<'_>, name: &'static str, fact: Fact, within: Within) -> Vec<Rule> {
    match value.kind {
        Kind::List(items) => items.into_iter().flat_map(|item| read_rules(item, rd, name, fact, within)).collect(),
        Kind::Section(section) => read_rule(section, rd, name, fact, within).into_iter().collect(),
        Kind::Failed => Vec::new(),
        _ => place(value, rd, name, within).map(Rule::of).into_iter().collect(),
    }
}

/// `{ from = headers.x, as = "int64", pick = "first", at = "[0]", after = "/", before = "?", kind = "queue" }`.
fn read_rule(mut section: Section, rd: &mut Reading<'_>, name: &'static str, fact: Fact, within: Within) -> Option<Rule> {
    let span = section.span.clone();
    let from = match section.take(rd, "from") {
        Some(entry) => place(entry.value, rd, "from", within),
        None => {
            if !section.misspelled("from") {
                rd.wrong(&span, format!("`{name}` names no place: `from` is missing"), PLACE);
            }
            None
        }
    };
    let (at_form, words) = (section.entry_span("as"), Form::WORDS);
    let form = section.word(rd, "as", &words).unwrap_or_default();
    let pick = section.word(rd, "pick", &[("first", Pick::First), ("last", Pick::Last)]).unwrap_or_default();
    let at = section.text(rd, "at").map(|text| (path_of_each(text.as_str()), text));
    let mut short = |name| section.text(rd, name).map(|text| Box::<str>::from(text.as_str())).filter(|text| !text.is_empty());
    let (after, before, kind) = (short("after"), short("before"), short("kind"));
    section.finish(rd);
    if !suits(form, fact) {
        let word = words.iter().find(|(_, of)| *of == form).map_or("text", |(word, _)| word);
        rd.wrong(&at_form.unwrap_or(span.clone()), format!("`{name}` cannot be written as {word}"), suitable(fact));
    }
    let at = match at {
        None => Vec::new(),
        Some((Ok(steps), text)) if form != Form::Json => {
            rd.wrong(&text.span, "`at` is a place in JSON", "add as = \"json\"");
            steps
        }
        Some((Ok(steps), _)) => steps,
        Some((Err(error), text)) => {
            rd.wrong(&text.span, format!("`at`: {error}"), "write at = \"[0].queue\"");
            Vec::new()
        }
    };
    let mut rule = Rule::of(from?);
    (rule.form, rule.pick, rule.at, rule.after, rule.before, rule.kind) = (form, pick, at, after, before, kind);
    Some(rule)
}

/// Whether a fact can be written in a form.
fn suits(form: Form, fact: Fact) -> bool {
    match form {
        Form::Text | Form::Json => true,
        Form::Int32 => fact.is_number(),
        Form::Int64 => fact.is_number() || fact.is_time(),
        Form::Seconds | Form::Milliseconds | Form::Ticks => fact.is_time(),
    }
}

fn suitable(fact: Fact) -> String {
    let words: Vec<&str> = Form::WORDS.iter().filter(|(_, form)| suits(*form, fact)).map(|(word, _)| *word).collect();
    format!("write {}", suggest::one_of(&words))
}

/// A place: a bare path or one in quotes.
fn place(value: Datum, rd: &mut Reading<'_>, name: &str, within: Within) -> Option<Place> {
    let (text, span) = match value.kind {
        Kind::Word(word) => (word, value.span),
        Kind::Failed => return None,
        _ => {
            let text = rd.text(value, name)?;
            if !text.is_quotable() {
                rd.wrong(&text.span, format!("`{name}` is a place, and cannot come from a variable"), PLACE);
                return None;
            }
            (text.as_str().to_owned(), text.span)
        }
    };
    if let Within::Deaths { listed } = within {
        return place_of_death(&text, &span, rd, name, listed);
    }
    match path(&text) {
        Ok(field) => placed(field).or_else(|| wrong_place(rd, &span, name, &text)),
        Err(error) => {
            rd.wrong(&span, format!("`{name}`: {error}"), PLACE);
            None
        }
    }
}

fn placed(field: Field) -> Option<Place> {
    match field {
        Field::Header(name) => Some(Place::Header(name)),
        Field::Value(steps) if !steps.is_empty() => Some(Place::Value(steps)),
        Field::Key(steps) => Some(Place::Key(steps)),
        _ => None,
    }
}

fn wrong_place<T>(rd: &mut Reading<'_>, span: &Range<usize>, name: &str, text: &str) -> Option<T> {
    rd.wrong(span, format!("`{name}` cannot be read from `{text}`"), PLACE);
    None
}

fn place_of_death(text: &str, span: &Range<usize>, rd: &mut Reading<'_>, name: &str, listed: bool) -> Option<Place> {
    let steps = text.strip_prefix("each.").map(path_of_each);
    match (steps, listed) {
        (Some(Ok(steps)), true) => Some(Place::Each(steps)),
        (Some(Err(error)), true) => {
            rd.wrong(span, format!("`{name}`: {error}"), "write each.queue");
            None
        }
        (_, true) => {
            rd.wrong(span, format!("`{name}` is a place in each death of the list"), "write each.queue");
            None
        }
        (_, false) => match path(text).ok().and_then(placed) {
            Some(place @ Place::Header(_)) => Some(place),
            _ => {
                let help = "write headers.NAME, or name the list: each = { from = headers.x-death, as = \"json\" }";
                rd.wrong(span, format!("`{name}` is a header that is there once for each death"), help);
                None
            }
        },
    }
}

fn read_deaths(mut section: Section, rd: &mut Reading<'_>) -> Option<Deaths> {
    let before = rd.problems.len();
    let each = section.take(rd, "each").map(|entry| read_rules(entry.value, rd, "each", Fact::Reason, Within::Message));
    let orders = [("newest-first", Order::NewestFirst), ("oldest-first", Order::OldestFirst)];
    let order = section.word(rd, "order", &orders).unwrap_or_default();
    let mut rules = Vec::new();
    for (name, fact) in Fact::OF_DEATHS {
        let Some(entry) = section.take(rd, name) else { continue };
        let within = Within::Deaths { listed: each.is_some() };
        rules.extend(read_rules(entry.value, rd, name, fact, within).into_iter().map(|rule| (fact, rule)));
    }
    let tries = section.take(rd, "tries").map(|entry| rd.texts(entry.value, "tries")).unwrap_or_default();
    let span = section.span.clone();
    section.finish(rd);
    if rules.is_empty() && rd.problems.len() == before {
        rd.wrong(&span, "`deaths` has no rules for each death", "write channel = each.queue");
    }
    let each = match each {
        // What could not be read is reported already.
        Some(rules) => Some(rules.into_iter().next()?),
        None => None,
    };
    Some(Deaths { each, order, rules, tries: tries.iter().map(|text| text.as_str().into()).collect() })
}

const LETTERS: &str = "write dead_letters \"orders\" { channel = \"events/orders.created.dlt\" }, one setting a line";

/// Reads a `dead_letters` block; `None` when too much of it is wrong to go on. Problems are noted either way.
fn read_place(mut section: Section, rd: &mut Reading<'_>) -> Option<(DeadLetterPlace, Spans)> {
    let name = label(&section, rd, "dead letters have one name", LETTERS);
    let channel = section.required(rd, "channel", "write channel = \"events/orders.created.dlt\": the integration, a slash, the channel");
    let origin = section.text(rd, "origin");
    let spans = Spans {
        channel: channel.as_ref().map(|text| text.span.clone()),
        origin: origin.as_ref().map(|text| text.span.clone()),
        dialect: None,
    };
    let channel = channel.and_then(|text| address(&text, rd, "channel"));
    let origin = origin.and_then(|text| address(&text, rd, "origin"));
    let consumer = section.text(rd, "consumer").map(|text| Arc::<str>::from(text.as_str()));
    let dialect = section.text(rd, "dialect");
    let spans = Spans { dialect: dialect.as_ref().map(|text| text.span.clone()), ..spans };
    let key = section.take(rd, "key").and_then(|entry| key(entry.value, rd));
    let max_deliveries = section.number(rd, "max_deliveries", 1..=i64::from(u32::MAX)).and_then(|n| u64::try_from(n).ok());
    let within = section.duration(rd, "within");
    section.finish(rd);
    if let Some(text) = dialect.as_ref().filter(|text| !text.is_quotable()) {
        rd.unquotable.insert(text.as_str().to_owned());
    }
    let dialect = dialect.map(|text| Arc::<str>::from(text.as_str()));
    let place = DeadLetterPlace { name: name?.into(), channel: channel?, origin, consumer, dialect, key, max_deliveries, within };
    Some((place, spans))
}

/// Where a block says what is checked once the whole profile is known.
struct Spans {
    channel: Option<Range<usize>>,
    origin: Option<Range<usize>>,
    dialect: Option<Range<usize>>,
}

fn address(text: &Text, rd: &mut Reading<'_>, name: &str) -> Option<Address> {
    match text.as_str().parse::<Address>() {
        Ok(address) => {
            if !text.is_quotable() {
                rd.unquotable.insert(address.integration.to_string());
            }
            Some(address)
        }
        Err(error) => {
            let cause = if text.is_quotable() { error } else { "the variable's value is no address".to_owned() };
            rd.wrong(&text.span, format!("`{name}`: {cause}"), "write integration/channel: events/orders.created.dlt");
            None
        }
    }
}

/// What letters are grouped by: any place of a message that is the same in several.
fn key(value: Datum, rd: &mut Reading<'_>) -> Option<Field> {
    let help = "write key = value.error.code, headers.NAME, key, reason, exception or origin";
    let (text, span) = match value.kind {
        Kind::Word(word) => (word, value.span),
        Kind::Failed => return None,
        _ => rd.text(value, "key").map(|text| (text.as_str().to_owned(), text.span))?,
    };
    match path(&text) {
        Ok(Field::Headers | Field::Offset | Field::Timestamp | Field::Size) => {
            rd.wrong(&span, "this is another in each letter, so that each would be a group of its own", help);
            None
        }
        Ok(Field::Value(steps)) if steps.is_empty() => {
            rd.wrong(&span, "the whole payload is another in each letter", help);
            None
        }
        Ok(field) => Some(field),
        Err(error) => {
            rd.wrong(&span, format!("`key`: {error}"), help);
            None
        }
    }
}

/// The blocks of a profile that are about dead letters, as they are read.
#[derive(Default)]
pub(super) struct Blocks {
    pub(super) letters: DeadLetters,
    /// Where each `dead_letters` block says what is checked once the whole profile is known.
    spans: Vec<Spans>,
}

impl Blocks {
    /// Reads a `dialect` or a `dead_letters` block.
    pub(super) fn read(&mut self, section: Section, rd: &mut Reading<'_>) {
        let (span, letters) = (section.span.clone(), &mut self.letters);
        let again = |rd: &mut Reading<'_>, what: &str| rd.wrong(&span, format!("a second {what}"), "give it a name of its own");
        if section.path.starts_with("dead_letters") {
            let Some((place, spans)) = read_place(section, rd) else { return };
            if letters.places.iter().any(|other| other.name == place.name) {
                again(rd, &format!("`dead_letters` block `{}`", place.name));
            } else {
                letters.places.push(place);
                self.spans.push(spans);
            }
        } else {
            let Some(dialect) = read(section, rd) else { return };
            if letters.own.iter().any(|other| other.name == dialect.name) {
                again(rd, &format!("dialect `{}`", dialect.name));
            } else {
                letters.own.push(dialect);
            }
        }
    }

    /// Checks what can be checked only when all blocks were read: the integrations and the dialects that `dead_letters` blocks name.
    pub(super) fn check(&self, integrations: &[&str], rd: &mut Reading<'_>) {
        for (place, spans) in self.letters.places.iter().zip(&self.spans) {
            for (address, span) in [(Some(&place.channel), &spans.channel), (place.origin.as_ref(), &spans.origin)] {
                let (Some(address), Some(span)) = (address, span) else { continue };
                if !integrations.contains(&&*address.integration) {
                    missing(rd, span, "this profile has no integration", &address.integration, integrations);
                }
            }
            let names: Vec<&str> = self.letters.own.iter().chain(&READ.0).map(|dialect| &*dialect.name).collect();
            if let (Some(dialect), Some(span)) = (&place.dialect, &spans.dialect)
                && !names.contains(&&**dialect)
            {
                missing(rd, span, "there is no dialect", dialect, &names);
            }
        }
    }
}

fn missing(rd: &mut Reading<'_>, span: &Range<usize>, what: &str, given: &str, known: &[&str]) {
    let there = format!("there is {}", suggest::one_of(known));
    if rd.unquotable.contains(given) {
        return rd.wrong(span, format!("{what} of the variable's value"), there);
    }
    let near = suggest::hint(given, known.iter().copied());
    rd.wrong(span, format!("{what} `{given}`"), if near.is_empty() { there } else { near });
}

#[cfg(test)]
mod sample_tests;
#[cfg(test)]
mod tests;
