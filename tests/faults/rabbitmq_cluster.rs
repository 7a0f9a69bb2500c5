//! Three nodes of RabbitMQ. The one that leads a quorum queue and a stream dies under taps, tails, receivers and publishers, some of them
//! connected to it and some to another: what was confirmed is there, and each says what became of it.

use crate::support::rabbitmq::{self, Rabbit, done, letter, queue};
use crate::support::subjects::{Listener, connect};
use crate::support::until;
use crate::support::{SOON, unique};
use mqdeck::adapters::session::Session;
use mqdeck::domain::channel::{Channel, Description};
use mqdeck::domain::delivery::{Delivery, Effect, Settlement};
use mqdeck::domain::fault::Kind;
use mqdeck::domain::message::Message;
use mqdeck::domain::position::Position;
use mqdeck::domain::tail::TailEvent;
use mqdeck::gateway::hold::Tickets;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::task::JoinHandle;

/// Three nodes elect leaders on the cores of one machine, and elect again if that was too slow for one of them.
const ELECTED: Duration = SOON.saturating_mul(3);
/// The profile's time-out in here: a publish that is not confirmed ends by it.
const TIMEOUT: Duration = Duration::from_secs(3);
const ACK: Settlement = Settlement { effect: Effect::Ack, arguments: Vec::new() };

/// A session whose first address is that of this node; the others stand behind it.
async fn session(rabbit: &Rabbit, node: usize) -> Session {
    let mut integration = rabbit.integration("guest");
    integration.endpoint.addresses.rotate_left(node - 1);
    integration.timeout = TIMEOUT;
    connect(integration).await.expect("the cluster is there")
}

async fn listed(session: &Session, name: &str) -> Option<Channel> {
    let channels = session.inspect.channels().await.ok()?;
    channels.into_iter().find(|channel| &*channel.name == name)
}

fn said(channel: &Channel, name: &str) -> Option<String> {
    channel.attributes.iter().find(|attribute| attribute.name.as_str() == name).map(|attribute| attribute.value.to_string())
}

fn rows(description: &Description, title: &str) -> Vec<Vec<String>> {
    let found = description.tables.iter().filter(|table| table.title == title);
    found.flat_map(|table| &table.rows).map(|row| row.iter().map(ToString::to_string).collect()).collect()
}

/// Node, role and state of each replica.
async fn replicas(session: &Session, channel: &str) -> Vec<Vec<String>> {
    session.inspect.describe(channel).await.map(|description| rows(&description, "replicas")).unwrap_or_default()
}

async fn leader(session: &Session, channel: &str) -> String {
    let find = async || replicas(session, channel).await.into_iter().find(|row| row[1] == "leader").map(|row| row[0].clone());
    until("a leader", ELECTED, find).await
}

fn text(message: &Message) -> String {
    String::from_utf8_lossy(message.payload.as_deref().unwrap_or_default()).into_owned()
}

fn texts(listener: &Listener) -> BTreeSet<String> {
    listener.messages.iter().map(text).collect()
}

/// Publishes numbers one after the other, each once. A number whose fate is not known is not sent again: it may be there.
struct Writer {
    over: Arc<AtomicBool>,
    confirmed: Arc<AtomicUsize>,
    task: JoinHandle<BTreeSet<String>>,
}

impl Writer {
    fn start(session: &Session, channel: &str) -> Self {
        let (publish, channel) = (session.publish.clone().expect("RabbitMQ takes messages"), channel.to_owned());
        let (over, confirmed) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let task = tokio::spawn({
            let (over, confirmed) = (over.clone(), confirmed.clone());
            async move {
                let mut numbers = BTreeSet::new();
                for n in 0.. {
                    if over.load(Ordering::Relaxed) {
                        break;
                    }
                    let number = n.to_string();
                    match publish.publish(&channel, letter(None, &number)).await {
                        Ok(_) => _ = numbers.insert(number),
                        Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                    }
                    confirmed.store(numbers.len(), Ordering::Relaxed);
                }
                numbers
            }
        });
        Self { over, confirmed, task }
    }

    /// Waits until so many more were confirmed.
    async fn goes_on(&self, more: usize) {
        let wanted = self.confirmed.load(Ordering::Relaxed) + more;
        until("publishing to go on", ELECTED, async || (self.confirmed.load(Ordering::Relaxed) >= wanted).then_some(())).await;
    }

    /// Everything that was confirmed.
    async fn end(self) -> BTreeSet<String> {
        self.over.store(true, Ordering::Relaxed);
        self.task.await.expect("the writer")
    }
}

async fn hold(session: &Session, queue: &str, most: u32) -> Tickets {
    session.hold.as_ref().expect("RabbitMQ holds").hold(queue, most).await.expect("received")
}

async fn next(holding: &mut Tickets) -> Delivery {
    loop {
        // What happened to the connection is looked at elsewhere.
        if let Ok(delivery) = tokio::time::timeout(SOON, holding.next()).await.expect("in time").expect("it goes on") {
            return delivery;
        }
    }
}

/// What came of the queue: each body with the marks of its deliveries.
#[derive(Default)]
struct Came(BTreeMap<String, Vec<bool>>);

impl Came {
    fn note(&mut self, delivery: &Delivery) {
        self.0.entry(text(&delivery.message)).or_default().push(delivery.redelivered);
    }

    /// Takes what is in the queue until all of these have come; of what comes besides, what is there already.
    async fn drain(&mut self, holding: &mut Tickets, wanted: &BTreeSet<String>) {
        while let missing = wanted.iter().filter(|body| !self.0.contains_key(*body)).count()
            && let limit = if missing > 0 { ELECTED } else { Duration::from_millis(500) }
            && let Ok(came) = tokio::time::timeout(limit, holding.next()).await
        {
            let Ok(delivery) = came.expect("it goes on") else { continue };
            self.note(&delivery);
            holding.settle(delivery.ticket.expect("it is held"), &ACK).await.expect("acknowledged");
        }
    }
}

fn assert_all(wanted: &BTreeSet<String>, found: &BTreeSet<String>, who: &str) {
    let lost: Vec<_> = wanted.difference(found).collect();
    assert!(lost.is_empty(), "{who}: {} of {} confirmed messages are lost: {lost:?}", lost.len(), wanted.len());
}

/// A stream's tail has everything that was confirmed, in the order of its offsets, and nothing twice.
async fn assert_whole(tail: &mut Listener, confirmed: &BTreeSet<String>, who: &str) {
    tail.until("all of the stream", ELECTED, |tail| texts(tail).is_superset(confirmed)).await;
    let offsets: Vec<Position> = tail.messages.iter().map(|message| message.position).collect();
    assert!(offsets.windows(2).all(|pair| pair[0].number() < pair[1].number()), "{who}: out of order or twice");
    assert_eq!(texts(tail).len(), tail.messages.len(), "{who}: a message came twice");
    let lost = |event: &TailEvent| matches!(event, TailEvent::Resumed { lost } if *lost != Some(0));
    assert!(!tail.said.iter().any(lost), "{who}: {:?}", tail.said);
}

fn interrupted(listener: &Listener) -> bool {
    listener.said.iter().any(|event| matches!(event, TailEvent::Interrupted(_)))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_dies_costs_nothing_that_was_confirmed_and_everybody_is_told() {
    let Some(mut rabbit) = rabbitmq::cluster() else { return };
    let near = session(&rabbit, 1).await;
    let (bare, stream) = (queue(&near, "quorum", "quorum").await, queue(&near, "replicated", "stream").await);
    let (tasks, log): (Arc<str>, Arc<str>) = (format!("queue:{bare}").into(), format!("stream:{stream}").into());
    let exchange: Arc<str> = format!("exchange:{}", unique("events")).into();
    done(&near, "exchange.declare", &exchange, &[("type", "fanout")]).await;
    done(&near, "binding.create", &tasks, &[("exchange", exchange.trim_start_matches("exchange:"))]).await;
    let dying = leader(&near, &tasks).await;
    assert_eq!((leader(&near, &log).await, rabbit.number(&dying)), (dying.clone(), 1), "they are led where they were declared");
    assert_eq!(listed(&near, &tasks).await.and_then(|row| said(&row, "replicas")).as_deref(), Some("3"));
    let far = session(&rabbit, 2).await;

    let listen = async |session: &Session, channel: &Arc<str>| Listener::start(session, std::slice::from_ref(channel)).await;
    let mut taps = [listen(&near, &exchange).await, listen(&far, &exchange).await];
    let mut tails = [listen(&near, &log).await, listen(&far, &log).await];
    let (to_queue, to_stream) = (Writer::start(&near, &exchange), Writer::start(&near, &log));
    let mut came = Came::default();
    let (mut here, mut there) = (hold(&near, &tasks, 5).await, hold(&far, &tasks, 5).await);
    let (mut lost, mut kept) = (Vec::new(), Vec::new());
    for _ in 0..5 {
        lost.push(next(&mut here).await);
        kept.push(next(&mut there).await);
    }
    to_queue.goes_on(100).await;
    to_stream.goes_on(100).await;

    rabbit.kill_node(&dying);
    for listener in [&mut taps[0], &mut tails[0]] {
        listener.until("the interruption", SOON, interrupted).await;
    }
    let told = tokio::time::timeout(SOON, here.next()).await.expect("in time").expect("it goes on");
    let fault = told.expect_err("its connection is gone");
    assert!(fault.kind.is_transient() && fault.cause.as_str().contains("5 unsettled messages: each is given back"), "{fault}");
    assert!(lost.iter().all(|delivery| here.is_lost(delivery.ticket.expect("it was held"))));

    to_queue.goes_on(100).await;
    to_stream.goes_on(100).await;
    let before = taps[0].messages.len();
    taps[0].until("the tap elsewhere", ELECTED, |tap| tap.messages.len() > before + 10).await;
    assert_eq!(taps[0].said.last(), Some(&TailEvent::Resumed { lost: None }), "what went by is not known");
    // What is held by a connection to another node stays held.
    for delivery in &kept {
        let ticket = delivery.ticket.expect("it is held");
        assert!(!there.is_lost(ticket));
        there.settle(ticket, &ACK).await.expect("acknowledged");
        came.note(delivery);
    }
    assert_eq!(there.release().await.expect("released"), "nothing was left unsettled");
    shown(&near, &dying, [&tasks, &log]).await;

    let (queued, streamed) = (to_queue.end().await, to_stream.end().await);
    let wanted = queued.iter().cloned().chain(lost.iter().map(|delivery| text(&delivery.message))).collect();
    came.drain(&mut here, &wanted).await;
    here.release().await.expect("released");
    assert_all(&queued, &came.0.keys().cloned().collect(), "the queue");
    for (body, marks) in &came.0 {
        assert!(marks.iter().skip(1).all(|redelivered| *redelivered), "{body} came again unmarked: {marks:?}");
    }
    for delivery in &lost {
        let marks = &came.0[&text(&delivery.message)];
        assert_eq!(marks, &[true], "{} was lost with its connection, and came again", text(&delivery.message));
    }
    taps[1].until("all of the exchange", ELECTED, |tap| texts(tap).is_superset(&queued)).await;
    assert!(!interrupted(&taps[1]), "a tap of another node has nothing to do with it: {:?}", taps[1].said);
    for (tail, who) in tails.iter_mut().zip(["near", "far"]) {
        assert_whole(tail, &streamed, who).await;
    }
    without_a_majority(&mut rabbit, &tasks).await;
}

/// The node that is down, and what it led, as they are listed and described.
async fn shown(session: &Session, dead: &str, channels: [&str; 2]) {
    for channel in channels {
        let down = async || listed(session, channel).await.filter(|row| said(row, "replicas").as_deref() == Some("2 of 3 online"));
        let row = until("the replica that is down", ELECTED, down).await;
        assert_eq!(row.fault, None, "two of three are a majority");
        let found = replicas(session, channel).await;
        assert!(found.iter().any(|row| row[0] == dead && row[1] == "follower" && row[2] == "offline"), "{channel}: {found:?}");
        assert!(found.iter().any(|row| row[0] != dead && row[1] == "leader" && row[2] == "online"), "{channel}: {found:?}");
    }
    let vhost = listed(session, "vhost:/").await.expect("the vhost is listed");
    let fault = vhost.fault.expect("a node is down");
    assert_eq!(fault.cause.as_str(), format!("1 of 3 nodes are down: {dead}"));
    let nodes = rows(&session.inspect.describe("vhost:/").await.expect("described"), "nodes");
    let states: Vec<(&str, &str)> = nodes.iter().map(|row| (row[0].as_str(), row[1].as_str())).collect();
    assert_eq!(states.iter().filter(|(_, state)| *state == "running").count(), 2, "{states:?}");
    assert!(states.contains(&(dead, "down")), "{states:?}");
}

/// With one node of three nothing can be stored: that is told in time, and everything goes on when they are back.
async fn without_a_majority(rabbit: &mut Rabbit, tasks: &str) {
    let last = session(rabbit, 3).await;
    let publish = last.publish.as_ref().expect("RabbitMQ takes messages");
    publish.publish(tasks, letter(None, "with two")).await.expect("published");
    let second = replicas(&last, tasks).await.into_iter().map(|row| row[0].clone()).find(|name| rabbit.number(name) == 2);
    rabbit.kill_node(&second.expect("a replica"));
    let alone =
        tokio::time::timeout(SOON, publish.publish(tasks, letter(None, "with one"))).await.expect("it does not wait for the others");
    let fault = alone.expect_err("nobody can store it");
    assert!(matches!(fault.kind, Kind::Timeout | Kind::Rejected | Kind::Unreachable), "{fault}");
    let row = until("the fault", SOON, async || listed(&last, tasks).await.filter(|row| row.fault.is_some())).await;
    assert!(row.fault.as_ref().is_some_and(|fault| fault.cause.as_str().contains("no majority")), "{row:?}");
    rabbit.restart();
    until("publishing to work", ELECTED, async || publish.publish(tasks, letter(None, "with three")).await.ok()).await;
    let mut came = Came::default();
    let mut holding = hold(&last, tasks, 5).await;
    let wanted = ["with two", "with three"].map(str::to_owned).into();
    came.drain(&mut holding, &wanted).await;
    assert_all(&wanted, &came.0.into_keys().collect(), "the queue of one node and of three");
}
