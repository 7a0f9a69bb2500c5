//! Groups by librdkafka's consumer: commits of one that assigns partitions to itself, which leave a group with positions and no
//! member, and members that join.

use super::SOON;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use std::time::{Duration, Instant};

/// Commits these next positions.
pub(crate) fn commit(bootstrap: &str, group: &str, topic: &str, positions: &[(i32, i64)]) {
    let consumer: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", bootstrap).set("group.id", group).create().expect("a consumer");
    commit_as(&consumer, topic, positions);
}

/// Commits as this consumer.
pub(crate) fn commit_as(consumer: &BaseConsumer, topic: &str, positions: &[(i32, i64)]) {
    let mut list = TopicPartitionList::new();
    for (partition, offset) in positions {
        list.add_partition_offset(topic, *partition, Offset::Offset(*offset)).expect("an offset");
    }
    let began = Instant::now();
    while let Err(error) = consumer.commit(&list, CommitMode::Sync) {
        // A cluster that has just got its first group is still making up its coordinators.
        let loading = matches!(
            error.rdkafka_error_code(),
            Some(
                RDKafkaErrorCode::CoordinatorLoadInProgress | RDKafkaErrorCode::CoordinatorNotAvailable | RDKafkaErrorCode::NotCoordinator
            )
        );
        assert!(loading && began.elapsed() < SOON, "the commit was refused: {error}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Joins a group as the client `reader`, and returns once it has that many partitions.
pub(crate) fn join(bootstrap: &str, group: &str, topic: &str, partitions: usize, limit: Duration) -> BaseConsumer {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", group)
        .set("client.id", "reader")
        .set("enable.auto.commit", "false")
        .create()
        .expect("a consumer");
    consumer.subscribe(&[topic]).expect("subscribes");
    let began = Instant::now();
    while consumer.assignment().expect("an assignment").count() < partitions {
        assert!(began.elapsed() < limit, "the group gave out no partitions");
        let _ = consumer.poll(Duration::from_millis(50));
    }
    consumer
}
