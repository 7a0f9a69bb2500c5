//! What keys on the Groups screen lead to, and what thousands of groups cost.

use super::stage::Stage;
use super::stage_groups::{MADE, behind, judged};
use crate::app::effect::Copy;
use crate::app::model::Screen;
use crate::app::screens::groups;
use crate::app::screens::traffic::Source;
use crate::app::{Effect, Event};
use crate::domain::address::Address;
use crate::domain::fault::{Fault, Kind};
use crate::domain::figure::Amount;
use crate::domain::group::Mark;
use crate::domain::position::{Bound, Position, Range};

fn stage() -> Stage {
    let mut stage = Stage::new(120, 40, false);
    stage.loaded().grouped().keys("4");
    stage
}

#[test]
fn the_worst_comes_first_and_the_selection_stays_with_its_group() {
    let mut stage = stage();
    let names = |stage: &Stage| {
        (0..stage.model.groups.rows.len())
            .filter_map(|row| groups::row(&stage.model, row))
            .map(|(integration, at)| integration.groups.groups[at].group.name.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&stage), ["pager", "payments", "audit", "billing", "search", "idle-tool"]);
    stage.keys("j j");
    let before = groups::target(&stage.model);
    assert_eq!(before, Some(Address { integration: "events".into(), kind: Some("group"), channel: "audit".into() }));
    let calm = MADE.iter().filter(|made| made.name != "pager").map(|made| judged("orders.created", made, 65).0).collect();
    stage.board(calm, Vec::new());
    assert_eq!((groups::target(&stage.model), stage.model.groups.list.row()), (before, Some(1)));
}

#[test]
fn messages_are_read_from_where_the_group_stands() {
    let mut stage = stage();
    stage.keys("j m");
    let read = |stage: &Stage| {
        stage
            .effects
            .iter()
            .rev()
            .find_map(|e| if let Effect::ReadHistory { addresses, range, .. } = e { Some((addresses.clone(), *range)) } else { None })
    };
    let from = |partition, offset| {
        let start = Bound::At(Position::Offset { partition, offset });
        Some((vec![Address::new("events", "orders.created")], Range { start, end: Bound::Latest }))
    };
    assert_eq!((stage.model.screen, read(&stage)), (Screen::Traffic, from(1, 996_000)), "payments, its worst partition");
    stage.keys("Esc Enter").group_seen("orders.created", &MADE[4]).keys("j m");
    assert_eq!(read(&stage), from(0, 1_005_800), "the partition under the cursor");
}

#[test]
fn where_a_channel_has_no_partitions_its_own_places_are_read_from() {
    for (channel, position) in
        [("stream:ORDERS", Position::Sequence(636)), ("stream:jobs", Position::Entry { millis: 1_700_000_000_000, number: 4 })]
    {
        let mut stage = stage();
        let (mut lag, _) = judged(channel, &MADE[0], 60);
        lag.worst = Some(Mark { channel: channel.into(), position });
        stage.board(vec![lag], Vec::new()).keys("m");
        let read = stage.effects.iter().rev().find_map(|effect| match effect {
            Effect::ReadHistory { addresses, range, .. } => Some((addresses[0].to_string(), *range)),
            _ => None,
        });
        let range = Range { start: Bound::At(position), end: Bound::Latest };
        assert_eq!(read, Some((format!("events/{channel}"), range)));
        let Source::History { text, .. } = &stage.model.traffic.source else { panic!("history is read") };
        assert!(Bound::parse(text, &jiff::Zoned::now()).is_ok(), "{text} can be typed again");
    }
}

#[test]
fn only_the_rows_on_the_screen_are_asked_how_long_they_are_behind() {
    let mut stage = stage();
    let focus = |stage: &Stage| {
        stage.effects.iter().rev().find_map(|e| if let Effect::FocusGroups { near, rows } = e { Some((*near, rows.len())) } else { None })
    };
    assert_eq!(focus(&stage), Some((true, 6)));
    stage.text("/pay").keys("Enter");
    assert_eq!(focus(&stage), Some((true, 1)));
    let sent = stage.effects.len();
    stage.grouped();
    assert!(!stage.effects[sent..].iter().any(|e| matches!(e, Effect::FocusGroups { .. })), "the same rows are not said again");
    stage.keys("3");
    assert_eq!(focus(&stage), Some((false, 0)), "nobody looks");
}

#[test]
fn a_group_is_followed_while_it_is_open() {
    let mut stage = stage();
    stage.keys("Enter");
    let task = stage.group_task();
    stage.group_seen("orders.created", &MADE[3]).keys("Esc");
    assert!(stage.effects.contains(&Effect::StopTask(task)));
    assert!(stage.model.groups.open.is_none() && stage.model.screen == Screen::Groups);
    let revision = stage.model.revision;
    let (lag, partitions) = judged("orders.created", &MADE[3], 60);
    let view = crate::domain::lag::GroupView { lag, partitions, members: Vec::new() };
    stage.event(Event::Group { task, result: Ok(Box::new(view)) });
    assert_eq!(stage.model.revision, revision, "an answer that comes late");
}

#[test]
fn copies_give_address_command_and_json() {
    let mut stage = stage();
    stage.keys("j y a y c y j");
    let copied: Vec<&str> =
        stage.effects.iter().filter_map(|e| if let Effect::Copy(Copy::Text(text, _)) = e { Some(text.as_str()) } else { None }).collect();
    assert_eq!(copied[..2], ["events/group:payments", "mqdeck --profile prod-eu lag events/payments"]);
    assert!(copied[2].contains("\"verdict\":\"falling_behind\""), "{}", copied[2]);
}

#[test]
fn looks_that_find_nothing_new_draw_nothing() {
    let mut stage = Stage::new(120, 40, false);
    stage.loaded();
    let look = |stage: &mut Stage| {
        let groups = vec![judged("orders.created", &MADE[2], 60).0];
        stage.board(groups, Vec::new());
    };
    look(&mut stage);
    stage.keys("4");
    look(&mut stage);
    let revision = stage.model.revision;
    for _ in 0..5 {
        look(&mut stage);
    }
    assert_eq!(stage.model.revision, revision);
}

#[test]
fn of_two_thousand_groups_only_those_in_sight_are_asked_about() {
    const GROUPS: usize = 2_000;
    let mut stage = Stage::new(160, 45, false);
    stage.loaded();
    let board = || -> Vec<_> {
        (0..GROUPS)
            .map(|n| {
                let (mut lag, _) = judged("orders.created", &MADE[n % MADE.len()], 10);
                lag.group.name = format!("group-{n:05}").as_str().into();
                lag.partitions = 50;
                lag
            })
            .collect()
    };
    let (first, second) = (board(), board());
    stage.board(first, Vec::new()).keys("4");
    stage.board(second, Vec::new());
    stage.keys("j");
    assert_eq!(stage.model.groups.rows.len(), GROUPS);
    assert!(stage.screen().contains("shown 2,000 of 2,000"));
    let rows = stage.effects.iter().rev().find_map(|e| if let Effect::FocusGroups { rows, .. } = e { Some(rows.len()) } else { None });
    assert!(rows.is_some_and(|rows| rows <= 45), "{rows:?}");
}

/// The rows of the screen in which a word stands.
fn rows_with(stage: &Stage, word: &str) -> Vec<String> {
    stage.screen().lines().filter(|line| line.contains(word)).map(str::to_owned).collect()
}

#[test]
fn a_partition_without_a_commit_is_no_lag_of_zero_and_makes_the_sum_a_lower_bound() {
    let mut stage = Stage::new(120, 40, false);
    stage.loaded();
    let known = behind("known", &[Some(12_000), Some(4)]);
    stage.board(vec![known.clone()], Vec::new()).keys("1");
    assert_eq!((rows_with(&stage, "≥").len(), rows_with(&stage, "12,004").len()), (0, 1), "all of it is known: {}", stage.screen());
    stage.board(vec![known, behind("fresh", &[None]), behind("half", &[Some(7), None])], Vec::new());
    let overview = rows_with(&stage, "≥ 12,011");
    assert!(matches!(overview.as_slice(), [row] if row.contains("events")), "{}", stage.screen());
    stage.keys("4");
    let (fresh, half) = (rows_with(&stage, "fresh"), rows_with(&stage, "half"));
    assert!(matches!(fresh.as_slice(), [row] if row.contains('–') && row.contains("no commits") && !row.contains('●')), "{fresh:?}");
    assert!(matches!(half.as_slice(), [row] if row.contains("≥ 7") && !row.contains("keeps up") && !row.contains('●')), "{half:?}");
}

#[test]
fn a_sum_beside_groups_that_could_not_be_listed_is_a_lower_bound_and_the_list_says_that_it_may_be_incomplete() {
    let mut stage = Stage::new(120, 40, false);
    stage.loaded();
    let known = behind("known", &[Some(12_004)]);
    let gap = || Fault::new(Kind::Unreachable, "list the groups of", "broker 2", "connection refused");
    stage.board(vec![known.clone()], vec![gap()]).keys("1");
    let overview = rows_with(&stage, "≥ 12,004");
    assert!(matches!(overview.as_slice(), [row] if row.contains("events")), "{}", stage.screen());
    stage.keys("4");
    assert_eq!(rows_with(&stage, "list may be incomplete").len(), 1, "{}", stage.screen());
    stage.board(Vec::new(), vec![gap()]).keys("1");
    assert_eq!((rows_with(&stage, "12,004").len(), stage.model.integrations()[0].groups.lag), (0, Amount::Unknown), "none of it is known");
    stage.board(vec![known], Vec::new()).keys("4");
    assert_eq!((rows_with(&stage, "≥").len(), rows_with(&stage, "incomplete").len()), (0, 0), "{}", stage.screen());
}

#[test]
fn a_group_is_copied_as_json_without_a_bound_that_passes_for_its_lag() {
    let mut stage = Stage::new(120, 40, false);
    stage.loaded();
    stage.board(vec![behind("half", &[Some(7), None])], Vec::new()).keys("4 y j");
    let Some(Effect::Copy(Copy::Text(text, _))) = stage.effects.last() else { panic!("nothing is copied") };
    assert!(text.contains("\"lag\":null,\"lag_at_least\":7,\"lag_at_most\":null"), "{text}");
}
