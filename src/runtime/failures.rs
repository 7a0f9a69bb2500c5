//! Reads dead letters for the console: every integration's, grouped by what they died of, with what was found so far every so often.

use super::lanes::Lanes;
use crate::app::screens::dead_letters::FailuresFound;
use crate::app::{Event, TaskId};
use crate::domain::address::Address;
use crate::domain::position::Range;
use crate::gateway::Gateway;
use crate::gateway::dead_letters::failures::{Failures, Wanted};
use crate::gateway::filter::Filter;
use futures::future::join_all;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Between two updates.
const PACE: Duration = Duration::from_millis(200);
/// So many groups a list has at most.
const SHOWN: usize = 1_000;

/// Reads until there is nothing more to read.
pub(super) async fn read(gateway: Arc<Gateway>, lanes: Lanes, task: TaskId) {
    let names: Vec<Arc<str>> = gateway.integrations().map(|(name, _)| name.clone()).collect();
    let found = join_all(names.iter().map(|name| gateway.dead_letters(name, None))).await;
    let (mut channels, mut faults) = (Vec::new(), Vec::new());
    for (integration, found) in names.iter().zip(found) {
        match found {
            Ok(found) => {
                channels.extend(found.channels.iter().map(|letters| Address::new(integration, &letters.channel.name)));
                faults.extend(found.gaps);
            }
            Err(fault) => faults.push(fault),
        }
    }
    let count = channels.len();
    let update = |failures: &Failures, ended: bool| {
        let ((letters, rest), mut groups) = (failures.letters(), failures.groups());
        groups.truncate(SHOWN);
        let faults = faults.iter().chain(&failures.faults).cloned().collect();
        let (at_most, unread) = (failures.at_most, failures.unread.clone());
        FailuresFound { groups, letters, rest, at_most, channels: count, unread, faults, ended }
    };
    let Ok(filter) = Filter::parse("") else { return };
    let wanted = Wanted { channels, range: Range::between(None, None), filter, by: None, look: false };
    let mut failures = match gateway.failures(wanted).await {
        Ok(failures) => failures,
        Err(fault) => {
            faults.push(fault);
            let found = FailuresFound { channels: count, faults, ended: true, ..FailuresFound::default() };
            return lanes.result(Event::Failures { task, found: Box::new(found) }).await;
        }
    };
    let mut said = Instant::now();
    while failures.next().await {
        if said.elapsed() >= PACE {
            lanes.result(Event::Failures { task, found: Box::new(update(&failures, false)) }).await;
            said = Instant::now();
        }
    }
    lanes.result(Event::Failures { task, found: Box::new(update(&failures, true)) }).await;
}
