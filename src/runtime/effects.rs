//! Performs effects: each becomes a task on the gateway whose answers come back as events.

use super::groups::{self, GroupFocus};
use super::lanes::{Arrival, Generation, Lanes};
use super::reading::{Looked, fetch, history, tail};
use super::{export, failures, follow, open, received};
use crate::app::effect::Copy;
use crate::app::event::Level;
use crate::app::{Effect, Event, TaskId};
use crate::config::profile::Profile;
use crate::demo::Demo;
use crate::domain::address::Address;
use crate::domain::fault::{Fault, Kind};
use crate::domain::health::Link;
use crate::domain::message::Message;
use crate::domain::operation::Plan;
use crate::domain::redact;
use crate::domain::text::SafeText;
use crate::domain::view::Decoded;
use crate::gateway::Gateway;
use crate::gateway::execute::Outcome;
use crate::wire::decoder::Decoder;
use futures::future::join_all;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// Channel lists are asked for no more often than this, and never for more than a tenth of the time.
const LIST_EVERY: Duration = Duration::from_secs(3);
/// The wire log is looked at this often while it is on the screen.
const WIRE_EVERY: Duration = Duration::from_millis(250);

/// What the console starts with.
pub enum First {
    /// The first-run screen, or the picker where there are profiles.
    Nothing,
    /// A profile's name or path.
    Profile(String),
    Url(String),
    Demo,
}

/// What is open, and the tasks that work on it.
pub(super) struct Performer {
    /// Those of the open profile.
    lanes: Lanes,
    generation: Generation,
    /// Whether standard output is a terminal that shows the console.
    terminal: bool,
    pub(super) opener: open::Opener,
    gateway: Option<Arc<Gateway>>,
    /// Embedded systems that live as long as the profile that reaches them.
    demo: Option<Demo>,
    /// Answers that are known at once: they come before the next key.
    known: Vec<Event>,
    tasks: HashMap<TaskId, JoinHandle<()>>,
    /// Tasks that follow the open profile: links, channel lists, the wire log.
    links: Vec<JoinHandle<()>>,
    /// Changes being carried out: nothing cuts them off, and the end waits for them.
    changes: JoinSet<()>,
    channels: Option<JoinHandle<()>>,
    /// Which groups are on the screen.
    groups: watch::Sender<GroupFocus>,
    wire: Option<JoinHandle<()>>,
}

impl Performer {
    pub(super) fn new(lanes: Lanes, opener: open::Opener, terminal: bool) -> Self {
        Self {
            lanes,
            generation: 0,
            terminal,
            opener,
            gateway: None,
            demo: None,
            known: Vec::new(),
            tasks: HashMap::new(),
            links: Vec::new(),
            changes: JoinSet::new(),
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
            Effect::ReadFailures { task } => self.on_gateway(task, move |gateway, lanes| failures::read(gateway, lanes, task)),
            Effect::WatchWire(watch) => self.watch_wire(watch),
            Effect::StopTask(task) => self.stop(task),
            Effect::StartTail { task, addresses, filter } => {
                self.on_gateway(task, move |gateway, lanes| tail(gateway, lanes, task, addresses, filter));
            }
            Effect::ReadHistory { task, addresses, range, limit, filter } => {
                let looked = Looked { addresses, range, limit, filter };
                self.on_gateway(task, move |gateway, lanes| history(gateway, lanes, task, looked));
            }
            Effect::Describe { task, address } => self.on_gateway(task, async move |gateway: Arc<Gateway>, lanes: Lanes| {
                let result = gateway.describe(&address).await.map(Box::new);
                lanes.result(Event::Described { task, result }).await;
            }),
            Effect::Decode { id, integration, message } => self.decode(id, &integration, message),
            Effect::Fetch { task, address, position } => self.on_gateway(task, async move |gateway: Arc<Gateway>, lanes: Lanes| {
                let result = fetch(&gateway, &address, position).await.map(Box::new);
                lanes.result(Event::Fetched { task, result }).await;
            }),
            Effect::Publish { task, plan } => self.run_to_completion(async move |gateway: Arc<Gateway>, lanes: Lanes| {
                let outcome = gateway.execute(plan).await;
                if let Some(said) = outcome.as_ref().ok().and_then(targets_said) {
                    lanes.result(Event::Notice(Level::Info, said)).await;
                }
                let result = outcome.and_then(Outcome::single);
                lanes.result(Event::Published { task, result }).await;
            }),
            Effect::Plan { task, request } => self.on_gateway(task, async move |gateway: Arc<Gateway>, lanes: Lanes| {
                let result = gateway.plan(request).await.map(Arc::new);
                lanes.result(Event::Planned { task, result }).await;
            }),
            Effect::Execute { task, change } => self.run_to_completion(async move |gateway: Arc<Gateway>, lanes: Lanes| {
                let result = gateway.execute(Plan::Change(change)).await.map(|outcome| outcome.done.unwrap_or_default());
                lanes.result(Event::Executed { task, result }).await;
            }),
            Effect::Arm(name) => {
                if let Some(gateway) = &self.gateway {
                    self.known.push(Event::Armed(gateway.arm(&name, Some(gateway.safety.arm_for))));
                }
            }
            Effect::Disarm => {
                if let Some(gateway) = &self.gateway {
                    gateway.disarm();
                    self.known.push(Event::Armed(Ok(None)));
                }
            }
            Effect::ExportChannel { task, path, address } => self.on_gateway(task, async move |gateway: Arc<Gateway>, lanes: Lanes| {
                export::channel(&gateway, &lanes, task, &path, &address).await;
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
            other => self.at_hand(other),
        }
    }

    /// What concerns messages at hand.
    fn at_hand(&mut self, effect: Effect) {
        match effect {
            Effect::Follow { task, view, window } => {
                self.on_gateway(task, move |gateway, lanes| follow::follow(gateway, lanes, task, view, window));
            }
            Effect::ReceiveOptions { task, address } => self.on_gateway(task, async move |gateway: Arc<Gateway>, lanes: Lanes| {
                let result = gateway.receive_options(&address).await;
                let warning = gateway.warning(&address).await.ok().flatten();
                lanes.result(Event::ReceiveOptions { task, result, warning }).await;
            }),
            Effect::Hold { task, address, most, agreed } => {
                self.on_gateway(task, move |gateway, lanes| received::hold(gateway, lanes, task, address, most, agreed));
            }
            Effect::Peek { task, address, most, agreed } => {
                self.on_gateway(task, move |gateway, lanes| received::peek(gateway, lanes, task, address, most, agreed));
            }
            Effect::Call { task, plan } => self.on_gateway(task, move |gateway, lanes| received::call(gateway, lanes, task, plan)),
            Effect::PlanSettle { task, address, effect, messages } => {
                self.on_gateway(task, move |gateway, lanes| received::plan_settle(gateway, lanes, task, address, effect, messages));
            }
            Effect::Settle { task, plan } => self.run_to_completion(move |gateway, lanes| received::settle(gateway, lanes, task, plan)),
            Effect::Release { task, hold } => self.run_to_completion(async move |gateway: Arc<Gateway>, lanes: Lanes| {
                let result = gateway.release(hold).await.map(Into::into);
                lanes.result(Event::Released { task, result }).await;
            }),
            _ => {}
        }
    }

    /// Whether an event is about the open profile. What became of changes is told whichever profile they were made on.
    pub(super) fn concerns(&self, generation: Generation, event: &Event) -> bool {
        let outcome = matches!(event, Event::Published { .. } | Event::Executed { .. } | Event::Settled { .. } | Event::Released { .. });
        outcome || generation == self.generation
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
        while self.changes.join_next().await.is_some() {}
        if let Some(gateway) = self.gateway.take() {
            gateway.shutdown().await;
        }
        self.demo = None;
    }

    fn install(&mut self, profile: Profile, demo: Option<Demo>) {
        self.end_tasks();
        if let Some(old) = self.gateway.take() {
            // The end waits for it: what changes something ends before its connections do.
            self.changes.spawn(async move { old.shutdown().await });
        }
        self.generation += 1;
        self.lanes = self.lanes.of(self.generation);
        let gateway = Arc::new(Gateway::open_as(self.opener.access.clone(), profile));
        let opened = open::describe(&gateway, demo.as_ref());
        self.known.push(Event::ProfileOpened(opened));
        self.links =
            gateway.integrations().map(|(name, _)| tokio::spawn(follow(gateway.clone(), self.lanes.clone(), name.clone()))).collect();
        let watches = gateway
            .integrations()
            .map(|(name, _)| groups::follow(gateway.clone(), self.lanes.clone(), name.clone(), self.groups.subscribe()));
        self.links.extend(watches.map(tokio::spawn));
        self.gateway = Some(gateway);
        if let Some(old) = std::mem::replace(&mut self.demo, demo) {
            // Its servers are waited for: not here, where keys are.
            tokio::task::spawn_blocking(move || old.end());
        }
    }

    fn end_tasks(&mut self) {
        let tasks =
            self.tasks.drain().map(|(_, task)| task).chain(self.links.drain(..)).chain(self.channels.take()).chain(self.wire.take());
        for task in tasks {
            task.abort();
        }
    }

    /// Runs what changes something: nothing cuts it off, and it goes on when its profile is closed.
    fn run_to_completion<F, T>(&mut self, work: F)
    where
        F: FnOnce(Arc<Gateway>, Lanes) -> T,
        T: Future<Output = ()> + Send + 'static,
    {
        let Some(gateway) = self.gateway.clone() else { return };
        while self.changes.try_join_next().is_some() {}
        self.changes.spawn(work(gateway, self.lanes.clone()));
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

    fn decode(&self, id: u64, integration: &str, message: Message) {
        let lanes = self.lanes.clone();
        let decoder =
            self.gateway.as_ref().map(|gateway| gateway.decoder(&Address::new(integration, &message.channel))).unwrap_or_default();
        tokio::spawn(async move {
            // Decoding a large payload takes a while: not on a thread that drives connections.
            let decoded = tokio::task::spawn_blocking(move || decoded(&message, &decoder)).await;
            let result = decoded.map_err(|e| Fault::new(Kind::Protocol, "decode", "", e.to_string()));
            lanes.result(Event::Decoded { id, result }).await;
        });
    }

    fn copy(&self, copy: Copy) {
        let (lanes, gateway, terminal) = (self.lanes.clone(), self.gateway.clone(), self.terminal);
        tokio::spawn(async move {
            let event = Event::Copied(export::copy(gateway.as_deref(), copy, terminal).await);
            lanes.result(event).await;
        });
    }
}

/// What became of a message at each target of a fanout, if all of them took it; else the fault says it.
fn targets_said(outcome: &Outcome) -> Option<SafeText> {
    let each = outcome.targets.first()?.iter().map(|(name, result)| Some(format!("{name}: {}", result.as_ref().ok()?)));
    Some(each.collect::<Option<Vec<String>>>()?.join("; ").into())
}

/// What a message says, with what looks like a credential hidden: screens are seen by others, and recorded.
fn decoded(message: &Message, decoder: &Decoder) -> Decoded {
    let decoded = decoder.decode(message.payload.as_deref(), &message.headers);
    Decoded { value: decoded.value.as_ref().map(redact::value), ..decoded }
}

/// Reports an integration's link as it changes, and once what can be published through it and done to it.
async fn follow(gateway: Arc<Gateway>, lanes: Lanes, integration: Arc<str>) {
    let Ok(mut link) = gateway.link(&integration) else { return };
    let mut asked = false;
    loop {
        let state = link.borrow_and_update().clone();
        let up = matches!(state, Link::Up { .. });
        lanes.result(Event::Link { integration: integration.clone(), link: state }).await;
        if up && !asked {
            asked = true;
            let spec = gateway.publish_offer(&integration).await.ok().flatten();
            lanes.result(Event::Publishes { integration: integration.clone(), spec }).await;
            let operations = gateway.operations(&integration).await.unwrap_or_default();
            lanes.result(Event::Operations { integration: integration.clone(), operations }).await;
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
        let Ok(new) = gateway.exchanges(&integration, since) else { return };
        if let Some(last) = new.last() {
            since = last.number;
            lanes.result(Event::Wire { integration: integration.clone(), lines: new }).await;
        }
        tokio::time::sleep(WIRE_EVERY).await;
    }
}

#[cfg(test)]
mod tests;
