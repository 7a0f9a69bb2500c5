//! What is wrong with a command line, and what cannot be reached: exit code, one line that says why, nothing on standard output.

use crate::support::program::Home;
use assert_cmd::assert::OutputAssertExt;

/// Nobody listens on the discard port here.
const DEAD: &str = "kafka://127.0.0.1:9";

#[test]
fn every_mistake_has_its_exit_code_and_says_what_is_wrong() {
    let home = Home::new();
    home.write("broken.hcl", "integration \"events\" {\n  type = \"kafak\"\n  endpoint { address = \"localhost\" }\n}\n");
    let cases: &[(&[&str], i32, &[&str])] = &[
        (&["frobnicate"], 2, &["frobnicate"]),
        (&["--no-such-option"], 2, &["--no-such-option"]),
        (&["channels"], 2, &["--profile", "--url"]),
        (&["tail", "events"], 2, &["events", "INTEGRATION/CHANNEL"]),
        (&["--url", "kafkq://host", "channels"], 2, &["kafka"]),
        (&["--profile", "broken.hcl", "status"], 2, &["broken.hcl:2:", "kafak"]),
        (&["--profile", "nowhere", "status"], 2, &["nowhere"]),
        (&["--url", DEAD, "tail", "127.0.0.1/orders", "--from", "sometime"], 2, &["sometime", "end-500"]),
        (&["--url", DEAD, "tail", "elsewhere/orders", "--from", "earliest"], 2, &["elsewhere"]),
        (&["--url", DEAD, "channels"], 4, &["127.0.0.1:9", "refused"]),
        (&["--url", DEAD, "status"], 4, &[]),
        (&["--url", DEAD, "--read-only", "publish", "127.0.0.1/orders", "x"], 3, &["read-only"]),
    ];
    for (arguments, code, words) in cases {
        let done = home.mqdeck(arguments).output().expect("the program runs");
        let said = String::from_utf8_lossy(&done.stderr);
        assert_eq!(done.status.code(), Some(*code), "{arguments:?}: {said}");
        for word in *words {
            assert!(said.contains(word), "{arguments:?} does not say {word:?}: {said}");
        }
        assert!(*code == 4 || done.stdout.is_empty(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stdout));
        assert!(!said.contains("panicked") && !said.contains('\x1b'), "{arguments:?}: {said}");
    }
}

#[test]
fn a_password_is_in_no_message() {
    let home = Home::new();
    for arguments in
        [["--url", "kafka://alice:hunter2@127.0.0.1:9", "channels"], ["--url", "kafkax://alice:hunter2@127.0.0.1:9", "channels"]]
    {
        let done = home.mqdeck(&arguments).output().expect("the program runs");
        let all = [done.stdout, done.stderr].concat();
        assert!(!String::from_utf8_lossy(&all).contains("hunter2"), "{arguments:?}");
    }
    let log = crate::support::program::files_below(home.path());
    assert!(log.iter().all(|text| !text.contains("hunter2")), "the password is in a file");
}

#[test]
fn the_console_needs_a_terminal() {
    let home = Home::new();
    let said = home.mqdeck(&["--url", DEAD]).assert().failure().code(2).get_output().stderr.clone();
    assert!(String::from_utf8_lossy(&said).contains("terminal"));
}

#[test]
fn help_and_version_go_to_standard_output() {
    let home = Home::new();
    for (argument, word) in [("--help", "Exit codes"), ("--version", env!("CARGO_PKG_VERSION"))] {
        let done = home.mqdeck(&[argument]).assert().success().get_output().clone();
        assert!(String::from_utf8_lossy(&done.stdout).contains(word), "{argument}");
        assert!(done.stderr.is_empty());
    }
}
