//! Redis 6 and later, and what speaks like it: streams, pub/sub channels, and keys as they change.
//!
//! A channel is named with its kind, `stream:jobs`, `channel:news`, `key:policy:*`, because the three have name spaces of their own.

mod behind;
mod entry;
mod faults;
mod figures;
mod groups;
mod history;
mod hold;
mod inspect;
mod letters;
mod link;
mod manage;
mod name;
mod publish;
mod tail;
mod value;

use super::Adapter;
use super::session::Session;
use super::wirelog::WireLog;
use crate::config::profile::Integration;
use crate::domain::fault::Fault;
use behind::Verified;
use entry::Form;
use figures::Looks;
use groups::HandedOn;
use inspect::Scanned;
use link::Link;
use std::sync::Arc;

pub(super) const ADAPTER: Adapter = Adapter {
    name: "redis",
    title: "Redis",
    schemes: &[("redis", 6379), ("rediss", 6379)],
    settings: Some(link::RULES),
    check: None,
    log_ins: &["none", "password", "token", "oauth2", "mtls"],
    kinds: name::KINDS,
    operations: manage::specs::ALL,
    connect: |integration, log| Box::pin(connect(integration, log)),
};

/// What every handle works with. Cloning shares it.
#[derive(Clone)]
struct Redis {
    link: Arc<Link>,
    integration: Arc<Integration>,
    form: Form,
    scanned: Arc<Scanned>,
    looks: Arc<Looks>,
    handed_on: Arc<HandedOn>,
    verified: Arc<Verified>,
}

async fn connect(integration: Integration, log: WireLog) -> Result<Session, Fault> {
    let form = Form::of(&integration);
    let link = Arc::new(Link::new(&integration, log)?);
    let redis = Redis {
        link,
        integration: Arc::new(integration),
        form,
        scanned: Arc::default(),
        looks: Arc::default(),
        handed_on: Arc::default(),
        verified: Arc::default(),
    };
    redis.link.ping().await?;
    let handle = Arc::new(redis);
    Ok(Session {
        tail: Some(handle.clone()),
        history: Some(handle.clone()),
        groups: Some(handle.clone()),
        dead_letters: Some(handle.clone()),
        publish: Some(handle.clone()),
        hold: Some(handle.clone()),
        manage: Some(handle.clone()),
        ..Session::new(handle)
    })
}
