//! A flood of core NATS, as the bare bytes are read, as the client reads them, and as a tail does: messages a second, and what was lost.
//!
//! `cargo bench --bench nats` starts a server of its own and sends 1,000,000 messages of 200 bytes to each reader in turn
//! (`-- MESSAGES` for another number) and prints the figures; nothing is judged here.
#![expect(clippy::print_stdout, reason = "printing is what it is for")]

#[path = "../../tests/support/mod.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod support;

use futures::StreamExt;
use mqdeck::adapters::find;
use mqdeck::adapters::session::TailEvent;
use mqdeck::adapters::wirelog::WireLog;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};
use support::nats::{self, Nats};

const PAYLOAD: usize = 200;
/// How long nothing comes when a reader is done.
const SILENCE: Duration = Duration::from_secs(2);

/// What one reader saw.
struct Seen {
    came: u64,
    lost: u64,
    took: Duration,
}

fn main() {
    // `--bench` comes from cargo.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let messages: u64 = arguments.first().map_or(Ok(1_000_000), |text| text.parse()).expect("a number");
    let Some(nats) = nats::own(&[]) else { return };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    println!("{messages} messages of {PAYLOAD} bytes");
    for round in 1..=3 {
        show(round, "bare bytes", &bare(&nats, messages));
        show(round, "client", &runtime.block_on(client(&nats, messages)));
        show(round, "tail", &runtime.block_on(tail(&nats, messages)));
    }
}

fn show(round: u32, reader: &str, seen: &Seen) {
    let rate = seen.came as f64 / seen.took.as_secs_f64() / 1_000.0;
    println!(
        "{round}  {reader:<12} {rate:>8.0} k/s  {:>9} came  {:>9} lost  {:>6.2} s  {} resident",
        seen.came,
        seen.lost,
        seen.took.as_secs_f64(),
        resident()
    );
}

/// Memory of this process that is in use.
fn resident() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).map(str::trim);
    line.unwrap_or("unknown").to_owned()
}

fn connected(nats: &Nats) -> TcpStream {
    let mut stream = TcpStream::connect(nats.address()).expect("connected");
    stream.write_all(b"CONNECT {\"verbose\":false,\"pedantic\":false}\r\n").expect("written");
    stream
}

/// Sends them from a thread of its own, from now on.
fn flood(nats: &Nats, messages: u64) -> std::thread::JoinHandle<()> {
    let mut stream = connected(nats);
    std::thread::spawn(move || {
        let frames = format!("PUB flood {PAYLOAD}\r\n{}\r\n", "x".repeat(PAYLOAD)).repeat(500);
        for _ in 0..messages / 500 {
            stream.write_all(frames.as_bytes()).expect("written");
        }
        // Gone only when the server has everything.
        stream.write_all(b"PING\r\n").expect("written");
        let mut answer = [0; 4_096];
        while !answer.windows(4).any(|word| word == b"PONG") {
            assert_ne!(stream.read(&mut answer).expect("an answer"), 0);
        }
    })
}

fn bare(nats: &Nats, messages: u64) -> Seen {
    let mut stream = connected(nats);
    stream.write_all(b"SUB flood 1\r\nPING\r\n").expect("written");
    stream.set_read_timeout(Some(SILENCE)).expect("set");
    std::thread::sleep(Duration::from_millis(200));
    let mut buffer = vec![0; 256 << 10];
    // INFO and PONG.
    let _ = stream.read(&mut buffer).expect("read");
    let frame = format!("MSG flood 1 {PAYLOAD}\r\n").len() + PAYLOAD + 2;
    let began = Instant::now();
    let publisher = flood(nats, messages);
    let mut bytes = 0;
    while bytes < messages as usize * frame {
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(read) => bytes += read,
        }
    }
    let took = began.elapsed();
    publisher.join().expect("the publisher");
    Seen { came: (bytes / frame) as u64, lost: 0, took }
}

async fn client(nats: &Nats, messages: u64) -> Seen {
    let client = async_nats::connect(nats.address()).await.expect("connected");
    let mut flooded = client.subscribe("flood").await.expect("subscribed");
    client.flush().await.expect("flushed");
    tokio::time::sleep(Duration::from_millis(200)).await;
    let (began, publisher) = (Instant::now(), flood(nats, messages));
    let (mut came, mut took) = (0, Duration::ZERO);
    while came < messages && tokio::time::timeout(SILENCE, flooded.next()).await.is_ok() {
        came += 1;
        took = began.elapsed();
    }
    publisher.join().expect("the publisher");
    Seen { came, lost: 0, took }
}

async fn tail(nats: &Nats, messages: u64) -> Seen {
    let adapter = find("nats").expect("this build has it");
    let session = (adapter.connect)(nats.integration(), WireLog::default()).await.expect("connected");
    let mut events = session.tail.expect("a tail").tail(&["flood".into()]).await.expect("it starts");
    let (began, publisher) = (Instant::now(), flood(nats, messages));
    let mut seen = Seen { came: 0, lost: 0, took: Duration::ZERO };
    while seen.came + seen.lost < messages {
        match tokio::time::timeout(SILENCE, events.next()).await {
            Ok(Some(TailEvent::Messages(batch))) => seen.came += batch.len() as u64,
            Ok(Some(TailEvent::Resumed { lost: Some(lost) })) => seen.lost += lost,
            _ => break,
        }
        seen.took = began.elapsed();
    }
    publisher.join().expect("the publisher");
    seen
}
