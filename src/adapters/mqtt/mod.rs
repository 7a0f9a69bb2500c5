//! MQTT 5 and 3.1.1: topics that are seen, what is retained, and messages live.
//!
//! A channel is a topic or a filter of topics (`site/+/state`, `site/#`); `$share/GROUP/FILTER` takes part in a shared subscription. Each reading
//! has a connection of its own.

mod call;
mod connection;
mod dial;
mod dropped;
pub mod embedded;
mod faults;
mod history;
mod hold;
mod inspect;
mod manage;
mod message;
mod publish;
mod retained;
mod seen;
mod settings;
mod tail;
mod topic;
mod twins;
mod v3;
mod v5;
mod wire;

use super::Adapter;
use super::session::Session;
use super::wirelog::WireLog;
use crate::config::profile::Integration;
use crate::domain::fault::Fault;
use dial::Dialler;
use dropped::Counts;
use publish::Publisher;
use seen::Seen;
use std::sync::Arc;

pub(super) const ADAPTER: Adapter = Adapter {
    name: "mqtt",
    title: "MQTT",
    schemes: &[("mqtt", 1883), ("mqtts", 8883), ("ws", 80), ("wss", 443)],
    settings: Some(settings::RULES),
    check: None,
    log_ins: &["none", "password", "bearer", "oauth2", "mtls"],
    kinds: topic::KINDS,
    operations: manage::OPERATIONS,
    connect: |integration, log| Box::pin(connect(integration, log)),
};

/// What every handle works with. Cloning shares it.
#[derive(Clone)]
struct Mqtt {
    dialler: Arc<Dialler>,
    publisher: Arc<Publisher>,
    seen: Arc<Seen>,
    dropped: Arc<Counts>,
    integration: Arc<Integration>,
}

impl Mqtt {
    /// Whether the broker's version has requests and answers.
    fn answers(&self) -> bool {
        self.dialler.version() == Some(wire::Version::V5)
    }
}

async fn connect(integration: Integration, log: WireLog) -> Result<Session, Fault> {
    let dialler = Arc::new(Dialler::new(&integration, log)?);
    let publisher = Arc::new(Publisher::new(dialler.clone()));
    publisher.ping().await?;
    let seen = Arc::new(Seen::new(dialler.clone()));
    let handle = Arc::new(Mqtt { dialler, publisher, seen, dropped: Arc::default(), integration: Arc::new(integration) });
    Ok(Session {
        tail: Some(handle.clone()),
        history: Some(handle.clone()),
        publish: Some(handle.clone()),
        hold: Some(handle.clone()),
        call: handle.answers().then(|| handle.clone() as Arc<dyn super::session::Call>),
        manage: Some(handle.clone()),
        ..Session::new(handle)
    })
}
