//! Streams are received from as one of their groups: which there are is told, and one is chosen, by a handle and on the command line.

use crate::contract::redis;
use crate::support::nats;
use crate::support::program::Home;
use crate::support::subjects::{connect, manage};
use crate::support::unique;
use mqdeck::adapters::session::Session;
use mqdeck::domain::fault::{Fault, Kind};
use mqdeck::domain::message::Outgoing;
use serde_json::Value;
use std::process::Stdio;

/// A stream of two messages in some system, and how its groups are made.
struct Stream<'a> {
    session: &'a Session,
    url: String,
    integration: &'static str,
    channel: String,
    /// The operation, its field for the group's name, and others.
    make: (&'static str, &'static str, &'static [(&'static str, &'static str)]),
    /// What receives from it as a group of that name.
    way: fn(&str, &str) -> String,
}

async fn fill(session: &Session, channel: &str) {
    let publish = session.publish.as_ref().expect("the system takes messages");
    for text in ["one", "two"] {
        publish.publish(channel, Outgoing { payload: Some(text.into()), ..Outgoing::default() }).await.expect("stored");
    }
}

async fn receive_options(stream: &Stream<'_>) -> Result<Vec<(String, String)>, Fault> {
    let receive_options = stream.session.hold.as_ref().expect("messages are given to hold").receive_options(&stream.channel).await?;
    Ok(receive_options.into_iter().map(|way| (way.name.to_string(), way.channel.to_string())).collect())
}

async fn is_received_from_as_a_group(stream: &Stream<'_>) {
    let none = receive_options(stream).await.expect_err("there is no group");
    assert!(none.to_string().contains("make one first"), "{none}");
    let (operation, field, others) = stream.make;
    let address = format!("{}/{}", stream.integration, stream.channel);
    for name in ["archive", "workers"] {
        let arguments = [&[(field, name)], others].concat();
        manage(stream.session, &address, operation, &arguments).await;
    }
    let bare = stream.channel.split_once(':').expect("a kind").1;
    let expected = ["archive", "workers"].map(|name| (name.to_owned(), (stream.way)(bare, name)));
    assert_eq!(receive_options(stream).await.expect("two groups"), expected);
    let hold = stream.session.hold.as_ref().expect("messages are given to hold");
    for (_, channel) in &expected {
        assert_eq!(hold.receive_options(channel).await, Ok(Vec::new()), "a group itself is enough");
    }
    assert_eq!(hold.hold(&stream.channel, 1).await.err().expect("which?").kind, Kind::Usage);

    let home = Home::new();
    let run = |arguments: &[&str]| {
        let done = home.mqdeck(&[&["--url", &stream.url, "receive", &address], arguments].concat()).stdin(Stdio::null()).output();
        let done = done.expect("the program runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (text(&done.stdout), text(&done.stderr), done.status.code())
    };
    let (lines, said, code) = run(&["--group", "workers", "--ack", "--limit", "1"]);
    assert_eq!((lines.lines().count(), code), (1, Some(0)), "{said}");
    assert!(said.contains("1 received, 1 settled") && !said.contains("stay pending"), "no more was taken than was asked for: {said}");
    let line: Value = serde_json::from_str(&lines).expect("a line of JSON");
    assert_eq!(line["value"], "one");
    let (lines, said, code) = run(&["--group", "worker", "--ack"]);
    assert!(lines.is_empty() && code == Some(2) && said.contains("did you mean `workers`?"), "{code:?} {said}");
    let (_, said, code) = run(&[]);
    assert!(code == Some(2) && said.contains(&expected[0].1), "{code:?} {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_redis() {
    let Some((server, session)) = redis::shared().await else { return };
    let channel = format!("stream:{}", unique("ways"));
    fill(&session, &channel).await;
    let make = ("group.create", "group", &[("to", "earliest")][..]);
    let url = format!("redis://{}", server.addresses()[0]);
    let way = |stream: &str, group: &str| format!("stream:{stream}/{group}");
    is_received_from_as_a_group(&Stream { session: &session, url, integration: "redis", channel, make, way }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_jetstream() {
    let Some(nats) = nats::shared() else { return };
    let session = connect(nats.integration()).await.expect("connected");
    let channel = format!("stream:{}", unique("ways").replace('.', "-"));
    manage(&session, &format!("nats/{channel}"), "stream.create", &[]).await;
    fill(&session, &channel).await;
    let url = format!("nats://{}", nats.address().split(',').next().expect("an address"));
    let way = |stream: &str, group: &str| format!("consumer:{stream}/{group}");
    let make = ("consumer.create", "name", &[][..]);
    is_received_from_as_a_group(&Stream { session: &session, url, integration: "nats", channel, make, way }).await;
}
