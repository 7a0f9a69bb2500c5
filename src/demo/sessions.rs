//! The demo's Redis (seed 3): policies in a cache with their times to live, their invalidations on a channel, and jobs in a stream that
//! one group works off and another one falls behind with.

use super::servers::Recipe;
use super::users::{User, keep_on, work};
use crate::adapters::session::Publish;
use crate::config::profile::Integration;
use crate::domain::delivery::Effect;
use crate::domain::fault::Fault;
use crate::domain::message::{Header, Outgoing};
use fastrand::Rng;
use serde_json::json;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

const JOBS: &str = "stream:jobs.email";
const INVALIDATIONS: &str = "channel:policy.invalidate";
const TICK: Duration = Duration::from_millis(400);
/// Jobs that are kept.
const KEPT: &str = "5000";
/// Every how many ticks the slow group takes one.
const SLOW: u64 = 5;

pub(super) static REDIS: Recipe = Recipe {
    name: "cache",
    system: "redis",
    program: "redis-server",
    get: "apt install redis-server",
    ports: 1,
    patience: Duration::from_secs(20),
    tenants: &[],
    settings: |_| Vec::new(),
    command: |place| {
        let [program, folder] = [place.program, place.folder].map(|path| path.display().to_string());
        let port = place.port.to_string();
        let words = [&program, "--bind", "127.0.0.1", "--port", &port, "--dir", &folder, "--save", "", "--notify-keyspace-events", "KA"];
        Ok(words.map(str::to_owned).to_vec())
    },
};

/// Lets its users begin.
pub(super) fn start(integration: Integration, rng: Rng, tasks: &mut JoinSet<()>) {
    keep_on(tasks, "cache", move || Box::pin(run(integration.clone(), rng.clone())));
}

async fn run(integration: Integration, mut rng: Rng) -> Result<(), Fault> {
    let user = User::connect(&integration).await?;
    let mut number = 0;
    job(&*user.publish, &mut rng, number).await?;
    for group in ["mailer", "archive"] {
        user.make("group.create", JOBS, &[("group", group), ("to", "earliest")]).await?;
    }
    let mut mailer = user.hold(&format!("{JOBS}/mailer")).await?;
    let mut archive = user.hold(&format!("{JOBS}/archive")).await?;
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        number += 1;
        job(&*user.publish, &mut rng, number).await?;
        if rng.u32(..4) == 0 {
            let policy = format!("policy:{}", rng.u32(1..40));
            let said = json!({ "key": policy, "reason": "updated", "version": number });
            user.publish.publish(INVALIDATIONS, Outgoing { payload: Some(said.to_string().into()), ..Outgoing::default() }).await?;
        }
        // One mail in fifty is left pending: its server did not answer.
        work(&mut *mailer, (rng.u32(..50) > 0).then_some(Effect::Ack)).await?;
        if number % SLOW == 0 {
            work(&mut *archive, Some(Effect::Ack)).await?;
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
