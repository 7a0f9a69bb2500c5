//! `Run`: the state of a run and of its letters, changed by one record after another. What may not follow is refused and changes nothing.

use super::letter::{LetterState, RunState};
use super::spans::{Replaced, Span, Spans, Untaken};
use super::summary::RunSummary;
use std::fmt;

/// One thing that happened in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// These letters are now in this state.
    Letters(Span, LetterState),
    /// These letters, which were settled, lie among the dead ones again.
    DiedAgain(Span),
    /// The run is now in this state.
    Run(RunState),
}

/// How many letters are in which state. What is open is what is left of the total.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// May have been sent, and nobody has asked yet. They count as open in a summary.
    pub intent: u64,
    pub confirmed: u64,
    pub settled: u64,
    pub failed: u64,
    pub skipped: u64,
    pub unknown: u64,
    /// Of those that are settled.
    pub died_again: u64,
}

impl Counts {
    fn of(&mut self, state: LetterState) -> Option<&mut u64> {
        match state {
            LetterState::Open => None,
            LetterState::Intent => Some(&mut self.intent),
            LetterState::Confirmed => Some(&mut self.confirmed),
            LetterState::Settled => Some(&mut self.settled),
            LetterState::Failed => Some(&mut self.failed),
            LetterState::Skipped => Some(&mut self.skipped),
            LetterState::Unknown => Some(&mut self.unknown),
        }
    }

    /// All that are not open, never more than the run's total.
    fn begun(&self) -> u64 {
        self.intent + self.confirmed + self.settled + self.failed + self.skipped + self.unknown
    }
}

/// Why a change cannot follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Illegal {
    /// A letter's state does not follow its last one.
    Letter(LetterState, LetterState),
    /// A run's state does not follow its last one.
    Run(RunState, RunState),
    /// Letters are sent only while the run is running, and nothing becomes of them before it has begun.
    Idle(RunState),
    /// The run cannot be done: letters are open or not settled yet.
    Unfinished,
    /// There is nothing to ask about in a run that is done.
    NothingUnknown,
    /// The span has no letters, or more than numbers.
    Unsound,
    /// Only a part of the span is in a state that could change.
    PartlyOpen,
    /// How many letters the span has contradicts what was recorded of it.
    Uncountable,
    /// The run has fewer letters.
    TooMany,
    /// Only what was settled can die again, and only once.
    NotSettled,
}

impl fmt::Display for Illegal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Letter(from, to) => write!(f, "a letter that is {from} cannot become {to}"),
            Self::Run(from, to) => write!(f, "a run that is {from} cannot become {to}"),
            Self::Idle(state) => write!(f, "the run is {state}"),
            Self::Unfinished => f.write_str("the run is not done: letters are open, or their source still has them"),
            Self::NothingUnknown => f.write_str("the run is done, and no letter is unknown"),
            Self::Unsound => f.write_str("a range must have at least one letter, and not more than numbers"),
            Self::PartlyOpen => f.write_str("a part of the range is open"),
            Self::Uncountable => f.write_str("the range has another number of letters than was recorded before"),
            Self::TooMany => f.write_str("the run has fewer letters"),
            Self::NotSettled => f.write_str("only a settled letter can die again, and only once"),
        }
    }
}

/// The state of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    state: RunState,
    total: u64,
    counts: Counts,
    spans: Spans,
    /// Those that died again, kept as settled ones.
    died: Spans,
}

/// How a change is taken back.
#[derive(Debug)]
pub struct Undo {
    state: RunState,
    counts: Counts,
    letters: Option<Replaced>,
    died: Option<Replaced>,
}

impl Run {
    /// A run of this many letters, planned.
    pub fn new(total: u64) -> Self {
        Self { state: RunState::Planned, total, counts: Counts::default(), spans: Spans::default(), died: Spans::default() }
    }

    pub fn state(&self) -> RunState {
        self.state
    }

    pub fn total(&self) -> u64 {
        self.total
    }

    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Letters that are open, without those that may have been sent.
    pub fn open(&self) -> u64 {
        self.total - self.counts.begun()
    }

    /// The state of one letter.
    pub fn letter(&self, lane: u32, number: u64) -> LetterState {
        self.spans.state(lane, number)
    }

    /// What was begun and is not at its end: intent, confirmed and unknown letters, in order.
    pub fn unsettled(&self) -> impl Iterator<Item = (Span, LetterState)> {
        self.spans.iter().filter(|(_, state)| !state.is_final())
    }

    /// Behind the last letter of each lane that was begun or left out. Letters before it may be open again.
    pub fn ends(&self) -> impl Iterator<Item = (u32, u64)> {
        self.spans.ends()
    }

    /// Records what happened.
    ///
    /// # Errors
    /// It cannot follow what was recorded before; nothing was changed.
    pub fn apply(&mut self, change: Change) -> Result<Undo, Illegal> {
        let undo = Undo { state: self.state, counts: self.counts, letters: None, died: None };
        match change {
            Change::Letters(span, to) => Ok(Undo { letters: Some(self.letters(span, to)?), ..undo }),
            Change::DiedAgain(span) => Ok(Undo { died: Some(self.died_again(span)?), ..undo }),
            Change::Run(to) => self.become_state(to).map(|()| undo),
        }
    }

    /// Takes a change back; of several the last one first.
    pub fn undo(&mut self, undo: Undo) {
        (self.state, self.counts) = (undo.state, undo.counts);
        if let Some(replaced) = undo.letters {
            self.spans.put_back(replaced);
        }
        if let Some(replaced) = undo.died {
            self.died.put_back(replaced);
        }
    }

    fn letters(&mut self, span: Span, to: LetterState) -> Result<Replaced, Illegal> {
        if !span.is_sound() {
            return Err(Illegal::Unsound);
        }
        let idle = if to == LetterState::Intent { self.state != RunState::Running } else { self.state == RunState::Planned };
        if idle {
            return Err(Illegal::Idle(self.state));
        }
        let taken = self.spans.take(span).map_err(|untaken| match untaken {
            Untaken::PartlyOpen => Illegal::PartlyOpen,
            Untaken::Uncountable => Illegal::Uncountable,
        })?;
        if let Some((from, _)) = taken.moved.iter().find(|(from, _)| !from.may_become(to)) {
            return Err(Illegal::Letter(*from, to));
        }
        let begun = taken.moved.iter().filter(|(from, _)| *from == LetterState::Open).map(|(_, letters)| *letters).sum::<u64>();
        if begun > self.open() {
            return Err(Illegal::TooMany);
        }
        for (from, letters) in &taken.moved {
            if let Some(count) = self.counts.of(*from) {
                *count -= letters;
            }
            if let Some(count) = self.counts.of(to) {
                *count += letters;
            }
        }
        Ok(self.spans.put(span, to, taken))
    }

    fn died_again(&mut self, span: Span) -> Result<Replaced, Illegal> {
        if !span.is_sound() {
            return Err(Illegal::Unsound);
        }
        let settled = self.spans.around(span, LetterState::Settled).ok_or(Illegal::NotSettled)?;
        let left = self.counts.settled - self.counts.died_again;
        if self.died.touches(span) || span.letters > settled.min(left) {
            return Err(Illegal::NotSettled);
        }
        let taken = self.died.take(span).map_err(|_| Illegal::NotSettled)?;
        self.counts.died_again += span.letters;
        Ok(self.died.put(span, LetterState::Settled, taken))
    }

    fn become_state(&mut self, to: RunState) -> Result<(), Illegal> {
        if !self.state.may_become(to) {
            return Err(Illegal::Run(self.state, to));
        }
        if to == RunState::Done && (self.open() > 0 || self.counts.intent > 0 || self.counts.confirmed > 0) {
            return Err(Illegal::Unfinished);
        }
        if self.state == RunState::Done && self.counts.unknown == 0 {
            return Err(Illegal::NothingUnknown);
        }
        self.state = to;
        Ok(())
    }

    /// The line that `runs` prints of it.
    pub fn summary(&self, run: &str, address: &str, to: &str) -> RunSummary {
        let counts = self.counts;
        RunSummary {
            run: run.into(),
            address: address.into(),
            to: to.into(),
            state: self.state,
            total: self.total,
            settled: counts.settled,
            confirmed: counts.confirmed,
            failed: counts.failed,
            unknown: counts.unknown,
            died_again: counts.died_again,
            skipped: counts.skipped,
            open: self.open() + counts.intent,
        }
    }
}
