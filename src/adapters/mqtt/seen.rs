//! Which topics there are: a broker has no list, so that it is listened to, and what was seen is remembered.
//!
//! One listens while somebody looks: with the first question it begins, and some time after the last it ends.

use super::connection::{Connection, Inbox};
use super::dial::{Dialler, Role};
use super::topic;
use super::wire::{Packet, Qos, Subscription, Version};
use crate::domain::fault::Fault;
use crate::domain::text::SafeText;
use crate::domain::time::Timestamp;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

const OP: &str = "list topics of";
const SYS: &str = "$SYS/#";
/// What is retained has come when no new topic is seen for this long, or after `LONGEST` in any case.
const QUIET: Duration = Duration::from_millis(150);
const LONGEST: Duration = Duration::from_millis(1_500);
const LOOK: Duration = Duration::from_millis(50);
/// Listening ends when nobody has asked for so long.
const IDLE: Duration = Duration::from_secs(90);
/// Of what the broker says of itself this many bytes are kept.
const VALUE: usize = 80;

/// What was seen of one topic.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Topic {
    /// Whether something is retained; `None` where the protocol does not tell.
    pub(super) retained: Option<bool>,
    /// Live messages.
    pub(super) seen: u64,
    pub(super) last: Option<Timestamp>,
    /// Bytes of the last payload.
    pub(super) size: usize,
    /// The last payload, of topics that the broker itself speaks on.
    pub(super) value: Option<SafeText>,
}

/// What was seen of all of them.
#[derive(Default)]
pub(super) struct State {
    pub(super) topics: BTreeMap<Arc<str>, Topic>,
    /// Messages of topics that found no room.
    pub(super) beyond: u64,
    /// Everything retained has come.
    settled: bool,
}

pub(super) struct Seen {
    dialler: Arc<Dialler>,
    state: Arc<Mutex<State>>,
    listening: tokio::sync::Mutex<Option<Listening>>,
}

struct Listening {
    connection: Connection,
    asked: Instant,
}

impl Seen {
    pub(super) fn new(dialler: Arc<Dialler>) -> Self {
        Self { dialler, state: Arc::default(), listening: tokio::sync::Mutex::default() }
    }

    /// What was seen, after everything retained has come. Begins to listen if that is needed.
    pub(super) async fn look(self: &Arc<Self>) -> Result<MutexGuard<'_, State>, Fault> {
        let mut listening = self.listening.lock().await;
        match listening.as_mut().filter(|listening| !listening.connection.is_gone()) {
            Some(listening) => listening.asked = Instant::now(),
            None => {
                let connection = self.listen().await?;
                *listening = Some(Listening { connection, asked: Instant::now() });
                tokio::spawn(end_when_idle(Arc::downgrade(self)));
            }
        }
        drop(listening);
        Ok(self.state())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn listen(&self) -> Result<Connection, Fault> {
        if let Some(connection) = self.subscribe(self.dialler.settings.sys).await? {
            return Ok(connection);
        }
        // Some brokers end a connection that asks what they say of themselves.
        let connection = self.subscribe(false).await?;
        connection.ok_or_else(|| super::faults::closed(true, self.dialler.peer()).fault)
    }

    /// Opens a connection and waits for what is retained; `None` if the broker ended it because of `$SYS`.
    async fn subscribe(&self, sys: bool) -> Result<Option<Connection>, Fault> {
        *self.state() = State::default();
        let settings = &self.dialler.settings;
        let connection = self.dialler.open(Role::default(), self.inbox()).await?;
        let wanted = |filter: &str| Subscription { filter: filter.to_owned(), qos: Qos::Zero, retained: true, as_published: true };
        connection.subscribe(OP, settings.filters.iter().map(|filter| wanted(filter)).collect()).await?;
        if sys {
            // That it is not allowed is not worth a word: there is nothing of it then.
            if connection.ask_subscribe(OP, vec![wanted(SYS)]).await.is_err() {
                return Ok(None);
            }
        }
        let (began, mut changed, mut known) = (Instant::now(), Instant::now(), 0);
        while changed.elapsed() < QUIET && began.elapsed() < LONGEST {
            tokio::time::sleep(LOOK).await;
            let now = self.state().topics.len();
            if now != known {
                (known, changed) = (now, Instant::now());
            }
            if connection.is_gone() {
                return if sys { Ok(None) } else { Err(connection.gone().await) };
            }
        }
        self.state().settled = true;
        Ok(Some(connection))
    }

    fn inbox(&self) -> Inbox {
        let (state, most) = (self.state.clone(), self.dialler.settings.max_topics);
        // What MQTT 5 tells of live messages, 3.1.1 does not: there the mark is of what was retained before.
        let newer = self.dialler.version() == Some(Version::V5);
        Box::new(move |packet| state.lock().unwrap_or_else(PoisonError::into_inner).take(&packet, most, newer))
    }
}

impl State {
    fn take(&mut self, packet: &Packet, most: usize, newer: bool) {
        let settled = self.settled;
        let Some(topic) = self.topic(&packet.topic, most) else {
            self.beyond += 1;
            return;
        };
        if packet.retain {
            topic.retained = Some(!packet.payload.is_empty());
        } else if newer {
            topic.retained = topic.retained.or(Some(false));
        }
        if settled || !packet.retain {
            topic.seen += 1;
            topic.last = Some(Timestamp(jiff::Timestamp::now().as_millisecond()));
        }
        topic.size = packet.payload.len();
        if topic::is_internal(&packet.topic) {
            let head = &packet.payload[..packet.payload.len().min(VALUE)];
            topic.value = Some(SafeText::new(&String::from_utf8_lossy(head)));
        }
    }

    fn topic(&mut self, name: &str, most: usize) -> Option<&mut Topic> {
        if !self.topics.contains_key(name) {
            if self.topics.len() >= most {
                return None;
            }
            self.topics.insert(name.into(), Topic::default());
        }
        self.topics.get_mut(name)
    }
}

async fn end_when_idle(seen: std::sync::Weak<Seen>) {
    loop {
        tokio::time::sleep(IDLE / 3).await;
        let Some(seen) = seen.upgrade() else { return };
        let mut listening = seen.listening.lock().await;
        if listening.as_ref().is_none_or(|listening| listening.connection.is_gone() || listening.asked.elapsed() > IDLE) {
            *listening = None;
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(topic: &str, retain: bool, payload: &'static [u8]) -> Packet {
        Packet { topic: topic.into(), retain, payload: payload.into(), ..Packet::default() }
    }

    #[test]
    fn what_is_retained_is_known_as_far_as_the_protocol_tells() {
        for (newer, live) in [(true, Some(false)), (false, None)] {
            let mut state = State::default();
            state.take(&packet("kept", true, b"on"), 10, newer);
            state.take(&packet("live", false, b"1"), 10, newer);
            state.settled = true;
            assert_eq!((state.topics["kept"].retained, state.topics["kept"].seen), (Some(true), 0));
            assert_eq!((state.topics["live"].retained, state.topics["live"].seen), (live, 1));
            state.take(&packet("kept", true, b""), 10, newer);
            assert_eq!((state.topics["kept"].retained, state.topics["kept"].seen), (Some(false), 1), "cleared as we looked");
        }
    }

    #[test]
    fn topics_beyond_the_limit_are_counted() {
        let mut state = State::default();
        for topic in ["a", "b", "c", "a", "c"] {
            state.take(&packet(topic, false, b""), 2, true);
        }
        assert_eq!((state.topics.len(), state.topics["a"].seen, state.beyond), (2, 2, 2));
    }
}
