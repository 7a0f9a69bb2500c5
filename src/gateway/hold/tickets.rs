//! Tickets: which message of a receiving is still to be settled, which went with its connection, and what is said of either. Adapters know
//! their messages by handles, and tell what happened.

use crate::adapters::session::{Came, Closed, Handle, Hold, Holding};
use crate::domain::delivery::{Delivery, Settlement, Ticket};
use crate::domain::fault::{Fault, Kind};
use std::collections::BTreeMap;

/// What comes of a receiving.
#[derive(Clone, Debug, PartialEq)]
pub enum HoldEvent {
    Message(Box<Delivery>),
    /// The connection broke, and is made again; these tickets were lost with it, and their messages went back.
    Interrupted {
        fault: Fault,
        lost: Vec<Ticket>,
    },
    /// The connection is there again, and the receiving goes on.
    Resumed,
}

/// A receiving with its tickets.
pub struct Tickets {
    holding: Box<dyn Holding>,
    channel: String,
    /// What becomes of a message that is not settled: the end of a sentence about it.
    fate: &'static str,
    /// What is held outlives its connection.
    lasting: bool,
    /// Counts the connections that broke with something held.
    epoch: u64,
    given: u64,
    /// No more messages are wanted.
    stopped: bool,
    unsettled: BTreeMap<u64, Handle>,
    /// How many went with connections that broke.
    lost: usize,
}

impl dyn Hold {
    /// Starts to receive, `most` unsettled messages at a time.
    pub async fn hold(&self, channel: &str, most: u32) -> Result<Tickets, Fault> {
        let holding = self.receive(channel, most).await?;
        let (fate, lasting) = (self.unsettled_fate(channel), self.outlives_connections(channel));
        let (channel, unsettled) = (channel.to_owned(), BTreeMap::new());
        Ok(Tickets { holding, channel, fate, lasting, epoch: 1, given: 0, stopped: false, unsettled, lost: 0 })
    }
}

impl Tickets {
    /// What comes next; waits for it, and for ever once no more is wanted and nothing is left to be lost. `None` when the system has ended
    /// the receiving. Dropped and called again, it loses nothing.
    pub async fn event(&mut self) -> Option<HoldEvent> {
        if self.stopped && (self.lasting || self.unsettled.is_empty()) {
            return std::future::pending().await;
        }
        Some(match self.holding.next().await? {
            Ok(Came::Message(handle, delivery)) => HoldEvent::Message(self.ticketed(handle, delivery)),
            Ok(Came::Back) => HoldEvent::Resumed,
            Err(fault) => self.interrupted(fault),
        })
    }

    /// The next message, or why none comes; that the connection is there again is passed over.
    pub async fn next(&mut self) -> Option<Result<Delivery, Fault>> {
        loop {
            match self.event().await? {
                HoldEvent::Message(delivery) => return Some(Ok(*delivery)),
                HoldEvent::Interrupted { fault, .. } => return Some(Err(fault)),
                HoldEvent::Resumed => {}
            }
        }
    }

    /// No more messages are wanted; what is held stays held. The first time it is said, the system is told.
    pub async fn stop_receiving(&mut self) -> Result<(), Fault> {
        if std::mem::replace(&mut self.stopped, true) { Ok(()) } else { self.holding.stop_receiving().await }
    }

    /// Whether more messages are wanted.
    pub(super) fn is_receiving(&self) -> bool {
        !self.stopped
    }

    /// How many messages were handed on and not settled.
    pub(super) fn unsettled(&self) -> u64 {
        self.unsettled.len() as u64
    }

    /// Whether a ticket went with a connection that broke.
    pub fn is_lost(&self, ticket: Ticket) -> bool {
        ticket.epoch != self.epoch
    }

    /// Settles one message. A ticket that was lost is an error, never tried again.
    pub async fn settle(&mut self, ticket: Ticket, settlement: &Settlement) -> Result<(), Fault> {
        let lost = |cause: String| Fault::new(Kind::Lost, "settle a message of", self.channel.as_str(), cause);
        if self.is_lost(ticket) {
            let cause = format!("the connection that it came by is gone, and it {}", self.fate);
            return Err(lost(cause).next("receive it again: somebody else may have it by now"));
        }
        let handle = self.unsettled.get(&ticket.id).copied();
        let handle = handle.ok_or_else(|| lost("this message is settled already, or was never held".to_owned()))?;
        let settled = self.holding.settle(handle, settlement).await;
        if settled.as_ref().map_or_else(|fault| fault.kind == Kind::Lost, |()| !settlement.effect.keeps()) {
            self.unsettled.remove(&ticket.id);
        }
        settled
    }

    /// Gives back what is not settled and ends; says in one sentence what became of it.
    pub async fn release(self) -> Result<String, Fault> {
        let Closed { unsettled, mut notes } = self.holding.close().await?;
        let unsettled = unsettled.unwrap_or(self.unsettled.len() as u64);
        notes.insert(0, if unsettled == 0 { "nothing was left unsettled".to_owned() } else { each(unsettled, self.fate) });
        if self.lost > 0 {
            // One message may have come again, and gone again.
            let deliveries = if self.lost == 1 { "1 delivery".to_owned() } else { format!("{} deliveries", self.lost) };
            notes.insert(1, format!("{deliveries} went with a connection that broke"));
        }
        Ok(notes.join("; "))
    }

    fn ticketed(&mut self, handle: Option<Handle>, mut delivery: Box<Delivery>) -> Box<Delivery> {
        delivery.ticket = handle.map(|handle| {
            self.given += 1;
            self.unsettled.insert(self.given, handle);
            Ticket { epoch: self.epoch, id: self.given }
        });
        delivery
    }

    fn interrupted(&mut self, mut fault: Fault) -> HoldEvent {
        let mut lost = Vec::new();
        if !self.lasting && !self.unsettled.is_empty() {
            fault.cause = format!("{}; {}", fault.cause, each(self.unsettled(), self.fate)).into();
            lost.extend(std::mem::take(&mut self.unsettled).into_keys().map(|id| Ticket { epoch: self.epoch, id }));
            self.lost += lost.len();
            self.epoch += 1;
        }
        HoldEvent::Interrupted { fault, lost }
    }
}

/// What becomes of so many.
fn each(unsettled: u64, fate: &str) -> String {
    if unsettled == 1 { format!("1 unsettled message {fate}") } else { format!("{unsettled} unsettled messages: each {fate}") }
}
