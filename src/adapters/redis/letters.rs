//! `DeadLetters` for Redis. It has no limit of deliveries: what a group was given too often, and has not acknowledged, stays pending there.
//! Looked at by XPENDING and by XRANGE of single ids alone: claiming would count as another delivery and take what it finds deleted off the
//! list.

use super::Redis;
use super::entry::Id;
use super::groups::{PAGE, Pending, Row, rows};
use super::history::Edges;
use super::name::{KINDS, Key, Name};
use super::value;
use crate::adapters::session::DeadLetters;
use crate::domain::address::split_kind;
use crate::domain::channel::Attribute;
use crate::domain::dead_letter::finding::{self, Finding};
use crate::domain::dead_letter::place::{Assumptions, DeadLetterMap, Found, Letter, Path, Place, PlaceKind, Target};
use crate::domain::fault::{Fault, Kind};
use crate::domain::figure::{Amount, duration, grouped, several};
use crate::domain::text::SafeText;
use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use redis::cmd;
use std::sync::Arc;
use std::time::Duration;

const MAP: &str = "map dead letters of";
const READ: &str = "read dead letters of";
/// Pending entries of a group that a map looks at: with more of them what it finds is a lower bound.
const WALKED: usize = 20 * PAGE;
/// Dead entries of a group that a map looks for in the stream.
const LOOKED_FOR: usize = 100;
/// Nobody claims what was not given out for so long.
const LEFT_ALONE: Duration = Duration::from_secs(3_600);
/// A consumer that gives an entry back for good sets its count to this (XNACK FATAL).
const FATAL: u64 = i64::MAX as u64;

#[async_trait]
impl DeadLetters for Redis {
    async fn map(&self, assumed: &Assumptions) -> Result<DeadLetterMap, Fault> {
        let streams = self.streams().await?;
        let mut map = DeadLetterMap { gaps: streams.unseen.into_iter().collect(), ..DeadLetterMap::default() };
        let asked: Vec<_> = streams.names.iter().map(|name| cmd("XINFO").arg("GROUPS").arg(name).to_owned()).collect();
        for (stream, answer) in streams.names.iter().zip(self.link.all(&asked, MAP, "").await) {
            let groups = match answer {
                Ok(answer) => rows(stream, answer),
                // Deleted since the streams were looked for, or made something else.
                Err(fault) if matches!(fault.kind, Kind::NotFound | Kind::Usage) => continue,
                Err(fault) => {
                    map.gaps.push(Fault { target: stream.text().into(), ..fault });
                    continue;
                }
            };
            if assumed.channels.iter().any(|channel| Name::Stream(stream.clone()).text() == **channel) && groups.is_empty() {
                map.findings.push(Finding::new(finding::UNREAD, Name::Stream(stream.clone()).text(), "it has no group"));
            }
            for row in groups.iter().filter(|row| row.pending != Some(0)) {
                match self.walk_pending(row, assumed.deliveries).await {
                    Ok(walk) => self.add_group(&mut map, row, &walk, assumed).await,
                    Err(fault) if matches!(fault.kind, Kind::NotFound | Kind::Usage) => {}
                    Err(fault) => map.gaps.push(Fault { target: group(row).as_str().into(), ..fault }),
                }
            }
        }
        Ok(map.sorted())
    }

    async fn letters(&self, place: &str, assumed: &Assumptions) -> Result<BoxStream<'static, Result<Vec<Letter>, Fault>>, Fault> {
        let (kind, name) = split_kind(KINDS, place);
        if kind.is_some_and(|kind| kind != "stream") {
            let cause = "only groups of streams have pending entries";
            return Err(Fault::new(Kind::Usage, READ, place, cause).next("write stream:STREAM/GROUP"));
        }
        let (stream, group) = self.split_group(name).await?;
        let row = self.group_of(READ, &stream, &group).await?;
        // `[count, first id, last id, …]`: what becomes pending later is left for the next time.
        let summary = self.link.call(cmd("XPENDING").arg(&row.stream).arg(&row.name), READ, place).await?;
        let Some(last) = value::items(summary).get(2).and_then(Id::of) else { return Ok(stream::empty().boxed()) };
        let reader = Reader { redis: self.clone(), row, least: assumed.deliveries, next: Id::FIRST, last };
        Ok(stream::unfold(Some(reader), batch).boxed())
    }
}

/// What was seen of the pending entries of a group.
struct Walk {
    /// All that were looked at, in their order.
    ids: Vec<Id>,
    /// Those that count as dead.
    dead: Vec<Pending>,
    /// There are more.
    cut: bool,
}

/// A group's name.
fn group(row: &Row) -> String {
    format!("{}/{}", row.stream, row.name)
}

/// The place of a group's dead letters.
fn place(row: &Row) -> Arc<str> {
    format!("{}/{}", Name::Stream(row.stream.clone()).text(), row.name).into()
}

impl Redis {
    async fn walk_pending(&self, row: &Row, least: u64) -> Result<Walk, Fault> {
        let pending = self.pending(&row.stream, &row.name, Duration::ZERO, None, WALKED + 1).await?;
        let cut = pending.len() > WALKED;
        let ids = pending.iter().take(WALKED).map(|one| one.id).collect();
        let dead = pending.into_iter().take(WALKED).filter(|one| one.deliveries >= least).collect();
        Ok(Walk { ids, dead, cut })
    }

    async fn add_group(&self, map: &mut DeadLetterMap, row: &Row, walk: &Walk, assumed: &Assumptions) {
        let channel: Arc<str> = Name::Stream(row.stream.clone()).text().into();
        if walk.cut {
            let note = format!("only the first {} pending entries of {} were looked at", grouped(walk.ids.len() as u64), group(row));
            map.notes.push(SafeText::from(note));
        }
        let edges = match self.edges(MAP, &row.stream).await {
            Ok(edges) => Some(edges),
            Err(fault) => {
                map.gaps.push(Fault { target: row.stream.text().into(), ..fault });
                None
            }
        };
        let mut findings = Vec::new();
        if let Some(deleted) = self.lost_entries(row, walk, edges.as_ref(), &mut map.gaps).await.filter(|deleted| *deleted > 0) {
            let detail = format!("{} deleted from the stream while pending: nothing but ids is left of them", were(deleted));
            findings.push(Finding::new(finding::DELETED, channel.clone(), detail));
        }
        if !walk.dead.is_empty() {
            let letters = walk.dead.len() as u64;
            let letters = if walk.cut { Amount::AtLeast(letters) } else { Amount::Exactly(letters) };
            map.paths.push(Path {
                from: channel.clone(),
                group: Some(group(row).into()),
                to: Target::Place(Place { name: place(row), kind: PlaceKind::Pending, letters }),
                by: vec![Attribute::new("deliveries", Amount::AtLeast(assumed.deliveries).to_string())],
                when: vec!["deliveries"],
                losses: Vec::new(),
                certain: true,
            });
            findings.extend(alone(&channel, walk));
            findings.extend(edges.as_ref().and_then(|edges| trimmed(&channel, edges)));
        }
        map.findings.extend(findings.into_iter().map(|finding| finding.of(group(row))));
    }

    /// How many of the entries that were looked at are not in the stream any more: all that are before its first one, and of the dead ones
    /// behind it those that are looked for. `None` if that is not known.
    async fn lost_entries(&self, row: &Row, walk: &Walk, edges: Option<&Edges>, gaps: &mut Vec<Fault>) -> Option<usize> {
        let edges = edges?;
        // A first entry that was not told of is not known, unless the stream is empty.
        let first = match edges.first {
            Some(first) => first,
            None if edges.length == 0 => return Some(walk.ids.len()),
            None => return None,
        };
        let before = walk.ids.partition_point(|id| *id < first);
        let behind: Vec<Pending> = walk.dead.iter().filter(|one| one.id >= first).take(LOOKED_FOR).cloned().collect();
        match self.deleted(MAP, &row.stream, &behind).await {
            Ok(deleted) => Some(before + deleted.len()),
            Err(fault) => {
                gaps.push(Fault { target: row.stream.text().into(), ..fault });
                (before > 0).then_some(before)
            }
        }
    }
}

/// `1 entry was`, `2 entries were`.
fn were(count: usize) -> String {
    format!("{} {}", several(count as u64, "entry"), if count == 1 { "was" } else { "were" })
}

/// Whether nobody claims the dead entries.
fn alone(channel: &Arc<str>, walk: &Walk) -> Option<Finding> {
    let idle = walk.dead.iter().map(|one| one.idle.unwrap_or(Duration::MAX)).min()?;
    let how = match idle {
        Duration::MAX => "is nobody's".to_owned(),
        idle if idle >= LEFT_ALONE => format!("was not given to anybody for {} or longer", duration(idle)),
        _ => return None,
    };
    let each = if walk.dead.len() == 1 { "the dead entry" } else { "each dead entry" };
    Some(Finding::new(finding::UNCLAIMED, channel.clone(), format!("{each} {how}: nobody claims or acknowledges it")))
}

/// Whether the stream loses entries, so that the dead ones may be the next.
fn trimmed(channel: &Arc<str>, edges: &Edges) -> Option<Finding> {
    let deleted = edges.added?.checked_sub(edges.length).filter(|deleted| *deleted > 0)?;
    let added = several(edges.added?, "entry");
    let detail = format!("{} of {added} were deleted or trimmed: what is trimmed goes whether or not it is pending", grouped(deleted));
    Some(Finding::new(finding::TRIMMED, channel.clone(), detail))
}

/// Reads the dead entries of a group.
struct Reader {
    redis: Redis,
    row: Row,
    least: u64,
    next: Id,
    last: Id,
}

/// The dead entries of the next pages that have any.
async fn batch(reader: Option<Reader>) -> Option<(Result<Vec<Letter>, Fault>, Option<Reader>)> {
    let mut reader = reader?;
    while reader.next <= reader.last {
        let page = match reader.redis.pending_between(&reader.row.stream, &reader.row.name, reader.next, reader.last).await {
            Ok(page) => page,
            Err(fault) => return Some((Err(fault), None)),
        };
        let last = page.last()?.id;
        let dead: Vec<Pending> = page.into_iter().filter(|one| one.deliveries >= reader.least).collect();
        reader.next = last.next();
        if !dead.is_empty() {
            return Some((Ok(reader.letters(dead).await), Some(reader)));
        }
    }
    None
}

impl Reader {
    async fn letters(&self, dead: Vec<Pending>) -> Vec<Letter> {
        /// Entries asked for at once.
        const TOGETHER: usize = 16;
        let mut letters = Vec::with_capacity(dead.len());
        for some in dead.chunks(TOGETHER) {
            let ids = some.iter().map(|one| one.id.to_string());
            let commands: Vec<_> = ids.map(|id| cmd("XRANGE").arg(&self.row.stream).arg(&id).arg(&id).to_owned()).collect();
            let answers = self.redis.link.all(&commands, READ, &self.row.stream.text()).await;
            letters.extend(some.iter().zip(answers).map(|(one, answer)| self.letter(one, self.found(answer))));
        }
        letters
    }

    fn found(&self, answer: Result<redis::Value, Fault>) -> Found {
        let entry = match answer {
            Ok(entries) => value::items(entries).into_iter().next(),
            Err(fault) => return Found::Unread(fault),
        };
        let Some(entry) = entry else { return Found::Gone("it was deleted from the stream while it was pending".into()) };
        match self.redis.form.message(&self.channel(), entry) {
            Ok((_, message)) => Found::Message(Box::new(message)),
            Err(fault) => Found::Unread(fault),
        }
    }

    fn letter(&self, one: &Pending, message: Found) -> Letter {
        let fatal = one.deliveries == FATAL;
        Letter {
            channel: self.channel(),
            position: one.id.position(),
            group: group(&self.row).into(),
            consumer: Some(&one.consumer).filter(|name| !name.bytes().is_empty()).map(|name: &Key| SafeText::new(&name.text())),
            reason: if fatal { "fatal" } else { "deliveries" },
            explanation: None,
            deliveries: (!fatal).then_some(one.deliveries),
            died: None,
            recorded: None,
            message,
        }
    }

    fn channel(&self) -> Arc<str> {
        Name::Stream(self.row.stream.clone()).text().into()
    }
}
