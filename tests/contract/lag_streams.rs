//! Lag of groups that share one log without partitions: why a consumer is handed nothing, and where its next message is.

use crate::support::nats;
use crate::support::program::Home;
use crate::support::subjects::{connect, read};
use crate::support::unique;
use async_nats::Client;
use futures::StreamExt;
use mqdeck::adapters::session::Session;
use mqdeck::domain::figure::Amount;
use mqdeck::domain::group::{GroupOffset, Mark, State};
use mqdeck::domain::message::Outgoing;
use mqdeck::domain::position::{Bound, Position, Range};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::Stdio;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(30);

/// What `mqdeck lag SYSTEM/GROUP` says of the one position that there is: verdict, reason and lag.
fn lag(url: &str, target: &str) -> (String, String, Value) {
    let done = Home::new().mqdeck(&["--url", url, "lag", target, "--over", "0", "--json"]).stdin(Stdio::null()).output().expect("it runs");
    let object: Value = serde_json::from_slice(&done.stdout).expect("one line of JSON");
    let text = |name: &str| object[name].as_str().expect("a text").to_owned();
    (text("verdict"), text("reason"), object["lag"].clone())
}

async fn group_offset(session: &Session, group: &str) -> GroupOffset {
    let groups = session.groups.as_ref().expect("the system has groups");
    groups.group_offsets(&[group.into()]).await.expect("told").remove(0).expect("this group's").remove(0)
}

async fn state(session: &Session, group: &str) -> State {
    session.groups.as_ref().expect("groups").describe(group).await.expect("described").group.state
}

/// What is read from a group's next message on, as payloads; and that its time can be told.
async fn read_on(session: &Session, group: &str) -> Vec<String> {
    let group_offset = group_offset(session, group).await;
    let next = group_offset.next.expect("its place is known");
    let range = Range { start: Bound::At(next), end: Bound::Latest };
    let messages = read(session, &group_offset.channel, range).await.unwrap_or_else(|fault| panic!("{fault}"));
    let mark = Mark { channel: group_offset.channel, position: next };
    let timestamps = session.groups.as_ref().expect("groups").timestamps(&[mark]).await;
    assert_eq!(timestamps, [Ok(messages.first().and_then(|message| message.timestamp))]);
    messages.iter().map(|message| String::from_utf8_lossy(message.payload.as_deref().unwrap_or_default()).into_owned()).collect()
}

/// Asks JetStream's API, as any client may.
async fn ask(client: &Client, what: &str, body: Value) -> Value {
    let answer = client.request(format!("$JS.API.{what}"), body.to_string().into()).await.expect("an answer");
    let answer: Value = serde_json::from_slice(&answer.payload).expect("JSON");
    assert_eq!(answer["error"], Value::Null, "{what}");
    answer
}

/// Makes a pull consumer, and lets it be given this many messages; the first ones are acknowledged.
async fn consumer(client: &Client, stream: &str, name: &str, most: u64, given: usize, acknowledged: usize) {
    let config = json!({ "durable_name": name, "ack_policy": "explicit", "max_ack_pending": most, "ack_wait": 600_000_000_000_u64 });
    let body = json!({ "stream_name": stream, "config": config });
    ask(client, &format!("CONSUMER.DURABLE.CREATE.{stream}.{name}"), body).await;
    for number in 0..given {
        let next = format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{name}");
        // A message comes under its own subject, not that of the inbox: a request of this client would not find it.
        let inbox = client.new_inbox();
        let mut messages = client.subscribe(inbox.clone()).await.expect("subscribed");
        client.publish_with_reply(next, inbox, r#"{"batch":1,"no_wait":true}"#.into()).await.expect("sent");
        let message = tokio::time::timeout(LIMIT, messages.next()).await.expect("in time").expect("a message");
        assert_eq!(message.status, None, "a message was given");
        if number < acknowledged {
            client.request(message.reply.expect("where to acknowledge it"), "+ACK".into()).await.expect("acknowledged");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jetstream_consumer_says_why_it_is_handed_nothing_and_where_it_goes_on() {
    let Some(nats) = nats::shared() else { return };
    let client = async_nats::connect(nats.address().split(',').next().expect("one")).await.expect("connected");
    let session = connect(nats.integration()).await.expect("connected");
    let stream = unique("LAG").replace('.', "-");
    ask(&client, &format!("STREAM.CREATE.{stream}"), json!({ "name": stream, "subjects": [stream.clone()] })).await;
    for number in 0..6 {
        client.request(stream.clone(), number.to_string().into()).await.expect("stored");
    }
    let group = |name: &str| format!("{stream}/{name}");
    let url = format!("nats://{}", nats.address());
    let lag = |name: &str| lag(&url, &format!("nats/{}", group(name)));

    consumer(&client, &stream, "fetches", 100, 2, 2).await;
    assert_eq!(state(&session, &group("fetches")).await, State::Unknown, "it was given something just now");
    let (verdict, reason, behind) = lag("fetches");
    assert_eq!((verdict.as_str(), reason.as_str(), behind), ("unknown", "watched for < 1 s only", json!(4)));
    assert_eq!(read_on(&session, &group("fetches")).await, ["2", "3", "4", "5"]);

    consumer(&client, &stream, "full", 3, 3, 0).await;
    let (verdict, reason, behind) = lag("full");
    assert_eq!((verdict.as_str(), behind), ("unknown", json!(3)));
    assert!(reason.starts_with("3 messages are not acknowledged, its limit"), "{reason}");
    assert_eq!(read_on(&session, &group("full")).await.len(), 6, "the first that is not acknowledged is the next");
    let full = group_offset(&session, &group("full")).await;
    assert_eq!((full.committed, full.done, full.lag), (Some(1), Some(4), Amount::Exactly(3)));
    assert!(full.quiet.is_some(), "the server tells since when");

    consumer(&client, &stream, "paused", 100, 0, 0).await;
    ask(&client, &format!("CONSUMER.PAUSE.{stream}.paused"), json!({ "pause_until": "2099-01-01T00:00:00Z" })).await;
    let (verdict, reason, _) = lag("paused");
    assert_eq!((verdict.as_str(), reason.as_str()), ("paused", "nothing is handed out until 2099-01-01T00:00:00Z"));
}

/// Sends commands to Redis as a person on a bare socket does; each is answered by one line.
fn commands(address: &str, commands: &[String]) {
    let mut socket = TcpStream::connect(address).expect("Redis is there");
    let mut answers = BufReader::new(socket.try_clone().expect("a socket"));
    for command in commands {
        writeln!(socket, "{command}\r").expect("sent");
        let mut answer = String::new();
        answers.read_line(&mut answer).expect("an answer");
        assert!(!answer.starts_with('-'), "{command}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_group_goes_on_behind_the_entry_that_it_was_given_last() {
    let Some((server, session)) = crate::contract::redis::shared().await else { return };
    let stream = unique("lag");
    let publish = session.publish.as_ref().expect("Redis takes messages");
    let mut given = Vec::new();
    for number in 0..5_u32 {
        let message = Outgoing { payload: Some(number.to_string().into()), ..Outgoing::default() };
        let receipt = publish.publish(&format!("stream:{stream}"), message).await.expect("stored");
        let mqdeck::domain::receipt::Receipt::Stored(Position::Entry { millis, number }) = receipt else { panic!("{receipt:?}") };
        given.push(format!("{millis}-{number}"));
    }
    let group = format!("{stream}/workers");
    commands(&server.addresses()[0], &[format!("XGROUP CREATE {stream} workers {}", given[1])]);
    assert_eq!(read_on(&session, &group).await, ["2", "3", "4"]);
    let at = group_offset(&session, &group).await;
    assert_eq!((at.committed, at.lag, at.done), (None, Amount::Exactly(3), None), "a group that begins in the middle has no count");
}
