//! `Inspect` for MQTT: topics that were seen, and what the broker says of itself.

use super::seen::Topic;
use super::{Mqtt, topic};
use crate::adapters::session::Inspect;
use crate::domain::channel::{Attribute, Caps, Channel, Description, Table};
use crate::domain::fault::{Fault, Kind};
use crate::domain::figure::{self, Amount};
use crate::domain::text::SafeText;
use async_trait::async_trait;
use std::time::Duration;

const DESCRIBE: &str = "describe";
/// Topics in the description of a filter.
const TOPICS: usize = 500;

#[async_trait]
impl Inspect for Mqtt {
    async fn ping(&self) -> Result<Duration, Fault> {
        self.publisher.ping().await
    }

    async fn channels(&self) -> Result<Vec<Channel>, Fault> {
        let state = self.seen.look().await?;
        let mut channels: Vec<Channel> = state.topics.iter().map(|(name, topic)| self.row(name, topic)).collect();
        for filter in self.dialler.settings.filters.iter().filter(|filter| topic::is_filter(filter)) {
            let seen = state.topics.keys().filter(|name| topic::covers(filter, name)).count();
            channels.push(self.filter_row(filter, seen, state.beyond));
        }
        drop(state);
        channels.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(channels)
    }

    async fn describe(&self, channel: &str) -> Result<Description, Fault> {
        let channel = &*topic::of(DESCRIBE, channel)?;
        topic::check_filter(DESCRIBE, channel)?;
        let state = self.seen.look().await?;
        if !topic::is_filter(channel) {
            let topic = state.topics.get(channel).ok_or_else(|| {
                Fault::new(Kind::NotFound, DESCRIBE, channel, "nothing was seen of this topic: a broker has no list of them")
                    .next("it can be tailed and published to all the same")
            })?;
            return Ok(Description { channel: self.row(channel, topic), tables: vec![facts(topic)] });
        }
        let bare = channel.strip_prefix("$share/").and_then(|rest| rest.split_once('/')).map_or(channel, |(_, filter)| filter);
        let under: Vec<_> = state.topics.iter().filter(|(name, _)| topic::covers(bare, name)).collect();
        let row = |(name, topic): &(&std::sync::Arc<str>, &Topic)| {
            let last = topic.last.map_or_else(|| "–".to_owned(), |last| last.to_string());
            vec![SafeText::new(name), retained(topic).into(), topic.seen.to_string().into(), last.into()]
        };
        let table = Table {
            title: "topics",
            columns: vec!["topic", "retained", "seen", "last"],
            rows: under.iter().take(TOPICS).map(row).collect(),
        };
        Ok(Description { channel: self.filter_row(channel, under.len(), state.beyond), tables: vec![table] })
    }
}

impl Mqtt {
    fn row(&self, name: &str, topic: &Topic) -> Channel {
        let internal = topic::is_internal(name);
        let can =
            Caps { tail: true, history: true, publish: !internal, hold: !internal, call: !internal && self.answers(), ..Caps::default() };
        let mut attributes = Vec::new();
        if let Some(value) = &topic.value {
            attributes.push(Attribute::new("value", value.clone()));
        } else {
            attributes.push(Attribute::new("retained", retained(topic)));
            attributes.push(Attribute::new("last size", figure::bytes(topic.size as u64)));
        }
        Channel {
            // Without the protocol's word for it nothing is held, as far as anybody can know.
            depth: topic.retained.map_or(Amount::Unknown, |retained| Amount::Exactly(u64::from(retained))),
            bytes: topic.retained.map_or(Amount::Unknown, |retained| Amount::Exactly(if retained { topic.size as u64 } else { 0 })),
            ends: Some(topic.seen),
            attributes,
            ..self.bare(name, internal, can)
        }
    }

    fn filter_row(&self, filter: &str, seen: usize, beyond: u64) -> Channel {
        let shared = topic::is_shared(filter);
        let can = Caps { tail: true, history: !shared, hold: true, ..Caps::default() };
        let mut attributes = vec![Attribute::new("topics seen", figure::grouped(seen as u64))];
        if shared {
            attributes.push(Attribute::new("note", "a shared subscription takes its messages from the others of the group"));
        }
        if beyond > 0 {
            attributes.push(Attribute::new("not listed", format!("topics beyond {}", self.dialler.settings.max_topics)));
        }
        Channel { attributes, ..self.bare(filter, false, can) }
    }

    fn bare(&self, name: &str, internal: bool, can: Caps) -> Channel {
        Channel { tenant: self.integration.tenant_of(name).map(SafeText::new), internal, can, ..Channel::named(topic::name(name), "topic") }
    }
}

fn retained(topic: &Topic) -> &'static str {
    match topic.retained {
        Some(true) => "yes",
        Some(false) => "no",
        None => "unknown",
    }
}

fn facts(topic: &Topic) -> Table {
    let rows = [
        ("retained", retained(topic).into()),
        ("messages seen", topic.seen.to_string().into()),
        ("last seen", topic.last.map_or_else(|| "–".to_owned(), |last| last.to_string()).into()),
        ("last size", SafeText::from(figure::bytes(topic.size as u64))),
    ];
    let value = topic.value.clone().map(|value| ("value", value));
    let rows = rows.into_iter().chain(value);
    Table { title: "topic", columns: vec!["name", "value"], rows: rows.map(|(name, value)| vec![name.into(), value]).collect() }
}
