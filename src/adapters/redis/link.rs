//! Connections: dialled by the house's TCP and TLS, spoken on by the client; one for each server shared by short requests, others of
//! their own for what blocks or is pushed.
//!
//! In a cluster a request goes to the server of its key's slot, and follows `MOVED` and `ASK` (Redis cluster specification,
//! "Redirection and resharding"). With sentinels, these are asked who the master is each time a connection is opened.

use super::faults;
use super::name::Key;
use super::value::{self, field};
use crate::adapters::tls::{self, TlsDial};
use crate::adapters::token_source::{self, TokenSource};
use crate::adapters::wirelog::WireLog;
use crate::config::profile::{Auth, Integration};
use crate::config::rules::{self, Rule, Takes};
use crate::config::secret::Secret;
use crate::domain::fault::{Fault, Kind};
use crate::domain::text::SafeText;
use redis::aio::{AsyncPushSender, MultiplexedConnection};
use redis::cluster_routing::Slot;
use redis::{AsyncConnectionConfig, Cmd, ProtocolVersion, RedisConnectionInfo, RedisError, Value, cmd};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Mutex, OnceCell};
use tokio::task::JoinHandle;

const OP: &str = "connect to";
/// The settings that a profile's `config` block may have.
pub(super) const RULES: &[Rule] = &[
    Rule::new("db", Takes::Number(0, i64::MAX as u64)),
    Rule::new("payload_field", Takes::Text),
    Rule::new("sentinel", Takes::Text),
    Rule::new("sentinel_password", Takes::Secret),
];
/// How often one request is sent on to another server of a cluster.
const REDIRECTS: u32 = 5;
/// Requests that may wait to be written. Were there more, those that wait for room and those that come would overtake each other.
const WAITING: usize = 16_384;
/// Slots of a cluster.
const SLOTS: u32 = 16_384;

/// How the server is reached, and the connection that short requests share.
pub(super) struct Link {
    addresses: Vec<String>,
    timeout: Duration,
    tls: Option<TlsDial>,
    auth: Auth,
    tokens: Option<Arc<dyn TokenSource>>,
    pub(super) db: i64,
    log: WireLog,
    sentinel: Option<Sentinel>,
    nodes: Mutex<Nodes>,
    locating: Mutex<()>,
    server: OnceCell<ServerFacts>,
}

/// What kind of server answers.
#[derive(Clone, Copy, Debug)]
pub(super) struct ServerFacts {
    cluster: bool,
    /// The major version.
    pub(super) major: u32,
}

/// The servers that keys are spread over.
pub(super) struct Masters {
    pub(super) addresses: Vec<String>,
    /// Why some of them may be missing.
    pub(super) unseen: Option<Fault>,
}

/// Who knows the master: the addresses are those of sentinels.
struct Sentinel {
    /// The name that they watch it by.
    master: String,
    password: Option<Secret>,
}

/// What is known of the servers.
#[derive(Default)]
struct Nodes {
    /// The connections that short requests share, by address.
    open: HashMap<String, Own>,
    /// Who serves a slot of a cluster, as far as that was told.
    slots: HashMap<Slot, String>,
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
        rules::verify(integration, "Redis", RULES)?;
        let db = rules::Settings(&integration.settings).number("db").unwrap_or(0);
        let text = |name: &str| integration.settings.get(name).map(|setting| setting.value.clone());
        let sentinel = text("sentinel").map(|master| Sentinel { master: master.expose().to_owned(), password: text("sentinel_password") });
        Ok(Self {
            addresses: integration.endpoint.addresses.clone(),
            timeout: integration.timeout,
            tls: integration.endpoint.tls.as_ref().map(TlsDial::new).transpose()?,
            auth: integration.auth.clone(),
            tokens: token_source::of(&integration.auth),
            db,
            log,
            sentinel,
            nodes: Mutex::default(),
            locating: Mutex::default(),
            server: OnceCell::new(),
        })
    }

    /// One short request over the shared connection of the server that serves its key; a connection that broke is opened again.
    pub(super) async fn call(&self, command: &Cmd, op: &'static str, target: &str) -> Result<Value, Fault> {
        let slot = key(command).map(Slot::for_key);
        let mut to = match slot {
            Some(slot) => self.nodes.lock().await.slots.get(&slot).cloned(),
            None => None,
        };
        let mut ask = false;
        for _ in 0..REDIRECTS {
            let (address, own) = match self.node(to.as_deref()).await {
                Ok(node) => node,
                // The others know who has taken its place.
                Err(_) if to.is_some() => {
                    self.forget(to.take().as_deref()).await;
                    continue;
                }
                Err(fault) => return Err(fault),
            };
            let error = match own.send(command, ask, target).await {
                Ok(answer) => {
                    if let Some(slot) = slot.filter(|_| !ask && self.server.get().is_some_and(|server| server.cluster)) {
                        self.nodes.lock().await.slots.insert(slot, address);
                    }
                    return Ok(answer);
                }
                Err(error) => error,
            };
            let Some((next, _)) = error.redirect_node() else {
                let fault = own.fault(&error, op, target);
                if matches!(fault.kind, Kind::Unreachable | Kind::Protocol) {
                    // Whoever comes next dials anew. This request is not sent again: it may have been carried out.
                    self.forget(Some(&address)).await;
                }
                return Err(fault);
            };
            // Without a host the same is meant.
            to = Some(match next.rsplit_once(':') {
                Some(("" | "?", port)) => format!("{}:{port}", host_of(&address)),
                _ => next.to_owned(),
            });
            ask = error.code() == Some("ASK");
            if let (Some(slot), Some(to), false) = (slot, &to, ask) {
                self.nodes.lock().await.slots.insert(slot, to.clone());
            }
        }
        Err(Fault::new(Kind::Unreachable, op, target, "the cluster's servers send us from one to the other")
            .next("it is being rearranged: try again"))
    }

    /// A request to one server, whatever its key.
    pub(super) async fn call_at(&self, address: &str, command: &Cmd, op: &'static str, target: &str) -> Result<Value, Fault> {
        let (_, own) = self.node(Some(address)).await?;
        let answer = own.call(command, op, target).await;
        if answer.as_ref().is_err_and(|fault| matches!(fault.kind, Kind::Unreachable | Kind::Protocol)) {
            self.forget(Some(address)).await;
        }
        answer
    }

    /// The same request to every master that can be seen: what each says.
    pub(super) async fn call_everywhere(&self, command: &Cmd, op: &'static str) -> Result<Vec<Value>, Fault> {
        let masters = self.masters().await?.addresses;
        let asked = masters.iter().map(|address| self.call_at(address, command, op, ""));
        futures::future::join_all(asked).await.into_iter().collect()
    }

    /// All masters: of a cluster, or the one server there is.
    pub(super) async fn masters(&self) -> Result<Masters, Fault> {
        const OP: &str = "list the servers of";
        let (address, own) = self.node(None).await?;
        if !self.is_cluster().await? {
            return Ok(Masters { addresses: vec![address], unseen: None });
        }
        let slots = cmd("CLUSTER").arg("SLOTS").to_owned();
        match own.call(&slots, OP, "").await.map(|answer| shares(answer, &address)) {
            Ok(shares) if !shares.is_empty() => {
                let served: u32 = shares.iter().map(|(_, slots)| slots).sum();
                let mut addresses: Vec<String> = shares.into_iter().map(|(address, _)| address).collect();
                addresses.sort();
                addresses.dedup();
                let unseen = (served < SLOTS).then(|| {
                    let cause = format!("{} of the cluster's {SLOTS} slots are served by nobody", SLOTS - served);
                    Fault::new(Kind::Unreachable, OP, "redis", cause).next("look at CLUSTER INFO: keys of these slots are missing here")
                });
                Ok(Masters { addresses, unseen })
            }
            Ok(_) => Ok(self.known(Fault::new(Kind::Protocol, OP, "redis", "CLUSTER SLOTS names no server")).await),
            Err(fault) if matches!(fault.kind, Kind::Rejected | Kind::Forbidden) => Ok(self.known(fault).await),
            Err(fault) => Err(fault),
        }
    }

    /// Where a cluster does not tell its servers: those that the profile names and redirections have named. There may be others.
    async fn known(&self, why: Fault) -> Masters {
        let mut addresses = self.addresses.clone();
        {
            let nodes = self.nodes.lock().await;
            addresses.extend(nodes.open.keys().chain(nodes.slots.values()).cloned());
        }
        addresses.sort();
        addresses.dedup();
        let cause = format!("the cluster does not tell its servers ({}): those that the profile does not name are missing", why.cause);
        let unseen =
            Fault::new(why.kind, why.op, "redis", cause).next("allow CLUSTER SLOTS to the user, or name every master in the profile");
        Masters { addresses, unseen: Some(unseen) }
    }

    pub(super) async fn is_cluster(&self) -> Result<bool, Fault> {
        Ok(self.server().await?.cluster)
    }

    /// What the server says of itself. HELLO is allowed to everybody, whatever the ACL says.
    pub(super) async fn server(&self) -> Result<ServerFacts, Fault> {
        let asked = self.server.get_or_try_init(|| async {
            let facts = value::pairs(self.node(None).await?.1.call(&cmd("HELLO"), "identify", "").await?);
            let said = |name: &str| field(&facts, name).and_then(value::text).unwrap_or_default();
            let major = said("version").split('.').next().and_then(|major| major.parse().ok()).unwrap_or(0);
            Ok(ServerFacts { cluster: said("mode") == "cluster", major })
        });
        asked.await.copied()
    }

    /// Finds out who serves a key of a cluster, once however many ask: what is sent in order must not be sent on out of order.
    pub(super) async fn locate(&self, key: &Key, op: &'static str) -> Result<(), Fault> {
        if self.is_cluster().await? && self.serving(key).await.is_none() {
            let _alone = self.locating.lock().await;
            if self.serving(key).await.is_none() {
                self.call(cmd("TYPE").arg(key), op, &key.text()).await?;
            }
        }
        Ok(())
    }

    /// The server that answered for a key last; `None` where there is only one.
    pub(super) async fn serving(&self, key: &Key) -> Option<String> {
        self.nodes.lock().await.slots.get(&Slot::for_key(key.bytes())).cloned()
    }

    async fn forget(&self, address: Option<&str>) {
        let Some(address) = address else { return };
        let mut nodes = self.nodes.lock().await;
        nodes.open.remove(address);
        nodes.slots.retain(|_, serving| serving != address);
    }

    /// Several short requests at once, in order; each has its own answer.
    pub(super) async fn all(&self, commands: &[Cmd], op: &'static str, target: &str) -> Vec<Result<Value, Fault>> {
        futures::future::join_all(commands.iter().map(|command| self.call(command, op, target))).await
    }

    /// A round trip; the time it took.
    pub(super) async fn ping(&self) -> Result<Duration, Fault> {
        let asked = Instant::now();
        match self.call(&cmd("PING"), "check", "").await {
            // A server that refuses the question to this user has answered.
            Err(fault) if fault.kind != Kind::Forbidden => Err(fault),
            _ => Ok(asked.elapsed()),
        }
    }

    /// The shared connection to an address, or to any server; with its address.
    async fn node(&self, address: Option<&str>) -> Result<(String, Own), Fault> {
        {
            let nodes = self.nodes.lock().await;
            let known = match address {
                Some(address) => nodes.open.get_key_value(address),
                None => nodes.open.iter().next(),
            };
            if let Some((address, own)) = known {
                return Ok((address.clone(), own.clone()));
            }
        }
        let config = AsyncConnectionConfig::new().set_response_timeout(Some(self.timeout)).set_pipeline_buffer_size(WAITING);
        let (address, own) = self.open(address, config).await?;
        self.nodes.lock().await.open.insert(address.clone(), own.clone());
        Ok((address, own))
    }

    /// A connection of its own to an address, or to the first server that answers.
    pub(super) async fn dedicated(&self, address: Option<&str>, config: AsyncConnectionConfig) -> Result<Own, Fault> {
        Ok(self.open(address, config).await?.1)
    }

    async fn open(&self, address: Option<&str>, config: AsyncConnectionConfig) -> Result<(String, Own), Fault> {
        let found;
        let addresses = match (address, &self.sentinel) {
            (Some(address), _) => {
                found = [address.to_owned()];
                &found[..]
            }
            (None, Some(sentinel)) => {
                found = [self.master_by(sentinel).await?];
                &found[..]
            }
            (None, None) => &self.addresses[..],
        };
        let mut last = Fault::new(Kind::Usage, OP, "redis", "the profile names no address");
        for address in addresses {
            match self.dial(address, config.clone(), self.log_in().await?).await {
                Ok(own) => return Ok((address.clone(), own)),
                Err(fault) => last = fault,
            }
        }
        Err(last)
    }

    /// Asks the sentinels in turn for the master's address.
    async fn master_by(&self, sentinel: &Sentinel) -> Result<String, Fault> {
        let mut last = Fault::new(Kind::Usage, OP, "redis", "the profile names no sentinel");
        let mut info = RedisConnectionInfo::default().set_protocol(ProtocolVersion::RESP3);
        if let Some(password) = &sentinel.password {
            info = info.set_password(password.expose());
        }
        for address in &self.addresses {
            let config = AsyncConnectionConfig::new().set_response_timeout(Some(self.timeout));
            let asked = async {
                let own = self.dial(address, config, info.clone()).await?;
                own.call(cmd("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(&sentinel.master), OP, &sentinel.master).await
            };
            match asked.await.map(value::items) {
                Ok(parts) => {
                    if let [Some(host), Some(port)] = [parts.first(), parts.get(1)].map(|part| part.and_then(value::text)) {
                        return Ok(join(&host, &port));
                    }
                    last = Fault::new(Kind::NotFound, OP, &*sentinel.master, "the sentinel watches no master of that name")
                        .next("check the setting `sentinel`");
                }
                Err(fault) => last = fault,
            }
        }
        Err(last)
    }

    async fn dial(&self, address: &str, config: AsyncConnectionConfig, info: RedisConnectionInfo) -> Result<Own, Fault> {
        let peer = SafeText::new(address);
        tls::opened(self.timeout, &peer, &self.log, self.establish(address, &peer, config, info)).await
    }

    async fn establish(
        &self,
        address: &str,
        peer: &SafeText,
        config: AsyncConnectionConfig,
        info: RedisConnectionInfo,
    ) -> Result<Own, Fault> {
        let (host, port) = tls::host_and_port(address, peer)?;
        let stream = tls::tcp(host, port, peer).await?;
        let stream: Box<dyn Stream> = match &self.tls {
            None => Box::new(stream),
            Some(tls) => Box::new(tls.handshake(stream, host, peer).await?),
        };
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
        self.send(command, false, target).await.map_err(|error| self.fault(&error, op, target))
    }

    /// The same with the client's own error; `ask` has the server answer for a slot that it is only taking over.
    async fn send(&self, command: &Cmd, ask: bool, target: &str) -> Result<Value, RedisError> {
        let asked = Instant::now();
        let mut connection = self.connection.clone();
        let answer = if ask {
            let mut both = redis::pipe();
            both.cmd("ASKING").ignore().add_command(command.clone());
            connection.send_packed_commands(&both, 1, 1).await.map(|mut answers| answers.pop().unwrap_or_default())
        } else {
            connection.send_packed_command(command).await
        };
        let answer = answer.and_then(Value::extract_error);
        let said = answer.as_ref().map_or_else(ToString::to_string, outline);
        self.log.record(&self.peer, format!("{} {target}", name(command)), said, asked.elapsed());
        answer
    }

    fn fault(&self, error: &RedisError, op: &'static str, target: &str) -> Fault {
        let target = if target.is_empty() { self.peer.clone() } else { SafeText::new(target) };
        faults::of(error, op, target, &self.peer)
    }
}

/// The key whose slot decides which server of a cluster has to answer.
fn key(command: &Cmd) -> Option<Vec<u8>> {
    let mut words = command.args_iter().map(|arg| match arg {
        redis::Arg::Simple(word) => word,
        _ => &[],
    });
    match words.next()? {
        b"XINFO" | b"XGROUP" | b"MEMORY" => words.nth(1),
        b"XREAD" | b"XREADGROUP" => words.by_ref().find(|word| *word == b"STREAMS").and_then(|_| words.next()),
        // The script, how many keys it has, the key.
        b"EVAL" => words.nth(2),
        b"TYPE" | b"PTTL" | b"EXISTS" | b"XADD" | b"XLEN" | b"XRANGE" | b"XREVRANGE" | b"XACK" | b"XCLAIM" | b"XPENDING" | b"XDEL" => {
            words.next()
        }
        _ => None,
    }
    .map(<[u8]>::to_vec)
}

/// The masters of CLUSTER SLOTS with how many slots each range of theirs has: `[first, last, [host, port, …], replicas…]`. The server that
/// was asked is meant where a host is nil, empty or `?`: the cluster does not know, or does not tell, how it is reached.
fn shares(answer: Value, asked: &str) -> Vec<(String, u32)> {
    let share = |range: Value| {
        let mut parts = value::items(range).into_iter();
        let mut slot = || value::int(&parts.next()?).and_then(|slot| u32::try_from(slot).ok());
        let slots = (slot()?, slot()?);
        let mut node = value::items(parts.next()?).into_iter();
        let (host, port) = (value::text(&node.next()?), value::int(&node.next()?)?.to_string());
        let host = host.filter(|host| !matches!(host.as_str(), "" | "?"));
        let address = host.map_or_else(|| format!("{}:{port}", host_of(asked)), |host| join(&host, &port));
        Some((address, slots.1.saturating_sub(slots.0) + 1))
    };
    value::items(answer).into_iter().filter_map(share).collect()
}

fn join(host: &str, port: &str) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

fn host_of(address: &str) -> &str {
    address.rsplit_once(':').map_or(address, |(host, _)| host)
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
