//! Exactly once, under kill -9, the loss of brokers, and programs that fence each other off. An independent client counts.

use crate::support::processor::{Order, Program, be_one};
use crate::support::subjects::{connect, outgoing};
use crate::support::{SOON, clients, kafka, topics, unique};
use mqdeck::config::profile::Integration;
use rustix::process::Signal;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

/// Not a test: what the tests below start and kill.
#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_processes() {
    be_one().await;
}

async fn fill(bootstrap: &str, topic: &str, partitions: i32, numbers: std::ops::Range<i32>) {
    let addresses = bootstrap.split(',').map(str::to_owned).collect();
    let session = connect(Integration::new("events", "kafka", addresses)).await.expect("Kafka is there");
    let publish = session.publish.expect("Kafka takes messages");
    let sent = numbers.map(|n| publish.publish(topic, outgoing(n % partitions, Some("key"), Some(&n.to_string()))));
    for receipt in futures::future::join_all(sent).await {
        receipt.expect("stored");
    }
}

/// How often each message is in the topic, for a `read_committed` client of another language; `None` if there is none here.
fn counted(bootstrap: &str, topic: &str) -> Option<BTreeMap<String, u32>> {
    let said = clients::run(clients::script("kafka/count.py", &[bootstrap, topic])?);
    Some(serde_json::from_slice(&said).expect("one line of JSON"))
}

/// Counts until all are there, or no more can be expected.
fn all_of(bootstrap: &str, topic: &str, count: i32) -> Option<BTreeMap<String, u32>> {
    let until = Instant::now() + 3 * SOON;
    loop {
        let found = counted(bootstrap, topic)?;
        if i32::try_from(found.len()).is_ok_and(|found| found >= count) || Instant::now() > until {
            return Some(found);
        }
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// Every number below `count` once, and nothing else.
fn assert_exactly_once(found: &BTreeMap<String, u32>, count: i32) {
    let expected: BTreeMap<String, u32> = (0..count).map(|n| (n.to_string(), 1)).collect();
    let missing: Vec<&String> = expected.keys().filter(|n| !found.contains_key(*n)).collect();
    let wrong: Vec<_> = found.iter().filter(|(n, times)| expected.get(*n) != Some(times)).collect();
    assert!(missing.is_empty() && wrong.is_empty(), "missing: {missing:?}; more than once or foreign: {wrong:?}");
}

/// How many transactions were committed and aborted in a partition, by the control batches of its log: message format 2 of Kafka's
/// protocol documentation, "Control Batches".
fn markers(segment: &Path) -> (usize, usize) {
    let log = std::fs::read(segment).expect("the segment");
    let int = |at: usize, len: usize| log[at..at + len].iter().fold(0_usize, |n, byte| n << 8 | usize::from(*byte));
    let (mut at, mut committed, mut aborted) = (0, 0, 0);
    while at + 61 <= log.len() {
        let (length, control) = (12 + int(at + 8, 4), int(at + 21, 2) & 0x20 != 0);
        if control && at + length <= log.len() {
            // One record: its length, attributes, two deltas and the length of its key are a byte each; then version and type.
            match int(at + 61 + 5 + 2, 2) {
                0 => aborted += 1,
                1 => committed += 1,
                other => panic!("control type {other} at byte {at}"),
            }
        }
        at += length;
    }
    (committed, aborted)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_killed_again_and_again_consumes_and_publishes_each_message_once() {
    const MESSAGES: i32 = 3_000;
    let Some(kafka) = kafka::shared().filter(|kafka| kafka.is_our_own()) else { return };
    let input = topics::create(kafka.plain(), "killed.in", 2, 1, &[]).await;
    let output = topics::create(kafka.plain(), "killed.out", 1, 1, &[]).await;
    fill(kafka.plain(), &input, 2, 0..MESSAGES).await;
    let seed = seed("MQDECK_TEST_SEED");
    let mut random = fastrand::Rng::with_seed(seed);
    let order = Order {
        bootstrap: kafka.plain().to_owned(),
        group: unique("group"),
        name: unique("name"),
        most: 40,
        think: Duration::from_millis(2),
        transaction_timeout: SOON,
        session_timeout: SOON,
        input,
        output: output.clone(),
    };
    let (segment, began) = (kafka.segment(1, &output, 0), Instant::now());
    // Killed in the middle of transactions, until enough of them were aborted; then one may finish.
    let (mut kills, mut aborted) = (0, 0);
    while aborted < 22 {
        let program = Program::start(&order);
        program.says("progress", SOON);
        std::thread::sleep(Duration::from_millis(random.u64(10..250)));
        program.signal(Signal::KILL);
        drop(program);
        kills += 1;
        aborted = markers(&segment).1;
        assert!(kills < 80, "{aborted} aborted transactions after {kills} kills");
    }
    let program = Program::start(&Order { think: Duration::ZERO, ..order });
    let Some(found) = all_of(kafka.plain(), &output, MESSAGES) else { return };
    drop(program);
    assert_exactly_once(&found, MESSAGES);
    let (committed, aborted) = markers(&segment);
    println!("seed {seed}: {kills} kills, {aborted} transactions aborted, {committed} committed, {:?}", began.elapsed());
    assert!(aborted >= 20, "{aborted} aborted transactions prove nothing");
}

/// The seed of this run: another each time, unless the environment says one.
fn seed(variable: &str) -> u64 {
    std::env::var(variable).map_or_else(|_| fastrand::u64(..), |text| text.parse().expect("a number"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_was_taken_for_dead_is_fenced_off_when_it_wakes_and_its_successor_loses_nothing() {
    const MESSAGES: i32 = 400;
    let Some(kafka) = kafka::shared() else { return };
    let input = topics::create(kafka.plain(), "zombie.in", 2, 1, &[]).await;
    let output = topics::create(kafka.plain(), "zombie.out", 1, 1, &[]).await;
    fill(kafka.plain(), &input, 2, 0..MESSAGES).await;
    let order = Order {
        bootstrap: kafka.plain().to_owned(),
        group: unique("group"),
        name: unique("first"),
        most: 20,
        think: Duration::from_millis(20),
        // The broker does not end the open transaction: only the generation of the group stands between it and its commit.
        transaction_timeout: SOON,
        // As short as the broker allows.
        session_timeout: Duration::from_secs(6),
        input,
        output: output.clone(),
    };
    let first = Program::start(&order);
    let (before, ..) = first.progress(SOON);
    // In the middle of the next transaction, which takes 20 times as long as a message.
    first.says("works", SOON);
    first.signal(Signal::STOP);
    // Whatever the first has committed, it is not more than one transaction more than it has said.
    let left = MESSAGES as u64 - before - 20;
    let second = Program::start(&Order { name: unique("second"), think: Duration::ZERO, ..order });
    second.consumes(left, SOON);
    first.signal(Signal::CONT);
    let (_, aborts, trouble) = first.progress(SOON);
    assert!(aborts == 1 && trouble.contains("to others meanwhile"), "{aborts} aborts: {trouble}");
    let Some(found) = all_of(kafka.plain(), &output, MESSAGES) else { return };
    assert_exactly_once(&found, MESSAGES);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_programs_under_one_name_the_older_one_ends_and_says_why() {
    const MESSAGES: i32 = 300;
    let Some(kafka) = kafka::shared() else { return };
    let input = topics::create(kafka.plain(), "names.in", 2, 1, &[]).await;
    let output = topics::create(kafka.plain(), "names.out", 1, 1, &[]).await;
    fill(kafka.plain(), &input, 2, 0..MESSAGES).await;
    let order = Order {
        bootstrap: kafka.plain().to_owned(),
        group: unique("group"),
        name: unique("name"),
        most: 20,
        think: Duration::from_millis(20),
        transaction_timeout: SOON,
        session_timeout: SOON,
        input,
        output: output.clone(),
    };
    let first = Program::start(&order);
    first.progress(SOON);
    let second = Program::start(&Order { think: Duration::ZERO, ..order.clone() });
    let over = first.says("over ", SOON);
    assert!(over.contains(&order.name) && over.contains("fenced: another"), "{over}");
    let Some(found) = all_of(kafka.plain(), &output, MESSAGES) else { return };
    drop(second);
    assert_exactly_once(&found, MESSAGES);
}

/// Waits until every replica of these topics is in sync.
async fn in_sync(bootstrap: &str, topics: &[&str]) {
    let addresses = bootstrap.split(',').map(str::to_owned).collect();
    let session = connect(Integration::new("events", "kafka", addresses)).await.expect("Kafka is there");
    let began = Instant::now();
    for topic in topics {
        loop {
            let described = session.inspect.describe(topic).await.map(|described| described.tables);
            let all = described.is_ok_and(|tables| {
                let partitions = &tables[0];
                let column = |name: &str| partitions.columns.iter().position(|column| *column == name).expect("the column");
                let (replicas, in_sync) = (column("replicas"), column("in sync"));
                let count = |text: &str| text.split_whitespace().count();
                partitions.rows.iter().all(|row| count(row[replicas].as_str()) == count(row[in_sync].as_str()))
            });
            if all {
                break;
            }
            assert!(began.elapsed() < 3 * SOON, "{topic}: not every replica has caught up");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn brokers_that_die_one_by_one_neither_lose_nor_double_what_is_processed() {
    /// For each broker. They take the program some seconds, so that it is at work when the broker dies.
    const ROUND: i32 = 500;
    /// The group's coordinator and the transaction's move, and an undecided transaction may have to time out (SOON).
    const FAILOVER: Duration = SOON.saturating_mul(4);
    let Some(mut kafka) = kafka::own(&["--brokers", "3"]) else { return };
    let safe = [("min.insync.replicas", "2")];
    let input = topics::create(kafka.plain(), "cluster.in", 3, 3, &safe).await;
    let output = topics::create(kafka.plain(), "cluster.out", 3, 3, &safe).await;
    let input_name = input.clone();
    let order = Order {
        bootstrap: kafka.plain().to_owned(),
        group: unique("group"),
        name: unique("name"),
        most: 10,
        think: Duration::from_millis(5),
        transaction_timeout: SOON,
        session_timeout: SOON,
        input,
        output: output.clone(),
    };
    let program = Program::start(&order);
    let mut filled = 0;
    for node in [1, 2, 3] {
        fill(kafka.plain(), &input_name, 3, filled..filled + ROUND).await;
        program.consumes(filled as u64 + 1, FAILOVER);
        kafka.kill(node);
        filled += ROUND;
        // With two of three it goes on.
        program.consumes(filled as u64, FAILOVER);
        kafka.restart();
        // The next one may hold the only complete copy until the others have caught up.
        in_sync(kafka.plain(), &[&input_name, &output, "__consumer_offsets", "__transaction_state"]).await;
    }
    let Some(found) = all_of(kafka.plain(), &output, filled) else { return };
    drop(program);
    assert_exactly_once(&found, filled);
}
