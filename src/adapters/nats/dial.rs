//! Connecting to one server: TCP, TLS, the log-in that the profile says, and what their failures mean.

use super::wire::frame::{self, Frame, Read};
use super::wire::servers::{Server, ServerInfo, Servers};
use crate::adapters::tls::{self, TlsDial};
use crate::adapters::token_source::{self, TokenSource};
use crate::adapters::wirelog::WireLog;
use crate::config::profile::{Auth, Integration, Reconnect, Seed, Tls};
use crate::config::rules::{self, Rule, Takes};
use crate::domain::fault::{Fault, Kind};
use crate::domain::text::SafeText;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::{Buf, BytesMut};
use nkeys::KeyPair;
use serde_json::{Value, json};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

const OP: &str = "connect to";
/// The settings that a profile's `config` block may have.
pub(super) const RULES: &[Rule] = &[
    Rule::new("inbox_prefix", Takes::Checked(is_prefix)),
    Rule::new("tls_first", Takes::Flag),
    Rule::new("domain", Takes::Text),
    Rule::new("api_prefix", Takes::Checked(is_prefix)),
];

/// Bytes to and from a server, in the clear or not.
pub(super) trait Bytes: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Bytes for T {}
pub(super) type Stream = Box<dyn Bytes>;

/// A connection that is logged in.
pub(super) struct Opened {
    pub(super) stream: Stream,
    /// What came behind the log-in.
    pub(super) buffer: BytesMut,
    pub(super) info: ServerInfo,
}

/// What JetStream's API of the own account and domain begins with.
const OWN_API: &str = "$JS.API";

/// Whether it is a subject that others can stand below.
fn is_prefix(text: &str) -> Result<(), &'static str> {
    let text = text.trim_end_matches('.');
    let well = text.split('.').all(|token| !token.is_empty() && !token.contains(['*', '>']) && !token.contains(char::is_whitespace));
    if well { Ok(()) } else { Err("expected a subject without wildcards and blanks: \"_INBOX_app\"") }
}

/// How every server of a cluster is reached.
pub(super) struct Dial {
    pub(super) timeout: Duration,
    pub(super) log: WireLog,
    /// The addresses, as faults name them.
    pub(super) peer: SafeText,
    /// What answers are sent to; users that may not subscribe to `_INBOX.>` are given another prefix.
    pub(super) inbox_prefix: String,
    /// What the subjects of JetStream's API begin with.
    pub(super) api_prefix: String,
    /// The domain whose JetStream it is, where the profile says one.
    pub(super) domain: Option<String>,
    addresses: Vec<String>,
    /// A server may demand TLS without being asked: then it is checked against the system's authorities.
    tls: Result<TlsDial, Fault>,
    tls_required: bool,
    /// TLS before the server's first word (`handshake_first`).
    tls_first: bool,
    auth: Auth,
    tokens: Option<Arc<dyn TokenSource>>,
    pub(super) reconnect: Reconnect,
}

impl Dial {
    /// Whether JetStream is another domain's, or another account's: beyond a leaf node or an import.
    pub(super) fn is_elsewhere(&self) -> bool {
        self.api_prefix != OWN_API
    }

    pub(super) fn new(integration: &Integration, log: WireLog) -> Result<Self, Fault> {
        rules::verify(integration, "NATS", RULES)?;
        let said = rules::Settings(&integration.settings);
        let api_prefix = match (said.text("api_prefix"), said.text("domain")) {
            (Some(_), Some(_)) => {
                let cause = "`domain` and `api_prefix` are two ways to say the same";
                return Err(Fault::new(Kind::Usage, "read settings of", &*integration.name, cause).next("leave one of them out"));
            }
            (Some(prefix), None) => prefix.trim_end_matches('.').to_owned(),
            (None, Some(domain)) => format!("$JS.{domain}.API"),
            (None, None) => OWN_API.to_owned(),
        };
        let tls = match &integration.endpoint.tls {
            Some(tls) => Ok(TlsDial::new(tls)?),
            None => TlsDial::new(&Tls::default()),
        };
        let peer = SafeText::from(integration.endpoint.addresses.join(","));
        Ok(Self {
            timeout: integration.timeout,
            log,
            inbox_prefix: said.text("inbox_prefix").unwrap_or("_INBOX").trim_end_matches('.').to_owned(),
            api_prefix,
            domain: said.text("domain").map(str::to_owned),
            addresses: integration.endpoint.addresses.clone(),
            peer,
            tls,
            tls_required: integration.endpoint.tls.is_some(),
            tls_first: said.flag("tls_first").unwrap_or(false),
            auth: integration.auth.clone(),
            tokens: token_source::of(&integration.auth),
            reconnect: integration.reconnect.clone(),
        })
    }

    pub(super) fn servers(&self) -> Result<Servers, Fault> {
        Servers::new(&self.addresses)
    }

    /// Connects to a server and logs in.
    pub(super) async fn open(&self, server: &Server) -> Result<Opened, Fault> {
        let (asked, peer) = (Instant::now(), server.peer());
        let opened = tokio::time::timeout(self.timeout, self.establish(server, &peer)).await.unwrap_or_else(|_| {
            let cause = format!("no answer within {} s", self.timeout.as_secs_f32());
            Err(Fault::new(Kind::Timeout, OP, peer.clone(), cause)
                .next("check the address; a server that wants TLS first is silent too: tls_first = true in the config block"))
        });
        let outcome = match &opened {
            Ok(opened) => {
                let secure = if self.tls_required || opened.info.tls_required { ", TLS" } else { "" };
                format!("{} {}{secure}", opened.info.server_name, opened.info.version)
            }
            Err(fault) => fault.cause.to_string(),
        };
        self.log.record(&peer, "connect", outcome, asked.elapsed());
        opened
    }

    async fn establish(&self, server: &Server, peer: &SafeText) -> Result<Opened, Fault> {
        let tcp = tls::tcp(&server.host, server.port, peer).await?;
        let tls = || self.tls.as_ref().map_err(Clone::clone);
        let mut buffer = BytesMut::new();
        let (stream, info) = if self.tls_first {
            let mut stream: Stream = Box::new(tls()?.handshake(tcp, &server.tls_name, peer).await?);
            let info = self.first(&mut stream, &mut buffer, peer).await?;
            (stream, info)
        } else {
            let mut tcp = tcp;
            let info = self.first(&mut tcp, &mut buffer, peer).await?;
            if self.tls_required || info.tls_required {
                // Whoever stands between could add to what is not secured yet.
                if !buffer.is_empty() {
                    return Err(Fault::new(Kind::Protocol, OP, peer.clone(), "the server sent more before TLS than it may"));
                }
                (Box::new(tls()?.handshake(tcp, &server.tls_name, peer).await?) as Stream, info)
            } else {
                (Box::new(tcp) as Stream, info)
            }
        };
        self.log_in(stream, buffer, info, peer).await
    }

    /// The server's first word, which says who it is.
    async fn first(&self, stream: &mut (impl AsyncRead + Unpin), buffer: &mut BytesMut, peer: &SafeText) -> Result<ServerInfo, Fault> {
        loop {
            match self.next(stream, buffer, peer).await? {
                Word::Info(info) => return Ok(*info),
                Word::Error(text) => return Err(self.refused(peer, &text)),
                Word::Pong | Word::Other => {}
            }
        }
    }

    async fn log_in(&self, mut stream: Stream, mut buffer: BytesMut, mut info: ServerInfo, peer: &SafeText) -> Result<Opened, Fault> {
        let commands = format!("CONNECT {}\r\nPING\r\n", self.login(&info.nonce).await?);
        let sent = async {
            stream.write_all(commands.as_bytes()).await?;
            stream.flush().await
        };
        // Why it closed the connection stands in what it said before.
        let sent = sent.await;
        loop {
            match self.next(&mut stream, &mut buffer, peer).await? {
                Word::Pong => break,
                Word::Error(text) => return Err(self.refused(peer, &text)),
                Word::Info(newer) => info = *newer,
                Word::Other => {}
            }
        }
        sent.map_err(|error| self.broken(&error, peer))?;
        Ok(Opened { stream, buffer, info })
    }

    async fn next(&self, stream: &mut (impl AsyncRead + Unpin), buffer: &mut BytesMut, peer: &SafeText) -> Result<Word, Fault> {
        loop {
            match frame::read(buffer, 0) {
                Read::Frame(frame, end) => {
                    let word = match frame {
                        Frame::Info(text) => Word::Info(Box::new(serde_json::from_slice(text.bytes(buffer)).map_err(|error| {
                            Fault::new(Kind::Protocol, OP, peer.clone(), format!("what the server says of itself cannot be read: {error}"))
                        })?)),
                        Frame::Error(text) => Word::Error(String::from_utf8_lossy(text.bytes(buffer)).trim().trim_matches('\'').to_owned()),
                        Frame::Pong => Word::Pong,
                        Frame::Ping | Frame::Ok | Frame::Message(_) => Word::Other,
                    };
                    buffer.advance(end);
                    return Ok(word);
                }
                Read::Strange(line) => {
                    let cause = format!("this is not NATS: it says {line}");
                    return Err(Fault::new(Kind::Protocol, OP, peer.clone(), cause)
                        .next("is this a NATS server's client port (4222 unless it was changed)?"));
                }
                Read::More(_) => match stream.read_buf(buffer).await {
                    Ok(0) => return Err(self.hung_up(peer)),
                    Ok(_) => {}
                    Err(error) => return Err(self.broken(&error, peer)),
                },
            }
        }
    }

    /// What `CONNECT` says: who we are, and what we understand.
    async fn login(&self, nonce: &str) -> Result<Value, Fault> {
        let mut login = json!({
            "verbose": false, "pedantic": false, "tls_required": self.tls_required, "name": "mqdeck", "lang": "rust",
            "version": env!("CARGO_PKG_VERSION"), "protocol": 1, "echo": true, "headers": true, "no_responders": true,
        });
        match &self.auth {
            // A profile and a URL are checked by the table of log-ins, which has no SCRAM for NATS.
            Auth::None | Auth::Scram { .. } => {}
            // A user without a password in a URL is a token, as in every NATS client.
            Auth::Basic { username, password } if password.expose().is_empty() => login["auth_token"] = json!(username),
            Auth::Basic { username, password } => {
                login["user"] = json!(username);
                login["pass"] = json!(password.expose());
            }
            // The one before may have ended.
            Auth::Token(_) => {
                if let Some(tokens) = &self.tokens {
                    login["auth_token"] = json!(tokens.token().await?.secret.expose());
                }
            }
            Auth::Nkey(seed) => {
                let text = match seed {
                    Seed::Fixed(seed) => seed.expose().to_owned(),
                    Seed::File(path) => read(path)?,
                };
                let pair = KeyPair::from_seed(text.trim()).map_err(|_| {
                    Fault::new(Kind::Usage, OP, self.peer.clone(), "the seed of the nkey cannot be read")
                        .next("a user's seed begins with SU")
                })?;
                login["nkey"] = json!(pair.public_key());
                login["sig"] = json!(self.signed(&pair, nonce)?);
            }
            Auth::Creds(path) => {
                let (jwt, pair) = credentials(&read(path)?).ok_or_else(|| {
                    Fault::new(Kind::Usage, "read", path.display().to_string(), "there is no user's JWT and seed in it")
                        .next("`nsc generate creds` writes such files")
                })?;
                login["jwt"] = json!(jwt);
                login["sig"] = json!(self.signed(&pair, nonce)?);
            }
        }
        Ok(login)
    }

    /// The server's challenge, signed.
    fn signed(&self, pair: &KeyPair, nonce: &str) -> Result<String, Fault> {
        let signature = pair.sign(nonce.as_bytes());
        let signature =
            signature.map_err(|_| Fault::new(Kind::Usage, OP, self.peer.clone(), "the seed cannot sign: it is no private key"))?;
        Ok(URL_SAFE_NO_PAD.encode(signature))
    }

    fn broken(&self, error: &io::Error, peer: &SafeText) -> Fault {
        if let Some(fault) = tls::meaning(error, peer) {
            return fault;
        }
        match error.kind() {
            io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe => self.hung_up(peer),
            _ => tls::no_connection(error, peer),
        }
    }

    fn hung_up(&self, peer: &SafeText) -> Fault {
        let fault = Fault::new(Kind::Unreachable, OP, peer.clone(), "the server closed the connection while we logged in");
        if self.tls_required {
            fault.next("with TLS that is often a client certificate that is missing or not trusted: client_cert, client_key")
        } else {
            fault.next("the server may be shutting down or take no more connections: look at its log")
        }
    }

    /// What the server's refusal means. It says the same of every wrong log-in.
    fn refused(&self, peer: &SafeText, said: &str) -> Fault {
        let lower = said.to_ascii_lowercase();
        if lower.contains("maximum connections") || lower.contains("maximum account") {
            return Fault::new(Kind::Rejected, OP, peer.clone(), format!("the server takes no more connections: {said}"));
        }
        if !lower.contains("auth") {
            return Fault::new(Kind::Rejected, OP, peer.clone(), format!("the server says: {said}"));
        }
        let next = match &self.auth {
            Auth::None => "the server wants a log-in: write an auth block of type password, token, nkey or creds".to_owned(),
            Auth::Basic { .. } => "check user and password; the server says the same of every wrong log-in".to_owned(),
            Auth::Token(_) => "check the token; the server says the same of every wrong log-in".to_owned(),
            Auth::Nkey(_) => "the server does not know this key pair's public key".to_owned(),
            Auth::Scram { .. } => String::new(),
            Auth::Creds(path) => expired(path).unwrap_or_else(|| "the user may be expired, revoked or of another operator".to_owned()),
        };
        Fault::new(Kind::Unauthorized, OP, peer.clone(), format!("the server does not accept our log-in: {said}")).next(next)
    }
}

/// One word of the server while we log in.
enum Word {
    Info(Box<ServerInfo>),
    Error(String),
    Pong,
    Other,
}

/// The user's JWT and key pair of a creds file.
fn credentials(text: &str) -> Option<(String, KeyPair)> {
    let block = |title: &str| {
        let mut lines = text.lines().map(str::trim).skip_while(|line| !(line.starts_with("---") && line.contains(title)));
        lines.next()?;
        let inside: String = lines.take_while(|line| !line.starts_with("---")).collect();
        (!inside.is_empty()).then_some(inside)
    };
    Some((block("USER JWT")?, KeyPair::from_seed(&block("USER NKEY SEED")?).ok()?))
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
    fn another_domains_api_begins_otherwise() {
        let prefix = |settings: &[(&str, &str)]| {
            let integration = Integration::new("nats", "nats", vec!["127.0.0.1:4222".to_owned()]).with_settings(1, settings);
            Dial::new(&integration, WireLog::default()).map(|dial| dial.api_prefix)
        };
        assert_eq!(prefix(&[]).as_deref(), Ok("$JS.API"));
        assert_eq!(prefix(&[("domain", "hub")]).as_deref(), Ok("$JS.hub.API"));
        assert_eq!(prefix(&[("api_prefix", "team.js.")]).as_deref(), Ok("team.js"));
        assert!(prefix(&[("domain", "hub"), ("api_prefix", "x")]).is_err());
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
