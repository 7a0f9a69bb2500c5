//! AMQP's content properties read by ourselves, where the client crate cannot: short strings of any bytes, header names of any bytes, and
//! tables as deep as somebody likes.

use bytes::Bytes;
use lapin::types::{AMQPValue, DecimalValue, FieldTable, ShortString};
use std::collections::BTreeSet;

/// The flag of the header table among the properties.
pub(super) const HEADERS: u16 = 1 << 13;
/// Tables and lists in one another, at most; what is deeper is shown as the bytes that it is.
const DEEPEST: usize = 64;

/// The properties in the order of their flags, from the highest bit on: their header here, or what else they are.
const FIELDS: &[Field] = &[
    Field::Text("amqp_content_type"),
    Field::Text("amqp_content_encoding"),
    Field::Headers,
    Field::Byte("amqp_delivery_mode"),
    Field::Byte("amqp_priority"),
    Field::Text("amqp_correlation_id"),
    Field::Text("amqp_reply_to"),
    Field::Text("amqp_expiration"),
    Field::Text("amqp_message_id"),
    Field::Time,
    Field::Text("amqp_type"),
    Field::Text("amqp_user_id"),
    Field::Text("amqp_app_id"),
    Field::Text("amqp_cluster_id"),
];

enum Field {
    Text(&'static str),
    Byte(&'static str),
    Headers,
    Time,
}

/// The bytes that are left to be read.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    pub(super) fn short(&mut self) -> Option<&'a [u8]> {
        let size = self.u8()?;
        self.take(size.into())
    }

    fn long(&mut self) -> Option<&'a [u8]> {
        let size = self.array().map(u32::from_be_bytes)?;
        self.take(size as usize)
    }
}

/// Whether the client crate reads these properties as they are: it takes names and short strings for UTF-8, keeps one value of a name,
/// knows these types, and recurses as deep as a message is. Nobody but us uses the header `ours`.
pub(super) fn is_plain(properties: &[u8], ours: &[u8]) -> bool {
    plain(properties, ours) == Some(true)
}

fn plain(properties: &[u8], ours: &[u8]) -> Option<bool> {
    let mut reader = Reader(properties);
    let flags = reader.u16()?;
    for (at, field) in FIELDS.iter().enumerate() {
        if flags & (1 << (15 - at)) == 0 {
            continue;
        }
        match field {
            Field::Text(_) if std::str::from_utf8(reader.short()?).is_err() => return Some(false),
            Field::Text(_) => {}
            Field::Byte(_) => _ = reader.u8()?,
            Field::Time => _ = reader.u64()?,
            Field::Headers => {
                let table = reader.long()?;
                if !plain_table(&mut Reader(table), ours, 1)? {
                    return Some(false);
                }
            }
        }
    }
    Some(flags & 1 == 0 && reader.0.is_empty())
}

fn plain_table(reader: &mut Reader<'_>, ours: &[u8], depth: usize) -> Option<bool> {
    let mut names = BTreeSet::new();
    while !reader.0.is_empty() {
        let name = reader.short()?;
        if name == ours || !names.insert(name) || std::str::from_utf8(name).is_err() || !plain_value(reader, ours, depth)? {
            return Some(false);
        }
    }
    Some(true)
}

fn plain_value(reader: &mut Reader<'_>, ours: &[u8], depth: usize) -> Option<bool> {
    let letter = reader.u8()?;
    match letter {
        b'F' | b'A' if depth >= DEEPEST => return Some(false),
        b'F' => return plain_table(&mut Reader(reader.long()?), ours, depth + 1),
        b'A' => {
            let mut items = Reader(reader.long()?);
            while !items.0.is_empty() {
                if !plain_value(&mut items, ours, depth + 1)? {
                    return Some(false);
                }
            }
        }
        b'S' | b'x' => _ = reader.long()?,
        _ => match width(letter) {
            Some(width) => _ = reader.take(width)?,
            None => return Some(false),
        },
    }
    Some(true)
}

/// How many bytes a value of this type has, where all have as many.
fn width(letter: u8) -> Option<usize> {
    Some(match letter {
        b'V' => 0,
        b't' | b'b' | b'B' => 1,
        b's' | b'U' | b'u' => 2,
        b'I' | b'i' | b'f' => 4,
        b'D' => 5,
        b'l' | b'L' | b'd' | b'T' => 8,
        _ => return None,
    })
}

/// Properties as they came, with the exchange and the routing key where those could not be left in their place.
pub(super) fn wrap(names: Option<(&[u8], &[u8])>, properties: &[u8]) -> Vec<u8> {
    match names {
        None => [&[0], properties].concat(),
        // Both came as short strings.
        Some((exchange, key)) => [&[1, exchange.len() as u8], exchange, &[key.len() as u8], key, properties].concat(),
    }
}

/// Properties that were wrapped, read.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Properties {
    /// Exchange and routing key, where they stand here.
    pub(super) names: Option<(Bytes, Bytes)>,
    /// Those that are texts and small numbers, by their header.
    pub(super) texts: Vec<(&'static str, Bytes)>,
    pub(super) timestamp: Option<u64>,
    /// In their order; a name may be there twice.
    pub(super) headers: Option<Vec<(Bytes, AMQPValue)>>,
    /// The properties as they came, if they could not be read, or are not what is read here.
    pub(super) unread: Option<Bytes>,
}

pub(super) fn unwrap(wrapped: &[u8]) -> Properties {
    let mut read = Properties::default();
    let mut reader = Reader(wrapped);
    let names = |reader: &mut Reader<'_>| {
        let named = reader.u8()? == 1;
        let mut name = || reader.short().map(Bytes::copy_from_slice);
        Some(if named { Some((name()?, name()?)) } else { None })
    };
    read.names = names(&mut reader).flatten();
    let properties = reader.0;
    let mut changed = false;
    if fields(&mut reader, &mut read, &mut changed).is_none() || !reader.0.is_empty() || changed {
        read.unread = Some(Bytes::copy_from_slice(properties));
    }
    read
}

/// Reads as far as it goes; `None` if that is not to the end. Tells whether a value was changed to be read.
fn fields(reader: &mut Reader<'_>, read: &mut Properties, changed: &mut bool) -> Option<()> {
    let flags = reader.u16()?;
    for (at, field) in FIELDS.iter().enumerate() {
        if flags & (1 << (15 - at)) == 0 {
            continue;
        }
        match field {
            Field::Text(header) => read.texts.push((header, Bytes::copy_from_slice(reader.short()?))),
            Field::Byte(header) => read.texts.push((header, reader.u8()?.to_string().into())),
            Field::Time => read.timestamp = Some(reader.u64()?),
            Field::Headers => {
                let mut table = Reader(reader.long()?);
                let headers = read.headers.insert(Vec::new());
                while !table.0.is_empty() {
                    let name = Bytes::copy_from_slice(table.short()?);
                    headers.push((name, value(&mut table, 1, changed)?));
                }
            }
        }
    }
    (flags & 1 == 0).then_some(())
}

fn value(reader: &mut Reader<'_>, depth: usize, changed: &mut bool) -> Option<AMQPValue> {
    let letter = reader.u8()?;
    Some(match letter {
        b'F' | b'A' if depth >= DEEPEST => {
            *changed = true;
            AMQPValue::ByteArray(reader.long()?.to_vec().into())
        }
        b'A' => {
            let (mut inside, mut items) = (Reader(reader.long()?), Vec::new());
            while !inside.0.is_empty() {
                items.push(value(&mut inside, depth + 1, changed)?);
            }
            AMQPValue::FieldArray(items.into())
        }
        b'F' => {
            let (mut inside, mut table) = (Reader(reader.long()?), FieldTable::default());
            while !inside.0.is_empty() {
                let (raw, value) = (inside.short()?, value(&mut inside, depth + 1, changed)?);
                let name = shown(raw);
                *changed |= name.as_str().as_bytes() != raw || table.contains_key(name.as_str());
                table.insert(name, value);
            }
            AMQPValue::FieldTable(table)
        }
        b'S' => AMQPValue::LongString(reader.long()?.to_vec().into()),
        b'x' => AMQPValue::ByteArray(reader.long()?.to_vec().into()),
        b'V' => AMQPValue::Void,
        b't' => AMQPValue::Boolean(reader.u8()? != 0),
        b'b' => AMQPValue::ShortShortInt(reader.array().map(i8::from_be_bytes)?),
        b'B' => AMQPValue::ShortShortUInt(reader.u8()?),
        b's' | b'U' => AMQPValue::ShortInt(reader.array().map(i16::from_be_bytes)?),
        b'u' => AMQPValue::ShortUInt(reader.u16()?),
        b'I' => AMQPValue::LongInt(reader.array().map(i32::from_be_bytes)?),
        b'i' => AMQPValue::LongUInt(reader.array().map(u32::from_be_bytes)?),
        b'f' => AMQPValue::Float(reader.array().map(f32::from_be_bytes)?),
        b'd' => AMQPValue::Double(reader.array().map(f64::from_be_bytes)?),
        b'l' | b'L' => AMQPValue::LongLongInt(reader.array().map(i64::from_be_bytes)?),
        b'T' => AMQPValue::Timestamp(reader.u64()?),
        b'D' => {
            let scale = reader.u8()?;
            AMQPValue::DecimalValue(DecimalValue { scale, value: reader.array().map(u32::from_be_bytes)? })
        }
        _ => return None,
    })
}

/// A short string as text: bytes that are no UTF-8 as `\xHH`, as everywhere.
pub(super) fn shown(name: &[u8]) -> ShortString {
    let mut text = String::new();
    for chunk in name.utf8_chunks() {
        text.push_str(chunk.valid());
        chunk.invalid().iter().for_each(|byte| text.push_str(&format!("\\x{byte:02x}")));
    }
    let end = (0..=text.len().min(255)).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
    text.truncate(end);
    ShortString::try_new(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_not_utf_8_is_read_with_all_that_stands_beside_it() {
        let properties = [
            &[0b1010_1100, 0b0100_0000][..],
            &[1, b'j'],
            &[0, 0, 0, 8, 2, 0xff, b'n', b'S', 0, 0, 0, 0],
            &[8],
            &[3, 0, 0xfe, b'c'],
            &[0, 0, 0, 0, 0, 0, 0, 9],
        ]
        .concat();
        let read = unwrap(&wrap(Some((b"e\xff", b"k")), &properties));
        assert_eq!(read.names, Some((Bytes::from_static(b"e\xff"), "k".into())));
        let texts = [("amqp_content_type", &b"j"[..]), ("amqp_priority", b"8"), ("amqp_correlation_id", b"\x00\xfec")];
        let texts: Vec<_> = texts.into_iter().map(|(name, text)| (name, Bytes::from_static(text))).collect();
        assert_eq!((read.texts, read.timestamp, read.unread), (texts, Some(9), None));
        assert_eq!(read.headers, Some(vec![(Bytes::from_static(b"\xffn"), AMQPValue::LongString("".into()))]));
    }

    #[test]
    fn what_is_cut_short_is_read_as_far_as_it_goes_and_kept() {
        let read = unwrap(&wrap(None, &[0b1000_0100, 0, 1, b'j', 9, b'c']));
        assert_eq!((read.texts.len(), read.unread.as_deref()), (1, Some(&[0b1000_0100, 0, 1, b'j', 9, b'c'][..])));
    }

    #[test]
    fn what_is_changed_to_be_shown_is_kept_as_it_came() {
        let headers = |table: &[u8]| [&[0x20, 0, 0, 0, 0, table.len() as u8], table].concat();
        let nested = headers(b"\x01tF\0\0\0\x05\x02n\xfft\x01");
        let twice = headers(b"\x01tF\0\0\0\x06\x01nV\x01nV");
        for properties in [nested, twice] {
            assert!(!is_plain(&properties, b"x"));
            assert_eq!(unwrap(&wrap(None, &properties)).unread.as_deref(), Some(&properties[..]));
        }
        let read = unwrap(&wrap(None, &headers(b"\x01nV\x01nt\x01")));
        assert_eq!((read.headers.expect("headers").len(), read.unread), (2, None));
    }

    proptest! {
        #[test]
        fn no_bytes_end_it(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            is_plain(&bytes, b"x");
            unwrap(&bytes);
        }
    }
}
