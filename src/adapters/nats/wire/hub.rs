//! One connection's state, and where what comes goes: messages to their subscriptions, answers to who waits, the connection's losses to all.

use super::frame::{Frame, Span};
use super::out::{Out, PUBLISH, SUBSCRIBE, Then};
use super::servers::ServerInfo;
use crate::adapters::nats::dial::Dial;
use crate::domain::fault::{Fault, Kind};
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// Takes what one subscription is given, in order. Called by the connection's task, which it must not make wait.
pub(crate) trait Sink: Send {
    fn messages(&mut self, buffer: &Bytes, spans: &[Span]);
    fn down(&mut self, fault: &Fault);
    fn up(&mut self);
    /// Nothing more comes.
    fn over(&mut self);
}

/// How the connection is.
#[derive(Clone, Debug, Default)]
pub(crate) struct ConnectionState {
    /// Counts the connections; 1 is the first.
    pub(crate) epoch: u64,
    pub(crate) down: Option<Fault>,
    /// It stays down: the profile says that it is not tried again.
    pub(crate) over: bool,
}

/// One subscription.
struct Subscribed {
    subject: Box<str>,
    group: Option<Box<str>>,
    /// Messages until it ends by itself.
    left: Option<u64>,
    /// The server took it away from us: it is not there although the connection is.
    refused: bool,
    sink: Box<dyn Sink>,
}

pub(crate) struct Hub {
    pub(crate) dial: Arc<Dial>,
    pub(crate) out: Out,
    state: watch::Sender<ConnectionState>,
    subscribed: Mutex<HashMap<u64, Subscribed>>,
    numbers: AtomicU64,
    info: Mutex<Arc<ServerInfo>>,
    /// The server's last words, which may be why it ended the connection.
    last: Mutex<Option<String>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Hub {
    pub(crate) fn new(dial: Arc<Dial>, info: ServerInfo) -> Arc<Self> {
        Arc::new(Self {
            dial,
            out: Out::default(),
            state: watch::Sender::default(),
            subscribed: Mutex::default(),
            numbers: AtomicU64::new(1),
            info: Mutex::new(Arc::new(info)),
            last: Mutex::default(),
        })
    }

    pub(crate) fn state(&self) -> watch::Receiver<ConnectionState> {
        self.state.subscribe()
    }

    pub(crate) fn info(&self) -> Arc<ServerInfo> {
        lock(&self.info).clone()
    }

    /// A number that nothing else of this connection has.
    pub(crate) fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// Routes what comes by this number from now on. The server is to be told of it.
    pub(crate) fn subscribe(&self, sid: u64, subject: &str, group: Option<&str>, left: Option<u64>, sink: Box<dyn Sink>) {
        let subscribed = Subscribed { subject: subject.into(), group: group.map(Into::into), left, refused: false, sink };
        lock(&self.subscribed).insert(sid, subscribed);
    }

    /// Ends a subscription; the server is told.
    pub(crate) fn unsubscribe(&self, sid: u64) {
        let ended = lock(&self.subscribed).remove(&sid);
        if ended.is_some() {
            // A connection that is not there has no subscriptions.
            let _ = self.out.add(0, None, |bytes| bytes.extend_from_slice(format!("UNSUB {sid}\r\n").as_bytes()));
        }
    }

    /// The server is to send nothing more for a subscription; what is on its way still comes.
    pub(crate) fn end(&self, sid: u64) {
        let _ = self.out.add(0, None, |bytes| bytes.extend_from_slice(format!("UNSUB {sid}\r\n").as_bytes()));
    }

    /// Begins with a new connection: everything is subscribed to again.
    pub(crate) fn begin(&self, info: ServerInfo) {
        *lock(&self.info) = Arc::new(info);
        lock(&self.last).take();
        let mut subscribed = lock(&self.subscribed);
        let mut commands = Vec::new();
        for (sid, one) in subscribed.iter_mut() {
            one.refused = false;
            commands.extend_from_slice(&subscription(*sid, &one.subject, one.group.as_deref(), one.left));
        }
        self.out.begin(|bytes| bytes.extend_from_slice(&commands));
    }

    fn restored(&self) {
        self.out.open();
        self.state.send_modify(|state| *state = ConnectionState { epoch: state.epoch + 1, ..ConnectionState::default() });
        if self.state.borrow().epoch > 1 {
            self.dial.log.record(&self.dial.peer, "connected again", "", Duration::ZERO);
        }
        for one in lock(&self.subscribed).values_mut().filter(|one| !one.refused) {
            one.sink.up();
        }
    }

    /// The connection is gone, and why.
    pub(crate) fn lost(&self, fault: Fault) {
        self.out.close();
        let fault = match lock(&self.last).take() {
            Some(words) => Fault { cause: format!("the server ended the connection: {words}").into(), ..fault },
            None => fault,
        };
        self.dial.log.record(&self.dial.peer, "connection lost", fault.cause.as_str(), Duration::ZERO);
        self.state.send_modify(|state| state.down = Some(fault.clone()));
        for one in lock(&self.subscribed).values_mut() {
            one.sink.down(&fault);
        }
    }

    /// It was tried to connect again, in vain: that says more than that the connection was lost.
    pub(crate) fn not_again(&self, fault: Fault) {
        let fault = if fault.kind == Kind::Unauthorized {
            fault
        } else {
            let cause = format!("the connection was lost, and connecting fails: {}", fault.cause);
            Fault::new(Kind::Unreachable, "connect to", self.dial.peer.clone(), cause).next("it is tried again")
        };
        self.state.send_modify(|state| state.down = Some(fault));
    }

    /// It is not tried again.
    pub(crate) fn give_up(&self) {
        let known = self.state.borrow().down.clone();
        let fault = known.unwrap_or_else(|| Fault::new(Kind::Unreachable, "talk to", self.dial.peer.clone(), "the connection was lost"));
        let fault = self.dial.reconnect.given_up(&fault);
        self.dial.log.record(&self.dial.peer, "connection given up", fault.cause.as_str(), Duration::ZERO);
        self.state.send_modify(|state| *state = ConnectionState { down: Some(fault.clone()), over: true, ..*state });
        for (_, mut one) in lock(&self.subscribed).drain() {
            one.sink.down(&fault);
            one.sink.over();
        }
    }

    /// Messages that came one behind the other.
    pub(crate) fn messages(&self, buffer: &Bytes, spans: &[Span]) {
        let mut subscribed = lock(&self.subscribed);
        for run in spans.chunk_by(|a, b| a.sid == b.sid) {
            let Some(sid) = run.first().map(|span| span.sid) else { continue };
            // What was on its way when a subscription ended is nobody's.
            let Some(one) = subscribed.get_mut(&sid) else { continue };
            one.sink.messages(buffer, run);
            if let Some(left) = &mut one.left {
                *left = left.saturating_sub(run.len() as u64);
                if *left == 0 {
                    one.sink.over();
                    subscribed.remove(&sid);
                }
            }
        }
    }

    /// Everything but a message.
    pub(crate) fn control(&self, buffer: &[u8], frame: &Frame) {
        match frame {
            Frame::Ping => self.out.pong(),
            Frame::Pong => self.answered(),
            Frame::Error(text) => self.refused(&String::from_utf8_lossy(text.bytes(buffer))),
            // A server may say anew which servers there are; one that cannot be understood says nothing new.
            Frame::Info(text) => {
                if let Ok(info) = serde_json::from_slice(text.bytes(buffer)) {
                    *lock(&self.info) = Arc::new(info);
                }
            }
            Frame::Ok | Frame::Message(_) => {}
        }
    }

    fn answered(&self) {
        let Some(waiting) = self.out.answered() else { return };
        match waiting.then {
            // Whoever asked may have gone.
            Then::Answer(answer) => drop(answer.send(waiting.refused.map_or(Ok(()), Err))),
            Then::Restored => self.restored(),
            Then::Pulse => {}
        }
    }

    fn refused(&self, text: &str) {
        let text = text.trim().trim_matches('\'');
        let Some(violation) = Violation::of(text) else {
            *lock(&self.last) = Some(text.to_owned());
            if is_about_a_command(text) {
                self.out.refuse(None, &Fault::new(Kind::Rejected, "talk to", self.dial.peer.clone(), format!("the server says: {text}")));
            }
            return;
        };
        let fault = violation.fault();
        if self.out.refuse(Some((violation.verb, &violation.subject)), &fault) {
            return;
        }
        self.dial.log.record(&self.dial.peer, "refused", text, Duration::ZERO);
        // A permission that was taken away ends subscriptions.
        if violation.verb == SUBSCRIBE {
            for one in lock(&self.subscribed).values_mut().filter(|one| *one.subject == *violation.subject) {
                one.refused = true;
                one.sink.down(&fault);
            }
        }
    }
}

/// The command that subscribes.
pub(crate) fn subscription(sid: u64, subject: &str, group: Option<&str>, left: Option<u64>) -> Vec<u8> {
    let group = group.map_or_else(String::new, |group| format!("{group} "));
    let end = left.map_or_else(String::new, |left| format!("UNSUB {sid} {left}\r\n"));
    format!("SUB {subject} {group}{sid}\r\n{end}").into_bytes()
}

/// What the server says of a command of ours rather than of the connection. The protocol has no codes, only these words.
fn is_about_a_command(text: &str) -> bool {
    const BEGINNINGS: &[&str] =
        &["invalid subject", "invalid publish subject", "maximum subscriptions", "maximum payload", "message headers"];
    let text = text.to_ascii_lowercase();
    BEGINNINGS.iter().any(|beginning| text.starts_with(beginning))
}

/// `Permissions Violation for Publish to "orders.created"`.
struct Violation {
    verb: &'static str,
    subject: String,
    words: String,
}

impl Violation {
    fn of(words: &str) -> Option<Self> {
        let lower = words.to_ascii_lowercase();
        let rest = lower.strip_prefix("permissions violation for ")?;
        let verb = if rest.starts_with("publish") { PUBLISH } else { SUBSCRIBE };
        Some(Self { verb, subject: unquoted(words)?, words: words.to_owned() })
    }

    fn fault(&self) -> Fault {
        Fault::new(Kind::Forbidden, self.verb, &*self.subject, format!("our user may not {} this subject [{}]", self.verb, self.words))
            .next(format!("ask for the permission to {} {}", self.verb, self.subject))
    }
}

/// The first text in quotes, which the server writes as Go does (`%q`).
fn unquoted(words: &str) -> Option<String> {
    let (_, rest) = words.split_once('"')?;
    let (mut text, mut chars) = (String::new(), rest.chars());
    loop {
        match chars.next()? {
            '"' => return Some(text),
            '\\' => match chars.next()? {
                kind @ ('x' | 'u' | 'U') => {
                    let digits: String = chars
                        .by_ref()
                        .take(match kind {
                            'x' => 2,
                            'u' => 4,
                            _ => 8,
                        })
                        .collect();
                    text.push(char::from_u32(u32::from_str_radix(&digits, 16).ok()?).unwrap_or(char::REPLACEMENT_CHARACTER));
                }
                c => text.push(c),
            },
            c => text.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::nats::wire::mailbox::{Event, Mailbox};
    use crate::adapters::wirelog::WireLog;
    use crate::config::profile::Integration;
    use tokio::sync::oneshot;

    fn hub() -> Arc<Hub> {
        let integration = Integration::new("nats", "nats", vec!["127.0.0.1:4222".to_owned()]);
        let hub = Hub::new(Arc::new(Dial::new(&integration, WireLog::default()).expect("a dial")), ServerInfo::default());
        hub.begin(ServerInfo::default());
        hub.control(b"", &Frame::Pong);
        hub
    }

    fn say(hub: &Hub, text: &str) {
        let bytes = format!("{text}\r\n");
        let crate::adapters::nats::wire::frame::Read::Frame(frame, _) = crate::adapters::nats::wire::frame::read(bytes.as_bytes(), 0)
        else {
            panic!("{text}");
        };
        hub.control(bytes.as_bytes(), &frame);
    }

    #[test]
    fn a_violation_names_what_was_refused() {
        let violation = Violation::of("Permissions Violation for Publish to \"$JS.API.STREAM.CREATE.X\"").expect("a violation");
        assert_eq!((violation.verb, violation.subject.as_str()), (PUBLISH, "$JS.API.STREAM.CREATE.X"));
        let violation =
            Violation::of("Permissions Violation for Subscription to \"a.\\\"\\u00e9.>\" using queue \"q\"").expect("a violation");
        assert_eq!((violation.verb, violation.subject.as_str(), violation.fault().kind), (SUBSCRIBE, "a.\"é.>", Kind::Forbidden));
        assert!(Violation::of("Stale Connection").is_none());
    }

    #[test]
    fn the_servers_last_words_are_the_cause() {
        let hub = hub();
        say(&hub, "-ERR 'User Authentication Expired'");
        hub.lost(Fault::new(Kind::Unreachable, "talk to", "x", "the connection was closed"));
        let state = hub.state().borrow().clone();
        assert!(state.down.expect("down").cause.as_str().contains("User Authentication Expired"));
        hub.begin(ServerInfo::default());
        assert!(hub.state().borrow().down.is_some(), "not before everything is subscribed to again");
        say(&hub, "PONG");
        let state = hub.state().borrow().clone();
        assert!(state.epoch == 2 && state.down.is_none());
    }

    #[test]
    fn a_subscription_ends_with_its_last_message_and_is_told_of_what_becomes_of_the_connection() {
        let hub = hub();
        let mailbox = Mailbox::default();
        hub.subscribe(7, "a", None, Some(2), Box::new(mailbox.clone()));
        let span = Span { sid: 7, ..Span::default() };
        hub.messages(&Bytes::new(), &[span]);
        hub.lost(Fault::new(Kind::Unreachable, "talk to", "x", "gone"));
        hub.begin(ServerInfo::default());
        let written = futures::FutureExt::now_or_never(hub.out.take()).expect("something").bytes().to_vec();
        assert!(String::from_utf8_lossy(&written).ends_with("SUB a 7\r\nUNSUB 7 1\r\nPING\r\n"), "{written:?}");
        say(&hub, "PONG");
        hub.messages(&Bytes::new(), &[span, span, span]);
        let came: Vec<Event> = std::iter::from_fn(|| mailbox.ready()).collect();
        assert!(matches!(came[..4], [Event::Message(_), Event::Down(_), Event::Up, Event::Message(_)]), "{came:?}");
        assert!(futures::executor::block_on(mailbox.next()).is_none());
    }

    #[test]
    fn what_nobody_waits_for_is_told_to_the_subscription_that_lost_its_permission() {
        let hub = hub();
        let mailbox = Mailbox::default();
        hub.subscribe(7, "a", None, None, Box::new(mailbox.clone()));
        let (then, mut answer) = oneshot::channel();
        let waiting = super::super::out::Waiting::new(PUBLISH, "a", Then::Answer(then));
        assert!(hub.out.add(0, Some(waiting), |_| {}).is_ok());
        say(&hub, "-ERR 'Permissions Violation for Subscription to \"a\"'");
        say(&hub, "PONG");
        assert_eq!(answer.try_recv().expect("answered"), Ok(()));
        assert!(matches!(mailbox.ready(), Some(Event::Down(fault)) if fault.kind == Kind::Forbidden));
    }
}
