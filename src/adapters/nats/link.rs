//! One connection to a NATS system: publishes, subscriptions and requests, each with what became of it.
//!
//! It reconnects by itself and subscribes again. That the server has taken something is known by the answer to a `PING` that was sent
//! behind it.

use super::dial::Dial;
use super::headers;
use super::wire::connection;
use super::wire::frame::Span;
use super::wire::hub::{ConnectionState, Hub, Sink, subscription};
use super::wire::mailbox::{Event, Mailbox, Msg};
use super::wire::out::{Closed, PUBLISH, SUBSCRIBE, Then, Waiting};
use crate::domain::fault::{Fault, Kind};
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, oneshot, watch};
use tokio_util::task::AbortOnDropHandle;

/// A connection that reconnects by itself. Cloning shares it; the last one ends it.
#[derive(Clone)]
pub(super) struct Link(Arc<Inner>);

struct Inner {
    hub: Arc<Hub>,
    answers: Answers,
    /// What answers are sent to, less their number.
    inbox: String,
    _task: AbortOnDropHandle<()>,
}

/// Keeps one subscription; dropping it ends it.
pub(super) struct Subscribed {
    link: Link,
    sid: u64,
}

/// A subscription whose messages wait to be taken; dropping it ends it.
pub(super) struct Subscription {
    subscribed: Subscribed,
    mailbox: Mailbox,
}

/// Says once that something came to one of some subjects; dropping it ends the wait.
pub(super) struct Arrival {
    _armed: Vec<Subscribed>,
    came: Arc<Notify>,
}

/// Where the answers to one request come; dropping it ends the wait for them.
pub(super) struct Inbox {
    link: Link,
    number: u64,
    mailbox: Mailbox,
    state: watch::Receiver<ConnectionState>,
    epoch: u64,
    refused: Option<oneshot::Receiver<Result<(), Fault>>>,
}

/// Who waits for answers, by the last word of the subject that they come under.
#[derive(Clone, Default)]
struct Answers(Arc<Mutex<HashMap<u64, Mailbox>>>);

impl Answers {
    fn waiting(&self) -> MutexGuard<'_, HashMap<u64, Mailbox>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who asked sees by the connection's state that no answer will come.
impl Sink for Answers {
    fn messages(&mut self, buffer: &Bytes, spans: &[Span]) {
        let waiting = self.waiting();
        for span in spans {
            let number = span.subject.bytes(buffer).rsplit(|byte| *byte == b'.').next().and_then(|word| std::str::from_utf8(word).ok());
            if let Some(mailbox) = number.and_then(|number| waiting.get(&number.parse().ok()?)) {
                mailbox.push(buffer, span);
            }
        }
    }

    fn down(&mut self, _fault: &Fault) {}
    fn up(&mut self) {}
    fn over(&mut self) {}
}

/// Hears that something came, and not what.
struct Hearing(Arc<Notify>);

impl Sink for Hearing {
    fn messages(&mut self, _buffer: &Bytes, _spans: &[Span]) {
        self.0.notify_one();
    }

    fn down(&mut self, _fault: &Fault) {
        self.0.notify_one();
    }

    fn up(&mut self) {}
    fn over(&mut self) {}
}

/// What is said to whom.
struct Command<'a> {
    op: &'static str,
    verb: &'static str,
    subject: &'a str,
}

impl Link {
    /// Connects to the first server that takes us, and subscribes to an inbox of our own.
    pub(super) async fn open(dial: Arc<Dial>) -> Result<Self, Fault> {
        let servers = dial.servers()?;
        let (opened, server) = connection::connect(&dial, &servers).await?;
        let inbox = format!("{}.{:016x}{:016x}", dial.inbox_prefix, fastrand::u64(..), fastrand::u64(..));
        let hub = Hub::new(dial, opened.info.clone());
        let mut state = hub.state();
        let task = AbortOnDropHandle::new(tokio::spawn(connection::run(hub.clone(), servers, opened, server)));
        let link = Self(Arc::new(Inner { hub, answers: Answers::default(), inbox, _task: task }));
        let up = state.wait_for(|state| state.epoch > 0 || state.over);
        if tokio::time::timeout(link.dial().timeout, up).await.is_err() {
            return Err(silent("connect to", "NATS", link.dial().timeout));
        }
        let all = format!("{}.*", link.0.inbox);
        let answers = Box::new(link.0.answers.clone());
        let subscribed = link.subscribe_into("subscribe to", &all, None, answers).await.map_err(|fault| {
            let hint = "answers cannot reach us: name a prefix that this user may subscribe to, inbox_prefix in the config block";
            if fault.kind == Kind::Forbidden { fault.next(hint) } else { fault }
        })?;
        // It lasts as long as the connection.
        subscribed.keep();
        Ok(link)
    }

    /// Waits for the connection to be there.
    ///
    /// # Errors
    /// It is not tried again, and why.
    pub(super) async fn until_back(&self) -> Result<(), Fault> {
        let mut state = self.0.hub.state();
        // The sender is ours.
        let _ = state.wait_for(|state| state.down.is_none() || state.over).await;
        self.check()
    }

    pub(super) fn dial(&self) -> &Arc<Dial> {
        &self.0.hub.dial
    }

    /// The fault of a connection that is not there.
    fn check(&self) -> Result<(), Fault> {
        self.0.hub.state().borrow().down.clone().map_or(Ok(()), Err)
    }

    fn gone(&self, op: &'static str, target: &str) -> Fault {
        self.check().err().unwrap_or_else(|| gone(op, target))
    }

    /// Publishes, and waits until the server has taken it. What it then does with it is not said.
    pub(super) async fn publish(
        &self,
        op: &'static str,
        subject: &str,
        reply: Option<&str>,
        headers: &[u8],
        payload: &[u8],
    ) -> Result<(), Fault> {
        let answer = self.send(op, subject, reply, headers, payload).await?;
        self.answer(op, subject, answer).await
    }

    /// Hands a message to the connection; what tells that the server took it. Calls made in order are carried out in order.
    async fn send(
        &self,
        op: &'static str,
        subject: &str,
        reply: Option<&str>,
        headers: &[u8],
        payload: &[u8],
    ) -> Result<oneshot::Receiver<Result<(), Fault>>, Fault> {
        let command = Command { op, verb: PUBLISH, subject };
        for word in [Some(subject), reply].into_iter().flatten() {
            check_word(&command, word)?;
        }
        let info = self.0.hub.info();
        let size = headers.len() + payload.len();
        if info.max_payload > 0 && size > info.max_payload {
            let cause = format!("with its headers it is more than the server takes: {size} of {} bytes", info.max_payload);
            return Err(Fault::new(Kind::Rejected, op, subject, cause).next("raise max_payload of the server, or send less"));
        }
        if !headers.is_empty() && !info.headers {
            return Err(Fault::new(Kind::Rejected, op, subject, "the server takes no headers")
                .next("it has them switched off, or is older than 2.2"));
        }
        self.check()?;
        // Tokio makes a task that has done much pause in the middle of a call; a later call must not overtake it there.
        let room = tokio::task::unconstrained(self.0.hub.out.room(size));
        if tokio::time::timeout(self.dial().timeout, room).await.is_err() {
            return Err(Fault::new(Kind::Timeout, op, subject, "it was not sent: what was sent before is still on its way")
                .next("the server takes nothing now: look at its load and the network"));
        }
        let reply = reply.map_or_else(String::new, |reply| format!("{reply} "));
        self.add(&command, size, |bytes| {
            let line = if headers.is_empty() {
                format!("PUB {subject} {reply}{}\r\n", payload.len())
            } else {
                format!("HPUB {subject} {reply}{} {size}\r\n", headers.len())
            };
            for part in [line.as_bytes(), headers, payload, b"\r\n"] {
                bytes.extend_from_slice(part);
            }
        })
    }

    /// Adds a command with a `PING` behind it; what becomes of it.
    fn add(
        &self,
        command: &Command<'_>,
        room: usize,
        commands: impl FnOnce(&mut Vec<u8>),
    ) -> Result<oneshot::Receiver<Result<(), Fault>>, Fault> {
        let (then, answer) = oneshot::channel();
        let waiting = Waiting::new(command.verb, command.subject, Then::Answer(then));
        let added = self.0.hub.out.add(room, Some(waiting), commands);
        added.map_err(|Closed| self.gone(command.op, command.subject))?;
        Ok(answer)
    }

    /// Waits until the server has dealt with a command, or refused it.
    async fn answer(&self, op: &'static str, target: &str, answer: oneshot::Receiver<Result<(), Fault>>) -> Result<(), Fault> {
        let limit = self.dial().timeout;
        match tokio::time::timeout(limit, answer).await {
            Ok(Ok(outcome)) => outcome.map_err(|fault| Fault { op, ..fault }),
            Ok(Err(_)) => Err(gone(op, target)),
            Err(_) => Err(silent(op, target, limit)),
        }
    }

    /// Asks the server whether it is there, and has dealt with everything that was sent before.
    pub(super) async fn ping(&self, op: &'static str) -> Result<(), Fault> {
        self.check()?;
        let answer = self.add(&Command { op, verb: "", subject: "NATS" }, 0, |_| {})?;
        self.answer(op, "NATS", answer).await
    }

    /// Subscribes, and waits until the server has taken it.
    pub(super) async fn subscribe(&self, op: &'static str, subject: &str) -> Result<Subscription, Fault> {
        let mailbox = Mailbox::default();
        Ok(Subscription { subscribed: self.subscribe_into(op, subject, None, Box::new(mailbox.clone())).await?, mailbox })
    }

    /// Joins a queue group, for so many messages and no more.
    pub(super) async fn subscribe_for(&self, op: &'static str, subject: &str, group: &str, most: u64) -> Result<Subscription, Fault> {
        let mailbox = Mailbox::default();
        let subscribed = self.subscribe_into(op, subject, Some((group, most)), Box::new(mailbox.clone())).await?;
        Ok(Subscription { subscribed, mailbox })
    }

    /// Gives what comes to `sink`, from the moment on that this returns.
    pub(super) async fn subscribe_into(
        &self,
        op: &'static str,
        subject: &str,
        queue: Option<(&str, u64)>,
        sink: Box<dyn Sink>,
    ) -> Result<Subscribed, Fault> {
        let (subscribed, answer) = self.register(op, subject, queue.map(|(group, _)| group), queue.map(|(_, most)| most), sink)?;
        self.answer(op, subject, answer).await?;
        Ok(subscribed)
    }

    fn register(
        &self,
        op: &'static str,
        subject: &str,
        group: Option<&str>,
        most: Option<u64>,
        sink: Box<dyn Sink>,
    ) -> Result<(Subscribed, oneshot::Receiver<Result<(), Fault>>), Fault> {
        let command = Command { op, verb: SUBSCRIBE, subject };
        for word in [Some(subject), group].into_iter().flatten() {
            check_word(&command, word)?;
        }
        self.check()?;
        let sid = self.0.hub.number();
        self.0.hub.subscribe(sid, subject, group, most, sink);
        let subscribed = Subscribed { link: self.clone(), sid };
        let answer = self.add(&command, 0, |bytes| bytes.extend_from_slice(&subscription(sid, subject, group, most)))?;
        Ok((subscribed, answer))
    }

    /// Waits for one message of each of these subjects. Every request that is made after this is answered later than what is not heard.
    /// That they may be subscribed to is known.
    pub(super) fn arrival(&self, op: &'static str, subjects: &[String]) -> Result<Arrival, Fault> {
        let came = Arc::new(Notify::new());
        let mut armed = Vec::new();
        for subject in subjects {
            armed.push(self.register(op, subject, None, Some(1), Box::new(Hearing(came.clone())))?.0);
        }
        Ok(Arrival { _armed: armed, came })
    }

    /// A subject of our own that requests' answers do not come by: for what is delivered under the subject it was published to.
    pub(super) fn own_subject(&self) -> String {
        format!("{}.own.{}", self.0.inbox, self.0.hub.number())
    }

    /// Makes a request; its answers wait to be taken.
    pub(super) async fn ask(&self, op: &'static str, subject: &str, headers: &[u8], payload: &[u8]) -> Result<Inbox, Fault> {
        let number = self.0.hub.number();
        let mailbox = Mailbox::default();
        self.0.answers.waiting().insert(number, mailbox.clone());
        let mut state = self.0.hub.state();
        let epoch = state.borrow_and_update().epoch;
        let mut inbox = Inbox { link: self.clone(), number, mailbox, state, epoch, refused: None };
        let reply = format!("{}.{number}", self.0.inbox);
        inbox.refused = Some(self.send(op, subject, Some(&reply), headers, payload).await?);
        Ok(inbox)
    }

    /// Makes a request, and waits for one answer.
    pub(super) async fn request(&self, op: &'static str, subject: &str, headers: &[u8], payload: &[u8]) -> Result<Msg, Fault> {
        let asked = Instant::now();
        let answer = async {
            let mut inbox = self.ask(op, subject, headers, payload).await?;
            inbox.next(op, subject, self.dial().timeout).await
        };
        let answer = answer.await;
        let outcome = answer.as_ref().map_or_else(|fault| fault.cause.to_string(), |msg| format!("{} B", msg.payload.len()));
        let info = self.0.hub.info();
        let peer = if info.server_name.is_empty() || info.server_name == info.server_id {
            self.dial().peer.clone()
        } else {
            info.server_name.as_str().into()
        };
        self.dial().log.record(&peer, format!("{subject} {} B", payload.len()), outcome, asked.elapsed());
        answer
    }
}

/// A blank or a line break in a word would be another command.
fn check_word(command: &Command<'_>, word: &str) -> Result<(), Fault> {
    let wrong = word.is_empty() || word.bytes().any(|byte| byte.is_ascii_whitespace() || byte.is_ascii_control());
    if wrong { Err(Fault::new(Kind::Usage, command.op, word, "this is no subject")) } else { Ok(()) }
}

fn gone(op: &'static str, target: &str) -> Fault {
    Fault::new(Kind::Unreachable, op, target, "the connection ended before the server answered; whether it was done is not known")
        .next("it is being reconnected: look, then try again")
}

fn silent(op: &'static str, target: &str, limit: Duration) -> Fault {
    Fault::new(Kind::Timeout, op, target, format!("no answer within {} s", limit.as_secs_f32()))
        .next("the server may be overloaded, or a cluster without a leader")
}

impl Subscribed {
    /// Keeps it for as long as the connection, which it does not keep.
    fn keep(mut self) {
        self.sid = 0;
    }
}

impl Drop for Subscribed {
    fn drop(&mut self) {
        // 0 is nobody's number.
        self.link.0.hub.unsubscribe(self.sid);
    }
}

impl Arrival {
    /// Waits until something came or the connection is lost. May be given up at any moment.
    pub(super) async fn came(&mut self) {
        self.came.notified().await;
    }
}

impl Subscription {
    /// What it says next; `None` when the link has ended, or is not tried again. May be given up at any moment.
    pub(super) async fn next(&mut self) -> Option<Event> {
        self.mailbox.next().await
    }

    /// What has come already.
    pub(super) fn ready(&mut self) -> Option<Event> {
        self.mailbox.ready()
    }

    /// Nothing more is sent to us from the moment that this returns; what came before is still ready.
    pub(super) async fn end(&mut self, op: &'static str) -> Result<(), Fault> {
        self.subscribed.link.0.hub.end(self.subscribed.sid);
        self.subscribed.link.ping(op).await
    }
}

impl Inbox {
    /// The next answer. May be given up at any moment.
    pub(super) async fn next(&mut self, op: &'static str, target: &str, limit: Duration) -> Result<Msg, Fault> {
        let epoch = self.epoch;
        let refused = async {
            if let Some(refused) = &mut self.refused
                && let Ok(Err(fault)) = refused.await
            {
                return fault;
            }
            // It was taken.
            self.refused = None;
            std::future::pending().await
        };
        tokio::select! {
            biased;
            event = self.mailbox.next() => match event {
                Some(Event::Message(msg)) => Ok(msg),
                Some(Event::Dropped(count)) => Err(Fault::new(Kind::Lost, op, target, format!("{count} answers came faster than they were read"))),
                Some(Event::Down(_) | Event::Up) | None => Err(gone(op, target)),
            },
            fault = refused => Err(Fault { op, ..fault }),
            _ = self.state.wait_for(|state| state.down.is_some() || state.epoch != epoch) => Err(gone(op, target)),
            () = tokio::time::sleep(limit) => Err(silent(op, target, limit)),
        }
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.link.0.answers.waiting().remove(&self.number);
    }
}

/// Whether nobody was there to answer: the server says so itself.
pub(super) fn is_nobody(answer: &Msg) -> bool {
    answer.payload.is_empty() && headers::status(answer).is_some_and(|(code, _)| code == 503)
}
