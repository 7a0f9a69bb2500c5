//! Taking messages as a member of a queue group of a subject. Nothing is held: what comes here is gone for the other members, and
//! nobody can give it back. So it is never done by looking, and never for more messages than were asked for.

use super::link::{Link, Subscription};
use super::names::{plain, shown};
use super::wire::mailbox::Event;
use super::{Shared, headers};
use crate::adapters::session::{Came, Closed, Handle, Holding};
use crate::domain::delivery::{Delivery, Settlement};
use crate::domain::fault::{Fault, Kind};
use crate::domain::figure::several;
use crate::domain::message::{Message, Stamp};
use crate::domain::position::Position;
use crate::domain::time::Timestamp;
use async_trait::async_trait;

const OP: &str = "receive from";
/// What it does, for whoever looks at such a channel.
pub(super) const WARNING: &str = "what is received here the group's other members do not get; it cannot be given back";

/// Takes messages; the server gives no more than were asked for.
pub(super) struct Taking {
    link: Link,
    subscription: Subscription,
    target: String,
    interrupted: bool,
    left: u32,
    taken: u64,
}

impl Taking {
    pub(super) async fn begin(shared: &Shared, subject: &str, group: &str, most: u32) -> Result<Self, Fault> {
        let link = Link::open(shared.dial.clone()).await?;
        let subscription = link.subscribe_for(OP, &plain(subject), group, most.max(1).into()).await?;
        let target = format!("queue:{subject}/{group}");
        Ok(Self { link, subscription, target, interrupted: false, left: most.max(1), taken: 0 })
    }
}

#[async_trait]
impl Holding for Taking {
    async fn next(&mut self) -> Option<Result<Came, Fault>> {
        let msg = loop {
            if self.left == 0 {
                return None;
            }
            match self.subscription.next().await? {
                Event::Message(msg) => break msg,
                Event::Down(fault) => {
                    self.interrupted = true;
                    return Some(Err(fault));
                }
                Event::Up if std::mem::take(&mut self.interrupted) => return Some(Ok(Came::Back)),
                Event::Dropped(_) | Event::Up => {}
            }
        };
        self.left = self.left.saturating_sub(1);
        self.taken += 1;
        let delivery = Box::new(Delivery {
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
        });
        Some(Ok(Came::Message(None, delivery)))
    }

    /// The server gives no more than were asked for.
    async fn stop_receiving(&mut self) -> Result<(), Fault> {
        Ok(())
    }

    async fn settle(&mut self, _handle: Handle, _settlement: &Settlement) -> Result<(), Fault> {
        Err(Fault::new(Kind::Usage, "settle", self.target.as_str(), "what a queue group gives is not acknowledged"))
    }

    async fn close(mut self: Box<Self>) -> Result<Closed, Fault> {
        // What came and was not looked at was taken from the group as well.
        let ready = std::iter::from_fn(|| self.subscription.ready());
        let unseen = ready.filter(|event| matches!(event, Event::Message(_))).count();
        drop(self.subscription);
        self.link.ping("leave").await?;
        let more = if unseen > 0 { format!(", and {unseen} more that were not looked at") } else { String::new() };
        let taken = several(self.taken, "message");
        Ok(Closed { unsettled: None, notes: vec![format!("{taken} taken from the queue group, which does not get them back{more}")] })
    }
}
