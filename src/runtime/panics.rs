//! Panics. That of a background task ends that task alone: it is reported, and the program's exit code says that something failed. Only
//! that of the thread that has the terminal gives the terminal back, because only then the program ends.

use super::terminal;
use crate::domain::text::SafeText;
use std::backtrace::Backtrace;
use std::collections::VecDeque;
use std::io::Write;
use std::panic::PanicHookInfo;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, ThreadId};
use tokio::sync::Notify;

/// Reports that wait to be shown; of more the newest are dropped, the log has all.
const KEPT: usize = 20;

static MAIN: OnceLock<ThreadId> = OnceLock::new();
static FAILED: AtomicBool = AtomicBool::new(false);
static REPORTS: Mutex<VecDeque<SafeText>> = Mutex::new(VecDeque::new());
static REPORTED: Notify = Notify::const_new();

/// Watches for panics from now on. To be called by the thread that owns the program.
pub fn watch() {
    if MAIN.set(thread::current().id()).is_err() {
        return;
    }
    std::panic::set_hook(Box::new(|info| {
        FAILED.store(true, Ordering::Relaxed);
        if MAIN.get().is_some_and(|main| *main == thread::current().id()) {
            // Before the message, which is to be readable.
            terminal::give_back();
            return report("the program", info);
        }
        report("a background task", info);
    }));
}

/// What a panic says may have come from a system: it is escaped like everything else.
fn report(what: &str, info: &PanicHookInfo<'_>) {
    let payload = info.payload_as_str().unwrap_or("for a reason that is not text");
    let place = info.location().map_or_else(String::new, |at| format!(" at {}:{}", at.file(), at.line()));
    let report = SafeText::from(format!("{what} failed{place}: {payload}"));
    tracing::error!(%report, backtrace = %Backtrace::capture(), "panic");
    if !terminal::is_taken() {
        let _ = writeln!(std::io::stderr(), "mqdeck: {report}");
        return;
    }
    let mut reports = reports();
    if reports.len() < KEPT {
        reports.push_back(report);
    }
    drop(reports);
    REPORTED.notify_one();
}

fn reports() -> MutexGuard<'static, VecDeque<SafeText>> {
    REPORTS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether there was one: the program has failed then, whatever else it did.
pub fn any() -> bool {
    FAILED.load(Ordering::Relaxed)
}

/// The next report, for the console. May be given up at any moment.
pub(super) async fn next() -> SafeText {
    loop {
        let report = reports().pop_front();
        if let Some(report) = report {
            return report;
        }
        REPORTED.notified().await;
    }
}
