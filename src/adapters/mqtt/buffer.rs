//! Between a connection and who reads it: a bounded buffer that never makes the connection wait.
//!
//! A broker drops messages for a client that does not keep up and says nothing. So what comes is always taken; what the reader cannot hold
//! is dropped here, where it is counted.

use super::connection::Inbox;
use super::message::Reader;
use crate::domain::message::Message;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

/// Bytes that wait to be read; the one message that goes beyond is still taken.
const BYTES: usize = 64 * 1024 * 1024;
/// What a message takes beside its own bytes.
const EACH: usize = 320;

/// The buffer. Cloning shares it.
#[derive(Clone, Default)]
pub(super) struct Buffer(Arc<Shared>);

#[derive(Default)]
struct Shared {
    held: Mutex<Held>,
    arrived: Notify,
}

#[derive(Default)]
struct Held {
    messages: Vec<Message>,
    bytes: usize,
    dropped: u64,
}

/// What came since the last look.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) messages: Vec<Message>,
    /// Messages that came and found no room; they came after the others.
    pub(super) dropped: u64,
}

impl Buffer {
    /// Where a connection is to put its messages. `wanted` keeps out what does not belong there.
    pub(super) fn inbox(&self, mut reader: Reader, wanted: impl Fn(&super::wire::Packet) -> bool + Send + 'static) -> Inbox {
        let buffer = self.clone();
        Box::new(move |packet| {
            if wanted(&packet) {
                buffer.push(reader.message(packet));
            }
        })
    }

    fn push(&self, message: Message) {
        let mut held = self.0.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.bytes >= BYTES {
            held.dropped += 1;
            return;
        }
        held.bytes += message.size() + EACH;
        held.messages.push(message);
        let first = held.messages.len() == 1;
        drop(held);
        if first {
            self.0.arrived.notify_one();
        }
    }

    /// Everything that has come, or nothing.
    pub(super) fn take(&self) -> Option<Batch> {
        let mut held = self.0.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.messages.is_empty() && held.dropped == 0 {
            return None;
        }
        held.bytes = 0;
        Some(Batch { messages: std::mem::take(&mut held.messages), dropped: std::mem::take(&mut held.dropped) })
    }

    /// Everything that has come; waits until something has. Nothing is lost when it is given up.
    pub(super) async fn next(&self) -> Batch {
        loop {
            if let Some(batch) = self.take() {
                return batch;
            }
            self.0.arrived.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::wire::Packet;
    use super::*;
    use crate::domain::position::Position;

    #[tokio::test]
    async fn what_finds_no_room_is_counted_and_the_rest_is_in_order() {
        let buffer = Buffer::default();
        let mut inbox = buffer.inbox(Reader::new(), |packet| !packet.retain);
        let sent = BYTES / EACH;
        for n in 0..=sent {
            inbox(Packet { topic: "t".into(), retain: n == 0, ..Packet::default() });
        }
        let Batch { messages, dropped } = buffer.next().await;
        let room = messages.len();
        assert!(dropped > 0 && room > 100_000 && room + dropped as usize == sent, "{room} and {dropped} of {sent}");
        assert_eq!(messages.last().map(|last| last.position), Some(Position::Arrival(room as u64)));
        assert!(buffer.take().is_none());
        for _ in 0..3 {
            inbox(Packet { topic: "t".into(), payload: vec![0; BYTES / 2].into(), ..Packet::default() });
        }
        let batch = buffer.next().await;
        assert_eq!((batch.messages.len(), batch.dropped), (2, 1), "large ones are fewer");
    }
}
