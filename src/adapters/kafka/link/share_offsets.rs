//! Where share groups begin, and what is left of them behind that: `DescribeShareGroupOffsets` (KIP-932, KIP-1226).
//!
//! A share group acknowledges messages in any order, so that its start says what it has dealt with only together with the broker's
//! own count. That came with version 1, which the message structs do not know: answers are read here by hand.

use super::api::{Request, counted};
use super::coordinator::{OfGroups, Refusal, Verdict};
use super::group_offsets::{Committed, Positions};
use super::shape::{Of, Shape, always, since};
use bytes::{Buf, Bytes, BytesMut};
use kafka_protocol::messages::describe_share_group_offsets_request::DescribeShareGroupOffsetsRequestGroup;
use kafka_protocol::messages::{ApiKey, DescribeShareGroupOffsetsRequest, GroupId};
use kafka_protocol::protocol::{Encodable, StrBytes, VersionRange};

/// Groups in one request.
const ASKED: usize = 1_000;
/// The first version that has the lag.
const WITH_LAG: i16 = 1;

/// The question where share groups begin.
pub(crate) struct ShareStarts;

/// The answer, group by group.
pub(crate) struct Starts {
    throttle: i32,
    groups: Vec<Verdict<Positions>>,
}

impl OfGroups for ShareStarts {
    type Request = DescribeShareGroupOffsetsRequest;
    type Said = Positions;
    const MOST: usize = ASKED;

    fn request(&self, groups: &[&str]) -> DescribeShareGroupOffsetsRequest {
        let group = |group: &&str| {
            let id = GroupId(StrBytes::from_string((*group).to_owned()));
            DescribeShareGroupOffsetsRequestGroup::default().with_group_id(id).with_topics(None)
        };
        DescribeShareGroupOffsetsRequest::default().with_groups(groups.iter().map(group).collect())
    }

    fn read(&self, answer: Starts) -> Vec<Verdict<Positions>> {
        answer.groups
    }
}

impl Request for DescribeShareGroupOffsetsRequest {
    const KEY: ApiKey = ApiKey::DescribeShareGroupOffsets;
    const OP: &'static str = "read the positions of";
    const SPOKEN: VersionRange = VersionRange { min: 0, max: WITH_LAG };
    type Answer = Starts;

    fn write(&self, frame: &mut BytesMut, _version: i16) -> Result<(), anyhow::Error> {
        // Both versions ask alike.
        self.encode(frame, 0)
    }

    fn read(body: Bytes, version: i16) -> Result<Starts, anyhow::Error> {
        const PARTITION: Of =
            Of::Structs(&[always(Of::Fixed(4 + 8 + 4)), since(WITH_LAG, Of::Fixed(8)), always(Of::Fixed(2)), always(Of::Text)]);
        const TOPIC: Of = Of::Structs(&[always(Of::Text), always(Of::Fixed(16)), always(PARTITION)]);
        const GROUP: Of = Of::Structs(&[always(Of::Text), always(TOPIC), always(Of::Fixed(2)), always(Of::Text)]);
        const SHAPE: Shape = Shape { flexible: 0, fields: &[always(Of::Fixed(4)), always(GROUP)] };
        SHAPE.check(&body, version)?;
        let mut reader = Reader(body);
        let throttle = reader.0.try_get_i32()?;
        let groups = reader.each(|reader| reader.group(version))?;
        reader.tags()?;
        Ok(Starts { throttle, groups })
    }

    fn throttle_ms(answer: &Starts) -> i32 {
        answer.throttle
    }

    fn about(&self) -> String {
        counted(self.groups.len(), "group")
    }

    fn about_answer(answer: &Starts) -> String {
        let topics = answer.groups.iter().filter_map(|(_, positions)| positions.as_ref().ok()).flatten();
        counted(topics.map(|(_, partitions)| partitions.len()).sum(), "position")
    }
}

/// Reads the compact form of KIP-482. Room is made for what was read, never for what a count says.
struct Reader(Bytes);

impl Reader {
    fn group(&mut self, version: i16) -> Result<Verdict<Positions>, anyhow::Error> {
        let name = self.text()?.unwrap_or_default();
        let topics = self.each(|reader| {
            let name = reader.text()?.unwrap_or_default();
            reader.take(16)?;
            let partitions = reader.each(|reader| reader.partition(version))?;
            reader.tags()?;
            Ok((name, partitions))
        })?;
        let (code, said) = (self.0.try_get_i16()?, self.text()?);
        self.tags()?;
        Ok((Some(name), if code == 0 { Ok(topics) } else { Err(Refusal { code, said }) }))
    }

    fn partition(&mut self, version: i16) -> Result<Committed, anyhow::Error> {
        let (partition, offset, _epoch) = (self.0.try_get_i32()?, self.0.try_get_i64()?, self.0.try_get_i32()?);
        let lag = if version >= WITH_LAG { self.0.try_get_i64()? } else { -1 };
        let error = self.0.try_get_i16()?;
        self.text()?;
        self.tags()?;
        let known = error == 0;
        Ok(Committed {
            partition,
            offset: Some(offset).filter(|offset| *offset >= 0 && known),
            lag: u64::try_from(lag).ok().filter(|_| known),
            error,
        })
    }

    fn each<T>(&mut self, mut read: impl FnMut(&mut Self) -> Result<T, anyhow::Error>) -> Result<Vec<T>, anyhow::Error> {
        let count = self.varint()?.saturating_sub(1);
        let mut all = Vec::new();
        for _ in 0..count {
            all.push(read(self)?);
        }
        Ok(all)
    }

    fn text(&mut self) -> Result<Option<String>, anyhow::Error> {
        match self.varint()?.checked_sub(1) {
            None => Ok(None),
            Some(size) => Ok(Some(String::from_utf8(self.take(size as usize)?.to_vec())?)),
        }
    }

    fn tags(&mut self) -> Result<(), anyhow::Error> {
        for _ in 0..self.varint()? {
            self.varint()?;
            let size = self.varint()? as usize;
            self.take(size)?;
        }
        Ok(())
    }

    fn take(&mut self, size: usize) -> Result<Bytes, anyhow::Error> {
        anyhow::ensure!(size <= self.0.len(), "the answer is cut off");
        Ok(self.0.split_to(size))
    }

    fn varint(&mut self) -> Result<u32, anyhow::Error> {
        let mut value = 0_u64;
        for shift in (0..35).step_by(7) {
            let byte = self.0.try_get_u8()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(u32::try_from(value)?);
            }
        }
        anyhow::bail!("a number has no end")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::BufMut;

    /// One group with one partition that begins at 25 of which 75 are left, and one that is refused.
    fn answer(version: i16) -> Bytes {
        let mut body = BytesMut::new();
        body.put_i32(7);
        body.put_slice(&[3, 2, b'g', 2, 2, b't']);
        body.put_slice(&[0; 16]);
        body.put_u8(2);
        body.put_i32(4);
        body.put_i64(25);
        body.put_i32(1);
        if version >= WITH_LAG {
            body.put_i64(75);
        }
        // The partition's error, no text, no tags; no tags of the topic; the group's error, no text, no tags.
        body.put_slice(&[0, 0, 0, 0, 0, 0, 0, 0, 0]);
        // The other group: no topics, 30, a text, no tags; a tag of the whole.
        body.put_slice(&[2, b'x', 1, 0, 30, 3, b'n', b'o', 0, 1, 9, 2, 1, 2]);
        body.freeze()
    }

    #[test]
    fn both_versions_are_read_and_the_first_has_no_lag() {
        for (version, lag) in [(0, None), (1, Some(75))] {
            let read = DescribeShareGroupOffsetsRequest::read(answer(version), version).expect("readable");
            assert_eq!(DescribeShareGroupOffsetsRequest::throttle_ms(&read), 7);
            let position = Committed { partition: 4, offset: Some(25), lag, error: 0 };
            let refusal = Refusal { code: 30, said: Some("no".to_owned()) };
            let groups = [(Some("g".to_owned()), Ok(vec![("t".to_owned(), vec![position])])), (Some("x".to_owned()), Err(refusal))];
            assert_eq!(read.groups, groups, "version {version}");
        }
    }

    #[test]
    fn an_answer_that_is_cut_off_anywhere_is_refused() {
        let whole = answer(1);
        for length in 0..whole.len() {
            assert!(DescribeShareGroupOffsetsRequest::read(whole.slice(..length), 1).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn every_version_that_is_spoken_can_be_asked() {
        for version in 0..=WITH_LAG {
            let mut frame = BytesMut::new();
            ShareStarts.request(&["workers"]).write(&mut frame, version).expect("written");
            assert!(!frame.is_empty());
        }
    }
}
