//! RabbitMQ: queues, exchanges and streams by AMQP 0-9-1; lists, figures and topology by the management API where it answers.
//!
//! A channel is named with its kind, `queue:tasks`, `exchange:grey.tasks`, `stream:log`, because queues and exchanges have name spaces
//! of their own.

mod call;
mod cluster;
mod dead_letters;
mod describe;
mod faults;
mod foreign;
mod frames;
mod history;
mod hold;
mod inspect;
mod letters;
mod link;
mod manage;
mod management;
mod name;
mod peek;
mod properties;
mod publish;
mod publisher;
mod sent;
mod settings;
mod settles;
mod socket;
mod stream;
mod table;
mod tail;
mod take;
mod tap;
mod topology;
mod vhosts;

use super::Adapter;
use super::session::Session;
use super::wirelog::WireLog;
use crate::config::profile::Integration;
use crate::domain::fault::Fault;
use link::Link;
use management::Management;
use publisher::Publisher;
use settings::Settings;
use std::sync::Arc;

pub(super) const ADAPTER: Adapter = Adapter {
    name: "rabbitmq",
    title: "RabbitMQ",
    schemes: &[("amqp", 5672), ("amqps", 5671)],
    settings: Some(settings::RULES),
    check: None,
    log_ins: &["none", "basic", "token", "oauth2", "mtls"],
    kinds: name::KINDS,
    operations: manage::specs::ALL,
    connect: |integration, log| Box::pin(connect(integration, log)),
};

/// What every handle works with. Cloning shares it.
#[derive(Clone)]
struct Rabbit {
    link: Arc<Link>,
    management: Arc<Management>,
    publisher: Arc<Publisher>,
    integration: Arc<Integration>,
    settings: Arc<Settings>,
}

async fn connect(integration: Integration, log: WireLog) -> Result<Session, Fault> {
    let settings = Arc::new(Settings::of(&integration)?);
    let link = Arc::new(Link::new(&integration, &settings, log.clone())?);
    let management = Arc::new(Management::new(&integration, &settings, log)?);
    link.shared().await?;
    let publisher = Arc::new(Publisher::new(link.clone()));
    let handle = Arc::new(Rabbit { link, management, publisher, integration: Arc::new(integration), settings });
    Ok(Session {
        tail: Some(handle.clone()),
        history: Some(handle.clone()),
        peek: Some(handle.clone()),
        dead_letters: Some(handle.clone()),
        publish: Some(handle.clone()),
        hold: Some(handle.clone()),
        call: Some(handle.clone()),
        manage: Some(handle.clone()),
        ..Session::new(handle)
    })
}
