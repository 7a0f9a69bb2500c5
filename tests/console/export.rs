//! A channel is saved before it is destroyed: all of it, whatever system keeps it, and a few megabytes at a time.

use super::{SOON, console};
use crate::support::program::{Home, peak};
use crate::support::subjects::{connect, manage};
use crate::support::terminal::Terminal;
use crate::support::{kafka, nats, rabbitmq, redis, topics, unique};
use mqdeck::adapters::session::Session;
use mqdeck::config::profile::Integration;
use mqdeck::domain::message::Outgoing;
use std::io::{BufRead, BufReader};

/// What the console has at most for messages on their way, beside itself.
const BOUND: u64 = 96 * 1024 * 1024;
const MESSAGES: usize = 150;
const SIZE: usize = 900 * 1024;

/// Fills a channel with more than would fit.
async fn fill(session: &Session, channel: &str) {
    for n in 0..MESSAGES {
        let payload = format!("{n:03}{}", "x".repeat(SIZE)).into_bytes();
        let message = Outgoing { payload: Some(payload.into()), ..Outgoing::default() };
        session.publish.as_ref().expect("it takes messages").publish(channel, message).await.expect("stored");
    }
}

/// Opens the plan of an operation on a channel in the console.
fn plan(home: &Home, url: &str, channel: &str, operation: &str) -> Terminal {
    // What is tested here is not how fast a server answers that many tests keep busy.
    let url = format!("{url}{}timeout={}s", if url.contains('?') { '&' } else { '?' }, SOON.as_secs());
    let mut terminal = console(home, &["--url", &url], (140, 40));
    terminal.wait_for("● ", SOON);
    terminal.press("2");
    terminal.wait_for("Channels", SOON);
    terminal.press(&format!("/{channel}\r"));
    terminal.wait_for("shown 1 of", SOON);
    terminal.press("x");
    terminal.wait_for(operation, SOON);
    let menu = terminal.screen();
    let row = menu.lines().find(|line| line.contains(operation)).expect("its row");
    let number = row.split_whitespace().find(|word| word.parse::<u32>().is_ok()).expect("its number");
    terminal.press(number);
    terminal.wait_until("the plan or its form", SOON, |screen| screen.contains("the plan ──") || screen.contains("^S plan"));
    if !terminal.screen().contains("the plan ──") {
        terminal.press("\x13");
        terminal.wait_for("the plan ──", SOON);
    }
    terminal
}

/// Saves a channel from the plan to destroy it, and looks at the file.
fn is_saved_in_small_answers(url: &str, channel: &str, operation: &str) {
    let home = Home::new();
    let mut terminal = plan(&home, url, channel, operation);
    terminal.wait_for("export first", SOON);
    let before = peak(terminal.pid());
    terminal.press("\x05");
    terminal.wait_for("Export the whole channel first", SOON);
    let path = home.path().join("saved.jsonl");
    terminal.press(&format!("\x15{}\r", path.display()));
    terminal.wait_for(&format!("Exported {MESSAGES} messages"), SOON * 2);
    let grown = peak(terminal.pid()) - before;
    assert!(grown < BOUND, "{channel}: {} MB", grown >> 20);
    let lines = BufReader::new(std::fs::File::open(&path).expect("the file is there")).lines();
    let mut count = 0;
    for line in lines {
        let line: serde_json::Value = serde_json::from_str(&line.expect("a line")).expect("JSON");
        let value = line["value"].as_str().expect("a text");
        assert!(value.len() == SIZE + 3 && value.starts_with(&format!("{count:03}")), "{channel}: {} at {count}", &value[..3]);
        assert!(line["address"].as_str().is_some_and(|address| address.contains(channel)), "{}", line["address"]);
        count += 1;
    }
    assert_eq!(count, MESSAGES, "{channel}: as it was");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kafka_topic_is_saved_whole_before_it_is_deleted() {
    let Some(kafka) = kafka::shared() else { return };
    let topic = topics::create(kafka.plain(), &unique("saved"), 1, 1, &[]).await;
    let session = connect(Integration::new("events", "kafka", vec![kafka.plain().to_owned()])).await.expect("Kafka is there");
    fill(&session, &topic).await;
    is_saved_in_small_answers(&format!("kafka://{}", kafka.plain()), &topic, "Delete topic");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jetstream_is_saved_whole_before_it_is_deleted() {
    let Some(nats) = nats::shared() else { return };
    let session = connect(nats.integration()).await.expect("NATS is there");
    let stream = unique("SAVED").replace('.', "-");
    manage(&session, &format!("nats/stream:{stream}"), "stream.create", &[]).await;
    let channel = format!("stream:{stream}");
    fill(&session, &channel).await;
    is_saved_in_small_answers(&format!("nats://{}", nats.address().split(',').next().expect("an address")), &channel, "Delete stream");
    manage(&session, &format!("nats/stream:{stream}"), "stream.delete", &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_stream_is_saved_whole_before_its_key_is_deleted() {
    let Some((redis, session)) = redis::shared().await else { return };
    let stream = unique("saved");
    fill(&session, &format!("stream:{stream}")).await;
    is_saved_in_small_answers(&format!("redis://{}", redis.fact("ADDRESS")), &stream, "Delete key");
    manage(&session, &format!("cache/stream:{stream}"), "key.delete", &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rabbitmq_stream_is_saved_whole_before_it_is_deleted_and_of_a_queue_nothing_is_offered() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let session = rabbit.session().await;
    let amqp = rabbit.fact("AMQP").split(',').next().expect("an address");
    let url = format!("amqp://guest:guest@{amqp}/?management_url={}", rabbit.fact("MANAGEMENT"));
    // A queue is not read but taken from.
    let queue = rabbitmq::queue(&session, "unsaved", "classic").await;
    let home = Home::new();
    let mut terminal = plan(&home, &url, &queue, "Delete queue");
    assert!(!terminal.screen().contains("export first"), "{}", terminal.screen());
    terminal.press("\x05\x1b");
    terminal.wait_until("the plan's form", SOON, |screen| !screen.contains("the plan ──"));
    assert!(!terminal.screen().contains("Export"), "{}", terminal.screen());
    let stream = rabbitmq::queue(&session, "saved", "stream").await;
    fill(&session, &format!("stream:{stream}")).await;
    is_saved_in_small_answers(&url, &stream, "Delete queue");
    for name in [queue, stream] {
        manage(&session, &format!("rabbit/{name}"), "queue.delete", &[]).await;
    }
}
