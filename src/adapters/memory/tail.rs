//! Live messages, with the interruptions and gaps that a real system has.

use super::read::{BATCH, after, readable};
use super::{Memory, Trouble, gone};
use crate::adapters::session::Tail;
use crate::domain::channel::Cost;
use crate::domain::fault::{Fault, Kind};
use crate::domain::tail::TailEvent;
use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt};
use std::sync::Arc;
use tokio::sync::watch;

#[async_trait]
impl Tail for Memory {
    fn cost(&self) -> Cost {
        Cost::Nothing
    }

    async fn tail(&self, channels: &[Arc<str>]) -> Result<BoxStream<'static, TailEvent>, Fault> {
        self.pass("tail", &channels.join(", ")).await?;
        let changes = self.changes.subscribe();
        let state = self.state();
        let mut places = Vec::new();
        for channel in channels {
            for (number, part) in state.parts("tail", channel)?.iter().enumerate() {
                places.push(Place { channel: channel.clone(), partition: number as i32, offset: part.end() });
            }
        }
        drop(state);
        let follower = Follower { memory: self.clone(), changes, places, broken: None };
        Ok(stream::unfold(follower, |mut follower| async move { Some((follower.next().await, follower)) }).boxed())
    }
}

/// The next offset of one partition.
struct Place {
    channel: Arc<str>,
    partition: i32,
    offset: i64,
}

struct Follower {
    memory: Memory,
    changes: watch::Receiver<u64>,
    places: Vec<Place>,
    /// Why the last read failed, if it was told and nothing was read since.
    broken: Option<Fault>,
}

impl Follower {
    async fn next(&mut self) -> TailEvent {
        loop {
            self.changes.mark_unchanged();
            let trouble = self.memory.state().trouble.clone();
            let event = match trouble {
                None => self.look(),
                Some(Trouble::Delay(time)) => {
                    let event = self.look();
                    tokio::time::sleep(time).await;
                    event
                }
                Some(Trouble::Hang) => None,
                Some(Trouble::Cut) => self.interrupt(gone("tail", "memory")),
                Some(Trouble::Refuse(fault)) => self.interrupt(fault),
            };
            if let Some(event) = event {
                return event;
            }
            if self.changes.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Tells a failure, once.
    fn interrupt(&mut self, fault: Fault) -> Option<TailEvent> {
        if self.broken.as_ref() == Some(&fault) {
            return None;
        }
        self.broken = Some(fault.clone());
        Some(TailEvent::Interrupted(fault))
    }

    /// What has come since, if anything.
    fn look(&mut self) -> Option<TailEvent> {
        let lost = self.skip_deleted();
        if lost > 0 || self.broken.take().is_some() {
            self.broken = None;
            return Some(TailEvent::Resumed { lost: Some(lost) });
        }
        let mut messages = Vec::new();
        let mut failed = None;
        for place in &mut self.places {
            match readable(&self.memory.state(), &place.channel, place.partition, place.offset, BATCH) {
                Ok(read) => {
                    if let Some(last) = read.last() {
                        place.offset = after(last.position);
                    }
                    messages.extend(read);
                }
                Err(fault) => {
                    if messages.is_empty() {
                        // A damaged message is told and passed over; it cannot be read by waiting.
                        place.offset += i64::from(fault.kind == Kind::Protocol);
                        failed = Some(fault);
                        break;
                    }
                }
            }
        }
        match failed {
            Some(fault) => self.interrupt(fault),
            None => (!messages.is_empty()).then_some(TailEvent::Messages(messages)),
        }
    }

    /// Moves on from what was deleted before it was read; how many messages that were.
    fn skip_deleted(&mut self) -> u64 {
        let state = self.memory.state();
        let mut lost = 0;
        for place in &mut self.places {
            let start = state.parts("tail", &place.channel).ok().and_then(|parts| Some(parts.get(place.partition as usize)?.start));
            if let Some(start) = start.filter(|start| *start > place.offset) {
                lost += (start - place.offset) as u64;
                place.offset = start;
            }
        }
        lost
    }
}
