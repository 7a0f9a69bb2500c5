//! `Manage` for MQTT: what the broker retains can be deleted, by publishing an empty message in its place.

use super::retained::{Look, fingerprint};
use super::wire::{Answer, Packet, Qos};
use super::{Mqtt, topic};
use crate::adapters::session::Manage;
use crate::domain::channel::Table;
use crate::domain::fault::{Fault, Kind};
use crate::domain::figure::{self, Amount};
use crate::domain::operation::{Change, Done, OperationSpec, Request, Risk, Target};
use crate::domain::text::SafeText;
use async_trait::async_trait;
use futures::stream::{self, StreamExt};
use std::collections::{BTreeMap, HashMap, HashSet};

const OP: &str = "clear retained";
/// Publishes under way at once.
const AT_ONCE: usize = 100;
/// Topics of one plan.
const MOST: usize = 50_000;
/// What a plan cannot rule out: the protocol deletes whatever a topic retains, not a message.
const GAP: &str =
    "a topic that retains another message by then is left alone; only one that is retained in the moment of the deletion goes with it";

static CLEAR: OperationSpec = OperationSpec::new(Risk::Destroy, Target::Channel(&["topic"]), "messages:clear")
    .named("retained.clear", "Clear retained")
    .help("deletes what the broker retains of a topic, or of all that a filter has");
pub(super) static OPERATIONS: &[&OperationSpec] = &[&CLEAR];

#[async_trait]
impl Manage for Mqtt {
    fn operations(&self) -> &'static [&'static OperationSpec] {
        OPERATIONS
    }

    async fn plan(&self, request: Request) -> Result<Change, Fault> {
        if request.spec.id != CLEAR.id {
            return Err(Fault::new(Kind::Usage, "plan", request.spec.id, "this system has no such operation"));
        }
        let filter = topic::of(OP, &request.address.within())?;
        // Of each message only as much as tells it from another: however large they are, all of them fit.
        let look = self
            .look(OP, &filter, false, BTreeMap::new(), |found: &mut BTreeMap<String, (String, usize)>, packet| {
                if !packet.retain || packet.payload.is_empty() {
                    return true;
                }
                let room = found.len() < MOST || found.contains_key(&packet.topic);
                if room {
                    let facts = (fingerprint(&packet), packet.payload.len());
                    found.insert(packet.topic, facts);
                }
                room
            })
            .await?;
        let cut = look.cut;
        let found = look.end();
        if found.is_empty() {
            return Err(Fault::new(Kind::NotFound, OP, filter.as_str(), "nothing is retained there")
                .next("`mqdeck tail ADDRESS --from earliest --until latest` shows what is"));
        }
        let size = |bytes: &usize| figure::bytes(*bytes as u64);
        let rows = found.iter().map(|(topic, (_, bytes))| vec![SafeText::new(&topic::name(topic)), size(bytes).into()]).collect();
        let planned: Vec<(&String, &String)> = found.iter().map(|(topic, (fingerprint, _))| (topic, fingerprint)).collect();
        let steps = serde_json::to_string(&planned).map_err(|error| Fault::new(Kind::Protocol, OP, filter.as_str(), error.to_string()))?;
        let mut notes: Vec<SafeText> = vec!["this cannot be undone: who subscribes later is told nothing".into(), GAP.into()];
        let topics = figure::several(found.len() as u64, "topic");
        let summary = if cut {
            notes.push("what is left can be planned afterwards; a narrower filter has less".into());
            format!("deletes only a part of what is retained: of {topics}; more is retained than one plan takes")
        } else {
            format!("deletes what is retained of {topics}")
        };
        Ok(Change {
            tables: vec![Table { title: "retained", columns: vec!["topic", "size"], rows }],
            touches: Amount::Exactly(found.len() as u64),
            notes,
            bounded: true,
            ..Change::new(request, summary, steps)
        })
    }

    async fn apply(&self, change: &Change) -> Result<Done, Fault> {
        let filter = topic::of(OP, &change.request.address.within())?;
        let planned: Vec<(String, String)> =
            serde_json::from_str(&change.steps).map_err(|e| Fault::new(Kind::Usage, OP, filter.as_str(), e.to_string()))?;
        let now = self.compare(&filter, &planned).await?;
        let cleared: Vec<_> = stream::iter(planned.clone()).map(|planned| self.clear(&now, planned)).buffered(AT_ONCE).collect().await;
        drop(now);
        // 3.1.1 acknowledges what it refuses as well: only another look tells.
        let left = self.compare(&filter, &planned).await.ok().map(|look| (look.cut, look.end()));
        let parts = planned.into_iter().zip(cleared).map(|((topic, fingerprint), cleared)| {
            let said = cleared.and_then(|word| judge(&topic, &fingerprint, word, left.as_ref()));
            (SafeText::new(&topic::name(&topic)), said)
        });
        Ok(Done { parts: parts.collect() })
    }
}

/// What became of a topic that was cleared, by what is retained afterwards.
fn judge(topic: &str, fingerprint: &str, word: Cleared, left: Option<&(bool, Known)>) -> Result<SafeText, Fault> {
    if word == Cleared::Gone {
        return Ok("nothing was retained any more".into());
    }
    match left.map(|(cut, left)| (cut, left.get(topic))) {
        Some((_, Some(still))) if still == fingerprint => {
            Err(Fault::new(Kind::Forbidden, OP, topic, "the broker took the request, and it is retained all the same")
                .next("usually its access list forbids it; or somebody published the same again"))
        }
        Some((_, Some(_))) => Ok("cleared; another message was retained since".into()),
        Some((false, None)) => Ok("cleared".into()),
        Some((true, None)) | None => Ok("sent; whether it is gone could not be looked up".into()),
    }
}

/// What is retained of topics, by their fingerprints.
type Known = HashMap<String, String>;

/// What was done about a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cleared {
    Sent,
    /// There was nothing to be done.
    Gone,
}

impl Mqtt {
    /// What is retained now of the topics of a plan, kept up to date for as long as it is looked at. What is published meanwhile is marked as
    /// it was published in MQTT 5; in 3.1.1 it could be retained as well.
    async fn compare(&self, filter: &str, planned: &[(String, String)]) -> Result<Look<Known>, Fault> {
        let topics: HashSet<String> = planned.iter().map(|(topic, _)| topic.clone()).collect();
        let mqtt = self.clone();
        self.look(OP, filter, true, Known::new(), move |known, packet| {
            let retained = packet.retain || !mqtt.answers();
            if retained && !packet.payload.is_empty() && topics.contains(&packet.topic) {
                let fingerprint = fingerprint(&packet);
                known.insert(packet.topic, fingerprint);
            }
            true
        })
        .await
    }

    /// Clears one topic, if what it retains is what was planned.
    async fn clear(&self, now: &Look<Known>, (topic, fingerprint): (String, String)) -> Result<Cleared, Fault> {
        let name = topic::name(&topic);
        if !now.is_open() {
            let cause = "the connection by which it was compared with the plan is gone; nothing was sent";
            return Err(Fault::new(Kind::Unreachable, OP, name, cause).next("plan it again"));
        }
        match now.with(|known| known.get(&topic).map(|is| *is == fingerprint)) {
            Some(true) => {}
            Some(false) => {
                return Err(Fault::new(Kind::Rejected, OP, name, "another message is retained since it was planned; it was left alone")
                    .next("look at it again with --plan"));
            }
            None if now.cut => {
                let cause = "it could not be compared with the plan in time; it was left alone";
                return Err(Fault::new(Kind::Timeout, OP, name, cause).next("plan it again with a narrower filter"));
            }
            None => return Ok(Cleared::Gone),
        }
        let packet = Packet { topic, qos: Qos::One, retain: true, ..Packet::default() };
        match self.publisher.publish(OP, packet).await? {
            Answer::Refused(refusal) => Err(refusal.fault(OP, name)),
            Answer::Taken | Answer::Nobody | Answer::Unsaid => Ok(Cleared::Sent),
        }
    }
}
