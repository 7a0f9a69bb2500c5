//! The socket as the client crate sees it: what comes from the server passes through [`Filter`] first, what goes to it through [`Sent`].
//!
//! The crate reads and writes what its runtime calls a stream; so there is a runtime that is tokio's but for that.

use super::frames::{Blocked, Filter};
use super::sent::Sent;
use crate::adapters::room::Room;
use async_rs::traits::{Executor, Reactor, RuntimeKit};
use async_rs::util::Task;
use async_rs::{Runtime, Tokio};
use futures::Stream;
use futures::io::{AsyncRead, AsyncWrite};
use lapin::AsyncTcpStream;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

/// What is read from the server at once.
const CHUNK: usize = 1 << 16;

/// The stream of tokio's runtime, with or without TLS.
pub(super) type Inner = AsyncTcpStream<<Tokio as Reactor>::TcpStream>;

/// Tokio for the client crate, with our own stream.
#[derive(Clone, Debug)]
pub(super) struct Kit(Tokio);

impl Kit {
    /// Of the runtime that we are in.
    pub(super) fn current() -> Self {
        Self(Tokio::current())
    }

    /// Tokio's own, which dials.
    pub(super) fn tokio(&self) -> Runtime<Tokio> {
        Runtime::new(self.0.clone())
    }
}

impl RuntimeKit for Kit {}

impl Executor for Kit {
    type Task<T: Send + 'static> = <Tokio as Executor>::Task<T>;

    fn block_on<T, F: Future<Output = T>>(&self, future: F) -> T {
        self.0.block_on(future)
    }

    fn spawn<T: Send + 'static, F: Future<Output = T> + Send + 'static>(&self, future: F) -> Task<Self::Task<T>> {
        self.0.spawn(future)
    }

    fn spawn_blocking<T: Send + 'static, F: FnOnce() -> T + Send + 'static>(&self, work: F) -> Task<Self::Task<T>> {
        self.0.spawn_blocking(work)
    }
}

impl Reactor for Kit {
    type TcpStream = Socket;
    type Sleep = <Tokio as Reactor>::Sleep;

    fn register<H: Read + Write + AsFd + AsRawFd + Send + 'static>(
        &self,
        socket: H,
    ) -> io::Result<impl AsyncRead + AsyncWrite + Send + Unpin + 'static> {
        self.0.register(socket)
    }

    fn sleep(&self, duration: Duration) -> Self::Sleep {
        self.0.sleep(duration)
    }

    fn interval(&self, duration: Duration) -> impl Stream<Item = Instant> + Send + 'static {
        self.0.interval(duration)
    }

    fn tcp_connect_addr(&self, address: SocketAddr) -> impl Future<Output = io::Result<Socket>> + Send + 'static {
        let connected = self.0.tcp_connect_addr(address);
        async move { Ok(Socket::new(AsyncTcpStream::Plain(connected.await?), Blocked::new(None), Arc::default())) }
    }
}

/// A connection whose frames are filtered, and read only while there is room for more messages.
pub(super) struct Socket {
    inner: Inner,
    filter: Filter,
    room: Arc<Room>,
    chunk: Box<[u8]>,
    /// What was filtered and not taken yet, from `taken` on.
    filtered: Vec<u8>,
    taken: usize,
    sent: Sent,
}

impl Socket {
    pub(super) fn new(inner: Inner, blocked: Blocked, room: Arc<Room>) -> Self {
        let filter = Filter::new(blocked, room.clone());
        Self { inner, filter, room, chunk: vec![0; CHUNK].into(), filtered: Vec::new(), taken: 0, sent: Sent::default() }
    }

    fn poll_sent<'a>(&mut self, context: &mut Context<'_>, slices: impl Iterator<Item = &'a [u8]>) -> Poll<io::Result<usize>> {
        self.sent.offer(slices);
        loop {
            let next = self.sent.next();
            let (is_empty, wrote) =
                (next.is_empty(), if next.is_empty() { 0 } else { ready!(Pin::new(&mut self.inner).poll_write(context, next))? });
            if !is_empty && wrote == 0 {
                return Poll::Ready(Ok(0));
            }
            let taken = self.sent.wrote(wrote);
            if taken > 0 || is_empty {
                return Poll::Ready(Ok(taken));
            }
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        while this.taken == this.filtered.len() {
            ready!(this.room.poll_free(context));
            let read = ready!(Pin::new(&mut this.inner).poll_read(context, &mut this.chunk))?;
            if read == 0 {
                return Poll::Ready(Ok(0));
            }
            this.taken = 0;
            this.filtered.clear();
            this.filter.feed(&this.chunk[..read], &mut this.filtered);
        }
        let rest = &this.filtered[this.taken..];
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        this.taken += count;
        Poll::Ready(Ok(count))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_sent(context, std::iter::once(buffer))
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffers: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.poll_sent(context, buffers.iter().map(|buffer| &**buffer))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_close(context)
    }
}
