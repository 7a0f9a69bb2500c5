//! The `endpoint` block: where a system is, and how TLS is spoken to it.

use super::profile::{Tls, TlsVersion};
use super::section::Text;
use super::system::System;
use super::tree::{Datum, Kind, Reading, Section};
use crate::domain::suggest;
use std::ops::Range;

/// What an `endpoint` block said; `None` where it said nothing.
#[derive(Default)]
pub(super) struct Endpoint {
    pub(super) addresses: Option<Vec<String>>,
    pub(super) tls: TlsSaid,
}

#[derive(Default)]
pub(super) enum TlsSaid {
    #[default]
    Nothing,
    Off(Range<usize>),
    On(Tls),
}

/// Addresses as `host:port`, and whether their scheme asks for TLS.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Addresses {
    pub(super) list: Vec<String>,
    pub(super) tls: bool,
}

impl Default for Tls {
    fn default() -> Self {
        Self { verify_server: true, ca_cert: None, client: None, server_name: None, min_version: TlsVersion::default() }
    }
}

/// Reads the block. A `path` belongs to the address of systems that are reached by URL.
pub(super) fn read(mut section: Section, rd: &mut Reading<'_>, system: Option<&System>) -> Endpoint {
    let port = section.number(rd, "port", 1..=65535).and_then(|port| u16::try_from(port).ok());
    let path = section.text(rd, "path").map(Text::into_string);
    let tls = section.take(rd, "tls").map_or(TlsSaid::Nothing, |entry| tls(entry.value, rd));
    let entry = section.take_any(rd, &["address", "addresses", "brokers"]);
    let mut endpoint = Endpoint { addresses: None, tls };
    if let Some(entry) = entry {
        let span = entry.value.span.clone();
        let texts = rd.texts(entry.value, &entry.name);
        endpoint.addresses = addresses(&texts, rd, system, port, path.as_deref(), &mut endpoint.tls);
        if texts.is_empty() && rd.problems.is_empty() {
            rd.wrong(&span, format!("`{}` is empty", entry.name), "name at least one host");
        }
    } else if !["address", "addresses", "brokers"].iter().any(|name| section.misspelled(name))
        && system.is_none_or(|system| !system.schemes.is_empty())
    {
        let help = "for example address = \"kafka.example.com:9092\", or brokers = [\"one:9092\", \"two:9092\"]";
        rd.wrong(&section.span.clone(), "`address` is missing", help);
    }
    section.finish(rd);
    endpoint
}

/// Reads addresses that may carry a scheme; `kafkas://` and its like switch TLS on.
pub(super) fn addresses(
    texts: &[Text],
    rd: &mut Reading<'_>,
    system: Option<&System>,
    port: Option<u16>,
    path: Option<&str>,
    tls: &mut TlsSaid,
) -> Option<Vec<String>> {
    let mut all = Vec::new();
    for text in texts {
        match parse(text.as_str(), system, port, path) {
            Ok(parsed) => {
                match tls {
                    TlsSaid::Off(span) if parsed.tls => {
                        let span = span.clone();
                        rd.wrong(&span, "`tls` is off, and the address's scheme asks for it", "remove one of the two");
                    }
                    TlsSaid::Nothing if parsed.tls => *tls = TlsSaid::On(Tls::default()),
                    _ => {}
                }
                all.extend(parsed.list);
            }
            Err(message) => rd.wrong(&text.span, message, "write host, host:port or scheme://host:port"),
        }
    }
    (!all.is_empty()).then_some(all)
}

/// Splits `scheme://one:9092,two:9092`. The message of an error never repeats the address: it may hold a password.
pub(super) fn parse(text: &str, system: Option<&System>, port: Option<u16>, path: Option<&str>) -> Result<Addresses, String> {
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) => (Some(scheme.to_ascii_lowercase()), rest),
        None => (None, text),
    };
    if rest.contains('@') {
        return Err("an address holds no user and no password: they belong into the `auth` block".to_owned());
    }
    let schemes = system.map_or(&[][..], |system| system.schemes);
    let own = scheme.as_deref().and_then(|scheme| schemes.iter().find(|(name, _)| *name == scheme));
    if let (Some(_), None, Some(system)) = (&scheme, own, system) {
        let names: Vec<&str> = schemes.iter().map(|(name, _)| *name).collect();
        return Err(format!("this scheme is not one of {}: expected {}", system.name, suggest::one_of(&names)));
    }
    let tls = match (&scheme, own) {
        (Some(_), Some((name, _))) => is_tls(name, schemes),
        (Some(scheme), None) => ["https", "tls", "rediss", "amqps", "mqtts", "grpcs", "wss"].contains(&scheme.as_str()),
        (None, _) => false,
    };
    if system.is_none() && matches!(scheme.as_deref(), Some("http" | "https")) {
        // A URL stays whole: its path says where the service is.
        let url = format!("{}{}", text.trim_end_matches('/'), path.unwrap_or_default());
        return Ok(Addresses { list: vec![url], tls });
    }
    let default = port.or(own.map(|(_, port)| *port)).or_else(|| schemes.first().map(|(_, port)| *port));
    if let Some(scheme @ ("ws" | "wss")) = scheme.as_deref() {
        // A websocket stands at a path of its host, which stays with the address.
        let (host, own_path) = rest.split_once('/').map_or((rest, None), |(host, path)| (host, Some(path)));
        let path = own_path.or(path.map(|path| path.trim_start_matches('/'))).unwrap_or_default();
        return Ok(Addresses { list: vec![format!("{scheme}://{}/{path}", host_port(host.trim(), default)?)], tls });
    }
    let list = rest.trim_end_matches('/').split(',').map(|one| host_port(one.trim(), default)).collect::<Result<Vec<_>, _>>()?;
    Ok(Addresses { list, tls })
}

/// Whether a URL has a user, and perhaps a password, before its host.
pub(super) fn has_log_in(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().is_some_and(|authority| authority.contains('@'))
}

/// Whether a scheme is the TLS one of a pair: `kafkas` beside `kafka`, and `tls` itself, as NATS has it.
pub(super) fn is_tls(scheme: &str, schemes: &[(&str, u16)]) -> bool {
    scheme == "tls" || scheme.strip_suffix('s').is_some_and(|plain| schemes.iter().any(|(name, _)| *name == plain))
}

fn host_port(text: &str, default: Option<u16>) -> Result<String, String> {
    let (host, port) = match text.rsplit_once(':') {
        // `[::1]:9092` has its colons in brackets; a bare IPv6 address has more than one.
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let named = !host.is_empty() && host.chars().all(|c| c.is_alphanumeric() || "-._".contains(c));
    if !named && inner.unwrap_or(host).parse::<std::net::Ipv6Addr>().is_err() {
        return Err("this is not a host".to_owned());
    }
    let host = if host.contains(':') && inner.is_none() { format!("[{host}]") } else { host.to_owned() };
    let port = match port {
        Some(port) => Some(port.parse::<u16>().ok().filter(|port| *port > 0).ok_or("the port is a number from 1 to 65535")?),
        None => default,
    };
    Ok(port.map_or(host.clone(), |port| format!("{host}:{port}")))
}

fn tls(value: Datum, rd: &mut Reading<'_>) -> TlsSaid {
    let span = value.span.clone();
    let mut section = match value.kind {
        Kind::Section(section) => section,
        kind => {
            return match rd.flag(&Datum { span: span.clone(), kind }, "tls") {
                Some(true) => TlsSaid::On(Tls::default()),
                Some(false) => TlsSaid::Off(span),
                None => TlsSaid::Nothing,
            };
        }
    };
    let enabled = section.flag(rd, "enabled").unwrap_or(true);
    let path = |text: Option<Text>, rd: &mut Reading<'_>, what| text.map(|text| rd.file(&text, what));
    let ca = section.text_any(rd, &["ca_cert", "ca"]);
    let cert = section.text_any(rd, &["client_cert", "cert"]);
    let key = section.text_any(rd, &["client_key", "key"]);
    let client = match (path(cert, rd, "`client_cert`"), path(key, rd, "`client_key`")) {
        (Some(cert), Some(key)) => Some((cert, key)),
        (None, None) => None,
        _ => {
            rd.wrong(&section.span.clone(), "`client_cert` and `client_key` come together", "give both, or none");
            None
        }
    };
    let verify = section.take_any(rd, &["verify_server", "verify_peer"]).and_then(|entry| rd.flag(&entry.value, &entry.name));
    let versions = [("1.2", TlsVersion::V1_2), ("1.3", TlsVersion::V1_3), ("TLSv1.2", TlsVersion::V1_2), ("TLSv1.3", TlsVersion::V1_3)];
    let tls = Tls {
        verify_server: verify.unwrap_or(true),
        ca_cert: path(ca, rd, "`ca_cert`"),
        client,
        server_name: section.text(rd, "server_name").map(Text::into_string),
        min_version: section.word(rd, "min_version", &versions).unwrap_or_default(),
    };
    section.finish(rd);
    if enabled { TlsSaid::On(tls) } else { TlsSaid::Off(span) }
}
