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
pub(crate) trait Request: Encodable + Send + Sync {
    const KEY: ApiKey;
    /// What the request is for, as a fault's `op`: `look up offsets`.
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
    fn read(body: Bytes, version: i16) -> Result<Self::Answer, anyhow::Error>;

    /// For how long the broker asks us to be silent after this answer, in milliseconds.
    fn throttle_ms(_answer: &Self::Answer) -> i32 {
        0
    }

    /// How long the broker may hold the request back on purpose, beyond the ordinary timeout.
    fn waits(&self) -> Duration {
        Duration::ZERO
    }

    /// The request in the wire log; no payload and no secret.
    fn about(&self) -> String {
        String::new()
    }

    /// The answer in the wire log; no payload and no secret.
    fn about_answer(_answer: &Self::Answer) -> String {
        String::new()
    }
}

/// A request whose answer is read by the crate, once its shape was checked. Its parts are those of [`Request`], a row each.
///
/// (The crate's own trait for the pair of a request and its answer is there only together with a broker's half of all messages.)
pub(crate) trait CheckedRequest: Encodable + Message + Send + Sync {
    const KEY: ApiKey;
    const OP: &'static str;
    type Response: Decodable + Message + Send;
    const SPOKEN: VersionRange = shared(Self::VERSIONS, Self::Response::VERSIONS);
    const THROTTLE: fn(&Self::Response) -> i32 = |_| 0;
    const WAITS: fn(&Self) -> Duration = |_| Duration::ZERO;
    const ABOUT: fn(&Self) -> String = |_| String::new();
    const ABOUT_ANSWER: fn(&Self::Response) -> String = |_| String::new();
    const SHAPE: Shape;

    fn write(&self, frame: &mut BytesMut, version: i16) -> Result<(), anyhow::Error> {
        self.encode(frame, version)
    }
}

impl<R: CheckedRequest> Request for R {
    const KEY: ApiKey = R::KEY;
    const OP: &'static str = R::OP;
    const SPOKEN: VersionRange = R::SPOKEN;
    type Answer = R::Response;

    fn write(&self, frame: &mut BytesMut, version: i16) -> Result<(), anyhow::Error> {
        CheckedRequest::write(self, frame, version)
    }

    fn read(body: Bytes, version: i16) -> Result<R::Response, anyhow::Error> {
        checked(&R::SHAPE, body, version)
    }

    fn throttle_ms(answer: &R::Response) -> i32 {
        R::THROTTLE(answer)
    }

    fn waits(&self) -> Duration {
        R::WAITS(self)
    }

    fn about(&self) -> String {
        R::ABOUT(self)
    }

    fn about_answer(answer: &R::Response) -> String {
        R::ABOUT_ANSWER(answer)
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

/// A time as Kafka's messages have it.
pub(crate) fn millis(time: i32) -> Duration {
    Duration::from_millis(u64::try_from(time).unwrap_or(0))
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

impl Request for ApiVersionsRequest {
    const KEY: ApiKey = ApiKey::ApiVersions;
    const OP: &'static str = "connect to";
    const SPOKEN: VersionRange = VersionRange { min: 0, max: 4 };
    type Answer = Versions;

    fn read(body: Bytes, version: i16) -> Result<Versions, anyhow::Error> {
        Versions::read(body, version)
    }

    fn about_answer(answer: &Versions) -> String {
        if answer.error == 0 { counted(answer.len(), "request") } else { super::super::faults::code_name(answer.error) }
    }
}

impl CheckedRequest for SaslHandshakeRequest {
    const KEY: ApiKey = ApiKey::SaslHandshake;
    const OP: &'static str = "log in to";
    type Response = SaslHandshakeResponse;
    const SPOKEN: VersionRange = VersionRange { min: 1, max: 1 };
    const ABOUT: fn(&Self) -> String = |request| request.mechanism.to_string();
    const ABOUT_ANSWER: fn(&Self::Response) -> String = |answer| {
        let offered: Vec<_> = answer.mechanisms.iter().map(StrBytes::as_str).collect();
        offered.join(" ")
    };
    const SHAPE: Shape = Shape { flexible: i16::MAX, fields: &[always(Of::Fixed(2)), always(Of::Texts)] };
}

impl Request for SaslAuthenticateRequest {
    const KEY: ApiKey = ApiKey::SaslAuthenticate;
    const OP: &'static str = "log in to";
    const SPOKEN: VersionRange = shared(<Self as Message>::VERSIONS, SaslAuthenticateResponse::VERSIONS);
    type Answer = SaslAuthenticateResponse;

    fn read(mut body: Bytes, version: i16) -> Result<SaslAuthenticateResponse, anyhow::Error> {
        // There is no array in it.
        SaslAuthenticateResponse::decode(&mut body, version)
    }

    fn about_answer(answer: &SaslAuthenticateResponse) -> String {
        super::super::faults::code_name(answer.error_code)
    }
}

impl CheckedRequest for MetadataRequest {
    const KEY: ApiKey = ApiKey::Metadata;
    const OP: &'static str = "read the cluster's metadata from";
    type Response = MetadataResponse;
    // Before version 4 a question creates the topic that it asks for.
    const SPOKEN: VersionRange = shared(VersionRange { min: 4, max: i16::MAX }, MetadataResponse::VERSIONS);
    const THROTTLE: fn(&Self::Response) -> i32 = |answer| answer.throttle_time_ms;
    const ABOUT: fn(&Self) -> String =
        |request| request.topics.as_ref().map_or_else(|| "all topics".to_owned(), |topics| counted(topics.len(), "topic"));
    const ABOUT_ANSWER: fn(&Self::Response) -> String =
        |answer| format!("{}, {}", counted(answer.brokers.len(), "broker"), counted(answer.topics.len(), "topic"));
    const SHAPE: Shape = {
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
        Shape {
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
        }
    };

    fn write(&self, frame: &mut BytesMut, version: i16) -> Result<(), anyhow::Error> {
        // Rights are told since version 8 (KIP-430).
        if version < 8 && self.include_topic_authorized_operations {
            return self.clone().with_include_topic_authorized_operations(false).encode(frame, version);
        }
        self.encode(frame, version)
    }
}

impl CheckedRequest for ListOffsetsRequest {
    const KEY: ApiKey = ApiKey::ListOffsets;
    const OP: &'static str = "look up offsets of";
    type Response = ListOffsetsResponse;
    const THROTTLE: fn(&Self::Response) -> i32 = |answer| answer.throttle_time_ms;
    const ABOUT: fn(&Self) -> String = |request| {
        let at = request.topics.first().and_then(|topic| topic.partitions.first()).map_or(0, |partition| partition.timestamp);
        let what = match at {
            -1 => "ends of",
            -2 => "starts of",
            _ => "times of",
        };
        format!("{what} {}", counted(request.topics.iter().map(|topic| topic.partitions.len()).sum(), "partition"))
    };
    const ABOUT_ANSWER: fn(&Self::Response) -> String = |answer| {
        let partitions = || answer.topics.iter().flat_map(|topic| &topic.partitions);
        let refused = partitions().filter(|partition| partition.error_code != 0).count();
        let all = counted(partitions().count(), "partition");
        if refused == 0 { all } else { format!("{all}, {refused} refused") }
    };
    const SHAPE: Shape = {
        const PARTITION: Of = Of::Structs(&[always(Of::Fixed(4 + 2 + 8 + 8)), since(4, Of::Fixed(4))]);
        Shape { flexible: 6, fields: &[since(2, Of::Fixed(4)), always(Of::Structs(&[always(Of::Text), always(PARTITION)]))] }
    };
}

impl CheckedRequest for DescribeConfigsRequest {
    const KEY: ApiKey = ApiKey::DescribeConfigs;
    const OP: &'static str = "read the settings of";
    type Response = DescribeConfigsResponse;
    const THROTTLE: fn(&Self::Response) -> i32 = |answer| answer.throttle_time_ms;
    const ABOUT: fn(&Self) -> String = |request| counted(request.resources.len(), "topic");
    const ABOUT_ANSWER: fn(&Self::Response) -> String =
        |answer| counted(answer.results.iter().map(|result| result.configs.len()).sum(), "setting");
    const SHAPE: Shape = {
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
        Shape { flexible: 4, fields: &[always(Of::Fixed(4)), always(RESULT)] }
    };
}

impl CheckedRequest for DescribeLogDirsRequest {
    const KEY: ApiKey = ApiKey::DescribeLogDirs;
    const OP: &'static str = "read the sizes of";
    type Response = DescribeLogDirsResponse;
    const THROTTLE: fn(&Self::Response) -> i32 = |answer| answer.throttle_time_ms;
    const ABOUT: fn(&Self) -> String =
        |request| request.topics.as_ref().map_or_else(|| "all topics".to_owned(), |topics| counted(topics.len(), "topic"));
    const ABOUT_ANSWER: fn(&Self::Response) -> String = |answer| counted(answer.results.len(), "log dir");
    const SHAPE: Shape = {
        const TOPIC: Of = Of::Structs(&[always(Of::Text), always(Of::Structs(&[always(Of::Fixed(4 + 8 + 8 + 1))]))]);
        const RESULT: Of =
            Of::Structs(&[always(Of::Fixed(2)), always(Of::Text), always(TOPIC), since(4, Of::Fixed(8)), since(4, Of::Fixed(8))]);
        Shape { flexible: 2, fields: &[always(Of::Fixed(4)), since(3, Of::Fixed(2)), always(RESULT)] }
    };
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
        let VersionRange { min, max } = <MetadataRequest as CheckedRequest>::SPOKEN;
        for version in min..=max {
            let mut frame = BytesMut::new();
            CheckedRequest::write(&request, &mut frame, version).unwrap_or_else(|error| panic!("v{version}: {error}"));
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
            let _ = <MetadataRequest as Request>::read(body.clone(), version);
            let _ = <ListOffsetsRequest as Request>::read(body.clone(), version);
            let _ = <DescribeConfigsRequest as Request>::read(body.clone(), version);
            let _ = <DescribeLogDirsRequest as Request>::read(body.clone(), version);
            let _ = <SaslHandshakeRequest as Request>::read(body.clone(), version);
            let _ = <SaslAuthenticateRequest as Request>::read(body, version);
        }
    }
}
