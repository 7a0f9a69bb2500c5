//! The audit log: what was about to be changed, by whom, and what came of it. A file of its own, append-only, one JSON object a line, each
//! with its number and the SHA-256 of the line before it. What the program's log is set to has nothing to do with it.
//!
//! An intent is written and synced before its change begins, and a change whose intent cannot be written is not carried out. Several
//! programs write to one file: each line is appended under the file's lock.

use crate::domain::address::Address;
use crate::domain::fault::{Fault, Kind};
use crate::domain::principal::Principal;
use crate::domain::text::escape_json;
use serde_json::{Map, Value as Json, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// The file's name in the state directory.
pub const FILE: &str = "audit.jsonl";
/// How much is read at a time to find the last line.
const STEP: u64 = 16 * 1024;

/// Where changes are written down. Cloning shares it.
#[derive(Clone, Default)]
pub struct Audit(Option<Arc<Log>>);

struct Log {
    /// Why there is none, where no place for it was found.
    path: Result<PathBuf, &'static str>,
    /// Intents of this program that have no outcome yet, by their numbers. Also the lock within this program.
    open: Mutex<BTreeMap<u64, Entry>>,
    /// How many those are.
    under_way: watch::Sender<usize>,
}

/// Which half of a change a line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Before it begins.
    Intent,
    /// It was not begun: not permitted, or not confirmed as it has to be.
    Refused,
    /// It has ended: as it should, not wholly, or nobody knows how.
    Done,
    Failed,
    Unknown,
}

impl Phase {
    /// The line's `phase` and `outcome`.
    fn words(self) -> (&'static str, Option<&'static str>) {
        match self {
            Self::Intent => ("intent", None),
            Self::Refused => ("refused", None),
            Self::Done => ("outcome", Some("done")),
            Self::Failed => ("outcome", Some("failed")),
            Self::Unknown => ("outcome", Some("unknown")),
        }
    }
}

/// What a line says, but for its number, time and hash.
#[derive(Clone, Debug)]
pub struct Entry {
    pub principal: Arc<Principal>,
    pub profile: Arc<str>,
    pub operation: &'static str,
    /// Empty where the operation is not done to a channel or group: arming.
    pub address: Option<Address>,
    pub phase: Phase,
    /// Numbers, names and digests; never payloads or secrets.
    pub detail: Json,
}

impl fmt::Debug for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.0.as_ref().map(|log| log.path.as_ref().map_or_else(|why| (*why).to_owned(), |path| path.display().to_string()));
        write!(f, "Audit({})", path.as_deref().unwrap_or("off"))
    }
}

/// A change that was begun. Dropping it without an outcome writes that the outcome is unknown.
#[must_use = "its outcome belongs into the audit log"]
pub(super) struct Begun {
    audit: Audit,
    number: Option<u64>,
}

impl Audit {
    /// Changes are not written down: for gateways that change nobody's system but their own.
    pub fn off() -> Self {
        Self(None)
    }

    /// Into a file of the state directory, made when the first line is written. Without such a directory nothing can be changed.
    pub fn within(state: Option<PathBuf>) -> Self {
        let path = state.map(|folder| folder.join(FILE)).ok_or("there is no state directory for it");
        Self(Some(Arc::new(Log { path, open: Mutex::default(), under_way: watch::Sender::new(0) })))
    }

    /// Writes an entry that stands by itself: a refusal, arming. Blocks until it is synced.
    ///
    /// # Errors
    /// It could not be written.
    pub fn record(&self, entry: Entry) -> Result<(), Fault> {
        let Some(log) = &self.0 else { return Ok(()) };
        let operation = entry.operation;
        log.write(entry, None).map(drop).map_err(|error| self.unwritable(operation, &error))
    }

    /// Writes an intent. Only when this returns may the change begin.
    pub(super) async fn begin(&self, entry: Entry) -> Result<Begun, Fault> {
        let Some(log) = self.0.clone() else { return Ok(Begun { audit: self.clone(), number: None }) };
        let operation = entry.operation;
        // Waiting for a lock and a disk: not on a thread that drives connections. Whoever waits may be dropped meanwhile: what was
        // written by then is ended as unknown.
        let audit = self.clone();
        let write = move || Ok(Begun { number: Some(log.write(Entry { phase: Phase::Intent, ..entry }, None)?), audit });
        let written = tokio::task::spawn_blocking(write).await;
        let written = written.unwrap_or_else(|panicked| Err(io::Error::other(panicked.to_string())));
        written.map_err(|error| self.unwritable(operation, &error))
    }

    /// Waits until every change that was begun has an outcome.
    pub async fn settled(&self) {
        let Some(log) = &self.0 else { return };
        let mut open = log.under_way.subscribe();
        // The sender lives as long as the log.
        let _ = open.wait_for(|open| *open == 0).await;
    }

    /// Writes that the outcome of everything that is under way is unknown: the program ends without waiting for it. How many there were.
    pub fn give_up(&self) -> usize {
        let Some(log) = &self.0 else { return 0 };
        let open = std::mem::take(&mut *log.open());
        for (number, entry) in &open {
            log.outcome(*number, Entry { phase: Phase::Unknown, detail: json!({ "cause": "the program was ended" }), ..entry.clone() });
        }
        open.len()
    }

    fn unwritable(&self, operation: &'static str, error: &io::Error) -> Fault {
        let place =
            self.0.as_ref().and_then(|log| log.path.as_ref().ok()).map_or_else(|| FILE.to_owned(), |path| path.display().to_string());
        let cause = format!("the audit log cannot be written: {error}; nothing was changed");
        Fault::new(Kind::Rejected, operation, place, cause).next("make its directory writable, or set MQDECK_STATE_DIR to another one")
    }
}

impl Begun {
    /// Writes what came of it. That this cannot be written is told in the program's log: the change has happened.
    pub(super) async fn end(mut self, phase: Phase, detail: Json) {
        let Some((log, number)) = self.audit.0.clone().zip(self.number.take()) else { return };
        let written = tokio::task::spawn_blocking(move || log.end(number, phase, detail)).await;
        if let Err(error) = written {
            tracing::error!(%error, "the outcome of a change could not be written");
        }
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        if let Some((log, number)) = self.audit.0.take().zip(self.number.take()) {
            log.end(number, Phase::Unknown, json!({ "cause": "it was given up before it ended" }));
        }
    }
}

impl Log {
    fn open(&self) -> MutexGuard<'_, BTreeMap<u64, Entry>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends a line and syncs it; its number.
    fn write(&self, entry: Entry, of: Option<u64>) -> io::Result<u64> {
        let path = self.path.as_ref().map_err(|why| io::Error::other(*why))?;
        let mut open = self.open();
        let number = append(path, &entry, of)?;
        if entry.phase == Phase::Intent {
            open.insert(number, entry);
            self.under_way.send_replace(open.len());
        }
        Ok(number)
    }

    fn end(&self, number: u64, phase: Phase, detail: Json) {
        // Written already, as unknown, if the program is being ended.
        let (begun, left) = {
            let mut open = self.open();
            (open.remove(&number), open.len())
        };
        if let Some(entry) = begun {
            self.outcome(number, Entry { phase, detail, ..entry });
        }
        // Behind the line: whoever waits for it may end the program.
        self.under_way.send_replace(left);
    }

    fn outcome(&self, number: u64, entry: Entry) {
        if let Err(error) = self.write(entry, Some(number)) {
            tracing::error!(%error, number, "the outcome of a change could not be written");
        }
    }
}

fn append(path: &Path, entry: &Entry, of: Option<u64>) -> io::Result<u64> {
    if let Some(folder) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
    // Released when the file is closed, also by a kill.
    file.lock()?;
    let last = last_line(&mut file)?;
    let mut text = String::new();
    if !last.ended {
        // A program that died while it wrote left a part of a line: it is kept as it is, and its hash is part of the chain.
        text.push('\n');
    }
    let number = last.number + 1;
    let (phase, outcome) = entry.phase.words();
    let mut line = Map::new();
    line.insert("n".to_owned(), number.into());
    line.insert("time".to_owned(), jiff::Timestamp::now().to_string().into());
    line.insert("principal".to_owned(), entry.principal.to_string().into());
    line.insert("profile".to_owned(), (*entry.profile).into());
    line.insert("operation".to_owned(), entry.operation.into());
    line.insert("address".to_owned(), entry.address.as_ref().map(ToString::to_string).into());
    line.insert("phase".to_owned(), phase.into());
    line.insert("outcome".to_owned(), outcome.into());
    line.insert("of".to_owned(), of.into());
    line.insert("detail".to_owned(), entry.detail.clone());
    line.insert("prev".to_owned(), last.hash.into());
    text.push_str(&escape_json(&Json::Object(line).to_string()));
    text.push('\n');
    file.write_all(text.as_bytes())?;
    file.sync_data()?;
    Ok(number)
}

/// What the next line needs to know of the last.
struct Last {
    number: u64,
    /// Of the line without its end; of nothing where there is no line.
    hash: String,
    /// Whether the file ends with the end of a line.
    ended: bool,
}

fn last_line(file: &mut File) -> io::Result<Last> {
    let size = file.seek(SeekFrom::End(0))?;
    let (mut from, mut tail) = (size, Vec::new());
    loop {
        let ended = tail.last().is_none_or(|byte| *byte == b'\n');
        let lines: Vec<&[u8]> = tail[..tail.len() - usize::from(ended && !tail.is_empty())].split(|byte| *byte == b'\n').collect();
        // The first of them may be cut, unless everything was read.
        let whole = if from == 0 { &lines[..] } else { &lines[1..] };
        // Lines that cannot be read count as lines all the same.
        let numbered = whole.iter().rev().zip(0..).find_map(|(line, behind)| Some(number_of(line)? + behind));
        if numbered.is_some() || from == 0 {
            let number = numbered.unwrap_or(if tail.is_empty() { 0 } else { whole.len() as u64 });
            return Ok(Last { number, hash: sha256(lines.last().copied().unwrap_or_default()), ended });
        }
        let step = STEP.min(from);
        from -= step;
        file.seek(SeekFrom::Start(from))?;
        let mut more = vec![0; usize::try_from(step).unwrap_or(usize::MAX)];
        file.read_exact(&mut more)?;
        more.append(&mut tail);
        tail = more;
    }
}

fn number_of(line: &[u8]) -> Option<u64> {
    serde_json::from_slice::<Json>(line).ok()?.get("n")?.as_u64()
}

/// 64 hexadecimal digits.
fn sha256(line: &[u8]) -> String {
    Sha256::digest(line).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
