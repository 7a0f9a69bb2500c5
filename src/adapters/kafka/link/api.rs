//! The questions that the link asks: which versions are spoken, how an answer is read, and what the wire log says of both.

use super::shape::{Of, Shape, always, since, within};
use bytes::{Buf, Bytes, BytesMut};
use kafka_protocol::messages::{
    ApiKey, ApiVersionsRequest, DescribeConfigsRequest, DescribeConfigsResponse, DescribeLogDirsRequest, DescribeLogDirsResponse,
    ListOffsetsRequest, ListOffsetsResponse, MetadataRequest, MetadataResponse, SaslAuthenticateRequest, SaslAuthenticateResponse,
    SaslHandshakeRequest, SaslHandshakeResponse,
};
use kafka_protocol::protocol::{Decodable, Encodable, Message, StrBytes, VersionRange};
use std::time::Duration;

/// A request with everything the link must know of it.
pub(crate) trait Ask: Encodable + Send + Sync {
    const KEY: ApiKey;
    /// What asking is for, as a fault's `op`: `look up offsets`.
    const OP: &'static str;
    /// The versions that both the request and its answer have here.
    const SPOKEN: VersionRange;
    type Answer: Send;

    /// Writes the request. Encoding fails where a field is set that the version does not have, so that requests which can do
    /// without one leave it out here.
    fn write(&self, frame: &mut BytesMut, version: i16) -> Result<(), anyhow::Error> {
        self.encode(frame, version)
    }

    /// Reads the body of an answer. It must not trust any count in it: see [`Shape`].
    fn decode(body: Bytes, version: i16) -> Result<Self::Answer, anyhow::Error>;

    /// For how long the broker asks us to be silent after this answer.
    fn throttle(_answer: &Self::Answer) -> Duration {
        Duration::ZERO
    }

    /// How long the broker may hold the request back on purpose, beyond the ordinary timeout.
    fn waits(&self) -> Duration {
        Duration::ZERO
    }

    /// What is asked, for the wire log; no payload and no secret.
    fn about(&self) -> String {
        String::new()
    }

    /// What came back, for the wire log; no payload and no secret.
    fn said(_answer: &Self::Answer) -> String {
        String::new()
    }
}

/// The versions that two messages share.
pub(crate) const fn shared(request: VersionRange, answer: VersionRange) -> VersionRange {
    let min = if request.min > answer.min { request.min } else { answer.min };
    let max = if request.max < answer.max { request.max } else { answer.max };
    VersionRange { min, max }
}

/// Reads an answer after its shape was checked.
pub(crate) fn checked<A: Decodable>(shape: &Shape, mut body: Bytes, version: i16) -> Result<A, anyhow::Error> {
    shape.check(&body, version)?;
    A::decode(&mut body, version)
}

/// A throttle time as a broker writes it.
pub(crate) fn millis(throttle: i32) -> Duration {
    Duration::from_millis(u64::try_from(throttle).unwrap_or(0))
}

/// `1 topic`, `3 topics`.
pub(crate) fn counted(count: usize, one: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") }
}

/// What a broker offers: API key, lowest and highest version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Versions {
    /// The error code of the answer; 35 says that the version asked in is not spoken.
    pub(crate) error: i16,
    offered: Vec<(i16, i16, i16)>,
}

impl Versions {
    /// The highest version that both sides speak.
    pub(crate) fn pick(&self, key: ApiKey, spoken: VersionRange) -> Option<i16> {
        let (_, min, max) = self.offered.iter().find(|(offered, ..)| *offered == key as i16)?;
        let (min, max) = ((*min).max(spoken.min), (*max).min(spoken.max));
        (min <= max).then_some(max)
    }

    /// How many requests the broker knows.
    pub(crate) fn len(&self) -> usize {
        self.offered.len()
    }

    /// Reads the answer of `ApiVersions`. After error 35 nothing more is read: brokers answer in a version of their own then, and
    /// librdkafka's mock cluster in none at all.
    fn read(mut body: Bytes, version: i16) -> Result<Self, anyhow::Error> {
        let error = body.try_get_i16()?;
        if error == UNSUPPORTED_VERSION {
            return Ok(Self { error, offered: Vec::new() });
        }
        let compact = version >= 3;
        let count = if compact {
            let first = body.try_get_u8()?;
            let mut count = usize::from(first & 0x7f);
            if first & 0x80 != 0 {
                count |= usize::from(body.try_get_u8()?) << 7;
            }
            count.saturating_sub(1)
        } else {
            usize::try_from(body.try_get_i32()?)?
        };
        let mut offered = Vec::new();
        for _ in 0..count {
            offered.push((body.try_get_i16()?, body.try_get_i16()?, body.try_get_i16()?));
            if compact {
                // No version has tagged fields here; one that has would need to be skipped by size.
                anyhow::ensure!(body.try_get_u8()? == 0, "unknown tagged fields");
            }
        }
        Ok(Self { error, offered })
    }
}

/// `UNSUPPORTED_VERSION`.
pub(crate) const UNSUPPORTED_VERSION: i16 = 35;

impl Ask for ApiVersionsRequest {
    const KEY: ApiKey = ApiKey::ApiVersions;
    const OP: &'static str = "connect to";
    const SPOKEN: VersionRange = VersionRange { min: 0, max: 4 };
    type Answer = Versions;

    fn decode(body: Bytes, version: i16) -> Result<Versions, anyhow::Error> {
        Versions::read(body, version)
    }

    fn said(answer: &Versions) -> String {
        if answer.error == 0 { counted(answer.len(), "request") } else { super::super::faults::code_name(answer.error) }
    }
}

impl Ask for SaslHandshakeRequest {
    const KEY: ApiKey = ApiKey::SaslHandshake;
    const OP: &'static str = "log in to";
    const SPOKEN: VersionRange = VersionRange { min: 1, max: 1 };
    type Answer = SaslHandshakeResponse;

    fn decode(body: Bytes, version: i16) -> Result<SaslHandshakeResponse, anyhow::Error> {
        const SHAPE: Shape = Shape { flexible: i16::MAX, fields: &[always(Of::Fixed(2)), always(Of::Texts)] };
        checked(&SHAPE, body, version)
    }

    fn about(&self) -> String {
        self.mechanism.to_string()
    }

    fn said(answer: &SaslHandshakeResponse) -> String {
        let offered: Vec<_> = answer.mechanisms.iter().map(StrBytes::as_str).collect();
        offered.join(" ")
    }
}

impl Ask for SaslAuthenticateRequest {
    const KEY: ApiKey = ApiKey::SaslAuthenticate;
    const OP: &'static str = "log in to";
    const SPOKEN: VersionRange = shared(<Self as Message>::VERSIONS, SaslAuthenticateResponse::VERSIONS);
    type Answer = SaslAuthenticateResponse;

    fn decode(mut body: Bytes, version: i16) -> Result<SaslAuthenticateResponse, anyhow::Error> {
        // There is no array in it.
        SaslAuthenticateResponse::decode(&mut body, version)
    }

    fn said(answer: &SaslAuthenticateResponse) -> String {
        super::super::faults::code_name(answer.error_code)
    }
}

impl Ask for MetadataRequest {
    const KEY: ApiKey = ApiKey::Metadata;
    const OP: &'static str = "read the cluster's metadata from";
    // Before version 4 a question creates the topic that it asks for.
    const SPOKEN: VersionRange = shared(VersionRange { min: 4, max: i16::MAX }, MetadataResponse::VERSIONS);
    type Answer = MetadataResponse;

    fn write(&self, frame: &mut BytesMut, version: i16) -> Result<(), anyhow::Error> {
        // Rights are told since version 8 (KIP-430).
        if version < 8 && self.include_topic_authorized_operations {
            return self.clone().with_include_topic_authorized_operations(false).encode(frame, version);
        }
        self.encode(frame, version)
    }

    fn decode(body: Bytes, version: i16) -> Result<MetadataResponse, anyhow::Error> {
        const BROKER: Of = Of::Structs(&[always(Of::Fixed(4)), always(Of::Text), always(Of::Fixed(4)), since(1, Of::Text)]);
        const PARTITION: Of = Of::Structs(&[
            always(Of::Fixed(2 + 4 + 4)),
            since(7, Of::Fixed(4)),
            always(Of::Values(4)),
            always(Of::Values(4)),
            since(5, Of::Values(4)),
        ]);
        const TOPIC: Of = Of::Structs(&[
            always(Of::Fixed(2)),
            always(Of::Text),
            since(10, Of::Fixed(16)),
            since(1, Of::Fixed(1)),
            always(PARTITION),
            since(8, Of::Fixed(4)),
        ]);
        const SHAPE: Shape = Shape {
            flexible: 9,
            fields: &[
                since(3, Of::Fixed(4)),
                always(BROKER),
                since(2, Of::Text),
                since(1, Of::Fixed(4)),
                always(TOPIC),
                within(8, 10, Of::Fixed(4)),
                since(13, Of::Fixed(2)),
            ],
        };
        checked(&SHAPE, body, version)
    }

    fn throttle(answer: &MetadataResponse) -> Duration {
        millis(answer.throttle_time_ms)
    }

    fn about(&self) -> String {
        self.topics.as_ref().map_or_else(|| "all topics".to_owned(), |topics| counted(topics.len(), "topic"))
    }

    fn said(answer: &MetadataResponse) -> String {
        format!("{}, {}", counted(answer.brokers.len(), "broker"), counted(answer.topics.len(), "topic"))
    }
}

impl Ask for ListOffsetsRequest {
    const KEY: ApiKey = ApiKey::ListOffsets;
    const OP: &'static str = "look up offsets of";
    const SPOKEN: VersionRange = shared(<Self as Message>::VERSIONS, ListOffsetsResponse::VERSIONS);
    type Answer = ListOffsetsResponse;

    fn decode(body: Bytes, version: i16) -> Result<ListOffsetsResponse, anyhow::Error> {
        const PARTITION: Of = Of::Structs(&[always(Of::Fixed(4 + 2 + 8 + 8)), since(4, Of::Fixed(4))]);
        const SHAPE: Shape =
            Shape { flexible: 6, fields: &[since(2, Of::Fixed(4)), always(Of::Structs(&[always(Of::Text), always(PARTITION)]))] };
        checked(&SHAPE, body, version)
    }

    fn throttle(answer: &ListOffsetsResponse) -> Duration {
        millis(answer.throttle_time_ms)
    }

    fn about(&self) -> String {
        let at = self.topics.first().and_then(|topic| topic.partitions.first()).map_or(0, |partition| partition.timestamp);
        let what = match at {
            -1 => "ends of",
            -2 => "starts of",
            _ => "times of",
        };
        format!("{what} {}", counted(self.topics.iter().map(|topic| topic.partitions.len()).sum(), "partition"))
    }

    fn said(answer: &ListOffsetsResponse) -> String {
        let partitions = || answer.topics.iter().flat_map(|topic| &topic.partitions);
        let refused = partitions().filter(|partition| partition.error_code != 0).count();
        let all = counted(partitions().count(), "partition");
        if refused == 0 { all } else { format!("{all}, {refused} refused") }
    }
}

impl Ask for DescribeConfigsRequest {
    const KEY: ApiKey = ApiKey::DescribeConfigs;
    const OP: &'static str = "read the settings of";
    const SPOKEN: VersionRange = shared(<Self as Message>::VERSIONS, DescribeConfigsResponse::VERSIONS);
    type Answer = DescribeConfigsResponse;

    fn decode(body: Bytes, version: i16) -> Result<DescribeConfigsResponse, anyhow::Error> {
        const SYNONYM: Of = Of::Structs(&[always(Of::Text), always(Of::Text), always(Of::Fixed(1))]);
        const CONFIG: Of = Of::Structs(&[
            always(Of::Text),
            always(Of::Text),
            always(Of::Fixed(3)),
            always(SYNONYM),
            since(3, Of::Fixed(1)),
            since(3, Of::Text),
        ]);
        const RESULT: Of = Of::Structs(&[always(Of::Fixed(2)), always(Of::Text), always(Of::Fixed(1)), always(Of::Text), always(CONFIG)]);
        const SHAPE: Shape = Shape { flexible: 4, fields: &[always(Of::Fixed(4)), always(RESULT)] };
        checked(&SHAPE, body, version)
    }

    fn throttle(answer: &DescribeConfigsResponse) -> Duration {
        millis(answer.throttle_time_ms)
    }

    fn about(&self) -> String {
        counted(self.resources.len(), "topic")
    }

    fn said(answer: &DescribeConfigsResponse) -> String {
        counted(answer.results.iter().map(|result| result.configs.len()).sum(), "setting")
    }
}

impl Ask for DescribeLogDirsRequest {
    const KEY: ApiKey = ApiKey::DescribeLogDirs;
    const OP: &'static str = "read the sizes of";
    const SPOKEN: VersionRange = shared(<Self as Message>::VERSIONS, DescribeLogDirsResponse::VERSIONS);
    type Answer = DescribeLogDirsResponse;

    fn decode(body: Bytes, version: i16) -> Result<DescribeLogDirsResponse, anyhow::Error> {
        const TOPIC: Of = Of::Structs(&[always(Of::Text), always(Of::Structs(&[always(Of::Fixed(4 + 8 + 8 + 1))]))]);
        const RESULT: Of =
            Of::Structs(&[always(Of::Fixed(2)), always(Of::Text), always(TOPIC), since(4, Of::Fixed(8)), since(4, Of::Fixed(8))]);
        const SHAPE: Shape = Shape { flexible: 2, fields: &[always(Of::Fixed(4)), since(3, Of::Fixed(2)), always(RESULT)] };
        checked(&SHAPE, body, version)
    }

    fn throttle(answer: &DescribeLogDirsResponse) -> Duration {
        millis(answer.throttle_time_ms)
    }

    fn about(&self) -> String {
        self.topics.as_ref().map_or_else(|| "all topics".to_owned(), |topics| counted(topics.len(), "topic"))
    }

    fn said(answer: &DescribeLogDirsResponse) -> String {
        counted(answer.results.len(), "log dir")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_highest_version_of_both_is_spoken() {
        let versions = Versions { error: 0, offered: vec![(3, 0, 12), (2, 1, 10), (1, 0, 2), (9, 8, 8)] };
        let range = |min, max| VersionRange { min, max };
        for (key, spoken, picked) in [
            (ApiKey::Metadata, range(4, 13), Some(12)),
            (ApiKey::ListOffsets, range(1, 7), Some(7)),
            (ApiKey::Fetch, range(4, 18), None),
            (ApiKey::OffsetFetch, range(0, 9), Some(8)),
            (ApiKey::DescribeConfigs, range(1, 4), None),
        ] {
            assert_eq!(versions.pick(key, spoken), picked, "{key:?}");
        }
    }

    #[test]
    fn api_versions_are_read_in_both_forms() {
        let plain = Bytes::from_static(&[0, 0, 0, 0, 0, 1, 0, 3, 0, 0, 0, 12, 0, 0, 0, 0]);
        let compact = Bytes::from_static(&[0, 0, 2, 0, 3, 0, 0, 0, 12, 0, 0, 0, 0, 0, 0]);
        for (body, version) in [(plain, 1), (compact, 4)] {
            let read = Versions::read(body, version).expect("readable");
            assert_eq!(read, Versions { error: 0, offered: vec![(3, 0, 12)] }, "v{version}");
        }
    }

    #[test]
    fn nothing_is_read_behind_error_35() {
        // As librdkafka's mock cluster answers version 4.
        let body = Bytes::from_static(&[0, 35, 0, 0, 0, 1, 0, 18, 0, 0, 0, 2, 0]);
        assert_eq!(Versions::read(body, 4).expect("readable").error, UNSUPPORTED_VERSION);
    }

    #[test]
    fn rights_are_left_out_where_a_broker_is_too_old_to_tell_them() {
        let request = MetadataRequest::default().with_topics(Some(Vec::new())).with_include_topic_authorized_operations(true);
        for version in MetadataRequest::SPOKEN.min..=MetadataRequest::SPOKEN.max {
            let mut frame = BytesMut::new();
            request.write(&mut frame, version).unwrap_or_else(|error| panic!("v{version}: {error}"));
        }
    }

    proptest! {
        /// A count in garbage must end neither the process nor the test.
        #[test]
        fn garbled_answers_are_refused_without_a_panic(
            mut body in proptest::collection::vec(any::<u8>(), 0..300),
            huge in 0..300_usize,
            version in 0..14_i16,
        ) {
            for (at, byte) in [0x7f, 0xff, 0xff, 0xff].into_iter().enumerate() {
                if let Some(place) = body.get_mut(huge + at) {
                    *place = byte;
                }
            }
            let body = Bytes::from(body);
            let _ = Versions::read(body.clone(), version);
            let _ = MetadataRequest::decode(body.clone(), version);
            let _ = ListOffsetsRequest::decode(body.clone(), version);
            let _ = DescribeConfigsRequest::decode(body.clone(), version);
            let _ = DescribeLogDirsRequest::decode(body.clone(), version);
            let _ = <SaslHandshakeRequest as Ask>::decode(body.clone(), version);
            let _ = <SaslAuthenticateRequest as Ask>::decode(body, version);
        }
    }
}
