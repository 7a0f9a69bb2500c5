//! The questions that change topics: made, deleted, given partitions, set otherwise, their leaders elected, their messages deleted.

use super::api::{CheckedRequest, counted, millis};
use super::shape::{Of, Shape, always, since};
use bytes::BytesMut;
use kafka_protocol::messages::{
    ApiKey, CreatePartitionsRequest, CreatePartitionsResponse, CreateTopicsRequest, CreateTopicsResponse, DeleteRecordsRequest,
    DeleteRecordsResponse, DeleteTopicsRequest, DeleteTopicsResponse, ElectLeadersRequest, ElectLeadersResponse,
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
};
use kafka_protocol::protocol::Encodable;
use std::time::Duration;

/// How long a broker may take, as requests say it.
fn patience(timeout_ms: i32) -> Duration {
    millis(timeout_ms)
}

/// `2 topics`, `2 topics, 1 refused`.
fn outcome(one: &str, codes: impl Iterator<Item = i16>) -> String {
    let (mut all, mut refused) = (0, 0);
    for code in codes {
        all += 1;
        refused += usize::from(code != 0);
    }
    if refused == 0 { counted(all, one) } else { format!("{}, {refused} refused", counted(all, one)) }
}

impl CheckedRequest for CreateTopicsRequest {
    const KEY: ApiKey = ApiKey::CreateTopics;
    const OP: &'static str = "create topic";
    type Response = CreateTopicsResponse;
    const THROTTLE: fn(&Self::Response) -> i32 = |answer| answer.throttle_time_ms;
    const WAITS: fn(&Self) -> Duration = |request| patience(request.timeout_ms);
    const ABOUT: fn(&Self) -> String =
        |request| format!("{}{}", counted(request.topics.len(), "topic"), if request.validate_only { ", only checked" } else { "" });
    const ABOUT_ANSWER: fn(&Self::Response) -> String = |answer| outcome("topic", answer.topics.iter().map(|topic| topic.error_code));
    const SHAPE: Shape = {
        const CONFIG: Of = Of::Structs(&[always(Of::Text), always(Of::Text), always(Of::Fixed(3))]);
        const TOPIC: Of = Of::Structs(&[
            always(Of::Text),
            since(7, Of::Fixed(16)),
            always(Of::Fixed(2)),
            always(Of::Text),
            since(5, Of::Fixed(4 + 2)),
            since(5, CONFIG),
            // Why the settings are not told.
            always(Of::Tagged(&[(0, Of::Fixed(2))])),
        ]);
        Shape { flexible: 5, fields: &[always(Of::Fixed(4)), always(TOPIC)] }
    };
}

impl CheckedRequest for DeleteTopicsRequest {
    const KEY: ApiKey = ApiKey::DeleteTopics;
    const OP: &'static str = "delete topic";
    type Response = DeleteTopicsResponse;
    const THROTTLE: fn(&Self::Response) -> i32 = |answer| answer.throttle_time_ms;
    const WAITS: fn(&Self) -> Duration = |request| patience(request.timeout_ms);
    const ABOUT: fn(&Self) -> String = |request| counted(request.topics.len(), "topic");
    const ABOUT_ANSWER: fn(&Self::Response) -> String = |answer| outcome("topic", answer.responses.iter().map(|topic| topic.error_code));
    const SHAPE: Shape = {
        const TOPIC: Of = Of::Structs(&[always(Of::Text), since(6, Of::Fixed(16)), always(Of::Fixed(2)), since(5, Of::Text)]);
        Shape { flexible: 4, fields: &[always(Of::Fixed(4)), always(TOPIC)] }
    };

    fn write(&self, frame: &mut BytesMut, version: i16) -> Result<(), anyhow::Error> {
        // Topics are named by their ids since version 6 (KIP-516).
        let mut request = self.clone();
        if version >= 6 {
            request.topic_names.clear();
        } else {
            request.topics.clear();
        }
        request.encode(frame, version)
    }
}

impl CheckedRequest for CreatePartitionsRequest {
    const KEY: ApiKey = ApiKey::CreatePartitions;
    const OP: &'static str = "add partitions to";
    type Response = CreatePartitionsResponse;
    const THROTTLE: fn(&Self::Response) -> i32 = |answer| answer.throttle_time_ms;
    const WAITS: fn(&Self) -> Duration = |request| patience(request.timeout_ms);
    const ABOUT: fn(&Self) -> String =
        |request| format!("{}{}", counted(request.topics.len(), "topic"), if request.validate_only { ", only checked" } else { "" });
    const ABOUT_ANSWER: fn(&Self::Response) -> String = |answer| outcome("topic", answer.results.iter().map(|topic| topic.error_code));
    const SHAPE: Shape = {
        const RESULT: Of = Of::Structs(&[always(Of::Text), always(Of::Fixed(2)), always(Of::Text)]);
        Shape { flexible: 2, fields: &[always(Of::Fixed(4)), always(RESULT)] }
    };
}

impl CheckedRequest for IncrementalAlterConfigsRequest {
    const KEY: ApiKey = ApiKey::IncrementalAlterConfigs;
    const OP: &'static str = "change the settings of";
    type Response = IncrementalAlterConfigsResponse;
    const THROTTLE: fn(&Self::Response) -> i32 = |answer| answer.throttle_time_ms;
    const ABOUT: fn(&Self) -> String = |request| {
        let settings = request.resources.iter().map(|resource| resource.configs.len()).sum();
        format!("{}{}", counted(settings, "setting"), if request.validate_only { ", only checked" } else { "" })
    };
    const ABOUT_ANSWER: fn(&Self::Response) -> String = |answer| outcome("topic", answer.responses.iter().map(|topic| topic.error_code));
    const SHAPE: Shape = {
        const RESULT: Of = Of::Structs(&[always(Of::Fixed(2)), always(Of::Text), always(Of::Fixed(1)), always(Of::Text)]);
        Shape { flexible: 1, fields: &[always(Of::Fixed(4)), always(RESULT)] }
    };
}

impl CheckedRequest for ElectLeadersRequest {
    const KEY: ApiKey = ApiKey::ElectLeaders;
    const OP: &'static str = "elect leaders of";
    type Response = ElectLeadersResponse;
    const THROTTLE: fn(&Self::Response) -> i32 = |answer| answer.throttle_time_ms;
    const WAITS: fn(&Self) -> Duration = |request| patience(request.timeout_ms);
    const ABOUT: fn(&Self) -> String =
        |request| counted(request.topic_partitions.iter().flatten().map(|topic| topic.partitions.len()).sum(), "partition");
    const ABOUT_ANSWER: fn(&Self::Response) -> String = |answer| {
        outcome("partition", answer.replica_election_results.iter().flat_map(|topic| &topic.partition_result).map(|part| part.error_code))
    };
    const SHAPE: Shape = {
        const PARTITION: Of = Of::Structs(&[always(Of::Fixed(4 + 2)), always(Of::Text)]);
        const TOPIC: Of = Of::Structs(&[always(Of::Text), always(PARTITION)]);
        Shape { flexible: 2, fields: &[always(Of::Fixed(4)), since(1, Of::Fixed(2)), always(TOPIC)] }
    };
}

impl CheckedRequest for DeleteRecordsRequest {
    const KEY: ApiKey = ApiKey::DeleteRecords;
    const OP: &'static str = "delete messages of";
    type Response = DeleteRecordsResponse;
    const THROTTLE: fn(&Self::Response) -> i32 = |answer| answer.throttle_time_ms;
    const WAITS: fn(&Self) -> Duration = |request| patience(request.timeout_ms);
    const ABOUT: fn(&Self) -> String = |request| counted(request.topics.iter().map(|topic| topic.partitions.len()).sum(), "partition");
    const ABOUT_ANSWER: fn(&Self::Response) -> String =
        |answer| outcome("partition", answer.topics.iter().flat_map(|topic| &topic.partitions).map(|part| part.error_code));
    const SHAPE: Shape = {
        const TOPIC: Of = Of::Structs(&[always(Of::Text), always(Of::Structs(&[always(Of::Fixed(4 + 8 + 2))]))]);
        Shape { flexible: 2, fields: &[always(Of::Fixed(4)), always(TOPIC)] }
    };
}
