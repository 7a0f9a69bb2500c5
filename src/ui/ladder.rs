//! How the console changes things, rung by rung, seen from outside: which keys lead to an effect, and which never do.

use super::stage::{CONFIGURE, DELETE, EMPTY, NAMES, Stage, change, down};
use crate::app::model::Screen;
use crate::app::{Effect, Event, TaskId};
use crate::domain::fault::{Fault, Kind};
use crate::domain::figure::Amount;
use crate::domain::operation::{Change, Done, Request};
use crate::domain::receipt::Receipt;
use crate::domain::safety::{Mode, Safety};
use crate::domain::text::SafeText;
use crate::domain::time::Timestamp;
use crossterm::event::{KeyCode, KeyEvent};
use std::sync::Arc;

const PRODUCTION: Safety = Safety { mode: Mode::Confirm, production: true, arm_for: std::time::Duration::from_secs(300) };

/// Channels with the cursor on `orders.created`.
fn stage_with(safety: Safety) -> Stage {
    let mut stage = Stage::new(120, 40, false);
    stage.opened_with(down(), safety).listed(NAMES).keys("2").text("/orders.created").keys("Enter");
    stage
}

fn stage() -> Stage {
    stage_with(Safety::default())
}

fn executed(stage: &Stage) -> Vec<Arc<Change>> {
    stage.effects.iter().filter_map(|e| if let Effect::Execute { change, .. } = e { Some(change.clone()) } else { None }).collect()
}

fn plans(stage: &Stage) -> usize {
    stage.effects.iter().filter(|e| matches!(e, Effect::Plan { .. })).count()
}

fn fault() -> Fault {
    Fault::new(Kind::Forbidden, "change", "events/orders.created", "the user may not ALTER this topic").next("ask for ALTER")
}

/// Parts of an outcome: those named with `!` failed.
fn done(parts: &[&str]) -> Done {
    let part = |name: &&str| match name.strip_prefix('!') {
        Some(name) => (SafeText::from(name), Err(Fault::new(Kind::Timeout, "change", name, "no answer within 10 s"))),
        None => (SafeText::from(*name), Ok(SafeText::from("changed"))),
    };
    Done { parts: parts.iter().map(part).collect() }
}

fn finish(stage: &mut Stage, result: Result<Done, Fault>) {
    let task = stage.task();
    stage.event(Event::Executed { task, result });
}

fn undo_of(request: &Request) -> Request {
    let arguments = vec![("retention".to_owned(), "1d".to_owned())];
    Request { spec: &CONFIGURE, arguments, address: request.address.clone() }
}

/// A reversible change that was carried out, with what takes it back.
fn changed(stage: &mut Stage) {
    stage.keys("x 1 ^s").planned(|change| change.undo = Some(undo_of(&change.request))).keys("y");
    finish(stage, Ok(done(&["0"])));
}

#[test]
fn what_can_be_reversed_asks_for_a_y_and_nothing_less() {
    for keys in ["n", "Esc", "q", "Enter", "Space", "Y"] {
        let mut stage = stage();
        stage.keys("x 1 ^s").planned(|_| {}).keys(keys);
        assert_eq!(executed(&stage).len(), 0, "{keys}");
    }
    let mut stage = stage();
    stage.keys("x 1 ^s").planned(|_| {}).keys("y");
    let planned = change(stage.request());
    assert_eq!(executed(&stage), [Arc::new(planned)], "exactly what was planned");
}

#[test]
fn an_open_profile_leaves_the_y_out_but_not_the_count() {
    let mut stage = stage_with(Safety { mode: Mode::Open, ..Safety::default() });
    stage.keys("x 1 ^s").planned(|_| {});
    assert_eq!(executed(&stage).len(), 1);
    finish(&mut stage, Ok(done(&["0"])));
    stage.keys("x 2").planned(|_| {});
    assert_eq!(executed(&stage).len(), 1);
    let refused = Some(fault());
    stage.keys("Esc x 1 ^s").planned(|change| change.refused = refused);
    assert_eq!(executed(&stage).len(), 1, "refused is refused");
}

#[test]
fn what_touches_many_asks_for_their_number() {
    let mut stage = stage();
    stage.keys("x 2").planned(|_| {});
    assert!(stage.screen().contains("type 6,252, the number of messages"), "{}", stage.screen());
    stage.keys("y Enter");
    assert!(stage.screen().contains("that is not the number of messages"), "{}", stage.screen());
    stage.keys("^u").text("625").keys("Enter");
    assert_eq!(executed(&stage).len(), 0);
    stage.text("2").keys("Enter");
    assert_eq!(executed(&stage).len(), 1);
    stage.keys("x 2").planned(|change| change.touches = Amount::Unknown);
    assert!(stage.screen().contains("type 3, the number of parts"), "{}", stage.screen());
    stage.text("3").keys("Enter");
    assert_eq!(executed(&stage).len(), 2);
}

#[test]
fn what_destroys_asks_for_an_armed_profile_and_the_address() {
    let mut stage = stage();
    stage.keys("x 3").planned(|_| {});
    assert_eq!(stage.request().spec, &DELETE);
    assert!(stage.screen().contains("not armed"), "{}", stage.screen());
    stage.text("events/orders.created").keys("Enter");
    assert_eq!(executed(&stage).len(), 0, "letters go nowhere while it is not armed");
    let mut stage = self::stage();
    stage.keys("x 3").planned(|_| {}).armed();
    assert!(stage.screen().contains("ARMED 05:00"), "{}", stage.screen());
    stage.text("events/orders.crea").keys("Enter");
    assert!(stage.screen().contains("that is not the address: it is events/orders.created"), "{}", stage.screen());
    assert_eq!(executed(&stage).len(), 0);
    stage.text("ted").keys("Enter");
    assert_eq!(executed(&stage).len(), 1);
}

#[test]
fn another_name_does_not_arm() {
    let mut stage = stage();
    stage.keys("!").text("prod").keys("Enter");
    assert_eq!(stage.effects.last(), Some(&Effect::Arm("prod".to_owned())), "the gateway decides, and writes it down");
    let fault = Fault::new(Kind::Forbidden, "arm", "prod-eu", "`prod` is not this profile's name");
    stage.event(Event::Armed(Err(fault)));
    let screen = stage.screen();
    assert!(screen.contains("is not this profile's name") && !screen.contains("ARMED"), "{screen}");
}

#[test]
fn a_profile_disarms_by_itself_while_the_address_is_being_typed() {
    let mut stage = stage();
    stage.keys("x 3").planned(|_| {}).armed().text("events/orders.created");
    stage.after(299_999);
    assert!(stage.screen().contains("ARMED 00:00"), "{}", stage.screen());
    stage.after(1).keys("Enter");
    assert_eq!(executed(&stage).len(), 0);
    let screen = stage.screen();
    assert!(screen.contains("not armed") && screen.contains("Disarmed") && !screen.contains("ARMED"), "{screen}");
    stage.armed().keys("Enter");
    assert_eq!(executed(&stage).len(), 1, "what was typed is still there");
}

#[test]
fn the_same_key_disarms_at_once() {
    let mut stage = stage();
    stage.armed().keys("!");
    assert_eq!(stage.effects.last(), Some(&Effect::Disarm));
    stage.event(Event::Armed(Ok(None)));
    assert!(!stage.screen().contains("ARMED"));
}

#[test]
fn an_armed_console_wakes_every_ten_seconds_and_at_the_end_every_second() {
    let mut stage = Stage::new(120, 40, false);
    stage.opened(crate::domain::health::Link::Up { latency: std::time::Duration::from_millis(2) }).keys("3").armed().after(10_000);
    let mut shown = Vec::new();
    while stage.model.changes.armed_until.is_some() {
        let row = stage.screen().lines().next().unwrap_or_default().to_owned();
        shown.push(row.split("ARMED ").nth(1).expect("armed")[..5].to_owned());
        let next = stage.model.next_deadline();
        assert!(next > stage.model.now);
        stage.event(Event::Tick(next));
    }
    shown.dedup();
    let tens: Vec<String> = (4..=29).rev().map(|tens| format!("{:02}:{}0", tens / 6, tens % 6)).collect();
    let close: Vec<String> = (0..=30).rev().map(|seconds| format!("00:{seconds:02}")).collect();
    assert_eq!(shown, [tens, close].concat());
}

#[test]
fn an_unarmed_production_profile_begins_nothing_and_says_why() {
    let mut stage = stage_with(PRODUCTION);
    for keys in ["x p", "x 1", "x 2", "x 3", "x 4"] {
        stage.keys("Esc Esc Esc 2").keys(keys);
        assert!(stage.screen().contains("not armed: ! arms the profile"), "{keys}: {}", stage.screen());
    }
    assert!(plans(&stage) == 0 && executed(&stage).is_empty() && stage.screen().contains("READ-ONLY until armed"));
    stage.keys("Esc Esc").armed().keys("x 1 ^s").planned(|_| {}).keys("y");
    assert_eq!(executed(&stage).len(), 1);
}

#[test]
fn a_read_only_profile_neither_changes_nor_arms() {
    let mut stage = stage_with(PRODUCTION.read_only());
    stage.keys("!");
    assert!(stage.model.overlay.is_none() && stage.screen().contains("the profile is read-only"), "{}", stage.screen());
    stage.keys("x 3");
    assert_eq!(plans(&stage), 0);
}

#[test]
fn a_refused_plan_shows_its_reason_and_cannot_be_confirmed() {
    for (choice, typed) in [("x 1 ^s", "y"), ("x 2", "6252"), ("x 3", "events/orders.created")] {
        let mut stage = stage();
        stage.armed().keys(choice);
        stage.planned(|change| change.refused = Some(Fault::new(Kind::Rejected, "reset", "x", "3 members are active").next("stop them")));
        let screen = stage.screen();
        assert!(screen.contains("3 members are active") && screen.contains("stop them"), "{screen}");
        stage.text(typed).keys("Enter");
        assert_eq!(executed(&stage).len(), 0);
    }
}

#[test]
fn a_plan_that_cannot_be_made_says_why_in_the_form() {
    let mut stage = stage();
    stage.keys("x 1 Tab").text("7d").keys("^s");
    assert_eq!(stage.request().arguments, [("retention".to_owned(), "7d".to_owned())]);
    let task = stage.task();
    stage.event(Event::Planned { task, result: Err(fault()) });
    let screen = stage.screen();
    assert!(screen.contains("the user may not ALTER this topic → ask for ALTER") && screen.contains("7d"), "{screen}");
    stage.keys("^s");
    assert_eq!(plans(&stage), 2, "it can be tried again");
}

#[test]
fn a_plan_that_is_no_longer_wanted_is_not_shown() {
    let mut stage = stage();
    stage.keys("x 2");
    let (task, request) = (stage.task(), stage.request());
    stage.keys("Esc");
    assert!(stage.effects.contains(&Effect::StopTask(task)));
    stage.event(Event::Planned { task, result: Ok(Arc::new(change(request))) });
    assert!(stage.model.overlay.is_none());
}

#[test]
fn fields_are_checked_as_they_are_typed_and_esc_comes_back_to_them() {
    let mut stage = stage();
    stage.keys("x 1");
    stage.event(Event::Key(KeyEvent::from(KeyCode::Right))).keys("Tab Tab").text("13");
    assert!(stage.screen().contains("`13` is not a whole number from 14"), "{}", stage.screen());
    stage.keys("^s");
    assert_eq!(plans(&stage), 0);
    stage.text("0").keys("Enter");
    let expected = [("cleanup", "compact"), ("segment", "130")].map(|(id, value)| (id.to_owned(), value.to_owned()));
    assert_eq!(stage.request().arguments, expected, "a field left empty has its default");
    stage.planned(|_| {}).keys("Esc");
    let screen = stage.screen();
    assert!(screen.contains("[compact]") && screen.contains("130"), "{screen}");
}

#[test]
fn what_is_not_there_yet_is_named_in_the_form() {
    let mut stage = stage();
    stage.keys("1 x 1").text("orders.new").keys("Tab 3 ^s");
    let request = stage.request();
    assert_eq!((request.address.to_string().as_str(), request.argument("partitions")), ("events/orders.new", Some("3")));
}

#[test]
fn one_channel_is_changed_at_a_time() {
    let mut stage = stage();
    stage.keys("Space x 3");
    assert!(plans(&stage) == 0 && stage.screen().contains("several are marked"), "{}", stage.screen());
}

#[test]
fn a_change_that_could_not_start_is_an_error_that_stays() {
    let mut stage = stage();
    stage.keys("x 1 ^s").planned(|_| {}).keys("y");
    assert_eq!(stage.model.jobs.len(), 1);
    finish(&mut stage, Err(fault()));
    stage.after(60_000);
    let screen = stage.screen();
    assert!(stage.model.jobs.is_empty() && screen.contains("the user may not ALTER this topic"), "{screen}");
    stage.keys("Esc Esc z");
    assert_eq!(plans(&stage), 1, "nothing to take back");
}

#[test]
fn what_failed_in_part_stays_visible_part_by_part() {
    let mut stage = stage();
    stage.keys("x 2").planned(|_| {}).text("6252").keys("Enter");
    finish(&mut stage, Ok(done(&["partition 0", "!partition 1", "partition 2"])));
    let screen = stage.screen();
    for words in ["2 of 3 parts", "partition 1: timed out: no answer within 10 s", "partition 2: changed"] {
        assert!(screen.contains(words), "{words}: {screen}");
    }
    stage.keys("Esc").after(60_000);
    assert!(stage.screen().contains("1 of 3 parts failed (X shows them)"), "{}", stage.screen());
    stage.keys("X");
    assert!(stage.screen().contains("partition 1: timed out"), "{}", stage.screen());
}

#[test]
fn an_outcome_does_not_fall_into_what_is_being_typed() {
    let mut stage = stage();
    stage.keys("x 2").planned(|_| {}).text("6252").keys("Enter");
    stage.keys("x p").text("precious");
    finish(&mut stage, Ok(done(&["!partition 0"])));
    assert!(stage.model.overlay.is_none() && stage.screen().contains("precious"), "{}", stage.screen());
}

#[test]
fn a_change_is_taken_back_by_a_plan_of_its_own_and_done_again() {
    let mut stage = stage();
    changed(&mut stage);
    assert!(stage.screen().contains("z undoes this"), "{}", stage.screen());
    stage.keys("z");
    assert_eq!(executed(&stage).len(), 1, "never silently");
    assert_eq!(stage.request().argument("retention"), Some("1d"));
    stage
        .planned(|change| change.undo = Some(undo_of(&change.request)))
        .keys("Esc z")
        .planned(|c| c.undo = Some(undo_of(&c.request)))
        .keys("y");
    assert_eq!(executed(&stage).len(), 2);
    finish(&mut stage, Ok(done(&["0"])));
    stage.keys("z");
    assert_eq!(plans(&stage), 3, "nothing is left to take back");
    stage.keys("Z").planned(|_| {}).keys("y");
    assert_eq!(executed(&stage).len(), 3);
}

#[test]
fn what_was_not_taken_back_can_be_tried_again() {
    let mut stage = stage();
    changed(&mut stage);
    stage.keys("z").planned(|_| {}).keys("y");
    finish(&mut stage, Ok(done(&["!0"])));
    stage.keys("Esc z");
    assert_eq!(plans(&stage), 3);
}

#[test]
fn an_open_profile_takes_nothing_back_without_asking() {
    let mut stage = stage_with(Safety { mode: Mode::Open, ..Safety::default() });
    stage.keys("x 1 ^s").planned(|change| change.undo = Some(undo_of(&change.request)));
    finish(&mut stage, Ok(done(&["0"])));
    stage.keys("z").planned(|_| {});
    assert_eq!(executed(&stage).len(), 1);
}

#[test]
fn a_change_under_way_is_not_cut_off() {
    let mut stage = stage();
    stage.keys("x 1 ^s").planned(|_| {}).keys("y");
    let task = stage.task();
    stage.keys("^c ^c");
    assert!(!stage.effects.contains(&Effect::StopTask(task)) && !stage.effects.contains(&Effect::Quit));
    assert!(stage.screen().contains("not cut off"), "{}", stage.screen());
}

#[test]
fn what_is_destroyed_is_saved_first_if_wanted_and_then_waited_for() {
    let mut stage = stage();
    stage.armed().keys("x 3").planned(|_| {}).keys("^e Enter");
    let Some(Effect::ExportChannel { task, path, address }) = stage.effects.last().cloned() else { panic!("nothing is exported") };
    assert_eq!((path.as_str(), address.to_string().as_str()), ("orders.created.jsonl", "events/orders.created"));
    stage.text("events/orders.created").keys("Enter");
    assert!(executed(&stage).is_empty() && stage.screen().contains("is being exported"), "{}", stage.screen());
    let update = crate::app::event::JobUpdate { title: "export".into(), done: 0, total: None, end: Some(Ok("Exported".into())) };
    stage.event(Event::Job { task, update }).keys("Enter");
    assert_eq!(executed(&stage).len(), 1);
}

#[test]
fn no_key_alone_carries_a_plan_out_on_the_higher_rungs() {
    let keys = (' '..='~').map(KeyCode::Char).chain([KeyCode::Enter, KeyCode::Tab, KeyCode::Delete, KeyCode::Backspace, KeyCode::F(5)]);
    for key in keys {
        for (choice, spec) in [("x 2", &EMPTY), ("x 3", &DELETE)] {
            let mut stage = stage();
            stage.armed().keys(choice).planned(|_| {});
            assert_eq!(stage.request().spec, spec);
            stage.event(Event::Key(KeyEvent::from(key))).keys("Enter");
            assert_eq!(executed(&stage).len(), 0, "{key:?}");
        }
    }
}

#[test]
fn what_undoes_a_change_says_which_one_and_when_it_was_made() {
    let mut stage = stage();
    stage.keys("X");
    assert!(stage.screen().contains("nothing has been changed yet"), "{}", stage.screen());
    changed(&mut stage);
    stage.after(3_600_000).keys("z").planned(|change| change.undo = Some(undo_of(&change.request)));
    let minute = Timestamp(stage.model.now.0 - 3_600_000).minute(&stage.model.zone);
    let heading = format!("undoes \"Change settings\" of {minute}: Change settings events/orders.created: 3 partitions.");
    assert!(stage.screen().contains(&heading), "{heading}: {}", stage.screen());
    stage.keys("y");
    finish(&mut stage, Ok(done(&["0"])));
    stage.keys("Z").planned(|_| {});
    assert!(stage.screen().contains("does \"Change settings\" again: Change settings events/orders.created"), "{}", stage.screen());
}

#[test]
fn what_became_of_a_change_is_told_though_another_profile_was_opened_meanwhile() {
    for (result, told) in [
        (Ok(done(&["0", "1"])), "Change settings events/orders.created in prod-eu: 2 parts done"),
        (Ok(done(&["0", "!1"])), "Change settings events/orders.created in prod-eu: change 1: timed out"),
        (Err(fault()), "Change settings events/orders.created in prod-eu: change events/orders.created: not authorized"),
    ] {
        let mut stage = stage();
        stage.keys("x 1 ^s").planned(|change| change.undo = Some(undo_of(&change.request))).keys("y");
        let task = stage.task();
        stage.open_another("prod-us");
        assert!(stage.model.changes.is_running(task) && !stage.effects.contains(&Effect::StopTask(task)), "nothing cuts it off");
        assert_eq!(stage.model.jobs.iter().map(|job| job.task).collect::<Vec<_>>(), [task], "it is still shown");
        // Who leaves now is asked first.
        stage.keys("q");
        assert!(!stage.effects.contains(&Effect::Quit) && stage.model.overlay.is_some(), "{}", stage.screen());
        stage.keys("n");
        stage.event(Event::Executed { task, result });
        let notices: Vec<String> = stage.model.notices.all.iter().map(|notice| notice.text.to_string()).collect();
        assert!(notices.iter().any(|notice| notice.contains(told)), "{told}: {notices:?}");
        assert!(stage.model.jobs.is_empty() && !stage.model.changes.is_running(task));
        assert!(!stage.model.changes.can_undo() && stage.model.changes.last.is_none(), "nothing of it is undone in the other profile");
        stage.keys("q");
        assert!(stage.effects.contains(&Effect::Quit), "nothing is waited for any more: {}", stage.screen());
    }
}

#[test]
fn what_only_read_ends_with_its_profile_and_that_is_told() {
    let mut stage = stage();
    stage.armed().keys("x 3").planned(|_| {}).keys("^e Enter");
    assert_eq!(stage.model.jobs.len(), 1, "the channel is being exported");
    stage.open_another("prod-us");
    assert!(stage.model.jobs.is_empty(), "the export has ended");
    let notices: Vec<String> = stage.model.notices.all.iter().map(|notice| notice.text.to_string()).collect();
    let told = "Ended with prod-eu: export events/orders.created to orders.created.jsonl";
    assert!(notices.iter().any(|notice| notice.contains(told)), "{notices:?}");
    stage.keys("q");
    assert!(stage.effects.contains(&Effect::Quit), "{}", stage.screen());
}

#[test]
fn what_became_of_a_message_and_of_a_decision_is_told_though_another_profile_was_opened_meanwhile() {
    let mut stage = stage();
    stage.keys("x p").text("one").keys("^s y");
    let task = stage.task();
    stage.open_another("prod-us");
    assert!(!stage.effects.contains(&Effect::StopTask(task)), "nothing cuts it off");
    let lost = |id| SafeText::from(format!("ticket {id}"));
    let parts = vec![(lost(1), Ok("acked".into())), (lost(2), Err(Fault::new(Kind::Lost, "settle", "ticket 2", "it went back")))];
    stage.event(Event::Published { task, result: Ok(Receipt::Accepted) });
    stage.event(Event::Settled { task: TaskId(900), result: Ok(Done { parts }) });
    stage.event(Event::Released { task: TaskId(901), result: Ok("2 unsettled messages: each goes back".into()) });
    let notices: Vec<String> = stage.model.notices.all.iter().map(|notice| notice.text.to_string()).collect();
    for told in [
        "Published to events/orders.created in prod-eu: ",
        "1 message settled in a profile that is closed.",
        "settle ticket 2: lost: it went back",
        "2 unsettled messages: each goes back",
    ] {
        assert!(notices.iter().any(|notice| notice.contains(told)), "{told}: {notices:?}");
    }
    assert_eq!(stage.model.screen, Screen::Overview, "nothing else of the new profile's screen changes");
}
