//! Verdicts as tables: what is seen of a position over time, and what it means. Burrow's published rules come last, one by one.

use super::*;
use crate::domain::fault::{Fault, Kind};
use crate::domain::figure::Amount;
use crate::domain::group::{Group, GroupOffset, Halt, State};
use crate::domain::position::Position;
use crate::domain::time::Timestamp;

const RULES: Rules = Rules {
    spacing: Duration::from_secs(5),
    kept: 13,
    shortest: Duration::from_secs(4),
    fresh: Duration::from_secs(15),
    still: Duration::from_secs(30),
    danger: Duration::from_secs(1_800),
};

fn group_offset(partition: i32, committed: i64, end: i64) -> GroupOffset {
    GroupOffset {
        channel: "orders".into(),
        partition: Some(partition),
        committed: Some(committed),
        start: Some(0),
        end: Some(end),
        next: Some(Position::Offset { partition, offset: committed }),
        lag: Amount::Exactly(u64::try_from(end - committed).unwrap_or(0)),
        owner: Some("member-1".into()),
        ..GroupOffset::default()
    }
}

fn group(state: State) -> Group {
    let members = Some(if state == State::Stable { 3 } else { 0 });
    Group { members, ..Group::new("payments", "classic", state) }
}

fn at(seconds: u64) -> Timestamp {
    Timestamp(1_770_000_000_000 + seconds as i64 * 1_000)
}

/// Looks at a position every `every` seconds until `until`, and judges it then.
fn watched(state: State, until: u64, every: u64, look: impl Fn(u64) -> GroupOffset) -> PartitionLag {
    let mut track = Track::default();
    let mut seconds = 0;
    while seconds <= until {
        track.push(at(seconds), &look(seconds), &RULES);
        seconds += every;
    }
    let last = seconds - every;
    let facts = Facts { state, halt: None, owners_known: false, moving: false };
    judge(&track, &look(last), facts, at(last), &RULES)
}

/// Made at `into` a second, committed at `out` a second, `behind` at the beginning, with commits every `pause` seconds.
fn steady(into: i64, out: i64, behind: i64, pause: u64) -> impl Fn(u64) -> GroupOffset {
    move |t| {
        let end = 1_000_000 + into * t as i64;
        let committed = 1_000_000 - behind + out * (t / pause * pause) as i64;
        group_offset(0, committed.min(end), end)
    }
}

#[test]
fn steady_groups_get_the_verdict_that_an_operator_would_give() {
    use Verdict::*;
    for (what, verdict, reason, eta, look) in [
        ("at the end, nothing comes", KeepsUp, "at the end", "0", Box::new(steady(0, 0, 0, 1)) as Box<dyn Fn(u64) -> GroupOffset>),
        ("a few seconds of production wait", KeepsUp, "in 100/s, out 100/s", "5 s", Box::new(steady(100, 100, 500, 1))),
        ("commits every 10 s, as fast as it comes", KeepsUp, "at the end", "0", Box::new(steady(100, 100, 0, 10))),
        (
            "one message a minute, read at once",
            KeepsUp,
            "at the end",
            "0",
            Box::new(|t| group_offset(0, 9 + t as i64 / 60, 9 + t as i64 / 60)),
        ),
        ("far behind, gaining", Draining, "in 100/s, out 300/s", "1 m 10 s", Box::new(steady(100, 300, 26_000, 1))),
        ("far behind, losing", FallingBehind, "in 300/s, out 100/s", "never", Box::new(steady(300, 100, 20_000, 1))),
        ("far behind, for ever", FallingBehind, "in 100/s, out 100/s", "never", Box::new(steady(100, 100, 20_000, 1))),
        ("does not move", Stalled, "no commit moved for ≥ 1 m, in 100/s", "never", Box::new(steady(100, 0, 20_000, 1))),
        ("does not move, nothing comes", Stalled, "no commit moved for ≥ 1 m", "never", Box::new(steady(0, 0, 7, 1))),
    ] {
        let judged = watched(State::Stable, 60, 5, look);
        assert_eq!((judged.verdict, judged.reason.as_str()), (verdict, reason), "{what}");
        assert_eq!(judged.eta.show(), eta, "{what}");
    }
}

#[test]
fn what_is_not_known_yet_is_said_to_be_so() {
    let judged = watched(State::Stable, 0, 5, steady(100, 0, 20_000, 1));
    assert_eq!((judged.verdict, judged.reason.as_str()), (Verdict::Unknown, "watched for < 1 s only"));
    assert_eq!((judged.eta, judged.rate_in), (Eta::Unknown, None));
    let judged = watched(State::Stable, 10, 5, steady(0, 0, 7, 1));
    assert_eq!((judged.verdict, judged.reason.as_str()), (Verdict::Unknown, "nothing moved for 10 s yet"));
    let judged = watched(State::Stable, 10, 5, steady(100, 0, 20_000, 1));
    assert_eq!(judged.verdict, Verdict::FallingBehind, "before a standstill is long enough to be one, it is already true that more comes");
    let never = |_| GroupOffset { committed: None, lag: Amount::Unknown, ..group_offset(0, 0, 500) };
    let judged = watched(State::Stable, 60, 5, never);
    assert_eq!((judged.verdict, judged.eta), (Verdict::NoCommits, Eta::Unknown), "no commit is neither 0 nor the end");
    let fault = Fault::new(Kind::Forbidden, "list offsets", "orders", "no DESCRIBE");
    let refused = |_| GroupOffset { fault: Some(fault.clone()), end: None, lag: Amount::Unknown, ..group_offset(0, 5, 5) };
    let judged = watched(State::Stable, 60, 5, refused);
    assert_eq!((judged.verdict, judged.reason.as_str()), (Verdict::Unknown, "not authorized: no DESCRIBE"));
}

#[test]
fn of_a_position_beyond_the_end_neither_lag_nor_time_nor_eta_is_known() {
    // Whatever lag the system makes of it.
    for lag in [Amount::Exactly(0), Amount::Unknown] {
        let judged = watched(State::Stable, 60, 5, |_| GroupOffset { lag, ..group_offset(0, 900, 10) });
        assert_eq!((judged.verdict, judged.group_offset.lag, judged.eta), (Verdict::Unknown, Amount::Unknown, Eta::Unknown));
        assert_eq!(judged.reason.as_str(), "its position 900 is beyond the end 10: was the channel deleted and created again?");
        assert_eq!((judged.behind(at(60)), judged.next()), (None, None));
    }
    // Watched on until the new channel is longer than the old one was, the lag is one of the new channel.
    let anew = |t: u64| if t < 30 { group_offset(0, 900, 900) } else { group_offset(0, 900, 40 * (t as i64 - 29)) };
    let judged = watched(State::Stable, 60, 5, anew);
    assert_eq!((judged.verdict, judged.reason.as_str()), (Verdict::FallingBehind, "in 40/s, out 0/s"));
}

#[test]
fn a_partition_without_a_commit_makes_its_group_unknown_and_no_claim_passes_by_it() {
    use super::claim::{Claim, Subject};
    let none = |partition| GroupOffset { committed: None, lag: Amount::Unknown, ..group_offset(partition, 0, 500) };
    let empty = GroupOffset { committed: None, lag: Amount::Exactly(0), ..group_offset(2, 0, 0) };
    let track = Track::default();
    let judged = |group_offsets: &[GroupOffset]| judge_group(&group(State::Stable), group_offsets, |_| &track, at(0), &RULES).0;
    let holds = |lag: &GroupLag, claim: &str| Claim::parse(claim).expect("a claim").holds(&Subject { lag, behind: None });

    let one = judged(&[group_offset(0, 9, 9), none(1), empty.clone()]);
    assert_eq!((one.verdict, one.lag, one.eta), (Verdict::NoCommits, Amount::AtLeast(0), Eta::Unknown));
    assert_eq!(one.reason.as_str(), "nothing was ever committed (partition 1 of orders)");
    for claim in [
        "lag < 1",
        "lag == 0",
        "eta < 1h",
        "seconds < 1",
        "rate_in < 1",
        "rate_out < 1",
        "verdict == keeps_up",
        "verdict in (keeps_up, draining)",
    ] {
        assert_ne!(holds(&one, claim), Some(true), "{claim}");
    }
    assert_eq!(holds(&one, "verdict == no_commits"), Some(true));

    let read = judged(&[group_offset(0, 9, 9), empty]);
    assert_eq!((read.verdict, read.lag), (Verdict::KeepsUp, Amount::Exactly(0)), "nothing waits in an empty partition");
    let all = judged(&[none(0), none(1)]);
    assert_eq!((all.verdict, all.lag, all.reason.as_str()), (Verdict::NoCommits, Amount::Unknown, "nothing was ever committed"));
}

#[test]
fn a_group_that_could_not_be_described_is_not_known_to_keep_up() {
    let fault = Fault::new(Kind::Timeout, "describe group", "payments", "no answer");
    let group = Group { fault: Some(fault), ..group(State::Unknown) };
    let track = Track::default();
    let lag = judge_group(&group, &[group_offset(0, 9, 9)], |_| &track, at(0), &RULES).0;
    assert_eq!((lag.verdict, lag.lag, lag.eta), (Verdict::Unknown, Amount::AtLeast(0), Eta::Unknown));
    assert_eq!(lag.reason.as_str(), "timed out: no answer");
}

#[test]
fn a_claim_on_the_verdict_heeds_that_a_partition_which_is_not_judged_may_be_worse() {
    use super::claim::{Claim, Subject};
    let mut stopped = [group_offset(0, 5, 9), group_offset(1, 0, 500)];
    (stopped[0].owner, stopped[1].committed, stopped[1].lag) = (None, None, Amount::Unknown);
    let track = Track::default();
    let lag = judge_group(&group(State::Stable), &stopped, |_| &track, at(0), &RULES).0;
    assert_eq!((lag.verdict, lag.unjudged), (Verdict::Stopped, 1));
    assert_eq!(lag.reason.as_str(), "no member reads it (partition 0 of orders); 1 of 2 partitions unknown");
    for (claim, truth) in [
        ("verdict in (keeps_up, draining, stopped)", None),
        ("verdict == stopped", None),
        ("verdict != stopped", None),
        ("verdict != keeps_up", Some(true)),
        ("verdict in (keeps_up, draining)", Some(false)),
        ("verdict in (stopped, falling_behind, stalled, losing)", Some(true)),
    ] {
        assert_eq!(Claim::parse(claim).expect("a claim").holds(&Subject { lag: &lag, behind: None }), truth, "{claim}");
    }
}

#[test]
fn a_group_without_members_is_stopped_unless_its_position_moves() {
    let judged = watched(State::Empty, 60, 5, steady(12, 0, 12_004, 1));
    assert_eq!((judged.verdict, judged.reason.as_str(), judged.eta), (Verdict::Stopped, "no member, in 12/s", Eta::Never));
    let judged = watched(State::Empty, 60, 5, steady(0, 0, 0, 1));
    assert_eq!(judged.verdict, Verdict::KeepsUp, "nothing waits for it");
    let judged = watched(State::Empty, 60, 5, steady(100, 300, 26_000, 1));
    assert_eq!(judged.verdict, Verdict::Draining, "consumers that assign partitions to themselves look like an empty group");
    let judged = watched(State::Empty, 0, 5, steady(100, 0, 7, 1));
    assert_eq!(judged.verdict, Verdict::Stopped, "this needs no time");
}

#[test]
fn a_partition_that_no_member_reads_is_stopped_though_others_are_read() {
    let read = [Track::default(), Track::default()];
    let mut group_offsets = vec![group_offset(0, 90, 100), group_offset(1, 100, 100)];
    group_offsets[0].owner = None;
    let (summary, partitions) = judge_group(&group(State::Stable), &group_offsets, |i| &read[i], at(0), &RULES);
    assert_eq!(partitions[0].reason.as_str(), "no member reads it");
    assert_eq!((summary.verdict, summary.reason.as_str()), (Verdict::Stopped, "no member reads it (partition 0 of orders)"));
    group_offsets[1].owner = None;
    let (summary, _) = judge_group(&group(State::Stable), &group_offsets, |i| &read[i], at(0), &RULES);
    assert_eq!(summary.verdict, Verdict::Unknown, "a system that names no owner at all does not say that there is none");
}

#[test]
fn data_that_is_lost_or_soon_will_be_is_the_worst() {
    let lost = |t| GroupOffset { start: Some(1_000), lag: Amount::Exactly(500), ..steady(100, 0, 1_000_000, 1)(t) };
    let judged = watched(State::Stable, 60, 5, |t| GroupOffset { committed: Some(400), end: Some(1_500), ..lost(t) });
    assert_eq!((judged.verdict, judged.reason.as_str()), (Verdict::Losing, "600 messages deleted unread"));
    let chased = |t: u64| GroupOffset { start: Some(900_000 + 200 * t as i64), ..steady(100, 50, 60_000, 1)(t) };
    let judged = watched(State::Stable, 60, 5, chased);
    assert_eq!(judged.reason.as_str(), "the next unread messages are deleted in 3 m 26 s", "31 k ahead of the start, 150/s nearer");
    let far = |t: u64| GroupOffset { start: Some(1_000_000 - 60_000_000 + 200 * t as i64), ..steady(100, 50, 60_000, 1)(t) };
    assert_eq!(watched(State::Stable, 60, 5, far).verdict, Verdict::FallingBehind, "days away");
    let stopped = watched(State::Empty, 60, 5, |t| GroupOffset { committed: Some(400), end: Some(1_500), ..lost(t) });
    assert_eq!(stopped.reason.as_str(), "no member, 600 deleted unread", "old groups that nobody uses are not the first thing to look at");
}

#[test]
fn a_standstill_is_measured_by_how_often_the_group_commits() {
    // Commits once a minute: three quiet minutes mean something, one does not.
    let batch = |until| watched(State::Stable, until, 5, steady(100, 100, 10_000, 60));
    assert_ne!(batch(179).verdict, Verdict::Stalled);
    let then_stops = |until| watched(State::Stable, until, 5, |t| group_offset(0, 1_000 * (t.min(120) / 60 * 60) as i64, 1_000_000));
    assert_ne!(then_stops(295).verdict, Verdict::Stalled);
    assert_eq!(then_stops(305).verdict, Verdict::Stalled);
}

#[test]
fn a_group_that_waits_for_an_open_transaction_is_told_apart_from_one_that_stands_still() {
    let held = |t: u64| GroupOffset { held_at: Some(1_000_000), ..steady(100, 0, 0, 1)(t) };
    let judged = watched(State::Stable, 60, 5, held);
    assert_eq!((judged.verdict, judged.reason.as_str()), (Verdict::Stalled, "waits for an open transaction for 1 m, in 100/s"));
    assert_eq!(watched(State::Stable, 20, 5, held).verdict, Verdict::KeepsUp, "a transaction takes a while");
}

#[test]
fn a_rewind_is_told_until_it_is_made_up_for_or_old() {
    let reset = |t: u64| if t < 30 { group_offset(0, 9_000, 9_000) } else { group_offset(0, 4_000 + 100 * (t as i64 - 30), 9_000) };
    let judged = watched(State::Stable, 45, 5, reset);
    assert_eq!((judged.verdict, judged.reason.as_str()), (Verdict::Rewound, "went back by 5,000, 10 s ago"));
    assert_eq!(judged.eta.show(), "35 s", "5,500 read, 3,500 to go at 100 a second");
    assert_eq!(watched(State::Stable, 80, 5, reset).verdict, Verdict::KeepsUp, "it is back where it was");
    let slow = |t: u64| if t < 30 { group_offset(0, 9_000, 9_000) } else { group_offset(0, t as i64, 9_000) };
    assert_eq!(watched(State::Stable, 90, 5, slow).verdict, Verdict::Rewound);
    assert_eq!(watched(State::Stable, 100, 5, slow).verdict, Verdict::Draining, "old news; how it does now counts");
}

#[test]
fn the_verdict_turns_with_the_trend() {
    use Verdict::*;
    // Falls behind for a minute, then catches up twice as fast; and the other way round. Commits every five seconds.
    let turns = |first: i64, then: i64| {
        move |t: u64| {
            let t = t as i64;
            let out = first * t.min(60) + then * (t - 60).max(0);
            group_offset(0, 1_000_000 + out, 1_030_000 + 200 * t)
        }
    };
    for (what, look, before, after, eta) in
        [("recovers", turns(100, 400), FallingBehind, Draining, true), ("breaks down", turns(400, 50), Draining, FallingBehind, false)]
    {
        assert_eq!(watched(State::Stable, 60, 5, look).verdict, before, "{what}");
        for until in [70, 75, 80, 90, 120] {
            let judged = watched(State::Stable, until, 5, look);
            assert_eq!(judged.verdict, after, "{what}, {} s later: {}", until - 60, judged.reason);
            assert_eq!(matches!(judged.eta, Eta::In(_)), eta, "{what}, {} s later", until - 60);
        }
    }
    // A breath that a consumer takes is no turn; and one that does not commit when it is due falls behind.
    let breath = |t: u64| group_offset(0, 1_000_000 + 300 * (t as i64 - i64::from(t >= 40) * 5), 1_026_000 + 100 * t as i64);
    assert_eq!(watched(State::Stable, 60, 5, breath).verdict, Draining);
    let overdue = |t: u64| group_offset(0, 1_000_000 + 300 * t.min(60) as i64, 1_090_000 + 200 * t as i64);
    let judged = watched(State::Stable, 75, 5, overdue);
    assert_eq!((judged.verdict, judged.eta), (FallingBehind, Eta::Never), "{}", judged.reason);
}

#[test]
fn how_long_nothing_moved_is_a_lower_bound_unless_the_last_move_is_known() {
    let still = |t: u64| GroupOffset { quiet: None, ..steady(0, 0, 7, 1)(t) };
    assert_eq!(watched(State::Stable, 60, 5, still).reason.as_str(), "no commit moved for ≥ 1 m");
    let known = |t: u64| GroupOffset { quiet: Some(Duration::from_secs(1_200 + t)), ..steady(0, 0, 7, 1)(t) };
    assert_eq!(watched(State::Stable, 60, 5, known).reason.as_str(), "no commit moved for 21 m", "the system knows");
    let seen = |t: u64| group_offset(0, if t < 30 { 1 } else { 2 }, 9);
    assert_eq!(watched(State::Stable, 150, 5, seen).reason.as_str(), "no commit moved for 2 m");
    // At the end for long, then one message: it waits for so long as it waits, not since the last commit.
    let slow = |t: u64| group_offset(0, 7, if t < 600 { 7 } else { 8 });
    assert_ne!(watched(State::Stable, 620, 5, slow).verdict, Verdict::Stalled);
    assert_eq!(watched(State::Stable, 640, 5, slow).reason.as_str(), "no commit moved for 30 s");
}

#[test]
fn a_group_that_is_handed_nothing_says_why() {
    let judged = |halt: Halt, state, until| {
        let (mut track, group) = (Track::default(), Group { halt: Some(halt), ..group(state) });
        let look = steady(100, 0, 7, 1);
        (0..=until).step_by(5).for_each(|t| track.push(at(t), &look(t), &RULES));
        judge_group(&group, &[look(until)], |_| &track, at(until), &RULES).0
    };
    let paused = |until: Option<&str>| Halt::Paused { until: until.map(Into::into) };
    let lag = judged(paused(Some("2026-12-01T00:00:00Z")), State::Empty, 60);
    assert_eq!((lag.verdict, lag.eta), (Verdict::Paused, Eta::Unknown));
    assert_eq!(lag.reason.as_str(), "nothing is handed out until 2026-12-01T00:00:00Z, in 100/s");
    assert_eq!(judged(paused(None), State::Stable, 0).reason.as_str(), "nothing is handed out");
    let lag = judged(Halt::Unacknowledged(1_000), State::Empty, 0);
    assert_eq!(
        (lag.verdict, lag.reason.as_str()),
        (Verdict::Unknown, "1,000 messages are not acknowledged, its limit; watched for < 1 s only")
    );
    let lag = judged(Halt::Unacknowledged(1_000), State::Stable, 60);
    assert_eq!((lag.verdict, lag.eta), (Verdict::Stalled, Eta::Never));
    assert_eq!(lag.reason.as_str(), "1,000 messages are not acknowledged, its limit, nothing moved for ≥ 1 m, in 100/s");
}

#[test]
fn a_group_that_acknowledges_in_any_order_moves_though_its_position_does_not() {
    let poison = |t: u64| {
        let (left, end) = (9_000 - 100 * t as i64, 10_000);
        GroupOffset { lag: Amount::Exactly(left as u64), done: Some(end - left), ..group_offset(0, 25, end) }
    };
    let judged = watched(State::Stable, 60, 5, poison);
    assert_eq!((judged.verdict, judged.reason.as_str(), judged.eta.show()), (Verdict::Draining, "in 0/s, out 100/s", "30 s".to_owned()));
    // The end is looked up after the count: a little less done than before is no step back.
    let jitter = |t: u64| GroupOffset { done: Some(1_000 - (t / 5 % 2) as i64), ..group_offset(0, 25, 1_100) };
    assert_ne!(watched(State::Stable, 60, 5, jitter).verdict, Verdict::Rewound);
}

#[test]
fn memory_is_bounded_and_quiet_partitions_take_next_to_none() {
    let (mut busy, mut quiet) = (Track::default(), Track::default());
    for t in 0..10_000 {
        busy.push(at(t), &steady(100, 99, 0, 1)(t), &RULES);
        quiet.push(at(t), &group_offset(0, 7, 7), &RULES);
    }
    assert_eq!((busy.len(), quiet.len()), (RULES.kept, 2));
    assert!(size_of::<Track>() <= 256, "{}", size_of::<Track>());
    let mut track = Track::default();
    track.push(at(9), &group_offset(0, 7, 7), &RULES);
    track.push(at(3), &group_offset(0, 1, 7), &RULES);
    assert_eq!(track.len(), 1, "a look that comes late is no step back");
}

#[test]
fn a_group_is_as_bad_as_its_worst_partition_and_takes_as_long_as_its_slowest() {
    let looks: [fn(u64) -> GroupOffset; 3] = [
        |t| GroupOffset { partition: Some(0), ..steady(100, 300, 26_000, 1)(t) },
        |t| GroupOffset { partition: Some(1), ..steady(100, 100, 300, 1)(t) },
        |_| GroupOffset { partition: Some(2), committed: None, lag: Amount::Unknown, ..group_offset(2, 0, 0) },
    ];
    let mut tracks = [Track::default(), Track::default(), Track::default()];
    for t in (0..=60).step_by(5) {
        for (track, look) in tracks.iter_mut().zip(looks) {
            track.push(at(t), &look(t), &RULES);
        }
    }
    let group_offsets: Vec<GroupOffset> = looks.iter().map(|look| look(60)).collect();
    let (summary, _) = judge_group(&group(State::Stable), &group_offsets, |i| &tracks[i], at(60), &RULES);
    assert_eq!((summary.verdict, summary.eta), (Verdict::Draining, Eta::Unknown), "how long the third takes is not known");
    assert_eq!(summary.reason.as_str(), "in 100/s, out 300/s (partition 0 of orders); 1 of 3 partitions unknown");
    assert_eq!((summary.lag, summary.rate_out), (Amount::AtLeast(14_300), None));
    let (known, _) = judge_group(&group(State::Stable), &group_offsets[..2], |i| &tracks[i], at(60), &RULES);
    assert_eq!((known.eta.show(), known.lag), ("1 m 10 s".to_owned(), Amount::Exactly(14_300)));
    assert_eq!((known.rate_in, known.rate_out), (Some(200.0), Some(400.0)));
    let skew = summary.skew.expect("one partition has nearly all");
    assert_eq!((skew.partition, skew.share), (0, 97));
    assert_eq!(summary.worst.and_then(|mark| mark.in_partition()), Some((0, 992_000)));
    assert_eq!(summary.channels, [std::sync::Arc::<str>::from("orders")]);
}

#[test]
fn sums_say_how_well_they_are_known() {
    let track = Track::default();
    for (lags, sum) in [
        (vec![Amount::Exactly(1), Amount::Exactly(2)], Amount::Exactly(3)),
        (vec![Amount::Exactly(1), Amount::AtMost(2)], Amount::AtMost(3)),
        (vec![Amount::Exactly(1), Amount::Unknown], Amount::AtLeast(1)),
        (vec![Amount::Unknown], Amount::Unknown),
        (vec![], Amount::Unknown),
    ] {
        let group_offsets: Vec<GroupOffset> = lags.iter().map(|lag| GroupOffset { lag: *lag, ..group_offset(0, 1, 1) }).collect();
        assert_eq!(judge_group(&group(State::Stable), &group_offsets, |_| &track, at(0), &RULES).0.lag, sum, "{lags:?}");
    }
}

#[test]
fn never_is_the_worst_time_and_unknown_may_be() {
    let (soon, late) = (Eta::In(Duration::from_secs(1)), Eta::In(Duration::from_secs(9)));
    for (a, b, worse) in
        [(soon, late, late), (late, Eta::Unknown, Eta::Unknown), (Eta::Unknown, Eta::Never, Eta::Never), (Eta::Never, soon, Eta::Never)]
    {
        assert_eq!((a.worse(b), b.worse(a)), (worse, worse));
    }
}

/// A commit as Burrow sees it: its offset, when it was made, and the end of the log then.
type Commit = (i64, u64, i64);

/// What polling sees of these commits when it looks each second, `after` the last one.
fn polled(commits: &[Commit], end_now: i64, after: u64) -> PartitionLag {
    let first = commits.first().map_or(0, |c| c.1);
    let last = commits.last().map_or(0, |c| c.1);
    let mut track = Track::default();
    let look = |t: u64| {
        let (committed, _, mut end) = commits.iter().rev().find(|(_, when, _)| *when <= t).copied().unwrap_or(commits[0]);
        if t >= last {
            end = end_now;
        }
        group_offset(0, committed, end.max(committed))
    };
    for t in first..=last + after {
        track.push(at(t), &look(t), &RULES);
    }
    let facts = Facts { state: State::Stable, halt: None, owners_known: false, moving: false };
    judge(&track, &look(last + after), facts, at(last + after), &RULES)
}

/// Ten commits, five seconds apart, `out` messages each while `into` come, `behind` at the first.
fn ten(out: i64, into: i64, behind: i64) -> Vec<Commit> {
    (0..10).map(|i| (1_000 + out * i, 5 * i as u64, 1_000 + behind + into * i)).collect()
}

#[test]
fn burrows_rules_and_where_polling_must_differ() {
    use Verdict::*;
    let end = |commits: &[Commit]| commits.last().map_or(0, |c| c.2);
    for (rule, commits, end_now, after, verdict) in [
        // 2. The newest end is where the group is: OK.
        ("2: nothing waits", ten(100, 100, 0), 1_900, 0, KeepsUp),
        // 3. STOP: no commit for longer than the window, though messages wait. A position has no time, so a group that stopped
        //    committing and one that commits the same offset again look the same: Stalled. Only the state of the group tells Stopped.
        ("3: stopped committing", ten(100, 100, 50), 5_000, 60, Stalled),
        //    Burrow's window with a single commit fires at once (t_last - t_first = 0); a single look says nothing here.
        ("3: one commit only", vec![(1_000, 0, 9_000)], 9_000, 0, Unknown),
        // 4. REWIND: an offset before the one before it, not made up for later.
        ("4: went back", vec![(1_000, 0, 9_000), (2_000, 5, 9_000), (500, 10, 9_000), (600, 15, 9_000)], 9_000, 5, Rewound),
        ("4: went back and made up for it", vec![(8_900, 0, 9_000), (8_000, 5, 9_000), (9_000, 10, 9_000)], 9_001, 5, KeepsUp),
        // 5. Any lag of 0 within the window: OK. Here: within the last 15 seconds, because a window is a minute.
        ("5: was at the end a moment ago", vec![(1_000, 0, 1_500), (1_500, 5, 1_500), (1_600, 10, 2_000)], 2_000, 2, KeepsUp),
        // 6. STALL: commits, and does not move.
        ("6: the same offset again and again", ten(0, 100, 50), 2_000, 0, Stalled),
        // 7. WARN: the lag never becomes less.
        ("7: the lag grows with every commit", ten(100, 1_000, 20_000), 30_000, 0, FallingBehind),
        ("7: the lag stays the same", ten(100, 100, 20_000), end(&ten(100, 100, 20_000)), 0, FallingBehind),
        //    One decrease among ten hides a growing lag from Burrow; rates over the window do not let it.
        (
            "7: grows, but for one step",
            {
                let mut commits = ten(100, 1_000, 20_000);
                commits[5].2 -= 2_000;
                commits
            },
            30_000,
            0,
            FallingBehind,
        ),
        // 7, else: OK. Burrow is content with any group whose lag became less once; an operator wants to know that it is far behind.
        ("7: the lag becomes less", ten(1_000, 100, 20_000), end(&ten(1_000, 100, 20_000)), 0, Draining),
        // Burrow's false alarms on slow topics (its issues 38, 94, 123, 128, 185): one message that just came is no standstill.
        ("slow topic: one message just came", vec![(7, 0, 7), (7, 60, 7)], 8, 5, KeepsUp),
    ] {
        let judged = polled(&commits, end_now, after);
        assert_eq!(judged.verdict, verdict, "{rule}: {}", judged.reason);
    }
    // 1. No commits: Burrow says OK; nothing is known of the group, so here it says that.
    let track = Track::default();
    let facts = Facts { state: State::Stable, halt: None, owners_known: false, moving: false };
    let none = GroupOffset { committed: None, lag: Amount::Unknown, ..group_offset(0, 0, 9) };
    assert_eq!(judge(&track, &none, facts, at(0), &RULES).verdict, NoCommits);
}
