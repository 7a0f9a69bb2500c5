//! Changing the system in memory: channels made, deleted and emptied, groups put elsewhere.

use super::Memory;
use super::state::State;
use crate::adapters::session::Manage;
use crate::domain::channel::Table;
use crate::domain::fault::{Fault, Kind};
use crate::domain::figure::Amount;
use crate::domain::offset_change::{OffsetChange, PartitionOffsets};
use crate::domain::operation::{Change, Done, Field, OperationSpec, Request, Risk, Target};
use crate::domain::position::Bound;
use crate::domain::reset::Reset;
use crate::domain::text::SafeText;
use async_trait::async_trait;
use jiff::Zoned;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

const TOPIC: Target = Target::Channel(&["topic"]);

static CREATE: OperationSpec = OperationSpec::new(Risk::Reversible, Target::Integration, "topics:create")
    .named("topic.create", "Create topic")
    .help("makes an empty topic")
    .asks(&[Field::number("partitions", "Partitions", "1 if missing", 1, 1_000)]);
static DELETE: OperationSpec = OperationSpec::new(Risk::Destroy, TOPIC, "topics:delete")
    .named("topic.delete", "Delete topic")
    .help("deletes a topic with everything in it");
static PURGE: OperationSpec = OperationSpec::new(Risk::Destroy, TOPIC, "topics:purge")
    .named("topic.purge", "Purge topic")
    .help("deletes messages and leaves the topic")
    .asks(&[Field::text("before", "Before", "latest (all), @12345, end-500, 3@1042,4@17 or a time")]);
static RESET: OperationSpec = OperationSpec::new(Risk::Bulk, Target::Group, "groups:reset")
    .named("group.reset", "Reset group")
    .help("puts a group's positions elsewhere")
    .asks(&[
        Field::text("to", "To", "earliest, latest, end-500, @12345, +100, -100, 3@1042,4@17 or a time"),
        Field::text("topic", "Topic", "only this one; every topic that the group has a position in if missing"),
    ]);
pub(super) static OPERATIONS: &[&OperationSpec] = &[&CREATE, &DELETE, &PURGE, &RESET];

/// What is carried out.
#[derive(Debug, Serialize, Deserialize)]
enum Steps {
    /// A topic with so many partitions.
    Create { channel: String, partitions: usize },
    /// A topic with everything in it.
    Delete { channel: String },
    /// Before which offset of each partition.
    Purge { channel: String, before: Vec<(i32, i64)> },
    /// Channel, partition, from, to.
    Reset { group: String, positions: Vec<(String, i32, Option<i64>, Option<i64>)> },
}

#[async_trait]
impl Manage for Memory {
    fn operations(&self) -> &'static [&'static OperationSpec] {
        OPERATIONS
    }

    async fn plan(&self, request: Request) -> Result<Change, Fault> {
        self.pass("plan", &request.address.channel).await?;
        let state = self.state();
        match request.spec.id {
            "topic.create" => create(&state, request),
            "topic.delete" => delete(&state, request),
            "topic.purge" => purge(&state, request),
            "group.reset" => reset(&state, request),
            id => Err(Fault::new(Kind::Usage, "plan", id, "this system has no such operation")),
        }
    }

    async fn apply(&self, change: &Change) -> Result<Done, Fault> {
        let op = change.request.spec.id;
        self.pass(op, &change.request.address.channel).await?;
        let steps: Steps = serde_json::from_str(&change.steps).map_err(|e| Fault::new(Kind::Usage, op, "", e.to_string()))?;
        self.change(|state| apply(state, op, steps))
    }
}

fn create(state: &State, request: Request) -> Result<Change, Fault> {
    let channel: Arc<str> = request.new_name()?.into();
    if state.parts("create", &channel).is_ok() {
        return Err(Fault::new(Kind::Rejected, "create", &*channel, "the topic exists already"));
    }
    let partitions = request.argument("partitions").and_then(|n| n.parse().ok()).unwrap_or(1);
    let undo = Request { spec: &DELETE, address: request.address.clone(), arguments: Vec::new() };
    let summary = format!("creates {} with {partitions} partitions", request.address);
    Ok(Change { undo: Some(undo), ..Change::new(request, summary, written(&Steps::Create { channel: channel.to_string(), partitions })) })
}

fn delete(state: &State, request: Request) -> Result<Change, Fault> {
    let channel = Arc::clone(&request.address.channel);
    let held = state.parts("delete", &channel)?.iter().map(|part| (part.end() - part.start).unsigned_abs()).sum();
    let summary = format!("deletes {} with everything in it", request.address);
    Ok(Change {
        touches: Amount::Exactly(held),
        notes: vec!["this cannot be undone".into()],
        ..Change::new(request, summary, written(&Steps::Delete { channel: channel.to_string() }))
    })
}

fn purge(state: &State, request: Request) -> Result<Change, Fault> {
    let channel = Arc::clone(&request.address.channel);
    let before = read(&request, request.argument("before").unwrap_or("latest"))?;
    let (mut rows, mut steps, mut touches) = (Vec::new(), Vec::new(), 0);
    for (partition, part) in (0..).zip(state.parts("purge", &channel)?) {
        let offsets = PartitionOffsets { start: part.start, end: part.end(), committed: None, at: at(part, partition, &before) };
        let Some(to) = before.of(&channel, partition, offsets).and_then(|one| one.to) else { continue };
        touches += (to - part.start).unsigned_abs();
        rows.push([partition.to_string(), part.start.to_string(), to.to_string()].map(SafeText::from).into());
        steps.push((partition, to));
    }
    let summary = format!("deletes what stands before {before} in {}", request.address);
    Ok(Change {
        tables: vec![Table { title: "partitions", columns: vec!["partition", "from", "before"], rows }],
        touches: Amount::Exactly(touches),
        notes: vec!["this cannot be undone".into()],
        bounded: true,
        ..Change::new(request, summary, written(&Steps::Purge { channel: channel.to_string(), before: steps }))
    })
}

fn reset(state: &State, request: Request) -> Result<Change, Fault> {
    let group = Arc::clone(&request.address.channel);
    let Some(to) = request.argument("to") else {
        return Err(Fault::new(Kind::Usage, "reset", &*group, "it is not said where to").next("fill in `to`: earliest, latest, 3h ago, …"));
    };
    let to = read(&request, to)?;
    let known = state.groups.get(&group);
    let mut changes = Vec::new();
    let topics: Vec<Arc<str>> = match request.argument("topic") {
        Some(topic) => vec![topic.into()],
        None => known.into_iter().flat_map(|known| known.commits.keys().map(|(channel, _)| channel.clone())).collect(),
    };
    for topic in topics.into_iter().collect::<std::collections::BTreeSet<_>>() {
        for (partition, part) in (0..).zip(state.parts("reset", &topic)?) {
            let committed = known.and_then(|known| known.commits.get(&(topic.clone(), partition)).copied());
            let offsets = PartitionOffsets { start: part.start, end: part.end(), committed, at: at(part, partition, &to) };
            changes.extend(to.of(&topic, partition, offsets));
        }
    }
    if changes.is_empty() {
        return Err(Fault::new(Kind::NotFound, "reset", &*group, "the group has no position to reset").next("name a topic"));
    }
    let active = known.map_or(0, |known| known.members.len());
    let undo = Request {
        spec: &RESET,
        address: request.address.clone(),
        arguments: vec![("to".to_owned(), OffsetChange::back(&changes).to_string())],
    };
    let positions = changes.iter().map(|one| (one.channel.to_string(), one.partition, one.offsets.committed, one.to)).collect();
    let summary = format!("puts {} to {to}", request.address);
    Ok(Change {
        tables: vec![OffsetChange::table(&changes)],
        touches: OffsetChange::all_touch(&changes),
        notes: OffsetChange::notes(&changes),
        refused: (active > 0).then(|| busy(&group, active)),
        undo: Some(undo),
        ..Change::new(request, summary, written(&Steps::Reset { group: group.to_string(), positions }))
    })
}

fn apply(state: &mut State, op: &'static str, steps: Steps) -> Result<Done, Fault> {
    let done = |name: String, what: &str| (SafeText::from(name), Ok(SafeText::new(what)));
    match steps {
        Steps::Create { channel, partitions } => {
            if state.parts(op, &channel).is_ok() {
                return Err(Fault::new(Kind::Rejected, op, channel, "the topic exists already"));
            }
            state.create(&channel, partitions);
            Ok(Done { parts: vec![done(channel, "created")] })
        }
        Steps::Delete { channel } => {
            state.parts(op, &channel)?;
            state.delete(&channel);
            Ok(Done { parts: vec![done(channel, "deleted")] })
        }
        Steps::Purge { channel, before } => {
            state.parts(op, &channel)?;
            for (partition, offset) in &before {
                state.delete_before(&channel, usize::try_from(*partition).unwrap_or(0), *offset);
            }
            let part = |(partition, offset)| done(format!("{channel} partition {partition}"), &format!("begins at {offset}"));
            Ok(Done { parts: before.into_iter().map(part).collect() })
        }
        Steps::Reset { group, positions } => {
            let known = state.groups.entry(group.as_str().into()).or_default();
            if !known.members.is_empty() {
                return Err(busy(&group, known.members.len()));
            }
            if positions
                .iter()
                .any(|(channel, partition, from, _)| known.commits.get(&(channel.as_str().into(), *partition)) != from.as_ref())
            {
                return Err(Fault::new(Kind::Rejected, op, group, "the positions have moved since the plan was made").next("plan again"));
            }
            let mut parts = Vec::new();
            for (channel, partition, _, to) in positions {
                parts.push(done(format!("{channel} partition {partition}"), &to.map_or("none".to_owned(), |to| to.to_string())));
                let place = (channel.into(), partition);
                match to {
                    Some(to) => known.commits.insert(place, to),
                    None => known.commits.remove(&place),
                };
            }
            Ok(Done { parts })
        }
    }
}

fn busy(group: &str, members: usize) -> Fault {
    let cause = if members == 1 { "1 member is active".to_owned() } else { format!("{members} members are active") };
    Fault::new(Kind::Rejected, "reset", group, cause).next("stop the group's consumers first")
}

/// The offset of the moment that is asked for, if one is.
fn at(part: &super::state::Part, partition: i32, reset: &Reset) -> Option<i64> {
    match reset {
        Reset::To(bound @ Bound::Time(_)) => part.resolve(partition, *bound),
        _ => None,
    }
}

fn read(request: &Request, text: &str) -> Result<Reset, Fault> {
    Reset::parse(text, &Zoned::now()).map_err(|e| Fault::new(Kind::Usage, request.spec.id, request.address.to_string(), e))
}

fn written(steps: &Steps) -> String {
    serde_json::to_string(steps).unwrap_or_default()
}
