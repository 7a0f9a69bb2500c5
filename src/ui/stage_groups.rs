//! Test support: groups of every verdict, as the gateway judges them.

use super::stage::{HOSTILE, NOW, Stage};
use crate::app::{Effect, Event, TaskId};
use crate::domain::fault::{Fault, Kind};
use crate::domain::figure::Amount;
use crate::domain::group::{Group, GroupOffset, Member, State};
use crate::domain::lag::{Behind, Board, GroupLag, GroupView, PartitionLag, Rules, Track, judge_group};
use crate::domain::position::Position;
use crate::domain::time::Timestamp;
use std::time::Duration;

/// A group that is looked at every five seconds for a minute: messages come and are committed so fast in each partition.
pub(super) struct Made {
    pub(super) name: &'static str,
    pub(super) state: State,
    pub(super) members: u32,
    /// In and out a second, and the lag at the beginning, by partition.
    pub(super) partitions: &'static [(i64, i64, i64)],
}

pub(super) const MADE: &[Made] = &[
    Made { name: "audit", state: State::Empty, members: 0, partitions: &[(12, 0, 12_004)] },
    Made { name: "billing", state: State::Stable, members: 2, partitions: &[(100, 400, 90_000), (100, 100, 0)] },
    Made { name: "idle-tool", state: State::Stable, members: 1, partitions: &[(0, 0, 0)] },
    Made { name: "pager", state: State::Stable, members: 1, partitions: &[(3, 0, 900)] },
    Made { name: "payments", state: State::Stable, members: 3, partitions: &[(100, 100, 200), (1_000, 600, 40_000), (100, 100, 100)] },
    Made { name: "search", state: State::Stable, members: 6, partitions: &[(80, 80, 40), (80, 80, 40)] },
];

fn group_offset(channel: &str, made: &Made, partition: usize, seconds: i64) -> GroupOffset {
    let (into, out, behind) = made.partitions[partition];
    let end = 1_000_000 + into * seconds;
    let committed = (1_000_000 - behind + out * seconds).min(end);
    GroupOffset {
        channel: channel.into(),
        partition: Some(partition as i32),
        committed: Some(committed),
        start: Some(0),
        end: Some(end),
        next: Some(Position::Offset { partition: partition as i32, offset: committed }),
        lag: Amount::AtMost((end - committed) as u64),
        owner: (made.members > 0).then(|| format!("{}-1-5f1c2b6e-8d3a-4a55-9d6e-1f2e3d4c5b6a", made.name).as_str().into()),
        ..GroupOffset::default()
    }
}

/// The group after so many seconds of watching.
pub(super) fn judged(channel: &str, made: &Made, until: i64) -> (GroupLag, Vec<PartitionLag>) {
    let mut tracks = vec![Track::default(); made.partitions.len()];
    let rules = Rules::default();
    let at = |seconds: i64| Timestamp(NOW.0 + seconds * 1_000);
    for seconds in (0..=until).step_by(5) {
        for (partition, track) in tracks.iter_mut().enumerate() {
            track.push(at(seconds), &group_offset(channel, made, partition, seconds), &rules);
        }
    }
    let group = Group { members: Some(made.members), ..Group::new(made.name, "consumer", made.state) };
    let group_offsets: Vec<GroupOffset> =
        (0..made.partitions.len()).map(|partition| group_offset(channel, made, partition, until)).collect();
    judge_group(&group, &group_offsets, |partition| &tracks[partition], at(until), &rules)
}

/// A group that is behind by exactly so much in each partition, or has committed nothing there.
pub(super) fn behind(name: &str, partitions: &[Option<u64>]) -> GroupLag {
    let offset = |partition: usize, behind: Option<u64>| GroupOffset {
        partition: Some(partition as i32),
        committed: behind.map(|behind| 1_000 - behind as i64),
        end: Some(1_000),
        next: None,
        lag: behind.map_or(Amount::Unknown, Amount::Exactly),
        ..group_offset("orders.created", &MADE[2], 0, 0)
    };
    let offsets: Vec<_> = partitions.iter().enumerate().map(|(partition, behind)| offset(partition, *behind)).collect();
    let group = Group {
        name: name.into(),
        kind: "consumer".into(),
        state: State::Stable,
        members: Some(1),
        named: false,
        attributes: Vec::new(),
        halt: None,
        fault: None,
    };
    let (rules, mut tracks) = (Rules::default(), vec![Track::default(); offsets.len()]);
    for (track, offset) in tracks.iter_mut().zip(&offsets) {
        track.push(NOW, offset, &rules);
    }
    judge_group(&group, &offsets, |partition| &tracks[partition], NOW, &rules).0
}

impl Stage {
    /// Looks at the made-up groups of `events` for a minute; `billing` has none.
    pub(super) fn grouped(&mut self) -> &mut Self {
        for round in 4..=12 {
            self.after(5_000);
            let groups = MADE.iter().map(|made| judged("orders.created", made, round * 5).0).collect();
            self.board(groups, Vec::new());
        }
        self.event(Event::Groups { integration: "billing".into(), result: Ok(None) });
        let time = |seconds| Behind { time: Some(Duration::from_secs(seconds)), whole: true };
        let times = vec![
            ("audit".into(), Behind { time: Some(Duration::from_secs(7_260)), whole: false }),
            ("billing".into(), time(312)),
            ("idle-tool".into(), time(0)),
            ("payments".into(), time(250)),
            ("search".into(), Behind { time: Some(Duration::from_millis(300)), whole: true }),
        ];
        self.event(Event::GroupTimes { integration: "events".into(), times })
    }

    pub(super) fn board(&mut self, groups: Vec<GroupLag>, gaps: Vec<Fault>) -> &mut Self {
        self.event(Event::Groups { integration: "events".into(), result: Ok(Some(Box::new(Board { groups, gaps }))) })
    }

    pub(super) fn groups_failed(&mut self) -> &mut Self {
        let fault = Fault::new(Kind::Forbidden, "list the groups of", "broker 1", "the user may not describe the cluster")
            .next("ask for DESCRIBE on the cluster");
        self.event(Event::Groups { integration: "events".into(), result: Err(fault) })
    }

    /// Groups whose names, reasons and owners attack the terminal.
    pub(super) fn grouped_hostile(&mut self) -> &mut Self {
        let (mut group, _) = judged(HOSTILE, &MADE[4], 60);
        group.group.name = HOSTILE.into();
        let (mut other, _) = judged(HOSTILE, &MADE[0], 60);
        other.group.fault = Some(Fault::new(Kind::Forbidden, "describe group", HOSTILE, HOSTILE));
        other.reason = HOSTILE.into();
        self.board(vec![group, other], vec![Fault::new(Kind::Rejected, "list groups of", HOSTILE, HOSTILE)])
    }

    /// The task of the group that is open.
    pub(super) fn group_task(&self) -> TaskId {
        let task = |effect: &Effect| if let Effect::WatchGroup { task, .. } = effect { Some(*task) } else { None };
        self.effects.iter().rev().find_map(task).expect("a group was opened")
    }

    /// The open group's partitions and members.
    pub(super) fn group_seen(&mut self, channel: &str, made: &Made) -> &mut Self {
        let (lag, mut partitions) = judged(channel, made, 60);
        for partition in partitions.iter_mut().filter(|partition| partition.next().is_some()) {
            partition.stamp = Some(Timestamp(self.model.now.0 - 250_000));
        }
        let member = |n: u32| Member {
            id: format!("{}-{n}-5f1c2b6e-8d3a-4a55-9d6e-1f2e3d4c5b6a", made.name).into(),
            client: made.name.into(),
            host: format!("/10.0.0.{n}").into(),
            assignment: vec![(channel.into(), vec![n as i32 - 1])],
        };
        let members = (1..=made.members).map(member).collect();
        let task = self.group_task();
        self.event(Event::Group { task, result: Ok(Box::new(GroupView { lag, partitions, members })) })
    }
}
