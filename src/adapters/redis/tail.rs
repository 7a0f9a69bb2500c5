//! `Tail` for Redis: XREAD for streams; pushed messages for pub/sub channels, patterns and changes of keys.

use super::Redis;
use super::entry::Id;
use super::link::{Own, Push};
use super::name::{Name, is_pattern};
use super::value;
use crate::adapters::backlog::{Feed, backlog};
use crate::adapters::session::{Cost, Tail, TailEvent};
use crate::domain::fault::{Fault, Kind};
use crate::domain::message::{Message, Stamp};
use crate::domain::position::Position;
use crate::domain::time::Timestamp;
use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};
use redis::{AsyncConnectionConfig, PushInfo, PushKind, Value, cmd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use tokio_util::task::AbortOnDropHandle;

const OP: &str = "tail";
/// Entries of a stream asked for at once: at first, as nobody knows how large they are, and at most.
const FIRST: usize = 10;
const BATCH: usize = 1_000;
/// Bytes that an answer is meant to have at most, as far as the entries before tell.
const ANSWER: usize = 4 * 1024 * 1024;
/// How long the server waits for an entry before it says that there is none, in milliseconds. A dead connection is seen this soon.
const BLOCK: u64 = 1_000;
/// How often a quiet connection is asked whether it lives.
const CHECK: Duration = Duration::from_secs(1);
/// Events on their way to who listens.
const EVENTS: usize = 4;
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

#[async_trait]
impl Tail for Redis {
    fn cost(&self) -> Cost {
        Cost::Nothing
    }

    async fn tail(&self, channels: &[Arc<str>]) -> Result<BoxStream<'static, TailEvent>, Fault> {
        let (mut streams, mut pushed) = (Vec::new(), Vec::new());
        for channel in channels {
            match self.resolve(OP, channel).await? {
                Name::Stream(name) => streams.push(self.cursor(&name).await?),
                Name::Channel(name) => pushed.push(Subscription { pattern: is_pattern(&name), topic: name, keys: false }),
                Name::Key(pattern) => {
                    self.notifications_on(channel).await?;
                    let topic = format!("__keyspace@{}__:{pattern}", self.link.db);
                    pushed.push(Subscription { pattern: true, topic, keys: true });
                }
            }
        }
        let (events, listener) = mpsc::channel(EVENTS);
        let (feed, backlog) = backlog();
        let (mut readers, mut tasks) = (Vec::new(), Vec::new());
        if !streams.is_empty() {
            // One request cannot wait at several servers of a cluster.
            let apart = if self.link.is_cluster().await? { 1 } else { streams.len() };
            while !streams.is_empty() {
                let cursors: Vec<Cursor> = streams.drain(..apart).collect();
                let own = self.blocking(&cursors[0].name).await?;
                let reader = Streams { redis: self.clone(), cursors, count: FIRST, events: events.clone() };
                readers.push(AbortOnDropHandle::new(tokio::spawn(reader.run(own))));
            }
        }
        if !pushed.is_empty() {
            let reader = Pushed::new(self.clone(), pushed, feed);
            let own = reader.subscribe().await?;
            tasks.push(AbortOnDropHandle::new(tokio::spawn(reader.run(own))));
        }
        let stored = stream::unfold((listener, readers), |(mut listener, readers)| async {
            listener.recv().await.map(|event| (event, (listener, readers)))
        });
        Ok(stream::select(backlog.stream(tasks), stored.boxed()).boxed())
    }
}

/// Where the tail of a stream stands.
struct Cursor {
    name: String,
    channel: Arc<str>,
    last: Id,
    /// Entries ever added up to `last`, where the server counts them.
    added: Option<u64>,
}

struct Streams {
    redis: Redis,
    cursors: Vec<Cursor>,
    /// Entries of each stream asked for at once.
    count: usize,
    events: mpsc::Sender<TailEvent>,
}

impl Redis {
    /// The end of a stream now; a stream that is not there yet begins at its beginning.
    async fn cursor(&self, name: &str) -> Result<Cursor, Fault> {
        let channel = Name::Stream(name.to_owned()).text().into();
        match self.edges(OP, name).await {
            Ok(edges) => Ok(Cursor { name: name.to_owned(), channel, last: edges.last, added: edges.added }),
            Err(fault) if fault.kind == Kind::NotFound => Ok(Cursor { name: name.to_owned(), channel, last: Id::FIRST, added: Some(0) }),
            Err(fault) => Err(fault),
        }
    }

    /// A connection for requests about a stream that wait.
    pub(super) async fn blocking(&self, stream: &str) -> Result<Own, Fault> {
        let patience = Duration::from_millis(BLOCK) + self.integration.timeout;
        let serving = self.link.serving(stream).await;
        self.link.own(serving.as_deref(), AsyncConnectionConfig::new().set_response_timeout(Some(patience))).await
    }

    /// Refuses where the server says that it does not tell of changed keys; where it does not say, silence has to be taken for quiet.
    async fn notifications_on(&self, channel: &str) -> Result<(), Fault> {
        let said = self.link.call(cmd("CONFIG").arg("GET").arg("notify-keyspace-events"), OP, channel).await;
        let Some(flags) = said.ok().map(value::pairs).and_then(|mut pairs| pairs.pop()).and_then(|(_, flags)| value::text(&flags)) else {
            return Ok(());
        };
        if flags.contains('K') {
            return Ok(());
        }
        Err(Fault::new(Kind::Rejected, OP, channel, "the server does not tell of changed keys (notify-keyspace-events)")
            .next("an administrator can switch it on: CONFIG SET notify-keyspace-events KEA"))
    }
}

impl Streams {
    async fn run(mut self, mut own: Own) {
        loop {
            let Err(fault) = self.read(&own).await else { return };
            if self.events.send(TailEvent::Interrupted(fault)).await.is_err() {
                return;
            }
            let mut wait = FIRST_WAIT;
            let lost = loop {
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(LONGEST_WAIT);
                if self.events.is_closed() {
                    return;
                }
                let Ok(lost) = self.lost().await else { continue };
                let Ok(opened) = self.redis.blocking(&self.cursors[0].name).await else { continue };
                own = opened;
                break lost;
            };
            if self.events.send(TailEvent::Resumed { lost }).await.is_err() {
                return;
            }
        }
    }

    /// Reads until the connection fails; `Ok` when nobody listens any more.
    async fn read(&mut self, own: &Own) -> Result<(), Fault> {
        loop {
            let mut command = cmd("XREAD");
            command.arg("COUNT").arg(self.count).arg("BLOCK").arg(BLOCK).arg("STREAMS");
            for cursor in &self.cursors {
                command.arg(&cursor.name);
            }
            for cursor in &self.cursors {
                command.arg(cursor.last.to_string());
            }
            let answer = own.call(&command, OP, "").await?;
            let (mut came, mut bytes) = (0, 0);
            // RESP3 answers with a map, and with nil when nothing came.
            for (name, entries) in value::pairs(answer) {
                let Some(cursor) = self.cursors.iter_mut().find(|cursor| cursor.name == name) else { continue };
                let mut messages = Vec::new();
                for entry in value::items(entries) {
                    let (id, message) = self.redis.form.message(&cursor.channel, entry)?;
                    cursor.last = id;
                    messages.push(message);
                }
                cursor.added = cursor.added.map(|added| added + messages.len() as u64);
                came += messages.len();
                bytes += messages.iter().map(Message::size).sum::<usize>();
                if self.events.send(TailEvent::Messages(messages)).await.is_err() {
                    return Ok(());
                }
            }
            if self.events.is_closed() {
                return Ok(());
            }
            if came > 0 {
                let fit = ANSWER * came / bytes.max(1) / self.cursors.len();
                self.count = fit.clamp(1, BATCH);
            }
        }
    }

    /// Entries that were added behind the cursors and trimmed or deleted before they could be read; `None` where the server does not
    /// count what was added.
    async fn lost(&mut self) -> Result<Option<u64>, Fault> {
        let mut lost = Some(0);
        for cursor in &mut self.cursors {
            let edges = match self.redis.edges(OP, &cursor.name).await {
                Ok(edges) => edges,
                Err(fault) if fault.kind == Kind::NotFound => continue,
                Err(fault) => return Err(fault),
            };
            // A server that lost its newest entries in a crash stands behind us.
            cursor.last = cursor.last.min(edges.last);
            let gone = edges.added.zip(cursor.added).map(|(now, then)| now.saturating_sub(edges.length).saturating_sub(then));
            lost = lost.zip(gone).map(|(sum, gone)| sum + gone);
        }
        Ok(lost)
    }
}

struct Subscription {
    topic: String,
    pattern: bool,
    /// The messages are changes of keys.
    keys: bool,
}

/// Subscriptions, and what the server pushes by them.
struct Pushed {
    redis: Redis,
    subscriptions: Vec<Subscription>,
    maker: Arc<Mutex<Maker>>,
    feed: Feed,
}

/// The connections of one attempt.
struct Open {
    connections: Vec<Own>,
    /// Whether one of them has ended.
    gone: Arc<Notify>,
}

/// Makes messages of what is pushed, in the task that reads the connection.
struct Maker {
    feed: Feed,
    /// What is pushed may be changes of keys.
    keys: bool,
    seen: u64,
    /// Of the message before: most come by the same topic.
    last: Option<Topic>,
}

/// What a message came by.
struct Topic {
    /// As the server says it.
    said: Value,
    channel: Arc<str>,
    /// Of a keyspace notification.
    key: Option<Bytes>,
}

impl Pushed {
    fn new(redis: Redis, subscriptions: Vec<Subscription>, feed: Feed) -> Self {
        let maker = Maker { feed: feed.clone(), keys: subscriptions.iter().any(|s| s.keys), seen: 0, last: None };
        Self { redis, subscriptions, maker: Arc::new(Mutex::new(maker)), feed }
    }

    /// Opens a connection and subscribes. What happens to keys is told by each server of a cluster for itself alone.
    async fn subscribe(&self) -> Result<Open, Fault> {
        let servers = if self.subscriptions.iter().any(|s| s.keys) { self.redis.link.masters().await? } else { Vec::new() };
        let gone = Arc::default();
        let mut connections = vec![self.subscribe_at(servers.first().map(String::as_str), true, &gone).await?];
        for server in servers.iter().skip(1) {
            connections.push(self.subscribe_at(Some(server), false, &gone).await?);
        }
        Ok(Open { connections, gone })
    }

    async fn subscribe_at(&self, server: Option<&str>, first: bool, gone: &Arc<Notify>) -> Result<Own, Fault> {
        let (maker, gone) = (self.maker.clone(), gone.clone());
        let push = Push(move |info: PushInfo| {
            if info.kind == PushKind::Disconnection {
                gone.notify_one();
            } else {
                maker.lock().unwrap_or_else(PoisonError::into_inner).take(info);
            }
        });
        let config = AsyncConnectionConfig::new().set_response_timeout(Some(self.redis.integration.timeout)).set_push_sender(push);
        let own = self.redis.link.own(server, config).await?;
        for subscription in self.subscriptions.iter().filter(|s| first || s.keys) {
            let word = if subscription.pattern { "PSUBSCRIBE" } else { "SUBSCRIBE" };
            own.call(cmd(word).arg(&subscription.topic), OP, &subscription.topic).await?;
        }
        Ok(own)
    }

    /// Never ends: a connection that fails is opened again.
    async fn run(self, mut open: Open) {
        loop {
            let mut fault = open.fails().await;
            drop(open);
            let mut wait = FIRST_WAIT;
            open = loop {
                self.feed.interrupted(fault);
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(LONGEST_WAIT);
                match self.subscribe().await {
                    Ok(open) => break open,
                    Err(again) => fault = again,
                }
            };
            self.feed.resumed();
        }
    }
}

impl Open {
    /// Waits for a connection to fail. A quiet one is asked whether it lives.
    async fn fails(&self) -> Fault {
        loop {
            if tokio::time::timeout(CHECK, self.gone.notified()).await.is_ok() {
                return Fault::new(Kind::Unreachable, OP, "redis", "the server closed the connection").next("it is opened again");
            }
            for own in &self.connections {
                if let Err(fault) = own.call(&cmd("PING"), OP, "").await {
                    return fault;
                }
            }
        }
    }
}

impl Maker {
    fn take(&mut self, info: PushInfo) {
        if let Some(message) = self.message(info) {
            self.feed.extend([message]);
        }
    }

    fn message(&mut self, info: PushInfo) -> Option<Message> {
        let pattern = match info.kind {
            PushKind::Message => false,
            PushKind::PMessage => true,
            _ => return None,
        };
        let mut parts = info.data.into_iter().skip(usize::from(pattern));
        let (said, payload) = (parts.next()?, value::bytes(parts.next()?)?);
        let known = self.last.take().filter(|last| last.said == said);
        let topic = match known {
            Some(known) => known,
            None => self.topic(said)?,
        };
        self.seen += 1;
        let message = Message {
            channel: topic.channel.clone(),
            position: Position::Arrival(self.seen),
            timestamp: Some(Timestamp(jiff::Timestamp::now().as_millisecond())),
            stamp: Stamp::Seen,
            key: topic.key.clone(),
            headers: Vec::new(),
            payload: Some(payload),
        };
        self.last = Some(topic);
        Some(message)
    }

    fn topic(&self, said: Value) -> Option<Topic> {
        let name = value::text(&said)?;
        let key = self.key(&name).map(str::to_owned);
        let channel = key.clone().map_or_else(|| Name::Channel(name), Name::Key);
        Some(Topic { said, channel: channel.text().into(), key: key.map(Bytes::from) })
    }

    /// The key that a keyspace notification tells of.
    fn key<'a>(&self, topic: &'a str) -> Option<&'a str> {
        self.keys.then(|| topic.strip_prefix("__keyspace@")?.split_once("__:").map(|(_, key)| key)).flatten()
    }
}
