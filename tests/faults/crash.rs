//! kill -9 of the only broker under a live tail, and its return.

use crate::support::subjects::{Listener, outgoing, place, places, session};
use crate::support::{SOON, kafka, topics};
use mqdeck::adapters::session::Publish;
use mqdeck::config::profile::{Integration, Profile};
use mqdeck::domain::address::Address;
use mqdeck::domain::fault::Kind;
use mqdeck::domain::health::Link;
use mqdeck::domain::safety::Safety;
use mqdeck::domain::tail::TailEvent;
use mqdeck::gateway::Gateway;
use mqdeck::gateway::filter::Filter;
use mqdeck::gateway::live::{self, Note, Update};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};

fn gateway(address: &str) -> Gateway {
    let integration = Integration::new("events", "kafka", vec![address.to_owned()]);
    Gateway::open(Profile { name: "test".into(), path: None, safety: Safety::default(), integrations: vec![integration] }, false)
}

async fn link_becomes(link: &mut watch::Receiver<Link>, word: &str, limit: Duration) -> Link {
    let found = tokio::time::timeout(limit, link.wait_for(|link| link.word() == word)).await;
    found.unwrap_or_else(|_| panic!("the link did not become {word} within {limit:?}")).expect("the gateway lives").clone()
}

async fn publish(publish: &dyn Publish, topic: &str, numbers: std::ops::Range<i32>) {
    for receipt in futures::future::join_all(numbers.map(|n| publish.publish(topic, outgoing(n % 3, None, Some(&n.to_string()))))).await {
        receipt.expect("stored");
    }
}

/// Publishes one message as soon as the publisher has noticed that the broker is back; until then it has to say that nothing was sent.
async fn publish_when_back(publish: &dyn Publish, topic: &str, number: i32) {
    let began = Instant::now();
    while let Err(fault) = publish.publish(topic, outgoing(number % 3, None, Some(&number.to_string()))).await {
        assert!(fault.kind.is_transient() && fault.cause.as_str().contains("nothing was sent"), "{fault}");
        assert!(began.elapsed() < SOON, "{fault}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_killed_is_told_at_once_and_its_return_loses_and_doubles_nothing() {
    let Some(mut kafka) = kafka::own(&[]) else { return };
    let topic: Arc<str> = topics::create(kafka.plain(), "crash", 3, 1, &[]).await.into();
    let gateway = gateway(kafka.plain());
    let session = session(&gateway, "events").await;
    let sender = session.publish.clone().expect("Kafka takes messages");
    let mut link = gateway.link("events").expect("the integration");
    link_becomes(&mut link, "ok", SOON).await;

    // One tail as the adapter gives it, one as a screen has it.
    let mut tail = Listener::start(&session, std::slice::from_ref(&topic)).await;
    let (updates, mut screen) = mpsc::channel(1);
    let watched = [Address::new("events", &topic)];
    tokio::spawn(
        live::tail(&gateway, &watched, Filter::parse("").expect("no filter"), updates, |update: Update| update)
            .await
            .expect("the tail starts"),
    );
    let screened = tokio::spawn(async move {
        let (mut seen, mut notes) = (0, Vec::<Note>::new());
        let resumed = |notes: &[Note]| notes.iter().any(|note| matches!(note, Note::Resumed { .. }));
        while seen < 600 || !resumed(&notes) {
            let update: Update = screen.recv().await.expect("the tail goes on");
            seen = update.counts.seen;
            notes.extend(update.notes);
        }
        (seen, notes)
    });

    publish(&*sender, &topic, 0..300).await;
    tail.until("300 messages", SOON, |tail| tail.messages.len() == 300).await;
    assert_eq!(tail.said, []);

    kafka.kill(1);
    tail.until("the interruption", SOON, |tail| !tail.said.is_empty()).await;
    let Link::Down { fault, attempts, .. } = link_becomes(&mut link, "down", SOON).await else { return };
    assert_eq!(fault.kind, Kind::Unreachable, "{fault}");
    assert!(attempts >= 1 && fault.to_string().contains(kafka.plain()), "{fault}");
    let TailEvent::Interrupted(fault) = &tail.said[0] else { panic!("{:?}", tail.said) };
    assert_eq!(fault.kind, Kind::Unreachable, "{fault}");

    kafka.restart();
    publish_when_back(&*sender, &topic, 300).await;
    publish(&*sender, &topic, 301..600).await;
    tail.until("600 messages", SOON, |tail| tail.messages.len() >= 600).await;
    link_becomes(&mut link, "ok", SOON).await;
    tail.for_a_while(Duration::from_millis(500)).await;
    for (partition, offsets) in places(&tail.messages) {
        assert_eq!(offsets, (0..200).collect::<Vec<i64>>(), "partition {partition}");
    }
    let resumed = tail.said.iter().filter(|event| matches!(event, TailEvent::Resumed { .. })).collect::<Vec<_>>();
    assert!(!resumed.is_empty(), "{:?}", tail.said);
    assert!(resumed.iter().all(|event| **event == TailEvent::Resumed { lost: Some(0) }), "{:?}", tail.said);

    let told = tokio::time::timeout(SOON, screened).await.expect("the screen is told that reading goes on");
    let (counted, notes) = told.expect("the screen's tail");
    assert_eq!(counted, 600);
    assert!(notes.iter().any(|note| matches!(note, Note::Interrupted { .. })), "{notes:?}");
    assert!(notes.iter().any(|note| matches!(note, Note::Resumed { lost: Some(0), .. })), "{notes:?}");
    gateway.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_deleted_before_it_could_be_read_is_counted() {
    let Some(kafka) = kafka::shared() else { return };
    let topic: Arc<str> = topics::create(kafka.plain(), "gap", 1, 1, &[]).await.into();
    let gateway = gateway(kafka.plain());
    let session = session(&gateway, "events").await;
    let sender = session.publish.clone().expect("Kafka takes messages");
    let mut tail = Listener::start(&session, std::slice::from_ref(&topic)).await;
    // Nobody listens while far more comes than a tail may hold in memory.
    let (count, large) = (120_i64, "x".repeat(900_000));
    for _ in 0..count {
        sender.publish(&topic, outgoing(0, None, Some(&large))).await.expect("stored");
    }
    topics::delete_before(kafka.plain(), &topic, 0, count - 1).await;
    let resumed = |tail: &Listener| tail.said.iter().any(|event| matches!(event, TailEvent::Resumed { .. }));
    let last = |tail: &Listener| tail.messages.last().is_some_and(|message| place(message).1 == count - 1);
    tail.until("the last message and the gap", SOON, |tail| resumed(tail) && last(tail)).await;
    let lost: u64 = tail.said.iter().map(|event| if let TailEvent::Resumed { lost: Some(lost) } = event { *lost } else { 0 }).sum();
    assert!(lost > 0, "the tail held everything: this proves nothing; {:?}", tail.said);
    assert_eq!(tail.messages.len() as u64 + lost, count as u64, "what came and what was lost is everything; {:?}", tail.said);
    gateway.shutdown().await;
}
