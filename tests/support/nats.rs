//! A real nats-server of our own by `tests/servers/nats`, or the one in `MQDECK_TEST_NATS`.
//!
//! Its guard process ends it when the test process is gone, however that ended; dropping the handle ends it earlier.

use super::{recipe, report, skip, unique};
use mqdeck::config::profile::{Auth, Integration};
use mqdeck::config::secret::Secret;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// One server, or a cluster.
pub(crate) struct Nats {
    /// What `start` wrote.
    facts: BTreeMap<String, String>,
    dir: Option<PathBuf>,
}

/// One server for all tests that stop none; whoever comes is `app`. `None` if there is none here (already reported).
pub(crate) fn shared() -> Option<&'static Nats> {
    static SHARED: OnceLock<Option<Nats>> = OnceLock::new();
    SHARED
        .get_or_init(|| {
            if let Ok(address) = std::env::var("MQDECK_TEST_NATS") {
                report(&format!("NATS: {address} of MQDECK_TEST_NATS"));
                return Some(Nats { facts: BTreeMap::from([("NATS_ADDRESS".to_owned(), address)]), dir: None });
            }
            own(&[])
        })
        .as_ref()
}

/// A server that the caller alone uses and may harm; `None` if none can be started here (already reported).
pub(crate) fn own(options: &[&str]) -> Option<Nats> {
    static READY: OnceLock<Result<String, String>> = OnceLock::new();
    match READY.get_or_init(|| recipe("nats", "prepare", &[]).map(|version| version.trim().to_owned())) {
        Ok(version) => {
            report(&format!("NATS: nats-server {version} of our own"));
            Some(Nats::start(options))
        }
        Err(why) => {
            skip("NATS", why);
            None
        }
    }
}

impl Nats {
    fn start(options: &[&str]) -> Self {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(unique("nats"));
        let place = dir.to_str().expect("a path in UTF-8");
        let me = std::process::id().to_string();
        let mut arguments = vec!["--dir", place, "--with", &me];
        arguments.extend(options);
        let mut tried = recipe("nats", "start", &arguments);
        // Once more on other ports: another program may have taken one of these in the meantime.
        if tried.is_err() {
            recipe("nats", "stop", &["--dir", place, "--kill", "--purge"]).expect("stop works");
            tried = recipe("nats", "start", &arguments);
        }
        tried.expect("NATS starts");
        let mut nats = Self { facts: BTreeMap::new(), dir: Some(dir) };
        nats.read_facts();
        nats
    }

    /// Addresses with commas between them.
    pub(crate) fn address(&self) -> &str {
        &self.facts["NATS_ADDRESS"]
    }

    /// An integration named `nats` that logs in with nothing.
    pub(crate) fn integration(&self) -> Integration {
        Integration::new("nats", "nats", self.address().split(',').map(str::to_owned).collect())
    }

    /// The same, as that user; the password is the name.
    pub(crate) fn as_user(&self, name: &str) -> Integration {
        let auth = Auth::Basic { username: name.to_owned(), password: Secret::new(name.to_owned()) };
        Integration { auth, ..self.integration() }
    }

    /// A file: `CA`, `OTHER_CA`, `CERT_CLIENT`, `KEY_CLIENT`, `NKEY`, …
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        PathBuf::from(&self.facts[&format!("NATS_{name}")])
    }

    /// Kills a server as a crash does.
    pub(crate) fn kill(&self, node: u32) {
        recipe("nats", "stop", &["--dir", self.place(), "--node", &node.to_string(), "--kill"]).expect("stop works");
    }

    /// Starts the servers that are down, with their ports and data, and returns when they are ready.
    pub(crate) fn restart(&mut self) {
        recipe("nats", "start", &["--dir", self.place()]).expect("NATS starts again");
        self.read_facts();
    }

    fn place(&self) -> &str {
        self.dir.as_deref().and_then(Path::to_str).expect("a NATS of our own")
    }

    fn read_facts(&mut self) {
        let text = std::fs::read_to_string(Path::new(self.place()).join("env")).expect("start wrote its facts");
        self.facts =
            text.lines().filter_map(|line| line.split_once('=')).map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        if self.dir.is_some() {
            let stopped = recipe("nats", "stop", &["--dir", self.place(), "--kill", "--purge"]);
            assert!(stopped.is_ok() || std::thread::panicking(), "{stopped:?}");
        }
    }
}
