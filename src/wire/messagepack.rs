//! MessagePack (the specification of msgpack.org, timestamps included): bytes → `Value`. Big integers stay exact, nothing recurses.

use crate::domain::value::Value;
use bytes::Bytes;
use std::fmt;
use std::sync::Arc;

/// Arrays and maps may be nested this deep: one less than JSON, because an extension type is shown as an object.
pub const MAX_DEPTH: usize = 127;
/// More values than this in one payload are not decoded, because each takes far more memory than its byte.
pub const MAX_VALUES: usize = 4_000_000;

/// A MessagePack payload that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    pub value: Value,
    /// What the value cannot show of the payload, in words.
    pub notes: Vec<&'static str>,
    /// Keys that stand more than once in one map were seen.
    pub duplicate_keys: bool,
}

/// Why bytes are not one MessagePack value, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessagePackError {
    /// Offset in bytes.
    pub offset: usize,
    pub cause: &'static str,
}

impl fmt::Display for MessagePackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.cause, self.offset)
    }
}

/// Whether the first byte opens a map or an array: what a message normally is.
pub fn opens_collection(bytes: &[u8]) -> bool {
    matches!(bytes.first(), Some(0x80..=0x9f | 0xdc..=0xdf))
}

/// Reads exactly one value that takes all of the bytes.
pub fn read(bytes: &[u8]) -> Result<Document, MessagePackError> {
    let mut input = Input { bytes, at: 0, notes: Vec::new() };
    let mut open: Vec<Open> = Vec::new();
    let mut duplicate_keys = false;
    let mut values = 0;
    loop {
        values += 1;
        if values > MAX_VALUES {
            return Err(input.wrong("there are more than four million values"));
        }
        let mut value = match input.item()? {
            Item::Value(value) => value,
            Item::Open(opened) if open.len() == MAX_DEPTH => return Err(input.wrong(opened.too_deep())),
            Item::Open(opened) => {
                if opened.left() > 0 {
                    open.push(opened);
                    continue;
                }
                opened.close(&mut duplicate_keys)
            }
        };
        loop {
            let Some(innermost) = open.last_mut() else {
                return input.end(value, duplicate_keys);
            };
            innermost.put(value, &mut input.notes);
            if innermost.left() > 0 {
                break;
            }
            let Some(full) = open.pop() else { break };
            value = full.close(&mut duplicate_keys);
        }
    }
}

enum Item {
    Value(Value),
    Open(Open),
}

/// A collection that still lacks items.
enum Open {
    Array { items: Vec<Value>, left: usize },
    Map { entries: Vec<(Arc<str>, Value)>, key: Option<Arc<str>>, left: usize },
}

impl Open {
    fn array(left: usize) -> Self {
        Self::Array { items: Vec::new(), left }
    }

    fn map(left: usize) -> Self {
        Self::Map { entries: Vec::new(), key: None, left }
    }

    fn left(&self) -> usize {
        match self {
            Self::Array { left, .. } | Self::Map { left, .. } => *left,
        }
    }

    fn too_deep(&self) -> &'static str {
        match self {
            Self::Array { .. } => "an array is nested deeper than 127",
            Self::Map { .. } => "a map is nested deeper than 127",
        }
    }

    fn put(&mut self, value: Value, notes: &mut Vec<&'static str>) {
        match self {
            Self::Array { items, left } => {
                items.push(value);
                *left -= 1;
            }
            Self::Map { entries, key, left } => match key.take() {
                None => *key = Some(as_key(value, notes)),
                Some(key) => {
                    entries.push((key, value));
                    *left -= 1;
                }
            },
        }
    }

    fn close(self, duplicate_keys: &mut bool) -> Value {
        match self {
            Self::Array { items, .. } => Value::Array(items),
            Self::Map { entries, .. } => {
                let mut names: Vec<&str> = entries.iter().map(|(name, _)| &**name).collect();
                names.sort_unstable();
                *duplicate_keys |= names.windows(2).any(|pair| pair[0] == pair[1]);
                Value::Object(entries)
            }
        }
    }
}

/// `Value` has texts as keys; any other key stands as its JSON text.
fn as_key(value: Value, notes: &mut Vec<&'static str>) -> Arc<str> {
    match value {
        Value::Text(text) => text,
        other => {
            note(notes, "keys that are not texts are shown as their JSON text");
            super::json::compact(&other).into()
        }
    }
}

fn note(notes: &mut Vec<&'static str>, text: &'static str) {
    if !notes.contains(&text) {
        notes.push(text);
    }
}

struct Input<'a> {
    bytes: &'a [u8],
    at: usize,
    notes: Vec<&'static str>,
}

impl Input<'_> {
    fn wrong(&self, cause: &'static str) -> MessagePackError {
        MessagePackError { offset: self.at, cause }
    }

    fn end(self, value: Value, duplicate_keys: bool) -> Result<Document, MessagePackError> {
        if self.at < self.bytes.len() {
            return Err(self.wrong("bytes follow the value"));
        }
        Ok(Document { value, notes: self.notes, duplicate_keys })
    }

    fn take(&mut self, count: usize) -> Result<&[u8], MessagePackError> {
        if count > self.bytes.len() - self.at {
            return Err(self.wrong("the bytes end in the middle of a value"));
        }
        self.at += count;
        Ok(&self.bytes[self.at - count..self.at])
    }

    /// An unsigned big-endian number of 1, 2, 4 or 8 bytes.
    fn unsigned(&mut self, width: usize) -> Result<u64, MessagePackError> {
        Ok(self.take(width)?.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
    }

    fn signed(&mut self, width: usize) -> Result<i64, MessagePackError> {
        let unused = 64 - 8 * width as u32;
        self.unsigned(width).map(|n| (n << unused) as i64 >> unused)
    }

    /// A length; what is promised but cannot be there is refused before anything is kept for it.
    fn length(&mut self, width: usize, least: usize) -> Result<usize, MessagePackError> {
        let count = self.unsigned(width)? as usize;
        self.fits(count, least)
    }

    fn fits(&self, count: usize, least: usize) -> Result<usize, MessagePackError> {
        if count.saturating_mul(least) > self.bytes.len() - self.at {
            return Err(self.wrong("a length reaches beyond the end of the bytes"));
        }
        Ok(count)
    }

    fn item(&mut self) -> Result<Item, MessagePackError> {
        let marker = self.take(1)?[0];
        let width = |base: u8| 1_usize << (marker - base);
        Ok(Item::Value(match marker {
            0x00..=0x7f => number(marker),
            0xe0..=0xff => number(marker as i8),
            0x80..=0x8f => return self.fits(usize::from(marker & 0x0f), 2).map(|n| Item::Open(Open::map(n))),
            0x90..=0x9f => return self.fits(usize::from(marker & 0x0f), 1).map(|n| Item::Open(Open::array(n))),
            0xdc | 0xdd => return self.length(2 * width(0xdc), 1).map(|n| Item::Open(Open::array(n))),
            0xde | 0xdf => return self.length(2 * width(0xde), 2).map(|n| Item::Open(Open::map(n))),
            0xa0..=0xbf => self.text(usize::from(marker & 0x1f))?,
            0xd9..=0xdb => {
                let length = self.length(width(0xd9), 1)?;
                self.text(length)?
            }
            0xc4..=0xc6 => {
                let length = self.length(width(0xc4), 1)?;
                Value::Bytes(Bytes::copy_from_slice(self.take(length)?))
            }
            0xc0 => Value::Null,
            0xc1 => return Err(MessagePackError { offset: self.at - 1, cause: "the byte 0xc1 is never used" }),
            0xc2 => Value::Bool(false),
            0xc3 => Value::Bool(true),
            0xc7..=0xc9 => {
                let length = self.length(width(0xc7), 1)?;
                self.extension(length)?
            }
            0xd4..=0xd8 => self.extension(width(0xd4))?,
            0xca => self.float32()?,
            0xcb => self.float64()?,
            0xcc..=0xcf => number(self.unsigned(width(0xcc))?),
            0xd0..=0xd3 => number(self.signed(width(0xd0))?),
        }))
    }

    fn text(&mut self, length: usize) -> Result<Value, MessagePackError> {
        let bytes = self.take(length)?;
        if let Ok(text) = std::str::from_utf8(bytes) {
            return Ok(Value::Text(text.into()));
        }
        let bytes = Bytes::copy_from_slice(bytes);
        note(&mut self.notes, "a text is not UTF-8 and is shown as bytes");
        Ok(Value::Bytes(bytes))
    }

    fn float32(&mut self) -> Result<Value, MessagePackError> {
        let float = f32::from_bits(self.unsigned(4)? as u32);
        Ok(self.float(float.is_finite(), format!("{float:?}")))
    }

    fn float64(&mut self) -> Result<Value, MessagePackError> {
        let float = f64::from_bits(self.unsigned(8)?);
        Ok(self.float(float.is_finite(), format!("{float:?}")))
    }

    /// The shortest digits that mean this float; JSON has none for the others.
    fn float(&mut self, finite: bool, shown: String) -> Value {
        if finite {
            return Value::Number(shown.into());
        }
        note(&mut self.notes, "a float that is no number is shown as text");
        Value::Text(shown.into())
    }

    fn extension(&mut self, length: usize) -> Result<Value, MessagePackError> {
        let kind = self.take(1)?[0] as i8;
        let data = Bytes::copy_from_slice(self.take(length)?);
        if let Some(time) = (kind == -1).then(|| timestamp(&data)).flatten() {
            note(&mut self.notes, "timestamps (extension type -1) are shown as RFC 3339 text");
            return Ok(Value::Text(time.into()));
        }
        note(&mut self.notes, "extension types are shown as {\"extension\":TYPE,\"data\":BYTES}");
        Ok(Value::Object(vec![("extension".into(), number(kind)), ("data".into(), Value::Bytes(data))]))
    }
}

/// The three layouts of the specification's timestamp extension.
fn timestamp(data: &[u8]) -> Option<String> {
    let unsigned = |bytes: &[u8]| bytes.iter().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
    let (seconds, nanoseconds) = match data.len() {
        4 => (unsigned(data) as i64, 0),
        8 => ((unsigned(data) & 0x3_ffff_ffff) as i64, unsigned(data) >> 34),
        12 => (unsigned(&data[4..]) as i64, unsigned(&data[..4])),
        _ => return None,
    };
    let nanoseconds = i32::try_from(nanoseconds).ok().filter(|n| *n < 1_000_000_000)?;
    // A moment before 1970 counts its nanoseconds forward from its second.
    let moment = jiff::Timestamp::from_second(seconds).ok()?.checked_add(jiff::SignedDuration::from_nanos(nanoseconds.into())).ok()?;
    Some(moment.to_string())
}

fn number(n: impl fmt::Display) -> Value {
    Value::Number(n.to_string().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::json::compact;
    use proptest::prelude::*;

    #[test]
    fn every_kind_is_shown_exactly() {
        for (bytes, json) in [
            (&[0x00][..], "0"),
            (&[0x7f], "127"),
            (&[0xff], "-1"),
            (&[0xe0], "-32"),
            (&[0xcf, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], "18446744073709551615"),
            (&[0xd3, 0x80, 0, 0, 0, 0, 0, 0, 0], "-9223372036854775808"),
            (&[0xcf, 0, 0x20, 0, 0, 0, 0, 0, 1], "9007199254740993"),
            (&[0xd0, 0x80], "-128"),
            (&[0xd1, 0x80, 0], "-32768"),
            (&[0xca, 0x3d, 0xcc, 0xcc, 0xcd], "0.1"),
            (&[0xcb, 0x3f, 0xb9, 0x99, 0x99, 0x99, 0x99, 0x99, 0x9a], "0.1"),
            (&[0xca, 0x7f, 0xc0, 0, 0], "\"NaN\""),
            (&[0xc0], "null"),
            (&[0xc2], "false"),
            (&[0xa2, b'h', b'i'], "\"hi\""),
            (&[0xd9, 2, b'h', b'i'], "\"hi\""),
            (&[0xda, 0, 2, b'h', b'i'], "\"hi\""),
            (&[0xdb, 0, 0, 0, 2, b'h', b'i'], "\"hi\""),
            (&[0xa1, 0xff], "\"/w==\""),
            (&[0xc4, 2, 1, 2], "\"AQI=\""),
            (&[0x92, 1, 0x90], "[1,[]]"),
            (&[0xdc, 0, 1, 0xc3], "[true]"),
            (&[0xdd, 0, 0, 0, 1, 0xc3], "[true]"),
            (&[0xde, 0, 1, 0xa1, b'a', 1], "{\"a\":1}"),
            (&[0x82, 1, 0xc0, 0x91, 2, 0x80], "{\"1\":null,\"[2]\":{}}"),
            (&[0x82, 0xa1, b'a', 1, 0xa1, b'a', 2], "{\"a\":1,\"a\":2}"),
            (&[0xd4, 7, 9], "{\"extension\":7,\"data\":\"CQ==\"}"),
            (&[0xc7, 3, 0x80, 1, 2, 3], "{\"extension\":-128,\"data\":\"AQID\"}"),
            (&[0xd6, 0xff, 0, 0, 0, 0], "\"1970-01-01T00:00:00Z\""),
            (&[0xd7, 0xff, 0x77, 0x35, 0x94, 0, 0, 0, 0, 1], "\"1970-01-01T00:00:01.5Z\""),
            (&[0xc7, 12, 0xff, 0x1d, 0xcd, 0x65, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], "\"1969-12-31T23:59:59.5Z\""),
        ] {
            let document = read(bytes).unwrap_or_else(|e| panic!("{bytes:02x?}: {e}"));
            assert_eq!(compact(&document.value), json, "{bytes:02x?}");
        }
    }

    #[test]
    fn what_the_tree_cannot_show_is_noted() {
        assert!(read(&[0x82, 0xa1, b'a', 1, 0xa1, b'a', 2]).expect("a map").duplicate_keys);
        assert_eq!(read(&[0x81, 1, 2]).expect("a map").notes, ["keys that are not texts are shown as their JSON text"]);
        assert_eq!(read(&[0x80]).expect("a map").notes, Vec::<&str>::new());
    }

    #[test]
    fn damaged_and_trailing_bytes_are_refused() {
        for (bytes, cause) in [
            (&[][..], "the bytes end in the middle of a value"),
            (&[0xc1], "the byte 0xc1 is never used"),
            (&[0x01, 0x02], "bytes follow the value"),
            (&[0x92, 1], "a length reaches beyond the end of the bytes"),
            (&[0xdd, 0xff, 0xff, 0xff, 0xff, 0], "a length reaches beyond the end of the bytes"),
            (&[0xdf, 0xff, 0xff, 0xff, 0xff, 0], "a length reaches beyond the end of the bytes"),
            (&[0xc6, 0xff, 0xff, 0xff, 0xff, 0], "a length reaches beyond the end of the bytes"),
            (&[0xcb, 0], "the bytes end in the middle of a value"),
            (&[0xa5, b'h'], "the bytes end in the middle of a value"),
        ] {
            assert_eq!(read(bytes).map_err(|e| e.cause), Err(cause), "{bytes:02x?}");
        }
        let nested = |depth: usize| [vec![0x91; depth], vec![0xc0]].concat();
        assert!(read(&nested(MAX_DEPTH)).is_ok());
        assert_eq!(read(&nested(MAX_DEPTH + 1)).map_err(|e| e.cause), Err("an array is nested deeper than 127"));
        assert!(read(&vec![0x91; 10_000_000]).is_err());
    }

    /// A length behind its marker: the given byte and the two that follow it stand for 1, 2 and 4 bytes of length.
    fn sized(first: u8, length: usize, width: usize) -> Vec<u8> {
        match width {
            0 if u8::try_from(length).is_ok() => vec![first, length as u8],
            0 | 1 => [&[first + 1][..], &(length as u16).to_be_bytes()].concat(),
            _ => [&[first + 2][..], &(length as u32).to_be_bytes()].concat(),
        }
    }

    /// Encoded bytes in any of the layouts that the specification allows, and the value they mean.
    fn encoded() -> impl Strategy<Value = (Vec<u8>, Value)> {
        let marked = |marker: u8, rest: &[u8]| [&[marker], rest].concat();
        let leaf = prop_oneof![
            Just((vec![0xc0], Value::Null)),
            any::<bool>().prop_map(|truth| (vec![0xc2 + u8::from(truth)], Value::Bool(truth))),
            (0_u8..0x80).prop_map(|n| (vec![n], number(n))),
            (-32_i8..0).prop_map(|n| (n.to_be_bytes().to_vec(), number(n))),
            any::<u8>().prop_map(move |n| (marked(0xcc, &n.to_be_bytes()), number(n))),
            any::<u16>().prop_map(move |n| (marked(0xcd, &n.to_be_bytes()), number(n))),
            any::<u32>().prop_map(move |n| (marked(0xce, &n.to_be_bytes()), number(n))),
            any::<u64>().prop_map(move |n| (marked(0xcf, &n.to_be_bytes()), number(n))),
            any::<i8>().prop_map(move |n| (marked(0xd0, &n.to_be_bytes()), number(n))),
            any::<i16>().prop_map(move |n| (marked(0xd1, &n.to_be_bytes()), number(n))),
            any::<i32>().prop_map(move |n| (marked(0xd2, &n.to_be_bytes()), number(n))),
            any::<i64>().prop_map(move |n| (marked(0xd3, &n.to_be_bytes()), number(n))),
            any::<f32>()
                .prop_filter("finite", |n| n.is_finite())
                .prop_map(move |n| (marked(0xca, &n.to_be_bytes()), number(format!("{n:?}")))),
            any::<f64>()
                .prop_filter("finite", |n| n.is_finite())
                .prop_map(move |n| (marked(0xcb, &n.to_be_bytes()), number(format!("{n:?}")))),
            (any::<String>(), 0_usize..3).prop_map(|(text, width)| {
                ([sized(0xd9, text.len(), width), text.clone().into_bytes()].concat(), Value::Text(text.into()))
            }),
            (prop::collection::vec(any::<u8>(), 0..20), 0_usize..3)
                .prop_map(|(bytes, width)| { ([sized(0xc4, bytes.len(), width), bytes.clone()].concat(), Value::Bytes(bytes.into())) }),
        ];
        leaf.prop_recursive(4, 30, 6, |inner| {
            let items = prop::collection::vec(inner.clone(), 0..20);
            let entries = prop::collection::vec(("[a-z]{0,31}", inner), 0..20);
            prop_oneof![
                (items, 0_usize..3).prop_map(|(items, width)| array(items, width)),
                (entries, 0_usize..3).prop_map(|(entries, width)| map(entries, width))
            ]
        })
    }

    fn array(items: Vec<(Vec<u8>, Value)>, width: usize) -> (Vec<u8>, Value) {
        let head = if width == 0 && items.len() < 16 { vec![0x90 | items.len() as u8] } else { sized(0xdb, items.len(), width.max(1)) };
        let (bytes, values): (Vec<_>, Vec<_>) = items.into_iter().unzip();
        ([head, bytes.concat()].concat(), Value::Array(values))
    }

    fn map(entries: Vec<(String, (Vec<u8>, Value))>, width: usize) -> (Vec<u8>, Value) {
        let head =
            if width == 0 && entries.len() < 16 { vec![0x80 | entries.len() as u8] } else { sized(0xdd, entries.len(), width.max(1)) };
        let mut bytes = head;
        let mut object = Vec::new();
        for (key, (value_bytes, value)) in entries {
            bytes.extend([&[0xa0 | key.len() as u8], key.as_bytes(), &value_bytes].concat());
            object.push((key.into(), value));
        }
        (bytes, Value::Object(object))
    }

    proptest! {
        #[test]
        fn every_layout_of_every_value_is_read((bytes, value) in encoded()) {
            let document = read(&bytes).expect("MessagePack");
            prop_assert_eq!(document.value, value);
        }

        #[test]
        fn a_value_that_is_cut_or_followed_by_more_is_refused((bytes, _) in encoded(), cut in any::<prop::sample::Index>()) {
            prop_assert!(read(&bytes[..cut.index(bytes.len())]).is_err());
            prop_assert!(read(&[&bytes[..], &[0]].concat()).is_err());
        }

        #[test]
        fn garbage_is_never_a_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = read(&bytes);
            if let Some(first) = bytes.first_mut() {
                *first = 0x80 | (*first & 0x1f);
            }
            let _ = read(&bytes);
        }
    }
}
