//! The two ways into the loop: a lossless one for results, and a coalescing one for live data, so that a flood can neither
//! delay nor deadlock a result.

use crate::app::Event;
use crate::demo::Demo;
use crate::domain::fault::Fault;
use tokio::sync::mpsc;

/// Results that may wait; whoever sends more waits itself.
const RESULTS: usize = 256;

/// Which opening of a profile something belongs to; 0 before the first. Integrations of two profiles may have the same names.
pub(super) type Generation = u64;

/// What comes in.
pub(super) enum Arrival {
    Event(Generation, Event),
    /// The embedded systems were started: they must be kept, so this is no event.
    Demo(Result<Demo, Fault>),
}

/// The sending ends, given to every task.
#[derive(Clone)]
pub(super) struct Lanes {
    results: mpsc::Sender<Arrival>,
    /// Capacity 1: while an update waits here, a tail gathers the next.
    live: mpsc::Sender<Arrival>,
    generation: Generation,
}

/// The receiving ends, kept by the loop.
pub(super) struct Inbox {
    results: mpsc::Receiver<Arrival>,
    live: mpsc::Receiver<Arrival>,
}

pub(super) fn lanes() -> (Lanes, Inbox) {
    let (results, results_out) = mpsc::channel(RESULTS);
    let (live, live_out) = mpsc::channel(1);
    (Lanes { results, live, generation: 0 }, Inbox { results: results_out, live: live_out })
}

impl Inbox {
    /// The next event, results first. The lanes never close while the loop runs, because it holds their senders itself.
    pub(super) async fn next(&mut self) -> Option<Arrival> {
        tokio::select! {
            biased;
            event = self.results.recv() => event,
            event = self.live.recv() => event,
        }
    }

    /// An event that is there already.
    pub(super) fn ready(&mut self) -> Option<Arrival> {
        self.results.try_recv().or_else(|_| self.live.try_recv()).ok()
    }
}

impl Lanes {
    /// Hands a result to the loop; after the loop has ended nobody needs it.
    pub(super) async fn result(&self, event: Event) {
        self.arrive(Arrival::Event(self.generation, event)).await;
    }

    /// Hands live data to the loop, waiting until the one before was taken.
    pub(super) async fn live(&self, event: Event) {
        let _ = self.live.send(Arrival::Event(self.generation, event)).await;
    }

    /// The live lane, and what makes an event fit for it: for who sends many.
    pub(super) fn live_events(&self) -> (mpsc::Sender<Arrival>, impl Fn(Event) -> Arrival + Clone + use<>) {
        let generation = self.generation;
        (self.live.clone(), move |event| Arrival::Event(generation, event))
    }

    /// The lanes of the tasks of one opened profile.
    pub(super) fn of(&self, generation: Generation) -> Self {
        Self { generation, ..self.clone() }
    }

    pub(super) async fn arrive(&self, arrival: Arrival) {
        let _ = self.results.send(arrival).await;
    }
}
