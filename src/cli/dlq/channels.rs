//! `mqdeck dlq channels`: where dead letters lie.

use super::super::output::{self, Out, known};
use super::{found, only_fault};
use crate::domain::address::Address;
use crate::domain::dead_letter::place::PlaceKind;
use crate::domain::figure;
use crate::domain::text::SafeText;
use crate::gateway::Gateway;
use crate::gateway::dead_letters::{DeadLetterChannel, Source};
use clap::Args;
use serde_json::json;
use std::process::ExitCode;

#[derive(Debug, Args)]
pub(super) struct Channels {
    /// An integration; every one if missing.
    integration: Option<String>,
    /// One JSON object a line: address, kind, `found_by`, from, depth, `depth_at_most`, `rate_in`, consumers. What is unknown is null.
    #[arg(long)]
    json: bool,
}

impl Channels {
    pub(super) async fn run(&self, gateway: &Gateway) -> anyhow::Result<ExitCode> {
        let found = found(gateway, self.integration.as_deref(), None).await;
        only_fault(&found)?;
        let (mut out, mut rows, mut whole) = (Out::new(), Vec::new(), true);
        for (integration, found) in &found {
            let found = match found {
                Ok(found) => found,
                Err(fault) => {
                    output::note(format!("{}: {fault}", SafeText::new(integration)));
                    whole = false;
                    continue;
                }
            };
            for gap in &found.gaps {
                output::note(format!("there may be more: {gap}"));
                whole = false;
            }
            found.notes.iter().for_each(|note| output::note(format!("{}: {note}", SafeText::new(integration))));
            for letters in &found.channels {
                let address = Address::new(integration, &letters.channel.name);
                if self.json {
                    out.json(&object(&address, letters))?;
                } else {
                    rows.push((cells(&address, letters), letters.channel.fault.as_ref().map(|fault| fault.to_string().into())));
                }
            }
        }
        if !self.json {
            out.table_with_remarks(&["channel", "kind", "found by", ">letters", ">in/s", ">readers", "from"], rows)?;
        }
        out.flush()?;
        Ok(if whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn object(address: &Address, letters: &DeadLetterChannel) -> serde_json::Value {
    let channel = &letters.channel;
    let (least, most) = channel.depth.number().map_or((None, None), |_| (Some(channel.depth.bounds().0), channel.depth.bounds().1));
    let from = |source: &Source| json!({ "address": source.address.to_string(), "group": source.group.as_deref() });
    json!({
        "address": address.to_string(), "kind": channel.kind, "found_by": letters.found_by.word(),
        "from": letters.from.iter().map(from).collect::<Vec<_>>(), "depth": known(least.filter(|_| least == most)),
        "depth_at_most": known(most), "rate_in": known(channel.rate_in), "consumers": known(channel.consumers),
        "place": known(letters.place.map(PlaceKind::word)), "error": known(channel.fault.as_ref().map(ToString::to_string)),
    })
}

fn cells(address: &Address, letters: &DeadLetterChannel) -> Vec<SafeText> {
    let channel = &letters.channel;
    let dash = || "–".to_owned();
    let from = |source: &Source| match &source.group {
        Some(group) => format!("{} ({group})", source.address),
        None => source.address.to_string(),
    };
    let from: Vec<String> = letters.from.iter().map(from).collect();
    vec![
        address.to_string().into(),
        channel.kind.into(),
        letters.found_by.word().into(),
        channel.depth.to_string().into(),
        channel.rate_in.map_or_else(dash, figure::rate).into(),
        channel.consumers.map_or_else(dash, |n| n.to_string()).into(),
        (if from.is_empty() { dash() } else { from.join(", ") }).into(),
    ]
}
