//! `mqdeck dlq audit`: what will lose dead letters, before it does.

use super::super::output::{self, Out};
use super::{found, only_fault};
use crate::domain::address::Address;
use crate::domain::dead_letter::finding::Finding;
use crate::domain::text::SafeText;
use crate::domain::time::parse_duration;
use crate::gateway::Gateway;
use clap::Args;
use serde_json::json;
use std::process::ExitCode;
use std::time::Duration;

/// The exit code of an assertion that does not hold.
const ASSERTION: u8 = 5;

#[derive(Debug, Args)]
pub(super) struct Audit {
    /// An integration; every one if missing.
    integration: Option<String>,
    /// How long a letter has to stay, so that whoever is on call finds it.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    window: Option<Duration>,
    /// One JSON object a line: address, finding, severity, detail.
    #[arg(long)]
    json: bool,
}

fn duration(text: &str) -> Result<Duration, String> {
    Duration::try_from(parse_duration(text)?).map_err(|error| error.to_string())
}

impl Audit {
    pub(super) async fn run(&self, gateway: &Gateway) -> anyhow::Result<ExitCode> {
        let found = found(gateway, self.integration.as_deref(), self.window).await;
        only_fault(&found)?;
        let (mut out, mut rows, mut unknown) = (Out::new(), Vec::new(), false);
        for (integration, found) in &found {
            let found = match found {
                Ok(found) => found,
                Err(fault) => {
                    output::note(format!("{}: {fault}", SafeText::new(integration)));
                    unknown = true;
                    continue;
                }
            };
            for gap in &found.gaps {
                output::note(format!("not looked at: {gap}"));
                unknown = true;
            }
            found.notes.iter().for_each(|note| output::note(format!("{}: {note}", SafeText::new(integration))));
            rows.extend(found.findings.iter().map(|finding| (integration, finding)));
        }
        rows.sort_by_key(|(_, finding)| std::cmp::Reverse(finding.kind.severity));
        if self.json {
            rows.iter().try_for_each(|(integration, finding)| out.json(&object(integration, finding)))?;
        } else if !rows.is_empty() {
            out.table(
                &["severity", "channel", "finding", "detail"],
                rows.iter().map(|(integration, finding)| cells(integration, finding)).collect(),
            )?;
        }
        out.flush()?;
        if rows.is_empty() && !unknown {
            output::note("nothing was found that loses dead letters");
            return Ok(ExitCode::SUCCESS);
        }
        // What could not be looked at does not pass.
        Ok(ExitCode::from(ASSERTION))
    }
}

fn object(integration: &str, finding: &Finding) -> serde_json::Value {
    json!({
        "address": Address::new(integration, &finding.channel).to_string(), "finding": finding.kind.id,
        "severity": finding.kind.severity.word(), "detail": detail(integration, finding).as_str(), "group": finding.group.as_deref(),
    })
}

fn cells(integration: &str, finding: &Finding) -> Vec<SafeText> {
    let channel = Address::new(integration, &finding.channel).to_string();
    let channel = finding.group.as_ref().map_or_else(|| channel.clone(), |group| format!("{channel} ({group})"));
    vec![finding.kind.severity.word().into(), channel.into(), finding.kind.id.into(), detail(integration, finding)]
}

/// What it is here, with the other channels that it is about.
fn detail(integration: &str, finding: &Finding) -> SafeText {
    if finding.others.is_empty() {
        return finding.detail.clone();
    }
    let others: Vec<String> = finding.others.iter().map(|other| Address::new(integration, other).to_string()).collect();
    format!("{}: {}", finding.detail, others.join(" → ")).into()
}
