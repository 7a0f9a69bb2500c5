//! Where a queue's dead letters go, and whether they are sure to arrive: worked out from arguments, policies and bindings.

use super::management::text;
use super::tap::TAPPED;
use serde_json::Value;
use std::collections::BTreeSet;

/// Every binding and exchange of a vhost, as far as dead letters go by them.
#[derive(Debug, Default)]
pub(super) struct Map {
    exchanges: Vec<Exchange>,
    bindings: Vec<Row>,
}

#[derive(Debug)]
struct Exchange {
    name: String,
    kind: String,
    /// Where what it cannot route goes, by its arguments.
    alternate: Option<String>,
    /// A policy applies to it, which may name another one.
    governed: bool,
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
    /// Whether they reach all of these, and no other.
    pub(super) certain: bool,
    /// What keeps all of them from reaching any queue.
    pub(super) broken: Option<Broken>,
    /// The dead letters stay where they died until a queue has them.
    pub(super) waits: bool,
    /// Why a dead letter may be lost on the way, each in one sentence; nothing if the way is safe.
    pub(super) losses: Vec<&'static str>,
}

/// What becomes of a dead letter that a queue keeps until it arrives.
const STAYS: &str = "stays in this queue as a dead letter until a queue has it";

/// What is wrong with a way that leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    Missing,
    Unbound,
}

/// Where a message may go by an exchange, with those that are bound to it.
#[derive(Default)]
struct Spread<'m> {
    /// Queues that get it, and those that may.
    sure: BTreeSet<&'m str>,
    maybe: BTreeSet<&'m str>,
    /// What decides that is not known here.
    unsure: Option<String>,
}

/// What becomes of one dead letter, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is deleted.
    Lost(String),
    /// It may be deleted: what decides is not known here.
    Unsure(String),
    /// It goes there.
    Goes(String),
}

impl Fate {
    pub(super) fn is_lost(&self) -> bool {
        matches!(self, Self::Lost(_))
    }

    pub(super) fn is_unsure(&self) -> bool {
        matches!(self, Self::Unsure(_))
    }

    pub(super) fn words(&self) -> &str {
        let (Self::Lost(words) | Self::Unsure(words) | Self::Goes(words)) = self;
        words
    }
}

/// The settings of a queue that dead letters go by: arguments before policies.
struct Letters<'a> {
    exchange: Option<&'a str>,
    key: Option<&'a str>,
    kind: &'a str,
    at_least_once: bool,
    refuses: bool,
}

impl<'a> Letters<'a> {
    fn of(queue: &'a Value) -> Self {
        let said = |argument: &str, policy: &str| {
            text(queue, &["arguments", argument]).or_else(|| text(queue, &["effective_policy_definition", policy]))
        };
        Self {
            exchange: said("x-dead-letter-exchange", "dead-letter-exchange"),
            key: said("x-dead-letter-routing-key", "dead-letter-routing-key"),
            kind: text(queue, &["type"]).unwrap_or_default(),
            at_least_once: said("x-dead-letter-strategy", "dead-letter-strategy") == Some("at-least-once"),
            refuses: said("x-overflow", "overflow") == Some("reject-publish"),
        }
    }

    /// Whether a dead letter stays in its queue until the target has it.
    fn is_safe(&self) -> bool {
        self.kind == "quorum" && self.at_least_once && self.refuses
    }
}

impl Map {
    /// From the management API's lists.
    pub(super) fn of(exchanges: &[Value], bindings: &[Value]) -> Self {
        let owned = |row: &Value, name: &str| text(row, &[name]).unwrap_or_default().to_owned();
        Self {
            exchanges: exchanges
                .iter()
                .map(|row| Exchange {
                    name: owned(row, "name"),
                    kind: owned(row, "type"),
                    alternate: text(row, &["arguments", "alternate-exchange"]).map(str::to_owned),
                    governed: text(row, &["policy"]).is_some(),
                })
                .collect(),
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

    /// An exchange that feeds a queue, where all that do can be watched themselves: what the queue is tapped for comes by them.
    pub(super) fn feeder(&self, queue: &str) -> Option<&str> {
        let feeds = |row: &&Row| row.to_queue && row.destination == queue && !row.source.is_empty();
        let can_tail = |name: &str| self.exchange(name).is_some_and(|exchange| TAPPED.contains(&exchange.kind.as_str()));
        let mut feeders = self.bindings.iter().filter(feeds).map(|row| row.source.as_str());
        let first = feeders.next().filter(|name| can_tail(name))?;
        feeders.all(can_tail).then_some(first)
    }

    /// How many bindings an exchange has.
    pub(super) fn bound_to(&self, exchange: &str) -> usize {
        self.bindings.iter().filter(|row| row.source == exchange).count()
    }

    /// The way of a queue's dead letters; `None` if it has no dead-letter exchange: then they are gone.
    pub(super) fn path(&self, queue: &Value) -> Option<Path> {
        let letters = Letters::of(queue);
        let (exchange, key) = (letters.exchange?, letters.key);
        let missing = !exchange.is_empty() && self.exchange(exchange).is_none();
        // By the default exchange the message's own key is the name of any queue.
        let any = exchange.is_empty() && key.is_none();
        let spread = if any { Spread::default() } else { self.spread(exchange, key) };
        let queues: Vec<String> = spread.sure.union(&spread.maybe).map(|queue| (*queue).to_owned()).collect();
        let lost = queues.is_empty() && spread.unsure.is_none() && !any;
        let broken = if missing { Some(Broken::Missing) } else { lost.then_some(Broken::Unbound) };
        let waits = letters.is_safe();
        let mut losses = Vec::new();
        match (broken, waits) {
            (Some(Broken::Missing), false) => losses.push("the dead-letter exchange is not there: dead letters are dropped in silence"),
            (Some(Broken::Unbound), false) => {
                losses.push("no queue is bound to the dead-letter exchange for them: dead letters are dropped in silence");
            }
            (Some(Broken::Missing), true) => {
                losses.push("the dead-letter exchange is not there: dead letters stay in this queue until it is");
            }
            (Some(Broken::Unbound), true) => {
                losses.push("no queue is bound to the dead-letter exchange for them: dead letters stay in this queue until one is");
            }
            (None, _) => {}
        }
        match (letters.kind, letters.at_least_once, letters.refuses) {
            ("quorum", true, true) => {}
            ("quorum", true, false) => {
                losses.push("at-least-once needs x-overflow = reject-publish: without it the strategy is at-most-once");
            }
            ("quorum", false, _) => {
                losses.push("at-most-once: lost if the target fails then; x-dead-letter-strategy");
            }
            _ => losses.push("at-most-once: lost if the target fails; only quorum queues do better"),
        }
        let certain = spread.maybe.is_empty() && spread.unsure.is_none() && !any;
        Some(Path { exchange: exchange.to_owned(), key: key.map(str::to_owned), queues, certain, broken, waits, losses })
    }

    /// What becomes of a dead letter of a queue that was published with this key.
    pub(super) fn fate(&self, queue: &Value, key: Option<&[u8]>) -> Fate {
        let letters = Letters::of(queue);
        let Some(exchange) = letters.exchange else { return Fate::Lost("this queue has no dead-letter exchange".to_owned()) };
        if !exchange.is_empty() && self.exchange(exchange).is_none() {
            let missing = format!("the dead-letter exchange `{exchange}` does not exist");
            return if letters.is_safe() { Fate::Goes(format!("{STAYS}: {missing}")) } else { Fate::Lost(missing) };
        }
        let Some(key) = letters.key.or_else(|| key.and_then(|key| std::str::from_utf8(key).ok())) else {
            return Fate::Unsure("the routing key that decides where it goes is no text".to_owned());
        };
        let Spread { sure: queues, unsure, .. } = self.spread(exchange, Some(key));
        let by = if exchange.is_empty() { "the default exchange".to_owned() } else { format!("the exchange `{exchange}`") };
        match (queues.is_empty(), unsure) {
            (false, _) => {
                let to: Vec<String> = queues.iter().map(|queue| format!("queue:{queue}")).collect();
                let once = if letters.is_safe() { "" } else { " (at-most-once: lost if that cannot take it at that moment)" };
                Fate::Goes(format!("to {} by {by}{once}", to.join(", ")))
            }
            (true, Some(why)) => Fate::Unsure(why),
            (true, None) if letters.is_safe() => Fate::Goes(format!("{STAYS}: {by} has no queue bound for the key `{key}`")),
            (true, None) => Fate::Lost(format!("{by} has no queue bound for the key `{key}`")),
        }
    }

    /// Where messages of a key go; of an unknown key, where they may.
    fn spread<'m>(&'m self, exchange: &'m str, key: Option<&str>) -> Spread<'m> {
        let (mut spread, mut seen, mut open) = (Spread::default(), BTreeSet::new(), vec![(exchange, true)]);
        while let Some((at, sure)) = open.pop() {
            if seen.insert((at, sure)) {
                self.route(at, sure, key, &mut spread, &mut open);
            }
        }
        spread.maybe.retain(|queue| !spread.sure.contains(queue));
        spread
    }

    /// One exchange's part of a message's way; `sure` if the message comes here in any case.
    fn route<'m>(&'m self, at: &'m str, sure: bool, key: Option<&str>, spread: &mut Spread<'m>, open: &mut Vec<(&'m str, bool)>) {
        let exchange = self.exchange(at);
        let kind = exchange.map_or("direct", |exchange| exchange.kind.as_str());
        let mut rows = self.bindings.iter().filter(|row| row.source == at).peekable();
        let decided = rows.peek().is_none() || kind == "fanout" || (matches!(kind, "direct" | "topic") && key.is_some());
        if !decided {
            spread.unsure = Some(match key {
                Some(_) => format!("whether a queue gets it is decided by the exchange `{at}` of the type {kind}"),
                None => "the message's own key decides which queue gets it".to_owned(),
            });
        }
        let (sure, mut routed) = (sure && decided, false);
        for row in rows.filter(|row| !decided || takes(kind, &row.key, key)) {
            routed = decided;
            if row.to_queue {
                let queues = if sure { &mut spread.sure } else { &mut spread.maybe };
                queues.insert(&row.destination);
            } else {
                open.push((&row.destination, sure));
            }
        }
        if !routed && let Some(exchange) = exchange {
            open.extend(exchange.alternate.as_deref().map(|alternate| (alternate, sure)));
            if exchange.alternate.is_none() && exchange.governed {
                let key = key.map_or_else(|| "it".to_owned(), |key| format!("the key `{key}`"));
                spread.unsure = Some(format!("the exchange `{at}` has no queue bound for {key}, and its policy may name an alternate"));
            }
        }
    }

    fn exchange(&self, name: &str) -> Option<&Exchange> {
        self.exchanges.iter().find(|exchange| exchange.name == name)
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
            ([], "") => self.key.as_ref().map_or_else(|| "the queue that the message's key names".to_owned(), |key| format!("queue:{key}")),
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
        let mut unbound_and_safe = safe.clone();
        unbound_and_safe["x-dead-letter-exchange"] = "e".into();
        unbound_and_safe["x-dead-letter-routing-key"] = "y".into();
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
            (
                queue("classic", json!({"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "gone"})),
                "queue:gone",
                &["no queue is bound", "at-most-once"],
            ),
            (queue("quorum", unbound_and_safe), "exchange:e", &["stay in this queue until one is"]),
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
    fn the_fate_of_a_dead_letter_goes_by_its_key_and_every_exchange_on_its_way() {
        let exchanges = [
            json!({"name": "dlx", "type": "direct"}),
            json!({"name": "other", "type": "direct", "arguments": {"alternate-exchange": "all"}}),
            json!({"name": "all", "type": "fanout"}),
            json!({"name": "h", "type": "headers"}),
            json!({"name": "p", "type": "direct", "policy": "some"}),
            json!({"name": "loop", "type": "fanout"}),
        ];
        let row = |source: &str, key: &str, destination: &str, kind: &str| json!({"source": source, "routing_key": key, "destination": destination, "destination_type": kind});
        let bindings = [
            row("", "dlq", "dlq", "queue"),
            row("dlx", "a", "dlq", "queue"),
            row("all", "", "rest", "queue"),
            row("h", "", "dlq", "queue"),
            row("loop", "", "loop", "exchange"),
        ];
        let map = Map::of(&exchanges, &bindings);
        let queue = |exchange: &str, key: Option<&str>| {
            let mut arguments = json!({ "x-dead-letter-exchange": exchange });
            if let Some(key) = key {
                arguments["x-dead-letter-routing-key"] = key.into();
            }
            json!({ "type": "classic", "arguments": arguments })
        };
        let path = |queue: &Value| map.path(queue).map(|path| (path.queues.join(" "), path.certain, path.broken));
        for (queue, queues, certain, broken) in [
            (queue("other", Some("b")), "rest", true, None),
            (queue("other", None), "rest", true, None),
            (queue("dlx", None), "dlq", false, None),
            (queue("h", Some("a")), "dlq", false, None),
            (queue("p", Some("a")), "", false, None),
            (queue("loop", None), "", true, Some(Broken::Unbound)),
            (queue("nowhere", None), "", true, Some(Broken::Missing)),
            (queue("", None), "", false, None),
        ] {
            assert_eq!(path(&queue), Some((queues.to_owned(), certain, broken)), "{queue}");
        }
        for (queue, key, fate) in [
            (json!({ "type": "classic", "arguments": {} }), "a", "lost: this queue has no dead-letter exchange"),
            (queue("nowhere", None), "a", "lost: the dead-letter exchange `nowhere` does not exist"),
            (queue("dlx", None), "a", "goes: to queue:dlq by the exchange `dlx` (at-most-once"),
            (queue("dlx", None), "b", "lost: the exchange `dlx` has no queue bound for the key `b`"),
            (queue("dlx", Some("a")), "b", "goes: to queue:dlq"),
            (queue("", Some("dlq")), "b", "goes: to queue:dlq by the default exchange"),
            (queue("", None), "gone", "lost: the default exchange has no queue bound for the key `gone`"),
            (queue("other", None), "b", "goes: to queue:rest"),
            (queue("h", None), "b", "unsure: whether a queue gets it is decided by the exchange `h` of the type headers"),
            (queue("p", None), "b", "unsure: the exchange `p` has no queue bound"),
            (queue("loop", None), "b", "lost: "),
        ] {
            let said = match map.fate(&queue, Some(key.as_bytes())) {
                Fate::Lost(words) => format!("lost: {words}"),
                Fate::Unsure(words) => format!("unsure: {words}"),
                Fate::Goes(words) => format!("goes: {words}"),
            };
            assert!(said.starts_with(fate), "{said}");
        }
        assert!(map.fate(&queue("dlx", None), Some(b"\xff")).is_unsure());
        let safe = json!({"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dlq", "x-dead-letter-strategy": "at-least-once", "x-overflow": "reject-publish"});
        assert_eq!(
            map.fate(&json!({ "type": "quorum", "arguments": safe }), None),
            Fate::Goes("to queue:dlq by the default exchange".to_owned())
        );
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
