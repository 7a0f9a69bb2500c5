//! Connecting: TCP, the server's `INFO`, TLS, the log-in, and what each failure means.

use super::wire::{self, Op};
use crate::adapters::tls::{self, TlsDial};
use crate::adapters::token_source::{self, TokenSource};
use crate::adapters::wirelog::WireLog;
use crate::config::profile::{Auth, Integration, Seed};
use crate::domain::fault::{Fault, Kind};
use crate::domain::text::SafeText;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::BytesMut;
use serde::Deserialize;
use serde_json::json;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

const OP: &str = "connect to";

pub(super) type Reader = Box<dyn AsyncRead + Send + Unpin>;
pub(super) type Writer = Box<dyn AsyncWrite + Send + Unpin>;

/// What a server says of itself. What an old one leaves out has its default.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Info {
    pub(super) server_name: String,
    pub(super) version: String,
    pub(super) cluster: String,
    pub(super) max_payload: usize,
    pub(super) headers: bool,
    pub(super) jetstream: bool,
    pub(super) connect_urls: Vec<String>,
    nonce: String,
    tls_required: bool,
    tls_available: bool,
}

/// How every server of a cluster is reached.
pub(super) struct Dial {
    pub(super) addresses: Vec<String>,
    pub(super) timeout: Duration,
    pub(super) log: WireLog,
    /// What answers are sent to; users that may not subscribe to `_INBOX.>` are given another prefix.
    pub(super) inbox_prefix: String,
    tls: Option<TlsDial>,
    /// TLS before the server's first word (`handshake_first`).
    tls_first: bool,
    auth: Auth,
    tokens: Option<Arc<dyn TokenSource>>,
}

/// A connection that is logged in.
pub(super) struct Opened {
    pub(super) reader: Reader,
    pub(super) writer: Writer,
    pub(super) peer: SafeText,
    pub(super) info: Info,
    /// What was read behind the answer to the log-in.
    pub(super) left: BytesMut,
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
        Ok(Self {
            addresses: integration.endpoint.addresses.clone(),
            timeout: integration.timeout,
            log,
            inbox_prefix: setting("inbox_prefix").unwrap_or("_INBOX").trim_end_matches('.').to_owned(),
            tls: integration.endpoint.tls.as_ref().map(TlsDial::new).transpose()?,
            tls_first: setting("tls_first") == Some("true"),
            auth: integration.auth.clone(),
            tokens,
        })
    }

    /// Connects to one address and logs in.
    pub(super) async fn open(&self, address: &str) -> Result<Opened, Fault> {
        let peer = SafeText::new(address);
        let asked = Instant::now();
        let opened = tokio::time::timeout(self.timeout, self.establish(address, &peer)).await.unwrap_or_else(|_| {
            let cause = format!("no answer within {} s", self.timeout.as_secs_f32());
            Err(Fault::new(Kind::Timeout, OP, peer.clone(), cause)
                .next("check the address; a server that wants TLS first is silent too: tls_first = true in the config block"))
        });
        let said = match &opened {
            Ok(opened) => {
                format!("{} {}{}", opened.info.server_name, opened.info.version, if self.tls.is_some() { ", TLS" } else { "" })
            }
            Err(fault) => fault.cause.to_string(),
        };
        self.log.record(&peer, "connect", said, asked.elapsed());
        opened
    }

    async fn establish(&self, address: &str, peer: &SafeText) -> Result<Opened, Fault> {
        let (host, port) = split(address, peer)?;
        let mut stream = tls::tcp(host, port, peer).await?;
        let mut buffer = BytesMut::with_capacity(16 << 10);
        let mut info = if self.tls_first { Info::default() } else { hello(&mut stream, &mut buffer, peer).await? };
        let (mut reader, mut writer): (Reader, Writer) = match &self.tls {
            None if info.tls_required => {
                return Err(Fault::new(Kind::Unauthorized, OP, peer.clone(), "the server speaks nothing but TLS")
                    .next("write tls:// before the address, or a tls block"));
            }
            None => {
                let (reader, writer) = stream.into_split();
                (Box::new(reader), Box::new(writer))
            }
            Some(_) if !self.tls_first && !info.tls_required && !info.tls_available => {
                return Err(Fault::new(Kind::Protocol, OP, peer.clone(), "the server does not speak TLS")
                    .next("remove the tls block, or use the server's TLS port"));
            }
            Some(tls) => {
                let (reader, writer) = tokio::io::split(tls.handshake(stream, host, peer).await?);
                (Box::new(reader), Box::new(writer))
            }
        };
        if self.tls_first {
            info = hello(&mut reader, &mut buffer, peer).await?;
        }
        let words = format!("CONNECT {}\r\nPING\r\n", self.login(&info, peer).await?);
        let sent = async {
            writer.write_all(words.as_bytes()).await?;
            writer.flush().await
        };
        sent.await.map_err(|error| broken(&error, peer))?;
        self.welcome(&mut reader, &mut buffer, peer).await?;
        Ok(Opened { reader, writer, peer: peer.clone(), info, left: buffer })
    }

    /// The arguments of `CONNECT`.
    async fn login(&self, info: &Info, peer: &SafeText) -> Result<serde_json::Value, Fault> {
        let mut words = json!({
            "verbose": false, "pedantic": false, "headers": true, "no_responders": true, "echo": true, "protocol": 1,
            "lang": "rust", "name": "mqdeck", "version": env!("CARGO_PKG_VERSION"), "tls_required": self.tls.is_some(),
        });
        match &self.auth {
            Auth::None => {}
            // A user without a password in a URL is a token, as in every NATS client.
            Auth::Basic { username, password } if password.expose().is_empty() => words["auth_token"] = json!(username),
            Auth::Basic { username, password } => {
                words["user"] = json!(username);
                words["pass"] = json!(password.expose());
            }
            Auth::Token(_) => {
                if let Some(tokens) = &self.tokens {
                    words["auth_token"] = json!(tokens.token().await?.secret.expose());
                }
            }
            Auth::Nkey(seed) => {
                let seed = match seed {
                    Seed::Fixed(secret) => secret.expose().to_owned(),
                    Seed::File(path) => read(path)?,
                };
                let pair = key_pair(seed.trim(), peer)?;
                words["nkey"] = json!(pair.public_key());
                words["sig"] = json!(sign(&pair, info, peer)?);
            }
            Auth::Creds(path) => {
                let text = read(path)?;
                let (Some(jwt), Some(seed)) = (section(&text, "NATS USER JWT"), section(&text, "USER NKEY SEED")) else {
                    return Err(Fault::new(Kind::Usage, "read", path.display().to_string(), "there is no user's JWT and seed in it")
                        .next("`nsc generate creds` writes such files"));
                };
                words["jwt"] = json!(jwt);
                words["sig"] = json!(sign(&key_pair(seed, peer)?, info, peer)?);
            }
            Auth::Scram { .. } => {
                return Err(
                    Fault::new(Kind::Usage, OP, peer.clone(), "NATS has no SCRAM").next("auth types: password, token, nkey, creds, mtls")
                );
            }
        }
        Ok(words)
    }

    /// Waits for the answer to the log-in.
    async fn welcome(&self, reader: &mut Reader, buffer: &mut BytesMut, peer: &SafeText) -> Result<(), Fault> {
        loop {
            for op in wire::take(buffer).map_err(|cause| Fault::new(Kind::Protocol, OP, peer.clone(), cause))? {
                match op {
                    Op::Pong => return Ok(()),
                    Op::Err(said) => return Err(self.refused(&said, peer)),
                    Op::Info(_) | Op::Msg(_) | Op::Ping => {}
                }
            }
            match reader.read_buf(buffer).await {
                Ok(0) => return Err(self.hung_up(peer)),
                Ok(_) => {}
                // TLS 1.3: the server judges our certificate after we took the handshake for done.
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Err(self.hung_up(peer)),
                Err(error) => return Err(broken(&error, peer)),
            }
        }
    }

    fn hung_up(&self, peer: &SafeText) -> Fault {
        let fault = Fault::new(Kind::Unreachable, OP, peer.clone(), "the server closed the connection while we logged in");
        match self.tls {
            Some(_) => fault.next("with TLS that is often a client certificate that is missing or not trusted: client_cert, client_key"),
            None => fault.next("the server may be shutting down or take no more connections: look at its log"),
        }
    }

    /// What the server's refusal means. It says the same of every wrong log-in.
    pub(super) fn refused(&self, said: &str, peer: &SafeText) -> Fault {
        let lower = said.to_ascii_lowercase();
        if lower.contains("maximum connections") || lower.contains("maximum account") {
            return Fault::new(Kind::Rejected, OP, peer.clone(), format!("the server takes no more connections: {said}"));
        }
        if lower.contains("secure connection") || lower.contains("tls") {
            return Fault::new(Kind::Unauthorized, OP, peer.clone(), said).next("write tls:// before the address, or a tls block");
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

/// Reads the server's first word.
async fn hello(reader: &mut (impl AsyncRead + Unpin), buffer: &mut BytesMut, peer: &SafeText) -> Result<Info, Fault> {
    let strange = |cause: String| {
        Fault::new(Kind::Protocol, OP, peer.clone(), cause).next("is this a NATS server's client port (4222 unless it was changed)?")
    };
    loop {
        match wire::take(buffer).map_err(strange)?.into_iter().next() {
            Some(Op::Info(json)) => {
                return serde_json::from_slice(&json).map_err(|error| strange(format!("its INFO is not JSON: {error}")));
            }
            Some(Op::Err(said)) => return Err(Fault::new(Kind::Rejected, OP, peer.clone(), said)),
            Some(_) => return Err(strange("the server does not begin with INFO".to_owned())),
            None => {}
        }
        if reader.read_buf(buffer).await.map_err(|error| broken(&error, peer))? == 0 {
            return Err(strange("the connection was closed before the server said INFO".to_owned()));
        }
    }
}

/// What a failed read or write means.
pub(super) fn broken(error: &io::Error, peer: &SafeText) -> Fault {
    tls::meaning(error, peer)
        .unwrap_or_else(|| Fault::new(Kind::Unreachable, "talk to", peer.clone(), error.to_string()).next("it is tried again"))
}

fn split<'a>(address: &'a str, peer: &SafeText) -> Result<(&'a str, u16), Fault> {
    let parts = address.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?)));
    let (host, port) = parts.ok_or_else(|| Fault::new(Kind::Usage, OP, peer.clone(), "this is not host:port"))?;
    Ok((host.trim_start_matches('[').trim_end_matches(']'), port))
}

fn read(path: &std::path::Path) -> Result<String, Fault> {
    std::fs::read_to_string(path).map_err(|error| {
        Fault::new(Kind::Usage, "read", path.display().to_string(), error.to_string()).next("the auth block names this file")
    })
}

fn key_pair(seed: &str, peer: &SafeText) -> Result<nkeys::KeyPair, Fault> {
    nkeys::KeyPair::from_seed(seed)
        .map_err(|_| Fault::new(Kind::Usage, OP, peer.clone(), "the seed of the nkey cannot be read").next("a user's seed begins with SU"))
}

fn sign(pair: &nkeys::KeyPair, info: &Info, peer: &SafeText) -> Result<String, Fault> {
    if info.nonce.is_empty() {
        return Err(Fault::new(Kind::Rejected, OP, peer.clone(), "the server gives nothing to sign: it does not use key pairs")
            .next("use another type of auth"));
    }
    let signed = pair.sign(info.nonce.as_bytes());
    signed.map(|signed| URL_SAFE_NO_PAD.encode(signed)).map_err(|_| Fault::new(Kind::Usage, OP, peer.clone(), "the seed cannot sign"))
}

/// The text between `-----BEGIN name-----` and the next line of hyphens.
fn section<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = text.lines().map(str::trim);
    lines.by_ref().find(|line| line.trim_matches('-').trim() == format!("BEGIN {name}"))?;
    lines.find(|line| !line.is_empty()).filter(|line| !line.starts_with("--"))
}

/// Says when the user's JWT ended, if it did.
fn expired(path: &std::path::Path) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    let claims = URL_SAFE_NO_PAD.decode(section(&text, "NATS USER JWT")?.split('.').nth(1)?).ok()?;
    let claims: serde_json::Value = serde_json::from_slice(&claims).ok()?;
    let end = jiff::Timestamp::from_second(claims.get("exp")?.as_i64()?).ok()?;
    (end <= jiff::Timestamp::now()).then(|| format!("the user's JWT expired on {end}: it has to be issued anew"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_creds_file_has_a_jwt_and_a_seed() {
        let text = "-----BEGIN NATS USER JWT-----\neyJ.eyJ.x\n------END NATS USER JWT------\n\n*** secret ***\n\n-----BEGIN USER NKEY SEED-----\nSUAB\n------END USER NKEY SEED------\n";
        assert_eq!((section(text, "NATS USER JWT"), section(text, "USER NKEY SEED")), (Some("eyJ.eyJ.x"), Some("SUAB")));
        assert_eq!(section("nothing", "NATS USER JWT"), None);
        assert_eq!(section("-----BEGIN NATS USER JWT-----\n------END NATS USER JWT------\n", "NATS USER JWT"), None);
    }
}
