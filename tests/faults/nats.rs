//! A server killed under a tail: it is told at once, the tail goes on, and what it missed is said.

use crate::support::nats;
use crate::support::subjects::{Listener, connect, manage};
use mqdeck::adapters::session::{Session, TailEvent};
use mqdeck::domain::message::Outgoing;
use mqdeck::domain::position::Position;
use mqdeck::domain::receipt::Receipt;
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(30);

/// Publishes until it is taken; where it was stored.
async fn insist(session: &Session, channel: &str, payload: &str) -> Receipt {
    let publish = session.publish.as_ref().expect("NATS takes messages");
    let until = Instant::now() + SOON;
    loop {
        let message = Outgoing { payload: Some(payload.to_owned().into()), ..Outgoing::default() };
        match publish.publish(channel, message).await {
            Ok(receipt) => return receipt,
            Err(fault) if Instant::now() < until && fault.kind.is_transient() => tokio::time::sleep(Duration::from_millis(100)).await,
            Err(fault) => panic!("{fault}"),
        }
    }
}

fn is_interruption(event: &TailEvent) -> bool {
    matches!(event, TailEvent::Interrupted(_))
}

fn resumptions(tail: &Listener) -> Vec<Option<u64>> {
    let lost = tail.said.iter().filter_map(|event| match event {
        TailEvent::Resumed { lost } => Some(*lost),
        _ => None,
    });
    lost.collect()
}

#[tokio::test]
async fn a_killed_server_is_told_within_two_seconds_and_a_stream_loses_nothing() {
    let Some(mut nats) = nats::own(&[]) else { return };
    let session = connect(nats.integration()).await.expect("connected");
    manage(&session, "nats", "create-stream", &[("name", "KEPT")]).await;
    let mut stream = Listener::start(&session, &["stream:KEPT".into()]).await;
    let mut subject = Listener::start(&session, &["live".into()]).await;
    insist(&session, "stream:KEPT", "1").await;
    insist(&session, "live", "1").await;
    stream.until("the first", SOON, |tail| tail.messages.len() == 1).await;
    subject.until("the first", SOON, |tail| tail.messages.len() == 1).await;

    nats.kill(1);
    let two_seconds = Duration::from_secs(2);
    stream.until("the interruption", two_seconds, |tail| tail.said.iter().any(is_interruption)).await;
    subject.until("the interruption", two_seconds, |tail| tail.said.iter().any(is_interruption)).await;
    session.inspect.ping().await.expect_err("the server is gone");

    nats.restart();
    assert_eq!(insist(&session, "stream:KEPT", "2").await, Receipt::Stored(Position::Sequence(2)));
    stream.until("the second", SOON, |tail| tail.messages.len() == 2).await;
    assert_eq!(resumptions(&stream), [Some(0)], "a stream keeps what came meanwhile");
    subject.until("the resumption", SOON, |tail| !resumptions(tail).is_empty()).await;
    assert_eq!(resumptions(&subject), [None], "nobody counts what a subject carried meanwhile");
    insist(&session, "live", "2").await;
    subject.until("the second", SOON, |tail| tail.messages.len() == 2).await;
    session.inspect.ping().await.unwrap_or_else(|fault| panic!("{fault}"));
}

#[tokio::test]
async fn a_stream_whose_leader_is_killed_goes_on_without_loss() {
    let Some(mut nats) = nats::own(&["--cluster"]) else { return };
    let session = connect(nats.integration()).await.expect("connected");
    manage(&session, "nats", "create-stream", &[("name", "KEPT"), ("replicas", "3")]).await;
    let mut tail = Listener::start(&session, &["stream:KEPT".into()]).await;
    for n in 1..=10 {
        insist(&session, "stream:KEPT", &n.to_string()).await;
    }
    tail.until("ten", SOON, |tail| tail.messages.len() == 10).await;
    let described = session.inspect.describe("stream:KEPT").await.expect("a description");
    let replicas = described.tables.iter().find(|table| table.title == "replicas").expect("its replicas");
    let leader: u32 = replicas.rows[0][0].as_str().trim_start_matches('n').parse().expect("the leader's number");

    nats.kill(leader);
    for n in 11..=20 {
        insist(&session, "stream:KEPT", &n.to_string()).await;
    }
    // A publish whose acknowledgement was lost with the leader is stored twice: every payload is there, in order.
    tail.until("the last", SOON, |tail| tail.messages.last().and_then(|m| m.payload.as_deref()) == Some(b"20")).await;
    let mut seen: Vec<u32> = tail
        .messages
        .iter()
        .map(|m| String::from_utf8_lossy(m.payload.as_deref().unwrap_or_default()).parse().expect("a number"))
        .collect();
    seen.dedup();
    assert_eq!(seen, (1..=20).collect::<Vec<_>>());
    assert!(resumptions(&tail).iter().all(|lost| *lost == Some(0)), "{:?}", tail.said);
    nats.restart();
    session.inspect.ping().await.unwrap_or_else(|fault| panic!("{fault}"));
}
