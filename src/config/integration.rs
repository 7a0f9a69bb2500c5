//! The `integration` block: one connection, checked as a whole.

use super::auth;
use super::endpoint::{self, Endpoint, TlsSaid};
use super::kafka::{self, Config};
use super::profile::{Auth, Backoff, Breaker, HealthCheck, Integration, Reconnect, Retry, ScramMechanism, Setting, Tls};
use super::rules::{self, Rule};
use super::section::Text;
use super::source::{display_name, setting_at};
use super::system::{Context, System};
use super::tree::{Entry, Kind, Reading, Section, join};
use crate::domain::{redact, suggest};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// Every system that a profile may name; this build may hold fewer adapters.
const SYSTEMS: &[&str] = &["kafka", "rabbitmq", "nats", "mqtt", "redis", "grpc", "json-rpc", "prometheus", "memory", FANOUT];

/// The type of an integration that publishes to several others.
pub(super) const FANOUT: &str = "fanout";

/// Reads the block; `None` when too much of it is wrong to go on. Problems are noted either way.
pub(super) fn read(mut section: Section, rd: &mut Reading<'_>, context: &Context<'_>) -> Option<Integration> {
    let name = label(&section, rd);
    let kind = section.required(rd, "type", "for example type = \"kafka\"");
    let system = kind.as_ref().and_then(|kind| context.systems.iter().find(|system| system.name == kind.as_str()));
    if let (Some(kind), None) = (&kind, system)
        && kind.as_str() != FANOUT
    {
        absent(kind, rd, context);
    }
    let kind = kind.map(Text::into_string).unwrap_or_default();
    let config = section.section(rd, "config");
    let config = match (config, &*kind) {
        (Some(config), "kafka") => kafka::read(config, rd, system),
        (Some(config), _) => Config { settings: plain_settings(config, rd, system), ..Config::default() },
        (None, _) => Config::default(),
    };
    let says_brokers = config.connection.contains_key("brokers");
    let endpoint = match section.section(rd, "endpoint") {
        Some(endpoint) => endpoint::read(endpoint, rd, system),
        None if kind == FANOUT => Endpoint::default(),
        None if says_brokers || system.is_some_and(|system| system.schemes.is_empty()) => Endpoint::default(),
        None if section.misspelled("endpoint") => Endpoint::default(),
        None => {
            rd.wrong(&section.span.clone(), "the `endpoint` block is missing", "write endpoint { address = \"host:port\" }");
            Endpoint::default()
        }
    };
    let auth_said = section.has("auth");
    let said = section.section(rd, "auth").and_then(|block| auth::read(block, rd, &kind, system));
    let mut integration = Integration::new(name.as_deref().unwrap_or_default(), &kind, Vec::new());
    integration.timeout = section.duration(rd, "timeout").unwrap_or(integration.timeout);
    resilience(&mut section, rd, &mut integration);
    integration.channels = section.sections(rd, "channels").into_iter().filter_map(|block| kafka::channel(block, rd)).collect();
    integration.groups = groups(&mut section, rd);
    integration.topic_prefix = topic_prefix(&mut section, rd);
    integration.targets = targets(&mut section, rd, &kind);
    if let Some(entry) = section.take(rd, "schema_registry") {
        rd.note(&entry.span, "schema_registry is not used yet");
    }
    let span = section.span.clone();
    section.finish(rd);
    integration.channels.extend(config.channels);
    integration.settings = config.settings;
    connect(&mut integration, rd, system, Parts { span, endpoint, auth_said, said, connection: config.connection });
    name.map(|_| integration)
}

fn label(section: &Section, rd: &mut Reading<'_>) -> Option<String> {
    let help = "write integration \"events\" { … }";
    let [name] = section.labels.as_slice() else {
        rd.wrong(&section.span, "an integration has one name", help);
        return None;
    };
    // A name is the first part of every address: `events/orders.created`, `rabbit@tenant/queue:tasks`.
    if name.is_empty() || name.chars().any(|c| "/@#".contains(c) || c.is_whitespace() || crate::domain::text::is_hidden(c)) {
        rd.wrong(&section.span, format!("`{name}` cannot be the name of an integration"), "a name has no `/`, `@`, `#` and no blanks");
        return None;
    }
    Some(name.clone())
}

/// What stands before the names of all channels.
fn topic_prefix(section: &mut Section, rd: &mut Reading<'_>) -> Option<String> {
    let text = section.text(rd, "topic_prefix")?;
    if text.as_str().is_empty() || text.as_str().starts_with('/') || text.as_str().contains(char::is_whitespace) {
        rd.wrong(&text.span, "a prefix is not empty, has no blanks, and does not begin with a slash", "write topic_prefix = \"prod\"");
        return None;
    }
    Some(text.into_string())
}

/// The integrations that a fanout publishes to; whether they are there is checked when all were read.
fn targets(section: &mut Section, rd: &mut Reading<'_>, kind: &str) -> Vec<Arc<str>> {
    let help = "write targets = [\"events\", \"nats\"]";
    let span = section.span.clone();
    let Some(entry) = section.take(rd, "targets") else {
        if kind == FANOUT {
            rd.wrong(&span, "a fanout names its targets", help);
        }
        return Vec::new();
    };
    if kind != FANOUT {
        rd.wrong(&entry.span, "only an integration of type \"fanout\" has targets", "remove it");
        return Vec::new();
    }
    let mut targets: Vec<Arc<str>> = Vec::new();
    for name in rd.texts(entry.value, "targets") {
        if targets.iter().any(|known| **known == *name.as_str()) {
            rd.wrong(&name.span, format!("the target {} is named twice", name.quoted()), "remove one of them");
        } else {
            if !name.is_quotable() {
                rd.unquotable.insert(name.as_str().to_owned());
            }
            targets.push(name.as_str().into());
        }
    }
    if targets.is_empty() {
        rd.wrong(&entry.span, "a fanout has at least one target", help);
    }
    targets
}

/// Every target of a fanout is another integration of the profile, and no fanout itself.
pub(super) fn check_targets(integrations: &[Integration], rd: &mut Reading<'_>, span: &dyn Fn(&str) -> Range<usize>) {
    for fanout in integrations.iter().filter(|integration| integration.system == FANOUT) {
        for target in &fanout.targets {
            let help = "name integrations of this profile that are connections";
            let quoted = if rd.unquotable.contains(&**target) { "the variable's value".to_owned() } else { format!("`{target}`") };
            match integrations.iter().find(|integration| integration.name == *target) {
                None => rd.wrong(&span(&fanout.name), format!("{}: its target {quoted} is not in this profile", fanout.name), help),
                Some(other) if other.system == FANOUT => {
                    rd.wrong(&span(&fanout.name), format!("{}: its target {quoted} is a fanout as well", fanout.name), help);
                }
                Some(_) => {}
            }
        }
    }
}

/// The names of groups that are to be watched whether the system lists them or not.
fn groups(section: &mut Section, rd: &mut Reading<'_>) -> Vec<Arc<str>> {
    let Some(entry) = section.take(rd, "groups") else { return Vec::new() };
    let mut groups: Vec<Arc<str>> = Vec::new();
    for name in rd.texts(entry.value, "groups") {
        if name.as_str().is_empty() {
            rd.wrong(&name.span, "a group has a name", "write groups = [\"payments\"]");
        } else if groups.iter().any(|known| **known == *name.as_str()) {
            rd.wrong(&name.span, format!("the group {} is named twice", name.quoted()), "remove one of them");
        } else {
            groups.push(name.as_str().into());
        }
    }
    groups
}

fn absent(kind: &Text, rd: &mut Reading<'_>, context: &Context<'_>) {
    let known = SYSTEMS.iter().copied().chain(context.systems.iter().map(|system| system.name));
    if known.clone().any(|name| name == kind.as_str()) {
        rd.note(&kind.span, format!("{} is not in this build: the integration is listed and not connected", kind.as_str()));
        return;
    }
    let near = suggest::nearest(if kind.is_quotable() { kind.as_str() } else { "" }, known);
    let help = near.map_or_else(|| format!("expected {}", suggest::one_of(SYSTEMS)), |near| format!("did you mean `{near}`?"));
    rd.wrong(&kind.span, format!("unknown adapter {}", kind.quoted()), help);
}

/// The settings of a `config` block by their flat names, each checked by the system's table where this build has the system.
fn plain_settings(section: Section, rd: &mut Reading<'_>, system: Option<&System>) -> BTreeMap<String, Setting> {
    let mut settings = BTreeMap::new();
    let known = system.and_then(|system| Some((system.title, system.settings?)));
    flatten(section.entries, "", rd, known, &mut settings);
    settings
}

/// A system's title and its table.
type Known = Option<(&'static str, &'static [Rule])>;

fn flatten(entries: Vec<Entry>, above: &str, rd: &mut Reading<'_>, known: Known, into: &mut BTreeMap<String, Setting>) {
    for entry in entries {
        let (name, line) = (join(above, &entry.name), rd.line(&entry.span));
        match entry.value.kind {
            Kind::Section(section) => flatten(section.entries, &name, rd, known, into),
            Kind::List(items) => {
                for (at, value) in items.into_iter().enumerate() {
                    let item = Entry { name: at.to_string(), span: entry.span.clone(), value };
                    flatten(vec![item], &name, rd, known, into);
                }
            }
            _ => {
                rd.came_from(setting_at(line, &name), &entry);
                let rule = known.map(|(title, rules)| (title, rules, rules::find(rules, &name)));
                if let Some((title, rules, None)) = rule {
                    let message = format!("{title} has no setting {}", display_name(&name));
                    rd.wrong(&entry.span, message, rules::hint(rules, &name));
                    continue;
                }
                let Some(text) = rd.scalar(entry.value, &name) else { continue };
                if into.contains_key(&name) {
                    rd.wrong(&entry.span, format!("a second `{name}`"), "keep one of them");
                    continue;
                }
                let rule = rule.and_then(|(.., rule)| rule);
                if let Some(wrong) = rule.and_then(|rule| rule.check(text.as_str()).err()) {
                    let said =
                        if rule.is_some_and(Rule::is_secret) { String::new() } else { format!(" is {}", redact::log_ins(&text.quoted())) };
                    rd.wrong(&text.span, format!("`{name}`{said}: {}", wrong.expected), wrong.help);
                }
                let value = if rule.is_some_and(Rule::is_secret) { text.into_secret(rd) } else { text.value };
                into.insert(name, Setting { value, line });
            }
        }
    }
}

fn resilience(section: &mut Section, rd: &mut Reading<'_>, integration: &mut Integration) {
    if let Some(mut block) = section.section(rd, "retry") {
        let words = [
            ("exponential", Backoff::Exponential),
            ("constant", Backoff::Constant),
            ("linear", Backoff::Linear),
            ("jittered", Backoff::Jittered),
        ];
        let Retry { max_attempts, backoff, initial, max } = Retry::default();
        integration.retry = Retry {
            max_attempts: count(&mut block, rd, "max_attempts").unwrap_or(max_attempts),
            backoff: block.word(rd, "backoff", &words).unwrap_or(backoff),
            initial: block.duration(rd, "initial").unwrap_or(initial),
            max: block.duration(rd, "max").unwrap_or(max),
        };
        block.finish(rd);
    }
    if let Some(mut block) = section.section(rd, "circuit_breaker") {
        let Breaker { failure_threshold, success_threshold, timeout } = Breaker::default();
        integration.breaker = Breaker {
            failure_threshold: count(&mut block, rd, "failure_threshold").unwrap_or(failure_threshold),
            success_threshold: count(&mut block, rd, "success_threshold").unwrap_or(success_threshold),
            timeout: block.duration(rd, "timeout").unwrap_or(timeout),
        };
        block.finish(rd);
    }
    if let Some(mut block) = section.section(rd, "health_check") {
        let HealthCheck { enabled, interval } = HealthCheck::default();
        integration.health = HealthCheck {
            enabled: block.flag(rd, "enabled").unwrap_or(enabled),
            interval: block.duration(rd, "interval").unwrap_or(interval),
        };
        if let Some(method) = block.text(rd, "method") {
            rd.note(&method.span, "method is not used yet: it is for systems that are called");
        }
        block.finish(rd);
    }
    if let Some(mut block) = section.section(rd, "reconnect") {
        let Reconnect { enabled, max_attempts, delay, max_delay } = Reconnect::default();
        integration.reconnect = Reconnect {
            enabled: block.flag(rd, "enabled").unwrap_or(enabled),
            // Seed 5 writes -1 for "infinite".
            max_attempts: block.number(rd, "max_attempts", -1..=i64::from(u32::MAX)).map_or(max_attempts, |n| u32::try_from(n).ok()),
            delay: block.duration(rd, "delay").unwrap_or(delay),
            max_delay: block.duration(rd, "max_delay").unwrap_or(max_delay),
        };
        block.finish(rd);
    }
}

fn count(section: &mut Section, rd: &mut Reading<'_>, name: &'static str) -> Option<u32> {
    section.number(rd, name, 1..=i64::from(u32::MAX)).and_then(|n| u32::try_from(n).ok())
}

/// What says where and as whom, before it is put together.
struct Parts {
    span: Range<usize>,
    endpoint: Endpoint,
    /// There is an `auth` block, right or wrong.
    auth_said: bool,
    said: Option<auth::Said>,
    connection: BTreeMap<&'static str, Text>,
}

/// Puts endpoint and log-in together: the blocks first, then what `config` says.
fn connect(integration: &mut Integration, rd: &mut Reading<'_>, system: Option<&System>, mut parts: Parts) {
    let mut tls = std::mem::take(&mut parts.endpoint.tls);
    let brokers = parts.connection.remove("brokers");
    let addresses = match (parts.endpoint.addresses.take(), brokers) {
        (Some(addresses), Some(brokers)) => {
            rd.note(&brokers.span, "overruled by the endpoint block");
            Some(addresses)
        }
        (None, Some(brokers)) => endpoint::addresses(&[brokers], rd, system, None, None, &mut tls),
        (addresses, None) => addresses,
    };
    let protocol = protocol(&mut parts.connection, rd);
    let tls = tls_of(tls, protocol, &mut parts.connection, rd);
    integration.endpoint.addresses = addresses.unwrap_or_default();
    let client = parts.said.as_mut().and_then(|said| said.client.take());
    integration.endpoint.tls = match (client, tls) {
        (None, Ok(tls)) => tls,
        (None, Err(_)) => None,
        (Some(client), Ok(tls)) => Some(Tls { client: Some(client), ..tls.unwrap_or_default() }),
        (Some(_), Err(span)) => {
            rd.wrong(&span, "a client certificate needs TLS, and `tls` is off", "remove one of the two");
            None
        }
    };
    integration.auth = match parts.said {
        Some(said) => said.auth,
        None if parts.auth_said => Auth::None,
        None => return sasl(integration, protocol, parts.connection, &parts.span, rd),
    };
    for text in parts.connection.values() {
        rd.note(&text.span, "overruled by the auth block");
    }
}

/// Which halves of Kafka's `security.protocol` are on.
#[derive(Clone, Copy)]
struct Protocol {
    tls: bool,
    sasl: bool,
}

fn protocol(connection: &mut BTreeMap<&'static str, Text>, rd: &mut Reading<'_>) -> Option<Protocol> {
    let text = connection.remove("protocol")?;
    let protocols = [("PLAINTEXT", false, false), ("SSL", true, false), ("SASL_PLAINTEXT", false, true), ("SASL_SSL", true, true)];
    let found = protocols.iter().find(|(name, ..)| name.eq_ignore_ascii_case(text.as_str()));
    if found.is_none() {
        let names = protocols.map(|(name, ..)| name);
        rd.wrong(&text.span, format!("the protocol cannot be {}: expected {}", text.quoted(), suggest::one_of(&names)), "");
    }
    found.map(|(_, tls, sasl)| Protocol { tls: *tls, sasl: *sasl })
}

/// TLS as the endpoint says it, else as `config` does; `Err` with its place where it is switched off.
fn tls_of(
    said: TlsSaid,
    protocol: Option<Protocol>,
    connection: &mut BTreeMap<&'static str, Text>,
    rd: &mut Reading<'_>,
) -> Result<Option<Tls>, Range<usize>> {
    let [ca, cert, key, verify] = ["ca", "cert", "key", "verify"].map(|name| connection.remove(name));
    match said {
        TlsSaid::Nothing => {}
        said => {
            for text in [ca, cert, key, verify].into_iter().flatten() {
                rd.note(&text.span, "overruled by `tls` of the endpoint block");
            }
            return match said {
                TlsSaid::On(tls) => Ok(Some(tls)),
                TlsSaid::Off(span) => Err(span),
                TlsSaid::Nothing => Ok(None),
            };
        }
    }
    if !protocol.map_or(ca.is_some() || cert.is_some(), |protocol| protocol.tls) {
        return Ok(None);
    }
    let client = match (&cert, &key) {
        (Some(cert), Some(key)) => Some((rd.file(cert, "the client certificate"), rd.file(key, "the client certificate's key"))),
        (None, None) => None,
        (Some(one), None) | (None, Some(one)) => {
            rd.wrong(&one.span.clone(), "a client certificate and its key come together", "give both, or none");
            None
        }
    };
    // `probe` is librdkafka's word for the system's own authorities.
    let ca_cert = ca.filter(|ca| ca.as_str() != "probe").map(|ca| rd.file(&ca, "the file of authorities"));
    Ok(Some(Tls { verify_server: verify.is_none_or(|verify| verify.as_str() != "false"), ca_cert, client, ..Tls::default() }))
}

/// The log-in that `config` says by Kafka's own names.
fn sasl(
    integration: &mut Integration,
    protocol: Option<Protocol>,
    mut connection: BTreeMap<&'static str, Text>,
    span: &Range<usize>,
    rd: &mut Reading<'_>,
) {
    let [mechanism, username, password] = ["mechanism", "username", "password"].map(|name| connection.remove(name));
    if !protocol.map_or(mechanism.is_some() || username.is_some(), |protocol| protocol.sasl) {
        for text in [mechanism, username, password].into_iter().flatten() {
            rd.note(&text.span, "not used: the protocol has no log-in");
        }
        return;
    }
    let (Some(mechanism), Some(username), Some(password)) = (mechanism, username, password) else {
        rd.wrong(span, "a log-in needs `mechanism`, `username` and `password`", "or write an auth block");
        return;
    };
    let (username, password) = (username.into_string(), password.into_secret(rd));
    integration.auth = match (mechanism.as_str().to_ascii_uppercase().as_str(), auth::scram_mechanism(mechanism.as_str())) {
        ("PLAIN", _) => Auth::Basic { username, password },
        (_, Some(mechanism @ (ScramMechanism::Sha256 | ScramMechanism::Sha512))) => Auth::Scram { mechanism, username, password },
        _ => {
            let message = format!("the mechanism cannot be {}: expected `PLAIN`, `SCRAM-SHA-256` or `SCRAM-SHA-512`", mechanism.quoted());
            rd.wrong(&mechanism.span, message, "for OAUTHBEARER write an auth block of type \"oauth2\" or \"token\"");
            return;
        }
    };
}
