//! A task that panics ends itself and nothing else, and is not forgotten. Panics are the whole process's, so the test runs itself again.

use mqdeck::runtime::panics;
use std::process::Command;

#[test]
fn a_panic_is_reported_without_foreign_bytes_and_the_program_has_failed() {
    const AGAIN: &str = "MQDECK_TEST_PANICS";
    if std::env::var_os(AGAIN).is_some() {
        panics::watch();
        assert!(!panics::any());
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let ended = runtime.block_on(async { tokio::spawn(async { panic!("a foreign \u{1b}[31m byte") }).await });
        assert!(ended.is_err() && panics::any(), "the program goes on, and has failed");
        let ended = std::panic::catch_unwind(|| panic!("a foreign \u{1b}[31m byte"));
        assert!(ended.is_err(), "the thread that owns the program");
        return;
    }
    let name = std::thread::current().name().expect("libtest names its threads").to_owned();
    let program = std::env::current_exe().expect("this program");
    let done = Command::new(program).args(["--exact", &name, "--nocapture"]).env(AGAIN, "1").output().expect("it runs");
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.success(), "{said}");
    let lines: Vec<&str> = said.lines().filter(|line| line.starts_with("mqdeck: ")).collect();
    let [task, program] = lines[..] else { panic!("two panics are reported: {said}") };
    assert!(task.contains("a background task failed at tests/cli/panics.rs:"), "{task}");
    assert!(program.contains("the program failed at tests/cli/panics.rs:"), "{program}");
    assert!(lines.iter().all(|line| line.contains("a foreign ")) && !said.contains('\u{1b}'), "{said}");
}
