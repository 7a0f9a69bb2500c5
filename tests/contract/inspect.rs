//! Health, and what is there.

use crate::support::subjects::{outgoing, subjects};
use mqdeck::domain::figure::Amount;

#[tokio::test(flavor = "multi_thread")]
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

#[tokio::test(flavor = "multi_thread")]
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
