//! The state machine of a run beside a simple model of it: a map of letters.

use super::letter::{LetterState, RunState};
use super::run::{Change, Illegal, Run};
use super::spans::Span;
use super::{id::ReplayId, id::RunId};
use crate::domain::time::Timestamp;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// Numbers of a lane that are looked at.
const NUMBERS: u64 = 24;

#[test]
fn the_tables_are_in_the_order_of_the_states() {
    for (index, state) in LetterState::ALL.into_iter().enumerate() {
        assert_eq!(state as usize, index);
    }
    for (index, state) in RunState::ALL.into_iter().enumerate() {
        assert_eq!(state as usize, index);
    }
    let next =
        |state: LetterState| LetterState::ALL.into_iter().filter(|next| state.may_become(*next)).map(LetterState::word).collect::<Vec<_>>();
    assert_eq!(next(LetterState::Open), ["intent", "failed", "skipped"]);
    assert_eq!(next(LetterState::Intent), ["open", "confirmed", "settled", "failed", "unknown"]);
    assert_eq!(next(LetterState::Confirmed), ["settled"], "what is confirmed is never sent again");
    assert_eq!(next(LetterState::Unknown), ["open", "intent", "confirmed", "settled"]);
    let last = LetterState::ALL.into_iter().filter(|state| state.is_final()).map(LetterState::word).collect::<Vec<_>>();
    assert_eq!(last, ["settled", "failed", "skipped"]);
}

fn running(total: u64) -> Run {
    let mut run = Run::new(total);
    run.apply(Change::Run(RunState::Running)).expect("it begins");
    run
}

fn to(run: &mut Run, span: Span, state: LetterState) -> Result<(), Illegal> {
    run.apply(Change::Letters(span, state)).map(drop)
}

#[test]
fn a_run_is_done_when_every_letter_is_dealt_with() {
    let mut run = Run::new(3);
    assert_eq!(to(&mut run, Span::one(0, 0), LetterState::Intent), Err(Illegal::Idle(RunState::Planned)));
    let done = Change::Run(RunState::Done);
    assert_eq!(run.apply(done).map(drop), Err(Illegal::Run(RunState::Planned, RunState::Done)));
    let mut run = running(3);
    to(&mut run, Span::all(0, 0, 3), LetterState::Intent).expect("intent");
    to(&mut run, Span::all(0, 0, 2), LetterState::Confirmed).expect("confirmed");
    to(&mut run, Span::one(0, 2), LetterState::Unknown).expect("unknown");
    assert_eq!(run.apply(done).map(drop), Err(Illegal::Unfinished));
    to(&mut run, Span::all(0, 0, 2), LetterState::Settled).expect("settled");
    run.apply(done).expect("done");
    let line = "{\"run\":\"r\",\"address\":\"a/b\",\"to\":\"a/c\",\"state\":\"done\",\"total\":3,\"settled\":2,\"confirmed\":0,\"failed\":0,\"unknown\":1,\"died_again\":0,\"skipped\":0,\"open\":0}";
    assert_eq!(run.summary("r", "a/b", "a/c").json().to_string(), line);
    assert_eq!(to(&mut run, Span::one(0, 2), LetterState::Intent), Err(Illegal::Idle(RunState::Done)));
    run.apply(Change::Run(RunState::Running)).expect("there is something to ask about");
    to(&mut run, Span::one(0, 2), LetterState::Settled).expect("asked");
    run.apply(done).expect("done");
    assert_eq!(run.apply(Change::Run(RunState::Running)).map(drop), Err(Illegal::NothingUnknown));
    assert!(run.summary("r", "a/b", "a/c").is_success());
    run.apply(Change::DiedAgain(Span::one(0, 1))).expect("a settled letter dies again");
    assert_eq!(run.apply(Change::DiedAgain(Span::all(0, 0, 2))).map(drop), Err(Illegal::NotSettled), "only once");
    let summary = run.summary("r", "a/b", "a/c");
    assert!(summary.died_again == 1 && summary.settled == 3 && !summary.is_success());
}

#[test]
fn a_range_of_a_log_has_fewer_letters_than_numbers_and_is_divided_only_where_that_is_certain() {
    let mut run = running(100);
    let range = |start, end, letters| Span { lane: 3, start, end, letters };
    to(&mut run, range(100, 200, 37), LetterState::Intent).expect("intent");
    assert_eq!(to(&mut run, range(100, 200, 36), LetterState::Settled), Err(Illegal::Uncountable));
    assert_eq!(to(&mut run, range(120, 130, 5), LetterState::Unknown), Err(Illegal::Uncountable), "how many are on which side?");
    assert_eq!(to(&mut run, range(150, 250, 5), LetterState::Unknown), Err(Illegal::PartlyOpen));
    assert_eq!(to(&mut run, range(100, 199, 35), LetterState::Unknown), Err(Illegal::Uncountable), "one number has no room for two");
    to(&mut run, range(100, 150, 20), LetterState::Settled).expect("its beginning");
    to(&mut run, range(190, 200, 1), LetterState::Unknown).expect("its end");
    to(&mut run, range(150, 190, 16), LetterState::Open).expect("the transaction was aborted");
    to(&mut run, range(150, 160, 10), LetterState::Intent).expect("intent");
    to(&mut run, range(155, 156, 1), LetterState::Failed).expect("out of the middle, because each number is a letter");
    let counts = run.counts();
    assert_eq!((counts.settled, counts.unknown, counts.intent, counts.failed, run.open()), (20, 1, 9, 1, 69));
    assert_eq!(
        [(3, 120), (3, 155), (3, 157), (3, 170), (3, 195), (2, 120)].map(|(lane, number)| run.letter(lane, number).word()),
        ["settled", "failed", "intent", "open", "unknown", "open"]
    );
    assert_eq!(run.unsettled().map(|(span, _)| (span.start, span.letters)).collect::<Vec<_>>(), [(150, 5), (156, 4), (190, 1)]);
    assert_eq!(run.ends().collect::<Vec<_>>(), [(3, 200)]);
    assert_eq!(to(&mut run, range(200, 300, 70), LetterState::Skipped), Err(Illegal::TooMany));
    assert_eq!(to(&mut run, range(200, 210, 11), LetterState::Skipped), Err(Illegal::Unsound));
    assert_eq!(to(&mut run, Span::one(0, u64::MAX), LetterState::Skipped), Err(Illegal::Unsound));
}

#[test]
fn what_is_at_its_end_takes_no_room() {
    let mut run = running(1_000);
    for number in 0..1_000 {
        to(&mut run, Span::one(0, number), LetterState::Intent).expect("intent");
        to(&mut run, Span::one(0, number), LetterState::Settled).expect("settled");
    }
    let mut at_once = running(1_000);
    to(&mut at_once, Span::all(0, 0, 1_000), LetterState::Intent).expect("intent");
    to(&mut at_once, Span::all(0, 0, 1_000), LetterState::Settled).expect("settled");
    assert_eq!(run, at_once);
}

#[test]
fn names_of_runs_and_marks_are_read_as_they_are_written() {
    let run = RunId::new(Timestamp(1_796_085_219_000), 0x1a2b);
    assert_eq!(run.to_string(), "261201-003339-1a2b");
    assert_eq!(run.to_string().parse(), Ok(run.clone()));
    let mark = ReplayId { run, lane: 3, number: 1042, attempt: 1 };
    assert_eq!(mark.to_string(), "261201-003339-1a2b/3@1042/1");
    assert_eq!(mark.to_string().parse(), Ok(mark));
    for wrong in ["", "../etc", "A", "-x", "a b", "a.b", &"a".repeat(41)] {
        assert!(wrong.parse::<RunId>().is_err(), "{wrong}");
    }
    for wrong in ["r", "r/1", "r/1@2", "r/1@2/x", "/1@2/3", "r/1@2/3/4", "r/-1@2/3"] {
        assert!(wrong.parse::<ReplayId>().is_err(), "{wrong}");
    }
}

/// A run as a map: what each letter of two lanes is, and which died again.
#[derive(Clone, Debug)]
struct Simple {
    state: RunState,
    total: usize,
    letters: BTreeMap<(u32, u64), LetterState>,
    died: BTreeSet<(u32, u64)>,
}

impl Simple {
    fn count(&self, state: LetterState) -> usize {
        self.letters.values().filter(|one| **one == state).count()
    }

    fn may(&self, change: Change) -> bool {
        let numbers = |span: Span| (span.start..span.end).map(move |number| (span.lane, number));
        let state = |letter| self.letters.get(&letter).copied().unwrap_or(LetterState::Open);
        match change {
            Change::Run(to) => {
                let left = self.total - self.letters.len() + self.count(LetterState::Intent) + self.count(LetterState::Confirmed);
                let unfinished = to == RunState::Done && left > 0;
                let nothing = self.state == RunState::Done && self.count(LetterState::Unknown) == 0;
                self.state.may_become(to) && !unfinished && !nothing
            }
            Change::DiedAgain(span) => {
                span.start < span.end && numbers(span).all(|letter| state(letter) == LetterState::Settled && !self.died.contains(&letter))
            }
            Change::Letters(span, to) => {
                let idle = if to == LetterState::Intent { self.state != RunState::Running } else { self.state == RunState::Planned };
                let open = numbers(span).filter(|letter| state(*letter) == LetterState::Open).count();
                // What is open and what is not are not changed at once.
                let alike = open == 0 || open as u64 == span.end - span.start;
                let room = self.letters.len() + open <= self.total;
                !idle && span.start < span.end && alike && room && numbers(span).all(|letter| state(letter).may_become(to))
            }
        }
    }

    fn apply(&mut self, change: Change) {
        let numbers = |span: Span| (span.start..span.end).map(move |number| (span.lane, number));
        match change {
            Change::Run(to) => self.state = to,
            Change::DiedAgain(span) => self.died.extend(numbers(span)),
            Change::Letters(span, LetterState::Open) => {
                self.letters.retain(|(lane, number), _| *lane != span.lane || *number < span.start || *number >= span.end);
            }
            Change::Letters(span, to) => self.letters.extend(numbers(span).map(|letter| (letter, to))),
        }
    }
}

fn changes() -> impl Strategy<Value = Change> {
    let span = (0..2_u32, 0..NUMBERS, 0..5_u64).prop_map(|(lane, start, letters)| Span::all(lane, start, start + letters));
    let state = prop::sample::select(LetterState::ALL.to_vec());
    // What a run does comes more often than what it may not.
    let usual = prop::sample::select(vec![LetterState::Intent, LetterState::Confirmed, LetterState::Settled]);
    prop_oneof![
        6 => (span.clone(), usual).prop_map(|(span, to)| Change::Letters(span, to)),
        4 => (span.clone(), state).prop_map(|(span, to)| Change::Letters(span, to)),
        1 => span.prop_map(Change::DiedAgain),
        1 => prop::sample::select(RunState::ALL.to_vec()).prop_map(Change::Run),
        2 => Just(Change::Run(RunState::Running)),
    ]
}

proptest! {
    #[test]
    fn counts_add_up_and_what_may_not_follow_changes_nothing(changes in prop::collection::vec(changes(), 0..120), total in 0..60_usize) {
        let mut run = Run::new(total as u64);
        let mut model = Simple { state: RunState::Planned, total, letters: BTreeMap::new(), died: BTreeSet::new() };
        for change in changes {
            let before = run.clone();
            match run.apply(change) {
                Ok(undo) => {
                    prop_assert!(model.may(change), "{:?} in {:?}", change, model);
                    let after = run.clone();
                    run.undo(undo);
                    prop_assert_eq!(run.counts(), before.counts());
                    prop_assert!(run.unsettled().eq(before.unsettled()) && run.state() == before.state(), "it is taken back");
                    let again = run.apply(change);
                    prop_assert!(again.is_ok() && run == after, "it follows again");
                    model.apply(change);
                }
                Err(illegal) => {
                    prop_assert!(!model.may(change), "{:?} of {:?} in {:?}", illegal, change, model);
                    prop_assert!(run == before);
                }
            }
            let summary = run.summary("r", "a/b", "a/c");
            let sum = summary.settled + summary.confirmed + summary.failed + summary.unknown + summary.skipped + summary.open;
            prop_assert_eq!(sum, summary.total);
            prop_assert!(summary.died_again <= summary.settled);
            let count = |state| model.count(state) as u64;
            let expected = [LetterState::Settled, LetterState::Confirmed, LetterState::Failed, LetterState::Unknown, LetterState::Skipped];
            prop_assert_eq!([summary.settled, summary.confirmed, summary.failed, summary.unknown, summary.skipped], expected.map(count));
            prop_assert_eq!((summary.died_again, summary.state), (model.died.len() as u64, model.state));
        }
        for lane in 0..2 {
            for number in 0..NUMBERS + 5 {
                let expected = model.letters.get(&(lane, number)).copied().unwrap_or(LetterState::Open);
                prop_assert_eq!(run.letter(lane, number), expected);
            }
        }
    }

    /// Whatever is recorded of ranges with gaps in them, the sum is the total.
    #[test]
    fn sparse_ranges_add_up_too(
        changes in prop::collection::vec((0..40_u64, 1..12_u64, 0..12_u64, prop::sample::select(LetterState::ALL.to_vec())), 0..200),
    ) {
        let mut run = running(40);
        for (start, length, letters, state) in changes {
            let before = run.clone();
            let change = Change::Letters(Span { lane: 0, start, end: start + length, letters }, state);
            if run.apply(change).is_err() {
                prop_assert!(run == before);
            }
            let unsettled: u64 = run.unsettled().map(|(span, _)| span.letters).sum();
            let counts = run.counts();
            prop_assert_eq!(unsettled, counts.intent + counts.confirmed + counts.unknown);
            prop_assert!(run.unsettled().all(|(span, _)| span.letters >= 1 && span.letters <= span.end - span.start));
            prop_assert_eq!(unsettled + counts.settled + counts.failed + counts.skipped + run.open(), 40);
        }
    }
}
