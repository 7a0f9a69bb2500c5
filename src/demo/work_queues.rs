//! The demo's RabbitMQ (seed 1): tasks of three tenants by exchange and queue, a dead-letter queue that fills, results, and a tenant whose
//! workers have gone.

use super::servers::{Place, Recipe};
use super::tasks::Task;
use super::users::{User, keep_on};
use super::{now, topics};
use crate::config::profile::Integration;
use crate::domain::delivery::Effect;
use crate::domain::fault::Fault;
use crate::domain::message::Outgoing;
use fastrand::Rng;
use std::io;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

const TICK: Duration = Duration::from_millis(250);
/// One task in so many cannot be done, and dies.
const DEADLY: u32 = 15;
/// The tenants that have workers; the others' tasks wait.
const SERVED: [&str; 2] = ["acme", "globex"];

pub(super) static RABBITMQ: Recipe = Recipe {
    name: "tasks",
    system: "rabbitmq",
    program: "rabbitmq-server",
    get: "apt install rabbitmq-server, or brew install rabbitmq",
    // AMQP, management, and two by which nodes would find each other.
    ports: 4,
    patience: Duration::from_secs(90),
    tenants: &["grey.tasks.*"],
    settings: |port| vec![("management_url", format!("http://127.0.0.1:{}", port + 1))],
    command,
};

/// Waits for a port mapper of our own, which ends with us, before the node would start one that does not.
const START: &str = r#"epmd -address 127.0.0.1 -port "$ERL_EPMD_PORT" & mapper=$!
until epmd -port "$ERL_EPMD_PORT" -names >/dev/null 2>&1; do kill -0 $mapper || exit 1; sleep 0.05; done
exec "$1""#;

/// A node of our own: its name, its ports, its cookie and all that it writes.
fn command(place: &Place<'_>) -> io::Result<Vec<String>> {
    let (folder, port) = (place.folder.display(), place.port);
    let at = |name: &str| place.folder.join(name);
    for name in ["home", "data", "log", "schema"] {
        std::fs::create_dir(at(name))?;
    }
    let config = format!(
        "listeners.tcp.1 = 127.0.0.1:{port}\nmanagement.tcp.ip = 127.0.0.1\nmanagement.tcp.port = {}\ncollect_statistics_interval = 2000\n\
         vm_memory_high_watermark.absolute = 512MB\ndisk_free_limit.absolute = 10MB\nlog.console = false\n",
        port + 1
    );
    std::fs::write(at("rabbitmq.conf"), config)?;
    std::fs::write(at("enabled_plugins"), "[rabbitmq_management].\n")?;
    let environment = [
        ("HOME", format!("{folder}/home")),
        ("RABBITMQ_NODENAME", format!("mqdeck{port}@localhost")),
        ("RABBITMQ_DIST_PORT", (port + 2).to_string()),
        ("ERL_EPMD_ADDRESS", "127.0.0.1".to_owned()),
        ("ERL_EPMD_PORT", (port + 3).to_string()),
        ("RABBITMQ_CONF_ENV_FILE", "/dev/null".to_owned()),
        ("RABBITMQ_CONFIG_FILE", format!("{folder}/rabbitmq.conf")),
        ("RABBITMQ_ENABLED_PLUGINS_FILE", format!("{folder}/enabled_plugins")),
        ("RABBITMQ_SCHEMA_DIR", format!("{folder}/schema")),
        ("RABBITMQ_MNESIA_BASE", format!("{folder}/data")),
        ("RABBITMQ_LOG_BASE", format!("{folder}/log")),
        ("RABBITMQ_PID_FILE", format!("{folder}/pid")),
        // One core is enough for it: the console has the others.
        ("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "+S 1:1 +sbwt none -kernel inet_dist_use_interface {127,0,0,1}".to_owned()),
    ];
    let environment = environment.into_iter().map(|(name, value)| format!("{name}={value}"));
    let command = ["sh".to_owned(), "-c".to_owned(), START.to_owned(), "sh".to_owned(), place.program.display().to_string()];
    Ok(["env".to_owned()].into_iter().chain(environment).chain(command).collect())
}

/// Lets its users begin.
pub(super) fn start(integration: Integration, rng: Rng, tasks: &mut JoinSet<()>) {
    keep_on(tasks, "work queues", move || Box::pin(run(integration.clone(), rng.clone())));
}

async fn run(integration: Integration, mut rng: Rng) -> Result<(), Fault> {
    let user = User::connect(&integration).await?;
    for tenant in topics::TENANTS {
        user.make("tenant.declare", tenant, &[]).await?;
    }
    user.make("queue.declare", "queue:grey.results.all", &[("exchange", "grey.results"), ("routing_key", "#"), ("max_length", "2000")])
        .await?;
    let mut workers = Vec::new();
    for tenant in SERVED {
        workers.push((tenant, user.hold(&format!("queue:grey.tasks.{tenant}")).await?));
    }
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        let task = Task::new(&mut rng);
        let asked = Outgoing {
            key: Some(format!("tasks.{}", task.tenant_name()).into()),
            options: vec![("priority", rng.u8(1..=10).to_string()), ("message_id", task.id.clone()), ("type", "TaskPayload".to_owned())],
            ..task.payload(&mut rng, now())
        };
        user.publish("exchange:grey.tasks", asked).await?;
        for (tenant, worker) in &mut workers {
            let dies = rng.u32(..DEADLY) == 0;
            worker.work(Some(if dies { Effect::Reject } else { Effect::Ack })).await?;
            if *tenant == task.tenant_name() {
                let result = task.result(&mut rng, now(), None);
                let result = Outgoing { key: Some(format!("results.{tenant}").into()), ..result };
                user.publish("exchange:grey.results", result).await?;
            }
        }
    }
}
