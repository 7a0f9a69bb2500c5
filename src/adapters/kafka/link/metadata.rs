//! What is known of a cluster: its brokers, topics and leaders, as of the last answers.

use super::super::faults;
use super::connection::HostPort;
use crate::domain::channel::Caps;
use kafka_protocol::messages::MetadataResponse;
use kafka_protocol::messages::metadata_response::{MetadataResponsePartition, MetadataResponseTopic};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// One topic as a broker described it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Topic {
    pub(crate) name: Arc<str>,
    /// Belongs to Kafka itself.
    pub(crate) internal: bool,
    /// 0, or why it is not described.
    pub(crate) error: i16,
    /// What our user may do with it, a bit for each ACL operation; `None` where the broker was not asked or is too old to say.
    pub(crate) operations: Option<i32>,
    /// In the order of their indices.
    pub(crate) partitions: Vec<Partition>,
}

/// One partition as a broker described it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Partition {
    pub(crate) index: i32,
    /// The broker that leads it; `None` while nobody does.
    pub(crate) leader: Option<i32>,
    /// Counts the leaders it has had; -1 where the broker is too old to say.
    pub(crate) epoch: i32,
    pub(crate) replicas: Vec<i32>,
    pub(crate) isr: Vec<i32>,
    /// 0, or what is wrong with it.
    pub(crate) error: i16,
}

/// The cache of a cluster's metadata.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    pub(crate) brokers: BTreeMap<i32, HostPort>,
    topics: HashMap<Arc<str>, Arc<Topic>>,
}

impl Known {
    /// Takes in an answer; `whole` says that it was asked for every topic, so that what it does not name is gone.
    /// Returns the topics of the answer, in the order of their names.
    pub(crate) fn learn(&mut self, answer: MetadataResponse, whole: bool) -> Vec<Arc<Topic>> {
        // A broker that is just starting names none: what was known before is the better guess.
        if !answer.brokers.is_empty() {
            self.brokers =
                answer.brokers.iter().filter_map(|broker| Some((*broker.node_id, address(&broker.host, broker.port)?))).collect();
        }
        if whole {
            self.topics.clear();
        }
        let mut named: Vec<_> = answer.topics.into_iter().filter_map(topic).map(Arc::new).collect();
        named.sort_by(|a, b| a.name.cmp(&b.name));
        for topic in &named {
            if topic.error == 0 {
                self.topics.insert(Arc::clone(&topic.name), Arc::clone(topic));
            } else {
                self.topics.remove(&topic.name);
            }
        }
        named
    }

    /// The topic, if it was described and not forgotten since.
    pub(crate) fn topic(&self, name: &str) -> Option<Arc<Topic>> {
        self.topics.get(name).cloned()
    }

    /// Forgets a topic whose leaders have moved.
    pub(crate) fn forget(&mut self, name: &str) {
        self.topics.remove(name);
    }
}

/// Kafka's `AclOperation` codes, and what stands for "not asked".
const READ: i32 = 3;
const WRITE: i32 = 4;
const UNASKED: i32 = i32::MIN;

impl Topic {
    /// What is left of `offered` after the topic's ACLs. Where they are not told, asking will tell.
    pub(crate) fn allowed(&self, offered: Caps) -> Caps {
        let may = |operation: i32| self.operations.is_none_or(|bits| bits & (1 << operation) != 0);
        let (read, write) = (may(READ) && self.error == 0, may(WRITE) && self.error == 0 && !self.internal);
        Caps { tail: offered.tail && read, history: offered.history && read, publish: offered.publish && write, ..Caps::default() }
    }

    /// The partition with that index.
    pub(crate) fn partition(&self, index: i32) -> Option<&Partition> {
        self.partitions.binary_search_by_key(&index, |partition| partition.index).ok().and_then(|at| self.partitions.get(at))
    }
}

fn address(host: &str, port: i32) -> Option<HostPort> {
    Some(HostPort { host: host.to_owned(), port: u16::try_from(port).ok()? })
}

fn topic(topic: MetadataResponseTopic) -> Option<Topic> {
    let mut partitions: Vec<_> = topic.partitions.into_iter().map(partition).collect();
    partitions.sort_by_key(|partition| partition.index);
    let name = topic.name?;
    Some(Topic {
        name: name.as_str().into(),
        internal: topic.is_internal,
        error: topic.error_code,
        operations: Some(topic.topic_authorized_operations).filter(|bits| *bits != UNASKED),
        partitions,
    })
}

fn partition(partition: MetadataResponsePartition) -> Partition {
    let ids = |ids: Vec<kafka_protocol::messages::BrokerId>| ids.into_iter().map(|id| *id).collect();
    Partition {
        index: partition.partition_index,
        leader: Some(*partition.leader_id).filter(|id| *id >= 0 && !faults::moved(partition.error_code)),
        epoch: partition.leader_epoch,
        replicas: ids(partition.replica_nodes),
        isr: ids(partition.isr_nodes),
        error: partition.error_code,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_protocol::messages::metadata_response::MetadataResponseBroker;
    use kafka_protocol::messages::{BrokerId, TopicName};
    use kafka_protocol::protocol::StrBytes;

    fn answer(topics: &[(&str, i16, &[i32])]) -> MetadataResponse {
        let broker = MetadataResponseBroker::default().with_node_id(BrokerId(1)).with_host(StrBytes::from_static_str("b1")).with_port(9092);
        let topics = topics.iter().map(|(name, error, leaders)| {
            let partitions = leaders.iter().enumerate().rev().map(|(index, leader)| {
                MetadataResponsePartition::default().with_partition_index(index as i32).with_leader_id(BrokerId(*leader))
            });
            MetadataResponseTopic::default()
                .with_name(Some(TopicName(StrBytes::from_string((*name).to_owned()))))
                .with_error_code(*error)
                .with_partitions(partitions.collect())
        });
        MetadataResponse::default().with_brokers(vec![broker]).with_topics(topics.collect())
    }

    #[test]
    fn partitions_are_found_by_their_index_whatever_their_order() {
        let mut known = Known::default();
        known.learn(answer(&[("orders", 0, &[1, 2, -1])]), true);
        let topic = known.topic("orders").expect("known");
        assert_eq!(topic.partition(1).and_then(|p| p.leader), Some(2));
        assert_eq!(topic.partition(2).map(|p| p.leader), Some(None), "no leader is told from no partition");
        assert_eq!(topic.partition(3), None);
    }

    #[test]
    fn a_whole_answer_replaces_and_a_partial_one_adds() {
        let mut known = Known::default();
        known.learn(answer(&[("a", 0, &[1]), ("b", 0, &[1])]), true);
        known.learn(answer(&[("c", 0, &[1])]), false);
        assert!(["a", "b", "c"].iter().all(|name| known.topic(name).is_some()));
        known.learn(answer(&[("b", 29, &[])]), false);
        assert_eq!(known.topic("b"), None, "a topic that was taken from us is forgotten");
        known.learn(answer(&[("a", 0, &[1])]), true);
        assert_eq!(known.topic("c"), None);
        known.forget("a");
        assert_eq!(known.topic("a"), None);
    }

    #[test]
    fn acls_take_away_what_the_user_may_not_do() {
        let all = Caps { tail: true, history: true, publish: true, ..Caps::default() };
        let mut topic = Topic { name: "a".into(), internal: false, error: 0, operations: None, partitions: Vec::new() };
        assert_eq!(topic.allowed(all), all, "unknown is tried");
        topic.operations = Some(1 << READ);
        assert_eq!(topic.allowed(all), Caps { publish: false, ..all });
        topic.operations = Some(1 << WRITE);
        assert_eq!(topic.allowed(all), Caps { publish: true, ..Caps::default() });
        topic.error = 29;
        assert_eq!(topic.allowed(all), Caps::default());
    }

    #[test]
    fn a_broker_that_names_no_brokers_does_not_erase_them() {
        let mut known = Known::default();
        known.learn(answer(&[]), true);
        known.learn(MetadataResponse::default(), true);
        assert_eq!(known.brokers.len(), 1);
    }
}
