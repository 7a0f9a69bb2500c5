//! The journal of a replay: one append-only file a run, in which each letter's intent stands before anything is sent of it. Knows nothing
//! of brokers. `docs/journal.md` is the format.
//!
//! Everything blocks: a run writes from a thread that may wait for a disk. What [`Journal::append`] has written is promised only once
//! [`Journal::sync`] has returned. Where one of them failed the journal is given up, because nobody knows what the disk has of it; it is
//! opened again by whoever resumes the run.

mod contents;
pub mod control;
mod error;
pub mod folder;
mod header;
mod lock;
mod record;
mod scan;
mod storage;

pub use contents::{Contents, Known};
pub use error::{Damage, JournalError, Torn};
pub use header::Header;
pub use lock::Holder;
pub use record::{Letters, Pace, Rate, Record, Step};
pub use storage::{DiskFile, Storage};

use crate::domain::replay::id::RunId;
use lock::{Lock, Unlocked};
use record::{HEADER, LONGEST, LONGEST_SOURCE, MAGIC, PREFIX, frame};
use scan::{Found, Scan};
use sha2::{Digest, Sha256};
use std::collections::hash_map::RandomState;
use std::fs;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::path::Path;
use std::sync::Arc;
use storage::{make_folder, read_all, sync_folder, write_all};

/// How much is read at a time where a file is copied or hashed.
const CHUNK: usize = 64 * 1024;

/// A journal that is being written.
#[derive(Debug)]
pub struct Journal<S = DiskFile> {
    storage: S,
    contents: Contents,
    /// How much of the file is on the disk, and how much of that the file says itself.
    synced: u64,
    checkpointed: u64,
    /// Why it is given up.
    poison: Option<Arc<str>>,
    buffer: Vec<u8>,
    /// For as long as this is here no other program writes to the file.
    _lock: Option<Lock>,
}

impl Journal {
    /// Begins the journal of a run in a folder, which is made if it is not there. When this returns it is on the disk.
    ///
    /// # Errors
    /// There is one of that name, or it cannot be written.
    pub fn create(folder: &Path, header: Header, holder: &Holder) -> Result<Self, JournalError> {
        let io = |error| JournalError::Io("make the journal", error);
        make_folder(folder).map_err(io)?;
        let lock = take_lock(folder, &header.run, holder)?;
        let path = folder::journal(folder, &header.run);
        let salt = RandomState::new().build_hasher().finish();
        let mut storage = DiskFile::new(&path);
        storage.create().map_err(io)?;
        let made = Self::begin(storage, header, salt).and_then(|made| {
            folder.parent().map_or(Ok(()), sync_folder).map_err(io)?;
            Ok(Self { _lock: Some(lock), ..made })
        });
        if made.is_err() {
            // Nothing was begun: what is there of it would only be listed as damaged.
            let _ = fs::remove_file(path);
        }
        made
    }

    /// Opens the journal of a run to go on with it. A torn end is cut off.
    ///
    /// # Errors
    /// Another program writes it, it is damaged, or it cannot be written.
    pub fn resume(folder: &Path, run: &RunId, holder: &Holder) -> Result<Self, JournalError> {
        let path = folder::journal(folder, run);
        // Without this the lock's file would be made for a run that is not there.
        fs::metadata(&path).map_err(|error| JournalError::Io("open the journal", error))?;
        let lock = take_lock(folder, run, holder)?;
        let journal = Self::reopen(DiskFile::new(path))?;
        if journal.contents.header.run != *run {
            let cause = format!("it is the journal of run {}", journal.contents.header.run);
            return Err(JournalError::Damaged(Damage { record: 0, offset: PREFIX as u64, cause }));
        }
        Ok(Self { _lock: Some(lock), ..journal })
    }
}

fn take_lock(folder: &Path, run: &RunId, holder: &Holder) -> Result<Lock, JournalError> {
    Lock::take(folder, &folder::lock(folder, run), holder).map_err(|why| match why {
        Unlocked::Held(holder) => JournalError::Held(holder),
        Unlocked::Io(error) => JournalError::Io("lock the journal", error),
    })
}

impl<S: Storage> Journal<S> {
    /// Writes the header to a file that was just made.
    fn begin(mut storage: S, header: Header, salt: u64) -> Result<Self, JournalError> {
        let payload = header.encode();
        if payload.len() > LONGEST {
            return Err(JournalError::Unfit("the selection or the edit is longer than a journal's header can be"));
        }
        if !header.pace.is_sound() {
            return Err(JournalError::Unfit("the rate or the window is none"));
        }
        let mut bytes = MAGIC.to_vec();
        bytes.extend(salt.to_le_bytes());
        frame(HEADER, 0, salt, &mut bytes, |out| out.extend(payload));
        let made = write_all(&mut storage, 0, &bytes).and_then(|()| storage.sync()).and_then(|()| storage.sync_dir());
        made.map_err(|error| JournalError::Io("make the journal", error))?;
        let length = bytes.len() as u64;
        let contents = Contents::begun(header, salt, length);
        Ok(Self { storage, contents, synced: length, checkpointed: 0, poison: None, buffer: bytes, _lock: None })
    }

    /// Reads a file and makes it ready for more.
    fn reopen(mut storage: S) -> Result<Self, JournalError> {
        let io = |error| JournalError::Io("open the journal", error);
        storage.open().map_err(io)?;
        let mut contents = Contents::read(&mut storage, |_| {})?;
        if let Some(damage) = contents.damage.take() {
            return Err(JournalError::Damaged(damage));
        }
        let (length, promised) = (contents.length, contents.synced);
        // After a sync that failed the system may show what the disk never got, and forget that it has to write it. So what is not known
        // to be there is written once more, byte for byte in its place, before anything is built on it.
        let mut settle = || {
            if contents.torn.is_some() {
                storage.truncate(length)?;
            }
            rewrite(&mut storage, promised, length)?;
            storage.sync()?;
            storage.sync_dir()
        };
        settle().map_err(io)?;
        Ok(Self { storage, contents, synced: length, checkpointed: promised, poison: None, buffer: Vec::new(), _lock: None })
    }

    /// What the journal says, with everything that was appended.
    pub fn contents(&self) -> &Contents {
        &self.contents
    }

    /// Writes records behind the others. They are promised when [`Self::sync`] has returned.
    ///
    /// # Errors
    /// One of them cannot follow: nothing was written. Or the file cannot be written: the journal is given up.
    pub fn append(&mut self, records: &[Record<'_>]) -> Result<(), JournalError> {
        self.check()?;
        if records.is_empty() {
            return Ok(());
        }
        let pieces = records.iter().map(Record::pieces).sum::<usize>();
        if records.iter().any(|record| !is_fit(record)) {
            return Err(JournalError::Unfit("a record is too long, or has a rate or a window that is none"));
        }
        if u32::try_from(pieces + 1).ok().and_then(|pieces| self.contents.records.checked_add(pieces)).is_none() {
            return Err(JournalError::Unfit("the journal is full"));
        }
        let mut undo = Vec::with_capacity(records.len());
        for (index, change) in records.iter().enumerate().filter_map(|(index, record)| Some((index, record.change()?))) {
            match self.contents.run.apply(change) {
                Ok(done) => undo.push(done),
                Err(illegal) => {
                    undo.into_iter().rev().for_each(|done| self.contents.run.undo(done));
                    return Err(JournalError::Illegal(index, illegal));
                }
            }
        }
        let checkpoint = (self.synced > self.checkpointed).then_some(Record::Checkpoint { synced: self.synced });
        if let Err(error) = self.write(checkpoint.iter().chain(records)) {
            undo.into_iter().rev().for_each(|done| self.contents.run.undo(done));
            return Err(error);
        }
        Ok(())
    }

    /// Returns when everything that was appended is on the disk.
    ///
    /// # Errors
    /// It is not, or nobody knows; the journal is given up.
    pub fn sync(&mut self) -> Result<(), JournalError> {
        self.check()?;
        if self.synced == self.contents.length {
            return Ok(());
        }
        self.storage.sync().map_err(|error| self.give_up("it cannot be synced", &error))?;
        self.synced = self.contents.length;
        Ok(())
    }

    /// Syncs it and says so in the file, so that everything in it is known to be promised; its SHA-256, 64 hexadecimal digits.
    ///
    /// # Errors
    /// It cannot be synced or read.
    pub fn close(mut self) -> Result<String, JournalError> {
        self.sync()?;
        if self.synced > self.checkpointed {
            self.write([&Record::Checkpoint { synced: self.synced }])?;
            self.sync()?;
        }
        self.sha256()
    }

    /// The SHA-256 of the file as it is now, 64 hexadecimal digits.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn sha256(&mut self) -> Result<String, JournalError> {
        let mut digest = Sha256::new();
        for_each_chunk(&mut self.storage, 0, self.contents.length, |_, _, chunk| {
            digest.update(chunk);
            Ok(())
        })
        .map_err(|error| JournalError::Io("read the journal", error))?;
        Ok(digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// The bytes that are sent in the place of a letter, where it was edited and is not at its end.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn edit(&mut self, lane: u32, number: u64) -> Result<Option<Vec<u8>>, JournalError> {
        let start = self.contents.known(lane, number).and_then(|known| known.edit);
        let Some((start, true)) = start else { return Ok(None) };
        let unreadable = |error| JournalError::Io("read the journal", error);
        let mut scan = Scan::begin(&mut self.storage).map_err(unreadable)?.map_err(JournalError::Damaged)?;
        scan.seek(start).map_err(unreadable)?;
        let mut whole = Vec::new();
        loop {
            let found = match scan.next().map_err(unreadable)? {
                Found::Record { kind, payload, .. } => Record::decode(kind, payload),
                Found::Damage(damage) => return Err(JournalError::Damaged(damage)),
                Found::Torn(_) | Found::End => None,
            };
            let Some(Record::Edit { lane: in_lane, number: of, last, bytes, .. }) = found else { return Ok(None) };
            if (in_lane, of) != (lane, number) {
                return Ok(None);
            }
            whole.extend(bytes);
            if last {
                return Ok(Some(whole));
            }
        }
    }

    fn write<'a, 'b: 'a>(&mut self, records: impl IntoIterator<Item = &'a Record<'b>> + Clone) -> Result<(), JournalError> {
        let (start, salt, mut number) = (self.contents.length, self.contents.salt, self.contents.records);
        self.buffer.clear();
        let mut offsets = Vec::new();
        for record in records.clone() {
            offsets.push(start + self.buffer.len() as u64);
            record.encode(number, salt, &mut self.buffer);
            number += record.pieces() as u32;
        }
        let written = write_all(&mut self.storage, start, &self.buffer);
        written.map_err(|error| self.give_up("it cannot be written", &error))?;
        (self.contents.length, self.contents.records) = (start + self.buffer.len() as u64, number);
        for (record, offset) in records.into_iter().zip(offsets) {
            self.contents.note(record, offset);
            if let Record::Checkpoint { synced } = record {
                self.checkpointed = *synced;
            }
        }
        Ok(())
    }

    fn check(&self) -> Result<(), JournalError> {
        self.poison.as_ref().map_or(Ok(()), |cause| Err(JournalError::Poisoned(cause.clone())))
    }

    fn give_up(&mut self, what: &str, error: &io::Error) -> JournalError {
        let cause: Arc<str> = format!("{what}: {error}").into();
        self.poison = Some(cause.clone());
        JournalError::Poisoned(cause)
    }
}

fn is_fit(record: &Record<'_>) -> bool {
    match record {
        Record::Letters(letters) => letters.source.len() <= LONGEST_SOURCE,
        Record::Pace { pace, .. } => pace.is_sound(),
        // Pieces are made here, and so are checkpoints.
        Record::Edit { first, last, .. } => *first && *last,
        Record::Run { .. } => true,
        Record::Checkpoint { .. } => false,
    }
}

/// Writes a part of a file over itself.
fn rewrite(storage: &mut impl Storage, from: u64, to: u64) -> io::Result<()> {
    for_each_chunk(storage, from, to, |storage, offset, chunk| write_all(storage, offset, chunk))
}

fn for_each_chunk<S: Storage>(
    storage: &mut S,
    from: u64,
    to: u64,
    mut each: impl FnMut(&mut S, u64, &[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let (mut at, mut chunk) = (from, vec![0; CHUNK]);
    while at < to {
        let wanted = ((to - at) as usize).min(CHUNK);
        let read = read_all(storage, at, &mut chunk[..wanted])?;
        if read < wanted {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        each(storage, at, &chunk[..read])?;
        at += read as u64;
    }
    Ok(())
}

#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod simulated_tests;
#[cfg(test)]
mod tests;
