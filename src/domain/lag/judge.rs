//! One partition judged.

use super::track::{Speed, Track, is_beyond};
use super::{Eta, Rules, Verdict};
use crate::domain::figure::{self, Amount};
use crate::domain::group::{GroupOffset, Halt, State};
use crate::domain::text::SafeText;
use crate::domain::time::Timestamp;
use std::time::Duration;

/// What is known of the group beside the partition's own past.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'g> {
    pub state: State,
    pub halt: Option<&'g Halt>,
    /// The system tells for some partition of this group which member reads it.
    pub owners_known: bool,
    /// Some position of this group moved lately: it is alive, whatever its state says (consumers that assign partitions to
    /// themselves look like an empty group).
    pub moving: bool,
}

/// One partition with its verdict.
#[derive(Clone, Debug, PartialEq)]
pub struct PartitionLag {
    pub group_offset: GroupOffset,
    pub verdict: Verdict,
    pub reason: SafeText,
    pub eta: Eta,
    /// Messages a second committed, and produced; `None` while it was not watched for long enough.
    pub rate_out: Option<f64>,
    pub rate_in: Option<f64>,
    /// When the message that is next was made, if that was asked; `None` beside a lag of 0 means that there is none.
    pub stamp: Option<Timestamp>,
    /// How long until the next unread message is deleted, where that can be told.
    pub loss_in: Option<Duration>,
    pub(super) figures: Figures,
}

/// The numbers that reasons are made of; those of several partitions add up.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Figures {
    pub(super) out: Option<f64>,
    pub(super) into: Option<f64>,
    /// How long it was seen that something waits and the position does not move.
    pub(super) still: Duration,
    pub(super) idle: Idle,
    pub(super) lost: u64,
    pub(super) loss_in: Option<Duration>,
    pub(super) back: u64,
    pub(super) back_since: Duration,
    /// There are members, only not here.
    pub(super) unowned: bool,
    pub(super) cause: String,
    /// So many messages are not acknowledged, and no more may be.
    pub(super) limit: Option<u64>,
    pub(super) at_end: bool,
    /// It has read up to an open transaction; readers of committed messages get no further.
    pub(super) held: bool,
}

/// How long a position has not moved.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Idle {
    pub(super) time: Duration,
    /// When it last moved is known; else it may have stood still for longer.
    pub(super) whole: bool,
}

impl Idle {
    /// `10 s`, `≥ 4 m`.
    fn show(self) -> String {
        format!("{}{}", if self.whole { "" } else { "≥ " }, figure::age(self.time))
    }
}

/// Judges one partition by its past. The first rule that holds decides.
pub fn judge(track: &Track, group_offset: &GroupOffset, facts: Facts<'_>, now: Timestamp, rules: &Rules) -> PartitionLag {
    let speed = track.speed(rules);
    let mut figures = Figures { out: speed.map(|s| s.out), into: speed.map(|s| s.into), ..Figures::default() };
    if let Some((since, seen)) = track.still_since() {
        figures.still = now.since(since);
        // What was not watched the system may know.
        let quiet = group_offset.quiet.filter(|quiet| !seen && *quiet > figures.still);
        figures.idle = Idle { time: quiet.unwrap_or(figures.still), whole: seen || quiet.is_some() };
    }
    let mut group_offset = group_offset.clone();
    if is_beyond(&group_offset) {
        // Whatever a system makes of such a position: what is in the log now was never read.
        group_offset.lag = Amount::Unknown;
    }
    let verdict = decide(track, &group_offset, facts, now, rules, &mut figures);
    let reason = words(verdict, &figures).into();
    PartitionLag {
        eta: eta(verdict, &group_offset, speed),
        group_offset,
        verdict,
        reason,
        rate_out: figures.out,
        rate_in: figures.into,
        stamp: None,
        loss_in: figures.loss_in,
        figures,
    }
}

fn decide(track: &Track, group_offset: &GroupOffset, facts: Facts<'_>, now: Timestamp, rules: &Rules, figures: &mut Figures) -> Verdict {
    if let Some(fault) = &group_offset.fault {
        figures.cause = format!("{}: {}", fault.kind.word(), fault.cause);
        return Verdict::Unknown;
    }
    if let (Some(committed), Some(end), true) = (group_offset.committed, group_offset.end, is_beyond(group_offset)) {
        figures.cause = format!("its position {committed} is beyond the end {end}: was the channel deleted and created again?");
        return Verdict::Unknown;
    }
    let Some(lag) = group_offset.lag.number() else {
        if group_offset.committed.is_none() {
            return Verdict::NoCommits;
        }
        "the end is not known".clone_into(&mut figures.cause);
        return Verdict::Unknown;
    };
    figures.lost = match (group_offset.committed, group_offset.start) {
        (Some(committed), Some(start)) => u64::try_from(start - committed).unwrap_or(0),
        _ => 0,
    };
    if lag == 0 && figures.lost == 0 {
        figures.at_end = true;
        return Verdict::KeepsUp;
    }
    if let Some(Halt::Paused { until }) = facts.halt {
        figures.cause = until.as_ref().map_or_else(String::new, |until| format!(" until {until}"));
        return Verdict::Paused;
    }
    if let Some(Halt::Unacknowledged(count)) = facts.halt {
        figures.limit = Some(*count);
    }
    figures.unowned = facts.owners_known && group_offset.owner.is_none();
    // Whoever has messages to acknowledge is there.
    let nobody = matches!(facts.state, State::Empty | State::Dead) && figures.limit.is_none() || figures.unowned;
    let moving = is_moving(track, now, rules) || facts.moving && !figures.unowned;
    if nobody && !moving {
        return Verdict::Stopped;
    }
    if figures.lost > 0 {
        return Verdict::Losing;
    }
    figures.loss_in = loss_in(track, group_offset, figures.out);
    if figures.loss_in.is_some_and(|time| time <= rules.danger) {
        return Verdict::Losing;
    }
    if let Some(rewind) = track.rewind.filter(|rewind| now.since(rewind.at) < window(rules)) {
        figures.back = u64::try_from(rewind.from - rewind.to).unwrap_or(0);
        figures.back_since = now.since(rewind.at);
        return Verdict::Rewound;
    }
    figures.held = group_offset.held_at.is_some() && group_offset.committed >= group_offset.held_at;
    if figures.held && figures.still < rules.still {
        return Verdict::KeepsUp;
    }
    by_speed(track, lag, now, rules, figures)
}

fn by_speed(track: &Track, lag: u64, now: Timestamp, rules: &Rules, figures: &mut Figures) -> Verdict {
    if track.at_end.is_some_and(|at| now.since(at) <= rules.fresh) {
        return Verdict::KeepsUp;
    }
    let patience = rules.still.max(track.gap.unwrap_or_default().saturating_mul(3));
    if figures.still >= patience {
        return Verdict::Stalled;
    }
    let Some(speed) = track.speed(rules) else {
        let watched = track.since.map_or(Duration::ZERO, |since| now.since(since));
        figures.cause = format!("watched for {} only", figure::duration(watched));
        return Verdict::Unknown;
    };
    if speed.out > 0.0 && lag as f64 <= speed.into.max(speed.out) * rules.fresh.as_secs_f64() {
        return Verdict::KeepsUp;
    }
    if speed.out <= 0.0 && speed.into <= 0.0 {
        figures.cause = format!("nothing moved for {} yet", figure::duration(figures.still));
        return Verdict::Unknown;
    }
    if speed.growth < -speed.noise(track.gap) { Verdict::Draining } else { Verdict::FallingBehind }
}

/// Whether the position moved within the window.
pub(super) fn is_moving(track: &Track, now: Timestamp, rules: &Rules) -> bool {
    track.moved.is_some_and(|moved| now.since(moved) < window(rules).max(track.gap.unwrap_or_default().saturating_mul(3)))
}

fn window(rules: &Rules) -> Duration {
    rules.spacing.saturating_mul(u32::try_from(rules.kept).unwrap_or(u32::MAX))
}

/// When the log's start reaches the position, if it is nearer with every message deleted.
fn loss_in(track: &Track, group_offset: &GroupOffset, out: Option<f64>) -> Option<Duration> {
    let margin = group_offset.committed?.checked_sub(group_offset.start?)?;
    let nearer = track.deleted_per_second()? - out.unwrap_or(0.0);
    (nearer > 0.0).then(|| Duration::from_secs_f64((margin as f64 / nearer).min(1e9)))
}

fn eta(verdict: Verdict, group_offset: &GroupOffset, speed: Option<Speed>) -> Eta {
    let Some(lag) = group_offset.lag.number() else { return Eta::Unknown };
    if lag == 0 {
        return Eta::In(Duration::ZERO);
    }
    let within = |seconds: f64| Eta::In(Duration::from_secs_f64(seconds.clamp(0.0, 1e9)));
    match (verdict, speed) {
        (Verdict::Stopped | Verdict::Stalled, _) => Eta::Never,
        // What waits now is done in this time; there will be something new by then.
        (Verdict::KeepsUp, Some(speed)) if speed.out > 0.0 => within(lag as f64 / speed.out),
        (Verdict::KeepsUp | Verdict::Unknown | Verdict::NoCommits | Verdict::Paused, _) | (_, None) => Eta::Unknown,
        (_, Some(speed)) if speed.growth < 0.0 => within(lag as f64 * speed.span.as_secs_f64() / -speed.growth),
        (_, Some(_)) => Eta::Never,
    }
}

/// Why, in a few words.
pub(super) fn words(verdict: Verdict, figures: &Figures) -> String {
    let rates = || match (figures.into, figures.out) {
        (Some(into), Some(out)) => format!("in {}/s, out {}/s", figure::rate(into), figure::rate(out)),
        _ => String::new(),
    };
    let into =
        || figures.into.filter(|rate| figure::rate(*rate) != "0").map_or(String::new(), |rate| format!(", in {}/s", figure::rate(rate)));
    match verdict {
        Verdict::NoCommits => "nothing was ever committed".to_owned(),
        Verdict::KeepsUp if figures.at_end => "at the end".to_owned(),
        Verdict::KeepsUp if figures.held => "at an open transaction".to_owned(),
        Verdict::KeepsUp if figures.out.is_none_or(|out| out <= 0.0) => "was at the end a moment ago".to_owned(),
        Verdict::KeepsUp | Verdict::Draining | Verdict::FallingBehind => rates(),
        Verdict::Unknown => match figures.limit {
            Some(limit) => format!("{}; {}", full(limit), figures.cause),
            None => figures.cause.clone(),
        },
        Verdict::Paused => format!("nothing is handed out{}{}", figures.cause, into()),
        Verdict::Rewound => {
            format!("went back by {}, {} ago", figure::count(figures.back), figure::age(figures.back_since)).replace("now ago", "just now")
        }
        Verdict::Stopped => {
            let lost = if figures.lost > 0 { format!(", {} deleted unread", figure::count(figures.lost)) } else { String::new() };
            let why = match (figures.cause.as_str(), figures.unowned) {
                ("", true) => "no member reads it",
                ("", false) => "no member",
                (cause, _) => cause,
            };
            format!("{why}{}{lost}", into())
        }
        Verdict::Stalled if figures.held => format!("waits for an open transaction for {}{}", figures.idle.show(), into()),
        Verdict::Stalled if figures.limit.is_some() => {
            format!("{}, nothing moved for {}{}", full(figures.limit.unwrap_or_default()), figures.idle.show(), into())
        }
        Verdict::Stalled => format!("no commit moved for {}{}", figures.idle.show(), into()),
        Verdict::Losing if figures.lost > 0 => format!("{} deleted unread", figure::several(figures.lost, "message")),
        Verdict::Losing => {
            let left = figures.loss_in.map_or_else(|| "soon".to_owned(), |time| format!("in {}", figure::duration(time)));
            format!("the next unread messages are deleted {left}")
        }
    }
}

fn full(limit: u64) -> String {
    format!("{} messages are not acknowledged, its limit", figure::count(limit))
}
