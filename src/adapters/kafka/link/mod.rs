//! The link: Kafka's wire protocol for reading, over tokio and rustls, with the message structs of the kafka-protocol crate.
//!
//! ```text
//! inspect, tail, history ─► Cluster ─► Pool ─► Connection ─► Wire ─► TCP, TLS
//!                           brokers,   one a    versions,     frames in
//!                           leaders    broker   log-in,       order
//!                                      & lane   timeouts
//! ```

pub(crate) mod acls;
mod administer;
pub(crate) mod api;
mod batch;
pub(crate) mod change;
pub(crate) mod cluster;
mod codec;
mod connection;
pub(crate) mod coordinator;
pub(crate) mod cursor;
pub(crate) mod describe;
#[cfg(test)]
mod fake;
pub(crate) mod fetch;
pub(crate) mod find_coordinator;
#[cfg(test)]
mod fuzz;
mod group_change;
pub(crate) mod group_describe;
pub(crate) mod group_offsets;
pub(crate) mod metadata;
pub(crate) mod offsets;
pub(crate) mod pool;
mod record;
#[cfg(test)]
mod sample;
mod sasl;
pub(crate) mod shape;
pub(crate) mod share_offsets;
pub(crate) mod walk;
mod wire;
