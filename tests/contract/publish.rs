//! Sending messages: byte for byte, with a receipt that names the place.

use super::history::WHOLE;
use crate::support::subjects::{header, outgoing, read, subjects};
use mqdeck::domain::fault::Kind;
use mqdeck::domain::message::{Outgoing, Stamp};
use mqdeck::domain::position::Position;
use mqdeck::domain::receipt::Receipt;
use mqdeck::domain::time::Timestamp;

/// What must survive the way into a log and out of it.
fn peculiar() -> Vec<(&'static str, Outgoing)> {
    let bare = || outgoing(0, None, None);
    vec![
        ("no key and no payload", bare()),
        ("an empty key and an empty payload", outgoing(0, Some(""), Some(""))),
        ("a tombstone", outgoing(0, Some("customer-1"), None)),
        ("bytes that are no text", Outgoing { key: Some(vec![0xff, 0, 1].into()), payload: Some((0..=255).collect()), ..bare() }),
        ("text in another script", outgoing(0, Some("größe"), Some("漢字 \u{202e}\u{1b}[2J"))),
        ("a number beyond 2^53", outgoing(0, None, Some(r#"{"a":9007199254740993,"a":1.10,"b":1e400}"#))),
        (
            "duplicate, empty, missing and binary headers in order",
            Outgoing {
                headers: vec![
                    header("trace", Some(b"1")),
                    header("b", None),
                    header("trace", Some(b"2")),
                    header("empty", Some(b"")),
                    header("", Some(&[0, 0xfe])),
                    header("trace", Some(b"1")),
                ],
                ..outgoing(0, None, Some("x"))
            },
        ),
        ("a time of its own", Outgoing { timestamp: Some(Timestamp(1_234_567_890_123)), ..outgoing(0, None, Some("old")) }),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_comes_out_as_it_went_in() {
    for subject in subjects("bytes", 1).await {
        let publish = subject.session.publish.as_ref().expect("the system takes messages");
        for (offset, (what, message)) in peculiar().into_iter().enumerate() {
            let receipt =
                publish.publish(&subject.topic, message).await.unwrap_or_else(|fault| panic!("{}: {what}: {fault}", subject.system));
            let stored = Receipt::Stored(Position::Offset { partition: 0, offset: offset as i64 });
            assert_eq!(receipt, stored, "{}: {what}", subject.system);
        }
        let found = read(&subject.session, &subject.topic, WHOLE).await.expect("history");
        assert_eq!(found.len(), peculiar().len(), "{}", subject.system);
        for (found, (what, sent)) in found.iter().zip(peculiar()) {
            assert_eq!((&found.key, &found.payload), (&sent.key, &sent.payload), "{}: {what}", subject.system);
            assert_eq!(found.headers, sent.headers, "{}: {what}", subject.system);
            assert_eq!((&found.channel, found.stamp), (&subject.topic, Stamp::Created), "{}: {what}", subject.system);
            if sent.timestamp.is_some() {
                assert_eq!(found.timestamp, sent.timestamp, "{}: {what}", subject.system);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_that_is_named_is_kept_and_a_key_decides_else() {
    for subject in subjects("spread", 3).await {
        let publish = subject.session.publish.as_ref().expect("the system takes messages");
        let store = async |message: Outgoing| match publish.publish(&subject.topic, message).await.expect("stored") {
            Receipt::Stored(Position::Offset { partition, .. }) => partition,
            other => panic!("{}: {other}", subject.system),
        };
        for partition in [2, 0, 1] {
            assert_eq!(store(outgoing(partition, Some("k"), Some("v"))).await, partition, "{}", subject.system);
        }
        let keyed = || Outgoing { options: Vec::new(), ..outgoing(0, Some("customer-7"), Some("v")) };
        let first = store(keyed()).await;
        for _ in 0..5 {
            assert_eq!(store(keyed()).await, first, "{}: one key, one partition", subject.system);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_that_does_not_exist_is_refused() {
    for subject in subjects("refuse", 3).await {
        let publish = subject.session.publish.as_ref().expect("the system takes messages");
        let fault = publish.publish(&subject.topic, outgoing(9, None, Some("v"))).await.expect_err("there is no partition 9");
        assert_eq!(fault.kind, Kind::NotFound, "{}: {fault}", subject.system);
        assert_eq!(read(&subject.session, &subject.topic, WHOLE).await.expect("history"), [], "{}", subject.system);
    }
}
