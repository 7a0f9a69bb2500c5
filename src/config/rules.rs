//! What a system's settings may be, as tables: each adapter has one, and profiles, `--url` and the adapters themselves check by it.

use super::profile::{Integration, Setting};
use crate::domain::fault::{Fault, Kind};
use crate::domain::suggest;
use crate::domain::time::parse_duration;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::ops::RangeInclusive;
use std::time::Duration;

/// One setting of a `config` block.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// As it is flattened: `will.topic`; `*` stands for the place in a list: `topics.*`, `queues.*.name`.
    pub name: &'static str,
    pub takes: Takes,
}

/// What a setting takes, as text.
#[derive(Clone, Copy, Debug)]
pub enum Takes {
    Text,
    /// It is never shown.
    Secret,
    /// `true` or `false`.
    Flag,
    /// A whole number from the first to the second.
    Number(u64, u64),
    /// Seconds from the first to the second, written with a unit.
    Seconds(u64, u64),
    Word(&'static [&'static str]),
    /// What this accepts; else it says what is wrong, without repeating the value.
    Checked(fn(&str) -> Result<(), &'static str>),
}

/// What is wrong with a setting. The value is not part of it: it may have come from a variable.
#[derive(Debug, PartialEq, Eq)]
pub struct Wrong {
    /// In words that follow what was said, `is …`: `expected true or false`.
    pub expected: String,
    /// What to do about it; may be empty.
    pub help: String,
}

impl Rule {
    pub const fn new(name: &'static str, takes: Takes) -> Self {
        Self { name, takes }
    }

    /// Whether its value is never shown.
    pub fn is_secret(&self) -> bool {
        matches!(self.takes, Takes::Secret)
    }

    /// Whether it is this setting: `queues.3.name` is `queues.*.name`.
    fn is(&self, name: &str) -> bool {
        let (mut rule, mut given) = (self.name.split('.'), name.split('.'));
        loop {
            match (rule.next(), given.next()) {
                (None, None) => return true,
                (Some("*"), Some(at)) if at.parse::<u16>().is_ok() => {}
                (Some(one), Some(other)) if one == other => {}
                _ => return false,
            }
        }
    }

    /// Checks a value.
    ///
    /// # Errors
    /// What was expected instead.
    pub fn check(&self, value: &str) -> Result<(), Wrong> {
        let wrong = |expected: String, help: &str| Err(Wrong { expected, help: help.to_owned() });
        match self.takes {
            Takes::Text | Takes::Secret => Ok(()),
            Takes::Flag if matches!(value, "true" | "false") => Ok(()),
            Takes::Flag => wrong("expected true or false".to_owned(), ""),
            Takes::Number(least, most) if value.parse().is_ok_and(|number: u64| (least..=most).contains(&number)) => Ok(()),
            Takes::Number(least, most) => wrong(format!("expected a whole number from {least} to {most}"), ""),
            Takes::Seconds(least, most) if seconds(value, least..=most) => Ok(()),
            Takes::Seconds(least, most) => {
                wrong(format!("expected a duration with its unit, from {least} to {most} seconds"), "write \"30s\" or \"5m\"")
            }
            Takes::Word(words) if words.contains(&value) => Ok(()),
            Takes::Word(words) => wrong(format!("expected {}", suggest::one_of(words)), ""),
            Takes::Checked(check) => check(value).or_else(|cause| wrong(cause.to_owned(), "")),
        }
    }
}

fn seconds(value: &str, range: RangeInclusive<u64>) -> bool {
    let read = parse_duration(value).ok().and_then(|duration| Duration::try_from(duration).ok());
    read.is_some_and(|duration| range.contains(&duration.as_secs()))
}

/// The rule of a setting.
pub fn find<'r>(rules: &'r [Rule], name: &str) -> Option<&'r Rule> {
    rules.iter().find(|rule| rule.is(name))
}

/// What to do about a name that no rule has: the nearest one, else all of them.
pub fn hint(rules: &[Rule], name: &str) -> String {
    let near = suggest::hint(name, rules.iter().map(|rule| rule.name));
    if !near.is_empty() {
        return near;
    }
    let mut names: Vec<&str> = rules.iter().map(|rule| rule.name.split(".*").next().unwrap_or(rule.name)).collect();
    names.dedup();
    if names.is_empty() { "it has none".to_owned() } else { format!("it has: {}", names.join(", ")) }
}

/// Checks the settings of an integration, wherever they came from. `system` is its name as people write it.
///
/// # Errors
/// The first that is wrong, with its line where it has one.
pub fn verify(integration: &Integration, system: &str, rules: &[Rule]) -> Result<(), Fault> {
    for (name, setting) in &integration.settings {
        let fault = |mut cause: String, help: String| {
            if setting.line > 0 {
                // A String takes everything.
                let _ = write!(cause, " (line {})", setting.line);
            }
            Fault::new(Kind::Usage, "read settings of", &*integration.name, cause).next(help)
        };
        let rule = find(rules, name).ok_or_else(|| fault(format!("{system} has no setting `{name}`"), hint(rules, name)))?;
        rule.check(setting.value.expose()).map_err(|wrong| fault(format!("`{name}`: {}", wrong.expected), wrong.help))?;
    }
    Ok(())
}

/// Checked settings, to be read.
pub struct Settings<'a>(pub &'a BTreeMap<String, Setting>);

impl<'a> Settings<'a> {
    pub fn text(&self, name: &str) -> Option<&'a str> {
        self.0.get(name).map(|setting| setting.value.expose())
    }

    pub fn flag(&self, name: &str) -> Option<bool> {
        self.text(name)?.parse().ok()
    }

    pub fn number<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        self.text(name)?.parse().ok()
    }

    pub fn duration(&self, name: &str) -> Option<Duration> {
        parse_duration(self.text(name)?).ok().and_then(|duration| Duration::try_from(duration).ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(text: &str) -> Result<(), &'static str> {
        if text.starts_with(':') { Ok(()) } else { Err("expected a colon") }
    }

    const RULES: &[Rule] = &[
        Rule::new("keep_alive", Takes::Seconds(5, 60)),
        Rule::new("qos", Takes::Word(&["0", "1", "2"])),
        Rule::new("most", Takes::Number(1, 9)),
        Rule::new("sys", Takes::Flag),
        Rule::new("port", Takes::Checked(port)),
        Rule::new("password", Takes::Secret),
        Rule::new("queues.*.name", Takes::Text),
        Rule::new("queues.*.durable", Takes::Flag),
    ];

    fn verified(name: &str, value: &str, line: usize) -> Result<(), String> {
        let integration = Integration::new("iot", "mqtt", Vec::new()).with_settings(line, &[(name, value)]);
        verify(&integration, "MQTT", RULES).map_err(|fault| fault.to_string())
    }

    #[test]
    fn a_setting_is_what_its_rule_takes() {
        for (name, value) in [
            ("keep_alive", "60s"),
            ("keep_alive", "1m"),
            ("qos", "2"),
            ("most", "9"),
            ("sys", "false"),
            ("port", ":1"),
            ("password", ""),
            ("queues.0.name", "a"),
            ("queues.17.durable", "true"),
        ] {
            assert_eq!(verified(name, value, 7), Ok(()), "{name} = {value}");
        }
    }

    #[test]
    fn a_mistake_names_the_setting_and_its_line_and_never_the_value() {
        for (name, value, told) in [
            (
                "keep_alive",
                "hunter2",
                "`keep_alive`: expected a duration with its unit, from 5 to 60 seconds (line 7) (write \"30s\" or \"5m\")",
            ),
            (
                "keep_alive",
                "61s",
                "`keep_alive`: expected a duration with its unit, from 5 to 60 seconds (line 7) (write \"30s\" or \"5m\")",
            ),
            ("qos", "hunter2", "`qos`: expected `0`, `1` or `2` (line 7)"),
            ("most", "0", "`most`: expected a whole number from 1 to 9 (line 7)"),
            ("sys", "hunter2", "`sys`: expected true or false (line 7)"),
            ("port", "hunter2", "`port`: expected a colon (line 7)"),
            ("keepalive", "60s", "MQTT has no setting `keepalive` (line 7) (did you mean `keep_alive`?)"),
            ("queues.x.name", "a", "MQTT has no setting `queues.x.name` (line 7) (did you mean `queues.*.name`?)"),
            ("other", "a", "MQTT has no setting `other` (line 7) (it has: keep_alive, qos, most, sys, port, password, queues)"),
        ] {
            assert_eq!(verified(name, value, 7), Err(format!("read settings of iot: usage: {told}")), "{name}");
        }
        assert_eq!(verified("sys", "x", 0), Err("read settings of iot: usage: `sys`: expected true or false".to_owned()));
    }
}
