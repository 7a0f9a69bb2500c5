//! `Session`: one transaction after another under one name, and what is known about the one that is open.

use super::member::Member;
use super::verdict::{ABORT, COMMIT, SETTLE, TAKE, UNDECIDED, Verdict, WAS_ABORTED, judge, with_outcome};
use super::{Maker, PAUSE};
use crate::adapters::kafka::producer::{Producer, off_thread};
use crate::adapters::kafka::record::Order;
use crate::adapters::kafka::record::PROFILE;
use crate::adapters::kafka::refusal::{not_sent, undelivered};
use crate::adapters::kafka::{record, settings};
use crate::adapters::session::Transaction;
use crate::adapters::wirelog::WireLog;
use crate::config::profile::Integration;
use crate::domain::fault::{Fault, Kind};
use crate::domain::group::Mark;
use crate::domain::message::{Message, Outgoing};
use crate::domain::text::SafeText;
use async_trait::async_trait;
use futures::FutureExt;
use rdkafka::config::FromClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerGroupMetadata};
use rdkafka::error::KafkaError;
use rdkafka::producer::Producer as _;
use rdkafka::producer::future_producer::DeliveryFuture;
use rdkafka::{Offset, TopicPartitionList};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, Instant};

/// How long positions may take: a group whose coordinator died has another one after ten to twenty seconds.
const POSITIONS: Duration = Duration::from_secs(30);
/// So much later than it should a call may answer.
const LATE: Duration = Duration::from_secs(5);

/// How the transaction stands.
#[derive(Clone, Debug, PartialEq)]
enum Stage {
    /// Nothing was done since the last end.
    Idle,
    Open,
    /// It can only be aborted.
    Spoiled(Fault),
    /// A call was given up, or its outcome is unknown: a new producer of the name settles it.
    Undecided(Fault),
    /// Fenced: nothing more can be done under the name.
    Over(Fault),
}

/// How a call that ends a transaction went.
enum Ending {
    Committed,
    Aborted(Fault),
    Stage(Stage),
}

pub(super) struct Session {
    integration: Arc<Integration>,
    maker: Maker,
    producer: Arc<Producer>,
    member: Option<Arc<Mutex<Member>>>,
    stage: Stage,
    deliveries: VecDeque<Sent>,
    /// The first delivery that failed.
    failed: Option<Fault>,
    published: u64,
    /// Positions of groups without members.
    positions: Vec<(String, TopicPartitionList)>,
    log: WireLog,
    peer: SafeText,
}

/// A message on its way.
struct Sent {
    target: SafeText,
    size: usize,
    delivery: DeliveryFuture,
}

impl Session {
    pub(super) fn new(
        integration: Arc<Integration>,
        maker: Maker,
        producer: Arc<Producer>,
        member: Option<Arc<Mutex<Member>>>,
        log: WireLog,
        peer: SafeText,
    ) -> Self {
        let (deliveries, positions) = (VecDeque::new(), Vec::new());
        Self { integration, maker, producer, member, stage: Stage::Idle, deliveries, failed: None, published: 0, positions, log, peer }
    }

    /// Fails unless something can be added to the transaction.
    fn usable(&self) -> Result<(), Fault> {
        match &self.stage {
            Stage::Idle | Stage::Open => Ok(()),
            Stage::Spoiled(fault) | Stage::Undecided(fault) | Stage::Over(fault) => Err(fault.clone()),
        }
    }

    /// Makes a blocking call. If nobody waits for its answer any more, the transaction is undecided.
    async fn call<T: Send + 'static>(&mut self, op: &'static str, call: impl FnOnce(Call) -> T + Send + 'static) -> Result<T, Fault> {
        let given_up = Fault::new(Kind::Timeout, op, self.maker.target.clone(), format!("a call was given up; {UNDECIDED}")).next(SETTLE);
        let before = std::mem::replace(&mut self.stage, Stage::Undecided(given_up));
        let about = Call { producer: self.producer.clone(), member: self.member.clone(), maker: self.maker.clone() };
        match off_thread(move || call(about)).await {
            Some(answer) => {
                self.stage = before;
                Ok(answer)
            }
            None => {
                let fault = self.maker.broke_off(op);
                self.stage = Stage::Undecided(fault.clone());
                Err(fault)
            }
        }
    }

    /// Begins the transaction if none is open.
    async fn open(&mut self, op: &'static str) -> Result<(), Fault> {
        self.usable()?;
        if self.stage == Stage::Open {
            return Ok(());
        }
        let begun = self.call(op, move |call| call.producer.client.begin_transaction().map_err(|error| call.judge(op, &error))).await?;
        self.stage = match begun {
            Ok(()) => Stage::Open,
            Err(Verdict::Fenced(fault)) => Stage::Over(fault),
            Err(Verdict::Abort(fault) | Verdict::Dead(fault)) => Stage::Undecided(fault),
            Err(Verdict::Again) => Stage::Undecided(self.maker.broke_off(op)),
        };
        self.usable()
    }

    /// Takes in the answers that have come, so that they do not pile up.
    fn gather(&mut self) {
        while let Some(sent) = self.deliveries.front_mut() {
            let Some(answer) = (&mut sent.delivery).now_or_never() else { return };
            if let Ok(Err((error, _))) = answer {
                let fault = undelivered(&sent.target, &error, &self.producer.sent(sent.size));
                self.failed.get_or_insert(fault);
            }
            self.deliveries.pop_front();
        }
    }

    /// Forgets what the ended transaction has gathered.
    fn ended(&mut self, stage: Stage) {
        self.stage = stage;
        self.deliveries.clear();
        self.failed = None;
        self.published = 0;
        self.positions.clear();
    }

    /// A new producer of the name: whatever the last one left is ended by the broker, one way or the other.
    async fn settle(&mut self) -> Result<(), Fault> {
        self.producer = self.maker.make().await?;
        if self.member.is_some() {
            let back = self.call(ABORT, |call| call.rewind(true)).await?;
            if let Err(fault) = back {
                self.stage = Stage::Undecided(fault.clone());
                return Err(fault);
            }
        }
        Ok(())
    }

    fn note(&self, request: &str, outcome: &Result<(), Fault>, began: Instant) {
        let said = match outcome {
            Ok(()) => "done".to_owned(),
            Err(fault) => format!("{}: {}", fault.kind.word(), fault.cause),
        };
        self.log.record(&self.peer, format!("{request} {} messages", self.published), said, began.elapsed());
    }
}

#[async_trait]
impl Transaction for Session {
    async fn take(&mut self, most: usize, wait: Duration) -> Result<Vec<Message>, Fault> {
        self.usable()?;
        if self.member.is_none() {
            let target = self.maker.target.clone();
            return Err(Fault::new(Kind::Usage, TAKE, target, "the session was begun without a source"));
        }
        let taken = self.call(TAKE, move |call| call.take(most, wait)).await?;
        match taken {
            Ok(Some(messages)) => {
                if !messages.is_empty() {
                    self.open(TAKE).await?;
                }
                Ok(messages)
            }
            // What the transaction has taken is no longer ours: its end is forced.
            Ok(None) => {
                self.abort().await?;
                let cause = format!("the group has given our partitions to others meanwhile; {WAS_ABORTED}");
                Err(Fault::new(Kind::Timeout, TAKE, self.maker.target.clone(), cause).next("what was taken comes again, here or there"))
            }
            Err(fault) => {
                self.stage = if fault.kind == Kind::Lost { Stage::Over(fault.clone()) } else { Stage::Spoiled(fault.clone()) };
                Err(fault)
            }
        }
    }

    async fn publish(&mut self, channel: &str, message: Outgoing) -> Result<(), Fault> {
        self.usable()?;
        let target = SafeText::from(format!("{}/{channel}", self.integration.name));
        let refused = |cause: &str| not_sent(&target, Kind::Rejected, cause, "");
        let mut order = Order::read(&message).map_err(|cause| refused(&cause))?;
        if order.compression != PROFILE {
            return Err(refused("messages of a transaction are compressed as the profile says"));
        }
        self.producer.choose(channel, &target, message.key.as_deref(), &mut order, self.maker.timeout).await?;
        self.open("publish to").await?;
        let size = record::size(&message);
        let handed = self.producer.hand_over(channel, &target, &message, order, self.maker.timeout).await;
        match handed {
            Ok(delivery) => self.deliveries.push_back(Sent { target, size, delivery }),
            Err(fault) => {
                self.stage = Stage::Spoiled(fault.clone());
                return Err(fault);
            }
        }
        self.published += 1;
        self.gather();
        Ok(())
    }

    async fn consumed(&mut self, group: &str, positions: &[Mark]) -> Result<(), Fault> {
        self.usable()?;
        let mut list = TopicPartitionList::new();
        for mark in positions {
            let wrong = |why: String| Fault::new(Kind::Usage, COMMIT, self.maker.target.clone(), format!("{}: {why}", mark.position));
            let (partition, offset) = mark.in_partition().ok_or_else(|| wrong("this is no place in a topic".to_owned()))?;
            list.add_partition_offset(&mark.channel, partition, Offset::Offset(offset)).map_err(|error| wrong(error.to_string()))?;
        }
        self.open(COMMIT).await?;
        self.positions.push((group.to_owned(), list));
        Ok(())
    }

    async fn commit(&mut self) -> Result<(), Fault> {
        self.usable()?;
        if self.stage == Stage::Idle {
            return Ok(());
        }
        let began = Instant::now();
        let (integration, positions) = (self.integration.clone(), std::mem::take(&mut self.positions));
        if let Err(fault) = self.call(COMMIT, Call::flush).await? {
            self.gather();
            self.stage = Stage::Spoiled(self.failed.clone().unwrap_or(fault));
        }
        self.gather();
        if let Some(fault) = self.failed.take() {
            self.stage = Stage::Spoiled(fault);
        }
        let ending = match &self.stage {
            Stage::Spoiled(fault) => {
                let fault = fault.clone();
                self.call(COMMIT, move |call| call.aborted(fault)).await?
            }
            _ => self.call(COMMIT, move |call| call.commit(&integration, &positions)).await?,
        };
        let (stage, outcome) = match ending {
            Ending::Committed => (Stage::Idle, Ok(())),
            Ending::Aborted(fault) => (Stage::Idle, Err(with_outcome(&fault, WAS_ABORTED))),
            Ending::Stage(stage) => {
                let outcome = match &stage {
                    Stage::Spoiled(fault) | Stage::Undecided(fault) | Stage::Over(fault) => Err(fault.clone()),
                    Stage::Idle | Stage::Open => Ok(()),
                };
                (stage, outcome)
            }
        };
        self.note("EndTxn commit", &outcome, began);
        self.ended(stage);
        outcome
    }

    async fn abort(&mut self) -> Result<(), Fault> {
        let began = Instant::now();
        let outcome = match &self.stage {
            Stage::Over(fault) => return Err(fault.clone()),
            Stage::Undecided(_) => self.settle().await,
            Stage::Idle => self.call(ABORT, |call| call.rewind(false)).await?,
            Stage::Open | Stage::Spoiled(_) => match self.call(ABORT, Call::abort).await? {
                Ok(()) => Ok(()),
                Err(stage @ (Stage::Over(_) | Stage::Idle | Stage::Open)) => {
                    self.ended(stage);
                    self.usable()
                }
                // Whatever keeps it from being aborted: a new producer of the name ends it.
                Err(stage) => {
                    self.stage = stage;
                    self.settle().await
                }
            },
        };
        self.note("EndTxn abort", &outcome, began);
        if outcome.is_ok() {
            self.ended(Stage::Idle);
        }
        outcome
    }

    async fn end(mut self: Box<Self>) -> Result<(), Fault> {
        let outcome = match &self.stage {
            Stage::Idle => Ok(()),
            Stage::Over(fault) => Err(fault.clone()),
            _ => self.abort().await,
        };
        // Leaving the group blocks.
        let member = self.member.take();
        off_thread(move || drop(member)).await;
        outcome
    }
}

/// Aborts and leaves the group in the background.
impl Drop for Session {
    fn drop(&mut self) {
        let open = !matches!(self.stage, Stage::Idle | Stage::Over(_));
        if !open && self.member.is_none() {
            return;
        }
        let (producer, member, patience) = (self.producer.clone(), self.member.take(), self.maker.patience);
        let last = std::thread::Builder::new().name("kafka-last-abort".to_owned()).spawn(move || {
            if open && let Err(error) = producer.client.abort_transaction(patience) {
                tracing::warn!(%error, "the broker will end the transaction that was left open");
            }
            drop(member);
        });
        if let Err(error) = last {
            tracing::warn!(%error, "no thread to abort the last transaction");
        }
    }
}

/// What a blocking call works with, on its thread.
#[derive(Clone)]
struct Call {
    producer: Arc<Producer>,
    member: Option<Arc<Mutex<Member>>>,
    maker: Maker,
}

impl Call {
    fn judge(&self, op: &'static str, error: &KafkaError) -> Verdict {
        judge(op, &self.maker.target, error)
    }

    fn member(&self) -> Option<MutexGuard<'_, Member>> {
        self.member.as_ref().map(|member| member.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// `None` if what was taken before has gone to another member.
    fn take(self, most: usize, wait: Duration) -> Result<Option<Vec<Message>>, Fault> {
        let Some(member) = self.member() else { return Ok(Some(Vec::new())) };
        member.take(most, wait)
    }

    fn flush(self) -> Result<(), Fault> {
        self.producer.client.flush(self.maker.patience).map_err(|error| match self.judge(COMMIT, &error) {
            Verdict::Abort(fault) | Verdict::Dead(fault) | Verdict::Fenced(fault) => fault,
            Verdict::Again => self.maker.broke_off(COMMIT),
        })
    }

    /// Sends the positions and commits. Every step that may be made again is, until patience ends.
    fn commit(self, integration: &Integration, others: &[(String, TopicPartitionList)]) -> Ending {
        if let Err(stage) = self.send_positions(integration, others) {
            return match stage {
                Stage::Spoiled(fault) => self.aborted(fault),
                stage => Ending::Stage(stage),
            };
        }
        // From here on the commit may have taken effect whatever is answered, unless the answer is that it has to be aborted.
        match self.until_done(COMMIT, self.maker.patience, || self.producer.client.commit_transaction(self.maker.patience)) {
            Ok(()) => {
                if let Some(member) = self.member() {
                    member.keep();
                }
                Ending::Committed
            }
            Err(Stage::Spoiled(fault)) => self.aborted(fault),
            Err(Stage::Undecided(fault)) => Ending::Stage(Stage::Undecided(with_outcome(&fault, UNDECIDED).next(SETTLE))),
            Err(stage) => Ending::Stage(stage),
        }
    }

    fn send_positions(&self, integration: &Integration, others: &[(String, TopicPartitionList)]) -> Result<(), Stage> {
        let spoiled = |error: &KafkaError| match self.judge(COMMIT, error) {
            Verdict::Abort(fault) | Verdict::Dead(fault) | Verdict::Fenced(fault) => Stage::Spoiled(fault),
            Verdict::Again => Stage::Spoiled(self.maker.broke_off(COMMIT)),
        };
        let consumed = self.member().map_or(Ok(None), |member| member.positions()).map_err(|error| spoiled(&error))?;
        if let Some((list, place)) = consumed {
            self.send(list, place)?;
        }
        for (group, list) in others {
            let place = settings::member(integration, group, "").map_err(Stage::Spoiled)?;
            let place = nobody_of(place).map_err(|error| spoiled(&error))?;
            self.send(list.clone(), Arc::new(place))?;
        }
        Ok(())
    }

    /// Sends positions, on a thread of its own: librdkafka does not heed the time limit of this one call, and waits forever when the
    /// group's coordinator dies in it (its issues 5456 and 5511). The next producer of the name then settles the transaction.
    fn send(&self, list: TopicPartitionList, place: Arc<ConsumerGroupMetadata>) -> Result<(), Stage> {
        let limit = self.maker.patience.min(POSITIONS);
        let (this, (give, take)) = (self.clone(), mpsc::sync_channel(1));
        let started = std::thread::Builder::new().name("kafka-positions".to_owned()).spawn(move || {
            let sent = this.until_done(COMMIT, limit, || this.producer.client.send_offsets_to_transaction(&list, &place, limit));
            // Nobody may be waiting any more.
            let _ = give.send(sent);
        });
        if started.is_err() {
            return Err(Stage::Spoiled(self.maker.broke_off(COMMIT)));
        }
        take.recv_timeout(limit + LATE)
            .unwrap_or_else(|_| Err(Stage::Undecided(self.late(COMMIT, "the group's coordinator did not answer"))))
    }

    fn late(&self, op: &'static str, why: impl std::fmt::Display) -> Fault {
        Fault::new(Kind::Timeout, op, self.maker.target.clone(), format!("no answer in time: {why}"))
            .next("check that the brokers are reachable from here")
    }

    /// Aborts because of a fault.
    fn aborted(self, why: Fault) -> Ending {
        match self.abort() {
            Ok(()) => Ending::Aborted(why),
            Err(Stage::Undecided(fault)) => {
                Ending::Stage(Stage::Undecided(Fault { cause: format!("{}; {}", why.cause, fault.cause).into(), ..fault }))
            }
            Err(stage) => Ending::Stage(stage),
        }
    }

    fn abort(self) -> Result<(), Stage> {
        self.until_done(ABORT, self.maker.patience, || self.producer.client.abort_transaction(self.maker.patience))?;
        self.rewind(false).map_err(Stage::Undecided)
    }

    fn rewind(&self, unsure: bool) -> Result<(), Fault> {
        let Some(member) = self.member() else { return Ok(()) };
        member.rewind(unsure).map_err(|error| {
            let cause = format!("the consumer could not go back to where the transaction began: {error}");
            Fault::new(Kind::Unreachable, ABORT, self.maker.target.clone(), cause)
        })
    }

    /// Makes a call again as long as it may be, and `patience` lets.
    fn until_done(&self, op: &'static str, patience: Duration, call: impl Fn() -> Result<(), KafkaError>) -> Result<(), Stage> {
        let until = Instant::now() + patience;
        loop {
            let Err(error) = call() else { return Ok(()) };
            tracing::debug!(%error, op, "a transactional call failed");
            match self.judge(op, &error) {
                Verdict::Again if Instant::now() < until => std::thread::sleep(PAUSE),
                Verdict::Again => return Err(Stage::Undecided(self.late(op, error))),
                Verdict::Abort(fault) => return Err(Stage::Spoiled(fault)),
                Verdict::Dead(fault) => return Err(Stage::Undecided(fault)),
                Verdict::Fenced(fault) => return Err(Stage::Over(fault)),
            }
        }
    }
}

/// The place of somebody who is not a member: a group without members takes positions from anybody.
fn nobody_of(mut config: rdkafka::ClientConfig) -> Result<ConsumerGroupMetadata, KafkaError> {
    config.remove("group.instance.id");
    let consumer = BaseConsumer::from_config(&config)?;
    consumer.group_metadata().ok_or_else(|| KafkaError::ClientCreation("the client knows no groups".to_owned()))
}
