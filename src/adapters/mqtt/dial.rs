//! Where the broker is and as whom we come; opens connections, each with a client id of its own.

use super::connection::{Connection, Inbox};
use super::faults::{self, CONNECT, Ending, Why};
use super::settings::Settings;
use super::wire::{Dial, Qos, Route, Server, Subscription, Version};
use super::{connection, v3, v5};
use crate::adapters::room::Room;
use crate::adapters::tls;
use crate::adapters::token_source::{self, TokenSource};
use crate::adapters::wirelog::WireLog;
use crate::config::profile::{Auth, Integration};
use crate::config::secret::Secret;
use crate::domain::fault::{Fault, Kind};
use crate::domain::text::SafeText;
use rustls::ClientConfig;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// A connection that listens is asked this often whether it lives; one that was cut off silently is noticed at the second time.
const LISTENING: Duration = Duration::from_secs(5);

/// What a connection is for.
#[derive(Clone, Default)]
pub(super) struct Role {
    /// We acknowledge what comes, at most this many at a time.
    pub(super) manual: Option<u16>,
    /// What its inbox has not handed on: while that is too much, the broker has to wait. For inboxes that must not drop anything.
    pub(super) room: Option<Arc<Room>>,
    /// It is the session that the profile wants to be kept.
    pub(super) lasting: bool,
    /// The profile's last will is this connection's.
    pub(super) will: bool,
}

/// Opens connections to one broker.
pub(super) struct Dialler {
    pub(super) settings: Settings,
    pub(super) timeout: Duration,
    addresses: Vec<Place>,
    auth: Auth,
    tokens: Option<Arc<dyn TokenSource>>,
    log: WireLog,
    /// The version that the broker turned out to speak.
    version: OnceLock<Version>,
    /// The address that answered last.
    good: AtomicUsize,
    epochs: AtomicU64,
}

struct Place {
    host: String,
    port: u16,
    peer: SafeText,
    route: Route,
}

impl Dialler {
    pub(super) fn new(integration: &Integration, log: WireLog) -> Result<Self, Fault> {
        let settings = Settings::of(integration)?;
        let tls = integration.endpoint.tls.as_ref().map(tls::client_config).transpose()?.map(Arc::new);
        let addresses: Result<Vec<Place>, Fault> =
            integration.endpoint.addresses.iter().map(|address| place(address, tls.as_ref())).collect();
        let addresses = addresses?;
        if addresses.is_empty() {
            return Err(Fault::new(Kind::Usage, CONNECT, &*integration.name, "no address is given"));
        }
        Ok(Self {
            timeout: integration.timeout,
            addresses,
            auth: integration.auth.clone(),
            tokens: token_source::of(&integration.auth),
            log,
            version: settings.version.map_or_else(OnceLock::new, OnceLock::from),
            good: AtomicUsize::new(0),
            epochs: AtomicU64::new(0),
            settings,
        })
    }

    /// A subscription to a topic of our own, on which nothing is published: asked for to have an answer.
    pub(super) fn nothing(&self) -> Subscription {
        Subscription { filter: format!("{}/ping", self.settings.client_id), qos: Qos::Zero, retained: false, as_published: false }
    }

    /// The version that the broker speaks, once that is known.
    pub(super) fn version(&self) -> Option<Version> {
        self.version.get().copied()
    }

    /// Where it connects to, as faults name it.
    pub(super) fn peer(&self) -> &SafeText {
        &self.addresses[self.good.load(Ordering::Relaxed) % self.addresses.len()].peer
    }

    /// Opens a connection; its messages go to the inbox. The addresses are tried in turn, beginning with the one that answered last.
    pub(super) async fn open(&self, role: Role, inbox: Inbox) -> Result<Connection, Fault> {
        let log_in = self.log_in().await?;
        let first = self.good.load(Ordering::Relaxed);
        let mut inbox = Some(inbox);
        let mut failed = None;
        for step in 0..self.addresses.len() {
            let at = (first + step) % self.addresses.len();
            let dial = self.dial(&self.addresses[at], &role, log_in.clone());
            match self.try_versions(&dial, &mut inbox).await {
                Ok(connection) => {
                    self.good.store(at, Ordering::Relaxed);
                    return Ok(connection);
                }
                Err(ending) => failed = failed.or(Some(ending.fault)),
            }
        }
        Err(failed.unwrap_or_else(|| faults::silent(false, self.peer())))
    }

    fn dial(&self, place: &Place, role: &Role, log_in: Option<(String, Secret)>) -> Dial {
        let settings = &self.settings;
        let lasting = role.lasting && !settings.clean;
        Dial {
            host: place.host.clone(),
            port: place.port,
            peer: place.peer.clone(),
            route: place.route.clone(),
            // Two connections by one id would throw each other out.
            client_id: if lasting { settings.client_id.clone() } else { format!("{}-{:08x}", settings.client_id, fastrand::u32(..)) },
            clean: !lasting,
            session_expiry: settings.session_expiry,
            // Who only listens notices in no other way that nobody is there any more.
            keep_alive: if role.will { settings.keep_alive } else { settings.keep_alive.min(LISTENING) },
            manual: role.manual.is_some(),
            receive_max: role.manual,
            log_in,
            will: settings.will.clone().filter(|_| role.will),
            room: role.room.clone(),
            timeout: self.timeout,
        }
    }

    /// MQTT 5 first, and 3.1.1 if the broker shows that it does not speak it: by saying so, or by closing without a word.
    async fn try_versions(&self, dial: &Dial, inbox: &mut Option<Inbox>) -> Result<Connection, Ending> {
        if let Some(version) = self.version.get() {
            return self.attempt(*version, dial, inbox).await;
        }
        let newer = match self.attempt(Version::V5, dial, inbox).await {
            // A broker that speaks only 3.1.1 answers so.
            Err(ending) if matches!(ending.why, Why::OtherVersion | Why::WithoutWord) => ending,
            answered => {
                if answered.is_ok() {
                    // Somebody else may have found out the same just now.
                    let _ = self.version.set(Version::V5);
                }
                return answered;
            }
        };
        let older = self.attempt(Version::V3, dial, inbox).await;
        if older.is_ok() {
            let _ = self.version.set(Version::V3);
        }
        older.map_err(|ending| if ending.fault.kind == newer.fault.kind { newer } else { ending })
    }

    async fn attempt(&self, version: Version, dial: &Dial, inbox: &mut Option<Inbox>) -> Result<Connection, Ending> {
        let (asked, epoch) = (Instant::now(), self.epochs.fetch_add(1, Ordering::Relaxed) + 1);
        let opened = tokio::time::timeout(self.timeout, async {
            resolve(dial).await?;
            match version {
                Version::V5 => connection::open(v5::open(dial, connection::ROOM), inbox, dial, epoch, &self.log).await,
                Version::V3 => connection::open(v3::open(dial, connection::ROOM), inbox, dial, epoch, &self.log).await,
            }
        });
        let opened = opened.await.unwrap_or_else(|_| Err(faults::silent(false, &dial.peer).into()));
        let said = opened.as_ref().map_or_else(|ending| ending.fault.cause.to_string(), |connection| outline(&connection.server));
        let name = if version == Version::V5 { "5" } else { "3.1.1" };
        self.log.record(&dial.peer, format!("CONNECT {name} as {}", dial.client_id), said, asked.elapsed());
        opened
    }

    async fn log_in(&self) -> Result<Option<(String, Secret)>, Fault> {
        Ok(match (&self.auth, &self.tokens) {
            (Auth::Basic { username, password }, _) => Some((username.clone(), password.clone())),
            (_, Some(tokens)) => Some((self.settings.username.clone(), tokens.token().await?.secret)),
            _ => None,
        })
    }
}

/// Looks up the host's name. The client crate does that by itself, but of what fails there it cannot be told which step it was.
async fn resolve(dial: &Dial) -> Result<(), Fault> {
    let host = dial.host.trim_start_matches('[').trim_end_matches(']');
    let found = tokio::net::lookup_host((host, dial.port)).await;
    found.map(drop).map_err(|error| tls::unresolved(host, &error, &dial.peer))
}

fn outline(server: &Server) -> String {
    let session = if server.session { ", session kept" } else { "" };
    server.max_packet.map_or_else(|| format!("accepted{session}"), |most| format!("accepted{session}, packets up to {most} B"))
}

fn place(address: &str, tls: Option<&Arc<ClientConfig>>) -> Result<Place, Fault> {
    let wrong = |cause: &str| Fault::new(Kind::Usage, CONNECT, address, cause);
    let web = ["ws://", "wss://"].iter().any(|scheme| address.starts_with(scheme));
    let authority = address.split_once("://").map_or(address, |(_, rest)| rest.split('/').next().unwrap_or(rest));
    let (host, port) = authority
        .rsplit_once(':')
        .and_then(|(host, port)| Some((host.to_owned(), port.parse().ok()?)))
        .ok_or_else(|| wrong("this is not host:port"))?;
    let route = match tls {
        // Where no path is said the usual one is meant.
        config if web => Route::Web(
            if address.matches('/').count() == 3 && address.ends_with('/') { format!("{address}mqtt") } else { address.to_owned() },
            config.cloned(),
        ),
        Some(_) if host.starts_with('[') => {
            return Err(wrong("TLS cannot be spoken to an IPv6 address here").next("use a host name that leads to it"));
        }
        Some(config) => Route::Tls(config.clone()),
        None => Route::Tcp,
    };
    Ok(Place { host, port, peer: SafeText::new(authority), route })
}
