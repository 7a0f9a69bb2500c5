//! The dead-letter screen in its states, and what its keys lead to.

use super::stage::{HOSTILE, NOW, Stage};
use crate::app::model::Screen;
use crate::app::screens::dead_letters::FailuresFound;
use crate::app::{Effect, Event};
use crate::domain::address::Address;
use crate::domain::dead_letter::{FailureGroup, Rate, Route};
use crate::domain::fault::{Fault, Kind};
use crate::domain::position::Position;
use crate::domain::time::Timestamp;

/// Compares the screen with the one that somebody has looked at.
fn looks_as(name: &str, stage: &Stage) {
    insta::with_settings!({ snapshot_path => "../../snapshots", prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(format!("dead-letters-{name}"), stage.screen());
    });
}

const SIZES: [(u16, u16); 3] = [(80, 24), (120, 40), (160, 45)];

fn group(id: &str, exception: Option<&str>, message: Option<&str>, letters: u64, from: Option<&str>, died_in: &str) -> FailureGroup {
    FailureGroup {
        id: id.into(),
        key: None,
        exception: exception.map(Into::into),
        frame: None,
        reason: None,
        message: message.map(Into::into),
        unknown: exception.is_none() && message.is_none(),
        letters,
        first: Some(Timestamp(NOW.0 - 3_840_000)),
        last: Some(Timestamp(NOW.0 - 60_000)),
        rate: Rate::default(),
        tenants: vec!["acme".into(), "globex".into()],
        more_tenants: false,
        routes: vec![Route::new(from, died_in, letters)],
        other_routes: 0,
        samples: vec![(died_in.into(), Position::Offset { partition: 0, offset: 7 })],
    }
}

fn found() -> FailuresFound {
    let timeout = group(
        "3c1f2e9a07",
        Some("java.net.SocketTimeoutException"),
        Some("connect billing:443 (certificate expired)"),
        88,
        Some("queue:payments"),
        "rabbit/queue:payments.dlq",
    );
    FailuresFound {
        groups: vec![
            group(
                "90ab12cd34",
                Some("com.shop.SchemaMismatch"),
                Some("field \"currency\" missing"),
                12_312,
                Some("orders.created"),
                "events/orders.created.dlt",
            ),
            FailureGroup { first: Some(Timestamp(NOW.0 - 90_000_000)), ..timeout },
            FailureGroup {
                first: None,
                last: None,
                tenants: Vec::new(),
                ..group("0011223344", None, None, 12, None, "jobs/stream:ADVISORIES")
            },
        ],
        letters: 12_412,
        at_most: 12_412,
        channels: 5,
        ended: true,
        ..FailuresFound::default()
    }
}

/// The screen, with the answer to what it asked.
fn stage(width: u16, height: u16, found: FailuresFound) -> Stage {
    let mut stage = Stage::new(width, height, false);
    stage.loaded().keys("5");
    let task = stage.task();
    stage.event(Event::Failures { task, found: Box::new(found) });
    stage
}

#[test]
fn failures_are_shown_with_their_letters_times_and_routes() {
    for (width, height) in SIZES {
        looks_as(&format!("{width}x{height}"), &stage(width, height, found()));
    }
}

#[test]
fn what_could_not_be_read_is_said_and_why() {
    let queue = Fault::new(Kind::Usage, "read", "queue:mail.dlq", "only streams can be read again");
    let part = FailuresFound { unread: vec![(Address::new("rabbit", "queue:mail.dlq"), queue.clone())], ..found() };
    looks_as("unread", &stage(120, 40, part));
    let unread = vec![(Address::new("rabbit", "queue:mail.dlq"), queue)];
    let none = FailuresFound { groups: Vec::new(), letters: 0, channels: 1, unread, ended: true, ..FailuresFound::default() };
    looks_as("none-read", &stage(80, 24, none));
}

#[test]
fn an_empty_screen_says_why_it_is_empty() {
    let mut waiting = Stage::new(80, 24, false);
    waiting.loaded().keys("5").after(1_500);
    looks_as("waiting", &waiting);
    let none = FailuresFound { ended: true, ..FailuresFound::default() };
    looks_as("no-channel", &stage(80, 24, none.clone()));
    looks_as("empty", &stage(80, 24, FailuresFound { channels: 3, ..none }));
    let mut filtered = stage(80, 24, found());
    filtered.keys("/").text("nothing");
    looks_as("filtered", &filtered);
}

/// The screen with foreign text wherever there is any.
pub(super) fn hostile(width: u16, height: u16) -> Stage {
    let fault = Fault::new(Kind::Lost, "read", HOSTILE, HOSTILE);
    let unread = vec![(Address::new(HOSTILE, HOSTILE), fault.clone())];
    let groups = vec![group("aa", Some(HOSTILE), Some(HOSTILE), 3, Some(HOSTILE), HOSTILE)];
    stage(width, height, FailuresFound { groups, unread, faults: vec![fault], ..found() })
}

#[test]
fn foreign_text_of_a_failure_is_shown_with_marks() {
    looks_as("hostile", &hostile(80, 24));
}

#[test]
fn letters_are_read_once_and_again_only_when_that_is_asked_for() {
    let mut stage = stage(120, 40, found());
    let reads = |stage: &Stage| stage.effects.iter().filter(|effect| matches!(effect, Effect::ReadFailures { .. })).count();
    assert_eq!(reads(&stage), 1);
    stage.keys("1 5").after(600_000);
    assert_eq!((reads(&stage), stage.model.dead_letters.rows.len()), (1, 3), "an idle console asks its servers nothing");
    stage.keys("r");
    assert_eq!(reads(&stage), 2);
    // What an earlier reading says is ignored.
    let task = crate::app::TaskId(0);
    stage.event(Event::Failures { task, found: Box::default() });
    assert_eq!(stage.model.dead_letters.rows.len(), 3);
}

#[test]
fn the_letters_of_a_failure_are_read_in_their_channels() {
    let mut stage = stage(120, 40, found());
    stage.keys("j Enter");
    let read = stage.effects.iter().rev().find_map(|effect| match effect {
        Effect::ReadHistory { addresses, .. } => Some(addresses.clone()),
        _ => None,
    });
    assert_eq!((stage.model.screen, read), (Screen::Traffic, Some(vec![Address::new("rabbit", "queue:payments.dlq")])));
}
