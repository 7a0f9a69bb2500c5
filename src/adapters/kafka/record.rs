//! One outgoing message in the shape that librdkafka takes, byte for byte, or the reason why it cannot be.

use crate::domain::message::Outgoing;
use rdkafka::message::{Header, OwnedHeaders};

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
