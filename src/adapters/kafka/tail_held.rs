//! What open transactions hold back from a tail, and when that is worth telling: nothing is broken then, and nothing comes.

use super::link::walk::Partition;
use crate::domain::figure;
use crate::domain::tail::TailEvent;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// Transactions come and go; one that is open for less is not worth telling.
const GRACE: Duration = Duration::from_secs(2);

/// The partitions in which everything readable was read, and more is written.
#[derive(Debug, Default)]
pub(super) struct Held {
    stops: BTreeMap<Partition, Stop>,
    /// Where readers stop in which partitions, as it was told last.
    told: Vec<(Partition, i64)>,
}

#[derive(Debug)]
struct Stop {
    /// The last stable offset: the first one of the open transaction.
    at: i64,
    behind: i64,
    since: Instant,
}

impl Held {
    /// Takes note of a partition that is read up to offset `at`, whose last stable offset and high watermark are these.
    pub(super) fn saw(&mut self, partition: &Partition, at: i64, stable: i64, high: i64, now: Instant) {
        if stable < 0 || high <= stable || at < stable {
            self.stops.remove(partition);
            return;
        }
        let stop = Stop { at: stable, behind: high - stable, since: now };
        let known = self.stops.get_mut(partition).filter(|known| known.at == stable);
        match known {
            Some(known) => known.behind = stop.behind,
            None => {
                self.stops.insert(partition.clone(), stop);
            }
        }
    }

    /// Nothing is known of this partition any more.
    pub(super) fn forget(&mut self, partition: &Partition) {
        self.stops.remove(partition);
    }

    /// The event to tell, if what is held back has changed.
    pub(super) fn next(&mut self, now: Instant) -> Option<TailEvent> {
        let long = |stop: &Stop| now.duration_since(stop.since) >= GRACE;
        let held: Vec<_> = self.stops.iter().filter(|(_, stop)| long(stop)).map(|(partition, stop)| (partition.clone(), stop.at)).collect();
        if held == self.told {
            return None;
        }
        self.told = held;
        let Some((partition, at)) = self.told.first() else { return Some(TailEvent::Waits(None)) };
        let behind: i64 = self.told.iter().filter_map(|(partition, _)| self.stops.get(partition)).map(|stop| stop.behind).sum();
        let behind = figure::count(u64::try_from(behind).unwrap_or(0));
        let what = match self.told.len() {
            1 => format!("an open transaction holds back {partition} from offset {at} on"),
            more => format!("open transactions hold back {more} partitions, {partition} from offset {at} on"),
        };
        Some(TailEvent::Waits(Some(format!("{what} (≥ {behind} offsets); they come when it is committed or aborted").into())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(index: i32) -> Partition {
        Partition { topic: "orders".into(), index }
    }

    fn said(held: &mut Held, now: Instant) -> Option<String> {
        held.next(now).map(|event| match event {
            TailEvent::Waits(Some(why)) => why.as_str().to_owned(),
            TailEvent::Waits(None) => "over".to_owned(),
            other => format!("{other:?}"),
        })
    }

    #[test]
    fn a_transaction_that_stays_open_is_told_once_and_so_is_its_end() {
        let (mut held, start) = (Held::default(), Instant::now());
        held.saw(&partition(0), 20, 20, 25, start);
        assert_eq!(said(&mut held, start), None, "it may be over at once");
        held.saw(&partition(0), 20, 20, 31, start + GRACE);
        let told = said(&mut held, start + GRACE).unwrap_or_default();
        assert!(told.contains("orders partition 0 from offset 20 on (≥ 11 offsets)"), "{told}");
        held.saw(&partition(0), 20, 20, 99, start + GRACE * 2);
        assert_eq!(said(&mut held, start + GRACE * 2), None);
        held.saw(&partition(0), 99, 99, 99, start + GRACE * 2);
        assert_eq!(said(&mut held, start + GRACE * 2).as_deref(), Some("over"));
    }

    #[test]
    fn transactions_that_come_and_go_are_not_told() {
        let (mut held, start) = (Held::default(), Instant::now());
        for second in 0..10 {
            let now = start + Duration::from_secs(second);
            held.saw(&partition(0), second as i64 * 10, second as i64 * 10, second as i64 * 10 + 9, now);
            assert_eq!(said(&mut held, now), None);
        }
    }

    #[test]
    fn what_is_still_to_be_read_is_not_held_back() {
        let (mut held, start) = (Held::default(), Instant::now());
        held.saw(&partition(0), 5, 20, 25, start);
        held.saw(&partition(1), 5, -1, 25, start);
        assert_eq!(said(&mut held, start + GRACE), None);
    }

    #[test]
    fn several_partitions_are_one_sentence() {
        let (mut held, start) = (Held::default(), Instant::now());
        for index in 0..3 {
            held.saw(&partition(index), 20, 20, 25, start);
        }
        let told = said(&mut held, start + GRACE).unwrap_or_default();
        assert!(told.contains("3 partitions") && told.contains("≥ 15 offsets"), "{told}");
        held.forget(&partition(0));
        assert!(said(&mut held, start + GRACE).is_some_and(|told| told.contains("2 partitions")));
    }
}
