//! What a process has used so far, from `/proc` (proc(5)).

use std::fs;
use std::time::Duration;

/// Ticks a second in `/proc/PID/stat`; 100 on every Linux that matters here.
const TICKS: u64 = 100;

/// What was used at one moment.
pub(crate) struct Usage {
    /// User and system time of all threads.
    pub(crate) cpu: Duration,
    /// Times that a thread went to sleep and was woken.
    pub(crate) wakeups: u64,
    /// Resident memory in MB, now and at most.
    pub(crate) resident: f64,
    pub(crate) peak: f64,
}

impl Usage {
    pub(crate) fn of(pid: u32) -> Self {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process runs");
        // The fields behind the name in brackets; user and system time are the 14th and 15th of all.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
        let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process runs");
        let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        let woken = |status: &str| number(status, "voluntary_ctxt_switches:");
        Self {
            cpu: Duration::from_millis((ticks(11) + ticks(12)) * 1_000 / TICKS),
            wakeups: threads.filter_map(|thread| fs::read_to_string(thread.path().join("status")).ok()).map(|s| woken(&s)).sum(),
            resident: number(&status, "VmRSS:") as f64 / 1_000.0,
            peak: number(&status, "VmHWM:") as f64 / 1_000.0,
        }
    }
}

/// The number of a line of `/proc/PID/status`.
fn number(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
