//! What a reading of history did not show stays on the screen, whatever else is on it.

use super::stage::{Stage, views};
use crate::app::event::HistoryUpdate;
use crate::app::model::Screen;
use crate::domain::fault::{Fault, Kind};
use crate::domain::text::SafeText;

const OPEN: &str = "a transaction is open since offset 100";

fn read(size: (u16, u16), update: HistoryUpdate) -> Stage {
    let mut stage = Stage::new(size.0, size.1, false);
    stage.loaded().live(views(3)).keys("H Enter");
    stage.history(HistoryUpdate { views: views(200), scanned: 200, matched: 200, end: Some(Ok(())), ..update });
    stage
}

fn unread(partition: i32) -> Fault {
    Fault::new(Kind::Unreachable, "read", format!("orders.created partition {partition}"), "no answer")
}

#[test]
fn notes_of_a_reading_stay_on_the_screen_wherever_the_list_is_and_are_kept_as_notices() {
    for size in [(60, 16), (80, 24), (120, 40), (160, 45)] {
        let mut stage = read(size, HistoryUpdate { notes: vec![OPEN.into()], faults: vec![unread(4)], ..HistoryUpdate::default() });
        for keys in ["g", "G", "Enter", "Tab", "Esc"] {
            let screen = stage.keys(keys).screen();
            assert!(screen.contains(OPEN), "{size:?} after {keys}:\n{screen}");
            assert!(screen.contains("partition 4: unreachable: no answer"), "{size:?} after {keys}:\n{screen}");
        }
        assert!(size.0 < 120 || stage.screen().contains("2 notes"), "{}", stage.screen());
        assert_eq!(stage.model.notices.shown().count(), 0, "what stands in the list is not said above the footer as well");
        stage.keys("M");
        assert_eq!(stage.model.screen, Screen::Notices);
        assert!(stage.screen().contains(OPEN), "{}", stage.screen());
    }
}

#[test]
fn that_only_the_first_messages_are_shown_is_said_on_every_page() {
    for size in [(80, 24), (120, 40)] {
        let mut stage = read(size, HistoryUpdate::default());
        assert!(!stage.screen().contains("are shown"));
        let task = stage.model.traffic.task;
        assert_eq!(task, None, "it has ended");
        stage.keys("H Enter");
        stage.history(HistoryUpdate { views: views(200), scanned: 9_000, matched: 2_000, end: Some(Ok(())), ..HistoryUpdate::default() });
        for keys in ["g", "G", "k"] {
            let screen = stage.keys(keys).screen();
            assert!(screen.contains("The first 2,000 are shown; H reads on from another place."), "{size:?}:\n{screen}");
        }
    }
}

#[test]
fn many_notes_take_few_rows_and_say_how_many_there_are() {
    let notes: Vec<SafeText> = (0..500).map(|partition| format!("partition {partition}: {OPEN}").into()).collect();
    let mut stage = read((80, 24), HistoryUpdate { notes, ..HistoryUpdate::default() });
    let screen = stage.keys("G").screen();
    assert!(screen.contains("partition 0: a transaction"), "{screen}");
    assert!(screen.contains("and 498 more: see Notices (M)"), "{screen}");
    assert!(stage.model.traffic.notes.len() <= 100, "a damaged log tells of every damage");
}

#[test]
fn a_reading_that_failed_on_the_way_says_so_under_a_full_page() {
    let mut stage = Stage::new(80, 24, false);
    stage.loaded().live(views(3)).keys("H Enter");
    stage.history(HistoryUpdate { views: views(200), scanned: 200, matched: 200, ..HistoryUpdate::default() });
    stage.history(HistoryUpdate { scanned: 200, matched: 200, end: Some(Err(unread(2))), ..HistoryUpdate::default() });
    let screen = stage.keys("g").screen();
    assert!(screen.contains("partition 2: unreachable: no answer"), "{screen}");
}
