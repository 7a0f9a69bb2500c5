//! What a broker retains: it is sent, marked, to whoever subscribes, one message a topic. The end is not marked, so that something else is
//! asked after it, and then it has to be quiet. At `QoS` 0 the broker's limit of what is under way does not cut it.

use super::Mqtt;
use super::connection::Connection;
use super::dial::Role;
use super::topic;
use super::wire::{Packet, Qos, Subscription};
use crate::domain::fault::{Fault, Kind};
use sha2::{Digest, Sha256};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

/// Nothing more is retained if nothing came for so long after the broker answered what was asked after the subscription.
const QUIET: Duration = Duration::from_millis(150);

/// A subscription whose retained messages have come. Dropping it ends it.
pub(super) struct Look<T> {
    connection: Connection,
    shared: Arc<Shared<T>>,
    /// More may be retained than was taken.
    pub(super) cut: bool,
}

struct Shared<T> {
    taken: Mutex<Taken<T>>,
    arrived: Notify,
}

struct Taken<T> {
    found: T,
    /// There was no room for the last one.
    full: bool,
}

impl<T> Shared<T> {
    fn with<R>(&self, work: impl FnOnce(&mut Taken<T>) -> R) -> R {
        work(&mut self.taken.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<T> Look<T> {
    /// Works with what was found so far.
    pub(super) fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
        self.shared.with(|taken| work(&mut taken.found))
    }

    /// Whether it still hears what is published.
    pub(super) fn is_open(&self) -> bool {
        !self.connection.is_gone()
    }

    /// Ends it; what was found.
    pub(super) fn end(self) -> T
    where
        T: Default,
    {
        self.shared.with(|taken| {
            taken.full = true;
            std::mem::take(&mut taken.found)
        })
    }
}

impl Mqtt {
    /// Looks at what is retained under a filter. `take` is given each message, and says whether there was room for it; after one for which
    /// there was none it is given no more. It runs on the connection's task and must not wait. With `follow` messages that are published
    /// later are marked as they were published, where the protocol can do that.
    pub(super) async fn look<T: Send + 'static>(
        &self,
        op: &'static str,
        filter: &str,
        follow: bool,
        found: T,
        mut take: impl FnMut(&mut T, Packet) -> bool + Send + 'static,
    ) -> Result<Look<T>, Fault> {
        topic::check_filter(op, filter)?;
        if topic::is_shared(filter) {
            return Err(
                Fault::new(Kind::Usage, op, filter, "a shared subscription is not sent what is retained").next("leave $share/GROUP/ out")
            );
        }
        let shared = Arc::new(Shared { taken: Mutex::new(Taken { found, full: false }), arrived: Notify::new() });
        let into = shared.clone();
        let inbox = move |packet: Packet| {
            into.with(|taken| taken.full = taken.full || !take(&mut taken.found, packet));
            into.arrived.notify_one();
        };
        let connection = self.dialler.open(Role::default(), Box::new(inbox)).await?;
        let wanted = Subscription { filter: filter.to_owned(), qos: Qos::Zero, retained: true, as_published: follow };
        connection.subscribe(op, vec![wanted]).await?;
        connection.ask_subscribe(op, vec![self.dialler.nothing()]).await?;
        let end = Instant::now() + self.dialler.timeout;
        let is_full = || shared.with(|taken| taken.full);
        while !is_full() && Instant::now() < end && timeout(QUIET, shared.arrived.notified()).await.is_ok() {}
        let cut = is_full() || Instant::now() >= end;
        if connection.is_gone() {
            return Err(Fault { op, target: filter.into(), ..connection.gone().await });
        }
        Ok(Look { connection, shared, cut })
    }
}

/// Names a retained message exactly enough to tell whether it is still the same one. How long it has left to live changes by itself and is
/// left out, as is what differs from one delivery to the next.
pub(super) fn fingerprint(packet: &Packet) -> String {
    let mut hash = Sha256::new();
    let properties = super::wire::Properties { expiry: None, ..packet.properties.clone() };
    hash.update(format!("{properties:?}\n"));
    hash.update(&packet.payload);
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
