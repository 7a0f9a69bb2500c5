//! The fetch: records of several partitions of one leader, as they lie in its log.
//!
//! Topics are named, not numbered: versions 4 to 12 of the request are spoken by every broker from Kafka 0.11 to 4.x, by
//! librdkafka's mock cluster too, and reading by topic id (13 and later) was measured to be no faster.

use super::super::faults;
use super::api::{CheckedRequest, counted, millis, shared};
use super::cluster::Cluster;
use super::pool::Lane;
use super::shape::{Of, Shape, always, since};
use super::walk::{Partition, Walk};
use crate::domain::fault::Fault;
use crate::domain::figure;
use bytes::Bytes;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::{ApiKey, BrokerId, FetchRequest, FetchResponse, TopicName};
use kafka_protocol::protocol::{Message, StrBytes, VersionRange};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// The most that one answer is asked to hold. A single larger batch comes all the same; larger answers were measured to be slower.
pub(crate) const MOST_BYTES: usize = 4 << 20;
/// The least worth asking for.
pub(crate) const LEAST_BYTES: usize = 64 << 10;

/// A partition and where to read on in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Want {
    pub(crate) partition: Partition,
    pub(crate) offset: i64,
    /// Bytes of it in one answer.
    pub(crate) most: usize,
}

/// How an answer is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Patience {
    /// How long the broker may wait for a first byte.
    pub(crate) wait: Duration,
    /// Bytes of all partitions together.
    pub(crate) most: usize,
}

/// What came of one partition.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) partition: Partition,
    /// The error code; 0 for none.
    pub(crate) error: i16,
    /// The offset behind the last message that consumers may see.
    pub(crate) high: i64,
    /// The last stable offset: what an open transaction wrote begins here. -1 if the broker does not say.
    pub(crate) stable: i64,
    pub(crate) records: Bytes,
    /// Producer and first offset of each aborted transaction in it.
    aborted: Vec<(i64, i64)>,
}

/// What an answer means for its reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Good,
    /// The offset is before the log's start or behind its end.
    OutOfRange,
    /// The broker met damage in its log.
    Corrupt,
    /// Ask for the leader again.
    Moved,
    /// Asking again is of no use.
    Refused,
}

const OFFSET_OUT_OF_RANGE: i16 = 1;
const CORRUPT_MESSAGE: i16 = 2;

impl Part {
    pub(crate) fn verdict(&self) -> Verdict {
        match self.error {
            0 => Verdict::Good,
            OFFSET_OUT_OF_RANGE => Verdict::OutOfRange,
            CORRUPT_MESSAGE => Verdict::Corrupt,
            code if faults::moved(code) || faults::is_retryable(code) => Verdict::Moved,
            _ => Verdict::Refused,
        }
    }

    /// Such an answer, for tests.
    #[cfg(test)]
    pub(crate) fn good(partition: Partition, records: Bytes) -> Self {
        Self { partition, error: 0, high: 0, stable: -1, records, aborted: Vec::new() }
    }

    /// The error as a fault.
    pub(crate) fn refusal(&self, op: &'static str) -> Fault {
        faults::refused(op, self.partition.to_string(), self.error, None)
    }

    /// The offset behind its last whole batch, by the headers alone.
    pub(crate) fn end(&self) -> Option<i64> {
        super::batch::end_of(&self.records)
    }

    /// Walks the offsets `from..until` of it.
    pub(crate) fn walk(self, from: i64, until: i64) -> Walk {
        Walk::new(self.partition, self.records, from, until).without_aborted(self.aborted)
    }
}

impl Cluster {
    /// Fetches from the leader of all these partitions. A broker fills an answer in the order of the wants: turn them, so that
    /// a busy one does not starve the others.
    pub(crate) async fn fetch(&self, leader: i32, lane: Lane, wants: &[Want], patience: Patience) -> Result<Vec<Part>, Fault> {
        self.fetch_as(READ_COMMITTED, leader, lane, wants, patience).await
    }

    /// As [`Cluster::fetch`], but what unfinished and aborted transactions wrote comes as well.
    pub(crate) async fn fetch_all(&self, leader: i32, lane: Lane, wants: &[Want], patience: Patience) -> Result<Vec<Part>, Fault> {
        self.fetch_as(READ_UNCOMMITTED, leader, lane, wants, patience).await
    }

    async fn fetch_as(&self, isolation: i8, leader: i32, lane: Lane, wants: &[Want], patience: Patience) -> Result<Vec<Part>, Fault> {
        let request = request(wants, patience).with_isolation_level(isolation);
        let answer = loop {
            let answer = self.call(leader, lane, &request).await?;
            // A client over its quota gets an answer that names no partition at all, and is to be silent for a while (KIP-219);
            // the connection sees to the silence before it asks again.
            if !answer.responses.is_empty() || answer.throttle_time_ms <= 0 || answer.error_code != 0 {
                break answer;
            }
        };
        if answer.error_code != 0 {
            return Err(faults::refused(FetchRequest::OP, format!("broker {leader}"), answer.error_code, None));
        }
        // Names as we have them already, so that every message shares one.
        let names: HashMap<&str, &Arc<str>> = wants.iter().map(|want| (&*want.partition.topic, &want.partition.topic)).collect();
        let mut parts = Vec::with_capacity(wants.len());
        for topic in answer.responses {
            let Some(name) = names.get(topic.topic.as_str()) else { continue };
            parts.extend(topic.partitions.into_iter().map(|data| part(name, data)));
        }
        Ok(parts)
    }
}

fn part(topic: &Arc<str>, data: PartitionData) -> Part {
    let aborted = data.aborted_transactions.unwrap_or_default();
    Part {
        partition: Partition { topic: topic.clone(), index: data.partition_index },
        error: data.error_code,
        high: data.high_watermark,
        stable: data.last_stable_offset,
        records: data.records.unwrap_or_default(),
        aborted: aborted.into_iter().map(|aborted| (*aborted.producer_id, aborted.first_offset)).collect(),
    }
}

fn request(wants: &[Want], patience: Patience) -> FetchRequest {
    let mut topics: Vec<FetchTopic> = Vec::new();
    for want in wants {
        let partition = FetchPartition::default()
            .with_partition(want.partition.index)
            .with_current_leader_epoch(-1)
            .with_fetch_offset(want.offset)
            .with_last_fetched_epoch(-1)
            .with_log_start_offset(-1)
            .with_partition_max_bytes(wire_size(want.most));
        // Neighbours of one topic share its name; a topic may come again, which keeps the order of the wants.
        match topics.last_mut() {
            Some(topic) if *topic.topic.as_str() == *want.partition.topic => topic.partitions.push(partition),
            _ => topics.push(
                FetchTopic::default()
                    .with_topic(TopicName(StrBytes::from_string(want.partition.topic.to_string())))
                    .with_partitions(vec![partition]),
            ),
        }
    }
    FetchRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_max_wait_ms(i32::try_from(patience.wait.as_millis()).unwrap_or(i32::MAX))
        .with_min_bytes(1)
        .with_max_bytes(wire_size(patience.most))
        .with_session_id(0)
        .with_session_epoch(-1)
        .with_topics(topics)
}

const READ_UNCOMMITTED: i8 = 0;
const READ_COMMITTED: i8 = 1;

fn wire_size(bytes: usize) -> i32 {
    i32::try_from(bytes).unwrap_or(i32::MAX)
}

impl CheckedRequest for FetchRequest {
    const KEY: ApiKey = ApiKey::Fetch;
    const OP: &'static str = "read from";
    type Response = FetchResponse;
    const SPOKEN: VersionRange = shared(VersionRange { min: 4, max: 12 }, FetchResponse::VERSIONS);
    const THROTTLE: fn(&Self::Response) -> i32 = |answer| answer.throttle_time_ms;
    const WAITS: fn(&Self) -> Duration = |request| millis(request.max_wait_ms);
    const ABOUT: fn(&Self) -> String = |request| {
        let partitions = || request.topics.iter().flat_map(|topic| &topic.partitions);
        match (request.topics.first(), partitions().next()) {
            (Some(topic), Some(first)) if partitions().count() == 1 => {
                format!("{} {}@{}", topic.topic.as_str(), first.partition, first.fetch_offset)
            }
            _ => counted(partitions().count(), "partition"),
        }
    };
    const ABOUT_ANSWER: fn(&Self::Response) -> String = |answer| {
        let partitions = || answer.responses.iter().flat_map(|topic| &topic.partitions);
        let bytes: usize = partitions().filter_map(|partition| partition.records.as_ref()).map(Bytes::len).sum();
        let refused: Vec<_> = partitions().map(|partition| partition.error_code).filter(|code| *code != 0).collect();
        let records = format!("records of {}", figure::bytes(bytes as u64));
        match refused.first() {
            Some(code) => format!("{records}, {} refused: {}", counted(refused.len(), "partition"), faults::code_name(*code)),
            None => records,
        }
    };
    const SHAPE: Shape = {
        const PAIR: Of = Of::Struct(&[always(Of::Fixed(4 + 8))]);
        const PLACE: Of = Of::Struct(&[always(Of::Fixed(4 + 4))]);
        const ABORTED: Of = Of::Structs(&[always(Of::Fixed(8 + 8))]);
        const PARTITION: Of = Of::Structs(&[
            always(Of::Fixed(4 + 2 + 8 + 8)),
            since(5, Of::Fixed(8)),
            always(ABORTED),
            since(11, Of::Fixed(4)),
            always(Of::Bytes),
            // The epoch at which logs diverge, the leader, and a snapshot (KIP-595, KIP-630).
            always(Of::Tagged(&[(0, PAIR), (1, PLACE), (2, PAIR)])),
        ]);
        Shape {
            flexible: 12,
            fields: &[always(Of::Fixed(4)), since(7, Of::Fixed(2 + 4)), always(Of::Structs(&[always(Of::Text), always(PARTITION)]))],
        }
    };
}
