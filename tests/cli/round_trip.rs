//! What another language's client wrote comes out of `tail --json` exactly, and goes back in by `publish --lines` byte for byte.

use crate::support::program::Home;
use crate::support::{clients, kafka, topics};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use std::process::Command;

fn lines(text: &[u8]) -> Vec<&str> {
    std::str::from_utf8(text).expect("text").lines().collect()
}

fn objects(text: &[u8]) -> Vec<Value> {
    lines(text).into_iter().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

/// Runs a command that has to succeed; its output.
fn output(command: &mut Command) -> Vec<u8> {
    let done = command.output().expect("the program runs");
    assert!(done.status.success(), "{command:?}: {}\n{}", done.status, String::from_utf8_lossy(&done.stderr));
    done.stdout
}

/// Bytes in the notation of the scripts, from a field and its encoding as `tail --json` writes them.
fn as_written(value: &Value, encoding: &Value) -> Value {
    match (value, encoding.as_str()) {
        (Value::Null, None) => Value::Null,
        (Value::String(text), Some("text")) => STANDARD.encode(text).into(),
        (Value::String(bytes), Some("base64")) => bytes.as_str().into(),
        other => panic!("{other:?}"),
    }
}

/// Where a line's value begins: behind the headers. A quotation mark inside a header's text is escaped, so that this is found nowhere else.
const VALUE: &str = r#"],"value":"#;

/// A line in two parts: everything but a value that is JSON, and that value as it stands there. A JSON reader would lose digits,
/// order and duplicate keys, and refuses some numbers.
fn parts(line: &str) -> (Value, Option<&str>) {
    let start = line.find(VALUE).expect("a value") + VALUE.len();
    let (rest, value) = match line.rfind(r#","encoding":"json""#) {
        Some(end) => (format!("{}null{}", &line[..start], &line[end..]), Some(&line[start..end])),
        None => (line.to_owned(), None),
    };
    (serde_json::from_str(&rest).expect("a line of JSON"), value)
}

/// One line of `tail --json` in the notation of the scripts.
fn understood(line: &str) -> Value {
    let (object, json) = parts(line);
    let value = match (object.get("raw"), json) {
        (Some(raw), _) => raw.clone(),
        (None, Some(json)) => STANDARD.encode(json).into(),
        (None, None) => as_written(&object["value"], &object["encoding"]),
    };
    let moment: jiff::Timestamp = object["timestamp"].as_str().expect("a time").parse().expect("RFC 3339");
    let header = |header: &Value| serde_json::json!([header["name"], as_written(&header["value"], &header["encoding"])]);
    serde_json::json!({
        "timestamp": moment.as_millisecond(),
        "key": as_written(&object["key"], &object["key_encoding"]),
        "value": value,
        "headers": object["headers"].as_array().expect("headers").iter().map(header).collect::<Vec<_>>(),
    })
}

/// The codecs of the batches in a segment (Kafka's documentation, record batch: attributes are bytes 21 and 22, their low 3 bits the codec).
fn codecs(segment: &[u8]) -> Vec<u8> {
    let mut found = Vec::new();
    let mut rest = segment;
    while rest.len() >= 61 {
        let length = u32::from_be_bytes([rest[8], rest[9], rest[10], rest[11]]) as usize;
        if length == 0 {
            break; // The file is longer than what was written to it.
        }
        found.push(rest[22] & 7);
        rest = rest.get(12 + length..).unwrap_or_default();
    }
    found.sort_unstable();
    found.dedup();
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn another_languages_messages_come_out_exactly_and_go_back_in_byte_for_byte() {
    let Some(kafka) = kafka::shared() else { return };
    let (from, to) = (topics::create(kafka.plain(), "foreign", 1, 1, &[]).await, topics::create(kafka.plain(), "back", 1, 1, &[]).await);
    let Some(write) = clients::script("kafka/write.py", &[kafka.plain(), &from]) else { return };
    let written = objects(&clients::run(write));
    assert!(written.len() >= 75, "the script wrote {} messages", written.len());
    if kafka.is_our_own() {
        let segment = std::fs::read(kafka.segment(1, &from, 0)).expect("the segment");
        assert_eq!(codecs(&segment), [0, 1, 2, 3, 4], "every codec was really used");
    }

    let home = Home::new();
    let url = format!("kafka://{}", kafka.plain());
    let address = |topic: &str| format!("{}/{topic}", home.integration(&url));
    let tailed = output(&mut home.mqdeck(&["--url", &url, "tail", &address(&from), "--from", "earliest", "--until", "latest", "--json"]));
    assert!(!tailed.iter().any(|byte| *byte < 0x20 && *byte != b'\n'), "a control character left the program");
    let tailed_lines = lines(&tailed);
    assert_eq!(tailed_lines.len(), written.len());
    for (offset, (line, written)) in tailed_lines.iter().zip(&written).enumerate() {
        assert_eq!(understood(line), *written, "{line}");
        let (object, _) = parts(line);
        assert_eq!((&object["position"], &object["address"]), (&format!("0@{offset}").into(), &address(&from).into()), "{line}");
    }

    let file = home.write("messages.jsonl", std::str::from_utf8(&tailed).expect("text"));
    let mut publish = home.mqdeck(&["--url", &url, "publish", &address(&to), "--lines"]);
    output(publish.stdin(std::fs::File::open(file).expect("the file")));
    let Some(read) = clients::script("kafka/read.py", &[kafka.plain(), &to]) else { return };
    for (back, written) in objects(&clients::run(read)).iter().zip(&written) {
        assert_eq!(back, written);
    }
    let again = output(&mut home.mqdeck(&["--url", &url, "tail", &address(&to), "--from", "earliest", "--until", "latest", "--json"]));
    assert_eq!(String::from_utf8_lossy(&again).replace(&to, &from), String::from_utf8_lossy(&tailed), "the same lines again");
}
