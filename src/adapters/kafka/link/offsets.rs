//! Offsets of many partitions at once: starts, ends and times, one request a leader, moved leaders followed.

use super::super::faults;
use super::cluster::Cluster;
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
    /// Looks up offsets, in the order of the questions. Where a leader has moved, it is asked for again and followed, `rounds`
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
        let mut faults: HashMap<&str, Fault> = HashMap::new();
        for at in open {
            let question = &wanted[at];
            let leader = match faults.get(&*question.topic) {
                Some(fault) => Err((fault.clone(), Again::No)),
                None => self.leader_now(&question.topic, question.partition).await,
            };
            match leader {
                Ok(leader) => {
                    let (timestamp, committed) = question.at.on_the_wire();
                    // Times differ from partition to partition; starts and ends may not share a request, because a partition
                    // may stand in it but once.
                    let kind = if timestamp < 0 { timestamp } else { 0 };
                    by_request.entry((leader, kind, committed)).or_default().push(at);
                }
                Err((fault, again)) => {
                    if again == Again::No {
                        faults.insert(&question.topic, fault.clone());
                    }
                    answers.push((at, Err((fault, again))));
                }
            }
        }
        let requests = by_request.iter().flat_map(|((leader, _, committed), at)| {
            at.chunks(CHUNK).map(|chunk| self.ask_leader(lane, *leader, *committed, wanted, chunk))
        });
        answers.extend(futures::future::join_all(requests).await.into_iter().flatten());
        answers
    }

    async fn leader_now(&self, topic: &str, partition: i32) -> Result<i32, (Fault, Again)> {
        let described = self.topic(topic).await.map_err(|fault| {
            let again = if fault.kind.is_transient() { Again::Yes } else { Again::No };
            (fault, again)
        })?;
        match described.partition(partition) {
            Some(found) => {
                found.leader.ok_or_else(|| (faults::refused(OP, target(topic, partition), LEADER_NOT_AVAILABLE, None), Again::Yes))
            }
            None => Err((Fault::new(Kind::NotFound, OP, target(topic, partition), "there is no such partition"), Again::Yes)),
        }
    }

    async fn ask_leader(&self, lane: Lane, leader: i32, committed: bool, wanted: &[Wanted], chunk: &[usize]) -> Vec<(usize, Answer)> {
        let request = request(committed, wanted, chunk);
        match self.call(leader, lane, &request).await {
            Ok(answer) => read(&answer, wanted, chunk),
            Err(fault) => {
                let again = if fault.kind.is_transient() { Again::Yes } else { Again::No };
                chunk.iter().map(|at| (*at, Err((fault.clone(), again)))).collect()
            }
        }
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

type Answer = Result<Found, (Fault, Again)>;

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
    let mut places: HashMap<&str, usize> = HashMap::new();
    for question in chunk.iter().map(|at| &wanted[*at]) {
        let place = *places.entry(&question.topic).or_insert_with(|| {
            topics.push(ListOffsetsTopic::default().with_name(TopicName(StrBytes::from_string(question.topic.to_string()))));
            topics.len() - 1
        });
        let partition = ListOffsetsPartition::default()
            .with_partition_index(question.partition)
            .with_current_leader_epoch(-1)
            .with_timestamp(question.at.on_the_wire().0);
        topics[place].partitions.push(partition);
    }
    ListOffsetsRequest::default().with_replica_id(BrokerId(-1)).with_isolation_level(i8::from(committed)).with_topics(topics)
}

fn read(answer: &ListOffsetsResponse, wanted: &[Wanted], chunk: &[usize]) -> Vec<(usize, Answer)> {
    let mut told: HashMap<(&str, i32), &ListOffsetsPartitionResponse> = HashMap::with_capacity(chunk.len());
    for topic in &answer.topics {
        told.extend(topic.partitions.iter().map(|partition| ((topic.name.as_str(), partition.partition_index), partition)));
    }
    let answers = chunk.iter().filter_map(|at| {
        let question = &wanted[*at];
        let told = told.get(&(&*question.topic, question.partition))?;
        Some((*at, answer_of(question, told)))
    });
    answers.collect()
}

fn answer_of(question: &Wanted, told: &ListOffsetsPartitionResponse) -> Answer {
    if told.error_code != 0 {
        let again = if faults::moved(told.error_code) || faults::may_pass(told.error_code) { Again::Yes } else { Again::No };
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
    fn one_request_names_each_topic_once_and_each_partition_under_it() {
        let wanted: Vec<_> = [("a", 0), ("b", 0), ("a", 1)].map(|(topic, partition)| wanted(topic, partition, At::Start)).into();
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
