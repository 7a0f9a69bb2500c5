//! The journal on a disk that fails: whatever happens, what a sync promised is there afterwards, and nothing that was never appended.

use super::record::{Letters, Record, Step};
use super::simulated_tests::{Failure, Simulated};
use super::tests::header;
use super::{Contents, Journal, JournalError};
use crate::domain::position::Position;
use crate::domain::receipt::Receipt;
use crate::domain::replay::letter::{LetterState, RunState};
use crate::domain::replay::spans::Span;
use crate::domain::time::Timestamp;
use proptest::prelude::*;

const SALT: u64 = 0x5a17;

/// The record that stands at this place in every history: the run begins, then each letter is edited, intended, confirmed and settled.
fn record(index: usize, texts: &str) -> Record<'_> {
    let time = Timestamp(index as i64);
    let Some(index) = index.checked_sub(1) else { return Record::Run { state: RunState::Running, time, reason: "begun" } };
    let number = index as u64 / 4;
    let letters = |state| Letters { attempt: 1, ..Letters::new(Span::one(7, number), Step::To(state), time) };
    match index % 4 {
        0 => Record::edit(7, number, texts.as_bytes()),
        1 => Record::Letters(Letters { source: texts.as_bytes(), ..letters(LetterState::Intent) }),
        2 => {
            let receipt = Some(Receipt::Stored(Position::Sequence(number)));
            Record::Letters(Letters { receipt, reason: texts, ..letters(LetterState::Confirmed) })
        }
        _ => Record::Letters(letters(LetterState::Settled)),
    }
}

/// What may happen next.
#[derive(Clone, Debug)]
enum Action {
    /// So many records are appended.
    Append(usize),
    Sync,
    /// The program is killed, and the run resumed.
    Kill,
    /// The same, and of what was not synced so many thousandths are kept.
    LosePower(usize, Vec<u8>),
    /// The call that comes after so many others fails.
    Fail(usize, Failure),
}

fn actions() -> impl Strategy<Value = Action> {
    let bytes = || 0..90_usize;
    let failure = prop_oneof![
        bytes().prop_map(Failure::Short),
        bytes().prop_map(Failure::NoSpace),
        prop_oneof![Just(0), bytes(), Just(usize::MAX)].prop_map(Failure::Broken),
        Just(Failure::Interrupted),
    ];
    prop_oneof![
        6 => (1..6_usize).prop_map(Action::Append),
        4 => Just(Action::Sync),
        1 => Just(Action::Kill),
        2 => (0..1_001_usize, prop::collection::vec(any::<u8>(), 0..40)).prop_map(|(kept, garbage)| Action::LosePower(kept, garbage)),
        2 => (0..9_usize, failure).prop_map(|(calls, failure)| Action::Fail(calls, failure)),
    ]
}

/// A journal, the disk below it, and what should be there.
struct World {
    disk: Simulated,
    journal: Journal<Simulated>,
    texts: String,
    /// How many records were ever appended, as far as they can still be there, and how many a sync has promised.
    appended: usize,
    promised: usize,
}

impl World {
    fn new(texts: &str) -> Self {
        let disk = Simulated::default();
        let mut storage = disk.clone();
        super::Storage::create(&mut storage).expect("a file");
        let journal = Journal::begin(storage, header(1_000_000), SALT).expect("a journal");
        Self { disk, journal, texts: texts.to_owned(), appended: 0, promised: 0 }
    }

    fn append(&mut self, count: usize) {
        let batch: Vec<_> = (self.appended..self.appended + count).map(|index| record(index, &self.texts)).collect();
        // Of a batch that failed any part may be there.
        self.appended += count;
        let before = self.journal.contents().run.clone();
        if let Err(error) = self.journal.append(&batch) {
            assert_eq!(self.journal.contents().run.counts(), before.counts(), "nothing is counted that may not be there");
            self.expect_given_up(&error);
        }
    }

    fn sync(&mut self) {
        match self.journal.sync() {
            Ok(()) => self.promised = self.appended,
            Err(error) => self.expect_given_up(&error),
        }
    }

    /// A journal that failed does nothing more, for the same cause, until it is opened again.
    fn expect_given_up(&mut self, error: &JournalError) {
        let JournalError::Poisoned(cause) = error else { panic!("{error:?}") };
        self.disk.0.borrow_mut().fails = None;
        let calls = self.disk.0.borrow().calls;
        let next = record(self.appended, &self.texts);
        for result in [self.journal.append(&[next]), self.journal.sync()] {
            assert!(matches!(&result, Err(JournalError::Poisoned(again)) if again == cause), "{result:?}");
        }
        assert_eq!(self.disk.0.borrow().calls, calls, "the file is not touched");
        self.resume();
    }

    /// Opens the journal again; also while the disk fails, and once more when it does not.
    fn resume(&mut self) {
        let first = Journal::reopen(self.disk.clone());
        self.disk.0.borrow_mut().fails = None;
        let journal = first.or_else(|error| {
            assert!(matches!(error, JournalError::Io(..)), "{error:?}");
            Journal::reopen(self.disk.clone())
        });
        self.journal = journal.expect("a journal");
        let mut found = Vec::new();
        let contents = Contents::read(&mut self.disk.clone(), |record| {
            if !matches!(record, Record::Checkpoint { .. }) {
                found.push(format!("{record:?}"));
            }
        });
        let contents = contents.expect("it is read");
        assert_eq!((contents.torn, contents.damage.as_ref()), (None, None), "its end was cut off");
        assert_eq!(contents.run, self.journal.contents().run);
        let expected: Vec<String> = (0..found.len()).map(|index| format!("{:?}", record(index, &self.texts))).collect();
        assert_eq!(found, expected, "nothing but what was appended, in its order");
        assert!(found.len() >= self.promised && found.len() <= self.appended, "{} of {} to {}", found.len(), self.promised, self.appended);
        // Whoever resumes has synced what is there.
        (self.appended, self.promised) = (found.len(), found.len());
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Append(count) => self.append(count),
            Action::Sync => self.sync(),
            Action::Kill => self.resume(),
            Action::LosePower(kept, garbage) => {
                let unsynced = self.disk.0.borrow().unsynced();
                self.disk.0.borrow_mut().lose_power(unsynced * kept / 1_000, &garbage);
                self.resume();
            }
            Action::Fail(calls, failure) => self.disk.0.borrow_mut().fails = Some((calls, failure)),
        }
    }

    /// The power is lost, then everything goes on as usual.
    fn end(mut self) {
        self.act(Action::LosePower(500, vec![0xaa]));
        self.append(5);
        self.sync();
        self.act(Action::LosePower(0, Vec::new()));
        assert_eq!(self.promised, self.appended);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]
    #[test]
    fn what_a_sync_has_promised_is_there_whatever_fails(actions in prop::collection::vec(actions(), 1..60), texts in "[a-zé]{0,30}") {
        let mut world = World::new(&texts);
        for action in actions {
            world.act(action);
        }
        world.end();
    }
}

/// Batches as a run writes them.
fn usual(world: &mut World) {
    for count in [1, 4, 8, 3] {
        world.append(count);
        world.sync();
    }
}

#[test]
fn any_one_call_may_fail_in_any_way() {
    let mut whole = World::new("text");
    let before = whole.disk.0.borrow().calls;
    usual(&mut whole);
    let calls = whole.disk.0.borrow().calls - before;
    assert!(calls >= 8, "{calls}");
    let failures =
        [Failure::Short(0), Failure::Short(5), Failure::NoSpace(0), Failure::NoSpace(30), Failure::Broken(0), Failure::Broken(30)];
    for failure in failures.into_iter().chain([Failure::Interrupted, Failure::Broken(usize::MAX)]) {
        for nth in 0..calls {
            for kept in [0, 300, 1_000] {
                let mut world = World::new("text");
                world.act(Action::Fail(nth, failure));
                usual(&mut world);
                world.act(Action::LosePower(kept, b"garbage".to_vec()));
                world.end();
            }
        }
    }
}

/// Each call of opening a journal again fails in turn, while what a failed sync forgot waits to be written once more.
#[test]
fn any_one_call_of_resuming_may_fail() {
    for kept in [0, 40, usize::MAX] {
        for nth in 0..12 {
            let mut world = World::new("text");
            usual(&mut world);
            world.disk.0.borrow_mut().fails = Some((1, Failure::Broken(kept)));
            world.append(6);
            world.disk.0.borrow_mut().fails = Some((0, Failure::Broken(kept)));
            let failed = world.journal.sync();
            assert!(failed.is_err(), "the sync fails");
            world.act(Action::Fail(nth, Failure::Broken(kept)));
            world.act(Action::Kill);
            world.append(3);
            world.sync();
            world.end();
        }
    }
}

#[test]
fn a_disk_may_be_full_at_any_byte() {
    let mut whole = World::new("text");
    let begun = whole.disk.bytes().len();
    usual(&mut whole);
    for room in begun..=whole.disk.bytes().len() {
        let mut world = World::new("text");
        world.disk.0.borrow_mut().room = Some(room);
        let (mut appended, mut failed) = (0, None);
        for count in [1, 4, 8, 3] {
            let batch: Vec<_> = (appended..appended + count).map(|index| record(index, "text")).collect();
            appended += count;
            world.appended = appended;
            match world.journal.append(&batch).and_then(|()| world.journal.sync()) {
                Ok(()) => world.promised = appended,
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
        let is_full = room < whole.disk.bytes().len();
        assert_eq!(failed.is_some(), is_full, "{failed:?} with {room} bytes");
        assert!(failed.is_none_or(|error| error.fault("replay", std::path::Path::new("r")).to_string().contains("no storage space")));
        world.disk.0.borrow_mut().room = None;
        world.act(Action::Kill);
        world.end();
    }
}

#[test]
fn a_journal_that_was_not_begun_to_its_end_is_no_journal() {
    let disk = Simulated::default();
    let mut storage = disk.clone();
    super::Storage::create(&mut storage).expect("a file");
    Journal::begin(storage, header(10), SALT).expect("a journal");
    let bytes = disk.bytes();
    for kept in 0..bytes.len() {
        let read = Contents::read(&mut Simulated::holding(&bytes[..kept]), |_| {});
        assert!(matches!(read, Err(JournalError::Damaged(ref damage)) if damage.record == 0), "{kept}: {read:?}");
    }
    for nth in 0..4 {
        let disk = Simulated::default();
        let mut storage = disk.clone();
        disk.0.borrow_mut().fails = Some((nth, Failure::Broken(7)));
        let begun = super::Storage::create(&mut storage).map_err(|error| JournalError::Io("", error));
        let begun = begun.and_then(|()| Journal::begin(storage, header(10), SALT));
        assert!(begun.is_err(), "whoever is told that it is there can rely on it");
    }
}
