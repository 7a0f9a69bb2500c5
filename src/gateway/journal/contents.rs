//! `Contents`: what a journal says, without its letters. Of those only what is not at its end yet is kept.

use super::error::{Damage, JournalError, Torn};
use super::header::Header;
use super::record::{HEADER, Letters, Pace, Record, Step};
use super::scan::{Found, Scan};
use super::storage::{DiskFile, Storage};
use crate::domain::receipt::Receipt;
use crate::domain::replay::letter::RunState;
use crate::domain::replay::run::{Illegal, Run};
use crate::domain::replay::summary::RunSummary;
use crate::domain::time::Timestamp;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

/// What a journal says.
#[derive(Clone, Debug)]
pub struct Contents {
    pub header: Header,
    pub run: Run,
    /// As it was changed last.
    pub pace: Pace,
    /// When the run's state was recorded last, and why it is in it.
    pub changed: Timestamp,
    pub reason: String,
    /// When it came to its end, if it has.
    pub ended: Option<Timestamp>,
    /// What its end has behind the last whole record. Also while a program writes it.
    pub torn: Option<Torn>,
    /// Where it was damaged. Everything here is as it was before that record.
    pub damage: Option<Damage>,
    known: BTreeMap<(u32, u64), Known>,
    pub(super) records: u32,
    /// Up to where there are whole records.
    pub(super) length: u64,
    /// Up to where the file was on the disk, as it says itself.
    pub(super) synced: u64,
    pub(super) salt: u64,
}

/// What is known of letters that are not at their end, by the first of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Known {
    pub source: Box<[u8]>,
    /// The last attempt.
    pub attempt: u16,
    pub receipt: Option<Receipt>,
    pub time: Timestamp,
    /// Where its edited bytes begin in the file, and whether they are whole.
    pub(super) edit: Option<(u64, bool)>,
}

impl Contents {
    /// Reads a journal from its beginning to its end, in memory that is bounded by the letters that are not at their end.
    ///
    /// # Errors
    /// It cannot be read, or not even its header is what was written.
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        Self::follow(path, |_| {})
    }

    /// The same, and shows each record as it is passed, up to the first that is damaged.
    ///
    /// # Errors
    /// It cannot be read, or not even its header is what was written.
    pub fn follow(path: &Path, each: impl FnMut(&Record<'_>)) -> Result<Self, JournalError> {
        let mut file = DiskFile::read_only(path);
        file.open().map_err(|error| JournalError::Io("open the journal", error))?;
        Self::read(&mut file, each)
    }

    pub(super) fn read(storage: &mut impl Storage, mut each: impl FnMut(&Record<'_>)) -> Result<Self, JournalError> {
        let unreadable = |error| JournalError::Io("read the journal", error);
        let mut scan = Scan::begin(storage).map_err(unreadable)?.map_err(JournalError::Damaged)?;
        let mut contents = Self::first(&mut scan).map_err(unreadable)?.map_err(JournalError::Damaged)?;
        loop {
            match scan.next().map_err(unreadable)? {
                Found::Record { offset, number, kind, payload } => {
                    let damage = |cause: String| Damage { record: number, offset, cause };
                    let taken = Record::decode(kind, payload).ok_or_else(|| damage("it has no meaning".to_owned())).and_then(|record| {
                        contents.take(&record, offset).map_err(|illegal| damage(illegal.to_string()))?;
                        Ok(record)
                    });
                    match taken {
                        Ok(record) => each(&record),
                        Err(damage) => {
                            contents.damage = Some(damage);
                            return Ok(contents);
                        }
                    }
                }
                Found::End => break,
                Found::Torn(torn) => {
                    contents.torn = Some(torn);
                    break;
                }
                Found::Damage(damage) => {
                    contents.damage = Some(damage);
                    break;
                }
            }
            (contents.length, contents.records) = (scan.at, scan.number);
        }
        Ok(contents)
    }

    /// What the first record says: the header.
    fn first(scan: &mut Scan<'_, impl Storage>) -> io::Result<Result<Self, Damage>> {
        let offset = scan.at;
        let header = match scan.next()? {
            Found::Record { kind: HEADER, payload, .. } => Header::decode(payload),
            Found::Damage(damage) => return Ok(Err(damage)),
            _ => Err("its header is missing, or was not written to its end".to_owned()),
        };
        let damage = |cause| Damage { record: 0, offset, cause };
        Ok(header.map(|header| Self::begun(header, scan.salt, scan.at)).map_err(damage))
    }

    /// A journal with nothing but a header.
    pub(super) fn begun(header: Header, salt: u64, length: u64) -> Self {
        let (run, pace, changed) = (Run::new(header.total), header.pace, header.time);
        Self {
            header,
            run,
            pace,
            changed,
            reason: String::new(),
            ended: None,
            torn: None,
            damage: None,
            known: BTreeMap::new(),
            records: 1,
            length,
            synced: 0,
            salt,
        }
    }

    /// The line that `runs` prints.
    pub fn summary(&self) -> RunSummary {
        self.run.summary(self.header.run.as_str(), &self.header.address, &self.header.to)
    }

    /// What is known of a letter that was begun and is not at its end, or that is open again.
    pub fn known(&self, lane: u32, number: u64) -> Option<&Known> {
        self.known.get(&(lane, number))
    }

    /// All of those, in order of lane and number.
    pub fn all_known(&self) -> impl Iterator<Item = (u32, u64, &Known)> {
        self.known.iter().map(|((lane, number), known)| (*lane, *number, known))
    }

    fn take(&mut self, record: &Record<'_>, offset: u64) -> Result<(), Illegal> {
        if let Some(change) = record.change() {
            self.run.apply(change)?;
        }
        self.note(record, offset);
        Ok(())
    }

    /// Keeps what a record says beyond the state of the run and its letters.
    pub(super) fn note(&mut self, record: &Record<'_>, offset: u64) {
        match record {
            Record::Letters(letters) => self.note_letters(letters),
            Record::Run { state, time, reason } => self.note_run(*state, *time, reason),
            Record::Pace { pace, .. } => self.pace = *pace,
            Record::Edit { lane, number, first, last, .. } => {
                if !self.run.letter(*lane, *number).is_final() {
                    let known = self.known.entry((*lane, *number)).or_default();
                    // A later edit is in the place of an earlier one. Pieces of one that was not written to its end count for nothing.
                    let start = if *first { Some(offset) } else { known.edit.filter(|(_, whole)| !whole).map(|(start, _)| start) };
                    known.edit = start.map(|start| (start, *last));
                }
            }
            Record::Checkpoint { synced } => self.synced = self.synced.max((*synced).min(offset)),
        }
    }

    fn note_letters(&mut self, letters: &Letters<'_>) {
        let (span, Step::To(state)) = (letters.span, letters.step) else { return };
        if state.is_final() {
            return self.known.extract_if((span.lane, span.start)..(span.lane, span.end), |_, _| true).for_each(drop);
        }
        let says_nothing = letters.source.is_empty() && letters.attempt == 0 && letters.receipt.is_none();
        if says_nothing && !self.known.contains_key(&(span.lane, span.start)) {
            return;
        }
        let known = self.known.entry((span.lane, span.start)).or_default();
        if !letters.source.is_empty() && *known.source != *letters.source {
            known.source = letters.source.into();
        }
        known.attempt = known.attempt.max(letters.attempt);
        known.receipt = letters.receipt.or(known.receipt);
        known.time = letters.time;
    }

    fn note_run(&mut self, state: RunState, time: Timestamp, reason: &str) {
        self.changed = time;
        self.reason.clear();
        self.reason.push_str(reason);
        self.ended = state.is_ended().then_some(time);
    }
}
