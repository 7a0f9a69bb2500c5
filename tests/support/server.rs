//! A real server of our own by the recipe in `tests/servers/<system>`, one that the test runner has started for all tests, or one
//! that the environment names.
//!
//! One of our own has free ports and its own data directory. Its guard process ends it when the test process is gone, however that
//! ended; dropping the handle ends it earlier.

use super::{report, root, skip, unique};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Systems whose start keeps a core busy for seconds. One is started at a time: two together are ready no earlier.
const HEAVY: &[&str] = &["kafka", "rabbitmq"];

/// One server, or a cluster of them.
pub(crate) struct Server {
    /// The folder of its recipe, also the first word of its facts: `redis`, `REDIS_ADDRESS`.
    system: &'static str,
    /// What `start` wrote.
    facts: BTreeMap<String, String>,
    /// The data directory, if it was started for these tests.
    dir: Option<PathBuf>,
    /// It ends with this handle.
    is_mine: bool,
}

impl Server {
    /// One with these options for tests that do it no harm: at an address that the environment names (`MQDECK_TEST_REDIS`), else the
    /// one of `tests/servers/shared`, else one of our own. `None` if there is none here (already reported).
    pub(crate) fn shared(system: &'static str, title: &str, options: &[&str]) -> Option<Self> {
        let variable = format!("MQDECK_TEST_{}", system.to_uppercase());
        match std::env::var(&variable) {
            Ok(address) if options.is_empty() => {
                report(&format!("{title}: {address} of {variable}"));
                Some(Self::at(system, "ADDRESS", address))
            }
            _ => Self::shared_by(system, title, &[], "start", options),
        }
    }

    /// The same, by another script of the recipe than `start`, and with options for `prepare` as well.
    pub(crate) fn shared_by(system: &'static str, title: &str, prepare: &[&str], start: &str, options: &[&str]) -> Option<Self> {
        let Some(all) = std::env::var_os("MQDECK_TEST_SERVERS") else { return Self::own_by(system, title, prepare, start, options) };
        let dir = Path::new(&all).join(format!("{system}{}{}", start.trim_start_matches("start"), options.concat()));
        if let Ok(why) = std::fs::read_to_string(dir.join("missing")) {
            skip(title, why.trim());
            return None;
        }
        if !dir.join("ready").exists() {
            return Self::own_by(system, title, prepare, start, options);
        }
        report(&format!("{title}: {}, one for all tests", std::fs::read_to_string(dir.join("ready")).expect("its version").trim()));
        let mut server = Self { system, facts: BTreeMap::new(), dir: Some(dir), is_mine: false };
        server.read_facts();
        Some(server)
    }

    /// One that was not started here; its address is all that is known of it, by the name that `start` has for it.
    pub(crate) fn at(system: &'static str, name: &str, address: String) -> Self {
        Self { system, facts: BTreeMap::from([(format!("{}_{name}", system.to_uppercase()), address)]), dir: None, is_mine: false }
    }

    /// One that the caller alone uses and may harm; `None` if none can be started here (already reported).
    pub(crate) fn own(system: &'static str, title: &str, options: &[&str]) -> Option<Self> {
        Self::own_by(system, title, &[], "start", options)
    }

    /// The same, by another script of the recipe than `start`, and with options for `prepare` as well.
    pub(crate) fn own_by(system: &'static str, title: &str, prepare: &[&str], start: &str, options: &[&str]) -> Option<Self> {
        match recipe(system, "prepare", prepare) {
            Ok(version) => report(&format!("{title}: {} of our own", version.trim())),
            Err(why) => {
                skip(title, &why);
                return None;
            }
        }
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(unique(system));
        let place = dir.to_str().expect("a path in UTF-8");
        let me = std::process::id().to_string();
        let mut arguments = vec!["--dir", place, "--with", &me];
        arguments.extend(options);
        let turn = HEAVY.contains(&system).then(turn);
        recipe(system, start, &arguments).unwrap_or_else(|why| panic!("{title} does not start: {why}"));
        drop(turn);
        let mut server = Self { system, facts: BTreeMap::new(), dir: Some(dir), is_mine: true };
        server.read_facts();
        Some(server)
    }

    /// A fact that `start` wrote: `ADDRESS`, `CA`.
    pub(crate) fn fact(&self, name: &str) -> &str {
        self.fact_if_any(name).expect("a fact that start wrote")
    }

    /// A file that `start` wrote.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        PathBuf::from(self.fact(name))
    }

    /// Addresses of servers that know each other.
    pub(crate) fn addresses(&self) -> Vec<String> {
        self.fact("ADDRESS").split(',').map(str::to_owned).collect()
    }

    /// Kills a server as a crash does.
    pub(crate) fn kill(&self, node: &str) {
        self.stop(&["--node", node, "--kill"]);
    }

    /// Stops it, with the options that its recipe has for it.
    pub(crate) fn stop(&self, options: &[&str]) {
        recipe(self.system, "stop", &[&["--dir", self.place()], options].concat()).expect("stop works");
    }

    /// Runs another script of its recipe on it; what that printed.
    pub(crate) fn run(&self, script: &str, arguments: &[&str]) -> String {
        recipe(self.system, script, &[&["--dir", self.place()], arguments].concat()).expect("the script works")
    }

    /// Starts the servers that are down, with their ports and data, and returns when they are ready.
    pub(crate) fn restart(&mut self) {
        recipe(self.system, "start", &["--dir", self.place()]).unwrap_or_else(|why| panic!("{} does not start again: {why}", self.system));
        self.read_facts();
    }

    /// A fact that not every start writes.
    pub(crate) fn fact_if_any(&self, name: &str) -> Option<&str> {
        self.facts.get(&format!("{}_{name}", self.system.to_uppercase())).map(String::as_str)
    }

    /// Whether it was started for these tests, so that its files can be read.
    pub(crate) fn is_our_own(&self) -> bool {
        self.dir.is_some()
    }

    /// The data directory.
    pub(crate) fn place(&self) -> &str {
        self.dir.as_deref().and_then(Path::to_str).expect("a server of our own")
    }

    fn read_facts(&mut self) {
        let text = std::fs::read_to_string(Path::new(self.place()).join("env")).expect("start wrote its facts");
        self.facts =
            text.lines().filter_map(|line| line.split_once('=')).map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.is_mine {
            let stopped = recipe(self.system, "stop", &["--dir", self.place(), "--kill", "--purge"]);
            assert!(stopped.is_ok() || std::thread::panicking(), "{stopped:?}");
        }
    }
}

/// The turn of starting a heavy server, among all processes of this build; it ends with the file.
fn turn() -> File {
    let file = File::create(Path::new(env!("CARGO_TARGET_TMPDIR")).join("turn")).expect("a file");
    file.lock().expect("a lock");
    file
}

/// Runs a script of a recipe; its output, or the last line of what it complained about.
pub(crate) fn recipe(system: &str, script: &str, arguments: &[&str]) -> Result<String, String> {
    let path = root().join("tests/servers").join(system).join(script);
    // Servers inherit what a script inherits: never our own pipes, which would stay open as long as they run.
    let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join(unique("recipe"));
    let file = std::fs::File::create(&log).map_err(|e| e.to_string())?;
    let errors = file.try_clone().map_err(|e| e.to_string())?;
    let Output { status, .. } =
        Command::new(path).args(arguments).stdin(Stdio::null()).stdout(file).stderr(errors).output().map_err(|e| e.to_string())?;
    let said = std::fs::read_to_string(&log).map_err(|e| e.to_string())?;
    std::fs::remove_file(&log).map_err(|e| e.to_string())?;
    if status.success() { Ok(said) } else { Err(said.trim().lines().last().unwrap_or("no reason was given").to_owned()) }
}
