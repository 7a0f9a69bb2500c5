//! `mqdeck channels`: what messages travel through, with depth, size and rates.

use super::Connection;
use super::output::{Out, known};
use crate::domain::address::Address;
use crate::domain::channel::Channel;
use crate::domain::figure;
use crate::domain::text::SafeText;
use crate::gateway::Gateway;
use clap::Args;
use serde_json::json;
use std::process::ExitCode;
use std::time::Duration;

#[derive(Debug, Args)]
pub struct Channels {
    /// An integration, or an address to describe one channel in full; every integration if missing.
    integration: Option<String>,
    /// Shows the system's own channels too.
    #[arg(long)]
    internal: bool,
    /// Measures rates for this long first; without it they are unknown.
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2")]
    rates: Option<u16>,
    /// One JSON object a line: address, kind, depth, `rate_in`, `rate_out`, consumers, `dead_letters_to`, can, …
    #[arg(long)]
    json: bool,
}

impl Channels {
    pub(super) async fn run(&self, connection: &Connection) -> anyhow::Result<ExitCode> {
        let gateway = connection.open()?;
        let mut out = Out::new();
        if let Some(address) = self.integration.as_ref().filter(|name| name.contains('/')) {
            let address: Address = address.parse().map_err(|e: String| super::usage("describe", address, e))?;
            self.describe(&gateway, &address, &mut out).await?;
        } else {
            self.list(&gateway, &mut out).await?;
        }
        out.flush()?;
        gateway.shutdown().await;
        Ok(ExitCode::SUCCESS)
    }

    async fn list(&self, gateway: &Gateway, out: &mut Out) -> anyhow::Result<()> {
        let names: Vec<String> = match &self.integration {
            Some(name) => vec![name.clone()],
            None => gateway.integrations().map(|(name, _)| name.to_string()).collect(),
        };
        let mut rows = Vec::new();
        for name in &names {
            let mut channels = gateway.channels(name).await?;
            if let Some(seconds) = self.rates {
                tokio::time::sleep(Duration::from_secs(u64::from(seconds.max(1)))).await;
                channels = gateway.channels(name).await?;
            }
            for channel in channels.into_iter().filter(|c| self.internal || !c.internal) {
                let address = Address::new(name, &channel.name);
                if self.json {
                    out.json(&object(&address, &channel))?;
                } else {
                    rows.push((address, channel));
                }
            }
        }
        if !self.json {
            table(out, &rows)?;
        }
        Ok(())
    }

    async fn describe(&self, gateway: &Gateway, address: &Address, out: &mut Out) -> anyhow::Result<()> {
        let description = gateway.describe(address).await?;
        if self.json {
            let mut object = object(address, &description.channel);
            for table in &description.tables {
                if let Some(remark) = table.as_remark() {
                    object["remarks"][table.title] = remark.as_str().into();
                    object["tables"][table.title] = serde_json::Value::Null;
                    continue;
                }
                let row = |row: &Vec<SafeText>| table.columns.iter().zip(row).map(|(c, v)| ((*c).to_owned(), v.as_str().into())).collect();
                object["tables"][table.title] = table.rows.iter().map(row).collect::<Vec<serde_json::Map<_, _>>>().into();
            }
            return Ok(out.json(&object)?);
        }
        table(out, &[(address.clone(), description.channel)])?;
        for table in description.tables {
            if let Some(remark) = table.as_remark() {
                out.line("")?;
                out.line(format!("{}: {remark}", table.title))?;
                continue;
            }
            out.line("")?;
            out.line(table.title)?;
            out.table(&table.columns, table.rows)?;
        }
        Ok(())
    }
}

fn object(address: &Address, channel: &Channel) -> serde_json::Value {
    let attributes: serde_json::Map<_, _> =
        channel.attributes.iter().map(|a| (a.name.as_str().to_owned(), a.value.as_str().into())).collect();
    json!({
        "address": address.to_string(), "kind": channel.kind, "depth": known(channel.depth.number()), "rate_in": known(channel.rate_in),
        "rate_out": known(channel.rate_out), "consumers": known(channel.consumers), "dead_letters_to": known(channel.dead_letters_to.as_ref().map(SafeText::as_str)),
        "can": channel.can.words(), "tenant": known(channel.tenant.as_ref().map(SafeText::as_str)), "partitions": known(channel.parts),
        "bytes": known(channel.bytes.number()), "internal": channel.internal, "attributes": attributes,
        "error": known(channel.fault.as_ref().map(ToString::to_string)),
    })
}

/// One row a channel, what is wrong with it below. Who consumes and how fast stands there where a system tells it of any of them.
fn table(out: &mut Out, channels: &[(Address, Channel)]) -> std::io::Result<()> {
    let mut headings = vec!["channel", "kind", "tenant", ">parts", ">messages", ">size", ">in/s"];
    let consumed = channels.iter().any(|(_, channel)| channel.rate_out.is_some() || channel.consumers.is_some());
    if consumed {
        headings.extend([">out/s", ">consumers"]);
    }
    let rows = channels.iter().map(|(address, channel)| {
        let mut row = cells(address, channel);
        row.truncate(headings.len());
        (row, channel.fault.as_ref().map(|fault| fault.to_string().into()))
    });
    out.table_with_remarks(&headings, rows.collect())
}

fn cells(address: &Address, channel: &Channel) -> Vec<SafeText> {
    let unknown = || "–".to_owned();
    vec![
        address.to_string().into(),
        channel.kind.into(),
        channel.tenant.clone().unwrap_or_else(|| "–".into()),
        channel.parts.map_or_else(unknown, |n| n.to_string()).into(),
        channel.depth.to_string().into(),
        channel.bytes.show(figure::bytes).into(),
        channel.rate_in.map_or_else(unknown, figure::rate).into(),
        channel.rate_out.map_or_else(unknown, figure::rate).into(),
        channel.consumers.map_or_else(unknown, figure::count).into(),
    ]
}
