//! Readers of bare sockets: what comes is counted, and nothing else is done with it.

use super::amqp::{self, Amqp};
use super::flood::{PAYLOAD, connected};
use super::resp;
use super::run::Count;
use std::io::{Read, Write};
use std::net::TcpStream;

/// Bytes read at once.
const BUFFER: usize = 256 << 10;

/// Reads until enough has come; `count` says how many messages the bytes behind those counted before hold, and how many bytes those are.
fn read(mut stream: TcpStream, messages: u64, mut taken: impl FnMut(&mut TcpStream, &[u8]) -> (u64, usize)) {
    let mut count = Count::default();
    let (mut buffer, mut filled) = (vec![0; BUFFER], 0);
    loop {
        stream.set_read_timeout(Some(count.patience())).expect("set");
        let silent = match stream.read(&mut buffer[filled..]) {
            Ok(0) => panic!("the server hung up"),
            Ok(read) => {
                filled += read;
                let (came, used) = taken(&mut stream, &buffer[..filled]);
                buffer.copy_within(used..filled, 0);
                filled -= used;
                if filled == buffer.len() {
                    buffer.resize(buffer.len() * 2, 0);
                }
                if came > 0 {
                    count.came(came);
                }
                false
            }
            Err(_) => true,
        };
        if count.is_over(silent, messages) {
            return;
        }
    }
}

pub(super) fn nats(address: &str, messages: u64) {
    let mut stream = connected(address);
    stream.write_all(b"CONNECT {\"verbose\":false,\"pedantic\":false}\r\nSUB flood 1\r\n").expect("written");
    let frame = format!("MSG flood 1 {}\r\n", PAYLOAD.len()).len() + PAYLOAD.len() + 2;
    let mut begun = false;
    read(stream, messages, |stream, bytes| {
        // INFO, and PING now and then, which only this reader's silence is long enough for.
        let mut at = 0;
        if !begun || bytes.starts_with(b"PING") {
            while !bytes[at..].starts_with(b"MSG") {
                let Some(line) = memchr::memchr(b'\n', &bytes[at..]) else { return (0, at) };
                if bytes[at..].starts_with(b"PING") {
                    stream.write_all(b"PONG\r\n").expect("written");
                }
                at += line + 1;
            }
            begun = true;
        }
        let whole = (bytes.len() - at) / frame;
        (whole as u64, at + whole * frame)
    });
}

pub(super) fn redis_stream(address: &str, messages: u64) {
    // What stands behind the id of an entry.
    let behind = 4 + 4 + 9 + 6 + PAYLOAD.len() + 2;
    let ask = |stream: &mut TcpStream, after: &str| {
        let command = resp::command(&["XREAD", "COUNT", "1000", "BLOCK", "0", "STREAMS", "flooded", after]);
        stream.write_all(&command).expect("written");
    };
    let mut stream = connected(address);
    ask(&mut stream, "$");
    read(stream, messages, |stream, bytes| {
        let Some(end) = resp::end(bytes, 0) else { return (0, 0) };
        // One stream: its name, and its entries.
        let name = resp::number(bytes, 0).and_then(|(_, at)| resp::number(bytes, at)).expect("a stream").1;
        let entries = resp::end(bytes, name).expect("a name");
        let (came, _) = resp::number(bytes, entries).expect("entries");
        let id = &bytes[..end - behind - 2];
        let id = &id[memchr::memrchr(b'\n', id).expect("a line") + 1..];
        ask(stream, std::str::from_utf8(id).expect("an id"));
        (came as u64, end)
    });
}

pub(super) fn rabbitmq(address: &str, messages: u64) {
    let mut amqp = Amqp::open(address);
    amqp.consume("amq.fanout");
    let stream = amqp.into_stream();
    read(stream, messages, |_, bytes| {
        let (mut at, mut came) = (0, 0);
        while let Some((kind, end)) = amqp::frame(&bytes[at..]) {
            came += u64::from(kind == amqp::BODY);
            at += end;
        }
        (came, at)
    });
}
