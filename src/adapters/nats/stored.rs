//! Messages read back from a stream: by direct get where the stream allows it, else one by one from its leader. Neither leaves a
//! trace or needs a consumer, so that every retention can be read (ADR-31).

use super::api::Api;
use super::headers;
use super::link::{Link, is_nobody};
use super::wire::mailbox::Msg;
use crate::adapters::bounds::held;
use crate::adapters::fit::{ANSWER, Fit};
use crate::domain::fault::{Fault, Kind};
use crate::domain::message::{Message, Stamp};
use crate::domain::position::Position;
use crate::domain::time::Timestamp;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// Messages asked for at once by direct get (2.11 and later).
const BATCH: u64 = 500;
/// Every subject.
const ALL: &str = ">";
/// Single messages asked for at once.
const ABREAST: usize = 32;
/// What the server writes behind a stored message's own headers when it gives it directly (ADR-31), in this order. In a batch more
/// stands behind that.
const ADDED: [&str; 4] = ["Nats-Stream", "Nats-Subject", "Nats-Sequence", "Nats-Time-Stamp"];
/// "no message found".
const NO_MESSAGE: u64 = 10_037;

/// Reads one stream.
pub(super) struct Stored {
    api: Api,
    stream: String,
    /// As addresses name it: `stream:ORDERS`.
    channel: Arc<str>,
    direct: bool,
    /// The subject or pattern of those that are read.
    filter: String,
    /// Messages asked for at once by direct get.
    batch: u64,
    /// The server answers a batch with one message: it is older than 2.11.
    single: AtomicBool,
    /// How many are asked for one by one at once.
    fit: Mutex<Fit>,
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
        Self::filtered(api, stream, direct, ALL, BATCH)
    }

    /// Of the messages of a subject or pattern alone, of which no more than so many are wanted.
    pub(super) fn filtered(api: Api, stream: &str, direct: bool, filter: &str, most: u64) -> Self {
        Self {
            api,
            stream: stream.to_owned(),
            channel: format!("stream:{stream}").into(),
            direct,
            filter: filter.to_owned(),
            batch: most.min(BATCH),
            single: AtomicBool::new(false),
            fit: Mutex::default(),
        }
    }

    /// The messages from `seq` on that stand before `end`, in order, as many as come in one go. None: there are none.
    pub(super) async fn from(&self, op: &'static str, seq: u64, end: u64) -> Result<Vec<Message>, Fault> {
        if seq >= end {
            return Ok(Vec::new());
        }
        let mut messages = Vec::new();
        if self.direct && !self.single.load(Ordering::Relaxed) {
            messages = self.batch(op, seq, end).await?;
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
        if self.filter != ALL {
            return Ok(if number(&first) < end { vec![first] } else { Vec::new() });
        }
        let from = number(&first) + 1;
        // Nobody has said where it ends: what is not there yet is not asked for.
        let end = if end == u64::MAX { self.api.stream(op, &self.stream).await?.end() } else { end };
        let mut messages = vec![first];
        let count = {
            let mut fit = self.fit.lock().unwrap_or_else(PoisonError::into_inner);
            fit.saw(messages.iter().map(held));
            fit.count()
        };
        messages.extend(self.abreast(op, from, end.min(from.saturating_add(count as u64))).await?);
        self.fit.lock().unwrap_or_else(PoisonError::into_inner).saw(messages.iter().map(held));
        messages.retain(|message| number(message) < end);
        Ok(messages)
    }

    /// The first message at or behind `seq`; `None` if there is none.
    pub(super) async fn next(&self, op: &'static str, seq: u64) -> Result<Option<Message>, Fault> {
        self.get(op, &json!({ "seq": seq, "next_by_subj": self.filter })).await
    }

    /// The message of that sequence; `None` if it was deleted, or is not there yet.
    pub(super) async fn exactly(&self, op: &'static str, seq: u64) -> Result<Option<Message>, Fault> {
        self.get(op, &json!({ "seq": seq })).await
    }

    /// How many messages of a subject or pattern stand at or behind `seq`, as the server counts them; `None` where it does not. A server
    /// that copies the stream may answer, and be a little behind.
    pub(super) async fn count(&self, op: &'static str, seq: u64, filter: &str) -> Result<Option<u64>, Fault> {
        if !self.direct {
            return Ok(None);
        }
        let link = &self.api.link;
        let body = json!({ "seq": seq, "next_by_subj": filter, "batch": 1 }).to_string();
        let answer = link.request(op, &self.api.subject(&format!("DIRECT.GET.{}", self.stream)), &[], body.as_bytes()).await?;
        let list = headers::of(&answer.block);
        if self.direct_message(&answer).is_none() {
            return Ok(headers::status(&answer).filter(|(code, _)| *code == 404).map(|_| 0));
        }
        let pending =
            headers::at(&list, "Nats-Num-Pending").and_then(|at| std::str::from_utf8(list[at].value.as_deref()?).ok()?.parse::<u64>().ok());
        Ok(pending.map(|pending| pending.saturating_add(1)))
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
        match self.api.answer::<Got>(op, &self.channel, &format!("STREAM.MSG.GET.{}", self.stream), body).await? {
            Ok(got) => self.decoded(op, &got.message).map(Some),
            Err(refusal) if refusal.code == NO_MESSAGE => Ok(None),
            Err(refusal) => Err(refusal.fault),
        }
    }

    /// Sequences one beside the other, holes left out.
    async fn abreast(&self, op: &'static str, from: u64, end: u64) -> Result<Vec<Message>, Fault> {
        let bodies: Vec<Value> = (from..end).map(|seq| json!({ "seq": seq })).collect();
        let ask = |body: Value| async move { self.get(op, &body).await };
        let answers: Vec<_> = stream::iter(bodies).map(ask).buffered(ABREAST).collect().await;
        answers.into_iter().filter_map(Result::transpose).collect()
    }

    /// As many messages from `seq` on as one direct get gives.
    async fn batch(&self, op: &'static str, seq: u64, end: u64) -> Result<Vec<Message>, Fault> {
        let link: &Link = &self.api.link;
        let most = self.batch.min(end - seq);
        let body = json!({ "seq": seq, "next_by_subj": self.filter, "batch": most, "max_bytes": ANSWER }).to_string();
        let subject = self.api.subject(&format!("DIRECT.GET.{}", self.stream));
        let asked = Instant::now();
        let mut inbox = link.ask(op, &subject, &[], body.as_bytes()).await?;
        let mut messages = Vec::new();
        loop {
            let msg = inbox.next(op, &self.channel, link.dial().timeout).await?;
            if let Some((message, batched)) = self.direct_message(&msg) {
                messages.push(message);
                if batched {
                    continue;
                }
                self.single.store(true, Ordering::Relaxed);
                break;
            }
            match headers::status(&msg) {
                Some((204 | 404 | 408 | 413 | 429, _)) => break,
                _ if is_nobody(&msg) => return Err(self.api.nobody(op, &self.channel)),
                Some((status, reason)) => {
                    return Err(Fault::new(Kind::Rejected, op, &*self.channel, format!("the server answers {status} {reason}")));
                }
                // A block so broken that what the server added cannot be told from it: the other way it comes as base64 in JSON.
                None => return self.singly(op, seq, end).await,
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
            headers: headers::of(&block),
            payload: Some(bytes(&raw.data, "payload")?),
        })
    }

    /// A message as the server gives it directly, and whether it is one of a batch; `None` if it is something else.
    ///
    /// What the server says of it stands behind the message's own headers, which may have the same names: a stream that is fed by
    /// `republish` holds such messages. So the last ones count, where they stand as the server writes them, and they alone are left out.
    fn direct_message(&self, msg: &Msg) -> Option<(Message, bool)> {
        let mut list = headers::of(&msg.block);
        // The server's answers that are no messages have none of these; a message may begin as such an answer.
        let last = headers::at(&list, "Nats-Time-Stamp")?;
        let first = (last + 1).checked_sub(ADDED.len())?;
        let in_place = list[first..=last].iter().zip(ADDED).all(|(header, name)| header.name == name.as_bytes());
        let value = |at: usize| std::str::from_utf8(list[at].value.as_deref()?).ok();
        let (subject, seq) = (list[first + 1].value.clone()?, value(first + 2)?.parse().ok()?);
        let timestamp = time(value(last)?);
        if !in_place {
            return None;
        }
        let batched = list.split_off(first).len() > ADDED.len();
        let message = Message {
            channel: self.channel.clone(),
            position: Position::Sequence(seq),
            timestamp,
            stamp: Stamp::Stored,
            key: Some(subject),
            headers: list,
            payload: Some(msg.payload.clone()),
        };
        Some((message, batched))
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
