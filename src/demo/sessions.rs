//! The demo's Redis (seed 3): policies in a cache with their times to live, their invalidations on a channel, and jobs in a stream that
//! one group works off and another one falls behind with.

use super::servers::Recipe;
use super::users::{User, keep_on};
use crate::config::profile::Integration;
use crate::domain::delivery::Effect;
use crate::domain::fault::{Fault, Kind};
use crate::domain::message::{Header, Outgoing};
use fastrand::Rng;
use serde_json::json;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufStream};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

const JOBS: &str = "stream:jobs.email";
const INVALIDATIONS: &str = "channel:policy.invalidate";
const TICK: Duration = Duration::from_millis(400);
/// Jobs that are kept.
const KEPT: &str = "5000";
/// Policies that there are, and one more.
const POLICIES: u32 = 40;
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
    let mut cache = Cache::connect(integration.endpoint.addresses.first().map_or("", String::as_str)).await?;
    let mut number = 0;
    job(&user, &mut rng, number).await?;
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
        job(&user, &mut rng, number).await?;
        // A policy that somebody asked for is kept for a while.
        let policy = format!("policy:{}", rng.u32(1..POLICIES));
        let said = json!({ "allow": ["incident:read"], "version": number }).to_string();
        cache.ask(&["SET", &policy, &said, "EX", &rng.u32(10..90).to_string()]).await?;
        if rng.u32(..4) == 0 {
            let policy = format!("policy:{}", rng.u32(1..POLICIES));
            cache.ask(&["DEL", &policy]).await?;
            let said = json!({ "key": policy, "reason": "updated", "version": number });
            user.publish(INVALIDATIONS, Outgoing { payload: Some(said.to_string().into()), ..Outgoing::default() }).await?;
        }
        // One mail in fifty is left pending: its server did not answer.
        mailer.work((rng.u32(..50) > 0).then_some(Effect::Ack)).await?;
        if number % SLOW == 0 {
            archive.work(Some(Effect::Ack)).await?;
        }
    }
}

/// An application's own connection to its cache: mqdeck itself watches keys and writes none. In RESP2.
struct Cache(BufStream<TcpStream>);

impl Cache {
    async fn connect(address: &str) -> Result<Self, Fault> {
        TcpStream::connect(address).await.map(|stream| Self(BufStream::new(stream))).map_err(|error| lost(&error))
    }

    /// A command whose answer is one line.
    async fn ask(&mut self, words: &[&str]) -> Result<(), Fault> {
        let mut text = format!("*{}\r\n", words.len());
        text.extend(words.iter().map(|word| format!("${}\r\n{word}\r\n", word.len())));
        let answered = async {
            self.0.write_all(text.as_bytes()).await?;
            self.0.flush().await?;
            let mut answer = String::new();
            match self.0.read_line(&mut answer).await? {
                0 => Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
                _ => Ok(()),
            }
        };
        answered.await.map_err(|error| lost(&error))
    }
}

fn lost(error: &io::Error) -> Fault {
    Fault::new(Kind::Unreachable, "write to", "the cache", error.to_string())
}

async fn job(user: &User, rng: &mut Rng, number: u64) -> Result<(), Fault> {
    let tenant = *rng.choice(["acme", "globex", "initech"].iter()).unwrap_or(&"acme");
    let said = json!({ "job": format!("mail-{number}"), "template": "incident-opened", "to": format!("oncall@{tenant}.example") });
    let headers = vec![Header { name: "tenant_id".into(), value: Some(tenant.into()) }];
    let options = vec![("maxlen", KEPT.to_owned())];
    user.publish(JOBS, Outgoing { headers, payload: Some(said.to_string().into()), options, ..Outgoing::default() }).await
}
