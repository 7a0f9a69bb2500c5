//! One channel with everything that is known of it: arguments, bindings, policy, consumers, rates, and the way of its dead letters.

use super::Rabbit;
use super::cluster::Replicas;
use super::dead_letters::Map;
use super::inspect::BINDING_COLUMNS;
use super::management::{number, text};
use super::name::Name;
use crate::domain::channel::{Attribute, Description, Table};
use crate::domain::fault::{Fault, Kind};
use crate::domain::figure;
use crate::domain::text::SafeText;
use serde_json::Value;

/// The counters of a queue or an exchange, as the server names them and as people do.
const RATES: &[(&str, &str)] = &[
    ("publish", "published"),
    ("publish_in", "published"),
    ("publish_out", "routed"),
    ("deliver", "delivered"),
    ("deliver_no_ack", "delivered, no ack"),
    ("get", "got"),
    ("get_no_ack", "got, no ack"),
    ("ack", "acknowledged"),
    ("redeliver", "redelivered"),
    ("return_unroutable", "returned: no route"),
    ("drop_unroutable", "dropped: no route"),
];
/// What only the management API tells.
const MISSING: &[&str] = &["type and arguments", "bindings", "policy", "consumers", "rates", "unacknowledged messages", "dead-letter path"];

impl Rabbit {
    pub(super) async fn description(&self, name: &Name) -> Result<Description, Fault> {
        let bare = name.bare();
        let kind = if matches!(name, Name::Exchange(_)) { "exchanges" } else { "queues" };
        let row = match self.management.get(kind, &[bare], &[]).await {
            Ok(row) => row,
            Err(fault) if fault.kind == Kind::NotFound && !self.management.is_off() => {
                let cause = format!("there is no {} of that name in the vhost {}", name.kind(), self.settings.vhost);
                return Err(Fault::new(Kind::NotFound, "describe", name.text(), cause).next("check the spelling and the vhost"));
            }
            Err(fault) => return self.without_management(name, &fault).await,
        };
        let (exchanges, bindings) =
            tokio::try_join!(self.management.list("exchanges", "name,type"), self.management.list("bindings", BINDING_COLUMNS))?;
        let map = Map::of(&exchanges, &bindings);
        let strange = || Fault::new(Kind::Protocol, "describe", name.text(), "the management API's answer has no name");
        let mut tables = Vec::new();
        let mut channel = if let Name::Exchange(exchange) = name {
            tables.push(bindings_of(&bindings, "source", exchange));
            tables.push(bindings_of(&bindings, "destination", exchange));
            self.exchange_row(&row, &map).ok_or_else(strange)?
        } else {
            tables.extend(Replicas::of(&row).map(|replicas| replicas.table()));
            tables.push(dead_letters(&row, &map));
            tables.push(bindings_of(&bindings, "destination", bare));
            tables.push(consumers(&row));
            self.queue_row(&row, &map).ok_or_else(strange)?
        };
        for flag in ["durable", "exclusive", "auto_delete", "internal"] {
            channel
                .attributes
                .extend(row.get(flag).and_then(Value::as_bool).map(|yes| Attribute::new(flag, if yes { "yes" } else { "no" })));
        }
        channel.attributes.extend(text(&row, &["node"]).map(|node| Attribute::new("node", node)));
        channel.attributes.push(Attribute::new("vhost", &*self.settings.vhost));
        tables.push(pairs("arguments", row.get("arguments")));
        tables.push(pairs("policy in effect", row.get("effective_policy_definition")));
        tables.push(rates(&row));
        tables.push(self.tap_table(name).await);
        tables.retain(|table| !table.rows.is_empty());
        Ok(Description { channel, tables })
    }

    /// What can be told all the same, and what cannot, with the reason.
    async fn without_management(&self, name: &Name, missing: &Fault) -> Result<Description, Fault> {
        let mut channel = self.bare_row(name).await;
        if let Some(fault) = channel.fault.take() {
            return Err(fault);
        }
        channel.attributes.push(Attribute::new("vhost", &*self.settings.vhost));
        let because = format!("{}; {}", missing.cause, missing.next);
        let rows = MISSING.iter().map(|what| vec![SafeText::new(what), SafeText::new(&because)]).collect();
        Ok(Description {
            channel,
            tables: vec![Table { title: "not known without the management API", columns: vec!["what", "why"], rows }],
        })
    }

    /// What a tail of the channel sees, and what it does not.
    async fn tap_table(&self, name: &Name) -> Table {
        let mut rows = Vec::new();
        match self.sources(name).await {
            Ok(sources) => {
                for binding in &sources.bindings {
                    let key = if binding.key.is_empty() { String::new() } else { format!(", key {}", binding.key) };
                    rows.push(["sees".to_owned(), format!("exchange:{}{key}", binding.exchange)]);
                }
                rows.extend(sources.unseen.into_iter().map(|unseen| ["does not see".to_owned(), unseen]));
            }
            Err(fault) => rows.push(["is not possible".to_owned(), fault.cause.to_string()]),
        }
        table("a live tail", vec!["it", "what"], rows)
    }
}

fn table<const N: usize>(title: &'static str, columns: Vec<&'static str>, rows: Vec<[String; N]>) -> Table {
    Table { title, columns, rows: rows.into_iter().map(|row| row.map(SafeText::from).to_vec()).collect() }
}

/// A JSON object's members, one a row.
fn pairs(title: &'static str, object: Option<&Value>) -> Table {
    let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let members = object.and_then(Value::as_object).into_iter().flatten();
    table(title, vec!["name", "value"], members.map(|(name, value)| [name.clone(), plain(value)]).collect())
}

/// The bindings in which a channel stands on one side.
fn bindings_of(bindings: &[Value], side: &str, name: &str) -> Table {
    let (title, other) = if side == "source" { ("bound here", "destination") } else { ("fed by", "source") };
    let said = |row: &Value, field: &str| text(row, &[field]).unwrap_or_default().to_owned();
    let ours = bindings.iter().filter(|row| text(row, &[side]) == Some(name));
    let rows = ours.map(|row| {
        let kind = if side == "source" { said(row, "destination_type") } else { "exchange".to_owned() };
        let other = said(row, other);
        let other = if other.is_empty() { "the default exchange".to_owned() } else { format!("{kind}:{other}") };
        [other, said(row, "routing_key")]
    });
    table(title, vec!["channel", "key"], rows.collect())
}

fn dead_letters(queue: &Value, map: &Map) -> Table {
    let mut rows = Vec::new();
    match map.path(queue) {
        None => rows.push(["none".to_owned(), "rejected, expired and overflowing messages are deleted".to_owned()]),
        Some(path) => {
            let exchange = if path.exchange.is_empty() { "the default exchange".to_owned() } else { format!("exchange:{}", path.exchange) };
            rows.push(["by".to_owned(), path.key.as_ref().map_or(exchange.clone(), |key| format!("{exchange}, key {key}"))]);
            rows.push(["to".to_owned(), path.target()]);
            if path.is_safe() {
                rows.push(["safe".to_owned(), "at-least-once: a dead letter leaves the queue when its target has it".to_owned()]);
            }
            rows.extend(path.losses.iter().map(|loss| ["lossy".to_owned(), (*loss).to_owned()]));
        }
    }
    let limit = number(queue, &["delivery_limit"]).or_else(|| number(queue, &["arguments", "x-delivery-limit"]));
    rows.extend(limit.map(|limit| ["after".to_owned(), format!("{limit} deliveries at most")]));
    table("dead letters", vec!["path", "what"], rows)
}

fn consumers(queue: &Value) -> Table {
    let rows = queue.get("consumer_details").and_then(Value::as_array).into_iter().flatten().map(|consumer| {
        let said = |path: &[&str]| text(consumer, path).unwrap_or("–").to_owned();
        let mode = if consumer.get("ack_required").and_then(Value::as_bool) == Some(true) { "manual ack" } else { "no ack" };
        let prefetch = number(consumer, &["prefetch_count"])
            .map_or_else(|| "–".to_owned(), |n| if n == 0 { "no bound".to_owned() } else { n.to_string() });
        [
            said(&["consumer_tag"]),
            said(&["channel_details", "connection_name"]),
            said(&["channel_details", "user"]),
            mode.to_owned(),
            prefetch,
        ]
    });
    table("who consumes", vec!["tag", "connection", "user", "mode", "prefetch"], rows.collect())
}

/// Counters and their rates; what there was no traffic of is not there.
fn rates(row: &Value) -> Table {
    let stats = |counter: &str| number(row, &["message_stats", counter]);
    let rows = RATES.iter().filter_map(|(counter, title)| {
        let rate = super::management::rate(row, counter).map_or_else(|| "–".to_owned(), figure::rate);
        Some([(*title).to_owned(), figure::count(stats(counter)?), rate])
    });
    table("messages since the server counts (sampled every 5 s)", vec!["what", "count", "per second"], rows.collect())
}
