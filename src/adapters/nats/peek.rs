//! `Peek` for JetStream: the messages that a consumer would be given next, read from its stream by their sequences. The consumer itself is
//! only asked how far it is, so that a look spends no delivery of any message.

use super::api::Api;
use super::model::{ConsumerInfo, StreamInfo, text};
use super::names::Name;
use super::stored::{Stored, number};
use crate::adapters::bounds::{BYTES, held};
use crate::adapters::session::{Looked, Peek};
use crate::domain::channel::Cost;
use crate::domain::delivery::Delivery;
use crate::domain::fault::{Fault, Kind};
use crate::domain::figure::{self, several};
use crate::domain::message::Message;
use crate::domain::text::SafeText;
use async_trait::async_trait;
use serde_json::Value;
use std::collections::VecDeque;

const OP: &str = "peek into";

pub(super) struct NatsPeek {
    api: Api,
}

impl NatsPeek {
    pub(super) fn new(api: Api) -> Self {
        Self { api }
    }

    /// The consumer that a channel names; a stream with one consumer means that one.
    async fn consumer(&self, channel: &str) -> Result<ConsumerInfo, Fault> {
        let refuse = |cause: &str, next: String| Err(Fault::new(Kind::Usage, OP, channel, cause.to_owned()).next(next));
        let stream = match Name::of(OP, channel)? {
            Name::Consumer { stream, consumer } => return self.api.consumer(OP, stream, consumer).await,
            Name::Stream(stream) => stream,
            Name::Subject(_) | Name::Service(_) | Name::Queue { .. } => {
                return refuse("nothing waits here", "tail it, or name a consumer: consumer:STREAM/CONSUMER".to_owned());
            }
        };
        let mut consumers = self.api.consumers(OP, stream).await?;
        match consumers.len() {
            0 => refuse("the stream has no consumer that a message would be next for", format!("read its history: tail stream:{stream}")),
            1 => Ok(consumers.remove(0)),
            _ => {
                let names: Vec<String> = consumers.iter().map(|info| format!("consumer:{stream}/{}", info.name)).collect();
                refuse("the stream has several consumers", format!("say which: {}", names.join(", ")))
            }
        }
    }
}

#[async_trait]
impl Peek for NatsPeek {
    async fn cost(&self, _channel: &str) -> Result<Cost, Fault> {
        Ok(Cost::Nothing)
    }

    async fn peek(&self, channel: &str, most: usize) -> Result<Looked, Fault> {
        let before = self.consumer(channel).await?;
        if most == 0 {
            return Ok(Looked::default());
        }
        let stream = self.api.stream(OP, &before.stream_name).await?;
        let (messages, cut) = next(&self.api, &stream, &before, most).await?;
        let after = self.api.consumer(OP, &before.stream_name, &before.name).await?;
        // It was given to nobody yet.
        let delivery = |message| Delivery { ticket: None, message, deliveries: None, redelivered: false };
        Ok(Looked {
            deliveries: messages.into_iter().map(delivery).collect(),
            cut,
            ready: Some((before.num_pending, after.num_pending)),
            notes: notes(&before, &after),
        })
    }
}

/// The first messages that the consumer was not given yet, and whether there may be more than as many bytes as one look keeps.
async fn next(api: &Api, stream: &StreamInfo, consumer: &ConsumerInfo, most: usize) -> Result<(Vec<Message>, bool), Fault> {
    let direct = stream.flag("allow_direct");
    let head = |filter: &str| Head {
        stored: Stored::filtered(api.clone(), stream.name(), direct, filter, most as u64),
        next: consumer.delivered.stream_seq.saturating_add(1).max(stream.first()),
        end: stream.end(),
        waiting: VecDeque::new(),
    };
    let mut heads: Vec<Head> = filters(&consumer.config).into_iter().map(head).collect();
    let (mut messages, mut bytes) = (Vec::new(), 0);
    while messages.len() < most {
        if bytes >= BYTES {
            return Ok((messages, true));
        }
        for head in &mut heads {
            head.fill().await?;
        }
        let first = heads.iter_mut().filter(|head| !head.waiting.is_empty()).min_by_key(|head| head.waiting.front().map(number));
        let Some(message) = first.and_then(|head| head.waiting.pop_front()) else { break };
        bytes += held(&message);
        messages.push(message);
    }
    Ok((messages, false))
}

/// What one filter lets through, in the order of the stream.
struct Head {
    stored: Stored,
    next: u64,
    end: u64,
    waiting: VecDeque<Message>,
}

impl Head {
    async fn fill(&mut self) -> Result<(), Fault> {
        if self.waiting.is_empty() && self.next < self.end {
            self.waiting.extend(self.stored.from(OP, self.next, self.end).await?);
            self.next = self.waiting.back().map_or(self.end, |message| number(message) + 1);
        }
        Ok(())
    }
}

/// The subjects that a consumer is given; the server lets no two of them overlap.
fn filters(config: &Value) -> Vec<&str> {
    let many = config.get("filter_subjects").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let mut filters: Vec<&str> = std::iter::once(text(config, "filter_subject")).chain(many).filter(|filter| !filter.is_empty()).collect();
    if filters.is_empty() {
        filters.push(">");
    }
    filters
}

/// What the messages do not show.
fn notes(before: &ConsumerInfo, after: &ConsumerInfo) -> Vec<SafeText> {
    let mut notes = Vec::new();
    let unacknowledged = after.num_ack_pending;
    if unacknowledged > 0 {
        let many = several(unacknowledged, "message");
        notes.push(format!("{many} given and not acknowledged: what of that is redelivered comes first, and is not among these"));
    }
    let most = before.config.get("max_ack_pending").and_then(Value::as_u64).filter(|most| *most > 0);
    if let Some(most) = most.filter(|most| unacknowledged >= *most) {
        notes.push(format!("nothing more is given until some are acknowledged: the limit is {} (max_ack_pending)", figure::count(most)));
    }
    if after.paused {
        notes.push("the consumer is paused: nothing is given until that ends".to_owned());
    }
    if text(&before.config, "deliver_policy") == "last_per_subject" {
        notes.push("the consumer begins with the last message of each subject: the others that there were then are passed over".to_owned());
    }
    if after.delivered.stream_seq != before.delivered.stream_seq {
        notes.push("others were given messages meanwhile: these are no longer the next ones".to_owned());
    }
    notes.into_iter().map(SafeText::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_way_to_say_a_filter_is_read() {
        for (config, expected) in [
            (json!({}), &[">"][..]),
            (json!({ "filter_subject": "a.>" }), &["a.>"]),
            (json!({ "filter_subjects": ["a", "b"] }), &["a", "b"]),
            (json!({ "filter_subject": "", "filter_subjects": null }), &[">"]),
        ] {
            assert_eq!(filters(&config), expected, "{config}");
        }
    }

    #[test]
    fn what_is_not_shown_is_said() {
        let info = |unacknowledged: u64, config: Value, paused: bool, delivered: u64| {
            let mut info = ConsumerInfo { config, paused, num_ack_pending: unacknowledged, ..ConsumerInfo::default() };
            info.delivered.stream_seq = delivered;
            info
        };
        let usual = info(0, json!({ "max_ack_pending": 1000 }), false, 3);
        assert_eq!(notes(&usual, &usual), []);
        let full = info(2, json!({ "max_ack_pending": 2, "deliver_policy": "last_per_subject" }), true, 4);
        let said: Vec<String> = notes(&full, &info(2, json!({}), true, 5)).iter().map(ToString::to_string).collect();
        for (said, word) in said.iter().zip(["2 messages given", "max_ack_pending", "paused", "last message of each", "others were given"])
        {
            assert!(said.contains(word), "{said}");
        }
        assert_eq!(said.len(), 5);
    }
}
