//! Decompression of a record batch: the four codecs of Kafka, each into one buffer that never grows beyond a cap.

use bytes::Bytes;
use std::fmt;
use std::io::{self, Read};

/// How the records of a batch are compressed: the low three bits of its attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Codec {
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

/// No batch becomes larger than this, in bytes: twice the largest message anybody sends, far below what a crafted one could claim.
pub(crate) const OUTPUT_CAP: usize = 128 << 20;

/// What snappy-java writes before its blocks; other clients write one bare block.
const XERIAL_MAGIC: &[u8] = b"\x82SNAPPY\0";
/// The magic, then a version and a lowest compatible version.
const XERIAL_HEADER: usize = 16;
/// No snappy element of n bytes makes more than 32 n bytes, so that a block which claims more than this lies.
const SNAPPY_MAX_RATIO: usize = 64;

/// Why a batch could not be decompressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CodecError {
    /// More output than the cap, in bytes.
    TooLarge(usize),
    Damaged(Codec, String),
}

impl Codec {
    /// The codec of these attributes; the values 5 to 7 have no meaning.
    pub(crate) fn of(attributes: i16) -> Option<Self> {
        match attributes & 7 {
            0 => Some(Self::None),
            1 => Some(Self::Gzip),
            2 => Some(Self::Snappy),
            3 => Some(Self::Lz4),
            4 => Some(Self::Zstd),
            _ => None,
        }
    }

    /// The decompressed bytes, at most `cap` of them; what is not compressed is shared, not copied.
    pub(crate) fn open(self, data: &Bytes, cap: usize) -> Result<Bytes, CodecError> {
        match self {
            Self::None => Ok(data.clone()),
            Self::Gzip => self.drain(flate2::bufread::MultiGzDecoder::new(&**data), data.len(), cap),
            Self::Snappy => self.snappy(data, cap),
            Self::Lz4 => self.drain(lz4_flex::frame::FrameDecoder::new(&**data), data.len(), cap),
            Self::Zstd => {
                let decoder = zstd::stream::read::Decoder::with_buffer(&**data).map_err(|e| self.damaged(&e))?;
                self.drain(decoder, data.len(), cap)
            }
        }
    }

    fn drain(self, mut from: impl Read, compressed: usize, cap: usize) -> Result<Bytes, CodecError> {
        let mut out = Vec::with_capacity(compressed.saturating_mul(4).min(cap));
        from.by_ref().take(cap as u64).read_to_end(&mut out).map_err(|e| self.damaged(&e))?;
        if out.len() == cap && self.read_one(&mut from)? {
            return Err(CodecError::TooLarge(cap));
        }
        Ok(out.into())
    }

    /// Whether there is still a byte to come.
    fn read_one(self, from: &mut impl Read) -> Result<bool, CodecError> {
        loop {
            match from.read(&mut [0]) {
                Ok(count) => return Ok(count > 0),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(self.damaged(&e)),
            }
        }
    }

    fn snappy(self, data: &[u8], cap: usize) -> Result<Bytes, CodecError> {
        let mut out = Vec::new();
        let Some(mut blocks) = data.strip_prefix(XERIAL_MAGIC).and_then(|_| data.get(XERIAL_HEADER..)) else {
            self.snappy_block(data, &mut out, cap)?;
            return Ok(out.into());
        };
        while let Some((length, rest)) = blocks.split_first_chunk() {
            let length = u32::from_be_bytes(*length) as usize;
            let block = rest.get(..length).ok_or_else(|| self.damaged(&"a block is longer than the batch"))?;
            self.snappy_block(block, &mut out, cap)?;
            blocks = &rest[length..];
        }
        if blocks.is_empty() { Ok(out.into()) } else { Err(self.damaged(&"bytes after the last block")) }
    }

    fn snappy_block(self, block: &[u8], out: &mut Vec<u8>, cap: usize) -> Result<(), CodecError> {
        let length = snap::raw::decompress_len(block).map_err(|e| self.damaged(&e))?;
        let start = out.len();
        if length > cap - start {
            return Err(CodecError::TooLarge(cap));
        }
        if length > block.len().saturating_mul(SNAPPY_MAX_RATIO) {
            return Err(self.damaged(&"a block claims more bytes than it can hold"));
        }
        out.resize(start + length, 0);
        let written = snap::raw::Decoder::new().decompress(block, &mut out[start..]).map_err(|e| self.damaged(&e))?;
        out.truncate(start + written);
        Ok(())
    }

    fn damaged(self, cause: &dyn fmt::Display) -> CodecError {
        CodecError::Damaged(self, cause.to_string())
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        })
    }
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge(cap) => write!(f, "its records decompress to more than {} MiB", cap >> 20),
            Self::Damaged(codec, cause) => write!(f, "its {codec} data cannot be decompressed: {cause}"),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::io::Write;

    pub(crate) const CODECS: [Codec; 5] = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

    /// Compresses as clients other than Java do (snappy: one bare block).
    pub(crate) fn compress(codec: Codec, data: &[u8]) -> Vec<u8> {
        match codec {
            Codec::None => data.to_vec(),
            Codec::Gzip => {
                let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                out.write_all(data).unwrap();
                out.finish().unwrap()
            }
            Codec::Snappy => snap::raw::Encoder::new().compress_vec(data).unwrap(),
            Codec::Lz4 => {
                let mut out = lz4_flex::frame::FrameEncoder::new(Vec::new());
                out.write_all(data).unwrap();
                out.finish().unwrap()
            }
            Codec::Zstd => zstd::bulk::compress(data, 3).unwrap(),
        }
    }

    /// Snappy as Java's clients write it: blocks of 32 KiB behind a header.
    pub(crate) fn compress_xerial(data: &[u8]) -> Vec<u8> {
        let mut out = [XERIAL_MAGIC, &[0, 0, 0, 1, 0, 0, 0, 1]].concat();
        for block in data.chunks(32 << 10) {
            let block = compress(Codec::Snappy, block);
            out.extend((block.len() as u32).to_be_bytes());
            out.extend(block);
        }
        out
    }

    #[test]
    fn every_codec_gives_back_what_was_compressed() {
        for size in [0, 1, 100, 32 << 10, 300_000] {
            let data: Vec<u8> = (0..size).map(|i: u32| (i / 7) as u8).collect();
            for codec in CODECS {
                assert_eq!(codec.open(&compress(codec, &data).into(), OUTPUT_CAP).unwrap(), data, "{codec} {size}");
            }
            assert_eq!(Codec::Snappy.open(&compress_xerial(&data).into(), OUTPUT_CAP).unwrap(), data, "xerial {size}");
        }
    }

    #[test]
    fn a_bomb_is_stopped_at_the_cap_and_a_batch_of_just_that_size_is_not() {
        let data = vec![7; 1 << 20];
        for codec in &CODECS[1..] {
            let packed = Bytes::from(compress(*codec, &data));
            assert_eq!(codec.open(&packed, data.len() - 1), Err(CodecError::TooLarge(data.len() - 1)), "{codec}");
            assert_eq!(codec.open(&packed, data.len()).unwrap().len(), data.len(), "{codec}");
        }
        let packed = compress_xerial(&data).into();
        assert_eq!(Codec::Snappy.open(&packed, data.len() - 1), Err(CodecError::TooLarge(data.len() - 1)));
    }

    #[test]
    fn a_snappy_length_that_cannot_be_true_allocates_nothing() {
        let claims_100_mib = Bytes::from_static(b"\x80\x80\x80\x32\x00");
        assert!(matches!(Codec::Snappy.open(&claims_100_mib, OUTPUT_CAP), Err(CodecError::Damaged(Codec::Snappy, _))));
    }

    #[test]
    fn a_cut_off_batch_is_damaged() {
        let data: Vec<u8> = (0..10_000_u32).flat_map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
        for codec in &CODECS[1..] {
            let packed = Bytes::from(compress(*codec, &data));
            let cut = packed.slice(..packed.len() / 2);
            assert!(matches!(codec.open(&cut, OUTPUT_CAP), Err(CodecError::Damaged(..))), "{codec}");
        }
        let packed = compress_xerial(&data);
        assert!(Codec::Snappy.open(&Bytes::from(packed).slice(..20_000), OUTPUT_CAP).is_err());
    }
}
