//! Connecting: the client's options made of a profile, and what its failures to connect mean.

use super::link::PULSE;
use super::told::Told;
use crate::adapters::tls;
use crate::adapters::token_source::{self, TokenSource};
use crate::adapters::wirelog::WireLog;
use crate::config::profile::{Auth, Integration, Reconnect, Seed, Tls};
use crate::domain::fault::{Fault, Kind};
use crate::domain::text::SafeText;
use async_nats::{AuthError, Client, ConnectError, ConnectErrorKind, ConnectOptions, ServerAddr};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::error::Error;
use std::io;
use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

const OP: &str = "connect to";
/// Messages of one subscription that may wait for its reader, which takes them at once: room for the moments in which it is not run.
pub(super) const WAITING: usize = 128 << 10;
/// Commands that may wait for the connection: more than any caller has under way at once, so that they are taken in the order made.
const QUEUED: usize = 8_192;
/// A connection that is lost is tried again after this at first, and after twice the time each time, up to the longest pause: a
/// cluster elects a leader within seconds.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// The client tries for ever, even if nobody needs the connection any more: then it does so rarely, and stops when it has come back.
const UNUSED_PAUSE: Duration = Duration::from_secs(60);
/// The client has no word for trying no more that is true of the first connection as well: it waits for as long as no program runs.
const NEVER: Duration = Duration::from_secs(10 * 365 * 24 * 3_600);

/// How every server of a cluster is reached.
pub(super) struct Dial {
    pub(super) timeout: Duration,
    pub(super) log: WireLog,
    /// The addresses, as faults name them.
    pub(super) peer: SafeText,
    /// What answers are sent to; users that may not subscribe to `_INBOX.>` are given another prefix.
    pub(super) inbox_prefix: String,
    addresses: Vec<ServerAddr>,
    tls: Option<rustls::ClientConfig>,
    tls_required: bool,
    /// TLS before the server's first word (`handshake_first`).
    tls_first: bool,
    auth: Auth,
    tokens: Option<Arc<dyn TokenSource>>,
    pub(super) reconnect: Reconnect,
}

impl Dial {
    pub(super) fn new(integration: &Integration, log: WireLog) -> Result<Self, Fault> {
        let setting = |name: &str| integration.settings.get(name).map(|setting| setting.value.expose());
        let known = ["inbox_prefix", "tls_first"];
        if let Some((name, setting)) = integration.settings.iter().find(|(name, _)| !known.contains(&name.as_str())) {
            let cause = format!("NATS has no setting `{name}` (line {})", setting.line);
            return Err(
                Fault::new(Kind::Usage, "read settings of", &*integration.name, cause).next(format!("it has: {}", known.join(", ")))
            );
        }
        let tokens = match &integration.auth {
            Auth::Token(source) => Some(token_source::from_profile(source)),
            _ => None,
        };
        let tls = match &integration.endpoint.tls {
            Some(tls) => Some(tls::client_config(tls)?),
            // A server may demand TLS without being asked: then it is checked against the system's authorities.
            None => tls::client_config(&Tls::default()).ok(),
        };
        let peer = SafeText::from(integration.endpoint.addresses.join(","));
        Ok(Self {
            timeout: integration.timeout,
            log,
            inbox_prefix: setting("inbox_prefix").unwrap_or("_INBOX").trim_end_matches('.').to_owned(),
            addresses: integration.endpoint.addresses.iter().map(|address| server(address)).collect::<Result<_, _>>()?,
            peer,
            tls,
            tls_required: integration.endpoint.tls.is_some(),
            tls_first: setting("tls_first") == Some("true"),
            auth: integration.auth.clone(),
            tokens,
            reconnect: integration.reconnect.clone(),
        })
    }

    /// Connects to the first server that answers and logs in. `used` is alive as long as the connection is needed.
    pub(super) async fn connect(&self, told: &Arc<Told>, used: Weak<()>) -> Result<Client, Fault> {
        let asked = Instant::now();
        let options = self.options(told, used)?;
        let opened = options.connect(self.addresses.clone()).await.map_err(|error| self.meaning(&error, told));
        let said = match &opened {
            Ok(client) => {
                let info = client.server_info();
                format!("{} {}{}", info.server_name, info.version, if self.tls_required || info.tls_required { ", TLS" } else { "" })
            }
            Err(fault) => fault.cause.to_string(),
        };
        self.log.record(&self.peer, "connect", said, asked.elapsed());
        opened
    }

    fn options(&self, told: &Arc<Told>, used: Weak<()>) -> Result<ConnectOptions, Fault> {
        let listener = told.clone();
        let reconnect = self.reconnect.clone();
        // The client counts servers that it tries: an attempt goes to each that the profile names.
        let most = reconnect.attempts().map(|attempts| attempts as usize * self.addresses.len());
        let connected = told.clone();
        let mut options = self
            .login(told)?
            .name("mqdeck")
            .connection_timeout(self.timeout)
            .ping_interval(PULSE)
            .subscription_capacity(WAITING)
            .client_capacity(QUEUED)
            .event_callback(move |event| {
                listener.event(event);
                std::future::ready(())
            })
            .reconnect_delay_callback(move |attempts| match used.strong_count() {
                _ if !connected.was_up() => Duration::ZERO,
                0 => UNUSED_PAUSE,
                _ if most.is_some_and(|most| attempts > most) => {
                    connected.give_up();
                    NEVER
                }
                _ => pause(&reconnect, attempts),
            });
        if let Some(tls) = &self.tls {
            options = options.tls_client_config(tls.clone());
        }
        if self.tls_first {
            options = options.tls_first();
        }
        Ok(options.require_tls(self.tls_required))
    }

    /// Options that log in as the profile says.
    fn login(&self, told: &Arc<Told>) -> Result<ConnectOptions, Fault> {
        let options = ConnectOptions::new();
        Ok(match &self.auth {
            Auth::None => options,
            // A user without a password in a URL is a token, as in every NATS client.
            Auth::Basic { username, password } if password.expose().is_empty() => options.token(username.clone()),
            Auth::Basic { username, password } => options.user_and_password(username.clone(), password.expose().to_owned()),
            Auth::Token(_) => self.tokens.clone().map_or(options, |tokens| fresh(tokens, told.clone())),
            Auth::Nkey(Seed::Fixed(seed)) => options.nkey(seed.expose().trim().to_owned()),
            Auth::Nkey(Seed::File(path)) => options.nkey(read(path)?.trim().to_owned()),
            Auth::Creds(path) => options.credentials(&read(path)?).map_err(|error| {
                Fault::new(Kind::Usage, "read", path.display().to_string(), error.to_string())
                    .next("`nsc generate creds` writes such files")
            })?,
            Auth::Scram { .. } => {
                return Err(Fault::new(Kind::Usage, OP, self.peer.clone(), "NATS has no SCRAM")
                    .next("auth types: password, token, nkey, creds, mtls"));
            }
        })
    }

    /// What the client's failure to connect means.
    fn meaning(&self, error: &ConnectError, told: &Told) -> Fault {
        let source = error.source();
        let said = source.map_or_else(|| error.to_string(), ToString::to_string);
        let fault = |kind, cause: String| Fault::new(kind, OP, self.peer.clone(), cause);
        match error.kind() {
            ConnectErrorKind::AuthorizationViolation => self.refused("Authorization Violation"),
            // Our own side failed before anything was sent.
            ConnectErrorKind::Authentication => told.token_fault().unwrap_or_else(|| {
                fault(Kind::Usage, "the seed of the nkey cannot be read".to_owned()).next("a user's seed begins with SU")
            }),
            ConnectErrorKind::Dns => tls::unresolved(&self.hosts(), source.unwrap_or(error), &self.peer),
            ConnectErrorKind::TimedOut => fault(Kind::Timeout, format!("no answer within {} s", self.timeout.as_secs_f32()))
                .next("check the address; a server that wants TLS first is silent too: tls_first = true in the config block"),
            _ => match source.and_then(|source| source.downcast_ref::<io::Error>()) {
                Some(error) => self.broken(error),
                None if said.contains("broken pipe") || said.contains("got nothing") => self.hung_up(),
                // The server's own word: it takes no more connections.
                None => self.refused(said.trim_start_matches("nats: ")),
            },
        }
    }

    fn broken(&self, error: &io::Error) -> Fault {
        let strange = |cause: String| {
            Fault::new(Kind::Protocol, OP, self.peer.clone(), cause)
                .next("is this a NATS server's client port (4222 unless it was changed)?")
        };
        match error.kind() {
            _ if error.get_ref().is_some_and(<dyn Error + Send + Sync>::is::<rustls::Error>) => {
                tls::meaning(error, &self.peer).unwrap_or_else(|| strange(error.to_string()))
            }
            io::ErrorKind::InvalidInput => strange(error.to_string()),
            io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe => self.hung_up(),
            _ => tls::no_connection(error, &self.peer),
        }
    }

    fn hung_up(&self) -> Fault {
        let fault = Fault::new(Kind::Unreachable, OP, self.peer.clone(), "the server closed the connection while we logged in");
        if self.tls_required {
            fault.next("with TLS that is often a client certificate that is missing or not trusted: client_cert, client_key")
        } else {
            fault.next("the server may be shutting down or take no more connections: look at its log")
        }
    }

    /// What the server's refusal means. It says the same of every wrong log-in.
    pub(super) fn refused(&self, said: &str) -> Fault {
        let lower = said.to_ascii_lowercase();
        if lower.contains("maximum connections") || lower.contains("maximum account") {
            return Fault::new(Kind::Rejected, OP, self.peer.clone(), format!("the server takes no more connections: {said}"));
        }
        if !lower.contains("auth") {
            return Fault::new(Kind::Rejected, OP, self.peer.clone(), format!("the server says: {said}"));
        }
        let next = match &self.auth {
            Auth::None => "the server wants a log-in: write an auth block of type password, token, nkey or creds".to_owned(),
            Auth::Basic { .. } => "check user and password; the server says the same of every wrong log-in".to_owned(),
            Auth::Token(_) => "check the token; the server says the same of every wrong log-in".to_owned(),
            Auth::Nkey(_) => "the server does not know this key pair's public key".to_owned(),
            Auth::Scram { .. } => String::new(),
            Auth::Creds(path) => expired(path).unwrap_or_else(|| "the user may be expired, revoked or of another operator".to_owned()),
        };
        Fault::new(Kind::Unauthorized, OP, self.peer.clone(), format!("the server does not accept our log-in: {said}")).next(next)
    }

    fn hosts(&self) -> String {
        self.addresses.iter().map(ServerAddr::host).collect::<Vec<_>>().join(", ")
    }
}

fn server(address: &str) -> Result<ServerAddr, Fault> {
    address.parse().map_err(|error: io::Error| Fault::new(Kind::Usage, OP, address, error.to_string()).next("write host:port"))
}

/// How long to wait before the connection is tried again.
fn pause(reconnect: &Reconnect, attempts: usize) -> Duration {
    let doubled = FIRST_PAUSE.saturating_mul(1 << attempts.saturating_sub(1).min(10));
    doubled.min(reconnect.max_delay).min(LONGEST_PAUSE)
}

/// Asks for a token each time the client connects: the one before may have ended.
fn fresh(tokens: Arc<dyn TokenSource>, told: Arc<Told>) -> ConnectOptions {
    ConnectOptions::with_auth_callback(move |_nonce| {
        let (tokens, told) = (tokens.clone(), told.clone());
        // The client wants an answer that may be looked at from several threads; a task's handle may.
        let asked = tokio::spawn(async move { tokens.token().await });
        async move {
            let token = asked.await.map_err(|_| AuthError::new("the program is ending"))?;
            let token = token.map_err(|fault| {
                let said = AuthError::new(fault.cause.as_str());
                told.no_token(fault);
                said
            })?;
            let mut auth = async_nats::Auth::new();
            auth.token = Some(token.secret.expose().to_owned());
            Ok(auth)
        }
    })
}

fn read(path: &Path) -> Result<String, Fault> {
    std::fs::read_to_string(path).map_err(|error| {
        Fault::new(Kind::Usage, "read", path.display().to_string(), error.to_string()).next("the auth block names this file")
    })
}

/// Says when the user's JWT in a creds file ended, if it did.
fn expired(path: &Path) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    let jwt = text.lines().map(str::trim).find(|line| line.starts_with("ey"))?;
    let claims = URL_SAFE_NO_PAD.decode(jwt.split('.').nth(1)?).ok()?;
    let claims: serde_json::Value = serde_json::from_slice(&claims).ok()?;
    let end = jiff::Timestamp::from_second(claims.get("exp")?.as_i64()?).ok()?;
    (end <= jiff::Timestamp::now()).then(|| format!("the user's JWT expired on {end}: it has to be issued anew"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_second_and_no_further() {
        let reconnect = Reconnect::default();
        let pauses: Vec<u128> = [1, 2, 3, 6, 7, 60].map(|attempts| pause(&reconnect, attempts).as_millis()).into();
        assert_eq!(pauses, [50, 100, 200, 1_000, 1_000, 1_000]);
        let soon = Reconnect { max_delay: Duration::from_millis(120), ..reconnect };
        assert_eq!(pause(&soon, 9), Duration::from_millis(120));
    }

    #[test]
    fn an_expired_user_is_told_by_its_file() {
        let claims = URL_SAFE_NO_PAD.encode(br#"{"exp":1609459200}"#);
        let file = tempfile::NamedTempFile::new().expect("a file");
        let text = format!("-----BEGIN NATS USER JWT-----\neyJh.{claims}.x\n------END NATS USER JWT------\n");
        std::fs::write(file.path(), text).expect("written");
        assert!(expired(file.path()).expect("expired").contains("2021-01-01"), "{:?}", expired(file.path()));
    }
}
