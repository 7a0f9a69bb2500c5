//! Holding: messages taken from a queue and kept unsettled until somebody decides. Every receiving runs as a task of its own, which
//! alone has its messages; whatever becomes of who looks at them, what was not decided on is given back.

mod tickets;

pub use self::tickets::{HoldEvent, Tickets};
use super::audit::{Begun, Phase};
use super::{Gateway, cannot};
use crate::adapters::room::Room;
use crate::adapters::session::{Looked, Peek};
use crate::domain::address::Address;
use crate::domain::channel::Cost;
use crate::domain::delivery::{Effect, Given, HoldId, ReceiveOption, Settlement, Settles, Ticket, Verb};
use crate::domain::fault::{Fault, Kind};
use crate::domain::operation::{Done, RECEIVE, Risk};
use crate::domain::operations::PEEK;
use crate::domain::suggest;
use crate::domain::text::SafeText;
use serde_json::json;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

/// Deliveries that wait to be looked at, and their bytes; the system's own limit of unsettled messages bounds what stands behind them.
const WAITING: usize = 64;
const WAITING_BYTES: usize = 4 * 1024 * 1024;
/// How long is waited after something went wrong with the connection.
const PAUSE: Duration = Duration::from_millis(500);
/// How long giving back may take when the gateway is closed.
const CLOSING: Duration = Duration::from_secs(5);

/// What is being held through a gateway.
#[derive(Default)]
pub(super) struct Holds {
    last: u64,
    working: HashMap<HoldId, Working>,
}

struct Working {
    asks: mpsc::Sender<HoldCommand>,
    task: JoinHandle<()>,
}

enum HoldCommand {
    Enough,
    Settle(Vec<Ticket>, Settlement, oneshot::Sender<Done>),
    Release(oneshot::Sender<Result<String, Fault>>),
}

/// One receiving. Dropping it gives back what was not decided on.
pub struct Held {
    pub id: HoldId,
    /// What can be done with its messages.
    pub verbs: &'static [Verb],
    /// How long the system waits for a decision; `None` if for ever, or if it does not say.
    pub ack_timeout: Option<Duration>,
    /// What becomes of a message that was not decided on when the receiving ends: the end of a sentence about it.
    pub left_over: &'static str,
    /// Messages that are wanted and have not come.
    left: u64,
    deliveries: mpsc::Receiver<Event>,
    /// The bytes of those that wait there.
    room: Arc<Room>,
    /// Its end tells the task.
    _looked_at: oneshot::Sender<()>,
}

/// What the task tells.
enum Event {
    Taken(HoldEvent),
    /// Something was given back for others, so that no more is taken.
    GaveBack,
}

impl Held {
    /// The next message, or what happened to the connection. `None` when everything that was wanted has come, something was given back
    /// (see [`Gateway::hold`]), the system has ended the receiving, or it was released.
    pub async fn next(&mut self) -> Option<HoldEvent> {
        if self.left == 0 {
            return None;
        }
        let Event::Taken(taken) = self.event().await? else {
            self.left = 0;
            return None;
        };
        if matches!(taken, HoldEvent::Message(_)) {
            self.left -= 1;
        }
        Some(taken)
    }

    /// What happens to what is held once no more is wanted: that the connection broke, and, after [`Gateway::stop_receiving`], messages that
    /// were on their way. `None` when it was released.
    pub async fn later(&mut self) -> Option<HoldEvent> {
        loop {
            if let Event::Taken(taken) = self.event().await? {
                return Some(taken);
            }
        }
    }

    async fn event(&mut self) -> Option<Event> {
        let event = self.deliveries.recv().await?;
        if matches!(event, Event::Taken(HoldEvent::Message(_))) {
            self.room.pop();
        }
        Some(event)
    }
}

impl Gateway {
    /// What can be done with messages that are received from a channel, whether or not the profile lets it be done now.
    pub async fn verbs(&self, address: &Address) -> Result<&'static [Verb], Fault> {
        let channel = self.named(address)?;
        let hold = self.reading(&address.integration).await?.hold;
        Ok(hold.ok_or_else(|| self.no_hold(address))?.verbs(&channel))
    }

    /// What receiving from a channel takes from others that nobody can give them back.
    pub async fn warning(&self, address: &Address) -> Result<Option<SafeText>, Fault> {
        let channel = self.named(address)?;
        let hold = self.reading(&address.integration).await?.hold.ok_or_else(|| self.no_hold(address))?;
        Ok(hold.warning(&channel).map(Into::into))
    }

    /// What giving messages of a channel back undecided may do to them; `None` where it does nothing.
    pub async fn spends(&self, address: &Address) -> Result<Option<Settles>, Fault> {
        let channel = self.named(address)?;
        let hold = self.reading(&address.integration).await?.hold;
        hold.ok_or_else(|| self.no_hold(address))?.spends(&channel).await
    }

    /// What settling these messages of a channel would do there: part of the plan that settles them.
    pub async fn settles(&self, address: &Address, effect: Effect, messages: &[Given]) -> Result<Settles, Fault> {
        let channel = self.named(address)?;
        let hold = self.reading(&address.integration).await?.hold;
        hold.ok_or_else(|| self.no_hold(address))?.settles(&channel, effect, messages).await
    }

    /// In which ways messages of a channel are received, where that has to be said; empty where the channel names all that is needed.
    pub async fn receive_options(&self, address: &Address) -> Result<Vec<ReceiveOption>, Fault> {
        let channel = self.named(address)?;
        let hold = self.reading(&address.integration).await?.hold;
        hold.ok_or_else(|| self.no_hold(address))?.receive_options(&channel).await
    }

    /// The address that receives from a channel as one of its groups.
    pub async fn way(&self, address: &Address, group: &str) -> Result<Address, Fault> {
        let receive_options = self.receive_options(address).await?;
        if let Some(way) = receive_options.iter().find(|way| *way.name == *group) {
            return Ok(Address::new(&address.integration, &way.channel));
        }
        let fault = |cause: &str| Fault::new(Kind::Usage, "find group", format!("{address} {group}"), cause);
        if receive_options.is_empty() {
            return Err(fault("messages are received from this channel without a group").next("leave --group out"));
        }
        let names: Vec<&str> = receive_options.iter().map(|way| &*way.name).collect();
        let near = suggest::hint(group, names.iter().copied());
        let next = if near.is_empty() { format!("it has: {}", names.join(", ")) } else { near };
        Err(fault("the channel has no such group").next(next))
    }

    /// Starts to receive, `most` unsettled messages at a time and `limit` in all. Settled by [`Plan::Settle`](crate::domain::operation::Plan), ended by
    /// [`Gateway::release`]. Once a message was given back no more is taken: it is for others, and whoever still takes would be given it again.
    pub async fn hold(&self, address: &Address, most: u32, limit: u64) -> Result<Held, Fault> {
        self.permit(&RECEIVE, RECEIVE.risk, address)?;
        let channel = self.named(address)?;
        let session = self.changing(&address.integration).await?;
        let hold = session.hold.ok_or_else(|| self.no_hold(address))?;
        let counts = Counts::of(session.peek, &channel).await;
        let audited = self.begin(RECEIVE.id, address, json!({ "limit": limit })).await?;
        let begun = async { Ok::<_, Fault>((hold.ack_timeout(&channel).await?, hold.hold(&channel, most).await?)) }.await;
        let (ack_timeout, tickets) = match begun {
            Ok(begun) => begun,
            Err(fault) => {
                audited.end(Phase::Failed, json!({ "cause": fault.to_string() })).await;
                return Err(fault);
            }
        };
        let ((asks, asked), (out, deliveries), (looked_at, gone)) = (mpsc::channel(16), mpsc::channel(WAITING), oneshot::channel());
        let room = Arc::new(Room::of(WAITING_BYTES));
        let task = tokio::spawn(
            Task {
                address: address.clone(),
                audited,
                tickets,
                counts,
                asked,
                out: Some(out),
                room: room.clone(),
                waiting: VecDeque::new(),
                received: 0,
                limit,
                interrupted: false,
            }
            .run(gone),
        );
        let mut holds = self.holds();
        holds.working.retain(|_, working| !working.task.is_finished());
        holds.last += 1;
        let id = HoldId(holds.last);
        holds.working.insert(id, Working { asks, task });
        let (verbs, left_over) = (hold.verbs(&channel), hold.unsettled_fate(&channel));
        Ok(Held { id, verbs, ack_timeout, left_over, left: limit, deliveries, room, _looked_at: looked_at })
    }

    /// No more messages are wanted, though fewer have come than were asked for; what is held stays held.
    pub async fn stop_receiving(&self, id: HoldId) -> Result<(), Fault> {
        let asks = self.holds().working.get(&id).map(|working| working.asks.clone()).ok_or_else(ended)?;
        asks.send(HoldCommand::Enough).await.map_err(|_| ended())
    }

    /// Gives back what was not decided on and ends the receiving; says in one sentence what became of it.
    pub async fn release(&self, id: HoldId) -> Result<String, Fault> {
        let (answer, answered) = oneshot::channel();
        let working = self.holds().working.remove(&id).ok_or_else(ended)?;
        working.asks.send(HoldCommand::Release(answer)).await.map_err(|_| ended())?;
        answered.await.map_err(|_| ended())?
    }

    pub(super) async fn settle(&self, id: HoldId, tickets: Vec<Ticket>, settlement: Settlement) -> Result<Done, Fault> {
        let (answer, answered) = oneshot::channel();
        let asks = self.holds().working.get(&id).map(|working| working.asks.clone()).ok_or_else(ended)?;
        asks.send(HoldCommand::Settle(tickets, settlement, answer)).await.map_err(|_| ended())?;
        answered.await.map_err(|_| ended())
    }

    /// Ends every receiving, and waits for what is given back by that.
    pub(super) async fn release_all(&self) {
        let working: Vec<Working> = self.holds().working.drain().map(|(_, working)| working).collect();
        for Working { asks, mut task } in working {
            drop(asks);
            if tokio::time::timeout(CLOSING, &mut task).await.is_err() {
                task.abort();
            }
        }
    }

    /// What looking at a queue does to it.
    pub async fn peek_cost(&self, address: &Address) -> Result<Cost, Fault> {
        let peek = self.reading(&address.integration).await?.peek.ok_or_else(|| cannot("peek at", &address.integration, "peeking"))?;
        peek.cost(&self.named(address)?).await
    }

    /// The first messages of a queue, which are given back. What it costs was said before, and agreed to where it marks the messages;
    /// where it may end them it is refused unless that is wanted (`spend`) and the profile lets things be destroyed.
    pub async fn peek(&self, address: &Address, most: usize, spend: bool) -> Result<Looked, Fault> {
        let session = self.reading(&address.integration).await?;
        let (peek, channel) = (session.peek.ok_or_else(|| cannot("peek at", &address.integration, "peeking"))?, self.named(address)?);
        let marks = match peek.cost(&channel).await? {
            Cost::Nothing | Cost::Temporary(_) => return peek.peek(&channel, most).await,
            Cost::Marks(marks) => SafeText::from(marks),
            Cost::Spends(why) if !spend => {
                return Err(Fault::new(Kind::Rejected, "peek at", address.to_string(), why)
                    .next("tail it to see copies of what is published from now on; to look all the same: mqdeck peek --spend"));
            }
            Cost::Spends(why) => {
                self.permit(&PEEK, Risk::Destroy, address)?;
                why
            }
        };
        let begun = self.begin(PEEK.id, address, json!({ "most": most, "marks": marks.as_str(), "spend": spend })).await?;
        let seen = peek.peek(&channel, most).await;
        let (phase, detail) = match &seen {
            Ok(seen) => (Phase::Done, json!({ "messages": seen.deliveries.len() })),
            Err(fault) => (Phase::Failed, json!({ "cause": fault.to_string() })),
        };
        begun.end(phase, detail).await;
        seen
    }

    fn no_hold(&self, address: &Address) -> Fault {
        self.gate_fault(RECEIVE.risk, address).unwrap_or_else(|| cannot("receive from", &address.integration, "messages to settle"))
    }

    fn holds(&self) -> MutexGuard<'_, Holds> {
        self.holds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn ended() -> Fault {
    Fault::new(Kind::Lost, "settle", "messages that were held", "the receiving has ended").next("receive them again")
}

/// How many messages were ready before any were taken, where somebody counts.
struct Counts {
    peek: Arc<dyn Peek>,
    channel: String,
    before: u64,
}

impl Counts {
    async fn of(peek: Option<Arc<dyn Peek>>, channel: &str) -> Option<Self> {
        let peek = peek?;
        let before = peek.ready(channel, 0).await.ok()??;
        Some(Self { peek, channel: channel.to_owned(), before })
    }

    /// Both counts, for the end of a sentence; so many of the messages were not given back.
    async fn compared(&self, kept: u64) -> String {
        match self.peek.ready(&self.channel, self.before.saturating_sub(kept)).await {
            Ok(Some(after)) => format!("; ready before: {}, after: {after}", self.before),
            _ => String::new(),
        }
    }
}

/// The task that has the messages.
struct Task {
    address: Address,
    audited: Begun,
    tickets: Tickets,
    counts: Option<Counts>,
    asked: mpsc::Receiver<HoldCommand>,
    /// `None` once the system has ended the receiving.
    out: Option<mpsc::Sender<Event>>,
    room: Arc<Room>,
    /// What is to be handed on, in order. Nothing more is taken until there is room for it.
    waiting: VecDeque<Event>,
    received: u64,
    limit: u64,
    /// Something went wrong with the connection, and it is not there again.
    interrupted: bool,
}

impl Task {
    async fn run(mut self, mut gone: oneshot::Receiver<()>) {
        let answer = loop {
            tokio::select! {
                biased;
                ask = self.asked.recv() => match ask {
                    Some(HoldCommand::Settle(tickets, settlement, answer)) => {
                        // Who asked may have gone; what was done is in the audit log.
                        let _ = answer.send(self.settle(tickets, &settlement).await);
                    }
                    Some(HoldCommand::Enough) => self.stop_receiving().await,
                    Some(HoldCommand::Release(answer)) => break Some(answer),
                    None => break None,
                },
                _ = &mut gone => break None,
                sent = hand_on(self.out.as_ref(), &mut self.waiting), if !self.waiting.is_empty() => if !sent { self.waiting.clear() },
                event = next(&mut self.tickets, self.out.as_ref(), &self.room, self.interrupted), if self.waiting.is_empty() => {
                    self.took(event).await;
                }
            }
        };
        let unsettled = self.tickets.unsettled();
        let mut result = self.tickets.release().await;
        if let (Ok(left), Some(counts), 1..) = (&mut result, &self.counts, unsettled) {
            left.push_str(&counts.compared(self.received - unsettled).await);
        }
        let (phase, left) = match &result {
            Ok(left) => (Phase::Done, left.clone()),
            Err(fault) => (Phase::Failed, fault.to_string()),
        };
        self.audited.end(phase, json!({ "received": self.received, "left": left })).await;
        if let Some(answer) = answer {
            let _ = answer.send(result);
        }
    }

    async fn took(&mut self, event: Option<HoldEvent>) {
        let Some(event) = event else { return self.out = None };
        self.interrupted = matches!(event, HoldEvent::Interrupted { .. });
        // What does not pass by itself is the end.
        let mut lasting = false;
        match &event {
            HoldEvent::Message(delivery) => {
                self.received += 1;
                self.room.push(delivery.message.size());
            }
            HoldEvent::Interrupted { fault, lost } => {
                lasting = !fault.kind.is_transient();
                tracing::warn!(address = %self.address, %fault, lost = lost.len(), "receiving was interrupted");
            }
            HoldEvent::Resumed => {}
        }
        self.waiting.push_back(Event::Taken(event));
        if lasting {
            hand_on(self.out.as_ref(), &mut self.waiting).await;
            self.out = None;
        } else if self.received >= self.limit {
            self.stop_receiving().await;
        }
    }

    async fn stop_receiving(&mut self) {
        if let Err(fault) = self.tickets.stop_receiving().await {
            tracing::warn!(address = %self.address, %fault, "enough");
        }
    }

    async fn settle(&mut self, tickets: Vec<Ticket>, settlement: &Settlement) -> Done {
        let mut done = Done::default();
        if settlement.effect == Effect::Requeue && self.tickets.is_receiving() {
            // Before it goes back: a system gives it to whoever takes, which is us.
            self.stop_receiving().await;
            // Messages that wait to be looked at come first, and settling does not wait for that.
            self.waiting.push_back(Event::GaveBack);
        }
        for ticket in tickets {
            let result = self.tickets.settle(ticket, settlement).await;
            let number = ticket.id;
            done.parts.push((format!("ticket {number}").into(), result.map(|()| SafeText::from(settlement.effect.done()))));
        }
        done
    }
}

/// Hands on the first of what waits, once there is room; false if nobody takes any. Dropped and called again, it loses nothing.
async fn hand_on(out: Option<&mpsc::Sender<Event>>, waiting: &mut VecDeque<Event>) -> bool {
    let Some(out) = out else { return false };
    let Ok(permit) = out.reserve().await else { return false };
    if let Some(first) = waiting.pop_front() {
        permit.send(first);
    }
    true
}

/// What comes next, once there is room to hand it on; `None` when no more will come. Where nobody takes any, it waits for ever.
async fn next(tickets: &mut Tickets, out: Option<&mpsc::Sender<Event>>, room: &Room, interrupted: bool) -> Option<HoldEvent> {
    let Some(out) = out else { return std::future::pending().await };
    if out.reserve().await.is_err() {
        return std::future::pending().await;
    }
    room.free().await;
    if interrupted {
        tokio::time::sleep(PAUSE).await;
    }
    tickets.event().await
}

#[cfg(test)]
mod tests;
