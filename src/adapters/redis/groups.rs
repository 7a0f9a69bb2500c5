//! `Groups` for Redis: the consumer groups of streams. A group is named by its stream and itself: `jobs/workers`.

use super::Redis;
use super::entry::Id;
use super::inspect::attribute;
use super::name::Name;
use super::value::{self, field};
use crate::adapters::session::Groups;
use crate::domain::channel::Table;
use crate::domain::fault::{Fault, Kind};
use crate::domain::figure::Amount;
use crate::domain::group::{Group, GroupDescription, Listing, Mark, Member, Stamped, Standing, State};
use crate::domain::text::SafeText;
use async_trait::async_trait;
use redis::{Value, cmd};
use std::sync::Arc;

const OP: &str = "list groups of";
/// Entries counted, where the server does not know the lag, before it is only known to be at least so many.
const COUNTED: u64 = 1_000;

/// One group as XINFO GROUPS tells it.
struct Row {
    stream: String,
    name: String,
    consumers: Option<u32>,
    pending: Option<u64>,
    last: Option<Id>,
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
            let idle = idle
                .map_or_else(String::new, |ms| format!(", idle {}", crate::domain::figure::duration(std::time::Duration::from_millis(ms))));
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
        marks.iter().map(|_| Ok(None)).collect()
    }
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
        let answer = self.link.call(cmd("XINFO").arg("GROUPS").arg(&stream), OP, group).await?;
        rows(&stream, answer)
            .into_iter()
            .find(|row| row.name == name)
            .ok_or_else(|| Fault::new(Kind::NotFound, OP, group, "the stream has no such group"))
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
        Ok(vec![Standing {
            channel: Name::Stream(row.stream).text().into(),
            partition: None,
            committed: row.read,
            start: None,
            end: edges.added.and_then(|added| i64::try_from(added).ok()),
            held_at: None,
            lag,
            pending: row.pending,
            owner: None,
            fault: None,
        }])
    }

    /// Entries behind an id, counted as far as that is cheap.
    async fn count(&self, stream: &str, last: Id) -> Result<Amount, Fault> {
        let command = cmd("XRANGE").arg(stream).arg(last.next().to_string()).arg("+").arg("COUNT").arg(COUNTED).to_owned();
        let counted = value::items(self.link.call(&command, OP, stream).await?).len() as u64;
        Ok(if counted < COUNTED { Amount::Exactly(counted) } else { Amount::AtLeast(counted) })
    }
}

impl Row {
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
