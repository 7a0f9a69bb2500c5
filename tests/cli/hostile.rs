//! No foreign byte reaches the terminal: every command, every argument that it takes, and every name that a system can have, as text
//! and as JSON, on standard output and standard error. The commands and their arguments are read from the command line's own table.

use crate::support::program::Home;
use clap::{Arg, ArgAction, Command as Table, CommandFactory};
use mqdeck::cli::Cli;
use mqdeck::domain::text::is_hidden;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::process::{Command, Output, Stdio};

/// Attacks a terminal by every means: CSI, C1, a window title by OSC with BEL, bidi, zero width, DEL, a tag.
pub(super) const NAME: &str = "x\u{1b}[31mred\u{9b}32m\u{1b}]0;owned\u{7}\u{202e}\u{200b}\u{7f}\u{e0041}z";

const PROFILE: &str = r#"
integration "a" {
  type = "memory"
  config {
    topics   = "log:2, NAME:1"
    queues   = "tasks:3, qNAME:3"
    services = "echo, sNAME"
  }
}
"#;

/// The name as HCL writes it.
fn escaped(name: &str) -> String {
    let escape = |c: char| match (is_hidden(c), u32::from(c)) {
        (false, _) => c.to_string(),
        (true, code @ ..=0xffff) => format!("\\u{code:04x}"),
        (true, code) => format!("\\U{code:08x}"),
    };
    name.chars().map(escape).collect()
}

/// A leaf of the table: its words and its arguments.
struct Leaf {
    words: Vec<String>,
    arguments: Vec<Arg>,
}

fn leaves(table: &Table, words: &[String], found: &mut Vec<Leaf>) {
    let mut subcommands = table.get_subcommands().filter(|sub| sub.get_name() != "help").peekable();
    if subcommands.peek().is_none() {
        let takes = |argument: &&Arg| !argument.is_global_set() && takes_value(argument);
        found.push(Leaf { words: words.to_vec(), arguments: table.get_arguments().filter(takes).cloned().collect() });
    }
    for sub in subcommands {
        leaves(sub, &[words, &[sub.get_name().to_owned()]].concat(), found);
    }
}

fn takes_value(argument: &Arg) -> bool {
    matches!(argument.get_action(), ArgAction::Set | ArgAction::Append)
}

/// What a required argument usually is, and options that make an endless command end.
fn usual(words: &[String], argument: &Arg) -> Option<&'static str> {
    let command = words.join(" ");
    let ends = match (command.as_str(), argument.get_id().as_str()) {
        ("tail" | "find", "from") => Some("earliest"),
        ("tail" | "find", "until") => Some("latest"),
        ("receive", "wait") | ("rpc call", "timeout") => Some("100ms"),
        ("lag", "over") => Some("0s"),
        ("publish", "data") => Some("x"),
        ("manage", "address") => Some("a/log"),
        _ => None,
    };
    let needed = || {
        Some(match (command.as_str(), argument.get_id().as_str()) {
            ("receive" | "peek", "address") => "a/tasks",
            ("rpc call", "address") => "a/echo",
            ("manage", "operation") => "topic.purge",
            (_, "address" | "addresses") => "a/log",
            ("find", "query") => "x",
            ("follow", "what") => "id-1",
            ("groups reset", "group") => "g",
            ("groups reset", "to") => "earliest",
            ("groups undo", "file") => "nowhere.json",
            ("play", "tape") => "short.tape",
            ("completions", "shell") => "bash",
            (command, id) => panic!("say what {id} of `mqdeck {command}` usually is"),
        })
    };
    ends.or_else(|| if argument.is_required_set() { needed() } else { None })
}

/// What is typed for one argument, its option before it.
fn typed(argument: &Arg, value: OsString) -> Vec<OsString> {
    match argument.get_long() {
        Some(long) => {
            let mut text = OsString::from(format!("--{long}="));
            text.push(value);
            vec![text]
        }
        None => vec![value],
    }
}

/// A command line of a leaf, in which one argument has that value and the others are as usual.
fn line(leaf: &Leaf, hostile: Option<(&Arg, &OsString)>) -> Vec<OsString> {
    let mut line: Vec<OsString> = leaf.words.iter().map(OsString::from).collect();
    let last = hostile.map_or(0, |(argument, _)| argument.get_index().unwrap_or_default());
    let mut positional = Vec::new();
    for argument in &leaf.arguments {
        let value = match hostile {
            Some((other, value)) if other.get_id() == argument.get_id() => Some(value.clone()),
            _ => usual(&leaf.words, argument).map(OsString::from),
        };
        // What stands before a positional argument has to be there.
        let value = value.or_else(|| argument.get_index().filter(|index| *index < last).map(|_| OsString::from("a/log")));
        let Some(value) = value else { continue };
        if argument.get_index().is_some() {
            positional.push(value);
        } else {
            line.extend(typed(argument, value));
        }
    }
    line.push("--".into());
    line.extend(positional);
    line
}

/// Ways in which a name can stand in an argument.
fn shapes() -> Vec<OsString> {
    let bytes =
        |text: String| OsString::from_vec(text.replace("<ff>", "\0").bytes().map(|byte| if byte == 0 { 0xff } else { byte }).collect());
    vec![
        NAME.into(),
        format!("a/{NAME}").into(),
        format!("{NAME}/{NAME}\nb").into(),
        format!("{NAME}={NAME}\r\nb").into(),
        format!("a/log#{NAME}").into(),
        bytes(format!("a/{NAME}<ff>")),
    ]
}

fn run(home: &Home, profile: bool, json: bool, line: &[OsString]) -> Output {
    let mut command = home.mqdeck(if profile { &["--profile", "p.hcl"] } else { &[] });
    if json {
        // Before the command's own words end.
        let at = line.iter().position(|word| word == "--").unwrap_or(line.len());
        command.args(&line[..at]).arg("--json").args(&line[at..]);
    } else {
        command.args(line);
    }
    finished(command.stdin(Stdio::null()))
}

fn finished(command: &mut Command) -> Output {
    command.output().expect("the program runs")
}

/// Fails if anything but text and line ends was written.
pub(super) fn clean(what: &dyn std::fmt::Debug, output: &Output) {
    for (stream, bytes) in [("stdout", &output.stdout), ("stderr", &output.stderr)] {
        let text = std::str::from_utf8(bytes).unwrap_or_else(|error| panic!("{what:?}: {stream} is not UTF-8: {error}"));
        let hidden = text.chars().find(|c| is_hidden(*c) && *c != '\n');
        assert_eq!(hidden, None, "{what:?}: {stream}: {text:?}");
        assert!(!text.contains("panicked"), "{what:?}: {text}");
    }
}

/// Whether the name, or one of its parts, is in what was written, in marks or as JSON escapes.
pub(super) fn shows(output: &Output) -> bool {
    let all = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    ["x‹ESC›", "x\\u001b", "owned‹", "owned\\u"].iter().any(|part| all.contains(part))
}

fn home() -> Home {
    let home = Home::new();
    home.write("p.hcl", &PROFILE.replace("NAME", &escaped(NAME)));
    home.write("short.tape", "Sleep 10ms\n");
    home
}

fn table() -> (Table, Vec<Leaf>) {
    let mut table = Cli::command();
    table.build();
    let mut found = Vec::new();
    leaves(&table, &[], &mut found);
    assert!(found.len() > 15, "the commands were not found");
    (table, found)
}

/// Does the work of many commands on several threads.
fn each<T: Sync>(all: &[T], work: impl Fn(&T) + Sync) {
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..4)
            .map(|worker| {
                let work = &work;
                scope.spawn(move || all.iter().skip(worker).step_by(4).for_each(work))
            })
            .collect();
        for worker in workers {
            worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        }
    });
}

#[test]
fn no_argument_of_any_command_reaches_the_terminal_as_it_is() {
    let (_, leaves) = table();
    let mut lines = Vec::new();
    for leaf in leaves.iter().filter(|leaf| leaf.words != ["demo"]) {
        for argument in &leaf.arguments {
            lines.extend(shapes().iter().map(|shape| line(leaf, Some((argument, shape)))));
        }
    }
    assert!(lines.len() > 200, "{} command lines are too few", lines.len());
    let home = home();
    each(&lines, |line| {
        for json in [false, true] {
            clean(line, &run(&home, true, json, line));
        }
    });
}

#[test]
fn no_global_argument_reaches_the_terminal_as_it_is() {
    let (table, leaves) = table();
    let home = home();
    let globals: Vec<&Arg> = table.get_arguments().filter(|argument| argument.is_global_set() && takes_value(argument)).collect();
    assert!(globals.len() >= 5, "the global arguments were not found");
    let leaf = |words: &str| leaves.iter().find(|leaf| leaf.words.join(" ") == words).expect("a command");
    let mut lines = Vec::new();
    for words in ["status", "channels", "play", "profile check", "profile show", "profile ls"] {
        for global in &globals {
            for shape in shapes().into_iter().chain([
                format!("{NAME}://{NAME}").into(),
                format!("kafka://{NAME}").into(),
                format!("./{NAME}.hcl").into(),
            ]) {
                let mut line = typed(global, shape);
                line.extend(self::line(leaf(words), None));
                lines.push((global.get_id().clone(), line));
            }
        }
    }
    each(&lines, |(id, line)| {
        let profile = !["profile", "url"].contains(&id.as_str());
        clean(line, &run(&home, profile, false, line));
    });
}

#[test]
fn a_name_of_a_system_is_shown_with_marks_or_as_json() {
    let home = home();
    std::fs::copy(home.path().join("p.hcl"), home.path().join(format!("{NAME}.hcl"))).expect("a profile");
    let profiles = home.path().join(".config/mqdeck/profiles");
    std::fs::create_dir_all(&profiles).expect("a directory");
    std::fs::copy(home.path().join("p.hcl"), profiles.join(format!("{NAME}.hcl"))).expect("a profile");
    let (topic, queue, service) = (format!("a/{NAME}"), format!("a/q{NAME}"), format!("a/s{NAME}"));
    let file = format!("./{NAME}.hcl");
    let undo = format!("{{\"format\":\"mqdeck-undo-1\",\"profile\":\"{}\"}}", "x\\u001b[31mred\\u009b32m");
    home.write("undo.json", &undo);
    let cases: &[&[&str]] = &[
        &["channels"],
        &["channels", &topic],
        &["channels", &queue],
        &["publish", &topic, "x"],
        &["publish", &topic, NAME, "-o", "partition=9"],
        &["publish", &service, "x"],
        &["tail", &topic, "--from", "earliest", "--until", "latest", "--where", NAME],
        &["find", &service, "x"],
        &["receive", &queue, "--limit", "1"],
        &["peek", &service],
        &["rpc", "call", &topic, "x"],
        &["groups", "reset", &topic, "--group", NAME, "--to", "earliest"],
        &["groups", "undo", "undo.json"],
        &["manage", "topic.purge", &topic, "--plan"],
        &["manage", "topic.purge", &topic],
        &["manage", "topic.delete", &topic],
        &["manage", NAME, &topic],
        &["manage", "topic.create", &topic],
        &["lag", &format!("a/{NAME}"), "--over", "0s"],
        &["follow", NAME],
        &["profile", "ls"],
        &["profile", "show", &file],
        &["profile", "check", &file],
        &["profile", "check", NAME],
        &["play", NAME],
        &["--theme", NAME, "play", "short.tape"],
        &["--arm", NAME, "status"],
    ];
    each(cases, |case| {
        for json in [false, true] {
            let line: Vec<OsString> = case.iter().map(OsString::from).collect();
            let output = run(&home, true, json, &line);
            clean(case, &output);
            // `--json` is no word of every command: then its own mistake is told.
            let refused = json && String::from_utf8_lossy(&output.stderr).contains("--json");
            let seen = shows(&output) || refused;
            assert!(
                seen,
                "{case:?}: the name is not shown: {}{}",
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            );
        }
    });
}
