//! The program's own log: a file in the state directory, never the screen.

use directories::ProjectDirs;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::Mutex;
use tracing_subscriber::EnvFilter;

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
    tracing_subscriber::fmt().json().with_env_filter(filter).with_writer(Mutex::new(file)).init();
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
