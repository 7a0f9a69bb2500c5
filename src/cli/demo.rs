//! `mqdeck demo`: the console on embedded systems with live traffic.

use super::{Connection, Look, console};
use crate::runtime::First;
use clap::Args;
use std::process::ExitCode;

#[derive(Debug, Args)]
pub struct Demo {}

impl Demo {
    pub(super) async fn run(&self, connection: &Connection, look: &Look) -> anyhow::Result<ExitCode> {
        console::open(connection, look, First::Demo).await
    }
}
