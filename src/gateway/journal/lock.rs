//! `Lock`: one program at a time writes a journal. The lock ends with the program, however that ends; a line beside it says whose it is.

use crate::domain::text::SafeText;
use crate::domain::time::Timestamp;
use serde_json::{Value as Json, json};
use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// The longest line that is read.
const LONGEST: u64 = 4096;

/// Who has a journal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holder {
    pub pid: Option<u32>,
    pub host: Option<SafeText>,
    pub user: Option<SafeText>,
    pub since: Option<Timestamp>,
}

impl Holder {
    /// This program.
    pub fn this(user: &str, since: Timestamp) -> Self {
        Self { pid: Some(std::process::id()), host: host(), user: Some(SafeText::new(user)), since: Some(since) }
    }

    fn encode(&self) -> String {
        let text = |text: &Option<SafeText>| text.as_ref().map(ToString::to_string);
        let since = self.since.map(|since| since.0);
        json!({ "pid": self.pid, "host": text(&self.host), "user": text(&self.user), "since": since }).to_string() + "\n"
    }

    /// What a line says, as far as it says anything.
    fn decode(line: &[u8]) -> Self {
        let line: Json = serde_json::from_slice(line).unwrap_or_default();
        let text = |key: &str| line.get(key)?.as_str().map(SafeText::new);
        Self {
            pid: line.get("pid").and_then(Json::as_u64).and_then(|pid| pid.try_into().ok()),
            host: text("host"),
            user: text("user"),
            since: line.get("since").and_then(Json::as_i64).map(Timestamp),
        }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pid {
            Some(pid) => write!(f, "process {pid}")?,
            None => f.write_str("another program")?,
        }
        for (word, text) in [("of", &self.user), ("on", &self.host)] {
            if let Some(text) = text {
                write!(f, " {word} {text}")?;
            }
        }
        self.since.map_or(Ok(()), |since| write!(f, " since {since}"))
    }
}

/// This machine's name, where the system or its shell says it.
fn host() -> Option<SafeText> {
    let name = fs::read("/proc/sys/kernel/hostname").ok();
    let name = name.or_else(|| std::env::var_os("HOSTNAME").map(OsStringExt::into_vec))?;
    Some(name.trim_ascii()).filter(|name| !name.is_empty()).map(SafeText::from_bytes)
}

/// A lock of one run, until it is dropped.
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
}

/// Why there is no lock.
#[derive(Debug)]
pub(super) enum Unlocked {
    Held(Holder),
    Io(io::Error),
}

/// Keeps everybody else of this folder waiting, for as long as files are looked at or replaced.
pub(super) fn hold_folder(folder: &Path) -> io::Result<File> {
    let folder = File::open(folder)?;
    folder.lock()?;
    Ok(folder)
}

impl Lock {
    /// Takes a lock and says whose it is now. Somebody who only looks ([`holder`]) is in nobody's way, because both hold the folder.
    pub(super) fn take(folder: &Path, path: &Path, holder: &Holder) -> Result<Self, Unlocked> {
        let _folder = hold_folder(folder).map_err(Unlocked::Io)?;
        let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path);
        let mut file = open.map_err(Unlocked::Io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Unlocked::Held(read(&mut file))),
            Err(TryLockError::Error(error)) => return Err(Unlocked::Io(error)),
        }
        let said = file.set_len(0).and_then(|()| file.write_all(holder.encode().as_bytes()));
        said.map_err(Unlocked::Io)?;
        Ok(Self { file })
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // A line that stays says nothing while nobody has the lock.
        let _ = self.file.set_len(0);
    }
}

/// Who has a lock, if anybody has. A line that a program left behind that was killed is nobody's.
pub(super) fn holder(folder: &Path, path: &Path) -> io::Result<Option<Holder>> {
    let _folder = hold_folder(folder)?;
    let mut file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(None),
        Err(TryLockError::WouldBlock) => Ok(Some(read(&mut file))),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn read(file: &mut File) -> Holder {
    let mut line = Vec::new();
    let read = file.rewind().and_then(|()| file.take(LONGEST).read_to_end(&mut line));
    read.map_or_else(|_| Holder::default(), |_| Holder::decode(&line))
}
