//! `mqdeck groups`: putting a group's positions elsewhere, and back.

use super::change::{self, Mode};
use super::{Connection, usage};
use crate::domain::address::Address;
use crate::domain::fault::Fault;
use crate::domain::operation::Request;
use crate::gateway::Gateway;
use clap::{Args, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, Args)]
pub struct Groups {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Prints what putting a group's positions elsewhere would do; with --execute does it and keeps a file that undoes it.
    Reset(Reset),
    /// Prints what undoing a change would do, by the file that it kept; with --execute does it.
    Undo(Undo),
}

#[derive(Debug, Args)]
struct Reset {
    /// A channel, `events/orders`: all its partitions. An integration, `events`: wherever the group has a position.
    address: String,
    /// The group.
    #[arg(long, short, value_name = "NAME")]
    group: String,
    /// Where to: earliest, latest, end-500, @12345, +100, -100, 3@1042,4@17, `3h ago`, 2026-02-05T10:00Z.
    #[arg(long, value_name = "START", allow_hyphen_values = true)]
    to: String,
    /// Carries it out; refused while members are active.
    #[arg(long)]
    execute: bool,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Undo {
    /// The file, as the change named it.
    file: PathBuf,
    /// Carries it out.
    #[arg(long)]
    execute: bool,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
}

impl Groups {
    pub(super) async fn run(&self, connection: &Connection) -> anyhow::Result<ExitCode> {
        let gateway = connection.open()?;
        let result = match &self.command {
            Command::Reset(reset) => match reset.request(&gateway).await {
                Ok(request) => change::run(&gateway, request, &mode(reset.execute), reset.json).await,
                Err(fault) => Err(fault.into()),
            },
            Command::Undo(undo) => match change::undo(&gateway, &undo.file).await {
                Ok(request) => change::run(&gateway, request, &mode(undo.execute), undo.json).await,
                Err(fault) => Err(fault.into()),
            },
        };
        gateway.shutdown().await;
        result
    }
}

fn mode(execute: bool) -> Mode {
    if execute { Mode::Execute } else { Mode::Show }
}

impl Reset {
    async fn request(&self, gateway: &Gateway) -> Result<Request, Fault> {
        let (integration, topic) = match self.address.split_once('/') {
            None => (self.address.clone(), None),
            Some(_) => {
                let address: Address = self.address.parse().map_err(|e: String| usage("reset", &self.address, e))?;
                (address.integration.to_string(), Some(address.within().to_string()))
            }
        };
        let address = Address::group(&integration, &self.group);
        let spec = gateway.operation(&address, "group.reset").await?;
        let mut arguments = vec![("to".to_owned(), self.to.clone())];
        arguments.extend(topic.map(|topic| ("topic".to_owned(), topic)));
        Ok(Request { spec, address, arguments })
    }
}
