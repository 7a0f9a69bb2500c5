//! `Member`: a member of a consumer group that reads and commits, as the demo's applications do.

use super::{context, fault};
use crate::adapters::kafka::context::Context;
use crate::domain::fault::Fault;
use crate::domain::message::{Header, Message, Stamp};
use crate::domain::position::Position;
use crate::domain::time::Timestamp;
use bytes::Bytes;
use rdkafka::ClientConfig;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{CommitMode, Consumer, ConsumerContext, StreamConsumer};
use rdkafka::message::{BorrowedMessage, Timestamp as Stamped};
use rdkafka::message::{Headers, Message as _};

/// One consumer of a group. It leaves the group when it is dropped.
pub struct Member(StreamConsumer<Context>);

impl ConsumerContext for Context {}

impl Member {
    pub(super) fn join(mut config: ClientConfig, group: &str, topics: &[&str]) -> Result<Self, Fault> {
        config
            .set("group.id", group)
            .set("client.id", format!("{group}-1"))
            // The newer protocol (KIP-848): the older one waits some seconds for other members first.
            .set("group.protocol", "consumer")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "earliest")
            // A member that stands still is to stay one.
            .set("max.poll.interval.ms", "86400000")
            .set("queued.min.messages", "1000")
            .set("fetch.wait.max.ms", "100");
        let failed = |error: rdkafka::error::KafkaError| fault(&error.to_string());
        let consumer = StreamConsumer::from_config_and_context(&config, context()).map_err(failed)?;
        consumer.subscribe(topics).map_err(failed)?;
        Ok(Self(consumer))
    }

    /// The next message; marks it as done for the next [`Member::commit`].
    pub async fn next(&self) -> Result<Message, Fault> {
        let read = self.0.recv().await.map_err(|error| fault(&error.to_string()))?;
        self.0.store_offset_from_message(&read).map_err(|error| fault(&error.to_string()))?;
        Ok(message(&read))
    }

    /// Commits everything that was read, without waiting for the answer.
    pub fn commit(&self) {
        if let Err(error) = self.0.commit_consumer_state(CommitMode::Async) {
            tracing::debug!(%error, "nothing was committed");
        }
    }
}

fn message(read: &BorrowedMessage<'_>) -> Message {
    let headers = read.headers().map_or_else(Vec::new, |headers| {
        headers
            .iter()
            .map(|header| Header { name: Bytes::copy_from_slice(header.key.as_bytes()), value: header.value.map(Bytes::copy_from_slice) })
            .collect()
    });
    Message {
        channel: read.topic().into(),
        position: Position::Offset { partition: read.partition(), offset: read.offset() },
        timestamp: read.timestamp().to_millis().map(Timestamp),
        stamp: if matches!(read.timestamp(), Stamped::LogAppendTime(_)) { Stamp::Stored } else { Stamp::Created },
        key: read.key().map(Bytes::copy_from_slice),
        headers,
        payload: read.payload().map(Bytes::copy_from_slice),
    }
}
