//! The hours before the demo began.

use super::tasks::{self, Origin, Task};
use super::topics::{ATTACHMENTS, DEAD_TASKS, RESULTS, TASK_PARTITIONS, TASKS};
use super::{edge_cases, incidents};
use crate::adapters::kafka::embedded::Feed;
use crate::domain::fault::Fault;
use crate::domain::time::Timestamp;
use fastrand::Rng;

/// How far back it goes.
const SPAN_MS: i64 = 6 * 3_600_000;
const TASKS_DONE: i64 = 600;

/// Writes some 4,000 messages over the past hours, in the order of their times.
pub(super) fn write(feed: &Feed, rng: &mut Rng, now: Timestamp) -> Result<(), Fault> {
    let mut written = [[0i64; TASK_PARTITIONS]; TASKS.len()];
    for step in 0..TASKS_DONE {
        let at = Timestamp(now.0 - SPAN_MS + step * (SPAN_MS - 60_000) / TASKS_DONE);
        let task = Task::new(rng);
        let partition = rng.usize(..TASK_PARTITIONS);
        let offset = &mut written[task.tenant][partition];
        let origin = Origin { topic: TASKS[task.tenant], partition: partition as i32, offset: *offset, timestamp: at };
        *offset += 1;
        one_task(feed, rng, &task, &origin)?;
        let around = [
            (1, incidents::any as fn(&mut Rng, Timestamp) -> _),
            (2, edge_cases::telemetry),
            (4, edge_cases::node),
            (4, edge_cases::usage),
            (30, edge_cases::edge),
            (40, edge_cases::hostile),
        ];
        for (every, make) in around {
            if step % every == 0 {
                let (topic, message) = make(rng, at);
                feed.send(topic, None, &message)?;
            }
        }
        if step == TASKS_DONE / 2 {
            feed.send(ATTACHMENTS, None, &edge_cases::large(at))?;
        }
    }
    Ok(())
}

fn one_task(feed: &Feed, rng: &mut Rng, task: &Task, origin: &Origin<'_>) -> Result<(), Fault> {
    let at = origin.timestamp;
    let asked = task.payload(rng, at);
    feed.send(origin.topic, Some(origin.partition), &asked)?;
    let (topic, event) = task.event(rng, at, "submitted");
    feed.send(topic, None, &event)?;
    let began = Timestamp(at.0 + rng.i64(50..2_000));
    let (topic, event) = task.event(rng, began, "started");
    feed.send(topic, None, &event)?;
    let ended = Timestamp(began.0 + rng.i64(40..9_000));
    let failure = tasks::failure(rng);
    let (topic, event) = task.event(rng, ended, if failure.is_some() { "failed" } else { "completed" });
    feed.send(topic, None, &event)?;
    feed.send(RESULTS[task.tenant], None, &task.result(rng, ended, failure))?;
    match failure {
        Some(which) => feed.send(DEAD_TASKS, None, &tasks::dead(&asked, origin, which, ended)),
        None => Ok(()),
    }
}
