//! Every screen and every overlay with names, faults and texts that attack the terminal: marks are on the screen, no hidden character is.

use super::stage::{HOSTILE, Stage, description, down, view};
use super::tests::SCENES;
use super::widgets::text::find_hidden;
use super::{dead_letters_tests, received_tests};
use crate::app::event::{HistoryUpdate, JobUpdate, Level, ProfileEntry};
use crate::app::model::Screen;
use crate::app::overlays::Overlay;
use crate::app::{Effect, Event, TaskId};
use crate::domain::channel::Channel;
use crate::domain::fault::{Fault, Kind};
use crate::domain::health::Link;
use crate::domain::text::SafeText;
use crate::domain::time::Timestamp;
use std::collections::BTreeSet;

const SCREENS: &[Screen] = &[
    Screen::Welcome,
    Screen::Profiles,
    Screen::Overview,
    Screen::Channels,
    Screen::Traffic,
    Screen::Groups,
    Screen::DeadLetters,
    Screen::Publish,
    Screen::Received,
    Screen::WireLog,
    Screen::Notices,
];
const OVERLAYS: &[&str] = &["palette", "menu", "help", "confirm", "prompt", "form", "plan", "outcome"];

/// A name for each; whoever adds one is told by the compiler.
fn word(overlay: &Overlay) -> &'static str {
    match overlay {
        Overlay::Palette(_) => "palette",
        Overlay::Menu(_) => "menu",
        Overlay::Help(_) => "help",
        Overlay::Confirm(_) => "confirm",
        Overlay::Prompt(_) => "prompt",
        Overlay::Form(_) => "form",
        Overlay::Plan(_) => "plan",
        Overlay::Outcome(_) => "outcome",
    }
}

fn fault() -> Fault {
    Fault::new(Kind::Rejected, "read", HOSTILE, HOSTILE).next(HOSTILE)
}

/// Everything that can arrive by itself, and the failure of everything that was begun.
fn attack(stage: &mut Stage) {
    let text = || SafeText::from(HOSTILE);
    let link = Link::Down {
        fault: fault(),
        since: Timestamp(stage.model.now.0 - 5_000),
        attempts: 2,
        retry_at: Timestamp(stage.model.now.0 + 9_000),
    };
    stage.event(Event::Link { integration: "billing".into(), link });
    let channel = |name: &str| Channel { fault: Some(fault()), tenant: Some(text()), ..Channel::named(name, "topic") };
    let channels = vec![channel(HOSTILE), channel("orders.created")];
    stage.event(Event::Channels { integration: "events".into(), result: Ok(channels) });
    stage.event(Event::Channels { integration: "billing".into(), result: Err(fault()) });
    stage.grouped_hostile().wire(HOSTILE);
    let entry = ProfileEntry { name: text(), path: HOSTILE.into(), integrations: vec![text()], fault: Some(fault()) };
    stage.event(Event::Profiles(vec![entry]));
    stage.event(Event::Notice(Level::Warning, text())).event(Event::Copied(Ok(text()))).event(Event::Copied(Err(fault())));
    let job = |done, end| Event::Job { task: TaskId(900), update: JobUpdate { title: text(), done, total: Some(9), end } };
    stage.event(job(1, None)).event(job(9, Some(Err(fault()))));
    stage.event(Event::Decoded { id: 1, result: Err(fault()) });
    let begun: Vec<TaskId> = stage
        .effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::StartTail { task, .. }
            | Effect::ReadHistory { task, .. }
            | Effect::Describe { task, .. }
            | Effect::Plan { task, .. } => Some(*task),
            _ => None,
        })
        .collect();
    for task in begun {
        let mut described = description(HOSTILE);
        described.tables[0].rows = vec![vec![text(); 4]; 2];
        stage.event(Event::Described { task, result: Ok(described) });
        let update = HistoryUpdate {
            views: vec![view(7, HOSTILE, Some(HOSTILE.as_bytes()), Some(HOSTILE.as_bytes()))],
            notes: vec![text()],
            faults: vec![fault()],
            ..HistoryUpdate::default()
        };
        stage.event(Event::History { task, update });
        stage.event(Event::TailStarted { task, result: Err(fault()) });
    }
    // Into whatever is typed in: a prompt, a form, a filter.
    stage.event(Event::Paste(HOSTILE.to_owned()));
}

#[test]
fn every_screen_and_overlay_shows_marks_and_nothing_hidden() {
    let (mut screens, mut overlays) = (BTreeSet::new(), BTreeSet::new());
    let mut look = |name: &str, stage: &Stage| {
        let buffer = stage.buffer();
        assert_eq!(find_hidden(&buffer), None, "{name}");
        let screen = stage.screen();
        if screen.contains("‹ESC›") || screen.contains("‹U+") || screen.contains("‹0x") {
            screens.insert(format!("{:?}", stage.model.screen));
            overlays.extend(stage.model.overlay.as_ref().map(word));
        }
    };
    for (width, height) in [(80, 24), (160, 45)] {
        for (name, reach) in SCENES {
            let mut stage = Stage::new(width, height, false);
            reach(&mut stage);
            look(name, &stage);
            attack(&mut stage);
            look(name, &stage);
            stage.event(Event::ProfileFailed { name: HOSTILE.into(), fault: fault() });
            look(name, &stage);
        }
        let mut stage = Stage::new(width, height, false);
        look("welcome", stage.event(Event::ProfileFailed { name: HOSTILE.into(), fault: fault() }));
        look("dead letters", &dead_letters_tests::hostile(width, height));
        look("received", &received_tests::hostile(width, height));
        look("question", &received_tests::hostile_question(width, height));
        let mut stage = Stage::new(width, height, false);
        stage.opened(down()).listed(&[HOSTILE]);
        for keys in ["2 x", "?", "Esc 2 Enter Enter x p", "^s"] {
            stage.keys(keys);
            look(keys, &stage);
        }
    }
    assert_eq!(screens, SCREENS.iter().map(|screen| format!("{screen:?}")).collect());
    assert_eq!(overlays, OVERLAYS.iter().copied().collect());
}
