//! `History` for Redis: a stream is read by the ids of its entries, which are times.

use super::Redis;
use super::entry::Id;
use super::name::Name;
use super::value::{self, field};
use crate::adapters::session::{Cost, History, Lane, Reading};
use crate::domain::fault::{Fault, Kind};
use crate::domain::message::Message;
use crate::domain::position::{Bound, Position, Range};
use async_trait::async_trait;
use futures::stream::{self, StreamExt};
use redis::cmd;
use std::sync::Arc;

const OP: &str = "read";
/// Entries asked for at once.
const BATCH: usize = 1_000;

/// What a stream holds.
pub(super) struct Edges {
    pub(super) length: u64,
    /// The id of the last entry ever added, deleted or not.
    pub(super) last: Id,
    /// Entries ever added; servers before Redis 7 do not count them.
    pub(super) added: Option<u64>,
}

#[async_trait]
impl History for Redis {
    fn cost(&self) -> Cost {
        Cost::Nothing
    }

    async fn read(&self, channel: &str, range: Range) -> Result<Reading, Fault> {
        let name = match self.resolve(OP, channel).await? {
            Name::Stream(name) => name,
            other => {
                return Err(Fault::new(Kind::Usage, OP, other.text(), "it keeps nothing: only streams have history"));
            }
        };
        let edges = self.edges(OP, &name).await?;
        let (start, end) = (self.first(&name, range.start, &edges).await?, self.first(&name, range.end, &edges).await?);
        let mut reading = Reading { lanes: Vec::new(), notes: Vec::new() };
        if start < end && edges.length > 0 {
            let next = Next { redis: self.clone(), channel: Name::Stream(name.clone()).text().into(), name, start, end };
            let batches = stream::unfold(Some(next), batch).boxed();
            reading.lanes.push(Lane { partition: None, at_most: edges.length, batches });
        }
        Ok(reading)
    }
}

impl Redis {
    /// What a stream holds now.
    pub(super) async fn edges(&self, op: &'static str, name: &str) -> Result<Edges, Fault> {
        let info = self.link.call(cmd("XINFO").arg("STREAM").arg(name), op, name).await.map_err(|fault| missing(fault, name))?;
        let info = value::pairs(info);
        let number = |name: &str| field(&info, name).and_then(value::int).and_then(|n| u64::try_from(n).ok());
        let strange = || Fault::new(Kind::Protocol, op, name, "the server's answer does not say how long the stream is");
        Ok(Edges {
            length: number("length").ok_or_else(strange)?,
            last: field(&info, "last-generated-id").and_then(Id::of).ok_or_else(strange)?,
            added: number("entries-added"),
        })
    }

    /// The first id that belongs behind a bound: where a range starts, and what it ends before.
    pub(super) async fn first(&self, name: &str, bound: Bound, edges: &Edges) -> Result<Id, Fault> {
        Ok(match bound {
            Bound::Earliest => Id::FIRST,
            Bound::At(Position::Entry { millis, number }) => Id { millis, number },
            Bound::At(Position::Sequence(millis)) => Id { millis, number: 0 },
            Bound::Time(time) => Id { millis: u64::try_from(time.0).unwrap_or(0), number: 0 },
            Bound::Latest | Bound::BeforeEnd(0) => edges.last.next(),
            Bound::BeforeEnd(back) if back >= edges.length => Id::FIRST,
            Bound::BeforeEnd(back) => self.back(name, back, edges).await?,
            Bound::Each(_) | Bound::At(_) => {
                return Err(Fault::new(Kind::Usage, OP, name, format!("`{bound}` is no place in a stream"))
                    .next("write an entry's id (1700000000000-0), a time, or end-500"));
            }
        })
    }

    /// The id of the entry that many before the end, counted backwards in steps.
    async fn back(&self, name: &str, back: u64, edges: &Edges) -> Result<Id, Fault> {
        let (mut left, mut upper) = (back, edges.last);
        loop {
            let step = left.min(BATCH as u64);
            let command = cmd("XREVRANGE").arg(name).arg(upper.to_string()).arg("-").arg("COUNT").arg(step).to_owned();
            let entries = value::items(self.link.call(&command, OP, name).await?);
            let (found, lowest) = (entries.len() as u64, entries.last().cloned().map(value::items));
            let lowest = lowest.and_then(|parts| parts.first().and_then(Id::of));
            left -= found.min(left);
            match lowest {
                Some(id) if left == 0 => return Ok(id),
                Some(id) if found == step => match id.previous() {
                    Some(previous) => upper = previous,
                    None => return Ok(Id::FIRST),
                },
                _ => return Ok(Id::FIRST),
            }
        }
    }
}

/// Redis says `ERR no such key` of a stream that is not there.
pub(super) fn missing(fault: Fault, name: &str) -> Fault {
    if fault.kind == Kind::Rejected && fault.cause.as_str().contains("no such key") {
        return Fault::new(Kind::NotFound, fault.op, name, "there is no stream of that name").next("`mqdeck channels` lists what there is");
    }
    fault
}

/// Where a lane goes on.
struct Next {
    redis: Redis,
    channel: Arc<str>,
    name: String,
    start: Id,
    /// The first id that does not belong to it.
    end: Id,
}

async fn batch(next: Option<Next>) -> Option<(Result<Vec<Message>, Fault>, Option<Next>)> {
    let mut next = next?;
    let last = next.end.previous().filter(|last| next.start <= *last)?;
    let command = cmd("XRANGE").arg(&next.name).arg(next.start.to_string()).arg(last.to_string()).arg("COUNT").arg(BATCH).to_owned();
    let entries = match next.redis.link.call(&command, OP, &next.name).await {
        Ok(entries) => value::items(entries),
        Err(fault) => return Some((Err(fault), None)),
    };
    if entries.is_empty() {
        return None;
    }
    let whole = entries.len() < BATCH;
    let mut messages = Vec::with_capacity(entries.len());
    for entry in entries {
        match next.redis.form.message(&next.channel, entry) {
            Ok((id, message)) => {
                next.start = id.next();
                messages.push(message);
            }
            Err(fault) => return Some((Err(fault), None)),
        }
    }
    Some((Ok(messages), (!whole).then_some(next)))
}
