//! One message of history by its position, found by a search.

use super::filter::{Filter, Prefilter, Wanted};
use super::{Gateway, cannot};
use crate::domain::address::Address;
use crate::domain::fault::{Fault, Kind};
use crate::domain::message::Message;
use crate::domain::position::{Bound, Position, Range};
use crate::domain::search::Scope;
use futures::StreamExt;
use std::sync::Arc;

impl Gateway {
    /// One message by its position. Gone, compacted away or never there: not found.
    pub async fn message(&self, address: &Address, position: Position) -> Result<Message, Fault> {
        let channel = self.named(address)?;
        let history = self.reading(&address.integration).await?.history.ok_or_else(|| cannot("read", &address.integration, "history"))?;
        let scope = Scope { limit: 1, ..Scope::of(Range { start: Bound::At(position), end: Bound::Latest }) };
        let missing = |cause: &'static str| Fault::new(Kind::NotFound, "read", format!("{address}#{position}"), cause);
        let scan = history.scan(&channel, &scope, Arc::new(Prefilter::new(Filter::parse("")?, Wanted::Matches))).await?;
        for mut lane in scan.lanes {
            while let Some(batch) = lane.batches.next().await {
                let Some(first) = batch?.kept.into_iter().next() else { continue };
                if first.message.position == position {
                    return Ok(first.message);
                }
                // What was passed over for it, as it is damaged, is said behind what was found.
                let passed = lane.batches.next().await.and_then(Result::err);
                return Err(passed.unwrap_or_else(|| missing("there is no message at this position any more")));
            }
        }
        Err(missing("there is no message at this position"))
    }
}
