//! The publishers: bare sockets that are written to as fast as the server takes it, and return when it has taken everything.

use super::amqp;
use super::resp;
use std::io::{Read, Write};
use std::net::TcpStream;

/// Sends so many messages to the server at that address; calls when it begins.
pub(super) type Flood = fn(&str, u64, &mut dyn FnMut());

/// 200 bytes, as orders have them.
pub(super) const PAYLOAD: &str = concat!(
    r#"{"id":"o-00000000","customer":"c-8841","total":129.90,"currency":"EUR","items":[{"sku":"a-1","n":2},{"sku":"b-7","n":1}],"#,
    r#""note":"a message of two hundred bytes, as many others have them, and no more"}"#
);
const _: () = assert!(PAYLOAD.len() == 200);
/// Messages written at once.
const AT_ONCE: u64 = 500;

pub(super) fn connected(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).expect("connected");
    stream.set_nodelay(true).expect("set");
    stream
}

/// Writes a frame so many times.
fn pour(stream: &mut TcpStream, frame: &[u8], messages: u64) {
    let frames = frame.repeat(AT_ONCE as usize);
    for _ in 0..messages / AT_ONCE {
        stream.write_all(&frames).expect("written");
    }
    for _ in 0..messages % AT_ONCE {
        stream.write_all(frame).expect("written");
    }
}

/// Reads until the answer ends with this.
fn await_end(stream: &mut TcpStream, end: &[u8]) {
    let (mut answer, mut buffer) = (Vec::new(), [0; 4_096]);
    while !answer.ends_with(end) {
        let read = stream.read(&mut buffer).expect("an answer");
        assert_ne!(read, 0, "the server hung up: {}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&buffer[..read]);
    }
}

pub(super) fn nats(address: &str, messages: u64, begun: &mut dyn FnMut()) {
    let mut stream = connected(address);
    stream.write_all(b"CONNECT {\"verbose\":false,\"pedantic\":false}\r\nPING\r\n").expect("written");
    await_end(&mut stream, b"PONG\r\n");
    begun();
    pour(&mut stream, format!("PUB flood {}\r\n{PAYLOAD}\r\n", PAYLOAD.len()).as_bytes(), messages);
    stream.write_all(b"PING\r\n").expect("written");
    await_end(&mut stream, b"PONG\r\n");
}

pub(super) fn mqtt_0(address: &str, messages: u64, begun: &mut dyn FnMut()) {
    let mut stream = mqtt(address);
    begun();
    pour(&mut stream, &mqtt_publish(None), messages);
    // PINGREQ, PINGRESP.
    stream.write_all(&[0xc0, 0]).expect("written");
    await_end(&mut stream, &[0xd0, 0]);
}

pub(super) fn mqtt_1(address: &str, messages: u64, begun: &mut dyn FnMut()) {
    let mut stream = mqtt(address);
    begun();
    let mut answers = vec![0; 64 << 10];
    let (mut sent, mut bytes) = (0, 0);
    // An acknowledgement has four bytes.
    while (bytes as u64) < messages * 4 {
        let together = AT_ONCE.min(messages - sent);
        let frames: Vec<u8> = (sent..sent + together).flat_map(|n| mqtt_publish(Some((n % 65_535) as u16 + 1))).collect();
        stream.write_all(&frames).expect("written");
        sent += together;
        // No more than two of these are on their way.
        while sent * 4 - bytes as u64 > AT_ONCE * 4 || (sent == messages && (bytes as u64) < messages * 4) {
            let read = stream.read(&mut answers).expect("an answer");
            assert_ne!(read, 0, "the broker hung up");
            bytes += read;
        }
    }
}

/// Connected by MQTT 3.1.1, section 3.1.
fn mqtt(address: &str) -> TcpStream {
    let mut stream = connected(address);
    let name = format!("flood-{}-{}", std::process::id(), fastrand::u32(..));
    let mut connect = vec![0x10, 12 + name.len() as u8, 0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, 60, 0, name.len() as u8];
    connect.extend_from_slice(name.as_bytes());
    stream.write_all(&connect).expect("written");
    let mut accepted = [0; 4];
    stream.read_exact(&mut accepted).expect("CONNACK");
    assert_eq!(accepted[3], 0, "the broker refuses us");
    stream
}

/// A packet to the topic `flood`; with an id it is one of `QoS` 1 (section 3.3).
fn mqtt_publish(id: Option<u16>) -> Vec<u8> {
    let length = 7 + id.map_or(0, |_| 2) + PAYLOAD.len();
    let mut packet = vec![if id.is_some() { 0x32 } else { 0x30 }, (length % 128) as u8 | 0x80, (length / 128) as u8, 0, 5];
    packet.extend_from_slice(b"flood");
    packet.extend(id.map(u16::to_be_bytes).into_iter().flatten());
    packet.extend_from_slice(PAYLOAD.as_bytes());
    packet
}

pub(super) fn redis_publish(address: &str, messages: u64, begun: &mut dyn FnMut()) {
    redis(address, &["PUBLISH", "flood", PAYLOAD], messages, begun);
}

pub(super) fn redis_xadd(address: &str, messages: u64, begun: &mut dyn FnMut()) {
    redis(address, &["XADD", "flooded", "*", "payload", PAYLOAD], messages, begun);
}

fn redis(address: &str, command: &[&str], messages: u64, begun: &mut dyn FnMut()) {
    let mut stream = connected(address);
    // Without answers there are none to be read.
    stream.write_all(&resp::command(&["CLIENT", "REPLY", "OFF"])).expect("written");
    begun();
    pour(&mut stream, &resp::command(command), messages);
    stream.write_all(&resp::command(&["CLIENT", "REPLY", "ON"])).expect("written");
    await_end(&mut stream, b"+OK\r\n");
}

/// Tells the server something that it answers with OK.
pub(super) fn redis_command(address: &str, words: &[&str]) {
    let mut stream = connected(address);
    stream.write_all(&resp::command(words)).expect("written");
    await_end(&mut stream, b"+OK\r\n");
}

pub(super) fn rabbitmq(address: &str, messages: u64, begun: &mut dyn FnMut()) {
    let mut amqp = amqp::Amqp::open(address);
    begun();
    let frame = amqp::publish("amq.fanout", PAYLOAD.as_bytes());
    pour(amqp.stream(), &frame, messages);
    // The server closes the channel behind everything that came by it.
    amqp.close_channel();
}
