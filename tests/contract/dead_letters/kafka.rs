//! Kafka: what topics of dead letters are set to delete.

use super::{findings, map, paths};
use crate::support::{kafka, topics, unique};
use mqdeck::adapters::session::Session;
use mqdeck::config::profile::Integration;
use mqdeck::domain::dead_letter::place::{Assumptions, DeadLetterMap};
use std::sync::Arc;
use std::time::Duration;

use crate::support::subjects::connect;

async fn found(session: &Session, channels: &[Arc<str>]) -> DeadLetterMap {
    let assumed = Assumptions { channels: channels.to_vec(), ..Assumptions::default() };
    map(session, &assumed).await.expect("a map")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_of_dead_letters_that_deletes_too_early_is_found_and_one_that_is_not_there_is_unknown() {
    for kafka in [kafka::shared(), kafka::old()].into_iter().flatten() {
        let day = 86_400_000_u64;
        let (week, month) = ((7 * day).to_string(), (30 * day).to_string());
        let mut channels = Vec::new();
        for settings in [
            &[("retention.ms", week.as_str())][..],
            &[("retention.ms", month.as_str())],
            &[("retention.ms", "-1"), ("retention.bytes", "1000000")],
            &[("cleanup.policy", "compact")],
            &[("cleanup.policy", "compact,delete"), ("retention.ms", "1000")],
        ] {
            channels.push(Arc::from(topics::create(kafka.plain(), "orders.dlt", 1, 1, settings).await));
        }
        let missing: Arc<str> = unique("missing.dlt").into();
        channels.push(missing.clone());
        let session = connect(Integration::new("events", "kafka", vec![kafka.plain().to_owned()])).await.expect("Kafka is there");
        let map = found(&session, &channels).await;
        let kinds = |channel: &Arc<str>| {
            let own = map.findings.iter().filter(|finding| finding.channel == *channel);
            own.map(|finding| finding.kind.id).collect::<Vec<_>>().join(" ")
        };
        let all: Vec<String> = channels.iter().map(kinds).collect();
        assert_eq!(all, ["expires", "", "drops-oldest", "compacted", "compacted expires", ""]);
        assert!(map.gaps.len() == 1 && map.gaps[0].target.as_str().contains(&*missing), "{:?}", map.gaps);
        assert!(paths(&map).is_empty() && map.notes.len() == 1, "by itself no broker knows any: {map:?}");
        let shorter = Assumptions { channels: channels[..1].to_vec(), window: Duration::from_secs(86_400), ..Assumptions::default() };
        let map = super::map(&session, &shorter).await.expect("a map");
        assert_eq!((findings(&map), map.gaps.len()), (Vec::new(), 0));
        assert_eq!(findings(&found(&session, &[]).await), [""; 0]);
    }
}
