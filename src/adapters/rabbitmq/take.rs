//! Taking the first messages of a queue in its order, with no more of their bytes on their way than one answer is meant to have.
//!
//! The server bounds what it sends by a count, never by bytes, and a consumer keeps the count that it began with. So one consumer follows
//! another, the first for one message, each for as many as the largest message so far allows. What was taken stays unacknowledged: for a
//! moment only, because a quorum queue has what a cancelled consumer held back from a node that dies only when that is up again.

use super::faults;
use super::link::{self, Live};
use crate::adapters::fit::Fit;
use crate::domain::fault::{Fault, Kind};
use futures::StreamExt;
use lapin::message::Delivery;
use lapin::options::{BasicCancelOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Consumer};
use std::time::Duration;

/// A server that has more to give does so at once; after so long without any there is none.
const QUIET: Duration = Duration::from_millis(500);
/// The same when all that were counted have come.
const AT_ONCE: Duration = Duration::from_millis(100);
/// What a message's properties and headers take, about.
const PROPERTIES: usize = 1_024;
/// A tag that no consumer has.
const NOBODY: &str = "nobody";

/// A queue that is taken from.
pub(super) struct Taking<'a> {
    live: &'a Live,
    channel: &'a Channel,
    op: &'static str,
    queue: &'a str,
    /// Messages that were counted and have not come yet.
    ready: u64,
    fit: Fit,
}

impl<'a> Taking<'a> {
    pub(super) fn new(live: &'a Live, channel: &'a Channel, op: &'static str, queue: &'a str, ready: u64) -> Self {
        Self { live, channel, op, queue, ready, fit: Fit::default() }
    }

    /// The next messages, at least one and `most` at most; none if there are none. Nothing is on its way any more when this returns.
    pub(super) async fn some(&mut self, most: u64) -> Result<Vec<Delivery>, Fault> {
        let count = most.min(self.fit.count() as u64) as u16;
        let mut consumer = consume(self.live, self.channel, self.op, self.queue, count).await?;
        let mut taken = Vec::new();
        let mut ended = self.fill(&mut consumer, &mut taken, count).await;
        // A consumer that the server has ended is nothing to it.
        self.live.within(self.op, self.queue, self.channel.basic_cancel(consumer.tag(), BasicCancelOptions::default())).await?;
        while ended.is_ok() {
            match consumer.next().await {
                Some(Ok(delivery)) => taken.push(delivery),
                Some(Err(error)) => ended = Err(faults::of(&error, self.op, self.queue)),
                None => break,
            }
        }
        self.fit.saw(taken.iter().map(size));
        self.ready = self.ready.saturating_sub(taken.len() as u64);
        ended.map(|()| taken)
    }

    async fn fill(&self, consumer: &mut Consumer, taken: &mut Vec<Delivery>, count: u16) -> Result<(), Fault> {
        while taken.len() < usize::from(count) {
            // The count of a quorum queue lags behind what was given back to it: more than were ready may come, but soon.
            let wait = if taken.len() as u64 >= self.ready && !(taken.is_empty() && self.ready == 0) { AT_ONCE } else { QUIET };
            match tokio::time::timeout(wait, consumer.next()).await {
                Ok(Some(Ok(delivery))) => taken.push(delivery),
                Ok(Some(Err(error))) => return Err(faults::of(&error, self.op, self.queue)),
                Ok(None) => {
                    return Err(Fault::new(
                        Kind::Lost,
                        self.op,
                        self.queue,
                        "the server ended the reading: the queue may have been deleted",
                    ));
                }
                Err(_) => break,
            }
        }
        Ok(())
    }
}

/// What a message takes, about.
pub(super) fn size(delivery: &Delivery) -> usize {
    delivery.data.len() + PROPERTIES
}

/// A consumer that may have so many messages unacknowledged.
pub(super) async fn consume(live: &Live, channel: &Channel, op: &'static str, queue: &str, count: u16) -> Result<Consumer, Fault> {
    live.within(op, queue, channel.basic_qos(count, BasicQosOptions::default())).await?;
    let consumed = channel.basic_consume(link::short(queue, op)?, "".into(), BasicConsumeOptions::default(), FieldTable::default());
    live.within(op, queue, consumed).await
}

/// The server answers nothing to an acknowledgement; it has done it when it answers what was asked behind it. To cancel a consumer that is
/// not there changes nothing.
pub(super) async fn settled(live: &Live, channel: &Channel, op: &'static str, queue: &str) -> Result<(), Fault> {
    live.within(op, queue, channel.basic_cancel(NOBODY.into(), BasicCancelOptions::default())).await
}
