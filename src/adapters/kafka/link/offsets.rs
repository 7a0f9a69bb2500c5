//! Offsets of many partitions at once: starts, ends and times, one request a leader, moved leaders followed.

use super::super::faults;
use super::cluster::Cluster;
use super::metadata::Topic;
use super::pool::Lane;
use crate::domain::fault::{Fault, Kind};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::list_offsets_response::ListOffsetsPartitionResponse;
use kafka_protocol::messages::{BrokerId, ListOffsetsRequest, ListOffsetsResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

/// Which offset of a partition is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum At {
    /// The first offset that is still there.
    Start,
    /// The offset that the next message will get; with `committed` the end of what finished transactions have written.
    End { committed: bool },
    /// The first message stamped at this time (milliseconds) or later.
    Time(i64),
}

/// One question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) topic: Arc<str>,
    pub(crate) partition: i32,
    pub(crate) at: At,
}

/// An answer: `offset` is `None` where no message is stamped at the time or later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) offset: Option<i64>,
    /// The time of that message, where the question was a time.
    pub(crate) timestamp: Option<i64>,
}

/// Partitions in one request. Ten thousand topics ask for forty thousand partitions; an answer of this many takes the broker
/// some ten milliseconds, during which it serves nobody else on the connection.
const CHUNK: usize = 20_000;
const PAUSE: Duration = Duration::from_millis(100);

impl Cluster {
    /// Looks up offsets, in the order of the questions; those about one topic should stand together. Where a leader has moved, it is asked for again and followed, `rounds`
    /// times at most; 1 takes the metadata as it is. A partition that fails has its own fault, and the rest goes on.
    pub(crate) async fn offsets(&self, wanted: &[Wanted], rounds: u32) -> Vec<Result<Found, Fault>> {
        self.offsets_on(Lane::Control, wanted, rounds).await
    }

    /// As [`Cluster::offsets`], on another lane: for what takes a broker long.
    pub(crate) async fn offsets_on(&self, lane: Lane, wanted: &[Wanted], rounds: u32) -> Vec<Result<Found, Fault>> {
        let mut found: Vec<Option<Result<Found, Fault>>> = vec![None; wanted.len()];
        for round in 1..=rounds.max(1) {
            let open: Vec<usize> = (0..wanted.len()).filter(|at| found.get(*at).is_none_or(Option::is_none)).collect();
            if open.is_empty() {
                break;
            }
            let last = round >= rounds;
            for (at, answer) in self.ask_leaders(lane, wanted, open).await {
                match answer {
                    Err((_, Again::Yes)) if !last => self.moved(&wanted[at].topic),
                    answer => found[at] = Some(answer.map_err(|(fault, _)| fault)),
                }
            }
            if !last && found.iter().any(Option::is_none) {
                tokio::time::sleep(PAUSE * round).await;
            }
        }
        let unasked = |at: usize| Err(Fault::new(Kind::Protocol, OP, &*wanted[at].topic, "the broker's answer left the partition out"));
        found.into_iter().enumerate().map(|(at, found)| found.unwrap_or_else(|| unasked(at))).collect()
    }

    async fn ask_leaders(&self, lane: Lane, wanted: &[Wanted], open: Vec<usize>) -> Vec<(usize, Answer)> {
        let mut answers = Vec::with_capacity(open.len());
        let mut by_request: BTreeMap<(i32, i64, bool), Vec<usize>> = BTreeMap::new();
        // Questions about one topic stand together: what is known of it is looked up once for all.
        let mut topic: Option<(_, Result<Arc<Topic>, Failed>)> = None;
        for at in open {
            let question = &wanted[at];
            if topic.as_ref().is_none_or(|(name, _)| *name != &question.topic) {
                topic = Some((&question.topic, self.topic_now(&question.topic).await));
            }
            let Some((_, described)) = &topic else { continue };
            match described.as_ref().map_err(Clone::clone).and_then(|topic| leader_now(topic, question.partition)) {
                Ok(leader) => {
                    let (timestamp, committed) = question.at.on_the_wire();
                    // Times differ from partition to partition; starts and ends may not share a request, because a partition
                    // may stand in it but once.
                    let kind = if timestamp < 0 { timestamp } else { 0 };
                    by_request.entry((leader, kind, committed)).or_default().push(at);
                }
                Err(failed) => answers.push((at, Err(failed))),
            }
        }
        let requests = by_request.iter().flat_map(|((leader, _, committed), at)| {
            at.chunks(CHUNK).map(|chunk| self.ask_leader(lane, *leader, *committed, wanted, chunk))
        });
        answers.extend(futures::future::join_all(requests).await.into_iter().flatten());
        answers
    }

    async fn topic_now(&self, topic: &str) -> Result<Arc<Topic>, Failed> {
        self.topic(topic).await.map_err(|fault| {
            let again = if fault.kind.is_transient() { Again::Yes } else { Again::No };
            (fault, again)
        })
    }

    async fn ask_leader(&self, lane: Lane, leader: i32, committed: bool, wanted: &[Wanted], chunk: &[usize]) -> Vec<(usize, Answer)> {
        match self.call_apart(leader, lane, request(committed, wanted, chunk)).await {
            Ok(answer) => read(&answer, wanted, chunk),
            Err(fault) => {
                let again = if fault.kind.is_transient() { Again::Yes } else { Again::No };
                chunk.iter().map(|at| (*at, Err((fault.clone(), again)))).collect()
            }
        }
    }
}

fn leader_now(topic: &Topic, partition: i32) -> Result<i32, Failed> {
    match topic.partition(partition) {
        Some(found) => {
            found.leader.ok_or_else(|| (faults::refused(OP, target(&topic.name, partition), LEADER_NOT_AVAILABLE, None), Again::Yes))
        }
        None => Err((Fault::new(Kind::NotFound, OP, target(&topic.name, partition), "there is no such partition"), Again::Yes)),
    }
}

const OP: &str = "look up offsets of";
const LEADER_NOT_AVAILABLE: i16 = 5;

/// Whether asking again, with fresh metadata, may help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Again {
    Yes,
    No,
}

type Failed = (Fault, Again);
type Answer = Result<Found, Failed>;

impl At {
    fn on_the_wire(self) -> (i64, bool) {
        match self {
            Self::Start => (-2, false),
            Self::End { committed } => (-1, committed),
            // Below 0 a number asks for something else than a time.
            Self::Time(millis) => (millis.max(0), false),
        }
    }
}

fn target(topic: &str, partition: i32) -> String {
    format!("{topic} partition {partition}")
}

fn request(committed: bool, wanted: &[Wanted], chunk: &[usize]) -> ListOffsetsRequest {
    let mut topics: Vec<ListOffsetsTopic> = Vec::new();
    for questions in runs(wanted, chunk) {
        let name = TopicName(StrBytes::from_string(wanted[questions[0]].topic.to_string()));
        let partition = |at: &usize| {
            ListOffsetsPartition::default()
                .with_partition_index(wanted[*at].partition)
                .with_current_leader_epoch(-1)
                .with_timestamp(wanted[*at].at.on_the_wire().0)
        };
        topics.push(ListOffsetsTopic::default().with_name(name).with_partitions(questions.iter().map(partition).collect()));
    }
    ListOffsetsRequest::default().with_replica_id(BrokerId(-1)).with_isolation_level(i8::from(committed)).with_topics(topics)
}

fn read(answer: &ListOffsetsResponse, wanted: &[Wanted], chunk: &[usize]) -> Vec<(usize, Answer)> {
    // Brokers answer in an order of their own. Names are looked up once a topic, not once a partition: of those there are many.
    let mut told: HashMap<&str, Vec<&ListOffsetsPartitionResponse>> = HashMap::with_capacity(answer.topics.len());
    for topic in &answer.topics {
        told.entry(topic.name.as_str()).or_default().extend(&topic.partitions);
    }
    for partitions in told.values_mut() {
        partitions.sort_unstable_by_key(|partition| partition.partition_index);
    }
    let mut answers = Vec::with_capacity(chunk.len());
    for questions in runs(wanted, chunk) {
        let Some(partitions) = told.get(&*wanted[questions[0]].topic) else { continue };
        for at in questions {
            let place = partitions.binary_search_by_key(&wanted[*at].partition, |partition| partition.partition_index);
            if let Ok(place) = place {
                answers.push((*at, answer_of(&wanted[*at], partitions[place])));
            }
        }
    }
    answers
}

/// The questions of a chunk, in runs of one topic.
fn runs<'a>(wanted: &'a [Wanted], chunk: &'a [usize]) -> impl Iterator<Item = &'a [usize]> {
    chunk.chunk_by(|one, other| wanted[*one].topic == wanted[*other].topic)
}

fn answer_of(question: &Wanted, told: &ListOffsetsPartitionResponse) -> Answer {
    if told.error_code != 0 {
        let again = if faults::moved(told.error_code) || faults::is_retryable(told.error_code) { Again::Yes } else { Again::No };
        return Err((faults::refused(OP, target(&question.topic, question.partition), told.error_code, None), again));
    }
    let is_time = matches!(question.at, At::Time(_));
    Ok(Found {
        offset: Some(told.offset).filter(|offset| *offset >= 0),
        timestamp: Some(told.timestamp).filter(|time| is_time && *time >= 0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_protocol::messages::list_offsets_response::ListOffsetsTopicResponse;

    fn wanted(topic: &str, partition: i32, at: At) -> Wanted {
        Wanted { topic: topic.into(), partition, at }
    }

    #[test]
    fn one_request_names_a_topic_once_for_questions_that_stand_together() {
        let wanted: Vec<_> = [("a", 0), ("a", 1), ("b", 0)].map(|(topic, partition)| wanted(topic, partition, At::Start)).into();
        let request = request(false, &wanted, &[0, 1, 2]);
        let shape: Vec<_> = request.topics.iter().map(|topic| (topic.name.as_str(), topic.partitions.len())).collect();
        assert_eq!(shape, [("a", 2), ("b", 1)]);
        assert!(request.topics.iter().flat_map(|topic| &topic.partitions).all(|partition| partition.timestamp == -2));
    }

    #[test]
    fn answers_are_matched_by_topic_and_partition_and_faults_kept_apart() {
        let questions =
            [wanted("a", 0, At::Time(5)), wanted("a", 1, At::Time(5)), wanted("a", 2, At::Time(5)), wanted("a", 3, At::Time(5))];
        let told = |partition, error, offset| {
            ListOffsetsPartitionResponse::default()
                .with_partition_index(partition)
                .with_error_code(error)
                .with_offset(offset)
                .with_timestamp(offset)
        };
        let topic = ListOffsetsTopicResponse::default().with_name(TopicName(StrBytes::from_static_str("a"))).with_partitions(vec![
            told(2, 29, -1),
            told(1, 6, -1),
            told(0, 0, 17),
            told(3, 0, -1),
        ]);
        let answers: BTreeMap<_, _> =
            read(&ListOffsetsResponse::default().with_topics(vec![topic]), &questions, &[0, 1, 2, 3]).into_iter().collect();
        assert_eq!(answers[&0], Ok(Found { offset: Some(17), timestamp: Some(17) }));
        assert!(matches!(&answers[&1], Err((_, Again::Yes))), "the leader moved");
        assert!(matches!(&answers[&2], Err((fault, Again::No)) if fault.kind == Kind::Forbidden));
        assert_eq!(answers[&3], Ok(Found { offset: None, timestamp: None }), "no message is that young");
    }

    #[test]
    fn a_time_before_1970_asks_for_no_special_offset() {
        assert_eq!(At::Time(-2).on_the_wire(), (0, false));
        assert_eq!(At::End { committed: true }.on_the_wire(), (-1, true));
    }
}
