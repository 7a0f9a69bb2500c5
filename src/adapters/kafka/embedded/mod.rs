//! `Embedded`: a Kafka inside this process (librdkafka's mock cluster), for the demo and for tests.
//!
//! It serves metadata, produce, fetch, watermarks and groups. It cannot list groups, create topics by request, describe settings
//! or look up by time, and it keeps 100,000 messages or 5 MiB a partition.

mod feed;
mod member;

pub use feed::Feed;
pub use member::Member;

use super::context::Context;
use crate::domain::fault::{Fault, Kind};
use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

const OP: &str = "start embedded Kafka";
/// Commands that may wait for the cluster's thread.
const COMMANDS: usize = 16;
const BROKERS: i32 = 3;

/// A topic to begin with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    pub name: String,
    pub partitions: i32,
}

/// A cluster of three brokers on ports of 127.0.0.1. It stops when it is dropped.
pub struct Embedded {
    bootstrap: String,
    commands: SyncSender<(Command, SyncSender<()>)>,
    thread: Option<JoinHandle<()>>,
}

/// What the cluster's thread is told; the cluster itself cannot leave its thread.
enum Command {
    Reachable(bool),
    /// Of one broker, or of all.
    Delay(Option<i32>, Duration),
    Stop,
}

impl Embedded {
    /// Starts the brokers and creates the topics. Takes some milliseconds, in which it blocks.
    pub fn start(topics: Vec<Topic>) -> Result<Self, Fault> {
        let (commands, told) = sync_channel(COMMANDS);
        let (ready, started) = sync_channel(1);
        let thread = thread::Builder::new()
            .name("embedded-kafka".to_owned())
            .spawn(move || match found(&topics) {
                Ok(cluster) => {
                    // The one who started us waits for this.
                    let _ = ready.send(Ok(cluster.bootstrap_servers()));
                    serve(&cluster, &told);
                }
                Err(cause) => {
                    let _ = ready.send(Err(cause));
                }
            })
            .map_err(|error| fault(&error.to_string()))?;
        let bootstrap = started.recv().map_err(|_| fault("its thread ended"))?.map_err(|cause| fault(&cause))?;
        Ok(Self { bootstrap, commands, thread: Some(thread) })
    }

    /// `host:port` of every broker.
    pub fn addresses(&self) -> Vec<String> {
        self.bootstrap.split(',').map(str::to_owned).collect()
    }

    /// Closes every connection and takes no new ones, or takes them again; in force when this returns.
    pub fn reachable(&self, yes: bool) {
        self.tell(Command::Reachable(yes));
    }

    /// Lets every answer wait so long; in force when this returns.
    pub fn delay(&self, time: Duration) {
        self.tell(Command::Delay(None, time));
    }

    /// The same for one broker, counted from 1. Partition 0 of every topic is led by the first, the next by the second.
    #[cfg(test)]
    pub(super) fn delay_of(&self, broker: i32, time: Duration) {
        self.tell(Command::Delay(Some(broker), time));
    }

    /// Someone who writes to this cluster.
    pub fn feed(&self) -> Result<Feed, Fault> {
        Feed::new(self.client())
    }

    /// A member of a consumer group of this cluster.
    pub fn member(&self, group: &str, topics: &[&str]) -> Result<Member, Fault> {
        Member::join(self.client(), group, topics)
    }

    fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.bootstrap).set_log_level(RDKafkaLogLevel::Error);
        config
    }

    fn tell(&self, command: Command) {
        let (done, waits) = sync_channel(1);
        // A thread that has ended has nothing left to change.
        if self.commands.send((command, done)).is_ok() {
            let _ = waits.recv();
        }
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.tell(Command::Stop);
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::warn!("the thread of the embedded Kafka ended badly");
        }
    }
}

type Cluster = MockCluster<'static, DefaultProducerContext>;

fn found(topics: &[Topic]) -> Result<Cluster, String> {
    let cluster = MockCluster::new(BROKERS).map_err(|error| error.to_string())?;
    nudged(&cluster.bootstrap_servers(), || {
        topics.iter().try_for_each(|topic| {
            let lead = |partition| cluster.partition_leader(&topic.name, partition, Some(partition % BROKERS + 1));
            let made = cluster.create_topic(&topic.name, topic.partitions, BROKERS);
            let made = made.and_then(|()| (0..topic.partitions).try_for_each(lead));
            made.map_err(|error| format!("{}: {error}", topic.name))
        })
    })?;
    Ok(cluster)
}

/// Does something to the cluster while its thread is kept awake.
fn nudged<T>(bootstrap: &str, work: impl FnOnce() -> T) -> T {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| nudge(bootstrap, &done));
        let result = work();
        done.store(true, Ordering::Release);
        result
    })
}

/// The cluster's thread now and then misses that it was told something, when that comes just after the thing before, and then sleeps
/// for a second. Any connection wakes it.
fn nudge(bootstrap: &str, done: &AtomicBool) {
    let address = bootstrap.split(',').next().unwrap_or_default();
    while !done.load(Ordering::Acquire) {
        // Whether it is taken does not matter.
        drop(TcpStream::connect(address));
        thread::sleep(Duration::from_millis(5));
    }
}

fn serve(cluster: &Cluster, told: &Receiver<(Command, SyncSender<()>)>) {
    const ALL: i32 = -1;
    let bootstrap = cluster.bootstrap_servers();
    while let Ok((command, done)) = told.recv() {
        let change = || match command {
            Command::Reachable(true) => Some(cluster.broker_up(ALL)),
            Command::Reachable(false) => Some(cluster.broker_down(ALL)),
            Command::Delay(broker, time) => Some(cluster.broker_round_trip_time(broker.unwrap_or(ALL), time)),
            Command::Stop => None,
        };
        let Some(taken) = nudged(&bootstrap, change) else { return };
        if let Err(error) = taken {
            tracing::warn!(%error, "the embedded Kafka refused a command");
        }
        // The one who told us waits for this.
        let _ = done.send(());
    }
}

fn context() -> Context {
    Context::new(None)
}

fn fault(cause: &str) -> Fault {
    Fault::new(Kind::Unreachable, OP, "demo", cause)
}
