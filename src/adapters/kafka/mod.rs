//! Kafka: read over a link of our own, written by rdkafka.

mod context;
pub mod embedded;
mod faults;
mod inspect;
mod link;
mod producer;
mod publish;
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
use publish::Publisher;
use std::sync::Arc;

pub(super) const ADAPTER: Adapter = Adapter {
    name: "kafka",
    title: "Kafka",
    schemes: &[("kafka", 9092), ("kafkas", 9092)],
    connect: |integration, log| Box::pin(connect(integration, log)),
};

async fn connect(integration: Integration, log: WireLog) -> Result<Session, Fault> {
    let cluster = Cluster::connect(&integration, log.clone()).await?;
    let offers = Caps { publish: true, ..Caps::default() };
    let integration = Arc::new(integration);
    let inspect = Arc::new(KafkaInspect::new(cluster, integration.clone(), offers));
    let publish = Publisher::new(&integration, inspect.clone(), log)?;
    Ok(Session { inspect, tail: None, history: None, publish: Some(Arc::new(publish)) })
}
