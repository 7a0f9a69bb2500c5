//! NATS and JetStream, over a wire of our own (`wire/`).
//!
//! A bare channel name is a subject; streams, consumers and services are said by their kind (`names.rs`). Nothing that looks makes a
//! consumer: streams are read by their sequences.

mod api;
mod call;
mod dial;
mod follower;
mod groups;
mod headers;
mod history;
mod hold;
mod inspect;
mod known;
mod letters;
mod link;
mod manage;
mod model;
mod names;
mod operations;
mod peek;
mod publish;
mod purge;
mod queue;
pub mod responder;
mod seen;
mod services;
mod settles;
mod stored;
mod tail;
mod wire;

use super::Adapter;
use super::session::Session;
use super::wirelog::WireLog;
use crate::config::profile::Integration;
use crate::domain::fault::Fault;
use api::Api;
use dial::Dial;
use link::Link;
use std::sync::Arc;

pub(super) const ADAPTER: Adapter = Adapter {
    name: "nats",
    title: "NATS",
    schemes: &[("nats", 4222), ("tls", 4222)],
    settings: Some(dial::RULES),
    check: None,
    log_ins: &["none", "password", "token", "oauth2", "mtls", "nkey", "creds"],
    kinds: names::KINDS,
    operations: operations::ALL,
    connect: |integration, log| Box::pin(connect(integration, log)),
};

/// What the handles of a session share.
#[derive(Clone)]
struct Shared {
    api: Api,
    dial: Arc<Dial>,
    integration: Arc<Integration>,
    seen: seen::Seen,
}

async fn connect(integration: Integration, log: WireLog) -> Result<Session, Fault> {
    let dial = Arc::new(Dial::new(&integration, log)?);
    let link = Link::open(dial.clone()).await?;
    let shared = Shared { api: Api { link }, dial, integration: Arc::new(integration), seen: seen::Seen::default() };
    let inspect = Arc::new(inspect::NatsInspect::new(shared.clone()));
    Ok(Session {
        tail: Some(Arc::new(tail::NatsTail::new(shared.clone()))),
        history: Some(Arc::new(history::NatsHistory::new(shared.api.clone()))),
        peek: Some(Arc::new(peek::NatsPeek::new(shared.api.clone()))),
        groups: Some(Arc::new(groups::NatsGroups::new(shared.api.clone()))),
        dead_letters: Some(Arc::new(letters::NatsLetters::new(shared.api.clone()))),
        publish: Some(Arc::new(publish::NatsPublish::new(shared.clone()))),
        hold: Some(Arc::new(hold::NatsHold::new(shared.clone()))),
        call: Some(Arc::new(call::NatsCall::new(shared.clone()))),
        manage: Some(Arc::new(manage::NatsManage::new(shared.api.clone()))),
        ..Session::new(inspect)
    })
}
