//! Time in the Model: what time alone changes on the screen, and when that happens next.

use super::integration::STALE_AFTER;
use super::model::{Model, PATIENCE, Screen};
use super::overlays::Overlay;
use crate::domain::health::Link;
use crate::domain::time::Timestamp;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

/// The next age at which `domain::figure::age` reads differently.
fn next_step(age: Duration) -> Duration {
    let s = age.as_secs();
    let next = match s {
        0..3 => 3,
        3..10 => 10,
        10..30 => 30,
        30..60 => 60,
        _ => (s / 60 + 1) * 60,
    };
    Duration::from_secs(next)
}

/// The coarse step that an age is in, as a number.
fn step_of(age: Duration) -> u64 {
    next_step(age).as_secs()
}

/// The moments whose ages are shown now. Lists that are fresh show no age.
fn ages(model: &Model) -> Vec<Timestamp> {
    let mut moments = Vec::new();
    for integration in model.integrations() {
        if let Link::Down { since, .. } = &integration.link {
            moments.push(*since);
        }
    }
    moments.extend((model.screen.state().ages)(model));
    moments
}

/// The moments since which something is being waited for; each shows itself after [`PATIENCE`], and its age from a second on.
fn waits(model: &Model) -> Vec<Timestamp> {
    let mut waits: Vec<Timestamp> = model.profiles.opening.iter().map(|(_, since)| *since).collect();
    waits.extend((model.screen.state().waits)(model));
    if let Some(Overlay::Form(form)) = &model.overlay {
        waits.extend(form.planning.map(|(_, since)| since));
    }
    waits
}

/// A number that changes when time alone has changed the screen.
pub(super) fn time_fingerprint(model: &Model) -> u64 {
    let mut hasher = DefaultHasher::new();
    (model.now.0.div_euclid(60_000)).hash(&mut hasher);
    for moment in ages(model) {
        let age = model.now.since(moment);
        (if age < STALE_AFTER { 0 } else { step_of(age) }).hash(&mut hasher);
    }
    for moment in waits(model) {
        let age = model.now.since(moment);
        (age >= PATIENCE, if age < Duration::from_secs(2) { age.as_secs() } else { step_of(age) }).hash(&mut hasher);
    }
    model.changes.armed_for(model.now).hash(&mut hasher);
    if model.screen == Screen::Received {
        (model.received.left(model.now), model.received.overdue(model.now)).hash(&mut hasher);
    }
    model.traffic.rate_face(model.now).hash(&mut hasher);
    hasher.finish()
}

impl Model {
    /// When a `Tick` is needed next: the next moment at which time alone changes what is shown. A minute away at most.
    pub fn next_deadline(&self) -> Timestamp {
        let later = |moment: Timestamp, by: Duration| Timestamp(moment.0.saturating_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)));
        let mut next = Timestamp((self.now.0.div_euclid(60_000) + 1) * 60_000);
        let mut sooner = |moment: Timestamp| {
            if moment > self.now {
                next = next.min(moment);
            }
        };
        for moment in ages(self) {
            let age = self.now.since(moment);
            sooner(later(moment, if age < STALE_AFTER { STALE_AFTER } else { next_step(age) }));
        }
        for moment in waits(self) {
            let age = self.now.since(moment);
            let step = if age < PATIENCE {
                PATIENCE
            } else if age < Duration::from_secs(2) {
                Duration::from_secs(age.as_secs() + 1)
            } else {
                next_step(age)
            };
            sooner(later(moment, step));
        }
        if let Some(moment) = self.received.deadline(self.now).filter(|_| self.screen == Screen::Received) {
            sooner(moment);
        }
        if let Some(moment) = self.changes.armed_deadline(self.now) {
            sooner(moment);
        }
        if let Some(moment) = self.notices.next_expiry() {
            sooner(moment);
        }
        if let Some(moment) = self.traffic.rate_deadline(self.now) {
            sooner(moment);
        }
        next
    }
}
