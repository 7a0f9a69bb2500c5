//! What real topics hold beside tidy JSON: tombstones, MessagePack, Avro, hostile text, and the edges of the format.

use super::tasks::{header, message};
use super::topics::{EDGES, HOSTILE, NODES, TELEMETRY, USAGE};
use crate::domain::message::{Header, Outgoing};
use crate::domain::time::Timestamp;
use bytes::Bytes;
use fastrand::Rng;
use serde_json::json;

/// A node's latest state, or its tombstone.
pub(super) fn node(rng: &mut Rng, at: Timestamp) -> (&'static str, Outgoing) {
    let name = format!("fra-{:02}", rng.u8(1..20));
    let state = json!({"node": name, "slots": 32, "busy": rng.u8(..33), "tee": rng.bool(), "version": "4.2.1"});
    let mut message = message(&name, &state, at);
    if rng.u8(..8) == 0 {
        message.payload = None;
    }
    (NODES, message)
}

/// A measurement in MessagePack.
pub(super) fn telemetry(rng: &mut Rng, at: Timestamp) -> (&'static str, Outgoing) {
    let sensor = format!("rack-{}", rng.u8(1..12));
    let mut bytes = vec![0x84];
    pack_text(&mut bytes, "sensor");
    pack_text(&mut bytes, &sensor);
    pack_text(&mut bytes, "at");
    bytes.push(0xcf);
    bytes.extend(at.0.to_be_bytes());
    pack_text(&mut bytes, "celsius");
    bytes.push(0xcb);
    bytes.extend((18.0 + f64::from(rng.u32(..1_500)) / 100.0).to_be_bytes());
    pack_text(&mut bytes, "raw");
    bytes.extend([0xc4, 4]);
    bytes.extend(rng.u32(..).to_be_bytes());
    (TELEMETRY, Outgoing { key: Some(sensor.into()), payload: Some(bytes.into()), timestamp: Some(at), ..Outgoing::default() })
}

/// Text of up to 31 bytes ("fixstr").
fn pack_text(bytes: &mut Vec<u8>, text: &str) {
    bytes.push(0xa0 | text.len().min(31) as u8);
    bytes.extend(text.bytes().take(31));
}

/// An Avro record (string, long, int) behind Confluent's magic byte and schema id.
pub(super) fn usage(rng: &mut Rng, at: Timestamp) -> (&'static str, Outgoing) {
    let tenant = rng.choice(super::topics::TENANTS).unwrap_or("acme");
    let mut bytes = vec![0, 0, 0, 0, 17];
    avro_long(&mut bytes, tenant.len() as i64);
    bytes.extend(tenant.bytes());
    avro_long(&mut bytes, at.0);
    avro_long(&mut bytes, rng.i64(..100_000));
    (USAGE, Outgoing { key: Some(tenant.into()), payload: Some(bytes.into()), timestamp: Some(at), ..Outgoing::default() })
}

/// Zigzag, then base 128 (Avro specification, binary encoding).
fn avro_long(bytes: &mut Vec<u8>, n: i64) {
    let mut rest = ((n << 1) ^ (n >> 63)) as u64;
    while rest >= 0x80 {
        bytes.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    bytes.push(rest as u8);
}

/// Text that clears screens, sets titles, turns the reading order round or hides.
pub(super) fn hostile(rng: &mut Rng, at: Timestamp) -> (&'static str, Outgoing) {
    const KEYS: [&str; 4] = ["\u{1b}[2J\u{1b}[Hkey", "key\u{202e}gnp.exe", "zero\u{200b}width\u{feff}", "bell\u{7}\r\nx"];
    const PAYLOADS: [&str; 6] = [
        "\u{1b}]0;owned\u{7}\u{1b}[31mred\u{1b}[0m",
        "{\"user\":\"\u{202e}nimda\",\"note\":\"\u{2066}isolated\u{2069}\"}",
        "\u{1b}]52;c;cm0gLXJmIC8=\u{7}",
        "e\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301} 👩‍👩‍👧‍👦 \u{9b}31m",
        "{\"a\":\"\\u001b[2J\",\"b\":\"tab\\there\"}",
        "\u{1b}P+q544e\u{1b}\\\u{1b}[6n\u{1b}c",
    ];
    let text = |text: Option<&str>| text.map(|text| Bytes::copy_from_slice(text.as_bytes()));
    let mut message =
        Outgoing { key: text(rng.choice(KEYS)), payload: text(rng.choice(PAYLOADS)), timestamp: Some(at), ..Outgoing::default() };
    message.headers = vec![header("\u{1b}[1mbold", "\u{202e}desrever"), header("plain", "\u{1b}[5n")];
    (HOSTILE, message)
}

/// The edges: missing and empty, duplicate and binary headers, numbers beyond a float, keys twice, bytes that are no text.
pub(super) fn edge(rng: &mut Rng, at: Timestamp) -> (&'static str, Outgoing) {
    let raw = |bytes: &'static [u8]| Some(Bytes::from_static(bytes));
    let (key, payload) = match rng.u8(..6) {
        0 => (None, None),
        1 => (raw(b""), raw(b"")),
        2 => (
            raw(b"numbers"),
            raw(b"{\"big\":9007199254740993,\"huge\":1e400,\"price\":1.10,\"neg\":-0,\"long\":123456789012345678901234567890}"),
        ),
        3 => (raw(b"twice"), raw(b"{\"id\":1,\"id\":2,\"nested\":{\"x\":[],\"x\":{}}}")),
        4 => (raw(b"\x00\x01\xff\xfe"), raw(b"\xde\xad\xbe\xef\x00\xc3\x28")),
        _ => (raw(b"cut"), raw(b"{\"unfinished\": [1, 2, ")),
    };
    let headers = vec![
        header("dup", "first"),
        Header { name: "bin".into(), value: raw(b"\x00\x9f\x92\x96") },
        header("dup", "second"),
        Header { name: "null".into(), value: None },
        header("empty", ""),
    ];
    (EDGES, Outgoing { key, headers, payload, timestamp: Some(at), options: Vec::new() })
}

/// A message of 900 kB.
pub(super) fn large(at: Timestamp) -> Outgoing {
    let pages: Vec<_> =
        (0..9_000).map(|n| json!({"page": n, "text": "lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do"})).collect();
    message("report-2026-02", &json!({"title": "Quarterly report", "pages": pages}), at)
}
