//! Groups: who consumes, and how far they are.

use crate::support::subjects::{connect, outgoing};
use crate::support::{commits, kafka, topics, unique};
use mqdeck::config::profile::Integration;

#[tokio::test]
async fn smoke() {
    let Some(kafka) = kafka::shared() else { return };
    let topic = topics::create(kafka.plain(), "lag", 3, 1, &[]).await;
    let session = connect(Integration::new("events", "kafka", vec![kafka.plain().to_owned()])).await.expect("Kafka is there");
    let publish = session.publish.as_ref().expect("publish");
    for n in 0..30 {
        publish.publish(&topic, outgoing(n % 3, None, Some("x"))).await.expect("stored");
    }
    let group = unique("payments");
    commits::commit(kafka.plain(), &group, &topic, &[(0, 4), (1, 10)]);
    let groups = session.groups.as_ref().expect("groups");
    let listing = groups.groups().await.expect("listed");
    let row = listing.groups.iter().find(|row| *row.name == *group).expect("listed");
    panic!("{row:#?} {:?} {:#?}", listing.gaps, groups.standings(&[group.into()]).await);
}
