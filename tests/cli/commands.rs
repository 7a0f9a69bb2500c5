//! What the commands do on a real Kafka.

use crate::support::program::Home;
use crate::support::{SOON, kafka, topics};
use assert_cmd::assert::OutputAssertExt;
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::process::{Output, Stdio};
use std::time::Instant;

/// A shell at a Kafka.
struct Shell {
    home: Home,
    url: String,
    integration: String,
}

impl Shell {
    fn at(kafka: &kafka::Kafka) -> Self {
        let (home, url) = (Home::new(), format!("kafka://{}", kafka.plain()));
        let integration = home.integration(&url);
        Self { home, url, integration }
    }

    fn address(&self, topic: &str) -> String {
        format!("{}/{topic}", self.integration)
    }

    fn command(&self, arguments: &[&str]) -> std::process::Command {
        self.home.mqdeck(&[&["--url", &self.url], arguments].concat())
    }

    /// Runs a command with this on its standard input.
    fn feed(&self, arguments: &[&str], input: &str) -> Output {
        let mut command = self.command(arguments);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program runs");
        child.stdin.take().expect("its input").write_all(input.as_bytes()).expect("it reads");
        child.wait_with_output().expect("the program ends")
    }

    /// Runs a command that has to succeed; the objects that it prints.
    fn objects(&self, arguments: &[&str]) -> Vec<Value> {
        let done = self.command(arguments).assert().success().get_output().clone();
        String::from_utf8(done.stdout).expect("text").lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
    }

    /// The values of a topic from one bound to another, as text.
    fn values(&self, topic: &str, bounds: &[&str]) -> Vec<String> {
        let address = self.address(topic);
        let objects = self.objects(&[&["tail", &address, "--json"], bounds].concat());
        objects.iter().map(|object| object["value"].as_str().map_or_else(|| object["value"].to_string(), str::to_owned)).collect()
    }
}

fn keys(object: &Value) -> Vec<&str> {
    object.as_object().expect("an object").keys().map(String::as_str).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_published_is_read_back_with_every_field() {
    let Some(kafka) = kafka::shared() else { return };
    let (shell, topic) = (Shell::at(kafka), topics::create(kafka.plain(), "cli", 2, 1, &[]).await);
    let address = shell.address(&topic);
    let time = "2026-02-05T10:00:00Z";
    shell
        .command(&[
            "publish",
            &address,
            "größe",
            "--key",
            "k",
            "-H",
            "a=1",
            "-H",
            "a=",
            "-H",
            "b",
            "--timestamp",
            time,
            "-o",
            "partition=1",
        ])
        .assert()
        .success();
    shell.command(&["publish", &address, "--tombstone", "--key", "k", "-o", "partition=1"]).assert().success();
    let found = shell.objects(&["tail", &address, "--from", "earliest", "--until", "latest", "--json"]);
    let expected = serde_json::json!({
        "address": address, "position": "1@0", "timestamp": "2026-02-05T10:00:00.000Z", "key": "k", "key_encoding": "text",
        "headers": [
            {"name": "a", "value": "1", "encoding": "text"},
            {"name": "a", "value": "", "encoding": "text"},
            {"name": "b", "value": null, "encoding": null},
        ],
        "value": "größe", "encoding": "text", "wire": "text", "size": 12,
    });
    assert_eq!(found[0], expected);
    assert_eq!((&found[1]["value"], &found[1]["position"]), (&Value::Null, &"1@1".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn bounds_and_limits_choose_what_is_read() {
    let Some(kafka) = kafka::shared() else { return };
    let (shell, topic) = (Shell::at(kafka), topics::create(kafka.plain(), "bounds", 2, 1, &[]).await);
    let lines: String = (0..10)
        .map(|n| format!("{{\"key\":\"k\",\"value\":\"{n}\",\"encoding\":\"text\",\"timestamp\":\"2026-02-05T10:00:{n:02}Z\"}}\n"))
        .collect();
    let done = shell.feed(&["publish", &shell.address(&topic), "--lines"], &lines);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let numbers = |range: std::ops::Range<u8>| range.map(|n| n.to_string()).collect::<Vec<_>>();
    for (bounds, expected) in [
        (&["--from", "earliest", "--until", "latest"][..], 0..10),
        (&["--from", "earliest", "--until", "latest", "--limit", "3"], 0..3),
        (&["--from", "end-4", "--until", "latest"], 6..10),
        (&["--from", "@2", "--until", "@5"], 2..5),
        (&["--from", "2026-02-05T10:00:03Z", "--until", "2026-02-05T10:00:06Z"], 3..6),
        (&["--from", "2026-02-05 10:00:08", "--until", "latest"], 8..10),
        (&["--until", "2026-02-05T10:00:02Z"], 0..2),
    ] {
        assert_eq!(shell.values(&topic, bounds), numbers(expected), "{bounds:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn status_and_channels_have_their_documented_fields() {
    let Some(kafka) = kafka::shared() else { return };
    let (shell, topic) = (Shell::at(kafka), topics::create(kafka.plain(), "fields", 3, 1, &[]).await);
    let status = shell.objects(&["status", "--json"]);
    assert_eq!(keys(&status[0])[..6], ["integration", "system", "state", "breaker", "latency_ms", "error"]);
    assert_eq!((&status[0]["system"], &status[0]["state"], &status[0]["error"]), (&"Kafka".into(), &"ok".into(), &Value::Null));
    assert!(status[0]["latency_ms"].as_f64().is_some_and(|ms| ms > 0.0 && ms < 10_000.0));

    let channels = shell.objects(&["channels", "--json"]);
    let row = channels.iter().find(|row| row["address"] == shell.address(&topic)).expect("the topic");
    assert_eq!(keys(row)[..8], ["address", "kind", "depth", "rate_in", "rate_out", "consumers", "dead_letters_to", "can"]);
    assert_eq!((&row["kind"], &row["depth"], &row["rate_in"]), (&"topic".into(), &0.into(), &Value::Null));
    assert_eq!(
        (&row["rate_out"], &row["consumers"]),
        (&Value::Null, &Value::Null),
        "a topic does not tell who reads it: `mqdeck lag` does"
    );
    assert_eq!(row["can"], serde_json::json!(["tail", "history", "publish"]));
    let told = shell.objects(&["channels", &shell.address(&topic), "--json"]).remove(0);
    assert_eq!((&told["partitions"], told["tables"]["partitions"].as_array().map(Vec::len)), (&3.into(), Some(3)), "{told}");
    let table = shell.command(&["channels"]).assert().success().get_output().stdout.clone();
    assert!(String::from_utf8_lossy(&table).lines().any(|line| line.contains(&topic)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_tail_prints_each_message_as_it_comes_and_ends_at_its_limit() {
    let Some(kafka) = kafka::shared() else { return };
    let (shell, topic) = (Shell::at(kafka), topics::create(kafka.plain(), "live", 1, 1, &[]).await);
    let address = shell.address(&topic);
    let mut tail = shell.command(&["tail", &address, "--json", "--limit", "3"]).stdout(Stdio::piped()).spawn().expect("the program runs");
    let mut lines = BufReader::new(tail.stdout.take().expect("its output")).lines();
    // A live tail starts at the end: what is published before it stands there is not its to show.
    let printed = std::thread::spawn(move || lines.next().map(|line| (line, lines)));
    let began = Instant::now();
    while !printed.is_finished() {
        assert!(began.elapsed() < SOON, "nothing was printed");
        shell.command(&["publish", &address, "first"]).assert().success();
    }
    let (first, lines) = printed.join().expect("a line").expect("a line");
    assert!(first.expect("text").contains("\"value\":\"first\""));
    shell.command(&["publish", &address, "more"]).assert().success();
    shell.command(&["publish", &address, "more"]).assert().success();
    assert_eq!(lines.count(), 2);
    assert!(tail.wait().expect("it ends").success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_has_enough_is_no_error() {
    let Some(kafka) = kafka::shared() else { return };
    let (shell, topic) = (Shell::at(kafka), topics::create(kafka.plain(), "pipe", 1, 1, &[]).await);
    let address = shell.address(&topic);
    let lines: String = (0..20_000).map(|n| format!("{{\"value\":\"{n:0100}\",\"encoding\":\"text\"}}\n")).collect();
    assert!(shell.feed(&["publish", &address, "--lines"], &lines).status.success());
    let mut tail = shell.command(&["tail", &address, "--from", "earliest", "--until", "latest"]);
    let mut tail = tail.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program runs");
    let mut line = String::new();
    BufReader::new(tail.stdout.take().expect("its output")).read_line(&mut line).expect("a line");
    let done = tail.wait_with_output().expect("the program ends");
    assert!(done.status.success() && done.stderr.is_empty(), "{}", String::from_utf8_lossy(&done.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_is_wrong_is_named_and_the_rest_can_be_resumed() {
    let Some(kafka) = kafka::shared() else { return };
    let (shell, topic) = (Shell::at(kafka), topics::create(kafka.plain(), "resume", 1, 1, &[]).await);
    let address = shell.address(&topic);
    let wrong = "{\"value\":\"0\"}\n{\"value\":\"1\"}\n{\"valeu\":\"2\"}\n{\"value\":\"3\"}\n";
    let done = shell.feed(&["publish", &address, "--lines"], wrong);
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(!done.status.success() && said.contains("valeu") && said.contains("line 3") && said.contains("--skip 2"), "{said}");
    let right = wrong.replace("valeu", "value");
    assert!(shell.feed(&["publish", &address, "--lines", "--skip", "2"], &right).status.success());
    assert_eq!(shell.values(&topic, &["--from", "earliest", "--until", "latest"]), ["0", "1", "2", "3"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_exist_or_is_forbidden_has_its_exit_code() {
    let Some(kafka) = kafka::shared() else { return };
    let shell = Shell::at(kafka);
    let missing = shell.address("no.such.topic");
    for arguments in
        [&["tail", &missing, "--from", "earliest", "--until", "latest"][..], &["publish", &missing, "x"], &["channels", &missing]]
    {
        let said = shell.command(arguments).assert().code(1).get_output().stderr.clone();
        assert!(String::from_utf8_lossy(&said).contains("no.such.topic"), "{arguments:?}");
    }
    let Some(sasl) = kafka.listener("SASL") else { return };
    let home = Home::new();
    let url = format!("kafka://alice:alice-secret@{sasl}?sasl=SCRAM-SHA-256");
    let address = format!("{}/forbidden", home.integration(&url));
    home.mqdeck(&["--url", &url, "tail", &address, "--from", "earliest", "--until", "latest"]).assert().code(3);
    home.mqdeck(&["--url", &url, "publish", &address, "x"]).assert().code(3);
}
