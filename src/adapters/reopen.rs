//! Opening again what broke: how long to wait before each attempt, and tails that stay open while their connections come and go.

#[cfg(any(feature = "mqtt", feature = "rabbitmq", feature = "redis"))]
use super::backlog::Feed;
use crate::config::profile::Reconnect;
use crate::domain::fault::Fault;
#[cfg(any(feature = "mqtt", feature = "rabbitmq", feature = "redis"))]
use crate::domain::tail::TailEvent;
use crate::domain::time::Timestamp;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// Failures in a row, and the wait after each: twice as long each time up to the profile's `reconnect.max_delay`, and half of it
/// random, so that many clients do not come back at once.
#[derive(Clone, Debug)]
pub struct Backoff {
    reconnect: Reconnect,
    failures: u32,
    since: Option<Timestamp>,
    next: Option<Instant>,
    #[cfg(any(feature = "mqtt", feature = "rabbitmq"))]
    given_up: bool,
}

impl Backoff {
    pub fn new(reconnect: &Reconnect) -> Self {
        Self {
            reconnect: reconnect.clone(),
            failures: 0,
            since: None,
            next: None,
            #[cfg(any(feature = "mqtt", feature = "rabbitmq"))]
            given_up: false,
        }
    }

    /// Waits no longer than this, whatever the profile allows: for what somebody's request stands behind.
    #[cfg(feature = "kafka")]
    #[must_use]
    pub(super) fn at_most(mut self, longest: Duration) -> Self {
        self.reconnect.max_delay = self.reconnect.max_delay.min(longest);
        self
    }

    /// Counts a failure; the wait before the next attempt.
    pub fn delay(&mut self) -> Duration {
        self.since.get_or_insert_with(now);
        self.failures = self.failures.saturating_add(1);
        let full = self.reconnect.delay.saturating_mul(1 << (self.failures - 1).min(16)).min(self.reconnect.max_delay);
        let wait = full.mul_f64(0.5 + fastrand::f64() / 2.0);
        self.next = Some(Instant::now() + wait);
        wait
    }

    /// Counts a failure; the wait before the next attempt, or the last word of what failed where the profile allows no more.
    pub fn failed(&mut self, fault: &Fault) -> Result<Duration, Fault> {
        let wait = self.delay();
        let is_last = self.reconnect.attempts().is_some_and(|most| self.failures > most);
        if is_last { Err(self.reconnect.given_up(fault)) } else { Ok(wait) }
    }

    /// The same for what is tried again only if it passes by itself. What to say of it: the last word, where nothing is tried any more.
    #[cfg(any(feature = "mqtt", feature = "rabbitmq"))]
    pub(super) fn failure(&mut self, fault: Fault) -> Fault {
        let again = if fault.kind.is_transient() { self.failed(&fault).map(|_| fault) } else { Err(fault) };
        self.given_up = again.is_err();
        again.unwrap_or_else(|last| last)
    }

    /// Opens again what has failed so, as soon as it may be; `None` once the last word was said. Dropped and called again, it loses nothing.
    #[cfg(any(feature = "mqtt", feature = "rabbitmq"))]
    pub(super) async fn open<T, F: Future<Output = Result<T, Fault>>>(&mut self, open: impl Fn() -> F) -> Option<Result<T, Fault>> {
        while !self.given_up {
            self.ready().await;
            match open().await.map_err(|fault| self.failure(fault)) {
                Err(_) if !self.given_up => {}
                opened => return Some(opened),
            }
        }
        None
    }

    /// Waits until the next attempt may be made: at once when nothing has failed. Dropped and called again, it waits for what is left.
    pub async fn ready(&self) {
        if let Some(next) = self.next {
            sleep_until(next).await;
        }
    }

    pub fn reset(&mut self) {
        (self.failures, self.since, self.next) = (0, None, None);
    }

    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// When the first of the failures was.
    pub fn since(&self) -> Timestamp {
        self.since.unwrap_or_else(now)
    }
}

fn now() -> Timestamp {
    Timestamp(jiff::Timestamp::now().as_millisecond())
}

/// Where the events of a tail go.
#[cfg(any(feature = "mqtt", feature = "rabbitmq", feature = "redis"))]
pub(super) enum Outlet {
    /// What is stored waits where it is: a slow listener slows the reading down.
    #[cfg(any(feature = "rabbitmq", feature = "redis"))]
    Stored(tokio::sync::mpsc::Sender<TailEvent>),
    /// What is pushed is taken at once: else the server would drop it unseen and uncounted.
    Pushed(Feed),
}

#[cfg(any(feature = "mqtt", feature = "rabbitmq", feature = "redis"))]
impl Outlet {
    /// Whether anybody listens. Of what is pushed nobody knows how much was lost.
    pub(super) async fn say(&self, event: TailEvent) -> bool {
        match (self, event) {
            #[cfg(any(feature = "rabbitmq", feature = "redis"))]
            (Self::Stored(events), event) => return events.send(event).await.is_ok(),
            (Self::Pushed(feed), TailEvent::Messages(messages)) => feed.extend(messages),
            (Self::Pushed(feed), TailEvent::Interrupted(fault)) => feed.interrupted(fault),
            (Self::Pushed(feed), TailEvent::Skipped { count, side }) => feed.skipped(count, side),
            (Self::Pushed(feed), TailEvent::Resumed { .. } | TailEvent::Waits(_)) => feed.resumed(),
        }
        true
    }

    /// An attempt has failed: a feed heeds whether that is known, of what is stored it is said once.
    async fn interrupted(&self, fault: Fault, known: bool) -> bool {
        #[cfg(any(feature = "rabbitmq", feature = "redis"))]
        if known && matches!(self, Self::Stored(_)) {
            return true;
        }
        self.say(TailEvent::Interrupted(fault)).await
    }

    async fn ended(&self, fault: Fault) {
        match self {
            #[cfg(any(feature = "rabbitmq", feature = "redis"))]
            Self::Stored(events) => drop(events.send(TailEvent::Interrupted(fault)).await),
            Self::Pushed(feed) => feed.ended(fault),
        }
    }
}

/// Reads by a connection, and by another one when that fails.
#[cfg(any(feature = "mqtt", feature = "rabbitmq", feature = "redis"))]
#[async_trait::async_trait]
pub(super) trait Reopens: Send {
    /// A connection with all that is subscribed to or asked for by it.
    type Open: Send;

    /// Hands on what comes until the connection fails: why. `None` when nobody listens any more.
    async fn read(&mut self, open: &mut Self::Open) -> Option<Fault>;

    /// Opens it again; how many messages went by meanwhile, `None` where nobody knows.
    async fn reopen(&mut self) -> Result<(Self::Open, Option<u64>), Fault>;

    fn outlet(&self) -> &Outlet;
}

/// Reads until nobody listens any more, or the profile allows no further attempt: that is the last word then.
#[cfg(any(feature = "mqtt", feature = "rabbitmq", feature = "redis"))]
pub(super) async fn keep_open<R: Reopens>(mut reader: R, mut open: R::Open, reconnect: Reconnect) {
    let mut backoff = Backoff::new(&reconnect);
    while let Some(mut fault) = reader.read(&mut open).await {
        drop(open);
        let (again, lost) = loop {
            let known = backoff.failures() > 0;
            if let Err(last) = backoff.failed(&fault) {
                return reader.outlet().ended(last).await;
            }
            if !reader.outlet().interrupted(fault, known).await {
                return;
            }
            backoff.ready().await;
            match reader.reopen().await {
                Ok(reopened) => break reopened,
                Err(again) => fault = again,
            }
        };
        open = again;
        backoff.reset();
        if !reader.outlet().say(TailEvent::Resumed { lost }).await {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fault::Kind;

    fn gone() -> Fault {
        Fault::new(Kind::Unreachable, "tail", "t", "gone")
    }

    #[test]
    fn waits_grow_to_the_limit_and_attempts_run_out() {
        let reconnect = Reconnect { max_attempts: Some(10), ..Reconnect::default() };
        let mut backoff = Backoff::new(&reconnect);
        let waits: Vec<Duration> = std::iter::from_fn(|| backoff.failed(&gone()).ok()).collect();
        assert_eq!(waits.len(), 10);
        assert!(waits[0] >= reconnect.delay / 2 && waits[0] <= reconnect.delay);
        assert!(waits[9] >= reconnect.max_delay / 2 && waits[9] <= reconnect.max_delay);
        assert!(backoff.failed(&gone()).is_err_and(|last| last.cause.as_str().contains("10 attempts")), "and says why");
        backoff.reset();
        assert!(backoff.failed(&gone()).is_ok_and(|wait| wait <= reconnect.delay), "what was opened begins again");
        let mut never = Backoff::new(&Reconnect { enabled: false, ..reconnect });
        assert!(never.failed(&gone()).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_that_was_given_up_goes_on_where_it_was() {
        let hour = Duration::from_secs(3_600);
        let mut backoff = Backoff::new(&Reconnect { delay: hour, max_delay: hour, ..Reconnect::default() });
        backoff.ready().await;
        let (began, wait) = (Instant::now(), backoff.delay());
        for _ in 0..7 {
            let _ = tokio::time::timeout(wait / 8, backoff.ready()).await;
        }
        backoff.ready().await;
        let waited = began.elapsed();
        assert!(waited >= wait && waited < wait + wait / 8, "{waited:?} of {wait:?}");
    }

    /// Fails at every reading, and at some attempts to open it again.
    #[cfg(feature = "redis")]
    struct Broken {
        outlet: Outlet,
        reopens: Vec<bool>,
    }

    #[cfg(feature = "redis")]
    #[async_trait::async_trait]
    impl Reopens for Broken {
        type Open = ();

        async fn read(&mut self, (): &mut ()) -> Option<Fault> {
            Some(gone())
        }

        async fn reopen(&mut self) -> Result<((), Option<u64>), Fault> {
            if self.reopens.pop().unwrap_or(false) { Ok(((), Some(7))) } else { Err(gone()) }
        }

        fn outlet(&self) -> &Outlet {
            &self.outlet
        }
    }

    /// What is said by a tail that is opened again at the third attempt and then no more.
    #[cfg(feature = "redis")]
    fn words(events: &[TailEvent]) -> Vec<String> {
        let word = |event: &TailEvent| match event {
            TailEvent::Interrupted(fault) => fault.cause.to_string(),
            other => format!("{other:?}"),
        };
        events.iter().map(word).collect()
    }

    #[cfg(feature = "redis")]
    #[tokio::test(start_paused = true)]
    async fn an_interruption_is_said_once_with_what_was_lost_and_the_last_word_says_why_it_is_the_last() {
        use futures::StreamExt;
        let reconnect = Reconnect { max_attempts: Some(3), ..Reconnect::default() };
        let last = reconnect.given_up(&gone()).cause.to_string();
        let reopens = || vec![true, false, false];
        let (events, mut stored) = tokio::sync::mpsc::channel(16);
        keep_open(Broken { outlet: Outlet::Stored(events), reopens: reopens() }, (), reconnect.clone()).await;
        let mut said = Vec::new();
        while let Some(event) = stored.recv().await {
            said.push(event);
        }
        assert_eq!(words(&said), ["gone", "Resumed { lost: Some(7) }", "gone", &last]);
        let (feed, backlog) = crate::adapters::backlog::backlog();
        keep_open(Broken { outlet: Outlet::Pushed(feed), reopens: reopens() }, (), reconnect).await;
        let said: Vec<TailEvent> = backlog.stream(()).collect().await;
        assert_eq!(words(&said), ["gone", "Resumed { lost: None }", "gone", &last], "of what was pushed nobody kept anything");
    }
}
