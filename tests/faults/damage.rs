//! A byte that flipped on the broker's disk: told with its place, and the rest goes on.

use crate::support::subjects::{connect, everything, kept, outgoing, places, read};
use crate::support::{kafka, topics};
use mqdeck::config::profile::Integration;
use mqdeck::domain::fault::Kind;
use mqdeck::domain::position::{Bound, Position, Range};
use mqdeck::domain::search::Scope;

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_batch_is_told_with_its_place_and_everything_else_is_read() {
    let Some(mut kafka) = kafka::own(&[]) else { return };
    let topic = topics::create(kafka.plain(), "damage", 2, 1, &[]).await;
    let session = connect(Integration::new("events", "kafka", vec![kafka.plain().to_owned()])).await.expect("Kafka is there");
    let publish = session.publish.as_ref().expect("Kafka takes messages");
    for n in 0..10 {
        for partition in [0, 1] {
            // Each is waited for, so that each is a batch of its own.
            publish.publish(&topic, outgoing(partition, None, Some(&format!("payload-{n}")))).await.expect("stored");
        }
    }
    drop(session);

    kafka.stop(1);
    let segment = kafka.segment(1, &topic, 0);
    let mut bytes = std::fs::read(&segment).expect("the segment");
    let at = bytes.windows(9).position(|window| window == b"payload-5").expect("the message is in the segment");
    bytes[at] ^= 1;
    std::fs::write(&segment, bytes).expect("the segment");
    kafka.restart();

    let session = connect(Integration::new("events", "kafka", vec![kafka.plain().to_owned()])).await.expect("Kafka is back");
    let history = session.history.as_ref().expect("Kafka has history");
    let whole = Range { start: Bound::Earliest, end: Bound::Latest };
    let scan = history.scan(&topic, &Scope::of(whole), everything()).await.expect("a search");
    for mut lane in scan.lanes {
        let (mut messages, mut fault) = (Vec::new(), None);
        while let Some(batch) = futures::StreamExt::next(&mut lane.batches).await {
            match batch {
                Ok(batch) => messages.extend(kept(batch)),
                Err(found) => fault = Some(found),
            }
        }
        let offsets: Vec<i64> = places(&messages).into_values().flatten().collect();
        if lane.partition == Some(0) {
            let fault = fault.expect("the damage is told");
            assert_eq!((offsets, fault.kind), (vec![0, 1, 2, 3, 4, 6, 7, 8, 9], Kind::Protocol), "{fault}");
            let said = fault.to_string();
            assert!(fault.target.as_str().starts_with(&topic) && said.contains('5'), "{said}");
            assert!(said.contains("CRC-32C") && said.contains("0@6"), "{said}");
            assert!(!fault.next.as_str().is_empty(), "{said}");
        } else {
            assert_eq!((offsets, fault), ((0..10).collect(), None));
        }
    }
    let behind = Range { start: Bound::At(Position::Offset { partition: 0, offset: 6 }), end: Bound::Latest };
    assert_eq!(places(&read(&session, &topic, behind).await.expect("what stands behind it")).remove(&0), Some((6..10).collect()));
}
