//! Publishing: to a subject, which the server takes and does not keep, or into a stream, which acknowledges with a sequence.

use super::Shared;
use super::api::refused;
use super::headers;
use super::known::Known;
use super::link::{Inbox, is_nobody};
use super::model::{StreamInfo, text};
use super::names::{Name, covers, is_pattern, is_subject, plain};
use crate::adapters::session::Publish;
use crate::domain::fault::{Fault, Kind};
use crate::domain::message::{Header, Outgoing};
use crate::domain::operation::{Field, PublishSpec};
use crate::domain::position::Position;
use crate::domain::receipt::Receipt;
use async_trait::async_trait;
use serde_json::Value;
use std::time::Instant;

const OP: &str = "publish to";

/// Of a stream's message the key is its subject.
static SPEC: PublishSpec = PublishSpec { key: true, tombstone: false, timestamp: false, fields: FIELDS };
const FIELDS: &[Field] = &[
    Field::text("reply", "Reply to", "subject that answers are sent to; not for streams"),
    Field::text("id", "Message id", "streams store an id once within their duplicate window"),
    Field::number(
        "expected",
        "Expected last",
        "stored only if the stream's last sequence is this one; headers Nats-Expected-… are not sent",
        0,
        i64::MAX,
    ),
];

pub(super) struct NatsPublish {
    shared: Shared,
    known: Known,
}

impl NatsPublish {
    pub(super) fn new(shared: Shared) -> Self {
        Self { known: Known::new(shared.api.clone()), shared }
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
        let headers = block(subject, &sent(subject, &message.headers)?)?;
        let payload = payload(subject, message)?;
        let link = &self.shared.api.link;
        if reply.is_none() {
            // In one go, so that calls keep their order.
            let begun = tokio::task::unconstrained(async {
                let keeper = self.known.keeper(subject).await;
                let Some(stream) = &*keeper else { return Ok(None) };
                let inbox = link.ask(OP, subject, &headers, &payload).await?;
                Ok::<_, Fault>(Some((stream.clone(), inbox)))
            });
            if let Some((stream, inbox)) = begun.await? {
                return self.kept(subject, &stream, inbox).await;
            }
        }
        link.publish(OP, subject, reply, &headers, &payload).await?;
        // The server answered behind the message: it has taken it, and refused nothing. Whether anybody listens it does not say.
        Ok(Receipt::Accepted)
    }

    /// Waits for the word of the stream that keeps a subject. Others may answer as well: whoever listens to it.
    async fn kept(&self, subject: &str, stream: &str, mut inbox: Inbox) -> Result<Receipt, Fault> {
        let until = Instant::now() + self.shared.dial.timeout;
        loop {
            let msg = inbox
                .next(OP, subject, until.saturating_duration_since(Instant::now()))
                .await
                .map_err(|fault| unanswered(fault, subject))?;
            // The stream was deleted a moment ago: nobody keeps it.
            if is_nobody(&msg) {
                return Ok(Receipt::Accepted);
            }
            let answer: Option<Value> = serde_json::from_slice(&msg.payload).ok();
            if self.is_elsewhere(answer.as_ref()) {
                continue;
            }
            if answer.is_some_and(|answer| answer.get("error").is_some_and(Value::is_object) || text(&answer, "stream") == stream) {
                // It is kept; where is told by the stream's own address.
                return acknowledged(subject, stream, subject, &msg.payload).map(|_| Receipt::Accepted);
            }
        }
    }

    async fn stored(&self, channel: &str, stream: &str, message: &Outgoing) -> Result<Receipt, Fault> {
        let wrong = |cause: String| Fault::new(Kind::Usage, OP, channel, cause);
        if message.option("reply").is_some_and(|reply| !reply.is_empty()) {
            return Err(wrong("a stream's acknowledgement takes the place of a reply".to_owned()).next("publish to the subject itself"));
        }
        let key = match message.key.as_deref().map(std::str::from_utf8) {
            None => None,
            Some(Ok(subject)) if is_subject(subject) && !is_pattern(subject) => Some(subject),
            Some(_) => {
                return Err(wrong("the key is no subject".to_owned()).next("the key of a stream's message is its subject: orders.created"));
            }
        };
        let mut list = sent(channel, &message.headers)?;
        if let Some(id) = message.option("id").filter(|id| !id.is_empty()) {
            list.retain(|header| header.name != "Nats-Msg-Id");
            list.push(named("Nats-Msg-Id", id));
        }
        if let Some(last) = message.option("expected").filter(|last| !last.is_empty()) {
            list.push(named("Nats-Expected-Last-Sequence", last));
        }
        let (headers, payload) = (block(channel, &list)?, payload(channel, message)?);
        // In one go, so that calls keep their order.
        let begun = tokio::task::unconstrained(async {
            let known = self.known.stream(stream).await?;
            let subject = subject_in(channel, stream, known.as_ref(), key)?;
            let inbox = self.shared.api.link.ask(OP, &subject, &headers, &payload).await?;
            Ok((subject, inbox))
        });
        let (subject, mut inbox) = match begun.await {
            Ok(begun) => begun,
            Err(fault) => return Err(self.taken_by(stream, fault, key).await),
        };
        let until = Instant::now() + self.shared.dial.timeout;
        let answer = loop {
            let answer = inbox.next(OP, channel, until.saturating_duration_since(Instant::now())).await;
            if !answer.as_ref().is_ok_and(|msg| self.is_elsewhere(serde_json::from_slice(&msg.payload).ok().as_ref())) {
                break answer;
            }
        };
        let stored = match answer {
            Err(fault) => Err(unanswered(fault, channel)),
            Ok(msg) if is_nobody(&msg) => Err(Fault::new(Kind::Unreachable, OP, channel, "no server leads the stream now")
                .next("a leader is being elected, or the stream was deleted: try again in a few seconds")),
            Ok(msg) => acknowledged(channel, stream, &subject, &msg.payload),
        };
        if stored.is_err() {
            self.known.forget(stream);
        }
        stored
    }

    /// Whether an acknowledgement is that of a stream in another domain than the profile's: on both sides of a leaf node one may take the
    /// same subjects under the same name.
    fn is_elsewhere(&self, answer: Option<&Value>) -> bool {
        let (Some(domain), Some(answer)) = (&self.shared.dial.domain, answer) else { return false };
        let says = answer.get("domain").and_then(Value::as_str);
        answer.get("stream").is_some() && says.map_or(answer.get("error").is_none(), |says| says != domain)
    }

    /// A subject that the stream does not take: who does.
    async fn taken_by(&self, stream: &str, fault: Fault, key: Option<&str>) -> Fault {
        let Some(subject) = key.filter(|_| fault.kind == Kind::NotFound) else { return fault };
        if !self.known.stream(stream).await.is_ok_and(|known| known.is_some()) {
            return fault;
        }
        match self.known.keeper(subject).await.as_deref() {
            Some(other) => Fault { kind: Kind::Rejected, ..fault }.next(format!("stream:{other} takes it")),
            None => fault,
        }
    }
}

/// The subject that a message of this stream is published to, which the stream must take: else another one would store it.
fn subject_in(channel: &str, stream: &str, known: Option<&StreamInfo>, key: Option<&str>) -> Result<String, Fault> {
    let Some(info) = known else {
        return Err(Fault::new(Kind::NotFound, OP, channel, "there is no such stream"));
    };
    let subjects = info.subjects();
    if info.flag("no_ack") {
        return Err(Fault::new(
            Kind::Rejected,
            OP,
            channel,
            "the stream acknowledges nothing (no_ack): whether it stored would not be known",
        )
        .next("publish to its subject itself"));
    }
    match (key, &subjects[..]) {
        (_, []) => Err(Fault::new(Kind::Rejected, OP, channel, "the stream takes no subjects: it mirrors or gathers other streams")),
        (Some(key), all) if all.iter().any(|own| covers(own, key)) => Ok(key.to_owned()),
        (Some(key), all) => Err(Fault::new(Kind::NotFound, OP, channel, format!("stream {stream} does not take the subject {key}"))
            .next(format!("it takes {}", all.join(", ")))),
        (None, [only]) if !is_pattern(only) => Ok((*only).to_owned()),
        (None, all) => Err(Fault::new(Kind::Usage, OP, channel, format!("the stream takes many subjects: {}", all.join(", ")))
            .next("say which: the key of a stream's message is its subject")),
    }
}

/// The headers as they are sent. Conditions of the first publishing are not those of another one; what this one is to fulfil is said by
/// the field `expected`.
fn sent(target: &str, headers: &[Header]) -> Result<Vec<Header>, Fault> {
    if headers.iter().any(|header| header.name.eq_ignore_ascii_case(b"Nats-Rollup")) {
        return Err(Fault::new(Kind::Rejected, OP, target, "the header Nats-Rollup makes a stream delete the messages before this one")
            .next("leave it out, and purge with stream.purge if that is wanted"));
    }
    let condition = |header: &&Header| header.name.to_ascii_lowercase().starts_with(b"nats-expected-");
    Ok(headers.iter().filter(|header| !condition(header)).cloned().collect())
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

pub(super) fn block(target: &str, list: &[Header]) -> Result<Vec<u8>, Fault> {
    headers::block(list).map_err(|cause| Fault::new(Kind::Rejected, OP, target, cause))
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
