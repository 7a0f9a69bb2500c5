//! What arrives from now on: tasks are submitted, incidents happen, sensors report, in waves.

use super::tasks::Task;
use super::topics::TASKS;
use super::{edge_cases, incidents, now};
use crate::adapters::kafka::embedded::Feed;
use crate::domain::fault::Fault;
use crate::domain::message::Outgoing;
use crate::domain::time::Timestamp;
use fastrand::Rng;
use std::f64::consts::TAU;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval};

const TICK: Duration = Duration::from_millis(100);
/// Tasks submitted a second, on average. The worker adds three messages to each.
pub(super) const TASKS_PER_SECOND: f64 = 35.0;

type Make = fn(&mut Rng, Timestamp) -> (&'static str, Outgoing);

/// Messages a second, on average, of everything else.
const OTHERS: [(f64, Make); 6] = [
    (3.0, incidents::any),
    (12.0, edge_cases::telemetry),
    (2.0, edge_cases::node),
    (4.0, edge_cases::usage),
    (0.5, edge_cases::edge),
    (0.3, edge_cases::hostile),
];

/// Feeds the cluster until it is aborted or the cluster is gone.
pub(super) async fn run(feed: Feed, mut rng: Rng) {
    let mut ticks = interval(TICK);
    // After the machine slept the past is not made up for.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let start = Instant::now();
    let mut owed = [0.0; 1 + OTHERS.len()];
    loop {
        ticks.tick().await;
        let wave = wave(start.elapsed().as_secs_f64());
        if let Err(fault) = tick(&feed, &mut rng, &mut owed, wave) {
            tracing::debug!(%fault, "the demo's traffic pauses");
        }
    }
}

fn tick(feed: &Feed, rng: &mut Rng, owed: &mut [f64], wave: f64) -> Result<(), Fault> {
    let at = now();
    for _ in 0..due(&mut owed[0], TASKS_PER_SECOND * wave) {
        let task = Task::new(rng);
        feed.send(TASKS[task.tenant], None, &task.payload(rng, at))?;
        let (topic, event) = task.event(rng, at, "submitted");
        feed.send(topic, None, &event)?;
    }
    for ((rate, make), owed) in OTHERS.iter().zip(&mut owed[1..]) {
        for _ in 0..due(owed, rate * wave) {
            let (topic, message) = make(rng, at);
            feed.send(topic, None, &message)?;
        }
    }
    Ok(())
}

/// How many messages are due in this tick; fractions are kept for the next.
fn due(owed: &mut f64, per_second: f64) -> u64 {
    *owed += per_second * TICK.as_secs_f64();
    let whole = owed.floor();
    *owed -= whole;
    whole as u64
}

/// Between about a half and one and a half, with a long and a short wave.
fn wave(seconds: f64) -> f64 {
    1.0 + 0.35 * (seconds * TAU / 47.0).sin() + 0.15 * (seconds * TAU / 11.0).sin()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waves_keep_the_average_rate() {
        let mut owed = 0.0;
        let ticks = 47 * 11 * 10;
        let sent: u64 = (0..ticks).map(|tick| due(&mut owed, 0.5 * wave(f64::from(tick) * 0.1))).sum();
        assert!(sent.abs_diff(47 * 11 / 2) < 5, "{sent}");
    }
}
