//! JetStream: a look at what a consumer is given next costs nothing, and says what it does not show.

use crate::support::nats;
use crate::support::program::Home;
use crate::support::subjects::{connect, manage};
use crate::support::{SOON, unique};
use futures::StreamExt;
use mqdeck::adapters::session::{Looked, Session};
use mqdeck::domain::channel::Cost;
use mqdeck::domain::delivery::{Delivery, Effect, Settlement};
use mqdeck::domain::message::Outgoing;
use mqdeck::domain::position::Position;

async fn ask(session: &Session, call: &str, body: String) {
    let request = Outgoing { payload: Some(body.into()), ..Outgoing::default() };
    let mut answer = session.call.as_ref().expect("NATS is asked").call(&format!("$JS.API.{call}"), request, SOON).await.expect("asked");
    let answer = answer.next().await.expect("an answer").expect("an answer");
    let answer = String::from_utf8_lossy(answer.payload.as_deref().expect("JSON")).into_owned();
    assert!(!answer.contains("\"error\""), "{answer}");
}

fn text(body: &str) -> Outgoing {
    Outgoing { payload: Some(body.to_owned().into()), ..Outgoing::default() }
}

fn sequences(deliveries: &[Delivery]) -> Vec<Position> {
    deliveries.iter().map(|delivery| delivery.message.position).collect()
}

async fn look(session: &Session, channel: &str, most: usize) -> Looked {
    let peek = session.peek.as_ref().expect("consumers are looked at");
    assert_eq!(peek.cost(channel).await, Ok(Cost::Nothing));
    peek.peek(channel, most).await.unwrap_or_else(|fault| panic!("{channel}: {fault}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_shows_what_a_consumer_is_given_next_and_spends_no_delivery() {
    let Some(nats) = nats::shared() else { return };
    let session = connect(nats.integration()).await.expect("connected");
    for (retention, direct) in [("limits", true), ("limits", false), ("workqueue", true), ("workqueue", false), ("interest", true)] {
        let name = unique("looked").replace('.', "-");
        let config = format!(r#"{{"name":"{name}","subjects":["{name}.>"],"retention":"{retention}","allow_direct":{direct}}}"#);
        ask(&session, &format!("STREAM.CREATE.{name}"), config).await;
        let filters = format!(r#"["{name}.a","{name}.b.*"]"#);
        let config = format!(
            r#"{{"stream_name":"{name}","config":{{"durable_name":"once","ack_policy":"explicit","max_deliver":1,"filter_subjects":{filters}}}}}"#
        );
        ask(&session, &format!("CONSUMER.CREATE.{name}.once"), config).await;
        for subject in ["a", "x", "b.1", "a", "x", "b.2", "a", "a.a"] {
            let channel = format!("{name}.{subject}");
            session.publish.as_ref().expect("it takes messages").publish(&channel, text(subject)).await.expect("stored");
        }
        let consumer = format!("consumer:{name}/once");
        let all = [1, 3, 4, 6, 7].map(Position::Sequence);
        for (channel, most) in [(consumer.clone(), 10), (format!("stream:{name}"), 10), (consumer.clone(), 3), (consumer.clone(), 0)] {
            let looked = look(&session, &channel, most).await;
            assert_eq!(sequences(&looked.deliveries), all[..most.min(5)], "{retention} {direct} {channel}");
            assert!(looked.deliveries.iter().all(|delivery| delivery.ticket.is_none() && !delivery.redelivered));
            assert_eq!((looked.cut, looked.notes), (false, Vec::new()));
            assert!(most == 0 || looked.ready == Some((5, 5)), "{:?}", looked.ready);
        }
        // Each is given once alone: a look that spent it would lose it.
        let mut holding = session.hold.as_ref().expect("receiving").hold(&consumer, 2).await.expect("held");
        let mut tickets = Vec::new();
        for sequence in &all[..2] {
            let delivery = tokio::time::timeout(SOON, holding.next()).await.expect("in time").expect("it goes on").expect("a delivery");
            assert_eq!((delivery.message.position, delivery.deliveries), (*sequence, Some(1)));
            tickets.extend(delivery.ticket);
        }
        holding.stop_receiving().await.expect("no more is wanted");
        holding.settle(tickets[0], &Settlement { effect: Effect::Ack, arguments: Vec::new() }).await.expect("acknowledged");
        let looked = look(&session, &consumer, 10).await;
        assert_eq!(sequences(&looked.deliveries), all[2..], "what was given is not next");
        assert_eq!(looked.ready, Some((3, 3)));
        let said = looked.notes.first().expect("a note");
        assert!(said.as_str().contains("1 message given and not acknowledged") && looked.notes.len() == 1, "{said}");
        holding.release().await.expect("given back");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_looks_without_being_asked_and_read_only() {
    let Some(nats) = nats::shared() else { return };
    let session = connect(nats.integration()).await.expect("connected");
    let name = unique("looked").replace('.', "-");
    manage(&session, &format!("nats/stream:{name}"), "stream.create", &[]).await;
    let (home, url) = (Home::new(), format!("nats://{}", nats.address()));
    let peek = |target: &str| {
        let done = home.mqdeck(&["--url", &url, "--read-only", "peek", target, "--json"]).output().expect("it runs");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        (text(done.stdout), text(done.stderr), done.status.code())
    };
    let stream = format!("nats/stream:{name}");
    let (_, said, code) = peek(&stream);
    assert!(code == Some(2) && said.contains("no consumer") && said.contains("read its history"), "{code:?} {said}");
    for consumer in ["one", "two"] {
        manage(&session, &stream, "consumer.create", &[("name", consumer), ("max_deliver", "1")]).await;
    }
    let (_, said, code) = peek(&stream);
    assert!(code == Some(2) && said.contains(&format!("say which: consumer:{name}/one, consumer:{name}/two")), "{code:?} {said}");
    for body in ["first", "second"] {
        session.publish.as_ref().expect("it takes messages").publish(&format!("stream:{name}"), text(body)).await.expect("stored");
    }
    for _ in 0..2 {
        let (lines, said, code) = peek(&format!("nats/consumer:{name}/two"));
        assert_eq!((lines.lines().count(), code), (2, Some(0)), "{said}");
        assert!(said.contains("2 looked at; ready before: 2, after: 2"), "{said}");
    }
    let (_, said, code) = peek(&format!("nats/{name}"));
    assert!(code == Some(2) && said.contains("nothing waits here"), "{code:?} {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_consumer_gives_for_the_last_time_is_not_taken_without_a_decision() {
    let Some(nats) = nats::shared() else { return };
    let session = connect(nats.integration()).await.expect("connected");
    let name = unique("spent").replace('.', "-");
    let stream = format!("nats/stream:{name}");
    manage(&session, &stream, "stream.create", &[]).await;
    for (consumer, most) in [("limited", &[("max_deliver", "1")][..]), ("unlimited", &[])] {
        manage(&session, &stream, "consumer.create", &[&[("name", consumer)], most].concat()).await;
    }
    for body in ["a", "b"] {
        session.publish.as_ref().expect("it takes messages").publish(&format!("stream:{name}"), text(body)).await.expect("stored");
    }
    let (home, address) = (Home::new(), nats.address().split(',').next().expect("an address"));
    let profile = format!("integration \"nats\" {{\n  type = \"nats\"\n  endpoint {{ address = \"{address}\" }}\n}}\n");
    let profile = home.write("test.hcl", &profile);
    let said = |global: &[&str], consumer: &str, more: &[&str]| {
        let channel = format!("nats/consumer:{name}/{consumer}");
        let receive = ["receive", &channel, "--limit", "1", "--wait", "1s"];
        let arguments = [&["--profile", profile.to_str().expect("a path")], global, &receive, more].concat();
        let done = home.mqdeck(&arguments).stdin(std::process::Stdio::null()).output().expect("it runs");
        (done.status.code(), String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned())
    };
    let limited = format!("consumer:{name}/limited");
    let left = async || look(&session, &limited, 10).await.ready;
    let (code, text) = said(&[], "limited", &[]);
    assert!(code == Some(1) && text.contains("max_deliver") && text.contains("--ack"), "{code:?} {text}");
    let (code, text) = said(&[], "limited", &["--spend"]);
    assert!(code == Some(3) && text.contains("needs an armed profile"), "{code:?} {text}");
    assert_eq!(left().await, Some((2, 2)), "nothing was given");
    let (code, text) = said(&["--arm", "test"], "limited", &["--spend"]);
    assert!(code == Some(0) && text.contains("may DELETE messages") && text.contains("1 received"), "{code:?} {text}");
    // The one delivery of the first is spent: it is not given again, and the second is next.
    let looked = look(&session, &limited, 10).await;
    assert_eq!((sequences(&looked.deliveries), looked.ready), (vec![Position::Sequence(2)], Some((1, 1))));
    let (code, text) = said(&[], "limited", &["--ack"]);
    assert!(code == Some(0) && text.contains("1 received, 1 settled"), "{code:?} {text}");
    // Where there is no limit nothing is spent.
    let (code, text) = said(&[], "unlimited", &[]);
    assert!(code == Some(0) && text.contains("1 received"), "{code:?} {text}");
    manage(&session, &stream, "stream.delete", &[]).await;
}
