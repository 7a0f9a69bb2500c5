//! JetStream: which consumers give up, where that is recorded, and the messages that it is about.

use super::{findings, gaps, letters, map, paths};
use crate::support::nats::{self, Nats};
use crate::support::subjects::connect;
use crate::support::{SOON, until};
use futures::StreamExt;
use mqdeck::adapters::session::Session;
use mqdeck::domain::dead_letter::place::{Assumptions, Found};
use mqdeck::domain::delivery::{Effect, Settlement};
use mqdeck::domain::fault::Kind;
use mqdeck::domain::message::Outgoing;
use mqdeck::domain::position::Position;
use serde_json::{Value, json};

/// Asks the API itself, as any client does.
async fn api(session: &Session, call: &str, body: &Value) -> Value {
    let request = Outgoing { payload: Some(body.to_string().into()), ..Outgoing::default() };
    let mut answer = session.call.as_ref().expect("NATS is asked").call(&format!("$JS.API.{call}"), request, SOON).await.expect("asked");
    let answer = answer.next().await.expect("an answer").unwrap_or_else(|fault| panic!("{fault}"));
    let answer: Value = serde_json::from_slice(answer.payload.as_deref().unwrap_or_default()).expect("JSON");
    assert!(answer.get("error").is_none(), "{call}: {answer}");
    answer
}

async fn stream(session: &Session, name: &str, subject: &str, more: Value) {
    let mut config = json!({ "name": name, "subjects": [subject], "storage": "memory" });
    config.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    api(session, &format!("STREAM.CREATE.{name}"), &config).await;
}

async fn consumer(session: &Session, stream: &str, name: &str, more: Value) {
    let mut config = json!({ "durable_name": name, "ack_policy": "explicit", "ack_wait": 30_000_000_000_u64 });
    config.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    api(session, &format!("CONSUMER.CREATE.{stream}.{name}"), &json!({ "stream_name": stream, "config": config })).await;
}

async fn put(session: &Session, subject: &str, payloads: &[&str]) {
    let publish = session.publish.as_ref().expect("NATS takes messages");
    for payload in payloads {
        let message = Outgoing { payload: Some((*payload).to_owned().into()), ..Outgoing::default() };
        publish.publish(subject, message).await.unwrap_or_else(|fault| panic!("{fault}"));
    }
}

/// Settles the next messages of a consumer, each in its way; `TERM` with this reason.
async fn settle(session: &Session, consumer: &str, effects: &[Effect], reason: &str) {
    let hold = session.hold.as_ref().expect("consumers are received from");
    let mut held = hold.hold(&format!("consumer:{consumer}"), 1).await.unwrap_or_else(|fault| panic!("{fault}"));
    for effect in effects {
        let delivery = tokio::time::timeout(SOON, held.next()).await.expect("in time").expect("open").expect("a delivery");
        let arguments = if *effect == Effect::Reject { vec![("reason", reason.to_owned())] } else { Vec::new() };
        let arguments = arguments.into_iter().map(|(name, value)| (name.into(), value)).collect();
        held.settle(delivery.ticket.expect("a ticket"), &Settlement { effect: *effect, arguments }).await.expect("settled");
    }
    held.release().await.expect("released");
}

/// Consumers that give up and those that do not, streams that record it and those that do not.
async fn topology(nats: &Nats) -> Session {
    let session = connect(nats.integration()).await.expect("connected");
    let day = 86_400_000_000_000_u64;
    stream(&session, "ORDERS", "orders.>", json!({ "max_age": 30 * day })).await;
    stream(&session, "BRIEF", "brief.>", json!({ "max_age": day })).await;
    stream(&session, "WORK", "work.>", json!({ "retention": "workqueue", "max_msgs": 1_000, "discard": "new" })).await;
    stream(&session, "DEAD", "$JS.EVENT.ADVISORY.CONSUMER.*.ORDERS.>", json!({ "allow_direct": true })).await;
    stream(&session, "HALF", "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.BRIEF.*", json!({ "max_msgs": 10 })).await;
    stream(&session, "DLQ", "dlq.>", json!({ "max_bytes": 1_000_000 })).await;
    consumer(&session, "ORDERS", "billing", json!({ "max_deliver": 2 })).await;
    consumer(&session, "ORDERS", "patient", json!({})).await;
    consumer(&session, "ORDERS", "audit", json!({ "ack_policy": "none" })).await;
    consumer(&session, "BRIEF", "brief", json!({ "max_deliver": 3 })).await;
    consumer(&session, "WORK", "worker", json!({ "max_deliver": 5 })).await;
    session
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_gives_up_has_a_path_to_whatever_records_it_and_what_is_recorded_nowhere_is_found() {
    let Some(nats) = nats::own(&[]) else { return };
    let session = topology(&nats).await;
    let assumed = Assumptions { channels: vec!["stream:DLQ".into(), "stream:NONE".into()], ..Assumptions::default() };
    let found = map(&session, &assumed).await.expect("a map");
    let expected = [
        "stream:BRIEF (BRIEF/brief) → advisories of stream:HALF [0] when max_deliveries by max deliver=3",
        "stream:ORDERS (ORDERS/billing) → advisories of stream:DEAD [0] when max_deliveries terminated by max deliver=2",
        "stream:ORDERS (ORDERS/patient) → advisories of stream:DEAD [0] when terminated by ",
        "stream:WORK (WORK/worker) → nowhere when max_deliveries by max deliver=5",
    ];
    assert_eq!(paths(&found), expected);
    let expected = [
        "loses: expires stream:BRIEF",
        "loses: drops-oldest stream:DLQ",
        "loses: drops-oldest stream:HALF",
        "may lose: unrecorded stream:BRIEF (BRIEF/brief)",
        "may lose: unrecorded stream:WORK (WORK/worker)",
        "notice: unread stream:DEAD",
        "notice: unread stream:DLQ",
        "notice: unread stream:HALF",
    ];
    assert_eq!((findings(&found), gaps(&found)), (expected.map(str::to_owned).to_vec(), vec!["stream:NONE".to_owned()]));
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_are_read_from_the_advisories_with_their_messages_and_nobody_is_given_anything_by_that() {
    let Some(nats) = nats::own(&[]) else { return };
    let session = topology(&nats).await;
    put(&session, "orders.a", &["poison", "refused", "deleted", "fine"]).await;
    // What is given back comes again before the others.
    let effects = [Effect::Requeue, Effect::Requeue, Effect::Reject, Effect::Reject, Effect::Ack];
    settle(&session, "ORDERS/billing", &effects, "no such \u{1b}[31mcustomer").await;
    let count = |found: &str| found.split_once('[').and_then(|(_, rest)| rest.split_once(']')?.0.parse::<u64>().ok());
    let recorded = async || {
        let found = map(&session, &Assumptions::default()).await.expect("a map");
        paths(&found).iter().find(|path| path.contains("billing")).and_then(|path| count(path)).unwrap_or(0)
    };
    until("three are recorded", SOON, async || (recorded().await == 3).then_some(())).await;
    // Whoever may publish there can write anything.
    let odd = [r#"{"stream":"a.b","consumer":"c","stream_seq":1}"#, "no JSON", r#"{"stream":"GONE","consumer":"c","stream_seq":1}"#];
    put(&session, "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.ORDERS.x", &odd).await;
    put(&session, "$JS.EVENT.ADVISORY.CONSUMER.MSG_NAKED.ORDERS.x", &["ignored"]).await;
    let deleted = api(&session, "STREAM.MSG.DELETE.ORDERS", &json!({ "seq": 3 })).await;
    assert_eq!(deleted["success"], true);
    let before = api(&session, "CONSUMER.INFO.ORDERS.billing", &json!({})).await;
    let (found, faults) = letters(&session, "stream:DEAD", &Assumptions::default()).await;
    assert!(faults.len() == 2 && faults.iter().all(|fault| fault.kind == Kind::Protocol), "{faults:?}");
    let mut seen = Vec::new();
    for letter in &found {
        let message = match &letter.message {
            Found::Message(message) => String::from_utf8_lossy(message.payload.as_deref().unwrap_or_default()).into_owned(),
            Found::Gone(why) => why.to_string(),
            Found::Unread(fault) => panic!("{fault}"),
        };
        let why = letter.explanation.as_ref().map_or_else(String::new, |why| format!(": {why}"));
        assert!(letter.died.is_some() && matches!(letter.recorded, Some(Position::Sequence(_))), "{letter:?}");
        let deliveries = letter.deliveries.map_or_else(|| "?".to_owned(), |n| n.to_string());
        seen.push(format!("{}#{} {} {}{why} after {deliveries}: {message}", letter.channel, letter.position, letter.group, letter.reason));
    }
    seen.sort();
    let expected = [
        "stream:GONE#1 GONE/c max_deliveries after ?: its stream is not there any more",
        "stream:ORDERS#1 ORDERS/billing max_deliveries after 2: poison",
        "stream:ORDERS#2 ORDERS/billing terminated: no such ‹ESC›[31mcustomer after 1: refused",
        "stream:ORDERS#3 ORDERS/billing terminated: no such ‹ESC›[31mcustomer after 1: it was deleted from its stream",
    ];
    assert_eq!(seen, expected);
    let after = api(&session, "CONSUMER.INFO.ORDERS.billing", &json!({})).await;
    assert_eq!((&before["delivered"], &before["num_ack_pending"]), (&after["delivered"], &after["num_ack_pending"]));
    let streams = api(&session, "STREAM.INFO.DEAD", &json!({})).await;
    assert_eq!(streams["state"]["consumer_count"], 0, "nothing is left behind");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_that_is_lowered_gives_up_messages_and_whether_that_was_recorded_is_said() {
    let Some(nats) = nats::own(&[]) else { return };
    let session = connect(nats.integration()).await.expect("connected");
    stream(&session, "ORDERS", "orders.>", json!({})).await;
    stream(&session, "DEAD", "$JS.EVENT.ADVISORY.CONSUMER.>", json!({})).await;
    // What was given out and left comes back soon.
    let soon = 1_000_000_000_u64;
    consumer(&session, "ORDERS", "billing", json!({ "ack_wait": soon })).await;
    put(&session, "orders.a", &["poison"]).await;
    settle(&session, "ORDERS/billing", &[Effect::Requeue; 4], "").await;
    consumer(&session, "ORDERS", "billing", json!({ "max_deliver": 2, "ack_wait": soon })).await;
    // The server looks at what came back when somebody asks for messages.
    let mut next = session.hold.as_ref().expect("hold").hold("consumer:ORDERS/billing", 1).await.expect("receiving");
    let asking = tokio::spawn(async move { next.next().await });
    let found = until("it is given up", SOON, async || {
        let found = map(&session, &Assumptions::default()).await.expect("a map");
        let is_recorded = !paths(&found)[0].contains("[0]");
        (is_recorded || findings(&found).iter().any(|line| line.contains("unannounced"))).then_some(found)
    })
    .await;
    asking.abort();
    // Servers before the one that says it as well say nothing.
    let unannounced = "may lose: unannounced stream:ORDERS (ORDERS/billing)".to_owned();
    assert_eq!(paths(&found)[0].contains("[0]"), findings(&found).contains(&unannounced), "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_jetstream_is_off_or_may_not_be_asked_that_is_said() {
    let Some(nats) = nats::own(&["--no-jetstream"]) else { return };
    let session = connect(nats.integration()).await.expect("connected");
    let found = map(&session, &Assumptions::default()).await.expect("there is nothing to be known");
    assert!(found.paths.is_empty() && found.notes.len() == 1, "{found:?}");
}
