//! Connections: dialled by the house's TCP and TLS, spoken on by the client; one shared by short requests, others of their own for
//! what blocks or is pushed.

use super::faults;
use crate::adapters::tls::{self, TlsDial};
use crate::adapters::token_source::{self, TokenSource};
use crate::adapters::wirelog::WireLog;
use crate::config::profile::{Auth, Integration};
use crate::domain::fault::{Fault, Kind};
use crate::domain::text::SafeText;
use redis::aio::{AsyncPushSender, MultiplexedConnection};
use redis::{AsyncConnectionConfig, Cmd, ProtocolVersion, RedisConnectionInfo, Value};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

const OP: &str = "connect to";
/// The settings that a profile's `config` block may have.
const SETTINGS: &[&str] = &["db", "payload_field"];

/// How the server is reached, and the connection that short requests share.
pub(super) struct Link {
    addresses: Vec<String>,
    timeout: Duration,
    tls: Option<TlsDial>,
    auth: Auth,
    tokens: Option<Arc<dyn TokenSource>>,
    pub(super) db: i64,
    log: WireLog,
    shared: Mutex<Option<Own>>,
}

/// A connection of its own. Dropping the last clone closes it.
#[derive(Clone)]
pub(super) struct Own {
    connection: MultiplexedConnection,
    peer: SafeText,
    log: WireLog,
    _driver: Arc<Driver>,
}

/// The task that reads and writes a connection.
struct Driver(JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Sends what the server pushes to a function that must not block.
pub(super) struct Push<F>(pub(super) F);

impl<F: Fn(redis::PushInfo) + Send + Sync + 'static> AsyncPushSender for Push<F> {
    fn send(&self, info: redis::PushInfo) -> Result<(), redis::aio::SendError> {
        (self.0)(info);
        Ok(())
    }
}

impl Link {
    pub(super) fn new(integration: &Integration, log: WireLog) -> Result<Self, Fault> {
        let wrong = |cause: String, next: String| Fault::new(Kind::Usage, "read settings of", &*integration.name, cause).next(next);
        if let Some((name, setting)) = integration.settings.iter().find(|(name, _)| !SETTINGS.contains(&name.as_str())) {
            return Err(wrong(
                format!("Redis has no setting `{name}` (line {})", setting.line),
                format!("it has: {}", SETTINGS.join(", ")),
            ));
        }
        let db =
            match integration.settings.get("db") {
                None => 0,
                Some(setting) => setting.value.expose().parse().ok().filter(|db| *db >= 0).ok_or_else(|| {
                    wrong(format!("`db` is not the number of a database (line {})", setting.line), "write db = 0".to_owned())
                })?,
            };
        let tokens = match &integration.auth {
            Auth::Token(source) => Some(token_source::from_profile(source)),
            Auth::None | Auth::Basic { .. } => None,
            Auth::Scram { .. } | Auth::Nkey(_) | Auth::Creds(_) => {
                return Err(wrong("Redis has no such log-in".to_owned(), "auth types: password, token, mtls".to_owned()));
            }
        };
        Ok(Self {
            addresses: integration.endpoint.addresses.clone(),
            timeout: integration.timeout,
            tls: integration.endpoint.tls.as_ref().map(TlsDial::new).transpose()?,
            auth: integration.auth.clone(),
            tokens,
            db,
            log,
            shared: Mutex::new(None),
        })
    }

    /// One short request over the shared connection, which is opened again when it broke before.
    pub(super) async fn call(&self, command: &Cmd, op: &'static str, target: &str) -> Result<Value, Fault> {
        let own = self.shared().await?;
        let answer = own.call(command, op, target).await;
        if answer.as_ref().is_err_and(|fault| matches!(fault.kind, Kind::Unreachable | Kind::Protocol)) {
            // Whoever comes next dials anew.
            *self.shared.lock().await = None;
        }
        answer
    }

    /// Several short requests at once, in order; each has its own answer.
    pub(super) async fn all(&self, commands: &[Cmd], op: &'static str, target: &str) -> Vec<Result<Value, Fault>> {
        futures::future::join_all(commands.iter().map(|command| self.call(command, op, target))).await
    }

    /// A round trip; the time it took.
    pub(super) async fn ping(&self) -> Result<Duration, Fault> {
        let asked = Instant::now();
        self.call(&redis::cmd("PING"), "check", "").await?;
        Ok(asked.elapsed())
    }

    async fn shared(&self) -> Result<Own, Fault> {
        let mut shared = self.shared.lock().await;
        if let Some(own) = &*shared {
            return Ok(own.clone());
        }
        let own = self.own(AsyncConnectionConfig::new().set_response_timeout(Some(self.timeout))).await?;
        *shared = Some(own.clone());
        Ok(own)
    }

    /// A connection of its own, to the first address that answers.
    pub(super) async fn own(&self, config: AsyncConnectionConfig) -> Result<Own, Fault> {
        let mut last = Fault::new(Kind::Usage, OP, "redis", "the profile names no address");
        for address in &self.addresses {
            match self.dial(address, config.clone()).await {
                Ok(own) => return Ok(own),
                Err(fault) => last = fault,
            }
        }
        Err(last)
    }

    async fn dial(&self, address: &str, config: AsyncConnectionConfig) -> Result<Own, Fault> {
        let peer = SafeText::new(address);
        let asked = Instant::now();
        let opened = tokio::time::timeout(self.timeout, self.establish(address, &peer, config)).await.unwrap_or_else(|_| {
            let cause = format!("no answer within {} s", self.timeout.as_secs_f32());
            Err(Fault::new(Kind::Timeout, OP, peer.clone(), cause).next("check the address; a server that wants TLS may be silent to us"))
        });
        let said = opened.as_ref().err().map_or_else(|| "connected".to_owned(), |fault| fault.cause.to_string());
        self.log.record(&peer, "connect", said, asked.elapsed());
        opened
    }

    async fn establish(&self, address: &str, peer: &SafeText, config: AsyncConnectionConfig) -> Result<Own, Fault> {
        let (host, port) = split(address, peer)?;
        let stream = tls::tcp(host, port, peer).await?;
        let stream: Box<dyn Stream> = match &self.tls {
            None => Box::new(stream),
            Some(tls) => Box::new(tls.handshake(stream, host, peer).await?),
        };
        let info = self.log_in().await?;
        let made = MultiplexedConnection::new_with_config(&info, stream, config).await;
        let (connection, driver) = made.map_err(|error| faults::of(&error, OP, peer.clone(), peer))?;
        let driver = Arc::new(Driver(tokio::spawn(driver)));
        Ok(Own { connection, peer: peer.clone(), log: self.log.clone(), _driver: driver })
    }

    async fn log_in(&self) -> Result<RedisConnectionInfo, Fault> {
        let info = RedisConnectionInfo::default()
            .set_protocol(ProtocolVersion::RESP3)
            .set_db(self.db)
            .set_lib_name("mqdeck", env!("CARGO_PKG_VERSION"));
        Ok(match (&self.auth, &self.tokens) {
            (Auth::Basic { username, password }, _) if username.is_empty() => info.set_password(password.expose()),
            (Auth::Basic { username, password }, _) => info.set_username(username).set_password(password.expose()),
            (_, Some(tokens)) => info.set_password(tokens.token().await?.secret.expose()),
            _ => info,
        })
    }
}

impl Own {
    /// Sends a command and waits for its answer.
    pub(super) async fn call(&self, command: &Cmd, op: &'static str, target: &str) -> Result<Value, Fault> {
        let asked = Instant::now();
        let mut connection = self.connection.clone();
        let answer = connection.send_packed_command(command).await.and_then(Value::extract_error);
        let answer = answer.map_err(|error| {
            let target = if target.is_empty() { self.peer.clone() } else { SafeText::new(target) };
            faults::of(&error, op, target, &self.peer)
        });
        let said = answer.as_ref().map_or_else(|fault| fault.cause.to_string(), outline);
        self.log.record(&self.peer, format!("{} {target}", name(command)), said, asked.elapsed());
        answer
    }
}

/// A command's name with its subcommand: never an argument, which may be a payload.
fn name(command: &Cmd) -> String {
    let mut words = command.args_iter().map(|arg| match arg {
        redis::Arg::Simple(word) => String::from_utf8_lossy(word).into_owned(),
        _ => String::new(),
    });
    let first = words.next().unwrap_or_default();
    let second = ["XINFO", "XGROUP", "PUBSUB", "CONFIG", "MEMORY"].contains(&first.as_str()).then(|| words.next()).flatten();
    second.map_or(first.clone(), |second| format!("{first} {second}"))
}

fn outline(answer: &Value) -> String {
    match answer {
        Value::Array(items) | Value::Set(items) => format!("{} items", items.len()),
        Value::Map(pairs) => format!("{} pairs", pairs.len()),
        Value::Int(n) => n.to_string(),
        Value::BulkString(bytes) => format!("{} B", bytes.len()),
        Value::Nil => "nil".to_owned(),
        _ => "ok".to_owned(),
    }
}

fn split<'a>(address: &'a str, peer: &SafeText) -> Result<(&'a str, u16), Fault> {
    let parts = address.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?)));
    let (host, port) = parts.ok_or_else(|| Fault::new(Kind::Usage, OP, peer.clone(), "this is not host:port"))?;
    Ok((host.trim_start_matches('[').trim_end_matches(']'), port))
}
