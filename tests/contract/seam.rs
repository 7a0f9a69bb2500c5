//! `mqdeck tail --from` while somebody else writes: where history ends and the live tail goes on, every message is shown once, and none is
//! missing.

use super::redis;
use crate::support::program::{Home, lines};
use crate::support::subjects::{connect, manage};
use crate::support::{SOON, kafka, nats, rabbitmq, topics, unique};
use futures::future::join_all;
use mqdeck::adapters::session::Session;
use mqdeck::config::profile::Integration;
use mqdeck::domain::message::Outgoing;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Messages on their way at a time.
const TOGETHER: u64 = 10;
/// What stands there before the tail begins, and what is to come behind the seam.
const SOME: u64 = 300;

/// Writes numbers until it is told to stop.
struct Writer {
    written: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<()>,
}

impl Writer {
    /// Returns when some are there.
    async fn start(session: &Session, channel: &str) -> Self {
        let (written, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (publish, channel) = (session.publish.clone().expect("it takes messages"), channel.to_owned());
        let (count, stopped) = (written.clone(), stop.clone());
        let task = tokio::spawn(async move {
            while !stopped.load(Ordering::Relaxed) {
                let first = count.load(Ordering::Relaxed);
                let one = |n: u64| publish.publish(&channel, Outgoing { payload: Some(n.to_string().into()), ..Outgoing::default() });
                for receipt in join_all((first..first + TOGETHER).map(one)).await {
                    receipt.unwrap_or_else(|fault| panic!("{fault}"));
                }
                count.store(first + TOGETHER, Ordering::Relaxed);
            }
        });
        let writer = Self { written, stop, task };
        while writer.written() < SOME {
            assert!(!writer.task.is_finished(), "it writes");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        writer
    }

    fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Stops it; how many it has written.
    async fn end(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.expect("it wrote");
        self.written.load(Ordering::Relaxed)
    }
}

/// The program, ended with the test.
struct Tail(Child);

impl Drop for Tail {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Tails an address from its beginning on while its channel is written to.
async fn each_is_shown_once(url: &str, address: &str, session: &Session, channel: &str) {
    let home = Home::new();
    let writer = Writer::start(session, channel).await;
    let mut command = home.mqdeck(&["--url", url, "tail", address, "--from", "earliest", "--json"]);
    let mut tail = Tail(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program runs"));
    let printed = lines(tail.0.stdout.take().expect("its output"));
    let said = lines(tail.0.stderr.take().expect("its errors"));
    let mut seen = Vec::new();
    let number = |seen: &mut Vec<u64>| {
        let line = printed.recv_timeout(SOON);
        let line =
            line.unwrap_or_else(|_| panic!("{address}: {} came, and no more: {:?}", seen.len(), said.try_iter().collect::<Vec<_>>()));
        let line: serde_json::Value = serde_json::from_str(&line).expect("a line of JSON");
        seen.push(line["value"].to_string().trim_matches('"').parse().expect("a number"));
    };
    number(&mut seen);
    // History ends at a place that is there by now.
    let live = writer.written() + SOME;
    while seen.last().is_some_and(|last| *last < live) {
        number(&mut seen);
    }
    let count = writer.end().await;
    let whole: Vec<u64> = (0..count).collect();
    loop {
        let mut sorted = seen.clone();
        sorted.sort_unstable();
        let twice: Vec<u64> = sorted.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect();
        assert_eq!(twice, Vec::<u64>::new(), "{address}: shown twice");
        if sorted == whole {
            return;
        }
        // Those that are missing may still be on their way.
        for _ in 0..(whole.len() - sorted.len()) {
            number(&mut seen);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_redis_stream() {
    let Some((server, session)) = redis::shared().await else { return };
    let url = format!("redis://{}", server.addresses()[0]);
    for round in 0..4 {
        let stream = unique("seam");
        // A bare name means the same stream.
        let kind = ["stream:", ""][round % 2];
        each_is_shown_once(&url, &format!("redis/{kind}{stream}"), &session, &format!("stream:{stream}")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_jetstream_stream() {
    let Some(nats) = nats::shared() else { return };
    let session = connect(nats.integration()).await.expect("NATS is there");
    for retention in ["limits", "workqueue"] {
        let stream = unique("seam").replace('.', "-");
        manage(&session, &format!("nats/stream:{stream}"), "stream.create", &[("retention", retention)]).await;
        let address = format!("nats/stream:{stream}");
        each_is_shown_once(&format!("nats://{}", nats.address()), &address, &session, &format!("stream:{stream}")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_rabbitmq_stream() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let session = rabbit.session().await;
    let management = rabbit.fact("MANAGEMENT").replace(':', "%3A").replace('/', "%2F");
    let url = format!("amqp://guest:guest@{}/?management_url={management}", rabbit.fact("AMQP"));
    for kind in ["stream:", ""] {
        let stream = rabbitmq::queue(&session, "seam", "stream").await;
        each_is_shown_once(&url, &format!("rabbitmq/{kind}{stream}"), &session, &format!("stream:{stream}")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_kafka_topic() {
    let Some(kafka) = kafka::shared() else { return };
    let session = connect(Integration::new("events", "kafka", vec![kafka.plain().to_owned()])).await.expect("Kafka is there");
    for partitions in [1, 5] {
        let topic = topics::create(kafka.plain(), "seam", partitions, 1, &[]).await;
        each_is_shown_once(&format!("kafka://{}", kafka.plain()), &format!("kafka/{topic}"), &session, &topic).await;
    }
}
