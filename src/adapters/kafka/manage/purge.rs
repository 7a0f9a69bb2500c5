//! Purging a topic: messages before an offset are deleted in each partition (`DeleteRecords`).

use super::readers::Readers;
use super::{DELETE, KafkaManage, ROUNDS, forbidden, freeze};
use crate::adapters::kafka::link::metadata::Topic;
use crate::adapters::kafka::link::offsets::{At, Wanted};
use crate::domain::channel::Table;
use crate::domain::fault::{Fault, Kind};
use crate::domain::figure::{self, Amount};
use crate::domain::offset_change::PartitionOffsets;
use crate::domain::operation::{Change, Done, Request};
use crate::domain::position::Bound;
use crate::domain::reset::Reset;
use crate::domain::text::SafeText;
use jiff::Zoned;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::Arc;

const OP: &str = "delete messages of";

/// What is carried out.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Steps {
    topic: String,
    id: Option<String>,
    /// Partition, and the first offset that stays.
    before: Vec<(i32, i64)>,
}

pub(super) async fn plan(manage: &KafkaManage, request: Request) -> Result<Change, Fault> {
    let name = request.address.channel.to_string();
    let before = wanted(&request)?;
    let topic = manage.topic(OP, &name).await?;
    if let Reset::Places(places) = &before
        && let Some(place) = places.iter().find(|place| topic.partition(place.partition).is_none())
    {
        let cause = format!("there is no partition {}: it has {}", place.partition, topic.partitions.len());
        return Err(Fault::new(Kind::NotFound, OP, name, cause));
    }
    let names = [name.as_str()];
    let (id, ends, times, readers, settings) = tokio::join!(
        manage.cluster.topic_id(&name),
        manage.ends(&topic),
        manage.times(&topic, &before),
        Readers::of(manage, &name),
        manage.cluster.settings(&names, Some(&["cleanup.policy"])),
    );
    let times = times?;
    let (mut rows, mut steps, mut touches) = (Vec::new(), Vec::new(), 0);
    for (partition, start, end) in ends? {
        let offsets = PartitionOffsets { start, end, committed: None, at: times.get(&partition).copied() };
        let Some(to) = before.of(&topic.name, partition, offsets).and_then(|one| one.to) else { continue };
        let gone = (to - start).unsigned_abs();
        touches += gone;
        let count = Amount::AtMost(gone).show(figure::grouped);
        rows.push([partition.to_string(), start.to_string(), to.to_string(), end.to_string(), count].map(SafeText::from).into());
        if gone > 0 {
            steps.push((partition, to));
        }
    }
    if steps.is_empty() {
        return Err(Fault::new(Kind::Rejected, OP, name, format!("there is nothing before {before}")));
    }
    let policy = settings.ok().and_then(|mut all| all.remove(&name)?.ok()).and_then(|all| all.into_iter().next()?.value);
    let compacted = policy.is_some_and(|policy| policy.contains("compact") && !policy.contains("delete")).then(|| {
        Fault::new(Kind::Rejected, OP, name.as_str(), "the topic is compacted: Kafka deletes from topics with cleanup.policy delete alone")
            .next("publish tombstones, or append delete to its cleanup.policy first")
    });
    let mut notes: Vec<SafeText> = vec!["this cannot be undone".into()];
    notes.extend(readers.notes(&steps));
    let summary = match before {
        Reset::To(Bound::Latest) => format!("deletes every message of {}", request.address),
        _ => format!("deletes the messages of {} before {before}", request.address),
    };
    Ok(Change {
        tables: vec![Table { title: "partitions", columns: vec!["partition", "start", "before", "end", "messages"], rows }],
        touches: Amount::AtMost(touches),
        notes,
        refused: forbidden(OP, &topic, DELETE).or(compacted),
        // Fixed offsets: nothing behind them is deleted, whatever comes meanwhile.
        bounded: true,
        ..Change::new(request, summary, freeze(&Steps { topic: name, id: id?, before: steps }))
    })
}

fn wanted(request: &Request) -> Result<Reset, Fault> {
    let text = request.argument("before").filter(|text| !text.trim().is_empty()).unwrap_or("latest");
    let wrong = |cause: String| Fault::new(Kind::Usage, request.spec.id, request.address.to_string(), cause);
    match Reset::parse(text, &Zoned::now()).map_err(wrong)? {
        Reset::Shift(_) => Err(wrong(format!("`{text}` counts from a position, and a topic has none")).next("write end-500 or @12345")),
        Reset::Places(places) if places.iter().any(|place| place.offset.is_none() || place.channel.is_some()) => {
            Err(wrong(format!("`{text}` is not a place in each partition")).next("write 3@1042,4@17"))
        }
        before => Ok(before),
    }
}

impl KafkaManage {
    /// The first message of the moment that is asked for, by partition; empty if no moment is.
    pub(super) async fn times(&self, topic: &Topic, reset: &Reset) -> Result<HashMap<i32, i64>, Fault> {
        let Reset::To(Bound::Time(time)) = reset else { return Ok(HashMap::new()) };
        let at = At::Time(time.0);
        let wanted =
            |p: &crate::adapters::kafka::link::metadata::Partition| Wanted { topic: Arc::clone(&topic.name), partition: p.index, at };
        let wanted: Vec<_> = topic.partitions.iter().map(wanted).collect();
        let found = self.cluster.offsets(&wanted, ROUNDS).await;
        let mut times = HashMap::new();
        for (asked, found) in wanted.iter().zip(found) {
            if let Some(offset) = found?.offset {
                times.insert(asked.partition, offset);
            }
        }
        Ok(times)
    }
}

pub(super) async fn apply(manage: &KafkaManage, steps: Steps) -> Result<Done, Fault> {
    manage.same_topic(OP, &steps.topic, steps.id.as_deref()).await?;
    let outcomes = manage.cluster.delete_records(&steps.topic, &steps.before).await;
    let part = |((partition, _), outcome): (&(i32, i64), Result<i64, Fault>)| {
        (format!("{} partition {partition}", steps.topic).into(), outcome.map(|start| format!("begins at {start}").into()))
    };
    Ok(Done { parts: steps.before.iter().zip(outcomes).map(part).collect() })
}
