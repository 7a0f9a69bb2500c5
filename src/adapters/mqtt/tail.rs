//! `Tail` for MQTT: a subscription by a connection of its own.

use super::Mqtt;
use super::buffer::Buffer;
use super::connection::Connection;
use super::dial::Role;
use super::dropped::{Count, Following};
use super::message::Reader;
use super::topic;
use super::wire::{Packet, Subscription, Version};
use crate::adapters::session::{Cost, Tail, TailEvent};
use crate::domain::fault::Fault;
use crate::domain::view::Side;
use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const OP: &str = "tail";
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

#[async_trait]
impl Tail for Mqtt {
    fn cost(&self) -> Cost {
        Cost::Temporary("a subscription by a connection of its own, and one to the broker's count of what it drops")
    }

    async fn tail(&self, channels: &[Arc<str>]) -> Result<BoxStream<'static, TailEvent>, Fault> {
        for channel in channels {
            topic::check_filter(OP, channel)?;
        }
        let filters: Vec<String> = channels.iter().map(ToString::to_string).collect();
        let mut follower = Follower {
            mqtt: self.clone(),
            filters: topic::without_covered(&filters),
            buffer: Buffer::default(),
            connection: None,
            counted: None,
            dropped: 0,
            wait: FIRST_WAIT,
        };
        let (counted, connection) = tokio::join!(follower.count(), follower.subscribe());
        (follower.counted, follower.connection) = (counted, Some(connection?));
        Ok(stream::unfold(follower, |mut follower| async move { Some((follower.next().await, follower)) }).boxed())
    }
}

struct Follower {
    mqtt: Mqtt,
    filters: Vec<String>,
    buffer: Buffer,
    connection: Option<Connection>,
    /// What the broker counts as dropped, if it does.
    counted: Option<Following>,
    /// Messages dropped here that are not told yet.
    dropped: u64,
    wait: Duration,
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
        let connection = dialler.open(Role::default(), self.buffer.inbox(Reader::new(), live)).await?;
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

    async fn next(&mut self) -> TailEvent {
        if self.dropped > 0 {
            return TailEvent::Skipped { count: Some(std::mem::take(&mut self.dropped)), side: Side::Ours };
        }
        if let Some(connection) = &self.connection {
            let fault = tokio::select! {
                biased;
                // First: a flood would never let it be heard.
                count = more(self.counted.as_mut()) => return TailEvent::Skipped { count, side: Side::Theirs },
                batch = self.buffer.next() => Ok(batch),
                fault = connection.gone() => Err(fault),
            };
            // What came before it failed goes first.
            let batch = fault.or_else(|fault| self.buffer.take().ok_or(fault));
            return match batch {
                Ok(batch) => {
                    self.dropped = batch.dropped;
                    TailEvent::Messages(batch.messages)
                }
                Err(fault) => {
                    self.connection = None;
                    self.wait = FIRST_WAIT;
                    TailEvent::Interrupted(Fault { op: OP, ..fault })
                }
            };
        }
        loop {
            tokio::time::sleep(self.wait).await;
            self.wait = (self.wait * 2).min(LONGEST_WAIT);
            if let Ok(connection) = self.subscribe().await {
                self.counted = self.count().await;
                self.connection = Some(connection);
                // Nobody keeps what was published while we were away.
                return TailEvent::Resumed { lost: None };
            }
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
