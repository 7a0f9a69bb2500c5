//! What NATS does to whoever reads it: servers that die, messages that the client cannot read, floods that nobody can.

use super::history::WHOLE;
use crate::support::nats::{self, Nats};
use crate::support::subjects::{Listener, connect, header, manage, read};
use futures::StreamExt;
use mqdeck::adapters::session::{Session, TailEvent};
use mqdeck::domain::fault::Kind;
use mqdeck::domain::message::Outgoing;
use mqdeck::domain::position::Position;
use mqdeck::domain::receipt::Receipt;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const SOON: Duration = Duration::from_secs(10);
/// A dead server has to be seen within this.
const SEEN: Duration = Duration::from_secs(2);

async fn publish(session: &Session, channel: &str, payload: &str) -> Result<Receipt, mqdeck::domain::fault::Fault> {
    let message = Outgoing { payload: Some(payload.to_owned().into()), ..Outgoing::default() };
    session.publish.as_ref().expect("NATS takes messages").publish(channel, message).await
}

/// Publishes until the system takes it.
async fn publish_at_last(session: &Session, channel: &str, payload: &str) {
    let until = Instant::now() + Duration::from_secs(30);
    while let Err(fault) = publish(session, channel, payload).await {
        assert!(Instant::now() < until, "{fault}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn payloads(tail: &Listener) -> Vec<String> {
    tail.messages.iter().map(|m| String::from_utf8_lossy(m.payload.as_deref().unwrap_or_default()).into_owned()).collect()
}

fn interrupted(tail: &Listener) -> usize {
    tail.said.iter().filter(|event| matches!(event, TailEvent::Interrupted(_))).count()
}

fn resumed(tail: &Listener) -> Vec<Option<u64>> {
    tail.said.iter().filter_map(|event| if let TailEvent::Resumed { lost } = event { Some(*lost) } else { None }).collect()
}

#[tokio::test]
async fn a_killed_server_is_seen_at_once_and_tails_go_on_when_it_is_back() {
    let Some(mut nats) = nats::own(&[]) else { return };
    let session = connect(nats.integration()).await.expect("connected");
    manage(&session, "nats", "create-stream", &[("name", "KEPT")]).await;
    let mut subject = Listener::start(&session, &["live.>".into()]).await;
    let mut stream = Listener::start(&session, &["stream:KEPT".into()]).await;
    publish(&session, "live.a", "1").await.expect("taken");
    publish(&session, "stream:KEPT", "1").await.expect("stored");
    for tail in [&mut subject, &mut stream] {
        tail.until("the first", SOON, |tail| tail.messages.len() == 1).await;
    }

    nats.kill(1);
    let killed = Instant::now();
    for tail in [&mut subject, &mut stream] {
        tail.until("the end of the connection", SEEN, |tail| interrupted(tail) == 1).await;
    }
    let ping = session.inspect.ping().await.expect_err("nobody is there");
    assert!(ping.kind == Kind::Unreachable && killed.elapsed() < SEEN, "{ping} after {:?}", killed.elapsed());
    let fault = publish(&session, "live.a", "lost").await.expect_err("nobody is there");
    assert_eq!(fault.kind, Kind::Unreachable, "{fault}");

    nats.restart();
    publish_at_last(&session, "stream:KEPT", "2").await;
    for tail in [&mut subject, &mut stream] {
        tail.until("the connection again", SOON, |tail| resumed(tail).len() == 1).await;
    }
    publish_at_last(&session, "live.a", "2").await;
    for (tail, lost) in [(&mut subject, None), (&mut stream, Some(0))] {
        tail.until("what comes after", SOON, |tail| tail.messages.len() == 2).await;
        assert_eq!((payloads(tail), interrupted(tail), resumed(tail)), (vec!["1".into(), "2".into()], 1, vec![lost]));
    }
    session.inspect.ping().await.unwrap_or_else(|fault| panic!("{fault}"));
}

/// The server that leads a stream.
async fn leader(session: &Session, stream: &str) -> Option<u32> {
    let described = session.inspect.describe(&format!("stream:{stream}")).await.ok()?;
    let replicas = described.tables.iter().find(|table| table.title == "replicas")?;
    replicas.rows.iter().find(|row| row[1].as_str() == "leader")?[0].as_str().strip_prefix('n')?.parse().ok()
}

#[tokio::test]
async fn a_stream_outlives_the_server_that_leads_it() {
    let Some(nats) = nats::own(&["--cluster"]) else { return };
    let session = connect(nats.integration()).await.expect("connected");
    let until = Instant::now() + Duration::from_secs(30);
    // The servers have to find each other first.
    while session.inspect.describe("stream:NONE").await.is_err_and(|fault| fault.kind != Kind::NotFound) {
        assert!(Instant::now() < until, "the cluster has no leader");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    manage(&session, "nats", "create-stream", &[("name", "THREE"), ("replicas", "3")]).await;
    let mut tail = Listener::start(&session, &["stream:THREE".into()]).await;
    for n in 0..50 {
        publish_at_last(&session, "stream:THREE", &n.to_string()).await;
    }
    let dead = leader(&session, "THREE").await.expect("a leader");
    nats.kill(dead);
    for n in 50..100 {
        publish_at_last(&session, "stream:THREE", &n.to_string()).await;
    }
    tail.until("everything", Duration::from_secs(30), |tail| tail.messages.last().is_some_and(|m| m.payload.as_deref() == Some(b"99")))
        .await;
    // What was published again because its answer was lost may be there twice; the tail has what the stream has.
    let positions: Vec<Position> = tail.messages.iter().map(|m| m.position).collect();
    let stored: Vec<Position> = read(&session, "stream:THREE", WHOLE).await.expect("history").iter().map(|m| m.position).collect();
    assert_eq!(positions, stored);
    assert!(resumed(&tail).iter().all(|lost| *lost == Some(0)), "{:?}", tail.said);
    assert_ne!(leader(&session, "THREE").await.expect("another leader"), dead);
}

/// A client of the protocol's bare bytes, for what no client would send.
async fn raw(nats: &Nats, bytes: &[u8]) {
    let mut stream = TcpStream::connect(nats.address()).await.expect("connected");
    stream.write_all(b"CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true}\r\n").await.expect("written");
    stream.write_all(bytes).await.expect("written");
    stream.write_all(b"PING\r\n").await.expect("written");
    let mut answer = Vec::new();
    while !answer.windows(4).any(|word| word == b"PONG") {
        assert_ne!(stream.read_buf(&mut answer).await.expect("an answer"), 0, "{}", String::from_utf8_lossy(&answer));
    }
}

#[tokio::test]
async fn headers_that_are_no_text_are_read_where_they_are_stored_and_cost_a_tail_its_connection() {
    let Some(nats) = nats::own(&[]) else { return };
    let session = connect(nats.integration()).await.expect("connected");
    manage(&session, "nats", "create-stream", &[("name", "LATIN")]).await;
    publish(&session, "stream:LATIN", "before").await.expect("stored");
    let block = b"NATS/1.0\r\nname: J\xfcrgen\r\n\r\n";
    let message = |subject: &str| {
        let mut bytes = format!("HPUB {subject} {} {}\r\n", block.len(), block.len() + 1).into_bytes();
        bytes.extend_from_slice(block);
        bytes.extend_from_slice(b"x\r\n");
        bytes
    };
    raw(&nats, &message("LATIN")).await;
    publish(&session, "stream:LATIN", "after").await.expect("stored");
    let messages = read(&session, "stream:LATIN", WHOLE).await.unwrap_or_else(|fault| panic!("{fault}"));
    assert_eq!(messages.iter().filter_map(|m| m.payload.as_deref()).collect::<Vec<_>>(), [&b"before"[..], b"x", b"after"]);
    assert_eq!(messages[1].headers, [header("name", Some(b"J\xfcrgen"))]);
    let mut tail = Listener::start(&session, &["live".into()]).await;
    raw(&nats, &message("live")).await;
    tail.until("the tail again", SOON, |tail| resumed(tail) == [None]).await;
    assert_eq!(interrupted(&tail), 1);
    publish_at_last(&session, "live", "later").await;
    tail.until("what comes after", SOON, |tail| payloads(tail) == ["later"]).await;
}

#[tokio::test]
async fn a_flood_that_nobody_reads_is_bounded_and_every_message_of_it_is_accounted_for() {
    const MESSAGES: usize = 400_000;
    let Some(nats) = nats::own(&[]) else { return };
    let session = connect(nats.integration()).await.expect("connected");
    let mut events = session.tail.as_ref().expect("a tail").tail(&["flood".into()]).await.expect("it starts");
    let payload = "x".repeat(200);
    let frames = format!("PUB flood 200\r\n{payload}\r\n").repeat(MESSAGES / 100);
    for _ in 0..100 {
        raw(&nats, frames.as_bytes()).await;
    }
    // Only now somebody reads.
    let (mut came, mut lost) = (0, 0);
    let mut numbers = Vec::new();
    while came + lost < MESSAGES as u64 {
        match tokio::time::timeout(SOON, events.next()).await.unwrap_or_else(|_| panic!("{came} came, {lost} were lost")) {
            Some(TailEvent::Messages(batch)) => {
                came += batch.len() as u64;
                numbers.extend(batch.iter().filter_map(|m| m.position.number()));
            }
            Some(TailEvent::Resumed { lost: Some(more) }) => lost += more,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(came + lost, MESSAGES as u64, "{came} came, {lost} were lost");
    assert!(lost > 0, "what waits is bounded");
    assert!(numbers.is_sorted(), "in the order of their coming");
}

#[tokio::test]
async fn a_refused_publish_among_many_is_never_taken_for_accepted() {
    let Some(nats) = nats::shared() else { return };
    let session = connect(nats.as_user("reader")).await.expect("connected");
    let session = Arc::new(session);
    let sent = (0..500).map(|n| {
        let session = session.clone();
        tokio::spawn(async move { publish(&session, &format!("denied.{}", n % 7), "x").await })
    });
    for done in futures::future::join_all(sent).await {
        let fault = done.expect("it ends").expect_err("reader may not publish");
        assert_eq!(fault.kind, Kind::Forbidden, "{fault}");
    }
}
