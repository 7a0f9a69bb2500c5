//! The journal on real files: its bytes, its damage, its lock, its folder.

use super::control::{Control, Want, Wanted, ask};
use super::folder::{self, KEPT, expired, holder, remove, runs};
use super::record::{CHECK, HEAD, PREFIX};
use super::simulated_tests::Simulated;
use super::*;
use crate::domain::position::Position;
use crate::domain::receipt::Receipt;
use crate::domain::replay::letter::{LetterState, RunState};
use crate::domain::replay::run::Illegal;
use crate::domain::replay::spans::Span;
use crate::domain::text::SafeText;
use crate::domain::time::Timestamp;
use proptest::prelude::*;
use serde_json::json;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;
use tempfile::TempDir;

pub(super) fn header(total: u64) -> Header {
    Header {
        run: "261201-003339-1a2b".parse().expect("a name"),
        operator: "local:mary".to_owned(),
        profile: "prod-eu".to_owned(),
        plan: Some("0123456789abcdef".to_owned()),
        address: "jobs/queue:mail.dlq".to_owned(),
        to: "jobs/queue:mail".to_owned(),
        selection: json!({ "where": "value.total > 100", "ends": { "3": 1042 } }),
        edit: None,
        pace: Pace { rate: Rate::PerSecond(20.0), window: 256 },
        total,
        time: Timestamp(1_000),
        marked: true,
    }
}

fn this() -> Holder {
    Holder::this("mary", Timestamp(0))
}

fn letter(number: u64, state: LetterState) -> Record<'static> {
    Record::Letters(Letters::new(Span::one(0, number), Step::To(state), Timestamp(2_000)))
}

fn becomes(state: RunState, time: i64) -> Record<'static> {
    Record::Run { state, time: Timestamp(time), reason: "" }
}

/// A journal in a folder of its own, running.
fn begun(total: u64) -> (TempDir, Journal) {
    let folder = TempDir::new().expect("a folder");
    let mut journal = Journal::create(folder.path(), header(total), &this()).expect("a journal");
    journal.append(&[becomes(RunState::Running, 1_500)]).expect("it begins");
    (folder, journal)
}

/// Each kind of record, each receipt.
fn all() -> Vec<Record<'static>> {
    let time = Timestamp(3_000);
    let receipts = [
        None,
        Some(Receipt::Stored(Position::Offset { partition: -1, offset: i64::MAX })),
        Some(Receipt::Stored(Position::Sequence(u64::MAX))),
        Some(Receipt::Stored(Position::Entry { millis: 1_700_000_000_000, number: 3 })),
        Some(Receipt::Stored(Position::Arrival(1))),
        Some(Receipt::Routed),
        Some(Receipt::Accepted),
        Some(Receipt::Handed(2)),
        Some(Receipt::Unconfirmed),
    ];
    let mut records = vec![
        becomes(RunState::Running, 2_000),
        Record::Pace { pace: Pace { rate: Rate::Unlimited, window: 1 }, time },
        Record::Pace { pace: Pace { rate: Rate::PerSecond(0.5), window: u32::MAX }, time },
        Record::edit(9, 1, b""),
        Record::edit(9, 1, b"\0\xff"),
        Record::Letters(Letters::new(Span { lane: 3, start: 100, end: 200, letters: 37 }, Step::To(LetterState::Intent), time)),
    ];
    for (number, receipt) in (0..).zip(receipts) {
        let intent = Letters { attempt: 1, source: b"\0id\xff", ..Letters::new(Span::one(0, number), Step::To(LetterState::Intent), time) };
        records.push(Record::Letters(intent.clone()));
        records.push(Record::Letters(Letters { receipt, reason: "größe", step: Step::To(LetterState::Confirmed), ..intent.clone() }));
        records.push(Record::Letters(Letters { step: Step::To(LetterState::Settled), ..intent }));
    }
    records.push(Record::Letters(Letters::new(Span::all(0, 2, 5), Step::DiedAgain, time)));
    records.push(Record::Run { state: RunState::Stopped, time, reason: "the target is full" });
    records
}

#[test]
fn every_record_is_read_as_it_was_written() {
    let (folder, journal) =
        (TempDir::new().expect("a folder"), |folder: &Path| Journal::create(folder, header(100), &this()).expect("a journal"));
    let mut journal = journal(folder.path());
    let path = folder::journal(folder.path(), &journal.contents().header.run);
    assert_eq!(fs::metadata(&path).expect("a file").permissions().mode() & 0o777, 0o600);
    for batch in all().chunks(5) {
        journal.append(batch).expect("they follow");
        journal.sync().expect("a disk");
    }
    let digest = journal.close().expect("a digest");
    assert_eq!(digest, Sha256::digest(fs::read(&path).expect("a file")).iter().map(|byte| format!("{byte:02x}")).collect::<String>());

    let mut read = Vec::new();
    let contents = Contents::follow(&path, |record| {
        if !matches!(record, Record::Checkpoint { .. }) {
            read.push(format!("{record:?}"));
        }
    });
    let contents = contents.expect("it is read");
    assert_eq!(read, all().iter().map(|record| format!("{record:?}")).collect::<Vec<_>>());
    assert_eq!((&contents.header, contents.torn, contents.damage.as_ref()), (&header(100), None, None));
    assert_eq!(contents.pace, Pace { rate: Rate::PerSecond(0.5), window: u32::MAX });
    assert_eq!((contents.reason.as_str(), contents.changed, contents.ended), ("the target is full", Timestamp(3_000), None));
    let summary = contents.summary();
    assert_eq!((summary.state, summary.settled, summary.died_again, summary.open), (RunState::Stopped, 9, 3, 91));
    assert_eq!(contents.synced, contents.length - 21, "it says itself that all of it was synced");
}

/// The bytes of the documentation, made by a program in another language.
#[test]
fn records_have_the_bytes_that_are_documented() {
    let step = |span, step, time| Letters::new(span, step, Timestamp(time));
    let receipt = Some(Receipt::Stored(Position::Offset { partition: 3, offset: 99 }));
    let confirmed = step(Span::one(3, 1042), Step::To(LetterState::Confirmed), -1);
    let records = [
        Record::Letters(Letters { attempt: 1, source: b"id", receipt, reason: "é", ..confirmed }),
        Record::Letters(step(Span { lane: 3, start: 100, end: 200, letters: 37 }, Step::DiedAgain, 9)),
        Record::Run { state: RunState::Stopped, time: Timestamp(9), reason: "full" },
        Record::Pace { pace: Pace { rate: Rate::PerSecond(0.5), window: 256 }, time: Timestamp(9) },
        Record::edit(3, 1042, b"{}"),
        Record::Checkpoint { synced: 4096 },
    ];
    let documented = [
        "300000000205000000020100030000001204000000000000ffffffffffffffff0200696401030000000000000063000000000000000200c3a9bed4e3f8",
        "2c0000000306000000070000030000006400000000000000c800000000000000250000000000000009000000000000000000000000a3792006",
        "0f0000000407000000030900000000000000040066756c6c61bc1735",
        "1400000005080000000900000000000000000000000000e03f0001000064099fb0",
        "0f0000000609000000030000001204000000000000037b7d04a41080",
        "08000000070a0000000010000000000000199d833b",
    ];
    for ((number, record), documented) in (5..).zip(records).zip(documented) {
        let mut bytes = Vec::new();
        record.encode(number, 0x5a17, &mut bytes);
        assert_eq!(bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>(), documented, "{record:?}");
    }
}

#[test]
fn what_is_not_at_its_end_is_known_after_a_restart() {
    let (folder, mut journal) = begun(1_000);
    let time = Timestamp(5);
    for batch in [0..256, 256..500] {
        let ids: Vec<_> = batch.clone().map(|number| format!("id-{number}")).collect();
        let intents = batch.clone().zip(&ids).map(|(number, id)| {
            let intent = Letters::new(Span::one(0, number), Step::To(LetterState::Intent), time);
            Record::Letters(Letters { source: id.as_bytes(), attempt: 1, ..intent })
        });
        journal.append(&intents.collect::<Vec<_>>()).expect("intents");
        journal.sync().expect("a disk");
        let confirmed = Letters::new(Span::all(0, batch.start, batch.end), Step::To(LetterState::Confirmed), time);
        if batch.start == 0 {
            let settled = Letters { step: Step::To(LetterState::Settled), ..confirmed.clone() };
            journal.append(&[Record::Letters(confirmed), Record::Letters(settled)]).expect("settled");
        }
    }
    journal
        .append(&[letter(300, LetterState::Confirmed), letter(301, LetterState::Unknown), letter(302, LetterState::Open)])
        .expect("they follow");
    let run = header(0).run;
    // The lock ends with the program; here with the journal.
    drop(journal);
    let journal = Journal::resume(folder.path(), &run, &this()).expect("a journal");
    let contents = journal.contents();
    assert_eq!(contents.all_known().count(), 244, "nothing is kept of those that are settled");
    assert_eq!(
        contents.known(0, 302).map(|known| (&*known.source, known.attempt)),
        Some((&b"id-302"[..], 1)),
        "also of one that is open again"
    );
    assert_eq!(
        [255, 256, 300, 301, 302, 499, 500].map(|number| contents.run.letter(0, number).word()),
        ["settled", "intent", "confirmed", "unknown", "open", "intent", "open"]
    );
    assert_eq!(contents.run.ends().collect::<Vec<_>>(), [(0, 500)]);
    assert_eq!(contents.run.unsettled().map(|(span, _)| span.letters).sum::<u64>(), 243);
}

#[test]
fn what_may_not_follow_is_refused_with_its_whole_batch() {
    let (folder, mut journal) = begun(10);
    journal.append(&[letter(1, LetterState::Intent)]).expect("intent");
    journal.sync().expect("a disk");
    let path = folder::journal(folder.path(), &header(0).run);
    let (before, run) = (fs::read(&path).expect("a file"), journal.contents().run.clone());
    let refused = journal.append(&[letter(1, LetterState::Confirmed), letter(2, LetterState::Intent), letter(2, LetterState::Skipped)]);
    assert!(matches!(refused, Err(JournalError::Illegal(2, Illegal::Letter(LetterState::Intent, LetterState::Skipped)))), "{refused:?}");
    let long = [0; 5_000];
    let unfit = [
        Record::Letters(Letters { source: &long, ..Letters::new(Span::one(0, 2), Step::To(LetterState::Intent), Timestamp(0)) }),
        Record::Pace { pace: Pace { rate: Rate::PerSecond(f64::NAN), window: 1 }, time: Timestamp(0) },
        Record::Pace { pace: Pace { rate: Rate::Unlimited, window: 0 }, time: Timestamp(0) },
        Record::Checkpoint { synced: u64::MAX },
    ];
    for record in unfit {
        assert!(matches!(journal.append(std::slice::from_ref(&record)), Err(JournalError::Unfit(_))), "{record:?}");
    }
    assert_eq!((fs::read(&path).expect("a file"), &journal.contents().run), (before, &run), "nothing was changed");
    let reason = "é".repeat(4_000);
    let failed = Letters { reason: &reason, ..Letters::new(Span::one(0, 1), Step::To(LetterState::Failed), Timestamp(0)) };
    journal.append(&[Record::Letters(failed)]).expect("a long reason is cut");
    journal.close().expect("a digest");
    assert_eq!(Contents::open(&path).expect("it is read").summary().failed, 1);
}

#[test]
fn an_edited_message_of_any_length_is_kept() {
    let (folder, mut journal) = begun(10);
    let long: Vec<u8> = (0..3 * 512 * 1024 + 17).map(|index: usize| (index % 251) as u8).collect();
    let edit = |number, bytes| Record::edit(0, number, bytes);
    journal.append(&[edit(1, b"first"), edit(2, &long), edit(3, b"")]).expect("edits");
    journal.append(&[edit(1, b"second"), letter(3, LetterState::Intent)]).expect("edits");
    drop(journal);
    let mut journal = Journal::resume(folder.path(), &header(0).run, &this()).expect("a journal");
    assert_eq!(journal.edit(0, 1).expect("it is read").as_deref(), Some(&b"second"[..]));
    assert!(journal.edit(0, 2).expect("it is read").as_ref() == Some(&long));
    assert_eq!(journal.edit(0, 3).expect("it is read").as_deref(), Some(&b""[..]));
    assert_eq!(journal.edit(0, 4).expect("it is read"), None);
    journal.append(&[letter(3, LetterState::Settled)]).expect("settled");
    assert_eq!(journal.edit(0, 3).expect("it is read"), None, "it is not sent again");

    // The program ends before an edit is written to its end; the next one is in its place.
    journal.append(&[edit(5, &long)]).expect("an edit");
    drop(journal);
    let path = folder::journal(folder.path(), &header(0).run);
    let bytes = fs::read(&path).expect("a file");
    fs::write(&path, &bytes[..bytes.len() - 600 * 1024]).expect("a file");
    let mut journal = Journal::resume(folder.path(), &header(0).run, &this()).expect("a journal");
    assert_eq!(journal.edit(0, 5).expect("it is read"), None);
    journal.append(&[edit(5, b"next")]).expect("an edit");
    for _ in 0..2 {
        assert_eq!(journal.edit(0, 5).expect("it is read").as_deref(), Some(&b"next"[..]));
        drop(journal);
        journal = Journal::resume(folder.path(), &header(0).run, &this()).expect("a journal");
    }
}

/// Where each record begins.
fn offsets(bytes: &[u8]) -> Vec<usize> {
    let (mut at, mut starts) = (PREFIX, Vec::new());
    while let Some(length) = bytes.get(at..at + 4) {
        starts.push(at);
        at += HEAD + u32::from_le_bytes(length.try_into().expect("four bytes")) as usize + CHECK;
    }
    starts
}

#[test]
fn a_changed_byte_is_found_wherever_it_is_and_its_record_named() {
    let (folder, mut journal) = (TempDir::new().expect("a folder"), Vec::new());
    let mut whole = Journal::create(folder.path(), header(100), &this()).expect("a journal");
    for batch in all().chunks(7) {
        whole.append(batch).expect("they follow");
        whole.sync().expect("a disk");
    }
    whole.close().expect("a digest");
    journal.extend(fs::read(folder::journal(folder.path(), &header(0).run)).expect("a file"));
    let starts = offsets(&journal);
    let promised = Contents::read(&mut Simulated::holding(&journal), |_| {}).expect("it is read").summary();
    for offset in 0..journal.len() {
        let record = starts.iter().filter(|start| **start <= offset).count().saturating_sub(1);
        for flip in [0x01, 0x80, 0xff] {
            journal[offset] ^= flip;
            let disk = Simulated::holding(&journal);
            let read = Contents::read(&mut disk.clone(), |_| {});
            let resumed = Journal::reopen(disk.clone()).map(|journal| journal.contents().clone());
            if record == starts.len() - 1 {
                // Behind the last record of all nothing tells a changed byte from a torn end. That record promises nothing.
                let contents = read.expect("it is read");
                assert_eq!(contents.torn.map(|torn| (torn.record, torn.offset)), Some((record as u32, starts[record] as u64)));
                assert_eq!((contents.summary(), resumed.expect("it goes on").summary()), (promised.clone(), promised.clone()));
            } else {
                let expected = (record as u32, if offset < PREFIX { 0 } else { starts[record] as u64 });
                let found = match read {
                    Ok(contents) => contents.damage.map(|damage| (damage.record, damage.offset)),
                    // Salt and magic are known to be right by the first record.
                    Err(JournalError::Damaged(damage)) => Some((damage.record, if offset < PREFIX { 0 } else { damage.offset })),
                    Err(_) => None,
                };
                assert_eq!(found, Some(expected), "byte {offset} changed by {flip:#x}");
                assert!(matches!(resumed, Err(JournalError::Damaged(_))), "it is not resumed");
                assert_eq!(disk.bytes(), journal, "and not touched");
            }
            journal[offset] ^= flip;
        }
    }
}

#[test]
fn whatever_a_file_holds_reading_it_ends() {
    let (folder, mut journal) = begun(100);
    journal.append(&all()[1..]).expect("they follow");
    journal.close().expect("a digest");
    let bytes = fs::read(folder::journal(folder.path(), &header(0).run)).expect("a file");
    // A record in the place of another one, missing, twice.
    let starts = offsets(&bytes);
    let missing = [&bytes[..starts[3]], &bytes[starts[4]..]].concat();
    let twice = [&bytes[..starts[4]], &bytes[starts[3]..]].concat();
    for wrong in [missing, twice] {
        let contents = Contents::read(&mut Simulated::holding(&wrong), |_| {}).expect("its header is right");
        assert!(contents.damage.is_some());
    }
    // A payload that holds a record of another file, cut off.
    let mut journal = Journal::create(&folder.path().join("other"), header(100), &this()).expect("a journal");
    let other = folder::journal(&folder.path().join("other"), &header(0).run);
    let inner = [&[0; 40], &bytes[starts[1]..starts[9]]].concat();
    journal.append(&[Record::edit(0, 0, &inner)]).expect("an edit");
    let outer = fs::read(other).expect("a file");
    let contents = Contents::read(&mut Simulated::holding(&outer[..outer.len() - 1]), |_| {}).expect("it is read");
    assert!(contents.torn.is_some() && contents.damage.is_none(), "what a message says is no record");
}

#[test]
fn a_second_program_is_refused_and_told_who_has_it() {
    let (folder, journal) = begun(10);
    let run = header(0).run;
    let second = Journal::resume(folder.path(), &run, &this());
    let Err(JournalError::Held(who)) = &second else { panic!("{second:?}") };
    assert_eq!(who, &Holder { since: Some(Timestamp(0)), ..this() });
    let host = who.host.clone().expect("a host");
    let message = second.as_ref().err().map(|error| error.fault("resume", folder.path()).cause.to_string());
    let expected = format!("the run is held by process {} of mary on {host} since 1970-01-01T00:00:00.000Z", std::process::id());
    assert_eq!(message, Some(expected));
    assert_eq!(holder(folder.path(), &run).expect("a lock"), Some(who.clone()));
    assert!(matches!(remove(folder.path(), &run, &this()), Err(JournalError::Held(_))));
    assert!(Contents::open(&folder::journal(folder.path(), &run)).is_ok(), "everybody may read it");
    drop(journal);
    assert_eq!(holder(folder.path(), &run).expect("a lock"), None);

    // What a killed program leaves is a line and no lock.
    fs::write(folder::lock(folder.path(), &run), "{\"pid\":1,\"host\":\"gone\"}\n").expect("a line");
    assert_eq!(holder(folder.path(), &run).expect("a lock"), None);
    let journal = Journal::resume(folder.path(), &run, &this()).expect("it is free");
    fs::write(folder::lock(folder.path(), &run), "\0 nonsense \u{1b}[2J").expect("a line");
    assert_eq!(holder(folder.path(), &run).expect("a lock"), Some(Holder::default()), "it is held by somebody");
    fs::write(folder::lock(folder.path(), &run), "{\"user\":\"\\u001b[2J\"}").expect("a line");
    let who = holder(folder.path(), &run).expect("a lock").expect("a holder");
    assert_eq!(who.user, Some(SafeText::new("\u{1b}[2J")));
    drop(journal);
    fs::copy(folder::journal(folder.path(), &run), folder.path().join("copy.journal")).expect("a copy");
    let copy = Journal::resume(folder.path(), &"copy".parse().expect("a name"), &this());
    assert!(matches!(&copy, Err(JournalError::Damaged(damage)) if damage.cause.contains("run 261201-003339-1a2b")), "{copy:?}");
    let missing = Journal::resume(folder.path(), &"nothing".parse().expect("a name"), &this());
    assert!(matches!(&missing, Err(JournalError::Io(_, error)) if error.kind() == io::ErrorKind::NotFound), "{missing:?}");
}

#[test]
fn what_another_program_asks_is_seen_once() {
    let (folder, journal) = begun(10);
    let (folder, run) = (folder.path(), &journal.contents().header.run);
    let want = |want| Wanted { run: Some(want), ..Wanted::default() };
    ask(folder, run, want(Want::Cancel)).expect("asked before it began");
    let mut control = Control::begin(folder, run).expect("a runner");
    assert_eq!(control.poll(), None);
    ask(folder, run, want(Want::Pause)).expect("asked");
    ask(folder, run, Wanted { rate: Some(Rate::PerSecond(20.0)), ..Wanted::default() }).expect("asked");
    let both = Wanted { rate: Some(Rate::PerSecond(20.0)), ..want(Want::Pause) };
    assert_eq!((control.poll(), control.poll()), (Some(both), None), "neither is lost");
    let more = Wanted { run: Some(Want::Resume), rate: Some(Rate::Unlimited), window: Some(5) };
    ask(folder, run, more).expect("asked");
    assert_eq!((control.poll(), control.poll()), (Some(more), None));
    for wrong in [Wanted { window: Some(0), ..more }, Wanted { rate: Some(Rate::PerSecond(-1.0)), ..more }] {
        assert!(ask(folder, run, wrong).is_err(), "{wrong:?}");
    }
    let long = format!("{{\"run\":\"pause\"{}}}", " ".repeat(5_000));
    for nonsense in ["", "{", "[]", "{\"run\":\"explode\"}", "{\"rate\":0}", "{\"window\":4294967296}", "{\"more\":1}", "\0", &long] {
        fs::write(folder::control(folder, run), nonsense).expect("a file");
        assert_eq!(control.poll(), None, "{nonsense}");
    }
    ask(folder, run, want(Want::Cancel)).expect("asked");
    ask(folder, run, want(Want::Resume)).expect("asked");
    assert_eq!(control.poll(), Some(want(Want::Cancel)), "what is to be cancelled stays so");
}

#[test]
fn runs_are_listed_with_what_is_wrong_with_them_and_go_when_they_are_old() {
    let folder = TempDir::new().expect("a folder");
    let folder = folder.path();
    let day = 24 * 3_600 * 1_000;
    assert!(runs(&folder.join("nothing")).expect("no folder").is_empty());
    let make = |name: &str, time: i64, states: &[RunState]| {
        let header = Header { run: name.parse().expect("a name"), time: Timestamp(time), ..header(0) };
        let mut journal = Journal::create(folder, header, &this()).expect("a journal");
        journal.append(&states.iter().map(|state| becomes(*state, time)).collect::<Vec<_>>()).expect("states");
        journal.close().expect("a digest");
    };
    make("later", 2 * day, &[RunState::Running, RunState::Done]);
    make("early", day, &[RunState::Running, RunState::Done]);
    make("stopped", 3 * day, &[RunState::Running, RunState::Stopped]);
    make("damaged", 4 * day, &[RunState::Running, RunState::Done]);
    make("cancelled", 5 * day, &[RunState::Cancelled]);
    fs::write(folder.join("empty.journal"), "").expect("a file");
    fs::write(folder.join("no name.journal"), "").expect("a file");
    let path = folder.join("damaged.journal");
    let mut bytes = fs::read(&path).expect("a file");
    let last = offsets(&bytes)[3] + HEAD;
    bytes[last] ^= 1;
    fs::write(&path, bytes).expect("a file");

    let listed = runs(folder).expect("a folder");
    let names: Vec<_> = listed.iter().map(|one| one.run.as_str()).collect();
    assert_eq!(names, ["empty", "early", "later", "stopped", "damaged", "cancelled"]);
    let states: Vec<_> = listed.iter().map(|one| one.summary.as_ref().map(|summary| summary.state.word())).collect();
    assert_eq!(states, [None, Some("done"), Some("done"), Some("stopped"), Some("running"), Some("cancelled")]);
    let damage: Vec<_> = listed.iter().filter_map(|one| Some((one.run.as_str(), one.damage.as_ref()?.to_string()))).collect();
    assert_eq!(damage[0].0, "empty");
    assert!(damage[1].1.starts_with("record 3 at byte ") && damage.len() == 2, "{damage:?}");

    let now = Timestamp(32 * day);
    let old = |now, kept| expired(folder, now, kept).expect("a folder").iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(old(now, KEPT), ["early"], "later is 30 days old, and not more");
    assert_eq!(old(now, Duration::ZERO), ["early", "later", "cancelled"]);
    assert_eq!(old(Timestamp(i64::MAX), KEPT), ["early", "later", "cancelled"], "never what is not at its end, or cannot be read");
    remove(folder, &"early".parse().expect("a name"), &this()).expect("removed");
    assert_eq!(runs(folder).expect("a folder").len(), 5);
    assert!(!folder.join("early.lock").exists());
}

/// Any figures that a record can have, near their ends too.
fn figures() -> impl Strategy<Value = u64> {
    prop_oneof![0..20_u64, any::<u64>(), Just(u64::MAX), Just(u64::MAX - 1)]
}

proptest! {
    /// Whole records with whatever in them are read without end or panic, and what is counted of them adds up.
    #[test]
    fn no_figure_of_a_record_is_taken_without_sense(
        total in figures(),
        steps in prop::collection::vec((0..2_u32, figures(), figures(), figures(), 0..8_usize), 0..30),
        noise in prop::collection::vec((any::<u8>(), prop::collection::vec(any::<u8>(), 0..60)), 0..3),
    ) {
        let disk = Simulated::default();
        let mut file = disk.clone();
        file.create().expect("a file");
        Journal::begin(file, header(total), 7).expect("a journal");
        let mut bytes = disk.bytes();
        becomes(RunState::Running, i64::MIN).encode(1, 7, &mut bytes);
        let mut number = 2;
        for (lane, start, end, letters, code) in steps {
            let step = LetterState::ALL.get(code).map_or(Step::DiedAgain, |state| Step::To(*state));
            let before = bytes.len();
            Record::Letters(Letters::new(Span { lane, start, end, letters }, step, Timestamp(0))).encode(number, 7, &mut bytes);
            // As a journal would be written: what may not follow is not there.
            match Contents::read(&mut Simulated::holding(&bytes), |_| {}).expect("its header is right").damage {
                None => number += 1,
                Some(damage) => {
                    prop_assert_eq!((damage.record, damage.offset), (number, before as u64));
                    bytes.truncate(before);
                }
            }
        }
        for (kind, payload) in noise {
            frame(kind, number, 7, &mut bytes, |out| out.extend(payload));
            number += 1;
        }
        let summary = Contents::read(&mut Simulated::holding(&bytes), |_| {}).expect("its header is right").summary();
        let parts = [summary.settled, summary.confirmed, summary.failed, summary.unknown, summary.skipped, summary.open];
        prop_assert_eq!(parts.into_iter().map(u128::from).sum::<u128>(), u128::from(total));
    }
}
