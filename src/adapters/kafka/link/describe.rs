//! Sizes on disk and settings of topics, where the broker tells them.

use super::super::faults;
use super::api::Request;
use super::cluster::Cluster;
use super::metadata::Topic;
use super::pool::Lane;
use crate::domain::fault::{Fault, Kind};
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::{DescribeConfigsResourceResult, DescribeConfigsResult};
use kafka_protocol::messages::describe_log_dirs_request::DescribableLogDirTopic;
use kafka_protocol::messages::{DescribeConfigsRequest, DescribeLogDirsRequest, DescribeLogDirsResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use std::collections::HashMap;

/// A resource of `DescribeConfigs` that is a topic.
pub(super) const TOPIC: i8 = 2;
/// One that is a broker.
const BROKER: i8 = 4;

/// Bytes on disk by topic and partition: those of the largest replica, because one that is catching up holds less.
#[derive(Debug, Default)]
pub(crate) struct Sizes(HashMap<String, HashMap<i32, u64>>);

/// One setting of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Setting {
    pub(crate) name: String,
    /// `None` where the broker keeps it to itself, as it does with what is sensitive.
    pub(crate) value: Option<String>,
    pub(crate) source: Source,
    /// What holds as soon as the topic itself says nothing; only where it was asked for.
    pub(crate) fallback: Option<String>,
}

/// Who set a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Source {
    Topic,
    Broker,
    Default,
}

impl Source {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Topic => "topic",
            Self::Broker => "broker",
            Self::Default => "default",
        }
    }
}

impl Sizes {
    /// Bytes of a partition; `None` if no broker told.
    pub(crate) fn partition(&self, topic: &str, partition: i32) -> Option<u64> {
        self.0.get(topic)?.get(&partition).copied()
    }

    /// Bytes of every partition together; `None` if one of them is unknown.
    pub(crate) fn topic(&self, topic: &Topic) -> Option<u64> {
        topic.partitions.iter().map(|partition| self.partition(&topic.name, partition.index)).sum()
    }

    fn learn(&mut self, answer: DescribeLogDirsResponse) {
        for topic in answer.results.into_iter().filter(|dir| dir.error_code == 0).flat_map(|dir| dir.topics) {
            let known = self.0.entry(topic.name.to_string()).or_default();
            // A future replica is a copy on its way to another disk.
            for partition in topic.partitions.into_iter().filter(|partition| !partition.is_future_key) {
                let size = u64::try_from(partition.partition_size).unwrap_or(0);
                let known = known.entry(partition.partition_index).or_default();
                *known = size.max(*known);
            }
        }
    }
}

impl Cluster {
    /// Sizes of one topic or of all, asked of every broker at once. Brokers that do not answer, do not know the request or
    /// forbid it (Describe on the cluster is needed) leave their partitions unknown.
    pub(crate) async fn sizes(&self, topic: Option<&Topic>) -> Sizes {
        let named = topic.map(|topic| {
            let partitions = topic.partitions.iter().map(|partition| partition.index).collect();
            vec![DescribableLogDirTopic::default().with_topic(topic_name(&topic.name)).with_partitions(partitions)]
        });
        let request = DescribeLogDirsRequest::default().with_topics(named);
        let brokers = self.brokers();
        let answers = futures::future::join_all(brokers.iter().map(|node| self.call(*node, Lane::Control, &request))).await;
        let mut sizes = Sizes::default();
        answers.into_iter().flatten().for_each(|answer| sizes.learn(answer));
        sizes
    }

    /// Settings of topics, in one request; with `keys` only these. A topic that the broker leaves out is missing.
    pub(crate) async fn settings(
        &self,
        topics: &[&str],
        keys: Option<&[&'static str]>,
    ) -> Result<HashMap<String, Result<Vec<Setting>, Fault>>, Fault> {
        let keys: Option<Vec<_>> = keys.map(|keys| keys.iter().map(|key| StrBytes::from_static_str(key)).collect());
        let resource = |topic: &&str| {
            DescribeConfigsResource::default()
                .with_resource_type(TOPIC)
                .with_resource_name(StrBytes::from_string((*topic).to_owned()))
                .with_configuration_keys(keys.clone())
        };
        let request = DescribeConfigsRequest::default().with_resources(topics.iter().map(resource).collect());
        let answer = self.call_any(&request).await?;
        Ok(answer.results.into_iter().map(|result| (result.resource_name.to_string(), settings(result))).collect())
    }

    /// Every setting of a topic, with what would hold without its own.
    pub(crate) async fn settings_of(&self, topic: &str) -> Result<Vec<Setting>, Fault> {
        let resource = DescribeConfigsResource::default()
            .with_resource_type(TOPIC)
            .with_resource_name(StrBytes::from_string(topic.to_owned()))
            .with_configuration_keys(None);
        let request = DescribeConfigsRequest::default().with_resources(vec![resource]).with_include_synonyms(true);
        let answer = self.call_any(&request).await?;
        let left_out = || Fault::new(Kind::Protocol, DescribeConfigsRequest::OP, topic, "the broker leaves them out");
        settings(answer.results.into_iter().next().ok_or_else(left_out)?)
    }

    /// A setting of a broker, as the first that is known has it; `None` if it has none of that name or keeps it to itself.
    pub(crate) async fn broker_setting(&self, name: &'static str) -> Result<Option<String>, Fault> {
        let Some(node) = self.brokers().first().copied() else { return Ok(None) };
        let resource = DescribeConfigsResource::default()
            .with_resource_type(BROKER)
            .with_resource_name(StrBytes::from_string(node.to_string()))
            .with_configuration_keys(Some(vec![StrBytes::from_static_str(name)]));
        let request = DescribeConfigsRequest::default().with_resources(vec![resource]);
        let answer = self.call(node, Lane::Control, &request).await?;
        let told = answer.results.into_iter().next().map_or_else(|| Ok(Vec::new()), settings)?;
        Ok(told.into_iter().find(|setting| setting.name == name).and_then(|setting| setting.value))
    }
}

fn topic_name(name: &str) -> TopicName {
    TopicName(StrBytes::from_string(name.to_owned()))
}

/// What was set here first, then by name.
fn settings(result: DescribeConfigsResult) -> Result<Vec<Setting>, Fault> {
    if result.error_code != 0 {
        let said = result.error_message.as_deref();
        return Err(faults::refused(DescribeConfigsRequest::OP, result.resource_name.as_str(), result.error_code, said));
    }
    let mut settings: Vec<_> = result.configs.into_iter().map(setting).collect();
    settings.sort_by(|a, b| (a.source, &a.name).cmp(&(b.source, &b.name)));
    Ok(settings)
}

fn setting(config: DescribeConfigsResourceResult) -> Setting {
    // `ConfigSource` of Kafka's DescribeConfigsResponse: 1 the topic itself, 5 the default, the others set by the broker.
    let source = match config.config_source {
        1 => Source::Topic,
        5 => Source::Default,
        _ => Source::Broker,
    };
    let value = config.value.filter(|_| !config.is_sensitive).map(|value| value.to_string());
    // Kafka names them in the order in which they hold: the topic's own first, if it has one.
    let fallback = config.synonyms.into_iter().find(|synonym| synonym.source != 1).and_then(|synonym| synonym.value);
    Setting { name: config.name.to_string(), value, source, fallback: fallback.map(|value| value.to_string()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_protocol::messages::describe_log_dirs_response::{DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic};

    fn dirs(sizes: &[(i32, i64, bool)]) -> DescribeLogDirsResponse {
        let partition = |&(index, size, future): &(i32, i64, bool)| {
            DescribeLogDirsPartition::default().with_partition_index(index).with_partition_size(size).with_is_future_key(future)
        };
        let topic = DescribeLogDirsTopic::default().with_name(topic_name("orders")).with_partitions(sizes.iter().map(partition).collect());
        DescribeLogDirsResponse::default().with_results(vec![DescribeLogDirsResult::default().with_topics(vec![topic])])
    }

    #[test]
    fn a_size_is_that_of_the_largest_replica_and_unknown_without_any() {
        let mut sizes = Sizes::default();
        sizes.learn(dirs(&[(0, 500, false), (1, 10, false), (1, 900, true)]));
        sizes.learn(dirs(&[(0, 700, false), (1, 8, false)]));
        assert_eq!(sizes.partition("orders", 0), Some(700));
        assert_eq!(sizes.partition("orders", 1), Some(10), "a copy on its way to another disk does not count");
        assert_eq!(sizes.partition("orders", 2), None);
        assert_eq!(sizes.partition("payments", 0), None);
    }

    #[test]
    fn what_was_set_for_the_topic_comes_first_and_secrets_stay_hidden() {
        let config = |name: &'static str, value: &'static str, source, sensitive| {
            DescribeConfigsResourceResult::default()
                .with_name(StrBytes::from_static_str(name))
                .with_value(Some(StrBytes::from_static_str(value)))
                .with_config_source(source)
                .with_is_sensitive(sensitive)
        };
        let result = DescribeConfigsResult::default().with_configs(vec![
            config("a.default", "1", 5, false),
            config("b.broker", "2", 4, false),
            config("z.topic", "3", 1, false),
            config("c.secret", "hunter2", 4, true),
        ]);
        let settings = settings(result).expect("settings");
        let told: Vec<_> = settings.iter().map(|s| (s.name.as_str(), s.value.as_deref(), s.source)).collect();
        assert_eq!(
            told,
            [
                ("z.topic", Some("3"), Source::Topic),
                ("b.broker", Some("2"), Source::Broker),
                ("c.secret", None, Source::Broker),
                ("a.default", Some("1"), Source::Default),
            ]
        );
    }
}
