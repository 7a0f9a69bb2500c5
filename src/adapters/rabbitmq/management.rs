//! The management API: one HTTP client, several hosts tried in turn, and what is known while none of them answers.

use super::link::Login;
use super::settings::{ManagementSaid, Settings};
use crate::adapters::tls;
use crate::adapters::wirelog::WireLog;
use crate::config::profile::{Integration, Tls};
use crate::domain::fault::{Fault, Kind};
use crate::domain::text::SafeText;
use reqwest::{Client, RequestBuilder, StatusCode, Url};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

const OP: &str = "ask the management API of";
/// Rows of one page; the server's own limit.
const PAGE: usize = 500;
/// After a failure it is not asked again so soon: the lists of a console are asked for every few seconds.
const REST: Duration = Duration::from_secs(15);
/// It stands beside a broker that answers: waiting longer only delays what can be told without it.
const PATIENCE: Duration = Duration::from_secs(5);

/// The client.
pub(super) struct Management {
    client: Client,
    /// Tried in turn; empty if the profile says that there is none.
    bases: Vec<Url>,
    vhost: String,
    login: Login,
    log: WireLog,
    /// When it failed last, and how.
    failed: Mutex<Option<(Instant, Fault)>>,
}

impl Management {
    pub(super) fn new(integration: &Integration, settings: &Settings, log: WireLog) -> Result<Self, Fault> {
        let tls = integration.endpoint.tls.as_ref();
        let texts = match &settings.management {
            ManagementSaid::None => Vec::new(),
            ManagementSaid::At(urls) => urls.clone(),
            // A password that goes to AMQP encrypted never goes to HTTP in the clear.
            ManagementSaid::Usual => integration.endpoint.addresses.iter().map(|address| usual(address, tls.is_some())).collect(),
        };
        let bases = texts.iter().map(|text| text.parse().map_err(|_| wrong(text))).collect::<Result<Vec<Url>, _>>()?;
        let encrypted = bases.iter().any(|base| base.scheme() == "https");
        let plain = Tls::default();
        let config = if encrypted { tls::client_config(tls.unwrap_or(&plain))? } else { nobody_s_tls()? };
        let builder = Client::builder().timeout(PATIENCE.min(integration.timeout)).redirect(reqwest::redirect::Policy::none()).no_proxy();
        let client = builder
            .tls_backend_preconfigured(config)
            .build()
            .map_err(|error| Fault::new(Kind::Usage, "set up", "HTTP", error.to_string()))?;
        Ok(Self { client, bases, vhost: settings.vhost.clone(), login: Login::of(integration), log, failed: Mutex::new(None) })
    }

    /// `/api/queues/VHOST/NAME…`, each part encoded.
    pub(super) async fn get(&self, kind: &str, parts: &[&str], query: &[(&str, &str)]) -> Result<Value, Fault> {
        if let Some((at, fault)) = &*self.failed.lock().unwrap_or_else(PoisonError::into_inner)
            && at.elapsed() < REST
        {
            return Err(fault.clone());
        }
        let answer = self.beside(kind, parts, query).await;
        match &answer {
            // The API answered: what it says holds.
            Ok(_) | Err(Fault { kind: Kind::NotFound | Kind::Protocol, .. }) => {}
            Err(fault) => *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), fault.clone())),
        }
        answer
    }

    /// The same for what not everybody may ask: a refusal says nothing of other questions.
    pub(super) async fn beside(&self, kind: &str, parts: &[&str], query: &[(&str, &str)]) -> Result<Value, Fault> {
        let mut last = Fault::new(Kind::NotFound, OP, "rabbitmq", "the profile says that there is none")
            .next("management_url = \"http://host:15672\"");
        for base in &self.bases {
            match self.ask(base, kind, parts, query).await {
                Err(fault) if !matches!(fault.kind, Kind::NotFound | Kind::Protocol) => last = fault,
                answer => return answer,
            }
        }
        Err(last)
    }

    /// Whether the profile says that there is none.
    pub(super) fn is_off(&self) -> bool {
        self.bases.is_empty()
    }

    /// Every row of a list of this vhost, with these columns; all pages of it.
    pub(super) async fn list(&self, kind: &str, columns: &str) -> Result<Vec<Value>, Fault> {
        let (mut rows, mut page) = (Vec::new(), 1_usize);
        loop {
            let (number, size) = (page.to_string(), PAGE.to_string());
            let answer = self.get(kind, &[], &[("page", &number), ("page_size", &size), ("columns", columns)]).await?;
            let pages = answer.get("page_count").and_then(Value::as_u64).unwrap_or(1);
            match answer {
                // Lists that have no pages come whole.
                Value::Array(whole) => return Ok(whole),
                mut answer => match answer.get_mut("items").map(Value::take) {
                    Some(Value::Array(items)) => rows.extend(items),
                    _ => {
                        return Err(
                            Fault::new(Kind::Protocol, OP, kind, "the answer is no list").next("is this RabbitMQ's management API?")
                        );
                    }
                },
            }
            if page as u64 >= pages {
                return Ok(rows);
            }
            page += 1;
        }
    }

    async fn ask(&self, base: &Url, kind: &str, parts: &[&str], query: &[(&str, &str)]) -> Result<Value, Fault> {
        let mut url = base.clone();
        let vhost = (!matches!(kind, "vhosts" | "policies" | "nodes" | "overview" | "health")).then_some(self.vhost.as_str());
        let parts = ["api", kind].into_iter().chain(vhost).chain(parts.iter().copied()).map(encoded);
        let path = parts.fold(base.path().trim_end_matches('/').to_owned(), |path, part| format!("{path}/{part}"));
        url.set_path(&path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let peer = SafeText::new(&format!("{}:{}", url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or_default()));
        let asked = Instant::now();
        let answer = self.send(kind, self.client.get(url.clone()), &peer).await;
        let said = answer.as_ref().map_or_else(|fault| fault.cause.to_string(), |(_, size)| format!("{size} B"));
        self.log.record(&peer, format!("GET {}", url.path()), said, asked.elapsed());
        answer.map(|(value, _)| value)
    }

    async fn send(&self, kind: &str, request: RequestBuilder, peer: &SafeText) -> Result<(Value, usize), Fault> {
        let request = match &self.login {
            Login::Password { username, password } => request.basic_auth(username, Some(password.expose())),
            Login::Token(tokens) => request.bearer_auth(tokens.token().await?.secret.expose()),
            Login::Certificate => request,
        };
        let answer = request.send().await.map_err(|error| unreachable(&error, peer))?;
        let status = answer.status();
        let body = answer.bytes().await.map_err(|error| unreachable(&error, peer))?;
        let refused = |kind, cause: &str, next: &str| Err(Fault::new(kind, OP, peer.clone(), cause).next(next));
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => refused(
                Kind::Forbidden,
                "it does not let this user in",
                "the user needs the tag `monitoring` or `management`: rabbitmqctl set_user_tags USER monitoring",
            ),
            StatusCode::NOT_FOUND => refused(Kind::NotFound, "there is no such thing", "check the spelling and the vhost"),
            // So a health check says what it has found.
            StatusCode::SERVICE_UNAVAILABLE if kind == "health" => read(&body).ok_or_else(|| not_json(peer)),
            status if !status.is_success() => refused(Kind::Protocol, &format!("it answered {status}"), ""),
            _ => read(&body).ok_or_else(|| not_json(peer)),
        }
    }
}

/// A part of a path. What is no letter or digit is encoded: the server refuses a bare `[` or `|`, which a URL lets pass.
fn encoded(part: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    part.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// The answer, with its size.
fn read(body: &[u8]) -> Option<(Value, usize)> {
    Some((serde_json::from_slice(body).ok()?, body.len()))
}

fn not_json(peer: &SafeText) -> Fault {
    Fault::new(Kind::Protocol, OP, peer.clone(), "the answer is not JSON").next("does management_url name RabbitMQ's management API?")
}

/// The client wants to know how to speak TLS even where it never will: it trusts nobody then.
fn nobody_s_tls() -> Result<ClientConfig, Fault> {
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(|e| Fault::new(Kind::Usage, "set up", "TLS", e.to_string()))?;
    Ok(builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
}

/// The management plugin's usual place beside an AMQP address.
fn usual(address: &str, encrypted: bool) -> String {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    if encrypted { format!("https://{host}:15671") } else { format!("http://{host}:15672") }
}

fn wrong(url: &str) -> Fault {
    Fault::new(Kind::Usage, "read settings of", url, "`management_url` is not a URL").next("write management_url = \"http://host:15672\"")
}

fn unreachable(error: &reqwest::Error, peer: &SafeText) -> Fault {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    let kind = if error.is_timeout() { Kind::Timeout } else { Kind::Unreachable };
    Fault::new(kind, OP, peer.clone(), cause.to_string())
        .next("enable it (rabbitmq-plugins enable rabbitmq_management), or say where it is: management_url = \"http://host:15672\"")
}

/// A number at a path of an answer; absent is unknown, never 0.
pub(super) fn number(value: &Value, path: &[&str]) -> Option<u64> {
    at(value, path)?.as_u64()
}

/// A rate at a path of an answer: the server has none until there was traffic.
pub(super) fn rate(value: &Value, counter: &str) -> Option<f64> {
    at(value, &["message_stats", &format!("{counter}_details"), "rate"])?.as_f64()
}

/// A text at a path of an answer.
pub(super) fn text<'a>(value: &'a Value, path: &[&str]) -> Option<&'a str> {
    at(value, path)?.as_str()
}

fn at<'a>(value: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, name| value.get(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_absent_is_unknown() {
        let queue = serde_json::json!({"messages": 3, "message_stats": {"publish_details": {"rate": 0.5}}, "policy": null});
        assert_eq!((number(&queue, &["messages"]), number(&queue, &["messages_ready"])), (Some(3), None));
        assert_eq!((rate(&queue, "publish"), rate(&queue, "deliver_get")), (Some(0.5), None));
        assert_eq!(text(&queue, &["policy"]), None);
    }

    #[test]
    fn every_character_of_a_name_is_a_part_of_its_path() {
        let mut url: Url = "http://host:15672/rabbit".parse().expect("a URL");
        url.set_path(&format!("/rabbit/api/queues/{}/{}", encoded("/"), encoded("a[b]|c d%2f?#\u{1b}ü.~")));
        assert_eq!(url.path(), "/rabbit/api/queues/%2F/a%5Bb%5D%7Cc%20d%252f%3F%23%1B%C3%BC.~");
    }

    #[test]
    fn a_password_that_is_encrypted_for_amqp_stays_so() {
        assert_eq!(usual("rabbit1.grey.io:5672", false), "http://rabbit1.grey.io:15672");
        assert_eq!(usual("[::1]:5671", true), "https://[::1]:15671");
    }
}
