//! Electing leaders: the preferred replicas again, or, where nobody leads, whoever is left.

use super::{KafkaManage, Patience, freeze};
use crate::adapters::kafka::link::metadata::Partition;
use crate::domain::channel::Table;
use crate::domain::fault::{Fault, Kind};
use crate::domain::figure::Amount;
use crate::domain::operation::{Change, Done, Request, Risk};
use crate::domain::text::SafeText;
use serde::{Deserialize, Serialize};

const OP: &str = "elect leaders of";

/// What is carried out.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Steps {
    topic: String,
    unclean: bool,
    partitions: Vec<i32>,
}

pub(super) async fn plan(manage: &KafkaManage, request: Request) -> Result<Change, Fault> {
    let name = request.address.channel.to_string();
    let unclean = request.argument("kind") == Some("unclean");
    let topic = manage.topic(OP, &name).await?;
    let mut named = Vec::new();
    for text in request.argument("partitions").unwrap_or_default().split([',', ' ']).filter(|text| !text.is_empty()) {
        let known = text.parse().ok().filter(|index| topic.partition(*index).is_some());
        named.push(known.ok_or_else(|| {
            Fault::new(Kind::Usage, OP, name.as_str(), format!("`{text}` is no partition of it: it has {}", topic.partitions.len()))
        })?);
    }
    let asked: Vec<&Partition> = topic.partitions.iter().filter(|p| named.is_empty() || named.contains(&p.index)).collect();
    let can = |p: &Partition| if unclean { p.leader.is_none() } else { p.leader != p.replicas.first().copied() };
    let partitions: Vec<i32> = asked.iter().filter(|p| can(p)).map(|p| p.index).collect();
    if partitions.is_empty() {
        let cause = if unclean { "every partition has a leader" } else { "every partition is led by its preferred replica" };
        return Err(Fault::new(Kind::Rejected, OP, name, format!("{cause}: there is nothing to elect")));
    }
    let ids = |ids: &[i32]| ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let row = |p: &&Partition| {
        let preferred = p.replicas.first().map_or_else(|| "–".to_owned(), ToString::to_string);
        let becomes = match (can(p), unclean) {
            (false, _) => "stays".to_owned(),
            (true, true) => "any replica that is up".to_owned(),
            (true, false) if p.replicas.first().is_some_and(|first| p.isr.contains(first)) => preferred,
            (true, false) => format!("{preferred} is not in sync: will fail"),
        };
        let leader = p.leader.map_or_else(|| "none".to_owned(), |leader| leader.to_string());
        [p.index.to_string(), leader, becomes, ids(&p.replicas), ids(&p.isr)].map(SafeText::from).into()
    };
    let rows = asked.iter().map(row).collect();
    let summary = format!("elects leaders of {} in {}", request.address, super::counted(partitions.len() as i64, "partition"));
    let change = Change {
        tables: vec![Table { title: "partitions", columns: vec!["partition", "leader", "becomes", "replicas", "in sync"], rows }],
        ..Change::new(request, summary, freeze(&Steps { topic: name, unclean, partitions }))
    };
    if !unclean {
        return Ok(change);
    }
    Ok(Change {
        risk: Risk::Destroy,
        touches: Amount::Unknown,
        notes: vec!["what the elected replica does not have is lost for good, how much cannot be known: wait for the missing brokers if they can come back".into()],
        ..change
    })
}

pub(super) async fn apply(manage: &KafkaManage, steps: Steps) -> Result<Done, Fault> {
    let name = steps.topic.as_str();
    let elected = manage.cluster.elect(name, &steps.partitions, steps.unclean).await?;
    // Metadata may still name the leader of before.
    let patience = Patience::new();
    let topic = loop {
        let topic = manage.topic(OP, name).await?;
        let settled = |index: &i32| {
            let partition = topic.partition(*index);
            partition.is_some_and(|p| if steps.unclean { p.leader.is_some() } else { p.leader == p.replicas.first().copied() })
        };
        let settled = elected.iter().filter(|(_, outcome)| outcome.is_ok()).all(|(index, _)| settled(index));
        if settled || !patience.wait().await {
            break topic;
        }
    };
    let part = |index: &i32| {
        let target = format!("{name} partition {index}");
        let outcome = match elected.iter().find(|(told, _)| told == index) {
            None => Err(Fault::new(Kind::Protocol, OP, target.as_str(), "the broker's answer left the partition out")),
            Some((_, Err(fault))) => Err(fault.clone()),
            Some((_, Ok(changed))) => {
                let leader = topic.partition(*index).and_then(|p| p.leader);
                let leader = leader.map_or_else(|| "nobody".to_owned(), |leader| format!("broker {leader}"));
                Ok(format!("led by {leader}{}", if *changed { "" } else { ", as it was" }).into())
            }
        };
        (target.into(), outcome)
    };
    Ok(Done { parts: steps.partitions.iter().map(part).collect() })
}
