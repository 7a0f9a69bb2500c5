//! The demo's other consumers: one group that keeps up, one that falls behind and recovers, one that stands still, one that is gone.

use super::topics::{CRITICAL, EVENTS, INCIDENTS, RESULTS};
use crate::adapters::kafka::embedded::{Embedded, Member};
use crate::domain::fault::Fault;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

/// One consuming application.
struct Application {
    group: &'static str,
    topics: &'static [&'static str],
    manner: Manner,
}

/// How it consumes.
#[derive(Clone, Copy)]
enum Manner {
    /// As fast as messages come.
    KeepsUp,
    /// Slower than they come for a while, then faster.
    Waves,
    /// Reads so many messages, and then never again; it stays a member.
    Stands(u32),
    /// Reads so many messages and leaves.
    Leaves(u32),
}

const APPLICATIONS: [Application; 4] = [
    Application { group: "billing", topics: &RESULTS, manner: Manner::KeepsUp },
    Application { group: "analytics", topics: &[EVENTS], manner: Manner::Waves },
    Application { group: "pager", topics: &[INCIDENTS, CRITICAL], manner: Manner::Stands(150) },
    Application { group: "audit-archive", topics: &[INCIDENTS], manner: Manner::Leaves(120) },
];

const TICK: Duration = Duration::from_millis(100);
/// Enough for whatever comes.
const FAST: u32 = 500;
/// Of a wave: some 140 events a second come.
const SLOW: u32 = 60;
const ROUND: Duration = Duration::from_secs(180);
const SLOW_FOR: Duration = Duration::from_secs(90);
/// How long a message is waited for within a tick.
const WAIT: Duration = Duration::from_millis(20);
/// How long the last commit takes to be heard, at most.
const LAST_COMMIT: Duration = Duration::from_secs(2);

/// The names of all groups, for a system that cannot list them.
pub(super) fn groups() -> impl Iterator<Item = &'static str> {
    APPLICATIONS.iter().map(|application| application.group)
}

/// Lets all of them join. Blocks for some milliseconds.
pub(super) fn join(kafka: &Embedded) -> Result<Vec<Member>, Fault> {
    APPLICATIONS.iter().map(|application| kafka.member(application.group, application.topics)).collect()
}

/// Sets them to work; they end when the set is dropped.
pub(super) fn start(members: Vec<Member>, tasks: &mut JoinSet<()>) {
    for (application, member) in APPLICATIONS.iter().zip(members) {
        tasks.spawn(run(member, application.manner));
    }
}

async fn run(member: Member, manner: Manner) {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let (start, mut read) = (Instant::now(), 0_u32);
    loop {
        ticks.tick().await;
        let due = per_second(manner, start.elapsed()) / 10;
        let left = match manner {
            Manner::Stands(most) | Manner::Leaves(most) => most.saturating_sub(read),
            Manner::KeepsUp | Manner::Waves => u32::MAX,
        };
        let took = take(&member, due.min(left)).await;
        read = read.saturating_add(took);
        if took > 0 {
            member.commit();
        }
        match manner {
            Manner::Stands(most) if read >= most => return std::future::pending().await,
            Manner::Leaves(most) if read >= most => return sleep(LAST_COMMIT).await,
            _ => {}
        }
    }
}

/// Reads up to so many messages, as far as they are there.
async fn take(member: &Member, most: u32) -> u32 {
    for taken in 0..most {
        match timeout(WAIT, member.next()).await {
            Ok(Ok(_)) => {}
            Ok(Err(fault)) => {
                tracing::debug!(%fault, "an application of the demo waits");
                return taken;
            }
            Err(_) => return taken,
        }
    }
    most
}

fn per_second(manner: Manner, running: Duration) -> u32 {
    let at = Duration::from_millis((running.as_millis() % ROUND.as_millis()) as u64);
    match manner {
        Manner::Waves if at < SLOW_FOR => SLOW,
        _ => FAST,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_falls_behind_for_half_of_every_round() {
        for (seconds, rate) in [(0, SLOW), (89, SLOW), (90, FAST), (179, FAST), (180, SLOW)] {
            assert_eq!(per_second(Manner::Waves, Duration::from_secs(seconds)), rate, "{seconds}");
            assert_eq!(per_second(Manner::KeepsUp, Duration::from_secs(seconds)), FAST);
        }
    }
}
