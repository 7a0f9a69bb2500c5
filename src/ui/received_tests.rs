//! Messages that are held, looked at, or replied: how it looks, and what keys lead to.

use super::stage::{HOSTILE, NOW, Stage, decoded, view};
use crate::app::effect::Copy;
use crate::app::event::{Arrived, HoldStart};
use crate::app::model::Screen;
use crate::app::{Effect, Event};
use crate::domain::address::Address;
use crate::domain::channel::{Caps, Channel};
use crate::domain::delivery::{Effect as Decision, HoldId, ReceiveOption, Settles, Ticket, Verb};
use crate::domain::fault::{Fault, Kind};
use crate::domain::figure::Amount;
use crate::domain::health::Link;
use crate::domain::message::Stamp;
use crate::domain::operation::{Done, Field, Plan, Risk};
use crate::domain::position::Position;
use crate::domain::safety::{Mode, Safety};
use crate::domain::text::SafeText;
use crate::domain::time::Timestamp;
use crate::domain::view::DeliveryView;
use crossterm::event::KeyCode;
use std::time::Duration;

const DELAY: Field = Field::number("delay", "Delay", "seconds until then", 0, 86_400);
const REASON: Field = Field::text("reason", "Reason", "told in the advisory");

static VERBS: [Verb; 4] = [
    Verb::new(Decision::Ack, "ack", "done: it is gone"),
    Verb::new(Decision::Requeue, "nak", "given out again, at once or later").asks(&[DELAY]),
    Verb::new(Decision::Reject, "term", "never given out again").asks(&[REASON]),
    Verb::new(Decision::Extend, "in progress", "the time to decide begins anew"),
];

fn channel(name: &str, kind: &'static str, can: Caps) -> Channel {
    Channel { can, depth: Amount::Exactly(5), ..Channel::named(name, kind) }
}

/// The channel list with a service and a queue; the queue is the second row.
fn stage(width: u16, height: u16) -> Stage {
    stage_with(width, height, Safety::default())
}

fn stage_with(width: u16, height: u16, safety: Safety) -> Stage {
    let mut stage = Stage::new(width, height, false);
    stage.opened_with(Link::Connecting, safety);
    let channels = vec![
        channel("prices", "service", Caps { call: true, ..Caps::default() }),
        channel("tasks", "queue", Caps { peek: true, hold: true, publish: true, ..Caps::default() }),
        channel("thumbnails", "stream", Caps { tail: true, hold: true, receive_options: true, ..Caps::default() }),
    ];
    stage.event(Event::Channels { integration: "events".into(), result: Ok(channels) }).keys("2 j");
    stage
}

fn ticket(id: u64) -> Ticket {
    Ticket { epoch: 1, id }
}

fn delivery(id: u64, held: bool, payload: &[u8]) -> DeliveryView {
    let mut view = view(id, "tasks", (id % 2 == 1).then_some(b"c-8841"), Some(payload));
    view.message.position = Position::Arrival(id);
    view.message.stamp = Stamp::Seen;
    let deliveries = Some(if id == 3 { 4 } else { 1 });
    DeliveryView { view, ticket: held.then_some(ticket(id)), deliveries, redelivered: id == 3 }
}

fn arrived(stage: &mut Stage, deliveries: Vec<DeliveryView>) {
    let task = stage.task();
    stage.event(Event::Arrived { task, arrived: Arrived { deliveries, ..Arrived::default() } });
}

/// Five messages held for ten that were asked for.
fn holding(stage: &mut Stage) -> &mut Stage {
    stage.keys("x r Enter");
    let task = stage.task();
    let start = HoldStart {
        id: HoldId(1),
        verbs: &VERBS,
        ack_timeout: Some(Duration::from_secs(90)),
        left_over: "goes back to the queue, and counts as redelivered",
    };
    stage.event(Event::HoldStarted { task, result: Ok(start) });
    let payload = |id: u64| format!(r#"{{"task":{id},"kind":"resize","image":"https://img.example/{id}.png"}}"#);
    arrived(stage, (1..=5).map(|id| delivery(id, true, payload(id).as_bytes())).collect());
    stage
}

/// What a decision that was begun would do is known.
fn planned(stage: &mut Stage, settles: Settles) -> &mut Stage {
    let task = stage.task();
    stage.event(Event::SettlePlanned { task, result: Ok(settles) });
    stage
}

fn usual(stage: &mut Stage) -> &mut Stage {
    planned(stage, Settles::usual("1 message leaves the queue: done"))
}

fn settled(stage: &mut Stage, results: Vec<Result<SafeText, Fault>>) {
    let task = stage.task();
    let parts = results.into_iter().enumerate().map(|(at, result)| (SafeText::from(format!("ticket {at}")), result)).collect();
    stage.event(Event::Settled { task, result: Ok(Done { parts }) });
}

/// Tickets, what is done with them, and how.
type Decided = (Vec<u64>, Decision, Vec<(String, String)>);

fn unsettled(stage: &Stage) -> usize {
    stage.model.received.unsettled(stage.model.now)
}

fn plans(stage: &Stage) -> Vec<Decided> {
    let plan = |effect: &Effect| match effect {
        Effect::Settle { plan: Plan::Settle { tickets, settlement, .. }, .. } => {
            Some((tickets.iter().map(|ticket| ticket.id).collect(), settlement.effect, settlement.arguments.clone()))
        }
        _ => None,
    };
    stage.effects.iter().filter_map(plan).collect()
}

/// Messages that were looked at, and attack the terminal.
pub(super) fn hostile(width: u16, height: u16) -> Stage {
    let mut stage = stage(width, height);
    stage.keys("x l Enter");
    let (task, address) = (stage.task(), Some(Address::new("events", HOSTILE)));
    let deliveries = (1..=4).map(|id| delivery(id, false, HOSTILE.as_bytes())).collect();
    stage.event(Event::Arrived { task, arrived: Arrived { address, deliveries, end: Some(Ok(())), ..Arrived::default() } });
    stage
}

/// A question whose words attack the terminal.
pub(super) fn hostile_question(width: u16, height: u16) -> Stage {
    let mut stage = stage(width, height);
    stage.keys("x l Enter");
    let (task, address) = (stage.task(), Address::new("events", HOSTILE));
    stage.event(Event::PeekMarks { task, address, marks: HOSTILE.into() });
    stage
}

fn shot(name: &str, reach: impl Fn(&mut Stage)) {
    for (width, height) in [(80, 24), (120, 40), (160, 45)] {
        let mut stage = stage(width, height);
        reach(&mut stage);
        insta::with_settings!({ snapshot_path => "../../snapshots", prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!(format!("received-{name}-{width}x{height}"), stage.screen());
        });
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a list of scenes")]
fn messages_at_hand_look_as_they_were_looked_at() {
    shot("actions", |s| _ = s.keys("x"));
    shot("prompt", |s| _ = s.keys("x r"));
    shot("held", |s| {
        usual(holding(s).keys("x 1")).keys("y");
        settled(s, vec![Ok("acked".into())]);
        s.after(5_000);
        let lost = vec![ticket(5)];
        let task = s.effects.iter().find_map(|e| if let Effect::Hold { task, .. } = e { Some(*task) } else { None }).expect("held");
        s.event(Event::Arrived { task, arrived: Arrived { lost, ..Arrived::default() } });
        s.after(60_000).keys("j Space");
    });
    shot("cut", |s| {
        holding(s);
        let task = s.effects.iter().find_map(|e| if let Effect::Hold { task, .. } = e { Some(*task) } else { None }).expect("held");
        s.event(Event::Arrived { task, arrived: Arrived { end: Some(Ok(())), ..Arrived::default() } });
        let fault = Fault::new(Kind::Unreachable, "receive from", "queue:tasks", "CONNECTION_FORCED - maintenance")
            .next("5 unsettled messages went back to the queue by themselves");
        let lost = (1..=5).map(ticket).collect();
        s.event(Event::Arrived { task, arrived: Arrived { interrupted: Some(fault), lost, ..Arrived::default() } });
    });
    shot("held-detail", |s| {
        holding(s).keys("j j Enter");
        s.event(Event::Decoded { id: 3, result: Ok(decoded()) });
    });
    shot("held-over", |s| _ = holding(s).after(91_000));
    shot("menu", |s| _ = holding(s).keys("x"));
    shot("form", |s| _ = holding(s).keys("x 3").text("wrong size"));
    shot("form-planning", |s| _ = holding(s).keys("x 3").text("wrong size").keys("Enter"));
    shot("plan-one", |s| {
        holding(s).keys("x 3").text("wrong size").keys("Enter");
        planned(
            s,
            Settles::usual("1 message to queue:dead by the exchange `dlx` (at-most-once: lost if that cannot take it at that moment)"),
        );
    });
    shot("plan-many", |s| _ = usual(holding(s).keys("Space Space Space x 1")));
    shot("plan-destroys", |s| {
        holding(s).keys("x 3 Enter");
        planned(s, Settles::destroys("DELETES 1 message: this queue has no dead-letter exchange"));
    });
    shot("leaving", |s| _ = holding(s).keys("Esc"));
    shot("elsewhere", |s| _ = holding(s).keys("2"));
    shot("empty", |s| {
        s.keys("x r Enter");
        let task = s.task();
        let start =
            HoldStart { id: HoldId(1), verbs: &VERBS, ack_timeout: None, left_over: "goes back to the queue, and counts as redelivered" };
        s.event(Event::HoldStarted { task, result: Ok(start) }).after(4_000);
    });
    shot("failed", |s| {
        s.keys("x r Enter");
        let task = s.task();
        let fault = Fault::new(Kind::Forbidden, "receive from", "events/tasks", "our user may not read this queue")
            .next("ask for the permission to read it");
        s.event(Event::HoldStarted { task, result: Err(fault) });
    });
    shot("peek-asks", |s| {
        s.keys("x l Enter");
        let (task, address) = (s.task(), Address::new("events", "tasks"));
        let marks = "for a moment no consumer gets the messages, then they are marked as redelivered, and a delivery of each is spent";
        s.event(Event::PeekMarks { task, address, marks: marks.into() });
    });
    for (name, risk) in [("receive-asks", Risk::Bulk), ("receive-asks-address", Risk::Destroy)] {
        shot(name, |s| {
            s.keys("x r Enter");
            let task = s.task();
            let why = "each message that is given back spends one of its 20 deliveries, and the last one deletes it: the queue has no dead-letter exchange";
            s.event(Event::HoldSpends { task, spends: Settles { risk, summary: why.into() } });
        });
    }
    shot("peeked", |s| {
        s.keys("x l Enter");
        let task = s.task();
        let address = Some(Address::new("events", "tasks"));
        let deliveries = (1..=4).map(|id| delivery(id, false, HOSTILE.as_bytes())).collect();
        s.event(Event::Arrived { task, arrived: Arrived { address, deliveries, end: Some(Ok(())), ..Arrived::default() } });
    });
    shot("call-form", |s| _ = s.keys("k x c").text("{\"sku\":\"A-1\"}"));
    shot("replies", |s| {
        s.keys("k x c").text("{\"sku\":\"A-1\"}").keys("^s y");
        arrived(s, vec![delivery(1, false, br#"{"sku":"A-1","price":12.90}"#)]);
        s.keys("Enter").event(Event::Decoded { id: 1, result: Ok(decoded()) });
    });
}

#[test]
fn an_interruption_is_over_when_the_receiving_goes_on_and_no_message_has_to_come_for_that() {
    let mut stage = stage(120, 40);
    holding(&mut stage);
    let task = stage.task();
    let fault = Fault::new(Kind::Unreachable, "receive from", "queue:tasks", "nothing listens there");
    let lost = (1..=5).map(ticket).collect();
    stage.event(Event::Arrived { task, arrived: Arrived { interrupted: Some(fault), lost, ..Arrived::default() } });
    let screen = stage.screen();
    assert!(screen.contains("interrupted") && screen.contains("receive from queue:tasks: unreachable"), "{screen}");
    arrived(&mut stage, Vec::new());
    assert!(stage.screen().contains("interrupted"), "nothing has said that it goes on");
    stage.event(Event::Arrived { task, arrived: Arrived { resumed: true, ..Arrived::default() } });
    let screen = stage.screen();
    assert!(!screen.contains("interrupted") && !screen.contains("receive from queue:tasks: unreachable"), "{screen}");
    assert!(screen.contains("receiving") && screen.contains("0 unsettled of 5"), "{screen}");
}

#[test]
fn the_choice_of_a_group_looks_as_it_was_looked_at() {
    shot("ways-asked", |s| _ = s.keys("j x r"));
    shot("ways-one", |s| receive_options(s, &["workers"]));
    shot("ways-several", |s| {
        receive_options(s, &["workers", "archive", HOSTILE]);
        s.keys("Down");
    });
    shot("ways-warning", |s| {
        s.keys("x r");
        let task = s.task();
        let warning = "what is received here the group's other members do not get; what is not acknowledged is lost to them, unless the \
                       broker gives it to another one when we leave, which Mosquitto does not";
        s.event(Event::ReceiveOptions { task, result: Ok(Vec::new()), warning: Some(warning.into()) });
    });
    shot("ways-none", |s| {
        s.keys("j x r");
        let task = s.task();
        let fault = Fault::new(Kind::NotFound, "receive from", "thumbnails", "the stream has no group")
            .next("make one first: operation group.create");
        s.event(Event::ReceiveOptions { task, result: Err(fault), warning: None });
    });
}

/// The prompt of the stream, with these groups known.
fn receive_options(stage: &mut Stage, names: &[&str]) {
    stage.keys("j x r");
    let task = stage.task();
    let way = |name: &&str| ReceiveOption {
        name: (*name).into(),
        channel: format!("stream:thumbnails/{name}").into(),
        about: "4,711 behind, 3 pending, 2 consumers".into(),
    };
    stage.event(Event::ReceiveOptions { task, result: Ok(names.iter().map(way).collect()), warning: None });
}

fn held(stage: &Stage) -> Vec<String> {
    let held = |effect: &Effect| if let Effect::Hold { address, .. } = effect { Some(address.to_string()) } else { None };
    stage.effects.iter().filter_map(held).collect()
}

#[test]
fn a_stream_is_received_from_as_the_group_that_was_chosen() {
    let mut stage = stage(120, 40);
    receive_options(&mut stage, &["workers", "archive"]);
    stage.keys("Down Down Enter");
    assert_eq!(held(&stage), ["events/stream:thumbnails/archive"]);
    assert_eq!(stage.model.screen, Screen::Received);
    let task = stage.task();
    stage.event(Event::HoldStarted {
        task,
        result: Ok(HoldStart {
            id: HoldId(1),
            verbs: &VERBS,
            ack_timeout: None,
            left_over: "goes back to the queue, and counts as redelivered",
        }),
    });
    stage.keys("2 x r");
    assert_eq!((held(&stage).len(), stage.model.screen), (1, Screen::Received), "it is come back to from its stream");
}

#[test]
fn enter_before_the_groups_are_known_begins_where_there_is_nothing_to_choose() {
    for (names, begun) in [(&["workers"][..], &["events/stream:thumbnails/workers"][..]), (&["workers", "archive"], &[])] {
        let mut stage = stage(120, 40);
        stage.keys("j x r Enter");
        assert!(held(&stage).is_empty(), "it waits");
        let task = stage.task();
        let way = |name: &&str| ReceiveOption {
            name: (*name).into(),
            channel: format!("stream:thumbnails/{name}").into(),
            about: SafeText::default(),
        };
        stage.event(Event::ReceiveOptions { task, result: Ok(names.iter().map(way).collect()), warning: None });
        assert_eq!(held(&stage), begun);
    }
    let mut stage = stage(120, 40);
    stage.keys("x r Enter");
    assert_eq!(held(&stage), ["events/tasks"], "a queue has no groups, and nobody is asked");
}

#[test]
fn a_channel_without_messages_to_read_is_described_and_groups_are_looked_for_only_where_there_are_some() {
    let mut stage = stage(120, 40);
    // A queue that cannot be tapped.
    stage.keys("Enter");
    let described = |stage: &Stage| stage.effects.iter().any(|e| matches!(e, Effect::Describe { .. }));
    assert!(described(&stage) && stage.model.screen == Screen::Channels);
    assert!(!stage.effects.iter().any(|e| matches!(e, Effect::StartTail { .. })), "nothing that fails is begun");
    stage.keys("Esc c");
    assert_eq!(stage.model.screen, Screen::Groups);
    stage.keys("Esc 2").event(Event::Groups { integration: "events".into(), result: Ok(None) });
    let screen = stage.keys("c").screen();
    assert!(stage.model.screen == Screen::Channels && screen.contains("this system has no groups: d tells"), "{screen}");
}

#[test]
fn only_what_suits_the_kind_of_the_channel_is_offered() {
    let mut stage = stage(120, 40);
    assert!(!stage.keys("x").screen().contains("Delete topic"), "tasks is a queue");
    stage
        .keys("Esc 2")
        .event(Event::Channels { integration: "events".into(), result: Ok(vec![channel("orders", "topic", Caps::default())]) });
    assert!(stage.keys("x").screen().contains("Delete topic"));
}

#[test]
fn a_decision_is_a_plan_about_the_marked_messages_else_about_the_selected_one() {
    let mut stage = stage(120, 40);
    holding(&mut stage).keys("j x 1");
    usual(&mut stage);
    assert!(plans(&stage).is_empty(), "nothing happens before it is confirmed");
    stage.keys("y");
    assert_eq!(plans(&stage), [(vec![2], Decision::Ack, Vec::new())]);
    settled(&mut stage, vec![Ok("acked".into())]);
    assert_eq!(stage.model.received.selected().and_then(|row| row.ticket), Some(ticket(3)), "on to what is not decided on");
    usual(stage.keys("g Space j Space x 2").text("30").keys("Enter")).keys("y");
    let delay = vec![("delay".to_owned(), "30".to_owned())];
    assert_eq!(plans(&stage)[1..], [(vec![1, 3], Decision::Requeue, delay)], "what is settled already is left out");
    assert_eq!(unsettled(&stage), 4);
    settled(&mut stage, vec![Ok("requeued".into()), Err(Fault::new(Kind::Lost, "settle", "ticket 3", "it is not held any more"))]);
    assert_eq!(unsettled(&stage), 2);
}

#[test]
fn several_that_do_not_come_back_are_confirmed_by_their_number() {
    let mut stage = stage(120, 40);
    usual(holding(&mut stage).keys("Space Space x 1")).keys("y Enter");
    assert!(plans(&stage).is_empty(), "a y is not enough");
    stage.keys("^u").text("2").keys("Enter");
    assert_eq!(plans(&stage), [(vec![1, 2], Decision::Ack, Vec::new())]);
    let several = |effect| Plan::Settle {
        address: Address::new("events", "tasks"),
        hold: HoldId(1),
        tickets: vec![ticket(1), ticket(2)],
        settlement: crate::domain::delivery::Settlement { effect, arguments: Vec::new() },
        settles: Settles::usual("done"),
    };
    assert_eq!(
        [Decision::Reject, Decision::Requeue, Decision::Extend].map(|e| several(e).risk()),
        [Risk::Bulk, Risk::Reversible, Risk::Reversible]
    );
}

#[test]
fn a_decision_that_deletes_is_confirmed_by_the_address_of_an_armed_profile() {
    let mut stage = stage(120, 40);
    holding(&mut stage).keys("x 3 Enter");
    assert!(plans(&stage).is_empty() && !stage.screen().contains("type events/tasks"), "it is not known yet what it does");
    planned(&mut stage, Settles::destroys("DELETES 1 message: this queue has no dead-letter exchange")).keys("y Enter");
    let screen = stage.screen();
    assert!(screen.contains("DELETES 1 message: this queue has no dead-letter exchange") && screen.contains("not armed"), "{screen}");
    assert!(plans(&stage).is_empty());
    let until = Timestamp(stage.model.now.0 + 60_000);
    stage.event(Event::Armed(Ok(Some(until)))).keys("y Enter");
    assert!(plans(&stage).is_empty(), "a y is not enough");
    stage.keys("^u").text("events/tasks").keys("Enter");
    assert_eq!(plans(&stage), [(vec![1], Decision::Reject, Vec::new())]);
}

#[test]
fn what_a_decision_does_is_not_put_before_what_is_looked_at_by_then() {
    let mut stage = stage(120, 40);
    holding(&mut stage).keys("x 1");
    let task = stage.task();
    stage.keys("?");
    let before = stage.screen();
    stage.event(Event::SettlePlanned { task, result: Ok(Settles::usual("done")) });
    assert_eq!(stage.screen(), before);
    stage.keys("Esc x 1");
    let (task, fault) = (stage.task(), Fault::new(Kind::Unreachable, "receive from", "events/tasks", "nothing listens there"));
    stage.event(Event::SettlePlanned { task, result: Err(fault) });
    assert!(plans(&stage).is_empty() && stage.screen().contains("nothing listens there"), "{}", stage.screen());
}

#[test]
fn leaving_asks_gives_back_and_says_what_became_of_it() {
    let mut stage = stage(120, 40);
    holding(&mut stage);
    for key in ["Esc", "q", "^c"] {
        stage.keys(key).keys("n");
        assert!(!stage.effects.iter().any(|e| matches!(e, Effect::Release { .. })), "{key} alone gives nothing back");
        assert_eq!(stage.model.screen, Screen::Received);
    }
    stage.keys("Esc y");
    let task = stage.task();
    assert!(matches!(stage.effects.last(), Some(Effect::Release { hold: HoldId(1), .. })));
    stage.event(Event::Released { task, result: Ok("5 messages went back".into()) });
    assert_eq!(stage.model.screen, Screen::Channels);
    assert!(stage.screen().contains("5 messages went back"));
    assert!(stage.model.jobs.is_empty());
    stage.keys("x r Enter");
    assert_eq!(stage.effects.iter().filter(|e| matches!(e, Effect::Hold { .. })).count(), 2, "and can be begun anew");
}

#[test]
fn what_is_held_stays_in_sight_and_is_come_back_to() {
    let mut stage = stage(120, 40);
    holding(&mut stage).keys("1");
    assert!(stage.screen().contains("5 messages of events/tasks are held"));
    stage.keys("2 x r");
    assert_eq!(stage.model.screen, Screen::Received);
    assert_eq!(stage.effects.iter().filter(|e| matches!(e, Effect::Hold { .. })).count(), 1);
    stage.keys("-").event(Event::Key(crossterm::event::KeyEvent::from(crossterm::event::KeyCode::Esc)));
    assert_eq!(unsettled(&stage), 5, "going elsewhere gives nothing back");
}

#[test]
fn the_time_left_is_drawn_when_it_reads_differently_and_not_oftener() {
    let mut stage = stage(120, 40);
    holding(&mut stage);
    let mut shown = Vec::new();
    for _ in 0..60 {
        shown.push((stage.model.received.left(stage.model.now).map(|left| left.as_secs()), stage.model.now.0 - NOW.0));
        let next = stage.model.next_deadline();
        if next.0 - NOW.0 > 95_000 {
            break;
        }
        let revision = stage.model.revision;
        stage.event(Event::Tick(Timestamp(next.0)));
        let now = stage.model.received.left(stage.model.now).map(|left| left.as_secs());
        assert!(stage.model.revision > revision || Some(&(now, 0)).map(|(left, _)| *left) == shown.last().map(|(left, _)| *left));
    }
    let mut seen: Vec<Option<u64>> = shown.iter().map(|(left, _)| *left).collect();
    seen.dedup();
    let wanted: Vec<Option<u64>> = [90, 80, 70, 60, 50, 40, 30].into_iter().chain((0..30).rev()).map(Some).chain([None]).collect();
    assert_eq!(seen, wanted);
}

#[test]
fn nothing_is_received_decided_or_called_where_nothing_may_be_changed() {
    for safety in [Safety { mode: Mode::ReadOnly, ..Safety::default() }, Safety { production: true, ..Safety::default() }] {
        let mut stage = stage_with(120, 40, safety);
        stage.keys("x r Enter Esc k x c ^s");
        assert!(!stage.effects.iter().any(|e| matches!(e, Effect::Hold { .. } | Effect::Call { .. })));
        stage.keys("Esc Esc j x l Enter");
        assert!(stage.effects.iter().any(|e| matches!(e, Effect::Peek { agreed: false, .. })), "looking is offered, and asked for");
    }
}

#[test]
fn marks_are_left_only_after_they_were_agreed_to() {
    let mut stage = stage(120, 40);
    stage.keys("x l Enter");
    let (task, address) = (stage.task(), Address::new("events", "tasks"));
    stage.event(Event::PeekMarks { task, address, marks: "redelivered is set".into() });
    let agreed = |stage: &Stage| stage.effects.iter().filter(|e| matches!(e, Effect::Peek { agreed: true, .. })).count();
    stage.keys("n");
    assert_eq!(agreed(&stage), 0);
    stage.keys("x l Enter");
    let (task, address) = (stage.task(), Address::new("events", "tasks"));
    stage.event(Event::PeekMarks { task, address, marks: "redelivered is set".into() }).keys("y");
    assert_eq!(agreed(&stage), 1);
}

#[test]
fn nothing_is_taken_that_giving_back_may_end_before_that_was_agreed_to() {
    let mut stage = stage(120, 40);
    let agreed = |stage: &Stage| stage.effects.iter().filter(|e| matches!(e, Effect::Hold { agreed: true, .. })).count();
    for (key, count) in [("n", 0), ("y", 1)] {
        stage.keys("x r Enter");
        let task = stage.task();
        let spends = Settles { risk: Risk::Bulk, summary: "its delivery limit is not known".into() };
        stage.event(Event::HoldSpends { task, spends });
        let screen = stage.screen();
        assert!(screen.contains("What is not decided on of 10 messages is given back, and may end by that:"), "{screen}");
        assert!(screen.contains("its delivery limit is not known"), "{screen}");
        stage.keys(key);
        assert_eq!(agreed(&stage), count);
        stage.keys("Esc");
    }
}

#[test]
fn what_giving_back_deletes_is_taken_only_after_the_address_was_typed() {
    let mut stage = stage(120, 40);
    let agreed = |stage: &Stage| stage.effects.iter().filter(|e| matches!(e, Effect::Hold { agreed: true, .. })).count();
    stage.keys("x r Enter");
    let task = stage.task();
    let spends = Settles { risk: Risk::Destroy, summary: "the last delivery deletes it".into() };
    stage.event(Event::HoldSpends { task, spends });
    stage.keys("y Enter");
    assert_eq!(agreed(&stage), 0, "{}", stage.screen());
    assert!(stage.screen().contains("this is not events/tasks"), "{}", stage.screen());
    stage.event(Event::Key(KeyCode::Backspace.into())).text("events/tasks").keys("Enter");
    assert_eq!(agreed(&stage), 1, "{}", stage.screen());
}

#[test]
fn what_no_command_shows_is_said_where_it_would_be_copied() {
    let mut stage = stage(120, 40);
    stage.keys("k y");
    assert!(stage.screen().contains("a call needs its request"), "{}", stage.screen());
    stage.keys("c");
    assert!(!stage.effects.iter().any(|e| matches!(e, Effect::Copy(_))), "a command was copied");
    assert!(stage.screen().contains("Command: mqdeck …: a call needs its request"), "{}", stage.screen());
    stage.keys("Esc j y c");
    let copied =
        stage.effects.iter().rev().find_map(|e| if let Effect::Copy(Copy::Text(text, _)) = e { Some(text.as_str()) } else { None });
    assert_eq!(copied, Some("mqdeck --profile prod-eu peek events/tasks"));
}
