//! `mqdeck lag` on a real Kafka: what is not known is said so, and passes no assertion.

use crate::support::kafka::{self, Kafka};
use crate::support::program::Home;
use crate::support::subjects::{connect, outgoing};
use crate::support::{commits, topics, unique};
use mqdeck::config::profile::Integration;
use serde_json::{Value, json};
use std::process::Stdio;
use std::time::Duration;

/// What `mqdeck lag kafka/GROUP` prints, what it says, and its exit code.
fn lag(kafka: &Kafka, group: &str, options: &[&str]) -> (String, String, i32) {
    let (url, target) = (format!("kafka://{}", kafka.plain()), format!("kafka/{group}"));
    let arguments = [&["--url", &url, "lag", &target][..], options].concat();
    let done = Home::new().mqdeck(&arguments).stdin(Stdio::null()).output().expect("the program runs");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (text(done.stdout), text(done.stderr), done.status.code().expect("a code"))
}

/// The fields of each line of JSON.
fn fields(lines: &str, names: &[&str]) -> Vec<Vec<Value>> {
    let line = |line: &str| serde_json::from_str::<Value>(line).expect("JSON");
    lines.lines().map(line).map(|object| names.iter().map(|name| object[name].clone()).collect()).collect()
}

/// A topic with ten messages in each of its first two partitions.
async fn topic(kafka: &Kafka, name: &str) -> String {
    let topic = topics::create(kafka.plain(), name, 3, 1, &[]).await;
    let session = connect(Integration::new("events", "kafka", vec![kafka.plain().to_owned()])).await.expect("Kafka is there");
    let publish = session.publish.as_ref().expect("Kafka takes messages");
    for number in 0..20 {
        publish.publish(&topic, outgoing(number % 2, None, Some("x"))).await.expect("stored");
    }
    topic
}

const FIGURES: &[&str] =
    &["partition", "committed", "lag", "lag_at_least", "lag_at_most", "seconds", "verdict", "eta_seconds", "catches_up"];

#[tokio::test(flavor = "multi_thread")]
async fn a_group_with_a_partition_that_it_never_committed_passes_no_assertion() {
    let Some(kafka) = kafka::shared() else { return };
    let topic = topic(kafka, "nocommit").await;
    let group = unique("nocommit");
    let member = commits::join(kafka.plain(), &group, &topic, 3, Duration::from_secs(30));
    commits::commit_as(&member, &topic, &[(0, 10)]);
    let (lines, _, code) = lag(kafka, &group, &["--over", "0", "--json"]);
    let zero = |partition, committed| {
        [json!(partition), committed, json!(0), json!(0), json!(0), json!(0), json!("keeps_up"), json!(0), json!(true)]
    };
    let none = Value::Null;
    let unknown =
        [json!(1), none.clone(), none.clone(), none.clone(), none.clone(), none.clone(), json!("no_commits"), none.clone(), none.clone()];
    let rows: Vec<Vec<Value>> = vec![zero(0, json!(10)).to_vec(), unknown.to_vec(), zero(2, none).to_vec()];
    assert_eq!((fields(&lines, FIGURES), code), (rows, 0));
    for claim in ["lag < 1", "lag < 1000000", "seconds < 3600", "eta < 1h", "verdict == keeps_up", "verdict in (keeps_up, draining)"] {
        let (shown, why, code) = lag(kafka, &group, &["--over", "0", "--assert", claim]);
        assert_eq!(code, 5, "{claim}: {why}");
        assert!(shown.contains("≥ 0 behind, no commits: nothing was ever committed (partition 1 of "), "{shown}");
    }
    commits::commit_as(&member, &topic, &[(1, 10)]);
    let (shown, why, code) = lag(kafka, &group, &["--over", "0", "--assert", "lag < 1 and eta < 1s and verdict == keeps_up"]);
    assert_eq!(code, 0, "{shown}{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_beyond_the_end_passes_no_assertion() {
    let Some(kafka) = kafka::shared() else { return };
    let topic = topic(kafka, "beyond").await;
    let group = unique("beyond");
    commits::commit(kafka.plain(), &group, &topic, &[(0, 900), (1, 10)]);
    let (lines, _, _) = lag(kafka, &group, &["--over", "0", "--json"]);
    let none = || Value::Null;
    let beyond = vec![json!(0), json!(900), none(), none(), none(), none(), json!("unknown"), none(), none()];
    assert_eq!(fields(&lines, FIGURES)[0], beyond);
    for claim in ["lag < 1", "seconds < 3600", "eta < 1h", "verdict == keeps_up"] {
        let (shown, why, code) = lag(kafka, &group, &["--over", "0", "--assert", claim]);
        assert_eq!(code, 5, "{claim}: {why}");
        assert!(shown.contains("its position 900 is beyond the end 10: was the channel deleted and created again?"), "{shown}");
    }
}
