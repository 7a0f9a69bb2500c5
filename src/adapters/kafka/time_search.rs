//! Whether a cluster can be asked where a time begins. Where it cannot, everything is read.

use super::link::cluster::Cluster;
use super::link::offsets::{At, Found, Wanted};
use super::link::walk::Partition;
use crate::config::profile::Integration;

/// The setting that says how times are looked up: `search` reads records, anything else asks the broker.
const SETTING: &str = "mqdeck.time_lookup";
/// A time that no message has: 292 million years from now.
const NEVER: i64 = i64::MAX - 1;
const ROUNDS: u32 = 3;

/// Whether the cluster answers sensibly when asked for a time, tried on a partition that holds offsets `start..end`.
///
/// librdkafka's mock cluster finds no time or answers every one with the end, and some servers answer 0. A log with messages in it has one that
/// was stamped in 1970 or later, and none of the far future.
pub(super) async fn is_trusted(cluster: &Cluster, integration: &Integration, partition: &Partition, end: i64) -> bool {
    if integration.settings.get(SETTING).is_some_and(|setting| setting.value.expose() == "search") {
        return false;
    }
    let wanted = |millis| Wanted { topic: partition.topic.clone(), partition: partition.index, at: At::Time(millis) };
    // A partition may stand but once in a request.
    let (first, never) = ([wanted(0)], [wanted(NEVER)]);
    let (first, never) = tokio::join!(cluster.offsets(&first, ROUNDS), cluster.offsets(&never, ROUNDS));
    match (first.first(), never.first()) {
        (Some(Ok(Found { offset: Some(first), .. })), Some(Ok(Found { offset: None, .. }))) => *first < end,
        // A fault is for the lookup itself to tell.
        (Some(Err(_)), _) | (_, Some(Err(_))) => true,
        _ => false,
    }
}
