//! What is to be written to the server, and who waits for its answer.
//!
//! A server works through what one connection sends in order, and answers in order: a `PING` behind a command is answered when the
//! command was carried out, and an `-ERR` before that answer is about that command. So every command that can be refused is followed
//! by a `PING`, and the first who waits is the one whom a refusal concerns.

use crate::domain::fault::Fault;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, Semaphore, oneshot};

/// Bytes of messages that may wait to be written.
const ROOM: usize = 8 << 20;

/// What the server refuses to a user, as faults and the server name it.
pub(crate) const PUBLISH: &str = "publish to";
pub(crate) const SUBSCRIBE: &str = "subscribe to";

/// One command that the server has not answered.
pub(crate) struct Waiting {
    /// `PUBLISH` or `SUBSCRIBE`; empty for a bare `PING`.
    pub(crate) verb: &'static str,
    pub(crate) subject: Box<str>,
    pub(crate) refused: Option<Fault>,
    pub(crate) then: Then,
}

/// What its answer is for.
pub(crate) enum Then {
    /// Somebody waits for it. Gone without a word: the connection was lost.
    Answer(oneshot::Sender<Result<(), Fault>>),
    /// Everything that was subscribed to is subscribed to again.
    Restored,
    /// It shows that the server is there.
    Pulse,
}

/// The bytes to be written, in order.
#[derive(Default)]
pub(crate) struct Out {
    state: Mutex<State>,
    filled: Notify,
    room: Room,
}

struct Room(Semaphore);

impl Default for Room {
    fn default() -> Self {
        Self(Semaphore::new(ROOM))
    }
}

#[derive(Default)]
struct State {
    bytes: Vec<u8>,
    /// The room that those take.
    taken: usize,
    waiting: VecDeque<Waiting>,
    /// Commands are taken: the connection is there, and restored.
    open: bool,
}

/// The connection is not there; nothing was sent.
pub(crate) struct Closed;

impl Out {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for room for a message; those who came first are given it first.
    pub(crate) async fn room(&self, size: usize) {
        let wanted = u32::try_from(size.min(ROOM)).unwrap_or(u32::MAX);
        // Nobody closes it.
        if let Ok(permit) = self.room.0.acquire_many(wanted).await {
            permit.forget();
        }
    }

    /// Adds commands and who waits for their answer. `taken` is the room that was waited for.
    pub(crate) fn add(&self, taken: usize, waiting: Option<Waiting>, commands: impl FnOnce(&mut Vec<u8>)) -> Result<(), Closed> {
        let taken = taken.min(ROOM);
        let mut state = self.state();
        if !state.open {
            drop(state);
            self.room.0.add_permits(taken);
            return Err(Closed);
        }
        state.taken += taken;
        state.add(waiting, commands);
        drop(state);
        self.filled.notify_one();
        Ok(())
    }

    /// Asks whether the server is there, and restored or not.
    pub(crate) fn pulse(&self) {
        self.state().add(Some(Waiting::new("", "", Then::Pulse)), |_| {});
        self.filled.notify_one();
    }

    /// Begins with a new connection. Commands are taken from [`Self::open`] on.
    pub(crate) fn begin(&self, commands: impl FnOnce(&mut Vec<u8>)) {
        self.state().add(Some(Waiting::new("", "", Then::Restored)), commands);
        self.filled.notify_one();
    }

    pub(crate) fn open(&self) {
        self.state().open = true;
    }

    /// Forgets what was not written: it must not be sent when the server is back, long after it was said to have failed.
    pub(crate) fn close(&self) {
        let mut state = self.state();
        let old = std::mem::take(&mut *state);
        drop(state);
        self.room.0.add_permits(old.taken);
        for waiting in old.waiting {
            if let (Then::Answer(answer), Some(fault)) = (waiting.then, waiting.refused) {
                // Some refusals end the connection as well.
                let _ = answer.send(Err(fault));
            }
        }
    }

    /// What is to be written; waits until there is something.
    pub(crate) async fn take(&self) -> Taken<'_> {
        loop {
            {
                let mut state = self.state();
                if !state.bytes.is_empty() {
                    return Taken { bytes: std::mem::take(&mut state.bytes), room: std::mem::take(&mut state.taken), out: self };
                }
            }
            self.filled.notified().await;
        }
    }

    /// Answers a `PING` of the server.
    pub(crate) fn pong(&self) {
        self.state().bytes.extend_from_slice(b"PONG\r\n");
        self.filled.notify_one();
    }

    /// The server has answered: who waited first.
    pub(crate) fn answered(&self) -> Option<Waiting> {
        self.state().waiting.pop_front()
    }

    /// The server refuses something: whether it is what the first who waits has sent. `of` is what is refused, if the server says so.
    pub(crate) fn refuse(&self, of: Option<(&str, &str)>, fault: &Fault) -> bool {
        let mut state = self.state();
        let Some(first) = state.waiting.front_mut() else { return false };
        let concerned = match of {
            Some((verb, subject)) => first.verb == verb && *first.subject == *subject,
            None => !first.verb.is_empty(),
        };
        if concerned {
            first.refused.get_or_insert_with(|| fault.clone());
        }
        concerned
    }
}

/// Bytes that are being written. Their room is free when this is dropped.
pub(crate) struct Taken<'a> {
    bytes: Vec<u8>,
    room: usize,
    out: &'a Out,
}

impl Taken<'_> {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.out.room.0.add_permits(self.room);
    }
}

impl State {
    fn add(&mut self, waiting: Option<Waiting>, commands: impl FnOnce(&mut Vec<u8>)) {
        commands(&mut self.bytes);
        if let Some(waiting) = waiting {
            self.bytes.extend_from_slice(b"PING\r\n");
            self.waiting.push_back(waiting);
        }
    }
}

impl Waiting {
    pub(crate) fn new(verb: &'static str, subject: &str, then: Then) -> Self {
        Self { verb, subject: subject.into(), refused: None, then }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fault::Kind;
    use futures::FutureExt;

    fn refused() -> Fault {
        Fault::new(Kind::Forbidden, PUBLISH, "a", "no")
    }

    #[test]
    fn a_refusal_concerns_the_first_who_waits_and_nobody_else() {
        let out = Out::default();
        out.open();
        let mut answers = Vec::new();
        for subject in ["a", "b"] {
            let (then, answer) = oneshot::channel();
            let waiting = Waiting::new(PUBLISH, subject, Then::Answer(then));
            assert!(out.add(0, Some(waiting), |bytes| bytes.extend_from_slice(b"x")).is_ok());
            answers.push(answer);
        }
        assert_eq!(out.take().now_or_never().expect("something").bytes(), b"xPING\r\nxPING\r\n");
        assert!(!out.refuse(Some((PUBLISH, "b")), &refused()) && out.refuse(Some((PUBLISH, "a")), &refused()));
        assert!(out.answered().expect("the first").refused.is_some());
        assert!(out.answered().expect("the second").refused.is_none());
        assert!(out.answered().is_none());
    }

    #[test]
    fn what_was_not_written_when_the_connection_went_is_never_sent_and_leaves_its_room() {
        let out = Out::default();
        out.open();
        out.room(ROOM).now_or_never().expect("there is room");
        let (then, mut answer) = oneshot::channel();
        assert!(out.add(ROOM, Some(Waiting::new(PUBLISH, "a", Then::Answer(then))), |_| {}).is_ok());
        assert!(out.room(1).now_or_never().is_none(), "it is full");
        out.close();
        assert!(answer.try_recv().is_err_and(|error| error == oneshot::error::TryRecvError::Closed));
        assert!(out.add(0, None, |_| {}).is_err(), "it is closed");
        out.room(ROOM).now_or_never().expect("there is room again");
        out.begin(|_| {});
        assert_eq!(out.take().now_or_never().expect("something").bytes(), b"PING\r\n");
    }
}
