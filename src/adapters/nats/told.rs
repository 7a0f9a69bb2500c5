//! What the client tells beside its messages: that the connection went and came, and what the server refused.
//!
//! A refusal names a subject and no message, and comes by another way than the answers: whoever waits for an answer of the server
//! also waits here, under the subject that it asked.

use super::dial::Dial;
use crate::domain::fault::{Fault, Kind};
use async_nats::{Event, Message, ServerError};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};

/// How the connection stands.
#[derive(Clone, Debug, Default)]
pub(super) struct Standing {
    /// Counts the connections; 1 is the first.
    pub(super) epoch: u64,
    pub(super) down: Option<Fault>,
    /// It stays down: the profile says that it is not tried again.
    pub(super) over: bool,
}

/// What the server refuses to a user, as faults say it.
pub(super) const PUBLISH: &str = "publish to";
pub(super) const SUBSCRIBE: &str = "subscribe to";

/// One waiter for a refusal.
struct Waiter {
    number: u64,
    verb: &'static str,
    subject: Arc<str>,
    refused: oneshot::Sender<Fault>,
}

/// Gathers what the client tells of one connection.
pub(super) struct Told {
    dial: Arc<Dial>,
    standing: watch::Sender<Standing>,
    waiters: Mutex<Vec<Waiter>>,
    /// Where the answers go that came to our inbox, by the last token of their subject.
    answers: Mutex<HashMap<u64, mpsc::Sender<Message>>>,
    numbers: AtomicU64,
    /// The server's last words, which may be why it ended the connection.
    last: Mutex<Option<String>>,
    no_token: Mutex<Option<Fault>>,
    slow: AtomicBool,
    /// Messages that came out of subscriptions.
    taken: AtomicU64,
    /// Messages that are known to have been dropped on the way.
    dropped: AtomicU64,
}

/// A wait for a refusal; dropping it ends the wait.
pub(super) struct Refusal {
    told: Arc<Told>,
    number: u64,
    refused: oneshot::Receiver<Fault>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Told {
    pub(super) fn new(dial: Arc<Dial>) -> Arc<Self> {
        Arc::new(Self {
            dial,
            standing: watch::Sender::default(),
            waiters: Mutex::default(),
            answers: Mutex::default(),
            numbers: AtomicU64::new(1),
            last: Mutex::default(),
            no_token: Mutex::default(),
            slow: AtomicBool::new(false),
            taken: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
        })
    }

    pub(super) fn standing(&self) -> watch::Receiver<Standing> {
        self.standing.subscribe()
    }

    pub(super) fn was_up(&self) -> bool {
        self.standing.borrow().epoch > 0
    }

    /// A number that nothing else of this connection has.
    pub(super) fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// Takes one event of the client. Called by its own task alone, in their order.
    pub(super) fn event(&self, event: Event) {
        match event {
            Event::Connected => self.up(),
            Event::Disconnected | Event::Closed => self.down(self.lost()),
            Event::ServerError(ServerError::AuthorizationViolation) => *lock(&self.last) = Some("Authorization Violation".to_owned()),
            Event::ServerError(ServerError::Other(said)) => match Violation::of(&said) {
                Some(violation) => self.refused(&violation),
                None => *lock(&self.last) = Some(said),
            },
            // The first failure to connect again says more than that the connection ended.
            Event::ClientError(error) => {
                let said = error.to_string();
                let said = said.trim_start_matches("nats: ");
                let fault = if said.contains("authorization") { self.dial.refused(said) } else { self.not_again(said) };
                self.down(fault);
            }
            Event::SlowConsumer(_) => self.slow.store(true, Ordering::Relaxed),
            Event::LameDuckMode | Event::Draining | Event::ServerError(ServerError::SlowConsumer(_)) => {}
        }
    }

    fn lost(&self) -> Fault {
        let cause = match lock(&self.last).take() {
            Some(said) => format!("the server ended the connection: {said}"),
            None => "the connection was closed, or nobody answered on it".to_owned(),
        };
        Fault::new(Kind::Unreachable, "talk to", self.dial.peer.clone(), cause).next("it is tried again")
    }

    fn not_again(&self, said: &str) -> Fault {
        Fault::new(
            Kind::Unreachable,
            "connect to",
            self.dial.peer.clone(),
            format!("the connection was lost, and connecting fails: {said}"),
        )
        .next("it is tried again")
    }

    fn up(&self) {
        self.standing.send_modify(|standing| *standing = Standing { epoch: standing.epoch + 1, ..Standing::default() });
        if self.standing.borrow().epoch > 1 {
            self.dial.log.record(&self.dial.peer, "connected again", "", Duration::ZERO);
        }
    }

    fn down(&self, fault: Fault) {
        let Standing { down, over, .. } = self.standing.borrow().clone();
        if over {
            return;
        }
        if down.is_none() {
            self.dial.log.record(&self.dial.peer, "connection lost", fault.cause.as_str(), Duration::ZERO);
        }
        self.standing.send_modify(|standing| standing.down = Some(fault));
    }

    /// The connection is not tried again. Said before the client's own word for why it was lost may have come.
    pub(super) fn give_up(&self) {
        let Standing { down, over, .. } = self.standing.borrow().clone();
        if over {
            return;
        }
        let fault = self.dial.reconnect.given_up(&down.unwrap_or_else(|| self.lost()));
        self.dial.log.record(&self.dial.peer, "connection given up", fault.cause.as_str(), Duration::ZERO);
        self.standing.send_modify(|standing| *standing = Standing { down: Some(fault), over: true, ..*standing });
    }

    /// A refusal is for all who wait for an answer about that subject: what a user may not do once, it may not do again. The client
    /// keeps no more than 128 events, so that many refusals at once do not all come.
    fn refused(&self, violation: &Violation) {
        let concerned = |waiter: &mut Waiter| waiter.verb == violation.verb && *waiter.subject == *violation.subject;
        let concerned: Vec<Waiter> = lock(&self.waiters).extract_if(.., concerned).collect();
        if concerned.is_empty() {
            self.dial.log.record(&self.dial.peer, "refused", &*violation.said, Duration::ZERO);
        }
        for waiter in concerned {
            let _ = waiter.refused.send(violation.fault());
        }
    }

    /// Waits for a refusal about that subject, from now on.
    pub(super) fn refusal(self: &Arc<Self>, verb: &'static str, subject: &str) -> Refusal {
        let (refused, receiver) = oneshot::channel();
        let number = self.number();
        lock(&self.waiters).push(Waiter { number, verb, subject: subject.into(), refused });
        Refusal { told: self.clone(), number, refused: receiver }
    }

    /// Opens a place for answers.
    pub(super) fn open(&self, number: u64, answers: mpsc::Sender<Message>) {
        lock(&self.answers).insert(number, answers);
    }

    pub(super) fn close(&self, number: u64) {
        lock(&self.answers).remove(&number);
    }

    /// Gives answers to those who asked.
    pub(super) fn route(&self, messages: Vec<Message>) {
        self.take(messages.len());
        let answers = lock(&self.answers);
        for message in messages {
            let number = message.subject.rsplit('.').next().and_then(|token| token.parse().ok());
            if let Some(asker) = number.and_then(|number: u64| answers.get(&number)) {
                // Whoever asks for more than it makes room for loses the rest; all of ours make room.
                let _ = asker.try_send(message);
            }
        }
    }

    /// Counts messages that came out of a subscription.
    pub(super) fn take(&self, messages: usize) {
        self.taken.fetch_add(messages as u64, Ordering::Relaxed);
    }

    /// Whether the client has said that a reader was too slow.
    pub(super) fn is_slow(&self) -> bool {
        self.slow.load(Ordering::Relaxed)
    }

    /// How many messages the client has dropped that nobody was told of yet: it counts what comes in, and we what comes out. `waiting`
    /// are those that may be neither.
    pub(super) fn dropped(&self, came: u64, waiting: u64) -> u64 {
        let all = came.saturating_sub(self.taken.load(Ordering::Relaxed)).saturating_sub(waiting);
        if waiting == 0 {
            self.slow.store(false, Ordering::Relaxed);
        }
        all.saturating_sub(self.dropped.fetch_max(all, Ordering::Relaxed))
    }

    pub(super) fn no_token(&self, fault: Fault) {
        *lock(&self.no_token) = Some(fault);
    }

    pub(super) fn token_fault(&self) -> Option<Fault> {
        lock(&self.no_token).take()
    }
}

impl Refusal {
    /// The refusal; waits for ever if there is none. May be given up at any moment.
    pub(super) async fn refused(&mut self) -> Fault {
        match (&mut self.refused).await {
            Ok(fault) => fault,
            // It is told once.
            Err(_) => std::future::pending().await,
        }
    }

    /// The refusal, if it has come.
    pub(super) fn has_come(&mut self) -> Option<Fault> {
        self.refused.try_recv().ok()
    }
}

impl Drop for Refusal {
    fn drop(&mut self) {
        lock(&self.told.waiters).retain(|waiter| waiter.number != self.number);
    }
}

/// `Permissions Violation for Publish to "orders.created"`.
struct Violation {
    verb: &'static str,
    subject: String,
    said: String,
}

impl Violation {
    fn of(said: &str) -> Option<Self> {
        let lower = said.to_ascii_lowercase();
        let rest = lower.strip_prefix("permissions violation for ")?;
        let verb = if rest.starts_with("publish") { PUBLISH } else { SUBSCRIBE };
        let subject = said.split('"').nth(1)?.to_owned();
        Some(Self { verb, subject, said: said.to_owned() })
    }

    fn fault(&self) -> Fault {
        Fault::new(Kind::Forbidden, self.verb, &*self.subject, format!("our user may not {} this subject [{}]", self.verb, self.said))
            .next(format!("ask for the permission to {} {}", self.verb, self.subject))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::wirelog::WireLog;
    use crate::config::profile::Integration;

    fn told() -> Arc<Told> {
        let integration = Integration::new("nats", "nats", vec!["127.0.0.1:4222".to_owned()]);
        Told::new(Arc::new(Dial::new(&integration, WireLog::default()).expect("a dial")))
    }

    fn refusal_of(subject: &str) -> Event {
        Event::ServerError(ServerError::Other(format!("Permissions Violation for Publish to \"{subject}\"")))
    }

    #[test]
    fn a_violation_names_what_was_refused() {
        let violation = Violation::of("Permissions Violation for Publish to \"$JS.API.STREAM.CREATE.X\"").expect("a violation");
        assert_eq!((violation.verb, violation.subject.as_str()), ("publish to", "$JS.API.STREAM.CREATE.X"));
        let violation = Violation::of("Permissions Violation for Subscription to \"a.>\" using queue \"q\"").expect("a violation");
        assert_eq!((violation.verb, violation.fault().kind), ("subscribe to", Kind::Forbidden));
        assert!(Violation::of("Stale Connection").is_none());
    }

    #[test]
    fn a_refusal_is_for_all_who_wait_for_it() {
        let told = told();
        let mut waiting =
            [(PUBLISH, "a"), (PUBLISH, "a"), (SUBSCRIBE, "a"), (PUBLISH, "b")].map(|(verb, subject)| told.refusal(verb, subject));
        told.event(refusal_of("a"));
        let come = waiting.each_mut().map(|refusal| refusal.has_come().map(|fault| fault.kind));
        assert_eq!(come, [Some(Kind::Forbidden), Some(Kind::Forbidden), None, None]);
        assert!(waiting[0].has_come().is_none(), "it is told once");
        drop(waiting);
        assert!(lock(&told.waiters).is_empty());
    }

    #[test]
    fn the_servers_last_word_is_the_cause() {
        let told = told();
        told.event(Event::Connected);
        assert!(told.was_up());
        told.event(Event::ServerError(ServerError::Other("User Authentication Expired".to_owned())));
        told.event(Event::Disconnected);
        let standing = told.standing().borrow().clone();
        assert!(standing.down.expect("down").cause.as_str().contains("User Authentication Expired"));
        told.event(Event::Connected);
        let standing = told.standing().borrow().clone();
        assert!(standing.epoch == 2 && standing.down.is_none());
    }

    #[test]
    fn what_was_dropped_is_told_once() {
        let told = told();
        told.take(70);
        // Of 100 that came, 20 may still be waiting.
        assert_eq!(told.dropped(100, 20), 10);
        told.take(15);
        assert_eq!((told.dropped(100, 0), told.dropped(100, 0)), (5, 0));
    }
}
