//! Keeps looking at groups while a profile is open: oftener while they are on the screen, and never for long.

use super::lanes::Lanes;
use crate::app::{Event, TaskId};
use crate::gateway::Gateway;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Between two looks while somebody sees them, and while nobody does: a trend needs a past.
const NEAR: Duration = Duration::from_secs(5);
const FAR: Duration = Duration::from_secs(15);
/// Between two looks at one group.
const ONE: Duration = Duration::from_secs(3);

/// What is on the screen.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct GroupFocus {
    pub(super) near: bool,
    /// Integration and group of each row.
    pub(super) rows: Vec<(Arc<str>, Arc<str>)>,
}

/// Looks at every group of an integration until the profile is closed. A slow system is asked less: a tenth of the time at most.
pub(super) async fn follow(gateway: Arc<Gateway>, lanes: Lanes, integration: Arc<str>, mut focus: watch::Receiver<GroupFocus>) {
    loop {
        let began = Instant::now();
        let result = gateway.lags(&integration).await.map(|board| board.map(Box::new));
        let unsupported = matches!(result, Ok(None));
        lanes.result(Event::Groups { integration: integration.clone(), result }).await;
        if unsupported {
            return;
        }
        let pause = began.elapsed() * 10;
        let seen = focus.borrow_and_update().clone();
        times(&gateway, &lanes, &integration, &seen).await;
        loop {
            let every = if focus.borrow().near { NEAR } else { FAR }.max(pause);
            let left = every.saturating_sub(began.elapsed());
            if left.is_zero() {
                break;
            }
            tokio::select! {
                () = tokio::time::sleep(left) => break,
                changed = focus.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let seen = focus.borrow_and_update().clone();
                    times(&gateway, &lanes, &integration, &seen).await;
                }
            }
        }
    }
}

/// Asks how long the groups on the screen are behind.
async fn times(gateway: &Gateway, lanes: &Lanes, integration: &Arc<str>, focus: &GroupFocus) {
    let rows: Vec<Arc<str>> = focus.rows.iter().filter(|(of, _)| of == integration).map(|(_, group)| group.clone()).collect();
    if rows.is_empty() {
        return;
    }
    // A fault of the connection is told by the next look.
    if let Ok(times) = gateway.behind(integration, &rows).await {
        lanes.result(Event::GroupTimes { integration: integration.clone(), times }).await;
    }
}

/// Looks at one group until the task is stopped.
pub(super) async fn follow_one(gateway: &Gateway, lanes: &Lanes, task: TaskId, integration: &str, group: &str) {
    loop {
        let began = Instant::now();
        let result = gateway.lag_of(integration, group).await.map(Box::new);
        lanes.result(Event::Group { task, result }).await;
        tokio::time::sleep(ONE.max(began.elapsed() * 10)).await;
    }
}
