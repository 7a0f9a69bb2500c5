//! What settling or giving back a message does, by the queue that it came from: its delivery limit, and where its dead letters go.

use super::Rabbit;
use super::dead_letters::{Fate, Map};
use super::inspect::BINDING_COLUMNS;
use super::management::text;
use super::name::Name;
use crate::domain::delivery::{Effect, Given, Settles};
use crate::domain::fault::{Fault, Kind};
use crate::domain::figure::several;
use serde_json::Value;
use std::time::Duration;

/// From this version on a quorum queue has a delivery limit whether or not anybody set one: 20.
const LIMITED: (u32, u32) = (4, 0);
/// From this version on a message that is given back with a nack keeps its count.
const FREE_RETURNS: (u32, u32) = (4, 3);
const USUAL_LIMIT: u64 = 20;
/// How often a new queue is asked for until its policy is told: a quorum queue tells of itself every five seconds or so.
const POLICY_LOOKS: u32 = 24;
const POLICY_PAUSE: Duration = Duration::from_millis(500);

/// What is known of a queue, as far as the fate of its messages depends on it.
pub(super) struct Facts {
    pub(super) returns: Returns,
    /// The management API's row of the queue with the vhost's exchanges and bindings, or why they could not be read.
    letters: Result<(Value, Map), Fault>,
}

/// What becomes of a message that is given back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Returns {
    /// It stays in the queue however often.
    Free,
    /// A quorum queue that lets each message be delivered once more than this; what was delivered that often and comes back is a dead letter.
    Counted(u64),
    /// The limit could not be read: why.
    Unknown(String),
}

/// The limit of deliveries that is set for a queue; below zero there is none, and that goes before any other.
fn set_limit(queue: &Value) -> Option<i64> {
    let said = |path: &[&str]| path.iter().try_fold(queue, |value, name| value.get(name)).and_then(Value::as_i64);
    let by = [said(&["arguments", "x-delivery-limit"]), said(&["effective_policy_definition", "delivery-limit"])];
    by.into_iter().flatten().min()
}

/// The limit of a quorum queue's deliveries that holds; none also where the server's version, which the usual limit depends on, is unknown.
pub(super) fn delivery_limit(queue: &Value, version: Option<(u32, u32)>) -> Option<u64> {
    if text(queue, &["type"]) != Some("quorum") {
        return None;
    }
    match set_limit(queue) {
        Some(limit) => u64::try_from(limit).ok(),
        None => version.filter(|version| *version >= LIMITED).map(|_| USUAL_LIMIT),
    }
}

impl Returns {
    /// From the management API's row of a queue and the server's version.
    fn of(queue: &Value, version: Option<(u32, u32)>) -> Self {
        if text(queue, &["type"]) != Some("quorum") || version.is_some_and(|version| version >= FREE_RETURNS) {
            return Self::Free;
        }
        match (delivery_limit(queue, version), version) {
            (Some(limit), _) => Self::Counted(limit),
            (None, None) if set_limit(queue).is_none() => {
                Self::Unknown("the server's version, which the usual limit depends on, could not be read".to_owned())
            }
            (None, _) => Self::Free,
        }
    }

    /// Whether giving a message back once more ends it in its queue; `None` if nobody knows.
    fn ends(&self, message: &Given) -> Option<bool> {
        // A quorum queue tells of no count before the first return.
        let deliveries = message.deliveries.or((!message.redelivered).then_some(1));
        match self {
            Self::Free => Some(false),
            Self::Counted(limit) => deliveries.map(|deliveries| deliveries > *limit),
            // What was given out before and has no count is of a queue that does not count.
            Self::Unknown(_) if message.deliveries.is_none() && message.redelivered => Some(false),
            Self::Unknown(_) => None,
        }
    }
}

impl Rabbit {
    /// What a queue does with its messages, as it is now.
    pub(super) async fn facts(&self, queue: &str) -> Facts {
        let rows = tokio::try_join!(
            self.governed(queue, "name,type,arguments,effective_policy_definition"),
            self.management.list("exchanges", "name,type,arguments,policy"),
            self.management.list("bindings", BINDING_COLUMNS),
            self.version(),
        );
        match rows {
            Ok((row, exchanges, bindings, version)) => {
                Facts { returns: Returns::of(&row, version), letters: Ok((row, Map::of(&exchanges, &bindings))) }
            }
            Err(fault) => Facts { returns: Returns::Unknown(fault.cause.to_string()), letters: Err(fault) },
        }
    }

    /// The row of a queue with the policy in effect, which the server tells with its statistics: of a new queue a moment later.
    pub(super) async fn governed(&self, queue: &str, columns: &str) -> Result<Value, Fault> {
        let (parts, columns) = ([queue], [("columns", columns)]);
        for _ in 0..POLICY_LOOKS {
            let row = self.management.get("queues", &parts, &columns).await?;
            if row.get("effective_policy_definition").is_some() {
                return Ok(row);
            }
            tokio::time::sleep(POLICY_PAUSE).await;
        }
        Err(Fault::new(Kind::Timeout, "ask the management API of", queue, "the server has not told yet which policy applies to it")
            .next("ask again in a few seconds"))
    }

    /// The oldest version in the cluster: each node counts as its own does.
    pub(super) async fn version(&self) -> Result<Option<(u32, u32)>, Fault> {
        let said = self.management.get("overview", &[], &[("columns", "rabbitmq_version")]).await?;
        Ok(text(&said, &["rabbitmq_version"]).and_then(parsed))
    }

    pub(super) async fn settling(&self, channel: &str, effect: Effect, given: &[Given]) -> Result<Settles, Fault> {
        let many = several(given.len() as u64, "message");
        let name = match self.resolve("receive from", channel).await? {
            Name::Queue(queue) => queue,
            other => return Ok(Settles::usual(format!("{} has nothing to settle", other.text()))),
        };
        Ok(match effect {
            Effect::Ack => Settles::usual(format!("{many} removed from the queue: done")),
            Effect::Extend => Settles::usual("RabbitMQ cannot extend the time that a message is held"),
            Effect::Reject => self.facts(&name).await.dead(given, &many),
            Effect::Requeue => self.facts(&name).await.requeued(given, &many),
        })
    }
}

impl Facts {
    /// Why a message that is given back may end by that; `None` if it cannot.
    pub(super) fn price(&self) -> Option<Settles> {
        match &self.returns {
            Returns::Free => None,
            Returns::Counted(limit) => Some(Settles::destroys(format!(
                "this quorum queue has a delivery limit: of the {limit} returns that it allows each message, giving it back spends one, and \
                 behind the last it is a dead letter, or deleted; how many are left is seen only when it is delivered"
            ))),
            Returns::Unknown(why) => Some(Settles::usual(format!(
                "whether this queue has a delivery limit, which giving a message back would count towards, is not known: behind a limit it is \
                 a dead letter, or deleted; only the management API tells of it ({why})"
            ))),
        }
    }

    /// What giving these back does.
    pub(super) fn requeued(&self, given: &[Given], many: &str) -> Settles {
        let ended: Vec<Given> = given.iter().filter(|message| self.returns.ends(message) == Some(true)).cloned().collect();
        let unknown = given.iter().filter(|message| self.returns.ends(message).is_none() && message.deliveries.is_some()).count();
        match &self.returns {
            Returns::Counted(limit) if !ended.is_empty() => {
                let letters = self.dead(&ended, &several(ended.len() as u64, "message"));
                let summary = format!("{many} given back; at the delivery limit ({limit}): {}", letters.summary);
                Settles { summary: summary.into(), ..letters }
            }
            Returns::Counted(limit) => {
                Settles::usual(format!("{many} back to the queue, marked as redelivered; one of the {limit} returns of each is spent"))
            }
            Returns::Unknown(why) if unknown > 0 => Settles::destroys(format!(
                "{many} given back; MAY DELETE {}: whether a delivery limit is reached is not known ({why})",
                several(unknown as u64, "message")
            )),
            Returns::Unknown(why) => {
                Settles::usual(format!("{many} back to the queue, marked as redelivered; its delivery limit is not known ({why})"))
            }
            Returns::Free => Settles::usual(format!("{many} back to the queue, marked as redelivered")),
        }
    }

    /// What becomes of these as dead letters.
    fn dead(&self, given: &[Given], many: &str) -> Settles {
        let (row, map) = match &self.letters {
            Ok(letters) => letters,
            Err(fault) => {
                return Settles::destroys(format!(
                    "MAY DELETE {many}: whether this queue has a dead-letter exchange is not known ({})",
                    fault.cause
                ));
            }
        };
        let fates: Vec<Fate> = given.iter().map(|message| map.fate(row, message.key.as_deref())).collect();
        let lost: Vec<&Fate> = fates.iter().filter(|fate| fate.is_lost()).collect();
        let unsure: Vec<&Fate> = fates.iter().filter(|fate| fate.is_unsure()).collect();
        let kept = fates.iter().find(|fate| !fate.is_lost() && !fate.is_unsure());
        let mut parts = Vec::new();
        if let Some(first) = lost.first() {
            parts.push(format!("DELETES {}: {}", several(lost.len() as u64, "message"), first.words()));
        }
        if let Some(first) = unsure.first() {
            parts.push(format!("MAY DELETE {}: {}", several(unsure.len() as u64, "message"), first.words()));
        }
        if let Some(kept) = kept {
            parts.push(format!("{} {}", several((fates.len() - lost.len() - unsure.len()) as u64, "message"), kept.words()));
        }
        let summary = parts.join("; ");
        if lost.is_empty() && unsure.is_empty() { Settles::usual(summary) } else { Settles::destroys(summary) }
    }
}

fn parsed(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::operation::Risk;
    use serde_json::json;

    fn given(deliveries: Option<u64>) -> Given {
        Given { deliveries, redelivered: deliveries.is_some_and(|n| n > 1), key: Some("k".into()) }
    }

    #[test]
    fn a_limit_comes_from_argument_policy_and_version() {
        let queue = |kind: &str, argument: Option<i64>, policy: Option<i64>| {
            let mut row = json!({ "type": kind, "arguments": {}, "effective_policy_definition": {} });
            if let Some(limit) = argument {
                row["arguments"]["x-delivery-limit"] = limit.into();
            }
            if let Some(limit) = policy {
                row["effective_policy_definition"]["delivery-limit"] = limit.into();
            }
            row
        };
        for (kind, argument, policy, version, expected) in [
            ("classic", Some(1), None, "3.10.8", Returns::Free),
            ("quorum", None, None, "3.10.8", Returns::Free),
            ("quorum", None, None, "4.0.1", Returns::Counted(20)),
            ("quorum", Some(5), Some(3), "3.13.7", Returns::Counted(3)),
            ("quorum", None, Some(0), "4.1.0", Returns::Counted(0)),
            ("quorum", Some(-1), Some(3), "4.2.0", Returns::Free),
            ("quorum", Some(1), None, "4.3.0", Returns::Free),
            ("quorum", Some(1), None, "unheard of", Returns::Counted(1)),
        ] {
            assert_eq!(Returns::of(&queue(kind, argument, policy), parsed(version)), expected, "{kind} {argument:?} {policy:?} {version}");
        }
        assert!(matches!(Returns::of(&queue("quorum", None, None), None), Returns::Unknown(_)));
    }

    #[test]
    fn giving_back_names_what_the_limit_ends_and_what_nobody_knows() {
        let letters = || Ok((json!({ "type": "quorum", "arguments": {} }), Map::of(&[], &[])));
        let unread = || Err(Fault::new(Kind::Unreachable, "ask", "x", "nothing listens there"));
        let facts = |returns, letters| Facts { returns, letters };
        for (facts, messages, risk, words) in [
            (facts(Returns::Free, letters()), vec![given(Some(9))], Risk::Reversible, "1 message back to the queue"),
            (facts(Returns::Counted(1), letters()), vec![given(None)], Risk::Reversible, "one of the 1 returns of each is spent"),
            (facts(Returns::Counted(1), letters()), vec![given(None), given(Some(2))], Risk::Destroy, "DELETES 1 message"),
            (facts(Returns::Counted(0), letters()), vec![given(None)], Risk::Destroy, "DELETES 1 message"),
            (facts(Returns::Unknown("why".into()), unread()), vec![given(None)], Risk::Reversible, "limit is not known (why)"),
            (facts(Returns::Unknown("why".into()), unread()), vec![given(Some(2))], Risk::Destroy, "MAY DELETE 1 message"),
        ] {
            let settles = facts.requeued(&messages, &several(messages.len() as u64, "message"));
            assert!(settles.risk == risk && settles.summary.as_str().contains(words), "{settles:?}");
        }
        let unknown = facts(Returns::Unknown("why".into()), unread()).dead(&[given(None)], "1 message");
        assert!(unknown.risk == Risk::Destroy && unknown.summary.as_str().contains("not known (nothing listens there)"), "{unknown:?}");
    }
}
