//! The demo's Redis (seed 3): policies in a cache with their times to live, their invalidations on a channel, and jobs in a stream that
//! one group works off and another one falls behind with.

use super::servers::Recipe;
use crate::adapters::find;
use crate::adapters::session::{Holding, Publish, Session};
use crate::adapters::wirelog::WireLog;
use crate::config::profile::Integration;
use crate::domain::address::Address;
use crate::domain::delivery::{Effect, Settlement};
use crate::domain::fault::{Fault, Kind};
use crate::domain::message::{Header, Outgoing};
use crate::domain::operation::Request;
use fastrand::Rng;
use serde_json::json;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};

const NAME: &str = "cache";
const JOBS: &str = "stream:jobs.email";
const INVALIDATIONS: &str = "channel:policy.invalidate";
const TICK: Duration = Duration::from_millis(400);
/// Jobs that are kept.
const KEPT: &str = "5000";
/// Every how many ticks the slow group takes one.
const SLOW: u64 = 5;

pub(super) static REDIS: Recipe = Recipe {
    name: NAME,
    system: "redis",
    program: "redis-server",
    get: "apt install redis-server",
    ports: 1,
    command: |folder, port| {
        let (folder, port) = (folder.display().to_string(), port.to_string());
        let words =
            ["redis-server", "--bind", "127.0.0.1", "--port", &port, "--dir", &folder, "--save", "", "--notify-keyspace-events", "KA"];
        Ok(words.map(str::to_owned).to_vec())
    },
};

/// Lets its users begin as soon as it is there; they end when the set is dropped.
pub(super) fn start(integration: Integration, rng: Rng, tasks: &mut JoinSet<()>) {
    tasks.spawn(async move {
        loop {
            if let Err(fault) = run(&integration, rng.clone()).await {
                tracing::debug!(%fault, "the demo's cache waits");
            }
            sleep(Duration::from_millis(500)).await;
        }
    });
}

async fn run(integration: &Integration, mut rng: Rng) -> Result<(), Fault> {
    let missing = || Fault::new(Kind::Usage, "start", "demo", "the adapter has no such handle");
    let adapter = find(&integration.system).ok_or_else(missing)?;
    let session = (adapter.connect)(integration.clone(), WireLog::default()).await?;
    let publish = session.publish.clone().ok_or_else(missing)?;
    let hold = session.hold.clone().ok_or_else(missing)?;
    let mut number = 0;
    job(&*publish, &mut rng, number).await?;
    for group in ["mailer", "archive"] {
        create(&session, group).await?;
    }
    let mut mailer = hold.hold(&format!("{JOBS}/mailer"), 10).await?;
    let mut archive = hold.hold(&format!("{JOBS}/archive"), 10).await?;
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        number += 1;
        job(&*publish, &mut rng, number).await?;
        if rng.u32(..4) == 0 {
            let policy = format!("policy:{}", rng.u32(1..40));
            let said = json!({ "key": policy, "reason": "updated", "version": number });
            publish.publish(INVALIDATIONS, Outgoing { payload: Some(said.to_string().into()), ..Outgoing::default() }).await?;
        }
        // One mail in fifty is left pending: its server did not answer.
        work(&mut *mailer, rng.u32(..50) > 0).await?;
        if number % SLOW == 0 {
            work(&mut *archive, true).await?;
        }
    }
}

async fn job(publish: &dyn Publish, rng: &mut Rng, number: u64) -> Result<(), Fault> {
    let tenant = *rng.choice(["acme", "globex", "initech"].iter()).unwrap_or(&"acme");
    let said = json!({ "job": format!("mail-{number}"), "template": "incident-opened", "to": format!("oncall@{tenant}.example") });
    let headers = vec![Header { name: "tenant_id".into(), value: Some(tenant.into()) }];
    let options = vec![("maxlen", KEPT.to_owned())];
    publish.publish(JOBS, Outgoing { headers, payload: Some(said.to_string().into()), options, ..Outgoing::default() }).await.map(drop)
}

/// Makes a group; one that is there already is what was wanted.
async fn create(session: &Session, group: &str) -> Result<(), Fault> {
    let missing = || Fault::new(Kind::Usage, "start", "demo", "the adapter has no such operation");
    let manage = session.manage.as_ref().ok_or_else(missing)?;
    let spec = manage.operations().iter().find(|spec| spec.id == "group.create").ok_or_else(missing)?;
    let arguments = [("group", group), ("to", "earliest")].map(|(id, value)| (id.to_owned(), value.to_owned())).to_vec();
    match manage.plan(Request { spec, address: Address::new(NAME, JOBS), arguments }).await {
        Ok(change) => manage.carry_out(&change).await.map(drop),
        Err(fault) if fault.kind == Kind::Rejected => Ok(()),
        Err(fault) => Err(fault),
    }
}

/// Takes the next job if there is one, and acknowledges it or leaves it.
async fn work(holding: &mut dyn Holding, done: bool) -> Result<(), Fault> {
    let Ok(next) = tokio::time::timeout(Duration::from_millis(50), holding.next()).await else { return Ok(()) };
    let delivery = next.ok_or_else(|| Fault::new(Kind::Unreachable, "receive from", JOBS, "it has ended"))??;
    match delivery.ticket {
        Some(ticket) if done => holding.settle(ticket, &Settlement { effect: Effect::Ack, arguments: Vec::new() }).await,
        _ => Ok(()),
    }
}
