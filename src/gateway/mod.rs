//! Connections at work: every integration supervised by itself, one way to look and one way to change anything.
//!
//! The console, the commands and other programs use the same [`Gateway`].

mod arming;
pub mod audit;
pub mod call;
pub mod dead_letters;
pub mod decoders;
mod edge;
pub mod execute;
pub mod fanout;
pub mod filter;
pub mod find;
pub mod follow;
pub mod guard;
pub mod history;
pub mod hold;
pub mod ingest;
pub mod journal;
pub mod lag;
pub mod live;
mod names;
pub mod plans;
pub mod process;
pub mod rates;
#[cfg(test)]
pub(crate) mod stage;
pub mod supervisor;

use crate::adapters::session::Session;
use crate::config::profile::{Integration, Profile};
use crate::config::url;
use crate::domain::address::{Address, GROUP, canonical};
use crate::domain::channel::{Channel, Description};
use crate::domain::exchange::Exchange;
use crate::domain::fault::{Fault, Kind};
use crate::domain::health::Link;
use crate::domain::operation::Target;
use crate::domain::safety::Safety;
use crate::domain::tail::TailEvent;
use crate::wire::decoder::Decoder;
use arming::Arming;
use audit::{Audit, Begun, Entry, Phase};
use edge::Edge;
use fanout::Fanout;
use futures::StreamExt;
use futures::stream::BoxStream;
use guard::{Caller, Count};
use ingest::Ingest;
use rates::Rates;
use serde_json::Value as Json;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use supervisor::Supervised;
use tokio::sync::{Notify, watch};
use tokio_util::task::TaskTracker;

/// How a profile is opened: for whom, where her changes are written down, and whether she may change anything at all.
#[derive(Clone, Debug, Default)]
pub struct Access {
    pub caller: Caller,
    pub audit: Audit,
    pub read_only: bool,
}

/// How long the end of a gateway waits for changes that are under way.
const LONGEST_CHANGE: Duration = Duration::from_secs(60);

/// One opened profile. Dropping it ends every connection.
pub struct Gateway {
    pub profile: Profile,
    /// The profile's safety, read-only if that was asked for on the command line.
    pub safety: Safety,
    caller: Caller,
    audit: Audit,
    /// Changes under way.
    working: TaskTracker,
    arming: Arming,
    read_only: bool,
    supervised: Vec<Arc<Supervised>>,
    /// Other parts of the same brokers than the profile names, once somebody has asked for them: `rabbit@tenant-a`.
    extra_vhosts: Mutex<Vec<Arc<Supervised>>>,
    fanouts: HashMap<Arc<str>, Arc<Fanout>>,
    rates: Mutex<Rates>,
    lag_history: Mutex<lag::LagHistory>,
    holds: Mutex<hold::Holds>,
    next_view: Arc<AtomicU64>,
}

impl Gateway {
    /// Starts to connect every integration of the profile, each by itself; returns at once. For the operator at this machine, whose
    /// changes are not written down: programs of their own decide by [`Gateway::open_as`].
    pub fn open(profile: Profile, read_only: bool) -> Self {
        Self::open_as(Access { read_only, ..Access::default() }, profile)
    }

    /// The same for somebody: every call is hers, is permitted to her, and ends with her or with this gateway.
    pub fn open_as(access: Access, profile: Profile) -> Self {
        let Access { caller, audit, read_only } = access;
        let safety = if read_only { profile.safety.read_only() } else { profile.safety };
        let read_only = safety.is_read_only();
        let is_fanout = |integration: &&Integration| integration.system == fanout::TYPE;
        let connections = profile.integrations.iter().filter(|integration| !is_fanout(integration));
        let mut supervised: Vec<Arc<Supervised>> = connections.map(|one| Supervised::start(one.clone(), read_only).into()).collect();
        let mut fanouts = HashMap::new();
        for integration in profile.integrations.iter().filter(is_fanout) {
            let fanout = Arc::new(Fanout::new(integration, &supervised));
            fanouts.insert(integration.name.clone(), fanout.clone());
            let names = fanout.names();
            supervised.push(Supervised::over(integration.clone(), names, |link, session| fanout.follow(link, session)).into());
        }
        let place = |one: &Arc<Supervised>| profile.integrations.iter().position(|integration| integration.name == one.integration.name);
        supervised.sort_by_key(place);
        Self {
            profile,
            safety,
            caller: caller.child(),
            audit,
            working: TaskTracker::new(),
            arming: Arming::default(),
            read_only,
            supervised,
            extra_vhosts: Mutex::default(),
            fanouts,
            rates: Mutex::default(),
            lag_history: Mutex::default(),
            holds: Mutex::default(),
            next_view: Arc::default(),
        }
    }

    /// The names of the integrations with their systems' titles, in the profile's order.
    pub fn integrations(&self) -> impl Iterator<Item = (&Arc<str>, &'static str)> {
        self.supervised.iter().map(|s| (&s.integration.name, s.title))
    }

    /// The state of an integration's connection, as it changes.
    pub fn link(&self, integration: &str) -> Result<watch::Receiver<Link>, Fault> {
        self.supervised(integration).map(|one| one.link())
    }

    /// Who asks through this gateway, and what ends her work.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// What passed the guard so far, by integration and operation. A stream's batches are counted as they come.
    pub fn counts(&self, integration: &str) -> Result<BTreeMap<&'static str, Count>, Fault> {
        self.supervised(integration).map(|one| one.counts.now())
    }

    /// The connected session for looking. Waits for the first attempt to connect; its fault is returned as it was.
    async fn reading(&self, integration: &str) -> Result<Session, Fault> {
        self.at_edge(integration, false).await
    }

    /// The same for an operation that [`Gateway::permit`] has let begin.
    async fn changing(&self, integration: &str) -> Result<Session, Fault> {
        self.at_edge(integration, true).await
    }

    async fn at_edge(&self, integration: &str, may_change: bool) -> Result<Session, Fault> {
        let supervised = self.supervised(integration)?;
        let (caller, counts) = (self.caller.clone(), supervised.counts.clone());
        let edge = Edge { caller, counts, integration: supervised.integration.name.clone(), names: supervised.names.clone(), may_change };
        let session = tokio::select! {
            biased;
            () = self.caller.stop().cancelled() => return Err(guard::ending("connect", integration)),
            session = supervised.session() => session.inspect_err(|fault| self.forget_elsewhere(integration, fault))?,
        };
        Ok(edge.around(session))
    }

    /// Ends the attempts to reach another part of a broker that is not there: it was mistyped, and nobody will use it.
    fn forget_elsewhere(&self, integration: &str, fault: &Fault) {
        if !fault.kind.is_transient() {
            self.extra_vhosts.lock().unwrap_or_else(PoisonError::into_inner).retain(|one| *one.integration.name != *integration);
        }
    }

    /// Notify it when an integration's connection was seen to fail: its supervisor looks at once.
    fn link_recheck(&self, integration: &str) -> Result<Arc<Notify>, Fault> {
        self.supervised(integration).map(|s| s.link_recheck.clone())
    }

    /// What reads the payloads of a channel.
    pub fn decoder(&self, address: &Address) -> Decoder {
        self.supervised(&address.integration).map(|one| one.decoders.of(&address.within()).clone()).unwrap_or_default()
    }

    /// Makes views of an integration's messages.
    pub fn ingest(&self, integration: &str) -> Result<Ingest, Fault> {
        self.supervised(integration).map(|s| Ingest::new(s.integration.clone(), s.decoders.clone(), self.next_view.clone()))
    }

    /// What went over the wire of an integration since the exchange of that number.
    pub fn exchanges(&self, integration: &str, since: u64) -> Result<Vec<Exchange>, Fault> {
        self.supervised(integration).map(|s| s.log.since(since))
    }

    /// Whether an integration answers, and how long that took.
    pub async fn check(&self, integration: &str) -> Result<Duration, Fault> {
        self.reading(integration).await?.inspect.ping().await
    }

    /// Every channel of an integration, with rates from the growth since the last call.
    pub async fn channels(&self, integration: &str) -> Result<Vec<Channel>, Fault> {
        let mut channels = self.reading(integration).await?.inspect.channels().await?;
        let mut rates = self.rates.lock().unwrap_or_else(PoisonError::into_inner);
        rates.apply(integration, std::time::Instant::now(), &mut channels);
        Ok(channels)
    }

    /// Everything known of one channel.
    pub async fn describe(&self, address: &Address) -> Result<Description, Fault> {
        let channel = self.named(address)?;
        let description = self.reading(&address.integration).await?.inspect.describe(&channel).await?;
        check_kind(&self.resolve(address)?, description.channel.kind)?;
        Ok(description)
    }

    /// How the system of an address names its channel to handles and in messages.
    ///
    /// # Errors
    /// The integration is not in the profile.
    pub fn named(&self, address: &Address) -> Result<Arc<str>, Fault> {
        let supervised = self.supervised(&address.integration)?;
        // A fanout leaves it to its targets.
        Ok(supervised.adapter.map_or_else(|| address.within(), |adapter| canonical(adapter.kinds, &address.within()).into()))
    }

    /// The address with its kind split off: which prefixes are kinds is known to its system. A group is one where the system has groups.
    ///
    /// # Errors
    /// The integration is not in the profile.
    pub fn resolve(&self, address: &Address) -> Result<Address, Fault> {
        let Some(adapter) = self.supervised(&address.integration)?.adapter else { return Ok(address.split(&[])) };
        let has_groups = adapter.operations.iter().any(|spec| spec.on == Target::Group);
        let kinds: Vec<_> = adapter.kinds.iter().copied().chain(has_groups.then_some(GROUP)).collect();
        Ok(address.split(&kinds))
    }

    /// Live messages of channels, of one or several integrations, from the ends that they have now. Dropping the stream ends it.
    pub async fn tail(&self, addresses: &[Address]) -> Result<BoxStream<'static, (Arc<str>, TailEvent)>, Fault> {
        Ok(futures::stream::select_all(self.tails(addresses).await?).boxed())
    }

    /// The same, a stream for each integration.
    async fn tails(&self, addresses: &[Address]) -> Result<Vec<BoxStream<'static, (Arc<str>, TailEvent)>>, Fault> {
        let mut channels: BTreeMap<Arc<str>, Vec<Arc<str>>> = BTreeMap::new();
        for address in addresses {
            channels.entry(address.integration.clone()).or_default().push(self.named(address)?);
        }
        let mut streams = Vec::with_capacity(channels.len());
        for (integration, channels) in channels {
            let tail = self.reading(&integration).await?.tail.ok_or_else(|| cannot("tail", &integration, "live messages"))?;
            streams.push(tail.tail(&channels).await?.map(move |event| (integration.clone(), event)).boxed());
        }
        Ok(streams)
    }

    /// Begins nothing new, waits for what changes something, gives back what is held, and ends every connection.
    pub async fn shutdown(&self) {
        self.caller.stop().cancel();
        self.working.close();
        if tokio::time::timeout(LONGEST_CHANGE, self.working.wait()).await.is_err() {
            tracing::error!(profile = %self.profile.name, "changes did not end in time; their outcome is unknown");
        }
        self.release_all().await;
        let extra_vhosts = self.extra_vhosts.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for supervised in self.supervised.iter().chain(&extra_vhosts) {
            supervised.shutdown().await;
        }
    }

    /// What the audit log says of an operation of this gateway.
    fn entry(&self, operation: &'static str, address: Option<&Address>, phase: Phase, detail: Json) -> Entry {
        let (principal, profile) = (self.caller.principal.clone(), self.profile.name.clone());
        Entry { principal, profile, operation, address: address.cloned(), phase, detail }
    }

    /// Writes the intent of a change; it must not begin where that fails.
    async fn begin(&self, operation: &'static str, address: &Address, detail: Json) -> Result<Begun, Fault> {
        self.audit.begin(self.entry(operation, Some(address), Phase::Intent, detail)).await
    }

    /// Writes down what stands by itself. That it cannot be written is told in the program's log: nothing was changed.
    fn record(&self, operation: &'static str, address: Option<&Address>, phase: Phase, detail: Json) {
        if let Err(fault) = self.audit.record(self.entry(operation, address, phase, detail)) {
            tracing::error!(%fault, "audit");
        }
    }

    fn supervised(&self, integration: &str) -> Result<Arc<Supervised>, Fault> {
        let named = |name: &str| self.supervised.iter().find(|s| &*s.integration.name == name);
        if let Some(found) = named(integration) {
            return Ok(found.clone());
        }
        let part = integration.rsplit_once('@').and_then(|(name, part)| Some((named(name)?, part)));
        let Some(other) = part.and_then(|(whole, part)| url::extra_vhosts(&whole.integration, part)) else {
            let names: Vec<&str> = self.supervised.iter().map(|s| &*s.integration.name).collect();
            let cause = format!("profile {} has no such integration", self.profile.name);
            return Err(Fault::new(Kind::Usage, "find integration", integration, cause).next(format!("it has: {}", names.join(", "))));
        };
        let other = other?;
        let mut extra_vhosts = self.extra_vhosts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = extra_vhosts.iter().find(|s| s.integration.name == other.name) {
            return Ok(found.clone());
        }
        let started = Arc::new(Supervised::start(other, self.read_only));
        extra_vhosts.push(started.clone());
        Ok(started)
    }
}

/// A kind that was said in an address must be the channel's kind.
fn check_kind(address: &Address, kind: &'static str) -> Result<(), Fault> {
    match address.kind {
        Some(said) if said != kind => {
            Err(Fault::new(Kind::Usage, "find channel", address.to_string(), format!("it is a {kind}, not a {said}"))
                .next(format!("write {}/{}", address.integration, address.channel)))
        }
        _ => Ok(()),
    }
}

fn cannot(op: &'static str, integration: &str, what: &str) -> Fault {
    Fault::new(Kind::Usage, op, integration, format!("this system has no {what}"))
}

impl Drop for Gateway {
    /// Streams that were handed out end with it.
    fn drop(&mut self) {
        self.caller.stop().cancel();
    }
}

#[cfg(test)]
mod tests;
