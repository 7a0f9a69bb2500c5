//! `Producer`: one librdkafka producer at work: the topics it has seen, its troubles, and an end that neither hangs nor loses messages.

use super::context::{Context, Trouble};
use super::record::Order;
use super::refusal::{Sent, no_connection, no_leader, no_topic, not_sent, undelivered};
use crate::adapters::token_source::TokenSource;
use crate::domain::fault::{Fault, Kind};
use crate::domain::message::Outgoing;
use crate::domain::text::SafeText;
use rdkafka::ClientConfig;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::future_producer::DeliveryFuture;
use rdkafka::producer::{FutureProducer, FutureRecord, Producer as _};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep};

/// Long enough for one more attempt to connect (`reconnect.backoff.max.ms` is 2 s) when none was possible just before.
pub(super) const RECONNECT: Duration = Duration::from_secs(3);
/// How long a full queue is left to empty itself before it is asked again.
const QUEUE_PAUSE: Duration = Duration::from_millis(20);
/// Between two looks whether a partition has a leader again.
const LEADER_PAUSE: Duration = Duration::from_millis(250);

pub(super) struct Producer {
    pub(super) client: FutureProducer<Context>,
    troubles: watch::Sender<Option<Trouble>>,
    state: Mutex<State>,
    /// How long the last messages may take when the producer ends.
    patience: Duration,
    /// Keys are hashed as Kafka's own producer does it.
    murmur: bool,
}

/// The partitions of a topic, as the brokers told last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Layout {
    count: usize,
    /// Those that nobody leads, with the brokers that have replicas of them.
    leaderless: BTreeMap<i32, Vec<i32>>,
}

struct State {
    /// Topics that were looked up, all of whose partitions had a leader then.
    topics: HashMap<String, Layout>,
    /// Troubles seen up to the last look-up.
    seen: watch::Receiver<Option<Trouble>>,
    /// Whether the brokers ever answered.
    worked: bool,
    used: Instant,
}

impl Layout {
    /// The partition of a message that names none: its key's, or any that has a leader. `None` if only librdkafka knows.
    fn place(&self, key: Option<&[u8]>, murmur: bool) -> Option<i32> {
        let count = i32::try_from(self.count).ok().filter(|count| *count > 0)?;
        match key {
            Some(key) => murmur.then(|| (murmur2(key) & 0x7fff_ffff).cast_signed() % count),
            None => {
                let led: Vec<i32> = (0..count).filter(|partition| !self.leaderless.contains_key(partition)).collect();
                fastrand::choice(&led).copied().or(Some(0))
            }
        }
    }
}

/// The hash of a key that says its partition (`org.apache.kafka.common.utils.Utils.murmur2`).
fn murmur2(key: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mixed = |k: u32| {
        let k = k.wrapping_mul(M);
        (k ^ (k >> 24)).wrapping_mul(M)
    };
    let mut chunks = key.chunks_exact(4);
    let mut hash = 0x9747_b28c ^ key.len() as u32;
    for chunk in &mut chunks {
        let word = chunk.iter().rev().fold(0_u32, |word, byte| word << 8 | u32::from(*byte));
        hash = hash.wrapping_mul(M) ^ mixed(word);
    }
    let rest = chunks.remainder();
    if !rest.is_empty() {
        hash = (hash ^ rest.iter().rev().fold(0_u32, |word, byte| word << 8 | u32::from(*byte))).wrapping_mul(M);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(M);
    hash ^ (hash >> 15)
}

impl Producer {
    /// Creates the client, which loads certificates and starts threads, but does not connect yet.
    pub(super) async fn create(config: ClientConfig, tokens: Option<Arc<dyn TokenSource>>, patience: Duration) -> Result<Self, KafkaError> {
        let context = Context::new(tokens);
        let troubles = context.troubles();
        let murmur = config.get("partitioner").is_some_and(|name| name.starts_with("murmur2"));
        let seen = troubles.subscribe();
        let client = off_thread(move || FutureProducer::from_config_and_context(&config, context))
            .await
            .unwrap_or_else(|| Err(KafkaError::ClientCreation("no thread could be started".to_owned())))?;
        let state = Mutex::new(State { topics: HashMap::new(), seen, worked: false, used: Instant::now() });
        Ok(Self { client, troubles, state, patience, murmur })
    }

    /// Decides on the message's partition where it matters which one it is, and waits for that to have a leader, as long as `timeout`
    /// lets: librdkafka would keep the message, give it up at its own time, and not tell whether it was ever sent.
    pub(super) async fn choose(
        &self,
        topic: &str,
        target: &SafeText,
        key: Option<&[u8]>,
        order: &mut Order,
        timeout: Duration,
    ) -> Result<(), Fault> {
        let until = Instant::now() + timeout;
        loop {
            let layout = self.layout(topic, target, timeout).await?;
            if let Some(partition) = order.partition.filter(|partition| *partition as usize >= layout.count) {
                let cause = format!("there is no partition {partition}: the topic has {}, counted from 0", layout.count);
                return Err(not_sent(target, Kind::NotFound, &cause, ""));
            }
            if layout.leaderless.is_empty() {
                return Ok(());
            }
            // Another way to place keys is librdkafka's own business.
            let Some(partition) = order.partition.or_else(|| layout.place(key, self.murmur)) else { return Ok(()) };
            let Some(replicas) = layout.leaderless.get(&partition) else {
                order.partition = Some(partition);
                return Ok(());
            };
            if Instant::now() >= until {
                return Err(no_leader(target, partition, replicas));
            }
            sleep(LEADER_PAUSE).await;
        }
    }

    /// The topic's partitions. Asks the brokers the first time, and again after trouble, so that whatever can be
    /// found out without sending anything is found out before. Brokers that were there once are waited for, as long as `timeout`
    /// lets; those that never answered fail at once.
    async fn layout(&self, topic: &str, target: &SafeText, timeout: Duration) -> Result<Layout, Fault> {
        if let Some(layout) = self.known(topic) {
            return Ok(layout);
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
        let leaderless = found.partitions().iter().filter(|partition| partition.leader() < 0);
        let leaderless = leaderless.map(|partition| (partition.id(), partition.replicas().to_vec())).collect();
        let layout = Layout { count: found.partitions().len(), leaderless };
        if layout.leaderless.is_empty() {
            self.locked().topics.insert(topic.to_owned(), layout.clone());
        }
        Ok(layout)
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

    fn known(&self, topic: &str) -> Option<Layout> {
        let mut state = self.locked();
        state.used = Instant::now();
        if self.troubles.borrow().is_some() {
            state.topics.clear();
        }
        state.topics.get(topic).cloned()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_hashed_as_kafka_does_it() {
        // The cases of Kafka's own UtilsTest.
        for (key, hash) in [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(key.as_bytes()).cast_signed(), hash, "{key}");
        }
    }

    #[test]
    fn a_message_without_a_key_goes_where_there_is_a_leader() {
        let layout = Layout { count: 3, leaderless: BTreeMap::from([(0, vec![2]), (2, vec![2, 3])]) };
        for _ in 0..20 {
            assert_eq!(layout.place(None, true), Some(1));
        }
        assert_eq!(layout.place(Some(b"abc"), true), Some(479_470_107 % 3));
        assert_eq!(layout.place(Some(b"abc"), false), None, "keys may be placed in other ways");
        let nobody = Layout { count: 1, leaderless: BTreeMap::from([(0, vec![2])]) };
        assert_eq!(nobody.place(None, true), Some(0));
    }
}
