//! What a list shows of streams: how many entries and groups each has, asked for without reading any entry.
//!
//! XINFO STREAM would answer with the first and the last entry whole, so lists ask for XLEN and XINFO GROUPS. A console asks every few
//! seconds, so what is asked is bounded by an allowance: a first look and a second one for a rate are whole, later ones go
//! around, the oldest figures first.

use super::Redis;
use super::groups::{Row, rows};
use super::name::Key;
use super::value;
use crate::domain::fault::Fault;
use redis::cmd;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// Streams that one look asks about at most; the others are listed by name until their turn comes.
const MOST: usize = 2_000;
/// Streams that may be asked about without a pause, and how many a second for good.
const BURST: f64 = 2.0 * MOST as f64;
const A_SECOND: f64 = 50.0;

/// What was seen of one stream.
#[derive(Clone)]
pub(super) struct Figures {
    pub(super) at: Instant,
    pub(super) length: Result<u64, Fault>,
    pub(super) groups: Result<Arc<[Row]>, Fault>,
}

/// What was seen of all of them, and what may still be asked.
pub(super) struct Looks(Mutex<Inner>);

struct Inner {
    seen: HashMap<Key, Figures>,
    allowance: f64,
    counted: Instant,
}

impl Default for Looks {
    fn default() -> Self {
        Self(Mutex::new(Inner { seen: HashMap::new(), allowance: BURST, counted: Instant::now() }))
    }
}

impl Inner {
    /// The streams whose turn it is: those never looked at, then those looked at longest ago, as far as the allowance goes.
    fn due(&mut self, streams: &[Key]) -> Vec<Key> {
        let now = Instant::now();
        self.allowance = (self.allowance + now.duration_since(self.counted).as_secs_f64() * A_SECOND).min(BURST);
        self.counted = now;
        let mut due: Vec<(Option<Instant>, &Key)> = streams.iter().map(|name| (self.seen.get(name).map(|seen| seen.at), name)).collect();
        due.sort_by_key(|(at, _)| *at);
        due.truncate(MOST.min(self.allowance as usize));
        self.allowance -= due.len() as f64;
        due.into_iter().map(|(_, name)| name.clone()).collect()
    }
}

impl Redis {
    /// The figures of these streams as they are known, after the next look at some of them.
    pub(super) async fn figures(&self, op: &'static str, streams: &[Key]) -> HashMap<Key, Figures> {
        let due = self.looks.0.lock().unwrap_or_else(PoisonError::into_inner).due(streams);
        let ask = |name: &Key| [cmd("XLEN").arg(name).to_owned(), cmd("XINFO").arg("GROUPS").arg(name).to_owned()];
        let asked: Vec<_> = due.iter().flat_map(ask).collect();
        let mut answers = self.link.all(&asked, op, "").await.into_iter();
        let at = Instant::now();
        let mut inner = self.looks.0.lock().unwrap_or_else(PoisonError::into_inner);
        for name in due {
            let (Some(length), Some(groups)) = (answers.next(), answers.next()) else { break };
            let length = length.map(|length| value::int(&length).and_then(|n| u64::try_from(n).ok()).unwrap_or(0));
            let groups = groups.map(|groups| rows(&name, groups).into());
            inner.seen.insert(name, Figures { at, length, groups });
        }
        let known: HashMap<Key, Figures> = streams.iter().filter_map(|name| Some((name.clone(), inner.seen.get(name)?.clone()))).collect();
        inner.seen.clone_from(&known);
        known
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn two_looks_are_whole_and_later_ones_go_around() {
        let streams: Vec<Key> = (0..MOST).map(|n| Key::parse(&format!("s{n}"))).collect();
        let looks = Looks::default();
        let mut inner = looks.0.lock().expect("nobody panicked");
        let look = |inner: &mut Inner| {
            let due = inner.due(&streams);
            let at = Instant::now();
            for name in &due {
                inner.seen.insert(name.clone(), Figures { at, length: Ok(0), groups: Ok([].into()) });
            }
            due
        };
        assert_eq!((look(&mut inner).len(), look(&mut inner).len()), (MOST, MOST));
        let spent = look(&mut inner).len();
        assert!(spent < MOST / 4, "{spent}");
        inner.allowance = 0.0;
        inner.counted = Instant::now().checked_sub(Duration::from_secs(2)).expect("the machine is up");
        let first = look(&mut inner);
        inner.counted = Instant::now().checked_sub(Duration::from_secs(2)).expect("the machine is up");
        let second = look(&mut inner);
        assert!(first.len() >= 100 && first.len() < 200, "{}", first.len());
        assert!(first.iter().all(|name| !second.contains(name)), "the others first");
    }
}
