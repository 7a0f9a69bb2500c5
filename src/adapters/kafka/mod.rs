//! Kafka: read over a link of our own, written by rdkafka.

mod faults;
mod link;
mod context;
pub mod embedded;
mod producer;
pub mod publish;
mod record;
mod refusal;
mod settings;

use super::Adapter;
use crate::domain::fault::{Fault, Kind};

pub(super) const ADAPTER: Adapter = Adapter {
    name: "kafka",
    title: "Kafka",
    schemes: &[("kafka", 9092), ("kafkas", 9092)],
    connect: |integration, log| {
        Box::pin(async move {
            let _cluster = link::cluster::Cluster::connect(&integration, log).await?;
            Err(Fault::new(Kind::Unreachable, "connect", &*integration.name, "not built yet"))
        })
    },
};
