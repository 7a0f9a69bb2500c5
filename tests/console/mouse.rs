//! The mouse in a real terminal: off until it is asked for, then a click selects and the wheel scrolls.

use super::{SOON, console};
use crate::support::program::Home;
use crate::support::terminal::Terminal;

/// Switches the mouse on or off (F2, as xterm sends it).
const MOUSE: &str = "\x1bOQ";
const WHEEL_UP: u8 = 64;
const WHEEL_DOWN: u8 = 65;

/// A button pressed at a cell counted from 1, as terminals report it in SGR mode (xterm's `ctlseqs`, "Extended coordinates").
fn button(button: u8, column: u16, row: u16) -> String {
    let press = format!("\x1b[<{button};{column};{row}M");
    // A wheel is never released.
    if button >= WHEEL_UP { press } else { format!("{press}\x1b[<{button};{column};{row}m") }
}

/// The Channels of a profile in memory that has so many, the mouse not yet on.
fn channels(home: &Home, count: usize) -> Terminal {
    let names: Vec<String> = (0..count).map(|n| format!("topic{n:02}:1")).collect();
    let text = format!("integration \"a\" {{\n  type = \"memory\"\n  config {{\n    topics = \"{}\"\n  }}\n}}\n", names.join(", "));
    let profile = home.write("many.hcl", &text);
    let mut terminal = console(home, &["--profile", &profile.to_string_lossy()], (80, 24));
    terminal.wait_for("1 of 1 ok", SOON);
    terminal.press("2");
    terminal.wait_for("topic00", SOON);
    terminal
}

/// Waits until the pointer stands before this name.
fn wait_for_pointer(terminal: &Terminal, name: &str) {
    terminal.wait_until(&format!("the pointer before {name}"), SOON, |screen| {
        screen.lines().any(|line| line.contains(name) && line.trim_start().starts_with('▸'))
    });
}

#[test]
fn a_click_selects_a_row_and_the_wheel_scrolls_once_the_mouse_is_on() {
    let home = Home::new();
    let mut terminal = channels(&home, 60);
    let raw = String::from_utf8_lossy(&terminal.raw()).into_owned();
    assert!(!raw.contains("\x1b[?1000h") && !raw.contains("\x1b[?1003h"), "the mouse is the terminal's own until it is asked for");
    terminal.press(MOUSE);
    terminal.wait_for("Mouse on", SOON);
    // Rows 1 to 3 are environment, crumbs and headings.
    terminal.press(&button(0, 10, 8));
    wait_for_pointer(&terminal, "topic04");
    terminal.press(&button(WHEEL_DOWN, 10, 8).repeat(10));
    wait_for_pointer(&terminal, "topic34");
    assert!(!terminal.screen().contains("topic04"), "the list was scrolled:\n{}", terminal.screen());
    terminal.press(&button(WHEEL_UP, 10, 8).repeat(2));
    wait_for_pointer(&terminal, "topic28");
    // Outside of the rows a click means nothing.
    for (column, row) in [(10, 1), (10, 2), (10, 3), (10, 24)] {
        terminal.press(&button(0, column, row));
    }
    terminal.press("j");
    wait_for_pointer(&terminal, "topic29");
    terminal.press(MOUSE);
    terminal.wait_for("Mouse off", SOON);
    terminal.press("q");
    terminal.press("\x03\x03");
    assert_eq!(terminal.wait_exit(SOON), 0);
    assert!(terminal.is_restored());
}

#[test]
fn a_console_that_ends_with_the_mouse_on_gives_it_back() {
    let home = Home::new();
    let mut terminal = channels(&home, 3);
    terminal.press(MOUSE);
    terminal.wait_for("Mouse on", SOON);
    terminal.press("\x03\x03");
    assert_eq!(terminal.wait_exit(SOON), 0);
    assert!(terminal.is_restored());
}
