//! A tape drives the same console without a terminal.

use crate::support::program::Home;

#[test]
fn a_tape_plays_the_demo_and_keeps_its_frames() {
    let home = Home::new();
    let tape = home.write(
        "tour.tape",
        "Set Width 100\nSet Height 30\nWait@30s /● live/\nWait@10s /0@[0-9]+ /\nDown\nEnter\nWait@10s /JSON \\(by content\\)/\nScreenshot traffic\n\
         Type \"2\"\nWait@10s /grey\\.tasks\\.acme/\nScreenshot channels\nType \"q\"\n",
    );
    let done = home
        .mqdeck(&["play", &tape.to_string_lossy(), "--demo", "--frames", "frames"])
        .env("PATH", home.path())
        .output()
        .expect("the program runs");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    for name in ["traffic", "channels"] {
        let frame = std::fs::read_to_string(home.path().join(format!("frames/{name}.txt"))).expect("a frame as text");
        assert_eq!(frame.lines().count(), 30, "{frame}");
        assert!(frame.lines().next().is_some_and(|line| line.contains("demo")), "{frame}");
        let picture = std::fs::read_to_string(home.path().join(format!("frames/{name}.svg"))).expect("a frame as SVG");
        assert!(picture.starts_with("<svg") && picture.contains("grey"), "{name}");
    }
}

#[test]
fn a_tape_that_waits_in_vain_fails_and_shows_the_screen() {
    let home = Home::new();
    let tape = home.write("vain.tape", "Wait@1s /what never comes/\n");
    let done = home.mqdeck(&["play", &tape.to_string_lossy()]).output().expect("the program runs");
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(!done.status.success() && said.contains("line 1") && said.contains("mqdeck"), "{said}");
}
