//! Messages read back from a stream: by direct get where the stream allows it, else one by one from its leader. Neither leaves a
//! trace or needs a consumer, so that every retention can be read (ADR-31).

use super::api::{Api, no_jetstream};
use super::headers;
use super::link::{Link, is_nobody};
use crate::domain::fault::{Fault, Kind};
use crate::domain::message::{Header, Message, Stamp};
use crate::domain::position::Position;
use crate::domain::time::Timestamp;
use async_nats::HeaderMap;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Messages asked for at once by direct get (2.11 and later).
const BATCH: u64 = 500;
/// Bytes of one batch at most: the server's own limit for what may wait for a client is 64 MiB.
const BATCH_BYTES: u64 = 4 << 20;
/// How long a connection may be gone that only a message broke.
const BACK: Duration = Duration::from_secs(1);
/// Single messages asked for at once.
const ABREAST: usize = 32;
/// What the server writes behind a stored message's own headers when it gives it directly.
const ADDED: &[&str] =
    &["Nats-Stream", "Nats-Subject", "Nats-Sequence", "Nats-Time-Stamp", "Nats-Num-Pending", "Nats-Last-Sequence", "Nats-UpTo-Sequence"];

/// Reads one stream.
pub(super) struct Stored {
    api: Api,
    stream: String,
    /// As addresses name it: `stream:ORDERS`.
    channel: Arc<str>,
    direct: bool,
    /// The server answers a batch with one message: it is older than 2.11.
    single: AtomicBool,
}

#[derive(Deserialize)]
struct Got {
    message: Raw,
}

#[derive(Deserialize)]
struct Raw {
    subject: String,
    seq: u64,
    #[serde(default)]
    hdrs: String,
    #[serde(default)]
    data: String,
    time: String,
}

impl Stored {
    pub(super) fn new(api: Api, stream: &str, direct: bool) -> Self {
        Self { api, stream: stream.to_owned(), channel: format!("stream:{stream}").into(), direct, single: AtomicBool::new(false) }
    }

    /// The messages from `seq` on that stand before `end`, in order, as many as come in one go. None: there are none.
    pub(super) async fn from(&self, op: &'static str, seq: u64, end: u64) -> Result<Vec<Message>, Fault> {
        if seq >= end {
            return Ok(Vec::new());
        }
        let mut messages = Vec::new();
        if self.direct && !self.single.load(Ordering::Relaxed) {
            match self.batch(op, seq, end).await {
                Ok(batch) => messages = batch,
                // Headers that are no UTF-8 make the client drop the connection. The other way they come as base64 in JSON.
                Err(fault) if fault.kind == Kind::Unreachable && self.api.link.is_back(BACK).await => {
                    return self.singly(op, seq, end).await;
                }
                Err(fault) => return Err(fault),
            }
        }
        if messages.is_empty() {
            // A replica may be behind, and singles know holes: the leader decides.
            return self.singly(op, seq, end).await;
        }
        messages.retain(|message| number(message) < end);
        Ok(messages)
    }

    /// The same, from the leader and one by one.
    async fn singly(&self, op: &'static str, seq: u64, end: u64) -> Result<Vec<Message>, Fault> {
        let Some(first) = self.next(op, seq).await? else { return Ok(Vec::new()) };
        let from = number(&first) + 1;
        // Nobody has said where it ends: what is not there yet is not asked for.
        let end = if end == u64::MAX { self.api.stream(op, &self.stream).await?.end() } else { end };
        let mut messages = vec![first];
        messages.extend(self.abreast(op, from, end).await?);
        messages.retain(|message| number(message) < end);
        Ok(messages)
    }

    /// The first message at or behind `seq`; `None` if there is none.
    pub(super) async fn next(&self, op: &'static str, seq: u64) -> Result<Option<Message>, Fault> {
        self.get(op, &json!({ "seq": seq, "next_by_subj": ">" })).await
    }

    /// The first sequence whose message was stored at `time` or later; `end` if there is none. The server stamps, so that times
    /// grow with sequences.
    pub(super) async fn at(&self, op: &'static str, time: Timestamp, first: u64, end: u64) -> Result<u64, Fault> {
        let (mut low, mut high) = (first, end);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.next(op, middle).await? {
                Some(message) if number(&message) < high => {
                    if message.timestamp.is_some_and(|stamp| stamp >= time) {
                        high = middle;
                    } else {
                        low = number(&message) + 1;
                    }
                }
                _ => high = middle,
            }
        }
        Ok(low)
    }

    async fn get(&self, op: &'static str, body: &Value) -> Result<Option<Message>, Fault> {
        let got = self.api.call::<Got>(op, &self.channel, &format!("STREAM.MSG.GET.{}", self.stream), body).await;
        match got {
            Ok(got) => self.decoded(op, &got.message).map(Some),
            // 10059 is a missing stream, and stays a fault.
            Err(fault) if fault.kind == Kind::NotFound && !fault.cause.as_str().contains("10059") => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    /// Sequences one beside the other, holes left out.
    async fn abreast(&self, op: &'static str, from: u64, end: u64) -> Result<Vec<Message>, Fault> {
        let wanted = from..end.min(from.saturating_add(BATCH));
        let bodies: Vec<Value> = wanted.map(|seq| json!({ "seq": seq })).collect();
        let ask = |body: Value| async move { self.get(op, &body).await };
        let answers: Vec<_> = stream::iter(bodies).map(ask).buffered(ABREAST).collect().await;
        answers.into_iter().filter_map(Result::transpose).collect()
    }

    /// As many messages from `seq` on as one direct get gives.
    async fn batch(&self, op: &'static str, seq: u64, end: u64) -> Result<Vec<Message>, Fault> {
        let link: &Link = &self.api.link;
        let most = BATCH.min(end - seq);
        let body = json!({ "seq": seq, "next_by_subj": ">", "batch": most, "max_bytes": BATCH_BYTES }).to_string();
        let subject = format!("$JS.API.DIRECT.GET.{}", self.stream);
        let asked = Instant::now();
        let mut inbox = link.ask(op, &subject, HeaderMap::new(), body.into(), most as usize + 1).await?;
        let mut messages = Vec::new();
        loop {
            let msg = inbox.next(op, &self.channel, link.dial().timeout).await?;
            match headers::status(&msg) {
                Some(204 | 404 | 408 | 413 | 429) => break,
                _ if is_nobody(&msg) => return Err(no_jetstream(op, &self.channel)),
                Some(status) => {
                    let reason = msg.description.unwrap_or_default();
                    return Err(Fault::new(Kind::Rejected, op, &*self.channel, format!("the server answers {status} {reason}")));
                }
                None => {}
            }
            let list = headers::of(&msg);
            let batched = headers::get(&list, "Nats-Num-Pending").is_some();
            messages.push(self.direct_message(op, msg.payload, list)?);
            if !batched {
                self.single.store(true, Ordering::Relaxed);
                break;
            }
        }
        let outcome = format!("{} messages", messages.len());
        link.dial().log.record(&"direct get".into(), format!("{subject} from {seq}"), outcome, asked.elapsed());
        Ok(messages)
    }

    fn decoded(&self, op: &'static str, raw: &Raw) -> Result<Message, Fault> {
        let damaged =
            |what: &str| Fault::new(Kind::Protocol, op, format!("{}#{}", self.channel, raw.seq), format!("its {what} cannot be read"));
        let bytes = |text: &str, what: &str| STANDARD.decode(text).map(Bytes::from).map_err(|_| damaged(what));
        let block = bytes(&raw.hdrs, "headers")?;
        Ok(Message {
            channel: self.channel.clone(),
            position: Position::Sequence(raw.seq),
            timestamp: time(&raw.time),
            stamp: Stamp::Stored,
            key: Some(raw.subject.clone().into()),
            headers: headers::block(&block),
            payload: Some(bytes(&raw.data, "payload")?),
        })
    }

    fn direct_message(&self, op: &'static str, payload: Bytes, mut list: Vec<Header>) -> Result<Message, Fault> {
        let wrong = |what: &str| Fault::new(Kind::Protocol, op, &*self.channel, format!("a direct answer without {what}"));
        let seq = headers::get(&list, "Nats-Sequence").and_then(|seq| seq.parse().ok()).ok_or_else(|| wrong("Nats-Sequence"))?;
        let subject = headers::get(&list, "Nats-Subject").ok_or_else(|| wrong("Nats-Subject"))?.to_owned();
        let timestamp = headers::get(&list, "Nats-Time-Stamp").and_then(time);
        for name in ADDED {
            // A message may have one of these of its own (it was republished): the server's stands behind it.
            let added = list.iter().rposition(|header| header.name.eq_ignore_ascii_case(name.as_bytes()));
            if let Some(at) = added {
                list.remove(at);
            }
        }
        Ok(Message {
            channel: self.channel.clone(),
            position: Position::Sequence(seq),
            timestamp,
            stamp: Stamp::Stored,
            key: Some(subject.into()),
            headers: list,
            payload: Some(payload),
        })
    }
}

/// The sequence of a stored message.
pub(super) fn number(message: &Message) -> u64 {
    match message.position {
        Position::Sequence(seq) => seq,
        _ => 0,
    }
}

/// A moment as JetStream writes it (RFC 3339 with nanoseconds); the zero time of Go is none.
pub(super) fn time(text: &str) -> Option<Timestamp> {
    let stamp: jiff::Timestamp = text.parse().ok()?;
    (!text.starts_with("0001-")).then(|| Timestamp(stamp.as_millisecond()))
}
