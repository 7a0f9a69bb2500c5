//! Plans for groups and what is pending in them.

use super::super::Redis;
use super::super::entry::Id;
use super::super::groups::Pending;
use super::super::name::{Key, Name};
use super::super::value;
use super::script::Condition;
use super::streams::{COUNTED, same_stream};
use super::{Step, Work, change, specs};
use crate::domain::channel::Table;
use crate::domain::fault::{Fault, Kind};
use crate::domain::figure::{self, Amount};
use crate::domain::operation::{Change, Request};
use crate::domain::position::Bound;
use crate::domain::text::SafeText;
use redis::cmd;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

/// Pending entries that one change may touch.
const MOST: usize = 10_000;
/// Ids in one command.
const CHUNK: usize = 500;
/// How long an entry has to be idle to be claimed, unless said otherwise.
const IDLE: Duration = Duration::from_secs(60);

pub(super) async fn create(redis: &Redis, request: Request) -> Result<Change, Fault> {
    let stream = redis.stream(request.spec.id, &request.address.within()).await?;
    let group = Key::parse(request.needed("group")?);
    let bound = request.place("to", "latest")?;
    let edges = redis.edges(request.spec.id, &stream).await?;
    if redis.group_of(request.spec.id, &stream, &group).await.is_ok() {
        return Err(Fault::new(Kind::Rejected, request.spec.id, group.text(), "the stream has a group of that name already"));
    }
    let from = redis.first(&stream, bound, &edges).await?;
    let after = from.previous().unwrap_or(Id::FIRST).to_string();
    let (name, group_name) = (stream.text(), group.text());
    let mut address = request.address.clone();
    (address.kind, address.channel) = (Some("group"), Arc::from(format!("{name}/{group_name}")));
    let undo = Request { spec: &specs::GROUP_DELETE, address, arguments: Vec::new() };
    let summary = format!("makes the group {group_name} of {name}, which is given what stands behind {after}");
    let step = Step::send(&group_name, &["XGROUP", "CREATE", &name, &group_name, &after], None);
    Ok(Change { undo: Some(undo), ..change(request, summary, &[step]) })
}

pub(super) async fn reset(redis: &Redis, request: Request) -> Result<Change, Fault> {
    let op = request.spec.id;
    request.needed("to")?;
    let (stream, group) = redis.split_group(&request.address.channel).await?;
    let row = redis.group_of(op, &stream, &group).await?;
    let edges = redis.edges(op, &stream).await?;
    // What is added from now on is never skipped, whatever time is named.
    let to = redis.first(&stream, request.place("to", "latest")?, &edges).await?.previous().unwrap_or(Id::FIRST).min(edges.last);
    let Some(from) = row.last else {
        return Err(Fault::new(Kind::Protocol, op, group.text(), "the server does not say where the group stands"));
    };
    let (low, high) = if to < from { (to, from) } else { (from, to) };
    let touched = redis.count(&stream, low.next(), Some(high), COUNTED).await?.0;
    let what = if to < from { "redelivered" } else { "skipped" };
    let back = from.next();
    let undo = Request {
        spec: &specs::GROUP_RESET,
        address: request.address.clone(),
        arguments: vec![("to".to_owned(), Bound::At(back.position()).to_string())],
    };
    let (name, group_name) = (stream.text(), group.text());
    let row_of = [name.clone(), from.to_string(), to.to_string(), format!("{touched} {what}")].map(SafeText::from).to_vec();
    let summary = format!("puts {} from {from} to {to}: {touched} entries are {what}", request.address);
    let conditions = same_stream(&edges).into_iter().chain([Condition::delivered(&group, &from.to_string())]).collect();
    let step = Step::guarded(&group_name, &name, conditions, &["XGROUP", "SETID", &name, &group_name, &to.to_string()], None);
    let mut notes = Vec::new();
    if row.pending.is_some_and(|n| n > 0) {
        notes.push(SafeText::from(format!("{} pending entries stay pending", row.pending.unwrap_or(0))));
    }
    Ok(Change {
        tables: vec![Table { title: "position", columns: vec!["stream", "now", "after", "entries"], rows: vec![row_of] }],
        touches: touched,
        notes,
        undo: Some(undo),
        ..change(request, summary, &[step])
    })
}

pub(super) async fn delete(redis: &Redis, request: Request) -> Result<Change, Fault> {
    let (stream, group) = redis.split_group(&request.address.channel).await?;
    let row = redis.group_of(request.spec.id, &stream, &group).await?;
    let pending = row.pending.map_or(Amount::Unknown, Amount::Exactly);
    let (name, group_name) = (stream.text(), group.text());
    let last = row.last.map_or_else(|| "–".to_owned(), |id| id.to_string());
    let summary = format!("deletes the group {group_name} of {name}, which stands at {last}");
    let delivered = row.last.map(|last| Condition::delivered(&group, &last.to_string()));
    let conditions = delivered.into_iter().chain(row.pending.map(|most| Condition::pending(&group, most))).collect();
    let step = Step::guarded(&group_name, &name, conditions, &["XGROUP", "DESTROY", &name, &group_name], Some(1));
    // Its position can be brought back, what was pending cannot.
    let undo = row.last.filter(|_| row.pending == Some(0)).map(|last| {
        let to = Bound::At(last.next().position()).to_string();
        let mut address = request.address.clone();
        (address.kind, address.channel) = (Some("stream"), Arc::from(name.as_str()));
        Request { spec: &specs::GROUP_CREATE, address, arguments: vec![("group".to_owned(), group_name.clone()), ("to".to_owned(), to)] }
    });
    let notes = match undo {
        Some(_) => vec!["its consumers' names are forgotten with it".into()],
        None => vec![SafeText::from(format!("this cannot be undone: {pending} pending entries are forgotten with it"))],
    };
    Ok(Change { touches: pending, notes, undo, ..change(request, summary, &[step]) })
}

pub(super) async fn delete_consumer(redis: &Redis, request: Request) -> Result<Change, Fault> {
    let op = request.spec.id;
    let (stream, group) = redis.split_group(&request.address.channel).await?;
    let consumer = Key::parse(request.needed("consumer")?);
    let pending = redis.pending(&stream, &group, Duration::ZERO, Some(&consumer), MOST + 1).await?;
    let (lost, consumer_name) = (pending.len(), consumer.text());
    if lost > MOST {
        let cause = format!("more than {MOST} entries are pending with it, and all of them would be forgotten");
        return Err(Fault::new(Kind::Rejected, op, consumer_name, cause).next("claim or acknowledge them first"));
    }
    let (name, group_name) = (stream.text(), group.text());
    let summary = format!("deletes the consumer {consumer_name} of the group {group_name}");
    let conditions = vec![Condition::theirs(&group, &consumer, pending.iter().map(|one| one.id.to_string()))];
    let words = ["XGROUP", "DELCONSUMER", &name, &group_name, &consumer_name];
    let step = Step::guarded(&consumer_name, &name, conditions, &words, None);
    let notes = if lost == 0 {
        Vec::new()
    } else {
        vec![SafeText::from(format!("{lost} entries are pending with it and would never be given to anybody again: claim them first"))]
    };
    Ok(Change { tables: vec![table(&pending)], touches: Amount::Exactly(lost as u64), notes, ..change(request, summary, &[step]) })
}

pub(super) async fn acknowledge(redis: &Redis, request: Request) -> Result<Change, Fault> {
    let (stream, group) = redis.split_group(&request.address.channel).await?;
    let mut pending = Vec::new();
    for id in request.entry_ids()? {
        match redis.pending_one(&stream, &group, id).await? {
            Some(one) => pending.push(one),
            None => {
                let cause = format!("{id} is not pending in this group");
                return Err(Fault::new(Kind::NotFound, request.spec.id, group.text(), cause));
            }
        }
    }
    let summary = format!("takes {} off the pending list of {}", entries(pending.len()), request.address);
    let (name, group_name) = (stream.text(), group.text());
    let steps: Vec<Step> = pending
        .chunks(CHUNK)
        .map(|chunk| {
            let ids: Vec<String> = chunk.iter().map(|one| one.id.to_string()).collect();
            let words: Vec<&str> = ["XACK", &name, &group_name].into_iter().chain(ids.iter().map(String::as_str)).collect();
            Step::send(&range(chunk), &words, Some(chunk.len() as u64))
        })
        .collect();
    let notes = vec!["this cannot be undone: nobody of the group is given them again".into()];
    let touches = Amount::Exactly(pending.len() as u64);
    Ok(Change { tables: vec![table(&pending)], touches, notes, ..change(request, summary, &steps) })
}

pub(super) async fn claim(redis: &Redis, request: Request) -> Result<Change, Fault> {
    let op = request.spec.id;
    let (stream, group) = redis.split_group(&request.address.channel).await?;
    let consumer = Key::parse(request.needed("consumer")?);
    let idle = request.argument("idle").and_then(|text| text.parse().ok()).map_or(IDLE, Duration::from_secs);
    let from = request.argument("from").filter(|text| !text.is_empty()).map(Key::parse);
    let mut pending = redis.pending(&stream, &group, idle, from.as_ref(), MOST).await?;
    let found = pending.len();
    pending.retain(|one| one.consumer != consumer);
    if pending.is_empty() {
        let cause = format!("nothing is pending that was idle for {}", figure::duration(idle));
        return Err(Fault::new(Kind::NotFound, op, group.text(), cause).next("ask for a shorter `idle`"));
    }
    let deleted = redis.deleted(op, &stream, &pending).await?;
    pending.retain(|one| !deleted.contains(&one.id));
    let mut notes = Vec::new();
    if !deleted.is_empty() {
        let are = if deleted.len() == 1 { "is" } else { "are" };
        let all = if pending.is_empty() { "all of them: " } else { "" };
        let what = format!("{all}{} {are} pending though deleted from the stream: not claimed", entries(deleted.len()));
        if pending.is_empty() {
            return Err(Fault::new(Kind::NotFound, op, group.text(), what).next("operation pending.ack takes them off the list"));
        }
        notes.push(SafeText::from(format!("{what}, operation pending.ack takes them off the list")));
    }
    if found == MOST {
        notes.push(SafeText::from(format!("only the first {MOST}: plan again for the rest")));
    }
    let consumer_name = consumer.text();
    let summary = format!("gives {} of {} to the consumer {consumer_name}", pending_entries(pending.len()), request.address);
    // Without their bodies, and the count of deliveries stays: nobody has processed them by that.
    let step = |chunk: &[Pending]| Step {
        part: range(chunk),
        work: Work::Claim {
            stream: stream.text(),
            group: group.text(),
            consumer: consumer_name.clone(),
            idle: idle.as_millis().to_string(),
            entries: chunk.iter().map(|one| (one.id.to_string(), one.consumer.text())).collect(),
        },
    };
    let steps: Vec<Step> = pending.chunks(CHUNK).map(step).collect();
    let touches = Amount::Exactly(pending.len() as u64);
    Ok(Change { tables: vec![table(&pending)], touches, notes, ..change(request, summary, &steps) })
}

fn entries(count: usize) -> String {
    if count == 1 { "1 entry".to_owned() } else { format!("{count} entries") }
}

fn pending_entries(count: usize) -> String {
    if count == 1 { "1 pending entry".to_owned() } else { format!("{count} pending entries") }
}

/// A name for several entries.
fn range(chunk: &[Pending]) -> String {
    match chunk {
        [first, .., last] => format!("{} to {}", first.id, last.id),
        [one] => one.id.to_string(),
        [] => String::new(),
    }
}

/// Pending entries as a table.
fn table(pending: &[Pending]) -> Table {
    super::super::groups::pending_table(pending.iter().map(|one| (None, one)))
}

impl Redis {
    /// The stream that a channel names.
    pub(super) async fn stream(&self, op: &'static str, channel: &str) -> Result<Key, Fault> {
        match self.resolve(op, channel).await? {
            Name::Stream(name) => Ok(name),
            other => Err(Fault::new(Kind::Usage, op, other.text(), "this is no stream").next("write stream:NAME")),
        }
    }

    /// One pending entry.
    async fn pending_one(&self, stream: &Key, group: &Key, id: Id) -> Result<Option<Pending>, Fault> {
        let (found, id) = (self.pending_between(stream, group, id, id).await?, id);
        Ok(found.into_iter().find(|one| one.id == id))
    }

    /// Those of these entries that are no longer in the stream. Each is asked for by itself: reading from the first to the last of them could
    /// be reading the whole stream.
    pub(in crate::adapters::redis) async fn deleted(
        &self,
        op: &'static str,
        stream: &Key,
        pending: &[Pending],
    ) -> Result<HashSet<Id>, Fault> {
        const TOGETHER: usize = 16;
        let mut deleted = HashSet::new();
        for some in pending.chunks(TOGETHER) {
            let ids = some.iter().map(|one| one.id.to_string());
            let commands: Vec<_> = ids.map(|id| cmd("XRANGE").arg(stream).arg(&id).arg(&id).to_owned()).collect();
            for (one, found) in some.iter().zip(self.link.all(&commands, op, &stream.text()).await) {
                if value::items(found?).is_empty() {
                    deleted.insert(one.id);
                }
            }
        }
        Ok(deleted)
    }
}
