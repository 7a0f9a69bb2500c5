//! Live tails for a screen: every message is counted, the newest are kept, and the reader gets them at its own pace.
//!
//! The tail is never slowed down by who looks at it: what the window cannot hold is counted and dropped.

use super::Gateway;
use super::filter::{Filter, Verdict};
use super::ingest::Ingest;
use crate::adapters::session::TailEvent;
use crate::domain::address::Address;
use crate::domain::fault::Fault;
use crate::domain::message::Message;
use crate::domain::text::SafeText;
use crate::domain::time::Timestamp;
use crate::domain::view::{Counts, MessageView, Side};
use futures::StreamExt;
use futures::stream::{BoxStream, select_all};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc};

/// Messages kept between two updates.
const KEPT: usize = 2_000;
/// Payload bytes kept between two updates.
const KEPT_BYTES: usize = 16 * 1024 * 1024;
/// Updates come no faster than this: a frame shows nothing that is newer.
const PACE: Duration = Duration::from_millis(33);

/// What happened since the last update.
#[derive(Debug, Default)]
pub struct Update {
    /// The newest of the messages that passed the filter, oldest first. Fewer than `matched` grew by, if more came than a window holds.
    pub views: Vec<MessageView>,
    /// Totals since the tail started, exact, before the filter.
    pub counts: Counts,
    /// Messages that passed the filter since the tail started.
    pub matched: u64,
    /// Messages since the tail started on which the filter could not be evaluated.
    pub filter_errors: u64,
    pub notes: Vec<Note>,
}

/// Something about the reading itself.
#[derive(Clone, Debug, PartialEq)]
pub enum Note {
    /// Reading stopped; the tail keeps trying.
    Interrupted { integration: Arc<str>, fault: Fault },
    /// Reading goes on; this many messages were gone before they could be read (`None`: unknown).
    Resumed { integration: Arc<str>, lost: Option<u64> },
    /// So many messages are missing (`None`: at least one).
    Skipped { integration: Arc<str>, count: Option<u64>, side: Side },
    /// What is written already is held back: why; `None` when that is over.
    Waits { integration: Arc<str>, why: Option<SafeText> },
}

/// Tails channels, of one or several integrations, into `updates` until its receiver is dropped. Use a channel of capacity 1:
/// while an update waits there, the next one is being gathered.
///
/// Returns once every tail has started, or with the first fault.
pub async fn tail<E: Send + 'static>(
    gateway: &Gateway,
    addresses: &[Address],
    filter: Filter,
    updates: mpsc::Sender<E>,
    wrap: impl Fn(Update) -> E + Send + 'static,
) -> Result<impl Future<Output = ()> + Send + 'static, Fault> {
    let mut channels: BTreeMap<Arc<str>, Vec<Arc<str>>> = BTreeMap::new();
    for address in addresses {
        channels.entry(address.integration.clone()).or_default().push(gateway.named(address)?);
    }
    let mut streams = Vec::with_capacity(channels.len());
    for (integration, channels) in channels {
        let source = Source { ingest: gateway.ingest(&integration)?, doubt: gateway.doubt(&integration)?, integration };
        let stream = gateway.tail(&source.integration).await?.tail(&channels).await?;
        streams.push(stream.map(move |event| (source.clone(), event)).boxed());
    }
    Ok(gather(select_all(streams).boxed(), Window::new(filter), updates, wrap))
}

/// Where the events of one integration come from.
#[derive(Clone)]
struct Source {
    integration: Arc<str>,
    ingest: Ingest,
    /// Tells the supervisor that a tail saw the connection fail.
    doubt: Arc<Notify>,
}

type Events = BoxStream<'static, (Source, TailEvent)>;

async fn gather<E: Send>(mut events: Events, mut window: Window, updates: mpsc::Sender<E>, wrap: impl Fn(Update) -> E) {
    let mut pace = tokio::time::interval(PACE);
    pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut ready = false;
    loop {
        tokio::select! {
            event = events.next() => match event {
                Some((source, event)) => window.take(&source, event),
                None => return,
            },
            _ = pace.tick(), if !ready && window.changed => ready = true,
            permit = updates.reserve(), if ready && window.changed => {
                let Ok(permit) = permit else { return };
                permit.send(wrap(window.update()));
                ready = false;
            }
            () = updates.closed() => return,
        }
    }
}

/// What came since the last update, cut to the newest.
struct Window {
    filter: Filter,
    messages: VecDeque<(Ingest, Message)>,
    bytes: usize,
    counts: Counts,
    matched: u64,
    filter_errors: u64,
    notes: Vec<Note>,
    changed: bool,
}

impl Window {
    fn new(filter: Filter) -> Self {
        Self {
            filter,
            messages: VecDeque::new(),
            bytes: 0,
            counts: Counts::default(),
            matched: 0,
            filter_errors: 0,
            notes: Vec::new(),
            changed: false,
        }
    }

    fn take(&mut self, source: &Source, event: TailEvent) {
        self.changed = true;
        let integration = &source.integration;
        match event {
            TailEvent::Messages(messages) => {
                for message in messages {
                    self.push(&source.ingest, message);
                }
            }
            TailEvent::Interrupted(fault) => {
                source.doubt.notify_one();
                self.notes.push(Note::Interrupted { integration: integration.clone(), fault });
            }
            TailEvent::Resumed { lost } => self.notes.push(Note::Resumed { integration: integration.clone(), lost }),
            TailEvent::Skipped { count, side } => self.notes.push(Note::Skipped { integration: integration.clone(), count, side }),
            TailEvent::Waits(why) => self.notes.push(Note::Waits { integration: integration.clone(), why }),
        }
    }

    fn push(&mut self, ingest: &Ingest, message: Message) {
        let size = message.size();
        self.counts.seen += 1;
        self.counts.bytes += size as u64;
        match self.filter.test(&message, ingest.prefer(&message.channel)) {
            Verdict::Passes => self.matched += 1,
            Verdict::Fails => return,
            Verdict::Undecodable | Verdict::Failed => {
                self.filter_errors += 1;
                return;
            }
        }
        self.bytes += size;
        self.messages.push_back((ingest.clone(), message));
        while self.messages.len() > KEPT || (self.bytes > KEPT_BYTES && self.messages.len() > 1) {
            if let Some((_, dropped)) = self.messages.pop_front() {
                self.bytes -= dropped.size();
            }
        }
    }

    fn update(&mut self) -> Update {
        self.changed = false;
        self.bytes = 0;
        let views = in_time(self.messages.drain(..).collect()).iter().map(|(ingest, message)| ingest.view(message)).collect();
        Update {
            views,
            counts: self.counts,
            matched: self.matched,
            filter_errors: self.filter_errors,
            notes: std::mem::take(&mut self.notes),
        }
    }
}

/// Partitions come one after the other, each with all it has; a reader wants one story. A message stands at the latest time of its
/// partition up to it, so that each partition keeps its order whatever its clock does.
fn in_time(messages: Vec<(Ingest, Message)>) -> Vec<(Ingest, Message)> {
    let mut reached: HashMap<(Arc<str>, Option<i32>), Option<Timestamp>> = HashMap::new();
    let mut placed: Vec<_> = messages
        .into_iter()
        .map(|(ingest, message)| {
            let latest = reached.entry((message.channel.clone(), message.position.partition())).or_default();
            *latest = (*latest).max(message.timestamp);
            (*latest, ingest, message)
        })
        .collect();
    placed.sort_by_key(|(at, ..)| *at);
    placed.into_iter().map(|(_, ingest, message)| (ingest, message)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::profile::Integration;
    use crate::domain::message::Stamp;
    use crate::domain::position::Position;

    fn batch(from: u64, to: u64) -> TailEvent {
        let message = |n| Message {
            channel: "orders".into(),
            position: Position::Sequence(n),
            timestamp: None,
            stamp: Stamp::Created,
            key: None,
            headers: Vec::new(),
            payload: Some(n.to_string().into()),
        };
        TailEvent::Messages((from..to).map(message).collect())
    }

    #[tokio::test]
    async fn a_flood_keeps_the_newest_and_counts_all() {
        let ingest = Ingest::new(Arc::new(Integration::new("events", "memory", Vec::new())), Arc::default());
        let (events, updates) = (futures::stream::iter((0..10).map(|i| batch(i * 1_000, (i + 1) * 1_000))), mpsc::channel(1));
        let (sender, mut receiver) = updates;
        let source = Source { integration: "events".into(), ingest, doubt: Arc::default() };
        let stream = events.map(move |event| (source.clone(), event)).chain(futures::stream::pending()).boxed();
        let task = tokio::spawn(gather(stream, Window::new(Filter::parse("").expect("a query")), sender, |update| update));
        let mut last = Update::default();
        while last.counts.seen < 10_000 {
            last = receiver.recv().await.expect("an update");
            assert!(last.views.len() <= KEPT);
        }
        assert_eq!(last.views.last().map(|v| v.message.position), Some(Position::Sequence(9_999)));
        drop(receiver);
        tokio::time::timeout(Duration::from_secs(1), task).await.expect("a tail nobody reads ends").expect("no panic");
    }

    #[test]
    fn what_came_together_is_told_in_the_order_of_time_and_each_partition_in_its_own() {
        let ingest = Ingest::new(Arc::new(Integration::new("events", "memory", Vec::new())), Arc::default());
        let message = |partition, offset, time: i64| Message {
            channel: "orders".into(),
            position: Position::Offset { partition, offset },
            timestamp: Some(Timestamp(time)),
            stamp: Stamp::Created,
            key: None,
            headers: Vec::new(),
            payload: None,
        };
        // The clock of partition 0 goes back once.
        let came = [message(0, 1, 10), message(0, 2, 30), message(0, 3, 20), message(1, 7, 15), message(1, 8, 40)];
        let told = in_time(came.into_iter().map(|message| (ingest.clone(), message)).collect());
        let places: Vec<_> = told.iter().map(|(_, message)| message.position.to_string()).collect();
        assert_eq!(places, ["0@1", "1@7", "0@2", "0@3", "1@8"]);
    }
}
