//! `Tail` for MQTT: a subscription by a connection of its own.

use super::Mqtt;
use super::connection::{Connection, inbox};
use super::dial::Role;
use super::dropped::{Count, Following};
use super::message::Reader;
use super::topic;
use super::wire::{Packet, Subscription, Version};
use crate::adapters::backlog::{Feed, backlog};
use crate::adapters::reopen::{Outlet, Reopens, keep_open};
use crate::adapters::session::Tail;
use crate::domain::channel::Cost;
use crate::domain::fault::Fault;
use crate::domain::tail::TailEvent;
use crate::domain::view::Side;
use async_trait::async_trait;
use futures::stream::BoxStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio_util::task::AbortOnDropHandle;

const OP: &str = "tail";

#[async_trait]
impl Tail for Mqtt {
    fn cost(&self) -> Cost {
        Cost::Temporary("a subscription by a connection of its own, and one to the broker's count of what it drops")
    }

    async fn tail(&self, channels: &[Arc<str>]) -> Result<BoxStream<'static, TailEvent>, Fault> {
        let filters = channels.iter().map(|channel| topic::of(OP, channel)).collect::<Result<Vec<String>, Fault>>()?;
        filters.iter().try_for_each(|filter| topic::check_filter(OP, filter))?;
        let (feed, backlog) = backlog();
        let out = Outlet::Pushed(feed.clone());
        let follower = Follower { mqtt: self.clone(), filters: topic::without_covered(&filters), feed, out };
        let (counted, connection) = tokio::join!(follower.count(), follower.subscribe());
        let open = Open { connection: connection?, counted };
        let task = AbortOnDropHandle::new(tokio::spawn(keep_open(follower, open, self.integration.reconnect.clone())));
        Ok(backlog.stream(task))
    }
}

struct Follower {
    mqtt: Mqtt,
    filters: Vec<String>,
    feed: Feed,
    out: Outlet,
}

struct Open {
    connection: Connection,
    /// The broker's count of what it drops, if it counts.
    counted: Option<Following>,
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
}

#[async_trait]
impl Reopens for Follower {
    type Open = Open;

    /// What the broker counts as dropped is told beside the messages, which come by themselves.
    async fn read(&mut self, open: &mut Open) -> Option<Fault> {
        loop {
            tokio::select! {
                count = more(open.counted.as_mut()) => self.feed.skipped(count, Side::Theirs),
                fault = open.connection.gone() => return Some(Fault { op: OP, ..fault }),
            }
        }
    }

    async fn reopen(&mut self) -> Result<(Open, Option<u64>), Fault> {
        let connection = self.subscribe().await.map_err(|fault| Fault { op: OP, ..fault })?;
        Ok((Open { connection, counted: self.count().await }, None))
    }

    fn outlet(&self) -> &Outlet {
        &self.out
    }
}

/// By how much the broker's count has grown; for ever where it does not count.
async fn more(counted: Option<&mut Following>) -> Option<u64> {
    match counted {
        Some(counted) => counted.more().await,
        None => std::future::pending().await,
    }
}
