//! kill -9 of the only broker in the middle of a search, and its return; and a search that is given up.

use crate::support::subjects::{everything, kept, outgoing, place, places, session};
use crate::support::{SOON, kafka, topics};
use futures::StreamExt;
use mqdeck::adapters::session::Scan;
use mqdeck::config::profile::{Integration, Profile};
use mqdeck::domain::address::Address;
use mqdeck::domain::message::Message;
use mqdeck::domain::search::Scope;
use mqdeck::gateway::Gateway;
use mqdeck::gateway::filter::{Filter, Wanted};
use mqdeck::gateway::find::{Finding, Search};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

const PARTITIONS: i32 = 3;
const MESSAGES: i32 = 30_000;

fn gateway(address: &str) -> Gateway {
    let integration = Integration::new("events", "kafka", vec![address.to_owned()]);
    Gateway::open(
        Profile { name: "test".into(), path: None, safety: mqdeck::domain::safety::Safety::default(), integrations: vec![integration] },
        false,
    )
}

/// About 60 MB: more than a search fetches ahead.
async fn fill(gateway: &Gateway, topic: &str) {
    let publish = session(gateway, "events").await.publish.expect("it takes messages");
    let filling = "x".repeat(2_000);
    for first in (0..MESSAGES).step_by(3_000) {
        let sent = (first..first + 3_000).map(|n| {
            let word = if n % 100 == 0 { "Needle" } else { "hay" };
            publish.publish(
                topic,
                outgoing(n % PARTITIONS, None, Some(&format!("{{\"n\":{n},\"word\":\"{word}\",\"filling\":\"{filling}\"}}"))),
            )
        });
        for receipt in futures::future::join_all(sent).await {
            receipt.expect("stored");
        }
    }
}

fn search(topic: &str, query: &str) -> Search {
    Search::new(vec![Address::new("events", topic)], Filter::parse(query).expect("a query"))
}

/// What a reading gives, by time; a partition keeps its own order, whatever its timestamps say.
async fn merged(scan: Scan) -> Vec<Message> {
    let mut placed = Vec::new();
    for lane in scan.lanes {
        let batches: Vec<Vec<Message>> = lane.batches.map(|batch| kept(batch.expect("messages")).collect()).collect().await;
        let mut reached = None;
        for message in batches.into_iter().flatten() {
            reached = reached.max(message.timestamp);
            placed.push((reached, lane.partition, message));
        }
    }
    // A stable sort: the order within a lane stays.
    placed.sort_by_key(|(reached, partition, _)| (*reached, *partition));
    placed.into_iter().map(|(_, _, message)| message).collect()
}

async fn rest(finding: &mut Finding, mut messages: Vec<Message>) -> Vec<Message> {
    while let Some(found) = finding.next().await {
        assert_eq!(found.faults, []);
        messages.extend(found.messages.into_iter().map(|(_, message)| message));
    }
    messages
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_killed_in_the_middle_of_a_search_costs_time_and_nothing_else() {
    let Some(mut kafka) = kafka::own(&[]) else { return };
    let topic = topics::create(kafka.plain(), "search", PARTITIONS, 1, &[]).await;
    let gateway = gateway(kafka.plain());
    fill(&gateway, &topic).await;

    let mut finding = gateway.find(search(&topic, "value.word == \"Needle\"")).await.expect("the search starts");
    let first = finding.next().await.expect("a first item");
    let before = finding.report();
    assert!(before.counts.scanned > 0 && before.counts.scanned < MESSAGES as u64 / 2, "{before}");
    kafka.kill(1);
    let mut messages: Vec<_> = first.messages.into_iter().map(|(_, message)| message).collect();
    let waiting = async {
        loop {
            let found = finding.next().await.expect("the search is not at its end");
            assert_eq!(found.faults, []);
            messages.extend(found.messages.into_iter().map(|(_, message)| message));
            if let Some(fault) = found.waits {
                return fault;
            }
        }
    };
    let fault = tokio::time::timeout(SOON, waiting).await.expect("it is told that the search waits");
    assert!(fault.kind.is_transient(), "{fault}");
    kafka.restart();
    let messages = tokio::time::timeout(SOON, rest(&mut finding, messages)).await.expect("the search comes to its end");

    let report = finding.report();
    assert_eq!((report.counts.scanned, report.counts.matched, report.faults), (MESSAGES as u64, MESSAGES as u64 / 100, 0), "{report}");
    assert_eq!(messages.len(), MESSAGES as usize / 100);
    let expected: BTreeMap<i32, Vec<i64>> = (0..PARTITIONS)
        .map(|partition| {
            let numbers = (0..MESSAGES).filter(|n| n % PARTITIONS == partition && n % 100 == 0);
            (partition, numbers.map(|n| i64::from(n / PARTITIONS)).collect())
        })
        .collect();
    assert_eq!(places(&messages), expected);
    gateway.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn matches_come_in_the_order_of_time_and_a_limit_keeps_the_first() {
    let Some(kafka) = kafka::shared() else { return };
    let topic = topics::create(kafka.plain(), "order", PARTITIONS, 1, &[]).await;
    let gateway = gateway(kafka.plain());
    let session = session(&gateway, "events").await;
    let publish = session.publish.as_ref().expect("it takes messages");
    // Times that jump back within a partition, and partitions of different length.
    for n in 0..90_i64 {
        let mut message = outgoing(i32::from(n % 5 == 0) + i32::from(n % 7 == 0), None, Some(&n.to_string()));
        message.timestamp = Some(mqdeck::domain::time::Timestamp(1_770_285_600_000 + (n * 37) % 60));
        publish.publish(&topic, message).await.expect("stored");
    }
    let all = rest(&mut gateway.find(search(&topic, "")).await.expect("the search starts"), Vec::new()).await;
    let (history, scope) = (session.history.as_ref().expect("history"), Scope::of(crate::contract::history::WHOLE));
    let merged = merged(history.scan(&topic, &scope, everything()).await.expect("a search")).await;
    let places = |messages: &[Message]| messages.iter().map(place).collect::<Vec<_>>();
    assert_eq!(places(&all), places(&merged));

    let wanted = |messages: &[Message]| {
        messages.iter().filter(|m| m.payload.as_ref().is_some_and(|p| p.ends_with(b"3"))).map(place).collect::<Vec<_>>()
    };
    for limit in [1, 4, 100] {
        let mut finding = gateway.find(search(&topic, &format!("value ends with \"3\" limit {limit}"))).await.expect("the search starts");
        let found = rest(&mut finding, Vec::new()).await;
        assert_eq!(places(&found), wanted(&merged)[..limit.min(9)], "{limit}");
        assert!(finding.report().complete);
    }
    gateway.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_that_is_given_up_is_over_at_once_whatever_its_program_does() {
    let Some(kafka) = kafka::shared() else { return };
    let topic: Arc<str> = topics::create(kafka.plain(), "cancel", PARTITIONS, 1, &[]).await.into();
    let gateway = gateway(kafka.plain());
    fill(&gateway, &topic).await;
    let endless = Search { wanted: Wanted::Undecided, ..search(&topic, "jq 'def f: f; f'") };
    let mut finding = gateway.find(endless).await.expect("the search starts");
    assert!(
        tokio::time::timeout(Duration::from_millis(300), finding.next()).await.is_err(),
        "the programs end by themselves: this proves nothing"
    );
    drop(finding);
    // The threads are free again, which an endless program would never let go: another search gets them.
    let mut next = gateway.find(search(&topic, "Needle limit 1")).await.expect("the search starts");
    let found = tokio::time::timeout(SOON, rest(&mut next, Vec::new())).await.expect("the threads are free");
    assert_eq!(found.len(), 1);
    gateway.shutdown().await;
}
