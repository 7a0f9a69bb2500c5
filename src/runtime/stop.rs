//! The end of the program by signals: the first begins nothing new and lets what is under way end, the second does not wait for it.

use super::terminal;
use crate::domain::figure;
use crate::gateway::Access;
use std::io;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// How long the program may go on after the first signal with nothing under way that changes something.
const GRACE: Duration = Duration::from_secs(3);
/// What a shell reports of a program that was ended by SIGINT.
const INTERRUPTED: i32 = 130;

/// Listens for SIGINT, SIGTERM and SIGHUP as long as the program runs.
///
/// The first one cancels what the caller reads and waits for. What changes a system goes on to its own end, or until a second signal; its
/// outcome is then written down as unknown.
pub fn on_signals(access: &Access) -> io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let (stop, audit) = (access.caller.stop().clone(), access.audit.clone());
    tokio::spawn(async move {
        loop {
            let idle = async {
                stop.cancelled().await;
                tokio::time::sleep(GRACE).await;
                audit.settled().await;
            };
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = hangup.recv() => {}
                // Something that listens to no end holds it up: a read from a terminal.
                () = idle => end(0),
            }
            if stop.is_cancelled() {
                end(audit.give_up());
            }
            stop.cancel();
        }
    });
    Ok(())
}

#[expect(clippy::print_stderr, reason = "the last word of the program")]
fn end(unknown: usize) -> ! {
    terminal::give_back();
    if unknown > 0 {
        let changes = figure::several(unknown as u64, "change");
        eprintln!("mqdeck: ended before the outcome of {changes} was known: the audit log names what is unknown");
    }
    std::process::exit(INTERRUPTED)
}
