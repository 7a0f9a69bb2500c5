//! Services in memory: they answer every request with what it carried, as often as its header `replies` says.

use super::Memory;
use crate::adapters::session::Call;
use crate::domain::fault::{Fault, Kind};
use crate::domain::message::{Message, Outgoing, Stamp};
use crate::domain::position::Position;
use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt};
use std::time::Duration;

#[async_trait]
impl Call for Memory {
    async fn call(&self, channel: &str, request: Outgoing, wait: Duration) -> Result<BoxStream<'static, Result<Message, Fault>>, Fault> {
        let late = || Fault::new(Kind::Timeout, "call", channel, "no answer in time").next("allow it more time, or look at the service");
        tokio::time::timeout(wait, self.pass("call", channel)).await.unwrap_or_else(|_| Err(late()))?;
        let state = self.state();
        if !state.services.contains(channel) {
            return Err(state.otherwise("call", channel, "service").next("mqdeck channels shows who can be called"));
        }
        let replies = request.headers.iter().find(|header| &header.name[..] == b"replies");
        let replies = replies.and_then(|header| std::str::from_utf8(header.value.as_ref()?).ok()?.parse::<u64>().ok()).unwrap_or(1);
        let reply = move |number, timestamp| Message {
            channel: "reply".into(),
            position: Position::Arrival(number),
            timestamp: Some(timestamp),
            stamp: Stamp::Seen,
            key: request.key.clone(),
            headers: request.headers.clone(),
            payload: request.payload.clone(),
        };
        let now = state.now();
        Ok(stream::iter((1..=replies.min(1_000)).map(move |number| Ok(reply(number, now)))).boxed())
    }
}
