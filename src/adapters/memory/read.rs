//! Listing and reading back.

use super::{Memory, state::State};
use crate::adapters::session::{Inspect, Lane, Log, Reading};
use crate::domain::channel::{Channel, Cost, Description, Table};
use crate::domain::fault::Fault;
use crate::domain::message::Message;
use crate::domain::position::{Bound, Position, Range};
use async_trait::async_trait;
use futures::stream::{self, StreamExt};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Messages in one batch.
pub(super) const BATCH: usize = 500;

#[async_trait]
impl Inspect for Memory {
    async fn ping(&self) -> Result<Duration, Fault> {
        let asked = Instant::now();
        self.pass("ping", "memory").await?;
        Ok(asked.elapsed())
    }

    async fn channels(&self) -> Result<Vec<Channel>, Fault> {
        self.pass("list channels of", "memory").await?;
        Ok(self.state().list())
    }

    async fn describe(&self, channel: &str) -> Result<Description, Fault> {
        self.pass("describe", channel).await?;
        let state = self.state();
        if let Some(description) = state.described(channel) {
            return Ok(description);
        }
        let parts = state.parts("describe", channel)?;
        let rows = parts.iter().enumerate();
        let rows = rows.map(|(number, part)| vec![number.to_string().into(), part.start.to_string().into(), part.end().to_string().into()]);
        let table = Table { title: "partitions", columns: vec!["partition", "start", "end"], rows: rows.collect() };
        Ok(Description { channel: state.row(&channel.into(), parts), tables: vec![table] })
    }
}

#[async_trait]
impl Log for Memory {
    fn cost(&self) -> Cost {
        Cost::Nothing
    }

    async fn read(&self, channel: &str, range: Range) -> Result<Reading, Fault> {
        self.pass("read", channel).await?;
        let state = self.state();
        let channel: Arc<str> = channel.into();
        let mut reading = Reading { lanes: Vec::new(), notes: Vec::new() };
        // Behind the first message of a time there may be earlier ones.
        let end = if matches!(range.end, Bound::Time(_)) { Bound::Latest } else { range.end };
        for (number, part) in state.parts("read", &channel)?.iter().enumerate() {
            let partition = number as i32;
            let (Some(start), Some(end)) = (part.resolve(partition, range.start), part.resolve(partition, end)) else { continue };
            if before(range.start, partition, part.start) {
                reading.notes.push(format!("partition {partition} begins at {}: what stood before was deleted", part.start));
            }
            if start < end {
                let lane = Next { memory: self.clone(), channel: channel.clone(), partition, offset: start, end };
                reading.lanes.push(Lane {
                    partition: Some(partition),
                    at_most: (end - start) as u64,
                    batches: stream::unfold(Some(lane), batch).boxed(),
                });
            }
        }
        Ok(reading.within(range))
    }
}

/// Whether a bound asks for an offset that is gone.
fn before(bound: Bound, number: i32, start: i64) -> bool {
    match bound {
        Bound::Each(offset) => offset < start,
        Bound::At(Position::Offset { partition, offset }) => partition == number && offset < start,
        _ => false,
    }
}

/// Where a lane goes on.
struct Next {
    memory: Memory,
    channel: Arc<str>,
    partition: i32,
    offset: i64,
    end: i64,
}

async fn batch(next: Option<Next>) -> Option<(Result<Vec<Message>, Fault>, Option<Next>)> {
    let mut next = next?;
    if next.offset >= next.end {
        return None;
    }
    if let Err(fault) = next.memory.pass("read", &next.channel).await {
        return Some((Err(fault), None));
    }
    let most = usize::try_from(next.end - next.offset).unwrap_or(usize::MAX).min(BATCH);
    let read = readable(&next.memory.state(), &next.channel, next.partition, next.offset, most);
    match read {
        Ok(messages) if messages.is_empty() => None,
        Ok(messages) => {
            next.offset = messages.last().map_or(next.end, |last| after(last.position));
            Some((Ok(messages), Some(next)))
        }
        Err(fault) => Some((Err(fault), None)),
    }
}

/// The offset behind a position.
pub(super) fn after(position: Position) -> i64 {
    position.number().map_or(0, |offset| offset + 1)
}

/// The messages up to the first damaged one; the damage itself if it comes first.
pub(super) fn readable(state: &State, channel: &str, partition: i32, offset: i64, most: usize) -> Result<Vec<Message>, Fault> {
    let parts = state.parts("read", channel)?;
    let mut messages = Vec::new();
    for message in parts.get(partition as usize).map_or(&[][..], |part| part.from(offset, most)) {
        if let Some(fault) = state.damage_at(channel, partition, after(message.position) - 1) {
            if messages.is_empty() {
                return Err(fault);
            }
            break;
        }
        messages.push(message.clone());
    }
    Ok(messages)
}
