//! The file beside a journal by which another program asks its runner to pause, to go on, to cancel, or to change its pace. It holds all
//! that is wanted at present, and is replaced as a whole.

use super::folder;
use super::lock::hold_folder;
use super::record::Rate;
use crate::domain::replay::id::RunId;
use serde_json::{Map, Value as Json};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The longest file that is read; of a longer one nothing is.
const LONGEST: u64 = 4096;
/// What stands in the place of a rate where there is to be none.
const UNLIMITED: &str = "unlimited";

/// What a run is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    Pause,
    Resume,
    Cancel,
}

impl Want {
    const ALL: [(Self, &'static str); 3] = [(Self::Pause, "pause"), (Self::Resume, "resume"), (Self::Cancel, "cancel")];

    fn word(self) -> &'static str {
        Self::ALL.into_iter().find(|(want, _)| *want == self).map_or("", |(_, word)| word)
    }
}

/// What is wanted of a run; what nobody asked for is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Wanted {
    pub run: Option<Want>,
    pub rate: Option<Rate>,
    pub window: Option<u32>,
}

impl Wanted {
    /// What is wanted when this is asked for as well. A run that is to be cancelled stays so.
    #[must_use]
    fn with(self, more: Self) -> Self {
        let run = if self.run == Some(Want::Cancel) { self.run } else { more.run.or(self.run) };
        Self { run, rate: more.rate.or(self.rate), window: more.window.or(self.window) }
    }

    fn encode(self) -> String {
        let mut fields = Map::new();
        if let Some(want) = self.run {
            fields.insert("run".to_owned(), want.word().into());
        }
        if let Some(rate) = self.rate {
            fields.insert("rate".to_owned(), rate.per_second().map_or_else(|| UNLIMITED.into(), Json::from));
        }
        if let Some(window) = self.window {
            fields.insert("window".to_owned(), window.into());
        }
        Json::Object(fields).to_string()
    }

    /// What a file says; `None` if any of it is none of these.
    fn decode(text: &[u8]) -> Option<Self> {
        let Json::Object(fields) = serde_json::from_slice(text).ok()? else { return None };
        let mut wanted = Self::default();
        for (name, value) in &fields {
            match name.as_str() {
                "run" => wanted.run = Some(Want::ALL.into_iter().find(|(_, word)| value == word)?.0),
                "rate" if value == UNLIMITED => wanted.rate = Some(Rate::Unlimited),
                "rate" => wanted.rate = Some(value.as_f64().map(Rate::PerSecond).filter(|rate| rate.is_sound())?),
                "window" => wanted.window = Some(value.as_u64().and_then(|window| window.try_into().ok()).filter(|window| *window > 0)?),
                _ => return None,
            }
        }
        Some(wanted)
    }
}

/// Asks for something, beside what was asked for before.
///
/// # Errors
/// It cannot be written, or its rate or window is none.
pub fn ask(folder: &Path, run: &RunId, more: Wanted) -> io::Result<()> {
    let path = folder::control(folder, run);
    // Two who ask at the same time must not undo each other.
    let _folder = hold_folder(folder)?;
    let wanted = read(&path)?.unwrap_or_default().with(more);
    let text = wanted.encode();
    if Wanted::decode(text.as_bytes()) != Some(wanted) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a rate must be more than 0 a second, and a window at least 1"));
    }
    let fresh = path.with_extension("control.new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
    file.write_all(text.as_bytes())?;
    file.sync_data()?;
    fs::rename(fresh, path)
}

/// What is in a file; nothing if there is none, or if it cannot be understood.
fn read(path: &Path) -> io::Result<Option<Wanted>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let mut text = Vec::new();
    file.take(LONGEST + 1).read_to_end(&mut text)?;
    Ok((text.len() as u64 <= LONGEST).then(|| Wanted::decode(&text)).flatten())
}

/// Looks at what is wanted of a run.
#[derive(Debug)]
pub struct Control {
    path: PathBuf,
    wanted: Wanted,
}

impl Control {
    /// Of a run that begins or goes on now: what was asked of it before is forgotten.
    ///
    /// # Errors
    /// An old file cannot be removed.
    pub fn begin(folder: &Path, run: &RunId) -> io::Result<Self> {
        let path = folder::control(folder, run);
        let _folder = hold_folder(folder)?;
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        Ok(Self { path, wanted: Wanted::default() })
    }

    /// What is wanted, if that was changed since the last look: a file of a few bytes is read. What cannot be read or understood
    /// changes nothing.
    pub fn poll(&mut self) -> Option<Wanted> {
        let wanted = read(&self.path).ok()??;
        (wanted != std::mem::replace(&mut self.wanted, wanted)).then_some(wanted)
    }
}
