//! The list of groups: every broker lists those that it coordinates, and each group is described by its coordinator.

use super::super::faults;
use super::super::link::group_describe::Described;
use super::super::link::pool::Lane;
use super::{KafkaGroups, Kind, row, state};
use crate::domain::fault::{Fault, Kind as FaultKind};
use crate::domain::group::{Group, Listing};
use kafka_protocol::messages::ListGroupsRequest;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

/// How often a broker that is loading its groups is asked, and the pauses between.
const ROUNDS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(200);

/// A group as a broker lists it.
pub(super) struct Listed {
    pub(super) name: Arc<str>,
    /// Empty where the broker is too old to tell.
    pub(super) kind: String,
    state: String,
    protocol: String,
}

impl KafkaGroups {
    /// What every broker lists, and the faults of those that do not.
    pub(super) async fn list(&self) -> (Vec<Listed>, Vec<Fault>) {
        let brokers = self.cluster.brokers();
        let asked = futures::future::join_all(brokers.into_iter().map(|node| self.list_of(self.lane(0), node))).await;
        // While a coordinator moves, both brokers may list its groups.
        let mut groups = BTreeMap::new();
        let mut faults = Vec::new();
        for listed in asked {
            match listed {
                Ok(listed) => groups.extend(listed.into_iter().map(|listed| (Arc::clone(&listed.name), listed))),
                Err(fault) => faults.push(fault),
            }
        }
        let unlisted = groups.is_empty() && !faults.is_empty() && faults.iter().all(|fault| fault.kind == FaultKind::Rejected);
        self.unlisted.store(unlisted, Ordering::Relaxed);
        (groups.into_values().collect(), faults)
    }

    async fn list_of(&self, lane: Lane, node: i32) -> Result<Vec<Listed>, Fault> {
        let mut round = 1;
        let answer = loop {
            let answer = self.cluster.call(node, lane, &ListGroupsRequest::default()).await?;
            if round == ROUNDS || !faults::is_retryable(answer.error_code) {
                break answer;
            }
            tokio::time::sleep(PAUSE * round).await;
            round += 1;
        };
        if answer.error_code != 0 {
            return Err(faults::refused("list the groups of", format!("broker {node}"), answer.error_code, None));
        }
        let listed = answer.groups.into_iter().map(|group| Listed {
            name: group.group_id.as_str().into(),
            kind: group.group_type.to_lowercase(),
            state: group.group_state.to_string(),
            protocol: group.protocol_type.to_string(),
        });
        Ok(listed.collect())
    }

    /// The groups with their members, and those that the profile names.
    pub(super) async fn listing(&self) -> Result<Listing, Fault> {
        let (listed, gaps) = self.list().await;
        let named = &self.integration.groups;
        if listed.is_empty()
            && named.is_empty()
            && let Some(fault) = gaps.first()
        {
            let next = "groups that the profile names are watched all the same: groups = [\"payments\"]";
            return Err(if fault.kind == FaultKind::Unreachable { fault.clone() } else { fault.clone().next(next) });
        }
        let mut all: BTreeMap<Arc<str>, Option<Listed>> = named.iter().map(|name| (Arc::clone(name), None)).collect();
        all.extend(listed.into_iter().map(|listed| (Arc::clone(&listed.name), Some(listed))));
        let names: Vec<&str> = all.keys().map(|name| &**name).collect();
        let kinds: Vec<Kind> =
            all.values().map(|listed| listed.as_ref().map(|listed| Kind::of(&listed.kind)).unwrap_or_default()).collect();
        let remembered: HashMap<_, _> = all.keys().map(Arc::clone).zip(kinds.iter().copied()).collect();
        *self.kinds.lock().unwrap_or_else(PoisonError::into_inner) = remembered;
        let described = self.described(self.lane(0), &names, &kinds).await;
        let is_named = |name: &Arc<str>| named.iter().any(|named| named == name);
        let groups = all.iter().zip(described).map(|((name, listed), described)| group(name, listed.as_ref(), described, is_named(name)));
        Ok(Listing { groups: groups.collect(), gaps })
    }
}

/// One group: what its coordinator says, and what the list said where that fails.
fn group(name: &Arc<str>, listed: Option<&Listed>, described: Option<Result<Described, Fault>>, named: bool) -> Group {
    let kind = listed.map_or("", |listed| &listed.kind);
    let kind = if kind.is_empty() { "classic" } else { kind };
    let (described, fault) = match described.transpose() {
        Ok(described) => (described, None),
        Err(fault) => (None, Some(fault)),
    };
    let mut group = row(Arc::clone(name), kind, named && listed.is_none(), described.as_ref());
    group.fault = fault;
    if let (None, Some(listed)) = (&described, listed) {
        group.state = state(&listed.state);
        let listed = Described { state: listed.state.clone(), protocol: listed.protocol.clone(), ..Described::default() };
        group.attributes = row(Arc::clone(name), kind, false, Some(&listed)).attributes;
    }
    group
}
