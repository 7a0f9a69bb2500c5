//! What can be wrong with a journal.

use super::lock::Holder;
use crate::domain::fault::{Fault, Kind};
use crate::domain::replay::run::Illegal;
use crate::domain::text::SafeText;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// Why a journal was not opened, read or written.
#[derive(Debug)]
pub enum JournalError {
    /// Another program writes it.
    Held(Holder),
    /// A part of it is not what was written.
    Damaged(Damage),
    /// A record cannot follow what is there; nothing of its batch was written. Which of the batch, and why.
    Illegal(usize, Illegal),
    /// A record is too long or has figures that are none; nothing of its batch was written.
    Unfit(&'static str),
    /// Writing or syncing has failed before, for this cause; what is behind the last sync may be missing from the disk.
    Poisoned(Arc<str>),
    /// What was done, and how it failed.
    Io(&'static str, io::Error),
}

/// Where a journal was changed after it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The number of the first record that cannot be read, from 0.
    pub record: u32,
    /// Where it begins in the file.
    pub offset: u64,
    pub cause: String,
}

/// What the end of a file has behind the last whole record: a program or a machine that died while it wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Torn {
    /// The number that the record would have had.
    pub record: u32,
    pub offset: u64,
    /// How much was left of it.
    pub bytes: u64,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "record {} at byte {} is damaged: {}", self.record, self.offset, self.cause)
    }
}

impl fmt::Display for Torn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { record, offset, bytes } = self;
        write!(f, "record {record} at byte {offset} was not written to its end; its {bytes} bytes are left out")
    }
}

impl JournalError {
    /// The same for whoever is to be told; `op` is what was being done.
    pub fn fault(&self, op: &'static str, path: &Path) -> Fault {
        let target = SafeText::from_bytes(path.as_os_str().as_encoded_bytes());
        let fault = |kind, cause: String| Fault::new(kind, op, target, SafeText::new(&cause));
        match self {
            Self::Held(holder) => fault(Kind::Rejected, format!("the run is held by {holder}"))
                .next("pause or cancel it from here (mqdeck dlq pause, mqdeck dlq cancel), or end that program first"),
            Self::Damaged(damage) => fault(Kind::Protocol, format!("{damage}; what lies behind it cannot be trusted"))
                .next("the run is not resumed: mqdeck dlq show prints what was recorded before; compare source and target by hand"),
            Self::Illegal(_, why) => fault(Kind::Rejected, why.to_string()),
            Self::Unfit(why) => fault(Kind::Rejected, (*why).to_owned()),
            Self::Poisoned(cause) => fault(Kind::Rejected, format!("the journal is given up: {cause}"))
                .next("see to the disk, then resume the run: its journal is read again from there"),
            Self::Io(what, error) if error.kind() == io::ErrorKind::NotFound => {
                fault(Kind::NotFound, format!("{what}: there is no such run")).next("mqdeck dlq runs lists them")
            }
            Self::Io(what, error) => {
                fault(Kind::Rejected, format!("{what}: {error}")).next("make room on the disk and the state directory writable")
            }
        }
    }
}
