//! The demo's topics.

use crate::adapters::kafka::embedded::Topic;

pub(super) const TENANTS: [&str; 3] = ["acme", "globex", "initech"];
/// Of the tenants, in their order (seed 1).
pub(super) const TASKS: [&str; 3] = ["grey.tasks.acme", "grey.tasks.globex", "grey.tasks.initech"];
pub(super) const RESULTS: [&str; 3] = ["grey.results.acme", "grey.results.globex", "grey.results.initech"];
pub(super) const TENANT_PATTERNS: [&str; 2] = ["grey.tasks.*", "grey.results.*"];
pub(super) const EVENTS: &str = "grey.events";
/// Not one of a tenant's: `grey.tasks.*` would take `dlt` for a tenant.
pub(super) const DEAD_TASKS: &str = "grey.dlt.tasks";
/// Seed 4.
pub(super) const INCIDENTS: &str = "llm-im.incidents";
pub(super) const CRITICAL: &str = "llm-im.alerts.critical";
pub(super) const DEAD_INCIDENTS: &str = "llm-im-dlq";
/// The latest state of each worker node; deleted nodes leave tombstones.
pub(super) const NODES: &str = "grey.nodes";
/// MessagePack.
pub(super) const TELEMETRY: &str = "grey.telemetry";
/// Avro in Confluent's frame.
pub(super) const USAGE: &str = "grey.usage.avro";
pub(super) const ATTACHMENTS: &str = "grey.attachments";
/// Text that attacks terminals.
pub(super) const HOSTILE: &str = "qa.hostile";
/// Null, empty, duplicate, binary, huge.
pub(super) const EDGES: &str = "qa.edge-cases";

/// Partitions of each task topic.
pub(super) const TASK_PARTITIONS: usize = 3;

/// Every topic with its partitions.
pub(super) fn all() -> Vec<Topic> {
    let few = [
        (EVENTS, 6),
        (DEAD_TASKS, 3),
        (INCIDENTS, 3),
        (CRITICAL, 1),
        (DEAD_INCIDENTS, 1),
        (NODES, 2),
        (TELEMETRY, 2),
        (USAGE, 2),
        (ATTACHMENTS, 1),
        (HOSTILE, 1),
        (EDGES, 1),
    ];
    let tenants = TASKS.iter().chain(&RESULTS).map(|name| (*name, TASK_PARTITIONS as i32));
    tenants.chain(few).map(|(name, partitions)| Topic { name: name.to_owned(), partitions }).collect()
}
