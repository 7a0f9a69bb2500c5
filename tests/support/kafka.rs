//! A real Kafka: from `MQDECK_TEST_KAFKA`, else by `tests/servers/kafka`.

use super::server::Server;
use super::{report, skip};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// One Kafka cluster.
pub(crate) struct Kafka(Server);

/// Every listener that the recipe can open.
pub(crate) const EVERY_LISTENER: &[&str] = &["--sasl", "--tls", "--oauth"];

/// One Kafka for all tests that stop no broker; `None` if there is none here (already reported).
pub(crate) fn shared() -> Option<&'static Kafka> {
    static SHARED: OnceLock<Option<Kafka>> = OnceLock::new();
    SHARED
        .get_or_init(|| {
            if let Ok(address) = std::env::var("MQDECK_TEST_KAFKA") {
                report(&format!("Kafka: {address} of MQDECK_TEST_KAFKA"));
                return Some(Kafka(Server::at("kafka", "PLAIN", address)));
            }
            Server::shared("kafka", "Kafka with every listener", EVERY_LISTENER).map(Kafka)
        })
        .as_ref()
}

/// One Kafka of 2021 with its `ZooKeeper`, for all tests that ask it; `None` if there is none here (already reported).
pub(crate) fn old() -> Option<&'static Kafka> {
    static OLD: OnceLock<Option<Kafka>> = OnceLock::new();
    OLD.get_or_init(|| Server::shared_by("kafka", "Kafka with ZooKeeper", &["2.8"], "start-2.8", &[]).map(Kafka)).as_ref()
}

/// A Kafka that the caller alone uses and may harm; `None` if none can be started here (already reported).
pub(crate) fn own(options: &[&str]) -> Option<Kafka> {
    let title = if options.is_empty() { "Kafka".to_owned() } else { format!("Kafka {}", options.join(" ")) };
    Server::own("kafka", &title, options).map(Kafka)
}

impl Kafka {
    /// The bootstrap address of the listener that asks for nothing.
    pub(crate) fn plain(&self) -> &str {
        self.0.fact("PLAIN")
    }

    /// The address of a listener (`SASL`, `TLS`, …); `None` if this Kafka is not our own (already reported).
    pub(crate) fn listener(&self, name: &str) -> Option<&str> {
        let address = self.0.fact_if_any(name);
        if address.is_none() {
            skip(&format!("Kafka's {name} listener"), "the Kafka under test has none");
        }
        address
    }

    /// Whether it was started for these tests, so that its files can be read.
    pub(crate) fn is_our_own(&self) -> bool {
        self.0.is_our_own()
    }

    /// A file of the listeners with TLS: `CA`, `OTHER_CA`, `CERT_ALICE`, `KEY_ALICE`, …
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.file(name)
    }

    /// Kills a broker as a crash does.
    pub(crate) fn kill(&self, node: u32) {
        self.0.kill(&node.to_string());
    }

    /// Stops a broker in an orderly way.
    pub(crate) fn stop(&self, node: u32) {
        self.0.stop(&["--node", &node.to_string()]);
    }

    /// Starts the brokers that are down, with their ports and data, and returns when they are ready.
    pub(crate) fn restart(&mut self) {
        self.0.restart();
    }

    /// The first segment file of a partition on a broker.
    pub(crate) fn segment(&self, node: u32, topic: &str, partition: i32) -> PathBuf {
        Path::new(self.0.place()).join(format!("node{node}/{topic}-{partition}/{:020}.log", 0))
    }
}
