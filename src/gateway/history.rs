//! Reads history: the lanes of all partitions merged into one stream in the order of time.

use super::Gateway;
use crate::adapters::session::{Lane, Reading};
use crate::domain::address::Address;
use crate::domain::fault::{Fault, Kind};
use crate::domain::message::Message;
use crate::domain::position::{Bound, Position, Range};
use futures::StreamExt;
use futures::future::join_all;
use std::collections::VecDeque;

impl Gateway {
    /// One message by its position. Gone, compacted away or never there: not found.
    pub async fn message(&self, address: &Address, position: Position) -> Result<Message, Fault> {
        let range = Range { start: Bound::At(position), end: Bound::Latest };
        let channel = self.named(address)?;
        let mut reading = self.history(&address.integration).await?.read(&channel, range).await?;
        for lane in &mut reading.lanes {
            while let Some(batch) = lane.batches.next().await {
                if let Some(first) = batch?.into_iter().next() {
                    let target = format!("{address}#{position}");
                    let missing = || Fault::new(Kind::NotFound, "read", target, "there is no message at this position any more");
                    return if first.position == position { Ok(first) } else { Err(missing()) };
                }
            }
        }
        Err(Fault::new(Kind::NotFound, "read", format!("{address}#{position}"), "there is no message at this position"))
    }
}

/// Messages handed on at once, at most.
const BATCH: usize = 500;

/// The lanes of a reading, merged by timestamp. Within a lane the order is the lane's own, whatever the timestamps say.
pub struct Merge {
    lanes: Vec<Source>,
}

struct Source {
    lane: Lane,
    ready: VecDeque<Message>,
    ended: bool,
}

/// What was read.
#[derive(Debug, Default, PartialEq)]
pub struct Batch {
    pub messages: Vec<Message>,
    /// What lanes could not read. A lane may go on behind it; the others do in any case.
    pub faults: Vec<Fault>,
}

impl Merge {
    pub fn new(reading: Reading) -> Self {
        let lanes = reading.lanes.into_iter().map(|lane| Source { lane, ready: VecDeque::new(), ended: false }).collect();
        Self { lanes }
    }

    /// The next messages in the order of time; `None` when every lane has ended.
    pub async fn next(&mut self) -> Option<Batch> {
        let faults = self.refill().await;
        if !faults.is_empty() {
            // A lane behind its fault may have older messages than the others: it is asked again before anything is handed on.
            return Some(Batch { messages: Vec::new(), faults });
        }
        let mut messages = Vec::new();
        while messages.len() < BATCH {
            let Some(oldest) = self.lanes.iter_mut().filter(|s| !s.ready.is_empty()).min_by_key(|s| s.ready.front().map(|m| m.timestamp))
            else {
                break;
            };
            messages.extend(oldest.ready.pop_front());
            // A lane that ran dry must be asked again before anything later may be handed on.
            if oldest.ready.is_empty() && !oldest.ended {
                break;
            }
        }
        if messages.is_empty() { None } else { Some(Batch { messages, faults }) }
    }

    /// Gets the next batch of every lane that has none, all at once.
    async fn refill(&mut self) -> Vec<Fault> {
        let dry = self.lanes.iter_mut().filter(|s| s.ready.is_empty() && !s.ended);
        join_all(dry.map(Source::fill)).await.into_iter().flatten().collect()
    }
}

impl Source {
    async fn fill(&mut self) -> Option<Fault> {
        while self.ready.is_empty() {
            match self.lane.batches.next().await {
                Some(Ok(batch)) => self.ready.extend(batch),
                // Something was passed over, or it is the lane's last item: the next poll tells.
                Some(Err(fault)) => return Some(fault),
                None => {
                    self.ended = true;
                    return None;
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::message::Stamp;
    use crate::domain::time::Timestamp;
    use futures::stream;

    fn lane(partition: i32, batches: Vec<Result<Vec<i64>, Fault>>) -> Lane {
        let mut offset = 0;
        let mut message = move |time| {
            offset += 1;
            Message {
                channel: "orders".into(),
                position: Position::Offset { partition, offset },
                timestamp: Some(Timestamp(time)),
                stamp: Stamp::Created,
                key: None,
                headers: Vec::new(),
                payload: None,
            }
        };
        let batches: Vec<_> = batches.into_iter().map(|b| b.map(|times| times.into_iter().map(&mut message).collect())).collect();
        Lane { partition: Some(partition), at_most: 0, batches: stream::iter(batches).boxed() }
    }

    async fn read(lanes: Vec<Lane>) -> (Vec<i64>, Vec<Fault>) {
        let mut merge = Merge::new(Reading { lanes, notes: Vec::new() });
        let (mut times, mut faults) = (Vec::new(), Vec::new());
        while let Some(batch) = merge.next().await {
            times.extend(batch.messages.iter().filter_map(|m| m.timestamp).map(|t| t.0));
            faults.extend(batch.faults);
        }
        (times, faults)
    }

    #[tokio::test]
    async fn partitions_are_merged_by_time_across_batches() {
        let lanes =
            vec![lane(0, vec![Ok(vec![1, 4]), Ok(vec![]), Ok(vec![9])]), lane(1, vec![Ok(vec![2, 3, 5, 6, 7, 8])]), lane(2, vec![])];
        assert_eq!(read(lanes).await, ((1..=9).collect(), vec![]));
    }

    #[tokio::test]
    async fn times_that_run_backwards_keep_their_partitions_order() {
        assert_eq!(read(vec![lane(0, vec![Ok(vec![5, 1, 6])]), lane(1, vec![Ok(vec![2, 7])])]).await.0, vec![2, 5, 1, 6, 7]);
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_named_and_reading_goes_on_behind_it() {
        let fault = Fault::new(Kind::Protocol, "read", "orders partition 0", "corrupt batch");
        let lanes = vec![lane(0, vec![Ok(vec![1]), Err(fault.clone()), Ok(vec![4])]), lane(1, vec![Ok(vec![2, 3, 5])])];
        assert_eq!(read(lanes).await, (vec![1, 2, 3, 4, 5], vec![fault]));
    }
}
