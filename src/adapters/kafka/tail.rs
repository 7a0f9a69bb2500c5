//! Live messages of several topics: read beside every consumer group, never as a member of one, and nothing is ever committed.
//!
//! **What is seen is what consumers are to see** (`read_committed`, as kcat and librdkafka do unless told otherwise): what an
//! aborted transaction wrote is left out, and what an open one wrote comes when it is committed. The price is that a hanging
//! transaction holds back all that was written behind it in its partition, from this tail as from the consumers.
//!
//! One task holds all positions. Each broker is asked for all of the partitions that it leads, in one long-waiting request at a
//! time over a connection of its own; while the reader is slow nothing further is asked, so that memory stays bounded.
//! A position moves only when a message was given, so that a reconnect or a new leader goes on with the very next offset.

use super::link::cluster::{Cluster, OwnLane};
use super::link::cursor::Cursor;
use super::link::fetch::{MOST_BYTES, Part, Patience, Verdict, Want};
use super::link::metadata::Topic;
use super::link::offsets::{At, Found, Wanted};
use super::link::walk::{Damage, Partition, Step};
use super::{faults, tail_held::Held, tail_state::Line};
use crate::adapters::reopen::Backoff;
use crate::adapters::session::Tail;
use crate::config::profile::Reconnect;
use crate::domain::channel::Cost;
use crate::domain::fault::{Fault, Kind};
use crate::domain::tail::TailEvent;
use crate::domain::text::SafeText;
use async_trait::async_trait;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, FuturesUnordered};
use futures::{FutureExt, StreamExt};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

const OP: &str = "tail";
/// About so many messages come in one event.
const CHUNK: usize = 1_000;
/// Events that may wait for the reader.
const QUEUED: usize = 16;
/// Bytes of one partition in an answer (Kafka's own `max.partition.fetch.bytes`).
const MOST_OF_ONE: usize = 1 << 20;
/// How long a broker may wait for a message (Kafka's own `fetch.max.wait.ms`).
const WAIT: Duration = Duration::from_millis(500);
/// How often new partitions are looked for.
const LOOK_AROUND: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How often a leader that has moved is followed before the tail may not start.
const ROUNDS: u32 = 5;

/// Live reading of a cluster.
pub(super) struct KafkaTail {
    cluster: Cluster,
    reconnect: Reconnect,
}

impl KafkaTail {
    pub(super) fn new(cluster: Cluster, reconnect: Reconnect) -> Self {
        Self { cluster, reconnect }
    }
}

#[async_trait]
impl Tail for KafkaTail {
    fn cost(&self) -> Cost {
        Cost::Nothing
    }

    async fn tail(&self, channels: &[Arc<str>]) -> Result<BoxStream<'static, TailEvent>, Fault> {
        let (events, queue) = mpsc::channel(QUEUED);
        let reader = Reader::start(self.cluster.clone(), Backoff::new(&self.reconnect), channels, events).await?;
        let task = tokio_util::task::AbortOnDropHandle::new(tokio::spawn(reader.run()));
        Ok(stream::unfold((queue, task), |(mut queue, task)| async { queue.recv().await.map(|event| (event, (queue, task))) }).boxed())
    }
}

/// A partition being tailed.
struct Place {
    cursor: Cursor,
    leader: Leader,
    /// Whether it has failed since it last answered.
    down: bool,
    /// Its end was not known when the tail began.
    unknown: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leader {
    At(i32),
    /// To be asked for.
    Sought,
    /// Its log's edges are being asked for.
    Measured,
}

/// Something that was asked and has come back.
enum Landed {
    Fetched(i32, Vec<Want>, Result<Vec<Part>, Fault>),
    Sought(Result<Vec<Arc<Topic>>, Fault>),
    Measured(Partition, Vec<Result<Found, Fault>>),
}

/// The listener has gone, or has heard the last word.
struct Gone;

struct Reader {
    cluster: Cluster,
    lane: Arc<OwnLane>,
    topics: Vec<Arc<str>>,
    places: BTreeMap<Partition, Place>,
    flights: FuturesUnordered<BoxFuture<'static, Landed>>,
    /// Brokers with a fetch under way.
    busy: HashSet<i32>,
    /// Whether leaders are being asked for.
    seeking: bool,
    pause: Duration,
    /// Failures to find the leaders: no broker answers then.
    backoff: Backoff,
    /// Turned by one with every fetch, so that a busy partition does not starve the others.
    turn: usize,
    line: Line,
    held: Held,
    events: mpsc::Sender<TailEvent>,
}

impl Reader {
    /// Finds where every partition ends now.
    async fn start(cluster: Cluster, backoff: Backoff, channels: &[Arc<str>], events: mpsc::Sender<TailEvent>) -> Result<Self, Fault> {
        let topics: Vec<Arc<str>> = channels.iter().cloned().collect::<std::collections::BTreeSet<_>>().into_iter().collect();
        let names: Vec<&str> = topics.iter().map(|topic| &**topic).collect();
        let described = cluster.refresh(Some(&names)).await?;
        let wanted = ends_of(&topics, &described)?;
        let ends = cluster.offsets(&wanted, ROUNDS).await;
        let mut failed = None;
        let mut places = BTreeMap::new();
        for (wanted, end) in wanted.into_iter().zip(ends) {
            let partition = Partition { topic: wanted.topic, index: wanted.partition };
            let end = end.map_err(|fault| failed.get_or_insert(fault).kind).ok().and_then(|found| found.offset);
            let mut place = Place::new(partition.clone(), end.unwrap_or(0));
            (place.unknown, place.down) = (end.is_none(), end.is_none());
            if let Some(leader) = leader(&described, &partition).filter(|_| !place.unknown) {
                place.leader = Leader::At(leader);
            }
            places.insert(partition, place);
        }
        let mut line = Line::default();
        if let Some(fault) = failed {
            // A broker that is down must not keep the rest from being seen; what we may not read will not get better.
            if places.values().all(|place| place.unknown) || !fault.kind.is_transient() {
                return Err(fault);
            }
            line.broken(fault);
        }
        let own = Arc::new(cluster.own_lane());
        may_read(&cluster, &own, &topics, &places).await?;
        let (flights, busy) = (FuturesUnordered::new(), HashSet::new());
        Ok(Self {
            cluster,
            lane: own,
            topics,
            places,
            flights,
            busy,
            seeking: false,
            pause: PAUSE,
            backoff,
            turn: 0,
            line,
            held: Held::default(),
            events,
        })
    }

    async fn run(mut self) {
        let events = self.events.clone();
        let mut look_around = tokio::time::interval_at(Instant::now() + LOOK_AROUND, LOOK_AROUND);
        loop {
            if self.tell().await.is_err() {
                return;
            }
            self.launch();
            let overdue = self.line.overdue();
            let landed = tokio::select! {
                () = events.closed() => return,
                Some(landed) = self.flights.next() => landed,
                _ = look_around.tick() => {
                    self.seek(Duration::ZERO);
                    continue;
                }
                () = async { tokio::time::sleep_until(overdue.unwrap_or_else(Instant::now)).await }, if overdue.is_some() => {
                    self.line.overdue_reached();
                    continue;
                }
            };
            let on = match landed {
                Landed::Fetched(node, wants, fetched) => self.fetched(node, &wants, fetched).await,
                Landed::Sought(found) => self.sought(found).await,
                Landed::Measured(partition, edges) => {
                    self.measured(&partition, edges);
                    Ok(())
                }
            };
            if on.is_err() {
                return;
            }
        }
    }

    /// Gives the events that the line has for the reader.
    async fn tell(&mut self) -> Result<(), Gone> {
        let whole = self.places.values().all(|place| !place.down);
        if whole {
            self.pause = PAUSE;
        }
        while let Some(event) = self.line.next(whole) {
            self.events.send(event).await.map_err(|_| Gone)?;
        }
        if let Some(event) = self.held.next(Instant::now()) {
            self.events.send(event).await.map_err(|_| Gone)?;
        }
        Ok(())
    }

    /// Asks every idle broker for the partitions it leads.
    fn launch(&mut self) {
        let mut wants: BTreeMap<i32, (Vec<Want>, bool)> = BTreeMap::new();
        let mut seek = false;
        for place in self.places.values() {
            match place.leader {
                Leader::At(node) if !self.busy.contains(&node) => {
                    let (wants, down) = wants.entry(node).or_default();
                    wants.push(place.cursor.want());
                    *down |= place.down;
                }
                Leader::Sought => seek = true,
                Leader::At(_) | Leader::Measured => {}
            }
        }
        for (node, (mut wants, down)) in wants {
            self.turn = self.turn.wrapping_add(1);
            let turn = self.turn % wants.len();
            wants.rotate_left(turn);
            let most = wants.iter().map(|want| want.most).max().unwrap_or_default().max(MOST_BYTES);
            // A partition that comes back says so at once, not when its next message arrives.
            let patience = Patience { wait: if down { Duration::ZERO } else { WAIT }, most };
            let (cluster, lane) = (self.cluster.clone(), Arc::clone(&self.lane));
            self.busy.insert(node);
            self.flights.push(
                async move {
                    let fetched = cluster.fetch(node, lane.lane(), &wants, patience).await;
                    Landed::Fetched(node, wants, fetched)
                }
                .boxed(),
            );
        }
        if seek {
            let pause = self.pause;
            self.seek(pause);
        }
    }

    /// Asks where the leaders are, after a pause.
    fn seek(&mut self, pause: Duration) {
        if std::mem::replace(&mut self.seeking, true) {
            return;
        }
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        let (cluster, topics) = (self.cluster.clone(), self.topics.clone());
        self.flights.push(
            async move {
                tokio::time::sleep(pause).await;
                let names: Vec<&str> = topics.iter().map(|topic| &**topic).collect();
                Landed::Sought(cluster.refresh(Some(&names)).await)
            }
            .boxed(),
        );
    }

    /// Takes leaders and new partitions from fresh metadata.
    async fn sought(&mut self, found: Result<Vec<Arc<Topic>>, Fault>) -> Result<(), Gone> {
        self.seeking = false;
        let topics = match found {
            Ok(topics) => topics,
            Err(fault) => {
                if let Err(last) = self.backoff.failed(&fault) {
                    // Whether anybody hears it or not, it is the last word.
                    let _ = self.events.send(TailEvent::Interrupted(last)).await;
                    return Err(Gone);
                }
                self.unsettled(fault);
                return Ok(());
            }
        };
        self.backoff.reset();
        for topic in topics {
            if topic.error != 0 {
                self.unsettled(faults::refused(OP, &*topic.name, topic.error, None));
            }
            let Some(name) = self.topics.iter().find(|name| **name == topic.name).cloned() else { continue };
            for found in &topic.partitions {
                let partition = Partition { topic: name.clone(), index: found.index };
                // A partition that is new has nothing in it that was there before: its first message is the next one.
                let place = self.places.entry(partition.clone()).or_insert_with(|| Place::new(partition, 0));
                if place.leader == Leader::Sought
                    && let Some(leader) = found.leader
                {
                    place.leader = Leader::At(leader);
                }
            }
        }
        let unknown: Vec<_> = self.places.values().filter(|place| place.unknown).map(|place| place.cursor.partition.clone()).collect();
        for partition in unknown {
            self.measure(&partition);
        }
        Ok(())
    }

    async fn fetched(&mut self, node: i32, wants: &[Want], fetched: Result<Vec<Part>, Fault>) -> Result<(), Gone> {
        self.busy.remove(&node);
        let parts = match fetched {
            Ok(parts) => parts,
            Err(fault) => {
                self.line.broken(fault);
                for want in wants {
                    self.lose(&want.partition);
                }
                return Ok(());
            }
        };
        let missing = wants.iter().filter(|want| !parts.iter().any(|part| part.partition == want.partition));
        let missing: Vec<_> = missing.map(|want| want.partition.clone()).collect();
        for partition in missing {
            self.unsettled(Fault::new(Kind::Protocol, OP, partition.to_string(), "the broker's answer left the partition out"));
            self.lose(&partition);
        }
        for part in parts {
            self.part(part).await?;
        }
        Ok(())
    }

    async fn part(&mut self, part: Part) -> Result<(), Gone> {
        let partition = part.partition.clone();
        match part.verdict() {
            Verdict::Good => return self.give(part).await,
            Verdict::OutOfRange => self.measure(&partition),
            Verdict::Corrupt => {
                let Some(place) = self.places.get_mut(&partition) else { return Ok(()) };
                let damage = Damage::refused(place.cursor.at, faults::code_name(part.error));
                if let Some(fault) = place.cursor.damaged(OP, &damage) {
                    self.line.damaged(fault, None);
                }
                place.cursor.jump_blindly();
            }
            Verdict::Moved => {
                self.unsettled(part.refusal(OP));
                self.lose(&partition);
            }
            Verdict::Refused => {
                self.line.broken(part.refusal(OP));
                self.lose(&partition);
            }
        }
        Ok(())
    }

    /// Gives the messages of a good answer.
    async fn give(&mut self, part: Part) -> Result<(), Gone> {
        let Some(place) = self.places.get_mut(&part.partition) else { return Ok(()) };
        place.down = false;
        let (stable, high) = (part.stable, part.high);
        let mut walk = place.cursor.walk(part, i64::MAX);
        loop {
            match walk.step(CHUNK) {
                Step::Messages(messages) => self.events.send(TailEvent::Messages(messages)).await.map_err(|_| Gone)?,
                Step::Damaged(damage) => {
                    if let Some(fault) = place.cursor.damaged(OP, &damage) {
                        self.line.damaged(fault, damage.offsets());
                    }
                }
                Step::End => break,
            }
        }
        place.cursor.walked(&walk);
        self.held.saw(&place.cursor.partition, place.cursor.at, stable, high, Instant::now());
        Ok(())
    }

    fn unsettled(&mut self, fault: Fault) {
        self.line.unsettled(fault, Instant::now());
    }

    /// A partition's leader is not known any more.
    fn lose(&mut self, partition: &Partition) {
        if let Some(place) = self.places.get_mut(partition) {
            (place.leader, place.down) = (Leader::Sought, true);
            self.held.forget(partition);
            self.cluster.moved(&partition.topic);
        }
    }

    /// Asks where a partition's log begins and ends.
    fn measure(&mut self, partition: &Partition) {
        let Some(place) = self.places.get_mut(partition) else { return };
        if place.leader == Leader::Measured {
            return;
        }
        (place.leader, place.down) = (Leader::Measured, true);
        let (cluster, partition) = (self.cluster.clone(), partition.clone());
        self.flights.push(
            async move {
                let wanted = |at| Wanted { topic: partition.topic.clone(), partition: partition.index, at };
                let edges = cluster.offsets(&[wanted(At::Start), wanted(At::End { committed: true })], ROUNDS).await;
                Landed::Measured(partition, edges)
            }
            .boxed(),
        );
    }

    /// Goes on at the nearest offset that is there, and says what was lost.
    fn measured(&mut self, partition: &Partition, edges: Vec<Result<Found, Fault>>) {
        let Some(place) = self.places.get_mut(partition) else { return };
        place.leader = Leader::Sought;
        let mut edges = edges.into_iter().map(|edge| edge.map(|found| found.offset.unwrap_or(0)));
        let (start, end) = match (edges.next(), edges.next()) {
            (Some(Ok(start)), Some(Ok(end))) => (start, end),
            (Some(Err(fault)), _) | (_, Some(Err(fault))) => return self.unsettled(fault),
            _ => return,
        };
        let at = place.cursor.at;
        if std::mem::take(&mut place.unknown) {
            place.cursor.jump(end);
            self.line.lost(None, None);
        } else if at < start {
            place.cursor.jump(start);
            let fault = lost(partition, at, "retention deleted messages before they could be read");
            self.line.lost(Some(fault), u64::try_from(start - at).ok());
        } else if at > end {
            place.cursor.jump(end);
            let cause = format!(
                "the log ends at {end} now: an unclean leader election cut off {} offsets that were read already, or the topic was made \
                 anew; what was written to these offsets since then is not known",
                at - end
            );
            let fault = lost(partition, at, cause).next("read the partition's history from before the cut to see what stands there");
            self.line.lost(Some(fault), None);
        }
    }
}

/// Whether we may read these topics. Kafka tells their ends to whoever may describe them; only a fetch says more. One partition
/// of each is asked, for what is not there yet.
async fn may_read(cluster: &Cluster, lane: &OwnLane, topics: &[Arc<str>], places: &BTreeMap<Partition, Place>) -> Result<(), Fault> {
    let mut wants: BTreeMap<i32, Vec<Want>> = BTreeMap::new();
    for topic in topics {
        let known = places.values().find_map(|place| match place.leader {
            Leader::At(node) if place.cursor.partition.topic == *topic => Some((node, place.cursor.want())),
            _ => None,
        });
        if let Some((node, want)) = known {
            wants.entry(node).or_default().push(Want { most: 1, ..want });
        }
    }
    let patience = Patience { wait: Duration::ZERO, most: 1 };
    let asked = wants.into_iter().map(|(node, wants)| async move { cluster.fetch(node, lane.lane(), &wants, patience).await });
    for fetched in futures::future::join_all(asked).await {
        // A broker that does not answer now is the tail's own matter.
        let parts = fetched.unwrap_or_default();
        if let Some(part) = parts.iter().find(|part| part.verdict() == Verdict::Refused) {
            return Err(part.refusal(OP));
        }
    }
    Ok(())
}

/// Asks for the end of every partition of these topics.
fn ends_of(topics: &[Arc<str>], described: &[Arc<Topic>]) -> Result<Vec<Wanted>, Fault> {
    let mut wanted = Vec::new();
    for topic in topics {
        match described.iter().find(|found| found.name == *topic) {
            Some(found) if found.error == 0 => {
                let end = |index| Wanted { topic: topic.clone(), partition: index, at: At::End { committed: true } };
                wanted.extend(found.partitions.iter().map(|partition| end(partition.index)));
            }
            Some(found) => return Err(faults::refused(OP, &**topic, found.error, None)),
            None => return Err(Fault::new(Kind::Protocol, OP, &**topic, "the broker's answer does not name it")),
        }
    }
    Ok(wanted)
}

fn leader(described: &[Arc<Topic>], partition: &Partition) -> Option<i32> {
    described.iter().find(|topic| topic.name == partition.topic)?.partition(partition.index)?.leader
}

fn lost(partition: &Partition, at: i64, cause: impl Into<SafeText>) -> Fault {
    Fault::new(Kind::Lost, OP, partition.place(at), cause)
}

impl Place {
    fn new(partition: Partition, at: i64) -> Self {
        Self { cursor: Cursor::new(partition, at, MOST_OF_ONE), leader: Leader::Sought, down: false, unknown: false }
    }
}
