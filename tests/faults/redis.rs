//! Redis servers that die under a live tail: alone, watched by sentinels, in a cluster.

use crate::contract::redis::integration;
use crate::support::resp::Resp;
use crate::support::server::Server;
use crate::support::subjects::{Listener, connect, manage};
use crate::support::{SOON, unique, until_resumed};
use futures::StreamExt;
use mqdeck::adapters::session::Session;
use mqdeck::config::profile::Setting;
use mqdeck::config::secret::Secret;
use mqdeck::domain::delivery::{Effect, Settlement};
use mqdeck::domain::message::{Message, Outgoing};
use mqdeck::domain::receipt::Receipt;
use mqdeck::domain::tail::TailEvent;
use mqdeck::domain::view::Side;
use mqdeck::gateway::hold::Tickets;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Sentinels vote, and vote again if a busy machine let them be late.
const FAIL_OVER: Duration = SOON.saturating_mul(3);

async fn publish(session: &Session, channel: &str, text: &str) -> bool {
    let message = Outgoing { payload: Some(text.to_owned().into()), ..Outgoing::default() };
    matches!(
        session.publish.as_ref().expect("publish").publish(channel, message).await,
        Ok(Receipt::Stored(_) | Receipt::Handed(_) | Receipt::Unconfirmed)
    )
}

/// Publishes until it is taken: a server may be on its way up.
async fn publish_in_time(session: &Session, channel: &str, text: &str) {
    let began = Instant::now();
    while !publish(session, channel, text).await {
        assert!(began.elapsed() < FAIL_OVER, "{channel} takes nothing any more");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn has(tail: &Listener, text: &str) -> bool {
    tail.messages.iter().any(|message: &Message| message.payload.as_deref() == Some(text.as_bytes()))
}

fn interrupted(tail: &Listener) -> bool {
    tail.said.iter().any(|event| matches!(event, TailEvent::Interrupted(_)))
}

fn resumed(tail: &Listener) -> Vec<Option<u64>> {
    tail.said.iter().filter_map(|event| if let TailEvent::Resumed { lost } = event { Some(*lost) } else { None }).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_is_told_and_the_tails_go_on() {
    let Some(mut server) = Server::own("redis", "Redis", &[]) else { return };
    let session = connect(integration(&server)).await.expect("Redis is there");
    let (stream, channel): (Arc<str>, Arc<str>) = ("stream:jobs".into(), "channel:news".into());
    assert!(publish(&session, &stream, "before").await);
    let mut entries = Listener::start(&session, std::slice::from_ref(&stream)).await;
    let mut news = Listener::start(&session, std::slice::from_ref(&channel)).await;
    assert!(publish(&session, &stream, "one").await && publish(&session, &channel, "one").await);
    for tail in [&mut entries, &mut news] {
        tail.until("the first", SOON, |tail| has(tail, "one")).await;
    }
    manage(&session, "redis/stream:jobs", "group.create", &[("group", "workers"), ("to", "latest")]).await;
    let mut holding = session.hold.as_ref().expect("Redis holds").hold("stream:jobs/workers", 5).await.expect("received");
    // What the system has of the server's log survives a crash of the server.
    let began = Instant::now();
    while !said(server.fact("ADDRESS"), "INFO persistence").await.contains("aof_buffer_length:0") {
        assert!(began.elapsed() < SOON, "its log is not written");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    server.kill("n1");
    for tail in [&mut entries, &mut news] {
        tail.until("the interruption", SOON, interrupted).await;
    }
    let fault = timeout(SOON, holding.next()).await.expect("in time").expect("it goes on").expect_err("the server is gone");
    assert!(fault.kind.is_transient(), "{fault}");
    assert!(timeout(Duration::from_secs(1), until_resumed(&mut holding)).await.is_err(), "nothing is there yet");
    server.restart();
    let back = timeout(SOON, until_resumed(&mut holding)).await.expect("in time").expect("it goes on");
    back.unwrap_or_else(|fault| panic!("no entry has to come for that: {fault}"));
    publish_in_time(&session, &stream, "two").await;
    let delivery = timeout(SOON, holding.next()).await.expect("in time").expect("it goes on").expect("an entry");
    assert_eq!(delivery.message.payload.as_deref(), Some(&b"two"[..]));
    entries.until("the next entry", SOON, |tail| has(tail, "two")).await;
    assert_eq!(resumed(&entries), [Some(0)], "a stream keeps what comes meanwhile");
    news.until("it goes on", SOON, |tail| !resumed(tail).is_empty()).await;
    assert_eq!(resumed(&news), [None], "nobody keeps what is published meanwhile");
    publish_in_time(&session, &channel, "two").await;
    news.until("the next message", SOON, |tail| has(tail, "two")).await;
    assert_eq!(entries.messages.len(), 2, "each once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_made_anew_under_lower_ids_is_read_from_its_beginning() {
    let Some(server) = Server::own("redis", "Redis", &[]) else { return };
    let session = connect(integration(&server)).await.expect("Redis is there");
    let mut direct = Resp::open(server.fact("ADDRESS"));
    let stream: Arc<str> = "stream:jobs".into();
    for n in 100..110 {
        direct.say(&["XADD", "jobs", &format!("{n}-0"), "data", "old"]);
    }
    let mut tail = Listener::start(&session, std::slice::from_ref(&stream)).await;
    direct.say(&["XADD", "jobs", "110-0", "data", "last"]);
    tail.until("the last entry", SOON, |tail| has(tail, "last")).await;
    direct.say(&["DEL", "jobs"]);
    for n in 1..=3 {
        direct.say(&["XADD", "jobs", &format!("{n}-0"), "data", &format!("new {n}")]);
    }
    tail.until("the new entries", SOON, |tail| has(tail, "new 3")).await;
    let new: Vec<String> = tail.messages.iter().skip(1).map(|message| message.position.to_string()).collect();
    assert_eq!(new, ["1-0", "2-0", "3-0"], "each once");
    assert!(
        matches!(&tail.said[..], [TailEvent::Interrupted(fault), TailEvent::Resumed { lost: Some(0) }]
        if fault.cause.as_str().contains("made anew")),
        "{:?}",
        tail.said
    );
    direct.say(&["XADD", "jobs", "4-0", "data", "new 4"]);
    tail.until("it goes on", SOON, |tail| has(tail, "new 4")).await;

    // Once more while the connection is away.
    direct.say(&["DEL", "jobs"]);
    direct.say(&["XADD", "jobs", "1-1", "data", "newer"]);
    direct.say(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    tail.until("the newer entry", SOON, |tail| has(tail, "newer")).await;
    assert_eq!(tail.messages.last().expect("some").position.to_string(), "1-1");
    assert_eq!(tail.messages.len(), 6, "each once");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_given_to_us_by_an_answer_that_was_lost_comes_after_the_connection_is_back() {
    let Some(server) = Server::own("redis", "Redis", &[]) else { return };
    let session = connect(integration(&server)).await.expect("Redis is there");
    let mut direct = Resp::open(server.fact("ADDRESS"));
    for n in 1..=5 {
        direct.say(&["XADD", "jobs", &format!("{n}-0"), "data", &n.to_string()]);
    }
    direct.say(&["XGROUP", "CREATE", "jobs", "g", "0"]);
    direct.say(&["XREADGROUP", "GROUP", "g", "lost", "COUNT", "3", "STREAMS", "jobs", ">"]);
    let mut holding = session.hold.as_ref().expect("hold").hold("stream:jobs/g", 10).await.expect("received");
    let next = async |holding: &mut Tickets| loop {
        match timeout(SOON, holding.next()).await.expect("in time").expect("it goes on") {
            Ok(delivery) => break delivery,
            Err(fault) => assert!(fault.kind.is_transient(), "{fault}"),
        }
    };
    let first = next(&mut holding).await;
    assert_eq!((first.message.position.to_string(), first.redelivered), ("4-0".to_owned(), false));
    next(&mut holding).await;
    // The server gives it more than it hears of; one of these entries is deleted meanwhile.
    let consumers = direct.say(&["XINFO", "CONSUMERS", "jobs", "g"]).items();
    let ours = consumers.into_iter().map(|one| one.items().swap_remove(1).text()).find(|name| name.starts_with("mqdeck-")).expect("ours");
    direct.say(&["XCLAIM", "jobs", "g", &ours, "0", "1-0", "2-0", "3-0"]);
    direct.say(&["XDEL", "jobs", "2-0"]);
    direct.say(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    let mut seen = Vec::new();
    for _ in 0..2 {
        let delivery = next(&mut holding).await;
        assert!(delivery.redelivered && delivery.deliveries.is_some_and(|times| times >= 3), "{delivery:?}");
        seen.push(delivery.message.position.to_string());
        let done = Settlement { effect: Effect::Ack, arguments: Vec::new() };
        holding.settle(delivery.ticket.expect("a ticket"), &done).await.expect("done");
    }
    assert_eq!(seen, ["1-0", "3-0"]);
    direct.say(&["XADD", "jobs", "6-0", "data", "6"]);
    let new = next(&mut holding).await;
    assert_eq!((new.message.position.to_string(), new.deliveries, new.redelivered), ("6-0".to_owned(), Some(1), false));
    let left = holding.release().await.expect("released");
    assert!(left.starts_with("4 unsettled messages: each stays pending"), "2-0, 4-0, 5-0 and 6-0: {left}");
}

/// Waits until the server has written everything to its clients.
async fn nothing_waits(address: &str) {
    let began = Instant::now();
    while !said(address, "CLIENT LIST").await.lines().filter(|line| !line.is_empty()).all(|line| line.contains(" oll=0 ")) {
        assert!(began.elapsed() < SOON, "a client takes nothing");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// What a server answers with one text.
async fn said(address: &str, command: &str) -> String {
    let mut server = BufReader::new(TcpStream::connect(address).await.expect("connected"));
    server.write_all(format!("{command}\r\n").as_bytes()).await.expect("asked");
    let mut length = String::new();
    server.read_line(&mut length).await.expect("an answer");
    let mut text = vec![0; length.trim().trim_start_matches('$').parse::<usize>().expect("a length") + 2];
    server.read_exact(&mut text).await.expect("an answer");
    String::from_utf8_lossy(&text).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn large_messages_that_nobody_reads_are_bounded_and_every_one_is_accounted_for() {
    const MESSAGES: u64 = 60;
    let Some(server) = Server::own("redis", "Redis", &[]) else { return };
    let session = connect(integration(&server)).await.expect("Redis is there");
    let mut events = session.tail.as_ref().expect("a tail").tail(&["channel:large".into()]).await.expect("it starts");
    let large = "x".repeat(1 << 20);
    for number in 1..=MESSAGES {
        assert!(publish(&session, "channel:large", &large).await);
        // A server ends the connection of a subscriber that has too much to read.
        if number % 10 == 0 {
            nothing_waits(server.fact("ADDRESS")).await;
        }
    }
    // Only now somebody reads; a few may be on their way.
    let (mut came, mut skipped) = (0, 0);
    while came + skipped < MESSAGES {
        match tokio::time::timeout(SOON, events.next()).await.unwrap_or_else(|_| panic!("{came} came, {skipped} were skipped")) {
            Some(TailEvent::Messages(batch)) => came += batch.len() as u64,
            Some(TailEvent::Skipped { count: Some(more), side: Side::Ours }) => skipped += more,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(came + skipped, MESSAGES);
    assert!((30..=45).contains(&came), "32 MB wait, not {came}");
    assert!(publish(&session, "channel:large", "next").await);
    let next = tokio::time::timeout(SOON, events.next()).await.expect("it goes on");
    assert!(matches!(next, Some(TailEvent::Messages(batch)) if batch.len() == 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn sentinels_name_the_new_master() {
    let Some(server) = Server::own("redis", "Redis with sentinels", &["--sentinel"]) else { return };
    let mut watched = integration(&server);
    watched.settings.insert("sentinel".to_owned(), Setting { value: Secret::new("main".to_owned()), line: 1 });
    let mut wrong = watched.clone();
    wrong.settings.insert("sentinel".to_owned(), Setting { value: Secret::new("nobody".to_owned()), line: 1 });
    let fault = connect(wrong).await.err().expect("no such master");
    assert!(fault.to_string().contains("no master of that name"), "{fault}");
    let session = connect(watched).await.expect("the sentinels know it");
    let stream: Arc<str> = "stream:jobs".into();
    let mut tail = Listener::start(&session, std::slice::from_ref(&stream)).await;
    assert!(publish(&session, &stream, "one").await);
    tail.until("the first", SOON, |tail| has(tail, "one")).await;
    server.kill("n1");
    tail.until("the interruption", SOON, interrupted).await;
    publish_in_time(&session, &stream, "two").await;
    tail.until("the next entry", SOON, |tail| has(tail, "two")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clusters_streams_are_all_reached_and_outlive_a_master() {
    let Some(server) = Server::own("redis", "Redis cluster", &["--cluster"]) else { return };
    let session = connect(integration(&server)).await.expect("the cluster is there");
    let streams: Vec<Arc<str>> = (0..12).map(|n| format!("stream:{}", unique(&format!("jobs{n}"))).into()).collect();
    for stream in &streams {
        assert!(publish(&session, stream, "before").await, "{stream}");
    }
    let listed = session.inspect.channels().await.expect("a list");
    assert!(streams.iter().all(|stream| listed.iter().any(|row| row.name == *stream)), "{listed:?}");
    let mut tail = Listener::start(&session, &streams).await;
    let mut keys = Listener::start(&session, &["key:jobs*".into()]).await;
    for stream in &streams {
        assert!(publish(&session, stream, "one").await, "{stream}");
    }
    let count = |tail: &Listener, text: &str| tail.messages.iter().filter(|m| m.payload.as_deref() == Some(text.as_bytes())).count();
    tail.until("one of each", SOON, |tail| count(tail, "one") == 12).await;
    keys.until("a change of each", SOON, |tail| count(tail, "xadd") == 12).await;
    assert_eq!(resumed(&keys), []);
    // A master that has some of the streams, as they fell.
    let mut serving = Vec::new();
    for (name, address) in ["n2", "n3", "n1"].into_iter().zip(server.fact("ADDRESS").split(',')) {
        let text = said(address, "INFO").await;
        if text.contains("role:master") && text.contains("db0:keys=") {
            serving.push(name);
        }
    }
    server.kill(serving.last().expect("one of three"));
    tail.until("the interruption", SOON, interrupted).await;
    for stream in &streams {
        publish_in_time(&session, stream, "two").await;
    }
    tail.until("two of each", FAIL_OVER, |tail| count(tail, "two") >= 12).await;
}
