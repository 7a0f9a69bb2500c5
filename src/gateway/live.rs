//! Live tails for a screen: every message is counted, the newest are kept, and the reader gets them at its own pace.
//!
//! The tail is never slowed down by who looks at it: what the window cannot hold is counted and dropped.

use super::Gateway;
use super::filter::{Filter, Verdict};
use super::ingest::Ingest;
use crate::domain::address::Address;
use crate::domain::fault::Fault;
use crate::domain::message::Message;
use crate::domain::tail::TailEvent;
use crate::domain::time::Timestamp;
use crate::domain::view::Counts;
pub use crate::domain::view::{TailNote as Note, TailUpdate as Update};
use futures::StreamExt;
use futures::stream::{BoxStream, select_all};
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

/// Messages kept between two updates.
const KEPT: usize = 2_000;
/// Payload bytes kept between two updates.
const KEPT_BYTES: usize = 16 * 1024 * 1024;
/// Updates come no faster than this: a frame shows nothing that is newer.
const PACE: Duration = Duration::from_millis(33);

/// What comes within so short a time of what came before is taken together: waking a task for each message costs more than the message.
const REST: Duration = Duration::from_millis(1);
/// Events that are taken one after the other before updates are thought of.
const TOGETHER: usize = 64;

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
    let integrations: BTreeSet<&Arc<str>> = addresses.iter().map(|address| &address.integration).collect();
    let source = |name: &&Arc<str>| {
        Ok(Source { integration: Arc::clone(name), ingest: gateway.ingest(name)?, link_recheck: gateway.link_recheck(name)? })
    };
    let sources: Vec<Source> = integrations.iter().map(source).collect::<Result<_, Fault>>()?;
    // A stream for each integration, in the same order.
    let numbered = gateway.tails(addresses).await?.into_iter().enumerate();
    let streams = numbered.map(|(number, stream)| stream.map(move |(_, event)| (number, event)).boxed());
    Ok(gather(select_all(streams).boxed(), Window::new(filter, sources), updates, wrap))
}

/// Where the events of one integration come from.
struct Source {
    integration: Arc<str>,
    ingest: Ingest,
    /// Tells the supervisor that a tail saw the connection fail.
    link_recheck: Arc<Notify>,
}

/// Events with the numbers of their sources.
type Events = BoxStream<'static, (usize, TailEvent)>;

async fn gather<E: Send>(events: Events, mut window: Window, updates: mpsc::Sender<E>, wrap: impl Fn(Update) -> E) {
    let mut events = events.ready_chunks(TOGETHER);
    let mut pace = tokio::time::interval(PACE);
    pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut ready = false;
    let mut rested = pin!(tokio::time::sleep(Duration::ZERO));
    loop {
        // Looked at once: were it over between two looks, nothing would wait for either.
        let resting = !rested.is_elapsed();
        tokio::select! {
            came = events.next(), if !resting => match came {
                Some(came) => {
                    for (source, event) in came {
                        window.take(source, event);
                    }
                    rested.as_mut().reset(Instant::now() + REST);
                }
                // None of them is tried again, which was their last word.
                None => {
                    if window.changed {
                        let _ = updates.send(wrap(window.update())).await;
                    }
                    return;
                }
            },
            _ = pace.tick(), if !ready && window.changed => ready = true,
            permit = updates.reserve(), if ready && window.changed => {
                let Ok(permit) = permit else { return };
                permit.send(wrap(window.update()));
                ready = false;
            }
            () = rested.as_mut(), if resting => {}
            () = updates.closed() => return,
        }
    }
}

/// What came since the last update, cut to the newest.
struct Window {
    filter: Filter,
    sources: Vec<Source>,
    /// With the numbers of their sources.
    messages: VecDeque<(usize, Message)>,
    bytes: usize,
    counts: Counts,
    matched: u64,
    filter_errors: u64,
    notes: Vec<Note>,
    changed: bool,
}

impl Window {
    fn new(filter: Filter, sources: Vec<Source>) -> Self {
        Self {
            filter,
            sources,
            messages: VecDeque::new(),
            bytes: 0,
            counts: Counts::default(),
            matched: 0,
            filter_errors: 0,
            notes: Vec::new(),
            changed: false,
        }
    }

    fn take(&mut self, source: usize, event: TailEvent) {
        self.changed = true;
        let Source { integration, link_recheck, .. } = &self.sources[source];
        match event {
            TailEvent::Messages(messages) => self.push(source, messages),
            TailEvent::Interrupted(fault) => {
                link_recheck.notify_one();
                self.notes.push(Note::Interrupted { integration: integration.clone(), fault });
            }
            TailEvent::Resumed { lost } => self.notes.push(Note::Resumed { integration: integration.clone(), lost }),
            TailEvent::Skipped { count, side } => self.notes.push(Note::Skipped { integration: integration.clone(), count, side }),
            TailEvent::Waits(why) => self.notes.push(Note::Waits { integration: integration.clone(), why }),
        }
    }

    fn push(&mut self, source: usize, mut messages: Vec<Message>) {
        self.counts.seen += messages.len() as u64;
        self.counts.bytes += messages.iter().map(|message| message.size() as u64).sum::<u64>();
        if !self.filter.query.matches_all() {
            let ingest = &self.sources[source].ingest;
            messages.retain(|message| match self.filter.test(message, ingest.decoder(&message.channel)) {
                Verdict::Passes => true,
                Verdict::Fails => false,
                Verdict::Undecodable | Verdict::Failed => {
                    self.filter_errors += 1;
                    false
                }
            });
        }
        self.matched += messages.len() as u64;
        // What would be pushed out at once by what came with it is not kept in the first place.
        let newest = messages.len().saturating_sub(KEPT);
        self.forget((self.messages.len() + messages.len() - newest).saturating_sub(KEPT));
        for message in messages.into_iter().skip(newest) {
            self.bytes += message.size();
            self.messages.push_back((source, message));
        }
        while self.bytes > KEPT_BYTES && self.messages.len() > 1 {
            self.forget(1);
        }
    }

    /// Drops the oldest.
    fn forget(&mut self, count: usize) {
        for (_, dropped) in self.messages.drain(..count) {
            self.bytes -= dropped.size();
        }
    }

    fn update(&mut self) -> Update {
        self.changed = false;
        self.bytes = 0;
        let messages = in_time(self.messages.drain(..).collect());
        let views = messages.iter().map(|(source, message)| self.sources[*source].ingest.view(message)).collect();
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
fn in_time(messages: Vec<(usize, Message)>) -> Vec<(usize, Message)> {
    // Channels of two integrations may have one name.
    let mut reached: HashMap<(usize, Arc<str>, Option<i32>), Option<Timestamp>> = HashMap::new();
    let mut placed: Vec<_> = messages
        .into_iter()
        .map(|(source, message)| {
            let latest = reached.entry((source, message.channel.clone(), message.position.partition())).or_default();
            *latest = (*latest).max(message.timestamp);
            (*latest, source, message)
        })
        .collect();
    placed.sort_by_key(|(at, ..)| *at);
    placed.into_iter().map(|(_, source, message)| (source, message)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::profile::{Integration, Profile};
    use crate::domain::message::Outgoing;
    use crate::domain::operation::Plan;
    use crate::domain::position::Position;
    use crate::domain::safety::Safety;

    fn batch(from: u64, to: u64) -> TailEvent {
        let message = |n: u64| Message { payload: Some(n.to_string().into()), ..Message::at("orders", Position::Sequence(n)) };
        TailEvent::Messages((from..to).map(message).collect())
    }

    #[tokio::test]
    async fn a_flood_keeps_the_newest_and_counts_all() {
        let ingest = Ingest::new(Arc::new(Integration::new("events", "memory", Vec::new())), Arc::default(), Arc::default());
        let (events, updates) = (futures::stream::iter((0..10).map(|i| batch(i * 1_000, (i + 1) * 1_000))), mpsc::channel(1));
        let (sender, mut receiver) = updates;
        let source = Source { integration: "events".into(), ingest, link_recheck: Arc::default() };
        let stream = events.map(|event| (0, event)).chain(futures::stream::pending()).boxed();
        let window = Window::new(Filter::parse("").expect("a query"), vec![source]);
        let task = tokio::spawn(gather(stream, window, sender, |update| update));
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
        let message = |partition, offset, time: i64| Message {
            timestamp: Some(Timestamp(time)),
            ..Message::at("orders", Position::Offset { partition, offset })
        };
        // The clock of partition 0 goes back once.
        let came = [message(0, 1, 10), message(0, 2, 30), message(0, 3, 20), message(1, 7, 15), message(1, 8, 40)];
        let told = in_time(came.into_iter().map(|message| (0, message)).collect());
        let places: Vec<_> = told.iter().map(|(_, message)| message.position.to_string()).collect();
        assert_eq!(places, ["0@1", "1@7", "0@2", "0@3", "1@8"]);
    }

    /// Publishes to two integrations whose channels have one name; their clocks are far apart.
    #[tokio::test]
    async fn channels_of_one_name_in_two_integrations_are_told_apart() {
        let memory = |name: &str| Integration::new(name, "memory", Vec::new()).with_settings(0, &[("topics", "orders")]);
        let integrations = vec![memory("a"), memory("b")];
        let gateway = Gateway::open(Profile { name: "p".into(), path: None, safety: Safety::default(), integrations }, false);
        let addresses = ["a/orders", "b/orders"].map(|address| address.parse::<Address>().expect("an address"));
        let (sender, mut updates) = mpsc::channel(1);
        let tail = tail(&gateway, &addresses, Filter::parse("").expect("a query"), sender, |update| update).await.expect("it starts");
        let task = tokio::spawn(tail);
        // All of one before all of the other: told by time, they alternate.
        for (address, times) in addresses.iter().zip([[10, 30, 50], [20, 40, 60]]) {
            let message = |time: i64| Outgoing {
                payload: Some(format!("{address} at {time}").into()),
                timestamp: Some(Timestamp(time)),
                ..Outgoing::default()
            };
            let plan = Plan::Publish { address: address.clone(), messages: times.map(message).into() };
            gateway.execute(plan).await.expect("published");
        }
        let (mut told, mut counts) = (Vec::new(), Counts::default());
        while counts.seen < 6 {
            let update = tokio::time::timeout(Duration::from_secs(10), updates.recv()).await.expect("an update").expect("the tail goes on");
            counts = update.counts;
            told.extend(update.views);
        }
        task.abort();
        for view in &told {
            let payload = String::from_utf8_lossy(view.message.payload.as_deref().unwrap_or_default()).into_owned();
            assert!(payload.starts_with(&format!("{} at ", view.address)), "{payload} came as one of {}", view.address);
        }
        for address in &addresses {
            let places: Vec<_> = told.iter().filter(|view| view.address == *address).map(|view| view.message.position.number()).collect();
            assert_eq!(places, [Some(0), Some(1), Some(2)], "{address} in its own order");
        }
    }

    #[test]
    fn the_clock_of_one_integration_does_not_move_the_messages_of_another() {
        let message = |time: i64| Message {
            timestamp: Some(Timestamp(time)),
            ..Message::at("orders", Position::Offset { partition: 0, offset: time })
        };
        let told = in_time(vec![(0, message(10)), (0, message(50)), (1, message(20)), (1, message(40))]);
        let told: Vec<_> = told.iter().map(|(source, message)| (*source, message.position.number())).collect();
        assert_eq!(told, [(0, Some(10)), (1, Some(20)), (1, Some(40)), (0, Some(50))]);
    }
}
