//! Between a connection and who reads its tail: what has come waits here, in order and bounded by bytes, and never makes the connection wait.
//!
//! A server drops messages for a client that does not keep up, or ends its connection. So what comes is always taken; what the reader
//! cannot hold is dropped here, where it is counted.

use super::bounds::{BYTES, held};
use crate::domain::fault::Fault;
use crate::domain::message::Message;
use crate::domain::tail::TailEvent;
use crate::domain::view::Side;
use futures::stream::{self, BoxStream, StreamExt};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Events that wait to be read: a connection may come and go for hours while nobody looks.
const EVENTS: usize = 1_000;

/// The reader's end.
pub(super) struct Backlog(Arc<Shared>);

/// The connection's end. Cloning shares it; the backlog ends with the last one.
#[derive(Clone)]
pub(super) struct Feed(Arc<End>);

struct End(Arc<Shared>);

#[derive(Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    arrived: Notify,
}

#[derive(Default)]
struct Waiting {
    /// What nothing is added to any more, with its bytes.
    said: VecDeque<(TailEvent, usize)>,
    /// What came behind that.
    messages: Vec<Message>,
    bytes: usize,
    /// Messages that came behind those and found no room.
    skipped: u64,
    /// Bytes of everything.
    total: usize,
    /// Why reading is interrupted, as it was said.
    interrupted: Option<Fault>,
    over: bool,
}

/// The two ends of an empty backlog.
pub(super) fn backlog() -> (Feed, Backlog) {
    let shared = Arc::new(Shared::default());
    (Feed(Arc::new(End(shared.clone()))), Backlog(shared))
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.0.waiting().over = true;
        self.0.arrived.notify_one();
    }
}

impl Waiting {
    fn is_empty(&self) -> bool {
        self.said.is_empty() && self.messages.is_empty() && self.skipped == 0
    }

    /// Nobody keeps what was sent while the connection was away.
    fn resume(&mut self) {
        if self.interrupted.take().is_some() {
            self.say(TailEvent::Resumed { lost: None });
        }
    }

    fn interrupt(&mut self, fault: Fault) {
        self.interrupted = Some(fault.clone());
        self.say(TailEvent::Interrupted(fault));
    }

    fn say(&mut self, event: TailEvent) {
        while let Some(unsaid) = self.unsaid() {
            self.said.push_back(unsaid);
        }
        // Of too many the newest count.
        while self.said.len() >= EVENTS
            && let Some((event, bytes)) = self.said.pop_back()
        {
            self.total -= bytes;
            self.skipped += match event {
                TailEvent::Messages(messages) => messages.len() as u64,
                TailEvent::Skipped { count, .. } => count.unwrap_or(0),
                _ => 0,
            };
        }
        self.said.push_back((event, 0));
    }

    fn push(&mut self, message: Message) {
        // Behind a hole there is nothing until it is told, so that it is told where it is.
        if self.total >= BYTES || self.skipped > 0 {
            self.skipped += 1;
            return;
        }
        let bytes = held(&message);
        (self.bytes, self.total) = (self.bytes + bytes, self.total + bytes);
        self.messages.push(message);
    }

    /// The messages, or how many are missing behind them.
    fn unsaid(&mut self) -> Option<(TailEvent, usize)> {
        if !self.messages.is_empty() {
            return Some((TailEvent::Messages(std::mem::take(&mut self.messages)), std::mem::take(&mut self.bytes)));
        }
        let skipped = std::mem::take(&mut self.skipped);
        (skipped > 0).then_some((TailEvent::Skipped { count: Some(skipped), side: Side::Ours }, 0))
    }

    fn take(&mut self) -> Option<TailEvent> {
        let (event, bytes) = self.said.pop_front().or_else(|| self.unsaid())?;
        self.total -= bytes;
        Some(event)
    }
}

impl Feed {
    /// Adds messages that came in this order. That some come shows that an interruption is over.
    pub(super) fn extend(&self, messages: impl IntoIterator<Item = Message>) {
        self.add(|waiting| {
            waiting.resume();
            messages.into_iter().for_each(|message| waiting.push(message));
        });
    }

    /// The connection is gone. What is said of it again before it is back is not told.
    pub(super) fn interrupted(&self, fault: Fault) {
        self.add(|waiting| {
            if waiting.interrupted.is_none() {
                waiting.interrupt(fault);
            }
        });
    }

    /// The connection will not be back, and why: the last word of the reading.
    pub(super) fn ended(&self, fault: Fault) {
        self.add(|waiting| {
            if waiting.interrupted.as_ref() != Some(&fault) {
                waiting.interrupt(fault);
            }
        });
    }

    /// The connection is back.
    pub(super) fn resumed(&self) {
        self.add(Waiting::resume);
    }

    /// So many messages did not come, though the connection is there; `None` where nobody counted them.
    #[cfg(any(test, feature = "mqtt", feature = "rabbitmq", feature = "redis"))]
    pub(super) fn skipped(&self, count: Option<u64>, side: Side) {
        self.add(|waiting| waiting.say(TailEvent::Skipped { count, side }));
    }

    fn add(&self, change: impl FnOnce(&mut Waiting)) {
        let shared = &self.0.0;
        let mut waiting = shared.waiting();
        let empty = waiting.is_empty();
        change(&mut waiting);
        let filled = empty && !waiting.is_empty();
        drop(waiting);
        if filled {
            shared.arrived.notify_one();
        }
    }
}

impl Backlog {
    /// What waits first; waits until something does. `None` at its end. May be given up at any moment.
    pub(super) async fn next(&self) -> Option<TailEvent> {
        loop {
            {
                let mut waiting = self.0.waiting();
                let event = waiting.take();
                if event.is_some() || waiting.over {
                    return event;
                }
            }
            self.0.arrived.notified().await;
        }
    }

    /// Everything until its end. `kept` is kept as long as it is read.
    pub(super) fn stream<T: Send + 'static>(self, kept: T) -> BoxStream<'static, TailEvent> {
        stream::unfold((self, kept), |(backlog, kept)| async { backlog.next().await.map(|event| (event, (backlog, kept))) }).boxed()
    }
}

/// A tail of what is pushed and of what is stored: the two as one stream. The tasks that fill them are kept as long as it is read.
#[cfg(any(feature = "nats", feature = "rabbitmq", feature = "redis"))]
pub(super) fn tail<P: Send + 'static, S: Send + 'static>(
    (pushed, pushing): (Backlog, P),
    (stored, storing): (tokio::sync::mpsc::Receiver<TailEvent>, S),
) -> BoxStream<'static, TailEvent> {
    let stored =
        stream::unfold((stored, storing), |(mut stored, storing)| async { stored.recv().await.map(|event| (event, (stored, storing))) });
    stream::select(pushed.stream(pushing), stored.boxed()).boxed()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fault::Kind;
    use crate::domain::message::Stamp;
    use crate::domain::position::Position;
    use futures::FutureExt;

    fn message(number: u64, size: usize) -> Message {
        Message { stamp: Stamp::Seen, payload: Some(vec![0; size].into()), ..Message::at("t", Position::Sequence(number)) }
    }

    fn gone() -> Fault {
        Fault::new(Kind::Unreachable, "tail", "t", "gone")
    }

    fn next(backlog: &Backlog) -> Option<TailEvent> {
        backlog.next().now_or_never().flatten()
    }

    /// One word for each event.
    fn told(backlog: &Backlog) -> Vec<String> {
        let word = |event| match event {
            TailEvent::Messages(messages) => {
                messages.iter().map(|message| message.position.number().unwrap_or(0).to_string()).collect::<Vec<_>>().join(",")
            }
            TailEvent::Skipped { count, side: Side::Ours } => format!("skipped {}", count.unwrap_or(0)),
            TailEvent::Interrupted(_) => "interrupted".to_owned(),
            other => format!("{other:?}"),
        };
        std::iter::from_fn(|| next(backlog).map(word)).collect()
    }

    #[test]
    fn everything_is_told_in_order_and_messages_that_wait_together_come_together() {
        let (feed, backlog) = backlog();
        feed.extend([message(1, 1)]);
        feed.extend([message(2, 1), message(3, 1)]);
        feed.interrupted(gone());
        feed.resumed();
        feed.extend([message(4, 1)]);
        assert_eq!(told(&backlog), ["1,2,3", "interrupted", "Resumed { lost: None }", "4"]);
        assert!(next(&backlog).is_none());
    }

    #[test]
    fn what_finds_no_room_is_counted_where_it_is_missing_and_room_comes_with_reading() {
        let (feed, backlog) = backlog();
        feed.extend((1..=4).map(|number| message(number, BYTES / 2)));
        feed.interrupted(gone());
        feed.extend([message(5, 1)]);
        assert_eq!(told(&backlog), ["1,2", "skipped 2", "interrupted", "Resumed { lost: None }", "skipped 1"]);
        feed.extend((6..=8).map(|number| message(number, BYTES)));
        assert!(matches!(next(&backlog), Some(TailEvent::Messages(messages)) if messages.len() == 1));
        // The hole is told before what came behind it.
        feed.extend([message(9, 1)]);
        assert_eq!(told(&backlog), ["skipped 3"]);
        feed.extend([message(10, 1)]);
        assert_eq!(told(&backlog), ["10"]);
    }

    #[test]
    fn an_interruption_is_told_once_and_is_over_with_the_first_message() {
        let (feed, backlog) = backlog();
        feed.resumed();
        for _ in 0..3 {
            feed.interrupted(gone());
        }
        feed.extend([message(1, 1)]);
        feed.resumed();
        feed.skipped(Some(4), Side::Ours);
        assert_eq!(told(&backlog), ["interrupted", "Resumed { lost: None }", "1", "skipped 4"]);
    }

    #[test]
    fn small_messages_are_bounded_by_what_they_take_themselves() {
        let (feed, backlog) = backlog();
        feed.extend((0..200_000).map(|number| message(number, 0)));
        let Some(TailEvent::Messages(messages)) = next(&backlog) else { panic!("there are some") };
        assert!((50_000..120_000).contains(&messages.len()), "{}", messages.len());
    }

    #[test]
    fn a_connection_that_comes_and_goes_for_hours_does_not_fill_it() {
        let (feed, backlog) = backlog();
        for number in 0..10_000 {
            feed.extend([message(number, 1)]);
            feed.interrupted(gone());
        }
        let told = told(&backlog);
        assert!(told.len() <= EVENTS + 1, "{}", told.len());
        assert!(told.iter().rev().take(2).any(|word| word == "interrupted"), "how it stands is known");
        let skipped: u64 = told.iter().filter_map(|word| word.strip_prefix("skipped ")?.parse::<u64>().ok()).sum();
        let shown = told.iter().filter(|word| word.parse::<u64>().is_ok()).count() as u64;
        assert_eq!(shown + skipped, 10_000);
    }

    #[tokio::test]
    async fn it_ends_with_its_last_feed_behind_what_was_said() {
        let (feed, backlog) = backlog();
        let other = feed.clone();
        let reader = tokio::spawn(backlog.stream(()).collect::<Vec<_>>());
        tokio::task::yield_now().await;
        drop(feed);
        other.extend([message(1, 1)]);
        drop(other);
        assert_eq!(reader.await.expect("no panic").len(), 1);
    }
}
