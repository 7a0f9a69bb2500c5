//! A broker of a few lines for the tests of the link: it speaks old versions, and does what a real one does only on a bad day.

use super::connection::{Dial, HostPort};
use crate::adapters::wirelog::WireLog;
use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::protocol::StrBytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A request as the fake broker sees it.
pub(super) struct Asked {
    pub(super) key: i16,
    pub(super) version: i16,
    /// Counts the requests of one connection, from 0.
    pub(super) number: usize,
    /// Counts the connections, from 0.
    pub(super) connection: usize,
}

/// What the fake broker does with a request.
pub(super) enum Does {
    /// Answers with this body.
    Answer(Bytes),
    /// Keeps the answer back until the next request came, then sends both.
    Later(Bytes),
    Nothing,
    HangUp,
}

pub(super) struct FakeBroker {
    pub(super) address: HostPort,
    pub(super) connections: Arc<AtomicUsize>,
}

impl FakeBroker {
    /// Listens, and does with every request what `does` says.
    pub(super) async fn start(does: impl Fn(&Asked) -> Does + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let connections = Arc::new(AtomicUsize::new(0));
        let (count, does) = (Arc::clone(&connections), Arc::new(does));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let connection = count.fetch_add(1, Ordering::SeqCst);
                let does = Arc::clone(&does);
                tokio::spawn(async move { serve(stream, connection, &*does).await });
            }
        });
        Self { address: HostPort { host: "127.0.0.1".into(), port }, connections }
    }
}

async fn serve(mut stream: TcpStream, connection: usize, does: &(dyn Fn(&Asked) -> Does + Send + Sync)) -> Option<()> {
    let mut held: Vec<BytesMut> = Vec::new();
    for number in 0.. {
        let size = stream.read_u32().await.ok()?;
        let mut request = vec![0; size as usize];
        stream.read_exact(&mut request).await.ok()?;
        let int = |at: usize| i16::from_be_bytes([request[at], request[at + 1]]);
        let asked = Asked { key: int(0), version: int(2), number, connection };
        let frame = |body: Bytes| {
            let mut frame = BytesMut::new();
            frame.put_u32(body.len() as u32 + 4);
            frame.put_slice(&request[4..8]);
            frame.put_slice(&body);
            frame
        };
        match does(&asked) {
            Does::Answer(body) => {
                held.push(frame(body));
                for frame in held.drain(..) {
                    stream.write_all(&frame).await.ok()?;
                }
            }
            Does::Later(body) => held.push(frame(body)),
            Does::Nothing => {}
            Does::HangUp => return None,
        }
    }
    None
}

/// `ApiVersions` v0 to v2: Kafka as it was in 2018 (2.0), as far as the link asks.
pub(super) fn old_versions() -> Bytes {
    offers(&[(18, 0, 2), (3, 0, 6), (2, 0, 3), (1, 0, 8), (17, 0, 1), (36, 0, 0), (32, 0, 2), (35, 0, 1)])
}

/// `ApiVersions` v0 to v2 with these requests: key, lowest and highest version.
pub(super) fn offers(offered: &[(i16, i16, i16)]) -> Bytes {
    let mut body = BytesMut::new();
    body.put_i16(0);
    body.put_i32(offered.len() as i32);
    for (key, min, max) in offered {
        body.put_i16(*key);
        body.put_i16(*min);
        body.put_i16(*max);
    }
    body.freeze()
}

/// `Metadata` v6 with one broker, led by which a topic `orders` has one partition.
pub(super) fn metadata(node: i32, address: &HostPort, throttle: i32) -> Bytes {
    let mut body = BytesMut::new();
    let text = |body: &mut BytesMut, text: &str| {
        body.put_i16(text.len() as i16);
        body.put_slice(text.as_bytes());
    };
    body.put_i32(throttle);
    body.put_i32(1);
    body.put_i32(node);
    text(&mut body, &address.host);
    body.put_i32(i32::from(address.port));
    body.put_i16(-1); // rack
    body.put_i16(-1); // cluster id
    body.put_i32(node); // controller
    body.put_i32(1);
    body.put_i16(0);
    text(&mut body, "orders");
    body.put_u8(0); // not internal
    body.put_i32(1);
    body.put_i16(0);
    body.put_i32(0);
    body.put_i32(node);
    for _ in 0..2 {
        body.put_i32(1);
        body.put_i32(node);
    }
    body.put_i32(0); // offline replicas
    body.freeze()
}

/// How the tests dial.
pub(super) fn dial(timeout: Duration) -> Arc<Dial> {
    Arc::new(Dial {
        client_id: StrBytes::from_static_str("test"),
        timeout,
        tls: None,
        login: None,
        log: WireLog::default(),
        met: std::sync::Mutex::default(),
    })
}
