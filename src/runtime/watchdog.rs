//! Notices that the terminal is gone. crossterm does not: its reader would spin for ever after the other end of the
//! terminal was closed (crossterm issue 793).

use rustix::event::{PollFd, PollFlags, poll};
use std::sync::Arc;
use tokio::sync::Notify;

/// Notified once when standard input reports that its other end is closed.
pub(super) fn watch() -> Arc<Notify> {
    let gone = Arc::new(Notify::new());
    let notify = gone.clone();
    // A thread of its own: the wait has no end that could be joined, and the process ends without it.
    std::thread::spawn(move || {
        let stdin = std::io::stdin();
        loop {
            // Asking for no event leaves only those that are always reported: hang-up, error, invalid.
            match poll(&mut [PollFd::new(&stdin, PollFlags::empty())], None) {
                Err(rustix::io::Errno::INTR) | Ok(0) => {}
                Ok(_) | Err(_) => {
                    notify.notify_one();
                    return;
                }
            }
        }
    });
    gone
}
