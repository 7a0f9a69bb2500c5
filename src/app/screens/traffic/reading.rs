//! Reading live messages or a part of history: starting it, what comes of it, and its end.

use super::state::{HISTORY_LIMIT, Phase, Source, Traffic};
use crate::app::effect::{Effect, TaskId};
use crate::app::event::{HistoryUpdate, Level, TailNote, TailUpdate};
use crate::app::jobs::Job;
use crate::app::model::Model;
use crate::domain::figure;
use crate::domain::text::SafeText;
use crate::domain::time::Timestamp;
use crate::domain::view::Counts;

/// Notes kept for the screen; Notices has the others.
const KEPT: usize = 100;

/// Time passed: the rate falls to nothing when nothing comes.
pub(crate) fn tick(model: &mut Model) {
    let now = model.now;
    if model.traffic.rate_face(now) {
        model.traffic.measure(now);
        model.touch();
    }
}

/// Takes in what came in a tail.
pub(crate) fn tail(model: &mut Model, task: TaskId, update: TailUpdate) {
    if model.traffic.task != Some(task) {
        return;
    }
    let now = model.now;
    let traffic = &mut model.traffic;
    if traffic.is_followed() {
        // Totals are those of the history beside it.
        traffic.window.extend(update.views);
        traffic.window.sort();
        return told(model, update.notes);
    }
    traffic.phase = Phase::Running;
    traffic.counts = update.counts;
    traffic.matched = update.matched;
    traffic.filter_errors = update.filter_errors;
    let target = if traffic.hold { &mut traffic.held } else { &mut traffic.window };
    target.extend(update.views);
    traffic.measure(now);
    told(model, update.notes);
}

/// Takes in what a tail says of its reading.
fn told(model: &mut Model, notes: Vec<TailNote>) {
    for note in notes {
        noted(model, note);
    }
    model.touch();
}

fn noted(model: &mut Model, note: TailNote) {
    let now = model.now;
    let traffic = &mut model.traffic;
    match note {
        TailNote::Interrupted { integration, fault } => {
            let since = traffic.interrupted.get(&integration).map_or(now, |(_, since)| *since);
            traffic.interrupted.insert(integration, (fault, since));
        }
        TailNote::Waits { integration, why: Some(why) } => {
            traffic.waits.insert(integration, why);
        }
        TailNote::Waits { integration, why: None } => {
            traffic.waits.remove(&integration);
        }
        TailNote::Skipped { integration, count, side } => {
            model.notices.say(Level::Warning, format!("{integration}: {}", side.skipped(count)), now);
        }
        TailNote::Resumed { integration, lost } => {
            let (level, text) = match lost {
                Some(0) => (Level::Info, "Reading goes on, nothing was missed.".to_owned()),
                Some(n) => {
                    (Level::Warning, format!("Reading goes on; {} messages were deleted before they could be read.", figure::count(n)))
                }
                None => (Level::Warning, "Reading goes on; it is unknown whether messages were missed.".to_owned()),
            };
            traffic.interrupted.remove(&integration);
            model.notices.say(level, text, now);
        }
    }
}

/// Takes in what came in a reading of history.
pub(crate) fn history(model: &mut Model, task: TaskId, update: HistoryUpdate) {
    if model.traffic.task != Some(task) {
        return;
    }
    let now = model.now;
    let traffic = &mut model.traffic;
    traffic.phase = Phase::Running;
    traffic.counts = Counts { seen: update.scanned, bytes: update.bytes };
    traffic.matched = update.matched;
    traffic.filter_errors = update.filter_errors;
    traffic.at_most = update.at_most.or(traffic.at_most);
    traffic.said = update.said.or(traffic.said.take());
    traffic.window.extend(update.views);
    if traffic.is_followed() {
        traffic.window.sort();
    }
    traffic.measure(now);
    let faults = update.faults.iter().map(|fault| SafeText::from(fault.to_string()));
    note(model, update.notes.into_iter().chain(faults), now);
    if let Some(job) = model.jobs.iter_mut().find(|job| job.task == task) {
        job.done = update.scanned;
        job.total = update.at_most.or(job.total);
        job.at = now;
    }
    if let Some(end) = update.end {
        let traffic = &mut model.traffic;
        // What has no history is watched on.
        if !traffic.is_followed() {
            traffic.task = None;
        }
        traffic.phase = match end {
            Ok(()) => Phase::Ended,
            Err(fault) => Phase::Failed(fault),
        };
        model.jobs.retain(|job| job.task != task);
    }
    model.touch();
}

/// Ends what is being read; what is shown stays.
pub(crate) fn stop(model: &mut Model) {
    if let Some(task) = model.traffic.task.take() {
        model.stop(task);
    }
}

/// Starts to read: `source` from the screen's addresses through its filter. What was shown goes.
pub(crate) fn start(model: &mut Model, source: Source) {
    stop(model);
    let task = model.task();
    let now = model.now;
    let old = std::mem::take(&mut model.traffic);
    model.traffic = Traffic { addresses: old.addresses, filter: old.filter, source, task: Some(task), started: now, ..Traffic::default() };
    let filter = model.traffic.filter.clone();
    match (&model.traffic.source, model.traffic.addresses.first()) {
        (Source::Live, Some(_)) => {
            let addresses = model.traffic.addresses.clone();
            model.effect(Effect::StartTail { task, addresses, filter });
        }
        (Source::History { range, text }, Some(address)) => {
            let (addresses, range) = (model.traffic.addresses.clone(), *range);
            let more = if addresses.len() > 1 { format!(" and {} more", addresses.len() - 1) } else { String::new() };
            let title = format!("read {address}{more} from {text}");
            model.jobs.push(Job::new(task, title.into(), now));
            model.effect(Effect::ReadHistory { task, addresses, range, limit: HISTORY_LIMIT, filter });
        }
        _ => model.traffic.task = None,
    }
    model.touch();
}

/// Takes in what a reading tells of itself.
fn note(model: &mut Model, notes: impl IntoIterator<Item = SafeText>, now: Timestamp) {
    for note in notes {
        model.notices.record(Level::Warning, note.clone(), now);
        model.traffic.noted += 1;
        if model.traffic.notes.len() < KEPT {
            model.traffic.notes.push(note);
        }
    }
}
