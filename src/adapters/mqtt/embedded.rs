//! `Embedded`: an MQTT 5 broker inside this process (rumqttd), for the demo and for tests.
//!
//! It has retained messages, user properties and shared subscriptions. It says nothing of itself (a client that asks for `$SYS` is thrown
//! out), never tells that nobody received a message, and delivers `QoS` 2 as `QoS` 1. It writes nothing but to the log.

use crate::domain::fault::{Fault, Kind};
use rumqttd::protocol::v5::V5;
use rumqttd::{ConnectionSettings, LinkType, Router, RouterConfig, Server, ServerSettings};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use tokio::runtime;
use tokio::sync::oneshot;

const OP: &str = "start embedded MQTT";
/// How long it may take to listen.
const PATIENCE: Duration = Duration::from_secs(2);
/// Bytes of each topic's log, and how many such pieces: old ones are dropped.
const SEGMENT: usize = 256 * 1024;
const SEGMENTS: usize = 4;

/// A broker on a port of 127.0.0.1. It stops listening and ends every connection when it is dropped; the thread that routed messages stays
/// behind, idle, because the crate has no way to end it.
pub struct Embedded {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Embedded {
    /// Starts it. Takes some milliseconds, in which it blocks.
    pub fn start() -> Result<Self, Fault> {
        // The crate does not tell which port it was given, so that a free one is looked for first.
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|socket| socket.local_addr());
        let address = free.map_err(|error| fault(&error.to_string()))?;
        let (stop, stopped) = oneshot::channel();
        let thread = thread::Builder::new()
            .name("embedded-mqtt".to_owned())
            .spawn(move || serve(address, stopped))
            .map_err(|error| fault(&error.to_string()))?;
        let embedded = Self { address, stop: Some(stop), thread: Some(thread) };
        let began = Instant::now();
        while TcpStream::connect(address).is_err() {
            if began.elapsed() > PATIENCE {
                return Err(fault("it does not listen"));
            }
            thread::sleep(Duration::from_millis(1));
        }
        Ok(embedded)
    }

    /// `host:port`.
    pub fn address(&self) -> String {
        self.address.to_string()
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        drop(self.stop.take());
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::warn!("the thread of the embedded MQTT broker ended badly");
        }
    }
}

fn serve(address: SocketAddr, stopped: oneshot::Receiver<()>) {
    let router = RouterConfig {
        max_connections: 1_000,
        max_outgoing_packet_count: 200,
        max_segment_size: SEGMENT,
        max_segment_count: SEGMENTS,
        ..RouterConfig::default()
    };
    let settings = ServerSettings {
        name: "embedded-mqtt".to_owned(),
        listen: address,
        tls: None,
        next_connection_delay_ms: 1,
        connections: ConnectionSettings {
            connection_timeout_ms: 60_000,
            max_payload_size: 1024 * 1024,
            max_inflight_count: 200,
            auth: None,
            external_auth: None,
            dynamic_filters: true,
        },
    };
    let mut server = Server::new(settings, Router::new(0, router).spawn(), V5);
    let runtime = match runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return tracing::warn!(%error, "the embedded MQTT broker has no runtime"),
    };
    runtime.block_on(async {
        tokio::select! {
            ended = server.start(LinkType::Remote) => tracing::warn!(?ended, "the embedded MQTT broker ended"),
            // Its sender is dropped with the broker.
            _ = stopped => {}
        }
    });
}

fn fault(cause: &str) -> Fault {
    Fault::new(Kind::Unreachable, OP, "demo", cause)
}
