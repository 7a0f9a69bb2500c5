//! Header blocks that no client would write, against a real server: every message that has one is shown, with what can be read of it, by
//! everything that reads; and nothing else is lost beside it.

use super::history::WHOLE;
use crate::support::nats::{self, Nats, publish};
use crate::support::program::Home;
use crate::support::subjects::{Listener, connect, header, manage, read};
use crate::support::{SOON, until};
use futures::StreamExt;
use mqdeck::adapters::session::Session;
use mqdeck::domain::delivery::{Effect, Settlement};
use mqdeck::domain::message::{Header, Message, Outgoing};
use mqdeck::domain::position::Position;
use mqdeck::domain::search::Scope;
use mqdeck::gateway::filter::{Filter, Prefilter, Wanted};
use std::sync::Arc;

/// In every message, so that a search and a follow find all of them.
const PAYLOAD: &str = r#"{"correlation_id":"c-77"}"#;

/// A header block, and the headers that are shown of it.
type Case = (Vec<u8>, Vec<Header>);

fn line(text: &[u8]) -> Header {
    Header { name: text.to_vec().into(), value: None }
}

fn cases() -> Vec<Case> {
    // A stream takes 64 KiB of headers in all.
    let long = vec![b'x'; (64 << 10) - 64];
    let a = |value: &[u8]| vec![header("A", Some(value))];
    let block = |lines: &[u8]| [b"NATS/1.0\r\n", lines, b"\r\n"].concat();
    vec![
        (block(b"A: plain\r\n"), a(b"plain")),
        (block(b"A: x\ry\r\n"), a(b"x\ry")),
        (block(b"A: x\ny\r\n"), a(b"x\ny")),
        (block(b"A: x\r\r\n"), a(b"x\r")),
        (block(b"A: caf\xe9\r\n"), a(b"caf\xe9")),
        (block(b"A\xff: x\r\n"), vec![Header { name: b"A\xff".to_vec().into(), value: Some("x".into()) }]),
        (block(b"two words: x\r\nA: 1\r\n"), vec![header("two words", Some(b"x")), header("A", Some(b"1"))]),
        (block(b"no colon\r\nA: 1\r\n"), vec![line(b"no colon"), header("A", Some(b"1"))]),
        (block(b": x\r\n"), vec![header("", Some(b"x"))]),
        (block(b""), vec![]),
        (block(b"A: \0\x01\x1b[31m\r\n"), a(b"\0\x01\x1b[31m")),
        (block(&[b"A: ", &long[..], b"\r\n"].concat()), a(&long)),
        (block(b"b: 1\r\na: 2\r\nb: 3\r\n"), vec![header("b", Some(b"1")), header("a", Some(b"2")), header("b", Some(b"3"))]),
        (block(b"Nats-Sequence: 1\r\n"), vec![header("Nats-Sequence", Some(b"1"))]),
        (
            block(b"Nats-Stream: OTHER\r\nNats-Subject: other\r\nNats-Sequence: 9\r\nNats-Time-Stamp: 2001-01-01T00:00:00Z\r\nNats-Last-Sequence: 8\r\n"),
            vec![
                header("Nats-Stream", Some(b"OTHER")),
                header("Nats-Subject", Some(b"other")),
                header("Nats-Sequence", Some(b"9")),
                header("Nats-Time-Stamp", Some(b"2001-01-01T00:00:00Z")),
                header("Nats-Last-Sequence", Some(b"8")),
            ],
        ),
        (b"NATS/1.0 404 Mine\r\nA: 1\r\n\r\n".to_vec(), vec![line(b"NATS/1.0 404 Mine"), header("A", Some(b"1"))]),
        (b"NATS/1.0 503\r\n\r\n".to_vec(), vec![line(b"NATS/1.0 503")]),
        (b"NATS/1.0\nA: x\n\n".to_vec(), vec![line(b"NATS/1.0\nA: x\n\n")]),
        (b"NATS/1.0\r\nA: 1".to_vec(), a(b"1")),
        (b"not a header block at all".to_vec(), vec![line(b"not a header block at all")]),
    ]
}

fn check(what: &str, cases: &[Case], messages: &[Message]) {
    for ((block, headers), message) in cases.iter().zip(messages) {
        assert_eq!(&message.headers, headers, "{what}: {}", block[..block.len().min(200)].escape_ascii());
        assert_eq!(message.payload.as_deref(), Some(PAYLOAD.as_bytes()), "{what}");
    }
    assert_eq!(messages.len(), cases.len(), "{what}");
}

/// What a stream keeps of them: all but a status in the first line, which the server leaves out.
fn kept(cases: &[Case]) -> Vec<Case> {
    let without = |(block, headers): &Case| {
        let from = usize::from(block.starts_with(b"NATS/1.0 "));
        (block.clone(), headers[from..].to_vec())
    };
    cases.iter().map(without).collect()
}

async fn send(nats: &Nats, subject: &str, cases: &[Case]) {
    let all: Vec<u8> = cases.iter().flat_map(|(block, _)| publish(subject, block, PAYLOAD)).collect();
    nats.raw(&all).await;
}

/// Waits until a stream keeps as many messages: that the server has read them does not say so.
async fn has(session: &Session, channel: &str, count: usize) {
    let count = count as u64;
    until("all of them stored", SOON, async || {
        let channels = session.inspect.channels().await.unwrap_or_else(|fault| panic!("{fault}"));
        let found = channels.iter().find(|one| channel.ends_with(&*one.name))?;
        (found.depth.number() == Some(count)).then_some(())
    })
    .await;
}

/// Makes a stream that is read directly, or in JSON.
async fn stream(session: &Session, name: &str, direct: bool) {
    let config = format!(r#"{{"name":"{name}","subjects":["{name}.>"],"allow_direct":{direct}}}"#);
    let request = Outgoing { payload: Some(config.into()), ..Outgoing::default() };
    let call = session.call.as_ref().expect("NATS is asked");
    let mut answer = call.call(&format!("$JS.API.STREAM.CREATE.{name}"), request, SOON).await.expect("asked");
    let answer = answer.next().await.expect("an answer").unwrap_or_else(|fault| panic!("{fault}"));
    assert!(!String::from_utf8_lossy(answer.payload.as_deref().unwrap_or_default()).contains("error"), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn live_messages_with_any_header_block_come_in_order_and_interrupt_nothing() {
    let Some(nats) = nats::own(&[]) else { return };
    let session = connect(nats.integration()).await.expect("connected");
    let cases = cases();
    let mut subject = Listener::start(&session, &["odd.>".into()]).await;
    stream(&session, "DIRECT", true).await;
    let mut stored = Listener::start(&session, &["stream:DIRECT".into()]).await;
    send(&nats, "odd.a", &cases).await;
    subject.until("all of them", SOON, |tail| tail.messages.len() == cases.len()).await;
    check("tail", &cases, &subject.messages);
    send(&nats, "DIRECT.a", &cases).await;
    stored.until("all of them", SOON, |tail| tail.messages.len() == cases.len()).await;
    check("tail of a stream", &kept(&cases), &stored.messages);
    assert_eq!((&subject.said[..], &stored.said[..]), (&[][..], &[][..]), "nothing was interrupted");
}

#[tokio::test(flavor = "multi_thread")]
async fn stored_messages_with_any_header_block_are_read_found_followed_and_received_once() {
    let Some(nats) = nats::own(&[]) else { return };
    let session = connect(nats.integration()).await.expect("connected");
    let (cases, home) = (cases(), Home::new());
    for (name, direct) in [("DIRECT", true), ("JSON", false)] {
        let channel = format!("stream:{name}");
        stream(&session, name, direct).await;
        send(&nats, &format!("{name}.a"), &cases).await;
        has(&session, &channel, cases.len()).await;
        let messages = read(&session, &channel, WHOLE).await.unwrap_or_else(|fault| panic!("{fault}"));
        check(name, &kept(&cases), &messages);
        for (n, message) in messages.iter().enumerate() {
            let place = (message.position, message.key.as_deref());
            assert_eq!(place, (Position::Sequence(n as u64 + 1), Some(format!("{name}.a").as_bytes())));
        }
        let filter = Arc::new(Prefilter::new(Filter::parse("c-77").expect("a query"), Wanted::Matches));
        let mut found = Vec::new();
        for mut lane in session.history.as_ref().expect("history").scan(&channel, &Scope::of(WHOLE), filter).await.expect("a search").lanes
        {
            while let Some(item) = lane.batches.next().await {
                found.extend(item.expect("readable").kept.into_iter().map(|kept| kept.message));
            }
        }
        check("find", &kept(&cases), &found);

        manage(&session, &format!("nats/{channel}"), "consumer.create", &[("name", "worker"), ("max_deliver", "1")]).await;
        let hold = session.hold.as_ref().expect("receiving");
        let mut holding = hold.hold(&format!("consumer:{name}/worker"), 100).await.unwrap_or_else(|fault| panic!("{fault}"));
        let mut received = Vec::new();
        while received.len() < cases.len() {
            let next = tokio::time::timeout(SOON, holding.next()).await.expect("in time").expect("it goes on");
            let delivery = next.unwrap_or_else(|fault| panic!("{fault}"));
            assert_eq!(delivery.deliveries, Some(1));
            let settlement = Settlement { effect: Effect::Ack, arguments: Vec::new() };
            holding.settle(delivery.ticket.expect("a ticket"), &settlement).await.unwrap_or_else(|fault| panic!("{fault}"));
            received.push(delivery.message);
        }
        check("receive", &kept(&cases), &received);
        assert_eq!(holding.release().await.as_deref(), Ok("nothing was left unsettled"));
    }
    let url = format!("nats://{}", nats.address());
    let done = home.mqdeck(&["--url", &url, "follow", "c-77", "--json"]).output().expect("the program runs");
    let printed = String::from_utf8(done.stdout).expect("UTF-8");
    assert_eq!(printed.lines().count(), 2 * cases.len(), "{}", String::from_utf8_lossy(&done.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_with_any_header_block_are_replies_and_services_are_found_beside_them() {
    let Some(nats) = nats::own(&[]) else { return };
    let session = connect(nats.integration()).await.expect("connected");
    let cases = cases();
    let blocks: Vec<Vec<u8>> = cases.iter().map(|(block, _)| block.clone()).collect();
    let answering = nats.responder(&["ask.me"], blocks.clone(), PAYLOAD).await;
    let request = Outgoing { payload: Some("?".into()), options: vec![("replies", cases.len().to_string())], ..Outgoing::default() };
    let replies = session.call.as_ref().expect("NATS is asked").call("ask.me", request, SOON).await.expect("asked");
    let replies: Vec<Message> = replies.map(|reply| reply.unwrap_or_else(|fault| panic!("{fault}"))).collect().await;
    check("call", &cases, &replies);
    answering.abort();

    let info = r#"{"name":"odd","id":"1","version":"1.0.0","endpoints":[{"name":"e","subject":"odd.e"}]}"#;
    let answering = nats.responder(&["$SRV.INFO"], blocks, info).await;
    let listed = session.inspect.channels().await.unwrap_or_else(|fault| panic!("{fault}"));
    assert!(listed.iter().any(|row| &*row.name == "service:odd"), "{listed:?}");
    answering.abort();
    session.inspect.ping().await.unwrap_or_else(|fault| panic!("{fault}"));
}
