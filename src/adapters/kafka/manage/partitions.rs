//! Adding partitions to a topic.

use super::{ALTER, KafkaManage, Patience, counted, forbidden, freeze, stale};
use crate::domain::channel::Table;
use crate::domain::fault::{Fault, Kind};
use crate::domain::operation::{Change, Done, Request};
use serde::{Deserialize, Serialize};

const OP: &str = "add partitions to";

/// What is carried out.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Steps {
    topic: String,
    id: Option<String>,
    from: i32,
    to: i32,
}

pub(super) async fn plan(manage: &KafkaManage, request: Request) -> Result<Change, Fault> {
    let name = request.address.channel.to_string();
    let wrong = |cause: String| Fault::new(Kind::Usage, OP, name.as_str(), cause);
    let to: i32 = match request.argument("count").map(str::parse) {
        Some(Ok(count)) => count,
        _ => return Err(wrong("it is not said how many".to_owned()).next("fill in `count`: how many it has afterwards")),
    };
    let topic = manage.topic(OP, &name).await?;
    let from = topic.partitions.len() as i32;
    if to <= from {
        return Err(wrong(format!("it has {} already", counted(from, "partition"))).next("partitions can be added, never taken away"));
    }
    let refused = forbidden(OP, &topic, ALTER);
    if refused.is_none() {
        manage.cluster.add_partitions(&name, to, true).await?;
    }
    let id = manage.cluster.topic_id(&name).await?;
    let rows = (from..to).map(|index| vec![index.to_string().into(), "new, empty".into()]).collect();
    let summary = format!("gives {} {} instead of {from}", request.address, counted(to, "partition"));
    Ok(Change {
        tables: vec![Table { title: "partitions", columns: vec!["partition", "what"], rows }],
        notes: vec![
            "this cannot be undone: partitions cannot be taken away".into(),
            "keys go to other partitions from now on: messages of one key may be read out of order around the change, and \
             compaction keeps older values of a key in its former partition"
                .into(),
        ],
        refused,
        ..Change::new(request, summary, freeze(&Steps { topic: name, id, from, to }))
    })
}

pub(super) async fn apply(manage: &KafkaManage, steps: Steps) -> Result<Done, Fault> {
    let name = steps.topic.as_str();
    manage.same_topic(OP, name, steps.id.as_deref()).await?;
    let now = manage.topic(OP, name).await?.partitions.len();
    if now as i32 != steps.from {
        return Err(stale(OP, name, &format!("it had {} when the plan was made, and has {now}", counted(steps.from, "partition"))));
    }
    manage.cluster.add_partitions(name, steps.to, false).await?;
    let patience = Patience::new();
    let outcome = loop {
        let led = manage.topic(OP, name).await?.partitions.iter().filter(|partition| partition.leader.is_some()).count();
        if led as i32 >= steps.to {
            break Ok(format!("has {}", counted(steps.to, "partition")).into());
        }
        if !patience.wait().await {
            let cause = "the brokers took it, but not every partition has a leader yet";
            break Err(Fault::new(Kind::Timeout, OP, name, cause).next("look at its description in a while"));
        }
    };
    Ok(Done { parts: vec![(name.into(), outcome)] })
}
