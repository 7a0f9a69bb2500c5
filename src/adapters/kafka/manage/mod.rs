//! `Manage` for Kafka: topics made, deleted, emptied, given partitions and settings, leaders elected; groups reset and deleted.
//!
//! Every operation is a module with a plan and its carrying out. A plan asks the brokers whether they would do it, where they can
//! be asked, and freezes its steps as JSON; carrying out works from these alone and looks first whether the world is still as it was.

mod create;
mod delete;
mod elect;
mod group_delete;
mod group_reset;
mod partitions;
mod purge;
mod readers;
mod settings;
pub(super) mod specs;

use super::faults;
use super::groups::KafkaGroups;
use super::link::cluster::Cluster;
use super::link::metadata::Topic;
use super::link::offsets::{At, Wanted};
use crate::adapters::session::Manage;
use crate::domain::fault::{Fault, Kind};
use crate::domain::operation::{Change, Done, OperationSpec, Request};
use async_trait::async_trait;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often a leader that moved is followed.
const ROUNDS: u32 = 3;
/// The pause between looks at whether something has come about, and how long that is looked for.
const PAUSE: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_secs(30);
/// `AclOperation` codes: bits of what our user may do with a topic.
const DELETE: i32 = 6;
const ALTER: i32 = 7;
const ALTER_CONFIGS: i32 = 11;
/// `TOPIC_AUTHORIZATION_FAILED`, `UNKNOWN_TOPIC_OR_PARTITION`.
const FORBIDDEN: i16 = 29;
const UNKNOWN: i16 = 3;

pub(super) struct KafkaManage {
    cluster: Cluster,
    groups: Arc<KafkaGroups>,
    operations: &'static [&'static OperationSpec],
}

impl KafkaManage {
    /// What the cluster can be asked to do: one that cannot make topics (the demo's brokers) still moves groups.
    pub(super) async fn connect(cluster: Cluster, groups: Arc<KafkaGroups>) -> Result<Self, Fault> {
        let whole = cluster.offers::<kafka_protocol::messages::CreateTopicsRequest>().await?;
        Ok(Self { cluster, groups, operations: if whole { specs::ALL } else { specs::POSITIONS } })
    }

    /// A topic as it is now.
    async fn topic(&self, op: &'static str, name: &str) -> Result<Arc<Topic>, Fault> {
        let topics = self.cluster.refresh(Some(&[name])).await?;
        let topic = topics.into_iter().find(|topic| &*topic.name == name);
        let topic = topic.ok_or_else(|| Fault::new(Kind::Protocol, op, name, "the broker's answer does not name it"))?;
        if topic.error == 0 { Ok(topic) } else { Err(faults::refused(op, name, topic.error, None)) }
    }

    /// The first and the next offset of every partition.
    async fn ends(&self, topic: &Topic) -> Result<Vec<(i32, i64, i64)>, Fault> {
        let of = |at: At| topic.partitions.iter().map(move |p| Wanted { topic: Arc::clone(&topic.name), partition: p.index, at });
        let (starts, ends): (Vec<_>, Vec<_>) = (of(At::Start).collect(), of(At::End { committed: false }).collect());
        let (starts, ends) = tokio::join!(self.cluster.offsets(&starts, ROUNDS), self.cluster.offsets(&ends, ROUNDS));
        let mut told = Vec::with_capacity(starts.len());
        for ((partition, start), end) in topic.partitions.iter().zip(starts).zip(ends) {
            let (start, end) = (start?.offset.unwrap_or(0), end?.offset.unwrap_or(0));
            told.push((partition.index, start, end.max(start)));
        }
        Ok(told)
    }

    /// Fails if the topic is not the one that the plan was made for: deleted since, or deleted and made anew.
    async fn same_topic(&self, op: &'static str, name: &str, planned: Option<&str>) -> Result<(), Fault> {
        let now = self.cluster.topic_id(name).await?;
        if now.as_deref() == planned {
            return Ok(());
        }
        Err(stale(op, name, "the topic was deleted and made anew since the plan was made"))
    }
}

#[async_trait]
impl Manage for KafkaManage {
    fn operations(&self) -> &'static [&'static OperationSpec] {
        self.operations
    }

    async fn plan(&self, request: Request) -> Result<Change, Fault> {
        match request.spec.id {
            "topic.create" => create::plan(self, request).await,
            "topic.delete" => delete::plan(self, request).await,
            "topic.purge" => purge::plan(self, request).await,
            "partitions.add" => partitions::plan(self, request).await,
            "settings.change" => settings::plan(self, request).await,
            "leaders.elect" => elect::plan(self, request).await,
            "group.reset" => group_reset::plan(self, request).await,
            "group.delete" => group_delete::plan(self, request).await,
            id => Err(Fault::new(Kind::Usage, "plan", id, "Kafka has no such operation")),
        }
    }

    async fn apply(&self, change: &Change) -> Result<Done, Fault> {
        match change.request.spec.id {
            "topic.create" => create::apply(self, thaw(change)?).await,
            "topic.delete" => delete::apply(self, thaw(change)?).await,
            "topic.purge" => purge::apply(self, thaw(change)?).await,
            "partitions.add" => partitions::apply(self, thaw(change)?).await,
            "settings.change" => settings::apply(self, thaw(change)?).await,
            "leaders.elect" => elect::apply(self, thaw(change)?).await,
            "group.reset" => group_reset::apply(self, thaw(change)?).await,
            "group.delete" => group_delete::apply(self, thaw(change)?).await,
            id => Err(Fault::new(Kind::Usage, "carry out", id, "Kafka has no such operation")),
        }
    }
}

/// Steps as they are frozen.
fn freeze(steps: &impl Serialize) -> String {
    // Plain structs of texts and numbers: there is nothing in them that could not be written.
    serde_json::to_string(steps).unwrap_or_default()
}

fn thaw<T: DeserializeOwned>(change: &Change) -> Result<T, Fault> {
    serde_json::from_str(&change.steps).map_err(|error| {
        Fault::new(Kind::Usage, change.request.spec.id, change.request.address.to_string(), format!("these are no steps of it: {error}"))
    })
}

/// The fault of a plan that the world has left behind.
fn stale(op: &'static str, target: &str, cause: &str) -> Fault {
    Fault::new(Kind::Rejected, op, target, cause).next("nothing was done: plan it again")
}

/// Why our user may not do something with a topic, where the broker told what it may.
fn forbidden(op: &'static str, topic: &Topic, operation: i32) -> Option<Fault> {
    let may = topic.operations.is_none_or(|bits| bits & (1 << operation) != 0);
    (!may).then(|| faults::refused(op, &*topic.name, FORBIDDEN, None))
}

/// How long something that comes about in its own time is looked for.
struct Patience(Instant);

impl Patience {
    fn new() -> Self {
        Self(Instant::now() + PATIENCE)
    }

    /// Waits before the next look; `false` when it is time to give up.
    async fn wait(&self) -> bool {
        tokio::time::sleep(PAUSE).await;
        Instant::now() < self.0
    }
}

/// `1 partition`, `3 partitions`.
fn counted(count: impl Into<i64>, one: &str) -> String {
    let count = count.into();
    if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") }
}
