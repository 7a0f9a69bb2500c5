//! The changes of the open profile: what is being carried out, what takes the last ones back, and until when it is armed.

use super::effect::TaskId;
use crate::domain::fault::Fault;
use crate::domain::operation::{Change, Done, PartCounts, Request};
use crate::domain::text::SafeText;
use crate::domain::time::Timestamp;
use std::sync::Arc;
use std::time::Duration;

/// Changes that can be taken back, at most.
const KEPT: usize = 20;
/// Above this the time left to be armed is shown in steps of ten seconds, below in seconds: then it decides whether a plan can still be
/// confirmed. So an armed console draws some sixty frames in five minutes, of one word each.
const CLOSE: Duration = Duration::from_secs(30);

/// Where a request comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    #[default]
    New,
    /// Takes the last change back.
    Undo,
    /// Does again what was taken back.
    Redo,
}

/// The changes of the open profile.
#[derive(Default)]
pub struct Changes {
    /// Until when the profile is armed.
    pub armed_until: Option<Timestamp>,
    /// What is being carried out.
    pub(super) running: Vec<(TaskId, Arc<Change>, Origin)>,
    /// What is still being carried out on profiles that were closed meanwhile, by their names.
    pub(super) closed: Vec<(TaskId, Arc<Change>, SafeText)>,
    /// Where messages are being sent to, with the name of the profile if that was closed meanwhile.
    pub(super) sending: Vec<(TaskId, SafeText, Option<SafeText>)>,
    /// The last one that ended.
    pub last: Option<Outcome>,
    /// What takes changes back, the last one last.
    undo: Vec<Undoing>,
    redo: Vec<Undoing>,
}

/// A request that takes a change back.
pub(super) struct Undoing {
    pub(super) request: Request,
    /// What was changed, and when that had ended.
    pub(super) title: &'static str,
    pub(super) at: Timestamp,
}

/// What became of a change.
pub struct Outcome {
    pub change: Arc<Change>,
    pub result: Result<Done, Fault>,
}

impl Outcome {
    pub fn counts(&self) -> PartCounts {
        PartCounts::of(self.result.iter().flat_map(|done| &done.parts).map(|(_, part)| part))
    }

    /// Whether there is something to take back, and a way to.
    pub fn has_undo(&self) -> bool {
        self.change.undo.is_some() && self.result.is_ok() && (self.counts().done > 0 || self.counts() == PartCounts::default())
    }
}

impl Changes {
    pub fn can_undo(&self) -> bool {
        !self.undo.is_empty()
    }

    pub fn can_redo(&self) -> bool {
        !self.redo.is_empty()
    }

    /// Whether this task is a change being carried out: it is never cut off.
    pub fn is_running(&self, task: TaskId) -> bool {
        self.running.iter().any(|(running, ..)| *running == task) || self.closed.iter().any(|(running, ..)| *running == task)
    }

    /// The changes of the next profile. What is being carried out goes on, and is told of when it ends; nothing of it is undone there.
    pub(super) fn of_another_profile(&mut self, closing: &SafeText) -> Self {
        let before = std::mem::take(self);
        let running = before.running.into_iter().map(|(task, change, _)| (task, change, closing.clone()));
        let sending = before.sending.into_iter().map(|(task, to, profile)| (task, to, profile.or_else(|| Some(closing.clone()))));
        Self { closed: before.closed.into_iter().chain(running).collect(), sending: sending.collect(), ..Self::default() }
    }

    /// A message was sent, or not: where to, as the end of a sentence.
    pub(super) fn sent(&mut self, task: TaskId) -> String {
        let Some(at) = self.sending.iter().position(|(sending, ..)| *sending == task) else { return String::new() };
        let (_, to, profile) = self.sending.swap_remove(at);
        profile.map_or_else(|| format!(" to {to}"), |profile| format!(" to {to} in {profile}"))
    }

    /// The time left to be armed, as it is shown: never more than there is.
    pub fn armed_for(&self, now: Timestamp) -> Option<Duration> {
        let left = self.armed_until?.since(now).as_secs();
        Some(Duration::from_secs(if left > CLOSE.as_secs() { left / 10 * 10 } else { left }))
    }

    /// When [`Changes::armed_for`] next reads differently.
    pub(super) fn armed_deadline(&self, now: Timestamp) -> Option<Timestamp> {
        let (until, shown) = (self.armed_until?, self.armed_for(now)?);
        // The last moment at which at least `shown` is left, and the one after it.
        Some(Timestamp((until.0 - i64::try_from(shown.as_millis()).unwrap_or(0) + 1).max(now.0 + 1)))
    }

    /// The request that takes the last change back, or does it again.
    pub(super) fn latest(&self, origin: Origin) -> Option<&Undoing> {
        if origin == Origin::Undo { self.undo.last() } else { self.redo.last() }
    }

    /// Keeps what takes a change back: of a new one and of one done again for `z`, of one taken back for `Z`.
    pub(super) fn remember(&mut self, outcome: &Outcome, origin: Origin, ended: Timestamp) {
        // What failed may be tried again.
        if outcome.result.is_err() || origin != Origin::New && outcome.counts().failed > 0 {
            return;
        }
        let done = |undoing: &Undoing| undoing.request == outcome.change.request;
        match origin {
            Origin::New => self.redo.clear(),
            Origin::Undo => _ = self.undo.iter().rposition(done).map(|at| self.undo.remove(at)),
            Origin::Redo => _ = self.redo.iter().rposition(done).map(|at| self.redo.remove(at)),
        }
        let stack = if origin == Origin::Undo { &mut self.redo } else { &mut self.undo };
        if let Some(request) = outcome.change.undo.clone().filter(|_| outcome.has_undo()) {
            stack.push(Undoing { request, title: outcome.change.request.spec.title, at: ended });
            let over = stack.len().saturating_sub(KEPT);
            stack.drain(..over);
        }
    }
}
