//! A message in the shape that librdkafka takes or gives, byte for byte, or the reason why it cannot be.

use crate::domain::message::{Header as MessageHeader, Message, Outgoing, Stamp};
use crate::domain::operation::{Field, PublishSpec};
use crate::domain::position::Position;
use crate::domain::time::Timestamp;
use bytes::Bytes;
use rdkafka::message::{BorrowedMessage, Header, Headers, Message as _, OwnedHeaders, Timestamp as Stamped};
use std::sync::Arc;

/// The compression that the profile says.
pub(super) const PROFILE: &str = "profile";

/// What can be asked of a message beside its bytes.
pub(super) static SPEC: PublishSpec = PublishSpec { key: true, tombstone: true, timestamp: true, fields: FIELDS };
const FIELDS: &[Field] = &[
    Field::number(
        "partition",
        "Partition",
        "counted from 0; without it the key decides, as Kafka's own producer does it, and chance if there is none",
        0,
        i32::MAX as i64,
    ),
    Field::choice(
        "compression",
        "Compression",
        "how the batch is compressed; `profile` goes by compression.codec in the profile, which is none by default",
        &[PROFILE, "none", "gzip", "snappy", "lz4", "zstd"],
    ),
];

/// What a message asks beside its bytes.
pub(super) struct Order {
    pub(super) partition: Option<i32>,
    pub(super) compression: String,
    pub(super) headers: Option<OwnedHeaders>,
    pub(super) timestamp: Option<i64>,
}

impl Order {
    pub(super) fn read(message: &Outgoing) -> Result<Self, String> {
        for (id, value) in &message.options {
            let field = SPEC.fields.iter().find(|field| field.id == *id).ok_or_else(|| format!("Kafka knows no option `{id}`"))?;
            field.check(value)?;
        }
        Ok(Self {
            partition: message.option("partition").and_then(|value| value.parse().ok()),
            compression: message.option("compression").unwrap_or(PROFILE).to_owned(),
            headers: headers(message)?,
            timestamp: timestamp(message)?,
        })
    }
}

/// A message as a consumer of librdkafka gives it.
pub(super) fn consumed(topic: Arc<str>, message: &BorrowedMessage<'_>) -> Message {
    let copied = |bytes: Option<&[u8]>| bytes.map(Bytes::copy_from_slice);
    let headers = message.headers().into_iter().flat_map(Headers::iter);
    let (stamp, timestamp) = match message.timestamp() {
        Stamped::NotAvailable => (Stamp::Created, None),
        Stamped::CreateTime(time) => (Stamp::Created, Some(Timestamp(time))),
        Stamped::LogAppendTime(time) => (Stamp::Stored, Some(Timestamp(time))),
    };
    Message {
        channel: topic,
        position: Position::Offset { partition: message.partition(), offset: message.offset() },
        timestamp,
        stamp,
        key: copied(message.key()),
        headers: headers.map(|header| MessageHeader { name: header.key.to_owned().into(), value: copied(header.value) }).collect(),
        payload: copied(message.payload()),
    }
}

/// Headers in order, duplicates and missing values kept; `None` if there are none.
pub(super) fn headers(message: &Outgoing) -> Result<Option<OwnedHeaders>, String> {
    if message.headers.is_empty() {
        return Ok(None);
    }
    let mut headers = OwnedHeaders::new_with_capacity(message.headers.len());
    for (number, header) in message.headers.iter().enumerate() {
        let key = std::str::from_utf8(&header.name)
            .map_err(|_| format!("the name of header {} is not UTF-8, which Kafka demands", number + 1))?;
        headers = headers.insert(Header { key, value: header.value.as_deref() });
    }
    Ok(Some(headers))
}

/// The producer's timestamp; `None` lets the moment of sending count.
pub(super) fn timestamp(message: &Outgoing) -> Result<Option<i64>, String> {
    match message.timestamp.map(|t| t.0) {
        // librdkafka takes 0 for "now", and Kafka −1 for "none": sent as they are, they would be stored as something else.
        Some(t) if t <= 0 => Err(format!("the timestamp {t} cannot be sent: it has to be after 1970-01-01T00:00:00Z")),
        timestamp => Ok(timestamp),
    }
}

/// Bytes that the broker will count, without the few that a batch adds.
pub(super) fn size(message: &Outgoing) -> usize {
    let headers: usize = message.headers.iter().map(|h| h.name.len() + h.value.as_ref().map_or(0, bytes::Bytes::len)).sum();
    headers + message.key.as_ref().map_or(0, bytes::Bytes::len) + message.payload.as_ref().map_or(0, bytes::Bytes::len)
}
