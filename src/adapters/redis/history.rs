//! `History` for Redis: a stream is read by the ids of its entries, which are times.

use super::Redis;
use super::entry::Id;
use super::name::{Key, Name};
use super::value::{self, field};
use crate::adapters::fit::Fit;
use crate::adapters::session::{Lane, Log, Reading};
use crate::domain::channel::Cost;
use crate::domain::fault::{Fault, Kind};
use crate::domain::figure::Amount;
use crate::domain::message::Message;
use crate::domain::position::{Bound, Position, Range};
use async_trait::async_trait;
use futures::stream::{self, StreamExt};
use redis::{Value, cmd};
use std::sync::Arc;

const OP: &str = "read";

/// What a stream holds.
pub(super) struct Edges {
    pub(super) length: u64,
    /// The id of the first entry; `None` where there is none.
    pub(super) first: Option<Id>,
    /// The id of the last entry ever added, deleted or not.
    pub(super) last: Id,
    /// Entries ever added; servers before Redis 7 do not count them.
    pub(super) added: Option<u64>,
    /// Whether `last` counts deleted entries as well: XINFO says so, reading the last entry does not.
    pub(super) exact: bool,
}

/// How far entries are counted: a count reads them, because the server counts only a stream as a whole.
#[derive(Clone, Copy)]
pub(super) struct Effort {
    pub(super) entries: u64,
    pub(super) bytes: usize,
}

impl Edges {
    /// What XINFO STREAM says.
    pub(super) fn of(info: &[(String, Value)]) -> Option<Self> {
        let number = |name: &str| field(info, name).and_then(value::int).and_then(|n| u64::try_from(n).ok());
        let first = field(info, "first-entry").cloned().map(value::items).unwrap_or_default();
        Some(Self {
            length: number("length")?,
            first: first.first().and_then(Id::of),
            last: field(info, "last-generated-id").and_then(Id::of)?,
            added: number("entries-added"),
            exact: true,
        })
    }
}

#[async_trait]
impl Log for Redis {
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
            let next =
                Next { redis: self.clone(), channel: Name::Stream(name.clone()).text().into(), name, start, end, fit: Fit::default() };
            let batches = stream::unfold(Some(next), batch).boxed();
            reading.lanes.push(Lane { partition: None, at_most: edges.length, batches });
        }
        Ok(reading)
    }
}

impl Redis {
    /// What a stream holds now. The answer has its first and its last entry whole: not for what is looked at again and again.
    pub(super) async fn edges(&self, op: &'static str, name: &Key) -> Result<Edges, Fault> {
        let target = name.text();
        let info = match self.link.call(cmd("XINFO").arg("STREAM").arg(name), op, &target).await {
            Ok(info) => Edges::of(&value::pairs(info)),
            Err(fault) if fault.kind == Kind::Forbidden => return self.edges_read(op, name).await.map_err(|_| fault),
            Err(fault) => return Err(fault),
        };
        info.ok_or_else(|| Fault::new(Kind::Protocol, op, target, "the server's answer does not say how long the stream is"))
    }

    /// The same for a user who may read entries and not XINFO.
    async fn edges_read(&self, op: &'static str, name: &Key) -> Result<Edges, Fault> {
        let target = name.text();
        let commands = [
            cmd("XLEN").arg(name).to_owned(),
            cmd("XRANGE").arg(name).arg("-").arg("+").arg("COUNT").arg(1).to_owned(),
            cmd("XREVRANGE").arg(name).arg("+").arg("-").arg("COUNT").arg(1).to_owned(),
        ];
        let mut answers = self.link.all(&commands, op, &target).await.into_iter();
        let mut answer = || answers.next().unwrap_or(Ok(Value::Nil));
        let length = value::int(&answer()?).and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
        let id = |entries: Value| ids(&value::items(entries)).first().copied();
        let (first, last) = (id(answer()?), id(answer()?));
        if last.is_none() && value::int(&self.link.call(cmd("EXISTS").arg(name), op, &target).await?) == Some(0) {
            return Err(Fault::new(Kind::NotFound, op, target, "there is no stream of that name"));
        }
        Ok(Edges { length, first, last: last.unwrap_or(Id::FIRST), added: None, exact: false })
    }

    /// The first id that belongs behind a bound: where a range starts, and what it ends before.
    pub(super) async fn first(&self, name: &Key, bound: Bound, edges: &Edges) -> Result<Id, Fault> {
        Ok(match bound {
            Bound::Earliest => Id::FIRST,
            Bound::At(Position::Entry { millis, number }) => Id { millis, number },
            Bound::At(Position::Sequence(millis)) => Id { millis, number: 0 },
            Bound::Time(time) => Id { millis: u64::try_from(time.0).unwrap_or(0), number: 0 },
            Bound::Latest | Bound::BeforeEnd(0) => edges.last.next(),
            Bound::BeforeEnd(back) if back >= edges.length => Id::FIRST,
            Bound::BeforeEnd(back) => self.back(name, back, edges).await?,
            Bound::Each(_) | Bound::At(_) => {
                return Err(Fault::new(Kind::Usage, OP, name.text(), format!("`{bound}` is no place in a stream"))
                    .next("write an entry's id (1700000000000-0), a time, or end-500"));
            }
        })
    }

    /// The id of the entry that many before the end, counted backwards in steps.
    async fn back(&self, name: &Key, back: u64, edges: &Edges) -> Result<Id, Fault> {
        let (mut left, mut upper, mut fit) = (back, edges.last, Fit::default());
        loop {
            let step = left.min(fit.count() as u64);
            let command = cmd("XREVRANGE").arg(name).arg(upper.to_string()).arg("-").arg("COUNT").arg(step).to_owned();
            let entries = value::items(self.link.call(&command, OP, &name.text()).await?);
            fit.saw(entries.iter().map(value::size));
            left -= (entries.len() as u64).min(left);
            match ids(&entries).last() {
                Some(id) if left == 0 => return Ok(*id),
                Some(id) if entries.len() as u64 == step => match id.previous() {
                    Some(previous) => upper = previous,
                    None => return Ok(Id::FIRST),
                },
                _ => return Ok(Id::FIRST),
            }
        }
    }

    /// Entries from one id to another or to the end, and the bytes that were read to count them.
    pub(super) async fn count(&self, name: &Key, first: Id, last: Option<Id>, effort: Effort) -> Result<(Amount, usize), Fault> {
        let (mut next, mut counted, mut bytes) = (first, 0, 0);
        let mut fit = Fit::of(effort.bytes);
        let last = last.map_or_else(|| "+".to_owned(), |id| id.to_string());
        loop {
            let step = (fit.count() as u64).min(effort.entries - counted);
            let command = cmd("XRANGE").arg(name).arg(next.to_string()).arg(&last).arg("COUNT").arg(step).to_owned();
            let entries = value::items(self.link.call(&command, OP, &name.text()).await?);
            fit.saw(entries.iter().map(value::size));
            counted += entries.len() as u64;
            bytes += entries.iter().map(value::size).sum::<usize>();
            match ids(&entries).last() {
                Some(id) if entries.len() as u64 == step => next = id.next(),
                _ => return Ok((Amount::Exactly(counted), bytes)),
            }
            if counted >= effort.entries || bytes >= effort.bytes {
                return Ok((Amount::AtLeast(counted), bytes));
            }
        }
    }
}

/// The ids of entries.
fn ids(entries: &[Value]) -> Vec<Id> {
    let id = |entry: &Value| match entry {
        Value::Array(parts) => parts.first().and_then(Id::of),
        _ => None,
    };
    entries.iter().filter_map(id).collect()
}

/// Where a lane goes on.
struct Next {
    redis: Redis,
    channel: Arc<str>,
    name: Key,
    start: Id,
    /// The first id that does not belong to it.
    end: Id,
    fit: Fit,
}

async fn batch(next: Option<Next>) -> Option<(Result<Vec<Message>, Fault>, Option<Next>)> {
    let mut next = next?;
    let last = next.end.previous().filter(|last| next.start <= *last)?;
    let asked = next.fit.count();
    let command = cmd("XRANGE").arg(&next.name).arg(next.start.to_string()).arg(last.to_string()).arg("COUNT").arg(asked).to_owned();
    let entries = match next.redis.link.call(&command, OP, &next.channel).await {
        Ok(entries) => value::items(entries),
        Err(fault) => return Some((Err(fault), None)),
    };
    if entries.is_empty() {
        return None;
    }
    let whole = entries.len() < asked;
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
    next.fit.saw(messages.iter().map(Message::size));
    Some((Ok(messages), (!whole).then_some(next)))
}
