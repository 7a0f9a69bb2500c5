//! `Manage` for RabbitMQ: exchanges, queues and bindings made and taken away, seed 1's topology for a tenant, queues emptied.
//!
//! A plan looks at what is there and freezes its steps as JSON; carrying out works from these alone, each step on a channel of its own, so
//! that what the server refuses does not take the others with it.

mod plan;
pub(super) mod specs;
mod steps;

use super::Rabbit;
use super::name::KINDS;
use crate::adapters::session::Manage;
use crate::domain::fault::{Fault, Kind};
use crate::domain::operation::{Change, Done, OperationSpec, Request};
use async_trait::async_trait;
use steps::Steps;

#[async_trait]
impl Manage for Rabbit {
    fn operations(&self) -> &'static [&'static OperationSpec] {
        specs::ALL
    }

    async fn plan(&self, request: Request) -> Result<Change, Fault> {
        let request = Request { address: request.address.split(KINDS), ..request };
        match request.spec.id {
            "queue.declare" => plan::queue(self, request).await,
            "exchange.declare" => plan::exchange(self, request).await,
            "tenant.declare" => plan::tenant(self, request).await,
            "binding.create" => plan::bind(self, request, true).await,
            "binding.delete" => plan::bind(self, request, false).await,
            "queue.purge" => plan::purge(self, request).await,
            "queue.delete" => plan::delete_queue(self, request).await,
            "exchange.delete" => plan::delete_exchange(self, request).await,
            id => Err(Fault::new(Kind::Usage, "plan", id, "RabbitMQ has no such operation")),
        }
    }

    async fn apply(&self, change: &Change) -> Result<Done, Fault> {
        let op = change.request.spec.id;
        let steps: Steps =
            serde_json::from_str(&change.steps).map_err(|error| Fault::new(Kind::Usage, op, "", format!("these are no steps: {error}")))?;
        // Nothing has been done yet if there is no connection.
        self.link.shared().await?;
        Ok(steps.apply(self, op).await)
    }
}
