//! Deleting a topic: exactly the one that was looked at, by its id.

use super::readers::Readers;
use super::{DELETE, KafkaManage, Patience, UNKNOWN, counted, forbidden, freeze, stale};
use crate::domain::channel::Table;
use crate::domain::fault::{Fault, Kind};
use crate::domain::figure::{Amount, several};
use crate::domain::operation::{Change, Done, Request};
use crate::domain::text::SafeText;
use serde::{Deserialize, Serialize};

const OP: &str = "delete topic";

/// What is carried out.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Steps {
    topic: String,
    id: Option<String>,
    /// Partitions with their ends; `None` where one could not tell.
    ends: Option<Vec<(i32, i64)>>,
}

pub(super) async fn plan(manage: &KafkaManage, request: Request) -> Result<Change, Fault> {
    let name = request.address.channel.to_string();
    let topic = manage.topic(OP, &name).await?;
    let (id, ends, readers, comes_back) = tokio::join!(
        manage.cluster.topic_id(&name),
        manage.ends(&topic),
        Readers::of(manage, &name),
        manage.cluster.broker_setting("auto.create.topics.enable"),
    );
    // A partition without a leader cannot tell what it holds; it can be deleted all the same.
    let ends = ends.ok();
    let held = ends.as_ref().map(|ends| ends.iter().map(|(_, start, end)| (end - start).unsigned_abs()).sum());
    let ends: Option<Vec<(i32, i64)>> = ends.map(|ends| ends.into_iter().map(|(partition, _, end)| (partition, end)).collect());
    let mut notes: Vec<SafeText> = vec!["this cannot be undone".into()];
    notes.push(match ends {
        Some(_) => "refused if messages have come by then; only what comes in the moment of the deletion is deleted with it".into(),
        None => "what it holds cannot be told now: what comes before it is carried out is deleted with it".into(),
    });
    notes.extend(readers.notes(ends.as_deref().unwrap_or_default()));
    if comes_back.is_ok_and(|value| value.as_deref() == Some("true")) {
        notes.push("these brokers make topics that are asked for: clients that go on bring it back, empty, with default settings".into());
    }
    let internal = topic
        .internal
        .then(|| Fault::new(Kind::Rejected, OP, name.as_str(), "it is Kafka's own: without it groups or transactions lose their state"));
    let rows = vec![vec!["partitions".into(), topic.partitions.len().to_string().into()]];
    let summary = format!("deletes {} with its {}", request.address, counted(topic.partitions.len() as i64, "partition"));
    Ok(Change {
        tables: vec![Table { title: "topic", columns: vec!["what", "value"], rows }],
        touches: held.map_or(Amount::Unknown, Amount::AtMost),
        notes,
        refused: internal.or_else(|| forbidden(OP, &topic, DELETE)),
        ..Change::new(request, summary, freeze(&Steps { topic: name, id: id?, ends }))
    })
}

pub(super) async fn apply(manage: &KafkaManage, steps: Steps) -> Result<Done, Fault> {
    let name = steps.topic.as_str();
    manage.same_topic(OP, name, steps.id.as_deref()).await?;
    if let Some(planned) = &steps.ends {
        let now = manage.ends(&*manage.topic(OP, name).await?).await?;
        let before = |partition: i32| planned.iter().find(|(known, _)| *known == partition).map_or(0, |(_, end)| *end);
        let came: u64 = now.iter().map(|(partition, _, end)| u64::try_from(end - before(*partition)).unwrap_or(0)).sum();
        if came > 0 {
            let cause = format!("up to {} came since it was planned, and would be deleted with it", several(came, "message"));
            return Err(stale(OP, name, &cause).next("nothing was done: stop who publishes to it, and plan it again"));
        }
    }
    manage.cluster.delete_topic(name, steps.id.as_deref()).await?;
    let patience = Patience::new();
    let outcome = loop {
        let topics = manage.cluster.refresh(Some(&[name])).await?;
        if topics.first().is_none_or(|topic| topic.error == UNKNOWN) {
            break Ok("deleted".into());
        }
        if steps.id.is_some() && manage.cluster.topic_id(name).await.is_ok_and(|now| now != steps.id) {
            break Ok("deleted; a new topic of this name is there already: a client has brought it back".into());
        }
        if !patience.wait().await {
            let cause = "the brokers took it, but still name the topic";
            break Err(Fault::new(Kind::Timeout, OP, name, cause).next("a broker that holds it may be down: it goes when that is back"));
        }
    };
    Ok(Done { parts: vec![(name.into(), outcome)] })
}
