//! `FindCoordinator`: which brokers look after groups. Since version 4 one request asks for many (KIP-699).

use super::api::{Request, checked, counted, shared};
use super::shape::{Of, Shape, always, since, within};
use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey, BrokerId, FindCoordinatorRequest, FindCoordinatorResponse};
use kafka_protocol::protocol::{Encodable, Message, StrBytes, VersionRange};
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

/// The first version that asks for many groups.
const MANY: i16 = 4;

/// Where one group's coordinator is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Located {
    /// `None` in versions that ask for one group only: it is that one.
    pub(crate) group: Option<StrBytes>,
    pub(crate) node: i32,
    /// 0, or why there is none.
    pub(crate) error: i16,
    pub(crate) said: Option<String>,
}

/// Which broker coordinates which group, as far as it was told.
#[derive(Debug, Default)]
pub(crate) struct Coordinators(RwLock<HashMap<Arc<str>, i32>>);

impl Coordinators {
    pub(super) fn of(&self, group: &str) -> Option<i32> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(group).copied()
    }

    pub(super) fn learn(&self, group: &str, node: i32) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(group.into(), node);
    }

    pub(super) fn forget(&self, group: &str) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(group);
    }
}

/// The question for many groups; a broker of before Kafka 3.0 answers for the first alone.
pub(crate) fn request<'a>(groups: impl Iterator<Item = &'a str>) -> FindCoordinatorRequest {
    let keys = groups.map(|group| StrBytes::from_string(group.to_owned())).collect();
    FindCoordinatorRequest::default().with_coordinator_keys(keys)
}

impl Request for FindCoordinatorRequest {
    const KEY: ApiKey = ApiKey::FindCoordinator;
    const OP: &'static str = "find the coordinator of";
    const SPOKEN: VersionRange = shared(<Self as Message>::VERSIONS, FindCoordinatorResponse::VERSIONS);
    type Answer = Vec<Located>;

    fn write(&self, frame: &mut BytesMut, version: i16) -> Result<(), anyhow::Error> {
        if version >= MANY {
            return self.encode(frame, version);
        }
        let first = self.coordinator_keys.first().cloned().unwrap_or_default();
        Self::default().with_key(first).encode(frame, version)
    }

    fn read(body: Bytes, version: i16) -> Result<Vec<Located>, anyhow::Error> {
        const COORDINATOR: Of =
            Of::Structs(&[always(Of::Text), always(Of::Fixed(4)), always(Of::Text), always(Of::Fixed(4 + 2)), always(Of::Text)]);
        const SHAPE: Shape = Shape {
            flexible: 3,
            fields: &[
                since(1, Of::Fixed(4)),
                within(0, 3, Of::Fixed(2)),
                within(1, 3, Of::Text),
                within(0, 3, Of::Fixed(4)),
                within(0, 3, Of::Text),
                within(0, 3, Of::Fixed(4)),
                since(MANY, COORDINATOR),
            ],
        };
        let answer: FindCoordinatorResponse = checked(&SHAPE, body, version)?;
        let located = |group, node: BrokerId, error, said: Option<StrBytes>| Located {
            group,
            node: *node,
            error,
            said: said.map(|said| said.to_string()),
        };
        if version < MANY {
            return Ok(vec![located(None, answer.node_id, answer.error_code, answer.error_message)]);
        }
        let many = answer.coordinators.into_iter();
        Ok(many.map(|one| located(Some(one.key), one.node_id, one.error_code, one.error_message)).collect())
    }

    fn about(&self) -> String {
        counted(self.coordinator_keys.len(), "group")
    }

    fn about_answer(answer: &Vec<Located>) -> String {
        let refused = answer.iter().filter(|located| located.error != 0).count();
        if refused == 0 {
            counted(answer.len(), "coordinator")
        } else {
            format!("{}, {refused} refused", counted(answer.len(), "coordinator"))
        }
    }
}
