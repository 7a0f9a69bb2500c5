//! `Feed`: writes to the embedded cluster without waiting for each message.

use super::{context, fault};
use crate::adapters::kafka::context::Context;
use crate::adapters::kafka::record;
use crate::domain::fault::{Fault, Kind};
use crate::domain::message::Outgoing;
use rdkafka::ClientConfig;
use rdkafka::ClientContext;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};
use std::time::Duration;

/// A producer that is not waited for. Cloning shares it. Dropping the last one drops what is still queued: the demo is over then.
#[derive(Clone)]
pub struct Feed(ThreadedProducer<Unheard>);

impl Feed {
    pub(super) fn new(mut config: ClientConfig) -> Result<Self, Fault> {
        config.set("linger.ms", "5").set("message.max.bytes", "5000000").set("partitioner", "murmur2_random");
        let unheard = Unheard(context());
        ThreadedProducer::from_config_and_context(&config, unheard).map(Self).map_err(|error| fault(&error.to_string()))
    }

    /// Queues a message; the cluster has it some milliseconds later. Fails when the queue is full or the message cannot be sent.
    pub fn send(&self, topic: &str, partition: Option<i32>, message: &Outgoing) -> Result<(), Fault> {
        let refused = |cause: String| Fault::new(Kind::Rejected, "feed", topic, cause);
        let record = BaseRecord::<[u8], [u8]> {
            topic,
            partition,
            payload: message.payload.as_deref(),
            key: message.key.as_deref(),
            timestamp: record::timestamp(message).map_err(refused)?,
            headers: record::headers(message).map_err(refused)?,
            delivery_opaque: (),
        };
        self.0.send(record).map_err(|(error, _)| refused(error.to_string()))
    }

    /// Waits until the cluster has everything, `timeout` at most. Blocks.
    pub fn flush(&self, timeout: Duration) -> Result<(), Fault> {
        self.0.flush(timeout).map_err(|error| fault(&error.to_string()))
    }
}

/// Logs as every client here does, and lets delivery reports go.
struct Unheard(Context);

impl ClientContext for Unheard {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        self.0.log(level, facility, text);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.0.error(error, reason);
    }
}

impl ProducerContext for Unheard {
    type DeliveryOpaque = ();

    fn delivery(&self, _result: &DeliveryResult<'_>, (): ()) {}
}
