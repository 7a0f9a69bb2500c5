//! Performs effects: each becomes a task on the gateway whose answers come back as events.

use super::groups::{self, GroupFocus};
use super::lanes::{Arrival, Lanes};
use super::{First, export, open};
use crate::adapters::wirelog::Exchange;
use crate::app::effect::Copy;
use crate::app::event::{HistoryUpdate, TailNote, TailUpdate, WireLine};
use crate::app::{Effect, Event, TaskId};
use crate::config::profile::Profile;
use crate::demo::Demo;
use crate::domain::address::Address;
use crate::domain::fault::{Fault, Kind};
use crate::domain::health::Link;
use crate::domain::message::Message;
use crate::domain::position::{Position, Range};
use crate::domain::redact;
use crate::domain::view::{Decoded, MessageView};
use crate::gateway::Gateway;
use crate::gateway::execute::Outcome;
use crate::gateway::filter::{Filter, Verdict};
use crate::gateway::history::Merge;
use crate::gateway::live::{self, Note};
use crate::wire::detect;
use futures::future::join_all;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Channel lists are asked for no more often than this, and never for more than a tenth of the time.
const LIST_EVERY: Duration = Duration::from_secs(3);
/// The wire log is looked at this often while it is on the screen.
const WIRE_EVERY: Duration = Duration::from_millis(250);

/// What is open, and the tasks that work on it.
pub(super) struct Performer {
    lanes: Lanes,
    pub(super) opener: open::Opener,
    gateway: Option<Arc<Gateway>>,
    /// Embedded systems that live as long as the profile that reaches them.
    demo: Option<Demo>,
    /// Answers that are known at once: they come before the next key.
    known: Vec<Event>,
    tasks: HashMap<TaskId, JoinHandle<()>>,
    /// Tasks that follow the open profile: links, channel lists, the wire log.
    links: Vec<JoinHandle<()>>,
    channels: Option<JoinHandle<()>>,
    /// Which groups are on the screen.
    groups: watch::Sender<GroupFocus>,
    wire: Option<JoinHandle<()>>,
}

impl Performer {
    pub(super) fn new(lanes: Lanes, opener: open::Opener) -> Self {
        Self {
            lanes,
            opener,
            gateway: None,
            demo: None,
            known: Vec::new(),
            tasks: HashMap::new(),
            links: Vec::new(),
            channels: None,
            groups: watch::Sender::default(),
            wire: None,
        }
    }

    /// Starts what an effect asks for; never waits. What needs the terminal or ends the loop is the loop's own business.
    pub(super) fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::LoadProfiles => self.known.push(Event::Profiles(self.opener.list())),
            Effect::WatchChannels(integrations) => self.watch_channels(integrations),
            Effect::FocusGroups { near, rows } => {
                self.groups.send_replace(GroupFocus { near, rows });
            }
            Effect::WatchGroup { task, integration, group } => self.on_gateway(task, async move |gateway: Arc<Gateway>, lanes: Lanes| {
                groups::follow_one(&gateway, &lanes, task, &integration, &group).await;
            }),
            Effect::WatchWire(watch) => self.watch_wire(watch),
            Effect::StopTask(task) => self.stop(task),
            Effect::StartTail { task, addresses, filter } => {
                self.on_gateway(task, move |gateway, lanes| tail(gateway, lanes, task, addresses, filter));
            }
            Effect::ReadHistory { task, address, range, limit, filter } => {
                let search = Search { address, range, limit, filter };
                self.on_gateway(task, move |gateway, lanes| history(gateway, lanes, task, search));
            }
            Effect::Describe { task, address } => self.on_gateway(task, async move |gateway: Arc<Gateway>, lanes: Lanes| {
                let result = gateway.describe(&address).await.map(Box::new);
                lanes.result(Event::Described { task, result }).await;
            }),
            Effect::Decode { id, message } => self.decode(id, message),
            Effect::Fetch { task, address, position } => self.on_gateway(task, async move |gateway: Arc<Gateway>, lanes: Lanes| {
                let result = fetch(&gateway, &address, position).await.map(Box::new);
                lanes.result(Event::Fetched { task, result }).await;
            }),
            Effect::Publish { task, plan } => self.on_gateway(task, async move |gateway: Arc<Gateway>, lanes: Lanes| {
                let result = gateway.execute(plan).await.and_then(Outcome::single);
                lanes.result(Event::Published { task, result }).await;
            }),
            Effect::Copy(copy) => self.copy(copy),
            Effect::Export { task, path, messages } => self.on_gateway(task, async move |gateway: Arc<Gateway>, lanes: Lanes| {
                let result = export::write(&gateway, &path, &messages).await;
                lanes.result(Event::Exported { task, result }).await;
            }),
            Effect::OpenProfile(path) => self.open(self.opener.path(&path)),
            Effect::OpenUrl(url) => self.open(self.opener.url(&url)),
            Effect::StartDemo => self.start_demo(),
            // The loop's own business: they need the terminal or end the loop.
            Effect::Edit { .. } | Effect::Mouse(_) | Effect::Suspend | Effect::Quit => {}
        }
    }

    /// The answers that were known at once since the last call.
    pub(super) fn known(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.known)
    }

    /// Opens what the program was started with.
    pub(super) fn start(&mut self, first: First) {
        match first {
            First::Nothing => {}
            First::Profile(path) => self.open(self.opener.path(&path)),
            First::Url(url) => self.open(self.opener.url(&url)),
            First::Demo => self.start_demo(),
        }
    }

    /// Closes what is open and opens a profile in its place.
    pub(super) fn open(&mut self, profile: Result<Profile, Fault>) {
        match profile {
            Ok(profile) => self.install(profile, None),
            Err(fault) => {
                let name = fault.target.clone();
                self.known.push(Event::ProfileFailed { name, fault });
            }
        }
    }

    /// The demo's systems run now: open the profile that reaches them.
    pub(super) fn demo_started(&mut self, demo: Result<Demo, Fault>) {
        match demo {
            Ok(demo) => self.install(demo.profile(), Some(demo)),
            Err(fault) => self.known.push(Event::ProfileFailed { name: "demo".into(), fault }),
        }
    }

    pub(super) fn start_demo(&mut self) {
        let lanes = self.lanes.clone();
        self.links.push(tokio::spawn(async move { lanes.arrive(Arrival::Demo(Demo::start().await)).await }));
    }

    /// Ends every task and connection; waits for what is being written.
    pub(super) async fn shutdown(&mut self) {
        self.end_tasks();
        if let Some(gateway) = self.gateway.take() {
            gateway.shutdown().await;
        }
        self.demo = None;
    }

    fn install(&mut self, profile: Profile, demo: Option<Demo>) {
        self.end_tasks();
        if let Some(old) = self.gateway.take() {
            tokio::spawn(async move { old.shutdown().await });
        }
        let gateway = Arc::new(Gateway::open(profile, self.opener.read_only));
        let opened = open::describe(&gateway, demo.as_ref());
        self.known.push(Event::ProfileOpened(opened));
        self.links =
            gateway.integrations().map(|(name, _)| tokio::spawn(follow(gateway.clone(), self.lanes.clone(), name.clone()))).collect();
        let watches = gateway
            .integrations()
            .map(|(name, _)| groups::follow(gateway.clone(), self.lanes.clone(), name.clone(), self.groups.subscribe()));
        self.links.extend(watches.map(tokio::spawn));
        self.gateway = Some(gateway);
        self.demo = demo;
    }

    fn end_tasks(&mut self) {
        let tasks =
            self.tasks.drain().map(|(_, task)| task).chain(self.links.drain(..)).chain(self.channels.take()).chain(self.wire.take());
        for task in tasks {
            task.abort();
        }
    }

    fn stop(&mut self, task: TaskId) {
        if let Some(task) = self.tasks.remove(&task) {
            task.abort();
        }
    }

    /// Runs a task that can be stopped; without an open profile there is nothing it could work on.
    fn on_gateway<F, T>(&mut self, task: TaskId, work: F)
    where
        F: FnOnce(Arc<Gateway>, Lanes) -> T,
        T: Future<Output = ()> + Send + 'static,
    {
        let Some(gateway) = self.gateway.clone() else { return };
        self.tasks.retain(|_, task| !task.is_finished());
        self.tasks.insert(task, tokio::spawn(work(gateway, self.lanes.clone())));
    }

    fn watch_channels(&mut self, integrations: Vec<Arc<str>>) {
        if let Some(watch) = self.channels.take() {
            watch.abort();
        }
        let (Some(gateway), false) = (self.gateway.clone(), integrations.is_empty()) else { return };
        let lanes = self.lanes.clone();
        self.channels = Some(tokio::spawn(async move {
            join_all(integrations.into_iter().map(|integration| list_channels(&gateway, &lanes, integration))).await;
        }));
    }

    fn watch_wire(&mut self, watch: Option<(Arc<str>, u64)>) {
        if let Some(watch) = self.wire.take() {
            watch.abort();
        }
        let (Some(gateway), Some((integration, since))) = (self.gateway.clone(), watch) else { return };
        self.wire = Some(tokio::spawn(follow_wire(gateway, self.lanes.clone(), integration, since)));
    }

    fn decode(&self, id: u64, message: Message) {
        let lanes = self.lanes.clone();
        tokio::spawn(async move {
            // Decoding a large payload takes a while: not on a thread that drives connections.
            let decoded = tokio::task::spawn_blocking(move || decoded(&message)).await;
            let result = decoded.map_err(|e| Fault::new(Kind::Protocol, "decode", "", e.to_string()));
            lanes.result(Event::Decoded { id, result }).await;
        });
    }

    fn copy(&self, copy: Copy) {
        let (lanes, gateway) = (self.lanes.clone(), self.gateway.clone());
        tokio::spawn(async move {
            let event = Event::Copied(export::copy(gateway.as_deref(), copy).await);
            lanes.result(event).await;
        });
    }
}

/// What a message says, with what looks like a credential hidden: screens are seen by others, and recorded.
fn decoded(message: &Message) -> Decoded {
    let decoded = detect::decode(message.payload.as_deref(), &message.headers, &[]);
    Decoded { value: decoded.value.as_ref().map(redact::value), ..decoded }
}

/// Reports an integration's link as it changes, and what can be published through it.
async fn follow(gateway: Arc<Gateway>, lanes: Lanes, integration: Arc<str>) {
    let Ok(mut link) = gateway.link(&integration) else { return };
    let mut asked = false;
    loop {
        let state = link.borrow_and_update().clone();
        let up = matches!(state, Link::Up { .. });
        lanes.result(Event::Link { integration: integration.clone(), link: state }).await;
        if up && !asked {
            asked = true;
            let spec = gateway.session(&integration).await.ok().and_then(|session| session.publish).map(|publish| publish.spec());
            lanes.result(Event::Publishes { integration: integration.clone(), spec }).await;
        }
        if link.changed().await.is_err() {
            return;
        }
    }
}

async fn list_channels(gateway: &Gateway, lanes: &Lanes, integration: Arc<str>) {
    loop {
        let began = Instant::now();
        let result = gateway.channels(&integration).await;
        lanes.result(Event::Channels { integration: integration.clone(), result }).await;
        tokio::time::sleep(LIST_EVERY.max(began.elapsed() * 10)).await;
    }
}

async fn follow_wire(gateway: Arc<Gateway>, lanes: Lanes, integration: Arc<str>, mut since: u64) {
    loop {
        let Ok(log) = gateway.wire_log(&integration) else { return };
        let new: Vec<WireLine> = log.since(since).into_iter().map(wire_line).collect();
        if let Some(last) = new.last() {
            since = last.number;
            lanes.result(Event::Wire { integration: integration.clone(), lines: new }).await;
        }
        tokio::time::sleep(WIRE_EVERY).await;
    }
}

fn wire_line(exchange: Exchange) -> WireLine {
    let Exchange { number, peer, request, outcome, took } = exchange;
    WireLine { number, peer, request, outcome, took }
}

async fn tail(gateway: Arc<Gateway>, lanes: Lanes, task: TaskId, addresses: Vec<Address>, filter: String) {
    let wrap = move |update: live::Update| {
        let live::Update { views, counts, matched, filter_errors, notes } = update;
        let notes = notes.into_iter().map(note).collect();
        Arrival::Event(Event::Tail { task, update: TailUpdate { views, counts, matched, filter_errors, notes } })
    };
    let started = match Filter::parse(&filter) {
        Ok(filter) => live::tail(&gateway, &addresses, filter, lanes.live.clone(), wrap).await,
        Err(fault) => Err(fault),
    };
    // The gateway must not be kept open by a tail that nobody stopped.
    drop(gateway);
    match started {
        Ok(reading) => {
            lanes.result(Event::TailStarted { task, result: Ok(()) }).await;
            reading.await;
        }
        Err(fault) => lanes.result(Event::TailStarted { task, result: Err(fault) }).await,
    }
}

fn note(note: Note) -> TailNote {
    match note {
        Note::Interrupted { fault, .. } => TailNote::Interrupted(fault),
        Note::Resumed { lost, .. } => TailNote::Resumed { lost },
    }
}

/// What a reading of history is to find.
struct Search {
    address: Address,
    range: Range,
    limit: u64,
    filter: String,
}

async fn history(gateway: Arc<Gateway>, lanes: Lanes, task: TaskId, search: Search) {
    if let Err(fault) = read_history(&gateway, &lanes, task, &search).await {
        lanes.result(Event::History { task, update: HistoryUpdate { end: Some(Err(fault)), ..HistoryUpdate::default() } }).await;
    }
}

async fn read_history(gateway: &Gateway, lanes: &Lanes, task: TaskId, search: &Search) -> Result<(), Fault> {
    let filter = Filter::parse(&search.filter)?;
    let ingest = gateway.ingest(&search.address.integration)?;
    let channel = gateway.named(&search.address)?;
    let reading = gateway.history(&search.address.integration).await?.read(&channel, search.range).await?;
    let mut totals = HistoryUpdate {
        at_most: Some(reading.lanes.iter().map(|lane| lane.at_most).sum()),
        notes: reading.notes.iter().map(|note| note.as_str().into()).collect(),
        ..HistoryUpdate::default()
    };
    let mut merge = Merge::new(reading);
    while totals.matched < search.limit {
        let Some(batch) = merge.next().await else { break };
        for message in batch.messages {
            totals.scanned += 1;
            totals.bytes += message.size() as u64;
            match filter.test(&message) {
                Verdict::Passes => {
                    totals.matched += 1;
                    totals.views.push(ingest.view(&message));
                }
                Verdict::Fails => {}
                Verdict::Error => totals.filter_errors += 1,
            }
            if totals.matched == search.limit {
                break;
            }
        }
        totals.faults = batch.faults;
        lanes.live(Event::History { task, update: totals.clone() }).await;
        (totals.views, totals.notes) = (Vec::new(), Vec::new());
    }
    totals.faults = Vec::new();
    totals.end = Some(Ok(()));
    lanes.live(Event::History { task, update: totals }).await;
    Ok(())
}

/// One message with all its bytes.
pub(super) async fn fetch(gateway: &Gateway, address: &Address, position: Position) -> Result<MessageView, Fault> {
    let message = gateway.message(address, position).await?;
    Ok(gateway.ingest(&address.integration)?.whole(&message))
}
