//! A real Kafka: from `MQDECK_TEST_KAFKA`, else the compose file's, else one of our own by `tests/servers/kafka`.
//!
//! A Kafka of our own has free ports and its own data directory. Its guard process ends it when the test process is gone,
//! however that ended; dropping the handle ends it earlier.

use super::server::recipe;
use super::{report, root, skip, unique};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// One Kafka cluster.
pub(crate) struct Kafka {
    /// What `start` wrote: listeners, files and process ids by their names.
    facts: BTreeMap<String, String>,
    /// The data directory, if it is our own.
    dir: Option<PathBuf>,
}

/// Every listener that the recipe can open.
pub(crate) const EVERY_LISTENER: &[&str] = &["--sasl", "--tls", "--oauth"];

/// One Kafka for all tests that stop no broker; `None` if there is none here (already reported).
pub(crate) fn shared() -> Option<&'static Kafka> {
    static SHARED: OnceLock<Option<Kafka>> = OnceLock::new();
    SHARED
        .get_or_init(|| {
            if let Ok(address) = std::env::var("MQDECK_TEST_KAFKA") {
                report(&format!("Kafka: {address} of MQDECK_TEST_KAFKA"));
                return Some(Kafka::at(address));
            }
            composed().or_else(|| own(EVERY_LISTENER))
        })
        .as_ref()
}

/// One Kafka of 2021 with its `ZooKeeper`, for all tests that ask it; `None` if there is none here (already reported).
pub(crate) fn old() -> Option<&'static Kafka> {
    static OLD: OnceLock<Option<Kafka>> = OnceLock::new();
    OLD.get_or_init(|| match recipe("kafka", "prepare", &["2.8"]) {
        Ok(version) => {
            report(&format!("Kafka: {} of our own, with ZooKeeper", version.trim()));
            Some(Kafka::start("start-2.8", &[]))
        }
        Err(why) => {
            skip("Kafka 2.8", &why);
            None
        }
    })
    .as_ref()
}

/// A Kafka that the caller alone uses and may harm; `None` if none can be started here (already reported).
pub(crate) fn own(options: &[&str]) -> Option<Kafka> {
    static READY: OnceLock<Result<String, String>> = OnceLock::new();
    match READY.get_or_init(|| recipe("kafka", "prepare", &[]).map(|version| version.trim().to_owned())) {
        Ok(version) => {
            report(&format!(
                "Kafka: {version} of our own, {}",
                if options.is_empty() { "one broker".to_owned() } else { options.join(" ") }
            ));
            Some(Kafka::start("start", options))
        }
        Err(why) => {
            skip("Kafka", why);
            None
        }
    }
}

/// The compose file's Kafka, if a container engine answers here. It is left running for the next time.
fn composed() -> Option<Kafka> {
    let docker = |arguments: &[&str]| {
        let done = Command::new("docker").args(arguments).current_dir(root()).stdin(Stdio::null()).output().ok()?;
        done.status.success().then_some(done.stdout)
    };
    docker(&["version", "--format", "{{.Server.Version}}"])?;
    docker(&["compose", "up", "--detach", "--wait", "kafka"])?;
    let address = String::from_utf8(docker(&["compose", "port", "kafka", "9092"])?).ok()?.trim().replace("0.0.0.0", "127.0.0.1");
    report(&format!("Kafka: {address} of docker-compose.yml (left running; `docker compose down` ends it)"));
    Some(Kafka::at(address))
}

impl Kafka {
    fn at(address: String) -> Self {
        Self { facts: BTreeMap::from([("KAFKA_PLAIN".to_owned(), address)]), dir: None }
    }

    fn start(script: &str, options: &[&str]) -> Self {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(unique("kafka"));
        let place = dir.to_str().expect("a path in UTF-8");
        let me = std::process::id().to_string();
        let mut arguments = vec!["--dir", place, "--with", &me];
        arguments.extend(options);
        let mut tried = recipe("kafka", script, &arguments);
        // Once more on other ports: another program may have taken one of these in the meantime.
        if tried.is_err() {
            recipe("kafka", "stop", &["--dir", place, "--kill", "--purge"]).expect("stop works");
            tried = recipe("kafka", script, &arguments);
        }
        tried.expect("Kafka starts");
        let mut kafka = Self { facts: BTreeMap::new(), dir: Some(dir) };
        kafka.read_facts();
        kafka
    }

    /// The bootstrap address of the listener that asks for nothing.
    pub(crate) fn plain(&self) -> &str {
        &self.facts["KAFKA_PLAIN"]
    }

    /// The address of a listener (`SASL`, `TLS`, …); `None` if this Kafka is not our own (already reported).
    pub(crate) fn listener(&self, name: &str) -> Option<&str> {
        let address = self.facts.get(&format!("KAFKA_{name}")).map(String::as_str);
        if address.is_none() {
            skip(&format!("Kafka's {name} listener"), "the Kafka under test has none");
        }
        address
    }

    /// Whether it was started for these tests, so that its files can be read.
    pub(crate) fn is_our_own(&self) -> bool {
        self.dir.is_some()
    }

    /// A file of the listeners with TLS: `CA`, `OTHER_CA`, `CERT_ALICE`, `KEY_ALICE`, …
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        PathBuf::from(&self.facts[&format!("KAFKA_{name}")])
    }

    /// Kills a broker as a crash does.
    pub(crate) fn kill(&self, node: u32) {
        recipe("kafka", "stop", &["--dir", self.place(), "--node", &node.to_string(), "--kill"]).expect("stop works");
    }

    /// Stops a broker in an orderly way.
    pub(crate) fn stop(&self, node: u32) {
        recipe("kafka", "stop", &["--dir", self.place(), "--node", &node.to_string()]).expect("stop works");
    }

    /// Starts the brokers that are down, with their ports and data, and returns when they are ready.
    pub(crate) fn restart(&mut self) {
        recipe("kafka", "start", &["--dir", self.place()]).expect("Kafka starts again");
        self.read_facts();
    }

    /// The first segment file of a partition on a broker.
    pub(crate) fn segment(&self, node: u32, topic: &str, partition: i32) -> PathBuf {
        Path::new(self.place()).join(format!("node{node}/{topic}-{partition}/{:020}.log", 0))
    }

    fn place(&self) -> &str {
        self.dir.as_deref().and_then(Path::to_str).expect("a Kafka of our own")
    }

    fn read_facts(&mut self) {
        let text = std::fs::read_to_string(Path::new(self.place()).join("env")).expect("start wrote its facts");
        self.facts =
            text.lines().filter_map(|line| line.split_once('=')).map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        if self.dir.is_some() {
            let stopped = recipe("kafka", "stop", &["--dir", self.place(), "--kill", "--purge"]);
            assert!(stopped.is_ok() || std::thread::panicking(), "{stopped:?}");
        }
    }
}
