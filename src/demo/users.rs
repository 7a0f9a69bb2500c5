//! What the users of the demo's servers have in common: they connect as soon as their server is there, make what they need, and take
//! what waits for them.

use crate::adapters::find;
use crate::adapters::session::{Hold, Holding, Publish, Session};
use crate::adapters::wirelog::WireLog;
use crate::config::profile::Integration;
use crate::domain::address::Address;
use crate::domain::delivery::{Delivery, Effect, Settlement};
use crate::domain::fault::{Fault, Kind};
use crate::domain::operation::Request;
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

/// A user's connection, with what users need.
pub(super) struct User {
    integration: Arc<str>,
    session: Session,
    pub(super) publish: Arc<dyn Publish>,
    hold: Arc<dyn Hold>,
}

impl User {
    pub(super) async fn connect(integration: &Integration) -> Result<Self, Fault> {
        let adapter = find(&integration.system).ok_or_else(missing)?;
        let session = (adapter.connect)(integration.clone(), WireLog::default()).await?;
        let (publish, hold) = (session.publish.clone().ok_or_else(missing)?, session.hold.clone().ok_or_else(missing)?);
        Ok(Self { integration: integration.name.clone(), session, publish, hold })
    }

    /// Makes something; what is there already is what was wanted.
    pub(super) async fn make(&self, operation: &str, channel: &str, arguments: &[(&str, &str)]) -> Result<(), Fault> {
        let manage = self.session.manage.as_ref().ok_or_else(missing)?;
        let spec = manage.operations().iter().find(|spec| spec.id == operation).ok_or_else(missing)?;
        let arguments = arguments.iter().map(|(id, value)| ((*id).to_owned(), (*value).to_owned())).collect();
        let change = match manage.plan(Request { spec, address: Address::new(&self.integration, channel), arguments }).await {
            Err(fault) if fault.kind == Kind::Rejected => return Ok(()),
            planned => planned?,
        };
        match &change.refused {
            Some(fault) if fault.kind == Kind::Rejected => return Ok(()),
            Some(fault) => return Err(fault.clone()),
            None => {}
        }
        for (_, part) in manage.carry_out(&change).await?.parts {
            part?;
        }
        Ok(())
    }

    /// Begins to receive, ten messages at a time.
    pub(super) async fn hold(&self, channel: &str) -> Result<Box<dyn Holding>, Fault> {
        self.hold.hold(channel, 10).await
    }
}

/// The next message, if one waits.
pub(super) async fn take(holding: &mut dyn Holding) -> Result<Option<Delivery>, Fault> {
    let Ok(next) = timeout(WAIT, holding.next()).await else { return Ok(None) };
    let ended = || Fault::new(Kind::Unreachable, "receive", "demo", "the receiving has ended");
    next.ok_or_else(ended)?.map(Some)
}

/// Takes the next message, if one waits, and does this with it; nothing leaves it as it is.
pub(super) async fn work(holding: &mut dyn Holding, effect: Option<Effect>) -> Result<(), Fault> {
    let delivery = take(holding).await?;
    match (delivery.and_then(|delivery| delivery.ticket), effect) {
        (Some(ticket), Some(effect)) => holding.settle(ticket, &Settlement { effect, arguments: Vec::new() }).await,
        _ => Ok(()),
    }
}

fn missing() -> Fault {
    Fault::new(Kind::Usage, "start", "demo", "the adapter does not offer what the demo needs")
}
