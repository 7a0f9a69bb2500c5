//! What every log without partitions must do through its handles; places are the ones that the system itself gave.

use super::history::WHOLE;
use crate::support::SOON;
use crate::support::subjects::{Listener, Log, header, logs, read};
use mqdeck::domain::fault::Kind;
use mqdeck::domain::message::{Message, Outgoing, Stamp};
use mqdeck::domain::position::{Bound, Position, Range};
use mqdeck::domain::receipt::Receipt;
use std::time::Duration;

fn text(payload: &str) -> Outgoing {
    Outgoing { payload: Some(payload.to_owned().into()), ..Outgoing::default() }
}

async fn store(log: &Log, name: &str, message: Outgoing) -> Position {
    let publish = log.session.publish.as_ref().expect("the system takes messages");
    match publish.publish(name, message).await.unwrap_or_else(|fault| panic!("{}: {fault}", log.system)) {
        Receipt::Stored(position) => position,
        other => panic!("{}: {other}", log.system),
    }
}

fn payloads(messages: &[Message]) -> Vec<String> {
    messages.iter().map(|m| String::from_utf8_lossy(m.payload.as_deref().unwrap_or_default()).into_owned()).collect()
}

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|n| n.to_string()).collect()
}

#[tokio::test]
async fn every_bound_is_exact() {
    for log in logs("bounds").await {
        let mut places = Vec::new();
        for n in 0..10 {
            places.push(store(&log, &log.name, text(&n.to_string())).await);
            // Each has a millisecond of its own.
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
        let times: Vec<_> =
            read(&log.session, &log.name, WHOLE).await.expect("history").iter().map(|m| m.timestamp.expect("a time")).collect();
        assert!(times.is_sorted() && times[0] < times[9], "{}: {times:?}", log.system);
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
            let found = read(&log.session, &log.name, Range { start, end }).await.expect("history");
            assert_eq!(payloads(&found), numbers(expected), "{}: {start} to {end}", log.system);
        }
    }
}

#[tokio::test]
async fn the_end_is_the_end_at_the_moment_of_asking() {
    for log in logs("latest").await {
        store(&log, &log.name, text("0")).await;
        let mut reading = log.session.history.as_ref().expect("history").read(&log.name, WHOLE).await.expect("a reading");
        store(&log, &log.name, text("too late")).await;
        let mut found = Vec::new();
        for lane in &mut reading.lanes {
            while let Some(batch) = futures::StreamExt::next(&mut lane.batches).await {
                found.extend(batch.expect("a batch"));
            }
        }
        assert_eq!(payloads(&found), ["0"], "{}", log.system);
    }
}

#[tokio::test]
async fn a_long_log_is_complete_and_in_the_order_of_publishing() {
    for log in logs("long").await {
        let publish = log.session.publish.as_ref().expect("the system takes messages");
        let sent = (0..3_000).map(|n| publish.publish(&log.name, text(&n.to_string())));
        for receipt in futures::future::join_all(sent).await {
            receipt.unwrap_or_else(|fault| panic!("{}: {fault}", log.system));
        }
        let found = read(&log.session, &log.name, WHOLE).await.expect("history");
        assert!(payloads(&found) == numbers(0..3_000), "{}: {} messages, not all in order", log.system, found.len());
    }
}

#[tokio::test]
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
        let mut places = Vec::new();
        for message in sent.clone() {
            places.push(store(&log, &log.name, message).await);
        }
        let found = read(&log.session, &log.name, WHOLE).await.expect("history");
        assert_eq!(found.iter().map(|m| m.position).collect::<Vec<_>>(), places, "{}", log.system);
        for (found, sent) in found.iter().zip(&sent) {
            assert_eq!((&found.payload, &found.channel, found.stamp), (&sent.payload, &log.name, Stamp::Stored), "{}", log.system);
            // What the publishing itself adds (who is expected to store it) is not looked at.
            let mut headers = found.headers.clone();
            headers.retain(|header| !header.name.starts_with(b"Nats-"));
            assert_eq!(headers, sent.headers, "{}", log.system);
        }
    }
}

#[tokio::test]
async fn a_new_log_is_listed_and_what_is_published_is_counted() {
    for log in logs("inspect").await {
        let listed = log.session.inspect.channels().await.expect("a list");
        assert!(listed.iter().map(|channel| &channel.name).is_sorted(), "{}", log.system);
        let row = listed.iter().find(|channel| channel.name == log.name).expect("the new log");
        assert_eq!((row.depth.number(), row.ends, row.internal), (Some(0), Some(0), false), "{}", log.system);
        assert!(row.can.tail && row.can.history && row.can.publish, "{}", log.system);
        for n in 0..3 {
            store(&log, &log.name, text(&n.to_string())).await;
        }
        let described = log.session.inspect.describe(&log.name).await.expect("a description");
        assert_eq!((described.channel.depth.number(), &described.channel.name), (Some(3), &log.name), "{}", log.system);
        assert!(described.tables.iter().all(|table| table.rows.iter().all(|row| row.len() == table.columns.len())), "{}", log.system);
    }
}

#[tokio::test]
async fn a_log_that_does_not_exist_is_not_found_by_any_handle() {
    for log in logs("missing").await {
        let session = &log.session;
        let faults = [
            session.inspect.describe(log.missing).await.err(),
            session.history.as_ref().expect("history").read(log.missing, WHOLE).await.err(),
            session.publish.as_ref().expect("publish").publish(log.missing, text("x")).await.err(),
            session.tail.as_ref().expect("a tail").tail(&[log.missing.into()]).await.err(),
        ];
        for fault in faults {
            let fault = fault.unwrap_or_else(|| panic!("{}: a missing log was found", log.system));
            assert_eq!(fault.kind, Kind::NotFound, "{}: {fault}", log.system);
            assert!(fault.target.as_str().contains(log.missing), "{}: {fault}", log.system);
        }
    }
}

#[tokio::test]
async fn a_tail_sees_what_comes_in_several_logs_and_nothing_that_was_there() {
    for log in logs("tail").await {
        store(&log, &log.name, text("before")).await;
        let mut one = Listener::start(&log.session, &[log.name.clone(), log.other.clone()]).await;
        let mut two = Listener::start(&log.session, std::slice::from_ref(&log.name)).await;
        for n in 0..30 {
            store(&log, if n % 2 == 0 { &log.name } else { &log.other }, text(&n.to_string())).await;
        }
        one.until("30 messages", SOON, |tail| tail.messages.len() >= 30).await;
        two.until("15 messages", SOON, |tail| tail.messages.len() >= 15).await;
        one.for_a_while(Duration::from_millis(300)).await;
        for (name, first) in [(&log.name, 0), (&log.other, 1)] {
            let of_one: Vec<Message> = one.messages.iter().filter(|message| message.channel == *name).cloned().collect();
            assert_eq!(payloads(&of_one), (first..30).step_by(2).map(|n| n.to_string()).collect::<Vec<_>>(), "{}", log.system);
        }
        assert_eq!((one.said.as_slice(), two.said.as_slice()), (&[][..], &[][..]), "{}", log.system);
    }
}
