//! Every screen in every size and state, reached by events alone; and what must hold for every frame.

use super::stage::{HOSTILE, NAMES, Stage, decoded, description, down, lines, view, views};
use super::stage_groups::MADE;
use super::theme::{Depth, Theme};
use super::widgets::text::find_hidden;
use crate::app::event::{HistoryUpdate, JobUpdate, Level, TailNote, TailUpdate};
use crate::app::{Effect, Event, TaskId};
use crate::domain::fault::{Fault, Kind};
use crate::domain::health::Link;
use crate::domain::operation::Done;
use crate::domain::safety::Safety;
use crate::domain::text::SafeText;
use crate::domain::view::{Counts, Side};
use crossterm::event::{KeyCode, KeyEvent};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use std::time::Duration;

const SIZES: [(u16, u16); 3] = [(80, 24), (120, 40), (160, 45)];

/// A state of the console: how it is called, and how it is reached.
pub(super) type Scene = (&'static str, fn(&mut Stage));

fn refused() -> Fault {
    Fault::new(Kind::Forbidden, "read", "events/orders.created", "the broker refuses to let user alice read this topic")
        .next("ask for READ on topic orders.created")
}

fn up() -> Link {
    Link::Up { latency: Duration::from_millis(2) }
}

pub(super) const SCENES: &[Scene] = &[
    ("welcome", |_| {}),
    ("welcome-opening", |s| {
        s.keys("d").after(200);
    }),
    ("welcome-failed", |s| {
        s.keys("u").text("localhost:1").keys("Enter");
        let fault = Fault::new(Kind::Unreachable, "connect", "localhost:1", "connection refused").next("is the broker running there?");
        s.event(Event::ProfileFailed { name: "localhost".into(), fault });
    }),
    ("connect-prompt-error", |s| {
        s.keys("u ^u").text("localhost").keys("Enter");
    }),
    ("profiles-loading", |s| {
        s.keys("0").after(2_500);
    }),
    ("profiles", |s| {
        s.profiles();
    }),
    ("profiles-empty", |s| {
        s.event(Event::Profiles(Vec::new())).keys("0");
    }),
    ("profiles-hostile", |s| {
        let fault = Fault::new(Kind::Usage, "read profile", HOSTILE, HOSTILE).next(HOSTILE);
        s.profiles().event(Event::ProfileFailed { name: HOSTILE.into(), fault });
    }),
    ("overview-connecting", |s| {
        s.opened(Link::Connecting);
    }),
    ("overview", |s| {
        s.loaded();
    }),
    ("overview-filtered-empty", |s| {
        s.loaded().text("/nothing");
    }),
    ("overview-stale", |s| {
        s.loaded().after(45_000);
    }),
    ("channels-loading", |s| {
        s.opened(up()).keys("2").after(1_200);
    }),
    ("channels-error", |s| {
        s.opened(down());
        s.event(Event::Link { integration: "events".into(), link: down() }).keys("2");
    }),
    ("channels-empty", |s| {
        s.opened(up());
        for integration in ["events", "billing"] {
            s.event(Event::Channels { integration: integration.into(), result: Ok(Vec::new()) });
        }
        s.keys("2");
    }),
    ("channels", |s| {
        s.loaded().keys("2 j j Space j Space");
    }),
    ("channels-internal-filtered", |s| {
        s.loaded().keys("2 i").text("/~ordc");
    }),
    ("channels-filtered-empty", |s| {
        s.loaded().keys("2").text("/paidd").keys("Enter");
    }),
    ("channels-stale", |s| {
        s.loaded().keys("2").after(65_000);
    }),
    ("channels-hostile", |s| {
        s.opened(up())
            .listed(&["plain", HOSTILE, "\u{202e}txt.exe", "漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字"])
            .keys("2");
    }),
    ("channels-describe", |s| {
        s.loaded().keys("2").text("/orders").keys("Enter d");
        let task = s.task();
        s.event(Event::Described { task, result: Ok(description("orders.created")) });
    }),
    ("channels-describe-error", |s| {
        s.loaded().keys("2 d");
        let task = s.task();
        s.event(Event::Described { task, result: Err(refused()) });
    }),
    ("channels-actions", |s| {
        s.loaded().keys("2 j x");
    }),
    ("traffic-nothing", |s| {
        s.loaded().keys("3");
    }),
    ("traffic-starting", |s| {
        s.loaded().keys("2").text("/orders.created").keys("Enter Enter").after(300);
    }),
    ("traffic-empty", |s| {
        s.loaded().keys("2").text("/orders.created").keys("Enter Enter");
        let task = s.task();
        s.event(Event::TailStarted { task, result: Ok(()) });
    }),
    ("traffic-error", |s| {
        s.loaded().keys("2").text("/orders.created").keys("Enter Enter");
        let task = s.task();
        s.event(Event::TailStarted { task, result: Err(refused()) });
    }),
    ("traffic-live", |s| {
        s.loaded().live(views(60));
    }),
    ("traffic-several", |s| {
        s.loaded().keys("2 Space Space Enter");
        let task = s.task();
        let views = vec![view(1, "orders.created", Some(b"c-1"), Some(b"{}")), view(2, NAMES[7], None, Some(b"text"))];
        let update = TailUpdate { views, counts: Counts { seen: 2, bytes: 6 }, matched: 2, ..TailUpdate::default() };
        s.event(Event::Tail { task, update });
    }),
    ("traffic-detail", |s| {
        s.loaded().live(views(60)).keys("j j Enter");
        s.event(Event::Decoded { id: 59, result: Ok(decoded()) });
    }),
    ("traffic-detail-hex", |s| {
        s.loaded().live(views(60)).keys("j j Enter w");
    }),
    ("traffic-held", |s| {
        s.loaded().live(views(60)).keys("j");
        let task = s.task();
        let views = (100..130).map(|id| view(id, "orders.created", None, Some(b"more"))).collect();
        let update = TailUpdate { views, counts: Counts { seen: 48_241, bytes: 0 }, matched: 90, ..TailUpdate::default() };
        s.after(1_000).event(Event::Tail { task, update });
    }),
    ("traffic-interrupted", |s| {
        s.loaded().live(views(12));
        let task = s.task();
        let notes = vec![TailNote::Interrupted {
            integration: "events".into(),
            fault: Fault::new(Kind::Unreachable, "fetch", "broker 1", "connection reset by kafka-1.prod.example:9092"),
        }];
        s.event(Event::Tail {
            task,
            update: TailUpdate { notes, counts: Counts { seen: 48_211, bytes: 0 }, matched: 12, ..TailUpdate::default() },
        });
        s.after(12_000);
    }),
    ("traffic-waits", |s| {
        s.loaded().live(views(12));
        let task = s.task();
        let why = "an open transaction holds back orders.created partition 3 from offset 1043 on (≥ 5 offsets); they come when it is \
                   committed or aborted";
        let notes = vec![TailNote::Waits { integration: "events".into(), why: Some(why.into()) }];
        let counts = Counts { seen: 48_211, bytes: 0 };
        s.event(Event::Tail { task, update: TailUpdate { notes, counts, matched: 12, ..TailUpdate::default() } });
    }),
    ("traffic-skipped", |s| {
        s.loaded().live(views(12));
        let task = s.task();
        let notes = vec![TailNote::Skipped { integration: "events".into(), count: Some(34_696), side: Side::Theirs }];
        let counts = Counts { seen: 165_304, bytes: 0 };
        s.event(Event::Tail { task, update: TailUpdate { notes, counts, matched: 12, ..TailUpdate::default() } });
    }),
    ("traffic-hostile", |s| {
        let bytes = HOSTILE.as_bytes();
        s.loaded()
            .live(vec![view(1, "orders.created", Some(bytes), Some(bytes)), view(2, HOSTILE, None, Some(b"\xff\xfe\x00"))])
            .keys("G Enter");
        s.event(Event::Decoded { id: 1, result: Ok(decoded()) });
    }),
    ("traffic-query-error", |s| {
        s.loaded().live(views(12)).text("/value.total > and");
    }),
    ("traffic-query-completion", |s| {
        s.loaded().live(views(12)).keys("j").event(Event::Decoded { id: 12, result: Ok(decoded()) });
        s.keys("Enter").text("/value.c");
    }),
    ("traffic-filtered-empty", |s| {
        s.loaded().live(views(3)).text("/key == \"nobody\"").keys("Enter");
        let task = s.task();
        s.event(Event::TailStarted { task, result: Ok(()) });
        s.event(Event::Tail { task, update: TailUpdate { counts: Counts { seen: 812, bytes: 9 }, ..TailUpdate::default() } });
    }),
    ("traffic-history", |s| {
        s.loaded().live(views(3)).keys("H Enter");
        let update = HistoryUpdate {
            views: views(14),
            scanned: 14,
            matched: 14,
            at_most: Some(14),
            notes: vec!["the start was found approximately: this broker cannot look up by time".into()],
            end: Some(Ok(())),
            ..HistoryUpdate::default()
        };
        s.history(update);
    }),
    ("traffic-history-incomplete", |s| {
        s.loaded().live(views(3)).keys("H Enter");
        let unread = |partition: i32| {
            let target = format!("orders.created partition {partition}");
            Fault::new(Kind::Unreachable, "read", target, "the leader does not answer").next("see which brokers are down")
        };
        let update = HistoryUpdate {
            views: views(60),
            scanned: 2_311,
            matched: 2_000,
            at_most: Some(9_000),
            notes: vec!["partition 3: a transaction is open since offset 100: what is behind it is not shown".into()],
            faults: vec![unread(1), unread(4)],
            end: Some(Ok(())),
            ..HistoryUpdate::default()
        };
        s.history(update);
    }),
    ("traffic-history-running", |s| {
        s.loaded().live(views(3)).keys("H ^u").text("3h ago until now").keys("Enter").after(6_000);
        s.history(HistoryUpdate { views: views(9), scanned: 1_204_000, matched: 9, at_most: Some(9_000_000), ..HistoryUpdate::default() });
    }),
    ("traffic-history-prompt-error", |s| {
        s.loaded().live(views(3)).keys("H ^u").text("somewhere").keys("Enter");
    }),
    ("traffic-copy", |s| {
        s.loaded().live(views(8)).keys("j y");
    }),
    ("traffic-actions", |s| {
        s.loaded().live(views(8)).keys("x");
    }),
    ("overview-lag", |s| {
        s.loaded().grouped().keys("2 1");
    }),
    ("channels-groups", |s| {
        s.loaded().grouped().keys("2");
    }),
    ("groups-loading", |s| {
        s.opened(up()).keys("4").after(1_200);
    }),
    ("groups-error", |s| {
        s.opened(up()).groups_failed().keys("4");
    }),
    ("groups-empty", |s| {
        s.opened(up()).board(Vec::new(), Vec::new()).event(Event::Groups { integration: "billing".into(), result: Ok(None) });
        s.keys("4");
    }),
    ("groups-unsupported", |s| {
        s.opened(up());
        for integration in ["events", "billing"] {
            s.event(Event::Groups { integration: integration.into(), result: Ok(None) });
        }
        s.keys("4");
    }),
    ("groups", |s| {
        s.loaded().grouped().keys("4 j");
    }),
    ("groups-filtered", |s| {
        s.loaded().grouped().keys("4").text("/pay").keys("Enter");
    }),
    ("groups-filtered-empty", |s| {
        s.loaded().grouped().keys("4").text("/nobody").keys("Enter");
    }),
    ("groups-of-channel", |s| {
        s.loaded().grouped().keys("2").text("/orders.paid").keys("Enter c");
    }),
    ("groups-stale", |s| {
        s.loaded().grouped().groups_failed().keys("4").after(65_000);
    }),
    ("groups-hostile", |s| {
        s.opened(up()).grouped_hostile().keys("4");
    }),
    ("group-loading", |s| {
        s.loaded().grouped().keys("4 Enter").after(1_200);
    }),
    ("group-error", |s| {
        s.loaded().grouped().keys("4 Enter");
        let task = s.group_task();
        s.event(Event::Group { task, result: Err(refused()) });
    }),
    ("group", |s| {
        s.loaded().grouped().keys("4 j Enter").group_seen("orders.created", &MADE[4]);
    }),
    ("group-hostile", |s| {
        s.opened(up()).grouped_hostile().keys("4 Enter").group_seen(HOSTILE, &MADE[4]);
    }),
    ("publish", |s| {
        s.loaded().live(views(8)).keys("x p").text("{\"id\": 1}").keys("Enter").text("second line");
    }),
    ("publish-again", |s| {
        s.loaded().live(views(8)).keys("j x s");
    }),
    ("publish-binary", |s| {
        s.loaded().live(vec![view(4, "orders.created", Some(b"\x00\x01"), Some(b"\x81\xa2id\x01\xff\x1b[2J"))]).keys("j x s");
    }),
    ("publish-error", |s| {
        s.loaded().live(views(8)).keys("x p Tab").text("99").keys("^s");
    }),
    ("publish-confirm", |s| {
        s.loaded().live(views(8)).keys("j x s ^s");
    }),
    ("overview-actions", |s| {
        s.loaded().keys("1 x");
    }),
    ("overview-armed", |s| {
        s.loaded().armed().after(5_000);
    }),
    ("arm-prompt-error", |s| {
        s.loaded().keys("!").text("prod").keys("Enter");
        s.event(Event::Armed(Err(Fault::new(Kind::Forbidden, "arm", "prod-eu", "`prod` is not this profile's name"))));
    }),
    ("channels-actions-unarmed", |s| {
        let production = Safety { production: true, ..Safety::default() };
        s.opened_with(down(), production).listed(NAMES).keys("2 j x");
    }),
    ("operation-form", |s| {
        s.loaded().keys("2 j x 1 Tab Tab").text("13");
    }),
    ("operation-form-error", |s| {
        s.loaded().keys("2 j x 1 ^s");
        let task = s.task();
        s.event(Event::Planned { task, result: Err(refused()) });
    }),
    ("operation-planning", |s| {
        s.loaded().keys("2 j x 2").after(4_000);
    }),
    ("plan-reversible", |s| {
        s.loaded().keys("2 j x 1 ^s").planned(|change| change.undo = Some(change.request.clone()));
    }),
    ("plan-bulk-wrong-count", |s| {
        s.loaded().keys("2 j x 2").planned(|change| {
            change.notes.push(
                "What is deleted cannot be brought back, and the figure is an upper bound: offsets count control records too.".into(),
            );
        });
        s.text("6253").keys("Enter");
    }),
    ("plan-destroy-unarmed", |s| {
        s.loaded().keys("2 j x 3").planned(|_| {});
    }),
    ("plan-destroy-armed", |s| {
        s.loaded().armed().keys("2 j x 3").planned(|_| {}).text("events/audit.ev");
    }),
    ("plan-refused", |s| {
        s.loaded().keys("2 j x 2").planned(|change| {
            change.refused =
                Some(Fault::new(Kind::Rejected, "reset", "payments", "3 members are active").next("stop them, then plan again"));
        });
    }),
    ("plan-long-scrolled", |s| {
        s.loaded().keys("2 j x 2").planned(|change| {
            let row = change.tables[0].rows[0].clone();
            change.tables[0].rows = (0..400).map(|at| [vec![SafeText::from(at.to_string())], row[1..].to_vec()].concat()).collect();
        });
        s.event(Event::Key(KeyEvent::from(KeyCode::PageDown)));
    }),
    ("plan-hostile", |s| {
        s.opened(up()).listed(&[HOSTILE]).armed().keys("2 j x 3").planned(|change| {
            change.summary = format!("Deletes {HOSTILE}").into();
            change.notes = vec![HOSTILE.into(), HOSTILE.repeat(12).into()];
            change.tables[0].rows = vec![vec![HOSTILE.into(), HOSTILE.repeat(20).into(), "".into(), HOSTILE.into()]; 2];
        });
        s.text("no").keys("Enter");
    }),
    ("change-running", |s| {
        s.loaded().keys("2 j x 1 ^s").planned(|_| {}).keys("y").after(3_000);
    }),
    ("outcome-partial", |s| {
        s.loaded().keys("2 j x 2").planned(|_| {}).text("6252").keys("Enter");
        let task = s.task();
        let well = |part: &str| (SafeText::from(part), Ok(SafeText::from("deleted up to 1,042")));
        let timeout = Fault::new(Kind::Timeout, "delete records", HOSTILE, HOSTILE).next("look at the partition's leader");
        let parts = vec![well("partition 0"), ("partition 1".into(), Err(timeout)), well("partition 2")];
        s.event(Event::Executed { task, result: Ok(Done { parts }) });
    }),
    ("palette", |s| {
        s.loaded().live(views(8)).keys("^p").text("co");
    }),
    ("goto", |s| {
        s.loaded().keys(":").text("ord");
    }),
    ("help", |s| {
        s.loaded().live(views(8)).keys("?");
    }),
    ("notices", |s| {
        s.loaded();
        s.event(Event::Notice(Level::Warning, "the token expires in 5 minutes".into()));
        s.event(Event::Notice(Level::Warning, "the token expires in 5 minutes".into()));
        s.event(Event::Copied(Err(refused()))).keys("M");
    }),
    ("notices-empty", |s| {
        s.loaded().keys("M");
    }),
    ("toasts-and-jobs", |s| {
        s.loaded();
        let title: SafeText = "export orders.created to orders.created.jsonl".into();
        let job = |done| JobUpdate { title: title.clone(), done, total: Some(9_000), end: None };
        s.event(Event::Job { task: TaskId(900), update: job(0) });
        s.after(4_000).event(Event::Job { task: TaskId(900), update: job(1_204) });
        s.event(Event::Copied(Ok("value, 214 B".into()))).event(Event::Copied(Err(refused())));
    }),
    ("wire-log", |s| {
        s.loaded().keys("@").wire("orders.created");
    }),
    ("wire-log-empty", |s| {
        s.loaded().keys("@");
    }),
    ("wire-log-hostile", |s| {
        s.loaded().keys("@").wire(HOSTILE);
    }),
];

#[test]
fn every_screen_looks_as_it_was_looked_at() {
    for (name, reach) in SCENES {
        for (width, height) in SIZES {
            let mut stage = Stage::new(width, height, false);
            reach(&mut stage);
            insta::with_settings!({ snapshot_path => "../../snapshots", prepend_module_to_snapshot => false, omit_expression => true }, {
                insta::assert_snapshot!(format!("{name}-{width}x{height}"), stage.screen());
            });
        }
    }
}

#[test]
fn a_terminal_that_is_too_small_is_told_so_in_one_line() {
    let mut stage = Stage::new(59, 16, false);
    stage.loaded();
    assert_eq!(stage.screen().trim_end(), "mqdeck needs 60×16 cells; this is 59×16.");
}

#[test]
fn nothing_hidden_reaches_a_cell_in_any_scene_or_theme() {
    for (name, reach) in SCENES {
        let mut stage = Stage::new(120, 40, false);
        reach(&mut stage);
        for ascii in [false, true] {
            for theme in Theme::names() {
                let theme = Theme::named(theme, Depth::Ansi256, ascii).expect(theme);
                let mut buffer = Buffer::empty(Rect::new(0, 0, 120, 40));
                super::draw(&stage.model, &theme, &mut buffer);
                assert_eq!(find_hidden(&buffer), None, "{name}");
            }
        }
    }
}

#[test]
fn no_size_panics_and_sizes_may_change_at_any_time() {
    let theme = Theme::named("mono", Depth::None, false).expect("a theme");
    for (name, reach) in SCENES {
        let mut stage = Stage::new(80, 24, false);
        reach(&mut stage);
        for seed in 0..60_u32 {
            let (width, height) = (1 + seed * 131 % 300, 1 + seed * 37 % 100);
            let (width, height) = (width as u16, height as u16);
            stage.event(Event::Resize { width, height });
            let mut buffer = Buffer::empty(Rect::new(0, 0, width, height));
            super::draw(&stage.model, &theme, &mut buffer);
            // The terminal may have another size by the time that the frame is drawn.
            let mut smaller = Buffer::empty(Rect::new(0, 0, (width / 2).max(1), (height / 2).max(1)));
            super::draw(&stage.model, &theme, &mut smaller);
            assert!(!lines(&buffer).is_empty(), "{name}");
        }
    }
}

#[test]
fn in_ascii_the_console_itself_draws_nothing_else() {
    let theme = Theme::named("dark", Depth::True, true).expect("a theme");
    let mut stage = Stage::new(120, 40, false);
    stage.loaded();
    let mut buffer = Buffer::empty(Rect::new(0, 0, 120, 40));
    super::draw(&stage.model, &theme, &mut buffer);
    let odd: String = lines(&buffer).chars().filter(|c| !c.is_ascii()).collect();
    assert_eq!(odd, "");
}

#[test]
fn an_idle_console_stays_still_and_wakes_once_a_minute() {
    let mut stage = Stage::new(120, 40, false);
    stage.opened(up()).listed(&["quiet.dlt"]);
    stage.event(Event::Channels { integration: "billing".into(), result: Ok(Vec::new()) });
    let (revision, channels) = (stage.model.revision, stage.model.integrations()[0].channels.clone());
    for round in 1..=10 {
        stage.after(5_000);
        stage.event(Event::Link { integration: "events".into(), link: Link::Up { latency: Duration::from_micros(2_900 + 50 * round) } });
        for (name, channels) in [("events", channels.clone()), ("billing", Vec::new())] {
            stage.event(Event::Channels { integration: name.into(), result: Ok(channels) });
        }
    }
    let minutes = (stage.model.now.0 / 60_000) - (super::stage::NOW.0 / 60_000);
    assert_eq!(stage.model.revision - revision, minutes as u64, "the clock alone");
    stage.keys("3");
    let wait = stage.model.next_deadline().0 - stage.model.now.0;
    assert!(stage.model.next_deadline().0 % 60_000 == 0 && wait > 0, "{wait}");
}

#[test]
fn effects_of_one_screen_end_when_it_is_left() {
    let mut stage = Stage::new(120, 40, false);
    stage.loaded();
    stage.keys("3");
    assert!(stage.effects.contains(&Effect::WatchChannels(Vec::new())), "nobody looks at the lists");
}
