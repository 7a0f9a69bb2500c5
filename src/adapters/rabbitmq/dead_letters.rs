//! Where a queue's dead letters go, and whether they are sure to arrive: worked out from arguments, policies and bindings.

use super::management::text;
use serde_json::Value;
use std::collections::BTreeSet;

/// Every binding and exchange of a vhost, as far as dead letters go by them.
#[derive(Debug, Default)]
pub(super) struct Map {
    exchanges: Vec<(String, String)>,
    bindings: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    source: String,
    key: String,
    destination: String,
    to_queue: bool,
}

/// The way of a queue's dead letters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Path {
    pub(super) exchange: String,
    /// The key that replaces the message's own.
    pub(super) key: Option<String>,
    /// Queues that dead letters may reach.
    pub(super) queues: Vec<String>,
    /// Why a dead letter may be lost on the way, each in one sentence; nothing if the way is safe.
    pub(super) losses: Vec<&'static str>,
}

impl Map {
    /// From the management API's lists.
    pub(super) fn of(exchanges: &[Value], bindings: &[Value]) -> Self {
        let owned = |row: &Value, name: &str| text(row, &[name]).unwrap_or_default().to_owned();
        Self {
            exchanges: exchanges.iter().map(|row| (owned(row, "name"), owned(row, "type"))).collect(),
            bindings: bindings
                .iter()
                .map(|row| Row {
                    source: owned(row, "source"),
                    key: owned(row, "routing_key"),
                    destination: owned(row, "destination"),
                    to_queue: text(row, &["destination_type"]) == Some("queue"),
                })
                .collect(),
        }
    }

    /// Whether any exchange but the default one feeds a queue.
    pub(super) fn feeds(&self, queue: &str) -> bool {
        self.bindings.iter().any(|row| row.to_queue && row.destination == queue && !row.source.is_empty())
    }

    /// How many bindings an exchange has.
    pub(super) fn bound_to(&self, exchange: &str) -> usize {
        self.bindings.iter().filter(|row| row.source == exchange).count()
    }

    /// The way of a queue's dead letters; `None` if it has no dead-letter exchange: then they are gone.
    pub(super) fn path(&self, queue: &Value) -> Option<Path> {
        let said = |argument: &str, policy: &str| {
            text(queue, &["arguments", argument]).or_else(|| text(queue, &["effective_policy_definition", policy])).map(str::to_owned)
        };
        let exchange = said("x-dead-letter-exchange", "dead-letter-exchange")?;
        let key = said("x-dead-letter-routing-key", "dead-letter-routing-key");
        let queues = self.reached(&exchange, key.as_deref());
        let mut losses = Vec::new();
        if !exchange.is_empty() && !self.exchanges.iter().any(|(name, _)| *name == exchange) {
            losses.push("the dead-letter exchange is not there: dead letters are dropped in silence");
        } else if queues.is_empty() && !(exchange.is_empty() && key.is_none()) {
            losses.push("no queue is bound to the dead-letter exchange for them: dead letters are dropped in silence");
        }
        let at_least_once = said("x-dead-letter-strategy", "dead-letter-strategy").as_deref() == Some("at-least-once");
        let refuses = said("x-overflow", "overflow").as_deref() == Some("reject-publish");
        match (text(queue, &["type"]), at_least_once, refuses) {
            (Some("quorum"), true, true) => {}
            (Some("quorum"), true, false) => {
                losses.push("at-least-once needs x-overflow = reject-publish: without it the strategy is at-most-once");
            }
            (Some("quorum"), false, _) => {
                losses.push("at-most-once: lost if the target fails then; x-dead-letter-strategy");
            }
            _ => losses.push("at-most-once: lost if the target fails; only quorum queues do better"),
        }
        Some(Path { exchange, key, queues, losses })
    }

    /// Queues behind an exchange, those behind exchanges that are bound to it included. A key of the messages' own may be any.
    fn reached(&self, exchange: &str, key: Option<&str>) -> Vec<String> {
        if exchange.is_empty() {
            // The default exchange: to the queue of that name. The message's own key is not known here.
            return key.map(str::to_owned).into_iter().collect();
        }
        let (mut queues, mut seen, mut open) = (BTreeSet::new(), BTreeSet::new(), vec![exchange]);
        while let Some(exchange) = open.pop() {
            if !seen.insert(exchange) {
                continue;
            }
            let kind = self.exchanges.iter().find(|(name, _)| name == exchange).map_or("", |(_, kind)| kind.as_str());
            for row in self.bindings.iter().filter(|row| row.source == exchange && takes(kind, &row.key, key)) {
                if row.to_queue {
                    queues.insert(row.destination.clone());
                } else {
                    open.push(&row.destination);
                }
            }
        }
        queues.into_iter().collect()
    }
}

/// Whether a binding takes messages of a key; of an unknown key it may.
fn takes(kind: &str, pattern: &str, key: Option<&str>) -> bool {
    let Some(key) = key else { return true };
    match kind {
        "direct" => pattern == key,
        "topic" => matches(&pattern.split('.').collect::<Vec<_>>(), &key.split('.').collect::<Vec<_>>()),
        _ => true,
    }
}

/// A topic pattern: `*` is one word, `#` any number of them.
fn matches(pattern: &[&str], words: &[&str]) -> bool {
    match (pattern.split_first(), words.split_first()) {
        (None, None) => true,
        (Some((&"#", rest)), None) => matches(rest, words),
        (Some((&"#", rest)), Some((_, behind))) => matches(rest, words) || matches(pattern, behind),
        (Some((&wanted, rest)), Some((&word, behind))) => (wanted == "*" || wanted == word) && matches(rest, behind),
        _ => false,
    }
}

impl Path {
    pub(super) fn is_safe(&self) -> bool {
        self.losses.is_empty()
    }

    /// The queues, or the exchange where none is known.
    pub(super) fn target(&self) -> String {
        match (self.queues.as_slice(), self.exchange.as_str()) {
            ([], "") => "the queue that the message's key names".to_owned(),
            ([], exchange) => format!("exchange:{exchange}"),
            (queues, _) => queues.iter().map(|queue| format!("queue:{queue}")).collect::<Vec<_>>().join(", "),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn map() -> Map {
        let exchanges =
            [json!({"name": "grey.dlx", "type": "fanout"}), json!({"name": "t", "type": "topic"}), json!({"name": "e", "type": "direct"})];
        let row = |source: &str, key: &str, destination: &str, kind: &str| json!({"source": source, "routing_key": key, "destination": destination, "destination_type": kind});
        let bindings = [
            row("", "grey.dlq", "grey.dlq", "queue"),
            row("grey.dlx", "", "grey.dlq", "queue"),
            row("t", "dead.*", "by-topic", "queue"),
            row("t", "#.all", "e", "exchange"),
            row("e", "x.all", "behind", "queue"),
        ];
        Map::of(&exchanges, &bindings)
    }

    #[test]
    fn a_path_is_safe_only_when_every_step_of_it_is() {
        let queue = |kind: &str, arguments: Value| json!({"type": kind, "arguments": arguments});
        let safe = json!({"x-dead-letter-exchange": "grey.dlx", "x-dead-letter-strategy": "at-least-once", "x-overflow": "reject-publish"});
        for (queue, target, losses) in [
            (queue("quorum", safe.clone()), "queue:grey.dlq", &[][..]),
            (queue("classic", safe), "queue:grey.dlq", &["only quorum queues"][..]),
            (queue("quorum", json!({"x-dead-letter-exchange": "grey.dlx"})), "queue:grey.dlq", &["at-most-once"]),
            (queue("classic", json!({"x-dead-letter-exchange": "nowhere"})), "exchange:nowhere", &["is not there", "at-most-once"]),
            (
                queue("classic", json!({"x-dead-letter-exchange": "t", "x-dead-letter-routing-key": "alive.1"})),
                "exchange:t",
                &["no queue is bound", "at-most-once"],
            ),
            (
                queue("classic", json!({"x-dead-letter-exchange": "t", "x-dead-letter-routing-key": "dead.1"})),
                "queue:by-topic",
                &["at-most-once"],
            ),
            (
                queue("classic", json!({"x-dead-letter-exchange": "t", "x-dead-letter-routing-key": "x.all"})),
                "queue:behind",
                &["at-most-once"],
            ),
            (
                queue("classic", json!({"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "grey.dlq"})),
                "queue:grey.dlq",
                &["at-most-once"],
            ),
        ] {
            let path = map().path(&queue).expect("a path");
            assert_eq!(path.target(), target, "{queue}");
            assert_eq!(path.losses.len(), losses.len(), "{path:?}");
            assert!(path.losses.iter().zip(losses).all(|(said, word)| said.contains(word)), "{path:?}");
            assert_eq!(path.is_safe(), losses.is_empty());
        }
        let by_policy = json!({"type": "classic", "arguments": {}, "effective_policy_definition": {"dead-letter-exchange": "grey.dlx"}});
        assert_eq!(map().path(&by_policy).map(|path| path.exchange), Some("grey.dlx".to_owned()));
        assert_eq!(map().path(&json!({"type": "classic", "arguments": {}})), None);
    }

    #[test]
    fn topic_patterns_are_read_as_the_server_reads_them() {
        for (pattern, key, expected) in [
            ("#", "", true),
            ("a.#", "a", true),
            ("a.*", "a", false),
            ("a.*.c", "a.b.c", true),
            ("#.c", "a.b.c", true),
            ("a.#.c", "a.c", true),
        ] {
            assert_eq!(takes("topic", pattern, Some(key)), expected, "{pattern} {key}");
        }
    }
}
