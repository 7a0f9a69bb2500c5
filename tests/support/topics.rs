//! Topics for tests, made by rdkafka's admin client.

use super::{SOON, unique};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Offset, TopicPartitionList};
use std::time::{Duration, Instant};

/// Creates a topic of that name plus something unique, and waits until each partition has a leader.
pub(crate) async fn create(bootstrap: &str, name: &str, partitions: i32, replicas: i32, configs: &[(&str, &str)]) -> String {
    let topic = unique(name);
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", bootstrap).create().expect("an admin client");
    let mut wanted = NewTopic::new(&topic, partitions, TopicReplication::Fixed(replicas));
    for (name, value) in configs {
        wanted = wanted.set(name, value);
    }
    let options = AdminOptions::new().operation_timeout(Some(SOON));
    let made = admin.create_topics([&wanted], &options).await.expect("the broker answers");
    assert!(made.iter().all(Result::is_ok), "{made:?}");
    // A broker learns of a topic a little after the one that made it.
    for address in bootstrap.split(',') {
        wait_for_leaders(address, &topic, partitions).await;
    }
    topic
}

/// Waits until that broker names a leader for each partition.
async fn wait_for_leaders(address: &str, topic: &str, partitions: i32) {
    let began = Instant::now();
    loop {
        // A new client each time: one that knows the cluster asks whichever broker it likes.
        let client: BaseConsumer = ClientConfig::new().set("bootstrap.servers", address).create().expect("a client");
        let metadata = client.fetch_metadata(Some(topic), SOON).expect("metadata");
        let all = metadata.topics().iter().flat_map(rdkafka::metadata::MetadataTopic::partitions);
        if all.filter(|p| p.leader() >= 0 && p.error().is_none()).count() == usize::try_from(partitions).expect("a positive number") {
            return;
        }
        assert!(began.elapsed() < SOON, "{address} names no leaders for {topic}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Deletes what stands before an offset, as retention does.
pub(crate) async fn delete_before(bootstrap: &str, topic: &str, partition: i32, offset: i64) {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", bootstrap).create().expect("an admin client");
    let mut wanted = TopicPartitionList::new();
    wanted.add_partition_offset(topic, partition, Offset::Offset(offset)).expect("an offset");
    let done = admin.delete_records(&wanted, &AdminOptions::new()).await.expect("the broker answers");
    assert!(done.elements().iter().all(|element| element.error().is_ok()), "{done:?}");
}
