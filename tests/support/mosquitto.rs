//! A real Mosquitto: one of our own by `tests/servers/mosquitto`, with free ports and its own data directory.

use super::clients;
use super::server::Server;
use mqdeck::adapters::session::Session;
use mqdeck::config::profile::{Auth, Integration, Setting, Tls, TlsVersion};
use mqdeck::config::secret::Secret;
use mqdeck::domain::fault::Fault;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::OnceLock;

/// One broker.
pub(crate) struct Mosquitto(Server);

/// One broker for all tests that do not harm it; `None` if there is none here (already reported).
pub(crate) fn shared() -> Option<&'static Mosquitto> {
    static SHARED: OnceLock<Option<Mosquitto>> = OnceLock::new();
    SHARED.get_or_init(|| Server::shared("mosquitto", "MQTT (Mosquitto)", &[]).map(Mosquitto)).as_ref()
}

/// A broker that the caller alone uses and may harm, with options of `start`; `None` if none can be started here (already reported).
pub(crate) fn own(options: &[&str]) -> Option<Mosquitto> {
    Server::own("mosquitto", "MQTT (Mosquitto)", options).map(Mosquitto)
}

impl Mosquitto {
    /// `host:port` of a listener: `PLAIN`, `AUTH`, `WS`, …
    pub(crate) fn at(&self, listener: &str) -> &str {
        self.0.fact(listener)
    }

    /// The port of the listener that asks for nothing.
    pub(crate) fn port(&self) -> &str {
        self.at("PLAIN").rsplit_once(':').expect("host:port").1
    }

    /// A file: `CA`, `OTHER_CA`, `CERT_ALICE`, `KEY_ALICE`.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.file(name)
    }

    /// An integration that reaches a listener.
    pub(crate) fn integration(&self, listener: &str, settings: &[(&str, &str)]) -> Integration {
        let mut integration = Integration::new("iot", "mqtt", vec![self.at(listener).to_owned()]);
        for (name, value) in settings {
            let value = Secret::new((*value).to_owned());
            integration.settings.insert((*name).to_owned(), Setting { value, line: 1 });
        }
        integration
    }

    /// The same with TLS, by this authority.
    pub(crate) fn secure(&self, listener: &str, authority: &str) -> Integration {
        let ca_cert = Some(self.file(authority));
        let tls = Tls { verify_server: true, ca_cert, client: None, server_name: None, min_version: TlsVersion::V1_2 };
        let mut integration = self.integration(listener, &[]);
        integration.endpoint.tls = Some(tls);
        integration
    }

    /// The listener with passwords, as this user.
    pub(crate) fn user(&self, name: &str, settings: &[(&str, &str)]) -> Integration {
        let mut integration = self.integration("AUTH", settings);
        integration.auth = Auth::Basic { username: name.to_owned(), password: Secret::new(format!("{name}-secret")) };
        integration
    }

    /// A session with the listener that asks for nothing.
    pub(crate) async fn session(&self, settings: &[(&str, &str)]) -> Session {
        connect(self.integration("PLAIN", settings)).await.expect("Mosquitto is there")
    }

    pub(crate) fn kill(&self) {
        self.0.stop(&["--kill"]);
    }

    /// Starts it again, with its ports and data.
    pub(crate) fn restart(&mut self) {
        self.0.restart();
    }

    /// Sends its process a signal: `STOP`, `CONT`.
    pub(crate) fn signal(&self, name: &str) {
        let done = Command::new("kill").args([&format!("-{name}"), self.at("PID")]).status().expect("kill runs");
        assert!(done.success());
    }
}

/// Connects as the gateway does.
pub(crate) async fn connect(integration: Integration) -> Result<Session, Fault> {
    super::subjects::connect(integration).await
}

/// A paho client that runs beside us; ended when dropped.
pub(crate) struct Peer {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Peer {
    /// Starts `peer.py` and waits for its word that it is ready, if it is one that says so; `None` if there is no Python with paho.
    pub(crate) fn start(arguments: &[&str]) -> Option<Self> {
        let mut command = clients::script("mosquitto/peer.py", arguments)?;
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the script runs");
        let lines = BufReader::new(child.stdout.take().expect("its output"));
        let mut peer = Self { child, lines };
        if ["take", "answer"].contains(&arguments[0]) {
            assert_eq!(peer.line(), "ready");
        }
        Some(peer)
    }

    /// Its next line; empty when it has ended.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("its output");
        line.trim().to_owned()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
