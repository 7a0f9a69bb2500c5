//! What is carried out, frozen: declarations, bindings, purges and deletions.

use crate::adapters::rabbitmq::Rabbit;
use crate::adapters::rabbitmq::link::{self, Live};
use crate::adapters::rabbitmq::topology::{Argument, Exchange, Queue};
use crate::domain::fault::{Fault, Kind};
use crate::domain::figure;
use crate::domain::operation::Done;
use crate::domain::text::SafeText;
use lapin::options::{
    ExchangeBindOptions, ExchangeDeclareOptions, ExchangeDeleteOptions, ExchangeUnbindOptions, QueueBindOptions, QueueDeclareOptions,
    QueueDeleteOptions, QueuePurgeOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, ExchangeKind};
use serde::{Deserialize, Serialize};

/// The steps of one change.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Steps {
    Declare { exchanges: Vec<Exchange>, queues: Vec<Queue> },
    Bind(Binding),
    Unbind(Binding),
    Purge { queue: String },
    DeleteQueue { queue: String, if_unused: bool, if_empty: bool },
    DeleteExchange { exchange: String, if_unused: bool },
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
    pub(super) async fn carry_out(self, rabbit: &Rabbit, op: &'static str) -> Done {
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
            Self::Purge { queue } => parts.push((format!("queue:{queue}").into(), purge(rabbit, op, &queue).await)),
            Self::DeleteQueue { queue, if_unused, if_empty } => {
                let deleted = delete_queue(rabbit, op, &queue, if_unused, if_empty).await;
                parts.push((format!("queue:{queue}").into(), deleted));
            }
            Self::DeleteExchange { exchange, if_unused } => {
                let options = ExchangeDeleteOptions { if_unused, ..ExchangeDeleteOptions::default() };
                let deleted = delete_exchange(rabbit, op, &exchange, options).await;
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

async fn purge(rabbit: &Rabbit, op: &'static str, queue: &str) -> Result<SafeText, Fault> {
    let name = link::short(queue, op)?;
    let gone = on_channel(rabbit, op, queue, async |live: &Live, channel: &Channel| {
        live.within(op, queue, channel.queue_purge(name, QueuePurgeOptions::default())).await
    })
    .await?;
    Ok(format!("{} messages deleted", figure::grouped(u64::from(gone))).into())
}

/// Only classic queues look themselves whether they are unused or empty, and asking another one ends the connection: so it is looked
/// just before.
async fn delete_queue(rabbit: &Rabbit, op: &'static str, queue: &str, if_unused: bool, if_empty: bool) -> Result<SafeText, Fault> {
    let name = link::short(queue, op)?;
    let said = rabbit.queue_is_there(op, queue).await?;
    let refuse = |cause: String| Err(Fault::new(Kind::Rejected, op, queue, cause).next("plan again"));
    if if_unused && said.consumer_count() > 0 {
        return refuse(format!("it has {} consumers by now", said.consumer_count()));
    }
    if if_empty && said.message_count() > 0 {
        return refuse(format!("it has {} messages by now", said.message_count()));
    }
    let gone = on_channel(rabbit, op, queue, async |live: &Live, channel: &Channel| {
        live.within(op, queue, channel.queue_delete(name, QueueDeleteOptions::default())).await
    })
    .await?;
    Ok(format!("deleted with {} messages", figure::grouped(u64::from(gone))).into())
}

async fn delete_exchange(rabbit: &Rabbit, op: &'static str, exchange: &str, options: ExchangeDeleteOptions) -> Result<SafeText, Fault> {
    let name = link::short(exchange, op)?;
    on_channel(rabbit, op, exchange, async |live: &Live, channel: &Channel| {
        live.within(op, exchange, channel.exchange_delete(name, options)).await
    })
    .await?;
    Ok("deleted".into())
}
