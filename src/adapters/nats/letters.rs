//! `DeadLetters` for JetStream. It moves nothing that fails: it says once, by an advisory, that a message was given out as often as it may
//! be or was terminated. A stream that keeps these advisories is the place of the letters; the messages stay in the streams they are in.

use super::api::Api;
use super::model::{ConsumerInfo, StreamInfo, text};
use super::names::{Name, is_name, stream_channel};
use super::stored::{Stored, number};
use crate::adapters::session::DeadLetters;
use crate::domain::channel::Attribute;
use crate::domain::dead_letter::finding::{self, Finding};
use crate::domain::dead_letter::place::{Assumptions, DeadLetterMap, Found, Letter, Path, Place, PlaceKind, Target};
use crate::domain::fault::{Fault, Kind};
use crate::domain::figure::{Amount, duration, several};
use crate::domain::message::Message;
use crate::domain::position::Position;
use crate::domain::text::SafeText;
use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

const MAP: &str = "map dead letters of";
const READ: &str = "read dead letters of";
/// What the server says of consumers: by their stream and their name, and by what happened.
const ADVISORIES: &str = "$JS.EVENT.ADVISORY.CONSUMER.";
/// What of it is about dead messages, with the reason that it stands for.
const DEATHS: [(&str, &str); 2] = [("MAX_DELIVERIES", "max_deliveries"), ("MSG_TERMINATED", "terminated")];
/// Advisories read at once, and their messages asked for at once.
const BATCH: u64 = 500;
const ABREAST: usize = 16;

pub(super) struct NatsLetters {
    api: Api,
}

impl NatsLetters {
    pub(super) fn new(api: Api) -> Self {
        Self { api }
    }
}

#[async_trait]
impl DeadLetters for NatsLetters {
    async fn map(&self, assumed: &Assumptions) -> Result<DeadLetterMap, Fault> {
        let streams = match self.api.streams(MAP).await {
            Ok(streams) => streams,
            Err(fault) if fault.kind == Kind::Rejected && !self.api.link.dial().is_elsewhere() => {
                return Ok(DeadLetterMap::empty("JetStream is not enabled: what subscribers fail to process is gone"));
            }
            Err(fault) => return Err(fault),
        };
        let consumed: Vec<String> =
            streams.iter().filter(|info| info.state.consumer_count > 0).map(|info| info.name().to_owned()).collect();
        let lists = self.api.consumers_of(MAP, consumed).await;
        let (mut consumers, mut gaps) = (Vec::new(), Vec::new());
        for list in lists {
            match list {
                Ok(list) => consumers.extend(list),
                // Deleted since the streams were listed.
                Err(fault) if fault.kind == Kind::NotFound => {}
                Err(fault) => gaps.push(fault),
            }
        }
        let mut keepers = Vec::new();
        for info in streams.iter().filter(|info| info.subjects().iter().any(|subject| may_keep(subject))) {
            keepers.push((info, self.recorded(info).await.map_err(|fault| gaps.push(fault)).ok()));
        }
        let audit = Audit { streams: &streams, consumers: &consumers, keepers, assumed };
        let map = audit.map();
        gaps.extend(map.gaps);
        Ok(DeadLetterMap { gaps, ..map }.sorted())
    }

    async fn letters(&self, place: &str, _assumed: &Assumptions) -> Result<BoxStream<'static, Result<Vec<Letter>, Fault>>, Fault> {
        let Name::Stream(name) = Name::of(READ, place)? else {
            return Err(Fault::new(Kind::Usage, READ, place, "dead letters are read from the stream that keeps their advisories")
                .next("write stream:NAME"));
        };
        let info = self.api.stream(READ, name).await?;
        let filter = format!("{ADVISORIES}>");
        let stored = Stored::filtered(self.api.clone(), name, info.flag("allow_direct"), &filter, BATCH);
        let reader = Reader { api: self.api.clone(), stored, place: place.into(), next: info.first(), end: info.end() };
        Ok(stream::unfold(Some(reader), batch).map(stream::iter).flatten().boxed())
    }
}

impl NatsLetters {
    /// How many advisories of each subject a stream keeps.
    async fn recorded(&self, info: &StreamInfo) -> Result<BTreeMap<String, u64>, Fault> {
        let (target, call) = (format!("stream:{}", info.name()), format!("STREAM.INFO.{}", info.name()));
        let body = json!({ "subjects_filter": format!("{ADVISORIES}>") });
        let info: StreamInfo = self.api.call(MAP, &target, &call, &body).await?;
        let subjects = info.state.subjects.unwrap_or_default();
        Ok(subjects.into_iter().filter_map(|(subject, count)| Some((subject, count.as_u64()?))).collect())
    }
}

/// Whether a subject of a stream takes any advisory about a dead message.
fn may_keep(subject: &str) -> bool {
    let advisory = |word: &str| format!("{ADVISORIES}{word}.*.*");
    let overlaps = |pattern: &str| {
        let (mut own, mut other) = (subject.split('.'), pattern.split('.'));
        loop {
            match (own.next(), other.next()) {
                (Some(">"), Some(_)) | (None, None) => return true,
                (Some(a), Some(b)) if a == b || a == "*" || b == "*" => {}
                _ => return false,
            }
        }
    };
    DEATHS.iter().any(|(word, _)| overlaps(&advisory(word)))
}

/// All that is known of the account.
struct Audit<'a> {
    streams: &'a [StreamInfo],
    consumers: &'a [ConsumerInfo],
    /// Streams that keep advisories, with how many of each subject, where that could be read.
    keepers: Vec<(&'a StreamInfo, Option<BTreeMap<String, u64>>)>,
    assumed: &'a Assumptions,
}

impl Audit<'_> {
    fn map(&self) -> DeadLetterMap {
        let mut map = DeadLetterMap::default();
        let mut sources = BTreeSet::new();
        for consumer in self.consumers.iter().filter(|info| text(&info.config, "ack_policy") != "none") {
            let paths = self.paths(consumer);
            if !paths.is_empty() {
                sources.insert(consumer.stream_name.as_str());
            }
            map.findings.extend(self.consumer_findings(consumer, &paths));
            map.paths.extend(paths);
        }
        let keepers = self.keepers.iter().map(|(info, _)| info.name());
        let assumed = self.assumed.channels.iter().filter_map(|channel| match Name::of(MAP, channel) {
            Ok(Name::Stream(name)) => Some(name),
            _ => None,
        });
        let places: BTreeSet<&str> = keepers.chain(assumed).collect();
        for info in self.streams {
            if places.contains(info.name()) {
                map.findings.extend(self.kept_findings(info, "dead letters have"));
                if info.state.consumer_count == 0 {
                    map.findings.push(Finding::new(finding::UNREAD, stream_channel(info.name()), "it has no consumer"));
                }
            } else if sources.contains(info.name()) {
                map.findings.extend(self.kept_findings(info, "messages that failed stay in it, and have"));
            }
        }
        for name in places {
            if !self.streams.iter().any(|info| info.name() == name) {
                let cause = "there is no stream of that name, though it is said to hold dead letters";
                map.gaps.push(Fault::new(Kind::NotFound, MAP, format!("stream:{name}"), cause));
            }
        }
        map
    }

    /// The ways of a consumer's messages: one to each stream that keeps advisories of them, or nowhere.
    fn paths(&self, consumer: &ConsumerInfo) -> Vec<Path> {
        let limit = max_deliver(consumer);
        let subject = |word: &str| format!("{ADVISORIES}{word}.{}.{}", consumer.stream_name, consumer.name);
        let path = |to: Target, when: Vec<&'static str>| Path {
            from: stream_channel(&consumer.stream_name),
            group: Some(group(consumer)),
            to,
            by: limit.iter().map(|limit| Attribute::new("max deliver", limit.to_string())).collect(),
            when,
            losses: Vec::new(),
            certain: true,
        };
        let mut paths = Vec::new();
        for (info, recorded) in &self.keepers {
            let kept: Vec<_> = DEATHS.iter().filter(|(word, _)| info.takes(&subject(word))).collect();
            let counts =
                |counts: &BTreeMap<String, u64>| Amount::Exactly(kept.iter().filter_map(|(word, _)| counts.get(&subject(word))).sum());
            let letters = recorded.as_ref().map_or(Amount::Unknown, counts);
            let when: Vec<&str> =
                kept.iter().map(|(_, reason)| *reason).filter(|reason| *reason == "terminated" || limit.is_some()).collect();
            if !when.is_empty() {
                paths.push(path(Target::Place(Place { name: stream_channel(info.name()), kind: PlaceKind::Advisories, letters }), when));
            }
        }
        if paths.is_empty() && limit.is_some() {
            let why = "the message stays in the stream, and no stream keeps the advisory that says which one it is";
            paths.push(path(Target::Nowhere(why.into()), vec!["max_deliveries"]));
        }
        paths
    }

    fn consumer_findings(&self, consumer: &ConsumerInfo, paths: &[Path]) -> Vec<Finding> {
        let Some(limit) = max_deliver(consumer) else { return Vec::new() };
        let (channel, group) = (stream_channel(&consumer.stream_name), group(consumer));
        let new = |kind, detail: String| Finding::new(kind, channel.clone(), detail).of(group.clone());
        let kept = |reason: &str| paths.iter().any(|path| path.to.name().is_some() && path.when.contains(&reason));
        let times = several(limit, "time");
        let mut found = Vec::new();
        match (kept("max_deliveries"), kept("terminated")) {
            (true, true) => {}
            (true, false) => found.push(new(
                finding::UNRECORDED,
                "no stream keeps its advisories MSG_TERMINATED: which messages were terminated is recorded nowhere".to_owned(),
            )),
            (false, _) => found.push(new(
                finding::UNRECORDED,
                format!("it gives up a message after {times}, and no stream keeps its advisories MAX_DELIVERIES: which one it was is recorded nowhere"),
            )),
        }
        // What was given out again and is neither acknowledged nor to be given out is dead, whatever was said of it.
        let dead = consumer.num_redelivered.saturating_sub(consumer.num_ack_pending);
        let recorded = self.recorded_deaths(consumer);
        if dead > recorded.unwrap_or(u64::MAX) || (recorded.is_none() && !kept("max_deliveries") && dead > 0) {
            let known = recorded.map_or_else(|| "none is recorded".to_owned(), |n| format!("{} recorded", several(n, "death")));
            let are = several(dead, "message");
            found.push(new(finding::UNANNOUNCED, format!("it has given up {are} or more, and {known}")));
        }
        found
    }

    /// Messages past the limit of a consumer that advisories tell of; `None` if nobody keeps any, or how many is not known.
    fn recorded_deaths(&self, consumer: &ConsumerInfo) -> Option<u64> {
        let subject = format!("{ADVISORIES}MAX_DELIVERIES.{}.{}", consumer.stream_name, consumer.name);
        let keepers = self.keepers.iter().filter(|(info, _)| info.takes(&subject));
        keepers.filter_map(|(_, counts)| Some(counts.as_ref()?.get(&subject).copied().unwrap_or(0))).max()
    }

    /// What deletes from a stream that letters, or the messages that they are about, are in.
    fn kept_findings(&self, info: &StreamInfo, what: &str) -> Vec<Finding> {
        let (channel, window) = (stream_channel(info.name()), self.assumed.window);
        let limit = |name: &str| info.config.get(name).and_then(Value::as_i64).filter(|limit| *limit > 0).map(i64::unsigned_abs);
        let mut found = Vec::new();
        if let Some(age) = limit("max_age").map(Duration::from_nanos).filter(|age| *age < window) {
            let detail = format!("it keeps messages for {}, and {what} to stay for {}", duration(age), duration(window));
            found.push(Finding::new(finding::EXPIRES, channel.clone(), detail));
        }
        let full = [("max_msgs", "messages"), ("max_bytes", "bytes"), ("max_msgs_per_subject", "messages of a subject")];
        let full: Vec<String> = full.iter().filter_map(|(name, unit)| Some(format!("{} {unit}", limit(name)?))).collect();
        if !full.is_empty() && text(&info.config, "discard") != "new" {
            let detail = format!("behind {} it deletes its oldest messages (discard: old)", full.join(" or "));
            found.push(Finding::new(finding::DROPS_OLDEST, channel, detail));
        }
        found
    }
}

/// How often a message may be given out; `None` if for ever.
fn max_deliver(consumer: &ConsumerInfo) -> Option<u64> {
    consumer.config.get("max_deliver").and_then(Value::as_i64).filter(|limit| *limit > 0).map(i64::unsigned_abs)
}

fn group(consumer: &ConsumerInfo) -> Arc<str> {
    format!("{}/{}", consumer.stream_name, consumer.name).into()
}

/// Reads a stream of advisories.
struct Reader {
    api: Api,
    stored: Stored,
    place: Arc<str>,
    next: u64,
    end: u64,
}

/// An advisory, as far as it is needed.
#[derive(Deserialize)]
struct Advisory {
    stream: String,
    consumer: String,
    stream_seq: u64,
    deliveries: Option<u64>,
    #[serde(default)]
    reason: String,
    timestamp: Option<String>,
}

/// The letters of the next advisories, with what could not be read of them.
async fn batch(reader: Option<Reader>) -> Option<(Vec<Result<Vec<Letter>, Fault>>, Option<Reader>)> {
    let mut reader = reader?;
    loop {
        let messages = match reader.stored.from(READ, reader.next, reader.end).await {
            Ok(messages) => messages,
            Err(fault) => return Some((vec![Err(fault)], None)),
        };
        reader.next = number(messages.last()?).saturating_add(1);
        let read: Vec<_> = messages.iter().filter_map(|message| reader.read(message)).collect();
        let (mut items, mut letters) = (Vec::new(), Vec::new());
        for one in read {
            match one {
                Ok(letter) => letters.push(letter),
                Err(fault) => items.push(Err(fault)),
            }
        }
        let fetch = |letter: Letter| async { reader.with_message(letter).await };
        let letters: Vec<Letter> = stream::iter(letters).map(fetch).buffered(ABREAST).collect().await;
        if !letters.is_empty() {
            items.push(Ok(letters));
        }
        if !items.is_empty() {
            return Some((items, Some(reader)));
        }
    }
}

impl Reader {
    /// What an advisory says; `None` if it is about something else.
    fn read(&self, message: &Message) -> Option<Result<Letter, Fault>> {
        let subject = message.key.as_deref().map(String::from_utf8_lossy)?;
        let word = subject.strip_prefix(ADVISORIES)?.split('.').next()?;
        let reason = DEATHS.iter().find(|(death, _)| *death == word)?.1;
        // Anybody who may publish there can have written it.
        let read: Result<Advisory, _> = serde_json::from_slice(message.payload.as_deref().unwrap_or_default());
        let damaged = |cause: String| Fault::new(Kind::Protocol, READ, format!("{}#{}", self.place, message.position), cause);
        Some(match read {
            Err(error) => Err(damaged(format!("this is no advisory: {error}"))),
            Ok(advisory) if !is_name(&advisory.stream) || !is_name(&advisory.consumer) => {
                Err(damaged("this is no advisory: no stream or consumer can have these names".to_owned()))
            }
            Ok(advisory) => Ok(Letter {
                channel: stream_channel(&advisory.stream),
                position: Position::Sequence(advisory.stream_seq),
                group: format!("{}/{}", advisory.stream, advisory.consumer).into(),
                consumer: None,
                reason,
                explanation: Some(advisory.reason.as_str()).filter(|said| !said.is_empty()).map(SafeText::new),
                deliveries: advisory.deliveries,
                died: advisory.timestamp.as_deref().and_then(super::stored::time).or(message.timestamp),
                recorded: Some(message.position),
                message: Found::Gone(SafeText::default()),
            }),
        })
    }

    async fn with_message(&self, letter: Letter) -> Letter {
        let stream = letter.channel.strip_prefix("stream:").unwrap_or_default();
        let seq = if let Position::Sequence(seq) = letter.position { seq } else { 0 };
        let message = match Stored::new(self.api.clone(), stream, false).exactly(READ, seq).await {
            Ok(Some(message)) => Found::Message(Box::new(message)),
            Ok(None) => Found::Gone("it was deleted from its stream".into()),
            Err(fault) if fault.kind == Kind::NotFound => Found::Gone("its stream is not there any more".into()),
            Err(fault) => Found::Unread(fault),
        };
        Letter { message, ..letter }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_keeps_advisories_if_one_of_its_subjects_takes_any() {
        for (subject, keeps) in [
            ("$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.>", true),
            ("$JS.EVENT.ADVISORY.CONSUMER.*.ORDERS.*", true),
            ("$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.ORDERS.billing", true),
            ("$JS.EVENT.ADVISORY.>", true),
            (">", true),
            ("$JS.EVENT.ADVISORY.CONSUMER.MSG_NAKED.>", false),
            ("$JS.EVENT.ADVISORY.STREAM.>", false),
            ("$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES", false),
            ("orders.>", false),
        ] {
            assert_eq!(may_keep(subject), keeps, "{subject}");
        }
    }
}
