//! A cluster as a whole: found through its bootstrap addresses, asked broker by broker, its metadata kept and renewed.

use super::super::faults;
use super::api::Request;
use super::connection::{Dial, HostPort};
use super::find_coordinator::Coordinators;
use super::metadata::{Known, Topic};
use super::pool::{Lane, Lease, Pool};
use super::sasl::Login;
use crate::adapters::tls::TlsDial;
use crate::adapters::wirelog::WireLog;
use crate::config::profile::Integration;
use crate::domain::fault::{Fault, Kind};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{MetadataRequest, TopicName};
use kafka_protocol::protocol::StrBytes;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

/// The port of a bootstrap address that names none.
const DEFAULT_PORT: u16 = 9092;
/// The pauses between questions for a leader that is not there yet.
const LEADER_PAUSE: Duration = Duration::from_millis(100);
const LEADER_PAUSE_MOST: Duration = Duration::from_secs(1);

/// A connected cluster. Cloning shares it.
#[derive(Clone)]
pub(crate) struct Cluster(Arc<Inner>);

struct Inner {
    bootstrap: Vec<HostPort>,
    timeout: Duration,
    pool: Pool,
    known: RwLock<Known>,
    coordinators: Coordinators,
    lanes: AtomicU32,
    /// Held while a topic is asked for, so that many who miss it ask once.
    asking: tokio::sync::Mutex<()>,
}

/// A lane of one's own. Its connections close when it is dropped.
pub(crate) struct OwnLane {
    cluster: Cluster,
    lane: Lane,
}

impl OwnLane {
    pub(crate) fn lane(&self) -> Lane {
        self.lane
    }
}

impl Drop for OwnLane {
    fn drop(&mut self) {
        self.cluster.0.pool.close(self.lane);
    }
}

impl Cluster {
    /// Connects to the first bootstrap address that answers, and proves it by a metadata answer.
    pub(crate) async fn connect(integration: &Integration, log: WireLog) -> Result<Self, Fault> {
        let bootstrap = integration.endpoint.addresses.iter().map(|address| parse_address(address)).collect::<Result<Vec<_>, _>>()?;
        let client_id = integration.settings.get("client.id").map_or("mqdeck", |setting| setting.value.expose());
        let dial = Dial {
            client_id: StrBytes::from_string(client_id.to_owned()),
            timeout: integration.timeout,
            tls: integration.endpoint.tls.as_ref().map(TlsDial::new).transpose()?,
            login: Login::new(&integration.auth),
            log,
            met: std::sync::Mutex::default(),
        };
        let pool = Pool::new(Arc::new(dial), &integration.reconnect);
        let inner = Inner {
            bootstrap,
            timeout: integration.timeout,
            pool,
            known: RwLock::default(),
            coordinators: Coordinators::default(),
            lanes: AtomicU32::new(0),
            asking: tokio::sync::Mutex::default(),
        };
        let cluster = Self(Arc::new(inner));
        // No topics: the brokers alone prove the connection, and stay cheap in a cluster of ten thousand topics.
        cluster.ask_metadata(Some(&[]), false).await?;
        Ok(cluster)
    }

    /// How long one request may take.
    pub(crate) fn timeout(&self) -> Duration {
        self.0.timeout
    }

    /// The ids of the brokers, in their order.
    pub(crate) fn brokers(&self) -> Vec<i32> {
        self.known().brokers.keys().copied().collect()
    }

    /// Asks one broker. A connection that had died unnoticed is replaced once; every question of ours may be asked twice.
    pub(crate) async fn call<A: Request>(&self, node: i32, lane: Lane, request: &A) -> Result<A::Answer, Fault> {
        let address = self.address(node).await?;
        let lease = self.lease(node, &address, lane).await?;
        match lease.connection.call(request).await {
            Err(fault) if fault.kind == Kind::Unreachable && !lease.fresh => {
                self.lease(node, &address, lane).await?.connection.call(request).await
            }
            answer => answer,
        }
    }

    /// Asks one broker for something that must not be done twice. Where no answer comes, it is not known whether it was done.
    pub(crate) async fn call_once<A: Request>(&self, node: i32, lane: Lane, request: &A) -> Result<A::Answer, Fault> {
        let address = self.address(node).await?;
        let lease = self.lease(node, &address, lane).await?;
        lease.connection.call(request).await.map_err(|fault| {
            if !fault.kind.is_transient() {
                return fault;
            }
            let cause = format!("{}; it is not known whether it was done", fault.cause);
            Fault::new(fault.kind, fault.op, fault.target, cause).next("look before you try again")
        })
    }

    /// Whether the brokers know a request, by the first that answers.
    pub(crate) async fn offers<A: Request>(&self) -> Result<bool, Fault> {
        let nodes = self.brokers();
        let node = nodes.first().copied().unwrap_or(-1);
        let address = self.address(node).await?;
        Ok(self.lease(node, &address, Lane::Control).await?.connection.version(A::KEY, A::SPOKEN).is_some())
    }

    /// As [`Cluster::call`], on a task of its own: for answers so large that reading several of them keeps more than one core busy.
    pub(crate) async fn call_apart<A: Request + 'static>(&self, node: i32, lane: Lane, request: A) -> Result<A::Answer, Fault>
    where
        A::Answer: 'static,
    {
        let cluster = self.clone();
        // Dropping the set ends the task.
        let mut asked = tokio::task::JoinSet::new();
        asked.spawn(async move { cluster.call(node, lane, &request).await });
        let answer = asked.join_next().await.and_then(Result::ok);
        answer.unwrap_or_else(|| Err(Fault::new(Kind::Protocol, A::OP, format!("broker {node}"), "reading the answer failed")))
    }

    /// Asks any broker: one that a connection is open to, else another, else a bootstrap address.
    pub(crate) async fn call_any<A: Request>(&self, request: &A) -> Result<A::Answer, Fault> {
        self.call_any_on(Lane::Control, request).await
    }

    /// As [`Cluster::call_any`], on another lane: for what takes a broker long.
    pub(crate) async fn call_any_on<A: Request>(&self, lane: Lane, request: &A) -> Result<A::Answer, Fault> {
        let candidates = self.candidates(lane);
        let patience = self.patience(candidates.len());
        let mut failed: Vec<(HostPort, Fault)> = Vec::new();
        for address in candidates {
            let answer = match self.0.pool.lease(&address, lane, patience).await {
                Ok(lease) => self.call_leased(lease, &address, lane, patience, request).await,
                Err(fault) => Err(fault),
            };
            match answer {
                // What another address could not mend either is final.
                Err(fault) if !fault.kind.is_transient() => return Err(fault),
                Err(fault) => failed.push((address, fault)),
                answer => return answer,
            }
        }
        Err(nobody(failed))
    }

    /// Asks for the metadata of these topics, or of every topic, and keeps it. Returns the topics of the answer by name;
    /// a topic that is missing or forbidden is there with its error code. Each says what our user may do with it.
    pub(crate) async fn refresh(&self, topics: Option<&[&str]>) -> Result<Vec<Arc<Topic>>, Fault> {
        self.ask_metadata(topics, true).await
    }

    /// Makes sure that these topics are known, asking for all that are not in one request. Returns those that cannot be described,
    /// each with its error code.
    pub(crate) async fn learn(&self, topics: &[&str]) -> Result<HashMap<Arc<str>, i16>, Fault> {
        let unknown: Vec<&str> = {
            let known = self.known();
            topics.iter().filter(|name| known.topic(name).is_none()).copied().collect()
        };
        if unknown.is_empty() {
            return Ok(HashMap::new());
        }
        let told = self.ask_metadata(Some(&unknown), false).await?;
        Ok(told.iter().filter(|topic| topic.error != 0).map(|topic| (Arc::clone(&topic.name), topic.error)).collect())
    }

    /// A topic as it was last described; asked for if it is not known. Fails if it is missing or forbidden.
    pub(crate) async fn topic(&self, name: &str) -> Result<Arc<Topic>, Fault> {
        if let Some(topic) = self.known().topic(name) {
            return Ok(topic);
        }
        let _asking = self.0.asking.lock().await;
        if let Some(topic) = self.known().topic(name) {
            return Ok(topic);
        }
        let topics = self.ask_metadata(Some(&[name]), false).await?;
        match topics.into_iter().find(|topic| &*topic.name == name) {
            Some(topic) if topic.error == 0 => Ok(topic),
            Some(topic) => Err(faults::refused("find topic", name, topic.error, None)),
            None => Err(Fault::new(Kind::Protocol, "find topic", name, "the broker's answer does not name it")),
        }
    }

    /// The broker that leads a partition, waited for while a leader is being elected.
    pub(crate) async fn leader(&self, topic: &str, partition: i32) -> Result<i32, Fault> {
        let until = Instant::now() + self.0.timeout;
        let mut pause = LEADER_PAUSE;
        loop {
            let described = self.topic(topic).await?;
            let Some(found) = described.partition(partition) else {
                let cause = format!("there is no partition {partition}: it has {}", described.partitions.len());
                return Err(Fault::new(Kind::NotFound, "find the leader of", topic, cause));
            };
            if let Some(leader) = found.leader {
                return Ok(leader);
            }
            if Instant::now() + pause > until {
                let cause = format!("partition {partition} has no leader");
                return Err(Fault::new(Kind::Unreachable, "find the leader of", topic, cause)
                    .next("the brokers that hold it are down, or a leader is being elected"));
            }
            self.moved(topic);
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LEADER_PAUSE_MOST);
        }
    }

    /// Forgets where a topic's leaders are: a broker said that they have moved, or its leader does not answer.
    pub(crate) fn moved(&self, topic: &str) {
        self.0.known.write().unwrap_or_else(PoisonError::into_inner).forget(topic);
    }

    /// A lane of connections that nobody else uses: for reading in bulk, or waiting for messages.
    pub(crate) fn own_lane(&self) -> OwnLane {
        let number = self.0.lanes.fetch_add(1, Ordering::Relaxed);
        OwnLane { cluster: self.clone(), lane: Lane::Fetch(number) }
    }

    /// What is remembered of the groups' coordinators.
    pub(super) fn remembered(&self) -> &Coordinators {
        &self.0.coordinators
    }

    async fn ask_metadata(&self, topics: Option<&[&str]>, rights: bool) -> Result<Vec<Arc<Topic>>, Fault> {
        let named = topics.map(|topics| {
            let named = |name: &&str| MetadataRequestTopic::default().with_name(Some(TopicName(StrBytes::from_string((*name).to_owned()))));
            topics.iter().map(named).collect()
        });
        let request = MetadataRequest::default()
            .with_topics(named)
            .with_allow_auto_topic_creation(false)
            .with_include_topic_authorized_operations(rights);
        let answer = self.call_any(&request).await?;
        if answer.error_code != 0 {
            return Err(faults::refused(MetadataRequest::OP, "the cluster", answer.error_code, None));
        }
        let mut known = self.0.known.write().unwrap_or_else(PoisonError::into_inner);
        let topics = known.learn(answer, topics.is_none());
        self.0.pool.retain(|address| known.brokers.values().any(|broker| broker == address) || self.0.bootstrap.contains(address));
        Ok(topics)
    }

    fn known(&self) -> std::sync::RwLockReadGuard<'_, Known> {
        self.0.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    async fn address(&self, node: i32) -> Result<HostPort, Fault> {
        let known = self.known().brokers.get(&node).cloned();
        if let Some(address) = known {
            return Ok(address);
        }
        self.ask_metadata(Some(&[]), false).await?;
        let known = self.known().brokers.get(&node).cloned();
        known.ok_or_else(|| {
            Fault::new(Kind::Unreachable, "connect to", format!("broker {node}"), "the cluster does not name it any more")
                .next("it is down, or was removed")
        })
    }

    /// A connection to a broker under the address that the cluster advertises for it.
    async fn lease(&self, node: i32, address: &HostPort, lane: Lane) -> Result<Lease, Fault> {
        let lease = self.0.pool.lease(address, lane, self.0.timeout).await;
        lease.map_err(|fault| {
            let trap = fault.kind.is_transient() && !self.0.bootstrap.contains(address);
            if trap { self.advertised(node, address, &fault) } else { fault }
        })
    }

    /// The trap of advertised listeners: the bootstrap address answers, but names its brokers by addresses that only others can reach.
    fn advertised(&self, node: i32, address: &HostPort, fault: &Fault) -> Fault {
        let bootstrap = list(&self.0.bootstrap);
        let cause = format!("{}; broker {node} is known by this address because {bootstrap} advertises it", fault.cause);
        Fault::new(fault.kind, fault.op, format!("broker {node} at {address}"), cause).next(format!(
            "is the broker up? else make {address} reachable from here, or set the broker's advertised.listeners to an address that is"
        ))
    }

    /// Every address worth asking, the best first.
    fn candidates(&self, lane: Lane) -> Vec<HostPort> {
        let mut candidates: Vec<_> = self.known().brokers.values().cloned().collect();
        for address in &self.0.bootstrap {
            if !candidates.contains(address) {
                candidates.push(address.clone());
            }
        }
        candidates.sort_by_cached_key(|address| self.0.pool.connection_state(address, lane));
        candidates
    }

    /// How long one of several addresses may take to connect, so that a silent one does not use up the time of the others.
    fn patience(&self, addresses: usize) -> Duration {
        let share = self.0.timeout / u32::try_from(addresses.max(1)).unwrap_or(1);
        share.max(Duration::from_secs(2)).min(self.0.timeout)
    }

    async fn call_leased<A: Request>(
        &self,
        lease: Lease,
        address: &HostPort,
        lane: Lane,
        patience: Duration,
        request: &A,
    ) -> Result<A::Answer, Fault> {
        match lease.connection.call(request).await {
            Err(fault) if fault.kind == Kind::Unreachable && !lease.fresh => {
                self.0.pool.lease(address, lane, patience).await?.connection.call(request).await
            }
            answer => answer,
        }
    }
}

/// The fault of a cluster of which no address answers.
fn nobody(mut failed: Vec<(HostPort, Fault)>) -> Fault {
    if failed.len() == 1 {
        return failed.remove(0).1;
    }
    let kind = failed.first().map_or(Kind::Unreachable, |(_, fault)| fault.kind);
    let addresses: Vec<_> = failed.iter().map(|(address, _)| address.clone()).collect();
    let causes: Vec<_> = failed.iter().map(|(address, fault)| format!("{address}: {}", fault.cause)).collect();
    let cause = format!("none of {} addresses answers: {}", failed.len(), causes.join("; "));
    let next = failed.first().map_or_else(Default::default, |(_, fault)| fault.next.clone());
    Fault::new(kind, "connect to", list(&addresses), cause).next(next)
}

fn list(addresses: &[HostPort]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Reads `host:port`, `host`, `[::1]:port`.
fn parse_address(text: &str) -> Result<HostPort, Fault> {
    let wrong = || Fault::new(Kind::Usage, "read", text, "this is no address").next("write host:port, for example localhost:9092");
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, rest)) => (host, rest.strip_prefix(':')),
        None => text.rsplit_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    let port = port.map_or(Ok(DEFAULT_PORT), str::parse).map_err(|_| wrong())?;
    if host.is_empty() || port == 0 { Err(wrong()) } else { Ok(HostPort { host: host.to_owned(), port }) }
}

#[cfg(test)]
mod tests {
    use super::super::fake::{self, Asked, Does, FakeBroker};
    use super::*;
    use kafka_protocol::messages::ListOffsetsRequest;

    fn integration(addresses: &[String]) -> Integration {
        Integration { timeout: Duration::from_secs(1), ..Integration::new("events", "kafka", addresses.to_vec()) }
    }

    async fn closed_port() -> HostPort {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        HostPort { host: "127.0.0.1".into(), port: listener.local_addr().expect("an address").port() }
    }

    fn greets(asked: &Asked) -> Option<Does> {
        match asked.key {
            18 if asked.version >= 3 => Some(Does::Answer([0, 35].as_slice().into())),
            18 => Some(Does::Answer(fake::old_versions())),
            _ => None,
        }
    }

    #[tokio::test]
    async fn an_advertised_address_that_nobody_reaches_is_named_with_its_bootstrap() {
        let inside = closed_port().await;
        let advertised = inside.clone();
        let broker = FakeBroker::start(move |asked| greets(asked).unwrap_or_else(|| Does::Answer(fake::metadata(7, &advertised, 0)))).await;
        let bootstrap = broker.address.to_string();
        let cluster =
            Cluster::connect(&integration(std::slice::from_ref(&bootstrap)), WireLog::default()).await.expect("the bootstrap answers");
        let fault = cluster.call(7, Lane::Control, &ListOffsetsRequest::default()).await.expect_err("nobody is there");
        assert_eq!(fault.target.as_str(), format!("broker 7 at {inside}"));
        assert!(fault.cause.as_str().contains(&format!("because {bootstrap} advertises it")), "{fault}");
        assert!(fault.next.as_str().contains("advertised.listeners"), "{fault}");
        assert_eq!(cluster.leader("orders", 0).await, Ok(7), "metadata still comes from the bootstrap address");
    }

    #[tokio::test]
    async fn a_connection_that_died_unnoticed_is_replaced_once() {
        let broker = FakeBroker::start(|asked| {
            greets(asked).unwrap_or_else(|| match (asked.connection, asked.number) {
                (0, 3) => Does::HangUp,
                _ => Does::Answer(fake::metadata(1, &HostPort { host: "elsewhere".into(), port: 1 }, 0)),
            })
        })
        .await;
        let cluster = Cluster::connect(&integration(&[broker.address.to_string()]), WireLog::default()).await.expect("connects");
        cluster.refresh(Some(&[])).await.expect("answered on a second connection");
        assert_eq!(broker.connections.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn when_no_address_answers_each_says_why() {
        let (first, second) = (closed_port().await, closed_port().await);
        let fault =
            Cluster::connect(&integration(&[first.to_string(), second.to_string()]), WireLog::default()).await.err().expect("nobody");
        assert_eq!(fault.kind, Kind::Unreachable);
        assert_eq!(fault.target.as_str(), format!("{first}, {second}"));
        assert!(fault.cause.as_str().starts_with("none of 2 addresses answers: "), "{fault}");
    }

    #[test]
    fn addresses_are_read_as_people_write_them() {
        for (text, host, port) in
            [("localhost:9093", "localhost", 9093), ("broker", "broker", 9092), ("[::1]:9094", "::1", 9094), ("[::1]", "::1", 9092)]
        {
            assert_eq!(parse_address(text), Ok(HostPort { host: host.into(), port }), "{text}");
        }
        for wrong in ["", ":9092", "host:port", "host:0", "host:99999"] {
            assert_eq!(parse_address(wrong).expect_err(wrong).kind, Kind::Usage);
        }
    }
}
