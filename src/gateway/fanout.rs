//! `fanout` (seed 4): one integration that publishes to several others of its profile and reports each outcome. It reads what the first
//! of them reads. It is part of the gateway because it is made of other connections, which an adapter knows nothing of.

use super::supervisor::Supervised;
use crate::adapters::session::{Publish, Session};
use crate::config::profile::Integration;
use crate::domain::fault::{Fault, Kind};
use crate::domain::health::Link;
use crate::domain::message::Outgoing;
use crate::domain::operation::PublishSpec;
use crate::domain::receipt::Receipt;
use async_trait::async_trait;
use futures::future::join_all;
use std::sync::Arc;
use tokio::sync::watch;

/// The `type` of such an integration.
pub const TYPE: &str = "fanout";

/// What is asked of a message that goes to several systems: what each can take in its own way.
static SPEC: PublishSpec = PublishSpec { key: true, headers: true, tombstone: false, timestamp: false, fields: &[] };

/// What became of a message at each of the targets, in the profile's order.
pub type Outcomes = Vec<(Arc<str>, Result<Receipt, Fault>)>;

/// Publishes to several.
pub(super) struct Fanout {
    name: Arc<str>,
    targets: Vec<Target>,
}

struct Target {
    name: Arc<str>,
    session: watch::Receiver<Option<Session>>,
    link: watch::Receiver<Link>,
}

impl Fanout {
    /// Over those of the connections that the integration names; the profile was checked.
    pub(super) fn new(integration: &Integration, supervised: &[Arc<Supervised>]) -> Self {
        let target = |name: &Arc<str>| {
            let of = supervised.iter().find(|other| other.integration.name == *name)?;
            Some(Target { name: name.clone(), session: of.sessions(), link: of.link() })
        };
        Self { name: integration.name.clone(), targets: integration.targets.iter().filter_map(target).collect() }
    }

    /// Publishes one message to every target at once, and waits for all of them.
    pub(super) async fn deliver(&self, channel: &str, message: &Outgoing) -> Outcomes {
        let one = |target: &Target| {
            let (name, session, message) = (target.name.clone(), target.session.borrow().clone(), message.clone());
            let link = target.link.borrow().clone();
            async move {
                let missing = || match link {
                    Link::Down { fault, .. } => fault,
                    _ => Fault::new(Kind::Unreachable, "publish to", &*name, "it is not connected"),
                };
                let result = match session.map(|session| session.publish) {
                    None => Err(missing()),
                    Some(None) => Err(Fault::new(Kind::Usage, "publish to", &*name, "this system has no publishing")),
                    Some(Some(publish)) => publish.publish(channel, message).await,
                };
                (name, result)
            }
        };
        join_all(self.targets.iter().map(one)).await
    }

    /// Keeps the fanout's own connection as its targets are: up while all of them are.
    pub(super) async fn follow(self: Arc<Self>, link: watch::Sender<Link>, session: watch::Sender<Option<Session>>, read_only: bool) {
        let mut links: Vec<watch::Receiver<Link>> = self.targets.iter().map(|target| target.link.clone()).collect();
        let Some(first) = self.targets.first() else { return };
        let mut sessions = first.session.clone();
        loop {
            let states: Vec<Link> = links.iter_mut().map(|link| link.borrow_and_update().clone()).collect();
            if session.borrow().is_none()
                && let Some(read) = sessions.borrow_and_update().clone()
            {
                let publish: Option<Arc<dyn Publish>> = (!read_only).then(|| self.clone() as Arc<dyn Publish>);
                let own = Session { tail: read.tail, history: read.history, publish, ..Session::new(read.inspect) };
                session.send_replace(Some(own));
            }
            link.send_replace(self.together(&states));
            let changes = links.iter_mut().map(|link| Box::pin(link.changed()));
            tokio::select! {
                _ = futures::future::select_all(changes) => {}
                Ok(()) = sessions.changed() => {}
            }
        }
    }

    fn together(&self, states: &[Link]) -> Link {
        let named = self.targets.iter().zip(states);
        let down = named.filter_map(|(target, state)| {
            if let Link::Down { fault, since, attempts, retry_at } = state {
                let cause = format!("{}: {}", target.name, fault.cause);
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

#[async_trait]
impl Publish for Fanout {
    fn spec(&self) -> &'static PublishSpec {
        &SPEC
    }

    async fn publish(&self, channel: &str, message: Outgoing) -> Result<Receipt, Fault> {
        overall(&format!("{}/{channel}", self.name), &self.deliver(channel, &message).await)
    }
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
    use super::super::Gateway;
    use super::*;
    use crate::config::profile::{Profile, Setting};
    use crate::config::secret::Secret;
    use crate::domain::address::Address;
    use crate::domain::operation::Plan;
    use crate::domain::safety::{Mode, Safety};

    fn gateway(second: &str, safety: Safety) -> Gateway {
        let memory = |name: &str, topics: &str| {
            let mut memory = Integration::new(name, "memory", Vec::new());
            memory.settings.insert("topics".to_owned(), Setting { value: Secret::new(topics.to_owned()), line: 0 });
            memory
        };
        let both = Integration { targets: vec!["a".into(), "b".into()], ..Integration::new("both", TYPE, Vec::new()) };
        let prefixed = Integration { topic_prefix: Some("prod".to_owned()), ..memory("b", second) };
        // The fanout stands first: the order of the profile does not matter to it.
        let integrations = vec![both, memory("a", "alerts"), prefixed];
        Gateway::open(Profile { name: "p".into(), path: None, safety, integrations }, false)
    }

    async fn publish(gateway: &Gateway) -> Result<super::super::execute::Outcome, Fault> {
        for name in ["a", "b"] {
            gateway.session(name).await.expect("connected");
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
        assert!(gateway.session("both").await.expect("a session").publish.is_none());
    }
}
