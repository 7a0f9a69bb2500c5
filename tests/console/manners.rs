//! How the console treats the terminal it was given: it asks it nothing, gives it back as it was, and never outlives it.

use super::{SOON, console};
use crate::support::program::Home;
use std::process::Command;
use std::time::{Duration, Instant};

const DEAD: &[&str] = &["--url", "kafka://127.0.0.1:9"];

fn signal(pid: u32, name: &str) {
    assert!(Command::new("kill").args([name, &pid.to_string()]).status().expect("kill").success());
}

#[test]
fn without_a_profile_it_says_what_can_be_done() {
    let home = Home::new();
    let mut terminal = console(&home, &[], (80, 24));
    terminal.wait_until("the demo and a URL are offered", SOON, |screen| {
        let screen = screen.to_lowercase();
        screen.contains("demo") && screen.contains("url")
    });
    terminal.press("q");
    assert_eq!(terminal.wait_exit(SOON), 0);
    assert!(terminal.is_restored());
}

#[test]
fn it_gives_the_terminal_back_however_it_ends() {
    let home = Home::new();
    for (how, code) in [("q", 0), ("Ctrl-C twice", 0), ("-TERM", 143), ("-HUP", 129)] {
        let mut terminal = console(&home, DEAD, (80, 24));
        terminal.wait_for("127.0.0.1", SOON);
        match how {
            "q" => terminal.press("q"),
            "Ctrl-C twice" => terminal.press("\x03\x03"),
            signal_name => signal(terminal.pid(), signal_name),
        }
        let ended = terminal.wait_exit(SOON);
        assert!(ended == code || ended == 0, "{how}: exit code {ended}");
        let raw = terminal.raw();
        let last = String::from_utf8_lossy(&raw[raw.len().saturating_sub(120)..]).into_owned();
        assert!(terminal.is_restored(), "{how} ({ended}): the terminal is left as the console had it: {last:?}");
    }
}

#[test]
fn a_signal_in_the_middle_of_the_start_leaves_no_terminal_behind() {
    let home = Home::new();
    for round in 0..20 {
        let name = ["-TERM", "-HUP", "-INT", "-QUIT"][round % 4];
        let mut terminal = console(&home, &[], (80, 24));
        // From the very first byte: the terminal was taken a moment ago, and nothing was drawn yet.
        assert!(terminal.byte_after(0, SOON).is_some(), "nothing was written");
        signal(terminal.pid(), name);
        terminal.wait_exit(SOON);
        assert!(terminal.is_restored(), "{name}, round {round}");
    }
}

#[test]
fn it_ends_when_its_terminal_is_gone() {
    let home = Home::new();
    let terminal = console(&home, DEAD, (80, 24));
    terminal.wait_for("127.0.0.1", SOON);
    let mut child = terminal.hang_up();
    let began = Instant::now();
    while child.try_wait().expect("our child").is_none() {
        if began.elapsed() > SOON {
            child.kill().expect("our child");
            panic!("the console outlives its terminal");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_terminal_of_any_size_is_no_reason_to_fail() {
    let home = Home::new();
    let mut terminal = console(&home, DEAD, (80, 24));
    terminal.wait_for("127.0.0.1", SOON);
    for size in [(160, 45), (20, 5), (1, 1), (300, 100), (80, 24)] {
        terminal.resize(size);
        std::thread::sleep(Duration::from_millis(100));
        for key in ["2", "3", "1", "?", "\x1b"] {
            terminal.press(key);
        }
    }
    terminal.press("1");
    terminal.wait_until("the Overview, as it was before", SOON, |screen| {
        let second = screen.lines().nth(1).unwrap_or_default();
        second.starts_with(" Overview") && second.trim_end().ends_with("1 integration")
    });
    terminal.press("\x03\x03");
    assert_eq!(terminal.wait_exit(SOON), 0);
}

#[test]
fn screens_on_which_nothing_changes_come_to_rest() {
    let home = Home::new();
    let profile =
        home.write("quiet.hcl", "integration \"a\" {\n  type = \"memory\"\n  config {\n    topics = \"orders:2, audit:1\"\n  }\n}\n");
    let mut terminal = console(&home, &["--profile", &profile.to_string_lossy()], (120, 40));
    terminal.wait_for("1 of 1 ok", SOON);
    for (key, shown) in [("2", "audit"), ("4", "There are no groups"), ("1", "integration")] {
        terminal.press(key);
        terminal.wait_for(shown, SOON);
        // Longer than anything that a screen draws again by itself when it goes on; that answers which bring nothing new draw nothing
        // either, and when it wakes by itself, is `ui::tests::an_idle_console_stays_still_and_wakes_once_a_minute`.
        terminal.wait_for_quiet(Duration::from_secs(3), SOON);
    }
    terminal.press("\x03\x03");
    terminal.wait_exit(SOON);
}

#[test]
fn a_broker_that_is_not_there_stops_neither_a_frame_nor_a_key() {
    let home = Home::new();
    let mut terminal = console(&home, DEAD, (80, 24));
    terminal
        .wait_until("the broker is shown as down, with the cause", SOON, |screen| screen.contains("down") && screen.contains("refused"));
    terminal.press("?");
    // A word that the help alone has: "keys" stands in every footer.
    terminal.wait_for("Everywhere", SOON);
    // Nothing is asked of the terminal: no cursor position (CSI 6 n), no attributes (CSI c), no colours (OSC 10, 11), no mode (DECRQM).
    let raw = terminal.raw();
    for query in [&b"\x1b[6n"[..], b"\x1b[c", b"\x1b[0c", b"\x1b[>c", b"\x1b]10;?", b"\x1b]11;?", b"$p"] {
        assert!(!raw.windows(query.len()).any(|bytes| bytes == query), "the terminal was asked {:?}", String::from_utf8_lossy(query));
    }
}
