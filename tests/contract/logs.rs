//! What every log must do through its handles, whatever its system; places are the ones that the system itself gave.

use super::history::WHOLE;
use crate::support::offers::{Offer, offers, payloads};
use crate::support::subjects::{everything, header, kept, read};
use mqdeck::domain::fault::Kind;
use mqdeck::domain::message::{Outgoing, Stamp};
use mqdeck::domain::position::{Bound, Position, Range};
use mqdeck::domain::receipt::Receipt;
use mqdeck::domain::search::Scope;
use std::time::Duration;

fn text(payload: &str) -> Outgoing {
    Outgoing { payload: Some(payload.to_owned().into()), ..Outgoing::default() }
}

/// Every log that can be had here.
async fn logs(name: &str) -> Vec<Offer> {
    offers(name, |row| row.is.log).await
}

/// The place of the stored message, where the system says it.
async fn store(log: &Offer, name: &str, message: Outgoing) -> Option<Position> {
    let publish = log.session.publish.as_ref().expect("the system takes messages");
    match publish.publish(name, message).await.unwrap_or_else(|fault| panic!("{}: {fault}", log.title)) {
        Receipt::Stored(position) => Some(position),
        // RabbitMQ promises that it is stored, and not where.
        Receipt::Routed if log.row.system == "rabbitmq" => None,
        other => panic!("{}: {other}", log.title),
    }
}

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|n| n.to_string()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_bound_is_exact() {
    for log in logs("bounds").await {
        let mut stored = Vec::new();
        for n in 0..10 {
            stored.push(store(&log, &log.name, text(&n.to_string())).await);
            // Each has a millisecond of its own.
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
        let all = read(&log.session, &log.name, WHOLE).await.expect("history");
        let places: Vec<Position> = all.iter().map(|message| message.position).collect();
        assert!(
            stored.iter().zip(&places).all(|(stored, place)| stored.is_none_or(|stored| stored == *place)),
            "{}: {stored:?}",
            log.title
        );
        let epoch = mqdeck::domain::time::Timestamp(0);
        // RabbitMQ keeps the times that publishers say: none here.
        let timed = log.row.system != "rabbitmq";
        let times: Vec<_> = all.iter().map(|message| message.timestamp.or((!timed).then_some(epoch)).expect("a time")).collect();
        assert!(times.is_sorted() && (!timed || times[0] < times[9]), "{}: {times:?}", log.title);
        let before = mqdeck::domain::time::Timestamp(times[0].0 - 60_000);
        let after = mqdeck::domain::time::Timestamp(times[9].0 + 60_000);
        for (start, end, expected) in [
            (Bound::Earliest, Bound::Latest, 0..10),
            (Bound::Latest, Bound::Latest, 0..0),
            (Bound::Earliest, Bound::Earliest, 0..0),
            (Bound::BeforeEnd(3), Bound::Latest, 7..10),
            (Bound::BeforeEnd(500), Bound::BeforeEnd(8), 0..2),
            (Bound::At(places[4]), Bound::Latest, 4..10),
            (Bound::At(places[4]), Bound::At(places[6]), 4..6),
            (Bound::At(places[6]), Bound::At(places[4]), 0..0),
            (Bound::Time(times[2]), Bound::Time(times[5]), 2..5),
            (Bound::Time(before), Bound::Time(times[0]), 0..0),
            (Bound::Time(before), Bound::Time(after), 0..10),
            (Bound::Time(after), Bound::Latest, 0..0),
        ] {
            if !timed && matches!((start, end), (Bound::Time(_), _) | (_, Bound::Time(_))) {
                continue;
            }
            let found = read(&log.session, &log.name, Range { start, end }).await.expect("history");
            assert_eq!(payloads(&found), numbers(expected), "{}: {start} to {end}", log.title);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_is_the_end_at_the_moment_of_asking() {
    for log in logs("latest").await {
        store(&log, &log.name, text("0")).await;
        let history = log.session.history.as_ref().expect("history");
        let mut scan = history.scan(&log.name, &Scope::of(WHOLE), everything()).await.expect("a search");
        store(&log, &log.name, text("too late")).await;
        let mut found = Vec::new();
        for lane in &mut scan.lanes {
            while let Some(batch) = futures::StreamExt::next(&mut lane.batches).await {
                found.extend(kept(batch.expect("a batch")));
            }
        }
        assert_eq!(payloads(&found), ["0"], "{}", log.title);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_log_is_complete_and_in_the_order_of_publishing() {
    for log in logs("long").await {
        let publish = log.session.publish.as_ref().expect("the system takes messages");
        let sent = (0..3_000).map(|n| publish.publish(&log.name, text(&n.to_string())));
        for receipt in futures::future::join_all(sent).await {
            receipt.unwrap_or_else(|fault| panic!("{}: {fault}", log.title));
        }
        let found = read(&log.session, &log.name, WHOLE).await.expect("history");
        assert!(payloads(&found) == numbers(0..3_000), "{}: {} messages, not all in order", log.title, found.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_comes_out_as_it_went_in() {
    for log in logs("bytes").await {
        let sent = [
            text(""),
            Outgoing { payload: Some((0..=255).collect()), ..Outgoing::default() },
            text("漢字 \u{202e}\u{1b}[2J"),
            text(r#"{"a":9007199254740993,"a":1.10,"b":1e400}"#),
            Outgoing {
                headers: ["trace:1", "b:ü", "trace:2", "empty:", "trace:1"]
                    .map(|line| line.split_once(':').map(|(name, value)| header(name, Some(value.as_bytes()))).expect("a header"))
                    .into(),
                ..text("x")
            },
        ];
        let publish = log.session.publish.as_ref().expect("the system takes messages");
        let mut stored = Vec::new();
        for message in sent {
            match publish.publish(&log.name, message.clone()).await {
                Ok(_) => stored.push(message),
                // What a system cannot keep as it is, it is not given: RabbitMQ's headers have each name once.
                Err(fault) => {
                    assert!(matches!(fault.kind, Kind::Usage | Kind::Rejected) && !message.headers.is_empty(), "{}: {fault}", log.title);
                }
            }
        }
        let found = read(&log.session, &log.name, WHOLE).await.expect("history");
        assert_eq!(found.len(), stored.len(), "{}", log.title);
        for (found, sent) in found.iter().zip(&stored) {
            assert_eq!((&found.payload, &found.channel), (&sent.payload, &log.name), "{}", log.title);
            assert_ne!(found.stamp, Stamp::Seen, "{}: it is kept", log.title);
            // What the publishing itself adds (who is expected to store it) is not looked at.
            let mut headers = found.headers.clone();
            headers.retain(|header| !header.name.starts_with(b"Nats-") && &header.name[..] != b"amqp_delivery_mode");
            assert_eq!(headers, sent.headers, "{}", log.title);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_log_is_listed_and_what_is_published_is_counted() {
    for log in logs("inspect").await {
        let listed = log.session.inspect.channels().await.expect("a list");
        assert!(listed.iter().map(|channel| &channel.name).is_sorted(), "{}", log.title);
        let row = listed.iter().find(|channel| channel.name == log.name).expect("the new log");
        assert!(row.depth.number().is_none_or(|depth| depth == 0) && row.ends.is_none_or(|ends| ends == 0), "{}: {row:?}", log.title);
        for n in 0..3 {
            store(&log, &log.name, text(&n.to_string())).await;
        }
        let described = log.session.inspect.describe(&log.name).await.expect("a description");
        // RabbitMQ counts a stream's messages some seconds later.
        let counted = described.channel.depth.number().filter(|_| log.row.system != "rabbitmq");
        assert!(counted.is_none_or(|depth| depth == 3), "{}: {:?}", log.title, described.channel.depth);
    }
}
