//! Keeps one connection up: what comes is read and routed, what waits is written, a server that says nothing is given up, and one that
//! is lost is looked for again.

use super::frame::{self, Frame, Read, Span};
use super::hub::Hub;
use super::servers::{Server, Servers};
use crate::adapters::nats::dial::{Dial, Opened, Stream};
use crate::adapters::reopen::Backoff;
use crate::domain::fault::{Fault, Kind};
use bytes::BytesMut;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::time::MissedTickBehavior;

/// How often a server is asked whether it is there.
const PULSE: Duration = Duration::from_secs(2);
/// It is given up when it has said nothing for so many of those.
const SILENT: u32 = 3;
/// Bytes read at once: as few for a connection on which little comes, as many in a flood.
const LEAST: usize = 16 << 10;
const MOST: usize = 512 << 10;

/// Connects to the first server that takes us. The fault that says most is told: of many servers that are not there, one that refuses.
pub(crate) async fn connect(dial: &Dial, servers: &Servers) -> Result<(Opened, Server), Fault> {
    let mut worst: Option<Fault> = None;
    for server in servers.round() {
        match dial.open(&server).await {
            Ok(opened) => return Ok((opened, server)),
            Err(fault) => {
                if worst.as_ref().is_none_or(|worst| worst.kind.is_transient()) {
                    worst = Some(fault);
                }
            }
        }
    }
    Err(worst.unwrap_or_else(|| Fault::new(Kind::Usage, "connect to", dial.peer.clone(), "no address is known")))
}

/// Runs until nobody needs the connection, or it is not tried again.
pub(crate) async fn run(hub: Arc<Hub>, mut servers: Servers, opened: Opened, server: Server) {
    let (mut opened, mut server) = (opened, server);
    loop {
        hub.begin(opened.info);
        let fault = serve(&hub, opened.stream, opened.buffer).await;
        servers.told(&server, &hub.info().connect_urls);
        hub.lost(fault.clone());
        match again(&hub, &servers, fault).await {
            Some(next) => (opened, server) = next,
            None => return hub.give_up(),
        }
    }
}

async fn again(hub: &Hub, servers: &Servers, mut fault: Fault) -> Option<(Opened, Server)> {
    let mut backoff = Backoff::new(&hub.dial.reconnect);
    while backoff.failed(&fault).is_ok() {
        backoff.ready().await;
        match connect(&hub.dial, servers).await {
            Ok(connected) => return Some(connected),
            Err(again) => {
                fault = again.clone();
                hub.not_again(again);
            }
        }
    }
    None
}

/// Reads and writes until the connection ends; why it did.
async fn serve(hub: &Hub, stream: Stream, buffer: BytesMut) -> Fault {
    let (reader, writer) = tokio::io::split(stream);
    let heard = AtomicBool::new(false);
    tokio::select! {
        fault = reading(hub, reader, buffer, &heard) => fault,
        never = writing(hub, writer) => match never {},
        () = silence(hub, &heard) => lost(hub, "nobody answered on the connection"),
    }
}

fn lost(hub: &Hub, cause: &str) -> Fault {
    Fault::new(Kind::Unreachable, "talk to", hub.dial.peer.clone(), cause).next("it is tried again")
}

async fn reading(hub: &Hub, mut reader: ReadHalf<Stream>, mut buffer: BytesMut, heard: &AtomicBool) -> Fault {
    let (mut spans, mut controls, mut chunk) = (Vec::new(), Vec::new(), LEAST);
    loop {
        let parsed = parse(&buffer, &mut spans, &mut controls);
        let bytes = buffer.split_to(parsed.used).freeze();
        let mut from = 0;
        for (at, frame) in controls.drain(..) {
            hub.messages(&bytes, &spans[from..at]);
            hub.control(&bytes, &frame);
            from = at;
        }
        hub.messages(&bytes, &spans[from..]);
        spans.clear();
        drop(bytes);
        let missing = match parsed.rest {
            Ok(missing) => missing,
            Err(line) => return lost(hub, &format!("what came is not NATS: {line}")),
        };
        if buffer.capacity() - buffer.len() < missing.max(chunk / 4) {
            buffer.reserve(missing.max(chunk));
        }
        let room = buffer.capacity() - buffer.len();
        match reader.read_buf(&mut buffer).await {
            Ok(0) => return lost(hub, "the server closed the connection"),
            Ok(read) if read == room => chunk = (chunk * 2).min(MOST),
            Ok(read) if read < chunk / 16 => chunk = (chunk / 2).max(LEAST),
            Ok(_) => {}
            Err(error) => return lost(hub, &error.to_string()),
        }
        heard.store(true, Ordering::Relaxed);
    }
}

/// What of a buffer was read.
struct Parsed {
    used: usize,
    /// How many bytes are missing at least, or what cannot be read.
    rest: Result<usize, String>,
}

/// Reads all frames: messages, and the others with the number of messages that stand before them.
fn parse(buffer: &[u8], spans: &mut Vec<Span>, controls: &mut Vec<(usize, Frame)>) -> Parsed {
    let mut used = 0;
    loop {
        match frame::read(buffer, used) {
            Read::Frame(Frame::Message(span), next) => {
                spans.push(span);
                used = next;
            }
            Read::Frame(frame, next) => {
                controls.push((spans.len(), frame));
                used = next;
            }
            Read::More(missing) => return Parsed { used, rest: Ok(missing) },
            Read::Strange(line) => return Parsed { used, rest: Err(line) },
        }
    }
}

/// Writes what waits. That it cannot is found out by reading, behind what the server said before it closed the connection; or by its
/// silence.
async fn writing(hub: &Hub, mut writer: WriteHalf<Stream>) -> Infallible {
    loop {
        let taken = hub.out.take().await;
        let written = async {
            writer.write_all(taken.bytes()).await?;
            writer.flush().await
        };
        if written.await.is_err() {
            return std::future::pending().await;
        }
    }
}

/// Returns when the server has said nothing for long.
async fn silence(hub: &Hub, heard: &AtomicBool) {
    let mut pulse = tokio::time::interval_at(tokio::time::Instant::now() + PULSE, PULSE);
    pulse.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut silent = 0;
    loop {
        pulse.tick().await;
        silent = if heard.swap(false, Ordering::Relaxed) { 0 } else { silent + 1 };
        if silent >= SILENT {
            return;
        }
        hub.out.pulse();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_a_message_keeps_its_place_among_them() {
        let (mut spans, mut controls) = (Vec::new(), Vec::new());
        let parsed = parse(b"MSG a 1 1\r\nx\r\nPONG\r\nMSG a 1 1\r\ny\r\nMSG", &mut spans, &mut controls);
        assert_eq!((parsed.used, parsed.rest), (34, Ok(1)));
        assert_eq!((spans.len(), &controls[..]), (2, &[(1, Frame::Pong)][..]));
    }
}
