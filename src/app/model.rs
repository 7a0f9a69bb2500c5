//! `Model`: everything a frame needs.

use super::{Effect, Event, Start};
use crate::domain::time::Timestamp;

/// The whole state of the console. Changed by [`super::update`] alone.
pub struct Model {
    pub revision: u64,
    pub now: Timestamp,
}

impl Model {
    /// The first state, with what is to be done at once.
    pub fn new(start: Start) -> (Self, Vec<Effect>) {
        (Self { revision: 0, now: start.now }, vec![Effect::LoadProfiles])
    }

    /// When a `Tick` is needed next; `None` while nothing shown depends on time.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        None
    }

    pub(super) fn take(&mut self, event: Event) -> Vec<Effect> {
        if let Event::Tick(now) = event {
            self.now = now;
        }
        self.revision += 1;
        Vec::new()
    }
}
