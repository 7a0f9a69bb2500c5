//! `fanout` (seed 4): one integration that publishes to several others of its profile and reports each outcome. It reads what the first
//! of them reads. It is part of the gateway because it is made of other connections, which an adapter knows nothing of.

use super::names::Names;
use super::supervisor::Supervised;
use crate::adapters::session::Session;
use crate::config::profile::Integration;
use crate::domain::fault::{Fault, Kind};
use crate::domain::health::Link;
use crate::domain::operation::PublishSpec;
use crate::domain::receipt::Receipt;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use std::sync::Arc;
use tokio::sync::watch;

/// The `type` of such an integration.
pub const TYPE: &str = "fanout";

/// What is asked of a message that goes to several systems: what each can take in its own way.
pub(super) static SPEC: PublishSpec = PublishSpec { key: true, tombstone: false, timestamp: false, fields: &[] };

/// What became of a message at each of the targets, in the profile's order.
pub type Outcomes = Vec<(Arc<str>, Result<Receipt, Fault>)>;

/// An integration over several others.
pub(super) struct Fanout {
    name: Arc<str>,
    pub(super) targets: Vec<Arc<Supervised>>,
}

impl Fanout {
    /// Over those of the connections that the integration names; the profile was checked.
    pub(super) fn new(integration: &Integration, supervised: &[Arc<Supervised>]) -> Self {
        let target = |name: &Arc<str>| supervised.iter().find(|other| other.integration.name == *name).cloned();
        Self { name: integration.name.clone(), targets: integration.targets.iter().filter_map(target).collect() }
    }

    /// How its channels are named: as those of the target that it reads.
    pub(super) fn names(&self) -> Arc<Names> {
        self.targets.first().map(|first| first.names.clone()).unwrap_or_default()
    }

    /// Keeps the fanout's own connection as its targets are: up while all of them are. Ends when none of them can change any more.
    pub(super) async fn follow(self: Arc<Self>, link: watch::Sender<Link>, session: watch::Sender<Option<Session>>) {
        let mut states: Vec<Link> = self.targets.iter().map(|target| target.link().borrow().clone()).collect();
        let mut changes: BoxStream<'static, Change> = stream::select_all(self.changes()).boxed();
        loop {
            link.send_if_modified(|link| {
                let now = self.together(&states);
                let changed = *link != now;
                *link = now;
                changed
            });
            match changes.next().await {
                Some(Change::Link(target, state)) => states[target] = state,
                // Only reading: what is published goes to the targets one by one, each through its own guard.
                Some(Change::Session(read)) => {
                    let own = read.map(|read| Session { tail: read.tail, history: read.history, ..Session::new(read.inspect) });
                    session.send_replace(own);
                }
                // Every target was given up, and none will say anything again.
                None => return,
            }
        }
    }

    /// What its targets say of themselves. A target that was given up says nothing more, and its stream ends.
    fn changes(&self) -> Vec<BoxStream<'static, Change>> {
        let links =
            self.targets.iter().enumerate().map(|(number, target)| changes_of(target.link(), move |link| Change::Link(number, link)));
        let first = self.targets.first().map(|first| changes_of(first.sessions(), Change::Session));
        links.chain(first).collect()
    }

    fn together(&self, states: &[Link]) -> Link {
        let named = self.targets.iter().zip(states);
        let down = named.filter_map(|(target, state)| {
            if let Link::Down { fault, since, attempts, retry_at } = state {
                let cause = format!("{}: {}", target.integration.name, fault.cause);
                let fault = Fault::new(fault.kind, fault.op, &*self.name, cause).next(fault.next.clone());
                Some(Link::Down { fault, since: *since, attempts: *attempts, retry_at: *retry_at })
            } else {
                None
            }
        });
        let latency = |state: &Link| if let Link::Up { latency } = state { Some(*latency) } else { None };
        let all: Option<Vec<_>> = states.iter().map(latency).collect();
        let slowest = all.and_then(|all| all.into_iter().max());
        down.into_iter().next().unwrap_or_else(|| slowest.map_or(Link::Connecting, |latency| Link::Up { latency }))
    }
}

/// What a target says.
enum Change {
    Link(usize, Link),
    Session(Option<Session>),
}

/// The values of a watch channel, the one that it has now first. Ends when its sender is gone.
fn changes_of<T: Clone + Send + Sync + 'static>(
    watched: watch::Receiver<T>,
    change: impl Fn(T) -> Change + Send + 'static,
) -> BoxStream<'static, Change> {
    let mut watched = watched;
    watched.mark_changed();
    stream::unfold((watched, change), |(mut watched, change)| async move {
        watched.changed().await.ok()?;
        let value = watched.borrow_and_update().clone();
        let changed = change(value);
        Some((changed, (watched, change)))
    })
    .boxed()
}

/// What is true of all targets: the weakest promise if every one took the message, else a fault that says what became of it where.
pub(super) fn overall(address: &str, outcomes: &Outcomes) -> Result<Receipt, Fault> {
    let failed: Vec<&Fault> = outcomes.iter().filter_map(|(_, result)| result.as_ref().err()).collect();
    let Some(first) = failed.first() else {
        let weakest = outcomes.iter().filter_map(|(_, result)| result.as_ref().ok()).max_by_key(|receipt| weakness(receipt)).copied();
        return weakest.ok_or_else(|| Fault::new(Kind::Usage, "publish to", address, "it has no targets"));
    };
    let said = |(name, result): &(Arc<str>, Result<Receipt, Fault>)| match result {
        Ok(receipt) => format!("{name}: {receipt}"),
        Err(fault) => format!("{name}: {}, {}", fault.kind.word(), fault.cause),
    };
    let each: Vec<String> = outcomes.iter().map(said).collect();
    let took = outcomes.len() - failed.len();
    let some = if took == 0 { "none".to_owned() } else { format!("only {took} of {}", outcomes.len()) };
    // That it can be tried again is true only where nobody has it yet.
    let (kind, next) = if took == 0 {
        (first.kind, first.next.as_str().to_owned())
    } else {
        (Kind::Rejected, "publish to those that failed alone: the others have it".to_owned())
    };
    Err(Fault::new(kind, "publish to", address, format!("{some} took it: {}", each.join("; "))).next(next))
}

/// The stronger the promise, the smaller.
fn weakness(receipt: &Receipt) -> u8 {
    match receipt {
        Receipt::Stored(_) => 0,
        Receipt::Routed => 1,
        Receipt::Accepted => 2,
        Receipt::Handed(1..) => 3,
        Receipt::Unconfirmed => 4,
        Receipt::Handed(0) => 5,
    }
}

#[cfg(test)]
mod tests {
    use super::super::guard::{Caller, Policy};
    use super::super::{Access, Gateway};
    use super::*;
    use crate::config::profile::Profile;
    use crate::domain::address::Address;
    use crate::domain::message::Outgoing;
    use crate::domain::operation::{OperationSpec, PUBLISH, Plan};
    use crate::domain::principal::Principal;
    use crate::domain::safety::{Mode, Safety};
    use crate::domain::text::SafeText;
    use crate::domain::time::Timestamp;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;
    use tokio_util::sync::CancellationToken;

    fn gateway(second: &str, safety: Safety) -> Gateway {
        let memory = |name: &str, topics: &str| Integration::new(name, "memory", Vec::new()).with_settings(0, &[("topics", topics)]);
        let both = Integration { targets: vec!["a".into(), "b".into()], ..Integration::new("both", TYPE, Vec::new()) };
        let prefixed = Integration { topic_prefix: Some("prod".to_owned()), ..memory("b", second) };
        // The fanout stands first: the order of the profile does not matter to it.
        let integrations = vec![both, memory("a", "alerts"), prefixed];
        Gateway::open(Profile { name: "p".into(), path: None, safety, integrations }, false)
    }

    async fn publish(gateway: &Gateway) -> Result<super::super::execute::Outcome, Fault> {
        for name in ["a", "b"] {
            gateway.check(name).await.expect("connected");
        }
        let message = Outgoing { payload: Some("x".into()), ..Outgoing::default() };
        gateway.execute(Plan::Publish { address: Address::new("both", "alerts"), messages: vec![message] }).await
    }

    #[tokio::test]
    async fn a_message_goes_to_every_target_under_its_own_prefix_and_each_outcome_is_said() {
        let gateway = gateway("prod.alerts", Safety::default());
        let outcome = publish(&gateway).await.expect("published");
        let names: Vec<&str> = outcome.targets[0].iter().map(|(name, result)| result.as_ref().map_or("failed", |_| &**name)).collect();
        assert_eq!(names, ["a", "b"]);
        assert!(matches!(outcome.single(), Ok(Receipt::Stored(_))));
        let depth = |channels: Vec<crate::domain::channel::Channel>| channels[0].depth.number();
        for name in ["a", "b", "both"] {
            assert_eq!(depth(gateway.channels(name).await.expect("channels")), Some(1), "{name}");
        }
    }

    #[tokio::test]
    async fn it_is_no_success_if_one_failed_and_the_rest_is_not_hidden() {
        let gateway = gateway("prod.others", Safety::default());
        let outcome = publish(&gateway).await.expect("begun");
        assert!(outcome.targets[0][0].1.is_ok() && outcome.targets[0][1].1.is_err());
        let fault = outcome.single().expect_err("one failed");
        let text = fault.to_string();
        assert!(fault.kind == Kind::Rejected && text.contains("only 1 of 2 took it: a: stored at 0@0; b: not found"), "{text}");
        let none: Outcomes = vec![("a".into(), Err(Fault::new(Kind::Timeout, "publish", "a", "no answer")))];
        assert_eq!(overall("both/alerts", &none).expect_err("none").kind, Kind::Timeout);
    }

    #[tokio::test]
    async fn what_may_not_be_published_to_one_may_not_be_to_several() {
        let gateway = gateway("prod.alerts", Safety { mode: Mode::ReadOnly, ..Safety::default() });
        assert_eq!(publish(&gateway).await.expect_err("refused").kind, Kind::Forbidden);
        assert!(gateway.publish_offer("both").await.expect("an answer").is_none());
    }
    /// Denies publishing through one integration.
    struct DenyPublishBy(&'static str);

    impl Policy for DenyPublishBy {
        fn permits(&self, _: &Principal, operation: &OperationSpec, address: &Address) -> Result<(), SafeText> {
            if operation.id == PUBLISH.id && *address.integration == *self.0 { Err("the test denies it".into()) } else { Ok(()) }
        }
    }

    #[tokio::test]
    async fn nobody_has_a_message_where_one_of_the_targets_is_denied() {
        for denied in ["a", "b"] {
            let open = gateway("prod.alerts", Safety::default());
            let caller = Caller::new(Principal::local(Some("alice")), Arc::new(DenyPublishBy(denied)), CancellationToken::new());
            let gateway = Gateway::open_as(Access { caller, ..Access::default() }, open.profile.clone());
            let fault = publish(&gateway).await.expect_err("denied");
            assert!(fault.kind == Kind::Forbidden && fault.to_string().contains(&format!("{denied}/alerts")), "{fault}");
            for name in ["a", "b"] {
                assert_eq!(gateway.channels(name).await.expect("channels")[0].depth.number(), Some(0), "{name}, without {denied}");
            }
        }
    }

    type Says = (watch::Sender<Link>, watch::Sender<Option<Session>>);

    /// A target of which the test says how its connection stands.
    fn target(name: &str) -> (Arc<Supervised>, Says) {
        let mut senders = None;
        let supervised = Supervised::over(Integration::new(name, "memory", Vec::new()), Arc::default(), |link, session| {
            senders = Some((link, session));
            std::future::ready(())
        });
        (Arc::new(supervised), senders.expect("it was begun"))
    }

    #[tokio::test]
    async fn targets_that_were_given_up_are_not_asked_again_and_again() {
        let ((alive, says), (given_up, last)) = (target("a"), target("b"));
        let fault = Fault::new(Kind::Unreachable, "connect", "b", "connection refused");
        last.0.send_replace(Link::Down { fault, since: Timestamp(0), attempts: 1, retry_at: Timestamp(i64::MAX) });
        drop(last);
        let fanout = Arc::new(Fanout { name: "both".into(), targets: vec![alive, given_up] });
        let ((link_in, link), (session_in, _session)) = (watch::channel(Link::Connecting), watch::channel(None));
        let polls = Arc::new(AtomicU32::new(0));
        let (counted, mut following) = (polls.clone(), Box::pin(fanout.follow(link_in, session_in)));
        let task = tokio::spawn(std::future::poll_fn(move |cx| {
            counted.fetch_add(1, Ordering::Relaxed);
            following.as_mut().poll(cx)
        }));
        // However long it is let run, it is woken as often as something is said.
        let idle = async || {
            for _ in 0..500 {
                tokio::task::yield_now().await;
            }
            polls.load(Ordering::Relaxed)
        };
        let first = idle().await;
        assert!(first < 10, "woken {first} times with nothing to do");
        assert!(matches!(&*link.borrow(), Link::Down { fault, .. } if fault.cause.as_str() == "b: connection refused"), "{link:?}");
        says.0.send_replace(Link::Up { latency: Duration::ZERO });
        let second = idle().await;
        assert!((first + 1..first + 5).contains(&second), "{first}, then {second} for one change");
        assert!(!task.is_finished() && matches!(&*link.borrow(), Link::Down { .. }), "one is still there");
        drop(says);
        idle().await;
        assert!(task.is_finished(), "none of them can change any more");
    }
}
