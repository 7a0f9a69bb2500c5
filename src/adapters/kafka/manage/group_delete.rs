//! Deleting a group with its positions. They can be set again, which makes the group anew.

use super::specs::GROUP_RESET;
use super::{KafkaManage, freeze, stale};
use crate::adapters::session::Groups;
use crate::domain::channel::Table;
use crate::domain::fault::{Fault, Kind};
use crate::domain::figure::Amount;
use crate::domain::operation::{Change, Done, Request};
use crate::domain::reset::{Place, Reset};
use crate::domain::text::SafeText;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

const OP: &str = "delete group";

/// What is carried out.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Steps {
    group: String,
    positions: Vec<(String, i32, i64)>,
}

pub(super) async fn plan(manage: &KafkaManage, request: Request) -> Result<Change, Fault> {
    let group = Arc::clone(&request.address.channel);
    let listed = manage.groups.groups().await?;
    let known = listed.groups.iter().any(|told| told.name == group && !told.named);
    let committed = manage.committed(&group).await?;
    if !known && committed.is_empty() {
        return Err(Fault::new(Kind::NotFound, OP, &*group, "there is no such group").next("check the spelling"));
    }
    let mut notes: Vec<SafeText> = Vec::new();
    let refused = manage.busy(OP, &group).await.unwrap_or_else(|note| {
        notes.push(note);
        None
    });
    let group_offsets = manage.groups.group_offsets(&[Arc::clone(&group)]).await?.pop().unwrap_or_else(|| Ok(Vec::new()))?;
    let mut lag = 0;
    let row = |((topic, partition), offset): (&(Arc<str>, i32), &i64)| {
        let group_offset =
            group_offsets.iter().find(|group_offset| group_offset.channel == *topic && group_offset.partition == Some(*partition));
        let behind = group_offset.map_or(Amount::Unknown, |group_offset| group_offset.lag);
        lag += behind.number().unwrap_or(0);
        vec![SafeText::new(topic), partition.to_string().into(), offset.to_string().into(), behind.to_string().into()]
    };
    let rows = committed.iter().map(row).collect();
    if lag > 0 {
        notes.push(
            format!("{lag} messages are not read yet: consumers that start anew begin as they are configured, at the start or at the end")
                .into(),
        );
    }
    let places = committed.iter().map(|((topic, partition), offset)| Place {
        channel: Some(Arc::clone(topic)),
        partition: *partition,
        offset: Some(*offset),
    });
    let places: Vec<_> = places.collect();
    let undo = (!places.is_empty()).then(|| Request {
        spec: &GROUP_RESET,
        address: request.address.clone(),
        arguments: vec![("to".to_owned(), Reset::Places(places).to_string())],
    });
    let positions = committed.iter().map(|((topic, partition), offset)| (topic.to_string(), *partition, *offset)).collect();
    let summary = format!("deletes {} with its positions in {}", request.address, super::counted(committed.len() as i64, "partition"));
    Ok(Change {
        tables: vec![Table { title: "positions", columns: vec!["channel", "partition", "position", "lag"], rows }],
        touches: Amount::AtMost(lag),
        notes,
        refused,
        undo,
        ..Change::new(request, summary, freeze(&Steps { group: group.to_string(), positions }))
    })
}

pub(super) async fn apply(manage: &KafkaManage, steps: Steps) -> Result<Done, Fault> {
    let group = steps.group.as_str();
    if let Ok(Some(busy)) = manage.busy(OP, group).await {
        return Err(busy);
    }
    let now = manage.committed(group).await?;
    let now: Vec<_> = now.into_iter().map(|((topic, partition), offset)| (topic.to_string(), partition, offset)).collect();
    if now != steps.positions {
        return Err(stale(OP, group, "its positions have moved since the plan was made"));
    }
    manage.cluster.delete_group(group).await?;
    Ok(Done { parts: vec![(group.into(), Ok("deleted".into()))] })
}
