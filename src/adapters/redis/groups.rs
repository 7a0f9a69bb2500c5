//! `Groups` for Redis: the consumer groups of streams. A group is named by its stream and itself: `jobs/workers`.

use super::Redis;
use super::entry::Id;
use super::name::{Key, Name};
use super::value::{self, field};
use crate::adapters::session::Groups;
use crate::domain::channel::{Attribute, Table};
use crate::domain::delivery::ReceiveOption;
use crate::domain::fault::{Fault, Kind};
use crate::domain::figure::{self, Amount};
use crate::domain::group::{Group, GroupDescription, GroupOffset, Listing, Mark, Member, Stamped, State};
use crate::domain::position::Position;
use crate::domain::text::SafeText;
use crate::domain::time::Timestamp;
use async_trait::async_trait;
use redis::{Value, cmd};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

const OP: &str = "list groups of";
/// Pending entries asked for at once.
pub(super) const PAGE: usize = 500;
/// How long the answers that a list of groups was made of also say how far these groups are.
const HANDED_ON: Duration = Duration::from_secs(1);

/// One group as XINFO GROUPS tells it.
#[derive(Clone)]
pub(super) struct Row {
    pub(super) stream: Key,
    pub(super) name: Key,
    consumers: Option<u32>,
    pub(super) pending: Option<u64>,
    /// The id of the entry that was given out last.
    pub(super) last: Option<Id>,
    /// Entries ever read, where the server counts them.
    pub(super) read: Option<i64>,
    /// As the server counts it: never too small, see `behind.rs`.
    pub(super) lag: Option<u64>,
}

/// The groups of each stream.
type Rows = HashMap<Key, Vec<Row>>;

/// The answers that the last list was made of, for the one question about positions behind it.
#[derive(Default)]
pub(super) struct HandedOn(Mutex<Option<(Instant, Rows)>>);

#[async_trait]
impl Groups for Redis {
    async fn groups(&self) -> Result<Listing, Fault> {
        let streams = self.streams().await?;
        let asked: Vec<_> = streams.names.iter().map(|name| cmd("XINFO").arg("GROUPS").arg(name).to_owned()).collect();
        let (mut listing, mut seen) = (Listing { gaps: streams.unseen.into_iter().collect(), ..Listing::default() }, HashMap::new());
        let at = Instant::now();
        for (stream, answer) in streams.names.iter().zip(self.link.all(&asked, OP, "").await) {
            match answer {
                Ok(answer) => {
                    let rows = rows(stream, answer);
                    listing.groups.extend(rows.iter().map(Row::group));
                    seen.insert(stream.clone(), rows);
                }
                // Deleted since the streams were looked for, or made something else.
                Err(fault) if matches!(fault.kind, Kind::NotFound | Kind::Usage) => {}
                Err(fault) => listing.gaps.push(Fault { target: stream.text().into(), ..fault }),
            }
        }
        listing.groups.sort_by(|a, b| a.name.cmp(&b.name));
        *self.handed_on.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((at, seen));
        Ok(listing)
    }

    async fn group_offsets(&self, groups: &[Arc<str>]) -> Result<Vec<Result<Vec<GroupOffset>, Fault>>, Fault> {
        let streams = self.streams().await?.names;
        let handed_on = self.handed_on.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut seen = match handed_on {
            Some((at, seen)) if at.elapsed() < HANDED_ON => seen,
            _ => {
                self.link.ping().await?;
                HashMap::new()
            }
        };
        let split: Vec<_> = groups.iter().map(|group| split(group, &streams)).collect();
        let mut missing: Vec<&Key> = split.iter().flatten().map(|(stream, _)| stream).filter(|stream| !seen.contains_key(stream)).collect();
        missing.sort();
        missing.dedup();
        let answers = futures::future::join_all(missing.iter().map(|stream| self.groups_of(OP, stream))).await;
        let mut faults = HashMap::new();
        for (stream, answer) in missing.into_iter().zip(answers) {
            match answer {
                Ok(rows) => _ = seen.insert(stream.clone(), rows),
                Err(fault) => _ = faults.insert(stream.clone(), fault),
            }
        }
        let group_offset = |group: Result<&(Key, Key), &Fault>| {
            let row = group.map_err(Clone::clone).and_then(|(stream, name)| {
                let rows = seen.get(stream).ok_or_else(|| faults.get(stream).cloned().unwrap_or_else(|| no_group(OP, stream, name)))?;
                rows.iter().find(|row| row.name == *name).cloned().ok_or_else(|| no_group(OP, stream, name))
            });
            async { Ok(vec![self.group_offset(row?).await?]) }
        };
        Ok(futures::future::join_all(split.iter().map(|group| group_offset(group.as_ref()))).await)
    }

    async fn describe(&self, group: &str) -> Result<GroupDescription, Fault> {
        let (stream, name) = self.split_group(group).await?;
        let row = self.group_of(OP, &stream, &name).await?;
        let command = cmd("XINFO").arg("CONSUMERS").arg(&row.stream).arg(&row.name).to_owned();
        let consumers = value::items(self.link.call(&command, OP, group).await?);
        let members = consumers.into_iter().map(value::pairs).map(|consumer| {
            let said = |name: &str| field(&consumer, name).and_then(value::text).unwrap_or_default();
            let name = field(&consumer, "name").cloned().and_then(value::bytes).map(Key::from).unwrap_or_default();
            let idle = field(&consumer, "idle").and_then(value::int).and_then(|ms| u64::try_from(ms).ok());
            let idle = idle.map_or_else(String::new, |ms| format!(", idle {}", figure::duration(Duration::from_millis(ms))));
            Member {
                id: SafeText::new(&name.text()),
                client: SafeText::new(&format!("{} pending{idle}", said("pending"))),
                host: SafeText::default(),
                assignment: vec![(Name::Stream(row.stream.clone()).text().into(), Vec::new())],
            }
        });
        Ok(GroupDescription { members: members.collect(), group: row.group() })
    }

    async fn timestamps(&self, marks: &[Mark]) -> Vec<Stamped> {
        futures::future::join_all(marks.iter().map(|mark| self.stamp(mark))).await
    }
}

/// An entry that was given to a consumer and not acknowledged.
#[derive(Clone)]
pub(super) struct Pending {
    pub(super) id: Id,
    pub(super) consumer: Key,
    /// Since it was given out; `None` if it is nobody's: it was given back.
    pub(super) idle: Option<Duration>,
    pub(super) deliveries: u64,
}

/// The stream and the group of a group's name. Both may hold a slash: the stream that exists is meant.
fn split(group: &str, streams: &[Key]) -> Result<(Key, Key), Fault> {
    let key = Key::parse(group);
    let slashes = key.bytes().iter().enumerate().filter(|(_, byte)| **byte == b'/');
    let part = |bytes: &[u8]| Key::from(bytes::Bytes::copy_from_slice(bytes));
    let mut parts = slashes.map(|(at, _)| (part(&key.bytes()[..at]), part(&key.bytes()[at + 1..])));
    let found = parts.rfind(|(stream, name)| !name.bytes().is_empty() && streams.binary_search(stream).is_ok());
    found.ok_or_else(|| {
        Fault::new(Kind::NotFound, OP, group, "there is no stream of that name").next("a group is named STREAM/GROUP: jobs/workers")
    })
}

fn no_group(op: &'static str, stream: &Key, name: &Key) -> Fault {
    Fault::new(Kind::NotFound, op, format!("{stream}/{name}"), "the stream has no such group")
}

impl Redis {
    pub(super) async fn split_group(&self, group: &str) -> Result<(Key, Key), Fault> {
        split(group, &self.streams().await?.names)
    }

    /// One group of a stream.
    pub(super) async fn group_of(&self, op: &'static str, stream: &Key, name: &Key) -> Result<Row, Fault> {
        let found = self.groups_of(op, stream).await?.into_iter().find(|row| row.name == *name);
        found.ok_or_else(|| no_group(op, stream, name))
    }

    /// The groups of a stream.
    pub(super) async fn groups_of(&self, op: &'static str, stream: &Key) -> Result<Vec<Row>, Fault> {
        let answer = self.link.call(cmd("XINFO").arg("GROUPS").arg(stream), op, &stream.text()).await?;
        Ok(rows(stream, answer))
    }

    /// What is pending in a group and was idle at least so long, in the order of ids; of one consumer, or of all.
    pub(super) async fn pending(
        &self,
        stream: &Key,
        group: &Key,
        idle: Duration,
        consumer: Option<&Key>,
        most: usize,
    ) -> Result<Vec<Pending>, Fault> {
        let (mut found, mut from) = (Vec::new(), Id::FIRST);
        loop {
            let mut command = cmd("XPENDING");
            command.arg(stream).arg(group).arg(from.to_string()).arg("+").arg(PAGE).arg(consumer);
            let page = value::items(self.link.call(&command, OP, &stream.text()).await?);
            let length = page.len();
            let read: Vec<Pending> = page.into_iter().filter_map(pending).collect();
            let Some(last) = read.last() else { return Ok(found) };
            from = last.id.next();
            found.extend(read.into_iter().filter(|one| one.idle.is_none_or(|since| since >= idle)));
            if length < PAGE || found.len() >= most {
                found.truncate(most);
                return Ok(found);
            }
        }
    }

    /// What is pending in a group between two ids, a page at most.
    pub(super) async fn pending_between(&self, stream: &Key, group: &Key, first: Id, last: Id) -> Result<Vec<Pending>, Fault> {
        let mut command = cmd("XPENDING");
        command.arg(stream).arg(group).arg(first.to_string()).arg(last.to_string()).arg(PAGE);
        Ok(value::items(self.link.call(&command, OP, &stream.text()).await?).into_iter().filter_map(pending).collect())
    }

    /// When the first entry at a mark or behind it was added: its id says it.
    async fn stamp(&self, mark: &Mark) -> Stamped {
        let (Name::Stream(stream), Position::Entry { millis, number }) = (self.resolve(OP, &mark.channel).await?, mark.position) else {
            return Err(Fault::new(Kind::Usage, OP, &*mark.channel, format!("{} is no place in a stream", mark.position)));
        };
        let from = Id { millis, number };
        let command = cmd("XRANGE").arg(&stream).arg(from.to_string()).arg("+").arg("COUNT").arg(1).to_owned();
        let entry = value::items(self.link.call(&command, OP, &stream.text()).await?).into_iter().next();
        let id = entry.and_then(|entry| Id::of(value::items(entry).first()?));
        Ok(id.and_then(|id| i64::try_from(id.millis).ok()).map(Timestamp))
    }

    async fn group_offset(&self, row: Row) -> Result<GroupOffset, Fault> {
        let lag = self.behind(&row, None).await?;
        let end = row.added().and_then(|added| i64::try_from(added).ok());
        // A group that was begun somewhere has no count of what it read: what was added less what is left stands for it.
        let done = match (row.read, lag, end) {
            (None, Amount::Exactly(left), Some(end)) => end.checked_sub_unsigned(left),
            _ => None,
        };
        Ok(GroupOffset {
            channel: Name::Stream(row.stream.clone()).text().into(),
            committed: row.read,
            end,
            next: row.last.map(Id::next).map(|id| Position::Entry { millis: id.millis, number: id.number }),
            lag,
            done,
            pending: row.pending,
            ..GroupOffset::default()
        })
    }

    /// Whether entries before an id were not yet given to a group: what its readers would never see if they were deleted.
    pub(super) async fn unread(&self, stream: &Key, first: Id) -> Vec<SafeText> {
        let rows = self.groups_of(OP, stream).await.unwrap_or_default();
        let behind = rows.iter().filter(|row| row.last.is_some_and(|last| last.next() < first));
        behind.map(|row| SafeText::from(format!("the group {} may not have read them all", row.name))).collect()
    }
}

impl Row {
    /// Entries ever added to the stream, where the server tells: what the group has read of them and what it is behind.
    pub(super) fn added(&self) -> Option<u64> {
        u64::try_from(self.read?).ok()?.checked_add(self.lag?)
    }

    /// How messages of a stream are received for it.
    pub(super) fn way(&self, lag: Amount) -> ReceiveOption {
        let known = [
            lag.number().map(|_| format!("{lag} behind")),
            self.pending.map(|pending| format!("{} pending", figure::count(pending))),
            self.consumers.map(|n| if n == 1 { "1 consumer".to_owned() } else { format!("{n} consumers") }),
        ];
        let about: Vec<String> = known.into_iter().flatten().collect();
        ReceiveOption {
            name: self.name.text().into(),
            channel: format!("{}/{}", Name::Stream(self.stream.clone()).text(), self.name).into(),
            about: about.join(", ").into(),
        }
    }

    fn group(&self) -> Group {
        let mut attributes = Vec::new();
        attributes.extend(self.pending.map(|n| Attribute::new("pending", n.to_string())));
        attributes.extend(self.last.map(|id| Attribute::new("last delivered", id.to_string())));
        // Redis does not know whether a consumer is there: only that it once was.
        let state = if self.consumers == Some(0) { State::Empty } else { State::Unknown };
        Group { members: self.consumers, attributes, ..Group::new(format!("{}/{}", self.stream, self.name), "stream", state) }
    }
}

/// What XINFO GROUPS answers.
pub(super) fn rows(stream: &Key, answer: Value) -> Vec<Row> {
    let row = |group: Value| {
        let group = value::pairs(group);
        let number = |name: &str| field(&group, name).and_then(value::int);
        Some(Row {
            stream: stream.clone(),
            name: field(&group, "name").cloned().and_then(value::bytes)?.into(),
            consumers: number("consumers").and_then(|n| u32::try_from(n).ok()),
            pending: number("pending").and_then(|n| u64::try_from(n).ok()),
            last: field(&group, "last-delivered-id").and_then(Id::of),
            read: number("entries-read"),
            lag: number("lag").and_then(|n| u64::try_from(n).ok()),
        })
    };
    value::items(answer).into_iter().filter_map(row).collect()
}

/// `[id, consumer, idle in milliseconds, deliveries]`.
fn pending(entry: Value) -> Option<Pending> {
    let mut parts = value::items(entry).into_iter();
    let mut next = || parts.next();
    let (id, consumer) = (Id::of(&next()?)?, value::bytes(next()?)?.into());
    let mut number = || value::int(&next()?);
    // What was given back (XNACK) has no owner and an idle time of -1.
    let idle = u64::try_from(number()?).ok().map(Duration::from_millis);
    Some(Pending { id, consumer, idle, deliveries: u64::try_from(number()?).ok()? })
}

/// Pending entries as a table; with their groups where those differ.
pub(super) fn pending_table<'a>(pending: impl Iterator<Item = (Option<&'a str>, &'a Pending)>) -> Table {
    let mut several = false;
    let rows = pending.map(|(group, one)| {
        several |= group.is_some();
        let cells = [
            one.id.to_string(),
            one.consumer.text(),
            one.idle.map_or_else(|| "–".to_owned(), figure::duration),
            one.deliveries.to_string(),
        ];
        group.map(SafeText::new).into_iter().chain(cells.map(SafeText::from)).collect()
    });
    let rows = rows.collect();
    let columns =
        if several { vec!["group", "id", "consumer", "idle", "deliveries"] } else { vec!["id", "consumer", "idle", "deliveries"] };
    Table { title: "pending", columns, rows }
}

/// The groups of a stream as a table of its description, with how far each is behind.
pub(super) fn table(groups: &[(Row, Amount)]) -> Table {
    let unknown = || "–".to_owned();
    let cells = groups.iter().map(|(row, lag)| {
        [
            row.name.text(),
            row.consumers.map_or_else(unknown, |n| n.to_string()),
            row.pending.map_or_else(unknown, |n| n.to_string()),
            row.last.map_or_else(unknown, |id| id.to_string()),
            lag.show(|n| n.to_string()),
        ]
        .map(SafeText::from)
        .to_vec()
    });
    Table { title: "groups", columns: vec!["group", "consumers", "pending", "last delivered", "lag"], rows: cells.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_that_was_given_back_is_pending_all_the_same() {
        let bulk = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let row = |consumer: &str, idle: i64, deliveries: i64| {
            pending(Value::Array(vec![bulk("5-1"), bulk(consumer), Value::Int(idle), Value::Int(deliveries)]))
        };
        let given = row("worker", 1_500, 2).expect("an entry");
        assert_eq!((given.idle, given.deliveries), (Some(Duration::from_millis(1_500)), 2));
        let back = row("", -1, i64::MAX).expect("an entry");
        assert_eq!((back.idle, back.deliveries), (None, i64::MAX as u64));
    }
}
