//! The program: parse, load, run, restore the terminal.

use clap::Parser;
use mqdeck::cli::{self, Cli};
use std::process::ExitCode;

fn main() -> ExitCode {
    // Before anything can speak TLS. It fails only if a provider was installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let cli = Cli::parse();
    mqdeck::runtime::log::start();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return cli::report(&error.into()),
    };
    let result = runtime.block_on(cli::run(cli));
    // Tasks that wait for a system that hangs must not keep the program.
    runtime.shutdown_background();
    result.unwrap_or_else(|error| cli::report(&error))
}
