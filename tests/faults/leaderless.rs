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
    kafka.restart();
    let addresses = kafka.plain().split(',').map(str::to_owned).collect();
    let session = connect(Integration::new("events", "kafka", addresses)).await.expect("Kafka is there");
    let all = read(&session, &topic, Range { start: Bound::Earliest, end: Bound::Latest }).await.expect("read");
    assert_eq!(all.len(), stored, "nothing of what was refused");
}
