//! A whole system in memory: for tests and faults.
use super::Adapter;
use crate::domain::fault::{Fault, Kind};

pub(super) const ADAPTER: Adapter = Adapter {
    name: "memory",
    title: "Memory",
    schemes: &[],
    connect: |integration, _log| {
        Box::pin(async move { Err(Fault::new(Kind::Unreachable, "connect", &*integration.name, "not built yet")) })
    },
};
