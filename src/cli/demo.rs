//! `mqdeck demo`: the console on embedded systems with live traffic.

use super::output::{self, Out};
use super::{Connection, Look, console};
use crate::demo;
use crate::runtime::First;
use clap::Args;
use std::process::ExitCode;

#[derive(Debug, Args)]
pub struct Demo {
    /// Keeps the systems up without the console, and prints the path of a profile that reaches them.
    #[arg(long)]
    headless: bool,
}

impl Demo {
    pub(super) async fn run(&self, connection: &Connection, look: &Look) -> anyhow::Result<ExitCode> {
        if self.headless { headless(connection).await } else { console::open(connection, look, First::Demo).await }
    }
}

async fn headless(connection: &Connection) -> anyhow::Result<ExitCode> {
    let demo = demo::Demo::start().await?;
    // Removed with everything else when the demo ends.
    let folder = tempfile::Builder::new().prefix("mqdeck-").tempdir()?;
    let profile = folder.path().join("demo.hcl");
    tokio::fs::write(&profile, demo.profile_hcl()).await?;
    let mut out = Out::new();
    out.line(profile.display().to_string())?;
    out.flush()?;
    output::note("the demo runs until Ctrl-C; try `mqdeck --profile PATH status` in a second terminal");
    connection.stopped().await;
    Ok(ExitCode::SUCCESS)
}
