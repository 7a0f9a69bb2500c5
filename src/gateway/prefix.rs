//! `topic_prefix` (seed 4): an integration whose channels are named without the prefix that they all have. A name outside of it is
//! written with a slash before it, so that every channel still has exactly one name and none is hidden.

use crate::adapters::session::{
    Call, Cost, Glance, Groups, History, Hold, Holding, Inspect, Judgement, Lane, Manage, Peek, Publish, Reading, Scope, Session, Sieve,
    SiftedLane, Sifting, Source, Tail, TailEvent, Transact, Transaction,
};
use crate::domain::address::split_kind;
use crate::domain::channel::{Channel, Description};
use crate::domain::delivery::{Delivery, Settlement, Ticket, Verb, Way};
use crate::domain::fault::Fault;
use crate::domain::group::{GroupDescription, Listing, Mark, Stamped, Standing};
use crate::domain::message::{Message, Outgoing, RawMessage};
use crate::domain::operation::{Change, Done, OperationSpec, PublishSpec, Request};
use crate::domain::position::Range;
use crate::domain::receipt::Receipt;
use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::BoxStream;
use std::sync::Arc;
use std::time::Duration;

/// What stands before every name.
#[derive(Debug)]
struct Prefix(String);

impl Prefix {
    /// A prefix is joined by a point, unless it ends with a separator of its own (MQTT's slash).
    fn new(text: &str) -> Self {
        let joined = text.ends_with(['.', '/', ':', '-', '_']);
        Self(if joined { text.to_owned() } else { format!("{text}.") })
    }

    /// The system's own name of a channel that is given to us.
    fn full(&self, name: &str) -> String {
        let (kind, bare) = split_kind(name);
        let full = match bare.strip_prefix('/') {
            _ if bare.is_empty() => String::new(),
            Some(outside) => outside.to_owned(),
            None => format!("{}{bare}", self.0),
        };
        kind.map_or(full.clone(), |kind| format!("{kind}:{full}"))
    }

    /// The name that we show of a channel as the system names it.
    fn shown(&self, name: &str) -> Arc<str> {
        let (kind, bare) = split_kind(name);
        let inside = bare.strip_prefix(&self.0).filter(|inside| !inside.is_empty() && !inside.starts_with('/'));
        let shown = inside.map_or_else(|| format!("/{bare}"), str::to_owned);
        kind.map_or(shown.clone(), |kind| format!("{kind}:{shown}")).into()
    }

    /// A handle that knows its channels by the names that are shown.
    fn on<H: ?Sized>(self: &Arc<Self>, inner: Arc<H>) -> Under<H> {
        Under { inner, prefix: self.clone() }
    }

    fn message(&self, message: Message) -> Message {
        Message { channel: self.shown(&message.channel), ..message }
    }

    fn channel(&self, channel: Channel) -> Channel {
        let dead_letters_to = channel.dead_letters_to.map(|name| (*self.shown(name.as_str())).into());
        let kept_by = channel.kept_by.map(|name| self.shown(&name));
        Channel { name: self.shown(&channel.name), dead_letters_to, kept_by, ..channel }
    }

    fn delivery(&self, delivery: Delivery) -> Delivery {
        Delivery { message: self.message(delivery.message), ..delivery }
    }

    fn marks(&self, marks: &[Mark]) -> Vec<Mark> {
        marks.iter().map(|mark| Mark { channel: self.full(&mark.channel).into(), ..mark.clone() }).collect()
    }

    /// A request with its channel named by `name`; a group has a name of its own.
    fn request(request: &Request, name: impl Fn(&str) -> Arc<str>) -> Request {
        let mut request = request.clone();
        if !request.address.is_group() && !request.address.channel.is_empty() {
            request.address.channel = name(&request.address.channel);
        }
        request
    }

    fn change(change: Change, name: impl Fn(&str) -> Arc<str> + Copy) -> Change {
        let undo = change.undo.as_ref().map(|undo| Self::request(undo, name));
        Change { request: Self::request(&change.request, name), undo, ..change }
    }
}

/// A handle under a prefix.
struct Under<H: ?Sized> {
    inner: Arc<H>,
    prefix: Arc<Prefix>,
}

/// The session with every name under a prefix.
pub(super) fn under(session: Session, prefix: &str) -> Session {
    let prefix = Arc::new(Prefix::new(prefix));
    Session {
        inspect: Arc::new(prefix.on(session.inspect)),
        tail: session.tail.map(|inner| Arc::new(prefix.on(inner)) as Arc<dyn Tail>),
        history: session.history.map(|inner| Arc::new(prefix.on(inner)) as Arc<dyn History>),
        peek: session.peek.map(|inner| Arc::new(prefix.on(inner)) as Arc<dyn Peek>),
        groups: session.groups.map(|inner| Arc::new(prefix.on(inner)) as Arc<dyn Groups>),
        publish: session.publish.map(|inner| Arc::new(prefix.on(inner)) as Arc<dyn Publish>),
        transact: session.transact.map(|inner| Arc::new(prefix.on(inner)) as Arc<dyn Transact>),
        hold: session.hold.map(|inner| Arc::new(prefix.on(inner)) as Arc<dyn Hold>),
        call: session.call.map(|inner| Arc::new(prefix.on(inner)) as Arc<dyn Call>),
        manage: session.manage.map(|inner| Arc::new(prefix.on(inner)) as Arc<dyn Manage>),
    }
}

#[async_trait]
impl Inspect for Under<dyn Inspect> {
    async fn ping(&self) -> Result<Duration, Fault> {
        self.inner.ping().await
    }

    /// Those under the prefix first, in the order of the names that are shown.
    async fn channels(&self) -> Result<Vec<Channel>, Fault> {
        let mut channels: Vec<Channel> = self.inner.channels().await?.into_iter().map(|channel| self.prefix.channel(channel)).collect();
        channels.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(channels)
    }

    async fn describe(&self, channel: &str) -> Result<Description, Fault> {
        let description = self.inner.describe(&self.prefix.full(channel)).await?;
        Ok(Description { channel: self.prefix.channel(description.channel), ..description })
    }
}

#[async_trait]
impl Tail for Under<dyn Tail> {
    fn cost(&self) -> Cost {
        self.inner.cost()
    }

    async fn tail(&self, channels: &[Arc<str>]) -> Result<BoxStream<'static, TailEvent>, Fault> {
        let full: Vec<Arc<str>> = channels.iter().map(|channel| self.prefix.full(channel).into()).collect();
        let prefix = self.prefix.clone();
        let shown = move |event| match event {
            TailEvent::Messages(messages) => TailEvent::Messages(messages.into_iter().map(|message| prefix.message(message)).collect()),
            other => other,
        };
        Ok(self.inner.tail(&full).await?.map(shown).boxed())
    }
}

/// A sieve that knows the channel by the name that is shown.
struct Renamed {
    inner: Arc<dyn Sieve>,
    name: Arc<str>,
}

impl Sieve for Renamed {
    fn glance(&self, bytes: &[u8]) -> Glance {
        self.inner.glance(bytes)
    }

    fn judge(&self, message: &RawMessage<'_>, glance: Glance) -> Judgement {
        self.inner.judge(&RawMessage { channel: &self.name, ..*message }, glance)
    }
}

#[async_trait]
impl History for Under<dyn History> {
    fn cost(&self) -> Cost {
        self.inner.cost()
    }

    async fn read(&self, channel: &str, range: Range) -> Result<Reading, Fault> {
        let reading = self.inner.read(&self.prefix.full(channel), range).await?;
        let shown = |lane: Lane| {
            let prefix = self.prefix.clone();
            let rename = move |batch: Result<Vec<Message>, Fault>| {
                batch.map(|messages| messages.into_iter().map(|message| prefix.message(message)).collect())
            };
            Lane { batches: lane.batches.map(rename).boxed(), ..lane }
        };
        Ok(Reading { lanes: reading.lanes.into_iter().map(shown).collect(), ..reading })
    }

    async fn sift(&self, channel: &str, scope: &Scope, sieve: Arc<dyn Sieve>) -> Result<Sifting, Fault> {
        let full = self.prefix.full(channel);
        let sieve = Arc::new(Renamed { inner: sieve, name: self.prefix.shown(&full) });
        let sifting = self.inner.sift(&full, scope, sieve).await?;
        let shown = |lane: SiftedLane| {
            let prefix = self.prefix.clone();
            let rename = move |mut sifted: Result<crate::adapters::session::Sifted, Fault>| {
                if let Ok(sifted) = &mut sifted {
                    let kept = sifted.kept.iter_mut().map(|kept| &mut kept.message.channel);
                    for channel in kept.chain(sifted.last.iter_mut().map(|(channel, _)| channel)) {
                        *channel = prefix.shown(channel);
                    }
                }
                sifted
            };
            SiftedLane { batches: lane.batches.map(rename).boxed(), ..lane }
        };
        Ok(Sifting { lanes: sifting.lanes.into_iter().map(shown).collect(), ..sifting })
    }
}

#[async_trait]
impl Peek for Under<dyn Peek> {
    fn cost(&self, channel: &str) -> Cost {
        self.inner.cost(&self.prefix.full(channel))
    }

    async fn peek(&self, channel: &str, most: usize) -> Result<Vec<Delivery>, Fault> {
        let looked = self.inner.peek(&self.prefix.full(channel), most).await?;
        Ok(looked.into_iter().map(|delivery| self.prefix.delivery(delivery)).collect())
    }
}

#[async_trait]
impl Groups for Under<dyn Groups> {
    async fn groups(&self) -> Result<Listing, Fault> {
        self.inner.groups().await
    }

    async fn standings(&self, groups: &[Arc<str>]) -> Result<Vec<Result<Vec<Standing>, Fault>>, Fault> {
        let shown = |standing: Standing| Standing { channel: self.prefix.shown(&standing.channel), ..standing };
        let standings = self.inner.standings(groups).await?;
        Ok(standings.into_iter().map(|group| group.map(|group| group.into_iter().map(shown).collect())).collect())
    }

    async fn describe(&self, group: &str) -> Result<GroupDescription, Fault> {
        let mut description = self.inner.describe(group).await?;
        for (channel, _) in description.members.iter_mut().flat_map(|member| &mut member.assignment) {
            *channel = self.prefix.shown(channel);
        }
        Ok(description)
    }

    async fn stamps(&self, marks: &[Mark]) -> Vec<Stamped> {
        self.inner.stamps(&self.prefix.marks(marks)).await
    }
}

#[async_trait]
impl Publish for Under<dyn Publish> {
    fn spec(&self) -> &'static PublishSpec {
        self.inner.spec()
    }

    async fn publish(&self, channel: &str, message: Outgoing) -> Result<Receipt, Fault> {
        self.inner.publish(&self.prefix.full(channel), message).await
    }

    async fn flush(&self) -> Result<(), Fault> {
        self.inner.flush().await
    }
}

#[async_trait]
impl Transact for Under<dyn Transact> {
    async fn begin(&self, name: &str, source: Option<Source>) -> Result<Box<dyn Transaction>, Fault> {
        let full =
            |source: Source| Source { channels: source.channels.iter().map(|name| self.prefix.full(name).into()).collect(), ..source };
        let inner = self.inner.begin(name, source.map(full)).await?;
        Ok(Box::new(Inside { inner, prefix: self.prefix.clone() }))
    }
}

/// A transaction or a receiving under a prefix.
struct Inside<H: ?Sized> {
    inner: Box<H>,
    prefix: Arc<Prefix>,
}

#[async_trait]
impl Transaction for Inside<dyn Transaction> {
    async fn take(&mut self, most: usize, wait: Duration) -> Result<Vec<Message>, Fault> {
        Ok(self.inner.take(most, wait).await?.into_iter().map(|message| self.prefix.message(message)).collect())
    }

    async fn publish(&mut self, channel: &str, message: Outgoing) -> Result<(), Fault> {
        self.inner.publish(&self.prefix.full(channel), message).await
    }

    async fn consumed(&mut self, group: &str, positions: &[Mark]) -> Result<(), Fault> {
        self.inner.consumed(group, &self.prefix.marks(positions)).await
    }

    async fn commit(&mut self) -> Result<(), Fault> {
        self.inner.commit().await
    }

    async fn abort(&mut self) -> Result<(), Fault> {
        self.inner.abort().await
    }

    async fn end(self: Box<Self>) -> Result<(), Fault> {
        self.inner.end().await
    }
}

#[async_trait]
impl Hold for Under<dyn Hold> {
    fn verbs(&self, channel: &str) -> &'static [Verb] {
        self.inner.verbs(&self.prefix.full(channel))
    }

    fn warning(&self, channel: &str) -> Option<&'static str> {
        self.inner.warning(&self.prefix.full(channel))
    }

    async fn patience(&self, channel: &str) -> Result<Option<Duration>, Fault> {
        self.inner.patience(&self.prefix.full(channel)).await
    }

    fn left(&self, channel: &str) -> &'static str {
        self.inner.left(&self.prefix.full(channel))
    }

    async fn ways(&self, channel: &str) -> Result<Vec<Way>, Fault> {
        let ways = self.inner.ways(&self.prefix.full(channel)).await?;
        Ok(ways.into_iter().map(|way| Way { channel: self.prefix.shown(&way.channel), ..way }).collect())
    }

    async fn hold(&self, channel: &str, most: u32) -> Result<Box<dyn Holding>, Fault> {
        let inner = self.inner.hold(&self.prefix.full(channel), most).await?;
        Ok(Box::new(Inside { inner, prefix: self.prefix.clone() }))
    }
}

#[async_trait]
impl Holding for Inside<dyn Holding> {
    async fn next(&mut self) -> Option<Result<Delivery, Fault>> {
        let delivery = self.inner.next().await?;
        Some(delivery.map(|delivery| self.prefix.delivery(delivery)))
    }

    async fn resumed(&mut self) -> Option<Result<(), Fault>> {
        self.inner.resumed().await
    }

    async fn enough(&mut self) -> Result<(), Fault> {
        self.inner.enough().await
    }

    async fn broken(&mut self) -> Fault {
        self.inner.broken().await
    }

    fn is_lost(&self, ticket: Ticket) -> bool {
        self.inner.is_lost(ticket)
    }

    async fn settle(&mut self, ticket: Ticket, settlement: &Settlement) -> Result<(), Fault> {
        self.inner.settle(ticket, settlement).await
    }

    async fn release(self: Box<Self>) -> Result<String, Fault> {
        self.inner.release().await
    }
}

#[async_trait]
impl Call for Under<dyn Call> {
    /// Where replies came by is no channel of anybody's: its name stays.
    async fn call(&self, channel: &str, request: Outgoing, wait: Duration) -> Result<BoxStream<'static, Result<Message, Fault>>, Fault> {
        self.inner.call(&self.prefix.full(channel), request, wait).await
    }
}

#[async_trait]
impl Manage for Under<dyn Manage> {
    fn operations(&self) -> &'static [&'static OperationSpec] {
        self.inner.operations()
    }

    async fn plan(&self, request: Request) -> Result<Change, Fault> {
        let change = self.inner.plan(Prefix::request(&request, |name| self.prefix.full(name).into())).await?;
        Ok(Prefix::change(change, |name| self.prefix.shown(name)))
    }

    async fn carry_out(&self, change: &Change) -> Result<Done, Fault> {
        self.inner.carry_out(&Prefix::change(change.clone(), |name| self.prefix.full(name).into())).await
    }
}

#[cfg(test)]
mod tests;
