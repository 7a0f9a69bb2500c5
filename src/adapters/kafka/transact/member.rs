//! `Member`: the consuming half of a session of transactions. It knows what was taken since the last end, under which generation of
//! the group, and whether any of it has gone to another member.

use super::verdict::{TAKE, reason};
use crate::adapters::kafka::context::Context;
use crate::adapters::kafka::record;
use crate::domain::fault::{Fault, Kind};
use crate::domain::message::Message;
use crate::domain::text::SafeText;
use rdkafka::client::OAuthToken;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, ConsumerGroupMetadata, Rebalance};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::Message as _;
use rdkafka::{ClientConfig, ClientContext, Offset, TopicPartitionList};
use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// One request about positions: where to go on after an abort.
const POSITIONS: Duration = Duration::from_secs(30);

type Place = (Arc<str>, i32);

pub(super) struct Member {
    consumer: BaseConsumer<Watch>,
    topics: HashMap<String, Arc<str>>,
    target: SafeText,
}

/// What happens to the membership while the consumer is polled.
struct Watch {
    inner: Context,
    membership: Mutex<Membership>,
}

#[derive(Default)]
struct Membership {
    /// First and next offset of what the transaction has taken.
    taken: BTreeMap<Place, (i64, i64)>,
    /// Some of it went to another member.
    broken: bool,
    /// Partitions given up since the last poll began.
    revoked: Vec<Place>,
    /// Our place in the group when it gave us the partitions that we have. A later one would not do for a commit: messages that
    /// were taken before might have been given to others in between.
    place: Option<Arc<ConsumerGroupMetadata>>,
}

impl Member {
    /// Joins the group; blocks for as long as it takes to make a client. Partitions come while it is polled.
    pub(super) fn join(config: &ClientConfig, context: Context, channels: &[Arc<str>], target: SafeText) -> Result<Self, KafkaError> {
        let watch = Watch { inner: context, membership: Mutex::default() };
        let consumer = BaseConsumer::from_config_and_context(config, watch)?;
        let names: Vec<&str> = channels.iter().map(|channel| &**channel).collect();
        consumer.subscribe(&names)?;
        let topics = channels.iter().map(|channel| (channel.to_string(), channel.clone())).collect();
        Ok(Self { consumer, topics, target })
    }

    /// Up to `most` messages, waiting up to `wait` for the first; `None` if what was taken before has gone to another member. Serves
    /// the group: partitions come and go here, and nowhere else.
    pub(super) fn take(&self, most: usize, wait: Duration) -> Result<Option<Vec<Message>>, Fault> {
        let mut messages: Vec<Message> = Vec::new();
        let failed = self.poll(&mut messages, most, wait);
        let mut membership = self.membership();
        for message in &messages {
            let Some(offset) = message.position.number() else { continue };
            let (_, next) = membership.taken.entry(place(message)).or_insert((offset, offset));
            *next = offset + 1;
        }
        match failed {
            Some(fault) => Err(fault),
            None => Ok((!membership.broken).then_some(messages)),
        }
    }

    fn poll(&self, messages: &mut Vec<Message>, most: usize, wait: Duration) -> Option<Fault> {
        let until = Instant::now() + wait;
        while messages.len() < most {
            let patience = if messages.is_empty() { until.saturating_duration_since(Instant::now()) } else { Duration::ZERO };
            let polled = self.consumer.poll(patience);
            let (gone, broken) = {
                let mut membership = self.membership();
                (std::mem::take(&mut membership.revoked), membership.broken)
            };
            // Given up while this went on; what comes behind is of a new assignment.
            messages.retain(|message| !gone.contains(&place(message)));
            match polled {
                None if messages.is_empty() && Instant::now() < until && !broken => {}
                None => return None,
                Some(Ok(message)) => {
                    let topic = self.topics.get(message.topic()).cloned().unwrap_or_else(|| message.topic().into());
                    messages.push(record::consumed(topic, &message));
                }
                Some(Err(error)) => {
                    if let Some(fault) = self.hopeless(&error) {
                        return Some(fault);
                    }
                }
            }
            if broken {
                return None;
            }
        }
        None
    }

    /// The fault of an error that waiting does not mend.
    fn hopeless(&self, error: &KafkaError) -> Option<Fault> {
        if let Some((code, said)) = self.consumer.client().fatal_error() {
            return Some(reason(TAKE, &self.target, code, &said));
        }
        let code = error.rdkafka_error_code()?;
        match code {
            Code::TopicAuthorizationFailed | Code::GroupAuthorizationFailed | Code::UnknownTopicOrPartition | Code::UnknownTopic => {
                Some(reason(TAKE, &self.target, code, &error.to_string()))
            }
            Code::Authentication | Code::SaslAuthenticationFailed => {
                let next = "check the user, the password or the token in the profile's auth block";
                Some(Fault::new(Kind::Unauthorized, TAKE, self.target.clone(), error.to_string()).next(next))
            }
            _ => {
                tracing::debug!(%error, "the consumer goes on");
                None
            }
        }
    }

    /// What the transaction has consumed, and our place in the group when it was given to us; `None` if it has taken nothing.
    pub(super) fn positions(&self) -> Result<Option<(TopicPartitionList, Arc<ConsumerGroupMetadata>)>, KafkaError> {
        let membership = self.membership();
        if membership.taken.is_empty() {
            return Ok(None);
        }
        if membership.broken || self.consumer.assignment_lost() {
            return Err(KafkaError::Rebalance(Code::AssignmentLost));
        }
        let place = membership.place.clone().ok_or(KafkaError::Rebalance(Code::UnknownMemberId))?;
        let mut list = TopicPartitionList::new();
        for ((topic, partition), (_, next)) in &membership.taken {
            list.add_partition_offset(topic, *partition, Offset::Offset(*next))?;
        }
        Ok(Some((list, place)))
    }

    /// The transaction was committed.
    pub(super) fn keep(&self) {
        self.membership().taken.clear();
    }

    /// The transaction was aborted: goes back to where it began. With `unsure` it may as well have been committed, and the group's
    /// own positions say where to go on; they are stable once the transaction is settled (KIP-447).
    pub(super) fn rewind(&self, unsure: bool) -> Result<(), KafkaError> {
        let taken = std::mem::take(&mut self.membership().taken);
        let back = self.rewind_to(&taken, unsure);
        let mut membership = self.membership();
        if back.is_err() {
            // Still to be done.
            membership.taken.extend(taken);
        } else {
            membership.broken = false;
        }
        back
    }

    fn rewind_to(&self, taken: &BTreeMap<Place, (i64, i64)>, unsure: bool) -> Result<(), KafkaError> {
        if taken.is_empty() {
            return Ok(());
        }
        let mut list = TopicPartitionList::new();
        for ((topic, partition), (first, _)) in taken {
            list.add_partition_offset(topic, *partition, Offset::Offset(*first))?;
        }
        if unsure {
            for found in self.consumer.committed_offsets(list.clone(), POSITIONS)?.elements() {
                if let Offset::Offset(_) = found.offset() {
                    list.set_partition_offset(found.topic(), found.partition(), found.offset())?;
                }
            }
        }
        for element in self.consumer.seek_partitions(list, POSITIONS)?.elements() {
            match element.error() {
                // Given up in the meantime: whoever has it goes on from the group's position.
                Err(KafkaError::OffsetFetch(Code::State | Code::UnknownPartition)) | Ok(()) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn membership(&self) -> MutexGuard<'_, Membership> {
        self.consumer.context().membership()
    }
}

fn place(message: &Message) -> Place {
    (message.channel.clone(), message.position.partition().unwrap_or(-1))
}

impl Watch {
    fn membership(&self) -> MutexGuard<'_, Membership> {
        self.membership.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ConsumerContext for Watch {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            // Asked for before the partitions are taken: until then the group waits for us, and nothing can come in between.
            Rebalance::Assign(_) => {
                let place = consumer.group_metadata().map(Arc::new);
                self.membership().place = place;
            }
            Rebalance::Revoke(partitions) => {
                let mut membership = self.membership();
                for element in partitions.elements() {
                    let place = (Arc::from(element.topic()), element.partition());
                    membership.broken |= membership.taken.remove(&place).is_some();
                    membership.revoked.push(place);
                }
            }
            Rebalance::Error(error) => tracing::warn!(%error, "rebalancing failed"),
        }
    }
}

impl ClientContext for Watch {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = Context::ENABLE_REFRESH_OAUTH_TOKEN;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        self.inner.log(level, facility, text);
    }

    fn stats_raw(&self, statistics: &[u8]) {
        self.inner.stats_raw(statistics);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.inner.error(error, reason);
    }

    fn generate_oauth_token(&self, config: Option<&str>) -> Result<OAuthToken, Box<dyn Error>> {
        self.inner.generate_oauth_token(config)
    }
}
