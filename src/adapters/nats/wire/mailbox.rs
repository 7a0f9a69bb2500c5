//! What came to one subscription and was not taken yet: in order, bounded, what finds no room counted where it is missing.

use super::frame::Span;
use super::hub::Sink;
use crate::domain::fault::Fault;
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Bytes that may wait.
const BYTES: usize = 32 << 20;
/// What a message takes beside its own bytes.
const EACH: usize = 160;

/// A message as it came; its parts share the buffer that they were read from.
#[derive(Clone, Debug, Default)]
pub(crate) struct Msg {
    pub(crate) subject: Bytes,
    pub(crate) reply: Bytes,
    /// The header block with its first line; empty without headers.
    pub(crate) block: Bytes,
    pub(crate) payload: Bytes,
}

impl Msg {
    pub(crate) fn of(buffer: &Bytes, span: &Span) -> Self {
        Self {
            subject: span.subject.share(buffer),
            reply: span.reply.share(buffer),
            block: span.block.share(buffer),
            payload: span.payload.share(buffer),
        }
    }

    /// The subject that is answered to, if it is text.
    pub(crate) fn reply(&self) -> Option<&str> {
        std::str::from_utf8(&self.reply).ok().filter(|reply| !reply.is_empty())
    }
}

/// What a subscription says, in order.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    Message(Msg),
    /// So many messages came and found no room.
    Dropped(u64),
    Down(Fault),
    Up,
}

/// The reader's end and the connection's: cloning shares it.
#[derive(Clone, Default)]
pub(crate) struct Mailbox(Arc<Shared>);

#[derive(Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    arrived: Notify,
}

#[derive(Default)]
struct Waiting {
    events: VecDeque<Event>,
    bytes: usize,
    over: bool,
}

impl Waiting {
    fn push(&mut self, msg: Msg, size: usize) {
        if self.bytes >= BYTES {
            match self.events.back_mut() {
                Some(Event::Dropped(count)) => *count += 1,
                _ => self.events.push_back(Event::Dropped(1)),
            }
            return;
        }
        self.bytes += size + EACH;
        self.events.push_back(Event::Message(msg));
    }

    fn take(&mut self) -> Option<Event> {
        let event = self.events.pop_front()?;
        if let Event::Message(msg) = &event {
            self.bytes -= msg.subject.len() + msg.reply.len() + msg.block.len() + msg.payload.len() + EACH;
        }
        Some(event)
    }
}

impl Mailbox {
    fn change(&self, change: impl FnOnce(&mut Waiting)) {
        change(&mut self.waiting());
        self.0.arrived.notify_one();
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn push(&self, buffer: &Bytes, span: &Span) {
        self.change(|waiting| waiting.push(Msg::of(buffer, span), span.size()));
    }

    /// What waits first.
    pub(crate) fn ready(&self) -> Option<Event> {
        self.waiting().take()
    }

    /// The same; waits until something does. `None` at its end. May be given up at any moment.
    pub(crate) async fn next(&self) -> Option<Event> {
        loop {
            {
                let mut waiting = self.waiting();
                let event = waiting.take();
                if event.is_some() || waiting.over {
                    return event;
                }
            }
            self.0.arrived.notified().await;
        }
    }
}

/// What came and went while nobody looked is one interruption.
impl Sink for Mailbox {
    fn messages(&mut self, buffer: &Bytes, spans: &[Span]) {
        self.change(|waiting| spans.iter().for_each(|span| waiting.push(Msg::of(buffer, span), span.size())));
    }

    fn down(&mut self, fault: &Fault) {
        self.change(|waiting| {
            waiting.events.pop_back_if(|event| matches!(event, Event::Up));
            match waiting.events.back_mut() {
                Some(Event::Down(known)) => *known = fault.clone(),
                _ => waiting.events.push_back(Event::Down(fault.clone())),
            }
        });
    }

    fn up(&mut self) {
        self.change(|waiting| waiting.events.push_back(Event::Up));
    }

    fn over(&mut self) {
        self.change(|waiting| waiting.over = true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fault::Kind;

    fn words(mailbox: &Mailbox) -> Vec<String> {
        let word = |event| match event {
            Event::Message(msg) => msg.payload.len().to_string(),
            Event::Dropped(count) => format!("dropped {count}"),
            Event::Down(fault) => fault.cause.to_string(),
            Event::Up => "up".to_owned(),
        };
        std::iter::from_fn(|| mailbox.ready().map(word)).collect()
    }

    #[test]
    fn what_finds_no_room_is_counted_where_it_is_missing() {
        let mut mailbox = Mailbox::default();
        let big = Bytes::from(vec![b'x'; BYTES]);
        let line = format!("MSG a 1 {}\r\n", big.len());
        let buffer = Bytes::from([line.as_bytes(), &big, b"\r\n"].concat());
        let super::super::frame::Read::Frame(super::super::frame::Frame::Message(span), _) = super::super::frame::read(&buffer, 0) else {
            panic!("a message");
        };
        mailbox.messages(&buffer, &[span, span, span]);
        mailbox.down(&Fault::new(Kind::Unreachable, "x", "y", "gone"));
        assert_eq!(words(&mailbox), [&BYTES.to_string(), "dropped 2", "gone"]);
        mailbox.messages(&buffer, &[span]);
        assert_eq!(words(&mailbox), [BYTES.to_string()], "there is room again");
    }

    #[test]
    fn a_connection_that_comes_and_goes_for_hours_is_one_interruption() {
        let mut mailbox = Mailbox::default();
        for n in 0..10_000 {
            mailbox.down(&Fault::new(Kind::Unreachable, "x", "y", n.to_string()));
            mailbox.up();
        }
        assert_eq!(words(&mailbox), ["9999", "up"]);
        mailbox.over();
        assert!(futures::executor::block_on(mailbox.next()).is_none());
    }
}
