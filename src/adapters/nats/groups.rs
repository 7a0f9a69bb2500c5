//! Consumers as groups: `STREAM/CONSUMER`, with what is pending, unacknowledged and redelivered.

use super::api::{ABREAST, Api};
use super::model::{ConsumerInfo, StreamInfo, text};
use super::names::{Name, stream_channel};
use super::stored::Stored;
use crate::adapters::session::Groups;
use crate::domain::channel::Attribute;
use crate::domain::fault::{Fault, Kind};
use crate::domain::figure::{self, Amount};
use crate::domain::group::{Group, GroupDescription, GroupOffset, Halt, Listing, Mark, Stamped, State};
use crate::domain::position::Position;
use async_trait::async_trait;
use futures::StreamExt;
use futures::stream;
use serde_json::Value;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

const LIST: &str = "list consumers of";
const OP: &str = "describe consumer";
/// A pull consumer that was given something within this time is at work, though nobody waits at the moment.
const BUSY: Duration = Duration::from_secs(30);

pub(super) struct NatsGroups {
    api: Api,
}

impl NatsGroups {
    pub(super) fn new(api: Api) -> Self {
        Self { api }
    }
}

#[async_trait]
impl Groups for NatsGroups {
    async fn groups(&self) -> Result<Listing, Fault> {
        let streams = match self.api.streams(LIST).await {
            Ok(streams) => streams,
            // Without JetStream there are none.
            Err(fault) if fault.kind == Kind::Rejected && !self.api.link.dial().is_elsewhere() => Vec::new(),
            Err(fault) => return Err(fault),
        };
        let names = streams.iter().filter(|info| info.state.consumer_count > 0).map(|info| info.name().to_owned()).collect();
        let lists = self.api.consumers_of(LIST, names).await;
        let mut listing = Listing::default();
        for list in lists {
            match list {
                Ok(consumers) => listing.groups.extend(consumers.iter().map(group)),
                // Deleted since the streams were listed.
                Err(fault) if fault.kind == Kind::NotFound => {}
                Err(fault) => listing.gaps.push(fault),
            }
        }
        listing.groups.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(listing)
    }

    async fn group_offsets(&self, groups: &[Arc<str>]) -> Result<Vec<Result<Vec<GroupOffset>, Fault>>, Fault> {
        // Positions first, then the ends of the streams that have them.
        let ask = |group: Arc<str>| async move { info(&self.api, &group).await };
        let infos: Vec<_> = stream::iter(groups.to_vec()).map(ask).buffered(ABREAST).collect().await;
        let streams: BTreeSet<String> = infos.iter().flatten().map(|info| info.stream_name.clone()).collect();
        let ask = |name: String| async move {
            let info = self.api.stream(LIST, &name).await;
            (name, info)
        };
        let ends: HashMap<_, _> = stream::iter(streams).map(ask).buffer_unordered(ABREAST).collect().await;
        Ok(infos.into_iter().map(|info| info.map(|info| vec![group_offset(&info, ends.get(&info.stream_name))])).collect())
    }

    async fn describe(&self, group: &str) -> Result<GroupDescription, Fault> {
        // JetStream does not tell who consumes.
        Ok(GroupDescription { group: self::group(&info(&self.api, group).await?), members: Vec::new() })
    }

    async fn timestamps(&self, marks: &[Mark]) -> Vec<Stamped> {
        let stamp = |mark: Mark| async move {
            let Name::Stream(stream) = Name::of(OP, &mark.channel)? else {
                return Err(Fault::new(Kind::Usage, OP, &*mark.channel, "this is no stream"));
            };
            let Position::Sequence(sequence) = mark.position else {
                return Err(Fault::new(Kind::Usage, OP, &*mark.channel, format!("{} is no place in a stream", mark.position)));
            };
            let message = Stored::new(self.api.clone(), stream, false).next(OP, sequence).await?;
            Ok(message.and_then(|message| message.timestamp))
        };
        stream::iter(marks.to_vec()).map(stamp).buffered(ABREAST).collect().await
    }
}

async fn info(api: &Api, group: &str) -> Result<ConsumerInfo, Fault> {
    match Name::consumer(group.trim_start_matches("consumer:")) {
        Some(Name::Consumer { stream, consumer }) => api.consumer(OP, stream, consumer).await,
        _ => Err(Fault::new(Kind::NotFound, OP, group, "no consumer can have this name").next("write STREAM/CONSUMER")),
    }
}

/// `pull`, `push`, and whether it lasts.
pub(super) fn kind(info: &ConsumerInfo) -> &'static str {
    match (info.is_pull(), text(&info.config, "durable_name").is_empty()) {
        (true, false) => "pull",
        (true, true) => "pull, ephemeral",
        (false, false) => "push",
        (false, true) => "push, ephemeral",
    }
}

fn group(info: &ConsumerInfo) -> Group {
    Group {
        attributes: attributes(info),
        halt: halt(info),
        ..Group::new(format!("{}/{}", info.stream_name, info.name), kind(info), state(info))
    }
}

/// Who pulls is seen only while it waits: between two fetches a consumer that is at work looks like one that nobody reads.
fn state(info: &ConsumerInfo) -> State {
    if info.num_waiting > 0 || info.push_bound {
        State::Stable
    } else if info.is_pull() && info.idle().is_none_or(|idle| idle < BUSY) {
        State::Unknown
    } else {
        State::Empty
    }
}

fn halt(info: &ConsumerInfo) -> Option<Halt> {
    if info.paused {
        let until = text(&info.config, "pause_until");
        return Some(Halt::Paused { until: (!until.is_empty()).then(|| until.into()) });
    }
    let limit = info.config.get("max_ack_pending").and_then(Value::as_u64).filter(|limit| *limit > 0)?;
    // Once the time to acknowledge is over and nobody waits for messages, nobody is there to do it.
    let waited = info.ack_wait().unwrap_or(BUSY).max(BUSY);
    let somebody = info.num_waiting > 0 || info.push_bound || info.idle().is_none_or(|idle| idle < waited);
    (info.num_ack_pending >= limit && somebody).then_some(Halt::Unacknowledged(limit))
}

pub(super) fn attributes(info: &ConsumerInfo) -> Vec<Attribute> {
    let mut attributes = vec![
        Attribute::new("pending", figure::count(info.num_pending)),
        Attribute::new("unacknowledged", figure::count(info.num_ack_pending)),
        Attribute::new("redelivered", figure::count(info.num_redelivered)),
        Attribute::new("waiting", info.num_waiting.to_string()),
        Attribute::new("acknowledges", text(&info.config, "ack_policy")),
    ];
    if let Some(wait) = info.ack_wait() {
        attributes.push(Attribute::new("ack wait", figure::duration(wait)));
    }
    if let Some(most) = info.config.get("max_deliver").and_then(Value::as_i64).filter(|most| *most > 0) {
        attributes.push(Attribute::new("max deliver", most.to_string()));
    }
    let filters = info.config.get("filter_subjects").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let filter: Vec<&str> = std::iter::once(text(&info.config, "filter_subject")).chain(filters).filter(|f| !f.is_empty()).collect();
    if !filter.is_empty() {
        attributes.push(Attribute::new("filter", filter.join(" ")));
    }
    if info.paused {
        attributes.push(Attribute::new("paused until", text(&info.config, "pause_until")));
    }
    attributes
}

fn group_offset(info: &ConsumerInfo, stream: Option<&Result<StreamInfo, Fault>>) -> GroupOffset {
    let none = text(&info.config, "ack_policy") == "none";
    let floor = if none { info.delivered.stream_seq } else { info.ack_floor.stream_seq };
    let at = |seq: u64| i64::try_from(seq).ok();
    let known = stream.and_then(|stream| stream.as_ref().ok());
    GroupOffset {
        channel: stream_channel(&info.stream_name),
        // A consumer that was never given anything has no position yet.
        committed: (info.delivered.stream_seq > 0).then(|| at(floor + 1)).flatten(),
        start: known.and_then(|stream| at(stream.first())),
        next: known.map(|stream| Position::Sequence(floor.saturating_add(1).max(stream.first()))),
        end: known.and_then(|stream| at(stream.end())),
        // What the server counts: it knows the filter and the holes.
        lag: Amount::Exactly(info.num_pending),
        // Acknowledged in any order: what was handed out says how far it is, beside a lag that counts what was not.
        done: (info.delivered.stream_seq > 0).then(|| at(info.delivered.stream_seq + 1)).flatten(),
        quiet: if none { info.since(&info.delivered) } else { info.since(&info.ack_floor) },
        pending: Some(info.num_ack_pending),
        fault: stream.and_then(|stream| stream.as_ref().err().cloned()),
        ..GroupOffset::default()
    }
}

/// How long the server waits for a decision.
pub(super) fn patience(info: &ConsumerInfo) -> Option<Duration> {
    info.ack_wait().filter(|_| info.is_explicit())
}
