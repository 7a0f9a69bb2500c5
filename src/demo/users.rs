//! What the users of the demo's servers have in common: they connect as soon as their server is there, make what they need, and take
//! what waits for them.

use crate::config::profile::{Integration, Profile};
use crate::domain::address::Address;
use crate::domain::delivery::{Delivery, Effect, Given, Settlement};
use crate::domain::fault::{Fault, Kind};
use crate::domain::message::Outgoing;
use crate::domain::operation::{Plan, Request};
use crate::domain::safety::{Mode, Safety};
use crate::gateway::Gateway;
use crate::gateway::hold::{Held, HoldEvent};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// How long is waited before it is tried again.
const AGAIN: Duration = Duration::from_millis(500);
/// How long a message is waited for within a tick.
const WAIT: Duration = Duration::from_millis(50);

/// A server's user: it does what it does until something fails.
pub(super) type Run = futures::future::BoxFuture<'static, Result<(), Fault>>;

/// Lets a user begin as soon as its server is there, and again whenever it failed; it ends when the set is dropped.
pub(super) fn keep_on(tasks: &mut JoinSet<()>, what: &'static str, run: impl Fn() -> Run + Send + 'static) {
    tasks.spawn(async move {
        loop {
            if let Err(fault) = run().await {
                tracing::debug!(what, %fault, "a user of the demo waits");
            }
            sleep(AGAIN).await;
        }
    });
}

/// The profile of a user, which nobody sees.
const PROFILE: &str = "demo-user";
/// Messages that a user holds at a time.
const HELD: u32 = 10;

/// A user's own gateway to its server.
pub(super) struct User {
    gateway: Arc<Gateway>,
    integration: Arc<str>,
}

impl User {
    /// Connects; fails where the server does not answer yet.
    pub(super) async fn connect(integration: &Integration) -> Result<Self, Fault> {
        let safety = Safety { mode: Mode::Open, ..Safety::default() };
        let profile = Profile { name: PROFILE.into(), path: None, safety, integrations: vec![integration.clone()] };
        let gateway = Gateway::open(profile, false);
        // What it rejects may be gone for good: it is meant to be.
        gateway.arm(PROFILE, None)?;
        gateway.check(&integration.name).await?;
        Ok(Self { gateway: Arc::new(gateway), integration: integration.name.clone() })
    }

    pub(super) fn address(&self, channel: &str) -> Address {
        Address::new(&self.integration, channel)
    }

    pub(super) fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    /// Makes something; what is there already is what was wanted.
    pub(super) async fn make(&self, operation: &str, channel: &str, arguments: &[(&str, &str)]) -> Result<(), Fault> {
        let address = self.address(channel);
        let spec = self.gateway.operation(&address, operation).await?;
        let arguments = arguments.iter().map(|(id, value)| ((*id).to_owned(), (*value).to_owned())).collect();
        let made = match self.gateway.plan(Request { spec, address, arguments }).await {
            Ok(change) => self.gateway.execute(Plan::Change(Arc::new(change))).await,
            Err(fault) => Err(fault),
        };
        match made {
            Err(fault) if fault.kind == Kind::Rejected => Ok(()),
            made => made?.done.unwrap_or_default().parts.into_iter().try_for_each(|(_, part)| part.map(drop)),
        }
    }

    /// Publishes one message.
    pub(super) async fn publish(&self, channel: &str, message: Outgoing) -> Result<(), Fault> {
        let plan = Plan::Publish { address: self.address(channel), messages: vec![message] };
        self.gateway.execute(plan).await?.single().map(drop)
    }

    /// Begins to receive.
    pub(super) async fn hold(&self, channel: &str) -> Result<Worker, Fault> {
        let address = self.address(channel);
        let held = self.gateway.hold(&address, HELD, u64::MAX).await?;
        Ok(Worker { gateway: self.gateway.clone(), address, held })
    }
}

/// Who takes messages of one channel, and decides on them.
pub(super) struct Worker {
    gateway: Arc<Gateway>,
    address: Address,
    held: Held,
}

impl Worker {
    /// The next message, if one waits.
    async fn take(&mut self) -> Result<Option<Delivery>, Fault> {
        match timeout(WAIT, self.held.next()).await {
            Err(_) | Ok(Some(HoldEvent::Resumed)) => Ok(None),
            Ok(Some(HoldEvent::Message(delivery))) => Ok(Some(*delivery)),
            Ok(Some(HoldEvent::Interrupted { fault, .. })) => Err(fault),
            // It gave a message back, which ends the taking; another time it may be given it again.
            Ok(None) => {
                self.held = self.gateway.hold(&self.address, HELD, u64::MAX).await?;
                Ok(None)
            }
        }
    }

    /// Takes the next message, if one waits, and does this with it; nothing leaves it as it is.
    pub(super) async fn work(&mut self, effect: Option<Effect>) -> Result<(), Fault> {
        let (Some(delivery), Some(effect)) = (self.take().await?, effect) else { return Ok(()) };
        let Some(ticket) = delivery.ticket else { return Ok(()) };
        let settlement = Settlement { effect, arguments: Vec::new() };
        let settles = self.gateway.settles(&self.address, effect, &[Given::from(&delivery)]).await?;
        let plan = Plan::Settle { address: self.address.clone(), hold: self.held.id, tickets: vec![ticket], settlement, settles };
        let done = self.gateway.execute(plan).await?.done.unwrap_or_default();
        done.parts.into_iter().try_for_each(|(_, part)| part.map(drop))
    }
}
