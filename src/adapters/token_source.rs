//! `TokenSource`: where adapters get bearer tokens from.

use crate::config::profile::{self, Auth};
use crate::config::secret::Secret;
use crate::domain::fault::{Fault, Kind};
use async_trait::async_trait;
use serde::Deserialize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

const OP: &str = "get a token from";
/// A token is asked for anew when it has less than this left.
const MARGIN: Duration = Duration::from_secs(30);
/// How long the token endpoint may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A bearer token, and when it ends if its source said so.
#[derive(Clone, Debug)]
pub struct Token {
    pub secret: Secret,
    pub expires: Option<Instant>,
}

/// Gives the token to log in with now. No fault of it carries a secret.
#[async_trait]
pub trait TokenSource: Send + Sync {
    async fn token(&self) -> Result<Token, Fault>;
}

/// The source of the tokens that are logged in with, if they are.
pub fn of(auth: &Auth) -> Option<Arc<dyn TokenSource>> {
    if let Auth::Token(source) = auth { Some(from_profile(source)) } else { None }
}

/// The source that a profile names.
pub fn from_profile(source: &profile::TokenSource) -> Arc<dyn TokenSource> {
    match source {
        profile::TokenSource::Fixed(secret) => Arc::new(Fixed(secret.clone())),
        profile::TokenSource::File(path) => Arc::new(File(path.clone())),
        profile::TokenSource::ClientCredentials { token_url, client_id, client_secret, scopes } => Arc::new(ClientCredentials {
            url: token_url.clone(),
            client_id: client_id.clone(),
            client_secret: client_secret.clone(),
            scopes: scopes.join(" "),
            cached: Mutex::new(None),
        }),
    }
}

struct Fixed(Secret);

#[async_trait]
impl TokenSource for Fixed {
    async fn token(&self) -> Result<Token, Fault> {
        Ok(Token { secret: self.0.clone(), expires: None })
    }
}

/// Somebody else keeps the file fresh, so it is read each time.
struct File(PathBuf);

#[async_trait]
impl TokenSource for File {
    async fn token(&self) -> Result<Token, Fault> {
        let fault = |cause: String| {
            Fault::new(Kind::Unauthorized, OP, self.0.to_string_lossy().as_ref(), cause)
                .next("token_file must name a file that holds the token")
        };
        let text = tokio::fs::read_to_string(&self.0).await.map_err(|error| fault(error.to_string()))?;
        let text = Secret::new(text);
        let token = text.expose().trim();
        if token.is_empty() {
            return Err(fault("the file is empty".into()));
        }
        Ok(Token { secret: Secret::new(token.to_owned()), expires: None })
    }
}

/// OAuth 2 client credentials (RFC 6749 section 4.4), the client authenticated by a Basic header (section 2.3.1).
struct ClientCredentials {
    url: String,
    client_id: String,
    client_secret: Secret,
    scopes: String,
    cached: Mutex<Option<Token>>,
}

/// RFC 6749 section 5.1.
#[derive(Deserialize)]
struct Granted {
    access_token: String,
    expires_in: Option<u64>,
}

/// RFC 6749 section 5.2.
#[derive(Default, Deserialize)]
struct Denied {
    #[serde(default)]
    error: String,
    #[serde(default)]
    error_description: String,
}

#[async_trait]
impl TokenSource for ClientCredentials {
    async fn token(&self) -> Result<Token, Fault> {
        let mut cached = self.cached.lock().await;
        if let Some(token) = &*cached
            && token.expires.is_some_and(|expires| expires > Instant::now() + MARGIN)
        {
            return Ok(token.clone());
        }
        let token = self.ask().await?;
        *cached = Some(token.clone());
        Ok(token)
    }
}

/// As both halves of the Basic header are to be written (RFC 6749 section 2.3.1).
fn encoded(text: &str) -> String {
    reqwest::Url::parse_with_params("x:", [("", text)])
        .map_or_else(|_| text.to_owned(), |url| url.query().unwrap_or_default().trim_start_matches('=').to_owned())
}

impl ClientCredentials {
    /// The endpoint as faults name it: what stands behind its `?` may be a key.
    fn peer(&self) -> &str {
        self.url.split('?').next().unwrap_or_default()
    }

    async fn ask(&self) -> Result<Token, Fault> {
        let asked = Instant::now();
        let mut form = vec![("grant_type", "client_credentials")];
        if !self.scopes.is_empty() {
            form.push(("scope", &self.scopes));
        }
        let answer = client()
            .and_then(|client| {
                client
                    .post(&self.url)
                    .basic_auth(encoded(&self.client_id), Some(encoded(self.client_secret.expose())))
                    .form(&form)
                    .build()
                    .map(|r| (client, r))
            })
            .map_err(|error| self.unreachable(&error))?;
        let (client, request) = answer;
        let answer = client.execute(request).await.map_err(|error| self.unreachable(&error))?;
        let status = answer.status();
        let body = answer.bytes().await.map_err(|error| self.unreachable(&error))?;
        if !status.is_success() {
            let denied: Denied = serde_json::from_slice(&body).unwrap_or_default();
            let said = [denied.error, denied.error_description].iter().filter(|s| !s.is_empty()).cloned().collect::<Vec<_>>().join(": ");
            let cause = if said.is_empty() { format!("the token endpoint answered {status}") } else { format!("{status}: {said}") };
            return Err(Fault::new(Kind::Unauthorized, OP, self.peer(), cause).next("check client_id, client_secret and scopes"));
        }
        let granted: Granted = serde_json::from_slice(&body).map_err(|_| {
            Fault::new(Kind::Protocol, OP, self.peer(), "the answer is no JSON with an access_token").next("check token_url")
        })?;
        let expires = granted.expires_in.map(|seconds| asked + Duration::from_secs(seconds.min(86_400)));
        Ok(Token { secret: Secret::new(granted.access_token), expires })
    }

    fn unreachable(&self, error: &reqwest::Error) -> Fault {
        let kind = if error.is_timeout() { Kind::Timeout } else { Kind::Unreachable };
        let mut cause: &dyn std::error::Error = error;
        while let Some(source) = cause.source() {
            cause = source;
        }
        Fault::new(kind, OP, self.peer(), cause.to_string()).next("check token_url, and that it can be reached from here")
    }
}

/// An HTTP client that trusts what the system trusts and follows no redirect with our credentials.
fn client() -> Result<reqwest::Client, reqwest::Error> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let builder = reqwest::Client::builder().timeout(PATIENCE).redirect(reqwest::redirect::Policy::none());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    match rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions() {
        Ok(tls) => builder.tls_backend_preconfigured(tls.with_root_certificates(roots).with_no_client_auth()).build(),
        Err(_) => builder.build(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    /// A token endpoint that gives the same answer to every request, and counts them.
    async fn endpoint(answer: &'static str) -> (String, tokio::task::JoinHandle<()>, Arc<std::sync::atomic::AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/token", listener.local_addr().expect("an address"));
        let asked = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let task = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = vec![0; 4096];
                let read = stream.read(&mut request).await.unwrap_or(0);
                let request = String::from_utf8_lossy(&request[..read]).to_ascii_lowercase();
                assert!(request.contains("authorization: basic"), "{request}");
                count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        (url, task, asked)
    }

    fn credentials(url: String) -> Arc<dyn TokenSource> {
        from_profile(&profile::TokenSource::ClientCredentials {
            token_url: url,
            client_id: "mqdeck".into(),
            client_secret: Secret::new("s3cret-value".into()),
            scopes: vec!["kafka".into()],
        })
    }

    #[tokio::test]
    async fn a_granted_token_is_kept_until_shortly_before_it_ends() {
        let body = "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{\"access_token\":\"abc.def\",\"expires_in\":3600}";
        let (url, server, asked) = endpoint(body).await;
        let source = credentials(url);
        for _ in 0..3 {
            let token = source.token().await.expect("a token");
            assert_eq!(token.secret.expose(), "abc.def");
            assert!(token.expires.is_some());
        }
        assert_eq!(asked.load(std::sync::atomic::Ordering::SeqCst), 1);
        server.abort();
    }

    #[tokio::test]
    async fn a_refusal_says_what_the_endpoint_said_and_no_secret() {
        let body = "HTTP/1.1 401 Unauthorized\r\nconnection: close\r\n\r\n\
                    {\"error\":\"invalid_client\",\"error_description\":\"bad credential\"}";
        let (url, server, _) = endpoint(body).await;
        let fault = credentials(url).token().await.expect_err("refused");
        assert_eq!(fault.kind, Kind::Unauthorized);
        assert!(fault.to_string().contains("401 Unauthorized: invalid_client"), "{fault}");
        assert!(!fault.to_string().contains("s3cret-value"));
        server.abort();
    }

    #[tokio::test]
    async fn a_token_file_is_read_each_time() {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        let source = from_profile(&profile::TokenSource::File(file.path().to_owned()));
        assert!(source.token().await.expect_err("empty").cause.as_str().contains("empty"));
        file.write_all(b"first\n").expect("written");
        assert_eq!(source.token().await.expect("a token").secret.expose(), "first");
        std::fs::write(file.path(), "second").expect("written");
        assert_eq!(source.token().await.expect("a token").secret.expose(), "second");
    }
}
