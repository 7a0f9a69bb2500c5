//! `Groups` for Redis: the consumer groups of streams. A group is named by its stream and itself: `jobs/workers`.

use super::Redis;
use super::entry::Id;
use super::history::missing;
use super::inspect::attribute;
use super::name::Name;
use super::value::{self, field};
use crate::adapters::session::Groups;
use crate::domain::channel::Table;
use crate::domain::delivery::Way;
use crate::domain::fault::{Fault, Kind};
use crate::domain::figure::{self, Amount};
use crate::domain::group::{Group, GroupDescription, Listing, Mark, Member, Stamped, Standing, State};
use crate::domain::position::Position;
use crate::domain::text::SafeText;
use crate::domain::time::Timestamp;
use async_trait::async_trait;
use redis::{Value, cmd};
use std::sync::Arc;
use std::time::Duration;

const OP: &str = "list groups of";
/// Entries counted, where the server does not know the lag, before it is only known to be at least so many.
const COUNTED: u64 = 1_000;
/// Pending entries asked for at once.
const PAGE: usize = 500;

/// One group as XINFO GROUPS tells it.
pub(super) struct Row {
    stream: String,
    pub(super) name: String,
    consumers: Option<u32>,
    pub(super) pending: Option<u64>,
    /// The id of the entry that was given out last.
    pub(super) last: Option<Id>,
    read: Option<i64>,
    lag: Option<u64>,
}

#[async_trait]
impl Groups for Redis {
    async fn groups(&self) -> Result<Listing, Fault> {
        let streams = self.streams().await?;
        let asked: Vec<_> = streams.iter().map(|name| cmd("XINFO").arg("GROUPS").arg(name).to_owned()).collect();
        let mut listing = Listing::default();
        for (stream, answer) in streams.iter().zip(self.link.all(&asked, OP, "").await) {
            match answer {
                Ok(answer) => listing.groups.extend(rows(stream, answer).iter().map(Row::group)),
                // Deleted since the streams were looked for.
                Err(fault) if fault.cause.as_str().contains("no such key") => {}
                Err(fault) => listing.gaps.push(fault),
            }
        }
        listing.groups.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(listing)
    }

    async fn standings(&self, groups: &[Arc<str>]) -> Result<Vec<Result<Vec<Standing>, Fault>>, Fault> {
        self.link.ping().await?;
        Ok(futures::future::join_all(groups.iter().map(|group| self.standing(group))).await)
    }

    async fn describe(&self, group: &str) -> Result<GroupDescription, Fault> {
        let row = self.group_row(group).await?;
        let command = cmd("XINFO").arg("CONSUMERS").arg(&row.stream).arg(&row.name).to_owned();
        let consumers = value::items(self.link.call(&command, OP, group).await?);
        let members = consumers.into_iter().map(value::pairs).map(|consumer| {
            let said = |name: &str| field(&consumer, name).and_then(value::text).unwrap_or_default();
            let idle = field(&consumer, "idle").and_then(value::int).and_then(|ms| u64::try_from(ms).ok());
            let idle = idle.map_or_else(String::new, |ms| format!(", idle {}", figure::duration(Duration::from_millis(ms))));
            Member {
                id: SafeText::new(&said("name")),
                client: SafeText::new(&format!("{} pending{idle}", said("pending"))),
                host: SafeText::default(),
                assignment: vec![(Name::Stream(row.stream.clone()).text().into(), Vec::new())],
            }
        });
        Ok(GroupDescription { members: members.collect(), group: row.group() })
    }

    async fn stamps(&self, marks: &[Mark]) -> Vec<Stamped> {
        futures::future::join_all(marks.iter().map(|mark| self.stamp(mark))).await
    }
}

/// An entry that was given to a consumer and not acknowledged.
pub(super) struct Pending {
    pub(super) id: Id,
    pub(super) consumer: String,
    pub(super) idle: Duration,
    pub(super) deliveries: u64,
}

impl Redis {
    /// The stream and the group of a group's name. Both may hold a slash: the one that exists is meant.
    pub(super) async fn split_group(&self, group: &str) -> Result<(String, String), Fault> {
        let streams = self.streams().await?;
        let mut parts = group.match_indices('/').map(|(at, _)| (&group[..at], &group[at + 1..]));
        let found = parts.rfind(|(stream, name)| !name.is_empty() && streams.binary_search_by(|s| s.as_str().cmp(stream)).is_ok());
        found.map(|(stream, name)| (stream.to_owned(), name.to_owned())).ok_or_else(|| {
            Fault::new(Kind::NotFound, OP, group, "there is no stream of that name").next("a group is named STREAM/GROUP: jobs/workers")
        })
    }

    async fn group_row(&self, group: &str) -> Result<Row, Fault> {
        let (stream, name) = self.split_group(group).await?;
        self.group_of(OP, &stream, &name).await
    }

    /// One group of a stream.
    pub(super) async fn group_of(&self, op: &'static str, stream: &str, name: &str) -> Result<Row, Fault> {
        let found = self.groups_of(op, stream).await?.into_iter().find(|row| row.name == name);
        found.ok_or_else(|| Fault::new(Kind::NotFound, op, format!("{stream}/{name}"), "the stream has no such group"))
    }

    /// The groups of a stream.
    pub(super) async fn groups_of(&self, op: &'static str, stream: &str) -> Result<Vec<Row>, Fault> {
        let answer = self.link.call(cmd("XINFO").arg("GROUPS").arg(stream), op, stream).await;
        answer.map(|answer| rows(stream, answer)).map_err(|fault| missing(fault, stream))
    }

    /// What is pending in a group and was idle at least so long, in the order of ids; of one consumer, or of all.
    pub(super) async fn pending(
        &self,
        stream: &str,
        group: &str,
        idle: Duration,
        consumer: Option<&str>,
        most: usize,
    ) -> Result<Vec<Pending>, Fault> {
        let (mut found, mut from) = (Vec::new(), Id::FIRST);
        loop {
            let mut command = cmd("XPENDING");
            command.arg(stream).arg(group).arg(from.to_string()).arg("+").arg(PAGE).arg(consumer);
            let page = value::items(self.link.call(&command, OP, stream).await?);
            let length = page.len();
            let read: Vec<Pending> = page.into_iter().filter_map(pending).collect();
            let Some(last) = read.last() else { return Ok(found) };
            from = last.id.next();
            found.extend(read.into_iter().filter(|one| one.idle >= idle));
            if length < PAGE || found.len() >= most {
                found.truncate(most);
                return Ok(found);
            }
        }
    }

    /// When the first entry at a mark or behind it was added: its id says it.
    async fn stamp(&self, mark: &Mark) -> Stamped {
        let (Name::Stream(stream), Position::Entry { millis, number }) = (self.resolve(OP, &mark.channel).await?, mark.position) else {
            return Err(Fault::new(Kind::Usage, OP, &*mark.channel, format!("{} is no place in a stream", mark.position)));
        };
        let from = Id { millis, number };
        let command = cmd("XRANGE").arg(&stream).arg(from.to_string()).arg("+").arg("COUNT").arg(1).to_owned();
        let entry = value::items(self.link.call(&command, OP, &stream).await?).into_iter().next();
        let id = entry.and_then(|entry| Id::of(value::items(entry).first()?));
        Ok(id.and_then(|id| i64::try_from(id.millis).ok()).map(Timestamp))
    }

    async fn standing(&self, group: &str) -> Result<Vec<Standing>, Fault> {
        let row = self.group_row(group).await?;
        let edges = self.edges(OP, &row.stream).await?;
        let lag = match (row.lag, row.last) {
            (Some(lag), _) => Amount::Exactly(lag),
            (None, Some(last)) if last >= edges.last => Amount::Exactly(0),
            (None, Some(last)) => self.count(&row.stream, last).await?,
            (None, None) => Amount::Unknown,
        };
        // A group that was begun somewhere has no count of what it read: what was added less what is left stands for it.
        let end = edges.added.and_then(|added| i64::try_from(added).ok());
        let done = match (row.read, lag, end) {
            (None, Amount::Exactly(left), Some(end)) => end.checked_sub_unsigned(left),
            _ => None,
        };
        Ok(vec![Standing {
            channel: Name::Stream(row.stream).text().into(),
            partition: None,
            committed: row.read,
            start: None,
            end,
            next: row.last.map(Id::next).map(|id| Position::Entry { millis: id.millis, number: id.number }),
            held_at: None,
            lag,
            done,
            quiet: None,
            pending: row.pending,
            owner: None,
            fault: None,
        }])
    }

    /// Whether entries before an id were not yet given to a group: what its readers would never see if they were deleted.
    pub(super) async fn unread(&self, stream: &str, first: Id) -> Vec<SafeText> {
        let rows = self.groups_of(OP, stream).await.unwrap_or_default();
        let behind = rows.iter().filter(|row| row.last.is_some_and(|last| last.next() < first));
        behind.map(|row| SafeText::from(format!("the group {} may not have read them all", row.name))).collect()
    }

    /// Entries behind an id, counted as far as that is cheap.
    async fn count(&self, stream: &str, last: Id) -> Result<Amount, Fault> {
        self.count_up_to(stream, last.next(), "+").await
    }

    /// Entries from one id to another, counted as far as that is cheap.
    pub(super) async fn count_between(&self, stream: &str, first: Id, last: Id) -> Result<Amount, Fault> {
        self.count_up_to(stream, first, &last.to_string()).await
    }

    async fn count_up_to(&self, stream: &str, first: Id, last: &str) -> Result<Amount, Fault> {
        let command = cmd("XRANGE").arg(stream).arg(first.to_string()).arg(last).arg("COUNT").arg(COUNTED).to_owned();
        let counted = value::items(self.link.call(&command, OP, stream).await?).len() as u64;
        Ok(if counted < COUNTED { Amount::Exactly(counted) } else { Amount::AtLeast(counted) })
    }
}

impl Row {
    /// How messages of a stream are received for it.
    pub(super) fn way(&self, stream: &str) -> Way {
        let known = [
            self.lag.map(|lag| format!("{} behind", figure::count(lag))),
            self.pending.map(|pending| format!("{} pending", figure::count(pending))),
            self.consumers.map(|n| if n == 1 { "1 consumer".to_owned() } else { format!("{n} consumers") }),
        ];
        let about: Vec<String> = known.into_iter().flatten().collect();
        Way {
            name: self.name.as_str().into(),
            channel: Name::Stream(format!("{stream}/{}", self.name)).text().into(),
            about: about.join(", ").into(),
        }
    }

    fn group(&self) -> Group {
        let mut attributes = Vec::new();
        attributes.extend(self.pending.map(|n| attribute("pending", &n.to_string())));
        attributes.extend(self.last.map(|id| attribute("last delivered", &id.to_string())));
        Group {
            name: format!("{}/{}", self.stream, self.name).into(),
            kind: "stream".into(),
            // Redis does not know whether a consumer is there: only that it once was.
            state: if self.consumers == Some(0) { State::Empty } else { State::Unknown },
            members: self.consumers,
            named: false,
            attributes,
            halt: None,
            fault: None,
        }
    }
}

fn rows(stream: &str, answer: Value) -> Vec<Row> {
    let row = |group: Value| {
        let group = value::pairs(group);
        let number = |name: &str| field(&group, name).and_then(value::int);
        Some(Row {
            stream: stream.to_owned(),
            name: field(&group, "name").and_then(value::text)?,
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
    let (id, consumer) = (Id::of(&next()?)?, value::text(&next()?)?);
    let mut number = || value::int(&next()?).and_then(|n| u64::try_from(n).ok());
    Some(Pending { id, consumer, idle: Duration::from_millis(number()?), deliveries: number()? })
}

/// Pending entries as a table; with their groups where those differ.
pub(super) fn pending_table<'a>(pending: impl Iterator<Item = (Option<&'a str>, &'a Pending)>) -> Table {
    let mut several = false;
    let rows = pending.map(|(group, one)| {
        several |= group.is_some();
        let cells = [one.id.to_string(), one.consumer.clone(), figure::duration(one.idle), one.deliveries.to_string()];
        group.map(SafeText::new).into_iter().chain(cells.map(SafeText::from)).collect()
    });
    let rows = rows.collect();
    let columns =
        if several { vec!["group", "id", "consumer", "idle", "deliveries"] } else { vec!["id", "consumer", "idle", "deliveries"] };
    Table { title: "pending", columns, rows }
}

/// The names of groups as XINFO GROUPS tells them.
pub(super) fn names(groups: &[Value]) -> Vec<String> {
    rows("", Value::Array(groups.to_vec())).into_iter().map(|row| row.name).collect()
}

/// The groups of a stream as a table of its description.
pub(super) fn table(groups: Vec<Value>) -> Table {
    let unknown = || "–".to_owned();
    let cells = rows("", Value::Array(groups)).into_iter().map(|row| {
        [
            row.name,
            row.consumers.map_or_else(unknown, |n| n.to_string()),
            row.pending.map_or_else(unknown, |n| n.to_string()),
            row.last.map_or_else(unknown, |id| id.to_string()),
            row.lag.map_or_else(unknown, |n| n.to_string()),
        ]
        .map(SafeText::from)
        .to_vec()
    });
    Table { title: "groups", columns: vec!["group", "consumers", "pending", "last delivered", "lag"], rows: cells.collect() }
}
