//! `mqdeck peek`: the first messages of a queue, which are given back.

use super::output::{self, Messages};
use super::{Connection, usage};
use crate::domain::address::Address;
use crate::domain::channel::Cost;
use crate::domain::operation::Risk;
use crate::domain::operations::PEEK;
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
    /// Looks even where each look spends one of the deliveries that a message has: the last one deletes it. The profile must be armed.
    #[arg(long)]
    spend: bool,
    /// One JSON object a line, as `mqdeck tail --json` prints messages.
    #[arg(long)]
    json: bool,
}

impl Peek {
    pub(super) async fn run(&self, connection: &Connection) -> anyhow::Result<ExitCode> {
        let gateway = connection.open()?;
        let mut messages = Messages::new(&gateway, std::slice::from_ref(&self.address), self.json)?;
        let cost = gateway.peek_cost(&self.address).await?;
        let done = if matches!(cost, Cost::Nothing | Cost::Temporary(_)) { "" } else { " and given back" };
        match cost {
            Cost::Nothing => {}
            Cost::Temporary(what) => output::note(format!("looking makes {what}, removed afterwards")),
            Cost::Marks(marks) => {
                output::note(format!("looking leaves marks: {marks}"));
                if !self.yes && !self.asked("look anyway? [y/N] ", |answer| matches!(answer, "y" | "Y" | "yes")).await? {
                    output::note("nothing was looked at");
                    return Ok(ExitCode::FAILURE);
                }
            }
            // Refused where it is asked for.
            Cost::Spends(_) if !self.spend => {}
            Cost::Spends(why) => {
                output::note(format!("looking may DELETE messages: {why}"));
                gateway.permits(&PEEK, Risk::Destroy, &self.address)?;
                let address = self.address.to_string();
                if !self.yes && !self.asked("to look anyway, type the address: ", |answer| answer == address).await? {
                    output::note("nothing was looked at");
                    return Ok(ExitCode::FAILURE);
                }
            }
        }
        let looked = gateway.peek(&self.address, self.limit, self.spend).await;
        gateway.shutdown().await;
        let looked = looked?;
        for delivery in &looked.deliveries {
            messages.received(&self.address.integration, delivery)?;
        }
        messages.out.flush()?;
        let cut = if looked.cut { "; no more of them: together they have as many bytes as one look keeps" } else { "" };
        output::note(format!("{} looked at{done}{cut}{}", looked.deliveries.len(), counted(looked.ready)));
        looked.notes.iter().for_each(|note| output::note(note.as_str()));
        Ok(ExitCode::SUCCESS)
    }

    async fn asked(&self, question: &str, is_yes: impl Fn(&str) -> bool) -> anyhow::Result<bool> {
        if !output::can_ask() {
            let fault = usage("peek at", &self.address.to_string(), "cannot ask: not a terminal; nothing was looked at");
            return Err(fault.next("add --yes to agree to it").into());
        }
        let answer = output::ask(question).await?.unwrap_or_default();
        Ok(is_yes(answer.trim()))
    }
}

/// What was counted before and after, where the system counts.
fn counted(ready: Option<(u64, u64)>) -> String {
    ready.map_or_else(String::new, |(before, after)| format!("; ready before: {before}, after: {after}"))
}
