//! As much of AMQP 0-9-1 as a publisher and a bare reader need; section numbers of frames and methods are those of the specification's XML.

use super::flood::connected;
use std::io::{Read, Write};
use std::net::TcpStream;

const METHOD: u8 = 1;
const HEADER: u8 = 2;
pub(super) const BODY: u8 = 3;
const END: u8 = 0xce;

/// A connection with one channel.
pub(super) struct Amqp(TcpStream);

fn framed(kind: u8, channel: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind];
    bytes.extend_from_slice(&channel.to_be_bytes());
    bytes.extend_from_slice(&(payload.len() as u32).to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes.push(END);
    bytes
}

fn method(channel: u16, class: u16, id: u16, arguments: &[u8]) -> Vec<u8> {
    framed(METHOD, channel, &[&class.to_be_bytes()[..], &id.to_be_bytes(), arguments].concat())
}

fn short(text: &str) -> Vec<u8> {
    [&[text.len() as u8][..], text.as_bytes()].concat()
}

fn long(text: &str) -> Vec<u8> {
    [&(text.len() as u32).to_be_bytes()[..], text.as_bytes()].concat()
}

/// The kind and the length of the frame that the bytes begin with; `None` if it is not all there.
pub(super) fn frame(bytes: &[u8]) -> Option<(u8, usize)> {
    let size = u32::from_be_bytes(bytes.get(3..7)?.try_into().ok()?) as usize;
    (bytes.len() >= size + 8).then_some((bytes[0], size + 8))
}

/// A message to an exchange: basic.publish, its header without properties, its body.
pub(super) fn publish(exchange: &str, payload: &[u8]) -> Vec<u8> {
    let arguments = [&[0, 0][..], &short(exchange), &short(""), &[0]].concat();
    let header = [&[0, 60, 0, 0][..], &(payload.len() as u64).to_be_bytes(), &[0, 0]].concat();
    [method(1, 60, 40, &arguments), framed(HEADER, 1, &header), framed(BODY, 1, payload)].concat()
}

impl Amqp {
    /// Connects as guest to the vhost `/`, without heartbeats.
    pub(super) fn open(address: &str) -> Self {
        let mut amqp = Self(connected(address));
        amqp.send(b"AMQP\x00\x00\x09\x01");
        amqp.await_method(10, 10);
        let start_ok = [&[0, 0, 0, 0][..], &short("PLAIN"), &long("\0guest\0guest"), &short("en_US")].concat();
        amqp.send(&method(0, 10, 11, &start_ok));
        let tune = amqp.await_method(10, 30);
        // The server's own limits, and no heartbeat.
        amqp.send(&method(0, 10, 31, &[&tune[4..10], &[0, 0]].concat()));
        amqp.send(&method(0, 10, 40, &[&short("/")[..], &[0, 0]].concat()));
        amqp.await_method(10, 41);
        amqp.send(&method(1, 20, 10, &short("")));
        amqp.await_method(20, 11);
        amqp
    }

    /// Reads a queue of its own that an exchange feeds, without acknowledgements.
    pub(super) fn consume(&mut self, exchange: &str) {
        let queue = format!("flooded-{}", std::process::id());
        let nothing = [0; 4];
        // Exclusive.
        self.send(&method(1, 50, 10, &[&[0, 0][..], &short(&queue), &[0b100], &nothing].concat()));
        self.await_method(50, 11);
        self.send(&method(1, 50, 20, &[&[0, 0][..], &short(&queue), &short(exchange), &short(""), &[0], &nothing].concat()));
        self.await_method(50, 21);
        // Without acknowledgements.
        self.send(&method(1, 60, 20, &[&[0, 0][..], &short(&queue), &short("c"), &[0b10], &nothing].concat()));
        self.await_method(60, 21);
    }

    pub(super) fn close_channel(&mut self) {
        self.send(&method(1, 20, 40, &[0, 0, 0, 0, 0, 0, 0]));
        self.await_method(20, 41);
    }

    pub(super) fn stream(&mut self) -> &mut TcpStream {
        &mut self.0
    }

    pub(super) fn into_stream(self) -> TcpStream {
        self.0
    }

    fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).expect("written");
    }

    /// Reads frames up to this method; its payload.
    fn await_method(&mut self, class: u16, id: u16) -> Vec<u8> {
        let wanted = [class.to_be_bytes(), id.to_be_bytes()].concat();
        loop {
            let mut head = [0; 7];
            self.0.read_exact(&mut head).expect("a frame");
            let size = u32::from_be_bytes([head[3], head[4], head[5], head[6]]) as usize;
            let mut payload = vec![0; size + 1];
            self.0.read_exact(&mut payload).expect("a frame");
            if head[0] == METHOD {
                assert!(payload[..4] == wanted || payload[1] != 10 || payload[3] != 50, "closed: {}", String::from_utf8_lossy(&payload));
                if payload[..4] == wanted {
                    return payload;
                }
            }
        }
    }
}
