//! Plans for groups and what is pending in them.

use super::super::Redis;
use super::super::entry::Id;
use super::super::groups::Pending;
use super::super::name::Name;
use super::{Step, Steps, change, specs, step};
use crate::domain::channel::Table;
use crate::domain::fault::{Fault, Kind};
use crate::domain::figure::{self, Amount};
use crate::domain::operation::{Change, Request};
use crate::domain::position::Bound;
use crate::domain::text::SafeText;
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
    let group = request.needed("group")?.to_owned();
    let bound = request.place("to", "latest")?;
    let edges = redis.edges(request.spec.id, &stream).await?;
    if redis.group_of(request.spec.id, &stream, &group).await.is_ok() {
        return Err(Fault::new(Kind::Rejected, request.spec.id, group, "the stream has a group of that name already"));
    }
    let from = redis.first(&stream, bound, &edges).await?;
    let after = from.previous().unwrap_or(Id::FIRST).to_string();
    let mut address = request.address.clone();
    (address.kind, address.channel) = (Some("group"), Arc::from(format!("{stream}/{group}")));
    let undo = Request { spec: &specs::GROUP_DELETE, address, arguments: Vec::new() };
    let summary = format!("makes the group {group} of {stream}, which is given what stands behind {after}");
    let steps = Steps { stands: None, commands: vec![step(&group, &["XGROUP", "CREATE", &stream, &group, &after])] };
    Ok(Change { undo: Some(undo), ..change(request, summary, &steps) })
}

pub(super) async fn reset(redis: &Redis, request: Request) -> Result<Change, Fault> {
    let op = request.spec.id;
    request.needed("to")?;
    let (stream, group) = redis.split_group(&request.address.channel).await?;
    let row = redis.group_of(op, &stream, &group).await?;
    let edges = redis.edges(op, &stream).await?;
    let to = redis.first(&stream, request.place("to", "latest")?, &edges).await?.previous().unwrap_or(Id::FIRST);
    let Some(from) = row.last else {
        return Err(Fault::new(Kind::Protocol, op, group, "the server does not say where the group stands"));
    };
    let (low, high) = if to < from { (to, from) } else { (from, to) };
    let touched = redis.count_between(&stream, low.next(), high).await?;
    let what = if to < from { "given again" } else { "skipped" };
    let back = from.next();
    let undo = Request {
        spec: &specs::GROUP_RESET,
        address: request.address.clone(),
        arguments: vec![("to".to_owned(), Bound::At(back.position()).to_string())],
    };
    let row_of = [stream.clone(), from.to_string(), to.to_string(), format!("{touched} {what}")].map(SafeText::from).to_vec();
    let summary = format!("puts {} from {from} to {to}: {touched} entries are {what}", request.address);
    let steps = Steps {
        stands: Some([stream.clone(), group.clone(), from.to_string()]),
        commands: vec![step(&group, &["XGROUP", "SETID", &stream, &group, &to.to_string()])],
    };
    let mut notes = Vec::new();
    if row.pending.is_some_and(|n| n > 0) {
        notes.push(SafeText::from(format!("{} pending entries stay pending", row.pending.unwrap_or(0))));
    }
    Ok(Change {
        tables: vec![Table { title: "position", columns: vec!["stream", "now", "after", "entries"], rows: vec![row_of] }],
        touches: touched,
        notes,
        undo: Some(undo),
        ..change(request, summary, &steps)
    })
}

pub(super) async fn delete(redis: &Redis, request: Request) -> Result<Change, Fault> {
    let (stream, group) = redis.split_group(&request.address.channel).await?;
    let row = redis.group_of(request.spec.id, &stream, &group).await?;
    let pending = row.pending.map_or(Amount::Unknown, Amount::Exactly);
    let last = row.last.map_or_else(|| "–".to_owned(), |id| id.to_string());
    let summary = format!("deletes the group {group} of {stream}, which stands at {last}");
    let steps = Steps { stands: None, commands: vec![step(&group, &["XGROUP", "DESTROY", &stream, &group])] };
    // Its position can be brought back, what was pending cannot.
    let undo = row.last.filter(|_| row.pending == Some(0)).map(|last| {
        let to = Bound::At(last.next().position()).to_string();
        let mut address = request.address.clone();
        (address.kind, address.channel) = (Some("stream"), Arc::from(stream.as_str()));
        Request { spec: &specs::GROUP_CREATE, address, arguments: vec![("group".to_owned(), group.clone()), ("to".to_owned(), to)] }
    });
    let notes = match undo {
        Some(_) => vec!["its consumers' names are forgotten with it".into()],
        None => vec![SafeText::from(format!("this cannot be undone: {pending} pending entries are forgotten with it"))],
    };
    Ok(Change { touches: pending, notes, undo, ..change(request, summary, &steps) })
}

pub(super) async fn delete_consumer(redis: &Redis, request: Request) -> Result<Change, Fault> {
    let (stream, group) = redis.split_group(&request.address.channel).await?;
    let consumer = request.needed("consumer")?.to_owned();
    let pending = redis.pending(&stream, &group, Duration::ZERO, Some(&consumer), MOST).await?;
    let summary = format!("deletes the consumer {consumer} of the group {group}");
    let steps = Steps { stands: None, commands: vec![step(&consumer, &["XGROUP", "DELCONSUMER", &stream, &group, &consumer])] };
    let lost = pending.len();
    let notes = if lost == 0 {
        Vec::new()
    } else {
        vec![SafeText::from(format!("{lost} entries are pending with it and would never be given to anybody again: claim them first"))]
    };
    Ok(Change { tables: vec![table(&pending)], touches: amount(lost), notes, ..change(request, summary, &steps) })
}

pub(super) async fn acknowledge(redis: &Redis, request: Request) -> Result<Change, Fault> {
    let (stream, group) = redis.split_group(&request.address.channel).await?;
    let ids = ids(&request)?;
    let mut pending = redis.pending(&stream, &group, Duration::ZERO, None, MOST).await?;
    pending.retain(|one| ids.contains(&one.id));
    if let Some(unknown) = ids.iter().find(|id| pending.iter().all(|one| one.id != **id)) {
        return Err(Fault::new(Kind::NotFound, request.spec.id, group, format!("{unknown} is not pending in this group")));
    }
    let summary = format!("takes {} entries off the pending list of {}", pending.len(), request.address);
    let steps = Steps { stands: None, commands: by_chunks(&pending, &["XACK", &stream, &group], &[]) };
    let notes = vec!["this cannot be undone: nobody of the group is given them again".into()];
    Ok(Change { tables: vec![table(&pending)], touches: amount(pending.len()), notes, ..change(request, summary, &steps) })
}

pub(super) async fn claim(redis: &Redis, request: Request) -> Result<Change, Fault> {
    let (stream, group) = redis.split_group(&request.address.channel).await?;
    let consumer = request.needed("consumer")?.to_owned();
    let idle = request.argument("idle").and_then(|text| text.parse().ok()).map_or(IDLE, Duration::from_secs);
    let from = request.argument("from").filter(|text| !text.is_empty());
    let mut pending = redis.pending(&stream, &group, idle, from, MOST).await?;
    pending.retain(|one| one.consumer != consumer);
    if pending.is_empty() {
        let cause = format!("nothing is pending that was idle for {}", figure::duration(idle));
        return Err(Fault::new(Kind::NotFound, request.spec.id, group, cause).next("ask for a shorter `idle`"));
    }
    let summary = format!("gives {} pending entries of {} to the consumer {consumer}", pending.len(), request.address);
    let least = idle.as_millis().to_string();
    // Without their bodies, and the count of deliveries stays: nobody has processed them by that.
    let steps = Steps { stands: None, commands: by_chunks(&pending, &["XCLAIM", &stream, &group, &consumer, &least], &["JUSTID"]) };
    let notes =
        if pending.len() == MOST { vec![SafeText::from(format!("only the first {MOST}: plan again for the rest"))] } else { Vec::new() };
    Ok(Change { tables: vec![table(&pending)], touches: amount(pending.len()), notes, ..change(request, summary, &steps) })
}

/// One command for every so many ids.
fn by_chunks(pending: &[Pending], before: &[&str], behind: &[&str]) -> Vec<Step> {
    let of = |chunk: &[Pending]| {
        let ids: Vec<String> = chunk.iter().map(|one| one.id.to_string()).collect();
        let words = before.iter().copied().chain(ids.iter().map(String::as_str)).chain(behind.iter().copied());
        let words: Vec<&str> = words.collect();
        let name = match (ids.first(), ids.last()) {
            (Some(first), Some(last)) if first != last => format!("{first} to {last}"),
            (first, _) => first.cloned().unwrap_or_default(),
        };
        step(&name, &words)
    };
    pending.chunks(CHUNK).map(of).collect()
}

/// The ids that a field names.
pub(super) fn ids(request: &Request) -> Result<Vec<Id>, Fault> {
    let wrong = |text: &str| {
        Fault::new(Kind::Usage, request.spec.id, request.address.to_string(), format!("`{text}` is not the id of an entry"))
            .next("write 1700000000000-0, with commas between several")
    };
    request.needed("ids")?.split(',').map(|text| Id::parse(text.trim()).ok_or_else(|| wrong(text.trim()))).collect()
}

fn amount(count: usize) -> Amount {
    if count < MOST { Amount::Exactly(count as u64) } else { Amount::AtLeast(count as u64) }
}

/// Pending entries as a table.
fn table(pending: &[Pending]) -> Table {
    super::super::groups::pending_table(pending.iter().map(|one| (None, one)))
}

impl Redis {
    /// The stream that a channel names.
    pub(super) async fn stream(&self, op: &'static str, channel: &str) -> Result<String, Fault> {
        match self.resolve(op, channel).await? {
            Name::Stream(name) => Ok(name),
            other => Err(Fault::new(Kind::Usage, op, other.text(), "this is no stream").next("write stream:NAME")),
        }
    }
}
