//! How far a group is behind.
//!
//! XINFO GROUPS tells a lag by counts: entries ever added less entries ever read. What was trimmed or deleted before the group came to it
//! was never read, and servers before Redis 8 count it as behind for ever; after other changes they tell nothing. So the server's
//! lag is never too small, and may be too large where entries are gone. It is then compared with the stream itself, by reading behind the
//! group's last entry: none there means that it is at the end. Reading costs bytes, so it is done once for each state of the group
//! and the stream, and seldom where entries are large.

use super::Redis;
use super::entry::Id;
use super::groups::Row;
use super::history::{Edges, Effort};
use super::name::Key;
use super::value;
use crate::domain::fault::Fault;
use crate::domain::figure::Amount;
use redis::cmd;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The version from which on the server's own lag is right.
const EXACT_SINCE: u32 = 8;
/// A lag up to this is counted; of a greater one it is only seen whether there is any.
const COUNTED: u64 = 100;
/// Where the server tells none, entries are counted so far.
const COUNTED_ALONE: u64 = 1_000;
/// Bytes that one count may read; beyond the first of them a group is counted again only so soon that it is so many a second.
const BYTES: usize = 256 * 1024;
const FREE: usize = 32 * 1024;
const BYTES_A_SECOND: usize = 16 * 1024;
/// Groups whose counts are remembered.
const REMEMBERED: usize = 20_000;

/// What was counted of each group.
#[derive(Default)]
pub(super) struct Verified(Mutex<HashMap<(Key, Key), Counted>>);

#[derive(Clone, Copy)]
struct Counted {
    /// What it was counted for: the group's last entry, the server's lag, and the length.
    state: (Id, Option<u64>, u64),
    lag: Amount,
    /// No sooner than this it is counted again.
    again: Instant,
}

impl Redis {
    /// Entries of the stream that the group was not given yet. With `edges` they are not asked for again.
    pub(super) async fn behind(&self, row: &Row, edges: Option<&Edges>) -> Result<Amount, Fault> {
        let Some(last) = row.last else { return Ok(row.lag.map_or(Amount::Unknown, Amount::AtMost)) };
        match row.lag {
            Some(0) => return Ok(Amount::Exactly(0)),
            Some(lag) if self.link.server().await?.major >= EXACT_SINCE => return Ok(Amount::Exactly(lag)),
            _ => {}
        }
        if edges.is_some_and(|edges| edges.added.is_some() && edges.last <= last) {
            return Ok(Amount::Exactly(0));
        }
        let length = match edges {
            Some(edges) => edges.length,
            None => {
                let length = self.link.call(cmd("XLEN").arg(&row.stream), "count the entries of", &row.stream.text()).await?;
                value::int(&length).and_then(|n| u64::try_from(n).ok()).unwrap_or(0)
            }
        };
        match (row.lag, row.added()) {
            _ if length == 0 => Ok(Amount::Exactly(0)),
            // Nothing was ever deleted, or the server has not counted but compared ids.
            (Some(lag), Some(added)) if added == length => Ok(Amount::Exactly(lag)),
            (Some(lag), None) if row.read.is_none() => Ok(Amount::Exactly(lag)),
            _ => self.counted(row, last, length).await,
        }
    }

    async fn counted(&self, row: &Row, last: Id, length: u64) -> Result<Amount, Fault> {
        let (of, state) = ((row.stream.clone(), row.name.clone()), (last, row.lag, length));
        let most = row.lag.map_or(length, |lag| lag.min(length));
        let known = self.verified.0.lock().unwrap_or_else(PoisonError::into_inner).get(&of).copied();
        match known {
            // Without the server's count the same length may be that of other entries.
            Some(known) if known.state == state && (row.lag.is_some() || Instant::now() < known.again) => return Ok(known.lag),
            Some(known) if Instant::now() < known.again => return Ok(Amount::AtMost(most)),
            _ => {}
        }
        let entries = match row.lag {
            None => COUNTED_ALONE,
            Some(_) if most <= COUNTED => most,
            Some(_) => 1,
        };
        let (counted, bytes) = self.count(&row.stream, last.next(), None, Effort { entries, bytes: BYTES }).await?;
        let lag = match (counted, row.lag) {
            (Amount::AtLeast(n), _) if n == most => Amount::Exactly(n),
            (Amount::AtLeast(_), Some(_)) => Amount::AtMost(most),
            (counted, _) => counted,
        };
        let again = Instant::now() + Duration::from_secs((bytes.saturating_sub(FREE) / BYTES_A_SECOND) as u64);
        let mut verified = self.verified.0.lock().unwrap_or_else(PoisonError::into_inner);
        if verified.len() >= REMEMBERED {
            verified.clear();
        }
        verified.insert(of, Counted { state, lag, again });
        Ok(lag)
    }
}
