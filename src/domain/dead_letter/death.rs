//! `Failure` from a letter: every fact from the dialect that is believed for it, and the deaths one by one.

use super::super::query::Record;
use super::super::text::SafeText;
use super::super::time::Timestamp;
use super::super::value::Value;
use super::dialect::{Deaths, Fact, Order, Place, Rule};
use super::failure::{Death, Failure, Origin, Replayed};
use super::form::Raw;
use super::frame::dissect;
use super::letter::{Letter, at, exchange, name, names};
use std::borrow::Cow;

/// A timeline is no longer.
const MOST_DEATHS: usize = 200;
/// Of a stack so many lines are kept.
const MOST_LINES: usize = 1_000;

impl<R: Record> Letter<'_, R> {
    /// Everything that is known of how it died.
    pub fn failure(&self) -> Failure {
        let (cause, route) = (self.cause, self.route);
        let deaths = route.map(|route| self.deaths_of(route)).unwrap_or_default();
        let stack = self.bytes(cause, Fact::Stack).unwrap_or_default();
        let message = self.bytes(cause, Fact::Message);
        let seen = dissect(&stack, message.as_deref());
        let shown = |bytes: Option<&[u8]>| bytes.map(SafeText::from_bytes);
        let exception = self.text(cause, Fact::Exception).or_else(|| shown(seen.outer));
        let innermost =
            shown(seen.root).or_else(|| self.text(cause, Fact::Cause)).filter(|innermost| Some(innermost) != exception.as_ref());
        let trimmed = |text: Option<Cow<'_, [u8]>>| text.map(|text| SafeText::from_bytes(text.trim_ascii_end()));
        let oldest = deaths.first();
        Failure {
            reason: self.text(cause, Fact::Reason).or_else(|| self.reason_of_deaths(&deaths)),
            exception,
            cause: innermost,
            message: trimmed(message).or_else(|| shown(seen.message)),
            stack: lines(&stack),
            attempts: self.others().find_map(|dialect| self.number(Some(dialect), Fact::Attempts)).or_else(|| self.tries(&deaths)),
            first: self.moment(Fact::First).or_else(|| deaths.iter().filter_map(|death| death.first).min()),
            last: self.moment(Fact::Last).or_else(|| deaths.last().and_then(Death::moment)),
            origin: Origin {
                channel: self.name(route, Fact::Channel).or_else(|| oldest?.channel.clone()),
                partition: self.number(route, Fact::Partition).and_then(|n| i32::try_from(n).ok()),
                position: self.number(route, Fact::Position).and_then(|n| i64::try_from(n).ok()),
                timestamp: self.time(route, Fact::Timestamp),
                consumer: self.name(route, Fact::Consumer),
                exchange: self.exchange(route).or_else(|| oldest?.exchange.clone()),
                routing_keys: match self.names(route, Fact::RoutingKeys) {
                    none if none.is_empty() => oldest.map(|death| death.routing_keys.clone()).unwrap_or_default(),
                    keys => keys,
                },
            },
            deaths,
            replayed: self.replayed(),
            cause_from: cause.map(|at| self.dialects.all[at].name.clone()),
            route_from: route.map(|at| self.dialects.all[at].name.clone()),
        }
    }

    /// The channel in which it died first.
    pub(super) fn origin(&self) -> Option<std::sync::Arc<str>> {
        let of_deaths = || self.deaths_of(self.route?).first()?.channel.clone();
        self.name(self.route, Fact::Channel).or_else(of_deaths)
    }

    /// Whether a dialect says when each death was.
    pub(super) fn dates_deaths(&self, dialect: usize) -> bool {
        let deaths = self.dialects.all[dialect].deaths.as_ref();
        deaths.is_some_and(|deaths| deaths.rules.iter().any(|(fact, _)| matches!(fact, Fact::First | Fact::Last)))
    }

    /// A time that any dialect on the letter says, those first that are believed.
    pub(super) fn moment(&self, fact: Fact) -> Option<Timestamp> {
        self.others().find_map(|dialect| self.time(Some(dialect), fact))
    }

    /// Why it died last, where the dialect of the cause is the one that tells deaths.
    fn reason_of_deaths(&self, deaths: &[Death]) -> Option<SafeText> {
        deaths.last().filter(|_| self.cause == self.route)?.reason.clone()
    }

    /// How often it was tried by what its deaths say: the most that it died in one place for a reason that is a try.
    fn tries(&self, deaths: &[Death]) -> Option<u64> {
        let tries = &self.dialects.all[self.route?].deaths.as_ref()?.tries;
        let is_try = |death: &&Death| death.reason.as_ref().is_some_and(|reason| tries.iter().any(|try_| **try_ == *reason.as_str()));
        deaths.iter().filter(is_try).filter_map(|death| death.count).max()
    }

    fn replayed(&self) -> Option<Replayed> {
        let replayed = |dialect: usize| {
            let dialect = Some(dialect);
            let run = self.text(dialect, Fact::ReplayRun);
            let letter = self.text(dialect, Fact::ReplayLetter);
            let attempt = self.number(dialect, Fact::ReplayAttempt);
            (run.is_some() || letter.is_some() || attempt.is_some()).then_some(Replayed { run, letter, attempt })
        };
        self.all().find_map(replayed)
    }

    /// The deaths that a dialect tells, oldest first.
    pub(super) fn deaths_of(&self, dialect: usize) -> Vec<Death> {
        let Some(rules) = &self.dialects.all[dialect].deaths else { return Vec::new() };
        let mut deaths = match &rules.each {
            Some(each) => self.raw(each).map(|raw| listed(&raw, rules)).unwrap_or_default(),
            None => self.repeated(rules),
        };
        if rules.order == Order::NewestFirst {
            deaths.reverse();
        }
        // The newest are those that somebody looks for.
        deaths.drain(..deaths.len().saturating_sub(MOST_DEATHS));
        deaths
    }

    /// The n-th header of each name is of the n-th death.
    fn repeated(&self, rules: &Deaths) -> Vec<Death> {
        let mut deaths: Vec<Death> = Vec::new();
        for (fact, rule) in &rules.rules {
            let Place::Header(_) = rule.place else { continue };
            for (index, bytes) in self.headers(rule.slot()).enumerate() {
                if deaths.len() <= index {
                    deaths.resize_with(index + 1, Death::default);
                }
                set(&mut deaths[index], *fact, rule, &Raw::Bytes(bytes));
            }
        }
        deaths
    }
}

fn listed(raw: &Raw<'_>, rules: &Deaths) -> Vec<Death> {
    let Raw::Tree(tree) = raw else { return Vec::new() };
    let items = match &**tree {
        Value::Array(items) => &items[..],
        one @ Value::Object(_) => std::slice::from_ref(one),
        _ => &[],
    };
    let death = |item: &Value| {
        let mut death = Death::default();
        for (fact, rule) in &rules.rules {
            if let Place::Each(steps) = &rule.place
                && let Some(found) = at(item, steps)
            {
                set(&mut death, *fact, rule, &Raw::Tree(Cow::Borrowed(found)));
            }
        }
        death
    };
    items.iter().filter(|item| matches!(item, Value::Object(_))).map(death).collect()
}

/// Sets what a rule says of a death, unless an earlier one did.
fn set(death: &mut Death, fact: Fact, rule: &Rule, raw: &Raw<'_>) {
    let text = || raw.text().map(|bytes| SafeText::from_bytes(&bytes));
    match fact {
        Fact::Channel => death.channel = death.channel.take().or_else(|| name(raw, rule)),
        Fact::Exchange => death.exchange = death.exchange.take().or_else(|| exchange(raw, rule)),
        Fact::RoutingKeys if death.routing_keys.is_empty() => death.routing_keys = names(raw, rule),
        Fact::Reason => death.reason = death.reason.take().or_else(text),
        Fact::Attempts => death.count = death.count.or_else(|| u64::try_from(raw.number(rule.form)?).ok()),
        Fact::First => death.first = death.first.or_else(|| raw.time(rule.form)),
        Fact::Last => death.last = death.last.or_else(|| raw.time(rule.form)),
        _ => {}
    }
}

/// A stack as it is shown: a line each, indented by blanks.
fn lines(stack: &[u8]) -> Vec<SafeText> {
    let lines = stack.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let mut shown: Vec<SafeText> = Vec::new();
    for line in lines.take(MOST_LINES) {
        let text = SafeText::from_bytes(line);
        shown.push(if line.contains(&b'\t') { text.as_str().replace('⇥', "    ").into() } else { text });
    }
    while shown.last().is_some_and(|line| line.as_str().is_empty()) {
        shown.pop();
    }
    shown
}
