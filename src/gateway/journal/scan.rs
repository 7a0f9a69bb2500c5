//! `Scan`: reads the records of a file one after another, in memory that does not grow with the file, and tells damage from a torn end.

use super::error::{Damage, Torn};
use super::record::{CHECK, HEAD, LAST_KIND, LONGEST, MAGIC, PREFIX, checksum};
use super::storage::{Storage, read_all};
use std::io;
use std::ops::RangeInclusive;

/// How much is read at a time.
const CHUNK: usize = 256 * 1024;

/// A file that is being read.
pub(super) struct Scan<'s, S> {
    storage: &'s mut S,
    /// A part of the file, and where it begins.
    window: Vec<u8>,
    base: u64,
    length: u64,
    pub salt: u64,
    /// Where the next record begins, and its number.
    pub at: u64,
    pub number: u32,
}

/// What was found where a record should begin.
pub(super) enum Found<'a> {
    Record { offset: u64, number: u32, kind: u8, payload: &'a [u8] },
    End,
    Torn(Torn),
    Damage(Damage),
}

/// The head of a record whose checksum is right.
#[derive(Clone, Copy)]
struct Head {
    kind: u8,
    number: u32,
    payload: usize,
}

impl<'s, S: Storage> Scan<'s, S> {
    /// Begins at the first record. Without what every journal begins with it is damaged.
    pub(super) fn begin(storage: &'s mut S) -> io::Result<Result<Self, Damage>> {
        let length = storage.size()?;
        let mut scan = Self { storage, window: Vec::new(), base: 0, length, salt: 0, at: PREFIX as u64, number: 0 };
        let salt = scan.bytes(0, PREFIX)?.and_then(|prefix| prefix.strip_prefix(MAGIC)?.first_chunk().copied());
        let damage = || Damage { record: 0, offset: 0, cause: "it does not begin as a journal of this version does".to_owned() };
        Ok(salt.map(|salt| Self { salt: u64::from_le_bytes(salt), ..scan }).ok_or_else(damage))
    }

    /// Goes on elsewhere: with the record that begins there, whatever its number.
    pub(super) fn seek(&mut self, offset: u64) -> io::Result<()> {
        self.at = offset;
        if let Some(head) = self.head(offset, &(0..=u32::MAX))? {
            self.number = head.number;
        }
        Ok(())
    }

    pub(super) fn next(&mut self) -> io::Result<Found<'_>> {
        if self.at >= self.length {
            return Ok(Found::End);
        }
        let (offset, number) = (self.at, self.number);
        let Some(head) = self.head(offset, &(0..=u32::MAX))?.filter(|head| head.number == number) else {
            return self.bad();
        };
        self.at += (HEAD + head.payload + CHECK) as u64;
        self.number = number.saturating_add(1);
        let payload = self.bytes(offset + HEAD as u64, head.payload)?.unwrap_or_default();
        Ok(Found::Record { offset, number, kind: head.kind, payload })
    }

    /// What lies here is no record of this number. If any whole record lies behind it, it was one once: a file that was cut off while it
    /// grew ends with what is no record.
    fn bad(&mut self) -> io::Result<Found<'_>> {
        let (from, number) = (self.at, self.number);
        let damage = |cause: &str| Ok(Found::Damage(Damage { record: number, offset: from, cause: cause.to_owned() }));
        if self.head(from, &(0..=u32::MAX))?.is_some() {
            return damage("its number is another one");
        }
        let smallest = (HEAD + CHECK) as u64;
        for offset in from + 1..=self.length.saturating_sub(smallest) {
            let most = u32::try_from((offset - from) / smallest).unwrap_or(u32::MAX).saturating_add(1);
            if self.head(offset, &(number..=number.saturating_add(most)))?.is_some() {
                return damage("its checksum is another one");
            }
        }
        Ok(Found::Torn(Torn { record: number, offset: from, bytes: self.length - from }))
    }

    /// The head of the record that begins here, if it is whole and has one of these numbers.
    fn head(&mut self, offset: u64, numbers: &RangeInclusive<u32>) -> io::Result<Option<Head>> {
        let split = |head: &[u8]| {
            let ((length, rest), number) = (head.split_first_chunk()?, head.last_chunk()?);
            Some((u32::from_le_bytes(*length) as usize, *rest.first()?, u32::from_le_bytes(*number)))
        };
        let Some((payload, kind, number)) = self.bytes(offset, HEAD)?.and_then(split) else { return Ok(None) };
        if payload > LONGEST || !(1..=LAST_KIND).contains(&kind) || !numbers.contains(&number) {
            return Ok(None);
        }
        let salt = self.salt;
        let record = self.bytes(offset, HEAD + payload + CHECK)?;
        let right = record.and_then(|record| record.split_last_chunk());
        let right = right.is_some_and(|(record, check)| checksum(salt, record) == u32::from_le_bytes(*check));
        Ok(right.then_some(Head { kind, number, payload }))
    }

    /// These bytes of the file, if it has them all.
    fn bytes(&mut self, offset: u64, length: usize) -> io::Result<Option<&[u8]>> {
        let Some(end) = offset.checked_add(length as u64).filter(|end| *end <= self.length) else { return Ok(None) };
        if offset < self.base || end > self.base + self.window.len() as u64 {
            let wanted = (length.max(CHUNK) as u64).min(self.length - offset) as usize;
            self.window.resize(wanted, 0);
            let read = read_all(self.storage, offset, &mut self.window)?;
            // Less than that only if somebody cut the file meanwhile.
            self.window.truncate(read);
            self.base = offset;
        }
        let start = (offset - self.base) as usize;
        Ok(self.window.get(start..start + length))
    }
}
