//! The demo: an embedded Kafka with the seeds' own traffic, an embedded MQTT broker with a plant's, and servers beside them where they
//! are installed, so that everything can be tried without a network or a set-up.

mod applications;
#[cfg(feature = "mqtt")]
mod devices;
mod edge_cases;
mod history;
mod incidents;
#[cfg(feature = "nats")]
mod messaging;
mod servers;
#[cfg(feature = "redis")]
mod sessions;
mod tasks;
mod topics;
mod traffic;
#[cfg(any(feature = "nats", feature = "rabbitmq", feature = "redis"))]
mod users;
#[cfg(feature = "rabbitmq")]
mod work_queues;
mod worker;

use crate::adapters::kafka::embedded::Embedded;
#[cfg(feature = "mqtt")]
use crate::adapters::mqtt;
use crate::config::profile::{ChannelPattern, Integration, Profile, TenantExtraction};
use crate::domain::address::Address;
use crate::domain::fault::{Fault, Kind};
use crate::domain::safety::Safety;
use crate::domain::time::Timestamp;
use servers::{Recipe, Server};
use std::ffi::OsStr;
use std::time::Duration;
use tokio::task::JoinSet;

/// The integration's name in the demo's profile.
const INTEGRATION: &str = "events";
/// What the random numbers start from.
const SEED: u64 = 20_260_205;
/// How long the history may take to arrive.
const PATIENCE: Duration = Duration::from_secs(5);

/// Lets the users of a server begin.
type Users = fn(Integration, fastrand::Rng, &mut JoinSet<()>);

/// Servers that run beside the embedded systems where they are installed, and who uses them.
const SERVERS: &[(&Recipe, Users)] = &[
    #[cfg(feature = "nats")]
    (&messaging::NATS, messaging::start),
    #[cfg(feature = "redis")]
    (&sessions::REDIS, sessions::start),
    #[cfg(feature = "rabbitmq")]
    (&work_queues::RABBITMQ, work_queues::start),
];

/// The running systems and their traffic. Everything ends when it is dropped.
pub struct Demo {
    // The order matters: whoever speaks to the cluster ends before it.
    _traffic: JoinSet<()>,
    kafka: Embedded,
    servers: Vec<Server>,
    #[cfg(feature = "mqtt")]
    mqtt: mqtt::embedded::Embedded,
}

impl Demo {
    /// Starts the systems, writes some hours of history and lets the traffic begin. Takes a fraction of a second: servers beside it, whose
    /// programs are found by the environment's PATH, go on starting.
    pub async fn start() -> Result<Self, Fault> {
        Self::start_with(&std::env::var_os("PATH").unwrap_or_default()).await
    }

    /// Ends everything, and waits until its servers are gone.
    pub fn end(self) {
        drop(self);
    }

    /// The same with what this PATH has. The same messages come each time, save their times.
    pub async fn start_with(path: &OsStr) -> Result<Self, Fault> {
        let seed = SEED;
        // First, so that they inherit nothing of the others.
        let servers: Vec<Server> = SERVERS.iter().map(|(recipe, _)| Server::start(recipe, path)).collect();
        let ready = tokio::task::spawn_blocking(move || {
            let kafka = Embedded::start(topics::all())?;
            let feed = kafka.feed()?;
            history::write(&feed, &mut fastrand::Rng::with_seed(seed), now())?;
            feed.flush(PATIENCE)?;
            let member = kafka.member(tasks::GROUP, &topics::TASKS)?;
            let members = applications::join(&kafka)?;
            Ok::<_, Fault>((kafka, feed, member, members))
        });
        let (kafka, feed, member, members) =
            ready.await.map_err(|error| Fault::new(Kind::Unreachable, "start", "demo", error.to_string()))??;
        let mut traffic = JoinSet::new();
        traffic.spawn(traffic::run(feed.clone(), fastrand::Rng::with_seed(seed ^ 1)));
        traffic.spawn(worker::run(member, feed, fastrand::Rng::with_seed(seed ^ 2), now()));
        applications::start(members, &mut traffic);
        for (number, (server, (_, users))) in (10..).zip(servers.iter().zip(SERVERS)) {
            if server.is_there() {
                users(server.integration(), fastrand::Rng::with_seed(seed ^ number), &mut traffic);
            }
        }
        #[cfg(feature = "mqtt")]
        let mqtt = tokio::task::spawn_blocking(mqtt::embedded::Embedded::start)
            .await
            .map_err(|error| Fault::new(Kind::Unreachable, "start", "demo", error.to_string()))??;
        #[cfg(feature = "mqtt")]
        devices::start(mqtt.address(), fastrand::Rng::with_seed(seed ^ 3), &mut traffic);
        Ok(Self {
            _traffic: traffic,
            kafka,
            #[cfg(feature = "mqtt")]
            mqtt,
            servers,
        })
    }

    /// The profile that reaches the systems.
    pub fn profile(&self) -> Profile {
        let mut integration =
            Integration::new(INTEGRATION, "kafka", self.kafka.addresses()).with_settings(0, &[("mqdeck.time_lookup", "search")]);
        integration.channels = tenant_channels(&topics::TENANT_PATTERNS);
        integration.groups = groups().map(Into::into).collect();
        integration.health.interval = Duration::from_secs(2);
        let mut integrations = vec![
            integration,
            #[cfg(feature = "mqtt")]
            devices::integration(self.mqtt.address()),
        ];
        integrations.extend(self.servers.iter().map(Server::integration));
        Profile { name: "demo".into(), path: None, safety: Safety::default(), integrations }
    }

    /// The same profile as a file, for other processes.
    pub fn profile_hcl(&self) -> String {
        let addresses: Vec<String> = self.kafka.addresses().iter().map(|address| format!("\"{address}\"")).collect();
        let channels = tenant_blocks(&topics::TENANT_PATTERNS);
        let mut text = format!(
            "# The systems of a running `mqdeck demo`. They are gone when it ends.\n\nintegration \"{INTEGRATION}\" {{\n  type = \"kafka\"\n\n  \
             endpoint {{\n    addresses = [{}]\n  }}\n\n  health_check {{\n    interval = \"2s\"\n  }}\n\n  config {{\n    \
             # The embedded brokers cannot look up by time: bounds in time are searched over records.\n    \
             mqdeck = {{ time_lookup = \"search\" }}\n  }}\n\n  # They cannot list groups either.\n  groups = [{}]\n{channels}}}\n",
            addresses.join(", "),
            groups().map(|group| format!("\"{group}\"")).collect::<Vec<_>>().join(", ")
        );
        #[cfg(feature = "mqtt")]
        text.push_str(&devices::block(&self.mqtt.address()));
        for server in &self.servers {
            text.push_str(&server.block());
        }
        text
    }

    /// The channel to show first: the busiest one.
    pub fn show(&self) -> Address {
        Address::new(INTEGRATION, topics::EVENTS)
    }
}

/// Channels in whose names a tenant stands where the star is (seed 1: `topic_suffix`).
fn tenant_channels(patterns: &[&str]) -> Vec<ChannelPattern> {
    let channels = |pattern: &&str| ChannelPattern {
        pattern: (*pattern).to_owned(),
        tenant: Some(TenantExtraction::TopicSuffix),
        ..ChannelPattern::default()
    };
    patterns.iter().map(channels).collect()
}

/// The same as blocks of an integration.
fn tenant_blocks(patterns: &[&str]) -> String {
    let block =
        |pattern: &&str| format!("\n  channels {{\n    pattern           = \"{pattern}\"\n    tenant_extraction = topic_suffix\n  }}\n");
    patterns.iter().map(block).collect()
}

/// Every group that consumes here.
fn groups() -> impl Iterator<Item = &'static str> {
    applications::groups().chain([tasks::GROUP])
}

fn now() -> Timestamp {
    Timestamp(jiff::Timestamp::now().as_millisecond())
}

#[cfg(test)]
mod tests;
