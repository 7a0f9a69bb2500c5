//! The `config` block of a Kafka integration: seed 1's settings by their names, and every setting of librdkafka by its own.
//!
//! What a setting says about the connection (brokers, TLS, log-in) is the integration's endpoint and auth, so that reading and writing
//! can never go to different places; the `endpoint`, `tls` and `auth` blocks go before it. Of the rest the exacter name wins:
//! `librdkafka = { "linger.ms" = 20 }` before `producer { linger_ms = 5 }` before `linger_ms = 1`.

use super::librdkafka_names::NAMES;
use super::profile::{ChannelPattern, Setting, TenantExtraction};
use super::secret::Secret;
use super::section::Text;
use super::source::{display_name, setting_at};
use super::system::{Check, System};
use super::tree::{Entry, Kind, Reading, Section, Written};
use crate::domain::format::Format;
use crate::domain::suggest;
use std::collections::BTreeMap;

/// What a `config` block said.
#[derive(Default)]
pub(super) struct Config {
    pub(super) settings: BTreeMap<String, Setting>,
    pub(super) channels: Vec<ChannelPattern>,
    /// How the adapter checks a setting by librdkafka's name.
    pub(super) check: Option<Check>,
    /// What belongs to endpoint and auth, by these names: see [`CONNECTION`].
    pub(super) connection: BTreeMap<&'static str, Text>,
}

/// Settings that say where and as whom: librdkafka's name, and what it is called here.
const CONNECTION: &[(&str, &str)] = &[
    ("bootstrap.servers", "brokers"),
    ("metadata.broker.list", "brokers"),
    ("security.protocol", "protocol"),
    ("sasl.mechanism", "mechanism"),
    ("sasl.mechanisms", "mechanism"),
    ("sasl.username", "username"),
    ("sasl.password", "password"),
    ("ssl.ca.location", "ca"),
    ("ssl.certificate.location", "cert"),
    ("ssl.key.location", "key"),
    ("enable.ssl.certificate.verification", "verify"),
];

/// Seed 1's `security` block.
const SECURITY: &[(&str, &str)] = &[
    ("protocol", "protocol"),
    ("mechanism", "mechanism"),
    ("username", "username"),
    ("password", "password"),
    ("ssl_ca_location", "ca"),
    ("ssl_certificate_location", "cert"),
    ("ssl_key_location", "key"),
];

/// Seed 1 says it; librdkafka has no such setting (it is the Java client's), and it bounds what this program reads at once.
const BEYOND_LIBRDKAFKA: &str = "max.poll.records";

/// Whose settings they are; the scope stands before the name: `producer.linger.ms`.
#[derive(Clone, Copy)]
enum Scope {
    Any,
    Producer,
    Consumer,
    /// librdkafka's own name, dots and all.
    Raw,
}

/// Reads the block.
pub(super) fn read(mut section: Section, rd: &mut Reading<'_>, system: Option<&System>) -> Config {
    let mut config = Config { check: system.and_then(|system| system.check), ..Config::default() };
    if let Some(entry) = section.take(rd, "brokers") {
        let span = entry.value.span.clone();
        let texts = rd.texts(entry.value, "brokers");
        let written = texts.iter().map(|text| text.written).find(|written| *written != Written::Plainly).unwrap_or(Written::Plainly);
        let joined = texts.iter().map(Text::as_str).collect::<Vec<_>>().join(",");
        config.connection.insert("brokers", Text { value: Secret::new(joined), span, written });
    }
    if let Some(security) = section.section(rd, "security") {
        config.security(security, rd);
    }
    if let Some(mut consumer) = section.section(rd, "consumer") {
        config.channels = consumer.sections(rd, "topics").into_iter().filter_map(|topic| channel(topic, rd)).collect();
        config.take_rest(consumer, rd, Scope::Consumer);
    }
    if let Some(producer) = section.section(rd, "producer") {
        config.take_rest(producer, rd, Scope::Producer);
    }
    if let Some(own) = section.section(rd, "mqdeck") {
        config.own(own, rd);
    }
    let raw = section.section(rd, "librdkafka");
    if let Some(entry) = section.take(rd, "schema_registry") {
        rd.note(&entry.span, "schema_registry is not used yet");
    }
    config.take_rest(section, rd, Scope::Any);
    if let Some(raw) = raw {
        config.take_rest(raw, rd, Scope::Raw);
    }
    config
}

/// One pattern of channels, from a `channels` block or seed 1's `topics` list.
pub(super) fn channel(mut section: Section, rd: &mut Reading<'_>) -> Option<ChannelPattern> {
    let pattern = section.required(rd, "pattern", "for example pattern = \"grey.tasks.*\"");
    let tenant = section.word(rd, "tenant_extraction", &[("topic_suffix", TenantExtraction::TopicSuffix)]);
    let prefer = prefer(&mut section, rd);
    let slack = section.duration(rd, "slack");
    section.finish(rd);
    let pattern = pattern?;
    let stars = pattern.as_str().matches('*').count();
    if stars > 1 || (stars == 0 && tenant.is_some()) {
        rd.wrong(&pattern.span, "a pattern has one `*`", "it stands for the part that tells the channels apart");
        return None;
    }
    Some(ChannelPattern { pattern: pattern.into_string(), tenant, prefer, slack })
}

/// The formats that are tried first.
fn prefer(section: &mut Section, rd: &mut Reading<'_>) -> Vec<Format> {
    let Some(entry) = section.take(rd, "prefer") else { return Vec::new() };
    let mut formats = Vec::new();
    for name in rd.texts(entry.value, "prefer") {
        match name.as_str().parse::<Format>() {
            Ok(format) if formats.contains(&format) => {
                rd.wrong(&name.span, format!("the format {} is named twice", name.quoted()), "remove one of them");
            }
            Ok(format) => formats.push(format),
            Err(_) => {
                let known = Format::ALL.map(Format::id);
                let near = if name.is_quotable() { suggest::hint(name.as_str(), known) } else { String::new() };
                let help = if near.is_empty() { format!("expected {}", suggest::one_of(&known)) } else { near };
                rd.wrong(&name.span, format!("unknown format {}", name.quoted()), help);
            }
        }
    }
    formats
}

impl Config {
    fn security(&mut self, mut section: Section, rd: &mut Reading<'_>) {
        for (name, meaning) in SECURITY {
            if let Some(text) = section.text(rd, name) {
                self.connection.insert(meaning, text);
            }
        }
        section.finish(rd);
    }

    /// Settings of this program that librdkafka does not know.
    fn own(&mut self, mut section: Section, rd: &mut Reading<'_>) {
        let line = rd.line(&section.span);
        if let Some(how) = section.word(rd, "time_lookup", &[("broker", "broker"), ("search", "search")]) {
            self.settings.insert("mqdeck.time_lookup".to_owned(), Setting { value: Secret::new(how.to_owned()), line });
        }
        section.finish(rd);
    }

    fn take_rest(&mut self, mut section: Section, rd: &mut Reading<'_>, scope: Scope) {
        for entry in std::mem::take(&mut section.entries) {
            let name = if matches!(scope, Scope::Raw) { entry.name.clone() } else { entry.name.replace('_', ".") };
            let known = NAMES.binary_search(&name.as_str()).is_ok() || (name == BEYOND_LIBRDKAFKA && !matches!(scope, Scope::Raw));
            if known {
                self.setting(entry, &name, rd, scope);
            } else {
                unknown(&entry, &section, rd, scope);
            }
        }
    }

    fn setting(&mut self, entry: Entry, name: &str, rd: &mut Reading<'_>, scope: Scope) {
        let (line, span) = (rd.line(&entry.span), entry.span.clone());
        rd.came_from(setting_at(line, name), &entry);
        let text = match entry.value.kind {
            Kind::List(_) => {
                let texts = rd.texts(entry.value, &entry.name);
                let joined = texts.iter().map(Text::as_str).collect::<Vec<_>>().join(",");
                Some(Text { value: Secret::new(joined), span: span.clone(), written: Written::Elsewhere })
            }
            _ => rd.scalar(entry.value, &entry.name),
        };
        let Some(text) = text else { return };
        if let Some((_, meaning)) = CONNECTION.iter().find(|(known, _)| *known == name) {
            if let Some(weaker) = self.connection.insert(meaning, text) {
                rd.note(&weaker.span, format!("overruled by `{}` in line {line}", entry.name));
            }
            return;
        }
        if name != BEYOND_LIBRDKAFKA
            && let Some((message, help)) = self.check.and_then(|check| check(name, text.as_str()).err())
        {
            rd.wrong(&text.span, message, help);
        }
        let value = if name.ends_with("password") || name.ends_with("secret") { text.into_secret(rd) } else { text.value };
        let key = match scope {
            Scope::Any | Scope::Raw => name.to_owned(),
            Scope::Producer => format!("producer.{name}"),
            Scope::Consumer => format!("consumer.{name}"),
        };
        let mut weaker = vec![self.settings.insert(key, Setting { value, line })];
        if matches!(scope, Scope::Raw) {
            weaker.extend(["producer", "consumer"].map(|role| self.settings.remove(&format!("{role}.{name}"))));
        }
        for weaker in weaker.into_iter().flatten() {
            let text = format!("overruled by `{}` in line {line}", entry.name).into();
            rd.notes.push(super::source::Note { line: weaker.line, text });
        }
    }
}

fn unknown(entry: &Entry, section: &Section, rd: &mut Reading<'_>, scope: Scope) {
    if section.asked.contains(entry.name.as_str()) {
        rd.wrong(&entry.span, format!("a second {}", display_name(&entry.name)), "keep one of them");
        return;
    }
    if matches!(entry.value.kind, Kind::Section(_)) {
        let help = suggest::hint(&entry.name, section.asked.iter().copied());
        rd.wrong(&entry.span, format!("unknown block {}", display_name(&entry.name)), help);
        return;
    }
    // The suggestion is spelled as it has to be written at this place.
    let spelled: Vec<String> =
        NAMES.iter().map(|name| if matches!(scope, Scope::Raw) { (*name).to_owned() } else { name.replace('.', "_") }).collect();
    let names = spelled.iter().map(String::as_str).chain(section.asked.iter().copied());
    rd.wrong(&entry.span, format!("unknown setting {}", display_name(&entry.name)), suggest::hint(&entry.name, names));
}
