//! The program: parse, load, run, restore the terminal.

use mqdeck::cli;
use mqdeck::domain::principal::Principal;
use mqdeck::gateway::Access;
use mqdeck::gateway::audit::Audit;
use mqdeck::gateway::guard::{AllowAll, Caller};
use mqdeck::runtime::{environment, log, panics, stop};
use std::process::ExitCode;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

fn main() -> ExitCode {
    // Before anything can speak TLS. It fails only if a provider was installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut cli = match cli::parse() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    log::start();
    panics::watch();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return cli::report(&error.into()),
    };
    let access = access();
    let audit = access.audit.clone();
    let result = runtime.block_on(async {
        cli.connection.access = access;
        stop::on_signals(&cli.connection.access)?;
        cli::run(cli).await
    });
    // Tasks that wait for a system that hangs must not keep the program.
    runtime.shutdown_background();
    // What was not waited for to its end has no outcome that anybody knows.
    audit.give_up();
    let code = result.unwrap_or_else(|error| cli::report(&error));
    // A task that failed may have been the one that the result is missing from.
    if panics::any() && code == ExitCode::SUCCESS { ExitCode::FAILURE } else { code }
}

/// The operator at this machine, and the log of what she changes.
fn access() -> Access {
    let named = environment("USER").or_else(|| environment("LOGNAME"));
    let user = named.unwrap_or_else(|| format!("uid={}", rustix::process::getuid().as_raw()));
    let caller = Caller::new(Principal::local(Some(&user)), Arc::new(AllowAll), CancellationToken::new());
    Access { caller, audit: Audit::within(log::folder()), read_only: false }
}
