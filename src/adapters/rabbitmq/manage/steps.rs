//! What is carried out, frozen: declarations, bindings, purges and deletions.

use crate::adapters::rabbitmq::Rabbit;
use crate::adapters::rabbitmq::link::{self, Live};
use crate::adapters::rabbitmq::take::{self, Taking};
use crate::adapters::rabbitmq::topology::{Argument, Exchange, Queue};
use crate::domain::fault::{Fault, Kind};
use crate::domain::figure;
use crate::domain::operation::Done;
use crate::domain::text::SafeText;
use lapin::options::{
    BasicAckOptions, ExchangeBindOptions, ExchangeDeclareOptions, ExchangeDeleteOptions, ExchangeUnbindOptions, QueueBindOptions,
    QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, ExchangeKind};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::time::Duration;

/// The steps of one change.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Steps {
    /// Exchanges first, then queues with their bindings.
    Declare { exchanges: Vec<Exchange>, queues: Vec<Queue> },
    /// One binding is made.
    Bind(Binding),
    /// One binding is taken away.
    Unbind(Binding),
    /// Messages at the head of the queue, so many at most.
    Purge { queue: String, most: u64 },
    /// As the plan saw it.
    DeleteQueue(DeleteQueue),
    /// With the bindings that the plan saw, if it saw them.
    DeleteExchange { exchange: String, if_unused: bool, bindings: Option<Vec<String>> },
}

/// A queue that is deleted as the plan saw it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct DeleteQueue {
    pub(super) queue: String,
    pub(super) if_unused: bool,
    pub(super) if_empty: bool,
    /// Messages that were ready and that consumers held, as far as that was known, and consumers.
    pub(super) messages: u64,
    pub(super) consumers: u64,
    /// The server itself can be told to delete it only if it is empty: classic queues alone, asking another one ends the connection.
    pub(super) classic: bool,
}

/// An exchange that feeds something.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Binding {
    pub(super) exchange: String,
    pub(super) key: String,
    pub(super) destination: String,
    pub(super) to_exchange: bool,
}

type Part = (SafeText, Result<SafeText, Fault>);

impl Steps {
    pub(super) fn written(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Does one step after the other; a step that fails keeps those that build on it from being tried.
    pub(super) async fn apply(self, rabbit: &Rabbit, op: &'static str) -> Done {
        let mut parts: Vec<Part> = Vec::new();
        match self {
            Self::Declare { exchanges, queues } => {
                for exchange in &exchanges {
                    parts.push((format!("exchange:{}", exchange.name).into(), declare_exchange(rabbit, op, exchange).await));
                }
                for queue in &queues {
                    let declared = declare_queue(rabbit, op, queue).await;
                    let there = declared.is_ok();
                    parts.push((format!("queue:{}", queue.name).into(), declared));
                    if let (Some((exchange, key)), true) = (&queue.binding, there) {
                        let binding =
                            Binding { exchange: exchange.clone(), key: key.clone(), destination: queue.name.clone(), to_exchange: false };
                        parts.push(binding.part(binding.bind(rabbit, op).await));
                    }
                }
            }
            Self::Bind(binding) => parts.push(binding.part(binding.bind(rabbit, op).await)),
            Self::Unbind(binding) => parts.push(binding.part(binding.unbind(rabbit, op).await)),
            Self::Purge { queue, most } => parts.push((format!("queue:{queue}").into(), purge(rabbit, op, &queue, most).await)),
            Self::DeleteQueue(planned) => parts.push((format!("queue:{}", planned.queue).into(), delete_queue(rabbit, op, &planned).await)),
            Self::DeleteExchange { exchange, if_unused, bindings } => {
                let deleted = delete_exchange(rabbit, op, &exchange, if_unused, bindings.as_deref()).await;
                parts.push((format!("exchange:{exchange}").into(), deleted));
            }
        }
        Done { parts }
    }
}

impl Binding {
    pub(super) fn words(&self) -> String {
        let kind = if self.to_exchange { "exchange" } else { "queue" };
        format!("exchange:{} → {kind}:{}, key `{}`", self.exchange, self.destination, self.key)
    }

    fn part(&self, done: Result<SafeText, Fault>) -> Part {
        (self.words().into(), done)
    }

    async fn bind(&self, rabbit: &Rabbit, op: &'static str) -> Result<SafeText, Fault> {
        let (destination, exchange, key) =
            (link::short(&self.destination, op)?, link::short(&self.exchange, op)?, link::short(&self.key, op)?);
        let none = FieldTable::default;
        on_channel(rabbit, op, &self.words(), async |live: &Live, channel: &Channel| {
            if self.to_exchange {
                let bound =
                    channel.exchange_bind(destination.clone(), exchange.clone(), key.clone(), ExchangeBindOptions::default(), none());
                live.within(op, &self.words(), bound).await
            } else {
                let bound = channel.queue_bind(destination.clone(), exchange.clone(), key.clone(), QueueBindOptions::default(), none());
                live.within(op, &self.words(), bound).await
            }
        })
        .await?;
        Ok("bound".into())
    }

    async fn unbind(&self, rabbit: &Rabbit, op: &'static str) -> Result<SafeText, Fault> {
        let (destination, exchange, key) =
            (link::short(&self.destination, op)?, link::short(&self.exchange, op)?, link::short(&self.key, op)?);
        let none = FieldTable::default;
        on_channel(rabbit, op, &self.words(), async |live: &Live, channel: &Channel| {
            if self.to_exchange {
                let options = ExchangeUnbindOptions::default();
                live.within(op, &self.words(), channel.exchange_unbind(destination.clone(), exchange.clone(), key.clone(), options, none()))
                    .await
            } else {
                live.within(op, &self.words(), channel.queue_unbind(destination.clone(), exchange.clone(), key.clone(), none())).await
            }
        })
        .await?;
        Ok("unbound".into())
    }
}

/// Does one thing on a channel of its own.
async fn on_channel<T>(
    rabbit: &Rabbit,
    op: &'static str,
    target: &str,
    work: impl AsyncFnOnce(&Live, &Channel) -> Result<T, Fault>,
) -> Result<T, Fault> {
    let live = rabbit.link.shared().await?;
    let channel = live.channel(op, target).await?;
    let done = work(&live, &channel).await;
    link::close(&channel);
    done
}

async fn declare_exchange(rabbit: &Rabbit, op: &'static str, exchange: &Exchange) -> Result<SafeText, Fault> {
    let name = link::short(&exchange.name, op)?;
    let kind = match exchange.kind.as_str() {
        "direct" => ExchangeKind::Direct,
        "fanout" => ExchangeKind::Fanout,
        "headers" => ExchangeKind::Headers,
        "topic" => ExchangeKind::Topic,
        other => ExchangeKind::Custom(other.to_owned()),
    };
    let options = ExchangeDeclareOptions { durable: exchange.durable, ..ExchangeDeclareOptions::default() };
    on_channel(rabbit, op, &exchange.name, async |live: &Live, channel: &Channel| {
        live.within(op, &exchange.name, channel.exchange_declare(name, kind, options, FieldTable::default())).await
    })
    .await?;
    Ok(format!("is there, {}", exchange.kind).into())
}

async fn declare_queue(rabbit: &Rabbit, op: &'static str, queue: &Queue) -> Result<SafeText, Fault> {
    let name = link::short(&queue.name, op)?;
    let mut arguments = FieldTable::default();
    for (argument, value) in queue.arguments() {
        let value = match value {
            Argument::Text(text) => AMQPValue::LongString(text.into_bytes().into()),
            Argument::Number(number) => AMQPValue::LongLongInt(number),
        };
        arguments.insert(argument.into(), value);
    }
    let options = QueueDeclareOptions { durable: queue.durable, ..QueueDeclareOptions::default() };
    on_channel(rabbit, op, &queue.name, async |live: &Live, channel: &Channel| {
        live.within(op, &queue.name, channel.queue_declare(name, options, arguments)).await
    })
    .await?;
    Ok("is there".into())
}

/// How long a queue may count a consumer that is gone, and the pause between two looks.
const UNSEEN: Duration = Duration::from_secs(5);
const UNSEEN_PAUSE: Duration = Duration::from_millis(50);

/// Takes as many messages as were planned and acknowledges them: the server's own purge takes whatever is there.
async fn purge(rabbit: &Rabbit, op: &'static str, queue: &str, most: u64) -> Result<SafeText, Fault> {
    let others = rabbit.queue_is_there(op, queue).await?.consumer_count();
    // Beside everything else that goes by the shared connection these could be much.
    let live = rabbit.link.dedicated().await?;
    let channel = live.channel(op, queue).await?;
    let mut taking = Taking::new(&live, &channel, op, queue, most);
    let mut gone = 0;
    while gone < most {
        let deleted = async {
            let some = taking.some(most - gone).await?;
            let Some(last) = some.last() else { return Ok(0) };
            live.within(op, queue, channel.basic_ack(last.delivery_tag, BasicAckOptions { multiple: true })).await?;
            take::settled(&live, &channel, op, queue).await?;
            Ok(some.len() as u64)
        };
        match deleted.await {
            Ok(0) => break,
            Ok(count) => gone += count,
            Err(fault) if gone == 0 => return Err(fault),
            Err(fault) => {
                let cause =
                    format!("{}; {} of {} were deleted before", fault.cause, figure::grouped(gone), figure::several(most, "message"));
                return Err(Fault { cause: cause.into(), ..fault });
            }
        }
    }
    unseen(rabbit, op, queue, others).await;
    if gone == most {
        return Ok(format!("{} deleted", figure::several(gone, "message")).into());
    }
    let cause = format!("{} of {} deleted: the server gives us no more of them", figure::grouped(gone), figure::several(most, "message"));
    if gone > 0 {
        return Ok(format!("{cause}, consumers have taken them meanwhile").into());
    }
    Err(Fault::new(Kind::Rejected, op, queue, cause)
        .next("consumers took them meanwhile, or one has the queue for itself (single active consumer): look at it"))
}

/// Waits until our own consumer is not counted any more, which in a quorum queue is a moment after it has gone: who deletes the queue next
/// would be told that it is in use.
async fn unseen(rabbit: &Rabbit, op: &'static str, queue: &str, others: u32) {
    let counted = async || rabbit.queue_is_there(op, queue).await.is_ok_and(|there| there.consumer_count() > others);
    let gone = async {
        while counted().await {
            tokio::time::sleep(UNSEEN_PAUSE).await;
        }
    };
    // If consumers have come meanwhile, the count says nothing.
    let _ = tokio::time::timeout(UNSEEN, gone).await;
}

/// It is looked at just before: the server itself looks only whether a classic queue is empty.
async fn delete_queue(rabbit: &Rabbit, op: &'static str, planned: &DeleteQueue) -> Result<SafeText, Fault> {
    let queue = planned.queue.as_str();
    let name = link::short(queue, op)?;
    let said = rabbit.queue_is_there(op, queue).await?;
    let refuse = |cause: String| Err(Fault::new(Kind::Rejected, op, queue, cause).next("nothing was done: plan again"));
    let (messages, consumers) = (u64::from(said.message_count()), u64::from(said.consumer_count()));
    if planned.if_unused && consumers > 0 {
        return refuse(format!("it has {} by now", figure::several(consumers, "consumer")));
    }
    if planned.if_empty && messages > 0 {
        return refuse(format!("it has {} by now", figure::several(messages, "message")));
    }
    if consumers > planned.consumers {
        return refuse(format!("it has {} by now, {} when it was planned", figure::several(consumers, "consumer"), planned.consumers));
    }
    if messages > planned.messages {
        let planned = figure::grouped(planned.messages);
        return refuse(format!("it has {} by now, {planned} when it was planned", figure::several(messages, "message")));
    }
    let if_empty = planned.classic && planned.messages == 0;
    let gone = on_channel(rabbit, op, queue, async |live: &Live, channel: &Channel| {
        let options = QueueDeleteOptions { if_empty, ..QueueDeleteOptions::default() };
        live.within(op, queue, channel.queue_delete(name, options)).await
    })
    .await?;
    Ok(format!("deleted with {}", figure::several(u64::from(gone), "message")).into())
}

async fn delete_exchange(
    rabbit: &Rabbit,
    op: &'static str,
    exchange: &str,
    if_unused: bool,
    planned: Option<&[String]>,
) -> Result<SafeText, Fault> {
    let name = link::short(exchange, op)?;
    if let Some(planned) = planned.filter(|planned| !planned.is_empty()) {
        let now = bindings(rabbit, exchange).await?;
        if let Some(new) = now.iter().find(|binding| !planned.contains(binding)) {
            let cause = format!("it feeds {new} since it was planned");
            return Err(Fault::new(Kind::Rejected, op, exchange, cause).next("nothing was done: plan again"));
        }
    }
    // One that fed nothing is deleted only if it feeds nothing still.
    let if_unused = if_unused || planned.is_some_and(<[String]>::is_empty);
    on_channel(rabbit, op, exchange, async |live: &Live, channel: &Channel| {
        let options = ExchangeDeleteOptions { if_unused, ..ExchangeDeleteOptions::default() };
        live.within(op, exchange, channel.exchange_delete(name, options)).await
    })
    .await?;
    Ok("deleted".into())
}

/// What an exchange feeds, a line each.
pub(super) async fn bindings(rabbit: &Rabbit, exchange: &str) -> Result<Vec<String>, Fault> {
    let rows = rabbit.management.get("exchanges", &[exchange, "bindings", "source"], &[]).await?;
    let text = |row: &Value, name: &str| row.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let line = |row: &Value| {
        let [kind, destination, key] = ["destination_type", "destination", "properties_key"].map(|name| text(row, name));
        format!("{kind}:{destination}, key `{key}`")
    };
    Ok(rows.as_array().map(|rows| rows.iter().map(line).collect()).unwrap_or_default())
}
