//! `Tail` for Redis: XREAD for streams; pushed messages for pub/sub channels, patterns and changes of keys.

use super::Redis;
use super::entry::Id;
use super::history::Edges;
use super::link::{Own, Push};
use super::name::{Glob, Key, Name};
use super::value;
use crate::adapters::backlog::{self, Feed, backlog};
use crate::adapters::fit::Fit;
use crate::adapters::reopen::{Outlet, Reopens, keep_open};
use crate::adapters::session::Tail;
use crate::domain::channel::Cost;
use crate::domain::fault::{Fault, Kind};
use crate::domain::message::{Message, Stamp};
use crate::domain::position::Position;
use crate::domain::tail::TailEvent;
use crate::domain::text::SafeText;
use crate::domain::time::Timestamp;
use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use redis::{AsyncConnectionConfig, PushInfo, PushKind, Value, cmd};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, mpsc};
use tokio_util::task::AbortOnDropHandle;

const OP: &str = "tail";
/// How long the server waits for an entry before it says that there is none, in milliseconds. A dead connection is seen this soon.
const BLOCK: u64 = 1_000;
/// How often some streams are asked for their length, and how many at a time.
const ASK: Duration = Duration::from_secs(1);
const ASKED: usize = 8;
/// Ids that are remembered of each stream.
const SEEN: usize = 1_000;
/// How often a stream whose length gives no reason is looked at all the same: that costs its first and its last entry.
const LOOK: Duration = Duration::from_secs(30);
/// How often a quiet connection is asked whether it lives.
const CHECK: Duration = Duration::from_secs(1);
/// Events on their way to who listens.
const EVENTS: usize = 4;

#[async_trait]
impl Tail for Redis {
    fn cost(&self) -> Cost {
        Cost::Nothing
    }

    async fn tail(&self, channels: &[Arc<str>]) -> Result<BoxStream<'static, TailEvent>, Fault> {
        let (mut streams, mut pushed, mut partly) = (Vec::new(), Vec::new(), None);
        for channel in channels {
            match self.resolve(OP, channel).await? {
                Name::Stream(name) => streams.push(self.cursor(&name).await?),
                Name::Channel(name) => pushed.push(Subscription::channel(&name)),
                Name::Key(keys) => {
                    partly = partly.or(self.notifications(channel).await?);
                    pushed.push(Subscription::keys(self.link.db, &keys));
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
                let reader = Streams::new(self.clone(), cursors, events.clone());
                readers.push(AbortOnDropHandle::new(tokio::spawn(keep_open(reader, own, self.integration.reconnect.clone()))));
            }
        }
        if let Some(why) = partly {
            // The channel has room: nothing was sent yet by anybody who waits.
            let _ = events.try_send(TailEvent::Waits(Some(why)));
        }
        if !pushed.is_empty() {
            let reader = Pushed::new(self.clone(), pushed, feed);
            let own = reader.subscribe().await?;
            tasks.push(AbortOnDropHandle::new(tokio::spawn(keep_open(reader, own, self.integration.reconnect.clone()))));
        }
        Ok(backlog::tail((backlog, tasks), (listener, readers)))
    }
}

/// Where the tail of a stream stands.
struct Cursor {
    name: Key,
    channel: Arc<str>,
    last: Id,
    /// Entries ever added up to `last`, where the server counts them.
    added: Option<u64>,
    /// The stream as it was when it was looked at last.
    first: Option<Id>,
    length: u64,
    looked: Instant,
    /// Whether entries came since its length was asked for.
    came: bool,
    /// Entries ever added when the tail began.
    began: Option<u64>,
    /// The ids that were read last, in order.
    seen: VecDeque<Id>,
}

struct Streams {
    redis: Redis,
    cursors: Vec<Cursor>,
    /// Entries of each stream asked for at once.
    fit: Fit,
    /// When lengths were asked for, and whose turn is next.
    asked: Instant,
    turn: usize,
    out: Outlet,
}

impl Redis {
    /// The end of a stream now; a stream that is not there yet begins at its beginning.
    async fn cursor(&self, name: &Key) -> Result<Cursor, Fault> {
        let channel = Name::Stream(name.clone()).text().into();
        let edges = match self.edges(OP, name).await {
            Ok(edges) => edges,
            Err(fault) if fault.kind == Kind::NotFound => Edges { length: 0, first: None, last: Id::FIRST, added: Some(0), exact: true },
            Err(fault) => return Err(fault),
        };
        let Edges { length, first, last, added, .. } = edges;
        Ok(Cursor {
            name: name.clone(),
            channel,
            last,
            added,
            first,
            length,
            looked: Instant::now(),
            came: false,
            began: added,
            seen: VecDeque::from([last]),
        })
    }

    /// A connection for requests about a stream that wait.
    pub(super) async fn blocking(&self, stream: &Key) -> Result<Own, Fault> {
        let patience = Duration::from_millis(BLOCK) + self.integration.timeout;
        let serving = self.link.serving(stream).await;
        self.link.dedicated(serving.as_deref(), AsyncConnectionConfig::new().set_response_timeout(Some(patience))).await
    }

    /// Whether the server tells of changed keys: refused where it tells nothing, and what it leaves out where it tells some of it. Where it
    /// does not say, silence has to be taken for quiet.
    async fn notifications(&self, channel: &str) -> Result<Option<SafeText>, Fault> {
        let said = self.link.call(cmd("CONFIG").arg("GET").arg("notify-keyspace-events"), OP, channel).await;
        let Some(flags) = said.ok().map(value::pairs).and_then(|mut pairs| pairs.pop()).and_then(|(_, flags)| value::text(&flags)) else {
            return Ok(None);
        };
        match missing_events(&flags) {
            Missing::All => Err(Fault::new(
                Kind::Rejected,
                OP,
                channel,
                format!("the server does not tell of changed keys (notify-keyspace-events is \"{flags}\")"),
            )
            .next("an administrator can switch it on: CONFIG SET notify-keyspace-events KA")),
            Missing::Some(kinds) => {
                Ok(Some(SafeText::from(format!("the server does not tell of {kinds} (notify-keyspace-events is \"{flags}\")"))))
            }
            Missing::None => Ok(None),
        }
    }
}

/// What a server leaves out of what happens to keys.
#[derive(Debug, PartialEq, Eq)]
enum Missing {
    None,
    Some(String),
    All,
}

/// The classes of events that change keys; `A` stands for all of them.
const CLASSES: &[(char, &str)] = &[
    ('g', "deletes and renames"),
    ('$', "strings"),
    ('l', "lists"),
    ('s', "sets"),
    ('h', "hashes"),
    ('z', "sorted sets"),
    ('t', "streams"),
    ('x', "expiry"),
    ('e', "eviction"),
];

/// What `notify-keyspace-events` leaves out: `K` says that it is told by key, classes say what.
fn missing_events(flags: &str) -> Missing {
    if flags.contains('K') && flags.contains('A') {
        return Missing::None;
    }
    let off: Vec<&str> = CLASSES.iter().filter(|(class, _)| !flags.contains(*class)).map(|(_, name)| *name).collect();
    match off.len() {
        _ if !flags.contains('K') => Missing::All,
        0 => Missing::None,
        n if n == CLASSES.len() => Missing::All,
        _ => Missing::Some(off.join(", ")),
    }
}

impl Streams {
    fn new(redis: Redis, cursors: Vec<Cursor>, events: mpsc::Sender<TailEvent>) -> Self {
        Self { redis, cursors, fit: Fit::default(), asked: Instant::now(), turn: 0, out: Outlet::Stored(events) }
    }

    /// Reads until the connection fails; `Ok` when nobody listens any more.
    async fn follow(&mut self, own: &Own) -> Result<(), Fault> {
        loop {
            let mut command = cmd("XREAD");
            command.arg("COUNT").arg(self.fit.count()).arg("BLOCK").arg(BLOCK).arg("STREAMS");
            for cursor in &self.cursors {
                command.arg(&cursor.name);
            }
            for cursor in &self.cursors {
                command.arg(cursor.last.to_string());
            }
            let answer = own.call(&command, OP, "").await?;
            let (mut sizes, mut strange, together) = (Vec::new(), None, self.cursors.len());
            // RESP3 answers with a map, and with nil when nothing came.
            for (name, entries) in value::named(answer) {
                let Some(cursor) = self.cursors.iter_mut().find(|cursor| cursor.name.bytes() == name) else { continue };
                let mut messages = Vec::new();
                for entry in value::items(entries) {
                    match self.redis.form.message(&cursor.channel, entry) {
                        Ok((id, message)) => {
                            cursor.read(id);
                            messages.push(message);
                        }
                        Err(fault) => {
                            strange = Some(fault);
                            break;
                        }
                    }
                }
                cursor.added = cursor.added.map(|added| added + messages.len() as u64);
                (cursor.came, cursor.length) = (true, cursor.length + messages.len() as u64);
                // Together they are one answer.
                sizes.extend(messages.iter().map(|message| message.size() * together));
                if !self.out.say(TailEvent::Messages(messages)).await {
                    return Ok(());
                }
            }
            // What came before it was handed on.
            if let Some(fault) = strange {
                return Err(fault);
            }
            self.fit.saw(sizes);
            if self.asked.elapsed() >= ASK {
                for _ in 0..ASKED.min(self.cursors.len()) {
                    self.turn = (self.turn + 1) % self.cursors.len();
                    if !self.look(self.turn).await? {
                        return Ok(());
                    }
                }
                self.asked = Instant::now();
            }
        }
    }

    /// Looks whether a quiet stream was deleted and made anew: its ids may begin again below those that were read, and waiting for
    /// greater ones would never end. False when nobody listens any more.
    ///
    /// A changed length gives it away without reading an entry; seldom it is looked at whatever the length is.
    async fn look(&mut self, at: usize) -> Result<bool, Fault> {
        let cursor = &mut self.cursors[at];
        let length = self.redis.link.call(cmd("XLEN").arg(&cursor.name), OP, &cursor.channel).await;
        let length = match length {
            Ok(length) => value::int(&length).and_then(|n| u64::try_from(n).ok()).unwrap_or(0),
            // Who may read entries may perhaps not ask for their number.
            Err(fault) if fault.kind == Kind::Forbidden => cursor.length,
            Err(fault) => return Err(fault),
        };
        // While entries come it is a stream whose ids rise; that its length is another one may be their own doing.
        let changed = !std::mem::take(&mut cursor.came) && length != cursor.length;
        if length == 0 || (!changed && cursor.looked.elapsed() < LOOK) {
            cursor.length = if length == 0 { 0 } else { cursor.length };
            return Ok(true);
        }
        (cursor.looked, cursor.length) = (Instant::now(), length);
        let edges = match self.redis.edges(OP, &cursor.name).await {
            Ok(edges) => edges,
            Err(fault) if fault.kind == Kind::NotFound => return Ok(true),
            Err(fault) => return Err(fault),
        };
        // Ids of one stream only rise.
        if edges.last >= cursor.last || (!edges.exact && !cursor.is_another(&edges)) {
            cursor.first = edges.first.or(cursor.first);
            return Ok(true);
        }
        let fault = cursor.made_anew(&edges);
        let lost = edges.added.map(|added| added.saturating_sub(edges.length));
        for event in [TailEvent::Interrupted(fault), TailEvent::Resumed { lost }] {
            if !self.out.say(event).await {
                return Ok(false);
            }
        }
        Ok(true)
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
            let gone = if cursor.is_another(&edges) {
                cursor.made_anew(&edges);
                cursor.added
            } else {
                // A server that lost its newest entries in a crash stands behind us.
                cursor.last = cursor.last.min(edges.last);
                edges.added.zip(cursor.added).map(|(now, then)| now.saturating_sub(edges.length).saturating_sub(then))
            };
            cursor.first = edges.first.or(cursor.first);
            lost = lost.zip(gone).map(|(sum, gone)| sum + gone);
        }
        Ok(lost)
    }
}

#[async_trait]
impl Reopens for Streams {
    type Open = Own;

    async fn read(&mut self, own: &mut Own) -> Option<Fault> {
        self.follow(own).await.err()
    }

    async fn reopen(&mut self) -> Result<(Own, Option<u64>), Fault> {
        let lost = self.lost().await?;
        Ok((self.redis.blocking(&self.cursors[0].name).await?, lost))
    }

    fn outlet(&self) -> &Outlet {
        &self.out
    }
}

impl Cursor {
    fn read(&mut self, id: Id) {
        self.last = id;
        if self.seen.len() == SEEN {
            self.seen.pop_front();
        }
        self.seen.push_back(id);
    }

    /// Whether the stream is another one than before the connection broke. The same one may have lost its newest entries in a crash, but
    /// then it ends with an id that was read, neither begins with a smaller one than before nor had fewer entries than when the tail began.
    fn is_another(&self, edges: &Edges) -> bool {
        let smaller = edges.first.zip(self.first).is_some_and(|(now, then)| now < then);
        let fewer = edges.added.zip(self.began).is_some_and(|(now, then)| now < then);
        let unknown =
            edges.exact && self.seen.front().is_some_and(|oldest| *oldest <= edges.last) && self.seen.binary_search(&edges.last).is_err();
        edges.last < self.last && (smaller || fewer || unknown)
    }

    /// Goes on at the beginning of a stream that was deleted and made anew.
    fn made_anew(&mut self, edges: &Edges) -> Fault {
        self.last = Id::FIRST;
        self.added = edges.added.map(|added| added.saturating_sub(edges.length));
        (self.began, self.first, self.length) = (Some(0), edges.first, 0);
        self.seen.clear();
        Fault::new(Kind::Lost, OP, &*self.channel, "the stream was deleted and made anew: its ids begin again")
            .next("it is read from its beginning")
    }
}

struct Subscription {
    topic: Key,
    pattern: bool,
    /// The messages are changes of keys.
    keys: bool,
}

impl Subscription {
    fn channel(name: &Glob) -> Self {
        let literal = name.literal();
        Self { pattern: literal.is_none(), topic: literal.unwrap_or_else(|| name.pattern().clone()), keys: false }
    }

    fn keys(db: i64, keys: &Glob) -> Self {
        let topic = [format!("__keyspace@{db}__:").as_bytes(), keys.pattern().bytes()].concat();
        Self { topic: Bytes::from(topic).into(), pattern: true, keys: true }
    }
}

/// Subscriptions, and what the server pushes by them.
struct Pushed {
    redis: Redis,
    subscriptions: Vec<Subscription>,
    maker: Arc<Mutex<Maker>>,
    out: Outlet,
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
        Self { redis, subscriptions, maker: Arc::new(Mutex::new(maker)), out: Outlet::Pushed(feed) }
    }

    /// Opens a connection and subscribes. What happens to keys is told by each server of a cluster for itself alone.
    async fn subscribe(&self) -> Result<Open, Fault> {
        let servers = if self.subscriptions.iter().any(|s| s.keys) { self.redis.link.masters().await?.addresses } else { Vec::new() };
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
        let own = self.redis.link.dedicated(server, config).await?;
        for subscription in self.subscriptions.iter().filter(|s| first || s.keys) {
            let word = if subscription.pattern { "PSUBSCRIBE" } else { "SUBSCRIBE" };
            own.call(cmd(word).arg(&subscription.topic), OP, &subscription.topic.text()).await?;
        }
        Ok(own)
    }
}

#[async_trait]
impl Reopens for Pushed {
    type Open = Open;

    async fn read(&mut self, open: &mut Open) -> Option<Fault> {
        Some(open.fails().await)
    }

    async fn reopen(&mut self) -> Result<(Open, Option<u64>), Fault> {
        Ok((self.subscribe().await?, None))
    }

    fn outlet(&self) -> &Outlet {
        &self.out
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
        let name = value::bytes(said.clone())?;
        let key = self.key(&name);
        let channel = match &key {
            Some(key) => Name::Key(Glob::literally(&key.clone().into())),
            None => Name::Channel(Glob::literally(&name.into())),
        };
        Some(Topic { said, channel: channel.text().into(), key })
    }

    /// The key that a keyspace notification tells of.
    fn key(&self, topic: &Bytes) -> Option<Bytes> {
        const BEFORE: &[u8] = b"__:";
        let behind = topic.strip_prefix(b"__keyspace@").filter(|_| self.keys)?;
        let at = behind.windows(BEFORE.len()).position(|bytes| bytes == BEFORE)?;
        Some(topic.slice_ref(&behind[at + BEFORE.len()..]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_told_by_key_and_by_class() {
        for (flags, missing) in [
            ("KEA", Missing::None),
            ("AK", Missing::None),
            ("Kg$lshzxet", Missing::None),
            ("", Missing::All),
            ("K", Missing::All),
            ("KEm", Missing::All),
            ("EA", Missing::All),
            ("Kg$lshzt", Missing::Some("expiry, eviction".to_owned())),
        ] {
            assert_eq!(missing_events(flags), missing, "{flags}");
        }
    }
}
