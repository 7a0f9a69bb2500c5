//! The questions that change groups: positions set and taken away, groups deleted.

use super::super::faults;
use super::api::{CheckedRequest, counted};
use super::cluster::Cluster;
use super::pool::Lane;
use super::shape::{Of, Shape, always, since};
use crate::domain::fault::Fault;
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::offset_delete_request::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic};
use kafka_protocol::messages::{
    ApiKey, DeleteGroupsRequest, DeleteGroupsResponse, GroupId, OffsetCommitRequest, OffsetCommitResponse, OffsetDeleteRequest,
    OffsetDeleteResponse, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use std::collections::{BTreeMap, HashMap};

/// A partition of a topic.
pub(crate) type Place<'a> = (&'a str, i32);

impl CheckedRequest for OffsetCommitRequest {
    const KEY: ApiKey = ApiKey::OffsetCommit;
    const OP: &'static str = "set the positions of";
    type Response = OffsetCommitResponse;
    const THROTTLE: fn(&Self::Response) -> i32 = |answer| answer.throttle_time_ms;
    const ABOUT: fn(&Self) -> String = |request| counted(request.topics.iter().map(|topic| topic.partitions.len()).sum(), "partition");
    const ABOUT_ANSWER: fn(&Self::Response) -> String =
        |answer| counted(answer.topics.iter().map(|topic| topic.partitions.len()).sum(), "partition");
    const SHAPE: Shape = {
        const TOPIC: Of = Of::Structs(&[always(Of::Text), always(Of::Structs(&[always(Of::Fixed(4 + 2))]))]);
        Shape { flexible: 8, fields: &[since(3, Of::Fixed(4)), always(TOPIC)] }
    };
}

impl CheckedRequest for OffsetDeleteRequest {
    const KEY: ApiKey = ApiKey::OffsetDelete;
    const OP: &'static str = "take away the positions of";
    type Response = OffsetDeleteResponse;
    const THROTTLE: fn(&Self::Response) -> i32 = |answer| answer.throttle_time_ms;
    const ABOUT: fn(&Self) -> String = |request| counted(request.topics.iter().map(|topic| topic.partitions.len()).sum(), "partition");
    const ABOUT_ANSWER: fn(&Self::Response) -> String = |answer| faults::code_name(answer.error_code);
    const SHAPE: Shape = {
        const TOPIC: Of = Of::Structs(&[always(Of::Text), always(Of::Structs(&[always(Of::Fixed(4 + 2))]))]);
        Shape { flexible: i16::MAX, fields: &[always(Of::Fixed(2 + 4)), always(TOPIC)] }
    };
}

impl CheckedRequest for DeleteGroupsRequest {
    const KEY: ApiKey = ApiKey::DeleteGroups;
    const OP: &'static str = "delete group";
    type Response = DeleteGroupsResponse;
    const THROTTLE: fn(&Self::Response) -> i32 = |answer| answer.throttle_time_ms;
    const ABOUT: fn(&Self) -> String = |request| counted(request.groups_names.len(), "group");
    const ABOUT_ANSWER: fn(&Self::Response) -> String =
        |answer| answer.results.first().map_or_else(String::new, |result| faults::code_name(result.error_code));
    const SHAPE: Shape =
        Shape { flexible: 2, fields: &[always(Of::Fixed(4)), always(Of::Structs(&[always(Of::Text), always(Of::Fixed(2))]))] };
}

impl Cluster {
    /// Sets positions of a group without members, in one request; the outcome of each, in the order asked. With members the
    /// broker refuses each.
    pub(crate) async fn set_positions(&self, group: &str, places: &[(Place<'_>, i64)]) -> Result<Vec<Result<(), Fault>>, Fault> {
        if places.is_empty() {
            return Ok(Vec::new());
        }
        let mut topics: BTreeMap<&str, Vec<OffsetCommitRequestPartition>> = BTreeMap::new();
        for ((topic, partition), offset) in places {
            let position = OffsetCommitRequestPartition::default()
                .with_partition_index(*partition)
                .with_committed_offset(*offset)
                .with_committed_leader_epoch(-1)
                .with_committed_metadata(Some(StrBytes::from_static_str("")));
            topics.entry(topic).or_default().push(position);
        }
        let topic = |(name, partitions)| OffsetCommitRequestTopic::default().with_name(topic_name(name)).with_partitions(partitions);
        let request = OffsetCommitRequest::default()
            .with_group_id(group_id(group))
            .with_generation_id_or_member_epoch(-1)
            .with_retention_time_ms(-1)
            .with_topics(topics.into_iter().map(topic).collect());
        let code = |answer: &OffsetCommitResponse| {
            answer.topics.iter().flat_map(|topic| &topic.partitions).map(|told| told.error_code).next().unwrap_or(0)
        };
        let answer = self.call_coordinator(Lane::Control, group, &request, code).await?;
        let told = answer
            .topics
            .iter()
            .flat_map(|topic| topic.partitions.iter().map(|told| ((topic.name.as_str(), told.partition_index), told.error_code)));
        Ok(outcomes(OffsetCommitRequest::OP, group, places.iter().map(|(place, _)| *place), &told.collect()))
    }

    /// Takes positions of a group away; the outcome of each, in the order asked.
    pub(crate) async fn remove_positions(&self, group: &str, places: &[Place<'_>]) -> Result<Vec<Result<(), Fault>>, Fault> {
        if places.is_empty() {
            return Ok(Vec::new());
        }
        let mut topics: BTreeMap<&str, Vec<OffsetDeleteRequestPartition>> = BTreeMap::new();
        for (topic, partition) in places {
            topics.entry(topic).or_default().push(OffsetDeleteRequestPartition::default().with_partition_index(*partition));
        }
        let topic = |(name, partitions)| OffsetDeleteRequestTopic::default().with_name(topic_name(name)).with_partitions(partitions);
        let topics = topics.into_iter().map(topic).collect();
        let request = OffsetDeleteRequest::default().with_group_id(group_id(group)).with_topics(topics);
        let answer = self.call_coordinator(Lane::Control, group, &request, |answer| answer.error_code).await?;
        if answer.error_code != 0 {
            return Err(faults::refused(OffsetDeleteRequest::OP, group, answer.error_code, None));
        }
        let told = answer
            .topics
            .iter()
            .flat_map(|topic| topic.partitions.iter().map(|told| ((topic.name.as_str(), told.partition_index), told.error_code)));
        Ok(outcomes(OffsetDeleteRequest::OP, group, places.iter().copied(), &told.collect()))
    }

    /// Deletes a group without members, with its positions.
    pub(crate) async fn delete_group(&self, group: &str) -> Result<(), Fault> {
        let request = DeleteGroupsRequest::default().with_groups_names(vec![group_id(group)]);
        let code = |answer: &DeleteGroupsResponse| answer.results.first().map_or(0, |result| result.error_code);
        match code(&self.call_coordinator(Lane::Control, group, &request, code).await?) {
            0 => Ok(()),
            code => Err(faults::refused(DeleteGroupsRequest::OP, group, code, None)),
        }
    }
}

fn outcomes<'a>(
    op: &'static str,
    group: &str,
    places: impl Iterator<Item = Place<'a>>,
    told: &HashMap<Place<'_>, i16>,
) -> Vec<Result<(), Fault>> {
    let outcome = |place: Place<'a>| match told.get(&place) {
        Some(0) => Ok(()),
        // `NONE` cannot come here; what the answer leaves out has an unknown outcome.
        code => Err(faults::refused(op, format!("{group} in {} partition {}", place.0, place.1), code.copied().unwrap_or(-1), None)),
    };
    places.map(outcome).collect()
}

pub(crate) fn topic_name(name: &str) -> TopicName {
    TopicName(StrBytes::from_string(name.to_owned()))
}

fn group_id(group: &str) -> GroupId {
    GroupId(StrBytes::from_string(group.to_owned()))
}
