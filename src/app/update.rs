//! Events into the Model: routes each to the part of the Model that it concerns.

use super::effect::{EditPurpose, Effect, TaskId};
use super::event::{Event, JobUpdate, Level, Opened};
use super::integration::Integration;
use super::jobs::Job;
use super::model::{Model, Profile, Screen, Start};
use super::screens::channels::state::Channels;
use super::screens::dead_letters::state::DeadLetters;
use super::screens::groups::state::Groups;
use super::screens::overview::state::Overview;
use super::screens::received::state::Received;
use super::screens::traffic::state::{Phase, Traffic};
use super::screens::traffic::{follow, open, reading};
use super::screens::wire_log::state::WireLog;
use super::screens::{channels, dead_letters, groups, overview, publish, received, wire_log};
use super::{act, changing, clock, keys, layout, receive};
use crate::domain::channel::Channel;
use crate::domain::fault::Fault;
use crate::domain::figure;
use crate::domain::time::Timestamp;
use crate::domain::view::{Decoded, MessageView};
use std::sync::Arc;

impl Model {
    /// The first state, with what is to be done at once.
    pub fn new(start: Start) -> (Self, Vec<Effect>) {
        let mut model = Self::at(start);
        model.time_fingerprint = clock::time_fingerprint(&model);
        (model, vec![Effect::LoadProfiles])
    }

    pub(super) fn take(&mut self, event: Event) -> Vec<Effect> {
        match event {
            Event::Tick(now) => tick(self, now),
            Event::Key(key) => keys::key(self, key),
            Event::Paste(text) => keys::paste(self, &text),
            Event::Mouse(mouse) => keys::mouse(self, mouse),
            Event::Resize { width, height } => {
                (self.width, self.height) = (width, height);
                self.touch();
            }
            Event::Profiles(entries) => {
                self.profiles.entries = Some(entries);
                if self.screen == Screen::Welcome && self.profiles.entries.as_ref().is_some_and(|e| !e.is_empty()) {
                    self.screen = Screen::Profiles;
                }
                self.touch();
            }
            Event::ProfileOpened(opened) => profile_opened(self, opened),
            Event::ProfileFailed { name, fault } => {
                self.profiles.opening = None;
                self.notices.fault(&fault, self.now);
                if self.profile.is_none() {
                    // Their screens say it themselves.
                    self.notices.dismiss();
                }
                self.profiles.failed = Some((name, fault));
                if self.profile.is_none() {
                    let none = self.profiles.entries.as_ref().is_none_or(Vec::is_empty);
                    self.screen = if none { Screen::Welcome } else { Screen::Profiles };
                }
                self.touch();
            }
            Event::Link { integration, link } => {
                let changed = self.integration_mut(&integration).is_some_and(|i| i.linked(link));
                if changed {
                    overview::rebuild(self);
                    self.touch();
                }
            }
            Event::Publishes { integration, spec } => {
                if let Some(i) = self.integration_mut(&integration) {
                    i.publishes = Some(spec);
                    self.touch();
                }
            }
            Event::Operations { integration, operations } => {
                if let Some(i) = self.integration_mut(&integration) {
                    i.operations = Some(operations);
                    self.touch();
                }
            }
            other => self.take_answer(other),
        }
        settle(self);
        self.time_fingerprint = clock::time_fingerprint(self);
        std::mem::take(&mut self.out)
    }

    /// The answers to effects.
    fn take_answer(&mut self, event: Event) {
        let now = self.now;
        match event {
            Event::Channels { integration, result } => listed(self, &integration, result),
            Event::Groups { integration, result } => groups::looked(self, &integration, result),
            Event::GroupTimes { integration, times } => groups::times(self, &integration, times),
            Event::Group { task, result } => groups::follow(self, task, result),
            Event::Failures { task, found } => dead_letters::found(self, task, *found),
            Event::Described { task, result } => {
                if let Some(pane) = self.channels.describe.as_mut().filter(|pane| pane.task == task) {
                    pane.result = Some(result);
                    self.touch();
                }
            }
            Event::TailStarted { task, result } if self.traffic.task == Some(task) => {
                self.traffic.phase = match result {
                    Ok(()) => Phase::Running,
                    Err(fault) => {
                        self.traffic.task = None;
                        Phase::Failed(fault)
                    }
                };
                self.touch();
            }
            Event::Follows { task, ids } => follow::ids(self, task, ids),
            Event::Tail { task, update } => reading::tail(self, task, update),
            Event::History { task, update } => reading::history(self, task, update),
            Event::Decoded { id, result } => decoded(self, id, result),
            Event::Fetched { task, result } => fetched(self, task, result),
            Event::ReceiveOptions { task, result, warning } => receive::receive_options(self, task, result, warning),
            Event::HoldStarted { task, result } => received::started(self, task, result),
            Event::HoldSpends { task, spends } => received::spends(self, task, spends),
            Event::PeekMarks { task, address, marks } => received::cost(self, task, address, marks),
            Event::Arrived { task, arrived } => received::arrived(self, task, arrived),
            Event::SettlePlanned { task, result } => {
                let plan = received::settle_planned(self, task, result);
                changing::propose(self, plan);
            }
            Event::Settled { task, result } => received::settled(self, task, result),
            Event::Released { task, result } => received::released(self, task, result),
            Event::Published { task, result } => publish::published(self, task, result),
            Event::Planned { task, result } => changing::planned(self, task, result),
            Event::Executed { task, result } => changing::executed(self, task, result),
            Event::Armed(result) => changing::armed(self, result),
            Event::Job { task, update } => job(self, task, update),
            Event::Wire { integration, lines } if self.wire.integration.as_ref() == Some(&integration) => {
                self.revision += u64::from(self.wire.add(lines));
            }
            Event::Copied(Ok(what)) => self.say(Level::Info, &format!("Copied: {what}")),
            Event::Exported { task, result: Ok(export) } => {
                self.job_ended(task);
                let size = figure::bytes(export.bytes);
                let messages = figure::several(export.messages as u64, "message");
                self.say(Level::Info, &format!("Exported {messages}, {size}, to {}", export.path));
            }
            Event::Exported { task, result: Err(fault) } => {
                self.job_ended(task);
                self.report(&fault);
            }
            Event::Copied(Err(fault)) | Event::Edited { result: Err(fault), .. } => self.report(&fault),
            Event::Edited { purpose: EditPurpose::Value, result: Ok(bytes) } => publish::edited(self, &bytes),
            Event::Edited { purpose: EditPurpose::Look, .. } => self.touch(),
            Event::Notice(level, text) => {
                self.notices.say(level, text, now);
                self.touch();
            }
            // Of a task that was replaced; or taken already.
            _ => {}
        }
    }
}

fn decoded(model: &mut Model, id: u64, result: Result<Decoded, Fault>) {
    let panes = [model.traffic.detail.as_mut(), model.received.detail.as_mut()];
    let found = panes.into_iter().flatten().find(|pane| pane.view.id == id).map(|pane| pane.decoded(result)).is_some();
    model.revision += u64::from(found);
}

fn tick(model: &mut Model, now: Timestamp) {
    model.now = now;
    changing::tick(model);
    reading::tick(model);
    received::tick(model);
    let expired = model.notices.expire(now);
    let time_fingerprint = clock::time_fingerprint(model);
    if expired || time_fingerprint != model.time_fingerprint {
        model.touch();
    }
}

fn profile_opened(model: &mut Model, opened: Opened) {
    reading::stop(model);
    let closing = model.profile.as_ref().map(|profile| profile.opened.name.clone()).unwrap_or_default();
    let integrations = opened.integrations.iter().map(Integration::new).collect();
    let show = opened.show.clone();
    model.profile = Some(Profile { opened, integrations });
    model.profiles.opening = None;
    model.profiles.failed = None;
    model.overview = Overview::default();
    model.channels = Channels { asked_at: Some(model.now), ..Channels::default() };
    model.traffic = Traffic::default();
    model.dead_letters = DeadLetters::default();
    groups::close(model);
    model.groups = Groups { asked_at: Some(model.now), ..Groups::default() };
    model.wire = WireLog::default();
    model.form = None;
    model.received = Received::default();
    model.changes = model.changes.of_another_profile(&closing);
    // What only read was ended with its profile.
    let (kept, ended) = std::mem::take(&mut model.jobs).into_iter().partition(|job| model.changes.is_running(job.task));
    model.jobs = kept;
    for job in ended {
        model.say(Level::Warning, &format!("Ended with {closing}: {}", job.title));
    }
    model.overlay = None;
    model.typing = None;
    model.back.clear();
    model.last = None;
    model.screen = Screen::Overview;
    overview::rebuild(model);
    model.refresh = true;
    if let Some(address) = show {
        open::open(model, vec![address]);
    }
    model.touch();
}

fn listed(model: &mut Model, integration: &Arc<str>, result: Result<Vec<Channel>, Fault>) {
    let now = model.now;
    let Some(found) = model.integration_mut(integration) else { return };
    let stale = found.is_stale(now);
    if found.listed(result, now, stale) {
        model.channels.asked_at = None;
        channels::rebuild(model);
        overview::rebuild(model);
        model.touch();
    }
}

fn fetched(model: &mut Model, task: TaskId, result: Result<Box<MessageView>, Fault>) {
    if model.traffic.fetching.take_if(|fetching| *fetching == task).is_none() {
        return;
    }
    match result {
        Ok(view) => act::send_again(model, &view),
        Err(fault) => model.report(&fault),
    }
}

fn job(model: &mut Model, task: TaskId, update: JobUpdate) {
    let now = model.now;
    match update.end {
        Some(end) => {
            model.job_ended(task);
            match end {
                Ok(text) => model.notices.say(Level::Info, text, now),
                Err(fault) => model.notices.fault(&fault, now),
            }
        }
        None => match model.jobs.iter_mut().find(|job| job.task == task) {
            Some(job) => {
                job.done = update.done;
                job.total = update.total;
                job.at = now;
            }
            None => model.jobs.push(Job { done: update.done, total: update.total, ..Job::new(task, update.title, now) }),
        },
    }
    model.touch();
}

/// After every event: selections find their rows again, offsets follow, the detail is built for its width; and what the screen shows is
/// asked for.
fn settle(model: &mut Model) {
    let room = layout::room(model);
    (model.screen.state().settle)(model, room);
    if std::mem::take(&mut model.refresh) {
        refresh(model);
    }
    groups::focus(model, room.page());
}

/// Asks for fresh channel lists while a screen shows them, and for the wire log while that is shown; otherwise for nothing.
fn refresh(model: &mut Model) {
    let shown = if model.screen.state().lists_channels { model.integrations() } else { &[] };
    let wanted = shown.iter().map(|integration| integration.name.clone()).collect();
    model.effect(Effect::WatchChannels(wanted));
    wire_log::watch(model);
}
