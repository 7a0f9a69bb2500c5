//! Publishing: to a subject, which the server takes and does not keep, or into a stream, which acknowledges with a sequence.

use super::Shared;
use super::api::refused;
use super::headers;
use super::link::is_nobody;
use super::names::{Name, covers, is_pattern, is_subject, plain};
use crate::adapters::session::Publish;
use crate::domain::fault::{Fault, Kind};
use crate::domain::message::{Header, Outgoing};
use crate::domain::operation::{Field, Input, PublishSpec};
use crate::domain::position::Position;
use crate::domain::receipt::Receipt;
use async_nats::HeaderMap;
use async_trait::async_trait;
use serde_json::Value;
use std::collections::HashMap;
use tokio::sync::Mutex;

const OP: &str = "publish to";

static SPEC: PublishSpec = PublishSpec {
    // Of a stream's message the key is its subject.
    key: true,
    headers: true,
    tombstone: false,
    timestamp: false,
    fields: &[
        Field { id: "reply", title: "Reply to", help: "subject that answers are sent to; not for streams", input: Input::Text },
        Field { id: "id", title: "Message id", help: "streams store an id once within their duplicate window", input: Input::Text },
        Field {
            id: "expected",
            title: "Expected last",
            help: "stored only if the stream's last sequence is this one",
            input: Input::Number { min: 0, max: i64::MAX },
        },
    ],
};

pub(super) struct NatsPublish {
    shared: Shared,
    /// The one subject of streams that have only one.
    subjects: Mutex<HashMap<String, String>>,
}

impl NatsPublish {
    pub(super) fn new(shared: Shared) -> Self {
        Self { shared, subjects: Mutex::default() }
    }

    async fn core(&self, subject: &str, message: &Outgoing) -> Result<Receipt, Fault> {
        let wrong = |cause: &str| Fault::new(Kind::Usage, OP, subject, cause.to_owned());
        if is_pattern(subject) {
            return Err(wrong("this names many subjects").next("publish to one of them"));
        }
        if message.key.as_deref().is_some_and(|key| key != subject.as_bytes()) {
            return Err(
                wrong("a message of a subject has no key").next("to store it in a stream, publish to stream:NAME; its key is the subject")
            );
        }
        for id in ["id", "expected"] {
            if message.option(id).is_some() {
                return Err(wrong("only a stream checks ids and sequences").next("publish to stream:NAME"));
            }
        }
        let reply = message.option("reply").filter(|reply| !reply.is_empty());
        if reply.is_some_and(|reply| !is_subject(reply) || is_pattern(reply)) {
            return Err(wrong("the reply subject is no subject"));
        }
        let headers = map(subject, &message.headers)?;
        self.shared.api.link.publish(OP, subject, reply, headers, payload(subject, message)?).await?;
        // The server answered behind the message: it has taken it, and refused nothing. Whether anybody listens it does not say.
        Ok(Receipt::Accepted)
    }

    async fn stored(&self, channel: &str, stream: &str, message: &Outgoing) -> Result<Receipt, Fault> {
        let wrong = |cause: String| Fault::new(Kind::Usage, OP, channel, cause);
        if message.option("reply").is_some_and(|reply| !reply.is_empty()) {
            return Err(wrong("a stream's acknowledgement takes the place of a reply".to_owned()).next("publish to the subject itself"));
        }
        let subject = match &message.key {
            Some(key) => match std::str::from_utf8(key) {
                Ok(subject) if is_subject(subject) && !is_pattern(subject) => subject.to_owned(),
                _ => {
                    return Err(
                        wrong("the key is no subject".to_owned()).next("the key of a stream's message is its subject: orders.created")
                    );
                }
            },
            // In one go, so that calls keep their order.
            None => tokio::task::unconstrained(self.subject_of(channel, stream)).await?,
        };
        let mut list = message.headers.clone();
        list.retain(|header| !header.name.eq_ignore_ascii_case(b"Nats-Expected-Stream"));
        list.push(named("Nats-Expected-Stream", stream));
        if let Some(id) = message.option("id").filter(|id| !id.is_empty()) {
            list.push(named("Nats-Msg-Id", id));
        }
        if let Some(last) = message.option("expected").filter(|last| !last.is_empty()) {
            list.push(named("Nats-Expected-Last-Sequence", last));
        }
        let answer = self.shared.api.link.request(OP, &subject, map(channel, &list)?, payload(channel, message)?).await;
        let msg = answer.map_err(|fault| unanswered(fault, channel))?;
        if is_nobody(&msg) {
            return Err(self.nobody(channel, stream, &subject).await);
        }
        acknowledged(channel, stream, &subject, &msg.payload)
    }

    /// Why nobody took a message: no such stream, another subject than its own, or no server that leads it now.
    async fn nobody(&self, channel: &str, stream: &str, subject: &str) -> Fault {
        match self.shared.api.stream(OP, stream).await {
            Ok(info) if info.subjects().iter().any(|own| covers(own, subject)) => {
                Fault::new(Kind::Unreachable, OP, channel, "no server leads the stream now")
                    .next("a leader is being elected: try again in a few seconds")
            }
            Ok(info) => Fault::new(Kind::NotFound, OP, channel, format!("no stream takes the subject {subject}"))
                .next(format!("this one takes {}", info.subjects().join(", "))),
            Err(fault) => fault,
        }
    }

    /// The subject of a stream that has only one.
    async fn subject_of(&self, channel: &str, stream: &str) -> Result<String, Fault> {
        let mut subjects = self.subjects.lock().await;
        if let Some(subject) = subjects.get(stream) {
            return Ok(subject.clone());
        }
        let info = self.shared.api.stream(OP, stream).await?;
        match info.subjects()[..] {
            [only] if !is_pattern(only) => {
                subjects.insert(stream.to_owned(), only.to_owned());
                Ok(only.to_owned())
            }
            [] => Err(Fault::new(Kind::Rejected, OP, channel, "the stream takes no subjects: it mirrors or gathers other streams")),
            ref several => Err(Fault::new(Kind::Usage, OP, channel, format!("the stream takes many subjects: {}", several.join(", ")))
                .next("say which: the key of a stream's message is its subject")),
        }
    }
}

#[async_trait]
impl Publish for NatsPublish {
    fn spec(&self) -> &'static PublishSpec {
        &SPEC
    }

    async fn publish(&self, channel: &str, message: Outgoing) -> Result<Receipt, Fault> {
        match Name::of(OP, channel)? {
            Name::Subject(subject) => self.core(&plain(subject), &message).await,
            Name::Stream(stream) => self.stored(channel, stream, &message).await,
            Name::Consumer { .. } => {
                Err(Fault::new(Kind::Usage, OP, channel, "a consumer takes no messages").next("publish to its stream"))
            }
            Name::Queue { subject, .. } => {
                Err(Fault::new(Kind::Usage, OP, channel, "a queue group takes no messages")
                    .next(format!("publish to its subject: {subject}")))
            }
            Name::Service(_) => {
                Err(Fault::new(Kind::Usage, OP, channel, "a service is asked, not published to").next("publish to one of its subjects"))
            }
        }
    }
}

fn named(name: &'static str, value: &str) -> Header {
    Header { name: name.into(), value: Some(value.to_owned().into()) }
}

pub(super) fn map(target: &str, list: &[Header]) -> Result<HeaderMap, Fault> {
    headers::map(list).map_err(|cause| Fault::new(Kind::Rejected, OP, target, cause))
}

pub(super) fn payload(target: &str, message: &Outgoing) -> Result<bytes::Bytes, Fault> {
    message
        .payload
        .clone()
        .ok_or_else(|| Fault::new(Kind::Rejected, OP, target, "NATS has no message without a payload").next("an empty one can be sent"))
}

/// A stream that did not answer may have stored it all the same.
fn unanswered(fault: Fault, channel: &str) -> Fault {
    match fault.kind {
        Kind::Timeout => Fault { target: channel.into(), ..fault }
            .next("whether it was stored is not known: look, or publish again with the same message id"),
        Kind::Forbidden => fault,
        _ => Fault { target: channel.into(), ..fault },
    }
}

/// What the answer of whoever took the message means.
fn acknowledged(channel: &str, stream: &str, subject: &str, payload: &[u8]) -> Result<Receipt, Fault> {
    let strange = || Fault::new(Kind::Protocol, OP, channel, format!("somebody who is no stream answered on {subject}"));
    let ack: Value = serde_json::from_slice(payload).map_err(|_| strange())?;
    if let Some(error) = ack.get("error") {
        return Err(refused(OP, channel, error));
    }
    let (Some(by), Some(seq)) = (ack.get("stream").and_then(Value::as_str), ack.get("seq").and_then(Value::as_u64)) else {
        return Err(strange());
    };
    if by != stream {
        return Err(Fault::new(Kind::Rejected, OP, channel, format!("another stream stored it: stream:{by}#{seq}")));
    }
    if ack.get("duplicate").and_then(Value::as_bool) == Some(true) {
        return Err(Fault::new(
            Kind::Rejected,
            OP,
            channel,
            format!("nothing was stored: a message with this id is there already, at {seq}"),
        )
        .next("give another message id if it is another message"));
    }
    Ok(Receipt::Stored(Position::Sequence(seq)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_new_message_in_this_stream_is_a_success() {
        let said = |text: &str| acknowledged("stream:ORDERS", "ORDERS", "orders.a", text.as_bytes());
        assert_eq!(said(r#"{"stream":"ORDERS","seq":7}"#), Ok(Receipt::Stored(Position::Sequence(7))));
        for (answer, kind, cause) in [
            (r#"{"stream":"ORDERS","seq":7,"duplicate":true}"#, Kind::Rejected, "nothing was stored"),
            (r#"{"stream":"OTHER","seq":7}"#, Kind::Rejected, "another stream"),
            ("pong", Kind::Protocol, "no stream answered"),
            ("{}", Kind::Protocol, "no stream answered"),
            (r#"{"error":{"code":400,"err_code":10060,"description":"expected stream does not match"}}"#, Kind::Rejected, "10060"),
        ] {
            let fault = said(answer).expect_err(answer);
            assert_eq!(fault.kind, kind, "{fault}");
            assert!(fault.cause.as_str().contains(cause), "{fault}");
        }
    }
}
