//! Which servers there are: those that the profile names, and those that they name.

use crate::domain::fault::{Fault, Kind};
use crate::domain::text::SafeText;
use serde::Deserialize;
use std::fmt;

/// More servers than these are not tried.
const MOST: usize = 256;
const PORT: u16 = 4222;

/// One server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Server {
    pub(crate) host: String,
    pub(crate) port: u16,
    /// The name that its certificate carries: of a server that is known by its number alone, the name of who told of it.
    pub(crate) tls_name: String,
}

impl Server {
    /// Reads `host`, `host:port` or `[address]:port`, with a scheme or without.
    pub(crate) fn of(text: &str) -> Option<Self> {
        let text = text.split_once("://").map_or(text, |(_, rest)| rest).trim_end_matches('/');
        let text = text.rsplit_once('@').map_or(text, |(_, rest)| rest);
        let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, "")) => (host, None),
            Some((host, rest)) => (host, Some(rest.strip_prefix(':')?)),
            None => text.rsplit_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
        };
        let port = port.map_or(Some(PORT), |port| port.parse().ok())?;
        (!host.is_empty()).then(|| Self { host: host.to_owned(), port, tls_name: host.to_owned() })
    }

    pub(crate) fn peer(&self) -> SafeText {
        SafeText::from(self.to_string())
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') { write!(f, "[{}]:{}", self.host, self.port) } else { write!(f, "{}:{}", self.host, self.port) }
    }
}

/// What a server says of itself (`INFO`).
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ServerInfo {
    pub(crate) server_id: String,
    pub(crate) server_name: String,
    pub(crate) version: String,
    pub(crate) max_payload: usize,
    pub(crate) headers: bool,
    pub(crate) nonce: String,
    pub(crate) tls_required: bool,
    pub(crate) connect_urls: Vec<String>,
}

/// The servers, in the order in which they are tried.
#[derive(Debug)]
pub(crate) struct Servers {
    named: Vec<Server>,
    told: Vec<Server>,
    /// With whom the next round begins.
    first: usize,
}

impl Servers {
    pub(crate) fn new(addresses: &[String]) -> Result<Self, Fault> {
        let wrong = |address: &str| Fault::new(Kind::Usage, "connect to", address, "this is no address").next("write host:port");
        let named = addresses.iter().map(|address| Server::of(address).ok_or_else(|| wrong(address))).collect::<Result<_, _>>()?;
        Ok(Self { named, told: Vec::new(), first: 0 })
    }

    /// Every server once, beginning with the one behind that which was connected to last.
    pub(crate) fn round(&self) -> Vec<Server> {
        let mut all: Vec<Server> = self.named.iter().chain(&self.told).cloned().collect();
        let len = all.len().max(1);
        all.rotate_left(self.first % len);
        all
    }

    /// What a server that we are connected to says of the cluster.
    pub(crate) fn told(&mut self, by: &Server, addresses: &[String]) {
        let told = addresses.iter().filter_map(|address| Server::of(address)).take(MOST).map(|server| {
            let is_number = server.host.parse::<std::net::IpAddr>().is_ok();
            Server { tls_name: if is_number { by.tls_name.clone() } else { server.tls_name.clone() }, ..server }
        });
        let known = |server: &Server| self.named.iter().any(|named| named.host == server.host && named.port == server.port);
        self.told = told.filter(|server| !known(server)).collect();
        let all = self.named.iter().chain(&self.told);
        let at = all.clone().position(|server| server.host == by.host && server.port == by.port);
        self.first = at.map_or(0, |at| at + 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_they_are_written() {
        for (text, shown) in [
            ("a:4223", "a:4223"),
            ("nats://a", "a:4222"),
            ("tls://u:p@a:1/", "a:1"),
            ("[::1]:4222", "[::1]:4222"),
            ("127.0.0.1:7", "127.0.0.1:7"),
        ] {
            assert_eq!(Server::of(text).expect(text).to_string(), shown);
        }
        for wrong in ["", "a:b", ":4222", "a:99999", "[::1]x"] {
            assert_eq!(Server::of(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_round_begins_behind_the_server_that_was_lost_and_goes_to_each_once() {
        let mut servers = Servers::new(&["a:1".to_owned(), "b:1".to_owned()]).expect("addresses");
        let names = |servers: &Servers| servers.round().iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(names(&servers), ["a:1", "b:1"]);
        let by = Server::of("a:1").expect("a server");
        servers.told(&by, &["a:1".to_owned(), "10.0.0.7:1".to_owned(), "nonsense:x".to_owned()]);
        assert_eq!(names(&servers), ["b:1", "10.0.0.7:1", "a:1"]);
        let told = servers.round().remove(1);
        assert_eq!(told.tls_name, "a", "a number has no certificate: its name is that of who told of it");
    }
}
