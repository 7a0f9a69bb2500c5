//! The systems, one row each: the server, who floods it, and who reads it.

use super::support::{mosquitto, nats, rabbitmq, server};
use super::{bare, clients, flood};
use std::fmt::Write as _;

/// One system.
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) note: &'static str,
    pub(super) server: fn() -> Option<Box<dyn Flooded>>,
    /// What our own program is given, from `host:port`.
    pub(super) url: fn(&str) -> String,
    /// The channel in our own program's words.
    pub(super) channel: &'static str,
    /// Messages that take some seconds.
    pub(super) messages: u64,
    pub(super) flood: flood::Flood,
    /// The system's own subscriber, if it is installed.
    pub(super) tool: Option<Tool>,
    /// Reads the socket where there is no tool.
    pub(super) bare: Option<fn(&str, u64)>,
    /// The client crate, without anything around it.
    pub(super) client: fn(&str, u64),
}

/// A program that writes what comes to standard output.
pub(super) struct Tool {
    pub(super) program: &'static str,
    /// `HOST` and `PORT` stand for the server's.
    pub(super) arguments: &'static [&'static str],
    /// Bytes that it writes around each payload.
    pub(super) around: usize,
}

/// A server while it is flooded; dropping it ends it.
pub(super) trait Flooded {
    fn address(&self) -> &str;
}

struct Running<T>(T, String);

impl<T> Flooded for Running<T> {
    fn address(&self) -> &str {
        &self.1
    }
}

fn running<T: 'static>(server: T, address: impl Fn(&T) -> String) -> Box<dyn Flooded> {
    let address = address(&server);
    Box::new(Running(server, address))
}

fn redis() -> Option<Box<dyn Flooded>> {
    let server = server::Server::own("redis", "Redis", &[])?;
    // Else it throws out a subscriber that has 32 MB to read.
    flood::redis_command(server.fact("ADDRESS"), &["CONFIG", "SET", "client-output-buffer-limit", "pubsub 0 0 0"]);
    Some(running(server, |server| server.fact("ADDRESS").to_owned()))
}

fn mosquitto() -> Option<Box<dyn Flooded>> {
    mosquitto::own(&[]).map(|broker| running(broker, |broker| broker.at("PLAIN").to_owned()))
}

fn url(scheme: &str, address: &str) -> String {
    let mut url = String::new();
    write!(url, "{scheme}://{address}").expect("written to memory");
    url
}

fn mqtt(name: &'static str, flood: flood::Flood, client: fn(&str, u64), around: usize, arguments: &'static [&'static str]) -> Row {
    Row {
        name,
        note: "the broker drops what waits beyond its bound, and says nothing",
        server: mosquitto,
        url: |address| url("mqtt", address),
        channel: "flood",
        messages: 400_000,
        flood,
        tool: Some(Tool { program: "mosquitto_sub", arguments, around }),
        bare: None,
        client,
    }
}

/// Every row, in the order in which they are run.
pub(super) fn rows() -> Vec<Row> {
    vec![
        Row {
            name: "nats",
            note: "core NATS; what a slow subscriber has to read is bounded by the server",
            server: || nats::own(&[]).map(|nats| running(nats, |nats| nats.address().to_owned())),
            url: |address| url("nats", address),
            channel: "flood",
            messages: 3_000_000,
            flood: flood::nats,
            tool: None,
            bare: Some(bare::nats),
            client: clients::nats,
        },
        mqtt("mqtt-0", flood::mqtt_0, clients::mqtt_0, 1, &["-h", "HOST", "-p", "PORT", "-V", "5", "-q", "0", "-t", "flood"]),
        // The tool writes an acknowledgement of five bytes as well.
        mqtt("mqtt-1", flood::mqtt_1, clients::mqtt_1, 6, &["-h", "HOST", "-p", "PORT", "-V", "5", "-q", "1", "-t", "flood"]),
        Row {
            name: "redis-pubsub",
            note: "the server's bound for slow subscribers is off",
            server: redis,
            url: |address| url("redis", address),
            channel: "channel:flood",
            messages: 1_000_000,
            flood: flood::redis_publish,
            // `message`, the channel and the payload, a line each.
            tool: Some(Tool { program: "redis-cli", arguments: &["-h", "HOST", "-p", "PORT", "SUBSCRIBE", "flood"], around: 15 }),
            bare: None,
            client: clients::redis_pubsub,
        },
        Row {
            name: "redis-stream",
            note: "XREAD of 1,000 at a time",
            server: redis,
            url: |address| url("redis", address),
            channel: "stream:flooded",
            messages: 500_000,
            flood: flood::redis_xadd,
            tool: None,
            bare: Some(bare::redis_stream),
            client: clients::redis_stream,
        },
        Row {
            name: "rabbitmq",
            note: "a queue bound to amq.fanout; ours holds 50,000 messages and drops the oldest beyond",
            server: || rabbitmq::own().map(|rabbit| running(rabbit, |rabbit| rabbit.fact("AMQP").to_owned())),
            url: |address| url("amqp", &format!("guest:guest@{address}")),
            channel: "exchange:amq.fanout",
            messages: 200_000,
            flood: flood::rabbitmq,
            tool: None,
            bare: Some(bare::rabbitmq),
            client: clients::rabbitmq,
        },
    ]
}
