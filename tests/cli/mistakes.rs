//! What people get wrong, at the command line and in profiles: exit code, one message that names cause and next step, nothing on
//! standard output, nothing done.

use crate::support::program::Home;
use assert_cmd::assert::OutputAssertExt;
use std::io::Write;
use std::net::TcpListener;
use std::process::{Output, Stdio};

/// Nobody listens on the discard port here.
const DEAD: &str = "kafka://127.0.0.1:9";

/// Files that the cases name.
const FILES: &[(&str, &[u8])] = &[
    ("broken.hcl", b"integration \"events\" {\n  type = \"kafak\"\n  endpoint { address = \"localhost\" }\n}\n"),
    ("memory.hcl", b"integration \"a\" {\n  type = \"memory\"\n  config {\n    topics = \"orders:2\"\n  }\n}\n"),
    (
        "variable.hcl",
        b"variable \"cluster\" {\n  default = \"eu\"\n}\nintegration \"a\" {\n  type = \"kafka\"\n  endpoint {\n    address = \"${var.cluster}:9\"\n  }\n}\n",
    ),
    ("twice.hcl", b"integration \"a\" {\n  type = \"memory\"\n}\nintegration \"a\" {\n  type = \"memory\"\n}\n"),
    ("latin.hcl", b"# gr\xfc\xdfe\n"),
    ("empty.hcl", b""),
    ("line.hcl", b"integration \"a\" { type = \"kafka\" endpoint { address = \"one:9092\" } }\n"),
    ("quotes.hcl", b"integration \"a\" {\n  type = \"kafka\"\n  endpoint { address = one:9092 }\n}\n"),
    ("unset.hcl", b"integration \"a\" {\n  type = \"kafka\"\n  endpoint { address = \"${env.NOWHERE}\" }\n}\n"),
    ("unit.hcl", b"integration \"a\" {\n  type = \"kafka\"\n  timeout = 5\n  endpoint { address = \"one:9092\" }\n}\n"),
    ("port.hcl", b"integration \"a\" {\n  type = \"kafka\"\n  endpoint { address = \"one:99999\" }\n}\n"),
    ("slip.tape", b"Tpye \"x\"\n"),
    ("binary", b"\xff\xfe\n"),
];

/// A command line, its exit code, and words of what it says.
type Case = (&'static [&'static str], i32, &'static [&'static str]);

const COMMAND_LINE: &[Case] = &[
    (&["frobnicate"], 2, &["frobnicate", "--help"]),
    (&["tial", "a/b"], 2, &["tial", "'tail'"]),
    (&["--no-such-option"], 2, &["--no-such-option"]),
    (&["--profle", "x", "status"], 2, &["--profle", "'--profile'"]),
    (&["channels"], 2, &["--profile", "--url"]),
    (&["--profile", "memory.hcl", "--url", DEAD, "status"], 2, &["cannot be used with"]),
    (&["tail", "events"], 2, &["events", "INTEGRATION/CHANNEL"]),
    (&["tail", "events/"], 2, &["events/", "INTEGRATION/CHANNEL"]),
    (&["--url", "kafkq://host", "channels"], 2, &["kafka"]),
    (&["--url", "localhost:9092", "channels"], 2, &["not a URL", "kafka://host:9092"]),
    (&["--url", "kafka://127.0.0.1:99999", "channels"], 2, &["65535", "kafka://host:9092"]),
    (&["--url", "kafka://127.0.0.1:9?tsl=on", "channels"], 2, &["tsl", "known:"]),
    (&["--url", DEAD, "--var", "a=1", "status"], 2, &["--var a", "URL", "--profile"]),
    (&["--url", DEAD, "tail", "kafka/orders", "--from", "sometime"], 2, &["sometime", "end-500"]),
    (&["--url", DEAD, "tail", "kafka/orders", "--from", "3h"], 2, &["`3h` is a duration", "`3h ago`"]),
    (&["--url", DEAD, "tail", "kafka/orders", "--from", "latest", "--until", "earliest"], 2, &["latest until earliest", "before"]),
    (&["--url", DEAD, "find", "kafka/orders", "x", "--from", "@9", "--until", "@3"], 2, &["@9 until @3", "before"]),
    (&["--url", DEAD, "tail", "kafka/orders", "--limit", "ten"], 2, &["`ten`", "whole number"]),
    (&["--url", DEAD, "tail", "kafka/orders", "--where", "value.x = 3"], 2, &["column 9", "`==`"]),
    (&["--url", DEAD, "find", "kafka/orders", "value.total > \"a"], 2, &["column 15", "closed"]),
    (&["--url", DEAD, "tail", "elsewhere/orders", "--from", "earliest"], 2, &["elsewhere", "it has: kafka"]),
    (&["--url", DEAD, "publish", "kafka/orders", "x", "--timestamp", "soon"], 2, &["soon", "2026-02-05T10:00Z"]),
    (&["--url", DEAD, "publish", "kafka/orders", "@nowhere"], 2, &["nowhere", "no such file", "check the path"]),
    (&["--url", DEAD, "publish", "kafka/orders", "@."], 2, &["folder", "name a file"]),
    (&["--url", DEAD, "publish", "kafka/orders"], 2, &["standard input", "empty", "--tombstone"]),
    (&["--url", DEAD, "channels"], 4, &["127.0.0.1:9", "refused", "is the broker up"]),
    (&["--url", DEAD, "status"], 4, &[]),
    (&["--url", DEAD, "--read-only", "publish", "kafka/orders", "x"], 3, &["read-only"]),
    (&["--url", "kafka://no-such-host.invalid:9092", "channels"], 4, &["cannot be resolved", "spelling"]),
    (&["--url", DEAD, "--theme", "drak", "play", "slip.tape"], 2, &["slip.tape:1:1", "Tpye", "`Type`"]),
    (&["play", "nowhere.tape"], 2, &["nowhere.tape", "no such file", "check the path"]),
    (&["play", "slip.tape", "--size", "10by5"], 2, &["10by5", "120x40"]),
    (&["completions", "bsh"], 2, &["bsh", "bash"]),
    (&["--url", DEAD], 2, &["terminal", "--help"]),
];

const PROFILES: &[Case] = &[
    (&["--profile", "broken.hcl", "status"], 2, &["broken.hcl:2:", "kafak", "`kafka`"]),
    (&["--profile", "nowhere", "status"], 2, &["nowhere", "mqdeck profile ls"]),
    (&["--profile", "nowhere.hcl", "status"], 2, &["no such file", "check the path"]),
    (&["--profile", "memory", "status"], 2, &["memory", "./memory.hcl"]),
    (&["profile", "show", "nowhere"], 2, &["nowhere", "mqdeck profile ls"]),
    (&["--profile", "./", "status"], 2, &["folder", "name a file"]),
    (&["--profile", "latin.hcl", "status"], 2, &["latin.hcl:1:5", "not UTF-8", "save"]),
    (&["--profile", "empty.hcl", "status"], 2, &["no integration", "integration \"NAME\""]),
    (&["--profile", "twice.hcl", "status"], 2, &["twice.hcl:4:1", "second integration `a`", "a name of its own"]),
    (&["--profile", "line.hcl", "status"], 2, &["line.hcl:1:", "one setting a line"]),
    (&["--profile", "quotes.hcl", "status"], 2, &["quotes.hcl:3:", "texts in quotes"]),
    (&["--profile", "unset.hcl", "status"], 2, &["unset.hcl:3:", "NOWHERE is not set", "set NOWHERE"]),
    (&["--profile", "unit.hcl", "status"], 2, &["unit.hcl:3:", "unit", "\"30s\""]),
    (&["--profile", "port.hcl", "status"], 2, &["port.hcl:3:", "65535"]),
    (&["--profile", "variable.hcl", "--var", "cluster", "status"], 2, &["read --var", "write --var NAME=VALUE"]),
    (&["--profile", "variable.hcl", "--var", "clutser=us", "status"], 2, &["clutser", "`cluster`"]),
    (&["--profile", "memory.hcl", "publish", "a/nowhere", "x"], 1, &["a/nowhere", "spelling"]),
    (&["--profile", "memory.hcl", "publish", "a/orders", "x", "-o", "partiton=1"], 2, &["partiton", "it has: partition"]),
    (&["--profile", "memory.hcl", "publish", "a/orders", "x", "-o", "partition=9"], 1, &["partition 9", "2"]),
    (&["--profile", "memory.hcl", "manage", "topic.crate", "a/x"], 2, &["topic.crate", "did you mean `topic.create`"]),
    (&["--profile", "memory.hcl", "manage", "stream.melt", "a/x"], 2, &["stream.melt", "it has: topic.create"]),
    (&["--profile", "memory.hcl", "manage", "topic.purge", "a"], 2, &["not an address", "INTEGRATION/CHANNEL"]),
    (&["--profile", "memory.hcl", "manage", "topic.create", "a"], 2, &["needs a name", "a/NAME"]),
    (&["--profile", "memory.hcl", "manage", "topic.create", "a/x", "partitions=many"], 2, &["many", "whole number"]),
    (&["--profile", "memory.hcl", "manage", "undo", "nowhere.json"], 2, &["no such file", "check the path"]),
    (&["--profile", "memory.hcl", "groups", "reset", "a/orders", "--group", "g", "--to", "sometime"], 2, &["sometime", "+100"]),
    (&["--profile", "memory.hcl", "--arm", "meow", "status"], 3, &["meow", "its name is memory"]),
];

fn home() -> Home {
    let home = Home::new();
    for (name, bytes) in FILES {
        std::fs::write(home.path().join(name), bytes).expect("a file");
    }
    home
}

/// Runs a command with this on its standard input.
fn fed(home: &Home, arguments: &[&str], input: &[u8]) -> Output {
    let mut command = home.mqdeck(arguments);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program runs");
    // It may have ended before it reads.
    let _ = child.stdin.take().expect("its input").write_all(input);
    child.wait_with_output().expect("it ends")
}

#[test]
fn every_mistake_has_its_exit_code_and_says_what_is_wrong_and_what_to_do() {
    let home = home();
    for (arguments, code, words) in COMMAND_LINE.iter().chain(PROFILES) {
        let done = fed(&home, arguments, b"");
        let said = String::from_utf8_lossy(&done.stderr);
        assert_eq!(done.status.code(), Some(*code), "{arguments:?}: {said}");
        for word in *words {
            assert!(said.contains(word), "{arguments:?} does not say {word:?}: {said}");
        }
        assert!(*code == 4 || done.stdout.is_empty(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stdout));
        for never in ["panicked", "\x1b", "os error"] {
            assert!(!said.contains(never), "{arguments:?}: {said}");
        }
    }
}

#[test]
fn what_comes_on_standard_input_is_told_by_its_line() {
    let home = home();
    for (input, words) in [
        (&b"not json\n"[..], &["line 1", "not a JSON object", "--skip 0"][..]),
        (b"{\"value\":1}\n\xff\n", &["line 2", "not UTF-8", "--skip 1"]),
        (b"{\"value\":1}\n{\"valeu\":2}\n", &["line 2", "valeu", "--skip 1"]),
    ] {
        let done = fed(&home, &["--profile", "memory.hcl", "publish", "a/orders", "--lines"], input);
        let said = String::from_utf8_lossy(&done.stderr);
        assert_eq!(done.status.code(), Some(1), "{said}");
        assert!(words.iter().all(|word| said.contains(word)), "{words:?}: {said}");
    }
}

#[test]
fn a_port_that_answers_in_another_language_or_not_at_all_is_told_from_a_closed_one() {
    let home = home();
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let web = TcpListener::bind("127.0.0.1:0").expect("a port");
    let at = |listener: &TcpListener| listener.local_addr().expect("an address");
    let (silent_at, web_at) = (at(&silent), at(&web));
    // It ends with the process: nobody waits for a listener.
    std::thread::spawn(move || {
        for stream in web.incoming().flatten() {
            let _ = (&stream).write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
        }
    });
    for (url, words) in [
        (format!("kafka://{silent_at}?timeout=1s"), &["was taken", "a Kafka broker's"][..]),
        (format!("kafka://{web_at}?timeout=1s"), &["Kafka"]),
        (format!("kafkas://{web_at}?timeout=1s"), &["not TLS", "remove the tls block"]),
    ] {
        let done = home.mqdeck(&["--url", &url, "channels"]).output().expect("the program runs");
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(!done.status.success() && words.iter().all(|word| said.contains(word)), "{url}: {said}");
    }
}

#[test]
fn an_odd_environment_is_no_reason_to_fail() {
    let home = home();
    let status = || home.mqdeck(&["--profile", "memory.hcl", "status"]);
    for (name, value) in [("HOME", None), ("HOME", Some("/nowhere")), ("XDG_STATE_HOME", Some("/proc/nowhere")), ("NO_COLOR", Some("1"))] {
        let mut command = status();
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name).env_remove("XDG_CONFIG_HOME").env_remove("XDG_STATE_HOME"),
        };
        command.assert().success();
    }
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("Linux has it");
    let said = status().stdout(full).assert().code(1).get_output().stderr.clone();
    assert!(String::from_utf8_lossy(&said).contains("write standard output"), "{}", String::from_utf8_lossy(&said));
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
fn help_and_version_go_to_standard_output() {
    let home = Home::new();
    for (argument, word) in [("--help", "Exit codes"), ("--version", env!("CARGO_PKG_VERSION"))] {
        let done = home.mqdeck(&[argument]).assert().success().get_output().clone();
        assert!(String::from_utf8_lossy(&done.stdout).contains(word), "{argument}");
        assert!(done.stderr.is_empty());
    }
}
