//! A log read between positions and times: exact at both ends, in order, complete.

use crate::support::subjects::{Subject, everything, kept, outgoing, places, read, subjects};
use mqdeck::domain::fault::Kind;
use mqdeck::domain::position::{Bound, Position, Range};
use mqdeck::domain::search::Scope;
use mqdeck::domain::time::Timestamp;
use std::collections::BTreeMap;

/// All that a channel holds when it is asked.
pub(crate) const WHOLE: Range = Range { start: Bound::Earliest, end: Bound::Latest };

/// 2026-02-05T10:00:00Z: the moment of the first message; each offset is a second later, in every partition.
const FIRST: i64 = 1_770_285_600_000;

/// Ten messages in each of two partitions; the third stays empty.
async fn fill(subject: &Subject) {
    let publish = subject.session.publish.as_ref().expect("the system takes messages");
    for partition in [0, 1] {
        for offset in 0..10 {
            let mut message = outgoing(partition, None, Some(&format!("{partition}@{offset}")));
            message.timestamp = Some(Timestamp(FIRST + 1_000 * offset));
            publish.publish(&subject.topic, message).await.expect("stored");
        }
    }
}

/// What of each partition a range holds.
type Parts = &'static [(i32, std::ops::Range<i64>)];

#[tokio::test(flavor = "multi_thread")]
async fn every_bound_is_exact_in_every_partition() {
    let second = |n: i64| Bound::Time(Timestamp(FIRST + 1_000 * n));
    let at = |partition, offset| Bound::At(Position::Offset { partition, offset });
    let cases: &[(Bound, Bound, Parts)] = &[
        (Bound::Earliest, Bound::Latest, &[(0, 0..10), (1, 0..10)]),
        (Bound::Latest, Bound::Latest, &[]),
        (Bound::Earliest, Bound::Earliest, &[]),
        (Bound::BeforeEnd(3), Bound::Latest, &[(0, 7..10), (1, 7..10)]),
        (Bound::BeforeEnd(500), Bound::BeforeEnd(8), &[(0, 0..2), (1, 0..2)]),
        (Bound::Each(4), Bound::Each(6), &[(0, 4..6), (1, 4..6)]),
        (Bound::Each(6), Bound::Each(4), &[]),
        (Bound::Each(9), Bound::Each(1_000), &[(0, 9..10), (1, 9..10)]),
        (at(1, 4), Bound::Latest, &[(1, 4..10)]),
        (at(1, 4), at(1, 5), &[(1, 4..5)]),
        (Bound::Earliest, at(0, 3), &[(0, 0..3)]),
        (second(2), second(5), &[(0, 2..5), (1, 2..5)]),
        (Bound::Time(Timestamp(FIRST + 1)), Bound::Latest, &[(0, 1..10), (1, 1..10)]),
        (second(-60), second(0), &[]),
        (second(60), Bound::Latest, &[]),
        (Bound::Earliest, second(60), &[(0, 0..10), (1, 0..10)]),
    ];
    for subject in subjects("bounds", 3).await {
        fill(&subject).await;
        for (start, end, expected) in cases {
            let range = Range { start: *start, end: *end };
            let found = places(&read(&subject.session, &subject.topic, range).await.expect("history"));
            let expected: BTreeMap<i32, Vec<i64>> = expected.iter().map(|(p, offsets)| (*p, offsets.clone().collect())).collect();
            assert_eq!(found, expected, "{}: {start} to {end}", subject.system);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_is_the_end_at_the_moment_of_asking() {
    for subject in subjects("latest", 3).await {
        fill(&subject).await;
        let history = subject.session.history.as_ref().expect("history");
        let mut scan = history.scan(&subject.topic, &Scope::of(WHOLE), everything()).await.expect("a search");
        let publish = subject.session.publish.as_ref().expect("the system takes messages");
        publish.publish(&subject.topic, outgoing(0, None, Some("too late"))).await.expect("stored");
        let mut found = Vec::new();
        for lane in &mut scan.lanes {
            while let Some(batch) = futures::StreamExt::next(&mut lane.batches).await {
                found.extend(kept(batch.expect("a batch")));
            }
        }
        assert_eq!(found.len(), 20, "{}", subject.system);
        assert!(found.iter().all(|message| message.payload.as_deref() != Some(b"too late")), "{}", subject.system);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_that_does_not_exist_is_told() {
    for subject in subjects("partition", 3).await {
        fill(&subject).await;
        let start = Bound::At(Position::Offset { partition: 17, offset: 0 });
        let found = read(&subject.session, &subject.topic, Range { start, end: Bound::Latest }).await;
        match found {
            // Nothing is there to be read, or the system says so.
            Ok(messages) => assert_eq!(messages, [], "{}", subject.system),
            Err(fault) => assert_eq!(fault.kind, Kind::NotFound, "{}: {fault}", subject.system),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_log_is_complete_and_in_order() {
    for subject in subjects("long", 3).await {
        let publish = subject.session.publish.as_ref().expect("the system takes messages");
        let sent = (0..3_000).map(|n| publish.publish(&subject.topic, outgoing(n % 3, None, Some(&n.to_string()))));
        for receipt in futures::future::join_all(sent).await {
            receipt.expect("stored");
        }
        let messages = read(&subject.session, &subject.topic, WHOLE).await.expect("history");
        assert_eq!(messages.len(), 3_000, "{}", subject.system);
        for (partition, offsets) in places(&messages) {
            assert_eq!(offsets, (0..1_000).collect::<Vec<i64>>(), "{}: partition {partition}", subject.system);
        }
        // Concurrent calls made in order to one partition are stored in that order.
        let of_one: Vec<u32> = messages
            .iter()
            .filter(|message| crate::support::subjects::place(message).0 == 1)
            .map(|message| String::from_utf8_lossy(message.payload.as_ref().expect("a payload")).parse().expect("a number"))
            .collect();
        assert_eq!(of_one, (0..3_000).filter(|n| n % 3 == 1).collect::<Vec<u32>>(), "{}", subject.system);
    }
}
