//! Reads messages for the console: live, a part of history, and one of them with all its bytes.

use super::lanes::Lanes;
use crate::app::event::HistoryUpdate;
use crate::app::{Event, TaskId};
use crate::domain::address::Address;
use crate::domain::fault::Fault;
use crate::domain::position::{Position, Range};
use crate::domain::view::MessageView;
use crate::gateway::Gateway;
use crate::gateway::filter::Filter;
use crate::gateway::find::Search;
use crate::gateway::live;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

pub(super) async fn tail(gateway: Arc<Gateway>, lanes: Lanes, task: TaskId, addresses: Vec<Address>, filter: String) {
    let (lane, event) = lanes.live_events();
    let wrap = move |update| event(Event::Tail { task, update });
    let started = match Filter::parse(&filter) {
        Ok(filter) => live::tail(&gateway, &addresses, filter, lane, wrap).await,
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

/// What a reading of history is to find.
pub(super) struct Looked {
    pub(super) addresses: Vec<Address>,
    pub(super) range: Range,
    pub(super) limit: u64,
    pub(super) filter: String,
}

pub(super) async fn history(gateway: Arc<Gateway>, lanes: Lanes, task: TaskId, looked: Looked) {
    if let Err(fault) = read_history(&gateway, &lanes, task, looked).await {
        lanes.result(Event::History { task, update: HistoryUpdate { end: Some(Err(fault)), ..HistoryUpdate::default() } }).await;
    }
}

async fn read_history(gateway: &Gateway, lanes: &Lanes, task: TaskId, looked: Looked) -> Result<(), Fault> {
    let Looked { addresses, range, limit, filter } = looked;
    let integrations: BTreeSet<_> = addresses.iter().map(|address| address.integration.clone()).collect();
    let ingests = integrations.into_iter().map(|name| Ok((name.clone(), gateway.ingest(&name)?)));
    let ingests = ingests.collect::<Result<HashMap<_, _>, Fault>>()?;
    let filtered = !filter.is_empty();
    let filter = Filter::parse(&filter)?;
    let limit = filter.query.limit.map_or(limit, |own| own.min(limit));
    let search = Search { range, limit: Some(limit), ..Search::new(addresses, filter) };
    let mut finding = gateway.find(search).await?;
    let mut notes = finding.notes.iter().map(|note| note.as_str().into()).collect();
    while let Some(found) = finding.next().await {
        let report = finding.report();
        let said = if report.complete { report.to_string() } else { report.progress_line() };
        let update = HistoryUpdate {
            views: found.messages.iter().filter_map(|(from, message)| Some(ingests.get(from)?.view(message))).collect(),
            scanned: report.counts.scanned,
            // A limit ends the search while more was seen to match.
            matched: report.given,
            filter_errors: report.counts.undecodable + report.counts.failed,
            bytes: report.counts.bytes,
            at_most: Some(report.at_most),
            notes: std::mem::take(&mut notes),
            faults: found.faults,
            said: filtered.then(|| said.into()),
            end: report.complete.then_some(Ok(())),
        };
        lanes.live(Event::History { task, update }).await;
    }
    Ok(())
}

/// One message with all its bytes.
pub(super) async fn fetch(gateway: &Gateway, address: &Address, position: Position) -> Result<MessageView, Fault> {
    let message = gateway.message(address, position).await?;
    Ok(gateway.ingest(&address.integration)?.whole(&message))
}
