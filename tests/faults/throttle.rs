//! A client that may read no faster than its quota, and a large topic over an encrypted and authenticated line.

use crate::support::subjects::{connect, outgoing, places, read};
use crate::support::{kafka, topics};
use mqdeck::adapters::find;
use mqdeck::adapters::session::Session;
use mqdeck::adapters::wirelog::WireLog;
use mqdeck::config::profile::{Auth, Integration, ScramMechanism, Tls, TlsVersion};
use mqdeck::config::secret::Secret;
use mqdeck::domain::position::{Bound, Range};
use std::time::Duration;

const WHOLE: Range = Range { start: Bound::Earliest, end: Bound::Latest };

fn user(address: &str, name: &str) -> Integration {
    let (username, password) = (name.to_owned(), Secret::new(format!("{name}-secret")));
    let auth = Auth::Scram { mechanism: ScramMechanism::Sha512, username, password };
    Integration { auth, ..Integration::new("events", "kafka", vec![address.to_owned()]) }
}

/// Publishes that many messages of 100 kB that do not compress away, in turn to all partitions.
async fn fill(session: &Session, topic: &str, count: usize, partitions: i32) {
    let publish = session.publish.as_ref().expect("Kafka takes messages");
    let payload = |n: usize| format!("{n:010}").repeat(10_000);
    for chunk in (0..count).collect::<Vec<_>>().chunks(50) {
        let partition = |n: usize| i32::try_from(n).expect("few messages") % partitions;
        let sent = chunk.iter().map(|n| publish.publish(topic, outgoing(partition(*n), None, Some(&payload(*n)))));
        futures::future::try_join_all(sent).await.expect("stored");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_throttled_reader_is_silent_as_long_as_the_broker_asks_and_misses_nothing() {
    const MESSAGES: usize = 160;
    let Some(kafka) = kafka::shared() else { return };
    let Some(address) = kafka.listener("SASL") else { return };
    let topic = topics::create(kafka.plain(), "quota", 1, 1, &[]).await;
    let admin = connect(Integration::new("events", "kafka", vec![kafka.plain().to_owned()])).await.expect("Kafka is there");
    fill(&admin, &topic, MESSAGES, 1).await;

    let log = WireLog::default();
    let adapter = find("kafka").expect("this build speaks Kafka");
    let dave = (adapter.connect)(user(address, "dave"), log.clone()).await.expect("dave");
    let found = read(&dave, &topic, WHOLE).await.expect("dave may read, slowly");
    assert_eq!(places(&found)[&0], (0..i64::try_from(MESSAGES).expect("few")).collect::<Vec<_>>());

    let lines = log.since(0);
    let fetches: Vec<_> = lines.iter().filter(|line| line.request.as_str().starts_with("Fetch ")).collect();
    let throttled = |outcome: &str| outcome.split_once("throttled ").and_then(|(_, ms)| ms.strip_suffix(" ms")?.parse::<u64>().ok());
    let waits: Vec<_> = fetches.windows(2).filter_map(|pair| Some((throttled(pair[0].outcome.as_str())?, pair[1].took))).collect();
    assert!(!waits.is_empty(), "16 MB at 1 MB/s were not throttled: {fetches:#?}");
    for (throttle, took) in waits {
        // A request sent into the silence is answered at its end; one that waited itself is answered at once.
        assert!(throttle < 300 || took < Duration::from_millis(throttle), "asked while throttled for {throttle} ms: {fetches:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_topic_comes_whole_over_tls_with_a_log_in() {
    const MESSAGES: usize = 600;
    let Some(kafka) = kafka::shared() else { return };
    let Some(address) = kafka.listener("SASLTLS") else { return };
    let topic = topics::create(kafka.plain(), "encrypted", 6, 1, &[]).await;
    let tls = Tls { verify_server: true, ca_cert: Some(kafka.file("CA")), client: None, server_name: None, min_version: TlsVersion::V1_2 };
    let mut integration = user(address, "alice");
    integration.endpoint.tls = Some(tls);
    let alice = connect(integration).await.expect("alice");
    fill(&alice, &topic, MESSAGES, 6).await;

    let found = read(&alice, &topic, WHOLE).await.expect("history");
    let mut numbers: Vec<usize> = found
        .iter()
        .map(|message| {
            let payload = std::str::from_utf8(message.payload.as_ref().expect("a payload")).expect("text");
            assert!(payload.len() == 100_000 && payload.as_bytes().chunks(10).all(|part| part == &payload.as_bytes()[..10]));
            payload[..10].parse().expect("its number")
        })
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..MESSAGES).collect::<Vec<_>>());
}
