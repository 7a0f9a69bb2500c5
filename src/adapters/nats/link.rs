//! One connection to a NATS system: publishes, subscriptions and questions over it, and its reconnecting.
//!
//! One task owns the connection. Every publish and every subscription is followed by a `PING`: the server works in order, so its
//! `PONG` says that it has taken what stood before, and a refusal (`-ERR`, which names a subject and no message) comes before it.
//! Subscriptions outlive the connection and are told when it ends and when it is back; questions do not.

use super::dial::{Dial, Info, Opened, broken};
use super::wire::{self, Msg, Op};
use crate::config::profile::{Integration, Reconnect};
use crate::domain::fault::{Fault, Kind};
use crate::domain::text::SafeText;
use bytes::{Bytes, BytesMut};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::task::AbortOnDropHandle;

/// Commands that may wait for the connection: more than any caller has under way at once, so that they are taken in the order made.
const QUEUED: usize = 8_192;
/// Batches of one subscription that may wait for its reader; a batch is what one read gave.
const WAITING: usize = 64;
/// Room made for one read.
const READ: usize = 128 << 10;
/// How long a reader that is slow holds up the connection, before what comes is dropped and counted. The server itself drops a
/// client that does not read for 10 s (`write_deadline`).
const PATIENCE: Duration = Duration::from_secs(2);
/// How often the server is asked whether it is there, and how long it may take to say so.
const PULSE: Duration = Duration::from_secs(4);
const SILENCE: Duration = Duration::from_secs(8);
/// Pulses without a word from the server after which it is taken for gone. A program that was itself suspended finds what came
/// meanwhile before the second pulse.
const QUIET: u32 = 2;
/// A connection that is lost is tried again at least this often: a cluster elects a leader within seconds.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// The subscription that answers to questions come by.
const INBOX_SID: u64 = 1;

/// How the connection stands.
#[derive(Clone, Debug)]
pub(super) enum Standing {
    Up { peer: SafeText, info: Arc<Info> },
    Down(Fault),
}

/// What a subscription says, in order.
#[derive(Debug)]
pub(super) enum Said {
    Messages(Vec<Msg>),
    /// So many messages came and were dropped, because the reader was too slow.
    Dropped(u64),
    Down(Fault),
    Up,
}

enum Command {
    Publish { frame: Bytes, subject: Arc<str>, done: oneshot::Sender<Result<(), Fault>> },
    Subscribe { sid: u64, subject: Arc<str>, said: mpsc::Sender<Said>, done: oneshot::Sender<Result<(), Fault>> },
    Unsubscribe(u64),
    Open { token: u64, answers: mpsc::Sender<Msg> },
    Close(u64),
}

/// A connection that reconnects by itself. Cloning shares it; the last one ends it.
#[derive(Clone)]
pub(super) struct Link(Arc<Inner>);

struct Inner {
    commands: mpsc::Sender<Command>,
    standing: watch::Receiver<Standing>,
    next: AtomicU64,
    inbox: String,
    dial: Arc<Dial>,
    _task: AbortOnDropHandle<()>,
}

/// A subscription; dropping it ends it.
pub(super) struct Subscription {
    link: Link,
    sid: u64,
    said: mpsc::Receiver<Said>,
}

/// Where the answers to one question come; dropping it ends the wait for them.
pub(super) struct Inbox {
    link: Link,
    token: u64,
    pub(super) subject: String,
    answers: mpsc::Receiver<Msg>,
}

impl Link {
    /// Connects to the first address that answers; the fault is that of the last one.
    pub(super) async fn open(dial: Arc<Dial>, integration: &Integration) -> Result<Self, Fault> {
        let opened = any(&dial, &dial.addresses).await?;
        let inbox = format!("{}.{:016x}{:016x}", dial.inbox_prefix, fastrand::u64(..), fastrand::u64(..));
        let (commands, queue) = mpsc::channel(QUEUED);
        let up = Standing::Up { peer: opened.peer.clone(), info: Arc::new(opened.info.clone()) };
        let (told, standing) = watch::channel(up);
        let actor = Actor {
            dial: dial.clone(),
            reconnect: integration.reconnect.clone(),
            inbox: inbox.clone(),
            queue,
            told,
            epoch: 1,
            discovered: Vec::new(),
            subscriptions: HashMap::new(),
            answers: HashMap::new(),
            pongs: VecDeque::new(),
        };
        let (ready, subscribed) = oneshot::channel();
        let task = AbortOnDropHandle::new(tokio::spawn(actor.run(opened, ready)));
        let link = Self(Arc::new(Inner { commands, standing, next: AtomicU64::new(INBOX_SID + 1), inbox, dial, _task: task }));
        link.waits("subscribe to", "our inbox", subscribed).await.map_err(|fault| {
            let hint = "answers cannot reach us: name a prefix that this user may subscribe to, inbox_prefix in the config block";
            if fault.kind == Kind::Forbidden { fault.next(hint) } else { fault }
        })?;
        Ok(link)
    }

    pub(super) fn standing(&self) -> Standing {
        self.0.standing.borrow().clone()
    }

    /// What the server says of itself; the fault if it is gone.
    pub(super) fn info(&self) -> Result<Arc<Info>, Fault> {
        match self.standing() {
            Standing::Up { info, .. } => Ok(info),
            Standing::Down(fault) => Err(fault),
        }
    }

    pub(super) fn dial(&self) -> &Arc<Dial> {
        &self.0.dial
    }

    fn peer(&self) -> SafeText {
        match self.standing() {
            Standing::Up { peer, .. } => peer,
            Standing::Down(fault) => fault.target,
        }
    }

    /// Publishes, and waits until the server has taken it. What it then does with it is not said.
    pub(super) async fn publish(
        &self,
        op: &'static str,
        subject: &str,
        reply: Option<&str>,
        headers: Option<&[u8]>,
        payload: &[u8],
    ) -> Result<(), Fault> {
        let largest = self.info()?.max_payload;
        let size = payload.len() + headers.map_or(0, <[u8]>::len);
        if largest > 0 && size > largest {
            // The server would end the connection.
            return Err(Fault::new(
                Kind::Rejected,
                op,
                subject,
                format!("{size} bytes with headers are more than the server takes: {largest}"),
            )
            .next("raise max_payload of the server, or send less"));
        }
        let (done, taken) = oneshot::channel();
        let frame = wire::publish(subject, reply, headers, payload);
        self.command(op, subject, Command::Publish { frame, subject: subject.into(), done }).await?;
        self.waits(op, subject, taken).await
    }

    /// Waits for an answer to `PING`.
    pub(super) async fn ping(&self, op: &'static str) -> Result<(), Fault> {
        let (done, taken) = oneshot::channel();
        self.command(op, "NATS", Command::Publish { frame: Bytes::new(), subject: "".into(), done }).await?;
        self.waits(op, "NATS", taken).await
    }

    /// Subscribes, and waits until the server has taken it.
    pub(super) async fn subscribe(&self, op: &'static str, subject: &str) -> Result<Subscription, Fault> {
        let sid = self.0.next.fetch_add(1, Ordering::Relaxed);
        let (sender, said) = mpsc::channel(WAITING);
        let (done, taken) = oneshot::channel();
        self.command(op, subject, Command::Subscribe { sid, subject: subject.into(), said: sender, done }).await?;
        let subscription = Subscription { link: self.clone(), sid, said };
        self.waits(op, subject, taken).await?;
        Ok(subscription)
    }

    /// Opens a place for up to `most` answers that wait to be taken.
    pub(super) async fn inbox(&self, op: &'static str, most: usize) -> Result<Inbox, Fault> {
        let token = self.0.next.fetch_add(1, Ordering::Relaxed);
        let (sender, answers) = mpsc::channel(most.max(1));
        self.command(op, "our inbox", Command::Open { token, answers: sender }).await?;
        Ok(Inbox { link: self.clone(), token, subject: format!("{}.{token}", self.0.inbox), answers })
    }

    /// A subject of our own that questions' answers do not come by: for what is delivered under the subject it was published to.
    pub(super) fn own_subject(&self) -> String {
        format!("{}.own.{}", self.0.inbox, self.0.next.fetch_add(1, Ordering::Relaxed))
    }

    /// Asks, and waits for one answer.
    pub(super) async fn request(&self, op: &'static str, subject: &str, headers: Option<&[u8]>, payload: &[u8]) -> Result<Msg, Fault> {
        let asked = Instant::now();
        let answer = async {
            let mut inbox = self.inbox(op, 1).await?;
            self.publish(op, subject, Some(&inbox.subject), headers, payload).await?;
            inbox.next(op, subject, self.0.dial.timeout.saturating_sub(asked.elapsed())).await
        };
        let answer = answer.await;
        let outcome = answer.as_ref().map_or_else(|fault| fault.cause.to_string(), |msg| format!("{} B", msg.payload.len()));
        self.0.dial.log.record(&self.peer(), format!("{subject} {} B", payload.len()), outcome, asked.elapsed());
        answer
    }

    /// Hands a command over. As long as there is room it is done at once, so that calls made in order are carried out in order.
    async fn command(&self, op: &'static str, target: &str, command: Command) -> Result<(), Fault> {
        match self.0.commands.try_send(command) {
            Ok(()) => Ok(()),
            Err(mpsc::error::TrySendError::Full(command)) => self.0.commands.send(command).await.map_err(|_| gone(op, target)),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(gone(op, target)),
        }
    }

    async fn waits(&self, op: &'static str, target: &str, done: oneshot::Receiver<Result<(), Fault>>) -> Result<(), Fault> {
        match tokio::time::timeout(self.0.dial.timeout, done).await {
            Ok(Ok(result)) => result.map_err(|fault| Fault { op, ..fault }),
            Ok(Err(_)) => Err(gone(op, target)),
            Err(_) => Err(silent(op, target, self.0.dial.timeout)),
        }
    }
}

fn gone(op: &'static str, target: &str) -> Fault {
    Fault::new(Kind::Unreachable, op, target, "the connection ended before the server answered").next("it is being reconnected: try again")
}

fn silent(op: &'static str, target: &str, limit: Duration) -> Fault {
    Fault::new(Kind::Timeout, op, target, format!("no answer within {} s", limit.as_secs_f32()))
        .next("the server may be overloaded, or a cluster without a leader")
}

impl Subscription {
    /// What it says next; `None` when the link has ended. May be given up at any moment.
    pub(super) async fn next(&mut self) -> Option<Said> {
        self.said.recv().await
    }

    /// What it has said already.
    pub(super) fn ready(&mut self) -> Option<Said> {
        self.said.try_recv().ok()
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let _ = self.link.0.commands.try_send(Command::Unsubscribe(self.sid));
    }
}

impl Inbox {
    /// The next answer.
    pub(super) async fn next(&mut self, op: &'static str, target: &str, limit: Duration) -> Result<Msg, Fault> {
        match tokio::time::timeout(limit, self.answers.recv()).await {
            Ok(Some(msg)) => Ok(msg),
            Ok(None) => Err(gone(op, target)),
            Err(_) => Err(silent(op, target, self.link.0.dial.timeout)),
        }
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        let _ = self.link.0.commands.try_send(Command::Close(self.token));
    }
}

/// Connects to one of these, in turn.
async fn any(dial: &Dial, addresses: &[String]) -> Result<Opened, Fault> {
    let mut last = Fault::new(Kind::Usage, "connect to", "NATS", "the profile names no address");
    for address in addresses {
        match dial.open(address).await {
            Ok(opened) => return Ok(opened),
            // Another server would say the same.
            Err(fault) if fault.kind == Kind::Unauthorized => return Err(fault),
            Err(fault) => last = fault,
        }
    }
    Err(last)
}

struct Wanted {
    subject: Arc<str>,
    said: mpsc::Sender<Said>,
    dropped: u64,
}

/// A `PONG` that is to come.
struct Awaited {
    subject: Arc<str>,
    refused: Option<Fault>,
    done: Option<oneshot::Sender<Result<(), Fault>>>,
}

/// Owns the connection.
struct Actor {
    dial: Arc<Dial>,
    reconnect: Reconnect,
    inbox: String,
    queue: mpsc::Receiver<Command>,
    told: watch::Sender<Standing>,
    epoch: u64,
    /// Other servers of the cluster, as the server names them.
    discovered: Vec<String>,
    subscriptions: HashMap<u64, Wanted>,
    answers: HashMap<u64, mpsc::Sender<Msg>>,
    pongs: VecDeque<Awaited>,
}

/// Nobody needs the connection any more.
struct Unused;

impl Actor {
    async fn run(mut self, mut opened: Opened, ready: oneshot::Sender<Result<(), Fault>>) {
        let mut ready = Some(ready);
        loop {
            self.discovered.clone_from(&opened.info.connect_urls);
            let Err(fault) = self.talk(opened, ready.take()).await else { return };
            self.dial.log.record(&fault.target, "connection lost", fault.cause.as_str(), Duration::ZERO);
            self.told.send_replace(Standing::Down(fault.clone()));
            self.answers.clear();
            for awaited in self.pongs.drain(..) {
                let _ = awaited.done.map(|done| done.send(Err(fault.clone())));
            }
            self.tell_all(|| Said::Down(fault.clone())).await;
            let Ok(again) = self.again(fault).await else { return };
            opened = again;
            self.epoch += 1;
            let up = Standing::Up { peer: opened.peer.clone(), info: Arc::new(opened.info.clone()) };
            self.told.send_replace(up);
        }
    }

    /// Talks until the connection is over; says why.
    async fn talk(&mut self, opened: Opened, ready: Option<oneshot::Sender<Result<(), Fault>>>) -> Result<Unused, Fault> {
        let Opened { mut reader, mut writer, peer, mut left, .. } = opened;
        let mut out = BytesMut::new();
        out.extend_from_slice(&wire::subscribe(&format!("{}.*", self.inbox), INBOX_SID));
        self.await_pong(&mut out, "our inbox".into(), ready);
        for (sid, wanted) in &self.subscriptions {
            out.extend_from_slice(&wire::subscribe(&wanted.subject, *sid));
        }
        if self.epoch > 1 {
            self.tell_all(|| Said::Up).await;
        }
        let mut pulse = tokio::time::interval(PULSE);
        pulse.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut commands = Vec::with_capacity(64);
        let mut quiet = 0;
        loop {
            // What came with the log-in's answer is read first.
            self.take_in(&mut left, &mut out, &peer).await?;
            if !out.is_empty() {
                let written = tokio::time::timeout(SILENCE, async {
                    writer.write_all(&out).await?;
                    writer.flush().await
                });
                written.await.map_err(|_| silent("write to", peer.as_str(), SILENCE))?.map_err(|error| broken(&error, &peer))?;
                out.clear();
            }
            if left.capacity() - left.len() < READ / 8 {
                left.reserve(READ);
            }
            tokio::select! {
                read = reader.read_buf(&mut left) => {
                    quiet = 0;
                    if read.map_err(|error| broken(&error, &peer))? == 0 {
                        let cause = "the server closed the connection";
                        return Err(Fault::new(Kind::Unreachable, "talk to", peer, cause).next("it is tried again"));
                    }
                }
                count = self.queue.recv_many(&mut commands, 256) => {
                    if count == 0 {
                        return Ok(Unused);
                    }
                    for command in commands.drain(..) {
                        self.obey(command, &mut out);
                    }
                }
                _ = pulse.tick() => {
                    if quiet >= QUIET && !self.pongs.is_empty() {
                        return Err(silent("talk to", peer.as_str(), PULSE * QUIET));
                    }
                    quiet += 1;
                    self.await_pong(&mut out, "".into(), None);
                }
            }
        }
    }

    fn await_pong(&mut self, out: &mut BytesMut, subject: Arc<str>, done: Option<oneshot::Sender<Result<(), Fault>>>) {
        out.extend_from_slice(b"PING\r\n");
        self.pongs.push_back(Awaited { subject, refused: None, done });
    }

    fn obey(&mut self, command: Command, out: &mut BytesMut) {
        match command {
            Command::Publish { frame, subject, done } => {
                out.extend_from_slice(&frame);
                self.await_pong(out, subject, Some(done));
            }
            Command::Subscribe { sid, subject, said, done } => {
                out.extend_from_slice(&wire::subscribe(&subject, sid));
                self.subscriptions.insert(sid, Wanted { subject: subject.clone(), said, dropped: 0 });
                self.await_pong(out, subject, Some(done));
            }
            Command::Unsubscribe(sid) => {
                out.extend_from_slice(&wire::unsubscribe(sid));
                self.subscriptions.remove(&sid);
            }
            Command::Open { token, answers } => drop(self.answers.insert(token, answers)),
            Command::Close(token) => drop(self.answers.remove(&token)),
        }
    }

    /// Acts on everything that has come whole.
    async fn take_in(&mut self, buffer: &mut BytesMut, out: &mut BytesMut, peer: &SafeText) -> Result<(), Fault> {
        let ops = wire::take(buffer).map_err(|cause| Fault::new(Kind::Protocol, "talk to", peer.clone(), cause))?;
        let (mut sid, mut batch) = (0, Vec::new());
        for op in ops {
            match op {
                Op::Msg(msg) if msg.sid == INBOX_SID => self.answer(msg),
                Op::Msg(msg) => {
                    if msg.sid != sid && !batch.is_empty() {
                        self.deliver(sid, std::mem::take(&mut batch), out).await;
                    }
                    sid = msg.sid;
                    batch.push(msg);
                }
                Op::Ping => out.extend_from_slice(b"PONG\r\n"),
                Op::Pong => {
                    if let Some(Awaited { refused, done: Some(done), .. }) = self.pongs.pop_front() {
                        let _ = done.send(refused.map_or(Ok(()), Err));
                    }
                }
                Op::Info(json) => {
                    if let Ok(info) = serde_json::from_slice::<Info>(&json) {
                        self.discovered.clone_from(&info.connect_urls);
                    }
                }
                Op::Err(said) => self.complaint(&said, peer)?,
            }
        }
        if !batch.is_empty() {
            self.deliver(sid, batch, out).await;
        }
        Ok(())
    }

    /// Gives messages to a subscription's reader; what it cannot take in time is counted.
    async fn deliver(&mut self, sid: u64, batch: Vec<Msg>, out: &mut BytesMut) {
        let Some(wanted) = self.subscriptions.get_mut(&sid) else { return };
        if wanted.dropped > 0 && wanted.said.try_send(Said::Dropped(wanted.dropped)).is_ok() {
            wanted.dropped = 0;
        }
        let count = batch.len() as u64;
        let kept = match wanted.said.try_send(Said::Messages(batch)) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Full(said)) => wanted.said.send_timeout(said, PATIENCE).await.is_ok(),
            Err(mpsc::error::TrySendError::Closed(_)) => {
                out.extend_from_slice(&wire::unsubscribe(sid));
                self.subscriptions.remove(&sid);
                return;
            }
        };
        if !kept {
            wanted.dropped += count;
        }
    }

    fn answer(&mut self, msg: Msg) {
        let token = msg.subject.rsplit(|b| *b == b'.').next().and_then(|token| std::str::from_utf8(token).ok()?.parse::<u64>().ok());
        if let Some(answers) = token.and_then(|token| self.answers.get(&token)) {
            // Whoever asks for more than it makes room for loses the rest; all of ours make room.
            let _ = answers.try_send(msg);
        }
    }

    /// `-ERR`: a refusal belongs to what was said of that subject and is not answered yet; anything else ends the connection.
    fn complaint(&mut self, said: &str, peer: &SafeText) -> Result<(), Fault> {
        let Some(violation) = Violation::of(said) else {
            let mut fault = self.dial.refused(said, peer);
            if said.eq_ignore_ascii_case("stale connection") || said.eq_ignore_ascii_case("slow consumer") {
                fault = Fault::new(Kind::Unreachable, "talk to", peer.clone(), format!("the server ended the connection: {said}"));
            }
            return Err(fault);
        };
        let fault = violation.fault();
        let inbox = violation.subject.starts_with(&self.inbox);
        let whose = self.pongs.iter_mut().find(|awaited| {
            awaited.refused.is_none() && (*awaited.subject == *violation.subject || (inbox && &*awaited.subject == "our inbox"))
        });
        match whose {
            Some(awaited) => awaited.refused = Some(fault),
            None => self.dial.log.record(peer, "refused", said, Duration::ZERO),
        }
        Ok(())
    }

    async fn tell_all(&mut self, said: impl Fn() -> Said) {
        for wanted in self.subscriptions.values_mut() {
            if wanted.dropped > 0 && wanted.said.send_timeout(Said::Dropped(wanted.dropped), PATIENCE).await.is_ok() {
                wanted.dropped = 0;
            }
            let _ = wanted.said.send_timeout(said(), PATIENCE).await;
        }
    }

    /// Connects again, for as long as it takes; what is asked meanwhile fails.
    async fn again(&mut self, mut fault: Fault) -> Result<Opened, Unused> {
        let mut pause = self.reconnect.delay.min(Duration::from_millis(100));
        loop {
            let until = tokio::time::sleep(pause);
            tokio::pin!(until);
            loop {
                tokio::select! {
                    () = &mut until => break,
                    command = self.queue.recv() => self.refuse(command.ok_or(Unused)?, &fault),
                }
            }
            let mut addresses = self.dial.addresses.clone();
            addresses.extend(self.discovered.iter().filter(|url| !self.dial.addresses.contains(url)).cloned());
            match any(&self.dial, &addresses).await {
                Ok(opened) => return Ok(opened),
                Err(failed) => fault = failed,
            }
            self.told.send_replace(Standing::Down(fault.clone()));
            pause = (pause * 2).min(self.reconnect.max_delay).min(LONGEST_PAUSE);
        }
    }

    fn refuse(&mut self, command: Command, fault: &Fault) {
        match command {
            Command::Publish { done, .. } => drop(done.send(Err(fault.clone()))),
            Command::Subscribe { done, .. } => drop(done.send(Err(fault.clone()))),
            Command::Unsubscribe(sid) => drop(self.subscriptions.remove(&sid)),
            Command::Open { .. } | Command::Close(_) => {}
        }
    }
}

/// `Permissions Violation for Publish to "orders.created"`.
struct Violation {
    verb: &'static str,
    subject: String,
    said: String,
}

impl Violation {
    fn of(said: &str) -> Option<Self> {
        let lower = said.to_ascii_lowercase();
        let rest = lower.strip_prefix("permissions violation for ")?;
        let verb = if rest.starts_with("publish") { "publish to" } else { "subscribe to" };
        let subject = said.split('"').nth(1)?.to_owned();
        Some(Self { verb, subject, said: said.to_owned() })
    }

    fn fault(&self) -> Fault {
        Fault::new(Kind::Forbidden, self.verb, &*self.subject, format!("our user may not {} this subject [{}]", self.verb, self.said))
            .next(format!("ask for the permission to {} {}", self.verb, self.subject))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_violation_names_what_was_refused() {
        let violation = Violation::of("Permissions Violation for Publish to \"$JS.API.STREAM.CREATE.X\"").expect("a violation");
        assert_eq!((violation.verb, violation.subject.as_str()), ("publish to", "$JS.API.STREAM.CREATE.X"));
        let violation = Violation::of("Permissions Violation for Subscription to \"a.>\" using queue \"q\"").expect("a violation");
        assert_eq!((violation.verb, violation.fault().kind), ("subscribe to", Kind::Forbidden));
        assert!(Violation::of("Stale Connection").is_none());
    }
}
