//! A real nats-server of our own, or the one in `MQDECK_TEST_NATS`; as whom and how it is connected to.

use super::server::Server;
use mqdeck::config::profile::{Auth, Integration};
use mqdeck::config::secret::Secret;
use std::path::PathBuf;
use std::sync::OnceLock;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// One server, or a cluster.
pub(crate) struct Nats(Server);

/// One server for all tests that stop none; whoever comes is `app`. `None` if there is none here (already reported).
pub(crate) fn shared() -> Option<&'static Nats> {
    static SHARED: OnceLock<Option<Nats>> = OnceLock::new();
    SHARED.get_or_init(|| Server::shared("nats", "NATS", &[]).map(Nats)).as_ref()
}

/// A server that the caller alone uses and may harm; `None` if none can be started here (already reported).
pub(crate) fn own(options: &[&str]) -> Option<Nats> {
    Server::own("nats", "NATS", options).map(Nats)
}

/// The server's program; `None` if there is none here.
pub(crate) fn program() -> Option<PathBuf> {
    let version = super::server::recipe("nats", "prepare", &[]).ok()?;
    let cache =
        std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))?;
    Some(cache.join("mqdeck-tests").join(format!("nats-{}", version.trim())).join("nats-server"))
}

impl Nats {
    /// Addresses with commas between them.
    pub(crate) fn address(&self) -> &str {
        self.0.fact("ADDRESS")
    }

    /// An integration named `nats` that logs in with nothing.
    pub(crate) fn integration(&self) -> Integration {
        Integration::new("nats", "nats", self.0.addresses())
    }

    /// The same, as that user; the password is the name.
    pub(crate) fn as_user(&self, name: &str) -> Integration {
        let auth = Auth::Basic { username: name.to_owned(), password: Secret::new(name.to_owned()) };
        Integration { auth, ..self.integration() }
    }

    /// A file: `CA`, `OTHER_CA`, `CERT_CLIENT`, `KEY_CLIENT`, `NKEY`, …
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.file(name)
    }

    /// Kills a server as a crash does.
    pub(crate) fn kill(&self, node: u32) {
        self.0.kill(&node.to_string());
    }

    /// Starts the servers that are down, with their ports and data, and returns when they are ready.
    pub(crate) fn restart(&mut self) {
        self.0.restart();
    }

    /// Sends these bytes of the protocol as they are, which may be what no client would send.
    pub(crate) async fn raw(&self, bytes: &[u8]) {
        let mut stream = self.bare().await;
        stream.write_all(bytes).await.expect("written");
        stream.write_all(b"PING\r\n").await.expect("written");
        let mut answer = Vec::new();
        while !answer.windows(4).any(|word| word == b"PONG") {
            assert_ne!(stream.read_buf(&mut answer).await.expect("an answer"), 0, "{}", String::from_utf8_lossy(&answer));
        }
    }

    /// An address that leads to the server, and never hands on a request of this subject that has this word; how many of them came.
    pub(crate) async fn without(&self, request: &'static str, word: &'static str) -> (String, watch::Receiver<usize>) {
        let (server, listener) = (self.address().to_owned(), TcpListener::bind("127.0.0.1:0").await.expect("a port"));
        let (address, (came, count)) = (listener.local_addr().expect("its address").to_string(), watch::channel(0));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(server.split(',').next().expect("an address")).await.expect("connected");
                let ((mut answers, mut asks), (client, mut back)) = (server.into_split(), client.into_split());
                tokio::spawn(async move { tokio::io::copy(&mut answers, &mut back).await });
                let came = came.clone();
                tokio::spawn(async move {
                    let mut client = BufReader::new(client);
                    while let Some((line, body)) = command(&mut client).await {
                        let is = |text: &[u8], word: &str| String::from_utf8_lossy(text).contains(word);
                        if is(&line, request) && is(&body, word) {
                            came.send_modify(|count| *count += 1);
                        } else if asks.write_all(&[line, body].concat()).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        (address, count)
    }

    /// A connection in bare bytes.
    async fn bare(&self) -> TcpStream {
        let address = self.address().split(',').next().expect("an address");
        let mut stream = TcpStream::connect(address).await.expect("connected");
        stream.write_all(b"CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true}\r\n").await.expect("written");
        stream
    }

    /// Answers every request on these subjects with these header blocks and the same payload, until the handle is aborted.
    pub(crate) async fn responder(&self, subjects: &[&str], blocks: Vec<Vec<u8>>, payload: &'static str) -> JoinHandle<()> {
        let mut stream = BufReader::new(self.bare().await);
        for (sid, subject) in subjects.iter().enumerate() {
            stream.write_all(format!("SUB {subject} {}\r\n", sid + 1).as_bytes()).await.expect("written");
        }
        stream.write_all(b"PING\r\n").await.expect("written");
        let (ready, is_ready) = tokio::sync::oneshot::channel();
        let mut ready = Some(ready);
        let answering = tokio::spawn(async move {
            let mut line = String::new();
            while stream.read_line(&mut line).await.is_ok_and(|read| read > 0) {
                let words: Vec<&str> = line.split_whitespace().collect();
                match words[..] {
                    ["PONG"] => drop(ready.take().map(|ready| ready.send(()))),
                    ["PING"] => stream.write_all(b"PONG\r\n").await.expect("written"),
                    ["MSG" | "HMSG", _, _, reply, .., size] => {
                        for block in &blocks {
                            stream.write_all(&publish(reply, block, payload)).await.expect("written");
                        }
                        let mut body = vec![0; size.parse::<usize>().expect("a size") + 2];
                        stream.read_exact(&mut body).await.expect("the request");
                    }
                    _ => {}
                }
                line.clear();
            }
        });
        is_ready.await.expect("it subscribed");
        answering
    }
}

/// What a client sends next: a line, and what belongs to it. `None` at its end.
async fn command(client: &mut (impl AsyncBufRead + Unpin)) -> Option<(Vec<u8>, Vec<u8>)> {
    let mut line = Vec::new();
    client.read_until(b'\n', &mut line).await.ok().filter(|read| *read > 0)?;
    let text = String::from_utf8_lossy(&line).into_owned();
    let mut words = text.split_whitespace();
    let has_body = matches!(words.next(), Some("PUB" | "HPUB"));
    let size = words.last().and_then(|size| size.parse::<usize>().ok()).filter(|_| has_body);
    let mut body = vec![0; size.map_or(0, |size| size + 2)];
    client.read_exact(&mut body).await.ok()?;
    Some((line, body))
}

/// The bytes that publish a message with this header block.
pub(crate) fn publish(subject: &str, block: &[u8], payload: &str) -> Vec<u8> {
    let mut bytes = format!("HPUB {subject} {} {}\r\n", block.len(), block.len() + payload.len()).into_bytes();
    bytes.extend_from_slice(block);
    bytes.extend_from_slice(payload.as_bytes());
    bytes.extend_from_slice(b"\r\n");
    bytes
}
