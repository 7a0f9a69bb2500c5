//! What every command does when its caller may do nothing: the table of commands is gone through, so that none can be forgotten.

use super::*;
use crate::domain::address::Address;
use crate::domain::operation::OperationSpec;
use crate::domain::principal::Principal;
use crate::domain::text::SafeText;
use crate::gateway::guard::{Caller, Policy};
use clap::CommandFactory;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio_util::sync::CancellationToken;

const PROFILE: &str = r#"
integration "jobs" {
  type = "memory"
  config {
    topics = "hidden:1"
    queues = "tasks:3"
    services = "echo"
  }
}
"#;

/// Denies everything, and counts what it was asked.
#[derive(Default)]
struct DenyAll(AtomicU32);

impl Policy for DenyAll {
    fn permits(&self, _: &Principal, _: &OperationSpec, _: &Address) -> Result<(), SafeText> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Err("the test denies everything".into())
    }
}

/// The command lines of each command that asks a system something.
fn lines(command: &str) -> &'static [&'static [&'static str]] {
    match command {
        "status" => &[&[]],
        "channels" => &[&[], &["jobs"], &["jobs/hidden"]],
        "tail" => &[&["jobs/hidden"], &["jobs/hidden", "--from", "earliest", "--until", "latest"]],
        "lag" => &[&[], &["jobs"], &["jobs/group"]],
        "find" => &[&["jobs/hidden", "x"]],
        "follow" | "dlq show" => &[&["jobs/hidden#0@1"]],
        "publish" => &[&["jobs/hidden", "data"]],
        "receive" => &[&["jobs/tasks"], &["jobs/tasks", "--ack"]],
        "dlq ls" | "dlq channels" | "dlq audit" => &[&[], &["jobs"]],
        "dlq groups" => &[&["jobs/hidden"], &["jobs/hidden", "jobs/tasks", "--look"]],
        "peek" => &[&["jobs/tasks", "--yes"]],
        "rpc call" => &[&["jobs/echo", "data"]],
        "groups reset" => &[&["jobs", "--group", "g", "--to", "earliest"], &["jobs", "--group", "g", "--to", "earliest", "--execute"]],
        "manage" => &[&["topic.purge", "jobs/hidden", "--plan"], &["topic.purge", "jobs/hidden", "--yes"]],
        // They ask no system: files, and what the program itself knows. The console is looked at by a tape.
        "demo" | "groups undo" | "play" | "completions" | "man" | "help" => &[],
        profile if profile.starts_with("profile ") => &[],
        other => panic!("`{other}` is a new command: say here how it is called"),
    }
}

/// The commands that have none below them, by their words.
fn leaves(command: &clap::Command, words: &str, found: &mut Vec<String>) {
    for below in command.get_subcommands() {
        let words = format!("{words} {}", below.get_name());
        if below.has_subcommands() { leaves(below, &words, found) } else { found.push(words.trim().to_owned()) }
    }
}

fn denied(profile: &Path, words: &[&str]) -> (Cli, Arc<DenyAll>) {
    let profile = profile.to_str().expect("a path in UTF-8");
    let mut cli = Cli::try_parse_from([&["mqdeck", "--profile", profile], words].concat()).unwrap_or_else(|error| panic!("{error}"));
    let policy = Arc::new(DenyAll::default());
    cli.connection.access.caller = Caller::new(Principal::local(Some("alice")), policy.clone(), CancellationToken::new());
    (cli, policy)
}

#[tokio::test]
async fn no_command_gets_past_a_policy_that_denies_and_each_says_so_with_exit_code_3() {
    let folder = tempfile::tempdir().expect("a folder");
    let profile = folder.path().join("test.hcl");
    std::fs::write(&profile, PROFILE).expect("written");
    let mut commands = Vec::new();
    leaves(&Cli::command(), "", &mut commands);
    assert!(commands.len() > 15, "{commands:?}");
    for command in &commands {
        for line in lines(command) {
            let words: Vec<&str> = command.split(' ').chain(line.iter().copied()).collect();
            let (cli, policy) = denied(&profile, &words);
            let code = match run(cli).await {
                Ok(code) => code,
                Err(error) => {
                    let fault = error.downcast_ref::<Fault>().unwrap_or_else(|| panic!("{words:?}: {error}"));
                    assert!(fault.to_string().contains("local:alice is not permitted to "), "{words:?}: {fault}");
                    report(&error)
                }
            };
            assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::from(3)), "{words:?}");
            assert!(policy.0.load(Ordering::Relaxed) > 0, "{words:?} asked for no permission");
        }
    }
}

#[tokio::test]
async fn no_screen_and_no_key_of_the_console_gets_past_a_policy_that_denies() {
    let folder = tempfile::tempdir().expect("a folder");
    let profile = folder.path().join("test.hcl");
    std::fs::write(&profile, PROFILE).expect("written");
    let tape = folder.path().join("denied.tape");
    let keys: String = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "0", "@", "x", "O", "o", "y", "t", "m"]
        .iter()
        .map(|key| format!("Type \"{key}\"\nSleep 200ms\nScreenshot key-{}\nEscape\n", key.replace('@', "at")))
        .collect();
    let opened = "Type \":\"\nSleep 100ms\nType \"jobs/hidden\"\nEnter\nSleep 500ms\nScreenshot opened\n";
    std::fs::write(&tape, format!("Set Width 120\nSet Height 40\nSleep 1s\nScreenshot start\n{opened}{keys}")).expect("written");
    let frames = folder.path().join("frames");
    std::fs::create_dir(&frames).expect("made");
    let (cli, policy) = denied(&profile, &["play", tape.to_str().expect("UTF-8"), "--frames", frames.to_str().expect("UTF-8")]);
    run(cli).await.unwrap_or_else(|error| panic!("{error}"));
    let shown: Vec<String> = std::fs::read_dir(&frames)
        .expect("frames")
        .filter_map(|entry| std::fs::read_to_string(entry.expect("an entry").path()).ok())
        .collect();
    assert!(shown.len() > 10 && shown.iter().any(|frame| frame.contains("is not permitted to")), "{shown:?}");
    assert!(!shown.iter().any(|frame| frame.contains("tasks")), "a channel is shown that may not be seen");
    assert!(policy.0.load(Ordering::Relaxed) > 0);
}
