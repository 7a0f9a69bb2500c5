//! Events into the Model: routes each to the part of the Model that it concerns.

use super::effect::{EditPurpose, Effect, TaskId};
use super::event::{Event, JobUpdate, Level, Opened};
use super::integration::Integration;
use super::jobs::Job;
use super::model::{Model, Profile, Screen};
use super::screens::publish::{Body, Form};
use super::screens::traffic::{self, open};
use super::screens::{channels, groups, overview, received, wire_log};
use super::{act, changes, clock, keys, layout, receive};
use crate::domain::channel::Channel;
use crate::domain::fault::Fault;
use crate::domain::figure;
use crate::domain::lag::Behind;
use crate::domain::receipt::Receipt;
use crate::domain::view::MessageView;
use bytes::Bytes;
use std::sync::Arc;

impl Model {
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
        groups::focus(self);
        self.time_fingerprint = clock::time_fingerprint(self);
        std::mem::take(&mut self.out)
    }

    /// The answers to effects.
    fn take_answer(&mut self, event: Event) {
        let now = self.now;
        match event {
            Event::Channels { integration, result } => listed(self, &integration, result),
            Event::Groups { integration, result } => groups::looked(self, &integration, result),
            Event::GroupTimes { integration, times } => group_times(self, &integration, times),
            Event::Group { task, result } => groups::follow(self, task, result),
            Event::Described { task, result } => {
                if let Some(pane) = self.channels.describe.as_mut().filter(|pane| pane.task == task) {
                    pane.result = Some(result);
                    self.touch();
                }
            }
            Event::TailStarted { task, result } if self.traffic.task == Some(task) => {
                self.traffic.phase = match result {
                    Ok(()) => traffic::Phase::Running,
                    Err(fault) => {
                        self.traffic.task = None;
                        traffic::Phase::Failed(fault)
                    }
                };
                self.touch();
            }
            Event::Follows { task, ids } => traffic::follow::ids(self, task, ids),
            Event::Tail { task, update } => traffic::tail(self, task, update),
            Event::History { task, update } => traffic::history(self, task, update),
            Event::Decoded { id, result } => {
                let panes = [self.traffic.detail.as_mut(), self.received.detail.as_mut()];
                let found = panes.into_iter().flatten().find(|pane| pane.view.id == id).map(|pane| pane.decoded(result)).is_some();
                self.revision += u64::from(found);
            }
            Event::Fetched { task, result } => fetched(self, task, result),
            Event::ReceiveOptions { task, result, warning } => receive::receive_options(self, task, result, warning),
            Event::HoldStarted { task, result } => received::started(self, task, result),
            Event::PeekMarks { task, address, marks } => received::cost(self, task, address, marks),
            Event::Arrived { task, arrived } => received::arrived(self, task, arrived),
            Event::SettlePlanned { task, result } => received::settle_planned(self, task, result),
            Event::Settled { task, result } => received::settled(self, task, result),
            Event::Released { task, result } => received::released(self, task, result),
            Event::Published { task, result } => published(self, task, result),
            Event::Planned { task, result } => changes::planned(self, task, result),
            Event::Executed { task, result } => changes::executed(self, task, result),
            Event::Armed(result) => changes::armed(self, result),
            Event::Job { task, update } => job(self, task, update),
            Event::Wire { integration, lines } if self.wire.integration.as_ref() == Some(&integration) => {
                self.revision += u64::from(self.wire.add(lines));
            }
            Event::Copied(Ok(what)) => say(self, Level::Info, &format!("Copied: {what}")),
            Event::Exported { task, result: Ok(export) } => {
                self.jobs.retain(|job| job.task != task);
                let size = figure::bytes(export.bytes);
                let messages = figure::several(export.messages as u64, "message");
                say(self, Level::Info, &format!("Exported {messages}, {size}, to {}", export.path));
            }
            Event::Exported { task, result: Err(fault) } => {
                self.jobs.retain(|job| job.task != task);
                fault_said(self, &fault);
            }
            Event::Copied(Err(fault)) | Event::Edited { result: Err(fault), .. } => fault_said(self, &fault),
            Event::Edited { purpose: EditPurpose::Value, result: Ok(bytes) } => edited(self, &bytes),
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

pub(super) fn say(model: &mut Model, level: Level, text: &str) {
    model.notices.say(level, text, model.now);
    model.touch();
}

pub(super) fn fault_said(model: &mut Model, fault: &Fault) {
    model.notices.fault(fault, model.now);
    model.touch();
}

fn tick(model: &mut Model, now: crate::domain::time::Timestamp) {
    model.now = now;
    changes::tick(model);
    traffic::tick(model);
    received::tick(model);
    let expired = model.notices.expire(now);
    let time_fingerprint = clock::time_fingerprint(model);
    if expired || time_fingerprint != model.time_fingerprint {
        model.touch();
    }
}

fn profile_opened(model: &mut Model, opened: Opened) {
    traffic::stop(model);
    let closing = model.profile.as_ref().map(|profile| profile.opened.name.clone()).unwrap_or_default();
    let integrations = opened.integrations.iter().map(Integration::new).collect();
    let show = opened.show.clone();
    model.profile = Some(Profile { opened, integrations });
    model.profiles.opening = None;
    model.profiles.failed = None;
    model.overview = overview::Overview::default();
    model.channels = channels::Channels { asked_at: Some(model.now), ..channels::Channels::default() };
    model.traffic = traffic::Traffic::default();
    groups::close(model);
    model.groups = groups::Groups { asked_at: Some(model.now), ..groups::Groups::default() };
    model.wire = wire_log::WireLog::default();
    model.form = None;
    model.received = received::Received::default();
    model.changes = model.changes.of_another_profile(&closing);
    // What only read was ended with its profile.
    let (kept, ended) = std::mem::take(&mut model.jobs).into_iter().partition(|job| model.changes.is_running(job.task));
    model.jobs = kept;
    for job in ended {
        say(model, Level::Warning, &format!("Ended with {closing}: {}", job.title));
    }
    model.overlay = None;
    model.typing = None;
    model.back.clear();
    model.last = None;
    model.screen = Screen::Overview;
    overview::rebuild(model);
    model.watch();
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

fn group_times(model: &mut Model, integration: &str, times: Vec<(Arc<str>, Behind)>) {
    let Some(found) = model.integration_mut(integration) else { return };
    let mut changed = false;
    for (group, behind) in times {
        changed |= found.groups.behind.insert(group, behind) != Some(behind);
    }
    if changed && model.screen == Screen::Groups {
        model.touch();
    }
}

fn fetched(model: &mut Model, task: TaskId, result: Result<Box<MessageView>, Fault>) {
    if model.traffic.fetching.take_if(|fetching| *fetching == task).is_none() {
        return;
    }
    match result {
        Ok(view) => act::send_again(model, &view),
        Err(fault) => fault_said(model, &fault),
    }
}

fn published(model: &mut Model, task: TaskId, result: Result<Receipt, Fault>) {
    let ours = model.form.as_ref().is_some_and(|form| form.sending == Some(task));
    match result {
        Ok(receipt) => {
            let to = model.form.as_ref().filter(|_| ours).map_or_else(String::new, |form| format!(" to {}", form.address));
            say(model, Level::Info, &format!("Published{to}: {receipt}"));
            if ours {
                model.form = None;
                act::back(model);
            }
        }
        Err(fault) => {
            if let Some(form) = model.form.as_mut().filter(|_| ours) {
                form.sending = None;
            }
            fault_said(model, &fault);
        }
    }
}

fn job(model: &mut Model, task: TaskId, update: JobUpdate) {
    let now = model.now;
    match update.end {
        Some(end) => {
            model.jobs.retain(|job| job.task != task);
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

fn edited(model: &mut Model, bytes: &Bytes) {
    if let Some(form) = model.form.as_mut().filter(|form| form.sending.is_none()) {
        // Editors end files with a line break that nobody typed.
        let before = form.value.bytes().unwrap_or_default();
        let added = !before.ends_with(b"\n") && bytes.ends_with(b"\n") && !bytes[..bytes.len() - 1].ends_with(b"\n");
        let bytes = if added { bytes.slice(..bytes.len() - 1) } else { bytes.clone() };
        if form.value.bytes().as_ref() != Some(&bytes) && !(bytes.is_empty() && matches!(form.value, Body::Missing)) {
            form.value = Body::of(&bytes);
        }
        model.touch();
    }
}

/// After every event: selections find their rows again, offsets follow, the detail is built for its width.
fn settle(model: &mut Model) {
    (model.screen.state().settle)(model);
    if let Some(pane) = &model.channels.describe {
        let rows = super::screens::channels::describe_rows(pane);
        let page = layout::detail_page(model);
        let offset = pane.offset.min(rows.saturating_sub(page));
        if let Some(pane) = &mut model.channels.describe {
            pane.offset = offset;
        }
    }
}

/// Opens the publish form of a channel, empty.
pub(super) fn new_form(model: &Model, address: crate::domain::address::Address) -> Option<Form> {
    let spec = model.integration(&address.integration)?.publishes.flatten()?;
    Some(Form::new(address, spec))
}
