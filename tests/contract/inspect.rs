//! Health, and what is there.

use crate::support::subjects::{outgoing, subjects};
use mqdeck::domain::fault::Kind;
use mqdeck::domain::figure::Amount;

#[tokio::test]
async fn a_new_channel_is_listed_and_described_with_its_partitions() {
    for subject in subjects("inspect", 3).await {
        let listed = subject.session.inspect.channels().await.expect("a list");
        let names: Vec<_> = listed.iter().map(|channel| &channel.name).collect();
        assert!(names.is_sorted(), "{}: {names:?}", subject.system);
        let row = listed.iter().find(|channel| channel.name == subject.topic).expect("the new channel");
        assert_eq!((row.parts, row.ends, row.internal), (Some(3), Some(0), false), "{}", subject.system);
        assert_eq!(row.depth.number(), Some(0), "{}", subject.system);
        assert_eq!(row.can.words(), ["tail", "history", "publish"], "{}", subject.system);

        let described = subject.session.inspect.describe(&subject.topic).await.expect("a description");
        assert_eq!((&described.channel.name, described.channel.parts), (&subject.topic, Some(3)));
        let table = described.tables.iter().find(|table| table.title == "partitions").expect("a table of partitions");
        assert_eq!(table.rows.len(), 3, "{}", subject.system);
        assert!(table.rows.iter().all(|row| row.len() == table.columns.len()), "{}", subject.system);
    }
}

#[tokio::test]
async fn what_was_published_is_counted() {
    for subject in subjects("count", 2).await {
        let publish = subject.session.publish.as_ref().expect("the system takes messages");
        for (partition, payload) in [(0, "a"), (1, "b"), (1, "c")] {
            publish.publish(&subject.topic, outgoing(partition, None, Some(payload))).await.expect("stored");
        }
        let described = subject.session.inspect.describe(&subject.topic).await.expect("a description").channel;
        assert_eq!(described.ends, Some(3), "{}", subject.system);
        assert!(matches!(described.depth, Amount::Exactly(3) | Amount::AtMost(3)), "{}: {:?}", subject.system, described.depth);
    }
}

#[tokio::test]
async fn a_channel_that_does_not_exist_is_not_found_by_any_handle() {
    for subject in subjects("missing", 1).await {
        let session = &subject.session;
        let whole = crate::contract::history::WHOLE;
        let tail = session.tail.as_ref().expect("a tail").tail(&["no.such.topic".into()]).await.err();
        let faults = [
            session.inspect.describe("no.such.topic").await.err(),
            session.history.as_ref().expect("history").read("no.such.topic", whole).await.err(),
            session.publish.as_ref().expect("publish").publish("no.such.topic", outgoing(0, None, None)).await.err(),
            tail,
        ];
        for fault in faults {
            let fault = fault.unwrap_or_else(|| panic!("{}: a missing channel was found", subject.system));
            assert_eq!(fault.kind, Kind::NotFound, "{}: {fault}", subject.system);
            assert!(fault.target.as_str().contains("no.such.topic"), "{}: {fault}", subject.system);
            assert!(!fault.cause.as_str().is_empty() && !fault.op.is_empty(), "{}: {fault}", subject.system);
        }
    }
}

#[tokio::test]
async fn a_read_only_session_cannot_publish() {
    for subject in subjects("readonly", 1).await {
        let session = subject.session.read_only();
        assert!(session.publish.is_none() && session.history.is_some() && session.tail.is_some(), "{}", subject.system);
        session.inspect.ping().await.expect("an answer");
    }
}
