//! `DeadLetters` for Kafka. Brokers know nothing of them: which topics hold some is said by their names or by the profile. What a topic is
//! configured to delete is known.

use super::link::cluster::Cluster;
use super::link::describe::Setting;
use crate::adapters::session::DeadLetters;
use crate::domain::dead_letter::finding::{self, Finding};
use crate::domain::dead_letter::place::{Assumptions, DeadLetterMap};
use crate::domain::fault::{Fault, Kind};
use crate::domain::figure::{bytes, duration};
use async_trait::async_trait;
use std::sync::Arc;
use std::time::Duration;

const OP: &str = "map dead letters of";
/// The settings by which a topic loses messages.
const DELETING: &[&str] = &["cleanup.policy", "retention.ms", "retention.bytes"];
/// Topics asked about at once.
const TOGETHER: usize = 500;

pub(super) struct KafkaLetters {
    cluster: Cluster,
}

impl KafkaLetters {
    pub(super) fn new(cluster: Cluster) -> Self {
        Self { cluster }
    }
}

#[async_trait]
impl DeadLetters for KafkaLetters {
    async fn map(&self, assumed: &Assumptions) -> Result<DeadLetterMap, Fault> {
        let mut map =
            DeadLetterMap::empty("Kafka's brokers know no dead letters: topics that hold some are those of the profile and of usual names");
        for topics in assumed.channels.chunks(TOGETHER) {
            let names: Vec<&str> = topics.iter().map(|topic| &**topic).collect();
            let mut settings = self.cluster.settings(&names, Some(DELETING)).await?;
            for topic in topics {
                match settings.remove(&**topic) {
                    Some(Ok(settings))
                        if DELETING.iter().all(|name| settings.iter().any(|one| one.name == *name && one.value.is_some())) =>
                    {
                        map.findings.extend(findings(topic, &settings, assumed.window));
                    }
                    Some(Err(fault)) => map.gaps.push(fault),
                    Some(Ok(_)) | None => map.gaps.push(Fault::new(Kind::Protocol, OP, &**topic, "the broker does not tell how it is set")),
                }
            }
        }
        Ok(map.sorted())
    }
}

/// What a topic with these settings does to dead letters.
fn findings(topic: &Arc<str>, settings: &[Setting], window: Duration) -> Vec<Finding> {
    let value = |name: &str| settings.iter().find(|setting| setting.name == name).and_then(|setting| setting.value.as_deref());
    let number = |name: &str| value(name).and_then(|text| text.parse::<u64>().ok());
    let policy = value("cleanup.policy").unwrap_or_default();
    let has = |word: &str| policy.split(',').any(|one| one.trim() == word);
    let new = |kind, detail: String| Finding::new(kind, topic.clone(), detail);
    let mut found = Vec::new();
    if has("compact") {
        let detail = "compaction keeps the last message of each key, and a message without a key is refused (cleanup.policy: compact)";
        found.push(new(finding::COMPACTED, detail.to_owned()));
    }
    // -1, no limit, is no number here.
    if let Some(kept) = number("retention.ms").map(Duration::from_millis).filter(|kept| has("delete") && *kept < window) {
        let detail = format!("it keeps messages for {}, and dead letters have to stay for {}", duration(kept), duration(window));
        found.push(new(finding::EXPIRES, detail));
    }
    if let Some(most) = number("retention.bytes").filter(|_| has("delete")) {
        found.push(new(
            finding::DROPS_OLDEST,
            format!("behind {} of a partition its oldest messages are deleted (retention.bytes)", bytes(most)),
        ));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::link::describe::Source;
    use super::*;

    #[test]
    fn a_topic_loses_letters_by_what_it_is_set_to() {
        const DAY: u64 = 86_400_000;
        let found = |policy: &str, millis: i64, bytes: i64| {
            let setting =
                |name: &str, value: String| Setting { name: name.to_owned(), value: Some(value), source: Source::Topic, fallback: None };
            let settings = [
                setting("cleanup.policy", policy.to_owned()),
                setting("retention.ms", millis.to_string()),
                setting("retention.bytes", bytes.to_string()),
            ];
            let found = findings(&"orders.dlt".into(), &settings, Duration::from_millis(14 * DAY));
            found.iter().map(|finding| finding.kind.id).collect::<Vec<_>>().join(" ")
        };
        let week = 7 * DAY as i64;
        for (policy, millis, bytes, expected) in [
            ("delete", week, -1, "expires"),
            ("delete", -1, -1, ""),
            ("delete", 2 * week, -1, ""),
            ("delete", -1, 1_000, "drops-oldest"),
            ("compact", week, -1, "compacted"),
            ("compact,delete", week, 1_000, "compacted expires drops-oldest"),
        ] {
            assert_eq!(found(policy, millis, bytes), expected, "{policy} {millis} {bytes}");
        }
        assert_eq!(findings(&"unknown".into(), &[], Duration::MAX), []);
    }
}
