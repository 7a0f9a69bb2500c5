//! Other languages' clients: the Python scripts of `tests/servers`.

use super::{report, root, skip};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// A Python that has them; `None` if there is none here (already reported).
fn python() -> Option<&'static PathBuf> {
    static PYTHON: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let found = PYTHON.get_or_init(|| {
        let done = Command::new(root().join("tests/servers/python")).stdin(Stdio::null()).output().map_err(|e| e.to_string())?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if done.status.success() { Ok(PathBuf::from(text(&done.stdout))) } else { Err(text(&done.stderr)) }
    });
    match found {
        Ok(python) => {
            report("other languages' clients: confluent-kafka and nats-py for Python");
            Some(python)
        }
        Err(why) => {
            skip("other languages' clients", why);
            None
        }
    }
}

/// A command that runs `tests/servers/SCRIPT` with these arguments; `None` if there is no Python with the clients.
pub(crate) fn script(script: &str, arguments: &[&str]) -> Option<Command> {
    let mut command = Command::new(python()?);
    command.arg(root().join("tests/servers").join(script)).args(arguments).stdin(Stdio::null());
    Some(command)
}

/// Runs a script to its end; its output. Panics with its complaints if it fails.
pub(crate) fn run(mut command: Command) -> Vec<u8> {
    let done = command.output().expect("the script runs");
    assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
    done.stdout
}
