//! Kafka: read over a link of our own, written by rdkafka.

mod context;
pub mod embedded;
mod faults;
mod inspect;
mod link;
mod producer;
pub mod publish;
mod record;
mod refusal;
mod settings;

use super::Adapter;
use super::session::Session;
use super::wirelog::WireLog;
use crate::config::profile::Integration;
use crate::domain::channel::Caps;
use crate::domain::fault::Fault;
use inspect::KafkaInspect;
use link::cluster::Cluster;
use std::sync::Arc;

pub(super) const ADAPTER: Adapter = Adapter {
    name: "kafka",
    title: "Kafka",
    schemes: &[("kafka", 9092), ("kafkas", 9092)],
    connect: |integration, log| Box::pin(connect(integration, log)),
};

async fn connect(integration: Integration, log: WireLog) -> Result<Session, Fault> {
    let cluster = Cluster::connect(&integration, log).await?;
    let offers = Caps::default();
    let inspect = KafkaInspect::new(cluster, Arc::new(integration), offers);
    Ok(Session { inspect: Arc::new(inspect), tail: None, history: None, publish: None })
}
