//! The program itself, as a person starts it: with an empty home and nothing of this machine's settings.

use super::unique;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};

/// Settings that would change what the program does.
const FOREIGN: &[&str] = &["MQDECK_PROFILE", "NO_COLOR", "COLORTERM", "CLICOLOR_FORCE", "EDITOR", "VISUAL", "TMUX", "RUST_LOG", "LC_ALL"];

/// A home of its own, removed with the handle.
pub(crate) struct Home(PathBuf);

impl Home {
    pub(crate) fn new() -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(unique("home"));
        std::fs::create_dir_all(&path).expect("a directory");
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file into it; its path.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).expect("a file");
        path
    }

    /// What the program's environment is here.
    pub(crate) fn environment(&self) -> Vec<(&'static str, PathBuf)> {
        [
            ("HOME", ""),
            ("XDG_CONFIG_HOME", ".config"),
            ("XDG_STATE_HOME", ".local/state"),
            ("XDG_DATA_HOME", ".local/share"),
            ("XDG_CACHE_HOME", ".cache"),
        ]
        .map(|(name, place)| (name, self.0.join(place)))
        .to_vec()
    }

    /// A command that runs the program in this home.
    pub(crate) fn mqdeck(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mqdeck"));
        for name in FOREIGN {
            command.env_remove(name);
        }
        command.envs(self.environment()).env("LANG", "C.UTF-8").env("TZ", "UTC").current_dir(&self.0).args(arguments);
        command
    }

    /// The name of the integration that a URL opens.
    pub(crate) fn integration(&self, url: &str) -> String {
        let done = self.mqdeck(&["--url", url, "status", "--json"]).output().expect("the program runs");
        let object: serde_json::Value = serde_json::from_slice(&done.stdout).expect("one line of JSON");
        object["integration"].as_str().expect("its name").to_owned()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The most memory that a running program had at once, in bytes.
pub(crate) fn peak(pid: u32) -> u64 {
    peak_if_any(pid).expect("the program runs")
}

/// The same; `None` once it has ended: the file is empty of it then.
fn peak_if_any(pid: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().trim_end_matches(" kB").parse::<u64>().ok()? * 1024)
}

/// Runs a program to its end; its output, and the most memory that it had at once, in bytes.
pub(crate) fn measured(mut command: Command) -> (Output, u64) {
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program runs");
    let pid = child.id();
    let watched = std::thread::spawn(move || {
        let mut most = 0;
        while let Some(now) = peak_if_any(pid) {
            most = now;
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        most
    });
    let output = child.wait_with_output().expect("it ends");
    (output, watched.join().expect("no panic"))
}

/// The lines of an output as they come.
pub(crate) fn lines(output: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = sync_channel(1_000);
    std::thread::spawn(move || BufReader::new(output).lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
    receiver
}

/// The text of every file below a directory.
pub(crate) fn files_below(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let text = |path: PathBuf| {
        if path.is_dir() {
            return files_below(&path);
        }
        vec![String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned()]
    };
    entries.flat_map(|entry| text(entry.path())).collect()
}
