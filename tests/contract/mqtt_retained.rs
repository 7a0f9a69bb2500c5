//! What a real Mosquitto retains: a plan to clear it names all of it or says that it does not, and what came since the plan stays.

use super::history::WHOLE;
use crate::support::mosquitto::{own, shared};
use crate::support::subjects::read;
use crate::support::unique;
use futures::{StreamExt, stream};
use mqdeck::adapters::session::Session;
use mqdeck::domain::fault::Kind;
use mqdeck::domain::figure::Amount;
use mqdeck::domain::message::Outgoing;
use mqdeck::domain::operation::{Change, Done, Request};

fn kept(payload: Vec<u8>) -> Outgoing {
    Outgoing { payload: Some(payload.into()), options: vec![("retain", "yes".to_owned())], ..Outgoing::default() }
}

async fn retain(session: &Session, topic: &str, payload: impl Into<Vec<u8>>) {
    let publish = session.publish.as_ref().expect("MQTT takes messages");
    publish.publish(topic, kept(payload.into())).await.expect("kept");
}

async fn plan(session: &Session, filter: &str) -> Change {
    let manage = session.manage.as_ref().expect("MQTT is administered");
    let spec = *manage.operations().first().expect("an operation");
    let request = Request { spec, address: format!("iot/{filter}").parse().expect("an address"), arguments: Vec::new() };
    manage.plan(request).await.unwrap_or_else(|fault| panic!("{fault}"))
}

async fn apply(session: &Session, change: &Change) -> Done {
    session.manage.as_ref().expect("MQTT is administered").apply(change).await.unwrap_or_else(|fault| panic!("{fault}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn more_bytes_than_one_reading_keeps_are_planned_and_cleared_whole() {
    let Some(broker) = own(&[]) else { return };
    for version in ["5", "3.1.1"] {
        let session = broker.session(&[("version", version)]).await;
        for n in 0..45 {
            retain(&session, &format!("large/{n:02}"), vec![b'x'; 900_000]).await;
        }
        assert!(read(&session, "large/#", WHOLE).await.expect("history").len() < 45, "one reading does not keep all of it");
        let change = plan(&session, "large/#").await;
        assert_eq!((change.touches, change.tables[0].rows.len()), (Amount::Exactly(45), 45), "{version}");
        assert!(!change.summary.as_str().contains("part"), "{}", change.summary);
        let done = apply(&session, &change).await;
        assert!(done.parts.len() == 45 && done.parts.iter().all(|(_, part)| part.is_ok()), "{version}: {done:?}");
        assert!(read(&session, "large/#", WHOLE).await.expect("history").is_empty(), "{version}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_more_topics_than_one_plan_takes_it_says_that_it_is_a_part_and_deletes_no_other() {
    let Some(broker) = own(&[]) else { return };
    let session = broker.session(&[]).await;
    let topics = stream::iter((0..50_010).map(|n| format!("many/{n:05}")));
    topics.for_each_concurrent(500, async |topic| retain(&session, &topic, "1").await).await;
    let change = plan(&session, "many/#").await;
    assert_eq!((change.touches, change.tables[0].rows.len()), (Amount::Exactly(50_000), 50_000));
    assert!(change.summary.as_str().starts_with("deletes only a part of what is retained: of 50,000 topics"), "{}", change.summary);
    let done = apply(&session, &change).await;
    assert!(done.parts.len() == 50_000 && done.parts.iter().all(|(_, part)| part.is_ok()));
    let rest = plan(&session, "many/#").await;
    assert_eq!((rest.touches, rest.summary.as_str()), (Amount::Exactly(10), "deletes what is retained of 10 topics"));
    apply(&session, &rest).await;
    assert!(read(&session, "many/#", WHOLE).await.expect("history").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_topic_retains_since_the_plan_is_left_alone() {
    let Some(broker) = shared() else { return };
    for version in ["5", "3.1.1"] {
        let session = broker.session(&[("version", version)]).await;
        let root = unique("since");
        for name in ["same", "changed", "gone", "again"] {
            retain(&session, &format!("{root}/{name}"), "1").await;
        }
        let change = plan(&session, &format!("{root}/#")).await;
        assert!(change.bounded && change.notes.iter().any(|note| note.as_str().contains("left alone")), "{:?}", change.notes);
        retain(&session, &format!("{root}/changed"), "2").await;
        retain(&session, &format!("{root}/gone"), "").await;
        retain(&session, &format!("{root}/new"), "1").await;
        retain(&session, &format!("{root}/again"), "1").await;
        let done = apply(&session, &change).await;
        for (name, part) in &done.parts {
            match part {
                Ok(word) if name.as_str().ends_with("/gone") => assert_eq!(word.as_str(), "nothing was retained any more"),
                Ok(word) => assert_eq!(word.as_str(), "cleared", "{version}: {name}"),
                Err(fault) => {
                    assert!(name.as_str().ends_with("/changed") && fault.kind == Kind::Rejected, "{version}: {name}: {fault}");
                }
            }
        }
        let left = read(&session, &format!("{root}/#"), WHOLE).await.expect("history");
        let left: Vec<(String, Option<&[u8]>)> =
            left.iter().map(|message| (message.channel.to_string(), message.payload.as_deref())).collect();
        assert_eq!(left, [(format!("{root}/changed"), Some(&b"2"[..])), (format!("{root}/new"), Some(b"1"))], "{version}");
    }
}
