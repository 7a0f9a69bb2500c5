//! A range of times: which messages belong to it is told by each one's own stamp, in whatever order the log has them.

use super::history::WHOLE;
use crate::support::offers::offers;
use crate::support::subjects::{Subject, everything, kept, outgoing, read, subjects};
use mqdeck::adapters::session::Session;
use mqdeck::domain::message::{Message, Outgoing};
use mqdeck::domain::position::{Bound, Position, Range};
use mqdeck::domain::search::{Scope, Short};
use mqdeck::domain::time::Timestamp;
use std::sync::Arc;
use std::time::Duration;

/// 2026-02-05T10:00:00Z.
const FIRST: i64 = 1_770_285_600_000;
/// 2030-01-01T00:00:00Z.
const FUTURE: i64 = 1_893_456_000_000;

fn second(n: i64) -> Bound {
    Bound::Time(Timestamp(FIRST + 1_000 * n))
}

async fn store(session: &Session, channel: &str, message: Outgoing) {
    let publish = session.publish.as_ref().expect("the system takes messages");
    publish.publish(channel, message).await.unwrap_or_else(|fault| panic!("{channel}: {fault}"));
}

async fn stamped(subject: &Subject, millis: i64, payload: &str) {
    let message = Outgoing { timestamp: Some(Timestamp(millis)), ..outgoing(0, None, Some(payload)) };
    store(&subject.session, &subject.other, message).await;
}

/// What a search keeps of a range, and why it ended before the end of the partition, if it did.
async fn search(session: &Session, channel: &str, range: Range, exact: bool) -> (Vec<Message>, Option<Short>) {
    let history = session.history.as_ref().expect("the system has history");
    let (mut found, mut short) = (Vec::new(), None);
    for mut lane in history.scan(channel, &Scope { exact, ..Scope::of(range) }, everything()).await.expect("a search").lanes {
        while let Some(item) = futures::StreamExt::next(&mut lane.batches).await {
            let item = item.expect("nothing is damaged");
            short = short.or(item.short);
            found.extend(kept(item));
        }
    }
    (found, short)
}

fn payloads(messages: &[Message]) -> Vec<&str> {
    messages.iter().map(|message| std::str::from_utf8(message.payload.as_deref().unwrap_or_default()).expect("text")).collect()
}

/// What a range holds.
async fn holds(subject: &Subject, range: Range, expected: &[&str]) {
    let (found, short) = search(&subject.session, &subject.other, range, false).await;
    assert_eq!((payloads(&found), short), (expected.to_vec(), None), "{}: {range:?}", subject.system);
}

#[tokio::test(flavor = "multi_thread")]
async fn stamps_that_run_backwards_are_taken_by_what_they_are_and_hide_nothing() {
    for subject in subjects("times", 1).await {
        for (at, payload) in [(0, ":00"), (30, ":30"), (10, ":10"), (40, ":40")] {
            stamped(&subject, FIRST + 1_000 * at, payload).await;
        }
        let third = Bound::At(Position::Offset { partition: 0, offset: 3 });
        for (start, end, expected) in [
            (second(5), second(20), &[":10"][..]),
            (second(25), second(35), &[":30"]),
            (second(10), second(30), &[":10"]),
            (second(10), second(31), &[":30", ":10"]),
            (Bound::Earliest, second(20), &[":00", ":10"]),
            (second(50), second(60), &[]),
            (second(5), third, &[":30", ":10"]),
            (Bound::BeforeEnd(2), second(40), &[":10"]),
            // Without an end a time is a place, and nothing behind it is hidden.
            (second(5), Bound::Latest, &[":30", ":10", ":40"]),
            (second(35), Bound::Latest, &[":40"]),
            (second(50), Bound::Latest, &[]),
        ] {
            holds(&subject, Range { start, end }, expected).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_stamp_of_the_far_future_at_the_head_changes_no_answer() {
    for mut subject in subjects("future", 1).await {
        #[cfg(feature = "kafka")]
        if let ("kafka", Some(server)) = (subject.system, crate::support::kafka::shared()) {
            // Brokers since 3.6 refuse stamps that are more than an hour ahead, unless they are told otherwise.
            let any = [("message.timestamp.after.max.ms", "9223372036854775807")];
            subject.other = crate::support::topics::create(server.plain(), "future", 1, 1, &any).await.into();
        }
        stamped(&subject, FUTURE, "2030").await;
        for (at, payload) in [(0, ":00"), (10, ":10"), (20, ":20")] {
            stamped(&subject, FIRST + 1_000 * at, payload).await;
        }
        for (start, end, expected) in [
            (second(5), second(20), &[":10"][..]),
            (Bound::Earliest, second(20), &[":00", ":10"]),
            (second(15), Bound::Time(Timestamp(FUTURE + 1)), &["2030", ":20"]),
            (second(5), Bound::Latest, &["2030", ":00", ":10", ":20"]),
        ] {
            holds(&subject, Range { start, end }, expected).await;
        }
    }
}

/// Every log that keeps times of its own, with a channel of one partition.
async fn every(name: &str) -> Vec<(&'static str, Session, Arc<str>)> {
    let logs = offers(name, |row| row.is.log && row.system != "rabbitmq").await;
    logs.into_iter().map(|log| (log.row.system, log.session, log.name)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_system_gives_what_is_stamped_within_and_a_place_without_an_end() {
    for (system, session, channel) in every("within").await {
        for n in 0..6 {
            store(&session, &channel, Outgoing { payload: Some(n.to_string().into()), ..Outgoing::default() }).await;
            // Each has a millisecond of its own.
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
        let all = read(&session, &channel, WHOLE).await.expect("history");
        let times: Vec<Timestamp> = all.iter().map(|message| message.timestamp.expect("a time")).collect();
        assert!(times.len() == 6 && times.is_sorted() && times[0] < times[5], "{system}: {times:?}");
        for from in &times {
            for until in &times {
                let range = Range { start: Bound::Time(*from), end: Bound::Time(*until) };
                let inside: Vec<_> = all.iter().filter(|message| range.admits(message.timestamp)).cloned().collect();
                assert_eq!(search(&session, &channel, range, false).await.0, inside, "{system}: {from} to {until} of {times:?}");
                assert_eq!(read(&session, &channel, range).await.expect("history"), inside, "{system}: {from} to {until} of {times:?}");
            }
            let place = Range { start: Bound::Time(*from), end: Bound::Latest };
            let behind: Vec<_> = all.iter().filter(|message| message.timestamp >= Some(*from)).cloned().collect();
            assert_eq!(search(&session, &channel, place, false).await.0, behind, "{system}: from {from} of {times:?}");
        }
    }
}

#[cfg(feature = "kafka")]
mod on_kafka {
    use super::*;
    use crate::support::subjects::connect;
    use crate::support::{kafka, topics};
    use mqdeck::config::profile::{ChannelPattern, Integration, Setting};
    use mqdeck::config::secret::Secret;

    fn integration(server: &kafka::Kafka) -> Integration {
        Integration::new("events", "kafka", vec![server.plain().to_owned()])
    }

    async fn of(integration: Integration, topic: &str) -> Subject {
        let session = connect(integration).await.expect("Kafka is there");
        Subject { system: "kafka", session, topic: topic.into(), other: topic.into() }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_brokers_own_stamps_end_a_reading_at_the_end_of_the_range() {
        let Some(server) = kafka::shared() else { return };
        let topic = topics::create(server.plain(), "stored", 1, 1, &[("message.timestamp.type", "LogAppendTime")]).await;
        let subject = of(integration(server), &topic).await;
        for n in 0..4 {
            stamped(&subject, FUTURE, &n.to_string()).await;
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
        let times: Vec<i64> =
            read(&subject.session, &topic, WHOLE).await.expect("history").iter().filter_map(|m| Some(m.timestamp?.0)).collect();
        let time = |millis| Bound::Time(Timestamp(millis));
        holds(&subject, Range { start: time(times[1]), end: time(times[3]) }, &["1", "2"]).await;
        holds(&subject, Range { start: time(times[1]), end: Bound::Latest }, &["1", "2", "3"]).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_cluster_that_looks_up_no_times_gives_the_same_answers() {
        let Some(server) = kafka::shared() else { return };
        let topic = topics::create(server.plain(), "search", 1, 1, &[]).await;
        let mut search = integration(server);
        let value = Secret::new("search".to_owned());
        search.settings.insert("mqdeck.time_lookup".to_owned(), Setting { value, line: 1 });
        let subject = of(search, &topic).await;
        for (at, payload) in [(0, ":00"), (30, ":30"), (10, ":10"), (40, ":40")] {
            stamped(&subject, FIRST + 1_000 * at, payload).await;
        }
        for (start, end, expected) in
            [(second(5), second(20), &[":10"][..]), (second(5), Bound::Latest, &[":30", ":10", ":40"]), (second(50), Bound::Latest, &[])]
        {
            holds(&subject, Range { start, end }, expected).await;
        }
    }

    /// More than 64 MiB of an hour later, and then one message of the range.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_reading_ends_far_behind_the_range_and_says_what_an_exact_one_would_look_at() {
        let Some(server) = kafka::shared() else { return };
        let topic = topics::create(server.plain(), "far", 1, 1, &[]).await;
        let patient = ChannelPattern { pattern: topic.clone(), slack: Some(Duration::from_secs(7_200)), ..ChannelPattern::default() };
        let subject = of(integration(server), &topic).await;
        stamped(&subject, FIRST + 10_000, "early").await;
        let publish = subject.session.publish.as_ref().expect("Kafka takes messages");
        let later = "x".repeat(900_000);
        let later = || Outgoing { timestamp: Some(Timestamp(FIRST + 3_600_000)), ..outgoing(0, None, Some(&later)) };
        for receipt in futures::future::join_all((0..80).map(|_| publish.publish(&topic, later()))).await {
            receipt.expect("stored");
        }
        stamped(&subject, FIRST + 11_000, "late").await;
        let range = Range { start: second(5), end: second(20) };
        let (found, short) = search(&subject.session, &topic, range, false).await;
        let short = short.expect("it ended before the end");
        assert_eq!((payloads(&found), short.slack), (vec!["early"], Duration::from_secs(600)));
        assert!((1..10).contains(&short.unread), "{short:?}");
        let (found, short) = search(&subject.session, &topic, range, true).await;
        assert_eq!((payloads(&found), short), (vec!["early", "late"], None));
        let patient = of(Integration { channels: vec![patient], ..integration(server) }, &topic).await;
        let (found, short) = search(&patient.session, &topic, range, false).await;
        assert_eq!((payloads(&found), short), (vec!["early", "late"], None), "the profile says that stamps may be two hours apart");
    }
}
