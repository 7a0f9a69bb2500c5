//! Following: every message of a profile that has one of these ids, wherever it can be looked for. History is searched around a moment;
//! where there is none, only what comes from now on can be seen; where neither is possible, that is said.

use super::Gateway;
use super::filter::{Filter, Verdict, Wanted};
use super::find::{Finding, Found, Report, Search};
use crate::domain::address::Address;
use crate::domain::envelope::{self, Id};
use crate::domain::fault::{Fault, Kind};
use crate::domain::message::Message;
use crate::domain::position::{Bound, Range};
use crate::domain::tail::TailEvent;
use crate::domain::text::SafeText;
use crate::domain::time::Timestamp;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

/// Channels searched at a time.
const AT_ONCE: usize = 8;
/// Channels that are watched live, of one integration at most.
pub const WATCHED: usize = 200;
/// How far around a message is searched, where nobody says otherwise.
pub const REACH: Duration = Duration::from_secs(3_600);
/// Messages that are enough.
pub const ENOUGH: u64 = 500;

/// What is followed, and how far.
#[derive(Clone, Debug, PartialEq)]
pub struct Trail {
    pub ids: Vec<Id>,
    pub range: Range,
    /// The first so many messages of each channel.
    pub limit: u64,
}

impl Trail {
    /// The trail of these ids around a moment.
    pub fn around(ids: Vec<Id>, moment: Timestamp, reach: Duration) -> Self {
        let reach = i64::try_from(reach.as_millis()).unwrap_or(i64::MAX);
        let bound = |millis: i64| Bound::Time(Timestamp(millis));
        let range = Range { start: bound(moment.0.saturating_sub(reach)), end: bound(moment.0.saturating_add(reach)) };
        Self { ids, range, limit: ENOUGH }
    }

    /// The query that its messages match.
    pub fn query(&self) -> String {
        envelope::query(&self.ids)
    }
}

/// What became of looking.
#[derive(Debug)]
pub enum Step {
    /// So many channels are searched. What comes from now on can be watched by whoever follows: in `live` there is nothing else, in `kept`
    /// it stands behind what is searched. What comes by a channel of `stored` is seen in the channel beside it, once.
    Begins { channels: usize, live: Vec<Address>, kept: Vec<Address>, stored: Vec<(Address, Address)> },
    /// Some of what was found in a channel, and what could not be read of it.
    Found { address: Address, messages: Vec<Seen>, faults: Vec<Fault> },
    /// One channel was searched, as far as it could be read.
    Searched { address: Address, report: Box<Report>, notes: Vec<String> },
    /// One channel could not be searched.
    Failed { address: Address, fault: Fault },
    /// It is not looked at, and why: a channel, or a whole integration.
    Unseen { place: SafeText, why: SafeText },
}

/// What is said of a channel whose messages are seen in another one.
pub fn stored_in(keeper: &Address) -> String {
    format!("what comes there is seen in {keeper}")
}

/// A message with its integration.
pub type Seen = (Arc<str>, Message);

/// What comes from now on.
pub struct Watch {
    /// The messages of the trail as they come, and what is said of the reading, each with its integration.
    pub events: BoxStream<'static, (Arc<str>, TailEvent)>,
    /// What cannot be watched, and why.
    pub unseen: Vec<(Address, Fault)>,
}

/// Where a channel can be looked at.
enum Place {
    /// And whether it can be watched as well.
    History(Address, bool),
    Live(Address),
    /// In another one that keeps its messages: here they would be seen a second time.
    Stored(Address, Address),
    Nowhere(SafeText, SafeText),
}

impl Gateway {
    /// Follows a trail through every integration. Dropping the stream ends it at once; it ends by itself when everything was searched.
    pub fn follow(&self, trail: &Trail) -> Result<BoxStream<'_, Step>, Fault> {
        let filter = Filter::parse(&trail.query())?;
        let names: Vec<Arc<str>> = self.integrations().map(|(name, _)| name.clone()).collect();
        let places = stream::iter(names).map(|name| self.places(name)).buffered(AT_ONCE).concat();
        let (range, limit) = (trail.range, trail.limit);
        let steps = stream::once(places).flat_map(move |places| {
            let (mut history, mut live, mut kept, mut stored, mut unseen) = (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
            for place in places {
                match place {
                    Place::History(address, can_tail) => {
                        kept.extend(can_tail.then(|| address.clone()));
                        history.push(address);
                    }
                    Place::Live(address) => live.push(address),
                    Place::Stored(address, keeper) => stored.push((address, keeper)),
                    Place::Nowhere(place, why) => unseen.push(Step::Unseen { place, why }),
                }
            }
            let begins = Step::Begins { channels: history.len(), live, kept, stored };
            let filter = filter.clone();
            let search = move |address: Address| {
                let addresses = vec![address.clone()];
                let search = Search { addresses, filter: filter.clone(), range, limit: Some(limit), wanted: Wanted::Matches, exact: false };
                self.search(address, search)
            };
            stream::iter(std::iter::once(begins).chain(unseen)).chain(stream::iter(history).map(search).flatten_unordered(AT_ONCE))
        });
        Ok(steps.boxed())
    }

    /// Watches channels for messages of a trail. What comes is counted from the return of this on.
    pub async fn watch(&self, trail: &Trail, channels: Vec<Address>) -> Result<Watch, Fault> {
        let filter = Filter::parse(&trail.query())?;
        let mut integrations: BTreeMap<Arc<str>, Vec<Address>> = BTreeMap::new();
        for address in channels {
            integrations.entry(address.integration.clone()).or_default().push(address);
        }
        let (mut streams, mut unseen, mut ingests) = (Vec::new(), Vec::new(), HashMap::new());
        for (integration, mut addresses) in integrations {
            ingests.insert(integration.clone(), self.ingest(&integration)?);
            let mut beyond = addresses.split_off(addresses.len().min(WATCHED));
            let much = || Fault::new(Kind::Rejected, "watch", &*integration, "more cannot be watched at a time");
            unseen.extend(beyond.drain(..).map(|address| (address, much())));
            // All by one connection; where one of them cannot be watched, each by its own.
            let together = match self.tail(&addresses).await {
                Ok(events) => Ok(vec![events]),
                Err(fault) if addresses.len() == 1 => Err(fault),
                Err(_) => {
                    let each = stream::iter(addresses.clone()).map(|address| async move {
                        let events = self.tail(std::slice::from_ref(&address)).await;
                        events.map_err(|fault| (address, fault))
                    });
                    let mut events = Vec::new();
                    for one in each.buffered(AT_ONCE).collect::<Vec<_>>().await {
                        match one {
                            Ok(one) => events.push(one),
                            Err(failed) => unseen.push(failed),
                        }
                    }
                    Ok(events)
                }
            };
            match together {
                Ok(events) => streams.extend(events),
                Err(fault) => unseen.extend(addresses.into_iter().map(|address| (address, fault.clone()))),
            }
        }
        let wanted = move |(integration, event): (Arc<str>, TailEvent)| {
            let event = match event {
                TailEvent::Messages(mut messages) => {
                    messages.retain(|message| filter.test(message, ingests[&integration].decoder(&message.channel)) == Verdict::Passes);
                    (!messages.is_empty()).then_some(TailEvent::Messages(messages))
                }
                other => Some(other),
            };
            std::future::ready(event.map(|event| (integration, event)))
        };
        Ok(Watch { events: stream::select_all(streams).filter_map(wanted).boxed(), unseen })
    }

    /// What an integration's channels can be looked at by.
    async fn places(&self, integration: Arc<str>) -> Vec<Place> {
        // A fanout reads what its first target reads.
        if self.fanouts.contains_key(&integration) {
            return Vec::new();
        }
        let nowhere = |place: String, why: &str| Place::Nowhere(place.into(), why.into());
        let channels = match self.reading(&integration).await {
            Ok(session) => session.inspect.channels().await,
            Err(fault) => Err(fault),
        };
        let channels = match channels {
            Ok(channels) => channels,
            Err(fault) => return vec![nowhere(integration.to_string(), &fault.to_string())],
        };
        let ours = || channels.iter().filter(|channel| !channel.internal);
        let mut followed: HashSet<&str> =
            ours().filter(|channel| channel.can.history && channel.can.tail).map(|channel| &*channel.name).collect();
        // What carries its own messages is watched before what gets them from others.
        let carries = |channel: &&crate::domain::channel::Channel| channel.can.tail && !channel.can.history && channel.kept_by.is_none();
        let carriers: Vec<&str> = ours().filter(carries).map(|channel| &*channel.name).take(WATCHED).collect();
        let mut watched = carriers.len();
        followed.extend(carriers);
        let mut places = Vec::new();
        for channel in ours() {
            let address = Address::new(&integration, &channel.name);
            if let (Some(keeper), false) = (channel.kept_by.as_ref().filter(|keeper| followed.contains(&***keeper)), channel.can.history) {
                places.push(Place::Stored(address, Address::new(&integration, keeper)));
                continue;
            }
            places.push(match (channel.can.history, channel.can.tail, channel.can.peek || channel.can.hold) {
                (true, can_tail, _) => Place::History(address, can_tail),
                (false, true, _) if followed.contains(&*channel.name) => Place::Live(address),
                (false, true, _) if watched < WATCHED => {
                    watched += 1;
                    Place::Live(address)
                }
                (false, true, _) => nowhere(address.to_string(), "it keeps no history, and more cannot be watched at a time"),
                (false, false, true) => nowhere(address.to_string(), "it is a queue: looking into it would mark or take its messages"),
                (false, false, false) => nowhere(address.to_string(), "nothing can be read there"),
            });
        }
        places
    }

    /// What is found is handed on as it is found: how much of it is kept is for the one who follows to say.
    fn search(&self, address: Address, search: Search) -> BoxStream<'_, Step> {
        let found = async move {
            match self.find(search).await {
                Ok(finding) => stream::unfold(Some((address, finding)), next_step).boxed(),
                Err(fault) => stream::once(async { Step::Failed { address, fault } }).boxed(),
            }
        };
        stream::once(found).flatten().boxed()
    }
}

/// What comes next of one channel, and what the search goes on with.
async fn next_step(searching: Option<(Address, Finding)>) -> Option<(Step, Option<(Address, Finding)>)> {
    let (address, mut finding) = searching?;
    while let Some(Found { messages, faults, .. }) = finding.next().await {
        if !messages.is_empty() || !faults.is_empty() {
            return Some((Step::Found { address: address.clone(), messages, faults }, Some((address, finding))));
        }
    }
    Some((Step::Searched { address, report: Box::new(finding.report()), notes: finding.notes.clone() }, None))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::profile::{Integration, Profile};
    use crate::domain::envelope::IdKind;
    use crate::domain::message::{Header, Outgoing};
    use crate::domain::operation::Plan;
    use crate::domain::safety::Safety;

    /// Two systems in memory: one with topics, one with a queue as well.
    fn gateway() -> Gateway {
        let memory = |name: &str, settings: &[(&str, &str)]| Integration::new(name, "memory", Vec::new()).with_settings(0, settings);
        let missing = Integration::new("away", "none", Vec::new());
        let integrations =
            vec![memory("a", &[("topics", "orders:2, paid")]), memory("b", &[("topics", "mail"), ("queues", "tasks")]), missing];
        Gateway::open(Profile { name: "p".into(), path: None, safety: Safety::default(), integrations }, false)
    }

    async fn publish(gateway: &Gateway, address: &str, header: Option<(&str, &str)>, payload: &str) {
        let headers = header.map(|(name, value)| Header { name: name.to_owned().into(), value: Some(value.to_owned().into()) });
        let message = Outgoing { headers: headers.into_iter().collect(), payload: Some(payload.to_owned().into()), ..Outgoing::default() };
        let plan = Plan::Publish { address: address.parse().expect("an address"), messages: vec![message] };
        gateway.execute(plan).await.expect("published").single().expect("stored");
    }

    async fn followed(gateway: &Gateway, ids: &[(IdKind, &str)], reach: Duration) -> (Vec<String>, Vec<String>) {
        let ids = ids.iter().map(|(kind, text)| Id { kind: *kind, text: (*text).to_owned() }).collect();
        let trail = Trail::around(ids, Timestamp(1_770_285_600_000), reach);
        let (mut found, mut unseen) = (Vec::new(), Vec::new());
        let mut steps = gateway.follow(&trail).expect("a query");
        while let Some(step) = steps.next().await {
            match step {
                Step::Begins { channels, live, kept, stored } => {
                    assert_eq!((channels, live.len(), kept.len(), stored.len()), (3, 0, 3, 0));
                }
                Step::Unseen { place, why } => unseen.push(format!("{place}: {why}")),
                Step::Failed { address, fault } => panic!("{address}: {fault}"),
                Step::Searched { .. } => {}
                Step::Found { address, messages, .. } => found.extend(
                    messages
                        .iter()
                        .map(|(_, m)| format!("{address} {}", String::from_utf8_lossy(m.payload.as_deref().unwrap_or_default()))),
                ),
            }
        }
        found.sort();
        (found, unseen)
    }

    #[tokio::test(start_paused = true)]
    async fn one_id_is_found_in_every_system_by_header_and_by_payload_and_the_rest_is_said() {
        let gateway = gateway();
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        publish(&gateway, "a/orders", Some(("correlation-id", "req-1")), "one").await;
        publish(&gateway, "a/paid", None, r#"{"payload":{},"metadata":{"message_id":"m","correlation_id":"req-1"}}"#).await;
        publish(&gateway, "a/paid", Some(("correlation-id", "req-10")), "another").await;
        publish(&gateway, "b/mail", Some(("traceparent", &format!("00-{trace}-00f067aa0ba902b7-01"))), "two").await;
        publish(&gateway, "b/mail", None, "req-1 in passing").await;
        publish(&gateway, "b/tasks", Some(("correlation-id", "req-1")), "in a queue").await;
        let ids = [(IdKind::Correlation, "req-1"), (IdKind::Trace, trace)];
        let (found, unseen) = followed(&gateway, &ids, REACH).await;
        let enveloped = r#"a/paid {"payload":{},"metadata":{"message_id":"m","correlation_id":"req-1"}}"#;
        assert_eq!(found, ["a/orders one", enveloped, "b/mail two"]);
        assert!(unseen.iter().any(|line| line.starts_with("b/tasks: it is a queue")), "{unseen:?}");
        assert!(unseen.iter().any(|line| line.starts_with("away: connect away")), "{unseen:?}");
        assert_eq!(unseen.len(), 2);
        tokio::time::advance(Duration::from_secs(7_200)).await;
        publish(&gateway, "a/orders", Some(("correlation-id", "req-1")), "much later").await;
        assert_eq!(followed(&gateway, &ids, REACH).await.0.len(), 3, "outside of the time that was asked for");
        assert_eq!(followed(&gateway, &ids, REACH * 3).await.0.len(), 4);
    }
}
