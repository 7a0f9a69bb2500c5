//! `mqdeck status`: how every integration stands.

use super::Connection;
use super::output::{Out, known};
use crate::domain::fault::{Fault, Kind};
use crate::domain::text::SafeText;
use crate::gateway::Gateway;
use clap::Args;
use futures::future::join_all;
use serde_json::json;
use std::process::ExitCode;
use std::time::Duration;

#[derive(Debug, Args)]
pub struct Status {
    /// One JSON object a line: integration, system, state, breaker, `latency_ms`, error.
    #[arg(long)]
    json: bool,
}

struct Row {
    integration: String,
    system: &'static str,
    answer: Result<Duration, Fault>,
}

impl Status {
    pub(super) async fn run(&self, connection: &Connection) -> anyhow::Result<ExitCode> {
        let gateway = connection.open()?;
        let rows = join_all(gateway.integrations().map(|(name, system)| look(&gateway, name, system))).await;
        let mut out = Out::new();
        if self.json {
            for row in &rows {
                out.json(&json!({
                    "integration": row.integration, "system": row.system, "state": state(row), "breaker": null,
                    "latency_ms": known(row.answer.as_ref().ok().map(|took| took.as_micros() as f64 / 1000.0)),
                    "error": known(row.answer.as_ref().err().map(ToString::to_string)),
                }))?;
            }
        } else {
            out.table(&["integration", "system", "state", ">latency", "error"], rows.iter().map(cells).collect())?;
        }
        out.flush()?;
        gateway.shutdown().await;
        Ok(code(&rows))
    }
}

async fn look(gateway: &Gateway, name: &str, system: &'static str) -> Row {
    let answer = gateway.check(name).await;
    Row { integration: name.to_owned(), system, answer }
}

/// A failure only if none of them can be used: because none answers, or because none may be asked.
fn code(rows: &[Row]) -> ExitCode {
    let faults: Vec<&Fault> = rows.iter().filter_map(|row| row.answer.as_ref().err()).collect();
    match faults.as_slice() {
        [] => ExitCode::SUCCESS,
        some if some.len() < rows.len() => ExitCode::SUCCESS,
        all if all.iter().all(|fault| fault.kind == Kind::Forbidden) => ExitCode::from(Kind::Forbidden.exit_code()),
        _ => ExitCode::from(Kind::Unreachable.exit_code()),
    }
}

fn state(row: &Row) -> &'static str {
    match &row.answer {
        Ok(_) => "ok",
        Err(fault) if fault.kind == Kind::Forbidden => "denied",
        Err(_) => "down",
    }
}

fn cells(row: &Row) -> Vec<SafeText> {
    let (latency, error) = match &row.answer {
        Ok(took) => (format!("{:.1} ms", took.as_secs_f64() * 1000.0), String::new()),
        Err(fault) => ("–".to_owned(), fault.to_string()),
    };
    vec![row.integration.as_str().into(), row.system.into(), state(row).into(), latency.into(), error.into()]
}
