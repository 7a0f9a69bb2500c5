//! `Producer`: one librdkafka producer at work: the topics it has seen, its troubles, and an end that neither hangs nor loses messages.

use super::context::{Context, Trouble};
use super::record::Order;
use super::refusal::{Sent, no_connection, no_topic, undelivered};
use crate::adapters::token_source::TokenSource;
use crate::domain::fault::{Fault, Kind};
use crate::domain::message::Outgoing;
use crate::domain::text::SafeText;
use rdkafka::ClientConfig;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::future_producer::DeliveryFuture;
use rdkafka::producer::{FutureProducer, FutureRecord, Producer as _};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep};

/// Long enough for one more attempt to connect (`reconnect.backoff.max.ms` is 2 s) when none was possible just before.
pub(super) const RECONNECT: Duration = Duration::from_secs(3);
/// How long a full queue is left to empty itself before it is asked again.
const QUEUE_PAUSE: Duration = Duration::from_millis(20);

pub(super) struct Producer {
    pub(super) client: FutureProducer<Context>,
    troubles: watch::Sender<Option<Trouble>>,
    state: Mutex<State>,
    /// How long the last messages may take when the producer ends.
    patience: Duration,
}

struct State {
    /// Partitions of the topics that were looked up.
    topics: HashMap<String, usize>,
    /// Troubles seen up to the last look-up.
    seen: watch::Receiver<Option<Trouble>>,
    /// Whether the brokers ever answered.
    worked: bool,
    used: Instant,
}

impl Producer {
    /// Creates the client, which loads certificates and starts threads, but does not connect yet.
    pub(super) async fn create(config: ClientConfig, tokens: Option<Arc<dyn TokenSource>>, patience: Duration) -> Result<Self, KafkaError> {
        let context = Context::new(tokens);
        let troubles = context.troubles();
        let seen = troubles.subscribe();
        let client = off_thread(move || FutureProducer::from_config_and_context(&config, context))
            .await
            .unwrap_or_else(|| Err(KafkaError::ClientCreation("no thread could be started".to_owned())))?;
        let state = Mutex::new(State { topics: HashMap::new(), seen, worked: false, used: Instant::now() });
        Ok(Self { client, troubles, state, patience })
    }

    /// The number of the topic's partitions. Asks the brokers the first time, and again after trouble, so that whatever can be
    /// found out without sending anything is found out before. Brokers that were there once are waited for, as long as `timeout`
    /// lets; those that never answered fail at once.
    pub(super) async fn partitions(&self, topic: &str, target: &SafeText, timeout: Duration) -> Result<usize, Fault> {
        if let Some(count) = self.known(topic) {
            return Ok(count);
        }
        let client = self.client.clone();
        let name = topic.to_owned();
        // An older trouble may be over; only one that was not seen before is an answer.
        let (mut unseen, worked) = {
            let state = self.locked();
            (state.seen.clone(), state.worked)
        };
        let timeout = if self.is_cut_off() && !worked { timeout.min(RECONNECT) } else { timeout };
        let answer = off_thread(move || client.client().fetch_metadata(Some(&name), timeout));
        let metadata = tokio::select! {
            answer = answer => answer,
            () = hopeless(&mut unseen, worked) => None,
        };
        self.locked().seen.mark_unchanged();
        let Some(Ok(metadata)) = metadata else {
            return Err(no_connection(target, self.troubles.borrow().as_ref(), timeout));
        };
        self.troubles.send_replace(None);
        {
            let mut state = self.locked();
            state.seen.mark_unchanged();
            state.worked = true;
        }
        let Some(found) = metadata.topics().iter().find(|found| found.name() == topic) else {
            return Err(no_topic(target, RDKafkaErrorCode::UnknownTopic));
        };
        if let Some(error) = found.error() {
            return Err(no_topic(target, error.into()));
        }
        let count = found.partitions().len();
        self.locked().topics.insert(topic.to_owned(), count);
        Ok(count)
    }

    /// Queues a message; waits up to `timeout` while the queue is full.
    pub(super) async fn hand_over(
        &self,
        topic: &str,
        target: &SafeText,
        message: &Outgoing,
        order: Order,
        timeout: Duration,
    ) -> Result<DeliveryFuture, Fault> {
        let mut record = FutureRecord::<[u8], [u8]> {
            topic,
            partition: order.partition,
            payload: message.payload.as_deref(),
            key: message.key.as_deref(),
            timestamp: order.timestamp,
            headers: order.headers,
        };
        let until = Instant::now() + timeout;
        loop {
            match self.client.send_result(record) {
                Ok(delivery) => return Ok(delivery),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) if Instant::now() < until => record = back,
                Err((error, _)) => return Err(undelivered(target, &error, &self.sent(super::record::size(message)))),
            }
            sleep(QUEUE_PAUSE).await;
        }
    }

    fn known(&self, topic: &str) -> Option<usize> {
        let mut state = self.locked();
        state.used = Instant::now();
        if self.troubles.borrow().is_some() {
            state.topics.clear();
        }
        state.topics.get(topic).copied()
    }

    /// What is known about why a message came back.
    pub(super) fn sent(&self, size: usize) -> Sent {
        let trouble = self.troubles.borrow().as_ref().map(|trouble| trouble.reason.clone());
        Sent { size, limit: None, trouble, fatal: self.client.client().fatal_error() }
    }

    /// Whether no broker was left when last heard of.
    pub(super) fn is_cut_off(&self) -> bool {
        self.troubles.borrow().as_ref().is_some_and(|trouble| trouble.hopeless)
    }

    /// Why there is no connection, as far as that is known.
    pub(super) fn unconnected(&self, target: &SafeText, waited: Duration) -> Fault {
        no_connection(target, self.troubles.borrow().as_ref(), waited)
    }

    /// Forgets a topic, so that it is looked up again.
    pub(super) fn forget(&self, topic: &str) {
        self.locked().topics.remove(topic);
    }

    /// Whether messages are on their way.
    pub(super) fn is_busy(&self) -> bool {
        self.client.in_flight_count() > 0
    }

    /// Whether a fatal error has ended it: nothing can be sent through it any more.
    pub(super) fn is_dead(&self) -> bool {
        self.client.client().fatal_error().is_some()
    }

    /// How long nothing was published.
    pub(super) fn idle(&self) -> Duration {
        self.locked().used.elapsed()
    }

    /// Waits until every message that was handed over is stored or refused.
    pub(super) async fn drained(&self) -> Result<(), i32> {
        if self.client.in_flight_count() == 0 {
            return Ok(());
        }
        let (client, patience) = (self.client.clone(), self.patience);
        match off_thread(move || client.flush(patience)).await {
            Some(Ok(())) => Ok(()),
            _ => Err(self.client.in_flight_count()),
        }
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// rdkafka throws away what is still queued when its producer is dropped, and waits for a thread: so the last handle goes to a
/// thread of its own, which delivers first. It ends after `patience` at the latest.
impl Drop for Producer {
    fn drop(&mut self) {
        let (client, patience) = (self.client.clone(), self.patience);
        let last = thread::Builder::new().name("kafka-last-messages".to_owned()).spawn(move || {
            if let Err(error) = client.flush(patience) {
                tracing::warn!(%error, waiting = client.in_flight_count(), "messages were not confirmed when the producer ended");
            }
        });
        if let Err(error) = last {
            tracing::warn!(%error, "no thread to deliver the last messages");
        }
    }
}

/// Resolves when a trouble comes up from which waiting does not help. Brokers that were there may come back; a log-in that is
/// refused stays refused.
async fn hopeless(troubles: &mut watch::Receiver<Option<Trouble>>, worked: bool) {
    loop {
        if troubles.changed().await.is_err() {
            return std::future::pending().await;
        }
        if troubles.borrow_and_update().as_ref().is_some_and(|trouble| trouble.refused || (trouble.hopeless && !worked)) {
            return;
        }
    }
}

/// Runs a blocking call of librdkafka on a thread of its own: the runtime's blocking pool would make the program's end wait for it.
pub(super) async fn off_thread<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (give, take) = oneshot::channel();
    thread::Builder::new()
        .name("kafka-call".to_owned())
        .spawn(move || {
            // Nobody may be waiting any more.
            let _ = give.send(call());
        })
        .ok()?;
    take.await.ok()
}

/// A client that could not be created: its settings contradict each other or a file of the profile cannot be read.
pub(super) fn not_created(target: &SafeText, error: &KafkaError) -> Fault {
    let cause = match error {
        // Without its value, which may be a secret.
        KafkaError::ClientConfig(_, _, name, _) => format!("librdkafka does not take the setting `{name}`"),
        KafkaError::ClientCreation(reason) => reason.clone(),
        other => other.to_string(),
    };
    super::refusal::not_sent(target, Kind::Usage, &cause, "check the tls, auth and config blocks of the profile")
}
