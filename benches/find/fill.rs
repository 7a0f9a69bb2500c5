//! Topics to search: JSON messages of about 200 bytes, published by librdkafka with one codec or another.

use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Stands in one message of so many.
pub(crate) const NEEDLE: &str = "Needle-7f3a";
pub(crate) const NEEDLE_EVERY: u64 = 100_000;
/// `order.total` is below this, evenly spread.
pub(crate) const TOTALS: u64 = 100_000;
/// The totals above this are those of about one message in a hundred thousand.
pub(crate) const RARE_TOTAL: u64 = 99_998;

/// What a topic holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) messages: u64,
    /// Of keys and payloads.
    pub(crate) bytes: u64,
    pub(crate) needles: u64,
    pub(crate) rare_totals: u64,
    /// Users 0 to 99.
    pub(crate) first_users: u64,
}

#[derive(Clone, Default)]
struct Confirmed(Arc<AtomicU64>);

impl ClientContext for Confirmed {}

impl ProducerContext for Confirmed {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        self.0.fetch_add(u64::from(result.is_ok()), Ordering::Relaxed);
    }
}

/// Publishes so many messages to a topic of `partitions` partitions.
pub(crate) fn fill(bootstrap: &str, topic: &str, codec: &str, messages: u64, partitions: u64) -> Facts {
    let confirmed = Confirmed::default();
    let producer: ThreadedProducer<Confirmed> = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("compression.codec", codec)
        .set("linger.ms", "50")
        .set("batch.num.messages", "10000")
        .set("queue.buffering.max.messages", "200000")
        .create_with_context(confirmed.clone())
        .expect("a producer");
    let mut facts = Facts::default();
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    for n in 0..messages {
        // xorshift64: the same topic each time.
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        let (total, user) = (seed % TOTALS, (seed >> 20) % 1_000_000);
        let needle = n % NEEDLE_EVERY == 7;
        let status = if needle { NEEDLE } else { "done" };
        let (key, payload) = (format!("o-{n:08}"), payload(n, seed, total, user, status));
        facts.messages += 1;
        facts.bytes += (key.len() + payload.len()) as u64;
        facts.needles += u64::from(needle);
        facts.rare_totals += u64::from(total > RARE_TOTAL);
        facts.first_users += u64::from(user < 100);
        let mut record = BaseRecord::to(topic).key(&key).payload(&payload).partition((n % partitions) as i32);
        while let Err((error, back)) = producer.send(record) {
            assert!(matches!(error, KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull)), "{error}");
            record = back;
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    producer.flush(Duration::from_secs(120)).expect("everything is confirmed");
    assert_eq!(confirmed.0.load(Ordering::Relaxed), messages);
    facts
}

fn payload(n: u64, seed: u64, total: u64, user: u64, status: &str) -> String {
    format!(
        r#"{{"id":{n},"user":"user-{user:06}","order":{{"total":{total},"currency":"EUR","items":[{{"sku":"a-{}","n":{}}}]}},"status":"{status}","trace":"{seed:016x}{:016x}","note":"left at the door of the neighbour"}}"#,
        seed % 9_973,
        seed % 7 + 1,
        seed.wrapping_mul(0x9e37_79b9_7f4a_7c15),
    )
}
