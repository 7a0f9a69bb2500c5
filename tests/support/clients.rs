//! Other languages' clients: the Python scripts of `tests/servers`.

use super::{report, root, skip};
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
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

/// A script that is talked to, line by line; it ends with the test.
pub(crate) struct Talk {
    child: Child,
    said: BufReader<ChildStdout>,
}

impl Talk {
    /// Starts it.
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the script runs");
        let said = BufReader::new(child.stdout.take().expect("its output"));
        Self { child, said }
    }

    /// Waits for its next line, which is to be this one.
    pub(crate) fn hears(&mut self, line: &str) {
        let mut said = String::new();
        self.said.read_line(&mut said).expect("a line");
        assert_eq!(said.trim(), line);
    }

    /// Tells it a line.
    pub(crate) fn say(&mut self, line: &str) {
        writeln!(self.child.stdin.as_mut().expect("its input"), "{line}").expect("it listens");
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}
