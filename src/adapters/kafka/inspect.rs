//! `Inspect` for Kafka: topics, their partitions, watermarks, sizes and settings.

use super::faults;
use super::link::acls::Rule;
use super::link::cluster::Cluster;
use super::link::describe::{Setting, Sizes};
use super::link::metadata::{Partition, Topic};
use super::link::offsets::{At, Found, Wanted};
use crate::adapters::session::Inspect;
use crate::config::profile::Integration;
use crate::domain::channel::{Attribute, Caps, Channel, Description, Table};
use crate::domain::fault::{Fault, Kind};
use crate::domain::figure::{self, Amount};
use crate::domain::text::SafeText;
use async_trait::async_trait;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The settings that the list of topics shows.
const LISTED: &[&str] = &["cleanup.policy", "retention.ms"];
/// The list shows settings of no more topics than this; beyond, the description of one topic does. A broker takes about a
/// tenth of a millisecond for each, several times what everything else in the list costs it.
const LISTED_MOST: usize = 1_000;
/// Settings seldom change: the list asks for them no more often than this.
const LISTED_AGE: Duration = Duration::from_secs(60);
/// How often a leader that moved is followed while one topic is described.
const ROUNDS: u32 = 3;

pub(super) struct KafkaInspect {
    cluster: Cluster,
    integration: Arc<Integration>,
    /// What the session offers for a topic, before its ACLs.
    offers: Caps,
    /// The settings of the list, and when they were asked for.
    listed: Mutex<Option<(Instant, Arc<Listed>)>>,
}

type Listed = HashMap<String, Result<Vec<Setting>, Fault>>;

impl KafkaInspect {
    pub(super) fn new(cluster: Cluster, integration: Arc<Integration>, offers: Caps) -> Self {
        Self { cluster, integration, offers, listed: Mutex::new(None) }
    }

    fn channel(&self, topic: &Topic, marks: &Marks, sizes: &Sizes, settings: Option<&[Setting]>) -> Channel {
        let ends = topic.error == 0 && !topic.partitions.is_empty();
        let ends = ends.then(|| topic.partitions.iter().map(|partition| marks.of(topic, partition)?.end()).sum()).flatten();
        let depth = topic.partitions.iter().map(|partition| marks.of(topic, partition)?.held()).sum::<Option<u64>>();
        Channel {
            tenant: self.integration.tenant_of(&topic.name).map(SafeText::new),
            internal: topic.internal || topic.name.starts_with("__"),
            can: topic.allowed(self.offers),
            depth: ends.and(depth).map_or(Amount::Unknown, Amount::AtMost),
            bytes: ends.and_then(|_| sizes.topic(topic)).map_or(Amount::Unknown, Amount::Exactly),
            ends,
            parts: (topic.error == 0).then_some(topic.partitions.len() as u32),
            attributes: attributes(topic, settings.unwrap_or_default()),
            fault: topic_fault(topic),
            ..Channel::named(Arc::clone(&topic.name), "topic")
        }
    }

    /// The settings of the list; what the broker does not tell is missing.
    async fn listed_settings(&self, names: &[&str]) -> Arc<Listed> {
        if names.is_empty() || names.len() > LISTED_MOST {
            return Arc::default();
        }
        let known = self.listed.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((asked, listed)) = known
            && asked.elapsed() < LISTED_AGE
            && names.iter().all(|name| listed.contains_key(*name))
        {
            return listed;
        }
        let listed = Arc::new(self.cluster.settings(names, Some(LISTED)).await.unwrap_or_default());
        *self.listed.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), Arc::clone(&listed)));
        listed
    }

    async fn marks(&self, topics: &[Arc<Topic>], rounds: u32) -> Marks {
        let mut wanted = Vec::new();
        for at in [At::Start, At::End { committed: false }] {
            for topic in topics.iter().filter(|topic| topic.error == 0) {
                // Without a leader nobody can tell, and what is slow to fail must not hold up the list.
                let led = topic.partitions.iter().filter(|partition| partition.leader.is_some());
                wanted.extend(led.map(|partition| Wanted { topic: Arc::clone(&topic.name), partition: partition.index, at }));
            }
        }
        let found = self.cluster.offsets(&wanted, rounds).await;
        let mut marks = Marks::default();
        for (question, found) in wanted.into_iter().zip(found) {
            if let Ok(Found { offset: Some(offset), .. }) = found {
                let mark = marks.0.entry(question.topic).or_default().entry(question.partition).or_default();
                if question.at == At::Start { mark.start = Some(offset) } else { mark.end = Some(offset) }
            }
        }
        marks
    }
}

#[async_trait]
impl Inspect for KafkaInspect {
    async fn ping(&self) -> Result<Duration, Fault> {
        let asked = Instant::now();
        self.cluster.refresh(Some(&[])).await?;
        Ok(asked.elapsed())
    }

    async fn channels(&self) -> Result<Vec<Channel>, Fault> {
        let topics = self.cluster.refresh(None).await?;
        let names: Vec<&str> = topics.iter().filter(|topic| topic.error == 0).map(|topic| &*topic.name).collect();
        let (marks, sizes, settings) = tokio::join!(self.marks(&topics, 1), self.cluster.sizes(None), self.listed_settings(&names));
        let settings = |name: &str| settings.get(name).and_then(|settings| settings.as_deref().ok());
        Ok(topics.iter().map(|topic| self.channel(topic, &marks, &sizes, settings(&topic.name))).collect())
    }

    async fn describe(&self, channel: &str) -> Result<Description, Fault> {
        let topics = self.cluster.refresh(Some(&[channel])).await?;
        let topic = topics.iter().find(|topic| &*topic.name == channel);
        let topic = topic.ok_or_else(|| Fault::new(Kind::Protocol, "describe", channel, "the broker's answer does not name it"))?;
        if topic.error != 0 {
            return Err(faults::refused("describe", channel, topic.error, None));
        }
        let names = [channel];
        let (marks, sizes, settings, rules) = tokio::join!(
            self.marks(&topics, ROUNDS),
            self.cluster.sizes(Some(topic)),
            self.cluster.settings(&names, None),
            self.cluster.rules(channel),
        );
        let settings = settings.and_then(|mut all| {
            all.remove(channel)
                .unwrap_or_else(|| Err(Fault::new(Kind::Protocol, "read the settings of", channel, "the broker leaves them out")))
        });
        let described = self.channel(topic, &marks, &sizes, settings.as_deref().ok());
        let tables = vec![partitions_table(topic, &marks, &sizes), settings_table(&settings), rules_table(&rules)];
        Ok(Description { channel: described, tables })
    }
}

/// First and next offset of partitions, as far as their leaders told.
#[derive(Debug, Default)]
struct Marks(HashMap<Arc<str>, HashMap<i32, Mark>>);

#[derive(Clone, Copy, Debug, Default)]
struct Mark {
    start: Option<i64>,
    end: Option<i64>,
}

impl Marks {
    fn of(&self, topic: &Topic, partition: &Partition) -> Option<Mark> {
        self.0.get(&topic.name)?.get(&partition.index).copied()
    }
}

impl Mark {
    fn end(self) -> Option<u64> {
        u64::try_from(self.end?).ok()
    }

    /// An upper bound: offsets count control records, and compaction leaves holes.
    fn held(self) -> Option<u64> {
        // Retention may move the start between the two answers.
        Some(u64::try_from(self.end?.saturating_sub(self.start?)).unwrap_or(0))
    }
}

fn topic_fault(topic: &Topic) -> Option<Fault> {
    if topic.error != 0 {
        return Some(faults::refused("list", &*topic.name, topic.error, None));
    }
    let orphans = topic.partitions.iter().filter(|partition| partition.leader.is_none()).count();
    (orphans > 0).then(|| {
        let cause = format!("{orphans} of {} partitions have no leader", topic.partitions.len());
        Fault::new(Kind::Unreachable, "read", &*topic.name, cause).next("the brokers that hold them are down, or a leader is being elected")
    })
}

fn attributes(topic: &Topic, settings: &[Setting]) -> Vec<Attribute> {
    let mut attributes = Vec::new();
    let mut add = |name: &str, value: String| attributes.push(Attribute::new(name, value));
    if let Some(partition) = topic.partitions.first() {
        add("replicas", partition.replicas.len().to_string());
    }
    let behind = topic.partitions.iter().filter(|partition| partition.isr.len() < partition.replicas.len()).count();
    if behind > 0 {
        add("under-replicated", format!("{behind} of {} partitions", topic.partitions.len()));
    }
    let value = |name: &str| settings.iter().find(|setting| setting.name == name).and_then(|setting| setting.value.as_deref());
    if let Some(policy) = value("cleanup.policy") {
        add("cleanup", policy.to_owned());
    }
    if let Some(millis) = value("retention.ms") {
        add("retention", time(millis));
    }
    attributes
}

/// Milliseconds as people read them: `604800000` is `7 d`, `-1` and the largest number are `no limit`.
fn time(millis: &str) -> String {
    match millis.parse::<i64>() {
        Ok(-1 | i64::MAX) => "no limit".to_owned(),
        Ok(n) if n >= 1000 => {
            let shown = figure::duration(Duration::from_millis(n.unsigned_abs()));
            [" 0 h", " 0 m", " 0 s"].iter().find_map(|zero| shown.strip_suffix(zero)).unwrap_or(&shown).to_owned()
        }
        _ => format!("{millis} ms"),
    }
}

fn partitions_table(topic: &Topic, marks: &Marks, sizes: &Sizes) -> Table {
    let number = |n: Option<i64>| n.map_or_else(|| "–".to_owned(), |n| n.to_string());
    let ids = |ids: &[i32]| ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let row = |partition: &Partition| {
        let mark = marks.of(topic, partition).unwrap_or_default();
        let cells = [
            partition.index.to_string(),
            partition.leader.map_or_else(|| "none".to_owned(), |leader| leader.to_string()),
            ids(&partition.replicas),
            ids(&partition.isr),
            number(mark.start),
            number(mark.end),
            mark.held().map_or(Amount::Unknown, Amount::AtMost).show(figure::count),
            sizes.partition(&topic.name, partition.index).map_or(Amount::Unknown, Amount::Exactly).show(figure::bytes),
        ];
        cells.map(SafeText::from).into()
    };
    Table {
        title: "partitions",
        columns: vec!["partition", "leader", "replicas", "in sync", "start", "end", "messages", "size"],
        rows: topic.partitions.iter().map(row).collect(),
    }
}

fn settings_table(settings: &Result<Vec<Setting>, Fault>) -> Table {
    let row = |setting: &Setting| {
        let value = setting.value.as_deref().unwrap_or("hidden");
        let value = match setting.name.strip_suffix(".ms") {
            Some(_) if setting.value.is_some() && value.len() > 3 => format!("{value} ({})", time(value)),
            _ => value.to_owned(),
        };
        vec![SafeText::new(&setting.name), value.into(), setting.source.word().into()]
    };
    match settings {
        Ok(settings) => Table { title: "settings", columns: vec!["setting", "value", "set by"], rows: settings.iter().map(row).collect() },
        Err(fault) => Table::remark("settings", fault.cause.clone()),
    }
}

/// Who may do what with the topic, where the cluster tells; else why it does not.
fn rules_table(rules: &Result<Vec<Rule>, Fault>) -> Table {
    let row = |rule: &Rule| {
        let may = if rule.allows { "may" } else { "may not" };
        let cells = [rule.principal.as_str(), may, rule.operation, rule.host.as_str(), rule.of.as_str()];
        cells.map(SafeText::new).into()
    };
    match rules {
        Ok(rules) if rules.is_empty() => Table::remark("access", "no rule names this topic"),
        Ok(rules) => {
            Table { title: "access", columns: vec!["who", "may", "what", "from", "rule for"], rows: rules.iter().map(row).collect() }
        }
        Err(fault) => Table::remark("access", fault.cause.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(leaders: &[Option<i32>]) -> Topic {
        let partition = |(index, leader): (usize, &Option<i32>)| Partition {
            index: index as i32,
            leader: *leader,
            epoch: 0,
            replicas: vec![1, 2],
            isr: vec![1],
            error: 0,
        };
        Topic {
            name: "orders".into(),
            internal: false,
            error: 0,
            operations: None,
            partitions: leaders.iter().enumerate().map(partition).collect(),
        }
    }

    #[test]
    fn a_depth_is_a_bound_and_never_negative() {
        assert_eq!(Mark { start: Some(10), end: Some(15) }.held(), Some(5));
        assert_eq!(Mark { start: Some(20), end: Some(15) }.held(), Some(0), "retention ran between the two answers");
        assert_eq!(Mark { start: None, end: Some(15) }.held(), None);
    }

    #[test]
    fn a_topic_without_a_leader_says_so() {
        let fault = topic_fault(&topic(&[Some(1), None, None])).expect("a fault");
        assert_eq!(fault.cause.as_str(), "2 of 3 partitions have no leader");
        assert_eq!(topic_fault(&topic(&[Some(1)])), None);
    }

    #[test]
    fn times_are_written_as_people_read_them() {
        for (millis, shown) in [
            ("604800000", "7 d"),
            ("-1", "no limit"),
            ("9223372036854775807", "no limit"),
            ("5400000", "1 h 30 m"),
            ("60000", "1 m"),
            ("250", "250 ms"),
            ("x", "x ms"),
        ] {
            assert_eq!(time(millis), shown);
        }
    }

    #[test]
    fn refused_settings_are_told_not_left_out() {
        let refused = Err(faults::refused("read the settings of", "orders", 29, None));
        let table = settings_table(&refused);
        assert!(table.as_remark().is_some_and(|why| why.as_str().contains("TOPIC_AUTHORIZATION_FAILED")), "{table:?}");
    }

    #[test]
    fn access_that_is_not_told_says_why() {
        let shown = |rules: &Result<Vec<Rule>, Fault>| rules_table(rules).rows[0].iter().map(ToString::to_string).collect::<Vec<_>>();
        assert!(shown(&Err(faults::refused("read", "orders", 54, None)))[0].contains("no authorizer"));
        assert!(shown(&Err(faults::refused("read", "orders", 31, None)))[0].contains("may not do this with the cluster"));
        assert_eq!(shown(&Ok(Vec::new()))[0], "no rule names this topic");
        let rule = Rule { principal: "User:bob".into(), operation: "Read", allows: false, host: "*".into(), of: "or…".into() };
        assert_eq!(shown(&Ok(vec![rule])), ["User:bob", "may not", "Read", "*", "or…"]);
    }

    #[test]
    fn replicas_that_lag_are_an_attribute() {
        let attributes = attributes(&topic(&[Some(1), Some(1)]), &[]);
        let told: Vec<_> = attributes.iter().map(|a| (a.name.as_str(), a.value.as_str())).collect();
        assert_eq!(told, [("replicas", "2"), ("under-replicated", "2 of 2 partitions")]);
    }
}
