//! One connection to one broker: dialled, secured, logged in, and asked by many at once.

use super::api::{self, Request, UNSUPPORTED_VERSION, Versions};
use super::sasl::{Login, Talk};
use super::wire::{self, Question, Reader, Shared, Wire, Writer};
use crate::adapters::tls::{self, TlsDial};
use crate::adapters::wirelog::WireLog;
use crate::domain::fault::{Fault, Kind};
use crate::domain::figure;
use crate::domain::text::SafeText;
use kafka_protocol::messages::{ApiKey, ApiVersionsRequest};
use kafka_protocol::protocol::{StrBytes, VersionRange};
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio_util::sync::DropGuard;

/// Questions that may wait to be written.
const QUEUED: usize = 64;
/// `ApiVersions` is asked in these versions, one after the other, until the broker speaks one. Version 3 and above are flexible;
/// brokers before Kafka 2.4 speak 2, those before 0.11 speak 0 and 1.
const HELLO: [i16; 3] = [4, 2, 0];

/// A broker's address as it was configured or advertised.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct HostPort {
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl std::fmt::Display for HostPort {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.host.contains(':') { write!(f, "[{}]:{}", self.host, self.port) } else { write!(f, "{}:{}", self.host, self.port) }
    }
}

/// How every broker of a cluster is reached.
pub(crate) struct Dial {
    pub(crate) client_id: StrBytes,
    /// How long connecting and each request may take.
    pub(crate) timeout: Duration,
    pub(crate) tls: Option<TlsDial>,
    pub(crate) login: Option<Login>,
    pub(crate) log: WireLog,
    /// Who has proven to be a broker that is spoken to rightly.
    pub(crate) met: Mutex<HashSet<HostPort>>,
}

impl Dial {
    fn met(&self, address: &HostPort) -> bool {
        self.met.lock().unwrap_or_else(PoisonError::into_inner).contains(address)
    }
}

/// A connection that is ready for questions. Dropping it closes it.
pub(crate) struct Connection {
    questions: mpsc::Sender<Question>,
    versions: Arc<Versions>,
    shared: Arc<Shared>,
    dial: Arc<Dial>,
    /// Until when the broker asked us to be silent (KIP-219).
    silent_until: Mutex<Option<Instant>>,
    _close: DropGuard,
}

impl Connection {
    /// Connects within `patience`, finds the versions that both speak, and logs in.
    pub(crate) async fn open(dial: &Arc<Dial>, address: &HostPort, patience: Duration) -> Result<Self, Fault> {
        let peer = SafeText::from(address.to_string());
        let asked = Instant::now();
        // Somebody who takes the connection and says nothing is told from nobody at all.
        let taken = AtomicBool::new(false);
        let opened = tokio::time::timeout(patience, Self::establish(dial, address, &peer, &taken)).await.unwrap_or_else(|_| {
            let (cause, next) = if taken.load(Ordering::Relaxed) {
                let cause = "the connection was taken, but no answer to Kafka's first request came within";
                (cause, "check that this port is a Kafka broker's, and whether it wants TLS")
            } else {
                ("no answer within", "check the address; a firewall that drops packets looks like this")
            };
            Err(Fault::new(Kind::Timeout, "connect to", peer.clone(), format!("{cause} {}", seconds(patience))).next(next))
        });
        if let Err(fault) = &opened {
            dial.log.record(&peer, "connect", fault.cause.as_str(), asked.elapsed());
        }
        opened
    }

    async fn establish(dial: &Arc<Dial>, address: &HostPort, peer: &SafeText, taken: &AtomicBool) -> Result<Self, Fault> {
        let asked = Instant::now();
        let (reader, writer) = streams(dial, address, peer).await?;
        taken.store(true, Ordering::Relaxed);
        let said = if dial.tls.is_some() { "connected, TLS" } else { "connected" };
        dial.log.record(peer, "connect", said, asked.elapsed());
        let shared = Shared::new(peer.clone(), dial.tls.is_some(), dial.login.is_some(), dial.met(address));
        let close = shared.over.clone().drop_guard();
        let mut wire = Wire::start(reader, writer, Arc::clone(&shared));
        let versions = Arc::new(hello(dial, &mut wire).await?);
        shared.trust();
        dial.met.lock().unwrap_or_else(PoisonError::into_inner).insert(address.clone());
        let session = login(dial, &versions, &mut wire).await?;
        let (questions, queue) = mpsc::channel(QUEUED);
        tokio::spawn(write(wire, queue, session, Arc::clone(dial), Arc::clone(&versions)));
        Ok(Self { questions, versions, shared, dial: Arc::clone(dial), silent_until: Mutex::new(None), _close: close })
    }

    /// Whether the connection is over.
    pub(crate) fn is_over(&self) -> bool {
        self.shared.over.is_cancelled()
    }

    /// The version in which the broker is asked; `None` if it does not offer the request in any that we speak.
    pub(crate) fn version(&self, key: ApiKey, spoken: VersionRange) -> Option<i16> {
        self.versions.pick(key, spoken)
    }

    /// Asks, and waits for the answer. Many may ask at once; dropping the future abandons the answer and nothing else.
    pub(crate) async fn call<A: Request>(&self, request: &A) -> Result<A::Answer, Fault> {
        let Some(version) = self.version(A::KEY, A::SPOKEN) else {
            return Err(Fault::new(Kind::Rejected, A::OP, self.shared.peer.clone(), format!("the broker does not offer {:?}", A::KEY))
                .next("it may be too old for this, or not be Apache Kafka"));
        };
        self.keep_silence().await;
        let asked = Instant::now();
        let answer = self.exchange(request, version).await;
        let answer = answer.and_then(|frame| {
            let size = frame.len();
            wire::answer::<A>(frame, version, &self.shared.peer).map(|answer| (answer, size))
        });
        let outcome = match &answer {
            Ok((answer, size)) => self.outcome::<A>(answer, *size),
            Err(fault) => fault.cause.to_string(),
        };
        let line = format!("{:?} v{version} {}", A::KEY, request.about());
        self.dial.log.record(&self.shared.peer, line.trim_end(), outcome, asked.elapsed());
        answer.map(|(answer, _)| answer)
    }

    async fn exchange<A: Request>(&self, request: &A, version: i16) -> Result<bytes::Bytes, Fault> {
        let (question, reply) = wire::question(request, version, &self.dial.client_id)?;
        let patience = self.dial.timeout + request.waits();
        let answered = async {
            self.questions.send(question).await.map_err(|_| self.shared.fault())?;
            reply.await.map_err(|_| self.shared.fault())
        };
        let Ok(answer) = tokio::time::timeout(patience, answered).await else {
            // What comes after an answer that did not come cannot be waited for either: start over on a new connection.
            let cause = format!("{:?} was not answered within {}", A::KEY, seconds(patience));
            let fault = Fault::new(Kind::Timeout, A::OP, self.shared.peer.clone(), cause);
            self.shared.end(fault.clone());
            return Err(fault.next("the broker may be overloaded or the network slow: raise timeout in the profile if so"));
        };
        if answer.is_ok() {
            self.shared.proven.store(true, Ordering::Relaxed);
        }
        answer
    }

    fn outcome<A: Request>(&self, answer: &A::Answer, size: usize) -> String {
        let mut parts = vec![A::about_answer(answer), figure::bytes(size as u64)];
        let throttle = api::millis(A::throttle_ms(answer));
        if !throttle.is_zero() {
            parts.push(format!("throttled {} ms", throttle.as_millis()));
            *self.silent_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + throttle);
        }
        parts.retain(|part| !part.is_empty());
        parts.join(", ")
    }

    async fn keep_silence(&self) {
        let until = *self.silent_until.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(until) = until {
            tokio::time::sleep_until(until.into()).await;
        }
    }
}

/// `10 s`, `250 ms`.
fn seconds(time: Duration) -> String {
    if time.subsec_millis() == 0 { format!("{} s", time.as_secs()) } else { format!("{} ms", time.as_millis()) }
}

/// Connects by TCP and speaks TLS if the profile says so.
async fn streams(dial: &Dial, address: &HostPort, peer: &SafeText) -> Result<(Reader, Writer), Fault> {
    let stream = tls::tcp(&address.host, address.port, peer).await?;
    Ok(if let Some(tls) = &dial.tls {
        let (reader, writer) = tokio::io::split(tls.handshake(stream, &address.host, peer).await?);
        (Box::new(reader), Box::new(writer))
    } else {
        let (reader, writer) = stream.into_split();
        (Box::new(reader), Box::new(writer))
    })
}

/// Asks what the broker speaks.
async fn hello(dial: &Dial, wire: &mut Wire) -> Result<Versions, Fault> {
    let request = ApiVersionsRequest::default();
    let named = ApiVersionsRequest::default()
        .with_client_software_name(StrBytes::from_static_str(env!("CARGO_PKG_NAME")))
        .with_client_software_version(StrBytes::from_static_str(env!("CARGO_PKG_VERSION")));
    for version in HELLO {
        let asked = Instant::now();
        let answer = wire.ask(if version >= 3 { &named } else { &request }, version, &dial.client_id).await;
        let outcome = match &answer {
            Ok(versions) => ApiVersionsRequest::about_answer(versions),
            Err(fault) => fault.cause.to_string(),
        };
        dial.log.record(&wire.shared.peer, format!("ApiVersions v{version}"), outcome, asked.elapsed());
        let versions = answer?;
        match versions.error {
            0 => return Ok(versions),
            UNSUPPORTED_VERSION => {}
            code => return Err(super::super::faults::refused("connect to", wire.shared.peer.clone(), code, None)),
        }
    }
    Err(Fault::new(Kind::Rejected, "connect to", wire.shared.peer.clone(), "the broker speaks no version of ApiVersions that we know"))
}

/// Logs in if the profile says so; returns when it must be done again.
async fn login(dial: &Dial, versions: &Versions, wire: &mut Wire) -> Result<Option<Instant>, Fault> {
    let Some(login) = &dial.login else { return Ok(None) };
    let peer = wire.shared.peer.clone();
    let started = Instant::now();
    let mut talk = Talk {
        wire,
        client_id: &dial.client_id,
        pick: &|key, spoken| versions.pick(key, spoken),
        log: &|request, outcome, took| dial.log.record(&peer, request, outcome, took),
    };
    let lifetime = login.run(&mut talk).await?;
    // Between 85 and 95 % of the session, as Kafka's own client does, so that many clients do not come at once.
    Ok(lifetime.map(|lifetime| started + lifetime.mul_f64(0.85 + 0.1 * fastrand::f64())))
}

/// Writes questions until the connection ends, and logs in again when it is time: nothing else may be asked meanwhile.
async fn write(
    mut wire: Wire,
    mut queue: mpsc::Receiver<Question>,
    mut session: Option<Instant>,
    dial: Arc<Dial>,
    versions: Arc<Versions>,
) {
    let over = wire.shared.over.clone();
    loop {
        let renew = async {
            match session {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            question = queue.recv() => {
                let Some(question) = question else { return };
                if wire.send(question).await.is_err() {
                    return;
                }
            }
            () = renew => match tokio::time::timeout(dial.timeout, login(&dial, &versions, &mut wire)).await {
                Ok(Ok(until)) => session = until,
                Ok(Err(fault)) => return wire.shared.end(fault),
                Err(_) => {
                    let cause = "logging in again was not answered in time";
                    return wire.shared.end(Fault::new(Kind::Timeout, "log in to", wire.shared.peer.clone(), cause));
                }
            },
            () = over.cancelled() => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fake::{self, Does, FakeBroker};
    use super::*;
    use kafka_protocol::messages::{DescribeConfigsRequest, MetadataRequest};

    const SHORT: Duration = Duration::from_millis(400);

    fn all_topics() -> MetadataRequest {
        MetadataRequest::default().with_topics(None)
    }

    async fn open(broker: &FakeBroker) -> Connection {
        Connection::open(&fake::dial(SHORT), &broker.address, SHORT).await.expect("opens")
    }

    fn here() -> HostPort {
        HostPort { host: "b".into(), port: 1 }
    }

    #[tokio::test]
    async fn a_broker_of_2018_is_spoken_to_in_its_versions() {
        let broker = FakeBroker::start(|asked| match (asked.key, asked.version) {
            // As librdkafka's mock cluster does: the error, and a body that fits no version.
            (18, 3..) => Does::Answer([0, 35, 0, 0, 0, 1, 0, 18, 0].as_slice().into()),
            (18, _) => Does::Answer(fake::old_versions()),
            (3, 6) => Does::Answer(fake::metadata(1, &here(), 0)),
            _ => Does::HangUp,
        })
        .await;
        let connection = open(&broker).await;
        let answer = connection.call(&all_topics()).await.expect("an answer");
        assert_eq!(answer.topics[0].name.as_ref().map(|name| name.as_str()), Some("orders"));
    }

    #[tokio::test]
    async fn a_request_that_the_broker_does_not_offer_is_not_sent() {
        let versions = |_: &fake::Asked| Does::Answer([0, 0, 0, 0, 0, 0].as_slice().into());
        let broker =
            FakeBroker::start(move |asked| if asked.version >= 3 { Does::Answer([0, 35].as_slice().into()) } else { versions(asked) })
                .await;
        let fault = open(&broker).await.call(&DescribeConfigsRequest::default()).await.expect_err("not offered");
        assert_eq!(fault.kind, Kind::Rejected);
        assert!(fault.cause.as_str().contains("does not offer DescribeConfigs"), "{fault}");
    }

    #[tokio::test]
    async fn many_ask_at_once_and_each_gets_its_own_answer() {
        let broker = FakeBroker::start(|asked| match (asked.key, asked.number) {
            (18, _) if asked.version >= 3 => Does::Answer([0, 35].as_slice().into()),
            (18, _) => Does::Answer(fake::old_versions()),
            // Two of three are kept back until all have come: whoever waits for one before asking the next never gets there.
            (_, 2 | 3) => Does::Later(fake::metadata(asked.number as i32, &here(), 0)),
            (_, number) => Does::Answer(fake::metadata(number as i32, &here(), 0)),
        })
        .await;
        let connection = open(&broker).await;
        let request = all_topics();
        let answers = tokio::join!(connection.call(&request), connection.call(&request), connection.call(&request));
        let node = |answer: Result<kafka_protocol::messages::MetadataResponse, Fault>| *answer.expect("an answer").controller_id;
        assert_eq!((node(answers.0), node(answers.1), node(answers.2)), (2, 3, 4));
    }

    #[tokio::test]
    async fn no_answer_in_time_ends_the_connection_for_all() {
        let broker = FakeBroker::start(|asked| match asked.key {
            18 if asked.version >= 3 => Does::Answer([0, 35].as_slice().into()),
            18 => Does::Answer(fake::old_versions()),
            _ => Does::Nothing,
        })
        .await;
        let connection = open(&broker).await;
        let fault = connection.call(&all_topics()).await.expect_err("no answer");
        assert_eq!(fault.kind, Kind::Timeout);
        assert!(fault.cause.as_str().contains("Metadata was not answered within 400 ms"), "{fault}");
        assert!(connection.is_over());
        assert_eq!(connection.call(&all_topics()).await.expect_err("over").kind, Kind::Timeout);
    }

    #[tokio::test]
    async fn a_broker_that_dies_fails_everything_in_flight_at_once() {
        let broker = FakeBroker::start(|asked| match (asked.key, asked.number) {
            (18, _) if asked.version >= 3 => Does::Answer([0, 35].as_slice().into()),
            (18, _) => Does::Answer(fake::old_versions()),
            (_, 2) => Does::Nothing,
            _ => Does::HangUp,
        })
        .await;
        let connection = open(&broker).await;
        let request = all_topics();
        let (first, second) = tokio::join!(connection.call(&request), connection.call(&request));
        assert!(first.is_err_and(|fault| fault.kind == Kind::Unreachable) && second.is_err_and(|fault| fault.kind == Kind::Unreachable));
    }

    #[tokio::test]
    async fn a_broker_that_throttles_is_left_alone_for_that_long() {
        let broker = FakeBroker::start(|asked| match asked.key {
            18 if asked.version >= 3 => Does::Answer([0, 35].as_slice().into()),
            18 => Does::Answer(fake::old_versions()),
            _ => Does::Answer(fake::metadata(1, &here(), if asked.number == 2 { 600 } else { 0 })),
        })
        .await;
        let connection = open(&broker).await;
        let began = Instant::now();
        connection.call(&all_topics()).await.expect("an answer");
        connection.call(&all_topics()).await.expect("an answer");
        assert!(began.elapsed() >= Duration::from_millis(600));
        let log = connection.dial.log.since(0);
        assert!(log.iter().any(|line| line.outcome.as_str().contains("throttled 600 ms")), "{log:?}");
    }
}
