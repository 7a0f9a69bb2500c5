//! `RunId` and `ReplayId`: what a run and each of its attempts at a letter are called.

use crate::domain::time::Timestamp;
use jiff::tz::TimeZone;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The longest name of a run.
const LONGEST: usize = 40;

/// The name of a run: lower-case letters, digits and `-`, so that it is a file's name and an argument of a command everywhere.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunId(Arc<str>);

impl RunId {
    /// A name by the moment at which a run was planned, and four digits that tell it from others of that second.
    pub fn new(planned: Timestamp, entropy: u16) -> Self {
        let moment = planned.zoned(&TimeZone::UTC).map_or_else(|| "0".to_owned(), |moment| moment.strftime("%y%m%d-%H%M%S").to_string());
        Self(format!("{moment}-{entropy:04x}").into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for RunId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if text.is_empty() || text.len() > LONGEST || text.starts_with('-') || !text.bytes().all(fits) {
            return Err(format!("`{text}` is not the name of a run: `mqdeck dlq runs` lists them"));
        }
        Ok(Self(text.into()))
    }
}

/// One attempt at one letter of a run, as the mark on the replayed message names it: `261201-003339-1a2b/3@1042/1`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ReplayId {
    pub run: RunId,
    pub lane: u32,
    pub number: u64,
    /// From 1.
    pub attempt: u16,
}

impl fmt::Display for ReplayId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}@{}/{}", self.run, self.lane, self.number, self.attempt)
    }
}

impl FromStr for ReplayId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parse = || {
            let (run, rest) = text.split_once('/')?;
            let (letter, attempt) = rest.split_once('/')?;
            let (lane, number) = letter.split_once('@')?;
            Some(Self { run: run.parse().ok()?, lane: lane.parse().ok()?, number: number.parse().ok()?, attempt: attempt.parse().ok()? })
        };
        parse().ok_or_else(|| format!("`{text}` is not the mark of a replay"))
    }
}
