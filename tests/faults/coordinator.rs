//! Three brokers, of which one is killed: its groups are told again as soon as another broker coordinates them.

use crate::support::subjects::{connect, outgoing};
use crate::support::{SOON, commits, kafka, topics};
use mqdeck::config::profile::Integration;
use mqdeck::domain::figure::Amount;
use std::sync::Arc;
use std::time::{Duration, Instant};

const GROUPS: usize = 12;

#[tokio::test(flavor = "multi_thread")]
async fn groups_of_a_broker_that_died_come_back_and_the_others_stay() {
    let Some(kafka) = kafka::own(&["--brokers", "3"]) else { return };
    let topic = topics::create(kafka.plain(), "coordinator", 3, 3, &[]).await;
    let names: Vec<Arc<str>> = (0..GROUPS).map(|number| format!("group-{number}").into()).collect();
    let addresses = kafka.plain().split(',').map(str::to_owned).collect();
    let session = connect(Integration::new("events", "kafka", addresses)).await.expect("Kafka is there");
    let publish = session.publish.as_ref().expect("Kafka takes messages");
    for number in 0..30 {
        publish.publish(&topic, outgoing(number % 3, None, Some("x"))).await.expect("stored");
    }
    for name in &names {
        commits::commit(kafka.plain(), name, &topic, &[(0, 1), (1, 2), (2, 3)]);
    }
    let groups = session.groups.as_ref().expect("Kafka has groups");
    let lags = [Amount::Exactly(9), Amount::Exactly(8), Amount::Exactly(7)];
    let whole = async || {
        // A coordinator that is gone is waited for a little, not until another one is elected.
        let told = tokio::time::timeout(SOON, groups.group_offsets(&names)).await.expect("a table").unwrap_or_default();
        let right = |rows: &Vec<_>| rows.iter().map(|row: &mqdeck::domain::group::GroupOffset| row.lag).eq(lags);
        told.iter().filter(|rows| rows.as_ref().is_ok_and(right)).count()
    };
    assert_eq!(whole().await, GROUPS);
    kafka.kill(1);
    let began = Instant::now();
    loop {
        let right = whole().await;
        if right == GROUPS {
            break;
        }
        assert!(began.elapsed() < 3 * SOON, "{right} of {GROUPS} groups came back");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let listing = groups.groups().await.expect("listed");
    let known = listing.groups.iter().filter(|row| names.contains(&row.name) && row.fault.is_none()).count();
    assert_eq!(known, GROUPS, "{listing:?}");
}
