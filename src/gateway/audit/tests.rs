//! The audit log: its chain, and what it refuses.

use super::*;
use std::os::unix::fs::PermissionsExt;

fn entry(operation: &'static str, detail: Json) -> Entry {
    let address = "events/or\u{1b}[31mders\u{202e}".parse().expect("an address");
    Entry {
        principal: Arc::new(Principal::local(Some("alice"))),
        profile: "prod".into(),
        operation,
        address: Some(address),
        phase: Phase::Refused,
        detail,
    }
}

/// The lines of the log, after their numbers and hashes were checked against each other.
fn checked(folder: &Path) -> Vec<Json> {
    let text = std::fs::read_to_string(folder.join(FILE)).expect("a log in UTF-8");
    let (mut before, mut number, mut lines) = (sha256(b""), 0, Vec::new());
    for line in text.lines() {
        number += 1;
        if let Ok(read) = serde_json::from_str::<Json>(line) {
            assert_eq!((read["n"].as_u64(), read["prev"].as_str()), (Some(number), Some(before.as_str())), "{line}");
            lines.push(read);
        }
        before = sha256(line.as_bytes());
    }
    lines
}

fn log() -> (tempfile::TempDir, Audit) {
    let folder = tempfile::tempdir().expect("a folder");
    let audit = Audit::within(Some(folder.path().join("state")));
    (folder, audit)
}

#[tokio::test]
async fn a_change_is_written_before_and_after_and_nothing_foreign_stands_in_the_file_as_it_came() {
    let (folder, audit) = log();
    let begun = audit.begin(entry("publish", json!({ "messages": 2 }))).await.expect("written");
    begun.end(Phase::Failed, json!({ "done": 1, "failed": 1 })).await;
    drop(audit.begin(entry("topic.delete", Json::Null)).await.expect("written"));
    let state = folder.path().join("state");
    let lines = checked(&state);
    let told: Vec<_> = lines.iter().map(|line| (line["phase"].as_str(), line["outcome"].as_str(), line["of"].as_u64())).collect();
    let outcome = Some("outcome");
    assert_eq!(
        told,
        [
            (Some("intent"), None, None),
            (outcome, Some("failed"), Some(1)),
            (Some("intent"), None, None),
            (outcome, Some("unknown"), Some(3))
        ]
    );
    assert_eq!((&lines[0]["principal"], &lines[0]["detail"]["messages"]), (&json!("local:alice"), &json!(2)));
    let bytes = std::fs::read(state.join(FILE)).expect("a log");
    assert!(!bytes.contains(&0x1b) && !String::from_utf8_lossy(&bytes).contains('\u{202e}'));
    assert_eq!(lines[0]["address"], json!("events/or\u{1b}[31mders\u{202e}"), "and it reads back");
    let mode = |path: &Path| std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!((mode(&state), mode(&state.join(FILE))), (0o700, 0o600));
}

#[tokio::test]
async fn a_change_whose_intent_cannot_be_written_does_not_begin() {
    let (folder, _) = log();
    std::fs::write(folder.path().join("state"), "a file where the directory should be").expect("written");
    for audit in [Audit::within(Some(folder.path().join("state"))), Audit::within(None)] {
        let fault = audit.begin(entry("publish", Json::Null)).await.err().expect("it cannot be written");
        assert!(fault.kind == Kind::Rejected && fault.to_string().contains("nothing was changed"), "{fault}");
    }
}

#[tokio::test]
async fn several_programs_write_one_chain() {
    let (folder, _) = log();
    let writers = (0..4).map(|_| {
        // As another program would: it shares nothing but the file.
        let audit = Audit::within(Some(folder.path().to_owned()));
        tokio::spawn(async move {
            for _ in 0..25 {
                let begun = audit.begin(entry("publish", Json::Null)).await.expect("written");
                begun.end(Phase::Done, Json::Null).await;
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.expect("it writes");
    }
    assert_eq!(checked(folder.path()).len(), 200);
}

#[tokio::test]
async fn a_line_that_a_killed_program_left_unfinished_stays_and_the_chain_goes_on_behind_it() {
    let (folder, audit) = log();
    let state = folder.path().join("state");
    audit.record(entry("publish", Json::Null)).expect("written");
    let long = "x".repeat(3 * usize::try_from(STEP).expect("small"));
    for torn in ["{\"n\":2,\"ti", long.as_str(), "\u{0}\u{0}"] {
        let mut file = OpenOptions::new().append(true).open(state.join(FILE)).expect("it is there");
        file.write_all(torn.as_bytes()).expect("written");
        audit.record(entry("publish", Json::Null)).expect("written");
    }
    let numbers: Vec<_> = checked(&state).iter().map(|line| line["n"].as_u64().expect("a number")).collect();
    assert_eq!(numbers, [1, 3, 5, 7]);
}

#[tokio::test]
async fn what_is_under_way_when_the_program_is_ended_is_written_as_unknown_once() {
    let (folder, audit) = log();
    let begun = audit.begin(entry("publish", Json::Null)).await.expect("written");
    assert_eq!((audit.give_up(), audit.give_up()), (1, 0));
    begun.end(Phase::Done, Json::Null).await;
    let lines = checked(&folder.path().join("state"));
    assert_eq!(lines.len(), 2);
    assert_eq!((lines[1]["outcome"].as_str(), lines[1]["of"].as_u64()), (Some("unknown"), Some(1)));
}
