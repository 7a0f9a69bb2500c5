//! `mqdeck rpc`: a request from the command line, its replies one a line.

use super::output::Messages;
use super::{Connection, duration, publish};
use crate::domain::address::Address;
use crate::domain::message::Outgoing;
use clap::{Args, Subcommand};
use futures::{FutureExt, StreamExt};
use std::process::ExitCode;

#[derive(Debug, Args)]
pub struct Rpc {
    #[command(subcommand)]
    command: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Sends a request and prints the replies as they come, until the last that can come or the time is over.
    Call(Call),
}

#[derive(Debug, Args)]
struct Call {
    /// Who is called: `nats/orders.price`.
    address: Address,
    /// The payload: text, `@FILE`, or `-` for standard input; empty if missing.
    #[arg(default_value = "")]
    data: String,
    /// A header; may be repeated, order and duplicates are kept. `name=` is empty, `name` alone has no value.
    #[arg(long = "header", short = 'H', value_name = "NAME=VALUE")]
    headers: Vec<String>,
    /// How long replies are waited for: 5s, 1m.
    #[arg(long, value_name = "DURATION", default_value = "5s", alias = "wait")]
    timeout: String,
    /// Ends with this many replies; 0 prints all that come in time. One if missing, where the system cannot tell how many there are.
    #[arg(long, value_name = "N")]
    replies: Option<u32>,
    /// One JSON object a reply, as `mqdeck tail --json` prints messages.
    #[arg(long)]
    json: bool,
}

impl Rpc {
    pub(super) async fn run(&self, connection: &Connection) -> anyhow::Result<ExitCode> {
        let Verb::Call(call) = &self.command;
        call.run(connection).await
    }
}

impl Call {
    async fn run(&self, connection: &Connection) -> anyhow::Result<ExitCode> {
        let wait = duration("call", &self.timeout)?;
        let request = Outgoing {
            headers: self.headers.iter().map(|text| publish::header(text)).collect(),
            payload: Some(publish::payload(Some(&self.data)).await?),
            options: self.replies.map(|replies| ("replies", replies.to_string())).into_iter().collect(),
            ..Outgoing::default()
        };
        let gateway = connection.open()?;
        let mut messages = Messages::new(&gateway, std::slice::from_ref(&self.address), self.json)?;
        let mut replies = gateway.call(&self.address, request, wait).await?;
        let (mut came, most) = (0, self.replies.filter(|most| *most > 0));
        let result = loop {
            if most.is_some_and(|most| came >= most) {
                // Behind the last reply only that a service refused is told, at once.
                break replies.next().now_or_never().flatten().and_then(Result::err).map_or(Ok(()), Err);
            }
            tokio::select! {
                biased;
                () = connection.stopped() => break Ok(()),
                reply = replies.next() => match reply {
                    Some(Ok(message)) => {
                        came += 1;
                        messages.print(&self.address.integration, &message)?;
                        messages.out.flush()?;
                    }
                    Some(Err(_)) if connection.is_stopped() => break Ok(()),
                    Some(Err(fault)) => break Err(fault),
                    None => break Ok(()),
                },
            }
        };
        drop(replies);
        gateway.shutdown().await;
        result?;
        Ok(ExitCode::SUCCESS)
    }
}
