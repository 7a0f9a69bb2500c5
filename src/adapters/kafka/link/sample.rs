//! Batches for tests, written by an encoder of its own that shares nothing with the walk.

use super::codec::Codec;
use super::codec::tests::compress;
use crate::domain::message::Header;
use bytes::Bytes;

/// A record to be written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sample {
    pub(crate) offset: i64,
    pub(crate) timestamp: i64,
    pub(crate) key: Option<Bytes>,
    pub(crate) value: Option<Bytes>,
    pub(crate) headers: Vec<Header>,
}

/// How a batch is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Written {
    pub(crate) codec: Codec,
    /// Beyond the codec: 0x08 stamped by the broker, 0x10 transactional, 0x20 control.
    pub(crate) attributes: i16,
    pub(crate) producer_id: i64,
    /// The batch ends here, whatever its last record is.
    pub(crate) last_offset: Option<i64>,
    pub(crate) max_timestamp: Option<i64>,
}

impl Default for Written {
    fn default() -> Self {
        Self { codec: Codec::None, attributes: 0, producer_id: -1, last_offset: None, max_timestamp: None }
    }
}

/// A message with an offset and a payload.
pub(crate) fn sample(offset: i64, value: &str) -> Sample {
    Sample { offset, timestamp: 1_000 + offset, value: Some(Bytes::copy_from_slice(value.as_bytes())), ..Sample::default() }
}

/// Writes a batch that begins at `base`.
pub(crate) fn batch(base: i64, how: Written, samples: &[Sample]) -> Vec<u8> {
    let base_timestamp = samples.first().map_or(0, |sample| sample.timestamp);
    let body: Vec<u8> = samples.iter().flat_map(|sample| record(base, base_timestamp, sample)).collect();
    with_body(base, how, base_timestamp, samples, &compress(how.codec, &body))
}

/// Writes a batch around records that are encoded already.
pub(crate) fn with_body(base: i64, how: Written, base_timestamp: i64, samples: &[Sample], body: &[u8]) -> Vec<u8> {
    let last = how.last_offset.or(samples.last().map(|sample| sample.offset)).unwrap_or(base);
    let max_timestamp = how.max_timestamp.or(samples.iter().map(|sample| sample.timestamp).max()).unwrap_or(-1);
    let mut checked = Vec::new();
    checked.extend((how.attributes | how.codec as i16).to_be_bytes());
    checked.extend(((last - base) as i32).to_be_bytes());
    checked.extend(base_timestamp.to_be_bytes());
    checked.extend(max_timestamp.to_be_bytes());
    checked.extend(how.producer_id.to_be_bytes());
    checked.extend([0; 2 + 4]);
    checked.extend((samples.len() as u32).to_be_bytes());
    checked.extend(body);
    let mut out = base.to_be_bytes().to_vec();
    out.extend((checked.len() as u32 + 9).to_be_bytes());
    out.extend([0, 0, 0, 7, 2]);
    out.extend(crc32c::crc32c(&checked).to_be_bytes());
    out.extend(checked);
    out
}

/// A batch in which the broker ends a producer's transaction.
pub(crate) fn marker(offset: i64, producer_id: i64, commit: bool) -> Vec<u8> {
    let key = Bytes::from(vec![0, 0, 0, u8::from(commit)]);
    let how = Written { attributes: 0x30, producer_id, ..Written::default() };
    batch(offset, how, &[Sample { offset, key: Some(key), value: Some(Bytes::from_static(&[0; 6])), ..Sample::default() }])
}

pub(crate) fn record(base: i64, base_timestamp: i64, sample: &Sample) -> Vec<u8> {
    let mut body = vec![0];
    number(&mut body, sample.timestamp - base_timestamp);
    number(&mut body, sample.offset - base);
    bytes(&mut body, sample.key.as_deref());
    bytes(&mut body, sample.value.as_deref());
    number(&mut body, sample.headers.len() as i64);
    for header in &sample.headers {
        bytes(&mut body, Some(&header.name));
        bytes(&mut body, header.value.as_deref());
    }
    let mut out = Vec::new();
    number(&mut out, body.len() as i64);
    out.extend(body);
    out
}

fn bytes(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    number(out, bytes.map_or(-1, |bytes| bytes.len() as i64));
    out.extend(bytes.unwrap_or_default());
}

fn number(out: &mut Vec<u8>, number: i64) {
    let mut raw = ((number << 1) ^ (number >> 63)).cast_unsigned();
    while raw >= 0x80 {
        out.push(raw as u8 | 0x80);
        raw >>= 7;
    }
    out.push(raw as u8);
}
