//! Kafka: read over a link of our own, written by rdkafka.

mod faults;
mod history;
mod inspect;
mod lane;
mod link;
mod tail;
mod tail_state;
mod time_search;

use super::Adapter;
use super::session::Session;
use super::wirelog::WireLog;
use crate::config::profile::Integration;
use crate::domain::channel::Caps;
use crate::domain::fault::Fault;
use history::KafkaHistory;
use inspect::KafkaInspect;
use link::cluster::Cluster;
use std::sync::Arc;
use tail::KafkaTail;

pub(super) const ADAPTER: Adapter = Adapter {
    name: "kafka",
    title: "Kafka",
    schemes: &[("kafka", 9092), ("kafkas", 9092)],
    connect: |integration, log| Box::pin(connect(integration, log)),
};

async fn connect(integration: Integration, log: WireLog) -> Result<Session, Fault> {
    let cluster = Cluster::connect(&integration, log).await?;
    let offers = Caps { tail: true, history: true, ..Caps::default() };
    let integration = Arc::new(integration);
    let tail = KafkaTail::new(cluster.clone());
    let history = KafkaHistory::new(cluster.clone(), Arc::clone(&integration));
    let inspect = KafkaInspect::new(cluster, integration, offers);
    Ok(Session { inspect: Arc::new(inspect), tail: Some(Arc::new(tail)), history: Some(Arc::new(history)), publish: None })
}
