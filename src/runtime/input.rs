//! Keys, pastes, mouse and sizes from the terminal, read by a task of its own.
//!
//! crossterm's reader never comes back once the other end of the terminal is closed (crossterm issue 793): it would take the
//! loop, and with it the watchdog, along.

use crossterm::event::{Event, EventStream};
use futures::StreamExt;
use std::io;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

/// Events that may wait for the loop.
const QUEUED: usize = 64;

/// The reading task; dropping it stops the reading, so that somebody else can read the terminal.
pub(super) struct Input {
    events: mpsc::Receiver<io::Result<Event>>,
    _task: AbortOnDropHandle<()>,
}

impl Input {
    pub(super) fn start() -> Self {
        let (sender, events) = mpsc::channel(QUEUED);
        let task = tokio::spawn(async move {
            let mut stream = EventStream::new();
            while let Some(event) = stream.next().await {
                if sender.send(event).await.is_err() {
                    return;
                }
            }
        });
        Self { events, _task: AbortOnDropHandle::new(task) }
    }

    /// The next event; `None` when the terminal has no more.
    pub(super) async fn next(&mut self) -> Option<io::Result<Event>> {
        self.events.recv().await
    }
}
