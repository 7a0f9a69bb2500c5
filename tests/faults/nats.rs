//! What NATS does to whoever reads it: servers that are killed, floods that nobody can read, streams that are made again.

use crate::support::nats;
use crate::support::subjects::{Listener, connect, manage};
use crate::support::{SOON, until_resumed};
use futures::StreamExt;
use mqdeck::adapters::session::Session;
use mqdeck::domain::fault::Kind;
use mqdeck::domain::message::Outgoing;
use mqdeck::domain::position::Position;
use mqdeck::domain::receipt::Receipt;
use mqdeck::domain::tail::TailEvent;
use mqdeck::domain::view::Side;
use std::sync::Arc;
use std::time::{Duration, Instant};

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

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_is_told_and_a_stream_loses_nothing() {
    let Some(mut nats) = nats::own(&[]) else { return };
    let session = connect(nats.integration()).await.expect("connected");
    manage(&session, "nats/stream:KEPT", "stream.create", &[]).await;
    let mut stream = Listener::start(&session, &["stream:KEPT".into()]).await;
    let mut subject = Listener::start(&session, &["live".into()]).await;
    insist(&session, "stream:KEPT", "1").await;
    insist(&session, "live", "1").await;
    stream.until("the first", SOON, |tail| tail.messages.len() == 1).await;
    subject.until("the first", SOON, |tail| tail.messages.len() == 1).await;

    nats.kill(1);
    stream.until("the interruption", SOON, |tail| tail.said.iter().any(is_interruption)).await;
    subject.until("the interruption", SOON, |tail| tail.said.iter().any(is_interruption)).await;
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

#[tokio::test(flavor = "multi_thread")]
async fn a_receiving_goes_on_after_a_kill_and_says_so_before_another_message_comes() {
    let Some(mut nats) = nats::own(&[]) else { return };
    let session = connect(nats.integration()).await.expect("connected");
    manage(&session, "nats/stream:KEPT", "stream.create", &[]).await;
    manage(&session, "nats/stream:KEPT", "consumer.create", &[("name", "worker")]).await;
    for channel in ["consumer:KEPT/worker", "queue:live/workers"] {
        let hold = session.hold.as_ref().expect("NATS holds");
        let mut holding = hold.hold(channel, 5).await.unwrap_or_else(|fault| panic!("{channel}: {fault}"));
        let waiting = async {
            let killed = async {
                // It is asked for messages meanwhile.
                tokio::time::sleep(Duration::from_millis(100)).await;
                nats.kill(1);
            };
            tokio::join!(holding.next(), killed).0
        };
        let fault = tokio::time::timeout(SOON, waiting).await.expect("in time").expect("it goes on").expect_err("the server is gone");
        assert!(fault.kind.is_transient(), "{channel}: {fault}");
        let second = Duration::from_secs(1);
        assert!(tokio::time::timeout(second, until_resumed(&mut holding)).await.is_err(), "{channel}: nothing is there yet");
        nats.restart();
        let back = tokio::time::timeout(SOON, until_resumed(&mut holding)).await.expect("in time");
        back.expect("it goes on").unwrap_or_else(|fault| panic!("{channel}: {fault}"));
        insist(&session, if channel.starts_with("queue:") { "live" } else { "stream:KEPT" }, "next").await;
        let next = tokio::time::timeout(SOON, holding.next()).await.expect("in time").expect("it goes on");
        let delivery = next.unwrap_or_else(|fault| panic!("{channel}: {fault}"));
        assert_eq!(delivery.message.payload.as_deref(), Some(&b"next"[..]), "{channel}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_whose_leader_is_killed_goes_on_without_loss() {
    let Some(mut nats) = nats::own(&["--cluster"]) else { return };
    let session = connect(nats.integration()).await.expect("connected");
    manage(&session, "nats/stream:KEPT", "stream.create", &[("replicas", "3")]).await;
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

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_made_again_is_read_from_its_beginning_and_that_is_said() {
    let Some(nats) = nats::own(&[]) else { return };
    let session = connect(nats.integration()).await.expect("connected");
    manage(&session, "nats/stream:KEPT", "stream.create", &[]).await;
    for n in 1..=6 {
        insist(&session, "stream:KEPT", &n.to_string()).await;
    }
    let mut tail = Listener::start(&session, &["stream:KEPT".into()]).await;
    // More and fewer messages than the old one had.
    for (round, messages) in [12_usize, 3].into_iter().enumerate() {
        manage(&session, "nats/stream:KEPT", "stream.delete", &[]).await;
        manage(&session, "nats/stream:KEPT", "stream.create", &[]).await;
        tail.messages.clear();
        for n in 1..=messages {
            insist(&session, "stream:KEPT", &n.to_string()).await;
        }
        tail.until("all of the new one", SOON, |tail| tail.messages.len() == messages).await;
        let came: Vec<Position> = tail.messages.iter().map(|message| message.position).collect();
        assert_eq!(came, (1..=messages as u64).map(Position::Sequence).collect::<Vec<_>>());
        let told =
            tail.said.iter().filter(|event| matches!(event, TailEvent::Interrupted(fault) if fault.cause.as_str().contains("made again")));
        assert_eq!(told.count(), round + 1, "{:?}", tail.said);
    }
    assert!(matches!(tail.said.last(), Some(TailEvent::Resumed { lost: None })), "{:?}", tail.said);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_that_nobody_reads_is_bounded_and_every_message_of_it_is_accounted_for() {
    const MESSAGES: usize = 400_000;
    let Some(nats) = nats::own(&[]) else { return };
    let session = connect(nats.integration()).await.expect("connected");
    let mut events = session.tail.as_ref().expect("a tail").tail(&["flood".into()]).await.expect("it starts");
    let payload = "x".repeat(200);
    let frames = format!("PUB flood 200\r\n{payload}\r\n").repeat(MESSAGES / 100);
    for _ in 0..100 {
        nats.raw(frames.as_bytes()).await;
    }
    // Only now somebody reads.
    let (mut came, mut lost) = (0, 0);
    let mut numbers = Vec::new();
    while came + lost < MESSAGES as u64 {
        match tokio::time::timeout(SOON, events.next()).await.unwrap_or_else(|_| panic!("{came} came, {lost} were lost")) {
            Some(TailEvent::Messages(batch)) => {
                came += batch.len() as u64;
                numbers.extend(batch.iter().map(|m| match m.position {
                    Position::Arrival(number) => number,
                    other => panic!("{other:?}"),
                }));
            }
            Some(TailEvent::Skipped { count: Some(more), side: Side::Ours }) => lost += more,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(came + lost, MESSAGES as u64, "{came} came, {lost} were lost");
    assert!(lost > 0, "what waits is bounded");
    assert!(numbers.is_sorted(), "in the order of their coming");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_publish_among_many_is_never_taken_for_accepted() {
    let Some(nats) = nats::shared() else { return };
    let session = connect(nats.as_user("reader")).await.expect("connected");
    let session = Arc::new(session);
    let sent = (0..500).map(|n| {
        let session = session.clone();
        tokio::spawn(async move {
            let message = Outgoing { payload: Some("x".into()), ..Outgoing::default() };
            session.publish.as_ref().expect("NATS takes messages").publish(&format!("denied.{}", n % 7), message).await
        })
    });
    for done in futures::future::join_all(sent).await {
        let fault = done.expect("it ends").expect_err("reader may not publish");
        assert_eq!(fault.kind, Kind::Forbidden, "{fault}");
    }
}
