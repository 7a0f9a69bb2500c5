//! The shapes of answers, walked before they are decoded.
//!
//! The decoders of the message structs reserve room for as many elements as an array's count names, before they have read one.
//! A damaged or hostile count of two thousand million would end the process. So every answer with arrays is first walked here:
//! a count is believed only when that many elements are really there.

use bytes::{Buf, Bytes};

/// The fields of an answer, in order, with the first version that is written in the compact ("flexible") form of KIP-482.
pub(crate) struct Shape {
    pub(crate) flexible: i16,
    pub(crate) fields: &'static [Field],
}

/// One field and the versions that have it.
pub(crate) struct Field {
    pub(crate) since: i16,
    pub(crate) until: i16,
    pub(crate) of: Of,
}

/// What a field is made of.
pub(crate) enum Of {
    /// That many bytes.
    Fixed(usize),
    /// A string, present or null.
    Text,
    /// A string of bytes, present or null, whose length is a 32-bit number where it is not compact.
    Bytes,
    /// An array of values of that many bytes.
    Values(usize),
    /// An array of strings.
    Texts,
    /// A struct of its own, which is never null.
    Struct(&'static [Field]),
    /// An array of structs.
    Structs(&'static [Field]),
    /// The tagged fields of the struct (KIP-482) that the decoder knows, by their tags; it stands last in the struct. The decoder does not
    /// heed the size that is said of them: were it another, it would read on in another place than we.
    Tagged(&'static [(u32, Of)]),
}

/// A field of every version.
pub(crate) const fn always(of: Of) -> Field {
    Field { since: 0, until: i16::MAX, of }
}

/// A field that came with a version.
pub(crate) const fn since(since: i16, of: Of) -> Field {
    Field { since, until: i16::MAX, of }
}

/// A field that some versions have.
pub(crate) const fn within(since: i16, until: i16, of: Of) -> Field {
    Field { since, until, of }
}

/// The bytes do not have the shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the answer is cut off or a count in it is wrong")]
pub(crate) struct Misshapen;

impl Shape {
    /// Whether the body of an answer has this shape in that version. Bytes behind the last field are left to the decoder.
    pub(crate) fn check(&self, body: &Bytes, version: i16) -> Result<(), Misshapen> {
        let mut walk = Walk { rest: body, version, compact: version >= self.flexible };
        walk.fields(self.fields)
    }
}

struct Walk<'a> {
    rest: &'a [u8],
    version: i16,
    compact: bool,
}

impl Walk<'_> {
    fn fields(&mut self, fields: &[Field]) -> Result<(), Misshapen> {
        let version = self.version;
        let mut tagged: &[(u32, Of)] = &[];
        for field in fields.iter().filter(|field| (field.since..=field.until).contains(&version)) {
            match &field.of {
                Of::Tagged(known) => tagged = known,
                of => self.field(of)?,
            }
        }
        if self.compact { self.tags(tagged) } else { Ok(()) }
    }

    fn field(&mut self, of: &Of) -> Result<(), Misshapen> {
        match of {
            Of::Fixed(size) => self.skip(*size),
            Of::Text => self.text(),
            Of::Bytes => {
                let size = self.count()?;
                self.skip(size)
            }
            Of::Values(size) => {
                let count = self.count()?;
                self.skip(count.checked_mul(*size).ok_or(Misshapen)?)
            }
            Of::Texts => {
                let count = self.count()?;
                (0..count).try_for_each(|_| self.text())
            }
            Of::Struct(fields) => self.fields(fields),
            Of::Structs(fields) => {
                let count = self.count()?;
                (0..count).try_for_each(|_| self.fields(fields))
            }
            Of::Tagged(known) => self.tags(known),
        }
    }

    /// An array's count. Every element has a byte at least, so that more elements than bytes are refused at once.
    fn count(&mut self) -> Result<usize, Misshapen> {
        let count = if self.compact {
            self.varint()?.saturating_sub(1)
        } else {
            let count = self.rest.try_get_i32().map_err(|_| Misshapen)?;
            if count == -1 { 0 } else { u32::try_from(count).map_err(|_| Misshapen)? }
        };
        let count = count as usize;
        if count > self.rest.len() { Err(Misshapen) } else { Ok(count) }
    }

    fn text(&mut self) -> Result<(), Misshapen> {
        let size = if self.compact {
            self.varint()?.saturating_sub(1) as usize
        } else {
            let size = self.rest.try_get_i16().map_err(|_| Misshapen)?;
            if size == -1 { 0 } else { usize::try_from(size).map_err(|_| Misshapen)? }
        };
        self.skip(size)
    }

    fn tags(&mut self, known: &[(u32, Of)]) -> Result<(), Misshapen> {
        for _ in 0..self.varint()? {
            let (tag, size) = (self.varint()?, self.varint()? as usize);
            let rest = self.rest.get(..size).ok_or(Misshapen)?;
            if let Some((_, of)) = known.iter().find(|(known, _)| *known == tag) {
                let mut inner = Walk { rest, ..*self };
                inner.field(of)?;
                if !inner.rest.is_empty() {
                    return Err(Misshapen);
                }
            }
            self.skip(size)?;
        }
        Ok(())
    }

    fn varint(&mut self) -> Result<u32, Misshapen> {
        let mut value = 0_u64;
        for shift in (0..35).step_by(7) {
            let byte = self.rest.try_get_u8().map_err(|_| Misshapen)?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return u32::try_from(value).map_err(|_| Misshapen);
            }
        }
        Err(Misshapen)
    }

    fn skip(&mut self, size: usize) -> Result<(), Misshapen> {
        self.rest = self.rest.get(size..).ok_or(Misshapen)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PLAIN: Shape = Shape {
        flexible: 2,
        fields: &[
            always(Of::Fixed(2)),
            since(1, Of::Structs(&[always(Of::Text), always(Of::Values(4))])),
            since(3, Of::Tagged(&[(7, Of::Structs(&[always(Of::Text)]))])),
        ],
    };

    #[test]
    fn a_count_is_believed_only_with_its_elements() {
        let cases: &[(&str, i16, &[u8], bool)] = &[
            ("no array in version 0", 0, &[0, 0], true),
            ("one struct", 1, &[0, 0, 0, 0, 0, 1, 0, 1, b'a', 0, 0, 0, 1, 0, 0, 0, 9], true),
            ("null array and null text", 1, &[0, 0, 0xff, 0xff, 0xff, 0xff], true),
            ("two thousand million structs", 1, &[0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 0], false),
            ("a negative count", 1, &[0, 0, 0x80, 0, 0, 0], false),
            ("two thousand million values", 1, &[0, 0, 0, 0, 0, 1, 0, 0, 0x7f, 0xff, 0xff, 0xff], false),
            ("compact: one struct, no tags", 2, &[0, 0, 2, 2, b'a', 2, 0, 0, 0, 9, 0, 0], true),
            ("compact: a count beyond the bytes", 2, &[0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f], false),
            ("compact: a varint without an end", 2, &[0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], false),
            ("compact: a tag longer than the answer", 2, &[0, 0, 1, 1, 5, 100], false),
            ("cut off", 1, &[0], false),
        ];
        // Version 3 has a tagged array of structs.
        let tagged: &[(&str, i16, &[u8], bool)] = &[
            ("no tag", 3, &[0, 0, 1, 0], true),
            ("a tagged array of one struct", 3, &[0, 0, 1, 1, 7, 4, 2, 2, b'a', 0], true),
            ("a tagged field with bytes behind it", 3, &[0, 0, 1, 1, 7, 5, 2, 2, b'a', 0, 9], false),
            ("a tagged array of a million structs", 3, &[0, 0, 1, 1, 7, 4, 0x80, 0x80, 0x40, 0], false),
            ("another tag is passed over", 3, &[0, 0, 1, 1, 8, 4, 0x80, 0x80, 0x40, 0], true),
        ];
        let cases = cases.iter().chain(tagged);
        for (name, version, bytes, fits) in cases {
            assert_eq!(PLAIN.check(&Bytes::copy_from_slice(bytes), *version).is_ok(), *fits, "{name}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_walked_without_a_panic(bytes in any::<Vec<u8>>(), version in 0..3_i16) {
            let _ = PLAIN.check(&Bytes::from(bytes), version);
        }
    }
}
