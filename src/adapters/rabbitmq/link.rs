//! Connections: dialled with the house's faults, spoken on by the client. One is shared by short requests; what flows has its own.

use super::faults;
use super::frames::Blocked;
use super::settings::Settings;
use super::socket::{Inner, Kit, Socket};
use crate::adapters::room::Room;
use crate::adapters::tls;
use crate::adapters::token_source::{self, TokenSource};
use crate::adapters::wirelog::WireLog;
use crate::config::profile::{Auth, Integration};
use crate::config::secret::Secret;
use crate::domain::fault::{Fault, Kind};
use crate::domain::text::SafeText;
use async_rs::Runtime;
use futures::future::{BoxFuture, Shared};
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use lapin::auth::AuthProvider;
use lapin::tcp::RustlsConnector;
use lapin::types::{LongString, ShortString};
use lapin::uri::{AMQPAuthority, AMQPQueryString, AMQPScheme, AMQPUri, AMQPUserInfo};
use lapin::{AsyncTcpStream, Channel, Connection, ConnectionProperties, Event};
use rustls::ClientConfig;
use std::io;
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

const OP: &str = "connect to";
/// How long one address has for itself before the next is tried beside it.
const STAGGER: Duration = Duration::from_secs(1);
/// How often a piece is read of what waits for room: neither the server nor the client crate bears a connection on which nothing moves.
const PIECE: Duration = Duration::from_secs(1);

/// A connection that is being made, or was: whoever needs it waits for the same one.
type Dialling = Shared<BoxFuture<'static, Result<Arc<Live>, Fault>>>;

/// How the server is reached, and the connection that short requests share.
pub(super) struct Link {
    addresses: Vec<String>,
    timeout: Duration,
    tls: Option<Arc<ClientConfig>>,
    login: Login,
    vhost: String,
    heartbeat: u16,
    channel_max: Option<u16>,
    pub(super) log: WireLog,
    /// Of short requests.
    shared: Mutex<Option<Dialling>>,
    /// Of what is published: a server whose memory or disk runs out reads no more from a connection that has published.
    publishing: Mutex<Option<Dialling>>,
}

/// Who we say we are.
pub(super) enum Login {
    /// A user, `guest` where nobody says which.
    Password { username: String, password: Secret },
    /// RabbitMQ takes a token in place of the password, and no user.
    Token(Arc<dyn TokenSource>),
    /// The client certificate alone (SASL EXTERNAL).
    Certificate,
}

impl Login {
    pub(super) fn of(integration: &Integration) -> Self {
        match &integration.auth {
            Auth::Basic { username, password } => Self::Password { username: username.clone(), password: password.clone() },
            Auth::Token(source) => Self::Token(token_source::from_profile(source)),
            _ if integration.endpoint.tls.as_ref().is_some_and(|tls| tls.client.is_some()) => Self::Certificate,
            // What every RabbitMQ client says when nobody tells it who it is; the server takes it from its own machine alone.
            _ => Self::Password { username: "guest".to_owned(), password: Secret::new("guest".to_owned()) },
        }
    }
}

/// An open connection. Dropping it closes it.
pub(super) struct Live {
    connection: Connection,
    pub(super) peer: SafeText,
    timeout: Duration,
    log: WireLog,
    blocked: watch::Receiver<Option<String>>,
    /// The messages that came and were not taken, where somebody takes them from it; without a limit nothing waits for that.
    pub(super) room: Arc<Room>,
    socket: Cut,
    /// It is of no more use, whether or not the client has noticed.
    cut: AtomicBool,
}

/// A connection that is read only while there is room.
pub(super) struct Bounded {
    room: Arc<Room>,
    _pieces: AbortOnDropHandle<()>,
}

impl Drop for Bounded {
    fn drop(&mut self) {
        // Nobody takes what is still on its way, and the server's answer to our goodbye stands behind it.
        self.room.unlimit();
    }
}

/// The socket below a connection.
#[derive(Clone, Default)]
struct Cut(Arc<Mutex<Option<std::net::TcpStream>>>);

impl Cut {
    fn hold(&self, socket: &impl AsFd) {
        let twin = socket.as_fd().try_clone_to_owned().ok().map(std::net::TcpStream::from);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = twin;
    }

    fn cut(&self) {
        if let Some(socket) = self.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // It may be closed already.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

/// Cuts a connection that was not made: the client would wait on it for ever.
struct Guard(Option<Cut>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.take().iter().for_each(Cut::cut);
    }
}

struct Plain {
    username: String,
    password: Secret,
}

impl AuthProvider for Plain {
    fn mechanism(&self) -> ShortString {
        "PLAIN".into()
    }

    /// RFC 4616: authorization identity (none), user, password, each after a NUL.
    fn auth_starter(&self) -> Result<LongString, String> {
        Ok(format!("\0{}\0{}", self.username, self.password.expose()).into_bytes().into())
    }
}

struct External;

impl AuthProvider for External {}

impl Link {
    pub(super) fn new(integration: &Integration, settings: &Settings, log: WireLog) -> Result<Self, Fault> {
        let tls = integration.endpoint.tls.as_ref();
        Ok(Self {
            addresses: integration.endpoint.addresses.clone(),
            timeout: integration.timeout,
            tls: tls.map(tls::client_config).transpose()?.map(Arc::new),
            login: Login::of(integration),
            vhost: settings.vhost.clone(),
            heartbeat: settings.heartbeat,
            channel_max: settings.channel_max,
            log,
            shared: Mutex::default(),
            publishing: Mutex::default(),
        })
    }

    /// The name that the server knows us by; `None` where a token or a certificate says it.
    pub(super) fn username(&self) -> Option<&str> {
        match &self.login {
            Login::Password { username, .. } => Some(username),
            Login::Token(_) | Login::Certificate => None,
        }
    }

    /// How long one answer may take.
    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// The connection of short requests, opened again when it broke before.
    pub(super) async fn shared(self: &Arc<Self>) -> Result<Arc<Live>, Fault> {
        self.opened(&self.shared).await
    }

    /// The connection that messages are published on.
    pub(super) async fn publishing(self: &Arc<Self>) -> Result<Arc<Live>, Fault> {
        self.opened(&self.publishing).await
    }

    /// The connection in a place, made if there is none. Nobody holds the place while it is made, and it is made to its end though all who
    /// wait for it go away.
    async fn opened(self: &Arc<Self>, place: &Mutex<Option<Dialling>>) -> Result<Arc<Live>, Fault> {
        let usable = |dialling: &&Dialling| dialling.peek().is_none_or(|made| made.as_ref().is_ok_and(|live| live.is_open()));
        let dialling = {
            let mut place = place.lock().unwrap_or_else(PoisonError::into_inner);
            match place.as_ref().filter(usable) {
                Some(dialling) => dialling.clone(),
                None => {
                    let link = self.clone();
                    let dialling = async move { link.dedicated().await.map(Arc::new) }.boxed().shared();
                    tokio::spawn(dialling.clone());
                    place.insert(dialling).clone()
                }
            }
        };
        dialling.await
    }

    /// A round trip; the time it took.
    pub(super) async fn ping(self: &Arc<Self>) -> Result<Duration, Fault> {
        let live = self.shared().await?;
        let asked = Instant::now();
        let channel = live.channel("check", live.peer.as_str()).await?;
        close(&channel);
        Ok(asked.elapsed())
    }

    /// A connection of its own, to the first address that answers.
    pub(super) async fn dedicated(&self) -> Result<Live, Fault> {
        let mut last = Fault::new(Kind::Usage, OP, "rabbitmq", "the profile names no address");
        let (mut left, mut dialling) = (self.addresses.iter(), FuturesUnordered::new());
        dialling.extend(left.next().map(|address| self.dial(address)));
        loop {
            // One that is silent does not keep the others waiting.
            let next = async { if left.len() > 0 { tokio::time::sleep(STAGGER).await } else { std::future::pending().await } };
            let dialled = tokio::select! {
                dialled = dialling.next() => match dialled {
                    Some(dialled) => dialled,
                    None => return Err(last),
                },
                () = next => {
                    dialling.extend(left.next().map(|address| self.dial(address)));
                    continue;
                }
            };
            match dialled {
                Ok(live) => return Ok(live),
                // What all servers of a cluster say alike is not asked twice.
                Err(fault) if matches!(fault.kind, Kind::Unauthorized | Kind::Usage | Kind::Forbidden | Kind::NotFound) => {
                    return Err(fault);
                }
                Err(fault) => last = fault,
            }
            dialling.extend(left.next().map(|address| self.dial(address)));
        }
    }

    async fn dial(&self, address: &str) -> Result<Live, Fault> {
        let peer = SafeText::new(address);
        tls::opened(self.timeout, &peer, &self.log, self.establish(address, &peer)).await
    }

    async fn establish(&self, address: &str, peer: &SafeText) -> Result<Live, Fault> {
        let (host, port) = tls::host_and_port(address, peer)?;
        let (host, tls, dialled, cut) = (host.to_owned(), self.tls.clone(), peer.clone(), Cut::default());
        let mut guard = Guard(Some(cut.clone()));
        let uri = self.uri(&host, port);
        let (kit, said, room) = (Kit::current(), Blocked::new(None), Arc::<Room>::default());
        let (tokio, heard, blocked, filled) = (kit.tokio(), said.clone(), said.subscribe(), room.clone());
        // Faults travel through the client as the inside of an I/O error.
        let carried = |fault: Fault| lapin::Error::from(io::Error::other(fault));
        let properties = self.properties().await?;
        // Written where it is handed over: only there is it known which runtime it is given.
        let made = Connection::connector(
            uri,
            Runtime::new(kit),
            async move |_, _| {
                let found = tokio::net::lookup_host((host.as_str(), port)).await;
                let found: Vec<_> = found.map_err(|error| carried(tls::unresolved(&host, &error, &dialled)))?.collect();
                let stream = Inner::connect(&tokio, found).await;
                let mut stream = stream.map_err(|error| carried(tls::no_connection(&error, &dialled)))?;
                if let AsyncTcpStream::Plain(plain) = &stream {
                    cut.hold(plain.get_ref());
                }
                if let Some(tls) = &tls {
                    let secured = stream.into_rustls(&RustlsConnector::from(tls.clone()), &host).await;
                    stream = secured.map_err(|error| carried(no_tls(&error, &dialled)))?;
                }
                Ok(AsyncTcpStream::Plain(Socket::new(stream, heard.clone(), filled.clone())))
            },
            properties,
        )
        .await;
        let connection = made.map_err(|error| faults::connecting(&error, peer, &self.vhost))?;
        let socket = guard.0.take().unwrap_or_default();
        Ok(Live {
            connection,
            peer: peer.clone(),
            timeout: self.timeout,
            log: self.log.clone(),
            blocked,
            room,
            socket,
            cut: AtomicBool::new(false),
        })
    }

    fn uri(&self, host: &str, port: u16) -> AMQPUri {
        AMQPUri {
            scheme: AMQPScheme::AMQP,
            authority: AMQPAuthority {
                userinfo: AMQPUserInfo { username: String::new(), password: String::new() },
                host: host.to_owned(),
                port,
            },
            vhost: self.vhost.clone(),
            query: AMQPQueryString { heartbeat: Some(self.heartbeat), channel_max: self.channel_max, ..AMQPQueryString::default() },
        }
    }

    async fn properties(&self) -> Result<ConnectionProperties, Fault> {
        let name = format!("mqdeck {}", std::process::id());
        let properties = ConnectionProperties::default()
            .with_connection_name(name.into_bytes().into())
            .with_client_property("product".into(), "mqdeck".into())
            .with_client_property("version".into(), env!("CARGO_PKG_VERSION").into());
        Ok(match &self.login {
            Login::Password { username, password } => {
                properties.with_auth_provider(Plain { username: username.clone(), password: password.clone() })
            }
            Login::Token(tokens) => {
                properties.with_auth_provider(Plain { username: String::new(), password: tokens.token().await?.secret })
            }
            Login::Certificate => properties.with_auth_provider(External),
        })
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        // Neither what waits to be sent nor the end of the connection would ever be taken by the server.
        if self.blocked().is_some() {
            self.cut();
        }
    }
}

impl Live {
    pub(super) fn is_open(&self) -> bool {
        self.connection.status().connected() && !self.cut.load(Ordering::Relaxed)
    }

    /// Why the server takes nothing more from this connection, in its own words: `low on memory`.
    pub(super) fn blocked(&self) -> Option<String> {
        self.blocked.borrow().clone()
    }

    /// The same, to be waited for.
    pub(super) fn blocking(&self) -> watch::Receiver<Option<String>> {
        self.blocked.clone()
    }

    /// Ends the connection at once: nothing that waits to be sent is sent any more.
    pub(super) fn cut(&self) {
        self.cut.store(true, Ordering::Relaxed);
        self.socket.cut();
    }

    /// From now on the connection is read only while so few bytes of messages wait to be taken, for as long as the answer to this is kept.
    /// Whoever takes a message has to say so to the room.
    pub(super) fn bound(&self, bytes: usize) -> Bounded {
        let room = self.room.clone();
        room.limit(bytes);
        let pieces = {
            let room = room.clone();
            async move {
                loop {
                    tokio::time::sleep(PIECE).await;
                    room.let_one_pass();
                }
            }
        };
        Bounded { room, _pieces: AbortOnDropHandle::new(tokio::spawn(pieces)) }
    }

    /// How long one answer may take.
    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Waits until the connection or one of its channels is closed by anybody but us; an error that says why, if there is one.
    pub(super) async fn connection_lost(&self, channel: &Channel) -> Option<lapin::Error> {
        let mut events = std::pin::pin!(self.connection.events_listener());
        // Heard from here on: what happened before shows in the state.
        while self.is_open() && channel.status().connected() {
            if let Event::Error(error) = events.next().await? {
                return Some(error);
            }
        }
        None
    }

    /// A channel of its own.
    pub(super) async fn channel(&self, op: &'static str, target: &str) -> Result<Channel, Fault> {
        let made = self.within(op, target, self.connection.create_channel()).await;
        // A connection that broke says so where it is used next.
        made.map_err(|fault| if self.is_open() { fault } else { Fault { kind: Kind::Unreachable, ..fault } })
    }

    /// Waits for the server's answer to a request; a line of the wire log.
    pub(super) async fn within<T>(
        &self,
        op: &'static str,
        target: &str,
        asked: impl Future<Output = lapin::Result<T>>,
    ) -> Result<T, Fault> {
        let began = Instant::now();
        let answer = match tokio::time::timeout(self.timeout, asked).await {
            Ok(answer) => answer.map_err(|error| faults::of(&error, op, target)),
            Err(_) => Err(match self.blocked() {
                Some(reason) => Fault::new(Kind::Timeout, op, target, format!("the server blocks publishers: {reason}"))
                    .next("free memory or disk on its nodes: `rabbitmq-diagnostics alarms` names them"),
                None => Fault::new(Kind::Timeout, op, target, format!("no answer within {} s", self.timeout.as_secs_f32()))
                    .next("the server may be busy"),
            }),
        };
        let said = answer.as_ref().err().map_or_else(|| "ok".to_owned(), |fault| fault.cause.to_string());
        self.log.record(&self.peer, format!("{op} {target}"), said, began.elapsed());
        answer
    }
}

/// What it means that the TLS handshake failed.
fn no_tls(error: &io::Error, peer: &SafeText) -> Fault {
    tls::meaning(error, peer).unwrap_or_else(|| {
        Fault::new(Kind::Unreachable, OP, peer.clone(), format!("the server closed the connection when TLS was spoken to it: {error}"))
            .next("usually this port does not speak TLS: remove the tls block or use the TLS port (5671)")
    })
}

/// Closes a channel in the background: nobody waits for the answer.
pub(super) fn close(channel: &Channel) {
    let channel = channel.clone();
    tokio::spawn(async move { channel.close(200, "done".into()).await });
}

/// A name as AMQP writes it: up to 255 bytes.
pub(super) fn short(text: &str, op: &'static str) -> Result<ShortString, Fault> {
    ShortString::try_new(text)
        .map_err(|_| Fault::new(Kind::Usage, op, text, "AMQP's names and properties have at most 255 bytes").next("shorten it"))
}
