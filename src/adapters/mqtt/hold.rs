//! `Hold` for MQTT: messages of `QoS` 1 and 2 that are acknowledged when somebody says so, and not before.

use super::Mqtt;
use super::connection::Shared;
use super::dial::Role;
use super::faults::{Ending, Why};
use super::message::Reader;
use super::topic;
use super::wire::{Packet, Qos, Subscription, Version};
use crate::adapters::bounds::UNTAKEN;
use crate::adapters::reopen::Backoff;
use crate::adapters::room::Room;
use crate::adapters::session::{Came, Closed, Handle, Hold, Holding};
use crate::domain::delivery::{Delivery, Effect, Given, Settlement, Settles, Verb};
use crate::domain::fault::{Fault, Kind};
use crate::domain::figure::several;
use async_trait::async_trait;
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, mpsc};

const OP: &str = "receive from";
const SETTLE: &str = "acknowledge";
/// Packets that can be open on one connection: there are no more numbers.
const PACKETS: usize = 65_535;
/// What a message takes beside its payload.
const EACH: usize = 512;
/// Of these messages of `QoS` 0, which nobody holds; what comes on top is dropped.
const LOOSE: usize = 1_000;
/// A connection that has lasted so long was not closed for another client's sake.
const LASTED: Duration = Duration::from_secs(10);
/// Connections of a kept session that the broker closed without a word before they lasted, one after another: two clients that share an id
/// throw each other out for ever. MQTT 5 has a reason for it (0x8E); 3.1.1 has none.
const THROWN_OUT: u32 = 3;

static VERBS: &[Verb] = &[Verb::new(Effect::Ack, "ack", "tells the broker that it has arrived; in the order in which they came")];

/// What becomes of a message that was not acknowledged, once we leave.
fn left_over(shared: bool, clean: bool) -> &'static str {
    match (shared, clean) {
        (false, true) => "is forgotten by the broker: our session is a clean one",
        (true, true) => "is given to the group only if the broker gives it to another member, which Mosquitto does not",
        (false, false) => "is kept by the broker for the next time by this client id",
        (true, false) => "is kept by the broker for the next time by this client id, and for no other member of the group",
    }
}

/// What acknowledging so many messages does.
fn settles(shared: bool, messages: usize) -> Settles {
    let whose = if shared { "for the whole group of the shared subscription" } else { "for our client id" };
    Settles::usual(format!("the broker is told that {} arrived, and never sends that again {whose}", several(messages as u64, "message")))
}

#[async_trait]
impl Hold for Mqtt {
    fn verbs(&self, _channel: &str) -> &'static [Verb] {
        VERBS
    }

    /// Of a shared subscription a message is given to one member. What that one does not acknowledge the broker keeps for its session;
    /// when the session ends, another member should get it at `QoS` 1, and must not at `QoS` 2 (MQTT 5, section 4.8.2). Mosquitto
    /// 2.0 drops it.
    fn warning(&self, channel: &str) -> Option<&'static str> {
        topic::is_shared(channel).then_some(if self.dialler.settings.clean {
            "what is received here the group's other members do not get; what is not acknowledged is lost to them, unless the broker gives \
             it to another one when we leave, which Mosquitto does not"
        } else {
            "what is received here the group's other members do not get; what is not acknowledged the broker keeps for our client id alone"
        })
    }

    async fn ack_timeout(&self, _channel: &str) -> Result<Option<Duration>, Fault> {
        Ok(None)
    }

    fn unsettled_fate(&self, channel: &str) -> &'static str {
        left_over(topic::is_shared(channel), self.dialler.settings.clean)
    }

    async fn settles(&self, channel: &str, _effect: Effect, given: &[Given]) -> Result<Settles, Fault> {
        Ok(settles(topic::is_shared(channel), given.len()))
    }

    async fn receive(&self, channel: &str, most: u32) -> Result<Box<dyn Holding>, Fault> {
        let filter = topic::of(OP, channel)?;
        topic::check_filter(OP, &filter)?;
        let most = usize::try_from(most).unwrap_or(PACKETS).clamp(1, PACKETS);
        let dropped = Arc::default();
        Ok(Box::new(Held {
            subscribed: Some(Subscribed::open(self, &filter, most, &dropped).await?),
            mqtt: self.clone(),
            filter,
            most,
            reader: Reader::new(),
            given: 0,
            loose: 0,
            dropped,
            thrown_out: 0,
            backoff: Backoff::new(&self.integration.reconnect),
        }))
    }
}

struct Held {
    mqtt: Mqtt,
    filter: String,
    most: usize,
    subscribed: Option<Subscribed>,
    reader: Reader,
    given: u64,
    /// Messages of `QoS` 0 that were given out: there is nothing to be acknowledged.
    loose: u64,
    /// Those that found no room.
    dropped: Arc<AtomicU64>,
    /// Connections in a row that did not last.
    thrown_out: u32,
    /// Those as well, and attempts that failed.
    backoff: Backoff,
}

/// A connection with its subscription, and what it gave.
struct Subscribed {
    connection: Shared,
    /// The broker's answer, where it stands behind more messages for our session than there is room for.
    subscribing: Option<BoxFuture<'static, Result<(), Fault>>>,
    arrived: mpsc::Receiver<Packet>,
    /// What waits there.
    room: Arc<Room>,
    /// Packets that were given out and not acknowledged, in the order in which they came.
    open: BTreeMap<u64, (u16, Qos)>,
    /// When the connection was made.
    since: Instant,
}

impl Subscribed {
    async fn open(mqtt: &Mqtt, filter: &str, most: usize, dropped: &Arc<AtomicU64>) -> Result<Self, Fault> {
        let (into, arrived) = mpsc::channel::<Packet>(PACKETS + LOOSE);
        let (dropped, room) = (dropped.clone(), Arc::new(Room::of(UNTAKEN)));
        let (filled, full) = (room.clone(), Arc::<Notify>::default());
        let is_full = full.clone();
        let inbox = move |packet: Packet| {
            // Not a part of the buffer that it was read into, which would be kept with it.
            let packet = Packet { payload: Bytes::copy_from_slice(&packet.payload), ..packet };
            // There is a place for every packet that can be open.
            let places = if packet.qos == Qos::Zero { PACKETS } else { 0 };
            if into.capacity() > places {
                filled.push(packet.payload.len() + EACH);
                // Nobody takes any more once no more is wanted.
                let _ = into.try_send(packet);
                if !filled.is_free() {
                    is_full.notify_one();
                }
            } else {
                dropped.fetch_add(1, Ordering::Relaxed);
            }
        };
        let role = Role { manual: Some(most as u16), room: Some(room.clone()), lasting: true, will: false };
        let connection = mqtt.dialler.open(role, Box::new(inbox)).await?;
        let settings = &mqtt.dialler.settings;
        // The client crate cannot go on with a message of QoS 2 that a session of before had begun: it would fail at each return.
        let qos = if settings.clean { settings.subscribe_qos() } else { settings.subscribe_qos().min(Qos::One) };
        let wanted = Subscription { filter: filter.to_owned(), qos, retained: false, as_published: true };
        let connection = Arc::new(connection);
        let asking = connection.clone();
        let mut subscribing = async move { asking.subscribe(OP, vec![wanted]).await }.boxed();
        let subscribing = tokio::select! {
            biased;
            answer = &mut subscribing => answer.map(|()| None)?,
            () = full.notified() => Some(subscribing),
        };
        Ok(Self { connection, subscribing, arrived, room, open: BTreeMap::new(), since: Instant::now() })
    }
}

impl Held {
    /// Forgets a connection that has failed, and what it gave.
    fn lose(&mut self, ending: Ending) -> Fault {
        let fault = self.judged(ending);
        self.subscribed = None;
        // Whoever took our place keeps it.
        let fault = self.backoff.failure(fault);
        Fault { op: OP, target: self.filter.as_str().into(), ..fault }
    }

    /// With what is behind it, where the broker has no word for that.
    fn judged(&mut self, Ending { fault, why }: Ending) -> Fault {
        if self.subscribed.as_ref().is_some_and(|subscribed| subscribed.since.elapsed() >= LASTED) {
            self.thrown_out = 0;
            self.backoff.reset();
            return fault;
        }
        let settings = &self.mqtt.dialler.settings;
        self.thrown_out += u32::from(!settings.clean && why == Why::WithoutWord);
        if self.thrown_out < THROWN_OUT || why == Why::TakenOver {
            return fault;
        }
        let cause = format!(
            "the broker closed {THROWN_OUT} connections soon after they were made, as it does when another client has our client id"
        );
        Fault { kind: Kind::Rejected, cause: cause.into(), ..fault }
            .next(format!("does another program use the client_id `{}`? Each needs one of its own", settings.client_id))
    }

    fn came(&mut self, packet: Packet) -> Came {
        let (id, qos, redelivered) = (packet.id, packet.qos, packet.dup);
        let handle = if qos == Qos::Zero {
            self.loose += 1;
            None
        } else {
            self.given += 1;
            if let Some(subscribed) = &mut self.subscribed {
                subscribed.open.insert(self.given, (id, qos));
            }
            Some(Handle(self.given.into()))
        };
        let message = self.reader.message(packet);
        Came::Message(handle, Box::new(Delivery { ticket: None, message, deliveries: None, redelivered }))
    }
}

#[async_trait]
impl Holding for Held {
    async fn next(&mut self) -> Option<Result<Came, Fault>> {
        let Some(subscribed) = &mut self.subscribed else {
            // A broker that does not let us in any more is no reason to try again.
            let opened = self.backoff.open(|| Subscribed::open(&self.mqtt, &self.filter, self.most, &self.dropped)).await?;
            return Some(opened.map(|subscribed| {
                self.subscribed = Some(subscribed);
                Came::Back
            }));
        };
        // MQTT 5 holds back by itself; 3.1.1 cannot be told to.
        let full = subscribed.connection.server.version == Version::V3 && subscribed.open.len() >= self.most;
        let came = tokio::select! {
            biased;
            packet = subscribed.arrived.recv(), if !full => packet,
            refused = refused(&mut subscribed.subscribing) => return Some(Err(refused)),
            _ = subscribed.connection.gone() => None,
        };
        if let Some(packet) = came {
            subscribed.room.pop();
            return Some(Ok(self.came(packet)));
        }
        let ending = subscribed.connection.ending().await;
        Some(Err(self.lose(ending)))
    }

    /// A session that is kept keeps its subscription: it is to collect what is published while nobody receives.
    async fn stop_receiving(&mut self) -> Result<(), Fault> {
        let Some(subscribed) = &mut self.subscribed else { return Ok(()) };
        // What comes is for nobody any more, and must not keep the answer from us.
        subscribed.subscribing = None;
        subscribed.room.limit(usize::MAX);
        subscribed.arrived.close();
        while subscribed.arrived.try_recv().is_ok() {}
        if self.mqtt.dialler.settings.clean { subscribed.connection.unsubscribe(OP, &self.filter).await } else { Ok(()) }
    }

    async fn settle(&mut self, Handle(number): Handle, settlement: &Settlement) -> Result<(), Fault> {
        let fault = |kind, cause: String| Fault::new(kind, SETTLE, self.filter.as_str(), cause);
        if settlement.effect != Effect::Ack {
            let cause = format!("MQTT has no {}: a message can only be acknowledged", settlement.effect.word());
            return Err(fault(Kind::Usage, cause).next("leave it: it is not acknowledged then"));
        }
        let number = number as u64;
        let lost = || fault(Kind::Lost, "the connection that it came by is gone".to_owned());
        let subscribed = self.subscribed.as_mut().filter(|subscribed| !subscribed.connection.is_gone()).ok_or_else(lost)?;
        let (id, qos) = *subscribed.open.get(&number).ok_or_else(lost)?;
        // MQTT-4.6.0-2: in the order in which they came. A broker may end the connection of who does otherwise, and all that it held.
        let before = subscribed.open.range(..number).filter(|(_, (_, level))| *level == qos).count();
        if before > 0 {
            let cause = format!("messages are acknowledged in the order in which they came, and {before} before it are not");
            return Err(fault(Kind::Rejected, cause).next("acknowledge those first, or all together"));
        }
        subscribed.open.remove(&number);
        subscribed.connection.ack(SETTLE, id, qos).await
    }

    async fn close(mut self: Box<Self>) -> Result<Closed, Fault> {
        if let Some(Subscribed { connection, subscribing, .. }) = self.subscribed.take() {
            drop(subscribing);
            if let Some(connection) = Arc::into_inner(connection) {
                connection.close().await;
            }
        }
        let mut notes = Vec::new();
        if self.loose > 0 && topic::is_shared(&self.filter) {
            notes.push(format!("{} of QoS 0 were taken from the group for good", self.loose));
        }
        if let dropped @ 1.. = self.dropped.load(Ordering::Relaxed) {
            notes.push(format!("{dropped} of QoS 0 came faster than they were taken, and are gone"));
        }
        Ok(Closed { unsettled: None, notes })
    }
}

/// Waits until the broker refuses the subscription. How long it takes with its answer says nothing where that stands behind messages.
async fn refused(subscribing: &mut Option<BoxFuture<'static, Result<(), Fault>>>) -> Fault {
    if let Some(answer) = subscribing {
        let answer = answer.await;
        *subscribing = None;
        if let Err(fault) = answer
            && fault.kind != Kind::Timeout
        {
            return fault;
        }
    }
    std::future::pending().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_over_is_kept_or_forgotten_as_the_session_and_the_subscription_have_it() {
        for (shared, clean, promised, denied) in [
            (false, true, "is forgotten", "kept"),
            (true, true, "only if the broker gives it to another member", "kept"),
            (false, false, "is kept by the broker for the next time by this client id", "forgotten"),
            (true, false, "for no other member of the group", "forgotten"),
        ] {
            let words = left_over(shared, clean);
            assert!(words.contains(promised) && !words.contains(denied), "{shared} {clean}: {words}");
        }
    }

    #[test]
    fn an_acknowledgement_is_for_the_whole_group_of_a_shared_subscription() {
        for (shared, messages, words) in [
            (false, 1, "the broker is told that 1 message arrived, and never sends that again for our client id"),
            (
                true,
                2,
                "the broker is told that 2 messages arrived, and never sends that again for the whole group of the shared subscription",
            ),
        ] {
            assert_eq!(settles(shared, messages), Settles::usual(words));
        }
    }
}
