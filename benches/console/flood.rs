//! The flood: a process of its own that publishes at a rate, and says at its end how many messages are stored.

use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const PAYLOAD: &str = r#"{"id":"o-00000000","customer":"c-8841","total":129.90,"currency":"EUR","items":[{"sku":"a-1","n":2},{"sku":"b-7","n":1}],"note":"a message of about two hundred bytes, as the others have them"}"#;

/// Counts what the broker has confirmed.
#[derive(Clone, Default)]
struct Confirmed(Arc<AtomicU64>);

impl ClientContext for Confirmed {}

impl ProducerContext for Confirmed {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        self.0.fetch_add(u64::from(result.is_ok()), Ordering::Relaxed);
    }
}

/// Publishes `rate` messages a second for so many seconds.
pub(crate) fn run(bootstrap: &str, topic: &str, rate: u64, seconds: u64) {
    let confirmed = Confirmed::default();
    let producer: ThreadedProducer<Confirmed> = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("linger.ms", "5")
        .set("batch.num.messages", "10000")
        .set("queue.buffering.max.messages", "500000")
        .create_with_context(confirmed.clone())
        .expect("a producer");
    let began = Instant::now();
    let mut sent = 0;
    while began.elapsed() < Duration::from_secs(seconds) {
        let due = (began.elapsed().as_secs_f64() * rate as f64) as u64;
        while sent < due {
            let record = BaseRecord::<str, str>::to(topic).payload(PAYLOAD).partition((sent % 6) as i32);
            match producer.send(record) {
                Ok(()) => sent += 1,
                Err(_) => std::thread::sleep(Duration::from_millis(1)),
            }
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    producer.flush(Duration::from_secs(30)).expect("everything is confirmed");
    let stored = confirmed.0.load(Ordering::Relaxed);
    println!("{stored} messages in {:.1} s, {:.0} a second", began.elapsed().as_secs_f64(), stored as f64 / began.elapsed().as_secs_f64());
}
