//! Confluent's wire format: magic byte 0, a four-byte schema id, and the data that the schema describes.

/// Bytes before the data.
pub const HEADER: usize = 5;
/// Registries count their ids up from 1; a larger number in a payload that nobody declared is taken for something else.
const LIKELY_IDS: std::ops::Range<u32> = 1..1 << 24;

/// A payload that has a registry's frame around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Framed<'a> {
    pub schema_id: u32,
    pub data: &'a [u8],
}

/// Takes the frame off; `None` where the first byte is not 0 or there are fewer than five.
pub fn read(bytes: &[u8]) -> Option<Framed<'_>> {
    let (header, data) = bytes.split_first_chunk::<HEADER>()?;
    let [0, id @ ..] = header else { return None };
    Some(Framed { schema_id: u32::from_be_bytes(*id), data })
}

/// The same for bytes of which nobody said that they are framed: a big-endian number of eight bytes must not look like a frame.
pub fn detect(bytes: &[u8]) -> Option<Framed<'_>> {
    read(bytes).filter(|framed| LIKELY_IDS.contains(&framed.schema_id) && !framed.data.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_a_zero_and_a_schema_id() {
        assert_eq!(read(&[0, 0, 0, 0, 17, 1, 2]), Some(Framed { schema_id: 17, data: &[1, 2] }));
        assert_eq!(read(&[0, 0xff, 0xff, 0xff, 0xff]), Some(Framed { schema_id: u32::MAX, data: &[] }));
        for other in [&[][..], &[0, 0, 0, 17], &[1, 0, 0, 0, 17, 1]] {
            assert_eq!(read(other), None);
        }
    }

    #[test]
    fn a_plain_number_is_not_taken_for_a_frame() {
        assert_eq!(detect(&42_i64.to_be_bytes()), None);
        assert_eq!(detect(&[0, 0, 0, 0, 17]), None);
        assert!(detect(&[0, 0, 0, 0, 17, 2]).is_some());
    }
}
