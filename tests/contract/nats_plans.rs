//! What a plan says is what is done, against a real server with somebody who writes meanwhile: what comes after the plan stays, and what
//! has another's name by then is left alone.

use super::history::WHOLE;
use crate::support::SOON;
use crate::support::nats::{self, Nats};
use crate::support::subjects::{connect, header, manage, read};
use futures::StreamExt;
use mqdeck::adapters::session::Session;
use mqdeck::domain::fault::Kind;
use mqdeck::domain::figure::Amount;
use mqdeck::domain::message::Outgoing;
use mqdeck::domain::operation::{Change, Request};
use mqdeck::domain::receipt::Receipt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

async fn plan(session: &Session, address: &str, id: &str, arguments: &[(&str, &str)]) -> Change {
    let manage = session.manage.as_ref().expect("NATS is managed");
    let spec = manage.operations().iter().find(|spec| spec.id == id).expect("the operation");
    let arguments = arguments.iter().map(|(id, value)| ((*id).to_owned(), (*value).to_owned())).collect();
    let request = Request { spec, address: address.parse().expect("an address"), arguments };
    manage.plan(request).await.unwrap_or_else(|fault| panic!("{id}: {fault}"))
}

async fn put(session: &Session, stream: &str, subject: &str, count: u32) {
    for n in 0..count {
        let message = Outgoing { key: Some(subject.to_owned().into()), payload: Some(n.to_string().into()), ..Outgoing::default() };
        let publish = session.publish.as_ref().expect("NATS takes messages");
        publish.publish(&format!("stream:{stream}"), message).await.unwrap_or_else(|fault| panic!("{fault}"));
    }
}

async fn sequences(session: &Session, stream: &str) -> Vec<i64> {
    let messages = read(session, &format!("stream:{stream}"), WHOLE).await.unwrap_or_else(|fault| panic!("{fault}"));
    messages.iter().filter_map(|message| message.position.number()).collect()
}

/// Asks the API itself.
async fn api(session: &Session, call: &str, body: &str) -> String {
    let request = Outgoing { payload: Some(body.to_owned().into()), ..Outgoing::default() };
    let mut answer = session.call.as_ref().expect("NATS is asked").call(&format!("$JS.API.{call}"), request, SOON).await.expect("asked");
    let answer = answer.next().await.expect("an answer").unwrap_or_else(|fault| panic!("{fault}"));
    String::from_utf8_lossy(answer.payload.as_deref().unwrap_or_default()).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_deletes_what_was_there_at_the_plan_and_nothing_that_came_since() {
    let Some(nats) = nats::own(&[]) else { return };
    let session = connect(nats.integration()).await.expect("connected");
    let apply = async |change: &Change| session.manage.as_ref().expect("manage").apply(change).await.expect("carried out");
    // Before the plan: a.x at 1, 3, 5, 7, 9, 11 and a.y between, without 4 and 9. What is there beside the eight that come after the plan.
    for (arguments, touches, left) in [
        (&[][..], Amount::Exactly(10), &[][..]),
        (&[("before", "9999")], Amount::Exactly(10), &[]),
        (&[("before", "8")], Amount::AtMost(7), &[8, 10, 11, 12]),
        (&[("keep", "2")], Amount::AtMost(8), &[11, 12]),
        (&[("keep", "7")], Amount::AtMost(3), &[5, 6, 7, 8, 10, 11, 12]),
        (&[("subject", "a.x")], Amount::AtMost(10), &[2, 6, 8, 10, 12]),
        (&[("subject", "a.x"), ("keep", "1")], Amount::AtMost(4), &[2, 6, 8, 10, 11, 12]),
        (&[("subject", "a.y"), ("before", "9999")], Amount::AtMost(10), &[1, 3, 5, 7, 11]),
    ] {
        for direct in [true, false] {
            if !direct && arguments.len() == 2 && arguments[1].0 == "keep" {
                continue;
            }
            let config = format!(r#"{{"name":"P","subjects":["a.*"],"allow_direct":{direct}}}"#);
            assert!(!api(&session, "STREAM.CREATE.P", &config).await.contains("error"));
            for _ in 0..6 {
                put(&session, "P", "a.x", 1).await;
                put(&session, "P", "a.y", 1).await;
            }
            for hole in ["4", "9"] {
                manage(&session, "nats/stream:P", "message.delete", &[("sequence", hole)]).await;
            }
            let change = plan(&session, "nats/stream:P", "stream.purge", arguments).await;
            assert!(change.refused.is_none() && change.bounded, "{arguments:?}: {:?}", change.refused);
            assert_eq!(change.touches.number(), touches.number(), "{arguments:?}, direct {direct}: {:?}", change.touches);
            put(&session, "P", "a.x", 4).await;
            put(&session, "P", "a.y", 4).await;
            apply(&change).await;
            let expected: Vec<i64> = left.iter().copied().chain(13..=20).collect();
            assert_eq!(sequences(&session, "P").await, expected, "{arguments:?}, direct {direct}");
            assert!(!api(&session, "STREAM.DELETE.P", "").await.contains("error"));
        }
    }
}

/// Publishes to a subject until the flag is set; how many messages.
fn writer(nats: &Nats, subject: &'static str, ended: &Arc<AtomicBool>) -> tokio::task::JoinHandle<u64> {
    let (integration, ended) = (nats.integration(), ended.clone());
    tokio::spawn(async move {
        let session = connect(integration).await.expect("connected");
        let mut count = 0;
        while !ended.load(Ordering::Relaxed) {
            put(&session, "W", subject, 1).await;
            count += 1;
        }
        count
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_writer_beside_it_no_purge_deletes_more_than_its_plan_said() {
    let Some(nats) = nats::own(&[]) else { return };
    let session = connect(nats.integration()).await.expect("connected");
    manage(&session, "nats/stream:W", "stream.create", &[("subjects", "w.*")]).await;
    put(&session, "W", "w.x", 20).await;
    manage(&session, "nats/stream:W", "message.delete", &[("sequence", "7")]).await;
    let ended = Arc::new(AtomicBool::new(false));
    let writers = [writer(&nats, "w.x", &ended), writer(&nats, "w.y", &ended)];
    for arguments in [&[("keep", "5")][..], &[("subject", "w.y"), ("keep", "5")], &[("before", "99999999")], &[]] {
        let change = plan(&session, "nats/stream:W", "stream.purge", arguments).await;
        let done = session.manage.as_ref().expect("manage").apply(&change).await.expect("carried out");
        let said = done.parts[0].1.clone().unwrap_or_else(|fault| panic!("{fault}"));
        let purged = said.as_str().rsplit(": ").next().and_then(|text| text.split(' ').next()).expect("a count").replace(',', "");
        let purged: u64 = purged.parse().expect("a number");
        assert!(change.touches.number().is_some_and(|most| purged <= most), "{arguments:?}: {purged} of {:?}", change.touches);
    }
    ended.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.expect("it wrote");
    }
    assert!(!sequences(&session, "W").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_made_again_or_by_somebody_else_since_the_plan_is_left_alone() {
    let Some(nats) = nats::own(&[]) else { return };
    let session = connect(nats.integration()).await.expect("connected");
    let apply = async |change: &Change| {
        let done = session.manage.as_ref().expect("manage").apply(change).await.expect("carried out");
        done.parts.into_iter().next().expect("a part").1.expect_err("it is left alone")
    };
    manage(&session, "nats/stream:S", "stream.create", &[("subjects", "s.*")]).await;
    manage(&session, "nats/stream:S", "consumer.create", &[("name", "c")]).await;
    put(&session, "S", "s.a", 3).await;
    let old = [
        plan(&session, "nats/stream:S", "stream.purge", &[]).await,
        plan(&session, "nats/stream:S", "message.delete", &[("sequence", "2")]).await,
        plan(&session, "nats/stream:S", "stream.delete", &[]).await,
        plan(&session, "nats/group:S/c", "consumer.delete", &[]).await,
        plan(&session, "nats/group:S/c", "consumer.pause", &[]).await,
        plan(&session, "nats/stream:S", "consumer.create", &[("name", "d")]).await,
    ];
    manage(&session, "nats/stream:S", "stream.delete", &[]).await;
    manage(&session, "nats/stream:S", "stream.create", &[("subjects", "s.*")]).await;
    manage(&session, "nats/stream:S", "consumer.create", &[("name", "c")]).await;
    put(&session, "S", "s.a", 3).await;
    for change in &old {
        let fault = apply(change).await;
        assert!(fault.kind == Kind::Rejected && fault.cause.as_str().contains("made again"), "{}: {fault}", change.request.spec.id);
    }
    assert_eq!(sequences(&session, "S").await, [1, 2, 3]);

    let new = plan(&session, "nats/stream:N", "stream.create", &[("subjects", "n.*")]).await;
    let consumer = plan(&session, "nats/stream:S", "consumer.create", &[("name", "e")]).await;
    manage(&session, "nats/stream:N", "stream.create", &[("subjects", "n.*")]).await;
    manage(&session, "nats/stream:S", "consumer.create", &[("name", "e"), ("filter", "s.b"), ("max_deliver", "3")]).await;
    assert_eq!(apply(&new).await.kind, Kind::Rejected);
    assert_eq!(apply(&consumer).await.kind, Kind::Rejected);
    assert!(api(&session, "CONSUMER.INFO.S.e", "").await.contains(r#""max_deliver":3"#), "it is as somebody else made it");
    let again = plan(&session, "nats/stream:N", "stream.create", &[("subjects", "n.*")]).await;
    assert!(again.refused.is_some(), "there is such a stream");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_stream_forbids_is_foreseen_by_the_plan() {
    let Some(nats) = nats::own(&[]) else { return };
    let session = connect(nats.integration()).await.expect("connected");
    for (name, flags) in [("SEALED", r#","sealed":true"#), ("DENY", r#","deny_purge":true,"deny_delete":true"#)] {
        let config = |flags: &str| format!(r#"{{"name":"{name}","subjects":["{name}.*"]{flags}}}"#);
        assert!(!api(&session, &format!("STREAM.CREATE.{name}"), &config(if name == "DENY" { flags } else { "" })).await.contains("error"));
        put(&session, name, &format!("{name}.a"), 2).await;
        if name == "SEALED" {
            assert!(!api(&session, "STREAM.UPDATE.SEALED", &config(flags)).await.contains(r#""error""#));
        }
        for (id, arguments) in [("stream.purge", &[][..]), ("message.delete", &[("sequence", "1")])] {
            let fault = plan(&session, &format!("nats/stream:{name}"), id, arguments).await.refused.expect("it is refused");
            assert!(fault.kind == Kind::Rejected && fault.next.as_str().contains("stream.delete"), "{fault}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copied_message_is_stored_as_it_was_and_a_refusal_of_the_stream_is_told() {
    let Some(nats) = nats::own(&[]) else { return };
    let session = connect(nats.integration()).await.expect("connected");
    let publish = session.publish.as_ref().expect("NATS takes messages");
    for name in ["ONE", "TWO"] {
        manage(&session, &format!("nats/stream:{name}"), "stream.create", &[("subjects", &format!("{name}.*"))]).await;
    }
    let message = |subject: &str, headers: Vec<_>| Outgoing {
        key: subject.starts_with("key:").then(|| subject[4..].to_owned().into()),
        headers,
        payload: Some("x".into()),
        ..Outgoing::default()
    };
    // As another client's conditions, and those of streams, are read from messages and published on.
    let conditions =
        vec![header("a", Some(b"1")), header("Nats-Expected-Stream", Some(b"ONE")), header("Nats-Expected-Last-Sequence", Some(b"77"))];
    for channel in ["stream:TWO", "TWO.a"] {
        let key = if channel.starts_with("stream:") { "key:TWO.a" } else { "" };
        let receipt = publish.publish(channel, message(key, conditions.clone())).await.unwrap_or_else(|fault| panic!("{fault}"));
        assert!(matches!(receipt, Receipt::Stored(_) | Receipt::Accepted));
    }
    let stored = read(&session, "stream:TWO", WHOLE).await.unwrap_or_else(|fault| panic!("{fault}"));
    let headers: Vec<_> = stored.iter().map(|message| message.headers.clone()).collect();
    assert_eq!(headers, vec![vec![header("a", Some(b"1"))]; 2], "nothing is added, and no condition goes on");
    let rollup = publish.publish("stream:TWO", message("key:TWO.a", vec![header("Nats-Rollup", Some(b"all"))])).await;
    assert_eq!(rollup.expect_err("it would delete").kind, Kind::Rejected);
    // What a stream that keeps the subject does not take is no success, whoever else listens.
    assert!(
        !api(&session, "STREAM.UPDATE.TWO", r#"{"name":"TWO","subjects":["TWO.*"],"max_msgs":2,"discard":"new","allow_direct":true}"#)
            .await
            .contains(r#""error""#)
    );
    let _listener = nats.responder(&["TWO.a"], vec![b"NATS/1.0\r\n\r\n".to_vec()], "I heard").await;
    let fault = publish.publish("TWO.a", message("", Vec::new())).await.expect_err("the stream is full");
    assert!(fault.kind == Kind::Rejected && fault.cause.as_str().contains("10077"), "{fault}");
    assert_eq!(publish.publish("nobody.keeps.it", message("", Vec::new())).await, Ok(Receipt::Accepted));
}
