//! `Header`: what a run is, written once before it begins.

use super::record::{Pace, Rate};
use crate::domain::replay::id::RunId;
use crate::domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// The version of the format, also in the first bytes of the file.
const VERSION: u32 = 1;

/// What a run is.
#[derive(Clone, Debug, PartialEq)]
pub struct Header {
    pub run: RunId,
    /// Who runs it: `local:USER`.
    pub operator: String,
    pub profile: String,
    /// The digest of its plan.
    pub plan: Option<String>,
    /// The dead-letter channel, and where its letters go.
    pub address: String,
    pub to: String,
    /// Which letters were chosen, and up to where.
    pub selection: Json,
    /// The program that changes them.
    pub edit: Option<String>,
    pub pace: Pace,
    /// How many letters the plan froze.
    pub total: u64,
    /// When it was planned.
    pub time: Timestamp,
    /// Whether replayed messages carry a mark.
    pub marked: bool,
}

/// A header as the file has it.
#[derive(Deserialize, Serialize)]
struct Stored {
    version: u32,
    run: String,
    program: String,
    operator: String,
    profile: String,
    plan: Option<String>,
    address: String,
    to: String,
    selection: Json,
    edit: Option<String>,
    rate: Option<f64>,
    window: u32,
    total: u64,
    time: i64,
    marked: bool,
}

impl Header {
    pub(super) fn encode(&self) -> Vec<u8> {
        let stored = Stored {
            version: VERSION,
            run: self.run.to_string(),
            program: concat!("mqdeck ", env!("CARGO_PKG_VERSION")).to_owned(),
            operator: self.operator.clone(),
            profile: self.profile.clone(),
            plan: self.plan.clone(),
            address: self.address.clone(),
            to: self.to.clone(),
            selection: self.selection.clone(),
            edit: self.edit.clone(),
            rate: self.pace.rate.per_second(),
            window: self.pace.window,
            total: self.total,
            time: self.time.0,
            marked: self.marked,
        };
        // Text, numbers and a JSON value are always written.
        serde_json::to_vec(&stored).unwrap_or_default()
    }

    /// The header of these bytes, or why they are none.
    pub(super) fn decode(payload: &[u8]) -> Result<Self, String> {
        let stored: Stored = serde_json::from_slice(payload).map_err(|error| format!("its header cannot be read: {error}"))?;
        if stored.version != VERSION {
            return Err(format!("it has format {}, and this program reads format {VERSION}", stored.version));
        }
        let pace = Pace { rate: stored.rate.map_or(Rate::Unlimited, Rate::PerSecond), window: stored.window };
        if !pace.is_sound() {
            return Err("its header has a rate or a window that is none".to_owned());
        }
        Ok(Self {
            run: stored.run.parse()?,
            operator: stored.operator,
            profile: stored.profile,
            plan: stored.plan,
            address: stored.address,
            to: stored.to,
            selection: stored.selection,
            edit: stored.edit,
            pace,
            total: stored.total,
            time: Timestamp(stored.time),
            marked: stored.marked,
        })
    }
}
