//! Arming: the timed permission to change what must not be changed by accident. It lives here, so that the console, the commands
//! and whoever else uses the gateway share one rule; every change of it is audited.

use super::Gateway;
use crate::domain::fault::{Fault, Kind};
use crate::domain::operation::Risk;
use crate::domain::safety::Gate;
use crate::domain::text::SafeText;
use crate::domain::time::Timestamp;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Whether a gateway is armed. Dropping it disarms.
#[derive(Default)]
pub(super) struct Arming {
    state: Arc<Mutex<Option<Armed>>>,
}

/// Armed until then; without an end until the gateway is closed.
struct Armed {
    end: Option<End>,
    /// Disarms when the time is over.
    timer: Option<JoinHandle<()>>,
}

/// The end by two clocks, of which the first to get there counts: a machine that slept must not wake up armed, and a wall clock that
/// is set back must not make it last longer.
#[derive(Clone, Copy)]
struct End {
    steady: Instant,
    wall: Timestamp,
}

impl End {
    fn after(time: Duration) -> Self {
        let millis = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        Self { steady: Instant::now() + time, wall: Timestamp(wall().0.saturating_add(millis)) }
    }

    fn is_over(self) -> bool {
        Instant::now() >= self.steady || wall() >= self.wall
    }
}

impl Gateway {
    /// Arms the profile, whose name must have been typed as it is shown: for that long, or until the gateway is closed. Returns
    /// when it ends. Arming what is armed starts the time anew.
    ///
    /// # Errors
    /// A profile that is read-only cannot be armed; another name is refused.
    pub fn arm(&self, typed: &str, time: Option<Duration>) -> Result<Option<Timestamp>, Fault> {
        let name = SafeText::new(&self.profile.name);
        let refused = |cause: String, next: String| {
            let fault = Fault::new(Kind::Forbidden, "arm", name.clone(), cause).next(next);
            tracing::warn!(target: "audit", operation = "arm", profile = %name, %fault, "refused");
            fault
        };
        if self.safety.is_read_only() {
            let next = if self.profile.safety.is_read_only() { "its safety block says so" } else { "start without --read-only" };
            return Err(refused("this profile is open for reading only".to_owned(), next.to_owned()));
        }
        if typed.trim() != name.as_str() {
            return Err(refused(format!("`{}` is not this profile's name", SafeText::new(typed)), format!("its name is {name}")));
        }
        let end = time.map(End::after);
        tracing::info!(target: "audit", operation = "arm", profile = %name, seconds = time.map(|time| time.as_secs()), "armed");
        let timer = end.map(|end| {
            let (state, name) = (Arc::downgrade(&self.arming.state), name.clone());
            tokio::spawn(async move {
                tokio::time::sleep_until(end.steady).await;
                if let Some(state) = state.upgrade()
                    && lock(&state).take().is_some()
                {
                    tracing::info!(target: "audit", operation = "arm", profile = %name, "disarmed: the time was over");
                }
            })
        });
        self.arming.replace(Some(Armed { end, timer }));
        Ok(end.map(|end| end.wall))
    }

    /// Disarms the profile; nothing if it was not armed.
    pub fn disarm(&self) {
        if self.arming.replace(None) {
            tracing::info!(target: "audit", operation = "arm", profile = %self.profile.name, "disarmed");
        }
    }

    /// Whether the profile is armed now.
    pub fn is_armed(&self) -> bool {
        lock(&self.arming.state).as_ref().is_some_and(|armed| !armed.end.is_some_and(End::is_over))
    }

    /// Whether an operation of that risk may be carried out now.
    pub fn gate(&self, risk: Risk) -> Gate {
        self.safety.gate(risk, self.is_armed())
    }
}

impl Arming {
    /// Puts another state in place of the old one, whose timer ends; true if that was armed.
    fn replace(&self, new: Option<Armed>) -> bool {
        let old = std::mem::replace(&mut *lock(&self.state), new);
        if let Some(timer) = old.as_ref().and_then(|old| old.timer.as_ref()) {
            timer.abort();
        }
        old.is_some()
    }
}

impl Drop for Arming {
    fn drop(&mut self) {
        self.replace(None);
    }
}

fn lock(state: &Mutex<Option<Armed>>) -> MutexGuard<'_, Option<Armed>> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn wall() -> Timestamp {
    Timestamp(jiff::Timestamp::now().as_millisecond())
}
