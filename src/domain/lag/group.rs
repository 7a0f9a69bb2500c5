//! A whole group judged: the worst of its partitions, with one line of reason.

use super::judge::{Facts, Figures, PartitionLag, is_moving, judge, words};
use super::track::Track;
use super::{Eta, Rules, Verdict};
use crate::domain::figure::Amount;
use crate::domain::group::{Group, GroupOffset, Mark};
use crate::domain::text::SafeText;
use crate::domain::time::Timestamp;
use std::sync::Arc;

/// A group with its verdict.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupLag {
    pub group: Group,
    /// All partitions together; a lower bound if some are not known.
    pub lag: Amount,
    pub verdict: Verdict,
    pub reason: SafeText,
    /// That of the partition that takes longest; unknown if it is of one of them, unless another one never catches up.
    pub eta: Eta,
    /// Messages a second of all partitions together; `None` if one of them is not known.
    pub rate_out: Option<f64>,
    pub rate_in: Option<f64>,
    pub partitions: usize,
    /// Partitions of which it is not known how they stand: they may be worse than the verdict.
    pub unjudged: usize,
    /// The channels that it has a position or a member in, each once, in order.
    pub channels: Vec<Arc<str>>,
    /// The next message of the partition that the verdict comes from: of several, the one with the greatest lag.
    pub worst: Option<Mark>,
    pub skew: Option<Skew>,
}

/// One partition that holds most of the lag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skew {
    pub channel: Arc<str>,
    pub partition: i32,
    /// Percent of the group's lag.
    pub share: u8,
}

/// A partition is said to hold most of the lag from this share on, if an even share would be half of it at most.
const SKEWED: u64 = 60;
/// Less lag than this is not worth a word about how it is spread.
const SKEW_FROM: u64 = 100;

/// Judges a group by its partitions and their past; `past` finds the track of a standing by its place in the list.
pub fn judge_group<'t>(
    group: &Group,
    group_offsets: &[GroupOffset],
    past: impl Fn(usize) -> &'t Track,
    now: Timestamp,
    rules: &Rules,
) -> (GroupLag, Vec<PartitionLag>) {
    let facts = Facts {
        state: group.state,
        halt: group.halt.as_ref(),
        owners_known: group_offsets.iter().any(|group_offset| group_offset.owner.is_some()),
        moving: (0..group_offsets.len()).any(|at| is_moving(past(at), now, rules)),
    };
    let partitions: Vec<PartitionLag> =
        group_offsets.iter().enumerate().map(|(at, group_offset)| judge(past(at), group_offset, facts, now, rules)).collect();
    (sum_up(group, &partitions), partitions)
}

fn sum_up(group: &Group, partitions: &[PartitionLag]) -> GroupLag {
    // Of a group that could not be described it is not known in which other partitions it has members.
    let more = group.fault.is_some().then_some(Amount::Unknown);
    let lag = Amount::total(partitions.iter().map(|p| p.group_offset.lag).chain(more));
    let unjudged = partitions.iter().filter(|p| matches!(p.verdict, Verdict::NoCommits | Verdict::Unknown)).count();
    let verdict = partitions.iter().map(|p| p.verdict).max();
    let worst = partitions.iter().filter(|p| Some(p.verdict) == verdict).max_by_key(|p| p.group_offset.lag.number());
    let mut channels: Vec<Arc<str>> = partitions.iter().map(|p| p.group_offset.channel.clone()).collect();
    channels.sort();
    channels.dedup();
    // An empty partition that was never read has no past to measure, and moves nothing.
    let measured = || partitions.iter().filter(|p| p.group_offset.committed.is_some() || p.group_offset.lag != Amount::Exactly(0));
    let rate = |each: fn(&PartitionLag) -> Option<f64>| measured().map(each).reduce(|a, b| a.zip(b).map(|(a, b)| a + b)).flatten();
    let (verdict, reason) = match (&group.fault, verdict) {
        (Some(fault), None | Some(Verdict::KeepsUp)) => (Verdict::Unknown, format!("{}: {}", fault.kind.word(), fault.cause)),
        (_, Some(verdict)) => (verdict, reason(verdict, partitions, unjudged)),
        (None, None) => (Verdict::NoCommits, words(Verdict::NoCommits, &Figures::default())),
    };
    GroupLag {
        group: group.clone(),
        lag,
        verdict,
        reason: reason.into(),
        eta: partitions.iter().map(|p| p.eta).chain(group.fault.is_some().then_some(Eta::Unknown)).reduce(Eta::worse).unwrap_or_default(),
        rate_out: rate(|p| p.rate_out),
        rate_in: rate(|p| p.rate_in),
        partitions: partitions.len(),
        unjudged,
        channels,
        worst: worst.and_then(PartitionLag::mark),
        skew: skew(partitions, lag),
    }
}

impl PartitionLag {
    /// The next message to be read here, where something waits.
    pub fn next(&self) -> Option<Mark> {
        self.group_offset.lag.number().filter(|lag| *lag > 0)?;
        self.mark()
    }

    /// The next message to be read here.
    fn mark(&self) -> Option<Mark> {
        Some(Mark { channel: self.group_offset.channel.clone(), position: self.group_offset.next? })
    }

    /// How long the next message has been waiting: nothing at the end, `None` if its time is not known.
    pub fn behind(&self, now: Timestamp) -> Option<std::time::Duration> {
        match self.group_offset.lag.number() {
            Some(0) => Some(std::time::Duration::ZERO),
            _ => self.stamp.map(|stamp| now.since(stamp)),
        }
    }
}

/// The reason of the worst verdict, with the figures of all partitions that share it.
fn reason(verdict: Verdict, partitions: &[PartitionLag], unjudged: usize) -> String {
    let sharing: Vec<&PartitionLag> = partitions.iter().filter(|p| p.verdict == verdict).collect();
    let mut all = Figures { at_end: true, unowned: true, held: true, ..Figures::default() };
    for figures in sharing.iter().map(|p| &p.figures) {
        let add = |sum: Option<f64>, one: Option<f64>| sum.map_or(one, |sum| Some(sum + one.unwrap_or(0.0)));
        all.out = add(all.out, figures.out);
        all.into = add(all.into, figures.into);
        if figures.idle.time >= all.idle.time {
            all.idle = figures.idle;
        }
        all.limit = all.limit.or(figures.limit);
        all.lost += figures.lost;
        all.loss_in = all.loss_in.into_iter().chain(figures.loss_in).min();
        all.back += figures.back;
        all.back_since = all.back_since.max(figures.back_since);
        all.unowned &= figures.unowned;
        all.at_end &= figures.at_end;
        all.held &= figures.held;
        if all.cause.is_empty() {
            all.cause.clone_from(&figures.cause);
        }
    }
    let text = words(verdict, &all);
    let of = partitions.len();
    let text = match (verdict, sharing.as_slice()) {
        (Verdict::KeepsUp, _) => text,
        (_, [one]) if of > 1 => match one.group_offset.partition {
            Some(partition) => format!("{text} (partition {partition} of {})", one.group_offset.channel),
            None => format!("{text} ({})", one.group_offset.channel),
        },
        (_, several) if several.len() < of => format!("{text} ({} of {of} partitions)", several.len()),
        _ => text,
    };
    match verdict {
        Verdict::NoCommits | Verdict::Unknown => text,
        _ if unjudged == 0 => text,
        _ => format!("{text}; {unjudged} of {of} partitions unknown"),
    }
}

fn skew(partitions: &[PartitionLag], total: Amount) -> Option<Skew> {
    let total = total.number().filter(|total| *total >= SKEW_FROM)?;
    let most = partitions.iter().max_by_key(|p| p.group_offset.lag.number())?;
    let share = u64::try_from(u128::from(most.group_offset.lag.number()?) * 100 / u128::from(total)).ok()?;
    let even = 100 / partitions.len().max(1) as u64;
    (share >= SKEWED && share >= even * 2).then_some(Skew {
        channel: most.group_offset.channel.clone(),
        partition: most.group_offset.partition?,
        share: share.min(100) as u8,
    })
}
