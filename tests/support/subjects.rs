//! The systems under contract, each with a session of every handle and fresh channels, and short ways to read them.

use super::unique;
#[cfg(feature = "kafka")]
use super::{kafka, topics};
use futures::StreamExt;
use futures::stream::BoxStream;
use mqdeck::adapters::find;
use mqdeck::adapters::session::Session;
use mqdeck::adapters::wirelog::WireLog;
use mqdeck::config::profile::{Integration, Setting};
use mqdeck::config::secret::Secret;
use mqdeck::domain::address::Address;
use mqdeck::domain::fault::Fault;
use mqdeck::domain::message::{Header, Message, Outgoing};
use mqdeck::domain::operation::Request;
use mqdeck::domain::position::Range;
use mqdeck::domain::search::{ScanBatch, Scope};
use mqdeck::domain::tail::TailEvent;
use mqdeck::gateway::Gateway;
use mqdeck::gateway::filter::{Filter, Prefilter, Wanted};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// One system, and two empty channels of it that nobody else uses.
pub(crate) struct Subject {
    pub(crate) system: &'static str,
    pub(crate) session: Session,
    /// Has as many partitions as were asked for.
    pub(crate) topic: Arc<str>,
    /// Has one.
    pub(crate) other: Arc<str>,
}

/// Every system that can be had here. The one in memory always can.
pub(crate) async fn subjects(name: &str, partitions: i32) -> Vec<Subject> {
    let mut all = vec![memory(name, partitions).await];
    #[cfg(feature = "kafka")]
    for (system, kafka) in [("kafka", kafka::shared()), ("kafka 2.8", kafka::old())] {
        let Some(kafka) = kafka else { continue };
        let topic = topics::create(kafka.plain(), name, partitions, 1, &[]).await;
        let other = topics::create(kafka.plain(), name, 1, 1, &[]).await;
        let session = connect(Integration::new("events", "kafka", vec![kafka.plain().to_owned()])).await.expect("Kafka is there");
        all.push(Subject { system, session, topic: topic.into(), other: other.into() });
    }
    all
}

async fn memory(name: &str, partitions: i32) -> Subject {
    let (topic, other) = (unique(name), unique(name));
    let mut integration = Integration::new("events", "memory", Vec::new());
    let value = Secret::new(format!("{topic}:{partitions}, {other}:1"));
    integration.settings.insert("topics".to_owned(), Setting { value, line: 1 });
    let session = connect(integration).await.expect("memory is always there");
    Subject { system: "memory", session, topic: topic.into(), other: other.into() }
}

/// Writes a setting into an integration's `config`.
pub(crate) fn set(integration: &mut Integration, name: &str, value: &str) {
    integration.settings.insert(name.to_owned(), Setting { value: Secret::new(value.to_owned()), line: 1 });
}

/// Connects as the gateway does.
pub(crate) async fn connect(integration: Integration) -> Result<Session, Fault> {
    let adapter = find(&integration.system).expect("this build has the adapter");
    adapter.open(integration, WireLog::default()).await
}

/// A connection beside a gateway's own, to one of its integrations (`events`) or to another part of the same broker (`rabbit@tenant-a`).
pub(crate) async fn session(gateway: &Gateway, name: &str) -> Session {
    let (whole, part) = name.split_once('@').map_or((name, None), |(whole, part)| (whole, Some(part)));
    let integration = gateway.profile.integrations.iter().find(|one| *one.name == *whole).expect("the profile has it").clone();
    let integration = match part {
        Some(part) => mqdeck::config::url::extra_vhosts(&integration, part).expect("its system has parts").expect("the part can be named"),
        None => integration,
    };
    connect(integration).await.unwrap_or_else(|fault| panic!("{fault}"))
}

/// A message with a key and a payload for one partition.
pub(crate) fn outgoing(partition: i32, key: Option<&str>, payload: Option<&str>) -> Outgoing {
    Outgoing {
        key: key.map(|key| key.to_owned().into()),
        payload: payload.map(|payload| payload.to_owned().into()),
        options: vec![("partition", partition.to_string())],
        ..Outgoing::default()
    }
}

/// A header as it is written.
pub(crate) fn header(name: &str, value: Option<&[u8]>) -> Header {
    Header { name: name.to_owned().into(), value: value.map(|value| value.to_vec().into()) }
}

/// Where a message of a partitioned log stands.
pub(crate) fn place(message: &Message) -> (i32, i64) {
    (message.position.partition().unwrap_or(0), message.position.number().expect("a numbered place"))
}

/// The offsets of each partition, in the order in which they came.
pub(crate) fn places(messages: &[Message]) -> BTreeMap<i32, Vec<i64>> {
    let mut places = BTreeMap::<i32, Vec<i64>>::new();
    for (partition, offset) in messages.iter().map(place) {
        places.entry(partition).or_default().push(offset);
    }
    places
}

/// Reads a range of history to its end: all lanes, each in its order. A lane that fails fails the whole.
pub(crate) async fn read(session: &Session, topic: &str, range: Range) -> Result<Vec<Message>, Fault> {
    let history = session.history.as_ref().expect("the system has history");
    let mut messages = Vec::new();
    for mut lane in history.scan(topic, &Scope::of(range), everything()).await?.lanes {
        let before = messages.len();
        while let Some(batch) = lane.batches.next().await {
            messages.extend(kept(batch?));
        }
        assert!((messages.len() - before) as u64 <= lane.at_most, "a lane gave more than it announced");
    }
    Ok(messages)
}

/// A filter that lets everything pass.
pub(crate) fn everything() -> Arc<Prefilter> {
    Arc::new(Prefilter::new(Filter::parse("").expect("a query"), Wanted::Matches))
}

pub(crate) fn kept(batch: ScanBatch) -> impl Iterator<Item = Message> {
    batch.kept.into_iter().map(|kept| kept.message)
}

/// A tail that is listened to.
pub(crate) struct Listener {
    events: BoxStream<'static, TailEvent>,
    pub(crate) messages: Vec<Message>,
    /// Everything but messages, in order.
    pub(crate) said: Vec<TailEvent>,
}

impl Listener {
    /// Starts a tail; it is known to stand at the ends when this returns.
    pub(crate) async fn start(session: &Session, topics: &[Arc<str>]) -> Self {
        let tail = session.tail.as_ref().expect("the system has a tail");
        let events = tail.tail(topics).await.expect("the tail starts");
        Self { events, messages: Vec::new(), said: Vec::new() }
    }

    /// Listens until this holds; panics if it does not come to hold in time.
    pub(crate) async fn until(&mut self, what: &str, limit: Duration, holds: impl Fn(&Self) -> bool) {
        let listening = async {
            while !holds(self) {
                match self.events.next().await.expect("a tail never ends by itself") {
                    TailEvent::Messages(batch) => self.messages.extend(batch),
                    other => self.said.push(other),
                }
            }
        };
        let came = tokio::time::timeout(limit, listening).await.is_ok();
        assert!(came, "{what} did not come within {limit:?}; {} messages came, and {:?}", self.messages.len(), self.said);
    }

    /// Listens for a while whatever comes.
    pub(crate) async fn for_a_while(&mut self, time: Duration) {
        let end = tokio::time::Instant::now() + time;
        while let Ok(event) = tokio::time::timeout_at(end, self.events.next()).await {
            match event.expect("a tail never ends by itself") {
                TailEvent::Messages(batch) => self.messages.extend(batch),
                other => self.said.push(other),
            }
        }
    }
}

/// Plans an operation and carries it out; panics if any part fails. What the parts said.
pub(crate) async fn manage(session: &Session, address: &str, id: &str, arguments: &[(&str, &str)]) -> Vec<String> {
    let manage = session.manage.as_ref().expect("the system can be changed");
    let spec = manage.operations().iter().find(|spec| spec.id == id).expect("the operation");
    let address = address.parse().unwrap_or_else(|_| Address::new(address, ""));
    let arguments = arguments.iter().map(|(id, value)| ((*id).to_owned(), (*value).to_owned())).collect();
    let change = manage.plan(Request { spec, address, arguments }).await.unwrap_or_else(|fault| panic!("{fault}"));
    assert_eq!(change.refused, None);
    let done = manage.apply(&change).await.unwrap_or_else(|fault| panic!("{fault}"));
    done.parts.into_iter().map(|(_, part)| part.unwrap_or_else(|fault| panic!("{fault}")).to_string()).collect()
}
