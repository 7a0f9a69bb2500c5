//! The demo's NATS (seed 4): alerts that nobody keeps, incidents in a stream that one consumer works off and another one falls behind with,
//! and a service that is asked who is on call.

use super::incidents;
use super::servers::Recipe;
use super::users::{User, keep_on};
use crate::adapters::nats::responder::{self, Service};
use crate::config::profile::Integration;
use crate::domain::delivery::Effect;
use crate::domain::fault::Fault;
use crate::domain::message::{Header, Outgoing};
use fastrand::Rng;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

const STREAM: &str = "stream:INCIDENTS";
const TICK: Duration = Duration::from_millis(250);
/// Incidents that are kept.
const KEPT: &str = "5000";
/// Every how many ticks the slow consumer takes one.
const SLOW: u64 = 6;
const SITES: [&str; 4] = ["fra", "iad", "sin", "gru"];
const ON_CALL: Service = Service {
    name: "oncall",
    version: "1.4.0",
    about: "who is on call for a team",
    subject: "oncall.who",
    answer: |asked| {
        let team: Value = serde_json::from_slice(asked).unwrap_or_default();
        let team = team["team"].as_str().unwrap_or("platform").to_owned();
        let people = ["mira", "jonas", "aiko", "zoë"];
        let person = people[team.bytes().map(usize::from).sum::<usize>() % people.len()];
        json!({ "team": team, "on_call": person, "until": "18:00" }).to_string().into()
    },
};

pub(super) static NATS: Recipe = Recipe {
    name: "incidents",
    system: "nats",
    program: "nats-server",
    get: "apt install nats-server, or brew install nats-server",
    ports: 1,
    patience: Duration::from_secs(20),
    tenants: &[],
    settings: |_| Vec::new(),
    command: |place| {
        let [program, folder] = [place.program, place.folder].map(|path| path.display().to_string());
        let words = [&program, "--addr", "127.0.0.1", "--port", &place.port.to_string(), "--jetstream", "--store_dir", &folder];
        Ok(words.map(str::to_owned).to_vec())
    },
};

/// Lets its users begin.
pub(super) fn start(integration: Integration, rng: Rng, tasks: &mut JoinSet<()>) {
    let address = integration.endpoint.addresses.concat();
    keep_on(tasks, "service", move || Box::pin(responder::serve(address.clone(), &ON_CALL)));
    keep_on(tasks, "messaging", move || Box::pin(run(integration.clone(), rng.clone())));
}

async fn run(integration: Integration, mut rng: Rng) -> Result<(), Fault> {
    let user = User::connect(&integration).await?;
    user.make("stream.create", STREAM, &[("subjects", "incidents.>"), ("max_messages", KEPT)]).await?;
    for consumer in ["notifier", "archive"] {
        user.make("consumer.create", STREAM, &[("name", consumer)]).await?;
    }
    let mut notifier = user.hold("consumer:INCIDENTS/notifier").await?;
    let mut archive = user.hold("consumer:INCIDENTS/archive").await?;
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut number = 0_u64;
    loop {
        ticks.tick().await;
        number += 1;
        tick(&user, &mut rng).await?;
        // One incident in forty is nobody's: it is given again.
        notifier.work(Some(if rng.u32(..40) > 0 { Effect::Ack } else { Effect::Requeue })).await?;
        if number.is_multiple_of(SLOW) {
            archive.work(Some(Effect::Ack)).await?;
        }
    }
}

/// What happens in a quarter of a second: a node says that it is alive, an incident happens, and now and then an alert is raised.
async fn tick(user: &User, rng: &mut Rng) -> Result<(), Fault> {
    let (site, node) = (SITES[rng.usize(..SITES.len())], rng.u8(1..9));
    let beat = json!({ "node": format!("{site}-{node:02}"), "load": f64::from(rng.u32(..1_000)) / 1_000.0 });
    send(user, &format!("heartbeat.{site}.{node:02}"), beat.to_string().into()).await?;
    let (topic, incident) = incidents::any(rng, super::now());
    let name = if topic == super::topics::CRITICAL { "alerts.critical" } else { "incidents.events" };
    let header = Header { name: "tenant-id".into(), value: Some((*rng.choice(super::topics::TENANTS.iter()).unwrap_or(&"acme")).into()) };
    let message = Outgoing { payload: incident.payload, headers: vec![header], ..Outgoing::default() };
    user.publish(name, message).await
}

async fn send(user: &User, subject: &str, payload: bytes::Bytes) -> Result<(), Fault> {
    user.publish(subject, Outgoing { payload: Some(payload), ..Outgoing::default() }).await
}
