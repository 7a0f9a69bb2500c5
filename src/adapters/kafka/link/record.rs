//! The records inside a batch (format 2): walked in place, nothing allocated and nothing copied.

use crate::domain::message;
use std::fmt;

/// One record, borrowed from the bytes of its batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record<'a> {
    /// Relative to the batch's base offset.
    pub(crate) offset_delta: i32,
    /// Relative to the batch's base timestamp, in milliseconds.
    pub(crate) timestamp_delta: i64,
    /// A missing key is not an empty one.
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) value: Option<&'a [u8]>,
    pub(crate) headers: Headers<'a>,
}

/// The headers of one record: checked when the record was read, walked when they are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Headers<'a> {
    count: usize,
    bytes: &'a [u8],
}

/// A walk over the records of one batch. After an error there is nothing more.
#[derive(Clone, Debug)]
pub(crate) struct Records<'a> {
    bytes: &'a [u8],
    at: usize,
    left: u32,
}

/// More headers than this on one record are taken for damage: nobody sends them, and each costs many times its size in memory.
pub(crate) const MAX_HEADERS: usize = 65_536;

/// What is wrong with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Malformed {
    /// A field reaches beyond its record or its batch.
    CutOff,
    /// A variable-length number of more than its longest form.
    Number,
    /// A length below −1, or a header without a name.
    Length,
    /// A record says one length and has another, or the batch goes on after its last record.
    Surplus,
    /// More headers than [`MAX_HEADERS`] or a number below zero.
    Headers,
}

/// A place in the bytes of a record.
struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Records<'a> {
    /// The `count` records in the decompressed bytes of a batch.
    pub(crate) fn new(bytes: &'a [u8], count: u32) -> Self {
        Self::resume(bytes, 0, count)
    }

    /// Goes on where another walk over the same bytes stood: [`Records::position`].
    pub(crate) fn resume(bytes: &'a [u8], at: usize, left: u32) -> Self {
        Self { bytes, at, left }
    }

    /// How far the walk is: the next byte, and the number of records to come.
    pub(crate) fn position(&self) -> (usize, u32) {
        (self.at, self.left)
    }

    fn read(&mut self) -> Result<Record<'a>, Malformed> {
        let mut cursor = Cursor { rest: self.bytes.get(self.at..).unwrap_or_default() };
        let length = usize::try_from(cursor.varint()?).map_err(|_| Malformed::Length)?;
        let body = cursor.take(length)?;
        self.at = self.bytes.len() - cursor.rest.len();
        Record::parse(body)
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, Malformed>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            let surplus = self.at < self.bytes.len();
            self.at = self.bytes.len();
            return surplus.then_some(Err(Malformed::Surplus));
        }
        self.left -= 1;
        let record = self.read();
        if record.is_err() {
            (self.at, self.left) = (self.bytes.len(), 0);
        }
        Some(record)
    }
}

impl<'a> Record<'a> {
    #[inline]
    fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut cursor = Cursor { rest: body };
        cursor.take(1)?; // attributes: none are defined for a record
        let timestamp_delta = cursor.varlong()?;
        let offset_delta = cursor.varint()?;
        let key = cursor.nullable()?;
        let value = cursor.nullable()?;
        let headers = Headers::parse(&mut cursor)?;
        if !cursor.rest.is_empty() {
            return Err(Malformed::Surplus);
        }
        Ok(Self { offset_delta, timestamp_delta, key, value, headers })
    }
}

impl<'a> Headers<'a> {
    fn parse(cursor: &mut Cursor<'a>) -> Result<Self, Malformed> {
        let count = usize::try_from(cursor.varint()?).ok().filter(|n| *n <= MAX_HEADERS).ok_or(Malformed::Headers)?;
        let bytes = cursor.rest;
        for _ in 0..count {
            cursor.header()?;
        }
        Ok(Self { count, bytes: &bytes[..bytes.len() - cursor.rest.len()] })
    }

    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// Name and value of each, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> + use<'a> {
        let mut cursor = Cursor { rest: self.bytes };
        (0..self.count).map_while(move |_| cursor.header().ok())
    }
}

impl message::Headers for Headers<'_> {
    fn any(&self, test: &mut message::HeaderTest<'_>) -> bool {
        self.iter().any(|(name, value)| test(name, value))
    }
}

impl<'a> Cursor<'a> {
    #[inline]
    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Malformed::CutOff)?;
        self.rest = rest;
        Ok(taken)
    }

    /// A zigzag number of 32 bits, in at most five bytes.
    #[inline]
    fn varint(&mut self) -> Result<i32, Malformed> {
        // Nearly every number of a record is one or two bytes long.
        if let [first @ 0..0x80, rest @ ..] = self.rest {
            self.rest = rest;
            return Ok(zigzag(u64::from(*first)) as i32);
        }
        let raw = self.raw(5)?;
        u32::try_from(raw).map(|raw| zigzag(u64::from(raw)) as i32).map_err(|_| Malformed::Number)
    }

    /// A zigzag number of 64 bits, in at most ten bytes.
    #[inline]
    fn varlong(&mut self) -> Result<i64, Malformed> {
        self.raw(10).map(zigzag)
    }

    fn raw(&mut self, longest: usize) -> Result<u64, Malformed> {
        let mut value = 0_u64;
        for index in 0..longest {
            let (byte, rest) = self.rest.split_first().ok_or(Malformed::CutOff)?;
            self.rest = rest;
            if index == 9 && *byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed::Number)
    }

    #[inline]
    fn nullable(&mut self) -> Result<Option<&'a [u8]>, Malformed> {
        match self.varint()? {
            -1 => Ok(None),
            length => self.take(usize::try_from(length).map_err(|_| Malformed::Length)?).map(Some),
        }
    }

    fn header(&mut self) -> Result<(&'a [u8], Option<&'a [u8]>), Malformed> {
        let name = self.nullable()?.ok_or(Malformed::Length)?;
        Ok((name, self.nullable()?))
    }
}

fn zigzag(raw: u64) -> i64 {
    (raw >> 1).cast_signed() ^ -(raw & 1).cast_signed()
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CutOff => "a record reaches beyond its batch",
            Self::Number => "a record holds a number that is too long",
            Self::Length => "a record holds a length that cannot be",
            Self::Surplus => "a record or the batch is longer than it says",
            Self::Headers => "a record claims an impossible number of headers",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_are_read_in_every_length_and_no_longer() {
        for (bytes, number) in [
            (&[0][..], Ok(0)),
            (&[1], Ok(-1)),
            (&[2], Ok(1)),
            (&[0xac, 0x02], Ok(150)),
            (&[0xfe, 0xff, 0xff, 0xff, 0x0f], Ok(i32::MAX)),
            (&[0xff, 0xff, 0xff, 0xff, 0x0f], Ok(i32::MIN)),
            (&[0xff, 0xff, 0xff, 0xff, 0x1f], Err(Malformed::Number)),
            (&[0xff, 0xff, 0xff, 0xff, 0xff, 0], Err(Malformed::Number)),
            (&[0x80], Err(Malformed::CutOff)),
            (&[], Err(Malformed::CutOff)),
        ] {
            assert_eq!(Cursor { rest: bytes }.varint(), number, "{bytes:02x?}");
        }
        let longest = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
        assert_eq!(Cursor { rest: &longest }.varlong(), Ok(i64::MIN));
        let longer = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2];
        assert_eq!(Cursor { rest: &longer }.varlong(), Err(Malformed::Number));
    }

    #[test]
    fn a_record_that_lies_about_itself_is_malformed() {
        for (bytes, wrong) in [
            (&[20, 0, 0, 0, 1, 1, 0][..], Malformed::CutOff),
            (&[12, 0, 0, 0, 3, 1, 0], Malformed::Length),
            (&[12, 0, 0, 0, 1, 3, 0], Malformed::Length),
            (&[12, 0, 0, 0, 1, 1, 1], Malformed::Headers),
            (&[12, 0, 0, 0, 1, 1, 2], Malformed::CutOff),
            (&[16, 0, 0, 0, 1, 1, 2, 1, 1], Malformed::Length),
            (&[14, 0, 0, 0, 1, 1, 0, 0], Malformed::Surplus),
            (&[1, 0, 0, 0, 1, 1, 0], Malformed::Length),
        ] {
            let mut records = Records::new(bytes, 2);
            assert_eq!(records.next(), Some(Err(wrong)), "{bytes:?}");
            assert_eq!(records.next(), None);
        }
        let one = [12, 0, 0, 0, 1, 1, 0];
        let walked: Vec<_> = Records::new(&[one, one].concat(), 1).map(|r| r.map(|_| ())).collect();
        assert_eq!(walked, [Ok(()), Err(Malformed::Surplus)]);
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_walk_panic_or_run_on(bytes in proptest::collection::vec(any::<u8>(), 0..400), count in any::<u32>()) {
            let walked: Vec<_> = Records::new(&bytes, count).map(|r| r.map_or(0, |r| r.headers.iter().count())).collect();
            prop_assert!(walked.len() + walked.iter().sum::<usize>() <= bytes.len() + 1);
        }
    }
}
