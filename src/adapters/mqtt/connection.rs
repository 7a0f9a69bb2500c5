//! One connection to the broker, driven by a task of its own: what is asked of it gets its own answer, what comes goes to its inbox.
//!
//! The client crate names packets only when they are sent, in the order in which they were asked for; answers name packets. A connection
//! that fails does not come back: whoever needs one opens another, so that nothing is sent twice without anybody knowing.

use super::faults::{self, Ending, Refusal};
use super::message::Reader;
use super::topic;
use super::wire::{Answer, Client, Dial, Events, Happened, Packet, Qos, Server, Subscription};
use crate::adapters::backlog::Feed;
use crate::adapters::room::Room;
use crate::adapters::wirelog::WireLog;
use crate::domain::fault::{Fault, Kind};
use crate::domain::text::SafeText;
use std::collections::{HashMap, VecDeque};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

/// Asked for and not sent yet, at most: then who asks has to wait.
const UNSENT: usize = 1_000;
/// Room for requests in the client crate: what is unsent, and an acknowledgement for each packet that can be open.
pub(super) const ROOM: usize = UNSENT + 65_536;
/// How long a goodbye may take.
const GOODBYE: Duration = Duration::from_secs(1);

/// Where messages go. Called by the task of the connection: it must not wait.
pub(super) type Inbox = Box<dyn FnMut(Packet) + Send>;

/// An inbox that makes messages of what comes for a backlog. `wanted` keeps out what does not belong there.
pub(super) fn inbox(feed: &Feed, mut reader: Reader, wanted: impl Fn(&Packet) -> bool + Send + 'static) -> Inbox {
    let feed = feed.clone();
    Box::new(move |packet| {
        if wanted(&packet) {
            feed.extend([reader.message(packet)]);
        }
    })
}

/// An open connection. Dropping it says goodbye to the broker.
pub(super) struct Connection {
    pub(super) server: Server,
    /// Counts the connections of an integration.
    pub(super) epoch: u64,
    pub(super) peer: SafeText,
    commands: mpsc::Sender<Command>,
    gone: watch::Receiver<Option<Ending>>,
    log: WireLog,
    timeout: Duration,
}

type Answered = oneshot::Sender<Result<Answer, Fault>>;
type Granted = oneshot::Sender<Result<Vec<Result<(), Refusal>>, Fault>>;

enum Command {
    Publish(Packet, Answered),
    Subscribe(Vec<Subscription>, Granted),
    Unsubscribe(String, Granted),
    Ack(u16, Qos),
}

/// Waits for the broker to take the connection, and has it driven from then on. The inbox is taken only when that succeeds.
pub(super) async fn open<C: Client, E: Events>(
    (client, mut events): (C, E),
    inbox: &mut Option<Inbox>,
    dial: &Dial,
    epoch: u64,
    log: &WireLog,
) -> Result<Connection, Ending> {
    let server = loop {
        if let Happened::Connected(server) = events.next().await? {
            break server;
        }
    };
    let (commands, asked) = mpsc::channel(UNSENT);
    let (gone_in, gone) = watch::channel(None);
    let driver = Driver {
        client,
        asked,
        inbox: inbox.take().unwrap_or_else(|| Box::new(|_| {})),
        room: dial.room.clone().unwrap_or_default(),
        pinged: Instant::now(),
        over: None,
        unsent: VecDeque::new(),
        publishes: HashMap::new(),
        subscribes: HashMap::new(),
    };
    tokio::spawn(driver.run(events, gone_in, dial.peer.clone()));
    Ok(Connection { server, epoch, peer: dial.peer.clone(), commands, gone, log: log.clone(), timeout: dial.timeout })
}

impl Connection {
    /// Publishes and waits for what the broker says of it.
    pub(super) async fn publish(&self, op: &'static str, packet: Packet) -> Result<Answer, Fault> {
        let asked = Instant::now();
        let (target, qos, size) = (SafeText::new(&packet.topic), packet.qos, packet.payload.len());
        let (answer, answered) = oneshot::channel();
        let sent = self.commands.send(Command::Publish(packet, answer)).await;
        let said = match sent {
            Ok(()) => self.wait(answered, op, &target).await,
            Err(_) => Err(self.fault(op, &target)),
        };
        let outcome = match &said {
            Ok(Answer::Unsaid) => "sent".into(),
            Ok(Answer::Taken) => "taken".into(),
            Ok(Answer::Nobody) => "taken, no matching subscriber".into(),
            Ok(Answer::Refused(refusal)) => refusal.cause.clone(),
            Err(fault) => fault.cause.clone(),
        };
        self.log.record(&self.peer, format!("PUBLISH {target} QoS {} {size} B", qos.word()), outcome, asked.elapsed());
        said
    }

    /// Subscribes; a filter that the broker refuses fails it.
    pub(super) async fn subscribe(&self, op: &'static str, wanted: Vec<Subscription>) -> Result<(), Fault> {
        let filters: Vec<String> = wanted.iter().map(|wanted| wanted.filter.clone()).collect();
        // Asked for all the same, it would cost the connection.
        let lacks =
            |filter: &&String| !self.server.shares && topic::is_shared(filter) || !self.server.wildcards && topic::is_filter(filter);
        if let Some(filter) = filters.iter().find(lacks) {
            return Err(Fault::new(Kind::Rejected, op, filter.as_str(), "the broker has no such subscriptions").next("name whole topics"));
        }
        for (filter, refusal) in filters.iter().zip(self.ask_subscribe(op, wanted).await?) {
            if let Err(refusal) = refusal {
                return Err(refusal.fault(op, filter.as_str()));
            }
        }
        Ok(())
    }

    /// Asks for subscriptions; each filter's answer, in their order.
    pub(super) async fn ask_subscribe(&self, op: &'static str, wanted: Vec<Subscription>) -> Result<Vec<Result<(), Refusal>>, Fault> {
        let asked = Instant::now();
        let target = SafeText::new(&wanted.iter().map(|wanted| wanted.filter.as_str()).collect::<Vec<_>>().join(", "));
        let (answer, answered) = oneshot::channel();
        let said = match self.commands.send(Command::Subscribe(wanted, answer)).await {
            Ok(()) => self.wait(answered, op, &target).await,
            Err(_) => Err(self.fault(op, &target)),
        };
        let outcome = match &said {
            Ok(codes) => {
                codes.iter().find_map(|code| code.as_ref().err()).map_or_else(|| "granted".into(), |refusal| refusal.cause.clone())
            }
            Err(fault) => fault.cause.clone(),
        };
        self.log.record(&self.peer, format!("SUBSCRIBE {target}"), outcome, asked.elapsed());
        said
    }

    /// Ends a subscription. What the broker has set aside for it may still come.
    pub(super) async fn unsubscribe(&self, op: &'static str, filter: &str) -> Result<(), Fault> {
        let asked = Instant::now();
        let target = SafeText::new(filter);
        let (answer, answered) = oneshot::channel();
        let said = match self.commands.send(Command::Unsubscribe(filter.to_owned(), answer)).await {
            Ok(()) => self.wait(answered, op, &target).await,
            Err(_) => Err(self.fault(op, &target)),
        };
        let outcome = said.as_ref().map_or_else(|fault| fault.cause.clone(), |_| "done".into());
        self.log.record(&self.peer, format!("UNSUBSCRIBE {target}"), outcome, asked.elapsed());
        said.map(drop)
    }

    /// Acknowledges a message that came by this connection.
    pub(super) async fn ack(&self, op: &'static str, id: u16, qos: Qos) -> Result<(), Fault> {
        let sent = self.commands.send(Command::Ack(id, qos)).await;
        self.log.record(&self.peer, format!("PUBACK {id}"), if sent.is_ok() { "sent" } else { "the connection is gone" }, Duration::ZERO);
        sent.map_err(|_| self.fault(op, &self.peer))
    }

    /// Whether it has failed.
    pub(super) fn is_gone(&self) -> bool {
        self.gone.borrow().is_some() || self.commands.is_closed()
    }

    /// Waits until it fails, and says why.
    pub(super) async fn gone(&self) -> Fault {
        self.ending().await.fault
    }

    /// The same, with what is decided by.
    pub(super) async fn ending(&self) -> Ending {
        let mut gone = self.gone.clone();
        let said = gone.wait_for(Option::is_some).await.ok().and_then(|ending| ending.clone());
        said.unwrap_or_else(|| faults::closed(true, &self.peer))
    }

    /// Says goodbye, and waits until the broker can have heard it.
    pub(super) async fn close(self) {
        let Self { commands, mut gone, .. } = self;
        drop(commands);
        // Whether it was heard or not: it is over.
        let _ = timeout(GOODBYE, gone.wait_for(Option::is_some)).await;
    }

    async fn wait<T>(&self, answered: oneshot::Receiver<Result<T, Fault>>, op: &'static str, target: &SafeText) -> Result<T, Fault> {
        match timeout(self.timeout, answered).await {
            Ok(Ok(answer)) => answer.map_err(|fault| Fault { op, target: target.clone(), ..fault }),
            Ok(Err(_)) => Err(self.fault(op, target)),
            Err(_) => {
                Err(Fault::new(Kind::Timeout, op, target.clone(), "the broker did not answer in time: whether it took it is unknown")
                    .next("it may be busy or stopped"))
            }
        }
    }

    fn fault(&self, op: &'static str, target: &SafeText) -> Fault {
        let ending = self.gone.borrow().clone().unwrap_or_else(|| faults::closed(true, &self.peer));
        Fault { op, target: target.clone(), ..ending.fault }
    }
}

/// Somebody who waits for an answer.
enum Waiter {
    Publish(Qos, Answered),
    Subscribe(Granted),
}

struct Driver<C> {
    client: C,
    asked: mpsc::Receiver<Command>,
    inbox: Inbox,
    /// What the inbox has not handed on.
    room: Arc<Room>,
    /// When the broker was last asked whether it lives.
    pinged: Instant,
    /// When it ends, now that nobody needs it any more.
    over: Option<Instant>,
    /// Asked for, in order, and not sent yet.
    unsent: VecDeque<Waiter>,
    /// Sent and not answered, by packet, with what is known so far at `QoS` 2.
    publishes: HashMap<u16, (Answered, Option<Answer>)>,
    subscribes: HashMap<u16, Granted>,
}

impl<C: Client> Driver<C> {
    async fn run<E: Events>(mut self, mut events: E, gone: watch::Sender<Option<Ending>>, peer: SafeText) {
        let ending = self.drive(&mut events, &peer).await;
        // What had come before it failed.
        while let Some(happened) = events.more() {
            if let Happened::Message(packet) = happened {
                (self.inbox)(packet);
            }
        }
        gone.send_replace(Some(ending.clone()));
        self.fail(&ending.fault);
    }

    /// Until the connection fails, or nobody needs it any more.
    async fn drive<E: Events>(&mut self, events: &mut E, peer: &SafeText) -> Ending {
        loop {
            if let Some(ending) = self.pause(events, peer).await {
                return ending;
            }
            let happened = {
                let mut next = pin!(events.next());
                loop {
                    let over = self.over;
                    tokio::select! {
                        happened = &mut next => break happened,
                        command = self.asked.recv(), if over.is_none() && self.unsent.len() < UNSENT => {
                            if let Some(ending) = self.asked_for(command, peer) {
                                return ending;
                            }
                        }
                        () = until(over), if over.is_some() => return faults::closed(true, peer),
                    }
                }
            };
            // Under a flood many have happened at once: each by itself would be waited for, and the broker drops what is not read in time.
            let mut happened = Some(happened);
            while let Some(one) = happened {
                match one {
                    Ok(Happened::Closed) => return faults::closed(true, peer),
                    Ok(one) => self.take(one),
                    Err(ending) => return ending,
                }
                happened = events.more().map(Ok);
            }
        }
    }

    /// While there is no room for more messages, waits for it: until something is asked for, or the broker has to hear of us.
    async fn pause<E: Events>(&mut self, events: &mut E, peer: &SafeText) -> Option<Ending> {
        if self.over.is_some() || self.room.is_free() {
            return None;
        }
        let silent = self.pinged + events.pause();
        let room = self.room.clone();
        tokio::select! {
            () = room.free() => None,
            command = self.asked.recv(), if self.unsent.len() < UNSENT => self.asked_for(command, peer),
            () = until(Some(silent)) => None,
        }
    }

    /// What is asked for goes out; `None` of it is the end.
    fn asked_for(&mut self, command: Option<Command>, peer: &SafeText) -> Option<Ending> {
        match command {
            Some(command) => self.ask(command, peer),
            // What was asked for before is sent before.
            None if self.client.disconnect() => self.over = Some(Instant::now() + GOODBYE),
            None => return Some(faults::closed(true, peer)),
        }
        None
    }

    fn ask(&mut self, command: Command, peer: &SafeText) {
        match command {
            Command::Publish(packet, answer) => {
                let qos = packet.qos;
                if self.client.publish(packet) {
                    self.unsent.push_back(Waiter::Publish(qos, answer));
                } else {
                    let _ = answer.send(Err(full(peer)));
                }
            }
            Command::Subscribe(wanted, answer) => {
                if self.client.subscribe(&wanted) {
                    self.unsent.push_back(Waiter::Subscribe(answer));
                } else {
                    let _ = answer.send(Err(full(peer)));
                }
            }
            Command::Unsubscribe(filter, answer) => {
                if self.client.unsubscribe(&filter) {
                    self.unsent.push_back(Waiter::Subscribe(answer));
                } else {
                    let _ = answer.send(Err(full(peer)));
                }
            }
            Command::Ack(id, qos) => {
                if !self.client.ack(id, qos) {
                    tracing::warn!(%peer, id, "an acknowledgement found no room");
                }
            }
        }
    }

    /// Who waits may have gone away meanwhile: then nobody hears the answer.
    fn take(&mut self, happened: Happened) {
        match happened {
            Happened::Message(packet) => (self.inbox)(packet),
            Happened::Pinged => self.pinged = Instant::now(),
            Happened::Published(id) => {
                if let Some(Waiter::Publish(qos, answer)) = self.unsent.pop_front() {
                    if qos == Qos::Zero {
                        let _ = answer.send(Ok(Answer::Unsaid));
                    } else {
                        self.publishes.insert(id, (answer, None));
                    }
                }
            }
            Happened::Subscribing(id) => {
                if let Some(Waiter::Subscribe(answer)) = self.unsent.pop_front() {
                    self.subscribes.insert(id, answer);
                }
            }
            Happened::Received(id, so_far) => {
                if let Some((_, known)) = self.publishes.get_mut(&id) {
                    *known = Some(so_far);
                }
            }
            Happened::Finished(id, last) => {
                if let Some((answer, known)) = self.publishes.remove(&id) {
                    // At QoS 2 the first answer says who received it, the last that it is over.
                    let said = if last == Answer::Taken { known.unwrap_or(last) } else { last };
                    let _ = answer.send(Ok(said));
                }
            }
            Happened::Subscribed(id, codes) => {
                if let Some(answer) = self.subscribes.remove(&id) {
                    let _ = answer.send(Ok(codes));
                }
            }
            Happened::Connected(_) | Happened::Closed | Happened::Other => {}
        }
    }

    /// Tells everybody who waits. What was sent and not answered may have been taken.
    fn fail(&mut self, fault: &Fault) {
        let sent =
            Fault { cause: SafeText::new(&format!("{}; whether the broker took the message is unknown", fault.cause)), ..fault.clone() };
        for (_, (answer, _)) in self.publishes.drain() {
            let _ = answer.send(Err(sent.clone()));
        }
        for (_, answer) in self.subscribes.drain() {
            let _ = answer.send(Err(fault.clone()));
        }
        for waiter in self.unsent.drain(..) {
            match waiter {
                Waiter::Publish(_, answer) => drop(answer.send(Err(sent.clone()))),
                Waiter::Subscribe(answer) => drop(answer.send(Err(fault.clone()))),
            }
        }
        self.asked.close();
        while let Ok(command) = self.asked.try_recv() {
            let not_sent = Fault { cause: SafeText::new(&format!("{}; nothing was sent", fault.cause)), ..fault.clone() };
            match command {
                Command::Publish(_, answer) => drop(answer.send(Err(not_sent))),
                Command::Subscribe(_, answer) | Command::Unsubscribe(_, answer) => drop(answer.send(Err(fault.clone()))),
                Command::Ack(..) => {}
            }
        }
    }
}

async fn until(instant: Option<Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant.into()).await,
        None => std::future::pending().await,
    }
}

fn full(peer: &SafeText) -> Fault {
    Fault::new(Kind::Rejected, "send to", peer.clone(), "too much waits to be sent already; nothing was sent")
}

/// A connection that several share.
pub(super) type Shared = Arc<Connection>;
