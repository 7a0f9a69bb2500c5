//! Putting a group's positions elsewhere, with a preview of what is skipped and what is read again.
//!
//! Only for groups without active members: what they commit would overtake it, and the broker refuses it too.

use super::specs::GROUP_RESET;
use super::{KafkaManage, freeze, stale};
use crate::adapters::kafka::link::group_offsets::Commits;
use crate::adapters::kafka::link::pool::Lane;
use crate::adapters::session::Groups;
use crate::domain::fault::{Fault, Kind};
use crate::domain::group::{GroupDescription, Mark, State};
use crate::domain::offset_change::{OffsetChange, PartitionOffsets};
use crate::domain::operation::{Change, Done, Request};
use crate::domain::position::Bound;
use crate::domain::reset::{Place, Reset};
use crate::domain::text::SafeText;
use jiff::Zoned;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const OP: &str = "reset";
/// Times of messages are looked up for no more partitions than this: each costs a fetch of its own.
const TIMED: usize = 200;

/// What is carried out.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Steps {
    group: String,
    positions: Vec<Step>,
}

/// One partition; `None` is no position.
#[derive(Debug, Serialize, Deserialize)]
struct Step {
    topic: String,
    partition: i32,
    from: Option<i64>,
    to: Option<i64>,
}

/// Positions by topic and partition.
pub(super) type Committed = BTreeMap<(Arc<str>, i32), i64>;

impl KafkaManage {
    /// Every position of a group; none if there is no such group.
    pub(super) async fn committed(&self, group: &str) -> Result<Committed, Fault> {
        let told = self.cluster.ask_coordinators(Lane::Control, &[group], &Commits { of: None }).await.pop();
        let told = told.unwrap_or_else(|| Err(Fault::new(Kind::Protocol, OP, group, "the broker's answer left it out")));
        let positions = match told {
            Err(fault) if fault.kind == Kind::NotFound => Vec::new(),
            told => told?,
        };
        let mut committed = Committed::new();
        for (topic, partitions) in positions {
            let topic: Arc<str> = topic.into();
            for told in partitions {
                if let Some(offset) = told.offset {
                    committed.insert((Arc::clone(&topic), told.partition), offset);
                }
            }
        }
        Ok(committed)
    }

    /// Why nothing may be done to a group now; `Err` in a note if it cannot be told.
    pub(super) async fn busy(&self, op: &'static str, group: &str) -> Result<Option<Fault>, SafeText> {
        match self.groups.describe(group).await {
            Ok(GroupDescription { group: told, members }) => {
                if told.kind.as_str() == "share" {
                    let cause = "it is a share group: it has no positions of this kind";
                    return Ok(Some(Fault::new(Kind::Rejected, op, group, cause)));
                }
                if matches!(told.state, State::Empty | State::Dead) || (members.is_empty() && told.state == State::Unknown) {
                    return Ok(None);
                }
                let active = super::counted(members.len() as i64, "active member");
                let mut clients: Vec<_> = members.iter().map(|member| format!("{} at {}", member.client, member.host)).collect();
                clients.truncate(3);
                let cause = format!("it is {} with {active}: {}", told.state.word(), clients.join(", "));
                Ok(Some(Fault::new(Kind::Rejected, op, group, cause).next("stop its consumers first; what they commit would overtake it")))
            }
            Err(fault) if fault.kind == Kind::NotFound => Ok(None),
            Err(fault) => Err(format!("whether it has active members cannot be told: {fault}").into()),
        }
    }
}

pub(super) async fn plan(manage: &KafkaManage, request: Request) -> Result<Change, Fault> {
    let group = Arc::clone(&request.address.channel);
    let wrong = |cause: String| Fault::new(Kind::Usage, OP, &*group, cause);
    let Some(to) = request.argument("to").filter(|to| !to.trim().is_empty()) else {
        return Err(wrong("it is not said where to".to_owned()).next("fill in `to`: earliest, latest, 3h ago, +100, 3@1042 …"));
    };
    let to = Reset::parse(to, &Zoned::now()).map_err(wrong)?;
    let topic = request.argument("topic").map(str::trim).filter(|topic| !topic.is_empty()).map(Arc::<str>::from);
    let committed = manage.committed(&group).await?;
    let (wanted, mut notes) = partitions(&to, topic.as_ref(), &committed, &group)?;
    let mut changes = Vec::new();
    let mut unmoved = 0;
    for (topic, named) in wanted {
        let stands = match stands(manage, &topic, &to, &committed).await {
            Err(fault) if fault.kind == Kind::NotFound && named.is_empty() => {
                notes.push(format!("{topic} does not exist any more: its positions are left as they are").into());
                continue;
            }
            stands => stands?,
        };
        if let Some(missing) = named.iter().find(|partition| !stands.contains_key(partition)) {
            return Err(Fault::new(Kind::NotFound, OP, &*topic, format!("there is no partition {missing}: it has {}", stands.len())));
        }
        for (partition, offsets) in stands {
            match to.of(&topic, partition, offsets) {
                Some(one) => changes.push(one),
                None if matches!(to, Reset::Shift(_)) => unmoved += 1,
                None => {}
            }
        }
    }
    if unmoved > 0 {
        notes.push(format!("{} without a position: there is nothing to shift, it is left so", super::counted(unmoved, "partition")).into());
    }
    finish(manage, request, &group, &to, changes, notes).await
}

/// Topics, each with the partitions that were named; none: all of it.
type Wanted = BTreeMap<Arc<str>, BTreeSet<i32>>;

/// The topics that are meant, each with the partitions that were named (none: all of it), and what is to be known of the choice.
fn partitions(to: &Reset, topic: Option<&Arc<str>>, committed: &Committed, group: &str) -> Result<(Wanted, Vec<SafeText>), Fault> {
    let topics: BTreeSet<&Arc<str>> = committed.keys().map(|(topic, _)| topic).collect();
    let mut wanted = Wanted::new();
    let mut notes = Vec::new();
    if let Reset::Places(places) = to {
        for Place { channel, partition, .. } in places {
            let only = if topics.len() == 1 { topics.first().copied() } else { None };
            let Some(of) = channel.as_ref().or(topic).or(only) else {
                let cause = format!("it is not said of which topic partition {partition} is: the group reads {}", topics.len());
                return Err(Fault::new(Kind::Usage, OP, group, cause).next("write orders:3@1042, or name the topic"));
            };
            if topic.is_some_and(|topic| topic != of) {
                return Err(Fault::new(Kind::Usage, OP, group, format!("{of} is not the topic that was named")));
            }
            wanted.entry(Arc::clone(of)).or_default().insert(*partition);
        }
        return Ok((wanted, notes));
    }
    if let Some(topic) = topic {
        wanted.insert(Arc::clone(topic), BTreeSet::new());
        if !topics.contains(topic) {
            notes.push(format!("the group has no position in {topic} so far").into());
        }
        return Ok((wanted, notes));
    }
    if topics.is_empty() {
        let fault = Fault::new(Kind::NotFound, OP, group, "the group has no position anywhere");
        return Err(fault.next("check the spelling, or name a topic to give it positions there"));
    }
    Ok((topics.into_iter().map(|topic| (Arc::clone(topic), BTreeSet::new())).collect(), notes))
}

/// Every partition of a topic as it stands.
async fn stands(
    manage: &KafkaManage,
    topic: &Arc<str>,
    to: &Reset,
    committed: &Committed,
) -> Result<BTreeMap<i32, PartitionOffsets>, Fault> {
    let described = manage.topic(OP, topic).await?;
    let (ends, times) = tokio::join!(manage.ends(&described), manage.times(&described, to));
    let times = times?;
    let offsets = |(partition, start, end): (i32, i64, i64)| {
        let committed = committed.get(&(Arc::clone(topic), partition)).copied();
        (partition, PartitionOffsets { start, end, committed, at: times.get(&partition).copied() })
    };
    Ok(ends?.into_iter().map(offsets).collect())
}

async fn finish(
    manage: &KafkaManage,
    request: Request,
    group: &str,
    to: &Reset,
    mut changes: Vec<OffsetChange>,
    mut notes: Vec<SafeText>,
) -> Result<Change, Fault> {
    // Without a topic, what has no position stays without one, as Kafka's own tool has it.
    if request.argument("topic").is_none() && !matches!(to, Reset::Places(_)) {
        let before = changes.len();
        changes.retain(|one| one.offsets.committed.is_some());
        if changes.len() < before {
            let left = super::counted((before - changes.len()) as i64, "partition");
            notes.push(format!("{left} without a position are left so: name the topic to give them one").into());
        }
    }
    if changes.is_empty() {
        return Err(Fault::new(Kind::Rejected, OP, group, "there is no partition with a position to move").next("name a topic"));
    }
    times(manage, &mut changes).await;
    let refused = match manage.busy(OP, group).await {
        Ok(refused) => refused,
        Err(note) => {
            notes.push(note);
            None
        }
    };
    notes.extend(OffsetChange::notes(&changes));
    if let Reset::To(Bound::Time(time)) = to
        && changes.iter().any(|one| one.offsets.at.is_none())
    {
        notes.push(format!("where no message is from {time} or later, the end is taken").into());
    }
    let step =
        |one: &OffsetChange| Step { topic: one.channel.to_string(), partition: one.partition, from: one.offsets.committed, to: one.to };
    let steps = Steps { group: group.to_owned(), positions: changes.iter().map(step).collect() };
    let undo = Request {
        spec: &GROUP_RESET,
        address: request.address.clone(),
        arguments: vec![("to".to_owned(), OffsetChange::back(&changes).to_string())],
    };
    let place = if matches!(to, Reset::Places(_)) { "the given offsets".to_owned() } else { to.to_string() };
    let summary = format!("puts {} to {place} in {}", request.address, super::counted(changes.len() as i64, "partition"));
    Ok(Change {
        tables: vec![OffsetChange::table(&changes)],
        touches: OffsetChange::all_touch(&changes),
        notes,
        refused,
        undo: Some(undo),
        ..Change::new(request, summary, freeze(&steps))
    })
}

/// When the messages at both places were made, as far as that can be told.
async fn times(manage: &KafkaManage, changes: &mut [OffsetChange]) {
    let places = |one: &OffsetChange| [one.offsets.committed, one.to].map(|offset| offset.filter(|offset| *offset < one.offsets.end));
    let mut marks = Vec::new();
    for one in changes.iter().filter(|one| one.changes_position()).take(TIMED) {
        let mark = |offset: i64| Mark::offset(Arc::clone(&one.channel), one.partition, offset.max(one.offsets.start));
        marks.extend(places(one).into_iter().flatten().map(mark));
    }
    let mut timestamps = manage.groups.timestamps(&marks).await.into_iter();
    for one in changes.iter_mut().filter(|one| one.changes_position()).take(TIMED) {
        for (time, offset) in one.times.clone().iter().zip(places(one)).enumerate().map(|(at, (_, offset))| (at, offset)) {
            if offset.is_some() {
                one.times[time] = timestamps.next().and_then(Result::ok).flatten();
            }
        }
    }
}

pub(super) async fn apply(manage: &KafkaManage, steps: Steps) -> Result<Done, Fault> {
    let group = steps.group.as_str();
    if let Ok(Some(busy)) = manage.busy(OP, group).await {
        return Err(busy);
    }
    let now = manage.committed(group).await?;
    for step in &steps.positions {
        let stands = now.get(&(step.topic.as_str().into(), step.partition)).copied();
        if stands != step.from {
            let place = |offset: Option<i64>| offset.map_or_else(|| "no position".to_owned(), |offset| offset.to_string());
            let (planned, is) = (place(step.from), place(stands));
            return Err(stale(OP, group, &format!("in {} partition {} it had {planned}, and has {is} now", step.topic, step.partition)));
        }
    }
    let moving = || steps.positions.iter().filter(|step| step.to != step.from);
    let set: Vec<_> = moving().filter_map(|step| Some(((step.topic.as_str(), step.partition), step.to?))).collect();
    let removed: Vec<_> = moving().filter(|step| step.to.is_none()).map(|step| (step.topic.as_str(), step.partition)).collect();
    // Setting first: without positions and members a group is gone.
    let set = outcomes(set.len(), manage.cluster.set_positions(group, &set).await);
    let removed = outcomes(removed.len(), manage.cluster.remove_positions(group, &removed).await);
    let (mut set, mut removed) = (set.into_iter(), removed.into_iter());
    let part = |step: &Step| {
        let outcome = match step.to {
            to if to == step.from => Ok("stays".into()),
            Some(to) => set.next().unwrap_or(Ok(())).map(|()| to.to_string().into()),
            None => removed.next().unwrap_or(Ok(())).map(|()| "no position".into()),
        };
        (format!("{} partition {}", step.topic, step.partition).into(), outcome)
    };
    Ok(Done { parts: steps.positions.iter().map(part).collect() })
}

/// One outcome for each, where the whole request failed too.
fn outcomes(count: usize, told: Result<Vec<Result<(), Fault>>, Fault>) -> Vec<Result<(), Fault>> {
    told.unwrap_or_else(|fault| vec![Err(fault); count])
}
