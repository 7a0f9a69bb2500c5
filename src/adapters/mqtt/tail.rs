//! `Tail` for MQTT: a subscription by a connection of its own.

use super::Mqtt;
use super::connection::{Connection, inbox};
use super::dial::Role;
use super::dropped::{Count, Following};
use super::message::Reader;
use super::topic;
use super::wire::{Packet, Subscription, Version};
use crate::adapters::backlog::{Feed, backlog};
use crate::adapters::session::{Cost, Tail, TailEvent};
use crate::domain::fault::Fault;
use crate::domain::view::Side;
use async_trait::async_trait;
use futures::stream::BoxStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio_util::task::AbortOnDropHandle;

const OP: &str = "tail";
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

#[async_trait]
impl Tail for Mqtt {
    fn cost(&self) -> Cost {
        Cost::Temporary("a subscription by a connection of its own, and one to the broker's count of what it drops")
    }

    async fn tail(&self, channels: &[Arc<str>]) -> Result<BoxStream<'static, TailEvent>, Fault> {
        let filters = channels.iter().map(|channel| topic::of(OP, channel)).collect::<Result<Vec<String>, Fault>>()?;
        filters.iter().try_for_each(|filter| topic::check_filter(OP, filter))?;
        let (feed, backlog) = backlog();
        let follower = Follower { mqtt: self.clone(), filters: topic::without_covered(&filters), feed };
        let (counted, connection) = tokio::join!(follower.count(), follower.subscribe());
        let task = AbortOnDropHandle::new(tokio::spawn(follower.run(connection?, counted)));
        Ok(backlog.stream(task))
    }
}

struct Follower {
    mqtt: Mqtt,
    filters: Vec<String>,
    feed: Feed,
}

impl Follower {
    /// Opens a connection and subscribes: from then on everything that is published comes.
    async fn subscribe(&self) -> Result<Connection, Fault> {
        let dialler = &self.mqtt.dialler;
        // What is retained belongs to the past. MQTT 5 is asked not to send it, which not every broker heeds, and marks live messages that
        // are to be kept as well; 3.1.1 sends it in any case, and marks nothing else.
        let begun = Arc::new(AtomicBool::new(false));
        let told = begun.clone();
        let live = move |packet: &Packet| !packet.retain || told.load(Ordering::Relaxed);
        let connection = dialler.open(Role::default(), inbox(&self.feed, Reader::new(), live)).await?;
        let qos = dialler.settings.subscribe_qos();
        let wanted = self.filters.iter().map(|filter| Subscription { filter: filter.clone(), qos, retained: false, as_published: true });
        connection.subscribe(OP, wanted.collect()).await?;
        if connection.server.version == Version::V5 {
            // What comes before the answer to the next question was there before.
            connection.ask_subscribe(OP, vec![dialler.nothing()]).await?;
            begun.store(true, Ordering::Relaxed);
        }
        Ok(connection)
    }

    async fn count(&self) -> Option<Following> {
        self.mqtt.dropped.get(&self.mqtt.dialler).await.map(Count::follow)
    }

    /// Never ends: a connection that fails is opened again. What the broker counts as dropped, if it counts, is told beside it.
    async fn run(self, mut connection: Connection, mut counted: Option<Following>) {
        loop {
            let mut fault = loop {
                tokio::select! {
                    count = more(counted.as_mut()) => self.feed.skipped(count, Side::Theirs),
                    fault = connection.gone() => break fault,
                }
            };
            drop(connection);
            let mut wait = FIRST_WAIT;
            connection = loop {
                self.feed.interrupted(Fault { op: OP, ..fault });
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(LONGEST_WAIT);
                match self.subscribe().await {
                    Ok(connection) => break connection,
                    Err(again) => fault = again,
                }
            };
            self.feed.resumed();
            counted = self.count().await;
        }
    }
}

/// By how much the broker's count has grown; for ever where it does not count.
async fn more(counted: Option<&mut Following>) -> Option<u64> {
    match counted {
        Some(counted) => counted.more().await,
        None => std::future::pending().await,
    }
}
