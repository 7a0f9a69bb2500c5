//! Connections at work: every integration supervised by itself, one way to look and one way to change anything.
//!
//! The console, the commands and other programs use the same [`Gateway`].

mod arming;
pub mod call;
pub mod execute;
pub mod fanout;
pub mod filter;
pub mod find;
pub mod follow;
pub mod history;
pub mod hold;
pub mod ingest;
pub mod lag;
pub mod live;
mod prefix;
pub mod process;
pub mod rates;
pub mod supervisor;

use crate::adapters::session::{History, Session, Tail};
use crate::adapters::wirelog::WireLog;
use crate::config::profile::{Integration, Profile};
use crate::config::url;
use crate::domain::address::Address;
use crate::domain::channel::{Channel, Description};
use crate::domain::fault::{Fault, Kind};
use crate::domain::format::Format;
use crate::domain::health::Link;
use crate::domain::operation::Risk;
use crate::domain::safety::{Gate, Safety};
use arming::Arming;
use fanout::Fanout;
use ingest::Ingest;
use rates::Rates;
use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use supervisor::Supervised;
use tokio::sync::{Notify, watch};

/// One opened profile. Dropping it ends every connection.
pub struct Gateway {
    pub profile: Profile,
    /// The profile's safety, read-only if that was asked for on the command line.
    pub safety: Safety,
    arming: Arming,
    read_only: bool,
    supervised: Vec<Arc<Supervised>>,
    /// Other parts of the same brokers than the profile names, once somebody has asked for them: `rabbit@tenant-a`.
    elsewhere: Mutex<Vec<Arc<Supervised>>>,
    fanouts: HashMap<Arc<str>, Arc<Fanout>>,
    rates: Mutex<Rates>,
    pasts: Mutex<lag::Pasts>,
    holds: Mutex<hold::Holds>,
    next_view: Arc<AtomicU64>,
}

impl Gateway {
    /// Starts to connect every integration of the profile, each by itself; returns at once.
    pub fn open(profile: Profile, read_only: bool) -> Self {
        let safety = if read_only { profile.safety.read_only() } else { profile.safety };
        let read_only = safety.is_read_only();
        let is_fanout = |integration: &&Integration| integration.system == fanout::TYPE;
        let connections = profile.integrations.iter().filter(|integration| !is_fanout(integration));
        let mut supervised: Vec<Arc<Supervised>> = connections.map(|one| Supervised::start(one.clone(), read_only).into()).collect();
        let mut fanouts = HashMap::new();
        for integration in profile.integrations.iter().filter(is_fanout) {
            let fanout = Arc::new(Fanout::new(integration, &supervised));
            fanouts.insert(integration.name.clone(), fanout.clone());
            supervised.push(Supervised::of(fanout, integration.clone(), read_only).into());
        }
        let place = |one: &Arc<Supervised>| profile.integrations.iter().position(|integration| integration.name == one.integration.name);
        supervised.sort_by_key(place);
        Self {
            profile,
            safety,
            arming: Arming::default(),
            read_only,
            supervised,
            elsewhere: Mutex::default(),
            fanouts,
            rates: Mutex::default(),
            pasts: Mutex::default(),
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

    /// The connected session, without its writing handles unless something may be changed now. Waits for the first attempt to
    /// connect; its fault is returned as it was.
    pub async fn session(&self, integration: &str) -> Result<Session, Fault> {
        let session = self.whole_session(integration).await?;
        Ok(if self.gate(Risk::Reversible) == Gate::Open { session } else { session.read_only() })
    }

    /// The connected session with every handle that the profile leaves it: what is offered is asked of it, armed or not.
    async fn whole_session(&self, integration: &str) -> Result<Session, Fault> {
        self.supervised(integration)?.session().await
    }

    /// Notify it when an integration's connection was seen to fail: its supervisor looks at once.
    fn doubt(&self, integration: &str) -> Result<Arc<Notify>, Fault> {
        self.supervised(integration).map(|s| s.doubt.clone())
    }

    /// What the profile says that the payloads of a channel are.
    pub fn prefer(&self, address: &Address) -> Vec<Format> {
        self.supervised(&address.integration).map(|one| one.integration.prefer(&address.within()).to_vec()).unwrap_or_default()
    }

    /// Makes views of an integration's messages.
    pub fn ingest(&self, integration: &str) -> Result<Ingest, Fault> {
        self.supervised(integration).map(|s| Ingest::new(s.integration.clone(), self.next_view.clone()))
    }

    /// What went over the wire of an integration.
    pub fn wire_log(&self, integration: &str) -> Result<WireLog, Fault> {
        self.supervised(integration).map(|s| s.log.clone())
    }

    /// Every channel of an integration, with rates from the growth since the last call.
    pub async fn channels(&self, integration: &str) -> Result<Vec<Channel>, Fault> {
        let mut channels = self.session(integration).await?.inspect.channels().await?;
        let mut rates = self.rates.lock().unwrap_or_else(PoisonError::into_inner);
        rates.apply(integration, std::time::Instant::now(), &mut channels);
        Ok(channels)
    }

    /// Everything known of one channel.
    pub async fn describe(&self, address: &Address) -> Result<Description, Fault> {
        let channel = self.named(address)?;
        let description = self.session(&address.integration).await?.inspect.describe(&channel).await?;
        check_kind(address, description.channel.kind)?;
        Ok(description)
    }

    /// How the system of an address names its channel to handles and in messages.
    ///
    /// # Errors
    /// The integration is not in the profile, or its system has no channels of the kind that the address says.
    pub fn named(&self, address: &Address) -> Result<Arc<str>, Fault> {
        let supervised = self.supervised(&address.integration)?;
        // A fanout leaves it to its targets.
        let Some((kind, adapter)) = address.kind.zip(supervised.adapter) else { return Ok(address.within()) };
        if !adapter.kinds.contains(&kind) {
            return Err(Fault::new(Kind::Usage, "find channel", address.to_string(), format!("{} has no {kind}", adapter.title))
                .next(format!("its channels are of the kind: {}", adapter.kinds.join(", "))));
        }
        Ok(if adapter.kinds.len() == 1 { address.channel.clone() } else { address.within() })
    }

    /// The live tail of an integration, or why there is none.
    pub async fn tail(&self, integration: &str) -> Result<Arc<dyn Tail>, Fault> {
        self.session(integration).await?.tail.ok_or_else(|| cannot("tail", integration, "live messages"))
    }

    /// The history of an integration, or why there is none.
    pub async fn history(&self, integration: &str) -> Result<Arc<dyn History>, Fault> {
        self.session(integration).await?.history.ok_or_else(|| cannot("read", integration, "history"))
    }

    /// Ends every connection, after what is held was given back and what is being written has been written.
    pub async fn shutdown(&self) {
        self.release_all().await;
        let elsewhere = self.elsewhere.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for supervised in self.supervised.iter().chain(&elsewhere) {
            supervised.shutdown().await;
        }
    }

    fn supervised(&self, integration: &str) -> Result<Arc<Supervised>, Fault> {
        let named = |name: &str| self.supervised.iter().find(|s| &*s.integration.name == name);
        if let Some(found) = named(integration) {
            return Ok(found.clone());
        }
        let part = integration.rsplit_once('@').and_then(|(name, part)| Some((named(name)?, part)));
        let Some(other) = part.and_then(|(whole, part)| url::elsewhere(&whole.integration, part)) else {
            let names: Vec<&str> = self.supervised.iter().map(|s| &*s.integration.name).collect();
            let cause = format!("profile {} has no such integration", self.profile.name);
            return Err(Fault::new(Kind::Usage, "find integration", integration, cause).next(format!("it has: {}", names.join(", "))));
        };
        let other = other?;
        let mut elsewhere = self.elsewhere.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = elsewhere.iter().find(|s| s.integration.name == other.name) {
            return Ok(found.clone());
        }
        let started = Arc::new(Supervised::start(other, self.read_only));
        elsewhere.push(started.clone());
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
