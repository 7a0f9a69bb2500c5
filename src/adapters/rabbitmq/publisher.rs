//! Publishing with confirms, many at once on one channel, and each message's outcome told truly.
//!
//! The server returns what it cannot route before it confirms it, and confirms several messages with one word. The client hands a returned
//! message to whichever confirmation it completes next, so that a return alone does not tell whose it is. So messages go out in batches:
//! when every confirmation of a batch has come, all its returns have too, and each is matched with the message that it is a copy of.

use super::faults;
use super::link::{self, Link};
use crate::domain::fault::{Fault, Kind};
use lapin::message::BasicReturnMessage;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::ShortString;
use lapin::{BasicProperties, Channel, Confirmation, PublisherConfirm};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio::task::unconstrained;
use tokio::time::Instant;

pub(super) const OP: &str = "publish to";
/// Messages of one batch; while it is under way the next one gathers.
const BATCH: usize = 500;

/// A message on its way.
pub(super) struct Letter {
    pub(super) channel: Arc<str>,
    pub(super) exchange: ShortString,
    pub(super) routing_key: ShortString,
    pub(super) mandatory: bool,
    pub(super) properties: BasicProperties,
    pub(super) payload: bytes::Bytes,
}

type Outcome = Result<(), Fault>;
type Asked = (Letter, oneshot::Sender<Outcome>);

/// Hands messages to the task that publishes, in the order of the calls. The task ends with it.
pub(super) struct Publisher(mpsc::Sender<Asked>);

impl Publisher {
    pub(super) fn new(link: Arc<Link>) -> Self {
        let (letters, asked) = mpsc::channel(BATCH);
        tokio::spawn(run(link, asked));
        Self(letters)
    }

    /// Publishes one message and waits until the server has confirmed it, and did not return it.
    pub(super) async fn publish(&self, letter: Letter) -> Outcome {
        let channel = letter.channel.clone();
        let (answer, outcome) = oneshot::channel();
        let ended = || Fault::new(Kind::Unreachable, OP, &*channel, "publishing has ended");
        // In its place in the queue at once, or calls that were made in order could overtake each other.
        match self.0.try_send((letter, answer)) {
            Ok(()) => {}
            Err(TrySendError::Full(asked)) => unconstrained(self.0.send(asked)).await.map_err(|_| ended())?,
            Err(TrySendError::Closed(_)) => return Err(ended()),
        }
        outcome.await.map_err(|_| ended())?
    }
}

async fn run(link: Arc<Link>, mut asked: mpsc::Receiver<Asked>) {
    let (mut batch, mut open) = (Vec::with_capacity(BATCH), None);
    while asked.recv_many(&mut batch, BATCH).await > 0 {
        let mut rest = std::mem::take(&mut batch);
        while !rest.is_empty() {
            // An exchange that is not there closes the channel under what went out with it: it takes only its own with it.
            let exchange = rest[0].0.exchange.clone();
            let together = rest.iter().position(|(letter, _)| letter.exchange != exchange).unwrap_or(rest.len());
            let later = rest.split_off(together);
            send(&link, &mut open, rest).await;
            rest = later;
        }
    }
}

/// Publishes a batch to one exchange and answers for each of its messages.
async fn send(link: &Link, open: &mut Option<Channel>, batch: Vec<Asked>) {
    let channel = match confirming(link, open).await {
        Ok(channel) => channel,
        Err(fault) => return batch.into_iter().for_each(|(_, answer)| drop(answer.send(Err(fault.clone())))),
    };
    let mut confirms = Vec::with_capacity(batch.len());
    for (letter, _) in &batch {
        confirms.push(hand_over(&channel, letter).await);
    }
    let until = Instant::now() + link.timeout();
    let (mut outcomes, mut returned) = (Vec::with_capacity(batch.len()), Vec::new());
    for ((letter, _), confirm) in batch.iter().zip(confirms) {
        let confirmed = match confirm {
            Ok(confirm) => tokio::time::timeout_at(until, confirm).await,
            Err(error) => Ok(Err(error)),
        };
        let Ok(confirmed) = confirmed else {
            // A confirmation that comes late is nobody's: the next batch has a channel of its own.
            open.take().iter().for_each(link::close);
            outcomes.push(Err(silent(letter, link.timeout())));
            continue;
        };
        outcomes.push(match confirmed {
            Ok(Confirmation::Ack(back)) => {
                returned.extend(back);
                Ok(())
            }
            Ok(Confirmation::Nack(back)) => {
                returned.extend(back);
                Err(Fault::new(Kind::Rejected, OP, &*letter.channel, "the server did not take it (basic.nack)")
                    .next("a queue is full and refuses what is new (x-overflow = reject-publish), or its leader failed"))
            }
            Ok(Confirmation::NotRequested) => Err(Fault::new(Kind::Protocol, OP, &*letter.channel, "the server confirms nothing")),
            Err(error) => Err(unconfirmed(&error, letter, batch.len())),
        });
    }
    for back in &returned {
        let whose = batch.iter().zip(&outcomes).position(|((letter, _), outcome)| outcome.is_ok() && is_copy(back, letter));
        if let Some(at) = whose {
            outcomes[at] = Err(refused(back, &batch[at].0));
        }
    }
    for ((_, answer), outcome) in batch.into_iter().zip(outcomes) {
        // Nobody may be waiting any more.
        let _ = answer.send(outcome);
    }
}

async fn confirming(link: &Link, open: &mut Option<Channel>) -> Result<Channel, Fault> {
    if let Some(channel) = open.as_ref().filter(|channel| channel.status().connected()) {
        return Ok(channel.clone());
    }
    let live = link.shared().await?;
    let channel = live.channel(OP, "").await?;
    live.within(OP, "confirm.select", channel.confirm_select(ConfirmSelectOptions::default())).await?;
    *open = Some(channel.clone());
    Ok(channel)
}

async fn hand_over(channel: &Channel, letter: &Letter) -> lapin::Result<PublisherConfirm> {
    let options = BasicPublishOptions { mandatory: letter.mandatory, ..BasicPublishOptions::default() };
    channel.basic_publish(letter.exchange.clone(), letter.routing_key.clone(), options, &letter.payload, letter.properties.clone()).await
}

fn is_copy(back: &BasicReturnMessage, letter: &Letter) -> bool {
    back.exchange == letter.exchange
        && back.routing_key == letter.routing_key
        && back.data == letter.payload
        && back.properties == letter.properties
}

/// Why it was returned.
pub(super) fn refused(back: &BasicReturnMessage, letter: &Letter) -> Fault {
    let (code, said) = (back.reply_code, back.reply_text.as_str());
    if letter.exchange.as_str().is_empty() {
        return Fault::new(Kind::NotFound, OP, &*letter.channel, format!("the server returned it ({code} {said}): there is no such queue"))
            .next("check the spelling and the vhost; the message is nowhere");
    }
    let cause = format!("the server returned it ({code} {said}): no queue is bound for the key `{}`", letter.routing_key);
    Fault::new(Kind::Rejected, OP, &*letter.channel, cause)
        .next("the message is nowhere: look at the exchange's bindings, or set another key")
}

/// The server has not confirmed it in time.
fn silent(letter: &Letter, limit: Duration) -> Fault {
    let cause = format!("the server has not confirmed it within {} s", limit.as_secs_f32());
    Fault::new(Kind::Timeout, OP, &*letter.channel, cause)
        .next("a quorum queue or a stream may have lost the majority of its nodes, or memory or disk run out; it may be stored later")
}

/// The channel or the connection ended before the confirmation.
fn unconfirmed(error: &lapin::Error, letter: &Letter, together: usize) -> Fault {
    let mut fault = faults::of(error, OP, &*letter.channel);
    if fault.kind == Kind::Unreachable {
        fault.cause = format!("{} before the server confirmed it", fault.cause).into();
        fault.next = "it may have been stored all the same: look before sending it again".into();
    } else if together > 1 && fault.kind != Kind::NotFound {
        fault.next = format!("{}; the server may mean another one of the {together} messages sent together", fault.next).into();
    }
    fault
}
