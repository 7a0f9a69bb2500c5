//! Consumers as groups: `STREAM/CONSUMER`, with what is pending, unacknowledged and redelivered.

use super::api::{ABREAST, Api};
use super::inspect::{attribute, stream_channel};
use super::model::{ConsumerInfo, StreamInfo, text};
use super::names::Name;
use super::stored::Stored;
use crate::adapters::session::Groups;
use crate::domain::channel::Attribute;
use crate::domain::fault::{Fault, Kind};
use crate::domain::figure::{self, Amount};
use crate::domain::group::{Group, GroupDescription, Listing, Mark, Stamped, Standing, State};
use async_trait::async_trait;
use futures::StreamExt;
use futures::stream;
use serde_json::Value;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

const LIST: &str = "list consumers of";
const OP: &str = "describe consumer";

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
            Err(fault) if fault.kind == Kind::Rejected => Vec::new(),
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

    async fn standings(&self, groups: &[Arc<str>]) -> Result<Vec<Result<Vec<Standing>, Fault>>, Fault> {
        // Positions first, then the ends of the streams that have them.
        let ask = |group: Arc<str>| async move { info(&self.api, &group).await };
        let infos: Vec<_> = stream::iter(groups.to_vec()).map(ask).buffered(ABREAST).collect().await;
        let streams: BTreeSet<String> = infos.iter().flatten().map(|info| info.stream_name.clone()).collect();
        let ask = |name: String| async move {
            let info = self.api.stream(LIST, &name).await;
            (name, info)
        };
        let ends: HashMap<_, _> = stream::iter(streams).map(ask).buffer_unordered(ABREAST).collect().await;
        Ok(infos.into_iter().map(|info| info.map(|info| vec![standing(&info, ends.get(&info.stream_name))])).collect())
    }

    async fn describe(&self, group: &str) -> Result<GroupDescription, Fault> {
        // JetStream does not tell who consumes.
        Ok(GroupDescription { group: self::group(&info(&self.api, group).await?), members: Vec::new() })
    }

    async fn stamps(&self, marks: &[Mark]) -> Vec<Stamped> {
        let stamp = |mark: Mark| async move {
            let Name::Stream(stream) = Name::of(OP, &mark.channel)? else {
                return Err(Fault::new(Kind::Usage, OP, &*mark.channel, "this is no stream"));
            };
            let message = Stored::new(self.api.clone(), stream, false).next(OP, u64::try_from(mark.offset).unwrap_or(0)).await?;
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
    let most = info.config.get("max_ack_pending").and_then(Value::as_u64).filter(|most| *most > 0);
    let state = if info.paused {
        State::Paused
    } else if info.num_pending > 0 && most.is_some_and(|most| info.num_ack_pending >= most) {
        State::Full
    } else if info.num_waiting > 0 || info.push_bound {
        State::Stable
    } else {
        State::Empty
    };
    Group {
        name: format!("{}/{}", info.stream_name, info.name).into(),
        kind: kind(info).into(),
        state,
        members: None,
        named: false,
        attributes: attributes(info),
        fault: None,
    }
}

pub(super) fn attributes(info: &ConsumerInfo) -> Vec<Attribute> {
    let mut attributes = vec![
        attribute("pending", figure::count(info.num_pending)),
        attribute("unacknowledged", figure::count(info.num_ack_pending)),
        attribute("redelivered", figure::count(info.num_redelivered)),
        attribute("waiting", info.num_waiting.to_string()),
        attribute("acknowledges", text(&info.config, "ack_policy")),
    ];
    if let Some(wait) = info.ack_wait() {
        attributes.push(attribute("ack wait", figure::duration(wait)));
    }
    if let Some(most) = info.config.get("max_deliver").and_then(Value::as_i64).filter(|most| *most > 0) {
        attributes.push(attribute("max deliver", most.to_string()));
    }
    let filters = info.config.get("filter_subjects").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let filter: Vec<&str> = std::iter::once(text(&info.config, "filter_subject")).chain(filters).filter(|f| !f.is_empty()).collect();
    if !filter.is_empty() {
        attributes.push(attribute("filter", filter.join(" ")));
    }
    if info.paused {
        attributes.push(attribute("paused until", text(&info.config, "pause_until")));
    }
    attributes
}

fn standing(info: &ConsumerInfo, stream: Option<&Result<StreamInfo, Fault>>) -> Standing {
    let none = text(&info.config, "ack_policy") == "none";
    let floor = if none { info.delivered.stream_seq } else { info.ack_floor.stream_seq };
    let at = |seq: u64| i64::try_from(seq).ok();
    let known = stream.and_then(|stream| stream.as_ref().ok());
    Standing {
        channel: stream_channel(&info.stream_name),
        partition: None,
        // A consumer that was never given anything has no position yet.
        committed: (info.delivered.stream_seq > 0).then(|| at(floor + 1)).flatten(),
        start: known.and_then(|stream| at(stream.first())),
        end: known.and_then(|stream| at(stream.end())),
        held_at: None,
        // What the server counts: it knows the filter and the holes.
        lag: Amount::Exactly(info.num_pending),
        pending: Some(info.num_ack_pending),
        owner: None,
        fault: stream.and_then(|stream| stream.as_ref().err().cloned()),
    }
}

/// How long the server waits for a decision.
pub(super) fn patience(info: &ConsumerInfo) -> Option<Duration> {
    info.ack_wait().filter(|_| info.is_explicit())
}
