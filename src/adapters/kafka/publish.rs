//! Publishing over librdkafka: idempotent, confirmed by every replica, in order, and never silent about a doubt.

use super::link::cluster::Cluster;
use super::producer::{Producer, not_created};
use super::record::{self, Order, PROFILE, SPEC};
use super::refusal::{not_sent, undelivered};
use super::{refusal, settings};
use crate::adapters::session::Publish;
use crate::adapters::token_source::{self, TokenSource};
use crate::adapters::wirelog::WireLog;
use crate::config::profile::Integration;
use crate::domain::fault::{Fault, Kind};
use crate::domain::figure;
use crate::domain::message::Outgoing;
use crate::domain::operation::PublishSpec;
use crate::domain::position::Position;
use crate::domain::receipt::Receipt;
use crate::domain::text::SafeText;
use async_trait::async_trait;
use futures::FutureExt;
use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::future_producer::DeliveryFuture;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, sleep, timeout};

/// A producer that nobody used for so long is given up: it holds threads, connections and a handle for every topic it ever wrote to.
const IDLE: Duration = Duration::from_secs(60);
/// Topics that are published to at the same time seldom share one of so many.
const TURNS: usize = 64;
/// Bookkeeping of the client's own when a message has timed out there.
pub(super) const GRACE: Duration = Duration::from_secs(1);

/// The publishing half of a Kafka session. The producer is made when the first message comes, and made anew after a fatal error.
pub(super) struct Publisher {
    integration: Arc<str>,
    peer: SafeText,
    config: ClientConfig,
    tokens: Option<Arc<dyn TokenSource>>,
    /// What the profile demands and librdkafka cannot do.
    refusal: Option<&'static str>,
    timeout: Duration,
    patience: Duration,
    log: WireLog,
    /// Looks up the limit when a message was too large.
    cluster: Option<Cluster>,
    desk: Arc<Mutex<Desk>>,
    /// Held from the first look at a topic until the message is queued, in the order of the calls (the lock is fair), so that the
    /// messages of a topic are queued in that order too. Each topic has one of these, so that one whose brokers do not answer holds up
    /// few others.
    turns: [Turn; TURNS],
}

/// Which producers there are; locked for no longer than it takes to find or make one.
#[derive(Default)]
struct Desk {
    /// One for each compression in use.
    producers: Vec<(String, Arc<Producer>)>,
    /// The last failure of a topic, for the calls that waited meanwhile: they need not each wait as long again.
    failed: Option<(Instant, Arc<str>, Fault)>,
}

/// What the messages of a topic wait for.
#[derive(Default)]
struct Turn {
    /// The compression of the last message.
    last: Mutex<Option<String>>,
    /// Messages that were handed over and are neither stored nor refused.
    under_way: watch::Sender<usize>,
}

impl Turn {
    fn handed_over(&self, delivery: DeliveryFuture) -> UnderWay {
        self.under_way.send_modify(|count| *count += 1);
        UnderWay { delivery: Some(delivery), count: self.under_way.clone() }
    }
}

/// A message on its way. It is counted until it is stored or refused, whether or not somebody waits for that.
struct UnderWay {
    delivery: Option<DeliveryFuture>,
    count: watch::Sender<usize>,
}

impl Future for UnderWay {
    type Output = <DeliveryFuture as Future>::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(delivery) = &mut self.delivery else { return Poll::Pending };
        let delivered = ready!(delivery.poll_unpin(context));
        self.delivery = None;
        self.count.send_modify(|count| *count -= 1);
        Poll::Ready(delivered)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if let (Some(delivery), Ok(runtime)) = (self.delivery.take(), Handle::try_current()) {
            let count = self.count.clone();
            runtime.spawn(async move {
                let _ = delivery.await;
                count.send_modify(|count| *count -= 1);
            });
        }
    }
}

impl Publisher {
    /// Checks the settings; connects when the first message comes.
    pub(super) fn new(integration: &Integration, cluster: Option<Cluster>, log: WireLog) -> Result<Self, Fault> {
        let config = settings::producer(integration)?;
        let patience = settings::message_timeout(&config) + GRACE;
        Ok(Self {
            integration: integration.name.clone(),
            peer: integration.endpoint.addresses.join(",").into(),
            config,
            tokens: token_source::of(&integration.auth),
            refusal: settings::beyond_librdkafka(integration),
            timeout: integration.timeout,
            patience,
            log,
            cluster,
            desk: Arc::default(),
            turns: std::array::from_fn(|_| Turn::default()),
        })
    }

    /// Queues the message. What fails here was not sent.
    async fn queue(&self, channel: &str, target: &SafeText, message: &Outgoing) -> Result<(Arc<Producer>, UnderWay), Fault> {
        let rejected = |cause: String| not_sent(target, Kind::Rejected, &cause, "");
        if let Some(why) = self.refusal {
            return Err(not_sent(target, Kind::Rejected, why, "relax the tls block, or publish with another tool"));
        }
        let mut order = Order::read(message).map_err(rejected)?;
        let asked = Instant::now();
        let turn = self.turn(channel);
        let mut last = turn.last.lock().await;
        let producer = {
            let mut desk = self.desk.lock().await;
            if let Some((_, _, fault)) = desk.failed.as_ref().filter(|(when, of, _)| *when >= asked && **of == *channel) {
                return Err(fault.clone());
            }
            self.producer(&mut desk, &order.compression, target).await?
        };
        if let Err(fault) = producer.choose(channel, target, message.key.as_deref(), &mut order, self.timeout).await {
            let mut desk = self.desk.lock().await;
            if fault.kind == Kind::Unauthorized && !producer.is_busy() {
                // Left alone it would try the same log-in again and again, until somebody locks the account.
                desk.producers.retain(|(_, kept)| !Arc::ptr_eq(kept, &producer));
            }
            if matches!(fault.kind, Kind::Unauthorized | Kind::Unreachable | Kind::Timeout) {
                desk.failed = Some((Instant::now(), channel.into(), fault.clone()));
            }
            return Err(fault);
        }
        // Two producers know nothing of each other's order.
        if last.as_ref().is_some_and(|last| *last != order.compression) {
            // What is not delivered in time fails for its own caller.
            let mut under_way = turn.under_way.subscribe();
            let _ = timeout(self.patience, under_way.wait_for(|count| *count == 0)).await;
        }
        *last = Some(order.compression.clone());
        let delivery = producer.hand_over(channel, target, message, order, self.timeout).await?;
        Ok((producer, turn.handed_over(delivery)))
    }

    /// The turn that messages of this topic wait for.
    fn turn(&self, channel: &str) -> &Turn {
        let mut hasher = DefaultHasher::new();
        channel.hash(&mut hasher);
        &self.turns[hasher.finish() as usize % TURNS]
    }

    /// The producer for this compression.
    async fn producer(&self, desk: &mut Desk, compression: &str, target: &SafeText) -> Result<Arc<Producer>, Fault> {
        desk.producers.retain(|(_, producer)| !producer.is_dead());
        if let Some((_, producer)) = desk.producers.iter().find(|(name, _)| name == compression) {
            return Ok(producer.clone());
        }
        let mut config = self.config.clone();
        if compression != PROFILE {
            config.remove("compression.type").set("compression.codec", compression);
        }
        let made = Producer::create(config, self.tokens.clone(), self.patience).await;
        let producer = Arc::new(made.map_err(|error| not_created(target, &error))?);
        desk.producers.push((compression.to_owned(), producer.clone()));
        if desk.producers.len() == 1 {
            tokio::spawn(give_up_idle(Arc::downgrade(&self.desk)));
        }
        Ok(producer)
    }

    /// The fault of a message that came back.
    async fn came_back(&self, producer: &Producer, channel: &str, target: &SafeText, error: &KafkaError, size: usize) -> Fault {
        let mut sent = producer.sent(size);
        let code = error.rdkafka_error_code();
        if matches!(code, Some(RDKafkaErrorCode::MessageSizeTooLarge | RDKafkaErrorCode::MessageBatchTooLarge)) {
            sent.limit = self.limit_of(channel).await;
        }
        producer.forget(channel);
        undelivered(target, error, &sent)
    }
}

impl Publisher {
    /// The largest message that a topic takes; `None` if the brokers do not tell.
    async fn limit_of(&self, channel: &str) -> Option<u64> {
        const LIMIT: &str = "max.message.bytes";
        let mut settings = self.cluster.as_ref()?.settings(&[channel], Some(&[LIMIT])).await.ok()?;
        let own = settings.remove(channel)?.ok()?;
        own.into_iter().find(|setting| setting.name == LIMIT)?.value?.parse().ok()
    }
}

#[async_trait]
impl Publish for Publisher {
    fn spec(&self) -> &'static PublishSpec {
        &SPEC
    }

    async fn publish(&self, channel: &str, message: Outgoing) -> Result<Receipt, Fault> {
        let target = SafeText::from(format!("{}/{channel}", self.integration));
        let size = record::size(&message);
        let started = Instant::now();
        let outcome = match self.queue(channel, &target, &message).await {
            Err(fault) => Err(fault),
            Ok((producer, delivery)) => match delivery.await {
                Ok(Ok(stored)) => Ok(Receipt::Stored(Position::Offset { partition: stored.partition, offset: stored.offset })),
                Ok(Err((error, _))) => Err(self.came_back(&producer, channel, &target, &error, size).await),
                Err(_) => {
                    let gone = KafkaError::MessageProduction(RDKafkaErrorCode::PurgeInflight);
                    Err(undelivered(&target, &gone, &producer.sent(size)))
                }
            },
        };
        let said = match &outcome {
            Ok(receipt) => receipt.to_string(),
            Err(fault) => format!("{}: {}", fault.kind.word(), fault.cause),
        };
        self.log.record(&self.peer, format!("Produce {channel} {}", figure::bytes(size as u64)), said, started.elapsed());
        outcome
    }

    async fn flush(&self) -> Result<(), Fault> {
        let producers: Vec<_> = self.desk.lock().await.producers.iter().map(|(_, producer)| producer.clone()).collect();
        let mut waiting = 0;
        for producer in producers {
            waiting += producer.drained().await.err().unwrap_or(0);
        }
        if waiting == 0 {
            return Ok(());
        }
        let cause = format!("{waiting} messages were not confirmed; whether they were stored is unknown");
        Err(Fault::new(Kind::Timeout, refusal::OP, &*self.integration, cause))
    }
}

/// Gives up producers that nobody uses; ends with the last of them or with the publisher.
async fn give_up_idle(desk: Weak<Mutex<Desk>>) {
    loop {
        sleep(IDLE / 4).await;
        let Some(desk) = desk.upgrade() else { return };
        let mut desk = desk.lock().await;
        desk.producers.retain(|(_, producer)| Arc::strong_count(producer) > 1 || producer.idle() < IDLE);
        if desk.producers.is_empty() {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
