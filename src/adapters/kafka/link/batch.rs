//! The batches of a fetched answer (record format 2): framing, checksum, header, and finding the way again behind damage.
//!
//! A batch is looked at in three steps, so that a reader pays for what it needs: [`Batches`] frames and checks it,
//! [`Batch::open`] decompresses it, [`Records`] walks it.

use super::codec::{Codec, CodecError, OUTPUT_CAP};
use super::record::{Malformed, Records};
use bytes::Bytes;
use std::fmt;

/// Bytes before the first record.
pub(crate) const HEADER: usize = 61;
/// Bytes that the length field does not count: base offset and the length itself.
const PREFIX: usize = 12;
/// The magic byte's place, the same in every format.
const MAGIC: usize = 16;
/// Where the part begins that the checksum covers: all but the offset, the length and the leader epoch, which the broker writes.
const CHECKED_FROM: usize = 21;

/// What the header of a batch says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) base_offset: i64,
    /// The last record's offset relative to the first; kept by compaction when that record is gone.
    pub(crate) last_offset_delta: i32,
    pub(crate) base_timestamp: i64,
    pub(crate) max_timestamp: i64,
    pub(crate) producer_id: i64,
    pub(crate) count: u32,
    attributes: i16,
}

/// One whole batch whose checksum is right.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    pub(crate) header: Header,
    /// The records as they are stored: compressed or not.
    body: Bytes,
}

/// A batch that cannot be read, and where reading can go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Damage {
    pub(crate) base_offset: i64,
    pub(crate) cause: Cause,
    /// The offset behind the damage; `None` if only a further fetch can tell.
    pub(crate) resume: Option<i64>,
}

/// What is wrong with a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// Stored and computed CRC-32C.
    Checksum {
        stored: u32,
        computed: u32,
    },
    /// Its length cannot be true.
    Length(i32),
    /// A record format before version 2: 0 and 1 were written until Kafka 0.11.
    OldFormat(i8),
    /// A format or codec that does not exist.
    Unknown(&'static str, i16),
    Codec(CodecError),
    Record(Malformed),
    /// The broker itself refuses to read it.
    Refused(String),
}

/// A walk over the batches of one partition's answer. A batch that is cut off at its end is left out, as Kafka means it to be.
#[derive(Clone, Debug)]
pub(crate) struct Batches {
    bytes: Bytes,
    /// No batch of it can be cut off: one that seems so has a wrong length.
    whole: bool,
}

impl Damage {
    /// A batch that the broker itself cannot read.
    pub(crate) fn refused(offset: i64, error: String) -> Self {
        Self { base_offset: offset, cause: Cause::Refused(error), resume: None }
    }
}

impl Header {
    fn read(batch: &[u8; HEADER]) -> Self {
        Self {
            base_offset: i64::from_be_bytes(field(batch, 0)),
            attributes: i16::from_be_bytes(field(batch, 21)),
            last_offset_delta: i32::from_be_bytes(field(batch, 23)),
            base_timestamp: i64::from_be_bytes(field(batch, 27)),
            max_timestamp: i64::from_be_bytes(field(batch, 35)),
            producer_id: i64::from_be_bytes(field(batch, 43)),
            count: u32::from_be_bytes(field(batch, 57)),
        }
    }

    /// The offset behind the batch.
    pub(crate) fn next_offset(&self) -> i64 {
        self.base_offset.saturating_add(i64::from(self.last_offset_delta)).saturating_add(1)
    }

    /// Written by the broker to end a transaction; no message for anybody.
    pub(crate) fn is_control(&self) -> bool {
        self.attributes & 0x20 != 0
    }

    pub(crate) fn is_transactional(&self) -> bool {
        self.attributes & 0x10 != 0
    }

    /// Whether the broker stamped the batch on arrival. All its records then have the batch's max timestamp.
    pub(crate) fn is_stamped_by_broker(&self) -> bool {
        self.attributes & 0x08 != 0
    }
}

impl Batch {
    /// The bytes of its records, decompressed.
    pub(crate) fn open(&self) -> Result<Bytes, Damage> {
        let codec = Codec::of(self.header.attributes)
            .ok_or_else(|| self.damage(Cause::Unknown("compression codec", self.header.attributes & 7)))?;
        codec.open(&self.body, OUTPUT_CAP).map_err(|e| self.damage(Cause::Codec(e)))
    }

    /// The damage of this batch; its header is right, so reading goes on behind it.
    pub(crate) fn damage(&self, cause: Cause) -> Damage {
        Damage { base_offset: self.header.base_offset, cause, resume: Some(self.header.next_offset()) }
    }

    /// Whether this control batch aborts its producer's transaction.
    pub(crate) fn aborts(&self) -> bool {
        let key = Records::new(&self.body, 1).next().and_then(Result::ok).and_then(|record| record.key);
        // version, then type: 0 abort, 1 commit (Kafka's ControlRecordType)
        matches!(key, Some([_, _, 0, 0, ..]))
    }
}

impl Batches {
    pub(crate) fn new(bytes: Bytes) -> Self {
        Self { bytes, whole: false }
    }

    /// Whether nothing is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// From now on a batch that seems to be cut off is taken for damaged: an answer with room for it was asked for.
    pub(crate) fn insist(&mut self) {
        self.whole = true;
    }

    /// How long the first batch of the rest would be, if it is there in part only.
    pub(crate) fn cut_off(&self) -> Option<usize> {
        let length = i32::from_be_bytes(field(self.bytes.get(..PREFIX)?.first_chunk::<PREFIX>()?, 8));
        let size = usize::try_from(length).ok()?.checked_add(PREFIX)?;
        (size > self.bytes.len()).then_some(size)
    }

    /// Goes to the next intact batch behind a damaged one: the header's own length may be what is wrong, so only a batch
    /// with a right checksum is believed.
    fn resync(&mut self, base_offset: i64) -> Option<i64> {
        // What a crafted answer may cost: each candidate needs its checksum computed.
        let mut budget = self.bytes.len().saturating_mul(4);
        for at in 1..self.bytes.len().saturating_sub(HEADER - 1) {
            if self.bytes[at + MAGIC] != 2 {
                continue;
            }
            let Ok(Some((batch, size))) = frame(&self.bytes.slice(at..), |size| {
                budget = budget.saturating_sub(size);
                budget > 0
            }) else {
                continue;
            };
            if batch.header.base_offset > base_offset && size > 0 {
                self.bytes = self.bytes.slice(at..);
                return Some(batch.header.base_offset);
            }
        }
        self.bytes = Bytes::new();
        None
    }
}

impl Iterator for Batches {
    type Item = Result<Batch, Damage>;

    fn next(&mut self) -> Option<Self::Item> {
        let framed = frame(&self.bytes, |_| true);
        let framed = match (framed, self.bytes.first_chunk::<PREFIX>()) {
            (Ok(None), Some(start)) if self.whole => {
                let cause = Cause::Length(i32::from_be_bytes(field(start, 8)));
                Err(Damage { base_offset: i64::from_be_bytes(field(start, 0)), cause, resume: None })
            }
            (framed, _) => framed,
        };
        match framed {
            Ok(found) => {
                let (batch, size) = found?;
                self.bytes = self.bytes.slice(size..);
                Some(Ok(batch))
            }
            Err(mut damage) => {
                let claimed = damage.resume.take();
                damage.resume = match damage.cause {
                    // An old message set is whole, only not for us: its frame holds.
                    Cause::OldFormat(_) => {
                        self.bytes = self.bytes.slice(self.framed()..);
                        claimed
                    }
                    _ => self.resync(damage.base_offset).or(claimed),
                };
                Some(Err(damage))
            }
        }
    }
}

impl Batches {
    /// The size of the first batch as it says itself, or all that is there.
    fn framed(&self) -> usize {
        let length = self.bytes.first_chunk::<PREFIX>().map(|prefix| i32::from_be_bytes(field(prefix, 8)));
        length.and_then(|length| usize::try_from(length).ok()).map_or(self.bytes.len(), |n| (n + PREFIX).min(self.bytes.len()))
    }
}

/// The offset behind the last whole batch, as its header says; nothing is checked.
pub(crate) fn end_of(bytes: &[u8]) -> Option<i64> {
    let mut rest = bytes;
    let mut end = None;
    while let Some(header) = rest.first_chunk::<HEADER>() {
        let size = usize::try_from(i32::from_be_bytes(field(header, 8))).ok()?.checked_add(PREFIX)?;
        let Some(behind) = rest.get(size.max(HEADER)..) else { break };
        end = Some(Header::read(header).next_offset());
        rest = behind;
    }
    end
}

/// Reads the batch at the start of `bytes` and its size; `None` if it is not all there. `worth` is asked before a checksum is computed.
fn frame(bytes: &Bytes, worth: impl FnOnce(usize) -> bool) -> Result<Option<(Batch, usize)>, Damage> {
    let Some(start) = bytes.first_chunk::<{ MAGIC + 1 }>() else { return Ok(None) };
    let base_offset = i64::from_be_bytes(field(start, 0));
    let length = i32::from_be_bytes(field(start, 8));
    let damage = |cause, resume| Damage { base_offset, cause, resume };
    let magic = start[MAGIC].cast_signed();
    let least = if magic == 2 { HEADER - PREFIX } else { MAGIC + 1 - PREFIX };
    let Some(size) = usize::try_from(length).ok().filter(|n| *n >= least).map(|n| n + PREFIX) else {
        return Err(damage(Cause::Length(length), None));
    };
    if !(0..=2).contains(&magic) {
        return Err(damage(Cause::Unknown("record format", i16::from(magic)), None));
    }
    if size > bytes.len() {
        return Ok(None);
    }
    if magic < 2 {
        return Err(damage(Cause::OldFormat(magic), base_offset.checked_add(1)));
    }
    let whole = bytes.slice(..size);
    let Some(header) = whole.first_chunk::<HEADER>() else { return Ok(None) };
    let stored = u32::from_be_bytes(field(header, 17));
    let parsed = Header::read(header);
    if !worth(size) {
        return Ok(None);
    }
    let computed = crc32c::crc32c(&whole[CHECKED_FROM..]);
    if stored != computed || parsed.last_offset_delta < 0 || parsed.next_offset() == i64::MAX {
        // What the header says of its end is believed only if it fits the number of records, and the next fetch will tell.
        let fits = i64::from(parsed.last_offset_delta) + 1 == i64::from(parsed.count);
        return Err(damage(Cause::Checksum { stored, computed }, fits.then(|| parsed.next_offset())));
    }
    let body = whole.slice(HEADER..);
    Ok(Some((Batch { header: parsed, body }, size)))
}

fn field<const N: usize, const M: usize>(bytes: &[u8; M], at: usize) -> [u8; N] {
    std::array::from_fn(|i| bytes[at + i])
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Checksum { stored, computed } => {
                write!(f, "the batch is damaged: its CRC-32C is {computed:08x}, stored is {stored:08x}")
            }
            Self::Length(length) => write!(f, "the batch is damaged: it claims a length of {length} bytes"),
            Self::OldFormat(magic) => {
                write!(f, "the batch is in record format {magic}, which Kafka wrote until 0.11 and mqdeck does not read")
            }
            Self::Unknown(what, value) => write!(f, "the batch has {what} {value}, which does not exist"),
            Self::Codec(error) => write!(f, "the batch cannot be read: {error}"),
            Self::Record(error) => write!(f, "the batch cannot be read: {error}"),
            Self::Refused(error) => write!(f, "the broker cannot read the batch: {error}"),
        }
    }
}
