//! The folder of journals: which runs there are, who has them, and which are old enough to go.

use super::contents::Contents;
use super::error::JournalError;
use super::lock::{self, Holder, Lock, Unlocked};
use super::record::Pace;
use super::storage::sync_folder;
use crate::domain::replay::id::RunId;
use crate::domain::replay::summary::RunSummary;
use crate::domain::text::SafeText;
use crate::domain::time::Timestamp;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a run's journal is kept after its end.
pub const KEPT: Duration = Duration::from_secs(30 * 24 * 3_600);

const JOURNAL: &str = "journal";
const LOCK: &str = "lock";
const CONTROL: &str = "control";

/// The file of a run's journal.
pub fn journal(folder: &Path, run: &RunId) -> PathBuf {
    folder.join(format!("{run}.{JOURNAL}"))
}

pub(super) fn lock(folder: &Path, run: &RunId) -> PathBuf {
    folder.join(format!("{run}.{LOCK}"))
}

pub(super) fn control(folder: &Path, run: &RunId) -> PathBuf {
    folder.join(format!("{run}.{CONTROL}"))
}

/// One run of a folder.
#[derive(Clone, Debug)]
pub struct Listed {
    pub run: RunId,
    /// When it was planned; what is damaged from its beginning says nothing of that.
    pub planned: Option<Timestamp>,
    pub ended: Option<Timestamp>,
    /// Of everything before the damage, if there is any.
    pub summary: Option<RunSummary>,
    pub pace: Option<Pace>,
    /// Why it cannot be read wholly.
    pub damage: Option<SafeText>,
    /// Which program has it, if one has.
    pub holder: Option<Holder>,
}

/// All runs of a folder, the oldest first; none if there is no folder. Damaged ones too.
///
/// # Errors
/// The folder cannot be read.
pub fn runs(folder: &Path) -> io::Result<Vec<Listed>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let name = path.extension().is_some_and(|extension| extension == JOURNAL).then(|| path.file_stem()?.to_str()?.parse().ok());
        if let Some(run) = name.flatten() {
            found.push(listed(folder, &path, run));
        }
    }
    found.sort_by(|a, b| (a.planned, &a.run).cmp(&(b.planned, &b.run)));
    Ok(found)
}

fn listed(folder: &Path, path: &Path, run: RunId) -> Listed {
    let holder = holder(folder, &run).ok().flatten();
    let (summary, damage) = (None, None);
    let listed = Listed { run, planned: None, ended: None, summary, pace: None, damage, holder };
    match Contents::open(path) {
        Ok(contents) => Listed {
            planned: Some(contents.header.time),
            ended: contents.ended,
            summary: Some(contents.summary()),
            pace: Some(contents.pace),
            damage: contents.damage.map(|damage| SafeText::new(&damage.to_string())),
            ..listed
        },
        Err(error) => Listed { damage: Some(error.fault("read run", path).cause), ..listed },
    }
}

/// Which program writes a run's journal now, if one does.
///
/// # Errors
/// That cannot be found out.
pub fn holder(folder: &Path, run: &RunId) -> io::Result<Option<Holder>> {
    lock::holder(folder, &lock(folder, run))
}

/// Runs whose end was longer ago than they are kept, usually [`KEPT`]. Never one that is not at its end, or that cannot be read.
///
/// # Errors
/// The folder cannot be read.
pub fn expired(folder: &Path, now: Timestamp, kept: Duration) -> io::Result<Vec<RunId>> {
    let old = |listed: &Listed| listed.damage.is_none() && listed.holder.is_none() && listed.ended.is_some_and(|end| now.since(end) > kept);
    Ok(runs(folder)?.into_iter().filter(old).map(|listed| listed.run).collect())
}

/// Removes a run's files.
///
/// # Errors
/// A program has it, or they cannot be removed.
pub fn remove(folder: &Path, run: &RunId, holder: &Holder) -> Result<(), JournalError> {
    let io = |error| JournalError::Io("remove the journal", error);
    fs::metadata(journal(folder, run)).map_err(io)?;
    let held = Lock::take(folder, &lock(folder, run), holder).map_err(|why| match why {
        Unlocked::Held(holder) => JournalError::Held(holder),
        Unlocked::Io(error) => io(error),
    })?;
    // Nobody may take the lock of a file whose name is about to go.
    let _folder = lock::hold_folder(folder).map_err(io)?;
    fs::remove_file(journal(folder, run)).map_err(io)?;
    for beside in [control(folder, run), lock(folder, run)] {
        match fs::remove_file(beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io(error)),
            _ => {}
        }
    }
    drop(held);
    sync_folder(folder).map_err(io)
}
