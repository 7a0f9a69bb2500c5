//! What `receive`, `peek`, `rpc call`, `follow` and a fanout do, on a system in memory.

use crate::support::program::Home;
use serde_json::Value;
use std::process::{Output, Stdio};

const PROFILE: &str = r#"
integration "jobs" {
  type = "memory"
  config {
    queues   = "tasks:5"
    services = "echo"
    topics   = "log:2"
    patience = "30"
  }
}
integration "copy" {
  type         = "memory"
  topic_prefix = "prod"
  config { topics = "prod.log, prod.only, other" }
}
integration "both" {
  type    = "fanout"
  targets = ["jobs", "copy"]
}
"#;

/// Runs a command with an input that is no terminal.
fn run(arguments: &[&str]) -> Output {
    let home = Home::new();
    let profile = home.write("p.hcl", PROFILE);
    let all = [&["--profile", profile.to_str().expect("a path")], arguments].concat();
    home.mqdeck(&all).stdin(Stdio::null()).output().expect("the program runs")
}

/// What it printed, what it said, and its exit code.
fn done(arguments: &[&str]) -> (Vec<String>, String, i32) {
    let output = run(arguments);
    let lines = String::from_utf8(output.stdout).expect("text").lines().map(str::to_owned).collect();
    (lines, String::from_utf8(output.stderr).expect("text"), output.status.code().expect("a code"))
}

fn values(lines: &[String]) -> Vec<Value> {
    lines.iter().map(|line| serde_json::from_str::<Value>(line).expect("a line of JSON")["value"].clone()).collect()
}

#[test]
fn without_a_terminal_and_a_decision_messages_are_shown_and_all_go_back() {
    let (lines, said, code) = done(&["receive", "jobs/tasks", "--limit", "3"]);
    assert_eq!(values(&lines).iter().map(|value| value["task"].as_u64()).collect::<Vec<_>>(), [Some(1), Some(2), Some(3)]);
    assert!(said.contains("3 received; 3 unsettled messages: each goes back to the head of the queue"), "{said}");
    assert_eq!(code, 0);
}

#[test]
fn a_decision_is_carried_out_on_each_message_and_on_no_more_than_was_asked_for() {
    for flags in [&["--ack"][..], &["--nack", "delay=5"], &["--reject", "reason=broken"]] {
        let (lines, said, code) = done(&[&["receive", "jobs/tasks", "--limit", "2"], flags].concat());
        assert_eq!((lines.len(), code), (2, 0), "{said}");
        assert!(said.contains("2 received, 2 settled; nothing was left unsettled"), "{said}");
    }
}

#[test]
fn a_mistake_is_found_before_anything_is_taken() {
    for (arguments, code, word) in [
        (&["receive", "jobs/tasks", "--reject", "why=1"][..], 2, "reject has no field `why`: it has reason"),
        (&["receive", "jobs/tasks", "--requeue", "delay=soon"], 2, "is not a whole number"),
        (&["receive", "jobs/tasks", "reason=1"], 2, "a field belongs to a decision"),
        (&["receive", "jobs/log", "--wait", "100ms"], 2, "a topic cannot do that"),
        (&["receive", "jobs/tasks", "--read-only"], 3, "open for reading only"),
        (&["rpc", "call", "jobs/echo", "x", "--read-only"], 3, "open for reading only"),
        (&["rpc", "call", "jobs/log", "x"], 2, "a topic cannot do that"),
        (&["rpc", "call", "jobs/echo", "x", "-H", "replies=0", "--timeout", "1s"], 4, "nobody answered within 1 s"),
        (&["peek", "jobs/tasks"], 2, "add --yes to agree to it"),
        (&["publish", "jobs/log", "--template", "nothing"], 2, "incident.created"),
    ] {
        let (lines, said, got) = done(arguments);
        assert!(lines.is_empty() && got == code && said.contains(word), "{arguments:?}: {got} {said}");
    }
}

#[test]
fn looking_says_its_price_first_and_leaves_the_messages() {
    let (lines, said, code) = done(&["peek", "jobs/tasks", "--limit", "2", "--yes", "--json"]);
    assert_eq!((values(&lines).len(), code), (2, 0));
    assert!(said.starts_with("mqdeck: looking leaves marks: "), "{said}");
    assert!(said.contains("2 looked at and given back; ready before: 5, after: 5"), "{said}");
}

#[test]
fn replies_are_lines() {
    let (lines, _, code) = done(&["rpc", "call", "jobs/echo", r#"{"sku":1}"#, "-H", "replies=3", "--json"]);
    assert_eq!((values(&lines).len(), code), (3, 0));
    assert_eq!(values(&lines)[2], serde_json::json!({ "sku": 1 }));
}

#[test]
fn a_fanout_says_each_outcome_and_is_no_success_if_one_failed() {
    let (lines, said, code) = done(&["publish", "both/log", "--template", "incident.resolved"]);
    assert_eq!(code, 0, "{said}");
    assert!(lines[0].starts_with("both/log → jobs: stored at ") && lines[1].starts_with("both/log → copy: stored at "), "{lines:?}");
    let (lines, said, code) = done(&["publish", "both/only", "x", "--json"]);
    let outcomes: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!((outcomes.len(), code), (2, 1));
    assert!(outcomes[0]["error"].is_string() && outcomes[1]["error"].is_null(), "{outcomes:?}");
    assert!(said.contains("only 1 of 2 took it"), "{said}");
}

#[test]
fn an_id_is_followed_and_what_cannot_be_looked_at_is_said() {
    let (lines, said, code) = done(&["follow", "req-1", "--json"]);
    assert_eq!((lines.len(), code), (0, 0), "{said}");
    assert!(said.contains("following correlation id req-1, trace id req-1, message id req-1"), "{said}");
    assert!(said.contains("not looked at: jobs/tasks: it is a queue"), "{said}");
    assert!(said.contains("not looked at: jobs/echo: nothing can be read there"), "{said}");
    assert!(said.contains("0 found in 4 channels"), "{said}");
}
