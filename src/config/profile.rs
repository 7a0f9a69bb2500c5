//! What a profile says, after it was read and checked.

use super::dialect::DeadLetters;
use super::secret::Secret;
use crate::domain::address::split_kind;
use crate::domain::fault::Fault;
use crate::domain::format::Format;
use crate::domain::safety::Safety;
use crate::domain::text::SafeText;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// The integrations of one environment.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// The file's name without its extension, or the host of `--url`.
    pub name: Arc<str>,
    /// Where it was read from; `None` for `--url`.
    pub path: Option<PathBuf>,
    /// The `safety` block: what may be changed, and what has to be armed first.
    pub safety: Safety,
    pub integrations: Vec<Integration>,
}

/// One configured connection.
#[derive(Clone, Debug, PartialEq)]
pub struct Integration {
    pub name: Arc<str>,
    /// The adapter's name: `kafka`.
    pub system: String,
    pub endpoint: Endpoint,
    pub auth: Auth,
    /// The `config` block: the system's own settings by their names, as text. For Kafka librdkafka's names, with `producer.` or
    /// `consumer.` before those that the profile says for one role only: read them through [`Integration::settings_of`].
    pub settings: BTreeMap<String, Setting>,
    /// Channels named in the profile, with how a tenant is found in a name.
    pub channels: Vec<ChannelPattern>,
    /// The kinds of channel that its system has, once its adapter is known: a name may begin with one.
    pub kinds: &'static [&'static str],
    /// What stands before the names of all its channels, which are shown and given without it.
    pub topic_prefix: Option<String>,
    /// For a `fanout`: the integrations that a message goes to.
    pub targets: Vec<Arc<str>>,
    /// Groups that are watched even where the system does not list them.
    pub groups: Vec<Arc<str>>,
    pub reconnect: Reconnect,
    pub health: HealthCheck,
    pub retry: Retry,
    pub breaker: Breaker,
    /// How long one request may take.
    pub timeout: Duration,
    /// What the profile says of dead letters, for all its integrations: a letter of one may have come from another.
    pub dead_letters: Arc<DeadLetters>,
    /// The URL that it was made of, without the password.
    pub url: Option<String>,
    /// Why it is not there, where that is known before: it is listed, and not connected.
    pub absent: Option<Fault>,
    /// Why its server has ended, once it has: of a server that this process runs itself. Nobody starts it again.
    pub ended: Arc<OnceLock<Fault>>,
    /// How long after it was opened its server may still be starting: until then it is connecting, and not down.
    pub warm_up: Duration,
}

/// Where a system is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// `host:port`, tried in turn; a whole URL for systems that are reached by one.
    pub addresses: Vec<String>,
    pub tls: Option<Tls>,
}

/// How TLS is spoken; paths are absolute or relative to the profile's folder, already joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// Checks the server's certificate and name. Off only where the profile says so, and then shown on every screen.
    pub verify_server: bool,
    /// PEM of the authorities to trust instead of the system's own.
    pub ca_cert: Option<PathBuf>,
    /// PEM of our certificate chain and its key, for mTLS.
    pub client: Option<(PathBuf, PathBuf)>,
    /// The name to ask for and check instead of the address's host.
    pub server_name: Option<String>,
    pub min_version: TlsVersion,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsVersion {
    #[default]
    V1_2,
    V1_3,
}

/// Who we say we are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Auth {
    /// Nobody in particular, or whom a client certificate names.
    None,
    /// User and password as they are (Kafka: SASL PLAIN).
    Basic { username: String, password: Secret },
    /// User and password, which the server never sees (SASL SCRAM).
    Scram { mechanism: ScramMechanism, username: String, password: Secret },
    /// A token, from one of these sources (Kafka: SASL OAUTHBEARER).
    Token(TokenSource),
    /// An Ed25519 key pair, given by its seed, that signs the server's challenge (NATS: an nkey).
    Nkey(Seed),
    /// A user's JWT and the seed that belongs to it, in one file (NATS: `.creds`); read at every log-in.
    Creds(PathBuf),
}

impl Auth {
    /// The types of log-in that it may be, as adapters list them.
    pub fn types(&self) -> &'static [&'static str] {
        match self {
            Self::None => &["none"],
            Self::Basic { .. } => &["basic", "password"],
            Self::Scram { .. } => &["scram"],
            Self::Token(_) => &["token", "bearer", "oauth2"],
            Self::Nkey(_) => &["nkey"],
            Self::Creds(_) => &["creds"],
        }
    }
}

/// Where the seed of a key pair comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seed {
    Fixed(Secret),
    File(PathBuf),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScramMechanism {
    Sha256,
    Sha512,
}

/// Where a token comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenSource {
    /// The token itself.
    Fixed(Secret),
    /// A file that somebody else keeps fresh; read at every log-in.
    File(PathBuf),
    /// OAuth 2 client credentials (RFC 6749 section 4.4).
    ClientCredentials { token_url: String, client_id: String, client_secret: Secret, scopes: Vec<String> },
}

/// One setting of a `config` block, with the line it stands on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    pub value: Secret,
    pub line: usize,
}

/// Channels named by a pattern with one `*`, where their tenant stands, and what their payloads are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChannelPattern {
    pub pattern: String,
    pub tenant: Option<TenantExtraction>,
    /// Formats that payloads are read as before anything else is tried, in this order.
    pub prefer: Vec<Format>,
    /// How far behind the end of a range of times earlier stamps are still looked for.
    pub slack: Option<Duration>,
}

/// The slack of channels for which the profile names none.
const SLACK: Duration = Duration::from_secs(600);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TenantExtraction {
    /// The part that the `*` stands for: `grey.tasks.*` finds `tenant-123` in `grey.tasks.tenant-123`.
    TopicSuffix,
}

/// Seed 5's `reconnect` block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reconnect {
    pub enabled: bool,
    /// `None` tries for ever.
    pub max_attempts: Option<u32>,
    pub delay: Duration,
    pub max_delay: Duration,
}

/// Seed 5's `health_check` block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    pub enabled: bool,
    pub interval: Duration,
}

/// Seed 5's `retry` block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    pub max_attempts: u32,
    pub backoff: Backoff,
    pub initial: Duration,
    pub max: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backoff {
    Constant,
    Linear,
    Exponential,
    Jittered,
}

/// Seed 5's `circuit_breaker` block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breaker {
    pub failure_threshold: u32,
    pub success_threshold: u32,
    pub timeout: Duration,
}

impl Profile {
    /// What it says of dead letters.
    pub fn dead_letters(&self) -> Arc<DeadLetters> {
        self.integrations.first().map(|integration| integration.dead_letters.clone()).unwrap_or_default()
    }
}

impl Reconnect {
    /// How many times a connection that is lost, or cannot be made, is tried again; `None`: for ever.
    pub fn attempts(&self) -> Option<u32> {
        if self.enabled { self.max_attempts } else { Some(0) }
    }

    /// The fault of a connection that is not tried again, with why.
    #[must_use]
    pub fn given_up(&self, fault: &Fault) -> Fault {
        let why = match self.max_attempts {
            Some(most) if self.enabled => {
                format!("; {most} attempts to reconnect failed, which is all the profile allows (reconnect.max_attempts)")
            }
            _ => "; it is not tried again, as the profile says (reconnect.enabled = false)".to_owned(),
        };
        if fault.cause.as_str().ends_with(&why) {
            return fault.clone();
        }
        let cause = SafeText::new(&format!("{}{why}", fault.cause));
        Fault { cause, ..fault.clone() }.next("open the profile again when the cause is gone")
    }
}

impl Default for Reconnect {
    fn default() -> Self {
        Self { enabled: true, max_attempts: None, delay: Duration::from_millis(200), max_delay: Duration::from_secs(5) }
    }
}

impl Default for HealthCheck {
    fn default() -> Self {
        Self { enabled: true, interval: Duration::from_secs(5) }
    }
}

impl Default for Retry {
    fn default() -> Self {
        Self { max_attempts: 3, backoff: Backoff::Exponential, initial: Duration::from_millis(100), max: Duration::from_secs(10) }
    }
}

impl Default for Breaker {
    fn default() -> Self {
        Self { failure_threshold: 5, success_threshold: 2, timeout: Duration::from_secs(30) }
    }
}

impl ChannelPattern {
    /// The tenant in a channel's name, with its kind before it or without, if the pattern matches and says where it stands.
    fn tenant_of<'a>(&self, kinds: &[&'static str], channel: &'a str) -> Option<&'a str> {
        let TenantExtraction::TopicSuffix = self.tenant?;
        let tenant = self.star(channel).or_else(|| self.star(split_kind(kinds, channel).1));
        tenant.filter(|tenant| !tenant.is_empty())
    }

    /// The part of a name that the star stands for.
    fn star<'a>(&self, name: &'a str) -> Option<&'a str> {
        let (before, after) = self.pattern.split_once('*')?;
        name.strip_prefix(before)?.strip_suffix(after)
    }

    /// Whether it names this channel, by its bare name or with its kind before it.
    fn names(&self, kinds: &[&'static str], channel: &str) -> bool {
        [channel, split_kind(kinds, channel).1].into_iter().any(|name| self.pattern == name || self.star(name).is_some())
    }
}

impl Integration {
    /// An integration with every default, as `--url` makes it.
    pub fn new(name: &str, system: &str, addresses: Vec<String>) -> Self {
        Self {
            name: name.into(),
            system: system.to_owned(),
            endpoint: Endpoint { addresses, tls: None },
            auth: Auth::None,
            settings: BTreeMap::new(),
            channels: Vec::new(),
            kinds: &[],
            topic_prefix: None,
            targets: Vec::new(),
            groups: Vec::new(),
            reconnect: Reconnect::default(),
            health: HealthCheck::default(),
            retry: Retry::default(),
            breaker: Breaker::default(),
            timeout: Duration::from_secs(10),
            dead_letters: Arc::default(),
            url: None,
            absent: None,
            ended: Arc::default(),
            warm_up: Duration::ZERO,
        }
    }

    /// The same with settings, as if that line of a profile had them; 0 is none.
    #[must_use]
    pub fn with_settings(mut self, line: usize, settings: &[(&str, &str)]) -> Self {
        let setting = |(name, value): &(&str, &str)| ((*name).to_owned(), Setting { value: Secret::new((*value).to_owned()), line });
        self.settings.extend(settings.iter().map(setting));
        self
    }

    /// The settings for one role, `producer` or `consumer`: those said for it, and those said for any.
    pub fn settings_of(&self, role: &str) -> BTreeMap<&str, &Setting> {
        let scoped = |name: &str| ["producer.", "consumer.", "mqdeck."].iter().any(|scope| name.starts_with(scope));
        let any = self.settings.iter().filter(|(name, _)| !scoped(name)).map(|(name, setting)| (name.as_str(), setting));
        let own = self.settings.iter().filter_map(|(name, setting)| Some((name.strip_prefix(role)?.strip_prefix('.')?, setting)));
        any.chain(own).collect()
    }

    /// The pattern that says as which formats a channel's payloads are read before anything else is tried: the first one that names the
    /// channel and says any.
    pub fn preferring(&self, channel: &str) -> Option<usize> {
        self.channels.iter().position(|pattern| !pattern.prefer.is_empty() && pattern.names(self.kinds, channel))
    }

    /// How far behind the end of a range of times earlier stamps are still looked for, by the first pattern that says it.
    pub fn slack(&self, channel: &str) -> Duration {
        let mut named = self.channels.iter().filter(|pattern| pattern.names(self.kinds, channel));
        named.find_map(|pattern| pattern.slack).unwrap_or(SLACK)
    }

    /// The tenant in a channel's name, by the first pattern that finds one.
    pub fn tenant_of<'a>(&self, channel: &'a str) -> Option<&'a str> {
        self.channels.iter().find_map(|pattern| pattern.tenant_of(self.kinds, channel))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_gets_what_is_said_for_it_before_what_is_said_for_any() {
        let mut integration = Integration::new("events", "kafka", Vec::new());
        for (line, name) in ["linger.ms", "producer.linger.ms", "consumer.group.id", "client.rack", "mqdeck.time_lookup"].iter().enumerate()
        {
            integration.settings.insert((*name).to_owned(), Setting { value: Secret::new(String::new()), line });
        }
        let lines = |role| integration.settings_of(role).iter().map(|(name, setting)| (*name, setting.line)).collect::<Vec<_>>();
        assert_eq!(lines("producer"), [("client.rack", 3), ("linger.ms", 1)]);
        assert_eq!(lines("consumer"), [("client.rack", 3), ("group.id", 2), ("linger.ms", 0)]);
    }

    #[test]
    fn the_first_pattern_that_names_a_channel_and_says_a_format_is_taken() {
        let pattern = |pattern: &str, prefer: &[Format]| ChannelPattern {
            pattern: pattern.into(),
            prefer: prefer.into(),
            ..ChannelPattern::default()
        };
        let mut integration = Integration::new("events", "rabbitmq", Vec::new());
        integration.kinds = &["queue", "stream"];
        integration.channels = vec![
            pattern("grey.*", &[]),
            pattern("grey.telemetry", &[Format::MessagePack, Format::Json]),
            pattern("grey.*", &[Format::Text]),
            pattern("stream:JOBS", &[Format::Bytes]),
        ];
        for (channel, formats) in [
            ("grey.telemetry", &[Format::MessagePack, Format::Json][..]),
            ("grey.events", &[Format::Text]),
            ("queue:grey.events", &[Format::Text]),
            ("stream:JOBS", &[Format::Bytes]),
            ("JOBS", &[]),
            ("topic:grey.events", &[]),
            ("other", &[]),
        ] {
            let preferred = integration.preferring(channel).map_or(&[][..], |at| &integration.channels[at].prefer);
            assert_eq!(preferred, formats, "{channel}");
        }
    }

    #[test]
    fn a_tenant_is_the_part_that_the_star_stands_for() {
        let pattern =
            ChannelPattern { pattern: "grey.tasks.*".into(), tenant: Some(TenantExtraction::TopicSuffix), ..ChannelPattern::default() };
        for (channel, tenant) in [
            ("grey.tasks.tenant-123", Some("tenant-123")),
            ("queue:grey.tasks.tenant-123", Some("tenant-123")),
            ("topic:grey.tasks.tenant-123", None),
            ("grey.tasks.", None),
            ("grey.results.tenant-123", None),
        ] {
            assert_eq!(pattern.tenant_of(&["queue"], channel), tenant, "{channel}");
        }
    }
}
