//! What keys and answers lead to, seen from outside: effects, and words on the screen.

use super::stage::{NOW, Stage, view, views};
use crate::app::effect::{Copy, EditPurpose};
use crate::app::event::{HistoryUpdate, JobUpdate, Opened, OpenedIntegration, TailUpdate};
use crate::app::model::Screen;
use crate::app::{Effect, Event, TaskId};
use crate::domain::address::Address;
use crate::domain::fault::{Fault, Kind};
use crate::domain::operation::Plan;
use crate::domain::position::{Bound, Position, Range};
use crate::domain::receipt::Receipt;
use crate::domain::safety::Safety;
use crate::domain::view::Counts;
use bytes::Bytes;
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

fn stage() -> Stage {
    let mut stage = Stage::new(120, 40, false);
    stage.loaded();
    stage
}

fn watching(count: u64) -> Stage {
    let mut stage = stage();
    stage.live(views(count));
    stage
}

fn update(first: u64, count: u64, seen: u64) -> TailUpdate {
    let views = (first..first + count).map(|id| view(id, "orders.created", None, Some(b"x"))).collect();
    TailUpdate { views, counts: Counts { seen, bytes: seen }, matched: seen, ..TailUpdate::default() }
}

fn quits(stage: &Stage) -> bool {
    stage.effects.contains(&Effect::Quit)
}

fn publishes(stage: &Stage) -> Vec<&Plan> {
    stage.effects.iter().filter_map(|e| if let Effect::Publish { plan, .. } = e { Some(plan) } else { None }).collect()
}

#[test]
fn enter_on_marked_channels_tails_them_all() {
    let mut stage = stage();
    stage.keys("2 j Space Space Enter");
    let tailed =
        stage.effects.iter().find_map(|e| if let Effect::StartTail { addresses, .. } = e { Some(addresses.clone()) } else { None });
    let names = ["audit.events.incidents", "grey.results.tenant-123"];
    assert_eq!(tailed, Some(names.map(|name| Address::new("events", name)).to_vec()));
}

#[test]
fn answers_of_a_task_that_was_replaced_are_ignored() {
    let mut stage = watching(3);
    let old = stage.task();
    stage.text("/key == \"c-1\"").keys("Enter");
    assert!(stage.effects.contains(&Effect::StopTask(old)));
    let revision = stage.model.revision;
    stage.event(Event::Tail { task: old, update: update(900, 5, 5) });
    stage.event(Event::TailStarted { task: old, result: Err(Fault::new(Kind::Timeout, "tail", "", "late")) });
    assert_eq!((stage.model.traffic.window.len(), stage.model.revision), (0, revision));
}

#[test]
fn moving_holds_the_list_and_every_message_stays_counted() {
    let mut stage = watching(10);
    let task = stage.task();
    stage.keys("j");
    let selected = stage.model.traffic.selected().expect("a message").id;
    stage.event(Event::Tail { task, update: update(1_000, 2_000, 2_010) });
    assert_eq!(stage.model.traffic.selected().map(|v| v.id), Some(selected), "nothing moves under the cursor");
    assert_eq!((stage.model.traffic.window.len(), stage.model.traffic.dropped()), (10, 0));
    stage.keys("Esc Esc");
    assert!(!stage.model.traffic.hold, "Esc closes the detail, then lets the list run");
    assert_eq!((stage.model.traffic.window.len(), stage.model.traffic.dropped()), (2_000, 10));
    assert_eq!(stage.model.traffic.counts.seen, 2_010);
}

#[test]
fn nothing_is_sent_before_a_yes_and_then_exactly_what_was_there() {
    let mut stage = watching(8);
    stage.keys("j x s ^s n");
    assert_eq!(publishes(&stage), Vec::<&Plan>::new());
    stage.keys("^s y");
    let original = view(8, "orders.created", None, None).message;
    let Some(Plan::Publish { address, messages }) = publishes(&stage).first() else { panic!("nothing was published") };
    assert_eq!(*address, Address::new("events", "orders.created"));
    assert_eq!(messages[0].headers, original.headers, "order, duplicates, missing and binary values");
    assert_eq!(messages[0].key.as_deref(), Some(&b"c-56"[..]));
    assert!(messages[0].payload.as_ref().is_some_and(|p| p.starts_with(b"{\"id\":\"o-8\"")));
    let task = stage.task();
    stage.event(Event::Published { task, result: Ok(Receipt::Stored(Position::Offset { partition: 3, offset: 7 })) });
    assert_eq!(stage.model.screen, Screen::Traffic);
    assert!(stage.screen().contains("Published to events/orders.created: stored at 3@7"));
}

#[test]
fn a_refused_publish_leaves_the_form_as_it_was() {
    let mut stage = watching(8);
    stage.keys("x p").text("precious").keys("^s y");
    let task = stage.task();
    stage.event(Event::Published { task, result: Err(Fault::new(Kind::Forbidden, "publish", "events/orders.created", "no WRITE")) });
    let screen = stage.screen();
    assert!(screen.contains("precious") && screen.contains("no WRITE"), "{screen}");
}

#[test]
fn what_a_window_cut_is_fetched_before_it_is_sent_again() {
    let mut stage = stage();
    let mut cut = view(1, "orders.created", None, Some(b"only the beg"));
    cut.whole = false;
    stage.live(vec![cut]).keys("j x s");
    assert_eq!(stage.model.screen, Screen::Traffic);
    let task = stage.task();
    let whole = view(1, "orders.created", None, Some(b"only the beginning and the end"));
    stage.event(Event::Fetched { task, result: Ok(Box::new(whole)) }).keys("^s y");
    let Some(Plan::Publish { messages, .. }) = publishes(&stage).first() else { panic!("nothing was published") };
    assert_eq!(messages[0].payload.as_deref(), Some(&b"only the beginning and the end"[..]));
}

#[test]
fn no_single_key_writes() {
    let mut codes: Vec<KeyEvent> = (' '..='~').map(|c| KeyEvent::from(KeyCode::Char(c))).collect();
    codes.extend(('a'..='z').map(|c| KeyEvent::new(KeyCode::Char(c), KeyModifiers::CONTROL)));
    codes.extend([KeyCode::Enter, KeyCode::Delete, KeyCode::Backspace, KeyCode::Insert, KeyCode::F(5)].map(KeyEvent::from));
    for key in codes {
        for screen in ["1", "2 j", "3"] {
            let mut stage = watching(3);
            stage.keys("j").keys(screen);
            let before = stage.effects.len();
            stage.event(Event::Key(key));
            let wrote = stage.effects[before..].iter().any(|e| matches!(e, Effect::Publish { .. } | Effect::Export { .. }));
            assert!(!wrote, "{key:?} on {screen}");
        }
    }
}

#[test]
fn a_read_only_profile_says_why_it_refuses() {
    let mut stage = Stage::new(120, 40, false);
    let integrations = vec![OpenedIntegration { name: "events".into(), system: "Kafka", endpoint: "k:9092".into() }];
    let opened = Opened {
        name: "prod".into(),
        options: Vec::new(),
        demo: false,
        safety: Safety::default().read_only(),
        unverified_tls: true,
        integrations,
        show: None,
    };
    stage.event(Event::ProfileOpened(opened)).listed(&["orders.created"]).live(views(3)).keys("j x s");
    assert_eq!(stage.model.screen, Screen::Traffic);
    let screen = stage.screen();
    for words in ["READ-ONLY", "TLS NOT VERIFIED", "the profile is read-only"] {
        assert!(screen.contains(words), "{words}: {screen}");
    }
}

#[test]
fn pasted_text_is_never_read_as_keys() {
    let mut stage = watching(3);
    let before = stage.effects.len();
    stage.event(Event::Paste("q\u{3}xpy".into()));
    assert_eq!(stage.effects.len(), before);
    stage.keys("/").event(Event::Paste("key == \"x\"\n".into()));
    assert_eq!(stage.model.typing.as_ref().map(|t| t.editor.text()).as_deref(), Some("key == \"x\" "));
}

#[test]
fn esc_never_quits_and_q_asks_only_if_work_runs() {
    let mut stage = stage();
    for _ in 0..10 {
        stage.keys("Esc");
    }
    assert!(!quits(&stage));
    let job = JobUpdate { title: "export".into(), done: 1, total: None, end: None };
    stage.event(Event::Job { task: TaskId(77), update: job }).keys("q");
    assert!(!quits(&stage) && stage.screen().contains("Quit?"));
    stage.keys("n ^c");
    assert!(stage.effects.contains(&Effect::StopTask(TaskId(77))));
    stage.keys("q");
    assert!(quits(&stage), "nothing runs any more");
}

#[test]
fn ctrl_c_twice_quits_but_not_after_a_while() {
    let mut stage = stage();
    stage.keys("^c").after(5_000).keys("^c");
    assert!(!quits(&stage));
    stage.after(500).keys("^c");
    assert!(quits(&stage));
}

#[test]
fn a_query_with_bounds_reads_history_and_a_wrong_one_reads_nothing() {
    let mut stage = watching(3);
    let before = stage.effects.len();
    stage.text("/value.total >").keys("Enter");
    assert_eq!(stage.effects.len(), before, "a mistake is shown, not sent");
    stage.keys("Esc").text("/from end-100 where value.total > 100").keys("Enter");
    let read = stage
        .effects
        .iter()
        .find_map(|e| if let Effect::ReadHistory { range, filter, .. } = e { Some((*range, filter.clone())) } else { None });
    let range = Range { start: Bound::BeforeEnd(100), end: Bound::Latest };
    assert_eq!(read, Some((range, "from end-100 where value.total > 100".to_owned())));
}

#[test]
fn history_is_cancelled_by_ctrl_c_and_what_was_read_stays() {
    let mut stage = watching(3);
    stage.keys("H Enter");
    let task = stage.task();
    stage.event(Event::History { task, update: HistoryUpdate { views: views(5), scanned: 5, matched: 5, ..HistoryUpdate::default() } });
    assert_eq!(stage.model.jobs.len(), 1, "reading is shown as work");
    stage.keys("^c");
    assert!(stage.effects.contains(&Effect::StopTask(task)));
    assert_eq!((stage.model.jobs.len(), stage.model.traffic.window.len()), (0, 5));
}

#[test]
fn a_looked_at_message_is_decoded_once() {
    let mut stage = watching(3);
    let decodes = |stage: &Stage| stage.effects.iter().filter(|e| matches!(e, Effect::Decode { .. })).count();
    stage.keys("j");
    assert_eq!(decodes(&stage), 1);
    stage.keys("Enter Esc w w");
    assert_eq!(decodes(&stage), 1);
}

#[test]
fn copies_say_what_a_shell_needs() {
    let mut stage = watching(3);
    stage.keys("y c j y c");
    let copied: Vec<&str> =
        stage.effects.iter().filter_map(|e| if let Effect::Copy(Copy::Text(text, _)) = e { Some(text.as_str()) } else { None }).collect();
    assert_eq!(
        copied,
        [
            "mqdeck --profile prod-eu tail events/orders.created",
            "mqdeck --profile prod-eu tail events/orders.created --from 3@1003 --until latest --limit 1"
        ]
    );
    stage.keys("y k y v y j");
    let kinds = stage.effects.iter().filter(|e| matches!(e, Effect::Copy(Copy::Key(_) | Copy::Value(_) | Copy::Json(_)))).count();
    assert_eq!(kinds, 3);
}

#[test]
fn an_export_takes_the_marked_messages_or_all() {
    let mut stage = watching(5);
    stage.keys("j Space Space x e Enter");
    let exported = |stage: &Stage| {
        stage
            .effects
            .iter()
            .rev()
            .find_map(|e| if let Effect::Export { messages, path, .. } = e { Some((messages.len(), path.clone())) } else { None })
    };
    assert_eq!(exported(&stage), Some((2, "orders.created.jsonl".to_owned())));
    stage.keys("\\ x e Enter");
    assert_eq!(exported(&stage).map(|(count, _)| count), Some(5));
}

#[test]
fn an_editor_changes_the_value_and_adds_no_line_break() {
    let mut stage = watching(3);
    stage.keys("x p").text("one").keys("^e");
    assert!(stage.effects.iter().any(|e| matches!(e, Effect::Edit { purpose: EditPurpose::Value, bytes, .. } if *bytes == "one")));
    stage.event(Event::Edited { purpose: EditPurpose::Value, result: Ok(Bytes::from_static(b"two\n")) }).keys("^s y");
    let Some(Plan::Publish { messages, .. }) = publishes(&stage).first() else { panic!("nothing was published") };
    assert_eq!(messages[0].payload.as_deref(), Some(&b"two"[..]));
}

#[test]
fn missing_and_empty_are_told_apart_in_the_form() {
    let mut stage = watching(3);
    stage.keys("x p ^n ^s y");
    let Some(Plan::Publish { messages, .. }) = publishes(&stage).first() else { panic!("nothing was published") };
    assert_eq!((messages[0].payload.as_ref(), messages[0].key.as_deref()), (None, None));
    let task = stage.task();
    stage.event(Event::Published { task, result: Ok(Receipt::Accepted) }).keys("x p Tab Tab Tab ^n ^s y");
    let Some(Plan::Publish { messages, .. }) = publishes(&stage).get(1).copied() else { panic!("nothing was published") };
    assert_eq!((messages[0].payload.as_deref(), messages[0].key.as_deref()), (Some(&b""[..]), Some(&b""[..])));
}

#[test]
fn a_message_can_be_given_its_time() {
    let mut stage = watching(3);
    stage.keys("x p Tab Tab").text("yesterdy").keys("^s");
    assert!(publishes(&stage).is_empty(), "a time that cannot be read is not sent");
    stage.keys("^u").text("2026-02-05T10:00:00Z").keys("^s y");
    let Some(Plan::Publish { messages, .. }) = publishes(&stage).first() else { panic!("nothing was published") };
    assert_eq!(messages[0].timestamp.map(|t| t.0), Some(1_770_285_600_000));
}

#[test]
fn history_of_several_channels_is_read_in_one() {
    let mut stage = stage();
    stage.keys("2 Space Space Enter");
    let tailed = stage.model.traffic.addresses.clone();
    assert_eq!(tailed.len(), 2);
    stage.keys("H ^u").text("end-10").keys("Enter");
    let read =
        stage.effects.iter().find_map(|e| if let Effect::ReadHistory { addresses, .. } = e { Some(addresses.clone()) } else { None });
    assert_eq!(read, Some(tailed));
}

#[test]
fn selection_stays_with_its_channel_when_the_list_changes() {
    let mut stage = stage();
    stage.keys("2 G");
    let before = stage.model.channels.list.selected().cloned();
    stage.listed(&["aaa", "bbb", "payments", "zzz"]);
    assert_eq!(stage.model.channels.list.selected().cloned(), before);
}

#[test]
fn an_unreachable_system_never_looks_empty() {
    let mut stage = stage();
    stage.keys("2");
    let fault = Fault::new(Kind::Unreachable, "list topics", "broker 1", "connection refused");
    stage.event(Event::Channels { integration: "events".into(), result: Err(fault) }).after(12_000);
    let screen = stage.screen();
    assert!(screen.contains("orders.paid") && screen.contains("(10 s old)"), "{screen}");
}

#[test]
fn the_palette_and_goto_do_what_they_name() {
    let mut stage = stage();
    stage.keys(":").text("events/orders.paid").keys("Enter");
    assert_eq!((stage.model.screen, stage.model.traffic.addresses.clone()), (Screen::Traffic, vec![Address::new("events", "orders.paid")]));
    stage.keys("^p").text("wire log").keys("Enter");
    assert_eq!(stage.model.screen, Screen::WireLog);
    stage.keys("-");
    assert_eq!(stage.model.screen, Screen::Traffic);
}

#[test]
fn goto_opens_any_address_and_says_what_cannot_be_one() {
    let open = |typed: &str| {
        let mut stage = stage();
        stage.keys(":").text(typed).keys("Enter");
        (stage.model.screen, stage.model.traffic.addresses.iter().map(ToString::to_string).collect::<Vec<_>>(), stage.screen())
    };
    for pattern in ["events/plant/+/state/#", "events/orders.>", "events/channel:news.*", "events/new.topic", "events@tenant-a/queue:tasks"]
    {
        let (screen, addresses, _) = open(pattern);
        assert_eq!((screen, addresses), (Screen::Traffic, vec![pattern.to_owned()]));
    }
    // A listed channel goes before what was typed only in part.
    assert_eq!(open("events/orders.pai").1, ["events/orders.paid"]);
    let (screen, _, said) = open("evnets/plant/#");
    assert_eq!(screen, Screen::Overview);
    assert!(said.contains("evnets/plant/#: no such integration: did you mean `events`?"), "{said}");
    let (_, addresses, said) = open("billing/group:payments");
    assert!(addresses.is_empty() && said.contains("Groups screen"), "{said}");
}

#[test]
fn waiting_is_quiet_at_first_and_says_so_later() {
    let mut stage = Stage::new(100, 30, false);
    stage.keys("d");
    assert!(!stage.screen().contains("Opening demo…"));
    assert_eq!(stage.model.next_deadline().0 - NOW.0, 150);
    stage.after(150);
    assert!(stage.screen().contains("Opening demo…"));
}

#[test]
fn the_same_key_is_asked_for_by_its_own_bytes() {
    for (key, query) in
        [(&b"c-\"1\\"[..], r#"key == "c-\"1\\""#), (b"\xff\x00id", r#"key == b"\xff\x00id""#), ("é\n".as_bytes(), r#"key == "é\n""#)]
    {
        let mut stage = stage();
        stage.live(vec![view(1, "orders.created", Some(key), None)]).keys("j O");
        assert_eq!(stage.model.traffic.filter, query);
        crate::domain::query::Query::parse(query, &jiff::Zoned::default()).expect("a query");
    }
}

#[test]
fn a_copy_that_was_edited_says_so_and_warns_where_its_json_is_broken() {
    let mut stage = stage();
    stage.live(vec![view(1, "orders.created", Some(b"k"), Some(br#"{"a":1}"#))]).keys("j x s");
    assert!(stage.screen().contains("byte for byte"), "{}", stage.screen());
    stage.text(" ");
    assert!(!stage.screen().contains("byte for byte"), "{}", stage.screen());
    let mut stage = self::stage();
    stage.live(vec![view(1, "orders.created", Some(b"k"), Some(br#"{"a":1}"#))]).keys("j x s").text("}");
    assert!(stage.screen().contains("no JSON any more"), "{}", stage.screen());
    stage.keys("^s");
    assert!(stage.screen().contains("the value was JSON, and is not any more"), "{}", stage.screen());
}

#[test]
fn a_copied_command_opens_the_same_profile_range_and_channel() {
    use crate::app::command_line::of;
    use crate::app::screens::traffic::Source;
    let mut stage = watching(3);
    let one = [Address::new("events", "orders.created")];
    let two = [one[0].clone(), Address::new("nats", "topic:a b\u{202e}")];
    let range = Range::between(None, None);
    let history = |text: &str| Source::History { range, text: text.to_owned() };
    let mut copied = Vec::new();
    for (source, filter, addresses) in [
        (Source::Live, "key == \"it's\"", &one[..]),
        (history("2h ago until 1h ago"), "", &one),
        (history("end-500"), "x", &one),
        (history("from yesterday"), "x", &two),
    ] {
        stage.model.traffic.source = source;
        stage.model.traffic.filter = filter.to_owned();
        copied.push(of(&stage.model, addresses, None).expect("a command"));
    }
    let mut unstored = view(900, "site/1", None, Some(b"x"));
    unstored.message.position = Position::Arrival(1);
    let mut sequence = view(901, "stream:S", None, Some(b"x"));
    sequence.message.position = Position::Sequence(17);
    stage.model.traffic.source = Source::Live;
    stage.model.traffic.filter.clear();
    copied.extend([&unstored, &sequence].map(|view| of(&stage.model, &one, Some(view)).expect("a command")));
    stage.model.screen = Screen::Channels;
    stage.model.traffic.source = history("end-5");
    copied.push(of(&stage.model, &one, None).expect("a command"));
    assert_eq!(
        copied,
        [
            "mqdeck --profile prod-eu tail events/orders.created --where 'key == \"it'\\''s\"'",
            "mqdeck --profile prod-eu find events/orders.created '' --from '2h ago' --until '1h ago'",
            "mqdeck --profile prod-eu find events/orders.created x --from end-500",
            "mqdeck --profile prod-eu tail events/orders.created 'nats/topic:a b\\xe2\\x80\\xae' --from yesterday --until latest --where x",
            "mqdeck --profile prod-eu tail events/site/1",
            "mqdeck --profile prod-eu tail events/stream:S --from @17 --until latest --limit 1",
            "mqdeck --profile prod-eu tail events/orders.created",
        ]
    );
}

#[test]
fn what_is_not_whole_and_stored_nowhere_is_neither_copied_sent_again_nor_exported_and_each_says_why() {
    let mut cut = view(1, "orders.created", Some(b"k"), Some(b"only the beginn"));
    (cut.whole, cut.message.position) = (false, Position::Arrival(1));
    let whole = view(2, "orders.created", Some(b"k"), Some(b"all of it"));
    let mut stage = stage();
    stage.live(vec![whole, cut.clone()]).keys("j j");
    assert_eq!(stage.model.message().map(|view| view.id), Some(2));
    stage.keys("k");
    assert_eq!(stage.model.message().map(|view| (view.id, view.whole)), Some((1, false)));
    let before = stage.effects.len();
    for (keys, reason) in [
        ("y v", "Value: only the beginning of this message was kept, and its system stores none"),
        ("y j", "As JSON: only the beginning of this message was kept"),
        ("x s", "Send this message again…: only the beginning of this message was kept"),
        ("x e", "only the beginning of 1 message was kept, and its system stores none"),
    ] {
        stage.keys(keys);
        assert!(stage.screen().contains(reason), "{keys}: {}", stage.screen());
        stage.keys("Esc Esc");
    }
    let begun = stage.effects[before..].iter().find(|e| {
        matches!(e, Effect::Copy(_) | Effect::Fetch { .. } | Effect::Export { .. } | Effect::Publish { .. } | Effect::Edit { .. })
    });
    assert_eq!((begun, stage.model.screen), (None, Screen::Traffic));
    // The same message where it is stored is fetched.
    cut.message.position = Position::Offset { partition: 0, offset: 1 };
    let mut stage = self::stage();
    stage.live(vec![cut]).keys("j x s");
    assert!(matches!(stage.effects.last(), Some(Effect::Fetch { .. })), "{:?}", stage.effects.last());
}
