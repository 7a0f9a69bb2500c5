//! The program's own log: a file in the state directory, never the screen.
//!
//! Client crates log what they send at their finer levels, passwords included: whatever `MQDECK_LOG` says, nothing of theirs below a
//! warning is written.

use crate::domain::text::escape_json;
use directories::ProjectDirs;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::Mutex;
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::filter::{FilterExt, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt, registry};

/// Logs go on in this file until it is this large; then it becomes `mqdeck.log.old`.
const LARGEST: u64 = 8 * 1024 * 1024;

/// Starts to log, at the level of `MQDECK_LOG` (`info` if missing), as lines of JSON. A log that cannot be written is done without.
pub fn start() {
    let Some(path) = path() else { return };
    let Some(folder) = path.parent() else { return };
    if fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).is_err() {
        return;
    }
    if fs::metadata(&path).is_ok_and(|meta| meta.len() > LARGEST) {
        // Failing to rename only means that the file grows on.
        let _ = fs::rename(&path, path.with_extension("log.old"));
    }
    let Ok(file) = OpenOptions::new().create(true).append(true).mode(0o600).open(&path) else { return };
    let filter = EnvFilter::try_from_env("MQDECK_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    registry().with(layer(filter, file)).init();
}

/// What is written, and how.
fn layer<S>(filter: EnvFilter, file: impl Write + Send + 'static) -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fmt::layer().json().with_writer(Mutex::new(Escaped(file))).with_filter(filter.and(filter_fn(may_be_written)))
}

/// Whether it is ours, or at least a warning.
fn may_be_written(event: &Metadata<'_>) -> bool {
    let ours = event.target().strip_prefix("mqdeck").is_some_and(|rest| rest.is_empty() || rest.starts_with("::"));
    ours || *event.level() <= Level::WARN
}

/// Writes lines of JSON, each in one piece, with what could confuse a terminal as `\uXXXX`.
struct Escaped<W>(W);

impl<W: Write> Write for Escaped<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.write_all(escape_json(&String::from_utf8_lossy(line)).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// `mqdeck.log` in the state directory.
pub fn path() -> Option<PathBuf> {
    folder().map(|folder| folder.join("mqdeck.log"))
}

/// The state directory: `MQDECK_STATE_DIR`, or the platform's.
pub fn folder() -> Option<PathBuf> {
    if let Some(folder) = std::env::var_os("MQDECK_STATE_DIR") {
        return Some(PathBuf::from(folder));
    }
    let dirs = ProjectDirs::from("", "", "mqdeck")?;
    Some(dirs.state_dir().unwrap_or_else(|| dirs.data_local_dir()).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("the lock").extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(filter: &str) -> String {
        let memory = Memory::default();
        let subscriber = registry().with(layer(EnvFilter::new(filter), memory.clone()));
        tracing::subscriber::with_default(subscriber, || {
            tracing::trace!(target: "mqdeck", "own root");
            tracing::trace!(target: "mqdeck::adapters", name = "a\u{1b}[31m\u{9b}\u{202e}", "own trace");
            tracing::debug!(target: "mqdeckx", "another crate");
            tracing::debug!(target: "lapin::channel", "password");
            tracing::info!(target: "rumqttc", "password");
            tracing::warn!(target: "lapin", "foreign warning");
        });
        let bytes = memory.0.lock().expect("the lock").clone();
        String::from_utf8(bytes).expect("text")
    }

    #[test]
    fn nothing_of_other_crates_below_a_warning_is_written_whatever_is_asked_for() {
        for filter in ["trace", "lapin=trace,rumqttc=trace,mqdeck=trace,mqdeckx=trace"] {
            let text = logged(filter);
            assert!(text.contains("own root") && text.contains("own trace") && text.contains("foreign warning"), "{text}");
            assert!(!text.contains("password") && !text.contains("another crate"), "{text}");
        }
        let text = logged("warn");
        assert!(!text.contains("own") && text.contains("foreign warning"), "{text}");
    }

    #[test]
    fn foreign_text_is_escaped() {
        let text = logged("trace");
        assert!(!text.chars().any(|c| crate::domain::text::is_hidden(c) && c != '\n'), "{text:?}");
        assert!(text.contains("\\u009b\\u202e"), "{text}");
    }
}
