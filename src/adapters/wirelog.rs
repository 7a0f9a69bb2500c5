//! `WireLog`: the last requests and answers that went over the wire, a line each, for the wire log screen (`@`).

pub use crate::domain::exchange::Exchange;
use crate::domain::text::SafeText;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Lines kept; older ones are dropped.
const KEPT: usize = 500;

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
