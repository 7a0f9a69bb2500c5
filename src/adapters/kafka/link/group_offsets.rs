//! What groups have committed: `OffsetFetch` for many groups in one request (KIP-709).

use super::api::{Request, checked, counted, shared};
use super::coordinator::{OfGroups, Refusal, Verdict};
use super::shape::{Of, Shape, always, since, within};
use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics};
use kafka_protocol::messages::{ApiKey, GroupId, OffsetFetchRequest, OffsetFetchResponse, TopicName};
use kafka_protocol::protocol::{Encodable, Message, StrBytes, VersionRange};
use std::sync::Arc;

/// The first version of `OffsetFetch` that asks for many groups.
const MANY: i16 = 8;
/// Groups in one request: with fifty partitions each an answer of one megabyte, some 60 ms of a broker's time.
const ASKED: usize = 1_000;

/// The position of a group in one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Committed {
    pub(crate) partition: i32,
    /// `None`: nothing was committed.
    pub(crate) offset: Option<i64>,
    /// Share groups: what is not dealt with yet, as the broker counts it.
    pub(crate) lag: Option<u64>,
    /// 0, or why the partition is not told.
    pub(crate) error: i16,
}

/// Positions by topic.
pub(crate) type Positions = Vec<(String, Vec<Committed>)>;

/// The question for positions.
pub(crate) struct Commits {
    /// Ask for these partitions alone; `None` asks for all that there are.
    pub(crate) of: Option<Vec<(Arc<str>, Vec<i32>)>>,
}

impl OfGroups for Commits {
    type Request = OffsetFetchRequest;
    type Said = Positions;
    const MOST: usize = ASKED;

    fn request(&self, groups: &[&str]) -> OffsetFetchRequest {
        let topics = self.of.as_ref().map(|topics| {
            let topic = |(name, partitions): &(Arc<str>, Vec<i32>)| {
                let name = TopicName(StrBytes::from_string(name.to_string()));
                OffsetFetchRequestTopics::default().with_name(name).with_partition_indexes(partitions.clone())
            };
            topics.iter().map(topic).collect::<Vec<_>>()
        });
        let group = |group: &&str| {
            let id = GroupId(StrBytes::from_string((*group).to_owned()));
            OffsetFetchRequestGroup::default().with_group_id(id).with_topics(topics.clone())
        };
        OffsetFetchRequest::default().with_groups(groups.iter().map(group).collect())
    }

    fn read(&self, answer: Vec<Verdict<Positions>>) -> Vec<Verdict<Positions>> {
        answer
    }
}

fn committed(partition: i32, offset: i64, error: i16) -> Committed {
    Committed { partition, offset: Some(offset).filter(|offset| *offset >= 0 && error == 0), lag: None, error }
}

fn verdict(group: Option<String>, code: i16, said: Option<StrBytes>, positions: Positions) -> Verdict<Positions> {
    let refusal = Refusal { code, said: said.map(|said| said.to_string()) };
    (group, if code == 0 { Ok(positions) } else { Err(refusal) })
}

impl Request for OffsetFetchRequest {
    const KEY: ApiKey = ApiKey::OffsetFetch;
    const OP: &'static str = "read the positions of";
    // Since version 10 topics are told by their ids.
    const SPOKEN: VersionRange = shared(<Self as Message>::VERSIONS, VersionRange { min: 1, max: 9 });
    type Answer = Vec<Verdict<Positions>>;

    fn write(&self, frame: &mut BytesMut, version: i16) -> Result<(), anyhow::Error> {
        if version >= MANY {
            return self.encode(frame, version);
        }
        let Some(first) = self.groups.first() else { anyhow::bail!("no group is asked for") };
        let topic = |topic: &OffsetFetchRequestTopics| {
            OffsetFetchRequestTopic::default().with_name(topic.name.clone()).with_partition_indexes(topic.partition_indexes.clone())
        };
        let topics = first.topics.as_ref().map(|topics| topics.iter().map(topic).collect());
        Self::default().with_group_id(first.group_id.clone()).with_topics(topics).encode(frame, version)
    }

    fn read(body: Bytes, version: i16) -> Result<Vec<Verdict<Positions>>, anyhow::Error> {
        const PARTITION: Of = Of::Structs(&[always(Of::Fixed(4 + 8)), since(5, Of::Fixed(4)), always(Of::Text), always(Of::Fixed(2))]);
        const TOPIC: Of = Of::Structs(&[always(Of::Text), always(PARTITION)]);
        const SHAPE: Shape = Shape {
            flexible: 6,
            fields: &[
                since(3, Of::Fixed(4)),
                within(0, MANY - 1, TOPIC),
                within(2, MANY - 1, Of::Fixed(2)),
                since(MANY, Of::Structs(&[always(Of::Text), always(TOPIC), always(Of::Fixed(2))])),
            ],
        };
        let answer: OffsetFetchResponse = checked(&SHAPE, body, version)?;
        if version < MANY {
            let topics = answer.topics.into_iter().map(|topic| {
                let told = topic.partitions.iter().map(|told| committed(told.partition_index, told.committed_offset, told.error_code));
                (topic.name.to_string(), told.collect())
            });
            return Ok(vec![verdict(None, answer.error_code, None, topics.collect())]);
        }
        let groups = answer.groups.into_iter().map(|group| {
            let topics = group.topics.into_iter().map(|topic| {
                let told = topic.partitions.iter().map(|told| committed(told.partition_index, told.committed_offset, told.error_code));
                (topic.name.to_string(), told.collect())
            });
            verdict(Some(group.group_id.to_string()), group.error_code, None, topics.collect())
        });
        Ok(groups.collect())
    }

    fn about(&self) -> String {
        counted(self.groups.len(), "group")
    }

    fn about_answer(answer: &Vec<Verdict<Positions>>) -> String {
        let topics = answer.iter().filter_map(|(_, said)| said.as_ref().ok()).flatten();
        counted(topics.map(|(_, partitions)| partitions.len()).sum(), "position")
    }
}
