//! Changes to topics, asked of the broker that may make them: the controller, or the leaders of the partitions.
//!
//! What changes something is never asked twice by itself: where an answer does not come, it is not known whether it was done.

use super::super::faults;
use super::api::Request;
use super::cluster::Cluster;
use super::describe::TOPIC;
use super::group_change::topic_name;
use super::pool::Lane;
use crate::domain::fault::{Fault, Kind};
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::elect_leaders_request::TopicPartitions;
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{
    CreatePartitionsRequest, CreateTopicsRequest, DeleteRecordsRequest, DeleteTopicsRequest, ElectLeadersRequest,
    IncrementalAlterConfigsRequest, MetadataRequest,
};
use kafka_protocol::protocol::StrBytes;
use std::collections::BTreeMap;
use std::time::Duration;

/// How often another controller is looked for, and the pause between.
const ROUNDS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(300);
/// `NOT_CONTROLLER`, `ELECTION_NOT_NEEDED`.
const NOT_CONTROLLER: i16 = 41;
const ELECTION_NOT_NEEDED: i16 = 84;

/// A topic to be made; what is left open is the brokers' to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NewTopic<'a> {
    pub(crate) name: &'a str,
    pub(crate) partitions: Option<i32>,
    pub(crate) replicas: Option<i16>,
    pub(crate) settings: &'a [(String, String)],
}

/// What a topic is, or would be, as the broker says it on creating. `None` where our user may not know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Made {
    pub(crate) partitions: Option<i32>,
    pub(crate) replicas: Option<i16>,
}

/// How a setting is changed (`OpType` of KIP-339).
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum How {
    Set,
    /// Back to what the brokers say.
    Remove,
    /// Adds to a list.
    Append,
    /// Takes from a list.
    Subtract,
}

/// What became of one partition's election.
pub(crate) type Elected = (i32, Result<bool, Fault>);

impl Cluster {
    /// Makes a topic, or with `dry` only checks that it could be made.
    pub(crate) async fn create_topic(&self, topic: &NewTopic<'_>, dry: bool) -> Result<Made, Fault> {
        let config = |(name, value): &(String, String)| {
            CreatableTopicConfig::default()
                .with_name(StrBytes::from_string(name.clone()))
                .with_value(Some(StrBytes::from_string(value.clone())))
        };
        let wanted = CreatableTopic::default()
            .with_name(topic_name(topic.name))
            .with_num_partitions(topic.partitions.unwrap_or(-1))
            .with_replication_factor(topic.replicas.unwrap_or(-1))
            .with_configs(topic.settings.iter().map(config).collect());
        let request = CreateTopicsRequest::default().with_topics(vec![wanted]).with_timeout_ms(self.patience_ms()).with_validate_only(dry);
        let code = |answer: &<CreateTopicsRequest as Request>::Answer| answer.topics.first().map_or(-1, |topic| topic.error_code);
        let answer = self.call_controller(&request, code).await?;
        let told = answer.topics.first();
        check(CreateTopicsRequest::OP, topic.name, told.map(|told| (told.error_code, told.error_message.as_deref())))?;
        let partitions = told.map(|told| told.num_partitions).filter(|n| *n > 0);
        Ok(Made { partitions, replicas: told.map(|told| told.replication_factor).filter(|n| *n > 0) })
    }

    /// Deletes the topic of that id; by its name where the brokers know no ids.
    pub(crate) async fn delete_topic(&self, name: &str, id: Option<&str>) -> Result<(), Fault> {
        let mut state = DeleteTopicState::default();
        match id.and_then(|id| id.parse().ok()) {
            Some(id) => state.topic_id = id,
            None => state.name = Some(topic_name(name)),
        }
        let request = DeleteTopicsRequest::default()
            .with_topics(vec![state])
            .with_topic_names(vec![topic_name(name)])
            .with_timeout_ms(self.patience_ms());
        let code = |answer: &<DeleteTopicsRequest as Request>::Answer| answer.responses.first().map_or(-1, |topic| topic.error_code);
        let answer = self.call_controller(&request, code).await?;
        check(DeleteTopicsRequest::OP, name, answer.responses.first().map(|told| (told.error_code, told.error_message.as_deref())))
    }

    /// Gives a topic `count` partitions in all, or with `dry` only checks that it could be done.
    pub(crate) async fn add_partitions(&self, name: &str, count: i32, dry: bool) -> Result<(), Fault> {
        let topic = CreatePartitionsTopic::default().with_name(topic_name(name)).with_count(count).with_assignments(None);
        let request =
            CreatePartitionsRequest::default().with_topics(vec![topic]).with_timeout_ms(self.patience_ms()).with_validate_only(dry);
        let code = |answer: &<CreatePartitionsRequest as Request>::Answer| answer.results.first().map_or(-1, |topic| topic.error_code);
        let answer = self.call_controller(&request, code).await?;
        check(CreatePartitionsRequest::OP, name, answer.results.first().map(|told| (told.error_code, told.error_message.as_deref())))
    }

    /// Changes settings of a topic, all or none, or with `dry` only checks that it could be done.
    pub(crate) async fn alter_settings(&self, name: &str, changes: &[(String, How, Option<String>)], dry: bool) -> Result<(), Fault> {
        let config = |(name, how, value): &(String, How, Option<String>)| {
            AlterableConfig::default()
                .with_name(StrBytes::from_string(name.clone()))
                .with_config_operation(match how {
                    How::Set => 0,
                    How::Remove => 1,
                    How::Append => 2,
                    How::Subtract => 3,
                })
                .with_value(value.clone().map(StrBytes::from_string))
        };
        let resource = AlterConfigsResource::default()
            .with_resource_type(TOPIC)
            .with_resource_name(StrBytes::from_string(name.to_owned()))
            .with_configs(changes.iter().map(config).collect());
        let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]).with_validate_only(dry);
        let code =
            |answer: &<IncrementalAlterConfigsRequest as Request>::Answer| answer.responses.first().map_or(-1, |told| told.error_code);
        let answer = self.call_controller(&request, code).await?;
        let told = answer.responses.first().map(|told| (told.error_code, told.error_message.as_deref()));
        check(IncrementalAlterConfigsRequest::OP, name, told)
    }

    /// Elects leaders: the preferred replica of each partition, or with `unclean` any that is there. `false`: there was no need.
    pub(crate) async fn elect(&self, name: &str, partitions: &[i32], unclean: bool) -> Result<Vec<Elected>, Fault> {
        let topic = TopicPartitions::default().with_topic(topic_name(name)).with_partitions(partitions.to_vec());
        let request = ElectLeadersRequest::default()
            .with_election_type(i8::from(unclean))
            .with_topic_partitions(Some(vec![topic]))
            .with_timeout_ms(self.patience_ms());
        let answer = self.call_controller(&request, |answer| answer.error_code).await?;
        check(ElectLeadersRequest::OP, name, Some((answer.error_code, None)))?;
        let told = answer.replica_election_results.iter().flat_map(|topic| &topic.partition_result);
        let outcome = told.map(|told| match told.error_code {
            0 => (told.partition_id, Ok(true)),
            ELECTION_NOT_NEEDED => (told.partition_id, Ok(false)),
            code => {
                let target = format!("{name} partition {}", told.partition_id);
                (told.partition_id, Err(faults::refused(ElectLeadersRequest::OP, target, code, told.error_message.as_deref())))
            }
        });
        Ok(outcome.collect())
    }

    /// Deletes what stands before these offsets; the new start of each partition, in the order asked.
    pub(crate) async fn delete_records(&self, name: &str, before: &[(i32, i64)]) -> Vec<Result<i64, Fault>> {
        let mut by_leader: BTreeMap<i32, Vec<(i32, i64)>> = BTreeMap::new();
        let mut outcomes: BTreeMap<i32, Result<i64, Fault>> = BTreeMap::new();
        for (partition, offset) in before {
            match self.leader(name, *partition).await {
                Ok(leader) => by_leader.entry(leader).or_default().push((*partition, *offset)),
                Err(fault) => drop(outcomes.insert(*partition, Err(fault))),
            }
        }
        let asked = by_leader.iter().map(|(leader, parts)| self.delete_records_at(*leader, name, parts));
        outcomes.extend(futures::future::join_all(asked).await.into_iter().flatten());
        let left_out = || Err(Fault::new(Kind::Protocol, DeleteRecordsRequest::OP, name, "the broker's answer left the partition out"));
        before.iter().map(|(partition, _)| outcomes.remove(partition).unwrap_or_else(left_out)).collect()
    }

    async fn delete_records_at(&self, leader: i32, name: &str, before: &[(i32, i64)]) -> Vec<(i32, Result<i64, Fault>)> {
        let partition = |(index, offset): &(i32, i64)| DeleteRecordsPartition::default().with_partition_index(*index).with_offset(*offset);
        let topic = DeleteRecordsTopic::default().with_name(topic_name(name)).with_partitions(before.iter().map(partition).collect());
        let request = DeleteRecordsRequest::default().with_topics(vec![topic]).with_timeout_ms(self.patience_ms());
        // To delete what is deleted already does nothing, so that this may be asked twice.
        match self.call(leader, Lane::Control, &request).await {
            Ok(answer) => {
                let told = answer.topics.iter().flat_map(|topic| &topic.partitions).map(|told| {
                    let target = format!("{name} partition {}", told.partition_index);
                    let refused = |code| faults::refused(DeleteRecordsRequest::OP, target, code, None);
                    (told.partition_index, if told.error_code == 0 { Ok(told.low_watermark) } else { Err(refused(told.error_code)) })
                });
                told.collect()
            }
            Err(fault) => before.iter().map(|(partition, _)| (*partition, Err(fault.clone()))).collect(),
        }
    }

    /// The id of a topic, which one made anew under the same name does not have; `None` where the brokers know no ids.
    pub(crate) async fn topic_id(&self, name: &str) -> Result<Option<String>, Fault> {
        let topic = MetadataRequestTopic::default().with_name(Some(topic_name(name)));
        let request = MetadataRequest::default().with_topics(Some(vec![topic])).with_allow_auto_topic_creation(false);
        let answer = self.call_any(&request).await?;
        let told = answer.topics.first();
        check("find topic", name, told.map(|told| (told.error_code, None)))?;
        Ok(told.filter(|told| !told.topic_id.is_nil()).map(|told| told.topic_id.to_string()))
    }

    /// Asks the controller, and looks for it again where it has moved. Brokers without `ZooKeeper` pass on what they are asked.
    async fn call_controller<A: Request>(&self, request: &A, code: impl Fn(&A::Answer) -> i16 + Send + Sync) -> Result<A::Answer, Fault> {
        let none = MetadataRequest::default().with_topics(Some(Vec::new())).with_allow_auto_topic_creation(false);
        let mut round = 1;
        loop {
            let told = *self.call_any(&none).await?.controller_id;
            let node = if told >= 0 { told } else { self.brokers().first().copied().unwrap_or(-1) };
            // Proves the connection, so that what follows need not be asked twice because it had died unnoticed.
            self.call(node, Lane::Control, &none).await?;
            let answer = self.call_once(node, Lane::Control, request).await?;
            if code(&answer) != NOT_CONTROLLER || round == ROUNDS {
                return Ok(answer);
            }
            tokio::time::sleep(PAUSE * round).await;
            round += 1;
        }
    }

    fn patience_ms(&self) -> i32 {
        i32::try_from(self.timeout().as_millis()).unwrap_or(i32::MAX)
    }
}

/// Whether the broker has taken it; what an answer leaves out is not known.
fn check(op: &'static str, target: &str, told: Option<(i16, Option<&str>)>) -> Result<(), Fault> {
    match told {
        Some((0, _)) => Ok(()),
        Some((code, said)) => Err(faults::refused(op, target, code, said)),
        None => Err(Fault::new(Kind::Protocol, op, target, "the broker's answer left it out")),
    }
}
