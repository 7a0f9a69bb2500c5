//! `WireLog`: the last requests and answers that went over the wire, a line each, for the wire log screen (`@`).

use crate::domain::text::SafeText;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Lines kept; older ones are dropped.
const KEPT: usize = 500;

/// One exchange with a system. Never holds payloads or credentials: names, sizes and codes alone.
#[derive(Clone, Debug, PartialEq)]
pub struct Exchange {
    /// Counts up from 1 in one log, so that a reader sees what is new.
    pub number: u64,
    /// With whom: `127.0.0.1:9092`.
    pub peer: SafeText,
    /// What was asked: `Metadata v12 3 topics`.
    pub request: SafeText,
    /// What came back: `87 topics, 14.2 kB`, or the fault.
    pub outcome: SafeText,
    pub took: Duration,
}

/// A bounded log shared by an integration's connections. Cloning shares it.
#[derive(Clone, Default)]
pub struct WireLog(Arc<Mutex<Ring>>);

#[derive(Default)]
struct Ring {
    lines: VecDeque<Exchange>,
    written: u64,
}

impl WireLog {
    /// Adds a line.
    pub fn record(&self, peer: &SafeText, request: impl Into<SafeText>, outcome: impl Into<SafeText>, took: Duration) {
        let mut ring = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ring.written += 1;
        let line = Exchange { number: ring.written, peer: peer.clone(), request: request.into(), outcome: outcome.into(), took };
        if ring.lines.len() == KEPT {
            ring.lines.pop_front();
        }
        ring.lines.push_back(line);
    }

    /// The lines numbered above `number`, oldest first.
    pub fn since(&self, number: u64) -> Vec<Exchange> {
        let ring = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ring.lines.iter().filter(|line| line.number > number).cloned().collect()
    }
}
