//! An integration as settings of librdkafka: endpoint, TLS and log-in from their own blocks, everything else by its dotted name.

use crate::config::profile::{Auth, Integration, ScramMechanism, Setting, Tls, TlsVersion};
use crate::domain::fault::{Fault, Kind};
use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaConfRes;
use std::path::Path;
use std::time::Duration;

const OP: &str = "read settings of";

/// Settings that the profile says in its own words. Taken from `config` as well, reading and writing could go to different clusters.
const SAID_ELSEWHERE: &[(&str, &str)] = &[
    ("bootstrap.servers", "endpoint"),
    ("metadata.broker.list", "endpoint"),
    ("security.protocol", "tls and auth"),
    ("sasl.mechanism", "auth"),
    ("sasl.mechanisms", "auth"),
    ("sasl.username", "auth"),
    ("sasl.password", "auth"),
    ("sasl.oauthbearer.method", "auth"),
    ("sasl.oauthbearer.config", "auth"),
    ("ssl.ca.location", "tls"),
    ("ssl.certificate.location", "tls"),
    ("ssl.key.location", "tls"),
    ("enable.ssl.certificate.verification", "tls"),
];

/// Settings that would change what a plain publish promises or how this program reads its answers.
const RESERVED: &[(&str, &str)] = &[
    ("log.queue", "librdkafka's log goes to the program's own"),
    ("delivery.report.only.error", "every message is answered for"),
    ("test.mock.num.brokers", "it would replace the brokers of the endpoint"),
];

/// Settings that say nothing to a plain publish: seed 1's producer names the id of its transactions, its consumer the Java client's batch.
const NOT_FOR_US: &[&str] = &["transactional.id", "max.poll.records"];

/// What a member of a group that consumes exactly once has to decide itself, whatever the profile tells other programs: positions move
/// with transactions alone, only what is committed is read, and the generation of the group stands still while messages are held.
const NOT_FOR_MEMBERS: &[&str] = &[
    "transactional.id",
    "max.poll.records",
    "group.id",
    "group.instance.id",
    "group.protocol",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "isolation.level",
];

/// Kafka's own default: a transaction of a program that is gone is aborted by the broker after so long.
const TRANSACTION_TIMEOUT_MS: u128 = 60_000;

/// Names that librdkafka takes for the same setting: what the profile says by one must not meet our default under the other.
const ALIASES: &[(&str, &str)] = &[
    ("acks", "request.required.acks"),
    ("message.timeout.ms", "delivery.timeout.ms"),
    ("linger.ms", "queue.buffering.max.ms"),
    ("compression.codec", "compression.type"),
];

/// A broker with Kafka's defaults closes the connection on requests above 104,857,600 bytes (`socket.request.max.bytes`), and the
/// message would be tried in vain until it times out. Below it, the broker says itself what is too large.
pub(crate) const LARGEST_MESSAGE: usize = 100_000_000;

/// The settings of a producer: idempotent, acknowledged by every replica, and never creating a topic by a slip of the pen.
/// What the profile's `config` block says goes before these defaults.
///
/// Fails with the line of the profile when librdkafka does not know a setting or its value.
pub(crate) fn producer(integration: &Integration) -> Result<ClientConfig, Fault> {
    let mut config = connection(integration);
    for (name, value) in defaults(integration.timeout) {
        config.set(name, value);
    }
    set_role(&mut config, integration, "producer", NOT_FOR_US)?;
    Ok(config)
}

/// The settings of a producer with transactions of that name.
pub(crate) fn transactional(integration: &Integration, name: &str) -> Result<ClientConfig, Fault> {
    let mut config = producer(integration)?;
    config.set("transactional.id", name);
    let message = milliseconds(&config, &["message.timeout.ms", "delivery.timeout.ms"]).unwrap_or(30_000);
    let transaction = milliseconds(&config, &["transaction.timeout.ms"]).unwrap_or_else(|| TRANSACTION_TIMEOUT_MS.max(message));
    config.set("transaction.timeout.ms", transaction.to_string());
    // Neither a message nor a request has any business outliving its transaction; librdkafka refuses to be set so.
    config.remove("delivery.timeout.ms").set("message.timeout.ms", message.min(transaction).to_string());
    let request = milliseconds(&config, &["socket.timeout.ms"]).unwrap_or(transaction);
    config.set("socket.timeout.ms", request.min(transaction).to_string());
    Ok(config)
}

/// How long a producer keeps trying to deliver a message.
pub(crate) fn message_timeout(config: &ClientConfig) -> Duration {
    let given = milliseconds(config, &["message.timeout.ms", "delivery.timeout.ms"]).unwrap_or(30_000);
    Duration::from_millis(u64::try_from(given).unwrap_or(u64::MAX))
}

fn milliseconds(config: &ClientConfig, names: &[&str]) -> Option<u128> {
    names.iter().find_map(|name| config.get(name)?.parse().ok())
}

/// The settings of a consumer that is the member `name` of a group, for consuming exactly once.
///
/// Static membership (KIP-345): a member that was killed and comes back has its partitions at once, and one that was taken for dead
/// is fenced off by its name, even if it has forgotten its generation.
pub(crate) fn member(integration: &Integration, group: &str, name: &str) -> Result<ClientConfig, Fault> {
    let mut config = connection(integration);
    for (name, value) in [
        ("partition.assignment.strategy", "cooperative-sticky"),
        ("auto.offset.reset", "earliest"),
        ("allow.auto.create.topics", "false"),
        ("check.crcs", "true"),
        // A slow reader would be made four times slower by the second that librdkafka pauses when its queue is full.
        ("fetch.queue.backoff.ms", "5"),
        ("reconnect.backoff.max.ms", "2000"),
    ] {
        config.set(name, value);
    }
    set_role(&mut config, integration, "consumer", NOT_FOR_MEMBERS)?;
    for (name, value) in [
        ("group.id", group),
        ("group.instance.id", name),
        ("group.protocol", "classic"),
        ("enable.auto.commit", "false"),
        ("enable.auto.offset.store", "false"),
        ("isolation.level", "read_committed"),
    ] {
        config.set(name, value);
    }
    Ok(config)
}

/// Where to connect to, and as whom.
fn connection(integration: &Integration) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set_log_level(RDKafkaLogLevel::Warning);
    config.set("bootstrap.servers", integration.endpoint.addresses.join(","));
    config.set("client.id", "mqdeck");
    config.set("security.protocol", protocol(integration));
    if let Some(tls) = &integration.endpoint.tls {
        set_tls(&mut config, tls);
    }
    set_auth(&mut config, &integration.auth);
    config
}

/// What the profile says for a role, without the names that are not for us.
fn set_role(config: &mut ClientConfig, integration: &Integration, role: &str, except: &[&str]) -> Result<(), Fault> {
    let said = integration.settings_of(role);
    said.into_iter().filter(|(name, _)| !except.contains(name)).try_for_each(|(name, setting)| set_own(config, integration, name, setting))
}

/// What the profile demands of TLS and librdkafka cannot do. Reading goes on without it, writing is refused.
pub(crate) fn beyond_librdkafka(integration: &Integration) -> Option<&'static str> {
    let tls = integration.endpoint.tls.as_ref()?;
    if tls.server_name.is_some() && tls.verify_server {
        return Some("librdkafka checks a certificate against the address's host alone, and the profile's tls block gives server_name");
    }
    (tls.min_version == TlsVersion::V1_3).then_some("librdkafka cannot be held to TLS 1.3, which the profile's tls block demands")
}

fn defaults(timeout: Duration) -> [(&'static str, String); 9] {
    // An election of new leaders takes some 10 s: a message may wait three requests long before it is given up.
    [
        ("enable.idempotence", "true".to_owned()),
        ("acks", "all".to_owned()),
        ("allow.auto.create.topics", "false".to_owned()),
        ("message.max.bytes", LARGEST_MESSAGE.to_string()),
        ("message.timeout.ms", (timeout.as_millis() * 3).max(1_000).to_string()),
        ("socket.timeout.ms", timeout.as_millis().clamp(100, 300_000).to_string()),
        ("reconnect.backoff.max.ms", "2000".to_owned()),
        ("linger.ms", "1".to_owned()),
        // A key goes to the partition where Kafka's own (Java) producer puts it.
        ("partitioner", "murmur2_random".to_owned()),
    ]
}

fn protocol(integration: &Integration) -> &'static str {
    match (&integration.auth, &integration.endpoint.tls) {
        (Auth::None, None) => "plaintext",
        (Auth::None, Some(_)) => "ssl",
        (_, None) => "sasl_plaintext",
        (_, Some(_)) => "sasl_ssl",
    }
}

fn set_tls(config: &mut ClientConfig, tls: &Tls) {
    // A vendored OpenSSL looks for authorities in a folder of its build; `probe` finds the machine's own.
    config.set("ssl.ca.location", tls.ca_cert.as_deref().map_or_else(|| "probe".to_owned(), path));
    if let Some((certificate, key)) = &tls.client {
        config.set("ssl.certificate.location", path(certificate)).set("ssl.key.location", path(key));
    }
    config.set("ssl.endpoint.identification.algorithm", if tls.verify_server { "https" } else { "none" });
    config.set("enable.ssl.certificate.verification", tls.verify_server.to_string());
}

fn path(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn set_auth(config: &mut ClientConfig, auth: &Auth) {
    let (mechanism, log_in) = match auth {
        // Key pairs and creds files are read for NATS alone.
        Auth::None | Auth::Nkey(_) | Auth::Creds(_) => return,
        Auth::Basic { username, password } => ("PLAIN", Some((username, password))),
        Auth::Scram { mechanism: ScramMechanism::Sha256, username, password } => ("SCRAM-SHA-256", Some((username, password))),
        Auth::Scram { mechanism: ScramMechanism::Sha512, username, password } => ("SCRAM-SHA-512", Some((username, password))),
        Auth::Token(_) => ("OAUTHBEARER", None),
    };
    config.set("sasl.mechanism", mechanism);
    if let Some((username, password)) = log_in {
        config.set("sasl.username", username).set("sasl.password", password.expose());
    }
}

fn set_own(config: &mut ClientConfig, integration: &Integration, name: &str, setting: &Setting) -> Result<(), Fault> {
    check(name, setting.value.expose()).map_err(|(cause, next)| {
        Fault::new(Kind::Usage, OP, format!("{} (line {} of the profile)", integration.name, setting.line), cause).next(next)
    })?;
    for (one, other) in ALIASES {
        if name == *one || name == *other {
            config.remove(one).remove(other);
        }
    }
    config.set(name, setting.value.expose());
    Ok(())
}

/// Checks a setting by librdkafka's name; else what is wrong, without the value, which may be a secret, and what to do about it.
pub(crate) fn check(name: &str, value: &str) -> Result<(), (String, String)> {
    if let Some((_, block)) = SAID_ELSEWHERE.iter().find(|(said, _)| *said == name) {
        return Err((format!("`{name}` is said by {block}, not in config"), format!("remove the line and set {block}")));
    }
    if let Some((_, why)) = RESERVED.iter().find(|(reserved, _)| *reserved == name) {
        return Err((format!("`{name}` cannot be set here: {why}"), "remove the line".to_owned()));
    }
    let mut alone = ClientConfig::new();
    match alone.set(name, value).create_native_config() {
        Ok(_) => Ok(()),
        Err(KafkaError::ClientConfig(RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN, ..)) => {
            Err((format!("`{name}` is not a setting that librdkafka knows"), "check the name, or remove the line".to_owned()))
        }
        // librdkafka's own words repeat the value.
        Err(_) => {
            Err((format!("librdkafka does not take the value of `{name}`"), "see librdkafka's CONFIGURATION.md for its values".to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::profile::Endpoint;
    use crate::config::secret::Secret;

    fn with(settings: &[(&str, &str)]) -> Integration {
        let mut integration = Integration::new("events", "kafka", vec!["one:9092".into(), "two:9092".into()]);
        for (line, (name, value)) in settings.iter().enumerate() {
            let setting = Setting { value: Secret::new((*value).to_owned()), line: line + 7 };
            integration.settings.insert((*name).to_owned(), setting);
        }
        integration
    }

    #[test]
    fn a_producer_is_idempotent_and_creates_no_topics_unless_the_profile_says_otherwise() {
        let config = producer(&with(&[])).expect("settings");
        for (name, value) in [
            ("bootstrap.servers", "one:9092,two:9092"),
            ("enable.idempotence", "true"),
            ("acks", "all"),
            ("allow.auto.create.topics", "false"),
            ("security.protocol", "plaintext"),
            ("message.timeout.ms", "30000"),
        ] {
            assert_eq!(config.get(name), Some(value), "{name}");
        }
        let config = producer(&with(&[("linger.ms", "20"), ("mqdeck.time_lookup", "search")])).expect("settings");
        assert_eq!(config.get("linger.ms"), Some("20"));
        assert_eq!(config.get("mqdeck.time_lookup"), None);
    }

    #[test]
    fn what_is_said_for_producers_goes_before_what_is_said_for_any() {
        let settings =
            [("linger.ms", "20"), ("producer.linger.ms", "5"), ("consumer.linger.ms", "9"), ("producer.transactional.id", "grey")];
        let config = producer(&with(&settings)).expect("settings");
        assert_eq!((config.get("linger.ms"), config.get("transactional.id")), (Some("5"), None));
    }

    #[test]
    fn a_transaction_outlives_its_messages() {
        for (settings, message, transaction) in [
            (&[][..], "30000", "60000"),
            (&[("transaction.timeout.ms", "8000")], "8000", "8000"),
            (&[("delivery.timeout.ms", "90000")], "90000", "90000"),
        ] {
            let config = transactional(&with(settings), "grey").expect("settings");
            let found = ["message.timeout.ms", "transaction.timeout.ms", "transactional.id"].map(|name| config.get(name));
            assert_eq!(found, [Some(message), Some(transaction), Some("grey")], "{settings:?}");
            let made: Result<rdkafka::producer::BaseProducer, _> = config.create();
            made.expect("librdkafka takes them");
        }
    }

    #[test]
    fn a_member_decides_itself_what_exactly_once_depends_on() {
        let settings = [
            ("consumer.enable.auto.commit", "true"),
            ("consumer.group.id", "theirs"),
            ("isolation.level", "read_uncommitted"),
            ("consumer.auto.offset.reset", "latest"),
            ("consumer.session.timeout.ms", "30000"),
        ];
        let config = member(&with(&settings), "ours", "worker-1").expect("settings");
        for (name, value) in [
            ("enable.auto.commit", "false"),
            ("group.id", "ours"),
            ("group.instance.id", "worker-1"),
            ("isolation.level", "read_committed"),
            ("auto.offset.reset", "latest"),
            ("session.timeout.ms", "30000"),
        ] {
            assert_eq!(config.get(name), Some(value), "{name}");
        }
    }

    #[test]
    fn a_setting_under_its_other_name_replaces_the_default() {
        let config = producer(&with(&[("delivery.timeout.ms", "5000")])).expect("settings");
        assert_eq!((config.get("message.timeout.ms"), config.get("delivery.timeout.ms")), (None, Some("5000")));
    }

    #[test]
    fn a_wrong_setting_is_named_with_its_line_and_never_with_its_value() {
        for (name, cause) in [
            ("no.such.setting", "`no.such.setting` is not a setting that librdkafka knows"),
            ("acks", "librdkafka does not take the value of `acks`"),
            ("bootstrap.servers", "`bootstrap.servers` is said by endpoint, not in config"),
            ("sasl.password", "`sasl.password` is said by auth, not in config"),
            ("log.queue", "`log.queue` cannot be set here: librdkafka's log goes to the program's own"),
        ] {
            let fault = producer(&with(&[(name, "hunter2")])).expect_err(name);
            assert_eq!((fault.kind, fault.cause.as_str()), (Kind::Usage, cause));
            assert_eq!(fault.target.as_str(), "events (line 7 of the profile)");
            assert!(!fault.to_string().contains("hunter2"), "{fault}");
        }
    }

    #[test]
    fn tls_checks_the_server_with_the_machines_authorities_unless_told_otherwise() {
        let tls = Tls { verify_server: true, ca_cert: None, client: None, server_name: None, min_version: TlsVersion::V1_2 };
        let mut integration = with(&[]);
        integration.endpoint = Endpoint { addresses: vec!["one:9093".into()], tls: Some(tls.clone()) };
        let config = producer(&integration).expect("settings");
        assert_eq!(config.get("ssl.ca.location"), Some("probe"));
        assert_eq!(config.get("ssl.endpoint.identification.algorithm"), Some("https"));
        assert_eq!(beyond_librdkafka(&integration), None);

        integration.auth = Auth::Basic { username: "alice".into(), password: Secret::new("secret".into()) };
        integration.endpoint.tls = Some(Tls { verify_server: false, ..tls.clone() });
        let config = producer(&integration).expect("settings");
        assert_eq!(config.get("security.protocol"), Some("sasl_ssl"));
        assert_eq!(config.get("sasl.mechanism"), Some("PLAIN"));
        assert_eq!(config.get("enable.ssl.certificate.verification"), Some("false"));

        integration.endpoint.tls = Some(Tls { min_version: TlsVersion::V1_3, ..tls });
        assert!(beyond_librdkafka(&integration).is_some());
    }
}
