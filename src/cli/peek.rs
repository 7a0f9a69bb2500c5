//! `mqdeck peek`: the first messages of a queue, which stay there.

use super::output::{self, Messages};
use super::{Connection, usage};
use crate::domain::address::Address;
use crate::domain::channel::Cost;
use clap::Args;
use std::process::ExitCode;

#[derive(Debug, Args)]
pub struct Peek {
    /// Queue to look at: `rabbit/tasks`.
    address: Address,
    /// This many messages at most.
    #[arg(long, value_name = "N", default_value_t = 10)]
    limit: usize,
    /// Agrees to what looking does to the messages, without being asked.
    #[arg(long, short)]
    yes: bool,
    /// One JSON object a line, as `mqdeck tail --json` prints messages.
    #[arg(long)]
    json: bool,
}

impl Peek {
    pub(super) async fn run(&self, connection: &Connection) -> anyhow::Result<ExitCode> {
        let gateway = connection.open()?;
        let mut messages = Messages::new(&gateway, std::slice::from_ref(&self.address), self.json)?;
        match gateway.peek_cost(&self.address).await? {
            Cost::Nothing => {}
            Cost::Temporary(what) => output::note(format!("looking makes {what}, removed afterwards")),
            Cost::Marks(marks) => {
                output::note(format!("looking leaves marks: {marks}"));
                if !self.yes && !self.asked().await? {
                    output::note("nothing was looked at");
                    return Ok(ExitCode::FAILURE);
                }
            }
        }
        let looked = gateway.peek(&self.address, self.limit).await;
        gateway.shutdown().await;
        let looked = looked?;
        for delivery in &looked {
            messages.received(&self.address.integration, delivery)?;
        }
        messages.out.flush()?;
        output::note(format!("{} looked at; they are still there", looked.len()));
        Ok(ExitCode::SUCCESS)
    }

    async fn asked(&self) -> anyhow::Result<bool> {
        if !output::can_ask() {
            let fault = usage("peek at", &self.address.to_string(), "cannot ask: not a terminal; nothing was looked at");
            return Err(fault.next("add --yes to agree to it").into());
        }
        let answer = output::ask("look anyway? [y/N] ").await?.unwrap_or_default();
        Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
    }
}
