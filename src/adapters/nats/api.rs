//! The JetStream API: requests and answers in JSON over `$JS.API` (ADR-1, ADR-31), and what its errors mean.
//!
//! Answers are read leniently: a server of 2.9 leaves out what a server of 2.12 tells.

use super::link::{Link, is_nobody};
use super::model::{ConsumerInfo, StreamInfo};
use crate::domain::fault::{Fault, Kind};
use futures::{StreamExt, stream};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Lists are asked for page by page; a server that never says the total must not hold us for ever.
const MOST_PAGES: usize = 1_000;
/// Questions asked at once.
pub(super) const ABREAST: usize = 16;

/// The API over one connection.
#[derive(Clone)]
pub(super) struct Api {
    pub(super) link: Link,
}

/// The error of an answer.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Error {
    code: u16,
    err_code: u32,
    description: String,
}

/// What the API refused, with its code (`server/errors.json` of nats-server).
pub(super) struct Refusal {
    pub(super) code: u64,
    pub(super) fault: Fault,
}

impl Api {
    /// The subject of a call: the API of another domain, or one that is imported under a name, begins otherwise.
    pub(super) fn subject(&self, call: &str) -> String {
        format!("{}.{call}", self.link.dial().api_prefix)
    }

    /// Nobody answers the API.
    pub(super) fn nobody(&self, op: &'static str, target: &str) -> Fault {
        let dial = self.link.dial();
        if !dial.is_elsewhere() {
            return no_jetstream(op, target);
        }
        Fault::new(Kind::Rejected, op, target, format!("nobody answers under `{}`: JetStream is not there", dial.api_prefix))
            .next("check `domain` or `api_prefix`, and the leaf node or the import that leads there")
    }

    /// Makes a call; `target` is what the call is about, for faults.
    pub(super) async fn call<T: DeserializeOwned>(&self, op: &'static str, target: &str, call: &str, body: &Value) -> Result<T, Fault> {
        self.answer(op, target, call, body).await?.map_err(|refusal| refusal.fault)
    }

    /// The same, for those who go by the code of a refusal.
    pub(super) async fn answer<T: DeserializeOwned>(
        &self,
        op: &'static str,
        target: &str,
        call: &str,
        body: &Value,
    ) -> Result<Result<T, Refusal>, Fault> {
        let payload = if body.is_null() { String::new() } else { body.to_string() };
        let subject = self.subject(call);
        let answer = self.link.request(op, &subject, &[], payload.as_bytes()).await;
        let msg = answer.map_err(|fault| aimed(fault, target))?;
        if is_nobody(&msg) {
            return Err(self.nobody(op, target));
        }
        let answer: Value = serde_json::from_slice(&msg.payload)
            .map_err(|error| Fault::new(Kind::Protocol, op, target, format!("the answer is not JSON: {error}")))?;
        if let Some(error) = answer.get("error") {
            let code = error.get("err_code").and_then(Value::as_u64).unwrap_or_default();
            return Ok(Err(Refusal { code, fault: refused(op, target, error) }));
        }
        serde_json::from_value(answer)
            .map(Ok)
            .map_err(|error| Fault::new(Kind::Protocol, op, target, format!("the answer cannot be understood: {error}")))
    }

    pub(super) async fn stream(&self, op: &'static str, stream: &str) -> Result<StreamInfo, Fault> {
        self.call(op, &format!("stream:{stream}"), &format!("STREAM.INFO.{stream}"), &Value::Null).await
    }

    pub(super) async fn consumer(&self, op: &'static str, stream: &str, consumer: &str) -> Result<ConsumerInfo, Fault> {
        self.call(op, &format!("{stream}/{consumer}"), &format!("CONSUMER.INFO.{stream}.{consumer}"), &Value::Null).await
    }

    /// Every stream of the account, in the order of their names.
    pub(super) async fn streams(&self, op: &'static str) -> Result<Vec<StreamInfo>, Fault> {
        let mut streams: Vec<StreamInfo> = self.pages(op, "streams", "STREAM.LIST", "streams").await?;
        streams.sort_by(|a, b| a.name().cmp(b.name()));
        Ok(streams)
    }

    /// Every consumer of a stream, in the order of their names.
    pub(super) async fn consumers(&self, op: &'static str, stream: &str) -> Result<Vec<ConsumerInfo>, Fault> {
        let target = format!("stream:{stream}");
        let mut consumers: Vec<ConsumerInfo> = self.pages(op, &target, &format!("CONSUMER.LIST.{stream}"), "consumers").await?;
        consumers.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(consumers)
    }

    /// The consumers of several streams, asked for side by side, in the order asked.
    pub(super) async fn consumers_of(&self, op: &'static str, streams: Vec<String>) -> Vec<Result<Vec<ConsumerInfo>, Fault>> {
        let ask = |stream: String| async move { self.consumers(op, &stream).await };
        stream::iter(streams).map(ask).buffered(ABREAST).collect().await
    }

    async fn pages<T: DeserializeOwned>(&self, op: &'static str, target: &str, call: &str, field: &str) -> Result<Vec<T>, Fault> {
        let mut all = Vec::new();
        for _ in 0..MOST_PAGES {
            let mut page: Value = self.call(op, target, call, &json!({ "offset": all.len() })).await?;
            let total = page.get("total").and_then(Value::as_u64).unwrap_or(0);
            let rows = page.get_mut(field).map(Value::take).unwrap_or_default();
            let rows: Vec<T> = if rows.is_null() {
                Vec::new()
            } else {
                serde_json::from_value(rows)
                    .map_err(|error| Fault::new(Kind::Protocol, op, target, format!("the answer cannot be understood: {error}")))?
            };
            let last = rows.is_empty();
            all.extend(rows);
            if last || all.len() as u64 >= total {
                break;
            }
        }
        Ok(all)
    }
}

/// A fault of the connection, told of what was asked about. A permission is about the subject that it names.
fn aimed(fault: Fault, target: &str) -> Fault {
    if fault.kind == Kind::Forbidden { fault } else { Fault { target: target.into(), ..fault } }
}

/// There is no JetStream where the API is our own.
fn no_jetstream(op: &'static str, target: &str) -> Fault {
    Fault::new(Kind::Rejected, op, target, "JetStream is not enabled on this server or for this account")
        .next("start the server with -js, or give the account JetStream; subjects work without it")
}

/// What an error of the API means. Codes: `server/errors.json` of nats-server.
pub(super) fn refused(op: &'static str, target: &str, error: &Value) -> Fault {
    let error: Error = serde_json::from_value(error.clone()).unwrap_or_default();
    let said = format!("{} [{}]", error.description, error.err_code);
    let fault = |kind, next: &str| Fault::new(kind, op, target, said.clone()).next(next.to_owned());
    match error.err_code {
        10_039 | 10_076 => no_jetstream(op, target),
        10_059 => fault(Kind::NotFound, "names are case-sensitive; a stream of another account is not seen"),
        10_014 => fault(Kind::NotFound, "names are case-sensitive; an ephemeral consumer is gone when nobody uses it"),
        10_037 => fault(Kind::NotFound, "it was deleted, or never was there"),
        10_008 | 10_009 | 10_012 => {
            fault(Kind::Unreachable, "a leader is being elected or servers are missing: try again in a few seconds")
        }
        10_060 => fault(Kind::Rejected, "the subject belongs to another stream"),
        10_070 | 10_071 | 10_164 => fault(Kind::Rejected, "somebody else was first: look at the stream again"),
        10_077 => fault(Kind::Rejected, "the stream is full and discards what is new: purge it, or raise its limits"),
        10_023 | 10_028 | 10_047 | 10_002 => fault(Kind::Rejected, "raise the account's limits, or make room"),
        10_099..=10_101 => fault(Kind::Rejected, "a work queue gives each message to one consumer alone"),
        _ => fault(
            match error.code {
                404 => Kind::NotFound,
                408 => Kind::Timeout,
                403 => Kind::Forbidden,
                503 => Kind::Unreachable,
                _ => Kind::Rejected,
            },
            "",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_has_its_kind() {
        for (code, err_code, kind) in [
            (404, 10_059, Kind::NotFound),
            (404, 10_014, Kind::NotFound),
            (404, 10_037, Kind::NotFound),
            (503, 10_039, Kind::Rejected),
            (400, 10_060, Kind::Rejected),
            (503, 10_008, Kind::Unreachable),
            (400, 10_071, Kind::Rejected),
            (404, 1, Kind::NotFound),
            (500, 2, Kind::Rejected),
        ] {
            let fault = refused("x", "y", &json!({ "code": code, "err_code": err_code, "description": "said" }));
            assert_eq!(fault.kind, kind, "{fault}");
        }
    }
}
