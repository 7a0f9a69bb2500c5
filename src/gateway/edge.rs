//! The edge: the handles of a connected system as the rest of the gateway has them. Each call passes the [guard](super::guard), names are
//! translated once, and what a call returns (a stream, a receiving, a transaction) lets its batches pass one by one. A session that did
//! not come through here is known to its supervisor alone.

use super::guard::{Caller, Counts, Pass, guard};
use super::names::Names;
use crate::adapters::session::{
    Call, Came, Closed, DeadLetters, Groups, Handle, History, Hold, Holding, Inspect, Looked, Manage, Peek, Publish, Scan, ScanLane,
    Session, Tail, Transact, Transaction,
};
use crate::domain::address::Address;
use crate::domain::channel::{Channel, Cost, Description};
use crate::domain::dead_letter::place::{Assumptions, DeadLetterMap, Letter};
use crate::domain::delivery::{Effect, Given, ReceiveOption, Settlement, Settles, Verb};
use crate::domain::fault::{Fault, Kind};
use crate::domain::group::{GroupDescription, GroupOffset, Listing, Mark, Source, Stamped};
use crate::domain::message::{Message, Outgoing, RawMessage};
use crate::domain::operation::{CALL, Change, Done, OperationSpec, PUBLISH, PublishSpec, RECEIVE, Request, Risk, SETTLE};
use crate::domain::operations::{
    CHECK, DESCRIBE_CHANNEL, DESCRIBE_GROUP, LIST_CHANNELS, LIST_GROUPS, MAP_DEAD_LETTERS, PEEK, PROCESS, READ, READ_DEAD_LETTERS, TAIL,
};
use crate::domain::receipt::Receipt;
use crate::domain::search::{ChunkHint, Evaluation, MessageFilter, ScanBatch, Scope};
use crate::domain::tail::TailEvent;
use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use std::sync::Arc;
use std::time::Duration;

/// Between one caller and one integration.
#[derive(Clone)]
pub(super) struct Edge {
    pub(super) caller: Caller,
    pub(super) counts: Counts,
    pub(super) integration: Arc<str>,
    pub(super) names: Arc<Names>,
    /// Whether the profile's safety let the operation begin that this is for. What has begun goes on when the profile is disarmed.
    pub(super) may_change: bool,
}

impl Edge {
    /// A session's handles as this caller has them.
    pub(super) fn around(self, session: Session) -> Session {
        let edge = Arc::new(self);
        Session {
            inspect: Arc::new(edge.on(session.inspect)),
            tail: session.tail.map(|inner| Arc::new(edge.on(inner)) as Arc<dyn Tail>),
            history: session.history.map(|inner| Arc::new(edge.on(inner)) as Arc<dyn History>),
            peek: session.peek.map(|inner| Arc::new(edge.on(inner)) as Arc<dyn Peek>),
            groups: session.groups.map(|inner| Arc::new(edge.on(inner)) as Arc<dyn Groups>),
            dead_letters: session.dead_letters.map(|inner| Arc::new(edge.on(inner)) as Arc<dyn DeadLetters>),
            publish: session.publish.map(|inner| Arc::new(edge.on(inner)) as Arc<dyn Publish>),
            transact: session.transact.map(|inner| Arc::new(edge.on(inner)) as Arc<dyn Transact>),
            hold: session.hold.map(|inner| Arc::new(edge.on(inner)) as Arc<dyn Hold>),
            call: session.call.map(|inner| Arc::new(edge.on(inner)) as Arc<dyn Call>),
            manage: session.manage.map(|inner| Arc::new(edge.on(inner)) as Arc<dyn Manage>),
        }
    }

    fn on<H: ?Sized>(self: &Arc<Self>, inner: Arc<H>) -> Guarded<H> {
        Guarded { inner, edge: self.clone() }
    }

    fn address(&self, channel: &str) -> Address {
        Address::new(&self.integration, channel)
    }

    async fn guard<T, F>(&self, operation: &'static OperationSpec, address: &Address, call: impl Fn() -> F) -> Result<T, Fault>
    where
        F: Future<Output = Result<T, Fault>>,
    {
        if operation.risk > Risk::Read && !self.may_change {
            let cause = "it was begun for reading only";
            return Err(Fault::new(Kind::Forbidden, operation.id, address.to_string(), cause).next("carry it out as a plan"));
        }
        guard(&self.caller, &self.counts, operation, address, call).await
    }

    fn pass(&self, operation: &'static OperationSpec, address: Address) -> Pass {
        Pass { caller: self.caller.clone(), counts: self.counts.clone(), operation, address }
    }

    /// Lets a stream's batches pass. Where one may not, or the caller ends, a fault says so and is the last item: what was cut off must not
    /// look like an end.
    fn let_pass<T: Send + 'static>(
        &self,
        operation: &'static OperationSpec,
        address: Address,
        batches: BoxStream<'static, Result<T, Fault>>,
        size: fn(&T) -> usize,
    ) -> BoxStream<'static, Result<T, Fault>> {
        let pass = self.pass(operation, address);
        let next = move |(mut batches, pass): (BoxStream<'static, Result<T, Fault>>, Option<Pass>)| async move {
            let pass = pass?;
            let item = tokio::select! {
                biased;
                () = pass.caller.stop().cancelled() => return Some((Err(pass.ending()), (batches, None))),
                item = batches.next() => item?,
            };
            let Ok(batch) = item else { return Some((item, (batches, Some(pass)))) };
            Some(match pass.batch(size(&batch)) {
                Ok(()) => (Ok(batch), (batches, Some(pass))),
                Err(refused) => (Err(refused), (batches, None)),
            })
        };
        stream::unfold((batches, Some(pass)), next).boxed()
    }
}

/// A handle at the edge.
struct Guarded<H: ?Sized> {
    inner: Arc<H>,
    edge: Arc<Edge>,
}

#[async_trait]
impl Inspect for Guarded<dyn Inspect> {
    async fn ping(&self) -> Result<Duration, Fault> {
        self.edge.guard(&CHECK, &self.edge.address(""), || self.inner.ping()).await
    }

    /// Those under the prefix first, in the order of the names that are shown; only what the caller may see.
    async fn channels(&self) -> Result<Vec<Channel>, Fault> {
        let edge = &self.edge;
        let mut channels = edge.guard(&LIST_CHANNELS, &edge.address(""), || self.inner.channels()).await?;
        if !edge.names.are_plain() {
            channels = channels.into_iter().map(|channel| edge.names.channel(channel)).collect();
            channels.sort_by(|a, b| a.name.cmp(&b.name));
        }
        channels.retain(|channel| edge.caller.permits(&LIST_CHANNELS, &edge.address(&channel.name)).is_ok());
        Ok(channels)
    }

    async fn describe(&self, channel: &str) -> Result<Description, Fault> {
        let full = self.edge.names.full(channel);
        let description = self.edge.guard(&DESCRIBE_CHANNEL, &self.edge.address(channel), || self.inner.describe(&full)).await?;
        Ok(Description { channel: self.edge.names.channel(description.channel), ..description })
    }
}

#[async_trait]
impl Tail for Guarded<dyn Tail> {
    fn cost(&self) -> Cost {
        self.inner.cost()
    }

    async fn tail(&self, channels: &[Arc<str>]) -> Result<BoxStream<'static, TailEvent>, Fault> {
        let edge = &self.edge;
        let addresses: Vec<Address> = channels.iter().map(|channel| edge.address(channel)).collect();
        let Some((first, others)) = addresses.split_first() else { return Ok(stream::empty().boxed()) };
        for address in others {
            edge.caller.permits(&TAIL, address)?;
        }
        let full: Vec<Arc<str>> = channels.iter().map(|channel| edge.names.full(channel)).collect();
        let events = edge.guard(&TAIL, first, || self.inner.tail(&full)).await?;
        let passes: Vec<Pass> = addresses.into_iter().map(|address| edge.pass(&TAIL, address)).collect();
        let (names, stop) = (edge.names.clone(), edge.caller.stop().clone());
        let next = move |(mut events, names, passes, over): (BoxStream<'static, TailEvent>, Arc<Names>, Vec<Pass>, bool)| {
            let stop = stop.clone();
            async move {
                if over {
                    return None;
                }
                let event = tokio::select! {
                    biased;
                    () = stop.cancelled() => return None,
                    event = events.next() => event?,
                };
                let TailEvent::Messages(messages) = event else { return Some((event, (events, names, passes, false))) };
                Some(match passes.iter().try_for_each(Pass::goes_on) {
                    Ok(()) => {
                        // Counted once, however many channels are tailed together.
                        if let Some(first) = passes.first() {
                            first.counted(messages.len());
                        }
                        (TailEvent::Messages(names.messages(messages)), (events, names, passes, false))
                    }
                    Err(refused) => (TailEvent::Interrupted(refused), (events, names, passes, true)),
                })
            }
        };
        Ok(stream::unfold((events, names, passes, false), next).boxed())
    }
}

/// A sieve that knows the channel by the name that is shown.
struct Renamed {
    inner: Arc<dyn MessageFilter>,
    name: Arc<str>,
}

impl MessageFilter for Renamed {
    fn prefilter_chunk(&self, bytes: &[u8]) -> ChunkHint {
        self.inner.prefilter_chunk(bytes)
    }

    fn evaluate(&self, message: &RawMessage<'_>, hint: ChunkHint) -> Evaluation {
        self.inner.evaluate(&RawMessage { channel: &self.name, ..*message }, hint)
    }
}

#[async_trait]
impl History for Guarded<dyn History> {
    fn cost(&self) -> Cost {
        self.inner.cost()
    }

    async fn scan(&self, channel: &str, scope: &Scope, filter: Arc<dyn MessageFilter>) -> Result<Scan, Fault> {
        let (edge, address) = (&self.edge, self.edge.address(channel));
        let full = edge.names.full(channel);
        let filter: Arc<dyn MessageFilter> =
            if edge.names.are_plain() { filter } else { Arc::new(Renamed { inner: filter, name: edge.names.shown(&full) }) };
        let scan = edge.guard(&READ, &address, || self.inner.scan(&full, scope, filter.clone())).await?;
        let guarded = |lane: ScanLane| {
            let names = edge.names.clone();
            let shown = move |mut scanned: ScanBatch| {
                if !names.are_plain() {
                    let kept = scanned.kept.iter_mut().map(|kept| &mut kept.message.channel);
                    for channel in kept.chain(scanned.last.iter_mut().map(|(channel, _)| channel)) {
                        *channel = names.shown(channel);
                    }
                }
                scanned
            };
            let batches = lane.batches.map(move |batch| batch.map(&shown)).boxed();
            let scanned = |scanned: &ScanBatch| usize::try_from(scanned.counts.scanned).unwrap_or(usize::MAX);
            ScanLane { batches: edge.let_pass(&READ, address.clone(), batches, scanned), ..lane }
        };
        Ok(Scan { lanes: scan.lanes.into_iter().map(guarded).collect(), ..scan })
    }
}

#[async_trait]
impl Peek for Guarded<dyn Peek> {
    async fn cost(&self, channel: &str) -> Result<Cost, Fault> {
        let full = self.edge.names.full(channel);
        self.edge.guard(&DESCRIBE_CHANNEL, &self.edge.address(channel), || self.inner.cost(&full)).await
    }

    async fn peek(&self, channel: &str, most: usize) -> Result<Looked, Fault> {
        let full = self.edge.names.full(channel);
        let seen = self.edge.guard(&PEEK, &self.edge.address(channel), || self.inner.peek(&full, most)).await?;
        let deliveries = seen.deliveries.into_iter().map(|delivery| self.edge.names.delivery(delivery)).collect();
        Ok(Looked { deliveries, ..seen })
    }

    async fn ready(&self, channel: &str, expected: u64) -> Result<Option<u64>, Fault> {
        let full = self.edge.names.full(channel);
        self.edge.guard(&DESCRIBE_CHANNEL, &self.edge.address(channel), || self.inner.ready(&full, expected)).await
    }
}

#[async_trait]
impl Groups for Guarded<dyn Groups> {
    async fn groups(&self) -> Result<Listing, Fault> {
        self.edge.guard(&LIST_GROUPS, &self.edge.address(""), || self.inner.groups()).await
    }

    async fn group_offsets(&self, groups: &[Arc<str>]) -> Result<Vec<Result<Vec<GroupOffset>, Fault>>, Fault> {
        let names = &self.edge.names;
        let shown = |group_offset: GroupOffset| GroupOffset { channel: names.shown(&group_offset.channel), ..group_offset };
        let group_offsets = self.edge.guard(&LIST_GROUPS, &self.edge.address(""), || self.inner.group_offsets(groups)).await?;
        Ok(group_offsets.into_iter().map(|group| group.map(|group| group.into_iter().map(shown).collect())).collect())
    }

    async fn describe(&self, group: &str) -> Result<GroupDescription, Fault> {
        let address = Address::group(&self.edge.integration, group);
        let mut description = self.edge.guard(&DESCRIBE_GROUP, &address, || self.inner.describe(group)).await?;
        for (channel, _) in description.members.iter_mut().flat_map(|member| &mut member.assignment) {
            *channel = self.edge.names.shown(channel);
        }
        Ok(description)
    }

    async fn timestamps(&self, marks: &[Mark]) -> Vec<Stamped> {
        let full = self.edge.names.marks(marks);
        let timestamps = self.edge.guard(&READ, &self.edge.address(""), || async { Ok(self.inner.timestamps(&full).await) }).await;
        timestamps.unwrap_or_else(|fault| marks.iter().map(|_| Err(fault.clone())).collect())
    }
}

#[async_trait]
impl DeadLetters for Guarded<dyn DeadLetters> {
    /// Only paths and findings of channels that the caller may see.
    async fn map(&self, assumed: &Assumptions) -> Result<DeadLetterMap, Fault> {
        let (edge, full) = (&self.edge, self.edge.names.full_assumptions(assumed));
        let map = edge.guard(&MAP_DEAD_LETTERS, &edge.address(""), || self.inner.map(&full)).await?;
        let mut map = edge.names.dead_letter_map(map);
        let may_see = |name: &Arc<str>| edge.caller.permits(&MAP_DEAD_LETTERS, &edge.address(name)).is_ok();
        map.paths.retain(|path| may_see(&path.from) && path.to.name().is_none_or(may_see));
        map.findings.retain(|finding| may_see(&finding.channel) && finding.others.iter().all(may_see));
        Ok(map)
    }

    async fn letters(&self, place: &str, assumed: &Assumptions) -> Result<BoxStream<'static, Result<Vec<Letter>, Fault>>, Fault> {
        let (edge, address) = (&self.edge, self.edge.address(place));
        let (full, assumed) = (edge.names.full(place), edge.names.full_assumptions(assumed));
        let letters = edge.guard(&READ_DEAD_LETTERS, &address, || self.inner.letters(&full, &assumed)).await?;
        let names = edge.names.clone();
        let shown = letters.map(move |batch| batch.map(|batch| batch.into_iter().map(|letter| names.letter(letter)).collect()));
        Ok(edge.let_pass(&READ_DEAD_LETTERS, address, shown.boxed(), Vec::len))
    }
}

#[async_trait]
impl Publish for Guarded<dyn Publish> {
    fn spec(&self) -> &'static PublishSpec {
        self.inner.spec()
    }

    async fn publish(&self, channel: &str, message: Outgoing) -> Result<Receipt, Fault> {
        let full = self.edge.names.full(channel);
        self.edge.guard(&PUBLISH, &self.edge.address(channel), || self.inner.publish(&full, message.clone())).await
    }

    async fn flush(&self) -> Result<(), Fault> {
        self.inner.flush().await
    }
}

#[async_trait]
impl Transact for Guarded<dyn Transact> {
    async fn begin(&self, name: &str, source: Option<Source>) -> Result<Box<dyn Transaction>, Fault> {
        let edge = &self.edge;
        let channels = source.iter().flat_map(|source| &source.channels);
        let addresses: Vec<Address> = channels.map(|channel| edge.address(channel)).collect();
        for address in &addresses {
            edge.caller.permits(&PROCESS, address)?;
        }
        let full = source.map(|source| Source { channels: source.channels.iter().map(|name| edge.names.full(name)).collect(), ..source });
        let address = addresses.into_iter().next().unwrap_or_else(|| edge.address(""));
        let inner = edge.guard(&PROCESS, &address, || self.inner.begin(name, full.clone())).await?;
        let taken = edge.pass(&PROCESS, address);
        Ok(Box::new(Inside { inner, edge: edge.clone(), taken }))
    }
}

/// A transaction or a receiving at the edge.
struct Inside<H: ?Sized> {
    inner: Box<H>,
    edge: Arc<Edge>,
    /// Lets pass what comes.
    taken: Pass,
}

#[async_trait]
impl Transaction for Inside<dyn Transaction> {
    async fn take(&mut self, most: usize, wait: Duration) -> Result<Vec<Message>, Fault> {
        let messages = self.inner.take(most, wait).await?;
        self.taken.batch(messages.len())?;
        Ok(self.edge.names.messages(messages))
    }

    /// Permitted for each channel that is published to: where the messages go is known only now.
    async fn publish(&mut self, channel: &str, message: Outgoing) -> Result<(), Fault> {
        self.edge.caller.permits(&PUBLISH, &self.edge.address(channel))?;
        self.inner.publish(&self.edge.names.full(channel), message).await
    }

    async fn consumed(&mut self, group: &str, positions: &[Mark]) -> Result<(), Fault> {
        self.inner.consumed(group, &self.edge.names.marks(positions)).await
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
impl Hold for Guarded<dyn Hold> {
    fn verbs(&self, channel: &str) -> &'static [Verb] {
        self.inner.verbs(&self.edge.names.full(channel))
    }

    fn warning(&self, channel: &str) -> Option<&'static str> {
        self.inner.warning(&self.edge.names.full(channel))
    }

    async fn ack_timeout(&self, channel: &str) -> Result<Option<Duration>, Fault> {
        let full = self.edge.names.full(channel);
        self.edge.guard(&DESCRIBE_CHANNEL, &self.edge.address(channel), || self.inner.ack_timeout(&full)).await
    }

    async fn spends(&self, channel: &str) -> Result<Option<Settles>, Fault> {
        let full = self.edge.names.full(channel);
        self.edge.guard(&DESCRIBE_CHANNEL, &self.edge.address(channel), || self.inner.spends(&full)).await
    }

    async fn settles(&self, channel: &str, effect: Effect, messages: &[Given]) -> Result<Settles, Fault> {
        let full = self.edge.names.full(channel);
        self.edge.guard(&DESCRIBE_CHANNEL, &self.edge.address(channel), || self.inner.settles(&full, effect, messages)).await
    }

    fn unsettled_fate(&self, channel: &str) -> &'static str {
        self.inner.unsettled_fate(&self.edge.names.full(channel))
    }

    async fn receive_options(&self, channel: &str) -> Result<Vec<ReceiveOption>, Fault> {
        let full = self.edge.names.full(channel);
        let receive_options = self.edge.guard(&DESCRIBE_CHANNEL, &self.edge.address(channel), || self.inner.receive_options(&full)).await?;
        Ok(receive_options.into_iter().map(|way| ReceiveOption { channel: self.edge.names.shown(&way.channel), ..way }).collect())
    }

    fn outlives_connections(&self, channel: &str) -> bool {
        self.inner.outlives_connections(&self.edge.names.full(channel))
    }

    async fn receive(&self, channel: &str, most: u32) -> Result<Box<dyn Holding>, Fault> {
        let (full, address) = (self.edge.names.full(channel), self.edge.address(channel));
        let inner = self.edge.guard(&RECEIVE, &address, || self.inner.receive(&full, most)).await?;
        Ok(Box::new(Inside { inner, edge: self.edge.clone(), taken: self.edge.pass(&RECEIVE, address) }))
    }
}

#[async_trait]
impl Holding for Inside<dyn Holding> {
    async fn next(&mut self) -> Option<Result<Came, Fault>> {
        // What has been taken is handed on even at the end: it can still be settled, and goes back otherwise.
        Some(match self.inner.next().await? {
            Ok(Came::Message(handle, delivery)) => {
                self.taken.counted(1);
                Ok(Came::Message(handle, Box::new(self.edge.names.delivery(*delivery))))
            }
            other => other,
        })
    }

    async fn stop_receiving(&mut self) -> Result<(), Fault> {
        self.inner.stop_receiving().await
    }

    async fn settle(&mut self, handle: Handle, settlement: &Settlement) -> Result<(), Fault> {
        // Not ended with its caller: what was received is to be decided on.
        self.edge.caller.permits(&SETTLE, &self.taken.address)?;
        let settled = self.inner.settle(handle, settlement).await;
        self.edge.counts.count(&SETTLE, |count| {
            count.calls += 1;
            count.failed += u64::from(settled.is_err());
        });
        settled
    }

    async fn close(self: Box<Self>) -> Result<Closed, Fault> {
        self.inner.close().await
    }
}

#[async_trait]
impl Call for Guarded<dyn Call> {
    /// Where replies came by is no channel of anybody's: its name stays.
    async fn call(&self, channel: &str, request: Outgoing, wait: Duration) -> Result<BoxStream<'static, Result<Message, Fault>>, Fault> {
        let (full, address) = (self.edge.names.full(channel), self.edge.address(channel));
        let replies = self.edge.guard(&CALL, &address, || self.inner.call(&full, request.clone(), wait)).await?;
        Ok(self.edge.let_pass(&CALL, address, replies, |_| 1))
    }
}

#[async_trait]
impl Manage for Guarded<dyn Manage> {
    fn operations(&self) -> &'static [&'static OperationSpec] {
        self.inner.operations()
    }

    /// Working out a plan reads: it needs the operation's permission, and the profile need not be armed for it.
    async fn plan(&self, request: Request) -> Result<Change, Fault> {
        let full = self.edge.names.full_request(&request);
        self.edge.caller.permits(request.spec, &request.address)?;
        let change = self.edge.guard(&DESCRIBE_CHANNEL, &request.address, || self.inner.plan(full.clone())).await?;
        Ok(self.edge.names.shown_change(change))
    }

    async fn apply(&self, change: &Change) -> Result<Done, Fault> {
        let full = self.edge.names.full_change(change);
        self.edge.guard(change.request.spec, &change.request.address, || self.inner.apply(&full)).await
    }
}

#[cfg(test)]
mod tests;
