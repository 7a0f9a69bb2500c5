//! Holding messages of pull consumers: received, and settled one by one with the server's own acknowledgement of each decision.
//!
//! A message is lost when the consumer's `ack_wait` has run out: the server may have given it to somebody else since then. A broken connection
//! loses none, because decisions are sent to a subject and not to a connection.

use super::Shared;
use super::api::Api;
use super::headers;
use super::link::{Link, Subscription, is_nobody};
use super::model::ConsumerInfo;
use super::names::Name;
use super::queue::Taking;
use super::wire::mailbox::{Event, Msg};
use crate::adapters::fit::Fit;
use crate::adapters::session::{Came, Closed, Handle, Hold, Holding};
use crate::domain::delivery::{Delivery, Effect, Given, ReceiveOption, Settlement, Settles, Verb};
use crate::domain::fault::{Fault, Kind};
use crate::domain::figure;
use crate::domain::figure::several;
use crate::domain::message::{Message, Stamp};
use crate::domain::operation::Field;
use crate::domain::position::Position;
use crate::domain::time::Timestamp;
use async_trait::async_trait;
use serde_json::json;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

const OP: &str = "receive from";
const SETTLE: &str = "settle";
/// How long one request for messages stands before it is made again.
const EXPIRES: Duration = Duration::from_secs(5);

const DELAY: Field = Field::number("delay", "Delay", "seconds before it is redelivered; at once without it", 0, 31_536_000);
const REASON: Field = Field::text("reason", "Reason", "is in the advisory (2.10 and later)");

static VERBS: [Verb; 4] = [
    Verb::new(Effect::Ack, "ack", "done: the consumer never gets it again"),
    Verb::new(Effect::Requeue, "nak", "redelivered, at once or after a delay").asks(&[DELAY]),
    Verb::new(Effect::Reject, "term", "never redelivered; it stays in the stream, and an advisory tells of it").asks(&[REASON]),
    Verb::new(Effect::Extend, "in progress", "the time to decide begins again"),
];

pub(super) struct NatsHold {
    shared: Shared,
}

impl NatsHold {
    pub(super) fn new(shared: Shared) -> Self {
        Self { shared }
    }

    /// The consumer that a channel names; a stream with one that can be held from means that one.
    async fn consumer(&self, channel: &str) -> Result<ConsumerInfo, Fault> {
        let api = &self.shared.api;
        match Name::of(OP, channel)? {
            Name::Consumer { stream, consumer } => {
                let info = api.consumer(OP, stream, consumer).await?;
                let cannot = |cause: &str| Err(Fault::new(Kind::Usage, OP, channel, cause.to_owned()));
                if !info.is_pull() {
                    return cannot("messages are pushed to a subject: only a pull consumer can be asked for them");
                }
                if !info.is_explicit() {
                    return cannot("its messages are not acknowledged one by one");
                }
                Ok(info)
            }
            Name::Stream(stream) => {
                let mut usable = self.usable(stream).await?;
                if usable.len() == 1 {
                    return Ok(usable.remove(0));
                }
                if usable.is_empty() {
                    return Err(none(channel));
                }
                let names: Vec<String> = usable.iter().map(|info| format!("consumer:{stream}/{}", info.name)).collect();
                let fault = Fault::new(Kind::Usage, OP, channel, "the stream has several consumers");
                Err(fault.next(format!("say which: {}", names.join(", "))))
            }
            Name::Subject(_) | Name::Service(_) | Name::Queue { .. } => {
                Err(Fault::new(Kind::Usage, OP, channel, "nothing is held for a subject").next("name a consumer: consumer:STREAM/CONSUMER"))
            }
        }
    }
}

impl NatsHold {
    /// The consumers of a stream that messages can be received from and settled one by one.
    async fn usable(&self, stream: &str) -> Result<Vec<ConsumerInfo>, Fault> {
        let mut usable = self.shared.api.consumers(OP, stream).await?;
        usable.retain(|info| info.is_pull() && info.is_explicit());
        Ok(usable)
    }
}

fn none(channel: &str) -> Fault {
    Fault::new(Kind::NotFound, OP, channel, "no pull consumer of it acknowledges").next("make one first: operation consumer.create")
}

#[async_trait]
impl Hold for NatsHold {
    fn verbs(&self, channel: &str) -> &'static [Verb] {
        match Name::of(OP, channel) {
            Ok(Name::Queue { .. }) => &[],
            _ => &VERBS,
        }
    }

    fn warning(&self, channel: &str) -> Option<&'static str> {
        matches!(Name::of(OP, channel), Ok(Name::Queue { .. })).then_some(super::queue::WARNING)
    }

    async fn spends(&self, channel: &str) -> Result<Option<Settles>, Fault> {
        match Name::of(OP, channel)? {
            Name::Queue { .. } => Ok(None),
            _ => Ok(super::settles::spends(&self.consumer(channel).await?)),
        }
    }

    async fn ack_timeout(&self, channel: &str) -> Result<Option<Duration>, Fault> {
        match Name::of(OP, channel)? {
            Name::Queue { .. } => Ok(None),
            _ => Ok(super::groups::patience(&self.consumer(channel).await?)),
        }
    }

    fn unsettled_fate(&self, channel: &str) -> &'static str {
        match Name::of(OP, channel) {
            Ok(Name::Queue { .. }) => "is gone for the group's other members: it cannot be given back",
            _ => "is given back (nak) for whoever asks next, and its deliveries are counted",
        }
    }

    fn outlives_connections(&self, _channel: &str) -> bool {
        true
    }

    async fn receive_options(&self, channel: &str) -> Result<Vec<ReceiveOption>, Fault> {
        let Name::Stream(stream) = Name::of(OP, channel)? else { return Ok(Vec::new()) };
        let usable = self.usable(stream).await?;
        if usable.is_empty() {
            return Err(none(channel));
        }
        let about = |info: &ConsumerInfo| {
            format!("{} behind, {} unacknowledged", figure::count(info.num_pending), figure::count(info.num_ack_pending)).into()
        };
        let way = |info: &ConsumerInfo| ReceiveOption {
            name: info.name.as_str().into(),
            channel: format!("consumer:{stream}/{}", info.name).into(),
            about: about(info),
        };
        Ok(usable.iter().map(way).collect())
    }

    async fn settles(&self, channel: &str, effect: Effect, given: &[Given]) -> Result<Settles, Fault> {
        let consumer = self.consumer(channel).await?;
        let stream = self.shared.api.stream(OP, &consumer.stream_name).await?;
        Ok(super::settles::of(&stream, &consumer, effect, given))
    }

    async fn receive(&self, channel: &str, most: u32) -> Result<Box<dyn Holding>, Fault> {
        if let Name::Queue { subject, group } = Name::of(OP, channel)? {
            return Ok(Box::new(Taking::begin(&self.shared, subject, group, most).await?));
        }
        let info = self.consumer(channel).await?;
        let link = Link::open(self.shared.dial.clone()).await?;
        // Messages come under the subjects they were published to, so that they need a subscription of their own.
        let inbox = link.own_subject();
        Ok(Box::new(NatsHolding {
            subscription: link.subscribe(OP, &inbox).await?,
            inbox,
            api: Api { link },
            channel: format!("stream:{}", info.stream_name).into(),
            target: format!("consumer:{}/{}", info.stream_name, info.name),
            next: self.shared.api.subject(&format!("CONSUMER.MSG.NEXT.{}.{}", info.stream_name, info.name)),
            patience: super::groups::patience(&info),
            most: most.max(1) as usize,
            held: HashMap::new(),
            waiting: VecDeque::new(),
            asked: None,
            fit: Fit::default(),
            largest: 0,
            given: 0,
            interrupted: false,
            ended: false,
        }))
    }
}

/// A message that waits for a decision.
struct Held {
    /// Where the decision is sent.
    reply: String,
    since: Instant,
}

/// A request for messages that is not used up.
struct Asked {
    left: usize,
    until: Instant,
}

struct NatsHolding {
    api: Api,
    subscription: Subscription,
    /// What messages are sent to.
    inbox: String,
    channel: Arc<str>,
    target: String,
    next: String,
    patience: Option<Duration>,
    most: usize,
    held: HashMap<u128, Held>,
    /// Came, and was not looked at yet.
    waiting: VecDeque<Msg>,
    asked: Option<Asked>,
    /// How many are asked for at once, and the largest of those that came since.
    fit: Fit,
    largest: usize,
    given: u128,
    /// Something went wrong with the connection, and it is not there again.
    interrupted: bool,
    ended: bool,
}

impl NatsHolding {
    /// Asks for as many as may be held beside those that are. Expired ones are somebody else's now. Where as many are held as may be, it
    /// waits until the time of one is over: whoever settles one gives this up, and begins again.
    async fn ask(&mut self) -> Result<Asked, Fault> {
        let room = loop {
            let room = self.most.saturating_sub(self.held.values().filter(|held| !self.is_over(held)).count());
            if room > 0 {
                break room;
            }
            let over = self
                .patience
                .and_then(|patience| self.held.values().map(|held| held.since + patience).filter(|over| *over > Instant::now()).min());
            match over {
                Some(over) => tokio::time::sleep_until(over.into()).await,
                None => return std::future::pending().await,
            }
        };
        let expires = u64::try_from(EXPIRES.as_nanos()).unwrap_or(u64::MAX);
        if self.largest > 0 {
            self.fit.saw([std::mem::take(&mut self.largest)]);
        }
        let count = self.fit.count().min(room);
        let body = json!({ "batch": count, "expires": expires }).to_string();
        self.api.link.publish(OP, &self.next, Some(&self.inbox), &[], body.as_bytes()).await?;
        // The server says when the request is over; a moment later we ask again all the same.
        Ok(Asked { left: count, until: Instant::now() + EXPIRES + Duration::from_secs(1) })
    }

    /// The next thing that comes; `None` when the request is over.
    async fn message(&mut self) -> Result<Option<Msg>, Fault> {
        if let Some(msg) = self.waiting.pop_front() {
            return Ok(Some(msg));
        }
        if self.asked.is_none() {
            self.asked = Some(self.ask().await?);
        }
        let until = self.asked.as_ref().map_or_else(Instant::now, |asked| asked.until);
        match tokio::time::timeout_at(until.into(), self.subscription.next()).await {
            Ok(Some(Event::Message(msg))) => return Ok(Some(msg)),
            Ok(Some(Event::Down(fault))) => {
                self.asked = None;
                return Err(fault);
            }
            // Nothing that was sent to us is lost: the server gives it again.
            Ok(Some(Event::Dropped(_) | Event::Up)) | Err(_) => self.asked = None,
            Ok(None) => return Err(Fault::new(Kind::Unreachable, OP, self.target.as_str(), "the connection has ended")),
        }
        Ok(self.waiting.pop_front())
    }

    /// Takes what has come already and was not looked at.
    fn gather(&mut self) {
        while let Some(event) = self.subscription.ready() {
            if let Event::Message(msg) = event {
                self.waiting.push_back(msg);
            }
        }
    }

    fn is_over(&self, held: &Held) -> bool {
        self.patience.is_some_and(|patience| held.since.elapsed() >= patience)
    }

    /// One message, or nothing when the request is used up. May be given up at any moment: nothing is lost by that.
    async fn step(&mut self) -> Result<Option<Came>, Fault> {
        let Some(msg) = self.message().await? else { return Ok(None) };
        let Some((status, reason)) = self.status(&msg) else {
            if let Some(asked) = &mut self.asked {
                asked.left = asked.left.saturating_sub(1);
            }
            self.asked.take_if(|asked| asked.left == 0);
            self.largest = self.largest.max(msg.payload.len() + msg.block.len());
            return self.received(&msg).map(Some);
        };
        // 100 is a heartbeat; everything else ends the request.
        if status == 100 {
            return Ok(None);
        }
        self.asked = None;
        let gone = |cause: &str| Err(Fault::new(Kind::NotFound, OP, self.target.as_str(), cause.to_owned()));
        match status {
            404 | 408 => Ok(None),
            409 if reason.contains("Leadership Change") || reason.contains("Shutdown") => Ok(None),
            409 if reason.contains("Deleted") => gone("the consumer was deleted"),
            503 => gone("the consumer does not answer: it may be deleted"),
            _ => Err(Fault::new(Kind::Rejected, OP, self.target.as_str(), format!("the server answers {status} {reason}"))),
        }
    }

    /// What the server says of a request for messages: it comes under our own subject. A message comes under its own, whatever its
    /// publisher wrote into its headers.
    fn status(&self, msg: &Msg) -> Option<(u16, String)> {
        if msg.subject == self.inbox.as_bytes() && msg.reply.is_empty() { headers::status(msg) } else { None }
    }

    fn received(&mut self, msg: &Msg) -> Result<Came, Fault> {
        let (reply, told) = msg
            .reply()
            .and_then(|reply| Some((reply.to_owned(), ReplySubject::of(reply)?)))
            .ok_or_else(|| Fault::new(Kind::Protocol, OP, self.target.as_str(), "a message came that cannot be acknowledged"))?;
        self.given += 1;
        self.held.insert(self.given, Held { reply, since: Instant::now() });
        let delivery = Delivery {
            ticket: None,
            message: Message {
                channel: self.channel.clone(),
                position: Position::Sequence(told.seq),
                timestamp: told.time,
                stamp: Stamp::Stored,
                key: Some(msg.subject.clone()),
                headers: headers::of(&msg.block),
                payload: Some(msg.payload.clone()),
            },
            deliveries: Some(told.deliveries),
            redelivered: told.deliveries > 1,
        };
        Ok(Came::Message(Some(Handle(self.given)), Box::new(delivery)))
    }

    /// Sends a decision and waits until the server has it.
    async fn decide(&self, reply: &str, word: &str) -> Result<(), Fault> {
        let answer = self.api.link.request(SETTLE, reply, &[], word.as_bytes()).await?;
        if is_nobody(&answer) {
            return Err(Fault::new(Kind::Lost, SETTLE, self.target.as_str(), "the consumer is gone, and the message with it"));
        }
        Ok(())
    }
}

#[async_trait]
impl Holding for NatsHolding {
    async fn next(&mut self) -> Option<Result<Came, Fault>> {
        if self.interrupted {
            if let Err(fault) = self.api.link.until_back().await {
                // It is not tried again: the last word.
                return (!std::mem::replace(&mut self.ended, true)).then_some(Err(fault));
            }
            let back = self.api.link.ping(OP).await;
            self.interrupted = back.is_err();
            return Some(back.map(|()| Came::Back));
        }
        loop {
            match self.step().await {
                Ok(Some(came)) => return Some(Ok(came)),
                Ok(None) => {}
                Err(fault) => {
                    self.interrupted = fault.kind.is_transient();
                    return Some(Err(fault));
                }
            }
        }
    }

    /// A request stands for seconds and is given what comes meanwhile: it is over when nobody listens at our inbox any more. What was on
    /// its way at just that moment comes again when its time is over.
    async fn stop_receiving(&mut self) -> Result<(), Fault> {
        self.asked = None;
        self.subscription.end(OP).await?;
        self.gather();
        while let Some(msg) = self.waiting.pop_front() {
            if let (None, Some(reply)) = (self.status(&msg), msg.reply()) {
                self.decide(reply, "-NAK").await?;
            }
        }
        Ok(())
    }

    async fn settle(&mut self, Handle(number): Handle, settlement: &Settlement) -> Result<(), Fault> {
        let fault = |kind, cause: String| Fault::new(kind, SETTLE, self.target.as_str(), cause);
        let Some(held) = self.held.get(&number).filter(|held| !self.is_over(held)) else {
            self.held.remove(&number);
            let cause = format!("the time to decide ({} s) is over", self.patience.unwrap_or_default().as_secs_f32());
            return Err(fault(Kind::Lost, cause).next("the server gives the message to whoever asks next: receive it again"));
        };
        let word = word(settlement).map_err(|cause| fault(Kind::Usage, cause))?;
        self.decide(&held.reply, &word).await?;
        if let Some(held) = self.held.get_mut(&number).filter(|_| settlement.effect.keeps()) {
            held.since = Instant::now();
        } else {
            self.held.remove(&number);
        }
        Ok(())
    }

    async fn close(mut self: Box<Self>) -> Result<Closed, Fault> {
        // Before anything goes back: a request that still stands would be given it again, and nobody else for as long as a decision may take.
        // What has come and was not looked at goes back too.
        self.subscription.end(OP).await?;
        self.gather();
        while let Some(msg) = self.waiting.pop_front() {
            if self.status(&msg).is_none() {
                self.received(&msg)?;
            }
        }
        let (over, open): (Vec<Held>, Vec<Held>) = std::mem::take(&mut self.held).into_values().partition(|held| self.is_over(held));
        for held in &open {
            self.decide(&held.reply, "-NAK").await?;
        }
        let over = over.len() as u64;
        let gone = (over > 0).then(|| format!("the time of {} was over: the server gives it again by itself", several(over, "message")));
        Ok(Closed { unsettled: Some(open.len() as u64), notes: gone.into_iter().collect() })
    }
}

/// The bytes of a decision (ADR-1: `+ACK`, `-NAK`, `+TERM`, `+WPI`).
fn word(settlement: &Settlement) -> Result<String, String> {
    let argument =
        |id: &str| settlement.arguments.iter().find(|(name, _)| name == id).map(|(_, value)| value.as_str()).filter(|v| !v.is_empty());
    Ok(match settlement.effect {
        Effect::Ack => "+ACK".to_owned(),
        Effect::Extend => "+WPI".to_owned(),
        Effect::Reject => {
            argument("reason").map_or_else(|| "+TERM".to_owned(), |reason| format!("+TERM {}", reason.replace(['\r', '\n'], " ")))
        }
        Effect::Requeue => match argument("delay") {
            None => "-NAK".to_owned(),
            Some(seconds) => {
                let seconds: u64 = seconds.parse().map_err(|_| format!("delay: `{seconds}` is no number of seconds"))?;
                format!("-NAK {}", json!({ "delay": seconds.saturating_mul(1_000_000_000) }))
            }
        },
    })
}

/// What a message's reply subject tells of it.
#[derive(Debug, PartialEq)]
struct ReplySubject {
    deliveries: u64,
    seq: u64,
    time: Option<Timestamp>,
}

impl ReplySubject {
    /// `$JS.ACK.<stream>.<consumer>.<deliveries>.<sseq>.<cseq>.<time>.<pending>`, or with domain and account before the stream (ADR-15).
    fn of(reply: &str) -> Option<Self> {
        let tokens: Vec<&str> = reply.strip_prefix("$JS.ACK.")?.split('.').collect();
        let at = match tokens.len() {
            7 => 2,
            8.. => 4,
            _ => return None,
        };
        let number = |offset: usize| tokens.get(at + offset)?.parse::<u64>().ok();
        let millis = i64::try_from(number(3)? / 1_000_000).ok();
        Some(Self { deliveries: number(0)?, seq: number(1)?, time: millis.map(Timestamp) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_subject_tells_of_its_message() {
        let told = Some(ReplySubject { deliveries: 2, seq: 17, time: Some(Timestamp(1_700_000_000_123)) });
        assert_eq!(ReplySubject::of("$JS.ACK.ORDERS.c.2.17.5.1700000000123456789.3"), told);
        assert_eq!(ReplySubject::of("$JS.ACK.hub.ACCHASH.ORDERS.c.2.17.5.1700000000123456789.3"), told);
        assert_eq!(ReplySubject::of("_INBOX.x"), None);
    }

    #[test]
    fn decisions_are_written_as_the_server_reads_them() {
        let settle = |effect, arguments: &[(&str, &str)]| {
            word(&Settlement { effect, arguments: arguments.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect() })
        };
        assert_eq!(settle(Effect::Ack, &[]).as_deref(), Ok("+ACK"));
        assert_eq!(settle(Effect::Requeue, &[("delay", "3")]).as_deref(), Ok("-NAK {\"delay\":3000000000}"));
        assert_eq!(settle(Effect::Requeue, &[("delay", "")]).as_deref(), Ok("-NAK"));
        assert_eq!(settle(Effect::Reject, &[("reason", "not JSON")]).as_deref(), Ok("+TERM not JSON"));
        assert!(settle(Effect::Requeue, &[("delay", "soon")]).is_err());
    }
}
