//! What groups there are and who is in them: `ListGroups`, and the three descriptions of classic, consumer (KIP-848) and share
//! groups (KIP-932), brought into one form.

use super::api::{CheckedRequest, counted};
use super::coordinator::{OfGroups, Refusal, Verdict};
use super::shape::{Of, Shape, always, since};
use bytes::{Buf, Bytes};
use kafka_protocol::messages::{
    ApiKey, ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, DescribeGroupsRequest, DescribeGroupsResponse, GroupId,
    ListGroupsRequest, ListGroupsResponse, ShareGroupDescribeRequest, ShareGroupDescribeResponse, consumer_group_describe_response,
    describe_groups_response, share_group_describe_response,
};
use kafka_protocol::protocol::StrBytes;

/// What a group is, as brokers describe it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Described {
    /// The broker's word: `Stable`, `PreparingRebalance`, …
    pub(crate) state: String,
    /// `consumer`, `connect`, …: what its members use the group for.
    pub(crate) protocol: String,
    /// How partitions are given out: `range`, `uniform`, …
    pub(crate) assignor: String,
    /// Counts the group's changes; classic groups do not tell it.
    pub(crate) epoch: Option<i32>,
    pub(crate) members: Vec<DescribedMember>,
}

/// One member as brokers describe it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct DescribedMember {
    pub(crate) id: String,
    /// Its own name, which outlives restarts (KIP-345).
    pub(crate) instance: Option<String>,
    pub(crate) client: String,
    pub(crate) host: String,
    /// Partitions by topic.
    pub(crate) assignment: Vec<(String, Vec<i32>)>,
}

/// Groups described in one request: a group with a hundred members takes some 50 kB.
const DESCRIBED: usize = 500;

/// The descriptions of classic groups.
pub(crate) struct Classic;
/// The descriptions of KIP-848's groups.
pub(crate) struct Consumer;
/// The descriptions of share groups.
pub(crate) struct Share;

fn ids(groups: &[&str]) -> Vec<GroupId> {
    groups.iter().map(|group| GroupId(StrBytes::from_string((*group).to_owned()))).collect()
}

fn verdict(group: &GroupId, code: i16, said: Option<StrBytes>, described: Described) -> Verdict<Described> {
    let refusal = Refusal { code, said: said.map(|said| said.to_string()) };
    (Some(group.to_string()), if code == 0 { Ok(described) } else { Err(refusal) })
}

impl OfGroups for Classic {
    type Request = DescribeGroupsRequest;
    type Said = Described;
    const MOST: usize = DESCRIBED;

    fn request(&self, groups: &[&str]) -> DescribeGroupsRequest {
        DescribeGroupsRequest::default().with_groups(ids(groups))
    }

    fn read(&self, answer: DescribeGroupsResponse) -> Vec<Verdict<Described>> {
        let groups = answer.groups.into_iter();
        groups
            .map(|group| {
                let described = Described {
                    state: group.group_state.to_string(),
                    protocol: group.protocol_type.to_string(),
                    assignor: group.protocol_data.to_string(),
                    epoch: None,
                    members: group.members.iter().map(|member| classic_member(member, &group.protocol_type)).collect(),
                };
                verdict(&group.group_id, group.error_code, group.error_message, described)
            })
            .collect()
    }
}

fn classic_member(member: &describe_groups_response::DescribedGroupMember, protocol: &StrBytes) -> DescribedMember {
    // The members of other protocols (Connect's workers) agree on something else than partitions.
    let assignment = if protocol.as_str() == "consumer" { assignment(member.member_assignment.clone()) } else { None };
    DescribedMember {
        id: member.member_id.to_string(),
        instance: member.group_instance_id.as_ref().map(ToString::to_string),
        client: member.client_id.to_string(),
        host: host(&member.client_host),
        assignment: assignment.unwrap_or_default(),
    }
}

/// Brokers write an address as Java does: `/10.0.0.7`.
fn host(host: &StrBytes) -> String {
    host.trim_start_matches('/').to_owned()
}

/// Reads `ConsumerProtocolAssignment`, which members write themselves: a version, and partitions by topic. `None` if it is none.
fn assignment(mut bytes: Bytes) -> Option<Vec<(String, Vec<i32>)>> {
    bytes.try_get_i16().ok()?;
    let topics = bytes.try_get_i32().ok()?;
    let mut assignment = Vec::new();
    // No count is believed before its elements were there.
    for _ in 0..topics {
        let size = usize::try_from(bytes.try_get_i16().ok()?).ok()?;
        if size > bytes.len() {
            return None;
        }
        let topic = String::from_utf8(bytes.split_to(size).to_vec()).ok()?;
        let count = bytes.try_get_i32().ok()?;
        let mut partitions = Vec::new();
        for _ in 0..count {
            partitions.push(bytes.try_get_i32().ok()?);
        }
        partitions.sort_unstable();
        assignment.push((topic, partitions));
    }
    assignment.sort_unstable();
    Some(assignment)
}

impl OfGroups for Consumer {
    type Request = ConsumerGroupDescribeRequest;
    type Said = Described;
    const MOST: usize = DESCRIBED;

    fn request(&self, groups: &[&str]) -> ConsumerGroupDescribeRequest {
        ConsumerGroupDescribeRequest::default().with_group_ids(ids(groups))
    }

    fn read(&self, answer: ConsumerGroupDescribeResponse) -> Vec<Verdict<Described>> {
        let member = |member: consumer_group_describe_response::Member| DescribedMember {
            id: member.member_id.to_string(),
            instance: member.instance_id.map(|id| id.to_string()),
            client: member.client_id.to_string(),
            host: host(&member.client_host),
            assignment: sorted(
                member.assignment.topic_partitions.into_iter().map(|topic| (topic.topic_name.to_string(), topic.partitions)),
            ),
        };
        let groups = answer.groups.into_iter();
        groups
            .map(|group| {
                let described = Described {
                    state: group.group_state.to_string(),
                    protocol: "consumer".to_owned(),
                    assignor: group.assignor_name.to_string(),
                    epoch: Some(group.group_epoch),
                    members: group.members.into_iter().map(member).collect(),
                };
                verdict(&group.group_id, group.error_code, group.error_message, described)
            })
            .collect()
    }
}

impl OfGroups for Share {
    type Request = ShareGroupDescribeRequest;
    type Said = Described;
    const MOST: usize = DESCRIBED;

    fn request(&self, groups: &[&str]) -> ShareGroupDescribeRequest {
        ShareGroupDescribeRequest::default().with_group_ids(ids(groups))
    }

    fn read(&self, answer: ShareGroupDescribeResponse) -> Vec<Verdict<Described>> {
        let member = |member: share_group_describe_response::Member| DescribedMember {
            id: member.member_id.to_string(),
            instance: None,
            client: member.client_id.to_string(),
            host: host(&member.client_host),
            assignment: sorted(
                member.assignment.topic_partitions.into_iter().map(|topic| (topic.topic_name.to_string(), topic.partitions)),
            ),
        };
        let groups = answer.groups.into_iter();
        groups
            .map(|group| {
                let described = Described {
                    state: group.group_state.to_string(),
                    protocol: "share".to_owned(),
                    assignor: group.assignor_name.to_string(),
                    epoch: Some(group.group_epoch),
                    members: group.members.into_iter().map(member).collect(),
                };
                verdict(&group.group_id, group.error_code, group.error_message, described)
            })
            .collect()
    }
}

fn sorted(assignment: impl Iterator<Item = (String, Vec<i32>)>) -> Vec<(String, Vec<i32>)> {
    let mut assignment: Vec<_> = assignment.collect();
    for (_, partitions) in &mut assignment {
        partitions.sort_unstable();
    }
    assignment.sort_unstable();
    assignment
}

impl CheckedRequest for ListGroupsRequest {
    const KEY: ApiKey = ApiKey::ListGroups;
    const OP: &'static str = "list the groups of";
    type Response = ListGroupsResponse;
    const THROTTLE: fn(&Self::Response) -> i32 = |answer| answer.throttle_time_ms;
    const ABOUT_ANSWER: fn(&Self::Response) -> String = |answer| counted(answer.groups.len(), "group");
    const SHAPE: Shape = {
        const GROUP: Of = Of::Structs(&[always(Of::Text), always(Of::Text), since(4, Of::Text), since(5, Of::Text)]);
        Shape { flexible: 3, fields: &[since(1, Of::Fixed(4)), always(Of::Fixed(2)), always(GROUP)] }
    };
}

impl CheckedRequest for DescribeGroupsRequest {
    const KEY: ApiKey = ApiKey::DescribeGroups;
    const OP: &'static str = "describe group";
    type Response = DescribeGroupsResponse;
    const THROTTLE: fn(&Self::Response) -> i32 = |answer| answer.throttle_time_ms;
    const ABOUT: fn(&Self) -> String = |request| counted(request.groups.len(), "group");
    const ABOUT_ANSWER: fn(&Self::Response) -> String =
        |answer| counted(answer.groups.iter().map(|group| group.members.len()).sum(), "member");
    const SHAPE: Shape = {
        const MEMBER: Of =
            Of::Structs(&[always(Of::Text), since(4, Of::Text), always(Of::Text), always(Of::Text), always(Of::Bytes), always(Of::Bytes)]);
        const GROUP: Of = Of::Structs(&[
            always(Of::Fixed(2)),
            since(6, Of::Text),
            always(Of::Text),
            always(Of::Text),
            always(Of::Text),
            always(Of::Text),
            always(MEMBER),
            since(3, Of::Fixed(4)),
        ]);
        Shape { flexible: 5, fields: &[since(1, Of::Fixed(4)), always(GROUP)] }
    };
}

/// Partitions of a member of a newer group: by topic id and name.
const ASSIGNMENT: Of = Of::Struct(&[always(Of::Structs(&[always(Of::Fixed(16)), always(Of::Text), always(Of::Values(4))]))]);

impl CheckedRequest for ConsumerGroupDescribeRequest {
    const KEY: ApiKey = ApiKey::ConsumerGroupDescribe;
    const OP: &'static str = "describe group";
    type Response = ConsumerGroupDescribeResponse;
    const THROTTLE: fn(&Self::Response) -> i32 = |answer| answer.throttle_time_ms;
    const ABOUT: fn(&Self) -> String = |request| counted(request.group_ids.len(), "group");
    const ABOUT_ANSWER: fn(&Self::Response) -> String =
        |answer| counted(answer.groups.iter().map(|group| group.members.len()).sum(), "member");
    const SHAPE: Shape = {
        const MEMBER: Of = Of::Structs(&[
            always(Of::Text),
            always(Of::Text),
            always(Of::Text),
            always(Of::Fixed(4)),
            always(Of::Text),
            always(Of::Text),
            always(Of::Texts),
            always(Of::Text),
            always(ASSIGNMENT),
            always(ASSIGNMENT),
            since(1, Of::Fixed(1)),
        ]);
        const GROUP: Of = Of::Structs(&[
            always(Of::Fixed(2)),
            always(Of::Text),
            always(Of::Text),
            always(Of::Text),
            always(Of::Fixed(4 + 4)),
            always(Of::Text),
            always(MEMBER),
            always(Of::Fixed(4)),
        ]);
        Shape { flexible: 0, fields: &[always(Of::Fixed(4)), always(GROUP)] }
    };
}

impl CheckedRequest for ShareGroupDescribeRequest {
    const KEY: ApiKey = ApiKey::ShareGroupDescribe;
    const OP: &'static str = "describe group";
    type Response = ShareGroupDescribeResponse;
    const THROTTLE: fn(&Self::Response) -> i32 = |answer| answer.throttle_time_ms;
    const ABOUT: fn(&Self) -> String = |request| counted(request.group_ids.len(), "group");
    const ABOUT_ANSWER: fn(&Self::Response) -> String =
        |answer| counted(answer.groups.iter().map(|group| group.members.len()).sum(), "member");
    const SHAPE: Shape = {
        const GROUP: Of = Of::Structs(&[
            always(Of::Fixed(2)),
            always(Of::Text),
            always(Of::Text),
            always(Of::Text),
            always(Of::Fixed(4 + 4)),
            always(Of::Text),
            always(Of::Structs(&[
                always(Of::Text),
                always(Of::Text),
                always(Of::Fixed(4)),
                always(Of::Text),
                always(Of::Text),
                always(Of::Texts),
                always(ASSIGNMENT),
            ])),
            always(Of::Fixed(4)),
        ]);
        Shape { flexible: 0, fields: &[always(Of::Fixed(4)), always(GROUP)] }
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::kafka::link::api::Request;
    use bytes::{BufMut, BytesMut};
    use proptest::prelude::*;

    #[test]
    fn an_assignment_is_read_as_members_write_it() {
        let mut bytes = BytesMut::new();
        bytes.put_i16(1);
        bytes.put_i32(2);
        for (topic, partitions) in [("b", &[2, 0][..]), ("a", &[7])] {
            bytes.put_i16(1);
            bytes.put_slice(topic.as_bytes());
            bytes.put_i32(partitions.len() as i32);
            for partition in partitions {
                bytes.put_i32(*partition);
            }
        }
        bytes.put_i32(-1); // user data
        assert_eq!(assignment(bytes.freeze()), Some(vec![("a".to_owned(), vec![7]), ("b".to_owned(), vec![0, 2])]));
        assert_eq!(assignment(Bytes::new()), None, "a member that has none yet");
    }

    proptest! {
        /// A count in garbage must end neither the process nor the test.
        #[test]
        fn garbled_answers_are_refused_without_a_panic(
            mut body in proptest::collection::vec(any::<u8>(), 0..300),
            huge in 0..300_usize,
            version in 0..10_i16,
        ) {
            for (at, byte) in [0x7f, 0xff, 0xff, 0xff].into_iter().enumerate() {
                if let Some(place) = body.get_mut(huge + at) {
                    *place = byte;
                }
            }
            let body = Bytes::from(body);
            let _ = assignment(body.clone());
            let _ = <ListGroupsRequest as Request>::read(body.clone(), version.min(5));
            let _ = <DescribeGroupsRequest as Request>::read(body.clone(), version.min(6));
            let _ = <ConsumerGroupDescribeRequest as Request>::read(body.clone(), version.min(1));
            let _ = <ShareGroupDescribeRequest as Request>::read(body.clone(), 1);
            let _ = <kafka_protocol::messages::OffsetFetchRequest as Request>::read(body.clone(), version.clamp(1, 9));
            let _ = <kafka_protocol::messages::FindCoordinatorRequest as Request>::read(body.clone(), version.min(6));
            let _ = <kafka_protocol::messages::DescribeShareGroupOffsetsRequest as Request>::read(body, version.min(1));
        }
    }
}
