//! How signals end a command: the first begins nothing new and lets what changes a system come to its end, the second does not wait.

use crate::support::SOON;
use crate::support::program::files_below;
use crate::support::program::{self, Home};
use crate::support::server::Server;
use crate::support::unique;
use serde_json::Value;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Between two looks at something that is waited for.
const PAUSE: Duration = Duration::from_millis(20);
const PROFILE: &str = "integration \"jobs\" {\n  type = \"memory\"\n  config {\n    topics = \"log:2\"\n  }\n}\n";

fn start(command: &mut Command) -> Child {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs")
}

fn send(signal: &str, id: u32) {
    assert!(Command::new("kill").args([signal, &id.to_string()]).status().expect("kill runs").success());
}

/// Its exit code and what it said. A command that does not end is killed, and has none.
fn ended(mut child: Child) -> (Option<i32>, String) {
    let until = Instant::now() + SOON;
    while child.try_wait().expect("it is ours").is_none() {
        if Instant::now() > until {
            child.kill().expect("it runs");
        }
        std::thread::sleep(PAUSE);
    }
    let output = child.wait_with_output().expect("it has ended");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn what_only_reads_ends_at_the_first_signal_with_success() {
    let Some(server) = Server::shared("redis", "Redis", &[]) else { return };
    let home = Home::new();
    let url = format!("redis://{}", server.fact("ADDRESS"));
    let target = format!("{}/stream:{}", home.integration(&url), unique("signals"));
    let published = home.mqdeck(&["--url", &url, "publish", &target, "1"]).output().expect("it runs");
    assert!(published.status.success(), "{published:?}");
    for signal in ["-INT", "-TERM", "-HUP"] {
        let mut tail = start(&mut home.mqdeck(&["--url", &url, "tail", &target, "--from", "earliest", "--json"]));
        let messages = program::lines(tail.stdout.take().expect("its output"));
        messages.recv_timeout(SOON).expect("a message");
        send(signal, tail.id());
        let (code, said) = ended(tail);
        assert_eq!(code, Some(0), "{signal}: {said}");
    }
}

#[test]
fn a_command_that_waits_for_its_input_ends_without_it() {
    let home = Home::new();
    let profile = home.write("p.hcl", PROFILE);
    let mut publish =
        start(&mut home.mqdeck(&["--profile", profile.to_str().expect("a path"), "publish", "jobs/log", "--lines", "--json"]));
    let mut input = publish.stdin.take().expect("its input");
    let stored = program::lines(publish.stdout.take().expect("its output"));
    input.write_all(b"{\"value\":1}\n").expect("it reads");
    stored.recv_timeout(SOON).expect("stored");
    send("-TERM", publish.id());
    let (code, said) = ended(publish);
    assert!(code.is_some_and(|code| code != 0) && said.contains("1 message published"), "{code:?} {said}");
    drop(input);
}

#[test]
fn the_second_signal_ends_a_change_under_way_and_its_outcome_is_recorded_as_unknown() {
    let Some(server) = Server::own("redis", "Redis", &[]) else { return };
    let (home, name) = (Home::new(), unique("signals"));
    let url = format!("redis://{}", server.fact("ADDRESS"));
    let target = format!("{}/stream:{name}", home.integration(&url));
    let pid = std::fs::read_to_string(Path::new(server.place()).join("n1/pid")).expect("its number").trim().parse().expect("a number");
    let mut publish = start(&mut home.mqdeck(&["--url", &url, "publish", &target, "--lines", "--json"]));
    let mut input = publish.stdin.take().expect("its input");
    let stored = program::lines(publish.stdout.take().expect("its output"));
    input.write_all(b"{\"value\":1}\n").expect("it reads");
    stored.recv_timeout(SOON).expect("stored");
    send("-STOP", pid);
    input.write_all(b"{\"value\":2}\n").expect("it reads");
    // Its intent is written before anything is sent.
    let until = Instant::now() + SOON;
    while entries(&home).iter().filter(|entry| entry["phase"] == "intent").count() < 2 {
        assert!(Instant::now() < until, "no second intent");
        std::thread::sleep(PAUSE);
    }
    // Before that it would not be begun any more.
    let until = Instant::now() + SOON;
    while most_unread(server.fact("ADDRESS")) < 2 * PING {
        assert!(Instant::now() < until, "it was not sent");
        std::thread::sleep(PAUSE);
    }
    // Signals that come close together are one to the kernel: they are sent until the second was heard.
    let until = Instant::now() + SOON;
    while publish.try_wait().expect("it is ours").is_none() && Instant::now() < until {
        let _ = Command::new("kill").args(["-INT", &publish.id().to_string()]).stderr(Stdio::null()).status();
        std::thread::sleep(PAUSE);
    }
    let (code, said) = ended(publish);
    send("-CONT", pid);
    assert_eq!(code, Some(130), "{said}");
    assert!(said.contains("before the outcome of 1 change was known"), "{said}");
    let entries = entries(&home);
    let intent = entries.iter().filter(|entry| entry["phase"] == "intent").nth(1).expect("the second");
    let last = entries.last().expect("an entry");
    assert_eq!((&last["outcome"], &last["of"]), (&"unknown".into(), &intent["n"]), "{last}");
}

/// What the program's own question whether the server is there has in bytes.
const PING: u64 = 32;

/// Bytes that a server at this address has not read of one connection, at most.
fn most_unread(address: &str) -> u64 {
    let port: u16 = address.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
    let table = std::fs::read_to_string("/proc/net/tcp").expect("the table of connections");
    let unread = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let local = fields.get(1)?.rsplit(':').next().and_then(|port| u16::from_str_radix(port, 16).ok())?;
        let (_, received) = fields.get(4)?.split_once(':')?;
        u64::from_str_radix(received, 16).ok().filter(|_| local == port && fields.get(3) == Some(&"01"))
    };
    table.lines().skip(1).filter_map(unread).max().unwrap_or(0)
}

/// The audit log, line by line.
fn entries(home: &Home) -> Vec<Value> {
    let text = files_below(home.path()).into_iter().find(|text| text.contains("\"phase\":\"intent\"")).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}
