//! `Hold` for Redis: entries of a stream received by a consumer of our own in a group (XREADGROUP), and acknowledged one by one.
//!
//! Redis takes nothing back by itself: an entry that is not acknowledged stays pending with the consumer that it was given to until
//! somebody claims it. Its handle is its id, and outlives the connection.

use super::Redis;
use super::entry::Id;
use super::groups::{Pending, Row};
use super::link::Own;
use super::name::{Key, Name};
use super::value;
use crate::adapters::fit::Fit;
use crate::adapters::reopen::Backoff;
use crate::adapters::session::{Came, Closed, Handle, Hold, Holding};
use crate::domain::delivery::{Delivery, Effect, Given, ReceiveOption, Settlement, Settles, Verb};
use crate::domain::fault::{Fault, Kind};
use crate::domain::figure;
use async_trait::async_trait;
use redis::{Value, cmd};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

const OP: &str = "receive from";
const SETTLE: &str = "settle";
/// How long the server waits for an entry, in milliseconds.
const BLOCK: u64 = 1_000;
/// Entries looked for after a broken connection: there are never more than there was room for.
const MISSED: usize = 10_000;
/// Pending entries that are counted at the end.
const COUNTED: usize = 1_000;

static VERBS: [Verb; 2] = [
    Verb::new(Effect::Ack, "XACK", "done: it leaves the group's pending list"),
    Verb::new(Effect::Extend, "XCLAIM", "its idle time begins again, so that nobody claims it meanwhile"),
];

const LEFT_PENDING: &str = "stays pending with our consumer of the group until somebody claims it";

/// What a decision on so many entries does: the stream keeps them whatever is decided.
fn settles(effect: Effect, entries: usize) -> Settles {
    let many = if entries == 1 { "1 entry".to_owned() } else { format!("{} entries", figure::grouped(entries as u64)) };
    Settles::usual(match effect {
        Effect::Extend => format!("the idle time of {many} begins again"),
        _ => format!("{many} done for this group: off its pending list; the stream keeps its entries, and other groups theirs"),
    })
}

/// Where the entries that are pending with our consumer are found, or that there is none.
fn left_with(consumer: &str, group: &str, pending: usize) -> String {
    match pending {
        0 => "our consumer is gone again".to_owned(),
        COUNTED => format!("that is {consumer} of the group {group}, which may have more"),
        _ => format!("that is {consumer} of the group {group}"),
    }
}

#[async_trait]
impl Hold for Redis {
    fn verbs(&self, _channel: &str) -> &'static [Verb] {
        &VERBS
    }

    async fn ack_timeout(&self, _channel: &str) -> Result<Option<Duration>, Fault> {
        Ok(None)
    }

    fn unsettled_fate(&self, _channel: &str) -> &'static str {
        LEFT_PENDING
    }

    fn outlives_connections(&self, _channel: &str) -> bool {
        true
    }

    async fn receive_options(&self, channel: &str) -> Result<Vec<ReceiveOption>, Fault> {
        match self.received(channel).await? {
            Source::In { .. } => Ok(Vec::new()),
            Source::Of { groups, .. } => {
                let mut receive_options = Vec::with_capacity(groups.len());
                for row in &groups {
                    receive_options.push(row.way(self.behind(row, None).await.unwrap_or_default()));
                }
                Ok(receive_options)
            }
        }
    }

    async fn settles(&self, _channel: &str, effect: Effect, given: &[Given]) -> Result<Settles, Fault> {
        Ok(settles(effect, given.len()))
    }

    async fn receive(&self, channel: &str, most: u32) -> Result<Box<dyn Holding>, Fault> {
        let (stream, group) = self.group_for(channel).await?;
        let consumer = format!("mqdeck-{}-{:08x}", std::process::id(), fastrand::u32(..));
        let own = self.blocking(&stream).await?;
        let (deliver, delivered) = mpsc::channel(1);
        let (settled, room) = mpsc::channel(most.max(1) as usize);
        let channel: Arc<str> = Name::Stream(stream.clone()).text().into();
        let at = At { redis: self.clone(), stream, group, consumer, channel };
        let reader =
            Reader { at: at.clone(), deliver, room, free: most.max(1), known: HashSet::new(), missed: Vec::new(), fit: Fit::default() };
        let reading = AbortOnDropHandle::new(tokio::spawn(reader.run(own)));
        Ok(Box::new(Held { at, delivered, settled, reading: Some(reading) }))
    }
}

/// A consumer of a group of a stream.
#[derive(Clone)]
struct At {
    redis: Redis,
    stream: Key,
    group: Key,
    consumer: String,
    channel: Arc<str>,
}

impl At {
    /// Finds out who serves the stream now, and opens a connection to it.
    async fn reconnect(&self) -> Result<Own, Fault> {
        let kind = self.redis.link.call(cmd("TYPE").arg(&self.stream), OP, &self.channel).await?;
        if value::text(&kind).is_none_or(|kind| kind != "stream") {
            return Err(Fault::new(Kind::NotFound, OP, &*self.channel, "there is no stream of that name"));
        }
        self.redis.blocking(&self.stream).await
    }
}

struct Held {
    at: At,
    delivered: mpsc::Receiver<Result<Came, Fault>>,
    /// Says which entry is settled, so that there is room for one more.
    settled: mpsc::Sender<Id>,
    reading: Option<AbortOnDropHandle<()>>,
}

#[async_trait]
impl Holding for Held {
    async fn next(&mut self) -> Option<Result<Came, Fault>> {
        self.delivered.recv().await
    }

    /// Without a reader nobody is given entries that nobody will look at.
    async fn stop_receiving(&mut self) -> Result<(), Fault> {
        self.reading = None;
        Ok(())
    }

    async fn settle(&mut self, handle: Handle, settlement: &Settlement) -> Result<(), Fault> {
        let At { redis, stream, group, consumer, channel } = &self.at;
        let id = Id::held(handle);
        let text = id.to_string();
        match settlement.effect {
            Effect::Ack => {
                let said = redis.link.call(cmd("XACK").arg(stream).arg(group).arg(&text), SETTLE, channel).await?;
                // There is room for as many as were held.
                let _ = self.settled.try_send(id);
                if value::int(&said) == Some(1) {
                    return Ok(());
                }
                Err(Fault::new(Kind::Lost, SETTLE, text, "it was not pending any more: somebody else has acknowledged it"))
            }
            Effect::Extend => {
                let mut claim = cmd("XCLAIM");
                claim.arg(stream).arg(group).arg(consumer).arg(0).arg(&text).arg("JUSTID");
                let said = redis.link.call(&claim, SETTLE, channel).await?;
                if value::items(said).is_empty() {
                    return Err(Fault::new(Kind::Rejected, SETTLE, text, "it is not pending any more, or was deleted from the stream"));
                }
                Ok(())
            }
            Effect::Requeue | Effect::Reject => {
                Err(Fault::new(Kind::Usage, SETTLE, text, "a stream takes nothing back, and rejects nothing")
                    .next("leave it pending: another consumer of the group can claim it"))
            }
        }
    }

    async fn close(mut self: Box<Self>) -> Result<Closed, Fault> {
        self.reading = None;
        self.delivered.close();
        let At { redis, stream, group, consumer, channel } = &self.at;
        // With what was given to us by answers that never came, or that nobody looked at.
        let left = redis.pending(stream, group, Duration::ZERO, Some(&Key::parse(consumer)), COUNTED).await?.len();
        if left == 0 {
            redis.link.call(cmd("XGROUP").arg("DELCONSUMER").arg(stream).arg(group).arg(consumer), OP, channel).await?;
        }
        Ok(Closed { unsettled: Some(left as u64), notes: vec![left_with(consumer, &group.to_string(), left)] })
    }
}

/// Reads into a queue of one, as long as there is room for more unsettled entries.
struct Reader {
    at: At,
    deliver: mpsc::Sender<Result<Came, Fault>>,
    room: mpsc::Receiver<Id>,
    free: u32,
    /// What was handed on and is not settled.
    known: HashSet<Id>,
    /// What the server gave to our consumer by an answer that never came: to be asked for again, the last first.
    missed: Vec<Pending>,
    fit: Fit,
}

impl Reader {
    async fn run(mut self, mut own: Own) {
        loop {
            while let Ok(id) = self.room.try_recv() {
                self.settled(id);
            }
            if self.free == 0 {
                match self.room.recv().await {
                    Some(id) => self.settled(id),
                    None => return,
                }
                continue;
            }
            match self.read(&own).await {
                Ok(true) => {}
                Ok(false) => return,
                Err(fault) => {
                    let Some(opened) = self.interrupted(fault).await else { return };
                    own = opened;
                }
            }
        }
    }

    /// Says what happened, and opens the connection again; `None` when nobody listens any more, or the profile allows no further attempt.
    async fn interrupted(&mut self, fault: Fault) -> Option<Own> {
        let mut backoff = Backoff::new(&self.at.redis.integration.reconnect);
        let mut waits = backoff.failed(&fault);
        self.deliver.send(Err(waits.as_ref().err().cloned().unwrap_or(fault))).await.ok()?;
        while waits.is_ok() {
            backoff.ready().await;
            match self.reopen().await {
                Ok(opened) => return self.deliver.send(Ok(Came::Back)).await.ok().map(|()| opened),
                Err(fault) => waits = backoff.failed(&fault),
            }
        }
        self.deliver.send(Err(waits.err()?)).await.ok()?;
        None
    }

    fn settled(&mut self, id: Id) {
        self.known.remove(&id);
        self.free += 1;
    }

    /// Opens another connection, and finds out what is pending with our consumer that was never seen here: an answer may have been lost
    /// on its way, and `>` gives only what was given to nobody yet.
    async fn reopen(&mut self) -> Result<Own, Fault> {
        let own = self.at.reconnect().await?;
        let At { redis, stream, group, consumer, .. } = &self.at;
        let mut pending = redis.pending(stream, group, Duration::ZERO, Some(&Key::parse(consumer)), MISSED).await?;
        pending.retain(|one| !self.known.contains(&one.id));
        pending.reverse();
        self.missed = pending;
        Ok(own)
    }

    /// Asks for what there is room for; false when nobody listens any more.
    async fn read(&mut self, own: &Own) -> Result<bool, Fault> {
        let At { stream, group, consumer, channel, .. } = &self.at;
        let again = self.missed.last().map(|one| (one.id, one.deliveries));
        let count = if again.is_some() { 1 } else { (self.free as usize).min(self.fit.count()) };
        let mut command = cmd("XREADGROUP");
        command.arg("GROUP").arg(group).arg(consumer).arg("COUNT").arg(count).arg("BLOCK").arg(BLOCK).arg("STREAMS").arg(stream);
        // With an id it is the next one behind it that our consumer was given before.
        command.arg(again.map_or_else(|| ">".to_owned(), |(id, _)| id.previous().unwrap_or(Id::FIRST).to_string()));
        let answer = own.call(&command, OP, channel).await?;
        self.missed.pop();
        let (mut sizes, mut strange) = (Vec::new(), None);
        for entry in value::named(answer).into_iter().flat_map(|(_, entries)| value::items(entries)) {
            // It was deleted from the stream meanwhile: nothing is left to be shown of it.
            if is_gone(&entry) || again.is_some_and(|(id, _)| id_of(&entry) != Some(id)) {
                continue;
            }
            let named = id_of(&entry);
            let (id, message) = match self.at.redis.form.message(&self.at.channel, entry) {
                Ok(read) => read,
                // The others are handed on first, and this one is not asked for again.
                Err(fault) => {
                    self.known.extend(named);
                    strange = Some(fault);
                    continue;
                }
            };
            sizes.push(message.size());
            self.free = self.free.saturating_sub(1);
            self.known.insert(id);
            // An entry that was never delivered before: this is the first time.
            let deliveries = Some(again.map_or(1, |(_, before)| before.saturating_add(1)));
            let delivery = Delivery { ticket: None, message, deliveries, redelivered: again.is_some() };
            if self.deliver.send(Ok(Came::Message(Some(id.handle()), Box::new(delivery)))).await.is_err() {
                return Ok(false);
            }
        }
        self.fit.saw(sizes);
        match strange {
            Some(fault) => Err(fault),
            None => Ok(!self.deliver.is_closed()),
        }
    }
}

fn id_of(entry: &Value) -> Option<Id> {
    match entry {
        Value::Array(parts) => parts.first().and_then(Id::of),
        _ => None,
    }
}

/// Whether an entry of a pending list is no longer in the stream: it has an id and no fields.
fn is_gone(entry: &Value) -> bool {
    matches!(entry, Value::Array(parts) if matches!(parts.get(1), None | Some(Value::Nil)))
}

/// What a channel says about where is received.
enum Source {
    /// `stream:jobs/workers`.
    In { stream: Key, group: Key },
    /// `stream:jobs`, which has these groups, one at least.
    Of { stream: Key, groups: Vec<Row> },
}

impl Redis {
    async fn received(&self, channel: &str) -> Result<Source, Fault> {
        let stream = match self.resolve(OP, channel).await {
            Ok(Name::Stream(name)) => name,
            Ok(other) => return Err(Fault::new(Kind::Usage, OP, other.text(), "only streams can be received from")),
            // A bare name with its group: `jobs/workers`.
            Err(fault) if fault.kind == Kind::NotFound => Key::parse(channel),
            Err(fault) => return Err(fault),
        };
        let kind = self.link.call(cmd("TYPE").arg(&stream), OP, channel).await?;
        if value::text(&kind).is_none_or(|kind| kind != "stream") {
            let (stream, group) = self.split_group(&stream.text()).await?;
            return Ok(Source::In { stream, group });
        }
        let groups = self.groups_of(OP, &stream).await?;
        if groups.is_empty() {
            let fault = Fault::new(Kind::NotFound, OP, stream.text(), "the stream has no group");
            return Err(fault.next("make one first: operation group.create"));
        }
        Ok(Source::Of { stream, groups })
    }

    /// The stream and the group that a channel means: `stream:jobs/workers`, or `stream:jobs` where it has one group.
    async fn group_for(&self, channel: &str) -> Result<(Key, Key), Fault> {
        match self.received(channel).await? {
            Source::In { stream, group } => Ok((stream, group)),
            Source::Of { stream, mut groups } if groups.len() == 1 => Ok((stream, groups.remove(0).name)),
            Source::Of { stream, groups } => {
                let receive_options: Vec<String> = groups.iter().map(|row| format!("stream:{stream}/{}", row.name)).collect();
                let fault = Fault::new(Kind::Usage, OP, stream.text(), "the stream has several groups");
                Err(fault.next(format!("name one: {}", receive_options.join(", "))))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::operation::Risk;

    #[test]
    fn a_plan_says_that_the_stream_keeps_its_entries_and_the_end_with_whom_the_rest_is_pending() {
        for (effect, entries, words) in [
            (Effect::Ack, 1, "1 entry done for this group: off its pending list; the stream keeps its entries, and other groups theirs"),
            (Effect::Ack, 1_200, "1,200 entries done for this group"),
            (Effect::Extend, 2, "the idle time of 2 entries begins again"),
        ] {
            let settles = settles(effect, entries);
            assert!(settles.risk == Risk::Reversible && settles.summary.as_str().starts_with(words), "{settles:?}");
        }
        // Redis takes nothing back: the words must not promise it.
        assert!(LEFT_PENDING.starts_with("stays pending") && !LEFT_PENDING.contains("back"));
        for (pending, words) in [
            (0, "our consumer is gone again"),
            (2, "that is mqdeck-1 of the group workers"),
            (COUNTED, "that is mqdeck-1 of the group workers, which may have more"),
        ] {
            assert_eq!(left_with("mqdeck-1", "workers", pending), words);
        }
        assert!(VERBS.iter().all(|verb| !matches!(verb.effect, Effect::Requeue | Effect::Reject)), "a stream takes nothing back");
    }
}
