//! `mqdeck receive` as a person drives it: shown, asked about, decided on, and what is left goes back.

use super::{SOON, console};
use crate::support::program::Home;
use crate::support::terminal::Terminal;

const PROFILE: &str = r#"
integration "jobs" {
  type = "memory"
  config {
    queues   = "tasks:5"
    patience = "600"
  }
}
"#;

/// The command in a terminal, when it has shown so many messages and asks.
fn receiving(home: &Home, limit: &str, unsettled: &str) -> Terminal {
    let profile = home.write("p.hcl", PROFILE);
    let arguments = ["--profile", profile.to_str().expect("a path"), "receive", "jobs/tasks", "--limit", limit, "--wait", "200ms"];
    let terminal = console(home, &arguments, (80, 24));
    terminal.wait_for(unsettled, SOON);
    terminal
}

#[test]
fn a_person_decides_on_each_and_what_is_left_goes_back_when_that_was_confirmed() {
    let home = Home::new();
    let mut terminal = receiving(&home, "3", "3 unsettled");
    assert!(terminal.screen().contains("  3  ") && terminal.screen().contains("{\"task\":3}"), "{}", terminal.screen());
    terminal.press("ack 1\r");
    terminal.wait_for("1 acked", SOON);
    terminal.wait_for("2 unsettled", SOON);
    terminal.press("requeue 2\r");
    terminal.wait_for("1 requeued", SOON);
    terminal.wait_for("1 unsettled", SOON);
    terminal.press("q\r");
    terminal.wait_for("1 not decided on: what is held goes back to the head of the queue", SOON);
    terminal.press("n\r");
    terminal.wait_until("the question again", SOON, |screen| screen.matches("1 unsettled").count() == 2);
    terminal.press("leave\r");
    terminal.wait_until("the question again", SOON, |screen| screen.matches("Leave?").count() == 2);
    terminal.press("y\r");
    assert_eq!(terminal.wait_exit(SOON), 0);
    let screen = terminal.screen();
    assert!(screen.contains("3 received, 2 settled; 1 unsettled message goes back to the head of the queue"), "{screen}");
}

#[test]
fn what_cannot_be_done_is_said_and_asked_again() {
    let home = Home::new();
    let mut terminal = receiving(&home, "9", "5 unsettled");
    for (typed, said) in [
        ("destroy 1", "write ack, requeue, reject, extend with numbers"),
        ("ack", "say which: numbers, or `all`"),
        ("ack 7", "nothing unsettled has the number 7"),
        ("ack one", "`one` is no number"),
        ("reject 1 why=x", "it has reason"),
        ("extend 1", "1 extended"),
        ("reject 2-4 reason=broken", "3 rejected"),
    ] {
        terminal.press(&format!("{typed}\r"));
        terminal.wait_for(said, SOON);
    }
    terminal.wait_for("2 unsettled", SOON);
    terminal.press("ack all\r");
    assert_eq!(terminal.wait_exit(SOON), 0, "there is nothing left to ask about");
    assert!(terminal.screen().contains("nothing was left unsettled"), "{}", terminal.screen());
}

#[test]
fn ctrl_c_at_the_question_gives_everything_back_and_says_so() {
    let home = Home::new();
    let mut terminal = receiving(&home, "2", "2 unsettled");
    terminal.press("\x03");
    assert_eq!(terminal.wait_exit(SOON), 0);
    assert!(terminal.screen().contains("2 received; 2 unsettled messages: each goes back"), "{}", terminal.screen());
}
