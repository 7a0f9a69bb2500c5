//! Tapping: a queue of our own beside those of the consumers, bound to what feeds a channel. It takes nothing away from anybody.

use super::Rabbit;
use super::link::{self, Live};
use super::management::text;
use super::name::Name;
use super::table;
use crate::domain::fault::{Fault, Kind};
use lapin::options::{BasicConsumeOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Consumer};
use serde_json::Value;

pub(super) const OP: &str = "tail";
/// Exchange types to which a queue can be bound without taking anything from others.
pub(super) const TAPPED: &[&str] = &["direct", "fanout", "headers", "topic"];
/// What waits in our queue while it comes faster than the connection carries; the oldest is dropped beyond it.
pub(super) const LENGTH: u32 = 50_000;
pub(super) const BYTES: u64 = 64 * 1024 * 1024;
/// The server removes our queue when nobody reads it for so long, in milliseconds. It is exclusive as well, so that it goes with us.
const EXPIRES: i32 = 60_000;
/// Keys of a direct exchange that are bound one by one.
const KEYS: usize = 1_000;

/// What feeds a channel, as far as it can be tapped.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Sources {
    pub(super) bindings: Vec<Binding>,
    /// What cannot be seen, each in one sentence.
    pub(super) unseen: Vec<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Binding {
    pub(super) exchange: String,
    pub(super) key: String,
    pub(super) arguments: FieldTable,
}

/// Our queue, being read.
pub(super) struct Tap {
    pub(super) channel: Channel,
    pub(super) consumer: Consumer,
    pub(super) queue: lapin::types::ShortString,
}

impl Rabbit {
    /// What feeds an exchange or a queue.
    pub(super) async fn sources(&self, name: &Name) -> Result<Sources, Fault> {
        match name {
            Name::Exchange(exchange) => self.sources_of_exchange(exchange).await,
            Name::Queue(queue) => self.sources_of_queue(queue).await,
            Name::Stream(_) => Ok(Sources::default()),
        }
    }

    async fn sources_of_exchange(&self, exchange: &str) -> Result<Sources, Fault> {
        let target = format!("exchange:{exchange}");
        let kind = self.exchange_type(exchange).await?;
        let all = |key: &str| Sources {
            bindings: vec![Binding { exchange: exchange.to_owned(), key: key.to_owned(), arguments: FieldTable::default() }],
            unseen: Vec::new(),
        };
        match kind.as_str() {
            "topic" => Ok(all("#")),
            "fanout" => Ok(all("")),
            // Without a header to compare, all of none match.
            "headers" => {
                let mut sources = all("");
                sources.bindings[0].arguments.insert("x-match".into(), AMQPValue::LongString("all".into()));
                Ok(sources)
            }
            "direct" => {
                let rows = self.management.get("exchanges", &[exchange, "bindings", "source"], &[]).await?;
                let mut keys: Vec<&str> = rows.as_array().into_iter().flatten().filter_map(|row| text(row, &["routing_key"])).collect();
                keys.sort_unstable();
                keys.dedup();
                let cut = keys.len() > KEYS;
                keys.truncate(KEYS);
                if keys.is_empty() {
                    return Err(Fault::new(
                        Kind::Rejected,
                        OP,
                        target,
                        "no key is bound to this direct exchange, so that nothing can be seen",
                    )
                    .next("a direct exchange is seen by the keys that are bound to it"));
                }
                let bindings = keys.iter().map(|key| Binding {
                    exchange: exchange.to_owned(),
                    key: (*key).to_owned(),
                    arguments: FieldTable::default(),
                });
                let mut unseen = vec!["a direct exchange is seen by the keys that are bound to it now: no others".to_owned()];
                unseen.extend(cut.then(|| format!("more than {KEYS} keys are bound: the others are not seen")));
                Ok(Sources { bindings: bindings.collect(), unseen })
            }
            // Another queue bound to a random or hashing exchange takes its share away from the others.
            kind => {
                Err(Fault::new(Kind::Usage, OP, target, format!("an exchange of the type {kind} cannot be tapped without taking part"))
                    .next("tail the exchanges that feed it, or peek into its queues"))
            }
        }
    }

    /// The type of an exchange: AMQP does not tell, so without the management API only names and the profile do.
    pub(super) async fn exchange_type(&self, exchange: &str) -> Result<String, Fault> {
        let fault = match self.management.get("exchanges", &[exchange], &[("columns", "type")]).await {
            Ok(said) => match text(&said, &["type"]) {
                Some(kind) => return Ok(kind.to_owned()),
                None => Fault::new(Kind::Protocol, OP, exchange, "the management API does not say the exchange's type"),
            },
            Err(fault) if fault.kind == Kind::NotFound && !self.management.is_off() => {
                return Err(Fault { op: OP, target: format!("exchange:{exchange}").into(), ..fault });
            }
            Err(fault) => fault,
        };
        self.exchange_is_there(OP, exchange).await?;
        let standard = match exchange {
            "amq.direct" => Some("direct"),
            "amq.fanout" => Some("fanout"),
            "amq.headers" | "amq.match" => Some("headers"),
            "amq.topic" | "amq.rabbitmq.trace" | "amq.rabbitmq.event" | "amq.rabbitmq.log" => Some("topic"),
            _ => None,
        };
        let said = self.settings.topology.exchanges.iter().find(|known| known.name == exchange).map(|known| known.kind.as_str());
        standard.or(said).map(str::to_owned).ok_or_else(|| {
            Fault::new(
                Kind::Rejected,
                OP,
                format!("exchange:{exchange}"),
                format!("its type is not known, because the management API is not there: {}", fault.cause),
            )
            .next(format!("say it in the profile: exchanges = [{{ name = \"{exchange}\", type = \"topic\" }}], or {}", fault.next))
        })
    }

    async fn sources_of_queue(&self, queue: &str) -> Result<Sources, Fault> {
        let found = match self.management.get("queues", &[queue, "bindings"], &[]).await {
            Ok(rows) => rows.as_array().into_iter().flatten().filter_map(binding).collect(),
            Err(fault) => self.said_binding(queue).map(|binding| vec![binding]).ok_or_else(|| {
                let cause = format!("what feeds it is not known, because the management API is not there: {}", fault.cause);
                Fault::new(Kind::Rejected, OP, format!("queue:{queue}"), cause).next(fault.next.as_str())
            })?,
        };
        let mut sources = Sources::default();
        sources
            .unseen
            .push("messages that are sent to the queue by its name (the default exchange), and dead letters that come so".to_owned());
        for binding in found {
            match self.exchange_type(&binding.exchange).await?.as_str() {
                "topic" | "fanout" | "headers" | "direct" => sources.bindings.push(binding),
                kind => sources.unseen.push(format!("what comes by {}: an exchange of the type {kind} cannot be tapped", binding.exchange)),
            }
        }
        if sources.bindings.is_empty() {
            return Err(Fault::new(
                Kind::Usage,
                OP,
                format!("queue:{queue}"),
                "no exchange feeds it, so that live messages cannot be seen without taking them",
            )
            .next("peek into it, or publish to it by an exchange"));
        }
        Ok(sources)
    }

    /// The binding that the profile's topology gives to a queue of that name.
    fn said_binding(&self, queue: &str) -> Option<Binding> {
        let (known, tenant) = self.settings.topology.find(queue)?;
        let (exchange, key) = known.binding.clone()?;
        let key = tenant.map_or_else(|| key.clone(), |tenant| key.replace("{tenant}", tenant));
        Some(Binding { exchange, key, arguments: FieldTable::default() })
    }
}

/// Declares our queue, binds it and reads it.
pub(super) async fn open(live: &Live, name: &Name, sources: &Sources) -> Result<Tap, Fault> {
    let target = name.text();
    let allowed = |fault: Fault| {
        if fault.kind != Kind::Forbidden {
            return fault;
        }
        fault
            .next("a tap needs to declare and read queues named mqdeck.tap.…, and to read what it is bound to: rabbitmqctl set_permissions")
    };
    let channel = live.channel(OP, &target).await?;
    let queue = link::short(&format!("mqdeck.tap.{:016x}", fastrand::u64(..)), OP)?;
    let mut arguments = FieldTable::default();
    arguments.insert("x-max-length".into(), AMQPValue::LongLongInt(i64::from(LENGTH)));
    arguments.insert("x-max-length-bytes".into(), AMQPValue::LongLongInt(BYTES as i64));
    arguments.insert("x-overflow".into(), AMQPValue::LongString("drop-head".into()));
    arguments.insert("x-expires".into(), AMQPValue::LongInt(EXPIRES));
    let options = QueueDeclareOptions { exclusive: true, auto_delete: true, ..QueueDeclareOptions::default() };
    live.within(OP, &target, channel.queue_declare(queue.clone(), options, arguments)).await.map_err(allowed)?;
    for binding in &sources.bindings {
        let (exchange, key) = (link::short(&binding.exchange, OP)?, link::short(&binding.key, OP)?);
        let bound = channel.queue_bind(queue.clone(), exchange, key, QueueBindOptions::default(), binding.arguments.clone());
        live.within(OP, &target, bound).await.map_err(allowed)?;
    }
    // Nothing is acknowledged: what comes is always taken, and is nobody else's.
    let options = BasicConsumeOptions { exclusive: true, no_ack: true, ..BasicConsumeOptions::default() };
    let consumed = channel.basic_consume(queue.clone(), "".into(), options, FieldTable::default());
    let consumer = live.within(OP, &target, consumed).await.map_err(allowed)?;
    Ok(Tap { channel, consumer, queue })
}

/// A row of the management API's list of bindings; the default exchange's are no bindings that could be made again.
fn binding(row: &Value) -> Option<Binding> {
    let exchange = text(row, &["source"]).filter(|source| !source.is_empty())?;
    let arguments = match row.get("arguments").and_then(table::from_json) {
        Some(AMQPValue::FieldTable(arguments)) => arguments,
        _ => FieldTable::default(),
    };
    Some(Binding { exchange: exchange.to_owned(), key: text(row, &["routing_key"]).unwrap_or_default().to_owned(), arguments })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_binding_is_made_again_with_its_arguments_and_the_default_exchange_s_is_none() {
        let row = serde_json::json!({"source": "events", "routing_key": "", "arguments": {"x-match": "any", "tenant": "a", "level": 3}});
        let made = binding(&row).expect("a binding");
        assert_eq!((made.exchange.as_str(), made.key.as_str()), ("events", ""));
        assert_eq!(made.arguments.inner().get("level"), Some(&AMQPValue::LongLongInt(3)));
        assert_eq!(binding(&serde_json::json!({"source": "", "routing_key": "tasks"})), None);
    }
}
