//! What the broker says that it has dropped. It drops messages for readers that are too slow without telling them; some brokers count.

use super::connection::Connection;
use super::dial::{Dialler, Role};
use super::wire::{Qos, Subscription};
use std::sync::{Arc, Weak};
use tokio::sync::{Mutex, watch};

const OP: &str = "count what is dropped by";
/// Mosquitto's count of messages dropped because too many waited for their readers, whoever they were (mosquitto(8), broker status). It
/// is published every `sys_interval` (10 s unless set) if it has grown, and retained for a minute.
const TOPIC: &str = "$SYS/broker/publish/messages/dropped";

/// The broker's count, listened to by a connection of its own: what is said on one that is too slow can be dropped as well.
pub(super) struct Count {
    value: watch::Receiver<Option<Said>>,
    connection: Connection,
}

/// What the count was when the broker said so.
#[derive(Clone, Copy)]
struct Said {
    count: u64,
    /// Before we listened.
    retained: bool,
}

/// The count that several tails share, for as long as one of them lives.
#[derive(Default)]
pub(super) struct Counts(Mutex<Weak<Count>>);

impl Counts {
    /// `None` where the profile does not want the broker's own topics listened to, or the broker does not let us.
    pub(super) async fn get(&self, dialler: &Dialler) -> Option<Arc<Count>> {
        if !dialler.settings.sys {
            return None;
        }
        let mut shared = self.0.lock().await;
        if let Some(count) = shared.upgrade().filter(|count| !count.connection.is_gone()) {
            return Some(count);
        }
        let count = Arc::new(Count::listen(dialler).await?);
        *shared = Arc::downgrade(&count);
        Some(count)
    }
}

impl Count {
    async fn listen(dialler: &Dialler) -> Option<Self> {
        let (said, value) = watch::channel(None);
        let inbox = move |packet: super::wire::Packet| {
            if let Some(count) = std::str::from_utf8(&packet.payload).ok().and_then(|text| text.trim().parse().ok()) {
                said.send_replace(Some(Said { count, retained: packet.retain }));
            }
        };
        let connection = dialler.open(Role::default(), Box::new(inbox)).await.ok()?;
        let wanted = Subscription { filter: TOPIC.to_owned(), qos: Qos::Zero, retained: true, as_published: false };
        connection.subscribe(OP, vec![wanted]).await.ok()?;
        Some(Self { value, connection })
    }

    /// Follows the count from what it says now.
    pub(super) fn follow(self: Arc<Self>) -> Following {
        let mut value = self.value.clone();
        let before = value.borrow_and_update().map(|said| said.count);
        Following { value, before, _count: self }
    }
}

/// One reader of the count.
pub(super) struct Following {
    value: watch::Receiver<Option<Said>>,
    /// What it was; `None` while the broker has said nothing.
    before: Option<u64>,
    _count: Arc<Count>,
}

impl Following {
    /// Waits until the count has grown; by how much, if it is known what it was before. For ever if nobody counts any more.
    pub(super) async fn more(&mut self) -> Option<u64> {
        loop {
            if self.value.changed().await.is_err() {
                return std::future::pending().await;
            }
            let Some(said) = *self.value.borrow_and_update() else { continue };
            match self.before.replace(said.count) {
                // A broker that was started again counts from 0.
                Some(before) if before != said.count => return Some(said.count.checked_sub(before).unwrap_or(said.count)),
                None if !said.retained && said.count > 0 => return None,
                _ => {}
            }
        }
    }
}
