//! Seed 1's topology: exchanges, a queue for each tenant, and where its dead letters go; from a profile's `exchanges` and `queues`.

use crate::config::rules::Settings;
use serde::{Deserialize, Serialize};

/// Exchanges and queues with `{tenant}` in their names, as a profile says them or as seed 1 does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Topology {
    pub(super) exchanges: Vec<Exchange>,
    pub(super) queues: Vec<Queue>,
}

/// An exchange to be declared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Exchange {
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) durable: bool,
}

/// A queue to be declared, and bound.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Queue {
    pub(super) name: String,
    /// `classic`, `quorum`, `stream`; the server's default if it is not said.
    pub(super) kind: Option<String>,
    pub(super) durable: bool,
    pub(super) max_priority: Option<u8>,
    /// Milliseconds.
    pub(super) message_ttl: Option<u32>,
    pub(super) max_length: Option<u64>,
    pub(super) dead_letter_exchange: Option<String>,
    /// Replaces the messages' own key when they die.
    pub(super) dead_letter_key: Option<String>,
    /// Exchange and routing key.
    pub(super) binding: Option<(String, String)>,
}

impl Topology {
    /// The profile's, whose settings were checked; seed 1's where the profile has none.
    pub(super) fn of(said: &Settings<'_>) -> Self {
        let text = |list: &str, at: usize, field: &str| said.text(&format!("{list}.{at}.{field}")).map(str::to_owned);
        let flag = |list: &str, at: usize| said.flag(&format!("{list}.{at}.durable")).unwrap_or(true);
        let mut exchanges = Vec::new();
        while let Some(name) = text("exchanges", exchanges.len(), "name") {
            let at = exchanges.len();
            let kind = text("exchanges", at, "type").unwrap_or_else(|| "topic".to_owned());
            exchanges.push(Exchange { name, kind, durable: flag("exchanges", at) });
        }
        if exchanges.is_empty() {
            let exchange = |name: &str, kind: &str| Exchange { name: name.to_owned(), kind: kind.to_owned(), durable: true };
            exchanges = vec![exchange("grey.tasks", "topic"), exchange("grey.results", "topic"), exchange("grey.dlx", "fanout")];
        }
        let mut queues = Vec::new();
        while let Some(name) = text("queues", queues.len(), "name") {
            let at = queues.len();
            let binding = match (text("queues", at, "exchange"), text("queues", at, "routing_key")) {
                (Some(exchange), key) => Some((exchange, key.unwrap_or_else(|| name.clone()))),
                (None, _) => derived_binding(&name, &exchanges),
            };
            queues.push(Queue {
                kind: text("queues", at, "type"),
                durable: flag("queues", at),
                max_priority: said.number(&format!("queues.{at}.max_priority")),
                message_ttl: said.number(&format!("queues.{at}.message_ttl")),
                max_length: said.number(&format!("queues.{at}.max_length")),
                dead_letter_exchange: text("queues", at, "dead_letter_exchange"),
                dead_letter_key: text("queues", at, "dead_letter_routing_key"),
                binding,
                name,
            });
        }
        if queues.is_empty() {
            let name = "grey.tasks.{tenant}".to_owned();
            queues.push(Queue {
                binding: derived_binding(&name, &exchanges),
                dead_letter_exchange: Some("grey.dlx".to_owned()),
                max_priority: Some(10),
                message_ttl: Some(3_600_000),
                ..Queue::plain(&name)
            });
        }
        Self { exchanges, queues }
    }

    /// Everything of one tenant: the exchanges, its queues, and a queue that keeps the dead letters of each dead-letter exchange
    /// (`grey.dlx` has `grey.dlq`), because an exchange without a queue drops what it is given.
    pub(super) fn for_tenant(&self, tenant: &str) -> Self {
        let put = |text: &str| text.replace("{tenant}", tenant);
        let exchanges: Vec<Exchange> =
            self.exchanges.iter().map(|exchange| Exchange { name: put(&exchange.name), ..exchange.clone() }).collect();
        let mut queues: Vec<Queue> = Vec::new();
        for queue in &self.queues {
            queues.push(Queue {
                name: put(&queue.name),
                dead_letter_exchange: queue.dead_letter_exchange.as_deref().map(put),
                binding: queue.binding.as_ref().map(|(exchange, key)| (put(exchange), put(key))),
                ..queue.clone()
            });
        }
        let dead: Vec<String> = queues.iter().filter_map(|queue| queue.dead_letter_exchange.clone()).collect();
        for exchange in dead {
            let kept = queues.iter().any(|queue| queue.binding.as_ref().is_some_and(|(from, _)| *from == exchange));
            if !kept && !exchange.is_empty() {
                let name = exchange.strip_suffix("dlx").map_or_else(|| format!("{exchange}.dlq"), |stem| format!("{stem}dlq"));
                let direct = exchanges.iter().any(|known| known.name == exchange && known.kind != "direct");
                let key = if direct { "#".to_owned() } else { String::new() };
                queues.push(Queue { binding: Some((exchange, key)), ..Queue::plain(&name) });
            }
        }
        Self { exchanges, queues }
    }

    /// What is said of a queue of this name, and whose it is, where a tenant is part of its name.
    pub(super) fn find<'q>(&self, queue: &'q str) -> Option<(&Queue, Option<&'q str>)> {
        self.queues.iter().find_map(|known| match known.name.split_once("{tenant}") {
            None => (known.name == queue).then_some((known, None)),
            Some((before, after)) => {
                let tenant = queue.strip_prefix(before)?.strip_suffix(after)?;
                (!tenant.is_empty()).then_some((known, Some(tenant)))
            }
        })
    }

    /// The queue whose name has the tenant in it, for the plan's summary.
    pub(super) fn is_for_tenants(&self) -> bool {
        self.queues.iter().any(|queue| queue.name.contains("{tenant}"))
    }
}

impl Queue {
    /// A durable queue without anything else.
    pub(super) fn plain(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            kind: None,
            durable: true,
            max_priority: None,
            message_ttl: None,
            max_length: None,
            dead_letter_exchange: None,
            dead_letter_key: None,
            binding: None,
        }
    }
}

impl Queue {
    /// The arguments that it is declared with.
    pub(super) fn arguments(&self) -> Vec<(&'static str, Argument)> {
        let text = |text: &Option<String>| text.clone().map(Argument::Text);
        let number = |n: Option<u64>| n.and_then(|n| i64::try_from(n).ok()).map(Argument::Number);
        [
            ("x-queue-type", text(&self.kind)),
            ("x-max-priority", number(self.max_priority.map(u64::from))),
            ("x-message-ttl", number(self.message_ttl.map(u64::from))),
            ("x-max-length", number(self.max_length)),
            ("x-dead-letter-exchange", text(&self.dead_letter_exchange)),
            ("x-dead-letter-routing-key", text(&self.dead_letter_key)),
        ]
        .into_iter()
        .filter_map(|(name, argument)| Some((name, argument?)))
        .collect()
    }
}

/// The value of an argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Argument {
    Text(String),
    Number(i64),
}

/// Seed 1 binds `grey.tasks.{tenant}` to the exchange `grey.tasks` by the key `tasks.{tenant}`: the exchange is the longest whose name
/// begins the queue's, and the key is the queue's name without the first word.
fn derived_binding(queue: &str, exchanges: &[Exchange]) -> Option<(String, String)> {
    let begins = |exchange: &&Exchange| queue.strip_prefix(&exchange.name).is_some_and(|rest| rest.starts_with('.'));
    let exchange = exchanges.iter().filter(begins).max_by_key(|exchange| exchange.name.len())?;
    let key = queue.split_once('.').map_or(queue, |(_, rest)| rest);
    Some((exchange.name.clone(), key.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::profile::Setting;
    use crate::config::secret::Secret;
    use std::collections::BTreeMap;

    #[test]
    fn without_a_word_it_is_seed_1s() {
        let seed = Topology::of(&Settings(&BTreeMap::new())).for_tenant("tenant-123");
        let exchanges: Vec<_> = seed.exchanges.iter().map(|e| (e.name.as_str(), e.kind.as_str())).collect();
        assert_eq!(exchanges, [("grey.tasks", "topic"), ("grey.results", "topic"), ("grey.dlx", "fanout")]);
        let [tasks, dead] = seed.queues.as_slice() else { panic!("{:?}", seed.queues) };
        assert_eq!((tasks.name.as_str(), tasks.max_priority, tasks.message_ttl), ("grey.tasks.tenant-123", Some(10), Some(3_600_000)));
        assert_eq!(tasks.binding, Some(("grey.tasks".to_owned(), "tasks.tenant-123".to_owned())));
        assert_eq!(tasks.dead_letter_exchange.as_deref(), Some("grey.dlx"));
        assert_eq!((dead.name.as_str(), dead.binding.as_ref().map(|(from, _)| from.as_str())), ("grey.dlq", Some("grey.dlx")));
    }

    #[test]
    fn a_profile_says_its_own() {
        let mut said = BTreeMap::new();
        for (name, value) in [
            ("exchanges.0.name", "work"),
            ("exchanges.0.type", "direct"),
            ("queues.0.name", "{tenant}-work"),
            ("queues.0.type", "quorum"),
            ("queues.0.exchange", "work"),
            ("queues.0.routing_key", "{tenant}"),
        ] {
            said.insert(name.to_owned(), Setting { value: Secret::new(value.to_owned()), line: 1 });
        }
        let own = Topology::of(&Settings(&said));
        assert_eq!(own.find("acme-work").map(|(queue, tenant)| (queue.name.as_str(), tenant)), Some(("{tenant}-work", Some("acme"))));
        assert!(own.find("-work").is_none() && own.find("acme-work-2").is_none());
        let own = own.for_tenant("a");
        assert_eq!(own.find("a-work").map(|(_, tenant)| tenant), Some(None), "this one is nobody's but itself");
        assert!(own.find("a-work-2").is_none());
        assert_eq!((own.queues[0].name.as_str(), own.queues[0].kind.as_deref()), ("a-work", Some("quorum")));
        assert_eq!(own.queues[0].binding, Some(("work".to_owned(), "a".to_owned())));
        assert_eq!(own.queues.len(), 1, "nothing dies here");
    }
}
