//! Performs the following of ids: what is found in history as it is found, and what comes where there is no history.

use super::lanes::Lanes;
use crate::app::event::HistoryUpdate;
use crate::app::{Event, TaskId};
use crate::domain::address::Address;
use crate::domain::envelope;
use crate::domain::fault::{Fault, Kind};
use crate::domain::figure;
use crate::domain::grouped_notes::{GroupedNotes, remark};
use crate::domain::text::SafeText;
use crate::domain::time::Timestamp;
use crate::domain::view::MessageView;
use crate::gateway::Gateway;
use crate::gateway::filter::{Filter, Verdict};
use crate::gateway::follow::{REACH, Step, Trail, WATCHED, stored_in};
use crate::gateway::live;
use futures::future::join_all;
use futures::{FutureExt, StreamExt};
use std::collections::BTreeMap;
use std::sync::Arc;

/// `window` is what was seen so far of channels that keep no history.
pub(super) async fn follow(gateway: Arc<Gateway>, lanes: Lanes, task: TaskId, view: Arc<MessageView>, window: Vec<Arc<MessageView>>) {
    let live = match search(&gateway, &lanes, task, &view, &window).await {
        Ok(live) => live,
        Err(fault) => {
            let update = HistoryUpdate { end: Some(Err(fault)), ..HistoryUpdate::default() };
            return lanes.live(Event::History { task, update }).await;
        }
    };
    // The gateway must not be kept open by what is watched.
    drop(gateway);
    join_all(live).await;
}

/// What was counted so far, and what is said of it.
#[derive(Default)]
struct Progress {
    channels: usize,
    done: usize,
    update: HistoryUpdate,
    /// Where nothing could be looked at, by the reason.
    unseen: GroupedNotes,
    /// What is to be known of channels that were searched, by what it is.
    noted: GroupedNotes,
}

impl Progress {
    /// What happened since the last update, with the totals.
    fn take(&mut self) -> HistoryUpdate {
        let said = format!(
            "{} of {} channels   {} messages looked at   {} found",
            self.done,
            self.channels,
            figure::count(self.update.scanned),
            self.update.matched
        );
        let next = HistoryUpdate {
            scanned: self.update.scanned,
            matched: self.update.matched,
            bytes: self.update.bytes,
            ..HistoryUpdate::default()
        };
        HistoryUpdate { said: (self.channels > 0).then(|| said.into()), ..std::mem::replace(&mut self.update, next) }
    }
}

/// Channels that are begun to be watched at a time, where each is watched by itself.
const AT_ONCE: usize = 8;

type Watching = futures::future::BoxFuture<'static, ()>;

/// Searches history; the live tails of what has none run meanwhile and go on after it.
async fn search(
    gateway: &Gateway,
    lanes: &Lanes,
    task: TaskId,
    view: &MessageView,
    window: &[Arc<MessageView>],
) -> Result<Vec<Watching>, Fault> {
    let message = &view.message;
    let decoded = gateway.decoder(&view.address).decode(message.payload.as_deref(), &message.headers);
    let ids = envelope::ids(&message.headers, decoded.value.as_ref());
    let target = format!("{}#{}", view.address, message.position);
    if ids.is_empty() {
        let fault = Fault::new(Kind::Usage, "follow", target, "this message has no correlation id, no trace id and no message id");
        return Err(fault.next("O shows the messages of this channel that have its key"));
    }
    lanes.result(Event::Follows { task, ids: ids.clone() }).await;
    let now = Timestamp(jiff::Timestamp::now().as_millisecond());
    let trail = Trail::around(ids, message.timestamp.unwrap_or(now), REACH);
    let filter = Filter::parse(&trail.query())?;
    let mut steps = gateway.follow(&trail)?;
    let (mut progress, mut watching) = (Progress::default(), Vec::new());
    let seen = window
        .iter()
        .filter(|seen| filter.test(&seen.message, &gateway.decoder(&seen.address)) == Verdict::Passes)
        .map(|seen| MessageView::clone(seen));
    progress.update.views.extend(seen);
    progress.update.matched = progress.update.views.len() as u64;
    if message.position.is_lasting() {
        // It is found again in its channel's history, and shown once.
        progress.update.views.push(view.clone());
    }
    lanes.live(Event::History { task, update: progress.take() }).await;
    while let Some(step) = steps.next().await {
        match step {
            Step::Begins { channels, live, kept, stored } => {
                progress.channels = channels;
                for (address, keeper) in stored {
                    progress.noted.add(address.to_string(), stored_in(&keeper));
                }
                watching = watch(gateway, lanes, task, &filter, live, kept, &mut progress).await;
            }
            Step::Unseen { place, why } => progress.unseen.add(place, why.as_str()),
            Step::Failed { address, fault } => {
                progress.done += 1;
                progress.unseen.add(address.to_string(), fault.to_string());
            }
            Step::Found { address, messages, faults } => {
                let ingest = gateway.ingest(&address.integration)?;
                let update = &mut progress.update;
                update.views.extend(messages.iter().map(|(_, message)| ingest.view(message)));
                update.matched += messages.len() as u64;
                update.faults.extend(faults);
                lanes.live(Event::History { task, update: progress.take() }).await;
            }
            Step::Searched { address, report, notes } => {
                progress.done += 1;
                progress.update.scanned += report.counts.scanned;
                progress.update.bytes += report.counts.bytes;
                for note in notes {
                    progress.noted.add(address.to_string(), note);
                }
                lanes.live(Event::History { task, update: progress.take() }).await;
            }
        }
    }
    let unseen = progress.unseen.take().map(|line| format!("not looked at: {line}").into());
    let noted = progress.noted.take();
    progress.update.notes.extend(unseen.chain(noted));
    progress.update.end = Some(Ok(()));
    lanes.live(Event::History { task, update: progress.take() }).await;
    Ok(watching)
}

/// Tails what comes from now on, each integration by itself: `live` has no history, `kept` has some.
async fn watch(
    gateway: &Gateway,
    lanes: &Lanes,
    task: TaskId,
    filter: &Filter,
    live: Vec<Address>,
    kept: Vec<Address>,
    progress: &mut Progress,
) -> Vec<Watching> {
    let only = live.len();
    let mut integrations: BTreeMap<Arc<str>, Vec<(Address, bool)>> = BTreeMap::new();
    for (at, address) in live.into_iter().chain(kept).enumerate() {
        integrations.entry(address.integration.clone()).or_default().push((address, at < only));
    }
    let begin = |addresses: Vec<Address>| {
        let (lane, event) = lanes.live_events();
        let wrap = move |update| event(Event::Tail { task, update });
        let filter = filter.clone();
        async move { live::tail(gateway, &addresses, filter, lane, wrap).await.map(FutureExt::boxed) }
    };
    let mut watching: Vec<Watching> = Vec::new();
    // At once, not when history was searched: what comes meanwhile must not be missed.
    let mut run = |tail: Watching| watching.push(Box::pin(Running(tokio::spawn(tail))));
    let (mut only_live, mut unwatched) = (Vec::new(), GroupedNotes::default());
    for mut channels in integrations.into_values() {
        for (address, _) in channels.split_off(channels.len().min(WATCHED)) {
            unwatched.add(address.to_string(), "more cannot be watched at a time");
        }
        let mut failed = BTreeMap::new();
        match begin(channels.iter().map(|(address, _)| address.clone()).collect()).await {
            Ok(tail) => run(tail),
            Err(fault) if channels.len() == 1 => _ = failed.insert(channels[0].0.clone(), fault),
            // One of them cannot be watched: the others can, each by itself.
            Err(_) => {
                let mut each = Vec::new();
                for (address, _) in &channels {
                    let (address, tail) = (address.clone(), begin(vec![address.clone()]));
                    each.push(async move { (address, tail.await) });
                }
                for (address, tail) in futures::stream::iter(each).buffered(AT_ONCE).collect::<Vec<_>>().await {
                    match tail {
                        Ok(tail) => run(tail),
                        Err(fault) => _ = failed.insert(address, fault),
                    }
                }
            }
        }
        let well = channels.iter().filter(|(address, only)| *only && !failed.contains_key(address));
        only_live.extend(well.map(|(address, _)| SafeText::from(address.to_string())));
        for (address, fault) in failed {
            unwatched.add(address.to_string(), fault.to_string());
        }
    }
    if !only_live.is_empty() {
        progress.update.notes.push(remark(&only_live, "no history is kept there: only what comes from now on"));
    }
    progress.update.notes.extend(unwatched.take().map(|line| format!("not watched: {line}").into()));
    watching
}

/// A tail at work, which ends when nobody waits for it any more.
struct Running(tokio::task::JoinHandle<()>);

impl Future for Running {
    type Output = ();

    fn poll(mut self: std::pin::Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> std::task::Poll<()> {
        std::pin::Pin::new(&mut self.0).poll(cx).map(drop)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}
