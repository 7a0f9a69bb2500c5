//! Three brokers, their leaders killed one after the other under a tail and a publisher.

use crate::support::subjects::{Listener, connect, outgoing, place};
use crate::support::{SOON, kafka, topics};
use mqdeck::config::profile::Integration;
use mqdeck::domain::position::Position;
use mqdeck::domain::receipt::Receipt;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const PARTITIONS: i32 = 6;

#[tokio::test(flavor = "multi_thread")]
async fn leaders_that_die_one_by_one_cost_neither_a_message_nor_an_order() {
    let Some(mut kafka) = kafka::own(&["--brokers", "3"]) else { return };
    let topic: Arc<str> = topics::create(kafka.plain(), "cluster", PARTITIONS, 3, &[("min.insync.replicas", "2")]).await.into();
    let addresses = kafka.plain().split(',').map(str::to_owned).collect();
    let session = connect(Integration::new("events", "kafka", addresses)).await.expect("Kafka is there");
    let mut tail = Listener::start(&session, std::slice::from_ref(&topic)).await;

    let (over, stored) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let sender = session.publish.clone().expect("Kafka takes messages");
    let writer = tokio::spawn({
        let (over, stored, topic) = (over.clone(), stored.clone(), topic.clone());
        async move {
            let mut receipts = BTreeMap::new();
            for n in 0.. {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                // A message whose fate is unknown is not sent again: it may be there.
                if let Ok(receipt) = sender.publish(&topic, outgoing(n % PARTITIONS, None, Some(&n.to_string()))).await {
                    receipts.insert(n, receipt);
                    stored.store(receipts.len(), Ordering::Relaxed);
                }
            }
            receipts
        }
    });

    for node in [1, 2, 3] {
        more_is_stored(&mut tail, &stored).await;
        kafka.kill(node);
        more_is_stored(&mut tail, &stored).await;
        kafka.restart();
    }
    more_is_stored(&mut tail, &stored).await;
    over.store(true, Ordering::Relaxed);
    let receipts = writer.await.expect("the writer");
    let ends: u64 = session.inspect.describe(&topic).await.expect("a description").channel.ends.expect("its ends");
    tail.until("everything that is stored", SOON, |tail| tail.messages.len() as u64 >= ends).await;
    tail.for_a_while(Duration::from_millis(500)).await;

    let found: BTreeMap<(i32, i64), i32> = tail
        .messages
        .iter()
        .map(|message| (place(message), String::from_utf8_lossy(message.payload.as_ref().expect("a payload")).parse().expect("a number")))
        .collect();
    assert_eq!(found.len(), tail.messages.len(), "a message came twice");
    let numbers: BTreeSet<i32> = found.values().copied().collect();
    assert_eq!(numbers.len(), found.len(), "a message was stored twice");
    for (n, receipt) in &receipts {
        let Receipt::Stored(Position::Offset { partition, offset }) = receipt else { panic!("{receipt}") };
        assert_eq!(found.get(&(*partition, *offset)), Some(n), "{receipt} is not what the tail saw");
    }
    for partition in 0..PARTITIONS {
        let of_one: Vec<(i32, i64)> = tail.messages.iter().map(place).filter(|(p, _)| *p == partition).collect();
        assert!(of_one.is_sorted(), "partition {partition} came out of order");
    }
}

/// Listens until two hundred more messages were stored.
async fn more_is_stored(tail: &mut Listener, stored: &AtomicUsize) {
    let wanted = stored.load(Ordering::Relaxed) + 200;
    let until = Instant::now() + 3 * SOON;
    while Instant::now() < until {
        tail.for_a_while(Duration::from_millis(100)).await;
        if stored.load(Ordering::Relaxed) >= wanted {
            return;
        }
    }
    panic!("publishing came to a stop; the tail said {:?}", tail.said);
}
