//! `Groups` for Kafka: every group of the cluster, of all kinds, and those that the profile names.
//!
//! ```text
//! groups     ListGroups on every broker ─► describe, by kind, at each coordinator
//! standings  positions ┐ at each coordinator   ─► ends, starts, ends of finished transactions at each leader
//!            members   ┘
//! stamps     one record each, at each leader
//! ```

mod group_offsets;
mod list;
mod timestamps;

use super::link::cluster::{Cluster, OwnLane};
use super::link::group_describe::{Classic, Consumer, Described, Share};
use super::link::pool::Lane;
use crate::adapters::session::Groups;
use crate::config::profile::Integration;
use crate::domain::channel::Attribute;
use crate::domain::fault::Fault;
use crate::domain::group::{Group, GroupDescription, GroupOffset, Listing, Mark, Member, Stamped, State};
use async_trait::async_trait;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

pub(super) struct KafkaGroups {
    cluster: Cluster,
    integration: Arc<Integration>,
    /// Connections of our own: a table of thousands of groups takes brokers long, and nobody else should wait for it.
    lanes: [OwnLane; 3],
    /// The kind of each group, as of the last list.
    kinds: Mutex<HashMap<Arc<str>, Kind>>,
    /// No broker knows how to list groups, nor to describe one.
    unlisted: AtomicBool,
}

/// The kinds of groups that Kafka has (`GroupType`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Kind {
    /// Those of before KIP-848, and all of brokers that do not tell.
    #[default]
    Classic,
    /// KIP-848.
    Consumer,
    /// KIP-932.
    Share,
    /// KIP-1071, and whatever comes later.
    Other,
}

impl Kind {
    fn of(word: &str) -> Self {
        match word {
            "" | "classic" => Self::Classic,
            "consumer" => Self::Consumer,
            "share" => Self::Share,
            _ => Self::Other,
        }
    }
}

/// A broker's word for a group's state (`GroupState`).
fn state(word: &str) -> State {
    match word {
        "Stable" => State::Stable,
        "PreparingRebalance" | "CompletingRebalance" | "Assigning" | "Reconciling" | "NotReady" => State::Rebalancing,
        "Empty" => State::Empty,
        "Dead" => State::Dead,
        _ => State::Unknown,
    }
}

impl KafkaGroups {
    pub(super) fn new(cluster: Cluster, integration: Arc<Integration>) -> Self {
        let lanes = [cluster.own_lane(), cluster.own_lane(), cluster.own_lane()];
        Self { cluster, integration, lanes, kinds: Mutex::default(), unlisted: AtomicBool::new(false) }
    }

    fn lane(&self, at: usize) -> Lane {
        self.lanes[at].lane()
    }

    /// Whether the brokers know nothing of groups but their positions.
    fn is_unlisted(&self) -> bool {
        self.unlisted.load(Ordering::Relaxed)
    }

    fn kind(&self, group: &str) -> Option<Kind> {
        self.kinds.lock().unwrap_or_else(PoisonError::into_inner).get(group).copied()
    }

    /// The kinds of these groups; asks for the list if one is not known. What is not listed is taken for classic.
    async fn kinds(&self, groups: &[&str]) -> Vec<Kind> {
        if groups.iter().any(|group| self.kind(group).is_none()) {
            let (listed, _) = self.list().await;
            let mut kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
            kinds.extend(listed.into_iter().map(|listed| (listed.name, Kind::of(&listed.kind))));
            for group in groups {
                kinds.entry((*group).into()).or_default();
            }
        }
        groups.iter().map(|group| self.kind(group).unwrap_or_default()).collect()
    }

    /// Who is in these groups; `None` where a kind cannot be described.
    async fn described(&self, lane: Lane, groups: &[&str], kinds: &[Kind]) -> Vec<Option<Result<Described, Fault>>> {
        if self.is_unlisted() {
            return groups.iter().map(|_| None).collect();
        }
        let of = |kind: Kind| groups.iter().zip(kinds).filter(move |(_, of)| **of == kind).map(|(group, _)| *group).collect::<Vec<_>>();
        let (classic, consumer, share) = (of(Kind::Classic), of(Kind::Consumer), of(Kind::Share));
        let (classic, consumer, share) = tokio::join!(
            self.cluster.ask_coordinators(lane, &classic, &Classic),
            self.cluster.ask_coordinators(lane, &consumer, &Consumer),
            self.cluster.ask_coordinators(lane, &share, &Share),
        );
        let (mut classic, mut consumer, mut share) = (classic.into_iter(), consumer.into_iter(), share.into_iter());
        let described = kinds.iter().map(|kind| match kind {
            Kind::Classic => classic.next(),
            Kind::Consumer => consumer.next(),
            Kind::Share => share.next(),
            Kind::Other => None,
        });
        described.collect()
    }
}

#[async_trait]
impl Groups for KafkaGroups {
    async fn groups(&self) -> Result<Listing, Fault> {
        self.listing().await
    }

    async fn group_offsets(&self, groups: &[Arc<str>]) -> Result<Vec<Result<Vec<GroupOffset>, Fault>>, Fault> {
        self.standings_of(groups).await
    }

    async fn describe(&self, group: &str) -> Result<GroupDescription, Fault> {
        let names = [group];
        let kinds = self.kinds(&names).await;
        let described = self.described(self.lane(0), &names, &kinds).await.pop().flatten();
        let described = described.transpose()?;
        let named = self.integration.groups.iter().any(|named| **named == *group);
        let kind = kinds.first().copied().unwrap_or_default();
        let group = row(group.into(), word(kind), named, described.as_ref());
        Ok(GroupDescription { group, members: members(described.unwrap_or_default()) })
    }

    async fn timestamps(&self, marks: &[Mark]) -> Vec<Stamped> {
        self.stamps_of(marks).await
    }
}

fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Classic => "classic",
        Kind::Consumer => "consumer",
        Kind::Share => "share",
        Kind::Other => "streams",
    }
}

/// A row of the list.
fn row(name: Arc<str>, kind: &str, named: bool, described: Option<&Described>) -> Group {
    let mut attributes = Vec::new();
    let mut add = |name: &str, value: &str| {
        if !value.is_empty() {
            attributes.push(Attribute::new(name, value));
        }
    };
    if let Some(described) = described {
        let state = state(&described.state);
        if !described.state.eq_ignore_ascii_case(state.word()) {
            add("state", &described.state);
        }
        if described.protocol != "consumer" && described.protocol != kind {
            add("protocol", &described.protocol);
        }
        add("assignor", &described.assignor);
        add("epoch", &described.epoch.map(|epoch| epoch.to_string()).unwrap_or_default());
    }
    let members = described.map(|described| u32::try_from(described.members.len()).unwrap_or(u32::MAX));
    let state = described.map_or(State::Unknown, |described| state(&described.state));
    Group { members, named, attributes, ..Group::new(name, kind, state) }
}

fn members(described: Described) -> Vec<Member> {
    let members = described.members.into_iter().map(|member| Member {
        id: member.id.into(),
        client: member.client.into(),
        host: member.host.into(),
        assignment: member.assignment.into_iter().map(|(topic, partitions)| (topic.into(), partitions)).collect(),
    });
    members.collect()
}
