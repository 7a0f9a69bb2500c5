//! Publishing with confirms, many at once on one channel, and each message's outcome told truly.
//!
//! The server returns what it cannot route before it confirms it, and confirms several messages with one word. The client hands a returned
//! message to whichever confirmation it completes next, so that a return alone does not tell whose it is. So messages go out in batches:
//! when every confirmation of a batch has come, all its returns have too, and each is matched with the message that it is a copy of.

use super::link::{self, Link, Live};
use super::{faults, foreign, properties};
use crate::domain::fault::{Fault, Kind};
use bytes::Bytes;
use lapin::message::BasicReturnMessage;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::ShortString;
use lapin::{Channel, Confirmation, PublisherConfirm};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::unconstrained;
use tokio::time::Instant;

pub(super) const OP: &str = "publish to";
/// Messages of one batch; while it is under way the next one gathers.
const BATCH: usize = 500;
/// How long a confirmation is still waited for after the server has said that it takes nothing more.
const GRACE: Duration = Duration::from_secs(1);

/// A message on its way.
pub(super) struct Letter {
    pub(super) channel: Arc<str>,
    pub(super) exchange: ShortString,
    pub(super) routing_key: Bytes,
    pub(super) mandatory: bool,
    /// As they are sent.
    pub(super) properties: Vec<u8>,
    pub(super) payload: Bytes,
}

impl Letter {
    /// Hands it to the client, which takes no routing key but a text: another goes with the properties.
    pub(super) async fn hand_over(&self, channel: &Channel) -> lapin::Result<PublisherConfirm> {
        let options = BasicPublishOptions { mandatory: self.mandatory, ..BasicPublishOptions::default() };
        let text = std::str::from_utf8(&self.routing_key).ok().and_then(|key| ShortString::try_new(key).ok());
        let (exchange, key, properties) = match text {
            Some(key) => (self.exchange.clone(), key, properties::wrap(None, &self.properties)),
            None => {
                let names = (self.exchange.as_str().as_bytes(), &self.routing_key[..]);
                (ShortString::default(), ShortString::default(), properties::wrap(Some(names), &self.properties))
            }
        };
        channel.basic_publish(exchange, key, options, &self.payload, properties).await
    }
}

type Outcome = Result<(), Failed>;

/// Why a message was not published.
#[derive(Clone, Debug)]
pub(super) struct Failed {
    pub(super) fault: Fault,
    /// The server takes no messages just now: an alarm of one of its nodes.
    pub(super) blocked: bool,
}

impl From<Fault> for Failed {
    fn from(fault: Fault) -> Self {
        Self { fault, blocked: false }
    }
}

struct Asked {
    letter: Letter,
    answer: oneshot::Sender<Outcome>,
}

/// The channel that is published on, with its connection.
struct Open {
    live: Arc<Live>,
    channel: Channel,
}

/// Hands messages to the task that publishes, in the order of the calls: the lock is given in the order in which it was asked for, the
/// room of a channel is not. The task ends with it.
pub(super) struct Publisher(Mutex<mpsc::Sender<Asked>>);

impl Publisher {
    pub(super) fn new(link: Arc<Link>) -> Self {
        let (letters, asked) = mpsc::channel(BATCH);
        tokio::spawn(run(link, asked));
        Self(Mutex::new(letters))
    }

    /// Publishes one message and waits until the server has confirmed it, and did not return it.
    pub(super) async fn publish(&self, letter: Letter) -> Outcome {
        let channel = letter.channel.clone();
        let (answer, outcome) = oneshot::channel();
        let ended = || Fault::new(Kind::Unreachable, OP, &*channel, "publishing has ended");
        // In its place in the queue at once, whatever the runtime allows a task, or calls that were made in order could overtake each other.
        let queued = async { self.0.lock().await.send(Asked { letter, answer }).await };
        unconstrained(queued).await.map_err(|_| ended())?;
        outcome.await.map_err(|_| ended())?
    }
}

async fn run(link: Arc<Link>, mut asked: mpsc::Receiver<Asked>) {
    let (mut batch, mut open) = (Vec::with_capacity(BATCH), None);
    while asked.recv_many(&mut batch, BATCH).await > 0 {
        let mut rest = std::mem::take(&mut batch);
        while !rest.is_empty() {
            // An exchange that is not there closes the channel under what went out with it: it takes only its own with it.
            let exchange = rest[0].letter.exchange.clone();
            let together = rest.iter().position(|asked| asked.letter.exchange != exchange).unwrap_or(rest.len());
            let later = rest.split_off(together);
            send(&link, &mut open, rest).await;
            rest = later;
        }
    }
}

/// Publishes a batch to one exchange and answers for each of its messages. Nothing is waited for longer than the limit of one answer.
async fn send(link: &Arc<Link>, open: &mut Option<Open>, batch: Vec<Asked>) {
    let Open { live, channel } = match confirming(link, open).await {
        Ok(open) => open,
        Err(fault) => return batch.into_iter().for_each(|asked| drop(asked.answer.send(Err(fault.clone().into())))),
    };
    let mut handed = Vec::with_capacity(batch.len());
    let mut stuck = live.blocked().is_some();
    for Asked { letter, .. } in &batch {
        // What comes behind one that is not taken is not taken either.
        let taken = if stuck { None } else { Some(in_time(&live, link.timeout(), letter.hand_over(&channel)).await) };
        stuck |= matches!(taken, Some(None));
        handed.push(taken);
    }
    let (mut outcomes, mut returned, mut silence) = (Vec::with_capacity(batch.len()), Vec::new(), stuck);
    for (Asked { letter, .. }, handed) in batch.iter().zip(handed) {
        let confirmed = match handed {
            None => {
                outcomes.push(Err(unsent(&live, letter)));
                continue;
            }
            Some(None) => None,
            Some(Some(Err(error))) => Some(Err(error)),
            // After the first silence there is no more to be waited for.
            Some(Some(Ok(confirm))) => in_time(&live, if silence { Duration::ZERO } else { link.timeout() }, confirm).await,
        };
        outcomes.push(match confirmed {
            None => {
                silence = true;
                Err(silent(&live, letter, link.timeout()))
            }
            Some(Ok(Confirmation::Ack(back))) => {
                returned.extend(back);
                Ok(())
            }
            Some(Ok(Confirmation::Nack(back))) => {
                returned.extend(back);
                Err(nacked(letter).into())
            }
            Some(Ok(Confirmation::NotRequested)) => {
                Err(Fault::new(Kind::Protocol, OP, &*letter.channel, "the server confirms nothing").into())
            }
            Some(Err(error)) => Err(unconfirmed(&error, letter, batch.len()).into()),
        });
    }
    let blocked = stuck || live.blocked().is_some();
    if blocked {
        // What was not taken would be sent when the alarm is over, long after its outcome was told.
        live.cut();
    } else if silence {
        link::close(&channel);
    }
    if blocked || silence {
        // A confirmation that comes late is nobody's: the next batch has a channel of its own.
        *open = None;
    }
    for back in &returned {
        if let Some(at) = whose(back, &batch, &outcomes) {
            outcomes[at] = Err(refused(back, &batch[at].letter).into());
        }
    }
    for (asked, outcome) in batch.into_iter().zip(outcomes) {
        // Nobody may be waiting any more.
        let _ = asked.answer.send(outcome);
    }
}

/// Waits for what the server owes; once it has said that it takes nothing more, only a little longer. `None` if it has not come.
async fn in_time<T>(live: &Live, limit: Duration, wanted: impl Future<Output = T>) -> Option<T> {
    let (mut blocked, until) = (live.blocking(), Instant::now() + limit);
    let over = async {
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(until) => return,
                true = async { blocked.wait_for(Option::is_some).await.is_ok() } => {}
            }
            tokio::select! {
                () = tokio::time::sleep_until(until.min(Instant::now() + GRACE)) => return,
                true = async { blocked.wait_for(Option::is_none).await.is_ok() } => {}
            }
        }
    };
    tokio::select! {
        biased;
        come = wanted => Some(come),
        () = over => None,
    }
}

/// The message of the batch that was returned: the server returns a copy of it.
fn whose(back: &BasicReturnMessage, batch: &[Asked], outcomes: &[Outcome]) -> Option<usize> {
    let of = |is: &dyn Fn(&Letter) -> bool| batch.iter().zip(outcomes).position(|(asked, outcome)| outcome.is_ok() && is(&asked.letter));
    of(&|letter| is_copy(back, letter) && properties::are_same(&back.properties, &letter.properties))
        // A server that writes properties in another way than they came.
        .or_else(|| of(&|letter| is_copy(back, letter)))
}

async fn confirming(link: &Arc<Link>, open: &mut Option<Open>) -> Result<Open, Fault> {
    if let Some(Open { live, channel }) = open.as_ref().filter(|open| open.channel.status().connected()) {
        return Ok(Open { live: live.clone(), channel: channel.clone() });
    }
    let live = link.publishing().await?;
    let channel = live.channel(OP, "").await?;
    live.within(OP, "confirm.select", channel.confirm_select(ConfirmSelectOptions::default())).await?;
    *open = Some(Open { live: live.clone(), channel: channel.clone() });
    Ok(Open { live, channel })
}

fn is_copy(back: &BasicReturnMessage, letter: &Letter) -> bool {
    let (exchange, key) = properties::names(&back.delivery);
    exchange == letter.exchange.as_str().as_bytes() && key == letter.routing_key && back.data == letter.payload
}

/// Why it was returned.
pub(super) fn refused(back: &BasicReturnMessage, letter: &Letter) -> Fault {
    let (code, said) = (back.reply_code, back.reply_text.as_str());
    if letter.exchange.as_str().is_empty() {
        return Fault::new(Kind::NotFound, OP, &*letter.channel, format!("the server returned it ({code} {said}): there is no such queue"))
            .next("check the spelling and the vhost; the message is nowhere");
    }
    let cause = format!("the server returned it ({code} {said}): no queue is bound for the key `{}`", foreign::shown(&letter.routing_key));
    Fault::new(Kind::Rejected, OP, &*letter.channel, cause)
        .next("the message is nowhere: look at the exchange's bindings, or set another key")
}

fn nacked(letter: &Letter) -> Fault {
    Fault::new(Kind::Rejected, OP, &*letter.channel, "the server did not take it (basic.nack)")
        .next("a queue is full and refuses what is new (x-overflow = reject-publish), or its leader failed")
}

/// It was never handed over.
fn unsent(live: &Live, letter: &Letter) -> Failed {
    let (cause, blocked) = match live.blocked() {
        Some(reason) => (format!("it was not sent: the server blocks publishers ({reason})"), true),
        None => ("it was not sent: the server took nothing more".to_owned(), false),
    };
    Failed { fault: Fault::new(Kind::Rejected, OP, &*letter.channel, cause).next("send it again when it takes messages"), blocked }
}

/// The server has not confirmed it in time.
fn silent(live: &Live, letter: &Letter, limit: Duration) -> Failed {
    let fault = |cause: String, next: &str| Fault::new(Kind::Timeout, OP, &*letter.channel, cause).next(next);
    match live.blocked() {
        Some(reason) => Failed {
            fault: fault(
                format!("the server blocks publishers ({reason}), and has not confirmed it"),
                "it may be stored when the alarm is over: look before sending it again",
            ),
            blocked: true,
        },
        None => Failed {
            fault: fault(
                format!("the server has not confirmed it within {} s", limit.as_secs_f32()),
                "a quorum queue or a stream may have lost the majority of its nodes; it may be stored later",
            ),
            blocked: false,
        },
    }
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
