//! AMQP's content properties read by ourselves, where the client crate cannot: short strings of any bytes, header names of any bytes, and
//! tables as deep as somebody likes. What is published is always written here, because the crate cannot write such properties either.

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

    pub(super) fn long(&mut self) -> Option<&'a [u8]> {
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
        // The crate writes these with other letters, or another byte, than they came with.
        b'U' | b'L' => return Some(false),
        b't' => return Some(reader.u8()? <= 1),
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
        b'b' | b'B' => 1,
        b's' | b'u' => 2,
        b'I' | b'i' | b'f' => 4,
        b'D' => 5,
        b'l' | b'd' | b'T' => 8,
        _ => return None,
    })
}

/// Properties as they are, with the exchange and the routing key where those could not be left in their place.
pub(super) fn wrap(names: Option<Names<'_>>, properties: &[u8]) -> Vec<u8> {
    match names {
        None => [&[0], properties].concat(),
        // Both are short strings.
        Some((exchange, key)) => [&[1, exchange.len() as u8], exchange, &[key.len() as u8], key, properties].concat(),
    }
}

/// The names and the properties that [`wrap`] has put together.
pub(super) fn parts(wrapped: &[u8]) -> Option<(Option<Names<'_>>, &[u8])> {
    let mut reader = Reader(wrapped);
    let names = if reader.u8()? == 1 { Some((reader.short()?, reader.short()?)) } else { None };
    Some((names, reader.0))
}

/// An exchange and a routing key.
pub(super) type Names<'a> = (&'a [u8], &'a [u8]);

/// Properties that were read.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Properties {
    /// Exchange and routing key, where they stand here.
    pub(super) names: Option<(Bytes, Bytes)>,
    /// Those that are texts and small numbers, by their header.
    pub(super) texts: Vec<(&'static str, Bytes)>,
    pub(super) timestamp: Option<u64>,
    /// In their order; a name may be there twice.
    pub(super) headers: Option<Vec<(Bytes, AMQPValue)>>,
    /// The properties as they came, where what was read of them would not give them again.
    pub(super) raw: Option<Bytes>,
}

impl Properties {
    pub(super) fn text(&self, header: &str) -> Option<&Bytes> {
        self.texts.iter().find(|(name, _)| *name == header).map(|(_, text)| text)
    }

    /// The same with everything in one order: a server may write a table in another one.
    pub(super) fn sorted(mut self) -> Self {
        self.texts.sort();
        self.headers.iter_mut().for_each(|headers| headers.sort_by(|(one, _), (other, _)| one.cmp(other)));
        self
    }
}

/// What was noticed while properties were read.
#[derive(Default)]
struct Notes {
    /// A value is shown otherwise than it came.
    changed: bool,
    /// RabbitMQ ends the connection over it: it reads no such value.
    senseless: Option<&'static str>,
}

pub(super) fn unwrap(wrapped: &[u8]) -> Properties {
    let (names, properties) = parts(wrapped).unwrap_or((None, wrapped));
    let names = names.map(|(exchange, key)| (Bytes::copy_from_slice(exchange), Bytes::copy_from_slice(key)));
    Properties { names, ..read(properties) }
}

pub(super) fn read(properties: &[u8]) -> Properties {
    let (mut read, mut notes, mut reader) = (Properties::default(), Notes::default(), Reader(properties));
    if fields(&mut reader, &mut read, &mut notes).is_none() || !reader.0.is_empty() || notes.changed {
        read.raw = Some(Bytes::copy_from_slice(properties));
    }
    read
}

/// What RabbitMQ cannot read of these properties: it ends the connection of who sends them, and all that was sent with them.
pub(super) fn senseless(properties: &[u8]) -> Option<&'static str> {
    let (mut notes, mut reader) = (Notes::default(), Reader(properties));
    match fields(&mut reader, &mut Properties::default(), &mut notes) {
        Some(()) if reader.0.is_empty() => notes.senseless,
        _ => Some("they do not end where they should"),
    }
}

/// Reads as far as it goes; `None` if that is not to the end.
fn fields(reader: &mut Reader<'_>, read: &mut Properties, notes: &mut Notes) -> Option<()> {
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
                    let value = value(&mut table, 1, notes)?;
                    // Types stand beside the headers by their names, as texts.
                    notes.changed |= headers.iter().any(|(other, _)| *other == name)
                        || (std::str::from_utf8(&name).is_err() && !matches!(value, AMQPValue::LongString(_)));
                    headers.push((name, value));
                }
            }
        }
    }
    (flags & 1 == 0).then_some(())
}

fn value(reader: &mut Reader<'_>, depth: usize, notes: &mut Notes) -> Option<AMQPValue> {
    let letter = reader.u8()?;
    Some(match letter {
        b'F' | b'A' if depth >= DEEPEST => {
            notes.changed = true;
            AMQPValue::ByteArray(reader.long()?.to_vec().into())
        }
        b'A' => {
            let (mut inside, mut items) = (Reader(reader.long()?), Vec::new());
            while !inside.0.is_empty() {
                items.push(value(&mut inside, depth + 1, notes)?);
            }
            AMQPValue::FieldArray(items.into())
        }
        b'F' => {
            let (mut inside, mut table) = (Reader(reader.long()?), FieldTable::default());
            while !inside.0.is_empty() {
                let (raw, value) = (inside.short()?, value(&mut inside, depth + 1, notes)?);
                let name = shown(raw);
                notes.changed |= name.as_str().as_bytes() != raw || table.contains_key(name.as_str());
                table.insert(name, value);
            }
            AMQPValue::FieldTable(table)
        }
        b'S' => AMQPValue::LongString(reader.long()?.to_vec().into()),
        b'x' => AMQPValue::ByteArray(reader.long()?.to_vec().into()),
        b'V' => AMQPValue::Void,
        b't' => {
            let byte = reader.u8()?;
            notes.changed |= byte > 1;
            AMQPValue::Boolean(byte != 0)
        }
        b'b' => AMQPValue::ShortShortInt(reader.array().map(i8::from_be_bytes)?),
        b'B' => AMQPValue::ShortShortUInt(reader.u8()?),
        b's' | b'U' => {
            if letter == b'U' {
                (notes.changed, notes.senseless) = (true, Some("a value of the type U is unknown to it"));
            }
            AMQPValue::ShortInt(reader.array().map(i16::from_be_bytes)?)
        }
        b'u' => AMQPValue::ShortUInt(reader.u16()?),
        b'I' => AMQPValue::LongInt(reader.array().map(i32::from_be_bytes)?),
        b'i' => AMQPValue::LongUInt(reader.array().map(u32::from_be_bytes)?),
        b'f' => {
            let number = reader.array().map(f32::from_be_bytes)?;
            notes.number(number.is_finite());
            AMQPValue::Float(number)
        }
        b'd' => {
            let number = reader.array().map(f64::from_be_bytes)?;
            notes.number(number.is_finite());
            AMQPValue::Double(number)
        }
        b'l' | b'L' => {
            notes.changed |= letter == b'L';
            AMQPValue::LongLongInt(reader.array().map(i64::from_be_bytes)?)
        }
        b'T' => AMQPValue::Timestamp(reader.u64()?),
        b'D' => {
            let scale = reader.u8()?;
            AMQPValue::DecimalValue(DecimalValue { scale, value: reader.array().map(u32::from_be_bytes)? })
        }
        _ => return None,
    })
}

impl Notes {
    fn number(&mut self, finite: bool) {
        if !finite {
            self.senseless = Some("a number is infinite, or none at all");
        }
    }
}

/// Properties as they are sent; the error is one sentence.
pub(super) fn write(properties: &Properties) -> Result<Vec<u8>, String> {
    let (mut flags, mut out) = (0_u16, vec![0, 0]);
    for (at, field) in FIELDS.iter().enumerate() {
        let before = out.len();
        match field {
            Field::Text(header) => {
                if let Some(text) = properties.text(header) {
                    push_short(&mut out, text).ok_or_else(|| format!("`{header}` is longer than AMQP's 255 bytes"))?;
                }
            }
            Field::Byte(header) => {
                if let Some(text) = properties.text(header) {
                    let number = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
                    out.push(number.ok_or_else(|| format!("`{header}` is a number from 0 to 255"))?);
                }
            }
            Field::Time => out.extend(properties.timestamp.into_iter().flat_map(u64::to_be_bytes)),
            Field::Headers => {
                if let Some(headers) = &properties.headers {
                    let headers = headers.iter().map(|(name, value)| (&name[..], value));
                    push_table(&mut out, headers).ok_or("a header's name is longer than AMQP's 255 bytes")?;
                }
            }
        }
        if out.len() > before {
            flags |= 1 << (15 - at);
        }
    }
    out[..2].copy_from_slice(&flags.to_be_bytes());
    Ok(out)
}

fn push_short(out: &mut Vec<u8>, text: &[u8]) -> Option<()> {
    out.push(u8::try_from(text.len()).ok()?);
    out.extend(text);
    Some(())
}

fn push_long(out: &mut Vec<u8>, bytes: &[u8]) {
    // The length of what fits into memory that a message may take.
    out.extend((bytes.len() as u32).to_be_bytes());
    out.extend(bytes);
}

fn push_table<'a>(out: &mut Vec<u8>, members: impl Iterator<Item = (&'a [u8], &'a AMQPValue)>) -> Option<()> {
    let mut inside = Vec::new();
    for (name, value) in members {
        push_short(&mut inside, name)?;
        push_value(&mut inside, value)?;
    }
    push_long(out, &inside);
    Some(())
}

fn push_value(out: &mut Vec<u8>, value: &AMQPValue) -> Option<()> {
    out.push(match value {
        AMQPValue::ShortString(_) => b'S',
        // Every letter is ASCII.
        value => value.get_type().get_id() as u8,
    });
    match value {
        AMQPValue::Boolean(flag) => out.push(u8::from(*flag)),
        AMQPValue::ShortShortInt(n) => out.extend(n.to_be_bytes()),
        AMQPValue::ShortShortUInt(n) => out.push(*n),
        AMQPValue::ShortInt(n) => out.extend(n.to_be_bytes()),
        AMQPValue::ShortUInt(n) => out.extend(n.to_be_bytes()),
        AMQPValue::LongInt(n) => out.extend(n.to_be_bytes()),
        AMQPValue::LongUInt(n) => out.extend(n.to_be_bytes()),
        AMQPValue::LongLongInt(n) => out.extend(n.to_be_bytes()),
        AMQPValue::Timestamp(n) => out.extend(n.to_be_bytes()),
        AMQPValue::Float(n) => out.extend(n.to_be_bytes()),
        AMQPValue::Double(n) => out.extend(n.to_be_bytes()),
        AMQPValue::DecimalValue(decimal) => {
            out.push(decimal.scale);
            out.extend(decimal.value.to_be_bytes());
        }
        AMQPValue::LongString(text) => push_long(out, text.as_bytes()),
        AMQPValue::ShortString(text) => push_long(out, text.as_str().as_bytes()),
        AMQPValue::ByteArray(bytes) => push_long(out, bytes.as_slice()),
        AMQPValue::FieldArray(items) => {
            let mut inside = Vec::new();
            items.as_slice().iter().try_for_each(|item| push_value(&mut inside, item))?;
            push_long(out, &inside);
        }
        AMQPValue::FieldTable(table) => {
            push_table(out, table.inner().iter().map(|(name, value)| (name.as_str().as_bytes(), value)))?;
        }
        AMQPValue::Void => {}
    }
    Some(())
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
        assert_eq!((read.texts, read.timestamp, read.raw), (texts, Some(9), None));
        assert_eq!(read.headers, Some(vec![(Bytes::from_static(b"\xffn"), AMQPValue::LongString("".into()))]));
    }

    #[test]
    fn what_is_cut_short_is_read_as_far_as_it_goes_and_kept() {
        let read = unwrap(&wrap(None, &[0b1000_0100, 0, 1, b'j', 9, b'c']));
        assert_eq!((read.texts.len(), read.raw.as_deref()), (1, Some(&[0b1000_0100, 0, 1, b'j', 9, b'c'][..])));
    }

    #[test]
    fn what_is_changed_to_be_shown_is_kept_as_it_came() {
        let headers = |table: &[u8]| [&[0x20, 0, 0, 0, 0, table.len() as u8], table].concat();
        let nested = headers(b"\x01tF\0\0\0\x05\x02n\xfft\x01");
        let inside_twice = headers(b"\x01tF\0\0\0\x06\x01nV\x01nV");
        let (long, flag) = (headers(b"\x01nL\0\0\0\0\0\0\0\x07"), headers(b"\x01nt\x02"));
        let (twice, unnamed) = (headers(b"\x01nV\x01nt\x01"), headers(b"\x02n\xffV"));
        for properties in [nested, inside_twice, long, flag, twice, unnamed] {
            assert_eq!(senseless(&properties), None);
            assert!(!is_plain(&properties, b"x"));
            assert_eq!(unwrap(&wrap(None, &properties)).raw.as_deref(), Some(&properties[..]));
        }
    }

    #[test]
    fn what_the_server_cannot_read_is_known_beforehand() {
        let headers = |table: &[u8]| [&[0x20, 0, 0, 0, 0, table.len() as u8], table].concat();
        for (properties, why) in [
            (headers(b"\x01nU\0\x07"), "type U"),
            (headers(b"\x01nA\0\0\0\x03U\0\x07"), "type U"),
            (headers(b"\x01nd\x7f\xf8\0\0\0\0\0\0"), "infinite, or none"),
            (headers(b"\x01nf\xff\x80\0\0"), "infinite, or none"),
            (headers(b"\x01nC\x07"), "do not end"),
            (vec![0, 1, 0, 0], "do not end"),
            (vec![0, 0, b'z'], "do not end"),
        ] {
            assert!(senseless(&properties).is_some_and(|said| said.contains(why)), "{why}");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_written_as_it_was(
            texts in prop::collection::btree_map(0..10_usize, prop::collection::vec(any::<u8>(), 0..9), 0..10),
            headers in prop::option::of(prop::collection::btree_map(prop::collection::vec(any::<u8>(), 0..5), super::super::table::tests::values(), 0..4)),
            (timestamp, priority) in any::<(Option<u64>, Option<u8>)>(),
        ) {
            let names: Vec<_> = FIELDS.iter().filter_map(|field| if let Field::Text(name) = field { Some(*name) } else { None }).collect();
            let mut texts: Vec<_> = texts.into_iter().map(|(at, text)| (names[at], Bytes::from(text))).collect();
            texts.extend(priority.map(|priority| ("amqp_priority", Bytes::from(priority.to_string()))));
            let headers = headers.map(|headers| headers.into_iter().map(|(name, value)| (Bytes::from(name), value)).collect());
            let properties = Properties { texts, timestamp, headers, ..Properties::default() };
            let written = write(&properties).expect("it can be written");
            let read = Properties { raw: None, ..read(&written) };
            // What is no number equals nothing, and is the same all the same.
            prop_assert_eq!(format!("{:?}", read.clone().sorted()), format!("{:?}", properties.sorted()));
            prop_assert_eq!(write(&read), Ok(written));
        }

        #[test]
        fn no_bytes_end_it(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            is_plain(&bytes, b"x");
            senseless(&bytes);
            unwrap(&bytes);
        }
    }
}
