//! Following ids: from one message to every other that has its correlation id, trace id or message id, in one timeline.

use super::reading;
use super::state::{Before, Phase, Source, Traffic};
use crate::app::effect::{Effect, TaskId};
use crate::app::jobs::Job;
use crate::app::model::{Model, Screen};
use crate::domain::address::Address;
use crate::domain::envelope::Id;
use crate::domain::view::MessageView;
use std::sync::Arc;

/// Follows the ids of a message.
pub(in crate::app) fn start(model: &mut Model, view: &Arc<MessageView>) {
    let screen = model.screen;
    reading::stop(model);
    let old = std::mem::take(&mut model.traffic);
    let no_history = |view: &&Arc<MessageView>| {
        let keeper = |name: &Arc<str>| model.channel(&Address::new(&view.address.integration, name));
        model
            .channel(&view.address)
            .is_some_and(|channel| !channel.can.history && !channel.kept_by.as_ref().and_then(keeper).is_some_and(|kept| kept.can.history))
    };
    let seen = (0..old.window.len()).filter_map(|row| old.window.from_oldest(row));
    let window = seen.filter(no_history).cloned().collect();
    let Traffic { addresses, source, filter, before, .. } = old;
    let before = before.unwrap_or_else(|| Box::new(Before { addresses, source, filter, screen }));
    let task = model.task();
    model.traffic = Traffic {
        source: Source::Followed { ids: Vec::new(), of: view.clone() },
        task: Some(task),
        started: model.now,
        before: Some(before),
        ..Traffic::default()
    };
    let title = format!("follow the ids of {}#{}", view.address, view.message.position);
    model.jobs.push(Job::new(task, title.into(), model.now));
    model.effect(Effect::Follow { task, view: view.clone(), window });
    model.go(Screen::Traffic);
    model.touch();
}

/// The ids are known.
pub(in crate::app) fn ids(model: &mut Model, task: TaskId, found: Vec<Id>) {
    if model.traffic.task == Some(task)
        && let Source::Followed { ids, .. } = &mut model.traffic.source
    {
        *ids = found;
        model.touch();
    }
}

/// Back to what was shown before.
pub(in crate::app) fn leave(model: &mut Model) {
    reading::stop(model);
    let Some(before) = model.traffic.before.take() else { return };
    let Before { addresses, source, filter, screen } = *before;
    model.traffic = Traffic { addresses, filter, phase: Phase::Ended, ..Traffic::default() };
    if matches!(source, Source::Live | Source::History { .. }) {
        reading::start(model, source);
    }
    if screen != Screen::Traffic {
        model.go_back();
    }
}
