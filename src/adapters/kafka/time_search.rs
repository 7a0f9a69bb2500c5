//! Finding a time in a log by looking at its records, where the broker's own lookup cannot be trusted.
//!
//! A binary search over offsets. It is exact while timestamps do not go backwards; producers stamp messages themselves, so
//! that they may, and what is found is near.

use super::lane::Source;
use super::link::cluster::Cluster;
use super::link::cursor::Cursor;
use super::link::fetch::{LEAST_BYTES, Verdict};
use super::link::offsets::{At, Found, Wanted};
use super::link::walk::{Partition, Step};
use crate::config::profile::Integration;
use crate::domain::fault::Fault;
use crate::domain::position::Position;

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

/// The first offset in `start..end` whose message is stamped at `millis` or later; `end` if there is none.
pub(super) async fn first_at(source: &Source, partition: &Partition, start: i64, end: i64, millis: i64) -> Result<i64, Fault> {
    let (mut low, mut high) = (start, end);
    while low < high {
        let middle = low + (high - low) / 2;
        match look(source, partition, middle, high, millis).await? {
            Seen::Earlier { behind } => low = behind.max(middle + 1).min(high),
            Seen::From { offset, first: true } => high = middle.min(offset),
            Seen::From { offset, first: false } => return Ok(offset),
            Seen::Nothing => high = middle,
        }
    }
    Ok(low)
}

/// What one look into a log showed.
enum Seen {
    /// All of it is earlier.
    Earlier { behind: i64 },
    /// The first message that is not earlier, and whether it is the first one seen at all.
    From { offset: i64, first: bool },
    /// No message with a time.
    Nothing,
}

async fn look(source: &Source, partition: &Partition, from: i64, until: i64, millis: i64) -> Result<Seen, Fault> {
    let cursor = Cursor::new(partition.clone(), from, LEAST_BYTES);
    let part = source.fetch(cursor.want()).await?;
    match part.verdict() {
        Verdict::Good => {}
        // Deleted since the ends were asked for: what is left is later.
        Verdict::OutOfRange => return Ok(Seen::Earlier { behind: from + 1 }),
        _ => return Err(part.refusal("look up a time in")),
    }
    let mut walk = cursor.walk(part, until);
    let mut any = false;
    loop {
        match walk.step(usize::MAX) {
            Step::Messages(messages) => {
                for message in messages {
                    let (Some(time), Position::Offset { offset, .. }) = (message.timestamp, message.position) else { continue };
                    if time.0 >= millis {
                        return Ok(Seen::From { offset, first: !any });
                    }
                    any = true;
                }
            }
            Step::Damaged(_) => {}
            Step::End if any => return Ok(Seen::Earlier { behind: walk.next_offset() }),
            Step::End => return Ok(Seen::Nothing),
        }
    }
}
