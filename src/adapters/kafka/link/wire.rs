//! Frames on one connection: questions written in order, answers read in order and matched by their correlation ids.

use super::api::Request;
use crate::adapters::tls;
use crate::domain::fault::{Fault, Kind};
use crate::domain::figure;
use crate::domain::text::SafeText;
use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// The largest answer that is read: twice what a topic with 50 MB messages answers.
const FRAME_CAP: usize = 128 << 20;
/// The largest answer before the peer has proven that it is a Kafka broker.
const FIRST_FRAME_CAP: usize = 1 << 20;
/// Room is made for this much of an answer at once, and for more only as bytes come.
const READ_AHEAD: usize = 8 << 20;
/// Questions that may wait for their answers on one connection.
const IN_FLIGHT: usize = 64;
/// Where the correlation id stands in a frame: behind its size, the API key and the version.
const CORRELATION_AT: usize = 4 + 2 + 2;

pub(crate) type Reader = Box<dyn AsyncRead + Send + Unpin>;
pub(crate) type Writer = Box<dyn AsyncWrite + Send + Unpin>;

/// What the two ends of a connection share.
pub(crate) struct Shared {
    pub(crate) peer: SafeText,
    /// Cancelled when the connection is over, for whatever reason.
    pub(crate) over: CancellationToken,
    /// Why it is over.
    fault: OnceLock<Fault>,
    cap: AtomicUsize,
    tls: bool,
    login: bool,
    /// Whether an earlier connection to the same address went well.
    met: bool,
    /// Whether any question beyond the first ones was answered.
    pub(crate) proven: AtomicBool,
}

impl Shared {
    pub(crate) fn new(peer: SafeText, tls: bool, login: bool, met: bool) -> Arc<Self> {
        Arc::new(Self {
            peer,
            over: CancellationToken::new(),
            fault: OnceLock::new(),
            cap: AtomicUsize::new(FIRST_FRAME_CAP),
            tls,
            login,
            met,
            proven: AtomicBool::new(false),
        })
    }

    /// The peer has proven to be a broker: large answers may come.
    pub(crate) fn trust(&self) {
        self.cap.store(FRAME_CAP, Ordering::Relaxed);
    }

    fn trusted(&self) -> bool {
        self.cap.load(Ordering::Relaxed) == FRAME_CAP
    }

    /// Ends the connection; everything in flight fails with the first such fault.
    pub(crate) fn end(&self, fault: Fault) {
        let _ = self.fault.set(fault);
        self.over.cancel();
    }

    /// Why the connection is over.
    pub(crate) fn fault(&self) -> Fault {
        self.fault.get().cloned().unwrap_or_else(|| self.broken("the connection was closed"))
    }

    fn broken(&self, cause: impl Into<SafeText>) -> Fault {
        Fault::new(Kind::Unreachable, "talk to", self.peer.clone(), cause)
    }

    /// What a failed read or write means here.
    fn lost(&self, error: &io::Error) -> Fault {
        if let Some(fault) = tls::meaning(error, &self.peer) {
            return fault;
        }
        if !matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe) {
            return self.broken(error.to_string());
        }
        if !self.trusted() {
            let fault = Fault::new(Kind::Unreachable, "connect to", self.peer.clone(), "the peer closed the connection without an answer");
            return fault.next(if self.met {
                "it answered here before: it may be starting or stopping, which passes"
            } else if self.tls {
                "it may demand a client certificate, be starting, or be no Kafka broker"
            } else {
                "usually the port expects TLS: add a tls block or use the broker's plain port; a broker that is starting does the same"
            });
        }
        if !self.proven.load(Ordering::Relaxed) && !self.login {
            return self
                .broken("the broker closed the connection at the first real request")
                .next("usually the listener demands a log-in: add an auth block to the profile");
        }
        self.broken("the broker closed the connection")
    }
}

/// A question on its way: the frame without its correlation id, and who waits for the answer.
pub(crate) struct Question {
    frame: BytesMut,
    reply: oneshot::Sender<Bytes>,
}

/// The answer to come; dropped without one when the connection ends.
pub(crate) type Reply = oneshot::Receiver<Bytes>;

/// Writes a request into a frame.
pub(crate) fn question<A: Request>(request: &A, version: i16, client_id: &StrBytes) -> Result<(Question, Reply), Fault> {
    let fault =
        |error: anyhow::Error| Fault::new(Kind::Rejected, A::OP, "the broker", format!("its version cannot express this request: {error}"));
    let header = RequestHeader::default()
        .with_request_api_key(A::KEY as i16)
        .with_request_api_version(version)
        .with_client_id(Some(client_id.clone()));
    let mut frame = BytesMut::with_capacity(256);
    frame.put_u32(0);
    header.encode(&mut frame, A::KEY.request_header_version(version)).map_err(fault)?;
    request.write(&mut frame, version).map_err(fault)?;
    let size = u32::try_from(frame.len() - 4).unwrap_or(u32::MAX);
    frame[..4].copy_from_slice(&size.to_be_bytes());
    let (reply, answer) = oneshot::channel();
    Ok((Question { frame, reply }, answer))
}

/// Reads the body of an answer.
pub(crate) fn answer<A: Request>(mut frame: Bytes, version: i16, peer: &SafeText) -> Result<A::Answer, Fault> {
    let header = ResponseHeader::decode(&mut frame, A::KEY.response_header_version(version));
    header.and_then(|_| A::read(frame, version)).map_err(|error| {
        Fault::new(Kind::Protocol, A::OP, peer.clone(), format!("the answer to {:?} v{version} cannot be read: {error}", A::KEY))
    })
}

/// The writing end.
pub(crate) struct Wire {
    writer: Writer,
    waiting: mpsc::Sender<(i32, oneshot::Sender<Bytes>)>,
    next: i32,
    pub(crate) shared: Arc<Shared>,
}

impl Wire {
    /// Starts to read answers from `reader`.
    pub(crate) fn start(reader: Reader, writer: Writer, shared: Arc<Shared>) -> Self {
        let (waiting, asked) = mpsc::channel(IN_FLIGHT);
        tokio::spawn(read(reader, asked, Arc::clone(&shared)));
        Self { writer, waiting, next: 0, shared }
    }

    /// Sends a question; its answer comes to whoever holds the [`Reply`].
    pub(crate) async fn send(&mut self, question: Question) -> Result<(), Fault> {
        let Question { mut frame, reply } = question;
        let correlation = self.next;
        self.next = self.next.wrapping_add(1);
        frame[CORRELATION_AT..CORRELATION_AT + 4].copy_from_slice(&correlation.to_be_bytes());
        // The reader must know of the question before its answer can come.
        if self.waiting.send((correlation, reply)).await.is_err() {
            return Err(self.shared.fault());
        }
        let written = async {
            self.writer.write_all(&frame).await?;
            self.writer.flush().await
        };
        tokio::select! {
            written = written => written.map_err(|error| {
                self.shared.end(self.shared.lost(&error));
                self.shared.fault()
            }),
            () = self.shared.over.cancelled() => Err(self.shared.fault()),
        }
    }

    /// Asks and waits for the answer: for the first questions of a connection, while nobody else may ask.
    pub(crate) async fn ask<A: Request>(&mut self, request: &A, version: i16, client_id: &StrBytes) -> Result<A::Answer, Fault> {
        let (question, reply) = question(request, version, client_id)?;
        self.send(question).await?;
        let frame = reply.await.map_err(|_| self.shared.fault())?;
        answer::<A>(frame, version, &self.shared.peer)
    }
}

/// Reads answers until the connection ends.
async fn read(mut reader: Reader, mut asked: mpsc::Receiver<(i32, oneshot::Sender<Bytes>)>, shared: Arc<Shared>) {
    loop {
        let frame = tokio::select! {
            frame = frame(&mut reader, &shared) => frame,
            () = shared.over.cancelled() => return,
        };
        let end = match frame {
            Ok(frame) => match deliver(frame, &mut asked) {
                Ok(()) => continue,
                Err(cause) => Fault::new(Kind::Protocol, "talk to", shared.peer.clone(), cause),
            },
            Err(fault) => fault,
        };
        shared.end(end);
        return;
    }
}

fn deliver(frame: Bytes, asked: &mut mpsc::Receiver<(i32, oneshot::Sender<Bytes>)>) -> Result<(), &'static str> {
    let (correlation, reply) = asked.try_recv().map_err(|_| "the broker answered a question that nobody asked")?;
    if frame.get(..4) != Some(&correlation.to_be_bytes()) {
        return Err("the broker's answer belongs to another question");
    }
    // Whoever asked may have gone away; the answer is dropped then.
    let _ = reply.send(frame);
    Ok(())
}

async fn frame(reader: &mut Reader, shared: &Shared) -> Result<Bytes, Fault> {
    let mut prefix = [0; 4];
    let lost = |error: io::Error| shared.lost(&error);
    reader.read_exact(&mut prefix).await.map_err(lost)?;
    let size = u32::from_be_bytes(prefix) as usize;
    let cap = shared.cap.load(Ordering::Relaxed);
    if size > cap || size < 4 {
        return Err(stranger(prefix, size, shared));
    }
    let mut frame = BytesMut::with_capacity(size.min(READ_AHEAD));
    let mut rest = reader.take(size as u64);
    while frame.len() < size {
        if rest.read_buf(&mut frame).await.map_err(lost)? == 0 {
            return Err(lost(io::ErrorKind::UnexpectedEof.into()));
        }
    }
    Ok(frame.freeze())
}

/// The fault of a size that cannot be one: who speaks there is told by its first bytes.
fn stranger(prefix: [u8; 4], size: usize, shared: &Shared) -> Fault {
    let who = match prefix {
        [b'H', b'T', b'T', b'P'] => {
            Some(("an HTTP server", "use the broker's own port, not that of a REST proxy, console or metrics page"))
        }
        // A TLS record: alert or handshake.
        [0x15 | 0x16, 3, 0..=4, _] => Some(("a TLS server", "add a tls block to the profile")),
        [b'S', b'S', b'H', b'-'] => Some(("an SSH server", "check the port")),
        [b'A', b'M', b'Q', b'P'] => Some(("an AMQP broker", "this is not Kafka: check the integration's type and port")),
        [b'I', b'N', b'F', b'O'] => Some(("a NATS server", "this is not Kafka: check the integration's type and port")),
        [b'-', b'E', b'R', b'R'] => Some(("a Redis or NATS server", "this is not Kafka: check the integration's type and port")),
        _ => None,
    };
    let (cause, next) = match who {
        Some((who, next)) => (format!("{who} answers there, no Kafka broker"), next),
        None if shared.trusted() => (
            format!("an answer of {} is larger than the {} that are read", figure::bytes(size as u64), figure::bytes(FRAME_CAP as u64)),
            "",
        ),
        None => ("what answers there is no Kafka broker".to_owned(), "check the port"),
    };
    Fault::new(Kind::Protocol, "connect to", shared.peer.clone(), cause).next(next)
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_protocol::messages::ApiVersionsRequest;

    const CLIENT: StrBytes = StrBytes::from_static_str("mqdeck");

    /// Sends one question to a peer that answers with these bytes and closes.
    async fn peer_says(bytes: &'static [u8], trusted: bool, met: bool) -> Result<Bytes, Fault> {
        let (ours, mut theirs) = tokio::io::duplex(4096);
        let (reader, writer) = tokio::io::split(ours);
        let shared = Shared::new("peer:1".into(), false, false, met);
        if trusted {
            shared.trust();
        }
        let mut wire = Wire::start(Box::new(reader), Box::new(writer), Arc::clone(&shared));
        let (question, reply) = question(&ApiVersionsRequest::default(), 0, &CLIENT).expect("encodes");
        wire.send(question).await.expect("sent");
        theirs.write_all(bytes).await.expect("written");
        drop(theirs);
        reply.await.map_err(|_| shared.fault())
    }

    #[tokio::test]
    async fn a_peer_that_is_no_broker_is_recognised_by_its_first_bytes() {
        for (bytes, kind, cause) in [
            (&b"HTTP/1.1 400 Bad Request\r\n"[..], Kind::Protocol, "an HTTP server"),
            (b"\x15\x03\x03\x00\x02\x02\x50", Kind::Protocol, "a TLS server"),
            (b"SSH-2.0-OpenSSH", Kind::Protocol, "an SSH server"),
            (b"\x7f\xff\xff\xff", Kind::Protocol, "no Kafka broker"),
            (b"\x00\x00\x00\x02\x00\x00", Kind::Protocol, "no Kafka broker"),
            (b"", Kind::Unreachable, "closed the connection without an answer"),
            (b"\x00\x00\x00\x10\x00", Kind::Unreachable, "closed the connection without an answer"),
            (b"\x00\x00\x00\x08\x00\x00\x00\x09abcd", Kind::Protocol, "belongs to another question"),
        ] {
            let fault = peer_says(bytes, false, false).await.expect_err("no answer");
            assert_eq!(fault.kind, kind, "{fault}");
            assert!(fault.cause.as_str().contains(cause), "{fault}");
        }
    }

    #[tokio::test]
    async fn a_broker_that_answered_before_is_not_taken_for_a_tls_port() {
        for (met, hint) in [(false, "expects TLS"), (true, "answered here before")] {
            let fault = peer_says(b"", false, met).await.expect_err("hung up");
            assert!(fault.next.as_str().contains(hint), "{fault}");
        }
    }

    #[tokio::test]
    async fn an_answer_is_matched_to_its_question() {
        let body = peer_says(b"\x00\x00\x00\x06\x00\x00\x00\x00\x00\x07", false, false).await.expect("an answer");
        assert_eq!(&body[..], b"\x00\x00\x00\x00\x00\x07");
    }

    #[tokio::test]
    async fn a_broker_is_not_asked_for_more_than_the_cap() {
        let fault = peer_says(b"\x7f\xff\xff\xff", true, false).await.expect_err("too large");
        assert!(fault.cause.as_str().contains("2.15 GB is larger"), "{fault}");
    }

    #[tokio::test]
    async fn a_broker_that_hangs_up_at_the_first_request_wants_a_log_in() {
        let fault = peer_says(b"", true, false).await.expect_err("hung up");
        assert!(fault.next.as_str().contains("auth block"), "{fault}");
    }
}
