//! One connection to a NATS system: publishes, subscriptions and questions over the client, each with what became of it.
//!
//! The client reconnects by itself and resubscribes. What it does not say is added here: that the server has taken a message, that
//! it refused one, that a connection was lost while an answer was awaited, and how many messages a slow reader lost.

use super::dial::Dial;
use super::headers;
use super::told::{PUBLISH, Refusal, SUBSCRIBE, Standing, Told};
use crate::domain::fault::{Fault, Kind};
use crate::domain::text::SafeText;
use async_nats::{Client, HeaderMap, Message, PublishError, PublishErrorKind, ServerInfo, Subscriber};
use bytes::Bytes;
use futures::stream::{ReadyChunks, SelectAll};
use futures::{FutureExt, StreamExt};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};
use tokio_util::task::AbortOnDropHandle;

/// How often the client asks a silent server whether it is there; it gives up at the third time without an answer.
pub(super) const PULSE: Duration = Duration::from_secs(2);
/// Messages of one subscription that are taken at once: room for them is made each time, and a task pauses after 128 anyway.
const CHUNK: usize = 128;
/// How long nothing came when what was dropped is counted exactly.
const QUIET: Duration = Duration::from_millis(50);

/// What a subscription says, in order.
#[derive(Debug)]
pub(super) enum Said {
    Messages(Vec<Message>),
    /// So many messages came and were dropped, because we were too slow.
    Dropped(u64),
    Down(Fault),
    Up,
}

/// A connection that reconnects by itself. Cloning shares it; the last one ends it.
#[derive(Clone)]
pub(super) struct Link(Arc<Inner>);

struct Inner {
    client: Client,
    dial: Arc<Dial>,
    told: Arc<Told>,
    /// What answers are sent to, less their number.
    inbox: String,
    /// Our user may not publish to its own inbox: no echo comes.
    mute: AtomicBool,
    _router: AbortOnDropHandle<()>,
    _used: Arc<()>,
}

/// A subscription; dropping it ends it.
pub(super) struct Subscription {
    link: Link,
    messages: ReadyChunks<Subscriber>,
    standing: watch::Receiver<Standing>,
    /// As it was last told.
    known: Standing,
    /// What is told when no message waits any more.
    owed: Vec<Said>,
}

/// Tells once that something came to one of some subjects; dropping it ends the wait.
pub(super) struct Bell {
    armed: SelectAll<Subscriber>,
    standing: watch::Receiver<Standing>,
}

/// Where the answers to one question come; dropping it ends the wait for them.
pub(super) struct Inbox {
    link: Link,
    number: u64,
    subject: String,
    answers: mpsc::Receiver<Message>,
    standing: watch::Receiver<Standing>,
    epoch: u64,
    refusal: Option<Refusal>,
}

impl Link {
    /// Connects to the first server that answers, and subscribes to an inbox of our own.
    pub(super) async fn open(dial: Arc<Dial>) -> Result<Self, Fault> {
        let told = Told::new(dial.clone());
        let used = Arc::new(());
        let client = dial.connect(&told, Arc::downgrade(&used)).await?;
        // The client says that it is connected before anything else.
        let _ = told.standing().wait_for(|standing| standing.epoch > 0).await;
        let inbox = format!("{}.{:016x}{:016x}", dial.inbox_prefix, fastrand::u64(..), fastrand::u64(..));
        let all = format!("{inbox}.*");
        let mut refusal = told.refusal(SUBSCRIBE, &all);
        let subscriber = client.subscribe(all.clone()).await.map_err(|error| broken("subscribe to", &all, &error))?;
        let router = {
            let told = told.clone();
            let mut answers = subscriber.ready_chunks(CHUNK);
            async move {
                while let Some(messages) = answers.next().await {
                    told.route(messages);
                }
            }
        };
        let link = Self(Arc::new(Inner {
            client,
            dial,
            told,
            inbox,
            mute: AtomicBool::new(false),
            _router: AbortOnDropHandle::new(tokio::spawn(router)),
            _used: used,
        }));
        link.prove("subscribe to", "our inbox", &mut refusal).await.map_err(|fault| {
            let hint = "answers cannot reach us: name a prefix that this user may subscribe to, inbox_prefix in the config block";
            if fault.kind == Kind::Forbidden { fault.next(hint) } else { fault }
        })?;
        Ok(link)
    }

    /// What the server says of itself; the fault if it is gone.
    pub(super) fn info(&self) -> Result<ServerInfo, Fault> {
        match &self.0.told.standing().borrow().down {
            None => Ok(self.0.client.server_info()),
            Some(fault) => Err(fault.clone()),
        }
    }

    /// Waits for the connection to be there; whether it is.
    pub(super) async fn is_back(&self, limit: Duration) -> bool {
        let mut standing = self.0.told.standing();
        tokio::time::timeout(limit, standing.wait_for(|standing| standing.down.is_none())).await.is_ok_and(|standing| standing.is_ok())
    }

    /// Waits for the connection to be there.
    ///
    /// # Errors
    /// It is not tried again, and why.
    pub(super) async fn until_back(&self) -> Result<(), Fault> {
        let mut standing = self.0.told.standing();
        // The sender is ours.
        let _ = standing.wait_for(|standing| standing.down.is_none() || standing.over).await;
        self.info().map(drop)
    }

    pub(super) fn dial(&self) -> &Arc<Dial> {
        &self.0.dial
    }

    fn peer(&self) -> SafeText {
        match self.0.client.server_info() {
            info if info.server_name.is_empty() || info.server_name == info.server_id => self.0.dial.peer.clone(),
            info => SafeText::new(&info.server_name),
        }
    }

    /// Publishes, and waits until the server has taken it. What it then does with it is not said.
    pub(super) async fn publish(
        &self,
        op: &'static str,
        subject: &str,
        reply: Option<&str>,
        headers: HeaderMap,
        payload: Bytes,
    ) -> Result<(), Fault> {
        let mut refusal = self.0.told.refusal(PUBLISH, subject);
        self.send(op, subject, reply, headers, payload).await?;
        self.prove(op, subject, &mut refusal).await
    }

    /// Hands a message to the client. Calls made in order are carried out in order.
    async fn send(&self, op: &'static str, subject: &str, reply: Option<&str>, headers: HeaderMap, payload: Bytes) -> Result<(), Fault> {
        // What the client is given now it would send when the server is back, long after it was said to have failed.
        self.info()?;
        let (client, subject_) = (&self.0.client, subject.to_owned());
        let sent = match reply {
            Some(reply) => client.publish_with_reply_and_headers(subject_, reply.to_owned(), headers, payload).boxed(),
            None => client.publish_with_headers(subject_, headers, payload).boxed(),
        };
        // Tokio makes a task that has done much pause in the middle of a call; a later call must not overtake it there.
        match tokio::time::timeout(self.0.dial.timeout, tokio::task::unconstrained(sent)).await {
            Ok(sent) => sent.map_err(|error| self.unsent(op, subject, &error)),
            Err(_) => Err(silent(op, subject, self.0.dial.timeout)),
        }
    }

    fn unsent(&self, op: &'static str, subject: &str, error: &PublishError) -> Fault {
        match error.kind() {
            PublishErrorKind::MaxPayloadExceeded => {
                let cause = format!("with its headers it is more than the server takes: {} bytes", self.0.client.max_payload());
                Fault::new(Kind::Rejected, op, subject, cause).next("raise max_payload of the server, or send less")
            }
            PublishErrorKind::InvalidSubject => Fault::new(Kind::Usage, op, subject, "this is no subject"),
            PublishErrorKind::Send => broken(op, subject, error),
        }
    }

    /// Waits until the server has dealt with everything that was sent before, or has refused it. It works in order, so that what we
    /// send to ourselves comes back behind that. A refusal comes by another way than messages and may be seen a moment after the
    /// first echo, which stands behind it; the second is a whole way to the server and back later.
    async fn prove(&self, op: &'static str, subject: &str, refusal: &mut Refusal) -> Result<(), Fault> {
        for _ in 0..2 {
            self.echo(op, subject, refusal).await?;
        }
        refusal.has_come().map_or(Ok(()), |fault| Err(Fault { op, ..fault }))
    }

    async fn echo(&self, op: &'static str, subject: &str, refusal: &mut Refusal) -> Result<(), Fault> {
        let mut inbox = self.inbox(1);
        let mut denied = self.0.told.refusal(PUBLISH, &inbox.subject);
        self.send(op, &inbox.subject, None, HeaderMap::new(), Bytes::new()).await?;
        tokio::select! {
            biased;
            fault = refusal.refused() => Err(Fault { op, ..fault }),
            // A user that may not publish to its inbox is told so in order, which proves as much.
            _ = denied.refused() => {
                self.0.mute.store(true, Ordering::Relaxed);
                Ok(())
            }
            answer = inbox.next(op, subject, self.0.dial.timeout) => answer.map(drop),
        }
    }

    /// Asks the server whether it is there.
    pub(super) async fn ping(&self, op: &'static str) -> Result<(), Fault> {
        self.info()?;
        if self.0.mute.load(Ordering::Relaxed) {
            // Each echo would be a violation in the server's log. The client's own pulse tells if the server is gone.
            let flushed = tokio::time::timeout(self.0.dial.timeout, self.0.client.flush()).await;
            return flushed.map_err(|_| silent(op, "NATS", self.0.dial.timeout))?.map_err(|error| broken(op, "NATS", &error));
        }
        let mut none = self.0.told.refusal(PUBLISH, "");
        self.echo(op, "NATS", &mut none).await
    }

    /// Subscribes, and waits until the server has taken it.
    pub(super) async fn subscribe(&self, op: &'static str, subject: &str) -> Result<Subscription, Fault> {
        self.subscribed(op, subject, None).await
    }

    /// Joins a queue group, for so many messages and no more.
    pub(super) async fn subscribe_for(&self, op: &'static str, subject: &str, group: &str, most: u64) -> Result<Subscription, Fault> {
        self.subscribed(op, subject, Some((group, most))).await
    }

    async fn subscribed(&self, op: &'static str, subject: &str, queue: Option<(&str, u64)>) -> Result<Subscription, Fault> {
        self.info()?;
        let mut standing = self.0.told.standing();
        let known = standing.borrow_and_update().clone();
        let mut refusal = self.0.told.refusal(SUBSCRIBE, subject);
        let subscribed = match queue {
            Some((group, _)) => self.0.client.queue_subscribe(subject.to_owned(), group.to_owned()).await,
            None => self.0.client.subscribe(subject.to_owned()).await,
        };
        let mut subscriber = subscribed.map_err(|error| broken(op, subject, &error))?;
        if let Some((_, most)) = queue {
            subscriber.unsubscribe_after(most).await.map_err(|error| broken(op, subject, &error))?;
        }
        self.prove(op, subject, &mut refusal).await?;
        Ok(Subscription { link: self.clone(), messages: subscriber.ready_chunks(CHUNK), standing, known, owed: Vec::new() })
    }

    /// Listens for one message of each of these subjects. Every question that is asked after this is answered later than what does not
    /// ring. That they may be subscribed to is known.
    pub(super) async fn bell(&self, op: &'static str, subjects: &[String]) -> Result<Bell, Fault> {
        self.info()?;
        let mut armed = SelectAll::new();
        for subject in subjects {
            let unable = |error: &dyn std::error::Error| broken(op, subject, error);
            let mut subscriber = self.0.client.subscribe(subject.clone()).await.map_err(|error| unable(&error))?;
            subscriber.unsubscribe_after(1).await.map_err(|error| unable(&error))?;
            armed.push(subscriber);
        }
        Ok(Bell { armed, standing: self.0.told.standing() })
    }

    /// A subject of our own that questions' answers do not come by: for what is delivered under the subject it was published to.
    pub(super) fn own_subject(&self) -> String {
        format!("{}.own.{}", self.0.inbox, self.0.told.number())
    }

    fn inbox(&self, most: usize) -> Inbox {
        let number = self.0.told.number();
        let (sender, answers) = mpsc::channel(most.max(1));
        self.0.told.open(number, sender);
        let mut standing = self.0.told.standing();
        let epoch = standing.borrow_and_update().epoch;
        let subject = format!("{}.{number}", self.0.inbox);
        Inbox { link: self.clone(), number, subject, answers, standing, epoch, refusal: None }
    }

    /// Asks; up to `most` answers may wait to be taken.
    pub(super) async fn ask(
        &self,
        op: &'static str,
        subject: &str,
        headers: HeaderMap,
        payload: Bytes,
        most: usize,
    ) -> Result<Inbox, Fault> {
        let mut inbox = self.inbox(most);
        inbox.refusal = Some(self.0.told.refusal(PUBLISH, subject));
        self.send(op, subject, Some(&inbox.subject), headers, payload).await?;
        Ok(inbox)
    }

    /// Asks, and waits for one answer.
    pub(super) async fn request(&self, op: &'static str, subject: &str, headers: HeaderMap, payload: Bytes) -> Result<Message, Fault> {
        let (asked, size) = (Instant::now(), payload.len());
        let answer = async {
            let mut inbox = self.ask(op, subject, headers, payload, 1).await?;
            inbox.next(op, subject, self.0.dial.timeout).await
        };
        let answer = answer.await;
        let outcome = answer.as_ref().map_or_else(|fault| fault.cause.to_string(), |msg| format!("{} B", msg.payload.len()));
        self.0.dial.log.record(&self.peer(), format!("{subject} {size} B"), outcome, asked.elapsed());
        answer
    }

    /// How many messages the client dropped since it was last asked; `waiting` may be in its subscriptions.
    fn dropped(&self, waiting: usize) -> u64 {
        let came = self.0.client.statistics().in_messages.load(Ordering::Relaxed);
        self.0.told.dropped(came, waiting as u64)
    }
}

fn broken(op: &'static str, target: &str, error: &dyn std::error::Error) -> Fault {
    Fault::new(Kind::Unreachable, op, target, error.to_string())
}

fn gone(op: &'static str, target: &str) -> Fault {
    Fault::new(Kind::Unreachable, op, target, "the connection ended before the server answered; whether it was done is not known")
        .next("it is being reconnected: look, then try again")
}

fn silent(op: &'static str, target: &str, limit: Duration) -> Fault {
    Fault::new(Kind::Timeout, op, target, format!("no answer within {} s", limit.as_secs_f32()))
        .next("the server may be overloaded, or a cluster without a leader")
}

impl Bell {
    /// Waits until it rings or the connection is lost. May be given up at any moment.
    pub(super) async fn rung(&mut self) {
        tokio::select! {
            _ = self.armed.next() => {}
            _ = self.standing.wait_for(|standing| standing.down.is_some()) => {}
        }
    }
}

impl Subscription {
    /// What it says next; `None` when the link has ended, or is not tried again. May be given up at any moment.
    pub(super) async fn next(&mut self) -> Option<Said> {
        loop {
            match self.owed.first() {
                None if self.known.over => return None,
                None => {}
                // The client says that it is connected a moment before it subscribes again: an echo stands behind that.
                Some(Said::Up) => match self.link.ping("tail").await {
                    // It went again before it was told.
                    Err(fault) if self.standing.has_changed().unwrap_or(true) => {
                        self.owed.clear();
                        self.known.down = Some(fault);
                    }
                    _ => return Some(self.owed.remove(0)),
                },
                // What came before the connection ended comes first.
                Some(_) => return Some(self.ready().unwrap_or_else(|| self.owed.remove(0))),
            }
            let slow = self.link.0.told.is_slow();
            tokio::select! {
                biased;
                changed = self.standing.changed() => {
                    changed.ok()?;
                    self.notice();
                }
                messages = self.messages.next() => {
                    let messages = messages?;
                    self.link.0.told.take(messages.len());
                    return Some(Said::Messages(messages));
                }
                () = tokio::time::sleep(QUIET), if slow => {
                    let dropped = self.link.dropped(0);
                    if dropped > 0 {
                        return Some(Said::Dropped(dropped));
                    }
                }
            }
        }
    }

    /// Messages that have come already.
    pub(super) fn ready(&mut self) -> Option<Said> {
        let messages = self.messages.next().now_or_never()??;
        self.link.0.told.take(messages.len());
        Some(Said::Messages(messages))
    }

    /// Nothing more is sent to us from the moment that this returns; what came before is still ready.
    pub(super) async fn end(&mut self, op: &'static str) -> Result<(), Fault> {
        self.messages.get_mut().unsubscribe().await.map_err(|error| broken(op, "NATS", &error))?;
        self.link.ping(op).await
    }

    fn notice(&mut self) {
        let now = self.standing.borrow_and_update().clone();
        let again = now.epoch > self.known.epoch;
        match (&self.known.down, &now.down) {
            (None, Some(fault)) => self.owed.push(Said::Down(fault.clone())),
            (Some(_), Some(fault)) if now.over && !self.known.over => self.owed.push(Said::Down(fault.clone())),
            (Some(_), None) if again => self.owed.push(Said::Up),
            // It went and came so fast that only the number of connections tells.
            (None, None) if again => {
                let fault = Fault::new(Kind::Unreachable, "talk to", self.link.0.dial.peer.clone(), "the connection was lost");
                self.owed.extend([Said::Down(fault), Said::Up]);
            }
            _ => {}
        }
        self.known = now;
    }
}

impl Inbox {
    /// The next answer. May be given up at any moment.
    pub(super) async fn next(&mut self, op: &'static str, target: &str, limit: Duration) -> Result<Message, Fault> {
        let epoch = self.epoch;
        let refused = async {
            match &mut self.refusal {
                Some(refusal) => refusal.refused().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            answer = self.answers.recv() => answer.ok_or_else(|| gone(op, target)),
            fault = refused => Err(Fault { op, ..fault }),
            _ = self.standing.wait_for(|standing| standing.down.is_some() || standing.epoch != epoch) => Err(gone(op, target)),
            () = tokio::time::sleep(limit) => Err(silent(op, target, limit)),
        }
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.link.0.told.close(self.number);
    }
}

/// Whether nobody was there to answer: the server says so itself.
pub(super) fn is_nobody(answer: &Message) -> bool {
    headers::status(answer) == Some(503)
}
