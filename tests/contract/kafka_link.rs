//! The Kafka link against a real broker: every way in, and every fault with its own kind, cause and next step.

use crate::support::SOON;
use crate::support::kafka::{self, Kafka};
use crate::support::topics;
use mqdeck::adapters::find;
use mqdeck::adapters::session::Session;
use mqdeck::adapters::wirelog::WireLog;
use mqdeck::config::profile::{Auth, Integration, ScramMechanism, Tls, TlsVersion, TokenSource};
use mqdeck::config::secret::Secret;
use mqdeck::domain::channel::Description;
use mqdeck::domain::fault::{Fault, Kind};
use std::time::{Duration, Instant};

fn integration(address: &str) -> Integration {
    Integration::new("events", "kafka", address.split(',').map(str::to_owned).collect())
}

async fn connect(integration: Integration) -> Result<Session, Fault> {
    let adapter = find("kafka").expect("this build speaks Kafka");
    (adapter.connect)(integration, WireLog::default()).await
}

async fn refused(integration: Integration) -> Fault {
    match connect(integration).await {
        Ok(_) => panic!("connected, though it should be refused"),
        Err(fault) => fault,
    }
}

fn tls(kafka: &Kafka, ca: &str) -> Tls {
    Tls { verify_server: true, ca_cert: Some(kafka.file(ca)), client: None, server_name: None, min_version: TlsVersion::V1_2 }
}

fn scram(mechanism: ScramMechanism, username: &str, password: &str) -> Auth {
    Auth::Scram { mechanism, username: username.into(), password: Secret::new(password.into()) }
}

fn basic(username: &str, password: &str) -> Auth {
    Auth::Basic { username: username.into(), password: Secret::new(password.into()) }
}

/// An unsecured JWT (RFC 7519 section 6) for alice, as the OAUTH listener takes it; valid for `seconds` from now.
fn token(seconds: i64) -> Auth {
    use base64::Engine as _;
    let encode = |text: String| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
    let now = jiff::Timestamp::now().as_second();
    let claims = format!(r#"{{"sub":"alice","iat":{},"exp":{}}}"#, now - 60, now + seconds);
    let token = format!("{}.{}.", encode(r#"{"alg":"none"}"#.into()), encode(claims));
    Auth::Token(TokenSource::Fixed(Secret::new(token)))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_way_of_logging_in_works() {
    let Some(kafka) = kafka::shared() else { return };
    if kafka.listener("TLS").is_none() {
        return;
    }
    let ours = (kafka.file("CERT_ALICE"), kafka.file("KEY_ALICE"));
    let trusting = || tls(kafka, "CA");
    let cases = [
        ("SASL", None, basic("alice", "alice-secret")),
        ("SASL", None, scram(ScramMechanism::Sha256, "alice", "alice-secret")),
        ("SASL", None, scram(ScramMechanism::Sha512, "alice", "alice-secret")),
        ("SASLTLS", Some(trusting()), scram(ScramMechanism::Sha512, "bob", "bob-secret")),
        ("TLS", Some(trusting()), Auth::None),
        ("TLS", Some(Tls { min_version: TlsVersion::V1_3, ..trusting() }), Auth::None),
        ("MTLS", Some(Tls { client: Some(ours), ..trusting() }), Auth::None),
        ("OAUTH", None, token(600)),
    ];
    for (listener, tls, auth) in cases {
        let Some(address) = kafka.listener(listener) else { return };
        let mut integration = integration(address);
        integration.endpoint.tls = tls;
        integration.auth = auth.clone();
        let session = connect(integration).await.unwrap_or_else(|fault| panic!("{listener} {auth:?}: {fault}"));
        session.inspect.ping().await.unwrap_or_else(|fault| panic!("{listener} {auth:?}: {fault}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_refusal_has_its_own_kind_cause_and_next_step() {
    let Some(kafka) = kafka::shared() else { return };
    if kafka.listener("TLS").is_none() {
        return;
    }
    let trusting = || Some(tls(kafka, "CA"));
    let other_name = Some(Tls { server_name: Some("kafka.example".into()), ..tls(kafka, "CA") });
    let cases = [
        ("EXPIRED", trusting(), Auth::None, Kind::Unauthorized, "certificate expired on 2021-", "new certificate"),
        ("WRONGHOST", trusting(), Auth::None, Kind::Unauthorized, "is not for 127.0.0.1: it is for broker.example", "server_name"),
        ("TLS", other_name, Auth::None, Kind::Unauthorized, "is not for kafka.example", "server_name"),
        ("TLS", Some(tls(kafka, "OTHER_CA")), Auth::None, Kind::Unauthorized, "authority that is not trusted", "ca_cert"),
        ("TLS", None, Auth::None, Kind::Protocol, "a TLS server answers there", "tls block"),
        ("PLAIN", trusting(), Auth::None, Kind::Unreachable, "closed the connection when TLS was spoken", "does not speak TLS"),
        ("MTLS", trusting(), Auth::None, Kind::Unauthorized, "demands a certificate from us", "client_cert"),
        ("SASL", None, basic("alice", "wrong"), Kind::Unauthorized, "SASL_AUTHENTICATION_FAILED (58)", "password"),
        ("SASL", None, scram(ScramMechanism::Sha512, "alice", "wrong"), Kind::Unauthorized, "SASL_AUTHENTICATION_FAILED (58)", "password"),
        ("SASL", None, token(600), Kind::Unauthorized, "does not offer OAUTHBEARER: it offers PLAIN, SCRAM-SHA-256", "mechanism"),
        ("SASL", None, Auth::None, Kind::Unreachable, "at the first real request", "auth block"),
        ("OAUTH", None, token(-30), Kind::Unauthorized, "does not accept the token", "token"),
    ];
    for (listener, tls, auth, kind, cause, next) in cases {
        let Some(address) = (if listener == "PLAIN" { Some(kafka.plain()) } else { kafka.listener(listener) }) else { return };
        let mut integration = integration(address);
        integration.endpoint.tls = tls;
        integration.auth = auth;
        let fault = refused(integration).await;
        assert_eq!(fault.kind, kind, "{listener}: {fault}");
        assert!(fault.cause.as_str().contains(cause), "{listener}: {fault}");
        assert!(fault.next.as_str().contains(next), "{listener}: {fault}");
        assert!(!fault.to_string().contains("wrong ") && !fault.to_string().contains("eyJ"), "no secret in {fault}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_to_be_verified_is_taken_as_it_is() {
    let Some(kafka) = kafka::shared() else { return };
    if kafka.listener("TLS").is_none() {
        return;
    }
    for listener in ["EXPIRED", "WRONGHOST"] {
        let Some(address) = kafka.listener(listener) else { return };
        let mut integration = integration(address);
        integration.endpoint.tls = Some(Tls { verify_server: false, ..tls(kafka, "OTHER_CA") });
        connect(integration).await.unwrap_or_else(|fault| panic!("{listener}: {fault}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_address_says_so_and_the_next_one_is_tried() {
    let Some(kafka) = kafka::shared() else { return };
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").to_string();
    let fault = refused(integration(&nobody)).await;
    assert_eq!(fault.kind, Kind::Unreachable);
    assert!(fault.cause.as_str().contains("connection refused"), "{fault}");
    let fault = refused(integration("no-such-host.invalid:9092")).await;
    assert_eq!(fault.kind, Kind::Unreachable);
    assert!(fault.cause.as_str().contains("no-such-host.invalid cannot be resolved"), "{fault}");
    let mut both = integration(&nobody);
    both.endpoint.addresses.push(kafka.plain().to_owned());
    connect(both).await.unwrap_or_else(|fault| panic!("{fault}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forbidden_topic_is_in_no_list_and_told_from_a_missing_one() {
    let Some(kafka) = kafka::shared() else { return };
    let Some(address) = kafka.listener("SASL") else { return };
    let mut integration = integration(address);
    integration.auth = scram(ScramMechanism::Sha256, "alice", "alice-secret");
    let session = connect(integration).await.unwrap_or_else(|fault| panic!("{fault}"));
    let listed = session.inspect.channels().await.expect("a list");
    assert!(listed.iter().all(|channel| &*channel.name != "forbidden"));
    let fault = session.inspect.describe("forbidden").await.expect_err("forbidden");
    assert_eq!(fault.kind, Kind::Forbidden, "{fault}");
    assert!(fault.next.as_str().contains("missing from every list"), "{fault}");
    let fault = session.inspect.describe("no.such.topic").await.expect_err("missing");
    assert_eq!(fault.kind, Kind::NotFound, "{fault}");
    let fault = session.inspect.describe("no such topic").await.expect_err("no topic can have this name");
    assert!(fault.cause.as_str().contains("no topic can have this name"), "{fault}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_ends_is_renewed_on_the_same_connection() {
    let Some(kafka) = kafka::shared() else { return };
    let Some(address) = kafka.listener("OAUTH") else { return };
    // The broker ends the session with the token: whoever does not log in again is cut off.
    let file = tempfile::NamedTempFile::new().expect("a file");
    let fresh = |seconds| {
        let Auth::Token(TokenSource::Fixed(secret)) = token(seconds) else { unreachable!("made above") };
        std::fs::write(file.path(), secret.expose()).expect("written");
    };
    let began = Instant::now();
    fresh(10);
    let mut integration = integration(address);
    integration.auth = Auth::Token(TokenSource::File(file.path().to_owned()));
    let log = WireLog::default();
    let adapter = find("kafka").expect("this build speaks Kafka");
    let session = (adapter.connect)(integration, log.clone()).await.unwrap_or_else(|fault| panic!("{fault}"));
    fresh(600);
    let count = |what: &str| log.since(0).iter().filter(|line| line.request.as_str().starts_with(what)).count();
    // Beyond the end of the first token.
    while count("SaslAuthenticate") < 2 || began.elapsed() < Duration::from_secs(11) {
        session.inspect.ping().await.unwrap_or_else(|fault| panic!("{fault}"));
        assert!(began.elapsed() < SOON, "it does not log in again: {:#?}", log.since(0));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    session.inspect.ping().await.unwrap_or_else(|fault| panic!("{fault}"));
    assert_eq!((count("connect"), count("SaslAuthenticate")), (1, 2), "{:#?}", log.since(0));
}

/// The `leader` column of a description's partitions.
fn leaders(description: &Description) -> Vec<String> {
    let partitions = description.tables.iter().find(|table| table.title == "partitions").expect("a table of partitions");
    partitions.rows.iter().map(|row| row[1].as_str().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_killed_is_followed_to_the_next_and_back() {
    let Some(mut kafka) = kafka::own(&["--brokers", "3"]) else { return };
    let topic = topics::create(kafka.plain(), "link.failover", 6, 3, &[]).await;
    let session = connect(integration(kafka.plain())).await.unwrap_or_else(|fault| panic!("{fault}"));
    let described = session.inspect.describe(&topic).await.unwrap_or_else(|fault| panic!("{fault}"));
    assert!(leaders(&described).iter().any(|leader| leader == "1"), "broker 1 leads a part: {:?}", leaders(&described));

    kafka.kill(1);
    // Bootstrap and leader at once are gone; metadata comes from another broker, and new leaders are found within the election.
    let moved = within(SOON, async || {
        let described = session.inspect.describe(&topic).await.ok()?;
        let leaders = leaders(&described);
        let known = described.channel.ends.is_some();
        (known && leaders.iter().all(|leader| leader != "1" && leader != "none")).then_some(described)
    })
    .await;
    assert!(moved.channel.attributes.iter().any(|attribute| attribute.name.as_str() == "under-replicated"), "{moved:?}");
    let listed = session.inspect.channels().await.unwrap_or_else(|fault| panic!("{fault}"));
    assert!(listed.iter().any(|channel| *channel.name == *topic && channel.ends.is_some()));

    kafka.restart();
    within(2 * SOON, async || {
        let described = session.inspect.describe(&topic).await.ok()?;
        described.channel.attributes.iter().all(|attribute| attribute.name.as_str() != "under-replicated").then_some(())
    })
    .await;
    session.inspect.ping().await.unwrap_or_else(|fault| panic!("{fault}"));
}

/// Asks every 200 ms until there is an answer.
async fn within<T>(limit: Duration, ask: impl AsyncFn() -> Option<T>) -> T {
    let until = Instant::now() + limit;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < until, "not within {limit:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
