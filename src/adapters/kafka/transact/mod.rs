//! Transactions over librdkafka: what was published and consumed takes effect together, or not at all. After seed 1's exactly-once
//! pattern, KIP-98, KIP-360 and KIP-447.
//!
//! librdkafka's calls block: each runs on a thread of its own, and its answer is waited for.

mod member;
mod session;
mod verdict;

use super::producer::{Producer, RECONNECT, not_created, off_thread};
use super::publish::GRACE;
use super::refusal::not_sent;
use super::{context::Context, settings};
use crate::adapters::session::{Transact, Transaction};
use crate::adapters::token_source::{self, TokenSource};
use crate::adapters::wirelog::WireLog;
use crate::config::profile::Integration;
use crate::domain::fault::{Fault, Kind};
use crate::domain::group::Source;
use crate::domain::text::SafeText;
use async_trait::async_trait;
use member::Member;
use rdkafka::ClientConfig;
use rdkafka::producer::Producer as _;
use session::Session;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use verdict::{BEGIN, Verdict, judge};

/// How long a call that may be made again is left alone before it is.
const PAUSE: Duration = Duration::from_millis(100);

/// The transacting half of a Kafka session.
pub(super) struct Transactions {
    integration: Arc<Integration>,
    log: WireLog,
}

impl Transactions {
    pub(super) fn new(integration: Arc<Integration>, log: WireLog) -> Self {
        Self { integration, log }
    }
}

#[async_trait]
impl Transact for Transactions {
    async fn begin(&self, name: &str, source: Option<Source>) -> Result<Box<dyn Transaction>, Fault> {
        let target = SafeText::from(format!("{} as {name}", self.integration.name));
        let usage = |cause: &str| Err(Fault::new(Kind::Usage, BEGIN, target.clone(), cause));
        if name.is_empty() || name.contains('\0') {
            return usage("transactions need a name of their own");
        }
        if source.as_ref().is_some_and(|source| source.channels.is_empty() || source.group.is_empty()) {
            return usage("a source needs a group and at least one channel");
        }
        if let Some(why) = settings::beyond_librdkafka(&self.integration) {
            return Err(not_sent(&target, Kind::Rejected, why, "relax the tls block"));
        }
        let config = settings::transactional(&self.integration, name)?;
        let maker = Maker {
            patience: settings::message_timeout(&config) + GRACE,
            timeout: self.integration.timeout,
            config,
            tokens: token_source::of(&self.integration.auth),
            target: target.clone(),
        };
        let began = Instant::now();
        let producer = maker.make().await?;
        let peer: SafeText = self.integration.endpoint.addresses.join(",").into();
        self.log.record(&peer, format!("InitProducerId {name}"), "it is ours", began.elapsed());
        let member = match source {
            None => None,
            Some(source) => {
                let config = settings::member(&self.integration, &source.group, name)?;
                let context = Context::new(maker.tokens.clone());
                let named = target.clone();
                let joined = off_thread(move || Member::join(&config, context, &source.channels, named)).await;
                let member =
                    joined.unwrap_or_else(|| Err(no_thread())).map_err(|error| Fault { op: BEGIN, ..not_created(&target, &error) })?;
                Some(Arc::new(Mutex::new(member)))
            }
        };
        Ok(Box::new(Session::new(self.integration.clone(), maker, producer, member, self.log.clone(), peer)))
    }
}

fn no_thread() -> rdkafka::error::KafkaError {
    rdkafka::error::KafkaError::ClientCreation("no thread could be started".to_owned())
}

/// Makes producers of one name; each new one fences off the one before, and settles what that one has left.
#[derive(Clone)]
struct Maker {
    config: ClientConfig,
    tokens: Option<Arc<dyn TokenSource>>,
    /// How long a call of a transaction may take with everything that has to be tried again.
    patience: Duration,
    /// How long one request may take.
    timeout: Duration,
    target: SafeText,
}

impl Maker {
    /// Creates a producer and takes the name. The broker first ends what is open under it.
    async fn make(&self) -> Result<Arc<Producer>, Fault> {
        let made = Producer::create(self.config.clone(), self.tokens.clone(), self.patience).await;
        let producer = Arc::new(made.map_err(|error| Fault { op: BEGIN, ..not_created(&self.target, &error) })?);
        let (this, ours) = (self.clone(), producer.clone());
        off_thread(move || this.take_name(&ours)).await.unwrap_or_else(|| Err(self.broke_off(BEGIN)))?;
        Ok(producer)
    }

    fn take_name(&self, producer: &Producer) -> Result<(), Fault> {
        let began = Instant::now();
        loop {
            // In parts, so that a connection that cannot come about is noticed.
            let Err(error) = producer.client.init_transactions(RECONNECT.min(self.patience)) else { return Ok(()) };
            match judge(BEGIN, &self.target, &error) {
                Verdict::Again if producer.is_cut_off() || began.elapsed() >= self.patience => {
                    return Err(Fault { op: BEGIN, ..producer.unconnected(&self.target, began.elapsed()) });
                }
                Verdict::Again => std::thread::sleep(PAUSE),
                Verdict::Abort(fault) | Verdict::Dead(fault) | Verdict::Fenced(fault) => return Err(fault),
            }
        }
    }

    /// A call that ended without an answer: its thread could not start, or broke off.
    fn broke_off(&self, op: &'static str) -> Fault {
        Fault::new(Kind::Protocol, op, self.target.clone(), "the client library broke off: a message may hold what it cannot read")
            .next("see the log file; a header's name has to be UTF-8")
    }
}
