//! `RunSummary`: what a run has come to, in numbers.

use super::letter::RunState;
use serde_json::{Value as Json, json};
use std::sync::Arc;

/// One line of `runs`. `total = settled + confirmed + failed + unknown + skipped + open`; `died_again` counts within `settled`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunSummary {
    pub run: Arc<str>,
    pub address: Arc<str>,
    pub to: Arc<str>,
    pub state: RunState,
    pub total: u64,
    pub settled: u64,
    pub confirmed: u64,
    pub failed: u64,
    pub unknown: u64,
    pub died_again: u64,
    pub skipped: u64,
    /// With letters that may have been sent and that nobody has asked about yet.
    pub open: u64,
}

impl RunSummary {
    /// Its fields in their order.
    pub fn json(&self) -> Json {
        json!({
            "run": &*self.run,
            "address": &*self.address,
            "to": &*self.to,
            "state": self.state.word(),
            "total": self.total,
            "settled": self.settled,
            "confirmed": self.confirmed,
            "failed": self.failed,
            "unknown": self.unknown,
            "died_again": self.died_again,
            "skipped": self.skipped,
            "open": self.open,
        })
    }

    /// Whether every letter was settled and none has died again.
    pub fn is_success(&self) -> bool {
        self.settled == self.total && self.died_again == 0
    }
}
