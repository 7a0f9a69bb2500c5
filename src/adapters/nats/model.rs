//! What JetStream tells of streams and consumers, as far as it is worked with; settings stay JSON and are shown as they come.

use super::names::covers;
use serde::Deserialize;
use serde_json::Value;

/// `STREAM.INFO`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct StreamInfo {
    pub(super) config: Value,
    pub(super) created: String,
    pub(super) state: StreamState,
    pub(super) cluster: Option<Cluster>,
    pub(super) mirror: Option<Value>,
    pub(super) sources: Vec<Value>,
}

/// What is 0 the server leaves out.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct StreamState {
    pub(super) messages: u64,
    pub(super) bytes: u64,
    pub(super) first_seq: u64,
    pub(super) first_ts: String,
    pub(super) last_seq: u64,
    pub(super) last_ts: String,
    pub(super) consumer_count: u64,
    pub(super) num_subjects: u64,
    pub(super) num_deleted: u64,
    /// Messages by subject, where they were asked for.
    pub(super) subjects: Option<serde_json::Map<String, Value>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Cluster {
    pub(super) name: String,
    pub(super) leader: String,
    pub(super) replicas: Vec<Peer>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Peer {
    pub(super) name: String,
    pub(super) current: bool,
    pub(super) offline: bool,
    pub(super) lag: u64,
}

/// `CONSUMER.INFO`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ConsumerInfo {
    pub(super) stream_name: String,
    pub(super) name: String,
    pub(super) created: String,
    pub(super) config: Value,
    pub(super) delivered: Pair,
    pub(super) ack_floor: Pair,
    pub(super) num_ack_pending: u64,
    pub(super) num_redelivered: u64,
    pub(super) num_waiting: u64,
    pub(super) num_pending: u64,
    pub(super) push_bound: bool,
    pub(super) paused: bool,
    /// The server's time of this answer (2.10 and later).
    pub(super) ts: String,
    pub(super) cluster: Option<Cluster>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Pair {
    pub(super) consumer_seq: u64,
    pub(super) stream_seq: u64,
    /// When it last moved; not there before it did.
    pub(super) last_active: String,
}

impl StreamInfo {
    pub(super) fn name(&self) -> &str {
        text(&self.config, "name")
    }

    pub(super) fn subjects(&self) -> Vec<&str> {
        self.config.get("subjects").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
    }

    /// `limits`, `workqueue` or `interest`.
    pub(super) fn retention(&self) -> &str {
        text(&self.config, "retention")
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        self.config.get(name).and_then(Value::as_bool).unwrap_or(false)
    }

    /// Whether it takes everything that is published to a subject, or to what a pattern names.
    pub(super) fn takes(&self, subject: &str) -> bool {
        self.subjects().iter().any(|own| covers(own, subject))
    }

    /// Whether what it takes is still there when somebody looks: consumers take messages out of work queues and interest streams at once.
    pub(super) fn keeps(&self) -> bool {
        self.retention() == "limits" && !self.flag("sealed")
    }

    /// The first sequence that may be there.
    pub(super) fn first(&self) -> u64 {
        self.state.first_seq.max(1)
    }

    /// The sequence that the next message gets.
    pub(super) fn end(&self) -> u64 {
        self.state.last_seq.saturating_add(1)
    }
}

impl ConsumerInfo {
    /// Asked for messages, rather than given them.
    pub(super) fn is_pull(&self) -> bool {
        text(&self.config, "deliver_subject").is_empty()
    }

    /// How long ago one of its places last moved, by the server's clock; since the consumer was made if it never did.
    pub(super) fn since(&self, place: &Pair) -> Option<std::time::Duration> {
        let moved = if place.last_active.is_empty() { &self.created } else { &place.last_active };
        let (now, moved) = (self.ts.parse::<jiff::Timestamp>().ok()?, moved.parse().ok()?);
        std::time::Duration::try_from(now.duration_since(moved)).ok()
    }

    /// How long it was neither given a message nor acknowledged one.
    pub(super) fn idle(&self) -> Option<std::time::Duration> {
        Some(self.since(&self.delivered)?.min(self.since(&self.ack_floor)?))
    }

    /// Whether each message is settled by itself.
    pub(super) fn is_explicit(&self) -> bool {
        text(&self.config, "ack_policy") == "explicit"
    }

    /// How long the server waits for a decision; `None` if it never takes a message back.
    pub(super) fn ack_wait(&self) -> Option<std::time::Duration> {
        self.config.get("ack_wait").and_then(Value::as_u64).filter(|nanos| *nanos > 0).map(std::time::Duration::from_nanos)
    }
}

/// A text of a settings object; empty if it is not there.
pub(super) fn text<'a>(object: &'a Value, name: &str) -> &'a str {
    object.get(name).and_then(Value::as_str).unwrap_or_default()
}
