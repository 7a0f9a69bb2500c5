//! Taking messages as a member of a queue group of a subject. Nothing is held: what comes here is gone for the other members, and
//! nobody can give it back. So it is never done by looking, and never for more messages than were asked for.

use super::link::{Link, Subscription};
use super::names::{plain, shown};
use super::wire::mailbox::{Event, Msg};
use super::{Shared, headers};
use crate::adapters::session::Holding;
use crate::domain::delivery::{Delivery, Settlement, Ticket};
use crate::domain::fault::{Fault, Kind};
use crate::domain::message::{Message, Stamp};
use crate::domain::position::Position;
use crate::domain::time::Timestamp;
use async_trait::async_trait;
use std::collections::VecDeque;

const OP: &str = "receive from";
/// What it does, for whoever looks at such a channel.
pub(super) const WARNING: &str = "what is received here the group's other members do not get; it cannot be given back";

/// Takes messages; the server gives no more than were asked for.
pub(super) struct Taking {
    link: Link,
    subscription: Subscription,
    target: String,
    waiting: VecDeque<Msg>,
    left: u32,
    taken: u64,
}

impl Taking {
    pub(super) async fn begin(shared: &Shared, subject: &str, group: &str, most: u32) -> Result<Self, Fault> {
        let link = Link::open(shared.dial.clone()).await?;
        let subscription = link.subscribe_for(OP, &plain(subject), group, most.max(1).into()).await?;
        let target = format!("queue:{subject}/{group}");
        Ok(Self { link, subscription, target, waiting: VecDeque::new(), left: most.max(1), taken: 0 })
    }
}

#[async_trait]
impl Holding for Taking {
    async fn next(&mut self) -> Option<Result<Delivery, Fault>> {
        while self.left > 0 && self.waiting.is_empty() {
            match self.subscription.next().await? {
                Event::Message(msg) => self.waiting.push_back(msg),
                Event::Down(fault) => return Some(Err(fault)),
                Event::Dropped(_) | Event::Up => {}
            }
        }
        let msg = self.waiting.pop_front()?;
        self.left = self.left.saturating_sub(1);
        self.taken += 1;
        Some(Ok(Delivery {
            ticket: None,
            message: Message {
                channel: shown(&msg.subject).into(),
                position: Position::Arrival(self.taken),
                timestamp: Some(Timestamp(jiff::Timestamp::now().as_millisecond())),
                stamp: Stamp::Seen,
                key: None,
                headers: headers::of(&msg.block),
                payload: Some(msg.payload),
            },
            deliveries: None,
            redelivered: false,
        }))
    }

    async fn resumed(&mut self) -> Option<Result<(), Fault>> {
        loop {
            match self.subscription.next().await? {
                Event::Message(msg) => self.waiting.push_back(msg),
                Event::Down(fault) => return Some(Err(fault)),
                Event::Dropped(_) => continue,
                Event::Up => {}
            }
            return Some(Ok(()));
        }
    }

    async fn settle(&mut self, _ticket: Ticket, _settlement: &Settlement) -> Result<(), Fault> {
        Err(Fault::new(Kind::Usage, "settle", self.target.as_str(), "what a queue group gives is not acknowledged"))
    }

    async fn release(mut self: Box<Self>) -> Result<String, Fault> {
        // What came and was not looked at was taken from the group as well.
        while let Some(event) = self.subscription.ready() {
            if let Event::Message(msg) = event {
                self.waiting.push_back(msg);
            }
        }
        let unseen = self.waiting.len();
        drop(self.subscription);
        self.link.ping("leave").await?;
        Ok(match (self.taken, unseen) {
            (0, 0) => "nothing was taken from the queue group".to_owned(),
            (taken, 0) => format!("{taken} messages were taken from the queue group, which does not get them back"),
            (taken, unseen) => format!("{taken} messages were taken from the queue group, and {unseen} more that were not looked at"),
        })
    }
}
