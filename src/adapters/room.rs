//! What has come and was not taken yet, by its bytes: whoever reads a connection reads no more while that is too much, and the other side has
//! to wait. Part of the bound in `bounds.rs`, for messages that must not be dropped.

use futures::task::AtomicWaker;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

/// The sizes of what waits, between the one who reads and the one who takes.
#[derive(Default)]
pub(crate) struct Room {
    waiting: Mutex<Waiting>,
    reader: AtomicWaker,
    /// One more is read, whatever waits.
    once: AtomicBool,
}

#[derive(Default)]
struct Waiting {
    sizes: VecDeque<usize>,
    bytes: usize,
    /// No more is read while so many wait; without it there is always room, and nothing is counted.
    most: Option<usize>,
    /// An answer is awaited that stands behind what is not read.
    open: bool,
}

/// As long as it is there, everything is read.
#[cfg(any(test, feature = "rabbitmq"))]
pub(crate) struct Open<'a>(&'a Room);

impl Room {
    /// Room for so many bytes; the one message that goes beyond is still read.
    pub(crate) fn of(most: usize) -> Self {
        let room = Self::default();
        room.limit(most);
        room
    }

    pub(crate) fn limit(&self, most: usize) {
        self.waiting().most = Some(most);
        self.reader.wake();
    }

    /// There is always room from now on, and nothing is counted.
    #[cfg(any(test, feature = "rabbitmq"))]
    pub(crate) fn unlimit(&self) {
        *self.waiting() = Waiting::default();
        self.reader.wake();
    }

    /// A message has come.
    pub(crate) fn push(&self, bytes: usize) {
        let mut waiting = self.waiting();
        if waiting.most.is_some() {
            waiting.sizes.push_back(bytes);
            waiting.bytes += bytes;
        }
    }

    /// More of the message that came last.
    #[cfg(feature = "rabbitmq")]
    pub(crate) fn grow(&self, bytes: usize) {
        let mut waiting = self.waiting();
        if let Some(last) = waiting.sizes.back_mut() {
            *last += bytes;
            waiting.bytes += bytes;
        }
    }

    /// The message that came first was taken.
    pub(crate) fn pop(&self) {
        let mut waiting = self.waiting();
        let first = waiting.sizes.pop_front().unwrap_or(0);
        waiting.bytes -= first;
        drop(waiting);
        self.reader.wake();
    }

    /// Lets everything be read for as long as the answer to a request is awaited.
    #[cfg(any(test, feature = "rabbitmq"))]
    pub(crate) fn open(&self) -> Open<'_> {
        self.waiting().open = true;
        self.reader.wake();
        Open(self)
    }

    /// Lets one more be read, so that a connection lives though nobody takes anything.
    #[cfg(any(test, feature = "rabbitmq"))]
    pub(crate) fn let_one_pass(&self) {
        self.once.store(true, Ordering::Relaxed);
        self.reader.wake();
    }

    pub(crate) fn is_free(&self) -> bool {
        let waiting = self.waiting();
        waiting.open || waiting.most.is_none_or(|most| waiting.bytes < most)
    }

    /// Whether more may be read; one reader is woken.
    pub(crate) fn poll_free(&self, context: &Context<'_>) -> Poll<()> {
        let free = || self.is_free() || self.once.swap(false, Ordering::Relaxed);
        if free() {
            return Poll::Ready(());
        }
        self.reader.register(context.waker());
        if free() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Waits until more may be read.
    pub(crate) async fn free(&self) {
        poll_fn(|context| self.poll_free(context)).await;
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(any(test, feature = "rabbitmq"))]
impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.waiting().open = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[test]
    fn there_is_room_until_too_much_waits_and_again_once_that_was_taken() {
        let room = Room::of(10);
        room.push(9);
        assert!(room.free().now_or_never().is_some());
        room.push(500);
        assert!(room.free().now_or_never().is_none());
        room.let_one_pass();
        assert!(room.free().now_or_never().is_some());
        assert!(room.free().now_or_never().is_none(), "one, and no more");
        room.pop();
        assert!(!room.is_free());
        let open = room.open();
        assert!(room.is_free());
        drop(open);
        assert!(!room.is_free());
        room.pop();
        assert!(room.is_free());
        room.pop();
        room.push(500);
        room.unlimit();
        assert!(room.is_free(), "what waits is in nobody's way any more");
        assert!(Room::default().is_free(), "nobody takes anything: there is no limit");
    }

    #[tokio::test]
    async fn who_waits_for_room_is_woken() {
        let room = std::sync::Arc::new(Room::of(1));
        room.push(1);
        let waiting = tokio::spawn({
            let room = room.clone();
            async move { room.free().await }
        });
        tokio::task::yield_now().await;
        room.pop();
        waiting.await.expect("no panic");
    }
}
