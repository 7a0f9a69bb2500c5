//! Creating a topic. The brokers are asked first whether they would, so that a plan says what would be refused.

use super::specs::DELETE;
use super::{KafkaManage, Patience, UNKNOWN, counted, freeze};
use crate::adapters::kafka::faults;
use crate::adapters::kafka::link::change::NewTopic;
use crate::domain::channel::Table;
use crate::domain::fault::{Fault, Kind};
use crate::domain::operation::{Change, Done, Request};
use serde::{Deserialize, Serialize};

const OP: &str = "create topic";

/// What is carried out.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Steps {
    topic: String,
    partitions: Option<i32>,
    replicas: Option<i16>,
    settings: Vec<(String, String)>,
}

impl Steps {
    fn topic(&self) -> NewTopic<'_> {
        NewTopic { name: &self.topic, partitions: self.partitions, replicas: self.replicas, settings: &self.settings }
    }
}

pub(super) async fn plan(manage: &KafkaManage, request: Request) -> Result<Change, Fault> {
    let settings = super::settings::pairs(&request, "settings")?;
    let mut steps = Steps {
        topic: request.new_name()?.to_owned(),
        partitions: request.argument("partitions").and_then(|n| n.parse().ok()),
        replicas: request.argument("replicas").and_then(|n| n.parse().ok()),
        settings,
    };
    let made = manage.cluster.create_topic(&steps.topic(), true).await?;
    // What the brokers would choose now is what is confirmed.
    steps.partitions = steps.partitions.or(made.partitions);
    steps.replicas = steps.replicas.or(made.replicas);
    let or_default = |n: Option<String>| n.unwrap_or_else(|| "as the brokers say".to_owned());
    let mut rows = vec![
        vec!["partitions".into(), or_default(steps.partitions.map(|n| n.to_string())).into()],
        vec!["replicas".into(), or_default(steps.replicas.map(|n| n.to_string())).into()],
    ];
    rows.extend(steps.settings.iter().map(|(name, value)| vec![name.as_str().into(), value.as_str().into()]));
    let summary = format!("creates {}", request.address);
    let undo = Request { spec: &DELETE, address: request.address.clone(), arguments: Vec::new() };
    Ok(Change {
        tables: vec![Table { title: "topic", columns: vec!["setting", "value"], rows }],
        undo: Some(undo),
        ..Change::new(request, summary, freeze(&steps))
    })
}

pub(super) async fn apply(manage: &KafkaManage, steps: Steps) -> Result<Done, Fault> {
    manage.cluster.create_topic(&steps.topic(), false).await?;
    let name = steps.topic.as_str();
    let patience = Patience::new();
    let outcome = loop {
        match led(manage, name).await {
            Ok(Some(partitions)) => break Ok(format!("created with {}", counted(partitions, "partition")).into()),
            // We may create it and not describe it.
            Err(fault) if fault.kind == Kind::Forbidden => break Ok("created; our user may not see it".into()),
            Err(fault) => break Err(fault),
            Ok(None) => {}
        }
        if !patience.wait().await {
            let cause = "it was created, but not every partition has a leader yet";
            break Err(Fault::new(Kind::Timeout, OP, name, cause).next("look at its description in a while"));
        }
    };
    Ok(Done { parts: vec![(name.into(), outcome)] })
}

/// How many partitions it has, once each has a leader.
async fn led(manage: &KafkaManage, name: &str) -> Result<Option<i64>, Fault> {
    let topics = manage.cluster.refresh(Some(&[name])).await?;
    let Some(topic) = topics.first() else { return Ok(None) };
    if topic.error != 0 && topic.error != UNKNOWN && !faults::is_retryable(topic.error) {
        return Err(faults::refused(OP, name, topic.error, None));
    }
    let led = topic.error == 0 && !topic.partitions.is_empty() && topic.partitions.iter().all(|partition| partition.leader.is_some());
    Ok(led.then_some(topic.partitions.len() as i64))
}
