//! Jobs: long work that outlives the screen that started it, shown in the strip.

use super::effect::TaskId;
use crate::domain::text::SafeText;
use crate::domain::time::Timestamp;
use std::time::Duration;

/// One piece of long work under way.
#[derive(Clone, Debug)]
pub struct Job {
    pub task: TaskId,
    pub title: SafeText,
    pub done: u64,
    pub total: Option<u64>,
    pub started: Timestamp,
    /// When `done` last changed.
    pub at: Timestamp,
}

impl Job {
    pub fn new(task: TaskId, title: SafeText, now: Timestamp) -> Self {
        Self { task, title, done: 0, total: None, started: now, at: now }
    }

    /// Done a second, since the start.
    pub fn rate(&self) -> Option<f64> {
        let took = self.at.since(self.started);
        (took >= Duration::from_millis(500)).then(|| self.done as f64 / took.as_secs_f64())
    }

    /// Time left; unknown until a twentieth is done or five seconds have passed.
    pub fn eta(&self) -> Option<Duration> {
        let total = self.total?;
        let sure = self.done * 20 >= total || self.at.since(self.started) >= Duration::from_secs(5);
        let rate = self.rate().filter(|rate| sure && *rate > 0.0)?;
        Some(Duration::from_secs_f64(total.saturating_sub(self.done) as f64 / rate))
    }
}
