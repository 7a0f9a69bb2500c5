//! Seed 1's cluster: the consumer group that takes tasks, answers them, lets some die, falls behind now and then, and recovers.

use super::tasks::{self, Origin, Task};
use super::topics::{DEAD_TASKS, RESULTS, TASKS};
use super::{now, traffic};
use crate::adapters::kafka::embedded::{Feed, Member};
use crate::domain::fault::Fault;
use crate::domain::message::{Message, Outgoing};
use crate::domain::time::Timestamp;
use fastrand::Rng;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Twice as fast as tasks come: what was left lying is worked off in about the time of the pause.
const PER_TASK: Duration = Duration::from_micros((1e6 / (2.0 * traffic::TASKS_PER_SECOND)) as u64);
/// Every so often it stands still for a while.
const ROUND: Duration = Duration::from_secs(120);
const STILL_FROM: Duration = Duration::from_secs(50);
const STILL_UNTIL: Duration = Duration::from_secs(80);
const COMMIT_EVERY: Duration = Duration::from_secs(1);

/// Works until it is aborted. Tasks from before `began` were answered in the history already.
pub(super) async fn run(member: Member, feed: Feed, mut rng: Rng, began: Timestamp) {
    let start = Instant::now();
    let mut committed = start;
    loop {
        if stands_still(start.elapsed()) {
            sleep(Duration::from_millis(200)).await;
            continue;
        }
        match member.next().await {
            Ok(message) if message.timestamp.is_some_and(|at| at >= began) => {
                if let Err(fault) = work(&feed, &mut rng, &message) {
                    tracing::debug!(%fault, "the demo's worker could not answer");
                }
                sleep(PER_TASK).await;
            }
            Ok(_) => {}
            Err(fault) => {
                tracing::debug!(%fault, "the demo's worker waits");
                sleep(COMMIT_EVERY).await;
            }
        }
        if committed.elapsed() >= COMMIT_EVERY {
            committed = Instant::now();
            member.commit();
        }
    }
}

fn stands_still(running: Duration) -> bool {
    let at = Duration::from_millis((running.as_millis() % ROUND.as_millis()) as u64);
    (STILL_FROM..STILL_UNTIL).contains(&at)
}

fn work(feed: &Feed, rng: &mut Rng, message: &Message) -> Result<(), Fault> {
    let at = now();
    let asked =
        Outgoing { key: message.key.clone(), headers: message.headers.clone(), payload: message.payload.clone(), ..Outgoing::default() };
    let tenant = TASKS.iter().position(|topic| **topic == *message.channel).unwrap_or(0);
    // Whatever somebody publishes onto a task topic by hand is a task that cannot be read.
    let Some(task) = Task::read(message.key.as_deref(), &message.headers, tenant) else {
        return feed.send(DEAD_TASKS, None, &tasks::dead(&asked, &origin(message), UNREADABLE, at));
    };
    let (topic, event) = task.event(rng, at, "started");
    feed.send(topic, None, &event)?;
    let failure = tasks::failure(rng);
    let (topic, event) = task.event(rng, at, if failure.is_some() { "failed" } else { "completed" });
    feed.send(topic, None, &event)?;
    feed.send(RESULTS[tenant], None, &task.result(rng, at, failure))?;
    match failure {
        Some(which) => feed.send(DEAD_TASKS, None, &tasks::dead(&asked, &origin(message), which, at)),
        None => Ok(()),
    }
}

/// The failure of a message that does not decode.
const UNREADABLE: usize = 2;

fn origin(message: &Message) -> Origin<'_> {
    let (partition, offset) = (message.position.partition().unwrap_or(0), message.position.number().unwrap_or(0));
    Origin { topic: &message.channel, partition, offset, timestamp: message.timestamp.unwrap_or_default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stands_still_for_a_part_of_every_round() {
        for (seconds, still) in [(0, false), (49, false), (50, true), (79, true), (80, false), (170, true)] {
            assert_eq!(stands_still(Duration::from_secs(seconds)), still, "{seconds}");
        }
    }
}
