//! Known envelopes in the detail pane, templates in the publish form, and ids that are followed.

use super::stage::{Stage, view};
use crate::app::event::{HistoryUpdate, TailNote, TailUpdate};
use crate::app::{Effect, Event};
use crate::domain::address::Address;
use crate::domain::channel::Channel;
use crate::domain::envelope::{Id, IdKind};
use crate::domain::fault::{Fault, Kind};
use crate::domain::operation::{Field, Plan, PublishSpec};
use crate::domain::position::Position;
use crate::domain::value::Value;
use crate::domain::view::Decoded;

fn object(entries: &[(&str, Value)]) -> Value {
    Value::Object(entries.iter().map(|(name, value)| ((*name).into(), value.clone())).collect())
}

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

/// What seed 4's services write.
fn incident() -> Value {
    let created = object(&[
        ("incident_id", text("inc-001")),
        ("severity", text("critical")),
        ("incident_type", text("outage")),
        ("title", text("Production database down")),
    ]);
    let metadata = object(&[
        ("message_id", text("0190f8a4-0000-7000-8000-000000000001")),
        ("correlation_id", text("req-123")),
        ("timestamp", Value::Number("1770300432".into())),
        ("source", text("alert-service")),
        ("version", text("1.0")),
    ]);
    object(&[("payload", object(&[("Created", created)])), ("metadata", metadata)])
}

fn shot(name: &str, reach: impl Fn(&mut Stage)) {
    for (width, height) in [(80, 24), (120, 40), (160, 45)] {
        let mut stage = Stage::new(width, height, false);
        stage.loaded();
        reach(&mut stage);
        insta::with_settings!({ snapshot_path => "../../snapshots", prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!(format!("{name}-{width}x{height}"), stage.screen());
        });
    }
}

#[test]
fn envelopes_and_templates_look_as_they_were_looked_at() {
    shot("traffic-envelope", |s| {
        s.live(vec![view(1, "orders.created", Some(b"inc-001"), Some(br#"{"payload":{"Created":{"incident_id":"inc-001"}}}"#))]);
        s.keys("j Enter");
        let decoded = Decoded { format: "JSON", why: "by content".into(), value: Some(incident()), notes: Vec::new() };
        s.event(Event::Decoded { id: 1, result: Ok(decoded) });
    });
    shot("publish-templates", |s| _ = s.keys("2 j x p ^t").text("created"));
    shot("publish-template", |s| _ = s.keys("2 j x p ^t").text("created").keys("Enter"));
}

const fn option(id: &'static str, title: &'static str) -> Field {
    Field::text(id, title, "as these tests have it")
}

/// More fields than a small screen has rows for.
const MANY: PublishSpec = PublishSpec { key: true, tombstone: false, timestamp: true, fields: FIELDS };
const FIELDS: &[Field] = &[
    option("priority", "Priority"),
    option("expires", "Expires after"),
    option("id", "Message id"),
    option("correlation", "Correlation id"),
    option("reply", "Reply to"),
    option("type", "Type"),
    option("content", "Content type"),
    option("encoding", "Content encoding"),
    option("application", "Application"),
    option("user", "User"),
    option("mandatory", "Mandatory"),
    option("persistent", "Persistent"),
    option("last", "The last of them"),
];

#[test]
fn a_form_with_many_fields_leaves_room_for_the_value_and_goes_on_to_what_does_not_fit() {
    for (width, height) in [(80, 24), (160, 45)] {
        let mut stage = Stage::new(width, height, false);
        stage.loaded().event(Event::Publishes { integration: "events".into(), spec: Some(&MANY) });
        stage.keys("2 j x p").text("{\"id\": 1}");
        let begun = stage.screen();
        stage.keys("Tab Tab Tab Tab Tab Tab Tab Tab Tab Tab Tab Tab Tab");
        assert!(stage.screen().contains("▸ The last of them"), "{}", stage.screen());
        insta::with_settings!({ snapshot_path => "../../snapshots", prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!(format!("publish-many-{width}x{height}"), begun);
            insta::assert_snapshot!(format!("publish-many-last-{width}x{height}"), stage.screen());
        });
    }
}

fn value(stage: &Stage) -> String {
    let form = stage.model.form.as_ref().expect("the form");
    String::from_utf8(form.value.bytes().expect("a value").to_vec()).expect("text")
}

#[test]
fn a_template_is_filled_anew_each_time_and_never_over_what_was_typed() {
    let mut stage = Stage::new(120, 40, false);
    stage.loaded().keys("2 j x p ^t").text("policy proposed").keys("Enter");
    let first = value(&stage);
    assert!(first.contains("\"event_type\": \"PolicyProposed\""), "{first}");
    stage.keys("^t").text("policy proposed").keys("Enter");
    assert_ne!(value(&stage), first, "ids are fresh");
    stage.keys("^t").text("cloudevent").keys("Enter").text(" ");
    let typed = value(&stage);
    stage.keys("^t").keys("Esc");
    assert_eq!(value(&stage), typed);
    stage.keys("n ^s");
    let headers = &stage.model.form.as_ref().expect("the form").headers.text();
    assert!(headers.contains("content-type: application/cloudevents+json") && headers.contains("event_type: PolicyProposed"), "{headers}");
    stage.keys("y");
    assert!(stage.effects.iter().any(|e| matches!(e, Effect::Publish { plan: Plan::Publish { messages, .. }, .. } if messages.len() == 1)));
}

fn followed(stage: &Stage) -> Option<crate::app::TaskId> {
    stage.effects.iter().rev().find_map(|e| if let Effect::Follow { task, .. } = e { Some(*task) } else { None })
}

/// Traffic of one channel, of which the first message is followed.
fn following(s: &mut Stage) -> crate::app::TaskId {
    s.live(vec![view(1, "orders.created", Some(b"c-1"), Some(b"{\"id\":1}")), view(2, "orders.created", None, Some(b"{}"))]);
    s.keys("j o");
    let task = followed(s).expect("a trail is followed");
    let id = |kind, text: &str| Id { kind, text: text.to_owned() };
    let ids = vec![id(IdKind::Correlation, "req-123"), id(IdKind::Trace, "4bf92f3577b34da6a3ce929d0e0e4736")];
    s.event(Event::Follows { task, ids });
    task
}

/// Messages of three channels, not in the order of time.
fn found(s: &mut Stage, task: crate::app::TaskId, end: bool) {
    let views = vec![
        view(40, "orders.paid", Some(b"c-1"), Some(br#"{"paid":true}"#)),
        view(7, "orders.created", Some(b"c-1"), Some(br#"{"id":1}"#)),
        view(23, "payments", None, Some(br#"{"state":"authorised"}"#)),
    ];
    let notes = if end {
        vec![
            "not looked at: jobs/tasks, jobs/mail: it is a queue: looking into it would mark or take its messages".into(),
            "not looked at: billing: connect broker 10.0.0.4:9093: unreachable: connection refused".into(),
        ]
    } else {
        Vec::new()
    };
    let said = Some(
        if end {
            "11 of 11 channels   1.2 M messages looked at   3 found"
        } else {
            "4 of 11 channels   0.4 M messages looked at   3 found"
        }
        .into(),
    );
    let update =
        HistoryUpdate { views, scanned: 1_204_000, matched: 3, said, notes, end: end.then_some(Ok(())), ..HistoryUpdate::default() };
    s.event(Event::History { task, update });
}

#[test]
fn a_trail_looks_as_it_was_looked_at() {
    shot("follow-begun", |s| {
        following(s);
        s.after(2_500);
    });
    shot("follow-running", |s| {
        let task = following(s);
        found(s, task, false);
    });
    shot("follow-done", |s| {
        let task = following(s);
        found(s, task, true);
        s.keys("j");
    });
    shot("follow-nothing", |s| {
        let task = following(s);
        let note = "not looked at: billing: connect broker 10.0.0.4:9093: unreachable: connection refused".into();
        s.event(Event::History { task, update: HistoryUpdate { notes: vec![note], end: Some(Ok(())), ..HistoryUpdate::default() } });
    });
    shot("follow-no-ids", |s| {
        let task = following(s);
        let fault = Fault::new(
            Kind::Usage,
            "follow",
            "events/orders.created#2@1002",
            "this message has no correlation id, no trace id and no message id",
        );
        s.event(Event::History { task, update: HistoryUpdate { end: Some(Err(fault)), ..HistoryUpdate::default() } });
    });
}

#[test]
fn a_trail_is_one_timeline_and_is_left_to_where_it_began() {
    let mut stage = Stage::new(120, 40, false);
    stage.loaded();
    let task = following(&mut stage);
    found(&mut stage, task, false);
    let late = TailUpdate { views: vec![view(12, "sensors", None, Some(b"x"))], ..TailUpdate::default() };
    stage.event(Event::Tail { task, update: late });
    let order: Vec<u64> = (0..4).map(|row| stage.model.traffic.key_at(row)).collect();
    assert_eq!(order, [7, 12, 23, 40], "in the order of time, wherever they came from");
    stage.keys("Esc");
    assert!(stage.effects.contains(&Effect::StopTask(task)), "the search ends at once");
    assert!(stage.model.traffic.is_live() && stage.model.jobs.is_empty());
    assert_eq!(stage.model.traffic.addresses, [Address::new("events", "orders.created")]);
}

#[test]
fn messages_that_have_no_place_of_their_own_leave_no_empty_column() {
    let mut stage = Stage::new(120, 40, false);
    stage.loaded();
    let mut loose = view(1, "orders.created", None, Some(b"{}"));
    loose.message.position = Position::Arrival(1);
    stage.live(vec![loose.clone()]);
    assert!(!stage.screen().contains("position"), "{}", stage.screen());
    let screen = stage.keys("j Enter").screen();
    assert!(screen.contains("events/orders.created") && !screen.contains("orders.created#"), "{screen}");
    let mut stage = Stage::new(120, 40, false);
    stage.loaded().live(vec![loose, view(2, "orders.created", None, Some(b"{}"))]);
    assert!(stage.screen().contains("position"), "{}", stage.screen());
}

#[test]
fn a_description_stays_with_the_channel_that_a_filter_leaves_selected() {
    let mut stage = Stage::new(160, 45, false);
    stage.loaded().keys("2 d").text("/payments").keys("Enter");
    let asked =
        stage.effects.iter().rev().find_map(|e| if let Effect::Describe { address, .. } = e { Some(address.clone()) } else { None });
    assert_eq!(asked, Some(Address::new("events", "payments")));
}

#[test]
fn watching_on_says_what_interrupts_it_and_that_it_goes_on() {
    let mut stage = Stage::new(120, 40, false);
    stage.loaded();
    let task = following(&mut stage);
    found(&mut stage, task, true);
    assert!(stage.screen().contains("watching"), "{}", stage.screen());
    let fault = Fault::new(Kind::Unreachable, "tail", "sensors", "nothing listens there");
    let notes = vec![TailNote::Interrupted { integration: "sensors".into(), fault }];
    stage.event(Event::Tail { task, update: TailUpdate { notes, ..TailUpdate::default() } });
    let screen = stage.screen();
    assert!(screen.contains("interrupted") && screen.contains("No messages from sensors for"), "{screen}");
    let notes = vec![TailNote::Resumed { integration: "sensors".into(), lost: None }];
    stage.event(Event::Tail { task, update: TailUpdate { notes, ..TailUpdate::default() } });
    let screen = stage.screen();
    assert!(screen.contains("watching") && screen.contains("it is unknown whether messages were missed"), "{screen}");
}

#[test]
fn cancelling_ends_a_trail_and_leaves_what_was_found() {
    let mut stage = Stage::new(120, 40, false);
    stage.loaded();
    let task = following(&mut stage);
    found(&mut stage, task, false);
    stage.keys("^c");
    assert!(stage.effects.contains(&Effect::StopTask(task)));
    assert_eq!(stage.model.traffic.window.len(), 3);
}

#[test]
fn what_was_seen_is_part_of_a_trail_where_nothing_keeps_it() {
    for (can_history, kept_by, taken) in [(false, None, 2), (false, Some("orders.paid"), 0), (true, None, 0)] {
        let mut stage = Stage::new(120, 40, false);
        stage.loaded();
        stage.live(vec![view(1, "orders.created", None, Some(b"{}")), view(2, "orders.created", None, Some(b"{}"))]);
        let mut channels = stage.model.integration("events").expect("there").channels.clone();
        for channel in channels.iter_mut().filter(|channel| &*channel.name == "orders.created") {
            (channel.can.history, channel.kept_by) = (can_history, kept_by.map(Into::into));
        }
        stage.event(Event::Channels { integration: "events".into(), result: Ok(channels) }).keys("j o");
        let window = stage.effects.iter().rev().find_map(|effect| match effect {
            Effect::Follow { window, .. } => Some(window.len()),
            _ => None,
        });
        assert_eq!(window, Some(taken), "{can_history} {kept_by:?}");
    }
}

#[test]
fn the_form_says_that_publishers_are_blocked() {
    let mut stage = Stage::new(120, 40, false);
    stage.loaded();
    let mut channels = stage.model.integration("events").expect("there").channels.clone();
    let fault = Fault::new(Kind::Rejected, "publish through", "vhost:/", "publishers are blocked: memory alarm of rabbit@a");
    channels.push(Channel { fault: Some(fault), blocks: true, ..Channel::named("vhost:/", "vhost") });
    stage.event(Event::Channels { integration: "events".into(), result: Ok(channels) });
    assert!(stage.keys("1").screen().contains("publishers are blocked: memory alarm of rabbit@a"));
    stage.keys("2 j j x p");
    assert!(stage.screen().contains("publishers are blocked: memory alarm of rabbit@a"), "{}", stage.screen());
}
