//! History of streams, by sequence and by time. Subjects have none: what core NATS carried is gone.

use super::api::Api;
use super::model::StreamInfo;
use super::names::Name;
use super::stored::{Stored, number};
use crate::adapters::session::{Lane, Log, Reading};
use crate::domain::channel::Cost;
use crate::domain::fault::{Fault, Kind};
use crate::domain::message::Message;
use crate::domain::position::{Bound, Position, Range};
use async_trait::async_trait;
use futures::StreamExt;
use futures::stream;

const OP: &str = "read";

pub(super) struct NatsHistory {
    api: Api,
}

impl NatsHistory {
    pub(super) fn new(api: Api) -> Self {
        Self { api }
    }
}

#[async_trait]
impl Log for NatsHistory {
    fn cost(&self) -> Cost {
        Cost::Nothing
    }

    async fn read(&self, channel: &str, range: Range) -> Result<Reading, Fault> {
        let stream = match Name::of(OP, channel)? {
            Name::Stream(stream) | Name::Consumer { stream, .. } => stream,
            Name::Subject(subject) => return Err(no_history(&self.api, channel, subject).await),
            Name::Service(_) | Name::Queue { .. } => return Err(Fault::new(Kind::Usage, OP, channel, "it keeps no messages")),
        };
        let info = self.api.stream(OP, stream).await?;
        let stored = Stored::new(self.api.clone(), stream, info.flag("allow_direct"));
        let mut reading = Reading { lanes: Vec::new(), notes: notes(&info, range.start) };
        let (Some(start), Some(end)) = (resolve(&stored, &info, range.start).await?, resolve(&stored, &info, range.end).await?) else {
            return Ok(reading);
        };
        if start < end {
            let at_most = (end - start).min(info.state.messages.max(1));
            let place = Place { stored, seq: start, end };
            reading.lanes.push(Lane { partition: None, at_most, batches: stream::unfold(Some(place), batch).boxed() });
        }
        Ok(reading.within(range))
    }
}

/// A subject may be kept by a stream: say which.
async fn no_history(api: &Api, channel: &str, subject: &str) -> Fault {
    let keeper: Result<serde_json::Value, Fault> = api.call(OP, channel, "STREAM.NAMES", &serde_json::json!({ "subject": subject })).await;
    let names = keeper
        .ok()
        .and_then(|answer| Some(answer.get("streams")?.as_array()?.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect()));
    let names: Vec<String> = names.unwrap_or_default();
    if names.is_empty() {
        return Fault::new(Kind::Usage, OP, channel, "a subject has no history, and no stream keeps this one")
            .next("tail it live, or name a stream: stream:NAME");
    }
    Fault::new(Kind::Usage, OP, channel, "a subject has no history; a stream keeps this one")
        .next(names.iter().map(|name| format!("read stream:{name}")).collect::<Vec<_>>().join(", "))
}

/// The sequence of a bound; `None` where the stream can have nothing of it.
async fn resolve(stored: &Stored, info: &StreamInfo, bound: Bound) -> Result<Option<u64>, Fault> {
    let (first, end) = (info.first(), info.end());
    let within = |seq: u64| seq.clamp(first.min(end), end);
    Ok(Some(match bound {
        Bound::Earliest => within(first),
        Bound::Latest => end,
        Bound::BeforeEnd(back) => within(end.saturating_sub(back)),
        Bound::Each(seq) => within(u64::try_from(seq).unwrap_or(0)),
        Bound::At(Position::Sequence(seq)) => within(seq),
        // A stream has no partitions and no entries.
        Bound::At(_) => return Ok(None),
        Bound::Time(time) => stored.at(OP, time, within(first), end).await?,
    }))
}

fn notes(info: &StreamInfo, start: Bound) -> Vec<String> {
    let mut notes = Vec::new();
    let asked = match start {
        Bound::Each(seq) => u64::try_from(seq).ok(),
        Bound::At(Position::Sequence(seq)) => Some(seq),
        _ => None,
    };
    if asked.is_some_and(|asked| asked > 0 && asked < info.first()) {
        notes.push(format!("the stream begins at {}: what stood before was deleted", info.first()));
    }
    if info.state.num_deleted > 0 {
        notes.push(format!("{} messages between the first and the last were deleted", info.state.num_deleted));
    }
    notes
}

/// Where a reading goes on.
struct Place {
    stored: Stored,
    seq: u64,
    end: u64,
}

async fn batch(place: Option<Place>) -> Option<(Result<Vec<Message>, Fault>, Option<Place>)> {
    let mut place = place?;
    match place.stored.from(OP, place.seq, place.end).await {
        Ok(messages) => {
            place.seq = number(messages.last()?) + 1;
            Some((Ok(messages), Some(place)))
        }
        Err(fault) => Some((Err(fault), None)),
    }
}
