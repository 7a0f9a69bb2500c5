//! Partitions whose only replica is down: nothing is sent to them, and that is said.

use crate::support::program::Home;
use crate::support::subjects::{connect, read};
use crate::support::{kafka, topics};
use mqdeck::config::profile::Integration;
use mqdeck::domain::position::{Bound, Range};
use std::process::Stdio;
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_without_a_leader_is_told_and_takes_nothing_and_the_others_go_on() {
    let Some(mut kafka) = kafka::own(&["--brokers", "3"]) else { return };
    // One replica each, spread over the brokers.
    let topic = topics::create(kafka.plain(), "leaderless", 3, 1, &[]).await;
    let home = Home::new();
    let text = format!(
        "integration \"events\" {{\n  type = \"kafka\"\n  timeout = \"3s\"\n  endpoint {{ addresses = [{}] }}\n}}\n",
        kafka.plain().split(',').map(|address| format!("\"{address}\"")).collect::<Vec<_>>().join(", ")
    );
    let profile = home.write("p.hcl", &text);
    let address = format!("events/{topic}");
    let publish = |options: &[&str]| {
        let arguments = [&["--profile", profile.to_str().expect("a path"), "publish", &address, "x"], options].concat();
        let done = home.mqdeck(&arguments).stdin(Stdio::null()).output().expect("it runs");
        (done.status.success(), String::from_utf8_lossy(&done.stderr).into_owned())
    };
    kafka.kill(3);
    // The controller takes some seconds to notice.
    let (began, mut stored) = (Instant::now(), 0);
    let why = 'noticed: loop {
        for partition in 0..3 {
            let (done, why) = publish(&["-o", &format!("partition={partition}")]);
            if why.contains("has no leader") {
                break 'noticed why;
            }
            stored += usize::from(done);
        }
        assert!(began.elapsed() < Duration::from_secs(90), "a partition without a leader is not told");
    };
    assert!(why.contains("has no leader: its replicas are on broker 3; nothing was sent"), "{why}");
    // Without a key a message goes where it can be stored.
    for _ in 0..3 {
        let (done, why) = publish(&[]);
        assert!(done, "{why}");
        stored += 1;
    }
    // What is there is found, and the report does not say that it is everything.
    let find = || {
        let done =
            home.mqdeck(&["--profile", profile.to_str().expect("a path"), "find", &address, "", "--json"]).output().expect("it runs");
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        let report = said.lines().rev().find_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        (done.status.code(), report.unwrap_or_else(|| panic!("no report: {said}")), said)
    };
    let (code, report, said) = find();
    assert_eq!(report["complete"], false, "{said}");
    assert!(report["faults"].as_u64() == Some(1) && code == Some(1), "{code:?} {said}");
    assert!(said.contains("partition"), "which one is named: {said}");
    kafka.restart();
    let addresses = kafka.plain().split(',').map(str::to_owned).collect();
    let session = connect(Integration::new("events", "kafka", addresses)).await.expect("Kafka is there");
    let all = read(&session, &topic, Range { start: Bound::Earliest, end: Bound::Latest }).await.expect("read");
    assert_eq!(all.len(), stored, "nothing of what was refused");
    let (code, report, said) = find();
    assert_eq!((&report["complete"], report["matched"].as_u64(), code), (&true.into(), Some(stored as u64), Some(0)), "{said}");
}
