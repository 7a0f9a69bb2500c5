//! `mqdeck dlq`: dead letters, where they lie, what they died of, and what will lose them.

mod audit;
mod channels;
mod groups;
mod show;

use super::Connection;
use crate::domain::fault::Fault;
use crate::gateway::Gateway;
use crate::gateway::dead_letters::DeadLetters;
use clap::{Args, Subcommand};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

#[derive(Debug, Args)]
pub struct Dlq {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// What letters died of: the failures of every dead-letter channel, most letters first.
    Ls(groups::List),
    /// What the letters of these channels died of.
    Groups(groups::Groups),
    /// Where dead letters lie: channels with depth, rate, readers and where their letters come from.
    Channels(channels::Channels),
    /// One letter: why and where it died, its headers and its payload.
    Show(show::Show),
    /// What will lose dead letters, before it does. Exits with 5 if anything is found.
    Audit(audit::Audit),
}

impl Dlq {
    pub(super) async fn run(&self, connection: &Connection) -> anyhow::Result<ExitCode> {
        let gateway = connection.open()?;
        let work = async {
            match &self.command {
                Command::Ls(list) => list.run(&gateway, connection).await,
                Command::Groups(groups) => groups.run(&gateway, connection).await,
                Command::Channels(channels) => channels.run(&gateway).await,
                Command::Show(show) => show.run(&gateway).await,
                Command::Audit(audit) => audit.run(&gateway).await,
            }
        };
        let result = connection.unless_stopped(work).await.unwrap_or(Ok(ExitCode::FAILURE));
        gateway.shutdown().await;
        result
    }
}

/// What is known of the dead letters of an integration, or of all of them: one that fails keeps nobody from the others.
async fn found(gateway: &Gateway, integration: Option<&str>, window: Option<Duration>) -> Vec<(Arc<str>, Result<DeadLetters, Fault>)> {
    let names: Vec<Arc<str>> = match integration {
        Some(name) => vec![name.into()],
        None => gateway.integrations().map(|(name, _)| name.clone()).collect(),
    };
    futures::future::join_all(names.into_iter().map(|name| async move {
        let found = gateway.dead_letters(&name, window).await;
        (name, found)
    }))
    .await
}

/// The fault that an integration's was, where nothing else was asked for.
fn only_fault(found: &[(Arc<str>, Result<DeadLetters, Fault>)]) -> Result<(), Fault> {
    match found.iter().find_map(|(_, found)| found.as_ref().err()) {
        Some(fault) if found.iter().all(|(_, found)| found.is_err()) => Err(fault.clone()),
        _ => Ok(()),
    }
}
