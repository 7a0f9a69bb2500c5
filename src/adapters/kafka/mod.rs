//! Kafka: read over a link of our own, written by rdkafka.

mod context;
pub mod embedded;
mod faults;
mod groups;
mod history;
mod inspect;
mod lane;
mod letters;
mod link;
mod manage;
mod producer;
mod publish;
mod record;
mod refusal;
mod scan;
mod settings;
mod tail;
mod tail_held;
mod tail_state;
mod time_search;
mod transact;
mod window;

use super::Adapter;
use super::session::Session;
use super::wirelog::WireLog;
use crate::config::profile::Integration;
use crate::domain::channel::Caps;
use crate::domain::fault::Fault;
use groups::KafkaGroups;
use history::KafkaHistory;
use inspect::KafkaInspect;
use letters::KafkaLetters;
use link::cluster::Cluster;
use manage::KafkaManage;
use publish::Publisher;
use std::sync::Arc;
use tail::KafkaTail;
use transact::Transactions;

pub(super) const ADAPTER: Adapter = Adapter {
    name: "kafka",
    title: "Kafka",
    schemes: &[("kafka", 9092), ("kafkas", 9092)],
    settings: None,
    check: Some(settings::check),
    log_ins: &["none", "basic", "scram", "bearer", "oauth2", "mtls"],
    kinds: &["topic"],
    operations: manage::specs::ALL,
    connect: |integration, log| Box::pin(connect(integration, log)),
};

async fn connect(integration: Integration, log: WireLog) -> Result<Session, Fault> {
    let cluster = Cluster::connect(&integration, log.clone()).await?;
    let integration = Arc::new(integration);
    let offers = Caps { tail: true, history: true, publish: true, ..Caps::default() };
    let inspect = Arc::new(KafkaInspect::new(cluster.clone(), integration.clone(), offers));
    let publish = Publisher::new(&integration, Some(cluster.clone()), log.clone())?;
    let transact = Transactions::new(integration.clone(), log);
    let tail = KafkaTail::new(cluster.clone(), integration.reconnect.clone());
    let groups = Arc::new(KafkaGroups::new(cluster.clone(), integration.clone()));
    let manage = KafkaManage::connect(cluster.clone(), groups.clone()).await?;
    let dead_letters = Arc::new(KafkaLetters::new(cluster.clone()));
    let history = KafkaHistory::new(cluster, integration);
    Ok(Session {
        tail: Some(Arc::new(tail)),
        history: Some(Arc::new(history)),
        groups: Some(groups),
        dead_letters: Some(dead_letters),
        publish: Some(Arc::new(publish)),
        manage: Some(Arc::new(manage)),
        transact: Some(Arc::new(transact)),
        ..Session::new(inspect)
    })
}
