//! Transactions: what was published and consumed takes effect together, or not at all.

use crate::contract::history::WHOLE;
use crate::support::subjects::{Subject, outgoing, read, subjects};
use crate::support::{SOON, unique};
use mqdeck::adapters::session::{Transact, Transaction};
use mqdeck::domain::fault::Kind;
use mqdeck::domain::group::{Mark, Source};
use mqdeck::domain::message::Message;
use std::sync::Arc;
use std::time::{Duration, Instant};

fn transact(subject: &Subject) -> Arc<dyn Transact> {
    subject.session.transact.clone().expect("the system has transactions")
}

/// Consumes the subject's topic, in a group that nobody else uses.
fn source(subject: &Subject) -> Source {
    Source { group: unique("group").into(), channels: vec![subject.topic.clone()] }
}

fn payload(message: &Message) -> String {
    String::from_utf8_lossy(message.payload.as_deref().unwrap_or_default()).into_owned()
}

async fn fill(subject: &Subject, count: i32) {
    let publish = subject.session.publish.as_ref().expect("the system takes messages");
    for n in 0..count {
        publish.publish(&subject.topic, outgoing(0, None, Some(&n.to_string()))).await.expect("stored");
    }
}

/// Takes until there are so many.
async fn take(transaction: &mut dyn Transaction, count: usize) -> Vec<String> {
    let mut taken = Vec::new();
    let taking = async {
        while taken.len() < count {
            let messages = transaction.take(count - taken.len(), Duration::from_secs(1)).await.unwrap_or_else(|fault| panic!("{fault}"));
            taken.extend(messages.iter().map(payload));
        }
    };
    let came = tokio::time::timeout(SOON, taking).await.is_ok();
    assert!(came, "only {taken:?} came");
    taken
}

async fn published(subject: &Subject) -> Vec<String> {
    read(&subject.session, &subject.other, WHOLE).await.expect("history").iter().map(payload).collect()
}

/// Waits until this is what is published: a commit is answered before it is marked in the partitions.
async fn comes_to(subject: &Subject, expected: &[&str]) {
    let began = Instant::now();
    loop {
        let found = published(subject).await;
        if found == expected {
            return;
        }
        assert!(began.elapsed() < SOON, "{}: {found:?} instead of {expected:?}", subject.system);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn numbers(range: std::ops::Range<i32>) -> Vec<String> {
    range.map(|n| n.to_string()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_committed_is_there_and_what_is_aborted_is_not() {
    for subject in subjects("transact", 1).await {
        let system = subject.system;
        let mut session = transact(&subject).begin(&unique("name"), None).await.unwrap_or_else(|fault| panic!("{fault}"));
        for (text, committed) in [("one", true), ("two", false), ("three", true)] {
            session.publish(&subject.other, outgoing(0, Some("k"), Some(text))).await.expect("handed over");
            let ended = if committed { session.commit().await } else { session.abort().await };
            ended.unwrap_or_else(|fault| panic!("{system}: {fault}"));
        }
        session.commit().await.expect("an empty transaction");
        session.abort().await.expect("an empty transaction");
        comes_to(&subject, &["one", "three"]).await;
        session.end().await.expect("the end");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_open_is_not_seen_and_comes_to_nothing_when_the_session_goes() {
    for subject in subjects("open", 1).await {
        let name = unique("name");
        let mut session = transact(&subject).begin(&name, None).await.expect("begun");
        session.publish(&subject.other, outgoing(0, None, Some("never"))).await.expect("handed over");
        assert_eq!(published(&subject).await, [""; 0], "{}", subject.system);
        drop(session);
        let mut session = transact(&subject).begin(&name, None).await.expect("begun again");
        session.publish(&subject.other, outgoing(0, None, Some("ever"))).await.expect("handed over");
        session.commit().await.expect("committed");
        comes_to(&subject, &["ever"]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_taken_comes_again_after_an_abort_and_never_after_a_commit() {
    for subject in subjects("again", 1).await {
        let system = subject.system;
        fill(&subject, 20).await;
        let (name, source) = (unique("name"), source(&subject));
        let mut session = transact(&subject).begin(&name, Some(source.clone())).await.expect("begun");
        assert_eq!(take(&mut *session, 5).await, numbers(0..5), "{system}");
        session.commit().await.unwrap_or_else(|fault| panic!("{system}: {fault}"));
        assert_eq!(take(&mut *session, 5).await, numbers(5..10), "{system}");
        assert_eq!(take(&mut *session, 3).await, numbers(10..13), "{system}");
        session.abort().await.unwrap_or_else(|fault| panic!("{system}: {fault}"));
        assert_eq!(take(&mut *session, 10).await, numbers(5..15), "{system}");
        session.end().await.unwrap_or_else(|fault| panic!("{system}: {fault}"));
        // Under its name a successor has its place at once.
        let mut session = transact(&subject).begin(&name, Some(source)).await.expect("begun");
        assert_eq!(take(&mut *session, 15).await, numbers(5..20), "{system}");
        session.commit().await.unwrap_or_else(|fault| panic!("{system}: {fault}"));
        assert_eq!(session.take(1, Duration::from_millis(200)).await.expect("an answer"), [], "{system}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_whose_name_was_taken_is_fenced_off_and_told_so() {
    for subject in subjects("fenced", 1).await {
        let system = subject.system;
        fill(&subject, 3).await;
        let (name, source) = (unique("name"), source(&subject));
        let mut old = transact(&subject).begin(&name, Some(source.clone())).await.expect("begun");
        take(&mut *old, 3).await;
        old.publish(&subject.other, outgoing(0, None, Some("old"))).await.expect("handed over");
        let mut new = transact(&subject).begin(&name, Some(source)).await.expect("begun");
        let fault = old.commit().await.expect_err("fenced");
        assert_eq!(fault.kind, Kind::Lost, "{system}: {fault}");
        assert!(fault.cause.as_str().starts_with("fenced: "), "{system}: {fault}");
        assert!(fault.target.as_str().contains(&name), "{system}: {fault}");
        // Nothing more can be done with it.
        assert_eq!(old.abort().await.expect_err("over").kind, Kind::Lost, "{system}");
        assert_eq!(old.publish(&subject.other, outgoing(0, None, Some("old"))).await.expect_err("over").kind, Kind::Lost, "{system}");
        assert_eq!(take(&mut *new, 3).await, numbers(0..3), "{system}");
        new.publish(&subject.other, outgoing(0, None, Some("new"))).await.expect("handed over");
        new.commit().await.unwrap_or_else(|fault| panic!("{system}: {fault}"));
        comes_to(&subject, &["new"]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn positions_of_a_group_without_members_move_with_the_transaction() {
    for subject in subjects("positions", 1).await {
        let system = subject.system;
        fill(&subject, 10).await;
        let source = source(&subject);
        let mark = |offset| [Mark::offset(subject.topic.clone(), 0, offset)];
        let mut session = transact(&subject).begin(&unique("name"), None).await.expect("begun");
        session.consumed(&source.group, &mark(4)).await.expect("noted");
        session.commit().await.unwrap_or_else(|fault| panic!("{system}: {fault}"));
        session.consumed(&source.group, &mark(8)).await.expect("noted");
        session.abort().await.unwrap_or_else(|fault| panic!("{system}: {fault}"));
        let mut member = transact(&subject).begin(&unique("name"), Some(source)).await.expect("begun");
        assert_eq!(take(&mut *member, 6).await, numbers(4..10), "{system}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_joins_takes_its_part_and_what_was_open_of_it_is_aborted() {
    for subject in subjects("joins", 4).await {
        let system = subject.system;
        let publish = subject.session.publish.as_ref().expect("the system takes messages");
        for n in 0..40 {
            publish.publish(&subject.topic, outgoing(n % 4, None, Some(&n.to_string()))).await.expect("stored");
        }
        let source = source(&subject);
        let mut one = transact(&subject).begin(&unique("name"), Some(source.clone())).await.expect("begun");
        take(&mut *one, 40).await;
        let mut two = transact(&subject).begin(&unique("name"), Some(source)).await.expect("begun");
        // Both serve the group; the first one loses what it had taken, and both then have a part of everything.
        let (mut lost, mut first, mut second) = (false, Vec::new(), Vec::new());
        let sharing = async {
            while first.len() + second.len() < 40 || first.is_empty() || second.is_empty() {
                match one.take(100, Duration::from_millis(200)).await {
                    Ok(messages) => first.extend(messages.iter().map(payload)),
                    Err(fault) => {
                        assert_eq!(fault.kind, Kind::Timeout, "{system}: {fault}");
                        (lost, first) = (true, Vec::new());
                    }
                }
                match two.take(100, Duration::from_millis(200)).await {
                    Ok(messages) => second.extend(messages.iter().map(payload)),
                    Err(_) => second.clear(),
                }
            }
        };
        let shared = tokio::time::timeout(SOON, sharing).await.is_ok();
        assert!(shared, "{system}: {first:?} {second:?}");
        assert!(lost, "{system}: the first member was told");
        let mut all: Vec<i32> = first.iter().chain(&second).map(|n| n.parse().expect("a number")).collect();
        all.sort_unstable();
        assert_eq!(all, (0..40).collect::<Vec<i32>>(), "{system}");
        one.commit().await.unwrap_or_else(|fault| panic!("{system}: {fault}"));
        two.commit().await.unwrap_or_else(|fault| panic!("{system}: {fault}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_published_is_told_with_its_reason_and_spoils_nothing_else() {
    for subject in subjects("refused", 1).await {
        let mut session = transact(&subject).begin(&unique("name"), None).await.expect("begun");
        let missing = session.publish("no.such.topic", outgoing(0, None, Some("x"))).await.expect_err("refused");
        assert_eq!(missing.kind, Kind::NotFound, "{}: {missing}", subject.system);
        let missing = session.publish(&subject.other, outgoing(7, None, Some("x"))).await.expect_err("refused");
        assert_eq!(missing.kind, Kind::NotFound, "{}: {missing}", subject.system);
        session.publish(&subject.other, outgoing(0, None, Some("good"))).await.expect("handed over");
        session.commit().await.expect("committed");
        comes_to(&subject, &["good"]).await;
    }
}
