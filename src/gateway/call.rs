//! Calling: a request to whoever serves a channel, and the replies as they come.

use super::audit::{Begun, Phase};
use super::execute::Outcome;
use super::{Gateway, cannot};
use crate::domain::address::Address;
use crate::domain::fault::{Fault, Kind};
use crate::domain::message::{Message, Outgoing};
use crate::domain::operation::CALL;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use serde_json::json;
use std::time::Duration;

/// How long replies are waited for where nobody says otherwise.
pub const WAIT: Duration = Duration::from_secs(5);
/// Replies that a plan collects, at most.
const COLLECTED: usize = 1_000;

impl Gateway {
    /// Sends a request. Replies come until the last one that can come, or `wait` after the request; that none came is an error.
    pub async fn call(
        &self,
        address: &Address,
        request: Outgoing,
        wait: Duration,
    ) -> Result<BoxStream<'static, Result<Message, Fault>>, Fault> {
        self.permit(&CALL, CALL.risk, address)?;
        let session = self.changing(&address.integration).await?;
        let (call, channel) = (session.call.ok_or_else(|| cannot("call", &address.integration, "calls"))?, self.named(address)?);
        let bytes = request.payload.as_ref().map_or(0, bytes::Bytes::len);
        let begun = self.begin(CALL.id, address, json!({ "bytes": bytes, "wait_s": wait.as_secs() })).await?;
        let replies = match call.call(&channel, request, wait).await {
            Ok(replies) => replies,
            Err(fault) => {
                begun.end(Phase::Failed, json!({ "cause": fault.to_string() })).await;
                return Err(fault);
            }
        };
        let seen = Seen { replies: Some(replies), begun: Some(begun), address: address.clone(), wait, count: 0, faults: 0 };
        Ok(stream::unfold(seen, next).boxed())
    }

    pub(super) async fn called(&self, address: &Address, request: Outgoing, wait: Duration) -> Result<Outcome, Fault> {
        let mut replies = self.call(address, request, wait).await?.take(COLLECTED);
        let mut outcome = Outcome::default();
        while let Some(reply) = replies.next().await {
            outcome.replies.push(reply?);
        }
        Ok(outcome)
    }
}

/// A call under way, counted for its end. One whose replies nobody waits for any more has an unknown outcome.
struct Seen {
    replies: Option<BoxStream<'static, Result<Message, Fault>>>,
    begun: Option<Begun>,
    address: Address,
    wait: Duration,
    count: u64,
    faults: u64,
}

async fn next(mut seen: Seen) -> Option<(Result<Message, Fault>, Seen)> {
    if let Some(reply) = seen.replies.as_mut()?.next().await {
        seen.count += u64::from(reply.is_ok());
        seen.faults += u64::from(reply.is_err());
        return Some((reply, seen));
    }
    seen.replies = None;
    if let Some(begun) = seen.begun.take() {
        let phase = if seen.count > 0 && seen.faults == 0 { Phase::Done } else { Phase::Failed };
        begun.end(phase, json!({ "replies": seen.count, "failed": seen.faults })).await;
    }
    if seen.count + seen.faults > 0 {
        return None;
    }
    seen.faults = 1;
    let cause = format!("nobody answered within {}", crate::domain::figure::duration(seen.wait));
    let fault = Fault::new(Kind::Timeout, "call", seen.address.to_string(), cause).next("allow it more time, or look at who serves it");
    Some((Err(fault), seen))
}
