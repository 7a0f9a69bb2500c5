//! The connections of a cluster: opened when first used, one a broker and lane, reopened with a growing pause.

use super::connection::{Connection, Dial, HostPort};
use crate::adapters::reopen::Backoff;
use crate::config::profile::Reconnect;
use crate::domain::fault::Fault;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Requests wait behind the pause between two attempts, whatever the profile allows: twice Kafka's own `reconnect.backoff.max.ms`.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Which of a broker's connections is used. A fetch that waits for messages holds up all that is asked behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Lane {
    /// Short questions.
    Control,
    /// Bulk reads and long waits; equal numbers share a connection.
    Fetch(u32),
}

/// What is known of a broker without asking it; the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ConnectionState {
    Open,
    Unknown,
    Failed,
}

/// A connection and whether it was made for this call.
pub(crate) struct Lease {
    pub(crate) connection: Arc<Connection>,
    pub(crate) fresh: bool,
}

type Slots = HashMap<(HostPort, Lane), Arc<tokio::sync::Mutex<Slot>>>;

/// Every connection to a cluster.
pub(crate) struct Pool {
    dial: Arc<Dial>,
    fresh: Backoff,
    slots: Mutex<Slots>,
}

struct Slot {
    connection: Option<Arc<Connection>>,
    backoff: Backoff,
    failed: Option<(Fault, Instant)>,
}

impl Pool {
    pub(crate) fn new(dial: Arc<Dial>, reconnect: &Reconnect) -> Self {
        Self { dial, fresh: Backoff::new(reconnect).at_most(LONGEST_PAUSE), slots: Mutex::default() }
    }

    /// The connection to a broker, opened now if there is none. After failures it waits for the pause to end first; callers
    /// that came while another one tried share what that one got.
    pub(crate) async fn lease(&self, address: &HostPort, lane: Lane, patience: Duration) -> Result<Lease, Fault> {
        let slot = {
            let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            let unused = || Arc::new(tokio::sync::Mutex::new(Slot { connection: None, backoff: self.fresh.clone(), failed: None }));
            Arc::clone(slots.entry((address.clone(), lane)).or_insert_with(unused))
        };
        let came = Instant::now();
        let mut slot = slot.lock().await;
        if let Some(connection) = slot.connection.as_ref().filter(|connection| !connection.is_over()) {
            return Ok(Lease { connection: Arc::clone(connection), fresh: false });
        }
        if let Some((fault, at)) = &slot.failed {
            if *at > came {
                return Err(fault.clone());
            }
            slot.backoff.ready().await;
        }
        match Connection::open(&self.dial, address, patience).await {
            Ok(connection) => {
                let connection = Arc::new(connection);
                *slot = Slot { connection: Some(Arc::clone(&connection)), backoff: self.fresh.clone(), failed: None };
                Ok(Lease { connection, fresh: true })
            }
            Err(fault) => {
                slot.backoff.delay();
                slot.failed = Some((fault.clone(), Instant::now()));
                Err(fault)
            }
        }
    }

    /// How likely that broker answers, as far as earlier calls tell.
    pub(crate) fn connection_state(&self, address: &HostPort, lane: Lane) -> ConnectionState {
        let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        // A slot that somebody holds is being connected.
        let Some(slot) = slots.get(&(address.clone(), lane)).and_then(|slot| slot.try_lock().ok()) else { return ConnectionState::Unknown };
        match &slot.connection {
            Some(connection) if !connection.is_over() => ConnectionState::Open,
            _ if slot.failed.is_some() => ConnectionState::Failed,
            _ => ConnectionState::Unknown,
        }
    }

    /// Closes what is open in a lane.
    pub(crate) fn close(&self, lane: Lane) {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner).retain(|(_, of), _| *of != lane);
    }

    /// Closes what is open to brokers that `keep` does not want any more.
    pub(crate) fn retain(&self, keep: impl Fn(&HostPort) -> bool) {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner).retain(|(address, _), _| keep(address));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fault::Kind;

    fn pool() -> Pool {
        Pool::new(super::super::fake::dial(Duration::from_secs(1)), &Reconnect::default())
    }

    #[test]
    fn requests_wait_behind_no_long_pause_whatever_the_profile_allows() {
        let minute = Duration::from_secs(60);
        let mut slow =
            Pool::new(super::super::fake::dial(minute), &Reconnect { delay: minute, max_delay: minute, ..Reconnect::default() }).fresh;
        assert!(slow.delay() <= LONGEST_PAUSE && slow.delay() <= LONGEST_PAUSE);
    }

    #[tokio::test]
    async fn callers_that_wait_for_one_attempt_share_its_fault() {
        let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port();
        let pool = pool();
        let address = HostPort { host: "127.0.0.1".into(), port };
        let leases = (0..50).map(|_| pool.lease(&address, Lane::Control, Duration::from_secs(1)));
        let faults: Vec<_> = futures::future::join_all(leases).await.into_iter().filter_map(Result::err).collect();
        assert_eq!(faults.len(), 50);
        assert!(faults.iter().all(|fault| fault.kind == Kind::Unreachable && fault.cause.as_str().contains("refused")), "{}", faults[0]);
        let slot = pool.slots.lock().expect("unharmed")[&(address, Lane::Control)].clone();
        assert_eq!(slot.lock().await.backoff.failures(), 1, "one attempt was made for all");
    }
}
