//! The rules of the query language, rule by rule; here the records that the tests ask about.

use super::*;
use crate::domain::message::{Header, HeaderTest};
use crate::domain::time::Timestamp;
use crate::domain::value::Value;
use bytes::Bytes;

mod language;
mod properties;
mod truth;

fn now() -> Zoned {
    "2026-02-05T12:00:00+00:00[UTC]".parse().expect("a date")
}

fn parse(text: &str) -> Query {
    Query::parse(text, &now()).unwrap_or_else(|e| panic!("{text}: {e}"))
}

/// A record as the tests need it: a JSON payload unless `damaged`.
#[derive(Debug)]
struct Fake {
    key: Option<&'static [u8]>,
    headers: Vec<Header>,
    payload: Option<Vec<u8>>,
    value: Option<Value>,
    damaged: bool,
    timestamp: Option<Timestamp>,
    dead: bool,
}

fn tree(value: serde_json::Value) -> Value {
    match value {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(truth) => Value::Bool(truth),
        serde_json::Value::Number(number) => Value::Number(number.to_string().into()),
        serde_json::Value::String(text) => Value::Text(text.into()),
        serde_json::Value::Array(items) => Value::Array(items.into_iter().map(tree).collect()),
        serde_json::Value::Object(entries) => Value::Object(entries.into_iter().map(|(key, value)| (key.into(), tree(value))).collect()),
    }
}

fn json(payload: &str) -> Fake {
    let value = tree(serde_json::from_str(payload).expect("JSON"));
    let header = |name: &'static str, value: Option<&'static [u8]>| Header { name: name.into(), value: value.map(Bytes::from_static) };
    Fake {
        key: Some(b"order-1"),
        headers: vec![
            header("env", Some(b"prod")),
            header("env", Some(b"blue")),
            header("app.id", Some(b"7")),
            header("content-type", Some(b"application/json")),
            header("none", None),
            header("binary", Some(b"\xff\x00")),
        ],
        payload: Some(payload.into()),
        value: Some(value),
        damaged: false,
        timestamp: Some(Timestamp(1_770_285_600_000)),
        dead: false,
    }
}

fn binary() -> Fake {
    Fake { payload: Some(b"\xff\x00abc".to_vec()), value: None, damaged: true, ..json("null") }
}

fn tombstone() -> Fake {
    Fake { key: None, payload: None, value: None, timestamp: None, ..json("null") }
}

impl Record for Fake {
    fn topic(&self) -> &'static str {
        "orders.created"
    }
    fn partition(&self) -> Option<i32> {
        Some(3)
    }
    fn offset(&self) -> Option<i64> {
        Some(1042)
    }
    fn timestamp(&self) -> Option<Timestamp> {
        self.timestamp
    }
    fn size(&self) -> usize {
        100
    }
    fn key(&self) -> Option<&[u8]> {
        self.key
    }
    fn any_header(&self, test: &mut HeaderTest<'_>) -> bool {
        self.headers.iter().any(|header| test(&header.name, header.value.as_deref()))
    }
    fn payload(&self) -> Option<&[u8]> {
        self.payload.as_deref()
    }
    fn value(&self) -> Result<Option<&Value>, Undecodable> {
        if self.damaged { Err(Undecodable) } else { Ok(self.value.as_ref()) }
    }
    fn key_value(&self) -> Option<&Value> {
        None
    }
    fn failure(&self) -> Option<Failure<'_>> {
        self.dead.then_some(Failure { reason: Some("rejected"), exception: Some("java.lang.Boom"), origin: None, attempts: Some(4) })
    }
}

const ORDER: &str = r#"{"order":{"total":100.50,"id":"9","items":[{"sku":"A-1"},{"sku":"b"}],"paid":true,"note":null},"odd.name":1,"big":9007199254740993,"text":"Größe \"L\"","code":404}"#;
