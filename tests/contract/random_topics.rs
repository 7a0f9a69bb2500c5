//! Random topics, written by another client: history and tail give exactly the records that the other client reads.
//!
//! The seed is printed; `MQDECK_TEST_SEED=N` writes the same topics again, `MQDECK_TEST_TOPICS=N` more of them.

use crate::contract::history::WHOLE;
use crate::support::kafka::{self, Kafka};
use crate::support::subjects::{Listener, connect, outgoing, place, read};
use crate::support::{SOON, clients, topics};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mqdeck::adapters::session::Session;
use mqdeck::config::profile::Integration;
use mqdeck::domain::message::{Message, Stamp};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

const CODECS: [&str; 6] = ["producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"];

/// A number of the environment.
fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect("a number"))
}

/// A message as the other client's script prints it.
fn printed(message: &Message) -> Value {
    let encoded = |data: Option<&bytes::Bytes>| data.map(|data| STANDARD.encode(data));
    let headers: Vec<Value> =
        message.headers.iter().map(|h| json!([String::from_utf8_lossy(&h.name), encoded(h.value.as_ref())])).collect();
    json!({
        "topic": &*message.channel,
        "offset": place(message).1,
        "timestamp": message.timestamp.map_or(-1, |time| time.0),
        "stored": message.stamp == Stamp::Stored,
        "key": encoded(message.key.as_ref()),
        "value": encoded(message.payload.as_ref()),
        "headers": headers,
    })
}

/// What the other client reads, by topic; `None` if it is not here.
fn others(bootstrap: &str, names: &[Arc<str>]) -> Option<BTreeMap<String, Vec<Value>>> {
    let mut arguments = vec!["read", bootstrap, "0"];
    arguments.extend(names.iter().map(|name| &**name));
    let said = clients::run(clients::script("kafka/random_records.py", &arguments)?);
    let mut found: BTreeMap<String, Vec<Value>> = names.iter().map(|name| (name.to_string(), Vec::new())).collect();
    for line in String::from_utf8(said).expect("text").lines() {
        let record: Value = serde_json::from_str(line).expect("a line of JSON");
        found.get_mut(record["topic"].as_str().expect("a name")).expect("a topic asked for").push(record);
    }
    Some(found)
}

async fn assert_history(session: &Session, expected: &BTreeMap<String, Vec<Value>>, when: &str) {
    for (topic, records) in expected {
        let found: Vec<Value> = read(session, topic, WHOLE).await.expect("history").iter().map(printed).collect();
        assert_same(&found, records, topic, when);
    }
}

fn assert_same(found: &[Value], expected: &[Value], topic: &str, when: &str) {
    let first = found.iter().zip(expected).position(|(found, expected)| found != expected);
    let at = first.unwrap_or(found.len().min(expected.len()));
    assert!(
        found == expected,
        "{topic}, {when}: {} records instead of {}; the first difference is record {at}: {:?} instead of {:?}",
        found.len(),
        expected.len(),
        found.get(at),
        expected.get(at)
    );
}

/// Topics of every codec, every other one compacted.
async fn made(kafka: &Kafka, random: &mut fastrand::Rng) -> Vec<Arc<str>> {
    let mut names = Vec::new();
    for n in 0..number("MQDECK_TEST_TOPICS").unwrap_or(6) {
        let compacted = n % 2 == 0;
        let mut configs = vec![
            ("compression.type", *random.choice(&CODECS).expect("one")),
            ("message.timestamp.type", *random.choice(["CreateTime", "CreateTime", "LogAppendTime"].iter()).expect("one")),
        ];
        if compacted {
            configs.extend([
                ("cleanup.policy", "compact"),
                ("segment.ms", "1"),
                ("min.cleanable.dirty.ratio", "0.0"),
                ("max.compaction.lag.ms", "1"),
                ("delete.retention.ms", "0"),
            ]);
        }
        let name = if compacted { "compacted" } else { "random" };
        names.push(topics::create(kafka.plain(), name, 1, 1, &configs).await.into());
    }
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn random_topics_hold_for_us_what_they_hold_for_another_client() {
    let Some(kafka) = kafka::shared() else { return };
    let seed = number("MQDECK_TEST_SEED").unwrap_or_else(|| fastrand::u64(..));
    println!("random topics of MQDECK_TEST_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let names = made(kafka, &mut random).await;
    let session = connect(Integration::new("events", "kafka", vec![kafka.plain().to_owned()])).await.expect("Kafka is there");
    let mut tail = Listener::start(&session, &names).await;

    let seeded = seed.to_string();
    let mut arguments = vec!["write", kafka.plain(), &seeded];
    arguments.extend(names.iter().map(|name| &**name));
    let Some(writer) = clients::script("kafka/random_records.py", &arguments) else { return };
    tokio::task::spawn_blocking(|| clients::run(writer)).await.expect("written");

    // The tail has seen everything in time that compaction has taken away since: what is left of it is the same.
    let expected = others(kafka.plain(), &names).expect("the client is here");
    let last: BTreeMap<&str, i64> =
        expected.iter().filter_map(|(topic, records)| Some((topic.as_str(), records.last()?["offset"].as_i64()?))).collect();
    let complete =
        |tail: &Listener| last.iter().all(|(topic, end)| tail.messages.iter().any(|m| &*m.channel == *topic && place(m).1 == *end));
    tail.until("the last record of each topic", SOON, complete).await;
    for (topic, records) in &expected {
        let left = |m: &&Message| records.iter().any(|record| record["offset"].as_i64() == Some(place(m).1));
        let of_topic: Vec<&Message> = tail.messages.iter().filter(|m| *m.channel == **topic).collect();
        let found: Vec<Value> = of_topic.iter().copied().filter(left).map(printed).collect();
        assert_same(&found, records, topic, "tail");
        if !topic.starts_with("compacted") {
            assert_eq!(of_topic.len(), records.len(), "{topic}: the tail gave what nobody else sees");
        }
    }

    // Compaction, and deletion from the front.
    let publish = session.publish.as_ref().expect("Kafka takes messages");
    for topic in &names {
        if topic.starts_with("compacted") {
            // It closes the segment before it: only closed ones are compacted.
            publish.publish(topic, outgoing(0, Some("last"), Some("last"))).await.expect("stored");
        } else {
            topics::delete_before(kafka.plain(), topic, 0, random.i64(0..=last[&**topic])).await;
        }
    }
    let began = Instant::now();
    while !every_key_is_there_once(&session, &names).await {
        assert!(began.elapsed() < 2 * SOON, "the broker does not compact: this proves nothing");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    // What is compacted between two readings differs: read until both saw the same.
    let mut tries = 0;
    loop {
        let before = others(kafka.plain(), &names).expect("the client is here");
        let ours = everything(&session, &names).await;
        if ours == before {
            break;
        }
        tries += 1;
        if tries == 5 {
            assert_history(&session, &others(kafka.plain(), &names).expect("the client is here"), "after compaction and deletion").await;
            break;
        }
    }
}

/// Whether compaction is done with the compacted topics.
async fn every_key_is_there_once(session: &Session, names: &[Arc<str>]) -> bool {
    for topic in names.iter().filter(|name| name.starts_with("compacted")) {
        let found = read(session, topic, WHOLE).await.expect("history");
        let keys: BTreeSet<_> = found.iter().map(|message| message.key.clone()).collect();
        if keys.len() < found.len() {
            return false;
        }
    }
    true
}

async fn everything(session: &Session, names: &[Arc<str>]) -> BTreeMap<String, Vec<Value>> {
    let mut all = BTreeMap::new();
    for name in names {
        all.insert(name.to_string(), read(session, name, WHOLE).await.expect("history").iter().map(printed).collect());
    }
    all
}
