//! A real nats-server of our own, or the one in `MQDECK_TEST_NATS`; as whom and how it is connected to.

use super::server::Server;
use mqdeck::config::profile::{Auth, Integration};
use mqdeck::config::secret::Secret;
use std::path::PathBuf;
use std::sync::OnceLock;

/// One server, or a cluster.
pub(crate) struct Nats(Server);

/// One server for all tests that stop none; whoever comes is `app`. `None` if there is none here (already reported).
pub(crate) fn shared() -> Option<&'static Nats> {
    static SHARED: OnceLock<Option<Nats>> = OnceLock::new();
    SHARED.get_or_init(|| Server::shared("nats", "NATS", &[]).map(Nats)).as_ref()
}

/// A server that the caller alone uses and may harm; `None` if none can be started here (already reported).
pub(crate) fn own(options: &[&str]) -> Option<Nats> {
    Server::own("nats", "NATS", options).map(Nats)
}

/// The server's program; `None` if there is none here.
pub(crate) fn program() -> Option<PathBuf> {
    let version = super::server::recipe("nats", "prepare", &[]).ok()?;
    let cache =
        std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))?;
    Some(cache.join("mqdeck-tests").join(format!("nats-{}", version.trim())).join("nats-server"))
}

impl Nats {
    /// Addresses with commas between them.
    pub(crate) fn address(&self) -> &str {
        self.0.fact("ADDRESS")
    }

    /// An integration named `nats` that logs in with nothing.
    pub(crate) fn integration(&self) -> Integration {
        Integration::new("nats", "nats", self.0.addresses())
    }

    /// The same, as that user; the password is the name.
    pub(crate) fn as_user(&self, name: &str) -> Integration {
        let auth = Auth::Basic { username: name.to_owned(), password: Secret::new(name.to_owned()) };
        Integration { auth, ..self.integration() }
    }

    /// A file: `CA`, `OTHER_CA`, `CERT_CLIENT`, `KEY_CLIENT`, `NKEY`, …
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.file(name)
    }

    /// Kills a server as a crash does.
    pub(crate) fn kill(&self, node: u32) {
        self.0.kill(&node.to_string());
    }

    /// Starts the servers that are down, with their ports and data, and returns when they are ready.
    pub(crate) fn restart(&mut self) {
        self.0.restart();
    }
}
