//! One integration's connection: connect, check, reconnect with backoff, shut down. Each runs by itself, so that one that
//! hangs stalls nobody.

use super::decoders::Decoders;
use super::guard::Counts;
use super::names::Names;
use crate::adapters::reopen::Backoff;
use crate::adapters::session::Session;
use crate::adapters::wirelog::WireLog;
use crate::adapters::{self, Adapter};
use crate::config::profile::Integration;
use crate::domain::fault::{Fault, Kind};
use crate::domain::health::Link;
use crate::domain::operation::OperationSpec;
use crate::domain::time::Timestamp;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// How long a check may take before the connection counts as down.
const CHECK_TIMEOUT: Duration = Duration::from_secs(3);

/// How often a server that is still starting is tried.
const WARMING: Duration = Duration::from_millis(300);

/// A supervised integration. Dropping it ends the supervision and, once nobody uses the session, the connection.
pub(super) struct Supervised {
    pub(super) integration: Arc<Integration>,
    pub(super) title: &'static str,
    /// `None` if this build has no adapter for it.
    pub(super) adapter: Option<&'static Adapter>,
    pub(super) log: WireLog,
    /// What passed the guard, whoever asked.
    pub(super) counts: Counts,
    pub(super) names: Arc<Names>,
    pub(super) decoders: Arc<Decoders>,
    link: watch::Receiver<Link>,
    session: watch::Receiver<Option<Session>>,
    offers: Arc<OnceLock<&'static [&'static OperationSpec]>>,
    pub(super) link_recheck: Arc<Notify>,
    task: JoinHandle<()>,
}

impl Supervised {
    pub(super) fn start(integration: Integration, read_only: bool) -> Self {
        let (link_in, link) = watch::channel(Link::Connecting);
        let (session_in, session) = watch::channel(None);
        let adapter = adapters::find(&integration.system);
        let integration = Integration { kinds: adapter.map_or(&[], |adapter| adapter.kinds), ..integration };
        let (integration, log, link_recheck) = (Arc::new(integration), WireLog::default(), Arc::new(Notify::new()));
        let offers = Arc::new(OnceLock::new());
        let supervisor = Supervisor {
            integration: integration.clone(),
            log: log.clone(),
            link: link_in,
            session: session_in,
            offers: offers.clone(),
            link_recheck: link_recheck.clone(),
            read_only,
        };
        let names =
            Arc::new(integration.topic_prefix.as_deref().map_or_else(Names::default, |prefix| Names::under(prefix, integration.kinds)));
        let decoders = Decoders::new(&integration).into();
        let (title, counts) = (adapter.map_or("unknown", |a| a.title), Counts::default());
        let task = tokio::spawn(supervisor.run(adapter));
        Self { integration, title, adapter, log, counts, names, decoders, link, session, offers, link_recheck, task }
    }

    /// One that is made of other connections, with their names: `follow` keeps its link and its session as theirs are.
    pub(super) fn over<F>(
        integration: Integration,
        names: Arc<Names>,
        follow: impl FnOnce(watch::Sender<Link>, watch::Sender<Option<Session>>) -> F,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (link_in, link) = watch::channel(Link::Connecting);
        let (session_in, session) = watch::channel(None);
        let task = tokio::spawn(follow(link_in, session_in));
        let (offers, link_recheck) = (Arc::default(), Arc::default());
        let (integration, log) = (Arc::new(integration), WireLog::default());
        Self {
            integration,
            title: "Fanout",
            adapter: None,
            log,
            counts: Counts::default(),
            names,
            decoders: Arc::default(),
            link,
            session,
            offers,
            link_recheck,
            task,
        }
    }

    /// The session, as it comes.
    pub(super) fn sessions(&self) -> watch::Receiver<Option<Session>> {
        self.session.clone()
    }

    pub(super) fn link(&self) -> watch::Receiver<Link> {
        self.link.clone()
    }

    /// What the connected system offers to be done to it, whether or not the profile lets anything be done.
    pub(super) async fn offers(&self) -> Result<&'static [&'static OperationSpec], Fault> {
        self.session().await?;
        Ok(self.offers.get().copied().unwrap_or_default())
    }

    /// The session once there is one, or why the connection is down. Either can come first: of a fanout they come from several targets.
    pub(super) async fn session(&self) -> Result<Session, Fault> {
        let (mut link, mut session, mut ended) = (self.link.clone(), self.session.clone(), false);
        loop {
            if let Some(session) = session.borrow_and_update().clone() {
                return Ok(session);
            }
            if let Link::Down { fault, .. } = &*link.borrow_and_update() {
                return Err(fault.clone());
            }
            if ended {
                return Err(Fault::new(Kind::Unreachable, "use", &*self.integration.name, "the connection was closed"));
            }
            // What was sent before the end is still there to be read.
            ended = tokio::select! {
                changed = session.changed() => changed,
                changed = link.changed() => changed,
            }
            .is_err();
        }
    }

    pub(super) async fn shutdown(&self) {
        self.task.abort();
        let session = self.session.borrow().clone();
        let Some(publish) = session.and_then(|s| s.publish) else { return };
        if let Err(fault) = publish.flush().await {
            tracing::error!(integration = %self.integration.name, %fault, "flush");
        }
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Supervisor {
    integration: Arc<Integration>,
    log: WireLog,
    link: watch::Sender<Link>,
    session: watch::Sender<Option<Session>>,
    offers: Arc<OnceLock<&'static [&'static OperationSpec]>>,
    link_recheck: Arc<Notify>,
    read_only: bool,
}

impl Supervisor {
    async fn run(self, adapter: Option<&'static Adapter>) {
        if let Some(fault) = &self.integration.absent {
            self.down(fault, now(), 1, Duration::MAX);
            return;
        }
        let Some(adapter) = adapter else {
            let known: Vec<&str> = adapters::ADAPTERS.iter().map(|a| a.name).collect();
            let fault = Fault::new(
                Kind::Usage,
                "connect",
                &*self.integration.name,
                format!("this build has no adapter for type `{}`", self.integration.system),
            )
            .next(format!("it has: {}", known.join(", ")));
            self.down(&fault, now(), 1, Duration::MAX);
            return;
        };
        let (mut backoff, began) = (Backoff::new(&self.integration.reconnect), Instant::now());
        let session = loop {
            match adapter.open((*self.integration).clone(), self.log.clone()).await {
                Ok(session) => break session,
                Err(_) if self.has_ended() => return,
                Err(fault) if fault.kind.is_transient() && began.elapsed() < self.integration.warm_up => {
                    tracing::debug!(integration = %self.integration.name, %fault, "starting");
                    tokio::time::sleep(WARMING).await;
                }
                Err(fault) => match self.failed(&fault, &mut backoff) {
                    Some(wait) => self.pause(wait).await,
                    None => return,
                },
            }
        };
        if let Some(manage) = &session.manage {
            // Set once: this is the only place, and it is passed once.
            let _ = self.offers.set(manage.operations());
        }
        let session = if self.read_only { session.read_only() } else { session };
        self.session.send_replace(Some(session.clone()));
        self.watch(&session).await;
    }

    /// Checks the connection as long as it is tried; the adapter reconnects by itself, this says how it stands.
    async fn watch(&self, session: &Session) {
        let mut backoff = Backoff::new(&self.integration.reconnect);
        loop {
            let check = tokio::time::timeout(CHECK_TIMEOUT, session.inspect.ping()).await;
            let check = check.unwrap_or_else(|_| {
                let cause = format!("no answer within {} s", CHECK_TIMEOUT.as_secs());
                Err(Fault::new(Kind::Timeout, "check", &*self.integration.name, cause).next("the connection is kept and tried again"))
            });
            let wait = match check {
                Ok(latency) => {
                    backoff.reset();
                    self.link.send_if_modified(|link| {
                        let was_up = matches!(link, Link::Up { .. });
                        *link = Link::Up { latency };
                        !was_up
                    });
                    if !self.integration.health.enabled {
                        self.link_recheck.notified().await;
                        continue;
                    }
                    self.integration.health.interval
                }
                Err(_) if self.has_ended() => return,
                Err(fault) => {
                    let Some(wait) = self.failed(&fault, &mut backoff) else { return };
                    // That it is down is known: a tail that says so again is not to use up the attempts.
                    tokio::time::sleep(wait).await;
                    continue;
                }
            };
            self.pause(wait).await;
        }
    }

    /// Whether its server is known to have ended: then it is said why, and not tried again.
    fn has_ended(&self) -> bool {
        let Some(fault) = self.integration.ended.get() else { return false };
        self.down(fault, now(), 1, Duration::MAX);
        self.session.send_replace(None);
        true
    }

    /// The wait until it is tried again. `None` is the end: nobody is given the session any more.
    fn failed(&self, fault: &Fault, backoff: &mut Backoff) -> Option<Duration> {
        match backoff.failed(fault) {
            Ok(wait) => {
                self.down(fault, backoff.since(), backoff.failures(), wait);
                Some(wait)
            }
            Err(last) => {
                self.down(&last, backoff.since(), backoff.failures(), Duration::MAX);
                self.session.send_replace(None);
                None
            }
        }
    }

    /// Waits, or less if somebody saw the connection fail.
    async fn pause(&self, wait: Duration) {
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = self.link_recheck.notified() => {}
        }
    }

    fn down(&self, fault: &Fault, since: Timestamp, attempts: u32, wait: Duration) {
        tracing::warn!(integration = %self.integration.name, attempts, %fault, "down");
        let wait = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
        let retry_at = Timestamp(now().0.saturating_add(wait));
        self.link.send_replace(Link::Down { fault: fault.clone(), since, attempts, retry_at });
    }
}

fn now() -> Timestamp {
    Timestamp(jiff::Timestamp::now().as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A supervised integration whose state the test sends itself.
    fn supervised() -> (Supervised, watch::Sender<Link>, watch::Sender<Option<Session>>) {
        let (link_in, link) = watch::channel(Link::Connecting);
        let (session_in, session) = watch::channel(None);
        let supervised = Supervised {
            integration: Arc::new(Integration::new("a", "memory", Vec::new())),
            title: "",
            adapter: None,
            log: WireLog::default(),
            counts: Counts::default(),
            names: Arc::default(),
            decoders: Arc::default(),
            link,
            session,
            offers: Arc::default(),
            link_recheck: Arc::default(),
            task: tokio::spawn(async {}),
        };
        (supervised, link_in, session_in)
    }

    #[tokio::test]
    async fn a_session_that_comes_after_its_link_is_up_is_given_to_whoever_waits() {
        let integration = Integration::new("a", "memory", Vec::new());
        let connected = (adapters::find("memory").expect("an adapter").connect)(integration, WireLog::default()).await.expect("connected");
        let (supervised, link, session) = supervised();
        let mut waiting = std::pin::pin!(supervised.session());
        assert!(futures::poll!(&mut waiting).is_pending());
        link.send_replace(Link::Up { latency: Duration::ZERO });
        assert!(futures::poll!(&mut waiting).is_pending());
        session.send_replace(Some(connected));
        assert!(matches!(futures::poll!(&mut waiting), std::task::Poll::Ready(Ok(_))));
    }

    #[tokio::test]
    async fn why_a_connection_was_given_up_is_known_after_its_end() {
        let (supervised, link, session) = supervised();
        let mut waiting = std::pin::pin!(supervised.session());
        assert!(futures::poll!(&mut waiting).is_pending());
        let fault = Fault::new(Kind::Unreachable, "connect", "a", "no route");
        link.send_replace(Link::Down { fault, since: now(), attempts: 1, retry_at: now() });
        drop((link, session));
        assert_eq!(waiting.await.err().map(|fault| fault.cause.to_string()), Some("no route".to_owned()));
    }
}
