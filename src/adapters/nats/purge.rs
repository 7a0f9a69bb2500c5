//! Purging a stream. A plan fixes the sequence that messages are deleted before, so that what is published between the plan and the deed
//! stays: the server's own `keep` counts at the deed, and its `seq` beyond the end takes what has not come yet.

use super::api::Api;
use super::model::StreamInfo;
use super::stored::Stored;
use crate::domain::fault::{Fault, Kind};
use crate::domain::figure::Amount;
use serde_json::{Value, json};

/// A stream that lists its holes is asked for no more of them than this.
const HOLES: u64 = 10_000;

/// What is deleted.
pub(super) struct Cut {
    /// Everything before this sequence.
    pub(super) before: u64,
    pub(super) touches: Amount,
}

impl Cut {
    /// Everything before a sequence that was named, and that is there now.
    pub(super) fn before(info: &StreamInfo, before: u64, subject: Option<&str>) -> Self {
        let before = before.min(info.end());
        Self { before, touches: up_to(info, before, subject) }
    }
}

/// How many messages stand before a sequence, as far as that is known.
fn up_to(info: &StreamInfo, before: u64, subject: Option<&str>) -> Amount {
    let span = before.saturating_sub(info.first());
    let most = span.min(info.state.messages);
    let whole = before >= info.end() || info.state.num_deleted == 0;
    if subject.is_none() && whole { Amount::Exactly(most) } else { Amount::AtMost(most) }
}

/// Where to cut so that the newest `keep` messages stay that there are now.
pub(super) async fn kept(api: &Api, op: &'static str, info: &StreamInfo, subject: Option<&str>, keep: u64) -> Result<Cut, Fault> {
    if subject.is_none() && info.state.num_deleted == 0 {
        let before = info.end().saturating_sub(keep).max(info.first());
        return Ok(Cut { before, touches: Amount::Exactly(info.state.messages.saturating_sub(keep)) });
    }
    let stored = Stored::new(api.clone(), info.name(), info.flag("allow_direct"));
    let filter = subject.unwrap_or(">");
    if let Some(all) = stored.count(op, info.first(), filter).await? {
        return counted(api, op, info, &stored, filter, keep, all).await;
    }
    if subject.is_none() && info.state.num_deleted <= HOLES {
        return without_holes(api, op, info, keep).await;
    }
    Err(Fault::new(Kind::Rejected, op, format!("stream:{}", info.name()), "where the newest messages begin cannot be told")
        .next("that takes a server of 2.11 or later and allow_direct; say the sequence itself: before=…"))
}

/// Searches the place by counting what stands behind one. Meanwhile messages may come: what is counted less all that came since the plan
/// was begun is never more than what stays, so that rather too many are kept.
async fn counted(api: &Api, op: &'static str, info: &StreamInfo, stored: &Stored, filter: &str, keep: u64, all: u64) -> Result<Cut, Fault> {
    let (mut low, mut high) = (info.first(), info.end());
    // What is before `low` may go; what is before `high` may not all.
    while low + 1 < high {
        let middle = low + (high - low) / 2;
        let behind = stored.count(op, middle, filter).await?.unwrap_or(0);
        let came = api.stream(op, info.name()).await?.end().saturating_sub(info.end());
        if behind.saturating_sub(came) >= keep {
            low = middle;
        } else {
            high = middle;
        }
    }
    Ok(Cut { before: low, touches: Amount::AtMost(all.saturating_sub(keep)) })
}

/// The same by the stream's own list of holes.
async fn without_holes(api: &Api, op: &'static str, info: &StreamInfo, keep: u64) -> Result<Cut, Fault> {
    let target = format!("stream:{}", info.name());
    let call = format!("STREAM.INFO.{}", info.name());
    let answer: Value = api.call(op, &target, &call, &json!({ "deleted_details": true })).await?;
    let holes = answer.pointer("/state/deleted").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_u64);
    let holes: std::collections::HashSet<u64> = holes.collect();
    let (mut before, mut left) = (info.end(), keep);
    while left > 0 && before > info.first() {
        before -= 1;
        if !holes.contains(&before) {
            left -= 1;
        }
    }
    Ok(Cut { before, touches: Amount::Exactly(info.state.messages.saturating_sub(keep)) })
}
