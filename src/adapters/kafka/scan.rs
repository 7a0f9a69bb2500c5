//! Looking through one fetched answer for a search: batch by batch, record by record, where the bytes lie.

use super::link::walk::{Damage, Open, Walk};
use super::window::Window;
use crate::domain::message::RawMessage;
use crate::domain::position::Position;
use crate::domain::search::{MessageFilter, ScanBatch};
use crate::domain::time::Timestamp;
use tokio_util::sync::CancellationToken;

/// What one answer came to.
pub(super) struct Scanned {
    /// The walk at its end.
    pub(super) walk: Walk,
    pub(super) results: ScanBatch,
    pub(super) window: Window,
    /// Batches that were passed over.
    pub(super) damages: Vec<Damage>,
}

/// Walks an answer to its end, or until `limit` messages are kept, the window is over or nobody waits for it any more. `reached` is the
/// latest timestamp of the lane so far.
pub(super) fn scan(
    mut walk: Walk,
    mut window: Window,
    filter: &dyn MessageFilter,
    reached: Option<Timestamp>,
    limit: u64,
    over: &CancellationToken,
) -> Scanned {
    let enough = |results: &ScanBatch| results.kept.len() as u64 >= limit || over.is_cancelled();
    let mut results = ScanBatch { reached, ..ScanBatch::default() };
    let mut damages = Vec::new();
    while let Some(batch) = walk.next_batch() {
        let looked_at = match batch {
            Ok(open) => look(&walk, &open, &mut window, filter, &mut results, &enough),
            Err(damage) => Err(damage),
        };
        damages.extend(looked_at.err());
        if enough(&results) || window.is_over() {
            break;
        }
    }
    Scanned { walk, results, window, damages }
}

fn look(
    walk: &Walk,
    open: &Open,
    window: &mut Window,
    filter: &dyn MessageFilter,
    results: &mut ScanBatch,
    enough: &impl Fn(&ScanBatch) -> bool,
) -> Result<(), Damage> {
    let hint = filter.prefilter_chunk(&open.bytes);
    let partition = walk.partition();
    for record in open.records() {
        let record = record.map_err(|malformed| open.damage(malformed))?;
        let offset = open.header.offset_of(&record);
        if !walk.wants(offset) {
            continue;
        }
        let (timestamp, stamp) = open.header.timestamp_of(&record);
        let raw = RawMessage {
            channel: &partition.topic,
            position: Position::Offset { partition: partition.index, offset },
            timestamp,
            key: record.key,
            headers: &record.headers,
            payload: record.value,
        };
        if window.is_open() || window.takes(timestamp, stamp, || raw.size()) {
            results.take(filter, hint, &raw, || open.message(partition, offset, &record).detached());
        } else {
            results.pass_over(&raw);
        }
        if enough(results) || window.is_over() {
            break;
        }
    }
    Ok(())
}
