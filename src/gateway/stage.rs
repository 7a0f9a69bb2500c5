//! Test support: a gateway over systems in memory that the test has as well, so that it can put them in trouble.

use super::supervisor::Supervised;
use super::{Access, Gateway};
use crate::adapters;
use crate::adapters::memory::Memory;
use crate::config::profile::{Integration, Profile};
use crate::domain::health::Link;
use crate::domain::safety::{Mode, Safety};
use std::sync::Arc;
use std::time::Duration;

/// A profile that asks for nothing, of integrations in memory.
pub(crate) fn profile(name: &str, integrations: &[&str]) -> Profile {
    let integrations = integrations.iter().map(|name| Integration::new(name, "memory", Vec::new())).collect();
    Profile { name: name.into(), path: None, safety: Safety { mode: Mode::Open, ..Safety::default() }, integrations }
}

impl Gateway {
    /// A profile `test` with one integration `jobs`, which is this system; connected, and armed.
    pub(crate) fn over(access: Access, memory: &Memory) -> Self {
        let mut gateway = Self::open_as(access, profile("test", &["jobs"]));
        let integration = Integration::new("jobs", "memory", Vec::new());
        let session = memory.session();
        let mut jobs = Supervised::over(integration, Arc::default(), move |link, sessions| {
            sessions.send_replace(Some(session));
            link.send_replace(Link::Up { latency: Duration::ZERO });
            async move {
                std::future::pending::<()>().await;
                drop((link, sessions));
            }
        });
        jobs.adapter = adapters::find("memory");
        gateway.supervised = vec![Arc::new(jobs)];
        gateway.arm("test", None).expect("armed");
        gateway
    }
}
